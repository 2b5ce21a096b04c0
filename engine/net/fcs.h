/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The frame check sequence of Ethernet (IEEE 802.3, 3.2.9): CRC-32. */
#ifndef LODGE_NET_FCS_H
#define LODGE_NET_FCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fcs_table {
    uint32_t t[8][256];
    bool clmul;
};

void fcs_init(struct fcs_table *f);
/* Of n bytes after those whose FCS is crc (0: none). Its little-endian bytes stand behind the frame. */
uint32_t fcs_add(const struct fcs_table *f, uint32_t crc, const void *data, size_t n);

#endif
