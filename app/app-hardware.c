/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the lines of a .vmx to a list of devices. Which of them this version has, the key table says. */
#include "app-hardware.h"

#include <glib/gi18n.h>
#include <string.h>
#include <strings.h>

const char *app_hardware_why_not(void)
{
    return _(
        "This version of Lodge has no such device yet: the guest will not see it. The setting is kept in the file.");
}

const char *app_hardware_icon(AppHwKind k)
{
    static const char *const icons[] = {
        "lodge-memory-symbolic", "lodge-processor-symbolic", "drive-harddisk-symbolic", "media-optical-symbolic",
        "media-floppy-symbolic", "network-wired-symbolic",   "lodge-usb-symbolic",      "audio-card-symbolic",
        "lodge-serial-symbolic", "printer-symbolic",         "video-display-symbolic",  "drive-multidisk-symbolic"};
    return icons[k < HW_KINDS ? k : HW_CONTROLLER];
}

char *app_format_mb(guint64 mb)
{
    if (mb < 1024)
        return g_strdup_printf(_("%u MB"), (guint)mb);
    if (mb % 1024 == 0)
        return g_strdup_printf(_("%u GB"), (guint)(mb / 1024));
    return g_strdup_printf(_("%.1f GB"), (double)mb / 1024);
}

char *app_format_bytes(guint64 bytes)
{
    return bytes < 1 << 20 ? g_strdup_printf(_("%u KB"), (guint)((bytes + 1023) >> 10)) : app_format_mb(bytes >> 20);
}

const char *app_key(const struct vmx_dict *d, const char *node, const char *rest)
{
    g_autofree char *key = g_strconcat(node, ".", rest, NULL);
    const char *v = d ? vmx_dict_get(d, key) : NULL;
    return v ? v : "";
}

gboolean app_key_bool(const struct vmx_dict *d, const char *node, const char *rest)
{
    bool b = false;
    g_autofree char *key = g_strconcat(node, ".", rest, NULL);
    const char *v = d ? vmx_dict_get(d, key) : NULL;
    const struct vmx_key *k = vmx_key_find(key);
    if (!v || !vmx_parse_bool(v, &b))
        b = k && k->type == VMX_BOOL && !strcasecmp(k->def, "TRUE");
    return b;
}

gboolean app_key_acts(const char *key)
{
    const struct vmx_key *k = vmx_key_find(key);
    return k && k->acts;
}

gboolean app_hardware_is_cd(const struct vmx_dict *d, const char *node)
{
    const char *t = app_key(d, node, "deviceType");
    return !strncasecmp(t, "cdrom", 5) || !strcasecmp(t, "atapi-cdrom") || !strcasecmp(t, "scsi-passthru");
}

char *app_hardware_label(AppHwKind k, const char *node)
{
    static const struct {
        const char *prefix, *bus;
    } buses[] = {{"ide", "IDE"}, {"scsi", "SCSI"}, {"sata", "SATA"}, {"nvme", "NVMe"}};
    switch (k) {
    case HW_MEMORY: return g_strdup(_("Memory"));
    case HW_PROCESSORS: return g_strdup(_("Processors"));
    case HW_DISPLAY: return g_strdup(_("Display"));
    case HW_SOUND: return g_strdup(_("Sound card"));
    case HW_USB: return g_strdup(_("USB controller"));
    case HW_NETWORK: {
        guint n = (guint)g_ascii_strtoull(node + strcspn(node, "0123456789"), NULL, 10);
        return n ? g_strdup_printf(_("Network adapter %u"), n + 1) : g_strdup(_("Network adapter"));
    }
    case HW_SERIAL:
        return g_strdup_printf(_("Serial port %u"), (guint)g_ascii_strtoull(node + strlen("serial"), NULL, 10) + 1);
    case HW_PARALLEL:
        return g_strdup_printf(_("Parallel port %u"), (guint)g_ascii_strtoull(node + strlen("parallel"), NULL, 10) + 1);
    case HW_FLOPPY:
        return g_strdup_printf(_("Floppy %u"), (guint)g_ascii_strtoull(node + strlen("floppy"), NULL, 10) + 1);
    default: break;
    }
    const char *what = k == HW_CD ? _("CD/DVD") : k == HW_DISK ? _("Hard disk") : _("Controller");
    for (guint i = 0; i < G_N_ELEMENTS(buses); i++)
        if (!strncasecmp(node, buses[i].prefix, strlen(buses[i].prefix)))
            return g_strdup_printf("%s (%s %s)", what, buses[i].bus, node + strlen(buses[i].prefix));
    return g_strdup_printf("%s (%s)", what, node);
}

static void add(GPtrArray *a, AppHwKind k, const char *node, char *value, gboolean acts)
{
    AppHwItem *i = g_new0(AppHwItem, 1);
    *i = (AppHwItem){
        .kind = k, .node = g_strdup(node), .label = app_hardware_label(k, node), .value = value, .acts = acts};
    g_ptr_array_add(a, i);
}

static void item_free(gpointer p)
{
    AppHwItem *i = p;
    g_free(i->node);
    g_free(i->label);
    g_free(i->value);
    g_free(i);
}

static const char *base_name(const char *path)
{
    const char *s = strrchr(path, '/'), *b = strrchr(s ? s : path, '\\');
    return b ? b + 1 : s ? s + 1 : path;
}

static char *network_value(const struct vmx_dict *d, const char *node)
{
    const char *t = app_key(d, node, "connectionType");
    if (!*t || !strcasecmp(t, "bridged"))
        return g_strdup(_("Bridged"));
    if (!strcasecmp(t, "nat"))
        return g_strdup("NAT");
    if (!strcasecmp(t, "hostonly"))
        return g_strdup(_("Host-only"));
    if (!strcasecmp(t, "custom"))
        return g_strdup_printf(_("Custom (%s)"), app_key(d, node, "vnet"));
    return g_strdup(t);
}

static char *serial_value(const struct vmx_dict *d, const char *node)
{
    const char *t = app_key(d, node, "fileType"), *f = app_key(d, node, "fileName");
    if (!strcasecmp(t, "file"))
        return g_strdup_printf(_("File %s"), base_name(f));
    if (!strcasecmp(t, "pipe"))
        return g_strdup_printf(_("Socket %s"), base_name(f));
    if (!strcasecmp(t, "pty"))
        return g_strdup(_("Pseudo terminal"));
    return g_strdup(*t ? t : _("Host device"));
}

/* Present nodes of one kind, in the order of their numbers. */
static void scan_nodes(GPtrArray *out, const struct vmx_dict *d, const char *prefix, gboolean drives, AppHwKind kind)
{
    guint controllers = !strcmp(prefix, "ide") ? 2 : 4, units = drives ? (!strcmp(prefix, "ide") ? 2 : 64) : 1;
    if (kind == HW_NETWORK)
        controllers = 10;
    for (guint c = 0; c < controllers; c++)
        for (guint n = 0; n < units; n++) {
            g_autofree char *node =
                drives ? g_strdup_printf("%s%u:%u", prefix, c, n) : g_strdup_printf("%s%u", prefix, c);
            g_autofree char *present = g_strconcat(node, ".present", NULL);
            if (!app_key_bool(d, node, "present"))
                continue;
            gboolean acts = app_key_acts(present);
            const char *file = app_key(d, node, "fileName");
            if (drives && app_hardware_is_cd(d, node)) {
                gboolean image = !strcasecmp(app_key(d, node, "deviceType"), "cdrom-image");
                add(out, HW_CD, node,
                    g_strdup(!image  ? _("Host drive: empty")
                             : *file ? base_name(file)
                                     : _("Empty")),
                    acts);
            } else if (drives) {
                add(out, HW_DISK, node, g_strdup(*file ? base_name(file) : _("No image")), acts);
            } else if (kind == HW_NETWORK) {
                add(out, kind, node, network_value(d, node), acts);
            } else if (kind == HW_SERIAL) {
                add(out, kind, node, serial_value(d, node), acts);
            } else {
                add(out, kind, node, g_strdup(base_name(file)), acts);
            }
        }
}

GPtrArray *app_hardware_list(const struct vmx_dict *d)
{
    GPtrArray *a = g_ptr_array_new_with_free_func(item_free);
    if (!d)
        return a;
    guint cpus = (guint)vmx_get_int(d, "numvcpus");
    add(a, HW_MEMORY, "memory", app_format_mb((guint64)MAX(vmx_get_int(d, "memsize"), 0)), TRUE);
    add(a, HW_PROCESSORS, "processors", g_strdup_printf("%u", cpus), TRUE);
    static const char *const buses[] = {"ide", "sata", "scsi", "nvme"};
    for (guint i = 0; i < G_N_ELEMENTS(buses); i++)
        scan_nodes(a, d, buses[i], TRUE, HW_DISK);
    for (guint n = 0; n < 2; n++) {
        g_autofree char *node = g_strdup_printf("floppy%u", n);
        /* Other products add floppy0 when no line forbids it; a line that says TRUE is needed here. */
        if (app_key_bool(d, node, "present"))
            add(a, HW_FLOPPY, node, g_strdup(base_name(app_key(d, node, "fileName"))), app_key_acts("floppy0.present"));
    }
    scan_nodes(a, d, "ethernet", FALSE, HW_NETWORK);
    if (app_key_bool(d, "usb", "present") || app_key_bool(d, "ehci", "present") ||
        app_key_bool(d, "usb_xhci", "present"))
        add(a, HW_USB, "usb",
            g_strdup(app_key_bool(d, "usb_xhci", "present") ? "USB 3"
                     : app_key_bool(d, "ehci", "present")   ? "USB 2.0"
                                                            : "USB 1.1"),
            app_key_acts("usb.present"));
    if (app_key_bool(d, "sound", "present"))
        add(a, HW_SOUND, "sound", g_strdup(app_key(d, "sound", "virtualDev")), app_key_acts("sound.present"));
    scan_nodes(a, d, "serial", FALSE, HW_SERIAL);
    scan_nodes(a, d, "parallel", FALSE, HW_PARALLEL);
    add(a, HW_DISPLAY, "display",
        vmx_get_bool(d, "RemoteDisplay.vnc.enabled")
            ? g_strdup_printf(_("VNC on port %u"), (guint)vmx_get_int(d, "RemoteDisplay.vnc.port"))
            : app_format_mb((guint64)vmx_get_int(d, "svga.vramSize") >> 20),
        TRUE);
    return a;
}
