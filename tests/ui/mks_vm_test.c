/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session on a real lodge-vmx that runs its firmware: the same picture as the control API's screenshot, off, on, gone and back. */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/ui/uitest.h"
#include "ui/mks/mks_session_private.h"

static char *program, *vmx;
static LodgeMksSession *session;

static pid_t start(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(99);
        execl(program, program, "--no-start", vmx, (char *)NULL);
        _exit(99);
    }
    return pid;
}

static GDBusConnection *conn;
static GVariant *call(const char *method)
{
    GVariant *r = g_dbus_connection_call_sync(conn, NULL, "/org/lodge/Vm1", "org.lodge.Vm1", method, NULL, NULL, 0, 200000, NULL, NULL);
    if (!r)
        printf("# %s failed\n", method);
    return r;
}
static void does(const char *method)
{
    GVariant *r = call(method);
    if (r)
        g_variant_unref(r);
}

static bool state_is(LodgeMksState s) { return AWAIT(lodge_mks_session_get_state(session) == s); }

static bool same_picture(void)
{
    GVariant *r = call("Screenshot"), *bytes;
    if (!r)
        return false;
    g_variant_get(r, "(@ay)", &bytes);
    gsize n;
    const guint8 *png = g_variant_get_fixed_array(bytes, &n, 1);
    GdkPixbufLoader *l = gdk_pixbuf_loader_new();
    gdk_pixbuf_loader_write(l, png, n, NULL);
    gdk_pixbuf_loader_close(l, NULL);
    GdkPixbuf *want = gdk_pixbuf_loader_get_pixbuf(l), *got = lodge_mks_session_screenshot(session);
    bool same = want && got && gdk_pixbuf_get_width(want) == gdk_pixbuf_get_width(got) && gdk_pixbuf_get_height(want) == gdk_pixbuf_get_height(got);
    int lit = 0;
    for (int y = 0; same && y < gdk_pixbuf_get_height(got); y++)
        for (int x = 0; same && x < gdk_pixbuf_get_width(got); x++) {
            const guint8 *a = gdk_pixbuf_read_pixels(want) + y * gdk_pixbuf_get_rowstride(want) + x * gdk_pixbuf_get_n_channels(want);
            const guint8 *b = gdk_pixbuf_read_pixels(got) + y * gdk_pixbuf_get_rowstride(got) + x * 3;
            same = !memcmp(a, b, 3);
            lit += b[0] != 0;
        }
    g_clear_object(&got);
    g_object_unref(l);
    g_variant_unref(bytes);
    g_variant_unref(r);
    return same && lit > 500;
}

/* How many pixels are not black. */
static int lit(void)
{
    GdkPixbuf *p = lodge_mks_session_screenshot(session);
    int n = 0;
    for (int y = 0; p && y < gdk_pixbuf_get_height(p); y++)
        for (int x = 0; x < gdk_pixbuf_get_width(p); x++)
            n += gdk_pixbuf_read_pixels(p)[y * gdk_pixbuf_get_rowstride(p) + x * 3] != 0;
    g_clear_object(&p);
    return n;
}

int main(void)
{
    const char *env = getenv("LODGE_VMX");
    char *dir = g_dir_make_tmp("lodge-mks-XXXXXX", NULL), *out = NULL;
    program = realpath(env ? env : "./lodge-vmx", NULL);
    if (!program || access(program, X_OK) || (access("/usr/share/seabios/bios-256k.bin", R_OK) && access("/usr/share/qemu/bios-256k.bin", R_OK))) {
        printf("1..0 # SKIP lodge-vmx or SeaBIOS is not here\n");
        return 0;
    }
    g_setenv("XDG_RUNTIME_DIR", dir, TRUE);
    vmx = g_build_filename(dir, "t.vmx", NULL);
    g_file_set_contents(vmx, "config.version = \"8\"\nvirtualHW.version = \"20\"\ndisplayName = \"Real\"\nmemsize = \"16\"\nmonitor.virtual_exec = \"software\"\n", -1, NULL);
    char *cmd = g_strdup_printf("'%s' --address '%s'", program, vmx);
    g_spawn_command_line_sync(cmd, &out, NULL, NULL, NULL);
    g_free(cmd);
    g_strchomp(out);
    session = lodge_mks_session_new_vm(out);
    lodge_mks_session_open(session);
    settle(100);
    ok(lodge_mks_session_get_state(session) == LODGE_MKS_CONNECTING, "waits for the process");
    pid_t pid = start();
    ok(state_is(LODGE_MKS_OFF), "finds it; the machine is off");
    ok(!strcmp(lodge_mks_session_get_title(session), "t.vmx") || !strcmp(lodge_mks_session_get_title(session), "Real"), "and has a name");
    conn = g_dbus_connection_new_for_address_sync(out, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL, NULL);
    does("PowerOn");
    ok(state_is(LODGE_MKS_RUNNING) && AWAIT(!strcmp(lodge_mks_session_get_title(session), "Real")), "on: there is a picture, and the name");
    ok(!lodge_mks_session_get_pointer_absolute(session), "the firmware has no absolute pointer");
    lodge_mks_session_request_size(session, 1000, 700);
    mks_session_add_viewer(session, 1);
    AWAIT(lit() > 500); /* the firmware's words */
    settle(500);
    does("Pause");
    ok(state_is(LODGE_MKS_PAUSED), "paused");
    ok(AWAIT(same_picture()), "the picture is the one that the machine's screenshot has");
    ok(!lodge_mks_session_get_can_resize(session), "a guest without a driver does not follow the window");
    does("Resume");
    ok(state_is(LODGE_MKS_RUNNING), "resumed");
    lodge_mks_session_key(session, 0x04, TRUE);
    lodge_mks_session_key(session, 0x04, FALSE);
    lodge_mks_session_pointer_move(session, 5, 5);
    does("PowerOff");
    ok(state_is(LODGE_MKS_OFF) && AWAIT(!mks_session_picture(session)), "off");
    does("PowerOn");
    ok(state_is(LODGE_MKS_RUNNING), "on again");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    ok(state_is(LODGE_MKS_CONNECTING) && AWAIT(strstr(lodge_mks_session_get_error(session), "vmware.log")), "killed: said, with the log");
    g_clear_object(&conn);
    pid = start();
    ok(state_is(LODGE_MKS_OFF) && AWAIT(!*lodge_mks_session_get_error(session)), "another process: found");
    lodge_mks_session_close(session);
    g_object_unref(session);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    cmd = g_strdup_printf("rm -rf '%s'", dir);
    g_spawn_command_line_sync(cmd, NULL, NULL, NULL, NULL);
    g_free(cmd);
    g_free(dir);
    g_free(out);
    g_free(vmx);
    free(program);
    return TAP_DONE();
}
