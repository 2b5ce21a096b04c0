/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arrays of bits in unsigned longs; the atomic forms are for dirty maps, which many threads write. */
#ifndef LODGE_BASE_BITMAP_H
#define LODGE_BASE_BITMAP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define BITMAP_LONG_BITS (sizeof(unsigned long) * CHAR_BIT)

static inline size_t bitmap_longs(size_t bits) { return (bits + BITMAP_LONG_BITS - 1) / BITMAP_LONG_BITS; }
static inline unsigned long bitmap_mask(size_t bit) { return 1ul << (bit % BITMAP_LONG_BITS); }
static inline bool bitmap_test(const unsigned long *m, size_t bit)
{
    return __atomic_load_n(&m[bit / BITMAP_LONG_BITS], __ATOMIC_RELAXED) & bitmap_mask(bit);
}
static inline void bitmap_set(unsigned long *m, size_t bit) { m[bit / BITMAP_LONG_BITS] |= bitmap_mask(bit); }
static inline void bitmap_clear(unsigned long *m, size_t bit) { m[bit / BITMAP_LONG_BITS] &= ~bitmap_mask(bit); }

/* Sets a bit that others may set or fetch at the same time; reads first, since most writes hit a page that is dirty
 * already. */
static inline void bitmap_set_atomic(unsigned long *m, size_t bit)
{
    if (!bitmap_test(m, bit))
        __atomic_fetch_or(&m[bit / BITMAP_LONG_BITS], bitmap_mask(bit), __ATOMIC_RELEASE);
}
static inline void bitmap_set_range_atomic(unsigned long *m, size_t first, size_t n)
{
    for (size_t end = first + n; first < end; first++)
        bitmap_set_atomic(m, first);
}
/* Ors m into out and clears m, bit by bit exactly once. */
static inline void bitmap_fetch_clear(unsigned long *m, unsigned long *out, size_t bits)
{
    for (size_t i = 0, n = bitmap_longs(bits); i < n; i++)
        if (__atomic_load_n(&m[i], __ATOMIC_RELAXED))
            out[i] |= __atomic_exchange_n(&m[i], 0, __ATOMIC_ACQUIRE);
}
/* The first bit at or after start that is set; bits when there is none. */
static inline size_t bitmap_next(const unsigned long *m, size_t bits, size_t start)
{
    while (start < bits) {
        unsigned long w = m[start / BITMAP_LONG_BITS] >> (start % BITMAP_LONG_BITS);
        if (w) {
            start += (size_t)__builtin_ctzl(w);
            return start < bits ? start : bits;
        }
        start = (start / BITMAP_LONG_BITS + 1) * BITMAP_LONG_BITS;
    }
    return bits;
}

#endif
