/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file of the virtual networks and the changes to it; app-network-edit.h. Other programs (lodge-vmnet set, an editor) may change the file
 * meanwhile: it is read again before it is written, so that only the lines that were meant change.
 */
#include "app-network-edit.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#include "app-error.h"

static void problem_free(gpointer p)
{
    AppNetProblem *x = p;
    g_free(x->key);
    g_free(x->text);
    g_free(x);
}

static void add_problem(void *u, unsigned line, const char *key, const char *value, const char *text)
{
    AppNetProblem *p = g_new0(AppNetProblem, 1);
    p->line = line;
    p->key = g_strdup(key);
    p->text = g_strdup(text);
    g_ptr_array_add(u, p);
}

static void add_old_problem(void *u, unsigned line, const char *key, const char *value, const char *text)
{
    g_autofree char *lower = g_ascii_strdown(key, -1);
    g_hash_table_add(u, g_strconcat(lower, "\n", text, NULL));
}

/* The file with the changes, and what the parser says of it. */
static void settle(AppNetEdit *e)
{
    struct err er = {0};
    size_t len = 0;
    char *text = vmx_dict_format(e->file, &len);
    GHashTableIter it;
    gpointer k, v;
    vmx_dict_free(e->dict);
    e->dict = vmx_dict_parse(text ? text : "", text ? len : 0, &er);
    free(text);
    if (!e->dict)
        e->dict = vmx_dict_new();
    g_ptr_array_set_size(e->problems, 0);
    g_autoptr(GList) keys = g_list_sort(g_hash_table_get_keys(e->pending), (GCompareFunc)g_ascii_strcasecmp);
    for (GList *l = keys; l; l = l->next) {
        const char *value = g_hash_table_lookup(e->pending, l->data);
        if (!value)
            vmx_dict_unset(e->dict, l->data);
        else if (vmx_dict_set(e->dict, l->data, value, &er))
            add_problem(e->problems, 0, l->data, value, er.msg);
    }
    netconf_parse(e->dict, &e->conf, add_problem, e->problems);
    memset(e->used, 0, sizeof e->used);
    struct vmx_iter di = {0};
    struct vmx_entry en;
    while (vmx_dict_next(e->dict, &di, &en)) {
        g_autofree char *net = g_strndup(en.name, strcspn(en.name, "."));
        int i = netconf_index(net);
        if (i >= 0)
            e->used[i] = TRUE;
    }
    g_hash_table_iter_init(&it, e->pending);
    while (g_hash_table_iter_next(&it, &k, &v)) {
        int i = -1;
        g_autofree char *net = g_strndup(k, strcspn(k, "."));
        if (v && (i = netconf_index(net)) >= 0)
            e->used[i] = TRUE;
    }
}

static void read_file(AppNetEdit *e)
{
    struct err er = {0};
    static struct netconf scratch;
    g_clear_pointer(&e->unreadable, g_free);
    vmx_dict_free(e->file);
    e->file = g_file_test(e->path, G_FILE_TEST_EXISTS) ? vmx_dict_load(e->path, &er) : vmx_dict_new();
    if (!e->file) {
        e->unreadable = app_sentence(er.msg);
        e->file = vmx_dict_new();
    }
    g_hash_table_remove_all(e->old_problems);
    netconf_parse(e->file, &scratch, add_old_problem, e->old_problems);
}

AppNetEdit *app_net_edit_new(void)
{
    AppNetEdit *e = g_new0(AppNetEdit, 1);
    e->path = netconf_path();
    e->pending = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    e->old_problems = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    e->problems = g_ptr_array_new_with_free_func(problem_free);
    read_file(e);
    settle(e);
    return e;
}

void app_net_edit_free(AppNetEdit *e)
{
    free(e->path);
    g_free(e->unreadable);
    vmx_dict_free(e->file);
    vmx_dict_free(e->dict);
    g_hash_table_unref(e->pending);
    g_hash_table_unref(e->old_problems);
    g_ptr_array_unref(e->problems);
    g_free(e);
}

void app_net_edit_set(AppNetEdit *e, const char *key, const char *value)
{
    if (!g_strcmp0(vmx_dict_get(e->file, key), value))
        g_hash_table_remove(e->pending, key);
    else
        g_hash_table_insert(e->pending, g_strdup(key), g_strdup(value));
    settle(e);
}

const char *app_net_edit_get(AppNetEdit *e, const char *key)
{
    gpointer v;
    return g_hash_table_lookup_extended(e->pending, key, NULL, &v) ? v : vmx_dict_get(e->file, key);
}

gboolean app_net_edit_changed(AppNetEdit *e) { return g_hash_table_size(e->pending) != 0; }

char *app_net_edit_problem(AppNetEdit *e, const char *key)
{
    for (guint i = 0; i < e->problems->len; i++) {
        const AppNetProblem *p = e->problems->pdata[i];
        if (!g_ascii_strcasecmp(p->key, key))
            return app_sentence(p->text);
    }
    return NULL;
}

const AppNetProblem *app_net_edit_blocked(AppNetEdit *e)
{
    for (guint i = 0; i < e->problems->len; i++) {
        const AppNetProblem *p = e->problems->pdata[i];
        g_autofree char *lower = g_ascii_strdown(p->key, -1), *id = g_strconcat(lower, "\n", p->text, NULL);
        if (!g_hash_table_contains(e->old_problems, id))
            return p;
        GHashTableIter it;
        gpointer k;
        g_hash_table_iter_init(&it, e->pending);
        while (g_hash_table_iter_next(&it, &k, NULL))
            if (!g_ascii_strcasecmp(k, p->key))
                return p;
    }
    return NULL;
}

GPtrArray *app_net_edit_list(AppNetEdit *e, unsigned net, const char *what)
{
    GPtrArray *a = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *prefix = g_strdup_printf("vmnet%u.%s", net, what);
    gsize n = strlen(prefix);
    struct vmx_iter it = {0};
    struct vmx_entry en;
    while (vmx_dict_next(e->dict, &it, &en))
        if (!en.duplicate && !g_ascii_strncasecmp(en.name, prefix, n) && en.name[n] &&
            strspn(en.name + n, "0123456789") == strlen(en.name + n))
            g_ptr_array_add(a, g_strconcat(prefix, en.name + n, NULL));
    return a;
}

void app_net_edit_remove_net(AppNetEdit *e, unsigned net)
{
    g_autofree char *prefix = g_strdup_printf("vmnet%u.", net);
    g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
    struct vmx_dict *const both[] = {e->file, e->dict};
    for (guint i = 0; i < 2; i++) {
        struct vmx_iter it = {0};
        struct vmx_entry en;
        while (vmx_dict_next(both[i], &it, &en))
            if (!g_ascii_strncasecmp(en.name, prefix, strlen(prefix)))
                g_ptr_array_add(keys, g_strconcat(prefix, en.name + strlen(prefix), NULL));
    }
    for (guint i = 0; i < keys->len; i++)
        app_net_edit_set(e, keys->pdata[i], NULL);
}

char *app_net_edit_save(AppNetEdit *e)
{
    struct err er = {0};
    read_file(e);
    settle(e);
    const AppNetProblem *p = app_net_edit_blocked(e);
    if (e->unreadable || p)
        return e->unreadable ? g_strdup(e->unreadable) : app_sentence(p->text);
    g_autofree char *dir = g_path_get_dirname(e->path);
    if (g_mkdir_with_parents(dir, 0700)) {
        g_autofree char *why = g_strdup_printf("%s: %s", dir, g_strerror(errno));
        return app_sentence(why);
    }
    if (vmx_dict_save(e->dict, e->path, &er))
        return app_sentence(er.msg);
    g_hash_table_remove_all(e->pending);
    read_file(e);
    settle(e);
    return NULL;
}
