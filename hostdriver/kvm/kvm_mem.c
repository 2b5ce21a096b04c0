/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory for KVM: one memory slot for each range of RAM or ROM in the flat views; everything else exits.
 *
 *  1. Slots are never merged: a PAM segment that changes must not make KVM drop and rebuild the slot of all RAM.
 *  2. KVM can change a slot's log flag in place, but not its size, place or kind: that is delete and add, and between
 * the two the guest would find no memory. So no vCPU is in the guest meanwhile (the gate). The gate waits for KVM_RUN
 * to come back and for nothing else: a vCPU that is out of the guest, wherever it waits, does not hold it up. That is
 * why it may be closed with the chipset lock held, inside a vCPU's own bus access.
 *  3. Dirty pages of a slot that is deleted go into its block's bitmap.
 *  4. Late writes: KVM collects writes to ranges marked IOF_LATE in a ring. They are carried out before any exit is
 * handled, so that a device sees everything in the guest's order, and when the screen is drawn.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "base/log.h"
#include "kvm/kvm_private.h"

static void futex(_Atomic uint32_t *w, int op, uint32_t val, const struct timespec *ts)
{
    syscall(SYS_futex, w, op | FUTEX_PRIVATE_FLAG, val, ts, NULL, 0);
}

/* ---- the gate ---- */

void vt_enter(struct vt_cpu *c)
{
    for (;;) {
        atomic_store(&c->in_guest, true);
        if (!atomic_load(&c->m->gate))
            return;
        atomic_store(&c->in_guest, false);
        futex(&c->m->gate, FUTEX_WAIT, 1, NULL);
    }
}

static void gate_close(struct vt_vm *m)
{
    atomic_store(&m->gate, 1);
    atomic_fetch_add_explicit(&m->st_gates, 1, memory_order_relaxed);
    for (unsigned i = 0; i < m->n; i++) {
        struct vt_cpu *c = m->cpu[i];
        for (unsigned k = 0; c && atomic_load(&c->in_guest); k++) {
            if (k % 64 == 0)
                vt_kick(c->v);
            sched_yield();
        }
    }
}

static void gate_open(struct vt_vm *m)
{
    atomic_store(&m->gate, 0);
    futex(&m->gate, FUTEX_WAKE, INT32_MAX, NULL);
}

/* ---- slots ---- */

static int put_slot(struct vt_vm *m, unsigned space, unsigned i, const struct vt_slot *s)
{
    struct kvm_userspace_memory_region r = {
        .slot = space << 16 | i,
        .flags = s->flags,
        .guest_phys_addr = s->gpa,
        .memory_size = s->size,
        .userspace_addr = (uintptr_t)s->host,
    };
    return kvm_call(m->fd, KVM_SET_USER_MEMORY_REGION, &r);
}

static uint32_t range_flags(const struct memrange *r)
{
    if (r->mr->kind != MR_RAM)
        return KVM_MEM_READONLY;
    return r->mr->track_dirty && r->mr->blk->dirty ? KVM_MEM_LOG_DIRTY_PAGES : 0;
}

/* The whole pages of a range. What lies in a page with a device is reached through exits. */
static bool range_slot(const struct memrange *r, struct vt_slot *out)
{
    if (r->mr->kind == MR_MMIO)
        return false;
    uint64_t end = (r->base + r->size) & ~(VT_PAGE - 1), start = (r->base + VT_PAGE - 1) & ~(VT_PAGE - 1);
    if (start >= end)
        return false;
    *out = (struct vt_slot){.gpa = start, .size = end - start, .host = memrange_host(r) + (start - r->base), .blk = r->mr->blk,
                            .flags = range_flags(r), .used = true};
    return !((uintptr_t)out->host & (VT_PAGE - 1));
}

static bool same_place(const struct vt_slot *a, const struct vt_slot *b)
{
    return a->gpa == b->gpa && a->size == b->size && a->host == b->host && !((a->flags ^ b->flags) & KVM_MEM_READONLY);
}

/* What cannot be read counts as written, all of it: nothing that depends on the log gets to see too little. */
static int read_log(struct vt_vm *m, unsigned space, unsigned i, unsigned long *into)
{
    const struct vt_slot *s = &m->slot[space][i];
    size_t pages = s->size / VT_PAGE, words = (pages + 63) / 64, first = (size_t)(s->host - s->blk->host) / VT_PAGE;
    unsigned long *bits = calloc(words, sizeof *bits);
    struct kvm_dirty_log log = {.slot = space << 16 | i, .dirty_bitmap = bits};
    if (!bits || kvm_call(m->fd, KVM_GET_DIRTY_LOG, &log) < 0) {
        if (first + pages <= s->blk->size / VT_PAGE)
            bitmap_set_range_atomic(into, first, pages);
        free(bits);
        return -1;
    }
    for (size_t w = 0; w < words; w++)
        while (bits[w]) {
            unsigned bit = (unsigned)__builtin_ctzl(bits[w]);
            bits[w] &= bits[w] - 1;
            size_t p = first + w * 64 + bit;
            if (p < s->blk->size / VT_PAGE)
                bitmap_set_range_atomic(into, p, 1);
        }
    free(bits);
    return 0;
}

static int drop_slot(struct vt_vm *m, unsigned space, unsigned i)
{
    struct vt_slot *s = &m->slot[space][i];
    if ((s->flags & KVM_MEM_LOG_DIRTY_PAGES) && s->blk->dirty)
        (void)read_log(m, space, i, s->blk->dirty);
    struct vt_slot gone = *s;
    gone.size = 0;
    gone.flags = 0;
    s->used = false;
    return put_slot(m, space, i, &gone);
}

static int add_slot(struct vt_vm *m, unsigned space, const struct vt_slot *s, struct err *e)
{
    unsigned i = 0;
    while (i < m->n_slots[space] && m->slot[space][i].used)
        i++;
    if (i == m->max_slots)
        return err_set(e, ERR_HOST, 0, "The guest's memory map has more than %u pieces, which is what the host's KVM can hold.", m->max_slots);
    if (i == m->n_slots[space]) {
        unsigned n = i ? 2 * i : 64;
        struct vt_slot *p = realloc(m->slot[space], n * sizeof *p);
        if (!p)
            return err_set(e, ERR_NOMEM, 0, "Not enough memory for the guest's memory map.");
        memset(p + i, 0, (n - i) * sizeof *p);
        m->slot[space] = p;
        m->n_slots[space] = n;
    }
    if (put_slot(m, space, i, s) < 0)
        return err_set(e, ERR_HOST, errno, "The host's KVM refuses a piece of guest memory (%#llx, %llu KiB): %s",
                       (unsigned long long)s->gpa, (unsigned long long)(s->size >> 10), strerror(errno));
    m->slot[space][i] = *s;
    return 0;
}

/* Makes the slots of one address space those of the view. closed: the gate is, or will be when it is needed. */
static int update_to(struct vt_vm *m, unsigned space, const struct memview *v, bool *closed, struct err *e)
{
    struct vt_slot want;
    for (unsigned i = 0; i < m->n_slots[space]; i++)
        m->slot[space][i].keep = false;
    for (size_t k = 0; k < v->n; k++) {
        if (!range_slot(&v->r[k], &want))
            continue;
        for (unsigned i = 0; i < m->n_slots[space]; i++) {
            struct vt_slot *s = &m->slot[space][i];
            if (!s->used || !same_place(s, &want))
                continue;
            s->keep = true;
            if (s->flags != want.flags) {
                if (s->flags & KVM_MEM_LOG_DIRTY_PAGES && s->blk->dirty)
                    (void)read_log(m, space, i, s->blk->dirty);
                if (put_slot(m, space, i, &want) < 0)
                    return vt_fail(e, "a change of its log of written memory");
                s->flags = want.flags;
                s->blk = want.blk;
            }
            break;
        }
    }
    for (unsigned i = 0; i < m->n_slots[space]; i++) {
        if (!m->slot[space][i].used || m->slot[space][i].keep)
            continue;
        if (!*closed)
            gate_close(m);
        *closed = true;
        if (drop_slot(m, space, i) < 0)
            return vt_fail(e, "to take a piece of guest memory away");
    }
    for (size_t k = 0; k < v->n; k++) {
        bool there = false;
        if (!range_slot(&v->r[k], &want))
            continue;
        for (unsigned i = 0; i < m->n_slots[space] && !there; i++)
            there = m->slot[space][i].used && m->slot[space][i].gpa == want.gpa;
        if (!there && add_slot(m, space, &want, e))
            return -1;
    }
    return 0;
}

/* KVM knows no A20M#: the slots show what the processors see while it is asserted. */
static int update(struct vt_vm *m, unsigned space, const struct memview *v, bool *closed, struct err *e)
{
    struct memview *masked = memview_a20(m->vm, v);
    int rc = update_to(m, space, masked ? masked : v, closed, e);
    free(masked);
    return rc;
}

/* ---- late writes ---- */

static void late_zones(struct vt_vm *m, const struct memview *v)
{
    struct vt_late_zone now[sizeof m->late / sizeof m->late[0]];
    unsigned n = 0;
    if (!m->ring_page)
        return;
    for (size_t k = 0; k < v->n && n < sizeof now / sizeof now[0]; k++) {
        const struct memrange *r = &v->r[k];
        if (r->mr->kind == MR_MMIO && (r->mr->ops->flags & IOF_LATE))
            now[n++] = (struct vt_late_zone){r->base, r->size};
    }
    if (n == m->n_late && !memcmp(now, m->late, n * sizeof now[0]))
        return;
    for (unsigned i = 0; i < m->n_late; i++) {
        struct kvm_coalesced_mmio_zone z = {.addr = m->late[i].gpa, .size = (uint32_t)m->late[i].size};
        (void)kvm_call(m->fd, KVM_UNREGISTER_COALESCED_MMIO, &z);
    }
    m->n_late = 0;
    for (unsigned i = 0; i < n; i++) {
        struct kvm_coalesced_mmio_zone z = {.addr = now[i].gpa, .size = (uint32_t)now[i].size};
        if (kvm_call(m->fd, KVM_REGISTER_COALESCED_MMIO, &z) == 0) /* only speed is lost without it */
            m->late[m->n_late++] = now[i];
    }
}

static bool late_waits(const struct vt_vm *m)
{
    const struct kvm_coalesced_mmio_ring *r = m->ring;
    return r && __atomic_load_n(&r->first, __ATOMIC_ACQUIRE) != __atomic_load_n(&r->last, __ATOMIC_ACQUIRE);
}

void vt_sync_writes(struct vm *vm)
{
    struct vt_vm *m = vt_of(vm);
    if (!m || !m->ring)
        return;
    struct kvm_coalesced_mmio_ring *r = m->ring;
    /* Bounded: a guest that goes on writing does not keep us here. */
    for (unsigned k = 0; k < m->ring_max && late_waits(m); k++) {
        unsigned at = r->first;
        if (at >= m->ring_max)
            return;
        struct kvm_coalesced_mmio w = r->coalesced_mmio[at];
        uint64_t val = 0;
        memcpy(&val, w.data, w.len <= 8 ? w.len : 8);
        __atomic_store_n(&r->first, (at + 1) % m->ring_max, __ATOMIC_RELEASE);
        if (w.len && w.len <= 8)
            bus_write_late(vm, w.phys_addr, w.len, val);
        atomic_fetch_add_explicit(&m->st_late, 1, memory_order_relaxed);
    }
}

void vt_late_drain(struct vt_vm *m)
{
    if (!late_waits(m))
        return;
    chipset_lock(m->vm);
    vt_sync_writes(m->vm);
    chipset_unlock(m->vm);
}

/* ---- struct cpu_backend ---- */

int vt_view_changed(struct vm *vm, const struct memview *old, const struct memview *cur, struct err *e)
{
    (void)old;
    struct vt_vm *m = vt_of(vm);
    bool closed = false;
    pthread_mutex_lock(&m->slots_lock);
    int rc = update(m, 0, cur, &closed, e);
    if (!rc && m->smm)
        rc = update(m, 1, memmap_view(vm, true), &closed, e);
    late_zones(m, cur);
    if (closed)
        gate_open(m);
    pthread_mutex_unlock(&m->slots_lock);
    return rc;
}

int vt_fetch_dirty(struct vm *vm, struct memblk *b, unsigned long *bitmap)
{
    struct vt_vm *m = vt_of(vm);
    int rc = 0;
    pthread_mutex_lock(&m->slots_lock);
    for (unsigned space = 0; space < VT_SPACES; space++)
        for (unsigned i = 0; i < m->n_slots[space]; i++) {
            const struct vt_slot *s = &m->slot[space][i];
            if (s->used && s->blk == b && (s->flags & KVM_MEM_LOG_DIRTY_PAGES))
                rc |= read_log(m, space, i, bitmap);
        }
    pthread_mutex_unlock(&m->slots_lock);
    if (b->dirty)
        bitmap_fetch_clear(b->dirty, bitmap, (size_t)(b->size >> 12));
    return rc;
}

int vt_mem_init(struct vt_vm *m, struct err *e)
{
    int max = kvm_has(m->fd, KVM_CAP_NR_MEMSLOTS);
    m->max_slots = max > 0 ? (unsigned)max : 32;
    int page = kvm_has(m->sys, KVM_CAP_COALESCED_MMIO);
    m->ring_page = page > 0 && (size_t)(page + 1) * VT_PAGE <= m->run_size ? (unsigned)page : 0;
    m->ring_max = (VT_PAGE - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio);
    return 0;
}

void vt_mem_fini(struct vt_vm *m)
{
    for (unsigned s = 0; s < VT_SPACES; s++)
        free(m->slot[s]);
    pthread_mutex_destroy(&m->slots_lock);
}
