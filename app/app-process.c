/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting lodge-vmx, and what its end means. */
#define _GNU_SOURCE
#include "app-process.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MESSAGES_MAX = 16384 };

struct run {
    char *vmx_path;
    int messages;
    void (*done)(gpointer u, const AppProcessEnd *end);
    gpointer user_data;
};

char *app_process_find_tool(const char *name)
{
    const char *forced = g_getenv("LODGE_TOOLS");
    g_autofree char *self = forced ? NULL : g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = forced ? g_strdup(forced) : self ? g_path_get_dirname(self) : NULL;
    if (dir) {
        char *beside = g_build_filename(dir, name, NULL);
        if (g_file_test(beside, G_FILE_TEST_IS_EXECUTABLE))
            return beside;
        g_free(beside);
        /* Tests are one or two folders below the programs. */
        for (const char *up = "..";; up = "../..") {
            beside = g_build_filename(dir, up, name, NULL);
            if (g_file_test(beside, G_FILE_TEST_IS_EXECUTABLE))
                return beside;
            g_free(beside);
            if (strlen(up) > 2)
                break;
        }
    }
    return g_find_program_in_path(name);
}

char *app_process_tidy(const char *messages, const char *vmx_path)
{
    g_auto(GStrv) lines = g_strsplit(messages, "\n", -1);
    GString *out = g_string_new(NULL);
    g_autofree char *base = g_path_get_basename(vmx_path);
    for (char **l = lines; *l; l++) {
        char *s = *l;
        if (g_str_has_prefix(s, "lodge-vmx: "))
            s += strlen("lodge-vmx: ");
        if (g_str_has_prefix(s, vmx_path)) {
            s += strlen(vmx_path);
        } else if (g_str_has_prefix(s, base)) {
            s += strlen(base);
        }
        if (s != *l && *s == ':') {
            s++;
            while (g_ascii_isdigit(*s) || *s == ':')
                s++;
            s = g_strchug(s);
        }
        if (!*s || g_str_has_prefix(s, "warning: "))
            continue;
        if (out->len)
            g_string_append_c(out, '\n');
        g_string_append(out, s);
    }
    return g_string_free(out, FALSE);
}

/* In the child: away from this program's terminal and signals. */
static void detach(gpointer unused)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
}

static void ended(GObject *process, GAsyncResult *result, gpointer u)
{
    struct run *r = u;
    GSubprocess *p = G_SUBPROCESS(process);
    AppProcessEnd end = {0};
    g_autofree char *raw = g_malloc0(MESSAGES_MAX + 1);
    struct stat st;
    g_subprocess_wait_finish(p, result, NULL);
    off_t from = !fstat(r->messages, &st) && st.st_size > MESSAGES_MAX ? st.st_size - MESSAGES_MAX : 0;
    if (pread(r->messages, raw, MESSAGES_MAX, from) < 0)
        *raw = 0;
    g_autofree char *text = g_utf8_make_valid(raw, -1);
    end.text = app_process_tidy(text, r->vmx_path);
    if (g_subprocess_get_if_signaled(p)) {
        end.crashed = TRUE;
        end.status = g_subprocess_get_term_sig(p);
    } else {
        end.status = g_subprocess_get_exit_status(p);
        end.clean = end.status == 0;
        end.config = end.status == 1;
    }
    r->done(r->user_data, &end);
    close(r->messages);
    g_free(end.text);
    g_free(r->vmx_path);
    g_free(r);
}

gboolean app_process_start(const char *vmx_path, gboolean wait_for_power_on,
                           void (*done)(gpointer u, const AppProcessEnd *end), gpointer user_data, GError **error)
{
    g_autofree char *program = app_process_find_tool("lodge-vmx");
    if (!program) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                    _("The program lodge-vmx, which runs virtual machines, is not installed beside lodge. Install "
                      "Lodge again."));
        return FALSE;
    }
    int fd = memfd_create("lodge-messages", MFD_CLOEXEC), child;
    if (fd < 0 || (child = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                    _("The machine's process could not be prepared: %s."), g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return FALSE;
    }
    g_autoptr(GSubprocessLauncher) l = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_SILENCE);
    g_subprocess_launcher_take_stderr_fd(l, child);
    g_subprocess_launcher_set_child_setup(l, detach, NULL, NULL);
    g_subprocess_launcher_set_cwd(l, "/");
    const char *argv[] = {program, "--quiet", wait_for_power_on ? "--no-start" : vmx_path,
                          wait_for_power_on ? vmx_path : NULL, NULL};
    g_autoptr(GSubprocess) p = g_subprocess_launcher_spawnv(l, argv, error);
    if (!p) {
        close(fd);
        return FALSE;
    }
    struct run *r = g_new0(struct run, 1);
    *r = (struct run){.vmx_path = g_strdup(vmx_path), .messages = fd, .done = done, .user_data = user_data};
    g_subprocess_wait_async(p, NULL, ended, r);
    return TRUE;
}
