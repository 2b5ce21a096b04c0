/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the translator proper: the block that is being made (struct bt_tr) and what its parts offer each other. Everything here runs on the
 * vCPU's own thread and writes only into that vCPU's cache.
 */
#pragma once

#include "bt/bt_private.h"

#include "bt/bt_emit.h"

#define HOME(r) ((uint32_t)(r)*8)
#define SEG_OFF(n, f) ((uint32_t)(offsetof(struct cpu_state, seg) + (unsigned)(n) * sizeof(struct cpu_seg) + offsetof(struct cpu_seg, f)))
#define CELL_VA(cp) ((uint32_t)(offsetof(struct bt_cpu, cells) + (cp) * sizeof(struct bt_cell) + offsetof(struct bt_cell, va)))
#define CELL_CTX(cp) ((uint32_t)(offsetof(struct bt_cpu, cells) + (cp) * sizeof(struct bt_cell)))

enum { COLD_MISS, COLD_MISS_RCX, COLD_MISS_R9, COLD_STACK, COLD_STACK_RCX, COLD_STACK_RAX, COLD_SLOT_R9,
       COLD_LIMIT, COLD_ALIGN, COLD_EXIT, COLD_PROLOGUE, COLD_PAGE2 };
/* Where the page of the stack for accesses of a kind is remembered. */
#define STK_OFF(mode, acc) ((uint32_t)(HOT_STK + (2 * MMU_OF(mode) + ((acc)&ACC_W ? 1 : 0)) * sizeof(struct bt_stk)))
#define STK_TAG ((uint32_t)offsetof(struct bt_stk, tag))
#define STK_PAGE ((uint32_t)offsetof(struct bt_stk, page))
#define STK_HOST ((uint32_t)offsetof(struct bt_stk, host))
#define SLOT_ADDEND ((uint32_t)offsetof(struct bt_slot, addend))
#define SLOT_MISSES ((uint32_t)offsetof(struct bt_slot, misses))
struct cold {
    uint8_t *rel;
    uint8_t kind;
    uint32_t idx;
};

/* Arithmetic flags as tr_flag_effect has them. */
enum { FLAGS_ZF = 8, FLAGS_ALL = 0x3f };

/* What an instruction may fault by before it runs, because of CR0, CR4 or XCR0 (tr_vector_class). */
enum { V_NONE, V_FPU, V_SSE, V_AVX, V_AVX512, V_WAIT, V_MMX };

enum { THUNK_NEXT = 0xff };

struct insn {
    ZydisDecodedInstruction in;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    uint8_t bytes[16];
    uint16_t off;
    uint8_t live_in; /* flags live before the instruction's own effect, as enum below */
    /* The access that may share a check with others (bt_group.c): group 0 = none. */
    uint8_t group, grp_acc;
    uint8_t vec, ends;  /* tr_classify: V_*; tr_ends_block or tr_never_native */
    uint8_t f_rd, f_wr; /* tr_flag_effect */
    uint8_t thunk;      /* a CALL that only gives its return address: 1 + the register, or THUNK_NEXT */
    bool leader;
    int16_t grp_at;    /* of this access, from the group's start */
    uint16_t grp_span; /* leader: bytes of the whole group */
};

struct bt_tr {
    struct em e;
    struct bt_cpu *bc;
    struct bt_cpage *cpg;
    uint32_t cp, cp2, mode, blk; /* cp2: the code page of bytes that the block is made of beside its own, if that is to be checked: its last instruction
                                  * reaches into it, or it has a thunk */
    int32_t cp2_delta;           /* from this page */
    uint16_t tail_off, tail_len; /* those bytes */
    struct bt_block *b;
    uint32_t reg_mask; /* of the mode: 64, 32 or 16 bit rip */
    struct cold cold[BLOCK_INSNS * 6];
    unsigned n_cold, n_insn;
    uint32_t site;
    struct insn *cur;
    struct insn insn[BLOCK_INSNS];
    struct bt_frec frec[BLOCK_INSNS];
    struct bt_hot *hot; /* NULL: no slots */
    unsigned n_places;  /* accesses so far that may have a slot */
    bool guessed;       /* that RBP points to the stack's page */
    bool m64, failed;
    int r11_group;      /* the group whose host address r11 holds now; 0 = none */
    uint8_t groups_ok;  /* groups whose slot is valid here */
    int am_disp;
    unsigned am_base;   /* AM_BASE */
    int32_t sp_lazy;    /* what is to be added to RSP before anybody can see it */
};

/* bt_classify.c. Zydis' two functions about registers are calls of a library, which might use vector registers (I4), and slower than a table. */
ZydisRegisterClass tr_reg_class(ZydisRegister r);
int tr_reg_id(ZydisRegister r);
#define ZydisRegisterGetClass tr_reg_class
#define ZydisRegisterGetId tr_reg_id
void tr_classify(struct insn *n); /* what others ask about it again and again */
static inline unsigned tr_vector_class(const struct insn *n) { return n->vec; }
bool tr_ends_block(const ZydisDecodedInstruction *in);
static inline void tr_flag_effect(const struct insn *n, uint8_t *rd, uint8_t *wr)
{
    *rd = n->f_rd;
    *wr = n->f_wr;
}
/* Flags that an instruction with cpu_flags sets, or may set, as opposed to those that it sets in any case. */
uint8_t tr_flags_may_set(const struct insn *n);
bool tr_is_string(ZydisMnemonic m);
bool tr_never_native(const ZydisDecodedInstruction *in);
/* The call-out (CO_*) that does the whole instruction, or CO_NONE. */
unsigned tr_plain_callout(ZydisMnemonic m);
/* Does the instruction nothing but compute with general registers other than RSP, so that it neither faults nor sees RSP? */
bool tr_plain_gpr(const struct insn *n);
bool tr_is_nop(const ZydisDecodedInstruction *in);

/* bt_decode.c: what Zydis says of x->bytes, in x->in and x->op; mode: M_CODE */
ZyanStatus tr_decode(struct bt_cpu *bc, unsigned mode, unsigned have, struct insn *x);

/* bt_scan.c */
unsigned tr_scan(struct bt_tr *t, uint16_t off, const uint8_t *page, uint64_t lin, bool *ended, uint64_t limit_left);
void tr_liveness(struct bt_tr *t, unsigned n);
void tr_find_groups(struct bt_tr *t, unsigned n);

/* bt_reencode.c */
void tr_emit_insn(struct bt_tr *t, int am);
void tr_home_use(const struct insn *n, unsigned *rd, unsigned *wr, bool *high);
void tr_home_store(struct bt_tr *t, unsigned wr);

/* bt_access.c */
uint32_t tr_code_off(struct bt_tr *t);
unsigned tr_gpr_of(ZydisRegister r);
bool tr_is_high_byte(ZydisRegister r);
int tr_seg_of(ZydisRegister r);
const ZydisDecodedOperand *tr_mem_operand(const struct insn *n);
void tr_emit_rip(struct bt_tr *t, unsigned reg, int64_t delta);
void tr_emit_ea(struct bt_tr *t, const ZydisDecodedOperand *m, int32_t extra);
uint32_t tr_tlb_tag(const struct bt_tr *t, unsigned acc);
uint32_t tr_tlb_addend(const struct bt_tr *t);
uint32_t tr_page_of(const struct bt_tr *t, const struct bt_site *s);
uint32_t tr_tlb_host(const struct bt_tr *t);
bool tr_flat_operand(const struct bt_tr *t, unsigned seg);
uint8_t *tr_tlb_check(struct bt_tr *t, unsigned acc, unsigned size);
void tr_add_cold(struct bt_tr *t, uint8_t *rel, uint8_t kind, uint32_t idx);
void tr_op_begin(struct bt_tr *t, unsigned size, unsigned acc, int seg, uint16_t siteflags);
void tr_op_end(struct bt_tr *t);
bool tr_group_addr(struct bt_tr *t, const ZydisDecodedOperand *m);
void tr_emit_reg_op(struct bt_tr *t);
unsigned tr_acc_of(const ZydisDecodedOperand *m);
bool tr_masked_access(const struct insn *n, const ZydisDecodedOperand *m, struct bt_site *s);
void tr_lower_generic_mem(struct bt_tr *t, const ZydisDecodedOperand *m);

/* bt_stack.c */
void tr_sp_ea(struct bt_tr *t, int32_t d);
void tr_sp_add(struct bt_tr *t, int32_t d);
void tr_sp_add_lazy(struct bt_tr *t, int32_t d);
void tr_sp_flush(struct bt_tr *t);
bool tr_keeps_sp(const struct bt_tr *t, const struct insn *n);
void tr_push_store(struct bt_tr *t, unsigned size, int src, int64_t imm);
void tr_push_value(struct bt_tr *t, unsigned size, int src, int64_t imm);
void tr_load_t0(struct bt_tr *t, const ZydisDecodedOperand *m, unsigned size);
void tr_lower_pop(struct bt_tr *t);
void tr_lower_push(struct bt_tr *t);
void tr_lower_leave(struct bt_tr *t);

/* bt_thunk.c */
/* The register that a call of a thunk loads, or NOREG. */
static inline unsigned tr_thunk_reg(const struct insn *n) { return n->thunk && n->thunk != THUNK_NEXT ? n->thunk - 1u : NOREG; }
bool tr_is_thunk(struct bt_tr *t, struct insn *x, uint64_t lin, const uint8_t *here);
void tr_lower_thunk(struct bt_tr *t);

/* bt_branch.c */
bool tr_may_link(struct bt_tr *t);
uint32_t tr_new_exit(struct bt_tr *t, const uint8_t *rel, int64_t delta);
void tr_exit_direct(struct bt_tr *t, uint8_t *rel, int64_t delta);
void tr_exit_indirect(struct bt_tr *t); /* r10 = rip, cut to the operand size: jump there */
void tr_jump_relative(struct bt_tr *t, uint8_t *rel);
bool tr_branch_delta(struct bt_tr *t, int64_t *delta);
void tr_lower_call(struct bt_tr *t);
void tr_lower_jmp(struct bt_tr *t);
void tr_lower_ret(struct bt_tr *t);
void tr_lower_loop(struct bt_tr *t);

/* bt_flags.c */
void tr_flag_recipes(struct bt_tr *t, unsigned n);

/* bt_repeat.c */
uint8_t *tr_string_inline(struct bt_tr *t, unsigned kind, unsigned size, unsigned rep, unsigned seg);

/* bt_gather.c */
uint8_t *tr_gather_inline(struct bt_tr *t, const ZydisDecodedOperand *m, const struct bt_rec *r);

/* bt_system.c: false if C is to do it */
bool tr_lower_system(struct bt_tr *t);
bool tr_switches_ac(const struct bt_tr *t, ZydisMnemonic m); /* STAC or CLAC that leads into another mode, if there is SMAP */

/* bt_lower.c */
struct bt_rec *tr_callout(struct bt_tr *t, unsigned op);
bool tr_lower(struct bt_tr *t);

