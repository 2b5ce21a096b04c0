/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What belongs to a machine: its disks with all of their parts, settings, CMOS memory and logs. CD images and files of
 * ports are the user's own. */
#define _GNU_SOURCE
#include "app-vm-files.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app-hardware.h"
#include "app-process.h"

/* ---- names ---- */

char *app_vm_file_path(const char *vmx, const char *name)
{
    g_autofree char *dir = g_path_get_dirname(vmx), *unix_name = g_strdelimit(g_strdup(name), "\\", '/');
    return g_path_is_absolute(name) ? g_strdup(name) : g_build_filename(dir, unix_name, NULL);
}

gboolean app_vm_disk_key(const struct vmx_dict *d, const char *key, char **node)
{
    static const char *const buses[] = {"ide", "scsi", "sata", "nvme"};
    const char *dot = strrchr(key, '.'), *digits;
    gboolean bus = FALSE;
    if (!dot || g_ascii_strcasecmp(dot, ".fileName"))
        return FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(buses) && !bus; i++) {
        gsize n = strlen(buses[i]);
        digits = key + n;
        bus = !g_ascii_strncasecmp(key, buses[i], n) && g_ascii_isdigit(*digits);
        for (; bus && digits < dot; digits++)
            bus = g_ascii_isdigit(*digits) || *digits == ':';
    }
    if (!bus)
        return FALSE;
    g_autofree char *n = g_strndup(key, (gsize)(dot - key));
    if (app_hardware_is_cd(d, n) || !*app_key(d, n, "fileName"))
        return FALSE;
    *node = g_steal_pointer(&n);
    return TRUE;
}

/* ---- the disk tool ---- */

static void stop_tool(GCancellable *c, gpointer u) { g_subprocess_send_signal(u, 15); }

int app_vdisk_tool(const char *const *args, GCancellable *c, char **out, gint *progress, GError **e)
{
    g_autofree char *tool = app_process_find_tool("lodge-vdiskmanager"), *line = NULL;
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GString) text = g_string_new(NULL);
    if (!tool) {
        g_set_error(e, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                    _("The program lodge-vdiskmanager, which makes disks, is not installed beside lodge. Install Lodge "
                      "again."));
        return -1;
    }
    g_ptr_array_add(argv, tool);
    while (*args)
        g_ptr_array_add(argv, (gpointer)*args++);
    g_ptr_array_add(argv, NULL);
    g_autoptr(GSubprocess) p = g_subprocess_newv((const char *const *)argv->pdata,
                                                 G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE, e);
    if (!p)
        return -1;
    gulong id = c ? g_cancellable_connect(c, G_CALLBACK(stop_tool), p, NULL) : 0;
    g_autoptr(GDataInputStream) lines = g_data_input_stream_new(g_subprocess_get_stdout_pipe(p));
    while ((line = g_data_input_stream_read_line(lines, NULL, NULL, NULL))) {
        if (progress)
            g_atomic_int_set(progress, (gint)g_ascii_strtoll(line, NULL, 10));
        g_string_append_printf(text, "%s\n", line);
        g_free(line);
    }
    char said[1024];
    gsize n = 0;
    g_input_stream_read_all(g_subprocess_get_stderr_pipe(p), said, sizeof said - 1, &n, NULL, NULL);
    said[n] = 0;
    g_subprocess_wait(p, NULL, NULL);
    if (id)
        g_cancellable_disconnect(c, id);
    if (g_cancellable_set_error_if_cancelled(c, e))
        return -1;
    int status = g_subprocess_get_if_exited(p) ? g_subprocess_get_exit_status(p) : -1;
    if (status != 0) {
        g_autofree char *valid = g_utf8_make_valid(g_strstrip(said), -1);
        g_set_error(e, G_IO_ERROR, status == APP_VDISK_IN_USE ? G_IO_ERROR_BUSY : G_IO_ERROR_FAILED, "%s",
                    *valid ? valid : _("its program ended without a word"));
    } else if (out) {
        *out = g_string_free(g_steal_pointer(&text), FALSE);
    }
    return status;
}

/* ---- the machine's lock: lodge-vmx has it while it runs ---- */

int app_vm_lock(const char *vmx, GError **e)
{
    g_autofree char *path = g_strconcat(vmx, ".lck", NULL);
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0) {
        int en = errno;
        g_set_error(e, G_IO_ERROR, g_io_error_from_errno(en), _("The machine cannot be locked: %s: %s."), path,
                    g_strerror(en));
        return -1;
    }
    if (fcntl(fd, F_OFD_SETLK, &fl) && (errno == EAGAIN || errno == EACCES)) {
        g_set_error(e, G_IO_ERROR, G_IO_ERROR_BUSY, _("The machine is running. Shut it down or power it off first."));
        close(fd);
        return -1;
    }
    return fd;
}

void app_vm_unlock(const char *vmx, int lock)
{
    g_autofree char *path = g_strconcat(vmx, ".lck", NULL);
    unlink(path); /* while it is held: who waits on the old file sees that its name is gone */
    close(lock);
}

/* ---- listing ---- */

static void file_free(gpointer p)
{
    AppVmFile *f = p;
    g_free(f->path);
    g_free(f->why);
    g_free(f->disk);
    g_free(f);
}

void app_vm_files_free(AppVmFiles *f)
{
    g_ptr_array_unref(f->files);
    g_free(f->vmx);
    g_free(f->dir);
    g_free(f);
}

struct list {
    AppVmFiles *f;
    char **others;
    GHashTable *used; /* real path: name of the other machine that uses it */
    GHashTable *seen; /* paths that are in f->files */
};

static void list_free(gpointer p)
{
    struct list *l = p;
    g_clear_pointer(&l->f, app_vm_files_free);
    g_strfreev(l->others);
    g_hash_table_unref(l->used);
    g_hash_table_unref(l->seen);
    g_free(l);
}

static char *real_path(const char *path)
{
    char *r = realpath(path, NULL), *copy = g_strdup(r);
    free(r);
    return copy;
}

/* The further files of a disk in this folder, or NULL. */
static char **disk_parts(const char *path, GCancellable *c, int *status, GError **e)
{
    g_autofree char *out = NULL, *dir = g_path_get_dirname(path);
    g_autoptr(GPtrArray) parts = g_ptr_array_new();
    *status = app_vdisk_tool((const char *const[]){"-i", path, NULL}, c, &out, NULL, e);
    if (*status)
        return NULL;
    g_auto(GStrv) lines = g_strsplit(out, "\n", -1);
    for (char **l = lines; *l; l++)
        if (g_str_has_prefix(*l, "file "))
            g_ptr_array_add(parts, g_build_filename(dir, *l + 5, NULL));
    g_ptr_array_add(parts, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&parts), FALSE);
}

static void use(struct list *l, const char *path, const char *name)
{
    char *real = real_path(path);
    if (real)
        g_hash_table_replace(l->used, real, g_strdup(name));
}

/* What another machine has. */
static void note_other(struct list *l, const char *vmx, GCancellable *c)
{
    g_autofree char *real = real_path(vmx), *base = g_path_get_basename(vmx);
    struct vmx_dict *d = real && strcmp(real, l->f->vmx) ? vmx_dict_load(vmx, NULL) : NULL;
    struct vmx_iter it = {0};
    struct vmx_entry en;
    if (!d)
        return;
    const char *shown = vmx_get_str(d, "displayName"), *name = *shown ? shown : base;
    use(l, vmx, name);
    while (vmx_dict_next(d, &it, &en)) {
        const char *dot = strrchr(en.name, '.');
        g_autofree char *node = NULL, *path = *en.value ? app_vm_file_path(vmx, en.value) : NULL;
        if (!path || ((!dot || g_ascii_strcasecmp(dot, ".fileName")) && g_ascii_strcasecmp(en.name, "nvram") &&
                      g_ascii_strcasecmp(en.name, "extendedConfigFile")))
            continue;
        use(l, path, name);
        int status;
        g_autofree char *dir = g_path_get_dirname(path);
        g_auto(GStrv) parts =
            app_vm_disk_key(d, en.name, &node) && !strcmp(dir, l->f->dir) ? disk_parts(path, c, &status, NULL) : NULL;
        for (char **p = parts; p && *p; p++)
            use(l, *p, name);
    }
    g_autofree char *log = app_vm_file_path(vmx, vmx_get_str(d, "log.fileName"));
    use(l, log, name);
    vmx_dict_free(d);
}

static void add(struct list *l, const char *path, const char *disk, char *why)
{
    struct stat st;
    if (!g_hash_table_add(l->seen, g_strdup(path)) || lstat(path, &st)) {
        g_free(why);
        return;
    }
    AppVmFile *f = g_new0(AppVmFile, 1);
    *f = (AppVmFile){.path = g_strdup(path), .size = (goffset)st.st_blocks * 512, .why = why, .disk = g_strdup(disk)};
    g_ptr_array_add(l->f->files, f);
}

/* Why this file stays. */
static char *reason(struct list *l, const char *path)
{
    g_autofree char *real = real_path(path), *dir = real ? g_path_get_dirname(real) : NULL;
    const char *name = real ? g_hash_table_lookup(l->used, real) : NULL;
    if (name)
        return g_strdup_printf(_("“%s” uses it."), name);
    if (!dir || strcmp(dir, l->f->dir))
        return g_strdup(_("It is not in the machine’s folder."));
    return NULL;
}

static gboolean add_disk(struct list *l, const char *path, GCancellable *c, GError **e)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *stays = NULL;
    struct stat st;
    int status = 0;
    if (stat(path, &st))
        return TRUE; /* gone already */
    if ((stays = reason(l, path)) || !S_ISREG(st.st_mode)) {
        add(l, path, NULL, stays ? g_steal_pointer(&stays) : g_strdup(_("It is a device.")));
        return TRUE;
    }
    g_autofree char *real = real_path(path); /* not a link to it */
    g_auto(GStrv) parts = disk_parts(real ? real : path, c, &status, &why);
    if (!parts && (status == APP_VDISK_IN_USE || status < 0)) {
        g_propagate_error(e, g_steal_pointer(&why));
        return FALSE;
    }
    if (!parts) { /* damaged, or of a kind that Lodge cannot use: only what the .vmx names is surely this machine's */
        add(l, path, NULL, NULL);
        return TRUE;
    }
    for (char **p = parts; *p && !stays; p++)
        stays = reason(l, *p);
    for (char **p = parts; *p; p++)
        add(l, *p, real ? real : path, g_strdup(stays));
    return TRUE;
}

/* Files whose names say whose they are. */
static void add_named(struct list *l, const struct vmx_dict *d)
{
    static const char *const ends[] = {".vmxf", ".vmsd", ".vmss", ".vmem", ".vmpl", ".nvram", ".nvram.lodge"};
    g_autofree char *stem = g_strdup(l->f->vmx), *log = NULL;
    if (g_str_has_suffix(stem, ".vmx"))
        stem[strlen(stem) - 4] = 0;
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < G_N_ELEMENTS(ends); i++)
        g_ptr_array_add(paths, g_strconcat(stem, ends[i], NULL));
    if (d && *vmx_get_str(d, "nvram")) {
        g_autofree char *nvram = app_vm_file_path(l->f->vmx, vmx_get_str(d, "nvram"));
        g_ptr_array_add(paths, g_strconcat(nvram, ".lodge", NULL));
        g_ptr_array_add(paths, g_steal_pointer(&nvram));
    }
    log = app_vm_file_path(l->f->vmx, d ? vmx_get_str(d, "log.fileName") : "vmware.log");
    g_ptr_array_add(paths, g_strdup(log));
    if (g_str_has_suffix(log, ".log"))
        log[strlen(log) - 4] = 0;
    for (guint i = 0; i < 10; i++)
        g_ptr_array_add(paths, g_strdup_printf("%s-%u.log", log, i));
    for (guint i = 0; i < paths->len; i++) {
        struct stat st;
        g_autofree char *why =
            lstat(paths->pdata[i], &st) || !S_ISREG(st.st_mode) ? g_strdup("") : reason(l, paths->pdata[i]);
        if (!why)
            add(l, paths->pdata[i], NULL, NULL);
    }
}

static void list_thread(GTask *t, gpointer src, gpointer data, GCancellable *c)
{
    struct list *l = data;
    GError *e = NULL;
    struct vmx_iter it = {0};
    struct vmx_entry en;
    g_autoptr(GDir) dir = g_dir_open(l->f->dir, 0, NULL);
    const char *name;
    gboolean good = TRUE;
    int lock = app_vm_lock(l->f->vmx, &e);
    if (lock < 0) {
        g_task_return_error(t, e);
        return;
    }
    for (char **o = l->others; *o; o++)
        note_other(l, *o, c);
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(l->f->dir, name, NULL), *lower = g_ascii_strdown(name, -1);
        if (g_str_has_suffix(lower, ".vmx"))
            note_other(l, path, c);
    }
    struct vmx_dict *d =
        vmx_dict_load(l->f->vmx, NULL); /* NULL: not readable; then the .vmx and what is named like it */
    while (d && good && vmx_dict_next(d, &it, &en)) {
        g_autofree char *node = NULL, *path = NULL;
        if (!app_vm_disk_key(d, en.name, &node))
            continue;
        path = app_vm_file_path(l->f->vmx, app_key(d, node, "fileName"));
        good = add_disk(l, path, c, &e);
    }
    add_named(l, d);
    add(l, l->f->vmx, NULL, NULL);
    vmx_dict_free(d);
    app_vm_unlock(l->f->vmx, lock);
    if (good)
        g_task_return_pointer(t, g_steal_pointer(&l->f), (GDestroyNotify)app_vm_files_free);
    else
        g_task_return_error(t, e);
}

void app_vm_files_async(const char *vmx, char **others, GCancellable *c, GAsyncReadyCallback done, gpointer u)
{
    GTask *t = g_task_new(NULL, c, done, u);
    struct list *l = g_new0(struct list, 1);
    l->f = g_new0(AppVmFiles, 1);
    char *real = real_path(vmx);
    *l->f = (AppVmFiles){.vmx = real ? real : g_strdup(vmx), .files = g_ptr_array_new_with_free_func(file_free)};
    l->f->dir = g_path_get_dirname(l->f->vmx);
    l->others = g_strdupv(others);
    l->used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    l->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_task_set_task_data(t, l, list_free);
    g_task_run_in_thread(t, list_thread);
    g_object_unref(t);
}

AppVmFiles *app_vm_files_finish(GAsyncResult *r, GError **e) { return g_task_propagate_pointer(G_TASK(r), e); }

/* ---- deleting ---- */

static gboolean delete_one(AppVmFile *f, GHashTable *disks, GError **e)
{
    g_autofree char *name = g_path_get_basename(f->path);
    if (f->why)
        return TRUE;
    if (f->disk) /* with its lock held, all parts at once */
        return !g_hash_table_add(disks, g_strdup(f->disk)) ||
               app_vdisk_tool((const char *const[]){"-U", f->disk, NULL}, NULL, NULL, NULL, e) == 0;
    if (!unlink(f->path) || errno == ENOENT)
        return TRUE;
    int en = errno;
    g_set_error(e, G_IO_ERROR, g_io_error_from_errno(en), _("%s cannot be deleted: %s."), name, g_strerror(en));
    return FALSE;
}

static void delete_thread(GTask *t, gpointer src, gpointer data, GCancellable *c)
{
    AppVmFiles *f = data;
    GError *e = NULL;
    g_autoptr(GHashTable) disks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    int lock = app_vm_lock(f->vmx, &e);
    gboolean good = lock >= 0;
    for (guint i = 0; i < f->files->len && good; i++)
        good = delete_one(f->files->pdata[i], disks, &e);
    if (lock >= 0)
        app_vm_unlock(f->vmx, lock);
    if (!good) {
        g_task_return_error(t, e);
        return;
    }
    rmdir(f->dir); /* when it is empty */
    g_task_return_boolean(t, TRUE);
}

void app_vm_files_delete_async(AppVmFiles *f, GAsyncReadyCallback done, gpointer u)
{
    GTask *t = g_task_new(NULL, NULL, done, u);
    g_task_set_task_data(t, f, (GDestroyNotify)app_vm_files_free);
    g_task_run_in_thread(t, delete_thread);
    g_object_unref(t);
}

gboolean app_vm_files_delete_finish(GAsyncResult *r, GError **e) { return g_task_propagate_boolean(G_TASK(r), e); }
