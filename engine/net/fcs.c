/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRC-32: where the processor has carry-less multiplication, 64 bytes at a time are folded onto the next 64 (V. Gopal and
 * others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ", Intel 2009; constants for the reflected
 * polynomial from there); else, and for the rest, eight bytes at a time by tables. The tables belong to the adapter:
 * nothing here is shared.
 */
#include "net/fcs.h"

#include <immintrin.h>

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
    f->clmul = __builtin_cpu_supports("pclmul");
}

#define FOLD(x, k, next) \
    _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(x, k, 0x00), _mm_clmulepi64_si128(x, k, 0x11)), next)

/* n is a multiple of 16 and at least 64. The last 16 bytes that are left over hold the remainder of everything; their own
 * CRC by tables is the result. */
__attribute__((target("pclmul,sse2"))) static void fold(uint32_t crc, const uint8_t *p, size_t n, uint8_t left[16])
{
    const __m128i k12 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4); /* x^(512+64), x^512 */
    const __m128i k34 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0); /* x^(128+64), x^128 */
    const __m128i *v = (const __m128i *)p;
    __m128i a = _mm_xor_si128(_mm_loadu_si128(v), _mm_cvtsi32_si128((int)crc)), b = _mm_loadu_si128(v + 1),
            c = _mm_loadu_si128(v + 2), d = _mm_loadu_si128(v + 3);
    for (v += 4, n -= 64; n >= 64; v += 4, n -= 64) {
        a = FOLD(a, k12, _mm_loadu_si128(v));
        b = FOLD(b, k12, _mm_loadu_si128(v + 1));
        c = FOLD(c, k12, _mm_loadu_si128(v + 2));
        d = FOLD(d, k12, _mm_loadu_si128(v + 3));
    }
    a = FOLD(a, k34, b);
    a = FOLD(a, k34, c);
    a = FOLD(a, k34, d);
    for (; n >= 16; v++, n -= 16)
        a = FOLD(a, k34, _mm_loadu_si128(v));
    _mm_storeu_si128((__m128i *)left, a);
}

static uint32_t by_tables(const struct fcs_table *f, uint32_t crc, const uint8_t *p, size_t n)
{
    const uint32_t (*t)[256] = f->t;
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t a = crc ^ ld_le32(p), b = ld_le32(p + 4);
        crc = t[7][a & 0xff] ^ t[6][a >> 8 & 0xff] ^ t[5][a >> 16 & 0xff] ^ t[4][a >> 24] ^ t[3][b & 0xff] ^
              t[2][b >> 8 & 0xff] ^ t[1][b >> 16 & 0xff] ^ t[0][b >> 24];
    }
    for (; n; n--, p++)
        crc = crc >> 8 ^ t[0][(crc ^ *p) & 0xff];
    return crc;
}

uint32_t fcs_add(const struct fcs_table *f, uint32_t crc, const void *data, size_t n)
{
    const uint8_t *p = data;
    crc = ~crc;
    if (n >= 64 && f->clmul) {
        uint8_t left[16];
        size_t part = n & ~(size_t)15;
        fold(crc, p, part, left);
        crc = by_tables(f, 0, left, 16);
        p += part;
        n -= part;
    }
    return ~by_tables(f, crc, p, n);
}
