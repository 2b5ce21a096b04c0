/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System-management mode: SDM vol. 3 chapter 32, APM vol. 2 chapter 10. The save map is AMD64's (APM table 10-1,
 * revision 64h) when the guest has long mode, else the 32-bit one (SDM table 32-1, revision 0): firmware tells them
 * apart by the revision id. Both have SMBASE relocation (bit 17).
 */
#include "cpu/nolibc.h"

#include "cpu/cpuint.h"

#define REV_SMBASE 0x20000u

/* The map lies at SMBASE + FE00h; addresses below are offsets in it, so "FEFCh" of the manuals is 0xfc. */
struct map {
    uint8_t b[512];
};
static void p16(struct map *m, unsigned o, uint64_t v) { *(uint16_t *)(m->b + o - 0xfe00) = (uint16_t)v; }
static void p32(struct map *m, unsigned o, uint64_t v) { *(uint32_t *)(m->b + o - 0xfe00) = (uint32_t)v; }
static void p64(struct map *m, unsigned o, uint64_t v) { *(uint64_t *)(m->b + o - 0xfe00) = v; }
static uint16_t g16(const struct map *m, unsigned o) { return *(const uint16_t *)(m->b + o - 0xfe00); }
static uint32_t g32(const struct map *m, unsigned o) { return *(const uint32_t *)(m->b + o - 0xfe00); }
static uint64_t g64(const struct map *m, unsigned o) { return *(const uint64_t *)(m->b + o - 0xfe00); }

static void seg64_put(struct map *m, unsigned o, const struct cpu_seg *s)
{
    p16(m, o, s->sel);
    p16(m, o + 2, s->attr);
    p32(m, o + 4, s->limit);
    p64(m, o + 8, s->base);
}
static void seg64_get(const struct map *m, unsigned o, struct cpu_seg *s)
{
    s->sel = g16(m, o);
    s->attr = g16(m, o + 2) & 0xf0ff;
    s->limit = g32(m, o + 4);
    s->base = g64(m, o + 8);
}
/* 32-bit map: attributes as in the descriptor's second doubleword. */
static void seg32_put(struct map *m, unsigned sel_o, unsigned o, const struct cpu_seg *s)
{
    p32(m, sel_o, s->sel);
    p32(m, o, (uint32_t)s->attr << 8);
    p32(m, o + 4, s->limit);
    p32(m, o + 8, s->base);
}
static void seg32_get(const struct map *m, unsigned sel_o, unsigned o, struct cpu_seg *s)
{
    s->sel = (uint16_t)g32(m, sel_o);
    s->attr = (uint16_t)(g32(m, o) >> 8) & 0xf0ff;
    s->limit = g32(m, o + 4);
    s->base = g32(m, o + 8);
}
static unsigned seg32_off(unsigned i) { return i < 3 ? 0xff84 + 12 * i : 0xff2c + 12 * (i - 3); }

static void save64(struct cpu *c, struct map *m)
{
    const struct cpu_state *s = &c->s;
    for (unsigned i = 0; i < S_COUNT; i++)
        seg64_put(m, 0xfe00 + 16 * i, &s->seg[i]);
    p32(m, 0xfe64, s->gdtr.limit);
    p64(m, 0xfe68, s->gdtr.base);
    seg64_put(m, 0xfe70, &s->ldtr);
    p32(m, 0xfe84, s->idtr.limit);
    p64(m, 0xfe88, s->idtr.base);
    seg64_put(m, 0xfe90, &s->tr);
    m->b[0xc9] = s->run_state == CPU_HALTED; /* FEC9h: auto-halt restart */
    m->b[0xca] = s->nmi_blocked;             /* FECAh: NMI mask */
    p64(m, 0xfed0, s->efer);
    p32(m, 0xfefc, REV_SMBASE | 0x64);
    p32(m, 0xff00, s->smbase);
    p64(m, 0xff48, s->cr4);
    p64(m, 0xff50, s->cr3);
    p64(m, 0xff58, s->cr0);
    p64(m, 0xff60, s->dr7);
    p64(m, 0xff68, s->dr6);
    p64(m, 0xff70, s->rflags);
    p64(m, 0xff78, s->rip);
    for (unsigned i = 8; i < 16; i++)
        p64(m, 0xfff8 - 8 * i, s->gpr[i]); /* FF80h R15 .. FFB8h R8 */
    static const uint8_t order[8] = {R_RDI, R_RSI, R_RBP, R_RSP, R_RBX, R_RDX, R_RCX, R_RAX};
    for (unsigned i = 0; i < 8; i++)
        p64(m, 0xffc0 + 8 * i, s->gpr[order[i]]);
}

static void save32(struct cpu *c, struct map *m)
{
    const struct cpu_state *s = &c->s;
    p32(m, 0xfffc, s->cr0);
    p32(m, 0xfff8, s->cr3);
    p32(m, 0xfff4, s->rflags);
    p32(m, 0xfff0, s->rip);
    static const uint8_t order[8] = {R_RDI, R_RSI, R_RBP, R_RSP, R_RBX, R_RDX, R_RCX, R_RAX};
    for (unsigned i = 0; i < 8; i++)
        p32(m, 0xffec - 4 * i, s->gpr[order[i]]);
    p32(m, 0xffcc, s->dr6);
    p32(m, 0xffc8, s->dr7);
    seg32_put(m, 0xffc4, 0xff5c, &s->tr);
    seg32_put(m, 0xffc0, 0xff78, &s->ldtr);
    p32(m, 0xff74, s->gdtr.base);
    p32(m, 0xff70, s->gdtr.limit);
    p32(m, 0xff58, s->idtr.base);
    p32(m, 0xff54, s->idtr.limit);
    for (unsigned i = 0; i < S_COUNT; i++)
        seg32_put(m, 0xffa8 + 4 * i, seg32_off(i), &s->seg[i]);
    p32(m, 0xff14, s->cr4);
    p16(m, 0xff02, s->run_state == CPU_HALTED);
    p16(m, 0xff04, s->nmi_blocked); /* a reserved field: whether NMIs were blocked before */
    p32(m, 0xfefc, REV_SMBASE);
    p32(m, 0xfef8, s->smbase);
}

void cpu_smi_enter(struct cpu *c)
{
    struct cpu_state *s = &c->s;
    struct map m;
    cpu_zero(&m, sizeof m);
    if (c->feat->longmode)
        save64(c, &m);
    else
        save32(c, &m);
    s->smm = 1;
    s->smm_nmi = s->nmi_blocked; /* what RSM goes by: KVM keeps it outside of the map */
    s->nmi_blocked = 1;
    c->ops->flush_tlb(c, true); /* SMRAM is visible from here on */
    for (unsigned i = 0; i < sizeof m; i += 8)
        c->ops->phys_write(c, s->smbase + 0xfe00 + i, m.b + i, 8);

    s->run_state = CPU_RUNNING;
    s->intr_shadow = 0;
    s->efer = 0;
    s->cr0 &= ~(uint64_t)(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
    s->cr4 = 0;
    s->dr7 = 0x400;
    s->rflags = 2;
    s->rip = 0x8000;
    for (unsigned i = 0; i < S_COUNT; i++)
        s->seg[i] = (struct cpu_seg){.attr = 0x8093, .limit = 0xffffffffu};
    s->seg[S_CS].sel = (uint16_t)(s->smbase >> 4);
    s->seg[S_CS].base = s->smbase;
    c->cpl = 0;
    c->ops->flush_tlb(c, true);
    mode_changed(c);
}

/* What RSM checks before it loads anything (SDM vol. 2 RSM, APM vol. 2 10.4): an invalid state is a shutdown. */
static bool valid(const struct cpu *c, uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    if (((cr0 & CR0_PG) && !(cr0 & CR0_PE)) || ((cr0 & CR0_NW) && !(cr0 & CR0_CD)) || cr0 >> 32)
        return false;
    if ((cr4 & ~c->feat->cr4_valid) || (efer & ~c->feat->efer_valid))
        return false;
    if ((efer & EFER_LME) && (cr0 & CR0_PG) && !(cr4 & CR4_PAE))
        return false;
    return true;
}

static void load64(struct cpu *c, const struct map *m)
{
    struct cpu_state *s = &c->s;
    for (unsigned i = 0; i < S_COUNT; i++)
        seg64_get(m, 0xfe00 + 16 * i, &s->seg[i]);
    s->gdtr = (struct cpu_dtable){.base = g64(m, 0xfe68), .limit = g16(m, 0xfe64)};
    seg64_get(m, 0xfe70, &s->ldtr);
    s->idtr = (struct cpu_dtable){.base = g64(m, 0xfe88), .limit = g16(m, 0xfe84)};
    seg64_get(m, 0xfe90, &s->tr);
    s->run_state = (m->b[0xc9] & 1) ? CPU_HALTED : CPU_RUNNING;
    s->efer = g64(m, 0xfed0) & ~(uint64_t)EFER_LMA;
    s->cr4 = g64(m, 0xff48);
    s->cr3 = g64(m, 0xff50);
    s->cr0 = g64(m, 0xff58) | CR0_ET;
    if ((s->efer & EFER_LME) && (s->cr0 & CR0_PG))
        s->efer |= EFER_LMA;
    s->dr7 = (g64(m, 0xff60) & 0xffff23ff) | 0x400;
    s->dr6 = (g64(m, 0xff68) & 0xe00f) | 0xffff0ff0;
    s->rflags = (g64(m, 0xff70) & 0x3f7fd5) | 2;
    s->rip = g64(m, 0xff78);
    for (unsigned i = 8; i < 16; i++)
        s->gpr[i] = g64(m, 0xfff8 - 8 * i);
    static const uint8_t order[8] = {R_RDI, R_RSI, R_RBP, R_RSP, R_RBX, R_RDX, R_RCX, R_RAX};
    for (unsigned i = 0; i < 8; i++)
        s->gpr[order[i]] = g64(m, 0xffc0 + 8 * i);
    s->nmi_blocked = s->smm_nmi;
    s->smm_nmi = 0;
    s->smbase = g32(m, 0xff00);
}

static void load32(struct cpu *c, const struct map *m)
{
    struct cpu_state *s = &c->s;
    s->cr0 = g32(m, 0xfffc) | CR0_ET;
    s->cr3 = g32(m, 0xfff8);
    s->rflags = (g32(m, 0xfff4) & 0x3f7fd5) | 2;
    s->rip = g32(m, 0xfff0);
    static const uint8_t order[8] = {R_RDI, R_RSI, R_RBP, R_RSP, R_RBX, R_RDX, R_RCX, R_RAX};
    for (unsigned i = 0; i < 8; i++)
        s->gpr[order[i]] = g32(m, 0xffec - 4 * i);
    s->dr6 = (g32(m, 0xffcc) & 0xe00f) | 0xffff0ff0;
    s->dr7 = (g32(m, 0xffc8) & 0xffff23ff) | 0x400;
    seg32_get(m, 0xffc4, 0xff5c, &s->tr);
    seg32_get(m, 0xffc0, 0xff78, &s->ldtr);
    s->gdtr = (struct cpu_dtable){.base = g32(m, 0xff74), .limit = g16(m, 0xff70)};
    s->idtr = (struct cpu_dtable){.base = g32(m, 0xff58), .limit = g16(m, 0xff54)};
    for (unsigned i = 0; i < S_COUNT; i++)
        seg32_get(m, 0xffa8 + 4 * i, seg32_off(i), &s->seg[i]);
    s->cr4 = g32(m, 0xff14);
    s->efer = 0;
    s->run_state = (g16(m, 0xff02) & 1) ? CPU_HALTED : CPU_RUNNING;
    s->nmi_blocked = s->smm_nmi;
    s->smm_nmi = 0;
    s->smbase = g32(m, 0xfef8);
}

int cpu_rsm(struct cpu *c)
{
    struct cpu_state *s = &c->s;
    struct map m;
    if (!s->smm)
        return cpu_raise(c, X_UD);
    for (unsigned i = 0; i < sizeof m; i += 8)
        c->ops->phys_read(c, s->smbase + 0xfe00 + i, m.b + i, 8);
    bool lm = c->feat->longmode;
    if (lm ? !valid(c, g64(&m, 0xff58), g64(&m, 0xff48), g64(&m, 0xfed0))
           : !valid(c, g32(&m, 0xfffc), g32(&m, 0xff14), 0)) {
        c->ops->guest_error(c, "RSM with an invalid state: shutdown", lm ? g64(&m, 0xff58) : g32(&m, 0xfffc), 0);
        s->run_state = CPU_SHUTDOWN;
        return 0;
    }
    if (lm)
        load64(c, &m);
    else
        load32(c, &m);
    s->smm = 0;
    c->cpl = cpu_in_real(c) ? 0 : cpu_in_vm86(c) ? 3 : SEG_DPL(s->seg[S_SS].attr);
    s->intr_shadow = 0;
    c->ops->flush_tlb(c, true);
    if ((s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !cpu_in_lm(c) && cpu_load_pdptes(c, s->cr3)) {
        s->run_state = CPU_SHUTDOWN;
        return 0;
    }
    mode_changed(c);
    return 0;
}
