/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82545EM (PCI, 8086:100f) and 82574L (8086:10d3) gigabit Ethernet controllers. References: PCI/PCI-X Family of
 * Gigabit Ethernet Controllers Software Developer's Manual (317453), called SDM here; Intel 82574 GbE Controller
 * Family Datasheet. This file: the device's life, its PCI function, its saved state.
 *
 * Guest memory and the network are hostile: every ring index, length and header is checked where it is used.
 */
#include <stdlib.h>
#include <string.h>

#include "core/vm.h"
#include "net/e1000_private.h"

enum { CAP_MSI = 0xd0, CAP_MSIX = 0xa0, CAP_EXPRESS = 0xe0, PM_D3 = 3 };
/* Power management is the one capability that both have, at different places. */
static unsigned cap_pm(const struct e1000 *x) { return x->model->e ? 0xc8 : 0xdc; }


static const struct e1000_model m_82545em = {.name = "e1000",
                                             .id = {0x8086, 0x100f, 0x15ad, 0x0750, 0x02000001},
                                             .nvm_words = 64,
                                             .phy_id2 = 0x0c20};
static const struct e1000_model m_82574l = {.name = "e1000e",
                                            .id = {0x8086, 0x10d3, 0x15ad, 0x07d0, 0x02000000},
                                            .e = true,
                                            .nvm_words = 128,
                                            .phy_id2 = 0x0cb1,
                                            .ivec = E1000_VECTORS};

/* ---- the network's side ---- */

static bool end_receive(void *end, const struct net_offload *o, const struct iovec *f, int n)
{
    return e1000_rx(end, o, f, n, true);
}
static void end_writable(void *end) { e1000_tx_run(end); }
static void end_link(void *end, bool up) { e1000_cable(end, up); }
static const struct net_end_ops port_ops = {.receive = end_receive, .writable = end_writable, .link = end_link};

/* The cable inside, for loopback: frames come back through net.c, so that what was to be done by hardware is done. */
static bool lb_receive(void *end, const struct net_offload *o, const struct iovec *f, int n)
{
    return e1000_rx(end, o, f, n, false);
}
static const struct net_end_ops lb_ops = {.receive = lb_receive};

/* ---- PCI ---- */

static bool in_d3(const struct e1000 *x) { return (x->pci.cfg[cap_pm(x) + 4] & 3) == PM_D3; }

static void config_changed(struct pci_dev *p, unsigned off, unsigned size)
{
    struct e1000 *x = (struct e1000 *)p;
    if (off < 6 && off + size > 4 && p->bus_master) {
        e1000_tx_run(x);
        e1000_rx_room(x);
    }
    /* MSI or MSI-X switched on or off: what is pending is told the new way. */
    if (x->model->e && ((off < CAP_MSI + 4 && off + size > CAP_MSI) || (off < CAP_MSIX + 4 && off + size > CAP_MSIX))) {
        pci_set_intx(p, false);
        x->line = false;
        x->msix_sent = 0;
        e1000_irq_update(x);
    }
    /* Leaving D3 resets the MAC (PCI Power Management 1.1, 5.4.1): the driver sets everything up again. */
    if (off <= cap_pm(x) + 4 && off + size > cap_pm(x) + 4) {
        if (x->d3 && !in_d3(x)) {
            e1000_mac_reset(x);
            e1000_irq_update(x);
            e1000_update_status(x);
            e1000_rx_room(x);
        }
        x->d3 = in_d3(x);
    }
}

/* The capabilities are in no order that software could rely on; each points to the one before. */
static void add_pm(struct pci_dev *p, unsigned at)
{
    p->cfg[at] = 0x01;
    p->cfg[at + 1] = p->cfg[0x34];
    p->cfg[0x34] = (uint8_t)at;
    p->cfg[0x06] |= 0x10;
    st_le16(p->cfg + at + 2, 0xc822); /* version 2, device specific initialization, PME from D0 and D3 */
    p->wmask[at + 4] = 0x03;
    p->wmask[at + 5] = 0x1f;
    p->w1cmask[at + 5] = 0x80;
}

/* ---- life ---- */

static int init_model(struct dev *d, const struct e1000_model *m, const struct nic_params *p, struct err *e)
{
    struct e1000 *x = (struct e1000 *)d;
    x->model = m;
    memcpy(x->mac, p->mac, 6);
    if (pci_register(&x->pci, p->bus, p->devfn, &m->id, 1, e))
        return -1;
    x->wmask = calloc(E1000_NREG, sizeof *x->wmask);
    if (!x->wmask)
        return err_set(e, ERR_HOST, 0, "Not enough memory for the network adapter %s.", d->id);
    e1000_make_masks(x);
    fcs_init(&x->fcs);
    x->mmio = (struct memregion){.owner = d->id, .size = 0x20000, .kind = MR_MMIO, .ops = &e1000_mmio_ops, .dev = x};
    pci_bar_mem(&x->pci, 0, &x->mmio, false, false);
    pci_bar_io(&x->pci, 2, m->e ? 32 : 64, &e1000_io_ops, x);
    if (m->e) {
        pci_msix_add(&x->pci, CAP_MSIX, 3, m->ivec, 0x4000);
        pci_express_add(&x->pci, CAP_EXPRESS, 1);
        pci_msi_add(&x->pci, CAP_MSI);
    }
    add_pm(&x->pci, cap_pm(x));
    pci_on_config(&x->pci, config_changed);
    if (nic_rom_init(&x->rom, &x->pci, p->rom, p->rom_size, e)) {
        free(x->wmask);
        return -1;
    }
    x->port = p->port;
    net_port_init(x->port, &port_ops, x, 0);
    memcpy(x->port->mac, p->mac, 6);
    net_port_init(&x->lb_tx, &lb_ops, x, 0);
    net_port_init(&x->lb_rx, &lb_ops, x, 0);
    net_connect(&x->lb_tx, &x->lb_rx);
    net_set_link(&x->lb_tx, true);
    e1000_irq_init(x);
    e1000_phy_init(x);
    e1000_nvm_init(x);
    return 0;
}

static int e1000_init(struct dev *d, const void *p, struct err *e) { return init_model(d, &m_82545em, p, e); }
static int e1000e_init(struct dev *d, const void *p, struct err *e) { return init_model(d, &m_82574l, p, e); }

static void e1000_reset(struct dev *d, enum reset_kind k)
{
    struct e1000 *x = (struct e1000 *)d;
    (void)k;
    pci_reset_function(&x->pci);
    x->d3 = false;
    x->line = false;
    memset(&x->ee, 0, sizeof x->ee);
    x->ioaddr = 0;
    e1000_mac_reset(x);
    REG(x, STATUS) = 0;
    x->rx_stalled = false;
}

static void e1000_reset_done(struct dev *d)
{
    struct e1000 *x = (struct e1000 *)d;
    e1000_phy_reset(x);
    net_writable(x->port);
}

static void e1000_destroy(struct dev *d)
{
    struct e1000 *x = (struct e1000 *)d;
    vtimer_cancel(&x->an);
    e1000_irq_reset(x);
    net_disconnect(x->port);
    net_disconnect(&x->lb_tx);
    nic_rom_fini(&x->rom);
    free(x->wmask);
}

/* ---- state ---- */

static const struct state_field ctx_fields[] = {
    SF(struct e1000_ctx, ipcss, SF_U8),   SF(struct e1000_ctx, ipcso, SF_U8),  SF(struct e1000_ctx, ipcse, SF_U16),
    SF(struct e1000_ctx, tucss, SF_U8),   SF(struct e1000_ctx, tucso, SF_U8),  SF(struct e1000_ctx, tucse, SF_U16),
    SF(struct e1000_ctx, hdrlen, SF_U8),  SF(struct e1000_ctx, tucmd, SF_U8),  SF(struct e1000_ctx, mss, SF_U16),
    SF(struct e1000_ctx, paylen, SF_U32), {NULL}};
static const struct state_desc ctx_desc = {.name = "e1000_ctx", .version = 1, .min_version = 1, .fields = ctx_fields};

static const struct state_field ee_fields[] = {SF_MAX(struct e1000_eeprom, state, SF_U8, 3),
                                               SF_MAX(struct e1000_eeprom, bits, SF_U8, 16), /* 16: of versions that left it so after a write */
                                               SF(struct e1000_eeprom, shift, SF_U32),
                                               SF(struct e1000_eeprom, addr, SF_U16),
                                               SF(struct e1000_eeprom, do_bit, SF_BOOL),
                                               SF(struct e1000_eeprom, writable, SF_BOOL),
                                               {NULL}};
static const struct state_desc ee_desc = {.name = "e1000_eeprom", .version = 1, .min_version = 1, .fields = ee_fields};

static const struct state_field ctx_row_fields[] = {
    {.name = "ctx", .off = 0, .count = 2, .stride = sizeof(struct e1000_ctx), .kind = SF_STRUCT, .sub = &ctx_desc}, {NULL}};
static const struct state_desc ctx_row = {.name = "e1000_ctxs", .version = 1, .min_version = 1, .fields = ctx_row_fields};

static const struct state_field fields[] = {
    SF_SUB(struct e1000, pci, &pci_dev_state),
    SF_ARR(struct e1000, reg, SF_U32),
    SF_ARR(struct e1000, nvm, SF_U16),
    SF_ARR(struct e1000, phy, SF_U16),
    {.name = "phy_pages", .off = offsetof(struct e1000, phy_pages), .count = PHY_PAGES * 16, .stride = 2, .kind = SF_U16},
    SF_MAX(struct e1000, phy_page, SF_U16, 0x3ff),
    SF_SUB(struct e1000, ee, &ee_desc),
    SF_SUBS(struct e1000, ctx, &ctx_row),
    SF_ARR(struct e1000, tx_skip, SF_BOOL),
    SF(struct e1000, link_seen_down, SF_BOOL),
    SF(struct e1000, an_done, SF_BOOL),
    SF_MAX(struct e1000, ioaddr, SF_U32, 0x1ffff),
    SF_ARR(struct e1000, irq_next, SF_U64),
    SF(struct e1000, tx_abs, SF_U64),
    SF(struct e1000, rx_abs, SF_U64),
    SF(struct e1000, systim_at, SF_U64),
    SF(struct e1000, itr, SF_VTIMER),
    SF(struct e1000, tx_delay, SF_VTIMER),
    SF(struct e1000, rx_delay, SF_VTIMER),
    SF(struct e1000, an, SF_VTIMER),
    SF(struct e1000, tx_more, SF_VTIMER),
    {NULL}};

/* Frames that wait for a full peer: after loading nobody says that there is room, so the timer tries. */
static void pre_save(void *dev)
{
    struct e1000 *x = dev;
    for (unsigned q = 0; q < E1000_QUEUES; q++)
        if (REG(x, TCTL) & TCTL_EN && QREG(x, TDH, q) != QREG(x, TDT, q) && !vtimer_armed(&x->tx_more))
            vtimer_arm(&x->tx_more, clock_now(x->pci.dev.vm));
}

static int post_load(void *dev, unsigned version, struct err *e)
{
    struct e1000 *x = dev;
    int64_t t = clock_now(x->pci.dev.vm), far = t + 1000000000;
    (void)version, (void)e;
    if (x->ee.bits > 15)
        x->ee.bits = x->ee.state = 0;
    /* Times that this device would not have set. */
    for (unsigned i = 0; i < E1000_VECTORS; i++)
        if (x->irq_next[i] > far || x->irq_next[i] < 0)
            x->irq_next[i] = t;
    if (x->tx_abs > far || x->tx_abs < 0)
        x->tx_abs = 0;
    if (x->rx_abs > far || x->rx_abs < 0)
        x->rx_abs = 0;
    if (x->systim_at > t || x->systim_at < 0)
        x->systim_at = t;
    x->d3 = in_d3(x);
    x->line = x->pci.intx_level;
    e1000_mac_changed(x);
    /* The cable here may be another one than there; the sender begins again. */
    e1000_update_status(x);
    e1000_irq_update(x);
    return 0;
}

static const struct state_desc state = {
    .name = "e1000", .version = 1, .min_version = 1, .fields = fields, .pre_save = pre_save, .post_load = post_load};

const struct dev_class e1000_class = {.name = "e1000",
                                      .size = sizeof(struct e1000),
                                      .init = e1000_init,
                                      .reset = e1000_reset,
                                      .reset_done = e1000_reset_done,
                                      .destroy = e1000_destroy,
                                      .state = &state};
const struct dev_class e1000e_class = {.name = "e1000e",
                                       .size = sizeof(struct e1000),
                                       .init = e1000e_init,
                                       .reset = e1000_reset,
                                       .reset_done = e1000_reset_done,
                                       .destroy = e1000_destroy,
                                       .state = &state};
