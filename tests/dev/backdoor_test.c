/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMware backdoor: what the Linux kernel, its vmmouse driver and open-vm-tools expect in which register. */
#include <string.h>

#include "tests/fakevm.h"
#include "tests/tap.h"

#include "guest/backdoor.h"
#include "input/input.h"

#define MAGIC 0x564d5868u
static struct vm *vm;
static struct backdoor_regs regs;
static unsigned sets, pokes;
static const struct input_sink *sink;
static void *sink_dev;
static bool active;

/* The input router, as far as the device sees it. */
int input_sink_add(struct input *in, const struct input_sink *ops, void *dev)
{
    sink = ops;
    sink_dev = dev;
    return 3;
}
void input_sink_activate(struct input *in, int id, bool on)
{
    if (id == 3)
        active = on;
}
static void get_regs(void *u, struct vcpu *v, struct backdoor_regs *r)
{
    *r = regs;
}
static void set_regs(void *u, struct vcpu *v, const struct backdoor_regs *r)
{
    uint32_t eax = regs.eax;
    sets++;
    regs = *r;
    regs.eax = eax;
}
static void poke(void *u)
{
    pokes++;
}
static bool screen(void *u, uint32_t *w, uint32_t *h)
{
    *w = 1024;
    *h = 768;
    return true;
}

static void make(void)
{
    struct err e = {0};
    vm = fakevm_new(1, 1);
    struct backdoor_params p = {.get_regs = get_regs, .set_regs = set_regs, .mem_mb = 512, .hw_version = 19, .product = 4, .build = 1234,
                                .bus_hz = 66000000, .legacy_x2apic = true, .vmmouse = true, .input = (struct input *)1, .mouse_poke = poke,
                                .screen_size = screen};
    for (int i = 0; i < 16; i++)
        p.uuid[i] = 0x10 + i;
    dev_create(vm, &backdoor_class, "backdoor", &p, &e);
}
/* One command; the guest's EAX afterwards is the port's value. */
static uint32_t cmd(uint32_t n, uint32_t ebx)
{
    regs = (struct backdoor_regs){.eax = MAGIC, .ebx = ebx, .ecx = n, .edx = 0x5658, .esi = 7, .edi = 8};
    regs.eax = fakevm_in(vm, 0x5658, 4);
    return regs.eax;
}
static void event(enum input_type t, unsigned code, int x, int y)
{
    struct input_event ev = {.type = t, .code = code, .x = x, .y = y};
    sink->event(sink_dev, &ev, 1);
}

static void test_commands(void)
{
    is_u64(cmd(10, ~MAGIC), 6, "GETVERSION: 6");
    is_u64(regs.ebx, MAGIC, "EBX = magic");
    is_u64(regs.ecx, 4, "ECX = Workstation");
    sets = 0;
    regs = (struct backdoor_regs){.eax = MAGIC + 1, .ecx = 10};
    is_u64(fakevm_in(vm, 0x5658, 4), 0xffffffff, "wrong magic: an unassigned port");
    is_u64(cmd(61, 5), 0xffffffff, "unknown command: -1");
    is_u64(sets, 0, "registers untouched in both cases");
    is_u64(fakevm_in(vm, 0x5658, 1), 0xff, "byte access: nothing");
    is_u64(cmd(45, 0xffffffff), 1000000000, "GETHZ: TSC frequency of this vm");
    ok(regs.ebx == 0 && regs.ecx == 66000000, "high half and bus frequency");
    is_u64(cmd(1, 0), 1000, "GETMHZ");
    is_u64(cmd(20, 0), 512, "GETMEMSIZE");
    is_u64(cmd(17, 0), 19, "GETHWVERSION");
    is_u64(cmd(15, 0), 1024 << 16 | 768, "GETSCREENSIZE");
    is_u64(cmd(19, 0), 0x13121110, "GETUUID");
    ok(regs.ebx == 0x17161514 && regs.ecx == 0x1b1a1918 && regs.edx == 0x1f1e1d1c, "the other dwords");
    is_u64(cmd(68, 0), 0x0a, "GET_VCPU_INFO: synchronous TSCs, legacy x2APIC");
    is_u64(cmd(100, 0), 1234, "GETBUILDNUM");
    is_u64(cmd(4, 0), 0xff9cff9c, "GETPTRLOCATION: not grabbed");
    fakevm_advance(vm, 1500000);
    is_u64(cmd(23, 0), 1700000000, "GETTIME: seconds");
    is_u64(regs.ebx, 1500, "microseconds");
    is_u64(cmd(46, 0), MAGIC, "GETTIMEFULL keeps EAX");
    ok(regs.esi == 0 && regs.edx == 1700000000 && regs.ebx == 1500, "ESI:EDX seconds, EBX microseconds");
    cmd(55, 0);
    is_u64(regs.edi, 0, "GETTIMEFULL_WITH_LAG: EDI");
    cmd(14, 0x400);
    is_u64(cmd(13, 0), 0x400, "GUI options");
    cmd(30, 0x49435052);
    is_u64(regs.ecx & 0x10000, 0, "MESSAGE OPEN: no success");
    regs = (struct backdoor_regs){.eax = MAGIC, .ebx = 0x10000, .ecx = 4, .edx = 0x5659};
    fakevm_outs(vm, 0x5659, 1, "abcd", 4);
    is_u64(regs.ebx, 0, "high bandwidth: no success");
}

static void test_vmmouse(void)
{
    is_u64(cmd(40, 0), 0xffff0000, "vmmouse is off");
    cmd(41, 0x45414552);
    is_u64(cmd(40, 0), 1, "READ_ID: one word");
    is_u64(cmd(39, 1), 0x3442554a, "the version");
    is_u64(cmd(86, 1), MAGIC, "RESTRICT to CPL 0");
    cmd(41, 0x53424152);
    ok(active, "REQUEST_ABSOLUTE activates the sink");
    is_u64(cmd(36, 0), 1, "ISMOUSEABSOLUTE");
    struct input_event ev[] = {{IN_ABS, 0, 1000, 2000}, {IN_BUTTON, 0, 1, 0}};
    pokes = 0;
    ok(sink->event(sink_dev, ev, 2), "taken");
    is_u64(pokes, 1, "the PS/2 mouse is poked");
    is_u64(cmd(40, 0), 4, "four words");
    cmd(39, 4);
    ok(regs.eax == 0x20 && regs.ebx == 1000 && regs.ecx == 2000 && regs.edx == 0, "left button, x, y, no wheel");
    event(IN_BUTTON, 1, 1, 0);
    event(IN_WHEEL, 0, 0, 2);
    cmd(39, 4);
    is_u64(regs.eax, 0x30, "right button, too");
    cmd(39, 4);
    is_u64(regs.edx, 0xfffffffe, "wheel away from the user is negative");
    event(IN_ABS, 0, 70000, -5);
    cmd(39, 4);
    ok(regs.ebx == 0xffff && regs.ecx == 0, "coordinates are kept in range");
    regs = (struct backdoor_regs){.eax = MAGIC, .ecx = 40, .cpl = 3};
    is_u64(fakevm_in(vm, 0x5658, 4), 0xffffffff, "restricted: not for CPL 3");
    for (int i = 0; i < 500; i++)
        event(IN_ABS, 0, i, i);
    uint32_t n = cmd(40, 0);
    ok(n > 100 && n < 0x10000 && n % 4 == 0, "a queue that is not read stays bounded (%u)", n);
    for (uint32_t i = 0; i < n; i += 4)
        cmd(39, 4);
    is_u64(regs.ebx, 499, "and ends with the newest position");
    is_u64(cmd(39, 4), 0xffffffff, "reading more than there is");
    is_u64(cmd(40, 0), 0xffff0000, "is an error");
    cmd(41, 0xf5);
    ok(!active, "DISABLE");
}

int main(void)
{
    struct err e = {0};
    make();
    fakevm_reset(vm);
    test_commands();
    test_vmmouse();
    cmd(41, 0x45414552);
    cmd(41, 0x53424152);
    event(IN_ABS, 0, 5, 6);
    struct vm *from = vm;
    make();
    active = false;
    ok(fakevm_migrate(from, vm, &e) == 0, "state round trip: %s", e.msg);
    ok(active, "absolute mode restored");
    is_u64(cmd(40, 0), 5, "queue restored");
    fakevm_free(from);
    fakevm_free(vm);
    return TAP_DONE();
}
