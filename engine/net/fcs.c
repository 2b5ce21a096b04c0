/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CRC-32 over eight bytes at a time. The tables belong to the adapter: nothing here is shared. */
#include "net/fcs.h"

#include "base/bytes.h"

void fcs_init(struct fcs_table *f)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
        f->t[0][i] = c;
    }
    for (int k = 1; k < 8; k++)
        for (int i = 0; i < 256; i++)
            f->t[k][i] = f->t[k - 1][i] >> 8 ^ f->t[0][f->t[k - 1][i] & 0xff];
}

uint32_t fcs_add(const struct fcs_table *f, uint32_t crc, const void *data, size_t n)
{
    const uint32_t (*t)[256] = f->t;
    const uint8_t *p = data;
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t a = crc ^ ld_le32(p), b = ld_le32(p + 4);
        crc = t[7][a & 0xff] ^ t[6][a >> 8 & 0xff] ^ t[5][a >> 16 & 0xff] ^ t[4][a >> 24] ^ t[3][b & 0xff] ^
              t[2][b >> 8 & 0xff] ^ t[1][b >> 16 & 0xff] ^ t[0][b >> 24];
    }
    for (; n; n--, p++)
        crc = crc >> 8 ^ t[0][(crc ^ *p) & 0xff];
    return ~crc;
}
