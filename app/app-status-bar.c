/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Device icons. The CD's popover changes media by the control API; the others say what they are and open their settings
 * page. */
#include "app-status-bar.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app-error.h"
#include "app-hardware.h"
#include "app-vm-page.h"

enum { ACTIVITY_MS = 700 };

struct _AppStatusBar {
    GtkBox parent;
    AppVm *vm; /* the page keeps it */
    GtkWidget *hint, *devices;
    char *shown; /* what the icons were made from */
    guint timer;
    gboolean asked;
    GHashTable *counters; /* node -> last sum */
};
G_DEFINE_TYPE(AppStatusBar, app_status_bar, GTK_TYPE_BOX)

void app_status_bar_set_hint(AppStatusBar *s, const char *hint)
{
    gtk_label_set_text(GTK_LABEL(s->hint), hint ? hint : "");
    gtk_widget_set_tooltip_text(s->hint, hint && *hint ? hint : NULL);
}

/* ---- media ---- */

struct medium {
    AppVm *vm;
    char *node, *file;
    gboolean keep;
};

static void medium_free(struct medium *m)
{
    g_object_unref(m->vm);
    g_free(m->node);
    g_free(m->file);
    g_free(m);
}

static void medium_changed(gpointer u, GVariant *result)
{
    struct medium *m = u;
    if (result && m->keep) {
        /* The next power on has the same medium. */
        GPtrArray *pairs = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(pairs, g_strdup_printf("%s.fileName", m->node));
        g_ptr_array_add(pairs, g_strdup(m->file));
        g_ptr_array_add(pairs, g_strdup_printf("%s.deviceType", m->node));
        g_ptr_array_add(pairs, g_strdup("cdrom-image"));
        g_ptr_array_add(pairs, g_strdup_printf("%s.startConnected", m->node));
        g_ptr_array_add(pairs, g_strdup("TRUE"));
        app_vm_set_keys(m->vm, pairs, NULL, NULL);
    }
    medium_free(m);
}

static void change_medium(AppVm *vm, const char *node, const char *file, gboolean keep)
{
    struct medium *m = g_new0(struct medium, 1);
    *m = (struct medium){.vm = g_object_ref(vm), .node = g_strdup(node), .file = g_strdup(file), .keep = keep};
    app_vm_call(vm, "ChangeMedium", g_variant_new("(ssb)", node, file, TRUE),
                *file ? _("The CD of “%s” could not be changed.") : _("The CD of “%s” could not be ejected."),
                medium_changed, m);
}

static void iso_chosen(GtkNativeDialog *d, int response, gpointer u)
{
    struct medium *m = u;
    if (response == GTK_RESPONSE_ACCEPT) {
        g_autofree char *path = gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(d));
        if (path)
            change_medium(m->vm, m->node, path, TRUE);
    }
    medium_free(m);
    g_object_unref(d);
}

static void choose_clicked(GtkButton *b, gpointer u)
{
    AppStatusBar *s = u;
    struct medium *m = g_new0(struct medium, 1);
    GtkFileChooserNative *d =
        gtk_file_chooser_native_new(_("Choose a CD image"), GTK_WINDOW(gtk_widget_get_toplevel(GTK_WIDGET(s))),
                                    GTK_FILE_CHOOSER_ACTION_OPEN, _("_Insert"), NULL);
    GtkFileFilter *f = gtk_file_filter_new();
    *m = (struct medium){.vm = g_object_ref(s->vm), .node = g_strdup(g_object_get_data(G_OBJECT(b), "node"))};
    gtk_file_filter_set_name(f, _("CD images"));
    gtk_file_filter_add_pattern(f, "*.iso");
    gtk_file_filter_add_pattern(f, "*.ISO");
    gtk_file_chooser_add_filter(GTK_FILE_CHOOSER(d), f);
    g_signal_connect(d, "response", G_CALLBACK(iso_chosen), m);
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(d));
}

static void disconnect_clicked(GtkButton *b, gpointer u)
{
    change_medium(APP_STATUS_BAR(u)->vm, g_object_get_data(G_OBJECT(b), "node"), "", FALSE);
}

static void connect_clicked(GtkButton *b, gpointer u)
{
    AppStatusBar *s = u;
    const char *node = g_object_get_data(G_OBJECT(b), "node");
    g_autofree char *file = app_vm_resolve(s->vm, app_key(app_vm_get_dict(s->vm), node, "fileName"));
    change_medium(s->vm, node, file, FALSE);
}

static void settings_clicked(GtkButton *b, gpointer u)
{
    app_activate(GTK_WIDGET(u), "vm-settings-page", g_variant_new_string(g_object_get_data(G_OBJECT(b), "node")));
}

/* ---- network: the cable, and the guest's addresses or why there are none ---- */

static void cable_clicked(GtkButton *b, gpointer u)
{
    AppStatusBar *s = u;
    const char *node = g_object_get_data(G_OBJECT(b), "node");
    gboolean in = !g_object_get_data(G_OBJECT(b), "connected");
    app_vm_call(s->vm, "ConnectNetwork",
                g_variant_new("(ub)", (guint)g_ascii_strtoull(node + strlen("ethernet"), NULL, 10), in),
                in ? _("A network adapter of “%s” could not be connected.")
                   : _("A network adapter of “%s” could not be disconnected."),
                NULL, NULL);
}

static void got_networks(gpointer u, GVariant *result)
{
    g_autoptr(GtkWidget) label = u;
    const char *node = g_object_get_data(G_OBJECT(label), "node");
    GtkWidget *cable = g_object_get_data(G_OBJECT(label), "cable");
    gboolean connected = FALSE;
    g_autoptr(GVariant) all = result ? g_variant_get_child_value(result, 0) : NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *problem = NULL;
    for (gsize i = 0; all && i < g_variant_n_children(all); i++) {
        g_autoptr(GVariant) adapter = g_variant_get_child_value(all, i);
        const char *name = "";
        g_autofree const char **address = NULL;
        if (!g_variant_lookup(adapter, "name", "&s", &name) || strcmp(name, node) || !g_variant_lookup(adapter, "addresses", "^a&s", &address))
            continue;
        (void)g_variant_lookup(adapter, "problem", "s", &problem);
        if (g_variant_lookup(adapter, "connected", "b", &connected) && gtk_widget_get_parent(label)) {
            g_object_set_data(G_OBJECT(cable), "connected", GINT_TO_POINTER(connected));
            g_object_set(cable, "text", connected ? _("Disconnect") : _("Connect"), "visible", TRUE, NULL);
        }
        for (const char **a = address; *a; a++)
            g_string_append_printf(text, "\n%s", *a);
    }
    if (text->len)
        g_string_prepend(text, _("Addresses of the guest:"));
    gtk_label_set_text(GTK_LABEL(label), !all || connected ? text->len              ? text->str
                                                            : problem && *problem ? problem
                                                                                  : _("No address of the guest is known.")
                                                           : _("The cable is not plugged in."));
    gtk_widget_set_visible(label, result != NULL);
}

/* Asked each time the popover opens: a guest gets another address while it runs. */
static void addresses_shown(GtkWidget *pop, gpointer u)
{
    AppVm *vm = g_object_get_data(G_OBJECT(u), "vm");
    if (app_vm_is_live(vm) && !app_vm_is_remote(vm))
        app_vm_call(vm, "GetNetworks", NULL, NULL, got_networks, g_object_ref(u));
}

static GtkWidget *popover_button(AppStatusBar *s, GtkWidget *box, const char *label, const char *node, GCallback clicked)
{
    GtkWidget *b = gtk_model_button_new();
    g_object_set(b, "text", label, NULL);
    g_object_set_data_full(G_OBJECT(b), "node", g_strdup(node), g_free);
    g_signal_connect(b, "clicked", clicked, s);
    gtk_box_pack_start(GTK_BOX(box), b, FALSE, FALSE, 0);
    return b;
}

static void add_network(AppStatusBar *s, GtkWidget *pop, GtkWidget *box, const char *node)
{
    GtkWidget *l = gtk_label_new(NULL);
    g_object_set(l, "xalign", 0.0, "margin", 6, "max-width-chars", 40, "wrap", TRUE, "selectable", TRUE, "no-show-all", TRUE, NULL);
    g_object_set_data_full(G_OBJECT(l), "node", g_strdup(node), g_free);
    g_object_set_data_full(G_OBJECT(l), "vm", g_object_ref(s->vm), g_object_unref);
    g_signal_connect_object(pop, "map", G_CALLBACK(addresses_shown), l, 0);
    gtk_box_pack_start(GTK_BOX(box), l, FALSE, FALSE, 0);
    GtkWidget *cable = popover_button(s, box, _("Disconnect"), node, G_CALLBACK(cable_clicked));
    gtk_widget_set_no_show_all(cable, TRUE); /* until it is known which of the two */
    g_object_set_data(G_OBJECT(l), "cable", cable);
}

/* The image that the file names for a drive; NULL: none. */
static const char *image_of(AppStatusBar *s, const AppHwItem *it)
{
    const char *file = app_key(app_vm_get_dict(s->vm), it->node, "fileName");
    return *file && strcmp(file, "auto detect") ? file : NULL;
}

/* What the guest finds in a drive may be another thing than the file says: it was ejected, or another program put it in. */
static char *value_now(AppStatusBar *s, const AppHwItem *it)
{
    const char *medium = it->kind == HW_CD ? app_vm_get_medium(s->vm, it->node) : NULL;
    if (!medium)
        return g_strdup(it->value);
    if (*medium)
        return g_path_get_basename(medium);
    return image_of(s, it) ? g_strdup_printf(_("%s, disconnected"), it->value) : g_strdup(_("Empty"));
}

static GtkWidget *new_popover(AppStatusBar *s, GtkWidget *button, const AppHwItem *it, const char *value)
{
    GtkWidget *pop = gtk_popover_new(button), *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 2),
              *title = gtk_label_new(NULL);
    g_autofree char *text = *value ? g_strdup_printf("%s\n%s", it->label, value) : g_strdup(it->label);
    gtk_label_set_text(GTK_LABEL(title), text);
    g_object_set(title, "xalign", 0.0, "margin", 6, "max-width-chars", 40, "wrap", TRUE, "wrap-mode",
                 PANGO_WRAP_WORD_CHAR, NULL);
    g_object_set(box, "margin", 6, NULL);
    gtk_box_pack_start(GTK_BOX(box), title, FALSE, FALSE, 0);
    if (!it->acts) {
        GtkWidget *why = gtk_label_new(app_hardware_why_not());
        g_object_set(why, "xalign", 0.0, "margin", 6, "max-width-chars", 40, "wrap", TRUE, NULL);
        gtk_style_context_add_class(gtk_widget_get_style_context(why), GTK_STYLE_CLASS_DIM_LABEL);
        gtk_box_pack_start(GTK_BOX(box), why, FALSE, FALSE, 0);
    }
    if (it->kind == HW_NETWORK && it->acts)
        add_network(s, pop, box, it->node);
    if (it->kind == HW_CD && it->acts && app_vm_is_live(s->vm)) {
        popover_button(s, box, _("Choose a CD image…"), it->node, G_CALLBACK(choose_clicked));
        const char *medium = app_vm_get_medium(s->vm, it->node);
        if (medium && *medium)
            popover_button(s, box, _("Disconnect"), it->node, G_CALLBACK(disconnect_clicked));
        else if (image_of(s, it))
            popover_button(s, box, _("Connect"), it->node, G_CALLBACK(connect_clicked));
    }
    popover_button(s, box, _("Settings…"), it->node, G_CALLBACK(settings_clicked));
    gtk_container_add(GTK_CONTAINER(pop), box);
    gtk_widget_show_all(box);
    return pop;
}

/* ---- activity ---- */

static void got_statistics(gpointer u, GVariant *result)
{
    AppStatusBar *s = u;
    s->asked = FALSE;
    if (result && s->vm && s->counters) {
        g_autoptr(GHashTable) sums = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_autoptr(GVariantIter) it = NULL;
        const char *name;
        guint64 v;
        g_variant_get(result, "(a{st})", &it);
        /* "ide0:0.reads": everything before the last dot is the device. */
        while (g_variant_iter_next(it, "{&st}", &name, &v)) {
            const char *dot = strrchr(name, '.');
            if (!dot)
                continue;
            g_autofree char *node = g_strndup(name, (gsize)(dot - name));
            guint64 *sum = g_hash_table_lookup(sums, node);
            if (!sum)
                g_hash_table_insert(sums, g_steal_pointer(&node), sum = g_new0(guint64, 1));
            *sum += v;
        }
        g_autoptr(GList) icons = gtk_container_get_children(GTK_CONTAINER(s->devices));
        for (GList *l = icons; l; l = l->next) {
            const char *node = g_object_get_data(l->data, "node");
            guint64 *now = g_hash_table_lookup(sums, node), *before = g_hash_table_lookup(s->counters, node);
            GtkStyleContext *c = gtk_widget_get_style_context(l->data);
            if (now && before && *now != *before)
                gtk_style_context_add_class(c, "busy");
            else
                gtk_style_context_remove_class(c, "busy");
            if (now)
                g_hash_table_replace(s->counters, g_strdup(node), g_memdup2(now, sizeof *now));
        }
    }
    g_object_unref(s);
}

static gboolean ask_activity(gpointer u)
{
    AppStatusBar *s = u;
    GtkWidget *top = gtk_widget_get_toplevel(GTK_WIDGET(s));
    if (s->asked || !GTK_IS_WINDOW(top) || !gtk_window_is_active(GTK_WINDOW(top)))
        return G_SOURCE_CONTINUE;
    s->asked = TRUE;
    app_vm_call(s->vm, "GetStatistics", NULL, NULL, got_statistics, g_object_ref(s));
    return G_SOURCE_CONTINUE;
}

static void run_timer(AppStatusBar *s)
{
    gboolean want = s->vm && app_vm_get_state(s->vm) == APP_VM_ON && !app_vm_is_remote(s->vm) &&
                    gtk_widget_get_mapped(GTK_WIDGET(s));
    if (want && !s->timer)
        s->timer = g_timeout_add(ACTIVITY_MS, ask_activity, s);
    else if (!want && s->timer)
        g_clear_handle_id(&s->timer, g_source_remove);
}

/* ---- icons ---- */

void app_status_bar_update(AppStatusBar *s)
{
    g_autoptr(GPtrArray) items = app_hardware_list(app_vm_get_dict(s->vm));
    g_autoptr(GString) made = g_string_new(app_vm_is_live(s->vm) ? "on" : "off");
    run_timer(s);
    if (!app_vm_is_live(s->vm)) {
        const struct vmx_dict *d = app_vm_get_dict(s->vm);
        app_status_bar_set_hint(s, app_vm_is_remote(s->vm) || !d ? "" : app_vm_state_name(app_vm_get_state(s->vm)));
    }
    for (guint i = 0; i < items->len; i++) {
        AppHwItem *it = items->pdata[i];
        g_autofree char *value = value_now(s, it);
        const char *medium = app_vm_get_medium(s->vm, it->node);
        g_string_append_printf(made, "\n%s\t%s\t%d\t%s", it->node, value, it->acts, medium ? medium : "-");
    }
    if (!g_strcmp0(made->str, s->shown))
        return;
    g_free(s->shown);
    s->shown = g_strdup(made->str);
    app_clear(s->devices);
    for (guint i = 0; i < items->len; i++) {
        AppHwItem *it = items->pdata[i];
        if (it->kind == HW_MEMORY || it->kind == HW_PROCESSORS || it->kind == HW_DISPLAY)
            continue;
        GtkWidget *b = gtk_menu_button_new();
        g_autofree char *value = value_now(s, it);
        g_autofree char *name = *value ? g_strdup_printf("%s: %s", it->label, value) : g_strdup(it->label);
        gtk_button_set_relief(GTK_BUTTON(b), GTK_RELIEF_NONE);
        gtk_widget_set_focus_on_click(b, FALSE);
        gtk_widget_set_tooltip_text(b, name);
        atk_object_set_name(gtk_widget_get_accessible(b), name);
        gtk_style_context_add_class(gtk_widget_get_style_context(b), "device");
        const char *medium = app_vm_get_medium(s->vm, it->node);
        gtk_widget_set_opacity(b, !it->acts ? 0.4 : medium && !*medium ? 0.6 : 1);
        g_object_set_data_full(G_OBJECT(b), "node", g_strdup(it->node), g_free);
        gtk_menu_button_set_direction(GTK_MENU_BUTTON(b), GTK_ARROW_UP);
        gtk_button_set_image(GTK_BUTTON(b),
                             gtk_image_new_from_icon_name(app_hardware_icon(it->kind), GTK_ICON_SIZE_MENU));
        gtk_menu_button_set_popover(GTK_MENU_BUTTON(b), new_popover(s, b, it, value));
        gtk_box_pack_start(GTK_BOX(s->devices), b, FALSE, FALSE, 0);
        gtk_widget_show(b);
    }
}

static void map_changed(GtkWidget *w, gpointer u) { run_timer(APP_STATUS_BAR(w)); }

GtkWidget *app_status_bar_new(AppVm *vm)
{
    AppStatusBar *s = g_object_new(APP_TYPE_STATUS_BAR, NULL);
    s->vm = g_object_ref(vm);
    app_status_bar_update(s);
    return GTK_WIDGET(s);
}

static void app_status_bar_init(AppStatusBar *s)
{
    s->counters = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    s->hint = gtk_label_new(NULL);
    s->devices = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 0);
    g_object_set(s->hint, "xalign", 0.0, "ellipsize", PANGO_ELLIPSIZE_END, "margin-start", 10, NULL);
    gtk_box_pack_start(GTK_BOX(s), s->hint, TRUE, TRUE, 0);
    gtk_box_pack_end(GTK_BOX(s), s->devices, FALSE, FALSE, 4);
    gtk_style_context_add_class(gtk_widget_get_style_context(GTK_WIDGET(s)), "statusbar");
    g_signal_connect_after(s, "map", G_CALLBACK(map_changed), NULL);
    g_signal_connect_after(s, "unmap", G_CALLBACK(map_changed), NULL);
    gtk_widget_show_all(GTK_WIDGET(s));
}

static void app_status_bar_dispose(GObject *o)
{
    AppStatusBar *s = APP_STATUS_BAR(o);
    g_clear_handle_id(&s->timer, g_source_remove);
    g_clear_object(&s->vm);
    g_clear_pointer(&s->counters, g_hash_table_unref);
    g_clear_pointer(&s->shown, g_free);
    G_OBJECT_CLASS(app_status_bar_parent_class)->dispose(o);
}

static void app_status_bar_class_init(AppStatusBarClass *k) { G_OBJECT_CLASS(k)->dispose = app_status_bar_dispose; }
