/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of one VM process. A line: "2026-01-31T12:00:00.000Z In(05) module text". The first line holds " pid=<n> ", which other tools
 * look for. vCPU threads may do nothing but write() to an open descriptor, so the file is rotated by main alone; it keeps its number (dup2).
 * A flood (a guest that causes warnings at many places) is cut to BURST lines and then RATE lines a second; errors always pass.
 */
#define _GNU_SOURCE
#include "vmlog.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config.h"

enum { BURST = 2000, RATE = 100, WAIT_MAX = 256 << 10 };

/* One log per process: the sink of base/log.h is one per process too. */
static struct {
    pthread_mutex_t m;
    int fd;
    char *path, *waiting;
    size_t n_waiting;
    unsigned keep_old;
    uint64_t rotate_size, size;
    bool rotate_asked, debug;
    void (*want_rotate)(void *u);
    void *u;
    double tokens;
    int64_t last_ns;
    unsigned dropped;
} lg = {.m = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

static void put(const char *s, size_t n)
{
    if (lg.fd >= 0) {
        /* A full disk must not stop the guest: what cannot be written is lost. */
        if (write(lg.fd, s, n) == (ssize_t)n)
            lg.size += n;
    } else if (lg.n_waiting + n <= WAIT_MAX) {
        char *p = realloc(lg.waiting, lg.n_waiting + n);
        if (p) {
            memcpy(p + lg.n_waiting, s, n);
            lg.waiting = p;
            lg.n_waiting += n;
        }
    }
}

static void line(enum log_level level, const char *module, const char *text)
{
    static const char *const names[] = {"Er(02)", "Wa(03)", "In(05)", "Db(07)"};
    char buf[1200], when[32];
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    int n = snprintf(buf, sizeof buf - 1, "%s.%03ldZ %s %s %s", when, ts.tv_nsec / 1000000, names[level], module, text);
    if (n > (int)sizeof buf - 2)
        n = sizeof buf - 2;
    for (int i = 0; i < n; i++)
        if ((unsigned char)buf[i] < 0x20 || buf[i] == 0x7F) /* a guest's text must not forge lines or steer a terminal */
            buf[i] = buf[i] == '\t' ? ' ' : '?';
    buf[n++] = '\n';
    put(buf, (size_t)n);
}

static void sink(void *u, enum log_level level, const char *module, const char *text)
{
    struct timespec ts;
    bool ask = false;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    int64_t now = ts.tv_sec * 1000000000ll + ts.tv_nsec;
    pthread_mutex_lock(&lg.m);
    lg.tokens += (double)(now - lg.last_ns) * RATE / 1e9;
    if (lg.tokens > BURST)
        lg.tokens = BURST;
    lg.last_ns = now;
    bool always = level == LOG_ERROR || level == LOG_DEBUG; /* who asked for debugging wants all of it */
    if (always || lg.tokens >= 1) {
        if (!always)
            lg.tokens -= 1;
        if (lg.dropped) {
            char note[64];
            snprintf(note, sizeof note, "%u lines were left out", lg.dropped);
            line(LOG_WARN, "log", note);
            lg.dropped = 0;
        }
        line(level, module, text);
    } else {
        lg.dropped++;
    }
    if (lg.rotate_size && lg.size >= lg.rotate_size && !lg.rotate_asked && lg.want_rotate)
        ask = lg.rotate_asked = true;
    pthread_mutex_unlock(&lg.m);
    if (ask)
        lg.want_rotate(lg.u);
}

void vmlog_start(bool debug)
{
    lg.tokens = BURST;
    lg.debug = debug;
    log_set_sink(sink, NULL, debug ? LOG_DEBUG : LOG_INFO);
}

void vmlog_set_debug(bool debug) { log_set_sink(sink, NULL, debug || lg.debug ? LOG_DEBUG : LOG_INFO); }

/* name.log -> name-0.log -> name-1.log ... */
static void shift_old(void)
{
    size_t n = strlen(lg.path);
    char *from = malloc(n + 16), *to = malloc(n + 16);
    size_t stem = n > 4 && !strcmp(lg.path + n - 4, ".log") ? n - 4 : n;
    const char *ext = lg.path + stem;
    for (unsigned i = lg.keep_old; from && to && i-- > 0;) {
        snprintf(to, n + 16, "%.*s-%u%s", (int)stem, lg.path, i, ext);
        if (i)
            snprintf(from, n + 16, "%.*s-%u%s", (int)stem, lg.path, i - 1, ext);
        else
            snprintf(from, n + 16, "%s", lg.path);
        if (rename(from, to) && errno != ENOENT)
            break;
    }
    free(from);
    free(to);
}

static int open_file(bool append)
{
    struct stat st;
    bool there = !lstat(lg.path, &st);
    if (there && !S_ISREG(st.st_mode)) /* a device or FIFO given as the log: used as it is */
        return open(lg.path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (there && !append)
        shift_old();
    int fd = open(lg.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | (append ? 0 : O_TRUNC), 0644);
    lg.size = fd >= 0 && !fstat(fd, &st) ? (uint64_t)st.st_size : 0;
    return fd;
}

int vmlog_open(const struct vmlog_params *p, struct err *e)
{
    pthread_mutex_lock(&lg.m);
    free(lg.path);
    lg.path = strdup(p->path);
    lg.keep_old = p->keep_old;
    lg.rotate_size = p->rotate_size;
    lg.want_rotate = p->want_rotate;
    lg.u = p->u;
    lg.fd = lg.path ? open_file(p->append) : -1;
    int rc = 0;
    if (lg.fd < 0)
        rc = err_set(e, ERR_IO, errno, "the log %s cannot be written: %s; this run has none. Name another file, or set logging = \"FALSE\"", p->path,
                     strerror(errno));
    if (!rc) {
        char first[128];
        snprintf(first, sizeof first, "Log for Lodge pid=%ld version=%s option=Release", (long)getpid(), PACKAGE_VERSION);
        line(LOG_INFO, "vmx", first);
        put(lg.waiting, lg.n_waiting);
    }
    free(lg.waiting);
    lg.waiting = NULL;
    lg.n_waiting = 0;
    pthread_mutex_unlock(&lg.m);
    return rc;
}

void vmlog_rotate(void)
{
    pthread_mutex_lock(&lg.m);
    lg.rotate_asked = false;
    if (lg.fd >= 0 && lg.rotate_size && lg.size >= lg.rotate_size) {
        int fd = open_file(false);
        if (fd >= 0) {
            dup3(fd, lg.fd, O_CLOEXEC);
            close(fd);
        } else {
            lg.rotate_size = 0;
        }
    }
    pthread_mutex_unlock(&lg.m);
}

void vmlog_close(void)
{
    pthread_mutex_lock(&lg.m);
    if (lg.fd >= 0)
        close(lg.fd);
    lg.fd = -1;
    free(lg.path);
    free(lg.waiting);
    lg.path = lg.waiting = NULL;
    lg.n_waiting = WAIT_MAX; /* nothing waits any more */
    pthread_mutex_unlock(&lg.m);
}

int vmlog_fd(void) { return lg.fd; }
