/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMware's balloon port, as drivers/misc/vmw_balloon.c of Linux talks to it. */
#include <string.h>

#include "tests/fakevm.h"
#include "tests/tap.h"

#include "base/bytes.h"
#include "guest/balloon.h"

#define MAGIC 0x456c6d6fu
enum { START, GET_TARGET, LOCK, UNLOCK, GUEST_ID, BLOCK = 6, BUNLOCK, BLOCK2M, BUNLOCK2M, DOORBELL };

static struct vm *vm;
static struct dev *dev;
static struct backdoor_regs regs;
static unsigned char has[2048]; /* pages of 8 MiB */
static unsigned resets;

static void get_regs(void *u, struct vcpu *v, struct backdoor_regs *r) { *r = regs; }
static void set_regs(void *u, struct vcpu *v, const struct backdoor_regs *r) { regs = *r; }
static bool change(gpa_t gpa, unsigned n, unsigned char to)
{
    for (unsigned i = 0; i < n; i++)
        if ((gpa >> 12) + i >= 2048 || has[(gpa >> 12) + i] == to)
            return false;
    memset(has + (gpa >> 12), to, n);
    return true;
}
static bool take(void *u, gpa_t gpa, unsigned n) { return change(gpa, n, 1); }
static bool give(void *u, gpa_t gpa, unsigned n) { return change(gpa, n, 0); }
static void all_back(void *u)
{
    memset(has, 0, sizeof has);
    resets++;
}

static uint32_t cmd(uint32_t c, uint32_t a, uint32_t b)
{
    regs = (struct backdoor_regs){.eax = MAGIC, .ecx = c, .ebx = a, .edx = 0x5670, .esi = b};
    return (uint32_t)fakevm_in(vm, 0x5670, 4);
}

int main(void)
{
    struct err e = {0};
    uint64_t list[512] = {0};
    vm = fakevm_new(8, 1);
    struct balloon_params p = {.get_regs = get_regs, .set_regs = set_regs, .ram = 8 << 20, .take = take, .give = give, .reset = all_back};
    ok((dev = dev_create(vm, &balloon_class, "balloon", &p, &e)), "made %s", e.msg);
    fakevm_reset(vm);
    struct balloon_stats s;
    balloon_get_stats(dev, &s);
    ok(!s.driver, "no driver yet");
    regs = (struct backdoor_regs){.eax = 0x12345678};
    is_u64((uint32_t)fakevm_in(vm, 0x5670, 4), 0xffffffff, "another magic number: nothing there");
    is_u64(cmd(GET_TARGET, 2048, 0), 7, "before START: RESET");
    is_u64(cmd(START, 0x3e, 0), 0x03000000, "START with everything Linux knows");
    is_u64(regs.ecx, 0xe, "capabilities: single, batches, batches of 2 MiB");
    is_u64(cmd(GUEST_ID, 1, 0), 0, "GUEST_ID");
    is_u64(cmd(GET_TARGET, 2048, 0), 0, "GET_TARGET");
    is_u64(regs.ebx, 0, "it is 0 at first");
    balloon_set_target(dev, 700);
    cmd(GET_TARGET, 2048, 0);
    is_u64(regs.ebx, 700, "as it is set");
    balloon_get_stats(dev, &s);
    ok(s.driver && s.target == 700 && s.polls == 2, "statistics");

    is_u64(cmd(LOCK, 300, 0), 0, "LOCK");
    ok(has[300] && regs.ebx == 700, "the page is taken, the target comes with it");
    is_u64(cmd(LOCK, 300, 0), 3, "twice: PPN_LOCKED");
    is_u64(cmd(UNLOCK, 301, 0), 4, "UNLOCK of another: PPN_UNLOCKED");
    is_u64(cmd(UNLOCK, 300, 0), 0, "UNLOCK");
    is_u64(cmd(LOCK, 0xffffffff, 0), 2, "a page that no machine has: PPN_INVALID");
    is_u64(cmd(LOCK, 2048, 0), 3, "a page that this one has not is refused");

    for (unsigned i = 0; i < 512; i++)
        list[i] = (uint64_t)(1000 + i) << 12 | (i % 32);
    list[5] = list[4];
    memcpy(fakevm_ram(vm) + 0x7000, list, sizeof list);
    is_u64(cmd(BLOCK, 7, 512), 0, "BATCHED_LOCK");
    memcpy(list, fakevm_ram(vm) + 0x7000, sizeof list);
    bool good = true;
    for (unsigned i = 0; i < 512; i++)
        good &= list[i] == (i == 5 ? 1004ull << 12 | 3 : (uint64_t)(1000 + i) << 12);
    ok(good && has[1000] && has[1511] && !has[1512], "each entry has its status, the page number stays");
    is_u64(cmd(BLOCK, 7, 513), 2, "513 entries: refused");
    is_u64(cmd(BLOCK, 0x7ffff, 4), 2, "a list that is not in memory");
    is_u64(cmd(BUNLOCK, 7, 512), 0, "BATCHED_UNLOCK");
    ok(!has[1000] && !has[1511], "given back");
    list[0] = 512ull << 12;
    list[1] = 1025ull << 12;
    memcpy(fakevm_ram(vm) + 0x7000, list, 16);
    is_u64(cmd(BLOCK2M, 7, 2), 0, "BATCHED_2M_LOCK");
    ok(has[512] && has[1023] && !has[1024] && !(fakevm_ram(vm)[0x7000] & 31) && (fakevm_ram(vm)[0x7008] & 31) == 2,
       "512 pages at once; one that does not begin at 2 MiB is refused");
    is_u64(cmd(DOORBELL, 1, 2), 1, "no doorbell: CMD_INVALID");

    unsigned before = resets;
    is_u64(cmd(START, 0, 0), 1, "the driver ends: no success, or it would forget its 2 MiB pages");
    ok(resets == before + 1 && !has[512], "all of it is the guest's again");
    is_u64(cmd(LOCK, 300, 0), 7, "then nothing but START");
    is_u64(cmd(START, 2, 0), 0, "an old driver: plain success");
    is_u64(cmd(BLOCK, 7, 1), 1, "it has no batches");
    is_u64(cmd(LOCK, 300, 0), 0, "but single pages");

    struct snap_writer *w = snap_writer_new();
    size_t n;
    ok(!state_save(w, "balloon", balloon_class.state, dev, &e), "saved");
    const void *data = snap_writer_data(w, &n);
    struct snap_reader *r = snap_reader_new(data, n, &e);
    ok(r && !state_load(r, "balloon", balloon_class.state, dev, &e), "loaded %s", e.msg);
    ok(!has[300], "the host has forgotten what it had");
    is_u64(cmd(GET_TARGET, 2048, 0), 7, "so the driver starts anew");
    is_u64(cmd(START, 0x3e, 0), 0x03000000, "as it is told to");
    is_u64(cmd(GET_TARGET, 2048, 0), 0, "and goes on");
    snap_reader_free(r);
    snap_writer_free(w);
    balloon_set_target(dev, 1ull << 40);
    cmd(GET_TARGET, 2048, 0);
    is_u64(regs.ebx, 2047, "no target beyond the guest's memory");
    fakevm_advance(vm, 10000000000ll);
    balloon_get_stats(dev, &s);
    ok(!s.driver, "a driver that does not ask any more is none");
    fakevm_free(vm);
    return TAP_DONE();
}
