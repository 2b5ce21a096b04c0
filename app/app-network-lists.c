/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines of a list in the networks' file as rows of controls (app-network-lists.h). A value is its controls' texts with blanks between. */
#include "app-network-lists.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app-error.h"

enum { MAX_CELLS = 3 };

static const struct {
    const char *key, *title, *none, *add, *remove_tip, *remove;
    int cells;
    gboolean protocol; /* the first cell is TCP or UDP */
    struct {
        const char *head, *name, *tip;
    } cell[MAX_CELLS];
} kinds[] = {
    [APP_NET_FORWARDS] = {"forward", N_("Port forwards"), N_("No port of this computer is forwarded into this network."), N_("Add a for_ward"),
                          N_("Remove this forward"), N_("Remove forward %u"), 3, TRUE,
                          {{N_("Protocol"), N_("Protocol of forward %u"), NULL},
                           {N_("This computer"), N_("Address and port of this computer, forward %u"),
                            N_("Address and port of this computer, like 127.0.0.1:2222; 0.0.0.0 is seen from everywhere.")},
                           {N_("Guest"), N_("Address and port of the guest, forward %u"), N_("Address and port of the guest, like 192.168.108.20:22.")}}},
    [APP_NET_RESERVATIONS] = {"dhcp.reservation", N_("Reserved addresses"), N_("No machine has a reserved address."), N_("Reser_ve an address"),
                              N_("Remove this reservation"), N_("Remove reservation %u"), 2, FALSE,
                              {{N_("MAC address"), N_("MAC address of reservation %u"), N_("Of the machine's network adapter, like 00:0c:29:01:02:03.")},
                               {N_("Address"), N_("Address of reservation %u"), N_("The address that this adapter always gets from DHCP.")}}},
};

struct line {
    char *key;
    GtkWidget *cell[MAX_CELLS], *remove, *error;
};

struct AppNetList {
    AppNetEdit *e;
    AppNetListKind kind;
    void (*changed)(gpointer u);
    char *(*suggest)(gpointer u);
    gpointer u;
    unsigned net;
    gboolean loading;
    GPtrArray *lines; /* struct line */
    GtkWidget *box, *grid, *none;
};

GtkWidget *app_net_sentence_new(void)
{
    GtkWidget *l = gtk_label_new(NULL);
    g_object_set(l, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 50, "no-show-all", TRUE, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(l), "bad-line");
    return l;
}

void app_net_sentence_show(GtkWidget *label, GtkWidget *control, const char *text)
{
    gtk_label_set_text(GTK_LABEL(label), text ? text : "");
    gtk_widget_set_visible(label, text != NULL);
    if (GTK_IS_ENTRY(control))
        gtk_entry_set_icon_from_icon_name(GTK_ENTRY(control), GTK_ENTRY_ICON_SECONDARY, text ? "dialog-warning-symbolic" : NULL);
    atk_object_set_description(gtk_widget_get_accessible(control), text ? text : "");
}

static GtkWidget *first_entry(AppNetList *l, const struct line *r) { return r->cell[kinds[l->kind].protocol ? 1 : 0]; }

static char *cell_text(GtkWidget *c)
{
    return GTK_IS_ENTRY(c) ? g_strstrip(g_strdup(gtk_entry_get_text(GTK_ENTRY(c)))) : g_strdup(gtk_combo_box_get_active_id(GTK_COMBO_BOX(c)));
}

static void cell_changed(GtkWidget *c, gpointer u)
{
    AppNetList *l = u;
    for (guint i = 0; i < l->lines->len && !l->loading; i++) {
        const struct line *r = l->lines->pdata[i];
        if (c != r->cell[0] && c != r->cell[1] && c != r->cell[2])
            continue;
        g_autoptr(GString) v = g_string_new(NULL);
        for (int k = 0; k < kinds[l->kind].cells; k++) {
            g_autofree char *text = cell_text(r->cell[k]);
            g_string_append_printf(v, k ? " %s" : "%s", text);
        }
        app_net_edit_set(l->e, r->key, v->str);
        l->changed(l->u);
        return;
    }
}

static void remove_clicked(GtkWidget *b, gpointer u)
{
    AppNetList *l = u;
    guint i = 0;
    while (i < l->lines->len && ((struct line *)l->lines->pdata[i])->remove != b)
        i++;
    g_return_if_fail(i < l->lines->len);
    app_net_edit_set(l->e, ((struct line *)l->lines->pdata[i])->key, NULL);
    app_net_list_load(l, l->net);
    l->changed(l->u);
    if (l->lines->len)
        gtk_widget_grab_focus(((struct line *)l->lines->pdata[MIN(i, l->lines->len - 1)])->remove);
}

static void add_clicked(GtkWidget *b, gpointer u)
{
    AppNetList *l = u;
    g_autofree char *value = l->suggest(l->u), *key = NULL;
    for (unsigned k = 0; !key || app_net_edit_get(l->e, key); k++) {
        g_free(key);
        key = g_strdup_printf("vmnet%u.%s%u", l->net, kinds[l->kind].key, k);
    }
    app_net_edit_set(l->e, key, value);
    app_net_list_load(l, l->net);
    l->changed(l->u);
    app_net_list_focus(l, key);
}

static GtkWidget *protocol_new(const char *value)
{
    GtkWidget *c = gtk_combo_box_text_new();
    g_autofree char *id = g_ascii_strdown(value, -1);
    gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(c), "tcp", "TCP");
    gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(c), "udp", "UDP");
    if (!gtk_combo_box_set_active_id(GTK_COMBO_BOX(c), id)) {
        gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(c), id, id);
        gtk_combo_box_set_active_id(GTK_COMBO_BOX(c), id);
    }
    return c;
}

/* "%u" in a translated name. */
static void name_numbered(GtkWidget *w, const char *format, guint number)
{
    g_autofree char *digits = g_strdup_printf("%u", number);
    g_auto(GStrv) around = g_strsplit(format, "%u", 2);
    g_autofree char *name = g_strjoinv(digits, around);
    atk_object_set_name(gtk_widget_get_accessible(w), name);
}

static void head(AppNetList *l, int x, const char *text)
{
    GtkWidget *w = gtk_label_new(text);
    g_object_set(w, "xalign", 0.0, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(w), GTK_STYLE_CLASS_DIM_LABEL);
    gtk_grid_attach(GTK_GRID(l->grid), w, x, 0, 1, 1);
}

static void add_line(AppNetList *l, const char *key, guint number)
{
    struct line *r = g_new0(struct line, 1);
    const char *v = app_net_edit_get(l->e, key);
    int n = kinds[l->kind].cells, y = 2 * (int)number - 1;
    g_auto(GStrv) part = g_regex_split_simple("\\s+", v ? v : "", 0, 0);
    int parts = (int)g_strv_length(part);
    r->key = g_strdup(key);
    for (int k = 0; k < n; k++) {
        /* The last has what is too much, so that it is seen. */
        g_autofree char *text = k >= parts ? g_strdup("") : k == n - 1 ? g_strjoinv(" ", part + k) : g_strdup(part[k]);
        if (!k && kinds[l->kind].protocol) {
            r->cell[k] = protocol_new(text);
        } else {
            r->cell[k] = gtk_entry_new();
            gtk_entry_set_text(GTK_ENTRY(r->cell[k]), text);
            gtk_entry_set_activates_default(GTK_ENTRY(r->cell[k]), TRUE);
            gtk_widget_set_tooltip_text(r->cell[k], _(kinds[l->kind].cell[k].tip));
            gtk_widget_set_hexpand(r->cell[k], TRUE);
        }
        name_numbered(r->cell[k], _(kinds[l->kind].cell[k].name), number);
        gtk_grid_attach(GTK_GRID(l->grid), r->cell[k], k, y, 1, 1);
        g_signal_connect(r->cell[k], "changed", G_CALLBACK(cell_changed), l);
    }
    r->remove = gtk_button_new_from_icon_name("list-remove-symbolic", GTK_ICON_SIZE_BUTTON);
    gtk_widget_set_tooltip_text(r->remove, _(kinds[l->kind].remove_tip));
    name_numbered(r->remove, _(kinds[l->kind].remove), number);
    gtk_grid_attach(GTK_GRID(l->grid), r->remove, n, y, 1, 1);
    g_signal_connect(r->remove, "clicked", G_CALLBACK(remove_clicked), l);
    r->error = app_net_sentence_new();
    gtk_grid_attach(GTK_GRID(l->grid), r->error, 0, y + 1, n + 1, 1);
    g_ptr_array_add(l->lines, r);
}

void app_net_list_load(AppNetList *l, unsigned net)
{
    g_autoptr(GPtrArray) keys = app_net_edit_list(l->e, net, kinds[l->kind].key);
    l->net = net;
    l->loading = TRUE;
    g_ptr_array_set_size(l->lines, 0);
    app_clear(l->grid);
    for (int k = 0; k < kinds[l->kind].cells && keys->len; k++)
        head(l, k, _(kinds[l->kind].cell[k].head));
    for (guint i = 0; i < keys->len; i++)
        add_line(l, keys->pdata[i], i + 1);
    gtk_widget_show_all(l->grid);
    gtk_widget_set_visible(l->none, !keys->len);
    l->loading = FALSE;
}

void app_net_list_refresh(AppNetList *l)
{
    for (guint i = 0; i < l->lines->len; i++) {
        const struct line *r = l->lines->pdata[i];
        g_autofree char *problem = app_net_edit_problem(l->e, r->key);
        app_net_sentence_show(r->error, first_entry(l, r), problem);
    }
}

static const struct line *line_of(AppNetList *l, const char *key)
{
    for (guint i = 0; i < l->lines->len; i++)
        if (!g_ascii_strcasecmp(((struct line *)l->lines->pdata[i])->key, key))
            return l->lines->pdata[i];
    return NULL;
}

gboolean app_net_list_has(AppNetList *l, const char *key) { return line_of(l, key) != NULL; }

void app_net_list_focus(AppNetList *l, const char *key)
{
    const struct line *r = line_of(l, key);
    if (r)
        gtk_widget_grab_focus(first_entry(l, r));
}

GtkWidget *app_net_list_widget(AppNetList *l) { return l->box; }

static void line_free(gpointer p)
{
    g_free(((struct line *)p)->key);
    g_free(p);
}

AppNetList *app_net_list_new(AppNetEdit *e, AppNetListKind kind, void (*changed)(gpointer u), char *(*suggest)(gpointer u), gpointer u)
{
    AppNetList *l = g_new0(AppNetList, 1);
    GtkWidget *add = gtk_button_new_with_mnemonic(_(kinds[kind].add)), *title = gtk_label_new(_(kinds[kind].title));
    *l = (AppNetList){.e = e, .kind = kind, .changed = changed, .suggest = suggest, .u = u, .lines = g_ptr_array_new_with_free_func(line_free)};
    l->box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6);
    l->grid = gtk_grid_new();
    l->none = gtk_label_new(_(kinds[kind].none));
    g_object_set(title, "xalign", 0.0, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(title), "heading");
    g_object_set(l->none, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 60, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(l->none), GTK_STYLE_CLASS_DIM_LABEL);
    g_object_set(l->grid, "row-spacing", 6, "column-spacing", 6, NULL);
    gtk_widget_set_halign(add, GTK_ALIGN_START);
    g_signal_connect(add, "clicked", G_CALLBACK(add_clicked), l);
    for (GtkWidget *const *w = (GtkWidget *const[]){title, l->none, l->grid, add, NULL}; *w; w++)
        gtk_box_pack_start(GTK_BOX(l->box), *w, FALSE, FALSE, 0);
    gtk_widget_show_all(l->box);
    gtk_widget_set_no_show_all(l->box, TRUE);
    return l;
}

void app_net_list_free(AppNetList *l)
{
    g_ptr_array_unref(l->lines);
    g_free(l);
}
