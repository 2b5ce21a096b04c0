/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Far control transfers: JMP, CALL and RET far with call gates and task gates, SYSCALL/SYSRET, SYSENTER/SYSEXIT (SDM
 * vol. 2, APM vol. 3). */
#include "cpu/nolibc.h"

#include "cpu/cpuint.h"

static inline uint64_t cut(uint64_t v, unsigned opsize)
{
    return opsize == 2 ? (uint16_t)v : opsize == 4 ? (uint32_t)v : v;
}
static inline unsigned user_acc(unsigned cpl) { return cpl == 3 ? ACC_USER : 0; }

/* Is rip a place where cs may execute? Raises #GP(0). */
static int check_rip(struct cpu *c, const struct cpu_seg *cs, uint64_t rip)
{
    if (cpu_in_lm(c) && (cs->attr & SEG_L)) {
        if (unlikely(!cpu_canonical(rip)))
            return cpu_raise_code(c, X_GP, 0);
    } else if (unlikely(rip > cs->limit)) {
        return cpu_raise_code(c, X_GP, 0);
    }
    return 0;
}

/* Compatibility mode has a 32-bit stack pointer: what RSP held above that is gone (processors differ, the manuals call it undefined). */
static void rsp_of_mode(struct cpu *c)
{
    if (cpu_in_lm(c) && !(c->s.seg[S_CS].attr & SEG_L))
        c->s.gpr[R_RSP] = (uint32_t)c->s.gpr[R_RSP];
}

static void set_cs_sel_rpl(struct cpu_seg *cs, unsigned cpl) { cs->sel = (uint16_t)((cs->sel & ~3u) | cpl); }

/* A code segment as the direct target of a JMP or CALL: no change of CPL. */
static int direct_cs(struct cpu *c, uint16_t sel, uint64_t *d, struct cpu_seg *cs)
{
    if (D_CONFORMING(*d) ? D_DPL(*d) > c->cpl : (SEL_RPL(sel) > c->cpl || D_DPL(*d) != c->cpl))
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (cpu_in_lm(c) && D_L(*d) && D_DB(*d))
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (!D_P(*d))
        return cpu_raise_code(c, X_NP, SEL_IX(sel));
    desc_unpack(cs, sel, *d);
    if (!cpu_in_lm(c))
        cs->attr &= (uint16_t)~SEG_L;
    set_cs_sel_rpl(cs, c->cpl);
    return 0;
}

struct gate {
    uint16_t sel;
    unsigned width, params; /* 2, 4, 8 */
    uint64_t off;
    uint64_t cs_raw;
    struct cpu_seg cs;
};

/* Reads a call gate and the code segment behind it, with the checks that JMP and CALL share. */
static int read_call_gate(struct cpu *c, uint16_t sel, uint64_t d, struct gate *g)
{
    uint64_t hi = 0;
    if (D_DPL(d) < c->cpl || D_DPL(d) < SEL_RPL(sel))
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (cpu_in_lm(c)) {
        int r = cpu_desc_read_hi(c, sel, &hi);
        if (r)
            return r < 0 ? -1 : cpu_raise_code(c, X_GP, SEL_IX(sel));
        if (hi >> 40 & 0x1f)
            return cpu_raise_code(c, X_GP, SEL_IX(sel));
    }
    if (!D_P(d))
        return cpu_raise_code(c, X_NP, SEL_IX(sel));
    g->sel = (uint16_t)(d >> 16);
    g->width = cpu_in_lm(c) ? 8 : DT(d) == DT_CALL16 ? 2 : 4;
    g->params = (unsigned)(d >> 32) & 31;
    g->off = d & 0xffff;
    if (g->width != 2)
        g->off |= (d >> 32) & 0xffff0000u;
    if (g->width == 8)
        g->off |= hi << 32;
    if (SEL_NULL(g->sel))
        return cpu_raise_code(c, X_GP, 0);
    int r = cpu_desc_read(c, g->sel, &g->cs_raw);
    if (r)
        return r < 0 ? -1 : cpu_raise_code(c, X_GP, SEL_IX(g->sel));
    if (!D_IS_CODE(g->cs_raw) || D_DPL(g->cs_raw) > c->cpl)
        return cpu_raise_code(c, X_GP, SEL_IX(g->sel));
    if (cpu_in_lm(c) && (!D_L(g->cs_raw) || D_DB(g->cs_raw)))
        return cpu_raise_code(c, X_GP, SEL_IX(g->sel));
    return 0;
}

/* A TSS or a task gate as the target of JMP or CALL. */
static int far_task(struct cpu *c, uint16_t sel, uint64_t d, enum cpu_task_src src)
{
    if (D_DPL(d) < c->cpl || D_DPL(d) < SEL_RPL(sel))
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    if (DT(d) == DT_TASK) {
        if (!D_P(d))
            return cpu_raise_code(c, X_NP, SEL_IX(sel));
        sel = (uint16_t)(d >> 16);
    }
    return cpu_task_switch_ext(c, sel, src, false, 0, 0, c->s.rflags);
}

/* Reads the descriptor of a far JMP or CALL. */
static int target_desc(struct cpu *c, uint16_t sel, uint64_t *d)
{
    if (SEL_NULL(sel))
        return cpu_raise_code(c, X_GP, 0);
    int r = cpu_desc_read(c, sel, d);
    if (r)
        return r < 0 ? -1 : cpu_raise_code(c, X_GP, SEL_IX(sel));
    return 0;
}

static bool is_call_gate(struct cpu *c, uint64_t d)
{
    return DT(d) == DT_CALL32 || (DT(d) == DT_CALL16 && !cpu_in_lm(c));
}
static bool is_task(struct cpu *c, uint64_t d)
{
    if (cpu_in_lm(c))
        return false;
    return DT(d) == DT_TSS16 || DT(d) == DT_TSS32 || DT(d) == DT_TASK || DT(d) == DT_TSS16_BUSY ||
           DT(d) == DT_TSS32_BUSY;
}

static int far_real(struct cpu *c, uint16_t sel, uint64_t off)
{
    if (unlikely(off > c->s.seg[S_CS].limit && !cpu_in_vm86(c)) || (cpu_in_vm86(c) && off > 0xffff))
        return cpu_raise_code(c, X_GP, 0);
    cpu_seg_load_real(c, S_CS, sel);
    c->s.rip = off;
    mode_changed(c);
    return 0;
}

int cpu_far_jmp(struct cpu *c, uint16_t sel, uint64_t off, unsigned opsize)
{
    uint64_t d;
    struct cpu_seg cs;
    off = cut(off, opsize);
    if (cpu_in_real(c) || cpu_in_vm86(c))
        return far_real(c, sel, off);
    if (target_desc(c, sel, &d))
        return -1;
    if (likely(D_IS_CODE(d))) {
        if (direct_cs(c, sel, &d, &cs) || check_rip(c, &cs, off) || cpu_desc_set_accessed(c, sel, &d))
            return -1;
    } else if (is_call_gate(c, d)) {
        struct gate g;
        if (read_call_gate(c, sel, d, &g))
            return -1;
        if (!D_CONFORMING(g.cs_raw) && D_DPL(g.cs_raw) != c->cpl)
            return cpu_raise_code(c, X_GP, SEL_IX(g.sel));
        if (!D_P(g.cs_raw))
            return cpu_raise_code(c, X_NP, SEL_IX(g.sel));
        desc_unpack(&cs, g.sel, g.cs_raw);
        if (!cpu_in_lm(c))
            cs.attr &= (uint16_t)~SEG_L;
        set_cs_sel_rpl(&cs, c->cpl);
        off = g.off;
        if (check_rip(c, &cs, off) || cpu_desc_set_accessed(c, g.sel, &g.cs_raw))
            return -1;
    } else if (is_task(c, d)) {
        return far_task(c, sel, d, TASK_JMP);
    } else {
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    }
    cs.attr |= 1;
    cpu_load_cs(c, &cs, c->cpl);
    rsp_of_mode(c);
    c->s.rip = off;
    mode_changed(c);
    return 0;
}

/* CALL through a gate to an inner level: a new stack, parameters copied (SDM CALL, MORE-PRIVILEGE). */
static int call_inner(struct cpu *c, struct gate *g)
{
    unsigned cpl = D_DPL(g->cs_raw);
    struct cpu_seg ss, cs;
    uint16_t ss_sel = 0;
    uint64_t sp, v[40], ss_raw = D_ACCESSED;
    unsigned n = 0;
    bool lm = cpu_in_lm(c);
    if (!D_P(g->cs_raw))
        return cpu_raise_code(c, X_NP, SEL_IX(g->sel));
    desc_unpack(&cs, g->sel, g->cs_raw);
    if (!lm)
        cs.attr &= (uint16_t)~SEG_L;
    set_cs_sel_rpl(&cs, cpl);
    if (lm) {
        uint32_t off = 4 + 8 * cpl;
        if (off + 7 > c->s.tr.limit)
            return cpu_raise_code(c, X_TS, SEL_IX(c->s.tr.sel));
        if (cpu_sys_read64(c, c->s.tr.base + off, &sp))
            return -1;
        seg_null(&ss, (uint16_t)cpl, cpl);
    } else {
        if (cpu_tss_stack(c, cpl, &ss_sel, &sp, 0) || cpu_check_new_ss(c, ss_sel, cpl, 0, &ss, &ss_raw))
            return -1;
    }
    v[n++] = c->s.seg[S_SS].sel;
    v[n++] = c->s.gpr[R_RSP];
    if (!lm && g->params) {
        uint64_t p[32];
        for (unsigned i = 0; i < g->params; i += 8) {
            unsigned k = g->params - i < 8 ? g->params - i : 8;
            if (cpu_stack_read(c, g->width, p + i, k, (uint64_t)i * g->width))
                return -1;
        }
        for (unsigned i = g->params; i-- > 0;)
            v[n++] = p[i];
    }
    v[n++] = c->s.seg[S_CS].sel;
    v[n++] = c->next_rip;
    if (check_rip(c, &cs, g->off))
        return -1;
    /* In IA-32e mode the new SS is null, so its error code is 0. */
    if (cpu_stack_write(c, &ss, lm, &sp, g->width, v, n, user_acc(cpl), lm ? 0 : SEL_IX(ss.sel)))
        return -1;
    if (cpu_desc_set_accessed(c, g->sel, &g->cs_raw) || cpu_desc_set_accessed(c, ss_sel, &ss_raw))
        return -1;
    cs.attr |= 1;
    cpu_load_cs(c, &cs, cpl);
    c->s.seg[S_SS] = ss;
    c->s.gpr[R_RSP] = sp;
    c->s.rip = g->off;
    mode_changed(c);
    return 0;
}

int cpu_far_call(struct cpu *c, uint16_t sel, uint64_t off, unsigned opsize)
{
    uint64_t d, sp = c->s.gpr[R_RSP];
    struct cpu_seg cs;
    uint64_t v[2] = {c->s.seg[S_CS].sel, c->next_rip};
    unsigned width = opsize;
    off = cut(off, opsize);
    if (cpu_in_real(c) || cpu_in_vm86(c)) {
        if (off > (cpu_in_vm86(c) ? 0xffffu : c->s.seg[S_CS].limit))
            return cpu_raise_code(c, X_GP, 0);
        if (cpu_stack_write(c, &c->s.seg[S_SS], false, &sp, width, v, 2, user_acc(c->cpl), 0))
            return -1;
        c->s.gpr[R_RSP] = sp;
        return far_real(c, sel, off);
    }
    if (target_desc(c, sel, &d))
        return -1;
    if (likely(D_IS_CODE(d))) {
        if (direct_cs(c, sel, &d, &cs) || check_rip(c, &cs, off))
            return -1;
    } else if (is_call_gate(c, d)) {
        struct gate g;
        if (read_call_gate(c, sel, d, &g))
            return -1;
        if (!D_CONFORMING(g.cs_raw) && D_DPL(g.cs_raw) < c->cpl)
            return call_inner(c, &g);
        if (!D_P(g.cs_raw))
            return cpu_raise_code(c, X_NP, SEL_IX(g.sel));
        desc_unpack(&cs, g.sel, g.cs_raw);
        if (!cpu_in_lm(c))
            cs.attr &= (uint16_t)~SEG_L;
        set_cs_sel_rpl(&cs, c->cpl);
        off = g.off;
        sel = g.sel;
        d = g.cs_raw;
        width = g.width;
        if (check_rip(c, &cs, off))
            return -1;
    } else if (is_task(c, d)) {
        return far_task(c, sel, d, TASK_CALL);
    } else {
        return cpu_raise_code(c, X_GP, SEL_IX(sel));
    }
    /* The stack is addressed as the target sees it: flat when 64-bit code is called from compatibility mode, SS:ESP the other way round. */
    bool flat = cpu_in_lm(c) && (cs.attr & SEG_L);
    if (!flat) {
        if (!(c->s.seg[S_SS].attr & SEG_P))
            return cpu_raise_code(c, X_SS, 0);
        sp = (uint32_t)sp;
    }
    if (cpu_stack_aligned(c, flat ? sp : c->s.seg[S_SS].base + sp, width) ||
        cpu_stack_write(c, &c->s.seg[S_SS], flat, &sp, width, v, 2, user_acc(c->cpl), 0) || cpu_desc_set_accessed(c, sel, &d))
        return -1;
    cs.attr |= 1;
    cpu_load_cs(c, &cs, c->cpl);
    c->s.gpr[R_RSP] = sp;
    c->s.rip = off;
    mode_changed(c);
    return 0;
}

int cpu_far_ret(struct cpu *c, unsigned opsize, uint16_t pop_bytes)
{
    uint64_t v[2], o[2], mask = stack_mask(c), cs_raw, ss_raw;
    struct cpu_seg cs, ss;
    if (unlikely(cpu_stack_read(c, opsize, v, 2, 0))) {
        if (c->fault.vector == X_PF)
            cpu_stack_read(c, opsize, v, 1, opsize); /* CS is what processors read first: the fault is of that, if it can be */
        return -1;
    }
    uint64_t rip = v[0];
    uint16_t sel = (uint16_t)v[1];
    if (cpu_in_real(c) || cpu_in_vm86(c)) {
        if (far_real(c, sel, rip))
            return -1;
        set_sp(c, mask, c->s.gpr[R_RSP] + 2 * opsize + pop_bytes);
        return 0;
    }
    if (cpu_ret_check_cs(c, sel, &cs, &cs_raw))
        return -1;
    bool to64 = cpu_in_lm(c) && (cs.attr & SEG_L);
    if (SEL_RPL(sel) == c->cpl) {
        if (check_rip(c, &cs, rip) || cpu_desc_set_accessed(c, sel, &cs_raw))
            return -1;
        cpu_load_cs(c, &cs, c->cpl);
        set_sp(c, mask, c->s.gpr[R_RSP] + 2 * opsize + pop_bytes);
    } else {
        if (unlikely(cpu_stack_read(c, opsize, o, 2, 2 * (uint64_t)opsize + pop_bytes))) {
            if (c->fault.vector == X_PF)
                cpu_stack_read(c, opsize, o, 1, 3 * (uint64_t)opsize + pop_bytes);
            return -1;
        }
        if (cpu_ret_check_ss(c, (uint16_t)o[1], SEL_RPL(sel), to64, &ss, &ss_raw) || check_rip(c, &cs, rip) ||
            cpu_desc_set_accessed(c, sel, &cs_raw) || cpu_desc_set_accessed(c, (uint16_t)o[1], &ss_raw))
            return -1;
        cpu_load_cs(c, &cs, SEL_RPL(sel));
        c->s.seg[S_SS] = ss;
        set_sp(c, to64 ? ~0ull : (ss.attr & SEG_DB) ? 0xffffffffull : 0xffffull, o[0] + pop_bytes);
        cpu_ret_drop_segs(c);
    }
    rsp_of_mode(c);
    c->s.rip = rip;
    mode_changed(c);
    return 0;
}

/* ---- fast system calls ---- */

#define CS64_ATTR 0xa09b /* G, L, present, code, accessed; DPL to be or-ed in */
#define CS32_ATTR 0xc09b
#define SS_ATTR 0xc093

static inline void flat_seg(struct cpu_seg *s, uint16_t sel, uint16_t attr)
{
    *s = (struct cpu_seg){.sel = sel, .attr = attr, .limit = 0xffffffffu};
}

int cpu_syscall(struct cpu *c)
{
    struct cpu_state *s = &c->s;
    if (unlikely(!(s->efer & EFER_SCE)))
        return cpu_raise(c, X_UD);
    uint16_t sel = (uint16_t)(s->star >> 32);
    if (likely(s->efer & EFER_LMA)) {
        bool from64 = s->seg[S_CS].attr & SEG_L;
        if (unlikely(!from64 && !c->feat->amd))
            return cpu_raise(c, X_UD); /* SDM: only in 64-bit mode */
        s->gpr[R_RCX] = c->next_rip;
        s->gpr[R_R11] = s->rflags & ~(uint64_t)FL_RF;
        s->rip = from64 ? s->lstar : s->cstar;
        s->rflags = (s->rflags & ~(s->sfmask | FL_RF)) | 2;
        flat_seg(&s->seg[S_CS], sel & 0xfffc, CS64_ATTR);
    } else {
        if (!c->feat->amd || cpu_in_real(c))
            return cpu_raise(c, X_UD);
        s->gpr[R_RCX] = (uint32_t)c->next_rip;
        s->rip = (uint32_t)s->star;
        s->rflags &= ~(uint64_t)(FL_VM | FL_IF | FL_RF);
        flat_seg(&s->seg[S_CS], sel & 0xfffc, CS32_ATTR);
    }
    flat_seg(&s->seg[S_SS], (uint16_t)(sel + 8), SS_ATTR); /* RPL as in STAR: the manuals mask CS only */
    c->cpl = 0;
    mode_changed(c);
    return 0;
}

int cpu_sysret(struct cpu *c, unsigned opsize)
{
    struct cpu_state *s = &c->s;
    uint16_t sel = (uint16_t)(s->star >> 48);
    bool in64 = cpu_in_64(c);
    if (unlikely(!(s->efer & EFER_SCE) || (!in64 && (!c->feat->amd))))
        return cpu_raise(c, X_UD);
    if (unlikely(c->cpl || cpu_in_real(c) || cpu_in_vm86(c)))
        return cpu_raise_code(c, X_GP, 0);
    if (likely(in64)) {
        uint64_t rip = s->gpr[R_RCX];
        if (opsize == 8) {
            if (unlikely(!cpu_canonical(rip)) && !c->feat->amd)
                return cpu_raise_code(c, X_GP, 0); /* AMD faults at the target instead, with CPL 3 */
            flat_seg(&s->seg[S_CS], (uint16_t)((sel + 16) | 3), CS64_ATTR | 3 << 5);
            s->rip = rip;
        } else {
            flat_seg(&s->seg[S_CS], (uint16_t)(sel | 3), CS32_ATTR | 3 << 5);
            s->rip = (uint32_t)rip;
        }
        s->rflags = (s->gpr[R_R11] & 0x3c7fd7) | 2;
    } else {
        flat_seg(&s->seg[S_CS], (uint16_t)(sel | 3), CS32_ATTR | 3 << 5);
        s->rip = (uint32_t)s->gpr[R_RCX];
        s->rflags |= FL_IF;
    }
    if (c->feat->amd) { /* APM SYSRET: selector only; what a null SS left behind stays (and CPL is 3 now) */
        s->seg[S_SS].sel = (uint16_t)((sel + 8) | 3);
        s->seg[S_SS].attr |= 3 << 5;
    } else {
        flat_seg(&s->seg[S_SS], (uint16_t)((sel + 8) | 3), SS_ATTR | 3 << 5);
    }
    rsp_of_mode(c);
    c->cpl = 3;
    mode_changed(c);
    return 0;
}

int cpu_sysenter(struct cpu *c)
{
    struct cpu_state *s = &c->s;
    uint16_t sel = (uint16_t)s->sysenter_cs;
    if (c->feat->amd && cpu_in_lm(c))
        return cpu_raise(c, X_UD); /* APM: SYSENTER and SYSEXIT are legacy-mode instructions */
    if (cpu_in_real(c) || SEL_NULL(sel))
        return cpu_raise_code(c, X_GP, 0);
    bool lm = cpu_in_lm(c);
    s->rflags &= ~(uint64_t)(FL_VM | FL_IF | FL_RF);
    s->gpr[R_RSP] = lm ? s->sysenter_esp : (uint32_t)s->sysenter_esp;
    s->rip = lm ? s->sysenter_eip : (uint32_t)s->sysenter_eip;
    flat_seg(&s->seg[S_CS], sel & 0xfffc, lm ? CS64_ATTR : CS32_ATTR);
    flat_seg(&s->seg[S_SS], (uint16_t)((sel & 0xfffc) + 8), SS_ATTR);
    c->cpl = 0;
    mode_changed(c);
    return 0;
}

int cpu_sysexit(struct cpu *c, unsigned opsize)
{
    struct cpu_state *s = &c->s;
    uint16_t sel = (uint16_t)s->sysenter_cs;
    if (c->feat->amd && cpu_in_lm(c))
        return cpu_raise(c, X_UD);
    if (cpu_in_real(c) || SEL_NULL(sel) || c->cpl)
        return cpu_raise_code(c, X_GP, 0);
    if (opsize == 8) {
        if (!cpu_canonical(s->gpr[R_RDX]) || !cpu_canonical(s->gpr[R_RCX]))
            return cpu_raise_code(c, X_GP, 0);
        s->gpr[R_RSP] = s->gpr[R_RCX];
        s->rip = s->gpr[R_RDX];
        sel = (uint16_t)(sel + 32);
    } else {
        s->gpr[R_RSP] = (uint32_t)s->gpr[R_RCX];
        s->rip = (uint32_t)s->gpr[R_RDX];
        sel = (uint16_t)(sel + 16);
    }
    flat_seg(&s->seg[S_CS], sel | 3, (uint16_t)((opsize == 8 ? CS64_ATTR : CS32_ATTR) | 3 << 5));
    flat_seg(&s->seg[S_SS], (uint16_t)(sel + 8) | 3, SS_ATTR | 3 << 5);
    c->cpl = 3;
    mode_changed(c);
    return 0;
}
