/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory trimming: what goes back, what does not, the accounting; and that no write of processors or devices is lost while it works.
 *
 * usage: trim_test [seconds of the stress, default 2]
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/vm.h"
#include "mem/guestmem.h"
#include "mem/memacct.h"
#include "mem/trim.h"
#include "tests/tap.h"

#define PAGE 4096u
#define MIB (1ull << 20)
#define RAM (64 * MIB)
enum { VCPUS = 2, PAGES = RAM / PAGE };

static struct memblk ram;
static _Atomic bool working, lost;
static _Atomic uint64_t writes;
static uint64_t kept[PAGES]; /* what the owner of a page has written there; 0: the page is all zeros */

static uint64_t rnd(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

/* Page p is zeroed, or gets a value at a random place, after it was found as it was left. True: fine. */
static bool turn(uint64_t *seed, unsigned p, struct vm *device)
{
    uint64_t *w = (uint64_t *)(void *)(ram.host + (uint64_t)p * PAGE), at = rnd(seed) % 512, sum = 0, want = kept[p];
    for (unsigned i = 0; i < 512; i++)
        sum |= __atomic_load_n(&w[i], __ATOMIC_RELAXED);
    if (sum != want)
        return false;
    uint64_t value = rnd(seed) % 4 ? 0 : rnd(seed) | 1;
    if (!device) {
        if (want)
            memset(w, 0, PAGE);
        if (value)
            __atomic_store_n(&w[at], value, __ATOMIC_RELAXED);
    } else if (rnd(seed) % 2) {
        static const uint8_t zeros[PAGE];
        gmem_write(device, (uint64_t)p * PAGE, zeros, PAGE);
        gmem_write(device, (uint64_t)p * PAGE + at * 8, &value, 8);
    } else { /* as a disk does it: pinned for a while, written by somebody else, unpinned in two parts */
        struct iovec iov[4];
        int n = gmem_pin(device, (uint64_t)p * PAGE, PAGE, true, iov, 4);
        usleep(rnd(seed) % 50);
        memset(iov[0].iov_base, 0, PAGE);
        ((uint64_t *)iov[0].iov_base)[at] = value;
        struct iovec half[2] = {{iov[0].iov_base, 1000}, {(uint8_t *)iov[0].iov_base + 1000, PAGE - 1000}};
        gmem_unpin(device, &half[0], n, true);
        gmem_unpin(device, &half[1], n, true);
    }
    kept[p] = value;
    atomic_fetch_add_explicit(&writes, 1, memory_order_relaxed);
    return true;
}

/* ---- a processor that writes ---- */

static int v_init(struct vcpu *v, struct err *e)
{
    (void)v, (void)e;
    return 0;
}
static void v_fini(struct vcpu *v) { (void)v; }
static enum vcpu_exit v_run(struct vcpu *v)
{
    static _Thread_local uint64_t seed;
    if (!seed)
        seed = 88172645463325252ull + v->index;
    for (;;) {
        uint32_t rq = atomic_load(&v->requests);
        if (rq & VR_VIEW) {
            atomic_fetch_and(&v->requests, ~(uint32_t)VR_VIEW);
            vcpu_safe_point(v);
        }
        if (rq & (VR_PARK | VR_STILL | VR_INIT | VR_SIPI))
            return VX_AGAIN;
        if (!atomic_load(&working))
            return VX_HALT;
        /* Pages 0, 1 modulo 3 are the processors', 2 the device's. */
        if (!turn(&seed, (unsigned)(rnd(&seed) % (PAGES / 3)) * 3 + v->index, NULL))
            atomic_store(&lost, true);
    }
}
static void v_kick(struct vcpu *v) { (void)v; }
static void v_reset(struct vcpu *v, bool init) { (void)v, (void)init; }
static void v_sipi(struct vcpu *v, uint8_t vector) { (void)v, (void)vector; }
static const struct cpu_backend backend = {
    .name = "writer", .vcpu_init = v_init, .vcpu_fini = v_fini, .run = v_run, .kick = v_kick, .reset = v_reset, .sipi = v_sipi};
static bool pending(void *ctl, struct vcpu *v)
{
    (void)ctl, (void)v;
    return false;
}
static int take(void *ctl, struct vcpu *v)
{
    (void)ctl, (void)v;
    return -1;
}

static void *device(void *arg)
{
    uint64_t seed = 4711;
    while (atomic_load(&working))
        if (!turn(&seed, (unsigned)(rnd(&seed) % (PAGES / 3)) * 3 + 2, arg))
            atomic_store(&lost, true);
    return NULL;
}

static int64_t fake_now = 1000000000000ll;
/* Time goes fast for the trimmer: a pass in eleven steps; a page goes back after two. */
static void steps(struct trim *t, unsigned n)
{
    while (n--)
        trim_step(t, fake_now += 1900000000, false);
}

static struct memacct_sums sums(struct memacct *a)
{
    struct memacct_sums s;
    usleep(450000); /* what was counted a moment ago is not counted again */
    memacct_refresh(a, 1000);
    memacct_get(a, &s);
    return s;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    static const struct vm_events events;
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 2;
    ok(!guestmem_alloc(&ram, &(struct guestmem_params){.size = RAM, .huge = true}, &e), "memory for a guest: %s", e.msg);
    struct vm_params vp = {.n_vcpus = VCPUS, .ram = RAM, .cpu = {.cores_per_socket = 1}};
    struct vm *vm = vm_create(&vp, &backend, &events, NULL, &e);
    intr_set_ctl(vm, &(struct intr_ctl){.take = take, .pending = pending});
    struct memregion mr = {.owner = "ram", .size = RAM, .kind = MR_RAM, .enabled = true, .blk = &ram};
    memmap_begin(vm);
    memmap_add(vm, &mr);
    ok(!memmap_commit(vm, &e), "it is mapped");
    struct memacct *acct = memacct_new(&ram, &e);
    struct trim *t = trim_new(&(struct trim_params){.vm = vm, .ram = &ram, .acct = acct, .huge = true}, &e);
    ok(acct && t, "accounting and trimming: %s", e.msg);
    struct memacct_sums s = sums(acct);
    if (!s.configured || memacct_look(acct, 0, (uint8_t[512]){0}) < 0) {
        printf("# this kernel does not tell about pages: nothing to test\n");
        return TAP_DONE();
    }
    ok(s.configured == RAM && s.resident == 0 && s.touched == 0, "a new guest takes nothing");
    ok(!vm_run(vm, &e), "it runs");

    memset(ram.host, 0x5a, 32 * MIB);
    s = sums(acct);
    ok(s.resident >= 32 * MIB && s.resident <= 34 * MIB && s.touched == s.resident, "what it writes is resident (%llu MiB)",
       (unsigned long long)(s.resident / MIB));
    memset(ram.host + 8 * MIB, 0, 16 * MIB);
    steps(t, 30);
    s = sums(acct);
    ok(s.trimmed == 0 && s.resident >= 32 * MIB, "with a rate of 0 nothing goes back");
    struct trim_stats st;
    trim_get_stats(t, &st);
    ok(st.scanned == 0 && st.stops == 0, "and nothing is looked at");
    trim_set_rate(t, 1000000);
    steps(t, 30);
    s = sums(acct);
    ok(s.trimmed >= 16 * MIB && s.resident <= 18 * MIB && s.saved >= 16 * MIB, "zeros go back: %llu MiB trimmed, %llu resident",
       (unsigned long long)(s.trimmed / MIB), (unsigned long long)(s.resident / MIB));
    bool same = true;
    for (uint64_t i = 0; i < 32 * MIB; i++)
        same &= ram.host[i] == (i >= 8 * MIB && i < 24 * MIB ? 0 : 0x5a);
    ok(same, "and the guest finds what it left");
    s = sums(acct);
    ok(s.trimmed >= 16 * MIB, "reading them takes nothing back");
    memset(ram.host + 8 * MIB, 1, 4 * MIB);
    s = sums(acct);
    ok(s.trimmed <= 12 * MIB && s.trimmed >= 10 * MIB, "writing does");
    /* Every second page of a huge page. */
    for (unsigned p = 0; p < 2048; p += 2)
        memset(ram.host + p * PAGE, 0, PAGE);
    trim_get_stats(t, &st);
    uint64_t before = st.freed;
    steps(t, 30);
    trim_get_stats(t, &st);
    ok(st.freed - before >= 1024, "half of the pages of huge ones go back too (%llu)", (unsigned long long)(st.freed - before));

    /* Pinned memory stays. */
    struct iovec iov[1];
    memset(ram.host + 48 * MIB, 0, 2 * MIB);
    ok(gmem_pin(vm, 48 * MIB + 100, 5000, true, iov, 1) == 1, "a device pins some bytes");
    steps(t, 30);
    uint8_t what[512];
    memacct_look(acct, 24, what);
    ok(what[5] == PG_OWN, "their piece of memory stays");
    gmem_unpin(vm, iov, 1, false);
    steps(t, 30);
    memacct_look(acct, 24, what);
    ok(what[5] == PG_NONE, "until they are unpinned");

    /* The guest is main's while it is paused. */
    ok(!vm_pause(vm, &e) && !vm_still_begin(vm), "no trimming in a pause");
    memset(ram.host, 0, RAM);
    ok(!vm_run(vm, &e), "on again");

    /* The balloon. */
    uint64_t was = sums(acct).ballooned;
    ok(was == 0 && memacct_balloon(acct, 5 * MIB, true) && !memacct_balloon(acct, 5 * MIB, true) && memacct_is_ballooned(acct, 5 * MIB) &&
           memacct_ballooned(acct) == 1,
       "the balloon takes a page once");
    ok(memacct_balloon(acct, 5 * MIB, false) && !memacct_balloon(acct, 5 * MIB, false) && memacct_ballooned(acct) == 0, "and gives it back once");

    /* The stress: everybody writes, the trimmer works without a rest. */
    atomic_store(&working, true);
    for (unsigned i = 0; i < VCPUS; i++)
        vcpu_request(vm_vcpu(vm, i), VR_VIEW);
    pthread_t dev;
    pthread_create(&dev, NULL, device, vm);
    struct timespec from, now;
    clock_gettime(CLOCK_MONOTONIC, &from);
    trim_get_stats(t, &st);
    before = st.freed;
    do { /* longer where the computer does much else */
        steps(t, 1);
        clock_gettime(CLOCK_MONOTONIC, &now);
        trim_get_stats(t, &st);
    } while ((now.tv_sec - from.tv_sec < seconds || ((st.freed - before <= 1000 || atomic_load(&writes) <= 10000) && now.tv_sec - from.tv_sec < 300)) &&
             !atomic_load(&lost));
    atomic_store(&working, false);
    pthread_join(dev, NULL);
    ok(!atomic_load(&lost), "no write is lost");
    ok(st.freed - before > 1000 && atomic_load(&writes) > 10000, "while %llu pages went back and %llu were written",
       (unsigned long long)(st.freed - before), (unsigned long long)atomic_load(&writes));
    printf("# stood still %llu times, %llu us on average, %llu us at most\n", (unsigned long long)st.stops,
         (unsigned long long)(st.stops ? st.still_ns / st.stops / 1000 : 0), (unsigned long long)(st.still_max_ns / 1000));
    ok(!vm_pause(vm, &e), "pause");
    unsigned wrong = 0;
    for (unsigned p = 0; p < PAGES; p++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < 512; i++)
            sum |= ((uint64_t *)(void *)(ram.host + (uint64_t)p * PAGE))[i];
        wrong += sum != kept[p];
    }
    ok(wrong == 0, "every page is as its owner left it");

    ok(!guestmem_share(&ram, true, &e) && !guestmem_share(&ram, false, &e), "sharing on and off: %s", e.msg);
    trim_free(t);
    memacct_free(acct);
    vm_destroy(vm);
    guestmem_free(&ram);
    return TAP_DONE();
}
