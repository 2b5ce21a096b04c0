/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of a user's machines that are on: a file in the folder of the control sockets, mapped by each of them, one slot a machine. Who has a
 * slot holds a lock on its bytes, which ends with the process, so a machine that was killed leaves nothing behind. Slots are taken under a lock on
 * the whole file's first byte range (LIST_LOCK); the numbers in them are only ever written by their owner, and believed by nobody further than for
 * sharing out a shortage.
 */
#define _GNU_SOURCE
#include "hostmem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 128, STALE_S = 15, VERSION = 1 };
#define LIST_LOCK (1 << 20)

struct slot {
    _Atomic uint32_t pid, shares;
    _Atomic uint64_t mb, reserved_mb, resident_mb;
    _Atomic int64_t beat; /* CLOCK_MONOTONIC, seconds */
    char name[80];
};
struct list {
    uint32_t version, pad[31];
    struct slot slot[SLOTS];
};

struct hostmem {
    int fd;
    struct list *list;
    unsigned mine;
};

static int64_t now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec;
}

/* ---- the list ---- */

static int lock(int fd, int cmd, short type, off_t at, off_t n)
{
    struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = n};
    int rc;
    while ((rc = fcntl(fd, cmd, &fl)) < 0 && errno == EINTR)
        ;
    return rc < 0 ? -1 : cmd == F_OFD_GETLK ? fl.l_type != F_UNLCK : 0;
}

static struct hostmem *open_list(const char *dir)
{
    char path[4096];
    struct stat st;
    struct hostmem *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    mkdir(dir, 0700);
    snprintf(path, sizeof path, "%s/memory", dir);
    h->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (h->fd < 0 || fstat(h->fd, &st) || st.st_uid != getuid() || !S_ISREG(st.st_mode) || lock(h->fd, F_OFD_SETLKW, F_WRLCK, LIST_LOCK, 1))
        goto fail;
    if (st.st_size < (off_t)sizeof *h->list && ftruncate(h->fd, sizeof *h->list))
        goto fail;
    h->list = mmap(NULL, sizeof *h->list, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, 0);
    if (h->list == MAP_FAILED)
        goto fail;
    return h;
fail:
    if (h->fd >= 0)
        close(h->fd);
    free(h);
    return NULL;
}

static void close_list(struct hostmem *h)
{
    munmap(h->list, sizeof *h->list);
    close(h->fd);
    free(h);
}

static off_t slot_at(unsigned i) { return (off_t)(offsetof(struct list, slot) + i * sizeof(struct slot)); }

static bool taken(struct hostmem *h, unsigned i) { return lock(h->fd, F_OFD_GETLK, F_WRLCK, slot_at(i), sizeof(struct slot)) == 1; }

static uint64_t must_fit(uint64_t mb, uint64_t reserved, unsigned pct)
{
    uint64_t part = mb * pct / 100;
    return reserved > mb ? mb : reserved > part ? reserved : part;
}

int hostmem_join(struct hostmem **out, const char *dir, const struct hostmem_vm *vm, const struct hostmem_policy *p, char *warn, size_t n,
                 struct err *e)
{
    uint64_t need = must_fit(vm->mb, vm->reserved_mb, p->pct), others = 0, others_mb = 0;
    char names[200] = "";
    struct hostmem *h = open_list(dir);
    unsigned slot = SLOTS, more = 0;
    *out = NULL;
    *warn = 0;
    for (unsigned i = 0; h && i < SLOTS; i++) {
        struct slot *s = &h->list->slot[i];
        if (!taken(h, i)) {
            slot = slot < SLOTS ? slot : i;
            continue;
        }
        char name[sizeof s->name];
        memcpy(name, s->name, sizeof name);
        name[sizeof name - 1] = 0;
        others += must_fit(s->mb, s->reserved_mb, p->pct);
        others_mb += s->mb;
        size_t l = strlen(names);
        if (l < 80)
            snprintf(names + l, sizeof names - l, "%s%s %llu MB", l ? ", " : "", name, (unsigned long long)s->mb);
        else
            more++;
    }
    if (more)
        snprintf(names + strlen(names), sizeof names - strlen(names), " and %u more", more);
    if (others + need > p->limit_mb) {
        err_set(e, ERR_NOMEM, 0,
                "There is not enough memory: %llu of this machine's %llu MB must fit, and %llu of the %llu MB that all machines may use together "
                "are taken (%s). Power a machine off, lower memsize, or change prefvmx.allVMMemoryLimit or prefvmx.minVmMemPct (docs/memory.md)",
                (unsigned long long)need, (unsigned long long)vm->mb, (unsigned long long)(others < p->limit_mb ? others : p->limit_mb),
                (unsigned long long)p->limit_mb, *names ? names : "no other machine is on");
        if (h)
            close_list(h);
        return -1;
    }
    if (others_mb + vm->mb > p->limit_mb)
        snprintf(warn, n, "All machines that are on have %llu MB together, of %llu MB that they may use: when they all need it, the host will be slow (%s)",
                 (unsigned long long)(others_mb + vm->mb), (unsigned long long)p->limit_mb, *names ? names : "no other machine is on");
    if (!h)
        return 0;
    if (slot == SLOTS || lock(h->fd, F_OFD_SETLK, F_WRLCK, slot_at(slot), sizeof(struct slot))) {
        close_list(h);
        return 0;
    }
    struct slot *s = &h->list->slot[slot];
    h->list->version = VERSION;
    s->pid = (uint32_t)getpid();
    s->shares = vm->shares;
    s->mb = vm->mb;
    s->reserved_mb = vm->reserved_mb;
    s->resident_mb = vm->mb;
    s->beat = now_s();
    snprintf(s->name, sizeof s->name, "%s", vm->name);
    h->mine = slot;
    lock(h->fd, F_OFD_SETLK, F_UNLCK, LIST_LOCK, 1);
    *out = h;
    return 0;
}

void hostmem_leave(struct hostmem *h)
{
    if (!h)
        return;
    h->list->slot[h->mine].beat = 0;
    lock(h->fd, F_OFD_SETLK, F_UNLCK, slot_at(h->mine), sizeof(struct slot));
    close_list(h);
}

double hostmem_beat(struct hostmem *h, uint64_t resident_mb)
{
    double mine = 0, all = 0;
    int64_t now = now_s();
    if (!h)
        return 1;
    struct slot *me = &h->list->slot[h->mine];
    me->resident_mb = resident_mb;
    me->beat = now;
    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot *s = &h->list->slot[i];
        if (now - s->beat > STALE_S || s->beat > now)
            continue;
        uint64_t mb = s->resident_mb, keeps = s->reserved_mb, shares = s->shares;
        double w = mb > keeps ? (double)(mb - keeps) * (double)s->mb / (double)(shares ? shares : 1) : 0;
        all += w;
        if (s == me)
            mine = w;
    }
    return all > 0 ? mine / all : 1;
}
