/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMware vmxnet3, the paravirtual Ethernet adapter (15ad:07b0): registers, commands, activation, state.
 * Interrupts are in vmxnet3_intr.c, transmission in vmxnet3_tx.c, reception in vmxnet3_rx.c. The Linux driver's headers are the data sheet.
 *
 * Revisions 1, 2, 3 and 7 are offered. 4 to 6 would oblige the device to segment inside UDP tunnels, without a way to
 * decline; 7 has capability bits for that, and drivers that know only up to 6 are content with 3.
 *
 * Everything in guest memory is the guest's to change at any time: a field is read once, checked, and kept here. What
 * the commands read stays valid until the next command that reads it again.
 */
#include "net/vmxnet3_private.h"

#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/dma.h"
#include "core/vm.h"

enum {
    CAP_PM = 0x40, /* the places where VMware has them */
    CAP_EXPRESS = 0x48,
    CAP_MSI = 0x84,
    CAP_MSIX = 0x9c,
    MSIX_BAR_SIZE = 0x2000,

    VRRS_SUPPORTED = 0x47, /* revisions 1, 2, 3, 7 */
    UVRS_SUPPORTED = 1,
    DCR_UDP_RSS = 1, /* the one capability of revision 7 that there is */
    TXDATA_DESC_SIZE = 256,
    LINK_SPEED = 10000,
    RSS_FIELDS_DEFAULT = 3, /* TCP over IPv4 and IPv6 */
    RSS_FIELDS_ALL = 0xf,   /* and UDP */
    MAGIC = (int)0xbabefee1,

    TX_RING_MAX = 4096,
    RX_RING_MAX = 4096,
    RC_RING_MAX = 8192,
    DATA_DESC_MAX = 2048,
};

/* ---- events and completions ---- */

void v3_event(struct vmxnet3 *v, uint32_t bits)
{
    if (!v->active)
        return;
    v->ecr |= bits;
    gmem_st32(v->pci.dev.vm, v->shared + DS_ECR, v->ecr);
    v3_interrupt(v, v->event_intr);
}

void v3_complete(struct vmxnet3 *v, struct v3_ring *comp, uint64_t lo, uint64_t hi)
{
    uint8_t d[16];
    uint64_t at = v3_slot(comp);
    st_le64(d, lo);
    st_le64(d + 8, hi | (uint64_t)comp->gen << 63);
    gmem_write(v->pci.dev.vm, at, d, 8);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    gmem_write(v->pci.dev.vm, at + 8, d + 8, 8);
    v3_advance(comp);
}

/* ---- the parts of DriverShared ---- */

static void update_can(struct vmxnet3 *v)
{
    v->port->can = NET_CAN_CSUM | (v->active && v->features & FEAT_LRO ? NET_CAN_TSO4 | NET_CAN_TSO6 : 0u);
}

static void read_features(struct vmxnet3 *v)
{
    v->features = gmem_ld32(v->pci.dev.vm, v->shared + DS_MISC + MISC_FEATURES);
    update_can(v);
}

static void read_mac_filters(struct vmxnet3 *v)
{
    uint8_t b[16];
    gmem_read(v->pci.dev.vm, v->shared + DS_RX_FILTER, b, sizeof b);
    uint32_t n = ld_le16(b + RXF_MF_LEN) / 6u;
    v->n_mf = n;
    if (n > V3_MF_MAX)
        v->n_mf = V3_MF_MAX + 1;
    else if (n && gmem_read(v->pci.dev.vm, ld_le64(b + RXF_MF_PA), v->mf, 6 * n))
        v->n_mf = 0;
}

static void read_vlans(struct vmxnet3 *v)
{
    gmem_read(v->pci.dev.vm, v->shared + DS_RX_FILTER + RXF_VLAN, v->vlans, sizeof v->vlans);
}

static void read_rx_mode(struct vmxnet3 *v)
{
    v->rx_mode = gmem_ld32(v->pci.dev.vm, v->shared + DS_RX_FILTER + RXF_MODE);
}

/* UPT1_RSSConf: four 16-bit fields, the key, the table. */
static void read_rss(struct vmxnet3 *v)
{
    uint8_t desc[16], b[8 + V3_RSS_KEY + V3_RSS_TABLE];
    struct vm *vm = v->pci.dev.vm;
    v->rss_table_size = 0;
    gmem_read(vm, v->shared + DS_RSS_CONF, desc, sizeof desc);
    if (!(v->features & FEAT_RSS) || ld_le32(desc + 4) < sizeof b || gmem_read(vm, ld_le64(desc + 8), b, sizeof b))
        return;
    if (ld_le16(b + 2) != 1 || ld_le16(b + 4) > V3_RSS_KEY || ld_le16(b + 6) > V3_RSS_TABLE) {
        guest_error("vmxnet3", "RSS: hash function %u, key of %u, table of %u", ld_le16(b + 2), ld_le16(b + 4),
                    ld_le16(b + 6));
        return;
    }
    v->rss_types = ld_le16(b);
    v->rss_table_size = ld_le16(b + 6);
    memcpy(v->rss_key, b + 8, V3_RSS_KEY);
    memcpy(v->rss_table, b + 8 + V3_RSS_KEY, V3_RSS_TABLE);
}

static void read_pm(struct vmxnet3 *v)
{
    uint8_t desc[16];
    gmem_read(v->pci.dev.vm, v->shared + DS_PM_CONF, desc, sizeof desc);
    v->wake_events = ld_le32(desc + 4) >= 2 ? gmem_ld16(v->pci.dev.vm, ld_le64(desc + 8)) : 0;
}

/* Where a command's data is: a variable-length descriptor in the command info. */
static bool var_conf(struct vmxnet3 *v, uint32_t size, uint64_t *pa)
{
    uint8_t d[16];
    gmem_read(v->pci.dev.vm, v->shared + DS_CMD_INFO, d, sizeof d);
    *pa = ld_le64(d + 8);
    return ld_le32(d + 4) >= size;
}

/* ---- activation ---- */

static bool ring_ok(struct v3_ring *r, uint64_t base, uint32_t size, uint32_t max, bool may_be_empty)
{
    *r = (struct v3_ring){.base = base, .size = size, .gen = true};
    if (!size)
        return may_be_empty;
    return size <= max && !(base & 15) && base + 16ull * size > base;
}

static bool read_txq(struct vmxnet3 *v, struct v3_txq *q, gpa_t desc)
{
    uint8_t c[64];
    if (gmem_read(v->pci.dev.vm, desc + QD_CONF, c, sizeof c))
        return false;
    q->intr = c[56];
    q->error = 0;
    q->full = false;
    return q->intr < V3_INTRS && ring_ok(&q->ring, ld_le64(c), ld_le32(c + 40), TX_RING_MAX, false) &&
           ring_ok(&q->comp, ld_le64(c + 16), ld_le32(c + 48), TX_RING_MAX, false);
}

static bool read_rxq(struct vmxnet3 *v, struct v3_rxq *q, gpa_t desc)
{
    uint8_t c[64];
    if (gmem_read(v->pci.dev.vm, desc + QD_CONF, c, sizeof c))
        return false;
    q->intr = c[56];
    q->error = 0;
    q->starved = false;
    q->data_size = v->version >= 3 ? ld_le16(c + 58) : 0;
    q->data = q->data_size ? ld_le64(c + 32) : 0;
    if (!q->data)
        q->data_size = 0;
    return q->intr < V3_INTRS && q->data_size <= DATA_DESC_MAX &&
           ring_ok(&q->ring[0], ld_le64(c), ld_le32(c + 40), RX_RING_MAX, false) &&
           ring_ok(&q->ring[1], ld_le64(c + 8), ld_le32(c + 44), RX_RING_MAX, true) &&
           ring_ok(&q->comp, ld_le64(c + 16), ld_le32(c + 48), RC_RING_MAX, false);
}

static bool read_queues(struct vmxnet3 *v)
{
    if (!v->n_txq || !v->n_rxq || v->n_txq > V3_MAX_TXQ || v->n_rxq > V3_MAX_RXQ)
        return false;
    for (unsigned i = 0; i < v->n_txq; i++)
        if (!read_txq(v, &v->tx[i], v->queue_desc + i * QD_SIZE))
            return false;
    for (unsigned i = 0; i < v->n_rxq; i++)
        if (!read_rxq(v, &v->rx[i], v->queue_desc + (uint64_t)(v->n_txq + i) * QD_SIZE))
            return false;
    return true;
}

static void deactivate(struct vmxnet3 *v)
{
    v->active = false;
    v->n_txq = v->n_rxq = 0;
    vtimer_cancel(&v->tx_more);
    v3_intr_quiesce(v);
    update_can(v);
}

/* Nothing of a configuration that was refused stays. The counters do. */
static bool refuse(struct vmxnet3 *v)
{
    guest_error("vmxnet3", "cannot activate: MTU %u, %u transmit and %u receive queues", v->mtu, v->n_txq, v->n_rxq);
    for (unsigned i = 0; i < V3_MAX_TXQ; i++) {
        v->tx[i].ring = v->tx[i].comp = (struct v3_ring){0};
        v->tx[i].intr = 0;
    }
    for (unsigned i = 0; i < V3_MAX_RXQ; i++) {
        v->rx[i].ring[0] = v->rx[i].ring[1] = v->rx[i].comp = (struct v3_ring){0};
        v->rx[i].intr = 0;
        v->rx[i].data_size = 0;
    }
    v->mtu = 0;
    v->n_txq = v->n_rxq = v->event_intr = 0;
    return false;
}

/* True: the device runs. */
static bool activate(struct vmxnet3 *v)
{
    struct vm *vm = v->pci.dev.vm;
    uint8_t misc[MISC_SIZE], intr[4];
    if (v->active)
        deactivate(v);
    v->shared = (uint64_t)v->dsah << 32 | v->dsal;
    if (gmem_ld32(vm, v->shared + DS_MAGIC) != (uint32_t)MAGIC || gmem_read(vm, v->shared + DS_MISC, misc, MISC_SIZE) ||
        gmem_read(vm, v->shared + DS_INTR_CONF, intr, sizeof intr)) {
        guest_error("vmxnet3", "no DriverShared at %llx", (unsigned long long)v->shared);
        return false;
    }
    v->queue_desc = ld_le64(misc + MISC_QUEUE_DESC);
    v->mtu = ld_le32(misc + MISC_MTU);
    v->max_rx_sg = ld_le16(misc + MISC_MAX_RX_SG);
    v->n_txq = misc[MISC_NUM_TXQ];
    v->n_rxq = misc[MISC_NUM_RXQ];
    v->auto_mask = intr[INTR_AUTO_MASK];
    v->event_intr = intr[INTR_EVENT];
    if (v->mtu < V3_MTU_MIN || v->mtu > V3_MTU_MAX || v->event_intr >= V3_INTRS || !read_queues(v))
        return refuse(v);
    v->ecr = 0;
    v3_intr_forget(v);
    v3_intx_update(v);
    v->active = true;
    read_features(v);
    read_rx_mode(v);
    read_mac_filters(v);
    read_vlans(v);
    read_rss(v);
    read_pm(v);
    return true;
}

/* RESET_DEV, and every reset of the machine. */
static void soft_reset(struct vmxnet3 *v)
{
    deactivate(v);
    v3_intr_forget(v);
    v->ecr = v->result = 0;
    v->rx_mode = v->n_mf = v->rss_table_size = v->features = 0;
    v->rss_fields = RSS_FIELDS_DEFAULT;
    v->wake_events = 0;
    memset(v->coalesce, 0, sizeof v->coalesce);
}

/* ---- commands ---- */

/* UPDATE_* and others that read DriverShared: only while it is known to be there. */
static void command_update(struct vmxnet3 *v, unsigned cmd)
{
    struct vm *vm = v->pci.dev.vm;
    uint32_t scheme[4];
    uint64_t pa;
    switch (cmd) {
    case SET_UPDATE_RX_MODE: read_rx_mode(v); break;
    case SET_UPDATE_MAC_FILTERS: read_mac_filters(v); break;
    case SET_UPDATE_VLAN_FILTERS: read_vlans(v); break;
    case SET_UPDATE_RSSIDT: read_rss(v); break;
    case SET_UPDATE_PMCFG: read_pm(v); break;
    case SET_UPDATE_FEATURE:
        read_features(v);
        read_rss(v);
        break;
    case SET_COALESCE:
        if (var_conf(v, sizeof scheme, &pa) && !gmem_read(vm, pa, scheme, sizeof scheme))
            v3_set_coalesce(v, scheme);
        break;
    case SET_RSS_FIELDS: v->rss_fields = gmem_ld32(vm, v->shared + DS_CMD_INFO) & RSS_FIELDS_ALL; break;
    }
}

static void put_stats(struct vmxnet3 *v)
{
    struct vm *vm = v->pci.dev.vm;
    for (unsigned i = 0; i < v->n_txq; i++)
        gmem_write(vm, v->queue_desc + i * QD_SIZE + QD_STATS, v->tx[i].stats, sizeof v->tx[i].stats);
    for (unsigned i = 0; i < v->n_rxq; i++)
        gmem_write(vm, v->queue_desc + (uint64_t)(v->n_txq + i) * QD_SIZE + QD_STATS, v->rx[i].stats,
                   sizeof v->rx[i].stats);
}

static void put_status(struct vmxnet3 *v)
{
    for (unsigned i = 0; i < v->n_txq + v->n_rxq; i++) {
        uint32_t error = i < v->n_txq ? v->tx[i].error : v->rx[i - v->n_txq].error, s[2] = {error != 0, error};
        gmem_write(v->pci.dev.vm, v->queue_desc + (uint64_t)i * QD_SIZE + QD_STATUS, s, sizeof s);
    }
}

static uint32_t command_get(struct vmxnet3 *v, unsigned cmd)
{
    uint64_t pa;
    switch (cmd) {
    case GET_QUEUE_STATUS:
        if (v->active)
            put_status(v);
        return 0;
    case GET_STATS:
        if (v->active)
            put_stats(v);
        return 0;
    case GET_LINK: return v->port->link ? LINK_SPEED << 16 | 1u : 0;
    case GET_PERM_MAC_LO: return ld_le32(v->perm_mac);
    case GET_PERM_MAC_HI: return ld_le16(v->perm_mac + 4);
    case GET_DID_LO: return 0x07b0;
    case GET_DID_HI: return 1;
    case GET_CONF_INTR: return 0; /* any type, masked automatically */
    case GET_TXDATA_DESC_SIZE: return TXDATA_DESC_SIZE;
    case GET_COALESCE:
        if (v->active && var_conf(v, sizeof v->coalesce, &pa))
            gmem_write(v->pci.dev.vm, pa, v->coalesce, sizeof v->coalesce);
        return 0;
    case GET_RSS_FIELDS: return v->rss_fields;
    case GET_MAX_QUEUES_CONF: return (uint32_t)v->max_queues << 8 | v->max_queues;
    case GET_DCR0_REG: return v->dcr;
    default: return 0;
    }
}

static void command(struct vmxnet3 *v, uint32_t cmd)
{
    v->result = 0;
    if (cmd - CMD_FIRST_GET <= 0xffff) {
        v->result = command_get(v, cmd - CMD_FIRST_GET);
        return;
    }
    switch (cmd - CMD_FIRST_SET) {
    case SET_ACTIVATE_DEV: v->result = !v->pci.bus_master || !activate(v); break;
    case SET_QUIESCE_DEV: deactivate(v); break;
    case SET_RESET_DEV:
        soft_reset(v);
        v3_intx_update(v);
        break;
    default:
        if (v->active)
            command_update(v, cmd - CMD_FIRST_SET);
    }
}

/* ---- registers ---- */

static uint64_t bar0_read(void *dev, uint64_t off, unsigned size)
{
    const struct vmxnet3 *v = dev;
    return !(off & 7) && off / 8 < V3_INTRS ? v->intr_masked >> (off / 8) & 1 : 0;
}

static void bar0_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct vmxnet3 *v = dev;
    unsigned n = (unsigned)(off & 0x1ff) / 8;
    if (off & 7)
        return;
    switch (off & ~0x1ffull) {
    case REG_IMR:
        if (n < V3_INTRS)
            v3_intr_mask(v, n, val & 1);
        break;
    case REG_TXPROD: v3_tx_run(v, n); break;
    case REG_RXPROD:
    case REG_RXPROD2: v3_rx_kick(v, n); break;
    }
}

static uint64_t bar1_read(void *dev, uint64_t off, unsigned size)
{
    struct vmxnet3 *v = dev;
    uint32_t icr;
    switch (off) {
    case REG_VRRS: return VRRS_SUPPORTED;
    case REG_UVRS: return UVRS_SUPPORTED;
    case REG_DSAL: return v->dsal;
    case REG_DSAH: return v->dsah;
    case REG_CMD: return v->result;
    case REG_MACL: return ld_le32(v->mac);
    case REG_MACH: return ld_le16(v->mac + 4);
    case REG_ICR: /* reading takes INTx back */
        icr = v->intr_asserted;
        v->intr_asserted = 0;
        v3_intx_update(v);
        return icr;
    case REG_ECR: return v->ecr;
    case REG_DCR: return DCR_UDP_RSS;
    case REG_PTCR: return 0x80000000; /* there is no pass-through device behind this one */
    default: return 0;
    }
}

static void bar1_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct vmxnet3 *v = dev;
    uint32_t w = (uint32_t)val;
    switch (off) {
    case REG_VRRS:
        for (unsigned i = 0; i < 7; i++)
            if (w == 1u << i && VRRS_SUPPORTED >> i & 1)
                v->version = i + 1;
        break;
    case REG_DSAL: v->dsal = w; break;
    case REG_DSAH: v->dsah = w; break;
    case REG_CMD: command(v, w); break;
    case REG_MACL: v->macl = w; break;
    case REG_MACH: /* the lower half waits for this one */
        st_le32(v->mac, v->macl);
        st_le16(v->mac + 4, (uint16_t)w);
        memcpy(v->port->mac, v->mac, 6);
        break;
    case REG_ECR: /* events seen */
        v->ecr &= ~w;
        if (v->active)
            gmem_st32(v->pci.dev.vm, v->shared + DS_ECR, v->ecr);
        break;
    case REG_DCR: v->dcr = w & DCR_UDP_RSS; break;
    }
}

static const struct io_ops bar0_ops = {.read = bar0_read, .write = bar0_write, .widths = IO_32};
static const struct io_ops bar1_ops = {.read = bar1_read, .write = bar1_write, .widths = IO_32};

/* ---- the cable ---- */

static void v3_writable(void *end)
{
    struct vmxnet3 *v = end;
    for (unsigned i = 0; i < v->n_txq; i++)
        if (v->tx[i].full)
            v3_tx_run(v, i);
}

static void v3_link(void *end, bool up) { v3_event(end, ECR_LINK); }

static const struct net_end_ops v3_end = {.receive = v3_receive, .writable = v3_writable, .link = v3_link};

static void tx_more(void *dev) { v3_tx_run_all(dev); }

/* ---- the device ---- */

static void add_pm(struct pci_dev *p)
{
    p->cfg[CAP_PM] = 0x01;
    p->cfg[0x34] = CAP_PM;
    p->cfg[0x06] |= 0x10;
    st_le16(p->cfg + CAP_PM + 2, 0x0003);  /* PCI PM 1.2, D0 and D3hot, no PME# */
    st_le16(p->cfg + CAP_PM + 4, 0x0008);  /* No_Soft_Reset: D3hot keeps everything */
    p->wmask[CAP_PM + 4] = 0x03;
}

static int v3_init(struct dev *d, const void *params, struct err *e)
{
    static const struct pci_id id = {0x15ad, 0x07b0, 0x15ad, 0x07b0, 0x02000001};
    struct vmxnet3 *v = (struct vmxnet3 *)d;
    const struct nic_params *p = params;
    if (pci_register(&v->pci, p->bus, p->devfn, &id, 1, e))
        return -1;
    v->port = p->port;
    memcpy(v->perm_mac, p->mac, 6);
    v->max_queues = p->queues < 1 ? 1 : p->queues > V3_MAX_TXQ ? V3_MAX_TXQ : (uint8_t)p->queues;
    v->bar0 = (struct memregion){.owner = "vmxnet3", .size = 0x1000, .kind = MR_MMIO, .ops = &bar0_ops, .dev = v};
    v->bar1 = (struct memregion){.owner = "vmxnet3", .size = 0x1000, .kind = MR_MMIO, .ops = &bar1_ops, .dev = v};
    pci_bar_mem(&v->pci, 0, &v->bar0, false, false);
    pci_bar_mem(&v->pci, 1, &v->bar1, false, false);
    add_pm(&v->pci);
    pci_express_add(&v->pci, CAP_EXPRESS, 2);
    pci_msi_add(&v->pci, CAP_MSI);
    pci_msix_add(&v->pci, CAP_MSIX, 2, V3_INTRS, MSIX_BAR_SIZE);
    if (p->rom && nic_rom_init(&v->rom, &v->pci, p->rom, p->rom_size, e))
        return -1;
    vtimer_init(&v->tx_more, d->vm, tx_more, v);
    v3_intr_init(v);
    net_port_init(v->port, &v3_end, v, NET_CAN_CSUM);
    memcpy(v->mac, v->perm_mac, 6);
    memcpy(v->port->mac, v->mac, 6);
    return 0;
}

static void v3_destroy(struct dev *d) { nic_rom_fini(&((struct vmxnet3 *)d)->rom); }

static void v3_reset(struct dev *d, enum reset_kind k)
{
    struct vmxnet3 *v = (struct vmxnet3 *)d;
    soft_reset(v);
    v->version = 1;
    v->macl = v->dcr = v->dsal = v->dsah = 0;
    for (unsigned i = 0; i < V3_MAX_TXQ; i++)
        memset(v->tx[i].stats, 0, sizeof v->tx[i].stats);
    for (unsigned i = 0; i < V3_MAX_RXQ; i++)
        memset(v->rx[i].stats, 0, sizeof v->rx[i].stats);
    memcpy(v->mac, v->perm_mac, 6);
    memcpy(v->port->mac, v->mac, 6);
    pci_reset_function(&v->pci);
}

/* ---- state ---- */

static int ring_post_load(void *dev, unsigned version, struct err *e)
{
    struct v3_ring *r = dev;
    if (r->next >= r->size && r->next)
        return err_set(e, ERR_CORRUPT, 0, "The saved state of a network adapter is damaged: place %u in a ring of %u.",
                       r->next, r->size);
    return 0;
}
static const struct state_field ring_fields[] = {
    SF(struct v3_ring, base, SF_U64),
    SF_MAX(struct v3_ring, size, SF_U32, RC_RING_MAX),
    SF_MAX(struct v3_ring, next, SF_U32, RC_RING_MAX - 1),
    SF(struct v3_ring, gen, SF_BOOL),
    {0},
};
static const struct state_desc ring_state = {
    .name = "vmxnet3_ring", .version = 1, .min_version = 1, .fields = ring_fields, .post_load = ring_post_load};

static const struct state_field txq_fields[] = {
    SF_SUB(struct v3_txq, ring, &ring_state),
    SF_SUB(struct v3_txq, comp, &ring_state),
    SF_MAX(struct v3_txq, intr, SF_U8, V3_INTRS - 1),
    SF(struct v3_txq, error, SF_U32),
    SF_ARR(struct v3_txq, stats, SF_U64),
    {0},
};
static const struct state_desc txq_state = {.name = "vmxnet3_txq", .version = 1, .min_version = 1, .fields = txq_fields};

static const struct state_field rxq_fields[] = {
    SF_SUBS(struct v3_rxq, ring, &ring_state),
    SF_SUB(struct v3_rxq, comp, &ring_state),
    SF(struct v3_rxq, data, SF_U64),
    SF_MAX(struct v3_rxq, data_size, SF_U16, DATA_DESC_MAX),
    SF_MAX(struct v3_rxq, intr, SF_U8, V3_INTRS - 1),
    SF(struct v3_rxq, error, SF_U32),
    SF_ARR(struct v3_rxq, stats, SF_U64),
    SF(struct v3_rxq, starved, SF_BOOL),
    {0},
};
static const struct state_desc rxq_state = {.name = "vmxnet3_rxq", .version = 1, .min_version = 1, .fields = rxq_fields};

static const struct state_field v3_fields[] = {
    SF_SUB(struct vmxnet3, pci, &pci_dev_state),
    SF_MAX(struct vmxnet3, version, SF_U32, 7),
    SF(struct vmxnet3, result, SF_U32),
    SF(struct vmxnet3, macl, SF_U32),
    SF(struct vmxnet3, ecr, SF_U32),
    SF(struct vmxnet3, dcr, SF_U32),
    SF(struct vmxnet3, dsal, SF_U32),
    SF(struct vmxnet3, dsah, SF_U32),
    SF_BUF(struct vmxnet3, mac),
    SF_MAX(struct vmxnet3, intr_masked, SF_U32, (1u << V3_INTRS) - 1),
    SF_MAX(struct vmxnet3, intr_pending, SF_U32, (1u << V3_INTRS) - 1),
    SF_MAX(struct vmxnet3, intr_asserted, SF_U32, (1u << V3_INTRS) - 1),
    SF_MAX(struct vmxnet3, intr_held, SF_U32, (1u << V3_INTRS) - 1),
    SF(struct vmxnet3, active, SF_BOOL),
    SF(struct vmxnet3, auto_mask, SF_BOOL),
    SF(struct vmxnet3, shared, SF_U64),
    SF(struct vmxnet3, queue_desc, SF_U64),
    SF(struct vmxnet3, features, SF_U32),
    SF_MAX(struct vmxnet3, mtu, SF_U32, V3_MTU_MAX),
    SF_MAX(struct vmxnet3, max_rx_sg, SF_U32, 0xffff),
    SF_MAX(struct vmxnet3, n_txq, SF_U8, V3_MAX_TXQ),
    SF_MAX(struct vmxnet3, n_rxq, SF_U8, V3_MAX_RXQ),
    SF_MAX(struct vmxnet3, event_intr, SF_U8, V3_INTRS - 1),
    SF(struct vmxnet3, rx_mode, SF_U32),
    SF_MAX(struct vmxnet3, n_mf, SF_U32, V3_MF_MAX + 1),
    SF_BUF(struct vmxnet3, mf),
    SF_ARR(struct vmxnet3, vlans, SF_U32),
    SF_MAX(struct vmxnet3, rss_fields, SF_U32, RSS_FIELDS_ALL),
    SF(struct vmxnet3, rss_types, SF_U32),
    SF_MAX(struct vmxnet3, rss_table_size, SF_U32, V3_RSS_TABLE),
    SF_BUF(struct vmxnet3, rss_key),
    SF_BUF(struct vmxnet3, rss_table),
    SF_ARR(struct vmxnet3, coalesce, SF_U32),
    SF(struct vmxnet3, wake_events, SF_U32),
    SF_SUBS(struct vmxnet3, tx, &txq_state),
    SF_SUBS(struct vmxnet3, rx, &rxq_state),
    {0},
};

/* Frames may wait in a ring for a peer that was full: the timer looks. */
static int v3_post_load(void *dev, unsigned version, struct err *e)
{
    struct vmxnet3 *v = dev;
    for (unsigned i = 0; v->active && i < v->n_txq; i++)
        if (!v->tx[i].ring.size || !v->tx[i].comp.size)
            v->active = false;
    for (unsigned i = 0; v->active && i < v->n_rxq; i++)
        if (!v->rx[i].ring[0].size || !v->rx[i].comp.size)
            v->active = false;
    if (!v->active)
        v->n_txq = v->n_rxq = 0;
    v3_intr_loaded(v);
    memcpy(v->port->mac, v->mac, 6);
    update_can(v);
    if (v->active)
        vtimer_arm(&v->tx_more, clock_now(v->pci.dev.vm));
    return 0;
}

static const struct state_desc v3_state = {
    .name = "vmxnet3", .version = 1, .min_version = 1, .fields = v3_fields, .post_load = v3_post_load};

const struct dev_class vmxnet3_class = {
    .name = "vmxnet3", .size = sizeof(struct vmxnet3), .init = v3_init, .reset = v3_reset, .destroy = v3_destroy,
    .state = &v3_state};
