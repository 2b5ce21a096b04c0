/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Gathers and scatters: many addresses in one instruction; and the loads and stores under a mask, which fault for no element that the mask
 * leaves out. The vector registers are read and written in their XSAVE image. SDM vol. 1, 14.9 and 15.8; vol. 2, VGATHER*, VSCATTER*.
 */
#include "bt/bt_private.h"

#define XBV 512 /* XSTATE_BV in the header */

/* A component that the host left out because it is in its initial state is zero: makes the image say so. */
static void settle(struct bt_cpu *bc, unsigned comp)
{
    uint64_t bv;
    uint8_t *x = bc->c.s.xsave;
    cpu_copy(&bv, x + XBV, 8);
    if (bv >> comp & 1)
        return;
    if (comp == 0) {
        static const uint16_t fcw = 0x37f;
        cpu_zero(x, 24);
        cpu_copy(x, &fcw, 2);
        cpu_zero(x + 32, 128);
    } else if (comp == 1) {
        cpu_zero(x + 160, 256);
    } else {
        cpu_zero(x + bc->bv->comp[comp].off, bc->bv->comp[comp].size);
    }
    bv |= 1ull << comp;
    cpu_copy(x + XBV, &bv, 8);
}

/* Byte b of vector register r. */
static uint8_t *vreg(struct bt_cpu *bc, unsigned r, unsigned b)
{
    uint8_t *x = bc->c.s.xsave;
    if (r >= 16)
        return x + bc->bv->comp[7].off + 64 * (r - 16) + b;
    if (b < 16)
        return x + 160 + 16 * r + b;
    if (b < 32)
        return x + bc->bv->comp[2].off + 16 * r + b - 16;
    return x + bc->bv->comp[6].off + 32 * r + b - 32;
}
static uint64_t vget(struct bt_cpu *bc, unsigned r, unsigned i, unsigned size)
{
    uint64_t v = 0;
    cpu_copy(&v, vreg(bc, r, i * size), size);
    return v;
}
static void vzero_from(struct bt_cpu *bc, unsigned r, unsigned from)
{
    unsigned top = bc->bv->comp[6].size ? 64 : 32;
    for (; from < top; from += 4)
        cpu_zero(vreg(bc, r, from), 4);
}
/* The vector state in its image, complete. */
void bt_vec_out(struct bt_cpu *bc)
{
    bt_fpu_out(bc);
    settle(bc, 0);
    settle(bc, 1);
    if (bc->bv->comp[2].size)
        settle(bc, 2);
    for (unsigned i = 5; i <= 7; i++)
        if (bc->bv->comp[i].size)
            settle(bc, i);
}

int bt_vsib(struct bt_cpu *bc, const struct bt_rec *r)
{
    struct cpu *c = &bc->c;
    unsigned dest = r->reg, mask = r->rm, index = r->rep;
    unsigned isz = r->aux & VSIB_INDEX8 ? 8 : 4, dsz = r->aux & VSIB_DATA8 ? 8 : 4, vl = r->opsize;
    unsigned n = vl / (isz > dsz ? isz : dsz), ua = c->cpl == 3 ? ACC_USER : 0;
    bool evex = r->aux & VSIB_EVEX, scatter = r->aux & VSIB_SCATTER;
    uint64_t amask = r->asize == 8 ? ~0ull : 0xffffffff, k = 0;
    uint8_t *kp = c->s.xsave + bc->bv->comp[5].off + 8 * mask;
    if (evex ? mask == 0 || (!scatter && dest == index) : dest == index || dest == mask || index == mask)
        return cpu_raise(c, X_UD);
    bt_vec_out(bc);
    if (evex) {
        cpu_copy(&k, kp, 8);
    } else {
        for (unsigned i = 0; i < n; i++)
            k |= vget(bc, mask, i, dsz) >> (8 * dsz - 1) << i;
    }
    for (unsigned i = 0; i < n; i++) {
        if (!(k >> i & 1)) {
            if (!evex) /* each element of the mask becomes all ones or zeros before its turn */
                cpu_zero(vreg(bc, mask, i * dsz), dsz);
            continue;
        }
        uint64_t x = vget(bc, index, i, isz), lin, v = 0;
        if (isz == 4)
            x = (uint64_t)(int64_t)(int32_t)x;
        uint64_t off = (bc->scr_r10 + (x << (r->aux >> 4 & 3))) & amask;
        if (scatter)
            v = vget(bc, dest, i, dsz);
        if (cpu_seg_check(c, r->seg, off, dsz, scatter ? ACC_W : ACC_R, &lin) < 0 ||
            (scatter ? cpu_mem_write(c, lin, &v, dsz, ua) : cpu_mem_read(c, lin, &v, dsz, ua)) < 0)
            return -1; /* the elements so far are done, and their mask bits say so */
        if (!scatter)
            cpu_copy(vreg(bc, dest, i * dsz), &v, dsz);
        k &= ~(1ull << i);
        if (evex)
            cpu_copy(kp, &k, 8);
        else
            cpu_zero(vreg(bc, mask, i * dsz), dsz);
    }
    if (!scatter)
        vzero_from(bc, dest, n * dsz);
    if (evex)
        cpu_zero(kp, 8);
    else
        vzero_from(bc, mask, 0);
    return 0;
}

/* ---- loads and stores under a mask ---- */

/* The bytes of the site's operand that its instruction touches: bit i of the result for byte i. */
uint64_t bt_masked_bytes(struct bt_cpu *bc, const struct bt_site *s)
{
    unsigned es = s->melem, n = s->size / es;
    uint64_t k = 0, out = 0;
    bool live = bc->fpu_live;
    bt_vec_out(bc);
    if (s->mkind == MASK_VECTOR) {
        for (unsigned i = 0; i < n; i++)
            k |= vget(bc, s->mreg, i, es) >> (8 * es - 1) << i;
    } else {
        cpu_copy(&k, bc->c.s.xsave + bc->bv->comp[5].off + 8 * s->mreg, 8);
        if (s->mkind != MASK_ANY && n < 64)
            k &= (1ull << n) - 1;
    }
    if (live)
        bt_fpu_in(bc);
    if (s->mkind == MASK_PACKED) { /* as many elements as there are bits, side by side */
        unsigned ones = 0;
        for (unsigned i = 0; i < n; i++)
            ones += k >> i & 1;
        k = ones == 64 ? ~0ull : (1ull << ones) - 1;
    } else if (s->mkind == MASK_ANY) { /* broadcasts and the like: all or nothing */
        if (s->mcount < 64)
            k &= (1ull << s->mcount) - 1;
        return !k ? 0 : s->size == 64 ? ~0ull : (1ull << s->size) - 1;
    }
    for (unsigned i = 0; i < n; i++)
        if (k >> i & 1)
            out |= ((1ull << es) - 1) << (i * es);
    return out;
}
