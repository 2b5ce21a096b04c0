/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which instruction sets this guest has. What CPUID offers must run, what it does not offer must raise #UD, whatever the host could
 * do: a row says which bit of which leaf offers a set. Sets without a row are part of every processor that we can be.
 */
#include "bt/bt_private.h"

#include "cpu/cpuint.h"

#define NO_LEAF 0xffffffffu
enum { EAX, EBX, ECX, EDX };

static const struct row {
    uint16_t set; /* and the following sets up to last */
    uint16_t last;
    uint32_t leaf; /* NO_LEAF: never offered */
    uint8_t sub, reg, bit;
    bool vl; /* also wants AVX512VL */
} rows[] = {
#define SET1(s, ...) {ZYDIS_ISA_SET_##s, ZYDIS_ISA_SET_##s, __VA_ARGS__}
#define VL3(s, ...)                                                                                             \
    {ZYDIS_ISA_SET_##s##_128, ZYDIS_ISA_SET_##s##_128, __VA_ARGS__, true},                                      \
        {ZYDIS_ISA_SET_##s##_256, ZYDIS_ISA_SET_##s##_256, __VA_ARGS__, true}, SET1(s##_512, __VA_ARGS__, false)
#define NEVER(s) SET1(s, NO_LEAF, 0, 0, 0, false)
    SET1(CMOV, 1, 0, EDX, 15, false),
    SET1(FCMOV, 1, 0, EDX, 15, false),
    SET1(CLFSH, 1, 0, EDX, 19, false),
    SET1(PENTIUMMMX, 1, 0, EDX, 23, false),
    SET1(FXSAVE, 1, 0, EDX, 24, false),
    SET1(FXSAVE64, 1, 0, EDX, 24, false),
    SET1(SSE, 1, 0, EDX, 25, false),
    SET1(SSEMXCSR, 1, 0, EDX, 25, false),
    SET1(SSE2, 1, 0, EDX, 26, false),
    SET1(SSE2MMX, 1, 0, EDX, 26, false),
    SET1(SSE3, 1, 0, ECX, 0, false),
    SET1(SSE3X87, 1, 0, ECX, 0, false),
    SET1(PCLMULQDQ, 1, 0, ECX, 1, false),
    SET1(MONITOR, 1, 0, ECX, 3, false),
    SET1(SSSE3, 1, 0, ECX, 9, false),
    SET1(SSSE3MMX, 1, 0, ECX, 9, false),
    SET1(FMA, 1, 0, ECX, 12, false),
    SET1(CMPXCHG16B, 1, 0, ECX, 13, false),
    SET1(SSE4, 1, 0, ECX, 19, false),
    SET1(SSE42, 1, 0, ECX, 20, false),
    SET1(MOVBE, 1, 0, ECX, 22, false),
    SET1(POPCNT, 1, 0, ECX, 23, false),
    SET1(AES, 1, 0, ECX, 25, false),
    SET1(AVXAES, 1, 0, ECX, 25, false),
    SET1(XSAVE, 1, 0, ECX, 26, false),
    SET1(AVX, 1, 0, ECX, 28, false),
    SET1(F16C, 1, 0, ECX, 29, false),
    SET1(RDRAND, 1, 0, ECX, 30, false),
    SET1(RDWRFSGS, 7, 0, EBX, 0, false),
    SET1(BMI1, 7, 0, EBX, 3, false),
    SET1(AVX2, 7, 0, EBX, 5, false),
    SET1(AVX2GATHER, 7, 0, EBX, 5, false),
    SET1(BMI2, 7, 0, EBX, 8, false),
    SET1(INVPCID, 7, 0, EBX, 10, false),
    VL3(AVX512F, 7, 0, EBX, 16),
    SET1(AVX512F_128N, 7, 0, EBX, 16, false),
    SET1(AVX512F_SCALAR, 7, 0, EBX, 16, false),
    SET1(AVX512F_KOP, 7, 0, EBX, 16, false),
    VL3(AVX512DQ, 7, 0, EBX, 17),
    SET1(AVX512DQ_128N, 7, 0, EBX, 17, false),
    SET1(AVX512DQ_SCALAR, 7, 0, EBX, 17, false),
    SET1(AVX512DQ_KOP, 7, 0, EBX, 17, false),
    SET1(RDSEED, 7, 0, EBX, 18, false),
    SET1(ADOX_ADCX, 7, 0, EBX, 19, false),
    SET1(SMAP, 7, 0, EBX, 20, false),
    VL3(AVX512_IFMA, 7, 0, EBX, 21),
    SET1(CLFLUSHOPT, 7, 0, EBX, 23, false),
    SET1(CLWB, 7, 0, EBX, 24, false),
    VL3(AVX512CD, 7, 0, EBX, 28),
    SET1(SHA, 7, 0, EBX, 29, false),
    VL3(AVX512BW, 7, 0, EBX, 30),
    SET1(AVX512BW_128N, 7, 0, EBX, 30, false),
    SET1(AVX512BW_KOP, 7, 0, EBX, 30, false),
    VL3(AVX512_VBMI, 7, 0, ECX, 1),
    VL3(AVX512_VBMI2, 7, 0, ECX, 6),
    SET1(GFNI, 7, 0, ECX, 8, false),
    SET1(AVX_GFNI, 7, 0, ECX, 8, false),
    VL3(AVX512_GFNI, 7, 0, ECX, 8),
    SET1(VAES, 7, 0, ECX, 9, false),
    VL3(AVX512_VAES, 7, 0, ECX, 9),
    SET1(VPCLMULQDQ, 7, 0, ECX, 10, false),
    VL3(AVX512_VPCLMULQDQ, 7, 0, ECX, 10),
    VL3(AVX512_VNNI, 7, 0, ECX, 11),
    VL3(AVX512_BITALG, 7, 0, ECX, 12),
    VL3(AVX512_VPOPCNTDQ, 7, 0, ECX, 14),
    VL3(AVX512_VP2INTERSECT, 7, 0, EDX, 8),
    SET1(SERIALIZE, 7, 0, EDX, 14, false),
    VL3(AVX512_FP16, 7, 0, EDX, 23),
    SET1(AVX512_FP16_128N, 7, 0, EDX, 23, false),
    SET1(AVX512_FP16_SCALAR, 7, 0, EDX, 23, false),
    SET1(AVX_VNNI, 7, 1, EAX, 4, false),
    VL3(AVX512_BF16, 7, 1, EAX, 5),
    SET1(XSAVEOPT, 0xd, 1, EAX, 0, false),
    SET1(XSAVEC, 0xd, 1, EAX, 1, false),
    SET1(LAHF, 0x80000001u, 0, ECX, 0, false),
    SET1(SSE4A, 0x80000001u, 0, ECX, 6, false),
    SET1(CLZERO, 0x80000008u, 0, EBX, 0, false),
    NEVER(AMD3DNOW), NEVER(AMD_INVLPGB), NEVER(AMX_BF16), NEVER(AMX_INT8), NEVER(AMX_TILE), NEVER(AVX512ER_512), NEVER(AVX512ER_SCALAR),
    NEVER(AVX512PF_512), NEVER(AVX512_4FMAPS_512), NEVER(AVX512_4FMAPS_SCALAR), NEVER(AVX512_4VNNIW_512), NEVER(ENQCMD), NEVER(FMA4), NEVER(HRESET),
    NEVER(KEYLOCKER), NEVER(KEYLOCKER_WIDE), NEVER(KNCE), NEVER(KNCJKBR), NEVER(KNCSTREAM), NEVER(KNCV), NEVER(KNC_MISC), NEVER(KNC_PF_HINT),
    NEVER(LWP), NEVER(MCOMMIT), NEVER(MONITORX), NEVER(MOVDIR), NEVER(MPX), NEVER(PADLOCK_ACE), NEVER(PADLOCK_PHE), NEVER(PADLOCK_PMM),
    NEVER(PADLOCK_RNG), NEVER(PCONFIG), NEVER(PKU), NEVER(PT), NEVER(RDPRU), NEVER(RTM), NEVER(SGX), NEVER(SGX_ENCLV), NEVER(SMX), NEVER(SNP),
    NEVER(SVM), NEVER(TBM), NEVER(TDX), NEVER(TSX_LDTRK), NEVER(UINTR), NEVER(VMFUNC), NEVER(VTX), NEVER(WAITPKG), NEVER(XOP), NEVER(XSAVES),
#undef SET1
#undef VL3
#undef NEVER
};

static bool has(const struct cpu_features *f, uint32_t leaf, uint8_t sub, uint8_t reg, uint8_t bit)
{
    const struct cpuid_leaf *l = cpu_feat_leaf(f, leaf, sub);
    if (!l)
        return false;
    uint32_t v = reg == EAX ? l->eax : reg == EBX ? l->ebx : reg == ECX ? l->ecx : l->edx;
    return v >> bit & 1;
}

void bt_isa_init(struct bt_vm *bv)
{
    const struct cpu_features *f = &bv->feat;
    cpu_zero(bv->isa_denied, sizeof bv->isa_denied);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        if (r->leaf != NO_LEAF && has(f, r->leaf, r->sub, r->reg, r->bit) && (!r->vl || has(f, 7, 0, EBX, 31)))
            continue;
        for (unsigned s = r->set; s <= r->last; s++)
            bv->isa_denied[s >> 6] |= 1ull << (s & 63);
    }
}

bool bt_isa_offered(const struct bt_vm *bv, const ZydisDecodedInstruction *in)
{
    unsigned s = in->meta.isa_set;
    if (!(bv->isa_denied[s >> 6] >> (s & 63) & 1))
        return true;
    /* What older processors take for something else: hints are NOPs, TZCNT is BSF, and so on. */
    if (in->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        switch (in->mnemonic) {
        case ZYDIS_MNEMONIC_TZCNT:
        case ZYDIS_MNEMONIC_LZCNT:
        case ZYDIS_MNEMONIC_PREFETCH:
        case ZYDIS_MNEMONIC_PREFETCHW:
        case ZYDIS_MNEMONIC_PREFETCHWT1:
        case ZYDIS_MNEMONIC_PREFETCHNTA:
        case ZYDIS_MNEMONIC_PREFETCHT0:
        case ZYDIS_MNEMONIC_PREFETCHT1:
        case ZYDIS_MNEMONIC_PREFETCHT2:
            return true;
        default:
            break;
        }
    return false;
}
