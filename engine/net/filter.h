/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between an adapter and its network: bandwidth, latency and loss of a bad line, a look at each frame (capture), the guest's addresses. */
#ifndef LODGE_NET_FILTER_H
#define LODGE_NET_FILTER_H

#include "base/err.h"
#include "net/net.h"

struct vm;
struct net_filter;
enum net_dir { NET_FROM_GUEST, NET_TO_GUEST };

/* All 0: frames pass as they are. */
struct net_shape {
    uint32_t kbps;          /* thousands of bits in a second */
    uint32_t latency_ms;
    uint32_t drop_permille; /* chance, in thousandths, that a loss begins at a frame */
    uint32_t drop_run;      /* frames lost in a row; 0: 1 */
    uint32_t queue_bytes;   /* most that waits; then the sender has to. 0: by bandwidth and latency */
};
enum { NET_QUEUE_MAX = 16 << 20 };

struct net_filter_stats {
    uint64_t lost[2], queued_bytes[2];
};

/* o as net_end_ops.receive has it: checksums may not be finished. [dev] */
typedef void (*net_look_fn)(void *u, enum net_dir d, const struct net_offload *o, const struct iovec *f, int n);

struct net_filter *net_filter_new(struct vm *vm, struct err *e); /* [main] */
void net_filter_free(struct net_filter *f);                      /* [main] with the chipset lock, or building; unplugs both ends */
struct net_port *net_filter_adapter_port(struct net_filter *f);  /* to be connected with the adapter */
struct net_port *net_filter_network_port(struct net_filter *f);  /* ... and with the network */
void net_filter_shape(struct net_filter *f, enum net_dir d, const struct net_shape *s); /* [dev] */
void net_filter_look(struct net_filter *f, net_look_fn fn, void *u);                    /* [dev] fn NULL: no more */
/* The guest's addresses as its own frames show them (it may lie): "10.0.2.15 fd00::1". As snprintf. [dev] */
int net_filter_addresses(const struct net_filter *f, char *buf, size_t n);
void net_filter_forget_addresses(struct net_filter *f); /* [dev] another network */
void net_filter_stats(const struct net_filter *f, struct net_filter_stats *out); /* [dev] */

#endif
