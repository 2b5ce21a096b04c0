/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers of the 8254x (SDM chapter 13) and 82574 (data sheet chapter 10): which exist, which bits a write changes,
 * their values after reset, and those whose access does something. Also the I/O window (IOADDR, IODATA; SDM 13.4.1).
 */
#include <string.h>

#include "net/e1000_private.h"

struct reg_row {
    uint16_t first, last; /* both included */
    uint32_t wmask, reset;
};

/* In both chips. */
static const struct reg_row common_regs[] = {
    {CTRL_EXT, CTRL_EXT, 0xffffffff, 0},
    {FLA, FLA, 0x3f, 0},
    {FCAL, FCAL, 0xffffffff, 0},
    {FCAH, FCAH, 0xffff, 0},
    {FCT, FCT, 0xffff, 0},
    {VET, VET, 0xffff, 0x8100},
    {ITR, ITR, 0xffff, 0},
    {FCTTV, FCTTV, 0xffff, 0},
    {TXCW, TXCW, 0xc000ffff, 0},
    {TCTL, TCTL, 0x1ffffffa, 0},
    {TIPG, TIPG, 0x3fffffff, 0},
    {AIT, AIT, 0xffff, 0},
    {LEDCTL, LEDCTL, 0xdfdfdfcf, 0x07068302},
    {FCRTL, FCRTL, 0x8000fff8, 0},
    {FCRTH, FCRTH, 0xfff8, 0},
    {RDFH, RDFH, 0x1fff, 0},
    {RDFT, RDFT, 0x1fff, 0},
    {RDFHS, RDFHS, 0x1fff, 0},
    {RDFTS, RDFTS, 0x1fff, 0},
    {RDFPC, RDFPC, 0x1fff, 0},
    {RDBAL, RDBAL, 0xfffffff0, 0},
    {RDBAH, RDBAH, 0xffffffff, 0},
    {RDLEN, RDLEN, 0xfff80, 0},
    {RDH, RDH, 0xffff, 0},
    {RDT, RDT, 0xffff, 0},
    {RDTR, RDTR, 0xffff, 0},
    {RXDCTL, RXDCTL, 0x013f3f3f, 0x00010000},
    {RADV, RADV, 0xffff, 0},
    {RSRPD, RSRPD, 0xfff, 0},
    {TDFH, TDFH, 0x1fff, 0},
    {TDFT, TDFT, 0x1fff, 0},
    {TDFHS, TDFHS, 0x1fff, 0},
    {TDFTS, TDFTS, 0x1fff, 0},
    {TDFPC, TDFPC, 0x1fff, 0},
    {TDBAL, TDBAL, 0xfffffff0, 0},
    {TDBAH, TDBAH, 0xffffffff, 0},
    {TDLEN, TDLEN, 0xfff80, 0},
    {TDH, TDH, 0xffff, 0},
    {TDT, TDT, 0xffff, 0},
    {TIDV, TIDV, 0xffff, 0},
    {TXDCTL, TXDCTL, 0xff7f3f3f, 0},
    {TADV, TADV, 0xffff, 0},
    {TSPMT, TSPMT, 0xffffffff, 0x01000400},
    {RXCSUM, RXCSUM, 0x7ff, 0},
    {MTA, MTA + 0x1fc, 0xffffffff, 0},
    {VFTA, VFTA + 0x1fc, 0xffffffff, 0},
    {WUFC, WUFC, 0x000f80ff, 0},
    {MANC, MANC, 0xffffffff, 0},
    {IPAV, IPAV, 0x1000f, 0},
    {IP4AT, IP4AT + 0x18, 0xffffffff, 0},
    {IP6AT, IP6AT + 0xc, 0xffffffff, 0},
    {FFLT, FFLT + 0x18, 0x7ff, 0},
    {FFMT, FFMT + 0x3f8, 0xf, 0},
    {FFVT, FFVT + 0x3f8, 0xffffffff, 0},
};
static const struct reg_row i8254x_regs[] = {
    {CTRL, CTRL, 0x7bffffff & ~CTRL_RST, 0x00100241}, /* full duplex, set link up, 1000 Mb/s, D3 wake-up capability */
    {TBT, TBT, 0xffff, 0},
    {PBA, PBA, 0xffff, 0x00100030}, /* 48 KiB for receive, 16 for transmit */
    {WUC, WUC, 0x0b, 0},
};
static const struct reg_row i82574_regs[] = {
    {CTRL, CTRL, 0x7bffffff & ~CTRL_RST, 0x00100241},
    {EIAC, EIAC, 0x01f00000, 0},
    {IAM, IAM, 0xffffffff, 0},
    {IVAR, IVAR, 0x800fffff, 0},
    {EITR, EITR + 0x10, 0xffff, 0},
    {EXTCNF_CTRL, EXTCNF_CTRL, 0xffffffff, 0},
    {EXTCNF_SIZE, EXTCNF_SIZE, 0xffffffff, 0},
    {PHY_CTRL, PHY_CTRL, 0xffffffff, 0},
    {PBA, PBA, 0xffff, 0x00140014}, /* 20 KiB each */
    {PBS, PBS, 0xffff, 0x28},
    {EEMNGCTL, EEMNGCTL, 0xfff8ffff, 0x00040000 | 1u << 18},
    {FLOP, FLOP, 0xffffff, 0},
    {PSRCTL, PSRCTL, 0x3f3f3f7f, 0x00040402},
    {FCRTV, FCRTV, 0xffff, 0},
    {RDBAL + 0x100, RDBAL + 0x100, 0xfffffff0, 0},
    {RDBAH + 0x100, RDBAH + 0x100, 0xffffffff, 0},
    {RDLEN + 0x100, RDLEN + 0x100, 0xfff80, 0},
    {RDH + 0x100, RDH + 0x100, 0xffff, 0},
    {RDT + 0x100, RDT + 0x100, 0xffff, 0},
    {RXDCTL + 0x100, RXDCTL + 0x100, 0x013f3f3f, 0x00010000},
    {RAID, RAID, 0xffff, 0},
    {TDBAL + 0x100, TDBAL + 0x100, 0xfffffff0, 0},
    {TDBAH + 0x100, TDBAH + 0x100, 0xffffffff, 0},
    {TDLEN + 0x100, TDLEN + 0x100, 0xfff80, 0},
    {TDH + 0x100, TDH + 0x100, 0xffff, 0},
    {TDT + 0x100, TDT + 0x100, 0xffff, 0},
    {TXDCTL + 0x100, TXDCTL + 0x100, 0xff7f3f3f, 0},
    {TARC, TARC, 0xffffffff, 0x00000403},
    {TARC + 0x100, TARC + 0x100, 0xffffffff, 0x00000403},
    {RXCSUM, RXCSUM, 0x37ff, 0x0300},
    {RFCTL, RFCTL, 0xffffffff, 0},
    {WUC, WUC, 0x0b, 0},
    {MRQC, MRQC, 0xffff0003, 0},
    {GCR, GCR, 0xffffffff, 0},
    {GSCL_1, GSCL_1 + 0xc, 0xffffffff, 0},
    {GSCN_0, GSCN_0 + 0xc, 0xffffffff, 0},
    {GCR2, GCR2, 0xffffffff, 0},
    {FWSM, FWSM, 0xffffffff, 0},
    {RETA, RETA + 0x7c, 0x80808080, 0},
    {RSSRK, RSSRK + 0x24, 0xffffffff, 0},
    {SYSTIML, SYSTIML, 0, 0},
    {TSYNCTXCTL, TSYNCTXCTL, 0x10, 0},
    {TSYNCRXCTL, TSYNCRXCTL, 0x1e, 0},
    {TIMADJL, TIMADJL, 0xffffffff, 0},
    {RXMTRL, RXMTRL, 0xffffffff, 0x000088f7},
    {RXUDP, RXUDP, 0xffff, 0x3f01},
};

static void each_row(struct e1000 *x, const struct reg_row *r, size_t n, bool masks)
{
    for (size_t i = 0; i < n; i++)
        for (unsigned off = r[i].first; off <= r[i].last; off += 4) {
            if (masks)
                x->wmask[off / 4] = r[i].wmask;
            else
                REG(x, off) = r[i].reset;
        }
}

static void all_rows(struct e1000 *x, bool masks)
{
    each_row(x, common_regs, sizeof common_regs / sizeof *common_regs, masks);
    if (x->model->e)
        each_row(x, i82574_regs, sizeof i82574_regs / sizeof *i82574_regs, masks);
    else
        each_row(x, i8254x_regs, sizeof i8254x_regs / sizeof *i8254x_regs, masks);
}

void e1000_make_masks(struct e1000 *x)
{
    all_rows(x, true);
    for (unsigned i = 0; i < 16; i++) {
        x->wmask[(RA + 8 * i) / 4] = 0xffffffff;
        x->wmask[(RA + 8 * i + 4) / 4] = 0x8003ffff;
    }
}

/* ---- what several writes end in ---- */

void e1000_update_status(struct e1000 *x)
{
    uint32_t old = REG(x, STATUS), v = 0;
    bool fd, up = e1000_link_up(x);
    unsigned speed = e1000_phy_speed(x, &fd);
    if (REG(x, CTRL) & CTRL_FRCSPD)
        speed = REG(x, CTRL) >> 8 & 3;
    if (REG(x, CTRL) & CTRL_FRCDPX)
        fd = REG(x, CTRL) & CTRL_FD;
    if (speed == 3)
        speed = 2;
    if (up)
        v |= STATUS_LU;
    if (fd)
        v |= STATUS_FD;
    v |= speed << STATUS_SPEED_SHIFT | speed << 8;
    if (x->model->e) {
        v |= old & STATUS_PHYRA;
        if (!(REG(x, CTRL) & CTRL_GIO_MASTER_DISABLE))
            v |= STATUS_GIO_MASTER;
    } else {
        v |= 1 << 10 | 1 << 11; /* clock of the transmitter is there; 66 MHz bus */
    }
    REG(x, STATUS) = v;
    if ((old ^ v) & STATUS_LU)
        e1000_cause(x, I_LSC);
}

void e1000_mac_changed(struct e1000 *x)
{
    uint32_t lo = REG(x, RA), hi = REG(x, RA + 4);
    if (!(hi >> 31))
        return;
    st_le32(x->port->mac, lo);
    st_le16(x->port->mac + 4, (uint16_t)hi);
}

void e1000_mac_reset(struct e1000 *x)
{
    uint32_t status = REG(x, STATUS);
    e1000_irq_reset(x);
    memset(x->reg, 0, sizeof x->reg);
    all_rows(x, false);
    memset(x->ctx, 0, sizeof x->ctx);
    memset(x->tx_skip, 0, sizeof x->tx_skip);
    x->systim_at = clock_now(x->pci.dev.vm);
    REG(x, STATUS) = status & (STATUS_LU | STATUS_PHYRA);
    e1000_nvm_load_mac(x);
}

void e1000_count_size(struct e1000 *x, unsigned first, uint32_t size)
{
    unsigned i = size <= 64 ? 0 : size <= 127 ? 1 : size <= 255 ? 2 : size <= 511 ? 3 : size <= 1023 ? 4 : 5;
    e1000_count(x, first + 4 * i, 1);
}

/* ---- SYSTIM (82574 10.2.9): counts incvalue every incperiod ticks of 40 ns ---- */

static uint64_t systim(const struct e1000 *x)
{
    uint32_t inca = REG(x, TIMINCA), period = inca >> 24 ? inca >> 24 : 256;
    uint64_t ticks = (uint64_t)(clock_now(x->pci.dev.vm) - x->systim_at) / 40 / period;
    return (REG(x, SYSTIML) | (uint64_t)REG(x, SYSTIMH) << 32) + ticks * (inca & 0xffffff);
}

static void systim_set(struct e1000 *x, uint64_t v)
{
    REG(x, SYSTIML) = (uint32_t)v;
    REG(x, SYSTIMH) = (uint32_t)(v >> 32);
    x->systim_at = clock_now(x->pci.dev.vm);
}

/* ---- access ---- */

/* The 82542's places of registers, which all later chips answer at too (SDM 13.3, 82574 10.2.1.1). */
static unsigned alias(unsigned off)
{
    switch (off) {
    case 0x0004: return CTRL;
    case 0x0108: return RDTR;
    case 0x0110: return RDBAL;
    case 0x0114: return RDBAH;
    case 0x0118: return RDLEN;
    case 0x0120: return RDH;
    case 0x0128: return RDT;
    case 0x0160: return FCRTL;
    case 0x0168: return FCRTH;
    case 0x0420: return TDBAL;
    case 0x0424: return TDBAH;
    case 0x0428: return TDLEN;
    case 0x0430: return TDH;
    case 0x0438: return TDT;
    case 0x0440: return TIDV;
    }
    if (off >= 0x0040 && off < 0x00c0)
        return off - 0x0040 + RA;
    if (off >= 0x0200 && off < 0x0400)
        return off - 0x0200 + MTA;
    if (off >= 0x0600 && off < 0x0800)
        return off - 0x0600 + VFTA;
    return off;
}

static uint32_t reg_read(struct e1000 *x, unsigned off)
{
    if (off >= E1000_REGS_END)
        return 0;
    off = alias(off & ~3u);
    switch (off) {
    case EECD: return e1000_read_eecd(x);
    case ICR: return e1000_read_icr(x);
    case ICS: return x->model->e ? REG(x, ICR) : 0; /* write-only in the 8254x */
    case IMC:
    case RXCW: return 0;
    case SWSM: {
        uint32_t v = REG(x, SWSM);
        if (!x->model->e)
            return 0;
        REG(x, SWSM) |= 1; /* SMBI: reading takes the semaphore */
        return v;
    }
    case FACTPS: return x->model->e ? 1u << 29 : 0; /* manageability clock is gated off */
    case SYSTIML:
        if (!x->model->e)
            return 0;
        return (uint32_t)systim(x);
    case SYSTIMH: return x->model->e ? (uint32_t)(systim(x) >> 32) : 0;
    }
    if (off >= STATS && off < STATS_END) {
        uint32_t v = REG(x, off);
        /* The 64-bit ones are cleared by reading their upper half. */
        if (off == GORCL || off == GOTCL || off == TORL || off == TOTL)
            return v;
        if (off == GORCL + 4 || off == GOTCL + 4 || off == TORL + 4 || off == TOTL + 4)
            REG(x, off - 4) = 0;
        REG(x, off) = 0;
        return v;
    }
    return REG(x, off);
}

static void write_ctrl(struct e1000 *x, uint32_t v)
{
    if (v & CTRL_RST) {
        e1000_mac_reset(x);
        e1000_irq_update(x);
        e1000_update_status(x);
        e1000_rx_room(x);
        if (v & CTRL_PHY_RST)
            e1000_phy_reset(x);
        return;
    }
    REG(x, CTRL) = v & x->wmask[CTRL / 4];
    if (v & CTRL_PHY_RST)
        e1000_phy_reset(x);
    e1000_update_status(x);
}

static void reg_write(struct e1000 *x, unsigned off, uint32_t v)
{
    if (off >= E1000_REGS_END)
        return;
    off = alias(off & ~3u);
    switch (off) {
    case CTRL: write_ctrl(x, v); return;
    case STATUS:
        if (x->model->e && !(v & STATUS_PHYRA)) /* PHY reset asserted: cleared by writing 0 (82574 10.2.2.2) */
            REG(x, STATUS) &= ~(uint32_t)STATUS_PHYRA;
        return;
    case EECD: e1000_write_eecd(x, v); return;
    case EERD: e1000_write_eerd(x, v); return;
    case EEWR:
        if (x->model->e)
            e1000_write_eewr(x, v);
        return;
    case MDIC: e1000_write_mdic(x, v); return;
    case CTRL_EXT:
        if (v & CTRL_EXT_EE_RST) {
            e1000_nvm_load_mac(x);
            v &= ~(uint32_t)CTRL_EXT_EE_RST;
        }
        REG(x, CTRL_EXT) = v & ~CTRL_EXT_PBA_CLR;
        return;
    case ICR: e1000_write_icr(x, v); return;
    case ICS: e1000_cause(x, v & 0x7fffffff); return;
    case IMS:
        REG(x, IMS) |= v & 0x7fffffff;
        e1000_irq_update(x);
        return;
    case IMC:
        REG(x, IMS) &= ~v;
        e1000_irq_update(x);
        return;
    case RCTL: {
        REG(x, RCTL) = v & 0x7fffffff & ~(1u << 0 | 1u << 14 | 1u << 21 | 1u << 24);
        e1000_rx_room(x);
        return;
    }
    case RDTR:
        REG(x, RDTR) = v & 0xffff;
        if (v >> 31) /* flush partial descriptor block */
            e1000_rx_flush(x);
        return;
    case TIDV:
        REG(x, TIDV) = v & 0xffff;
        if (v >> 31)
            e1000_tx_flush(x);
        return;
    case RDT + 0x100:
        if (!x->model->e)
            return;
        /* fall through */
    case RDT:
        REG(x, off) = v & 0xffff;
        e1000_rx_room(x);
        return;
    case TCTL:
        REG(x, TCTL) = v & x->wmask[TCTL / 4];
        e1000_tx_run(x);
        return;
    case TDT + 0x100:
        if (!x->model->e)
            return;
        /* fall through */
    case TDT:
        REG(x, off) = v & 0xffff;
        e1000_tx_run(x);
        return;
    case PBA:
        REG(x, PBA) = (REG(x, PBA) & 0xffff0000) | (v & 0xffff);
        return;
    case WUS: REG(x, WUS) &= ~v; return;
    case WUC:
        REG(x, WUC) = (v & x->wmask[WUC / 4]) | (REG(x, WUC) & ~v & 4); /* PME status: written 1 to clear */
        return;
    case SWSM:
        if (x->model->e)
            REG(x, SWSM) = v & 0xf;
        return;
    case PBACLR:
        if (x->model->e)
            for (unsigned i = 0; i < x->model->ivec; i++)
                if (v >> i & 1)
                    pci_msix_clear(&x->pci, i);
        return;
    case IVAR:
    case EITR:
    case EITR + 4:
    case EITR + 8:
    case EITR + 12:
    case EITR + 16:
        REG(x, off) = v & x->wmask[off / 4];
        e1000_irq_update(x);
        return;
    case TIMINCA:
        if (x->model->e) {
            systim_set(x, systim(x));
            REG(x, TIMINCA) = v;
        }
        return;
    case SYSTIML:
        if (x->model->e)
            systim_set(x, (systim(x) & ~0xffffffffull) | v);
        return;
    case SYSTIMH:
        if (x->model->e)
            systim_set(x, (systim(x) & 0xffffffff) | (uint64_t)v << 32);
        return;
    case TIMADJH: /* writing the upper half applies the offset; its top bit is the sign */
        if (x->model->e) {
            uint64_t adj = REG(x, TIMADJL) | (uint64_t)(v & 0x7fffffff) << 32;
            systim_set(x, v >> 31 ? systim(x) - adj : systim(x) + adj);
        }
        return;
    }
    REG(x, off) = (REG(x, off) & ~x->wmask[off / 4]) | (v & x->wmask[off / 4]);
    if (off == RA || off == RA + 4)
        e1000_mac_changed(x);
}

static uint64_t mmio_read(void *dev, uint64_t off, unsigned size)
{
    (void)size;
    return reg_read(dev, (unsigned)off);
}

static void mmio_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    (void)size;
    reg_write(dev, (unsigned)off, (uint32_t)val);
}

const struct io_ops e1000_mmio_ops = {.read = mmio_read, .write = mmio_write, .widths = IO_32};

static uint64_t io_read(void *dev, uint64_t off, unsigned size)
{
    struct e1000 *x = dev;
    (void)size;
    return off == 0 ? x->ioaddr : off == 4 ? reg_read(x, x->ioaddr) : 0xffffffff;
}

static void io_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct e1000 *x = dev;
    (void)size;
    if (off == 0)
        x->ioaddr = (uint32_t)val & 0x1ffff;
    else if (off == 4)
        reg_write(x, x->ioaddr, (uint32_t)val);
}

const struct io_ops e1000_io_ops = {.read = io_read, .write = io_write, .widths = IO_32};
