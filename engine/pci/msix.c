/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI-X (PCI Local Bus Specification 3.0, 6.8.2): a table of messages in a memory BAR, each with a mask bit, and a
 * pending bit for each that came while it was masked. A function without bus mastering cannot write its message either:
 * it stays pending until it can.
 */
#include <string.h>

#include "base/bytes.h"
#include "pci/pci_private.h"

enum {
    CAP_ID = 0x11,
    MSIX_CTRL = 2,
    MSIX_TABLE = 4,
    MSIX_PBA = 8,
    CTRL_ENABLE = 0x80, /* of the control register's high byte */
    CTRL_MASK_ALL = 0x40,

    ENTRY = 16,
    ENTRY_ADDR = 0,
    ENTRY_ADDR_HI = 4,
    ENTRY_DATA = 8,
    ENTRY_CTRL = 12,
    ENTRY_MASKED = 1,
};

static uint8_t ctrl(const struct pci_dev *p) { return p->cfg[p->msix.off + MSIX_CTRL + 1]; }

bool pci_msix_enabled(const struct pci_dev *p) { return p->msix.n && ctrl(p) & CTRL_ENABLE; }

static bool may_send(const struct pci_dev *p, unsigned v)
{
    return p->bus_master && !(ctrl(p) & CTRL_MASK_ALL) && !(p->msix.table[v * ENTRY + ENTRY_CTRL] & ENTRY_MASKED);
}

void pci_msix_send(struct pci_dev *p, unsigned vector)
{
    const uint8_t *t = p->msix.table + vector * ENTRY;
    if (vector >= p->msix.n || !pci_msix_enabled(p))
        return;
    if (!may_send(p, vector)) {
        p->msix.pending |= 1u << vector;
        return;
    }
    p->msix.pending &= ~(1u << vector);
    irq_msi(p->dev.vm, ld_le32(t + ENTRY_ADDR) | (uint64_t)ld_le32(t + ENTRY_ADDR_HI) << 32, ld_le32(t + ENTRY_DATA));
}

void pci_msix_clear(struct pci_dev *p, unsigned vector)
{
    if (vector < p->msix.n)
        p->msix.pending &= ~(1u << vector);
}

void msix_flush(struct pci_dev *p)
{
    if (!p->msix.pending || !pci_msix_enabled(p))
        return;
    for (unsigned v = 0; v < p->msix.n; v++)
        if (p->msix.pending >> v & 1)
            pci_msix_send(p, v);
}

/* ---- the BAR ---- */

static uint64_t msix_read(void *dev, uint64_t off, unsigned size)
{
    const struct pci_dev *p = dev;
    uint32_t pba = (uint32_t)p->msix.mr.size / 2;
    if (off == pba)
        return p->msix.pending;
    return off < p->msix.n * ENTRY ? ld_le32(p->msix.table + off) : 0;
}

static void msix_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pci_dev *p = dev;
    if (off >= p->msix.n * ENTRY)
        return; /* the pending bits are read-only */
    switch (off % ENTRY) {
    case ENTRY_ADDR: val &= ~3u; break;
    case ENTRY_CTRL: val &= ENTRY_MASKED; break;
    }
    st_le32(p->msix.table + off, (uint32_t)val);
    msix_flush(p);
}

static const struct io_ops msix_ops = {.read = msix_read, .write = msix_write, .widths = IO_32};

void pci_msix_add(struct pci_dev *p, uint8_t off, int bar, unsigned n, uint32_t size)
{
    p->msix.n = n;
    p->msix.off = off;
    p->msix.mr = (struct memregion){.owner = "msix", .size = size, .kind = MR_MMIO, .ops = &msix_ops, .dev = p};
    pci_bar_mem(p, bar, &p->msix.mr, false, false);
    pci_cap_add(p, off, CAP_ID);
    st_le16(p->cfg + off + MSIX_CTRL, (uint16_t)(n - 1));
    st_le32(p->cfg + off + MSIX_TABLE, (uint32_t)bar);
    st_le32(p->cfg + off + MSIX_PBA, size / 2 | (uint32_t)bar);
    p->wmask[off + MSIX_CTRL + 1] = CTRL_ENABLE | CTRL_MASK_ALL;
    msix_reset(p);
}

/* 6.8.2.9: every vector is masked after reset. */
void msix_reset(struct pci_dev *p)
{
    memset(p->msix.table, 0, sizeof p->msix.table);
    for (unsigned v = 0; v < p->msix.n; v++)
        p->msix.table[v * ENTRY + ENTRY_CTRL] = ENTRY_MASKED;
    p->msix.pending = 0;
}

/* ---- state ---- */

/* Only what the guest could have written: reserved bits, and vectors that do not exist, are 0. */
void msix_loaded(struct pci_dev *p)
{
    struct pci_msix *m = &p->msix;
    for (unsigned v = 0; v < m->n; v++) {
        m->table[v * ENTRY + ENTRY_ADDR] &= (uint8_t)~3u;
        st_le32(m->table + v * ENTRY + ENTRY_CTRL, m->table[v * ENTRY + ENTRY_CTRL] & ENTRY_MASKED);
    }
    memset(m->table + m->n * ENTRY, 0, sizeof m->table - m->n * ENTRY);
    m->pending &= m->n < 32 ? (1u << m->n) - 1 : ~0u;
    if (!pci_msix_enabled(p))
        return;
    for (unsigned v = 0; v < m->n; v++)
        if (may_send(p, v))
            m->pending &= ~(1u << v);
}

static const struct state_field msix_fields[] = {
    SF_BUF(struct pci_msix, table),
    SF(struct pci_msix, pending, SF_U32),
    {0},
};
const struct state_desc msix_state = {.name = "pci_msix", .version = 1, .min_version = 1, .fields = msix_fields};
