/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bus: from a port or a guest-physical address to a device's handler.
 *
 * Ports: a table with one pointer a port to an immutable node, read without a lock. A node that is released is freed by
 * the grace periods of memmap.c. Memory: the flat view. In both cases the look-up comes first, because the handler's
 * flags say whether the chipset lock is taken, and is repeated under the lock, because the map may have changed while
 * waiting for it.
 */
#include "core/iobus.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "core/vm_private.h"

enum { N_PORTS = 65536, REP_CHUNK = 256 };

struct port_node {
    struct port_range r;
    char owner[]; /* copied: the caller's string may go first */
};

static __thread struct vcpu *current;

struct vcpu *vcpu_current(void) { return current; }
void vcpu_set_current(struct vcpu *v) { current = v; }

/* ---- claims ---- */

static struct port_node *port_node(struct vm *vm, unsigned p)
{
    return atomic_load_explicit(&vm->bus.port[p], memory_order_acquire);
}

int port_claim(struct vm *vm, const struct port_range *r, struct err *e)
{
    unsigned end = r->first + r->count;
    if (!r->count || end > N_PORTS)
        return err_set(e, ERR_CONFIG, 0, "%s asks for the I/O ports %04X to %04X, which do not exist.", r->owner,
                       r->first, end - 1);
    for (unsigned p = r->first; p < end; p++) {
        const struct port_node *n = port_node(vm, p);
        if (n)
            return err_set(e, ERR_CONFIG, 0,
                           "%s and %s both use I/O port %04X: remove one of them or give it another address.",
                           n->r.owner, r->owner, p);
    }
    size_t len = strlen(r->owner) + 1;
    struct port_node *n = malloc(sizeof *n + len);
    if (!n)
        return err_set(e, ERR_NOMEM, 0, "Out of memory.");
    n->r = *r;
    memcpy(n->owner, r->owner, len);
    n->r.owner = n->owner;
    for (unsigned p = r->first; p < end; p++)
        atomic_store_explicit(&vm->bus.port[p], n, memory_order_release);
    return 0;
}

void port_release(struct vm *vm, const struct port_range *r)
{
    struct port_node *n = port_node(vm, r->first);
    if (!n || n->r.first != r->first || n->r.count != r->count || n->r.dev != r->dev || n->r.ops != r->ops)
        return;
    for (unsigned p = r->first; p < (unsigned)r->first + r->count; p++)
        atomic_store_explicit(&vm->bus.port[p], NULL, memory_order_release);
    memmap_retire(vm, n);
}

/* ---- one handler: widths ---- */

static uint64_t ones(unsigned size) { return size >= 8 ? UINT64_MAX : (1ull << 8 * size) - 1; }

static unsigned widths_of(const struct io_ops *o) { return o->widths ? o->widths : IO_8 | IO_16 | IO_32; }

/* size: a power of two. */
static uint64_t ops_read(const struct io_ops *o, void *dev, uint64_t off, unsigned size)
{
    unsigned w = widths_of(o);
    if (!o->read)
        return ones(size);
    if (w & size)
        return o->read(dev, off, size) & ones(size);
    for (unsigned s = size / 2; s; s /= 2) {
        if (!(w & s))
            continue;
        uint64_t v = 0;
        for (unsigned i = 0; i < size; i += s)
            v |= (o->read(dev, off + i, s) & ones(s)) << 8 * i;
        return v;
    }
    for (unsigned s = size * 2; s <= 8; s *= 2) {
        if (!(w & s))
            continue;
        uint64_t v = 0;
        for (unsigned i = 0; i < size;) { /* more than one round only for a port access that is not aligned */
            unsigned sub = (unsigned)((off + i) & (s - 1)), n = s - sub < size - i ? s - sub : size - i;
            v |= (o->read(dev, off + i - sub, s) >> 8 * sub & ones(n)) << 8 * i;
            i += n;
        }
        return v;
    }
    return ones(size);
}

static void ops_write(const struct io_ops *o, void *dev, uint64_t off, unsigned size, uint64_t val)
{
    unsigned w = widths_of(o);
    if (!o->write)
        return;
    if (w & size) {
        o->write(dev, off, size, val & ones(size));
        return;
    }
    for (unsigned s = size / 2; s; s /= 2) {
        if (!(w & s))
            continue;
        for (unsigned i = 0; i < size; i += s)
            o->write(dev, off + i, s, val >> 8 * i & ones(s));
        return;
    }
    for (unsigned s = size * 2; s <= 8; s *= 2) {
        if (!(w & s))
            continue;
        for (unsigned i = 0; i < size;) {
            unsigned sub = (unsigned)((off + i) & (s - 1)), n = s - sub < size - i ? s - sub : size - i;
            uint64_t old = o->read ? o->read(dev, off + i - sub, s) & ones(s) : 0, mask = ones(n) << 8 * sub;
            o->write(dev, off + i - sub, s, (old & ~mask) | (val >> 8 * i << 8 * sub & mask));
            i += n;
        }
        return;
    }
}

/* ---- ports ---- */

/* Takes the chipset lock if the node at p wants it; *locked says so. The node may be another one afterwards. */
static struct port_node *port_enter(struct vm *vm, unsigned p, bool *locked)
{
    struct port_node *n = port_node(vm, p);
    *locked = n && !(n->r.ops->flags & IOF_UNLOCKED);
    if (*locked) {
        chipset_lock(vm);
        n = port_node(vm, p);
    }
    return n;
}

static void port_leave(struct vm *vm, bool locked)
{
    if (locked)
        chipset_unlock(vm);
}

static bool node_has(const struct port_node *n, unsigned p, unsigned size)
{
    return n && p - n->r.first + size <= n->r.count;
}

static uint64_t port_read(struct vm *vm, unsigned p, unsigned size)
{
    bool locked;
    uint64_t v;
    struct port_node *n = port_enter(vm, p, &locked);
    if (node_has(n, p, size)) {
        v = ops_read(n->r.ops, n->r.dev, p - n->r.first, size);
        port_leave(vm, locked);
        return v;
    }
    port_leave(vm, locked);
    if (size == 1)
        return 0xff;
    /* It begins in one range and ends in another or in none: byte by byte, as an ISA bridge does. The port number wraps
     * at 64K. */
    for (v = 0; size--;)
        v = v << 8 | port_read(vm, (p + size) & 0xffff, 1);
    return v;
}

static void port_write(struct vm *vm, unsigned p, unsigned size, uint64_t val)
{
    bool locked;
    struct port_node *n = port_enter(vm, p, &locked);
    if (node_has(n, p, size)) {
        ops_write(n->r.ops, n->r.dev, p - n->r.first, size, val);
        port_leave(vm, locked);
        return;
    }
    port_leave(vm, locked);
    if (size > 1)
        for (unsigned i = 0; i < size; i++)
            port_write(vm, (p + i) & 0xffff, 1, val >> 8 * i & 0xff);
}

/* ---- memory ---- */

struct mem_piece {
    const struct memrange *r;
    unsigned size;
    bool locked;
};

/* The largest piece at a, up to size bytes, that lies in one range and, for handlers, is naturally aligned. */
static struct mem_piece mem_enter(struct vcpu *v, gpa_t a, unsigned size, bool wr)
{
    struct vm *vm = v->vm;
    struct mem_piece p = {.locked = false};
    for (;;) {
        const struct memrange *r = memview_find(memmap_view(vm, v->smm), a);
        bool handler = r && (r->mr->kind == MR_MMIO || (r->mr->kind == MR_ROM_DEVICE && wr));
        bool lock = handler && !(r->mr->ops->flags & IOF_UNLOCKED);
        if (lock && !p.locked) {
            chipset_lock(vm);
            p.locked = true;
            continue; /* look again: the map may have changed meanwhile */
        }
        p.r = r;
        p.size = 1;
        while (p.size * 2 <= size && (a & (2 * p.size - 1)) == 0)
            p.size *= 2;
        while (r && p.size > 1 && a - r->base + p.size > r->size)
            p.size /= 2;
        return p;
    }
}

static void mem_leave(struct vcpu *v, const struct mem_piece *p)
{
    if (p->locked)
        chipset_unlock(v->vm);
}

/* Guest RAM is written by other vCPUs at any time: one load or store of the full width, as the CPU would do. */
static uint64_t ram_load(const uint8_t *h, unsigned size)
{
    switch (size) {
    case 1: return __atomic_load_n(h, __ATOMIC_RELAXED);
    case 2: return __atomic_load_n((const uint16_t *)h, __ATOMIC_RELAXED);
    case 4: return __atomic_load_n((const uint32_t *)h, __ATOMIC_RELAXED);
    default: return __atomic_load_n((const uint64_t *)h, __ATOMIC_RELAXED);
    }
}

static void ram_store(uint8_t *h, unsigned size, uint64_t val)
{
    switch (size) {
    case 1: __atomic_store_n(h, (uint8_t)val, __ATOMIC_RELEASE); break;
    case 2: __atomic_store_n((uint16_t *)h, (uint16_t)val, __ATOMIC_RELEASE); break;
    case 4: __atomic_store_n((uint32_t *)h, (uint32_t)val, __ATOMIC_RELEASE); break;
    default: __atomic_store_n((uint64_t *)h, val, __ATOMIC_RELEASE); break;
    }
}

static uint64_t mem_read(struct vcpu *v, gpa_t a, unsigned size)
{
    uint64_t val = 0;
    for (unsigned i = 0; i < size;) {
        struct mem_piece p = mem_enter(v, a + i, size - i, false);
        uint64_t x = ones(p.size);
        if (p.r && p.r->mr->kind == MR_MMIO)
            x = ops_read(p.r->mr->ops, p.r->mr->dev, p.r->mr_off + (a + i - p.r->base), p.size);
        else if (p.r)
            x = ram_load(memrange_host(p.r) + (a + i - p.r->base), p.size);
        mem_leave(v, &p);
        val |= (x & ones(p.size)) << 8 * i;
        i += p.size;
    }
    return val;
}

static void mem_write(struct vcpu *v, gpa_t a, unsigned size, uint64_t val)
{
    for (unsigned i = 0; i < size;) {
        struct mem_piece p = mem_enter(v, a + i, size - i, true);
        uint64_t x = val >> 8 * i & ones(p.size);
        if (p.r && (p.r->mr->kind == MR_MMIO || p.r->mr->kind == MR_ROM_DEVICE)) {
            ops_write(p.r->mr->ops, p.r->mr->dev, p.r->mr_off + (a + i - p.r->base), p.size, x);
        } else if (p.r && p.r->mr->kind == MR_RAM) {
            ram_store(memrange_host(p.r) + (a + i - p.r->base), p.size, x);
            ram_written(v->vm, p.r, a + i, p.size);
        }
        mem_leave(v, &p);
        i += p.size;
    }
}

/* ---- what back ends call ---- */

uint64_t bus_read(struct vcpu *v, bool port, uint64_t a, unsigned size)
{
    struct vcpu *before = current;
    current = v;
    uint64_t val = port ? port_read(v->vm, a & 0xffff, size) : mem_read(v, memmap_a20(v->vm, a), size);
    current = before;
    return val;
}

void bus_write(struct vcpu *v, bool port, uint64_t a, unsigned size, uint64_t val)
{
    struct vcpu *before = current;
    current = v;
    if (port)
        port_write(v->vm, a & 0xffff, size, val);
    else
        mem_write(v, memmap_a20(v->vm, a), size, val);
    current = before;
}

void bus_write_late(struct vm *vm, gpa_t a, unsigned size, uint64_t val)
{
    for (unsigned i = 0; i < size; i++) {
        const struct memrange *r = memview_find(memmap_view(vm, false), a + i);
        unsigned n = 1;
        while (n * 2 <= size - i && ((a + i) & (2 * n - 1)) == 0)
            n *= 2;
        while (r && n > 1 && a + i - r->base + n > r->size)
            n /= 2;
        /* The map may have changed since: what has become RAM or nothing is not for a device any more. */
        if (r && r->mr->kind == MR_MMIO && (r->mr->ops->flags & IOF_LATE))
            ops_write(r->mr->ops, r->mr->dev, r->mr_off + (a + i - r->base), n, val >> 8 * i & ones(n));
        i += n - 1;
    }
}

static uint64_t elem_get(const uint8_t *p, unsigned size)
{
    return size == 1 ? *p : size == 2 ? ld_le16(p) : ld_le32(p);
}

static void elem_put(uint8_t *p, unsigned size, uint64_t v)
{
    if (size == 1)
        *p = (uint8_t)v;
    else if (size == 2)
        st_le16(p, (uint16_t)v);
    else
        st_le32(p, (uint32_t)v);
}

static void rep(struct vcpu *v, unsigned port, unsigned size, uint8_t *in, const uint8_t *out, unsigned n)
{
    struct vm *vm = v->vm;
    struct vcpu *before = current;
    current = v;
    while (n) {
        bool locked;
        unsigned k = n < REP_CHUNK ? n : REP_CHUNK; /* so that a long string does not keep the lock for long */
        struct port_node *d = port_enter(vm, port, &locked);
        if (!node_has(d, port, size)) {
            port_leave(vm, locked);
            for (k = 0; k < n; k++)
                if (in)
                    elem_put(in + k * size, size, port_read(vm, port, size));
                else
                    port_write(vm, port, size, elem_get(out + k * size, size));
            break;
        }
        const struct io_ops *o = d->r.ops;
        void *dev = d->r.dev;
        uint64_t off = port - d->r.first;
        bool direct = widths_of(o) & size;
        if (in && o->read_rep && direct)
            o->read_rep(dev, off, size, in, k);
        else if (out && o->write_rep && direct)
            o->write_rep(dev, off, size, out, k);
        else
            /* A handler may release its own range; from then on the port is looked up again. */
            for (unsigned i = 0; i < k; i++) {
                if (in)
                    elem_put(in + i * size, size, ops_read(o, dev, off, size));
                else
                    ops_write(o, dev, off, size, elem_get(out + i * size, size));
                if (port_node(vm, port) != d)
                    k = i + 1;
            }
        port_leave(vm, locked);
        n -= k;
        if (in)
            in += k * size;
        else
            out += k * size;
    }
    current = before;
}

void bus_read_rep(struct vcpu *v, uint16_t port, unsigned size, void *buf, unsigned n)
{
    rep(v, port, size, buf, NULL, n);
}
void bus_write_rep(struct vcpu *v, uint16_t port, unsigned size, const void *buf, unsigned n)
{
    rep(v, port, size, NULL, buf, n);
}

int iobus_init(struct vm *vm, struct err *e)
{
    vm->bus.port =
        mmap(NULL, N_PORTS * sizeof *vm->bus.port, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (vm->bus.port == MAP_FAILED) {
        vm->bus.port = NULL;
        return err_set(e, ERR_NOMEM, 0, "Out of memory.");
    }
    return 0;
}

void iobus_fini(struct vm *vm)
{
    if (!vm->bus.port)
        return;
    for (unsigned p = 0; p < N_PORTS; p++) {
        struct port_node *n = port_node(vm, p);
        if (n && p == (unsigned)n->r.first + n->r.count - 1) /* the last look at it */
            free(n);
    }
    munmap(vm->bus.port, N_PORTS * sizeof *vm->bus.port);
}
