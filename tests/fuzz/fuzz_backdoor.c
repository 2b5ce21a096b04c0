/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: VMware backdoor and vmmouse. */
#include "tests/fuzz/fuzz_dev.h"

#include "guest/backdoor.h"
#include "input/input.h"

static struct backdoor_regs regs;
static const struct input_sink *sink;
static void *sink_dev;

int input_sink_add(struct input *in, const struct input_sink *ops, void *dev)
{
    if (!sink) {
        sink = ops;
        sink_dev = dev;
    }
    return 1;
}
void input_sink_activate(struct input *in, int id, bool on)
{
}
static void get_regs(void *u, struct vcpu *v, struct backdoor_regs *r)
{
    *r = regs;
}
static void set_regs(void *u, struct vcpu *v, const struct backdoor_regs *r)
{
    regs = *r;
}
static void make(struct vm *vm)
{
    struct err e = {0};
    struct backdoor_params p = {.get_regs = get_regs, .set_regs = set_regs, .bus_hz = 66000000, .vmmouse = true, .input = (struct input *)1};
    dev_create(vm, &backdoor_class, "backdoor", &p, &e);
}
static void extra(struct fuzz *f, unsigned what)
{
    unsigned n = fuzz_bytes(f, 1);
    static const uint32_t vmmouse[4] = {0x45414552, 0xf5, 0x4c455252, 0x53424152};
    if (what < 2) {
        regs = (struct backdoor_regs){.eax = 0x564d5868, .ebx = n & 0x80 ? vmmouse[n & 3] : fuzz_bytes(f, 1), .ecx = n & 0x80 ? 41 : n};
        if (!(n & 0x80) && (n & 0x70) == 0)
            regs.ecx = 39 + (n & 1);
        fakevm_in(f->vm, 0x5658, 4);
    } else if (what == 2) {
        struct input_event ev[3];
        for (int i = 0; i < 3; i++)
            ev[i] = (struct input_event){.type = fuzz_bytes(f, 1) % 5, .code = fuzz_bytes(f, 1), .x = (int32_t)fuzz_bytes(f, 4),
                                         .y = (int32_t)fuzz_bytes(f, 3)};
        sink->event(sink_dev, ev, n % 4);
    } else {
        char buf[64];
        regs = (struct backdoor_regs){.eax = 0x564d5868, .ebx = fuzz_bytes(f, 4), .ecx = n % 64};
        if (n & 0x80)
            fakevm_ins(f->vm, 0x5659, 1, buf, n % 64);
        else
            fakevm_outs(f->vm, 0x5659, 1, "0123456789012345678901234567890123456789012345678901234567890123", n % 64);
    }
}

static void before(void) { sink = NULL; }
FUZZ_DEVICE(.vcpus = 1, .ports = {{0x5658, 4}}, .n_ports = 1, .make = make, .extra = extra, .before = before)
