/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unaligned little- and big-endian loads and stores. */
#ifndef LODGE_BASE_BYTES_H
#define LODGE_BASE_BYTES_H

#include <stdint.h>

#define LODGE_BYTES_DEF(bits)                                                                                 \
    static inline uint##bits##_t ld_le##bits(const void *p)                                                   \
    {                                                                                                         \
        uint##bits##_t v;                                                                                     \
        __builtin_memcpy(&v, p, sizeof v);                                                                    \
        return v;                                                                                             \
    }                                                                                                         \
    static inline void st_le##bits(void *p, uint##bits##_t v) { __builtin_memcpy(p, &v, sizeof v); }          \
    static inline uint##bits##_t ld_be##bits(const void *p) { return __builtin_bswap##bits(ld_le##bits(p)); } \
    static inline void st_be##bits(void *p, uint##bits##_t v) { st_le##bits(p, __builtin_bswap##bits(v)); }
LODGE_BYTES_DEF(16)
LODGE_BYTES_DEF(32)
LODGE_BYTES_DEF(64)
#undef LODGE_BYTES_DEF

#endif
