/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between pcnet.c (ports, registers, life) and pcnet_dma.c (initialization block, rings, frames). */
#ifndef LODGE_NET_PCNET_PRIVATE_H
#define LODGE_NET_PCNET_PRIVATE_H

#include "base/bytes.h"
#include "base/log.h"
#include "core/clock.h"
#include "core/dma.h"
#include "net/fcs.h"
#include "net/nic.h"
#include "net/rom.h"
#include "pci/pci.h"

enum { PCNET_CSRS = 128, PCNET_BCRS = 32, PCNET_FRAME = 4096, PCNET_MAX_RING = 65536 };

enum {
    CSR0_INIT = 1 << 0,
    CSR0_STRT = 1 << 1,
    CSR0_STOP = 1 << 2,
    CSR0_TDMD = 1 << 3,
    CSR0_TXON = 1 << 4,
    CSR0_RXON = 1 << 5,
    CSR0_IENA = 1 << 6,
    CSR0_INTR = 1 << 7,
    CSR0_IDON = 1 << 8,
    CSR0_TINT = 1 << 9,
    CSR0_RINT = 1 << 10,
    CSR0_MERR = 1 << 11,
    CSR0_MISS = 1 << 12,
    CSR0_CERR = 1 << 13,
    CSR0_BABL = 1 << 14,
    CSR0_ERR = 1 << 15,
    CSR3_DXSUFLO = 1 << 6,
    CSR4_TXSTRT = 1 << 3,
    CSR4_UINT = 1 << 6,
    CSR4_UINTCMD = 1 << 7,
    CSR4_MFCO = 1 << 9,
    CSR4_ASTRP_RCV = 1 << 10,
    CSR4_APAD_XMT = 1 << 11,
    CSR4_DPOLL = 1 << 12,
    CSR5_SPND = 1 << 0,
    CSR5_LTINTEN = 1 << 14,
    CSR5_TOKINTD = 1 << 15,
    CSR15_DRX = 1 << 0,
    CSR15_DTX = 1 << 1,
    CSR15_LOOP = 1 << 2,
    CSR15_DXMTFCS = 1 << 3,
    CSR15_DRCVPA = 1 << 13,
    CSR15_DRCVBC = 1 << 14,
    CSR15_PROM = 1 << 15
};

/* Descriptor flags, in the upper half of the 32-bit form's second word; the 16-bit form has the same at bits 15:8. */
#define MD_OWN (1u << 31)
enum {
    MD_ERR = 1 << 30,
    MD_FRAM = 1 << 29,
    MD_OFLO = 1 << 28,
    MD_CRC = 1 << 27,
    MD_BUFF = 1 << 26,
    MD_STP = 1 << 25,
    MD_ENP = 1 << 24,
    MD_PAM = 1 << 22,
    MD_LAFM = 1 << 21,
    MD_BAM = 1 << 20,
    TMD_ADD_FCS = 1 << 29,
    TMD_LTINT = 1 << 28,
    TMD2_BUFF = 1u << 31,
    TMD2_UFLO = 1 << 30,
    TMD2_LCAR = 1 << 27
};

struct pcnet {
    struct pci_dev pci;
    struct net_port *port;
    struct memregion mmio;
    struct nic_rom rom;
    uint8_t mac[6];
    struct fcs_table fcs;

    /* guest-visible */
    uint8_t aprom[16];
    uint16_t csr[PCNET_CSRS], bcr[PCNET_BCRS];
    uint16_t rap;
    bool dwio;                  /* ports are 32 bits wide */
    uint32_t rx_len, tx_len;    /* descriptors in the rings, 1 to 65536 */
    uint32_t rx_pos, tx_pos;    /* the current ones */
    bool tdmd_seen;             /* the driver demands transmits: no polling for it */
    struct vtimer poll;         /* of the transmit ring; of the receive ring while a sender waits */

    /* not saved */
    bool tx_running, rx_stalled;
    uint8_t buf[PCNET_FRAME * 4];
};

/* ---- pcnet.c ---- */
void pcnet_update_irq(struct pcnet *x);

/* ---- pcnet_dma.c ---- */
void pcnet_read_init_block(struct pcnet *x);
void pcnet_tx_run(struct pcnet *x);
bool pcnet_rx(struct pcnet *x, const struct iovec *f, int n, bool wait);
void pcnet_rx_room(struct pcnet *x);
void pcnet_arm_poll(struct pcnet *x);
void pcnet_poll(void *dev);
static inline bool pcnet_ssize32(const struct pcnet *x) { return x->bcr[20] & 0x100; }
static inline uint32_t pcnet_csr32(const struct pcnet *x, unsigned i) { return x->csr[i] | (uint32_t)x->csr[i + 1] << 16; }

#endif
