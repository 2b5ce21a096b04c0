/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hub of a vCPU: events, the mode word, finding and entering blocks. In here s.rflags, s.gpr and s.rip are the truth; bt_enter takes
 * them into the host registers and brings them back.
 */
#include "bt/bt_private.h"

#include <immintrin.h>

/* ---- vector state ---- */

void bt_fpu_out(struct bt_cpu *bc)
{
    if (!bc->fpu_live)
        return;
    uint64_t m = bc->bv->host_xcr0;
    if (m)
        __asm__ volatile("xsave64 %0" : "+m"(bc->c.s.xsave) : "a"((uint32_t)m), "d"((uint32_t)(m >> 32)) : "memory");
    else
        __asm__ volatile("fxsave64 %0" : "+m"(bc->c.s.xsave)::"memory");
    static const uint32_t mxcsr = 0x1f80;
    __asm__ volatile("fninit; ldmxcsr %0" ::"m"(mxcsr));
    bc->fpu_live = false;
}

void bt_fpu_in(struct bt_cpu *bc)
{
    if (bc->fpu_live)
        return;
    uint64_t m = bc->bv->host_xcr0;
    if (m)
        __asm__ volatile("xrstor64 %0" ::"m"(bc->c.s.xsave), "a"((uint32_t)m), "d"((uint32_t)(m >> 32)) : "memory");
    else
        __asm__ volatile("fxrstor64 %0" ::"m"(bc->c.s.xsave) : "memory");
    bc->fpu_live = true;
}

/* ---- the mode word ---- */

static bool seg_flat(const struct cpu_seg *s)
{
    return s->base == 0 && s->limit == 0xffffffff && (s->attr & SEG_P) && (s->attr & 0x1e) == 0x12; /* writable, expand-up data */
}

static bool seg_big(const struct cpu_seg *s) { return s->limit == 0xffffffff && (s->attr & 0x9e) == 0x92; }

static void seg_limits(struct bt_cpu *bc, unsigned i)
{
    const struct cpu_seg *s = &bc->c.s.seg[i];
    int64_t r = -1, w = -1;
    bool real = !(bc->c.s.cr0 & CR0_PE) || (bc->c.s.rflags & FL_VM);
    uint64_t from = (uint64_t)s->limit | (uint64_t)s->attr << 32 | (uint64_t)real << 62 | 1ull << 63;
    if (bc->lim_from[i] == from)
        return;
    bc->lim_from[i] = from;
    /* Offsets up to limit - 63 pass inline; the last ones and every odd case are looked at in C. */
    if ((s->attr & SEG_P) && s->limit >= 64) {
        int64_t top = (int64_t)s->limit - 63;
        bool code = s->attr & 8, down = !code && (s->attr & 4);
        if (real) {
            r = w = top;
        } else if (!down) {
            if (!code || (s->attr & 2))
                r = top;
            if (!code && (s->attr & 2))
                w = top;
        }
    }
    bc->lim_r[i] = r;
    bc->lim_w[i] = w;
}

/* Where a mode's numbers are kept: by itself, and by the address space too. Two modes in one place would take each other's away at each change. */
static uint32_t gctx_at(const struct bt_cpu *bc, uint32_t mode) { return (uint32_t)((mode + bc->cs_key) * 0x9e3779b97f4a7c15ull >> 57) & (CTX_N - 1); }
static uint32_t ctx_at(const struct bt_cpu *bc, uint32_t h) { return (h + bc->as_cur * 37) & (CTX_N - 1); }
static bool gctx_is(const struct bt_cpu *bc, uint32_t h, uint32_t mode) { return bc->gctxcache[h].mode == mode && bc->gctxcache[h].key == bc->cs_key; }
static bool ctx_is(const struct bt_cpu *bc, uint32_t a, uint32_t mode)
{
    return bc->ctxcache[a].mode == mode && bc->ctxcache[a].key == bc->cs_key && bc->ctxcache[a].as == bc->as_cur;
}

/* So that translated code can do what bt_mode_ac does. */
static void alt_load(struct bt_cpu *bc)
{
    bc->alt_ctx[0] = bc->alt_ctx[1] = 0;
    if (CPL_OF(bc->mode) || !(bc->c.s.cr4 & CR4_SMAP))
        return;
    uint32_t mode = bc->mode ^ M_AC, h = gctx_at(bc, mode), a = ctx_at(bc, h);
    if (gctx_is(bc, h, mode) && bc->gctxcache[h].ctx && ctx_is(bc, a, mode) && bc->ctxcache[a].ctx) {
        bc->alt_ctx[0] = bc->ctxcache[a].ctx;
        bc->alt_ctx[1] = bc->gctxcache[h].ctx;
    }
}

void bt_ctx_load(struct bt_cpu *bc)
{
    uint32_t as = bc->as_cur, h = gctx_at(bc, bc->mode), a = ctx_at(bc, h);
    if (!gctx_is(bc, h, bc->mode)) {
        bc->gctxcache[h].mode = bc->mode;
        bc->gctxcache[h].key = bc->cs_key;
        bc->gctxcache[h].ctx = 0;
    }
    if (!ctx_is(bc, a, bc->mode)) {
        bc->ctxcache[a].mode = bc->mode;
        bc->ctxcache[a].key = bc->cs_key;
        bc->ctxcache[a].as = as;
        bc->ctxcache[a].ctx = 0;
    }
    if (bc->ctx_next + 2 > CTX_MAX) { /* start again: no code page is valid until it has been looked at */
        for (uint32_t i = 1; i < bc->n_cpages; i++)
            bt_cell_set(bc, i, 0, bc->cells[i].va);
        for (uint32_t i = 0; i < CTX_N; i++)
            bc->ctxcache[i].ctx = bc->gctxcache[i].ctx = 0;
        cpu_zero(bc->vcache, sizeof bc->vcache);
        bc->ctx_next = 0;
    }
    if (!bc->ctxcache[a].ctx)
        bc->ctxcache[a].ctx = ++bc->ctx_next;
    if (!bc->gctxcache[h].ctx)
        bc->gctxcache[h].ctx = ++bc->ctx_next;
    bc->real_ctx = bc->ctxcache[a].ctx;
    bc->real_gctx = bc->gctxcache[h].ctx;
    alt_load(bc);
    /* Only the kick signal, which runs on this thread, writes these behind our back: the order matters to the compiler alone. */
    __atomic_store_n(&bc->ctx, bc->real_ctx, __ATOMIC_RELAXED);
    __atomic_store_n(&bc->gctx, bc->real_gctx, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&bc->exit_req, __ATOMIC_RELAXED))
        bc->ctx = bc->gctx = ~0u;
}

/* Translations of the current address space have changed; global: also those that all have in common. */
void bt_new_ctx(struct bt_cpu *bc, bool global)
{
    for (uint32_t i = 0; i < CTX_N; i++) {
        if (bc->ctxcache[i].as == bc->as_cur)
            bc->ctxcache[i].ctx = 0;
        if (global)
            bc->gctxcache[i].ctx = 0;
    }
    bt_ctx_load(bc);
}

static bool exec_breakpoints(const struct bt_cpu *bc)
{
    uint64_t d = bc->c.s.dr7;
    if (!(d & 0xff))
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (((d >> (2 * i)) & 3) && ((d >> (16 + 4 * i)) & 3) == 0)
            return true;
    return false;
}

static uint32_t mode_word(struct bt_cpu *bc)
{
    const struct cpu_state *s = &bc->c.s;
    uint32_t m = 0;
    bool lm = s->efer & EFER_LMA, vm86 = s->rflags & FL_VM;
    uint16_t cs = s->seg[S_CS].attr;
    unsigned cpl = bc->c.cpl;
    if (lm && (cs & SEG_L))
        m |= M_CODE64 | M_SS32 | M_FLAT | M_CSFLAT;
    else {
        if ((cs & SEG_DB) && !vm86)
            m |= M_CODE32;
        if ((s->seg[S_SS].attr & SEG_DB) && !vm86)
            m |= M_SS32;
        if (seg_flat(&s->seg[S_DS]) && seg_flat(&s->seg[S_ES]) && seg_flat(&s->seg[S_SS]) && (s->cr0 & CR0_PE) && !vm86)
            m |= M_FLAT;
        if (s->seg[S_CS].base == 0 && s->seg[S_CS].limit == 0xffffffff)
            m |= M_CSFLAT;
        /* Only where code uses them: a kernel that leaves GS to its programs is translated once, whatever they have there. */
        uint8_t used = bc->big_used[cpl == 3];
        if (used & BIG_FS && seg_big(&s->seg[S_FS]))
            m |= M_FSBIG;
        if (used & BIG_GS && seg_big(&s->seg[S_GS]))
            m |= M_GSBIG;
    }
    m |= cpl << 3;
    if (lm)
        m |= M_LM;
    if (s->cr0 & CR0_PE)
        m |= M_PE;
    if (vm86)
        m |= M_VM86;
    if (!(s->cr0 & (CR0_EM | CR0_TS))) {
        m |= M_FPU;
        if (s->cr4 & CR4_OSFXSR)
            m |= M_SSE;
    }
    if (!(s->cr0 & CR0_TS) && (s->cr4 & CR4_OSXSAVE) && (s->cr0 & CR0_PE) && !vm86) {
        if ((s->xcr0 & 6) == 6)
            m |= M_AVX;
        if ((s->xcr0 & 0xe6) == 0xe6)
            m |= M_AVX512;
    }
    if (cpl == 3) {
        m |= 1u << 14;
        if ((s->cr0 & CR0_AM) && (s->rflags & FL_AC))
            m |= M_ALIGN;
    } else if ((s->cr4 & CR4_SMAP) && (s->rflags & FL_AC)) {
        m |= M_AC;
    }
    if ((s->cr4 & CR4_TSD) && cpl && (s->cr0 & CR0_PE))
        m |= M_NOTSC;
    if ((s->rflags & FL_TF) || exec_breakpoints(bc))
        m |= M_SINGLE;
    return m;
}

void bt_mode_update(struct bt_cpu *bc)
{
    uint32_t m = mode_word(bc);
    bc->mode_dirty = false;
    uint64_t key = 0;
    if (!(m & M_CSFLAT))
        key = bc->c.s.seg[S_CS].base * 0x9e3779b97f4a7c15ull + bc->c.s.seg[S_CS].limit + 1;
    if ((m & M_CODE) != M_CODE64)
        for (unsigned i = 0; i < S_COUNT; i++)
            seg_limits(bc, i);
    if (m == bc->mode && key == bc->cs_key)
        return;
    bc->mode = m;
    bc->cs_key = key;
    bt_ctx_load(bc);
}

/* After STAC and CLAC, of which a system call has several: only AC has changed, at CPL 0. */
void bt_mode_ac(struct bt_cpu *bc)
{
    if (bc->mode_dirty || (bc->mode & M_UNLINKED)) {
        bc->mode_dirty = true;
        return;
    }
    uint32_t m = bc->mode & ~(uint32_t)M_MMU;
    if ((bc->c.s.cr4 & CR4_SMAP) && (bc->c.s.rflags & FL_AC))
        m |= M_AC;
    if (m == bc->mode)
        return;
    bc->mode = m;
    bt_ctx_load(bc);
}

/* ---- finding blocks ---- */

static inline uint64_t lin_of(const struct bt_cpu *bc, uint64_t rip)
{
    return (bc->mode & M_CODE) == M_CODE64 ? rip : (uint32_t)(bc->c.s.seg[S_CS].base + rip);
}

static uint32_t vcache_at(uint64_t lin, uint32_t ctx) { return ((uint32_t)(lin >> 12) ^ ctx * 0x9e5u) & 1023; }

/* The code page of lin without a walk. An entry of the cache says what a walk found while its ctx was the current one, so it still holds when that
 * is current again; the code page may have served another address space meanwhile. */
static uint32_t cpage_fast(struct bt_cpu *bc, uint64_t lin)
{
    uint64_t page = lin & ~0xfffull;
    for (unsigned g = 0; g < 2; g++) {
        uint32_t cur = g ? bc->real_gctx : bc->real_ctx, k = vcache_at(lin, cur);
        if (bc->vcache[k].lin != page || bc->vcache[k].ctx != cur)
            continue;
        uint32_t cp = bc->vcache[k].cpage;
        if (bc->cpages[cp].lin != page)
            continue;
        if (bc->cells[cp].ctx != cur)
            bt_cell_set(bc, cp, cur, bc->cells[cp].va);
        return cp;
    }
    return 0;
}

/* The block has bytes of another page: is that still the one? Then the check at its entry will find so too. */
static bool tail_valid(struct bt_cpu *bc, const struct bt_block *b)
{
    const struct bt_cpage *p = &bc->cpages[b->cpage];
    uint32_t cp2 = bc->blocks[b->tail].cpage;
    uint64_t delta = (uint64_t)(int64_t)b->tail_delta;
    return cpage_fast(bc, p->lin + delta) == cp2 && bc->cells[cp2].va == bc->cells[b->cpage].va + delta;
}

/* A block that exists and is valid now, without any work; 0 otherwise. */
static uint32_t find_fast(struct bt_cpu *bc, uint64_t rip)
{
    uint64_t lin = lin_of(bc, rip);
    if (!cpu_canonical(lin))
        return 0;
    uint32_t cp = cpage_fast(bc, lin);
    if (!cp)
        return 0;
    uint32_t b = bt_cpage_find_block(bc, cp, (uint16_t)(lin & 0xfff));
    return b && bc->blocks[b].links && (!bc->blocks[b].tail || tail_valid(bc, &bc->blocks[b])) ? b : 0;
}

static void watch_code(struct bt_cpu *bc, uint64_t gpa, uint32_t lo, uint32_t hi)
{
    struct bt_vm *bv = bc->bv;
    uint64_t pfn = gpa >> 12;
    if (pfn >= bv->n_pfn)
        return;
    uint64_t mask = (hi - 1) >> 6 >= 63 ? ~0ull : (1ull << (((hi - 1) >> 6) + 1)) - 1;
    mask &= ~((1ull << (lo >> 6)) - 1);
    pthread_mutex_lock(&bv->page_lock[pfn & 63]);
    __atomic_fetch_or(&bv->code_cpus[pfn], (uint8_t)(1u << bc->c.index), __ATOMIC_SEQ_CST);
    __atomic_fetch_or(&bv->code_lines[pfn], mask, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&bv->mark_seq[pfn], 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&bv->page_lock[pfn & 63]);
    uint8_t w = __atomic_load_n(&bv->write_cpus[pfn], __ATOMIC_SEQ_CST);
    if (w & (1u << bc->c.index)) {
        bt_tlb_drop_writes(bc, gpa & ~0xfffull, PAGE);
        w &= (uint8_t) ~(1u << bc->c.index);
    }
    if (w)
        bt_shoot_others(bc, SHOOT_WRITES, gpa & ~0xfffull, PAGE, w, true);
}

/* The code page of lin, by a walk if need be. 0: c->fault; UINT32_MAX: there is no room. */
static uint32_t cpage_of(struct bt_cpu *bc, uint64_t lin)
{
    uint32_t cp = cpage_fast(bc, lin);
    if (cp)
        return cp;
    uint64_t gpa;
    uint8_t *host;
    bool global;
    if (bt_fetch_page(bc, lin, &gpa, &global, &host) < 0)
        return 0;
    cp = bt_cpage_get(bc, gpa, lin & ~0xfffull, global);
    if (!cp)
        return UINT32_MAX;
    uint32_t cur = global ? bc->real_gctx : bc->real_ctx, k = vcache_at(lin, cur);
    bc->vcache[k].lin = lin & ~0xfffull;
    bc->vcache[k].cpage = cp;
    bc->vcache[k].ctx = cur;
    return cp;
}

/*
 * For a block of code page cp that is made of bytes lo to hi of the page at lin2, too: that page's physical address and bytes, as of now. Returns its
 * code page, which from now on is told of writes to them; 0 when it is none that a block could check (after a page, the dispatcher then compares the
 * bytes), or c->fault when *host is NULL.
 */
uint32_t bt_cpage_beside(struct bt_cpu *bc, uint32_t cp, uint64_t lin2, uint32_t lo, uint32_t hi, uint64_t *gpa2, const uint8_t **host)
{
    bool global;
    uint8_t *h = NULL;
    *host = NULL;
    if (bt_fetch_page(bc, lin2, gpa2, &global, &h) < 0)
        return 0;
    *host = h;
    int64_t delta = (int64_t)(lin2 - bc->cpages[cp].lin);
    if (delta > 1 << 30 || delta < -(1 << 30)) /* around the end of memory */
        return 0;
    if (bc->mode & M_UNLINKED)
        return 0;
    uint32_t cp2 = cpage_of(bc, lin2);
    if (!cp2 || cp2 == UINT32_MAX || bc->cells[cp2].va != bc->cells[cp].va + (uint64_t)delta || bc->cpages[cp2].gpa != *gpa2)
        return 0;
    bc->tr_page2 = *gpa2;
    watch_code(bc, *gpa2, lo, hi);
    return cp2;
}

/* Are the bytes of the second page still those that the block at page offset off was made of? -1: c->fault. */
static int cross_same(struct bt_cpu *bc, const struct bt_block *b, uint64_t lin)
{
    uint64_t gpa2, lin2 = (lin & ~0xfffull) + PAGE;
    bool global;
    uint8_t *h2;
    if ((bc->mode & M_CODE) != M_CODE64)
        lin2 = (uint32_t)lin2;
    if (b->tail) /* which makes the check at its entry come out well */
        return cpage_of(bc, lin2) ? tail_valid(bc, b) : -1;
    if (bt_fetch_page(bc, lin2, &gpa2, &global, &h2) < 0)
        return -1;
    const uint8_t *want = (const uint8_t *)b->cross_bytes;
    for (unsigned have = PAGE - b->off, i = have; i < 15 && i < b->len; i++)
        if (want[i] != h2[i - have])
            return 0;
    return 1;
}

/* Is the page of the block's thunk where it was, and mapped? If not, the block is made without it. */
static bool thunk_same(struct bt_cpu *bc, const struct bt_block *b)
{
    struct cpu_fault keep = bc->c.fault;
    uint32_t cp2 = cpage_of(bc, bc->cpages[b->cpage].lin + (uint64_t)(int64_t)b->tail_delta);
    bc->c.fault = keep;
    return cp2 && tail_valid(bc, b);
}

/* The block at s.rip, translated if need be. 0: c->fault. */
static uint32_t find(struct bt_cpu *bc)
{
    for (;;) {
        uint64_t rip = bc->c.s.rip, lin = lin_of(bc, rip);
        if ((bc->mode & M_CODE) == M_CODE64 && !cpu_canonical(rip)) {
            cpu_raise_code(&bc->c, X_GP, 0);
            return 0;
        }
        if ((bc->mode & M_CODE) != M_CODE64 && !(bc->mode & M_CSFLAT) && rip > bc->c.s.seg[S_CS].limit) {
            cpu_raise_code(&bc->c, X_GP, 0);
            return 0;
        }
        uint32_t cp = cpage_of(bc, lin);
        if (!cp)
            return 0;
        if (cp == UINT32_MAX) {
            bt_cache_flush(bc);
            continue;
        }
        uint64_t gpa = bc->cpages[cp].gpa;
        uint16_t off = (uint16_t)(lin & 0xfff);
        uint32_t b = bt_cpage_find_block(bc, cp, off);
        if (b && bc->blocks[b].cross) {
            int same = cross_same(bc, &bc->blocks[b], lin);
            if (same < 0)
                return 0;
            if (!same) {
                bt_block_drop(bc, b);
                b = 0;
            }
        }
        if (b && bc->blocks[b].tail && !bc->blocks[b].cross && !thunk_same(bc, &bc->blocks[b])) {
            bt_block_drop(bc, b);
            b = 0;
        }
        if (b)
            return b;
        uint8_t *host = bt_ram_ptr(bc, gpa, false);
        if (!host) {
            cpu_raise(&bc->c, X_UD);
            return 0;
        }
        bc->tr_page = gpa;
        bc->tr_again = false;
        b = bt_dead_find(bc, cp, off, host);
        if (!b)
            b = bt_translate(bc, cp, rip, lin, host);
        if (!b || b == UINT32_MAX) {
            bc->tr_page = bc->tr_page2 = 1;
            if (!b)
                return 0;
            bt_cache_flush(bc);
            bt_ctx_load(bc);
            continue;
        }
        for (uint32_t k = b; k; k = bc->blocks[k].tail) {
            uint32_t *head = &bc->cpages[bc->blocks[k].cpage].bucket[bc->blocks[k].off >> BUCKET_SHIFT];
            bc->blocks[k].next = *head;
            *head = k;
        }
        /* Only now is known which lines it is of. What is there after they have been marked can no longer change unnoticed. */
        const struct bt_block *k = &bc->blocks[b];
        uint32_t end = bt_block_end(k);
        watch_code(bc, gpa, off, end < PAGE ? end : PAGE);
        bc->tr_page = bc->tr_page2 = 1;
        if (bc->tr_again || !bt_block_same(bc, k, host)) { /* or served another vCPU's write meanwhile */
            bt_block_drop(bc, b);
            continue;
        }
        if (bc->big_new && !(bc->mode & M_UNLINKED)) { /* the first use of FS or GS: the mode may be another now */
            bc->big_new = false;
            uint32_t mode = bc->mode;
            bt_mode_update(bc);
            if (bc->mode != mode)
                continue;
        }
        return b;
    }
}

unsigned bt_slow_link(struct bt_cpu *bc, uint32_t xi)
{
    struct bt_exit *x = &bc->exits[xi];
    const struct bt_block *src = &bc->blocks[x->blk];
    uint64_t rip = bc->cells[src->cpage].va + (uint64_t)x->delta;
    if ((bc->mode & M_CODE) != M_CODE64)
        rip = (uint32_t)rip;
    if (x->alt != ALT_NONE) { /* flags that the alternative block overwrites as well: a fault in it may show them */
        bt_flags_in(bc);
        bt_flags_recover(bc, x->blk, (uint16_t)x->delta, true);
        bt_flags_out(bc);
    }
    if (!__atomic_load_n(&bc->exit_req, __ATOMIC_RELAXED) && !(bc->mode & M_UNLINKED) && !src->dead) {
        uint32_t b = x->alt != ALT_NONE ? bt_block_alone(bc, x->blk, (uint16_t)x->delta) : find_fast(bc, rip);
        if (b) {
            bt_link(bc, xi, b);
            bc->cur_blk = b;
            bt_flags_snap(bc, b);
            bc->resume_ip = (uint64_t)(uintptr_t)bc->code_rx + bc->blocks[b].code;
            return 0;
        }
    }
    bc->nogroup_once = x->alt != ALT_NONE;
    bc->c.s.rip = rip;
    bt_flags_in(bc);
    return BTX_DISPATCH;
}

unsigned bt_slow_indirect(struct bt_cpu *bc, uint32_t unused)
{
    uint64_t rip = bc->scr_r10;
    if (!__atomic_load_n(&bc->exit_req, __ATOMIC_RELAXED) && !(bc->mode & M_UNLINKED)) {
        uint32_t b = find_fast(bc, rip);
        if (b) {
            if (!(bc->stress.on & BT_STRESS_NOCHAIN))
                bt_jc_set(bc, rip, b);
            bc->cur_blk = b;
            bt_flags_snap(bc, b);
            bc->resume_ip = (uint64_t)(uintptr_t)bc->code_rx + bc->blocks[b].code;
            return 0;
        }
    }
    bc->c.s.rip = rip;
    bc->by_indirect = true;
    bt_flags_in(bc);
    if ((bc->mode & M_CODE) == M_CODE64 && !cpu_canonical(rip) && bt_branch_back(bc)) {
        cpu_raise_code(&bc->c, X_GP, 0);
        return BTX_FAULT;
    }
    return BTX_DISPATCH;
}

/* Is it the block at rip, and valid now? No two modes, keys or address spaces have the same ctx. */
static bool still_there(const struct bt_cpu *bc, uint32_t b, uint64_t rip)
{
    const struct bt_block *k = &bc->blocks[b];
    const struct bt_cell *cell = &bc->cells[k->cpage];
    return (cell->ctx == bc->real_ctx || cell->ctx == bc->real_gctx) && cell->va + k->off == rip && !k->dead && !k->tail && k->links;
}

bool bt_resume_at(struct bt_cpu *bc, struct bt_rec *r)
{
    const struct cpu_state *s = &bc->c.s;
    if (__atomic_load_n(&bc->exit_req, __ATOMIC_RELAXED) || bc->mode & M_UNLINKED || bc->nogroup_once || bc->flags_blocks ||
        bc->view_stale || bc->dbg_how || bc->db_pending || bc->left || bc->cache_full || bc->stress.on || s->intr_shadow || s->nmi_pending || s->smi_pending ||
        (bc->intr_check && (s->rflags & FL_IF)) || (s->rflags & FL_RF) || s->run_state != CPU_RUNNING)
        return false;
    uint32_t b = r->then;
    if (!b || !still_there(bc, b, s->rip)) {
        b = find_fast(bc, s->rip);
        if (!b)
            return false;
        r->then = b;
    }
    bt_fpu_in(bc);
    bt_flags_out(bc);
    bt_flags_snap(bc, b);
    bc->cur_blk = b;
    bc->resume_ip = (uint64_t)(uintptr_t)bc->code_rx + bc->blocks[b].code;
    return true;
}

/* ---- events ---- */

/*
 * An x87 error with CR0.NE = 0 (SDM vol. 3, 8.7.2): FERR#, and the processor stands still until an interrupt comes, with the instruction still
 * to be done. IGNNE# matters only where interrupts are off: there nothing else could end the wait. The instruction then goes on without its
 * error, whose flags are lost to it.
 */
static int legacy_fpu_error(struct bt_cpu *bc)
{
    struct cpu_state *s = &bc->c.s;
    bc->c.fault = (struct cpu_fault){0};
    bt_fpu_out(bc);
    if (intr_ignne(bc->v) && !(s->rflags & FL_IF)) {
        s->xsave[2] &= 0x40; /* ES and the six errors; the stack fault stays */
        s->xsave[3] &= 0x7f; /* B */
    } else {
        intr_ferr(bc->v);
        s->run_state = CPU_HALTED;
    }
    bt_mode_update(bc);
    return 0;
}

static int deliver(struct bt_cpu *bc)
{
    if (bc->c.fault.vector == X_MF && !(bc->c.s.cr0 & CR0_NE))
        return legacy_fpu_error(bc);
    bc->st.exceptions++;
    int r = cpu_deliver_fault(&bc->c);
    bt_mode_update(bc);
    return r;
}

static enum vcpu_exit run(struct bt_cpu *bc)
{
    struct vcpu *v = bc->v;
    struct cpu_state *s = &bc->c.s;
    for (;;) {
        if (__atomic_load_n(&bc->exit_req, __ATOMIC_SEQ_CST)) {
            __atomic_store_n(&bc->exit_req, 0, __ATOMIC_SEQ_CST);
            __atomic_store_n(&bc->ctx, bc->real_ctx, __ATOMIC_SEQ_CST);
            __atomic_store_n(&bc->gctx, bc->real_gctx, __ATOMIC_SEQ_CST);
        }
        uint32_t rq = atomic_load(&v->requests);
        if (rq) {
            if (rq & VR_VIEW) {
                atomic_fetch_and(&v->requests, ~(uint32_t)VR_VIEW);
                bc->view_stale = true;
            }
            if (rq & VR_TLB) {
                atomic_fetch_and(&v->requests, ~(uint32_t)VR_TLB);
                bt_shoot_serve(bc);
            }
            if (rq & VR_NMI) {
                atomic_fetch_and(&v->requests, ~(uint32_t)VR_NMI);
                uint32_t n = atomic_exchange(&v->nmis, 0) + s->nmi_pending, most = s->nmi_blocked ? 1 : 2;
                s->nmi_pending = (uint8_t)(n < most ? n : most);
            }
            if (rq & VR_SMI) {
                atomic_fetch_and(&v->requests, ~(uint32_t)VR_SMI);
                s->smi_pending = 1;
            }
            if (rq & VR_INTR) {
                atomic_fetch_and(&v->requests, ~(uint32_t)VR_INTR);
                bc->intr_check = true;
            }
            if (rq & (VR_PARK | VR_STILL | VR_INIT | VR_SIPI))
                return VX_AGAIN;
        }
        if (bc->view_stale) {
            bc->view_stale = false;
            bt_fpu_out(bc);
            v->smm = s->smm;
            vcpu_safe_point(v); /* before the new view is looked up */
            bc->view = memmap_view(v->vm, s->smm);
            bt_cpuid_forget(bc); /* the state may be another one, too */
            bt_tlb_flush(bc, true);
            bt_cache_flush(bc);
            bt_ctx_load(bc);
        }
        if (bc->dbg_how == DEBUG_HOLD)
            return VX_HALT;
        if (s->run_state == CPU_SHUTDOWN)
            return VX_SHUTDOWN;
        if (s->run_state == CPU_WAIT_SIPI)
            return VX_HALT;
        if (bc->watch_hit) { /* by the frame of an interrupt */
            bc->watch_hit = false;
            bc->db_pending = true;
        }
        bool step = bc->dbg_how == DEBUG_ONE && s->run_state == CPU_RUNNING;
        bool shadow = s->intr_shadow && s->rip == bc->shadow_rip;
        if (!shadow)
            s->intr_shadow = 0;
        if (bc->db_pending && !(shadow && s->intr_shadow == 2)) { /* SDM vol. 3, 6.8.3: held until MOV SS's successor is done */
            if (bc->watch_dr6 & WATCH_DEBUGGER) { /* first what watches from outside, then the guest's own */
                bc->watch_dr6 &= ~(uint64_t)WATCH_DEBUGGER;
                bc->db_pending = bc->watch_dr6 != 0;
                return VX_DEBUG;
            }
            bc->db_pending = false;
            bc->c.fault = (struct cpu_fault){.vector = X_DB, .dr6_bits = bc->watch_dr6};
            bc->watch_dr6 = 0;
            if (deliver(bc) < 0)
                return VX_SHUTDOWN;
            continue;
        }
        if (s->exc_pending || s->intr_pending) { /* begun by the other engine (vm_switch_backend, saved state) */
            bool exc = s->exc_pending;
            bc->c.fault = (struct cpu_fault){.vector = s->exc_vector, .has_code = s->exc_has_code, .code = s->exc_code, .cr2 = s->cr2,
                                            .dr6_bits = exc && s->exc_vector == X_DB ? s->dr6 & 15 : 0};
            s->run_state = CPU_RUNNING;
            *(exc ? &s->exc_pending : &s->intr_pending) = 0;
            if (exc ? deliver(bc) < 0 : cpu_deliver_external(&bc->c, s->intr_vector, false) < 0)
                return VX_SHUTDOWN;
            bt_mode_update(bc);
            continue;
        }
        if (s->smi_pending && !s->smm && !step) {
            s->smi_pending = 0;
            s->run_state = CPU_RUNNING;
            cpu_smi_enter(&bc->c);
            bt_mode_update(bc);
            bc->view_stale = true;
            continue;
        }
        if (s->nmi_pending && !s->nmi_blocked && !shadow && !step) {
            s->nmi_pending--;
            s->run_state = CPU_RUNNING;
            if (cpu_deliver_external(&bc->c, X_NMI, true) < 0)
                return VX_SHUTDOWN;
            bt_mode_update(bc);
            continue;
        }
        if (bc->intr_check && (s->rflags & FL_IF) && !shadow && !step) {
            bt_fpu_out(bc);
            int vec = intr_take(v);
            if (vec < 0) {
                bc->intr_check = false;
            } else {
                s->run_state = CPU_RUNNING;
                bc->st.interrupts++;
                if (cpu_deliver_external(&bc->c, (uint8_t)vec, false) < 0)
                    return VX_SHUTDOWN;
                bt_mode_update(bc);
                continue;
            }
        }
        if (s->run_state == CPU_HALTED)
            return VX_HALT;
        if (bc->mode_dirty)
            bt_mode_update(bc);
        if (bc->cache_full) {
            bt_cache_flush(bc);
            bt_ctx_load(bc);
            bt_cache_flushed(bc);
        }
        if (bc->hot_sample)
            bt_hot_look(bc);
        if (bc->stress.on)
            bt_stress_dispatch(bc);
        if (bc->bv->dbg_exec && !step && bt_debug_exec(bc, lin_of(bc, s->rip)))
            return VX_DEBUG;
        bool single = bc->mode & M_SINGLE, forced = false, tf = s->rflags & FL_TF;
        if (step) {
            bc->nogroup_once = false; /* one instruction has no groups */
            bc->stress.single_once = true;
        }
        if (bc->stress.single_once) {
            bc->stress.single_once = false;
            if (!bc->nogroup_once && !single) {
                forced = true;
                bc->mode |= M_SINGLE;
                bt_ctx_load(bc);
            }
        } else if ((shadow && !single && (bc->intr_check || s->nmi_pending || bc->db_pending)) || bc->nogroup_once) {
            forced = true; /* for one block */
            bc->mode |= bc->nogroup_once ? M_NOGROUP : M_SINGLE;
            bc->nogroup_once = false;
            bt_ctx_load(bc);
        }
        if (bc->flags_blocks && bc->c.cpl == bc->flags_cpl) { /* not what an interrupt runs in between */
            bc->flags_blocks--;
            forced = true;
            bc->mode |= M_FLAGS;
            bt_ctx_load(bc);
        }
        /* MOV SS inhibits them on Intel's processors only. */
        if (single && !(s->rflags & FL_RF) && !(shadow && s->intr_shadow == 2 && !bc->c.feat->amd)) { /* instruction breakpoints: faults, unless RF */
            uint64_t lin = lin_of(bc, s->rip), hit = 0;
            for (unsigned i = 0; i < 4; i++)
                if (((s->dr7 >> (2 * i)) & 3) && ((s->dr7 >> (16 + 4 * i)) & 3) == 0 && s->dr[i] == lin)
                    hit |= 1u << i;
            if (hit) {
                if (bc->db_pending) { /* held since MOV SS: one #DB for both */
                    hit |= bc->watch_dr6 & ~(uint64_t)WATCH_DEBUGGER;
                    bc->watch_dr6 &= WATCH_DEBUGGER;
                    bc->db_pending = bc->watch_dr6 != 0;
                }
                bc->c.fault = (struct cpu_fault){.vector = X_DB, .dr6_bits = hit};
                if (deliver(bc) < 0)
                    return VX_SHUTDOWN;
                continue;
            }
        }
        bc->c.next_rip = s->rip;
        uint32_t b = find(bc);
        bc->by_indirect = false;
        if (!b) {
            if (forced) {
                bc->mode = ~0u;
                bt_mode_update(bc);
            }
            if (deliver(bc) < 0)
                return VX_SHUTDOWN;
            if (step)
                goto stepped;
            continue;
        }
        if (shadow)
            s->intr_shadow = 0;
        if (s->rflags & FL_RF)
            s->rflags &= ~(uint64_t)FL_RF;
        bt_fpu_in(bc);
        bt_flags_out(bc);
        bt_flags_snap(bc, b);
        bc->cur_blk = b;
        bc->left = bc->string_again = false;
        uint64_t next = s->rip + bc->blocks[b].len;
        unsigned x = bt_enter(bc, (uint64_t)(uintptr_t)bc->code_rx + bc->blocks[b].code);
        bt_exclusive_end(bc); /* a fault in the midst of it */
        if (forced) {
            bc->mode = ~0u; /* so that the update sees a change */
            bt_mode_update(bc);
        }
        switch (x) {
        case BTX_FAULT:
            bc->watch_hit = false; /* the instruction has not been executed */
            if (!bc->db_pending)
                bc->watch_dr6 = 0;
            if (deliver(bc) < 0)
                return VX_SHUTDOWN;
            break;
        default:
            if (s->run_state == CPU_SHUTDOWN)
                return VX_SHUTDOWN;
            /* Also between the iterations of a repeated string instruction, unless only branches count (DEBUGCTL.BTF). */
            if (tf && single && s->intr_shadow != 2 && !bc->no_step && (!(s->debugctl & 2) || (s->rip != next && !bc->string_again)))
                bt_trap(bc, DR6_BS);
            if (bc->db_pending)
                s->run_state = CPU_RUNNING; /* a trap that follows HLT ends it */
            bc->no_step = false;
            break;
        }
        if (!step)
            continue;
stepped:
        if (bc->watch_dr6 & WATCH_DEBUGGER)
            continue; /* the access is what it stops for */
        bc->dbg_how = DEBUG_RUN;
        v->debug_why = DEBUG_STEP;
        return VX_DEBUG;
    }
}

enum vcpu_exit bt_run(struct vcpu *v)
{
    struct bt_cpu *bc = v->be;
    bt_cache_tidy(bc);
    pthread_mutex_lock(&bc->shoot.lock);
    bc->in_run = true;
    pthread_mutex_unlock(&bc->shoot.lock);
    bt_shoot_serve(bc);
    bt_stress_start(bc);
    bt_mode_update(bc);
    enum vcpu_exit x = run(bc);
    bt_x87_detach(bc); /* whoever reads the state, saves it or goes on with it under another engine finds the guest's addresses */
    if (x == VX_SHUTDOWN)
        bc->c.s.run_state = CPU_SHUTDOWN;
    pthread_mutex_lock(&bc->shoot.lock);
    bc->in_run = false;
    pthread_mutex_unlock(&bc->shoot.lock);
    bt_shoot_serve(bc);
    return x;
}

/* A debug trap that follows the current instruction. */
void bt_trap(struct bt_cpu *bc, uint64_t dr6)
{
    bc->db_pending = true;
    bc->watch_dr6 |= dr6;
}

/* After a change of DR0 to DR3, DR7. */
void bt_watch_update(struct bt_cpu *bc)
{
    uint64_t d = bc->c.s.dr7, was = bc->dr_watch;
    bc->dr_watch = 0;
    for (unsigned i = 0; i < 4; i++)
        if (((d >> (2 * i)) & 3) && ((d >> (16 + 4 * i)) & 1))
            bc->dr_watch = 1;
    if (bc->bv->dbg_data)
        bc->dr_watch = 1;
    if (was | bc->dr_watch)
        bt_tlb_flush(bc, true);
}

enum { RW_DATA = 1, RW_IO = 2 };

/* Does the access hit a data or I/O breakpoint? Notes the trap that follows the instruction. */
static int breakpoint(struct bt_cpu *bc, unsigned kind, uint64_t lin, unsigned size, bool write)
{
    uint64_t d = bc->c.s.dr7, hit = 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned rw = (d >> (16 + 4 * i)) & 3, len = (d >> (18 + 4 * i)) & 3;
        if (!((d >> (2 * i)) & 3) || (kind == RW_IO ? rw != 2 : !(rw & 1) || (rw == 1 && !write)))
            continue;
        uint64_t n = len == 0 ? 1 : len == 1 ? 2 : len == 2 ? 8 : 4, a = bc->c.s.dr[i] & ~(n - 1);
        if (lin < a + n && a < lin + size)
            hit |= 1u << i;
    }
    if (!hit)
        return 0;
    bc->watch_hit = true;
    bc->watch_dr6 |= hit;
    return 1;
}

int bt_watch_check(struct bt_cpu *bc, uint64_t lin, unsigned size, unsigned acc)
{
    bool debugger = bc->bv->dbg_data && bt_debug_access(bc, lin, size, acc & ACC_W);
    return breakpoint(bc, RW_DATA, lin, size, acc & ACC_W) || debugger;
}

void bt_watch_io(struct bt_cpu *bc, uint16_t port, unsigned size)
{
    if (__builtin_expect(bc->c.s.dr7 & 0xff, 0) && (bc->c.s.cr4 & CR4_DE))
        breakpoint(bc, RW_IO, port, size, false);
}
