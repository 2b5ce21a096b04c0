/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzing a device through its I/O: the input is a program of port and MMIO accesses and time steps, on a fake vm. At the end the state is
 * saved, loaded into a second machine and saved again: the bytes must be the same.
 *
 * Each step is one byte, low nibble = what, high nibble = size and width of the rest:
 *   0-3 port write, 4-5 port read, 6-8 MMIO write, 9-10 MMIO read, 11 time, 12-15 the target's own (fuzz_extra).
 */
#ifndef LODGE_TESTS_FUZZ_DEV_H
#define LODGE_TESTS_FUZZ_DEV_H

#include <stdio.h>
#include <stdlib.h>

#include "tests/fakevm.h"

struct fuzz {
    const uint8_t *p, *end;
    struct vm *vm;
};
struct fuzz_range {
    uint64_t first, count;
};

static inline uint64_t fuzz_bytes(struct fuzz *f, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)(f->p < f->end ? *f->p++ : 0) << (8 * i);
    return v;
}

static inline void fuzz_check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

/* The target gives these. make: builds the devices, no reset. extra: one own step; what is 0..3. before, after: around the whole run. */
struct fuzz_target {
    unsigned vcpus;
    struct fuzz_range ports[8], mmio[4];
    unsigned n_ports, n_mmio;
    void (*make)(struct vm *vm);
    void (*extra)(struct fuzz *f, unsigned what);
    void (*before)(void), (*after)(void);
};

static inline int fuzz_run(const struct fuzz_target *t, const uint8_t *data, size_t size)
{
    struct fuzz f = {.p = data, .end = data + (size > 4096 ? 4096 : size), .vm = fakevm_new(1, t->vcpus)};
    struct vm *to = fakevm_new(1, t->vcpus);
    struct err e = {0};
    if (t->before)
        t->before();
    t->make(f.vm);
    fakevm_reset(f.vm);
    while (f.p < f.end) {
        unsigned op = fuzz_bytes(&f, 1), what = op & 15, bytes = 1u << (op >> 4 & 3);
        if (what < 6 && t->n_ports) {
            const struct fuzz_range *r = &t->ports[fuzz_bytes(&f, 1) % t->n_ports];
            uint16_t port = r->first + fuzz_bytes(&f, 1) % r->count;
            unsigned w = bytes > 4 ? 1 : op & 0x40 ? bytes : 1; /* mostly bytes */
            if (what < 4)
                fakevm_out(f.vm, port, w, fuzz_bytes(&f, w));
            else
                fakevm_in(f.vm, port, w);
        } else if (what >= 6 && what < 11 && t->n_mmio) {
            const struct fuzz_range *r = &t->mmio[fuzz_bytes(&f, 1) % t->n_mmio];
            uint64_t a = r->first + (fuzz_bytes(&f, 2) & ~(op & 0x80 ? 0ull : 3ull)) % r->count;
            unsigned v = t->vcpus > 1 ? fuzz_bytes(&f, 1) % t->vcpus : 0;
            if (what < 9)
                fakevm_mmio_write_v(f.vm, v, a, bytes, fuzz_bytes(&f, bytes));
            else
                fakevm_mmio_read_v(f.vm, v, a, bytes);
        } else if (what == 11) {
            uint64_t n = fuzz_bytes(&f, 2);
            fakevm_advance(f.vm, n << (op >> 4) >> 5); /* up to 67 ms */
        } else if (t->extra) {
            t->extra(&f, what & 3);
        }
    }
    t->make(to);
    if (fakevm_migrate(f.vm, to, &e)) {
        fprintf(stderr, "migration: %s\n", e.msg);
        abort();
    }
    fakevm_advance(to, 1000000);
    fakevm_free(to);
    fakevm_free(f.vm);
    if (t->after)
        t->after();
    return 0;
}

/* The entry function of a target that is a device: FUZZ_DEVICE(.vcpus = 1, .make = make). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#define FUZZ_DEVICE(...)                                             \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)     \
    {                                                                \
        static const struct fuzz_target t = {__VA_ARGS__};           \
        return fuzz_run(&t, data, size);                             \
    }

#endif
