/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page walks: SDM vol. 3 chapter 4 (32-bit, PAE and 4-level paging), AMD APM vol. 2 chapter 5 where AMD reserves more
 * bits. Accessed and dirty bits are set after the whole walk is known to be allowed, with a locked compare-exchange on
 * the entry that was read: when another vCPU changed it meanwhile, the walk starts again.
 */
#include "cpu/nolibc.h"

#include "cpu/cpuint.h"

enum { PE_P = 1, PE_RW = 2, PE_US = 4, PE_A = 32, PE_D = 64, PE_PS = 128, PE_G = 256 };
#define PE_NX (1ull << 63)
#define ADDR_MASK 0x000ffffffffff000ull

struct step {
    uint64_t gpa, val, *host; /* host NULL: the entry is not in RAM */
};

static int page_fault(struct cpu *c, uint64_t lin, unsigned acc, unsigned code)
{
    if (acc & ACC_W)
        code |= PF_W;
    if (acc & ACC_USER)
        code |= PF_U;
    if ((acc & ACC_X) && ((c->s.cr4 & CR4_SMEP) || ((c->s.cr4 & CR4_PAE) && (c->s.efer & EFER_NXE))))
        code |= PF_I;
    cpu_raise_code(c, X_PF, code);
    c->fault.cr2 = lin;
    return -1;
}

/* SDM 4.6.1. us, rw: effective bits; nx already masked with EFER.NXE. */
static inline bool allowed(const struct cpu *c, unsigned acc, bool us, bool rw, bool nx)
{
    if (acc & ACC_USER)
        return us && (rw || !(acc & ACC_W)) && !(nx && (acc & ACC_X));
    if (acc & ACC_X) {
        if (nx || (us && (c->s.cr4 & CR4_SMEP)))
            return false;
    } else if (us && (c->s.cr4 & CR4_SMAP)) {
        /* A supervisor access made while CPL is 3 is implicit: RFLAGS.AC is the user's own then. */
        if (!(c->s.rflags & FL_AC) || (acc & ACC_IMPL) || c->cpl == 3)
            return false;
    }
    return rw || !(acc & ACC_W) || !(c->s.cr0 & CR0_WP);
}

static inline void read_entry64(struct cpu *c, struct step *s)
{
    s->host = c->ops->pte_ptr(c, s->gpa);
    if (likely(s->host != NULL))
        s->val = __atomic_load_n(s->host, __ATOMIC_RELAXED);
    else
        c->ops->phys_read(c, s->gpa, &s->val, 8);
}
static inline void read_entry32(struct cpu *c, struct step *s)
{
    uint32_t v;
    uint64_t *p = c->ops->pte_ptr(c, s->gpa & ~7ull);
    s->host = p ? (uint64_t *)((uint8_t *)p + (s->gpa & 4)) : NULL;
    if (likely(p != NULL))
        v = __atomic_load_n((uint32_t *)s->host, __ATOMIC_RELAXED);
    else
        c->ops->phys_read(c, s->gpa, &v, 4);
    s->val = v;
}
/* True when the entry was still what we had read. */
static bool set_bits(struct cpu *c, struct step *s, uint64_t bits, bool wide)
{
    uint64_t nv = s->val | bits;
    if (nv == s->val)
        return true;
    if (!s->host) { /* a page table in a device or in ROM: a plain write, which the latter ignores */
        c->ops->phys_write(c, s->gpa, &nv, wide ? 8 : 4);
        return true;
    }
    if (wide) {
        uint64_t old = s->val;
        if (!__atomic_compare_exchange_n(s->host, &old, nv, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            return false;
    } else {
        uint32_t old = (uint32_t)s->val;
        if (!__atomic_compare_exchange_n((uint32_t *)s->host, &old, (uint32_t)nv, false, __ATOMIC_SEQ_CST,
                                         __ATOMIC_RELAXED))
            return false;
    }
    s->val = nv;
    c->ops->pte_written(c, s->gpa);
    return true;
}

/* Bits that must be zero in a present entry at a level; leaf: it maps a page. */
static inline uint64_t reserved64(const struct cpu *c, unsigned level, bool leaf, bool pae)
{
    uint64_t above = ~0ull << c->feat->phys_bits;
    uint64_t r =
        above & (pae ? 0x7fffffffffffffffull : 0x000fffffffffffffull); /* PAE: 62:MAXPHYADDR; 4-level: 51:MAXPHYADDR */
    if (!(c->s.efer & EFER_NXE))
        r |= PE_NX;
    if (level == 4)
        r |= c->feat->amd ? PE_PS | PE_G : PE_PS; /* APM 5.3.3: AMD also reserves bit 8 in the PML4E */
    else if (level == 3 && leaf)
        r |= c->feat->pge1gb ? 0x3fffe000ull : PE_PS;
    else if (level == 2 && leaf)
        r |= 0x1fe000ull;
    return r;
}

/* 4-level paging (levels 4..1 from CR3) and PAE (levels 2..1 from a PDPTE). */
static int walk64(struct cpu *c, uint64_t lin, unsigned acc, struct cpu_walk *w, uint64_t table, unsigned top)
{
    struct step st[5];
    unsigned level;
    uint64_t both, any, e = 0;
retry:
    both = ~0ull;
    any = 0;
    for (level = top;; level--) {
        struct step *s = &st[level];
        s->gpa = (level == top ? table : e & ADDR_MASK) + ((lin >> (3 + 9 * level)) & 511) * 8;
        read_entry64(c, s);
        e = s->val;
        if (unlikely(!(e & PE_P)))
            return page_fault(c, lin, acc, 0);
        bool leaf = level == 1 || (level <= 3 && (e & PE_PS));
        if (unlikely(e & reserved64(c, level, leaf, top == 2)))
            return page_fault(c, lin, acc, PF_P | PF_RSVD);
        both &= e;
        any |= e;
        if (leaf)
            break;
    }
    bool nx = (any & PE_NX) != 0;
    if (unlikely(!allowed(c, acc, both & PE_US, both & PE_RW, nx)))
        return page_fault(c, lin, acc, PF_P);
    for (unsigned l = top; l > level; l--) {
        if (unlikely(!(st[l].val & PE_A)) && !set_bits(c, &st[l], PE_A, true))
            goto retry;
    }
    if (!set_bits(c, &st[level], (acc & ACC_W) ? PE_A | PE_D : PE_A, true))
        goto retry;
    e = st[level].val;
    w->page_size = 1ull << (3 + 9 * level);
    w->gpa = (e & ADDR_MASK & ~(w->page_size - 1)) | (lin & (w->page_size - 1));
    w->user = both & PE_US;
    w->writable = both & PE_RW;
    w->nx = nx;
    w->global = (e & PE_G) && (c->s.cr4 & CR4_PGE);
    w->dirty = e & PE_D;
    return 0;
}

/* SDM figure 4-4: with PSE-36, bits 20:13 of the entry of a 4 MiB page are bits 39:32 of its address. */
static inline uint64_t addr_4m(uint32_t e) { return (e & 0xffc00000u) | ((uint64_t)(e >> 13 & 0xff) << 32); }

static int walk32(struct cpu *c, uint64_t lin, unsigned acc, struct cpu_walk *w)
{
    struct step pde, pte;
    unsigned both;
    bool large;
retry:
    pde.gpa = (c->s.cr3 & 0xfffff000u) + ((lin >> 22) & 1023) * 4;
    read_entry32(c, &pde);
    if (unlikely(!(pde.val & PE_P)))
        return page_fault(c, lin, acc, 0);
    both = (unsigned)pde.val;
    large = (pde.val & PE_PS) && (c->s.cr4 & CR4_PSE);
    if (large) {
        unsigned m = c->feat->phys_bits < 40 ? c->feat->phys_bits : 40;
        uint32_t rsvd = (uint32_t)(0x3fffffu & (~0ull << (m - 19))); /* bits 21:(M-19) */
        if (unlikely(pde.val & rsvd))
            return page_fault(c, lin, acc, PF_P | PF_RSVD);
    } else {
        pte.gpa = (pde.val & 0xfffff000u) + ((lin >> 12) & 1023) * 4;
        read_entry32(c, &pte);
        if (unlikely(!(pte.val & PE_P)))
            return page_fault(c, lin, acc, 0);
        both &= (unsigned)pte.val;
    }
    if (unlikely(!allowed(c, acc, both & PE_US, both & PE_RW, false)))
        return page_fault(c, lin, acc, PF_P);
    if (!large && !set_bits(c, &pde, PE_A, false))
        goto retry;
    struct step *leaf = large ? &pde : &pte;
    if (!set_bits(c, leaf, (acc & ACC_W) ? PE_A | PE_D : PE_A, false))
        goto retry;
    if (large) {
        w->page_size = 4ull << 20;
        w->gpa = addr_4m((uint32_t)leaf->val) | (lin & 0x3fffff);
    } else {
        w->page_size = 4096;
        w->gpa = (leaf->val & 0xfffff000u) | (lin & 0xfff);
    }
    w->user = both & PE_US;
    w->writable = both & PE_RW;
    w->nx = false;
    w->global = (leaf->val & PE_G) && (c->s.cr4 & CR4_PGE);
    w->dirty = leaf->val & PE_D;
    return 0;
}

int cpu_walk(struct cpu *c, uint64_t lin, unsigned acc, struct cpu_walk *w)
{
    if (likely(c->s.efer & EFER_LMA)) {
        if (unlikely(!cpu_canonical(lin)))
            return cpu_raise_code(c, X_GP, 0);
        return walk64(c, lin, acc, w, c->s.cr3 & ADDR_MASK, 4);
    }
    lin = (uint32_t)lin;
    if (!(c->s.cr0 & CR0_PG)) {
        *w = (struct cpu_walk){.gpa = lin, .page_size = 4096, .user = true, .writable = true, .dirty = true};
        return 0;
    }
    if (c->s.cr4 & CR4_PAE) {
        uint64_t e = c->s.pdpte[lin >> 30];
        if (!(e & PE_P))
            return page_fault(c, lin, acc, 0);
        return walk64(c, lin, acc, w, e & ADDR_MASK, 2);
    }
    return walk32(c, lin, acc, w);
}

int cpu_walk_debug(struct cpu *c, uint64_t lin, uint64_t *gpa)
{
    struct step s;
    if (!(c->s.cr0 & CR0_PG)) {
        *gpa = (uint32_t)lin;
        return 0;
    }
    if (!(c->s.cr4 & CR4_PAE)) {
        s.gpa = (c->s.cr3 & 0xfffff000u) + ((lin >> 22) & 1023) * 4;
        read_entry32(c, &s);
        if (!(s.val & PE_P))
            return -1;
        if ((s.val & PE_PS) && (c->s.cr4 & CR4_PSE)) {
            *gpa = addr_4m((uint32_t)s.val) | (lin & 0x3fffff);
            return 0;
        }
        s.gpa = (s.val & 0xfffff000u) + ((lin >> 12) & 1023) * 4;
        read_entry32(c, &s);
        if (!(s.val & PE_P))
            return -1;
        *gpa = (s.val & 0xfffff000u) | (lin & 0xfff);
        return 0;
    }
    unsigned level = 4;
    uint64_t table = c->s.cr3 & ADDR_MASK;
    if (cpu_in_lm(c)) {
        if (!cpu_canonical(lin))
            return -1;
    } else {
        lin = (uint32_t)lin;
        level = 2;
        if (!(c->s.pdpte[lin >> 30] & PE_P))
            return -1;
        table = c->s.pdpte[lin >> 30] & ADDR_MASK;
    }
    for (;; level--) {
        s.gpa = table + ((lin >> (3 + 9 * level)) & 511) * 8;
        read_entry64(c, &s);
        if (!(s.val & PE_P))
            return -1;
        if (level == 1 || (level <= 3 && (s.val & PE_PS))) {
            uint64_t m = (1ull << (3 + 9 * level)) - 1;
            *gpa = (s.val & ADDR_MASK & ~m) | (lin & m);
            return 0;
        }
        table = s.val & ADDR_MASK;
    }
}
