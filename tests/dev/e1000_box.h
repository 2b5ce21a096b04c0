/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An 82545EM or 82574L with a ring of N descriptors each way, for the tests of both. */
#ifndef LODGE_TESTS_E1000_BOX_H
#define LODGE_TESTS_E1000_BOX_H

#include "net/e1000_regs.h"
#include "tests/dev/nicbox.h"

enum { TXR = 0x10000, RXR = 0x20000, BUF = 0x100000, RXB = 0x200000, N = 8 };

static uint8_t *ram;
static bool e; /* 82574 */

static inline void box(struct nicbox *x, const struct dev_class *c)
{
    memset(x, 0, sizeof *x);
    e = c == &e1000e_class;
    if (!nic_make(x, fakevm_new(16, 1), c, NULL, 0))
        exit(99);
    fakevm_reset(x->vm);
    ram = fakevm_ram(x->vm);
    nic_place(x->vm, 0, 2);
    net_set_link(&x->peer, true);
    fakevm_advance(x->vm, 50000000);
}
static inline void unbox(struct nicbox *x)
{
    nic_forget(x);
    fakevm_free(x->vm);
}

static inline void phy_w(struct nicbox *x, unsigned reg, uint16_t v) { nic_w(x, MDIC, 1u << 26 | 1u << 21 | reg << 16 | v); }

/* ---- transmit ---- */

static unsigned txt;
static inline void tx_setup(struct nicbox *x)
{
    memset(ram + TXR, 0, 16 * N);
    txt = 0;
    nic_w(x, TDBAL, TXR);
    nic_w(x, TDBAH, 0);
    nic_w(x, TDLEN, 16 * N);
    nic_w(x, TDH, 0);
    nic_w(x, TDT, 0);
    nic_w(x, TCTL, TCTL_EN | TCTL_PSP);
    nic_r(x, ICR);
    nic_r(x, GPTC);
    nic_forget(x);
}
static inline unsigned tx_desc(uint64_t addr, uint32_t lower, uint32_t upper)
{
    unsigned i = txt;
    st_le64(ram + TXR + 16 * i, addr);
    st_le32(ram + TXR + 16 * i + 8, lower);
    st_le32(ram + TXR + 16 * i + 12, upper);
    txt = (txt + 1) % N;
    return i;
}
static inline void tx_ctx(uint32_t ip, uint32_t tu, uint32_t cmd_len, unsigned hdrlen, unsigned mss)
{
    tx_desc(ip | (uint64_t)tu << 32, cmd_len | TXD_DEXT, hdrlen << 8 | (uint32_t)mss << 16);
}
static inline bool tx_done(unsigned i) { return ram[TXR + 16 * i + 12] & 1; }

/* ---- receive ---- */

static unsigned rxn;
static inline void rx_setup(struct nicbox *x, uint32_t rctl)
{
    memset(ram + RXR, 0, 32 * N);
    memset(ram + RXB, 0xee, 4096 * N);
    for (unsigned i = 0; i < N; i++)
        st_le64(ram + RXR + 16 * i, RXB + 2048 * i);
    rxn = 0;
    nic_w(x, RCTL, 0);
    if (e)
        nic_w(x, RFCTL, 0);
    nic_w(x, RDBAL, RXR);
    nic_w(x, RDBAH, 0);
    nic_w(x, RDLEN, 16 * N);
    nic_w(x, RDH, 0);
    nic_w(x, RDT, N - 1);
    nic_w(x, RCTL, rctl | RCTL_EN);
    nic_r(x, ICR);
}
static inline const uint8_t *rxd(unsigned i) { return ram + RXR + 16 * (i % N); }
static inline const uint8_t *rxbuf(unsigned i) { return ram + RXB + 2048 * (i % N); }

static inline bool arrives(struct nicbox *x, const uint8_t *f, size_t n)
{
    unsigned h = nic_r(x, RDH);
    nic_arrive(x, f, n, NULL);
    return nic_r(x, RDH) != h;
}

/* No interrupt is asked for, none is left. */
static inline void irqs_off(struct nicbox *x)
{
    nic_w(x, IMC, ~0u);
    nic_r(x, ICR);
}

#endif
