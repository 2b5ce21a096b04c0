/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vCPU threads, requests, parking and the life cycle, with a back end whose "guest code" is a loop that ends only by a
 * kick, so that any lost wake-up hangs and is seen. Meant to be run with --enable-sanitizers and --enable-tsan as well.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/thread.h"
#include "core/vm.h"
#include "tests/tap.h"

enum { VCPUS = 4, TOKENS = 20000 };

enum script { S_NORMAL, S_SHUTDOWN, S_RESET, S_FAIL, S_DEBUG, S_EMULATE };
struct fake {
    _Atomic bool kicked;
    _Atomic unsigned pending, consumed, tlb_asked, tlb_done, runs, resets, inits, sipis, sipi_vector;
    _Atomic int script;
    uint32_t seed;
    bool touch_mmio;
};

static uint32_t rnd(struct fake *f)
{
    f->seed = f->seed * 1664525 + 1013904223;
    return f->seed >> 16;
}

static enum vcpu_exit be_run(struct vcpu *v)
{
    struct fake *f = v->be;
    atomic_fetch_add(&f->runs, 1);
    for (;;) {
        atomic_store(&f->kicked, false); /* before the bits are read: a kick after this ends the spinning below */
        uint32_t rq = atomic_load(&v->requests);
        if (rq & (VR_PARK | VR_STILL | VR_INIT | VR_SIPI))
            return VX_AGAIN;
        if (rq)
            atomic_fetch_and(&v->requests, ~(rq & (VR_INTR | VR_NMI | VR_SMI | VR_TLB | VR_VIEW)));
        if (rq & VR_VIEW)
            vcpu_safe_point(v);
        if (rq & VR_INTR)
            atomic_fetch_add(&f->consumed, atomic_exchange(&f->pending, 0));
        if (rq & VR_TLB)
            atomic_store(&f->tlb_done, atomic_load(&f->tlb_asked));
        switch (atomic_load(&f->script)) {
        case S_SHUTDOWN: return VX_SHUTDOWN;
        case S_RESET: return VX_RESET;
        case S_FAIL: return err_set(&v->fail, ERR_HOST, 0, "the test says so"), VX_FAIL;
        case S_DEBUG: return VX_DEBUG;
        case S_EMULATE: return VX_EMULATE;
        }
        if (f->touch_mmio)
            for (int i = 0; i < 20; i++) {
                bus_read(v, false, 0xe0000000 + (rnd(f) & 0x7fff), 4);
                bus_write(v, true, 0x80, 1, 1);
            }
        if (rnd(f) % 2)
            return VX_HALT;
        while (!atomic_load(&f->kicked)) /* guest code */
            __builtin_ia32_pause();
    }
}
static void be_kick(struct vcpu *v) { atomic_store(&((struct fake *)v->be)->kicked, true); }
static void be_reset(struct vcpu *v, bool init)
{
    struct fake *f = v->be;
    atomic_fetch_add(init ? &f->inits : &f->resets, 1);
    if (!init || atomic_load(&f->script) == S_SHUTDOWN)
        atomic_store(&f->script, S_NORMAL);
}
static void be_sipi(struct vcpu *v, uint8_t vector)
{
    struct fake *f = v->be;
    atomic_store(&f->sipi_vector, vector);
    atomic_fetch_add(&f->sipis, 1);
}
static int be_vcpu_init(struct vcpu *v, struct err *e)
{
    struct fake *f = v->be = calloc(1, sizeof *f);
    f->seed = v->index + 1;
    return 0;
}
static void be_vcpu_fini(struct vcpu *v) { free(v->be); }
static const struct cpu_backend backend = {
    .name = "fake",
    .run = be_run,
    .kick = be_kick,
    .reset = be_reset,
    .sipi = be_sipi,
    .vcpu_init = be_vcpu_init,
    .vcpu_fini = be_vcpu_fini,
};

static _Atomic unsigned wishes, failures, debugs, started_vcpu, started_chipset;
static _Atomic int last_wish, last_state;
static void on_wish(void *u, enum vm_wish w)
{
    atomic_store(&last_wish, w);
    atomic_fetch_add(&wishes, 1);
}
static void on_state(void *u, enum vm_state s) { atomic_store(&last_state, s); }
static void on_failed(void *u, const struct err *e) { atomic_fetch_add(&failures, 1); }
static void on_debug(void *u, struct vcpu *v) { atomic_fetch_add(&debugs, 1); }
static void on_thread(void *u, const char *kind)
{
    atomic_fetch_add(!strcmp(kind, "vcpu") ? &started_vcpu : &started_chipset, 1);
}

static struct vm *make(void)
{
    static const struct vm_events ev = {.wish = on_wish, .state = on_state, .failed = on_failed, .debug = on_debug};
    struct err e = {0};
    struct vm_params p = {.n_vcpus = VCPUS, .cpu = {.cores_per_socket = 1}, .thread_started = on_thread};
    return vm_create(&p, &backend, &ev, NULL, &e);
}
static struct fake *fake(struct vm *vm, unsigned i) { return vm_vcpu(vm, i)->be; }

static void nap(void)
{
    struct timespec ts = {0, 200000};
    nanosleep(&ts, NULL);
}

/* Waits up to 20 s until *n is at least want: that long only when something is lost. */
static bool reaches(_Atomic unsigned *n, unsigned want)
{
    for (int i = 0; i < 100000 && atomic_load(n) < want; i++)
        nap();
    return atomic_load(n) >= want;
}

static void *producer(void *arg)
{
    struct vm *vm = arg;
    uint32_t s = (uint32_t)(uintptr_t)&s;
    for (unsigned i = 0; i < TOKENS; i++) {
        s = s * 1664525 + 1013904223;
        unsigned k = (s >> 20) % VCPUS;
        atomic_fetch_add(&fake(vm, k)->pending, 1);
        vcpu_request(vm_vcpu(vm, k), VR_INTR);
        if (i % 64 == 0)
            nap(); /* lets the vCPUs go to sleep */
    }
    return NULL;
}

/* Shootdowns as the translator does them: whoever is in run() is waited for, nobody else. */
static void *shooter(void *arg)
{
    struct vm *vm = arg;
    for (unsigned i = 1; i <= 300; i++) {
        for (unsigned k = 0; k < VCPUS; k++) {
            atomic_store(&fake(vm, k)->tlb_asked, i);
            vcpu_request(vm_vcpu(vm, k), VR_TLB);
        }
        for (unsigned k = 0; k < VCPUS; k++)
            while (atomic_load(&fake(vm, k)->tlb_done) < i && vcpu_in_run(vm_vcpu(vm, k)))
                __builtin_ia32_pause();
        nap();
    }
    return NULL;
}

static void test_load(void)
{
    struct vm *vm = make();
    struct err e = {0};
    pthread_t t[3], sh;
    ok(!vm_run(vm, &e), "running");
    for (int i = 0; i < 3; i++)
        thread_start(&t[i], "producer", producer, vm, &e);
    thread_start(&sh, "shooter", shooter, vm, &e);
    unsigned moved = 0, in_run = 0;
    for (int i = 0; i < 150; i++) {
        vm_pause(vm, &e);
        unsigned before = 0, after = 0;
        for (unsigned k = 0; k < VCPUS; k++) {
            before += atomic_load(&fake(vm, k)->runs) + atomic_load(&fake(vm, k)->consumed);
            in_run += vcpu_in_run(vm_vcpu(vm, k));
        }
        if (i % 8 == 0)
            nap();
        for (unsigned k = 0; k < VCPUS; k++)
            after += atomic_load(&fake(vm, k)->runs) + atomic_load(&fake(vm, k)->consumed);
        moved += before != after;
        vm_run(vm, &e);
        nap();
    }
    ok(!moved && !in_run, "nothing runs while paused");
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    pthread_join(sh, NULL);
    bool all = true;
    unsigned sum = 0;
    for (unsigned k = 0; k < VCPUS; k++) {
        struct fake *f = fake(vm, k);
        for (int i = 0; i < 100000 && atomic_load(&f->pending); i++)
            nap();
        all &= atomic_load(&f->pending) == 0;
    }
    nap();
    vm_pause(vm, &e);
    for (unsigned k = 0; k < VCPUS; k++)
        sum += atomic_load(&fake(vm, k)->consumed);
    ok(all && sum == 3 * TOKENS, "no interrupt is lost: %u of %u", sum, 3 * TOKENS);
    ok(started_vcpu == VCPUS && started_chipset == 1, "each thread told of its start");
    vm_destroy(vm);
}

static void test_init_sipi(void)
{
    struct vm *vm = make();
    struct err e = {0};
    vm_run(vm, &e);
    struct vcpu *v = vm_vcpu(vm, 2);
    struct fake *f = v->be;
    unsigned good = 0;
    for (unsigned i = 1; i <= 50; i++) {
        vcpu_request(v, VR_INIT);
        v->sipi_vector = 0x9a;
        vcpu_request(v, VR_SIPI);
        good += reaches(&f->sipis, i) && atomic_load(&f->inits) == i;
    }
    ok(good == 50 && f->sipi_vector == 0x9a, "INIT, then SIPI, 50 times");
    vm_destroy(vm);
}

static void test_life(void)
{
    struct vm *vm = make();
    struct err e = {0};
    wishes = failures = 0;
    ok(vm_get_state(vm) == VM_BUILDING && !vm_pause(vm, &e) && vm_get_state(vm) == VM_BUILDING,
       "pause before the first run changes nothing");
    vm_run(vm, &e);
    struct fake *f = fake(vm, 1);
    ok(reaches(&f->runs, 1), "it runs");
    unsigned inits0 = fake(vm, 0)->inits, inits1 = f->inits; /* before: it may be over at once */
    f->script = S_SHUTDOWN;
    vcpu_request(vm_vcpu(vm, 1), VR_INTR);
    ok(reaches(&f->inits, inits1 + 1) && reaches(&fake(vm, 0)->inits, inits0 + 1), "a triple fault starts all processors anew");
    for (int i = 0; i < 10; i++)
        vcpu_request(vm_vcpu(vm, 1), VR_INTR), nap();
    ok(f->inits == inits1 + 1 && wishes == 0 && vm_get_state(vm) == VM_RUNNING, "once, and the vm goes on");
    unsigned resets = f->resets;
    ok(!vm_reset(vm, RESET_WARM, &e) && vm_get_state(vm) == VM_RUNNING && f->resets == resets + 1, "reset");
    atomic_fetch_add(&f->pending, 1);
    vcpu_request(vm_vcpu(vm, 1), VR_INTR);
    unsigned c = f->consumed;
    ok(reaches(&f->consumed, c + 1) || f->pending == 0, "and it runs again");
    f->script = S_RESET;
    vcpu_request(vm_vcpu(vm, 1), VR_INTR);
    ok(reaches(&wishes, 1) && last_wish == WISH_RESET && vm_get_state(vm) == VM_HALTED, "reset by the CPU");
    f->script = S_NORMAL;
    ok(!vm_run(vm, &e) && vm_get_state(vm) == VM_RUNNING, "main may also go on without reset");
    vm_wish(vm, WISH_OFF);
    ok(wishes == 2 && last_wish == WISH_OFF && vm_get_state(vm) == VM_HALTED && !vm_pause(vm, &e) &&
           vm_get_state(vm) == VM_PAUSED,
       "wish, then pause");
    ok(!vm_reset(vm, RESET_COLD, &e) && vm_get_state(vm) == VM_PAUSED, "reset while paused stays paused");
    ok(!vm_run(vm, &e), "run");
    f->script = S_DEBUG;
    vcpu_request(vm_vcpu(vm, 1), VR_INTR);
    ok(reaches(&debugs, 1) && vm_get_state(vm) == VM_HALTED, "a debug exit stops the vm");
    f->script = S_NORMAL;
    ok(!vm_run(vm, &e), "and goes on");
    f->script = S_FAIL;
    vcpu_request(vm_vcpu(vm, 1), VR_INTR);
    ok(reaches(&failures, 1) && vm_get_state(vm) == VM_FAILED && last_state == VM_FAILED,
       "an internal error fails the vm");
    ok(vm_run(vm, &e) == -1 && vm_pause(vm, &e) == -1 && vm_reset(vm, RESET_COLD, &e) == -1, "for good: %s", e.msg);
    vm_destroy(vm);
    ok(failures == 1, "destroyed");
    vm = make();
    vm_destroy(vm);
    ok(true, "a vm that never ran is destroyed");
    struct vm_params p = {.n_vcpus = 33};
    ok(!vm_create(&p, &backend, NULL, NULL, &e), "too many vCPUs: %s", e.msg);
}

/* ---- the memory map changes under running vCPUs ---- */

static uint64_t mm_read(void *dev, uint64_t off, unsigned size) { return (uintptr_t)dev; }
static const struct io_ops mm_ops = {.read = mm_read}, mm_unlocked = {.read = mm_read, .flags = IOF_UNLOCKED},
                           port_ops = {.read = mm_read};

struct mover {
    struct vm *vm;
    struct memregion mr[4];
    struct port_range pr;
    struct memblk blk;
    _Atomic bool stop;
    _Atomic unsigned posts;
};
static void move(void *arg)
{
    struct mover *m = arg;
    struct err e = {0};
    memmap_begin(m->vm);
    for (int i = 0; i < 4; i++) {
        m->mr[i].base = 0xe0000000 + (gpa_t)(rand() % 8) * 0x1000;
        m->mr[i].enabled = rand() % 4 != 0;
    }
    memmap_commit(m->vm, &e);
    port_release(m->vm, &m->pr);
    port_claim(m->vm, &m->pr, &e);
    atomic_fetch_add(&m->posts, 1);
}
static void *dma_reader(void *arg)
{
    struct mover *m = arg;
    uint8_t buf[0x3000];
    while (!atomic_load(&m->stop))
        gmem_read(m->vm, 0xe0000000 + (gpa_t)(rand() % 0x7000), buf, sizeof buf);
    return NULL;
}

static void test_views(void)
{
    struct err e = {0};
    static struct mover m;
    pthread_t r;
    m.vm = make();
    m.blk = (struct memblk){.host = aligned_alloc(4096, 0x4000), .size = 0x4000, .fd = -1};
    memset(m.blk.host, 0x5a, 0x4000);
    m.pr = (struct port_range){"p", 0x80, 1, &port_ops, NULL};
    memmap_begin(m.vm);
    for (int i = 0; i < 4; i++) {
        m.mr[i] = (struct memregion){
            .owner = "m", .base = 0xe0000000, .size = 0x2000, .prio = i, .enabled = true, .blk = &m.blk, .dev = &m};
        m.mr[i].kind = i == 0 ? MR_ROM : MR_MMIO;
        m.mr[i].ops = i == 1 ? &mm_unlocked : &mm_ops;
        memmap_add(m.vm, &m.mr[i]);
    }
    ok(!memmap_commit(m.vm, &e) && !port_claim(m.vm, &m.pr, &e), "mapped");
    for (unsigned k = 0; k < VCPUS; k++)
        fake(m.vm, k)->touch_mmio = true;
    vm_run(m.vm, &e);
    thread_start(&r, "dma", dma_reader, &m, &e);
    bool good = true;
    for (unsigned i = 0; i < 500 && good; i++) {
        chipset_post(m.vm, move, &m);
        for (unsigned k = 0; k < VCPUS; k++)
            vcpu_request(vm_vcpu(m.vm, k), VR_INTR);
        good = reaches(&m.posts, i + 1);
    }
    m.stop = true;
    pthread_join(r, NULL);
    struct vm_stats s;
    vm_get_stats(m.vm, &s);
    ok(good && s.commits > 300, "%llu commits under running vCPUs", (unsigned long long)s.commits);
    vm_destroy(m.vm);
    free(m.blk.host);
}

/* ---- chipset_drain, watched descriptors ---- */

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct job {
    struct vm *vm;
    int fd;
    _Atomic unsigned left, ready;
    unsigned unlocked;
};
static void job_done(void *arg) { atomic_fetch_sub(&((struct job *)arg)->left, 1); }
static bool job_idle(void *arg) { return atomic_load(&((struct job *)arg)->left) == 0; }
static void *worker(void *arg)
{
    struct job *j = arg;
    for (int i = 0; i < 100; i++) {
        if (i % 10 == 0)
            nap();
        chipset_post(j->vm, job_done, j);
    }
    return NULL;
}
static void fd_ready(void *arg, uint32_t events)
{
    struct job *j = arg;
    uint64_t n;
    if (read(j->fd, &n, sizeof n) == sizeof n)
        atomic_fetch_add(&j->ready, (unsigned)n);
}

static void test_loop(void)
{
    struct vm *vm = make();
    struct err e = {0};
    struct job j = {.vm = vm, .left = 100};
    pthread_t t;
    thread_start(&t, "worker", worker, &j, &e);
    chipset_drain(vm, job_idle, &j);
    pthread_join(t, NULL);
    ok(j.left == 0, "drained without a chipset thread");
    j.fd = eventfd(0, EFD_NONBLOCK);
    ok(!chipset_watch_fd(vm, j.fd, EPOLLIN, fd_ready, &j, &e), "watch");
    vm_run(vm, &e);
    j.left = 100;
    thread_start(&t, "worker", worker, &j, &e);
    chipset_drain(vm, job_idle, &j);
    pthread_join(t, NULL);
    ok(j.left == 0, "drained with one");
    uint64_t one = 1;
    ok(write(j.fd, &one, 8) == 8 && reaches(&j.ready, 1), "a descriptor is served");
    vm_pause(vm, &e);
    ok(write(j.fd, &one, 8) == 8, "write while paused");
    for (int i = 0; i < 20; i++)
        nap();
    ok(j.ready == 1, "not while the vm is paused");
    j.left = 1;
    chipset_post(vm, job_done, &j);
    for (int i = 0; i < 100000 && j.left; i++)
        nap();
    ok(j.left == 0, "but posted work goes on in pause");
    vm_run(vm, &e);
    ok(reaches(&j.ready, 2), "and served afterwards");
    chipset_lock(vm);
    chipset_unwatch_fd(vm, j.fd);
    chipset_unlock(vm);
    ok(write(j.fd, &one, 8) == 8, "write");
    for (int i = 0; i < 20; i++)
        nap();
    ok(j.ready == 2, "no longer watched");
    ok(chipset_watch_fd(vm, -1, EPOLLIN, fd_ready, &j, &e) == -1, "a bad descriptor: %s", e.msg);
    vm_destroy(vm);
    close(j.fd);
}

int main(void)
{
    test_load();
    test_init_sipi();
    test_life();
    test_views();
    test_loop();
    return TAP_DONE();
}
