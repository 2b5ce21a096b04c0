/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtual machine for unit tests of devices. */
#include "tests/fakevm.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bitmap.h"
#include "base/osmem.h"
#include "core/state.h"

struct fakevm {
    struct memblk blk;
    struct memregion ram;
    unsigned wishes[WISH_CLOCK + 1], msis, code_writes;
    bool failed;
    uint64_t msi_addr, code_len;
    uint32_t msi_data;
    gpa_t code_a;
};
struct fake_cpu {
    uint64_t token; /* something to save */
};

static struct fakevm *of(struct vm *vm) { return vm_backend_data(vm); }

/* ---- the back end ---- */

static int be_vcpu_init(struct vcpu *v, struct err *e)
{
    v->be = calloc(1, sizeof(struct fake_cpu));
    return v->be ? 0 : err_set(e, ERR_NOMEM, 0, "Out of memory.");
}
static void be_vcpu_fini(struct vcpu *v) { free(v->be); }
static enum vcpu_exit be_run(struct vcpu *v) { return VX_HALT; }
static void be_kick(struct vcpu *v) {}
static void be_reset(struct vcpu *v, bool init) { ((struct fake_cpu *)v->be)->token = v->index; }
static void be_sipi(struct vcpu *v, uint8_t vector) {}
static void be_get(struct vcpu *v, struct cpu_state *s, unsigned mask)
{
    *(struct fake_cpu *)s = *(struct fake_cpu *)v->be;
}
static int be_set(struct vcpu *v, const struct cpu_state *s, unsigned mask, struct err *e)
{
    *(struct fake_cpu *)v->be = *(const struct fake_cpu *)s;
    return 0;
}
static void be_code_written(struct vm *vm, gpa_t a, uint64_t n)
{
    struct fakevm *f = of(vm);
    if (!f)
        return;
    f->code_writes++;
    f->code_a = a;
    f->code_len = n;
}

static const struct state_desc cpu_desc = {
    .name = "cpu",
    .version = 1,
    .min_version = 1,
    .fields = (const struct state_field[]){SF(struct fake_cpu, token, SF_U64), {0}},
};
static const struct cpu_backend backend = {
    .name = "fake",
    .vcpu_init = be_vcpu_init,
    .vcpu_fini = be_vcpu_fini,
    .run = be_run,
    .kick = be_kick,
    .reset = be_reset,
    .sipi = be_sipi,
    .get = be_get,
    .set = be_set,
    .code_written = be_code_written,
    .cpu_state = &cpu_desc,
    .cpu_state_size = sizeof(struct fake_cpu),
};

static void on_wish(void *u, enum vm_wish w) { ((struct fakevm *)u)->wishes[w]++; }
static void on_failed(void *u, const struct err *e) { ((struct fakevm *)u)->failed = true; }
static void on_msi(void *ctl, uint64_t addr, uint32_t data)
{
    struct fakevm *f = ctl;
    f->msis++;
    f->msi_addr = addr;
    f->msi_data = data;
}

/* ---- the machine ---- */

struct vm *fakevm_new(unsigned ram_mib, unsigned n_vcpus)
{
    static const struct vm_events events = {.wish = on_wish, .failed = on_failed};
    struct err e = {0};
    struct fakevm *f = calloc(1, sizeof *f);
    ASSERT(f);
    f->blk = (struct memblk){.size = (uint64_t)ram_mib << 20, .fd = -1};
    if (ram_mib) {
        f->blk.host = osmem_alloc(f->blk.size, &e);
        f->blk.dirty = calloc(bitmap_longs(f->blk.size >> 12), sizeof(unsigned long));
        ASSERT(f->blk.host && f->blk.dirty);
    }
    struct vm_params p = {
        .n_vcpus = n_vcpus,
        .ram = f->blk.size,
        .passive = true,
        .wall_offset = 1700000000ll * 1000000000, /* 2023-11-14 22:13:20 UTC */
        .cpu = {.cores_per_socket = 1},
    };
    struct vm *vm = vm_create(&p, &backend, &events, f, &e);
    ASSERT(vm);
    vm_set_backend_data(vm, f);
    intr_set_ctl(vm, &(struct intr_ctl){.msi = on_msi, .ctl = f});
    if (ram_mib) {
        f->ram = (struct memregion){
            .owner = "ram", .size = f->blk.size, .kind = MR_RAM, .enabled = true, .track_dirty = true, .blk = &f->blk};
        memmap_begin(vm);
        memmap_add(vm, &f->ram);
        ASSERT(!memmap_commit(vm, &e));
    }
    return vm;
}

void fakevm_free(struct vm *vm)
{
    struct fakevm *f = of(vm);
    vm_destroy(vm);
    osmem_free(f->blk.host, f->blk.size);
    free(f->blk.dirty);
    free(f);
}

void fakevm_reset(struct vm *vm)
{
    struct err e = {0};
    ASSERT(!vm_reset(vm, RESET_COLD, &e));
}

uint8_t *fakevm_ram(struct vm *vm) { return of(vm)->blk.host; }
struct memblk *fakevm_ram_blk(struct vm *vm) { return &of(vm)->blk; }

void fakevm_advance(struct vm *vm, int64_t ns) { vm_advance(vm, ns); }
void fakevm_run_posts(struct vm *vm) { vm_advance(vm, 0); }

uint64_t fakevm_in(struct vm *vm, uint16_t port, unsigned size) { return bus_read(vm_vcpu(vm, 0), true, port, size); }
void fakevm_out(struct vm *vm, uint16_t port, unsigned size, uint64_t val)
{
    bus_write(vm_vcpu(vm, 0), true, port, size, val);
}
void fakevm_ins(struct vm *vm, uint16_t port, unsigned size, void *buf, unsigned n)
{
    bus_read_rep(vm_vcpu(vm, 0), port, size, buf, n);
}
void fakevm_outs(struct vm *vm, uint16_t port, unsigned size, const void *buf, unsigned n)
{
    bus_write_rep(vm_vcpu(vm, 0), port, size, buf, n);
}
uint64_t fakevm_mmio_read_v(struct vm *vm, unsigned vcpu, gpa_t a, unsigned size)
{
    return bus_read(vm_vcpu(vm, vcpu), false, a, size);
}
void fakevm_mmio_write_v(struct vm *vm, unsigned vcpu, gpa_t a, unsigned size, uint64_t val)
{
    bus_write(vm_vcpu(vm, vcpu), false, a, size, val);
}
uint64_t fakevm_mmio_read(struct vm *vm, gpa_t a, unsigned size) { return fakevm_mmio_read_v(vm, 0, a, size); }
void fakevm_mmio_write(struct vm *vm, gpa_t a, unsigned size, uint64_t val)
{
    fakevm_mmio_write_v(vm, 0, a, size, val);
}

unsigned fakevm_wishes(struct vm *vm, enum vm_wish w) { return of(vm)->wishes[w]; }
bool fakevm_failed(struct vm *vm) { return of(vm)->failed; }
uint32_t fakevm_requests(struct vm *vm, unsigned vcpu)
{
    return atomic_exchange(&vm_vcpu(vm, vcpu)->requests, 0) & ~(uint32_t)(VR_PARK | VR_VIEW);
}

unsigned fakevm_msis(struct vm *vm, uint64_t *addr, uint32_t *data)
{
    if (addr)
        *addr = of(vm)->msi_addr;
    if (data)
        *data = of(vm)->msi_data;
    return of(vm)->msis;
}

unsigned fakevm_code_writes(struct vm *vm, gpa_t *a, uint64_t *n)
{
    if (a)
        *a = of(vm)->code_a;
    if (n)
        *n = of(vm)->code_len;
    return of(vm)->code_writes;
}

/* ---- interrupts ---- */

static void irqs_set(void *ctl, unsigned pin, unsigned src, bool level)
{
    struct fakevm_irqs *q = ctl;
    ASSERT(pin < FAKEVM_PINS && src < 32);
    uint32_t old = q->level[pin], now = level ? old | 1u << src : old & ~(1u << src);
    q->level[pin] = now;
    q->rises[pin] += !old && now;
    q->falls[pin] += old && !now;
}

void fakevm_irqs_init(struct fakevm_irqs *q)
{
    memset(q, 0, sizeof *q);
    q->sink = (struct irq_sink){irqs_set, q};
}

struct irq_line fakevm_irq(struct fakevm_irqs *q, unsigned pin)
{
    return (struct irq_line){&q->sink, (uint16_t)pin, 0};
}
bool fakevm_irqs_level(const struct fakevm_irqs *q, unsigned pin) { return q->level[pin] != 0; }

unsigned fakevm_irqs_rises(struct fakevm_irqs *q, unsigned pin)
{
    unsigned n = q->rises[pin];
    q->rises[pin] = 0;
    return n;
}

/* ---- save and load ---- */

int fakevm_migrate(struct vm *from, struct vm *to, struct err *e)
{
    struct snap_writer *a = snap_writer_new(), *b = snap_writer_new();
    struct snap_reader *r = NULL;
    size_t na = 0, nb = 0;
    int rc = -1;
    if (of(from)->blk.size == of(to)->blk.size && of(from)->blk.size)
        memcpy(of(to)->blk.host, of(from)->blk.host, of(from)->blk.size);
    if (vm_save(from, a, e))
        goto out;
    const uint8_t *da = snap_writer_data(a, &na);
    r = snap_reader_new(da, na, e);
    if (!r || vm_load(to, r, e) || vm_save(to, b, e))
        goto out;
    const uint8_t *db = snap_writer_data(b, &nb);
    const char *unread = snap_reader_unread(r);
    if (unread)
        err_set(e, ERR_CORRUPT, 0, "nobody has read section %s", unread);
    else if (na != nb)
        err_set(e, ERR_CORRUPT, 0, "saved %zu bytes, after loading %zu", na, nb);
    else if (memcmp(da, db, na)) {
        size_t i = 0;
        while (da[i] == db[i])
            i++;
        err_set(e, ERR_CORRUPT, 0, "the states differ at byte %zu: %02x, after loading %02x", i, da[i], db[i]);
    } else {
        rc = 0;
    }
out:
    snap_reader_free(r);
    snap_writer_free(a);
    snap_writer_free(b);
    return rc;
}
