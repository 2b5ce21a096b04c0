/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * X11: keys by their place. Servers with the "evdev" codes (all of Linux) need no table; for others xkb gives each code the name of its place.
 */
#include "ui/mks/mks_view_private.h"

#include <gdk/gdk.h>
#ifdef GDK_WINDOWING_X11
#include <X11/XKBlib.h>
#include <gdk/gdkx.h>
#include <string.h>

#include "ui/mks/mks_keys.h"

enum { N_CODES = 256 };

/* usage by key code; NULL: evdev codes, or xkb does not tell. */
static guint16 *make_table(Display *x)
{
    guint16 *table = NULL;
    XkbDescPtr d = XkbGetMap(x, 0, XkbUseCoreKbd);
    if (!d)
        return NULL;
    if (XkbGetNames(x, XkbKeycodesNameMask | XkbKeyNamesMask, d) == Success && d->names && d->names->keys) {
        char *set = d->names->keycodes ? XGetAtomName(x, d->names->keycodes) : NULL;
        if (set && !g_str_has_prefix(set, "evdev")) {
            table = g_new0(guint16, N_CODES);
            for (int i = d->min_key_code; i <= d->max_key_code && i < N_CODES; i++) {
                char name[XkbKeyNameLength + 1] = {0};
                memcpy(name, d->names->keys[i].name, XkbKeyNameLength);
                table[i] = (guint16)mks_usage_from_xkb_name(name);
            }
        }
        if (set)
            XFree(set);
    }
    XkbFreeKeyboard(d, 0, True);
    return table;
}

guint mks_x11_usage(GdkDisplay *d, guint keycode)
{
    static const char key[] = "lodge-mks-keycodes", done[] = "lodge-mks-keycodes-known";
    if (!GDK_IS_X11_DISPLAY(d))
        return 0;
    if (!g_object_get_data(G_OBJECT(d), done)) {
        g_object_set_data_full(G_OBJECT(d), key, make_table(gdk_x11_display_get_xdisplay(d)), g_free);
        g_object_set_data(G_OBJECT(d), done, (gpointer)done);
    }
    const guint16 *table = g_object_get_data(G_OBJECT(d), key);
    return table && keycode < N_CODES ? table[keycode] : 0;
}
#else
guint mks_x11_usage(GdkDisplay *d, guint keycode) { return (void)d, (void)keycode, 0; }
#endif
