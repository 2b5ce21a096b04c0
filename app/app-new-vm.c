/* SPDX-License-Identifier: GPL-2.0-or-later */
/* New machine: five questions, each with an answer already given, so that Enter goes through. Nothing is made before
 * the last page's button. */
#include "app-new-vm.h"

#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

#include "app-application.h"
#include "app-detect.h"
#include "app-error.h"
#include "app-guest-os.h"
#include "app-hardware.h"
#include "app-settings.h"
#include "app-vm-maker.h"
#include "app-window.h"

enum source { SOURCE_ISO, SOURCE_DISK, SOURCE_LATER };
enum { PAGE_SOURCE, PAGE_GUEST, PAGE_NAME, PAGE_SIZE, PAGE_SUMMARY, PAGE_PROGRESS };

struct wizard {
    GtkAssistant *a;
    GtkWindow *parent;
    GtkWidget *pages[6];
    /* source */
    GtkWidget *radio[3], *iso, *disk, *found, *spinner;
    GCancellable *detect;
    AppDetected *detected;
    /* guest */
    GtkWidget *guests, *guest_search;
    char *guest_id;
    gboolean guest_by_user;
    /* name and place */
    GtkWidget *name, *place, *name_note;
    gboolean name_by_user;
    /* size */
    GtkWidget *memory, *memory_scale, *cpus, *disk_size, *disk_box, *one_file, *two_files, *allocate, *size_note;
    gboolean size_by_user, ours;
    /* end */
    GtkWidget *summary, *power_on, *customise, *bar, *bar_label;
    GCancellable *making;
    guint pulse, focus;
    gboolean closed;
};

static enum source source_of(struct wizard *w)
{
    for (int i = 0; i < SOURCE_LATER; i++)
        if (gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(w->radio[i])))
            return (enum source)i;
    return SOURCE_LATER;
}

static guint host_memory_mb(void)
{
    return (guint)((guint64)sysconf(_SC_PHYS_PAGES) * (guint64)sysconf(_SC_PAGESIZE) >> 20);
}
static guint host_cpus(void) { return (guint)MAX(1, sysconf(_SC_NPROCESSORS_ONLN)); }

static void complete(struct wizard *w, int page, gboolean yes)
{
    gtk_assistant_set_page_complete(w->a, w->pages[page], yes);
}

static GtkWidget *note(const char *text)
{
    GtkWidget *l = gtk_label_new(text);
    g_object_set(l, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 64, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(l), GTK_STYLE_CLASS_DIM_LABEL);
    return l;
}

static GtkWidget *page_box(void)
{
    GtkWidget *b = gtk_box_new(GTK_ORIENTATION_VERTICAL, 10);
    g_object_set(b, "margin", 18, NULL);
    return b;
}

static GtkWidget *row(GtkWidget *grid, int y, const char *label, GtkWidget *control)
{
    GtkWidget *l = gtk_label_new_with_mnemonic(label);
    g_object_set(l, "xalign", 1.0, NULL);
    gtk_label_set_mnemonic_widget(GTK_LABEL(l), control);
    gtk_grid_attach(GTK_GRID(grid), l, 0, y, 1, 1);
    gtk_grid_attach(GTK_GRID(grid), control, 1, y, 1, 1);
    return l;
}

/* ---- 1 source ---- */

static void suggest(struct wizard *w);

static void source_check(struct wizard *w)
{
    enum source s = source_of(w);
    g_autofree char *iso = gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(w->iso)),
                    *disk = gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(w->disk));
    gtk_widget_set_sensitive(w->iso, s == SOURCE_ISO);
    gtk_widget_set_sensitive(w->disk, s == SOURCE_DISK);
    gtk_widget_set_visible(w->found, s == SOURCE_ISO && iso);
    complete(w, PAGE_SOURCE, s == SOURCE_LATER || (s == SOURCE_ISO ? iso : disk) != NULL);
    if (w->disk_box)
        gtk_widget_set_sensitive(w->disk_box, s != SOURCE_DISK);
}

static void detected(GObject *o, GAsyncResult *r, gpointer u)
{
    struct wizard *w = u;
    g_autoptr(GError) e = NULL;
    AppDetected *d = app_detect_iso_finish(r, &e);
    if (g_error_matches(e, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* w may be gone */
    g_autofree char *text = NULL;
    gtk_spinner_stop(GTK_SPINNER(w->spinner));
    gtk_widget_hide(w->spinner);
    app_detected_free(w->detected);
    w->detected = d;
    if (!d) {
        g_autofree char *why = app_error_sentence(e);
        text = g_strdup_printf(_("This file cannot be read as a CD image. %s"), why);
    } else if (!d->bootable) {
        text = g_strdup(_("A machine cannot boot from this CD image. Choose an installation or live image."));
    } else if (d->guest_id) {
        text = g_strdup_printf(_("This is %s."), d->name);
    } else {
        text = g_strdup_printf(
            _("A CD with the name “%s”. What it holds is not known; choose the guest on the next page."),
            d->name ? d->name : "");
    }
    gtk_label_set_text(GTK_LABEL(w->found), text);
    suggest(w);
}

static void iso_set(struct wizard *w)
{
    g_autofree char *iso = gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(w->iso));
    if (w->detect)
        g_cancellable_cancel(w->detect);
    g_clear_object(&w->detect);
    app_detected_free(w->detected);
    w->detected = NULL;
    if (iso) {
        gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(w->radio[SOURCE_ISO]), TRUE);
        w->detect = g_cancellable_new();
        gtk_label_set_text(GTK_LABEL(w->found), _("Looking what this is…"));
        gtk_widget_show(w->spinner);
        gtk_spinner_start(GTK_SPINNER(w->spinner));
        app_detect_iso_async(iso, w->detect, detected, w);
    }
    source_check(w);
}

static void disk_set(struct wizard *w)
{
    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(w->radio[SOURCE_DISK]), TRUE);
    source_check(w);
    suggest(w);
}

static void set_source(struct wizard *w, const char *path)
{
    g_autofree char *lower = g_ascii_strdown(path, -1);
    gboolean iso = g_str_has_suffix(lower, ".iso");
    gtk_file_chooser_set_filename(GTK_FILE_CHOOSER(iso ? w->iso : w->disk), path);
}

static void dropped(GtkWidget *widget, GdkDragContext *c, int x, int y, GtkSelectionData *data, guint info, guint time,
                    gpointer u)
{
    g_auto(GStrv) uris = gtk_selection_data_get_uris(data);
    g_autofree char *path = uris && uris[0] ? g_filename_from_uri(uris[0], NULL, NULL) : NULL;
    if (path)
        set_source(u, path);
    gtk_drag_finish(c, path != NULL, FALSE, time);
}

/* The button inside shows the file's name only; what it is for is its name. */
static void name_inside(GtkWidget *child, gpointer title)
{
    if (GTK_IS_BUTTON(child) || GTK_IS_COMBO_BOX(child))
        atk_object_set_name(gtk_widget_get_accessible(child), title);
    else if (GTK_IS_CONTAINER(child))
        gtk_container_forall(GTK_CONTAINER(child), name_inside, title);
}

static GtkWidget *chooser(const char *title, const char *filter, const char *const *patterns)
{
    GtkWidget *b = gtk_file_chooser_button_new(title, GTK_FILE_CHOOSER_ACTION_OPEN);
    GtkFileFilter *f = gtk_file_filter_new(), *all = gtk_file_filter_new();
    gtk_file_filter_set_name(f, filter);
    for (; *patterns; patterns++)
        gtk_file_filter_add_pattern(f, *patterns);
    gtk_file_filter_set_name(all, _("All files"));
    gtk_file_filter_add_pattern(all, "*");
    gtk_file_chooser_add_filter(GTK_FILE_CHOOSER(b), f);
    gtk_file_chooser_add_filter(GTK_FILE_CHOOSER(b), all);
    gtk_widget_set_margin_start(b, 26);
    atk_object_set_name(gtk_widget_get_accessible(b), title);
    gtk_container_forall(GTK_CONTAINER(b), name_inside, (gpointer)title);
    return b;
}

static GtkWidget *source_page(struct wizard *w)
{
    GtkWidget *box = page_box(), *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8);
    const char *const texts[] = {_("From an _installation CD or DVD image (ISO)"),
                                 _("From an _existing disk (VMDK or raw image)"), _("I install the system _later")};
    for (int i = 0; i < 3; i++) {
        w->radio[i] =
            gtk_radio_button_new_with_mnemonic_from_widget(i ? GTK_RADIO_BUTTON(w->radio[0]) : NULL, texts[i]);
        g_signal_connect_swapped(w->radio[i], "toggled", G_CALLBACK(source_check), w);
    }
    w->iso = chooser(_("Choose a CD image"), _("CD images"), (const char *const[]){"*.iso", "*.ISO", NULL});
    w->disk = chooser(_("Choose a disk"), _("Disks"), (const char *const[]){"*.vmdk", "*.img", "*.raw", NULL});
    w->found = gtk_label_new(NULL);
    w->spinner = gtk_spinner_new();
    gtk_widget_set_no_show_all(w->spinner, TRUE);
    g_object_set(w->found, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 60, "selectable", FALSE, NULL);
    gtk_widget_set_margin_start(line, 26);
    gtk_box_pack_start(GTK_BOX(line), w->spinner, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(line), w->found, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), w->radio[0], FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), w->iso, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), line, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), w->radio[1], FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), w->disk, FALSE, FALSE, 0);
    GtkWidget *stays = note(_("The disk stays where it is and is used by the new machine."));
    gtk_widget_set_margin_start(stays, 26);
    gtk_box_pack_start(GTK_BOX(box), stays, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), w->radio[2], FALSE, FALSE, 0);
    gtk_box_pack_end(GTK_BOX(box), note(_("A CD image or a disk can also be dropped here from a file manager.")), FALSE,
                     FALSE, 0);
    if (!app_key_acts("ethernet0.present"))
        gtk_box_pack_end(
            GTK_BOX(box),
            note(_("Installing over the network is not offered: this version of Lodge has no network adapters yet.")),
            FALSE, FALSE, 0);
    g_signal_connect_swapped(w->iso, "selection-changed", G_CALLBACK(iso_set), w);
    g_signal_connect_swapped(w->disk, "file-set", G_CALLBACK(disk_set), w);
    g_signal_connect_swapped(w->disk, "selection-changed", G_CALLBACK(source_check), w);
    return box;
}

/* ---- 2 guest ---- */

static gboolean guest_visible(GtkListBoxRow *r, gpointer u)
{
    struct wizard *w = u;
    const AppGuestOs *g = g_object_get_data(G_OBJECT(r), "guest");
    const char *text = gtk_entry_get_text(GTK_ENTRY(w->guest_search));
    g_autofree char *needle = g_utf8_casefold(text, -1), *name = g_utf8_casefold(g->name, -1),
                    *id = g_utf8_casefold(g->id, -1);
    /* Two names of one thing: the second only for who looks for it. */
    if (!*text)
        return !*g->alias;
    return strstr(name, needle) || strstr(id, needle);
}

static void guest_header(GtkListBoxRow *r, GtkListBoxRow *before, gpointer u)
{
    const AppGuestOs *g = g_object_get_data(G_OBJECT(r), "guest"),
                     *b = before ? g_object_get_data(G_OBJECT(before), "guest") : NULL;
    if (b && b->family == g->family) {
        gtk_list_box_row_set_header(r, NULL);
        return;
    }
    GtkWidget *l = gtk_label_new(app_guest_family_name(g->family));
    g_object_set(l, "xalign", 0.0, "margin", 6, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(l), "heading");
    gtk_widget_show(l);
    gtk_list_box_row_set_header(r, l);
}

static void guest_picked(GtkListBox *l, GtkListBoxRow *r, gpointer u)
{
    struct wizard *w = u;
    const AppGuestOs *g = r ? g_object_get_data(G_OBJECT(r), "guest") : NULL;
    complete(w, PAGE_GUEST, g != NULL);
    if (!g)
        return;
    g_free(w->guest_id);
    w->guest_id = g_strdup(g->id);
    if (!w->ours) {
        w->guest_by_user = TRUE;
        suggest(w);
    }
}

static void guest_searched(struct wizard *w) { gtk_list_box_invalidate_filter(GTK_LIST_BOX(w->guests)); }

static gboolean scroll_to_guest(gpointer u)
{
    GtkWidget *r = u, *list = gtk_widget_get_parent(r);
    GtkAllocation al;
    if (list && gtk_widget_get_mapped(r)) {
        GtkAdjustment *adj = gtk_list_box_get_adjustment(GTK_LIST_BOX(list));
        gtk_widget_get_allocation(r, &al);
        if (adj)
            gtk_adjustment_clamp_page(adj, MAX(0, al.y - 60), al.y + al.height + 60);
    }
    g_object_unref(r);
    return G_SOURCE_REMOVE;
}

static void select_guest(struct wizard *w, const char *id)
{
    for (int i = 0;; i++) {
        GtkListBoxRow *r = gtk_list_box_get_row_at_index(GTK_LIST_BOX(w->guests), i);
        if (!r)
            return;
        const AppGuestOs *g = g_object_get_data(G_OBJECT(r), "guest");
        if (g_ascii_strcasecmp(g->id, id))
            continue;
        w->ours = TRUE;
        gtk_list_box_select_row(GTK_LIST_BOX(w->guests), r);
        w->ours = FALSE;
        g_idle_add(scroll_to_guest, g_object_ref(r));
        return;
    }
}

static GtkWidget *guest_page(struct wizard *w)
{
    GtkWidget *box = page_box(), *scroll = gtk_scrolled_window_new(NULL, NULL);
    guint n;
    const AppGuestOs *t = app_guest_os_table(&n);
    w->guest_search = gtk_search_entry_new();
    gtk_entry_set_placeholder_text(GTK_ENTRY(w->guest_search), _("Search a system"));
    atk_object_set_name(gtk_widget_get_accessible(w->guest_search), _("Search a system"));
    w->guests = gtk_list_box_new();
    app_list_one_tab(w->guests);
    gtk_list_box_set_selection_mode(GTK_LIST_BOX(w->guests), GTK_SELECTION_BROWSE);
    atk_object_set_name(gtk_widget_get_accessible(w->guests), _("Guest systems"));
    for (guint i = 0; i < n; i++) {
        GtkWidget *r = gtk_list_box_row_new(), *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 12),
                  *name = gtk_label_new(t[i].name), *id = gtk_label_new(t[i].id);
        g_object_set(line, "margin", 4, "margin-start", 12, "margin-end", 12, NULL);
        g_object_set(name, "xalign", 0.0, "ellipsize", PANGO_ELLIPSIZE_END, NULL);
        g_object_set(id, "ellipsize", PANGO_ELLIPSIZE_END, "width-chars", 12, "xalign", 1.0, NULL);
        gtk_style_context_add_class(gtk_widget_get_style_context(id), GTK_STYLE_CLASS_DIM_LABEL);
        gtk_box_pack_start(GTK_BOX(line), name, TRUE, TRUE, 0);
        gtk_box_pack_end(GTK_BOX(line), id, FALSE, FALSE, 0);
        gtk_container_add(GTK_CONTAINER(r), line);
        g_object_set_data(G_OBJECT(r), "guest", (gpointer)&t[i]);
        atk_object_set_name(gtk_widget_get_accessible(r), t[i].name);
        gtk_container_add(GTK_CONTAINER(w->guests), r);
    }
    gtk_list_box_set_filter_func(GTK_LIST_BOX(w->guests), guest_visible, w, NULL);
    gtk_list_box_set_header_func(GTK_LIST_BOX(w->guests), guest_header, w, NULL);
    g_signal_connect(w->guests, "row-selected", G_CALLBACK(guest_picked), w);
    g_signal_connect_swapped(w->guest_search, "search-changed", G_CALLBACK(guest_searched), w);
    gtk_container_add(GTK_CONTAINER(scroll), w->guests);
    gtk_scrolled_window_set_shadow_type(GTK_SCROLLED_WINDOW(scroll), GTK_SHADOW_IN);
    gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(scroll), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
    gtk_box_pack_start(GTK_BOX(box), w->guest_search, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), scroll, TRUE, TRUE, 0);
    return box;
}

/* ---- 3 name and place ---- */

static guint new_disk_gb(struct wizard *w)
{
    return source_of(w) == SOURCE_DISK ? 0 : (guint)gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(w->disk_size));
}

static void name_check(struct wizard *w)
{
    gboolean warning, allocate = gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(w->allocate));
    g_autofree char *problem = app_vm_spec_problem(gtk_entry_get_text(GTK_ENTRY(w->name)),
                                                   gtk_entry_get_text(GTK_ENTRY(w->place)), 0, FALSE, &warning);
    g_autofree char *room =
        app_vm_spec_problem(gtk_entry_get_text(GTK_ENTRY(w->name)), gtk_entry_get_text(GTK_ENTRY(w->place)),
                            new_disk_gb(w), allocate, &warning);
    gtk_label_set_text(GTK_LABEL(w->name_note), problem ? problem : "");
    complete(w, PAGE_NAME, !problem);
    if (!problem) {
        gtk_label_set_text(GTK_LABEL(w->size_note), room ? room : "");
        complete(w, PAGE_SIZE, !room || warning);
    }
}

static void name_edited(struct wizard *w)
{
    if (!w->ours)
        w->name_by_user = TRUE;
    name_check(w);
}

static void place_chosen(GtkNativeDialog *d, int response, gpointer u)
{
    GtkWidget *entry = u;
    if (response == GTK_RESPONSE_ACCEPT) {
        g_autofree char *dir = gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(d));
        if (dir)
            gtk_entry_set_text(GTK_ENTRY(entry), dir);
    }
    g_object_unref(d);
}

static void place_clicked(GtkButton *b, gpointer u)
{
    struct wizard *w = u;
    GtkFileChooserNative *d = gtk_file_chooser_native_new(_("Where the machine's folder is made"), GTK_WINDOW(w->a),
                                                          GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, _("_Choose"), NULL);
    const char *now = gtk_entry_get_text(GTK_ENTRY(w->place));
    if (g_file_test(now, G_FILE_TEST_IS_DIR))
        gtk_file_chooser_set_current_folder(GTK_FILE_CHOOSER(d), now);
    g_signal_connect_object(d, "response", G_CALLBACK(place_chosen), w->place, 0);
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(d));
}

static GtkWidget *name_page(struct wizard *w)
{
    GtkWidget *box = page_box(), *grid = gtk_grid_new(), *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6),
              *browse = gtk_button_new_with_mnemonic(_("Bro_wse…"));
    g_autofree char *dir = app_vm_folder();
    g_object_set(grid, "row-spacing", 10, "column-spacing", 12, NULL);
    w->name = gtk_entry_new();
    w->place = gtk_entry_new();
    gtk_entry_set_text(GTK_ENTRY(w->place), dir);
    gtk_widget_set_hexpand(w->name, TRUE);
    gtk_entry_set_activates_default(GTK_ENTRY(w->name), TRUE);
    gtk_entry_set_activates_default(GTK_ENTRY(w->place), TRUE);
    gtk_box_pack_start(GTK_BOX(line), w->place, TRUE, TRUE, 0);
    gtk_box_pack_start(GTK_BOX(line), browse, FALSE, FALSE, 0);
    row(grid, 0, _("Na_me:"), w->name);
    GtkWidget *l = row(grid, 1, _("_Place:"), line);
    gtk_label_set_mnemonic_widget(GTK_LABEL(l), w->place);
    gtk_box_pack_start(GTK_BOX(box), grid, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box),
                       note(_("A folder with the machine's name is made in this place; it holds everything that "
                              "belongs to the machine.")),
                       FALSE, FALSE, 0);
    w->name_note = gtk_label_new(NULL);
    g_object_set(w->name_note, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 64, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(w->name_note), "bad-line");
    gtk_box_pack_start(GTK_BOX(box), w->name_note, FALSE, FALSE, 0);
    g_signal_connect(browse, "clicked", G_CALLBACK(place_clicked), w);
    g_signal_connect_swapped(w->name, "changed", G_CALLBACK(name_edited), w);
    g_signal_connect_swapped(w->place, "changed", G_CALLBACK(name_check), w);
    return box;
}

/* ---- 4 size ---- */

static void size_edited(struct wizard *w)
{
    if (!w->ours)
        w->size_by_user = TRUE;
    name_check(w);
}

static GtkWidget *size_page(struct wizard *w)
{
    GtkWidget *box = page_box(), *grid = gtk_grid_new(), *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8);
    guint host = host_memory_mb(), cpus = MIN(host_cpus(), 8);
    GtkAdjustment *adj = gtk_adjustment_new(1024, 4, MAX(64, host / 4 * 4), 4, 256, 0);
    g_object_set(grid, "row-spacing", 10, "column-spacing", 12, NULL);
    w->memory = gtk_spin_button_new(adj, 4, 0);
    w->memory_scale = gtk_scale_new(GTK_ORIENTATION_HORIZONTAL, adj);
    gtk_scale_set_draw_value(GTK_SCALE(w->memory_scale), FALSE);
    gtk_widget_set_hexpand(w->memory_scale, TRUE);
    gtk_widget_set_size_request(w->memory_scale, 260, -1);
    atk_object_set_name(gtk_widget_get_accessible(w->memory_scale), _("Memory"));
    gtk_box_pack_start(GTK_BOX(line), w->memory, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(line), gtk_label_new("MB"), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(line), w->memory_scale, TRUE, TRUE, 0);
    GtkWidget *l = row(grid, 0, _("_Memory:"), line);
    gtk_label_set_mnemonic_widget(GTK_LABEL(l), w->memory);
    w->cpus = gtk_spin_button_new_with_range(1, cpus, 1);
    gtk_widget_set_halign(w->cpus, GTK_ALIGN_START);
    row(grid, 1, _("_Processors:"), w->cpus);
    w->disk_box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6);
    GtkWidget *disk_line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8);
    w->disk_size = gtk_spin_button_new_with_range(0, 62 * 1024, 1);
    gtk_box_pack_start(GTK_BOX(disk_line), w->disk_size, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(disk_line), gtk_label_new("GB"), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(w->disk_box), disk_line, FALSE, FALSE, 0);
    w->one_file = gtk_radio_button_new_with_mnemonic(NULL, _("Store the disk in _one file"));
    w->two_files = gtk_radio_button_new_with_mnemonic_from_widget(GTK_RADIO_BUTTON(w->one_file),
                                                                  _("_Split it into files of 2 GB, easier to move"));
    w->allocate = gtk_check_button_new_with_mnemonic(_("_Take all of its space now (otherwise it grows)"));
    gtk_box_pack_start(GTK_BOX(w->disk_box), w->one_file, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(w->disk_box), w->two_files, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(w->disk_box), w->allocate, FALSE, FALSE, 0);
    l = row(grid, 2, _("_Disk:"), w->disk_box);
    gtk_widget_set_valign(l, GTK_ALIGN_START);
    gtk_widget_set_margin_top(l, 8);
    gtk_label_set_mnemonic_widget(GTK_LABEL(l), w->disk_size);
    for (GtkWidget *const *spin = (GtkWidget *const[]){w->memory, w->cpus, w->disk_size, NULL}; *spin; spin++) {
        gtk_entry_set_activates_default(GTK_ENTRY(*spin), TRUE);
        gtk_widget_set_valign(*spin, GTK_ALIGN_CENTER);
    }
    gtk_box_pack_start(GTK_BOX(box), grid, FALSE, FALSE, 0);
    g_autofree char *text = app_format_mb(host),
                    *host_text =
                        g_strdup_printf(_("This computer has %s of memory and %u processors."), text, host_cpus());
    gtk_box_pack_start(GTK_BOX(box), note(host_text), FALSE, FALSE, 0);
    w->size_note = gtk_label_new(NULL);
    g_object_set(w->size_note, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 64, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(w->size_note), "bad-line");
    gtk_box_pack_start(GTK_BOX(box), w->size_note, FALSE, FALSE, 0);
    g_signal_connect_swapped(adj, "value-changed", G_CALLBACK(size_edited), w);
    g_signal_connect_swapped(w->cpus, "value-changed", G_CALLBACK(size_edited), w);
    g_signal_connect_swapped(w->disk_size, "value-changed", G_CALLBACK(size_edited), w);
    g_signal_connect_swapped(w->allocate, "toggled", G_CALLBACK(name_check), w);
    return box;
}

/* ---- suggestions ---- */

static void suggest(struct wizard *w)
{
    AppDetected *d = source_of(w) == SOURCE_ISO ? w->detected : NULL;
    if (!w->guest_by_user)
        select_guest(w, d && d->guest_id ? d->guest_id : w->guest_id ? w->guest_id : "debian12-64");
    const AppGuestOs *g = app_guest_os_find(w->guest_id);
    if (!g)
        return;
    gboolean same = d && d->guest_id && !g_strcmp0(d->guest_id, g->id);
    w->ours = TRUE;
    if (!w->name_by_user) {
        g_autofree char *dir = g_strdup(gtk_entry_get_text(GTK_ENTRY(w->place))),
                        *base = g_strdup(same && d->name ? d->name : g->name), *name = g_strdup(base);
        for (guint i = 2; i < 1000; i++) {
            g_autofree char *file = app_vm_spec_file_name(name), *path = g_build_filename(dir, file, NULL);
            if (!g_file_test(path, G_FILE_TEST_EXISTS))
                break;
            g_free(name);
            name = g_strdup_printf("%s %u", base, i);
        }
        gtk_entry_set_text(GTK_ENTRY(w->name), name);
    }
    if (!w->size_by_user) {
        guint memory = same && d->memory_mb ? d->memory_mb : g->memory_mb,
              disk = same && d->disk_gb ? MAX(d->disk_gb, 4) : g->disk_gb;
        gtk_spin_button_set_value(GTK_SPIN_BUTTON(w->memory), MIN(memory, MAX(64, host_memory_mb() / 2 / 4 * 4)));
        gtk_spin_button_set_value(GTK_SPIN_BUTTON(w->cpus), same && d->processors ? MIN(d->processors, 2) : 1);
        gtk_spin_button_set_value(GTK_SPIN_BUTTON(w->disk_size), disk);
        gtk_scale_clear_marks(GTK_SCALE(w->memory_scale));
        gtk_scale_add_mark(GTK_SCALE(w->memory_scale), memory, GTK_POS_BOTTOM, _("recommended"));
    }
    w->ours = FALSE;
    name_check(w);
}

/* ---- 5 summary ---- */

static void fill_spec(struct wizard *w, AppVmSpec *s)
{
    enum source src = source_of(w);
    g_autofree char *file = app_vm_spec_file_name(gtk_entry_get_text(GTK_ENTRY(w->name)));
    *s = (AppVmSpec){.name = g_strstrip(g_strdup(gtk_entry_get_text(GTK_ENTRY(w->name)))),
                     .dir = g_build_filename(gtk_entry_get_text(GTK_ENTRY(w->place)), file, NULL),
                     .guest_id = g_strdup(w->guest_id),
                     .memory_mb = (guint)gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(w->memory)) / 4 * 4,
                     .processors = (guint)gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(w->cpus)),
                     .iso = src == SOURCE_ISO ? gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(w->iso)) : NULL,
                     .disk = src == SOURCE_DISK ? gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(w->disk)) : NULL,
                     .disk_gb = new_disk_gb(w),
                     .split = gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(w->two_files)),
                     .allocate = gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(w->allocate))};
}

static void summary_line(struct wizard *w, int *y, const char *label, const char *value)
{
    GtkWidget *l = gtk_label_new(label), *v = gtk_label_new(value);
    g_object_set(l, "xalign", 1.0, NULL);
    g_object_set(v, "xalign", 0.0, "ellipsize", PANGO_ELLIPSIZE_MIDDLE, "hexpand", TRUE, "selectable", TRUE,
                 "can-focus", FALSE, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(l), GTK_STYLE_CLASS_DIM_LABEL);
    gtk_grid_attach(GTK_GRID(w->summary), l, 0, *y, 1, 1);
    gtk_grid_attach(GTK_GRID(w->summary), v, 1, (*y)++, 1, 1);
}

static void summary_fill(struct wizard *w)
{
    AppVmSpec s;
    struct err e = {0};
    int y = 0;
    fill_spec(w, &s);
    app_clear(w->summary);
    g_autofree char *path = app_vm_spec_path(&s);
    summary_line(w, &y, _("Name"), s.name);
    summary_line(w, &y, _("Guest"), app_guest_os_name(s.guest_id));
    summary_line(w, &y, _("File"), path);
    struct vmx_dict *d = app_vm_spec_dict(&s, &e);
    g_autoptr(GPtrArray) items = app_hardware_list(d);
    for (guint i = 0; i < items->len; i++) {
        AppHwItem *it = items->pdata[i];
        g_autofree char *value =
            it->kind == HW_DISK && !s.disk
                ? g_strdup_printf(s.allocate ? _("New, %u GB, taken at once") : _("New, %u GB, grows as it is used"),
                                  s.disk_gb)
                : g_strdup(it->value);
        summary_line(w, &y, it->label, value);
    }
    vmx_dict_free(d);
    if (!app_key_acts("ethernet0.present"))
        summary_line(w, &y, _("Network adapter"), _("None: not in this version"));
    app_vm_spec_clear(&s);
    gtk_widget_show_all(w->summary);
}

static GtkWidget *summary_page(struct wizard *w)
{
    GtkWidget *box = page_box();
    w->summary = gtk_grid_new();
    g_object_set(w->summary, "row-spacing", 6, "column-spacing", 14, NULL);
    w->power_on = gtk_check_button_new_with_mnemonic(_("_Power on after creation"));
    w->customise = gtk_check_button_new_with_mnemonic(_("C_ustomise the hardware first"));
    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(w->power_on), TRUE);
    gtk_box_pack_start(GTK_BOX(box), w->summary, FALSE, FALSE, 0);
    gtk_box_pack_end(GTK_BOX(box), w->customise, FALSE, FALSE, 0);
    gtk_box_pack_end(GTK_BOX(box), w->power_on, FALSE, FALSE, 0);
    return box;
}

/* ---- making it ---- */

static GtkWidget *progress_page(struct wizard *w)
{
    GtkWidget *box = page_box();
    gtk_widget_set_valign(box, GTK_ALIGN_CENTER);
    w->bar = gtk_progress_bar_new();
    w->bar_label = gtk_label_new(_("Making the machine…"));
    g_object_set(w->bar_label, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 64, NULL);
    gtk_box_pack_start(GTK_BOX(box), w->bar_label, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), w->bar, FALSE, FALSE, 0);
    return box;
}

static void progressed(gpointer u, double part)
{
    struct wizard *w = u;
    if (w->pulse)
        g_source_remove(w->pulse);
    w->pulse = 0;
    if (!w->closed)
        gtk_progress_bar_set_fraction(GTK_PROGRESS_BAR(w->bar), CLAMP(part, 0, 1));
}

static gboolean pulse(gpointer u)
{
    struct wizard *w = u;
    if (!w->closed)
        gtk_progress_bar_pulse(GTK_PROGRESS_BAR(w->bar));
    return G_SOURCE_CONTINUE;
}

static void wizard_free(struct wizard *w)
{
    if (w->pulse)
        g_source_remove(w->pulse);
    if (w->focus)
        g_source_remove(w->focus);
    g_clear_object(&w->making);
    if (w->detect)
        g_cancellable_cancel(w->detect);
    g_clear_object(&w->detect);
    app_detected_free(w->detected);
    g_free(w->guest_id);
    g_object_unref(w->parent);
    g_free(w);
}

static void made(GObject *o, GAsyncResult *r, gpointer u)
{
    struct wizard *w = u;
    g_autoptr(GError) e = NULL;
    g_autofree char *path = app_vm_make_finish(r, &e);
    if (path && !w->closed) {
        AppVm *vm = app_library_add(app_application_get_library(app_application_default()), path, "");
        gboolean customise = gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(w->customise)),
                 on = gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(w->power_on));
        GtkWindow *parent = w->parent;
        if (APP_IS_WINDOW(parent) && !gtk_widget_in_destruction(GTK_WIDGET(parent)))
            app_window_open_vm(APP_WINDOW(parent), vm);
        if (customise)
            app_settings_show(parent, vm, NULL);
        else if (on)
            app_vm_power_on(vm);
    } else if (!w->closed) {
        g_autofree char *why = app_error_sentence(e),
                        *text = g_strdup_printf(
                            _("The machine was not made. %s Nothing is left behind; go back to change something."),
                            why);
        gtk_label_set_text(GTK_LABEL(w->bar_label), text);
        g_clear_object(&w->making);
        if (w->pulse)
            g_source_remove(w->pulse);
        w->pulse = 0;
        gtk_widget_hide(w->bar);
        gtk_assistant_set_page_type(w->a, w->pages[PAGE_PROGRESS], GTK_ASSISTANT_PAGE_CONTENT);
        return;
    }
    g_clear_object(&w->making);
    if (w->closed)
        wizard_free(w);
    else
        gtk_widget_destroy(GTK_WIDGET(w->a));
}

static void applied(GtkAssistant *a, gpointer u)
{
    struct wizard *w = u;
    AppVmSpec s;
    fill_spec(w, &s);
    w->making = g_cancellable_new();
    gtk_label_set_text(GTK_LABEL(w->bar_label), _("Making the machine…"));
    gtk_widget_show(w->bar);
    if (!w->pulse)
        w->pulse = g_timeout_add(120, pulse, w);
    app_vm_make_async(&s, progressed, w, w->making, made, w);
    app_vm_spec_clear(&s);
}

/* Where the page's answer is given; the assistant moves the focus itself before, so later. */
static gboolean focus_page(gpointer u)
{
    struct wizard *w = u;
    GtkListBoxRow *r = gtk_list_box_get_selected_row(GTK_LIST_BOX(w->guests));
    GtkWidget *const first[] = {w->radio[source_of(w)], GTK_WIDGET(r), w->name, w->memory, w->power_on, NULL};
    int page = gtk_assistant_get_current_page(w->a);
    w->focus = 0;
    if (page >= 0 && page < PAGE_PROGRESS && first[page])
        gtk_widget_grab_focus(first[page]);
    return G_SOURCE_REMOVE;
}

static void prepared(GtkAssistant *a, GtkWidget *page, gpointer u)
{
    struct wizard *w = u;
    if (page == w->pages[PAGE_SUMMARY])
        summary_fill(w);
    else if (page == w->pages[PAGE_GUEST])
        suggest(w);
    if (!w->focus)
        w->focus = g_idle_add(focus_page, w);
}

static void destroyed(GtkWidget *a, gpointer u)
{
    struct wizard *w = u;
    w->closed = TRUE;
    if (w->focus)
        g_source_remove(w->focus);
    w->focus = 0;
    if (w->making)
        g_cancellable_cancel(w->making); /* made() frees w */
    else
        wizard_free(w);
}

void app_new_vm_show(GtkWindow *parent, const char *source)
{
    struct wizard *w = g_new0(struct wizard, 1);
    static const struct {
        const char *title;
        GtkAssistantPageType type;
        GtkWidget *(*make)(struct wizard *w);
    } pages[] = {
        {N_("Source"), GTK_ASSISTANT_PAGE_CONTENT, source_page},
        {N_("Guest"), GTK_ASSISTANT_PAGE_CONTENT, guest_page},
        {N_("Name and place"), GTK_ASSISTANT_PAGE_CONTENT, name_page},
        {N_("Size"), GTK_ASSISTANT_PAGE_CONTENT, size_page},
        {N_("Summary"), GTK_ASSISTANT_PAGE_CONFIRM, summary_page},
        {N_("Creation"), GTK_ASSISTANT_PAGE_PROGRESS, progress_page},
    };
    w->a = GTK_ASSISTANT(g_object_new(GTK_TYPE_ASSISTANT, "use-header-bar", TRUE, NULL));
    w->parent = g_object_ref(parent);
    gtk_window_set_title(GTK_WINDOW(w->a), _("New virtual machine"));
    gtk_window_set_transient_for(GTK_WINDOW(w->a), parent);
    gtk_window_set_modal(GTK_WINDOW(w->a), TRUE);
    gtk_window_set_position(GTK_WINDOW(w->a), GTK_WIN_POS_CENTER_ON_PARENT);
    gtk_window_set_default_size(GTK_WINDOW(w->a), 720, 500);
    for (guint i = 0; i < G_N_ELEMENTS(pages); i++) {
        w->pages[i] = pages[i].make(w);
        gtk_widget_show_all(w->pages[i]);
        gtk_assistant_append_page(w->a, w->pages[i]);
        gtk_assistant_set_page_title(w->a, w->pages[i], _(pages[i].title));
        gtk_assistant_set_page_type(w->a, w->pages[i], pages[i].type);
    }
    complete(w, PAGE_SUMMARY, TRUE);
    GObject *apply = gtk_widget_get_template_child(GTK_WIDGET(w->a), GTK_TYPE_ASSISTANT, "apply");
    if (GTK_IS_BUTTON(apply))
        gtk_button_set_label(GTK_BUTTON(apply), _("C_reate"));
    /* GTK calls it "Finish", but it leads to the summary: nothing is made by it. */
    GObject *last = gtk_widget_get_template_child(GTK_WIDGET(w->a), GTK_TYPE_ASSISTANT, "last");
    if (GTK_IS_BUTTON(last))
        gtk_button_set_label(GTK_BUTTON(last), _("_Summary"));
    GtkWidget *bar = gtk_window_get_titlebar(GTK_WINDOW(w->a));
    if (GTK_IS_HEADER_BAR(bar)) /* the title is the page's */
        gtk_header_bar_set_subtitle(GTK_HEADER_BAR(bar), _("New virtual machine"));
    g_signal_connect(w->a, "prepare", G_CALLBACK(prepared), w);
    g_signal_connect(w->a, "apply", G_CALLBACK(applied), w);
    g_signal_connect(w->a, "cancel", G_CALLBACK(gtk_widget_destroy), NULL);
    g_signal_connect(w->a, "destroy", G_CALLBACK(destroyed), w);
    gtk_drag_dest_set(w->pages[PAGE_SOURCE], GTK_DEST_DEFAULT_ALL, NULL, 0, GDK_ACTION_COPY);
    gtk_drag_dest_add_uri_targets(w->pages[PAGE_SOURCE]);
    g_signal_connect(w->pages[PAGE_SOURCE], "drag-data-received", G_CALLBACK(dropped), w);
    source_check(w);
    suggest(w);
    if (source)
        set_source(w, source);
    gtk_widget_show(GTK_WIDGET(w->a));
}
