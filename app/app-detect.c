/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libosinfo names the system of a CD image; a table makes a guestOS of it. */
#include "app-detect.h"

#include <osinfo/osinfo.h>
#include <stdlib.h>
#include <string.h>

#include "app-guest-os.h"

static const struct {
    const char *short_id, *guest, *guest_64;
} exact[] = {
    {"win3.1", "win31", NULL},
    {"win95", "win95", NULL},
    {"win98", "win98", NULL},
    {"winme", "winMe", NULL},
    {"winnt4.0", "winNT", NULL},
    {"win2k", "win2000Pro", NULL},
    {"winxp", "winXPPro", "winXPPro-64"},
    {"win2k3", "winNetStandard", "winNetStandard-64"},
    {"win2k3r2", "winNetStandard", "winNetStandard-64"},
    {"winvista", "winvista", "winvista-64"},
    {"win2k8", "longhorn", "longhorn-64"},
    {"win7", "windows7", "windows7-64"},
    {"win2k8r2", NULL, "windows7srv-64"},
    {"win8", "windows8", "windows8-64"},
    {"win8.1", "windows8", "windows8-64"},
    {"win2k12", NULL, "windows8srv-64"},
    {"win2k12r2", NULL, "windows8srv-64"},
    {"win10", "windows9", "windows9-64"},
    {"win11", NULL, "windows11-64"},
    {"win2k16", NULL, "windows9srv-64"},
    {"win2k19", NULL, "windows2019srv-64"},
    {"win2k22", NULL, "windows2019srvNext-64"},
    {"win2k25", NULL, "windows2022srvNext-64"},
    {"msdos6.22", "dos", NULL},
    {"openindiana", NULL, "solaris11-64"},
};
/* A distribution whose id in the .vmx has the version's first number in it, or none. */
static const struct {
    const char *distro, *prefix, *plain;
} distros[] = {
    {"debian", "debian", "debian13-64"},
    {"ubuntu", NULL, "ubuntu-64"},
    {"fedora", NULL, "fedora-64"},
    {"rhel", "rhel", "rhel10-64"},
    {"centos", "centos", "centos9-64"},
    {"centos-stream", "centos", "centos9-64"},
    {"ol", "oraclelinux", "oraclelinux9-64"},
    {"almalinux", NULL, "almalinux-64"},
    {"rocky", NULL, "rockylinux-64"},
    {"opensuse", NULL, "opensuse-64"},
    {"sles", "sles", "sles15-64"},
    {"sled", "sles", "sles15-64"},
    {"sle", "sles", "sles15-64"},
    {"freebsd", "freeBSD", "freeBSD-64"},
    {"mandriva", NULL, "mandriva-64"},
    {"mandrake", NULL, "mandrake"},
    {"solaris", "solaris", "solaris11-64"},
    {"netware", "netware", "netware6"},
    {"asianux", "asianux", "asianux9-64"},
    {"guix", NULL, "other6xlinux-64"},
    {"macosx", NULL, "darwin11-64"},
};
static const char *const linuxes[] = {
    "alpinelinux", "archlinux", "gentoo",       "mageia",    "slackware", "voidlinux",  "nixos",      "manjaro",
    "endless",     "popos",     "elementary",   "zorin",     "mint",      "linuxmint",  "silverblue", "altlinux",
    "deepin",      "trisquel",  "pureos",       "tails",     "eurolinux", "clearlinux", "devuan",     "kali",
    "caasp",       "circle",    "miraclelinux", "openeuler", "bodhi",     NULL};

static const char *known(const char *id, gboolean is_64)
{
    g_autofree char *with = is_64 ? g_strconcat(id, "-64", NULL) : g_strdup(id),
                    *without = is_64 ? g_strdup(id) : g_strconcat(id, "-64", NULL);
    const AppGuestOs *g = app_guest_os_find(with);
    if (!g)
        g = app_guest_os_find(without);
    return g ? g->id : NULL;
}

const char *app_detect_guest_id(const char *short_id, const char *distro, const char *version, gboolean is_64)
{
    for (guint i = 0; i < G_N_ELEMENTS(exact); i++)
        if (!g_strcmp0(exact[i].short_id, short_id))
            return (is_64 && exact[i].guest_64) || !exact[i].guest ? exact[i].guest_64 : exact[i].guest;
    for (guint i = 0; i < G_N_ELEMENTS(distros); i++) {
        if (g_strcmp0(distros[i].distro, distro))
            continue;
        g_autofree char *base = NULL;
        guint major = version ? (guint)strtoul(version, NULL, 10) : 0;
        const char *id = NULL;
        if (distros[i].prefix && major) {
            base = g_strdup_printf("%s%u", distros[i].prefix, major);
            id = known(base, is_64);
        }
        /* A newer or older one than the table has: the kind without a number. */
        base =
            id ? base
               : (g_free(base), g_strndup(distros[i].plain, strlen(distros[i].plain) -
                                                                (g_str_has_suffix(distros[i].plain, "-64") ? 3 : 0)));
        return id ? id : known(base, is_64);
    }
    for (guint i = 0; linuxes[i]; i++)
        if (distro && g_str_has_prefix(distro, linuxes[i]))
            return is_64 ? "other6xlinux-64" : "other6xlinux";
    return NULL;
}

const char *app_detect_volume(const char *volume, char **name)
{
    static const struct {
        const char *prefix, *distro, *title;
    } volumes[] = {
        {"debian", "debian", "Debian"},
        {"ubuntu", "ubuntu", "Ubuntu"},
        {"fedora", "fedora", "Fedora"},
        {"rhel", "rhel", "Red Hat Enterprise Linux"},
        {"centos", "centos", "CentOS"},
        {"almalinux", "almalinux", "AlmaLinux"},
        {"rocky", "rocky", "Rocky Linux"},
        {"opensuse", "opensuse", "openSUSE"},
        {"sle-", "sles", "SUSE Linux Enterprise"},
        {"ol-", "ol", "Oracle Linux"},
        {"alpine", "alpinelinux", "Alpine Linux"},
        {"arch_", "archlinux", "Arch Linux"},
    };
    g_autofree char *v = g_ascii_strdown(volume ? volume : "", -1);
    for (guint i = 0; i < G_N_ELEMENTS(volumes); i++) {
        if (!g_str_has_prefix(v, volumes[i].prefix))
            continue;
        const char *digits = v + strcspn(v, "0123456789");
        gboolean is_64 = !strstr(v, "i386") && !strstr(v, "i686");
        g_autofree char *version = g_strndup(digits, strspn(digits, "0123456789"));
        const char *id = app_detect_guest_id("", volumes[i].distro, *version ? version : NULL, is_64);
        if (id && name)
            *name = *version ? g_strdup_printf("%s %s", volumes[i].title, version) : g_strdup(volumes[i].title);
        return id;
    }
    return NULL;
}

void app_detected_free(AppDetected *d)
{
    if (!d)
        return;
    g_free(d->name);
    g_free(d->guest_id);
    g_free(d);
}

static void resources(AppDetected *d, OsinfoOs *os, OsinfoMedia *m)
{
    gint64 ram = 0, disk = 0, cpus = 0;
    for (int minimum = 0; minimum < 2; minimum++) {
        OsinfoResourcesList *l =
            minimum ? osinfo_os_get_minimum_resources(os) : osinfo_os_get_recommended_resources(os);
        for (int i = 0; l && i < osinfo_list_get_length(OSINFO_LIST(l)); i++) {
            OsinfoResources *r = OSINFO_RESOURCES(osinfo_list_get_nth(OSINFO_LIST(l), i));
            const char *arch = osinfo_resources_get_architecture(r),
                       *mine = m ? osinfo_media_get_architecture(m) : NULL;
            if (mine && g_strcmp0(arch, "all") && g_strcmp0(arch, mine))
                continue;
            if (ram <= 0)
                ram = osinfo_resources_get_ram(r);
            if (disk <= 0)
                disk = osinfo_resources_get_storage(r);
            if (cpus <= 0)
                cpus = osinfo_resources_get_n_cpus(r);
        }
        if (l)
            g_object_unref(l);
    }
    d->memory_mb = ram > 0 ? (guint)((ram >> 20) + 3) & ~3u : 0;
    d->disk_gb = disk > 0 ? (guint)((disk + (1 << 30) - 1) >> 30) : 0;
    d->processors = cpus > 0 ? (guint)cpus : 0;
}

static void detect_thread(GTask *task, gpointer src, gpointer path, GCancellable *c)
{
    g_autoptr(GError) e = NULL;
    g_autoptr(OsinfoMedia) media = osinfo_media_create_from_location(path, c, &e);
    AppDetected *d = g_new0(AppDetected, 1);
    d->bootable = TRUE;
    if (!media) {
        if (g_error_matches(e, OSINFO_MEDIA_ERROR, OSINFO_MEDIA_ERROR_NOT_BOOTABLE)) {
            d->bootable = FALSE;
            g_task_return_pointer(task, d, (GDestroyNotify)app_detected_free);
        } else {
            app_detected_free(d);
            g_task_return_error(task, g_steal_pointer(&e));
        }
        return;
    }
    const char *volume = osinfo_entity_get_param_value(OSINFO_ENTITY(media), OSINFO_MEDIA_PROP_VOLUME_ID);
    d->name = volume ? g_utf8_make_valid(volume, -1) : NULL;
    g_autoptr(OsinfoLoader) loader = osinfo_loader_new();
    osinfo_loader_process_default_path(loader, NULL);
    OsinfoDb *db = osinfo_loader_get_db(loader);
    if (!g_cancellable_is_cancelled(c) && osinfo_db_identify_media(db, media)) {
        g_autoptr(OsinfoOs) os = osinfo_media_get_os(media);
        const char *arch = osinfo_media_get_architecture(media);
        if (os) {
            g_free(d->name);
            d->name = g_strdup(osinfo_product_get_name(OSINFO_PRODUCT(os)));
            d->guest_id = g_strdup(
                app_detect_guest_id(osinfo_product_get_short_id(OSINFO_PRODUCT(os)), osinfo_os_get_distro(os),
                                    osinfo_product_get_version(OSINFO_PRODUCT(os)), !g_strcmp0(arch, "x86_64")));
            resources(d, os, media);
        }
    }
    char *better = NULL;
    const char *guess = d->guest_id ? NULL : app_detect_volume(volume, &better);
    if (guess) {
        d->guest_id = g_strdup(guess);
        g_free(d->name);
        d->name = better;
    }
    g_task_return_pointer(task, d, (GDestroyNotify)app_detected_free);
}

void app_detect_iso_async(const char *path, GCancellable *c, GAsyncReadyCallback done, gpointer u)
{
    GTask *t = g_task_new(NULL, c, done, u);
    g_task_set_task_data(t, g_strdup(path), g_free);
    g_task_run_in_thread(t, detect_thread);
    g_object_unref(t);
}

AppDetected *app_detect_iso_finish(GAsyncResult *r, GError **e) { return g_task_propagate_pointer(G_TASK(r), e); }
