/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Summary and console of one machine. The page only shows; what buttons do are the window's actions. */
#include "app-vm-page.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app-error.h"
#include "app-application.h"
#include "app-guest-os.h"
#include "app-hardware.h"
#include "app-home.h"
#include "app-status-bar.h"
#include "app-vm-check.h"
#include "ui/mks/mks_view.h"

enum { NOTES_SAVE_MS = 800, PICTURE_W = 400, PICTURE_H = 300, CHECK_MS = 200, FIT_MS = 1000 };
enum { COLUMNS_W = PICTURE_W + 24 * 3 + 40 }; /* the first column, the space around both, and a little for the second */

struct _AppVmPage {
    GtkBox parent;
    AppVm *vm;
    LodgeMksView *view;
    GtkWidget *info, *info_label, *info_button, *stack, *status, *console, *starting;
    GtkWidget *name, *guest, *picture, *no_picture, *state, *hardware, *notes, *location, *engine, *about, *power_on, *settings,
        *summary;
    GtkWidget *reconnect, *columns;
    guint columns_idle;
    GtkTextBuffer *notes_buffer;
    guint notes_save;
    gboolean notes_ours;
    GtkWidget *wrong, *wrong_label, *wrong_button;
    GCancellable *checking;
    guint check_timer, fit_timer;
};
G_DEFINE_TYPE(AppVmPage, app_vm_page, GTK_TYPE_BOX)

AppVm *app_vm_page_get_vm(AppVmPage *p) { return p->vm; }
LodgeMksView *app_vm_page_get_view(AppVmPage *p) { return p->view; }

void app_activate(GtkWidget *in, const char *action, GVariant *param)
{
    GtkWidget *w = gtk_widget_get_toplevel(in);
    if (G_IS_ACTION_GROUP(w))
        g_action_group_activate_action(G_ACTION_GROUP(w), action, param);
}

/* ---- summary ---- */

static void update_picture(AppVmPage *p)
{
    GdkPixbuf *pix = app_vm_get_thumbnail(p->vm);
    gtk_stack_set_visible_child_name(GTK_STACK(gtk_widget_get_parent(p->picture)), pix ? "picture" : "none");
    if (!pix)
        return;
    int scale = gtk_widget_get_scale_factor(p->picture), w = gdk_pixbuf_get_width(pix), h = gdk_pixbuf_get_height(pix);
    double f = MIN((double)PICTURE_W * scale / w, (double)PICTURE_H * scale / h);
    g_autoptr(GdkPixbuf) fit =
        gdk_pixbuf_scale_simple(pix, MAX(1, (int)(w * f)), MAX(1, (int)(h * f)), GDK_INTERP_BILINEAR);
    cairo_surface_t *s = gdk_cairo_surface_create_from_pixbuf(fit, scale, NULL);
    gtk_image_set_from_surface(GTK_IMAGE(p->picture), s);
    cairo_surface_destroy(s);
}

static void hardware_clicked(GtkListBox *l, GtkListBoxRow *r, gpointer u)
{
    const char *node = g_object_get_data(G_OBJECT(r), "node");
    app_activate(GTK_WIDGET(l), "vm-settings-page", g_variant_new_string(node));
}

static void update_hardware(AppVmPage *p)
{
    g_autoptr(GPtrArray) items = app_hardware_list(app_vm_get_dict(p->vm));
    app_clear(p->hardware);
    for (guint i = 0; i < items->len; i++) {
        AppHwItem *it = items->pdata[i];
        GtkWidget *row = gtk_list_box_row_new(), *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 10),
                  *label = gtk_label_new(it->label), *value = gtk_label_new(it->value);
        g_object_set(box, "margin", 5, NULL);
        g_object_set(label, "xalign", 0.0, NULL);
        g_object_set(value, "xalign", 1.0, "ellipsize", PANGO_ELLIPSIZE_MIDDLE, NULL);
        gtk_style_context_add_class(gtk_widget_get_style_context(value), GTK_STYLE_CLASS_DIM_LABEL);
        gtk_box_pack_start(GTK_BOX(box), gtk_image_new_from_icon_name(app_hardware_icon(it->kind), GTK_ICON_SIZE_MENU),
                           FALSE, FALSE, 0);
        gtk_box_pack_start(GTK_BOX(box), label, FALSE, FALSE, 0);
        gtk_box_pack_end(GTK_BOX(box), value, TRUE, TRUE, 0);
        if (!it->acts) {
            gtk_box_pack_start(GTK_BOX(box),
                               gtk_image_new_from_icon_name("dialog-warning-symbolic", GTK_ICON_SIZE_MENU), FALSE,
                               FALSE, 0);
            gtk_widget_set_tooltip_text(row, app_hardware_why_not());
            gtk_widget_set_opacity(label, 0.6);
        }
        gtk_container_add(GTK_CONTAINER(row), box);
        g_object_set_data_full(G_OBJECT(row), "node", g_strdup(it->node), g_free);
        g_autofree char *a11y = g_strdup_printf("%s: %s", it->label, it->value);
        atk_object_set_name(gtk_widget_get_accessible(row), a11y);
        gtk_container_add(GTK_CONTAINER(p->hardware), row);
        gtk_widget_show_all(row);
    }
}

static void show_engine(gpointer u, const AppEngines *e)
{
    AppVmPage *p = u;
    const struct vmx_dict *d = p->vm ? app_vm_get_dict(p->vm) : NULL;
    if (d && e) {
        const char *want = vmx_get_str(d, "monitor.virtual_exec");
        g_autofree char *text = NULL;
        if (!g_ascii_strcasecmp(want, "software"))
            text = g_strdup(_("Engine: binary translation, as set in the settings."));
        else if (!g_ascii_strcasecmp(want, "hardware"))
            text = e->vt ? g_strdup(_("Engine: hardware virtualization, as set in the settings."))
                         : g_strdup_printf(
                               _("Engine: hardware virtualization is set, but this computer does not offer it: %s."),
                               e->vt_text ? e->vt_text : "");
        else if (e->vt)
            text = g_strdup(_("Engine: hardware virtualization, chosen automatically."));
        else
            text = g_strdup_printf(_("Engine: binary translation, chosen automatically. Hardware virtualization: %s."),
                                   e->vt_text ? e->vt_text : _("not available"));
        gtk_label_set_text(GTK_LABEL(p->engine), text);
    }
    g_object_unref(p);
}

/* ---- what keeps it from powering on ---- */

static void show_wrong(AppVmPage *p, const char *sentences, guint line)
{
    if (sentences) {
        g_autofree char *text = g_strconcat(_("This machine cannot be powered on as its file is:"), "\n", sentences, NULL),
                        *page = line ? g_strdup_printf("raw:%u", line) : g_strdup("raw");
        gtk_label_set_text(GTK_LABEL(p->wrong_label), text);
        gtk_actionable_set_action_target(GTK_ACTIONABLE(p->wrong_button), "s", page);
    }
    gtk_widget_set_visible(p->wrong, sentences != NULL);
}

static void checked(gpointer u, const char *sentences, guint line)
{
    AppVmPage *p = u;
    g_clear_object(&p->checking);
    /* An answer of an attempt to power on says the same. */
    show_wrong(p, app_vm_is_live(p->vm) || app_vm_get_problem(p->vm, NULL, NULL) ? NULL : sentences, line);
}

static gboolean check_now(gpointer u)
{
    AppVmPage *p = u;
    p->check_timer = 0;
    p->checking = g_cancellable_new();
    app_vm_check(app_vm_get_path(p->vm), p->checking, checked, p);
    return G_SOURCE_REMOVE;
}

static void check_stop(AppVmPage *p)
{
    g_clear_handle_id(&p->check_timer, g_source_remove);
    if (p->checking)
        g_cancellable_cancel(p->checking);
    g_clear_object(&p->checking);
}

/* Each time that the page or its window comes to the front, too: a disk or a CD image may be there again. */
static void check_soon(AppVmPage *p)
{
    AppVmState s = p->vm ? app_vm_get_state(p->vm) : APP_VM_MISSING;
    if (!p->vm || app_vm_is_remote(p->vm) || app_vm_is_live(p->vm) || !app_vm_get_dict(p->vm) || (s != APP_VM_OFF && s != APP_VM_FAULT)) {
        check_stop(p);
        gtk_widget_hide(p->wrong);
        return;
    }
    if (app_vm_get_problem(p->vm, NULL, NULL))
        gtk_widget_hide(p->wrong);
    if (!gtk_widget_get_mapped(GTK_WIDGET(p)))
        return;
    check_stop(p);
    p->check_timer = g_timeout_add(CHECK_MS, check_now, p);
}

static void window_active(GtkWidget *w, GParamSpec *spec, gpointer u)
{
    if (gtk_window_is_active(GTK_WINDOW(w)))
        check_soon(u);
}

/* A page moves between windows. */
static void hierarchy_changed(GtkWidget *w, GtkWidget *before, gpointer u)
{
    GtkWidget *top = gtk_widget_get_toplevel(w);
    if (before && GTK_IS_WINDOW(before))
        g_signal_handlers_disconnect_by_func(before, window_active, w);
    if (GTK_IS_WINDOW(top) && !gtk_widget_in_destruction(w))
        g_signal_connect_object(top, "notify::is-active", G_CALLBACK(window_active), w, 0);
}

static void notes_done(gpointer u, const GError *e)
{
    AppVmPage *p = u;
    if (e && p->vm) {
        g_autofree char *why = app_error_sentence(e);
        app_vm_set_problem(p->vm, why, NULL, NULL);
    }
    g_object_unref(p);
}

static void notes_write(AppVmPage *p)
{
    GtkTextIter a, b;
    if (!p->notes_save)
        return;
    g_source_remove(p->notes_save);
    p->notes_save = 0;
    gtk_text_buffer_get_bounds(p->notes_buffer, &a, &b);
    g_autofree char *text = gtk_text_buffer_get_text(p->notes_buffer, &a, &b, FALSE);
    GPtrArray *pairs = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(pairs, g_strdup("annotation"));
    g_ptr_array_add(pairs, *text ? g_strdup(text) : NULL);
    app_vm_set_keys(p->vm, pairs, notes_done, g_object_ref(p));
}

static gboolean notes_timer(gpointer u)
{
    AppVmPage *p = u;
    notes_write(p);
    return G_SOURCE_REMOVE;
}

static void notes_changed(GtkTextBuffer *b, gpointer u)
{
    AppVmPage *p = u;
    if (p->notes_ours)
        return;
    if (p->notes_save)
        g_source_remove(p->notes_save);
    p->notes_save = g_timeout_add(NOTES_SAVE_MS, notes_timer, p);
}

static void update_summary(AppVmPage *p)
{
    const struct vmx_dict *d = app_vm_get_dict(p->vm);
    AppVmState s = app_vm_get_state(p->vm);
    gtk_label_set_text(GTK_LABEL(p->name), app_vm_get_name(p->vm));
    gtk_label_set_text(GTK_LABEL(p->guest), d ? app_guest_os_name(vmx_get_str(d, "guestOS")) : "");
    gtk_label_set_text(GTK_LABEL(p->state), app_vm_state_name(s));
    gtk_button_set_label(GTK_BUTTON(p->location), app_vm_get_path(p->vm));
    GtkWidget *label = gtk_bin_get_child(GTK_BIN(p->location));
    if (GTK_IS_LABEL(label))
        g_object_set(label, "ellipsize", PANGO_ELLIPSIZE_MIDDLE, "xalign", 0.0, NULL);
    gtk_widget_set_tooltip_text(p->location, _("Show the folder"));
    gtk_widget_set_visible(p->about, d != NULL);
    update_hardware(p);
    const char *notes = d ? vmx_get_str(d, "annotation") : "";
    GtkTextIter a, b;
    gtk_text_buffer_get_bounds(p->notes_buffer, &a, &b);
    g_autofree char *now = gtk_text_buffer_get_text(p->notes_buffer, &a, &b, FALSE);
    if (!p->notes_save && strcmp(now, notes) && !gtk_widget_has_focus(p->notes)) {
        p->notes_ours = TRUE;
        gtk_text_buffer_set_text(p->notes_buffer, notes, -1);
        p->notes_ours = FALSE;
    }
    app_engines_get(show_engine, g_object_ref(p));
    update_picture(p);
}

/* Two columns where there is room; else one below the other. Not while sizes are being given out. */
static gboolean set_columns(gpointer u)
{
    AppVmPage *p = u;
    int width = gtk_widget_get_allocated_width(p->summary), text;
    gtk_widget_get_preferred_width(p->hardware, &text, NULL);
    GtkOrientation o = width < COLUMNS_W + text ? GTK_ORIENTATION_VERTICAL : GTK_ORIENTATION_HORIZONTAL;
    p->columns_idle = 0;
    if (gtk_orientable_get_orientation(GTK_ORIENTABLE(p->columns)) != o)
        gtk_orientable_set_orientation(GTK_ORIENTABLE(p->columns), o);
    return G_SOURCE_REMOVE;
}

static void summary_sized(GtkWidget *w, GtkAllocation *a, gpointer u)
{
    AppVmPage *p = u;
    if (!p->columns_idle)
        p->columns_idle = g_idle_add_full(G_PRIORITY_HIGH_IDLE, set_columns, p, NULL);
}

/* ---- console ---- */

static void view_hint(AppVmPage *p)
{
    app_status_bar_set_hint(APP_STATUS_BAR(p->status), lodge_mks_view_get_hint(p->view));
}

/* Previous and next are of full screen; in a window these keys are the guest's. */
static gboolean on_hotkey(LodgeMksView *v, LodgeMksHotkey which, gpointer u)
{
    if (which != LODGE_MKS_HOTKEY_FULLSCREEN)
        return FALSE;
    app_activate(GTK_WIDGET(v), "full-screen", NULL);
    return TRUE;
}

static void on_resume(LodgeMksView *v, gpointer u) { app_vm_resume(APP_VM_PAGE(u)->vm); }

static void cred_answer(GtkDialog *d, int response, gpointer u)
{
    LodgeMksSession *s = u;
    GtkWidget *user = g_object_get_data(G_OBJECT(d), "user"), *password = g_object_get_data(G_OBJECT(d), "password");
    gboolean ok = response == GTK_RESPONSE_ACCEPT;
    lodge_mks_session_give_credentials(s, ok && user ? gtk_entry_get_text(GTK_ENTRY(user)) : NULL,
                                       ok && password ? gtk_entry_get_text(GTK_ENTRY(password)) : NULL);
    gtk_widget_destroy(GTK_WIDGET(d));
}

static void on_credentials(LodgeMksSession *s, gboolean user, gboolean password, gpointer u)
{
    AppVmPage *p = u;
    GtkWidget *d =
        gtk_dialog_new_with_buttons(_("Log in"), GTK_WINDOW(gtk_widget_get_toplevel(GTK_WIDGET(p))),
                                    GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT | GTK_DIALOG_USE_HEADER_BAR,
                                    _("_Cancel"), GTK_RESPONSE_CANCEL, _("C_onnect"), GTK_RESPONSE_ACCEPT, NULL);
    GtkWidget *grid = gtk_grid_new();
    g_object_set(grid, "margin", 18, "row-spacing", 8, "column-spacing", 12, NULL);
    for (int i = 0; i < 2; i++) {
        if (!(i ? password : user))
            continue;
        GtkWidget *label = gtk_label_new_with_mnemonic(i ? _("_Password:") : _("_User:")), *entry = gtk_entry_new();
        gtk_entry_set_visibility(GTK_ENTRY(entry), !i);
        gtk_entry_set_activates_default(GTK_ENTRY(entry), TRUE);
        gtk_entry_set_input_purpose(GTK_ENTRY(entry), i ? GTK_INPUT_PURPOSE_PASSWORD : GTK_INPUT_PURPOSE_FREE_FORM);
        gtk_label_set_mnemonic_widget(GTK_LABEL(label), entry);
        g_object_set(label, "xalign", 0.0, NULL);
        gtk_widget_set_hexpand(entry, TRUE);
        gtk_grid_attach(GTK_GRID(grid), label, 0, i, 1, 1);
        gtk_grid_attach(GTK_GRID(grid), entry, 1, i, 1, 1);
        g_object_set_data(G_OBJECT(d), i ? "password" : "user", entry);
    }
    gtk_container_add(GTK_CONTAINER(gtk_dialog_get_content_area(GTK_DIALOG(d))), grid);
    gtk_dialog_set_default_response(GTK_DIALOG(d), GTK_RESPONSE_ACCEPT);
    g_signal_connect_object(d, "response", G_CALLBACK(cred_answer), s, 0);
    gtk_widget_show_all(d);
}

static const struct {
    LodgeMksHotkey which;
    const char *pref;
} hotkeys[] = {
    {LODGE_MKS_HOTKEY_RELEASE, "hotkey-release"},
    {LODGE_MKS_HOTKEY_GRAB, "hotkey-grab"},
    {LODGE_MKS_HOTKEY_FULLSCREEN, "hotkey-fullscreen"},
    {LODGE_MKS_HOTKEY_PREVIOUS, "hotkey-previous"},
    {LODGE_MKS_HOTKEY_NEXT, "hotkey-next"},
    {LODGE_MKS_HOTKEY_CTRL_ALT_DEL, "hotkey-ctrl-alt-del"},
};

static void apply_prefs(LodgeMksView *v)
{
    lodge_mks_view_set_scaling(v, (LodgeMksScaling)g_settings_get_enum(app_prefs(), "scaling"));
    g_object_set(v, "filter", g_settings_get_enum(app_prefs(), "filter"), NULL);
    for (guint i = 0; i < G_N_ELEMENTS(hotkeys); i++) {
        g_autofree char *key = g_settings_get_string(app_prefs(), hotkeys[i].pref);
        lodge_mks_view_set_hotkey(v, hotkeys[i].which, key);
    }
}

/* The user has just chosen that the guest follows the window: whether it does is known when it has answered. */
static gboolean fit_answered(gpointer u)
{
    AppVmPage *p = u;
    p->fit_timer = 0;
    if (app_vm_get_state(p->vm) == APP_VM_ON && !lodge_mks_session_get_can_resize(app_vm_get_session(p->vm)))
        app_vm_refused(p->vm, _("The guest follows only from the next start of its display driver on."));
    return G_SOURCE_REMOVE;
}

static void scaling_changed(AppVmPage *p)
{
    g_clear_handle_id(&p->fit_timer, g_source_remove);
    if (p->view && gtk_widget_get_mapped(GTK_WIDGET(p->view)) && g_settings_get_enum(app_prefs(), "scaling") == LODGE_MKS_FIT_GUEST)
        p->fit_timer = g_timeout_add(FIT_MS, fit_answered, p);
}

static void make_console(AppVmPage *p)
{
    LodgeMksSession *s = p->view ? NULL : app_vm_get_session(p->vm);
    if (!s)
        return;
    GtkWidget *scroll = gtk_scrolled_window_new(NULL, NULL);
    p->view = LODGE_MKS_VIEW(lodge_mks_view_new(s));
    apply_prefs(p->view);
    g_signal_connect_object(app_prefs(), "changed", G_CALLBACK(apply_prefs), p->view, G_CONNECT_SWAPPED);
    g_signal_connect_swapped(p->view, "notify::hint", G_CALLBACK(view_hint), p);
    g_signal_connect(p->view, "hotkey", G_CALLBACK(on_hotkey), p);
    g_signal_connect(p->view, "resume-requested", G_CALLBACK(on_resume), p);
    g_signal_connect_object(s, "credentials-needed", G_CALLBACK(on_credentials), p, 0);
    gtk_widget_hide(p->starting);
    gtk_container_add(GTK_CONTAINER(scroll), GTK_WIDGET(p->view));
    gtk_box_pack_start(GTK_BOX(p->console), scroll, TRUE, TRUE, 0);
    gtk_widget_show_all(scroll);
    view_hint(p);
}

/* ---- all of it ---- */

static void update_info(AppVmPage *p)
{
    const char *action = NULL, *label = NULL, *problem = app_vm_get_problem(p->vm, &action, &label);
    if (app_vm_get_state(p->vm) == APP_VM_MISSING && !problem) {
        problem = _("The file of this machine is gone. It may have been moved, or its drive is not connected.");
        action = "win.vm-locate";
        label = _("_Locate…");
    }
    if (problem) {
        gtk_label_set_text(GTK_LABEL(p->info_label), problem);
        gtk_widget_set_visible(p->info_button, action != NULL);
        if (action) {
            gtk_button_set_label(GTK_BUTTON(p->info_button), label);
            gtk_actionable_set_action_name(GTK_ACTIONABLE(p->info_button), action);
        }
    }
    gtk_widget_set_visible(p->info, problem != NULL);
    gtk_info_bar_set_revealed(GTK_INFO_BAR(p->info), problem != NULL);
}

static void update(AppVmPage *p)
{
    gboolean live = app_vm_is_live(p->vm);
    update_info(p);
    check_soon(p);
    const char *child = app_vm_is_remote(p->vm)
                            ? (live || app_vm_get_state(p->vm) == APP_VM_STARTING ? "console" : "remote")
                        : live ? "console"
                               : "summary";
    if (!strcmp(child, "console"))
        make_console(p);
    else if (!strcmp(child, "summary"))
        update_summary(p);
    gboolean was_console = !g_strcmp0(gtk_stack_get_visible_child_name(GTK_STACK(p->stack)), "console");
    gtk_stack_set_visible_child_name(GTK_STACK(p->stack), child);
    if (!strcmp(child, "console") && !was_console && p->view && gtk_widget_get_mapped(GTK_WIDGET(p)))
        gtk_widget_grab_focus(GTK_WIDGET(p->view));
    gtk_widget_set_visible(p->status, g_settings_get_boolean(app_prefs(), "show-status-bar"));
    app_status_bar_update(APP_STATUS_BAR(p->status));
}

static void thumbnail_changed(AppVmPage *p)
{
    if (!app_vm_is_live(p->vm))
        update_picture(p);
}

void app_vm_page_focus(AppVmPage *p)
{
    const char *child = gtk_stack_get_visible_child_name(GTK_STACK(p->stack));
    if (!g_strcmp0(child, "console") && p->view)
        gtk_widget_grab_focus(GTK_WIDGET(p->view));
    else if (!g_strcmp0(child, "summary"))
        gtk_widget_grab_focus(p->power_on);
}

static void info_response(GtkInfoBar *b, int response, gpointer u)
{
    AppVmPage *p = u;
    if (response == GTK_RESPONSE_CLOSE) {
        gtk_widget_hide(GTK_WIDGET(b));
        app_vm_set_problem(p->vm, NULL, NULL, NULL);
    }
}

static void location_clicked(GtkButton *b, gpointer u) { app_activate(GTK_WIDGET(b), "vm-show-folder", NULL); }

GtkWidget *app_vm_page_new(AppVm *vm)
{
    AppVmPage *p = g_object_new(APP_TYPE_VM_PAGE, NULL);
    p->vm = g_object_ref(vm);
    p->status = app_status_bar_new(vm);
    gtk_box_pack_end(GTK_BOX(p), p->status, FALSE, FALSE, 0);
    g_signal_connect_object(vm, "changed", G_CALLBACK(update), p, G_CONNECT_SWAPPED);
    g_signal_connect_object(vm, "thumbnail", G_CALLBACK(thumbnail_changed), p, G_CONNECT_SWAPPED);
    g_signal_connect_object(app_prefs(), "changed::scaling", G_CALLBACK(scaling_changed), p, G_CONNECT_SWAPPED);
    g_signal_connect_object(app_prefs(), "changed::show-status-bar", G_CALLBACK(update), p, G_CONNECT_SWAPPED);
    update(p);
    gtk_widget_show(GTK_WIDGET(p));
    return GTK_WIDGET(p);
}

/* The info bar's own close button has an icon only. */
static void name_close(GtkWidget *w, gpointer except)
{
    if (GTK_IS_BUTTON(w) && w != except)
        atk_object_set_name(gtk_widget_get_accessible(w), _("Close this message"));
    else if (GTK_IS_CONTAINER(w))
        gtk_container_forall(GTK_CONTAINER(w), name_close, except);
}

static void app_vm_page_init(AppVmPage *p)
{
    gtk_widget_init_template(GTK_WIDGET(p));
    name_close(p->info, p->info_button);
    p->notes_buffer = gtk_text_view_get_buffer(GTK_TEXT_VIEW(p->notes));
    g_signal_connect(p->notes_buffer, "changed", G_CALLBACK(notes_changed), p);
    g_signal_connect(p->info, "response", G_CALLBACK(info_response), p);
    app_list_one_tab(p->hardware);
    g_signal_connect(p->hardware, "row-activated", G_CALLBACK(hardware_clicked), p);
    g_signal_connect(p->location, "clicked", G_CALLBACK(location_clicked), p);
    g_signal_connect(p->summary, "size-allocate", G_CALLBACK(summary_sized), p);
    g_signal_connect_after(p, "map", G_CALLBACK(check_soon), NULL);
    g_signal_connect(p, "hierarchy-changed", G_CALLBACK(hierarchy_changed), NULL);
}

static void app_vm_page_dispose(GObject *o)
{
    AppVmPage *p = APP_VM_PAGE(o);
    if (p->vm)
        notes_write(p);
    check_stop(p);
    g_clear_handle_id(&p->fit_timer, g_source_remove);
    g_clear_handle_id(&p->columns_idle, g_source_remove);
    g_clear_object(&p->vm);
    G_OBJECT_CLASS(app_vm_page_parent_class)->dispose(o);
}

static void app_vm_page_class_init(AppVmPageClass *k)
{
    GtkWidgetClass *w = GTK_WIDGET_CLASS(k);
    G_OBJECT_CLASS(k)->dispose = app_vm_page_dispose;
    gtk_widget_class_set_template_from_resource(w, "/org/lodge/Lodge/ui/app-vm-page.ui");
#define CHILD(x) gtk_widget_class_bind_template_child(w, AppVmPage, x)
    CHILD(info);
    CHILD(info_label);
    CHILD(info_button);
    CHILD(wrong);
    CHILD(wrong_label);
    CHILD(wrong_button);
    CHILD(stack);
    CHILD(console);
    CHILD(starting);
    CHILD(name);
    CHILD(guest);
    CHILD(picture);
    CHILD(no_picture);
    CHILD(state);
    CHILD(hardware);
    CHILD(notes);
    CHILD(location);
    CHILD(engine);
    CHILD(about);
    CHILD(power_on);
    CHILD(settings);
    CHILD(summary);
    CHILD(reconnect);
    CHILD(columns);
#undef CHILD
}
