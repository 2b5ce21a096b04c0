/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What kinds of instructions there are: which end a block, read and write the flags, need a unit of the processor that is switched off, are
 * strings, are never run as they are.
 */
#include "bt/bt_tr.h"

static const uint8_t reg_classes[ZYDIS_REGISTER_MAX_VALUE + 1] = {
#define RANGE(first, last, c) [ZYDIS_REGISTER_##first ... ZYDIS_REGISTER_##last] = ZYDIS_REGCLASS_##c
    RANGE(AL, R15B, GPR8), RANGE(AX, R15W, GPR16), RANGE(EAX, R15D, GPR32), RANGE(RAX, R15, GPR64), RANGE(ST0, ST7, X87), RANGE(MM0, MM7, MMX),
    RANGE(XMM0, XMM31, XMM), RANGE(YMM0, YMM31, YMM), RANGE(ZMM0, ZMM31, ZMM), RANGE(TMM0, TMM7, TMM), RANGE(FLAGS, RFLAGS, FLAGS),
    RANGE(IP, RIP, IP), RANGE(ES, GS, SEGMENT), RANGE(GDTR, TR, TABLE), RANGE(TR0, TR7, TEST), RANGE(CR0, CR15, CONTROL), RANGE(DR0, DR15, DEBUG),
    RANGE(K0, K7, MASK), RANGE(BND0, BND3, BOUND),
#undef RANGE
};
static const uint16_t first_of[ZYDIS_REGCLASS_MAX_VALUE + 1] = {
#define FIRST(c, r) [ZYDIS_REGCLASS_##c] = ZYDIS_REGISTER_##r
    FIRST(GPR8, AL), FIRST(GPR16, AX), FIRST(GPR32, EAX), FIRST(GPR64, RAX), FIRST(X87, ST0), FIRST(MMX, MM0), FIRST(XMM, XMM0), FIRST(YMM, YMM0),
    FIRST(ZMM, ZMM0), FIRST(TMM, TMM0), FIRST(SEGMENT, ES), FIRST(TEST, TR0), FIRST(CONTROL, CR0), FIRST(DEBUG, DR0), FIRST(MASK, K0),
    FIRST(BOUND, BND0),
#undef FIRST
};

ZydisRegisterClass tr_reg_class(ZydisRegister r) { return r <= ZYDIS_REGISTER_MAX_VALUE ? reg_classes[r] : ZYDIS_REGCLASS_INVALID; }

int tr_reg_id(ZydisRegister r)
{
    ZydisRegisterClass c = tr_reg_class(r);
    return first_of[c] ? (int)(r - first_of[c]) : -1;
}

static unsigned vector_class(const struct insn *n)
{
    const ZydisDecodedInstruction *in = &n->in;
    if (in->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX)
        return V_AVX512;
    unsigned v = V_NONE;
    if (in->mnemonic == ZYDIS_MNEMONIC_FWAIT)
        return V_WAIT;
    switch (in->meta.category) {
    case ZYDIS_CATEGORY_X87_ALU:
    case ZYDIS_CATEGORY_FCMOV:
        v = V_FPU;
        break;
    case ZYDIS_CATEGORY_MMX:
        v = V_MMX;
        break;
    default:
        break;
    }
    if (in->mnemonic == ZYDIS_MNEMONIC_LDMXCSR || in->mnemonic == ZYDIS_MNEMONIC_STMXCSR)
        return V_SSE;
    if (in->mnemonic == ZYDIS_MNEMONIC_VLDMXCSR || in->mnemonic == ZYDIS_MNEMONIC_VSTMXCSR)
        return V_AVX;
    if (in->mnemonic == ZYDIS_MNEMONIC_FXSAVE || in->mnemonic == ZYDIS_MNEMONIC_FXRSTOR || in->mnemonic == ZYDIS_MNEMONIC_FXSAVE64 ||
        in->mnemonic == ZYDIS_MNEMONIC_FXRSTOR64)
        return V_FPU;
    for (unsigned i = 0; i < in->operand_count; i++) {
        if (n->op[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        switch (ZydisRegisterGetClass(n->op[i].reg.value)) {
        case ZYDIS_REGCLASS_MASK:
            return V_AVX512;
        case ZYDIS_REGCLASS_XMM:
        case ZYDIS_REGCLASS_YMM:
            v = in->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX ? V_AVX : V_SSE;
            break;
        case ZYDIS_REGCLASS_MMX:
            if (v == V_NONE)
                v = V_MMX;
            break;
        case ZYDIS_REGCLASS_X87:
            if (v == V_NONE)
                v = V_FPU;
            break;
        default:
            break;
        }
    }
    return v;
}

/* Flags as bits 0..5 (CF PF AF ZF SF OF). */
static uint8_t pack_flags(uint32_t f)
{
    return (uint8_t)((f & ZYDIS_CPUFLAG_CF ? 1 : 0) | (f & ZYDIS_CPUFLAG_PF ? 2 : 0) | (f & ZYDIS_CPUFLAG_AF ? 4 : 0) |
                     (f & ZYDIS_CPUFLAG_ZF ? 8 : 0) | (f & ZYDIS_CPUFLAG_SF ? 16 : 0) | (f & ZYDIS_CPUFLAG_OF ? 32 : 0));
}

bool tr_ends_block(const ZydisDecodedInstruction *in)
{
    switch (in->meta.category) {
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_RET:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_INTERRUPT:
        return true;
    default:
        break;
    }
    switch (in->mnemonic) {
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_RSM:
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
        return true;
    default:
        return false;
    }
}

/* Reads and writes of arithmetic flags by a whole instruction; a call-out reads all. */
static void flag_effect(const struct insn *n, uint8_t *rd, uint8_t *wr)
{
    *rd = *wr = 0;
    switch (n->in.mnemonic) {
    case ZYDIS_MNEMONIC_SWAPGS:
        return;
    case ZYDIS_MNEMONIC_SYSRET: /* they load all */
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
        *wr = FLAGS_ALL;
        return;
    default:
        break;
    }
    switch (n->in.meta.category) { /* call-outs that see or push the flags, or may leave them */
    case ZYDIS_CATEGORY_SYSTEM:
    case ZYDIS_CATEGORY_STRINGOP:
    case ZYDIS_CATEGORY_IOSTRINGOP:
    case ZYDIS_CATEGORY_DECIMAL:
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_SEGOP:
    case ZYDIS_CATEGORY_PUSH:
    case ZYDIS_CATEGORY_POP:
        *rd = FLAGS_ALL;
        if (n->in.mnemonic != ZYDIS_MNEMONIC_PUSH && n->in.mnemonic != ZYDIS_MNEMONIC_POP)
            return;
        *rd = 0;
        break;
    default:
        break;
    }
    if (!n->in.cpu_flags)
        return;
    const ZydisAccessedFlags *f = n->in.cpu_flags;
    *rd = pack_flags(f->tested);
    *wr = pack_flags(f->modified | f->set_0 | f->set_1 | f->undefined);
    switch (n->in.mnemonic) {
    case ZYDIS_MNEMONIC_LZCNT:
    case ZYDIS_MNEMONIC_TZCNT:
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTS:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTC:
    case ZYDIS_MNEMONIC_MUL:
    case ZYDIS_MNEMONIC_IMUL:
    case ZYDIS_MNEMONIC_DIV:
    case ZYDIS_MNEMONIC_IDIV: /* what is undefined after them, processors leave as it was */
        *wr = pack_flags(f->modified | f->set_0 | f->set_1);
        break;
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_RCL:
    case ZYDIS_MNEMONIC_RCR:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD: {
        /* By a masked count of 0 they leave all flags; rotates leave all but CF and OF anyway. */
        const ZydisDecodedOperand *c = &n->op[n->in.operand_count_visible - 1];
        if (c->type != ZYDIS_OPERAND_TYPE_IMMEDIATE || (c->imm.value.u & 0x1f) == 0)
            *wr = 0;
        break;
    }
    default:
        break;
    }
}

uint8_t tr_flags_may_set(const struct insn *n)
{
    const ZydisAccessedFlags *f = n->in.cpu_flags;
    return pack_flags(f->modified | f->set_0 | f->set_1 | f->undefined);
}

bool tr_is_string(ZydisMnemonic m)
{
    switch (m) {
    case ZYDIS_MNEMONIC_MOVSB:
    case ZYDIS_MNEMONIC_MOVSW:
    case ZYDIS_MNEMONIC_MOVSD:
    case ZYDIS_MNEMONIC_MOVSQ:
    case ZYDIS_MNEMONIC_STOSB:
    case ZYDIS_MNEMONIC_STOSW:
    case ZYDIS_MNEMONIC_STOSD:
    case ZYDIS_MNEMONIC_STOSQ:
    case ZYDIS_MNEMONIC_LODSB:
    case ZYDIS_MNEMONIC_LODSW:
    case ZYDIS_MNEMONIC_LODSD:
    case ZYDIS_MNEMONIC_LODSQ:
    case ZYDIS_MNEMONIC_SCASB:
    case ZYDIS_MNEMONIC_SCASW:
    case ZYDIS_MNEMONIC_SCASD:
    case ZYDIS_MNEMONIC_SCASQ:
    case ZYDIS_MNEMONIC_CMPSB:
    case ZYDIS_MNEMONIC_CMPSW:
    case ZYDIS_MNEMONIC_CMPSD:
    case ZYDIS_MNEMONIC_CMPSQ:
    case ZYDIS_MNEMONIC_INSB:
    case ZYDIS_MNEMONIC_INSW:
    case ZYDIS_MNEMONIC_INSD:
    case ZYDIS_MNEMONIC_OUTSB:
    case ZYDIS_MNEMONIC_OUTSW:
    case ZYDIS_MNEMONIC_OUTSD:
        return true;
    default:
        return false;
    }
}

/* Unprivileged instructions that must not run as they are, because this guest is not offered them or they touch the host's own state. */
bool tr_never_native(const ZydisDecodedInstruction *in)
{
    switch (in->meta.category) {
    case ZYDIS_CATEGORY_PKU:
    case ZYDIS_CATEGORY_VTX:
    case ZYDIS_CATEGORY_SGX:
    case ZYDIS_CATEGORY_UINTR:
    case ZYDIS_CATEGORY_WAITPKG:
    case ZYDIS_CATEGORY_AMX_TILE:
    case ZYDIS_CATEGORY_ENQCMD:
    case ZYDIS_CATEGORY_KEYLOCKER:
    case ZYDIS_CATEGORY_KEYLOCKER_WIDE:
    case ZYDIS_CATEGORY_TSX_LDTRK:
    case ZYDIS_CATEGORY_PT:
    case ZYDIS_CATEGORY_MPX:
    case ZYDIS_CATEGORY_XOP:
    case ZYDIS_CATEGORY_TBM:
    case ZYDIS_CATEGORY_FMA4:
    case ZYDIS_CATEGORY_AMD3DNOW:
    case ZYDIS_CATEGORY_MOVDIR:
    case ZYDIS_CATEGORY_PADLOCK:
        return true;
    default:
        break;
    }
    switch (in->mnemonic) {
    case ZYDIS_MNEMONIC_XBEGIN:
    case ZYDIS_MNEMONIC_XEND:
    case ZYDIS_MNEMONIC_XABORT:
    case ZYDIS_MNEMONIC_XTEST:
    case ZYDIS_MNEMONIC_MONITORX:
    case ZYDIS_MNEMONIC_MWAITX:
    case ZYDIS_MNEMONIC_VMMCALL:
    case ZYDIS_MNEMONIC_VMRUN:
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_XSAVES:
    case ZYDIS_MNEMONIC_XSAVES64:
    case ZYDIS_MNEMONIC_XRSTORS:
    case ZYDIS_MNEMONIC_XRSTORS64:
    case ZYDIS_MNEMONIC_RDPRU:
    case ZYDIS_MNEMONIC_INCSSPD:
    case ZYDIS_MNEMONIC_INCSSPQ:
        return true;
    default:
        return false;
    }
}

void tr_classify(struct insn *n)
{
    n->vec = (uint8_t)vector_class(n);
    n->ends = tr_ends_block(&n->in) || tr_never_native(&n->in);
    flag_effect(n, &n->f_rd, &n->f_wr);
}

bool tr_is_nop(const ZydisDecodedInstruction *in)
{
    switch (in->meta.category) {
    case ZYDIS_CATEGORY_NOP:
    case ZYDIS_CATEGORY_WIDENOP:
    case ZYDIS_CATEGORY_PREFETCH:
    case ZYDIS_CATEGORY_PREFETCHWT1:
    case ZYDIS_CATEGORY_CLDEMOTE:
        return true;
    default:
        break;
    }
    return in->mnemonic == ZYDIS_MNEMONIC_ENDBR32 || in->mnemonic == ZYDIS_MNEMONIC_ENDBR64 || in->mnemonic == ZYDIS_MNEMONIC_RDSSPD ||
           in->mnemonic == ZYDIS_MNEMONIC_RDSSPQ;
}

bool tr_plain_gpr(const struct insn *n)
{
    switch (n->in.mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_MOVZX:
    case ZYDIS_MNEMONIC_MOVSX:
    case ZYDIS_MNEMONIC_MOVSXD:
    case ZYDIS_MNEMONIC_LEA:
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_ADC:
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_SBB:
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_CMP:
    case ZYDIS_MNEMONIC_TEST:
    case ZYDIS_MNEMONIC_INC:
    case ZYDIS_MNEMONIC_DEC:
    case ZYDIS_MNEMONIC_NEG:
    case ZYDIS_MNEMONIC_NOT:
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_IMUL:
        break;
    default:
        return false;
    }
    for (unsigned i = 0; i < n->in.operand_count_visible; i++) {
        const ZydisDecodedOperand *o = &n->op[i];
        if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
            continue;
        if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
            if (n->in.mnemonic != ZYDIS_MNEMONIC_LEA || o->mem.base == ZYDIS_REGISTER_RIP || o->mem.base == ZYDIS_REGISTER_EIP ||
                (o->mem.base != ZYDIS_REGISTER_NONE && (tr_gpr_of(o->mem.base) == 4 || tr_gpr_of(o->mem.base) >= 10)) ||
                (o->mem.index != ZYDIS_REGISTER_NONE && tr_gpr_of(o->mem.index) >= 10))
                return false;
        } else if (o->type != ZYDIS_OPERAND_TYPE_REGISTER || tr_gpr_of(o->reg.value) == NOREG || tr_gpr_of(o->reg.value) == 4) {
            return false;
        }
    }
    return true;
}

/* Call-outs that need no more than the record's plain fields. */
static const uint8_t plain_callouts[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
    [ZYDIS_MNEMONIC_FNSTENV] = CO_FNSTENV, [ZYDIS_MNEMONIC_FNSAVE] = CO_FNSAVE, [ZYDIS_MNEMONIC_FXSAVE] = CO_FXSAVE, [ZYDIS_MNEMONIC_FXSAVE64] = CO_FXSAVE,
    [ZYDIS_MNEMONIC_CLI] = CO_CLI, [ZYDIS_MNEMONIC_STI] = CO_STI, [ZYDIS_MNEMONIC_PUSHF] = CO_PUSHF,
    [ZYDIS_MNEMONIC_PUSHFD] = CO_PUSHF, [ZYDIS_MNEMONIC_PUSHFQ] = CO_PUSHF, [ZYDIS_MNEMONIC_POPF] = CO_POPF,
    [ZYDIS_MNEMONIC_POPFD] = CO_POPF, [ZYDIS_MNEMONIC_POPFQ] = CO_POPF, [ZYDIS_MNEMONIC_LGDT] = CO_LGDT,
    [ZYDIS_MNEMONIC_LIDT] = CO_LIDT, [ZYDIS_MNEMONIC_SGDT] = CO_SGDT, [ZYDIS_MNEMONIC_SIDT] = CO_SIDT,
    [ZYDIS_MNEMONIC_SLDT] = CO_SLDT, [ZYDIS_MNEMONIC_STR] = CO_STR, [ZYDIS_MNEMONIC_LLDT] = CO_LLDT,
    [ZYDIS_MNEMONIC_LTR] = CO_LTR, [ZYDIS_MNEMONIC_SMSW] = CO_SMSW, [ZYDIS_MNEMONIC_LMSW] = CO_LMSW,
    [ZYDIS_MNEMONIC_CLTS] = CO_CLTS, [ZYDIS_MNEMONIC_INVLPG] = CO_INVLPG, [ZYDIS_MNEMONIC_VERR] = CO_VERR,
    [ZYDIS_MNEMONIC_VERW] = CO_VERW, [ZYDIS_MNEMONIC_INT3] = CO_INT3, [ZYDIS_MNEMONIC_INT1] = CO_INT1,
    [ZYDIS_MNEMONIC_INTO] = CO_INTO, [ZYDIS_MNEMONIC_HLT] = CO_HLT, [ZYDIS_MNEMONIC_CPUID] = CO_CPUID,
    [ZYDIS_MNEMONIC_RDTSC] = CO_RDTSC, [ZYDIS_MNEMONIC_RDTSCP] = CO_RDTSCP, [ZYDIS_MNEMONIC_RDMSR] = CO_RDMSR,
    [ZYDIS_MNEMONIC_WRMSR] = CO_WRMSR, [ZYDIS_MNEMONIC_RDPMC] = CO_RDPMC, [ZYDIS_MNEMONIC_SYSCALL] = CO_SYSCALL,
    [ZYDIS_MNEMONIC_SYSENTER] = CO_SYSENTER, [ZYDIS_MNEMONIC_SWAPGS] = CO_SWAPGS, [ZYDIS_MNEMONIC_WBINVD] = CO_WBINVD,
    [ZYDIS_MNEMONIC_INVD] = CO_WBINVD, [ZYDIS_MNEMONIC_XGETBV] = CO_XGETBV, [ZYDIS_MNEMONIC_XSETBV] = CO_XSETBV,
    [ZYDIS_MNEMONIC_PUSHA] = CO_PUSHA, [ZYDIS_MNEMONIC_PUSHAD] = CO_PUSHA, [ZYDIS_MNEMONIC_POPA] = CO_POPA,
    [ZYDIS_MNEMONIC_POPAD] = CO_POPA, [ZYDIS_MNEMONIC_MONITOR] = CO_MONITOR, [ZYDIS_MNEMONIC_MWAIT] = CO_MWAIT,
    [ZYDIS_MNEMONIC_CLAC] = CO_CLAC, [ZYDIS_MNEMONIC_STAC] = CO_STAC, [ZYDIS_MNEMONIC_RSM] = CO_RSM,
    [ZYDIS_MNEMONIC_IRET] = CO_IRET, [ZYDIS_MNEMONIC_IRETD] = CO_IRET, [ZYDIS_MNEMONIC_IRETQ] = CO_IRET,
    [ZYDIS_MNEMONIC_PAUSE] = CO_PAUSE, [ZYDIS_MNEMONIC_MASKMOVQ] = CO_MASKMOV,
    [ZYDIS_MNEMONIC_MASKMOVDQU] = CO_MASKMOV, [ZYDIS_MNEMONIC_VMASKMOVDQU] = CO_MASKMOV,
    [ZYDIS_MNEMONIC_SYSRET] = CO_SYSRET, [ZYDIS_MNEMONIC_SYSEXIT] = CO_SYSEXIT,
};

unsigned tr_plain_callout(ZydisMnemonic m) { return plain_callouts[m]; }
