/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System instructions that a kernel runs all the time, spelled out where the mode leaves no question; anything out of the ordinary is for C.
 */
#include "bt/bt_tr.h"

/* reg (rax or rdx) rotated right by n, 32 or 64 bits, without flags */
static void e_rorx(struct em *e, int w, unsigned reg, unsigned n)
{
    e3(e, 0xc4, 0xe3, w ? 0xfb : 0x7b);
    e3(e, 0xf0, (uint8_t)(0xc0 | reg << 3 | reg), (uint8_t)n);
}
/* r11d = bit n of r10d; the flags are spoilt */
static void take_bit(struct em *e, uint8_t n)
{
    e_mov32(e, 11, 10);
    e4(e, 0x00ebc141 | (uint32_t)n << 24); /* shr r11d, n */
    e4(e, 0x01e38341);                     /* and r11d, 1 */
}
static void e_ldzx8(struct em *e, unsigned reg, uint32_t disp) { e_gs(e, 0, 0, 0x0fb6, reg, disp); }

static void lower_rdtsc(struct bt_tr *t)
{
    struct em *e = &t->e;
    if (t->cur->in.mnemonic == ZYDIS_MNEMONIC_RDTSCP) {
        e3(e, 0x0f, 0x01, 0xf9);
        e_ld32(e, 1, (uint32_t)offsetof(struct bt_cpu, c.s.tsc_aux));
    } else {
        e2(e, 0x0f, 0x31);
    }
    e_rorx(e, 1, 2, 32);
    e_lea(e, 1, 0, 0, 2, 1, 0);
    e_ld(e, 10, HOT_TSC_OFF);
    e_lea(e, 1, 0, 0, 10, 1, 0);
    e_ld(e, 10, (uint32_t)offsetof(struct bt_cpu, c.s.tsc_adjust));
    e_lea(e, 1, 0, 0, 10, 1, 0);
    e_mov(e, 2, 0);
    e_rorx(e, 1, 2, 32);
    e_mov32(e, 2, 2);
    e_mov32(e, 0, 0);
}

/* CPUID that says what it said last time; C is asked for anything else. Programs ask for its time (as a barrier) and in loops over leaves. */
static void lower_cpuid(struct bt_tr *t)
{
    struct em *e = &t->e;
    uint32_t at = (uint32_t)offsetof(struct bt_cpu, cpuid);
    bool live = t->cur->live_in != 0;
    if (live)
        e_flags_save(e, HOT_RAX_SAVE, HOT_FLSLOT);
    e3(e, 0x41, 0x89, 0xc3);             /* mov r11d, eax */
    e4(e, 0x00e38341 | (CPUID_N - 1) << 24); /* and r11d, CPUID_N - 1 */
    e_lea(e, 1, 11, 11, 11, 4, 0);
    e_gs_r11(e, 0x8b, 10, at);
    e3(e, 0x41, 0x39, 0xc2); /* cmp r10d, eax */
    uint8_t *other[2] = {e_jcc32(e, 5), NULL};
    e4(e, 0xf0fb43c4); /* rorx r10, r10, 32 */
    e2(e, 0xd2, 32);
    e3(e, 0x41, 0x39, 0xca); /* cmp r10d, ecx */
    other[1] = e_jcc32(e, 5);
    static const uint8_t reg[4] = {0, 3, 1, 2};
    for (unsigned i = 0; i < 4; i++)
        e_gs_r11(e, 0x8b, reg[i], at + (uint32_t)offsetof(struct bt_cpuid, out[i]));
    if (live)
        e_flags_load(e, HOT_RAX_SAVE, HOT_FLSLOT);
    uint8_t *done = e_jmp32(e);
    for (unsigned i = 0; i < 2; i++)
        e_fix(other[i], e->p);
    if (live)
        e_flags_load(e, HOT_RAX_SAVE, HOT_FLSLOT);
    tr_callout(t, CO_CPUID);
    e_fix(done, e->p);
}

/* T0 = RFLAGS as they are pushed: AH from LAHF, OF from SETO, DF and IF from their bytes, the rest from fl_base. */
static void flags_image(struct bt_tr *t)
{
    struct em *e = &t->e;
    e_st(e, 0, HOT_RAX_SAVE);
    e_movi(e, 0, 0);
    e1(e, 0x9f);             /* lahf */
    e3(e, 0x0f, 0x90, 0xc0); /* seto al */
    e3(e, 0xc4, 0x63, 0x7b); /* rorx r10d, eax, 8 */
    e3(e, 0xf0, 0xd0, 8);
    e4(e, 0xd2b60f45);       /* movzx r10d, r10b */
    e3(e, 0x0f, 0xb6, 0xc0); /* movzx eax, al */
    e_rorx(e, 0, 0, 32 - 11);
    e_lea(e, 1, 10, 10, 0, 1, 0);
    e_ldzx8(e, 0, HOT_DF);
    e_rorx(e, 0, 0, 32 - 10);
    e_lea(e, 1, 10, 10, 0, 1, 0);
    e_ldzx8(e, 0, HOT_IF);
    e_rorx(e, 0, 0, 32 - 9);
    e_lea(e, 1, 10, 10, 0, 1, 0);
    e_ld(e, 0, HOT_FL_BASE);
    e_lea(e, 1, 10, 10, 0, 1, 0);
    e_st(e, 10, HOT_T0);
    e_ld(e, 0, HOT_RAX_SAVE);
}

/* The call-out op, but where the byte at disp is zero, what is emitted next. Returns the jump over that, to be fixed. */
static uint8_t *unless_zero(struct bt_tr *t, uint32_t disp, unsigned op)
{
    struct em *e = &t->e;
    e_mov(e, 11, 1);
    t->r11_group = 0;
    e_ldzx8(e, 1, disp);
    uint8_t *zero = e_jrcxz(e);
    e_mov(e, 1, 11);
    tr_callout(t, op);
    uint8_t *over = e_jmp32(e);
    e_fix8(zero, e->p);
    e_mov(e, 1, 11);
    return over;
}

/*
 * POPF of a kernel: where it has turned out to run often (bt_rec.hot; before that the flags it loads are followed, see CO_POPF), and nothing but the
 * arithmetic flags, DF and IF change, and no interrupt waits.
 */
static void lower_popf(struct bt_tr *t)
{
    struct em *e = &t->e;
    unsigned size = t->cur->in.operand_width / 8;
    uint8_t *slow[3] = {e_jmp32(e)};
    uint32_t hot = tr_code_off(t) - 4;
    tr_sp_ea(t, 0);
    tr_op_begin(t, size, ACC_R, S_SS, SITE_STACK);
    e_mem(e, size == 8, 0, 0x8b, 10, AM_R10R11);
    tr_op_end(t);
    e_mov32(e, 11, 10);
    e_gs(e, 0, 0, 0x33, 11, HOT_FL_BASE); /* xor */
    e3(e, 0x41, 0xf7, 0xc3);              /* test r11d, imm32 */
    e4(e, FL_TF | FL_IOPL | FL_NT | FL_RF | FL_VM | FL_AC | FL_VIF | FL_VIP | FL_ID);
    slow[1] = e_jcc32(e, 5);
    take_bit(e, 9);
    e_gs(e, 0, 0, 0x84, 11, (uint32_t)offsetof(struct bt_cpu, intr_check)); /* test r11b */
    slow[2] = e_jcc32(e, 5);
    e_gs(e, 0, 0, 0x88, 11, HOT_IF);
    take_bit(e, 10);
    e_gs(e, 0, 0, 0x88, 11, HOT_DF);
    take_bit(e, 11);
    e4(e, 0x08e2c141);       /* shl r10d, 8 */
    e3(e, 0x45, 0x09, 0xda); /* or r10d, r11d */
    e_gs(e, 0, 1, 0x89, 10, HOT_FLSLOT);
    e_flags_load(e, HOT_RAX_SAVE, HOT_FLSLOT);
    tr_sp_add(t, (int32_t)size);
    e_movi(e, 11, 0);
    e_st32(e, 11, (uint32_t)offsetof(struct bt_cpu, snap.blk));
    uint8_t *done = e_jmp32(e);
    for (unsigned i = 0; i < 3; i++)
        e_fix(slow[i], e->p);
    tr_callout(t, CO_POPF)->hot = hot;
    e_fix(done, e->p);
}

/* MOV from CR0, CR2, CR3, CR4 */
static bool lower_from_cr(struct bt_tr *t)
{
    static const uint32_t at[] = {offsetof(struct bt_cpu, c.s.cr0), 0, offsetof(struct bt_cpu, c.s.cr2), offsetof(struct bt_cpu, c.s.cr3),
                                  offsetof(struct bt_cpu, c.s.cr4)};
    const struct insn *n = t->cur;
    unsigned cr = (unsigned)ZydisRegisterGetId(n->op[1].reg.value), dst = tr_gpr_of(n->op[0].reg.value);
    if (cr >= sizeof at / sizeof at[0] || cr == 1)
        return false;
    t->r11_group = 0;
    e_gs(&t->e, t->m64, 0, 0x8b, 11, at[cr]);
    if (t->m64 && (dst == 10 || dst == 11))
        e_st(&t->e, 11, HOME(dst));
    else
        e_mov(&t->e, dst, 11);
    return true;
}

bool tr_switches_ac(const struct bt_tr *t, ZydisMnemonic m)
{
    uint32_t from = t->mode & (M_MMU | M_CPL | M_VM86 | M_UNLINKED);
    return t->bc->bv->feat.smap && ((m == ZYDIS_MNEMONIC_STAC && from == 0) || (m == ZYDIS_MNEMONIC_CLAC && from == M_AC));
}

/*
 * STAC and CLAC at CPL 0 under CR4.SMAP: what bt_mode_ac does, and an indirect jump to the next instruction, in the other mode. They stand around each
 * access of a kernel to a program's memory. C is asked where the other mode has no numbers yet, or has none because there is no SMAP.
 */
static void lower_ac(struct bt_tr *t)
{
    struct em *e = &t->e;
    bool set = t->cur->in.mnemonic == ZYDIS_MNEMONIC_STAC;
    uint32_t alt = (uint32_t)offsetof(struct bt_cpu, alt_ctx), real = (uint32_t)offsetof(struct bt_cpu, real_ctx);
    e_mov(e, 11, 1);
    e_ld(e, 1, alt);
    uint8_t *unknown = e_jrcxz(e), *known = e_jmp32(e);
    e_fix8(unknown, e->p);
    e_mov(e, 1, 11);
    tr_callout(t, set ? CO_STAC : CO_CLAC);
    uint8_t *done = e_jmp32(e);
    e_fix(known, e->p);
    e_ld(e, 10, real);
    e_st(e, 1, real);
    e_st(e, 10, alt);
    e_st(e, 1, HOT_CTX);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t at = i ? (uint32_t)offsetof(struct bt_cpu, c.s.rflags) : HOT_FL_BASE;
        e_ld(e, 10, at);
        e_lea(e, 1, 10, 10, NOREG, 1, set ? FL_AC : -FL_AC);
        e_st(e, 10, at);
    }
    e_st_imm32(e, HOT_MODE, t->mode ^ M_AC);
    e_ld32(e, 1, HOT_EXIT_REQ);
    uint8_t *go = e_jrcxz(e);
    e_lea(e, 1, 1, NOREG, NOREG, 1, -1); /* a kick that came before the store to ctx: again as it left it */
    e_st(e, 1, HOT_CTX);
    e_fix8(go, e->p);
    e_mov(e, 1, 11);
    int64_t next = (int64_t)t->cur->off + t->cur->in.length;
    tr_emit_rip(t, 10, next);
    tr_exit_indirect(t);
    e_fix(done, e->p);
}

/* VERW whose answer nobody looks at: kernels run it for what it does to the processor's buffers, on the way back to a program. */
static bool lower_verw(struct bt_tr *t)
{
    const struct insn *n = t->cur;
    uint8_t live = t->cur + 1 < t->insn + t->n_insn ? t->cur[1].live_in : FLAGS_ALL;
    if (live & FLAGS_ZF || !(t->mode & M_PE) || t->mode & M_VM86)
        return false;
    if (n->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY)
        tr_load_t0(t, &n->op[0], 2);
    return true;
}

/* The system instructions that a kernel uses all the time, where the mode leaves no question. */
bool tr_lower_system(struct bt_tr *t)
{
    const ZydisDecodedInstruction *in = &t->cur->in;
    struct em *e = &t->e;
    bool cpl0 = CPL_OF(t->mode) == 0 && !(t->mode & M_VM86), last = t->cur == &t->insn[t->n_insn - 1];
    uint8_t *over;
    if (t->mode & M_SINGLE)
        return false;
    switch (in->mnemonic) {
    case ZYDIS_MNEMONIC_CLI:
        if (cpl0)
            e_st_imm8(e, HOT_IF, 0);
        return cpl0;
    case ZYDIS_MNEMONIC_STI:
        if (!cpl0 || last)
            return false;
        /* A pending interrupt is for C, which knows the shadow; otherwise nothing can come between STI and what follows it in the block. */
        over = unless_zero(t, (uint32_t)offsetof(struct bt_cpu, intr_check), CO_STI);
        e_st_imm8(e, HOT_IF, 1);
        e_fix(over, e->p);
        return true;
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ:
        if (t->mode & M_VM86)
            return false;
        flags_image(t);
        tr_push_value(t, in->operand_width / 8, -1, 0);
        return true;
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
        if (!cpl0 || (t->mode & M_FLAGS))
            return false;
        lower_popf(t);
        return true;
    case ZYDIS_MNEMONIC_MOV:
        return cpl0 && t->cur->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
               ZydisRegisterGetClass(t->cur->op[1].reg.value) == ZYDIS_REGCLASS_CONTROL && lower_from_cr(t);
    case ZYDIS_MNEMONIC_STAC:
    case ZYDIS_MNEMONIC_CLAC:
        if (tr_switches_ac(t, in->mnemonic)) {
            lower_ac(t);
            return true;
        }
        if (in->mnemonic == ZYDIS_MNEMONIC_STAC || !cpl0 || !t->bc->bv->feat.smap || (t->mode & M_MMU))
            return false;
        /* At the entries of a kernel AC is clear already: RFLAGS bits 16 to 23 are looked at. */
        over = unless_zero(t, HOT_FL_BASE + 2, CO_CLAC);
        e_fix(over, e->p);
        return true;
    case ZYDIS_MNEMONIC_VERW:
        return lower_verw(t);
    case ZYDIS_MNEMONIC_SWAPGS:
        if (!cpl0 || !t->m64)
            return false;
        e_ld(e, 10, SEG_OFF(S_GS, base));
        e_ld(e, 11, (uint32_t)offsetof(struct bt_cpu, c.s.kernel_gs_base));
        t->r11_group = 0;
        e_st(e, 11, SEG_OFF(S_GS, base));
        e_st(e, 10, (uint32_t)offsetof(struct bt_cpu, c.s.kernel_gs_base));
        return true;
    case ZYDIS_MNEMONIC_CPUID:
        lower_cpuid(t);
        return true;
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP:
        if ((t->mode & M_NOTSC) || (in->mnemonic == ZYDIS_MNEMONIC_RDTSCP && !t->bc->bv->feat.rdtscp))
            return false;
        lower_rdtsc(t);
        return true;
    default:
        return false;
    }
}
