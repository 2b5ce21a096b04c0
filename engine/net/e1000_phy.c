/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The transceiver: a Marvell 88E1011 inside the 82545EM, its successor inside the 82574 (SDM chapter 11; IEEE 802.3
 * clause 22 and 28 for registers 0-10 and 15), reached through MDIC. The link partner is a gigabit switch that can
 * everything, so that what the driver advertises decides. Auto-negotiation takes 10 ms here.
 */
#include <string.h>

#include "net/e1000_private.h"

enum {
    MDIC_PHY = 1, /* its address */
    MDIC_WRITE = 1,
    MDIC_READ = 2,
    MDIC_READY = 1 << 28,
    MDIC_IE = 1 << 29,
    MDIC_E = 1 << 30,
    AN_TIME = 10 * 1000 * 1000,

    PCTRL = 0,
    PSTATUS = 1,
    PID1 = 2,
    PID2 = 3,
    ANA = 4,
    LPA = 5,
    ANE = 6,
    GCON = 9,
    GSTATUS = 10,
    ESTATUS = 15,
    PSCON = 16,
    PSSTAT = 17,
    PINTE = 18,
    PINTS = 19,
    EPSCON1 = 20,
    PAGE = 22,

    PCTRL_SPEED_MSB = 1 << 6,
    PCTRL_DUPLEX = 1 << 8,
    PCTRL_RESTART_AN = 1 << 9,
    PCTRL_ISOLATE = 1 << 10,
    PCTRL_POWER_DOWN = 1 << 11,
    PCTRL_AN = 1 << 12,
    PCTRL_SPEED_LSB = 1 << 13,
    PCTRL_LOOPBACK = 1 << 14,
    PCTRL_RESET = 1 << 15
};

static const uint16_t pages[PHY_PAGES] = {2, 3, 5, 6, 768, 769, 772, 776};

static uint16_t *paged(struct e1000 *x, unsigned reg)
{
    if (!x->model->e || reg < 16 || reg == PAGE || x->phy_page == 0)
        return &x->phy[reg];
    for (int i = 0; i < PHY_PAGES; i++)
        if (pages[i] == x->phy_page)
            return &x->phy_pages[i][reg - 16];
    return NULL;
}

bool e1000_loopback(const struct e1000 *x)
{
    return x->phy[PCTRL] & PCTRL_LOOPBACK || (REG(x, RCTL) >> RCTL_LBM_SHIFT & 3) == 1;
}

static bool cable_up(const struct e1000 *x)
{
    return x->port->link && !(x->phy[PCTRL] & (PCTRL_POWER_DOWN | PCTRL_ISOLATE));
}

bool e1000_link_up(const struct e1000 *x)
{
    if (x->phy[PCTRL] & PCTRL_LOOPBACK)
        return true;
    return cable_up(x) && (x->an_done || !(x->phy[PCTRL] & PCTRL_AN));
}

unsigned e1000_phy_speed(const struct e1000 *x, bool *fd)
{
    uint16_t c = x->phy[PCTRL], a = x->phy[ANA];
    if (!(c & PCTRL_AN) || c & PCTRL_LOOPBACK) {
        *fd = c & PCTRL_DUPLEX;
        return c & PCTRL_SPEED_MSB ? 2 : c & PCTRL_SPEED_LSB ? 1 : 0;
    }
    if (x->phy[GCON] & 0x0300) {
        *fd = x->phy[GCON] & 0x0200;
        return 2;
    }
    *fd = a & 0x0140 && (a & 0x0100 || !(a & 0x0080));
    if (a & 0x0180) {
        *fd = a & 0x0100;
        return 1;
    }
    *fd = a & 0x0040;
    return 0;
}

/* Negotiates from the beginning. */
static void start_an(struct e1000 *x)
{
    x->an_done = false;
    x->link_seen_down = true;
    if (cable_up(x) && x->phy[PCTRL] & PCTRL_AN)
        vtimer_arm(&x->an, clock_now(x->pci.dev.vm) + AN_TIME);
    else
        vtimer_cancel(&x->an);
    e1000_update_status(x);
}

static void an_fire(void *dev)
{
    struct e1000 *x = dev;
    x->an_done = true;
    e1000_update_status(x);
}

void e1000_cable(struct e1000 *x, bool up)
{
    (void)up;
    start_an(x);
}

static void phy_defaults(struct e1000 *x)
{
    memset(x->phy, 0, sizeof x->phy);
    memset(x->phy_pages, 0, sizeof x->phy_pages);
    x->phy_page = 0;
    x->phy[PCTRL] = PCTRL_AN | PCTRL_DUPLEX | PCTRL_SPEED_MSB;
    x->phy[PSTATUS] = 0x7949; /* 100 and 10 in both duplexes, extended status, AN ability, extended registers */
    x->phy[PID1] = 0x0141;
    x->phy[PID2] = x->model->phy_id2;
    x->phy[ANA] = 0x0de1;
    x->phy[GCON] = 0x0e00;
    x->phy[ESTATUS] = 0x3000;
    x->phy[PSCON] = 0x0068;
    x->phy[EPSCON1] = 0x0d60;
}

void e1000_phy_reset(struct e1000 *x)
{
    phy_defaults(x);
    start_an(x);
}

void e1000_phy_init(struct e1000 *x) { vtimer_init(&x->an, x->pci.dev.vm, an_fire, x); }

static uint16_t phy_read(struct e1000 *x, unsigned reg)
{
    bool up = e1000_link_up(x), fd;
    unsigned speed = e1000_phy_speed(x, &fd);
    const uint16_t *p = paged(x, reg);
    if (!p)
        return 0;
    if (x->phy_page && reg >= 16 && x->model->e)
        return reg == PAGE ? x->phy_page : *p;
    switch (reg) {
    case PSTATUS: {
        uint16_t v = x->phy[PSTATUS];
        if (x->an_done && x->phy[PCTRL] & PCTRL_AN)
            v |= 0x0020;
        if (up && !x->link_seen_down)
            v |= 0x0004;
        x->link_seen_down = !up;
        return v;
    }
    case LPA: return x->an_done ? 0xc5e1 : 0; /* acknowledged, next page, symmetric pause, 100 and 10 */
    case ANE: return x->an_done ? 0x000f : 0x0004;
    case GSTATUS: return x->an_done ? 0x3c00 : 0; /* both receivers good, partner 1000BASE-T in both duplexes */
    case PSSTAT:
        /* speed, duplex, page received, resolved, link; cable shorter than 50 m */
        return up ? (uint16_t)(speed << 14 | fd << 13 | 0x1000 * x->an_done | 0x0800 | 0x0400) : 0;
    case PINTS: {
        uint16_t v = x->phy[PINTS];
        x->phy[PINTS] = 0;
        return v;
    }
    case PAGE: return x->model->e ? x->phy_page : x->phy[PAGE];
    default: return *p;
    }
}

static void phy_write(struct e1000 *x, unsigned reg, uint16_t v)
{
    uint16_t *p = paged(x, reg);
    if (reg == PAGE && x->model->e) {
        x->phy_page = v & 0x3ff;
        return;
    }
    if (!p)
        return;
    switch (reg) {
    case PCTRL:
        if (v & PCTRL_RESET) {
            /* The software reset keeps what the control register says otherwise; the rest takes effect with it. */
            uint16_t c = v & (PCTRL_SPEED_MSB | PCTRL_DUPLEX | PCTRL_ISOLATE | PCTRL_POWER_DOWN | PCTRL_AN |
                              PCTRL_SPEED_LSB | PCTRL_LOOPBACK);
            x->phy[PCTRL] = c;
            start_an(x);
            return;
        }
        bool restart = v & PCTRL_RESTART_AN || (v ^ x->phy[PCTRL]) & (PCTRL_AN | PCTRL_POWER_DOWN | PCTRL_ISOLATE);
        x->phy[PCTRL] = v & 0x7d40;
        if (restart)
            start_an(x);
        else
            e1000_update_status(x);
        return;
    case PSTATUS:
    case PID1:
    case PID2:
    case LPA:
    case ANE:
    case GSTATUS:
    case ESTATUS:
    case PSSTAT:
    case PINTS:
        if (x->phy_page == 0 || reg < 16)
            return; /* read-only */
    }
    *p = v;
}

void e1000_write_mdic(struct e1000 *x, uint32_t v)
{
    unsigned reg = v >> 16 & 31, phy = v >> 21 & 31, op = v >> 26 & 3;
    uint32_t done = (v & 0x2fffffff & ~(uint32_t)MDIC_E) | MDIC_READY;
    if (v & MDIC_READY) { /* software sets it only to say: nothing to do */
        REG(x, MDIC) = v & 0x7fffffff;
        return;
    }
    if (phy != MDIC_PHY || (op != MDIC_READ && op != MDIC_WRITE))
        done |= MDIC_E;
    else if (op == MDIC_READ)
        done = (done & ~0xffffu) | phy_read(x, reg);
    else
        phy_write(x, reg, (uint16_t)v);
    REG(x, MDIC) = done;
    if (v & MDIC_IE)
        e1000_cause(x, I_MDAC);
}
