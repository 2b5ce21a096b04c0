/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A network adapter on a bench: a fake vm, a PCI bus, the adapter at slot 3 with its first BAR placed, and at the other
 * end of the cable a recorder that keeps what comes and can be full.
 */
#ifndef LODGE_TESTS_NICBOX_H
#define LODGE_TESTS_NICBOX_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "chipset/piix4.h"
#include "core/dma.h"
#include "net/nic.h"
#include "pci/pci.h"
#include "tests/dev/pcibox.h"
#include "tests/fakevm.h"

enum { NIC = PCI_DEVFN(3, 0), NIC_MMIO = 0xe0000000, NIC_IO = 0xc000, NIC_FRAMES = 256 };

struct nicframe {
    uint32_t len;
    struct net_offload o;
    uint8_t *data;
};

struct nicbox {
    struct vm *vm;
    struct pci_bus *bus;
    struct dev *nic;
    struct net_port port, peer;
    struct fakevm_irqs isa, apic;
    struct nicframe got[NIC_FRAMES];
    unsigned n_got, n_writable, room; /* room: frames that the recorder still takes */
};

static const uint8_t nic_mac[6] = {0x00, 0x0c, 0x29, 0x12, 0x34, 0x56};

static bool rec_receive(void *end, const struct net_offload *o, const struct iovec *f, int n)
{
    struct nicbox *x = end;
    if (!x->room)
        return false;
    x->room--;
    if (x->n_got < NIC_FRAMES) {
        struct nicframe *g = &x->got[x->n_got++];
        g->len = (uint32_t)iov_len(f, n);
        g->data = malloc(g->len);
        iov_get(f, n, 0, g->data, g->len);
        g->o = o ? *o : (struct net_offload){0};
    }
    return true;
}
static void rec_writable(void *end) { ((struct nicbox *)end)->n_writable++; }
static const struct net_end_ops rec_ops = {.receive = rec_receive, .writable = rec_writable};

__attribute__((unused)) static void nic_forget(struct nicbox *x)
{
    while (x->n_got)
        free(x->got[--x->n_got].data);
}

__attribute__((unused)) static bool nic_make(struct nicbox *x, struct vm *vm, const struct dev_class *c, const void *rom,
                                             size_t rom_size)
{
    struct err e = {0};
    x->vm = vm;
    x->room = ~0u;
    fakevm_irqs_init(&x->isa);
    fakevm_irqs_init(&x->apic);
    x->bus = (struct pci_bus *)dev_create(vm, &pci_bus_class, "pci0", NULL, &e);
    struct piix4_params pp = {.bus = x->bus, .devfn = PIIX4_DEVFN_ISA, .isa = &x->isa.sink, .isa_src = 3};
    for (unsigned i = 0; i < 4; i++)
        pp.gsi[i] = fakevm_irq(&x->apic, 16 + i);
    dev_create(vm, &piix4_class, "piix4", &pp, &e);
    struct nic_params p = {.bus = x->bus, .devfn = NIC, .port = &x->port, .rom = rom, .rom_size = rom_size, .queues = 1};
    memcpy(p.mac, nic_mac, 6);
    x->nic = dev_create(vm, c, "ethernet0", &p, &e);
    if (!x->nic) {
        fprintf(stderr, "%s\n", e.msg);
        return false;
    }
    net_port_init(&x->peer, &rec_ops, x, NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6);
    net_connect(&x->port, &x->peer);
    return true;
}

/* What firmware does: BAR io_bar and mem_bar placed, memory, I/O and bus master on. */
__attribute__((unused)) static void nic_place(struct vm *vm, int mem_bar, int io_bar)
{
    cfg_w(vm, NIC, 0x10 + 4 * (unsigned)mem_bar, 4, NIC_MMIO);
    cfg_w(vm, NIC, 0x10 + 4 * (unsigned)io_bar, 4, NIC_IO);
    cfg_w(vm, NIC, 4, 2, 7);
}

static inline uint32_t nic_r(struct nicbox *x, unsigned off) { return (uint32_t)fakevm_mmio_read(x->vm, NIC_MMIO + off, 4); }
static inline void nic_w(struct nicbox *x, unsigned off, uint32_t v) { fakevm_mmio_write(x->vm, NIC_MMIO + off, 4, v); }
static inline bool nic_irq(const struct nicbox *x)
{
    return fakevm_irqs_level(&x->apic, 16) || fakevm_irqs_level(&x->apic, 17) || fakevm_irqs_level(&x->apic, 18) ||
           fakevm_irqs_level(&x->apic, 19);
}

/* A frame from the network. False: the adapter is full. */
__attribute__((unused)) static bool nic_arrive(struct nicbox *x, const void *f, size_t n, const struct net_offload *o)
{
    struct iovec v = {(void *)(uintptr_t)f, n};
    return net_send(&x->peer, o, &v, 1);
}

static inline uint32_t t_sum(uint32_t s, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
    return s;
}
static inline uint16_t t_fold(uint32_t s)
{
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)~s;
}

/* An Ethernet/IPv4/TCP or UDP frame with right checksums; returns its length. */
__attribute__((unused)) static size_t t_packet(uint8_t *f, uint8_t proto, size_t payload)
{
    static const uint8_t eth[14] = {0, 0x0c, 0x29, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1, 8, 0};
    size_t l4 = proto == 6 ? 20 : 8, n = 14 + 20 + l4 + payload;
    uint8_t *ip = f + 14, *t = ip + 20;
    memset(f, 0, n);
    memcpy(f, eth, 14);
    ip[0] = 0x45;
    st_be16(ip + 2, (uint16_t)(20 + l4 + payload));
    st_be16(ip + 4, 0x1234);
    ip[8] = 64;
    ip[9] = proto;
    memcpy(ip + 12, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
    st_be16(ip + 10, t_fold(t_sum(0, ip, 20)));
    st_be16(t, 1000);
    st_be16(t + 2, 2000);
    for (size_t i = 0; i < payload; i++)
        t[l4 + i] = (uint8_t)(i * 7 + 1);
    if (proto == 6) {
        st_be32(t + 4, 0x01020304);
        t[12] = 0x50;
        t[13] = 0x18;
        st_be16(t + 14, 0x1000);
    } else {
        st_be16(t + 4, (uint16_t)(l4 + payload));
    }
    uint32_t s = t_sum(proto + (uint32_t)(l4 + payload), ip + 12, 8);
    st_be16(t + (proto == 6 ? 16 : 6), t_fold(t_sum(s, t, l4 + payload)));
    return n;
}

#endif
