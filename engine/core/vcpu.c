/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vCPU threads: the loop around run(), requests, waiting, parking.
 *
 * Why no wake-up is lost. The thread publishes where it is in `mode`:
 *
 *        OUT --- about to call run() ---> RUN --- run() came back ---> OUT
 *        OUT --- nothing to do ---------> WAIT (futex) --- a requester or the thread itself ---> OUT
 *
 *  1. A requester sets the bit, then reads mode. The thread writes mode, then reads the bits. All four are sequentially
 * consistent, so at least one sees what the other wrote: either the requester sees RUN and kicks (or WAIT and wakes),
 * or the thread sees the bit.
 *  2. run() looks at the bits on entry and kick() makes it look again; so a bit set while mode is RUN is seen by this
 * run() or, when that is already on its way out, by the loop or the next run().
 *  3. Only who turns a bit from 0 to 1 kicks or wakes. Whoever finds it set need not: the bit is cleared by its
 * consumer before it looks at what the bit announces, so the announcement of the second requester (made before its
 * fetch_or) is seen with the first one's.
 *  4. The futex sleeps only while mode is WAIT; a waker changes mode to OUT before it wakes.
 *  5. A parked thread is in mode OUT: it reads the bits again before it enters run() or waits.
 *
 * Parking: VR_PARK stays set until vcpus_unpark clears it; n_parked counts the threads that have seen it, under
 * park_lock.
 */
#define _GNU_SOURCE
#include "core/vcpu.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/thread.h"
#include "core/vm_private.h"

static void futex(_Atomic uint32_t *w, int op, uint32_t val)
{
    syscall(SYS_futex, w, op | FUTEX_PRIVATE_FLAG, val, NULL, NULL, 0);
}

static void count(_Atomic uint64_t *c) { atomic_fetch_add_explicit(c, 1, memory_order_relaxed); }

void vcpu_request(struct vcpu *v, enum vcpu_req r)
{
    if (r == VR_NMI)
        atomic_fetch_add(&v->nmis, 1);
    if (atomic_fetch_or(&v->requests, (uint32_t)r) & r)
        return;
    struct vcpu_thread *t = v->thread;
    switch (atomic_load(&t->mode)) {
    case VCPU_RUN:
        count(&t->kicks);
        v->vm->be->kick(v);
        break;
    case VCPU_WAIT: {
        uint32_t waiting = VCPU_WAIT;
        if (atomic_compare_exchange_strong(&t->mode, &waiting, VCPU_OUT))
            futex(&t->mode, FUTEX_WAKE, 1);
        else if (waiting == VCPU_RUN) /* someone else woke it and it is in run() already */
            v->vm->be->kick(v);
        break;
    }
    default: break;
    }
}

bool vcpu_in_run(const struct vcpu *v) { return atomic_load(&v->thread->mode) == VCPU_RUN; }

void vcpu_safe_point(struct vcpu *v) { atomic_store(&v->thread->seen, atomic_load(&v->vm->map.qs)); }

pthread_t vcpu_pthread(const struct vcpu *v) { return v->thread->tid; }

/* True: the time has come. The futex waits by CLOCK_MONOTONIC, so a sleep of the host makes this late, by less than it would have waited. */
static bool futex_for(_Atomic uint32_t *w, uint32_t val, int64_t ns)
{
    struct timespec ts = {ns / 1000000000, ns % 1000000000};
    return ns <= 0 || (syscall(SYS_futex, w, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, val, &ts, NULL, 0) && errno == ETIMEDOUT);
}

/* Sleeps until a request bit is set. */
static void wait_for_request(struct vcpu_thread *t)
{
    count(&t->halts);
    do {
        int64_t until = clock_duty_begin(t);
        bool due = false;
        atomic_store(&t->mode, VCPU_WAIT);
        while (!due && !atomic_load(&t->v->requests) && atomic_load(&t->mode) == VCPU_WAIT) {
            if (until == INT64_MAX)
                futex(&t->mode, FUTEX_WAIT, VCPU_WAIT);
            else
                due = futex_for(&t->mode, VCPU_WAIT, until - host_ns(t->v->vm));
        }
        atomic_store(&t->mode, VCPU_OUT);
        if (until != INT64_MAX)
            clock_duty_end(t, due);
    } while (!atomic_load(&t->v->requests));
}

/* Returns false when the vm ends. */
static bool park(struct vcpu_thread *t)
{
    struct vm *vm = t->v->vm;
    lock_take(&vm->park_lock);
    vm->n_parked++;
    pthread_cond_broadcast(&vm->parked);
    while ((atomic_load(&t->v->requests) & VR_PARK) && !atomic_load(&vm->exiting))
        pthread_cond_wait(&vm->unpark, &vm->park_lock.m);
    vm->n_parked--;
    lock_drop(&vm->park_lock);
    return !atomic_load(&vm->exiting);
}

/* The vCPU can do nothing until it is reset or main acts; it still answers requests, by run() saying the same again. */
static bool first_dead_end(struct vcpu_thread *t)
{
    bool first = !t->dead_end;
    t->dead_end = true;
    return first;
}

static void run_once(struct vcpu_thread *t)
{
    struct vcpu *v = t->v;
    struct vm *vm = v->vm;
    atomic_store(&t->mode, VCPU_RUN);
    vcpu_safe_point(v);
    enum vcpu_exit x = VX_AGAIN;
    if (!(atomic_load(&v->requests) & (VR_PARK | VR_STILL | VR_INIT | VR_SIPI))) {
        DASSERT(lock_none_held());
        count(&t->runs);
        x = vm->be->run(v);
        DASSERT(lock_none_held());
    }
    atomic_store(&t->mode, VCPU_OUT);
    switch (x) {
    case VX_AGAIN: t->dead_end = false; return;
    case VX_HALT: t->dead_end = false; break;
    case VX_SHUTDOWN:
        if (first_dead_end(t)) {
            char where[512] = "";
            if (vm->be->crash_report && vm->be->crash_report(v, where, sizeof where) < 0)
                where[0] = 0;
            guest_error("vcpu", "vCPU %u: triple fault, the processors start anew. %s", v->index, where);
            chipset_lock(vm);
            vm_init_cpus(vm);
            chipset_unlock(vm);
        }
        break;
    case VX_RESET:
        if (first_dead_end(t)) {
            log_msg(LOG_INFO, "vcpu", "vCPU %u: reset, the guest is reset", v->index);
            vm_wish(vm, WISH_RESET);
        }
        break;
    case VX_DEBUG:
        if (vm->ev.debug) {
            vm_hold(vm); /* sets VR_PARK, so run() is not called again before main has answered */
            vm->ev.debug(vm->ev_u, v);
            return;
        }
        err_set(&v->fail, ERR_HOST, 0, "vCPU %u stopped for a debugger, and there is none.", v->index);
        vm_fail(vm, &v->fail);
        break;
    case VX_EMULATE:
        err_set(&v->fail, ERR_UNSUPPORTED, 0, "vCPU %u met an instruction that the %s engine cannot execute.", v->index,
                vm->be->name);
        vm_fail(vm, &v->fail);
        break;
    case VX_FAIL:
        if (v->fail.kind == ERR_NONE)
            err_set(&v->fail, ERR_HOST, 0, "vCPU %u stopped because of an internal error of the %s engine.", v->index,
                    vm->be->name);
        vm_fail(vm, &v->fail);
        break;
    }
    wait_for_request(t);
}

static void *vcpu_thread(void *arg)
{
    struct vcpu_thread *t = arg;
    struct vcpu *v = t->v;
    struct vm *vm = v->vm;
    vcpu_set_current(v);
    t->tid = pthread_self();
    (void)prctl(PR_SET_TIMERSLACK, 1ul, 0, 0, 0); /* ns; it sleeps until its timers are due */
    if (vm->be->vcpu_thread_start)
        vm->be->vcpu_thread_start(v);
    if (vm->params.thread_started)
        vm->params.thread_started(vm->params.thread_started_u, "vcpu");
    for (;;) {
        uint32_t rq = atomic_load(&v->requests);
        if (rq & VR_PARK) {
            if (!park(t))
                break;
            t->dead_end = false; /* main has acted: a vCPU that is still shut down says so again */
        } else if (rq & VR_STILL) {
            while (atomic_load(&vm->still.on))
                futex(&vm->still.on, FUTEX_WAIT, 1);
            atomic_fetch_and(&v->requests, ~(uint32_t)VR_STILL);
            if (atomic_load(&vm->still.on)) /* a second one began in between, and may have found its bit set */
                atomic_fetch_or(&v->requests, VR_STILL);
        } else if (rq & VR_INIT) {
            /* A SIPI that came with it stays set for the next round: INIT comes first. */
            atomic_fetch_and(&v->requests, ~(uint32_t)VR_INIT);
            vm->be->reset(v, true);
            t->dead_end = false;
        } else if (rq & VR_SIPI) {
            atomic_fetch_and(&v->requests, ~(uint32_t)VR_SIPI);
            vm->be->sipi(v, v->sipi_vector);
        } else {
            run_once(t);
        }
    }
    vcpu_set_current(NULL);
    return NULL;
}

/* ---- all of them ---- */

/*
 * Standing still: each vCPU whose thread is in run() is kicked and waited for; the others see the bit before they enter it (invariant 1), and
 * a halted one sleeps on. `on` is set before the bits and cleared after them, so a thread that has seen its bit waits for this turn or a later one.
 */
bool vm_still_begin(struct vm *vm)
{
    struct still_state *s = &vm->still;
    pthread_mutex_lock(&s->lock);
    if (atomic_load(&s->parked) || vm_get_state(vm) != VM_RUNNING) {
        pthread_mutex_unlock(&s->lock);
        return false;
    }
    atomic_store(&s->on, 1);
    for (unsigned i = 0; i < vm->n_vcpus; i++) {
        struct vcpu_thread *t = &vm->vth[i];
        atomic_fetch_or(&vm->vcpu[i]->requests, VR_STILL);
        if (atomic_load(&t->mode) == VCPU_RUN) {
            count(&t->kicks);
            vm->be->kick(vm->vcpu[i]);
        }
    }
    for (unsigned i = 0; i < vm->n_vcpus; i++)
        for (unsigned k = 0; atomic_load(&vm->vth[i].mode) == VCPU_RUN; k++)
            if (k < 100)
                __builtin_ia32_pause();
            else
                sched_yield();
    return true;
}

void vm_still_end(struct vm *vm)
{
    struct still_state *s = &vm->still;
    for (unsigned i = 0; i < vm->n_vcpus; i++)
        atomic_fetch_and(&vm->vcpu[i]->requests, ~(uint32_t)VR_STILL);
    atomic_store(&s->on, 0);
    futex(&s->on, FUTEX_WAKE, INT32_MAX);
    pthread_mutex_unlock(&s->lock);
}

void vm_still_wait(struct vm *vm)
{
    pthread_mutex_lock(&vm->still.lock);
    pthread_mutex_unlock(&vm->still.lock);
}

void vcpus_ask_park(struct vm *vm)
{
    for (unsigned i = 0; i < vm->n_vcpus; i++)
        vcpu_request(vm->vcpu[i], VR_PARK);
}

void vcpus_park(struct vm *vm)
{
    vcpus_ask_park(vm);
    lock_take(&vm->park_lock);
    while (vm->n_parked < vm->n_threads)
        pthread_cond_wait(&vm->parked, &vm->park_lock.m);
    lock_drop(&vm->park_lock);
}

void vcpus_unpark(struct vm *vm)
{
    lock_take(&vm->park_lock);
    for (unsigned i = 0; i < vm->n_vcpus; i++)
        atomic_fetch_and(&vm->vcpu[i]->requests, ~(uint32_t)VR_PARK);
    pthread_cond_broadcast(&vm->unpark);
    lock_drop(&vm->park_lock);
}

int vcpus_start(struct vm *vm, struct err *e)
{
    for (unsigned i = 0; i < vm->n_vcpus; i++) {
        struct vcpu_thread *t = &vm->vth[i];
        if (t->started)
            continue;
        char name[16];
        snprintf(name, sizeof name, "vcpu%u", i);
        if (thread_start(&t->join, name, vcpu_thread, t, e))
            return -1;
        t->started = true;
        lock_take(&vm->park_lock);
        vm->n_threads++;
        lock_drop(&vm->park_lock);
    }
    return 0;
}

void vcpus_join(struct vm *vm)
{
    lock_take(&vm->park_lock);
    atomic_store(&vm->exiting, true);
    pthread_cond_broadcast(&vm->unpark);
    lock_drop(&vm->park_lock);
    vcpus_ask_park(vm);
    for (unsigned i = 0; i < vm->n_vcpus; i++)
        if (vm->vth[i].started) {
            pthread_join(vm->vth[i].join, NULL);
            vm->vth[i].started = false;
        }
    vm->n_threads = 0;
}

void vcpu_threads_init(struct vm *vm)
{
    lock_init(&vm->park_lock, RANK_VCPU);
    pthread_mutex_init(&vm->still.lock, NULL);
    pthread_cond_init(&vm->parked, NULL);
    pthread_cond_init(&vm->unpark, NULL);
}

void vcpu_threads_fini(struct vm *vm)
{
    pthread_cond_destroy(&vm->parked);
    pthread_cond_destroy(&vm->unpark);
    lock_fini(&vm->park_lock);
    pthread_mutex_destroy(&vm->still.lock);
}
