/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * INVLPG: one page leaves the software TLB, and the code that was found through it must be looked up again (SDM vol. 3, 4.10.4.1). All of a large
 * page goes, however many entries of 4 KiB stand for it: one INVLPG at any of its addresses is all that Linux does for a huge page.
 */
#include "bt/bt_private.h"

/* ---- large pages ---- */

#define REGION 21 /* bits of a region that is remembered as part of a 2 or 4 MiB page */
#define ANY UINT64_MAX

static void remember(uint64_t *slot, uint64_t key)
{
    if (*slot != key)
        *slot = *slot ? ANY : key;
}

/* lin is translated by a page of that many bytes. */
void bt_large_note(struct bt_cpu *bc, uint64_t lin, uint64_t size)
{
    if (size == 1ull << 30) {
        remember(&bc->large_1g[(lin >> 30) % LARGE_1G_N], (lin >> 30) + 1);
        return;
    }
    for (uint64_t at = lin & ~(size - 1), k = 0; k < size >> REGION; k++, at += 1ull << REGION)
        remember(&bc->large[(at >> REGION) % LARGE_N], (at >> REGION) + 1);
}

/* After everything, global pages and code too, has been dropped. */
void bt_large_forget(struct bt_cpu *bc)
{
    cpu_zero(bc->large, sizeof bc->large);
    cpu_zero(bc->large_1g, sizeof bc->large_1g);
}

static bool noted(uint64_t slot, uint64_t key) { return slot == key || slot == ANY; }

/* ---- code by linear page ---- */

static uint32_t *chain(struct bt_cpu *bc, uint64_t lin) { return &bc->lin_hash[(lin >> 12 ^ lin >> 24) % LIN_HASH_N]; }

/* Code page cp has been bound to its linear page, or is about to be to another. */
void bt_lin_add(struct bt_cpu *bc, uint32_t cp)
{
    uint32_t *h = chain(bc, bc->cpages[cp].lin);
    bc->cpages[cp].lin_next = *h;
    *h = cp;
}
void bt_lin_remove(struct bt_cpu *bc, uint32_t cp)
{
    uint32_t *q = chain(bc, bc->cpages[cp].lin);
    while (*q && *q != cp)
        q = &bc->cpages[*q].lin_next;
    if (*q)
        *q = bc->cpages[cp].lin_next;
}

/* No code page that is bound to linear page lin may be entered before it has been looked up again. */
static void unbind(struct bt_cpu *bc, uint64_t page)
{
    bool found = false;
    for (uint32_t cp = *chain(bc, page); cp; cp = bc->cpages[cp].lin_next)
        if (bc->cpages[cp].lin == page) {
            bt_cell_set(bc, cp, 0, bc->cells[cp].va);
            found = true;
        }
    for (unsigned k = 0; found && k < sizeof bc->vcache / sizeof bc->vcache[0]; k++)
        if (bc->vcache[k].lin == page)
            bc->vcache[k].ctx = 0;
}

void bt_invlpg(struct bt_cpu *bc, uint64_t lin)
{
    uint64_t size = (bc->c.s.cr4 & CR4_PAE) ? 2u << 20 : 4u << 20;
    if (noted(bc->large_1g[(lin >> 30) % LARGE_1G_N], (lin >> 30) + 1)) {
        bt_tlb_flush(bc, true);
        bt_new_ctx(bc, true);
    } else if (noted(bc->large[(lin >> REGION) % LARGE_N], (lin >> REGION) + 1)) {
        bt_tlb_flush_range(bc, lin & ~(size - 1), size);
        bt_new_ctx(bc, true);
    } else {
        bt_tlb_flush_range(bc, lin & ~0xfffull, PAGE);
        unbind(bc, lin & ~0xfffull);
    }
}
