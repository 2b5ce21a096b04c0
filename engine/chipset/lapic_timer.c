/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The timer of a local APIC (SDM vol. 3, 10.5.4): one-shot, periodic, TSC deadline.
 *
 * The owner programs it thousands of times a second, so the usual case takes no lock: count_end and tsc_deadline hold when it expires, and
 * the vtimer may be armed earlier than that (never later); when it fires too early it is armed again. Order that makes it safe: the owner
 * stores the new expiry, then reads armed_due; lapic_fire clears armed_due, then reads the expiry; so at least one of them sees the other's
 * store and arms. arm_lock makes "compare with armed_due, store it, arm" one step; an expiry read before it can only make the vtimer early.
 * Expiry is claimed by compare-and-swap on count_end or tsc_deadline, so the owner and the chipset thread cannot both raise it.
 */
#include "chipset/lapic_private.h"
#include "core/vm.h"

#define MIN_TIMER_NS 50000 /* no guest makes the host wake more often than this for one timer */
#define NS_PER_S 1000000000ull

/* Clock ticks of the bus per count. */
static unsigned lapic_divide_shift(uint32_t dcr)
{
    return ((dcr & 3) + ((dcr & 8) >> 1) + 1) & 7; /* 1011b: by 1, 0000b: by 2 ... 1010b: by 128 */
}

static int64_t lapic_counts_to_ns(struct lapic *l, uint64_t counts)
{
    uint64_t hz = l->d->p.bus_hz;
    return (int64_t)(((unsigned __int128)counts << lapic_divide_shift(l->dcr)) * NS_PER_S / hz);
}

static int64_t lapic_period(struct lapic *l)
{
    int64_t ns = lapic_counts_to_ns(l, l->initial_count);
    return ns > 0 ? ns : 1;
}

static void lapic_tick(struct lapic *l, uint64_t n, int64_t period)
{
    uint32_t lvt = l->lvt[LVT_TIMER];
    if (lvt & LVT_MASKED)
        return;
    bool fresh = lapic_accept(l, lvt & 0xff, false);
    /* Periodic ticks are a clock to old guests: those that could not be given are made up for at the next EOIs, up to a second's worth. */
    if (period >= MIN_TIMER_NS) {
        uint64_t missed = l->missed + n - (fresh ? 1 : 0), limit = NS_PER_S / period;
        l->missed = missed < limit ? missed : limit;
    }
}

/* When to look at the timer, 0: never. A time in the past: it has expired. [any] */
static int64_t lapic_timer_due(struct lapic *l)
{
    struct vm *vm = lapic_vm(l);
    if (l->init_pending)
        return 0;
    unsigned mode = LVT_TIMER_MODE(l->lvt[LVT_TIMER]);
    if (mode != TIMER_TSC_DEADLINE) {
        int64_t end = l->count_end, now;
        if (!end || mode != TIMER_PERIODIC || lapic_period(l) >= MIN_TIMER_NS)
            return end;
        now = clock_now(vm);
        return end <= now || end > now + MIN_TIMER_NS ? end : now + MIN_TIMER_NS;
    }
    uint64_t dl = l->tsc_deadline, tsc = clock_tsc(vm);
    int64_t now = clock_now(vm);
    if (!dl || dl <= tsc)
        return dl ? now : 0;
    if ((dl - tsc) >> 60)
        return now + 3600 * (int64_t)NS_PER_S; /* far: look again in an hour */
    int64_t ns = clock_tsc_to_ns(vm, dl);
    return ns > now ? ns : now + 1000; /* rounding: never early in TSC terms */
}

/* Raises what has expired. [any] */
void lapic_timer_expire(struct lapic *l)
{
    struct vm *vm = lapic_vm(l);
    for (;;) {
        unsigned mode = LVT_TIMER_MODE(l->lvt[LVT_TIMER]);
        if (l->init_pending)
            return;
        if (mode == TIMER_TSC_DEADLINE) {
            uint64_t dl = l->tsc_deadline;
            if (!dl || clock_tsc(vm) < dl)
                return;
            if (atomic_compare_exchange_strong(&l->tsc_deadline, &dl, 0))
                lapic_tick(l, 1, 0);
            continue;
        }
        int64_t now = clock_now(vm), end = l->count_end;
        if (!end || end > now)
            return;
        if (mode == TIMER_PERIODIC && l->initial_count) {
            int64_t period = lapic_period(l), n = (now - end) / period + 1;
            if (atomic_compare_exchange_strong(&l->count_end, &end, end + n * period))
                lapic_tick(l, n, period);
        } else if (atomic_compare_exchange_strong(&l->count_end, &end, 0)) {
            lapic_tick(l, 1, 0);
        }
    }
}

/* After the expiry changed. [any] */
static void lapic_timer_changed(struct lapic *l)
{
    lapic_timer_expire(l);
    int64_t due = lapic_timer_due(l), armed = l->armed_due;
    if (!due || (armed && armed <= due))
        return;
    lock_take(&l->arm_lock);
    armed = l->armed_due;
    if (!armed || armed > due) {
        l->armed_due = due; /* first: once armed it may fire, and lapic_fire clears this */
        vtimer_arm(&l->vtimer, due);
    }
    lock_drop(&l->arm_lock);
}

static void lapic_fire(void *dev)
{
    struct lapic *l = dev;
    l->armed_due = 0;
    lapic_timer_changed(l);
}

uint32_t lapic_timer_current(struct lapic *l)
{
    if (LVT_TIMER_MODE(l->lvt[LVT_TIMER]) == TIMER_TSC_DEADLINE)
        return 0;
    lapic_timer_expire(l); /* a guest that reads 0 finds the interrupt raised */
    int64_t end = l->count_end, left;
    if (!end)
        return 0;
    left = end - clock_now(lapic_vm(l));
    if (left <= 0) { /* in this moment */
        if (LVT_TIMER_MODE(l->lvt[LVT_TIMER]) != TIMER_PERIODIC)
            return 0;
        left = lapic_period(l) - -left % lapic_period(l);
    }
    /* Rounded up: the count is shown until its last moment. */
    unsigned __int128 num = (unsigned __int128)left * l->d->p.bus_hz, den = (unsigned __int128)NS_PER_S << lapic_divide_shift(l->dcr);
    uint64_t count = (uint64_t)((num + den - 1) / den);
    return count < l->initial_count ? count : l->initial_count;
}

uint32_t lapic_timer_left(struct lapic *l)
{
    int64_t left = l->count_end - clock_now(lapic_vm(l));
    if (LVT_TIMER_MODE(l->lvt[LVT_TIMER]) == TIMER_TSC_DEADLINE || !l->count_end)
        return 0;
    if (left <= 0)
        return 1; /* it has expired and not been raised yet */
    unsigned __int128 num = (unsigned __int128)left * l->d->p.bus_hz, den = (unsigned __int128)NS_PER_S << lapic_divide_shift(l->dcr);
    uint64_t count = (uint64_t)((num + den - 1) / den);
    return count < l->initial_count ? count : l->initial_count;
}

void lapic_timer_from_image(struct lapic *l, uint32_t initial, uint32_t current, uint32_t dcr, uint64_t deadline)
{
    unsigned mode = LVT_TIMER_MODE(l->lvt[LVT_TIMER]);
    l->dcr = dcr & 0xb;
    l->missed = 0;
    l->initial_count = initial;
    l->tsc_deadline = mode == TIMER_TSC_DEADLINE ? deadline : 0;
    l->count_end = 0;
    /* A one-shot count of 0 may have expired long ago, or in this moment without having been raised: raised once more it
     * is a spurious interrupt, forgotten it would be a guest that waits for ever. */
    if (mode != TIMER_TSC_DEADLINE && initial)
        l->count_end = clock_now(lapic_vm(l)) + lapic_counts_to_ns(l, current);
    if (l->count_end < 0 || (mode != TIMER_TSC_DEADLINE && initial && !l->count_end))
        l->count_end = 1;
}

void lapic_timer_stop(struct lapic *l)
{
    vtimer_cancel(&l->vtimer);
    l->armed_due = 0;
}

static void lapic_timer_start(struct lapic *l, uint32_t counts)
{
    l->missed = 0;
    if (!counts) {
        l->count_end = 0;
        return;
    }
    int64_t ns = lapic_counts_to_ns(l, counts);
    l->count_end = clock_now(lapic_vm(l)) + (ns > 0 ? ns : 1);
    lapic_timer_changed(l);
}

void lapic_timer_set_initial(struct lapic *l, uint32_t count)
{
    if (LVT_TIMER_MODE(l->lvt[LVT_TIMER]) == TIMER_TSC_DEADLINE)
        return; /* SDM 10.5.4.1: ignored in TSC-deadline mode */
    l->initial_count = count;
    lapic_timer_start(l, count);
}

void lapic_timer_set_divide(struct lapic *l, uint32_t dcr)
{
    uint32_t left = lapic_timer_current(l);
    l->dcr = dcr & 0xb;
    if (LVT_TIMER_MODE(l->lvt[LVT_TIMER]) != TIMER_TSC_DEADLINE)
        lapic_timer_start(l, left);
}

/* The LVT entry has the new mode already. A change between one-shot and periodic lets the count run on. */
void lapic_timer_mode_changed(struct lapic *l, unsigned from, unsigned to)
{
    if (from == to)
        return;
    if (from == TIMER_TSC_DEADLINE || to == TIMER_TSC_DEADLINE) {
        l->count_end = 0;
        l->tsc_deadline = 0;
        l->initial_count = 0;
        l->missed = 0;
    }
    lapic_timer_changed(l);
}

void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc)
{
    l->tsc_deadline = tsc;
    lapic_timer_changed(l);
}

void lapic_timer_eoi(struct lapic *l, uint8_t vector)
{
    uint32_t lvt = l->lvt[LVT_TIMER];
    if (!l->missed || (lvt & 0xff) != vector)
        return;
    if ((lvt & LVT_MASKED) || LVT_TIMER_MODE(lvt) != TIMER_PERIODIC) {
        l->missed = 0;
        return;
    }
    uint32_t missed = l->missed;
    if (lapic_accept(l, vector, false))
        atomic_compare_exchange_strong(&l->missed, &missed, missed - 1);
}

void lapic_timer_reset(struct lapic *l)
{
    l->initial_count = 0;
    l->dcr = 0;
    l->count_end = 0;
    l->tsc_deadline = 0;
    l->missed = 0;
}

void lapic_timer_init(struct lapic *l)
{
    lock_init(&l->arm_lock, RANK_INTR);
    vtimer_init(&l->vtimer, lapic_vm(l), lapic_fire, l);
    vtimer_of_vcpu(&l->vtimer, l->v);
}

void lapic_timer_fini(struct lapic *l)
{
    vtimer_cancel(&l->vtimer);
    lock_fini(&l->arm_lock);
}

void lapic_timer_loaded(struct lapic *l)
{
    l->dcr &= 0xb;
    if (l->count_end < 0)
        l->count_end = 0;
    /* Only armed: what has expired is raised when the machine runs. */
    int64_t due = lapic_timer_due(l);
    l->armed_due = due;
    if (due)
        vtimer_arm(&l->vtimer, due);
}
