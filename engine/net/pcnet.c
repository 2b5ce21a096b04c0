/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD Am79C970A PCnet-PCI II (data sheet 19436): an Ethernet controller that speaks LANCE's language in 16 bits and its
 * own in 32. Here: ports in word and double word mode, address PROM, control and status registers (CSRs), bus
 * configuration registers (BCRs), interrupts, life. Rings and frames are in pcnet_dma.c. There is no MII: the chip has
 * its own 10BASE-T transceiver, whose link shows in the LED register BCR4.
 */
#include <string.h>

#include "core/vm.h"
#include "net/pcnet_private.h"

enum { BCR2_APROMWE = 1 << 8, LED_OUT = 1 << 15 };

/* ---- interrupts (CSR0, CSR3, CSR4, CSR5) ---- */

void pcnet_update_irq(struct pcnet *x)
{
    uint16_t *c = x->csr;
    bool intr = c[0] & ~c[3] & (CSR0_BABL | CSR0_MISS | CSR0_MERR | CSR0_RINT | CSR0_TINT | CSR0_IDON);
    /* CSR4: each cause stands one bit above its mask, but for UINT, which has none. */
    intr = intr || (c[4] >> 1 & ~c[4] & 0x0115) || c[4] & CSR4_UINT;
    /* CSR5: each one above its enable. */
    intr = intr || (c[5] >> 1 & c[5] & 0x0548);
    c[0] = (uint16_t)((c[0] & ~(CSR0_INTR | CSR0_ERR)) | (intr ? CSR0_INTR : 0));
    if (c[0] & (CSR0_BABL | CSR0_CERR | CSR0_MISS | CSR0_MERR))
        c[0] |= CSR0_ERR;
    pci_set_intx(&x->pci, intr && c[0] & CSR0_IENA);
}

/* ---- resets ---- */

/* Addresses (CSR1, 2, 8 to 14) and rings outlive it: Linux initializes again without giving them anew. */
static void soft_reset(struct pcnet *x)
{
    uint16_t *c = x->csr;
    c[0] = CSR0_STOP;
    c[3] = 0;
    c[4] = 0x0115;
    c[5] = 0;
    c[15] = 0;
    c[46] = c[47] = 0;
    c[80] = 0x1410;
    c[82] = 0;
    c[100] = 0x0200;
    c[112] = c[114] = c[122] = c[124] = 0;
    x->tdmd_seen = false;
    vtimer_cancel(&x->poll);
}

static void hard_reset(struct pcnet *x)
{
    static const struct {
        uint8_t i;
        uint16_t v;
    } bcrs[] = {{0, 0x0005}, {1, 0x0005}, {2, 0x0002},  {4, 0x00c0},  {5, 0x0084},
                {6, 0x0088}, {7, 0x0090}, {18, 0x9001}, {19, 0x0002}, {20, 0x0200}, {22, 0xff06}};
    uint16_t sum = 0;
    memset(x->aprom, 0, sizeof x->aprom);
    memcpy(x->aprom, x->mac, 6);
    x->aprom[9] = 0x11; /* PCI */
    x->aprom[14] = x->aprom[15] = 0x57;
    for (int i = 0; i < 16; i++)
        sum += x->aprom[i];
    st_le16(x->aprom + 12, sum);
    memset(x->bcr, 0, sizeof x->bcr);
    for (unsigned i = 0; i < sizeof bcrs / sizeof *bcrs; i++)
        x->bcr[bcrs[i].i] = bcrs[i].v;
    x->rap = 0;
    x->dwio = false;
    memset(x->csr, 0, sizeof x->csr);
    for (int i = 0; i < 3; i++)
        x->csr[12 + i] = ld_le16(x->aprom + 2 * i);
    x->csr[88] = 0x1003; /* part 2621h, manufacturer AMD */
    x->csr[89] = 0x0262;
    x->rx_len = x->tx_len = 1;
    x->rx_pos = x->tx_pos = 0;
    soft_reset(x);
    memcpy(x->port->mac, x->mac, 6);
}

/* ---- CSRs ---- */

static void update_mac(struct pcnet *x)
{
    for (int i = 0; i < 3; i++)
        st_le16(x->port->mac + 2 * i, x->csr[12 + i]);
}

static void write_csr0(struct pcnet *x, uint16_t v)
{
    uint16_t *c = x->csr;
    if (v & CSR0_STOP) { /* overrides all the others */
        c[0] = CSR0_STOP;
        c[4] &= (uint16_t)~0x02c2;
        c[5] &= (uint16_t)~0x0011;
        x->tdmd_seen = false;
        vtimer_cancel(&x->poll);
        pcnet_update_irq(x);
        pcnet_rx_room(x); /* what waits is lost now */
        return;
    }
    c[0] &= (uint16_t)~(v & 0x7f00); /* written 1 to clear */
    /* IENA cannot be set while STOP is set, unless the chip leaves it in this write. */
    c[0] = (uint16_t)((c[0] & ~CSR0_IENA) | (v & CSR0_IENA));
    if (v & CSR0_INIT && !(c[0] & CSR0_INIT)) {
        pcnet_read_init_block(x);
        update_mac(x);
        c[0] = (uint16_t)((c[0] & ~CSR0_STOP) | CSR0_INIT | CSR0_IDON);
    }
    if (v & CSR0_STRT && !(c[0] & CSR0_STRT)) {
        c[0] = (uint16_t)((c[0] & ~CSR0_STOP) | CSR0_STRT);
        if (!(c[15] & CSR15_DTX))
            c[0] |= CSR0_TXON;
        if (!(c[15] & CSR15_DRX))
            c[0] |= CSR0_RXON;
        pcnet_tx_run(x);
        pcnet_rx_room(x);
        pcnet_arm_poll(x);
    }
    if (v & CSR0_TDMD && c[0] & CSR0_TXON) {
        x->tdmd_seen = true;
        pcnet_tx_run(x);
    }
    pcnet_update_irq(x);
    if (x->rx_stalled)
        pcnet_rx_room(x); /* drivers give buffers back before they acknowledge */
}

static void write_bcr20(struct pcnet *x, uint16_t v)
{
    static const uint16_t bits[4] = {0x200, 0x100, 0x300, 0x300}; /* CSRPCNET, SSIZE32 */
    unsigned style = v & 0xff;
    if (style > 3) {
        guest_error("vlance", "software style %u does not exist", style);
        style = 0;
    }
    x->bcr[20] = (uint16_t)(style | bits[style] | (v & 0x400));
}

static uint16_t ring_count(uint32_t len, uint32_t pos) { return (uint16_t)-(len - pos); }

static uint16_t csr_read(struct pcnet *x, unsigned i)
{
    unsigned ds = pcnet_ssize32(x) ? 16 : 8;
    uint32_t rda = pcnet_csr32(x, 24) + x->rx_pos * ds, xda = pcnet_csr32(x, 30) + x->tx_pos * ds;
    uint16_t v;
    switch (i) {
    case 5: return x->csr[5];
    case 16: return x->csr[1];
    case 17: return x->csr[2];
    case 28: return (uint16_t)rda;
    case 29: return (uint16_t)(rda >> 16);
    case 34: return (uint16_t)xda;
    case 35: return (uint16_t)(xda >> 16);
    case 58: return x->bcr[20];
    case 72: return ring_count(x->rx_len, x->rx_pos);
    case 74: return ring_count(x->tx_len, x->tx_pos);
    case 76: return ring_count(x->rx_len, 0);
    case 78: return ring_count(x->tx_len, 0);
    case 114: /* collisions and missed frames are counted, and cleared by reading */
    case 112:
        v = x->csr[i];
        x->csr[i] = 0;
        return v;
    default: return i < PCNET_CSRS ? x->csr[i] : 0;
    }
}

static uint32_t ring_len(uint16_t v) { return v ? 0x10000u - v : 0x10000u; }

static void csr_write(struct pcnet *x, unsigned i, uint16_t v)
{
    uint16_t *c = x->csr;
    bool idle = c[0] & CSR0_STOP || c[5] & CSR5_SPND;
    switch (i) {
    case 0: write_csr0(x, v); return;
    case 1:
    case 16:
        if (idle)
            c[1] = v;
        return;
    case 2:
    case 17:
        if (idle)
            c[2] = v;
        return;
    case 3:
        c[3] = v & 0x5f7c;
        pcnet_update_irq(x);
        return;
    case 4:
        c[4] &= (uint16_t)~(v & 0x026a);
        c[4] = (uint16_t)((c[4] & 0x026a) | (v & 0xfd15));
        if (v & CSR4_UINTCMD)
            c[4] |= CSR4_UINT;
        pcnet_arm_poll(x);
        pcnet_update_irq(x);
        return;
    case 5:
        c[5] &= (uint16_t)~(v & 0x0a90);
        c[5] = (uint16_t)((c[5] & 0x0a90) | (v & 0xc56f));
        pcnet_update_irq(x);
        if (!(c[5] & CSR5_SPND)) {
            pcnet_tx_run(x);
            pcnet_rx_room(x);
        }
        return;
    case 12:
    case 13:
    case 14:
        if (idle) {
            c[i] = v;
            update_mac(x);
        }
        return;
    case 15:
        if (idle)
            c[15] = v;
        return;
    case 58:
        if (idle)
            write_bcr20(x, v);
        return;
    case 72:
        if (idle && ring_len(v) <= x->rx_len)
            x->rx_pos = x->rx_len - ring_len(v);
        return;
    case 74:
        if (idle && ring_len(v) <= x->tx_len)
            x->tx_pos = x->tx_len - ring_len(v);
        return;
    case 76:
        if (idle) {
            x->rx_len = ring_len(v);
            x->rx_pos = 0;
        }
        return;
    case 78:
        if (idle) {
            x->tx_len = ring_len(v);
            x->tx_pos = 0;
        }
        return;
    case 8:
    case 9:
    case 10:
    case 11:
    case 24:
    case 25:
    case 30:
    case 31:
    case 46:
    case 47:
    case 80:
    case 82:
    case 100:
    case 122:
    case 124:
        if (idle)
            c[i] = v;
        if (i == 24 || i == 25)
            x->rx_pos = 0;
        if (i == 30 || i == 31)
            x->tx_pos = 0;
        return;
    }
}

/* ---- BCRs ---- */

static uint16_t bcr_read(struct pcnet *x, unsigned i)
{
    if (i >= PCNET_BCRS)
        return 0;
    uint16_t v = x->bcr[i];
    /* LED registers: LEDOUT shows the light. LNKSTE (bit 6): the link is up. */
    if (i >= 4 && i <= 7)
        v = (uint16_t)((v & ~LED_OUT) | (v & 0x40 && x->port->link ? LED_OUT : 0));
    if (i == 18)
        v = (uint16_t)((v & ~0x80) | (x->dwio ? 0x80 : 0));
    return v;
}

static void bcr_write(struct pcnet *x, unsigned i, uint16_t v)
{
    switch (i) {
    case 2: x->bcr[2] = v & 0xd746; return;
    case 4:
    case 5:
    case 6:
    case 7: /* only with LED programming enabled (BCR2 bit 12) */
        if (x->bcr[2] & 0x1000)
            x->bcr[i] = v & 0x7fff;
        return;
    case 9: x->bcr[9] = v & 7; return;
    case 16:
    case 17:
    case 21: x->bcr[i] = v; return;
    case 18: x->bcr[18] = v & 0xff7f; return;
    case 19: /* the EEPROM's pins: none is there, so a read command (bit 14) finds nothing, and PVALID stays 0 */
        x->bcr[19] = v & 0x001f;
        return;
    case 20:
        if (x->csr[0] & CSR0_STOP || x->csr[5] & CSR5_SPND)
            write_bcr20(x, v);
        return;
    }
}

/* ---- ports ---- */

static uint32_t reg_read(struct pcnet *x, unsigned reg) /* 0 RDP, 1 RAP, 2 RESET, 3 BDP */
{
    uint32_t v;
    switch (reg) {
    case 0:
        v = csr_read(x, x->rap);
        if (x->rx_stalled && x->rap == 0)
            pcnet_rx_room(x);
        return v;
    case 1: return x->rap;
    case 2:
        soft_reset(x);
        pcnet_update_irq(x);
        pcnet_rx_room(x);
        return 0;
    default: return bcr_read(x, x->rap);
    }
}

static void reg_write(struct pcnet *x, unsigned reg, uint32_t v)
{
    switch (reg) {
    case 0: csr_write(x, x->rap, (uint16_t)v); break;
    case 1: x->rap = v & 0x7f; break;
    case 3: bcr_write(x, x->rap, (uint16_t)v); break;
    }
}

static uint64_t io_read(void *dev, uint64_t off, unsigned size)
{
    struct pcnet *x = dev;
    uint32_t v = 0;
    if (off < 0x10) {
        for (unsigned i = 0; i < size && off + i < 16; i++)
            v |= (uint32_t)x->aprom[off + i] << 8 * i;
        return v;
    }
    if (x->dwio)
        return off & 3 ? 0 : reg_read(x, (unsigned)(off - 0x10) / 4 & 3);
    if (off & 1 || off >= 0x18 || size == 4)
        return size == 4 ? 0xffffffff : 0;
    return reg_read(x, (unsigned)(off - 0x10) / 2);
}

static void io_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pcnet *x = dev;
    if (off < 0x10) {
        if (x->bcr[2] & BCR2_APROMWE)
            for (unsigned i = 0; i < size && off + i < 16; i++)
                x->aprom[off + i] = (uint8_t)(val >> 8 * i);
        return;
    }
    if (size == 4 && !x->dwio && off == 0x10)
        x->dwio = true; /* a double word written to RDP switches to that mode until the next hardware reset */
    if (x->dwio) {
        if (!(off & 3) && size == 4)
            reg_write(x, (unsigned)(off - 0x10) / 4 & 3, (uint32_t)val);
        return;
    }
    if (!(off & 1) && off < 0x18 && size == 2)
        reg_write(x, (unsigned)(off - 0x10) / 2, (uint32_t)val);
}

static const struct io_ops ops = {.read = io_read, .write = io_write, .widths = IO_8 | IO_16 | IO_32};

/* ---- the network's side ---- */

static bool end_receive(void *end, const struct net_offload *o, const struct iovec *f, int n)
{
    (void)o;
    return pcnet_rx(end, f, n, true);
}
static void end_writable(void *end)
{
    pcnet_tx_run(end);
    pcnet_update_irq(end);
}
static const struct net_end_ops port_ops = {.receive = end_receive, .writable = end_writable};

/* ---- life ---- */

static void config_changed(struct pci_dev *p, unsigned off, unsigned size)
{
    struct pcnet *x = (struct pcnet *)p;
    if (off < 6 && off + size > 4 && p->bus_master) {
        pcnet_tx_run(x);
        pcnet_update_irq(x);
        pcnet_rx_room(x);
    }
}

static int pcnet_init(struct dev *d, const void *params, struct err *e)
{
    static const struct pci_id id = {0x1022, 0x2000, 0x1022, 0x2000, 0x02000010};
    struct pcnet *x = (struct pcnet *)d;
    const struct nic_params *p = params;
    memcpy(x->mac, p->mac, 6);
    if (pci_register(&x->pci, p->bus, p->devfn, &id, 1, e))
        return -1;
    x->pci.cfg[0x3e] = 0x06; /* MIN_GNT, MAX_LAT */
    x->pci.cfg[0x3f] = 0xff;
    pci_bar_io(&x->pci, 0, 32, &ops, x);
    x->mmio = (struct memregion){.owner = d->id, .size = 32, .kind = MR_MMIO, .ops = &ops, .dev = x};
    pci_bar_mem(&x->pci, 1, &x->mmio, false, false);
    pci_on_config(&x->pci, config_changed);
    if (nic_rom_init(&x->rom, &x->pci, p->rom, p->rom_size, e))
        return -1;
    fcs_init(&x->fcs);
    vtimer_init(&x->poll, d->vm, pcnet_poll, x);
    x->port = p->port;
    net_port_init(x->port, &port_ops, x, 0);
    memcpy(x->port->mac, p->mac, 6);
    return 0;
}

static void pcnet_reset(struct dev *d, enum reset_kind k)
{
    struct pcnet *x = (struct pcnet *)d;
    (void)k;
    pci_reset_function(&x->pci);
    hard_reset(x);
}

static void pcnet_reset_done(struct dev *d) { pcnet_rx_room((struct pcnet *)d); }

static void pcnet_destroy(struct dev *d)
{
    struct pcnet *x = (struct pcnet *)d;
    vtimer_cancel(&x->poll);
    net_disconnect(x->port);
    nic_rom_fini(&x->rom);
}

/* ---- state ---- */

static const struct state_field fields[] = {SF_SUB(struct pcnet, pci, &pci_dev_state),
                                            SF_BUF(struct pcnet, aprom),
                                            SF_ARR(struct pcnet, csr, SF_U16),
                                            SF_ARR(struct pcnet, bcr, SF_U16),
                                            SF_MAX(struct pcnet, rap, SF_U16, 127),
                                            SF(struct pcnet, dwio, SF_BOOL),
                                            SF_MAX(struct pcnet, rx_len, SF_U32, PCNET_MAX_RING),
                                            SF_MAX(struct pcnet, tx_len, SF_U32, PCNET_MAX_RING),
                                            SF_MAX(struct pcnet, rx_pos, SF_U32, PCNET_MAX_RING - 1),
                                            SF_MAX(struct pcnet, tx_pos, SF_U32, PCNET_MAX_RING - 1),
                                            SF(struct pcnet, tdmd_seen, SF_BOOL),
                                            SF(struct pcnet, poll, SF_VTIMER),
                                            {NULL}};

/* A frame that waits for a full peer: after loading nobody says that there is room, so the timer tries. */
static void pre_save(void *dev)
{
    struct pcnet *x = dev;
    if (x->csr[0] & CSR0_TXON && !vtimer_armed(&x->poll))
        vtimer_arm(&x->poll, clock_now(x->pci.dev.vm));
}

static int post_load(void *dev, unsigned version, struct err *e)
{
    struct pcnet *x = dev;
    (void)version;
    if (x->rx_pos >= x->rx_len || x->tx_pos >= x->tx_len || (x->bcr[20] & 0xff) > 3)
        return err_set(e, ERR_CORRUPT, 0, "the saved state of %s contradicts itself", x->pci.dev.id);
    write_bcr20(x, x->bcr[20]);
    update_mac(x);
    pcnet_update_irq(x);
    return 0;
}

static const struct state_desc state = {
    .name = "pcnet", .version = 1, .min_version = 1, .fields = fields, .pre_save = pre_save, .post_load = post_load};

const struct dev_class vlance_class = {.name = "vlance",
                                       .size = sizeof(struct pcnet),
                                       .init = pcnet_init,
                                       .reset = pcnet_reset,
                                       .reset_done = pcnet_reset_done,
                                       .destroy = pcnet_destroy,
                                       .state = &state};
