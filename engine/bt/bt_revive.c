/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks that come back. A write to code drops the blocks made of it, but code is often what it has been before: kernels patch calls and jumps in
 * and out, programs switch between two versions of an instruction, what writes data into a line with code changes none of it. So a block that a write
 * has dropped stays in the cache, unlinked, with the bytes it was made of; when the same bytes are looked for at its place again, it is
 * entered instead of a new one. The bytes themselves are compared, no hash of them: a guest's program could choose bytes for a hash, and its
 * page is another one's tomorrow.
 */
#include "bt/bt_private.h"

static uint32_t *set_of(struct bt_cpu *bc, uint32_t cp, uint16_t off)
{
    return bc->dead[(cp * 0x9e3779b1u + off * 0x85ebca6bu) >> (32 - DEAD_BITS)];
}

/* Has been dropped because of a write. */
void bt_dead_keep(struct bt_cpu *bc, uint32_t blk)
{
    const struct bt_block *b = &bc->blocks[blk];
    if (b->dead != 1 || !b->again)
        return;
    uint32_t *set = set_of(bc, b->cpage, b->off);
    for (unsigned i = DEAD_WAYS - 1; i; i--)
        set[i] = set[i - 1];
    set[0] = blk;
}

/* Is the block made of what is in the page now? */
bool bt_block_same(const struct bt_cpu *bc, const struct bt_block *b, const uint8_t *page)
{
    const uint8_t *was = bc->srcs + b->src, *is = page + b->off;
    unsigned n = b->len + b->beyond, k = 0, end = PAGE - b->off;
    n = n < end ? n : end;
    while (k < n && was[k] == is[k])
        k++;
    return k == n;
}

/* The dead block of code page cp at page offset off that is made of the bytes of page, alive again, but on no list; 0 if there is none. */
uint32_t bt_dead_find(struct bt_cpu *bc, uint32_t cp, uint16_t off, const uint8_t *page)
{
    if (bc->bv->dbg_exec) /* there may be a breakpoint in it now */
        return 0;
    uint32_t *set = set_of(bc, cp, off);
    for (unsigned i = 0; i < DEAD_WAYS; i++) {
        uint32_t blk = set[i];
        struct bt_block *b = &bc->blocks[blk];
        if (!blk || b->cpage != cp || b->off != off || b->dead != 1)
            continue;
        if (!bt_block_same(bc, b, page) || (b->slots && !bt_hot_owns(bc, blk)))
            continue;
        for (; i + 1 < DEAD_WAYS; i++)
            set[i] = set[i + 1];
        set[i] = 0;
        b->dead = 0;
        bc->st.revivals++;
        return blk;
    }
    return 0;
}
