/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A list box with two kinds of rows: folders (open and close) and entries. Rows follow their entry's signals; the list
 * is rebuilt when entries or folders come and go. Ctrl and Shift select several; what the context menu offers acts on
 * all that are selected ("row." actions of the window).
 */
#include "app-sidebar.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app-error.h"
#include "app-application.h"

enum { THUMB_W = 64, THUMB_H = 40, REFRESH_S = 10 };

struct _AppSidebar {
    GtkBox parent;
    AppLibrary *library;
    GtkWidget *search, *list, *empty;
    GHashTable *closed; /* names of folders that are closed */
    guint refresh;
};
G_DEFINE_TYPE(AppSidebar, app_sidebar, GTK_TYPE_BOX)

enum { OPEN, SELECTED, N_SIGNALS };
static guint signals[N_SIGNALS];

static const GtkTargetEntry row_target[] = {{(char *)"LODGE_ENTRY", GTK_TARGET_SAME_APP, 0}};

/* Rows: "vm" is the entry, or "folder" the name. */
static AppVm *row_vm(GtkListBoxRow *r) { return r ? g_object_get_data(G_OBJECT(r), "vm") : NULL; }
static const char *row_folder(GtkListBoxRow *r)
{
    AppVm *vm = row_vm(r);
    return vm ? app_vm_get_folder(vm) : g_object_get_data(G_OBJECT(r), "folder");
}

static void set_thumbnail(GtkWidget *image, AppVm *vm)
{
    GdkPixbuf *p = g_settings_get_boolean(app_prefs(), "show-thumbnails") ? app_vm_get_thumbnail(vm) : NULL;
    if (!p || app_vm_get_state(vm) == APP_VM_MISSING) {
        gtk_image_set_from_icon_name(GTK_IMAGE(image), app_vm_get_icon(vm), GTK_ICON_SIZE_LARGE_TOOLBAR);
        return;
    }
    int scale = gtk_widget_get_scale_factor(image), w = gdk_pixbuf_get_width(p), h = gdk_pixbuf_get_height(p);
    double f = MIN((double)THUMB_W * scale / w, (double)THUMB_H * scale / h);
    g_autoptr(GdkPixbuf) small =
        gdk_pixbuf_scale_simple(p, MAX(1, (int)(w * f)), MAX(1, (int)(h * f)), GDK_INTERP_BILINEAR);
    cairo_surface_t *s = gdk_cairo_surface_create_from_pixbuf(small, scale, NULL);
    gtk_image_set_from_surface(GTK_IMAGE(image), s);
    cairo_surface_destroy(s);
}

static void row_update(AppVm *vm, GtkWidget *row)
{
    GtkWidget *image = g_object_get_data(G_OBJECT(row), "image"), *name = g_object_get_data(G_OBJECT(row), "name"),
              *state = g_object_get_data(G_OBJECT(row), "state"), *dot = g_object_get_data(G_OBJECT(row), "dot");
    AppVmState s = app_vm_get_state(vm);
    gboolean problem = app_vm_get_problem(vm, NULL, NULL) != NULL;
    /* A machine that lives has a state to show, even beside a request that it refused; the colour tells of that. */
    gboolean instead = problem && !app_vm_is_live(vm);
    const char *text = instead                ? _("Problem")
                       : app_vm_is_remote(vm) ? s == APP_VM_ON ? _("Connected") : _("Remote console")
                                              : app_vm_state_name(s);
    gtk_label_set_text(GTK_LABEL(name), app_vm_get_name(vm));
    gtk_label_set_text(GTK_LABEL(state), text);
    gtk_image_set_from_icon_name(
        GTK_IMAGE(dot), instead ? "dialog-error-symbolic" : app_vm_state_icon(s), GTK_ICON_SIZE_MENU);
    GtkStyleContext *c = gtk_widget_get_style_context(dot);
    for (const char *const *k = (const char *const[]){"state-on", "state-bad", NULL}; *k; k++)
        gtk_style_context_remove_class(c, *k);
    if (problem || s == APP_VM_FAULT)
        gtk_style_context_add_class(c, "state-bad");
    else if (app_vm_is_live(vm) && s != APP_VM_PAUSED)
        gtk_style_context_add_class(c, "state-on");
    gtk_widget_set_opacity(image, s == APP_VM_MISSING ? 0.4 : 1);
    gtk_widget_set_opacity(name, s == APP_VM_MISSING ? 0.55 : 1);
    gtk_widget_set_tooltip_text(row, app_vm_get_problem(vm, NULL, NULL) ? app_vm_get_problem(vm, NULL, NULL)
                                                                        : app_vm_get_path(vm));
    set_thumbnail(image, vm);
    g_autofree char *a11y = g_strdup_printf("%s, %s", app_vm_get_name(vm), text);
    atk_object_set_name(gtk_widget_get_accessible(row), a11y);
}

static void drag_get(GtkWidget *row, GdkDragContext *c, GtkSelectionData *d, guint info, guint time, gpointer u)
{
    AppVm *vm = row_vm(GTK_LIST_BOX_ROW(row));
    gtk_selection_data_set(d, gdk_atom_intern_static_string("LODGE_ENTRY"), 8, (const guchar *)&vm, sizeof vm);
}

static void drag_received(GtkWidget *row, GdkDragContext *c, int x, int y, GtkSelectionData *d, guint info, guint time,
                          gpointer u)
{
    AppSidebar *s = u;
    AppVm *vm;
    gboolean ok = FALSE;
    if (gtk_selection_data_get_length(d) == (int)sizeof vm) {
        memcpy(&vm, gtk_selection_data_get_data(d), sizeof vm);
        GListModel *m = app_library_get_model(s->library);
        for (guint i = 0; i < g_list_model_get_n_items(m) && !ok; i++) {
            g_autoptr(AppVm) v = g_list_model_get_item(m, i);
            ok = v == vm;
        }
        const char *folder = row_folder(GTK_LIST_BOX_ROW(row));
        if (ok && folder) {
            g_autofree char *name = g_strdup(folder);
            app_vm_set_folder(vm, name);
            g_signal_emit_by_name(s->library, "changed");
            app_library_save(s->library);
        }
    }
    gtk_drag_finish(c, ok, FALSE, time);
}

static void drop_here(AppSidebar *s, GtkWidget *row)
{
    gtk_drag_dest_set(row, GTK_DEST_DEFAULT_ALL, row_target, 1, GDK_ACTION_MOVE);
    g_signal_connect(row, "drag-data-received", G_CALLBACK(drag_received), s);
}

static GtkWidget *new_row(AppSidebar *s, AppVm *vm)
{
    GtkWidget *row = gtk_list_box_row_new(), *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8),
              *text = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0);
    GtkWidget *image = gtk_image_new(), *name = gtk_label_new(NULL), *state = gtk_label_new(NULL),
              *dot = gtk_image_new();
    g_object_set(box, "margin", 4, "margin-start", 8, NULL);
    gtk_widget_set_size_request(image, THUMB_W, THUMB_H);
    g_object_set(name, "xalign", 0.0, "ellipsize", PANGO_ELLIPSIZE_END, NULL);
    g_object_set(state, "xalign", 0.0, "ellipsize", PANGO_ELLIPSIZE_END, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(state), GTK_STYLE_CLASS_DIM_LABEL);
    gtk_style_context_add_class(gtk_widget_get_style_context(state), "small");
    gtk_widget_set_valign(text, GTK_ALIGN_CENTER);
    gtk_box_pack_start(GTK_BOX(box), image, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(text), name, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(text), state, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), text, TRUE, TRUE, 0);
    gtk_box_pack_end(GTK_BOX(box), dot, FALSE, FALSE, 0);
    gtk_container_add(GTK_CONTAINER(row), box);
    g_object_set_data_full(G_OBJECT(row), "vm", g_object_ref(vm), g_object_unref);
    g_object_set_data(G_OBJECT(row), "image", image);
    g_object_set_data(G_OBJECT(row), "name", name);
    g_object_set_data(G_OBJECT(row), "state", state);
    g_object_set_data(G_OBJECT(row), "dot", dot);
    gtk_drag_source_set(row, GDK_BUTTON1_MASK, row_target, 1, GDK_ACTION_MOVE);
    gtk_drag_source_set_icon_name(row, app_vm_get_icon(vm));
    g_signal_connect(row, "drag-data-get", G_CALLBACK(drag_get), s);
    drop_here(s, row);
    g_signal_connect_object(vm, "changed", G_CALLBACK(row_update), row, 0);
    g_signal_connect_object(vm, "thumbnail", G_CALLBACK(row_update), row, 0);
    row_update(vm, row);
    gtk_widget_show_all(row);
    return row;
}

static const char *folder_title(const char *folder) { return *folder ? folder : _("My machines"); }

static GtkWidget *new_folder_row(AppSidebar *s, const char *folder)
{
    GtkWidget *row = gtk_list_box_row_new(), *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6),
              *name = gtk_label_new(folder_title(folder));
    gboolean closed = g_hash_table_contains(s->closed, folder);
    GtkWidget *arrow =
        gtk_image_new_from_icon_name(closed ? "pan-end-symbolic" : "pan-down-symbolic", GTK_ICON_SIZE_MENU);
    g_object_set(box, "margin", 4, NULL);
    g_object_set(name, "xalign", 0.0, "ellipsize", PANGO_ELLIPSIZE_END, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(name), "folder");
    gtk_box_pack_start(GTK_BOX(box), arrow, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), name, TRUE, TRUE, 0);
    gtk_container_add(GTK_CONTAINER(row), box);
    gtk_list_box_row_set_selectable(GTK_LIST_BOX_ROW(row), FALSE);
    g_object_set_data_full(G_OBJECT(row), "folder", g_strdup(folder), g_free);
    g_object_set_data(G_OBJECT(row), "arrow", arrow);
    g_autofree char *a11y =
        g_strdup_printf(closed ? _("Folder %s, closed") : _("Folder %s, open"), folder_title(folder));
    atk_object_set_name(gtk_widget_get_accessible(row), a11y);
    drop_here(s, row);
    gtk_widget_show_all(row);
    return row;
}

static int compare(GtkListBoxRow *a, GtkListBoxRow *b, gpointer u)
{
    g_autofree char *fa = g_utf8_casefold(row_folder(a), -1), *fb = g_utf8_casefold(row_folder(b), -1);
    int c = g_utf8_collate(fa, fb);
    if (c)
        return c;
    if (!row_vm(a) || !row_vm(b))
        return !row_vm(a) ? -1 : 1;
    g_autofree char *na = g_utf8_casefold(app_vm_get_name(row_vm(a)), -1),
                    *nb = g_utf8_casefold(app_vm_get_name(row_vm(b)), -1);
    c = g_utf8_collate(na, nb);
    return c ? c : strcmp(app_vm_get_path(row_vm(a)), app_vm_get_path(row_vm(b)));
}

static gboolean visible(GtkListBoxRow *r, gpointer u)
{
    AppSidebar *s = u;
    const char *text = gtk_entry_get_text(GTK_ENTRY(s->search));
    AppVm *vm = row_vm(r);
    if (vm)
        return *text ? app_library_matches(vm, text) : !g_hash_table_contains(s->closed, app_vm_get_folder(vm));
    return !*text;
}

static void save_closed(AppSidebar *s)
{
    g_autoptr(GPtrArray) a = g_ptr_array_new();
    GHashTableIter it;
    gpointer k;
    g_hash_table_iter_init(&it, s->closed);
    while (g_hash_table_iter_next(&it, &k, NULL))
        g_ptr_array_add(a, k);
    g_ptr_array_add(a, NULL);
    g_settings_set_strv(app_prefs(), "collapsed-folders", (const char *const *)a->pdata);
}

static void find_vm(GtkWidget *w, gpointer u)
{
    gpointer *x = u;
    if (row_vm(GTK_LIST_BOX_ROW(w)) == x[0])
        x[1] = w;
}

static GtkListBoxRow *row_of(AppSidebar *s, AppVm *vm)
{
    gpointer x[2] = {vm, NULL};
    gtk_container_foreach(GTK_CONTAINER(s->list), find_vm, x);
    return x[1];
}

static void rebuild(AppSidebar *s)
{
    GListModel *m = app_library_get_model(s->library);
    g_auto(GStrv) folders = app_library_get_folders(s->library);
    g_autoptr(GPtrArray) selected = app_sidebar_get_selected(s);
    guint n = g_list_model_get_n_items(m);
    gboolean first = FALSE;
    app_clear(s->list);
    for (guint i = 0; i < n; i++) {
        g_autoptr(AppVm) vm = g_list_model_get_item(m, i);
        first |= !*app_vm_get_folder(vm);
        gtk_container_add(GTK_CONTAINER(s->list), new_row(s, vm));
    }
    if (first || (n && !folders[0]))
        gtk_container_add(GTK_CONTAINER(s->list), new_folder_row(s, ""));
    for (char **f = folders; *f; f++)
        gtk_container_add(GTK_CONTAINER(s->list), new_folder_row(s, *f));
    gtk_list_box_invalidate_sort(GTK_LIST_BOX(s->list));
    for (guint i = 0; i < selected->len; i++) {
        GtkListBoxRow *r = row_of(s, selected->pdata[i]);
        if (r)
            gtk_list_box_select_row(GTK_LIST_BOX(s->list), r);
    }
}

/* This one alone, but not when it is one of several that the user has chosen. */
void app_sidebar_select(AppSidebar *s, AppVm *vm)
{
    GtkListBoxRow *r = row_of(s, vm);
    if (r && gtk_list_box_row_is_selected(r))
        return;
    gtk_list_box_unselect_all(GTK_LIST_BOX(s->list));
    if (r)
        gtk_list_box_select_row(GTK_LIST_BOX(s->list), r);
}

static void collect(GtkListBox *b, GtkListBoxRow *r, gpointer u)
{
    if (row_vm(r))
        g_ptr_array_add(u, g_object_ref(row_vm(r)));
}

GPtrArray *app_sidebar_get_selected(AppSidebar *s)
{
    GPtrArray *a = g_ptr_array_new_with_free_func(g_object_unref);
    gtk_list_box_selected_foreach(GTK_LIST_BOX(s->list), collect, a);
    return a;
}

static void activated(GtkListBox *b, GtkListBoxRow *r, gpointer u)
{
    AppSidebar *s = u;
    if (row_vm(r)) {
        g_signal_emit(s, signals[OPEN], 0, row_vm(r));
        return;
    }
    const char *f = row_folder(r);
    if (!g_hash_table_remove(s->closed, f))
        g_hash_table_add(s->closed, g_strdup(f));
    gboolean closed = g_hash_table_contains(s->closed, f);
    gtk_image_set_from_icon_name(g_object_get_data(G_OBJECT(r), "arrow"),
                                 closed ? "pan-end-symbolic" : "pan-down-symbolic", GTK_ICON_SIZE_MENU);
    g_autofree char *a11y = g_strdup_printf(closed ? _("Folder %s, closed") : _("Folder %s, open"), folder_title(f));
    atk_object_set_name(gtk_widget_get_accessible(GTK_WIDGET(r)), a11y);
    gtk_list_box_invalidate_filter(b);
    save_closed(s);
}

/* ---- context menu ---- */

static void popup(AppSidebar *s, GtkListBoxRow *r, const GdkEvent *ev)
{
    g_autoptr(GtkBuilder) b = gtk_builder_new_from_resource("/org/lodge/Lodge/ui/menus.ui");
    GMenu *menu;
    if (row_vm(r)) {
        if (!gtk_list_box_row_is_selected(r)) {
            gtk_list_box_unselect_all(GTK_LIST_BOX(s->list));
            gtk_list_box_select_row(GTK_LIST_BOX(s->list), r);
        }
        g_signal_emit(s, signals[SELECTED], 0); /* a state may have changed since */
        menu = G_MENU(gtk_builder_get_object(b, "row-menu"));
        GMenu *move = G_MENU(gtk_builder_get_object(b, "move-menu"));
        g_auto(GStrv) folders = app_library_get_folders(s->library);
        for (char **f = folders; *f; f++) {
            g_autoptr(GMenuItem) item = g_menu_item_new(*f, NULL);
            g_menu_item_set_action_and_target(item, "row.vm-move", "s", *f);
            g_menu_insert_item(move, 1, item);
        }
    } else {
        const char *f = row_folder(r);
        if (!*f)
            return;
        menu = G_MENU(gtk_builder_get_object(b, "folder-menu"));
        g_autoptr(GMenuItem) rename = g_menu_item_new(_("_Rename folder…"), NULL),
                             drop = g_menu_item_new(_("Remove _folder"), NULL);
        g_menu_item_set_action_and_target(rename, "win.folder-rename", "s", f);
        g_menu_item_set_action_and_target(drop, "win.folder-remove", "s", f);
        g_menu_append_item(menu, rename);
        g_menu_append_item(menu, drop);
    }
    GtkWidget *m = gtk_menu_new_from_model(G_MENU_MODEL(menu));
    gtk_menu_attach_to_widget(GTK_MENU(m), GTK_WIDGET(s), NULL);
    if (ev)
        gtk_menu_popup_at_pointer(GTK_MENU(m), ev);
    else
        gtk_menu_popup_at_widget(GTK_MENU(m), GTK_WIDGET(r), GDK_GRAVITY_SOUTH_WEST, GDK_GRAVITY_NORTH_WEST, NULL);
}

static gboolean pressed(GtkWidget *list, GdkEventButton *ev, gpointer u)
{
    if (!gdk_event_triggers_context_menu((GdkEvent *)ev))
        return GDK_EVENT_PROPAGATE;
    GtkListBoxRow *r = gtk_list_box_get_row_at_y(GTK_LIST_BOX(list), (int)ev->y);
    if (r)
        popup(u, r, (GdkEvent *)ev);
    return GDK_EVENT_STOP;
}

static gboolean popup_menu(GtkWidget *list, gpointer u)
{
    GtkWidget *focus = gtk_container_get_focus_child(GTK_CONTAINER(list));
    if (focus)
        popup(u, GTK_LIST_BOX_ROW(focus), NULL);
    return TRUE;
}

static void selected_rows(AppSidebar *s) { g_signal_emit(s, signals[SELECTED], 0); }

static void searched(AppSidebar *s) { gtk_list_box_invalidate_filter(GTK_LIST_BOX(s->list)); }

static void search_done(AppSidebar *s)
{
    for (int i = 0;; i++) {
        GtkListBoxRow *r = gtk_list_box_get_row_at_index(GTK_LIST_BOX(s->list), i);
        if (!r)
            return;
        if (row_vm(r) && visible(r, s)) {
            gtk_list_box_select_row(GTK_LIST_BOX(s->list), r);
            g_signal_emit(s, signals[OPEN], 0, row_vm(r));
            return;
        }
    }
}

/* Typing in the list goes to the search. */
static gboolean key_in_list(GtkWidget *list, GdkEvent *ev, gpointer u)
{
    AppSidebar *s = u;
    guint key = ((GdkEventKey *)ev)->keyval;
    if (key == GDK_KEY_space || key == GDK_KEY_Return || gdk_keyval_to_unicode(key) < 0x21)
        return GDK_EVENT_PROPAGATE;
    return gtk_search_entry_handle_event(GTK_SEARCH_ENTRY(s->search), ev);
}

void app_sidebar_find(AppSidebar *s) { gtk_widget_grab_focus(s->search); }

/* Live pictures, slowly, and only while somebody can see them. */
static gboolean refresh(gpointer u)
{
    AppSidebar *s = u;
    GListModel *m = app_library_get_model(s->library);
    if (!g_settings_get_boolean(app_prefs(), "show-thumbnails"))
        return G_SOURCE_CONTINUE;
    for (guint i = 0; i < g_list_model_get_n_items(m); i++) {
        g_autoptr(AppVm) vm = g_list_model_get_item(m, i);
        if (app_vm_is_live(vm) && !app_vm_is_remote(vm))
            app_vm_refresh_thumbnail(vm);
    }
    return G_SOURCE_CONTINUE;
}

static void app_sidebar_map(GtkWidget *w)
{
    AppSidebar *s = APP_SIDEBAR(w);
    GTK_WIDGET_CLASS(app_sidebar_parent_class)->map(w);
    if (!s->refresh)
        s->refresh = g_timeout_add_seconds(REFRESH_S, refresh, s);
}

static void app_sidebar_unmap(GtkWidget *w)
{
    AppSidebar *s = APP_SIDEBAR(w);
    if (s->refresh)
        g_source_remove(s->refresh);
    s->refresh = 0;
    GTK_WIDGET_CLASS(app_sidebar_parent_class)->unmap(w);
}

GtkWidget *app_sidebar_new(AppLibrary *l)
{
    AppSidebar *s = g_object_new(APP_TYPE_SIDEBAR, NULL);
    s->library = g_object_ref(l);
    g_signal_connect_object(l, "changed", G_CALLBACK(rebuild), s, G_CONNECT_SWAPPED);
    g_signal_connect_object(app_prefs(), "changed::show-thumbnails", G_CALLBACK(rebuild), s, G_CONNECT_SWAPPED);
    rebuild(s);
    return GTK_WIDGET(s);
}

static void app_sidebar_init(AppSidebar *s)
{
    GtkWidget *scroll = gtk_scrolled_window_new(NULL, NULL);
    g_auto(GStrv) closed = g_settings_get_strv(app_prefs(), "collapsed-folders");
    gtk_orientable_set_orientation(GTK_ORIENTABLE(s), GTK_ORIENTATION_VERTICAL);
    s->closed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (char **f = closed; *f; f++)
        g_hash_table_add(s->closed, g_strdup(*f));
    s->search = gtk_search_entry_new();
    gtk_entry_set_placeholder_text(GTK_ENTRY(s->search), _("Search"));
    atk_object_set_name(gtk_widget_get_accessible(s->search), _("Search the library"));
    g_object_set(s->search, "margin", 6, NULL);
    s->list = gtk_list_box_new();
    gtk_list_box_set_selection_mode(GTK_LIST_BOX(s->list), GTK_SELECTION_MULTIPLE);
    gtk_list_box_set_sort_func(GTK_LIST_BOX(s->list), compare, s, NULL);
    gtk_list_box_set_filter_func(GTK_LIST_BOX(s->list), visible, s, NULL);
    atk_object_set_name(gtk_widget_get_accessible(s->list), _("Library"));
    s->empty = gtk_label_new(_("Nothing here yet.\nMake or open a machine."));
    g_object_set(s->empty, "margin", 18, "justify", GTK_JUSTIFY_CENTER, "wrap", TRUE, "max-width-chars", 20, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(s->empty), GTK_STYLE_CLASS_DIM_LABEL);
    gtk_widget_show(s->empty);
    gtk_list_box_set_placeholder(GTK_LIST_BOX(s->list), s->empty);
    app_list_one_tab(s->list);
    gtk_style_context_add_class(gtk_widget_get_style_context(GTK_WIDGET(s)), "sidebar");
    gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(scroll), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
    gtk_container_add(GTK_CONTAINER(scroll), s->list);
    gtk_box_pack_start(GTK_BOX(s), s->search, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(s), scroll, TRUE, TRUE, 0);
    g_signal_connect(s->list, "row-activated", G_CALLBACK(activated), s);
    g_signal_connect_swapped(s->list, "selected-rows-changed", G_CALLBACK(selected_rows), s);
    g_signal_connect(s->list, "button-press-event", G_CALLBACK(pressed), s);
    g_signal_connect(s->list, "popup-menu", G_CALLBACK(popup_menu), s);
    g_signal_connect(s->list, "key-press-event", G_CALLBACK(key_in_list), s);
    g_signal_connect_swapped(s->search, "search-changed", G_CALLBACK(searched), s);
    g_signal_connect_swapped(s->search, "activate", G_CALLBACK(search_done), s);
    gtk_widget_show_all(GTK_WIDGET(s));
}

static void app_sidebar_dispose(GObject *o)
{
    AppSidebar *s = APP_SIDEBAR(o);
    if (s->refresh)
        g_source_remove(s->refresh);
    s->refresh = 0;
    g_clear_object(&s->library);
    g_clear_pointer(&s->closed, g_hash_table_unref);
    G_OBJECT_CLASS(app_sidebar_parent_class)->dispose(o);
}

static void app_sidebar_class_init(AppSidebarClass *k)
{
    G_OBJECT_CLASS(k)->dispose = app_sidebar_dispose;
    GTK_WIDGET_CLASS(k)->map = app_sidebar_map;
    GTK_WIDGET_CLASS(k)->unmap = app_sidebar_unmap;
    signals[SELECTED] =
        g_signal_new("selection-changed", APP_TYPE_SIDEBAR, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    signals[OPEN] =
        g_signal_new("open", APP_TYPE_SIDEBAR, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, APP_TYPE_VM);
}
