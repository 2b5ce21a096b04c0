/* SPDX-License-Identifier: GPL-2.0-or-later */
/* List of machines; its file is written a moment after the last change, by a temporary file. */
#include "app-library.h"

#include <stdlib.h>
#include <string.h>

#include "app-guest-os.h"

enum { SAVE_MS = 500, SCAN_DEPTH = 6, SCAN_MAX = 2000 };

struct _AppLibrary {
    GObject parent;
    GListStore *store;
    GHashTable *folders; /* set of names, also of empty ones */
    char *file;
    guint save;
    gboolean loading;
};
G_DEFINE_TYPE(AppLibrary, app_library, G_TYPE_OBJECT)

enum { CHANGED, VM_STOPPED, N_SIGNALS };
static guint signals[N_SIGNALS];

void app_library_save(AppLibrary *l)
{
    g_autoptr(GKeyFile) k = g_key_file_new();
    g_autoptr(GError) e = NULL;
    guint n = g_list_model_get_n_items(G_LIST_MODEL(l->store));
    g_auto(GStrv) folders = app_library_get_folders(l);
    if (l->save)
        g_source_remove(l->save);
    l->save = 0;
    g_key_file_set_string_list(k, "library", "folders", (const char *const *)folders, g_strv_length(folders));
    for (guint i = 0; i < n; i++) {
        g_autoptr(AppVm) vm = g_list_model_get_item(G_LIST_MODEL(l->store), i);
        g_autofree char *group = g_strdup_printf("entry %u", i + 1);
        g_key_file_set_string(k, group, app_vm_is_remote(vm) ? "remote" : "path", app_vm_get_path(vm));
        if (*app_vm_get_folder(vm))
            g_key_file_set_string(k, group, "folder", app_vm_get_folder(vm));
    }
    gsize len;
    g_autofree char *text = g_key_file_to_data(k, &len, NULL), *dir = g_path_get_dirname(l->file);
    g_mkdir_with_parents(dir, 0700);
    if (!g_file_set_contents(l->file, text, (gssize)len, &e))
        g_warning("The library cannot be saved: %s", e->message);
}

static gboolean save_now(gpointer u)
{
    AppLibrary *l = u;
    l->save = 0;
    app_library_save(l);
    return G_SOURCE_REMOVE;
}

static void changed(AppLibrary *l)
{
    if (l->loading)
        return;
    if (!l->save)
        l->save = g_timeout_add(SAVE_MS, save_now, l);
    g_signal_emit(l, signals[CHANGED], 0);
}

GListModel *app_library_get_model(AppLibrary *l) { return G_LIST_MODEL(l->store); }

AppVm *app_library_find(AppLibrary *l, const char *path)
{
    char *real = realpath(path, NULL);
    AppVm *found = NULL;
    for (guint i = 0; i < g_list_model_get_n_items(G_LIST_MODEL(l->store)) && !found; i++) {
        g_autoptr(AppVm) vm = g_list_model_get_item(G_LIST_MODEL(l->store), i);
        if (!strcmp(app_vm_get_path(vm), real ? real : path))
            found = vm; /* the store keeps it */
    }
    free(real);
    return found;
}

static void on_stopped(AppVm *vm, const char *sentence, gpointer u)
{
    g_signal_emit(u, signals[VM_STOPPED], 0, vm, sentence);
}

static AppVm *append(AppLibrary *l, AppVm *vm)
{
    if (*app_vm_get_folder(vm))
        g_hash_table_add(l->folders, g_strdup(app_vm_get_folder(vm)));
    g_signal_connect_object(vm, "stopped", G_CALLBACK(on_stopped), l, 0);
    g_list_store_append(l->store, vm);
    g_object_unref(vm);
    changed(l);
    return vm;
}

AppVm *app_library_add(AppLibrary *l, const char *vmx_path, const char *folder)
{
    AppVm *vm = app_library_find(l, vmx_path);
    return vm ? vm : append(l, app_vm_new(vmx_path, folder));
}

AppVm *app_library_add_remote(AppLibrary *l, const char *target, const char *folder)
{
    AppVm *vm = app_library_find(l, target);
    return vm ? vm : append(l, app_vm_new_remote(target, folder));
}

void app_library_remove(AppLibrary *l, AppVm *vm)
{
    guint n = g_list_model_get_n_items(G_LIST_MODEL(l->store));
    for (guint i = 0; i < n; i++) {
        g_autoptr(AppVm) v = g_list_model_get_item(G_LIST_MODEL(l->store), i);
        if (v != vm)
            continue;
        g_signal_handlers_disconnect_by_data(vm, l);
        g_list_store_remove(l->store, i);
        changed(l);
        return;
    }
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    g_autofree char *ka = g_utf8_casefold(*(char *const *)a, -1), *kb = g_utf8_casefold(*(char *const *)b, -1);
    return g_utf8_collate(ka, kb);
}

char **app_library_get_folders(AppLibrary *l)
{
    GPtrArray *a = g_ptr_array_new();
    GHashTableIter it;
    gpointer k;
    g_hash_table_iter_init(&it, l->folders);
    while (g_hash_table_iter_next(&it, &k, NULL))
        g_ptr_array_add(a, g_strdup(k));
    g_ptr_array_sort(a, compare_names);
    g_ptr_array_add(a, NULL);
    return (char **)g_ptr_array_free(a, FALSE);
}

void app_library_add_folder(AppLibrary *l, const char *name)
{
    if (*name && g_hash_table_add(l->folders, g_strdup(name)))
        changed(l);
}

void app_library_rename_folder(AppLibrary *l, const char *from, const char *to)
{
    g_autofree char *old = g_strdup(from);
    guint n = g_list_model_get_n_items(G_LIST_MODEL(l->store));
    g_hash_table_remove(l->folders, old);
    if (*to)
        g_hash_table_add(l->folders, g_strdup(to));
    for (guint i = 0; i < n; i++) {
        g_autoptr(AppVm) vm = g_list_model_get_item(G_LIST_MODEL(l->store), i);
        if (!strcmp(app_vm_get_folder(vm), old))
            app_vm_set_folder(vm, to);
    }
    changed(l);
}

gboolean app_library_matches(AppVm *vm, const char *text)
{
    const struct vmx_dict *d = app_vm_get_dict(vm);
    const char *where[] = {app_vm_get_name(vm), app_vm_get_path(vm), app_vm_get_folder(vm),
                           d ? app_guest_os_name(vmx_get_str(d, "guestOS")) : "",
                           d ? vmx_get_str(d, "annotation") : ""};
    g_autofree char *needle = g_utf8_casefold(text, -1);
    for (guint i = 0; i < G_N_ELEMENTS(where); i++) {
        g_autofree char *valid = g_utf8_make_valid(where[i], -1), *hay = g_utf8_casefold(valid, -1);
        if (strstr(hay, needle))
            return TRUE;
    }
    return FALSE;
}

/* ---- scanning ---- */

struct scan {
    AppLibrary *l;
    char *dir;
    GPtrArray *found;
    void (*done)(gpointer u, int found, int added);
    gpointer u;
    gboolean unreadable;
};

static gboolean scan_dir(const char *dir, guint depth, GPtrArray *found, GCancellable *c)
{
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    while (d && found->len < SCAN_MAX && !g_cancellable_is_cancelled(c) && (name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        if (*name == '.' || g_file_test(path, G_FILE_TEST_IS_SYMLINK))
            continue;
        if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
            if (depth < SCAN_DEPTH)
                scan_dir(path, depth + 1, found, c);
        } else if (strlen(name) > 4 && !g_ascii_strcasecmp(name + strlen(name) - 4, ".vmx") &&
                   g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
            g_ptr_array_add(found, g_steal_pointer(&path));
        }
    }
    return d != NULL;
}

static void scan_thread(GTask *task, gpointer src, gpointer data, GCancellable *c)
{
    struct scan *s = data;
    s->unreadable = !scan_dir(s->dir, 0, s->found, c);
    g_task_return_boolean(task, TRUE);
}

static void scanned(GObject *o, GAsyncResult *r, gpointer u)
{
    struct scan *s = u;
    int added = 0;
    gboolean ok = g_task_propagate_boolean(G_TASK(r), NULL);
    for (guint i = 0; ok && i < s->found->len; i++) {
        if (app_library_find(s->l, s->found->pdata[i]))
            continue;
        app_library_add(s->l, s->found->pdata[i], "");
        added++;
    }
    if (s->done)
        s->done(s->u, !ok ? -1 : s->unreadable ? APP_SCAN_UNREADABLE : (int)s->found->len, added);
    g_ptr_array_unref(s->found);
    g_object_unref(s->l);
    g_free(s->dir);
    g_free(s);
}

void app_library_scan(AppLibrary *l, const char *dir, GCancellable *c, void (*done)(gpointer u, int found, int added),
                      gpointer u)
{
    struct scan *s = g_new0(struct scan, 1);
    *s = (struct scan){.l = g_object_ref(l),
                       .dir = g_strdup(dir),
                       .found = g_ptr_array_new_with_free_func(g_free),
                       .done = done,
                       .u = u};
    GTask *t = g_task_new(NULL, c, scanned, s);
    g_task_set_task_data(t, s, NULL);
    g_task_run_in_thread(t, scan_thread);
    g_object_unref(t);
}

/* ---- object ---- */

static void load(AppLibrary *l)
{
    g_autoptr(GKeyFile) k = g_key_file_new();
    if (!g_key_file_load_from_file(k, l->file, G_KEY_FILE_NONE, NULL))
        return;
    l->loading = TRUE;
    g_auto(GStrv) folders = g_key_file_get_string_list(k, "library", "folders", NULL, NULL),
                  groups = g_key_file_get_groups(k, NULL);
    for (char **f = folders; f && *f; f++)
        if (**f)
            g_hash_table_add(l->folders, g_strdup(*f));
    for (char **g = groups; *g; g++) {
        g_autofree char *path = g_key_file_get_string(k, *g, "path", NULL),
                        *remote = g_key_file_get_string(k, *g, "remote", NULL),
                        *folder = g_key_file_get_string(k, *g, "folder", NULL);
        if (path)
            app_library_add(l, path, folder);
        else if (remote)
            app_library_add_remote(l, remote, folder);
    }
    l->loading = FALSE;
}

AppLibrary *app_library_new(const char *file)
{
    AppLibrary *l = g_object_new(APP_TYPE_LIBRARY, NULL);
    l->file = file ? g_strdup(file) : g_build_filename(g_get_user_data_dir(), "lodge", "library.ini", NULL);
    load(l);
    return l;
}

static void app_library_init(AppLibrary *l)
{
    l->store = g_list_store_new(APP_TYPE_VM);
    l->folders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void app_library_finalize(GObject *o)
{
    AppLibrary *l = APP_LIBRARY(o);
    if (l->save)
        app_library_save(l);
    g_object_unref(l->store);
    g_hash_table_unref(l->folders);
    g_free(l->file);
    G_OBJECT_CLASS(app_library_parent_class)->finalize(o);
}

static void app_library_class_init(AppLibraryClass *k)
{
    G_OBJECT_CLASS(k)->finalize = app_library_finalize;
    signals[CHANGED] =
        g_signal_new("changed", APP_TYPE_LIBRARY, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    signals[VM_STOPPED] = g_signal_new("vm-stopped", APP_TYPE_LIBRARY, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                       G_TYPE_NONE, 2, APP_TYPE_VM, G_TYPE_STRING);
}
