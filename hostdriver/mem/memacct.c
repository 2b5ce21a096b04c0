/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accounting of guest RAM by /proc/self/pagemap: eight bytes a page say whether it is in memory, in swap or nowhere. mincore() does not tell a page
 * of the guest's own from the kernel's page of zeros, and smaps adds up whole mappings only.
 *
 * Everything is kept for each chunk of 2 MiB, so that a look at one chunk changes the sums by a difference, and a large guest is counted in turns.
 * How many pages KSM has merged is known for the process as a whole only (ksm_merging_pages, Linux 5.19).
 */
#define _GNU_SOURCE
#include "mem/memacct.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bitmap.h"

#define PAGE 4096ull
#define PAGES (MEMBLK_CHUNK / PAGE)
/* Documentation/admin-guide/mm/pagemap.rst. EXCLUSIVE is clear on the page of zeros, and where several mappings have the page. */
#define PM_PRESENT (1ull << 63)
#define PM_SWAP (1ull << 62)
#define PM_EXCLUSIVE (1ull << 56)
enum { REFRESH_NS = 400000000 };

struct chunk {
    uint16_t own, shared, swapped;
    int64_t looked; /* CLOCK_MONOTONIC */
};

struct memacct {
    struct memblk *ram;
    uint64_t n_pages, n_chunks;
    int pagemap, ksm_merging, ksm_shared, ksm_sharing;
    pthread_mutex_t lock; /* all below */
    struct chunk *chunk;
    unsigned long *touched, *trimmed, *ballooned; /* a bit a page */
    uint64_t own, shared, swapped, n_touched, n_trimmed, n_both; /* n_both: pages given back that the balloon has */
    _Atomic uint64_t n_ballooned;
    _Atomic bool sharing;
    uint64_t next; /* chunk that memacct_refresh looks at next */
};

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

struct memacct *memacct_new(struct memblk *ram, struct err *e)
{
    struct memacct *a = calloc(1, sizeof *a);
    if (!a)
        goto none;
    a->ram = ram;
    a->n_pages = ram->size / PAGE;
    a->n_chunks = (a->n_pages + PAGES - 1) / PAGES;
    a->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    a->ksm_merging = open("/proc/self/ksm_merging_pages", O_RDONLY | O_CLOEXEC);
    a->ksm_shared = open("/sys/kernel/mm/ksm/pages_shared", O_RDONLY | O_CLOEXEC);
    a->ksm_sharing = open("/sys/kernel/mm/ksm/pages_sharing", O_RDONLY | O_CLOEXEC);
    pthread_mutex_init(&a->lock, NULL);
    a->chunk = calloc(a->n_chunks, sizeof *a->chunk);
    a->touched = calloc(bitmap_longs(a->n_pages), sizeof(long));
    a->trimmed = calloc(bitmap_longs(a->n_pages), sizeof(long));
    a->ballooned = calloc(bitmap_longs(a->n_pages), sizeof(long));
    if (!a->chunk || !a->touched || !a->trimmed || !a->ballooned)
        goto none;
    return a;
none:
    memacct_free(a);
    err_set(e, ERR_NOMEM, ENOMEM, "not enough memory for the accounting of the guest's memory");
    return NULL;
}

static void shut(int fd)
{
    if (fd >= 0)
        close(fd);
}

void memacct_free(struct memacct *a)
{
    if (!a)
        return;
    shut(a->pagemap);
    shut(a->ksm_merging);
    shut(a->ksm_shared);
    shut(a->ksm_sharing);
    free(a->chunk);
    free(a->touched);
    free(a->trimmed);
    free(a->ballooned);
    free(a);
}

static uint64_t number_in(int fd)
{
    char buf[32];
    ssize_t n = fd >= 0 ? pread(fd, buf, sizeof buf - 1, 0) : -1;
    if (n <= 0)
        return 0;
    buf[n] = 0;
    return strtoull(buf, NULL, 10);
}

static void set_touched(struct memacct *a, uint64_t p)
{
    if (bitmap_test(a->touched, p))
        return;
    bitmap_set(a->touched, p);
    a->n_touched++;
}

static void set_trimmed(struct memacct *a, uint64_t p, bool on)
{
    if (bitmap_test(a->trimmed, p) == on)
        return;
    if (on)
        bitmap_set(a->trimmed, p);
    else
        bitmap_clear(a->trimmed, p);
    a->n_trimmed += on ? 1ull : -1ull;
    if (bitmap_test(a->ballooned, p))
        a->n_both += on ? 1ull : -1ull;
}

int memacct_look(struct memacct *a, uint64_t k, uint8_t *page)
{
    uint64_t entry[PAGES], first = k * PAGES, n = a->n_pages - first < PAGES ? a->n_pages - first : PAGES;
    ssize_t want = (ssize_t)(n * sizeof entry[0]);
    if (k >= a->n_chunks || a->pagemap < 0 ||
        pread(a->pagemap, entry, (size_t)want, (off_t)(((uintptr_t)a->ram->host / PAGE + first) * sizeof entry[0])) != want)
        return -1;
    pthread_mutex_lock(&a->lock);
    struct chunk *c = &a->chunk[k];
    a->own -= c->own;
    a->shared -= c->shared;
    a->swapped -= c->swapped;
    c->own = c->shared = c->swapped = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint8_t what = entry[i] & PM_PRESENT ? (entry[i] & PM_EXCLUSIVE ? PG_OWN : PG_SHARED) : entry[i] & PM_SWAP ? PG_SWAPPED : PG_NONE;
        page[i] = what;
        if (what == PG_NONE)
            continue;
        if (what == PG_OWN)
            c->own++;
        else if (what == PG_SHARED)
            c->shared++;
        else
            c->swapped++;
        set_touched(a, first + i);
        if (what != PG_SHARED) /* reading a page that was given back costs nothing: it stays so */
            set_trimmed(a, first + i, false);
    }
    a->own += c->own;
    a->shared += c->shared;
    a->swapped += c->swapped;
    c->looked = now_ns();
    pthread_mutex_unlock(&a->lock);
    return (int)n;
}

void memacct_refresh(struct memacct *a, unsigned max)
{
    uint8_t page[PAGES];
    int64_t now = now_ns();
    for (uint64_t i = 0; i < a->n_chunks && max; i++) {
        pthread_mutex_lock(&a->lock);
        uint64_t k = a->next;
        a->next = (k + 1) % a->n_chunks;
        bool due = now - a->chunk[k].looked > REFRESH_NS;
        pthread_mutex_unlock(&a->lock);
        if (!due)
            continue;
        if (memacct_look(a, k, page) < 0)
            return;
        max--;
    }
}

void memacct_get(struct memacct *a, struct memacct_sums *out)
{
    uint64_t merged = number_in(a->ksm_merging), one = number_in(a->ksm_shared), more = number_in(a->ksm_sharing);
    pthread_mutex_lock(&a->lock);
    uint64_t shared = !atomic_load(&a->sharing) ? 0 : merged < a->shared ? merged : a->shared; /* the rest is the page of zeros */
    uint64_t balloon = atomic_load(&a->n_ballooned);
    *out = (struct memacct_sums){
        .configured = a->ram->size,
        .touched = a->n_touched * PAGE,
        .resident = (a->own + shared) * PAGE,
        .swapped = a->swapped * PAGE,
        .shared = shared * PAGE,
        .trimmed = (a->n_trimmed - a->n_both) * PAGE,
        .ballooned = balloon * PAGE,
    };
    uint64_t back = a->n_trimmed * PAGE;
    pthread_mutex_unlock(&a->lock);
    /* Of `one + more` mappings of merged pages on this host, `more` cost nothing: this process' part of that. */
    uint64_t by_sharing = one + more ? (uint64_t)((double)out->shared * (double)more / (double)(one + more)) : 0;
    out->saved = back + by_sharing;
}

/* ---- what the others tell ---- */

void memacct_trimmed(struct memacct *a, uint64_t off, uint64_t n)
{
    pthread_mutex_lock(&a->lock);
    for (uint64_t p = off / PAGE; p < (off + n) / PAGE && p < a->n_pages; p++) {
        set_touched(a, p);
        set_trimmed(a, p, true);
    }
    pthread_mutex_unlock(&a->lock);
}

bool memacct_balloon(struct memacct *a, uint64_t off, bool take)
{
    uint64_t p = off / PAGE;
    pthread_mutex_lock(&a->lock);
    bool had = bitmap_test(a->ballooned, p);
    if (had != take) {
        bool back = bitmap_test(a->trimmed, p);
        if (take)
            bitmap_set(a->ballooned, p);
        else
            bitmap_clear(a->ballooned, p);
        atomic_fetch_add(&a->n_ballooned, take ? 1ull : -1ull);
        if (back)
            a->n_both += take ? 1ull : -1ull;
        if (take && bitmap_test(a->touched, p)) /* its memory goes back to the host */
            set_trimmed(a, p, true);
    }
    pthread_mutex_unlock(&a->lock);
    return had != take;
}

bool memacct_is_ballooned(const struct memacct *a, uint64_t off) { return bitmap_test(a->ballooned, off / PAGE); }

void memacct_balloon_reset(struct memacct *a)
{
    pthread_mutex_lock(&a->lock);
    memset(a->ballooned, 0, bitmap_longs(a->n_pages) * sizeof(long));
    atomic_store(&a->n_ballooned, 0);
    a->n_both = 0;
    pthread_mutex_unlock(&a->lock);
}

void memacct_set_sharing(struct memacct *a, bool on) { atomic_store(&a->sharing, on); }

uint64_t memacct_ballooned(const struct memacct *a) { return atomic_load(&a->n_ballooned); }
