/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Table of guests, from guest-os.def. */
#include "app-guest-os.h"

#include <glib/gi18n.h>

#define WINDOWS GUEST_WINDOWS
#define LINUX GUEST_LINUX
#define BSD GUEST_BSD
#define DARWIN GUEST_DARWIN
#define OTHER GUEST_OTHER
static const AppGuestOs table[] = {
#define GUEST_OS(id, name, family, mem, disk, alias) {id, name, family, mem, disk, alias},
#include "guest-os.def"
};

const AppGuestOs *app_guest_os_table(guint *n)
{
    *n = G_N_ELEMENTS(table);
    return table;
}

const AppGuestOs *app_guest_os_find(const char *id)
{
    for (guint i = 0; id && i < G_N_ELEMENTS(table); i++)
        if (!g_ascii_strcasecmp(table[i].id, id))
            return &table[i];
    return NULL;
}

const char *app_guest_os_name(const char *id)
{
    const AppGuestOs *g = app_guest_os_find(id);
    return g ? g->name : id && *id ? id : _("Unknown");
}

const char *app_guest_family_name(AppGuestFamily f)
{
    switch (f) {
    case GUEST_WINDOWS: return "Windows";
    case GUEST_LINUX: return "Linux";
    case GUEST_BSD: return "BSD";
    case GUEST_DARWIN: return "macOS";
    default: return _("Other systems");
    }
}

const char *app_guest_family_icon(AppGuestFamily f)
{
    static const char *const icons[] = {"lodge-guest-windows-symbolic", "lodge-guest-linux-symbolic",
                                        "lodge-guest-bsd-symbolic", "lodge-guest-darwin-symbolic",
                                        "lodge-guest-other-symbolic"};
    return icons[f < GUEST_FAMILIES ? f : GUEST_OTHER];
}

gboolean app_guest_os_is_64(const AppGuestOs *g) { return g_str_has_suffix(g->id, "-64"); }
