/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What several processors may and may not see of each other: x86-TSO litmus tests, code that one thread changes and another runs, translations
 * that one takes away from another, locked operations across lines and pages. Run it in a guest with several vCPUs and natively; every line says
 * "ok", or "WRONG" and what was seen (Intel SDM vol. 3, 8.1 to 8.2; AMD APM vol. 2, 7.1 to 7.3).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static unsigned n_threads = 2;
static double seconds = 0.5;
static unsigned wrong;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
static void result(const char *name, bool good, const char *fmt, uint64_t a, uint64_t b)
{
    printf("%s %s ", good ? "ok" : "WRONG", name);
    printf(fmt, (unsigned long long)a, (unsigned long long)b);
    printf("\n");
    fflush(stdout);
    wrong += !good;
}

static void *map(size_t n, int prot)
{
    void *p = mmap(NULL, n, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        exit(2);
    memset(p, 0, n);
    return p;
}

static void together(void *(*fn)(void *), unsigned n)
{
    pthread_t t[64];
    for (uintptr_t i = 0; i < n; i++)
        if (pthread_create(&t[i], NULL, fn, (void *)i))
            exit(2);
    for (unsigned i = 0; i < n; i++)
        pthread_join(t[i], NULL);
}

/* Threads meet; spinning, with PAUSE, so that the outcome is interesting. */
static struct {
    _Atomic unsigned in, round;
} gate;
static void meet(unsigned n)
{
    unsigned r = atomic_load(&gate.round);
    if (atomic_fetch_add(&gate.in, 1) == n - 1) {
        atomic_store(&gate.in, 0);
        atomic_fetch_add(&gate.round, 1);
    } else {
        while (atomic_load(&gate.round) == r)
            __builtin_ia32_pause();
    }
}

/* ---- litmus ---- */

#define ROUNDS 20000
static volatile uint32_t *lx, *ly; /* two variables, in places that the caller chooses */
static uint32_t seen[4][ROUNDS];
static _Atomic bool stop;
static volatile uint32_t limit;
static double rounds_end;

static uint32_t ld(volatile uint32_t *p)
{
    uint32_t v;
    __asm__ volatile("mov %1, %0" : "=r"(v) : "m"(*p) : "memory");
    return v;
}
static void st(volatile uint32_t *p, uint32_t v) { __asm__ volatile("mov %1, %0" : "=m"(*p) : "r"(v) : "memory"); }

/* Rounds in which all threads meet: many, but on a busy host, where the vCPUs run by turns, a meeting takes as long as they wait for a processor. */
static void begin_rounds(void)
{
    limit = (uint32_t)(ROUNDS * (seconds < 1 ? seconds : 1));
    rounds_end = now() + 10 * seconds;
}
/* By the first thread before it comes to meeting i: nobody else is beyond that. */
static void perhaps_last(uint32_t i)
{
    if (now() > rounds_end)
        limit = i + 1;
}

/* Message passing: stores are seen in order, loads are done in order. One writer, one reader, no gate. */
static void *mp(void *who)
{
    uint32_t bad = 0;
    if (!who) {
        for (uint32_t i = 1; !atomic_load_explicit(&stop, memory_order_relaxed); i++) {
            st(lx, i);
            st(ly, i);
        }
        return NULL;
    }
    double end = now() + seconds;
    uint32_t n = 0;
    do {
        for (unsigned k = 0; k < 1000; k++, n++) {
            uint32_t y = ld(ly), x = ld(lx);
            bad += (int32_t)(x - y) < 0;
        }
    } while (now() < end);
    atomic_store(&stop, true);
    seen[0][0] = bad;
    seen[1][0] = n;
    return NULL;
}

/* Store buffering with MFENCE or a locked operation between: not both may miss the other's store. */
static unsigned sb_kind;
static void *sb(void *who)
{
    volatile uint32_t *mine = who ? ly : lx, *other = who ? lx : ly;
    for (uint32_t i = 0; i < limit; i++) {
        if (!who)
            perhaps_last(i);
        meet(2);
        st(mine, i + 1);
        if (sb_kind == 0)
            __asm__ volatile("mfence" ::: "memory");
        else {
            uint32_t z = 0;
            __asm__ volatile("lock addl $0, %0" : "+m"(z)::"memory", "cc");
        }
        seen[who != NULL][i] = ld(other);
    }
    return NULL;
}

/* Independent reads of independent writes: all processors see stores of others in one order. */
static void *iriw(void *arg)
{
    uintptr_t who = (uintptr_t)arg;
    for (uint32_t i = 0; i < limit; i++) {
        if (!who)
            perhaps_last(i);
        meet(4);
        if (who == 0)
            st(lx, i + 1);
        else if (who == 1)
            st(ly, i + 1);
        else if (who == 2) {
            uint32_t x = ld(lx), y = ld(ly);
            seen[0][i] = x == i + 1 && y != i + 1;
        } else {
            uint32_t y = ld(ly), x = ld(lx);
            seen[1][i] = y == i + 1 && x != i + 1;
        }
    }
    return NULL;
}

static void litmus(const char *place, volatile uint32_t *x, volatile uint32_t *y)
{
    char name[64];
    lx = x;
    ly = y;
    stop = false;
    st(x, 0);
    st(y, 0);
    together(mp, 2);
    snprintf(name, sizeof name, "message-passing %s", place);
    result(name, seen[0][0] == 0, "%llu of %llu reads out of order", seen[0][0], seen[1][0]);
    for (sb_kind = 0; sb_kind < 2; sb_kind++) {
        st(x, 0);
        st(y, 0);
        begin_rounds();
        together(sb, 2);
        uint32_t bad = 0;
        for (uint32_t i = 0; i < limit; i++)
            bad += seen[0][i] < i + 1 && seen[1][i] < i + 1;
        snprintf(name, sizeof name, "store-buffering-%s %s", sb_kind ? "lock" : "mfence", place);
        result(name, bad == 0, "%llu of %llu rounds", bad, limit);
    }
    if (n_threads >= 4) {
        st(x, 0);
        st(y, 0);
        begin_rounds();
        together(iriw, 4);
        uint32_t bad = 0;
        for (uint32_t i = 0; i < limit; i++)
            bad += seen[0][i] && seen[1][i];
        snprintf(name, sizeof name, "independent-reads %s", place);
        result(name, bad == 0, "%llu of %llu rounds", bad, limit);
    }
}

/* ---- locked operations ---- */

static uint8_t *area;
static size_t lock_at;
static unsigned lock_op;
static unsigned adds = 20000;

static void *adder(void *unused)
{
    (void)unused;
    uint32_t *p = (uint32_t *)(void *)(area + lock_at), one;
    for (unsigned i = 0; i < adds; i++) {
        switch (lock_op) {
        case 0: __asm__ volatile("lock addl $1, %0" : "+m"(*p)::"cc"); break;
        case 1: __asm__ volatile("lock incl %0" : "+m"(*p)::"cc"); break;
        case 2:
            one = 1;
            __asm__ volatile("lock xaddl %1, %0" : "+m"(*p), "+r"(one)::"cc");
            break;
        default: {
            uint32_t old, next;
            uint8_t done;
            do {
                old = *(volatile uint32_t *)p;
                next = old + 1;
                __asm__ volatile("lock cmpxchgl %3, %0; sete %1" : "+m"(*p), "=q"(done), "+a"(old) : "r"(next) : "cc", "memory");
            } while (!done);
            break;
        }
        }
    }
    return NULL;
}

/* One more thread writes the bytes beside the counter: they must survive, and so must the counter. */
static void *neighbour(void *who)
{
    if (who)
        return adder(NULL);
    volatile uint8_t *p = area + lock_at + 4;
    for (unsigned i = 0; i < adds; i++) {
        *p = (uint8_t)i;
        if (*p != (uint8_t)i)
            seen[0][0]++;
    }
    return NULL;
}

static void locked(const char *name, size_t at)
{
    static const char *ops[] = {"add", "inc", "xadd", "cmpxchg"};
    char full[64];
    lock_at = at;
    for (lock_op = 0; lock_op < 4; lock_op++) {
        memset(area + at, 0, 8);
        together(adder, n_threads);
        uint32_t v;
        memcpy(&v, area + at, 4);
        snprintf(full, sizeof full, "lock-%s %s", ops[lock_op], name);
        result(full, v == n_threads * adds, "%llu in place of %llu", v, n_threads * adds);
    }
    lock_op = 0;
    memset(area + at, 0, 8);
    seen[0][0] = 0;
    together(neighbour, 3);
    uint32_t v;
    memcpy(&v, area + at, 4);
    snprintf(full, sizeof full, "neighbour %s", name);
    result(full, v == 2 * adds && !seen[0][0], "%llu, %llu bytes lost", v, seen[0][0]);
}

/* CMPXCHG16B, CMPXCHG8B: both halves change together. */
static struct {
    uintptr_t a, b;
} __attribute__((aligned(16))) pair;
static void *pair_loop(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < adds; i++) {
        uintptr_t a = 0, b = 0;
        uint8_t done;
        do {
            uintptr_t na = a + 1, nb = b - 1;
#ifdef __x86_64__
            __asm__ volatile("lock cmpxchg16b %0; sete %1" : "+m"(pair), "=q"(done), "+a"(a), "+d"(b) : "b"(na), "c"(nb) : "cc", "memory");
#else
            __asm__ volatile("lock cmpxchg8b %0; sete %1" : "+m"(pair), "=m"(done), "+a"(a), "+d"(b) : "b"(na), "c"(nb) : "cc", "memory");
#endif
            if (a + b != 0)
                seen[0][0]++;
        } while (!done);
    }
    return NULL;
}

/* ---- code ---- */

typedef uint32_t (*code_fn)(void);
static void put_code(uint8_t *p, uint32_t v) /* mov eax, v; ret */
{
    p[0] = 0xb8;
    memcpy(p + 1, &v, 4);
    p[5] = 0xc3;
}

static uint8_t *code;
static _Atomic uint32_t published;

/* Cross-modifying: the writer changes the code, then says so; the reader serializes, then runs it (SDM vol. 3, 8.1.3). */
static void *cross(void *arg)
{
    if (!arg) {
        uint32_t v = 0;
        while (!atomic_load(&stop)) {
            v++;
            *(volatile uint32_t *)(void *)(code + 1 + 3) = v; /* the immediate, aligned to 4 bytes: code is at 4n - 4 + 3 */
            atomic_store(&published, v);
            for (volatile unsigned k = 0; k < v % 64; k++)
                ;
        }
        return NULL;
    }
    uint32_t bad = 0, n = 0;
    double end = now() + seconds;
    code_fn f = (code_fn)(uintptr_t)(code + 3);
    do {
        for (unsigned k = 0; k < 200; k++, n++) {
            uint32_t want = atomic_load(&published), a = 0, b, c = 0, d;
            __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d)::"memory");
            uint32_t got = f();
            bad += (int32_t)(got - want) < 0;
        }
    } while (now() < end);
    atomic_store(&stop, true);
    __atomic_fetch_add(&seen[0][0], bad, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&seen[1][0], n, __ATOMIC_SEQ_CST);
    return NULL;
}

/* Self-modifying: every thread has a slot in the same page (and data beside it) and runs what it has just written. */
static void *jit(void *arg)
{
    uintptr_t who = (uintptr_t)arg;
    uint8_t *slot = code + 128 * who;
    volatile uint32_t *data = (volatile uint32_t *)(void *)(code + 2048 + 64 * who);
    uint32_t bad = 0, n = 0;
    double end = now() + seconds;
    do {
        for (unsigned k = 0; k < 200; k++, n++) {
            put_code(slot, n ^ (uint32_t)who << 24);
            bad += ((code_fn)(uintptr_t)slot)() != (n ^ (uint32_t)who << 24);
            *data = n;
            bad += *data != n;
        }
    } while (now() < end);
    __atomic_fetch_add(&seen[0][0], bad, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&seen[1][0], n, __ATOMIC_SEQ_CST);
    return NULL;
}

/* A page that held code becomes data: how long do writes take, compared with a page that never held any? */
static double write_time(volatile uint32_t *p, unsigned n)
{
    double best = 1e9;
    for (unsigned r = 0; r < 5; r++) {
        double t = now();
        for (unsigned i = 0; i < n; i++)
            p[i & 1023] = i;
        t = now() - t;
        best = t < best ? t : best;
    }
    return best;
}
static void *run_slots(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 4096; i += 64)
        ((code_fn)(uintptr_t)(code + i))();
    return NULL;
}

/* ---- translations ---- */

static volatile uint32_t *page;
static _Atomic uint32_t state, acks;
static __thread sigjmp_buf out;
static __thread volatile bool expecting;
static void on_segv(int sig)
{
    (void)sig;
    if (!expecting)
        _exit(3);
    siglongjmp(out, 1);
}
static bool faults(void)
{
    expecting = true;
    bool f = true;
    if (!sigsetjmp(out, 1)) {
        (void)*page;
        f = false;
    }
    expecting = false;
    return f;
}
static void ack(uint32_t s) /* s: the state that is acknowledged; the next one may be there before we look again */
{
    atomic_fetch_add(&acks, 1);
    while (atomic_load(&state) == s && !atomic_load(&stop))
        __builtin_ia32_pause();
}
/* Round and round: readable (state 4n), no access (4n + 1), another page (4n + 2), read only (4n + 3). */
static void *shoot(void *arg)
{
    unsigned others = n_threads - 1;
    if (!arg) {
        double end = now() + seconds;
        uint32_t s = 0, n = 0;
        while (now() < end) {
            *page = s;
            atomic_store(&acks, 0);
            atomic_store(&state, s += 1);
            while (atomic_load(&acks) < others) /* they use the page for reading and writing */
                __builtin_ia32_pause();
            mprotect((void *)(uintptr_t)page, 4096, PROT_NONE);
            atomic_store(&acks, 0);
            atomic_store(&state, s += 1);
            while (atomic_load(&acks) < others)
                __builtin_ia32_pause();
            mmap((void *)(uintptr_t)page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            *page = ~s;
            atomic_store(&acks, 0);
            atomic_store(&state, s += 1);
            while (atomic_load(&acks) < others)
                __builtin_ia32_pause();
            s += 1;
            n++;
        }
        atomic_store(&stop, true);
        seen[1][0] = n;
        return NULL;
    }
    uint32_t bad = 0, last = 0;
    while (!atomic_load(&stop)) {
        uint32_t s = atomic_load(&state);
        if (s == last)
            continue;
        last = s;
        switch (s & 3) {
        case 1:
            if (*page != s - 1)
                bad++;
            break;
        case 2: bad += !faults(); break;
        case 3: bad += *page != ~(s - 1); break;
        }
        ack(s);
    }
    __atomic_fetch_add(&seen[0][0], bad, __ATOMIC_SEQ_CST);
    return NULL;
}

/* ---- locks ---- */

static _Atomic uint32_t ticket, serving;
static volatile uint64_t guarded;
static void *ticket_lock(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 400; i++) {
        uint32_t t = atomic_fetch_add(&ticket, 1);
        while (atomic_load(&serving) != t)
            __builtin_ia32_pause();
        guarded = guarded + 1;
        atomic_store(&serving, t + 1);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        n_threads = (unsigned)atoi(argv[1]);
    if (argc > 2)
        seconds = atof(argv[2]);
    if (n_threads < 2 || n_threads > 16)
        n_threads = 2;
    struct sigaction sa = {.sa_handler = on_segv, .sa_flags = SA_NODEFER};
    sigaction(SIGSEGV, &sa, NULL);
    code = map(8192, PROT_READ | PROT_WRITE | PROT_EXEC);
    area = map(16384, PROT_READ | PROT_WRITE);

    uint32_t *a = (uint32_t *)(void *)area;
    litmus("one line", a, a + 1);
    litmus("two lines", a, a + 64);
    litmus("two pages", a, a + 1100);
    put_code(code, 1); /* writes to this page take the slow path while it holds code */
    ((code_fn)(uintptr_t)code)();
    litmus("beside code", (uint32_t *)(void *)(code + 1024), (uint32_t *)(void *)(code + 3072));
    litmus("code and data", (uint32_t *)(void *)(code + 1024), a);

    locked("aligned", 64);
    locked("across lines", 4096 + 62);
    adds = 50; /* slow: a processor stops the others */
    locked("across pages", 8190);
    /* Pages that are not side by side in physical memory: every second one was given out before the others. */
    uint8_t *keep = area;
    area = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        return 2;
    madvise(area, 64 * 4096, MADV_NOHUGEPAGE);
    for (unsigned odd = 0; odd < 2; odd++)
        for (unsigned i = odd; i < 64; i += 2)
            area[i * 4096] = 1;
    locked("across scattered pages", 7 * 4096 - 1);
    locked("across scattered pages", 32 * 4096 - 3);
    area = keep;
    adds = 20000;
    pair.a = 0;
    pair.b = 0;
    seen[0][0] = 0;
    together(pair_loop, n_threads);
    result("cmpxchg-double", pair.a == n_threads * adds && pair.a + pair.b == 0 && !seen[0][0], "%llu, %llu halves apart", pair.a, seen[0][0]);

    memset(seen, 0, sizeof seen);
    stop = false;
    put_code(code + 3, 0);
    together(cross, 2);
    result("cross-modifying", seen[0][0] == 0, "%llu of %llu calls ran old code", seen[0][0], seen[1][0]);
    memset(seen, 0, sizeof seen);
    stop = false;
    published = 0;
    put_code(code + 3, 0);
    together(cross, n_threads);
    result("cross-modifying-all", seen[0][0] == 0, "%llu of %llu calls ran old code", seen[0][0], seen[1][0]);
    memset(seen, 0, sizeof seen);
    together(jit, n_threads);
    result("jit", seen[0][0] == 0, "%llu of %llu were wrong", seen[0][0], seen[1][0]);

    /* Speed is reported, the caller judges. */
    for (unsigned i = 0; i < 4096; i += 64)
        put_code(code + i, i);
    together(run_slots, n_threads);
    double held = write_time((uint32_t *)(void *)code, 200000), never = write_time((uint32_t *)(void *)(area + 4096), 200000);
    printf("time page that held code %.0f us, page that never did %.0f us, ratio %.2f\n", held * 1e6, never * 1e6, held / never);

    memset(seen, 0, sizeof seen);
    stop = false;
    page = map(4096, PROT_READ | PROT_WRITE);
    together(shoot, n_threads);
    result("shootdown", seen[0][0] == 0, "%llu accesses by a translation that was gone, %llu rounds", seen[0][0], seen[1][0]);

    double t = now();
    together(ticket_lock, n_threads);
    result("ticket-lock", guarded == 400u * n_threads, "%llu in place of %llu", guarded, 400u * n_threads);
    printf("time ticket lock %.0f ms\n", (now() - t) * 1e3);
    printf("SMPTEST %s\n", wrong ? "failed" : "passed");
    return wrong != 0;
}
