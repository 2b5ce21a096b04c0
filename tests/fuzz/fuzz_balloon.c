/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: VMware's balloon port. */
#include "tests/fuzz/fuzz_dev.h"

#include "guest/balloon.h"

static struct backdoor_regs regs;

static void get_regs(void *u, struct vcpu *v, struct backdoor_regs *r) { *r = regs; }
static void set_regs(void *u, struct vcpu *v, const struct backdoor_regs *r) { regs = *r; }
static bool page(void *u, gpa_t gpa, unsigned n) { return gpa >> 12 & 1; }
static void all_back(void *u) {}
static void make(struct vm *vm)
{
    struct err e = {0};
    struct balloon_params p = {.get_regs = get_regs, .set_regs = set_regs, .ram = 1 << 20, .take = page, .give = page, .reset = all_back};
    dev_create(vm, &balloon_class, "balloon", &p, &e);
}
static void extra(struct fuzz *f, unsigned what)
{
    uint32_t a = (uint32_t)fuzz_bytes(f, what & 1 ? 1 : 4);
    regs = (struct backdoor_regs){.eax = 0x456c6d6f, .ecx = (uint32_t)fuzz_bytes(f, 1) % 12, .ebx = a, .esi = (uint32_t)fuzz_bytes(f, 2) % 600};
    fakevm_in(f->vm, 0x5670, 4);
}

FUZZ_DEVICE(.vcpus = 1, .ports = {{0x5670, 4}}, .n_ports = 1, .make = make, .extra = extra)
