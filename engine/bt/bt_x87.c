/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FNSTENV, FNSAVE and FXSAVE. They store where the last x87 instruction and its operand were and what its opcode was; the processor knows
 * that of the translated code and of host memory. Here the guest's own addresses are found again (SDM vol. 1, 8.1.8), also so that no
 * address of the host reaches the guest.
 */
#include "bt/bt_private.h"

struct pointers {
    uint64_t ip, dp;
    uint16_t op, cs, ds;
};

static uint32_t host_slot(uint32_t page) { return (page >> 12) & (SEEN_N - 1); }

void bt_x87_seen(struct bt_cpu *bc, uint64_t host, uint64_t lin)
{
    uint32_t page = (uint32_t)host & ~0xfffu, i = host_slot(page);
    bc->seen[i].host = page;
    bc->seen[i].lin = lin & ~0xfffull;
}

/* The linear address of a byte of host memory that the guest has accessed; only the low half of the host address is known. */
static bool linear_of(struct bt_cpu *bc, uint32_t host, uint64_t *lin)
{
    uint32_t bounce = (uint32_t)(uintptr_t)bc->bnc.data, page = host & ~0xfffu;
    if (host - bounce < sizeof bc->bnc.data) {
        *lin = bc->bnc.lin + (host - bounce) - (bc->bnc.lin & 63);
        return true;
    }
    uint32_t n = bc->fill_over ? 0 : bc->n_fill, seen = host_slot(page);
    for (uint32_t k = 0; k <= n; k++) { /* most often it is the page of the last time */
        uint32_t f = k ? bc->fill[k - 1] : bc->x87_fill, m = MI_TLB(f), i = MI_INDEX(f);
        uint64_t at = -bc->tlb[m].rtag[i];
        if ((uint32_t)bc->tlb[m].host[i] == page && tlb_index(at) == i && !(at & 0xfff)) {
            bc->x87_fill = f;
            *lin = at | (host & 0xfff);
            return true;
        }
    }
    /* Flushed since: where the page was seen last. */
    *lin = bc->seen[seen].lin | (host & 0xfff);
    return bc->seen[seen].host == page && page;
}

/*
 * What the instruction at off of a block is: the opcode as FOP has it, the segment of its memory operand (-1: it has none). The bytes come from the
 * page itself: the state may be saved where the code is not mapped or may not be read (a kernel, with SMAP).
 */
static int decode(struct bt_cpu *bc, const struct bt_block *blk, uint16_t off, uint16_t *op)
{
    const struct bt_cpage *p = &bc->cpages[blk->cpage];
    const uint8_t *page = bt_ram_ptr(bc, p->gpa, false);
    uint8_t b[15];
    unsigned n = PAGE - off, i = 0;
    int seg = -1;
    bool m64 = (p->mode & M_CODE) == M_CODE64, a16 = (p->mode & M_CODE) == M_CODE16;
    if (!page)
        return -1;
    if (n > sizeof b)
        n = sizeof b;
    cpu_copy(b, page + off, n);
    for (; i + 1 < n; i++) {
        switch (b[i]) {
        case 0x26: seg = S_ES; continue;
        case 0x2e: seg = S_CS; continue;
        case 0x36: seg = S_SS; continue;
        case 0x3e: seg = S_DS; continue;
        case 0x64: seg = S_FS; continue;
        case 0x65: seg = S_GS; continue;
        case 0x67: a16 = !m64 && !a16; continue;
        case 0x66:
        case 0xf2:
        case 0xf3: continue;
        default: break;
        }
        if (m64 && (b[i] & 0xf0) == 0x40)
            continue;
        break;
    }
    if (i + 1 >= n || (b[i] & 0xf8) != 0xd8)
        return -1;
    uint8_t rm = b[i + 1];
    *op = (uint16_t)((b[i] & 7) << 8 | rm);
    if (rm >= 0xc0)
        return -1;
    if (seg < 0) {
        unsigned base = rm & 7, mod = rm >> 6;
        if (a16)
            seg = base == 2 || base == 3 || (base == 6 && mod) ? S_SS : S_DS;
        else if (base == 4 && i + 2 < n)
            seg = (b[i + 2] & 7) == 4 || ((b[i + 2] & 7) == 5 && mod) ? S_SS : S_DS;
        else
            seg = base == 5 && mod ? S_SS : S_DS;
    }
    return seg;
}

static bool in_cache(const struct bt_cpu *bc, uint64_t ip) { return ip - (uint64_t)(uintptr_t)bc->code_rx < CODE_SIZE; }

/*
 * From the host's to the guest's. Pointers that the guest itself has loaded stay; bt_x87_detach has seen to those into code that is gone.
 * whole: all 64 bits of the instruction pointer are known.
 */
static void guest_pointers(struct bt_cpu *bc, struct pointers *p, bool whole)
{
    uint64_t rx = (uint64_t)(uintptr_t)bc->code_rx, at = whole ? p->ip - rx : (uint32_t)(p->ip - rx);
    uint32_t idx;
    if (at >= CODE_SIZE)
        return;
    struct bt_block *b = bt_block_of_host(bc, rx + at, &idx);
    if (!b) {
        *p = (struct pointers){0};
        return;
    }
    bool m64 = (bc->cpages[b->cpage].mode & M_CODE) == M_CODE64;
    struct pointers g = {0};
    uint16_t off = b->tramp_target ? b->off : bt_guest_off(bc, b, rx + at);
    g.ip = bc->cells[b->cpage].va + off;
    g.op = p->op; /* the host's, where the page has gone: it differs in how a memory operand is addressed only */
    int seg = decode(bc, b, off, &g.op);
    if (!m64)
        g.ip = (uint32_t)g.ip;
    if (p->dp && linear_of(bc, (uint32_t)p->dp, &g.dp)) {
        if (seg < 0) /* the operand of an earlier instruction */
            seg = S_DS;
        if (!m64 || seg >= S_FS)
            g.dp -= bc->c.s.seg[seg].base;
        if (!m64)
            g.dp = (uint32_t)g.dp;
        g.ds = bc->c.s.seg[seg].sel;
    }
    g.cs = bc->c.s.seg[S_CS].sel;
    if (bc->c.feat->no_fcs)
        g.cs = g.ds = 0;
    *p = g;
}

/* Where n bytes of the operand are; they can be written. */
static int operand(struct bt_cpu *bc, const struct bt_rec *r, unsigned n, uint64_t *lin)
{
    struct cpu *c = &bc->c;
    unsigned acc = ACC_W | (c->cpl == 3 ? ACC_USER : 0);
    uint8_t *h;
    uint64_t gpa;
    if (cpu_seg_check(c, r->seg, bc->scr_r10, n, ACC_W, lin) < 0 || bt_aligned(bc, *lin, n) < 0 || c->ops->translate(c, *lin, acc, &h, &gpa) < 0)
        return -1;
    return (*lin & 0xfff) + n > PAGE ? c->ops->translate(c, *lin + n - 1, acc, &h, &gpa) : 0;
}

static void put32(uint8_t *p, uint32_t v) { cpu_copy(p, &v, 4); }
static void put16(uint8_t *p, uint16_t v) { cpu_copy(p, &v, 2); }

/* The environment in its four formats: SDM vol. 1, figures 8-9 to 8-12. */
static unsigned put_env(struct bt_cpu *bc, uint8_t *out, const uint32_t *env, const struct pointers *p, unsigned opsize)
{
    bool real = !(bc->mode & M_PE) || (bc->mode & M_VM86);
    uint32_t ip = (uint32_t)p->ip, dp = (uint32_t)p->dp;
    if (real) {
        ip += (uint32_t)bc->c.s.seg[S_CS].sel << 4;
        dp += (uint32_t)p->ds << 4;
    }
    if (opsize == 2) {
        for (unsigned i = 0; i < 3; i++)
            put16(out + 2 * i, (uint16_t)env[i]);
        put16(out + 6, (uint16_t)ip);
        put16(out + 8, real ? (uint16_t)((ip >> 4 & 0xf000) | (p->op & 0x7ff)) : p->cs);
        put16(out + 10, (uint16_t)dp);
        put16(out + 12, real ? (uint16_t)(dp >> 4 & 0xf000) : p->ds);
        return 14;
    }
    for (unsigned i = 0; i < 3; i++)
        put32(out + 4 * i, env[i] | 0xffff0000u);
    put32(out + 12, real ? (ip & 0xffff) | 0xffff0000u : ip);
    put32(out + 16, real ? (ip >> 4 & 0x0ffff000) | (p->op & 0x7ff) : (uint32_t)p->op << 16 | p->cs);
    put32(out + 20, real ? (dp & 0xffff) | 0xffff0000u : dp);
    put32(out + 24, real ? dp >> 4 & 0x0ffff000 : 0xffff0000u | p->ds);
    return 28;
}

int bt_fnstenv(struct bt_cpu *bc, const struct bt_rec *r, bool save)
{
    uint8_t out[108], img[108], fx[512] __attribute__((aligned(16)));
    uint64_t ip;
    uint32_t env[7];
    uint64_t lin;
    unsigned n = (r->opsize == 2 ? 14 : 28) + (save ? 80 : 0);
    if (operand(bc, r, n, &lin) < 0)
        return -1;
    bt_fpu_in(bc);
    __asm__ volatile("fxsave64 %0" : "=m"(fx)::"memory"); /* the upper half of the pointer */
    cpu_copy(&ip, fx + 8, 8);
    if (save)
        __asm__ volatile("fnsave %0" : "=m"(img)::"memory");
    else
        __asm__ volatile("fnstenv %0" : "=m"(img)::"memory");
    cpu_copy(env, img, sizeof env);
    struct pointers p = {.ip = env[3], .dp = env[5], .op = (uint16_t)(env[4] >> 16), .cs = (uint16_t)env[4], .ds = (uint16_t)env[6]};
    bool whole = (uint32_t)ip == env[3];
    if (whole)
        p.ip = ip;
    guest_pointers(bc, &p, whole);
    unsigned k = put_env(bc, out, env, &p, r->opsize);
    if (save)
        cpu_copy(out + k, img + 28, 80);
    return cpu_mem_write(&bc->c, lin, out, n, bc->c.cpl == 3 ? ACC_USER : 0);
}

/* The same in an image that FXSAVE64 or XSAVE64 has made. wide: the guest's instruction stores pointers of 64 bits. */
void bt_fix_image(struct bt_cpu *bc, uint8_t *img, bool wide)
{
    struct pointers p = {0};
    cpu_copy(&p.op, img + 6, 2);
    cpu_copy(&p.ip, img + 8, 8);
    cpu_copy(&p.dp, img + 16, 8);
    if (!in_cache(bc, p.ip)) /* the guest's own */
        return;
    guest_pointers(bc, &p, true);
    put16(img + 6, p.op);
    cpu_copy(img + 8, &p.ip, 8);
    cpu_copy(img + 16, &p.dp, 8);
    if (!wide) {
        put32(img + 12, p.cs);
        put32(img + 20, p.ds);
    }
}

/* The code cache is about to be emptied: what points into it becomes the guest's while that can be told. */
void bt_x87_detach(struct bt_cpu *bc)
{
    bt_fpu_out(bc);
    bt_fix_image(bc, bc->c.s.xsave, true);
}

int bt_fxsave(struct bt_cpu *bc, const struct bt_rec *r)
{
    struct cpu *c = &bc->c;
    uint8_t img[512] __attribute__((aligned(16)));
    uint64_t lin;
    bool m64 = (bc->mode & M_CODE) == M_CODE64;
    if (cpu_seg_check(c, r->seg, bc->scr_r10, 512, ACC_W, &lin) < 0)
        return -1;
    if (lin & 15)
        return cpu_raise_code(c, X_GP, 0);
    if (operand(bc, r, 512, &lin) < 0)
        return -1;
    bt_fpu_in(bc);
    __asm__ volatile("fxsave64 %0" : "=m"(img)::"memory");
    bt_fix_image(bc, img, r->opsize == 8);
    /* XMM8 and above are there in 64-bit mode only; the last 48 bytes belong to software. */
    return cpu_mem_write(c, lin, img, m64 ? 416 : 288, c->cpl == 3 ? ACC_USER : 0);
}
