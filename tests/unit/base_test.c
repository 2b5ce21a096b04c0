/* SPDX-License-Identifier: GPL-2.0-or-later */
/* base: errors, log, bitmaps, memory from the host, lock ranks. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/osmem.h"
#include "base/thread.h"
#include "tests/tap.h"

static void test_err(void)
{
    struct err e = {0};
    ok(err_set(&e, ERR_FORMAT, 5, "bad %s", "header") == -1 && e.kind == ERR_FORMAT && e.sys_errno == 5 &&
           !strcmp(e.msg, "bad header"),
       "err_set");
    ok(err_prefix(&e, "Opening %s: ", "a.vmdk") == -1 && !strcmp(e.msg, "Opening a.vmdk: bad header") &&
           e.kind == ERR_FORMAT,
       "err_prefix");
    ok(err_set(NULL, ERR_IO, 0, "x") == -1 && err_prefix(NULL, "x") == -1, "NULL is allowed");
    err_set(&e, e.kind, 0, "again: %s", e.msg);
    ok(!strcmp(e.msg, "again: Opening a.vmdk: bad header"), "the old message may be an argument");
    char longer[1000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    err_prefix(&e, "%s", longer);
    ok(strlen(e.msg) == sizeof e.msg - 1 && strstr(e.msg, "header") && strstr(e.msg, "xxx ... xxx"), "a long message is cut, in the middle");
    for (int i = 0; i < 996; i += 3)
        memcpy(longer + i, "\u20ac", 3);
    longer[996] = 0;
    bool whole = true;
    for (int i = 0; i < 3; i++) {
        err_set(&e, ERR_IO, 0, "%.*s%s: no", i, "abc", longer);
        for (const char *c = e.msg + i; *c && !strchr(" :no.", *c) && whole; c += 3)
            whole = !memcmp(c, "\u20ac", 3);
        whole = whole && strlen(e.msg) > 390 && !strcmp(strchr(e.msg, 0) - 4, ": no");
    }
    ok(whole, "... not in a character");
}

static unsigned lines;
static char last[600];
static void sink(void *u, enum log_level level, const char *module, const char *line)
{
    lines++;
    snprintf(last, sizeof last, "%d %s %s", level, module, line);
}

static void test_log(void)
{
    log_set_sink(sink, NULL, LOG_INFO);
    log_msg(LOG_DEBUG, "m", "hidden");
    ok(lines == 0 && !log_enabled(LOG_DEBUG) && log_enabled(LOG_INFO), "levels above the limit are dropped");
    log_msg(LOG_INFO, "m", "a%cb\033[2J", '\n');
    ok(lines == 1 && !strcmp(last, "2 m a?b?[2J"), "control characters are made harmless");
    lines = 0;
    for (int i = 0; i < 1000; i++)
        guest_error("m", "line %d", i);
    ok(lines >= 10 && lines <= 20, "guest errors are limited: %u of 1000", lines);
    log_set_sink(NULL, NULL, LOG_WARN);
}

static void test_bitmap(void)
{
    unsigned long m[4] = {0}, out[4] = {0};
    bitmap_set_range_atomic(m, 60, 10);
    ok(bitmap_next(m, 256, 0) == 60 && bitmap_next(m, 256, 65) == 65 && bitmap_next(m, 256, 70) == 256,
       "ranges and search");
    ok(bitmap_next(m, 62, 61) == 61 && bitmap_next(m, 61, 61) == 61, "search stops at the end");
    bitmap_fetch_clear(m, out, 256);
    ok(bitmap_next(m, 256, 0) == 256 && bitmap_next(out, 256, 0) == 60, "fetch and clear");
    bitmap_clear(out, 60);
    ok(!bitmap_test(out, 60) && bitmap_test(out, 61), "clear");
    uint8_t b[8];
    st_be32(b, 0x11223344);
    ok(b[0] == 0x11 && ld_le32(b) == 0x44332211 && ld_be16(b + 1) == 0x2233, "byte order");
}

static void test_osmem(void)
{
    struct err e = {0};
    void *rw, *rx;
    if (ok(!osmem_dual_map(10000, &rw, &rx, &e), "code memory is mapped twice: %s", e.msg)) {
        static const uint8_t code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov eax, 42; ret */
        memcpy((char *)rw + 8192, code, sizeof code);
        int (*fn)(void);
        void *at = (char *)rx + 8192;
        memcpy(&fn, &at, sizeof fn);
        ok(fn() == 42, "what is written at one address runs at the other");
        ok(mprotect(rx, 4096, PROT_READ | PROT_EXEC) == 0, "page rounding");
        osmem_dual_unmap(rw, rx, 10000);
    }
    char *p = osmem_reserve(1ull << 36, &e);
    ok(p && !osmem_commit(p + (1ull << 35), 8192, &e), "64 GiB of address space");
    p[(1ull << 35) + 8191] = 1;
    osmem_decommit(p + (1ull << 35), 8192);
    ok(!osmem_commit(p + (1ull << 35), 8192, &e) && p[(1ull << 35) + 8191] == 0, "pages that were given back are zero");
    osmem_free(p, 1ull << 36);
    ok(!osmem_alloc((size_t)-1, &e) && e.kind == ERR_NOMEM, "impossible sizes are refused");
    ok(!osmem_alloc(0, &e), "so is nothing");
    int fd = osmem_memfd("test", 5000, &e);
    ok(fd >= 0 && ftruncate(fd, 4096) < 0, "nobody can shrink a memfd of ours");
    char *a = osmem_map_fd(fd, 5000, &e), *b = osmem_map_fd(fd, 5000, &e);
    a[4999] = 7;
    ok(b[4999] == 7, "two mappings, one memory");
    osmem_free(a, 5000);
    osmem_free(b, 5000);
    close(fd);
}

static void *thread_fn(void *arg)
{
    sigset_t s;
    pthread_sigmask(SIG_BLOCK, NULL, &s);
    *(bool *)arg = sigismember(&s, SIGTERM) && sigismember(&s, SIGUSR1) && !sigismember(&s, SIGSEGV);
    return NULL;
}

/* Does fn die by an assertion? */
static bool dies(void (*fn)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        close(STDERR_FILENO);
        fn();
        _exit(0);
    }
    int st;
    waitpid(pid, &st, 0);
    return WIFSIGNALED(st) && WTERMSIG(st) == SIGABRT;
}

static void wrong_order(void)
{
    struct lock a, b;
    lock_init(&a, RANK_CHIPSET);
    lock_init(&b, RANK_BLK);
    lock_take(&b);
    lock_take(&a);
}
static void same_rank(void)
{
    struct lock a, b;
    lock_init(&a, RANK_BLK);
    lock_init(&b, RANK_BLK);
    lock_take(&b);
    lock_take(&a);
}
static void not_held(void)
{
    struct lock a;
    lock_init(&a, RANK_BLK);
    pthread_mutex_lock(&a.m);
    lock_drop(&a);
}
static void right_order(void)
{
    struct lock a, b, c;
    lock_init(&a, RANK_CHIPSET);
    lock_init(&b, RANK_BLK);
    lock_init(&c, RANK_TIMER);
    lock_take(&a);
    lock_take(&b);
    lock_take(&c);
    lock_drop(&b); /* not the last one taken: allowed */
    lock_drop(&c);
    lock_take(&b);
    lock_drop(&b);
    lock_drop(&a);
}

int main(void)
{
    struct err e = {0};
    test_err();
    test_log();
    test_bitmap();
    test_osmem();
    bool good = false;
    pthread_t t;
    ok(!thread_start(&t, "a name that is longer than 15", thread_fn, &good, &e) && !pthread_join(t, NULL) && good,
       "threads block signals");
    ok(!dies(right_order), "locks in rising rank");
#ifdef LODGE_DEBUG
    ok(dies(wrong_order), "falling rank is caught");
    ok(dies(same_rank), "equal rank is caught");
    ok(dies(not_held), "dropping a lock that is not held is caught");
    struct lock l;
    lock_init(&l, RANK_BLK);
    ok(!lock_held(&l) && lock_none_held(), "not held");
    lock_take(&l);
    ok(lock_held(&l) && !lock_none_held(), "held");
    lock_drop(&l);
    lock_fini(&l);
#else
    (void)wrong_order, (void)same_rank, (void)not_held;
    skip("lock ranks are checked in --enable-debug builds only");
#endif
    return TAP_DONE();
}
