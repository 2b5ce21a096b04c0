/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Workloads: floating point, vectors, hashing. An operation is one turn of the loop unless said. */
#define _GNU_SOURCE
#include "bench.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

/* ---- floating point and vectors ----------------------------------------------------------------------------------------- */

void w_fp_double(long n) /* a step of three bodies */
{
    double x[3] = {0, 1, -1.1}, y[3] = {0, 0.2, 0.7}, vx[3] = {0, 0.1, -0.1}, vy[3] = {0, 0.9, -0.8};
    for (long k = 0; k < n; k++) {
        for (int i = 0; i < 3; i++) {
            for (int j = 0; j < 3; j++) {
                if (i == j)
                    continue;
                double dx = x[j] - x[i], dy = y[j] - y[i], d2 = dx * dx + dy * dy + 0.01;
                double f = 1e-6 / (d2 * sqrt(d2));
                vx[i] += dx * f;
                vy[i] += dy * f;
            }
        }
        for (int i = 0; i < 3; i++) {
            x[i] += vx[i] * 1e-6;
            y[i] += vy[i] * 1e-6;
        }
    }
    sink += (uint64_t)(int64_t)(x[1] * 1e6);
}

void w_fp_matmul(long n) /* one op: 24x24 times 24x24 */
{
    static double a[24][24], b[24][24], c[24][24];
    for (long k = 0; k < n; k++) {
        a[k % 24][3] = (double)k;
        for (int i = 0; i < 24; i++) {
            for (int j = 0; j < 24; j++) {
                double s = 0;
                for (int m = 0; m < 24; m++)
                    s += a[i][m] * b[m][j];
                c[i][j] = s + 1;
            }
        }
        b[3][k % 24] = c[5][6] * 1e-9;
    }
    sink += (uint64_t)(int64_t)c[2][2];
}

void w_fp_mandel(long n)
{
    unsigned total = 0;
    for (long k = 0; k < n; k++) {
        double cx = -2.0 + (double)(k % 61) * 0.05, cy = -1.0 + (double)(k % 41) * 0.05, x = 0, y = 0;
        int i = 0;
        while (i < 50 && x * x + y * y < 4) {
            double t = x * x - y * y + cx;
            y = 2 * x * y + cy;
            x = t;
            i++;
        }
        total += (unsigned)i;
    }
    sink += total;
}

void w_fp_libm(long n)
{
    double s = 0.5;
    for (long i = 0; i < n; i++)
        s = sin(s) + exp(-s) * 0.5 + log(1.5 + s) * 0.1;
    sink += (uint64_t)(int64_t)(s * 1e6);
}

void w_x87_arith(long n)
{
    long double x = 1.0L, y = 0.5L, z = 0.25L;
    for (long i = 0; i < n; i++) {
        x = x * 0.999L + y;
        y = y / (1.0L + z * z);
        z = z + x * 1e-3L - y;
        if (z > 3.0L)
            z -= 3.0L;
    }
    sink += (uint64_t)(int64_t)(x * 1e3L);
}

void w_x87_trig(long n)
{
    long double s = 0.5L;
    for (long i = 0; i < n; i++)
        __asm__ volatile("fsin\n\tfldl2e\n\tfmulp\n\tfsqrt\n\tfld1\n\tfpatan" : "+t"(s));
    sink += (uint64_t)(int64_t)(s * 1e6L);
}

__attribute__((target("sse2"))) void w_vec_sse2(long n) /* one op: 1024 floats multiplied and added */
{
    static float a[1024] __attribute__((aligned(16))), b[1024] __attribute__((aligned(16)));
    __m128 k = _mm_set1_ps(0.5f), one = _mm_set1_ps(1.0f);
    for (long j = 0; j < n; j++) {
        for (int i = 0; i < 1024; i += 4)
            _mm_store_ps(a + i, _mm_add_ps(_mm_mul_ps(_mm_load_ps(a + i), k), _mm_add_ps(_mm_load_ps(b + i), one)));
        __asm__ volatile("" ::: "memory");
    }
    sink += (uint64_t)(int64_t)a[7];
}

__attribute__((target("ssse3,sse4.1"))) void w_vec_int(long n) /* one op: bytes shuffled and summed over 4 KiB */
{
    static uint8_t buf[4096] __attribute__((aligned(16)));
    __m128i acc = _mm_setzero_si128(), idx = _mm_set_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    for (long j = 0; j < n; j++) {
        for (int i = 0; i < 4096; i += 16) {
            __m128i v = _mm_shuffle_epi8(_mm_load_si128((__m128i *)(buf + i)), idx);
            acc = _mm_add_epi32(acc, _mm_sad_epu8(v, acc));
            acc = _mm_max_epu16(acc, _mm_unpacklo_epi8(v, acc));
            _mm_store_si128((__m128i *)(buf + i), _mm_add_epi8(v, acc));
        }
        __asm__ volatile("" ::: "memory");
    }
    sink += (uint32_t)_mm_cvtsi128_si32(acc);
}

__attribute__((target("avx2,fma"))) void w_vec_avx2(long n)
{
    static float a[1024] __attribute__((aligned(32))), b[1024] __attribute__((aligned(32)));
    __m256 k = _mm256_set1_ps(0.5f);
    for (long j = 0; j < n; j++) {
        for (int i = 0; i < 1024; i += 8)
            _mm256_store_ps(a + i, _mm256_fmadd_ps(_mm256_load_ps(a + i), k, _mm256_load_ps(b + i)));
        __asm__ volatile("" ::: "memory");
    }
    sink += (uint64_t)(int64_t)a[7];
}

__attribute__((target("aes,sse4.1"))) void w_vec_aes(long n) /* one op: ten AES rounds */
{
    __m128i s = _mm_set1_epi32(1), k = _mm_set1_epi32(0x1234567);
    for (long j = 0; j < n; j++) {
        for (int i = 0; i < 10; i++)
            s = _mm_aesenc_si128(s, k);
    }
    sink += (uint32_t)_mm_cvtsi128_si32(s);
}

/* ---- hashing ------------------------------------------------------------------------------------------------------------ */

static void sha256_block(uint32_t h[8], const uint8_t *p)
{
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
        0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
        0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
        0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
        0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
        0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
#define ROR(x, n) ((x) >> (n) | (x) << (32 - (n)))
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++) {
        uint32_t t;
        memcpy(&t, p + i * 4, 4);
        w[i] = __builtin_bswap32(t);
    }
    for (int i = 16; i < 64; i++)
        w[i] = (ROR(w[i - 2], 17) ^ ROR(w[i - 2], 19) ^ w[i - 2] >> 10) + w[i - 7] +
               (ROR(w[i - 15], 7) ^ ROR(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 16];
    memcpy(v, h, 32);
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = v[7] + (ROR(v[4], 6) ^ ROR(v[4], 11) ^ ROR(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
        uint32_t t2 = (ROR(v[0], 2) ^ ROR(v[0], 13) ^ ROR(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 28);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        h[i] += v[i];
}

void w_hash_sha256(long n) /* one op: a block of 64 bytes */
{
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    static uint8_t buf[64];
    for (long i = 0; i < n; i++) {
        buf[i & 63] ^= (uint8_t)i;
        sha256_block(h, buf);
    }
    sink += h[0];
}

void w_hash_crc32(long n) /* one op: 1 KiB through a table */
{
    static uint32_t table[256];
    static uint8_t buf[1024];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int j = 0; j < 8; j++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320 : 0);
        table[i] = c;
    }
    uint32_t c = ~0u;
    for (long i = 0; i < n; i++) {
        for (unsigned j = 0; j < sizeof buf; j++)
            c = c >> 8 ^ table[(c ^ buf[j]) & 255];
        buf[i & 1023] = (uint8_t)c;
    }
    sink += c;
}

void w_hash_table(long n) /* open addressing, 16 Ki entries */
{
    static uint32_t tab[32768];
    uint32_t hits = 0;
    for (long i = 0; i < n; i++) {
        uint32_t key = rnd() | 1, h = (key * 2654435761u) >> 17;
        for (int probe = 0; probe < 8; probe++, h = (h + 1) & 32767) {
            if (tab[h] == key || tab[h] == 0) {
                hits += tab[h] == key;
                tab[h] = key;
                break;
            }
            if (probe == 7)
                tab[h] = key;
        }
    }
    sink += hits;
}
