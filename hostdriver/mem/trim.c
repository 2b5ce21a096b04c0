/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory trimming.
 *
 * A scan goes through guest RAM in turns, chunk by chunk (2 MiB), so that a pass takes PASS_NS. In a chunk it asks the kernel which pages are in
 * memory and looks at those: a page of zeros can be given back, since what the guest finds there afterwards is a page of zeros again. It goes back
 * when two passes have found it so (under pressure, one): what a busy guest frees and uses again within seconds stays.
 *
 * Why no write is lost. Between the look at a page and its release the guest may write to it. So:
 *  1. The scan only collects candidates, while the guest runs.
 *  2. For each batch of them the guest stands still (vm_still_begin): no vCPU is in run(), and none enters it.
 *  3. Devices write guest memory through gmem_write, gmem_pin and what is built on them. Each chunk of the batch is claimed (memblk_claim): it
 *     fails while something is pinned there, and who wants to pin waits until the claim ends. A chunk that cannot be claimed is left out.
 *  4. Only then each candidate is compared with zero again, and released if it still is. Nothing can write to it from before the comparison until
 *     after the release; what writes later finds a new page of zeros.
 *  5. When main has parked the vCPUs (pause, reset, save, debugger), there is no batch: vm_still_begin says no, and main waits for one that is
 *     under way. So main may write to guest memory by itself then.
 * The batch is small (BATCH pages), so that the guest stands still for some hundred microseconds.
 *
 * Huge pages. A chunk that is all zeros goes back whole and stays one for huge pages: when the guest uses it again, it gets a huge page at once.
 * A chunk in which a quarter or more is zeros is taken apart: the rest stays as small pages, and the kernel is told not to make a huge page of it
 * again (khugepaged would fill the holes). When it is in use again almost completely, it may become a huge page again. With fewer zeros the huge
 * page is worth more than they are.
 *
 * Locked pages (MCL, reservation) are never given back: the kernel refuses it, and they are left out here.
 */
#define _GNU_SOURCE
#include "mem/trim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/bitmap.h"
#include "base/log.h"
#include "core/vm.h"

#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif

#define PAGE 4096ull
#define PAGES ((unsigned)(MEMBLK_CHUNK / PAGE))
#define SECOND 1000000000ll
enum { BATCH = 512, RANGES = 96, SPLIT_AT = 128, DENSE_AT = 24 };
/* A pass takes this long. Zeros that the guest has just made are found after half of it on average. */
#define PASS_NS (20 * SECOND)
#define TICK_NS (SECOND)      /* with nothing to give back */
#define BUSY_NS (SECOND / 25) /* between batches */
#define SCAN_MAX 131072u      /* pages looked at in one second at most */

struct range {
    uint64_t off;
    uint32_t n;
};

struct trim {
    struct trim_params p;
    uint64_t n_chunks, next, cold_next, out_next;
    int64_t scan_due, last; /* scan_due: when the next chunk's turn is */
    double tokens;          /* pages that may be given back now */
    unsigned long *small;   /* a bit a chunk: taken apart */
    unsigned long *seen;    /* a bit a page: zeros in the last pass */
    bool hurry;             /* under pressure */
    struct range range[RANGES];
    unsigned n_ranges, n_pages;
    bool refused;
    _Atomic uint64_t rate;
    _Atomic uint64_t scanned, freed, stops, passes, split, still_ns, still_max_ns, cpu_ns, cold;
};

static int64_t clock_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return ts.tv_sec * SECOND + ts.tv_nsec;
}

static void add(_Atomic uint64_t *c, uint64_t n) { atomic_fetch_add_explicit(c, n, memory_order_relaxed); }

struct trim *trim_new(const struct trim_params *p, struct err *e)
{
    struct trim *t = calloc(1, sizeof *t);
    if (t) {
        t->p = *p;
        t->n_chunks = (p->ram->size + MEMBLK_CHUNK - 1) / MEMBLK_CHUNK;
        t->next = t->cold_next = (p->first + MEMBLK_CHUNK - 1) / MEMBLK_CHUNK;
        t->small = calloc(bitmap_longs(t->n_chunks), sizeof(long));
        t->seen = calloc(bitmap_longs(t->n_chunks * PAGES), sizeof(long));
    }
    if (!t || !t->small || !t->seen) {
        trim_free(t);
        err_set(e, ERR_NOMEM, ENOMEM, "not enough memory for memory trimming");
        return NULL;
    }
    return t;
}

void trim_free(struct trim *t)
{
    if (t) {
        free(t->small);
        free(t->seen);
    }
    free(t);
}

void trim_set_rate(struct trim *t, uint64_t pages_per_second) { atomic_store(&t->rate, pages_per_second); }

static bool is_zero(const uint8_t *page)
{
    const uint64_t *p = (const uint64_t *)(const void *)page;
    for (unsigned i = 0; i < PAGE / 8; i += 16) {
        uint64_t x = 0;
        for (unsigned k = 0; k < 16; k++)
            x |= __atomic_load_n(&p[i + k], __ATOMIC_RELAXED);
        if (x)
            return false;
    }
    return true;
}

/* [off, off + n) is not in memory any more and reads as zeros. Of a file (mainMem.useNamedFile) the blocks stay the file's, or a full disk would be
 * the guest's death (SIGBUS) when it wants the pages again: so no hole is made. A file system that cannot do that keeps the pages. */
static bool drop(const struct trim *t, uint64_t off, uint64_t n)
{
    if (t->p.ram->fd < 0)
        return !madvise(t->p.ram->host + off, n, MADV_DONTNEED);
    return !fallocate(t->p.ram->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)n);
}

static bool release(struct trim *t, uint64_t off, uint64_t n)
{
    if (t->refused)
        return false;
    if (drop(t, off, n)) {
        memacct_trimmed(t->p.acct, off, n);
        return true;
    }
    log_msg(LOG_WARN, "memory", "Memory trimming ends: the host's kernel%s refuses to take memory back: %s",
            t->p.ram->fd < 0 ? "" : ", or the file system of the .vmem,", strerror(errno));
    t->refused = true;
    return false;
}

/* ---- a batch: invariants 2 to 4 ---- */

static uint64_t release_zeros(struct trim *t, const struct range *r)
{
    uint64_t freed = 0;
    uint32_t run = 0;
    for (uint32_t k = 0; k <= r->n; k++) {
        if (k < r->n && is_zero(t->p.ram->host + r->off + k * PAGE)) {
            run++;
        } else if (run) {
            if (release(t, r->off + (k - run) * PAGE, run * PAGE))
                freed += run;
            run = 0;
        }
    }
    return freed;
}

static void flush(struct trim *t)
{
    uint64_t freed = 0;
    if (!t->n_ranges)
        return;
    int64_t from = clock_ns(CLOCK_MONOTONIC);
    if (vm_still_begin(t->p.vm)) {
        for (unsigned i = 0; i < t->n_ranges;) {
            uint64_t chunk = t->range[i].off / MEMBLK_CHUNK;
            unsigned end = i;
            while (end < t->n_ranges && t->range[end].off / MEMBLK_CHUNK == chunk)
                end++;
            if (memblk_claim(t->p.ram, chunk)) {
                for (unsigned r = i; r < end; r++)
                    freed += release_zeros(t, &t->range[r]);
                memblk_unclaim(t->p.ram, chunk);
            }
            i = end;
        }
        vm_still_end(t->p.vm);
        uint64_t took = (uint64_t)(clock_ns(CLOCK_MONOTONIC) - from);
        add(&t->stops, 1);
        add(&t->still_ns, took);
        if (took > atomic_load(&t->still_max_ns))
            atomic_store(&t->still_max_ns, took);
    }
    add(&t->freed, freed);
    t->tokens -= (double)freed;
    t->n_ranges = t->n_pages = 0;
}

/* ---- the scan: invariant 1 ---- */

static void candidate(struct trim *t, uint64_t off)
{
    struct range *r = t->n_ranges ? &t->range[t->n_ranges - 1] : NULL;
    if (r && r->off + r->n * PAGE == off && off % MEMBLK_CHUNK) {
        r->n++;
    } else {
        if (t->n_ranges == RANGES)
            flush(t);
        t->range[t->n_ranges++] = (struct range){off, 1};
    }
    if (++t->n_pages == BATCH)
        flush(t);
}

/* Makes small pages of a huge one: the kernel does so when a part of it is named as cold. */
static void take_apart(struct trim *t, uint64_t k)
{
    uint8_t *host = t->p.ram->host + k * MEMBLK_CHUNK;
    if (madvise(host, MEMBLK_CHUNK, MADV_NOHUGEPAGE))
        return; /* too many pieces of address space: then it stays whole */
    madvise(host, PAGE, MADV_COLD);
    bitmap_set_atomic(t->small, k);
    add(&t->split, 1);
}

/* Looks at one chunk. Returns the pages it has read. */
static unsigned scan(struct trim *t, uint64_t k)
{
    uint8_t what[PAGES];
    bool zero[PAGES];
    unsigned own = 0, zeros = 0;
    int n = memacct_look(t->p.acct, k, what);
    for (int i = 0; i < n; i++) {
        uint64_t page = k * PAGES + (unsigned)i;
        bool now = what[i] == PG_OWN && is_zero(t->p.ram->host + page * PAGE);
        zero[i] = now && (t->hurry || bitmap_test(t->seen, page));
        if (now)
            bitmap_set(t->seen, page);
        else
            bitmap_clear(t->seen, page);
        own += what[i] == PG_OWN;
        zeros += zero[i];
    }
    bool small = bitmap_test(t->small, k);
    if (small && own >= PAGES - DENSE_AT && zeros < DENSE_AT) { /* in use again: the kernel may make a huge page of it */
        madvise(t->p.ram->host + k * MEMBLK_CHUNK, MEMBLK_CHUNK, MADV_HUGEPAGE);
        __atomic_fetch_and(&t->small[k / BITMAP_LONG_BITS], ~bitmap_mask(k), __ATOMIC_SEQ_CST);
        return own;
    }
    if (!zeros)
        return own;
    if (t->p.huge && !small && own == PAGES && zeros < PAGES) {
        if (zeros < SPLIT_AT)
            return own;
        take_apart(t, k);
    } else if (t->p.huge && !small && zeros < own) {
        /* Not one huge page now; it must not become one that fills the holes. */
        if (zeros >= SPLIT_AT || own < PAGES / 2)
            take_apart(t, k);
    }
    for (int i = 0; i < n; i++)
        if (zero[i])
            candidate(t, k * MEMBLK_CHUNK + (uint64_t)i * PAGE);
    return own;
}

/* Pages that nobody uses from now on are the first to go to swap; those in use are found by the kernel in time. */
static void name_cold(struct trim *t, uint64_t pages)
{
    uint64_t first = (t->p.first + MEMBLK_CHUNK - 1) / MEMBLK_CHUNK, n = (pages + PAGES - 1) / PAGES;
    for (; n && first < t->n_chunks; n--) {
        uint64_t off = t->cold_next * MEMBLK_CHUNK, len = t->p.ram->size - off < MEMBLK_CHUNK ? t->p.ram->size - off : MEMBLK_CHUNK;
        madvise(t->p.ram->host + off, len, MADV_COLD);
        add(&t->cold, len / PAGE);
        t->cold_next = t->cold_next + 1 < t->n_chunks ? t->cold_next + 1 : first;
    }
}

int64_t trim_step(struct trim *t, int64_t now, bool pressure)
{
    uint64_t rate = atomic_load(&t->rate), first = (t->p.first + MEMBLK_CHUNK - 1) / MEMBLK_CHUNK;
    int64_t passed = t->last && now - t->last < 2 * SECOND ? now - t->last : TICK_NS;
    t->last = now;
    if (!rate || t->refused || first >= t->n_chunks || vm_get_state(t->p.vm) != VM_RUNNING) {
        t->scan_due = now;
        return TICK_NS;
    }
    int64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID), each = PASS_NS / (int64_t)(t->n_chunks - first);
    t->tokens += (double)rate * (double)passed / SECOND;
    if (t->tokens > (double)rate)
        t->tokens = (double)rate;
    if (now - t->scan_due > PASS_NS)
        t->scan_due = now - TICK_NS;
    t->hurry = pressure;
    uint64_t looked = 0, asked = 0, most = (uint64_t)((double)SCAN_MAX * (double)passed / SECOND) + PAGES;
    while (t->scan_due <= now && t->tokens >= 1 && looked + asked < most) {
        looked += scan(t, t->next);
        asked += 8; /* what it costs to ask about a chunk */
        t->scan_due += each;
        if (++t->next == t->n_chunks) {
            t->next = first;
            add(&t->passes, 1);
        }
    }
    flush(t);
    add(&t->scanned, looked);
    if (pressure)
        name_cold(t, (uint64_t)((double)rate * (double)passed / SECOND));
    add(&t->cpu_ns, (uint64_t)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu));
    return t->scan_due <= now ? BUSY_NS : TICK_NS;
}

uint64_t trim_page_out(struct trim *t, uint64_t n)
{
    uint64_t done = 0, first = (t->p.first + MEMBLK_CHUNK - 1) / MEMBLK_CHUNK;
    if (t->out_next < first)
        t->out_next = first;
    for (; done < n && t->out_next < t->n_chunks; t->out_next++) {
        uint64_t off = t->out_next * MEMBLK_CHUNK, len = t->p.ram->size - off < MEMBLK_CHUNK ? t->p.ram->size - off : MEMBLK_CHUNK;
        madvise(t->p.ram->host + off, len, MADV_PAGEOUT);
        done += len / PAGE;
    }
    if (!done)
        t->out_next = 0;
    add(&t->cold, done);
    return done;
}

void trim_discard(struct trim *t, uint64_t off, uint64_t n)
{
    for (uint64_t end = off + n; off < end;) {
        uint64_t part = MEMBLK_CHUNK - off % MEMBLK_CHUNK, k = off / MEMBLK_CHUNK;
        part = part < end - off ? part : end - off;
        if (part < MEMBLK_CHUNK && t->p.huge && !bitmap_test(t->small, k))
            take_apart(t, k);
        if (off >= t->p.first)
            (void)drop(t, off, part);
        off += part;
    }
}

void trim_get_stats(struct trim *t, struct trim_stats *s)
{
    *s = (struct trim_stats){.scanned = atomic_load(&t->scanned), .freed = atomic_load(&t->freed), .stops = atomic_load(&t->stops),
                             .passes = atomic_load(&t->passes), .split = atomic_load(&t->split), .still_ns = atomic_load(&t->still_ns),
                             .still_max_ns = atomic_load(&t->still_max_ns), .cpu_ns = atomic_load(&t->cpu_ns), .cold = atomic_load(&t->cold)};
}
