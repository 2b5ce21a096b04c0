/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preferences, page "Memory": what all machines together may use of this computer. It is the file of docs/memory.md, which lodge-vmx reads at power
 * on; other keys and comments in it stay. Each change is written at once.
 */
#include <errno.h>
#include <stdlib.h>

#include <glib/gi18n.h>

#include "app-error.h"
#include "app-preferences.h"
#include "config/memconf.h"

struct page {
    GtkWidget *level, *recommended, *limit, *error;
    gboolean loading;
};

static struct vmx_dict *load(const char *path, struct err *e)
{
    return g_file_test(path, G_FILE_TEST_EXISTS) ? vmx_dict_load(path, e) : vmx_dict_new();
}

static void tell(struct page *p, const char *sentence)
{
    gtk_label_set_text(GTK_LABEL(p->error), sentence);
    gtk_widget_set_visible(p->error, *sentence != 0);
}

/* value NULL: the line goes. */
static void write_key(struct page *p, const char *key, const char *value)
{
    struct err e = {0};
    char *path = memconf_path();
    g_autofree char *dir = path ? g_path_get_dirname(path) : NULL;
    struct vmx_dict *d = path ? load(path, &e) : NULL;
    gboolean ok = d && !g_mkdir_with_parents(dir, 0700);
    if (ok && value)
        ok = !vmx_dict_set(d, key, value, &e);
    else if (ok)
        vmx_dict_unset(d, key);
    ok = ok && !vmx_dict_save(d, path, &e);
    g_autofree char *why = ok ? NULL : app_sentence(*e.msg ? e.msg : g_strerror(errno)),
                    *text = ok ? g_strdup("") : g_strdup_printf(_("The change could not be saved. %s"), why);
    tell(p, text);
    vmx_dict_free(d);
    free(path);
}

static void level_chosen(GtkComboBox *b, gpointer u)
{
    struct page *p = u;
    if (!p->loading)
        write_key(p, "prefvmx.minVmMemPct", gtk_combo_box_get_active_id(b));
}

static void limit_changed(GtkWidget *w, gpointer u)
{
    struct page *p = u;
    gboolean recommended = gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(p->recommended));
    gtk_widget_set_sensitive(p->limit, !recommended);
    if (p->loading)
        return;
    g_autofree char *mb = g_strdup_printf("%d", gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(p->limit)));
    write_key(p, "prefvmx.allVMMemoryLimit", recommended ? NULL : mb);
    write_key(p, "prefvmx.useRecommendedLockedMemSize", recommended ? "TRUE" : NULL);
}

static void show(struct page *p)
{
    static const int levels[] = {MEMCONF_FIT, MEMCONF_SOME, MEMCONF_MOST};
    uint64_t host = memconf_host_mb(), recommended = memconf_recommended(host);
    struct hostmem_policy pol;
    hostmem_policy(NULL, host, &pol);
    g_autofree char *id = NULL;
    p->loading = TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(levels); i++)
        if ((int)pol.pct == levels[i])
            id = g_strdup_printf("%u", pol.pct);
    if (!id) { /* the user's own, between the levels */
        g_autofree char *text = g_strdup_printf(_("%u %% of it, the rest may be swapped"), pol.pct);
        id = g_strdup_printf("%u", pol.pct);
        gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(p->level), id, text);
    }
    gtk_combo_box_set_active_id(GTK_COMBO_BOX(p->level), id);
    gtk_spin_button_set_value(GTK_SPIN_BUTTON(p->limit), (double)pol.limit_mb);
    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(p->recommended), pol.limit_mb == recommended);
    gtk_widget_set_sensitive(p->limit, pol.limit_mb != recommended);
    p->loading = FALSE;
}

static GtkWidget *label(const char *text, gboolean mnemonic, GtkWidget *of)
{
    GtkWidget *l = mnemonic ? gtk_label_new_with_mnemonic(text) : gtk_label_new(text);
    g_object_set(l, "xalign", of ? 1.0 : 0.0, "wrap", !of, "max-width-chars", of ? -1 : 56, NULL);
    if (of)
        gtk_label_set_mnemonic_widget(GTK_LABEL(l), of);
    else
        gtk_style_context_add_class(gtk_widget_get_style_context(l), GTK_STYLE_CLASS_DIM_LABEL);
    return l;
}

GtkWidget *app_preferences_memory_page(void)
{
    struct page *p = g_new0(struct page, 1);
    GtkWidget *grid = gtk_grid_new(), *line = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
    uint64_t host = memconf_host_mb();
    g_autofree char *recommended = g_strdup_printf(_("_Recommended: %u of %u MB"), (guint)memconf_recommended(host), (guint)host);
    g_object_set(grid, "margin", 18, "row-spacing", 10, "column-spacing", 12, NULL);
    p->level = gtk_combo_box_text_new();
    gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(p->level), "100", _("All of a machine's memory"));
    gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(p->level), "50", _("Half of it, the rest may be swapped"));
    gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(p->level), "25", _("A quarter of it, the rest may be swapped"));
    p->limit = gtk_spin_button_new_with_range(64, (double)(host > 1 << 20 ? host : 1 << 20), 64);
    p->recommended = gtk_check_button_new_with_mnemonic(recommended);
    p->error = gtk_label_new("");
    g_object_set(p->error, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 56, "no-show-all", TRUE, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(p->error), GTK_STYLE_CLASS_ERROR);
    gtk_box_pack_start(GTK_BOX(line), p->limit, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(line), p->recommended, FALSE, FALSE, 0);
    gtk_grid_attach(GTK_GRID(grid), label(_("What must fit at _power on:"), TRUE, p->level), 0, 0, 1, 1);
    gtk_grid_attach(GTK_GRID(grid), p->level, 1, 0, 1, 1);
    gtk_grid_attach(GTK_GRID(grid), label(_("_All machines together (MB):"), TRUE, p->limit), 0, 1, 1, 1);
    gtk_grid_attach(GTK_GRID(grid), line, 1, 1, 1, 1);
    gtk_grid_attach(GTK_GRID(grid), label(_("A machine that does not fit is not powered on, and says by how much. What runs already stays as it is."), FALSE,
                                          NULL), 0, 2, 2, 1);
    gtk_grid_attach(GTK_GRID(grid), p->error, 0, 3, 2, 1);
    show(p);
    g_signal_connect(p->level, "changed", G_CALLBACK(level_chosen), p);
    g_signal_connect(p->limit, "value-changed", G_CALLBACK(limit_changed), p);
    g_signal_connect(p->recommended, "toggled", G_CALLBACK(limit_changed), p);
    g_object_set_data_full(G_OBJECT(grid), "page", p, g_free);
    return grid;
}
