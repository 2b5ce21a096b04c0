/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that places in hot code remember. The check of an access asks the TLB, whose index comes from the address: six instructions, and the data wait for
 * them. Most places find the page of their last access again; then a comparison with that (struct bt_slot) is shorter, and nothing waits. But a place that
 * goes from page to page pays for each change, and all slots are forgotten with the TLB. So only blocks get slots in which a kick finds the vCPU, that is
 * where it spends its time; the miss of a slot counts, and a place that misses much has none in the next translation of its block.
 */
#include "bt/bt_private.h"

#include "core/clock.h"

enum {
    LOOK_NS = 1000000,    /* not more often; a guest's timer comes 100 to 1000 times a second */
    MISSES_PER_US = 4,    /* a miss costs some 10 ns more than the TLB's check, which is 4 % of the time */
    FORGET_US = 50,       /* slots are forgotten more often: a guest that changes address spaces all the time; then those go that are filled again */
    RARE_US = 100,        /* each time, but not those that it seldom comes to */
};

static struct bt_hot *find(struct bt_cpu *bc, uint32_t cp, uint16_t off)
{
    for (struct bt_hot *h = bc->hot, *end = h + bc->n_hot; h < end; h++)
        if (h->cpage == cp && h->off == off)
            return h;
    return NULL;
}

/* The block is made anew when it runs next. */
static void remake(struct bt_cpu *bc, uint32_t blk)
{
    if (blk && !bc->blocks[blk].dead) {
        bt_block_drop(bc, blk);
        bc->st.smc_drops--; /* nobody wrote it */
    }
}

/* Does much of the time go into this block, or is it one of hundreds? Then to make it anew is all that would come of it. */
static bool again(struct bt_cpu *bc, const struct bt_block *b)
{
    uint64_t key = (uint64_t)b->cpage << 16 | b->off;
    bool seen = false;
    for (unsigned i = 0; i < HOT_SEEN; i++)
        seen |= bc->hot_seen[i] == key;
    bc->hot_seen[bc->hot_seen_at++ % HOT_SEEN] = key;
    return seen;
}

static void promote(struct bt_cpu *bc, uint32_t blk)
{
    const struct bt_block *b = &bc->blocks[blk];
    if (b->dead || !b->slot_sites || (!again(bc, b) && !bc->stress.on) || find(bc, b->cpage, b->off))
        return;
    if (bc->n_hot < HOT_N)
        bc->n_hot++;
    struct bt_hot *h = &bc->hot[bc->hot_next++ % HOT_N]; /* a new one, or what has been hot for longest */
    if (h->cpage)
        remake(bc, h->blk);
    *h = (struct bt_hot){.cpage = b->cpage, .off = b->off};
    bc->st.hot_blocks++;
    remake(bc, blk);
}

/* Which places had better ask the TLB? */
static void judge(struct bt_cpu *bc, uint64_t us)
{
    bool often = bc->slots_forgotten * (uint64_t)FORGET_US > us;
    bc->slots_forgotten = 0;
    for (struct bt_hot *h = bc->hot, *end = h + bc->n_hot; h < end; h++) {
        struct bt_slot *s = &bc->slot[(unsigned)(h - bc->hot) * HOT_SLOTS];
        uint64_t bad = h->bad;
        for (unsigned i = 0; i < h->n; i++)
            if (s[i].misses > MISSES_PER_US * us || (often && s[i].misses * (uint64_t)RARE_US > us))
                h->bad |= 1ull << h->place[i];
        if (h->bad != bad)
            remake(bc, h->blk);
        for (unsigned i = 0; i < HOT_SLOTS; i++)
            s[i].misses = 0;
    }
}

void bt_hot_look(struct bt_cpu *bc)
{
    uint32_t blk = bc->hot_sample;
    bc->hot_sample = 0;
    bt_fpu_out(bc);
    int64_t now = clock_now(bc->v->vm), ns = now - bc->hot_since;
    if (ns < LOOK_NS && !bc->stress.on)
        return;
    bc->hot_since = now;
    judge(bc, (uint64_t)(ns < LOOK_NS ? LOOK_NS : ns) / 1000);
    promote(bc, bc->blocks[blk].tramp_target ? bc->blocks[blk].tramp_target : blk);
}

struct bt_hot *bt_hot_begin(struct bt_cpu *bc, uint32_t cp, uint16_t off, uint32_t blk)
{
    struct bt_hot *h = find(bc, cp, off);
    if (h) {
        h->blk = blk;
        bt_slots_reset(bc, (unsigned)(h - bc->hot)); /* they were for other accesses, which may have been reads */
    }
    return h;
}

bool bt_hot_owns(const struct bt_cpu *bc, uint32_t blk)
{
    for (const struct bt_hot *h = bc->hot, *end = h + bc->n_hot; h < end; h++)
        if (h->blk == blk)
            return true;
    return false;
}

void bt_hot_forget(struct bt_cpu *bc)
{
    cpu_zero(bc->hot, sizeof bc->hot);
    cpu_zero(bc->hot_seen, sizeof bc->hot_seen);
    bc->n_hot = bc->hot_next = bc->hot_sample = 0;
}
