/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A chardev in memory: a ring that keeps the last bytes of output, and a queue of input that waits for the UART's room. */
#include "serial/char_mem.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_FEED = 64 << 10 };

struct char_mem {
    struct chardev c;
    bool stalled, dtr, rts;
    size_t keep, out_first, out_n, in_n;
    uint8_t in[MAX_FEED];
    uint8_t out[];
};

static size_t mem_write(struct chardev *c, const uint8_t *buf, size_t n)
{
    struct char_mem *m = (struct char_mem *)c;
    if (m->stalled)
        return 0;
    for (size_t i = 0; i < n && m->keep; i++) {
        m->out[(m->out_first + m->out_n) % m->keep] = buf[i];
        if (m->out_n < m->keep)
            m->out_n++;
        else
            m->out_first = (m->out_first + 1) % m->keep;
    }
    return n;
}

static void mem_accept(struct chardev *c)
{
    struct char_mem *m = (struct char_mem *)c;
    if (!c->room || !c->rx)
        return;
    size_t n = c->room(c->front);
    if (n > m->in_n)
        n = m->in_n;
    if (!n)
        return;
    uint8_t part[256];
    if (n > sizeof part)
        n = sizeof part;
    memcpy(part, m->in, n);
    m->in_n -= n;
    memmove(m->in, m->in + n, m->in_n);
    c->rx(c->front, part, n);
}

static void mem_set_lines(struct chardev *c, bool dtr, bool rts)
{
    struct char_mem *m = (struct char_mem *)c;
    m->dtr = dtr;
    m->rts = rts;
}

static void mem_close(struct chardev *c) { free(c); }

static const struct chardev_ops mem_ops = {.write = mem_write, .accept = mem_accept, .set_lines = mem_set_lines, .close = mem_close};

struct chardev *char_mem_new(size_t keep)
{
    struct char_mem *m = calloc(1, sizeof *m + keep);
    if (!m)
        return NULL;
    m->c.ops = &mem_ops;
    m->keep = keep;
    return &m->c;
}

void char_mem_feed(struct chardev *c, const void *data, size_t n)
{
    struct char_mem *m = (struct char_mem *)c;
    if (n > MAX_FEED - m->in_n)
        n = MAX_FEED - m->in_n;
    memcpy(m->in + m->in_n, data, n);
    m->in_n += n;
    mem_accept(c);
}

size_t char_mem_take(struct chardev *c, void *buf, size_t n)
{
    struct char_mem *m = (struct char_mem *)c;
    size_t k = 0;
    for (; k < n && m->out_n; k++) {
        ((uint8_t *)buf)[k] = m->out[m->out_first];
        m->out_first = (m->out_first + 1) % m->keep;
        m->out_n--;
    }
    return k;
}

size_t char_mem_pending(const struct chardev *c) { return ((const struct char_mem *)c)->in_n; }

void char_mem_stall(struct chardev *c, bool stalled)
{
    struct char_mem *m = (struct char_mem *)c;
    m->stalled = stalled;
    if (!stalled && c->writable)
        c->writable(c->front);
}

void char_mem_lines(const struct chardev *c, bool *dtr, bool *rts)
{
    const struct char_mem *m = (const struct char_mem *)c;
    *dtr = m->dtr;
    *rts = m->rts;
}

void char_mem_free(struct chardev *c) { free(c); }
