/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest RAM: private anonymous memory, so that the host's kernel can use huge pages, merge and trim it. A guard area on
 * each side turns a wild access of ours into a fault instead of a silent corruption. Video memory is a memfd that the
 * window maps.
 */
#define _GNU_SOURCE
#include "mem/guestmem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mem/room.h"

#define GUARD (2ull << 20) /* also the alignment: one huge page */
#define PAGE 4096ull

static uint64_t read_number(const char *path)
{
    char buf[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, buf, sizeof buf - 1);
    close(fd);
    if (n <= 0)
        return 0;
    buf[n] = 0;
    char *end;
    uint64_t v = strtoull(buf, &end, 10);
    return end == buf ? 0 : v; /* "max" gives 0 */
}

static struct room_left look(void)
{
    struct room_left l = {.ram = UINT64_MAX};
    struct room *r = room_open();
    if (r)
        room_left(r, &l);
    room_close(r);
    return l;
}

uint64_t guestmem_available(void)
{
    uint64_t ram = look().ram;
    return ram == UINT64_MAX ? 0 : ram;
}

static int no_memory(struct err *e, uint64_t size, int en)
{
    struct rlimit rl;
    if (getrlimit(RLIMIT_AS, &rl) == 0 && rl.rlim_cur != RLIM_INFINITY)
        return err_set(e, ERR_NOMEM, en,
                       "The guest's %llu MiB of memory do not fit: this process may use only %llu MiB of address space "
                       "(ulimit -v); raise that "
                       "limit or lower memsize",
                       (unsigned long long)(size >> 20), (unsigned long long)(rl.rlim_cur >> 20));
    return err_set(
        e, ERR_NOMEM, en,
        "The host's kernel refuses %llu MiB of memory for the guest (%s); lower memsize or close other programs",
        (unsigned long long)(size >> 20), strerror(en));
}

/* A file of that size with all its blocks: a guest must not find the disk full in the middle of an access. */
static int make_file(const char *path, uint64_t size, struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set(e, ERR_IO, errno, "The file %s for the guest's memory (mainMem.useNamedFile) cannot be made: %s", path, strerror(errno));
    int en = posix_fallocate(fd, 0, (off_t)size);
    if (en) {
        close(fd);
        unlink(path);
        return err_set(e, ERR_IO, en, "The file %s for the guest's memory (mainMem.useNamedFile) needs %llu MiB: %s", path,
                       (unsigned long long)(size >> 20), strerror(en));
    }
    return fd;
}

int guestmem_alloc(struct memblk *out, const struct guestmem_params *p, struct err *e)
{
    memset(out, 0, sizeof *out);
    out->fd = -1;
    if (p->size == 0 || p->size % PAGE || p->size > (1ull << 46))
        return err_set(e, ERR_CONFIG, 0,
                       "A guest memory of %llu bytes is not possible; memsize must be a multiple of 4 MB",
                       (unsigned long long)p->size);
    struct room_left l = {.ram = UINT64_MAX};
    if (!p->no_check)
        l = look();
    if (l.ram != UINT64_MAX) {
        /* Swap counts as well, but a guest that lives in swap is of no use: half of what is free there is let in. */
        uint64_t need = p->need ? p->need : p->size;
        if (need > l.ram + l.swap / 2)
            return err_set(e, ERR_NOMEM, 0,
                           "The guest needs %llu MiB of memory but the host has only %llu MiB to give; lower memsize "
                           "or close other programs",
                           (unsigned long long)(need >> 20), (unsigned long long)(l.ram >> 20));
    }
    int fd = p->file ? make_file(p->file, p->size, e) : -1;
    if (p->file && fd < 0)
        return -1;
    uint64_t span = p->size + 3 * GUARD;
    uint8_t *area = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED) {
        int en = errno;
        if (fd >= 0)
            close(fd);
        return no_memory(e, p->size, en);
    }
    uint8_t *ram = (uint8_t *)(((uintptr_t)area + GUARD + GUARD - 1) & ~(uintptr_t)(GUARD - 1));
    if (mmap(ram, p->size, PROT_READ | PROT_WRITE,
             (fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS) | MAP_FIXED | (p->populate ? MAP_POPULATE : 0), fd, 0) == MAP_FAILED) {
        int en = errno;
        munmap(area, span);
        if (fd >= 0)
            close(fd);
        return no_memory(e, p->size, en);
    }
    /* Exactly one guard on each side stays, so that guestmem_free can find the area again. */
    uint8_t *lo = ram - GUARD, *hi = ram + p->size + GUARD;
    hi = (uint8_t *)(((uintptr_t)hi + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    if (lo > area)
        munmap(area, (size_t)(lo - area));
    if (area + span > hi)
        munmap(hi, (size_t)(area + span - hi));
    /* Advice only: a kernel without the feature refuses it, and the guest runs all the same. */
    madvise(ram, p->size, p->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    if (p->mergeable && fd < 0 && !p->pin)
        madvise(ram, p->size, MADV_MERGEABLE);
    madvise(ram, p->size, MADV_DONTDUMP);
    out->host = ram;
    out->size = p->size;
    out->fd = fd;
    if (p->pin && mlock(ram, p->size)) {
        int en = errno;
        struct rlimit rl = {0};
        getrlimit(RLIMIT_MEMLOCK, &rl);
        guestmem_free(out);
        return err_set(e, ERR_NOMEM, en,
                       "The guest's %llu MiB cannot be locked in memory (sched.mem.pin): %s. This user may lock %llu MiB (ulimit -l, "
                       "/etc/security/limits.conf: memlock); raise that, or set sched.mem.pin = \"FALSE\"",
                       (unsigned long long)(p->size >> 20), strerror(en), (unsigned long long)(rl.rlim_cur >> 20));
    }
    if (!(out->pins = calloc((p->size + MEMBLK_CHUNK - 1) / MEMBLK_CHUNK, sizeof *out->pins))) {
        guestmem_free(out);
        return no_memory(e, p->size, ENOMEM);
    }
    return 0;
}

int guestmem_share(struct memblk *b, bool on, struct err *e)
{
    if (b->fd >= 0)
        return on ? err_set(e, ERR_UNSUPPORTED, 0, "The guest's memory is a file (mainMem.useNamedFile): the host's kernel cannot share its pages") : 0;
    if (!madvise(b->host, b->size, on ? MADV_MERGEABLE : MADV_UNMERGEABLE) || (!on && errno == EINVAL))
        return 0;
    if (errno == EINVAL)
        return err_set(e, ERR_UNSUPPORTED, EINVAL, "The host's kernel cannot share equal pages (it is built without CONFIG_KSM)");
    return err_set(e, ERR_NOMEM, errno, on ? "The host's kernel refuses to share the guest's pages: %s"
                                           : "The guest's pages cannot all be taken apart: %s", strerror(errno));
}

bool guestmem_sharing_works(char *text, size_t n)
{
    int fd = open("/sys/kernel/mm/ksm/run", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        snprintf(text, n, "Page sharing is on for this machine, but the host's kernel cannot do it (it is built without CONFIG_KSM)");
        return false;
    }
    close(fd);
    uint64_t run = read_number("/sys/kernel/mm/ksm/run");
    if (run != 1)
        snprintf(text, n, "Page sharing is on for this machine, but the host's kernel does not look for equal pages now (/sys/kernel/mm/ksm/run is "
                 "%llu). An administrator can start it: echo 1 | sudo tee /sys/kernel/mm/ksm/run", (unsigned long long)run);
    return run == 1;
}

int guestmem_alloc_shared(struct memblk *out, const char *name, uint64_t size, struct err *e)
{
    memset(out, 0, sizeof *out);
    out->fd = -1;
    if (size == 0 || size % PAGE || size > (1ull << 40))
        return err_set(e, ERR_CONFIG, 0, "A shared memory (%s) of %llu bytes is not possible", name,
                       (unsigned long long)size);
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_set(e, ERR_HOST, errno, "Shared memory (%s) cannot be made: %s", name, strerror(errno));
    if (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        int en = errno;
        close(fd);
        return err_set(e, ERR_NOMEM, en, "Shared memory (%s) of %llu KiB cannot be made: %s", name,
                       (unsigned long long)(size >> 10), strerror(en));
    }
    uint64_t span = size + 2 * GUARD;
    uint8_t *area = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED ||
        mmap(area + GUARD, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
        int en = errno;
        if (area != MAP_FAILED)
            munmap(area, span);
        close(fd);
        return no_memory(e, size, en);
    }
    out->host = area + GUARD;
    out->size = size;
    out->fd = fd;
    return 0;
}

void guestmem_free(struct memblk *b)
{
    if (!b->host)
        return;
    munmap(b->host - GUARD, b->size + 2 * GUARD);
    if (b->fd >= 0)
        close(b->fd);
    free(b->pins);
    b->pins = NULL;
    b->host = NULL;
    b->size = 0;
    b->fd = -1;
}
