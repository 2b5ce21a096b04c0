/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtual machine: made, run, paused, reset, saved, loaded, destroyed. State diagram in vm.h.
 *
 * Stopping is always the same sequence (stop()): park the vCPUs, stop the clock, quiesce the devices while the chipset
 * thread still runs their completions, then switch the watched descriptors off. What is left is a pure function of
 * memory and state sections; save, reset and destroy start from there, and go() is the way back.
 */
#include "core/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "core/state.h"
#include "core/vm_private.h"

enum vm_state vm_get_state(struct vm *vm) { return (enum vm_state)atomic_load(&vm->state); }
const struct vm_params *vm_get_params(struct vm *vm) { return &vm->params; }
unsigned vm_vcpu_count(struct vm *vm) { return vm->n_vcpus; }
struct vcpu *vm_vcpu(struct vm *vm, unsigned i) { return i < vm->n_vcpus ? vm->vcpu[i] : NULL; }
const struct cpu_backend *vm_backend(struct vm *vm) { return vm->be; }
void *vm_backend_data(struct vm *vm) { return vm->be_data; }
void vm_set_backend_data(struct vm *vm, void *p) { vm->be_data = p; }

/* FAILED is final, and other threads enter it at any time: nothing overwrites it. */
static bool set_state(struct vm *vm, enum vm_state s)
{
    int old = atomic_load(&vm->state);
    do
        if (old == VM_FAILED)
            return false;
    while (!atomic_compare_exchange_weak(&vm->state, &old, s));
    if (old != (int)s && vm->ev.state)
        vm->ev.state(vm->ev_u, s);
    return true;
}

void vm_hold(struct vm *vm)
{
    int running = VM_RUNNING;
    if (!atomic_compare_exchange_strong(&vm->state, &running, VM_HALTED))
        return;
    vcpus_ask_park(vm);
    if (vm->ev.state)
        vm->ev.state(vm->ev_u, VM_HALTED);
}

void vm_wish(struct vm *vm, enum vm_wish w)
{
    vm_hold(vm);
    if (vm->ev.wish)
        vm->ev.wish(vm->ev_u, w);
}

void vm_fail(struct vm *vm, const struct err *cause)
{
    if (atomic_exchange(&vm->state, VM_FAILED) == VM_FAILED)
        return;
    vcpus_ask_park(vm);
    log_msg(LOG_ERROR, "vm", "%s", cause->msg);
    if (vm->ev.state)
        vm->ev.state(vm->ev_u, VM_FAILED);
    if (vm->ev.failed)
        vm->ev.failed(vm->ev_u, cause);
}

static int failed(struct err *e)
{
    return err_set(e, ERR_HOST, 0,
                   "The virtual machine has stopped because of an internal error and can only be powered off.");
}

static void stop(struct vm *vm)
{
    if (!vm->params.passive)
        vcpus_park(vm);
    atomic_store(&vm->still.parked, true);
    vm_still_wait(vm);
    chipset_lock(vm);
    bool ran = atomic_load(&vm->clk.frozen) < 0;
    clock_stop(vm);
    chipset_unlock(vm);
    if (ran && vm->be->clock_changed)
        vm->be->clock_changed(vm, clock_now(vm), false);
    devices_quiesce(vm);
    evloop_set_fds(vm, false);
}

static int go(struct vm *vm, struct err *e)
{
    if (!vm->params.passive && evloop_start(vm, e))
        return -1;
    evloop_set_fds(vm, true);
    chipset_lock(vm);
    bool stood = atomic_load(&vm->clk.frozen) >= 0 && !vm->params.passive;
    clock_start(vm);
    chipset_unlock(vm);
    if (stood && vm->be->clock_changed)
        vm->be->clock_changed(vm, clock_now(vm), true);
    if (!set_state(vm, VM_RUNNING))
        return failed(e);
    atomic_store(&vm->still.parked, false);
    if (vm->params.passive)
        return 0;
    vcpus_unpark(vm);
    /* The chipset thread may have wished or failed in between, and its VR_PARK was just cleared. */
    if (vm_get_state(vm) != VM_RUNNING)
        vcpus_ask_park(vm);
    return vcpus_start(vm, e);
}

static void do_reset(struct vm *vm, enum reset_kind k)
{
    struct err e = {0};
    chipset_lock(vm);
    /* Before the devices: what they ask for in their second phase is for the vCPU after the reset. */
    for (unsigned i = 0; i < vm->n_vcpus; i++) {
        atomic_fetch_and(&vm->vcpu[i]->requests, ~(uint32_t)(VR_INTR | VR_NMI | VR_SMI | VR_INIT | VR_SIPI));
        vm->vcpu[i]->nmis = 0;
    }
    memmap_begin(vm);
    devices_reset(vm, k, true);
    memmap_commit(vm, &e); /* a failure has failed the vm */
    for (unsigned i = 0; i < vm->n_vcpus; i++) {
        if (vm->be->reset)
            vm->be->reset(vm->vcpu[i], false);
        vm->vcpu[i]->smm = false;
    }
    vm->state_loaded_or_reset = true;
    chipset_unlock(vm);
}

int vm_run(struct vm *vm, struct err *e)
{
    enum vm_state s = vm_get_state(vm);
    if (s == VM_FAILED)
        return failed(e);
    if (s == VM_RUNNING)
        return 0;
    if (s == VM_BUILDING && !vm->state_loaded_or_reset)
        do_reset(vm, RESET_COLD);
    return go(vm, e);
}

int vm_pause(struct vm *vm, struct err *e)
{
    enum vm_state s = vm_get_state(vm);
    if (s == VM_FAILED)
        return failed(e);
    if (s != VM_RUNNING && s != VM_HALTED)
        return 0;
    stop(vm);
    return set_state(vm, VM_PAUSED) ? 0 : failed(e);
}

int vm_reset(struct vm *vm, enum reset_kind k, struct err *e)
{
    enum vm_state s = vm_get_state(vm);
    if (s == VM_FAILED)
        return failed(e);
    bool ran = s == VM_RUNNING || s == VM_HALTED;
    stop(vm);
    do_reset(vm, k);
    if (ran)
        return go(vm, e);
    return vm_get_state(vm) == VM_FAILED ? failed(e) : 0;
}

/* ---- state ---- */

#define KEPT_REQUESTS (VR_NMI | VR_SMI | VR_INIT | VR_SIPI)

struct vm_section {
    uint64_t now, tsc, tsc_khz, wall_offset, ram;
    uint32_t n_vcpus, requests[VM_MAX_VCPUS];
    uint8_t sipi_vector[VM_MAX_VCPUS];
};
static const struct state_desc vm_section_desc = {
    .name = "vm",
    .version = 1,
    .min_version = 1,
    .fields =
        (const struct state_field[]){
            SF_MAX(struct vm_section, now, SF_U64, INT64_MAX / 4),
            SF(struct vm_section, tsc, SF_U64),
            SF(struct vm_section, tsc_khz, SF_U64),
            SF(struct vm_section, wall_offset, SF_U64),
            SF(struct vm_section, ram, SF_U64),
            SF(struct vm_section, n_vcpus, SF_U32),
            SF_ARR(struct vm_section, requests, SF_U32),
            SF_BUF(struct vm_section, sipi_vector),
            {0},
        },
};

static void *cpu_state_alloc(struct vm *vm)
{
    size_t n = (vm->be->cpu_state_size + 63) & ~(size_t)63;
    void *p = aligned_alloc(64, n);
    if (p)
        memset(p, 0, n);
    return p;
}

int vm_save(struct vm *vm, struct snap_writer *w, struct err *e)
{
    if (vm_get_state(vm) != VM_PAUSED && !vm->params.passive)
        return err_set(e, ERR_BUSY, 0, "The virtual machine must be paused before its state is saved.");
    if (!vm->be->cpu_state)
        return err_set(e, ERR_UNSUPPORTED, 0, "The %s engine cannot save the state of its processors.", vm->be->name);
    struct vm_section s = {
        .now = (uint64_t)clock_now(vm),
        .tsc = clock_tsc(vm),
        .tsc_khz = vm->clk.tsc_khz,
        .wall_offset = (uint64_t)atomic_load(&vm->clk.wall_offset),
        .ram = vm->params.ram,
        .n_vcpus = vm->n_vcpus,
    };
    void *cs = cpu_state_alloc(vm);
    if (!cs)
        return err_set(e, ERR_NOMEM, 0, "Out of memory.");
    int rc = -1;
    chipset_lock(vm);
    for (unsigned i = 0; i < vm->n_vcpus; i++) {
        s.requests[i] = atomic_load(&vm->vcpu[i]->requests) & KEPT_REQUESTS;
        s.sipi_vector[i] = vm->vcpu[i]->sipi_vector;
    }
    if (state_save(w, "vm", &vm_section_desc, &s, e))
        goto out;
    for (unsigned i = 0; i < vm->n_vcpus; i++) {
        char name[16];
        snprintf(name, sizeof name, "cpu%u", i);
        vm->be->get(vm->vcpu[i], cs, CPU_ALL);
        if (state_save(w, name, vm->be->cpu_state, cs, e))
            goto out;
    }
    for (struct dev *d = vm->devs; d; d = d->next) {
        char name[80];
        snprintf(name, sizeof name, "dev:%s", d->id);
        if (d->cls->state && state_save(w, name, d->cls->state, d, e))
            goto out;
    }
    rc = 0;
out:
    chipset_unlock(vm);
    free(cs);
    return rc;
}

/* A guest that was saved on another host counts time by that host's TSC. */
static void follow_tsc_rate(struct vm *vm, uint64_t khz)
{
    uint64_t k = vm->clk.tsc_khz, diff = khz > k ? khz - k : k - khz, host = 0;
    if (diff <= k / 4000) /* 250 ppm: no two hosts agree better, and a guest's NTP corrects twice that */
        return;
    /* A rate that no processor has is a damaged file's. */
    if (khz >= 100000 && khz <= 100000000 && vm->be->scale_tsc && (host = vm->be->scale_tsc(vm, khz))) {
        clock_scale(vm, khz, host);
        log_msg(LOG_INFO, "vm", "The state was saved on a host with a TSC of %llu kHz; this one's processor scales its %llu kHz to that",
                (unsigned long long)khz, (unsigned long long)host);
        return;
    }
    log_msg(LOG_WARN, "vm", "The state was saved on a host with a TSC of %llu kHz, this one has %llu kHz and %s: the guest's clock may run wrong",
            (unsigned long long)khz, (unsigned long long)k,
            vm->be->scale_tsc ? "a processor that does not scale it" : "an engine that does not scale it (hardware virtualization can)");
}

static int load_locked(struct vm *vm, struct snap_reader *r, void *cs, struct err *e)
{
    struct vm_section s = {0};
    if (state_load(r, "vm", &vm_section_desc, &s, e))
        return -1;
    if (s.n_vcpus != vm->n_vcpus)
        return err_set(
            e, ERR_CONFIG, 0,
            "The saved state is of a virtual machine with %u processors; this one has %u. Set numvcpus = \"%u\".",
            s.n_vcpus, vm->n_vcpus, s.n_vcpus);
    if (s.ram != vm->params.ram)
        return err_set(
            e, ERR_CONFIG, 0,
            "The saved state is of a virtual machine with %llu MiB of memory; this one has %llu. Set memsize "
            "= \"%llu\".",
            (unsigned long long)s.ram >> 20, (unsigned long long)vm->params.ram >> 20, (unsigned long long)s.ram >> 20);
    follow_tsc_rate(vm, s.tsc_khz);
    clock_load(vm, (int64_t)s.now, s.tsc);
    clock_set_wall_offset(vm, (int64_t)s.wall_offset);
    memmap_begin(vm);
    /* Fields that a section does not have keep their reset value. */
    devices_reset(vm, RESET_COLD, false);
    int rc = 0;
    for (struct dev *d = vm->devs; d && !rc; d = d->next) {
        char name[80];
        snprintf(name, sizeof name, "dev:%s", d->id);
        if (d->cls->state)
            rc = state_load(r, name, d->cls->state, d, e);
    }
    if (memmap_commit(vm, rc ? NULL : e))
        rc = -1;
    for (unsigned i = 0; i < vm->n_vcpus && !rc; i++) {
        struct vcpu *v = vm->vcpu[i];
        char name[16];
        snprintf(name, sizeof name, "cpu%u", i);
        vm->be->reset(v, false);
        vm->be->get(v, cs, CPU_ALL);
        if (state_load(r, name, vm->be->cpu_state, cs, e) || vm->be->set(v, cs, CPU_ALL, e))
            return -1;
        v->sipi_vector = s.sipi_vector[i];
        v->nmis = s.requests[i] & VR_NMI ? 1 : 0;
        atomic_fetch_or(&v->requests, (s.requests[i] & KEPT_REQUESTS) | VR_INTR | VR_VIEW);
    }
    return rc;
}

int vm_load(struct vm *vm, struct snap_reader *r, struct err *e)
{
    if (vm_get_state(vm) != VM_BUILDING || vm->state_loaded_or_reset)
        return err_set(e, ERR_BUSY, 0, "A saved state can only be loaded into a virtual machine that has not run yet.");
    if (!vm->be->cpu_state)
        return err_set(e, ERR_UNSUPPORTED, 0, "The %s engine cannot load the state of its processors.", vm->be->name);
    void *cs = cpu_state_alloc(vm);
    if (!cs)
        return err_set(e, ERR_NOMEM, 0, "Out of memory.");
    chipset_lock(vm);
    int rc = load_locked(vm, r, cs, e);
    chipset_unlock(vm);
    free(cs);
    if (rc)
        return -1;
    vm->state_loaded_or_reset = true;
    return set_state(vm, VM_PAUSED) ? 0 : failed(e);
}

/* ---- the other CPU back end ---- */

static void backend_end(struct vm *vm)
{
    for (unsigned i = 0; i < vm->n_vcpus; i++)
        if (vm->be->vcpu_fini)
            vm->be->vcpu_fini(vm->vcpu[i]);
    if (vm->be->vm_fini)
        vm->be->vm_fini(vm);
    vm->be_inited = false;
}

/* From nothing to the processors in the saved state. Chipset lock held: meanwhile nobody draws the screen or sends messages. */
static int backend_begin(struct vm *vm, const struct cpu_backend *be, struct snap_reader *r, void *cs, struct err *e)
{
    static const struct memview none;
    vm->be = be;
    if (be->vm_init && be->vm_init(vm, e))
        return -1;
    vm->be_inited = true;
    for (unsigned i = 0; i < vm->n_vcpus; i++) {
        vm->vcpu[i]->smm = false;
        if (be->vcpu_init && be->vcpu_init(vm->vcpu[i], e))
            return -1;
    }
    int rc = be->view_changed ? be->view_changed(vm, &none, memmap_view(vm, false), e) : 0;
    for (unsigned i = 0; i < vm->n_vcpus && !rc; i++) {
        char name[16];
        snprintf(name, sizeof name, "cpu%u", i);
        be->reset(vm->vcpu[i], false);
        be->get(vm->vcpu[i], cs, CPU_ALL);
        rc = state_load(r, name, be->cpu_state, cs, e) || be->set(vm->vcpu[i], cs, CPU_ALL, e) ? -1 : 0;
        atomic_fetch_or(&vm->vcpu[i]->requests, VR_INTR | VR_VIEW);
    }
    return rc;
}

int vm_switch_backend(struct vm *vm, const struct cpu_backend *be, struct err *e)
{
    const struct cpu_backend *old = vm->be;
    if (vm_get_state(vm) != VM_PAUSED)
        return err_set(e, ERR_BUSY, 0, "The virtual machine must be paused before it changes its engine.");
    if (clock_tsc_scaled(vm) && !be->scale_tsc)
        return err_set(e, ERR_UNSUPPORTED, 0, "The guest's time stamp counter runs at another rate than the host's, which the %s engine cannot do.", be->name);
    if (!old->cpu_state || be->cpu_state != old->cpu_state)
        return err_set(e, ERR_UNSUPPORTED, 0, "The %s and the %s engine do not share a state format.", old->name, be->name);
    struct snap_writer *w = snap_writer_new();
    struct snap_reader *r = NULL;
    void *cs = cpu_state_alloc(vm);
    int rc = w && cs ? 0 : err_set(e, ERR_NOMEM, 0, "Out of memory.");
    for (unsigned i = 0; i < vm->n_vcpus && !rc; i++) {
        char name[16];
        snprintf(name, sizeof name, "cpu%u", i);
        old->get(vm->vcpu[i], cs, CPU_ALL);
        rc = vm_get_state(vm) == VM_FAILED ? failed(e) : state_save(w, name, old->cpu_state, cs, e);
    }
    size_t len = 0;
    const void *data = rc ? NULL : snap_writer_data(w, &len);
    if (rc || !(r = snap_reader_new(data, len, e)))
        goto out;
    vcpus_join(vm);
    atomic_store(&vm->exiting, false);
    chipset_lock(vm);
    backend_end(vm);
    if ((rc = backend_begin(vm, be, r, cs, e))) { /* it could not be done: back to where it was */
        struct err why = {0};
        backend_end(vm);
        snap_reader_free(r);
        if (!(r = snap_reader_new(data, len, &why)) || backend_begin(vm, old, r, cs, &why))
            vm_fail(vm, &why);
    }
    chipset_unlock(vm);
out:
    snap_reader_free(r);
    snap_writer_free(w);
    free(cs);
    return rc;
}

/* ---- time in tests ---- */

void vm_advance(struct vm *vm, int64_t ns)
{
    ASSERT(vm->params.passive);
    chipset_lock(vm);
    int64_t end = clock_now(vm) + ns;
    for (;;) {
        while (evloop_run_posts(vm))
            ;
        int64_t due = clock_next_due(vm);
        if (due > end)
            break;
        if (due > clock_now(vm))
            clock_set_manual_now(vm, due);
        clock_run_timers(vm, 1);
    }
    clock_set_manual_now(vm, end);
    chipset_unlock(vm);
}

void vm_get_stats(struct vm *vm, struct vm_stats *out)
{
    *out = (struct vm_stats){
        .timers_fired = atomic_load(&vm->st_timers),
        .posts = atomic_load(&vm->st_posts),
        .wakeups = atomic_load(&vm->st_wakeups),
        .commits = atomic_load(&vm->st_commits),
    };
    for (unsigned i = 0; i < vm->n_vcpus; i++) {
        out->runs += atomic_load(&vm->vth[i].runs);
        out->halts += atomic_load(&vm->vth[i].halts);
        out->kicks += atomic_load(&vm->vth[i].kicks);
    }
}

/* ---- made and unmade ---- */

struct vm *vm_create(const struct vm_params *p, const struct cpu_backend *be, const struct vm_events *ev, void *u,
                     struct err *e)
{
    if (!p->n_vcpus || p->n_vcpus > VM_MAX_VCPUS) {
        err_set(e, ERR_CONFIG, 0, "A virtual machine has 1 to %d processors, not %u.", VM_MAX_VCPUS, p->n_vcpus);
        return NULL;
    }
    struct vm *vm = aligned_alloc(64, (sizeof *vm + 63) & ~(size_t)63);
    if (!vm) {
        err_set(e, ERR_NOMEM, 0, "Out of memory.");
        return NULL;
    }
    memset(vm, 0, sizeof *vm);
    vm->params = *p;
    vm->be = be;
    if (ev)
        vm->ev = *ev;
    vm->ev_u = u;
    atomic_store(&vm->state, VM_BUILDING);
    lock_init(&vm->chipset, RANK_CHIPSET);
    vcpu_threads_init(vm);
    int rc = evloop_init(vm, e); /* all four always run: each makes what its fini needs */
    rc |= rc ? clock_init(vm, p->wall_offset, true, NULL) : clock_init(vm, p->wall_offset, p->passive, e);
    rc |= memmap_init(vm, rc ? NULL : e);
    rc |= iobus_init(vm, rc ? NULL : e);
    if (!rc && be->vm_init)
        rc = be->vm_init(vm, e);
    vm->be_inited = !rc;
    for (unsigned i = 0; i < p->n_vcpus && !rc; i++) {
        struct vcpu *v = aligned_alloc(64, (sizeof *v + 63) & ~(size_t)63);
        if (!v) {
            rc = err_set(e, ERR_NOMEM, 0, "Out of memory.");
            break;
        }
        memset(v, 0, sizeof *v);
        v->vm = vm;
        v->index = v->apic_id = i;
        v->thread = &vm->vth[i];
        v->thread->wake_at = INT64_MAX;
        v->thread->v = v;
        if (be->vcpu_init && be->vcpu_init(v, e)) {
            free(v);
            rc = -1;
            break;
        }
        vm->vcpu[vm->n_vcpus++] = v;
    }
    if (rc) {
        vm_destroy(vm);
        return NULL;
    }
    return vm;
}

void vm_destroy(struct vm *vm)
{
    if (!vm)
        return;
    stop(vm);
    vcpus_join(vm);
    evloop_stop(vm);
    devices_destroy(vm);
    for (unsigned i = vm->n_vcpus; i-- > 0;) {
        if (vm->be->vcpu_fini)
            vm->be->vcpu_fini(vm->vcpu[i]);
        free(vm->vcpu[i]);
    }
    vm->n_vcpus = 0;
    if (vm->be_inited && vm->be->vm_fini)
        vm->be->vm_fini(vm);
    iobus_fini(vm);
    memmap_fini(vm);
    evloop_fini(vm);
    clock_fini(vm);
    vcpu_threads_fini(vm);
    lock_fini(&vm->chipset);
    free(vm);
}
