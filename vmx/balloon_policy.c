/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The balloon's target. The guest is asked for memory when the user says so, when sched.mem.max is less than memsize, and when the host is short of
 * memory: then each second a little more, as long as the host stays short; when it has enough again, the balloon is let go a little each second.
 * It never goes beyond sched.mem.maxmemctl (65 % of the memory when that is not set), nor below sched.mem.min. A guest that is short itself gets
 * memory back, and is left alone for a minute: one that cannot follow the target, or that reads its disks all the time, which is what a guest does
 * that has no memory left to cache them.
 *
 * Breaths: how the host learns what an ordinary guest has free. Such a guest leaves its old data in free pages, so that the search for zeros finds
 * nothing. But what it hands over to the balloon is free in the guest, and what the balloon lets go again is free in the guest and not in the
 * host's memory. So, as a part of trimming, while the guest has little to do:
 *  1. When it has done something since the last time (nobody frees much memory without a processor), it is asked for PROBE pages. When the host has
 *     gained nothing by it (they were not in its memory), for eight times as many, once: Linux does not always hand over first what was used last.
 *     Nothing again: that was all.
 *  2. Else for eight times as many, and so on, as fast as MemTrimRate allows on average.
 *  3. When nothing is gained any more, or the guest begins to hand over single pages (it has no free 2 MiB left: what it gives now, it takes from its
 *     caches), or it reads its disks, the balloon goes back at once to what it had.
 *  4. Linux keeps what the balloon has let go apart (as blocks for what cannot be moved) and hands it over first the next time. So the first step of a
 *     breath is to ask for all that (`pool`) and PROBE pages; and the more that is, the longer it is until the next one, because a guest that zeroes
 *     what it allocates makes the host find memory for it first. What the guest has used in between is not in the pool any more.
 * A program in the guest that wants much memory in such a moment must find it: the driver gives nothing back before it asks again, a second later. So
 * a breath leaves the guest at least `floor` pages that are neither in the balloon nor in the host's memory, which it can have for certain; without
 * that the balloon holds no more than an eighth of the guest's memory. And it is watched many times a second: when the guest begins to use up what it
 * has for certain, the breath ends, and until the balloon is gone the guest may use no more than half of the rest a second (`pace`; it stands still
 * in between). A breath that ended because it may not go deeper is followed by another one: what it has gained the guest has for certain from then on.
 */
#include "balloon_policy.h"

#define SECOND 1000000000ll
enum {
    UP = 128, DOWN = 64, /* MB a second, at most */
    CAP = 65,            /* percent of the guest's memory, without sched.mem.maxmemctl */
    STALL_S = 10,        /* a guest that is this long behind the target has no more */
    LEFT_ALONE_S = 60,
    READS_AT = 16 << 20, /* bytes a second from its disks that make a guest short of memory, while it has a balloon */
    PROBE = 8 * BP_MB_PAGES,
    PROBE_S = 15,        /* and a second for each POOL_MB of the pool; twice, four, eight times as long while that is in vain */
    POOL_MB = 40,
    FASTER = 8,
    ACTIVE_PCT = 8,      /* of a processor in a second: it may have freed memory */
    FOLLOW_S = 3,        /* so long the driver may take for a step: it asks for the target once a second */
    CALM_S = 5,          /* a breath begins after so many seconds in which the machine took less than CALM_PCT of a processor */
    CALM_PCT = 30,
    SAVED_S = 60,        /* MemTrimRate not used for so long may be used at once */
    FLOOR_PART = 8,      /* of the guest's memory, and at least FLOOR: that it can have for certain */
    FLOOR = 128 * BP_MB_PAGES,
    GONE_S = 4,          /* so long it may take until a balloon that was let go is empty */
};

static uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t less(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

uint64_t balloon_policy_cap(const struct balloon_policy *b)
{
    const struct balloon_limits *l = &b->l;
    uint64_t cap = l->most != UINT64_MAX ? l->most : l->all * CAP / 100;
    return l->pin ? 0 : min_u64(cap, less(l->all, l->least));
}

static bool guest_is_short(struct balloon_policy *b, const struct balloon_now *in)
{
    uint64_t read = in->reads - b->reads;
    b->stalled = in->have + 16 * BP_MB_PAGES < b->target && in->have <= b->had + BP_MB_PAGES ? b->stalled + 1 : 0;
    b->busy_reads = in->have >= 64 * BP_MB_PAGES && read > READS_AT ? b->busy_reads + 1 : 0;
    b->reads = in->reads;
    b->had = in->have;
    return b->stalled >= STALL_S || b->busy_reads >= 3;
}

/* ---- breaths ---- */

static uint64_t exhale(struct balloon_policy *b, const struct balloon_now *in, uint64_t base)
{
    if (b->breath > base && in->have > base)
        b->pool = b->pool > in->have - base ? b->pool : in->have - base;
    b->breath = 0;
    b->active = false;
    b->exhaled = in->now;
    b->exhaled_rss = in->rss;
    return base;
}

static bool due(struct balloon_policy *b, const struct balloon_now *in)
{
    if (in->rss > b->exhaled_rss + 64 * BP_MB_PAGES) /* it has used more since: there may be more to gain */
        b->vain = 0;
    int64_t pool_s = (int64_t)(min_u64(b->pool, in->unused) / BP_MB_PAGES / POOL_MB);
    return in->now >= b->exhaled + ((PROBE_S + pool_s) << (b->vain < 3 ? b->vain : 3)) * SECOND;
}

/* True: it is asked for more; false: it must not be. */
static bool inhale(struct balloon_policy *b, const struct balloon_now *in, uint64_t from, uint64_t pages)
{
    uint64_t part = b->l.all / FLOOR_PART, room = less(in->unused, part > FLOOR ? part : FLOOR);
    uint64_t shallow = less(min_u64(b->cap, b->l.all / 8), from), deep = min_u64(room, less(b->cap, from));
    pages = min_u64(pages, shallow > deep ? shallow : deep) & ~511ull;
    b->step = pages;
    b->step_at = in->now;
    b->from_rss = in->rss;
    b->from_freed = in->freed;
    b->alarm = less(in->unused, pages) / 4 * 3;
    if (pages)
        b->breath = from + pages;
    return pages;
}

/* A breath goes on: what has become of its last step? */
static uint64_t go_on(struct balloon_policy *b, const struct balloon_now *in)
{
    uint64_t base = b->base;
    if (in->small != b->from_small)
        return exhale(b, in, base);
    if (in->unused < b->alarm) {
        b->startled = true;
        return exhale(b, in, base);
    }
    if (in->have < b->breath)
        return in->now < b->step_at + FOLLOW_S * SECOND ? b->breath : exhale(b, in, base);
    uint64_t gained = less(less(b->from_rss, in->rss), in->freed - b->from_freed);
    gained = min_u64(gained, b->step); /* the guest may have given back more by itself */
    /* What comes first is what was used last: pages that are not there are the beginning of the rest, which never were. */
    bool probe = b->breath - base == b->step, enough = gained >= (probe ? PROBE / 2 : b->chance ? b->step / 2 : b->step / 4 * 3);
    if (!enough && probe && !b->chance && inhale(b, in, b->breath, PROBE * FASTER)) {
        b->chance = true;
        return b->breath;
    }
    b->vain = enough ? 0 : b->vain + (probe || b->chance);
    if (enough || !probe) {
        b->breaths += enough && (probe || b->chance);
        b->harvested += gained;
        b->tokens = less(b->tokens, gained);
    }
    b->chance = false;
    uint64_t there = less(b->l.all, in->unused + in->have), next = min_u64(min_u64((probe ? PROBE : b->step) * FASTER, b->tokens), there);
    if (enough && inhale(b, in, b->breath, next))
        return b->breath;
    exhale(b, in, base);
    b->active = enough; /* it had to end: the next one goes deeper */
    return base;
}

static uint64_t breathe(struct balloon_policy *b, const struct balloon_now *in, bool reading)
{
    uint64_t ns = (uint64_t)(in->now - b->last), used = in->cpu_ns - b->cpu_ns, base = b->base;
    bool first = !b->last;
    b->last = in->now;
    b->cpu_ns = in->cpu_ns;
    if (first)
        b->exhaled = in->now;
    else
        b->tokens = min_u64(b->tokens + (uint64_t)((double)in->rate * (double)ns / SECOND), in->rate * SAVED_S);
    b->calm = !first && used * 100 < ns * CALM_PCT ? b->calm + 1 : 0;
    b->active |= first || used * 100 >= ns * ACTIVE_PCT;
    if (!in->driver || !in->huge || !in->trimming || in->wanted >= 0 || in->short_mb > 0 || reading || (b->alone_until && in->now < b->alone_until))
        return b->breath ? exhale(b, in, base) : base;
    if (b->breath)
        return go_on(b, in);
    if (!b->active || b->calm < CALM_S || !due(b, in) || in->have > base || b->tokens < PROBE)
        return base;
    b->from_small = in->small;
    b->startled = b->chance = false;
    b->pool = min_u64(b->pool, in->unused);
    /* What the host has gained by the pool is of no account for the end of the breath, but fine. */
    return inhale(b, in, base, b->pool + PROBE) && b->step > b->pool ? b->breath : exhale(b, in, base);
}

bool balloon_policy_watched(const struct balloon_policy *b, uint64_t have, int64_t now)
{
    return b->breath || (have > b->base && b->exhaled && now < b->exhaled + GONE_S * SECOND);
}

uint64_t balloon_policy_watch(struct balloon_policy *b, const struct balloon_now *in, uint64_t *pace)
{
    if (b->breath)
        b->target = go_on(b, in);
    else if (in->unused < b->alarm)
        b->startled = true;
    *pace = b->startled && !b->breath ? in->unused / 2 + 4 * BP_MB_PAGES : UINT64_MAX;
    return b->target;
}

/* ---- all of it ---- */

uint64_t balloon_policy_step(struct balloon_policy *b, const struct balloon_now *in)
{
    uint64_t cap = balloon_policy_cap(b), always = less(b->l.all, b->l.max), before = b->reads;
    bool is_short = guest_is_short(b, in);
    b->was_short = false;
    if (!in->driver) {
        b->asked = 0;
        b->stalled = b->busy_reads = 0;
    } else if (is_short) {
        b->was_short = true;
        b->asked = less(in->have, b->l.all / 16);
        b->alone_until = in->now + LEFT_ALONE_S * SECOND;
        b->stalled = b->busy_reads = 0;
        if (in->wanted < 0)
            always = min_u64(always, b->asked);
    } else if (in->short_mb > 0 && in->now >= b->alone_until) {
        b->asked = min_u64(b->asked + min_u64((uint64_t)in->short_mb, UP) * BP_MB_PAGES, cap);
    } else if (in->short_mb < 0) {
        b->asked -= min_u64(b->asked, DOWN * BP_MB_PAGES);
    }
    uint64_t target = in->wanted >= 0 ? (uint64_t)in->wanted * BP_MB_PAGES : b->asked > always ? b->asked : always;
    target = min_u64(target, cap);
    /* Alone: what the guest could not give is not asked for again at once, whoever wants it. */
    if (in->driver && in->now < b->alone_until)
        target = min_u64(target, b->asked);
    b->base = target;
    b->cap = cap;
    b->target = breathe(b, in, in->reads - before > READS_AT);
    return b->target;
}
