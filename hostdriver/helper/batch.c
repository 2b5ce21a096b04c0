/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtnetlink messages carried out together; helper.h. The kernel works through all messages of one send without returning to user space. */
#define _GNU_SOURCE
#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "helper.h"

enum { BYTES = 128 * 1024, ONE = 1024, MESSAGES = 512 };

struct batch {
    size_t len;
    unsigned n;
    uint32_t seq;
    bool optional[MESSAGES], full;
    char buf[BYTES];
};

struct batch *batch_new(void)
{
    struct batch *b = calloc(1, sizeof *b);
    if (b)
        b->seq = (uint32_t)time(NULL) << 10;
    return b;
}

void batch_free(struct batch *b) { free(b); }

static void close_last(struct batch *b)
{
    if (b->n)
        b->len += MNL_ALIGN(((struct nlmsghdr *)(b->buf + b->len))->nlmsg_len);
}

struct nlmsghdr *batch_add(struct batch *b, uint16_t type, uint16_t flags, bool optional)
{
    close_last(b);
    if (b->n == MESSAGES || b->len + ONE > BYTES) {
        b->full = true;
        b->n = 0;
        b->len = 0;
    }
    struct nlmsghdr *h = mnl_nlmsg_put_header(b->buf + b->len);
    h->nlmsg_type = type;
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    h->nlmsg_seq = b->seq + b->n;
    b->optional[b->n++] = optional;
    return h;
}

int batch_run(struct batch *b, struct mnl_socket *s, const char *what, struct err *e)
{
    char buf[32768];
    unsigned acks = 0;
    int first = 0;
    if (b->full)
        return err_set(e, ERR_UNSUPPORTED, 0, "%s: there are too many addresses and routes.", what);
    close_last(b);
    if (!b->n)
        return 0;
    if (mnl_socket_sendto(s, b->buf, b->len) < 0)
        return err_set(e, ERR_HOST, errno, "%s: %s.", what, strerror(errno));
    while (acks < b->n) {
        ssize_t r = mnl_socket_recvfrom(s, buf, sizeof buf);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_set(e, ERR_HOST, errno, "%s: %s.", what, strerror(errno));
        int left = (int)r;
        for (const struct nlmsghdr *h = (const void *)buf; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
            if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_seq - b->seq >= b->n)
                continue;
            const struct nlmsgerr *er = mnl_nlmsg_get_payload(h);
            acks++;
            if (er->error && !b->optional[h->nlmsg_seq - b->seq] && !first)
                first = -er->error;
        }
    }
    return first ? err_set(e, ERR_HOST, first, "%s: %s.", what, strerror(first)) : 0;
}
