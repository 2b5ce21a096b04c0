/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: the Am79C970A with rings in guest memory, frames from the network, a peer that is full at times. */
#include "base/log.h"
#include "tests/dev/nicbox.h"
#include "tests/fuzz/fuzz_dev.h"

static struct nicbox box[2];
static unsigned n_boxes;

static void make(struct vm *vm)
{
    fuzz_check(n_boxes < 2 && nic_make(&box[n_boxes], vm, &vlance_class, NULL, 0), "the machine is made");
    net_set_link(&box[n_boxes++].peer, true);
}

static void reg(struct nicbox *x, unsigned port, unsigned i, unsigned v)
{
    fakevm_out(x->vm, NIC_IO + 0x12, 2, i);
    fakevm_out(x->vm, (uint16_t)(NIC_IO + port), 2, v);
}

/* Initialization block at 1000h, rings of 4 at 2000h and 3000h. */
static void setup(struct nicbox *x, unsigned style)
{
    uint8_t *b = fakevm_ram(x->vm) + 0x1000;
    nic_place(x->vm, 1, 0);
    reg(x, 0x10, 0, 4);
    reg(x, 0x16, 20, style);
    memset(b, 0, 28);
    memcpy(b + (style ? 4 : 2), nic_mac, 6);
    b[2] = style ? 0x20 : b[2];
    b[3] = style ? 0x20 : b[3];
    st_le32(b + (style ? 20 : 16), 0x2000 | (style ? 0 : 2u << 29));
    st_le32(b + (style ? 24 : 20), 0x3000 | (style ? 0 : 2u << 29));
    reg(x, 0x10, 1, 0x1000);
    reg(x, 0x10, 2, 0);
    reg(x, 0x10, 0, 1);
    reg(x, 0x10, 0, 0x42);
}

/* 0: a descriptor. 1: a CSR or BCR. 2: a frame arrives. 3: setup, peer full, cable, config space. */
static void extra(struct fuzz *f, unsigned what)
{
    struct nicbox *x = &box[0];
    unsigned a = (unsigned)fuzz_bytes(f, 1);
    if (what == 0) {
        uint8_t *ram = fakevm_ram(x->vm) + (a & 0x80 ? 0x2000 : 0x3000) + (a & 3) * (a & 0x40 ? 8 : 16);
        for (int i = 0; i < (a & 0x40 ? 8 : 16); i++)
            ram[i] = (uint8_t)fuzz_bytes(f, 1);
    } else if (what == 1) {
        reg(x, a & 0x80 ? 0x16 : 0x10, a & 0x7f, (unsigned)fuzz_bytes(f, 2));
    } else if (what == 2) {
        uint8_t frame[2048];
        size_t n = a & 1 ? t_packet(frame, 17, a * 4) : 14 + a * 7u;
        if (!(a & 1))
            memset(frame, a & 2 ? 0xff : a, n);
        nic_arrive(x, frame, n, NULL);
    } else if (a < 0x80) {
        setup(x, a & 3);
    } else if (a < 0xc0) {
        x->room = a & 15;
        net_writable(&x->peer);
    } else if (a < 0xe0) {
        net_set_link(&x->peer, a & 1);
    } else {
        cfg_w(x->vm, NIC, (unsigned)fuzz_bytes(f, 1) & 0xff, 1, (uint32_t)fuzz_bytes(f, 1));
    }
}

static void before(void)
{
    log_set_sink(NULL, NULL, LOG_ERROR);
    memset(box, 0, sizeof box);
    n_boxes = 0;
}
static void after(void)
{
    for (unsigned i = 0; i < n_boxes; i++)
        nic_forget(&box[i]);
}
FUZZ_DEVICE(.vcpus = 1, .ports = {{NIC_IO, 32}, {0xcf8, 8}}, .n_ports = 2, .mmio = {{NIC_MMIO, 0x20}}, .n_mmio = 1,
            .make = make, .extra = extra, .before = before, .after = after)
