/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread "memory" of a machine: once a second, or more often while there is something to give back, it lets trimming take its step and looks at
 * how short of memory the host is (PSI: the share of time in which somebody waited for memory).
 *
 * The balloon's target is balloon_policy.c's: here is what it goes by, once a second.
 *
 * When the host, or the control group that the process is in, has almost nothing left, its kernel would kill the process in the next page fault of
 * the guest. So the machine is paused before, with a message; the less is left, the more often it looks. A paused machine's memory is named to the
 * kernel as the first to be swapped.
 *
 * Whoever reads the statistics pays for them: without a reader, and with MemTrimRate = "0", nobody looks at the guest's pages.
 */
#define _GNU_SOURCE
#include "thrift.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "balloon_policy.h"
#include "base/bitmap.h"
#include "base/log.h"
#include "base/thread.h"
#include "config/vmx_schema.h"
#include "core/vm.h"
#include "counters.h"
#include "guest/balloon.h"
#include "hostmem.h"
#include "mem/guestmem.h"
#include "mem/memacct.h"
#include "mem/room.h"
#include "mem/trim.h"
#include "plan.h"

enum {
    DEFAULT_TRIM_RATE = 16384, /* pages a second: 64 MiB. A GiB goes back within the 20 s in which a scan comes round */
    COUNT_CHUNKS = 1024,       /* of 2 MiB that one question about the statistics may count */
    PRESSURE_AT = 1000,        /* PSI, hundredths of a percent over ten seconds: 10 % */
    KSM_EVERY_S = 10,
    SHORT_MB = 512,            /* that all machines together give in a second while the host is short */
    WATER_PART = 8,            /* of the memory there is, between WATER_MB and WATER_MOST_MB: with less left the host is short */
    WATER_MB = 96,
    WATER_MOST_MB = 1024,
    WATCH_NS = 5000000,
    STILL_MOST_NS = 50000000,
    LOW_PART = 128,            /* of the memory there is, and at least LOW_MB: with less left the machine is paused */
    LOW_MB = 32,
    LOW_MOST_MB = 256,
};

struct memory {
    struct memory_params p;
    struct memacct *acct;
    struct trim *trim;
    int psi, ksm;
    _Atomic int ksm_runs; /* does the host look for equal pages? -1: not asked yet */
    int64_t ksm_due;
    struct room *room;
    struct hostmem *host;
    char notice[500];
    bool paused_low;
    _Atomic uint64_t left;
    uint64_t total;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
    _Atomic uint64_t pressure; /* hundredths of a percent */
    _Atomic bool sharing;
    _Atomic uint64_t rate;
    struct dev *balloon;
    struct balloon_policy policy; /* the thread's */
    _Atomic int64_t wanted;       /* MB, -1 automatic */
    _Atomic uint64_t breaths, harvested;
    _Atomic uint64_t paced_ns;    /* how long the guest stood still for watch_breath */
    uint64_t seen_rss;            /* of watch_breath's last look */
    int64_t seen;
    int statm;
    uint64_t own_rss;             /* pages of this process that are not the guest's, about */
    int64_t no_driver_since;
    bool warned_no_driver;
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

/* ---- the balloon ---- */

/* Where RAM at [gpa, gpa + n) is in the block. */
static bool in_ram(struct memory *m, gpa_t gpa, uint64_t n, uint64_t *off)
{
    const struct memrange *r = memview_find(memmap_view(m->p.vm, false), gpa);
    if (!r || r->mr->kind != MR_RAM || r->mr->blk != m->p.ram || n > r->size - (gpa - r->base))
        return false;
    *off = r->mr->blk_off + r->mr_off + (gpa - r->base);
    return true;
}

bool memory_take(void *u, gpa_t gpa, unsigned n)
{
    struct memory *m = u;
    uint64_t off, len = (uint64_t)n << 12;
    if (!in_ram(m, gpa, len, &off))
        return false;
    for (unsigned i = 0; i < n; i++)
        if (!memacct_balloon(m->acct, off + ((uint64_t)i << 12), true)) {
            while (i--)
                memacct_balloon(m->acct, off + ((uint64_t)i << 12), false);
            return false;
        }
    trim_discard(m->trim, off, len);
    if (m->p.ram->dirty)
        bitmap_set_range_atomic(m->p.ram->dirty, off >> 12, n);
    if (vm_backend(m->p.vm)->code_written) /* a hostile guest hands over what it runs */
        vm_backend(m->p.vm)->code_written(m->p.vm, gpa, len);
    return true;
}

bool memory_give(void *u, gpa_t gpa, unsigned n)
{
    struct memory *m = u;
    uint64_t off;
    bool all = in_ram(m, gpa, (uint64_t)n << 12, &off);
    for (unsigned i = 0; all && i < n; i++)
        all = memacct_is_ballooned(m->acct, off + ((uint64_t)i << 12));
    for (unsigned i = 0; all && i < n; i++)
        memacct_balloon(m->acct, off + ((uint64_t)i << 12), false);
    return all;
}

void memory_all_given(void *u)
{
    struct memory *m = u;
    memacct_balloon_reset(m->acct);
}

int memory_join(struct memory *m, const char *dir, struct err *e)
{
    const struct plan *p = m->p.plan;
    char warn[500];
    struct hostmem_vm v = {.name = p->name, .mb = p->ram >> 20, .reserved_mb = p->mem_pin ? p->ram >> 20 : p->mem_min > 0 ? (uint64_t)p->mem_min : 0,
                           .shares = p->mem_shares};
    struct hostmem_policy pol = {.limit_mb = p->mem_limit, .pct = p->mem_fit};
    if (hostmem_join(&m->host, dir, &v, &pol, warn, sizeof warn, e))
        return -1;
    if (*warn)
        log_msg(LOG_WARN, "memory", "%s", warn);
    snprintf(m->notice, sizeof m->notice, "%s", warn);
    return 0;
}

const char *memory_notice(const struct memory *m) { return m->notice; }

void memory_balloon(struct memory *m, struct dev *balloon) { m->balloon = balloon; }

int memory_set_balloon(struct memory *m, int64_t mb, struct err *e)
{
    struct balloon_stats s;
    balloon_get_stats(m->balloon, &s);
    if (mb > 0 && !s.driver)
        return err_set(e, ERR_UNSUPPORTED, 0, "the guest runs no balloon driver; in a Linux guest load it with: modprobe vmw_balloon");
    atomic_store(&m->wanted, mb < 0 ? -1 : mb);
    return 0;
}

/* Pages of this process in the host's memory: the second number of statm. */
static uint64_t read_rss(struct memory *m)
{
    char buf[128], *p;
    ssize_t n = m->statm >= 0 ? pread(m->statm, buf, sizeof buf - 1, 0) : -1;
    if (n <= 0)
        return 0;
    buf[n] = 0;
    strtoull(buf, &p, 10);
    return strtoull(p, NULL, 10);
}

static uint64_t cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static void say_no_driver(struct memory *m, int64_t now)
{
    if (!m->no_driver_since)
        m->no_driver_since = now;
    if (m->policy.l.max >= m->policy.l.all || m->warned_no_driver || now - m->no_driver_since < 120 * 1000000000ll)
        return;
    log_msg(LOG_INFO, "memory", "sched.mem.max is less than memsize, but the guest runs no balloon driver (Linux: vmw_balloon): it keeps its memory");
    m->warned_no_driver = true;
}

/* What the policy goes by. exact: counts the guest's pages, else estimates them from the size of this process. */
static struct balloon_now look_at_balloon(struct memory *m, int64_t now, bool exact)
{
    const struct balloon_policy *b = &m->policy;
    struct balloon_stats s;
    struct trim_stats t;
    balloon_get_stats(m->balloon, &s);
    trim_get_stats(m->trim, &t);
    if (exact) {
        struct memacct_sums sums;
        memacct_refresh(m->acct, UINT_MAX);
        memacct_get(m->acct, &sums);
        uint64_t all = read_rss(m), guest = sums.resident >> 12;
        m->own_rss = all > guest ? all - guest : 0;
    }
    uint64_t have = memacct_ballooned(m->acct), rss = read_rss(m), here = rss > m->own_rss ? rss - m->own_rss : 0;
    return (struct balloon_now){
        .now = now, .driver = s.driver, .huge = s.huge, .trimming = atomic_load(&m->rate) && rss && vm_get_state(m->p.vm) == VM_RUNNING, .have = have,
        .small = s.small, .wanted = atomic_load(&m->wanted), .reads = m->p.disk_reads ? m->p.disk_reads(m->p.disk_u) : 0, .cpu_ns = cpu_ns(),
        .rss = rss, .freed = t.freed, .unused = b->l.all > here + have ? b->l.all - here - have : 0, .rate = atomic_load(&m->rate)};
}

/* Once a second. short_mb: of host_is_short. */
static void step_balloon(struct memory *m, int64_t now, int64_t short_mb)
{
    struct balloon_policy *b = &m->policy;
    struct balloon_now in = look_at_balloon(m, now, b->breath);
    uint64_t before = b->target;
    in.short_mb = short_mb;
    if (!in.driver)
        say_no_driver(m, now);
    balloon_set_target(m->balloon, balloon_policy_step(b, &in));
    if (b->was_short)
        log_msg(LOG_INFO, "memory", "The guest is short of memory itself (balloon %llu of %llu MB): it gets some back",
                (unsigned long long)(in.have / BP_MB_PAGES), (unsigned long long)(before / BP_MB_PAGES));
    atomic_store(&m->breaths, b->breaths);
    atomic_store(&m->harvested, b->harvested);
    m->seen_rss = in.rss;
    m->seen = now;
}

/* Every WATCH_NS during a breath. A guest that uses up what it can have for certain faster than its driver gives back the rest stands still for a part
 * of the time: its clock goes on, so that the driver gets its turn. */
static void watch_breath(struct memory *m)
{
    uint64_t pace;
    struct balloon_now in = look_at_balloon(m, now_ns(), false);
    bool done = m->policy.breath && in.have >= m->policy.breath;
    if (done) /* the next step goes by what the guest has to spare: count exactly */
        in = look_at_balloon(m, in.now, true);
    balloon_set_target(m->balloon, balloon_policy_watch(&m->policy, &in, &pace));
    if (pace != UINT64_MAX && in.rss > m->seen_rss) {
        int64_t due = (int64_t)((double)(in.rss - m->seen_rss) / (double)pace * 1e9) - (in.now - m->seen);
        due = due < STILL_MOST_NS ? due : STILL_MOST_NS;
        if (due > 0 && vm_still_begin(m->p.vm)) {
            struct timespec ts = {.tv_nsec = due};
            nanosleep(&ts, NULL);
            vm_still_end(m->p.vm);
            atomic_fetch_add(&m->paced_ns, (uint64_t)due);
        }
    }
    m->seen_rss = in.rss;
    m->seen = in.now;
}

/* ---- sharing ---- */

/* Whether the host's kernel looks for equal pages, which an administrator may change at any time; says so when it has changed. */
static void watch_ksm(struct memory *m, int64_t now)
{
    char c = '0';
    if (m->ksm < 0 || now < m->ksm_due || pread(m->ksm, &c, 1, 0) != 1)
        return;
    m->ksm_due = now + KSM_EVERY_S * 1000000000ll;
    int runs = c == '1', before = atomic_exchange(&m->ksm_runs, runs);
    if (before == runs || before < 0 || !atomic_load(&m->sharing))
        return;
    if (runs)
        log_msg(LOG_INFO, "memory", "The host's kernel looks for equal pages again: pages of this machine are shared");
    else
        log_msg(LOG_INFO, "memory", "The host's kernel does not look for equal pages any more (/sys/kernel/mm/ksm/run is %c): %s. An administrator can start "
                "it again: echo 1 | sudo tee /sys/kernel/mm/ksm/run", c, c == '2' ? "nothing is shared now" : "what is shared stays so, nothing is added");
}

/* ---- what the host has left ---- */

/* How soon it has to be looked at again. */
static int64_t watch_room(struct memory *m)
{
    struct room_left l;
    room_left(m->room, &l);
    atomic_store(&m->left, l.left);
    m->total = l.total;
    if (l.left == UINT64_MAX)
        return 1000000000;
    uint64_t low = l.total / LOW_PART;
    low = low < (uint64_t)LOW_MB << 20 ? (uint64_t)LOW_MB << 20 : low > (uint64_t)LOW_MOST_MB << 20 ? (uint64_t)LOW_MOST_MB << 20 : low;
    if (l.left < low && vm_get_state(m->p.vm) == VM_RUNNING) {
        if (!m->paused_low && m->p.low) {
            char text[300];
            snprintf(text, sizeof text,
                     "The guest is paused, because this %s has only %llu MiB of memory left, of %llu MiB: its kernel would end the machine soon. Close other "
                     "programs or machines, then resume it", l.what, (unsigned long long)(l.left >> 20), (unsigned long long)(l.total >> 20));
            m->p.low(m->p.u, text);
        }
        m->paused_low = true;
        return 200000000;
    }
    m->paused_low = false;
    /* A guest writes some GiB a second at most. */
    uint64_t ns = (l.left - (l.left < low ? l.left : low)) / 4;
    return ns < 10000000 ? 10000000 : ns > 1000000000 ? 1000000000 : (int64_t)ns;
}

/* MB that this guest shall give in the next second; 0: leave it as it is; -1: the host has enough. */
static int64_t host_is_short(struct memory *m)
{
    struct memacct_sums s;
    memacct_get(m->acct, &s);
    double part = hostmem_beat(m->host, s.touched ? s.resident >> 20 : s.configured >> 20);
    uint64_t left = atomic_load(&m->left) >> 20, water = m->total / WATER_PART >> 20;
    water = water < WATER_MB ? WATER_MB : water > WATER_MOST_MB ? WATER_MOST_MB : water;
    if (atomic_load(&m->pressure) >= PRESSURE_AT || left < water) {
        int64_t mb = (int64_t)(part * SHORT_MB);
        memacct_refresh(m->acct, COUNT_CHUNKS / 8);
        return mb ? mb : 1;
    }
    return left < water + water / 2 ? 0 : -1;
}

static void *memory_thread(void *arg)
{
    struct memory *m = arg;
    int64_t psi_due = 0, room_due = 0;
    bool pressure = false;
    if (m->p.thread_started)
        m->p.thread_started(m->p.u, "memory");
    pthread_mutex_lock(&m->lock);
    while (!m->stop) {
        pthread_mutex_unlock(&m->lock);
        int64_t now = now_ns();
        if (now >= room_due)
            room_due = now + watch_room(m);
        if (now >= psi_due) {
            atomic_store(&m->pressure, read_pressure(m->psi));
            psi_due = now + 1000000000;
            int64_t short_mb = host_is_short(m);
            pressure = short_mb > 0;
            step_balloon(m, now, short_mb);
            watch_ksm(m, now);
            if (pressure && vm_get_state(m->p.vm) == VM_PAUSED && atomic_load(&m->rate))
                trim_page_out(m->trim, atomic_load(&m->rate));
        }
        int64_t again;
        if (balloon_policy_watched(&m->policy, memacct_ballooned(m->acct), now)) {
            watch_breath(m);
            again = now_ns() + WATCH_NS;
        } else {
            again = trim_step(m->trim, now, pressure) + now_ns();
        }
        again = again < room_due ? again : room_due;
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
    m->room = room_open();
    if (!m->room) {
        err_set(e, ERR_NOMEM, ENOMEM, "not enough memory for the machine");
        free(m);
        return NULL;
    }
    m->psi = open("/proc/pressure/memory", O_RDONLY | O_CLOEXEC);
    m->ksm = open("/sys/kernel/mm/ksm/run", O_RDONLY | O_CLOEXEC);
    atomic_store(&m->ksm_runs, -1);
    m->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    const struct plan *pl = p->plan;
    m->policy.l = (struct balloon_limits){
        .all = p->ram->size >> 12, .least = pl->mem_min > 0 ? (uint64_t)pl->mem_min * BP_MB_PAGES : 0,
        .most = pl->mem_maxctl >= 0 ? (uint64_t)pl->mem_maxctl * BP_MB_PAGES : UINT64_MAX,
        .max = pl->mem_max >= 0 ? (uint64_t)pl->mem_max * BP_MB_PAGES : UINT64_MAX, .pin = pl->mem_pin};
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_t ca;
    pthread_condattr_init(&ca);
    pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
    pthread_cond_init(&m->wake, &ca);
    pthread_condattr_destroy(&ca);
    atomic_store(&m->wanted, -1);
    atomic_store(&m->sharing, p->plan->share_pages);
    atomic_store(&m->rate, rate_of(p->plan->trim_rate));
    if (!(m->acct = memacct_new(p->ram, e)))
        goto fail;
    memacct_set_sharing(m->acct, p->plan->share_pages && p->ram->fd < 0 && !p->plan->mem_pin);
    struct trim_params tp = {.vm = p->vm, .ram = p->ram, .acct = m->acct, .first = p->plan->mem_pin ? p->ram->size : 0,
                             .huge = p->plan->mem_huge && p->ram->fd < 0};
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
    m->own_rss = read_rss(m);
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
    room_close(m->room);
    hostmem_leave(m->host);
    trim_free(m->trim);
    memacct_free(m->acct);
    if (m->psi >= 0)
        close(m->psi);
    if (m->statm >= 0)
        close(m->statm);
    if (m->ksm >= 0)
        close(m->ksm);
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
    memacct_set_sharing(m->acct, on);
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

static const struct counter memory_counters[] = {
    COUNTER(memacct_sums, "memory.configured", configured), COUNTER(memacct_sums, "memory.touched", touched),
    COUNTER(memacct_sums, "memory.resident", resident), COUNTER(memacct_sums, "memory.swapped", swapped),
    COUNTER(memacct_sums, "memory.shared", shared), COUNTER(memacct_sums, "memory.trimmed", trimmed),
    COUNTER(memacct_sums, "memory.ballooned", ballooned), COUNTER(memacct_sums, "memory.saved", saved),
};
static const struct counter trim_counters[] = {
    COUNTER(trim_stats, "trim.pages_scanned", scanned), COUNTER(trim_stats, "trim.pages_freed", freed),
    COUNTER(trim_stats, "trim.passes", passes), COUNTER(trim_stats, "trim.huge_split", split), COUNTER(trim_stats, "trim.stops", stops),
    COUNTER(trim_stats, "trim.stopped_ns", still_ns), COUNTER(trim_stats, "trim.stopped_max_ns", still_max_ns),
    COUNTER(trim_stats, "trim.cpu_ns", cpu_ns), COUNTER(trim_stats, "trim.pages_cold", cold),
};

void memory_statistics(struct memory *m, void (*fn)(void *u, const char *name, uint64_t value), void *u)
{
    struct memacct_sums s;
    struct trim_stats t;
    memacct_refresh(m->acct, COUNT_CHUNKS);
    memacct_get(m->acct, &s);
    trim_get_stats(m->trim, &t);
    COUNTERS_TELL(memory_counters, &s, fn, u);
    struct balloon_stats b = {0};
    if (m->balloon)
        balloon_get_stats(m->balloon, &b);
    fn(u, "balloon.driver", b.driver);
    fn(u, "balloon.target", b.target << 12);
    int64_t wanted = atomic_load(&m->wanted);
    fn(u, "balloon.automatic", wanted < 0);
    fn(u, "balloon.set_mb", wanted < 0 ? 0 : (uint64_t)wanted);
    fn(u, "balloon.pages_taken", b.locked);
    fn(u, "balloon.pages_given", b.unlocked);
    fn(u, "balloon.refused", b.refused);
    fn(u, "balloon.starts", b.starts);
    fn(u, "balloon.breaths", atomic_load(&m->breaths));
    fn(u, "balloon.pages_harvested", atomic_load(&m->harvested));
    fn(u, "balloon.paced_ns", atomic_load(&m->paced_ns));
    uint64_t left = atomic_load(&m->left);
    fn(u, "memory.host_left", left == UINT64_MAX ? 0 : left);
    fn(u, "memory.limit", m->p.plan->mem_limit << 20);
    fn(u, "memory.pressure", atomic_load(&m->pressure));
    fn(u, "memory.sharing", atomic_load(&m->sharing));
    fn(u, "memory.sharing_runs", atomic_load(&m->sharing) && atomic_load(&m->ksm_runs) > 0);
    fn(u, "trim.rate", atomic_load(&m->rate));
    COUNTERS_TELL(trim_counters, &t, fn, u);
}
