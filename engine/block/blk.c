/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The block layer: a queue of requests per disk, worn down by "blkio" threads that do synchronous host I/O.
 *
 * Life of a request:
 *
 *   blk_submit [dev] --> queue --(worker: blk_execute)--> done list --(see below)--> done() [dev]
 *
 * The done list is emptied, with the chipset lock, by the worker itself if the lock is free, else by the chipset thread
 * (blk_posted), or by blk_drain.
 *
 * Invariants
 *
 * 1. n_pending counts requests between submit and the return of done(); blk_close frees nothing before it is 0.
 *
 * 2. A FLUSH leaves the queue only when no request runs, and requests behind it stay in the queue until it has left. So
 * it covers everything submitted before it, and at most its own host flush overlaps later requests.
 *
 * 3. done() runs with the chipset lock held and without the queue's lock, never inside blk_submit. Exceptions: vm ==
 * NULL, and a read whose submitter allows it (inline_ok) and whose data the host has in its page cache.
 *
 * 4. At most one completion is posted to the chipset thread at a time; it holds the token, not the disk, because the
 * disk may be closed (or the machine destroyed) before the chipset thread comes to it.
 */
#define _GNU_SOURCE
#include "block/blk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "base/log.h"
#include "base/thread.h"
#include "block/blk_private.h"
#include "core/vm.h"

#define BLK_THREADS 4
#define INLINE_MAX (128u << 10) /* bytes: a longer copy would hold up the other devices */

struct blk_token {
    pthread_mutex_t m;
    pthread_cond_t idle;
    struct blk *b; /* NULL: closed */
    bool active;   /* the chipset thread is inside */
    unsigned refs;
};

struct blk {
    struct vm *vm;
    struct blk_node node;
    struct lock lock;
    pthread_cond_t work, change;
    struct blk_req *q_head, **q_tail;
    struct blk_req *done_head, **done_tail;
    unsigned n_running, n_pending;
    unsigned n_posting; /* workers between finishing a request and having passed it on: they use vm */
    bool posted, stop;
    struct blk_token *token;
    void (*thread_started)(void *u, const char *kind);
    void *thread_started_u;
    struct blk_stats stats;
    unsigned n_threads;
    pthread_t threads[BLK_THREADS];
};

static int blk_execute(struct blk *b, struct blk_req *r)
{
    struct iov_iter it = {r->iov, r->n_iov, 0};
    const struct blk_node *n = &b->node;
    switch (r->op) {
    case BLK_READ: return n->ops->read(n->d, r->off, r->len, &it);
    case BLK_WRITE: return n->ops->write(n->d, r->off, r->len, &it);
    case BLK_FLUSH: return n->info.read_only ? 0 : n->ops->flush(n->d);
    case BLK_DISCARD: return n->ops->discard ? n->ops->discard(n->d, r->off, r->len) : 0;
    }
    return EINVAL;
}

/* The only place where a request's bounds are looked at; formats rely on it. */
static int blk_check(const struct blk *b, const struct blk_req *r)
{
    const struct blk_info *in = &b->node.info;
    if (r->op == BLK_FLUSH)
        return 0;
    if (r->off % in->sector || r->len % in->sector || r->off > in->size || r->len > in->size - r->off)
        return EINVAL;
    if (r->op != BLK_READ && in->read_only)
        return EROFS;
    if (r->op == BLK_READ || r->op == BLK_WRITE) {
        uint64_t sum = 0;
        for (int i = 0; i < r->n_iov; i++) {
            if (r->iov[i].iov_len > r->len - sum)
                return EINVAL;
            sum += r->iov[i].iov_len;
        }
        if (sum != r->len)
            return EINVAL;
    }
    return 0;
}

static void blk_count(struct blk *b, const struct blk_req *r, int status)
{
    struct blk_stats *s = &b->stats;
    if (status)
        s->errors++;
    else if (r->op == BLK_READ)
        s->reads++, s->read_bytes += r->len;
    else if (r->op == BLK_WRITE)
        s->writes++, s->write_bytes += r->len;
    else if (r->op == BLK_FLUSH)
        s->flushes++;
}

/* ---- completion ---- */

/* Runs done() of all finished requests. [dev] */
static void blk_run_done(struct blk *b)
{
    lock_take(&b->lock);
    while (b->done_head) {
        struct blk_req *r = b->done_head;
        b->done_head = r->next;
        if (!b->done_head)
            b->done_tail = &b->done_head;
        r->next = NULL;
        int status = r->status;
        lock_drop(&b->lock);
        r->done(r, status); /* r may be gone or in use again after this */
        lock_take(&b->lock);
        b->n_pending--;
        pthread_cond_broadcast(&b->change);
    }
    lock_drop(&b->lock);
}

static void token_unref(struct blk_token *t)
{
    pthread_mutex_lock(&t->m);
    bool last = --t->refs == 0;
    pthread_mutex_unlock(&t->m);
    if (last) {
        pthread_cond_destroy(&t->idle);
        pthread_mutex_destroy(&t->m);
        free(t);
    }
}

static void blk_posted(void *arg)
{
    struct blk_token *t = arg;
    pthread_mutex_lock(&t->m);
    struct blk *b = t->b;
    t->active = b != NULL;
    pthread_mutex_unlock(&t->m);
    if (b) {
        lock_take(&b->lock);
        b->posted = false;
        lock_drop(&b->lock);
        blk_run_done(b);
        pthread_mutex_lock(&t->m);
        t->active = false;
        pthread_cond_broadcast(&t->idle);
        pthread_mutex_unlock(&t->m);
    }
    token_unref(t);
}

/* Queue lock held; true: the caller must post after dropping it. */
static bool blk_finish(struct blk *b, struct blk_req *r, int status)
{
    blk_count(b, r, status);
    r->status = status;
    r->next = NULL;
    *b->done_tail = r;
    b->done_tail = &r->next;
    pthread_cond_broadcast(&b->change);
    if (b->posted)
        return false;
    b->posted = true;
    return true;
}

static void blk_post(struct blk *b)
{
    pthread_mutex_lock(&b->token->m);
    b->token->refs++;
    pthread_mutex_unlock(&b->token->m);
    chipset_post(b->vm, blk_posted, b->token);
}

/* The worker that finished does the completions itself when nobody is at the devices: one thread less to wake. */
static bool blk_run_here(struct blk *b)
{
    if (!chipset_trylock(b->vm))
        return false;
    lock_take(&b->lock);
    b->posted = false;
    lock_drop(&b->lock);
    blk_run_done(b);
    chipset_unlock(b->vm);
    return true;
}

/* ---- workers ---- */

static struct blk_req *blk_next(struct blk *b)
{
    struct blk_req *r = b->q_head;
    if (!r || (r->op == BLK_FLUSH && b->n_running > 0)) /* invariant 2 */
        return NULL;
    b->q_head = r->next;
    if (!b->q_head)
        b->q_tail = &b->q_head;
    return r;
}

static void *blk_worker(void *arg)
{
    struct blk *b = arg;
    if (b->thread_started)
        b->thread_started(b->thread_started_u, "blkio");
    lock_take(&b->lock);
    for (;;) {
        struct blk_req *r = blk_next(b);
        if (!r) {
            if (b->stop && !b->q_head)
                break;
            pthread_cond_wait(&b->work, &b->lock.m);
            continue;
        }
        b->n_running++;
        lock_drop(&b->lock);
        int status = blk_execute(b, r);
        lock_take(&b->lock);
        b->n_running--;
        bool post = blk_finish(b, r, status);
        if (b->q_head && b->q_head->op == BLK_FLUSH)
            pthread_cond_broadcast(&b->work);
        if (post) {
            b->n_posting++;
            lock_drop(&b->lock);
            if (!blk_run_here(b))
                blk_post(b);
            lock_take(&b->lock);
            b->n_posting--;
            pthread_cond_broadcast(&b->change);
        }
    }
    lock_drop(&b->lock);
    return NULL;
}

/* Data that is in the host's page cache is copied at once: quicker than waking two threads, one after the other. */
static bool blk_try_now(struct blk *b, struct blk_req *r)
{
    struct iov_iter it = {r->iov, r->n_iov, 0};
    if (r->op != BLK_READ || !r->inline_ok || r->len > INLINE_MAX || !b->node.ops->read_now ||
        b->node.ops->read_now(b->node.d, r->off, r->len, &it) != 0)
        return false;
    lock_take(&b->lock);
    blk_count(b, r, 0);
    lock_drop(&b->lock);
    r->done(r, 0);
    return true;
}

void blk_submit(struct blk *b, struct blk_req *r)
{
    int status = blk_check(b, r);
    if (!b->vm) { /* no chipset thread: tests and tools */
        if (!status)
            status = blk_execute(b, r);
        blk_count(b, r, status);
        r->done(r, status);
        return;
    }
    if (!status && blk_try_now(b, r))
        return;
    r->next = NULL;
    lock_take(&b->lock);
    b->n_pending++;
    bool post = false;
    if (status) {
        post = blk_finish(b, r, status);
    } else {
        *b->q_tail = r;
        b->q_tail = &r->next;
        pthread_cond_signal(&b->work);
    }
    lock_drop(&b->lock);
    if (post)
        blk_post(b);
}

void blk_drain(struct blk *b)
{
    if (!b->vm)
        return;
    for (;;) {
        blk_run_done(b);
        lock_take(&b->lock);
        while ((b->n_pending > 0 && !b->done_head) || b->n_posting > 0)
            pthread_cond_wait(&b->change, &b->lock.m);
        bool idle = b->n_pending == 0;
        lock_drop(&b->lock);
        if (idle)
            return;
    }
}

bool blk_busy(struct blk *b)
{
    lock_take(&b->lock);
    bool busy = b->n_pending > 0;
    lock_drop(&b->lock);
    return busy;
}

void blk_get_info(const struct blk *b, struct blk_info *out) { *out = b->node.info; }

void blk_get_stats(const struct blk *cb, struct blk_stats *out)
{
    struct blk *b = (struct blk *)cb;
    lock_take(&b->lock);
    *out = b->stats;
    lock_drop(&b->lock);
}

/* ---- open and close ---- */

static void blk_stop_threads(struct blk *b)
{
    lock_take(&b->lock);
    b->stop = true;
    pthread_cond_broadcast(&b->work);
    lock_drop(&b->lock);
    for (unsigned i = 0; i < b->n_threads; i++)
        pthread_join(b->threads[i], NULL);
    b->n_threads = 0;
}

static void blk_free(struct blk *b)
{
    if (b->node.ops)
        b->node.ops->close(b->node.d);
    if (b->token)
        token_unref(b->token);
    pthread_cond_destroy(&b->work);
    pthread_cond_destroy(&b->change);
    lock_fini(&b->lock);
    free(b);
}

void blk_close(struct blk *b)
{
    if (!b)
        return;
    if (b->vm) {
        lock_take(&b->lock);
        while (b->n_pending > 0) /* invariant 1 */
            pthread_cond_wait(&b->change, &b->lock.m);
        lock_drop(&b->lock);
        blk_stop_threads(b);
        pthread_mutex_lock(&b->token->m);
        while (b->token->active)
            pthread_cond_wait(&b->token->idle, &b->token->m);
        b->token->b = NULL;
        pthread_mutex_unlock(&b->token->m);
    }
    blk_free(b);
}

static int blk_open_node(struct blk_node *n, struct hostfile *hf, const char *format, bool read_only,
                         const struct blk_opener *op, struct err *e)
{
    bool probed = !format || !*format;
    if (probed)
        format = vmdk_probe(hf) ? "vmdk" : "raw";
    if (strcmp(format, "vmdk") == 0)
        return vmdk_open(n, hf, read_only, op, e);
    if (strcmp(format, "raw") == 0)
        return raw_open(n, hf, read_only, probed, e);
    if (strcmp(format, "iso") == 0)
        return iso_open(n, hf, e);
    err_set(e, ERR_UNSUPPORTED, 0, "%s: disk format \"%s\" is not known; it can be raw, vmdk or iso", hf->name, format);
    hf_close(hf);
    return -1;
}

struct blk *blk_open(struct vm *vm, const struct hostfile *in, const char *format, bool read_only,
                     const struct blk_opener *op, struct err *e)
{
    struct hostfile hf = *in;
    struct blk *b = calloc(1, sizeof *b);
    if (!b) {
        hf_close(&hf);
        err_set(e, ERR_NOMEM, 0, "%s: out of memory", in->name);
        return NULL;
    }
    b->vm = vm;
    lock_init(&b->lock, RANK_BLK);
    pthread_cond_init(&b->work, NULL);
    pthread_cond_init(&b->change, NULL);
    b->q_tail = &b->q_head;
    b->done_tail = &b->done_head;
    read_only = read_only || hf.read_only;
    if (blk_open_node(&b->node, &hf, format, read_only, op, e) < 0) {
        b->node.ops = NULL;
        blk_free(b);
        return NULL;
    }
    b->node.info.format = b->node.ops->name;
    if (!vm)
        return b;
    b->token = calloc(1, sizeof *b->token);
    if (!b->token) {
        err_set(e, ERR_NOMEM, 0, "%s: out of memory", in->name);
        blk_free(b);
        return NULL;
    }
    pthread_mutex_init(&b->token->m, NULL);
    pthread_cond_init(&b->token->idle, NULL);
    b->token->b = b;
    b->token->refs = 1;
    const struct vm_params *vp =
        vm_get_params(vm); /* now: the machine may be gone before the last thread has started */
    b->thread_started = vp->thread_started;
    b->thread_started_u = vp->thread_started_u;
    /* A CD has one reader; a disk may have several requests in flight and a flush beside them. */
    unsigned want = b->node.info.sector == 2048 ? 1 : BLK_THREADS;
    while (b->n_threads < want) {
        if (thread_start(&b->threads[b->n_threads], "blkio", blk_worker, b, e) < 0) {
            blk_stop_threads(b);
            blk_free(b);
            return NULL;
        }
        b->n_threads++;
    }
    return b;
}
