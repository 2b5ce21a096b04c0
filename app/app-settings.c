/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Window of a machine's settings: devices and options at the left, the page at the right. Nothing is written before
 * Apply; then only the lines that differ. A running machine's process writes them; a CD changes at once.
 */
#include "app-settings.h"

#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>

#include "app-application.h"
#include "app-error.h"
#include "app-hardware.h"
#include "app-process.h"
#include "app-settings-pages.h"
#include "app-settings-raw.h"

struct settings {
    AppVm *vm;
    AppEdit *e;
    GtkWidget *window, *list, *stack, *apply, *info, *info_label, *remove, *raw, *names;
    gboolean raw_differs, closing;
    gulong refill;
    guint line, go; /* of the raw page, to be shown */
};

static void fill_list(struct settings *s, const char *select);

static void tell(struct settings *s, GtkMessageType type, const char *text)
{
    gtk_label_set_text(GTK_LABEL(s->info_label), text ? text : "");
    gtk_info_bar_set_message_type(GTK_INFO_BAR(s->info), type);
    gtk_widget_set_visible(s->info, text != NULL);
    if (text)
        gtk_info_bar_set_revealed(GTK_INFO_BAR(s->info), TRUE);
}

static void update_buttons(gpointer u)
{
    struct settings *s = u;
    gboolean changed = g_hash_table_size(s->e->changes) || s->raw_differs;
    gtk_widget_set_sensitive(s->apply, changed);
    gboolean live = !s->raw_differs;
    GHashTableIter it;
    gpointer key;
    g_hash_table_iter_init(&it, s->e->changes);
    while (live && g_hash_table_iter_next(&it, &key, NULL))
        live = !g_ascii_strcasecmp(key, "MemTrimRate") || !g_ascii_strcasecmp(key, "sched.mem.pshare.enable");
    if (changed && app_vm_is_live(s->vm) && live)
        tell(s, GTK_MESSAGE_INFO, _("The machine is running: this takes effect at once."));
    else if (changed && app_vm_is_live(s->vm))
        tell(s, GTK_MESSAGE_INFO,
             _("The machine is running: a CD changes at once, everything else takes effect at the next power on."));
}

static void raw_changed(gpointer u, gboolean differs)
{
    struct settings *s = u;
    s->raw_differs = differs;
    update_buttons(s);
}

/* ---- pages ---- */

static void show_page(struct settings *s, GtkListBoxRow *r)
{
    const char *node = g_object_get_data(G_OBJECT(r), "node");
    AppHwKind kind = (AppHwKind)GPOINTER_TO_INT(g_object_get_data(G_OBJECT(r), "kind"));
    gtk_widget_set_sensitive(s->remove, kind > HW_PROCESSORS && kind != HW_DISPLAY && kind < HW_KINDS);
    GtkWidget *page = gtk_stack_get_child_by_name(GTK_STACK(s->stack), node);
    if (!page) {
        if (!strcmp(node, "raw"))
            page = s->raw = app_settings_raw_new(s->e, raw_changed, s);
        else
            page = app_settings_page_new(s->e, kind, node);
        gtk_stack_add_named(GTK_STACK(s->stack), page, node);
    }
    gtk_stack_set_visible_child(GTK_STACK(s->stack), page);
}

static void row_selected(GtkListBox *l, GtkListBoxRow *r, gpointer u)
{
    if (r)
        show_page(u, r);
}

static void add_list_row(struct settings *s, const char *node, AppHwKind kind, const char *label, const char *value,
                         const char *icon, gboolean acts)
{
    GtkWidget *row = gtk_list_box_row_new(), *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8),
              *text = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0), *l = gtk_label_new(label);
    g_object_set(box, "margin", 6, NULL);
    g_object_set(l, "xalign", 0.0, "ellipsize", PANGO_ELLIPSIZE_END, NULL);
    gtk_box_pack_start(GTK_BOX(box), gtk_image_new_from_icon_name(icon, GTK_ICON_SIZE_MENU), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(text), l, FALSE, FALSE, 0);
    if (value && *value) {
        GtkWidget *v = gtk_label_new(value);
        g_object_set(v, "xalign", 0.0, "ellipsize", PANGO_ELLIPSIZE_MIDDLE, NULL);
        gtk_style_context_add_class(gtk_widget_get_style_context(v), GTK_STYLE_CLASS_DIM_LABEL);
        gtk_style_context_add_class(gtk_widget_get_style_context(v), "small");
        gtk_box_pack_start(GTK_BOX(text), v, FALSE, FALSE, 0);
    }
    gtk_box_pack_start(GTK_BOX(box), text, TRUE, TRUE, 0);
    if (!acts) {
        gtk_box_pack_end(GTK_BOX(box), gtk_image_new_from_icon_name("dialog-warning-symbolic", GTK_ICON_SIZE_MENU),
                         FALSE, FALSE, 0);
        gtk_widget_set_tooltip_text(row, app_hardware_why_not());
    }
    gtk_container_add(GTK_CONTAINER(row), box);
    g_object_set_data_full(G_OBJECT(row), "node", g_strdup(node), g_free);
    g_object_set_data(G_OBJECT(row), "kind", GINT_TO_POINTER((int)kind));
    g_autofree char *a11y = value && *value ? g_strdup_printf("%s: %s", label, value) : g_strdup(label);
    atk_object_set_name(gtk_widget_get_accessible(row), a11y);
    gtk_container_add(GTK_CONTAINER(s->list), row);
    gtk_widget_show_all(row);
}

static void list_header(GtkListBoxRow *r, GtkListBoxRow *before, gpointer u)
{
    gboolean options = GPOINTER_TO_INT(g_object_get_data(G_OBJECT(r), "kind")) == HW_KINDS;
    gboolean was = before && GPOINTER_TO_INT(g_object_get_data(G_OBJECT(before), "kind")) == HW_KINDS;
    if (before && options == was) {
        gtk_list_box_row_set_header(r, NULL);
        return;
    }
    GtkWidget *l = gtk_label_new(options ? _("Options") : _("Hardware"));
    g_object_set(l, "xalign", 0.0, "margin", 6, "margin-top", options ? 14 : 6, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(l), "heading");
    gtk_widget_show(l);
    gtk_list_box_row_set_header(r, l);
}

static void fill_list(struct settings *s, const char *select)
{
    struct vmx_dict *d = app_edit_result(s->e);
    g_autoptr(GPtrArray) items = app_hardware_list(d);
    g_auto(GStrv) place = g_strsplit(select ? select : "", ":", 2); /* a node has a colon too; "raw:7" is a line */
    gboolean raw = !g_strcmp0(place[0], "raw");
    g_autofree char *want = g_strdup(raw ? place[0] : select);
    guint n;
    const AppOptionPage *o = app_option_pages(&n);
    GtkListBoxRow *found = NULL;
    vmx_dict_free(d);
    app_clear(s->list);
    for (guint i = 0; i < items->len; i++) {
        AppHwItem *it = items->pdata[i];
        add_list_row(s, it->node, it->kind, it->label, it->value, app_hardware_icon(it->kind), it->acts);
    }
    for (guint i = 0; i < n; i++)
        add_list_row(s, o[i].name, HW_KINDS, _(o[i].title), NULL, o[i].icon, TRUE);
    for (int i = 0;; i++) {
        GtkListBoxRow *r = gtk_list_box_get_row_at_index(GTK_LIST_BOX(s->list), i);
        if (!r)
            break;
        if (!i || (want && !g_strcmp0(g_object_get_data(G_OBJECT(r), "node"), want)))
            found = r;
    }
    gtk_list_box_select_row(GTK_LIST_BOX(s->list), found);
    if (raw && place[1] && s->raw)
        s->line = (guint)g_ascii_strtoull(place[1], NULL, 10);
}

/* When the window stands: before, there is nothing to scroll. */
static gboolean go_to_line(gpointer u)
{
    struct settings *s = u;
    if (s->line && s->raw)
        app_settings_raw_go_to(s->raw, s->line);
    s->line = s->go = 0;
    return G_SOURCE_REMOVE;
}

/* ---- adding and removing devices ---- */

static void remove_clicked(GtkButton *b, gpointer u)
{
    struct settings *s = u;
    GtkListBoxRow *r = gtk_list_box_get_selected_row(GTK_LIST_BOX(s->list));
    const char *node = r ? g_object_get_data(G_OBJECT(r), "node") : NULL;
    if (!node)
        return;
    g_autofree char *key = g_strconcat(node, ".present", NULL);
    app_edit_set(s->e, key, "FALSE");
    if (!strcmp(node, "usb")) {
        app_edit_set(s->e, "ehci.present", "FALSE");
        app_edit_set(s->e, "usb_xhci.present", "FALSE");
    }
    fill_list(s, NULL);
}

/* The first free place of a kind; NULL: all are taken. */
static char *free_node(struct settings *s, AppHwKind kind)
{
    static const char *const ide[] = {"ide0:0", "ide0:1", "ide1:1", "ide1:0"};
    for (guint i = 0; i < 4; i++) {
        g_autofree char *node = kind == HW_DISK ? g_strdup(ide[i])
                                : kind == HW_CD ? g_strdup(ide[3 - i])
                                                : g_strdup_printf("%s%u", kind == HW_SERIAL ? "serial" : "ethernet", i);
        g_autofree char *key = g_strconcat(node, ".present", NULL);
        bool on = false;
        const char *v = app_edit_get(s->e, key);
        if (!v || !vmx_parse_bool(v, &on) || !on)
            return g_steal_pointer(&node);
    }
    return NULL;
}

static void put(struct settings *s, const char *node, const char *rest, const char *value)
{
    g_autofree char *key = g_strconcat(node, ".", rest, NULL);
    app_edit_set(s->e, key, value);
}

static void drop_page(struct settings *s, const char *node)
{
    GtkWidget *old = gtk_stack_get_child_by_name(GTK_STACK(s->stack), node);
    if (old)
        gtk_widget_destroy(old);
}

static void add_device(struct settings *s, AppHwKind kind, const char *file)
{
    g_autofree char *node = kind == HW_USB     ? g_strdup("usb")
                            : kind == HW_SOUND ? g_strdup("sound")
                                               : free_node(s, kind);
    if (!node) {
        tell(s, GTK_MESSAGE_WARNING, _("There is no free place for another device of this kind. Remove one first."));
        return;
    }
    put(s, node, "present", "TRUE");
    if (kind == HW_DISK || kind == HW_CD) {
        g_autofree char *type = g_strconcat(node, ".deviceType", NULL);
        put(s, node, "fileName", file ? file : "auto detect");
        if (kind == HW_CD)
            put(s, node, "deviceType", file ? "cdrom-image" : "cdrom-raw");
        else if (app_edit_get(s->e, type))
            put(s, node, "deviceType", "disk");
    } else if (kind == HW_SERIAL) {
        g_autofree char *name = g_strconcat(node, ".txt", NULL);
        put(s, node, "fileType", "file");
        put(s, node, "fileName", name);
    } else if (kind == HW_NETWORK) {
        put(s, node, "connectionType", "nat");
        put(s, node, "addressType", "generated");
        put(s, node, "virtualDev", "e1000");
    }
    drop_page(s, node);
    fill_list(s, node);
}

static void disk_chosen(GtkNativeDialog *d, int response, gpointer u)
{
    struct settings *s = u;
    if (response == GTK_RESPONSE_ACCEPT) {
        g_autofree char *path = gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(d));
        if (path)
            add_device(s, HW_DISK, path);
    }
    g_object_unref(d);
}

struct new_disk {
    GtkWidget *dialog, *size, *name, *note;
    struct settings *s;
    GSubprocess *tool;
    char *file;
};

static void disk_made(GObject *o, GAsyncResult *r, gpointer u)
{
    GtkWidget *dialog = u;
    struct new_disk *n = g_object_get_data(G_OBJECT(dialog), "new-disk");
    g_autoptr(GError) e = NULL;
    g_autofree char *said = NULL;
    g_subprocess_communicate_utf8_finish(G_SUBPROCESS(o), r, NULL, &said, &e);
    if (n) {
        if (g_subprocess_get_successful(G_SUBPROCESS(o))) {
            add_device(n->s, HW_DISK, n->file);
            gtk_widget_destroy(dialog);
        } else {
            g_autofree char *why = app_sentence(said && *said ? said : e ? e->message : "");
            gtk_label_set_text(GTK_LABEL(n->note), why);
            gtk_widget_set_sensitive(gtk_dialog_get_content_area(GTK_DIALOG(dialog)), TRUE);
        }
    }
    g_object_unref(dialog);
}

static void new_disk_answer(GtkDialog *d, int response, gpointer u)
{
    struct new_disk *n = u;
    if (response != GTK_RESPONSE_ACCEPT) {
        gtk_widget_destroy(GTK_WIDGET(d));
        return;
    }
    g_autofree char *tool = app_process_find_tool("lodge-vdiskmanager"),
                    *dir = g_path_get_dirname(app_vm_get_path(n->s->vm));
    g_autofree char *size = g_strdup_printf("%dGB", gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(n->size)));
    const char *name = gtk_entry_get_text(GTK_ENTRY(n->name));
    g_autoptr(GError) e = NULL;
    g_free(n->file);
    n->file = g_str_has_suffix(name, ".vmdk") ? g_strdup(name) : g_strconcat(name, ".vmdk", NULL);
    g_autofree char *path = g_build_filename(dir, n->file, NULL);
    if (!*name || strchr(name, '/')) {
        gtk_label_set_text(GTK_LABEL(n->note), _("Give the disk a file name, without a folder."));
        return;
    }
    if (g_file_test(path, G_FILE_TEST_EXISTS)) {
        gtk_label_set_text(GTK_LABEL(n->note), _("There is already a file of this name beside the machine."));
        return;
    }
    g_autoptr(GSubprocess) p = g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_PIPE, &e,
                                                tool ? tool : "lodge-vdiskmanager", "-q", "-c", "-s", size, path, NULL);
    if (!p) {
        gtk_label_set_text(GTK_LABEL(n->note), e->message);
        return;
    }
    gtk_widget_set_sensitive(gtk_dialog_get_content_area(d), FALSE);
    g_subprocess_communicate_utf8_async(p, NULL, NULL, disk_made, g_object_ref(d));
}

static void new_disk_free(gpointer p)
{
    struct new_disk *n = p;
    g_free(n->file);
    g_free(n);
}

static void add_new_disk(GtkButton *b, gpointer u)
{
    struct settings *s = u;
    struct new_disk *n = g_new0(struct new_disk, 1);
    g_autofree char *base = g_path_get_basename(app_vm_get_path(s->vm)), *name = NULL,
                    *dir = g_path_get_dirname(app_vm_get_path(s->vm));
    char *dot = strrchr(base, '.');
    if (dot)
        *dot = 0;
    for (guint i = 1; i < 100; i++) {
        g_free(name);
        name = g_strdup_printf("%s-%u.vmdk", base, i);
        g_autofree char *path = g_build_filename(dir, name, NULL);
        if (!g_file_test(path, G_FILE_TEST_EXISTS))
            break;
    }
    n->s = s;
    n->dialog =
        gtk_dialog_new_with_buttons(_("New hard disk"), GTK_WINDOW(s->window),
                                    GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT | GTK_DIALOG_USE_HEADER_BAR,
                                    _("_Cancel"), GTK_RESPONSE_CANCEL, _("C_reate"), GTK_RESPONSE_ACCEPT, NULL);
    GtkWidget *grid = gtk_grid_new(), *l1 = gtk_label_new_with_mnemonic(_("_Size in GB:")),
              *l2 = gtk_label_new_with_mnemonic(_("_File:"));
    n->size = gtk_spin_button_new_with_range(1, 62 * 1024, 1);
    n->name = gtk_entry_new();
    n->note = gtk_label_new(_("The disk is made beside the machine and grows as it is used."));
    gtk_spin_button_set_value(GTK_SPIN_BUTTON(n->size), 20);
    gtk_entry_set_text(GTK_ENTRY(n->name), name);
    gtk_entry_set_activates_default(GTK_ENTRY(n->name), TRUE);
    gtk_label_set_mnemonic_widget(GTK_LABEL(l1), n->size);
    gtk_label_set_mnemonic_widget(GTK_LABEL(l2), n->name);
    g_object_set(l1, "xalign", 1.0, NULL);
    g_object_set(l2, "xalign", 1.0, NULL);
    g_object_set(n->note, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 44, NULL);
    g_object_set(grid, "margin", 18, "row-spacing", 10, "column-spacing", 12, NULL);
    gtk_grid_attach(GTK_GRID(grid), l1, 0, 0, 1, 1);
    gtk_grid_attach(GTK_GRID(grid), n->size, 1, 0, 1, 1);
    gtk_grid_attach(GTK_GRID(grid), l2, 0, 1, 1, 1);
    gtk_grid_attach(GTK_GRID(grid), n->name, 1, 1, 1, 1);
    gtk_grid_attach(GTK_GRID(grid), n->note, 0, 2, 2, 1);
    gtk_container_add(GTK_CONTAINER(gtk_dialog_get_content_area(GTK_DIALOG(n->dialog))), grid);
    gtk_dialog_set_default_response(GTK_DIALOG(n->dialog), GTK_RESPONSE_ACCEPT);
    g_object_set_data_full(G_OBJECT(n->dialog), "new-disk", n, new_disk_free);
    g_signal_connect(n->dialog, "response", G_CALLBACK(new_disk_answer), n);
    gtk_widget_show_all(n->dialog);
}

static void add_old_disk(GtkButton *b, gpointer u)
{
    struct settings *s = u;
    GtkFileChooserNative *d = gtk_file_chooser_native_new(_("Choose a disk"), GTK_WINDOW(s->window),
                                                          GTK_FILE_CHOOSER_ACTION_OPEN, _("_Add"), NULL);
    GtkFileFilter *f = gtk_file_filter_new();
    gtk_file_filter_set_name(f, _("Disks"));
    for (const char *const *p = (const char *const[]){"*.vmdk", "*.img", "*.raw", NULL}; *p; p++)
        gtk_file_filter_add_pattern(f, *p);
    gtk_file_chooser_add_filter(GTK_FILE_CHOOSER(d), f);
    g_signal_connect(d, "response", G_CALLBACK(disk_chosen), s);
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(d));
}

static void add_cd(GtkButton *b, gpointer u) { add_device(u, HW_CD, NULL); }
static void add_serial(GtkButton *b, gpointer u) { add_device(u, HW_SERIAL, NULL); }
static void add_network(GtkButton *b, gpointer u) { add_device(u, HW_NETWORK, NULL); }
static void add_usb(GtkButton *b, gpointer u) { add_device(u, HW_USB, NULL); }
static void add_sound(GtkButton *b, gpointer u) { add_device(u, HW_SOUND, NULL); }

static GtkWidget *add_menu(struct settings *s)
{
    static const struct {
        const char *label, *key;
        void (*add)(GtkButton *b, gpointer u);
    } what[] = {{N_("New hard disk…"), "ide0:0.present", add_new_disk},
                {N_("Existing hard disk…"), "ide0:0.present", add_old_disk},
                {N_("CD/DVD drive"), "ide0:0.present", add_cd},
                {N_("Serial port"), "serial0.present", add_serial},
                {N_("Network adapter"), "ethernet0.present", add_network},
                {N_("USB controller"), "usb.present", add_usb},
                {N_("Sound card"), "sound.present", add_sound}};
    GtkWidget *b = gtk_menu_button_new(), *pop = gtk_popover_new(b), *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 2);
    gtk_container_add(GTK_CONTAINER(b), gtk_label_new_with_mnemonic(_("A_dd…")));
    g_object_set(box, "margin", 8, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(what); i++) {
        GtkWidget *m = gtk_model_button_new();
        gboolean acts = app_key_acts(what[i].key);
        g_autofree char *text =
            acts ? g_strdup(_(what[i].label)) : g_strdup_printf(_("%s (not in this version)"), _(what[i].label));
        g_object_set(m, "text", text, NULL);
        gtk_widget_set_sensitive(m, acts);
        g_signal_connect(m, "clicked", G_CALLBACK(what[i].add), s);
        gtk_box_pack_start(GTK_BOX(box), m, FALSE, FALSE, 0);
    }
    gtk_container_add(GTK_CONTAINER(pop), box);
    gtk_widget_show_all(box);
    gtk_menu_button_set_popover(GTK_MENU_BUTTON(b), pop);
    gtk_menu_button_set_direction(GTK_MENU_BUTTON(b), GTK_ARROW_UP);
    return b;
}

/* ---- applying ---- */

static void live_cd(struct settings *s)
{
    for (guint c = 0; c < 2; c++)
        for (guint n = 0; n < 2; n++) {
            g_autofree char *node = g_strdup_printf("ide%u:%u", c, n), *key = g_strconcat(node, ".fileName", NULL);
            struct vmx_dict *d = app_edit_result(s->e);
            gboolean cd = app_hardware_is_cd(d, node);
            g_autofree char *file = g_strdup(app_key(d, node, "fileName"));
            vmx_dict_free(d);
            if (!cd || !g_hash_table_contains(s->e->changes, key))
                continue;
            g_autofree char *path = *file ? app_vm_resolve(s->vm, file) : g_strdup("");
            app_vm_call(s->vm, "ChangeMedium", g_variant_new("(ssb)", node, path, TRUE),
                        _("The CD of “%s” could not be changed."), NULL, NULL);
        }
}

static void applied(gpointer u, const GError *e)
{
    GtkWidget *window = u;
    struct settings *s = g_object_get_data(G_OBJECT(window), "settings");
    if (s && e) {
        g_autofree char *why = app_error_sentence(e),
                        *text = g_strdup_printf(_("The settings were not saved. %s"), why);
        tell(s, GTK_MESSAGE_ERROR, text);
        update_buttons(s);
    } else if (s) {
        gtk_widget_destroy(window);
    }
    g_object_unref(window);
}

static void count_errors(void *u, enum vmx_severity sev, unsigned line, const char *key, const char *text)
{
    GString *s = u;
    if (sev != VMX_ERROR)
        return;
    g_autofree char *sentence = app_sentence(text);
    if (s->len)
        g_string_append_c(s, '\n');
    g_string_append(s, sentence);
}

static void apply_clicked(GtkButton *b, gpointer u)
{
    struct settings *s = u;
    g_autoptr(GString) errors = g_string_new(NULL);
    if (s->raw_differs && g_hash_table_size(s->e->changes)) {
        tell(s, GTK_MESSAGE_WARNING,
             _("Both the text of the file and single settings were changed. Undo one of them: it is not clear which is "
               "meant."));
        return;
    }
    if (s->raw_differs) {
        gtk_widget_set_sensitive(s->apply, FALSE);
        app_settings_raw_save(s->raw, applied, g_object_ref(s->window));
        return;
    }
    struct vmx_dict *d = app_edit_result(s->e);
    vmx_check(d, count_errors, errors);
    vmx_dict_free(d);
    if (errors->len) {
        tell(s, GTK_MESSAGE_ERROR, errors->str);
        return;
    }
    if (app_vm_is_live(s->vm))
        live_cd(s);
    gtk_widget_set_sensitive(s->apply, FALSE);
    app_vm_set_keys(s->vm, app_edit_pairs(s->e), applied, g_object_ref(s->window));
}

static void names_toggled(GtkToggleButton *b, gpointer u)
{
    struct settings *s = u;
    GtkListBoxRow *r = gtk_list_box_get_selected_row(GTK_LIST_BOX(s->list));
    g_autofree char *node = r ? g_strdup(g_object_get_data(G_OBJECT(r), "node")) : NULL;
    g_settings_set_boolean(app_prefs(), "show-key-names", gtk_toggle_button_get_active(b));
    g_autoptr(GList) pages = gtk_container_get_children(GTK_CONTAINER(s->stack));
    for (GList *l = pages; l; l = l->next)
        if (l->data != s->raw)
            gtk_widget_destroy(l->data);
    fill_list(s, node);
}

static void destroyed(GtkWidget *w, gpointer u)
{
    struct settings *s = u;
    g_object_set_data(G_OBJECT(s->vm), "settings-window", NULL);
    g_object_steal_data(G_OBJECT(w), "settings");
    g_clear_handle_id(&s->go, g_source_remove);
    app_edit_free(s->e);
    g_object_unref(s->vm);
    g_free(s);
}

void app_settings_show(GtkWindow *parent, AppVm *vm, const char *page)
{
    GtkWidget *old = g_object_get_data(G_OBJECT(vm), "settings-window");
    if (old) {
        struct settings *o = g_object_get_data(G_OBJECT(old), "settings");
        fill_list(o, page);
        if (o->line && !o->go)
            o->go = g_idle_add(go_to_line, o);
        gtk_window_present(GTK_WINDOW(old));
        return;
    }
    if (!app_vm_get_dict(vm))
        return;
    struct settings *s = g_new0(struct settings, 1);
    g_autofree char *title = g_strdup_printf(_("Settings of “%s”"), app_vm_get_name(vm));
    GtkWidget *bar = gtk_header_bar_new(), *cancel = gtk_button_new_with_mnemonic(_("_Cancel")),
              *main = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0);
    GtkWidget *split = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 0), *left = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0),
              *scroll = gtk_scrolled_window_new(NULL, NULL);
    GtkWidget *tools = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
    s->vm = g_object_ref(vm);
    s->e = app_edit_new(vm);
    s->e->changed = update_buttons;
    s->e->u = s;
    s->window = gtk_window_new(GTK_WINDOW_TOPLEVEL);
    gtk_window_set_title(GTK_WINDOW(s->window), title);
    gtk_window_set_transient_for(GTK_WINDOW(s->window), parent);
    gtk_window_set_position(GTK_WINDOW(s->window), GTK_WIN_POS_CENTER_ON_PARENT);
    gtk_window_set_default_size(GTK_WINDOW(s->window), 900, 620);
    gtk_window_set_type_hint(GTK_WINDOW(s->window), GDK_WINDOW_TYPE_HINT_DIALOG);
    gtk_header_bar_set_title(GTK_HEADER_BAR(bar), title);
    gtk_window_set_titlebar(GTK_WINDOW(s->window), bar);
    s->apply = gtk_button_new_with_mnemonic(_("_Apply"));
    gtk_style_context_add_class(gtk_widget_get_style_context(s->apply), GTK_STYLE_CLASS_SUGGESTED_ACTION);
    gtk_widget_set_can_default(s->apply, TRUE);
    gtk_header_bar_pack_start(GTK_HEADER_BAR(bar), cancel);
    gtk_header_bar_pack_end(GTK_HEADER_BAR(bar), s->apply);
    s->info = gtk_info_bar_new();
    s->info_label = gtk_label_new(NULL);
    g_object_set(s->info_label, "wrap", TRUE, "xalign", 0.0, NULL);
    gtk_container_add(GTK_CONTAINER(gtk_info_bar_get_content_area(GTK_INFO_BAR(s->info))), s->info_label);
    gtk_widget_show(s->info_label);
    gtk_widget_set_no_show_all(s->info, TRUE);
    s->list = gtk_list_box_new();
    app_list_one_tab(s->list);
    gtk_list_box_set_selection_mode(GTK_LIST_BOX(s->list), GTK_SELECTION_BROWSE);
    gtk_list_box_set_header_func(GTK_LIST_BOX(s->list), list_header, NULL, NULL);
    atk_object_set_name(gtk_widget_get_accessible(s->list), _("Settings pages"));
    gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(scroll), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
    gtk_container_add(GTK_CONTAINER(scroll), s->list);
    gtk_widget_set_size_request(left, 250, -1);
    s->remove = gtk_button_new_with_mnemonic(_("_Remove"));
    s->names = gtk_check_button_new_with_mnemonic(_("Show .vm_x names"));
    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(s->names), g_settings_get_boolean(app_prefs(), "show-key-names"));
    g_object_set(tools, "margin", 6, NULL);
    g_object_set(s->names, "margin", 6, NULL);
    gtk_box_pack_start(GTK_BOX(tools), add_menu(s), TRUE, TRUE, 0);
    gtk_box_pack_start(GTK_BOX(tools), s->remove, TRUE, TRUE, 0);
    gtk_box_pack_start(GTK_BOX(left), scroll, TRUE, TRUE, 0);
    gtk_box_pack_start(GTK_BOX(left), tools, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(left), s->names, FALSE, FALSE, 0);
    gtk_style_context_add_class(gtk_widget_get_style_context(left), "sidebar");
    s->stack = gtk_stack_new();
    gtk_box_pack_start(GTK_BOX(split), left, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(split), gtk_separator_new(GTK_ORIENTATION_VERTICAL), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(split), s->stack, TRUE, TRUE, 0);
    gtk_box_pack_start(GTK_BOX(main), s->info, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(main), split, TRUE, TRUE, 0);
    gtk_container_add(GTK_CONTAINER(s->window), main);
    g_object_set_data(G_OBJECT(s->window), "settings", s);
    g_object_set_data(G_OBJECT(vm), "settings-window", s->window);
    g_signal_connect(s->list, "row-selected", G_CALLBACK(row_selected), s);
    g_signal_connect(s->remove, "clicked", G_CALLBACK(remove_clicked), s);
    g_signal_connect(s->names, "toggled", G_CALLBACK(names_toggled), s);
    g_signal_connect(s->apply, "clicked", G_CALLBACK(apply_clicked), s);
    g_signal_connect_swapped(cancel, "clicked", G_CALLBACK(gtk_widget_destroy), s->window);
    g_signal_connect(s->window, "key-press-event", G_CALLBACK(app_escape), s);
    g_signal_connect(s->window, "destroy", G_CALLBACK(destroyed), s);
    fill_list(s, page);
    update_buttons(s);
    gtk_widget_show_all(s->window);
    gtk_widget_grab_default(s->apply);
    if (s->line)
        s->go = g_idle_add_full(G_PRIORITY_LOW, go_to_line, s, NULL);
}
