/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI: configuration mechanism 1 (PCI 2.1, 3.7.4.1), type 0 headers, BARs, command register, INTx and one-vector MSI.
 * MSI-X is in msix.c, buses behind bridges and PCI Express capabilities in bridge.c.
 *
 * What a function decodes is a pure function of its config space: map_update() brings the memory map and the port table to it after every
 * write, and behind a bridge after every write to that. An I/O BAR that lies over another function's ports stays unmapped until these are
 * gone (io_blocked).
 */
#include "pci/pci_private.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/vm.h"

enum {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_CLASS_REVISION = 0x08,
    PCI_CACHE_LINE_SIZE = 0x0c,
    PCI_LATENCY_TIMER = 0x0d,
    PCI_HEADER_TYPE = 0x0e,
    PCI_BASE_ADDRESS_0 = 0x10,
    PCI_SUBSYSTEM_VENDOR_ID = 0x2c,
    PCI_SUBSYSTEM_ID = 0x2e,
    PCI_ROM_ADDRESS = 0x30,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,

    CMD_MASTER = 0x0004,
    CMD_INTX_DISABLE = 0x0400,
    CMD_WRITABLE = 0x0557, /* I/O, memory, master, MWI, parity, SERR#, INTx disable */
    STS_INTERRUPT = 0x08,  /* low byte */
    STS_W1C = 0xf9, /* high byte: parity, SERR#, master abort, target aborts, data parity */

    MSI_CTRL = 2,
    MSI_ADDR = 4,
    MSI_ADDR_HI = 8,
    MSI_DATA = 12,
    MSI_ENABLE = 1,

    ROM_BAR = 6,
    /* Below RAM and firmware: the host bridge decodes those itself and never forwards them to the bus. */
    BAR_PRIO = -1,

    RCR_SRST = 2, /* CF9h, PIIX4 4.2.4.2 (data sheet 290562): the next reset is of everything, not INIT# of the processors */
    RCR_RCPU = 4, /* rising edge: resets */
};

/* ---- BARs ---- */

static unsigned bar_off(int i) { return i == ROM_BAR ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS_0 + 4 * (unsigned)i; }

/* Where BAR i is decoded now, or false. */
static bool bar_wanted(const struct pci_dev *p, int i, uint64_t *addr)
{
    const struct pci_bar *b = &p->bar[i];
    uint16_t cmd = ld_le16(p->cfg + PCI_COMMAND);
    uint32_t lo = ld_le32(p->cfg + bar_off(i));
    if (!b->size || !(cmd & (b->io ? CMD_IO : CMD_MEMORY)))
        return false;
    if (b->io) {
        *addr = lo & ~3u;
        return *addr && *addr + b->size <= 0x10000 && bridge_forwards(p->bus, true, *addr, b->size);
    }
    if (i == ROM_BAR && !(lo & 1))
        return false;
    uint64_t a = lo & ~(i == ROM_BAR ? 0x7ffull : 0xfull), last;
    if (b->is64)
        a |= (uint64_t)ld_le32(p->cfg + bar_off(i) + 4) << 32;
    /* A BAR that ends at 4 GiB (or at the end of 64 bits) is being sized, not placed. */
    if (!a || __builtin_add_overflow(a, b->size - 1, &last) || last == 0xffffffff || (!b->is64 && last > 0xffffffff) || last >> 52)
        return false;
    *addr = a;
    return bridge_forwards(p->bus, false, a, b->size);
}

static void bar_unmap(struct pci_dev *p, struct pci_bar *b)
{
    if (!b->mapped)
        return;
    b->mapped = false;
    if (b->io)
        port_release(p->dev.vm, &b->pr);
    else
        b->mr->enabled = false;
}

static bool bar_map(struct pci_dev *p, struct pci_bar *b, uint64_t addr)
{
    b->addr = addr;
    if (b->io) {
        struct err e = {0};
        b->pr.first = (uint16_t)addr;
        if (port_claim(p->dev.vm, &b->pr, &e)) {
            guest_error("pci", "%s: I/O BAR stays unmapped: %s", p->dev.id, e.msg);
            return false;
        }
    } else {
        b->mr->base = addr;
        b->mr->enabled = true;
    }
    return b->mapped = true;
}

/* Unmaps what is to go or to move. True: ports became free. */
static bool fn_unmap(struct pci_dev *p)
{
    bool freed = false;
    for (int i = 0; i < 7; i++) {
        struct pci_bar *b = &p->bar[i];
        uint64_t a;
        if (b->mapped && (!bar_wanted(p, i, &a) || a != b->addr)) {
            bar_unmap(p, b);
            freed |= b->io;
        }
    }
    return freed;
}

static void fn_map(struct pci_dev *p)
{
    p->io_blocked = false;
    for (int i = 0; i < 7; i++) {
        uint64_t a;
        if (!p->bar[i].mapped && bar_wanted(p, i, &a) && !bar_map(p, &p->bar[i], a))
            p->io_blocked = true;
    }
}

/* Ports became free: functions that waited for them may have them now. */
static void map_blocked(struct pci_bus *root)
{
    for (struct pci_bus *b = root; b; b = b->next)
        for (unsigned i = 0; i < 256; i++)
            if (b->fn[i] && b->fn[i]->io_blocked)
                fn_map(b->fn[i]);
}

static void map_commit(struct pci_dev *p)
{
    struct err e = {0};
    if (memmap_commit(p->dev.vm, &e))
        log_msg(LOG_ERROR, "pci", "%s: %s", p->dev.id, e.msg);
}

static void map_update(struct pci_dev *p)
{
    memmap_begin(p->dev.vm);
    bool freed = fn_unmap(p);
    fn_map(p);
    if (freed)
        map_blocked(p->bus->root);
    map_commit(p);
}

/* The windows of the bridge before this bus changed. */
void bus_remap(struct pci_bus *bus)
{
    bool freed = false;
    memmap_begin(bus->bridge->dev.vm);
    for (unsigned i = 0; i < 256; i++)
        if (bus->fn[i])
            freed |= fn_unmap(bus->fn[i]);
    for (unsigned i = 0; i < 256; i++)
        if (bus->fn[i])
            fn_map(bus->fn[i]);
    if (freed)
        map_blocked(bus->root);
    map_commit(bus->bridge);
}

void pci_bar_mem(struct pci_dev *p, int bar, struct memregion *mr, bool prefetch, bool is64)
{
    struct pci_bar *b = &p->bar[bar];
    unsigned off = bar_off(bar);
    uint64_t mask = ~(mr->size - 1);
    *b = (struct pci_bar){.size = mr->size, .is64 = is64, .prefetch = prefetch, .mr = mr};
    mr->enabled = false;
    mr->prio = BAR_PRIO;
    if (bar == ROM_BAR) {
        st_le32(p->wmask + off, ((uint32_t)mask & ~0x7ffu) | 1);
    } else {
        p->cfg[off] = (uint8_t)((is64 ? 4 : 0) | (prefetch ? 8 : 0));
        st_le32(p->wmask + off, (uint32_t)mask & ~0xfu);
        if (is64)
            st_le32(p->wmask + off + 4, (uint32_t)(mask >> 32));
    }
    memmap_begin(p->dev.vm);
    memmap_add(p->dev.vm, mr);
    memmap_commit(p->dev.vm, NULL);
}

void pci_bar_io(struct pci_dev *p, int bar, uint16_t count, const struct io_ops *ops, void *dev)
{
    unsigned off = bar_off(bar);
    p->bar[bar] = (struct pci_bar){.size = count, .io = true, .pr = {p->dev.id, 0, count, ops, dev}};
    p->cfg[off] = 1;
    st_le32(p->wmask + off, ~(uint32_t)(count - 1) & ~3u);
}

/* ---- interrupts ---- */

static void pirq_drive(struct pci_bus *bus, unsigned pirq)
{
    if (bus->pirq)
        bus->pirq->set(bus->pirq->ctl, pirq, 0, bus->pirq_count[pirq] != 0);
}

static void intx_update(struct pci_dev *p)
{
    bool masked = ld_le16(p->cfg + PCI_COMMAND) & CMD_INTX_DISABLE || pci_msi_enabled(p) || pci_msix_enabled(p);
    bool want = p->intx_level && !masked && p->cfg[PCI_INTERRUPT_PIN];
    if (p->intx_level)
        p->cfg[PCI_STATUS] |= STS_INTERRUPT;
    else
        p->cfg[PCI_STATUS] &= (uint8_t)~STS_INTERRUPT;
    if (want == p->intx_driven)
        return;
    p->intx_driven = want;
    p->bus->root->pirq_count[p->pirq] += want ? 1 : -1u;
    pirq_drive(p->bus->root, p->pirq);
}

void pci_set_intx(struct pci_dev *p, bool level)
{
    p->intx_level = level;
    intx_update(p);
}

void pci_cap_add(struct pci_dev *p, uint8_t off, uint8_t id)
{
    p->cfg[off] = id;
    p->cfg[off + 1] = p->cfg[PCI_CAPABILITY_LIST];
    p->cfg[PCI_CAPABILITY_LIST] = off;
    p->cfg[PCI_STATUS] |= STS_CAP_LIST;
}

void pci_msi_add(struct pci_dev *p, uint8_t off)
{
    p->msi_off = off;
    pci_cap_add(p, off, 0x05);
    st_le16(p->cfg + off + MSI_CTRL, 0x0080); /* 64-bit addresses, one message */
    p->wmask[off + MSI_CTRL] = MSI_ENABLE;
    st_le32(p->wmask + off + MSI_ADDR, 0xfffffffc);
    st_le32(p->wmask + off + MSI_ADDR_HI, 0xffffffff);
    st_le16(p->wmask + off + MSI_DATA, 0xffff);
}

bool pci_msi_enabled(const struct pci_dev *p) { return p->msi_off && p->cfg[p->msi_off + MSI_CTRL] & MSI_ENABLE; }

void pci_msi_send(struct pci_dev *p)
{
    const uint8_t *c = p->cfg + p->msi_off;
    if (!pci_msi_enabled(p) || !p->bus_master)
        return;
    irq_msi(p->dev.vm, ld_le32(c + MSI_ADDR) | (uint64_t)ld_le32(c + MSI_ADDR_HI) << 32, ld_le16(c + MSI_DATA));
}

/* ---- functions ---- */

int pci_register(struct pci_dev *p, struct pci_bus *bus, uint8_t devfn, const struct pci_id *id, uint8_t pin, struct err *e)
{
    if (bus->fn[devfn])
        return err_set(e, ERR_CONFIG, 0, "The PCI slot %u.%u is given to both %s and %s.", devfn >> 3, devfn & 7, bus->fn[devfn]->dev.id,
                       p->dev.id);
    p->bus = bus;
    p->devfn = devfn;
    st_le16(p->cfg + PCI_VENDOR_ID, id->vendor);
    st_le16(p->cfg + PCI_DEVICE_ID, id->device);
    st_le32(p->cfg + PCI_CLASS_REVISION, id->class_rev);
    st_le16(p->cfg + PCI_SUBSYSTEM_VENDOR_ID, id->subvendor);
    st_le16(p->cfg + PCI_SUBSYSTEM_ID, id->subdevice);
    p->cfg[PCI_INTERRUPT_PIN] = pin;
    /* Slot + pin - 2; pin p of slot s behind a bridge is the bridge's pin (p - 1 + s) & 3 + 1 (PCI-to-PCI Bridge 1.2, 9.1). */
    p->pirq = (uint8_t)(((devfn >> 3) + (bus->bridge ? bus->bridge->devfn >> 3 : 0) + pin + 2) & 3);
    st_le16(p->wmask + PCI_COMMAND, CMD_WRITABLE);
    p->w1cmask[PCI_STATUS + 1] = STS_W1C;
    p->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
    p->wmask[PCI_LATENCY_TIMER] = 0xff;
    p->wmask[PCI_INTERRUPT_LINE] = 0xff;
    bus->fn[devfn] = p;
    unsigned n = 0;
    for (unsigned f = 0; f < 8; f++)
        n += bus->fn[(devfn & ~7u) + f] != NULL;
    for (unsigned f = 0; f < 8 && n > 1; f++)
        if (bus->fn[(devfn & ~7u) + f])
            bus->fn[(devfn & ~7u) + f]->cfg[PCI_HEADER_TYPE] |= 0x80;
    return 0;
}

void pci_on_config(struct pci_dev *p, void (*changed)(struct pci_dev *p, unsigned off, unsigned size)) { p->changed = changed; }

struct pci_dev *pci_bus_find(struct pci_bus *bus, uint8_t devfn) { return bus->fn[devfn]; }

void pci_bus_set_pirq(struct pci_bus *bus, const struct irq_sink *sink) { bus->pirq = sink; }

/* The image is taken at the first reset, when all functions are there (multi-function bit) and every init is done. */
static void take_reset_image(struct pci_dev *p)
{
    if (!p->reset_cfg_valid)
        memcpy(p->reset_cfg, p->cfg, sizeof p->cfg);
    p->reset_cfg_valid = true;
}

void pci_reset_function(struct pci_dev *p)
{
    take_reset_image(p);
    memcpy(p->cfg, p->reset_cfg, sizeof p->cfg);
    p->bus_master = p->cfg[PCI_COMMAND] & CMD_MASTER;
    msix_reset(p);
    p->intx_level = false;
    intx_update(p);
    map_update(p);
}

int pci_dma_read(struct pci_dev *p, gpa_t a, void *buf, size_t n)
{
    if (p->bus_master)
        return gmem_read(p->dev.vm, a, buf, n);
    memset(buf, 0xff, n);
    return -1;
}

int pci_dma_write(struct pci_dev *p, gpa_t a, const void *buf, size_t n)
{
    return p->bus_master ? gmem_write(p->dev.vm, a, buf, n) : -1;
}

/* ---- configuration space ---- */

/* The function that CONFIG_ADDRESS names, on bus 0 or the one whose bridge has that number; NULL: none. */
static struct pci_dev *addressed(struct pci_bus *root)
{
    uint32_t ca = root->config_address;
    uint8_t number = (uint8_t)(ca >> 16), devfn = (uint8_t)(ca >> 8);
    if (!(ca >> 31))
        return NULL;
    if (!number)
        return root->fn[devfn];
    for (struct pci_bus *b = root->next; b; b = b->next)
        if (b->bridge->cfg[PCI_SECONDARY_BUS] == number)
            return b->fn[devfn];
    return NULL;
}

static uint32_t cfg_read(struct pci_bus *bus, unsigned port_off, unsigned size)
{
    uint32_t ca = bus->config_address;
    struct pci_dev *p = addressed(bus);
    unsigned off = (ca & 0xfc) + port_off;
    uint32_t v = 0;
    if (!p)
        return 0xffffffff; /* master abort */
    for (unsigned i = 0; i < size; i++)
        v |= (uint32_t)p->cfg[off + i] << 8 * i;
    return v;
}

/* Does an access of size bytes at off touch the first double word, with the control register, of the capability at cap? */
static bool touches_cap(unsigned cap, unsigned off, unsigned size) { return cap && off + size > cap && off < cap + 4; }

static void cfg_write(struct pci_bus *bus, unsigned port_off, unsigned size, uint32_t val)
{
    uint32_t ca = bus->config_address;
    struct pci_dev *p = addressed(bus);
    unsigned off = (ca & 0xfc) + port_off;
    if (!p)
        return;
    for (unsigned i = off; i < off + size; i++, val >>= 8) {
        uint8_t v = (uint8_t)val;
        p->cfg[i] = (p->cfg[i] & ~p->wmask[i]) | (v & p->wmask[i]);
        p->cfg[i] &= (uint8_t)~(v & p->w1cmask[i]);
    }
    bool bar = off + size > PCI_BASE_ADDRESS_0 && off < PCI_SUBSYSTEM_VENDOR_ID - 4;
    bool rom = off + size > PCI_ROM_ADDRESS && off < PCI_ROM_ADDRESS + 4;
    bool cmd = off < PCI_COMMAND + 2 && off + size > PCI_COMMAND;
    if (cmd)
        p->bus_master = p->cfg[PCI_COMMAND] & CMD_MASTER;
    if (bar || rom || cmd)
        map_update(p);
    if (cmd || touches_cap(p->msi_off, off, size) || touches_cap(p->msix.off, off, size)) {
        intx_update(p);
        msix_flush(p);
    }
    if (p->changed)
        p->changed(p, off, size);
}

/* Ports CF8h-CFFh. The address register answers to 32-bit accesses only, so that CF9h can be the reset control register. */
static uint64_t bus_port_read(void *dev, uint64_t off, unsigned size)
{
    struct pci_bus *bus = dev;
    if (off >= 4)
        return cfg_read(bus, (unsigned)off - 4, size);
    if (off == 0 && size == 4)
        return bus->config_address;
    if (off == 1 && size == 1)
        return bus->rcr;
    return UINT64_MAX;
}

static void bus_port_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pci_bus *bus = dev;
    if (off >= 4) {
        cfg_write(bus, (unsigned)off - 4, size, (uint32_t)val);
    } else if (off == 0 && size == 4) {
        bus->config_address = (uint32_t)val & 0x80fffffc;
    } else if (off == 1 && size == 1) {
        uint8_t old = bus->rcr;
        bus->rcr = val & 0x0e;
        if (~old & val & RCR_RCPU)
            val & RCR_SRST ? vm_wish(bus->dev.vm, WISH_RESET) : vm_init_cpus(bus->dev.vm);
    }
}

static const struct io_ops bus_ports = {.read = bus_port_read, .write = bus_port_write};

/* ---- the bus as a device ---- */

static int bus_init(struct dev *d, const void *params, struct err *e)
{
    struct pci_bus *bus = (struct pci_bus *)d;
    bus->root = bus;
    bus->ports = (struct port_range){"pci", 0xcf8, 8, &bus_ports, bus};
    return port_claim(d->vm, &bus->ports, e);
}

static void bus_reset(struct dev *d, enum reset_kind k)
{
    struct pci_bus *bus = (struct pci_bus *)d;
    bus->config_address = 0;
    bus->rcr = 0;
}

static void bus_reset_done(struct dev *d)
{
    for (unsigned i = 0; i < 4; i++)
        pirq_drive((struct pci_bus *)d, i);
}

static const struct state_field bus_fields[] = {
    SF(struct pci_bus, config_address, SF_U32),
    SF_MAX(struct pci_bus, rcr, SF_U8, 0x0e),
    {0},
};
static int bus_post_load(void *dev, unsigned version, struct err *e)
{
    struct pci_bus *bus = dev;
    bus->config_address &= 0x80fffffc;
    return 0;
}
static const struct state_desc bus_state = {
    .name = "pci_bus", .version = 1, .min_version = 1, .fields = bus_fields, .post_load = bus_post_load};

const struct dev_class pci_bus_class = {
    .name = "pci_bus",
    .size = sizeof(struct pci_bus),
    .init = bus_init,
    .reset = bus_reset,
    .reset_done = bus_reset_done,
    .state = &bus_state,
};

/*
 * Saved config space may say nothing that the guest could not have written: read-only bits keep the value of this machine. A device with
 * read-only bits that change at run time sets them in its own post_load.
 */
static int fn_post_load(void *dev, unsigned version, struct err *e)
{
    struct pci_dev *p = dev;
    take_reset_image(p);
    for (unsigned i = 0; i < 256; i++) {
        uint8_t m = p->wmask[i] | p->w1cmask[i];
        p->cfg[i] = (p->cfg[i] & m) | (p->reset_cfg[i] & ~m);
    }
    p->bus_master = p->cfg[PCI_COMMAND] & CMD_MASTER;
    msix_loaded(p);
    intx_update(p);
    map_update(p);
    return 0;
}

static const struct state_field fn_fields[] = {
    SF_BUF(struct pci_dev, cfg),
    SF(struct pci_dev, intx_level, SF_BOOL),
    SF_SUB(struct pci_dev, msix, &msix_state),
    {0},
};
const struct state_desc pci_dev_state = {
    .name = "pci_dev", .version = 1, .min_version = 1, .fields = fn_fields, .post_load = fn_post_load};
