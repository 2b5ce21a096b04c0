/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One handler shape for ports and MMIO. The device sees offsets inside its own range, nothing else. */
#ifndef LODGE_CORE_IOBUS_H
#define LODGE_CORE_IOBUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef uint64_t gpa_t;
struct vm;
struct vcpu;

enum { IO_8 = 1, IO_16 = 2, IO_32 = 4, IO_64 = 8 }; /* width masks: also the width in bytes */
enum {
    IOF_UNLOCKED = 1, /* handler does its own locking (lapic, doorbells) */
    /* MMIO writes have no effect that the guest could notice before it does anything else here: may be collected */
    IOF_LATE = 2,
};

struct io_ops {
    uint64_t (*read)(void *dev, uint64_t off, unsigned size); /* [dev] must give a value for every off */
    void (*write)(void *dev, uint64_t off, unsigned size, uint64_t val);
    /* Optional: REP INS / REP OUTS in one call; size is the element size, n the number of elements. */
    void (*read_rep)(void *dev, uint64_t off, unsigned size, void *buf, unsigned n);
    void (*write_rep)(void *dev, uint64_t off, unsigned size, const void *buf, unsigned n);
    /* Widths handled (0 = all of 1, 2, 4). A wider access is split, lowest address first. A narrower one goes to the
     * aligned unit around it: a read takes its part, a write first reads the other bytes. MMIO offsets are always
     * multiples of the size; port offsets are as the guest gave them. NULL read gives all ones; NULL write is dropped.
     */
    uint8_t widths;
    uint8_t flags;
};

struct port_range {
    const char *owner;
    uint16_t first, count;
    const struct io_ops *ops;
    void *dev;
};

/* Overlap is an error that names both owners. *r is copied; release finds it by owner, first and count. [main] while
 * building, else [dev] */
int port_claim(struct vm *vm, const struct port_range *r, struct err *e);
void port_release(struct vm *vm, const struct port_range *r);

/* What a CPU back end calls: finds the handler, takes and drops the chipset lock. Unclaimed space reads all ones.
 * [vcpu] */
/* size: 1 to 8 for memory, 1, 2 or 4 for ports. Memory accesses that meet RAM or ROM are carried out there. */
uint64_t bus_read(struct vcpu *v, bool port, uint64_t a, unsigned size);
void bus_write(struct vcpu *v, bool port, uint64_t a, unsigned size, uint64_t val);
/* A memory write by no particular vCPU, chipset lock held: how collected writes are carried out. [dev] */
void bus_write_late(struct vm *vm, gpa_t a, unsigned size, uint64_t val);
void bus_read_rep(struct vcpu *v, uint16_t port, unsigned size, void *buf, unsigned n);
void bus_write_rep(struct vcpu *v, uint16_t port, unsigned size, const void *buf, unsigned n);

/* The vCPU whose thread this is (or, in tests, for which bus_* is called); NULL on other threads. For the LAPIC page
 * and the backdoor. */
struct vcpu *vcpu_current(void);

#endif
