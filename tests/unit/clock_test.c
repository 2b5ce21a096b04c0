/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Timers against a sorted model; the TSC's frequency; real timers on the chipset thread: precision, rate, idling,
 * pause. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "core/vm_private.h"
#include "tests/fakevm.h"
#include "tests/tap.h"

enum { N = 200 };
static struct {
    struct vtimer t;
    int64_t due;
    int id;
} tm[N];
static int64_t last_fired;
static unsigned fired, wrong;
static uint32_t seed = 99;
static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static void model_fire(void *dev)
{
    int i = *(int *)dev;
    int64_t now = clock_now(tm[i].t.vm);
    wrong += tm[i].due != now || now < last_fired || vtimer_armed(&tm[i].t);
    last_fired = now;
    tm[i].due = -1;
    fired++;
    if (rnd(4) == 0) { /* arm another one from inside */
        int j = (int)rnd(N);
        tm[j].due = now + rnd(500);
        vtimer_arm(&tm[j].t, tm[j].due);
    }
}

static void test_heap(void)
{
    struct vm *vm = fakevm_new(0, 1);
    unsigned lost = 0, ops = 0;
    for (int i = 0; i < N; i++) {
        tm[i].id = i;
        tm[i].due = -1;
        vtimer_init(&tm[i].t, vm, model_fire, &tm[i].id);
    }
    for (int round = 0; round < 4000; round++) {
        int i = (int)rnd(N);
        if (rnd(4) == 0) {
            vtimer_cancel(&tm[i].t);
            tm[i].due = -1;
        } else {
            tm[i].due = clock_now(vm) + rnd(1000);
            vtimer_arm(&tm[i].t, tm[i].due);
        }
        ops++;
        if (rnd(3) == 0)
            fakevm_advance(vm, rnd(100));
        for (int k = 0; k < N; k++)
            lost += tm[k].due != tm[k].t.due ||
                    (tm[k].due >= 0 && tm[k].due <= clock_now(vm) && round % 16 == 0 && tm[k].due < clock_now(vm));
    }
    fakevm_advance(vm, 10000);
    for (int k = 0; k < N; k++)
        lost += vtimer_armed(&tm[k].t);
    ok(!wrong && !lost, "%u timers in order over %u changes", fired, ops);
    fakevm_advance(vm, 1000);
    vtimer_arm(&tm[0].t, -5);
    is_u64((uint64_t)tm[0].t.due, 0, "a deadline before the beginning");
    vtimer_cancel(&tm[0].t);
    struct vtimer never = {0};
    vtimer_cancel(&never);
    ok(true, "a timer that was never made can be cancelled");
    is_u64(clock_tsc(vm), (uint64_t)clock_now(vm), "passive: the TSC counts ns");
    is_u64((uint64_t)clock_tsc_to_ns(vm, clock_tsc(vm) + 12345), (uint64_t)clock_now(vm) + 12345, "TSC to ns");
    is_u64((uint64_t)clock_tsc_to_ns(vm, 0), 0, "a TSC of the past");
    ok(clock_tsc_to_ns(vm, clock_tsc(vm) + INT64_MAX) > INT64_MAX / 2, "a TSC of a far future");
    ok(clock_wall(vm) - clock_now(vm) == 1700000000ll * 1000000000, "wall clock");
    fakevm_free(vm);
}

/* ---- with threads ---- */

static int be_reset_count;
static enum vcpu_exit be_run(struct vcpu *v)
{
    if (v->be) { /* hammer a port until asked */
        while (!(atomic_load(&v->requests)))
            bus_read(v, true, 0x80, 1);
        atomic_fetch_and(&v->requests, (uint32_t)(VR_PARK | VR_INIT | VR_SIPI));
        return VX_AGAIN;
    }
    atomic_fetch_and(&v->requests, (uint32_t)(VR_PARK | VR_INIT | VR_SIPI));
    return VX_HALT;
}
static void be_kick(struct vcpu *v) {}
static void be_reset(struct vcpu *v, bool init) { be_reset_count++; }
static bool clock_runs;
static int64_t clock_at;
static void be_clock(struct vm *vm, int64_t now, bool running)
{
    clock_runs = running;
    clock_at = now;
}
static const struct cpu_backend backend = {
    .name = "test", .run = be_run, .kick = be_kick, .reset = be_reset, .clock_changed = be_clock};

struct ticker {
    struct vtimer t;
    int64_t period, late_max, late_sum;
    _Atomic unsigned n;
    unsigned stop_at;
};
static void tick(void *dev)
{
    struct ticker *k = dev;
    int64_t late = clock_now(k->t.vm) - (k->t.due >= 0 ? k->t.due : 0);
    (void)late;
    atomic_fetch_add(&k->n, 1);
}
/* Periodic like a lapic timer: the next deadline counts from the last one, not from now. */
struct periodic {
    struct vtimer t;
    int64_t next, period, late_max;
    _Atomic unsigned n;
    int64_t late[4096];
};
static void periodic_fire(void *dev)
{
    struct periodic *p = dev;
    int64_t late = clock_now(p->t.vm) - p->next;
    unsigned n = atomic_load(&p->n);
    if (n < 4096)
        p->late[n] = late;
    if (late > p->late_max)
        p->late_max = late;
    p->next += p->period;
    vtimer_arm(&p->t, p->next);
    atomic_store(&p->n, n + 1);
}

/* All ticks that are due by now since begin come, within a minute on a busy machine, and none before its time; *n: how many there were. */
static bool none_lost(struct vm *vm, struct periodic *const *p, int count, int64_t begin, unsigned *n)
{
    int64_t end = clock_now(vm);
    bool good = false;
    for (int tries = 0; tries < 6000 && !good; tries++) {
        struct timespec ts = {0, tries ? 10000000 : 0};
        nanosleep(&ts, NULL);
        chipset_lock(vm);
        int64_t now = clock_now(vm);
        good = true;
        *n = 0;
        for (int i = 0; i < count; i++) {
            int64_t got = atomic_load(&p[i]->n);
            *n += (unsigned)got;
            good &= got + 1 >= (end - begin) / p[i]->period;
            if (got > (now - begin) / p[i]->period + 1) {
                chipset_unlock(vm);
                return false;
            }
        }
        chipset_unlock(vm);
    }
    return good;
}

static int by_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void sleep_ms(int ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&ts, NULL);
}

static struct clock_mark mark; /* for the next vm */
static struct vm *make(unsigned n)
{
    struct err e = {0};
    struct vm_params p = {.n_vcpus = n, .cpu = {.cores_per_socket = 1}, .mark = mark};
    struct vm *vm = vm_create(&p, &backend, NULL, NULL, &e);
    if (!vm)
        printf("# %s\n", e.msg);
    return vm;
}

/* Kilohertz of the TSC over half a second. */
static double tsc_rate(void)
{
    struct timespec ts;
    uint64_t best0 = UINT64_MAX, t0 = 0, best1 = UINT64_MAX, t1 = 0;
    int64_t n0 = 0, n1 = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = __rdtsc();
        clock_gettime(CLOCK_MONOTONIC, &ts);
        uint64_t y = __rdtsc();
        if (y - x < best0)
            best0 = y - x, t0 = x + (y - x) / 2, n0 = ts.tv_sec * 1000000000ll + ts.tv_nsec;
    }
    sleep_ms(500);
    for (int i = 0; i < 1000; i++) {
        uint64_t x = __rdtsc();
        clock_gettime(CLOCK_MONOTONIC, &ts);
        uint64_t y = __rdtsc();
        if (y - x < best1)
            best1 = y - x, t1 = x + (y - x) / 2, n1 = ts.tv_sec * 1000000000ll + ts.tv_nsec;
    }
    return (double)(t1 - t0) * 1e6 / (double)(n1 - n0);
}

static void test_tsc(void)
{
    double khz = 0, ppm = 99;
    uint64_t said = 0;
    struct vm *a;
    /* A base line 12 times as long as the one that was used. More than once where others hold the processor, or set the host's clock right. */
    for (int i = 0; i < 20 && !(ppm < 4 && ppm > -4); i++) {
        a = make(1);
        said = clock_tsc_khz(a);
        vm_destroy(a);
        khz = tsc_rate();
        ppm = ((double)said / khz - 1) * 1e6;
    }
    ok(ppm < 4 && ppm > -4, "TSC %llu kHz, %.2f ppm from a longer measurement", (unsigned long long)said, ppm);
    /* Marks that serve, and some that must not: from before a sleep of the host, from a TSC that has been set back, from the future. */
    struct clock_mark good = clock_mark(), bad[] = {good, good, good};
    bad[0].ns -= 3000000000;
    bad[1].tsc += UINT64_MAX / 4;
    bad[2].ns += 1000000000000;
    sleep_ms(400);
    for (int i = -1; i < 3; i++) {
        int64_t took = 0;
        for (int k = 0; k < 500; k++) { /* once more when others had the processor */
            int64_t start = clock_mark().ns;
            mark = i < 0 ? good : bad[i];
            a = make(1);
            took = clock_mark().ns - start;
            ppm = ((double)clock_tsc_khz(a) / khz - 1) * 1e6;
            vm_destroy(a);
            if (ppm < 4 && ppm > -4 && (took > 39000000) == (i >= 0))
                break;
            if (k % 50 == 49)
                khz = tsc_rate();
        }
        ok(ppm < 4 && ppm > -4 && (took > 39000000) == (i >= 0), "with mark %d it takes %lld us and is %.2f ppm off", i, (long long)took / 1000, ppm);
    }
    mark = (struct clock_mark){0};
}

static void test_run(void)
{
    struct vm *vm = make(1);
    struct err e = {0};
    uint64_t tsc0 = clock_tsc(vm);
    int64_t now0 = clock_now(vm);
    sleep_ms(5);
    ok(now0 == 0 && clock_now(vm) == 0 && clock_tsc(vm) == tsc0, "time stands before the first run");
    ok(!vm_run(vm, &e) && vm_get_state(vm) == VM_RUNNING && be_reset_count == 1 && clock_runs,
       "running, after one cold reset");
    sleep_ms(10);
    ok(clock_now(vm) >= 10000000, "time runs");
    int64_t back = 0;
    for (int i = 0; i < 1000 && !(back > 900000 && back <= 1000000); i++) /* something may come between the clocks */
        back = clock_tsc_to_ns(vm, clock_tsc(vm) + clock_tsc_khz(vm)) - clock_now(vm);
    ok(back > 900000 && back <= 1000000, "one ms ahead by TSC is %lld ns", (long long)back);
    static struct periodic four[4];
    chipset_lock(vm);
    for (int i = 0; i < 4; i++) {
        four[i].period = 1000000;
        four[i].next = clock_now(vm) + 1000000 + i * 250000;
        vtimer_init(&four[i].t, vm, periodic_fire, &four[i]);
        vtimer_arm(&four[i].t, four[i].next);
    }
    int64_t begin = clock_now(vm);
    chipset_unlock(vm);
    sleep_ms(500);
    struct periodic *all[] = {&four[0], &four[1], &four[2], &four[3]};
    unsigned n = 0;
    bool there = none_lost(vm, all, 4, begin, &n);
    ok(there, "four 1000 Hz timers: %u ticks, none lost and none too many", n);
    chipset_lock(vm);
    for (int i = 0; i < 4; i++)
        vtimer_cancel(&four[i].t);
    chipset_unlock(vm);
    unsigned m = atomic_load(&four[0].n);
    m = m < 4096 ? m : 4096;
    qsort(four[0].late, m, sizeof four[0].late[0], by_i64);
    printf("# lateness: median %lld ns, 90%% %lld ns, worst %lld ns\n", (long long)four[0].late[m / 2],
           (long long)four[0].late[m * 9 / 10], (long long)four[0].late_max);

    struct vm_stats s0 = {0}, s1 = {.wakeups = 1};
    for (int i = 0; i < 200 && (s1.wakeups != s0.wakeups || s1.runs != s0.runs); i++) { /* a busy machine may still have one to make */
        sleep_ms(20);
        vm_get_stats(vm, &s0);
        sleep_ms(100);
        vm_get_stats(vm, &s1);
    }
    ok(s1.wakeups == s0.wakeups && s1.runs == s0.runs, "idle: no wake-ups");

    static struct ticker k;
    vtimer_init(&k.t, vm, tick, &k);
    vtimer_arm(&k.t, clock_now(vm) + 30000000);
    ok(!vm_pause(vm, &e) && vm_get_state(vm) == VM_PAUSED && !clock_runs, "paused");
    int64_t at = clock_now(vm);
    uint64_t tsc = clock_tsc(vm);
    ok(at == clock_at, "the back end is told the time");
    sleep_ms(50);
    ok(clock_now(vm) == at && clock_tsc(vm) == tsc && k.n == 0, "time and timers stand in pause");
    int64_t from = clock_mark().ns;
    ok(!vm_run(vm, &e), "running again");
    int64_t since = clock_now(vm) - at;
    ok(since >= 0 && since <= clock_mark().ns - from, "and time goes on where it was");
    for (int i = 0; i < 60000 && !atomic_load(&k.n); i++)
        sleep_ms(1);
    ok(k.n == 1 && clock_now(vm) >= at, "the timer fires after the pause");
    vm_destroy(vm);
}

static _Atomic unsigned on_vcpu, elsewhere;
static void duty_fire(void *dev)
{
    atomic_fetch_add(vcpu_current() ? &on_vcpu : &elsewhere, 1);
    periodic_fire(dev);
    vcpu_request(vm_vcpu(((struct periodic *)dev)->t.vm, 0), VR_INTR);
}

/* A sleeping vCPU fires its own timers; those of others keep to the chipset thread. */
static bool duty(void)
{
    static struct periodic own[2], other;
    memset(own, 0, sizeof own);
    memset(&other, 0, sizeof other);
    on_vcpu = elsewhere = 0;
    struct periodic *all[] = {&own[0], &own[1], &other};
    struct err e = {0};
    struct vm *vm = make(2);
    vm_run(vm, &e);
    chipset_lock(vm);
    for (int i = 0; i < 3; i++) {
        struct periodic *p = all[i];
        p->period = i < 2 ? 1000000 : 3333333;
        p->next = clock_now(vm) + p->period + i * 300000;
        vtimer_init(&p->t, vm, i < 2 ? duty_fire : periodic_fire, p);
        p->t.on_vcpu = i < 2;
        vtimer_arm(&p->t, p->next);
    }
    int64_t begin = clock_now(vm);
    chipset_unlock(vm);
    for (int i = 0; i < 20; i++) { /* pauses and requests end the sleep early */
        sleep_ms(10);
        if (i % 5 == 4)
            ok(!vm_pause(vm, &e) && !vm_run(vm, &e), "pause %d", i / 5);
        else
            vcpu_request(vm_vcpu(vm, (unsigned)i & 1), VR_INTR);
    }
    unsigned n = 0;
    bool there = none_lost(vm, all, 3, begin, &n);
    ok(there, "no tick is lost (%u)", n);
    chipset_lock(vm);
    for (int i = 0; i < 3; i++) {
        printf("# timer %d: %u, at worst %lld us late\n", i, all[i]->n, (long long)all[i]->late_max / 1000);
        vtimer_cancel(&all[i]->t);
    }
    chipset_unlock(vm);
    printf("# %u on a vCPU, %u elsewhere\n", on_vcpu, elsewhere);
    vm_destroy(vm);
    return on_vcpu * 4 > elsewhere;
}

static void test_duty(void)
{
    bool many = false;
    for (int i = 0; i < 50 && !many; i++) /* on a busy host the chipset thread is often first */
        many = duty();
    ok(many, "many of them on the vCPUs' threads");
}

static struct own {
    struct periodic p; /* first */
    struct vcpu *v;
    bool once;
    _Atomic unsigned mine, others;
} own[2];
static void own_fire(void *dev)
{
    struct own *o = dev;
    atomic_fetch_add(vcpu_current() == o->v ? &o->mine : &o->others, 1);
    if (!o->once)
        periodic_fire(&o->p);
    vcpu_request(o->v, VR_INTR);
}

/* Two vCPUs that tick at the same time: each takes its own timer along when it sleeps, and nobody else wakes. Others may set and cancel it meanwhile. */
static void test_own(void)
{
    struct err e = {0};
    struct vm *vm = make(2);
    struct vm_stats s0, s1;
    vm_run(vm, &e);
    for (unsigned i = 0; i < 2; i++) {
        own[i].v = vm_vcpu(vm, i);
        vtimer_init(&own[i].p.t, vm, own_fire, &own[i]);
        vtimer_of_vcpu(&own[i].p.t, own[i].v);
        own[i].p.period = 4000000;
    }
    vm_get_stats(vm, &s0);
    chipset_lock(vm);
    for (unsigned i = 0; i < 2; i++) {
        own[i].p.next = clock_now(vm) + 4000000;
        vtimer_arm(&own[i].p.t, own[i].p.next);
        vcpu_request(own[i].v, VR_INTR);
    }
    chipset_unlock(vm);
    /* A hundred each; on a busy host others are often first, so that it goes on until these have more. */
    for (int i = 0; i < 600 && (i < 4 || own[0].mine < 90 || own[1].mine < 90 || own[0].mine <= own[0].others || own[1].mine <= own[1].others); i++)
        sleep_ms(100);
    vm_get_stats(vm, &s1);
    for (unsigned i = 0; i < 2; i++) {
        unsigned mine = own[i].mine, others = own[i].others;
        printf("# vCPU %u: %u ticks by itself, %u by others, at worst %lld us late\n", i, mine, others, (long long)own[i].p.late_max / 1000);
        ok(mine > others && mine + others >= 90, "vCPU %u ticks by itself", i);
    }
    printf("# the chipset thread woke %llu times\n", (unsigned long long)(s1.wakeups - s0.wakeups));
    unsigned lost = 0, late = 0;
    own[0].once = true;
    chipset_lock(vm);
    vtimer_cancel(&own[0].p.t);
    vtimer_cancel(&own[1].p.t);
    chipset_unlock(vm);
    for (int i = 0; i < 100; i++) {
        /* The vCPU sleeps with it until 20 ms from now, and then it is due earlier, later or never. */
        vtimer_arm(&own[0].p.t, clock_now(vm) + 20000000);
        vcpu_request(own[0].v, VR_INTR);
        if (i & 1)
            sleep_ms(1);
        unsigned before = own[0].mine + own[0].others;
        if (i % 3 == 2) {
            chipset_lock(vm);
            vtimer_cancel(&own[0].p.t);
            before = own[0].mine + own[0].others;
            chipset_unlock(vm);
            sleep_ms(i % 10 == 2 ? 25 : 0);
            late += own[0].mine + own[0].others != before || vtimer_armed(&own[0].p.t);
            continue;
        }
        vtimer_arm(&own[0].p.t, clock_now(vm) + (i % 3 ? 1000000 : 23000000));
        for (int k = 0; k < 60000 && own[0].mine + own[0].others == before; k++)
            sleep_ms(1);
        lost += own[0].mine + own[0].others == before;
    }
    ok(!lost && !late, "set by others while its vCPU sleeps: %u lost, %u after they were cancelled", lost, late);
    vm_destroy(vm);
}

/* The host's clocks, shifted. */
static _Atomic int64_t ns_shift, tsc_shift;
static int64_t shifted_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec + ns_shift;
}
static uint64_t shifted_tsc(void) { return __builtin_ia32_rdtsc() + (uint64_t)tsc_shift; }
static const struct host_clock shifted = {shifted_ns, shifted_tsc};

static _Atomic unsigned clock_wishes;
static void on_wish(void *u, enum vm_wish w) { clock_wishes += w == WISH_CLOCK; }

/* Waits until the vm asks for its clock to be set right, as main does. */
static bool set_right(struct vm *vm)
{
    struct err e = {0};
    unsigned before = clock_wishes;
    for (int i = 0; i < 60000 && clock_wishes == before; i++)
        sleep_ms(1);
    return clock_wishes == before + 1 && !vm_pause(vm, &e) && !vm_run(vm, &e);
}

/* The guest's time and TSC of one moment: nothing came between the readings. */
static void both_clocks(struct vm *vm, int64_t *now, uint64_t *tsc)
{
    int64_t after;
    do {
        *now = clock_now(vm);
        *tsc = clock_tsc(vm);
        after = clock_now(vm);
    } while (after - *now > 500000);
}

/* Milliseconds by which the TSC has gone further than time since then. */
static int64_t apart(struct vm *vm, int64_t now, uint64_t tsc, int64_t khz)
{
    int64_t now2;
    uint64_t tsc2;
    both_clocks(vm, &now2, &tsc2);
    return (int64_t)(tsc2 - tsc) / khz - (now2 - now) / 1000000;
}

static void test_jumps(void)
{
    static const struct vm_events ev = {.wish = on_wish};
    static struct periodic p;
    struct vm_params vp = {.n_vcpus = 1, .cpu = {.cores_per_socket = 1}};
    struct err e = {0};
    struct vm *vm = vm_create(&vp, &backend, &ev, NULL, &e);
    vm->clk.host = &shifted;
    vtimer_init(&p.t, vm, periodic_fire, &p);
    p.period = 2000000;
    vm_run(vm, &e);
    p.next = clock_now(vm) + p.period;
    vtimer_arm(&p.t, p.next);
    for (int i = 0; i < 60000 && p.n <= 5; i++)
        sleep_ms(1);
    int64_t khz = (int64_t)clock_tsc_khz(vm);
    ok(!clock_wishes && p.n > 5, "nothing to set right while the two clocks agree");
    int64_t now, ms;
    uint64_t tsc;
    both_clocks(vm, &now, &tsc);
    /* It jumped, and no time passed. */
    tsc_shift += 5000 * khz;
    ok(set_right(vm), "a jump of the TSC is noticed");
    ms = apart(vm, now, tsc, khz);
    ok(ms > -4 && ms < 4, "and taken back (%lld ms off)", (long long)ms);
    unsigned n = p.n;
    for (int i = 0; i < 60000 && p.n < n + 5; i++)
        sleep_ms(1);
    ok(p.n >= n + 5, "timers go on");
    /* The host slept an hour; its TSC began anew. */
    both_clocks(vm, &now, &tsc);
    chipset_lock(vm); /* no timer looks at one of them without the other */
    ns_shift = 3600 * 1000000000ll;
    tsc_shift = -(int64_t)__builtin_ia32_rdtsc();
    chipset_unlock(vm);
    ok(set_right(vm), "a sleep in which the TSC began anew is noticed");
    int64_t passed = clock_now(vm) - now;
    ok(passed >= 3600000000000 && passed < 3900000000000, "guest time includes the sleep");
    ms = apart(vm, now, tsc, khz);
    ok(ms > -2 && ms < 2, "and so does the guest's TSC (%lld ms off)", (long long)ms);
    /* The TSC counted on. */
    chipset_lock(vm);
    ns_shift += 600 * 1000000000ll;
    tsc_shift += 600 * 1000 * khz;
    chipset_unlock(vm);
    unsigned wishes = clock_wishes;
    sleep_ms(50);
    ms = apart(vm, now, tsc, khz);
    ok(clock_wishes == wishes && ms > -4 && ms < 4, "a sleep in which the TSC counted on needs nothing (%lld ms off)", (long long)ms);
    vm_destroy(vm);
}

static uint64_t slow_read(void *dev, uint64_t off, unsigned size)
{
    for (int i = 0; i < 20; i++)
        __builtin_ia32_pause();
    return 0;
}

/* vCPUs that do nothing but port reads must not keep the chipset thread from its timers. */
static void test_fair(void)
{
    static const struct io_ops ops = {.read = slow_read};
    static struct periodic p;
    struct err e = {0};
    struct vm *vm = make(4);
    for (unsigned i = 0; i < 4; i++)
        vm_vcpu(vm, i)->be = vm;
    ok(!port_claim(vm, &(struct port_range){.owner = "slow", .first = 0x80, .count = 1, .ops = &ops}, &e), "port");
    vtimer_init(&p.t, vm, periodic_fire, &p);
    p.period = 1000000;
    vm_run(vm, &e);
    p.next = clock_now(vm) + p.period;
    vtimer_arm(&p.t, p.next);
    sleep_ms(400);
    for (int i = 0; i < 6000 && p.n < 200; i++) /* half of them, or later on a busy machine */
        sleep_ms(10);
    unsigned n = atomic_load(&p.n);
    chipset_lock(vm);
    vtimer_cancel(&p.t);
    chipset_unlock(vm);
    qsort(p.late, n < 4096 ? n : 4096, sizeof p.late[0], by_i64);
    printf("# under load: %u ticks, median %lld ns late, worst %lld ns\n", n, n ? (long long)p.late[n / 2] : -1,
           (long long)p.late_max);
    ok(n >= 200, "timers fire while four vCPUs hammer a port");
    vm_destroy(vm);
}

int main(void)
{
    test_heap();
    test_tsc();
    test_run();
    test_duty();
    test_own();
    test_jumps();
    test_fair();
    return TAP_DONE();
}
