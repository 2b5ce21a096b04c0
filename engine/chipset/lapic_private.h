/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by lapic.c (delivery), lapic_regs.c, lapic_dev.c and lapic_timer.c. See the comment at the top of lapic.c for who may touch what. */
#ifndef LODGE_CHIPSET_LAPIC_PRIVATE_H
#define LODGE_CHIPSET_LAPIC_PRIVATE_H

#include <stdatomic.h>

#include "base/lock.h"
#include "chipset/lapic.h"
#include "core/clock.h"

enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };
#define LVT_MASKED (1u << 16)
#define LVT_LEVEL (1u << 15)
#define LVT_REMOTE_IRR (1u << 14)
#define LVT_DM(v) ((v) >> 8 & 7)
#define LVT_TIMER_MODE(v) ((v) >> 17 & 3)
enum { TIMER_ONESHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };
enum { DM_FIXED, DM_LOWEST, DM_SMI, DM_NMI = 4, DM_INIT, DM_SIPI, DM_EXTINT };

enum {
    REG_ID = 0x02, REG_VERSION, REG_TPR = 0x08, REG_APR, REG_PPR, REG_EOI, REG_RRD, REG_LDR, REG_DFR, REG_SVR, REG_ISR = 0x10, REG_TMR = 0x18,
    REG_IRR = 0x20, REG_ESR = 0x28, REG_ICR_LOW = 0x30, REG_ICR_HIGH, REG_LVT = 0x32, REG_INITIAL = 0x38, REG_CURRENT, REG_DIVIDE = 0x3e,
    REG_SELF_IPI
};
enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800 };
#define BASE_BSP 0x100u
#define BASE_EXTD 0x400u
#define BASE_EN 0x800u
#define BASE_ADDR(b) ((b) & ~0xfffull)
#define BASE_DEFAULT 0xfee00000ull
#define SVR_ENABLE 0x100u
#define SVR_DIRECTED_EOI 0x1000u
#define SVR_RESET 0xffu
#define DFR_FLAT 0xffffffffu
enum { ESR_SEND_ILLEGAL = 0x20, ESR_RECV_ILLEGAL = 0x40, ESR_ILLEGAL_REG = 0x80 };
/* Version 15h, entries for timer, thermal, performance, LINT0, LINT1, error. */
#define VERSION (0x15u | (LVT_COUNT - 1) << 16)
#define VERSION_DIRECTED_EOI (1u << 24)
#define ICR_RESERVED_X2 0xfff32000u
#define ICR_LOGICAL (1u << 11)
#define ICR_BUSY (1u << 12)
#define ICR_ASSERT (1u << 14)
#define ICR_LEVEL (1u << 15)
#define X2_BROADCAST 0xffffffffu
enum lapic_shorthand { TO_DEST, TO_SELF, TO_ALL, TO_OTHERS };

struct lapic_dev;
struct lapic {
    struct lapic_dev *d;
    struct vcpu *v;
    uint32_t id; /* x2APIC id; its low byte is the xAPIC id */

    /* Invariant 1: written by any thread. */
    _Atomic uint32_t irr[8], tmr[8];
    _Atomic uint32_t esr_pending;
    _Atomic bool attn, init_pending, extint_msg;
    _Atomic bool init_wire; /* with init_pending: by the pin, so the first one gets its virtual wire back */

    /* Invariant 2: written by the owner, read by any thread. */
    _Atomic uint64_t base; /* IA32_APIC_BASE */
    _Atomic uint32_t svr, ldr, dfr, ppr, lvt[LVT_COUNT];

    /* Invariant 3: the owner's alone. */
    uint32_t isr[8], tpr, esr, icr_low, icr_high;
    int isr_top; /* highest vector in service, -1: none */

    /* The timer: lapic_timer.c. */
    _Atomic uint32_t initial_count, dcr;
    _Atomic int64_t count_end;     /* ns at which the current count reaches 0; 0: it stands at 0 */
    _Atomic uint64_t tsc_deadline; /* 0: disarmed */
    _Atomic uint32_t missed;       /* periodic ticks that found their predecessor still in IRR */
    _Atomic int64_t armed_due;     /* what vtimer is armed for; 0: not armed */
    struct lock arm_lock;
    struct vtimer vtimer;
};

struct lapic_window {
    struct lapic_dev *d;
    struct memregion mr;
};

struct lapic_dev {
    struct dev dev;
    struct lapic_params p;
    unsigned n;
    _Atomic bool lint[2];
    _Atomic unsigned rotate; /* lowest-priority arbitration starts here */
    void (*eoi)(void *u, uint8_t vector);
    void *eoi_u;
    struct lapic_window win[LAPIC_MAX + 1]; /* FEE00000h, then one for each relocated page */
    struct lapic l[LAPIC_MAX];
};

/* Puts an interrupt into IRR. False: it was there already (or the APIC does not accept it). [any] */
bool lapic_accept(struct lapic *l, uint8_t vector, bool level);
static inline struct vm *lapic_vm(struct lapic *l)
{
    return l->d->dev.vm;
}

static inline bool lapic_hw_enabled(struct lapic *l)
{
    return l->base & BASE_EN;
}

static inline bool lapic_x2(struct lapic *l)
{
    return l->base & BASE_EXTD;
}

static inline uint32_t lapic_x2_ldr(struct lapic *l)
{
    return l->id >> 4 << 16 | 1u << (l->id & 15);
}

static inline int lapic_highest(const uint32_t *w)
{
    for (int i = 7; i >= 0; i--)
        if (w[i])
            return i * 32 + 31 - __builtin_clz(w[i]);
    return -1;
}

static inline struct lapic *lapic_of(struct vcpu *v)
{
    return v->lapic;
}

/* lapic.c; the owner calls them unless said. */
void lapic_update_ppr(struct lapic *l);
void lapic_recheck(struct lapic *l);
void lapic_error(struct lapic *l, uint32_t bit);
void lapic_reset_registers(struct lapic *l);
void lapic_write_icr(struct lapic *l, uint32_t low, uint32_t dest);
void lapic_eoi(struct lapic *l);
void lapic_write_tpr(struct lapic *l, uint8_t val);
void lapic_lint_edge(struct lapic *l, unsigned pin);
bool lapic_takes_extint(struct lapic *l); /* [any] does LINT0 mean the PIC? */
void lapic_do_init(struct lapic *l);
static inline void lapic_sync(struct lapic *l) /* invariant 6 */
{
    if (__builtin_expect(l->init_pending, 0))
        lapic_do_init(l);
}

/* lapic_regs.c */
extern const uint32_t lapic_lvt_writable[LVT_COUNT];
extern const struct io_ops lapic_ops;
/* Pages of relocated APICs; FEE00000h is always there. [dev] */
int lapic_place(struct lapic_dev *d, struct err *e);

/* lapic_dev.c: the local APICs of the CPU back end; NULL: ours are in use. */
const struct lapic_host *lapic_host(const struct lapic_dev *d);

/* lapic_timer.c; the owner calls them unless said. */
void lapic_timer_init(struct lapic *l);
void lapic_timer_fini(struct lapic *l);
void lapic_timer_reset(struct lapic *l); /* [dev] or owner */
void lapic_timer_expire(struct lapic *l); /* raises what has expired [any] */
uint32_t lapic_timer_current(struct lapic *l);
void lapic_timer_set_initial(struct lapic *l, uint32_t count);
void lapic_timer_set_divide(struct lapic *l, uint32_t dcr);
void lapic_timer_mode_changed(struct lapic *l, unsigned from, unsigned to);
void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc);
void lapic_timer_eoi(struct lapic *l, uint8_t vector);
void lapic_timer_loaded(struct lapic *l); /* [main] after a state load */
void lapic_timer_stop(struct lapic *l);   /* [main] no vtimer: another local APIC keeps the time */
/* [main] the timer's state from the registers of another local APIC, and the counts that are left for one */
void lapic_timer_from_image(struct lapic *l, uint32_t initial, uint32_t current, uint32_t dcr, uint64_t deadline);
uint32_t lapic_timer_left(struct lapic *l);

#endif
