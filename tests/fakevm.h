/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtual machine for unit tests of devices: RAM, buses, clock and interrupts are real, but there are no threads, no
 * guest code and no host time. Time stands still until fakevm_advance; posted work and timers run inside it,
 * deterministically. The TSC is clock_now in ns.
 *
 *     struct vm *vm = fakevm_new(16, 1);                    16 MiB of RAM at 0, one vCPU
 *     struct dev *d = dev_create(vm, &pit_class, "pit", &(struct pit_params){...}, &e);
 *     fakevm_reset(vm);
 *     fakevm_out(vm, 0x43, 1, 0x34);
 *     fakevm_advance(vm, 1000000);
 *     ok(fakevm_irqs_rises(&irqs, 0) == 1, "one edge");
 *     fakevm_free(vm);
 */
#ifndef LODGE_TESTS_FAKEVM_H
#define LODGE_TESTS_FAKEVM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/vm.h"

struct vm *fakevm_new(unsigned ram_mib, unsigned n_vcpus);
void fakevm_free(struct vm *vm);
void fakevm_reset(struct vm *vm);   /* cold: both phases; call it after the devices are made */
uint8_t *fakevm_ram(struct vm *vm); /* host address of guest-physical 0 */
struct memblk *fakevm_ram_blk(struct vm *vm);

void fakevm_advance(struct vm *vm, int64_t ns); /* due timers and posts run, each at its own time */
void fakevm_run_posts(struct vm *vm);           /* = advance by 0 */

/* Through the real bus, as vCPU 0 (or v). */
uint64_t fakevm_in(struct vm *vm, uint16_t port, unsigned size);
void fakevm_out(struct vm *vm, uint16_t port, unsigned size, uint64_t val);
void fakevm_ins(struct vm *vm, uint16_t port, unsigned size, void *buf, unsigned n);
void fakevm_outs(struct vm *vm, uint16_t port, unsigned size, const void *buf, unsigned n);
uint64_t fakevm_mmio_read(struct vm *vm, gpa_t a, unsigned size);
void fakevm_mmio_write(struct vm *vm, gpa_t a, unsigned size, uint64_t val);
uint64_t fakevm_mmio_read_v(struct vm *vm, unsigned vcpu, gpa_t a, unsigned size);
void fakevm_mmio_write_v(struct vm *vm, unsigned vcpu, gpa_t a, unsigned size, uint64_t val);

/* What happened. */
unsigned fakevm_wishes(struct vm *vm, enum vm_wish w);  /* how often the guest asked for it */
bool fakevm_failed(struct vm *vm);                      /* vm_fail was called */
uint32_t fakevm_requests(struct vm *vm, unsigned vcpu); /* pending VR_* bits, and clears them */
/* count and the last one, while no device has called intr_set_ctl */
unsigned fakevm_msis(struct vm *vm, uint64_t *addr, uint32_t *data);
unsigned fakevm_code_writes(struct vm *vm, gpa_t *a, uint64_t *n); /* calls of code_written and the last one */

/* An interrupt controller that only remembers: OR of the sources of each pin, and its edges. */
enum { FAKEVM_PINS = 256 };
struct fakevm_irqs {
    struct irq_sink sink;
    uint32_t level[FAKEVM_PINS];
    unsigned rises[FAKEVM_PINS], falls[FAKEVM_PINS];
};
void fakevm_irqs_init(struct fakevm_irqs *q);
struct irq_line fakevm_irq(struct fakevm_irqs *q, unsigned pin); /* a line to give to a device */
bool fakevm_irqs_level(const struct fakevm_irqs *q, unsigned pin);
unsigned fakevm_irqs_rises(struct fakevm_irqs *q, unsigned pin); /* since the last call */

/*
 * Saves from and loads into to, a vm made by the same steps (and not reset yet); then saves to again. Returns 0 when
 * both saved states are the same bytes, else -1 with a reason.
 */
int fakevm_migrate(struct vm *from, struct vm *to, struct err *e);

#endif
