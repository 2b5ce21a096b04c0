/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine's control API without a machine (fakeconsole.h). */
#define _GNU_SOURCE
#include "tests/ui/fakeconsole.h"

#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lodge-vm1.h"

#define SKEL(f) LODGE_VM1((f)->skel)

static void random_pixels(struct fake *f)
{
    static uint32_t s = 1;
    for (int i = 0; i < f->stride / 4 * f->height; i++)
        f->pixels[i] = (s = s * 1664525u + 1013904223u) >> 8;
}

static void make_memory(struct fake *f, int w, int h)
{
    if (f->pixels)
        munmap(f->pixels, f->size);
    if (f->fd >= 0)
        close(f->fd);
    f->width = w;
    f->height = h;
    f->stride = w * 4 + 64; /* not the width's */
    f->size = ((size_t)f->stride * (size_t)h + 4095) & ~(size_t)4095;
    f->fd = memfd_create("fake-screen", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (f->fd < 0 || ftruncate(f->fd, (off_t)f->size))
        abort();
    f->pixels = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
    if (f->pixels == MAP_FAILED)
        abort();
    if (!f->unsealed)
        fcntl(f->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    f->generation++;
    random_pixels(f);
}

static void emit(struct fake *f, const char *name, GVariant *args)
{
    if (f->conn)
        g_dbus_connection_emit_signal(f->conn, NULL, "/org/lodge/Vm1", "org.lodge.Vm1", name, args, NULL);
    else
        g_variant_unref(g_variant_ref_sink(args));
}

void fake_mode(struct fake *f, int w, int h)
{
    make_memory(f, w, h);
    f->has_screen = true;
    f->pending_frame = false;
    f->done = f->serial;
    emit(f, "ScreenMode", g_variant_new("(uuu)", f->generation, w, h));
}

void fake_damage(struct fake *f, int x, int y, int w, int h)
{
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE("a(iiii)"));
    g_variant_builder_add(&b, "(iiii)", x, y, w, h);
    emit(f, "ScreenDamage", g_variant_new("(ua(iiii))", ++f->serial, &b));
}

void fake_frame(struct fake *f)
{
    if (f->done != f->serial)
        f->pending_frame = true;
    else
        fake_damage(f, 0, 0, f->width, f->height);
}

void fake_cursor(struct fake *f, int w, int h, int hot_x, int hot_y, const uint32_t *argb, size_t bytes)
{
    emit(f, "CursorShape", g_variant_new("(iiii@ay)", w, h, hot_x, hot_y, g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, argb ? (const void *)argb : "", bytes, 1)));
}
void fake_cursor_at(struct fake *f, int x, int y, bool shown) { emit(f, "CursorMoved", g_variant_new("(iib)", x, y, shown)); }

void fake_state(struct fake *f, const char *state, const char *text)
{
    lodge_vm1_set_fault_text(SKEL(f), text);
    lodge_vm1_set_state(SKEL(f), state);
    lodge_vm1_emit_state_changed(SKEL(f), state, "", text);
    g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(f->skel));
}
void fake_blank(struct fake *f, bool blank) { emit(f, "ScreenBlank", g_variant_new("(b)", blank)); }
void fake_absolute(struct fake *f, bool absolute)
{
    lodge_vm1_set_pointer_absolute(SKEL(f), absolute);
    g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(f->skel));
}
void fake_leds(struct fake *f, unsigned leds)
{
    lodge_vm1_set_leds(SKEL(f), leds);
    g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(f->skel));
}

void fake_clear(struct fake *f)
{
    g_string_truncate(f->keys, 0);
    g_array_set_size(f->pointer, 0);
    f->presses = f->releases = f->repeats = f->moves = f->dx = f->dy = f->wheel = f->size_w = f->size_h = 0;
}

/* ---- methods ---- */

static gboolean on_key(LodgeVm1 *k, GDBusMethodInvocation *inv, guint usage, gboolean down, gpointer u)
{
    struct fake *f = u;
    f->last_key_us = g_get_monotonic_time();
    if (usage < 4096) {
        if (down && f->down[usage])
            f->repeats++;
        f->n_down += (down ? 1 : 0) - (f->down[usage] ? 1 : 0);
        f->down[usage] = down;
    }
    *(down ? &f->presses : &f->releases) += 1;
    g_string_append_printf(f->keys, "%c%02x ", down ? '+' : '-', usage);
    lodge_vm1_complete_key(k, inv);
    return TRUE;
}
static gboolean on_to(LodgeVm1 *k, GDBusMethodInvocation *inv, guint x, guint y, gpointer u)
{
    struct fake *f = u;
    f->x = (int)((uint64_t)x * (unsigned)f->width / 65536);
    f->y = (int)((uint64_t)y * (unsigned)f->height / 65536);
    f->moves++;
    lodge_vm1_complete_pointer_to(k, inv);
    return TRUE;
}
static gboolean on_move(LodgeVm1 *k, GDBusMethodInvocation *inv, gint dx, gint dy, gpointer u)
{
    struct fake *f = u;
    f->dx += dx;
    f->dy += dy;
    f->moves++;
    lodge_vm1_complete_pointer_move(k, inv);
    return TRUE;
}
static gboolean on_button(LodgeVm1 *k, GDBusMethodInvocation *inv, guint b, gboolean down, gpointer u)
{
    struct fake *f = u;
    f->buttons = down ? f->buttons | 1 << b : f->buttons & ~(1 << b);
    struct fake_pointer p = {f->x, f->y, f->buttons};
    if (down)
        g_array_append_val(f->pointer, p);
    lodge_vm1_complete_pointer_button(k, inv);
    return TRUE;
}
static gboolean on_wheel(LodgeVm1 *k, GDBusMethodInvocation *inv, gint n, gpointer u)
{
    ((struct fake *)u)->wheel += n;
    lodge_vm1_complete_pointer_wheel(k, inv);
    return TRUE;
}
static gboolean on_size(LodgeVm1 *k, GDBusMethodInvocation *inv, guint w, guint h, gpointer u)
{
    struct fake *f = u;
    f->size_w = (int)w;
    f->size_h = (int)h;
    lodge_vm1_complete_request_screen_size(k, inv, f->follows);
    return TRUE;
}
static gboolean on_open(LodgeVm1 *k, GDBusMethodInvocation *inv, GUnixFDList *in, gpointer u)
{
    struct fake *f = u;
    (void)in;
    f->opened++;
    if (!f->has_screen) {
        g_dbus_method_invocation_return_dbus_error(inv, "org.lodge.Error.Busy", "nothing yet");
        return TRUE;
    }
    GUnixFDList *fds = g_unix_fd_list_new();
    int handle = g_unix_fd_list_append(fds, f->fd, NULL);
    lodge_vm1_complete_open_screen(k, inv, fds, g_variant_new_handle(handle), 0, (guint)f->width, (guint)f->height * (f->bad_size ? 1000 : 1),
                                   (guint)f->stride, f->generation);
    g_object_unref(fds);
    return TRUE;
}
static gboolean on_done(LodgeVm1 *k, GDBusMethodInvocation *inv, guint serial, gpointer u)
{
    struct fake *f = u;
    f->done = serial;
    lodge_vm1_complete_screen_done(k, inv);
    if (f->pending_frame) {
        f->pending_frame = false;
        fake_damage(f, 0, 0, f->width, f->height);
    }
    return TRUE;
}

/* ---- connections ---- */

static void on_closed(GDBusConnection *c, gboolean remote, GError *e, gpointer u)
{
    struct fake *f = u;
    (void)remote, (void)e;
    g_dbus_interface_skeleton_unexport_from_connection(f->skel, c);
    if (f->conn == c)
        g_clear_object(&f->conn);
}

static gboolean on_connection(GDBusServer *s, GDBusConnection *c, gpointer u)
{
    struct fake *f = u;
    (void)s;
    if (!g_dbus_interface_skeleton_export(f->skel, c, "/org/lodge/Vm1", NULL))
        return FALSE;
    g_clear_object(&f->conn);
    f->conn = g_object_ref(c);
    g_signal_connect(c, "closed", G_CALLBACK(on_closed), f);
    return TRUE;
}

void fake_start(struct fake *f)
{
    char *guid = g_dbus_generate_guid();
    f->server = g_dbus_server_new_sync(f->address, G_DBUS_SERVER_FLAGS_NONE, guid, NULL, NULL, NULL);
    g_free(guid);
    if (!f->server)
        abort();
    g_signal_connect(f->server, "new-connection", G_CALLBACK(on_connection), f);
    g_dbus_server_start(f->server);
}

void fake_stop(struct fake *f)
{
    g_dbus_server_stop(f->server);
    g_clear_object(&f->server);
    if (f->conn) {
        GDBusConnection *c = f->conn;
        f->conn = NULL;
        g_dbus_connection_close_sync(c, NULL, NULL);
        g_object_unref(c);
    }
    char *path = g_build_filename(f->dir, "vm.sock", NULL);
    g_unlink(path);
    g_free(path);
}

struct fake *fake_new(int w, int h)
{
    struct fake *f = g_new0(struct fake, 1);
    f->fd = -1;
    f->keys = g_string_new("");
    f->pointer = g_array_new(FALSE, FALSE, sizeof(struct fake_pointer));
    f->dir = g_dir_make_tmp("lodge-console-XXXXXX", NULL);
    f->address = g_strdup_printf("unix:path=%s/vm.sock", f->dir);
    LodgeVm1 *k = lodge_vm1_skeleton_new();
    f->skel = k;
    lodge_vm1_set_state(k, "on");
    lodge_vm1_set_name(k, "Fake machine");
    lodge_vm1_set_pointer_absolute(k, TRUE);
    lodge_vm1_set_fault_text(k, "");
    lodge_vm1_set_log_path(k, "/tmp/fake.log");
    g_signal_connect(k, "handle-key", G_CALLBACK(on_key), f);
    g_signal_connect(k, "handle-pointer-to", G_CALLBACK(on_to), f);
    g_signal_connect(k, "handle-pointer-move", G_CALLBACK(on_move), f);
    g_signal_connect(k, "handle-pointer-button", G_CALLBACK(on_button), f);
    g_signal_connect(k, "handle-pointer-wheel", G_CALLBACK(on_wheel), f);
    g_signal_connect(k, "handle-request-screen-size", G_CALLBACK(on_size), f);
    g_signal_connect(k, "handle-open-screen", G_CALLBACK(on_open), f);
    g_signal_connect(k, "handle-screen-done", G_CALLBACK(on_done), f);
    if (w)
        fake_mode(f, w, h);
    fake_start(f);
    return f;
}

void fake_free(struct fake *f)
{
    if (f->server)
        fake_stop(f);
    g_object_unref(f->skel);
    if (f->pixels)
        munmap(f->pixels, f->size);
    if (f->fd >= 0)
        close(f->fd);
    g_rmdir(f->dir);
    g_free(f->dir);
    g_free(f->address);
    g_string_free(f->keys, TRUE);
    g_array_free(f->pointer, TRUE);
    g_free(f);
}
