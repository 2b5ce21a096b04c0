/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Preferences: each control is bound to its key of the settings schema; they act at once. */
#include "app-preferences.h"

#include <glib/gi18n.h>

#include "app-application.h"
#include "app-error.h"

static GtkWidget *new_grid(void)
{
    GtkWidget *g = gtk_grid_new();
    g_object_set(g, "margin", 18, "row-spacing", 10, "column-spacing", 12, NULL);
    return g;
}

static void check(GtkWidget *grid, int *y, const char *label, const char *pref)
{
    GtkWidget *b = gtk_check_button_new_with_mnemonic(label);
    g_settings_bind(app_prefs(), pref, b, "active", G_SETTINGS_BIND_DEFAULT);
    gtk_grid_attach(GTK_GRID(grid), b, 1, (*y)++, 1, 1);
}

static void labelled(GtkWidget *grid, int *y, const char *label, GtkWidget *w, GtkWidget *focus)
{
    GtkWidget *l = gtk_label_new_with_mnemonic(label);
    g_object_set(l, "xalign", 1.0, NULL);
    gtk_label_set_mnemonic_widget(GTK_LABEL(l), focus);
    gtk_grid_attach(GTK_GRID(grid), l, 0, *y, 1, 1);
    gtk_widget_set_hexpand(w, TRUE);
    gtk_grid_attach(GTK_GRID(grid), w, 1, (*y)++, 1, 1);
}

static void combo(GtkWidget *grid, int *y, const char *label, const char *pref, const char *const (*items)[2])
{
    GtkWidget *c = gtk_combo_box_text_new();
    for (; (*items)[0]; items++)
        gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(c), (*items)[0], _((*items)[1]));
    g_settings_bind(app_prefs(), pref, c, "active-id", G_SETTINGS_BIND_DEFAULT);
    labelled(grid, y, label, c, c);
}

/* ---- the folder for new machines ---- */

static void folder_chosen(GtkNativeDialog *d, int response, gpointer u)
{
    if (response == GTK_RESPONSE_ACCEPT) {
        g_autofree char *dir = gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(d));
        if (dir)
            g_settings_set_string(app_prefs(), "vm-folder", dir);
    }
    g_object_unref(d);
}

static void browse(GtkButton *b, gpointer u)
{
    GtkFileChooserNative *d =
        gtk_file_chooser_native_new(_("Folder for new machines"), GTK_WINDOW(gtk_widget_get_toplevel(GTK_WIDGET(b))),
                                    GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, _("_Choose"), NULL);
    g_signal_connect(d, "response", G_CALLBACK(folder_chosen), NULL);
    gtk_native_dialog_show(GTK_NATIVE_DIALOG(d));
}

/* ---- shortcuts of the console ---- */

static void show_shortcut(GSettings *prefs, const char *pref, GtkButton *b)
{
    g_autofree char *accel = g_settings_get_string(prefs, pref);
    guint key = 0;
    GdkModifierType mods = 0;
    gtk_accelerator_parse(accel, &key, &mods);
    /* Modifiers alone are no accelerator for GTK, but one for the console. */
    g_autofree char *text = key ? gtk_accelerator_get_label(key, mods)
                                : g_strdup(!g_strcmp0(accel, "<Control><Alt>") ? _("Ctrl+Alt")
                                           : *accel                            ? accel
                                                                               : _("None"));
    gtk_button_set_label(b, text);
}

static gboolean shortcut_key(GtkWidget *b, GdkEventKey *ev, gpointer u)
{
    const char *pref = u;
    GdkModifierType mods = ev->state & gtk_accelerator_get_default_mod_mask();
    if (!g_object_get_data(G_OBJECT(b), "asking"))
        return GDK_EVENT_PROPAGATE;
    if (ev->is_modifier)
        return GDK_EVENT_STOP;
    g_object_set_data(G_OBJECT(b), "asking", NULL);
    if (ev->keyval == GDK_KEY_BackSpace && !mods) {
        g_settings_set_string(app_prefs(), pref, "");
    } else if (ev->keyval != GDK_KEY_Escape && mods) {
        g_autofree char *accel = gtk_accelerator_name(ev->keyval, mods);
        g_settings_set_string(app_prefs(), pref, accel);
    }
    show_shortcut(app_prefs(), pref, GTK_BUTTON(b));
    return GDK_EVENT_STOP;
}

static void shortcut_clicked(GtkButton *b, gpointer u)
{
    g_object_set_data(G_OBJECT(b), "asking", GINT_TO_POINTER(1));
    gtk_button_set_label(b, _("Press the new keys…"));
}

static gboolean shortcut_left(GtkWidget *b, GdkEvent *ev, gpointer u)
{
    g_object_set_data(G_OBJECT(b), "asking", NULL);
    show_shortcut(app_prefs(), u, GTK_BUTTON(b));
    return GDK_EVENT_PROPAGATE;
}

static void reset_shortcut(GtkButton *b, gpointer u) { g_settings_reset(app_prefs(), u); }

static GtkWidget *shortcuts_page(void)
{
    static const char *const keys[][2] = {
        {"hotkey-release", N_("_Release the pointer:")}, {"hotkey-grab", N_("_Grab the pointer:")},
        {"hotkey-fullscreen", N_("_Full screen:")},      {"hotkey-previous", N_("_Previous machine:")},
        {"hotkey-next", N_("_Next machine:")},           {"hotkey-ctrl-alt-del", N_("Send Ctrl+Alt+_Del:")}};
    GtkWidget *grid = new_grid();
    int y = 0;
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        GtkWidget *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6), *b = gtk_button_new(),
                  *reset = gtk_button_new_from_icon_name("edit-undo-symbolic", GTK_ICON_SIZE_BUTTON);
        g_autofree char *detail = g_strdup_printf("changed::%s", keys[i][0]);
        gtk_widget_set_size_request(b, 220, -1);
        gtk_widget_set_tooltip_text(reset, _("Back to the usual keys"));
        atk_object_set_name(gtk_widget_get_accessible(reset), _("Back to the usual keys"));
        gtk_box_pack_start(GTK_BOX(line), b, FALSE, FALSE, 0);
        gtk_box_pack_start(GTK_BOX(line), reset, FALSE, FALSE, 0);
        g_signal_connect(b, "clicked", G_CALLBACK(shortcut_clicked), NULL);
        g_signal_connect(b, "key-press-event", G_CALLBACK(shortcut_key), (gpointer)keys[i][0]);
        g_signal_connect(b, "focus-out-event", G_CALLBACK(shortcut_left), (gpointer)keys[i][0]);
        g_signal_connect(reset, "clicked", G_CALLBACK(reset_shortcut), (gpointer)keys[i][0]);
        g_signal_connect_object(app_prefs(), detail, G_CALLBACK(show_shortcut), b, 0);
        show_shortcut(app_prefs(), keys[i][0], GTK_BUTTON(b));
        labelled(grid, &y, _(keys[i][1]), line, b);
    }
    GtkWidget *note =
        gtk_label_new(_("These keys act while the console has the keyboard. Backspace switches one off."));
    g_object_set(note, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 50, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(note), GTK_STYLE_CLASS_DIM_LABEL);
    gtk_grid_attach(GTK_GRID(grid), note, 0, y, 2, 1);
    return grid;
}

static GtkWidget *general_page(void)
{
    static const char *const closing[][2] = {{"ask", N_("Ask")},
                                             {"background", N_("Let it run in the background")},
                                             {"power-off", N_("Power it off")},
                                             {NULL, NULL}};
    GtkWidget *grid = new_grid(), *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6), *entry = gtk_entry_new(),
              *b = gtk_button_new_with_mnemonic(_("_Browse…"));
    g_autofree char *dir = app_vm_folder();
    int y = 0;
    gtk_entry_set_placeholder_text(GTK_ENTRY(entry), dir);
    gtk_widget_set_hexpand(entry, TRUE);
    gtk_entry_set_width_chars(GTK_ENTRY(entry), 30);
    g_settings_bind(app_prefs(), "vm-folder", entry, "text", G_SETTINGS_BIND_DEFAULT);
    g_signal_connect(b, "clicked", G_CALLBACK(browse), NULL);
    gtk_box_pack_start(GTK_BOX(line), entry, TRUE, TRUE, 0);
    gtk_box_pack_start(GTK_BOX(line), b, FALSE, FALSE, 0);
    labelled(grid, &y, _("_Folder for new machines:"), line, entry);
    combo(grid, &y, _("_Closing a running machine's tab:"), "closing", closing);
    check(grid, &y, _("Ask before _powering off"), "confirm-power-off");
    check(grid, &y, _("Ask before _resetting"), "confirm-reset");
    check(grid, &y, _("_Notify when a machine in the background stops"), "notifications");
    check(grid, &y, _("Show the _menu bar"), "show-menubar");
    check(grid, &y, _("Show the _status bar"), "show-status-bar");
    check(grid, &y, _("Show live _thumbnails in the library"), "show-thumbnails");
    return grid;
}

static GtkWidget *console_page(void)
{
    static const char *const scaling[][2] = {{"stretch", N_("Stretch to the window")},
                                             {"actual", N_("Actual pixels")},
                                             {"fit-guest", N_("Auto-fit guest")},
                                             {NULL, NULL}};
    static const char *const filter[][2] = {{"auto", N_("Sharp at whole factors, else smooth")},
                                            {"nearest", N_("Always sharp")},
                                            {"bilinear", N_("Always smooth")},
                                            {NULL, NULL}};
    GtkWidget *grid = new_grid(), *entry = gtk_entry_new();
    int y = 0;
    combo(grid, &y, _("_Picture:"), "scaling", scaling);
    combo(grid, &y, _("S_caling:"), "filter", filter);
    gtk_entry_set_placeholder_text(GTK_ENTRY(entry), _("us, de, ch(fr)…"));
    gtk_widget_set_tooltip_text(entry, _("The layout that the guest has set: text of the clipboard is typed for it."));
    g_settings_bind(app_prefs(), "guest-keyboard", entry, "text", G_SETTINGS_BIND_DEFAULT);
    labelled(grid, &y, _("_Keyboard layout of guests:"), entry, entry);
    check(grid, &y, _("Keep the bar _shown in full screen"), "full-screen-pinned");
    return grid;
}

void app_preferences_show(GtkWindow *parent)
{
    static GtkWidget *window;
    if (window) {
        gtk_window_present(GTK_WINDOW(window));
        return;
    }
    GtkWidget *bar = gtk_header_bar_new(), *stack = gtk_stack_new(), *switcher = gtk_stack_switcher_new();
    window = gtk_window_new(GTK_WINDOW_TOPLEVEL);
    gtk_window_set_title(GTK_WINDOW(window), _("Preferences"));
    gtk_window_set_transient_for(GTK_WINDOW(window), parent);
    gtk_window_set_resizable(GTK_WINDOW(window), FALSE);
    gtk_window_set_type_hint(GTK_WINDOW(window), GDK_WINDOW_TYPE_HINT_DIALOG);
    gtk_window_set_position(GTK_WINDOW(window), GTK_WIN_POS_CENTER_ON_PARENT);
    gtk_stack_add_titled(GTK_STACK(stack), general_page(), "general", _("General"));
    gtk_stack_add_titled(GTK_STACK(stack), console_page(), "console", _("Console"));
    gtk_stack_add_titled(GTK_STACK(stack), app_preferences_memory_page(), "memory", _("Memory"));
    gtk_stack_add_titled(GTK_STACK(stack), shortcuts_page(), "shortcuts", _("Shortcuts"));
    gtk_stack_switcher_set_stack(GTK_STACK_SWITCHER(switcher), GTK_STACK(stack));
    gtk_header_bar_set_custom_title(GTK_HEADER_BAR(bar), switcher);
    gtk_header_bar_set_title(GTK_HEADER_BAR(bar), _("Preferences")); /* the window takes its title from here */
    gtk_header_bar_set_show_close_button(GTK_HEADER_BAR(bar), TRUE);
    gtk_window_set_titlebar(GTK_WINDOW(window), bar);
    gtk_container_add(GTK_CONTAINER(window), stack);
    g_signal_connect(window, "destroy", G_CALLBACK(gtk_widget_destroyed), &window);
    /* After the widgets: Escape also ends the asking for new keys. */
    g_signal_connect_after(window, "key-press-event", G_CALLBACK(app_escape), NULL);
    gtk_widget_show_all(window);
    gtk_widget_child_focus(switcher, GTK_DIR_TAB_FORWARD); /* an entry with the focus does not show what it means when empty */
}
