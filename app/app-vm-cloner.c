/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each hard disk is copied by lodge-vdiskmanager, in the type that it has; then the .vmx, with what must not be the
 * same twice made new: uuid.bios, MAC addresses, names of files. The original is locked meanwhile, so that it cannot be
 * powered on half-way.
 */
#include "app-vm-cloner.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "app-hardware.h"
#include "app-vm-claims.h"
#include "app-vm-files.h"
#include "app-vm-maker.h"

struct disk {
    char *node, *from, *to, type[2];
    guint64 bytes; /* that it takes on its file system */
};

struct clone {
    char *vmx, *name, *dir, *base;
    AppVmCloneProgress *progress;
    GPtrArray *disks;
    GHashTable *taken; /* claims of other machines */
    gboolean made_parent, made_dir;
};

static void disk_free(gpointer p)
{
    struct disk *d = p;
    g_free(d->node);
    g_free(d->from);
    g_free(d->to);
    g_free(d);
}

static void clone_free(gpointer p)
{
    struct clone *x = p;
    g_free(x->vmx);
    g_free(x->name);
    g_free(x->dir);
    g_free(x->base);
    g_ptr_array_unref(x->disks);
    g_hash_table_unref(x->taken);
    g_free(x);
}

static gboolean wrong(GError **e, const struct err *pe)
{
    g_set_error(e, G_IO_ERROR, G_IO_ERROR_FAILED, "%s", pe->msg);
    return FALSE;
}

/* ---- disks ---- */

static gboolean add_disk(struct clone *x, const struct vmx_dict *d, const char *node, GCancellable *c, GError **e)
{
    struct disk *k = g_new0(struct disk, 1);
    g_autofree char *out = NULL, *dir = NULL;
    guint n = x->disks->len;
    k->node = g_strdup(node);
    k->from = app_vm_file_path(x->vmx, app_key(d, node, "fileName"));
    k->to = n ? g_strdup_printf("%s-%u.vmdk", x->base, n) : g_strconcat(x->base, ".vmdk", NULL);
    strcpy(k->type, "0"); /* raw images become disks that grow */
    g_ptr_array_add(x->disks, k);
    dir = g_path_get_dirname(k->from);
    if (app_vdisk_tool((const char *const[]){"-i", k->from, NULL}, c, &out, NULL, e))
        return FALSE;
    g_auto(GStrv) lines = g_strsplit(out, "\n", -1);
    for (char **l = lines; *l; l++) {
        g_autofree char *part = g_str_has_prefix(*l, "file ") ? g_build_filename(dir, *l + 5, NULL) : NULL;
        struct stat st;
        if (part && !stat(part, &st))
            k->bytes += (guint64)st.st_blocks * 512;
        if (g_str_has_prefix(*l, "type "))
            k->type[0] = (*l)[5];
    }
    return TRUE;
}

static gboolean room_for(struct clone *x, GError **e)
{
    struct statvfs v;
    guint64 need = 0;
    for (guint i = 0; i < x->disks->len; i++)
        need += ((struct disk *)x->disks->pdata[i])->bytes;
    if (statvfs(x->dir, &v) || (guint64)v.f_bavail * v.f_frsize >= need)
        return TRUE;
    g_autofree char *want = app_format_bytes(need),
                    *have = app_format_bytes((guint64)v.f_bavail * v.f_frsize);
    g_set_error(e, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                _("The disks need %s, but only %s are free in this place. Choose another one."), want, have);
    return FALSE;
}

static gboolean copy_disks(struct clone *x, GCancellable *c, GError **e)
{
    for (guint i = 0; i < x->disks->len; i++) {
        struct disk *k = x->disks->pdata[i];
        g_autofree char *to = g_build_filename(x->dir, k->to, NULL);
        g_atomic_int_set(&x->progress->disk, (gint)i + 1);
        g_atomic_int_set(&x->progress->disks, (gint)x->disks->len);
        g_atomic_int_set(&x->progress->percent, 0);
        if (app_vdisk_tool((const char *const[]){"-r", k->from, "-t", k->type, to, NULL}, c, NULL,
                           &x->progress->percent, e))
            return FALSE;
    }
    return TRUE;
}

/* ---- the settings ---- */

static int put(struct vmx_dict *d, const char *node, const char *rest, const char *value, struct err *e)
{
    g_autofree char *key = *rest ? g_strconcat(node, ".", rest, NULL) : g_strdup(node);
    if (value)
        return vmx_dict_set(d, key, value, e);
    vmx_dict_unset(d, key);
    return 0;
}

/* A CD image or floppy named by its place beside the original is still meant there. */
static gboolean is_medium(const struct vmx_dict *d, const char *node, const char *rest)
{
    const char *value = app_key(d, node, rest);
    return !g_ascii_strcasecmp(rest, "fileName") && *value && !g_path_is_absolute(value) &&
           (app_hardware_is_cd(d, node) || !g_ascii_strncasecmp(node, "floppy", 6));
}

static int new_line(struct clone *x, struct vmx_dict *d, const char *key, struct err *e)
{
    static const char *const gone[] = {
        "uuid.location",          "vc.uuid",         "extendedConfigFile", "checkpoint.vmState",
        "sched.swap.derivedName", "migrate.hostlog", "vmxstats.filename", "workingDir"};
    g_autofree char *node = g_strdup(key);
    char *dot = strrchr(node, '.');
    const char *rest = dot ? dot + 1 : "";
    for (guint i = 0; i < G_N_ELEMENTS(gone); i++)
        if (!g_ascii_strcasecmp(key, gone[i]))
            return put(d, key, "", NULL, e);
    if (!dot)
        return 0;
    *dot = 0;
    if (!g_ascii_strncasecmp(node, "ethernet", 8)) {
        if (!g_ascii_strcasecmp(rest, "generatedAddress") || !g_ascii_strcasecmp(rest, "generatedAddressOffset") ||
            !g_ascii_strcasecmp(rest, "address"))
            return put(d, node, rest, NULL, e);
        return g_ascii_strcasecmp(rest, "addressType") ? 0 : put(d, node, rest, "generated", e);
    }
    if (is_medium(d, node, rest)) {
        g_autofree char *path = app_vm_file_path(x->vmx, app_key(d, node, rest));
        return g_file_test(path, G_FILE_TEST_EXISTS) ? put(d, node, rest, path, e) : 0;
    }
    if (!g_ascii_strcasecmp(key, "log.fileName") || !g_ascii_strcasecmp(rest, "capture.fileName") ||
        (!g_ascii_strncasecmp(node, "serial", 6) && !g_ascii_strcasecmp(rest, "fileName") &&
         !g_ascii_strcasecmp(app_key(d, node, "fileType"), "file"))) {
        g_autofree char *base = g_path_get_basename(app_key(d, node, rest)); /* in the new folder */
        return put(d, node, rest, base, e);
    }
    return 0;
}

static gboolean write_vmx(struct clone *x, struct vmx_dict *d, const char *path, GError **e)
{
    g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *nvram = g_strconcat(x->base, ".nvram", NULL);
    struct err pe = {0};
    struct vmx_iter it = {0};
    struct vmx_entry en;
    uint8_t id[16];
    char text[48];
    while (vmx_dict_next(d, &it, &en))
        g_ptr_array_add(keys, g_strdup(en.name));
    int rc = 0;
    for (guint i = 0; i < keys->len && !rc; i++)
        rc = new_line(x, d, keys->pdata[i], &pe);
    for (guint i = 0; i < x->disks->len && !rc; i++) {
        struct disk *k = x->disks->pdata[i];
        rc = put(d, k->node, "fileName", k->to, &pe);
    }
    for (guint i = 0; i < sizeof id; i++)
        id[i] = (uint8_t)g_random_int();
    id[0] = 0x56; /* "VM", as in every uuid.bios that is made for a machine */
    id[1] = 0x4d;
    vmx_format_uuid(id, text);
    rc = rc ? rc : app_vm_claims_renew(d, x->vmx, x->taken, &pe);
    if (rc || vmx_dict_set(d, "displayName", x->name, &pe) || vmx_dict_set(d, "nvram", nvram, &pe) ||
        vmx_dict_set(d, "uuid.bios", text, &pe) || vmx_dict_save(d, path, &pe))
        return wrong(e, &pe);
    return TRUE;
}

/* ---- all of it ---- */

static gboolean make_dir(struct clone *x, GError **e)
{
    g_autofree char *parent = g_path_get_dirname(x->dir);
    x->made_parent = !g_file_test(parent, G_FILE_TEST_EXISTS);
    if (g_mkdir_with_parents(parent, 0777) || g_mkdir(x->dir, 0777)) {
        g_set_error(e, G_IO_ERROR, g_io_error_from_errno(errno), _("The folder %s cannot be made: %s."), x->dir,
                    g_strerror(errno));
        return FALSE;
    }
    return x->made_dir = TRUE;
}

/* The folder was ours from the first moment: whatever is in it was made here. */
static void undo(struct clone *x)
{
    g_autoptr(GDir) d = x->made_dir ? g_dir_open(x->dir, 0, NULL) : NULL;
    const char *name;
    while (d && (name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(x->dir, name, NULL);
        g_unlink(path);
    }
    if (x->made_dir)
        g_rmdir(x->dir);
    if (x->made_parent) {
        g_autofree char *parent = g_path_get_dirname(x->dir);
        g_rmdir(parent);
    }
}

static gboolean copy_nvram(struct clone *x, const struct vmx_dict *d, GError **e)
{
    g_autofree char *stem = g_strndup(x->vmx, strlen(x->vmx) - (g_str_has_suffix(x->vmx, ".vmx") ? 4 : 0)),
                    *own = g_strconcat(stem, ".nvram", NULL),
                    *from =
                        *vmx_get_str(d, "nvram") ? app_vm_file_path(x->vmx, vmx_get_str(d, "nvram")) : g_strdup(own);
    for (int lodge = 0; lodge < 2; lodge++) { /* the second one stands beside another product's file */
        g_autofree char *path = g_strconcat(from, lodge ? ".lodge" : "", NULL),
                        *to = g_strdup_printf("%s/%s.nvram%s", x->dir, x->base, lodge ? ".lodge" : "");
        g_autoptr(GFile) a = g_file_new_for_path(path), b = g_file_new_for_path(to);
        if (g_file_test(path, G_FILE_TEST_IS_REGULAR) && !g_file_copy(a, b, G_FILE_COPY_NONE, NULL, NULL, NULL, e))
            return FALSE;
    }
    return TRUE;
}

/* Hard disks that are there; a line of one that is not present must not lead to the original's. */
static gboolean find_disks(struct clone *x, struct vmx_dict *d, GCancellable *c, GError **e)
{
    g_autoptr(GPtrArray) nodes = g_ptr_array_new_with_free_func(g_free);
    struct vmx_iter it = {0};
    struct vmx_entry en;
    char *node;
    while (vmx_dict_next(d, &it, &en))
        if (!en.duplicate && app_vm_disk_key(d, en.name, &node))
            g_ptr_array_add(nodes, node);
    for (guint i = 0; i < nodes->len; i++) {
        if (!app_key_bool(d, nodes->pdata[i], "present"))
            put(d, nodes->pdata[i], "fileName", NULL, NULL);
        else if (!add_disk(x, d, nodes->pdata[i], c, e))
            return FALSE;
    }
    return TRUE;
}

static void clone_thread(GTask *t, gpointer src, gpointer data, GCancellable *c)
{
    struct clone *x = data;
    GError *e = NULL;
    struct err pe = {0};
    g_autofree char *file = g_strconcat(x->base, ".vmx", NULL), *path = g_build_filename(x->dir, file, NULL);
    int lock = app_vm_lock(x->vmx, &e);
    struct vmx_dict *d = lock < 0 ? NULL : vmx_dict_load(x->vmx, &pe);
    gboolean good = d || (lock >= 0 && wrong(&e, &pe));
    good = good && find_disks(x, d, c, &e) && make_dir(x, &e) && room_for(x, &e) && copy_disks(x, c, &e) &&
           copy_nvram(x, d, &e) && write_vmx(x, d, path, &e);
    vmx_dict_free(d);
    if (lock >= 0)
        app_vm_unlock(x->vmx, lock);
    if (good && !g_cancellable_set_error_if_cancelled(c, &e)) {
        g_task_return_pointer(t, g_steal_pointer(&path), g_free);
    } else {
        undo(x);
        g_task_return_error(t, e);
    }
}

void app_vm_clone_async(const char *vmx, const char *name, const char *dir, GHashTable *taken, AppVmCloneProgress *progress,
                        GCancellable *c, GAsyncReadyCallback done, gpointer u)
{
    GTask *t = g_task_new(NULL, c, done, u);
    struct clone *x = g_new0(struct clone, 1);
    *x = (struct clone){.vmx = g_strdup(vmx),
                        .name = g_strdup(name),
                        .dir = g_strdup(dir),
                        .base = app_vm_spec_file_name(name),
                        .progress = progress,
                        .taken = g_hash_table_ref(taken),
                        .disks = g_ptr_array_new_with_free_func(disk_free)};
    g_task_set_check_cancellable(t, FALSE);
    g_task_set_task_data(t, x, clone_free);
    g_task_run_in_thread(t, clone_thread);
    g_object_unref(t);
}

char *app_vm_clone_finish(GAsyncResult *r, GError **e) { return g_task_propagate_pointer(G_TASK(r), e); }
