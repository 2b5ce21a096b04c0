/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 2352 bytes of a mode 1 sector on a disc (ECMA-130 chapter 14 and annexes A and B), which READ CD can ask for:
 * sync, header, user data, EDC, eight zeros, and the P and Q parity of the Reed-Solomon product code.
 */
#define _GNU_SOURCE
#include <string.h>

#include "base/bytes.h"
#include "storage/ide_private.h"

enum { F_SYNC = 0x80, F_SUBHEADER = 0x40, F_HEADER = 0x20, F_USER = 0x10, F_EDC = 0x08 };

uint32_t cd_sector_size(uint8_t flags)
{
    /* Mode 1 has no sub-header: asking for it adds nothing. */
    return (flags & F_SYNC ? 12u : 0) + (flags & F_HEADER ? 4u : 0) + (flags & F_USER ? 2048u : 0) +
           (flags & F_EDC ? 288u : 0);
}

/* CRC over x^32+x^31+x^16+x^15+x^4+x^3+x+1, least significant bit first (ECMA-130 14.3). */
static uint32_t edc(const uint8_t *p, size_t n)
{
    uint32_t c = 0;
    while (n--) {
        c ^= *p++;
        for (int i = 0; i < 8; i++)
            c = c >> 1 ^ (c & 1 ? 0xd8018001u : 0);
    }
    return c;
}

/* Multiplication by x in GF(2^8) modulo x^8+x^4+x^3+x^2+1 (annex A). */
static uint8_t mul2(uint8_t v) { return (uint8_t)(v << 1 ^ (v & 0x80 ? 0x1d : 0)); }

/* The inverse of 1 + x there: division of the second parity byte. */
static uint8_t div3(uint8_t v)
{
    /* 1 + x is 3, whose inverse is f4h: multiply by it. */
    uint8_t r = 0, b = 0xf4;
    for (int i = 0; i < 8; i++) {
        if (b & 1)
            r ^= v;
        v = mul2(v);
        b >>= 1;
    }
    return r;
}

/*
 * Parity over the 2340 bytes after the sync, seen as two interleaved columns of bytes. Code word i of n has len bytes:
 * the first at its start, the next ones step bytes on, wrapping at size.
 */
static void parity(const uint8_t *src, uint32_t n, uint32_t len, uint32_t start_step, uint32_t step, uint8_t *dst)
{
    uint32_t size = n * len;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (i >> 1) * start_step + (i & 1);
        uint8_t a = 0, b = 0;
        for (uint32_t k = 0; k < len; k++) {
            uint8_t v = src[at];
            at += step;
            if (at >= size)
                at -= size;
            a = mul2(a ^ v);
            b ^= v;
        }
        /* Solve a*x + ... : the two parity bytes make both syndromes zero. */
        a = div3(mul2(a) ^ b);
        dst[i] = a;
        dst[i + n] = a ^ b;
    }
}

void cd_make_sector(uint8_t *out, const uint8_t *user, uint32_t lba, uint8_t flags)
{
    uint8_t s[2352];
    uint32_t f = lba + 150;
    memset(s, 0, sizeof s);
    memset(s + 1, 0xff, 10);
    uint32_t msf[3] = {f / 4500 % 100, f / 75 % 60, f % 75};
    for (int i = 0; i < 3; i++) /* binary coded decimal */
        s[12 + i] = (uint8_t)(msf[i] / 10 << 4 | msf[i] % 10);
    s[15] = 1;
    memcpy(s + 16, user, CD_SECTOR);
    if (flags & F_EDC) {
        st_le32(s + 2064, edc(s, 2064));
        parity(s + 12, 86, 24, 2, 86, s + 2076);        /* P: 43 columns of 24 words */
        parity(s + 12, 52, 43, 86, 88, s + 2076 + 172); /* Q: 26 diagonals of 43 words */
    }
    uint8_t *p = out;
    if (flags & F_SYNC)
        p = (uint8_t *)memcpy(p, s, 12) + 12;
    if (flags & F_HEADER)
        p = (uint8_t *)memcpy(p, s + 12, 4) + 4;
    if (flags & F_USER)
        p = (uint8_t *)memcpy(p, s + 16, 2048) + 2048;
    if (flags & F_EDC)
        memcpy(p, s + 2064, 288);
}
