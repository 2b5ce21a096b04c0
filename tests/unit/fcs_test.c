/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The frame check sequence: the check value of the CRC catalogues, and the polynomial bit by bit (IEEE 802.3, 3.2.9), with
 * and without carry-less multiplication. */
#include "net/fcs.h"

#include "tests/tap.h"

static uint32_t slow(const uint8_t *p, size_t n)
{
    uint32_t c = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
    }
    return ~c;
}

int main(void)
{
    static struct fcs_table f;
    static uint8_t b[2000];
    uint32_t s = 1;
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)((s = s * 1103515245 + 12345) >> 16);
    fcs_init(&f);
    for (int clmul = f.clmul; clmul >= 0; clmul--) {
        unsigned bad = 0;
        f.clmul = clmul;
        is_u64(fcs_add(&f, 0, "123456789", 9), 0xcbf43926, "check value");
        for (size_t n = 0; n < 600; n++)
            bad += fcs_add(&f, 0, b + n % 7, n) != slow(b + n % 7, n);
        for (size_t n = 0; n < sizeof b; n += 13)
            bad += fcs_add(&f, fcs_add(&f, 0, b, n), b + n, sizeof b - n) != slow(b, sizeof b);
        is_u64(bad, 0, clmul ? "all lengths and in two parts, by multiplication" : "all lengths and in two parts, by tables");
    }
    return TAP_DONE();
}
