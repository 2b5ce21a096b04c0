/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The block layer's queue with its threads: order, flush, drain, pause, errors, closing. */
#define _GNU_SOURCE
#include "tests/tap.h"
#include "tests/unit/realvm.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/format/memfile.h"

/* A file whose writes take their time and note their order. */
struct slow {
    struct memfile m;
    pthread_mutex_t lock;
    _Atomic unsigned running, most, at_flush, writes;
    unsigned us;
    bool cached; /* preadv_now works */
};
static int slow_pread(void *f, uint64_t off, void *buf, size_t n)
{
    struct slow *s = f;
    pthread_mutex_lock(&s->lock);
    int r = mf_pread(&s->m, off, buf, n);
    pthread_mutex_unlock(&s->lock);
    return r;
}
static int slow_pwrite(void *f, uint64_t off, const void *buf, size_t n)
{
    struct slow *s = f;
    unsigned now = ++s->running;
    if (now > s->most)
        s->most = now;
    usleep(s->us);
    for (int i = 0; i < 30000 && s->most < 2; i++) /* until another one is on its way: its thread may be slow to come */
        usleep(1000);
    pthread_mutex_lock(&s->lock);
    int r = mf_pwrite(&s->m, off, buf, n);
    pthread_mutex_unlock(&s->lock);
    s->writes++;
    s->running--;
    return r;
}
static int slow_preadv_now(void *f, uint64_t off, const struct iovec *iov, int n)
{
    struct slow *s = f;
    return s->cached && n == 1 ? mf_io(&s->m, false, off, iov->iov_base, iov->iov_len) : EAGAIN;
}
static int slow_flush(void *f)
{
    struct slow *s = f;
    s->at_flush = s->writes;
    return 0;
}
static int64_t slow_size(void *f) { return (int64_t)((struct slow *)f)->m.size; }
static const struct hostfile_ops slow_ops = {.pread = slow_pread,
                                             .pwrite = slow_pwrite,
                                             .flush = slow_flush,
                                             .truncate = mf_truncate,
                                             .size = slow_size,
                                             .close = mf_close,
                                             .preadv_now = slow_preadv_now};

enum { N = 64 };
static struct blk *disk;
static struct vm *vm;
static _Atomic unsigned done_count, wrong_thread;
static pthread_t main_thread;
struct op {
    struct blk_req r;
    struct iovec iov;
    uint8_t buf[512];
    int status;
    unsigned order;
    unsigned again; /* submits itself so many times more */
};
static struct op ops[N + 2];

static void op_done(struct blk_req *r, int status)
{
    struct op *o = r->owner;
    o->status = status;
    o->order = ++done_count;
    if (pthread_equal(pthread_self(), main_thread))
        wrong_thread++;
    if (o->again > 0) {
        o->again--;
        blk_submit(disk, &o->r);
    }
}

static bool inline_ok;
static struct op *submit(unsigned i, enum blk_op op, uint64_t off, unsigned len)
{
    struct op *o = &ops[i];
    unsigned again = o->again;
    memset(o, 0, sizeof *o);
    o->again = again;
    memset(o->buf, (int)i + 1, sizeof o->buf);
    o->iov = (struct iovec){o->buf, len};
    o->r = (struct blk_req){
        .op = op, .off = off, .len = len, .iov = &o->iov, .n_iov = len ? 1 : 0, .done = op_done, .owner = o};
    o->r.inline_ok = inline_ok;
    o->status = -1;
    chipset_lock(vm);
    blk_submit(disk, &o->r);
    chipset_unlock(vm);
    return o;
}

static bool wait_count(unsigned n)
{
    for (int i = 0; i < 60000 && done_count < n; i++)
        usleep(1000);
    chipset_lock(vm); /* the last done() is over, its writes are seen here */
    chipset_unlock(vm);
    return done_count == n;
}

static struct slow S = {.lock = PTHREAD_MUTEX_INITIALIZER, .us = 2000};

static struct blk *make(struct vm *v, bool ro)
{
    struct err e = {0};
    struct hostfile hf = {.ops = &slow_ops, .f = &S, .name = "slow"};
    return blk_open(v, &hf, "raw", ro, NULL, &e);
}

static _Atomic unsigned started;
static void thread_started(void *u, const char *kind)
{
    (void)u;
    if (strcmp(kind, "blkio") == 0)
        started++;
}

int main(void)
{
    struct err e = {0};
    struct blk_stats st;
    S.m.data = calloc(1, 1 << 20);
    S.m.size = S.m.max = 1 << 20;
    main_thread = pthread_self();
    vm = rv_new(thread_started, NULL);
    disk = make(vm, false);
    ok(disk != NULL, "open");
    if (!ok(vm_run(vm, &e) == 0, "run %s", e.msg))
        return TAP_DONE();
    for (unsigned i = 0; i < N; i++)
        submit(i, BLK_WRITE, i * 512, 512);
    struct op *flush = submit(N, BLK_FLUSH, 0, 0);
    struct op *after = submit(N + 1, BLK_WRITE, 600 * 512, 512);
    ok(wait_count(N + 2), "all requests end");
    bool good = true;
    for (unsigned i = 0; i < N; i++)
        good = good && ops[i].status == 0 && S.m.data[i * 512] == i + 1 && ops[i].order < flush->order;
    ok(good, "all writes before the flush, data in place");
    ok(flush->status == 0 && after->status == 0 && S.at_flush >= N, "the host's flush began after all of them");
    ok(S.most > 1 && S.most <= 8, "writes ran in parallel (%u)", (unsigned)S.most);
    ok(wrong_thread == 0, "completions on other threads");
    ok(started == 4, "the threads told that they start");
    blk_get_stats(disk, &st);
    ok(st.writes == N + 1 && st.flushes == 1 && st.write_bytes == (N + 1) * 512 && st.errors == 0, "statistics");
    /* Reads that need no waiting. */
    done_count = 0;
    S.cached = inline_ok = true;
    struct op *o = submit(0, BLK_READ, 5 * 512, 512);
    ok(done_count == 1 && o->status == 0 && o->buf[0] == 6 && wrong_thread == 1, "data at hand: done inside of submit");
    S.cached = false;
    submit(0, BLK_READ, 5 * 512, 512);
    ok(wait_count(2) && o->status == 0 && o->buf[0] == 6 && wrong_thread == 1, "not at hand: on another thread");
    S.cached = true;
    inline_ok = false;
    submit(0, BLK_READ, 5 * 512, 512);
    ok(wait_count(3) && o->status == 0 && wrong_thread == 1, "nor when the owner does not want it");
    submit(0, BLK_WRITE, 5 * 512, 512);
    wait_count(4);
    /* Refused requests. */
    done_count = 0;
    submit(0, BLK_WRITE, 1, 512);
    submit(1, BLK_READ, 1 << 20, 512);
    submit(2, BLK_READ, 0, 100);
    submit(3, BLK_READ, 0, 512);
    ok(wait_count(4) && ops[0].status == EINVAL && ops[1].status == EINVAL && ops[2].status == EINVAL &&
           ops[3].status == 0,
       "bounds");
    ok(!blk_busy(disk), "not busy");
    /* Pause with work in flight, from which more work comes: the device's quiesce is blk_drain with the chipset lock.
     */
    done_count = 0;
    for (unsigned i = 0; i < 8; i++) {
        ops[i].again = 5;
        submit(i, BLK_WRITE, i * 512, 512);
    }
    chipset_lock(vm);
    blk_drain(disk);
    bool busy = blk_busy(disk);
    chipset_unlock(vm);
    ok(!busy && done_count == 48, "drain also waits for what completions submit");
    ok(vm_pause(vm, &e) == 0, "pause");
    done_count = 0;
    submit(0, BLK_WRITE, 0, 512);
    blk_close(disk);
    ok(done_count == 1, "close waits for the completion, also while paused");
    disk = make(vm, true);
    done_count = 0;
    submit(0, BLK_WRITE, 0, 512);
    submit(1, BLK_READ, 512, 512);
    ok(wait_count(2) && ops[0].status == EROFS && ops[1].status == 0 && ops[1].buf[0] == 2, "read-only");
    S.m.fail = ENOSPC;
    submit(1, BLK_READ, 512, 512);
    ok(wait_count(3) && ops[1].status == ENOSPC, "host errors come through");
    S.m.fail = 0;
    blk_close(disk);
    disk = make(vm, false);
    vm_destroy(vm);
    blk_close(disk);
    ok(true, "a disk may be closed after its machine is gone");
    free(S.m.data);
    return TAP_DONE();
}
