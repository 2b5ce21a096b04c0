/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The .vmx of a new machine, and the steps: folder, disk (by lodge-vdiskmanager), .vmx last, so that a half-made
 * machine is none. */
#include "app-vm-maker.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "app-hardware.h"
#include "app-process.h"

char *app_vm_spec_file_name(const char *name)
{
    char *s = g_strstrip(g_strdup(name));
    g_strdelimit(s, "/\\:*?\"<>|\n\t", '-');
    while (*s == '.')
        *s = '-';
    return s;
}

char *app_vm_spec_path(const AppVmSpec *s)
{
    g_autofree char *base = app_vm_spec_file_name(s->name), *file = g_strconcat(base, ".vmx", NULL);
    return g_build_filename(s->dir, file, NULL);
}

void app_vm_spec_clear(AppVmSpec *s)
{
    g_free(s->name);
    g_free(s->dir);
    g_free(s->guest_id);
    g_free(s->iso);
    g_free(s->disk);
    memset(s, 0, sizeof *s);
}

char *app_vm_spec_problem(const char *name, const char *parent_dir, guint disk_gb, gboolean allocate,
                          gboolean *only_warning)
{
    g_autofree char *base = app_vm_spec_file_name(name), *dir = g_build_filename(parent_dir, base, NULL),
                    *up = g_strdup(parent_dir);
    struct statvfs v;
    *only_warning = FALSE;
    if (!*base)
        return g_strdup(_("Give the machine a name."));
    if (strlen(base) > 80)
        return g_strdup(_("The name is too long for a file name."));
    if (!g_path_is_absolute(parent_dir))
        return g_strdup(_("The place must be the full path of a folder."));
    if (g_file_test(dir, G_FILE_TEST_EXISTS))
        return g_strdup_printf(_("There is already a folder “%s” in this place. Choose another name."), base);
    while (!g_file_test(up, G_FILE_TEST_EXISTS) && strlen(up) > 1) {
        char *p = g_path_get_dirname(up);
        g_free(up);
        up = p;
    }
    if (!g_file_test(up, G_FILE_TEST_IS_DIR))
        return g_strdup_printf(_("%s is not a folder."), up);
    if (access(up, W_OK | X_OK))
        return g_strdup_printf(_("You may not write into the folder %s. Choose another place."), up);
    if (disk_gb && !statvfs(up, &v)) {
        guint64 room = (guint64)v.f_bavail * v.f_frsize, need = (guint64)disk_gb << 30;
        g_autofree char *size = app_format_mb(room >> 20);
        if (room < need) {
            *only_warning = !allocate;
            return allocate
                       ? g_strdup_printf(_("The disk needs %u GB, but only %s are free there."), disk_gb, size)
                       : g_strdup_printf(_("Only %s are free there. The disk of %u GB cannot grow to its full size."),
                                         size, disk_gb);
        }
    }
    return NULL;
}

static int put(struct vmx_dict *d, struct err *e, const char *key, const char *value)
{
    return vmx_dict_set(d, key, value, e);
}

struct vmx_dict *app_vm_spec_dict(const AppVmSpec *s, struct err *e)
{
    struct vmx_dict *d = vmx_dict_new();
    g_autofree char *base = app_vm_spec_file_name(s->name), *nvram = g_strconcat(base, ".nvram", NULL),
                    *disk = g_strconcat(base, ".vmdk", NULL);
    g_autofree char *mem = g_strdup_printf("%u", s->memory_mb), *cpus = g_strdup_printf("%u", s->processors);
    gboolean has_disk = s->disk || s->disk_gb;
    const char *const rows[][2] = {
        {"config.version", "8"},
        {"virtualHW.version", "19"},
        {"displayName", s->name},
        {"guestOS", s->guest_id},
        {"nvram", nvram},
        {"memsize", mem},
        {"numvcpus", cpus},
        {has_disk ? "ide0:0.present" : NULL, "TRUE"},
        {has_disk ? "ide0:0.fileName" : NULL, s->disk ? s->disk : disk},
        {"ide1:0.present", "TRUE"},
        {"ide1:0.deviceType", s->iso ? "cdrom-image" : "cdrom-raw"},
        {"ide1:0.fileName", s->iso ? s->iso : "auto detect"},
        {"ide1:0.startConnected", s->iso ? "TRUE" : "FALSE"},
        {"floppy0.present", "FALSE"},
        /* What this version has: the key table says it. */
        {app_key_acts("ethernet0.present") ? "ethernet0.present" : NULL, "TRUE"},
        {app_key_acts("ethernet0.present") ? "ethernet0.connectionType" : NULL, "nat"},
        {app_key_acts("ethernet0.present") ? "ethernet0.virtualDev" : NULL, "e1000"},
        {app_key_acts("ethernet0.present") ? "ethernet0.addressType" : NULL, "generated"},
        {app_key_acts("usb.present") ? "usb.present" : NULL, "TRUE"},
        {app_key_acts("ehci.present") ? "ehci.present" : NULL, "TRUE"},
        {app_key_acts("sound.present") ? "sound.present" : NULL, "TRUE"},
        {app_key_acts("sound.present") ? "sound.virtualDev" : NULL, "es1371"},
    };
    int rc = 0;
    for (guint i = 0; i < G_N_ELEMENTS(rows) && !rc; i++)
        if (rows[i][0])
            rc = put(d, e, rows[i][0], rows[i][1]);
    if (rc) {
        vmx_dict_free(d);
        return NULL;
    }
    return d;
}

/* ---- making ---- */

struct make {
    AppVmSpec s;
    char *path, *disk_path;
    gboolean made_parent, made_dir;
    GSubprocess *tool;
    GDataInputStream *lines;
    void (*progress)(gpointer u, double part);
    gpointer pu;
    gulong cancelled;
};

static void make_free(gpointer p)
{
    struct make *m = p;
    app_vm_spec_clear(&m->s);
    g_free(m->path);
    g_free(m->disk_path);
    g_clear_object(&m->tool);
    g_clear_object(&m->lines);
    g_free(m);
}

/* The folder was ours from the first moment: whatever is in it was made here. */
static void undo(struct make *m)
{
    g_autoptr(GDir) d = m->made_dir ? g_dir_open(m->s.dir, 0, NULL) : NULL;
    const char *name;
    while (d && (name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(m->s.dir, name, NULL);
        g_unlink(path);
    }
    if (m->made_dir)
        g_rmdir(m->s.dir);
    if (m->made_parent) {
        g_autofree char *parent = g_path_get_dirname(m->s.dir);
        g_rmdir(parent);
    }
}

static void fail(GTask *t, GError *e)
{
    undo(g_task_get_task_data(t));
    g_task_return_error(t, e);
    g_object_unref(t);
}

static void write_vmx(GTask *t)
{
    struct make *m = g_task_get_task_data(t);
    struct err e = {0};
    struct vmx_dict *d = app_vm_spec_dict(&m->s, &e);
    int rc = d ? vmx_dict_save(d, m->path, &e) : -1;
    vmx_dict_free(d);
    if (rc) {
        fail(t, g_error_new(G_IO_ERROR, G_IO_ERROR_FAILED, "%s", e.msg));
        return;
    }
    g_task_return_pointer(t, g_strdup(m->path), g_free);
    g_object_unref(t);
}

static void tool_ended(GObject *o, GAsyncResult *r, gpointer u)
{
    GTask *t = u;
    struct make *m = g_task_get_task_data(t);
    g_autofree char *err = NULL;
    GError *e = NULL;
    gboolean ok = g_subprocess_wait_check_finish(m->tool, r, NULL);
    if (m->cancelled)
        g_cancellable_disconnect(g_task_get_cancellable(t), m->cancelled);
    m->cancelled = 0;
    if (g_cancellable_set_error_if_cancelled(g_task_get_cancellable(t), &e)) {
        fail(t, e);
        return;
    }
    if (!ok) {
        gsize n = 0;
        char buf[512];
        g_input_stream_read_all(g_subprocess_get_stderr_pipe(m->tool), buf, sizeof buf - 1, &n, NULL, NULL);
        buf[n] = 0;
        err = g_utf8_make_valid(g_strstrip(buf), -1);
        fail(t, g_error_new(G_IO_ERROR, G_IO_ERROR_FAILED, _("The disk could not be made: %s"),
                            *err ? err : _("its program ended without a word")));
        return;
    }
    write_vmx(t);
}

static void next_line(GObject *o, GAsyncResult *r, gpointer u)
{
    GTask *t = u;
    struct make *m = g_task_get_task_data(t);
    g_autofree char *line = g_data_input_stream_read_line_finish(m->lines, r, NULL, NULL);
    if (line) {
        if (m->progress)
            m->progress(m->pu, g_ascii_strtod(line, NULL) / 100);
        g_data_input_stream_read_line_async(m->lines, G_PRIORITY_DEFAULT, NULL, next_line, t);
        return;
    }
    g_subprocess_wait_check_async(m->tool, NULL, tool_ended, t);
}

static void cancel_tool(GCancellable *c, gpointer u) { g_subprocess_send_signal(u, 15); }

void app_vm_make_async(const AppVmSpec *s, void (*progress)(gpointer u, double part), gpointer pu, GCancellable *c,
                       GAsyncReadyCallback done, gpointer u)
{
    GTask *t = g_task_new(NULL, c, done, u);
    struct make *m = g_new0(struct make, 1);
    GError *e = NULL;
    g_task_set_check_cancellable(t, FALSE);
    g_task_set_task_data(t, m, make_free);
    m->s = (AppVmSpec){.name = g_strdup(s->name),
                       .dir = g_strdup(s->dir),
                       .guest_id = g_strdup(s->guest_id),
                       .memory_mb = s->memory_mb,
                       .processors = s->processors,
                       .iso = g_strdup(s->iso),
                       .disk = g_strdup(s->disk),
                       .disk_gb = s->disk_gb,
                       .split = s->split,
                       .allocate = s->allocate};
    m->path = app_vm_spec_path(s);
    m->progress = progress;
    m->pu = pu;
    g_autofree char *parent = g_path_get_dirname(s->dir);
    m->made_parent = !g_file_test(parent, G_FILE_TEST_EXISTS);
    if (g_mkdir_with_parents(parent, 0777) || g_mkdir(s->dir, 0777)) {
        fail(t, g_error_new(G_IO_ERROR, g_io_error_from_errno(errno), _("The folder %s cannot be made: %s."), s->dir,
                            g_strerror(errno)));
        return;
    }
    m->made_dir = TRUE;
    if (s->disk || !s->disk_gb) {
        write_vmx(t);
        return;
    }
    g_autofree char *tool = app_process_find_tool("lodge-vdiskmanager"), *base = app_vm_spec_file_name(s->name),
                    *file = g_strconcat(base, ".vmdk", NULL);
    g_autofree char *size = g_strdup_printf("%uGB", s->disk_gb);
    char type[2] = {(char)('0' + (s->allocate ? 2 : 0) + (s->split ? 1 : 0)), 0};
    m->disk_path = g_build_filename(s->dir, file, NULL);
    if (!tool) {
        fail(t, g_error_new(G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                            _("The program lodge-vdiskmanager, which makes disks, is not installed beside lodge. "
                              "Install Lodge again.")));
        return;
    }
    m->tool = g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE, &e, tool, "-c", "-s",
                               size, "-t", type, m->disk_path, NULL);
    if (!m->tool) {
        fail(t, e);
        return;
    }
    if (c)
        m->cancelled = g_cancellable_connect(c, G_CALLBACK(cancel_tool), m->tool, NULL);
    m->lines = g_data_input_stream_new(g_subprocess_get_stdout_pipe(m->tool));
    g_data_input_stream_read_line_async(m->lines, G_PRIORITY_DEFAULT, NULL, next_line, t);
}

char *app_vm_make_finish(GAsyncResult *r, GError **e) { return g_task_propagate_pointer(G_TASK(r), e); }
