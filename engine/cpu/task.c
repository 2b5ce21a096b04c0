/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Task state segments: inner stacks, the I/O permission map, task switches (SDM vol. 3 chapter 8: "Task Management").
 * A switch has a commit point: what is found wrong before it is a fault of the old task and changes nothing; what is
 * found wrong after it (descriptors of the new LDT and segments, EIP) is a fault of the new task, taken before its
 * first instruction.
 */
#include "cpu/nolibc.h"

#include "cpu/cpuint.h"

static inline bool tr_is_32(const struct cpu *c) { return SEG_TYPE(c->s.tr.attr) & 8; }

int cpu_tss_stack(struct cpu *c, unsigned cpl, uint16_t *ss, uint64_t *sp, unsigned ext)
{
    uint8_t b[6];
    if (likely(tr_is_32(c))) {
        uint32_t off = 4 + 8 * cpl;
        if (off + 5 > c->s.tr.limit)
            return cpu_raise_code(c, X_TS, SEL_IX(c->s.tr.sel) | ext);
        if (cpu_sys_read(c, c->s.tr.base + off, b, 6))
            return -1;
        *sp = *(uint32_t *)b;
        *ss = *(uint16_t *)(b + 4);
    } else {
        uint32_t off = 2 + 4 * cpl;
        if (off + 3 > c->s.tr.limit)
            return cpu_raise_code(c, X_TS, SEL_IX(c->s.tr.sel) | ext);
        if (cpu_sys_read(c, c->s.tr.base + off, b, 4))
            return -1;
        *sp = *(uint16_t *)b;
        *ss = *(uint16_t *)(b + 2);
    }
    return 0;
}

int cpu_check_new_ss(struct cpu *c, uint16_t sel, unsigned cpl, unsigned ext, struct cpu_seg *ss, uint64_t *raw)
{
    uint64_t d = 0;
    if (SEL_NULL(sel))
        return cpu_raise_code(c, X_TS, ext);
    int r = cpu_desc_read(c, sel, &d);
    if (r)
        return r < 0 ? -1 : cpu_raise_code(c, X_TS, SEL_IX(sel) | ext);
    if (SEL_RPL(sel) != cpl || D_DPL(d) != cpl || !D_IS_DATA(d) || !D_RW(d))
        return cpu_raise_code(c, X_TS, SEL_IX(sel) | ext);
    if (!D_P(d))
        return cpu_raise_code(c, X_SS, SEL_IX(sel) | ext);
    *raw = d; /* marked as accessed when nothing else can fail */
    desc_unpack(ss, sel, d);
    ss->attr |= 1;
    return 0;
}

/* VMware's backdoor works from every privilege level: the ports are not subject to the I/O permission map when EAX
 * holds the magic number. */
static inline bool backdoor(const struct cpu *c, uint16_t port)
{
    return (port & ~1u) == 0x5658 && (uint32_t)c->s.gpr[R_RAX] == 0x564d5868u;
}

int cpu_io_allowed(struct cpu *c, uint16_t port, unsigned size)
{
    if (likely(!cpu_in_vm86(c) && c->cpl <= iopl(c)))
        return 0;
    if (cpu_in_real(c) || backdoor(c, port))
        return 0;
    uint16_t map, bits;
    if (!(c->s.tr.attr & SEG_P) || (SEG_TYPE(c->s.tr.attr) | 2) != DT_TSS32_BUSY || c->s.tr.limit < 0x67)
        return cpu_raise_code(c, X_GP, 0);
    if (cpu_sys_read(c, c->s.tr.base + 0x66, &map, 2))
        return -1;
    uint32_t off = (uint32_t)map + port / 8; /* two bytes are always read (SDM vol. 1, 19.5.2) */
    if (off + 1 > c->s.tr.limit)
        return cpu_raise_code(c, X_GP, 0);
    if (cpu_sys_read(c, c->s.tr.base + off, &bits, 2))
        return -1;
    if (bits >> (port & 7) & ((1u << size) - 1))
        return cpu_raise_code(c, X_GP, 0);
    return 0;
}

/* ---- task switch ---- */

struct tss_image {
    uint32_t cr3, eip, eflags, gpr[8]; /* EAX ECX EDX EBX ESP EBP ESI EDI */
    uint16_t seg[S_COUNT];             /* ES CS SS DS FS GS */
    uint16_t ldt, trap;
};

static inline void put16(uint8_t *p, uint32_t v) { *(uint16_t *)p = (uint16_t)v; }
static inline void put32(uint8_t *p, uint32_t v) { *(uint32_t *)p = v; }

/* Saves the dynamic fields of the current task (SDM figure 8-2: 20h-5Fh; figure 8-10: 0Eh-29h) in one write. */
static int save_old(struct cpu *c, uint32_t eip, uint32_t flags)
{
    uint8_t b[64];
    const struct cpu_state *s = &c->s;
    if (tr_is_32(c)) {
        put32(b, eip);
        put32(b + 4, flags);
        for (unsigned i = 0; i < 8; i++)
            put32(b + 8 + 4 * i, (uint32_t)s->gpr[i]);
        for (unsigned i = 0; i < S_COUNT; i++)
            put32(b + 40 + 4 * i, s->seg[i].sel);
        return cpu_sys_write(c, s->tr.base + 0x20, b, 64);
    }
    put16(b, eip);
    put16(b + 2, flags);
    for (unsigned i = 0; i < 8; i++)
        put16(b + 4 + 2 * i, (uint32_t)s->gpr[i]);
    for (unsigned i = 0; i < 4; i++)
        put16(b + 20 + 2 * i, s->seg[i].sel);
    return cpu_sys_write(c, s->tr.base + 0x0e, b, 28);
}

static int read_new(struct cpu *c, uint64_t base, bool is32, struct tss_image *t)
{
    uint8_t b[104];
    *t = (struct tss_image){0};
    if (is32) {
        if (cpu_sys_read(c, base, b, 104))
            return -1;
        t->cr3 = *(uint32_t *)(b + 0x1c);
        t->eip = *(uint32_t *)(b + 0x20);
        t->eflags = *(uint32_t *)(b + 0x24);
        for (unsigned i = 0; i < 8; i++)
            t->gpr[i] = *(uint32_t *)(b + 0x28 + 4 * i);
        for (unsigned i = 0; i < S_COUNT; i++)
            t->seg[i] = *(uint16_t *)(b + 0x48 + 4 * i);
        t->ldt = *(uint16_t *)(b + 0x60);
        t->trap = *(uint16_t *)(b + 0x64);
    } else {
        if (cpu_sys_read(c, base, b, 44))
            return -1;
        t->eip = *(uint16_t *)(b + 0x0e);
        t->eflags = *(uint16_t *)(b + 0x10);
        for (unsigned i = 0; i < 8; i++)
            t->gpr[i] = 0xffff0000u | *(uint16_t *)(b + 0x12 + 2 * i);
        for (unsigned i = 0; i < 4; i++)
            t->seg[i] = *(uint16_t *)(b + 0x22 + 2 * i);
        t->ldt = *(uint16_t *)(b + 0x2a);
    }
    return 0;
}

/* Can these bytes be written later? Keeps everything in front of the commit point. */
static int probe_write(struct cpu *c, uint64_t lin, unsigned n)
{
    uint8_t *host;
    uint64_t gpa;
    if (c->ops->translate(c, (uint32_t)lin, ACC_W | ACC_IMPL, &host, &gpa))
        return -1;
    return c->ops->translate(c, (uint32_t)(lin + n - 1), ACC_W | ACC_IMPL, &host, &gpa);
}

static int new_ldt(struct cpu *c, uint16_t sel, unsigned ext)
{
    uint64_t d;
    seg_null(&c->s.ldtr, sel, 0);
    if (SEL_NULL(sel))
        return 0;
    int r = (sel & 4) ? 1 : cpu_desc_read(c, sel, &d);
    if (r < 0)
        return -1;
    if (r || DT(d) != DT_LDT || !D_P(d))
        return cpu_raise_code(c, X_TS, SEL_IX(sel) | ext);
    desc_unpack(&c->s.ldtr, sel, d);
    return 0;
}

static int new_ss(struct cpu *c, uint16_t sel, unsigned ext)
{
    uint64_t d;
    if (SEL_NULL(sel))
        return cpu_raise_code(c, X_TS, SEL_IX(sel) | ext);
    int r = cpu_desc_read(c, sel, &d);
    if (r < 0)
        return -1;
    if (r || SEL_RPL(sel) != c->cpl || D_DPL(d) != c->cpl || !D_IS_DATA(d) || !D_RW(d))
        return cpu_raise_code(c, X_TS, SEL_IX(sel) | ext);
    if (!D_P(d))
        return cpu_raise_code(c, X_SS, SEL_IX(sel) | ext);
    if (cpu_desc_set_accessed(c, sel, &d))
        return -1;
    desc_unpack(&c->s.seg[S_SS], sel, d);
    return 0;
}

static int new_cs(struct cpu *c, uint16_t sel, unsigned ext)
{
    uint64_t d;
    if (SEL_NULL(sel))
        return cpu_raise_code(c, X_TS, SEL_IX(sel) | ext);
    int r = cpu_desc_read(c, sel, &d);
    if (r < 0)
        return -1;
    if (r || !D_IS_CODE(d) || (D_CONFORMING(d) ? D_DPL(d) > SEL_RPL(sel) : D_DPL(d) != SEL_RPL(sel)))
        return cpu_raise_code(c, X_TS, SEL_IX(sel) | ext);
    if (!D_P(d))
        return cpu_raise_code(c, X_NP, SEL_IX(sel) | ext);
    if (cpu_desc_set_accessed(c, sel, &d))
        return -1;
    desc_unpack(&c->s.seg[S_CS], sel, d);
    c->s.seg[S_CS].attr &= (uint16_t)~SEG_L;
    return 0;
}

static int new_data(struct cpu *c, unsigned seg, uint16_t sel, unsigned ext)
{
    uint64_t d;
    if (SEL_NULL(sel))
        return 0;
    int r = cpu_desc_read(c, sel, &d);
    if (r < 0)
        return -1;
    if (r || (!D_IS_DATA(d) && !(D_IS_CODE(d) && D_RW(d))))
        return cpu_raise_code(c, X_TS, SEL_IX(sel) | ext);
    if (!(D_IS_CODE(d) && D_CONFORMING(d)) && (D_DPL(d) < c->cpl || D_DPL(d) < SEL_RPL(sel)))
        return cpu_raise_code(c, X_TS, SEL_IX(sel) | ext);
    if (!D_P(d))
        return cpu_raise_code(c, X_NP, SEL_IX(sel) | ext);
    if (cpu_desc_set_accessed(c, sel, &d))
        return -1;
    desc_unpack(&c->s.seg[seg], sel, d);
    return 0;
}

/* After the commit point: loads the descriptors of the new task. */
static int load_descriptors(struct cpu *c, const struct tss_image *t, unsigned ext)
{
    static const uint8_t data[4] = {S_ES, S_DS, S_FS, S_GS};
    if (new_ldt(c, t->ldt, ext))
        return -1;
    if (cpu_in_vm86(c)) {
        for (unsigned i = 0; i < S_COUNT; i++)
            cpu_seg_set_vm86(&c->s.seg[i], t->seg[i]);
        return 0;
    }
    if (new_ss(c, t->seg[S_SS], ext) || new_cs(c, t->seg[S_CS], ext))
        return -1;
    for (unsigned i = 0; i < 4; i++) {
        if (new_data(c, data[i], t->seg[data[i]], ext))
            return -1;
    }
    return 0;
}

int cpu_task_switch_ext(struct cpu *c, uint16_t sel, enum cpu_task_src src, bool has_code, uint32_t code, unsigned ext,
                        uint64_t flags)
{
    struct cpu_state *s = &c->s;
    struct tss_image t;
    struct cpu_seg ntr;
    uint64_t d;
    bool nested = src == TASK_CALL || src == TASK_INT;
    uint8_t bad = src == TASK_IRET ? X_TS : X_GP;

    /* The new TSS: SDM 8.3 steps 2 to 6. */
    if (SEL_NULL(sel) || (sel & 4))
        return cpu_raise_code(c, bad, SEL_IX(sel) | ext);
    int r = cpu_desc_read(c, sel, &d);
    if (r)
        return r < 0 ? -1 : cpu_raise_code(c, bad, SEL_IX(sel) | ext);
    unsigned type = DT(d);
    if (src == TASK_IRET ? (type != DT_TSS16_BUSY && type != DT_TSS32_BUSY) : (type != DT_TSS16 && type != DT_TSS32))
        return cpu_raise_code(c, bad, SEL_IX(sel) | ext);
    if (!D_P(d))
        return cpu_raise_code(c, X_NP, SEL_IX(sel) | ext);
    bool is32 = type & 8;
    desc_unpack(&ntr, sel, d);
    ntr.attr |= 2;
    if (ntr.limit < (is32 ? 0x67u : 0x2bu))
        return cpu_raise_code(c, X_TS, SEL_IX(sel) | ext);

    /* Everything that will be written is reachable; the new image is read. */
    uint32_t old_off = tr_is_32(c) ? 0x20 : 0x0e, old_len = tr_is_32(c) ? 64 : 28;
    if (old_off + old_len - 1 > s->tr.limit)
        return cpu_raise_code(c, X_TS, SEL_IX(s->tr.sel) | ext);
    if (probe_write(c, s->tr.base + old_off, old_len) || (nested && probe_write(c, ntr.base, 2)))
        return -1;
    if (probe_write(c, s->gdtr.base + SEL_IX(sel) + 5, 1) || probe_write(c, s->gdtr.base + SEL_IX(s->tr.sel) + 5, 1))
        return -1;
    if (read_new(c, ntr.base, is32, &t))
        return -1;
    uint64_t pdpte[4] = {s->pdpte[0], s->pdpte[1], s->pdpte[2], s->pdpte[3]};
    bool load_cr3 = is32 && (s->cr0 & CR0_PG);
    if (load_cr3 && (s->cr4 & CR4_PAE) && cpu_load_pdptes(c, t.cr3))
        return cpu_raise_code(c, X_TS, SEL_IX(sel) | ext);

    uint32_t old_flags = (uint32_t)flags;
    if (src == TASK_IRET)
        old_flags &= ~(uint32_t)FL_NT;
    uint32_t old_eip = (uint32_t)(src == TASK_INT ? s->rip : c->next_rip);
    uint16_t old_sel = s->tr.sel;
    if ((!nested && cpu_desc_set_busy(c, old_sel, false)) || save_old(c, old_eip, old_flags) ||
        (nested && cpu_sys_write(c, ntr.base, &old_sel, 2)) || (src != TASK_IRET && cpu_desc_set_busy(c, sel, true))) {
        cpu_copy(s->pdpte, pdpte, sizeof pdpte);
        return -1;
    }

    /* Commit. */
    s->tr = ntr;
    s->cr0 |= CR0_TS;
    if (load_cr3) {
        uint64_t old = s->cr3;
        s->cr3 = t.cr3;
        if (c->ops->cr3_switched)
            c->ops->cr3_switched(c, old, true);
        else
            c->ops->flush_tlb(c, false);
    }
    for (unsigned i = 0; i < 8; i++)
        s->gpr[i] = t.gpr[i];
    s->rip = t.eip;
    uint32_t fl = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT;
    if (is32)
        fl |= FL_RF | FL_VM | FL_AC | FL_VIF | FL_VIP | FL_ID;
    s->rflags = (t.eflags & fl) | 2 | (nested ? FL_NT : 0);
    bool vm = cpu_in_vm86(c);
    c->cpl = vm ? 3 : SEL_RPL(t.seg[S_CS]);
    for (unsigned i = 0; i < S_COUNT; i++)
        seg_null(&s->seg[i], t.seg[i], c->cpl);
    s->dr7 &= ~0x155ull; /* local breakpoints and LE belong to the old task */
    s->intr_shadow = 0;
    if (load_descriptors(c, &t, ext)) {
        struct cpu_fault f = c->fault;
        mode_changed(c);
        c->fault = f;
        return -1;
    }
    mode_changed(c);
    if (has_code) {
        uint64_t sp = s->gpr[R_RSP], v = code;
        if (cpu_stack_write(c, &s->seg[S_SS], false, &sp, is32 ? 4 : 2, &v, 1, c->cpl == 3 ? ACC_USER : 0, ext))
            return -1;
        s->gpr[R_RSP] = sp;
    }
    if (s->rip > s->seg[S_CS].limit)
        return cpu_raise_code(c, X_GP, ext);
    if (cpu_check_vip(c))
        return -1;
    if (t.trap & 1)
        return cpu_raise_db(c, 1 << 15);
    return 0;
}

int cpu_task_switch(struct cpu *c, uint16_t tss_sel, enum cpu_task_src src, bool has_code, uint32_t code)
{
    return cpu_task_switch_ext(c, tss_sel, src, has_code, code, src == TASK_INT && has_code, c->s.rflags);
}

/* IRET with NT set: back to the task in the link field. */
int cpu_task_return(struct cpu *c)
{
    uint16_t link;
    if (c->s.tr.limit < 1)
        return cpu_raise_code(c, X_TS, SEL_IX(c->s.tr.sel));
    if (cpu_sys_read(c, c->s.tr.base, &link, 2))
        return -1;
    if (cpu_task_switch_ext(c, link, TASK_IRET, false, 0, 0, c->s.rflags))
        return -1;
    c->s.nmi_blocked = 0;
    return 0;
}
