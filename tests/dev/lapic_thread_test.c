/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Local APICs under real threads: every vCPU sends IPIs, takes and ends interrupts, changes its TPR and programs its timer at the same time as the
 * others, looking at its interrupts only after a VR_INTR request, as a back end does. A lost request or a lost timer stops the exchange.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "tests/fakevm.h"
#include "tests/tap.h"

#include "chipset/intr.h"
#include "chipset/ioapic.h"
#include "chipset/lapic.h"
#include "chipset/pic.h"

#define N 3
#define ROUNDS 20000
#define TIMER_VECTOR 0x61

static struct vm *vm;
static _Atomic unsigned got[N], timers[N];
static _Atomic bool stuck, done[N];

struct cpu {
    unsigned n;
    bool check;
    uint32_t seed;
};

static uint32_t rnd(struct cpu *c)
{
    return c->seed = c->seed * 1664525 + 1013904223;
}
static void msr(struct cpu *c, uint32_t m, uint64_t v)
{
    const struct intr_ctl *ic = intr_get_ctl(vm);
    ic->msr_write(ic->ctl, vm_vcpu(vm, c->n), m, v);
}
static void poll(struct cpu *c)
{
    struct vcpu *v = vm_vcpu(vm, c->n);
    if (atomic_exchange(&v->requests, 0) & VR_INTR)
        c->check = true;
    if (!c->check)
        return;
    int vec = intr_take(v);
    if (vec < 0) {
        c->check = false;
        return;
    }
    if (vec == TIMER_VECTOR)
        timers[c->n]++;
    else
        got[c->n]++;
    if (rnd(c) % 4 == 0)
        poll(c); /* nested */
    msr(c, 0x80b, 0);
}
static bool wait_for(struct cpu *c, _Atomic unsigned *counter, unsigned want)
{
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (unsigned i = 0; *counter < want; i++) {
        poll(c);
        if (i % 64 == 63) {
            sched_yield();
            clock_gettime(CLOCK_MONOTONIC, &b);
            if (stuck || b.tv_sec - a.tv_sec > 300) {
                stuck = true;
                return false;
            }
        }
    }
    return true;
}
static void *run(void *arg)
{
    struct cpu *c = arg;
    unsigned next = (c->n + 1) % N, sent = 0;
    for (unsigned i = 0; i < ROUNDS && !stuck; i++) {
        uint32_t r = rnd(c) >> 8, vector = 0x20 + (r >> 8) % 0xc0;
        /* Raise the priority while an IPI may arrive, lower it afterwards. */
        if (r & 1)
            msr(c, 0x808, (r >> 4 & 15) << 4);
        msr(c, 0x830, (uint64_t)next << 32 | 0x4000 | (vector == TIMER_VECTOR ? vector + 1 : vector));
        sent++;
        unsigned before = timers[c->n];
        bool timer = (r & 6) == 0;
        if (timer) {
            msr(c, 0x6e0, clock_tsc(vm) + (r >> 12) % 3000);
            if (r & 8)
                msr(c, 0x6e0, clock_tsc(vm) + (r >> 16) % 3000 + 1);
        }
        msr(c, 0x808, 0);
        if (!wait_for(c, &got[next], sent) || (timer && !wait_for(c, &timers[c->n], before + 1)))
            break;
    }
    done[c->n] = true;
    while (!stuck && !(done[0] && done[1] && done[2])) {
        poll(c);
        sched_yield();
    }
    return NULL;
}

int main(void)
{
    struct err e = {0};
    struct cpu cpu[N];
    pthread_t t[N];
    vm = fakevm_new(1, N);
    struct lapic_params lp = {.bus_hz = 66000000, .x2apic = true, .tsc_deadline = true, .phys_bits = 40};
    struct ioapic_params ip = {.base = 0xfec00000, .version = 0x11};
    struct dev *lapic = dev_create(vm, &lapic_class, "lapic", &lp, &e);
    struct dev *pic = dev_create(vm, &pic_class, "pic", NULL, &e);
    struct dev *ioapic = dev_create(vm, &ioapic_class, "ioapic", &ip, &e);
    struct intr_params p = {.pic = pic, .ioapic = ioapic, .lapic = lapic};
    dev_create(vm, &intr_class, "intr", &p, &e);
    fakevm_reset(vm);
    for (unsigned i = 0; i < N; i++) {
        cpu[i] = (struct cpu){.n = i, .seed = i + 1};
        msr(&cpu[i], 0x1b, 0xfee00c00);
        msr(&cpu[i], 0x80f, 0x1ff);
        msr(&cpu[i], 0x832, 0x40000 | TIMER_VECTOR);
    }
    for (unsigned i = 0; i < N; i++)
        pthread_create(&t[i], NULL, run, &cpu[i]);
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    while (!stuck && !(done[0] && done[1] && done[2])) {
        fakevm_advance(vm, 2000);
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &b);
        if (b.tv_sec - a.tv_sec > 600)
            stuck = true;
    }
    for (unsigned i = 0; i < N; i++)
        pthread_join(t[i], NULL);
    for (unsigned i = 0; i < N; i++)
        ok(done[i] && !stuck, "vCPU %u: %u IPIs and %u timer interrupts", i, got[i], timers[i]);
    fakevm_free(vm);
    return TAP_DONE();
}
