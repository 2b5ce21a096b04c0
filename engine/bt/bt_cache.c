/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The code cache of one vCPU: blocks, code pages, links between blocks, and what undoes them. */
#include "bt/bt_private.h"

#include "base/osmem.h"
#include "bt/bt_emit.h"

#include <stdlib.h>
#include <sys/mman.h>

/* The tables of the code cache, by index from the front: address space for `most`, pages for what is used. */
static const struct {
    size_t table, used, size, most;
} tables[] = {
#define TABLE(t, n, most) {offsetof(struct bt_cpu, t), offsetof(struct bt_cpu, n), sizeof *((struct bt_cpu *)0)->t, most}
    TABLE(blocks, n_blocks, MAX_BLOCKS), TABLE(exits, n_exits, MAX_EXITS),    TABLE(sites, n_sites, MAX_SITES),      TABLE(recs, n_recs, MAX_RECS),
    TABLE(maps, n_maps, MAX_BLOCKS * 8), TABLE(frecs, n_maps, MAX_BLOCKS * 8), TABLE(cpages, n_cpages, CELL_N),
    TABLE(srcs, n_srcs, MAX_SRCS),
#undef TABLE
};
enum { N_TABLES = sizeof tables / sizeof *tables };

static void **table_of(struct bt_cpu *bc, unsigned i) { return (void **)(void *)((uint8_t *)bc + tables[i].table); }
static uint32_t table_used(struct bt_cpu *bc, unsigned i) { return *(uint32_t *)(void *)((uint8_t *)bc + tables[i].used); }

static bool table_map(struct bt_cpu *bc, unsigned i)
{
    void *p = mmap(NULL, tables[i].size * tables[i].most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    *table_of(bc, i) = p == MAP_FAILED ? NULL : p;
    return p != MAP_FAILED;
}

/* jmp [rip + 0]; address */
static uint32_t far_jump(struct bt_cpu *bc, const char *to)
{
    struct em e = {bc->code_rw + bc->code_used};
    uint32_t at = bc->code_used;
    e2(&e, 0xff, 0x25);
    e4(&e, 0);
    e8(&e, (uint64_t)(uintptr_t)to);
    bc->code_used = (uint32_t)(e.p - bc->code_rw + 15) & ~15u;
    return at;
}

int bt_cache_init(struct bt_cpu *bc, struct err *e)
{
    void *rw, *rx;
    if (osmem_dual_map(CODE_SIZE, &rw, &rx, e) < 0)
        return -1;
    bc->code_rw = rw;
    bc->code_rx = rx;
    bool all = true;
    for (unsigned i = 0; i < N_TABLES; i++)
        all &= table_map(bc, i);
    bc->tr = bt_tr_new();
    bc->skels = bt_skels_new();
    if (!all || !bc->tr || !bc->skels)
        return err_set(e, ERR_NOMEM, 0, "Not enough address space for the translator's tables: close other programs and try again");
    bc->code_used = 0;
    bc->cold_used = CODE_HALF;
    bc->tr_mem = far_jump(bc, bt_stub_mem);
    bc->tr_post = far_jump(bc, bt_stub_post);
    bc->tr_callout = far_jump(bc, bt_stub_callout);
    bc->tr_link = far_jump(bc, bt_stub_link);
    bc->tr_indirect = far_jump(bc, bt_stub_indirect);
    bc->n_blocks = bc->n_exits = bc->n_cpages = 1; /* index 0 means none */
    return 0;
}

void bt_cache_fini(struct bt_cpu *bc)
{
    if (bc->code_rw) {
        munmap(bc->code_rw, CODE_SIZE);
        munmap(bc->code_rx, CODE_SIZE);
    }
    for (unsigned i = 0; i < N_TABLES; i++)
        if (*table_of(bc, i))
            munmap(*table_of(bc, i), tables[i].size * tables[i].most);
    free(bc->tr);
    free(bc->skels);
}

static uint64_t jc_none(const struct bt_cpu *bc) { return (uint64_t)(uintptr_t)bc->code_rx + bc->tr_indirect; }

void bt_cell_set(struct bt_cpu *bc, uint32_t cp, uint32_t ctx, uint64_t va)
{
    uint64_t key = va + ctx;
    bc->cells[cp] = (struct bt_cell){ctx, -ctx, va, key, -key};
}

/* This vCPU has no code of the page any more; when no other has, its lines are no longer marked and writes are ordinary again. */
static void leave_page(struct bt_cpu *bc, uint64_t pfn)
{
    struct bt_vm *bv = bc->bv;
    uint8_t me = (uint8_t)(1u << bc->c.index);
    if (!(__atomic_load_n(&bv->code_cpus[pfn], __ATOMIC_RELAXED) & me))
        return;
    pthread_mutex_lock(&bv->page_lock[pfn & 63]);
    if (!(__atomic_and_fetch(&bv->code_cpus[pfn], (uint8_t)~me, __ATOMIC_SEQ_CST)))
        __atomic_store_n(&bv->code_lines[pfn], 0, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&bv->page_lock[pfn & 63]);
}
void bt_code_left(struct bt_cpu *bc, uint64_t page)
{
    if (page != bc->tr_page && page != bc->tr_page2 && page >> 12 < bc->bv->n_pfn && !bt_lines_of(bc, page))
        leave_page(bc, page >> 12);
}

/* Drops every translation. Only from the dispatcher. */
void bt_cache_flush(struct bt_cpu *bc)
{
    struct bt_vm *bv = bc->bv;
    bt_x87_detach(bc);
    for (uint32_t i = 1; i < bc->n_cpages; i++) {
        uint64_t pfn = bc->cpages[i].gpa >> 12;
        if (pfn < bv->n_pfn)
            leave_page(bc, pfn);
        bc->cells[i] = (struct bt_cell){0};
    }
    for (uint32_t i = 0; i < JC_N; i++)
        bc->jc[i] = jc_none(bc);
    cpu_zero(bc->cpage_hash, sizeof bc->cpage_hash);
    cpu_zero(bc->vcache, sizeof bc->vcache);
    cpu_zero(bc->lin_hash, sizeof bc->lin_hash);
    bc->n_blocks = bc->n_exits = bc->n_cpages = 1;
    bc->n_sites = bc->n_recs = bc->n_maps = bc->n_srcs = 0;
    cpu_zero(bc->dead, sizeof bc->dead);
    bc->code_used = (bc->tr_indirect + 31) & ~15u;
    bc->cold_used = CODE_HALF;
    bc->cur_blk = bc->snap.blk = bc->last_alt = 0;
    bc->cache_full = false;
    bt_hot_forget(bc);
    bc->st.flushes++;
}

/* [from, to) of p, whole pages of it. */
static void give_back(void *p, size_t from, size_t to, int how)
{
    from = (from + PAGE - 1) & ~(size_t)(PAGE - 1);
    to &= ~(size_t)(PAGE - 1);
    if (from < to)
        (void)madvise((uint8_t *)p + from, to - from, how); /* refused: it stays */
}

/* What is not used goes back to the host. */
static void cache_give_back(struct bt_cpu *bc)
{
    give_back(bc->code_rw, bc->code_used, CODE_HALF, MADV_REMOVE); /* both of its mappings show the same pages */
    give_back(bc->code_rw, bc->cold_used, CODE_SIZE, MADV_REMOVE);
    for (unsigned i = 0; i < N_TABLES; i++)
        give_back(*table_of(bc, i), tables[i].size * table_used(bc, i), tables[i].size * tables[i].most, MADV_DONTNEED);
}

/* After a flush, before anything is translated. */
void bt_cache_flushed(struct bt_cpu *bc)
{
    if (bc->idle.settled == UINT32_MAX)
        cache_give_back(bc);
}

void bt_cache_full(struct bt_cpu *bc)
{
    bc->cache_full = true;
    __atomic_store_n(&bc->exit_req, 1, __ATOMIC_SEQ_CST);
}

/*
 * A guest that only sleeps and wakes runs the same few blocks, which lie as far apart as they were translated while it booted. After each sleep
 * they are in no cache, and each page of them costs a walk through tables that are in none either: most of what a wake-up takes. So when hardly
 * anything new has been translated for IDLE_S seconds, the cache starts anew, once, and they come to lie side by side. The host gets the memory of
 * the rest: what a system has translated to boot is more than what an idle guest needs of its own memory.
 */
void bt_cache_tidy(struct bt_cpu *bc)
{
    enum { LOOK_RUNS = 16, FEW = 64, IDLE_S = 10, MUCH = 1 << 20 };
    if (++bc->idle.runs < LOOK_RUNS)
        return;
    int64_t now = clock_now(bc->v->vm);
    bool same = bc->st.translations - bc->idle.translations < FEW;
    uint32_t used = bc->code_used + bc->cold_used - CODE_HALF;
    bc->idle.runs = 0;
    bc->idle.translations = bc->st.translations;
    if (!same)
        bc->idle.since = now;
    if (now - bc->idle.since < IDLE_S * 1000000000ll)
        return;
    bc->idle.since = now;
    if (bc->idle.settled == UINT32_MAX) {
        bc->idle.settled = used; /* what it takes when it lies side by side */
    } else if (used > MUCH && used / 4 > bc->idle.settled) {
        bc->idle.settled = UINT32_MAX;
        bt_cache_full(bc);
    }
}

/*
 * A piece of code beside the blocks that has just been written at code_used (e: its end): in the table of blocks, so that a host fault or a kick
 * inside it finds the block that it belongs to (tramp_target). Returns its index.
 */
uint32_t bt_piece_add(struct bt_cpu *bc, const struct em *e, struct bt_block b)
{
    bc->code_used = b.end = (uint32_t)(e->p - bc->code_rw);
    b.cold_end = bc->cold_used;
    bc->blocks[bc->n_blocks] = b;
    return bc->n_blocks++;
}

/* Blocks and pieces lie in both halves of the cache in the order of their index. */
struct bt_block *bt_block_of_host(struct bt_cpu *bc, uint64_t host_ip, uint32_t *idx)
{
    uint64_t base = (uint64_t)(uintptr_t)bc->code_rx;
    if (host_ip < base || host_ip >= base + CODE_SIZE)
        return NULL;
    uint32_t o = (uint32_t)(host_ip - base), lo = 1, hi = bc->n_blocks;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if ((o < CODE_HALF ? bc->blocks[mid].end : bc->blocks[mid].cold_end) <= o)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo >= bc->n_blocks)
        return NULL;
    *idx = lo;
    return &bc->blocks[lo];
}

/* Page offset of the guest instruction that the host address belongs to. */
uint16_t bt_guest_off(struct bt_cpu *bc, const struct bt_block *b, uint64_t host_ip)
{
    uint32_t at = (uint32_t)(host_ip - (uint64_t)(uintptr_t)bc->code_rx), rel = at < b->code || at >= b->end ? 0 : at - b->code;
    uint16_t off = b->off;
    for (unsigned i = 0; i < b->n_map && bc->maps[b->map + i].host <= rel; i++)
        off = bc->maps[b->map + i].off;
    return off;
}

static void patch(struct bt_cpu *bc, const struct bt_exit *x, uint32_t to)
{
    uint32_t *at = (uint32_t *)(void *)(bc->code_rw + x->patch), rel = to - (x->patch + 4);
    if (*at != rel) /* the processor would take any write for new code */
        __atomic_store_n(at, rel, __ATOMIC_RELAXED);
}

static void exit_unlink(struct bt_cpu *bc, uint32_t xi)
{
    struct bt_exit *x = &bc->exits[xi];
    if (!x->target)
        return;
    if (x->prev)
        bc->exits[x->prev].next = x->next;
    else
        bc->blocks[x->target].incoming = x->next;
    if (x->next)
        bc->exits[x->next].prev = x->prev;
    x->target = x->prev = x->next = 0;
    patch(bc, x, x->stub);
}

/* Makes the block leave to the dispatcher at its end. Runs in signal context too: only patches; the lists stay (relinking is idempotent). */
void bt_unlink_out(struct bt_cpu *bc, uint32_t blk)
{
    struct bt_block *b = &bc->blocks[blk];
    if (b->tramp_target) {
        bt_unlink_out(bc, b->tramp_target);
        return;
    }
    if (b->dead) /* unlinked for good, and leave_dead_block may have overwritten the places */
        return;
    for (unsigned i = 0; i < b->n_exits; i++)
        patch(bc, &bc->exits[b->exits + i], bc->exits[b->exits + i].stub);
}

void bt_unlink_current(struct bt_cpu *bc)
{
    if (bc->cur_blk)
        bt_unlink_out(bc, bc->cur_blk);
}

/*
 * In code of page from: is code page to valid now, and delta bytes away? With dead flags by compares, else free of flags: RCX is away (e_rcx_away) at the
 * places of the jumps for "no", of which there are one or two in bad. Returns their number; -1: too far.
 */
int bt_check_page(const struct bt_cpu *bc, struct em *e, uint32_t from, uint32_t to, int64_t delta, bool flags_dead, uint8_t *bad[2])
{
    const struct bt_cpage *sp = &bc->cpages[from], *dp = &bc->cpages[to];
    uint32_t scell = (uint32_t)(offsetof(struct bt_cpu, cells) + from * sizeof(struct bt_cell));
    uint32_t cell = (uint32_t)(offsetof(struct bt_cpu, cells) + to * sizeof(struct bt_cell));
    uint32_t ctx = dp->global ? HOT_GCTX : HOT_CTX;
    bool va_check = !(sp->fixed && dp->fixed);
    int nb = 0;
    if (va_check && delta != (int32_t)delta)
        return -1;
    if (flags_dead) {
        e_ld32(e, 11, ctx);
        e_gs(e, 0, 0, 0x3b, 11, cell + offsetof(struct bt_cell, ctx));
        bad[nb++] = e_jcc32(e, 5);
        if (va_check) {
            e_ld(e, 11, scell + offsetof(struct bt_cell, va));
            e_lea(e, 1, 11, 11, NOREG, 1, (int32_t)delta);
            e_gs(e, 1, 0, 0x3b, 11, cell + offsetof(struct bt_cell, va));
            bad[nb++] = e_jcc32(e, 5);
        }
        return nb;
    }
    e_rcx_away(e, LEGACY(sp->mode));
    e_ld32(e, 1, ctx);
    e_ld32(e, 11, cell + offsetof(struct bt_cell, negctx));
    e_lea(e, 0, 1, 1, 11, 1, 0);
    uint8_t *ok = e_jrcxz(e);
    bad[nb++] = e_jmp32(e);
    e_fix8(ok, e->p);
    if (va_check) { /* rcx = from.va + delta - to.va, by ~x = -x - 1 */
        e_ld(e, 1, cell + offsetof(struct bt_cell, va));
        e3(e, 0x48, 0xf7, 0xd1);
        e_ld(e, 11, scell + offsetof(struct bt_cell, va));
        e_lea(e, 1, 1, 1, 11, 1, 0);
        e_lea(e, 1, 1, 1, NOREG, 1, (int32_t)delta);
        e_lea(e, 1, 1, 1, NOREG, 1, 1);
        ok = e_jrcxz(e);
        bad[nb++] = e_jmp32(e);
        e_fix8(ok, e->p);
    }
    e_rcx_back(e, LEGACY(sp->mode));
    return nb;
}

/* Links exit xi to block target: a plain jump inside the page, a checking trampoline between pages. */
void bt_link(struct bt_cpu *bc, uint32_t xi, uint32_t target)
{
    struct bt_exit *x = &bc->exits[xi];
    struct bt_block *src = &bc->blocks[x->blk], *dst = &bc->blocks[target];
    if (src->dead || dst->dead || (!dst->links && x->alt == ALT_NONE) || (x->alt == ALT_FLAGS_SPOILT && !dst->flags_dead) ||
        (bc->stress.on & BT_STRESS_NOCHAIN))
        return;
    if (x->target == target) { /* a trampoline found another ctx, or a kick unlinked it: blocks of one pair always have the same distance */
        patch(bc, x, x->to);
        return;
    }
    exit_unlink(bc, xi);
    uint32_t to = dst->code;
    if (src->cpage != dst->cpage) {
        if (bc->n_blocks + 2 > MAX_BLOCKS || bc->code_used + 256 > bc->code_limit)
            return;
        bc->code_used = (bc->code_used + 15) & ~15u;
        struct em e = {bc->code_rw + bc->code_used};
        to = bc->code_used;
        int64_t delta = (int64_t)(bc->cells[dst->cpage].va - bc->cells[src->cpage].va);
        uint8_t *bad[2];
        int nb = bt_check_page(bc, &e, src->cpage, dst->cpage, delta, dst->flags_dead, bad);
        if (nb < 0)
            return;
        e_fix(e_jmp32(&e), bc->code_rw + dst->code);
        for (int i = 0; i < nb; i++)
            e_fix(bad[i], e.p);
        if (!dst->flags_dead)
            e_rcx_back(&e, LEGACY(bc->cpages[src->cpage].mode));
        e2(&e, 0x41, 0xbb);
        e4(&e, xi);
        e_fix(e_jmp32(&e), bc->code_rw + bc->tr_link);
        bt_piece_add(bc, &e, (struct bt_block){.code = to, .tramp_target = target, .cpage = dst->cpage});
    }
    dst->shared = true;
    x->target = target;
    x->to = to;
    x->prev = 0;
    x->next = dst->incoming;
    if (x->next)
        bc->exits[x->next].prev = xi;
    dst->incoming = xi;
    patch(bc, x, to);
}

static void jc_clear(struct bt_cpu *bc, const struct bt_block *b)
{
    uint64_t rip = bc->cells[b->cpage].va + b->off;
    uint32_t i = (uint32_t)(rip & 0xffff);
    if (bc->jc[i] == (uint64_t)(uintptr_t)bc->code_rx + b->ind)
        bc->jc[i] = jc_none(bc);
}

/*
 * Entry for indirect jumps: r10 = rip. Is the block of code page cp at page offset off at that address, and valid now? Both at once: the table is
 * indexed by rip's low 16 bits, so the block's page and the page meant are equal modulo 64 KiB, and (rip - offset) + ctx = va + cell.ctx, with both
 * ctx below 64 Ki, holds only when both parts are equal. Free of flags, because the block that is meant may be another one. Returns the place of the
 * jump to bt_prologue_cold.
 */
uint8_t *bt_prologue(struct bt_cpu *bc, struct em *e, uint32_t cp, uint16_t off)
{
    bool legacy = LEGACY(bc->cpages[cp].mode);
    if (legacy)
        e_mov(e, 9, 10); /* as in e_rcx_away */
    else
        e_st(e, 10, HOT_T2);
    e_ld32(e, 11, bc->cpages[cp].global ? HOT_GCTX : HOT_CTX);
    e_lea(e, 1, 10, 10, 11, 1, -(int32_t)off);
    e_ld(e, 11, (uint32_t)(offsetof(struct bt_cpu, cells) + cp * sizeof(struct bt_cell) + offsetof(struct bt_cell, negkey)));
    e_lea(e, 1, 10, 10, 11, 1, 0);
    e_mov(e, 11, 1);
    e_mov(e, 1, 10);
    uint8_t *ok = e_jrcxz(e), *bad = e_jmp32(e);
    e_fix8(ok, e->p);
    e_mov(e, 1, 11);
    return bad;
}

/* Another one, or not valid: r10 = rip again, and to C. (It cannot be computed back: a kick may have spoiled ctx meanwhile.) */
void bt_prologue_cold(struct bt_cpu *bc, struct em *e, uint32_t mode)
{
    e_mov(e, 1, 11);
    if (LEGACY(mode))
        e_mov(e, 10, 9);
    else
        e_ld(e, 10, HOT_T2);
    e_fix(e_jmp32(e), bc->code_rw + bc->tr_indirect);
}

void bt_jc_set(struct bt_cpu *bc, uint64_t rip, uint32_t blk)
{
    struct bt_block *b = &bc->blocks[blk];
    uint32_t i = (uint32_t)(rip & 0xffff);
    if (!b->ind) { /* the first indirect jump to a block that was made for a direct one */
        if (bc->n_blocks + 2 > MAX_BLOCKS || bc->code_used + 256 > bc->code_limit)
            return;
        bc->code_used = (bc->code_used + 15) & ~15u;
        struct em e = {bc->code_rw + bc->code_used};
        uint32_t at = bc->code_used;
        uint8_t *bad = bt_prologue(bc, &e, b->cpage, b->off);
        e_fix(e_jmp32(&e), bc->code_rw + b->code);
        e_fix(bad, e.p);
        bt_prologue_cold(bc, &e, bc->cpages[b->cpage].mode);
        bt_piece_add(bc, &e, (struct bt_block){.code = at, .tramp_target = blk, .cpage = b->cpage, .off = b->off});
        b->ind = at;
    }
    b->shared = true;
    bc->jc[i] = (uint64_t)(uintptr_t)bc->code_rx + b->ind;
}

void bt_block_drop(struct bt_cpu *bc, uint32_t blk)
{
    struct bt_block *b = &bc->blocks[blk];
    if (b->dead)
        return;
    b->dead = 1;
    if (b->ind)
        jc_clear(bc, b);
    while (b->incoming)
        exit_unlink(bc, b->incoming);
    for (unsigned i = 0; i < b->n_exits; i++)
        exit_unlink(bc, b->exits + i);
    struct bt_cpage *p = &bc->cpages[b->cpage];
    uint32_t *q = &p->bucket[b->off >> BUCKET_SHIFT];
    while (*q && *q != blk)
        q = &bc->blocks[*q].next;
    if (*q)
        *q = b->next;
    if (!b->tramp_target)
        bc->st.smc_drops++;
    if (b->tail || b->tramp_target)
        bt_block_drop(bc, b->tail ? b->tail : b->tramp_target);
}

uint32_t bt_cpage_find_block(struct bt_cpu *bc, uint32_t cp, uint16_t off)
{
    uint32_t b = bc->cpages[cp].bucket[off >> BUCKET_SHIFT];
    while (b && (bc->blocks[b].off != off || bc->blocks[b].tramp_target))
        b = bc->blocks[b].next;
    return b;
}

static uint32_t cpage_hash(uint64_t gpa) { return (uint32_t)((gpa >> 12) * 0x9e3779b97f4a7c15ull >> 50) & 16383; }

/*
 * From page offset off of the block that is running: the block that was once made there with a check for each access (M_NOGROUP); 0 if there is none.
 * Its exits lead back to the others, so it may be entered without the dispatcher.
 */
uint32_t bt_block_alone(struct bt_cpu *bc, uint32_t blk, uint16_t off)
{
    uint32_t from = bc->blocks[blk].cpage;
    const struct bt_cpage *q = &bc->cpages[from];
    for (uint32_t cp = bc->cpage_hash[cpage_hash(q->gpa)]; cp; cp = bc->cpages[cp].next) {
        const struct bt_cpage *p = &bc->cpages[cp];
        if (p->gpa != q->gpa || p->mode != (q->mode | M_NOGROUP) || p->key != q->key || p->lin != q->lin || p->global != q->global ||
            bc->cells[cp].va != bc->cells[from].va)
            continue;
        uint32_t b = bt_cpage_find_block(bc, cp, off);
        if (!b || bc->blocks[b].cross || bc->blocks[b].stop)
            return 0;
        bt_cell_set(bc, cp, bc->cells[from].ctx, bc->cells[cp].va);
        return b;
    }
    return 0;
}

/* Guest bytes [gpa, gpa + len) changed: drops the blocks that overlap. */
void bt_drop_lines(struct bt_cpu *bc, uint64_t gpa, uint64_t len)
{
    for (uint64_t page = gpa & ~0xfffull; page < gpa + len; page += PAGE) {
        if (page == bc->tr_page || page == bc->tr_page2)
            bc->tr_again = true;
        uint32_t lo = gpa > page ? (uint32_t)(gpa - page) : 0, hi = gpa + len - page < PAGE ? (uint32_t)(gpa + len - page) : PAGE;
        for (uint32_t cp = bc->cpage_hash[cpage_hash(page)]; cp; cp = bc->cpages[cp].next) {
            struct bt_cpage *p = &bc->cpages[cp];
            if (p->gpa != page)
                continue;
            for (unsigned k = (lo > BLOCK_INSNS * 15 ? lo - BLOCK_INSNS * 15 : 0) >> BUCKET_SHIFT; k <= (hi - 1) >> BUCKET_SHIFT; k++) {
                uint32_t b = p->bucket[k];
                while (b) {
                    uint32_t next = bc->blocks[b].next;
                    if (bc->blocks[b].off < hi && bt_block_end(&bc->blocks[b]) > lo) {
                        bt_block_drop(bc, b);
                        bt_dead_keep(bc, b);
                    }
                    b = next;
                }
            }
        }
    }
}

/* Is a block of this vCPU made of any of the guest bytes [gpa, gpa + len) of one page? */
bool bt_code_at(const struct bt_cpu *bc, uint64_t gpa, unsigned len)
{
    uint64_t page = gpa & ~0xfffull;
    uint32_t lo = (uint32_t)(gpa - page), hi = lo + len;
    for (uint32_t cp = bc->cpage_hash[cpage_hash(page)]; cp; cp = bc->cpages[cp].next) {
        const struct bt_cpage *p = &bc->cpages[cp];
        if (p->gpa != page)
            continue;
        for (unsigned k = (lo > BLOCK_INSNS * 15 ? lo - BLOCK_INSNS * 15 : 0) >> BUCKET_SHIFT; k <= (hi - 1) >> BUCKET_SHIFT; k++)
            for (uint32_t b = p->bucket[k]; b; b = bc->blocks[b].next) {
                const struct bt_block *q = &bc->blocks[b];
                if (!q->dead && q->off < hi && bt_block_end(q) > lo)
                    return true;
            }
    }
    return false;
}

/* The 64-byte lines of the page at gpa that blocks of this vCPU come from. */
uint64_t bt_lines_of(struct bt_cpu *bc, uint64_t page)
{
    uint64_t lines = 0;
    for (uint32_t cp = bc->cpage_hash[cpage_hash(page)]; cp; cp = bc->cpages[cp].next) {
        struct bt_cpage *p = &bc->cpages[cp];
        if (p->gpa != page)
            continue;
        for (unsigned k = 0; k < BUCKETS; k++)
            for (uint32_t b = p->bucket[k]; b; b = bc->blocks[b].next) {
                uint32_t lo = bc->blocks[b].off, hi = bt_block_end(&bc->blocks[b]);
                if (bc->blocks[b].dead || hi <= lo)
                    continue;
                hi = hi > PAGE ? PAGE : hi;
                for (uint32_t l = lo >> 6; l <= (hi - 1) >> 6; l++)
                    lines |= 1ull << l;
            }
    }
    return lines;
}

/* The code page of guest page gpa for the current mode, bound to linear page lin. 0: table full, flush the cache. */
uint32_t bt_cpage_get(struct bt_cpu *bc, uint64_t gpa, uint64_t lin, bool global)
{
    bool m64 = (bc->mode & M_CODE) == M_CODE64;
    bool flat = m64 || (bc->mode & M_CSFLAT);
    bool fixed = global || !flat;
    uint64_t key = flat ? 0 : bc->cs_key;
    uint32_t h = cpage_hash(gpa);
    uint32_t cur = global ? bc->real_gctx : bc->real_ctx;
    for (uint32_t i = bc->cpage_hash[h]; i; i = bc->cpages[i].next) {
        struct bt_cpage *p = &bc->cpages[i];
        if (p->gpa != gpa || p->mode != bc->mode || p->global != global || p->key != key)
            continue;
        if (p->lin != lin) {
            if (fixed || bc->cells[i].ctx == cur)
                continue; /* the same page at two addresses at once: two code pages */
            for (unsigned k = 0; k < BUCKETS; k++)
                for (uint32_t b = p->bucket[k]; b; b = bc->blocks[b].next)
                    if (bc->blocks[b].ind)
                        jc_clear(bc, &bc->blocks[b]);
            bt_lin_remove(bc, i);
            p->lin = lin;
            bt_lin_add(bc, i);
            bc->cells[i].va = lin;
        }
        bt_cell_set(bc, i, cur, bc->cells[i].va);
        return i;
    }
    if (bc->n_cpages >= CELL_N)
        return 0;
    uint32_t i = bc->n_cpages++;
    struct bt_cpage *p = &bc->cpages[i];
    cpu_zero(p, sizeof *p);
    p->gpa = gpa;
    p->key = key;
    p->lin = lin;
    p->mode = bc->mode;
    p->global = global;
    p->fixed = fixed;
    bt_lin_add(bc, i);
    p->next = bc->cpage_hash[h];
    bc->cpage_hash[h] = i;
    bt_cell_set(bc, i, cur, flat ? lin : lin - bc->c.s.seg[S_CS].base);
    return i;
}
