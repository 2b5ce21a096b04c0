/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The smallest machine for the binary translator, or another engine: one processor, 4 MiB of memory, no firmware, no interrupts; guest code ends its run by a write
 * to port F4h. A triple fault ends it too.
 */
#ifndef LODGE_TESTS_BTBOX_H
#define LODGE_TESTS_BTBOX_H

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bt/bt.h"
#include "core/irq.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "cpu/cpu.h"
#include "tests/tap.h"

#define BOX_RAM (4u << 20)

static struct {
    const struct cpu_backend *be;
    unsigned n_vcpus; /* 0: one */
    struct vm *vm;
    uint8_t *ram;
    sem_t done;
    struct memblk blk;
    struct memregion region;
    struct port_range port;
} box;

static void box_wish(void *u, enum vm_wish w)
{
    (void)u;
    printf("# the guest wishes %d\n", (int)w);
    sem_post(&box.done);
}
static void box_failed(void *u, const struct err *e)
{
    (void)u;
    printf("# %s\n", e->msg);
    sem_post(&box.done);
}
static uint64_t box_port_read(void *dev, uint64_t off, unsigned size)
{
    (void)dev, (void)off, (void)size;
    return 0;
}
static void box_port_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    (void)dev, (void)off, (void)size, (void)val;
    sem_post(&box.done);
}
static bool box_no_intr(void *ctl, struct vcpu *v)
{
    (void)ctl, (void)v;
    return false;
}
static int box_take_none(void *ctl, struct vcpu *v)
{
    (void)ctl, (void)v;
    return -1;
}

static void box_debug(void *u, struct vcpu *v)
{
    (void)u, (void)v;
    sem_post(&box.done);
}

/* cpu: what the guest's processor is. False: the engine cannot run here. */
static inline bool box_make_on(const struct cpu_backend *be, const struct vm_cpu_params *cpu, uint32_t stress)
{
    static const struct vm_events ev = {.wish = box_wish, .failed = box_failed, .debug = box_debug};
    static const struct io_ops port_ops = {.read = box_port_read, .write = box_port_write, .widths = IO_8};
    struct err e = {0};
    struct vm_params p = {.n_vcpus = box.n_vcpus ? box.n_vcpus : 1, .ram = BOX_RAM, .cpu = *cpu, .init_is_reset = true, .engine_stress = stress,
                          .engine_seed = 7};
    sem_init(&box.done, 0, 0);
    box.be = be;
    box.vm = vm_create(&p, be, &ev, NULL, &e);
    if (!box.vm) {
        printf("# %s\n", e.msg);
        return false;
    }
    intr_set_ctl(box.vm, &(struct intr_ctl){.take = box_take_none, .pending = box_no_intr});
    box.ram = mmap(NULL, BOX_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    box.blk = (struct memblk){.host = box.ram, .size = BOX_RAM, .fd = -1};
    box.region = (struct memregion){.owner = "ram", .size = BOX_RAM, .kind = MR_RAM, .enabled = true, .blk = &box.blk};
    box.port = (struct port_range){.owner = "end", .first = 0xf4, .count = 1, .ops = &port_ops};
    chipset_lock(box.vm);
    memmap_begin(box.vm);
    memmap_add(box.vm, &box.region);
    if (memmap_commit(box.vm, &e) < 0 || port_claim(box.vm, &box.port, &e) < 0)
        exit(1);
    chipset_unlock(box.vm);
    vm_reset(box.vm, RESET_COLD, &e);
    return true;
}

/* Ends the program where the translator cannot run. */
static inline void box_make(uint32_t stress)
{
    if (box_make_on(&bt_backend, &(struct vm_cpu_params){.cores_per_socket = 1}, stress))
        return;
    printf("1..0 # SKIP binary translation does not run here\n");
    exit(0);
}

static void box_free(void)
{
    vm_destroy(box.vm);
    munmap(box.ram, BOX_RAM);
}

/* The guest says that it is done, within five times as many seconds: a busy machine may need them. Second by second, as somebody may set the clock. */
static bool box_done(int seconds)
{
    for (int i = 0; i < seconds * 5; i++) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_sec++;
        if (!sem_timedwait(&box.done, &t))
            return true;
    }
    return false;
}

/* Runs from the given state until the guest says that it is done; false: it has not within that many seconds. */
static bool box_run(const struct cpu_state *s, int seconds)
{
    struct err e = {0};
    box.be->set(vm_vcpu(box.vm, 0), s, CPU_ALL, &e);
    if (vm_run(box.vm, &e) < 0)
        exit(1);
    bool ended = box_done(seconds);
    vm_pause(box.vm, &e);
    return ended;
}

#endif
