/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A capture file in pcapng format (draft-ietf-opsawg-pcapng), as Wireshark and tcpdump read it. */
#ifndef LODGE_HOSTDRIVER_NET_CAPTURE_H
#define LODGE_HOSTDRIVER_NET_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"

struct capture;

/* Makes the file anew; a device or another special file is refused. limit: bytes after which no more is written, 0: none. [main] */
struct capture *capture_open(const char *path, const char *interface, uint64_t limit, struct err *e);
/* wall: ns since 1970. Buffered; a failure to write ends the capture and is logged once. Caller's lock. */
void capture_frame(struct capture *c, int64_t wall, bool to_guest, const struct iovec *f, int n);
void capture_flush(struct capture *c);
void capture_close(struct capture *c); /* NULL is allowed. [main] */
uint64_t capture_bytes(const struct capture *c);

#endif
