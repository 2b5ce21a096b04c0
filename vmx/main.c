/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lodge-vmx: one process, one virtual machine. Order of steps: options; signals and crash report; the launcher
 * (net/launcher.h), while a program can still be started; no_new_privs and main's filter, before any
 * other thread; control socket; power on; main loop. docs: man lodge-vmx.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <glib-unix.h>
#include <glib.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config.h"
#include "control.h"
#include "crash.h"
#include "machine_engine.h"
#include "machine.h"
#include "net/launcher.h"
#include "power.h"
#include "sandbox.h"
#include "vmlog.h"

/* Exit statuses, as the manual page lists them. */
enum { EXIT_OFF = 0, EXIT_CONFIG = 1, EXIT_USAGE = 2, EXIT_FAULT = 3, EXIT_IN_USE = 4, EXIT_START = 5 };

struct app {
    const char *file;
    bool check_only, stay, quiet;
    unsigned n_problems[3];
    GMainLoop *loop;
    struct power *power;
    int status;
};

static void usage(FILE *f)
{
    fputs("Usage: lodge-vmx [OPTION]... FILE.vmx\n"
          "Powers on the virtual machine that FILE.vmx describes and stays until it is off.\n\n"
          "  -c, --check          report every problem of the file, and start nothing\n"
          "  -s, --set KEY=VALUE  use VALUE for KEY in this run; the file is not changed\n"
          "  -n, --no-start       wait for PowerOn over the control socket; stay when the machine is off\n"
          "  -a, --address        print the address of the machine's control socket\n"
          "  -e, --engines        list the engines and whether they work here\n"
          "  -q, --quiet          print nothing but errors\n"
          "  -h, --help           this text\n"
          "  -V, --version        version\n\n"
          "SIGINT and SIGTERM switch the machine off, with all disk writes finished.\n"
          "Exit status: 0 after a clean power off, 1 wrong configuration, 2 wrong usage, 3 stopped by a fault, 4 in use by another process,\n"
          "5 could not be started.\n",
          f);
}

/* One line. The .vmx and file names are in it: they must not send escape sequences to a terminal. */
static void G_GNUC_PRINTF(2, 3) say(FILE *f, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *line = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127)
            *c = '?';
    fprintf(f, "%s\n", line);
    g_free(line);
}

static void problem(void *u, enum vmx_severity s, unsigned line, const char *key, const char *text)
{
    struct app *a = u;
    static const char *const names[] = {"", "warning: ", "note: "};
    a->n_problems[s]++;
    if (!a->check_only && (s == VMX_NOTE || (s == VMX_WARNING && a->quiet))) {
        if (s == VMX_WARNING)
            log_msg(LOG_WARN, "config", "%s: %s", key, text);
        return;
    }
    FILE *f = a->check_only ? stdout : stderr;
    if (line)
        say(f, "%s:%u: %s: %s%s", a->file, line, key, names[s], text);
    else
        say(f, "%s: %s: %s%s", a->file, key, names[s], text);
}

static void changed(void *u, enum power_state s, enum power_reason r, const char *text)
{
    struct app *a = u;
    if (s == POWER_FAULT) {
        say(stderr, "lodge-vmx: %s: stopped by a fault: %s", a->file, text);
        a->status = EXIT_FAULT;
        if (!a->stay)
            g_main_loop_quit(a->loop);
    } else if (s == POWER_OFF && r != REASON_NONE) {
        if (r != REASON_FAULT)
            a->status = EXIT_OFF;
        if (!a->stay || r == REASON_SIGNAL)
            g_main_loop_quit(a->loop);
    }
}

static void started(void *u, struct machine *m)
{
    struct app *a = u;
    if (a->quiet)
        return;
    if (machine_vnc_port(m))
        printf("VNC: port %u\n", machine_vnc_port(m));
    for (unsigned i = 0; i < 4; i++)
        if (machine_serial_path(m, i))
            printf("serial%u: %s\n", i, machine_serial_path(m, i));
    fflush(stdout);
}

static gboolean on_signal(gpointer u)
{
    struct app *a = u;
    struct err e;
    if (power_off(a->power, REASON_SIGNAL, &e))
        g_main_loop_quit(a->loop);
    return G_SOURCE_CONTINUE;
}

static int check(struct app *a)
{
    struct err e = {0};
    unsigned errors = power_check(a->power, &e);
    if (errors && !a->n_problems[VMX_ERROR])
        printf("%s\n", e.msg);
    if (errors || a->n_problems[VMX_WARNING])
        return EXIT_CONFIG;
    return EXIT_OFF;
}

static int run(struct app *a)
{
    struct err e = {0};
    struct control *c = control_start(a->power, &e);
    if (!c) {
        say(stderr, "lodge-vmx: %s", e.msg);
        return e.kind == ERR_BUSY ? EXIT_IN_USE : EXIT_START;
    }
    if (a->stay) {
        if (power_check(a->power, &e) && !a->n_problems[VMX_ERROR])
            say(stderr, "lodge-vmx: %s", e.msg);
        printf("%s\n", control_address(c));
        fflush(stdout);
    } else if (power_on(a->power, &e)) {
        a->status = e.kind == ERR_CONFIG || e.kind == ERR_FORMAT || e.kind == ERR_UNSUPPORTED ? EXIT_CONFIG : e.kind == ERR_BUSY ? EXIT_IN_USE : EXIT_START;
        if (!a->n_problems[VMX_ERROR])
            say(stderr, "lodge-vmx: %s", e.msg);
        else
            a->status = EXIT_CONFIG;
        control_stop(c);
        return a->status;
    }
    g_main_loop_run(a->loop);
    control_stop(c);
    return a->status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"check", no_argument, NULL, 'c'},   {"set", required_argument, NULL, 's'}, {"no-start", no_argument, NULL, 'n'},
                                            {"address", no_argument, NULL, 'a'}, {"engines", no_argument, NULL, 'e'},   {"quiet", no_argument, NULL, 'q'},
                                            {"help", no_argument, NULL, 'h'},    {"version", no_argument, NULL, 'V'},   {0}};
    struct app a = {0};
    g_autofree const char **overrides = g_new0(const char *, (gsize)argc + 1);
    unsigned n_over = 0;
    bool address = false;
    struct clock_mark start = clock_mark();
    int o;
    setlocale(LC_ALL, "");
    (void)strerror(EPERM); /* opens libc's catalogue of messages, which threads that have given up files cannot */
    while ((o = getopt_long(argc, argv, "cs:naeqhV", options, NULL)) != -1) {
        switch (o) {
        case 'c':
            a.check_only = true;
            break;
        case 's':
            overrides[n_over++] = optarg;
            break;
        case 'n':
            a.stay = true;
            break;
        case 'a':
            address = true;
            break;
        case 'e':
            engine_list(stdout);
            return EXIT_OFF;
        case 'q':
            a.quiet = true;
            break;
        case 'h':
            usage(stdout);
            return EXIT_OFF;
        case 'V':
            puts("lodge-vmx " PACKAGE_VERSION);
            return EXIT_OFF;
        default:
            fputs("Try lodge-vmx --help.\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind + 1 != argc) {
        fputs(optind == argc ? "lodge-vmx: name the .vmx file of a virtual machine. Try lodge-vmx --help.\n"
                             : "lodge-vmx: one .vmx file at a time. Try lodge-vmx --help.\n",
              stderr);
        return EXIT_USAGE;
    }
    a.file = argv[optind];
    struct err e;
    crash_init();
    signal(SIGPIPE, SIG_IGN);
    vmlog_start(getenv("LODGE_DEBUG") != NULL);
    if (address) {
        char *s = control_address_for(a.file);
        puts(s);
        g_free(s);
        return EXIT_OFF;
    }
    if (!a.check_only && launcher_start(&e))
        log_msg(LOG_WARN, "net", "no virtual networks in this run: %s", e.msg);
    if (sandbox_init(&e)) {
        say(stderr, "lodge-vmx: %s", e.msg);
        return EXIT_START;
    }
    sandbox_enter("main");
    a.power = power_new(&(struct power_params){.vmx_path = a.file, .overrides = overrides, .problem = problem, .problem_u = &a, .start = start});
    a.loop = g_main_loop_new(NULL, FALSE);
    if (a.check_only) {
        a.status = check(&a);
    } else {
        power_listen(a.power, &(struct power_listener){.changed = changed, .started = started, .u = &a});
        g_unix_signal_add(SIGINT, on_signal, &a);
        g_unix_signal_add(SIGTERM, on_signal, &a);
        g_unix_signal_add(SIGHUP, on_signal, &a);
        a.status = run(&a);
    }
    power_free(a.power);
    g_main_loop_unref(a.loop);
    vmlog_close();
    return a.status;
}
