/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: 82545EM or 82574L (by the first byte) with rings in guest memory, frames from the network, a peer that
 * is full at times. */
#include "base/log.h"
#include "net/e1000_regs.h"
#include "tests/dev/nicbox.h"
#include "tests/fuzz/fuzz_dev.h"

static struct nicbox box[2];
static unsigned n_boxes;
static bool e1000e;

static void make(struct vm *vm)
{
    fuzz_check(n_boxes < 2 && nic_make(&box[n_boxes], vm, e1000e ? &e1000e_class : &e1000_class, NULL, 0),
               "the machine is made");
    net_set_link(&box[n_boxes++].peer, true);
}

/* Rings of 16 at 1000h (receive) and 2000h (transmit), buffers behind; everything on. */
static void setup(struct nicbox *x)
{
    nic_place(x->vm, 0, 2);
    nic_w(x, RDBAL, 0x1000);
    nic_w(x, RDLEN, 0x100);
    nic_w(x, RDH, 0);
    nic_w(x, RDT, 12);
    nic_w(x, TDBAL, 0x2000);
    nic_w(x, TDLEN, 0x100);
    nic_w(x, TDH, 0);
    nic_w(x, TDT, 0);
    nic_w(x, RCTL, RCTL_EN | RCTL_BAM | RCTL_UPE);
    nic_w(x, TCTL, TCTL_EN | TCTL_PSP);
    nic_w(x, IMS, 0xff);
    fakevm_advance(x->vm, 20000000);
}

/* 0: bytes into the rings. 1: a register by a short number. 2: a frame arrives. 3: transmit descriptor with sane parts,
 * and the rest: setup, peer full, cable. */
static void extra(struct fuzz *f, unsigned what)
{
    struct nicbox *x = &box[0];
    unsigned a = (unsigned)fuzz_bytes(f, 1);
    if (what == 0) {
        uint8_t *ram = fakevm_ram(x->vm) + 0x1000 + (a & 0x1f) * 256 + (a >> 5) * 32;
        for (int i = 0; i < 16; i++)
            ram[i] = (uint8_t)fuzz_bytes(f, 1);
    } else if (what == 1) {
        static const uint16_t regs[] = {CTRL,   EECD, EERD,   CTRL_EXT, MDIC,   ICR,   ICS,    IMS,    IMC,    RCTL,  TCTL,
                                        RDT,    TDT,  RDH,    TDH,      RDLEN,  TDLEN, RDTR,   TIDV,   RFCTL,  PSRCTL, MRQC,
                                        RDBAL,  VET,  ITR,    IVAR,     EEWR,   SWSM,  RXCSUM, 0x3918, 0x2918, RADV,  TADV,
                                        0x2908, RETA, TDBAH,  RDBAH,    SYSTIML};
        nic_w(x, regs[a % (sizeof regs / sizeof *regs)], (uint32_t)fuzz_bytes(f, 4));
    } else if (what == 2) {
        uint8_t frame[2048];
        size_t n = a & 1 ? t_packet(frame, a & 2 ? 6 : 17, a * 4) : 14 + a * 7u;
        if (!(a & 1))
            memset(frame, a, n);
        for (int i = 0; i < 4; i++) {
            unsigned at = (unsigned)fuzz_bytes(f, 1);
            if (at < n)
                frame[at] = (uint8_t)fuzz_bytes(f, 1);
        }
        nic_arrive(x, frame, n, a & 4 ? &(struct net_offload){.csum_valid = true} : NULL);
    } else if (a < 0x80) {
        /* A descriptor at the tail, its length short, its address in RAM. */
        unsigned t = nic_r(x, TDT) & 15;
        uint8_t *d = fakevm_ram(x->vm) + 0x2000 + 16 * t;
        st_le64(d, a & 0x40 ? fuzz_bytes(f, 8) : 0x4000 + fuzz_bytes(f, 2));
        st_le32(d + 8, (uint32_t)fuzz_bytes(f, 4) & (a & 0x20 ? 0xffffffff : 0xfff00fff));
        st_le32(d + 12, (uint32_t)fuzz_bytes(f, 4));
        if (a & 1)
            t_packet(fakevm_ram(x->vm) + (ld_le32(d) & 0x7ffff), a & 2 ? 6 : 17, 1200);
        if (a & 4)
            nic_w(x, TDT, (t + 1) & 15);
    } else if (a < 0xa0) {
        setup(x);
    } else if (a < 0xd0) {
        x->room = a & 15;
        net_writable(&x->peer);
    } else if (a < 0xf0) {
        net_set_link(&x->peer, a & 1);
    } else {
        cfg_w(x->vm, NIC, (unsigned)fuzz_bytes(f, 1) & 0xff, 1, (uint32_t)fuzz_bytes(f, 1));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_target t = {.vcpus = 1,
                                         .ports = {{NIC_IO, 64}, {0xcf8, 8}},
                                         .n_ports = 2,
                                         .mmio = {{NIC_MMIO, 0x6000}, {NIC_MMIO, 0x20000}},
                                         .n_mmio = 2,
                                         .make = make,
                                         .extra = extra};
    log_set_sink(NULL, NULL, LOG_ERROR);
    memset(box, 0, sizeof box);
    n_boxes = 0;
    e1000e = size && data[0] & 1;
    fuzz_run(&t, size ? data + 1 : data, size ? size - 1 : 0);
    for (unsigned i = 0; i < n_boxes; i++)
        nic_forget(&box[i]);
    return 0;
}
