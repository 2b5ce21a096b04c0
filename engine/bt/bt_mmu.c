/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory as translated code sees it: the software TLB, what happens on a miss, and who must hear of a write.
 *
 * A miss ends in one of four ways: the page is plain RAM (the entry is filled, the instruction runs on the host pointer); RAM that holds
 * translated code or is watched (it runs on the host pointer, then bt_slow_post tells everybody); MMIO, ROM or two pages (it runs on a
 * bounce buffer that bt_slow_post writes back); or a fault.
 */
#include "bt/bt_private.h"

#include <sys/mman.h>

#include "bt/bt_emit.h"
#include "core/clock.h"

#define NEVER(i) bt_tlb_never(i)

void bt_tlb_init(struct bt_cpu *bc)
{
    bt_stk_reset(bc);
    for (unsigned m = 0; m < 3; m++) {
        for (uint32_t k = 0; k < TLB_N; k += TLB_CHUNK) {
            if (!bc->tlb[m].used[k / TLB_CHUNK])
                continue;
            cpu_zero(&bc->tlb[m].rtag[k], TLB_CHUNK * sizeof bc->tlb[m].rtag[0]);
            cpu_zero(&bc->tlb[m].wtag[k], TLB_CHUNK * sizeof bc->tlb[m].wtag[0]);
            cpu_zero(&bc->tlb[m].ctag[k], TLB_CHUNK * sizeof bc->tlb[m].ctag[0]);
            cpu_zero(&bc->tlb[m].logged[k], TLB_CHUNK);
        }
        bt_tlb_forget(bc, m, 0);
        bt_tlb_forget(bc, m, TLB_N - 1);
    }
    bc->n_fill = bc->n_gfill = 0;
    bc->fill_over = false;
    bt_as_reset(bc);
}

/* Index i is filled. */
void bt_tlb_used(struct bt_cpu *bc, unsigned m, uint32_t i)
{
    bool *u = &bc->tlb[m].used[i / TLB_CHUNK];
    bc->tlb[m].n_used += !*u;
    *u = true;
}

/*
 * Where programs lie at random addresses, each start takes other chunks: the memory of a TLB that has had many is given back. Called when the entries
 * that are not global have just gone.
 */
void bt_tlb_shrink(struct bt_cpu *bc)
{
    for (unsigned m = 0; m < 3; m++) {
        if (bc->tlb[m].n_used <= TLB_CHUNKS_MAX)
            continue;
        uint32_t n = 0;
        for (uint32_t k = 0; k < bc->n_gfill; k++)
            if (MI_TLB(bc->gfill[k]) != m)
                bc->gfill[n++] = bc->gfill[k];
        bc->n_gfill = n;
        if (madvise(&bc->tlb[m], sizeof bc->tlb[m], MADV_DONTNEED) < 0)
            cpu_zero(&bc->tlb[m], sizeof bc->tlb[m]);
        bt_tlb_forget(bc, m, 0);
        bt_tlb_forget(bc, m, TLB_N - 1);
    }
}

void bt_tlb_flush(struct bt_cpu *bc, bool global)
{
    bt_stk_reset(bc);
    if (bc->fill_over) {
        bt_tlb_init(bc);
        return;
    }
    for (uint32_t k = 0; k < bc->n_fill; k++) {
        uint32_t m = MI_TLB(bc->fill[k]), i = MI_INDEX(bc->fill[k]);
        bt_tlb_forget(bc, m, i);
        bc->tlb[m].logged[i] &= 2;
    }
    bc->n_fill = 0;
    if (!global) {
        bt_tlb_shrink(bc);
        return;
    }
    for (uint32_t k = 0; k < bc->n_gfill; k++) {
        uint32_t m = MI_TLB(bc->gfill[k]), i = MI_INDEX(bc->gfill[k]);
        bt_tlb_forget(bc, m, i);
        bc->tlb[m].logged[i] = 0;
    }
    bc->n_gfill = 0;
    bt_tlb_shrink(bc);
    bt_as_reset(bc);
}

void bt_tlb_forget(struct bt_cpu *bc, unsigned m, uint32_t i)
{
    bc->tlb[m].rtag[i] = bc->tlb[m].wtag[i] = bc->tlb[m].ctag[i] = NEVER(i);
}

/* Removes the entries of linear [lin, lin + len), whole pages. */
void bt_tlb_flush_range(struct bt_cpu *bc, uint64_t lin, uint64_t len)
{
    bt_stk_reset(bc);
    for (uint64_t end = lin + len; lin != end; lin += PAGE) {
        uint32_t i = tlb_index(lin);
        uint64_t ntag = -lin;
        for (unsigned m = 0; m < 3; m++) {
            if (bc->tlb[m].rtag[i] == ntag)
                bc->tlb[m].rtag[i] = NEVER(i);
            if (bc->tlb[m].wtag[i] == ntag)
                bc->tlb[m].wtag[i] = NEVER(i);
            if (bc->tlb[m].ctag[i] == ntag)
                bc->tlb[m].ctag[i] = NEVER(i);
        }
    }
}

/* Removes write entries for guest-physical [gpa, gpa+len). Also called by another vCPU while this one is not in run(): bc->view may be an old one. */
void bt_tlb_drop_writes(struct bt_cpu *bc, uint64_t gpa, uint64_t len)
{
    bt_stk_reset(bc);
    if (bc->fill_over) {
        bt_tlb_init(bc);
    } else {
        for (uint32_t k = 0; k < bc->n_fill + bc->n_gfill; k++) {
            uint32_t f = k < bc->n_fill ? bc->fill[k] : bc->gfill[k - bc->n_fill], m = MI_TLB(f), i = MI_INDEX(f);
            if ((bc->tlb[m].cgpa[i] & ~0xfffull) - gpa < len)
                bc->tlb[m].wtag[i] = NEVER(i);
        }
    }
    uint64_t pfn = gpa >> 12;
    if (len <= PAGE && pfn < bc->bv->n_pfn)
        __atomic_fetch_and(&bc->bv->write_cpus[pfn], (uint8_t) ~(1u << bc->c.index), __ATOMIC_SEQ_CST);
}

const struct memrange *bt_view_find(struct bt_cpu *bc, uint64_t gpa)
{
    const struct memview *v = bc->view;
    size_t lo = 0, hi = v->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (v->r[mid].base + v->r[mid].size <= gpa)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < v->n && v->r[lo].base <= gpa ? &v->r[lo] : NULL;
}

/* The pin A20M#; a change comes as a change of the view, which empties the TLB. */
static uint64_t a20(struct bt_cpu *bc, uint64_t gpa) { return memmap_a20(bc->v->vm, gpa); }

/* Host pointer of RAM (for reads also ROM), or NULL. */
uint8_t *bt_ram_ptr(struct bt_cpu *bc, uint64_t gpa, bool write)
{
    const struct memrange *r = bt_view_find(bc, gpa);
    if (!r || r->mr->kind == MR_MMIO || (write && r->mr->kind != MR_RAM))
        return NULL;
    return r->mr->blk->host + r->mr->blk_off + r->mr_off + (gpa - r->base);
}

/* Does anybody look at what was written there? */
static bool tracked(const struct memrange *r) { return r->mr->track_dirty && r->mr->blk->dirty; }

static unsigned long *dirty_word(const struct memrange *r, uint64_t gpa, unsigned long *bit)
{
    uint64_t page = (r->mr->blk_off + r->mr_off + (gpa - r->base)) >> 12;
    *bit = 1ul << (page & 63);
    return &r->mr->blk->dirty[page >> 6];
}
static void mark_dirty(const struct memrange *r, uint64_t gpa)
{
    unsigned long bit, *w = dirty_word(r, gpa, &bit);
    __atomic_fetch_or(w, bit, __ATOMIC_SEQ_CST);
}

/* A write entry for a page with a dirty log: it has to go when the log is read. Before the page's bit is set. */
static void note_tracked(struct bt_cpu *bc, uint32_t mi, const struct memrange *r, uint64_t gpa)
{
    uint32_t n = bc->n_tracked;
    if (n < TRACKED_N) {
        bc->tracked[n].mi = mi;
        bc->tracked[n].word = dirty_word(r, gpa, &bc->tracked[n].bit);
    }
    if (n <= TRACKED_N)
        atomic_store(&bc->n_tracked, n + 1);
}
void bt_drop_tracked(struct bt_cpu *bc)
{
    uint32_t n = bc->n_tracked;
    bt_stk_reset(bc);
    if (n > TRACKED_N) {
        bt_tlb_flush(bc, true);
        n = TRACKED_N;
    }
    for (uint32_t k = 0; k < n; k++) {
        uint32_t m = MI_TLB(bc->tracked[k].mi), i = MI_INDEX(bc->tracked[k].mi);
        bc->tlb[m].wtag[i] = NEVER(i);
        __atomic_fetch_or(bc->tracked[k].word, bc->tracked[k].bit, __ATOMIC_SEQ_CST); /* written between the reading and now */
    }
    atomic_store(&bc->n_tracked, 0);
}

static void fill(struct bt_cpu *bc, unsigned m, uint64_t lin, uint8_t *host, bool rd, bool wr, bool global, uint64_t cgpa)
{
    uint32_t i = tlb_index(lin);
    uint64_t ntag = -(lin & ~0xfffull);
    uint64_t page = (uint64_t)(uintptr_t)host & ~0xfffull;
    bool same = bc->tlb[m].host[i] == page;
    if (bc->tlb[m].ctag[i] != ntag || !same)
        bc->tlb[m].ctag[i] = NEVER(i);
    if (bc->tlb[m].rtag[i] != ntag || !same)
        bc->tlb[m].rtag[i] = rd ? ntag : NEVER(i);
    else if (rd)
        bc->tlb[m].rtag[i] = ntag;
    if (wr)
        bc->tlb[m].wtag[i] = ntag;
    else if (bc->tlb[m].wtag[i] != ntag || !same)
        bc->tlb[m].wtag[i] = NEVER(i);
    bc->tlb[m].host[i] = page;
    bc->tlb[m].addend[i] = page + ntag;
    bc->tlb[m].cgpa[i] = cgpa;
    bt_tlb_used(bc, m, i);
    /* Logged once as what it is. An entry that is in the log as not global is removed too early when it has become global: no harm. */
    if (!(bc->tlb[m].logged[i] & (global ? 3 : 1))) {
        bc->tlb[m].logged[i] |= global ? 2 : 1;
        uint32_t *n = global ? &bc->n_gfill : &bc->n_fill;
        if (*n < sizeof bc->fill / sizeof bc->fill[0])
            (global ? bc->gfill : bc->fill)[(*n)++] = MI(m, i);
        else
            bc->fill_over = true;
    }
    bc->st.tlb_fills++;
    bt_x87_seen(bc, page, lin);
    if (__builtin_expect(bc->stress.on & BT_STRESS_TLB, 0))
        bt_stress_filled(bc, m, i);
}

/* Which TLB an access uses: it must be the one whose rights the walk has checked, so the processor's state decides, not the mode word. */
static unsigned mmu_of(const struct bt_cpu *bc, unsigned acc)
{
    if (acc & ACC_USER)
        return 1;
    return bc->c.cpl < 3 && (bc->c.s.cr4 & CR4_SMAP) && (bc->c.s.rflags & FL_AC) ? 2 : 0;
}

uint8_t *bt_tlb_find(const struct bt_cpu *bc, uint64_t lin, unsigned acc, uint64_t *gpa)
{
    const struct bt_tlb *t = &bc->tlb[mmu_of(bc, acc)];
    uint32_t i = tlb_index(lin);
    if ((acc & ACC_W ? t->wtag[i] : t->rtag[i]) != -(lin & ~0xfffull))
        return NULL;
    *gpa = (t->cgpa[i] & ~0xfffull) | (lin & 0xfff);
    return (uint8_t *)(uintptr_t)(t->host[i] | (lin & 0xfff));
}

static bool watched(const struct bt_vm *bv, uint64_t pfn) { return __builtin_expect(!((pfn | 1ull << 63) & bv->watch_mask), 0); }

static bool code_in(const struct bt_vm *bv, uint64_t pfn) { return __atomic_load_n(&bv->code_lines[pfn], __ATOMIC_RELAXED) || watched(bv, pfn); }

/* What bt_stub_mem needs to do alone what slow_mem does with a write to a page that holds code, where there is none. */
void bt_beside_init(struct bt_cpu *bc)
{
    struct bt_vm *bv = bc->bv;
    for (unsigned m = 0; m < 3; m++)
        bc->beside.tlb[m] = &bc->tlb[m];
    bc->beside.lines = bc->stress.on & BT_STRESS_WATCH ? NULL : bv->code_lines;
    bc->beside.write_cpus = bv->n > 1 ? bv->write_cpus : NULL;
    bc->beside.sites = bc->sites;
    bc->beside.code = (uint64_t)(uintptr_t)bc->code_rx;
    bc->beside.me = 1u << bc->c.index;
}

/* Does [a, a + n) of a page touch a line that holds translated code? */
static bool touches_code(const struct bt_vm *bv, uint64_t a, unsigned n)
{
    uint64_t lo = (a & 0xfff) >> 6, hi = ((a & 0xfff) + n - 1) >> 6;
    uint64_t mask = (hi >= 63 ? ~0ull : (1ull << (hi + 1)) - 1) & ~((1ull << lo) - 1);
    return (__atomic_load_n(&bv->code_lines[a >> 12], __ATOMIC_SEQ_CST) & mask) || watched(bv, a >> 12);
}

/* ... and bytes that a block is made of, or may be, because another vCPU has code of the page? Data lie in one line with code: a counter behind a function, a
 * trampoline on the stack. */
static bool touches_blocks(const struct bt_cpu *bc, uint64_t a, unsigned n)
{
    const struct bt_vm *bv = bc->bv;
    if (!touches_code(bv, a, n))
        return false;
    uint8_t who = __atomic_load_n(&bv->code_cpus[a >> 12], __ATOMIC_SEQ_CST);
    return watched(bv, a >> 12) || (who & (uint8_t) ~(1u << bc->c.index)) || bt_code_at(bc, a, n);
}

/* One page of an access. 0: *host (NULL: go through the bus at *gpa); *watch: run on host, then tell. -1: fault. */
static int page_access(struct bt_cpu *bc, uint64_t lin, unsigned acc, uint8_t **host, uint64_t *gpa, bool *watch)
{
    struct cpu_walk w;
    *watch = false;
    if (cpu_walk(&bc->c, lin, acc, &w) < 0)
        return -1;
    if (w.page_size > PAGE)
        bt_large_note(bc, lin, w.page_size);
    uint64_t a = a20(bc, w.gpa);
    *gpa = a;
    const struct memrange *r = bt_view_find(bc, a);
    bool wr = acc & ACC_W;
    if (!r || r->mr->kind == MR_MMIO || (wr && r->mr->kind != MR_RAM)) {
        *host = NULL;
        return 0;
    }
    uint8_t *h = r->mr->blk->host + r->mr->blk_off + r->mr_off + (a - r->base);
    *host = h;
    unsigned m = mmu_of(bc, acc);
    uint64_t pfn = a >> 12;
    bool code = false;
    bool can_wr = r->mr->kind == MR_RAM && w.dirty && (wr || (w.writable && (bc->c.s.cr0 & CR0_WP || acc & ACC_USER)));
    if (bc->dr_watch) { /* a data breakpoint may be on the page */
        *watch = bc->bv->dbg_data && bt_debug_page(bc->bv, lin);
        for (unsigned i = 0; i < 4; i++)
            if ((bc->c.s.dr7 >> (2 * i)) & 3 && ((bc->c.s.dr[i] ^ lin) & ~0xfffull) == 0)
                *watch = true;
    }
    if (can_wr && pfn < bc->bv->n_pfn) {
        uint8_t me = (uint8_t)(1u << bc->c.index);
        bool had = __atomic_fetch_or(&bc->bv->write_cpus[pfn], me, __ATOMIC_SEQ_CST) & me;
        if (__atomic_load_n(&bc->bv->code_lines[pfn], __ATOMIC_SEQ_CST) || watched(bc->bv, pfn)) {
            /* This access gives no right to write. There may be an older entry, though, and another vCPU that has marked the page and is about to
             * ask who has one (I3): the bit stays if it was there. */
            if (!had)
                __atomic_fetch_and(&bc->bv->write_cpus[pfn], (uint8_t)~me, __ATOMIC_SEQ_CST);
            code = can_wr;
            can_wr = false;
            if (wr)
                *watch = true;
        }
    }
    if (tracked(r)) {
        if (wr) {
            if (can_wr)
                note_tracked(bc, MI(m, tlb_index(lin)), r, a);
            mark_dirty(r, a);
        } else {
            can_wr = false;
        }
    }
    if (!bc->dr_watch || !*watch) {
        fill(bc, m, lin, h, true, can_wr, w.global, (a & ~0xfffull) | (w.global ? CG_GLOBAL : 0) | (tracked(r) || r->mr->kind != MR_RAM ? CG_TRACKED : 0));
        if (code && !tracked(r) && !bc->dr_watch) {
            uint32_t i = tlb_index(lin);
            bc->tlb[m].ctag[i] = -(lin & ~0xfffull);
        }
    }
    return 0;
}

/* A write to bytes of a page that may hold code: drop it on every vCPU. */
void bt_code_written_local(struct bt_cpu *bc, uint64_t gpa, uint64_t len)
{
    struct bt_vm *bv = bc->bv;
    for (uint64_t p = gpa >> 12; p <= (gpa + len - 1) >> 12; p++) {
        if (p >= bv->n_pfn)
            continue;
        uint64_t lines = __atomic_load_n(&bv->code_lines[p], __ATOMIC_SEQ_CST);
        if (!lines)
            continue;
        uint64_t lo = p == gpa >> 12 ? gpa & 0xfff : 0, hi = p == (gpa + len - 1) >> 12 ? (gpa + len - 1) & 0xfff : 0xfff;
        uint64_t mask = (hi >> 6 == 63 ? ~0ull : (1ull << ((hi >> 6) + 1)) - 1) & ~((1ull << (lo >> 6)) - 1);
        if (!(lines & mask))
            continue;
        uint16_t seq = __atomic_load_n(&bv->mark_seq[p], __ATOMIC_SEQ_CST);
        uint8_t who = __atomic_load_n(&bv->code_cpus[p], __ATOMIC_SEQ_CST);
        uint64_t a = (p << 12) + lo, n;
        /* Whole lines, so that nobody has code of them afterwards, and they can be unmarked: unless somebody has marked the page again meanwhile. */
        a &= ~63ull;
        n = (p << 12) + (hi | 63) + 1 - a;
        if (bv->n == 1) { /* pages that held code become ordinary ones again */
            bt_drop_lines(bc, a, n);
            __atomic_store_n(&bv->code_lines[p], lines & ~mask, __ATOMIC_SEQ_CST);
            continue;
        }
        if (who & (1u << bc->c.index)) {
            bt_drop_lines(bc, a, n);
            bt_code_left(bc, p << 12);
        }
        who &= (uint8_t) ~(1u << bc->c.index);
        if (who)
            bt_shoot_others(bc, SHOOT_CODE, a, n, who, true);
        pthread_mutex_lock(&bv->page_lock[p & 63]);
        if (__atomic_load_n(&bv->mark_seq[p], __ATOMIC_SEQ_CST) == seq)
            __atomic_fetch_and(&bv->code_lines[p], ~mask, __ATOMIC_SEQ_CST);
        pthread_mutex_unlock(&bv->page_lock[p & 63]);
    }
}

int bt_translate_acc(struct cpu *c, uint64_t lin, unsigned acc, uint8_t **host, uint64_t *gpa)
{
    struct bt_cpu *bc = CPU2BT(c);
    uint8_t *h = acc & ACC_X ? NULL : bt_tlb_find(bc, lin, acc, gpa);
    if (h) {
        *host = h;
        return 0;
    }
    bool watch;
    if (page_access(bc, lin, acc, host, gpa, &watch) < 0)
        return -1;
    if (watch)
        *host = NULL;
    return 0;
}

void bt_phys_read(struct cpu *c, uint64_t gpa, void *buf, unsigned n)
{
    struct bt_cpu *bc = CPU2BT(c);
    gpa = a20(bc, gpa);
    uint8_t *h = bt_ram_ptr(bc, gpa, false);
    if (h) {
        cpu_copy_once(buf, h, n);
        return;
    }
    bt_fpu_out(bc);
    while (n) {
        unsigned k = n >= 8 && !(gpa & 7) ? 8 : n >= 4 && !(gpa & 3) ? 4 : n >= 2 && !(gpa & 1) ? 2 : 1;
        if (n == 4 || n == 2 || n == 8)
            k = n;
        uint64_t v = bus_read(bc->v, false, gpa, k);
        cpu_copy(buf, &v, k);
        buf = (uint8_t *)buf + k;
        gpa += k;
        n -= k;
    }
}

void bt_phys_write(struct cpu *c, uint64_t gpa, const void *buf, unsigned n)
{
    struct bt_cpu *bc = CPU2BT(c);
    gpa = a20(bc, gpa);
    const struct memrange *r = bt_view_find(bc, gpa);
    if (r && r->mr->kind == MR_RAM) {
        cpu_copy_once(r->mr->blk->host + r->mr->blk_off + r->mr_off + (gpa - r->base), buf, n);
        if (tracked(r))
            mark_dirty(r, gpa);
        bt_code_written_local(bc, gpa, n);
        return;
    }
    if (r && r->mr->kind == MR_ROM)
        return;
    bt_fpu_out(bc);
    while (n) {
        unsigned k = n >= 8 && !(gpa & 7) ? 8 : n >= 4 && !(gpa & 3) ? 4 : n >= 2 && !(gpa & 1) ? 2 : 1;
        if (n == 4 || n == 2 || n == 8)
            k = n;
        uint64_t v = 0;
        cpu_copy(&v, buf, k);
        bus_write(bc->v, false, gpa, k, v);
        buf = (const uint8_t *)buf + k;
        gpa += k;
        n -= k;
    }
}

/* The thunk of a site: its op region, then bt_slow_post. 0: no room. */
static uint32_t thunk(struct bt_cpu *bc, uint32_t idx)
{
    struct bt_site *s = &bc->sites[idx];
    if (s->thunk)
        return s->thunk;
    if (bc->code_used + 512 > bc->code_limit || bc->n_blocks + 2 > MAX_BLOCKS)
        return 0;
    bc->code_used = (bc->code_used + 15) & ~15u;
    struct em e = {bc->code_rw + bc->code_used};
    s->thunk = bc->code_used;
    cpu_copy(e.p, bc->code_rw + s->op, s->oplen);
    e.p += s->oplen;
    e2(&e, 0x41, 0xbb);
    e4(&e, idx);
    e_fix(e_jmp32(&e), bc->code_rw + bc->tr_post);
    bt_piece_add(bc, &e, (struct bt_block){.code = s->thunk, .tramp_target = s->blk, .cpage = bc->blocks[s->blk].cpage, .off = s->off, .dead = 2});
    return s->thunk;
}

static void set_rip(struct bt_cpu *bc, uint32_t blk, uint16_t off, uint8_t len)
{
    uint64_t va = bc->cells[bc->blocks[blk].cpage].va + off;
    bool m64 = (bc->mode & M_CODE) == M_CODE64;
    bc->c.s.rip = m64 ? va : (uint32_t)va;
    va += len;
    bc->c.next_rip = m64 ? va : (uint32_t)va;
}

/*
 * The check of a group failed. The instruction's own access decides about faults; then the group goes on when its whole span is in one page of plain
 * RAM with the right it needs, else this block runs once with a check for each access.
 */
static unsigned slow_group(struct bt_cpu *bc, struct bt_site *s)
{
    uint64_t lin = bc->scr_r10 + s->lead_off, start = bc->scr_r10;
    struct bt_block *b = &bc->blocks[s->blk];
    bool m64 = (bc->mode & M_CODE) == M_CODE64;
    if (!m64)
        lin = (uint32_t)lin;
    if (m64 && ((uint64_t)((int64_t)(lin << 16) >> 16) != lin || (uint64_t)((int64_t)(start << 16) >> 16) != start))
        goto alone;
    if (bc->dr_watch)
        goto alone;
    if ((s->flags & SITE_STRICT) && (lin & (s->lead_size - 1u))) {
        cpu_raise_code(&bc->c, X_GP, 0);
        return BTX_FAULT;
    }
    unsigned acc = (s->lead_acc & ACC_W ? ACC_W : ACC_R) | (CPL_OF(bc->mode) == 3 ? ACC_USER : 0);
    uint8_t *h;
    uint64_t gpa;
    bool watch;
    if (page_access(bc, lin, acc, &h, &gpa, &watch) < 0)
        return BTX_FAULT;
    unsigned m = mmu_of(bc, acc);
    uint32_t i = tlb_index(lin);
    if ((s->acc & ACC_W ? bc->tlb[m].wtag[i] : bc->tlb[m].rtag[i]) == -(lin & ~0xfffull)) {
        bc->ret_r10 = start & 0xfff;
        bc->ret_r11 = bc->tlb[m].host[i];
        bc->resume_ip = (uint64_t)(uintptr_t)bc->code_rx + s->op;
        return 0;
    }
    if (++b->group_fails >= 16) { /* a device, or code and data side by side: not worth trying */
        bc->cpages[b->cpage].nogroup |= 1ull << (b->off >> 6);
        bt_block_drop(bc, s->blk);
    }
alone:
    bc->nogroup_once = true;
    return BTX_DISPATCH;
}

/* Between the bounce buffer and guest memory, the active bytes only. */
static void masked_copy(struct bt_cpu *bc, uint8_t *d, bool write)
{
    unsigned size = bc->bnc.size, n0 = bc->bnc.n0;
    for (unsigned i = 0; i < size;) {
        if (!(bc->bnc.active >> i & 1)) {
            i++;
            continue;
        }
        unsigned p = i >= n0, end = p ? size : n0, k = 1;
        uint64_t gpa = bc->bnc.gpa[p] + i - (p ? n0 : 0);
        while (k < 8 && i + k < end && (bc->bnc.active >> (i + k) & 1))
            k++;
        while (k & (k - 1))
            k &= k - 1;
        if (write)
            bt_phys_write(&bc->c, gpa, d + i, k);
        else
            bt_phys_read(&bc->c, gpa, d + i, k);
        i += k;
    }
}

/* An access under a mask to two pages, or to none, or to what is not memory. */
static unsigned slow_masked(struct bt_cpu *bc, uint32_t idx, uint64_t lin, unsigned acc, uint64_t active)
{
    struct bt_site *s = &bc->sites[idx];
    unsigned size = s->size, n0 = PAGE - (unsigned)(lin & 0xfff);
    if (n0 > size)
        n0 = size;
    bc->bnc.gpa[0] = bc->bnc.gpa[1] = 0;
    for (unsigned p = 0; p < 2; p++) {
        uint64_t part = n0 == 64 ? (p ? 0 : active) : p ? active >> n0 << n0 : active & ((1ull << n0) - 1), g;
        if (!part)
            continue;
        unsigned first = (unsigned)__builtin_ctzll(part);
        uint64_t at = lin + first;
        if ((bc->mode & M_CODE) != M_CODE64)
            at = (uint32_t)at;
        else if ((uint64_t)((int64_t)(at << 16) >> 16) != at) {
            cpu_raise_code(&bc->c, s->seg == S_SS ? X_SS : X_GP, 0);
            return BTX_FAULT;
        }
        uint8_t *h;
        bool watch;
        if (page_access(bc, at, acc, &h, &g, &watch) < 0)
            return BTX_FAULT;
        bc->bnc.gpa[p] = g - first + (p ? n0 : 0);
    }
    uint32_t th = thunk(bc, idx);
    if (!th) {
        bt_cache_full(bc);
        return BTX_DISPATCH;
    }
    bc->bnc.size = (uint16_t)size;
    bc->bnc.n0 = n0;
    bc->bnc.acc = (uint8_t)acc;
    bc->bnc.direct = false;
    bc->bnc.masked = true;
    bc->bnc.active = active;
    uint8_t *d = bc->bnc.data + (lin & 63);
    bc->bnc.shift = (uint8_t)(lin & 63);
    cpu_zero(d, size);
    if (!(acc & ACC_W))
        masked_copy(bc, d, false);
    bt_fpu_in(bc);
    bc->resume_ip = (uint64_t)(uintptr_t)bc->code_rx + th;
    bc->ret_r10 = (uint64_t)(uintptr_t)d;
    bc->ret_r11 = 0;
    return 0;
}

/* A part of an operand: REP MOVSB takes long to begin. */
static void copy_part(uint8_t *d, const uint8_t *s, unsigned n)
{
    for (; n >= 8; d += 8, s += 8, n -= 8)
        cpu_copy_once(d, s, 8);
    for (unsigned k = 4; k; k >>= 1) {
        if (n & k) {
            cpu_copy_once(d, s, k);
            d += k;
            s += k;
        }
    }
}

static uint64_t second_page(const struct bt_cpu *bc, uint64_t lin, unsigned n0)
{
    return (bc->mode & M_CODE) == M_CODE64 ? lin + n0 : (uint32_t)(lin + n0);
}

static unsigned slow_mem(struct bt_cpu *bc, uint32_t arg)
{
    uint32_t idx = arg & 0x3fffffff;
    struct bt_site *s = &bc->sites[idx];
    bc->cur_blk = s->blk;
    bc->st.slow_accesses++;
    set_rip(bc, s->blk, s->off, s->ilen);
    if (s->flags & SITE_FLSLOT)
        bc->hflags = (uint16_t)bc->flslot;
    bt_flags_in(bc);
    uint64_t lin = bc->scr_r10;
    unsigned size = s->size, acc = s->acc & (ACC_R | ACC_W);
    if (acc & ACC_W)
        acc = ACC_W;
    if (s->flags & SITE_GROUP)
        return slow_group(bc, s);
    if (arg & 0x40000000) {
        cpu_raise_code(&bc->c, X_AC, 0);
        return BTX_FAULT;
    }
    if (arg & 0x80000000u) {
        if (cpu_seg_check(&bc->c, s->seg, lin, size, acc, &lin) < 0)
            return BTX_FAULT;
    }
    if ((s->flags & SITE_STRICT) && (lin & (size - 1))) {
        cpu_raise_code(&bc->c, X_GP, 0); /* before the page is looked for; its bits stay as they are */
        return BTX_FAULT;
    }
    unsigned n0 = PAGE - (unsigned)(lin & 0xfff);
    uint8_t *h0, *h1 = NULL;
    uint64_t g0, g1 = 0;
    bool w0, w1 = false, masked = s->flags & SITE_MASKED, m64 = (bc->mode & M_CODE) == M_CODE64;
    if (CPL_OF(bc->mode) == 3)
        acc |= ACC_USER;
    if (n0 < size && (h0 = bt_tlb_find(bc, lin, acc, &g0)) && (h1 = bt_tlb_find(bc, second_page(bc, lin, n0), acc, &g1)) &&
        (h1 == h0 + n0 || !(masked && (acc & ACC_W))) && (!m64 || cpu_canonical(lin + size - 1))) {
        if (h1 == h0 + n0) { /* over the end of a page, but side by side in the host's memory too */
            bc->ret_r10 = (uint64_t)(uintptr_t)h0 & 0xfff;
            bc->ret_r11 = (uint64_t)(uintptr_t)h0 & ~0xfffull;
            bc->resume_ip = (uint64_t)(uintptr_t)bc->code_rx + s->op;
            return 0;
        }
        if (!(acc & ACC_W)) { /* nothing is to be done after the instruction */
            uint8_t *d = bc->bnc.data + (lin & 63);
            bc->bnc.lin = lin;
            copy_part(d, h0, n0);
            copy_part(d + n0, h1, size - n0);
            bt_fpu_in(bc);
            bc->ret_r10 = (uint64_t)(uintptr_t)d;
            bc->ret_r11 = 0;
            bc->resume_ip = (uint64_t)(uintptr_t)bc->code_rx + s->op;
            return 0;
        }
        w0 = false;
        goto have_both;
    }
    h1 = NULL;
    if (masked && (n0 < size || (m64 && !cpu_canonical(lin)))) {
        uint64_t active = bt_masked_bytes(bc, s), all = size == 64 ? ~0ull : (1ull << size) - 1;
        if (active != all)
            return slow_masked(bc, idx, lin, acc, active);
    }
    if (m64 && (!cpu_canonical(lin) || !cpu_canonical(lin + size - 1))) {
        cpu_raise_code(&bc->c, s->seg == S_SS ? X_SS : X_GP, 0);
        return BTX_FAULT;
    }
    if ((acc & ACC_W) && n0 >= size) { /* a page that holds code: most writes miss the code */
        unsigned m = mmu_of(bc, acc);
        uint32_t i = tlb_index(lin);
        if (bc->tlb[m].ctag[i] == -(lin & ~0xfffull) && code_in(bc->bv, bc->tlb[m].cgpa[i] >> 12)) { /* else the page is ordinary again */
            g0 = (bc->tlb[m].cgpa[i] & ~0xfffull) | (lin & 0xfff);
            h0 = (uint8_t *)(uintptr_t)(bc->tlb[m].host[i] | (lin & 0xfff));
            if (bc->bv->n > 1) /* before the look: another vCPU that is about to translate it must wait for us */
                __atomic_fetch_or(&bc->bv->write_cpus[g0 >> 12], (uint8_t)(1u << bc->c.index), __ATOMIC_SEQ_CST);
            w0 = touches_blocks(bc, g0, size);
            goto have0;
        }
    }
    struct cpu_fault keep = bc->c.fault;
    if (page_access(bc, lin, acc, &h0, &g0, &w0) < 0) {
        if (!masked || n0 < size || bt_masked_bytes(bc, s))
            return BTX_FAULT;
        bc->c.fault = keep;
        return slow_masked(bc, idx, lin, acc, 0);
    }
have0:
    if (bc->dr_watch && bt_watch_check(bc, lin, size, acc))
        w0 = true;
    if (n0 >= size) {
        if (h0 && !w0) {
            bc->ret_r10 = (uint64_t)(uintptr_t)h0 & 0xfff;
            bc->ret_r11 = (uint64_t)(uintptr_t)h0 & ~0xfffull;
            bc->resume_ip = (uint64_t)(uintptr_t)bc->code_rx + s->op;
            return 0;
        }
        n0 = size;
    } else {
        if (page_access(bc, second_page(bc, lin, n0), acc, &h1, &g1, &w1) < 0)
            return BTX_FAULT;
        (void)w1;
        /* the first page's translation may have been dropped by the second's walk only in the TLB, never in memory */
    }
have_both:;
    uint32_t th = thunk(bc, idx);
    if (!th) { /* cache full: start again with an empty one */
        bt_cache_full(bc);
        return BTX_DISPATCH;
    }
    bc->resume_ip = (uint64_t)(uintptr_t)bc->code_rx + th;
    bc->bnc.size = (uint16_t)size;
    bc->bnc.n0 = n0;
    bc->bnc.host[0] = h0;
    bc->bnc.host[1] = h1;
    bc->bnc.gpa[0] = g0;
    bc->bnc.gpa[1] = g1;
    bc->bnc.lin = lin;
    bc->bnc.acc = (uint8_t)acc;
    bc->bnc.direct = (n0 == size && h0) || (n0 < size && h0 && h1 == h0 + n0); /* the latter: side by side in the host's memory too */
    if ((s->flags & SITE_LOCK) && h0 && h1 && !bc->bnc.direct) {
        bt_exclusive_begin(bc);
        if (bc->left) { /* what was found above may be gone: once more */
            bt_exclusive_end(bc);
            return BTX_DISPATCH;
        }
    }
    bc->bnc.masked = false;
    if (!bc->bnc.direct && masked)
        return slow_masked(bc, idx, lin, acc, bt_masked_bytes(bc, s));
    if (bc->bnc.direct) {
        bc->bnc.kept = (acc & ACC_W) && n0 == size && size <= sizeof bc->bnc.was && bc->bv->n == 1;
        if (bc->bnc.kept)
            cpu_copy_once(bc->bnc.was, h0, size);
        bc->ret_r10 = (uint64_t)(uintptr_t)h0;
        bc->ret_r11 = 0;
        return 0;
    }
    /* Keep the offset in the line, so that alignment checks of the instruction see what the guest sees. */
    uint8_t *d = bc->bnc.data + (lin & 63);
    bc->ret_r10 = (uint64_t)(uintptr_t)d;
    bc->ret_r11 = 0;
    if (!(s->flags & SITE_WONLY)) {
        if (h0)
            copy_part(d, h0, n0);
        else
            bt_phys_read(&bc->c, g0, d, n0);
        if (size > n0) {
            if (h1)
                copy_part(d + n0, h1, size - n0);
            else
                bt_phys_read(&bc->c, g1, d + n0, size - n0);
        }
        bt_fpu_in(bc);
    }
    return 0;
}

unsigned bt_slow_mem(struct bt_cpu *bc, uint32_t arg)
{
    unsigned x = slow_mem(bc, arg);
    if (bc->sites[arg & 0x3fffffff].flags & SITE_BASE)
        bc->ret_r11 += bc->ret_r10 - bc->scr_r10;
    if (x == 0 && __builtin_expect(bc->left, 0))
        x = BTX_DISPATCH; /* nothing has been done: the instruction starts again, in a new block */
    if (x)
        bt_flags_recover(bc, bc->sites[arg & 0x3fffffff].blk, bc->sites[arg & 0x3fffffff].off, true);
    return x;
}

/* The current block is being run and has just been dropped: leave it at the next guest instruction. */
static void leave_dead_block(struct bt_cpu *bc, uint32_t blk, uint16_t off)
{
    struct bt_block *b = &bc->blocks[blk];
    b->dead = 3;
    for (unsigned i = 0; i < b->n_map; i++) {
        if (bc->maps[b->map + i].off <= off)
            continue;
        if (bc->code_used + 64 > bc->code_limit || bc->n_blocks + 64 > MAX_BLOCKS)
            bt_cache_full(bc); /* this one still has room in the reserve */
        bt_flags_in(bc);
        bt_flags_recover(bc, blk, bc->maps[b->map + i].off, false); /* the new code may want what the old one did not */
        bt_flags_out(bc);
        bc->code_used = (bc->code_used + 15) & ~15u;
        struct em e = {bc->code_rw + bc->code_used};
        uint64_t rip = bc->cells[b->cpage].va + bc->maps[b->map + i].off;
        if ((bc->mode & M_CODE) != M_CODE64)
            rip = (uint32_t)rip;
        uint32_t at = bc->code_used;
        e_movi(&e, 10, rip);
        e_fix(e_jmp32(&e), bc->code_rw + bc->tr_indirect);
        bt_piece_add(bc, &e, (struct bt_block){.code = at, .tramp_target = blk, .cpage = b->cpage, .off = off, .dead = 2});
        struct em j = {bc->code_rw + b->code + bc->maps[b->map + i].host};
        e_fix(e_jmp32(&j), bc->code_rw + at);
        return;
    }
}

static bool same_bytes(const uint8_t *a, const uint8_t *b, unsigned n)
{
    unsigned k = 0;
    while (k < n && a[k] == b[k])
        k++;
    return k == n;
}

unsigned bt_slow_post(struct bt_cpu *bc, uint32_t idx)
{
    struct bt_site *s = &bc->sites[idx];
    bc->cur_blk = s->blk;
    bc->ret_r10 = bc->scr_r10;
    bc->resume_ip = (uint64_t)(uintptr_t)bc->code_rx + s->op + s->oplen;
    unsigned size = bc->bnc.size, n0 = bc->bnc.n0;
    if (bc->bnc.acc & ACC_W) {
        uint16_t hf = bc->hflags;
        /* Somebody who writes all of it anew, here and now a little further on, is faster where the lines are no longer watched. */
        uint64_t at = bc->bnc.gpa[0], was = bc->bnc.kept_at;
        bool stream = at != was && at - was + 16 < 32;
        if (bc->bnc.direct && bc->bnc.kept && !stream && same_bytes(bc->bnc.was, bc->bnc.host[0], size)) {
            bc->bnc.kept_at = at; /* the code is what it was */
        } else if (bc->bnc.direct) {
            bt_code_written_local(bc, bc->bnc.gpa[0], n0);
            if (size > n0)
                bt_code_written_local(bc, bc->bnc.gpa[1], size - n0);
        } else if (bc->bnc.masked) {
            masked_copy(bc, bc->bnc.data + bc->bnc.shift, true);
            bt_fpu_in(bc);
        } else {
            uint64_t lo = bc->bnc.gpa[0] & 63;
            uint8_t *d = bc->bnc.data + lo;
            uint64_t g;
            if (size > n0 && bt_tlb_find(bc, bc->bnc.lin, bc->bnc.acc, &g) == bc->bnc.host[0] && bc->bnc.host[0] &&
                bt_tlb_find(bc, second_page(bc, bc->bnc.lin, n0), bc->bnc.acc, &g) == bc->bnc.host[1] && bc->bnc.host[1]) {
                copy_part(bc->bnc.host[0], d, n0);
                copy_part(bc->bnc.host[1], d + n0, size - n0);
            } else {
                bt_phys_write(&bc->c, bc->bnc.gpa[0], d, n0);
                if (size > n0)
                    bt_phys_write(&bc->c, bc->bnc.gpa[1], d + n0, size - n0);
            }
            bt_fpu_in(bc);
        }
        bc->hflags = hf;
    }
    bt_exclusive_end(bc);
    if (bc->watch_hit) {
        bc->watch_hit = false;
        bc->db_pending = true;
        bc->exit_req = 1;
        bt_block_drop(bc, s->blk);
    }
    if (bc->left)
        bt_block_drop(bc, s->blk);
    if (bc->blocks[s->blk].dead)
        leave_dead_block(bc, s->blk, s->off);
    return 0;
}

/* The page at lin for execution, to look at only: NULL if there is none. Nothing is reported; the guest's accessed bits may be set, as by speculation. */
const uint8_t *bt_peek_page(struct bt_cpu *bc, uint64_t lin)
{
    struct cpu_fault keep = bc->c.fault;
    struct cpu_walk w;
    int r = cpu_walk(&bc->c, lin, ACC_X | (bc->c.cpl == 3 ? ACC_USER : 0), &w);
    bc->c.fault = keep;
    return r < 0 ? NULL : bt_ram_ptr(bc, a20(bc, w.gpa) & ~0xfffull, false);
}

/* For the translator: the page at lin for execution. -1: fault. What is not memory reads as FFh: an invalid opcode. */
int bt_fetch_page(struct bt_cpu *bc, uint64_t lin, uint64_t *gpa, bool *global, uint8_t **host)
{
    struct cpu_walk w;
    if (cpu_walk(&bc->c, lin, ACC_X | (bc->c.cpl == 3 ? ACC_USER : 0), &w) < 0)
        return -1;
    if (w.page_size > PAGE)
        bt_large_note(bc, lin, w.page_size);
    *gpa = a20(bc, w.gpa) & ~0xfffull;
    *global = w.global && (bc->c.s.cr4 & CR4_PGE) && (bc->c.s.cr0 & CR0_PG);
    *host = bt_ram_ptr(bc, *gpa, false);
    if (!*host) {
        bc->c.ops->guest_error(&bc->c, "Code fetch outside memory", *gpa, lin);
        return cpu_raise(&bc->c, X_UD);
    }
    return 0;
}
