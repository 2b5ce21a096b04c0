/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The translator as struct cpu_backend, and its answers to engine/cpu. */
#include "bt/bt_private.h"

#include "base/hex.h"
#include "base/log.h"
#include "core/clock.h"
#include "core/vm.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HOT(f, o) _Static_assert(offsetof(struct bt_cpu, f) == (o), #f)
HOT(self, HOT_SELF);
HOT(host_rsp, HOT_HOST_RSP);
HOT(resume_ip, HOT_RESUME_IP);
HOT(ret_r10, HOT_RET_R10);
HOT(ret_r11, HOT_RET_R11);
HOT(hflags, HOT_HFLAGS);
HOT(df, HOT_DF);
HOT(ifl, HOT_IF);
HOT(fl_base, HOT_FL_BASE);
HOT(t0, HOT_T0);
HOT(t3, HOT_T3);
HOT(scr_r10, HOT_R10);
HOT(ctx, HOT_CTX);
HOT(gctx, HOT_GCTX);
_Static_assert(offsetof(struct bt_cpu, real_gctx) == offsetof(struct bt_cpu, real_ctx) + 4, "moved as one");
HOT(exit_req, HOT_EXIT_REQ);
HOT(mode, HOT_MODE);
HOT(himask, HOT_HIMASK);
HOT(flslot, HOT_FLSLOT);
HOT(rax_save, HOT_RAX_SAVE);
HOT(lim_r, HOT_LIM_R);
HOT(lim_w, HOT_LIM_W);
HOT(tsc_off, HOT_TSC_OFF);
HOT(stk, HOT_STK);
HOT(himask8, HOT_HIMASK8);
HOT(beside.tlb, HOT_B_TLB);
HOT(beside.lines, HOT_B_LINES);
HOT(beside.write_cpus, HOT_B_WRITE_CPUS);
HOT(beside.sites, HOT_B_SITES);
HOT(beside.code, HOT_B_CODE);
HOT(beside.me, HOT_B_ME);
HOT(cur_blk, HOT_CUR_BLK);
#define AT(s, f, o) _Static_assert(offsetof(struct s, f) == (o), #f)
AT(bt_site, op, SITE_OP_AT);
AT(bt_site, blk, SITE_BLK_AT);
AT(bt_site, size, SITE_SIZE_AT);
AT(bt_site, acc, SITE_ACC_AT);
AT(bt_site, flags, SITE_FLAGS_AT);
AT(bt_tlb, host, TLB_HOST_AT);
AT(bt_tlb, addend, TLB_ADDEND_AT);
AT(bt_tlb, ctag, TLB_CTAG_AT);
AT(bt_tlb, cgpa, TLB_CGPA_AT);
_Static_assert(sizeof(struct bt_site) == 1 << SITE_SHIFT && SITE_PLAIN_NOT == (SITE_GROUP | SITE_MASKED) && SITE_FLSLOT_BIT == SITE_FLSLOT &&
                   SITE_BASE_BIT == SITE_BASE && SITE_WRITES == ACC_W, "as bt_stub_mem has them");
_Static_assert(offsetof(struct cpu, s.gpr) == 0 && sizeof(struct cpu) <= BT_HOT, "gs:[0] is RAX");

/* ---- engine/cpu asks ---- */

static uint64_t *pte_ptr(struct cpu *c, uint64_t gpa)
{
    return (uint64_t *)(void *)bt_ram_ptr(CPU2BT(c), gpa & ~7ull, true);
}
static void pte_written(struct cpu *c, uint64_t gpa) { bt_code_written_local(CPU2BT(c), gpa & ~7ull, 8); }

static void flush_tlb(struct cpu *c, bool global)
{
    struct bt_cpu *bc = CPU2BT(c);
    if (bc->v->smm != (c->s.smm != 0)) { /* SMI and RSM store and load their map in the view of SMM, between two flushes */
        bc->v->smm = c->s.smm != 0;
        bc->view = memmap_view(bc->v->vm, bc->v->smm);
        bc->view_stale = true;
    }
    bt_tlb_flush(bc, global);
    bt_new_ctx(bc, global);
    if (global)
        bt_large_forget(bc);
}
static void flush_page(struct cpu *c, uint64_t lin)
{
    bt_invlpg(CPU2BT(c), lin);
}
static void mode_changed(struct cpu *c) { CPU2BT(c)->mode_dirty = true; }

static uint64_t port_in(struct cpu *c, uint16_t port, unsigned size)
{
    struct bt_cpu *bc = CPU2BT(c);
    bt_fpu_out(bc);
    return bus_read(bc->v, true, port, size);
}
static void port_out(struct cpu *c, uint16_t port, unsigned size, uint64_t val)
{
    struct bt_cpu *bc = CPU2BT(c);
    bt_fpu_out(bc);
    bus_write(bc->v, true, port, size, val);
}
static int apic_msr(struct cpu *c, uint32_t msr, bool write, uint64_t *val)
{
    struct bt_cpu *bc = CPU2BT(c);
    const struct intr_ctl *ic = intr_get_ctl(bc->v->vm);
    bt_fpu_out(bc);
    if (!ic || !ic->msr_read)
        return -1;
    return write ? ic->msr_write(ic->ctl, bc->v, msr, *val) : ic->msr_read(ic->ctl, bc->v, msr, val);
}
static uint8_t cr8_get(struct cpu *c)
{
    struct bt_cpu *bc = CPU2BT(c);
    const struct intr_ctl *ic = intr_get_ctl(bc->v->vm);
    bt_fpu_out(bc);
    return ic && ic->tpr_get ? ic->tpr_get(ic->ctl, bc->v) : (uint8_t)c->s.cr8;
}
static void cr8_set(struct cpu *c, uint8_t v)
{
    struct bt_cpu *bc = CPU2BT(c);
    const struct intr_ctl *ic = intr_get_ctl(bc->v->vm);
    bt_fpu_out(bc);
    c->s.cr8 = v;
    if (ic && ic->tpr_set)
        ic->tpr_set(ic->ctl, bc->v, v);
    bc->intr_check = true;
}
static uint64_t tsc(struct cpu *c) { return __builtin_ia32_rdtsc() + (uint64_t)CPU2BT(c)->tsc_off; }

static uint64_t pseudo_perfctr(struct cpu *c, unsigned n)
{
    struct bt_cpu *bc = CPU2BT(c);
    bt_fpu_out(bc);
    return n == 0 ? __builtin_ia32_rdtsc() : n == 1 ? (uint64_t)clock_real(bc->v->vm) : (uint64_t)clock_now(bc->v->vm);
}

static void watch(struct cpu *c, uint64_t lin, unsigned n, unsigned acc)
{
    if (CPU2BT(c)->dr_watch)
        bt_watch_check(CPU2BT(c), lin, n, acc);
}

static void guest_says(struct cpu *c, const char *what, uint64_t a, uint64_t b)
{
    struct bt_cpu *bc = CPU2BT(c);
    bt_fpu_out(bc);
    guest_error("cpu", "vCPU %u: %s (%#llx, %#llx) at rip %#llx", c->index, what, (unsigned long long)a, (unsigned long long)b,
                (unsigned long long)c->s.rip);
}

const struct cpu_ops bt_cpu_ops = {
    .translate = bt_translate_acc,
    .phys_read = bt_phys_read,
    .phys_write = bt_phys_write,
    .pte_ptr = pte_ptr,
    .pte_written = pte_written,
    .flush_tlb = flush_tlb,
    .flush_page = flush_page,
    .flush_pcid = bt_flush_pcid,
    .cr3_switched = bt_cr3_switched,
    .mode_changed = mode_changed,
    .port_in = port_in,
    .port_out = port_out,
    .apic_msr = apic_msr,
    .cr8_get = cr8_get,
    .cr8_set = cr8_set,
    .tsc = tsc,
    .pseudo_perfctr = pseudo_perfctr,
    .watch = watch,
    .guest_error = guest_says,
};

/* ---- struct cpu_backend ---- */

static void xsave_layout(struct bt_vm *bv)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return;
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    bv->host_xcr0 = lo | (uint64_t)hi << 32;
    /* State that this back end does not give to guests stays the host's. */
    bv->host_xcr0 &= 0xe7;
    for (unsigned i = 2; i < 63; i++) {
        if (!(bv->host_xcr0 >> i & 1))
            continue;
        __cpuid_count(0xd, i, a, b, c, d);
        bv->comp[i].size = a;
        bv->comp[i].off = b;
        bv->comp[i].align64 = c & 2;
    }
}

static int vm_init(struct vm *vm, struct err *e)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_BMI2))
        return err_set(e, ERR_UNSUPPORTED, 0, "The binary translator needs a processor with BMI2 (Intel since 2013, AMD since 2015)");
    struct bt_vm *bv = calloc(1, sizeof *bv);
    if (!bv)
        return err_set(e, ERR_NOMEM, 0, "Not enough memory for the binary translator");
    bv->vm = vm;
    const struct vm_params *p = vm_get_params(vm);
    bv->n = p->n_vcpus;
    bv->watch_mask = p->engine_stress == BT_STRESS_WATCH ? 0 : p->engine_stress & BT_STRESS_WATCH ? 3 : ~0ull;
    if (bv->n > 8) {
        free(bv);
        return err_set(e, ERR_UNSUPPORTED, 0, "The binary translator runs at most 8 virtual processors, the VM asks for %u: lower numvcpus", p->n_vcpus);
    }
    xsave_layout(bv);
    cpu_features_init(&bv->feat, &p->cpu, p->n_vcpus, clock_tsc_khz(vm));
    bt_isa_init(bv);
    bv->n_pfn = (p->ram >> 12) + (1u << 20); /* RAM above the PCI hole starts at 4 GiB */
    size_t n = bv->n_pfn;
    bv->code_lines = mmap(NULL, n * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    bv->code_cpus = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    bv->write_cpus = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    bv->mark_seq = mmap(NULL, n * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (unsigned i = 0; i < 64; i++)
        pthread_mutex_init(&bv->page_lock[i], NULL);
    if (bv->mark_seq == MAP_FAILED || bv->code_lines == MAP_FAILED || bv->code_cpus == MAP_FAILED || bv->write_cpus == MAP_FAILED)
        return err_set(e, ERR_NOMEM, errno, "Not enough address space for the binary translator's page tables");
    vm_set_backend_data(vm, bv);
    return bt_signals_init(e);
}

static void vm_fini(struct vm *vm)
{
    struct bt_vm *bv = vm_backend_data(vm);
    if (!bv)
        return;
    munmap(bv->code_lines, bv->n_pfn * 8);
    munmap(bv->code_cpus, bv->n_pfn);
    munmap(bv->write_cpus, bv->n_pfn);
    munmap(bv->mark_seq, bv->n_pfn * 2);
    for (unsigned i = 0; i < 64; i++)
        pthread_mutex_destroy(&bv->page_lock[i]);
    free(bv);
    vm_set_backend_data(vm, NULL);
}

static int vcpu_init(struct vcpu *v, struct err *e)
{
    struct bt_vm *bv = vm_backend_data(v->vm);
    const struct vm_params *p = vm_get_params(v->vm);
    struct bt_cpu *bc = mmap(NULL, sizeof *bc, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bc == MAP_FAILED)
        return err_set(e, ERR_NOMEM, errno, "Not enough memory for a virtual processor");
    v->be = bc;
    bc->self = bc;
    bc->tr_page = bc->tr_page2 = 1;
    bc->v = v;
    bc->bv = bv;
    bc->himask = ~0xfffull;
    bc->himask8 = ~0xfffull | 7;
    bc->himask4 = ~0xfffull | 3;
    bc->bitmask[0] = 15;
    bc->bitmask[1] = 31;
    bc->bitmask[2] = 63;
    pthread_mutex_init(&bc->shoot.lock, NULL);
    bc->c.feat = &bv->feat;
    bc->c.ops = &bt_cpu_ops;
    bc->c.index = v->index;
    bc->c.apic_id = v->apic_id;
    bc->c.n_cpus = p->n_vcpus;
    bc->c.cores_per_socket = p->cpu.cores_per_socket ? p->cpu.cores_per_socket : 1;
    bc->c.tsc_khz = clock_tsc_khz(v->vm);
    bc->tsc_off = clock_tsc_offset(v->vm);
    ZydisDecoderInit(&bc->dec[0], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    ZydisDecoderInit(&bc->dec[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    ZydisDecoderInit(&bc->dec[2], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (unsigned i = 0; i < 3; i++) {
        ZydisDecoderEnableMode(&bc->dec[i], ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE); /* not offered: its encodings are NOPs */
        ZydisDecoderEnableMode(&bc->dec[i], ZYDIS_DECODER_MODE_CET, ZYAN_FALSE); /* nor this: 3Eh of a near CALL or JMP is DS, not NOTRACK */
        ZydisDecoderEnableMode(&bc->dec[i], ZYDIS_DECODER_MODE_AMD_BRANCHES, bv->feat.amd);
    }
    bt_stress_init(bc, p->engine_stress, p->engine_seed);
    if (bt_cache_init(bc, e) < 0)
        return -1;
    bt_tlb_init(bc);
    bt_beside_init(bc);
    bt_cache_flush(bc);
    bv->cpu[v->index] = bc;
    bc->mode = ~0u;
    cpu_reset(&bc->c, false);
    bc->view_stale = true;
    return 0;
}

static void vcpu_fini(struct vcpu *v)
{
    struct bt_cpu *bc = v->be;
    if (!bc)
        return;
    bt_stress_fini(bc);
    bt_cache_fini(bc);
    pthread_mutex_destroy(&bc->shoot.lock);
    munmap(bc, sizeof *bc);
    v->be = NULL;
}

/* Outside of run(), where other vCPUs drop entries of this one's TLB and its blocks themselves (bt_shoot_others): not while these
 * functions are at it. INIT comes to an AP while the others run. */
static void reset(struct vcpu *v, bool init)
{
    struct bt_cpu *bc = v->be;
    pthread_mutex_lock(&bc->shoot.lock);
    cpu_reset(&bc->c, init);
    bt_flags_out(bc);
    bc->mode = ~0u;
    bc->mode_dirty = true;
    bc->view_stale = true;
    bc->intr_check = true;
    bt_watch_update(bc);
    pthread_mutex_unlock(&bc->shoot.lock);
}
static void sipi(struct vcpu *v, uint8_t vector)
{
    struct bt_cpu *bc = v->be;
    cpu_sipi(&bc->c, vector);
    bc->mode_dirty = true;
}

static int view_changed(struct vm *vm, const struct memview *old, const struct memview *cur, struct err *e)
{
    (void)old;
    (void)cur;
    (void)e;
    for (unsigned i = 0; i < vm_vcpu_count(vm); i++) {
        struct vcpu *v = vm_vcpu(vm, i);
        if (v && v->be) {
            if (v == vcpu_current())
                ((struct bt_cpu *)v->be)->view_stale = true; /* seen when its bus access is over */
            vcpu_request(v, VR_VIEW);
        }
    }
    return 0;
}

static void code_written(struct vm *vm, gpa_t a, uint64_t n)
{
    struct bt_vm *bv = vm_backend_data(vm);
    if (!bv || !n)
        return;
    for (uint64_t p = a >> 12; p <= (a + n - 1) >> 12 && p < bv->n_pfn; p++) {
        if (!__atomic_load_n(&bv->code_lines[p], __ATOMIC_SEQ_CST))
            continue;
        uint8_t who = __atomic_load_n(&bv->code_cpus[p], __ATOMIC_SEQ_CST);
        struct vcpu *me = vcpu_current();
        for (unsigned i = 0; i < bv->n; i++) {
            if (!(who & (1u << i)) || !bv->cpu[i])
                continue;
            if (me && me->be == bv->cpu[i]) {
                bt_drop_lines(bv->cpu[i], p << 12, PAGE);
                bt_code_left(bv->cpu[i], p << 12);
                continue;
            }
            struct bt_cpu *t = bv->cpu[i];
            pthread_mutex_lock(&t->shoot.lock);
            if (t->shoot.n == SHOOT_N) {
                t->shoot.all_code = true;
            } else {
                t->shoot.q[t->shoot.n].kind = SHOOT_CODE;
                t->shoot.q[t->shoot.n].gpa = p << 12;
                t->shoot.q[t->shoot.n++].len = PAGE;
            }
            t->shoot.posted++;
            pthread_mutex_unlock(&t->shoot.lock);
            vcpu_request(t->v, VR_TLB);
        }
    }
}

/* What was written since the last call. Write entries are removed after the bits are taken; a write in between would go unseen, so each page whose
 * entry is removed is marked once more. */
static int fetch_dirty(struct vm *vm, struct memblk *b, unsigned long *bitmap)
{
    struct bt_vm *bv = vm_backend_data(vm);
    size_t words = (b->size / PAGE + 63) / 64;
    bool any = false;
    for (size_t i = 0; i < words; i++) {
        if (!__atomic_load_n(&b->dirty[i], __ATOMIC_RELAXED))
            continue;
        bitmap[i] |= __atomic_exchange_n(&b->dirty[i], 0, __ATOMIC_SEQ_CST);
        any = true;
    }
    if (!any || !bv)
        return 0;
    for (unsigned i = 0; i < bv->n; i++) {
        struct bt_cpu *t = bv->cpu[i];
        if (!t)
            continue;
        if (!atomic_load(&t->n_tracked)) /* it is counted before the bit is set */
            continue;
        pthread_mutex_lock(&t->shoot.lock);
        t->shoot.tracked = true;
        t->shoot.posted++;
        pthread_mutex_unlock(&t->shoot.lock);
        vcpu_request(t->v, VR_TLB);
    }
    return 0;
}

static void clock_changed(struct vm *vm, int64_t now, bool running)
{
    (void)now;
    (void)running;
    struct bt_vm *bv = vm_backend_data(vm);
    for (unsigned i = 0; bv && i < bv->n; i++)
        if (bv->cpu[i])
            bv->cpu[i]->tsc_off = clock_tsc_offset(vm);
}

static void get(struct vcpu *v, struct cpu_state *s, unsigned mask)
{
    struct bt_cpu *bc = v->be;
    if (mask & CPU_FPU)
        bt_fpu_out(bc);
    cpu_copy(s, &bc->c.s, sizeof *s);
    if (s->rip != bc->shadow_rip)
        s->intr_shadow = 0; /* the instruction that it was for is done */
    uint64_t trap = bc->watch_dr6 & ~(uint64_t)WATCH_DEBUGGER;
    if (bc->db_pending && trap && !s->exc_pending) { /* a trap that follows the last instruction */
        s->exc_pending = 1;
        s->exc_vector = X_DB;
        s->exc_has_code = 0;
        s->exc_code = 0;
        s->dr6 = (s->dr6 & ~15ull) | trap;
    }
}
static int set(struct vcpu *v, const struct cpu_state *s, unsigned mask, struct err *e)
{
    struct bt_cpu *bc = v->be;
    (void)e;
    if (mask == CPU_GPR) {
        cpu_copy(bc->c.s.gpr, s->gpr, sizeof s->gpr);
        bc->c.s.rip = s->rip;
        bc->c.s.rflags = s->rflags;
        return 0;
    }
    bt_fpu_out(bc);
    cpu_copy(&bc->c.s, s, sizeof *s);
    bc->c.cpl = s->rflags & FL_VM ? 3 : (uint8_t)SEG_DPL(s->seg[S_SS].attr);
    bc->shadow_rip = s->rip;
    bc->watch_dr6 &= WATCH_DEBUGGER; /* the guest's own trap is exc_pending */
    bc->db_pending = bc->watch_dr6 != 0;
    bc->mode = ~0u;
    bc->mode_dirty = bc->view_stale = bc->intr_check = true;
    bt_watch_update(bc);
    return 0;
}

static int crash_report(struct vcpu *v, char *buf, unsigned n)
{
    struct bt_cpu *bc = v->be;
    unsigned at = put_hex(buf, n, 0, "guest rip ", bc->c.s.rip);
    at = put_hex(buf, n, at, " mode ", bc->mode);
    if (bc->cur_blk && bc->cur_blk < bc->n_blocks) {
        const struct bt_block *b = &bc->blocks[bc->cur_blk];
        at = put_hex(buf, n, at, " block at rip ", bc->cells[b->cpage].va + b->off);
        at = put_hex(buf, n, at, " physical ", bc->cpages[b->cpage].gpa + b->off);
        at = put_hex(buf, n, at, " code ", (uint64_t)(uintptr_t)bc->code_rx + b->code);
    }
    buf[at] = 0;
    return (int)at;
}

void bt_get_stats(struct vm *vm, struct bt_stats *o)
{
    struct bt_vm *bv = vm_backend_data(vm);
    cpu_zero(o, sizeof *o);
    for (unsigned i = 0; bv && i < bv->n; i++) {
        const struct bt_cpu *t = bv->cpu[i];
        if (!t)
            continue;
        o->blocks += t->n_blocks;
        o->code_bytes += t->code_used + t->cold_used - CODE_HALF;
        o->code_limit += 2ull * t->code_limit;
        o->flushes += t->st.flushes;
        o->translations += t->st.translations;
        o->tlb_fills += t->st.tlb_fills;
        o->slow_accesses += t->st.slow_accesses;
        o->callouts += t->st.callouts;
        o->interrupts += t->st.interrupts;
        o->exceptions += t->st.exceptions;
        o->smc_drops += t->st.smc_drops;
        o->revivals += t->st.revivals;
        o->hot_blocks += t->st.hot_blocks;
    }
}

const struct cpu_backend bt_backend = {
    .name = "bt",
    .caps = CPUCAP_SMM | CPUCAP_DIRTY,
    .vm_init = vm_init,
    .vm_fini = vm_fini,
    .view_changed = view_changed,
    .fetch_dirty = fetch_dirty,
    .code_written = code_written,
    .clock_changed = clock_changed,
    .vcpu_init = vcpu_init,
    .vcpu_fini = vcpu_fini,
    .vcpu_thread_start = bt_thread_start,
    .run = bt_run,
    .kick = bt_kick,
    .reset = reset,
    .sipi = sipi,
    .get = get,
    .set = set,
    .debug_points = bt_debug_points,
    .debug_resume = bt_debug_resume,
    .debug_mem = bt_debug_mem,
    .crash_report = crash_report,
    .cpu_state = &cpu_state_desc,
    .cpu_state_size = sizeof(struct cpu_state),
};
