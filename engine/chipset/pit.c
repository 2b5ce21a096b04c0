/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 8254 programmable interval timer (82C54 data sheet) and the PC's port 61h (NMI status and control, 82371AB).
 *
 * Nothing counts here: each counter remembers the clock tick at which its counting element was loaded, and CE and OUT at any moment follow
 * from the elapsed ticks. Only OUT0 needs a timer, for its rising edges (IRQ0); between two of them the line may stay high, because only the
 * edge has an effect. A tick is 88000/105 ns: CLK is 14.31818 MHz / 12.
 *
 * A count written at tick t is loaded at t + 1. In modes 2 and 3 a count that is written while counting is loaded at the end of the
 * period (mode 3: half period): `pending` holds it until then.
 */
#include "chipset/pit.h"

#include <string.h>

#include "core/iobus.h"
#include "core/vm.h"

enum { RW_LATCH, RW_LSB, RW_MSB, RW_BOTH };
enum { RB_COUNT_N = 0x20, RB_STATUS_N = 0x10 };
enum { P61_GATE2 = 0x01, P61_SPKR = 0x02, P61_WRITABLE = 0x0f, P61_REFRESH = 0x10, P61_OUT2 = 0x20 };
#define REFRESH_NS 15085  /* counter 1's usual period: 18 ticks */
#define MIN_TIMER_NS 50000 /* no guest makes the host wake more often than this for one timer */
#define NEVER UINT64_MAX
#define TICK_BASE 0x100000u /* the tick at power-on: a count may have been loaded "before" */
#define TICK_MAX ((uint64_t)1 << 47) /* limit of saved ticks: 3 years */

struct i8254_counter {
    uint8_t control;   /* RW1:0, M2:0, BCD as written */
    bool gate;
    bool loaded;       /* a count was written (modes 1, 5: and a trigger came) since the control word */
    bool armed;        /* modes 1, 5: count written, waiting for the trigger */
    bool paused;       /* modes 0, 4: the gate is low; `held` ticks had elapsed. Modes 2, 3: stopped, OUT high */
    bool pending;      /* modes 2, 3: next_n is loaded at next_start */
    bool half;         /* mode 3: next_start is the middle of a period */
    bool msb_next_write, msb_next_read, count_latched, status_latched;
    uint8_t lsb, status;
    uint16_t latch;
    uint16_t cr;       /* the count as written, binary */
    uint32_t n, next_n; /* ticks: 1..65536 */
    uint64_t start, next_start, held; /* tick of the load into CE; see above */
};

struct pit {
    struct dev dev;
    struct i8254_counter c[3];
    uint8_t p61;
    struct pit_params p;
    struct vtimer timer;
    uint64_t edge;  /* tick of the next rising edge of OUT0 */
    uint32_t owed;  /* edges that came late and are still to be given */
    bool irq;
    struct port_range regs, port61;
};

static uint64_t pit_tick(struct pit *p)
{
    return (uint64_t)clock_now(p->dev.vm) * 105 / 88000 + TICK_BASE;
}

static int64_t pit_tick_ns(uint64_t tick)
{
    return (int64_t)(((tick - TICK_BASE) * 88000 + 104) / 105);
}

static unsigned pit_mode(const struct i8254_counter *c)
{
    unsigned m = c->control >> 1 & 7;
    return m > 5 ? m & 3 : m;
}

/* Ticks of the high part of a mode-3 period. */
static uint32_t pit_high(uint32_t n)
{
    return (n + 1) / 2;
}

/* A pending count becomes current when its time has come. */
static void pit_sync(struct i8254_counter *c, uint64_t t)
{
    if (c->pending && t >= c->next_start) {
        c->pending = false;
        c->n = c->next_n;
        c->start = c->next_start;
        /* Loaded in the middle of a square wave: the second half of the new period follows. next_start is the boundary. */
        if (c->half)
            c->start -= pit_high(c->n);
        c->half = false;
    }
}

static uint64_t pit_elapsed(const struct i8254_counter *c, uint64_t t)
{
    if (c->paused)
        return c->held;
    return t > c->start ? t - c->start : 0;
}

static bool pit_out(struct i8254_counter *c, uint64_t t)
{
    unsigned mode = pit_mode(c);
    pit_sync(c, t);
    if (!c->loaded)
        return mode != 0;
    if ((mode == 2 || mode == 3) && c->paused)
        return true;
    uint64_t el = pit_elapsed(c, t);
    switch (mode) {
    case 0:
        return el >= c->n;
    case 1:
        return el >= c->n;
    case 2:
        return el % c->n != c->n - 1;
    case 3:
        return el % c->n < pit_high(c->n);
    default:
        return el != c->n;
    }
}

static uint16_t pit_to_bcd(uint32_t v)
{
    v %= 10000;
    return v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 << 12;
}

/* The counting element as the output latch sees it. */
static uint16_t pit_ce(struct i8254_counter *c, uint64_t t)
{
    pit_sync(c, t);
    if (!c->loaded)
        return 0;
    uint64_t el = pit_elapsed(c, t);
    uint32_t v;
    switch (pit_mode(c)) {
    case 2:
        v = c->n - el % c->n;
        break;
    case 3: {
        uint32_t k = el % c->n, high = pit_high(c->n);
        v = (c->n & ~1u) - 2 * (k < high ? k : k - high);
        break;
    }
    default: /* counts on through zero */
        if (c->control & 1)
            v = (c->n + 10000 - el % 10000) % 10000;
        else
            v = c->n - (uint32_t)el;
        break;
    }
    return c->control & 1 ? pit_to_bcd(v) : v;
}

/* Tick of the first rising edge of OUT after t. */
static uint64_t pit_next_edge(const struct i8254_counter *c, uint64_t t)
{
    if (!c->loaded || c->paused)
        return NEVER;
    uint64_t e;
    switch (pit_mode(c)) {
    case 0:
    case 1:
        e = c->start + c->n;
        return e > t ? e : NEVER;
    case 2:
    case 3:
        if (c->n < 2)
            return NEVER;
        e = t < c->start ? c->start + c->n : t + c->n - (t - c->start) % c->n;
        if (c->pending && e >= c->next_start) {
            /* The current period ends at next_start; at a half-period boundary OUT falls there and rises after the new low half. */
            if (c->half)
                return c->next_start + c->next_n - pit_high(c->next_n);
            return c->next_start > t ? c->next_start : c->next_start + c->next_n;
        }
        return e;
    default:
        e = c->start + c->n + 1;
        return e > t ? e : NEVER;
    }
}

static void pit_irq(struct pit *p, bool level)
{
    if (p->irq != level) {
        p->irq = level;
        irq_set(&p->p.irq0, level);
    }
}

/* Brings IRQ0 to OUT0's level and arms the timer for the next edge; after every change of counter 0. */
static void pit_rearm(struct pit *p)
{
    struct i8254_counter *c = &p->c[0];
    uint64_t t = pit_tick(p);
    pit_irq(p, pit_out(c, t));
    p->owed = 0;
    p->edge = pit_next_edge(c, t);
    if (p->edge == NEVER)
        vtimer_cancel(&p->timer);
    else
        vtimer_arm(&p->timer, pit_tick_ns(p->edge));
}

static void pit_fire(void *dev)
{
    struct pit *p = dev;
    struct i8254_counter *c = &p->c[0];
    uint64_t t = pit_tick(p), ticks = p->owed;
    int64_t now = clock_now(p->dev.vm), period = c->n * 838;
    bool periodic = !c->pending && (pit_mode(c) == 2 || pit_mode(c) == 3) && period >= MIN_TIMER_NS;
    if (p->edge <= t) {
        ticks += 1 + (periodic ? (t - p->edge) / c->n : 0);
        pit_sync(c, t);
        p->edge = pit_next_edge(c, t);
    }
    /*
     * Guests keep time by this tick. When the last one waits for the CPU still, or several periods have passed at once, the rest is given soon
     * instead of getting lost; more than a second of it is not made up for.
     */
    if (ticks && !(periodic && irq_busy(&p->p.irq0))) {
        pit_irq(p, false);
        pit_irq(p, true);
        ticks--;
    }
    uint64_t limit = periodic ? 1193182 / c->n + 1 : 0;
    p->owed = ticks < limit ? ticks : limit;
    int64_t due = p->edge == NEVER ? INT64_MAX : pit_tick_ns(p->edge);
    if (p->owed && now + period / 4 < due)
        due = now + period / 4;
    if (due == INT64_MAX)
        return;
    if (due < now + MIN_TIMER_NS && pit_mode(c) >= 2)
        due = now + MIN_TIMER_NS;
    vtimer_arm(&p->timer, due);
}

static uint32_t pit_ticks_of(const struct i8254_counter *c)
{
    if (c->control & 1) {
        uint32_t n = (c->cr & 15) + (c->cr >> 4 & 15) * 10 + (c->cr >> 8 & 15) * 100 + (c->cr >> 12) * 1000;
        return n ? n : 10000;
    }
    return c->cr ? c->cr : 65536;
}

/* A complete count was written. */
static void pit_load(struct i8254_counter *c, uint64_t t)
{
    uint32_t n = pit_ticks_of(c);
    unsigned mode = pit_mode(c);
    pit_sync(c, t);
    switch (mode) {
    case 1:
    case 5:
        c->armed = true; /* loaded by the next trigger; a one-shot that runs is not disturbed */
        return;
    case 0:
    case 4:
        c->n = n;
        c->start = t + 1;
        c->held = 0;
        c->loaded = true;
        c->paused = !c->gate;
        return;
    default:
        if (!c->loaded || c->paused) {
            c->n = n;
            c->start = t + 1;
            c->held = 0;
            c->loaded = true;
            c->paused = !c->gate;
            c->pending = c->half = false;
            return;
        }
        uint64_t k = t > c->start ? (t - c->start) % c->n : 0, base = t > c->start ? t : c->start;
        c->pending = true;
        c->next_n = n;
        c->half = false;
        if (mode == 3 && k < pit_high(c->n) && c->n > 1) {
            c->next_start = base - k + pit_high(c->n);
            c->half = true;
        } else {
            c->next_start = base - k + c->n;
        }
    }
}

static void pit_gate(struct pit *p, unsigned i, bool gate)
{
    struct i8254_counter *c = &p->c[i];
    uint64_t t = pit_tick(p);
    if (c->gate == gate)
        return;
    pit_sync(c, t);
    unsigned mode = pit_mode(c);
    c->gate = gate;
    switch (mode) {
    case 0:
    case 4:
        if (!c->loaded)
            break;
        if (!gate && !c->paused) {
            c->held = pit_elapsed(c, t);
            c->paused = true;
        } else if (gate && c->paused) {
            c->paused = false;
            c->start = t - (c->held < t ? c->held : t);
        }
        break;
    case 2:
    case 3:
        if (!c->loaded)
            break;
        c->pending = c->half = false;
        c->held = 0;
        if (gate) { /* trigger: reload, with the newest count */
            c->n = pit_ticks_of(c);
            c->start = t + 1;
        }
        c->paused = !gate;
        break;
    default:
        if (gate && (c->armed || c->loaded)) {
            c->n = pit_ticks_of(c);
            c->start = t + 1;
            c->loaded = true;
            c->armed = false;
        }
        break;
    }
}

static void pit_latch_count(struct i8254_counter *c, uint64_t t)
{
    if (c->count_latched)
        return; /* the first latch holds until it is read */
    c->latch = pit_ce(c, t);
    c->count_latched = true;
    c->msb_next_read = false;
}

static void pit_latch_status(struct i8254_counter *c, uint64_t t)
{
    if (c->status_latched)
        return;
    bool out = pit_out(c, t);
    bool null_count = !c->loaded || c->armed || c->pending || c->msb_next_write || t < c->start;
    c->status = out << 7 | null_count << 6 | (c->control & 0x3f);
    c->status_latched = true;
}

static void pit_write_control(struct pit *p, uint8_t val)
{
    uint64_t t = pit_tick(p);
    unsigned sel = val >> 6;
    if (sel == 3) { /* read-back command */
        for (unsigned i = 0; i < 3; i++) {
            if (!(val & 2u << i))
                continue;
            if (!(val & RB_COUNT_N))
                pit_latch_count(&p->c[i], t);
            if (!(val & RB_STATUS_N))
                pit_latch_status(&p->c[i], t);
        }
        return;
    }
    struct i8254_counter *c = &p->c[sel];
    if ((val >> 4 & 3) == RW_LATCH) {
        pit_latch_count(c, t);
        return;
    }
    bool gate = c->gate;
    *c = (struct i8254_counter){.control = val & 0x3f, .gate = gate, .n = 1};
    if (sel == 0)
        pit_rearm(p);
}

static void pit_speaker(struct pit *p)
{
    struct i8254_counter *c = &p->c[2];
    if (p->p.speaker) {
        bool tone = (p->p61 & P61_GATE2) && c->loaded && pit_mode(c) == 3;
        p->p.speaker(p->p.speaker_u, p->p61 & P61_SPKR, tone ? (c->pending ? c->next_n : c->n) : 0);
    }
}

static void pit_write_count(struct pit *p, unsigned i, uint8_t val)
{
    struct i8254_counter *c = &p->c[i];
    uint64_t t = pit_tick(p);
    switch (c->control >> 4 & 3) {
    case RW_LSB:
        c->cr = val;
        break;
    case RW_MSB:
        c->cr = val << 8;
        break;
    case RW_BOTH:
        if (!c->msb_next_write) {
            c->lsb = val;
            c->msb_next_write = true;
            if (pit_mode(c) == 0) {
                c->loaded = false; /* the first byte stops mode 0 and sets OUT low */
                if (i == 0)
                    pit_rearm(p);
            }
            return;
        }
        c->msb_next_write = false;
        c->cr = c->lsb | val << 8;
        break;
    default: /* no control word yet */
        return;
    }
    pit_load(c, t);
    if (i == 0)
        pit_rearm(p);
    if (i == 2)
        pit_speaker(p);
}

static void pit_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pit *p = dev;
    if (off == 3)
        pit_write_control(p, val);
    else
        pit_write_count(p, off & 3, val);
}

static uint64_t pit_read(void *dev, uint64_t off, unsigned size)
{
    struct pit *p = dev;
    if (off > 2)
        return 0xff; /* the control register cannot be read */
    struct i8254_counter *c = &p->c[off];
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    uint16_t v = c->count_latched ? c->latch : pit_ce(c, pit_tick(p));
    switch (c->control >> 4 & 3) {
    case RW_MSB:
        c->count_latched = false;
        return v >> 8;
    case RW_BOTH:
        if (!c->msb_next_read) {
            c->msb_next_read = true;
            return v & 0xff;
        }
        c->msb_next_read = false;
        c->count_latched = false;
        return v >> 8;
    default:
        c->count_latched = false;
        return v & 0xff;
    }
}

static uint64_t pit_read61(void *dev, uint64_t off, unsigned size)
{
    struct pit *p = dev;
    uint8_t v = p->p61;
    if (clock_now(p->dev.vm) / REFRESH_NS & 1)
        v |= P61_REFRESH;
    if (pit_out(&p->c[2], pit_tick(p)))
        v |= P61_OUT2;
    return v;
}

static void pit_write61(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pit *p = dev;
    p->p61 = val & P61_WRITABLE;
    pit_gate(p, 2, val & P61_GATE2);
    pit_speaker(p);
}

static const struct io_ops pit_ops = {.read = pit_read, .write = pit_write, .widths = IO_8};
static const struct io_ops pit_ops61 = {.read = pit_read61, .write = pit_write61, .widths = IO_8};

static void pit_reset(struct dev *dev, enum reset_kind k)
{
    struct pit *p = (struct pit *)dev;
    for (unsigned i = 0; i < 3; i++)
        p->c[i] = (struct i8254_counter){.gate = i != 2, .n = 1};
    p->p61 = 0;
    p->edge = NEVER;
    p->owed = 0;
    p->irq = false;
    vtimer_cancel(&p->timer);
}

static void pit_reset_done(struct dev *dev)
{
    struct pit *p = (struct pit *)dev;
    irq_set(&p->p.irq0, p->irq);
}

static int pit_init(struct dev *dev, const void *params, struct err *e)
{
    struct pit *p = (struct pit *)dev;
    p->p = *(const struct pit_params *)params;
    vtimer_init(&p->timer, dev->vm, pit_fire, p);
    p->timer.on_vcpu = true;
    p->regs = (struct port_range){.owner = dev->id, .first = 0x40, .count = 4, .ops = &pit_ops, .dev = p};
    p->port61 = (struct port_range){.owner = dev->id, .first = 0x61, .count = 1, .ops = &pit_ops61, .dev = p};
    pit_reset(dev, RESET_COLD);
    if (port_claim(dev->vm, &p->regs, e) < 0)
        return -1;
    return port_claim(dev->vm, &p->port61, e);
}

static void pit_destroy(struct dev *dev)
{
    vtimer_cancel(&((struct pit *)dev)->timer);
}

static int pit_post_load(void *dev, unsigned version, struct err *e)
{
    struct pit *p = dev;
    p->p61 &= P61_WRITABLE;
    for (unsigned i = 0; i < 3; i++) {
        struct i8254_counter *c = &p->c[i];
        if (c->n == 0 || (c->pending && c->next_n == 0))
            return err_set(e, ERR_CORRUPT, 0, "The saved state of the timer has a count of zero.");
    }
    if (p->edge < TICK_BASE || p->edge > TICK_MAX)
        p->edge = NEVER;
    else
        vtimer_arm(&p->timer, pit_tick_ns(p->edge));
    return 0;
}

static const struct state_field i8254_fields[] = {
    SF_MAX(struct i8254_counter, control, SF_U8, 0x3f),
    SF(struct i8254_counter, gate, SF_BOOL),
    SF(struct i8254_counter, loaded, SF_BOOL),
    SF(struct i8254_counter, armed, SF_BOOL),
    SF(struct i8254_counter, paused, SF_BOOL),
    SF(struct i8254_counter, pending, SF_BOOL),
    SF(struct i8254_counter, half, SF_BOOL),
    SF(struct i8254_counter, msb_next_write, SF_BOOL),
    SF(struct i8254_counter, msb_next_read, SF_BOOL),
    SF(struct i8254_counter, count_latched, SF_BOOL),
    SF(struct i8254_counter, status_latched, SF_BOOL),
    SF(struct i8254_counter, lsb, SF_U8),
    SF(struct i8254_counter, status, SF_U8),
    SF(struct i8254_counter, latch, SF_U16),
    SF(struct i8254_counter, cr, SF_U16),
    SF_MAX(struct i8254_counter, n, SF_U32, 65536),
    SF_MAX(struct i8254_counter, next_n, SF_U32, 65536),
    SF_MAX(struct i8254_counter, start, SF_U64, TICK_MAX),
    SF_MAX(struct i8254_counter, next_start, SF_U64, TICK_MAX),
    SF_MAX(struct i8254_counter, held, SF_U64, TICK_MAX),
    {0},
};
static const struct state_desc i8254_state = {.name = "i8254", .version = 1, .min_version = 1, .fields = i8254_fields};
static const struct state_field pit_fields[] = {
    {.name = "c", .off = offsetof(struct pit, c), .count = 3, .stride = sizeof(struct i8254_counter), .kind = SF_STRUCT, .sub = &i8254_state},
    SF(struct pit, p61, SF_U8),
    SF(struct pit, edge, SF_U64),
    SF_MAX(struct pit, owed, SF_U32, 1193182),
    SF(struct pit, irq, SF_BOOL),
    {0},
};
static const struct state_desc pit_state = {
    .name = "pit", .version = 1, .min_version = 1, .fields = pit_fields, .post_load = pit_post_load};

const struct dev_class pit_class = {
    .name = "pit",
    .size = sizeof(struct pit),
    .init = pit_init,
    .reset = pit_reset,
    .reset_done = pit_reset_done,
    .destroy = pit_destroy,
    .state = &pit_state,
};
