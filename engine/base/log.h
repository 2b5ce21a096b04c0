/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Logging by audience: ERROR = the user must act, WARN = odd but handled, INFO = rare state changes, DEBUG = for
 * developers, off by default. The sink is installed once by the program (vmx/vmlog.c); without one, WARN and above go
 * to stderr.
 */
#ifndef LODGE_BASE_LOG_H
#define LODGE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Receives one formatted line without newline; called with no lock of Lodge held except LOG. [any] */
typedef void (*log_sink_fn)(void *u, enum log_level level, const char *module, const char *line);

void log_set_sink(log_sink_fn fn, void *u, enum log_level max_level);
bool log_enabled(enum log_level level);
void log_msg(enum log_level level, const char *module, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Guest-caused oddities: rate-limited per call site (10 a second, then a count of what was left out), never fatal.
 * [any] */
struct log_rate {
    int64_t window_start;
    unsigned count, dropped;
};
void log_guest_error_at(struct log_rate *r, const char *module, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
#define guest_error(module, ...)                           \
    do {                                                   \
        static struct log_rate rate_;                      \
        log_guest_error_at(&rate_, (module), __VA_ARGS__); \
    } while (0)

#endif
