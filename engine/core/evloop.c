/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chipset thread: vtimers, posted work and watched descriptors, all handled with the chipset lock held.
 *
 * It sleeps in epoll on three things: an eventfd (posted work, orders from main), a timerfd (the earliest vtimer, see
 * clock.c) and a second epoll instance with the watched descriptors, which is taken out of the first while the vm is
 * paused. With nothing to do it does not wake.
 *
 * Posts are a lock-free stack, so that any thread can post with any lock held; who makes it non-empty writes the
 * eventfd, and the thread reads the eventfd before it takes the stack: no post is left behind.
 *
 * Fairness: pthread mutexes are unfair, and a vCPU that polls a port drops the chipset lock and takes it again before a
 * woken waiter gets it. So every other thread announces itself in chipset_want, and vCPUs wait for zero before they
 * compete.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/thread.h"
#include "core/vm_private.h"

struct post {
    struct post *next;
    void (*fn)(void *arg);
    void *arg;
};

struct fd_watch {
    struct fd_watch *next;
    int fd;
    bool dead;
    void (*fn)(void *arg, uint32_t events);
    void *arg;
};

enum { TIMERS_A_ROUND = 64, FDS_A_ROUND = 32 };

/* ---- the lock ---- */

static void futex(_Atomic uint32_t *w, int op, uint32_t val)
{
    syscall(SYS_futex, w, op | FUTEX_PRIVATE_FLAG, val, NULL, NULL, 0);
}

void chipset_lock(struct vm *vm)
{
    struct vcpu *v = vcpu_current();
    if (v && v->vm == vm) {
        uint32_t want;
        for (unsigned spin = 0; (want = atomic_load_explicit(&vm->chipset_want, memory_order_relaxed)); spin++) {
            if (spin < 100) {
                __builtin_ia32_pause();
                continue;
            }
            /* Once only, so that the others cannot starve the vCPUs either. */
            atomic_fetch_add(&vm->chipset_sleepers, 1);
            futex(&vm->chipset_want, FUTEX_WAIT, want);
            atomic_fetch_sub(&vm->chipset_sleepers, 1);
            break;
        }
        lock_take(&vm->chipset);
        return;
    }
    atomic_fetch_add(&vm->chipset_want, 1);
    lock_take(&vm->chipset);
    atomic_fetch_sub(&vm->chipset_want, 1);
}

bool chipset_trylock(struct vm *vm)
{
    return !atomic_load_explicit(&vm->chipset_want, memory_order_relaxed) && lock_try(&vm->chipset);
}

void chipset_unlock(struct vm *vm)
{
    lock_drop(&vm->chipset);
    /* A vCPU that counts itself as a sleeper after this load finds that want has changed since it looked, or that
     * another thread wants the lock and will come by here. */
    if (atomic_load(&vm->chipset_sleepers))
        futex(&vm->chipset_want, FUTEX_WAKE, VM_MAX_VCPUS);
}

/* ---- posted work ---- */

static void wake(struct vm *vm)
{
    uint64_t one = 1;
    if (vm->loop.evfd >= 0)
        (void)!write(vm->loop.evfd, &one, sizeof one);
}

void chipset_post(struct vm *vm, void (*fn)(void *arg), void *arg)
{
    struct post *p = malloc(sizeof *p);
    ASSERT(p);
    struct post *before = atomic_load_explicit(&vm->loop.posts, memory_order_relaxed);
    *p = (struct post){.fn = fn, .arg = arg};
    do
        p->next = before;
    while (!atomic_compare_exchange_weak(&vm->loop.posts, &before, p));
    /* p may have run and be gone already. */
    if (!before)
        wake(vm);
}

bool evloop_run_posts(struct vm *vm)
{
    struct post *newest = atomic_exchange(&vm->loop.posts, NULL), *oldest = NULL;
    if (!newest)
        return false;
    while (newest) {
        struct post *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    unsigned n = 0;
    while (oldest) {
        struct post *next = oldest->next;
        oldest->fn(oldest->arg);
        free(oldest);
        oldest = next;
        n++;
    }
    atomic_fetch_add_explicit(&vm->st_posts, n, memory_order_relaxed);
    return true;
}

/* ---- watched descriptors ---- */

int chipset_watch_fd(struct vm *vm, int fd, uint32_t epoll_events, void (*fn)(void *arg, uint32_t events), void *arg,
                     struct err *e)
{
    struct evloop *l = &vm->loop;
    if (l->ep_fds < 0)
        return err_set(e, ERR_UNSUPPORTED, 0, "A passive virtual machine cannot watch descriptors.");
    struct fd_watch *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(e, ERR_NOMEM, ENOMEM, "Out of memory.");
    *w = (struct fd_watch){.fd = fd, .fn = fn, .arg = arg};
    struct epoll_event ev = {.events = epoll_events, .data.ptr = w};
    lock_take(&l->lock);
    if (epoll_ctl(l->ep_fds, EPOLL_CTL_ADD, fd, &ev)) {
        int rc = errno;
        lock_drop(&l->lock);
        free(w);
        return err_set(e, ERR_HOST, rc, "The host cannot watch descriptor %d: %s.", fd, strerror(rc));
    }
    w->next = l->watches;
    l->watches = w;
    lock_drop(&l->lock);
    return 0;
}

void chipset_unwatch_fd(struct vm *vm, int fd)
{
    struct evloop *l = &vm->loop;
    lock_take(&l->lock);
    for (struct fd_watch **p = &l->watches; *p; p = &(*p)->next) {
        struct fd_watch *w = *p;
        if (w->fd != fd)
            continue;
        epoll_ctl(l->ep_fds, EPOLL_CTL_DEL, fd, NULL);
        *p = w->next;
        /* The chipset thread may have it in its list of ready ones: it frees it after its round. */
        w->dead = true;
        w->next = l->dead;
        l->dead = w;
        break;
    }
    lock_drop(&l->lock);
}

static void free_watches(struct fd_watch **list)
{
    for (struct fd_watch *w; (w = *list);) {
        *list = w->next;
        free(w);
    }
}

/* One round over the descriptors that are ready; no lock held on entry. */
static void run_fds(struct vm *vm)
{
    struct evloop *l = &vm->loop;
    struct epoll_event ev[FDS_A_ROUND];
    chipset_lock(vm);
    /* With the chipset lock held, so that evloop_set_fds(off) can wait for handlers by taking it. */
    lock_take(&l->lock);
    int n = l->fds_on ? epoll_wait(l->ep_fds, ev, FDS_A_ROUND, 0) : 0;
    lock_drop(&l->lock);
    for (int i = 0; i < n; i++) {
        struct fd_watch *w = ev[i].data.ptr;
        lock_take(&l->lock);
        bool dead = w->dead;
        lock_drop(&l->lock);
        if (!dead)
            w->fn(w->arg, ev[i].events);
    }
    lock_take(&l->lock);
    free_watches(&l->dead);
    lock_drop(&l->lock);
    chipset_unlock(vm);
}

void evloop_set_fds(struct vm *vm, bool on)
{
    struct evloop *l = &vm->loop;
    if (l->ep < 0)
        return;
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = l->ep_fds};
    chipset_lock(vm);
    lock_take(&l->lock);
    if (on != l->fds_on)
        epoll_ctl(l->ep, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, l->ep_fds, &ev);
    l->fds_on = on;
    lock_drop(&l->lock);
    chipset_unlock(vm);
}

/* ---- the thread ---- */

void evloop_set_timer(struct vm *vm, int64_t guest_due)
{
    struct itimerspec it = {0};
    if (guest_due != INT64_MAX) {
        int64_t base = atomic_load(&vm->clk.base), at;
        /* A due time that overflows the host's clock is a few centuries away. */
        if (!__builtin_add_overflow(guest_due, base, &at)) {
            if (at < 1)
                at = 1; /* 0 would disarm */
            it.it_value.tv_sec = at / 1000000000;
            it.it_value.tv_nsec = at % 1000000000;
        }
    }
    if (vm->loop.tfd >= 0)
        timerfd_settime(vm->loop.tfd, TFD_TIMER_ABSTIME, &it, NULL);
}

static void *chipset_thread(void *arg)
{
    struct vm *vm = arg;
    struct evloop *l = &vm->loop;
    thread_wants_low_latency(); /* timers and completions compete with busy vCPUs */
    if (vm->params.thread_started)
        vm->params.thread_started(vm->params.thread_started_u, "chipset");
    bool more = false;
    while (!atomic_load(&l->stop)) {
        struct epoll_event ev[3];
        int n = epoll_wait(l->ep, ev, 3, more ? 0 : -1);
        atomic_fetch_add_explicit(&vm->st_wakeups, 1, memory_order_relaxed);
        bool fds = false;
        for (int i = 0; i < n; i++) {
            if (ev[i].data.fd == l->evfd) {
                uint64_t count;
                (void)!read(l->evfd, &count, sizeof count);
            }
            fds |= ev[i].data.fd == l->ep_fds;
        }
        chipset_lock(vm);
        evloop_run_posts(vm);
        more = clock_run_timers(vm, TIMERS_A_ROUND);
        chipset_unlock(vm);
        if (fds)
            run_fds(vm);
        lock_take(&l->lock);
        l->round++;
        if (l->draining)
            pthread_cond_broadcast(&l->progress);
        lock_drop(&l->lock);
    }
    return NULL;
}

void chipset_drain(struct vm *vm, bool (*idle)(void *arg), void *arg)
{
    struct evloop *l = &vm->loop;
    bool fds_were_on = l->fds_on;
    if (!fds_were_on)
        evloop_set_fds(vm, true); /* a completion may come by a watched descriptor */
    for (;;) {
        lock_take(&l->lock);
        uint64_t round = l->round;
        l->draining = true;
        lock_drop(&l->lock);
        chipset_lock(vm);
        bool done = idle(arg), ran = !done && !l->started && evloop_run_posts(vm);
        chipset_unlock(vm);
        if (done)
            break;
        if (l->started) {
            lock_take(&l->lock);
            while (l->round == round)
                pthread_cond_wait(&l->progress, &l->lock.m);
            lock_drop(&l->lock);
        } else if (!ran) {
            /* Completions come from worker threads: wait for the next post or descriptor. */
            struct epoll_event ev[3];
            uint64_t count;
            (void)epoll_wait(l->ep, ev, 3, -1);
            (void)!read(l->evfd, &count, sizeof count);
            run_fds(vm);
        }
    }
    if (!fds_were_on)
        evloop_set_fds(vm, false);
    lock_take(&l->lock);
    l->draining = false;
    lock_drop(&l->lock);
}

int evloop_init(struct vm *vm, struct err *e)
{
    struct evloop *l = &vm->loop;
    lock_init(&l->lock, RANK_EVLOOP);
    pthread_cond_init(&l->progress, NULL);
    l->ep = l->ep_fds = l->evfd = l->tfd = -1;
    l->evfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->ep = epoll_create1(EPOLL_CLOEXEC);
    l->ep_fds = epoll_create1(EPOLL_CLOEXEC);
    l->tfd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    struct epoll_event a = {.events = EPOLLIN, .data.fd = l->evfd}, b = {.events = EPOLLIN, .data.fd = l->tfd};
    if (l->evfd < 0 || l->ep < 0 || l->ep_fds < 0 || l->tfd < 0 || epoll_ctl(l->ep, EPOLL_CTL_ADD, l->evfd, &a) ||
        epoll_ctl(l->ep, EPOLL_CTL_ADD, l->tfd, &b))
        return err_set(e, ERR_HOST, errno, "The host refused a timer or event descriptor: %s.", strerror(errno));
    return 0;
}

int evloop_start(struct vm *vm, struct err *e)
{
    struct evloop *l = &vm->loop;
    if (l->started)
        return 0;
    if (thread_start(&l->thread, "chipset", chipset_thread, vm, e))
        return -1;
    l->started = true;
    return 0;
}

void evloop_stop(struct vm *vm)
{
    struct evloop *l = &vm->loop;
    if (!l->started)
        return;
    atomic_store(&l->stop, true);
    wake(vm);
    pthread_join(l->thread, NULL);
    l->started = false;
}

void evloop_fini(struct vm *vm)
{
    struct evloop *l = &vm->loop;
    /* Work posted after the devices were quiesced has nobody left to work for. */
    for (struct post *p = atomic_exchange(&l->posts, NULL), *next; p; p = next) {
        next = p->next;
        free(p);
    }
    free_watches(&l->watches);
    free_watches(&l->dead);
    int fds[] = {l->ep, l->ep_fds, l->evfd, l->tfd};
    for (unsigned i = 0; i < 4; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    pthread_cond_destroy(&l->progress);
    lock_fini(&l->lock);
}
