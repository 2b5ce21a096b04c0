/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Controls by type: BOOL a check box, INT a number with its range, ENUM a list, FILE an entry with a button, MAC with a
 * generator. The rows that people look for come first, with names of their own; the rest of the section follows, each
 * below the table's explanation. A key that nothing acts on is shown, but cannot be changed here, and says why; of the
 * rest, these are together in a part that can be opened.
 */
#include "app-settings-pages.h"

#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "app-application.h"
#include "app-error.h"
#include "app-guest-os.h"
#include "app-home.h"

enum kind { BY_TYPE, MEMORY, TRIM, ENGINE, GUEST, VIDEO, PASSWORD, WEIGHT, SWITCH };

/* key ".x": of the page's node. */
struct row {
    const char *page, *key, *label;
    enum kind kind;
};
static const struct row rows[] = {
    {"memory", "memsize", N_("_Memory of the guest"), MEMORY},
    {"memory", "MemTrimRate", N_("_Give unused memory back to the host (memory trimming)"), TRIM},
    {"memory", "sched.mem.pshare.enable", N_("_Share identical memory pages (page sharing)"), BY_TYPE},
    {"memory", "sched.mem.min", N_("Reserved in the _host (MB)"), BY_TYPE},
    {"memory", "sched.mem.shares", N_("Weight _when memory is short"), WEIGHT},
    {"memory", "sched.mem.pin", N_("_Lock all of it in this computer's memory"), BY_TYPE},
    {"memory", "sched.mem.lpage.enable", N_("Use h_uge pages"), BY_TYPE},
    {"memory", "mainMem.useNamedFile", N_("Keep the memory in a _file beside the machine"), BY_TYPE},
    {"memory", "mainMem.backing", N_("_Or keep the memory in"), BY_TYPE},
    {"processors", "numvcpus", N_("_Processors"), BY_TYPE},
    {"processors", "cpuid.coresPerSocket", N_("Cores in each _socket"), BY_TYPE},
    {"processors", "monitor.virtual_exec", N_("_Engine"), ENGINE},
    {"processors", "monitor_control.disable_longmode", N_("_Hide 64-bit mode from the guest"), BY_TYPE},
    {"disk", ".fileName", N_("D_isk image"), BY_TYPE},
    {"disk", ".mode", N_("_Writes of the guest"), BY_TYPE},
    {"cd", ".fileName", N_("CD _image"), BY_TYPE},
    {"cd", ".startConnected", N_("Connected at _power on"), BY_TYPE},
    {"floppy", ".fileName", N_("Floppy _image"), BY_TYPE},
    {"network", ".connectionType", N_("C_onnection"), BY_TYPE},
    {"network", ".vnet", N_("_Virtual network"), BY_TYPE},
    {"network", ".virtualDev", N_("_Model"), BY_TYPE},
    {"network", ".addressType", N_("MAC address _from"), BY_TYPE},
    {"network", ".address", N_("MAC addr_ess"), BY_TYPE},
    {"network", ".startConnected", N_("Connected at _power on"), BY_TYPE},
    {"usb", "usb.present", N_("USB _1.1"), BY_TYPE},
    {"usb", "ehci.present", N_("USB _2.0"), BY_TYPE},
    {"usb", "usb_xhci.present", N_("USB _3"), BY_TYPE},
    {"sound", "sound.present", N_("_Sound card"), BY_TYPE},
    {"sound", "sound.virtualDev", N_("_Model"), BY_TYPE},
    {"serial", ".fileType", N_("C_onnected to"), BY_TYPE},
    {"serial", ".fileName", N_("_File or socket"), BY_TYPE},
    {"serial", ".pipe.endPoint", N_("This _end is the"), BY_TYPE},
    {"serial", ".startConnected", N_("Connected at _power on"), BY_TYPE},
    {"parallel", ".present", N_("_Parallel port"), BY_TYPE},
    {"display", "svga.vramSize", N_("_Video memory"), VIDEO},
    {"display", "svga.maxWidth", N_("Largest _width"), BY_TYPE},
    {"display", "svga.maxHeight", N_("Largest _height"), BY_TYPE},
    {"display", "svga.numDisplays", N_("_Monitors"), BY_TYPE},
    {"display", "mks.enable3d", N_("_3D acceleration"), BY_TYPE},
    {"display", "RemoteDisplay.vnc.enabled", N_("Offer the screen over V_NC"), BY_TYPE},
    {"display", "RemoteDisplay.vnc.ip", N_("VNC addr_ess"), BY_TYPE},
    {"display", "RemoteDisplay.vnc.port", N_("VNC _port"), BY_TYPE},
    {"display", "RemoteDisplay.vnc.password", N_("VNC passw_ord"), PASSWORD},
    {"general", "displayName", N_("_Name"), BY_TYPE},
    {"general", "guestOS", N_("_Guest system"), GUEST},
    {"general", "virtualHW.version", N_("_Hardware version"), BY_TYPE},
    {"general", "workingDir", N_("_Folder for snapshots"), BY_TYPE},
    {"power", "powerType.powerOff", N_("Power _off button"), BY_TYPE},
    {"power", "powerType.reset", N_("R_eset button"), BY_TYPE},
    {"power", "powerType.suspend", N_("_Suspend button"), BY_TYPE},
    {"power", "powerType.powerOn", N_("_Power on button"), BY_TYPE},
    {"power", "autostart", N_("Start with the _host"), BY_TYPE},
    {"power", "autostop", N_("When the host shuts do_wn"), BY_TYPE},
    {"log", "debug", N_("Log _more, for developers"), SWITCH},
    {"sharing", "sharedFolder.option", N_("_Shared folders"), BY_TYPE},
    {"sharing", "tools.syncTime", N_("The guest's clock _follows the host"), BY_TYPE},
};

static const AppOptionPage option_pages[] = {
    {"general", N_("General"), "document-properties-symbolic"},
    {"power", N_("Power"), "system-shutdown-symbolic"},
    {"firmware", N_("Firmware and start"), "application-x-firmware-symbolic"},
    {"sharing", N_("Shared folders and guest tools"), "folder-publicshare-symbolic"},
    {"identity", N_("Identity"), "contact-new-symbolic"},
    {"log", N_("Log"), "text-x-generic-symbolic"},
    {"window", N_("Window and questions"), "preferences-system-symbolic"},
    {"raw", N_("The .vmx file"), "accessories-text-editor-symbolic"},
};

/* The sections of the key table, and the page that shows the rest of each. */
static const struct {
    const char *section, *page;
} sections[] = {
    {"General", "general"},
    {"Identity", "identity"},
    {"Firmware", "firmware"},
    {"Memory", "memory"},
    {"Processors and monitor", "processors"},
    {"Display and remote display", "display"},
    {"Log", "log"},
    {"Guest tools, sharing and isolation", "sharing"},
    {"Window and questions", "window"},
};
/* Lines that other parts of the window, or the machine itself, look after. */
static const char *const own[] = {".encoding",
                                  "config.version",
                                  "annotation",
                                  "cleanShutdown",
                                  "softPowerOff",
                                  "checkpoint.vmState",
                                  "checkpoint.vmState.readOnly",
                                  NULL};

static const struct {
    const char *word, *label;
} words[] = {
    {"automatic", N_("Automatic")},
    {"hardware", N_("Hardware virtualization (VT)")},
    {"software", N_("Binary translation")},
    {"bridged", N_("Bridged: on the host's network")},
    {"nat", N_("NAT: behind the host's address")},
    {"hostonly", N_("Host-only: with the host alone")},
    {"custom", N_("Custom: a virtual network")},
    {"pvn", N_("LAN segment")},
    {"none", N_("Nothing")},
    {"generated", N_("Generated")},
    {"static", N_("Set by hand")},
    {"vpx", N_("A management server")},
    {"file", N_("File")},
    {"pipe", N_("Socket")},
    {"pty", N_("Pseudo terminal")},
    {"device", N_("Device of the host")},
    {"network", N_("Network")},
    {"server", N_("Server: waits for the other end")},
    {"client", N_("Client: connects to the other end")},
    {"persistent", N_("Kept")},
    {"independent-persistent", N_("Kept, also by snapshots")},
    {"independent-nonpersistent", N_("Thrown away at power off")},
    {"nonpersistent", N_("Thrown away at power off (older name)")},
    {"soft", N_("Asks the guest")},
    {"hard", N_("At once")},
    {"default", N_("Default")},
    {"disabled", N_("Off")},
    {"alwaysEnabled", N_("On")},
    {"onetimeEnabled", N_("On until the next power off")},
    {"keep", N_("Keep")},
    {"prompt", N_("Ask")},
    {"autoRevert", N_("Go back to it")},
    {"autoCommit", N_("Make it permanent")},
    {"undoable", N_("Asked at power off (older products)")},
    {"append", N_("Kept apart (older products)")},
    {"thinprint", N_("Printer of the host")},
    {"low", N_("Low")},
    {"normal", N_("Normal")},
    {"high", N_("High")},
    {"idle", N_("Only when nothing else runs")},
    {"create", N_("Make a new one")},
    {"change", N_("Make a new one (older word)")},
    {"swap", N_("Memory and swap space")},
    {"named", N_("A file beside the machine")},
    {"unnamed", N_("Memory alone")},
    {"virtual", N_("With virtual machines")},
    {"physical", N_("With any computer")},
    {"hosted", N_("Desktop")},
    {"esx", N_("Server (ESX)")},
    {"manual", N_("By hand")},
    {"upgradeAtPowerCycle", N_("At power on")},
    {"useGlobal", N_("As for all machines")},
    {"bios", N_("BIOS")},
    {"efi", N_("EFI")},
    /* Devices have the names that they are sold by; the word of the file says which line it is. */
    {"vlance", "AMD PCnet (vlance)"},
    {"flexible", N_("AMD PCnet, or VMXNET with guest tools (flexible)")},
    {"vmxnet", "VMware VMXNET (vmxnet)"},
    {"vmxnet2", "VMware VMXNET 2 (vmxnet2)"},
    {"vmxnet3", "VMware VMXNET 3 (vmxnet3)"},
    {"e1000", "Intel PRO/1000 MT (e1000)"},
    {"e1000e", "Intel 82574L (e1000e)"},
    {"buslogic", "BusLogic BT-958 (buslogic)"},
    {"lsilogic", "LSI Logic Parallel (lsilogic)"},
    {"lsisas1068", "LSI Logic SAS (lsisas1068)"},
    {"pvscsi", "VMware PVSCSI (pvscsi)"},
    {"es1371", "Ensoniq AudioPCI (es1371)"},
    {"hdaudio", "Intel HD Audio (hdaudio)"},
    {"sb16", "Sound Blaster 16 (sb16)"},
    {"", N_("Not set")},
};

const AppOptionPage *app_option_pages(guint *n)
{
    *n = G_N_ELEMENTS(option_pages);
    return option_pages;
}

/* ---- the changes ---- */

AppEdit *app_edit_new(AppVm *vm)
{
    AppEdit *e = g_new0(AppEdit, 1);
    size_t len;
    char *bytes = vmx_dict_format(app_vm_get_dict(vm), &len);
    struct err err = {0};
    e->vm = g_object_ref(vm);
    e->dict = vmx_dict_parse(bytes, len, &err);
    e->changes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    free(bytes);
    return e;
}

void app_edit_free(AppEdit *e)
{
    vmx_dict_free(e->dict);
    g_hash_table_unref(e->changes);
    g_object_unref(e->vm);
    g_free(e);
}

const char *app_edit_get(AppEdit *e, const char *key)
{
    gpointer v;
    return g_hash_table_lookup_extended(e->changes, key, NULL, &v) ? v : vmx_dict_get(e->dict, key);
}

/* Back at what the file says: no change. A default needs no new line. */
void app_edit_set(AppEdit *e, const char *key, const char *value)
{
    const char *file = vmx_dict_get(e->dict, key);
    const struct vmx_key *k = vmx_key_find(key);
    if (file && value && !strcmp(file, value))
        g_hash_table_remove(e->changes, key);
    else if (!file && (!value || (k && !strcasecmp(k->def, value))))
        g_hash_table_remove(e->changes, key);
    else
        g_hash_table_insert(e->changes, g_strdup(key), g_strdup(value));
    if (e->changed)
        e->changed(e->u);
}

GPtrArray *app_edit_pairs(AppEdit *e)
{
    GPtrArray *a = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GList) keys = g_list_sort(g_hash_table_get_keys(e->changes), (GCompareFunc)strcmp);
    for (GList *l = keys; l; l = l->next) {
        g_ptr_array_add(a, g_strdup(l->data));
        g_ptr_array_add(a, g_strdup(g_hash_table_lookup(e->changes, l->data)));
    }
    return a;
}

struct vmx_dict *app_edit_result(AppEdit *e)
{
    size_t len;
    char *bytes = vmx_dict_format(e->dict, &len);
    struct err err = {0};
    struct vmx_dict *d = vmx_dict_parse(bytes, len, &err);
    g_autoptr(GPtrArray) pairs = app_edit_pairs(e);
    free(bytes);
    for (guint i = 0; d && i < pairs->len; i += 2) {
        if (pairs->pdata[i + 1])
            vmx_dict_set(d, pairs->pdata[i], pairs->pdata[i + 1], &err);
        else
            vmx_dict_unset(d, pairs->pdata[i]);
    }
    return d;
}

/* ---- values ---- */

static const char *value_of(AppEdit *e, const char *key)
{
    const char *v = app_edit_get(e, key);
    const struct vmx_key *k = vmx_key_find(key);
    return v && (*v || !k || k->type == VMX_STR) ? v : k ? k->def : "";
}

const char *app_word_label(const char *word)
{
    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        if (!strcasecmp(words[i].word, word))
            return _(words[i].label);
    return word;
}

gboolean app_mac_valid(const char *s)
{
    guint n = 0;
    for (; *s; s++, n++)
        if (n % 3 == 2 ? *s != ':' : !g_ascii_isxdigit(*s))
            return FALSE;
    return n == 17;
}

char *app_mac_generate(void)
{
    guint32 r = g_random_int();
    return g_strdup_printf("00:50:56:%02x:%02x:%02x", (r >> 16) & 0x3f, (r >> 8) & 0xff, r & 0xff);
}

/* ---- controls ---- */

struct control {
    AppEdit *e;
    char *key;
    GtkWidget *widget, *note;
};

static void control_free(gpointer p, GClosure *c)
{
    struct control *x = p;
    g_free(x->key);
    g_free(x);
}

static void toggled(GtkToggleButton *b, gpointer u)
{
    struct control *c = u;
    app_edit_set(c->e, c->key, gtk_toggle_button_get_active(b) ? "TRUE" : "FALSE");
}

static void trim_toggled(GtkToggleButton *b, gpointer u)
{
    struct control *c = u;
    app_edit_set(c->e, c->key, gtk_toggle_button_get_active(b) ? "-1" : "0");
}

static void spun(GtkSpinButton *s, gpointer u)
{
    struct control *c = u;
    g_autofree char *v = g_strdup_printf("%.0f", gtk_spin_button_get_value(s));
    app_edit_set(c->e, c->key, v);
}

static void spun_video(GtkSpinButton *s, gpointer u)
{
    struct control *c = u;
    g_autofree char *v = g_strdup_printf("%.0f", gtk_spin_button_get_value(s) * 1048576);
    app_edit_set(c->e, c->key, v);
}

static void chosen(GtkComboBox *b, gpointer u)
{
    struct control *c = u;
    const char *id = gtk_combo_box_get_active_id(b);
    if (id)
        app_edit_set(c->e, c->key, id);
}

static void typed(GtkEntry *w, gpointer u)
{
    struct control *c = u;
    const char *text = gtk_entry_get_text(w);
    const struct vmx_key *k = vmx_key_find(c->key);
    gboolean bad = k && k->type == VMX_MAC && *text && !app_mac_valid(text);
    gtk_entry_set_icon_from_icon_name(w, GTK_ENTRY_ICON_SECONDARY, bad ? "dialog-warning-symbolic" : NULL);
    gtk_entry_set_icon_tooltip_text(w, GTK_ENTRY_ICON_SECONDARY,
                                    bad ? _("A MAC address has six pairs of digits: 00:50:56:12:34:56") : NULL);
    app_edit_set(c->e, c->key, *text || vmx_dict_get(c->e->dict, c->key) ? text : NULL);
    /* A CD drive of the host that gets an image is one with an image from then on. */
    const char *dot = strrchr(c->key, '.');
    if (dot && !strcmp(dot, ".fileName") && *text) {
        g_autofree char *node = g_strndup(c->key, (gsize)(dot - c->key)),
                        *type = g_strconcat(node, ".deviceType", NULL);
        const char *now = app_edit_get(c->e, type);
        if (now && (!strcasecmp(now, "cdrom-raw") || !strcasecmp(now, "atapi-cdrom")))
            app_edit_set(c->e, type, "cdrom-image");
    }
}

static void file_chosen(GtkNativeDialog *d, int response, gpointer u)
{
    GtkEntry *entry = u;
    if (response == GTK_RESPONSE_ACCEPT) {
        g_autofree char *path = gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(d));
        const char *dir = g_object_get_data(G_OBJECT(entry), "dir");
        /* What lies beside the .vmx is named without its folder, so that the machine can be moved. */
        if (path && dir && g_str_has_prefix(path, dir) && path[strlen(dir)] == '/' &&
            !strchr(path + strlen(dir) + 1, '/'))
            gtk_entry_set_text(entry, path + strlen(dir) + 1);
        else if (path)
            gtk_entry_set_text(entry, path);
    }
    g_object_unref(d);
}

static void browse(GtkButton *b, gpointer u)
{
    GtkWidget *entry = u;
    const char *key = g_object_get_data(G_OBJECT(entry), "key"), *dir = g_object_get_data(G_OBJECT(entry), "dir");
    gboolean save = g_str_has_prefix(key, "serial") || g_str_has_prefix(key, "log.");
    GtkFileChooserNative *d = gtk_file_chooser_native_new(
        _("Choose a file"), GTK_WINDOW(gtk_widget_get_toplevel(entry)),
        save ? GTK_FILE_CHOOSER_ACTION_SAVE : GTK_FILE_CHOOSER_ACTION_OPEN, _("_Choose"), NULL);
    gtk_file_chooser_set_current_folder(GTK_FILE_CHOOSER(d), dir);
    g_signal_connect_object(d, "response", G_CALLBACK(file_chosen), entry, 0);
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(d));
}

static void mac_generate(GtkButton *b, gpointer u)
{
    g_autofree char *mac = app_mac_generate();
    gtk_entry_set_text(u, mac);
}

static void connect_control(AppEdit *e, const char *key, GtkWidget *w, const char *signal, GCallback cb)
{
    struct control *c = g_new0(struct control, 1);
    *c = (struct control){.e = e, .key = g_strdup(key), .widget = w};
    g_signal_connect_data(w, signal, cb, c, control_free, 0);
}

/* The host's limit and what suits the guest are marked; the machine's own range goes further. */
static GtkWidget *memory_control(AppEdit *e, const char *key, GtkWidget **focus)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 4), *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8);
    guint64 host = (guint64)sysconf(_SC_PHYS_PAGES) * (guint64)sysconf(_SC_PAGESIZE) >> 20;
    double now = g_ascii_strtod(value_of(e, key), NULL), top = MAX((double)(host / 4 * 4), now);
    GtkAdjustment *adj = gtk_adjustment_new(now, 4, top, 4, 256, 0);
    GtkWidget *spin = gtk_spin_button_new(adj, 4, 0), *scale = gtk_scale_new(GTK_ORIENTATION_HORIZONTAL, adj);
    const AppGuestOs *g = app_guest_os_find(value_of(e, "guestOS"));
    gtk_scale_set_draw_value(GTK_SCALE(scale), FALSE);
    gtk_widget_set_hexpand(scale, TRUE);
    gtk_widget_set_size_request(scale, 320, -1);
    if (g)
        gtk_scale_add_mark(GTK_SCALE(scale), g->memory_mb, GTK_POS_BOTTOM, _("recommended"));
    if (host * 3 / 4 > (g ? g->memory_mb * 2 : 0))
        gtk_scale_add_mark(GTK_SCALE(scale), (double)(host / 4 * 3), GTK_POS_BOTTOM, _("host limit"));
    atk_object_set_name(gtk_widget_get_accessible(scale), _("Memory of the guest"));
    gtk_box_pack_start(GTK_BOX(line), spin, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(line), gtk_label_new("MB"), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), line, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), scale, FALSE, FALSE, 0);
    connect_control(e, key, spin, "value-changed", G_CALLBACK(spun));
    *focus = spin;
    return box;
}

static void engine_note(gpointer u, const AppEngines *en)
{
    GtkWidget *l = u;
    if (en) {
        g_autofree char *text =
            g_strdup_printf(_("On this computer: hardware virtualization: %s; binary translation: %s."),
                            en->vt        ? _("ready")
                            : en->vt_text ? en->vt_text
                                          : _("not available"),
                            en->bt ? _("ready") : _("not available"));
        gtk_label_set_text(GTK_LABEL(l), text);
    }
    g_object_unref(l);
}

/* A long word must not make the window wider than a small screen. */
static void ellipsize(GtkWidget *combo)
{
    g_autoptr(GList) cells = gtk_cell_layout_get_cells(GTK_CELL_LAYOUT(combo));
    for (GList *l = cells; l; l = l->next)
        g_object_set(l->data, "ellipsize", PANGO_ELLIPSIZE_END, "width-chars", 16, NULL);
}

static GtkWidget *enum_control(AppEdit *e, const struct vmx_key *k, const char *key)
{
    GtkWidget *w = gtk_combo_box_text_new();
    ellipsize(w);
    g_auto(GStrv) list = g_strsplit(k->range, "|", -1);
    const char *now = value_of(e, key);
    gboolean found = FALSE;
    for (char **s = list; *s; s++) {
        gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(w), *s, app_word_label(*s));
        if (!strcasecmp(*s, now)) {
            gtk_combo_box_set_active_id(GTK_COMBO_BOX(w), *s);
            found = TRUE;
        }
    }
    if (!found && *now) {
        gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(w), now, now);
        gtk_combo_box_set_active_id(GTK_COMBO_BOX(w), now);
    }
    connect_control(e, key, w, "changed", G_CALLBACK(chosen));
    return w;
}

/* "low", "normal", "high", or a number. */
static void weight_chosen(GtkComboBox *b, gpointer u)
{
    struct control *c = u;
    const char *id = gtk_combo_box_get_active_id(b);
    gboolean number = !g_strcmp0(id, "number");
    g_autofree char *v = number ? g_strdup_printf("%d", gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(c->note))) : g_strdup(id);
    gtk_widget_set_visible(c->note, number);
    app_edit_set(c->e, c->key, v);
}

static GtkWidget *weight_control(AppEdit *e, const char *key, GtkWidget **focus)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8), *w = gtk_combo_box_text_new(), *spin = gtk_spin_button_new_with_range(1, 1000000000, 10);
    const char *now = value_of(e, key);
    gint64 n = g_ascii_strtoll(now, NULL, 10);
    struct control *c = g_new0(struct control, 1);
    for (const char *const *s = (const char *const[]){"low", "normal", "high", NULL}; *s; s++) {
        gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(w), *s, app_word_label(*s));
        if (!strcasecmp(*s, now))
            gtk_combo_box_set_active_id(GTK_COMBO_BOX(w), *s);
    }
    gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(w), "number", _("A number"));
    gtk_spin_button_set_value(GTK_SPIN_BUTTON(spin), n > 0 ? (double)n : 10.0 * (double)g_ascii_strtoll(value_of(e, "memsize"), NULL, 10));
    if (!gtk_combo_box_get_active_id(GTK_COMBO_BOX(w)))
        gtk_combo_box_set_active_id(GTK_COMBO_BOX(w), n > 0 ? "number" : "normal");
    gtk_widget_set_no_show_all(spin, TRUE);
    gtk_widget_set_visible(spin, n > 0);
    atk_object_set_name(gtk_widget_get_accessible(spin), _("Weight"));
    *c = (struct control){.e = e, .key = g_strdup(key), .widget = w, .note = spin};
    g_signal_connect_data(w, "changed", G_CALLBACK(weight_chosen), c, control_free, 0);
    connect_control(e, key, spin, "value-changed", G_CALLBACK(spun));
    gtk_box_pack_start(GTK_BOX(box), w, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), spin, FALSE, FALSE, 0);
    *focus = w;
    return box;
}

static GtkWidget *guest_control(AppEdit *e, const char *key)
{
    GtkWidget *w = gtk_combo_box_text_new();
    guint n;
    const AppGuestOs *t = app_guest_os_table(&n), *now = app_guest_os_find(value_of(e, key));
    for (guint i = 0; i < n; i++)
        if (!*t[i].alias || now == &t[i])
            gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(w), t[i].id, t[i].name);
    if (!now)
        gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(w), value_of(e, key), value_of(e, key));
    gtk_combo_box_set_active_id(GTK_COMBO_BOX(w), now ? now->id : value_of(e, key));
    gtk_combo_box_set_wrap_width(GTK_COMBO_BOX(w), 4);
    connect_control(e, key, w, "changed", G_CALLBACK(chosen));
    return w;
}

static GtkWidget *int_control(AppEdit *e, const struct vmx_key *k, const char *key, gboolean video)
{
    const char *dots = strstr(k->range, ".."), *slash = strchr(k->range, '/');
    double low = dots ? g_ascii_strtod(k->range, NULL) : 0, high = dots ? g_ascii_strtod(dots + 2, NULL) : G_MAXINT32;
    double step = slash && !video ? g_ascii_strtod(slash + 1, NULL) : 1, unit = video ? 1048576 : 1;
    GtkWidget *w = gtk_spin_button_new_with_range(low / unit, high / unit, MAX(step, 1));
    gtk_spin_button_set_value(GTK_SPIN_BUTTON(w), g_ascii_strtod(value_of(e, key), NULL) / unit);
    gtk_widget_set_halign(w, GTK_ALIGN_START);
    connect_control(e, key, w, "value-changed", video ? G_CALLBACK(spun_video) : G_CALLBACK(spun));
    return w;
}

static GtkWidget *text_control(AppEdit *e, const struct vmx_key *k, const char *key, GtkWidget **focus)
{
    GtkWidget *entry = gtk_entry_new(), *box, *button;
    gtk_entry_set_text(GTK_ENTRY(entry), value_of(e, key));
    gtk_widget_set_hexpand(entry, TRUE);
    gtk_widget_set_valign(entry, GTK_ALIGN_CENTER);
    gtk_entry_set_activates_default(GTK_ENTRY(entry), TRUE);
    connect_control(e, key, entry, "changed", G_CALLBACK(typed));
    *focus = entry;
    if (k->type != VMX_FILE && k->type != VMX_MAC)
        return entry;
    g_autofree char *dir = g_path_get_dirname(app_vm_get_path(e->vm));
    box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
    button = gtk_button_new_with_mnemonic(k->type == VMX_FILE ? _("_Browse…") : _("_Generate"));
    g_object_set_data_full(G_OBJECT(entry), "key", g_strdup(key), g_free);
    g_object_set_data_full(G_OBJECT(entry), "dir", g_strdup(dir), g_free);
    g_signal_connect(button, "clicked", k->type == VMX_FILE ? G_CALLBACK(browse) : G_CALLBACK(mac_generate), entry);
    gtk_box_pack_start(GTK_BOX(box), entry, TRUE, TRUE, 0);
    gtk_box_pack_start(GTK_BOX(box), button, FALSE, FALSE, 0);
    return box;
}

/* ---- a page ---- */

struct page {
    AppEdit *e;
    GtkWidget *grid, *kept; /* kept: rows without a name of their own that nothing acts on */
    int y, kept_y;
    GHashTable *shown; /* keys */
    gboolean names, any_kept;
};

static void add_note(struct page *p, const char *text)
{
    GtkWidget *l = gtk_label_new(text);
    g_object_set(l, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 56, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(l), GTK_STYLE_CLASS_DIM_LABEL);
    gtk_grid_attach(GTK_GRID(p->grid), l, 1, p->y++, 1, 1);
}

static char *without_mnemonic(const char *s)
{
    g_auto(GStrv) parts = g_strsplit(s, "_", -1);
    return g_strjoinv("", parts);
}

static char *doc_label(const struct vmx_key *k)
{
    char *s = g_strdup(gettext(k->doc));
    gsize n = strlen(s);
    if (n && s[n - 1] == '.')
        s[n - 1] = 0;
    else if (g_str_has_suffix(s, "。"))
        s[n - strlen("。")] = 0;
    return s;
}

static void add_row(struct page *p, const char *key, const char *label, enum kind kind)
{
    const struct vmx_key *k = vmx_key_find(key);
    if (!k || g_hash_table_contains(p->shown, key))
        return;
    g_hash_table_add(p->shown, g_strdup(key));
    g_autofree char *text = label ? g_strdup(_(label)) : doc_label(k),
                    *plain = label ? without_mnemonic(text) : g_strdup(text);
    GtkWidget *w, *focus = NULL, *l = NULL;
    if (k->type == VMX_BOOL || kind == TRIM || kind == SWITCH) {
        bool on = false;
        if (kind == TRIM)
            on = strcmp(value_of(p->e, key), "0") != 0;
        else
            vmx_parse_bool(value_of(p->e, key), &on);
        w = label ? gtk_check_button_new_with_mnemonic(text) : gtk_check_button_new_with_label(text);
        GtkWidget *inner = gtk_bin_get_child(GTK_BIN(w));
        if (GTK_IS_LABEL(inner))
            g_object_set(inner, "wrap", TRUE, "max-width-chars", 56, "xalign", 0.0, NULL);
        gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(w), on);
        connect_control(p->e, key, w, "toggled", kind == TRIM ? G_CALLBACK(trim_toggled) : G_CALLBACK(toggled));
        gboolean beside = label && kind != SWITCH; /* below rows that have their names in the first column */
        gtk_grid_attach(GTK_GRID(p->grid), w, beside ? 1 : 0, p->y, beside ? 1 : 2, 1);
        focus = w;
    } else {
        if (kind == MEMORY)
            w = memory_control(p->e, key, &focus);
        else if (kind == WEIGHT)
            w = weight_control(p->e, key, &focus);
        else if (kind == GUEST)
            w = guest_control(p->e, key);
        else if (k->type == VMX_ENUM)
            w = enum_control(p->e, k, key);
        else if (k->type == VMX_INT)
            w = int_control(p->e, k, key, kind == VIDEO);
        else
            w = text_control(p->e, k, key, &focus);
        if (kind == PASSWORD) {
            gtk_entry_set_visibility(GTK_ENTRY(w), FALSE);
            gtk_entry_set_input_purpose(GTK_ENTRY(w), GTK_INPUT_PURPOSE_PASSWORD);
        }
        if (!focus)
            focus = w;
        if (kind == VIDEO) {
            GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8);
            gtk_box_pack_start(GTK_BOX(box), w, FALSE, FALSE, 0);
            gtk_box_pack_start(GTK_BOX(box), gtk_label_new("MB"), FALSE, FALSE, 0);
            w = box;
        }
        l = label ? gtk_label_new_with_mnemonic(text) : gtk_label_new(text);
        g_object_set(l, "xalign", label ? 1.0 : 0.0, "wrap", TRUE, "max-width-chars", label ? 30 : 72, "valign",
                     kind == MEMORY ? GTK_ALIGN_START : GTK_ALIGN_CENTER, "margin-top", kind == MEMORY ? 8 : 0, NULL);
        gtk_label_set_mnemonic_widget(GTK_LABEL(l), focus);
        gtk_widget_set_hexpand(w, TRUE);
        /* A sentence stands above its control, not in a narrow column beside it. */
        if (!label)
            g_object_set(w, "margin-bottom", 4, NULL);
        gtk_grid_attach(GTK_GRID(p->grid), l, 0, p->y, label ? 1 : 2, 1);
        gtk_grid_attach(GTK_GRID(p->grid), w, label ? 1 : 0, label ? p->y : ++p->y, label ? 1 : 2, 1);
    }
    atk_object_set_name(gtk_widget_get_accessible(focus), plain);
    g_autofree char *tip = p->names ? g_strdup_printf("%s\n%s", gettext(k->doc), key) : g_strdup(gettext(k->doc));
    gtk_widget_set_tooltip_text(focus, tip);
    p->y++;
    if (p->names)
        add_note(p, key);
    if (!k->acts) {
        gtk_widget_set_sensitive(w, FALSE);
        if (l)
            gtk_widget_set_sensitive(l, FALSE);
        gtk_widget_set_has_tooltip(w, TRUE);
        p->any_kept = TRUE;
    }
    if (kind == ENGINE) {
        GtkWidget *n = gtk_label_new(NULL);
        g_object_set(n, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 56, NULL);
        gtk_style_context_add_class(gtk_widget_get_style_context(n), GTK_STYLE_CLASS_DIM_LABEL);
        gtk_grid_attach(GTK_GRID(p->grid), n, 1, p->y++, 1, 1);
        app_engines_get(engine_note, g_object_ref(n));
    }
}

/* A row of the rest: among those that act, or in the part that is closed at first. */
static void add_rest_row(struct page *p, const char *key, gboolean *first)
{
    const struct vmx_key *k = vmx_key_find(key);
    if (!k || g_hash_table_contains(p->shown, key))
        return;
    if (!k->acts) {
        GtkWidget *grid = p->grid;
        int y = p->y;
        p->grid = p->kept;
        p->y = p->kept_y;
        add_row(p, key, NULL, BY_TYPE);
        p->kept_y = p->y;
        p->grid = grid;
        p->y = y;
        return;
    }
    if (*first && p->y) {
        GtkWidget *l = gtk_label_new(_("More"));
        g_object_set(l, "xalign", 0.0, "margin-top", 14, NULL);
        gtk_style_context_add_class(gtk_widget_get_style_context(l), "heading");
        gtk_grid_attach(GTK_GRID(p->grid), l, 0, p->y++, 2, 1);
    }
    *first = FALSE;
    add_row(p, key, NULL, BY_TYPE);
}

static const char *kind_page(AppHwKind k)
{
    static const char *const names[] = {"memory", "processors", "disk",   "cd",       "floppy",  "network",
                                        "usb",    "sound",      "serial", "parallel", "display", "controller"};
    return k < HW_KINDS ? names[k] : NULL;
}

/* "ide[0-1]:[0-1].fileName" for the node "ide0:0": the key, or NULL. */
static char *key_of_node(const char *pattern, const char *node)
{
    const char *p = pattern;
    for (const char *n = node; *n;) {
        if (*p == '[') {
            if (!g_ascii_isdigit(*n))
                return NULL;
            while (g_ascii_isdigit(*n))
                n++;
            p = strchr(p, ']');
            if (!p)
                return NULL;
            p++;
        } else if (*p++ != *n++) {
            return NULL;
        }
    }
    return *p == '.' && !strpbrk(p, "*[") ? g_strconcat(node, p, NULL) : NULL;
}

/* "ethernet[0-9].natForward[0-31]" for the node "ethernet0": a row for each that is in the file, and one for another. */
static void add_numbered(struct page *p, const char *pattern, const char *node, gboolean *rest_first)
{
    const char *dot = strchr(pattern, '.'), *open = dot ? strchr(dot, '[') : NULL;
    int first, last, done = 0;
    gboolean another = FALSE;
    if (!open || sscanf(open, "[%d-%d]%n", &first, &last, &done) != 2 || open[done])
        return;
    g_autofree char *device = g_strndup(pattern, (gsize)(dot - pattern)), *stem = g_strndup(dot, (gsize)(open - dot)),
                    *whole = g_strconcat(device, ".x", NULL), *fits = key_of_node(whole, node);
    for (int i = first; fits && i <= last; i++) {
        g_autofree char *key = g_strdup_printf("%s%s%d", node, stem, i);
        gboolean set = *value_of(p->e, key);
        if (set || !another)
            add_rest_row(p, key, rest_first);
        another = another || !set;
    }
}

static void add_rest(struct page *p, const char *page, const char *node)
{
    size_t n;
    const struct vmx_key *t = vmx_key_table(&n);
    const char *section = "";
    gboolean first = TRUE;
    for (size_t i = 0; i < n; i++) {
        g_autofree char *key = NULL;
        if (t[i].section) {
            section = t[i].section;
            continue;
        }
        if (g_str_has_prefix(t[i].doc, "As "))
            continue; /* another name of a key that is shown */
        if (node && *node) {
            key = key_of_node(t[i].name, node);
            if (key && (g_str_has_suffix(key, ".present") || g_str_has_suffix(key, ".deviceType")))
                continue;
            if (!key && p->y)
                add_numbered(p, t[i].name, node, &first);
        } else if (!strpbrk(t[i].name, "*[") && !g_strv_contains(own, t[i].name)) {
            for (guint s = 0; s < G_N_ELEMENTS(sections) && !key; s++)
                if (!strcmp(sections[s].section, section) && !strcmp(sections[s].page, page))
                    key = g_strdup(t[i].name);
            for (guint r = 0; r < G_N_ELEMENTS(rows) && key; r++)
                if (!strcmp(rows[r].key, key))
                    g_clear_pointer(&key, g_free);
        }
        if (key)
            add_rest_row(p, key, &first);
    }
}

GtkWidget *app_settings_page_new(AppEdit *e, AppHwKind kind, const char *page)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 12), *scroll = gtk_scrolled_window_new(NULL, NULL);
    const char *type = kind < HW_KINDS ? kind_page(kind) : page;
    gboolean per_node = kind == HW_DISK || kind == HW_CD || kind == HW_FLOPPY || kind == HW_NETWORK ||
                        kind == HW_SERIAL || kind == HW_PARALLEL;
    struct page p = {.e = e,
                     .grid = gtk_grid_new(),
                     .kept = g_object_ref_sink(gtk_grid_new()),
                     .shown = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                     .names = g_settings_get_boolean(app_prefs(), "show-key-names")};
    g_object_set(p.grid, "row-spacing", 8, "column-spacing", 12, NULL);
    g_object_set(p.kept, "row-spacing", 8, "column-spacing", 12, "margin-top", 8, "margin-start", 18, NULL);
    g_object_set(box, "margin", 18, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (strcmp(rows[i].page, type))
            continue;
        g_autofree char *key = *rows[i].key == '.' ? g_strconcat(page, rows[i].key, NULL) : g_strdup(rows[i].key);
        add_row(&p, key, rows[i].label, rows[i].kind);
    }
    if (kind == HW_DISPLAY)
        add_note(&p, _("With an empty VNC address every computer of the network can reach the screen; 127.0.0.1 keeps "
                       "it to this one. VNC passwords count up to 8 characters and "
                       "are stored in the file as they are."));
    if (kind == HW_CD)
        add_note(&p, _("Without an image the drive is empty. A running machine changes its CD at once."));
    add_rest(&p, type, per_node ? page : NULL);
    gtk_box_pack_start(GTK_BOX(box), p.grid, FALSE, FALSE, 0);
    if (p.kept_y) {
        GtkWidget *more = app_expander_new(_("_Kept for other programs"), p.kept);
        gtk_box_pack_start(GTK_BOX(box), more, FALSE, FALSE, 0);
    }
    g_object_unref(p.kept);
    if (p.any_kept) {
        GtkWidget *l = gtk_label_new(_("Grey settings are kept in the file for other programs and for later: this "
                                       "version of Lodge does not act on them. "
                                       "They can be changed in the page “The .vmx file”."));
        g_object_set(l, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 72, NULL);
        gtk_style_context_add_class(gtk_widget_get_style_context(l), GTK_STYLE_CLASS_DIM_LABEL);
        gtk_box_pack_end(GTK_BOX(box), l, FALSE, FALSE, 0);
    }
    g_hash_table_unref(p.shown);
    gtk_container_add(GTK_CONTAINER(scroll), box);
    gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(scroll), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
    gtk_widget_show_all(scroll);
    return scroll;
}
