/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * String instructions. Repeated ones work in runs inside one page of each operand, on host pointers where there are any; between
 * runs interrupts are noticed (the registers then say where to go on, SDM vol. 2, REP).
 */
#include "bt/bt_private.h"

#include "base/bytes.h"

struct operand {
    uint64_t lin;
    uint8_t *host; /* NULL: element by element through cpu_mem_* */
};

static uint64_t mask_of(unsigned asize) { return asize == 8 ? ~0ull : asize == 4 ? 0xffffffffull : 0xffffull; }

static void set_reg(struct cpu *c, unsigned r, uint64_t v, unsigned asize)
{
    uint64_t m = mask_of(asize);
    if (asize == 4)
        c->s.gpr[r] = v & m;
    else
        c->s.gpr[r] = (c->s.gpr[r] & ~m) | (v & m);
}

/* Elements that fit from off upwards (or downwards) in the page, without wrapping the address size; at least 1. */
static uint64_t fit(uint64_t off, uint64_t lin, unsigned size, bool down, uint64_t amask)
{
    uint64_t n;
    if (down) {
        n = (lin & 0xfff) / size + 1;
        uint64_t o = off / size + 1;
        if ((lin & 0xfff) + size > PAGE)
            return 1;
        return n < o ? n : o;
    }
    n = (PAGE - (lin & 0xfff)) / size;
    if (amask != ~0ull) {
        uint64_t o = (amask - off + 1) / size;
        if (o < n)
            n = o;
    }
    return n ? n : 1;
}

/* The usual case: a flat segment, and a page that the TLB has with the right to do acc. */
static bool in_tlb(const struct bt_cpu *bc, unsigned seg, uint64_t off, unsigned size, unsigned acc, struct operand *o)
{
    bool flat = (bc->mode & M_CODE) == M_CODE64 ? seg < S_FS : (bc->mode & M_FLAT) && seg < S_FS && seg != S_CS;
    uint64_t gpa;
    if (!flat || (bc->mode & M_ALIGN) || (off & 0xfff) + size > PAGE)
        return false;
    o->lin = off;
    o->host = bt_tlb_find(bc, off, acc | (bc->c.cpl == 3 ? ACC_USER : 0), &gpa);
    return o->host;
}

static int prepare(struct bt_cpu *bc, unsigned seg, uint64_t off, unsigned size, uint64_t *n, unsigned acc, bool down, uint64_t amask, struct operand *o)
{
    struct cpu *c = &bc->c;
    if (in_tlb(bc, seg, off, size, acc, o)) {
        uint64_t k = fit(off, off, size, down, amask);
        *n = k < *n ? k : *n;
        return 0;
    }
    if (cpu_seg_check(c, seg, off, size, acc, &o->lin) < 0)
        return -1;
    if ((bc->mode & M_ALIGN) && (o->lin & (size - 1)))
        return cpu_raise_code(c, X_AC, 0);
    uint64_t k = fit(off, o->lin, size, down, amask), lin2;
    if (k < *n)
        *n = k;
    /* all of the run inside the segment? */
    if (*n > 1 && (bc->mode & M_CODE) != M_CODE64) {
        uint64_t lo = down ? off - (*n - 1) * size : off;
        struct cpu_fault keep = c->fault;
        if (cpu_seg_check(c, seg, lo, (unsigned)(*n * size), acc, &lin2) < 0) {
            c->fault = keep;
            *n = 1;
        }
    }
    o->host = NULL;
    uint64_t gpa;
    if ((o->lin & 0xfff) + size > PAGE) { /* what is read faults before what is written is looked at */
        uint8_t *second;
        if (acc == ACC_W)
            return 0;
        if (c->ops->translate(c, o->lin, acc | (c->cpl == 3 ? ACC_USER : 0), &o->host, &gpa) < 0)
            return -1;
        o->host = NULL;
        lin2 = (o->lin | 0xfff) + 1;
        if ((bc->mode & M_CODE) != M_CODE64)
            lin2 = (uint32_t)lin2;
        return c->ops->translate(c, lin2, acc | (c->cpl == 3 ? ACC_USER : 0), &second, &gpa) < 0 ? -1 : 0;
    }
    if (c->ops->translate(c, o->lin, acc | (c->cpl == 3 ? ACC_USER : 0), &o->host, &gpa) < 0)
        return -1;
    return 0;
}

static void flags_cmp(struct cpu *c, uint64_t a, uint64_t b, unsigned size)
{
    uint64_t f;
    unsigned sh = 64 - size * 8;
    a <<= sh;
    b <<= sh;
    uint64_t d = a - b;
    f = a < b ? FL_CF : 0;
    f |= d == 0 ? FL_ZF : 0;
    f |= d >> 63 ? FL_SF : 0;
    f |= ((a ^ b) & (a ^ d)) >> 63 ? FL_OF : 0;
    uint64_t x = a >> sh, y = b >> sh, z = (x - y);
    f |= (x ^ y ^ z) & 0x10 ? FL_AF : 0;
    f |= __builtin_parity((unsigned)z & 0xff) ? 0 : FL_PF;
    c->s.rflags = (c->s.rflags & ~(uint64_t)FL_ARITH) | f;
}

static uint64_t ld(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;
    cpu_copy_once(&v, p, size);
    return v;
}

static void st(uint8_t *p, uint64_t v, unsigned size) { cpu_copy_once(p, &v, size); }

static void rep_movs(uint8_t *d, const uint8_t *s, uint64_t n, unsigned size)
{
    switch (size) {
    case 1: __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory"); break;
    case 2: __asm__ volatile("rep movsw" : "+D"(d), "+S"(s), "+c"(n)::"memory"); break;
    case 4: __asm__ volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(n)::"memory"); break;
    default: __asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(n)::"memory"); break;
    }
}
static void rep_stos(uint8_t *d, uint64_t v, uint64_t n, unsigned size)
{
    switch (size) {
    case 1: __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(v) : "memory"); break;
    case 2: __asm__ volatile("rep stosw" : "+D"(d), "+c"(n) : "a"(v) : "memory"); break;
    case 4: __asm__ volatile("rep stosl" : "+D"(d), "+c"(n) : "a"(v) : "memory"); break;
    default: __asm__ volatile("rep stosq" : "+D"(d), "+c"(n) : "a"(v) : "memory"); break;
    }
}

/* Downwards the processor takes one element at a time, and long to begin. */
static void movs_down(uint8_t *d, const uint8_t *s, uint64_t n, unsigned size)
{
    switch (size) {
    case 4:
        for (; n; n--, d -= 4, s -= 4)
            st_le32(d, ld_le32(s));
        break;
    case 8:
        for (; n; n--, d -= 8, s -= 8)
            st_le64(d, ld_le64(s));
        break;
    default:
        for (; n; n--, d -= size, s -= size)
            st(d, ld(s, size), size);
        break;
    }
}

/* The processor's own comparison, n elements upwards, n > 0: how many were looked at; *fl gets the flags as SAHF takes them and OF in bit 11. */
#define COMPARE(name, insn)                                                                                                                           \
    static uint64_t name(uint64_t a, const uint8_t *s, const uint8_t *d, uint64_t n, uint64_t *fl)                                                    \
    {                                                                                                                                                 \
        uint64_t left = n;                                                                                                                            \
        __asm__ volatile(insn "\n\tlahf\n\tseto %%al" : "+a"(a), "+c"(left), "+D"(d), "+S"(s)::"cc", "memory");                                       \
        *fl = (a >> 8 & (FL_SF | FL_ZF | FL_AF | FL_PF | FL_CF)) | (a & 1) << 11;                                                                     \
        return n - left;                                                                                                                              \
    }
COMPARE(repe_scasb, "repe scasb")
COMPARE(repe_scasw, "repe scasw")
COMPARE(repe_scasl, "repe scasl")
COMPARE(repe_scasq, "repe scasq")
COMPARE(repne_scasb, "repne scasb")
COMPARE(repne_scasw, "repne scasw")
COMPARE(repne_scasl, "repne scasl")
COMPARE(repne_scasq, "repne scasq")
COMPARE(repe_cmpsb, "repe cmpsb")
COMPARE(repe_cmpsw, "repe cmpsw")
COMPARE(repe_cmpsl, "repe cmpsl")
COMPARE(repe_cmpsq, "repe cmpsq")
COMPARE(repne_cmpsb, "repne cmpsb")
COMPARE(repne_cmpsw, "repne cmpsw")
COMPARE(repne_cmpsl, "repne cmpsl")
COMPARE(repne_cmpsq, "repne cmpsq")

static uint64_t (*const compare[2][2][4])(uint64_t, const uint8_t *, const uint8_t *, uint64_t, uint64_t *) = {
    {{repe_scasb, repe_scasw, repe_scasl, repe_scasq}, {repne_scasb, repne_scasw, repne_scasl, repne_scasq}},
    {{repe_cmpsb, repe_cmpsw, repe_cmpsl, repe_cmpsq}, {repne_cmpsb, repne_cmpsw, repne_cmpsl, repne_cmpsq}},
};

/* One run of n elements; *done: how many were completed. */
static int run(struct bt_cpu *bc, const struct bt_rec *r, struct operand *src, struct operand *dst, uint64_t n, bool down, uint64_t *done, bool *stop)
{
    struct cpu *c = &bc->c;
    unsigned size = r->opsize, ua = c->cpl == 3 ? ACC_USER : 0;
    bool s_ok = !src || src->host, d_ok = !dst || dst->host;
    uint64_t step = down ? -(uint64_t)size : size;
    *done = 0;
    *stop = false;
    if (!s_ok || !d_ok)
        n = 1;
    switch (r->aux) {
    case 0xa4:
        if (s_ok && d_ok) {
            (down ? movs_down : rep_movs)(dst->host, src->host, n, size);
        } else {
            uint64_t v = 0;
            if (cpu_mem_read(c, src->lin, &v, size, ua) < 0 || cpu_mem_write(c, dst->lin, &v, size, ua) < 0)
                return -1;
        }
        *done = n;
        return 0;
    case 0xaa:
        if (d_ok) {
            rep_stos(down ? dst->host - (n - 1) * size : dst->host, c->s.gpr[R_RAX], n, size);
        } else if (cpu_mem_write(c, dst->lin, &c->s.gpr[R_RAX], size, ua) < 0) {
            return -1;
        }
        *done = n;
        return 0;
    case 0xac: {
        uint64_t v = 0;
        if (s_ok)
            v = ld(src->host + (n - 1) * step, size);
        else if (cpu_mem_read(c, src->lin, &v, size, ua) < 0)
            return -1;
        if (size == 8)
            c->s.gpr[R_RAX] = v;
        else if (size == 4)
            c->s.gpr[R_RAX] = (uint32_t)v;
        else if (size == 2)
            c->s.gpr[R_RAX] = (c->s.gpr[R_RAX] & ~0xffffull) | v;
        else
            c->s.gpr[R_RAX] = (c->s.gpr[R_RAX] & ~0xffull) | v;
        *done = n;
        return 0;
    }
    case 0xa6:
    case 0xae: {
        if (r->rep && s_ok && d_ok && !down) {
            uint64_t fl;
            *done = compare[r->aux == 0xa6][r->rep == 2][__builtin_ctz(size)](c->s.gpr[R_RAX], src ? src->host : NULL, dst->host, n, &fl);
            c->s.rflags = (c->s.rflags & ~(uint64_t)FL_ARITH) | fl;
            *stop = !(fl & FL_ZF) == (r->rep == 1);
            return 0;
        }
        uint64_t a = 0, b = 0, m = size == 8 ? ~0ull : (1ull << (size * 8)) - 1;
        for (uint64_t i = 0; i < n; i++) {
            if (r->aux == 0xae) {
                a = c->s.gpr[R_RAX] & m;
            } else if (s_ok) {
                a = ld(src->host + i * step, size);
            } else if (cpu_mem_read(c, src->lin, &a, size, ua) < 0) {
                return -1;
            }
            if (d_ok)
                b = ld(dst->host + i * step, size);
            else if (cpu_mem_read(c, dst->lin, &b, size, ua) < 0)
                return -1;
            (*done)++;
            if ((r->rep == 1 && a != b) || (r->rep == 2 && a == b)) {
                *stop = true;
                break;
            }
        }
        flags_cmp(c, a, b, size);
        return 0;
    }
    case 0x6c: {
        uint16_t port = (uint16_t)c->s.gpr[R_RDX];
        if (d_ok && !down) {
            bt_fpu_out(bc);
            bus_read_rep(bc->v, port, size, dst->host, (unsigned)n);
            *done = n;
            return 0;
        }
        uint64_t v = c->ops->port_in(c, port, size);
        if (cpu_mem_write(c, dst->lin, &v, size, ua) < 0)
            return -1;
        *done = 1;
        return 0;
    }
    default: {
        uint16_t port = (uint16_t)c->s.gpr[R_RDX];
        if (s_ok && !down) {
            bt_fpu_out(bc);
            bus_write_rep(bc->v, port, size, src->host, (unsigned)n);
            *done = n;
            return 0;
        }
        uint64_t v = 0;
        if (cpu_mem_read(c, src->lin, &v, size, ua) < 0)
            return -1;
        c->ops->port_out(c, port, size, v);
        *done = 1;
        return 0;
    }
    }
}

/* 0: complete; *again: interrupted between two elements, s.rip stays. -1: fault (the registers say how far it came). */
static int repeat(struct bt_cpu *bc, const struct bt_rec *r, bool *again)
{
    struct cpu *c = &bc->c;
    uint64_t amask = mask_of(r->asize);
    bool down = c->s.rflags & FL_DF;
    bool has_src = r->aux == 0xa4 || r->aux == 0xa6 || r->aux == 0xac || r->aux == 0x6e;
    bool has_dst = r->aux == 0xa4 || r->aux == 0xa6 || r->aux == 0xaa || r->aux == 0xae || r->aux == 0x6c;
    unsigned dacc = r->aux == 0xa6 || r->aux == 0xae ? ACC_R : ACC_W;
    *again = false;
    bool io = r->aux == 0x6c || r->aux == 0x6e;
    if (io && (!r->rep || (c->s.gpr[R_RCX] & amask)) &&
        cpu_io_allowed(c, (uint16_t)c->s.gpr[R_RDX], r->opsize) < 0)
        return -1;
    for (;;) {
        uint64_t left = r->rep ? c->s.gpr[R_RCX] & amask : 1;
        if (left == 0)
            return 0;
        uint64_t n = left;
        if ((bc->mode & M_SINGLE) || (io && (c->s.dr7 & 0xff)))
            n = 1;
        struct operand s, d;
        uint64_t so = c->s.gpr[R_RSI] & amask, dof = c->s.gpr[R_RDI] & amask;
        if (has_src && prepare(bc, r->seg, so, r->opsize, &n, ACC_R, down, amask, &s) < 0)
            return -1;
        if (has_dst && prepare(bc, S_ES, dof, r->opsize, &n, dacc, down, amask, &d) < 0)
            return -1;
        uint64_t done;
        bool stop;
        if (io)
            bt_watch_io(bc, (uint16_t)c->s.gpr[R_RDX], r->opsize);
        int x = run(bc, r, has_src ? &s : NULL, has_dst ? &d : NULL, n, down, &done, &stop);
        uint64_t step = done * r->opsize;
        if (down)
            step = -step;
        if (has_src)
            set_reg(c, R_RSI, so + step, r->asize);
        if (has_dst)
            set_reg(c, R_RDI, dof + step, r->asize);
        if (r->rep)
            set_reg(c, R_RCX, left - done, r->asize);
        if (x < 0)
            return -1;
        if (!r->rep || stop || left == done)
            return 0;
        if ((bc->mode & M_SINGLE) || __atomic_load_n(&bc->exit_req, __ATOMIC_RELAXED) || bc->blocks[bc->cur_blk].dead || bc->watch_hit) {
            *again = true;
            return 0;
        }
    }
}

int bt_string(struct bt_cpu *bc, const struct bt_rec *r, bool *again)
{
    uint64_t flags = bc->c.s.rflags;
    int x = repeat(bc, r, again);
    if (x < 0 && !bc->c.feat->amd) /* SDM vol. 2, REP: a fault restores the flags; on AMD they say what was compared last */
        bc->c.s.rflags = flags;
    return x;
}
