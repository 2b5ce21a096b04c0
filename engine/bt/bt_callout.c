/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What translated code asks C to do: privileged, control and rare instructions. The work itself is in engine/cpu. */
#include "bt/bt_private.h"

#include "base/bytes.h"
#include "core/clock.h"

int bt_xrstor(const void *area, uint32_t lo, uint32_t hi);

static uint64_t cut(uint64_t v, unsigned size) { return size == 8 ? v : size == 4 ? (uint32_t)v : size == 2 ? (uint16_t)v : (uint8_t)v; }

static void set_gpr(struct cpu *c, unsigned r, uint64_t v, unsigned size)
{
    if (size == 8)
        c->s.gpr[r] = v;
    else if (size == 4)
        c->s.gpr[r] = (uint32_t)v;
    else if (size == 2)
        c->s.gpr[r] = (c->s.gpr[r] & ~0xffffull) | (v & 0xffff);
    else
        c->s.gpr[r] = (c->s.gpr[r] & ~0xffull) | (v & 0xff);
}

static unsigned user_acc(const struct cpu *c) { return c->cpl == 3 ? ACC_USER : 0; }

/* SDM table 6-7: what the size of an item asks of its address at CPL 3 with CR0.AM and RFLAGS.AC. */
int bt_aligned(struct bt_cpu *bc, uint64_t lin, unsigned n)
{
    /* FXSAVE has a #GP of its own; the others that are no power of two are a table's register, or the environment or state of the FPU. */
    unsigned m = n == 512 ? 1 : !(n & (n - 1)) ? n : n == 14 || n == 94 ? 2 : 4;
    if ((bc->mode & M_ALIGN) && (lin & (m - 1)))
        return cpu_raise_code(&bc->c, X_AC, 0);
    return 0;
}
static int rd_mem(struct bt_cpu *bc, const struct bt_rec *r, uint32_t delta, void *buf, unsigned n)
{
    uint64_t lin, off = bc->scr_r10 + delta;
    if (r->asize == 4)
        off = (uint32_t)off;
    else if (r->asize == 2)
        off = (uint16_t)off;
    if (cpu_seg_check(&bc->c, r->seg, off, n, ACC_R, &lin) < 0 || bt_aligned(bc, lin, n) < 0)
        return -1;
    return cpu_mem_read(&bc->c, lin, buf, n, user_acc(&bc->c));
}
static int wr_mem(struct bt_cpu *bc, const struct bt_rec *r, const void *buf, unsigned n)
{
    uint64_t lin;
    if (cpu_seg_check(&bc->c, r->seg, bc->scr_r10, n, ACC_W, &lin) < 0 || bt_aligned(bc, lin, n) < 0)
        return -1;
    return cpu_mem_write(&bc->c, lin, buf, n, user_acc(&bc->c));
}
/* A pointer m16:xx in memory. AMD's processors have no m16:64: REX.W leaves the offset at 32 bits (APM vol. 3, JMP (Far), LFS). */
static int far_pointer(struct bt_cpu *bc, const struct bt_rec *r, uint64_t *off, uint16_t *sel)
{
    unsigned n = r->opsize == 8 && bc->c.feat->amd ? 4 : r->opsize;
    *off = 0;
    return rd_mem(bc, r, 0, off, n) < 0 || rd_mem(bc, r, n, sel, 2) < 0 ? -1 : 0;
}
static int get_rm16(struct bt_cpu *bc, const struct bt_rec *r, uint16_t *v)
{
    if (r->rm != 0xff) {
        *v = (uint16_t)bc->c.s.gpr[r->rm];
        return 0;
    }
    return rd_mem(bc, r, 0, v, 2);
}
/* A selector or machine status word: 16 bits to memory, the operand size to a register. */
static int put_rm16(struct bt_cpu *bc, const struct bt_rec *r, uint64_t v)
{
    uint16_t w = (uint16_t)v;
    if (r->rm == 0xff)
        return wr_mem(bc, r, &w, 2);
    set_gpr(&bc->c, r->rm, v, r->opsize < 2 ? 2 : r->opsize);
    return 0;
}

static uint64_t sp_of(const struct bt_cpu *bc) { return bc->c.s.gpr[R_RSP]; }

/* PUSHA, POPA, ENTER: all of it or nothing (RSP is restored on a fault). */
static int pusha(struct bt_cpu *bc, unsigned size)
{
    struct cpu *c = &bc->c;
    uint64_t sp = sp_of(bc);
    static const uint8_t order[] = {R_RAX, R_RCX, R_RDX, R_RBX, R_RSP, R_RBP, R_RSI, R_RDI};
    for (unsigned i = 0; i < 8; i++)
        if (cpu_push(c, order[i] == R_RSP ? cut(sp, size) : cut(c->s.gpr[order[i]], size), size) < 0) {
            c->s.gpr[R_RSP] = sp;
            return -1;
        }
    return 0;
}
static int popa(struct bt_cpu *bc, unsigned size)
{
    struct cpu *c = &bc->c;
    uint64_t sp = sp_of(bc), v[8];
    static const uint8_t order[] = {R_RDI, R_RSI, R_RBP, R_RSP, R_RBX, R_RDX, R_RCX, R_RAX};
    for (unsigned i = 0; i < 8; i++)
        if (cpu_pop(c, &v[i], size) < 0) {
            c->s.gpr[R_RSP] = sp;
            return -1;
        }
    for (unsigned i = 0; i < 8; i++)
        if (order[i] != R_RSP)
            set_gpr(c, order[i], v[i], size);
    return 0;
}
static int enter(struct bt_cpu *bc, const struct bt_rec *r) /* SDM vol. 2, ENTER */
{
    struct cpu *c = &bc->c;
    unsigned size = r->opsize, level = r->aux, ss = (bc->mode & M_CODE) == M_CODE64 ? 8 : bc->mode & M_SS32 ? 4 : 2;
    uint64_t sp = sp_of(bc), bp = c->s.gpr[R_RBP], frame, v;
    if (cpu_push(c, cut(bp, size), size) < 0)
        goto fail;
    frame = sp_of(bc);
    if (level) {
        for (unsigned i = 1; i < level; i++) {
            bp = cut(bp - size, ss);
            uint64_t lin;
            v = 0;
            if (cpu_seg_check(c, S_SS, bp, size, ACC_R, &lin) < 0 || bt_aligned(bc, lin, size) < 0 ||
                cpu_mem_read(c, lin, &v, size, user_acc(c)) < 0 || cpu_push(c, v, size) < 0)
                goto fail;
        }
        if (cpu_push(c, cut(frame, size), size) < 0)
            goto fail;
    }
    uint64_t nsp = cut(sp_of(bc) - (uint64_t)r->imm, ss), lin;
    /* What a push would have written there must be writable. */
    uint8_t *h;
    uint64_t gpa;
    if (cpu_seg_check(c, S_SS, nsp, size, ACC_W, &lin) < 0 || c->ops->translate(c, lin, ACC_W | user_acc(c), &h, &gpa) < 0)
        goto fail;
    if ((lin & 0xfff) + size > 0x1000) {
        lin += size - 1;
        if (c->ops->translate(c, (bc->mode & M_CODE) == M_CODE64 ? lin : (uint32_t)lin, ACC_W | user_acc(c), &h, &gpa) < 0)
            goto fail;
    }
    set_gpr(c, R_RBP, frame, size);
    set_gpr(c, R_RSP, nsp, ss);
    return 0;
fail:
    c->s.gpr[R_RSP] = sp;
    return -1;
}

static void bcd(struct bt_cpu *bc, const struct bt_rec *r, int *fault) /* SDM vol. 2: AAA AAS AAM AAD DAA DAS, and SALC */
{
    struct cpu *c = &bc->c;
    uint64_t *f = &c->s.rflags;
    uint8_t al = (uint8_t)c->s.gpr[R_RAX], ah = (uint8_t)(c->s.gpr[R_RAX] >> 8), old = al;
    bool cf = *f & FL_CF, af = *f & FL_AF;
    switch (r->aux) {
    case 0xd6:
        set_gpr(c, R_RAX, cf ? 0xff : 0, 1);
        return;
    case 0x27:
    case 0x2f: {
        bool das = r->aux == 0x2f, ncf = false;
        if ((al & 15) > 9 || af) {
            ncf = cf || (das ? al < 6 : al > 0xf9);
            al = das ? al - 6 : al + 6;
            af = true;
        } else {
            af = false;
        }
        if (old > 0x99 || cf) {
            al = das ? al - 0x60 : al + 0x60;
            ncf = true;
        }
        cf = ncf;
        break;
    }
    case 0x37:
    case 0x3f: {
        uint16_t ax = (uint16_t)c->s.gpr[R_RAX];
        if ((al & 15) > 9 || af) {
            ax = r->aux == 0x37 ? ax + 0x106 : ax - 0x106;
            af = cf = true;
        } else {
            af = cf = false;
        }
        set_gpr(c, R_RAX, ax & 0xff0f, 2);
        *f = (*f & ~(uint64_t)(FL_CF | FL_AF)) | (cf ? FL_CF : 0) | (af ? FL_AF : 0);
        return;
    }
    case 0xd4: {
        unsigned d = (unsigned)(uint8_t)r->imm;
        if (d == 0) {
            *fault = cpu_raise(c, X_DE);
            return;
        }
        ah = (uint8_t)(al / d);
        al = (uint8_t)(al % d);
        break;
    }
    default: /* D5 */
        al = (uint8_t)(al + ah * (uint8_t)r->imm);
        ah = 0;
        break;
    }
    set_gpr(c, R_RAX, (uint64_t)ah << 8 | al, 2);
    *f &= ~(uint64_t)(FL_SF | FL_ZF | FL_PF);
    *f |= (al & 0x80 ? FL_SF : 0) | (al == 0 ? FL_ZF : 0) | (__builtin_parity(al) ? 0 : FL_PF);
    if (r->aux == 0x27 || r->aux == 0x2f)
        *f = (*f & ~(uint64_t)(FL_CF | FL_AF)) | (cf ? FL_CF : 0) | (af ? FL_AF : 0);
    else
        *f &= ~(uint64_t)(FL_CF | FL_AF | FL_OF);
}

/* ---- XSAVE family: on a host pointer when the area is contiguous, else through a buffer. SDM vol. 1, chapter 13 ---- */

static unsigned area_size(struct bt_cpu *bc, uint64_t mask, bool compact)
{
    unsigned size = 576;
    for (unsigned i = 2; i < 63; i++) {
        if (!(mask >> i & 1))
            continue;
        if (compact) {
            if (bc->bv->comp[i].align64)
                size = (size + 63) & ~63u;
            size += bc->bv->comp[i].size;
        } else if (bc->bv->comp[i].off + bc->bv->comp[i].size > size) {
            size = bc->bv->comp[i].off + bc->bv->comp[i].size;
        }
    }
    return size > 4096 ? 4096 : size;
}

static int xsave_op(struct bt_cpu *bc, const struct bt_rec *r)
{
    struct cpu *c = &bc->c;
    uint64_t lin;
    if (!(c->s.cr4 & CR4_OSXSAVE))
        return cpu_raise(c, X_UD);
    if (c->s.cr0 & CR0_TS)
        return cpu_raise(c, X_NM);
    uint64_t mask = ((c->s.gpr[R_RDX] << 32) | (uint32_t)c->s.gpr[R_RAX]) & c->s.xcr0;
    uint32_t lo = (uint32_t)mask, hi = (uint32_t)(mask >> 32);
    if (cpu_seg_check(c, r->seg, bc->scr_r10, 576, r->aux ? ACC_W : ACC_R, &lin) < 0)
        return -1;
    if (lin & 63)
        return cpu_raise_code(c, X_GP, 0);
    unsigned size;
    if (r->aux == 0) {
        uint8_t hdr[64];
        if (cpu_mem_read(c, lin + 512, hdr, 64, user_acc(c)) < 0)
            return -1;
        uint64_t bv, comp;
        cpu_copy(&bv, hdr, 8);
        cpu_copy(&comp, hdr + 8, 8);
        if ((bv & ~c->s.xcr0) || ((comp >> 63) && (comp & ~(1ull << 63) & ~c->s.xcr0)))
            return cpu_raise_code(c, X_GP, 0);
        size = area_size(bc, comp >> 63 ? comp & ~(1ull << 63) : mask & bv, comp >> 63);
    } else {
        size = area_size(bc, mask, r->aux == 2);
    }
    unsigned acc = (r->aux ? ACC_W : ACC_R) | user_acc(c), n0 = PAGE - (unsigned)(lin & 0xfff);
    uint8_t *h0, *h1 = NULL;
    uint64_t gpa;
    if (c->ops->translate(c, lin, acc, &h0, &gpa) < 0)
        return -1;
    if (size > n0 && c->ops->translate(c, lin + n0, acc, &h1, &gpa) < 0)
        return -1;
    bool direct = h0 && (size <= n0 || h1 == h0 + n0);
    uint8_t *p = direct ? h0 : bc->bnc.data;
    if (!direct && cpu_mem_read(c, lin, p, size, user_acc(c)) < 0)
        return -1;
    bt_fpu_in(bc);
    switch (r->aux) {
    case 0:
        if (bt_xrstor(p, lo, hi) < 0)
            return cpu_raise_code(c, X_GP, 0);
        return 0;
    case 1:
        __asm__ volatile("xsave64 (%0)" ::"r"(p), "a"(lo), "d"(hi) : "memory");
        break;
    case 2:
        __asm__ volatile("xsavec64 (%0)" ::"r"(p), "a"(lo), "d"(hi) : "memory");
        break;
    default:
        __asm__ volatile("xsave64 (%0)" ::"r"(p), "a"(lo), "d"(hi) : "memory");
        break;
    }
    if (lo & 1)
        bt_fix_image(bc, p, r->opsize == 8);
    if (!direct)
        return cpu_mem_write(c, lin, p, size, user_acc(c));
    return 0;
}

static int fpu_check(struct bt_cpu *bc, unsigned cls) /* classes of vector_class() in bt_translate.c */
{
    struct cpu *c = &bc->c;
    const struct cpu_state *s = &c->s;
    enum { FPU = 1, SSE, AVX, AVX512, WAIT, MMX };
    switch (cls) {
    case WAIT:
        return (s->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS) ? cpu_raise(c, X_NM) : 0;
    case MMX: /* SDM vol. 3, table 13-1: EM makes them undefined */
        if (s->cr0 & CR0_EM)
            return cpu_raise(c, X_UD);
        return s->cr0 & CR0_TS ? cpu_raise(c, X_NM) : 0;
    case FPU:
        return s->cr0 & (CR0_EM | CR0_TS) ? cpu_raise(c, X_NM) : 0;
    case SSE:
        if ((s->cr0 & CR0_EM) || !(s->cr4 & CR4_OSFXSR))
            return cpu_raise(c, X_UD);
        return s->cr0 & CR0_TS ? cpu_raise(c, X_NM) : 0;
    default: {
        uint64_t need = cls == AVX512 ? 0xe6 : 6;
        if (!(s->cr0 & CR0_PE) || (s->rflags & FL_VM) || !(s->cr4 & CR4_OSXSAVE) || (s->xcr0 & need) != need)
            return cpu_raise(c, X_UD);
        return s->cr0 & CR0_TS ? cpu_raise(c, X_NM) : 0;
    }
    }
}

/* The x87 part of the image as MMX code sees it: TOP = 0, every register in use (SDM vol. 1, 9.5.1). */
static int mmx_state(struct bt_cpu *bc)
{
    uint8_t *x = bc->c.s.xsave, st[128];
    uint16_t fsw;
    cpu_copy(&fsw, x + 2, 2);
    if (fsw & 0x80)
        return cpu_raise(&bc->c, X_MF);
    unsigned top = fsw >> 11 & 7;
    if (top) {
        cpu_copy(st, x + 32, 128);
        for (unsigned i = 0; i < 8; i++) /* ST(i) is physical register top + i */
            cpu_copy(x + 32 + 16 * ((top + i) & 7), st + 16 * i, 16);
        fsw &= (uint16_t)~0x3800;
        cpu_copy(x + 2, &fsw, 2);
    }
    x[4] = 0xff;
    return 0;
}

static int maskmov(struct bt_cpu *bc, const struct bt_rec *r)
{
    struct cpu *c = &bc->c;
    uint8_t v[16], m[16];
    uint64_t off = cut(c->s.gpr[R_RDI], r->asize), lin;
    bt_vec_out(bc);
    if (r->opsize == 16) {
        cpu_copy(v, c->s.xsave + 160 + 16u * r->reg, 16);
        cpu_copy(m, c->s.xsave + 160 + 16u * r->rm, 16);
    } else {
        if (mmx_state(bc) < 0)
            return -1;
        cpu_copy(v, c->s.xsave + 32 + 16u * r->reg, 8);
        cpu_copy(m, c->s.xsave + 32 + 16u * r->rm, 8);
    }
    if (c->feat->amd) { /* AMD's processors look at the whole operand, whatever the mask says */
        unsigned acc = ACC_W | user_acc(c);
        uint8_t *h;
        uint64_t gpa;
        if (cpu_seg_check(c, r->seg, off, r->opsize, ACC_W, &lin) < 0 || bt_aligned(bc, lin, 8) < 0 ||
            c->ops->translate(c, lin, acc, &h, &gpa) < 0)
            return -1;
        uint64_t end = (lin + r->opsize - 1) & ~0xfffull;
        if (end > lin && c->ops->translate(c, end, acc, &h, &gpa) < 0)
            return -1;
    }
    for (unsigned i = 0; i < r->opsize; i++)
        if ((m[i] & 0x80) && (cpu_seg_check(c, r->seg, cut(off + i, r->asize), 1, ACC_W, &lin) < 0 || cpu_mem_write(c, lin, v + i, 1, user_acc(c)) < 0))
            return -1;
    return 0;
}

/* Before a near branch of code that is not flat: does it lead beyond the limit? */
static int branch_limit(struct bt_cpu *bc, const struct bt_rec *r)
{
    struct cpu *c = &bc->c;
    uint64_t target = UINT64_MAX, lin, count = c->s.gpr[R_RCX];
    switch (r->aux) {
    case BR_TARGET:
        target = 0;
        if (r->rm != 0xff)
            target = cut(c->s.gpr[r->rm], r->opsize);
        else if (rd_mem(bc, r, 0, &target, r->opsize) < 0)
            return -1;
        break;
    case BR_RET:
        target = 0;
        if (cpu_seg_check(c, S_SS, cut(sp_of(bc), bc->mode & M_SS32 ? 4 : 2), r->opsize, ACC_R, &lin) < 0 ||
            cpu_mem_read(c, lin, &target, r->opsize, user_acc(c)) < 0)
            return -1;
        break;
    case BR_LOOP: /* E0 LOOPNE, E1 LOOPE, E2 LOOP, E3 JCXZ */
        if (r->imm == 0xe3 ? cut(count, r->asize) != 0 : cut(count - 1, r->asize) == 0)
            return 0;
        if (r->imm == (c->s.rflags & FL_ZF ? 0xe0 : 0xe1))
            return 0;
        break;
    default:
        break;
    }
    return target > c->s.seg[S_CS].limit ? cpu_raise_code(c, X_GP, 0) : 0;
}

/* Returns -1: fault; 0: goes on at next_rip; 1: s.rip has been set, go to the dispatcher; 2: leave run(). */
static int act(struct bt_cpu *bc, struct bt_rec *r)
{
    struct cpu *c = &bc->c;
    struct cpu_state *s = &c->s;
    uint64_t v, v2[2];
    uint16_t w;
    uint32_t d;
    unsigned wide = (bc->mode & M_CODE) == M_CODE64 ? 8 : 4;
    switch (r->op) {
    case CO_UD:
        return cpu_raise(c, X_UD);
    case CO_FPUCHECK:
        return fpu_check(bc, r->aux);
    case CO_BRLIMIT:
        return branch_limit(bc, r);
    case CO_IN:
    case CO_OUT: {
        uint16_t port = r->aux ? (uint16_t)s->gpr[R_RDX] : (uint16_t)r->imm;
        if (cpu_io_allowed(c, port, r->opsize) < 0)
            return -1;
        bt_watch_io(bc, port, r->opsize);
        if (r->op == CO_IN)
            set_gpr(c, R_RAX, c->ops->port_in(c, port, r->opsize), r->opsize);
        else
            c->ops->port_out(c, port, r->opsize, cut(s->gpr[R_RAX], r->opsize));
        return 0;
    }
    case CO_STRING: {
        bool again = false;
        if (bt_string(bc, r, &again) < 0)
            return -1;
        if (again) {
            bc->string_again = true;
            return 1; /* s.rip is the instruction itself */
        }
        return 0;
    }
    case CO_CLI:
        return cpu_cli(c);
    case CO_STI:
        return cpu_sti(c);
    case CO_PUSHF:
        return cpu_pushf_val(c, r->opsize, &v) < 0 ? -1 : cpu_push(c, v, r->opsize);
    case CO_POPF: {
        uint64_t sp = s->gpr[R_RSP];
        if (cpu_pop(c, &v, r->opsize) < 0)
            return -1;
        if (cpu_popf_val(c, r->opsize, v) < 0) {
            s->gpr[R_RSP] = sp;
            return -1;
        }
        /* Translated code does not keep flags that are about to be overwritten, though the handler of a fault would see them. Whoever loads
         * flags may want to know: the next blocks keep all. A kernel's POPF that runs often restores the interrupt flag. */
        if ((c->cpl == 3 && !cpu_in_vm86(c)) || r->count++ < 4096) {
            bc->flags_blocks = FLAGS_BLOCKS;
            bc->flags_cpl = c->cpl;
        } else if (r->hot) {
            st_le32(bc->code_rw + r->hot, 0);
            r->hot = 0;
        }
        return 0;
    }
    case CO_MOVFROMCR:
        if (cpu_mov_from_cr(c, r->reg, &v) < 0)
            return -1;
        set_gpr(c, r->rm, v, wide);
        return 0;
    case CO_MOVTOCR:
        bc->mode_dirty = true;
        if (r->reg == 4)
            bt_cpuid_forget(bc);
        return cpu_mov_to_cr(c, r->reg, cut(s->gpr[r->rm], wide));
    case CO_MOVFROMDR:
        if (cpu_mov_from_dr(c, r->reg, &v) < 0)
            return -1;
        set_gpr(c, r->rm, v, wide);
        return 0;
    case CO_MOVTODR:
        bc->mode_dirty = true;
        if (cpu_mov_to_dr(c, r->reg, cut(s->gpr[r->rm], wide)) < 0)
            return -1;
        bt_watch_update(bc);
        return 0;
    case CO_LGDT:
    case CO_LIDT: {
        uint8_t b[10] = {0};
        if (c->cpl)
            return cpu_raise_code(c, X_GP, 0);
        if (rd_mem(bc, r, 0, b, wide == 8 ? 10 : 6) < 0)
            return -1;
        cpu_copy(&w, b, 2);
        cpu_copy(&v, b + 2, 8);
        if (wide != 8)
            v &= r->opsize == 2 ? 0xffffff : 0xffffffff;
        return r->op == CO_LGDT ? cpu_lgdt(c, v, w) : cpu_lidt(c, v, w);
    }
    case CO_SGDT:
    case CO_SIDT: {
        if (cpu_umip_check(c) < 0)
            return -1;
        const struct cpu_dtable *t = r->op == CO_SGDT ? &s->gdtr : &s->idtr;
        uint8_t b[10];
        w = (uint16_t)t->limit;
        cpu_copy(b, &w, 2);
        cpu_copy(b + 2, &t->base, 8);
        return wr_mem(bc, r, b, wide == 8 ? 10 : 6);
    }
    case CO_SLDT:
        return cpu_umip_check(c) < 0 ? -1 : put_rm16(bc, r, s->ldtr.sel);
    case CO_STR:
        return cpu_umip_check(c) < 0 ? -1 : put_rm16(bc, r, s->tr.sel);
    case CO_LLDT:
    case CO_LTR:
        if (c->cpl)
            return cpu_raise_code(c, X_GP, 0);
        if (get_rm16(bc, r, &w) < 0)
            return -1;
        return r->op == CO_LLDT ? cpu_lldt(c, w) : cpu_ltr(c, w);
    case CO_SMSW:
        return cpu_umip_check(c) < 0 ? -1 : put_rm16(bc, r, s->cr0);
    case CO_LMSW:
        bc->mode_dirty = true;
        return get_rm16(bc, r, &w) < 0 ? -1 : cpu_lmsw(c, w);
    case CO_CLTS:
        bc->mode_dirty = true;
        return cpu_clts(c);
    case CO_INVLPG:
        v = bc->scr_r10 + (wide == 8 && r->seg < S_FS ? 0 : s->seg[r->seg].base);
        return cpu_invlpg(c, wide == 8 ? v : (uint32_t)v);
    case CO_INVPCID:
        if (c->cpl)
            return cpu_raise_code(c, X_GP, 0);
        return rd_mem(bc, r, 0, v2, 16) < 0 ? -1 : cpu_invpcid(c, cut(s->gpr[r->reg], wide), v2);
    case CO_LAR:
    case CO_LSL:
        if (get_rm16(bc, r, &w) < 0)
            return -1;
        if ((r->op == CO_LAR ? cpu_lar(c, w, &d) : cpu_lsl(c, w, &d)) < 0)
            return -1;
        if (s->rflags & FL_ZF)
            set_gpr(c, r->reg, d, r->opsize);
        return 0;
    case CO_VERR:
    case CO_VERW:
        return get_rm16(bc, r, &w) < 0 ? -1 : cpu_verr(c, w, r->op == CO_VERW);
    case CO_ARPL: {
        if (get_rm16(bc, r, &w) < 0)
            return -1;
        uint16_t src = (uint16_t)s->gpr[r->reg] & 3;
        if ((w & 3) < src) {
            w = (uint16_t)((w & ~3) | src);
            if (r->rm != 0xff)
                set_gpr(c, r->rm, w, 2);
            else if (wr_mem(bc, r, &w, 2) < 0)
                return -1;
            s->rflags |= FL_ZF;
        } else {
            s->rflags &= ~(uint64_t)FL_ZF;
        }
        return 0;
    }
    case CO_BOUND: {
        int32_t lo = 0, hi = 0, x;
        int16_t b[2];
        if (r->opsize == 2) {
            if (rd_mem(bc, r, 0, b, 4) < 0)
                return -1;
            lo = b[0];
            hi = b[1];
            x = (int16_t)s->gpr[r->reg];
        } else {
            int32_t q[2];
            if (rd_mem(bc, r, 0, q, 8) < 0)
                return -1;
            lo = q[0];
            hi = q[1];
            x = (int32_t)s->gpr[r->reg];
        }
        return x < lo || x > hi ? cpu_raise(c, X_BR) : 0;
    }
    case CO_MOVTOSEG:
        if (r->reg == S_CS)
            return cpu_raise(c, X_UD);
        if (get_rm16(bc, r, &w) < 0)
            return -1;
        if (cpu_load_seg(c, r->reg, w) < 0) /* it says when the mode may have changed, as do the others here: most loads change nothing */
            return -1;
        if (r->reg == S_SS)
            s->intr_shadow = 2;
        return 0;
    case CO_POPSEG: {
        uint64_t sp = s->gpr[R_RSP];
        if (cpu_pop(c, &v, r->opsize) < 0)
            return -1;
        uint64_t nsp = s->gpr[R_RSP];
        s->gpr[R_RSP] = sp;
        if (cpu_load_seg(c, r->seg, (uint16_t)v) < 0)
            return -1;
        s->gpr[R_RSP] = nsp;
        if (r->seg == S_SS)
            s->intr_shadow = 2;
        return 0;
    }
    case CO_LXS:
        if (far_pointer(bc, r, &v, &w) < 0)
            return -1;
        if (cpu_load_seg(c, r->aux, w) < 0)
            return -1;
        set_gpr(c, r->reg, v, r->opsize);
        return 0;
    case CO_FARJMP:
    case CO_FARCALL:
    case CO_FARJMPM:
    case CO_FARCALLM: {
        uint64_t off;
        if (r->op == CO_FARJMP || r->op == CO_FARCALL) {
            off = (uint32_t)r->imm;
            w = (uint16_t)(r->imm >> 32);
        } else {
            if (far_pointer(bc, r, &off, &w) < 0)
                return -1;
        }
        bc->mode_dirty = true;
        int x = r->op == CO_FARJMP || r->op == CO_FARJMPM ? cpu_far_jmp(c, w, off, r->opsize) : cpu_far_call(c, w, off, r->opsize);
        return x < 0 ? -1 : 1;
    }
    case CO_FARRET:
        bc->mode_dirty = true;
        return cpu_far_ret(c, r->opsize, (uint16_t)r->imm) < 0 ? -1 : 1;
    case CO_IRET:
        bc->mode_dirty = true;
        return cpu_iret(c, r->opsize) < 0 ? -1 : 1;
    case CO_INT:
    case CO_INT3:
    case CO_INT1:
    case CO_INTO: {
        if (r->op == CO_INTO && !(s->rflags & FL_OF))
            return 0;
        bc->mode_dirty = true;
        uint64_t at = s->rip;
        s->rip = c->next_rip;
        if (r->op == CO_INT1 && bc->db_pending) { /* held since MOV SS: one #DB for both */
            s->dr6 = (s->dr6 & ~15ull) | (bc->watch_dr6 & ~(uint64_t)WATCH_DEBUGGER);
            bc->db_pending = false;
            bc->watch_dr6 = 0;
        }
        int x = r->op == CO_INT    ? cpu_interrupt(c, (uint8_t)r->imm, INT_SOFT, false, 0)
                : r->op == CO_INT1 ? cpu_interrupt(c, X_DB, INT_ICEBP, false, 0)
                                   : cpu_interrupt(c, r->op == CO_INT3 ? X_BP : X_OF, INT_SOFT_BP, false, 0);
        if (x < 0) {
            if (s->rip == c->next_rip) /* not so when a task switch had already been made */
                s->rip = at;
            return -1;
        }
        bc->no_step = true;
        return 1;
    }
    case CO_HLT:
        if (cpu_hlt(c) < 0)
            return -1;
        s->rip = c->next_rip;
        return 2;
    case CO_CPUID: {
        uint32_t o[4];
        struct bt_cpuid *k = &bc->cpuid[s->gpr[R_RAX] % CPUID_N];
        cpu_cpuid(c, (uint32_t)s->gpr[R_RAX], (uint32_t)s->gpr[R_RCX], o);
        k->key = (uint32_t)s->gpr[R_RAX] | s->gpr[R_RCX] << 32;
        for (unsigned i = 0; i < 4; i++)
            k->out[i] = o[i];
        s->gpr[R_RAX] = o[0];
        s->gpr[R_RBX] = o[1];
        s->gpr[R_RCX] = o[2];
        s->gpr[R_RDX] = o[3];
        return 0;
    }
    case CO_RDTSCP:
        if (!c->feat->rdtscp)
            return cpu_raise(c, X_UD);
        /* fall through */
    case CO_RDTSC:
        if (cpu_rdtsc(c, &v) < 0)
            return -1;
        s->gpr[R_RAX] = (uint32_t)v;
        s->gpr[R_RDX] = v >> 32;
        if (r->op == CO_RDTSCP)
            s->gpr[R_RCX] = (uint32_t)s->tsc_aux;
        return 0;
    case CO_RDPID:
        if (!c->feat->rdpid)
            return cpu_raise(c, X_UD);
        set_gpr(c, r->rm, s->tsc_aux, wide);
        return 0;
    case CO_RDMSR:
        if (cpu_rdmsr(c, (uint32_t)s->gpr[R_RCX], &v) < 0)
            return -1;
        s->gpr[R_RAX] = (uint32_t)v;
        s->gpr[R_RDX] = v >> 32;
        return 0;
    case CO_WRMSR:
        bc->mode_dirty = (uint32_t)s->gpr[R_RCX] == 0xc0000080;
        bt_cpuid_forget(bc);
        return cpu_wrmsr(c, (uint32_t)s->gpr[R_RCX], s->gpr[R_RDX] << 32 | (uint32_t)s->gpr[R_RAX]);
    case CO_RDPMC:
        if (cpu_rdpmc(c, (uint32_t)s->gpr[R_RCX], &v) < 0)
            return -1;
        s->gpr[R_RAX] = (uint32_t)v;
        s->gpr[R_RDX] = v >> 32;
        return 0;
    case CO_SYSCALL:
    case CO_SYSRET:
        bc->mode_dirty = true;
        if ((r->op == CO_SYSCALL ? cpu_syscall(c) : cpu_sysret(c, r->opsize)) < 0)
            return -1;
        bc->no_step = true; /* SDM vol. 3, 18.3.1.4: it is TF at their end that counts */
        if (s->rflags & FL_TF)
            bt_trap(bc, DR6_BS);
        return 1;
    case CO_SYSENTER:
        bc->mode_dirty = true;
        return cpu_sysenter(c) < 0 ? -1 : 1;
    case CO_SYSEXIT:
        bc->mode_dirty = true;
        return cpu_sysexit(c, r->opsize) < 0 ? -1 : 1;
    case CO_SWAPGS:
        return cpu_swapgs(c);
    case CO_RDFSGS:
        if (cpu_rdfsgsbase(c, r->seg, &v) < 0)
            return -1;
        set_gpr(c, r->rm, v, r->opsize);
        return 0;
    case CO_WRFSGS:
        return cpu_wrfsgsbase(c, r->seg, cut(s->gpr[r->rm], r->opsize));
    case CO_WBINVD:
        return c->cpl ? cpu_raise_code(c, X_GP, 0) : 0;
    case CO_XGETBV:
        if (cpu_xgetbv(c, (uint32_t)s->gpr[R_RCX], &v) < 0)
            return -1;
        s->gpr[R_RAX] = (uint32_t)v;
        s->gpr[R_RDX] = v >> 32;
        return 0;
    case CO_XSETBV:
        bc->mode_dirty = true;
        bt_cpuid_forget(bc);
        return cpu_xsetbv(c, (uint32_t)s->gpr[R_RCX], s->gpr[R_RDX] << 32 | (uint32_t)s->gpr[R_RAX]);
    case CO_XSAVE:
        return xsave_op(bc, r);
    case CO_ENTER:
        return enter(bc, r);
    case CO_PUSHA:
        return pusha(bc, r->opsize);
    case CO_POPA:
        return popa(bc, r->opsize);
    case CO_BCD: {
        int f = 0;
        bcd(bc, r, &f);
        return f;
    }
    case CO_MONITOR:
    case CO_MWAIT:
        return cpu_monitor_ok(c);
    case CO_CLAC:
    case CO_STAC:
        if (c->cpl || !c->feat->smap)
            return cpu_raise(c, X_UD);
        if (r->op == CO_STAC)
            s->rflags |= FL_AC;
        else
            s->rflags &= ~(uint64_t)FL_AC;
        bt_mode_ac(bc);
        return 0;
    case CO_RSM:
        bc->mode_dirty = true;
        bc->view_stale = true;
        return cpu_rsm(c) < 0 ? -1 : 1;
    case CO_MASKMOV:
        return maskmov(bc, r);
    case CO_PAUSE:
        bt_pause(bc);
        return 0;
    case CO_FNSTENV:
    case CO_FNSAVE:
        return bt_fnstenv(bc, r, r->op == CO_FNSAVE);
    case CO_FXSAVE:
        return bt_fxsave(bc, r);
    case CO_VSIB:
        return bt_vsib(bc, r);
    default:
        c->ops->guest_error(c, "Call-out without handler", r->op, s->rip);
        return cpu_raise(c, X_UD);
    }
}

unsigned bt_slow_callout(struct bt_cpu *bc, uint32_t idx)
{
    struct bt_rec *r = &bc->recs[idx];
    struct cpu *c = &bc->c;
    bool m64 = (bc->mode & M_CODE) == M_CODE64;
    uint64_t va = bc->cells[bc->blocks[r->blk].cpage].va + r->off;
    c->s.rip = m64 ? va : (uint32_t)va;
    va += r->ilen;
    c->next_rip = m64 ? va : (uint32_t)va;
    bc->cur_blk = r->blk;
    bc->st.callouts++;
    bc->ret_r10 = bc->scr_r10;
    bt_flags_in(bc);
    uint32_t mode = bc->mode, ctx = bc->real_ctx, gctx = bc->real_gctx;
    bc->string_again = false;
    int x = act(bc, r);
    if (x < 0) {
        bt_flags_recover(bc, r->blk, r->off, false);
        return BTX_FAULT;
    }
    if (bc->watch_hit) {
        bc->watch_hit = false;
        bc->db_pending = true;
    }
    if (bc->mode_dirty)
        bt_mode_update(bc);
    if (x == 1)
        return bt_resume_at(bc, r) ? 0 : BTX_DISPATCH;
    if (x == 2)
        return BTX_RETURN;
    if (r->op == CO_FPUCHECK || r->op == CO_BRLIMIT) { /* before the instruction, not instead of it */
        bt_fpu_in(bc);
        bt_flags_out(bc);
        bc->resume_ip = (uint64_t)(uintptr_t)bc->code_rx + r->ret;
        return 0;
    }
    bool pending = bc->intr_check || c->s.nmi_pending || c->s.smi_pending;
    if (c->s.intr_shadow)
        bc->shadow_rip = c->next_rip;
    if (mode != bc->mode || ctx != bc->real_ctx || gctx != bc->real_gctx || __atomic_load_n(&bc->exit_req, __ATOMIC_RELAXED) || bc->view_stale ||
        bc->left || bc->flags_blocks == FLAGS_BLOCKS || bc->blocks[r->blk].dead || (pending && (c->s.rflags & FL_IF)) || bc->db_pending) {
        c->s.rip = c->next_rip;
        return bt_resume_at(bc, r) ? 0 : BTX_DISPATCH;
    }
    if (!(bc->mode & M_SINGLE)) /* nothing can come between here and the end of the next instruction */
        c->s.intr_shadow = 0;
    bt_fpu_in(bc);
    bt_flags_out(bc);
    if (r->op == CO_POPF) {
        bt_flags_snap(bc, r->blk);
        bc->snap.blk = r->blk;
        bc->snap.off = r->off;
        bc->snap.after = true;
    }
    bc->resume_ip = (uint64_t)(uintptr_t)bc->code_rx + r->ret;
    return 0;
}
