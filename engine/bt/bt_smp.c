/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What vCPUs ask of each other. Requests are queued at the one that has to act and done by its own thread, at a place where it is in no
 * translated code; whoever needs the result waits, and does meanwhile what others ask of it, so that two that wait for each other both go on.
 */
#include "bt/bt_private.h"

#include <sched.h>

/* Spins for as long as an answer takes when the other one runs, then lets it run: there may be more vCPUs than processors. */
static void relax(unsigned k)
{
    if (k < 200)
        __builtin_ia32_pause();
    else
        sched_yield();
}

static void shoot_do(struct bt_cpu *bc, uint8_t kind, uint64_t gpa, uint64_t len)
{
    if (kind == SHOOT_WRITES) {
        bt_tlb_drop_writes(bc, gpa, len);
    } else {
        bt_drop_lines(bc, gpa, len);
        bt_code_left(bc, gpa & ~0xfffull);
    }
}

/* Work for other vCPUs. With wait it has been done on return. */
void bt_shoot_others(struct bt_cpu *self, uint8_t kind, uint64_t gpa, uint64_t len, uint8_t mask, bool wait)
{
    struct bt_vm *bv = self->bv;
    for (unsigned i = 0; i < bv->n; i++) {
        struct bt_cpu *t = bv->cpu[i];
        if (!t || t == self || !(mask & (1u << i)))
            continue;
        pthread_mutex_lock(&t->shoot.lock);
        if (!t->in_run) {
            shoot_do(t, kind, gpa, len);
            pthread_mutex_unlock(&t->shoot.lock);
            continue;
        }
        if (t->shoot.n == SHOOT_N) {
            t->shoot.all_code = t->shoot.all_tlb = true;
        } else {
            t->shoot.q[t->shoot.n].kind = kind;
            t->shoot.q[t->shoot.n].gpa = gpa;
            t->shoot.q[t->shoot.n++].len = len;
        }
        uint64_t ticket = ++t->shoot.posted;
        pthread_mutex_unlock(&t->shoot.lock);
        vcpu_request(t->v, VR_TLB);
        for (unsigned k = 0; wait && atomic_load(&t->shoot.done) < ticket; k++) {
            if (bt_shoot_serve(self))
                self->left = true;
            relax(k);
        }
    }
}

static bool serve_queue(struct bt_cpu *bc)
{
    if (atomic_load_explicit(&bc->shoot.posted, memory_order_relaxed) == atomic_load_explicit(&bc->shoot.done, memory_order_relaxed))
        return false;
    pthread_mutex_lock(&bc->shoot.lock);
    bool any = bc->shoot.n || bc->shoot.all_code || bc->shoot.all_tlb || bc->shoot.tracked; /* else only asked to stand still */
    if (bc->shoot.all_tlb)
        bt_tlb_init(bc);
    if (bc->shoot.all_code) {
        for (uint32_t b = 1; b < bc->n_blocks; b++)
            if (!bc->blocks[b].tramp_target)
                bt_block_drop(bc, b);
        bc->tr_again = true;
        bt_cache_full(bc);
    }
    if (bc->shoot.tracked)
        bt_drop_tracked(bc);
    for (unsigned i = 0; i < bc->shoot.n; i++)
        shoot_do(bc, bc->shoot.q[i].kind, bc->shoot.q[i].gpa, bc->shoot.q[i].len);
    bc->shoot.n = 0;
    bc->shoot.all_code = bc->shoot.all_tlb = bc->shoot.tracked = false;
    atomic_store(&bc->shoot.done, bc->shoot.posted);
    pthread_mutex_unlock(&bc->shoot.lock);
    return any;
}

/* [vcpu] Does the work queued for this vCPU, and stands still while another one has the machine for itself. True: something was done. */
bool bt_shoot_serve(struct bt_cpu *bc)
{
    bool any = serve_queue(bc);
    unsigned me = bc->c.index + 1, o;
    bool stopped = false;
    for (unsigned k = 0; (o = __atomic_load_n(&bc->bv->exclusive, __ATOMIC_SEQ_CST)) && o != me; k++) {
        if (!stopped)
            __atomic_fetch_add(&bc->bv->n_stopped, 1, __ATOMIC_SEQ_CST);
        stopped = true;
        relax(k);
        any |= serve_queue(bc);
    }
    if (stopped)
        __atomic_fetch_sub(&bc->bv->n_stopped, 1, __ATOMIC_SEQ_CST);
    return any;
}

/*
 * For a locked operation on two pages that do not lie side by side in the host's memory: it is done in a buffer, and no other vCPU may touch guest
 * memory meanwhile. Others are outside of translated code when they have answered; those outside of run() see `exclusive` when they enter it.
 */
void bt_exclusive_begin(struct bt_cpu *bc)
{
    struct bt_vm *bv = bc->bv;
    unsigned me = bc->c.index + 1;
    if (bv->n == 1 || bv->exclusive == me)
        return;
    /* One after the other, and who stood still for the last one gets away first: nobody starves. */
    uint32_t ticket = __atomic_fetch_add(&bv->excl_next, 1, __ATOMIC_SEQ_CST);
    for (unsigned k = 0; __atomic_load_n(&bv->excl_serving, __ATOMIC_SEQ_CST) != ticket || __atomic_load_n(&bv->n_stopped, __ATOMIC_SEQ_CST); k++) {
        if (bt_shoot_serve(bc))
            bc->left = true;
        relax(k);
    }
    __atomic_store_n(&bv->exclusive, me, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < bv->n; i++) {
        struct bt_cpu *t = bv->cpu[i];
        if (!t || t == bc)
            continue;
        pthread_mutex_lock(&t->shoot.lock);
        uint64_t stop = t->in_run ? ++t->shoot.posted : 0;
        pthread_mutex_unlock(&t->shoot.lock);
        if (!stop)
            continue;
        vcpu_request(t->v, VR_TLB);
        for (unsigned k = 0; atomic_load(&t->shoot.done) < stop; k++) {
            if (serve_queue(bc))
                bc->left = true;
            relax(k);
        }
    }
}

void bt_exclusive_end(struct bt_cpu *bc)
{
    if (bc->bv->exclusive == bc->c.index + 1) {
        __atomic_store_n(&bc->bv->exclusive, 0, __ATOMIC_SEQ_CST);
        __atomic_fetch_add(&bc->bv->excl_serving, 1, __ATOMIC_SEQ_CST);
    }
}

/* PAUSE in a loop: the lock's holder may be a vCPU that has no processor just now. */
void bt_pause(struct bt_cpu *bc)
{
    uint64_t t = __builtin_ia32_rdtsc();
    if (bc->bv->n == 1 || t - bc->pause_tsc > 20000)
        bc->n_pauses = 0;
    bc->pause_tsc = t;
    if (++bc->n_pauses < 40) {
        __builtin_ia32_pause();
        return;
    }
    bc->n_pauses = 0;
    sched_yield();
}
