/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fault finding: makes what is rare happen all the time. A guest that works under every one of these modes has been through the paths that a quiet
 * machine takes once a day. Nothing in here changes what a guest may see; only the dispatcher and slow paths look at bc->stress, so that
 * translated code is the same and a machine without stress pays nothing.
 */
#include "bt/bt_private.h"

static const struct {
    const char *name;
    uint32_t bit;
} words[] = {
    {"tlb", BT_STRESS_TLB},         {"cache", BT_STRESS_CACHE}, {"flush", BT_STRESS_FLUSH}, {"kick", BT_STRESS_KICK},     {"nogroup", BT_STRESS_NOGROUP},
    {"nochain", BT_STRESS_NOCHAIN}, {"watch", BT_STRESS_WATCH}, {"single", BT_STRESS_SINGLE}, {"all", BT_STRESS_ALL},
};

static bool same(const char *a, const char *name, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!name[i] || (a[i] | 0x20) != name[i])
            return false;
    return !name[n];
}

int bt_stress_parse(const char *text, uint32_t *bits, uint32_t *seed, struct err *e)
{
    *bits = 0;
    *seed = 1;
    for (const char *p = text; *p;) {
        if (*p == ' ' || *p == ',' || *p == '\t') {
            p++;
            continue;
        }
        unsigned n = 0, i;
        while (p[n] && p[n] != ' ' && p[n] != ',' && p[n] != '\t')
            n++;
        if (*p >= '0' && *p <= '9') {
            uint32_t v = 0;
            for (i = 0; i < n && p[i] >= '0' && p[i] <= '9'; i++)
                v = v * 10 + (uint32_t)(p[i] - '0');
            if (i < n)
                return err_set(e, ERR_FORMAT, 0, "\"%.*s\" is not a number", (int)n, p);
            *seed = v ? v : 1;
        } else {
            for (i = 0; i < sizeof words / sizeof words[0] && !same(p, words[i].name, n); i++)
                ;
            if (i == sizeof words / sizeof words[0])
                return err_set(e, ERR_FORMAT, 0, "\"%.*s\" is no stress mode: tlb, cache, flush, kick, nogroup, nochain, watch, single, all, and a number "
                               "(the seed) are known", (int)n, p);
            *bits |= words[i].bit;
        }
        p += n;
    }
    return 0;
}

/* xorshift64*: one draw in n. */
bool bt_stress_draw(struct bt_cpu *bc, uint32_t n)
{
    uint64_t x = bc->stress.rng;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    bc->stress.rng = x;
    return (uint32_t)(x * 0x2545f4914f6cdd1dull >> 33) % n == 0;
}

/* The timer of "kick": a spurious signal from outside at no particular moment. Armed again with another distance each time. */
static void fire(void *arg)
{
    struct bt_cpu *bc = arg;
    bt_kick(bc->v);
    uint64_t x = bc->stress.timer_rng;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    bc->stress.timer_rng = x;
    vtimer_arm(&bc->stress.timer, clock_now(bc->v->vm) + 20000 + (int64_t)(x % 400000));
}

void bt_stress_init(struct bt_cpu *bc, uint32_t bits, uint32_t seed)
{
    bc->stress.on = bits;
    bc->code_limit = bits & BT_STRESS_CACHE ? 256u << 10 : CODE_HALF - CODE_RESERVE;
    bc->stress.rng = bc->stress.timer_rng = (seed + 1ull) * 0x9e3779b97f4a7c15ull + bc->c.index;
    vtimer_init(&bc->stress.timer, bc->v->vm, fire, bc);
}

void bt_stress_start(struct bt_cpu *bc)
{
    if ((bc->stress.on & BT_STRESS_KICK) && !vtimer_armed(&bc->stress.timer))
        vtimer_arm(&bc->stress.timer, clock_now(bc->v->vm) + 100000);
}

void bt_stress_fini(struct bt_cpu *bc)
{
    if (bc->v && (bc->stress.on & BT_STRESS_KICK))
        vtimer_cancel(&bc->stress.timer);
}

/* [vcpu] In the dispatcher, before a block is looked for. */
void bt_stress_dispatch(struct bt_cpu *bc)
{
    if (bc->stress.on & BT_STRESS_FLUSH) {
        if (bt_stress_draw(bc, 40))
            bt_tlb_flush(bc, bt_stress_draw(bc, 2));
        if (bt_stress_draw(bc, 60) && bc->n_blocks > 1) {
            uint32_t b = 1 + (uint32_t)(bc->stress.rng % (bc->n_blocks - 1));
            if (!bc->blocks[b].tramp_target)
                bt_block_drop(bc, b);
        }
        if (bt_stress_draw(bc, 200)) {
            bt_new_ctx(bc, bt_stress_draw(bc, 2));
        }
        if (bt_stress_draw(bc, 4000)) {
            bt_cache_flush(bc);
            bt_ctx_load(bc);
        }
    }
    if ((bc->stress.on & BT_STRESS_SINGLE) && bt_stress_draw(bc, 4))
        bc->stress.single_once = true;
    if (bc->stress.on & BT_STRESS_KICK) {
        if (bt_stress_draw(bc, 8))
            bc->intr_check = true;
        if (bt_stress_draw(bc, 5)) {
            bc->exit_req = 1;
            bc->ctx = bc->gctx = ~0u;
        }
    }
}

/* "tlb": the last few entries that were filled are all there are. */
void bt_stress_filled(struct bt_cpu *bc, unsigned m, uint32_t i)
{
    uint32_t me = MI(m, i), n = sizeof bc->stress.ring / sizeof bc->stress.ring[0];
    for (unsigned k = 0; k < n; k++)
        if (bc->stress.ring[k] == (me | 0x80000000u))
            return;
    uint32_t *slot = &bc->stress.ring[bc->stress.ring_at++ % n];
    if (*slot) {
        unsigned om = MI_TLB(*slot & 0x7fffffff);
        uint32_t oi = MI_INDEX(*slot);
        bt_tlb_forget(bc, om, oi);
        bt_stk_reset(bc);
    }
    *slot = me | 0x80000000u;
}
