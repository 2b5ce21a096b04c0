/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The window: tabs and torn-off windows, header bar, its actions, what is remembered. Actions on machines: app-actions.c. */
#include "app-window-private.h"

#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>

#include "app-actions.h"
#include "app-home.h"
#include "app-networks.h"
#include "app-performance.h"
#include "app-new-vm.h"
#include "app-sidebar.h"

G_DEFINE_TYPE(AppWindow, app_window, GTK_TYPE_APPLICATION_WINDOW)

static AppLibrary *library(void) { return app_application_get_library(app_application_default()); }
gboolean app_window_is_torn(AppWindow *w) { return w->torn; }

/* ---- tabs ---- */

AppVmPage *window_page_at(AppWindow *w, int i)
{
    GtkWidget *c = gtk_notebook_get_nth_page(GTK_NOTEBOOK(w->tabs), i);
    return c && APP_IS_VM_PAGE(c) ? APP_VM_PAGE(c) : NULL;
}

static int find_page(AppWindow *w, AppVm *vm)
{
    for (int i = 0; i < gtk_notebook_get_n_pages(GTK_NOTEBOOK(w->tabs)); i++)
        if (window_page_at(w, i) && app_vm_page_get_vm(window_page_at(w, i)) == vm)
            return i;
    return -1;
}

AppVmPage *window_shown_page(AppWindow *w)
{
    int i = gtk_notebook_get_current_page(GTK_NOTEBOOK(w->tabs));
    return i < 0 ? NULL : window_page_at(w, i);
}

AppVm *app_window_get_vm(AppWindow *w)
{
    AppVmPage *p = window_shown_page(w);
    return p ? app_vm_page_get_vm(p) : NULL;
}

static AppWindow *window_with(AppVm *vm, int *at)
{
    for (GList *l = gtk_application_get_windows(GTK_APPLICATION(app_application_default())); l; l = l->next)
        if (APP_IS_WINDOW(l->data) && (*at = find_page(l->data, vm)) >= 0)
            return l->data;
    return NULL;
}

static void tab_label_update(AppVm *vm, GtkWidget *box)
{
    GtkWidget *label = g_object_get_data(G_OBJECT(box), "label"), *dot = g_object_get_data(G_OBJECT(box), "dot");
    gtk_label_set_text(GTK_LABEL(label), app_vm_get_name(vm));
    gtk_image_set_from_icon_name(
        GTK_IMAGE(dot), app_vm_is_remote(vm) ? "network-server-symbolic" : app_vm_state_icon(app_vm_get_state(vm)),
        GTK_ICON_SIZE_MENU);
    GtkStyleContext *c = gtk_widget_get_style_context(dot);
    gtk_style_context_remove_class(c, "state-on");
    if (app_vm_is_live(vm) && app_vm_get_state(vm) != APP_VM_PAUSED)
        gtk_style_context_add_class(c, "state-on");
}

static void close_clicked(GtkButton *b, gpointer page)
{
    GtkWidget *top = gtk_widget_get_toplevel(GTK_WIDGET(b));
    window_close_page(APP_WINDOW(top), page);
}

static GtkWidget *tab_label(AppVm *vm, GtkWidget *page)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6), *dot = gtk_image_new(), *label = gtk_label_new(NULL);
    gtk_label_set_ellipsize(GTK_LABEL(label), PANGO_ELLIPSIZE_END);
    gtk_label_set_width_chars(GTK_LABEL(label), 12);
    gtk_box_pack_start(GTK_BOX(box), dot, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), label, TRUE, TRUE, 0);
    GtkWidget *close = gtk_button_new_from_icon_name("window-close-symbolic", GTK_ICON_SIZE_MENU);
    gtk_button_set_relief(GTK_BUTTON(close), GTK_RELIEF_NONE);
    gtk_widget_set_focus_on_click(close, FALSE);
    gtk_widget_set_tooltip_text(close, _("Close tab"));
    g_autofree char *name = g_strdup_printf(_("Close %s"), app_vm_get_name(vm));
    atk_object_set_name(gtk_widget_get_accessible(close), name);
    g_signal_connect(close, "clicked", G_CALLBACK(close_clicked), page);
    gtk_box_pack_end(GTK_BOX(box), close, FALSE, FALSE, 0);
    g_object_set_data(G_OBJECT(box), "dot", dot);
    g_object_set_data(G_OBJECT(box), "label", label);
    g_signal_connect_object(vm, "changed", G_CALLBACK(tab_label_update), box, 0);
    tab_label_update(vm, box);
    gtk_widget_show_all(box);
    return box;
}

static void add_page(AppWindow *w, AppVm *vm)
{
    GtkWidget *page = app_vm_page_new(vm);
    int i = gtk_notebook_append_page(GTK_NOTEBOOK(w->tabs), page, tab_label(vm, page));
    gtk_notebook_set_tab_detachable(GTK_NOTEBOOK(w->tabs), page, TRUE);
    gtk_notebook_set_tab_reorderable(GTK_NOTEBOOK(w->tabs), page, TRUE);
    gtk_container_child_set(GTK_CONTAINER(w->tabs), page, "menu-label", app_vm_get_name(vm), NULL);
    gtk_notebook_set_current_page(GTK_NOTEBOOK(w->tabs), i);
}

void app_window_open_vm(AppWindow *w, AppVm *vm)
{
    int at;
    AppWindow *has = window_with(vm, &at);
    if (has) {
        gtk_notebook_set_current_page(GTK_NOTEBOOK(has->tabs), at);
        if (has != w)
            gtk_window_present(GTK_WINDOW(has));
    } else {
        add_page(w, vm);
    }
    if (app_vm_is_remote(vm) && app_vm_get_state(vm) == APP_VM_OFF && !app_vm_get_problem(vm, NULL, NULL))
        app_vm_power_on(vm);
}

/*
 * GTK takes a page out of its list before it tells assistive tools, and these then ask for the label of a page that it does not find any more.
 * So another page is shown first, the tab's name is noted in its accessible object, and that says nothing more of itself than that it is gone.
 */
static void remove_page(AppWindow *w, GtkWidget *page)
{
    GtkNotebook *tabs = GTK_NOTEBOOK(w->tabs);
    int i = gtk_notebook_page_num(tabs, page), n = gtk_notebook_get_n_pages(tabs);
    if (i < 0)
        return;
    if (n > 1 && gtk_notebook_get_current_page(tabs) == i)
        gtk_notebook_set_current_page(tabs, i + 1 < n ? i + 1 : i - 1);
    AtkObject *tab = atk_object_ref_accessible_child(gtk_widget_get_accessible(w->tabs), i);
    g_autofree char *name = tab ? g_strdup(atk_object_get_name(tab)) : NULL;
    if (name)
        atk_object_set_name(tab, name);
    if (tab)
        g_object_freeze_notify(G_OBJECT(tab)); /* for the rest of its life */
    g_clear_object(&tab);
    gtk_notebook_remove_page(tabs, i);
}

void window_drop_page(AppWindow *w, GtkWidget *page)
{
    AppVm *vm = APP_IS_VM_PAGE(page) ? app_vm_page_get_vm(APP_VM_PAGE(page)) : NULL;
    if (vm && app_vm_is_remote(vm))
        lodge_mks_session_close(app_vm_get_session(vm));
    remove_page(w, page);
    if (w->torn && gtk_notebook_get_n_pages(GTK_NOTEBOOK(w->tabs)) == 0)
        gtk_widget_destroy(GTK_WIDGET(w));
}

void app_window_close_vm(AppWindow *w, AppVm *vm)
{
    int at;
    AppWindow *has = window_with(vm, &at);
    if (has)
        window_drop_page(has, gtk_notebook_get_nth_page(GTK_NOTEBOOK(has->tabs), at));
}

/* ---- tearing off ---- */

void app_window_set_torn(AppWindow *w, gboolean torn)
{
    w->torn = torn;
    gtk_widget_set_visible(w->sidebar_box, !torn);
    gtk_widget_set_visible(w->sidebar_button, !torn);
    gtk_widget_set_visible(w->new_button, !torn);
    if (torn && gtk_notebook_get_n_pages(GTK_NOTEBOOK(w->tabs)) &&
        APP_IS_HOME(gtk_notebook_get_nth_page(GTK_NOTEBOOK(w->tabs), 0)))
        remove_page(w, gtk_notebook_get_nth_page(GTK_NOTEBOOK(w->tabs), 0));
    g_action_change_state(g_action_map_lookup_action(G_ACTION_MAP(w), "show-sidebar"), g_variant_new_boolean(!torn));
}

static AppWindow *new_torn(void)
{
    AppWindow *w = app_window_new(app_application_default());
    app_window_set_torn(w, TRUE);
    gtk_window_set_default_size(GTK_WINDOW(w), 900, 640);
    return w;
}

static GtkNotebook *create_window(GtkNotebook *from, GtkWidget *page, int x, int y, gpointer u)
{
    AppWindow *w = new_torn();
    gtk_window_move(GTK_WINDOW(w), x, y);
    gtk_widget_show(GTK_WIDGET(w));
    return GTK_NOTEBOOK(w->tabs);
}

void app_window_tear(AppWindow *w, AppVm *vm)
{
    int at;
    AppWindow *has = window_with(vm, &at), *to;
    if (has && has->torn && gtk_notebook_get_n_pages(GTK_NOTEBOOK(has->tabs)) == 1) {
        /* Alone in a window already: put it back. */
        for (GList *l = gtk_application_get_windows(GTK_APPLICATION(app_application_default())); l; l = l->next)
            if (APP_IS_WINDOW(l->data) && !app_window_is_torn(l->data)) {
                window_drop_page(has, gtk_notebook_get_nth_page(GTK_NOTEBOOK(has->tabs), at));
                app_window_open_vm(l->data, vm);
                gtk_window_present(l->data);
                return;
            }
        return;
    }
    to = new_torn();
    if (has) {
        GtkWidget *page = gtk_notebook_get_nth_page(GTK_NOTEBOOK(has->tabs), at);
        remove_page(has, page);
        if (has->torn && gtk_notebook_get_n_pages(GTK_NOTEBOOK(has->tabs)) == 0)
            gtk_widget_destroy(GTK_WIDGET(has));
    }
    add_page(to, vm);
    gtk_window_present(GTK_WINDOW(to));
}

static void page_count_changed(GtkNotebook *n, GtkWidget *child, guint num, gpointer u)
{
    AppWindow *w = u;
    if (!gtk_widget_in_destruction(GTK_WIDGET(w)))
        app_window_update(w);
}

static void page_removed(GtkNotebook *n, GtkWidget *child, guint num, gpointer u)
{
    AppWindow *w = u;
    page_count_changed(n, child, num, u);
    if (w->torn && gtk_notebook_get_n_pages(n) == 0 && !gtk_widget_in_destruction(GTK_WIDGET(w)))
        gtk_widget_hide(GTK_WIDGET(w));
}

static void page_switched(GtkNotebook *n, GtkWidget *page, guint num, gpointer u)
{
    AppWindow *w = u;
    if (gtk_widget_in_destruction(GTK_WIDGET(w)))
        return;
    app_window_update(w);
    if (w->sidebar && APP_IS_VM_PAGE(page))
        app_sidebar_select(APP_SIDEBAR(w->sidebar), app_vm_page_get_vm(APP_VM_PAGE(page)));
    if (APP_IS_VM_PAGE(page))
        app_vm_page_focus(APP_VM_PAGE(page));
    else if (APP_IS_HOME(page))
        app_home_focus(APP_HOME(page));
}

/* ---- header bar ---- */

static void shown_vm_changed(AppVm *vm, gpointer u)
{
    AppWindow *w = u;
    if (vm == app_window_get_vm(w) || vm == w->full_wanted)
        app_window_update(w);
}

static GPtrArray *tab_targets(AppWindow *w)
{
    GPtrArray *a = g_ptr_array_new_with_free_func(g_object_unref);
    AppVm *vm = app_window_get_vm(w);
    if (vm)
        g_ptr_array_add(a, g_object_ref(vm));
    return a;
}

static GPtrArray *row_targets(AppWindow *w)
{
    return w->sidebar ? app_sidebar_get_selected(APP_SIDEBAR(w->sidebar))
                      : g_ptr_array_new_with_free_func(g_object_unref);
}

void app_window_update(AppWindow *w)
{
    AppVm *vm = app_window_get_vm(w);
    AppVmState s = vm ? app_vm_get_state(vm) : APP_VM_MISSING;
    gboolean live = vm && app_vm_is_live(vm), remote = vm && app_vm_is_remote(vm), paused = s == APP_VM_PAUSED;
    if (gtk_widget_in_destruction(GTK_WIDGET(w)))
        return;
    if (vm && !g_signal_handler_find(vm, G_SIGNAL_MATCH_FUNC | G_SIGNAL_MATCH_DATA, 0, 0, NULL,
                                     (gpointer)shown_vm_changed, w))
        g_signal_connect_object(vm, "changed", G_CALLBACK(shown_vm_changed), w, 0);
    g_autofree char *title = vm ? g_strdup_printf("%s — Lodge", app_vm_get_name(vm)) : g_strdup("Lodge");
    gtk_window_set_title(GTK_WINDOW(w), title);
    gtk_header_bar_set_title(GTK_HEADER_BAR(w->header), vm ? app_vm_get_name(vm) : "Lodge");
    gtk_header_bar_set_subtitle(GTK_HEADER_BAR(w->header),
                                vm ? remote ? app_vm_get_path(vm) : app_vm_state_name(s) : NULL);
    app_actions_update(w, G_ACTION_MAP(w), tab_targets);
    app_actions_update(w, G_ACTION_MAP(w->row), row_targets);
    gtk_widget_set_visible(w->power_on, vm && !live && s != APP_VM_MISSING);
    gtk_label_set_text(GTK_LABEL(w->power_on_label), remote ? _("Connect") : _("Power on"));
    gtk_widget_set_visible(w->pause, live && !remote);
    gtk_actionable_set_action_name(GTK_ACTIONABLE(w->pause), paused ? "win.vm-resume" : "win.vm-pause");
    gtk_widget_set_tooltip_text(w->pause, paused ? _("Resume") : _("Pause"));
    atk_object_set_name(gtk_widget_get_accessible(w->pause), paused ? _("Resume") : _("Pause"));
    gtk_image_set_from_icon_name(GTK_IMAGE(gtk_bin_get_child(GTK_BIN(w->pause))),
                                 paused ? "media-playback-start-symbolic" : "media-playback-pause-symbolic",
                                 GTK_ICON_SIZE_BUTTON);
    gtk_widget_set_visible(w->shut_box, live && !remote);
    gtk_widget_set_visible(w->full_screen, live);
    gtk_widget_set_visible(w->fit_menu, live);
    gtk_widget_set_visible(w->keys_menu, live);
    for (const char *const *a = (const char *const[]){"full-screen", "fit-window", "fit-guest-now", NULL}; *a; a++)
        g_simple_action_set_enabled(G_SIMPLE_ACTION(g_action_map_lookup_action(G_ACTION_MAP(w), *a)), live);
    g_simple_action_set_enabled(G_SIMPLE_ACTION(g_action_map_lookup_action(G_ACTION_MAP(w), "close-tab")), vm != NULL);
    g_simple_action_set_enabled(G_SIMPLE_ACTION(g_action_map_lookup_action(G_ACTION_MAP(w), "tear")), vm != NULL);
    if (w->full_wanted && vm == w->full_wanted && s == APP_VM_ON) {
        g_clear_object(&w->full_wanted);
        window_go_full(w);
    }
    if (w->full && vm && !live)
        window_leave_full(w);
}

/* ---- actions of the window ---- */

static void act_new_vm(GSimpleAction *s, GVariant *p, gpointer u) { app_new_vm_show(GTK_WINDOW(u), NULL); }
static void act_open(GSimpleAction *s, GVariant *p, gpointer u) { window_choose(u, FALSE); }
static void act_scan(GSimpleAction *s, GVariant *p, gpointer u) { window_choose(u, TRUE); }
static void act_full_screen(GSimpleAction *s, GVariant *p, gpointer u) { window_go_full(u); }
static void act_next_tab(GSimpleAction *s, GVariant *p, gpointer u)
{
    gtk_notebook_next_page(GTK_NOTEBOOK(APP_WINDOW(u)->tabs));
}
static void act_previous_tab(GSimpleAction *s, GVariant *p, gpointer u)
{
    gtk_notebook_prev_page(GTK_NOTEBOOK(APP_WINDOW(u)->tabs));
}
static void act_next_vm(GSimpleAction *s, GVariant *p, gpointer u) { window_step_vm(u, 1); }
static void act_previous_vm(GSimpleAction *s, GVariant *p, gpointer u) { window_step_vm(u, -1); }
static void act_home(GSimpleAction *s, GVariant *p, gpointer u)
{
    gtk_notebook_set_current_page(GTK_NOTEBOOK(APP_WINDOW(u)->tabs), 0);
}
static void find_menu_bar(GtkWidget *child, gpointer out)
{
    if (GTK_IS_MENU_BAR(child) && gtk_widget_get_visible(child))
        *(GtkWidget **)out = child;
}

/* F10: the menu bar where it is shown, else the button's menu. */
static void act_menu(GSimpleAction *s, GVariant *p, gpointer u)
{
    AppWindow *w = u;
    GtkWidget *bar = NULL;
    if (g_settings_get_boolean(app_prefs(), "show-menubar"))
        gtk_container_forall(GTK_CONTAINER(w), find_menu_bar, &bar);
    if (bar)
        gtk_menu_shell_select_first(GTK_MENU_SHELL(bar), FALSE);
    else
        gtk_button_clicked(GTK_BUTTON(w->menu_button));
}

static void act_find(GSimpleAction *s, GVariant *p, gpointer u)
{
    AppWindow *w = u;
    if (w->torn)
        return;
    g_action_group_change_action_state(G_ACTION_GROUP(w), "show-sidebar", g_variant_new_boolean(TRUE));
    app_sidebar_find(APP_SIDEBAR(w->sidebar));
}

static void act_close_tab(GSimpleAction *s, GVariant *p, gpointer u)
{
    AppWindow *w = u;
    AppVmPage *page = window_shown_page(w);
    if (page)
        window_close_page(w, GTK_WIDGET(page));
}

static void act_tear(GSimpleAction *s, GVariant *p, gpointer u)
{
    AppVm *vm = app_window_get_vm(u);
    if (vm)
        app_window_tear(u, vm);
}

static void act_fit_guest(GSimpleAction *s, GVariant *p, gpointer u)
{
    AppVmPage *page = window_shown_page(u);
    LodgeMksView *v = page ? app_vm_page_get_view(page) : NULL;
    if (v && !lodge_mks_view_fit_guest_now(v))
        app_vm_refused(app_vm_page_get_vm(page), _("The guest follows only from the next start of its display driver on."));
}

static void act_fit_window(GSimpleAction *s, GVariant *p, gpointer u)
{
    AppWindow *w = u;
    AppVmPage *page = window_shown_page(w);
    LodgeMksView *v = page ? app_vm_page_get_view(page) : NULL;
    int vw, vh, ww, wh;
    if (!v || !lodge_mks_view_get_natural_size(v, &vw, &vh) || gtk_window_is_maximized(GTK_WINDOW(w)))
        return;
    gtk_window_get_size(GTK_WINDOW(w), &ww, &wh);
    gtk_window_resize(GTK_WINDOW(w), ww - gtk_widget_get_allocated_width(GTK_WIDGET(v)) + vw,
                      wh - gtk_widget_get_allocated_height(GTK_WIDGET(v)) + vh);
}

static void sidebar_state(GSimpleAction *s, GVariant *state, gpointer u)
{
    AppWindow *w = u;
    gboolean show = g_variant_get_boolean(state) && !w->torn;
    g_simple_action_set_state(s, g_variant_new_boolean(show));
    gtk_widget_set_visible(w->sidebar_box, show);
    if (!w->torn)
        g_settings_set_boolean(app_prefs(), "show-sidebar", show);
}

static void rename_answer(GtkDialog *d, int response, gpointer u)
{
    const char *from = u;
    GtkWidget *entry = g_object_get_data(G_OBJECT(d), "entry");
    g_autofree char *to = g_strstrip(g_strdup(gtk_entry_get_text(GTK_ENTRY(entry))));
    if (response == GTK_RESPONSE_ACCEPT && *to)
        app_library_rename_folder(library(), from, to);
    gtk_widget_destroy(GTK_WIDGET(d));
}

static void act_folder_rename(GSimpleAction *s, GVariant *p, gpointer u)
{
    GtkWidget *d =
        gtk_dialog_new_with_buttons(_("Rename folder"), GTK_WINDOW(u),
                                    GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT | GTK_DIALOG_USE_HEADER_BAR,
                                    _("_Cancel"), GTK_RESPONSE_CANCEL, _("_Rename"), GTK_RESPONSE_ACCEPT, NULL);
    GtkWidget *entry = gtk_entry_new();
    const char *name = g_variant_get_string(p, NULL);
    gtk_entry_set_text(GTK_ENTRY(entry), name);
    gtk_entry_set_activates_default(GTK_ENTRY(entry), TRUE);
    atk_object_set_name(gtk_widget_get_accessible(entry), _("Name"));
    g_object_set(entry, "margin", 18, "width-chars", 32, NULL);
    gtk_container_add(GTK_CONTAINER(gtk_dialog_get_content_area(GTK_DIALOG(d))), entry);
    gtk_dialog_set_default_response(GTK_DIALOG(d), GTK_RESPONSE_ACCEPT);
    g_object_set_data(G_OBJECT(d), "entry", entry);
    g_signal_connect_data(d, "response", G_CALLBACK(rename_answer), g_strdup(name),
                          (GClosureNotify)(void (*)(void))g_free, 0);
    gtk_widget_show_all(d);
}

static void act_folder_remove(GSimpleAction *s, GVariant *p, gpointer u)
{
    app_library_rename_folder(library(), g_variant_get_string(p, NULL), "");
}

static void act_memory(GSimpleAction *s, GVariant *p, gpointer u) { app_performance_show(GTK_WINDOW(u), library(), NULL); }
static void act_networks(GSimpleAction *s, GVariant *p, gpointer u) { app_networks_show(GTK_WINDOW(u)); }

static const GActionEntry actions[] = {
    {"new-vm", act_new_vm},
    {"open", act_open},
    {"scan", act_scan},
    {"memory", act_memory},
    {"networks", act_networks},
    {"connect", window_connect},
    {"find", act_find},
    {"close-tab", act_close_tab},
    {"tear", act_tear},
    {"next-tab", act_next_tab},
    {"previous-tab", act_previous_tab},
    {"next-vm", act_next_vm},
    {"previous-vm", act_previous_vm},
    {"home", act_home},
    {"menu", act_menu},
    {"full-screen", act_full_screen},
    {"fit-window", act_fit_window},
    {"fit-guest-now", act_fit_guest},
    {"show-sidebar", NULL, NULL, "true", sidebar_state},
    {"folder-rename", act_folder_rename, "s"},
    {"folder-remove", act_folder_remove, "s"},
};

/* ---- state ---- */

void app_window_save_state(AppWindow *w)
{
    GSettings *p = app_prefs();
    g_autoptr(GPtrArray) open = g_ptr_array_new();
    if (w->torn)
        return;
    gboolean max = gtk_window_is_maximized(GTK_WINDOW(w));
    g_settings_set_boolean(p, "window-maximized", max);
    if (!max) {
        int width, height;
        gtk_window_get_size(GTK_WINDOW(w), &width, &height);
        g_settings_set_int(p, "window-width", width);
        g_settings_set_int(p, "window-height", height);
    }
    g_settings_set_int(p, "sidebar-width", gtk_paned_get_position(GTK_PANED(w->paned)));
    for (int i = 0; i < gtk_notebook_get_n_pages(GTK_NOTEBOOK(w->tabs)); i++)
        if (window_page_at(w, i))
            g_ptr_array_add(open, (gpointer)app_vm_get_path(app_vm_page_get_vm(window_page_at(w, i))));
    g_ptr_array_add(open, NULL);
    g_settings_set_strv(p, "open-tabs", (const char *const *)open->pdata);
}

void app_window_restore_tabs(AppWindow *w)
{
    g_auto(GStrv) open = g_settings_get_strv(app_prefs(), "open-tabs");
    for (char **t = open; *t; t++) {
        AppVm *vm = app_library_find(library(), *t);
        if (vm && find_page(w, vm) < 0)
            add_page(w, vm);
    }
    GtkWidget *first = gtk_notebook_get_nth_page(GTK_NOTEBOOK(w->tabs), 0);
    if (gtk_notebook_get_n_pages(GTK_NOTEBOOK(w->tabs)) == 1 && APP_IS_HOME(first))
        app_home_focus(APP_HOME(first));
}

static void sidebar_open(AppSidebar *s, AppVm *vm, gpointer u) { app_window_open_vm(u, vm); }

static void sidebar_selected(AppSidebar *s, gpointer u)
{
    AppWindow *w = u;
    if (w->sidebar && w->row && !gtk_widget_in_destruction(GTK_WIDGET(w)))
        app_actions_update(w, G_ACTION_MAP(w->row), row_targets);
}

static GMenuModel *menu(GtkBuilder *b, const char *id) { return G_MENU_MODEL(gtk_builder_get_object(b, id)); }

AppWindow *app_window_new(AppApplication *a)
{
    AppWindow *w = g_object_new(APP_TYPE_WINDOW, "application", a, NULL);
    GSettings *p = app_prefs();
    g_autoptr(GtkBuilder) b = gtk_builder_new_from_resource("/org/lodge/Lodge/ui/menus.ui");
    gtk_window_set_default_size(GTK_WINDOW(w), g_settings_get_int(p, "window-width"),
                                g_settings_get_int(p, "window-height"));
    if (g_settings_get_boolean(p, "window-maximized"))
        gtk_window_maximize(GTK_WINDOW(w));
    gtk_paned_set_position(GTK_PANED(w->paned), g_settings_get_int(p, "sidebar-width"));
    g_action_map_add_action_entries(G_ACTION_MAP(w), actions, G_N_ELEMENTS(actions), w);
    for (const char *const *k =
             (const char *const[]){"show-menubar", "show-status-bar", "show-thumbnails", "scaling", NULL};
         *k; k++) {
        g_autoptr(GAction) action = g_settings_create_action(p, *k);
        g_action_map_add_action(G_ACTION_MAP(w), action);
    }
    g_settings_bind(p, "show-menubar", w, "show-menubar", G_SETTINGS_BIND_GET);
    app_actions_add(w, G_ACTION_MAP(w), tab_targets);
    w->row = g_simple_action_group_new();
    app_actions_add(w, G_ACTION_MAP(w->row), row_targets);
    w->sidebar = app_sidebar_new(app_application_get_library(a));
    gtk_widget_insert_action_group(w->sidebar, "row", G_ACTION_GROUP(w->row));
    gtk_box_pack_start(GTK_BOX(w->sidebar_box), w->sidebar, TRUE, TRUE, 0);
    g_signal_connect(w->sidebar, "open", G_CALLBACK(sidebar_open), w);
    g_signal_connect(w->sidebar, "selection-changed", G_CALLBACK(sidebar_selected), w);
    gtk_menu_button_set_menu_model(GTK_MENU_BUTTON(w->menu_button), menu(b, "app-menu"));
    gtk_menu_button_set_menu_model(GTK_MENU_BUTTON(w->shut_menu), menu(b, "shut-menu"));
    gtk_menu_button_set_menu_model(GTK_MENU_BUTTON(w->fit_menu), menu(b, "fit-menu"));
    gtk_menu_button_set_menu_model(GTK_MENU_BUTTON(w->keys_menu), menu(b, "keys-menu"));
    gtk_notebook_append_page(GTK_NOTEBOOK(w->tabs), app_home_new(), gtk_label_new(_("Home")));
    g_action_group_change_action_state(G_ACTION_GROUP(w), "show-sidebar",
                                       g_variant_new_boolean(g_settings_get_boolean(p, "show-sidebar")));
    app_window_update(w);
    return w;
}

static void app_window_dispose(GObject *o)
{
    AppWindow *w = APP_WINDOW(o);
    if (w->full)
        gtk_widget_destroy(GTK_WIDGET(w->full));
    g_clear_object(&w->full_wanted);
    w->sidebar = NULL;
    G_OBJECT_CLASS(app_window_parent_class)->dispose(o);
    g_clear_object(&w->row);
}

static void app_window_init(AppWindow *w)
{
    gtk_widget_init_template(GTK_WIDGET(w));
    gtk_drag_dest_set(GTK_WIDGET(w), GTK_DEST_DEFAULT_ALL, NULL, 0, GDK_ACTION_COPY);
    gtk_drag_dest_add_uri_targets(GTK_WIDGET(w));
    g_signal_connect(w, "drag-data-received", G_CALLBACK(window_dropped), NULL);
    g_signal_connect_after(w->tabs, "switch-page", G_CALLBACK(page_switched), w);
    g_signal_connect(w->tabs, "page-added", G_CALLBACK(page_count_changed), w);
    g_signal_connect(w->tabs, "page-removed", G_CALLBACK(page_removed), w);
    g_signal_connect(w->tabs, "create-window", G_CALLBACK(create_window), w);
}

static void app_window_class_init(AppWindowClass *k)
{
    GtkWidgetClass *wc = GTK_WIDGET_CLASS(k);
    G_OBJECT_CLASS(k)->dispose = app_window_dispose;
    wc->delete_event = window_delete;
    gtk_widget_class_set_template_from_resource(wc, "/org/lodge/Lodge/ui/app-window.ui");
#define CHILD(x) gtk_widget_class_bind_template_child(wc, AppWindow, x)
    CHILD(header);
    CHILD(sidebar_button);
    CHILD(new_button);
    CHILD(power_on);
    CHILD(power_on_label);
    CHILD(pause);
    CHILD(shut_box);
    CHILD(shut_menu);
    CHILD(menu_button);
    CHILD(full_screen);
    CHILD(fit_menu);
    CHILD(keys_menu);
    CHILD(paned);
    CHILD(sidebar_box);
    CHILD(tabs);
#undef CHILD
}
