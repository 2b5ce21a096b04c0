/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VT engine on a host that refuses, fails and answers nonsense: the table of system calls is replaced by a fake one.
 * Whatever goes wrong, the vm is not made and a sentence says why, or it stops with its state in the log; nothing hangs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/kvm.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "core/irq.h"
#include "core/clock.h"
#include "core/state.h"
#include "core/vm.h"
#include "core/vm_private.h"
#include "cpu/cpustate.h"
#include "kvm/kvm.h"
#include "kvm/kvm_sys.h"
#include "tests/tap.h"

enum { FD_SYS = 1000, FD_VM, FD_CPU, RUN_SIZE = 3 * 4096 };
static struct {
    int fail_at;             /* this call of ioctl fails with fail_errno; 0: none */
    int fail_errno;
    unsigned long fail_req;  /* every call with this request fails; 0: none */
    int calls, opens, closes, maps, unmaps;
    int slots_max, slots;
    struct kvm_run *run;
    int run_errno;           /* KVM_RUN fails with this */
    int exit_errno;          /* the same, but after the exit has been filled in */
    int finish_errno;        /* the completion of an exit fails with this */
    int map_fail_at;         /* this mapping of a processor fails */
    void (*exit)(struct kvm_run *r, int n); /* fills an exit; n counts KVM_RUN */
    int runs, completed;
    int api, open_errno;
    bool no_scaling;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_xsave xsave;
    struct kvm_xcrs xcrs;
    uint32_t leaf_khz; /* in the VMware leaf */
    uint64_t khz; /* what the processor was asked to count at */
} F;

static int fk_open(const char *path)
{
    (void)path;
    if (F.open_errno) {
        errno = F.open_errno;
        return -1;
    }
    F.opens++;
    return FD_SYS;
}
static void fk_close(int fd)
{
    (void)fd;
    F.closes++;
}
static void *fk_map(int fd, size_t size)
{
    (void)fd;
    if (F.map_fail_at && !--F.map_fail_at) {
        errno = ENOMEM;
        return NULL;
    }
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    F.maps++;
    F.run = p;
    return p;
}
static void fk_unmap(void *p, size_t size)
{
    F.unmaps++;
    F.run = NULL;
    munmap(p, size);
}

static int fk_run(void)
{
    struct timespec nap = {0, 1000000};
    struct kvm_run *r = F.run;
    F.runs++;
    if (r->immediate_exit) {
        F.completed++;
        errno = F.finish_errno ? F.finish_errno : EINTR;
        return -1;
    }
    if (F.run_errno) {
        errno = F.run_errno;
        return -1;
    }
    if (F.exit) {
        F.exit(r, F.runs);
        errno = F.exit_errno;
        return F.exit_errno ? -1 : 0;
    }
    nanosleep(&nap, NULL);
    errno = EINTR;
    return -1;
}

static int fk_ioctl(int fd, unsigned long req, void *arg)
{
    F.calls++;
    if ((F.fail_at && F.calls == F.fail_at) || (F.fail_req && req == F.fail_req)) {
        errno = F.fail_errno ? F.fail_errno : EIO;
        return -1;
    }
    switch (req) {
    case KVM_GET_API_VERSION: return F.api;
    case KVM_CREATE_VM: F.opens++; return FD_VM;
    case KVM_CREATE_VCPU: F.opens++; return FD_CPU;
    case KVM_GET_VCPU_MMAP_SIZE: return RUN_SIZE;
    case KVM_CHECK_EXTENSION:
        if ((unsigned long)arg == KVM_CAP_NR_MEMSLOTS)
            return F.slots_max;
        if ((unsigned long)arg == KVM_CAP_COALESCED_MMIO)
            return 2;
        if ((unsigned long)arg == KVM_CAP_TSC_CONTROL)
            return !F.no_scaling;
        return (unsigned long)arg == KVM_CAP_X86_SMM ? 0 : 1;
    case KVM_GET_REGS: *(struct kvm_regs *)arg = F.regs; return 0;
    case KVM_SET_REGS: F.regs = *(struct kvm_regs *)arg; return 0;
    case KVM_GET_SREGS: *(struct kvm_sregs *)arg = F.sregs; return 0;
    case KVM_SET_SREGS: F.sregs = *(struct kvm_sregs *)arg; return 0;
    case KVM_GET_XCRS: *(struct kvm_xcrs *)arg = F.xcrs; return 0;
    case KVM_SET_XCRS: F.xcrs = *(struct kvm_xcrs *)arg; return 0;
    case KVM_GET_XSAVE: *(struct kvm_xsave *)arg = F.xsave; return 0;
    case KVM_SET_XSAVE: F.xsave = *(struct kvm_xsave *)arg; return 0;
    case KVM_GET_TSC_KHZ: return 2000000;
    case KVM_SET_TSC_KHZ: F.khz = (uint64_t)(uintptr_t)arg; return 0;
    case KVM_SET_CPUID2:
        for (unsigned i = 0; i < ((struct kvm_cpuid2 *)arg)->nent; i++)
            if (((struct kvm_cpuid2 *)arg)->entries[i].function == 0x40000010)
                F.leaf_khz = ((struct kvm_cpuid2 *)arg)->entries[i].eax;
        return 0;
    case KVM_GET_MSRS: return (int)((struct kvm_msrs *)arg)->nmsrs;
    case KVM_SET_MSRS: return (int)((struct kvm_msrs *)arg)->nmsrs;
    case KVM_SET_USER_MEMORY_REGION: F.slots += ((struct kvm_userspace_memory_region *)arg)->memory_size ? 1 : -1; return 0;
    case KVM_RUN: return fk_run();
    default: return fd >= FD_SYS ? 0 : -1;
    }
}
static const struct kvm_sys fake = {fk_open, fk_ioctl, fk_map, fk_unmap, fk_close};

/* ---- the machine ---- */

static _Atomic bool failed;
static struct err why;
static void on_failed(void *u, const struct err *e)
{
    (void)u;
    why = *e;
    failed = true;
}
static _Atomic int wishes;
static void on_wish(void *u, enum vm_wish w)
{
    (void)u, (void)w;
    wishes++;
}

static uint8_t ram[1 << 20] __attribute__((aligned(4096)));
static unsigned long ram_dirty[4];
static struct memblk blk = {.host = ram, .size = sizeof ram, .fd = -1, .dirty = ram_dirty};
static struct memregion regions[8];
static uint64_t last_val;
static int late_writes;
static uint64_t dev_read(void *d, uint64_t off, unsigned size)
{
    (void)d, (void)size;
    return 0x50 + off;
}
static void dev_write(void *d, uint64_t off, unsigned size, uint64_t val)
{
    (void)d, (void)off, (void)size;
    last_val = val;
    late_writes++;
}
static const struct io_ops dev_ops = {.read = dev_read, .write = dev_write, .flags = IOF_LATE};

static void fresh(void)
{
    memset(&F, 0, sizeof F);
    F.slots_max = 32;
    F.api = KVM_API_VERSION;
    failed = false;
    wishes = 0;
    why = (struct err){0};
}

static uint64_t host_khz = 2000000;
static unsigned n_cpus = 1;
static struct vm *make(unsigned pieces, struct err *e)
{
    static const struct vm_events ev = {.failed = on_failed, .wish = on_wish};
    struct vm_params p = {.n_vcpus = n_cpus, .ram = sizeof ram, .tsc_khz = host_khz, .cpu = {.cores_per_socket = 1, .hypervisor_leaves = true, .bus_khz = VT_BUS_KHZ}};
    struct vm *vm = vm_create(&p, &vt_backend, &ev, NULL, e);
    if (!vm)
        return NULL;
    memmap_begin(vm);
    for (unsigned i = 0; i < pieces; i++) {
        regions[i] = (struct memregion){.owner = "ram", .base = i * 0x20000, .size = 0x10000, .kind = MR_RAM, .enabled = true, .track_dirty = true,
                                        .blk = &blk, .blk_off = i * 0x10000};
        memmap_add(vm, &regions[i]);
    }
    regions[7] = (struct memregion){.owner = "dev", .base = 0x80000000, .size = 0x1000, .kind = MR_MMIO, .enabled = true, .ops = &dev_ops};
    memmap_add(vm, &regions[7]);
    if (memmap_commit(vm, e)) {
        vm_destroy(vm);
        return NULL;
    }
    return vm;
}

static bool wait_for(_Atomic bool *b)
{
    struct timespec nap = {0, 5000000};
    for (int i = 0; i < 12000 && !atomic_load(b); i++)
        nanosleep(&nap, NULL);
    return atomic_load(b);
}

/* Runs until the vm has failed; the sentence must have the word. */
static void must_fail(const char *name, const char *word)
{
    struct err e = {0};
    struct vm *vm = make(2, &e);
    if (!ok(vm != NULL, "%s: the vm is made", name)) {
        printf("# %s\n", e.msg);
        return;
    }
    (void)vm_run(vm, &e);
    ok(wait_for(&failed) && strstr(why.msg, word), "%s: stopped, \"%s\"", name, why.msg);
    ok(vm_get_state(vm) == VM_FAILED, "%s: and stays so", name);
    vm_destroy(vm);
    ok(F.opens == F.closes && F.maps == F.unmaps, "%s: nothing is left open", name);
}

static uint32_t suberror;
static void x_internal(struct kvm_run *r, int n)
{
    (void)n;
    r->exit_reason = KVM_EXIT_INTERNAL_ERROR;
    r->internal.suberror = suberror;
    r->internal.ndata = 9999; /* more than there is room for */
}
static void x_entry(struct kvm_run *r, int n)
{
    (void)n;
    r->exit_reason = KVM_EXIT_FAIL_ENTRY;
    r->fail_entry.hardware_entry_failure_reason = 0x80000021;
}
static void x_unknown(struct kvm_run *r, int n)
{
    (void)n;
    r->exit_reason = 4711;
}
static void x_halt(struct kvm_run *r, int n)
{
    (void)n;
    r->exit_reason = KVM_EXIT_HLT;
}
/* Once; whoever runs again goes on running. */
static void x_shutdown(struct kvm_run *r, int n)
{
    struct timespec nap = {0, 1000000};
    r->exit_reason = n > 1 ? KVM_EXIT_INTR : KVM_EXIT_SHUTDOWN;
    if (n > 1)
        nanosleep(&nap, NULL);
}
/* Port data outside of the shared pages, sizes that do not exist, MMIO of 200 bytes; then an end. */
static void x_nonsense(struct kvm_run *r, int n)
{
    memset(&r->io, 0, 64);
    if (n < 4) {
        r->exit_reason = KVM_EXIT_IO;
        r->io.size = n == 1 ? 4 : 7;
        r->io.count = n == 2 ? 1 : 100000;
        r->io.data_offset = n == 3 ? RUN_SIZE - 1 : 0xfffffff0;
    } else if (n < 6) {
        r->exit_reason = KVM_EXIT_MMIO;
        r->mmio.phys_addr = UINT64_MAX - 2;
        r->mmio.len = 200;
        r->mmio.is_write = n & 1;
    } else if (n == 6) {
        struct kvm_coalesced_mmio_ring *ring = (void *)((uint8_t *)r + 2 * 4096);
        ring->first = 70000; /* outside of the ring */
        ring->last = 3;
        r->exit_reason = KVM_EXIT_INTR;
    } else {
        r->exit_reason = KVM_EXIT_FAIL_ENTRY;
    }
}

static uint64_t seen_read;
static void x_device(struct kvm_run *r, int n)
{
    struct timespec nap = {0, 2000000};
    struct kvm_coalesced_mmio_ring *ring = (void *)((uint8_t *)r + 2 * 4096);
    r->exit_reason = KVM_EXIT_MMIO;
    r->mmio.phys_addr = 0x80000004;
    r->mmio.len = 4;
    if (n == 1) {
        for (unsigned i = 0; i < 3; i++)
            ring->coalesced_mmio[i] = (struct kvm_coalesced_mmio){.phys_addr = 0x80000010, .len = 4, .data = {(uint8_t)(i + 1)}};
        ring->last = 3;
        r->mmio.is_write = 0;
        return;
    }
    if (n == 2)
        memcpy(&seen_read, r->mmio.data, 4);
    r->mmio.is_write = 1;
    r->mmio.data[0] = 9;
    nanosleep(&nap, NULL);
}

static void test_create(void)
{
    struct err e = {0};
    fresh();
    struct vm *vm = make(2, &e);
    ok(vm != NULL, "the fake host makes a vm");
    int total = F.calls;
    vm_destroy(vm);
    ok(F.opens == F.closes && F.maps == F.unmaps, "and nothing is left open");
    /* With one processor and with three: each call in turn is refused. No vm and a sentence, or a vm (the call was not needed). */
    for (n_cpus = 1; n_cpus <= 3; n_cpus += 2) {
        int refused = 0, made = 0;
        bool clean = true, sentences = true;
        fresh();
        vm = make(2, &e);
        total = F.calls;
        if (vm)
            vm_destroy(vm);
        for (int i = 1; i <= total; i++) {
            fresh();
            e = (struct err){0};
            F.fail_at = i;
            F.fail_errno = i & 1 ? ENOMEM : EINVAL;
            vm = make(2, &e);
            if (vm) {
                made++;
                vm_destroy(vm);
            } else {
                refused++;
                sentences &= strlen(e.msg) > 20;
            }
            clean &= F.opens == F.closes && F.maps == F.unmaps;
        }
        ok(refused > 8 * (int)n_cpus && sentences, "%u processors, %d of %d calls refused: no vm, and a sentence (%s)", n_cpus, refused, total, e.msg);
        ok(clean, "nothing is left open in any case (%d were not needed)", made);
        for (unsigned i = 1; i <= n_cpus; i++) {
            fresh();
            F.map_fail_at = (int)i;
            e = (struct err){0};
            vm = make(2, &e);
            ok(!vm && strstr(e.msg, "to show a processor") && F.opens == F.closes && F.maps == F.unmaps, "processor %u cannot be mapped: %s", i, e.msg);
        }
    }
    n_cpus = 1;
    fresh();
    F.open_errno = EACCES;
    e = (struct err){0};
    ok(!make(2, &e) && strstr(e.msg, "/dev/kvm"), "no permission: %s", e.msg);
}

static void test_slots(void)
{
    struct err e = {0};
    fresh();
    F.slots_max = 3;
    struct vm *vm = make(5, &e);
    ok((!vm && strstr(e.msg, "more than 3 pieces")) || failed, "more memory slots than the host has: %s", e.msg);
    if (vm)
        vm_destroy(vm);
    fresh();
    vm = make(5, &e);
    ok(vm && F.slots == 5, "a slot for each piece of RAM, none for the device");
    memmap_begin(vm);
    regions[0].enabled = false;
    regions[1].kind = MR_ROM;
    ok(!memmap_commit(vm, &e) && F.slots == 4, "one goes, one becomes read-only");
    fresh();
    F.fail_req = KVM_SET_USER_MEMORY_REGION;
    F.fail_errno = ENOMEM;
    memmap_begin(vm);
    regions[0].enabled = true;
    ok(memmap_commit(vm, &e) == -1 && failed, "a refused slot stops the vm: %s", e.msg);
    vm_destroy(vm);
}

static void test_device(void)
{
    struct err e = {0};
    fresh();
    late_writes = 0;
    F.exit = x_device;
    struct vm *vm = make(2, &e);
    (void)vm_run(vm, &e);
    struct timespec nap = {0, 100000000};
    for (int i = 0; i < 600 && (late_writes <= 3 || last_val != 9); i++)
        nanosleep(&nap, NULL);
    ok(!vm_pause(vm, &e), "a vm that exits all the time can be paused");
    ok(late_writes > 3 && last_val == 9, "collected writes and the others arrive");
    is_u64(seen_read, 0x54, "a read gets the device's value");
    ok(F.completed >= 1, "the last access is completed before the vm stands");
    ok(!vm_run(vm, &e) && !vm_pause(vm, &e), "it goes on and stops again");
    vm_destroy(vm);
}

/* Interrupted calls that never get anywhere do not keep the vm from being paused or ended; nor does an access that cannot be completed. */
static void test_storms(void)
{
    static const int errs[] = {EINTR, EAGAIN};
    struct timespec nap = {0, 20000000};
    for (unsigned i = 0; i < 2; i++) {
        struct err e = {0};
        fresh();
        F.run_errno = errs[i];
        struct vm *vm = make(2, &e);
        (void)vm_run(vm, &e);
        for (int k = 0; k < 3000 && F.runs <= 100; k++)
            nanosleep(&nap, NULL);
        ok(!vm_pause(vm, &e) && F.runs > 100 && !failed, "%d times %s: it can be paused", F.runs, strerror(errs[i]));
        F.run_errno = 0;
        ok(!vm_run(vm, &e) && !vm_pause(vm, &e) && !failed, "and goes on when that is over");
        vm_destroy(vm);
    }
    struct err e = {0};
    fresh();
    F.exit = x_device;
    F.finish_errno = EFAULT;
    struct vm *vm = make(2, &e);
    (void)vm_run(vm, &e);
    nanosleep(&nap, NULL);
    (void)vm_pause(vm, &e);
    ok(wait_for(&failed) && strstr(why.msg, "no memory for a page"), "an access that cannot be completed: %s", why.msg);
    vm_destroy(vm);
}

/* A log of written pages that cannot be read: every page counts as written. */
static void test_dirty(void)
{
    struct err e = {0};
    unsigned long bits[4] = {0};
    fresh();
    struct vm *vm = make(2, &e);
    F.fail_req = KVM_GET_DIRTY_LOG;
    memset(ram_dirty, 0, sizeof ram_dirty);
    vt_backend.fetch_dirty(vm, &blk, bits);
    ok(bits[0] == 0xffffffff, "the log of written pages refused: all pages of both pieces count (%#lx)", bits[0]);
    memmap_begin(vm);
    regions[0].enabled = false;
    ok(!memmap_commit(vm, &e) && ram_dirty[0] == 0xffff && !failed, "also when a piece goes (%#lx)", ram_dirty[0]);
    memset(ram_dirty, 0, sizeof ram_dirty);
    vm_destroy(vm);
}

/* Registers that cannot be read or written: the vm stops, or the call says so; nothing goes on with half a state. */
static void test_state(void)
{
    static const struct {
        unsigned long req;
        const char *name;
        bool get, set;
    } reqs[] = {{KVM_GET_REGS, "GET_REGS", true, false},     {KVM_GET_SREGS, "GET_SREGS", true, true},       {KVM_GET_DEBUGREGS, "GET_DEBUGREGS", true, false},
                {KVM_GET_XSAVE, "GET_XSAVE", true, false},   {KVM_GET_MSRS, "GET_MSRS", true, false},        {KVM_GET_VCPU_EVENTS, "GET_VCPU_EVENTS", true, false},
                {KVM_GET_MP_STATE, "GET_MP_STATE", true, false}, {KVM_SET_REGS, "SET_REGS", false, true},    {KVM_SET_SREGS, "SET_SREGS", false, true},
                {KVM_SET_XSAVE, "SET_XSAVE", false, true},   {KVM_SET_DEBUGREGS, "SET_DEBUGREGS", false, true}, {KVM_SET_VCPU_EVENTS, "SET_VCPU_EVENTS", false, true},
                {KVM_SET_MP_STATE, "SET_MP_STATE", false, true}};
    struct cpu_state *s = aligned_alloc(64, sizeof *s);
    for (unsigned i = 0; i < sizeof reqs / sizeof reqs[0]; i++) {
        struct err e = {0};
        fresh();
        struct vm *vm = make(2, &e);
        memset(s, 0, sizeof *s);
        vt_backend.get(vm_vcpu(vm, 0), s, CPU_ALL);
        bool before = failed;
        F.fail_req = reqs[i].req;
        vt_backend.get(vm_vcpu(vm, 0), s, CPU_ALL);
        bool got = failed;
        int rc = vt_backend.set(vm_vcpu(vm, 0), s, CPU_ALL, &e);
        ok(!before && got == reqs[i].get && (rc == -1 || !reqs[i].set), "%s refused: %s", reqs[i].name, got ? why.msg : e.msg);
        F.fail_req = 0;
        vm_destroy(vm);
    }
    free(s);
    for (unsigned i = 0; i < 3; i++) {
        static const unsigned long lapic[] = {KVM_GET_LAPIC, KVM_SET_LAPIC, KVM_SIGNAL_MSI};
        struct err e = {0};
        fresh();
        struct lapic_image m = {.base = 0xfee00900};
        struct vm *vm = make(2, &e);
        F.fail_req = lapic[i];
        vt_backend.lapic->get(vm_vcpu(vm, 0), &m);
        int rc = vt_backend.lapic->set(vm_vcpu(vm, 0), &m, &e);
        vt_backend.lapic->msi(vm, 0xfee00000, 0x41);
        ok(failed == (i == 0) && (rc == -1) == (i == 1), "local APIC, request %u refused: %s", i, failed ? why.msg : e.msg);
        vm_destroy(vm);
    }
}

static uint64_t host_tsc_now;
static int64_t steady_ns(void) { return (int64_t)(host_tsc_now / 2); }
static uint64_t steady_tsc(void) { return host_tsc_now; }

/* A machine whose state comes from a host with a TSC of 3 GHz; this one has 2. */
static void test_scaling(void)
{
    static const struct host_clock steady = {steady_ns, steady_tsc};
    struct err e = {0};
    size_t len = 0;
    fresh();
    host_khz = 3000000;
    struct vm *vm = make(2, &e);
    struct snap_writer *w = snap_writer_new();
    ok(!vm_run(vm, &e) && !vm_pause(vm, &e) && !vm_save(vm, w, &e), "a state is saved (%s)", e.msg);
    uint64_t then = clock_tsc(vm);
    vm_destroy(vm);
    const void *data = snap_writer_data(w, &len);
    host_khz = 2000000;
    for (int can = 1; can >= 0; can--) {
        fresh();
        e = (struct err){0};
        F.no_scaling = !can;
        struct snap_reader *r = snap_reader_new(data, len, &e);
        vm = make(2, &e);
        vm->clk.host = &steady;
        host_tsc_now = 7000000000000;
        ok(!vm_load(vm, r, &e) && clock_tsc_scaled(vm) == can, "loaded on a slower host, %s scaling (%s)", can ? "with" : "without", e.msg);
        if (can)
            ok(F.khz == 3000000 && F.leaf_khz == 3000000 && clock_tsc_khz(vm) == 3000000, "KVM is to count at %llu kHz, CPUID says %u",
               (unsigned long long)F.khz, F.leaf_khz);
        else
            ok(!F.khz && F.leaf_khz == 2000000 && clock_tsc_khz(vm) == 2000000, "KVM is asked for nothing (%llu)", (unsigned long long)F.khz);
        (void)vm_run(vm, &e);
        uint64_t start = clock_tsc(vm);
        int64_t ns = clock_now(vm);
        host_tsc_now += 2000000000; /* one second */
        int64_t ticks = (int64_t)(clock_tsc(vm) - start);
        ok(start - then < 2 && ticks - (can ? 3000000000 : 2000000000) < 2 && ticks >= (can ? 2999999999 : 2000000000) && clock_now(vm) - ns == 1000000000,
           "a second is %lld ticks of the guest's TSC, which goes on where it was", (long long)ticks);
        (void)vm_pause(vm, &e);
        host_tsc_now += 20000000000;
        (void)vm_run(vm, &e);
        ok(clock_tsc(vm) - start - (uint64_t)ticks < 3, "and a pause of ten seconds none");
        e = (struct err){0};
        (void)vm_pause(vm, &e);
        struct cpu_backend other = vt_backend;
        other.scale_tsc = NULL;
        ok(!can || (vm_switch_backend(vm, &other, &e) == -1 && strstr(e.msg, "another rate")), "to an engine that does not scale: %s", e.msg);
        vm_destroy(vm);
        snap_reader_free(r);
    }
    snap_writer_free(w);
}

static void test_probe(void)
{
    struct vt_probe p;
    struct {
        int err;
        enum vt_status s;
        const char *word;
    } opens[] = {{EACCES, VT_NO_PERMISSION, "usermod"}, {EIO, VT_BROKEN, "cannot be opened"}};
    for (unsigned i = 0; i < 2; i++) {
        fresh();
        F.open_errno = opens[i].err;
        vt_probe(&p);
        ok(p.status == opens[i].s && strstr(p.text, opens[i].word), "probe: %s", p.text);
    }
    fresh();
    F.open_errno = ENOENT;
    vt_probe(&p);
    ok(p.status == VT_NO_DEVICE || p.status == VT_NO_NESTED || p.status == VT_NO_PROCESSOR, "probe: %s", p.text);
    fresh();
    F.fail_req = KVM_CREATE_VM;
    F.fail_errno = EBUSY;
    vt_probe(&p);
    ok(p.status == VT_IN_USE, "probe: %s", p.text);
    fresh();
    F.api = 11;
    vt_probe(&p);
    ok(p.status == VT_BROKEN, "probe: %s", p.text);
    fresh();
    F.exit = x_entry;
    vt_probe(&p);
    ok(p.status == VT_BROKEN && F.opens == F.closes, "probe, a processor that does not enter the guest: %s", p.text);
    fresh();
    F.fail_req = KVM_SET_SREGS;
    vt_probe(&p);
    ok(p.status == VT_BROKEN, "probe, no 64-bit mode: %s", p.text);
    fresh();
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    vt_probe(&p); /* KVM_RUN never brings anything */
    clock_gettime(CLOCK_MONOTONIC, &b);
    ok(p.status == VT_BROKEN && b.tv_sec - a.tv_sec < 60 && F.opens == F.closes, "probe, a host that hangs: %s", p.text);
}

int main(void)
{
    alarm(600);
    kvm_sys_replace(&fake);
    test_create();
    test_slots();
    static const struct {
        uint32_t sub;
        const char *word;
    } subs[] = {{KVM_INTERNAL_ERROR_EMULATION, "cannot carry out an instruction"}, {KVM_INTERNAL_ERROR_SIMUL_EX, "internal error"},
                {KVM_INTERNAL_ERROR_DELIVERY_EV, "delivered an interrupt"}, {KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, "internal error"}, {0xffffffff, "internal error"}};
    for (unsigned i = 0; i < 2 * sizeof subs / sizeof subs[0]; i++) {
        char name[64];
        fresh();
        F.exit = x_internal;
        F.exit_errno = i & 1 ? EINVAL : 0; /* KVM tells of some in both ways at once */
        suberror = subs[i / 2].sub;
        snprintf(name, sizeof name, "internal error %#x%s", suberror, i & 1 ? " and EINVAL" : "");
        must_fail(name, subs[i / 2].word);
    }
    fresh();
    F.exit = x_halt;
    must_fail("a halt that KVM does not keep", "halted processor");
    fresh();
    F.exit = x_entry;
    must_fail("entry refused", "refuses to enter the guest");
    fresh();
    F.exit = x_unknown;
    must_fail("unknown exit", "not known here");
    fresh();
    F.exit = x_nonsense;
    must_fail("nonsense", "refuses to enter");
    static const struct {
        int err;
        const char *word;
    } errs[] = {{EFAULT, "no memory for a page"}, {ENOMEM, "out of memory"}, {EIO, "Input/output error"}, {ENOENT, "No such file"}};
    for (unsigned i = 0; i < sizeof errs / sizeof errs[0]; i++) {
        fresh();
        F.run_errno = errs[i].err;
        must_fail(strerror(errs[i].err), errs[i].word);
    }
    fresh();
    F.exit = x_shutdown;
    struct err e = {0};
    struct vm *vm = make(2, &e);
    (void)vm_run(vm, &e);
    struct timespec nap = {0, 5000000};
    for (int i = 0; i < 12000 && F.runs < 2; i++)
        nanosleep(&nap, NULL);
    ok(F.runs >= 2 && !wishes && !failed, "after a triple fault the processors start anew (%d runs, %d wishes, %d failed)", F.runs, (int)wishes, (int)failed);
    vm_destroy(vm);
    test_device();
    test_storms();
    test_dirty();
    test_state();
    test_scaling();
    test_probe();
    kvm_sys_replace(NULL);
    return TAP_DONE();
}
