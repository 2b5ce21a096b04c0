/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts of the 8254x and 82574: causes and masks (SDM 13.4.17-21), the delays of finished transmits and receives
 * (TIDV, TADV, RDTR, RADV), the throttle (ITR, 13.4.18; EITR), and how they are told: the INTx level, one MSI message,
 * or on the 82574 five MSI-X vectors that IVAR gives to the causes (82574 7.4, 10.2.4).
 */
#include "net/e1000_private.h"

enum { ITR_UNIT = 256, DELAY_UNIT = 1024 }; /* ns; 1.024 us */

static int64_t now(struct e1000 *x) { return clock_now(x->pci.dev.vm); }

/* ---- MSI-X (82574 only): IVAR has four bits each for RxQ0, RxQ1, TxQ0, TxQ1 and the others ---- */

static const uint32_t ivar_cause[5] = {I_RXQ0, I_RXQ1, I_TXQ0, I_TXQ1, I_OTHER};

static uint32_t vector_causes(const struct e1000 *x, unsigned vec)
{
    uint32_t ivar = REG(x, IVAR), causes = 0;
    for (unsigned i = 0; i < 5; i++)
        if (ivar >> (4 * i) & 8 && (ivar >> (4 * i) & 7) == vec)
            causes |= ivar_cause[i];
    return causes;
}

static void msix_update(struct e1000 *x)
{
    int64_t t = now(x), wait = -1;
    for (unsigned vec = 0; vec < x->model->ivec; vec++) {
        uint32_t causes = vector_causes(x, vec), hot = REG(x, ICR) & REG(x, IMS) & causes;
        uint32_t itr = (REG(x, EITR + 4 * vec) & 0xffff) * (uint32_t)ITR_UNIT;
        if (!hot) {
            x->msix_sent &= (uint8_t)~(1u << vec);
            continue;
        }
        if (x->msix_sent >> vec & 1)
            continue;
        if (itr && t < x->irq_next[vec]) {
            if (wait < 0 || x->irq_next[vec] < wait)
                wait = x->irq_next[vec];
            continue;
        }
        x->irq_next[vec] = t + itr;
        e1000_count(x, IAC, 1);
        pci_msix_send(&x->pci, vec);
        /* EIAC: sending the message clears the cause; EIAME and IAM then mask it (82574 10.2.4.8, 10.2.4.9). */
        uint32_t clear = hot & REG(x, EIAC);
        REG(x, ICR) &= ~clear;
        if (REG(x, CTRL_EXT) & CTRL_EXT_EIAME)
            REG(x, IMS) &= ~(clear & REG(x, IAM));
        if (REG(x, ICR) & REG(x, IMS) & causes)
            x->msix_sent |= (uint8_t)(1u << vec);
    }
    if (wait >= 0)
        vtimer_arm(&x->itr, wait);
}

/* ---- one interrupt ---- */

void e1000_irq_update(struct e1000 *x)
{
    if (x->model->e && pci_msix_enabled(&x->pci)) {
        msix_update(x);
        return;
    }
    if (!(REG(x, ICR) & REG(x, IMS))) {
        if (x->line) {
            x->line = false;
            pci_set_intx(&x->pci, false);
        }
        return;
    }
    if (x->line)
        return;
    int64_t t = now(x), gap = (int64_t)(REG(x, ITR) & 0xffff) * ITR_UNIT;
    if (gap && t < x->irq_next[0]) {
        vtimer_arm(&x->itr, x->irq_next[0]);
        return;
    }
    x->irq_next[0] = t + gap;
    x->line = true;
    e1000_count(x, IAC, 1);
    if (pci_msi_enabled(&x->pci))
        pci_msi_send(&x->pci);
    else
        pci_set_intx(&x->pci, true);
}

static void itr_fire(void *dev) { e1000_irq_update(dev); }

void e1000_cause(struct e1000 *x, uint32_t bits)
{
    if (x->model->e && bits & (I_LSC | I_RXO | I_MDAC))
        bits |= I_OTHER;
    /* A cause that comes while its vector has been told, but not yet acknowledged, is told again. */
    if (x->msix_sent)
        for (unsigned vec = 0; vec < x->model->ivec; vec++)
            if (bits & vector_causes(x, vec))
                x->msix_sent &= (uint8_t)~(1u << vec);
    REG(x, ICR) |= bits;
    e1000_irq_update(x);
}

static void acknowledged(struct e1000 *x)
{
    /* With messages, what is left pending is told anew; a level just stays. */
    if (pci_msi_enabled(&x->pci))
        x->line = false;
    x->msix_sent = 0;
    e1000_irq_update(x);
}

uint32_t e1000_read_icr(struct e1000 *x)
{
    uint32_t v = REG(x, ICR);
    if (!x->model->e) {
        REG(x, ICR) = 0;
        acknowledged(x);
        return v;
    }
    /* 82574 10.2.4.1: reading clears when nothing is enabled, or when the interrupt is asserted; otherwise not. */
    bool asserted = x->line || x->msix_sent || v & REG(x, IMS);
    if (asserted)
        v |= I_INT_ASSERTED;
    if (!REG(x, IMS) || asserted) {
        REG(x, ICR) = 0;
        if (asserted && REG(x, CTRL_EXT) & CTRL_EXT_IAME)
            REG(x, IMS) &= ~REG(x, IAM);
        acknowledged(x);
    }
    return v;
}

void e1000_write_icr(struct e1000 *x, uint32_t v)
{
    bool asserted = REG(x, ICR) & REG(x, IMS);
    REG(x, ICR) &= ~v;
    if (x->model->e && asserted && REG(x, CTRL_EXT) & CTRL_EXT_IAME)
        REG(x, IMS) &= ~REG(x, IAM);
    acknowledged(x);
}

/* ---- delays ---- */

static void tx_fire(void *dev)
{
    struct e1000 *x = dev;
    x->tx_abs = 0;
    e1000_cause(x, x->model->e ? I_TXDW | I_TXQ0 : I_TXDW);
}

static void rx_fire(void *dev)
{
    struct e1000 *x = dev;
    x->rx_abs = 0;
    e1000_cause(x, x->model->e ? I_RXT0 | I_RXQ0 : I_RXT0);
}

void e1000_tx_flush(struct e1000 *x)
{
    if (vtimer_armed(&x->tx_delay)) {
        vtimer_cancel(&x->tx_delay);
        tx_fire(x);
    }
}

void e1000_rx_flush(struct e1000 *x)
{
    if (vtimer_armed(&x->rx_delay)) {
        vtimer_cancel(&x->rx_delay);
        rx_fire(x);
    }
}

/* Arms t delay from now, not beyond abs_delay after the first of this batch. */
static void arm_delay(struct e1000 *x, struct vtimer *t, int64_t *abs_at, uint32_t delay, uint32_t abs_delay)
{
    int64_t due = now(x) + (int64_t)delay * DELAY_UNIT;
    if (abs_delay && !*abs_at)
        *abs_at = now(x) + (int64_t)abs_delay * DELAY_UNIT;
    if (abs_delay && due > *abs_at)
        due = *abs_at;
    vtimer_arm(t, due);
}

void e1000_tx_done_cause(struct e1000 *x, unsigned q, bool delayed)
{
    uint32_t bits = I_TXDW | (x->model->e ? (q ? I_TXQ1 : I_TXQ0) : 0), tidv = REG(x, TIDV) & 0xffff;
    if (delayed && tidv && !q) {
        arm_delay(x, &x->tx_delay, &x->tx_abs, tidv, REG(x, TADV) & 0xffff);
        return;
    }
    vtimer_cancel(&x->tx_delay);
    x->tx_abs = 0;
    e1000_cause(x, bits);
}

void e1000_rx_done_cause(struct e1000 *x, unsigned q)
{
    uint32_t bits = I_RXT0 | (x->model->e ? (q ? I_RXQ1 : I_RXQ0) : 0), rdtr = REG(x, RDTR) & 0xffff;
    if (rdtr && !q) {
        arm_delay(x, &x->rx_delay, &x->rx_abs, rdtr, REG(x, RADV) & 0xffff);
        return;
    }
    e1000_cause(x, bits);
}

void e1000_irq_init(struct e1000 *x)
{
    struct vm *vm = x->pci.dev.vm;
    vtimer_init(&x->itr, vm, itr_fire, x);
    vtimer_init(&x->tx_delay, vm, tx_fire, x);
    vtimer_init(&x->rx_delay, vm, rx_fire, x);
    vtimer_init(&x->tx_more, vm, e1000_tx_timer, x);
    /* These three only raise interrupts, some microseconds after the driver's last word: a processor that waits does it itself. */
    x->itr.on_vcpu = x->tx_delay.on_vcpu = x->rx_delay.on_vcpu = true;
}

void e1000_irq_reset(struct e1000 *x)
{
    vtimer_cancel(&x->itr);
    vtimer_cancel(&x->tx_delay);
    vtimer_cancel(&x->rx_delay);
    vtimer_cancel(&x->tx_more);
    x->tx_abs = x->rx_abs = 0;
    x->msix_sent = 0;
    for (unsigned i = 0; i < E1000_VECTORS; i++)
        x->irq_next[i] = 0;
}
