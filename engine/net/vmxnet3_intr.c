/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmxnet3's interrupts: masks, MSI-X, MSI, INTx, and how the driver may have them coalesced (SET_COALESCE, revision 3):
 * not at all, after so many completions, at most so many a second, or as the load asks for. Events are never held.
 */
#include "net/vmxnet3_private.h"

#include <string.h>

#include "base/log.h"
#include "core/vm.h"

enum { COAL_DISABLED = 0, COAL_ADAPT = 1, COAL_STATIC = 2, COAL_RBC = 3 }; /* enum vmxnet3_coalesce_mode */
enum { RBC_RATE = 1 }; /* words of the scheme, after the mode: RBC's; those of the static one */
enum { STATIC_TX_DEPTH = 1, STATIC_TX_COMP_DEPTH = 2, STATIC_RX_DEPTH = 3 };
enum { RBC_MIN = 100, RBC_MAX = 100000, DEPTH_MAX = 64 }; /* VMXNET3_COAL_RBC_*_RATE, VMXNET3_COAL_STATIC_MAX_DEPTH */

#define STATIC_WAIT 250000 /* ns that the first completion waits for the others */
#define WINDOW 1000000     /* ns; ADAPT looks at the load of the last one */

/* ---- one interrupt ---- */

void v3_intx_update(struct vmxnet3 *v) { pci_set_intx(&v->pci, v->intr_asserted); }

void v3_interrupt(struct vmxnet3 *v, unsigned n)
{
    uint32_t bit = 1u << n;
    if (v->intr_masked & bit) {
        v->intr_pending |= bit;
        return;
    }
    v->intr_pending &= ~bit;
    if (v->auto_mask)
        v->intr_masked |= bit;
    if (pci_msix_enabled(&v->pci)) {
        pci_msix_send(&v->pci, n);
    } else if (pci_msi_enabled(&v->pci)) {
        pci_msi_send(&v->pci);
    } else {
        v->intr_asserted |= bit;
        v3_intx_update(v);
    }
}

void v3_intr_mask(struct vmxnet3 *v, unsigned n, bool masked)
{
    uint32_t bit = 1u << n;
    if (masked) {
        v->intr_masked |= bit;
        return;
    }
    v->intr_masked &= ~bit;
    if (v->intr_pending & bit)
        v3_interrupt(v, n);
    /* A driver unmasks when it has emptied its completion rings, and so has given buffers back. */
    for (unsigned i = 0; i < v->n_rxq; i++)
        if (v->rx[i].intr == n)
            v3_rx_kick(v, i);
}

/* ---- coalescing ---- */

/* ns from an interrupt to the next. ADAPT: none for a trickle, so that a question has its answer at once. */
static int64_t gap(struct vmxnet3 *v, struct v3_moderation *m, int64_t now)
{
    if (v->coalesce[0] == COAL_RBC)
        return 1000000000 / (int64_t)v->coalesce[RBC_RATE];
    if (v->coalesce[0] != COAL_ADAPT)
        return 0;
    if (now - m->window >= WINDOW) {
        m->busy = (uint32_t)(m->seen * (int64_t)WINDOW / (now - m->window));
        m->window = now;
        m->seen = 0;
    }
    return m->busy < 16 ? 0 : m->busy < 64 ? 50000 : 125000;
}

static void let_go(struct vmxnet3 *v, unsigned n, int64_t now)
{
    struct v3_moderation *m = &v->moderation[n];
    v->intr_held &= ~(1u << n);
    m->done[0] = m->done[1] = 0;
    m->due = now + gap(v, m, now);
    v3_interrupt(v, n);
}

static void hold(struct vmxnet3 *v, unsigned n, int64_t due)
{
    v->intr_held |= 1u << n;
    v->moderation[n].due = due;
    if (!vtimer_armed(&v->coalesced) || due < v->coalesced.due)
        vtimer_arm(&v->coalesced, due);
}

void v3_completed(struct vmxnet3 *v, unsigned n, bool rx, unsigned count)
{
    struct v3_moderation *m = &v->moderation[n];
    bool held = v->intr_held >> n & 1;
    if (v->coalesce[0] == COAL_DISABLED) {
        v3_interrupt(v, n);
        return;
    }
    int64_t now = clock_now(v->pci.dev.vm);
    m->done[rx] += count;
    m->seen += count;
    if (v->coalesce[0] == COAL_STATIC) {
        if (m->done[rx] >= v->coalesce[rx ? STATIC_RX_DEPTH : STATIC_TX_COMP_DEPTH])
            let_go(v, n, now);
        else if (!held)
            hold(v, n, now + STATIC_WAIT);
    } else if (now >= m->due) {
        let_go(v, n, now);
    } else if (!held) {
        hold(v, n, m->due);
    }
}

static void coalesced(void *dev)
{
    struct vmxnet3 *v = dev;
    int64_t now = clock_now(v->pci.dev.vm), next = INT64_MAX;
    for (unsigned n = 0; v->intr_held >> n; n++) {
        if (!(v->intr_held >> n & 1))
            continue;
        if (v->moderation[n].due <= now)
            let_go(v, n, now);
        else if (v->moderation[n].due < next)
            next = v->moderation[n].due;
    }
    if (next != INT64_MAX)
        vtimer_arm(&v->coalesced, next);
}

static uint32_t within(uint32_t x, uint32_t lo, uint32_t hi) { return x < lo ? lo : x > hi ? hi : x; }

static bool take_scheme(struct vmxnet3 *v, const uint32_t scheme[4])
{
    uint32_t s[4] = {scheme[0]};
    switch (s[0]) {
    case COAL_DISABLED:
    case COAL_ADAPT: break;
    case COAL_STATIC:
        /* The first of them, how many packets the driver may gather before it rings, has no part in interrupts. */
        for (unsigned i = STATIC_TX_DEPTH; i <= STATIC_RX_DEPTH; i++)
            s[i] = within(scheme[i], 1, DEPTH_MAX);
        break;
    case COAL_RBC: s[RBC_RATE] = within(scheme[RBC_RATE], RBC_MIN, RBC_MAX); break;
    default: return false;
    }
    memcpy(v->coalesce, s, sizeof s);
    memset(v->moderation, 0, sizeof v->moderation);
    return true;
}

void v3_set_coalesce(struct vmxnet3 *v, const uint32_t scheme[4])
{
    if (!take_scheme(v, scheme))
        guest_error("vmxnet3", "coalescing scheme %u", scheme[0]);
    else if (v->intr_held)
        coalesced(v); /* nothing has to wait any more */
}

void v3_intr_loaded(struct vmxnet3 *v)
{
    uint32_t s[4];
    memcpy(s, v->coalesce, sizeof s);
    if (!take_scheme(v, s))
        memset(v->coalesce, 0, sizeof v->coalesce);
    if (v->intr_held)
        vtimer_arm(&v->coalesced, clock_now(v->pci.dev.vm));
}

void v3_intr_quiesce(struct vmxnet3 *v)
{
    v->intr_held = 0;
    vtimer_cancel(&v->coalesced);
}

void v3_intr_forget(struct vmxnet3 *v)
{
    v->intr_masked = (1u << V3_INTRS) - 1;
    v->intr_pending = v->intr_asserted = 0;
    v3_intr_quiesce(v);
    memset(v->moderation, 0, sizeof v->moderation);
}

void v3_intr_init(struct vmxnet3 *v)
{
    vtimer_init(&v->coalesced, v->pci.dev.vm, coalesced, v);
    v->coalesced.on_vcpu = true;
}
