/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread "memory" of a machine: once a second, or more often while there is something to give back, it lets trimming take its step and looks at
 * how short of memory the host is (PSI: the share of time in which somebody waited for memory).
 *
 * Whoever reads the statistics pays for them: without a reader, and with MemTrimRate = "0", nobody looks at the guest's pages.
 */
#define _GNU_SOURCE
#include "thrift.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"
#include "config/vmx_schema.h"
#include "core/vm.h"
#include "mem/guestmem.h"
#include "mem/memacct.h"
#include "mem/trim.h"
#include "plan.h"

enum {
    DEFAULT_TRIM_RATE = 16384, /* pages a second: 64 MiB. A GiB goes back within the 20 s in which a scan comes round */
    COUNT_CHUNKS = 1024,       /* of 2 MiB that one question about the statistics may count */
    PRESSURE_AT = 1000,        /* PSI, hundredths of a percent over ten seconds: 10 % */
};

struct memory {
    struct memory_params p;
    struct memacct *acct;
    struct trim *trim;
    int psi;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
    _Atomic uint64_t pressure; /* hundredths of a percent */
    _Atomic bool sharing;
    _Atomic uint64_t rate;
};

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static uint64_t rate_of(int64_t key) { return key < 0 ? DEFAULT_TRIM_RATE : (uint64_t)key; }

/* "some avg10=1.23 avg60=..." in hundredths of a percent. */
static uint64_t read_pressure(int fd)
{
    char buf[256];
    ssize_t n = fd >= 0 ? pread(fd, buf, sizeof buf - 1, 0) : -1;
    if (n <= 0)
        return 0;
    buf[n] = 0;
    const char *p = strstr(buf, "avg10=");
    return p ? (uint64_t)(strtod(p + 6, NULL) * 100) : 0;
}

static void *memory_thread(void *arg)
{
    struct memory *m = arg;
    int64_t psi_due = 0;
    if (m->p.thread_started)
        m->p.thread_started(m->p.u, "memory");
    pthread_mutex_lock(&m->lock);
    while (!m->stop) {
        pthread_mutex_unlock(&m->lock);
        int64_t now = now_ns();
        if (now >= psi_due) {
            atomic_store(&m->pressure, read_pressure(m->psi));
            psi_due = now + 1000000000;
        }
        int64_t again = trim_step(m->trim, now, atomic_load(&m->pressure) >= PRESSURE_AT) + now_ns();
        struct timespec ts = {.tv_sec = again / 1000000000, .tv_nsec = again % 1000000000};
        pthread_mutex_lock(&m->lock);
        if (!m->stop)
            pthread_cond_timedwait(&m->wake, &m->lock, &ts);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

struct memory *memory_new(const struct memory_params *p, struct err *e)
{
    struct memory *m = calloc(1, sizeof *m);
    if (!m) {
        err_set(e, ERR_NOMEM, ENOMEM, "not enough memory for the machine");
        return NULL;
    }
    m->p = *p;
    m->psi = open("/proc/pressure/memory", O_RDONLY | O_CLOEXEC);
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_t ca;
    pthread_condattr_init(&ca);
    pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
    pthread_cond_init(&m->wake, &ca);
    pthread_condattr_destroy(&ca);
    atomic_store(&m->sharing, p->plan->share_pages);
    atomic_store(&m->rate, rate_of(p->plan->trim_rate));
    if (!(m->acct = memacct_new(p->ram, e)))
        goto fail;
    struct trim_params tp = {.vm = p->vm, .ram = p->ram, .acct = m->acct, .huge = true};
    if (!(m->trim = trim_new(&tp, e)))
        goto fail;
    trim_set_rate(m->trim, atomic_load(&m->rate));
    char text[512];
    if (p->plan->share_pages && !guestmem_sharing_works(text, sizeof text))
        log_msg(LOG_INFO, "memory", "%s", text);
    return m;
fail:
    memory_free(m);
    return NULL;
}

int memory_start(struct memory *m, struct err *e)
{
    if (thread_start(&m->thread, "memory", memory_thread, m, e))
        return -1;
    m->started = true;
    return 0;
}

void memory_free(struct memory *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    m->stop = true;
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->lock);
    if (m->started)
        pthread_join(m->thread, NULL);
    trim_free(m->trim);
    memacct_free(m->acct);
    if (m->psi >= 0)
        close(m->psi);
    pthread_cond_destroy(&m->wake);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* ---- while it runs ---- */

static void set_sharing(struct memory *m, bool on)
{
    char text[512];
    struct err e;
    if (guestmem_share(m->p.ram, on, &e)) {
        log_msg(LOG_WARN, "memory", "%s", e.msg);
        return;
    }
    atomic_store(&m->sharing, on);
    log_msg(LOG_INFO, "memory", "Page sharing is %s", on ? "on" : "off: each page of this machine is its own again");
    if (on && !guestmem_sharing_works(text, sizeof text))
        log_msg(LOG_INFO, "memory", "%s", text);
}

bool memory_set_key(struct memory *m, const char *key, const char *value)
{
    int64_t v;
    bool b;
    if (!strcasecmp(key, "MemTrimRate")) {
        if (!value || !vmx_parse_int(value, &v) || v < -1)
            v = -1;
        atomic_store(&m->rate, rate_of(v));
        trim_set_rate(m->trim, rate_of(v));
        log_msg(LOG_INFO, "memory", v ? "Memory trimming is on, %llu pages a second at most" : "Memory trimming is off", (unsigned long long)rate_of(v));
        return true;
    }
    if (!strcasecmp(key, "sched.mem.pshare.enable")) {
        if (!value || !vmx_parse_bool(value, &b))
            b = true;
        if (b != atomic_load(&m->sharing))
            set_sharing(m, b);
        return true;
    }
    return false;
}

void memory_statistics(struct memory *m, void (*fn)(void *u, const char *name, uint64_t value), void *u)
{
    struct memacct_sums s;
    struct trim_stats t;
    memacct_refresh(m->acct, COUNT_CHUNKS);
    memacct_get(m->acct, &s);
    trim_get_stats(m->trim, &t);
    fn(u, "memory.configured", s.configured);
    fn(u, "memory.touched", s.touched);
    fn(u, "memory.resident", s.resident);
    fn(u, "memory.swapped", s.swapped);
    fn(u, "memory.shared", s.shared);
    fn(u, "memory.trimmed", s.trimmed);
    fn(u, "memory.ballooned", s.ballooned);
    fn(u, "memory.saved", s.saved);
    fn(u, "memory.pressure", atomic_load(&m->pressure));
    fn(u, "memory.sharing", atomic_load(&m->sharing));
    fn(u, "trim.rate", atomic_load(&m->rate));
    fn(u, "trim.pages_scanned", t.scanned);
    fn(u, "trim.pages_freed", t.freed);
    fn(u, "trim.passes", t.passes);
    fn(u, "trim.huge_split", t.split);
    fn(u, "trim.stops", t.stops);
    fn(u, "trim.stopped_ns", t.still_ns);
    fn(u, "trim.stopped_max_ns", t.still_max_ns);
    fn(u, "trim.cpu_ns", t.cpu_ns);
    fn(u, "trim.pages_cold", t.cold);
}
