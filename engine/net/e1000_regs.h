/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers and bits of the Intel 8254x and 82574 (PCI/PCI-X Family of Gigabit Ethernet Controllers Software
 * Developer's Manual, chapter 13; Intel 82574 GbE Controller Family Datasheet, chapter 10), by their names there.
 */
#ifndef LODGE_NET_E1000_REGS_H
#define LODGE_NET_E1000_REGS_H

enum e1000_reg {
    CTRL = 0x0000,
    STATUS = 0x0008,
    EECD = 0x0010,
    EERD = 0x0014,
    CTRL_EXT = 0x0018,
    FLA = 0x001c,
    MDIC = 0x0020,
    FCAL = 0x0028,
    FCAH = 0x002c,
    FCT = 0x0030,
    VET = 0x0038,
    ICR = 0x00c0,
    ITR = 0x00c4,
    ICS = 0x00c8,
    IMS = 0x00d0,
    IMC = 0x00d8,
    EIAC = 0x00dc,
    IAM = 0x00e0,
    IVAR = 0x00e4,
    EITR = 0x00e8, /* five of them */
    RCTL = 0x0100,
    FCTTV = 0x0170,
    TXCW = 0x0178,
    RXCW = 0x0180,
    TCTL = 0x0400,
    TIPG = 0x0410,
    TBT = 0x0448,
    AIT = 0x0458,
    LEDCTL = 0x0e00,
    EXTCNF_CTRL = 0x0f00,
    EXTCNF_SIZE = 0x0f08,
    PHY_CTRL = 0x0f10,
    PBA = 0x1000,
    PBS = 0x1008,
    EEMNGCTL = 0x1010,
    EEWR = 0x102c,
    FLOP = 0x103c,
    FCRTL = 0x2160,
    FCRTH = 0x2168,
    PSRCTL = 0x2170,
    FCRTV = 0x5f40,
    RDFH = 0x2410,
    RDFT = 0x2418,
    RDFHS = 0x2420,
    RDFTS = 0x2428,
    RDFPC = 0x2430,
    RDBAL = 0x2800, /* queue 1: 100h further */
    RDBAH = 0x2804,
    RDLEN = 0x2808,
    RDH = 0x2810,
    RDT = 0x2818,
    RDTR = 0x2820,
    RXDCTL = 0x2828,
    RADV = 0x282c,
    RSRPD = 0x2c00,
    RAID = 0x2c08,
    TDFH = 0x3410,
    TDFT = 0x3418,
    TDFHS = 0x3420,
    TDFTS = 0x3428,
    TDFPC = 0x3430,
    TDBAL = 0x3800,
    TDBAH = 0x3804,
    TDLEN = 0x3808,
    TDH = 0x3810,
    TDT = 0x3818,
    TIDV = 0x3820,
    TXDCTL = 0x3828,
    TADV = 0x382c,
    TSPMT = 0x3830,
    TARC = 0x3840,
    STATS = 0x4000,
    RNBC_R = 0x40a0,
    STATS_END = 0x4128,
    RXCSUM = 0x5000,
    RFCTL = 0x5008,
    MTA = 0x5200,
    RA = 0x5400,
    VFTA = 0x5600,
    WUC = 0x5800,
    WUFC = 0x5808,
    WUS = 0x5810,
    MRQC = 0x5818,
    MANC = 0x5820,
    IPAV = 0x5838,
    IP4AT = 0x5840,
    IP6AT = 0x5880,
    WUPL = 0x5900,
    WUPM = 0x5a00,
    GCR = 0x5b00,
    GSCL_1 = 0x5b10,
    GSCN_0 = 0x5b20,
    FACTPS = 0x5b30,
    SWSM = 0x5b50,
    FWSM = 0x5b54,
    GCR2 = 0x5b64,
    PBACLR = 0x5b68,
    RETA = 0x5c00,
    RSSRK = 0x5c80,
    FFLT = 0x5f00,
    FFMT = 0x9000,
    FFVT = 0x9800,
    SYSTIML = 0xb600,
    SYSTIMH = 0xb604,
    TIMINCA = 0xb608,
    TIMADJL = 0xb60c,
    TIMADJH = 0xb610,
    TSYNCTXCTL = 0xb614,
    TXSTMPL = 0xb618,
    TXSTMPH = 0xb61c,
    TSYNCRXCTL = 0xb620,
    RXSTMPL = 0xb624,
    RXSTMPH = 0xb628,
    RXSATRL = 0xb62c,
    RXSATRH = 0xb630,
    RXMTRL = 0xb634,
    RXUDP = 0xb638,
    E1000_REGS_END = 0xc000
};

/* Statistics, as offsets of their registers; cleared by reading. */
enum e1000_stat {
    CRCERRS = 0x4000,
    MPC = 0x4010,
    XONRXC = 0x4048,
    XOFFRXC = 0x4050,
    PRC64 = 0x405c, /* to PRC1522 at 4070h */
    GPRC = 0x4074,
    BPRC = 0x4078,
    MPRC = 0x407c,
    GPTC = 0x4080,
    GORCL = 0x4088,
    GOTCL = 0x4090,
    RNBC = 0x40a0,
    RUC = 0x40a4,
    ROC = 0x40ac,
    TORL = 0x40c0,
    TOTL = 0x40c8,
    TPR = 0x40d0,
    TPT = 0x40d4,
    PTC64 = 0x40d8, /* to PTC1522 at 40ech */
    MPTC = 0x40f0,
    BPTC = 0x40f4,
    TSCTC = 0x40f8,
    TSCTFC = 0x40fc,
    IAC = 0x4100,
    ICRXDMTC = 0x4120
};

enum {
    CTRL_FD = 1 << 0,
    CTRL_GIO_MASTER_DISABLE = 1 << 2,
    CTRL_SLU = 1 << 6,
    CTRL_FRCSPD = 1 << 11,
    CTRL_FRCDPX = 1 << 12,
    CTRL_RST = 1 << 26,
    CTRL_RFCE = 1 << 27,
    CTRL_VME = 1 << 30,
    CTRL_EXT_EE_RST = 1 << 13,
    CTRL_EXT_EIAME = 1 << 24,
    CTRL_EXT_IAME = 1 << 27,
    CTRL_EXT_PBA_CLR = 1u << 31,
    STATUS_FD = 1 << 0,
    STATUS_LU = 1 << 1,
    STATUS_SPEED_SHIFT = 6,
    STATUS_PHYRA = 1 << 10,
    STATUS_GIO_MASTER = 1 << 19
};
#define CTRL_PHY_RST (1u << 31)

enum {
    RCTL_EN = 1 << 1,
    RCTL_SBP = 1 << 2,
    RCTL_UPE = 1 << 3,
    RCTL_MPE = 1 << 4,
    RCTL_LPE = 1 << 5,
    RCTL_LBM_SHIFT = 6,
    RCTL_RDMTS_SHIFT = 8,
    RCTL_DTYP_SHIFT = 10,
    RCTL_MO_SHIFT = 12,
    RCTL_BAM = 1 << 15,
    RCTL_BSIZE_SHIFT = 16,
    RCTL_VFE = 1 << 18,
    RCTL_CFIEN = 1 << 19,
    RCTL_CFI = 1 << 20,
    RCTL_DPF = 1 << 22,
    RCTL_BSEX = 1 << 25,
    RCTL_SECRC = 1 << 26,
    RCTL_FLXBUF_SHIFT = 27,
    TCTL_EN = 1 << 1,
    TCTL_PSP = 1 << 3,
    RXCSUM_IPOFL = 1 << 8,
    RXCSUM_TUOFL = 1 << 9,
    RXCSUM_PCSD = 1 << 13,
    RFCTL_EXTEN = 1 << 15,
    TXDCTL_LWTHRESH_SHIFT = 25
};

/* ICR, ICS, IMS, IMC. */
enum {
    I_TXDW = 1 << 0,
    I_TXQE = 1 << 1,
    I_LSC = 1 << 2,
    I_RXDMT0 = 1 << 4,
    I_RXO = 1 << 6,
    I_RXT0 = 1 << 7,
    I_MDAC = 1 << 9,
    I_TXD_LOW = 1 << 15,
    I_SRPD = 1 << 16,
    I_RXQ0 = 1 << 20,
    I_RXQ1 = 1 << 21,
    I_TXQ0 = 1 << 22,
    I_TXQ1 = 1 << 23,
    I_OTHER = 1 << 24
};
#define I_INT_ASSERTED (1u << 31)

/* Transmit descriptors: first dword of the second half (3.3.3 to 3.3.7). */
enum {
    TXD_EOP = 1 << 24,
    TXD_IFCS = 1 << 25,
    TXD_IC = 1 << 26,  /* legacy: insert checksum */
    TXD_TSE = 1 << 26, /* data and context descriptors */
    TXD_RS = 1 << 27,
    TXD_RPS = 1 << 28, /* legacy */
    TXD_DEXT = 1 << 29,
    TXD_VLE = 1 << 30,
    TUCMD_TCP = 1 << 24,
    TUCMD_IP = 1 << 25,
    POPTS_IXSM = 1,
    POPTS_TXSM = 2
};
#define TXD_IDE (1u << 31)

/* Receive descriptors: status byte, and errors (bits 31:24 of the extended form's status). */
enum {
    RXD_DD = 0x01,
    RXD_EOP = 0x02,
    RXD_IXSM = 0x04,
    RXD_VP = 0x08,
    RXD_UDPCS = 0x10,
    RXD_TCPCS = 0x20,
    RXD_IPCS = 0x40,
    RXD_PIF = 0x80,
    RXD_E_TCPE = 0x20,
    RXD_E_IPE = 0x40
};

#endif
