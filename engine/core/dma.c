/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Helpers over gmem_*. */
#include "core/dma.h"

#include <string.h>

#include "base/bytes.h"

#define GMEM_FIELD(bits)                                        \
    uint##bits##_t gmem_ld##bits(struct vm *vm, gpa_t a)        \
    {                                                           \
        uint8_t b[bits / 8];                                    \
        gmem_read(vm, a, b, sizeof b);                          \
        return ld_le##bits(b);                                  \
    }                                                           \
    int gmem_st##bits(struct vm *vm, gpa_t a, uint##bits##_t v) \
    {                                                           \
        uint8_t b[bits / 8];                                    \
        st_le##bits(b, v);                                      \
        return gmem_write(vm, a, b, sizeof b);                  \
    }
GMEM_FIELD(16)
GMEM_FIELD(32)
GMEM_FIELD(64)

int gmem_fill(struct vm *vm, gpa_t a, uint8_t byte, size_t n)
{
    uint8_t buf[4096];
    int rc = 0;
    memset(buf, byte, n < sizeof buf ? n : sizeof buf);
    while (n) {
        size_t k = n < sizeof buf ? n : sizeof buf;
        rc |= gmem_write(vm, a, buf, k);
        a += k;
        n -= k;
    }
    return rc;
}

uint64_t dma_len(const struct dma_seg *s, int n)
{
    uint64_t len = 0;
    for (int i = 0; i < n; i++)
        len += s[i].n;
    return len;
}

static size_t sg_copy(struct vm *vm, const struct dma_seg *s, int n, uint64_t off, void *in, const void *out,
                      size_t len)
{
    size_t done = 0;
    for (int i = 0; i < n && done < len; i++) {
        if (off >= s[i].n) {
            off -= s[i].n;
            continue;
        }
        size_t k = s[i].n - (size_t)off;
        if (k > len - done)
            k = len - done;
        if (in)
            gmem_read(vm, s[i].a + off, (uint8_t *)in + done, k);
        else
            gmem_write(vm, s[i].a + off, (const uint8_t *)out + done, k);
        done += k;
        off = 0;
    }
    return done;
}

size_t dma_to_guest(struct vm *vm, const struct dma_seg *s, int n, uint64_t off, const void *buf, size_t len)
{
    return sg_copy(vm, s, n, off, NULL, buf, len);
}

size_t dma_from_guest(struct vm *vm, const struct dma_seg *s, int n, uint64_t off, void *buf, size_t len)
{
    return sg_copy(vm, s, n, off, buf, NULL, len);
}

int dma_pin(struct vm *vm, const struct dma_seg *s, int n, bool wr, struct iovec *iov, int max)
{
    int k = 0;
    for (int i = 0; i < n; i++) {
        int got = s[i].n ? gmem_pin(vm, s[i].a, s[i].n, wr, iov + k, max - k) : 0;
        if (got < 0) {
            gmem_unpin(vm, iov, k, false);
            return -1;
        }
        k += got;
    }
    return k;
}

static size_t iov_copy(const struct iovec *iov, int n, size_t off, void *in, const void *out, size_t len)
{
    size_t done = 0;
    for (int i = 0; i < n && done < len; i++) {
        if (off >= iov[i].iov_len) {
            off -= iov[i].iov_len;
            continue;
        }
        size_t k = iov[i].iov_len - off;
        if (k > len - done)
            k = len - done;
        uint8_t *p = (uint8_t *)iov[i].iov_base + off;
        if (in)
            memcpy((uint8_t *)in + done, p, k);
        else
            memcpy(p, (const uint8_t *)out + done, k);
        done += k;
        off = 0;
    }
    return done;
}

size_t iov_put(const struct iovec *iov, int n, size_t off, const void *buf, size_t len)
{
    return iov_copy(iov, n, off, NULL, buf, len);
}
size_t iov_get(const struct iovec *iov, int n, size_t off, void *buf, size_t len)
{
    return iov_copy(iov, n, off, buf, NULL, len);
}

size_t iov_len(const struct iovec *iov, int n)
{
    size_t len = 0;
    for (int i = 0; i < n; i++)
        len += iov[i].iov_len;
    return len;
}
