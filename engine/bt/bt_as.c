/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Address spaces by PCID (SDM vol. 3, 4.10). The software TLB holds translations of the current PCID and global ones, without a tag, so that the
 * check in translated code stays short. When CR3 is given another PCID, the entries of the old one are put aside here, and those that the new one
 * left, unless the write asks for a flush, are put back: much cheaper than walking the page tables for each again. The numbers that say
 * whether translated code is bound to its address (ctx) are kept per address space too.
 *
 *  A1  What is put aside is never global (INVLPG in another address space drops those), and never of a page with a dirty log.
 *  A2  The right to write is looked at again when an entry is put back: the page may hold code by now (I3).
 *  A3  Whatever empties the whole TLB forgets all that was put aside.
 */
#include "bt/bt_private.h"

static unsigned pcid_of(const struct bt_cpu *bc, uint64_t cr3) { return bc->c.s.cr4 & CR4_PCIDE ? (unsigned)cr3 & 0xfff : 0; }

static void forget(struct bt_cpu *bc, unsigned as)
{
    bc->as[as].n = 0;
    bc->as[as].used = false;
    for (unsigned i = 0; i < CTX_N; i++)
        if (bc->ctxcache[i].as == as)
            bc->ctxcache[i].ctx = 0;
}

void bt_as_reset(struct bt_cpu *bc)
{
    for (unsigned i = 0; i < AS_N; i++)
        if (bc->as[i].used)
            forget(bc, i);
    bc->as_cur = 0;
    bc->as[0].used = true;
    bc->as[0].pcid = (uint16_t)pcid_of(bc, bc->c.s.cr3);
}

/* The address space of a PCID, or the one that was left longest ago, emptied. */
static unsigned as_of(struct bt_cpu *bc, unsigned pcid)
{
    unsigned old = bc->as_cur ? 0 : 1;
    for (unsigned i = 0; i < AS_N; i++) {
        if (bc->as[i].used && bc->as[i].pcid == pcid)
            return i;
        if (i != bc->as_cur && (!bc->as[i].used || (bc->as[old].used && bc->as[i].left < bc->as[old].left)))
            old = i;
    }
    forget(bc, old);
    bc->as[old].used = true;
    bc->as[old].pcid = (uint16_t)pcid;
    return old;
}

/* Takes the entries that are not global out of the TLB; into address space as when that is not NULL. */
static void put_aside(struct bt_cpu *bc, struct bt_as *as)
{
    if (bc->fill_over) {
        bt_tlb_init(bc);
        return;
    }
    uint32_t n = 0;
    bt_stk_reset(bc);
    for (uint32_t k = 0; k < bc->n_fill; k++) {
        uint32_t m = MI_TLB(bc->fill[k]), i = MI_INDEX(bc->fill[k]);
        uint64_t none = bt_tlb_never(i), r = bc->tlb[m].rtag[i], w = bc->tlb[m].wtag[i], g = bc->tlb[m].cgpa[i];
        if (n < AS_ENTRIES && !(g & (CG_GLOBAL | CG_TRACKED)) && (r != none || w != none)) {
            struct bt_as_entry *e = &as->e[n++];
            e->mi = MI(m, i);
            e->r = r != none;
            e->w = w != none;
            e->ntag = e->r ? r : w;
            e->host = bc->tlb[m].host[i];
            e->gpa = g & ~0xfffull;
        }
        bt_tlb_forget(bc, m, i);
        bc->tlb[m].logged[i] &= 2;
    }
    bc->n_fill = 0;
    bt_tlb_shrink(bc);
    as->n = n;
}

static void put_back(struct bt_cpu *bc, struct bt_as *as)
{
    uint8_t me = (uint8_t)(1u << bc->c.index);
    struct bt_vm *bv = bc->bv;
    for (uint32_t k = 0; k < as->n; k++) {
        const struct bt_as_entry *e = &as->e[k];
        uint32_t m = MI_TLB(e->mi), i = MI_INDEX(e->mi);
        uint64_t none = bt_tlb_never(i), pfn = e->gpa >> 12;
        if (bc->tlb[m].rtag[i] != none || bc->tlb[m].wtag[i] != none || bc->tlb[m].ctag[i] != none)
            continue; /* a global page */
        if (!(bc->tlb[m].logged[i] & 1)) {
            if (bc->n_fill >= sizeof bc->fill / sizeof bc->fill[0])
                break;
            bc->tlb[m].logged[i] |= 1;
            bc->fill[bc->n_fill++] = e->mi;
        }
        bool w = e->w;
        if (w && pfn < bv->n_pfn) {
            if (bv->n > 1 && !(__atomic_load_n(&bv->write_cpus[pfn], __ATOMIC_SEQ_CST) & me))
                __atomic_fetch_or(&bv->write_cpus[pfn], me, __ATOMIC_SEQ_CST);
            else if (bv->n == 1)
                __atomic_store_n(&bv->write_cpus[pfn], me, __ATOMIC_RELAXED);
            w = !__atomic_load_n(&bv->code_lines[pfn], __ATOMIC_SEQ_CST);
        }
        bc->tlb[m].host[i] = e->host;
        bc->tlb[m].addend[i] = e->host + e->ntag;
        bc->tlb[m].cgpa[i] = e->gpa;
        bt_tlb_used(bc, m, i);
        if (e->r)
            bc->tlb[m].rtag[i] = e->ntag;
        if (w)
            bc->tlb[m].wtag[i] = e->ntag;
    }
    as->n = 0;
}

/* CR3 was written: see struct cpu_ops. */
void bt_cr3_switched(struct cpu *c, uint64_t old, bool flush)
{
    struct bt_cpu *bc = CPU2BT(c);
    unsigned from = pcid_of(bc, old), to = pcid_of(bc, c->s.cr3);
    if (!(c->s.cr4 & CR4_PCIDE)) {
        bt_tlb_flush(bc, false);
        bt_new_ctx(bc, false);
        return;
    }
    if (from == to) {
        if (flush) {
            bt_tlb_flush(bc, false);
            bt_new_ctx(bc, false);
        }
        return;
    }
    bc->as[bc->as_cur].pcid = (uint16_t)from;
    bc->as[bc->as_cur].left = ++bc->as_clock;
    put_aside(bc, &bc->as[bc->as_cur]);
    unsigned as = as_of(bc, to);
    if (flush)
        forget(bc, as);
    bc->as[as].used = true;
    bc->as[as].pcid = (uint16_t)to;
    bc->as_cur = as;
    put_back(bc, &bc->as[as]);
    bt_ctx_load(bc);
}

/* INVPCID: what is not global of a PCID, or of all. */
void bt_flush_pcid(struct cpu *c, unsigned pcid, bool all)
{
    struct bt_cpu *bc = CPU2BT(c);
    for (unsigned i = 0; i < AS_N; i++)
        if (i != bc->as_cur && bc->as[i].used && (all || bc->as[i].pcid == pcid))
            forget(bc, i);
    if (all || pcid == pcid_of(bc, c->s.cr3)) {
        bt_tlb_flush(bc, false);
        bt_new_ctx(bc, false);
    }
}
