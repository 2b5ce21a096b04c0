/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A net end on a descriptor that carries one frame a read or write, each behind a struct virtio_net_hdr: a tap, or a socket of lodge-vmnet. */
#ifndef LODGE_HOSTDRIVER_FDEND_H
#define LODGE_HOSTDRIVER_FDEND_H

#include <stdbool.h>
#include <stdint.h>

#include "net/hostnet.h"

struct fdend {
    struct net_back back; /* first: back.port is the end */
    int fd;               /* -1: none */
    uint32_t watched;   /* the events watched now */
    bool out_full;      /* a frame was refused: writable() is owed */
    bool in_full;       /* the adapter refused the frame that lies in buf */
    size_t in_len;      /* bytes in buf, with header */
    uint8_t *buf;
    bool carrier;       /* the host's side of the cable; back.down is its inverse */
    bool own_change;    /* the change of the link that is being told is ours */
    void (*lost)(struct fdend *f); /* [dev] the descriptor is dead and closed already */
};

/* 0, or -1 without memory. port.end is the fdend. */
int fdend_init(struct fdend *f, struct vm *vm, const struct net_back_ops *ops, struct err *e);
/* Takes over the descriptor (made non-blocking); replaces and closes one before it. [main] building, or [dev] */
void fdend_set(struct fdend *f, int fd);
/* The network behind it is there or not: the adapter sees its link change. [dev] */
void fdend_carrier(struct fdend *f, bool up);
/* Closes the descriptor and frees the buffer. [dev] */
void fdend_fini(struct fdend *f);

#endif
