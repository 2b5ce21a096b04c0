/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory, live: a graph and a legend with numbers for all machines together, and for each one that is on. While the window is shown each machine
 * is asked once a second; whoever does not ask costs nothing.
 */
#include "app-performance.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app-error.h"
#include "ui/ui-graph.h"

enum { CONFIGURED, TOUCHED, RESIDENT, SHARED, TRIMMED, BALLOONED, SAVED, AMOUNTS, DRAWN = SAVED, EVERY_MS = 1000 };

static const struct {
    const char *counter, *name, *help;
} amount[AMOUNTS] = {
    {"memory.configured", N_("Configured"), N_("The memory that the guest has been given (memsize).")},
    {"memory.touched", N_("Touched"), N_("What the guest has used at least once since it was switched on.")},
    {"memory.resident", N_("Resident"), N_("What of it is in this computer's memory now.")},
    {"memory.shared", N_("Shared"), N_("Pages that are the same as others and kept only once.")},
    {"memory.trimmed", N_("Trimmed"), N_("Given back to this computer, and not needed by the guest since.")},
    {"memory.ballooned", N_("Ballooned"), N_("Handed over by the balloon driver in the guest.")},
    {"memory.saved", N_("Saved"), N_("What the guest would take in addition without sharing, trimming and the balloon.")},
};
static const UiGraphSeries series[DRAWN] = {
    {"#888a85", UI_GRAPH_DASHED}, {"#3465a4", UI_GRAPH_LINE}, {"#4e9a06", UI_GRAPH_FILLED},
    {"#c17d11", UI_GRAPH_LINE},   {"#75507b", UI_GRAPH_LINE}, {"#cc0000", UI_GRAPH_LINE},
};

/* One graph with its legend. */
struct panel {
    struct performance *win;
    AppVm *vm; /* NULL: all together */
    GtkWidget *box, *graph, *title, *note, *value[AMOUNTS], *balloon, *automatic;
    gboolean asked, driver, showing;
    guint changes; /* of the user's that have no answer yet: until then what the machine says is older */
    guint64 now[AMOUNTS];
    gboolean known;
};

struct performance {
    GtkWidget *window, *list, *scroll, *none;
    AppLibrary *library;
    GPtrArray *panels; /* the first is all together */
    guint timer;
    gulong changed;
};
static struct performance *shown;

/* ---- numbers ---- */

static void show_values(struct panel *p)
{
    g_autoptr(GString) said = g_string_new(NULL);
    for (int i = 0; i < AMOUNTS; i++) {
        g_autofree char *text = p->known ? ui_graph_format(p->now[i]) : g_strdup("–");
        gtk_label_set_text(GTK_LABEL(p->value[i]), text);
        g_string_append_printf(said, "%s%s: %s", i ? ", " : "", _(amount[i].name), text);
    }
    atk_object_set_description(gtk_widget_get_accessible(p->graph), said->str);
}

static void push(struct panel *p)
{
    ui_graph_push(UI_GRAPH(p->graph), p->known ? p->now : NULL);
    show_values(p);
}

static struct panel *panel_of(struct performance *w, AppVm *vm)
{
    for (guint i = 0; i < w->panels->len; i++)
        if (((struct panel *)w->panels->pdata[i])->vm == vm)
            return w->panels->pdata[i];
    return NULL;
}

/* Others may have set it, too. */
static void show_balloon(struct panel *p, gboolean automatic, guint64 target)
{
    if (p->changes || (automatic && gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(p->automatic))))
        return;
    p->showing = TRUE;
    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(p->automatic), automatic);
    if (!automatic && !gtk_widget_has_focus(p->balloon))
        gtk_spin_button_set_value(GTK_SPIN_BUTTON(p->balloon), (double)(target >> 20));
    p->showing = FALSE;
}

static void got_statistics(gpointer u, GVariant *result)
{
    g_autoptr(AppVm) vm = u;
    struct panel *p = shown ? panel_of(shown, vm) : NULL;
    if (!p)
        return;
    p->asked = FALSE;
    p->known = result != NULL;
    if (result) {
        g_autoptr(GVariantIter) it = NULL;
        const char *name;
        guint64 v, target = 0, automatic = TRUE;
        g_variant_get(result, "(a{st})", &it);
        while (g_variant_iter_next(it, "{&st}", &name, &v)) {
            for (int i = 0; i < AMOUNTS; i++)
                if (!strcmp(name, amount[i].counter))
                    p->now[i] = v;
            if (!strcmp(name, "balloon.driver"))
                p->driver = v != 0;
            else if (!strcmp(name, "balloon.set_mb"))
                target = v << 20;
            else if (!strcmp(name, "balloon.automatic"))
                automatic = v;
        }
        show_balloon(p, automatic != 0, target);
    }
    gtk_widget_set_sensitive(p->automatic, p->driver);
    gtk_widget_set_sensitive(p->balloon, p->driver && !gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(p->automatic)));
    gtk_widget_set_visible(p->note, p->known && !p->driver);
}

static gboolean tick(gpointer u)
{
    struct performance *w = u;
    struct panel *all = w->panels->pdata[0];
    memset(all->now, 0, sizeof all->now);
    all->known = w->panels->len == 1;
    for (guint i = 1; i < w->panels->len; i++) {
        struct panel *p = w->panels->pdata[i];
        push(p);
        all->known |= p->known;
        for (int k = 0; k < AMOUNTS && p->known; k++)
            all->now[k] += p->now[k];
        if (!p->asked) {
            p->asked = TRUE;
            app_vm_call(p->vm, "GetStatistics", NULL, NULL, got_statistics, g_object_ref(p->vm));
        }
    }
    push(all);
    return G_SOURCE_CONTINUE;
}

/* ---- panels ---- */

static void balloon_is_set(gpointer u, GVariant *result)
{
    g_autoptr(AppVm) vm = u;
    struct panel *p = shown ? panel_of(shown, vm) : NULL;
    if (p && p->changes)
        p->changes--;
}

static void balloon_set(GtkWidget *w, gpointer u)
{
    struct panel *p = u;
    if (p->showing)
        return;
    p->changes++;
    gboolean automatic = gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(p->automatic));
    gtk_widget_set_sensitive(p->balloon, p->driver && !automatic);
    app_vm_call(p->vm, "SetBalloon", g_variant_new("(i)", automatic ? -1 : gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(p->balloon))),
                _("The balloon of “%s” could not be changed."), balloon_is_set, g_object_ref(p->vm));
}

static GtkWidget *swatch(int i)
{
    GtkWidget *l = gtk_label_new(NULL);
    g_autofree char *m = g_strdup_printf("<span foreground=\"%s\">%s</span>", i < DRAWN ? series[i].colour : "#888a85",
                                         i == CONFIGURED ? "┅" : i < DRAWN ? "━" : " ");
    gtk_label_set_markup(GTK_LABEL(l), m);
    return l;
}

static struct panel *panel_new(struct performance *w, AppVm *vm)
{
    struct panel *p = g_new0(struct panel, 1);
    GtkWidget *legend = gtk_grid_new(), *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 18);
    p->win = w;
    p->vm = vm ? g_object_ref(vm) : NULL;
    p->box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6);
    p->title = gtk_label_new(NULL);
    g_autofree char *markup = g_markup_printf_escaped("<b>%s</b>", vm ? app_vm_get_name(vm) : _("All machines together"));
    gtk_label_set_markup(GTK_LABEL(p->title), markup);
    g_object_set(p->title, "xalign", 0.0, "ellipsize", PANGO_ELLIPSIZE_MIDDLE, NULL);
    gtk_box_pack_start(GTK_BOX(p->box), p->title, FALSE, FALSE, 0);
    p->graph = ui_graph_new(series, DRAWN);
    g_autofree char *name = g_strdup_printf(_("Memory of %s"), vm ? app_vm_get_name(vm) : _("all machines together"));
    atk_object_set_name(gtk_widget_get_accessible(p->graph), name);
    atk_object_set_role(gtk_widget_get_accessible(p->graph), ATK_ROLE_CHART);
    gtk_grid_set_column_spacing(GTK_GRID(legend), 8);
    gtk_grid_set_row_spacing(GTK_GRID(legend), 3);
    for (int i = 0; i < AMOUNTS; i++) {
        GtkWidget *l = gtk_label_new(_(amount[i].name));
        p->value[i] = gtk_label_new(NULL);
        g_object_set(l, "xalign", 0.0, NULL);
        g_object_set(p->value[i], "xalign", 1.0, "width-chars", 10, NULL);
        gtk_widget_set_tooltip_text(l, _(amount[i].help));
        gtk_widget_set_tooltip_text(p->value[i], _(amount[i].help));
        gtk_grid_attach(GTK_GRID(legend), swatch(i), 0, i, 1, 1);
        gtk_grid_attach(GTK_GRID(legend), l, 1, i, 1, 1);
        gtk_grid_attach(GTK_GRID(legend), p->value[i], 2, i, 1, 1);
    }
    gtk_box_pack_start(GTK_BOX(line), p->graph, TRUE, TRUE, 0);
    gtk_box_pack_start(GTK_BOX(line), legend, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(p->box), line, TRUE, TRUE, 0);
    if (vm) {
        const struct vmx_dict *d = app_vm_get_dict(vm);
        GtkWidget *row = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8), *l = gtk_label_new_with_mnemonic(_("_Balloon:"));
        p->balloon = gtk_spin_button_new_with_range(0, d ? (double)MAX(vmx_get_int(d, "memsize"), 4) : 1048576, 16);
        p->automatic = gtk_check_button_new_with_mnemonic(_("_Automatic"));
        gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(p->automatic), TRUE);
        gtk_label_set_mnemonic_widget(GTK_LABEL(l), p->balloon);
        gtk_widget_set_tooltip_text(p->balloon, _("MB of its memory that the guest hands over to this computer."));
        gtk_widget_set_tooltip_text(p->automatic, _("The guest hands memory over when this computer is short of it."));
        g_signal_connect(p->balloon, "value-changed", G_CALLBACK(balloon_set), p);
        g_signal_connect(p->automatic, "toggled", G_CALLBACK(balloon_set), p);
        p->note = gtk_label_new(_("The guest runs no balloon driver (in Linux: vmw_balloon)."));
        gtk_style_context_add_class(gtk_widget_get_style_context(p->note), GTK_STYLE_CLASS_DIM_LABEL);
        gtk_box_pack_start(GTK_BOX(row), l, FALSE, FALSE, 0);
        gtk_box_pack_start(GTK_BOX(row), p->balloon, FALSE, FALSE, 0);
        gtk_box_pack_start(GTK_BOX(row), gtk_label_new(_("MB")), FALSE, FALSE, 0);
        gtk_box_pack_start(GTK_BOX(row), p->automatic, FALSE, FALSE, 0);
        gtk_box_pack_start(GTK_BOX(row), p->note, FALSE, FALSE, 0);
        gtk_widget_set_no_show_all(p->note, TRUE);
        gtk_widget_set_sensitive(p->balloon, FALSE);
        gtk_widget_set_sensitive(p->automatic, FALSE);
        gtk_box_pack_start(GTK_BOX(p->box), row, FALSE, FALSE, 0);
    }
    show_values(p);
    gtk_box_pack_start(GTK_BOX(w->list), p->box, FALSE, FALSE, 0);
    gtk_widget_show_all(p->box);
    return p;
}

static void panel_free(gpointer data)
{
    struct panel *p = data;
    if (p->box && shown)
        gtk_widget_destroy(p->box);
    g_clear_object(&p->vm);
    g_free(p);
}

static gboolean has_numbers(AppVm *vm)
{
    AppVmState s = app_vm_get_state(vm);
    return !app_vm_is_remote(vm) && (s == APP_VM_ON || s == APP_VM_PAUSED);
}

/* Panels for the machines that are on now, no others. */
static void update_panels(struct performance *w)
{
    GListModel *m = app_library_get_model(w->library);
    for (guint i = w->panels->len; i-- > 1;)
        if (!has_numbers(((struct panel *)w->panels->pdata[i])->vm))
            g_ptr_array_remove_index(w->panels, i);
    for (guint i = 0; i < g_list_model_get_n_items(m); i++) {
        g_autoptr(AppVm) vm = g_list_model_get_item(m, i);
        if (has_numbers(vm) && !panel_of(w, vm))
            g_ptr_array_add(w->panels, panel_new(w, vm));
    }
    gtk_widget_set_visible(w->none, w->panels->len == 1);
}

static gboolean tick_window(gpointer u)
{
    struct performance *w = u;
    if (!gtk_widget_get_mapped(w->window))
        return G_SOURCE_CONTINUE;
    update_panels(w);
    return tick(w);
}

/* ---- the window ---- */

static void closed(GtkWidget *window, gpointer u)
{
    struct performance *w = u;
    shown = NULL;
    g_source_remove(w->timer);
    g_ptr_array_unref(w->panels);
    g_object_unref(w->library);
    g_free(w);
}

static gboolean scroll_to(gpointer u)
{
    g_autoptr(AppVm) vm = u;
    struct panel *p = shown ? panel_of(shown, vm) : NULL;
    if (p) {
        GtkAllocation a;
        gtk_widget_get_allocation(p->box, &a);
        gtk_adjustment_set_value(gtk_scrolled_window_get_vadjustment(GTK_SCROLLED_WINDOW(shown->scroll)), a.y);
    }
    return G_SOURCE_REMOVE;
}

void app_performance_show(GtkWindow *parent, AppLibrary *library, AppVm *vm)
{
    if (!shown) {
        struct performance *w = shown = g_new0(struct performance, 1);
        GtkWidget *bar = gtk_header_bar_new();
        w->library = g_object_ref(library);
        w->window = gtk_window_new(GTK_WINDOW_TOPLEVEL);
        gtk_window_set_default_size(GTK_WINDOW(w->window), 760, 560);
        gtk_window_set_transient_for(GTK_WINDOW(w->window), parent);
        gtk_window_set_title(GTK_WINDOW(w->window), _("Memory"));
        gtk_header_bar_set_title(GTK_HEADER_BAR(bar), _("Memory"));
        gtk_header_bar_set_show_close_button(GTK_HEADER_BAR(bar), TRUE);
        gtk_window_set_titlebar(GTK_WINDOW(w->window), bar);
        w->scroll = gtk_scrolled_window_new(NULL, NULL);
        gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(w->scroll), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
        w->list = gtk_box_new(GTK_ORIENTATION_VERTICAL, 24);
        g_object_set(w->list, "margin", 18, NULL);
        gtk_container_add(GTK_CONTAINER(w->scroll), w->list);
        gtk_container_add(GTK_CONTAINER(w->window), w->scroll);
        w->panels = g_ptr_array_new_with_free_func(panel_free);
        g_ptr_array_add(w->panels, panel_new(w, NULL));
        w->none = gtk_label_new(_("No machine is on."));
        gtk_widget_set_no_show_all(w->none, TRUE);
        gtk_box_pack_start(GTK_BOX(w->list), w->none, FALSE, FALSE, 0);
        g_signal_connect(w->window, "destroy", G_CALLBACK(closed), w);
        g_signal_connect(w->window, "key-press-event", G_CALLBACK(app_escape), NULL);
        w->timer = g_timeout_add(EVERY_MS, tick_window, w);
        update_panels(w);
        gtk_widget_show_all(w->window);
        tick(w);
    }
    gtk_window_present(GTK_WINDOW(shown->window));
    if (vm)
        g_idle_add(scroll_to, g_object_ref(vm));
}
