/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log: formats one line, cleans it (guest strings end up here) and gives it to the program's sink. The sink is the
 * one piece of process-wide state in the engine: it is set once, before the first vm, and has no part in a vm's
 * behaviour.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/lock.h"

static struct {
    log_sink_fn fn;
    void *u;
    int max_level;
} sink = {NULL, NULL, LOG_WARN};
static struct lock log_lock = {PTHREAD_MUTEX_INITIALIZER, RANK_LOG};

void log_set_sink(log_sink_fn fn, void *u, enum log_level max_level)
{
    lock_take(&log_lock);
    sink.fn = fn;
    sink.u = u;
    __atomic_store_n(&sink.max_level, fn ? (int)max_level : LOG_WARN, __ATOMIC_RELAXED);
    lock_drop(&log_lock);
}

bool log_enabled(enum log_level level) { return (int)level <= __atomic_load_n(&sink.max_level, __ATOMIC_RELAXED); }

static void emit(enum log_level level, const char *module, char *line)
{
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < 32 || *p == 127)
            *p = '?'; /* a guest must not forge lines or send escape sequences to a terminal */
    lock_take(&log_lock);
    if (sink.fn)
        sink.fn(sink.u, level, module, line);
    else if (level <= LOG_WARN)
        fprintf(stderr, "%s: %s: %s\n", level == LOG_ERROR ? "error" : "warning", module, line);
    lock_drop(&log_lock);
}

void log_msg(enum log_level level, const char *module, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    emit(level, module, line);
}

void log_guest_error_at(struct log_rate *r, const char *module, const char *fmt, ...)
{
    enum { PER_SECOND = 10 };
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    /* window_start 0 means "never used"; a race between two threads at a window's border costs at most a few lines. */
    int64_t now = ts.tv_sec + 1, start = __atomic_load_n(&r->window_start, __ATOMIC_RELAXED);
    unsigned dropped = 0;
    if (now != start &&
        __atomic_compare_exchange_n(&r->window_start, &start, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        __atomic_store_n(&r->count, 0, __ATOMIC_RELAXED);
        dropped = __atomic_exchange_n(&r->dropped, 0, __ATOMIC_RELAXED);
    }
    if (__atomic_fetch_add(&r->count, 1, __ATOMIC_RELAXED) >= PER_SECOND) {
        __atomic_fetch_add(&r->dropped, 1, __ATOMIC_RELAXED);
        return;
    }
    if (!log_enabled(LOG_WARN))
        return;
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (dropped && n >= 0 && (size_t)n < sizeof line)
        snprintf(line + n, sizeof line - (size_t)n, " (%u more like this were left out)", dropped);
    emit(LOG_WARN, module, line);
}
