/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From guest instructions to host code. A block is decoded (Zydis), the liveness of the arithmetic flags is found backwards, then each
 * instruction is lowered: unprivileged instructions keep their own encoding, with a memory operand replaced by [r10 + r11] after the inline
 * TLB check; stack instructions and branches are spelled out; everything privileged or rare calls out to C.
 */
#include "bt/bt_tr.h"

struct bt_tr *bt_tr_new(void)
{
    static const struct bt_tr zero_size; /* for its size only */
    extern void *calloc(size_t, size_t);
    return calloc(1, sizeof zero_size);
}

/* ---- the block ---- */

static void cold_exit(struct bt_tr *t, uint32_t xi)
{
    t->bc->exits[xi].stub = tr_code_off(t);
    e2(&t->e, 0x41, 0xbb);
    e4(&t->e, xi);
    e_fix(e_jmp32(&t->e), t->bc->code_rw + t->bc->tr_link);
}

/* r10 = where a group of accesses begins: if it goes over a page end, which a stack may do again and again, the alternative exit. */
static void cold_over_page(struct bt_tr *t, uint32_t site, bool live)
{
    struct em *e = &t->e;
    struct bt_cpu *bc = t->bc;
    const struct bt_site *s = &bc->sites[site];
    if (live) {
        e_st(e, 0, HOT_RAX_SAVE);
        e_flags_to_ax(e);
    }
    e_mov32(e, 11, 10);
    e3(e, 0x41, 0x81, 0xe3); /* and r11d, imm32 */
    e4(e, PAGE - 1);
    e_cmp(e, 11, PAGE - s->size);
    uint8_t *inside = e_jcc32(e, 0x6);
    if (live) {
        e_flags_from_ax(e);
        e_ld(e, 0, HOT_RAX_SAVE);
    }
    e_st_imm32(e, (uint32_t)offsetof(struct bt_cpu, last_alt), bc->n_exits);
    uint8_t *out = e_jmp32(e);
    e_fix(out, e->p);
    uint32_t xi = tr_new_exit(t, out, s->off);
    bc->exits[xi].alt = live ? ALT_FLAGS_KEPT : ALT_FLAGS_SPOILT;
    cold_exit(t, xi);
    e_fix(inside, e->p);
    if (live) {
        e_flags_from_ax(e);
        e_ld(e, 0, HOT_RAX_SAVE);
    }
}

/* The TLB has it not: r10 = address + tag, r11 = index; or r10 = address. */
static void cold_miss(struct bt_tr *t, uint32_t site, unsigned kind, bool over)
{
    struct em *e = &t->e;
    if (kind == COLD_MISS_RCX)
        e_rcx_back(e, LEGACY(t->mode));
    if (kind != COLD_MISS_R9) {
        e_gs_r11(e, 0x8b, 11, tr_tlb_tag(t, t->bc->sites[site].acc));
        e3(e, 0x49, 0xf7, 0xd3); /* not r11 */
        e_lea(e, 1, 10, 10, 11, 1, 1);
    }
    if (over && t->bc->sites[site].flags & SITE_GROUP)
        cold_over_page(t, site, kind == COLD_MISS_RCX);
    e2(e, 0x41, 0xbb);
    e4(e, site);
    e_fix(e_jmp32(e), t->bc->code_rw + t->bc->tr_mem);
}

/* Not on the page of the stack or slot as we know it: the TLB is asked, and remembered. r10 = address + the tag, r11 = RCX or RAX; or
 * r10 = address. */
static void cold_stack(struct bt_tr *t, uint32_t site, unsigned kind)
{
    struct em *e = &t->e;
    const struct bt_site *s = &t->bc->sites[site];
    uint32_t stk = tr_page_of(t, s), tag = tr_tlb_tag(t, s->acc);
    uint8_t *miss = NULL, *ok = NULL;
    bool live = kind == COLD_STACK_RCX || kind == COLD_STACK_RAX;
    if (kind == COLD_STACK_RCX)
        e_mov(e, 1, 11);
    if (kind == COLD_STACK_RAX) {
        e_flags_from_ax(e);
        e_mov(e, 0, 11);
    }
    if (kind != COLD_SLOT_R9) {
        e_ld(e, 11, stk + STK_PAGE);
        e_lea(e, 1, 10, 10, 11, 1, 0);
    }
    if (s->flags & SITE_GROUP)
        cold_over_page(t, site, live);
    if (live) {
        e_tlb_index_keep(e);
        e_rcx_away(e, LEGACY(t->mode));
        e_gs_r11(e, 0x8b, 1, tag);
        e_lea(e, 1, 10, 10, 1, 1, 0);
        e_lea(e, 1, 1, 10, NOREG, 1, (int32_t)s->size - 1);
        e_pext(e, 1, 1, HOT_HIMASK);
        ok = e_jrcxz(e);
        miss = e_jmp32(e);
        e_fix8(ok, e->p);
        e_rcx_back(e, LEGACY(t->mode));
    } else {
        miss = tr_tlb_check(t, s->acc, s->size);
    }
    e_st(e, 10, HOT_T2);
    e_gs_r11(e, 0x8b, 10, tag);
    e_st(e, 10, stk + STK_TAG);
    e3(e, 0x49, 0xf7, 0xd2); /* not r10 */
    e_lea(e, 1, 10, 10, NOREG, 1, 1);
    e_st(e, 10, stk + STK_PAGE);
    if (s->slot) {
        e_gs_r11(e, 0x8b, 10, tr_tlb_addend(t));
        e_st(e, 10, stk + SLOT_ADDEND);
        e_st_imm8(e, (uint32_t)offsetof(struct bt_cpu, slots_filled) + (s->slot - 1u) / HOT_SLOTS, 1);
        e_ld(e, 10, stk + SLOT_MISSES);
        e_lea(e, 1, 10, 10, NOREG, 1, 1);
        e_st(e, 10, stk + SLOT_MISSES);
    }
    e_gs_r11(e, 0x8b, 11, tr_tlb_host(t));
    e_st(e, 11, stk + STK_HOST);
    if (s->flags & SITE_BASE)
        e_ld(e, 11, stk + SLOT_ADDEND);
    e_ld(e, 10, HOT_T2);
    e_fix(e_jmp32(e), t->bc->code_rw + s->op);
    e_fix(miss, e->p);
    cold_miss(t, site, live ? COLD_MISS_RCX : COLD_MISS, false);
}

static void emit_cold(struct bt_tr *t)
{
    struct em *e = &t->e;
    struct bt_cpu *bc = t->bc;
    for (unsigned i = 0; i < t->n_cold; i++) {
        struct cold *c = &t->cold[i];
        e_fix(c->rel, e->p);
        switch (c->kind) {
        case COLD_MISS:
        case COLD_MISS_RCX:
        case COLD_MISS_R9:
            cold_miss(t, c->idx, c->kind, true);
            break;
        case COLD_STACK:
        case COLD_STACK_RCX:
        case COLD_STACK_RAX:
        case COLD_SLOT_R9:
            cold_stack(t, c->idx, c->kind);
            break;
        case COLD_LIMIT:
        case COLD_ALIGN:
            e2(e, 0x41, 0xbb);
            e4(e, c->idx | (c->kind == COLD_ALIGN ? 0x40000000u : 0x80000000u));
            e_fix(e_jmp32(e), bc->code_rw + bc->tr_mem);
            break;
        case COLD_PROLOGUE:
            bt_prologue_cold(bc, e, t->mode);
            break;
        case COLD_PAGE2: /* to C, which finds the second page again, or makes the block anew */
            if (!t->b->flags_dead)
                e_rcx_back(e, LEGACY(t->mode));
            tr_emit_rip(t, 10, t->b->off);
            e_fix(e_jmp32(e), bc->code_rw + bc->tr_indirect);
            break;
        case COLD_EXIT:
            cold_exit(t, c->idx);
            break;
        }
    }
}

/*
 * At the entry of a block that has bytes of code page cp2, too: is that valid now, and where it was? Every code page's ctx is checked by who
 * jumps to it; here it is the block's own business, because nobody else knows of the second page.
 */
static void check_second_page(struct bt_tr *t)
{
    uint8_t *bad[2];
    int nb = bt_check_page(t->bc, &t->e, t->cp, t->cp2, t->cp2_delta, t->b->flags_dead, bad);
    for (int i = 0; i < nb; i++)
        tr_add_cold(t, bad[i], COLD_PAGE2, 0);
}

/* Hot code begins with a cache line, behind the entry for indirect jumps if it has one: a loop of few instructions may take half as long again otherwise. */
static void align_hot(struct bt_tr *t, bool entry)
{
    uint8_t *p = t->e.p;
    if (entry)
        (void)bt_prologue(t->bc, &t->e, t->cp, t->b->off);
    t->e.p = p + (-(uintptr_t)t->e.p & 63);
}

uint32_t bt_translate(struct bt_cpu *bc, uint32_t cp, uint64_t rip, uint64_t lin, const uint8_t *page)
{
    if (bc->code_used + 65536 > bc->code_limit || bc->cold_used + 65536 > CODE_HALF + bc->code_limit || bc->n_blocks + 2 > MAX_BLOCKS ||
        bc->n_exits + 256 > MAX_EXITS || bc->n_sites + 512 > MAX_SITES || bc->n_recs + 256 > MAX_RECS || bc->n_maps + 256 > MAX_BLOCKS * 8 ||
        bc->n_srcs + 1024 > MAX_SRCS)
        return UINT32_MAX; /* the caller flushes the cache and starts again */
    struct bt_tr *t = bc->tr;
    t->bc = bc;
    t->cp = cp;
    t->cpg = &bc->cpages[cp];
    t->mode = t->cpg->mode;
    t->m64 = (t->mode & M_CODE) == M_CODE64;
    t->n_cold = 0;
    t->cp2 = 0;
    t->tail_off = t->tail_len = 0;
    t->failed = false;
    uint32_t bi = bc->n_blocks;
    struct bt_block *b = &bc->blocks[bi];
    *b = (struct bt_block){.cpage = cp, .off = (uint16_t)(lin & 0xfff), .map = bc->n_maps, .src = bc->n_srcs, .again = true};
    t->b = b;
    t->blk = bi;
    uint64_t left = UINT64_MAX;
    if (!(t->mode & M_CSFLAT) && !t->m64) {
        uint32_t lim = bc->c.s.seg[S_CS].limit;
        if (rip > lim) {
            cpu_raise_code(&bc->c, X_GP, 0);
            return 0;
        }
        left = lim - rip + 1;
    }
    bool ended;
    unsigned n = tr_scan(t, b->off, page, lin, &ended, left);
    if (n == 0)
        return 0;
    tr_liveness(t, n);
    tr_flag_recipes(t, n);
    tr_find_groups(t, n);
    t->hot = bt_hot_begin(bc, cp, b->off, bi);
    uint32_t sites0 = bc->n_sites, recs0 = bc->n_recs, exits0 = bc->n_exits;
retry:
    bc->n_sites = sites0;
    bc->n_recs = recs0;
    bc->n_exits = exits0;
    b->n_exits = 0;
    t->n_places = 0;
    t->guessed = false;
    if (t->hot)
        t->hot->n = 0;
    t->n_cold = 0;
    t->failed = false;
    t->r11_group = 0;
    t->groups_ok = 0;
    t->sp_lazy = 0;
    t->n_insn = n;
    bc->code_used = (bc->code_used + 15) & ~15u;
    t->e.p = bc->code_rw + bc->code_used;
    uint8_t *start = t->e.p;
    b->flags_dead = t->insn[0].live_in == 0;
    b->links = tr_may_link(t);
    b->ind = 0;
    bool entry = b->links && bc->by_indirect;
    if (t->hot)
        align_hot(t, entry);
    if (entry) {
        b->ind = tr_code_off(t);
        tr_add_cold(t, bt_prologue(bc, &t->e, cp, b->off), COLD_PROLOGUE, 0);
    }
    b->code = tr_code_off(t);
    start = t->e.p;
    if (t->cp2 && t->cp2 != cp)
        check_second_page(t);
    bool closed = false;
    uint32_t maps = bc->n_maps;
    for (unsigned i = 0; i < n; i++) {
        t->cur = &t->insn[i];
        bc->maps[maps++] = (struct bt_map){(uint16_t)(t->e.p - start), t->insn[i].off};
        if (t->sp_lazy && !tr_keeps_sp(t, t->cur))
            tr_sp_flush(t);
        if (tr_lower(t)) {
            closed = true;
            break;
        }
    }
    if (!closed)
        tr_exit_direct(t, NULL, (int64_t)t->insn[n - 1].off + t->insn[n - 1].in.length);
    uint8_t *end = t->e.p;
    t->e.p = bc->code_rw + bc->cold_used;
    emit_cold(t);
    if (t->failed || end - start > 60000) {
        if (n <= 1) {
            cpu_raise(&bc->c, X_UD);
            return 0;
        }
        n /= 2;
        goto retry;
    }
    b->slots = t->hot && t->hot->n;
    b->slot_sites = t->n_places != 0 || t->guessed;
    b->n_map = (uint16_t)(maps - bc->n_maps);
    b->len = (uint16_t)(t->insn[n - 1].off + t->insn[n - 1].in.length - b->off);
    bc->cold_used = b->cold_end = tr_code_off(t);
    bc->code_used = b->end = (uint32_t)(end - bc->code_rw);
    for (unsigned i = 0; i < b->n_map; i++)
        bc->frecs[b->map + i] = t->frec[i];
    bc->n_maps = maps;
    for (unsigned i = 0; i < n; i++) {
        st_le64(bc->srcs + bc->n_srcs, ld_le64(t->insn[i].bytes));
        st_le64(bc->srcs + bc->n_srcs + 8, ld_le64(t->insn[i].bytes + 8));
        bc->n_srcs += t->insn[i].in.length;
    }
    b->again &= !t->cp2 && !b->cross && !b->stop;
    bc->n_blocks++;
    if (t->cp2) {
        b->tail = bc->n_blocks++;
        b->tail_delta = t->cp2_delta;
        bc->blocks[b->tail] = (struct bt_block){.code = b->end, .end = b->end, .cold_end = b->cold_end, .cpage = t->cp2, .tramp_target = bi,
                                               .off = t->tail_off, .len = t->tail_len};
    }
    bc->st.translations++;
    return bi;
}
