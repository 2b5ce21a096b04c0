/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest time and the vtimers.
 *
 * Guest time is CLOCK_BOOTTIME minus a base that moves over pauses. That clock and not the TSC is the master, because
 * the host's NTP keeps it right over hours; the guest's TSC is the host's plus an offset, and deadlines given as TSC
 * values are turned into guest time relative to the present, so an error of the measured frequency never accumulates.
 *
 * When the host sleeps, guest time goes on: the guest finds the clock on the wall right, and its timers late. (Were it
 * to stand still, the TSC of most hosts, which counts on, would have to go back under the feet of a running guest.)
 * Hosts whose TSC begins anew after a sleep, or jumps because somebody moved them to another machine, are noticed by
 * comparing the two clocks (jumped()); then main is asked for a short pause, in which the offset is set right.
 *
 * Timers: a binary heap by deadline under a lock of its own. Only the earliest deadline is known to the host (a
 * timerfd, which has the resolution of the host's high-resolution timers and costs nothing while idle).
 *  1. host_armed, what the timerfd is set to, is no later than the earliest deadline in the heap, whenever the timer lock is
 * free, the clock runs and no batch is being fired. So arming needs the host only when it gives an earlier deadline than
 * host_armed, cancelling never; the price of a cancelled earliest timer is one wake-up of the chipset thread for nothing.
 *  2. While in_batch, who fires will look at the heap again afterwards: nobody else touches the host timer.
 *  3. A sleeping vCPU stands for the host timer from the moment it will wake at: deadlines from `covered` on, the earliest
 * of these moments, are no concern of 1. Its own timer it takes along, out of the heap, so that each of several vCPUs that
 * tick wakes by itself, and none by another; of the others it looks after the earliest one when that may fire on its thread. It gives all
 * of this back before it does anything else.
 *  4. A guest that ticks sets its next deadline just after it woke, and sleeps again. So the timerfd is then left, or set, a little behind the
 * wake-up (BEHIND): the new deadline is later, and needs no system call. When the guest does not sleep again so soon, the
 * chipset thread wakes once for nothing and sets it right.
 */
#define _GNU_SOURCE
#include "core/clock.h"

#include <cpuid.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include "base/assert.h"
#include "base/log.h"
#include "core/vm_private.h"

#define NS_PER_S 1000000000ll
#define DUTY_MAX (NS_PER_S / 10) /* a longer sleep is left to the timerfd, which knows when the host has slept */
#define BEHIND 500000 /* ns; more than most wake-ups of an idle guest take, less than the period of its tick */

static int64_t boottime(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t host_ns(struct vm *vm)
{
    const struct host_clock *h = vm->clk.host;
    return h ? h->ns() : boottime();
}

/* At the guest's rate. */
static uint64_t host_tsc(struct vm *vm)
{
    const struct host_clock *h = vm->clk.host;
    uint64_t tsc = h ? h->tsc() : __rdtsc();
    return vm->clk.scaled_from ? (uint64_t)((__uint128_t)tsc * vm->clk.tsc_khz / vm->clk.scaled_from) : tsc;
}

/* ---- the TSC's frequency ---- */

#define BASE_LINE_NS 40000000
#define OLD_NS 2000000000 /* a mark that old may be from before the host slept */

struct clock_mark clock_mark(void)
{
    /* The tightest of many readings: one that no interrupt or cache miss has stretched. */
    struct clock_mark best = {.window = UINT64_MAX};
    for (int i = 0; i < 400; i++) {
        uint64_t a = __rdtsc();
        _mm_lfence();
        int64_t ns = boottime();
        _mm_lfence();
        uint64_t b = __rdtsc();
        if (b - a < best.window)
            best = (struct clock_mark){a + (b - a) / 2, ns, b - a};
    }
    return best;
}

/* since: the beginning of the base line, when it is a while ago already; then nobody waits for it. */
static uint64_t measure_tsc_khz(struct clock_mark since)
{
    struct clock_mark t = clock_mark(), s = since;
    if (!s.ns || t.ns - s.ns > OLD_NS || t.ns <= s.ns || t.tsc <= s.tsc)
        s = t;
    for (int tries = 0; tries < 5; tries++) {
        /* Each end is wrong by at most half its window; go on for a longer base line while that is more than 1 ppm. */
        if (t.ns - s.ns >= BASE_LINE_NS && (s.window + t.window) / 2 < (t.tsc - s.tsc) / 1000000)
            break;
        nanosleep(&(struct timespec){0, t.ns - s.ns < BASE_LINE_NS ? BASE_LINE_NS - (t.ns - s.ns) : BASE_LINE_NS}, NULL);
        t = clock_mark();
    }
    __uint128_t n = (__uint128_t)(t.tsc - s.tsc) * 1000000u;
    uint64_t ns = (uint64_t)(t.ns - s.ns);
    return (uint64_t)((n + ns / 2) / ns);
}

static bool tsc_is_constant(void)
{
    /* "Invariant TSC", SDM vol. 3, 18.17.1. A hypervisor above us may hide the bit, and then gives a TSC that it looks
     * after. */
    uint32_t a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 31))
        return true;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & 1u << 8);
}

/* ---- guest time ---- */

int64_t clock_now(struct vm *vm)
{
    int64_t f = atomic_load_explicit(&vm->clk.frozen, memory_order_acquire);
    if (f >= 0)
        return f;
    return host_ns(vm) - atomic_load_explicit(&vm->clk.base, memory_order_relaxed);
}

int64_t clock_real(struct vm *vm) { return host_ns(vm); }

int64_t clock_wall(struct vm *vm)
{
    return atomic_load_explicit(&vm->clk.wall_offset, memory_order_relaxed) + clock_now(vm);
}

void clock_set_wall_offset(struct vm *vm, int64_t offset)
{
    atomic_store_explicit(&vm->clk.wall_offset, offset, memory_order_relaxed);
}

uint64_t clock_tsc_khz(struct vm *vm) { return vm->clk.tsc_khz; }
bool clock_tsc_scaled(struct vm *vm) { return vm->clk.scaled_from != 0; }

void clock_scale(struct vm *vm, uint64_t khz, uint64_t host_khz)
{
    vm->clk.tsc_khz = khz;
    vm->clk.scaled_from = host_khz;
}

uint64_t clock_tsc(struct vm *vm)
{
    int64_t f = atomic_load_explicit(&vm->clk.frozen, memory_order_acquire);
    if (f >= 0)
        return atomic_load_explicit(&vm->clk.tsc_frozen, memory_order_relaxed);
    return host_tsc(vm) + (uint64_t)atomic_load_explicit(&vm->clk.tsc_offset, memory_order_relaxed);
}

int64_t clock_tsc_offset(struct vm *vm) { return atomic_load_explicit(&vm->clk.tsc_offset, memory_order_relaxed); }

int64_t clock_tsc_to_ns(struct vm *vm, uint64_t tsc)
{
    int64_t now = clock_now(vm);
    int64_t delta = (int64_t)(tsc - clock_tsc(vm)); /* hostile values may be half the number circle away */
    __int128_t ns = now + (__int128_t)delta * 1000000 / (int64_t)vm->clk.tsc_khz;
    if (ns > INT64_MAX)
        return INT64_MAX;
    return ns < 0 ? 0 : (int64_t)ns;
}

/* Does the host's TSC show something else than the time that has passed since the last look? right: what it should show. While the clock
 * runs; timer lock held, or vCPUs parked. */
static bool jumped(struct vm *vm, uint64_t *right)
{
    struct clock_state *c = &vm->clk;
    uint64_t tsc = host_tsc(vm);
    int64_t passed = host_ns(vm) - c->ref_ns;
    *right = c->ref_tsc + (uint64_t)((__int128_t)passed * (int64_t)c->tsc_khz / 1000000);
    /* A quarter of a second, and 1000 ppm for a frequency that is not quite right. */
    int64_t off = (int64_t)(tsc - *right), most = (int64_t)c->tsc_khz * (250 + (passed > 0 ? passed / NS_PER_S : 0));
    if (off > most || off < -most)
        return true;
    if (passed > NS_PER_S) {
        c->ref_tsc = tsc;
        c->ref_ns += passed;
    }
    return false;
}

/* Before timers fire. True: nothing fires until main has set the clock right. Timer lock held. */
static bool wait_for_clock(struct vm *vm)
{
    struct clock_state *c = &vm->clk;
    uint64_t right;
    if (c->manual || atomic_load_explicit(&c->frozen, memory_order_relaxed) >= 0 || !vm->ev.wish)
        return false;
    if (!c->jump_told && jumped(vm, &right)) {
        c->jump_told = true;
        vm_wish(vm, WISH_CLOCK);
    }
    return c->jump_told;
}

static void set_host_timer(struct vm *vm, int64_t due)
{
    vm->clk.host_armed = due;
    evloop_set_timer(vm, due);
}

void clock_start(struct vm *vm)
{
    struct clock_state *c = &vm->clk;
    if (c->manual || atomic_load(&c->frozen) < 0)
        return;
    c->ref_tsc = host_tsc(vm);
    c->ref_ns = host_ns(vm);
    c->jump_told = false;
    atomic_store(&c->tsc_offset, (int64_t)(atomic_load(&c->tsc_frozen) - c->ref_tsc));
    atomic_store(&c->base, c->ref_ns - atomic_load(&c->frozen));
    atomic_store_explicit(&c->frozen, -1, memory_order_release);
    lock_take(&c->lock);
    c->host_armed = INT64_MAX;
    if (c->n)
        set_host_timer(vm, c->heap[1]->due);
    lock_drop(&c->lock);
}

void clock_stop(struct vm *vm)
{
    struct clock_state *c = &vm->clk;
    if (c->manual || atomic_load(&c->frozen) >= 0)
        return;
    uint64_t right;
    if (jumped(vm, &right)) {
        int64_t by = (int64_t)(host_tsc(vm) - right) / (int64_t)c->tsc_khz;
        log_msg(LOG_WARN, "clock", "The host's time stamp counter has jumped by %lld ms; the guest's goes on where it should be", (long long)by);
        atomic_store(&c->tsc_frozen, right + (uint64_t)atomic_load(&c->tsc_offset));
    } else {
        atomic_store(&c->tsc_frozen, clock_tsc(vm));
    }
    atomic_store_explicit(&c->frozen, clock_now(vm), memory_order_release);
    lock_take(&c->lock);
    set_host_timer(vm, INT64_MAX);
    lock_drop(&c->lock);
}

void clock_load(struct vm *vm, int64_t now, uint64_t tsc)
{
    atomic_store(&vm->clk.tsc_frozen, tsc);
    atomic_store(&vm->clk.frozen, now);
}

void clock_set_manual_now(struct vm *vm, int64_t now)
{
    atomic_store(&vm->clk.tsc_frozen, (uint64_t)now);
    atomic_store(&vm->clk.frozen, now);
}

/* ---- the heap ---- */

static void heap_put(struct clock_state *c, unsigned pos, struct vtimer *t)
{
    c->heap[pos] = t;
    t->heap_pos = pos;
}

static void heap_up(struct clock_state *c, unsigned pos, struct vtimer *t)
{
    for (; pos > 1 && t->due < c->heap[pos / 2]->due; pos /= 2)
        heap_put(c, pos, c->heap[pos / 2]);
    heap_put(c, pos, t);
}

static void heap_down(struct clock_state *c, unsigned pos, struct vtimer *t)
{
    for (unsigned kid; (kid = 2 * pos) <= c->n; pos = kid) {
        if (kid < c->n && c->heap[kid + 1]->due < c->heap[kid]->due)
            kid++;
        if (t->due <= c->heap[kid]->due)
            break;
        heap_put(c, pos, c->heap[kid]);
    }
    heap_put(c, pos, t);
}

static void set_due(struct vtimer *t, int64_t due) { __atomic_store_n(&t->due, due, __ATOMIC_RELAXED); }

static void heap_insert(struct clock_state *c, struct vtimer *t)
{
    c->n++;
    heap_up(c, c->n, t);
}

/* Its due time stays as it is. */
static void heap_take_out(struct clock_state *c, struct vtimer *t)
{
    unsigned pos = t->heap_pos;
    if (!pos)
        return;
    struct vtimer *last = c->heap[c->n--];
    t->heap_pos = 0;
    if (last == t)
        return;
    if (pos > 1 && last->due < c->heap[pos / 2]->due)
        heap_up(c, pos, last);
    else
        heap_down(c, pos, last);
}

/* No longer armed. */
static void disarm(struct clock_state *c, struct vtimer *t)
{
    heap_take_out(c, t);
    t->taken = false;
    set_due(t, -1);
}

void vtimer_init(struct vtimer *t, struct vm *vm, void (*fire)(void *), void *dev)
{
    struct clock_state *c = &vm->clk;
    *t = (struct vtimer){.vm = vm, .due = -1, .fire = fire, .dev = dev};
    lock_take(&c->lock);
    /* Room for every timer there is, so that arming never allocates. */
    if (++c->inited >= c->cap) {
        unsigned cap = c->cap ? 2 * c->cap : 64;
        struct vtimer **h = realloc(c->heap, cap * sizeof *h);
        ASSERT(h);
        c->heap = h;
        c->cap = cap;
    }
    lock_drop(&c->lock);
}

void vtimer_arm(struct vtimer *t, int64_t due)
{
    struct vm *vm = t->vm;
    struct clock_state *c = &vm->clk;
    if (due < 0)
        due = 0;
    lock_take(&c->lock);
    if ((t->heap_pos || t->taken) && t->due == due) {
        lock_drop(&c->lock);
        return;
    }
    disarm(c, t);
    set_due(t, due);
    heap_insert(c, t);
    if (due < c->host_armed && due < c->covered && !c->in_batch && !c->manual &&
        atomic_load_explicit(&c->frozen, memory_order_relaxed) < 0)
        set_host_timer(vm, due);
    lock_drop(&c->lock);
}

void vtimer_cancel(struct vtimer *t)
{
    if (!t->vm)
        return;
    struct clock_state *c = &t->vm->clk;
    lock_take(&c->lock);
    disarm(c, t);
    lock_drop(&c->lock);
}

void vtimer_of_vcpu(struct vtimer *t, struct vcpu *v)
{
    t->on_vcpu = true;
    v->thread->own = t;
}

/* Sets the host timer as invariants 1 and 4 want it. exact: not earlier than needed, either. Timer lock held. */
static void host_timer(struct vm *vm, bool exact)
{
    struct clock_state *c = &vm->clk;
    int64_t due = c->n ? c->heap[1]->due : INT64_MAX, now = clock_now(vm);
    if (due < c->covered || c->covered == INT64_MAX) {
        bool armed = c->host_armed > now && (exact ? c->host_armed == due : c->host_armed <= due);
        if (!armed && (due != INT64_MAX || c->host_armed != INT64_MAX))
            set_host_timer(vm, due);
    } else {
        int64_t wake = c->covered > now ? c->covered : now;
        if (c->host_armed < (exact ? wake + BEHIND / 2 : now + 1))
            set_host_timer(vm, wake + BEHIND);
    }
}

/* When the first sleeping vCPU wakes. Timer lock held. */
static void cover(struct vm *vm)
{
    int64_t first = INT64_MAX;
    for (unsigned i = 0; i < vm->n_vcpus; i++)
        if (vm->vth[i].wake_at < first)
            first = vm->vth[i].wake_at;
    vm->clk.covered = first;
}

int64_t clock_duty_begin(struct vcpu_thread *t)
{
    struct vm *vm = t->v->vm;
    struct clock_state *c = &vm->clk;
    int64_t at = INT64_MAX, wake = INT64_MAX;
    if (c->manual || atomic_load_explicit(&c->frozen, memory_order_acquire) >= 0)
        return at;
    lock_take(&c->lock);
    int64_t latest = clock_now(vm) + DUTY_MAX;
    struct vtimer *own = t->own;
    if (own && own->heap_pos && own->due < latest) {
        heap_take_out(c, own);
        own->taken = true;
        wake = own->due;
    }
    struct vtimer *first = c->n ? c->heap[1] : NULL;
    if (first && first->on_vcpu && first->due < latest && first->due < wake && first->due < c->covered)
        wake = first->due;
    if (wake != INT64_MAX) {
        at = wake + atomic_load(&c->base);
        t->wake_at = wake;
        if (wake < c->covered)
            c->covered = wake;
        if (!c->in_batch)
            host_timer(vm, true);
    }
    lock_drop(&c->lock);
    return at;
}

void clock_duty_end(struct vcpu_thread *t, bool timed_out)
{
    struct vm *vm = t->v->vm;
    struct clock_state *c = &vm->clk;
    unsigned fired = 0;
    if (timed_out)
        chipset_lock(vm);
    lock_take(&c->lock);
    if (t->own && t->own->taken) {
        t->own->taken = false;
        heap_insert(c, t->own);
    }
    t->wake_at = INT64_MAX;
    cover(vm);
    bool running = atomic_load_explicit(&c->frozen, memory_order_relaxed) < 0;
    if (timed_out && running && !wait_for_clock(vm)) {
        c->in_batch = true;
        while (c->n && c->heap[1]->on_vcpu && c->heap[1]->due <= clock_now(vm) && fired < VM_MAX_VCPUS) {
            struct vtimer *due = c->heap[1];
            disarm(c, due);
            lock_drop(&c->lock);
            due->fire(due->dev);
            fired++;
            lock_take(&c->lock);
        }
        c->in_batch = false;
    }
    if (running && !c->in_batch)
        host_timer(vm, false);
    lock_drop(&c->lock);
    if (timed_out)
        chipset_unlock(vm);
    if (fired)
        atomic_fetch_add_explicit(&vm->st_timers, fired, memory_order_relaxed);
}

int64_t clock_next_due(struct vm *vm)
{
    lock_take(&vm->clk.lock);
    int64_t due = vm->clk.n ? vm->clk.heap[1]->due : INT64_MAX;
    lock_drop(&vm->clk.lock);
    return due;
}

bool clock_run_timers(struct vm *vm, unsigned max)
{
    struct clock_state *c = &vm->clk;
    bool more = false;
    unsigned fired = 0;
    lock_take(&c->lock);
    if (wait_for_clock(vm)) {
        evloop_set_timer(vm, INT64_MAX); /* clock_start sets it again */
        c->host_armed = INT64_MIN;
        lock_drop(&c->lock);
        return false;
    }
    c->in_batch = true;
    while (c->n && (c->manual || atomic_load_explicit(&c->frozen, memory_order_relaxed) < 0)) {
        struct vtimer *t = c->heap[1];
        if (t->due > clock_now(vm))
            break;
        if (fired == max) {
            more = true;
            break;
        }
        disarm(c, t);
        lock_drop(&c->lock);
        t->fire(t->dev);
        fired++;
        lock_take(&c->lock);
    }
    c->in_batch = false;
    if (!more && !c->manual && atomic_load_explicit(&c->frozen, memory_order_relaxed) < 0)
        host_timer(vm, false); /* also clears the expiry of the timerfd, so that no read() is needed */
    lock_drop(&c->lock);
    if (fired)
        atomic_fetch_add_explicit(&vm->st_timers, fired, memory_order_relaxed);
    return more;
}

int clock_init(struct vm *vm, int64_t wall_offset, bool manual, struct err *e)
{
    struct clock_state *c = &vm->clk;
    lock_init(&c->lock, RANK_TIMER);
    c->manual = manual;
    c->host_armed = c->covered = INT64_MAX;
    atomic_store(&c->wall_offset, wall_offset);
    atomic_store(&c->frozen, 0);
    uint64_t known = vm->params.tsc_khz;
    c->tsc_khz = manual ? 1000000 : known ? known : measure_tsc_khz(vm->params.mark);
    if (!manual && !tsc_is_constant())
        log_msg(LOG_WARN, "clock",
                "The host's time stamp counter does not run at a constant rate: the guest's clock may run wrong");
    if (!c->tsc_khz)
        return err_set(e, ERR_HOST, 0, "The host's time stamp counter does not count, and virtual machines need it.");
    return 0;
}

void clock_fini(struct vm *vm)
{
    free(vm->clk.heap);
    lock_fini(&vm->clk.lock);
}
