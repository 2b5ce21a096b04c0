/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Linear memory for the system helpers: accesses of a few bytes, segment checks, the stack. */
#include "cpu/nolibc.h"

#include "cpu/cpuint.h"

/* What the compiler's own calls of the C library's functions become; see nolibc.h. */
void *cpu_memcpy(void *d, const void *s, size_t n);
void *cpu_memmove(void *d, const void *s, size_t n);
void *cpu_memset(void *d, int v, size_t n);
int cpu_memcmp(const void *a, const void *b, size_t n);

void *cpu_memcpy(void *d, const void *s, size_t n)
{
    cpu_copy(d, s, n);
    return d;
}
void *cpu_memmove(void *d, const void *s, size_t n)
{
    if ((uintptr_t)d - (uintptr_t)s >= n) {
        cpu_copy(d, s, n);
    } else {
        void *de = (char *)d + n - 1;
        const void *se = (const char *)s + n - 1;
        __asm__ volatile("std; rep movsb; cld" : "+D"(de), "+S"(se), "+c"(n)::"memory", "cc");
    }
    return d;
}
void *cpu_memset(void *d, int v, size_t n)
{
    void *p = d;
    __asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(v) : "memory");
    return d;
}
int cpu_memcmp(const void *a, const void *b, size_t n)
{
    const volatile uint8_t *x = a, *y = b;
    for (; n; n--, x++, y++) {
        if (*x != *y)
            return *x < *y ? -1 : 1;
    }
    return 0;
}

/* Frames and descriptors: rep movsb takes longer to start than these take to finish. */
static inline void copy_small(void *d, const void *s, unsigned n)
{
    uint8_t *x = d;
    const uint8_t *y = s;
    if (unlikely(n > 64)) {
        cpu_copy(d, s, n);
        return;
    }
    for (; n >= 8; n -= 8, x += 8, y += 8)
        *(uint64_t *)x = *(const uint64_t *)y;
    if (n & 4) {
        *(uint32_t *)x = *(const uint32_t *)y;
        x += 4, y += 4;
    }
    if (n & 2) {
        *(uint16_t *)x = *(const uint16_t *)y;
        x += 2, y += 2;
    }
    if (n & 1)
        *x = *y;
}

static inline uint64_t lin_wrap(const struct cpu *c, uint64_t lin) { return cpu_in_lm(c) ? lin : (uint32_t)lin; }

/* Device memory is read in naturally aligned pieces of up to eight bytes. */
static void phys_io(struct cpu *c, uint64_t lin, uint64_t gpa, uint8_t *buf, unsigned n, unsigned acc)
{
    bool write = acc & ACC_W;
    if (c->ops->watch && !(acc & ACC_IMPL))
        c->ops->watch(c, lin, n, acc);
    while (n) {
        unsigned k = 8;
        while (k > n || (gpa & (k - 1)))
            k >>= 1;
        if (write)
            c->ops->phys_write(c, gpa, buf, k);
        else
            c->ops->phys_read(c, gpa, buf, k);
        gpa += k, buf += k, n -= k;
    }
}

int cpu_mem_read(struct cpu *c, uint64_t lin, void *buf, unsigned n, unsigned acc)
{
    uint8_t *host, *b = buf;
    uint64_t gpa;
    lin = lin_wrap(c, lin);
    unsigned left = 4096 - (unsigned)(lin & 4095);
    if (likely(n <= left)) {
        if (unlikely(c->ops->translate(c, lin, acc | ACC_R, &host, &gpa)))
            return -1;
        if (likely(host != NULL))
            copy_small(b, host, n);
        else
            phys_io(c, lin, gpa, b, n, acc);
        return 0;
    }
    /* All pages first: nothing is read from a device when a later page faults. */
    for (uint64_t off = 0; off < n; off += off ? 4096 : left) {
        if (c->ops->translate(c, lin_wrap(c, lin + off), acc | ACC_R, &host, &gpa))
            return -1;
    }
    while (n) {
        unsigned k = 4096 - (unsigned)(lin & 4095);
        if (k > n)
            k = n;
        if (c->ops->translate(c, lin, acc | ACC_R, &host, &gpa))
            return -1;
        if (host)
            cpu_copy_once(b, host, k);
        else
            phys_io(c, lin, gpa, b, k, acc);
        b += k, n -= k, lin = lin_wrap(c, lin + k);
    }
    return 0;
}

int cpu_mem_write(struct cpu *c, uint64_t lin, const void *buf, unsigned n, unsigned acc)
{
    uint8_t *host, *b = (uint8_t *)(uintptr_t)buf;
    uint64_t gpa;
    lin = lin_wrap(c, lin);
    unsigned left = 4096 - (unsigned)(lin & 4095);
    if (likely(n <= left)) {
        if (unlikely(c->ops->translate(c, lin, acc | ACC_W, &host, &gpa)))
            return -1;
        if (likely(host != NULL))
            copy_small(host, b, n);
        else
            phys_io(c, lin, gpa, b, n, acc | ACC_W);
        return 0;
    }
    for (uint64_t off = 0; off < n; off += off ? 4096 : left) {
        if (c->ops->translate(c, lin_wrap(c, lin + off), acc | ACC_W, &host, &gpa))
            return -1;
    }
    while (n) {
        unsigned k = 4096 - (unsigned)(lin & 4095);
        if (k > n)
            k = n;
        if (c->ops->translate(c, lin, acc | ACC_W, &host, &gpa))
            return -1;
        if (host)
            cpu_copy_once(host, b, k);
        else
            phys_io(c, lin, gpa, b, k, acc | ACC_W);
        b += k, n -= k, lin = lin_wrap(c, lin + k);
    }
    return 0;
}

int cpu_sys_read(struct cpu *c, uint64_t lin, void *buf, unsigned n)
{
    if (unlikely(cpu_in_lm(c) && !(cpu_canonical(lin) && cpu_canonical(lin + n - 1))))
        return cpu_raise_code(c, X_GP, 0);
    return cpu_mem_read(c, lin, buf, n, ACC_IMPL);
}
int cpu_sys_write(struct cpu *c, uint64_t lin, const void *buf, unsigned n)
{
    if (unlikely(cpu_in_lm(c) && !(cpu_canonical(lin) && cpu_canonical(lin + n - 1))))
        return cpu_raise_code(c, X_GP, 0);
    return cpu_mem_write(c, lin, buf, n, ACC_IMPL);
}
int cpu_sys_read64(struct cpu *c, uint64_t lin, uint64_t *v)
{
    uint8_t *host;
    uint64_t gpa;
    if (unlikely((lin & 4095) > 4088 || !cpu_canonical(lin)))
        return cpu_sys_read(c, lin, v, 8);
    if (unlikely(c->ops->translate(c, lin_wrap(c, lin), ACC_R | ACC_IMPL, &host, &gpa)))
        return -1;
    if (likely(host != NULL))
        *v = *(uint64_t *)host;
    else
        phys_io(c, lin, gpa, (uint8_t *)v, 8, ACC_IMPL);
    return 0;
}

/* SDM vol. 3, 5.3: limit of a segment, both directions. */
static inline bool limit_ok(const struct cpu_seg *s, uint64_t off, unsigned size)
{
    uint64_t last = off + size - 1;
    if (unlikely((s->attr & 0x1c) == 0x14)) /* expand-down data */
        return off > s->limit && last <= ((s->attr & SEG_DB) ? 0xffffffffull : 0xffffull);
    return last <= s->limit;
}

int cpu_seg_check(struct cpu *c, unsigned seg, uint64_t off, unsigned size, unsigned acc, uint64_t *lin)
{
    const struct cpu_seg *s = &c->s.seg[seg];
    uint8_t vec = seg == S_SS ? X_SS : X_GP;
    if (likely(cpu_in_64(c))) {
        uint64_t a = seg >= S_FS ? s->base + off : off;
        if (unlikely(!cpu_canonical(a) || !cpu_canonical(a + size - 1)))
            return cpu_raise_code(c, vec, 0);
        *lin = a;
        return 0;
    }
    if (!cpu_in_real(c) && !cpu_in_vm86(c)) {
        if (unlikely(!(s->attr & SEG_P)))
            return cpu_raise_code(c, vec, 0);
        if (A_IS_CODE(s->attr)) {
            if ((acc & ACC_W) || ((acc & ACC_R) && !A_RW(s->attr)))
                return cpu_raise_code(c, vec, 0);
        } else if ((acc & ACC_W) && !A_RW(s->attr)) {
            return cpu_raise_code(c, vec, 0);
        }
    }
    if (unlikely(!limit_ok(s, off, size)))
        return cpu_raise_code(c, vec, 0);
    *lin = (uint32_t)(s->base + off);
    return 0;
}

/* A frame lies in memory with the item that is pushed last at the lowest address. */
static inline void put_items(uint8_t *p, unsigned width, const uint64_t *v, unsigned n)
{
    if (width == 4) {
        for (unsigned i = 0; i < n; i++)
            ((uint32_t *)p)[n - 1 - i] = (uint32_t)v[i];
    } else if (width == 8) {
        for (unsigned i = 0; i < n; i++)
            ((uint64_t *)p)[n - 1 - i] = v[i];
    } else {
        for (unsigned i = 0; i < n; i++)
            ((uint16_t *)p)[n - 1 - i] = (uint16_t)v[i];
    }
}
static inline void get_items(const uint8_t *p, unsigned width, uint64_t *v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        v[i] = width == 4 ? ((const uint32_t *)p)[i] : width == 8 ? ((const uint64_t *)p)[i] : ((const uint16_t *)p)[i];
}

/* What lies on two pages is pushed item by item, as it is seen when one of the pages faults: CR2, and what was written before. */
int cpu_frame_write(struct cpu *c, uint64_t a, const void *frame, unsigned width, unsigned n, unsigned acc)
{
    if (likely((a & 4095) + width * n <= 4096) && likely(!cpu_mem_write(c, a, frame, width * n, acc)))
        return 0;
    while (n--) {
        if (cpu_mem_write(c, a + width * n, (const uint8_t *)frame + width * n, width, acc))
            return -1;
    }
    return 0;
}

static int put_frame(struct cpu *c, uint64_t a, unsigned width, const uint64_t *v, unsigned n, unsigned acc)
{
    uint8_t buf[48 * 8], *host; /* a call gate may copy 31 parameters */
    uint64_t gpa;
    unsigned total = width * n;
    if (likely((a & 4095) + total <= 4096)) {
        if (likely(!c->ops->translate(c, a, acc | ACC_W, &host, &gpa)) && likely(host != NULL)) {
            put_items(host, width, v, n);
            return 0;
        }
    }
    put_items(buf, width, v, n);
    return cpu_frame_write(c, a, buf, width, n, acc);
}
static int get_frame(struct cpu *c, uint64_t a, unsigned width, uint64_t *v, unsigned n, unsigned acc)
{
    uint8_t buf[16 * 8], *host;
    uint64_t gpa;
    unsigned total = width * n;
    if (likely((a & 4095) + total <= 4096)) {
        if (unlikely(c->ops->translate(c, a, acc | ACC_R, &host, &gpa)))
            return -1;
        if (likely(host != NULL)) {
            get_items(host, width, v, n);
            return 0;
        }
    }
    if (cpu_mem_read(c, a, buf, total, acc))
        return -1;
    get_items(buf, width, v, n);
    return 0;
}

int cpu_stack_write(struct cpu *c, const struct cpu_seg *ss, bool flat64, uint64_t *sp, unsigned width,
                    const uint64_t *v, unsigned n, unsigned acc, uint32_t sserr)
{
    unsigned total = width * n;
    if (flat64) {
        uint64_t a = *sp - total;
        if (unlikely(!cpu_canonical(a) || !cpu_canonical(*sp - 1)))
            return cpu_raise_code(c, X_SS, sserr);
        if (put_frame(c, a, width, v, n, acc))
            return -1;
        *sp = a;
        return 0;
    }
    uint64_t mask = (ss->attr & SEG_DB) ? 0xffffffffull : 0xffffull;
    uint64_t top = *sp & mask;
    if (top == 0)
        top = mask + 1;
    if (likely(top >= total)) {
        uint64_t a = top - total;
        if (unlikely(!limit_ok(ss, a, total)))
            return cpu_raise_code(c, X_SS, sserr);
        if (put_frame(c, (uint32_t)(ss->base + a), width, v, n, acc))
            return -1;
        *sp = (*sp & ~mask) | a;
        return 0;
    }
    /* The frame wraps around the bottom of the segment. */
    uint64_t a = *sp & mask;
    for (unsigned i = 0; i < n; i++) {
        a = (a - width) & mask;
        if (!limit_ok(ss, a, width))
            return cpu_raise_code(c, X_SS, sserr);
    }
    a = *sp & mask;
    for (unsigned i = 0; i < n; i++) {
        a = (a - width) & mask;
        if (put_frame(c, (uint32_t)(ss->base + a), width, v + i, 1, acc))
            return -1;
    }
    *sp = (*sp & ~mask) | a;
    return 0;
}

int cpu_stack_aligned(struct cpu *c, uint64_t lin, unsigned width)
{
    if (unlikely((lin & (width - 1)) && c->cpl == 3 && (c->s.rflags & FL_AC) && (c->s.cr0 & CR0_AM)))
        return cpu_raise_code(c, X_AC, 0);
    return 0;
}

static inline unsigned user_acc(const struct cpu *c) { return c->cpl == 3 ? ACC_USER : 0; }

int cpu_stack_read(struct cpu *c, unsigned width, uint64_t *v, unsigned n, uint64_t skip)
{
    unsigned total = width * n;
    const struct cpu_seg *ss = &c->s.seg[S_SS];
    uint64_t mask = stack_mask(c), a = (c->s.gpr[R_RSP] + skip) & mask;
    if (mask == ~0ull) {
        if (unlikely(!cpu_canonical(a) || !cpu_canonical(a + total - 1)))
            return cpu_raise_code(c, X_SS, 0);
        if (cpu_stack_aligned(c, a, width))
            return -1;
        return get_frame(c, a, width, v, n, user_acc(c));
    }
    if (unlikely(!(ss->attr & SEG_P)) && !cpu_in_real(c))
        return cpu_raise_code(c, X_SS, 0);
    if (likely(a + total <= mask + 1)) {
        if (unlikely(!limit_ok(ss, a, total)))
            return cpu_raise_code(c, X_SS, 0);
        if (cpu_stack_aligned(c, ss->base + a, width))
            return -1;
        return get_frame(c, (uint32_t)(ss->base + a), width, v, n, user_acc(c));
    }
    for (unsigned i = 0; i < n; i++) {
        uint64_t p = (a + i * width) & mask;
        if (!limit_ok(ss, p, width))
            return cpu_raise_code(c, X_SS, 0);
        if (get_frame(c, (uint32_t)(ss->base + p), width, v + i, 1, user_acc(c)))
            return -1;
    }
    return 0;
}

int cpu_push(struct cpu *c, uint64_t val, unsigned size)
{
    uint64_t sp = c->s.gpr[R_RSP];
    bool f64 = cpu_in_64(c);
    if (!f64 && !cpu_in_real(c) && unlikely(!(c->s.seg[S_SS].attr & SEG_P)))
        return cpu_raise_code(c, X_SS, 0);
    if (cpu_stack_aligned(c, f64 ? sp : c->s.seg[S_SS].base + sp, size) ||
        cpu_stack_write(c, &c->s.seg[S_SS], f64, &sp, size, &val, 1, user_acc(c), 0))
        return -1;
    c->s.gpr[R_RSP] = sp;
    return 0;
}

int cpu_pop(struct cpu *c, uint64_t *val, unsigned size)
{
    if (cpu_stack_read(c, size, val, 1, 0))
        return -1;
    uint64_t mask = stack_mask(c);
    set_sp(c, mask, c->s.gpr[R_RSP] + size);
    return 0;
}
