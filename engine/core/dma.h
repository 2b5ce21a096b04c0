/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Helpers over gmem_*: little-endian fields of descriptors, and copies over scatter-gather lists. */
#ifndef LODGE_CORE_DMA_H
#define LODGE_CORE_DMA_H

#include <stddef.h>

#include "core/memmap.h"

struct dma_seg {
    gpa_t a;
    uint32_t n;
};

/* All ones where there is no RAM. [any] */
uint16_t gmem_ld16(struct vm *vm, gpa_t a);
uint32_t gmem_ld32(struct vm *vm, gpa_t a);
uint64_t gmem_ld64(struct vm *vm, gpa_t a);
int gmem_st16(struct vm *vm, gpa_t a, uint16_t v);
int gmem_st32(struct vm *vm, gpa_t a, uint32_t v);
int gmem_st64(struct vm *vm, gpa_t a, uint64_t v);
int gmem_fill(struct vm *vm, gpa_t a, uint8_t byte, size_t n);

uint64_t dma_len(const struct dma_seg *s, int n); /* bytes in the list */
/* Copies len bytes starting off bytes into the list. Returns how many bytes the list had room for. [any] */
size_t dma_to_guest(struct vm *vm, const struct dma_seg *s, int n, uint64_t off, const void *buf, size_t len);
size_t dma_from_guest(struct vm *vm, const struct dma_seg *s, int n, uint64_t off, void *buf, size_t len);
/* Pins the whole list; number of iovecs, or -1 when some of it is not RAM or max is too small: then go through a
 * buffer. [any] */
int dma_pin(struct vm *vm, const struct dma_seg *s, int n, bool wr, struct iovec *iov, int max);

/* Copies between a buffer and an iovec list, from byte off of the list on; returns the number of bytes copied. */
size_t iov_put(const struct iovec *iov, int n, size_t off, const void *buf, size_t len);
size_t iov_get(const struct iovec *iov, int n, size_t off, void *buf, size_t len);
size_t iov_len(const struct iovec *iov, int n);

#endif
