/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A whole lodge-vmx with the firmware as its guest, over its control socket: power, screen memory, configuration, write-back, locks, exit status. */
#define _GNU_SOURCE
#include <errno.h>
#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tap.h"

static char *dir, *vmx, *program;
static GDBusConnection *conn;
static GMainLoop *loop;
static GString *signals;

static pid_t spawn(const char *const *more, const char *err_file)
{
    const char *argv[16] = {program};
    int n = 1;
    for (; more && *more; more++)
        argv[n++] = *more;
    argv[n++] = vmx;
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "r", stdin) || !freopen(err_file ? err_file : "/dev/null", "w", stdout) || dup2(1, 2) < 0)
            _exit(99);
        execv(program, (char **)argv);
        _exit(99);
    }
    return pid;
}

/* Exit status, -1 after the time. */
static int wait_for(pid_t pid, int seconds)
{
    for (int i = 0; i < seconds * 100; i++) {
        int st;
        if (waitpid(pid, &st, WNOHANG) == pid)
            return WIFEXITED(st) ? WEXITSTATUS(st) : 1000 + WTERMSIG(st);
        g_usleep(10000);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return -1;
}

static char *slurp(const char *name)
{
    char *path = g_build_filename(dir, name, NULL), *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        text = g_strdup("");
    g_free(path);
    return text;
}

static void on_signal(GDBusConnection *c, const gchar *sender, const gchar *path, const gchar *iface, const gchar *name, GVariant *args, gpointer u)
{
    char *t = g_variant_print(args, FALSE);
    g_string_append_printf(signals, "%s%s\n", name, t);
    g_free(t);
}

static bool connect_to(void)
{
    char *cmd = g_strdup_printf("'%s' --address '%s'", program, vmx), *out = NULL;
    g_spawn_command_line_sync(cmd, &out, NULL, NULL, NULL);
    g_free(cmd);
    g_strchomp(out);
    for (int i = 0; i < 6000 && !conn; i++) {
        conn = g_dbus_connection_new_for_address_sync(out, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL, NULL);
        if (!conn)
            g_usleep(20000);
    }
    g_free(out);
    if (conn) {
        g_dbus_connection_set_exit_on_close(conn, FALSE);
        g_dbus_connection_signal_subscribe(conn, NULL, "org.lodge.Vm1", NULL, NULL, NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_signal, NULL, NULL);
    }
    return conn != NULL;
}

/* NULL and *error for a failure; *error gets "name: message". */
static GVariant *call(const char *method, GVariant *args, GUnixFDList **fds, char **error)
{
    GError *ge = NULL;
    GVariant *r = g_dbus_connection_call_with_unix_fd_list_sync(conn, NULL, "/org/lodge/Vm1", "org.lodge.Vm1", method, args, NULL, 0, 200000, NULL, fds, NULL, &ge);
    if (error)
        *error = ge ? g_strdup(ge->message) : NULL;
    else if (ge)
        printf("# %s: %s\n", method, ge->message);
    g_clear_error(&ge);
    return r;
}

static bool does(const char *method, GVariant *args)
{
    GVariant *r = call(method, args, NULL, NULL);
    if (r)
        g_variant_unref(r);
    return r != NULL;
}

static bool refused(const char *method, GVariant *args, const char *want)
{
    char *error = NULL;
    GVariant *r = call(method, args, NULL, &error);
    bool good = !r && error && strstr(error, want);
    if (!good)
        printf("# %s: %s\n", method, error ? error : "worked");
    if (r)
        g_variant_unref(r);
    g_free(error);
    return good;
}

static char *property(const char *name)
{
    GVariant *r = g_dbus_connection_call_sync(conn, NULL, "/org/lodge/Vm1", "org.freedesktop.DBus.Properties", "Get", g_variant_new("(ss)", "org.lodge.Vm1", name), NULL,
                                              0, 200000, NULL, NULL);
    if (!r)
        return g_strdup("");
    GVariant *v;
    g_variant_get(r, "(v)", &v);
    char *s = g_variant_is_of_type(v, G_VARIANT_TYPE_STRING) ? g_variant_dup_string(v, NULL) : g_variant_print(v, FALSE);
    g_variant_unref(v);
    g_variant_unref(r);
    return s;
}

static bool property_is(const char *name, const char *want)
{
    char *s = property(name);
    bool good = !strcmp(s, want);
    if (!good)
        printf("# %s is %s\n", name, s);
    g_free(s);
    return good;
}

static gboolean quit(gpointer u)
{
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

static bool saw(const char *text, int seconds)
{
    for (int i = 0; i < seconds * 20 && !strstr(signals->str, text); i++) {
        g_timeout_add(50, quit, NULL);
        g_main_loop_run(loop);
    }
    if (!strstr(signals->str, text))
        printf("# signals so far: %.300s\n", signals->str);
    return strstr(signals->str, text) != NULL;
}

static void power(void)
{
    ok(property_is("State", "on"), "the machine is on");
    ok(property_is("Engine", "bt"), "the engine is binary translation");
    ok(property_is("Name", "Control test"), "the name is the displayName");
    ok(refused("PowerOn", NULL, "on already"), "PowerOn of a running machine is refused");
    ok(does("Pause", NULL) && property_is("State", "paused"), "Pause");
    ok(refused("Pause", NULL, "paused"), "Pause of a paused machine is refused");
    ok(does("Reset", NULL) && property_is("State", "paused"), "Reset of a paused machine keeps it paused");
    ok(does("Resume", NULL) && property_is("State", "on"), "Resume");
    ok(saw("StateChanged('paused', 'user', '')", 120) && saw("StateChanged('on', 'user', '')", 120), "StateChanged for both");
    ok(does("Reset", NULL) && property_is("State", "on"), "Reset of a running machine");
}

static void screen(void)
{
    GVariant *r = NULL;
    GUnixFDList *fds = NULL;
    for (int i = 0; i < 2400 && !r; i++) {
        char *error = NULL;
        r = call("OpenScreen", NULL, &fds, &error);
        g_free(error);
        if (!r)
            g_usleep(50000);
    }
    if (!ok(r != NULL, "OpenScreen"))
        return;
    gint32 handle;
    guint64 off;
    guint32 w, h, stride, gen;
    g_variant_get(r, "(htuuuu)", &handle, &off, &w, &h, &stride, &gen);
    g_variant_unref(r);
    int fd = g_unix_fd_list_get(fds, handle, NULL);
    g_object_unref(fds);
    ok(w >= 320 && h >= 200 && stride >= w * 4, "the screen has %u x %u pixels", w, h);
    size_t page = (size_t)sysconf(_SC_PAGESIZE), start = off & ~(page - 1), len = off - start + (size_t)stride * h;
    void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, (off_t)start);
    ok(p != MAP_FAILED, "its memory can be mapped");
    ok(mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)start) == MAP_FAILED && errno == EACCES, "but not for writing");
    ok(saw("ScreenDamage(", 120), "ScreenDamage");
    guint32 serial = 0;
    char *d = strstr(signals->str, "ScreenDamage(");
    if (d)
        sscanf(d, "ScreenDamage(%u", &serial);
    ok(serial && does("ScreenDone", g_variant_new("(u)", serial)), "ScreenDone");
    if (p != MAP_FAILED)
        munmap(p, len);
    close(fd);
    ok(does("CloseScreen", NULL), "CloseScreen");

    r = call("Screenshot", NULL, NULL, NULL);
    gsize n = 0;
    GVariant *png = r ? g_variant_get_child_value(r, 0) : NULL;
    const guint8 *b = png ? g_variant_get_fixed_array(png, &n, 1) : NULL;
    ok(b && n > 60 && !memcmp(b, "\x89PNG\r\n\x1a\n", 8) && !memcmp(b + n - 8, "IEND", 4), "Screenshot gives a PNG");
    if (png)
        g_variant_unref(png);
    if (r)
        g_variant_unref(r);
}

static void input(void)
{
    const char *cad[] = {"shift", "f1", NULL}, *bad[] = {"ctrl", "bogus", NULL};
    ok(does("TypeText", g_variant_new("(s)", "aB1!\n")), "TypeText");
    ok(refused("TypeText", g_variant_new("(s)", "\xC3\xA4"), "U+00E4"), "TypeText of what a US keyboard does not have is refused");
    ok(does("PressKeys", g_variant_new("(^as)", cad)), "PressKeys");
    ok(refused("PressKeys", g_variant_new("(^as)", bad), "bogus"), "PressKeys of an unknown key is refused");
    ok(does("Key", g_variant_new("(ub)", 4, TRUE)) && does("ReleaseKeys", NULL), "Key, ReleaseKeys");
    ok(does("PointerMove", g_variant_new("(ii)", 3, -3)) && does("PointerTo", g_variant_new("(uu)", 1u, 70000u)) &&
           does("PointerButton", g_variant_new("(ub)", 0u, TRUE)) && does("PointerButton", g_variant_new("(ub)", 0u, FALSE)) &&
           does("PointerWheel", g_variant_new("(i)", -1)),
       "pointer");
    ok(refused("PointerButton", g_variant_new("(ub)", 9u, TRUE), "buttons"), "a button that does not exist is refused");
}

static void configuration(void)
{
    ok(does("SetConfig", g_variant_new("(ss)", "annotation", "a \"note\"\nline")), "SetConfig");
    char *text = slurp("t.vmx");
    ok(strstr(text, "# a comment\n") && strstr(text, "annotation = \"a |22note|22|0Aline\"\n"), "the file has it, and keeps its comment");
    g_free(text);
    ok(refused("SetConfig", g_variant_new("(ss)", "bad key", "x"), "key"), "a name that is none is refused");
    GVariant *r = call("GetConfig", NULL, NULL, NULL);
    char *s = r ? g_variant_print(r, FALSE) : g_strdup("");
    ok(strstr(s, "'memsize': '16'") && strstr(s, "a \"note\"\\nline"), "GetConfig");
    g_free(s);
    if (r)
        g_variant_unref(r);
    ok(does("SetConfig", g_variant_new("(ss)", "memsise", "1")), "SetConfig of an unknown key");
    r = call("CheckConfig", NULL, NULL, NULL);
    s = r ? g_variant_print(r, FALSE) : g_strdup("");
    ok(strstr(s, "('warning', ") && strstr(s, "did you mean memsize?"), "CheckConfig");
    g_free(s);
    if (r)
        g_variant_unref(r);
    ok(does("UnsetConfig", g_variant_new("(s)", "memsise")) && does("UnsetConfig", g_variant_new("(s)", "annotation")), "UnsetConfig");
    r = call("GetStatistics", NULL, NULL, NULL);
    s = r ? g_variant_print(r, FALSE) : g_strdup("");
    ok(strstr(s, "'bt.code_limit'") && strstr(s, "'memory.configured': 16777216"), "GetStatistics");
    g_free(s);
    if (r)
        g_variant_unref(r);
    ok(refused("ChangeMedium", g_variant_new("(ssb)", "ide0:0", "x.iso", FALSE), "not a CD"), "ChangeMedium of what is no CD drive is refused");
    ok(refused("ChangeMedium", g_variant_new("(ssb)", "ide1:0", "missing.iso", FALSE), "missing.iso"), "ChangeMedium to a missing file is refused");
    ok(does("ChangeMedium", g_variant_new("(ssb)", "ide1:0", "cd.iso", TRUE)), "ChangeMedium puts an image in");
    ok(does("ChangeMedium", g_variant_new("(ssb)", "ide1:0", "", TRUE)), "ChangeMedium takes it out");
}

static void write_vmx(const char *more)
{
    char *text = g_strdup_printf("# a comment\nconfig.version = \"8\"\nvirtualHW.version = \"20\"\ndisplayName = \"Control test\"\nmemsize = \"16\"\n"
                                 "ide1:0.present = \"TRUE\"\nide1:0.deviceType = \"cdrom-raw\"\n%s",
                                 more);
    g_file_set_contents(vmx, text, -1, NULL);
    g_free(text);
}

int main(void)
{
    const char *env = getenv("LODGE_VMX");
    program = realpath(env ? env : "./lodge-vmx", NULL);
    if (!program || access(program, X_OK)) {
        printf("1..0 # SKIP lodge-vmx is not built\n");
        return 0;
    }
    if (access("/usr/share/seabios/bios-256k.bin", R_OK) && access("/usr/share/qemu/bios-256k.bin", R_OK)) {
        printf("1..0 # SKIP SeaBIOS is not installed\n");
        return 0;
    }
    char tmp[] = "/tmp/lodge-controlXXXXXX";
    dir = mkdtemp(tmp);
    if (!dir || chdir(dir))
        return 99;
    setenv("XDG_RUNTIME_DIR", dir, 1);
    vmx = g_build_filename(dir, "t.vmx", NULL);
    signals = g_string_new(NULL);
    loop = g_main_loop_new(NULL, FALSE);
    char *zeros = g_malloc0(64 << 11), *iso = g_build_filename(dir, "cd.iso", NULL), *err = g_build_filename(dir, "stderr", NULL);
    g_file_set_contents(iso, zeros, 64 << 11, NULL);
    write_vmx("");

    pid_t pid = spawn(NULL, NULL);
    if (ok(connect_to(), "the control socket answers")) {
        saw("StateChanged('on'", 1);
        power();
        screen();
        input();
        configuration();

        pid_t second = spawn(NULL, err);
        char want[64];
        snprintf(want, sizeof want, "process %ld", (long)pid);
        int status = wait_for(second, 120);
        char *text = slurp("stderr");
        ok(status == 4 && strstr(text, want), "a second start says who has the machine: %s", g_strdelimit(g_strchomp(text), "\n", 32));
        g_free(text);

        text = slurp("t.vmx");
        ok(strstr(text, "\nuuid.bios = \"56 4d ") && strstr(text, "\nuuid.location = \"56 4d ") && strstr(text, "\ncleanShutdown = \"FALSE\"\n"),
           "identity and cleanShutdown are written at power on");
        g_free(text);
        ok(does("PowerOff", NULL), "PowerOff");
        ok(wait_for(pid, 120) == 0, "the process ends with status 0");
        text = slurp("t.vmx");
        ok(strstr(text, "\ncleanShutdown = \"TRUE\"\n"), "cleanShutdown is written at power off");
        g_free(text);
        text = slurp("vmware.log");
        ok(strstr(text, "State: on") && strstr(text, "State: off (user)") && strstr(text, " pid="), "the log has each state");
        ok(!strstr(text, "sandbox:"), "no thread was refused a system call it needs");
        g_free(text);
        char *lock = g_strconcat(vmx, ".lck", NULL);
        ok(access(lock, F_OK) != 0, "no lock file is left");
        g_free(lock);
        g_clear_object(&conn);
    } else {
        kill(pid, SIGKILL);
    }

    /* Signals and a killed process. */
    pid = spawn(NULL, NULL);
    ok(connect_to(), "second run");
    kill(pid, SIGTERM);
    ok(wait_for(pid, 120) == 0, "SIGTERM switches the machine off, status 0");
    g_clear_object(&conn);
    pid = spawn(NULL, NULL);
    ok(connect_to(), "third run");
    kill(pid, SIGKILL);
    wait_for(pid, 120);
    g_clear_object(&conn);
    pid = spawn(NULL, err);
    ok(connect_to() && property_is("State", "on"), "a killed process leaves nothing that hinders the next start");
    ok(does("Quit", NULL), "Quit");
    ok(wait_for(pid, 120) == 0, "the process ends with status 0 after Quit");
    g_clear_object(&conn);

    /* A crash of our own: the report names what the guest was doing. */
    pid = spawn(NULL, err);
    ok(connect_to() && property_is("State", "on"), "one more run");
    kill(pid, SIGSEGV);
    ok(wait_for(pid, 120) == 1000 + SIGSEGV, "a crash ends the process by its signal");
    char *report = slurp("vmware.log"), *told = slurp("stderr");
    ok(strstr(report, "Core report: SIGSEGV in thread ") && strstr(report, "guest rip ") && strstr(told, "Core report: "), "the log keeps a report with the guest's rip");
    g_free(report);
    g_free(told);
    g_clear_object(&conn);

    /* A process whose machine is off. */
    const char *const no_start[] = {"--no-start", NULL};
    pid = spawn(no_start, NULL);
    ok(connect_to() && property_is("State", "off"), "--no-start leaves the machine off");
    ok(does("PowerOn", NULL) && property_is("State", "on"), "PowerOn");
    ok(does("PowerOff", NULL) && property_is("State", "off"), "PowerOff leaves the process");
    ok(does("PowerOn", NULL) && does("PowerOff", NULL), "again");
    ok(does("Quit", NULL), "Quit");
    ok(wait_for(pid, 120) == 0, "status 0");
    g_clear_object(&conn);

    /* Bad configuration: nothing is written. */
    write_vmx("memsize = \"255\"\n");
    char *before = slurp("t.vmx");
    int status = wait_for(spawn(NULL, err), 120);
    char *text = slurp("stderr"), *after = slurp("t.vmx");
    ok(status == 1 && strstr(text, "t.vmx:8: memsize: 255 is not a multiple of 4"), "a wrong value is told with its line: %s", g_strdelimit(g_strchomp(text), "\n", 32));
    ok(!strcmp(before, after), "the file is as it was");
    g_free(text);
    g_free(after);
    write_vmx("ide0:0.present = \"TRUE\"\nide0:0.fileName = \"none.vmdk\"\n");
    status = wait_for(spawn(NULL, err), 120);
    text = slurp("stderr");
    ok(status == 1 && strstr(text, "none.vmdk does not exist"), "a missing disk is told: %s", g_strdelimit(g_strchomp(text), "\n", 32));
    g_free(text);
    char *cmd = g_strdup_printf("rm -rf '%s'", dir);
    if (chdir("/") || system(cmd))
        printf("# %s is left\n", dir);
    g_free(cmd);
    g_free(before);
    g_free(zeros);
    g_free(iso);
    g_free(err);
    return TAP_DONE();
}
