/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: a frame with offload fields through net_send to a peer that can less, in pieces, and full now and then. Whatever arrives is a frame
 * of a legal length with offload fields inside it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "net/net.h"

struct sink {
    unsigned can, room, frames;
    size_t bytes;
};

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static bool receive(void *u, const struct net_offload *o, const struct iovec *f, int n)
{
    struct sink *s = u;
    size_t len = 0;
    volatile uint8_t sum = 0;
    if (!s->room)
        return false;
    s->room--;
    for (int i = 0; i < n; i++) {
        len += f[i].iov_len;
        for (size_t k = 0; k < f[i].iov_len; k += 61)
            sum = (uint8_t)(sum + ((const uint8_t *)f[i].iov_base)[k]);
    }
    must(len >= 14, "a frame without a header");
    if (o && o->gso) {
        must(s->can & (o->gso == NET_GSO_TCPV4 ? NET_CAN_TSO4 : NET_CAN_TSO6) && o->gso != NET_GSO_UDP, "segmentation that the end cannot do");
        must(o->needs_csum && o->gso_size >= 8 && o->hdr_len <= len && len <= NET_GSO_MAX, "a segmented frame with wrong fields");
    } else {
        must(len <= NET_FRAME_MAX, "a frame that is too long");
    }
    if (o && o->needs_csum)
        must((size_t)o->csum_start + o->csum_offset + 2 <= len && (s->can & NET_CAN_CSUM || o->gso), "a checksum outside the frame");
    s->frames++;
    s->bytes += len;
    return true;
}
static const struct net_end_ops ops = {receive, NULL, NULL};
static void quiet(void *u, enum log_level l, const char *m, const char *line) { (void)u, (void)l, (void)m, (void)line; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t frame[70000];
    if (size < 16)
        return 0;
    log_set_sink(quiet, NULL, LOG_ERROR);
    struct sink a = {0}, b = {.can = data[0] & 7, .room = data[1]};
    struct net_port pa, pb;
    net_port_init(&pa, &ops, &a, 0);
    net_port_init(&pb, &ops, &b, b.can);
    net_connect(&pa, &pb);
    net_set_link(&pa, true);
    struct net_offload o = {.needs_csum = data[0] & 8, .gso = data[2] & 7, .gso_size = ld_le16(data + 3), .hdr_len = ld_le16(data + 5),
                            .csum_start = ld_le16(data + 7), .csum_offset = data[9]};
    size_t len = size - 16, whole = len + (data[0] & 16 ? ld_le16(data + 10) : 0);
    memset(frame, 0x5A, sizeof frame);
    memcpy(frame, data + 16, len < sizeof frame ? len : sizeof frame);
    whole = whole < sizeof frame ? whole : sizeof frame;
    struct iovec v[3];
    size_t x = data[12] < whole ? data[12] : whole, y = whole - x < data[13] ? whole - x : data[13];
    v[0] = (struct iovec){frame, x};
    v[1] = (struct iovec){frame + x, y};
    v[2] = (struct iovec){frame + x + y, whole - x - y};
    for (int tries = 0; tries < 64 && !net_send(&pa, &o, v, 3); tries++) {
        must(!b.room, "refused though there was room");
        b.room = data[14] + 1u;
        if (data[15] && tries == data[15]) /* the sender has changed its mind */
            frame[60] ^= 1;
    }
    must(b.frames <= 20000, "too many segments");
    return 0;
}
