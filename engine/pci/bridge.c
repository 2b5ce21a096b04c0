/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bridges, which give buses with their own slots: PCI-to-PCI Bridge Architecture Specification 1.2, chapter 3 (type 1 header), and PCI
 * Express Base Specification 3.0, 7.8 (the capability). A function behind one decodes what lies in a window of the bridge. Nothing here
 * can be plugged while the machine runs, so a root port has no interrupt.
 *
 * Transactions upstream do not ask for the bridge's bus master bit: SeaBIOS leaves it clear, and boot ROMs set only their own.
 */
#include "pci/bridge.h"

#include "base/bytes.h"
#include "pci/pci_private.h"

enum {
    PCI_HEADER_TYPE = 0x0e,
    PCI_PRIMARY_BUS = 0x18, /* to 1Ah: primary, secondary, subordinate */
    PCI_IO_BASE = 0x1c,
    PCI_IO_LIMIT = 0x1d,
    PCI_SECONDARY_STATUS = 0x1e,
    PCI_MEMORY_BASE = 0x20,
    PCI_MEMORY_LIMIT = 0x22,
    PCI_PREF_BASE = 0x24,
    PCI_PREF_LIMIT = 0x26,
    PCI_PREF_BASE_HI = 0x28,
    PCI_PREF_LIMIT_HI = 0x2c,
    PCI_BRIDGE_CONTROL = 0x3e,
    BCTL_WRITABLE = 0x0047, /* parity, SERR#, ISA enable, secondary bus reset; VGA is never behind a bridge */
    BCTL_ISA = 0x04,
    BCTL_BUS_RESET = 0x40,

    CAP_SSID = 0x40, /* the places where VMware's have them */
    CAP_EXPRESS = 0x50,

    EXP_CAPS = 0x02,
    EXP_DEVCAP = 0x04,
    EXP_DEVCTL = 0x08,
    EXP_DEVSTA = 0x0a,
    EXP_LNKCAP = 0x0c,
    EXP_LNKCTL = 0x10,
    EXP_LNKSTA = 0x12,
    EXP_SLTCAP = 0x14,
    EXP_SLTSTA = 0x1a,
    EXP_RTCTL = 0x1c,
    EXP_LNKCAP2 = 0x2c,
    EXP_LNKCTL2 = 0x30,
    EXP_ENDPOINT = 0,
    EXP_ROOT_PORT = 4,
    EXP_INTEGRATED = 9,
};

struct pci_bridge {
    struct pci_dev pci;
    struct pci_bus bus;
    bool in_reset; /* the secondary bus; follows bridge control */
};

/* ---- windows ---- */

static bool within(uint64_t base, uint64_t limit, uint64_t addr, uint64_t size)
{
    return addr >= base && addr + (size - 1) <= limit;
}

bool bridge_forwards(const struct pci_bus *bus, bool io, uint64_t addr, uint64_t size)
{
    if (!bus->bridge)
        return true;
    const uint8_t *c = bus->bridge->cfg;
    if (!(c[PCI_COMMAND] & (io ? CMD_IO : CMD_MEMORY)))
        return false;
    if (io) {
        /* ISA enable keeps the upper 768 bytes of each KiB from the secondary bus (3.2.5.18). */
        if (c[PCI_BRIDGE_CONTROL] & BCTL_ISA && (addr & 0x3ff) + size > 0x100)
            return false;
        return within((c[PCI_IO_BASE] & 0xf0u) << 8, (c[PCI_IO_LIMIT] & 0xf0u) << 8 | 0xfff, addr, size);
    }
    uint64_t base = (uint64_t)ld_le32(c + PCI_PREF_BASE_HI) << 32 | (uint32_t)(ld_le16(c + PCI_PREF_BASE) & 0xfff0) << 16,
             limit = (uint64_t)ld_le32(c + PCI_PREF_LIMIT_HI) << 32 | (uint32_t)(ld_le16(c + PCI_PREF_LIMIT) & 0xfff0) << 16 | 0xfffff;
    return within((uint32_t)(ld_le16(c + PCI_MEMORY_BASE) & 0xfff0) << 16, (uint32_t)(ld_le16(c + PCI_MEMORY_LIMIT) & 0xfff0) << 16 | 0xfffff, addr, size) ||
           within(base, limit, addr, size);
}

/* A reset of the secondary bus: all functions behind, as by the machine's reset, while the bit is set (3.2.5.18). */
static void bus_reset(struct pci_bridge *b)
{
    bool now = b->pci.cfg[PCI_BRIDGE_CONTROL] & BCTL_BUS_RESET;
    if (now == b->in_reset)
        return;
    b->in_reset = now;
    for (unsigned i = 0; i < 256; i++) {
        struct pci_dev *p = b->bus.fn[i];
        if (p && now && p->dev.cls->reset)
            p->dev.cls->reset(&p->dev, RESET_BUS);
        else if (p && !now && p->dev.cls->reset_done)
            p->dev.cls->reset_done(&p->dev);
    }
}

static void config_changed(struct pci_dev *p, unsigned off, unsigned size)
{
    struct pci_bridge *b = (struct pci_bridge *)p;
    if (off < PCI_STATUS || (off + size > PCI_IO_BASE && off < PCI_PREF_LIMIT_HI + 4) || off >= PCI_BRIDGE_CONTROL - 3)
        bus_remap(&b->bus);
    bus_reset(b);
}

/* ---- PCI Express ---- */

static void express_add(struct pci_dev *p, uint8_t off, unsigned version, unsigned type, int physical_slot)
{
    uint8_t *c = p->cfg + off, *w = p->wmask + off;
    pci_cap_add(p, off, 0x10);
    st_le16(c + EXP_CAPS, (uint16_t)(version | type << 4 | (physical_slot >= 0 ? 0x100 : 0)));
    st_le32(c + EXP_DEVCAP, 0x8000); /* role-based error reporting; 128 bytes of payload */
    st_le16(c + EXP_DEVCTL, 0x2810); /* relaxed ordering, no snoop, requests of 512 bytes: the defaults of 7.8.4 */
    st_le16(w + EXP_DEVCTL, 0x78ff);
    p->w1cmask[off + EXP_DEVSTA] = 0x0f;
    if (type == EXP_INTEGRATED)
        return; /* on no link (7.8) */
    st_le32(c + EXP_LNKCAP, 0x11); /* 2.5 GT/s, one lane */
    st_le16(c + EXP_LNKSTA, 0x11);
    st_le16(w + EXP_LNKCTL, type == EXP_ROOT_PORT ? 0x00d8 : 0x01c8); /* read completion boundary, link disable, common clock, synch */
    if (type == EXP_ROOT_PORT) {
        st_le32(c + EXP_SLTCAP, (uint32_t)physical_slot << 19);
        c[EXP_SLTSTA] = 0x40; /* there is something in it */
        w[EXP_RTCTL] = 0x0f;
    }
    if (version >= 2) {
        st_le32(c + EXP_LNKCAP2, 0x02);
        c[EXP_LNKCTL2] = 0x01;
        w[EXP_LNKCTL2] = 0x0f;
    }
}

void pci_express_add(struct pci_dev *p, uint8_t off, unsigned version)
{
    if (!p->bus->bridge)
        express_add(p, off, version, EXP_INTEGRATED, -1);
    else if (p->bus->express)
        express_add(p, off, version, EXP_ENDPOINT, -1);
}

/* ---- the device ---- */

struct pci_bus *pci_bridge_bus(struct dev *d) { return &((struct pci_bridge *)d)->bus; }

static int bridge_init(struct dev *d, const void *params, struct err *e)
{
    static const struct pci_id conventional = {0x15ad, 0x0790, 0, 0, 0x06040002}, port = {0x15ad, 0x07a0, 0, 0, 0x06040001};
    const struct pci_bridge_params *bp = params;
    struct pci_bridge *b = (struct pci_bridge *)d;
    struct pci_dev *p = &b->pci;
    if (pci_register(p, bp->bus, bp->devfn, bp->express ? &port : &conventional, 0, e))
        return -1;
    p->cfg[PCI_HEADER_TYPE] |= 1;
    st_le32(p->wmask + PCI_PRIMARY_BUS, bp->express ? 0x00ffffff : 0xffffffff); /* Express has no secondary latency timer */
    p->wmask[PCI_IO_BASE] = p->wmask[PCI_IO_LIMIT] = 0xf0;
    p->w1cmask[PCI_SECONDARY_STATUS + 1] = 0xf9;
    st_le32(p->wmask + PCI_MEMORY_BASE, 0xfff0fff0);
    st_le32(p->wmask + PCI_PREF_BASE, 0xfff0fff0);
    p->cfg[PCI_PREF_BASE] = p->cfg[PCI_PREF_LIMIT] = 1; /* 64-bit addresses */
    st_le32(p->wmask + PCI_PREF_BASE_HI, 0xffffffff);
    st_le32(p->wmask + PCI_PREF_LIMIT_HI, 0xffffffff);
    st_le16(p->wmask + PCI_BRIDGE_CONTROL, BCTL_WRITABLE);
    if (bp->express)
        express_add(p, CAP_EXPRESS, 2, EXP_ROOT_PORT, bp->physical_slot);
    pci_cap_add(p, CAP_SSID, 0x0d);
    st_le16(p->cfg + CAP_SSID + 4, 0x15ad);
    st_le16(p->cfg + CAP_SSID + 6, bp->express ? 0x07a0 : 0x0790);
    pci_on_config(p, config_changed);

    b->bus.root = bp->bus;
    b->bus.bridge = p;
    b->bus.express = bp->express;
    struct pci_bus **at = &bp->bus->next;
    while (*at)
        at = &(*at)->next;
    *at = &b->bus;
    return 0;
}

static void bridge_reset(struct dev *d, enum reset_kind k)
{
    struct pci_bridge *b = (struct pci_bridge *)d;
    pci_reset_function(&b->pci);
    b->in_reset = false;
    bus_remap(&b->bus);
}

static int bridge_post_load(void *dev, unsigned version, struct err *e)
{
    struct pci_bridge *b = dev;
    b->in_reset = b->pci.cfg[PCI_BRIDGE_CONTROL] & BCTL_BUS_RESET;
    bus_remap(&b->bus);
    return 0;
}

static const struct state_field bridge_fields[] = {
    SF_SUB(struct pci_bridge, pci, &pci_dev_state),
    {0},
};
static const struct state_desc bridge_state = {
    .name = "pci_bridge", .version = 1, .min_version = 1, .fields = bridge_fields, .post_load = bridge_post_load};

const struct dev_class pci_bridge_class = {
    .name = "pci_bridge",
    .size = sizeof(struct pci_bridge),
    .init = bridge_init,
    .reset = bridge_reset,
    .state = &bridge_state,
};
