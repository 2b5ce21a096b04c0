/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * High-precision event timers (IA-PC HPET specification 1.0a): one 64-bit up-counter and 3 to 32 comparators, all able to be periodic, routed
 * to IOAPIC pins, in place of PIT and RTC (legacy replacement), or as messages (FSB).
 *
 * Ticks of HPET_PERIOD_FS since power-on are derived from clock_now; the main counter is ticks + offset while it runs. Each timer keeps the tick
 * of its next match (`match`), so that the counter's own value and its wrap-around only matter when a match is computed.
 */
#include "chipset/hpet.h"

#include <string.h>

#include "core/memmap.h"
#include "core/vm.h"

enum { GCAP_ID = 0x000, GEN_CONF = 0x010, GINTR_STA = 0x020, MAIN_CNT = 0x0f0, T0 = 0x100 };
enum { T_CONF = 0x00, T_CMP = 0x08, T_FSB = 0x10 };
enum { ENABLE_CNF = 1, LEG_RT_CNF = 2 };
#define TN_INT_TYPE 0x0002u /* level */
#define TN_INT_ENB 0x0004u
#define TN_TYPE 0x0008u /* periodic */
#define TN_PER_CAP 0x0010u
#define TN_SIZE_CAP 0x0020u
#define TN_VAL_SET 0x0040u
#define TN_32MODE 0x0100u
#define TN_ROUTE(c) ((c) >> 9 & 31)
#define TN_ROUTE_MASK 0x3e00u
#define TN_FSB_EN 0x4000u
#define TN_FSB_CAP 0x8000u
#define TN_WRITABLE (TN_INT_TYPE | TN_INT_ENB | TN_TYPE | TN_VAL_SET | TN_32MODE | TN_ROUTE_MASK | TN_FSB_EN)
#define HPET_MAX 32
#define NEVER UINT64_MAX
#define MIN_TIMER_NS 50000

struct hpet_timer {
    struct hpet *h;
    unsigned n;
    uint32_t conf;      /* the writable bits */
    uint64_t cmp;       /* comparator: the next match of a periodic timer */
    uint64_t period;    /* the value last written to the comparator of a periodic timer */
    uint64_t fsb;       /* address in the high half, data in the low */
    uint64_t match;     /* tick of the next match */
    uint32_t owed;      /* periodic edges that came late */
    bool set_high;      /* VAL_SET was used by a write of the low half: the high half follows */
    bool line;          /* level interrupts: what we drive */
    struct vtimer timer;
};

struct hpet {
    struct dev dev;
    struct hpet_params p;
    uint64_t conf, sta;
    uint64_t counter; /* while halted: the value; while running: value - ticks */
    struct hpet_timer t[HPET_MAX];
    bool pit_level, rtc_level; /* inputs that legacy replacement cuts off */
    struct irq_sink legacy_in;
    struct memregion mr;
};

static uint64_t hpet_tick(struct hpet *h)
{
    return (uint64_t)((unsigned __int128)clock_now(h->dev.vm) * 1000000 / HPET_PERIOD_FS);
}

static int64_t hpet_tick_ns(uint64_t tick)
{
    unsigned __int128 ns = ((unsigned __int128)tick * HPET_PERIOD_FS + 999999) / 1000000;
    return ns > INT64_MAX ? INT64_MAX : (int64_t)ns;
}

static bool hpet_running(const struct hpet *h)
{
    return h->conf & ENABLE_CNF;
}

static uint64_t hpet_counter(struct hpet *h)
{
    return hpet_running(h) ? h->counter + hpet_tick(h) : h->counter;
}

static bool hpet_legacy(const struct hpet *h)
{
    return h->conf & LEG_RT_CNF;
}

/* The line that a timer drives; sink NULL when its route is not allowed. */
static struct irq_line hpet_line(const struct hpet_timer *t)
{
    const struct hpet *h = t->h;
    if (hpet_legacy(h) && t->n < 2)
        return t->n ? h->p.irq8 : h->p.irq0;
    unsigned pin = TN_ROUTE(t->conf);
    if (!(h->p.route_cap >> pin & 1))
        return (struct irq_line){0};
    return (struct irq_line){.sink = h->p.ioapic, .pin = pin, .src = h->p.ioapic_src};
}

/* Level interrupts follow the status bit. */
static void hpet_drive(struct hpet_timer *t, bool level)
{
    if (t->line == level)
        return;
    t->line = level;
    struct irq_line l = hpet_line(t);
    irq_set(&l, level);
}

static bool hpet_level(const struct hpet_timer *t)
{
    return hpet_running(t->h) && (t->h->sta >> t->n & 1) && (t->conf & TN_INT_ENB) && (t->conf & TN_INT_TYPE) && !(t->conf & TN_FSB_EN);
}

static void hpet_update_level(struct hpet_timer *t)
{
    hpet_drive(t, hpet_level(t));
}

static void hpet_interrupt(struct hpet_timer *t)
{
    struct hpet *h = t->h;
    if (t->conf & TN_INT_TYPE)
        h->sta |= 1ull << t->n; /* also when not enabled (2.3.8, Tn_INT_ENB_CNF) */
    if (!(t->conf & TN_INT_ENB))
        return;
    if (t->conf & TN_FSB_EN) {
        irq_msi(h->dev.vm, t->fsb >> 32, (uint32_t)t->fsb);
    } else if (t->conf & TN_INT_TYPE) {
        hpet_update_level(t);
    } else {
        struct irq_line l = hpet_line(t);
        irq_pulse(&l);
    }
}

static uint64_t hpet_period(const struct hpet_timer *t)
{
    return t->conf & TN_32MODE ? (uint32_t)t->period : t->period;
}

/* Computes `match` anew; after every change of comparator, counter or mode. */
static void hpet_set_match(struct hpet_timer *t)
{
    struct hpet *h = t->h;
    t->owed = 0;
    if (!hpet_running(h)) {
        t->match = NEVER;
        return;
    }
    uint64_t delta = t->cmp - hpet_counter(h);
    if (t->conf & TN_32MODE)
        delta = (uint32_t)delta;
    t->match = delta >> 62 ? NEVER : hpet_tick(h) + delta;
}

/* Brings comparator and status up to now; the number of matches that happened. */
static uint64_t hpet_sync(struct hpet_timer *t)
{
    uint64_t now = hpet_tick(t->h);
    if (t->match > now)
        return 0;
    uint64_t k = 1;
    if (t->conf & TN_TYPE) {
        uint64_t period = hpet_period(t);
        if (period && !(period >> 62)) {
            k = (now - t->match) / period + 1;
            t->cmp += k * period;
            t->match += k * period;
            if (t->match >> 62)
                t->match = NEVER;
        } else {
            t->match = NEVER;
        }
    } else {
        /* 32-bit one-shots match again at each wrap (2.3.9.2.1). */
        t->match = t->conf & TN_32MODE ? t->match + (((now - t->match) >> 32) + 1) * (1ull << 32) : NEVER;
    }
    if (t->conf & TN_32MODE)
        t->cmp = (uint32_t)t->cmp;
    return k;
}

static void hpet_arm(struct hpet_timer *t)
{
    int64_t now = clock_now(t->h->dev.vm), due = INT64_MAX;
    if (t->conf & TN_INT_ENB) {
        if (t->match != NEVER)
            due = hpet_tick_ns(t->match);
        if (t->owed) {
            int64_t soon = now + hpet_tick_ns(hpet_period(t)) / 4;
            if (soon < due)
                due = soon;
        }
        if (due < now + MIN_TIMER_NS && (t->conf & TN_TYPE))
            due = now + MIN_TIMER_NS;
    }
    if (due == INT64_MAX)
        vtimer_cancel(&t->timer);
    else
        vtimer_arm(&t->timer, due);
}

static void hpet_fire(void *dev)
{
    struct hpet_timer *t = dev;
    uint64_t ticks = hpet_sync(t) + t->owed;
    int64_t period = t->conf & TN_TYPE ? hpet_tick_ns(hpet_period(t)) : 0;
    bool edges = period >= MIN_TIMER_NS && (t->conf & TN_INT_ENB) && !(t->conf & (TN_INT_TYPE | TN_FSB_EN));
    struct irq_line l = hpet_line(t);
    /* As in the PIT: ticks that come late, or find the last one waiting for the CPU, are given soon, up to a second of them. */
    if (ticks && !(edges && irq_busy(&l))) {
        hpet_interrupt(t);
        ticks--;
    }
    uint64_t limit = edges ? 1000000000 / period + 1 : 0;
    t->owed = ticks < limit ? ticks : limit;
    hpet_arm(t);
}

/* A match that has passed without its timer: only the status bit is of interest. */
static void hpet_catch_up(struct hpet_timer *t)
{
    if (t->match <= hpet_tick(t->h) && !(t->conf & TN_INT_ENB)) {
        hpet_sync(t);
        hpet_interrupt(t);
    }
}

static void hpet_write_conf(struct hpet *h, uint64_t val)
{
    uint64_t old = h->conf;
    val &= ENABLE_CNF | LEG_RT_CNF;
    if ((old ^ val) & LEG_RT_CNF) {
        for (unsigned i = 0; i < 2; i++)
            hpet_drive(&h->t[i], false); /* off the old line */
        h->conf = (h->conf & ~(uint64_t)LEG_RT_CNF) | (val & LEG_RT_CNF);
        bool on = hpet_legacy(h);
        irq_set(&h->p.irq0, on ? h->t[0].line : h->pit_level);
        irq_set(&h->p.irq8, on ? h->t[1].line : h->rtc_level);
    }
    if ((old ^ val) & ENABLE_CNF) {
        for (unsigned i = 0; i < h->p.n_timers; i++)
            hpet_sync(&h->t[i]);
        if (val & ENABLE_CNF)
            h->counter -= hpet_tick(h);
        else
            h->counter += hpet_tick(h);
        h->conf = val;
        for (unsigned i = 0; i < h->p.n_timers; i++) {
            hpet_set_match(&h->t[i]);
            hpet_arm(&h->t[i]);
        }
    }
    for (unsigned i = 0; i < h->p.n_timers; i++)
        hpet_update_level(&h->t[i]);
}

static void hpet_write_timer_conf(struct hpet_timer *t, uint32_t val)
{
    struct hpet *h = t->h;
    uint32_t old = t->conf;
    hpet_catch_up(t);
    val &= TN_WRITABLE;
    if (!h->p.msi)
        val &= ~TN_FSB_EN;
    if (!(h->p.route_cap >> TN_ROUTE(val) & 1))
        val = (val & ~TN_ROUTE_MASK) | (old & TN_ROUTE_MASK); /* reads back different: not supported (2.3.8) */
    hpet_drive(t, false);
    t->conf = val;
    t->set_high = false;
    if (val & TN_32MODE) {
        t->cmp = (uint32_t)t->cmp;
        t->period = (uint32_t)t->period;
    }
    if (!(val & TN_INT_TYPE))
        h->sta &= ~(1ull << t->n);
    if ((old ^ val) & (TN_32MODE | TN_TYPE))
        hpet_set_match(t);
    hpet_update_level(t);
    hpet_arm(t);
}

static uint64_t merge(uint64_t old, uint64_t val, unsigned shift, unsigned size)
{
    if (size == 8)
        return val;
    uint64_t mask = 0xffffffffull << shift;
    return (old & ~mask) | (val << shift & mask);
}

static void hpet_write_cmp(struct hpet_timer *t, uint64_t val, unsigned shift, unsigned size)
{
    hpet_sync(t);
    if (t->conf & TN_32MODE) {
        if (shift)
            return;
        val = (uint32_t)val;
        size = 8;
    }
    if (!(t->conf & TN_TYPE)) {
        t->cmp = merge(t->cmp, val, shift, size);
    } else {
        if (shift == 0) {
            bool direct = t->conf & TN_VAL_SET;
            t->conf &= ~TN_VAL_SET;
            t->set_high = direct && size == 4;
            if (direct)
                t->cmp = merge(t->cmp, val, 0, size);
        } else if (t->set_high || (t->conf & TN_VAL_SET)) {
            t->cmp = merge(t->cmp, val, shift, size);
        }
        t->period = merge(t->period, val, shift, size);
    }
    hpet_set_match(t);
    hpet_arm(t);
}

static uint64_t hpet_read64(struct hpet *h, uint64_t reg)
{
    if (reg >= T0) {
        unsigned n = (reg - T0) / 0x20;
        if (n >= h->p.n_timers)
            return 0;
        struct hpet_timer *t = &h->t[n];
        switch (reg & 0x1f) {
        case T_CONF:
            return (uint64_t)h->p.route_cap << 32 | t->conf | TN_PER_CAP | TN_SIZE_CAP | (h->p.msi ? TN_FSB_CAP : 0);
        case T_CMP:
            hpet_catch_up(t);
            return t->cmp;
        case T_FSB:
            return t->fsb;
        default:
            return 0;
        }
    }
    switch (reg) {
    case GCAP_ID:
        return (uint64_t)HPET_PERIOD_FS << 32 | 0x8086a001u | (h->p.n_timers - 1) << 8;
    case GEN_CONF:
        return h->conf;
    case GINTR_STA:
        for (unsigned i = 0; i < h->p.n_timers; i++)
            hpet_catch_up(&h->t[i]);
        return h->sta;
    case MAIN_CNT:
        return hpet_counter(h);
    default:
        return 0;
    }
}

static uint64_t hpet_read(void *dev, uint64_t off, unsigned size)
{
    uint64_t v = hpet_read64(dev, off & 0x3f8);
    return size == 8 ? v : (uint32_t)(off & 4 ? v >> 32 : v);
}

static void hpet_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct hpet *h = dev;
    unsigned shift = size == 4 && (off & 4) ? 32 : 0;
    uint64_t reg = off & 0x3f8;
    if (reg >= T0) {
        unsigned n = (reg - T0) / 0x20;
        if (n >= h->p.n_timers)
            return;
        struct hpet_timer *t = &h->t[n];
        switch (reg & 0x1f) {
        case T_CONF:
            if (!shift)
                hpet_write_timer_conf(t, val);
            break;
        case T_CMP:
            hpet_write_cmp(t, val, shift, size);
            break;
        case T_FSB:
            t->fsb = merge(t->fsb, val, shift, size);
            break;
        }
        return;
    }
    switch (reg) {
    case GEN_CONF:
        if (!shift)
            hpet_write_conf(h, val);
        break;
    case GINTR_STA:
        for (unsigned i = 0; i < h->p.n_timers; i++)
            hpet_catch_up(&h->t[i]);
        h->sta &= ~(val << shift);
        for (unsigned i = 0; i < h->p.n_timers; i++)
            hpet_update_level(&h->t[i]);
        break;
    case MAIN_CNT: {
        uint64_t v = merge(hpet_counter(h), val, shift, size);
        for (unsigned i = 0; i < h->p.n_timers; i++)
            hpet_catch_up(&h->t[i]);
        h->counter = hpet_running(h) ? v - hpet_tick(h) : v;
        for (unsigned i = 0; i < h->p.n_timers; i++) {
            hpet_set_match(&h->t[i]);
            hpet_arm(&h->t[i]);
        }
        break;
    }
    }
}

static const struct io_ops hpet_ops = {.read = hpet_read, .write = hpet_write, .widths = IO_32 | IO_64};

/* PIT's OUT0 (pin 0) and the RTC's interrupt (pin 8). */
static void hpet_legacy_set(void *ctl, unsigned pin, unsigned src, bool level)
{
    struct hpet *h = ctl;
    if (pin == 0) {
        h->pit_level = level;
        if (!hpet_legacy(h))
            irq_set(&h->p.irq0, level);
    } else if (pin == 8) {
        h->rtc_level = level;
        if (!hpet_legacy(h))
            irq_set(&h->p.irq8, level);
    }
}

static bool hpet_legacy_busy(void *ctl, unsigned pin)
{
    struct hpet *h = ctl;
    return !hpet_legacy(h) && (pin == 0 ? irq_busy(&h->p.irq0) : pin == 8 && irq_busy(&h->p.irq8));
}

const struct irq_sink *hpet_legacy_sink(struct dev *dev)
{
    return &((struct hpet *)dev)->legacy_in;
}

static void hpet_reset(struct dev *dev, enum reset_kind k)
{
    struct hpet *h = (struct hpet *)dev;
    h->conf = h->sta = h->counter = 0;
    h->pit_level = h->rtc_level = false;
    for (unsigned i = 0; i < h->p.n_timers; i++) {
        struct hpet_timer *t = &h->t[i];
        vtimer_cancel(&t->timer);
        t->conf = 0;
        for (unsigned pin = 0; pin < 32; pin++) { /* routed to the first pin allowed */
            if (h->p.route_cap >> pin & 1) {
                t->conf = pin << 9;
                break;
            }
        }
        t->cmp = UINT64_MAX; /* 2.3.9 */
        t->period = t->fsb = 0;
        t->match = NEVER;
        t->owed = 0;
        t->set_high = t->line = false;
    }
}

static int hpet_init(struct dev *dev, const void *params, struct err *e)
{
    struct hpet *h = (struct hpet *)dev;
    h->p = *(const struct hpet_params *)params;
    if (h->p.n_timers < 3 || h->p.n_timers > HPET_MAX) {
        unsigned n = h->p.n_timers;
        h->p.n_timers = 0;
        return err_set(e, ERR_CONFIG, 0, "An HPET has 3 to 32 timers, not %u.", n);
    }
    for (unsigned i = 0; i < h->p.n_timers; i++) {
        h->t[i].h = h;
        h->t[i].n = i;
        vtimer_init(&h->t[i].timer, dev->vm, hpet_fire, &h->t[i]);
        h->t[i].timer.on_vcpu = true;
    }
    h->legacy_in = (struct irq_sink){.set = hpet_legacy_set, .ctl = h, .busy = hpet_legacy_busy};
    hpet_reset(dev, RESET_COLD);
    h->mr = (struct memregion){
        .owner = dev->id, .base = h->p.base, .size = 0x400, .kind = MR_MMIO, .enabled = true, .ops = &hpet_ops, .dev = h};
    memmap_begin(dev->vm);
    memmap_add(dev->vm, &h->mr);
    return memmap_commit(dev->vm, e);
}

static void hpet_destroy(struct dev *dev)
{
    struct hpet *h = (struct hpet *)dev;
    for (unsigned i = 0; i < h->p.n_timers; i++)
        vtimer_cancel(&h->t[i].timer);
}

static int hpet_post_load(void *dev, unsigned version, struct err *e)
{
    struct hpet *h = dev;
    h->conf &= ENABLE_CNF | LEG_RT_CNF;
    h->sta &= h->p.n_timers == 32 ? 0xffffffffu : (1u << h->p.n_timers) - 1;
    for (unsigned i = 0; i < h->p.n_timers; i++) {
        struct hpet_timer *t = &h->t[i];
        t->conf &= TN_WRITABLE;
        if (!h->p.msi)
            t->conf &= ~TN_FSB_EN;
        if (t->match >> 62 || !hpet_running(h))
            t->match = NEVER;
        if (!hpet_period(t) || !(t->conf & TN_TYPE))
            t->owed = 0;
        t->line = hpet_level(t); /* not driven: the other end saves its level */
        hpet_arm(t);
    }
    return 0;
}

static const struct state_field hpet_timer_fields[] = {
    SF(struct hpet_timer, conf, SF_U32),
    SF(struct hpet_timer, cmp, SF_U64),
    SF(struct hpet_timer, period, SF_U64),
    SF(struct hpet_timer, fsb, SF_U64),
    SF(struct hpet_timer, match, SF_U64),
    SF_MAX(struct hpet_timer, owed, SF_U32, 20001),
    SF(struct hpet_timer, set_high, SF_BOOL),
    {0},
};
static const struct state_desc hpet_timer_state = {.name = "timer", .version = 1, .min_version = 1, .fields = hpet_timer_fields};
static const struct state_field hpet_fields[] = {
    SF(struct hpet, conf, SF_U64),
    SF(struct hpet, sta, SF_U64),
    SF(struct hpet, counter, SF_U64),
    SF(struct hpet, pit_level, SF_BOOL),
    SF(struct hpet, rtc_level, SF_BOOL),
    {.name = "t", .off = offsetof(struct hpet, t), .count = HPET_MAX, .stride = sizeof(struct hpet_timer), .kind = SF_STRUCT,
     .sub = &hpet_timer_state},
    {0},
};
static const struct state_desc hpet_state = {
    .name = "hpet", .version = 1, .min_version = 1, .fields = hpet_fields, .post_load = hpet_post_load};

const struct dev_class hpet_class = {
    .name = "hpet",
    .size = sizeof(struct hpet),
    .init = hpet_init,
    .reset = hpet_reset,
    .destroy = hpet_destroy,
    .state = &hpet_state,
};
