/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * String instructions in place: MOVS, STOS, CMPS and SCAS, repeated or not, and LODS, going upwards and inside one page of plain memory for each operand, as
 * nearly all are. The host's own instruction does the work on host addresses. Whatever is not so (the TLB has not the page, the run leaves it, DF is
 * set) goes to C, bt_string.c, from the state before the instruction.
 */
#include "bt/bt_tr.h"

#define SLOW_MAX 8
struct slow {
    uint8_t *rel[SLOW_MAX];
    unsigned n;
};

static void slow_if(struct bt_tr *t, struct slow *s, unsigned cc) { s->rel[s->n++] = e_jcc32(&t->e, cc); }

/*
 * Out: r10 + r11 is the host address of the operand at reg (RSI or RDI). With rep it is RCX elements that lie in one page together. RCX = 0 at a page's
 * start looks like a run that leaves the page: C does nothing then.
 */
static void operand(struct bt_tr *t, struct slow *s, unsigned reg, unsigned acc, unsigned size, bool rep)
{
    struct em *e = &t->e;
    if (t->m64)
        e_mov(e, 10, reg);
    else
        e_mov32(e, 10, reg);
    if (rep) {
        e_lea(e, t->m64, 11, 10, 1, size, -1);
        e3(e, 0x4d, 0x31, 0xd3); /* xor r11, r10 */
        e4(e, 0x0cebc149);       /* shr r11, 12 */
        slow_if(t, s, 0x5);
    }
    s->rel[s->n++] = tr_tlb_check(t, acc, rep ? 1 : size);
    e_gs_r11(e, 0x8b, 11, tr_tlb_host(t));
}

/* reg += n elements of the operand; n = RCX, or 1 */
static void advance(struct bt_tr *t, unsigned to, unsigned reg, unsigned size, bool rep)
{
    e_lea(&t->e, t->m64, to, reg, rep ? 1 : NOREG, size, rep ? 0 : (int32_t)size);
}

static void op(struct em *e, unsigned opc, unsigned size, unsigned rep) /* the host's instruction */
{
    if (size == 2)
        e1(e, 0x66);
    if (rep)
        e1(e, rep == 2 ? 0xf2 : 0xf3);
    if (size == 8)
        e1(e, 0x48);
    e1(e, (uint8_t)(opc | (size > 1)));
}

static void move(struct em *e, bool store, unsigned size, unsigned reg, int am)
{
    e_mem(e, size == 8, size == 2, (store ? 0x88 : 0x8a) | (size > 1), reg, am);
}

/*
 * kind: the opcode without its low bit; rep: 1 REP or REPE, 2 REPNE. Returns where to jump from the end (the place of a rel32), or NULL when C must do it
 * always.
 */
uint8_t *tr_string_inline(struct bt_tr *t, unsigned kind, unsigned size, unsigned rep, unsigned seg)
{
    struct em *e = &t->e;
    if (!tr_flat_operand(t, seg) ||
        !(kind == 0xa4 || kind == 0xa6 || kind == 0xaa || kind == 0xae || (kind == 0xac && !rep)))
        return NULL;
    struct slow s = {.n = 0};
    bool live = t->cur->live_in != 0, compares = kind == 0xa6 || kind == 0xae;
    t->r11_group = 0;
    if (live)
        e_flags_save(e, HOT_RAX_SAVE, HOT_FLSLOT);
    e4(e, 0x253c8065); /* cmp byte gs:[df], 0 */
    e4(e, HOT_DF);
    e1(e, 0);
    slow_if(t, &s, 0x5);
    if (rep) {
        if (t->m64)
            e1(e, 0x48);
        e2(e, 0x81, 0xf9); /* cmp rcx, imm32 */
        e4(e, PAGE / size);
        slow_if(t, &s, 0x7);
    }
    switch (kind) {
    case 0xaa:
        operand(t, &s, 7, ACC_W, size, rep);
        if (rep) {
            e_lea(e, 1, 11, 10, 11, 1, 0);
            advance(t, 10, 7, size, rep);
            e_mov(e, 7, 11);
            op(e, 0xaa, size, 1);
            e_mov(e, 7, 10);
        } else {
            move(e, true, size, 0, AM_R10R11);
            advance(t, 7, 7, size, rep);
        }
        break;
    case 0xa4:
        operand(t, &s, 6, ACC_R, size, rep);
        e_lea(e, 1, 10, 10, 11, 1, 0);
        e_st(e, 10, HOT_T1);
        operand(t, &s, 7, ACC_W, size, rep);
        e_lea(e, 1, 11, 10, 11, 1, 0);
        if (rep) {
            advance(t, 10, 7, size, rep);
            e_st(e, 10, HOT_T2);
            advance(t, 10, 6, size, rep);
            e_ld(e, 6, HOT_T1);
            e_mov(e, 7, 11);
            op(e, 0xa4, size, 1);
            e_mov(e, 6, 10);
            e_ld(e, 7, HOT_T2);
        } else {
            e_ld(e, 10, HOT_T1);
            move(e, false, size, 10, AM_R10);
            move(e, true, size, 10, AM_R11);
            advance(t, 6, 6, size, rep);
            advance(t, 7, 7, size, rep);
        }
        break;
    case 0xa6:
    case 0xae:
        if (kind == 0xa6) {
            operand(t, &s, 6, ACC_R, size, rep);
            e_lea(e, 1, 10, 10, 11, 1, 0);
            e_st(e, 10, HOT_T1);
        }
        operand(t, &s, 7, ACC_R, size, rep);
        e_lea(e, 1, 11, 10, 11, 1, 0);
        if (kind == 0xa6) {
            e_ld(e, 10, HOT_T1);
            e3(e, 0x4c, 0x29, 0xd6); /* sub rsi, r10: from the host's address to the guest's */
            e_st(e, 6, HOT_T2);
            e_mov(e, 6, 10);
        }
        e_mov(e, 10, 7);
        e3(e, 0x4d, 0x29, 0xda); /* sub r10, r11 */
        e_mov(e, 7, 11);
        if (live && rep) /* none may be compared */
            e_flags_load(e, HOT_RAX_SAVE, HOT_FLSLOT);
        op(e, kind, size, rep);
        e_lea(e, t->m64, 7, 7, 10, 1, 0);
        if (kind == 0xa6) {
            e_ld(e, 11, HOT_T2);
            e_lea(e, t->m64, 6, 6, 11, 1, 0);
        }
        break;
    default:
        operand(t, &s, 6, ACC_R, size, rep);
        move(e, false, size, 0, AM_R10R11);
        advance(t, 6, 6, size, rep);
        break;
    }
    if (live && !compares)
        e_flags_load(e, HOT_RAX_SAVE, HOT_FLSLOT);
    uint8_t *done = e_jmp32(e);
    for (unsigned i = 0; i < s.n; i++)
        e_fix(s.rel[i], e->p);
    if (live)
        e_flags_load(e, HOT_RAX_SAVE, HOT_FLSLOT);
    return done;
}
