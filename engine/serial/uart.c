/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * National PC16550D UART: FIFOs, modem lines, loopback, interrupt priorities. Data sheet: TL/C/8652.
 *
 * Speed: bytes go to the back end as soon as they are written, so a guest that polls LSR is not held to the baud rate. An interrupt-driven
 * guest gets THRE again after a short time, so that one interrupt never turns into an endless one (THRE_NS for each byte). When the
 * back end does not take a byte, it stays in the transmit FIFO and THRE stays clear: that is how a slow reader is felt.
 * Received bytes come as the FIFO has room: the back end keeps the rest. OUT2 gates the interrupt, as on PC boards.
 */
#include "serial/uart.h"

#include <string.h>

#include "base/log.h"
#include "core/vm.h"

enum {
    RBR_THR_DLL = 0,
    IER_DLM = 1,
    IIR_FCR = 2,
    LCR = 3,
    MCR = 4,
    LSR = 5,
    MSR = 6,
    SCR = 7,

    IER_ERBFI = 1,
    IER_ETBEI = 2,
    IER_ELSI = 4,
    IER_EDSSI = 8,

    IIR_NONE = 1,
    IIR_MSI = 0,
    IIR_THRI = 2,
    IIR_RDI = 4,
    IIR_RLSI = 6,
    IIR_CTI = 0x0c,
    IIR_FIFO = 0xc0,

    FCR_ENABLE = 1,
    FCR_CLEAR_RX = 2,
    FCR_CLEAR_TX = 4,
    FCR_KEPT = 0xc9, /* enable, DMA mode, trigger */

    LCR_BREAK = 0x40,
    LCR_DLAB = 0x80,

    MCR_DTR = 1,
    MCR_RTS = 2,
    MCR_OUT1 = 4,
    MCR_OUT2 = 8,
    MCR_LOOP = 0x10,

    LSR_DR = 1,
    LSR_OE = 2,
    LSR_PE = 4,
    LSR_FE = 8,
    LSR_BI = 0x10,
    LSR_ERRORS = LSR_OE | LSR_PE | LSR_FE | LSR_BI,
    LSR_THRE = 0x20,
    LSR_TEMT = 0x40,

    MSR_DCTS = 1,
    MSR_DDSR = 2,
    MSR_TERI = 4,
    MSR_DDCD = 8,
    MSR_CTS = 0x10,
    MSR_DSR = 0x20,
    MSR_RI = 0x40,
    MSR_DCD = 0x80,

    FIFO = 16,
    THRE_NS = 5000,
};

struct uart_fifo {
    uint8_t b[FIFO], n, first;
};

struct uart {
    struct dev dev;
    struct port_range ports;
    struct irq_line irq;
    struct chardev *chr;
    bool carrier;
    struct vtimer rx_timeout, thre_again;
    /* guest-visible */
    uint8_t ier, fcr, lcr, mcr, lsr_errors, msr, scr, rbr;
    uint16_t dl;
    struct uart_fifo rx, tx;
    bool thre_ipending; /* THRE interrupt latched; cleared by reading IIR when it is the source, or by writing THR */
    bool rx_timed_out;  /* characters wait, and none came or was read for four character times */
};

/* ---- FIFOs ---- */

static unsigned capacity(const struct uart *u) { return u->fcr & FCR_ENABLE ? FIFO : 1; }

static void fifo_put(struct uart_fifo *f, uint8_t v) { f->b[(f->first + f->n++) % FIFO] = v; }

static uint8_t fifo_get(struct uart_fifo *f)
{
    uint8_t v = f->b[f->first];
    f->first = (f->first + 1) % FIFO;
    f->n--;
    return v;
}

static unsigned rx_trigger(const struct uart *u)
{
    static const uint8_t level[4] = {1, 4, 8, 14};
    return u->fcr & FCR_ENABLE ? level[u->fcr >> 6] : 1;
}

/* Start, data, parity and stop bits at the rate of the divisor (1.8432 MHz / 16). */
static int64_t char_ns(const struct uart *u)
{
    unsigned bits = 1 + 5 + (u->lcr & 3) + (u->lcr >> 3 & 1) + (u->lcr & 4 ? 2 : 1);
    return (int64_t)bits * (u->dl ? u->dl : 65536) * 1000000000 / 115200;
}

/* ---- interrupts ---- */

static uint8_t iir_now(const struct uart *u)
{
    if (u->ier & IER_ELSI && u->lsr_errors)
        return IIR_RLSI;
    if (u->ier & IER_ERBFI && u->rx.n >= rx_trigger(u))
        return IIR_RDI;
    if (u->ier & IER_ERBFI && u->rx_timed_out && u->rx.n)
        return IIR_CTI;
    if (u->ier & IER_ETBEI && u->thre_ipending)
        return IIR_THRI;
    if (u->ier & IER_EDSSI && u->msr & 0x0f)
        return IIR_MSI;
    return IIR_NONE;
}

static void irq_update(struct uart *u) { irq_set(&u->irq, iir_now(u) != IIR_NONE && (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2); }

static int64_t now(struct uart *u) { return clock_now(u->dev.vm); }

/* Called when a character came or was read. */
static void rx_touched(struct uart *u)
{
    u->rx_timed_out = false;
    if (u->rx.n && u->fcr & FCR_ENABLE)
        vtimer_arm(&u->rx_timeout, now(u) + 4 * char_ns(u));
    else
        vtimer_cancel(&u->rx_timeout);
}

static void rx_timeout_fire(void *dev)
{
    struct uart *u = dev;
    u->rx_timed_out = u->rx.n != 0;
    irq_update(u);
}

static void thre_again_fire(void *dev)
{
    struct uart *u = dev;
    if (!u->tx.n)
        u->thre_ipending = true;
    irq_update(u);
}

/* ---- data ---- */

static void rx_byte(struct uart *u, uint8_t v)
{
    if (u->rx.n >= capacity(u)) {
        u->lsr_errors |= LSR_OE; /* the FIFO is kept, the shift register lost (6.0); without FIFOs the new character replaces the old */
        if (!(u->fcr & FCR_ENABLE))
            u->rx.b[u->rx.first] = v;
        return;
    }
    fifo_put(&u->rx, v);
}

static void tx_flush(struct uart *u)
{
    if (!u->tx.n)
        return;
    while (u->tx.n) {
        if (u->mcr & MCR_LOOP) {
            rx_byte(u, fifo_get(&u->tx));
            rx_touched(u);
            continue;
        }
        unsigned run = FIFO - u->tx.first < u->tx.n ? FIFO - u->tx.first : u->tx.n;
        size_t n = u->chr ? u->chr->ops->write(u->chr, u->tx.b + u->tx.first, run) : run;
        if (n > run)
            n = run;
        u->tx.first = (uint8_t)((u->tx.first + n) % FIFO);
        u->tx.n -= (uint8_t)n;
        if (n < run)
            return; /* writable() will call again */
    }
}

static void tx_byte(struct uart *u, uint8_t v)
{
    if (u->tx.n >= capacity(u)) {
        /* A guest that does not look at THRE overwrites the holding register or loses into a full FIFO. */
        if (!(u->fcr & FCR_ENABLE))
            u->tx.b[u->tx.first] = v;
        return;
    }
    fifo_put(&u->tx, v);
    u->thre_ipending = false;
    tx_flush(u);
    if (u->tx.n)
        return;
    /* Each byte moves the next THRE interrupt: a burst of 16 costs 16 x THRE_NS. */
    int64_t t = now(u);
    int64_t from = vtimer_armed(&u->thre_again) && u->thre_again.due > t ? u->thre_again.due : t;
    int64_t latest = t + FIFO * THRE_NS;
    vtimer_arm(&u->thre_again, from + THRE_NS < latest ? from + THRE_NS : latest);
}

/* ---- modem lines ---- */

static uint8_t msr_lines(const struct uart *u)
{
    if (u->mcr & MCR_LOOP)
        return (uint8_t)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) | (u->mcr & MCR_OUT1 ? MSR_RI : 0) |
                         (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
    return u->carrier ? MSR_CTS | MSR_DSR | MSR_DCD : 0;
}

static void msr_update(struct uart *u)
{
    uint8_t old = u->msr & 0xf0, lines = msr_lines(u), diff = old ^ lines;
    u->msr = lines | (u->msr & 0x0f);
    if (diff & MSR_CTS)
        u->msr |= MSR_DCTS;
    if (diff & MSR_DSR)
        u->msr |= MSR_DDSR;
    if (old & ~lines & MSR_RI)
        u->msr |= MSR_TERI;
    if (diff & MSR_DCD)
        u->msr |= MSR_DDCD;
}

static void lines_out(struct uart *u)
{
    bool on = !(u->mcr & MCR_LOOP);
    if (u->chr && u->chr->ops->set_lines)
        u->chr->ops->set_lines(u->chr, on && u->mcr & MCR_DTR, on && u->mcr & MCR_RTS);
}

static void take_input(struct uart *u)
{
    if (u->chr && u->chr->ops->accept && u->rx.n < capacity(u) && !(u->mcr & MCR_LOOP))
        u->chr->ops->accept(u->chr);
}

/* ---- registers ---- */

static uint64_t uart_read(void *dev, uint64_t off, unsigned size)
{
    struct uart *u = dev;
    uint8_t v;
    switch (off) {
    case RBR_THR_DLL:
        if (u->lcr & LCR_DLAB)
            return u->dl & 0xff;
        if (!u->rx.n)
            return u->rbr;
        v = u->rbr = fifo_get(&u->rx);
        rx_touched(u);
        take_input(u);
        break;
    case IER_DLM: return u->lcr & LCR_DLAB ? u->dl >> 8 : u->ier;
    case IIR_FCR:
        v = iir_now(u);
        if (v == IIR_THRI)
            u->thre_ipending = false;
        v |= u->fcr & FCR_ENABLE ? IIR_FIFO : 0;
        break;
    case LCR: return u->lcr;
    case MCR: return u->mcr;
    case LSR:
        v = (uint8_t)((u->rx.n ? LSR_DR : 0) | u->lsr_errors | (u->tx.n ? 0 : LSR_THRE | LSR_TEMT));
        u->lsr_errors = 0;
        break;
    case MSR:
        v = u->msr;
        u->msr &= 0xf0;
        break;
    default: return u->scr;
    }
    irq_update(u);
    return v;
}

static void write_fcr(struct uart *u, uint8_t v)
{
    bool changed = (v ^ u->fcr) & FCR_ENABLE;
    if (changed)
        v |= FCR_CLEAR_RX | FCR_CLEAR_TX; /* switching between the modes clears both (8.4) */
    if (v & FCR_CLEAR_RX) {
        u->rx.n = 0;
        rx_touched(u);
    }
    if (v & FCR_CLEAR_TX && u->tx.n) {
        u->tx.n = 0;
        u->thre_ipending = true;
    }
    /* The other bits are not programmed unless bit 0 is written as 1. */
    u->fcr = v & FCR_ENABLE ? v & FCR_KEPT : 0;
    take_input(u);
}

static void uart_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct uart *u = dev;
    uint8_t v = (uint8_t)val, old;
    switch (off) {
    case RBR_THR_DLL:
        if (u->lcr & LCR_DLAB)
            u->dl = (u->dl & 0xff00) | v;
        else
            tx_byte(u, v);
        break;
    case IER_DLM:
        if (u->lcr & LCR_DLAB) {
            u->dl = (uint16_t)((u->dl & 0xff) | v << 8);
            break;
        }
        old = u->ier;
        u->ier = v & 0x0f;
        /* Enabling the THRE interrupt while the transmitter is empty raises it (8.6). */
        if (~old & v & IER_ETBEI && !u->tx.n)
            u->thre_ipending = true;
        break;
    case IIR_FCR: write_fcr(u, v); break;
    case LCR:
        old = u->lcr;
        u->lcr = v;
        if (u->mcr & MCR_LOOP && ~old & v & LCR_BREAK) { /* the receiver sees the line go to space */
            rx_byte(u, 0);
            u->lsr_errors |= LSR_BI;
            rx_touched(u);
        }
        break;
    case MCR:
        u->mcr = v & 0x1f;
        msr_update(u);
        lines_out(u);
        tx_flush(u);
        take_input(u);
        break;
    case MSR: break; /* factory testing only */
    case LSR: break;
    default: u->scr = v;
    }
    irq_update(u);
}

static const struct io_ops uart_ops = {.read = uart_read, .write = uart_write, .widths = IO_8};

/* ---- the back end's side ---- */

static size_t uart_room(void *front)
{
    struct uart *u = front;
    return u->mcr & MCR_LOOP ? 0 : capacity(u) - u->rx.n;
}

static void uart_rx(void *front, const uint8_t *buf, size_t n)
{
    struct uart *u = front;
    if (u->mcr & MCR_LOOP)
        return;
    for (size_t i = 0; i < n; i++)
        rx_byte(u, buf[i]);
    rx_touched(u);
    irq_update(u);
}

static void uart_writable(void *front)
{
    struct uart *u = front;
    bool was = u->tx.n != 0;
    tx_flush(u);
    if (was && !u->tx.n)
        u->thre_ipending = true;
    irq_update(u);
}

static void uart_carrier(void *front, bool connected)
{
    struct uart *u = front;
    u->carrier = connected;
    msr_update(u);
    irq_update(u);
}

static void attach(struct uart *u, struct chardev *c)
{
    u->chr = c;
    if (!c)
        return;
    c->rx = uart_rx;
    c->room = uart_room;
    c->writable = uart_writable;
    c->carrier = uart_carrier;
    c->front = u;
}

void uart_connect(struct dev *d, struct chardev *c)
{
    struct uart *u = (struct uart *)d;
    if (u->chr) {
        u->chr->rx = NULL;
        u->chr->room = NULL;
        u->chr->writable = NULL;
        u->chr->carrier = NULL;
        u->chr->front = NULL;
    }
    attach(u, c);
    u->carrier = c && !c->alone;
    msr_update(u);
    lines_out(u);
    uart_writable(u);
    take_input(u);
    irq_update(u);
}

/* ---- the device ---- */

static int uart_init(struct dev *d, const void *params, struct err *e)
{
    struct uart *u = (struct uart *)d;
    const struct uart_params *p = params;
    u->irq = p->irq;
    vtimer_init(&u->rx_timeout, d->vm, rx_timeout_fire, u);
    vtimer_init(&u->thre_again, d->vm, thre_again_fire, u);
    u->carrier = p->chr && !p->chr->alone;
    u->ports = (struct port_range){d->id, p->base, 8, &uart_ops, u};
    if (port_claim(d->vm, &u->ports, e))
        return -1;
    attach(u, p->chr);
    return 0;
}

static void uart_reset(struct dev *d, enum reset_kind k)
{
    struct uart *u = (struct uart *)d;
    vtimer_cancel(&u->rx_timeout);
    vtimer_cancel(&u->thre_again);
    /* Master reset (table I) leaves the divisor latch and scratch register undefined: 0 and 12 (9600 baud). */
    u->ier = u->fcr = u->lcr = u->mcr = u->lsr_errors = u->scr = u->rbr = 0;
    u->dl = 12;
    u->rx = u->tx = (struct uart_fifo){0};
    u->thre_ipending = u->rx_timed_out = false;
    u->msr = msr_lines(u);
}

static void uart_reset_done(struct dev *d)
{
    struct uart *u = (struct uart *)d;
    lines_out(u);
    irq_update(u);
    take_input(u);
}

static const struct state_field fifo_fields[] = {
    SF_BUF(struct uart_fifo, b),
    SF_MAX(struct uart_fifo, n, SF_U8, FIFO),
    SF_MAX(struct uart_fifo, first, SF_U8, FIFO - 1),
    {0},
};
static const struct state_desc fifo_state = {.name = "uart_fifo", .version = 1, .min_version = 1, .fields = fifo_fields};

static const struct state_field uart_fields[] = {
    SF_MAX(struct uart, ier, SF_U8, 0x0f),
    SF(struct uart, fcr, SF_U8),
    SF(struct uart, lcr, SF_U8),
    SF_MAX(struct uart, mcr, SF_U8, 0x1f),
    SF(struct uart, lsr_errors, SF_U8),
    SF(struct uart, msr, SF_U8),
    SF(struct uart, scr, SF_U8),
    SF(struct uart, rbr, SF_U8),
    SF(struct uart, dl, SF_U16),
    {.name = "rx", .off = offsetof(struct uart, rx), .count = 1, .stride = sizeof(struct uart_fifo), .kind = SF_STRUCT, .sub = &fifo_state},
    {.name = "tx", .off = offsetof(struct uart, tx), .count = 1, .stride = sizeof(struct uart_fifo), .kind = SF_STRUCT, .sub = &fifo_state},
    SF(struct uart, thre_ipending, SF_BOOL),
    SF(struct uart, rx_timed_out, SF_BOOL),
    SF(struct uart, rx_timeout, SF_VTIMER),
    SF(struct uart, thre_again, SF_VTIMER),
    {0},
};

static int uart_post_load(void *dev, unsigned version, struct err *e)
{
    struct uart *u = dev;
    u->fcr &= FCR_KEPT;
    u->lsr_errors &= LSR_ERRORS;
    if (u->rx.n > capacity(u) || u->tx.n > capacity(u))
        return err_set(e, ERR_CORRUPT, 0, "a FIFO holds more than it can.");
    msr_update(u); /* the cable may be another than when the state was saved */
    lines_out(u);
    irq_update(u);
    return 0;
}

static const struct state_desc uart_state = {
    .name = "uart", .version = 1, .min_version = 1, .fields = uart_fields, .post_load = uart_post_load};

const struct dev_class uart_class = {
    .name = "uart",
    .size = sizeof(struct uart),
    .init = uart_init,
    .reset = uart_reset,
    .reset_done = uart_reset_done,
    .state = &uart_state,
};
