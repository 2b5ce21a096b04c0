/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The policy for the memory of all machines, and the list of those that are on. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/vmx_dict.h"
#include "hostmem.h"
#include "tests/tap.h"

static char dir[] = "/tmp/lodge-hostmem.XXXXXX";

static struct vmx_dict *dict(const char *key, const char *value)
{
    struct vmx_dict *d = vmx_dict_new();
    struct err e;
    if (key)
        vmx_dict_set(d, key, value, &e);
    return d;
}

static int join(struct hostmem **h, const char *name, unsigned mb, unsigned reserved, unsigned limit, unsigned pct, char *warn, struct err *e)
{
    struct hostmem_vm v = {.name = name, .mb = mb, .reserved_mb = reserved, .shares = mb * 10};
    struct hostmem_policy p = {.limit_mb = limit, .pct = pct};
    return hostmem_join(h, dir, &v, &p, warn, 500, e);
}

/* Another machine: a process that joins and stays until it is killed. */
static pid_t other(const char *name, unsigned mb, unsigned limit)
{
    int fd[2];
    char c = 0;
    if (pipe(fd))
        exit(1);
    pid_t pid = fork();
    if (pid == 0) {
        struct hostmem *h;
        char warn[500];
        struct err e;
        for (int i = 3; i < 64; i++) /* what this process holds is not the other's */
            if (i != fd[1])
                close(i);
        c = join(&h, name, mb, 0, limit, 50, warn, &e) ? 'n' : 'y';
        if (c == 'y')
            hostmem_beat(h, mb);
        (void)!write(fd[1], &c, 1);
        if (c == 'n')
            _exit(0);
        for (;;)
            pause();
    }
    close(fd[1]);
    (void)!read(fd[0], &c, 1);
    close(fd[0]);
    if (c == 'y')
        return pid;
    waitpid(pid, NULL, 0);
    return -1;
}

static void end(pid_t p)
{
    kill(p, SIGKILL);
    waitpid(p, NULL, 0);
}

int main(void)
{
    struct hostmem_policy p;
    struct hostmem *h;
    struct err e = {0};
    char warn[500], path[200];
    ok(mkdtemp(dir), "a folder");
    setenv("XDG_CONFIG_HOME", dir, 1);
    struct vmx_dict *d = dict(NULL, NULL);
    hostmem_policy(d, 16384, &p);
    ok(p.limit_mb == 16384 - 2048 && p.pct == 50, "16 GB: an eighth is the host's, half of each machine must fit");
    hostmem_policy(d, 2048, &p);
    ok(p.limit_mb == 1536, "2 GB: a quarter is the host's");
    snprintf(path, sizeof path, "%s/lodge", dir);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/lodge/config", dir);
    FILE *f = fopen(path, "w");
    fputs("prefvmx.allVMMemoryLimit = \"8000\"\nprefvmx.minVmMemPct = \"100\"\n", f);
    fclose(f);
    hostmem_policy(d, 16384, &p);
    ok(p.limit_mb == 8000 && p.pct == 100, "the user's file says otherwise");
    struct vmx_dict *d2 = dict("prefvmx.minVmMemPct", "25");
    hostmem_policy(d2, 16384, &p);
    ok(p.limit_mb == 8000 && p.pct == 25, "and the .vmx has the last word");
    struct vmx_dict *d3 = dict("prefvmx.useRecommendedLockedMemSize", "TRUE");
    hostmem_policy(d3, 16384, &p);
    ok(p.limit_mb == 16384 - 2048, "what is recommended, if that is wanted");
    vmx_dict_free(d);
    vmx_dict_free(d2);
    vmx_dict_free(d3);

    ok(!join(&h, "one", 1000, 0, 4000, 50, warn, &e) && h && !*warn, "the first machine fits");
    ok(hostmem_beat(h, 500) > 0.99, "alone it has all of a shortage");
    pid_t a = other("Debian", 2000, 4000);
    ok(a > 0, "a second one too");
    double part = hostmem_beat(h, 1000);
    ok(part > 0.32 && part < 0.35, "of a shortage each has its part (%.2f)", part);
    hostmem_leave(h);
    ok(!join(&h, "big", 2500, 0, 4000, 50, warn, &e) && strstr(warn, "4500 MB together, of 4000 MB") && strstr(warn, "Debian 2000 MB"),
       "together they are too large, but half of each fits: a warning (%s)", warn);
    hostmem_leave(h);
    ok(join(&h, "big", 2500, 0, 4000, 100, warn, &e) && strstr(e.msg, "2500 MB") && strstr(e.msg, "2000 of the 4000 MB") && strstr(e.msg, "Debian 2000 MB"),
       "all must fit: refused with the numbers (%s)", e.msg);
    ok(!h, "and not on the list");
    ok(join(&h, "huge", 7000, 0, 4000, 50, warn, &e), "half of it does not fit: refused");
    ok(join(&h, "kept", 3200, 3200, 4000, 50, warn, &e), "a reservation must fit whole");
    end(a);
    ok(!join(&h, "kept", 3200, 3200, 4000, 50, warn, &e) && !*warn, "a machine that was killed is not counted any more");
    pid_t b = other("late", 2000, 4000);
    ok(b < 0, "but this one is");
    hostmem_leave(h);

    /* The file is hostile, or not there. */
    snprintf(path, sizeof path, "%s/memory", dir);
    truncate(path, 0);
    f = fopen(path, "r+");
    for (int i = 0; i < 40000; i++)
        fputc(0xff, f);
    fclose(f);
    ok(!join(&h, "one", 1000, 0, 4000, 50, warn, &e), "garbage on the list is not believed");
    part = hostmem_beat(h, 500);
    ok(part >= 0 && part <= 1, "nor when a shortage is shared");
    hostmem_leave(h);
    unlink(path);
    symlink("/etc/passwd", path);
    ok(!join(&h, "one", 1000, 0, 4000, 50, warn, &e) && !h, "no list: every machine fits");
    ok(hostmem_beat(NULL, 1) == 1, "and has all of a shortage");
    char cmd[300];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd) ? 1 : TAP_DONE();
}
