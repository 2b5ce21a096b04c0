/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual networks: the list at the left, one network's settings at the right, with the parser's sentence beside what is wrong. Apply writes the
 * file and lets a running lodge-vmnet read it again. While the window is shown, lodge-vmnet is asked who is in the network.
 */
#include "app-networks.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app-error.h"
#include "app-network-edit.h"
#include "app-network-lists.h"
#include "app-vmnet.h"

/* Who has a field, as bits of enum netconf_type. */
enum {
    SWITCH = 1 << NETCONF_SWITCH,
    HOSTONLY = 1 << NETCONF_HOSTONLY,
    NAT = 1 << NETCONF_NAT,
    BRIDGED = 1 << NETCONF_BRIDGED,
    ALL = SWITCH | HOSTONLY | NAT | BRIDGED
};
/* Those from LEASE on are below "More settings". */
enum { NAME, TYPE, INTERFACE, SUBNET, DHCP, FIRST, LAST, HOST, LEASE, DOMAIN, PREFIX6, TFTP, BOOT, METHOD, FIELDS };
enum { EVERY_S = 2, EVERY_ABSENT_S = 10 };

static const struct {
    const char *key, *label, *help;
    unsigned types;
    enum { TEXT, CHOICE, CHECK } kind;
} field[FIELDS] = {
    {"name", N_("Na_me:"), N_("A name for people; machines use vmnet0 to vmnet19."), ALL, TEXT},
    {"type", N_("_Type:"), N_("Who and what the machines in this network reach."), ALL, CHOICE},
    {"interface", N_("_Interface:"), N_("The interface or bridge of this computer that the machines are connected to."), BRIDGED, CHOICE},
    {"subnet", N_("_Subnet:"), N_("The network's first address and length, like 192.168.101.0/24."), SWITCH | HOSTONLY | NAT, TEXT},
    {"dhcp", N_("Give machines their addresses (_DHCP)"), N_("Without it, addresses are set in the guests."), SWITCH | HOSTONLY | NAT, CHECK},
    {"dhcp.first", N_("_First address:"), N_("The first address that DHCP gives."), SWITCH | HOSTONLY | NAT, TEXT},
    {"dhcp.last", N_("_Last address:"), N_("The last address that DHCP gives."), SWITCH | HOSTONLY | NAT, TEXT},
    {"hostInterface", N_("This computer is in the networ_k"), N_("Needs lodge-nethelper, which the administrator allows once."), HOSTONLY, CHECK},
    {"dhcp.leaseTime", N_("Lease time in seco_nds:"), N_("How long a machine may keep its address before it asks again."), SWITCH | HOSTONLY | NAT, TEXT},
    {"dhcp.domain", N_("D_omain:"), N_("The domain that DHCP tells the machines."), SWITCH | HOSTONLY | NAT, TEXT},
    {"prefix6", N_("IPv_6 prefix:"), N_("The 64 bits that IPv6 addresses in this network begin with."), NAT, TEXT},
    {"tftpDir", N_("Folder shared by TFT_P:"), N_("A folder of this computer whose files the machines can read by TFTP, to boot from the network."), NAT, TEXT},
    {"bootFile", N_("_Boot file:"), N_("The file in it that DHCP tells machines to boot from."), NAT, TEXT},
    {"method", N_("Met_hod:"),
     N_("How the machines come to the interface: through a bridge, or beside the interface's own address (macvtap)."), BRIDGED, CHOICE},
};
static const char *const methods[] = {"auto", "bridge", "macvtap"}; /* enum netconf_method */
static const char *const type_label[] = {N_("Isolated"), N_("Host-only"), N_("NAT"), N_("Bridged")};
static const char *const type_help[] = {
    N_("The machines reach each other and nothing else."),
    N_("The machines reach each other and this computer, not the outside."),
    N_("The machines reach each other, and the outside through this computer."),
    N_("The machines are on the network of this computer, like computers of their own."),
};

struct networks {
    GtkWidget *window, *list, *apply, *add, *remove, *info, *info_label, *scroll;
    struct {
        GtkWidget *row, *name, *about;
    } net[NETCONF_NETS];
    gboolean added[NETCONF_NETS]; /* shown although nothing is set yet */
    GtkWidget *label[FIELDS], *control[FIELDS], *error[FIELDS], *about, *others;
    GtkWidget *more, *machines, *machines_none;
    GtkListStore *store;
    AppNetList *forwards, *reservations;
    AppNetEdit *e;
    unsigned at;      /* the network shown */
    gboolean loading; /* controls are being set: no change by the user */
    GPtrArray *ports;
    char *machines_text;
    guint timer;
    gboolean asked;
};
static struct networks *shown;

static char *key_of(struct networks *w, int f) { return g_strdup_printf("vmnet%u.%s", w->at, field[f].key); }
static gboolean standard(unsigned i) { return i == 0 || i == 1 || i == 8; }
static gboolean is_true(const char *v) { return !v || !g_ascii_strcasecmp(v, "true") || !strcmp(v, "1") || !g_ascii_strcasecmp(v, "yes"); }

static void tell(struct networks *w, GtkMessageType type, const char *text)
{
    gtk_widget_set_visible(w->info, text != NULL);
    if (!text)
        return;
    gtk_info_bar_set_message_type(GTK_INFO_BAR(w->info), type);
    gtk_label_set_text(GTK_LABEL(w->info_label), text);
}

/* ---- what the controls show besides their values ---- */

static void refresh_list(struct networks *w)
{
    gboolean room = FALSE;
    for (unsigned i = 0; i < NETCONF_NETS; i++) {
        const struct netconf_net *n = &w->e->conf.net[i];
        gboolean visible = standard(i) || w->e->used[i] || w->added[i], wrong = FALSE;
        char ip[16];
        g_autofree char *prefix = g_strdup_printf("vmnet%u.", i);
        for (guint k = 0; k < w->e->problems->len; k++)
            wrong |= !g_ascii_strncasecmp(((AppNetProblem *)w->e->problems->pdata[k])->key, prefix, strlen(prefix));
        g_autofree char *name = *n->name ? g_strdup_printf("vmnet%u – %s", i, n->name) : g_strdup_printf("vmnet%u", i);
        const char *more = wrong ? _("a value is wrong") : n->type == NETCONF_BRIDGED ? (*n->interface ? n->interface : _("automatic")) : NULL;
        g_autofree char *subnet = n->subnet ? g_strdup_printf("%s/%u", netconf_ip_format(n->subnet, ip), n->bits) : NULL,
                        *about = g_strjoin(", ", _(type_label[n->type]), more ? more : subnet, NULL),
                        *all = g_strjoin(", ", name, about, NULL);
        gtk_label_set_text(GTK_LABEL(w->net[i].name), name);
        gtk_label_set_text(GTK_LABEL(w->net[i].about), about);
        atk_object_set_name(gtk_widget_get_accessible(w->net[i].row), all);
        gtk_widget_set_visible(w->net[i].row, visible);
        room |= !visible;
    }
    gtk_widget_set_sensitive(w->add, room && !w->e->unreadable);
    gtk_widget_set_sensitive(w->remove, !standard(w->at) && !w->e->unreadable);
}

static void refresh_machines(struct networks *w);

static void refresh(struct networks *w)
{
    const struct netconf_net *n = &w->e->conf.net[w->at];
    char a[16];
    gboolean was = w->loading;
    w->loading = TRUE;
    for (int f = 0; f < FIELDS; f++) {
        g_autofree char *key = key_of(w, f), *problem = app_net_edit_problem(w->e, key);
        gboolean has = (field[f].types & 1u << n->type) != 0;
        gtk_widget_set_visible(w->control[f], has);
        if (w->label[f])
            gtk_widget_set_visible(w->label[f], has);
        app_net_sentence_show(w->error[f], w->control[f], has ? problem : NULL);
    }
    g_autofree char *subnet = n->subnet ? g_strdup_printf("%s/%u", netconf_ip_format(n->subnet, a), n->bits) : g_strdup(_("none"));
    gtk_entry_set_placeholder_text(GTK_ENTRY(w->control[SUBNET]), subnet);
    gtk_entry_set_placeholder_text(GTK_ENTRY(w->control[FIRST]), n->subnet ? netconf_ip_format(n->first, a) : "");
    gtk_entry_set_placeholder_text(GTK_ENTRY(w->control[LAST]), n->subnet ? netconf_ip_format(n->last, a) : "");
    g_autofree char *dhcp = key_of(w, DHCP);
    gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(w->control[DHCP]), n->subnet && is_true(app_net_edit_get(w->e, dhcp)));
    gtk_widget_set_sensitive(w->control[DHCP], n->subnet != 0);
    gtk_widget_set_sensitive(w->control[FIRST], n->subnet && n->dhcp);
    gtk_widget_set_sensitive(w->control[LAST], n->subnet && n->dhcp);
    gtk_label_set_text(GTK_LABEL(w->about), _(type_help[n->type]));
    g_autofree char *lease = g_strdup_printf("%u", n->lease_s);
    gtk_entry_set_placeholder_text(GTK_ENTRY(w->control[LEASE]), lease);
    gtk_entry_set_placeholder_text(GTK_ENTRY(w->control[PREFIX6]), n->prefix6);
    gtk_widget_set_sensitive(w->control[LEASE], n->subnet && n->dhcp);
    gtk_widget_set_sensitive(w->control[DOMAIN], n->subnet && n->dhcp);
    gtk_widget_set_visible(app_net_list_widget(w->forwards), n->type == NETCONF_NAT);
    gtk_widget_set_visible(app_net_list_widget(w->reservations), n->type != NETCONF_BRIDGED && n->subnet && n->dhcp);
    app_net_list_refresh(w->forwards);
    app_net_list_refresh(w->reservations);
    /* What is wrong in lines that have no control here. */
    g_autoptr(GString) others = g_string_new(NULL);
    for (guint i = 0; i < w->e->problems->len; i++) {
        const AppNetProblem *p = w->e->problems->pdata[i];
        gboolean here = FALSE;
        for (int f = 0; f < FIELDS; f++) {
            g_autofree char *key = key_of(w, f);
            here |= !g_ascii_strcasecmp(key, p->key);
        }
        here |= app_net_list_has(w->forwards, p->key) || app_net_list_has(w->reservations, p->key);
        g_autofree char *net = g_strndup(p->key, strcspn(p->key, ".")), *text = app_sentence(p->text);
        int of = netconf_index(net);
        if (here || (of >= 0 && of != (int)w->at))
            continue;
        g_string_append(others, others->len ? "\n" : "");
        if (p->line)
            g_string_append_printf(others, _("Line %u of the file: %s"), p->line, text);
        else
            g_string_append_printf(others, "%s: %s", p->key, text);
    }
    gtk_label_set_text(GTK_LABEL(w->others), others->str);
    gtk_widget_set_visible(w->others, others->len != 0);
    gtk_widget_set_sensitive(w->apply, app_net_edit_changed(w->e) && !w->e->unreadable);
    refresh_list(w);
    w->loading = was;
}

static void user_changed(struct networks *w)
{
    tell(w, GTK_MESSAGE_INFO, NULL);
    refresh(w);
}

static void list_changed(gpointer u) { user_changed(u); }

/* ---- controls to changes ---- */

static void control_changed(GtkWidget *c, gpointer u)
{
    struct networks *w = u;
    int f = 0;
    while (w->control[f] != c)
        f++;
    if (w->loading)
        return;
    g_autofree char *key = key_of(w, f);
    const char *old = vmx_dict_get(w->e->file, key);
    if (field[f].kind == TEXT) {
        g_autofree char *text = g_strstrip(g_strdup(gtk_entry_get_text(GTK_ENTRY(c))));
        app_net_edit_set(w->e, key, *text ? text : NULL);
    } else if (field[f].kind == CHECK) {
        gboolean on = gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(c));
        app_net_edit_set(w->e, key, on == is_true(old) ? old : on ? "TRUE" : "FALSE");
    } else {
        const char *id = gtk_combo_box_get_active_id(GTK_COMBO_BOX(c));
        /* What holds without a line gets none. */
        app_net_edit_set(w->e, key, old && !g_ascii_strcasecmp(old, id) ? old : NULL);
        const struct netconf_net *n = &w->e->conf.net[w->at];
        const char *now = f == TYPE ? netconf_type_name(n->type) : f == METHOD ? methods[n->method] : *n->interface ? n->interface : "auto";
        if (g_ascii_strcasecmp(now, id))
            app_net_edit_set(w->e, key, id);
    }
    user_changed(w);
    if (f == TYPE)
        refresh_machines(w);
}

/* ---- new lines of lists: right as they are ---- */

/* The first free port from 2222 on, to the first address of DHCP. */
static char *suggest_forward(gpointer u)
{
    struct networks *w = u;
    const struct netconf_net *n = &w->e->conf.net[w->at];
    char ip[16];
    unsigned port = 2222;
    for (unsigned i = 0; i < NETCONF_NETS; i++)
        for (unsigned j = 0; j < w->e->conf.net[i].n_forward; j++)
            if (w->e->conf.net[i].forward[j].host_port == port) {
                port++;
                i = (unsigned)-1; /* from the start */
                break;
            }
    return g_strdup_printf("tcp 127.0.0.1:%u %s:22", port, netconf_ip_format(n->first, ip));
}

static char *suggest_reservation(gpointer u);

/* ---- the network shown ---- */

/* The interfaces of this computer, and the one of the file, which may be unplugged. */
static void load_interfaces(struct networks *w)
{
    GtkComboBoxText *c = GTK_COMBO_BOX_TEXT(w->control[INTERFACE]);
    const char *now = w->e->conf.net[w->at].interface, *name;
    g_autoptr(GDir) dir = g_dir_open("/sys/class/net", 0, NULL);
    gtk_combo_box_text_remove_all(c);
    gtk_combo_box_text_append(c, "auto", _("Automatic: the one with the default route"));
    while (dir && (name = g_dir_read_name(dir)))
        if (strcmp(name, "lo") && strcmp(name, "bonding_masters"))
            gtk_combo_box_text_append(c, name, name);
    if (!gtk_combo_box_set_active_id(GTK_COMBO_BOX(c), *now ? now : "auto")) {
        gtk_combo_box_text_append(c, now, now);
        gtk_combo_box_set_active_id(GTK_COMBO_BOX(c), now);
    }
}

static void load(struct networks *w)
{
    const struct netconf_net *n = &w->e->conf.net[w->at];
    w->loading = TRUE;
    for (int f = 0; f < FIELDS; f++) {
        g_autofree char *key = key_of(w, f);
        const char *v = app_net_edit_get(w->e, key);
        if (field[f].kind == TEXT)
            gtk_entry_set_text(GTK_ENTRY(w->control[f]), v ? v : "");
        else if (field[f].kind == CHECK)
            gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(w->control[f]), is_true(v));
    }
    gtk_combo_box_set_active_id(GTK_COMBO_BOX(w->control[TYPE]), netconf_type_name(n->type));
    gtk_combo_box_set_active_id(GTK_COMBO_BOX(w->control[METHOD]), methods[n->method]);
    load_interfaces(w);
    app_net_list_load(w->forwards, w->at);
    app_net_list_load(w->reservations, w->at);
    w->loading = FALSE;
    refresh(w);
    gboolean more = FALSE;
    for (int f = LEASE; f < FIELDS; f++) {
        g_autofree char *key = key_of(w, f);
        more |= app_net_edit_get(w->e, key) != NULL;
    }
    gtk_expander_set_expanded(GTK_EXPANDER(w->more), more);
    refresh_machines(w);
}

static void row_selected(GtkListBox *list, GtkListBoxRow *row, gpointer u)
{
    struct networks *w = u;
    if (!row || gtk_widget_in_destruction(w->window))
        return;
    w->at = (unsigned)gtk_list_box_row_get_index(row);
    load(w);
    gtk_adjustment_set_value(gtk_scrolled_window_get_vadjustment(GTK_SCROLLED_WINDOW(w->scroll)), 0);
}

static void select_net(struct networks *w, unsigned i)
{
    gtk_list_box_select_row(GTK_LIST_BOX(w->list), GTK_LIST_BOX_ROW(w->net[i].row));
    gtk_widget_grab_focus(w->net[i].row);
}

static void add_clicked(GtkButton *b, gpointer u)
{
    struct networks *w = u;
    unsigned i = 0;
    while (i < NETCONF_NETS && gtk_widget_get_visible(w->net[i].row))
        i++;
    if (i == NETCONF_NETS)
        return;
    g_autofree char *key = g_strdup_printf("vmnet%u.type", i);
    w->added[i] = TRUE;
    app_net_edit_set(w->e, key, "hostonly");
    user_changed(w);
    select_net(w, i);
}

static void remove_clicked(GtkButton *b, gpointer u)
{
    struct networks *w = u;
    unsigned gone = w->at, next = 0;
    app_net_edit_remove_net(w->e, gone);
    w->added[gone] = FALSE;
    user_changed(w);
    for (unsigned i = 0; i < gone; i++)
        if (gtk_widget_get_visible(w->net[i].row))
            next = i;
    select_net(w, next);
}

/* ---- apply ---- */

static void reloaded(gpointer u, GPtrArray *lines, const char *error)
{
    if (!shown || app_net_edit_changed(shown->e))
        return;
    if (error) {
        g_autofree char *why = app_sentence(error), *s = g_strdup_printf(_("Saved, but the networks that run have not taken it. %s"), why);
        tell(shown, GTK_MESSAGE_WARNING, s);
    } else {
        tell(shown, GTK_MESSAGE_INFO, lines ? _("Saved. The networks that run have taken it.") : _("Saved. It holds when the next machine uses a network."));
    }
}

static void apply_clicked(GtkButton *b, gpointer u)
{
    struct networks *w = u;
    g_autofree char *why = app_net_edit_save(w->e);
    if (!why) {
        memset(w->added, 0, sizeof w->added);
        load(w);
        app_vmnet_ask("reload", reloaded, NULL);
        return;
    }
    const AppNetProblem *p = w->e->unreadable ? NULL : app_net_edit_blocked(w->e);
    g_autofree char *net = g_strndup(p ? p->key : "", p ? strcspn(p->key, ".") : 0),
                    *text = *net ? g_strdup_printf(_("Nothing was saved. %s: %s"), net, why) : g_strdup_printf(_("Nothing was saved. %s"), why);
    int i = netconf_index(net);
    if (i >= 0 && i != (int)w->at)
        select_net(w, (unsigned)i);
    refresh(w);
    tell(w, GTK_MESSAGE_ERROR, text);
    for (int f = 0; f < FIELDS && p; f++) {
        g_autofree char *key = key_of(w, f);
        if (g_ascii_strcasecmp(key, p->key))
            continue;
        if (f >= LEASE)
            gtk_expander_set_expanded(GTK_EXPANDER(w->more), TRUE);
        gtk_widget_grab_focus(w->control[f]);
    }
    if (p) {
        app_net_list_focus(w->forwards, p->key);
        app_net_list_focus(w->reservations, p->key);
    }
}

/* ---- who is in the network ---- */

#define NO_ADDRESS "–"
enum { MACHINE, MAC, ADDRESS, STATE, COLUMNS };

static void add_machine(struct networks *w, GString *all, GPtrArray *rows, const char *machine, const char *mac, const char *ip, const char *state)
{
    char **r = g_new0(char *, COLUMNS + 1);
    const char *const text[] = {machine, mac, ip, state};
    for (int i = 0; i < COLUMNS; i++) {
        r[i] = g_strdup(text[i]);
        g_string_append_printf(all, "%s\n", text[i]);
    }
    g_ptr_array_add(rows, r);
}

/* From the lines of "ports" and "leases" (vmnet/control.c). A machine's name may have any characters: the line is read from its end. */
static void refresh_machines(struct networks *w)
{
    static GRegex *in_switch, *in_bridge;
    g_autoptr(GString) all = g_string_new(NULL);
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    g_autofree char *net = g_strdup_printf("vmnet%u", w->at);
    gboolean bridged = w->e->conf.net[w->at].type == NETCONF_BRIDGED;
    if (!in_switch) {
        in_switch = g_regex_new("^(.*) ([0-9a-f:]{17}) (\\S+) address=(\\S+) from=\\S+ to=\\S+ dropped=\\S+ macs=\\S+$", G_REGEX_OPTIMIZE, 0, NULL);
        in_bridge = g_regex_new("^(.*) ([0-9a-f:]{17}) bridged (\\S+) on (\\S+) link=(\\S+)$", G_REGEX_OPTIMIZE, 0, NULL);
    }
    for (guint i = 0; w->ports && i < w->ports->len; i++) {
        g_autoptr(GMatchInfo) m = NULL;
        if (!g_regex_match(bridged ? in_bridge : in_switch, w->ports->pdata[i], 0, &m))
            continue;
        g_autofree char *name = g_match_info_fetch(m, 1), *mac = g_match_info_fetch(m, 2), *third = g_match_info_fetch(m, 3),
                        *fourth = g_match_info_fetch(m, 4), *link = bridged ? g_match_info_fetch(m, 5) : NULL,
                        *state = bridged ? g_strdup_printf(strcmp(link, "up") ? _("on %s, which is gone") : _("on %s"), fourth) : NULL;
        if (bridged)
            add_machine(w, all, rows, name, mac, NO_ADDRESS, state);
        else if (!strcmp(third, net))
            add_machine(w, all, rows, name, mac, strcmp(fourth, "-") ? fourth : NO_ADDRESS, _("connected"));
    }
    /* Leases of machines that are gone for now: their addresses are kept. */
    for (guint i = 0; w->ports && i < w->ports->len && !bridged; i++) {
        g_auto(GStrv) part = g_strsplit(w->ports->pdata[i], " ", 5);
        gboolean here = FALSE;
        if (g_strv_length(part) < 4 || strcmp(part[0], net) || strlen(part[2]) != 17)
            continue;
        for (guint k = 0; k < rows->len; k++) {
            char **r = rows->pdata[k];
            if (!strcmp(r[MAC], part[2])) {
                here = TRUE;
                if (!strcmp(r[ADDRESS], NO_ADDRESS))
                    g_free(r[ADDRESS]), r[ADDRESS] = g_strdup(part[1]);
            }
        }
        if (!here)
            add_machine(w, all, rows, part[4] && *part[4] ? part[4] : "–", part[2], part[1], _("address kept"));
    }
    gtk_label_set_text(GTK_LABEL(w->machines_none), w->ports ? _("No machine is in this network now.")
                                                             : _("No machine uses a virtual network now: lodge-vmnet does not run."));
    gtk_widget_set_visible(w->machines_none, !rows->len);
    gtk_widget_set_visible(w->machines, rows->len != 0);
    if (!g_strcmp0(w->machines_text, all->str))
        return;
    g_free(w->machines_text);
    w->machines_text = g_strdup(all->str);
    gtk_list_store_clear(w->store);
    for (guint k = 0; k < rows->len; k++) {
        char **r = rows->pdata[k];
        gtk_list_store_insert_with_values(w->store, NULL, -1, MACHINE, r[MACHINE], MAC, r[MAC], ADDRESS, r[ADDRESS], STATE, r[STATE], -1);
    }
}

/* The first machine here without one, at the address that it has; else an adapter of nobody's, at the first free address of DHCP. */
static char *suggest_reservation(gpointer u)
{
    struct networks *w = u;
    const struct netconf_net *n = &w->e->conf.net[w->at];
    GtkTreeModel *model = GTK_TREE_MODEL(w->store);
    GtkTreeIter it;
    char text[16];
    uint32_t ip = n->first;
    for (unsigned i = 0; i < n->n_reservation; i++)
        if (n->reservation[i].ip == ip) {
            ip++;
            i = (unsigned)-1; /* from the start */
        }
    for (gboolean more = gtk_tree_model_get_iter_first(model, &it); more; more = gtk_tree_model_iter_next(model, &it)) {
        g_autofree char *mac = NULL, *address = NULL;
        gboolean has = FALSE;
        gtk_tree_model_get(model, &it, MAC, &mac, ADDRESS, &address, -1);
        for (unsigned i = 0; i < n->n_reservation; i++) {
            const uint8_t *m = n->reservation[i].mac;
            g_autofree char *known = g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
            has |= !g_ascii_strcasecmp(known, mac);
        }
        if (!has)
            return g_strdup_printf("%s %s", mac, strcmp(address, NO_ADDRESS) ? address : netconf_ip_format(ip, text));
    }
    return g_strdup_printf("00:0c:29:00:00:%02x %s", n->n_reservation + 1, netconf_ip_format(ip, text));
}

static gboolean tick(gpointer u);

static void take_ports(struct networks *w, GPtrArray *lines, gboolean in_use)
{
    g_clear_pointer(&w->ports, g_ptr_array_unref);
    w->ports = lines ? g_ptr_array_ref(lines) : NULL;
    refresh_machines(w);
    /* lodge-vmnet ends when nobody needs it: questions must not keep it. */
    w->timer = g_timeout_add_seconds(in_use ? EVERY_S : EVERY_ABSENT_S, tick, w);
}

static void got_leases(gpointer u, GPtrArray *lines, const char *error)
{
    g_autoptr(GPtrArray) ports = u;
    if (!shown || !shown->asked)
        return;
    gboolean in_use = ports->len != 0;
    shown->asked = FALSE;
    for (guint i = 0; lines && i < lines->len; i++)
        g_ptr_array_add(ports, g_strdup(lines->pdata[i]));
    take_ports(shown, ports, in_use);
}

static void got_ports(gpointer u, GPtrArray *lines, const char *error)
{
    if (!shown || !shown->asked)
        return;
    if (lines) {
        app_vmnet_ask("leases", got_leases, g_ptr_array_ref(lines));
        return;
    }
    shown->asked = FALSE;
    take_ports(shown, NULL, FALSE);
}

static gboolean tick(gpointer u)
{
    struct networks *w = u;
    w->timer = 0;
    if (!w->asked) {
        w->asked = TRUE;
        app_vmnet_ask("ports", got_ports, NULL);
    }
    return G_SOURCE_REMOVE;
}

/* ---- the window ---- */

static void closed(GtkWidget *window, gpointer u)
{
    struct networks *w = u;
    shown = NULL;
    if (w->timer)
        g_source_remove(w->timer);
    app_net_list_free(w->forwards);
    app_net_list_free(w->reservations);
    g_clear_pointer(&w->ports, g_ptr_array_unref);
    g_object_unref(w->store);
    app_net_edit_free(w->e);
    g_free(w->machines_text);
    g_free(w);
}

static GtkWidget *heading(const char *text)
{
    GtkWidget *l = gtk_label_new_with_mnemonic(text);
    g_object_set(l, "xalign", 0.0, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(l), "heading");
    return l;
}

static GtkWidget *dim(const char *text)
{
    GtkWidget *l = gtk_label_new(text);
    g_object_set(l, "xalign", 0.0, "wrap", TRUE, "max-width-chars", 60, NULL);
    gtk_style_context_add_class(gtk_widget_get_style_context(l), GTK_STYLE_CLASS_DIM_LABEL);
    gtk_widget_set_no_show_all(l, TRUE);
    return l;
}

static GtkWidget *fields_new(struct networks *w, int from, int to)
{
    static const enum netconf_type order[] = {NETCONF_NAT, NETCONF_HOSTONLY, NETCONF_SWITCH, NETCONF_BRIDGED};
    static const char *const method_label[] = {N_("Automatic"), N_("Bridge"), N_("macvtap")};
    GtkWidget *grid = gtk_grid_new();
    int y = 0;
    g_object_set(grid, "row-spacing", 8, "column-spacing", 12, NULL);
    for (int f = from; f < to; f++) {
        GtkWidget *c = field[f].kind == TEXT    ? gtk_entry_new()
                       : field[f].kind == CHECK ? gtk_check_button_new_with_mnemonic(_(field[f].label))
                                                : gtk_combo_box_text_new();
        w->control[f] = c;
        w->error[f] = app_net_sentence_new();
        gtk_widget_set_tooltip_text(c, _(field[f].help));
        if (field[f].kind == TEXT)
            gtk_entry_set_activates_default(GTK_ENTRY(c), TRUE);
        if (field[f].kind != CHECK) {
            GtkWidget *l = w->label[f] = gtk_label_new_with_mnemonic(_(field[f].label));
            g_object_set(l, "xalign", 1.0, "no-show-all", TRUE, NULL);
            gtk_label_set_mnemonic_widget(GTK_LABEL(l), c);
            gtk_grid_attach(GTK_GRID(grid), l, 0, y, 1, 1);
        }
        if (f == TYPE)
            for (guint i = 0; i < G_N_ELEMENTS(order); i++)
                gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(c), netconf_type_name(order[i]), _(type_label[order[i]]));
        for (guint i = 0; f == METHOD && i < G_N_ELEMENTS(methods); i++)
            gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(c), methods[i], _(method_label[i]));
        g_object_set(c, "hexpand", TRUE, "no-show-all", TRUE, NULL);
        gtk_grid_attach(GTK_GRID(grid), c, 1, y++, 1, 1);
        if (f == TYPE) {
            w->about = dim("");
            gtk_widget_show(w->about);
            gtk_grid_attach(GTK_GRID(grid), w->about, 1, y++, 1, 1);
        }
        gtk_grid_attach(GTK_GRID(grid), w->error[f], 1, y++, 1, 1);
        g_signal_connect(c, field[f].kind == CHECK ? "toggled" : "changed", G_CALLBACK(control_changed), w);
    }
    return grid;
}

static GtkWidget *more_new(struct networks *w)
{
    GtkWidget *grid = fields_new(w, LEASE, FIELDS);
    gtk_widget_set_margin_top(grid, 8);
    w->more = app_expander_new(_("More settin_gs"), grid);
    return w->more;
}

static GtkWidget *machines_new(struct networks *w)
{
    static const char *const title[COLUMNS] = {N_("Machine"), N_("MAC address"), N_("Address"), N_("State")};
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6);
    w->store = gtk_list_store_new(COLUMNS, G_TYPE_STRING, G_TYPE_STRING, G_TYPE_STRING, G_TYPE_STRING);
    w->machines = gtk_tree_view_new_with_model(GTK_TREE_MODEL(w->store));
    gtk_tree_view_set_enable_search(GTK_TREE_VIEW(w->machines), FALSE);
    atk_object_set_name(gtk_widget_get_accessible(w->machines), _("Machines in this network"));
    for (int i = 0; i < COLUMNS; i++) {
        GtkCellRenderer *cell = gtk_cell_renderer_text_new();
        GtkTreeViewColumn *c = gtk_tree_view_column_new_with_attributes(_(title[i]), cell, "text", i, NULL);
        g_object_set(cell, "ellipsize", i ? PANGO_ELLIPSIZE_NONE : PANGO_ELLIPSIZE_END, NULL);
        gtk_tree_view_column_set_expand(c, i == 0);
        gtk_tree_view_append_column(GTK_TREE_VIEW(w->machines), c);
    }
    gtk_widget_set_no_show_all(w->machines, TRUE);
    w->machines_none = dim("");
    gtk_box_pack_start(GTK_BOX(box), heading(_("Machines")), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), w->machines_none, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(box), w->machines, FALSE, FALSE, 0);
    return box;
}

static GtkWidget *left_new(struct networks *w)
{
    GtkWidget *left = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0), *scroll = gtk_scrolled_window_new(NULL, NULL),
              *tools = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
    w->list = gtk_list_box_new();
    app_list_one_tab(w->list);
    gtk_list_box_set_selection_mode(GTK_LIST_BOX(w->list), GTK_SELECTION_BROWSE);
    atk_object_set_name(gtk_widget_get_accessible(w->list), _("Virtual networks"));
    for (unsigned i = 0; i < NETCONF_NETS; i++) {
        GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 2), *row = w->net[i].row = gtk_list_box_row_new();
        w->net[i].name = gtk_label_new(NULL);
        w->net[i].about = gtk_label_new(NULL);
        g_object_set(w->net[i].name, "xalign", 0.0, "ellipsize", PANGO_ELLIPSIZE_END, NULL);
        g_object_set(w->net[i].about, "xalign", 0.0, "ellipsize", PANGO_ELLIPSIZE_END, NULL);
        gtk_style_context_add_class(gtk_widget_get_style_context(w->net[i].about), GTK_STYLE_CLASS_DIM_LABEL);
        gtk_style_context_add_class(gtk_widget_get_style_context(w->net[i].about), "small");
        g_object_set(box, "margin", 8, NULL);
        gtk_box_pack_start(GTK_BOX(box), w->net[i].name, FALSE, FALSE, 0);
        gtk_box_pack_start(GTK_BOX(box), w->net[i].about, FALSE, FALSE, 0);
        gtk_container_add(GTK_CONTAINER(row), box);
        gtk_widget_show_all(row);
        gtk_widget_set_no_show_all(row, TRUE);
        gtk_container_add(GTK_CONTAINER(w->list), row);
    }
    gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(scroll), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
    gtk_container_add(GTK_CONTAINER(scroll), w->list);
    w->add = gtk_button_new_with_mnemonic(_("N_ew network"));
    w->remove = gtk_button_new_with_mnemonic(_("_Remove"));
    gtk_widget_set_tooltip_text(w->add, _("Add a virtual network"));
    gtk_widget_set_tooltip_text(w->remove, _("Remove all settings of this network; vmnet0, vmnet1 and vmnet8 are always there."));
    g_object_set(tools, "margin", 6, NULL);
    gtk_box_pack_start(GTK_BOX(tools), w->add, TRUE, TRUE, 0);
    gtk_box_pack_start(GTK_BOX(tools), w->remove, TRUE, TRUE, 0);
    gtk_box_pack_start(GTK_BOX(left), scroll, TRUE, TRUE, 0);
    gtk_box_pack_start(GTK_BOX(left), tools, FALSE, FALSE, 0);
    gtk_widget_set_size_request(left, 230, -1);
    gtk_style_context_add_class(gtk_widget_get_style_context(left), "sidebar");
    g_signal_connect(w->list, "row-selected", G_CALLBACK(row_selected), w);
    g_signal_connect(w->add, "clicked", G_CALLBACK(add_clicked), w);
    g_signal_connect(w->remove, "clicked", G_CALLBACK(remove_clicked), w);
    return left;
}

static void window_new(struct networks *w, GtkWindow *parent)
{
    GtkWidget *bar = gtk_header_bar_new(), *close = gtk_button_new_with_mnemonic(_("_Close")), *main = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0),
              *split = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 0), *page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 18);
    w->window = gtk_window_new(GTK_WINDOW_TOPLEVEL);
    gtk_window_set_default_size(GTK_WINDOW(w->window), 860, 620);
    gtk_window_set_transient_for(GTK_WINDOW(w->window), parent);
    gtk_window_set_position(GTK_WINDOW(w->window), GTK_WIN_POS_CENTER_ON_PARENT);
    gtk_window_set_type_hint(GTK_WINDOW(w->window), GDK_WINDOW_TYPE_HINT_DIALOG);
    gtk_window_set_title(GTK_WINDOW(w->window), _("Virtual networks"));
    gtk_header_bar_set_title(GTK_HEADER_BAR(bar), _("Virtual networks"));
    gtk_window_set_titlebar(GTK_WINDOW(w->window), bar);
    w->apply = gtk_button_new_with_mnemonic(_("_Apply"));
    gtk_style_context_add_class(gtk_widget_get_style_context(w->apply), GTK_STYLE_CLASS_SUGGESTED_ACTION);
    gtk_widget_set_can_default(w->apply, TRUE);
    gtk_header_bar_pack_start(GTK_HEADER_BAR(bar), close);
    gtk_header_bar_pack_end(GTK_HEADER_BAR(bar), w->apply);
    w->info = gtk_info_bar_new();
    w->info_label = gtk_label_new(NULL);
    g_object_set(w->info_label, "wrap", TRUE, "xalign", 0.0, NULL);
    gtk_container_add(GTK_CONTAINER(gtk_info_bar_get_content_area(GTK_INFO_BAR(w->info))), w->info_label);
    gtk_widget_show(w->info_label);
    gtk_widget_set_no_show_all(w->info, TRUE);
    w->others = app_net_sentence_new();
    g_object_set(page, "margin", 18, NULL);
    gtk_box_pack_start(GTK_BOX(page), fields_new(w, NAME, LEASE), FALSE, FALSE, 0);
    w->forwards = app_net_list_new(w->e, APP_NET_FORWARDS, list_changed, suggest_forward, w);
    w->reservations = app_net_list_new(w->e, APP_NET_RESERVATIONS, list_changed, suggest_reservation, w);
    gtk_box_pack_start(GTK_BOX(page), app_net_list_widget(w->forwards), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(page), app_net_list_widget(w->reservations), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(page), more_new(w), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(page), machines_new(w), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(page), w->others, FALSE, FALSE, 0);
    w->scroll = gtk_scrolled_window_new(NULL, NULL);
    gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(w->scroll), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
    gtk_container_add(GTK_CONTAINER(w->scroll), page);
    gtk_box_pack_start(GTK_BOX(split), left_new(w), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(split), gtk_separator_new(GTK_ORIENTATION_VERTICAL), FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(split), w->scroll, TRUE, TRUE, 0);
    gtk_box_pack_start(GTK_BOX(main), w->info, FALSE, FALSE, 0);
    gtk_box_pack_start(GTK_BOX(main), split, TRUE, TRUE, 0);
    gtk_container_add(GTK_CONTAINER(w->window), main);
    g_signal_connect(w->apply, "clicked", G_CALLBACK(apply_clicked), w);
    g_signal_connect_swapped(close, "clicked", G_CALLBACK(gtk_widget_destroy), w->window);
    g_signal_connect(w->window, "destroy", G_CALLBACK(closed), w);
    g_signal_connect(w->window, "key-press-event", G_CALLBACK(app_escape), NULL);
}

void app_networks_show(GtkWindow *parent)
{
    if (!shown) {
        struct networks *w = shown = g_new0(struct networks, 1);
        w->e = app_net_edit_new();
        window_new(w, parent);
        refresh_list(w);
        gtk_widget_show_all(w->window);
        gtk_widget_grab_default(w->apply);
        select_net(w, 0);
        if (w->e->unreadable)
            tell(w, GTK_MESSAGE_ERROR, w->e->unreadable);
        tick(w);
    }
    gtk_window_present(GTK_WINDOW(shown->window));
}
