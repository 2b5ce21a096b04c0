/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One state for both engines: processors with every field random, but such as a processor can have it, are given to an
 * engine, taken back and compared; to the other engine from there, and back. The local APIC's registers likewise. Without
 * a /dev/kvm that works only binary translation is tested: tests/boot/nested.py runs this where there is one.
 *
 *   state_trip_test [ROUNDS [SEED]]
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "bt/bt.h"
#include "core/irq.h"
#include "core/state.h"
#include "core/vm.h"
#include "cpu/cpu.h"
#include "kvm/kvm.h"
#include "tests/tap.h"

#define RAM (1u << 20)

static uint64_t rnd_state;
static uint64_t rnd(void)
{
    rnd_state = rnd_state * 6364136223846793005ull + 1442695040888963407ull;
    uint64_t x = rnd_state ^ rnd_state >> 29;
    return (x * 0x9e3779b97f4a7c15ull) ^ x >> 31;
}
static unsigned below(unsigned n) { return (unsigned)(rnd() >> 33) % n; }
static bool chance(unsigned percent) { return below(100) < percent; }
static uint64_t canonical(void) { return (uint64_t)((int64_t)(rnd() << 16) >> 16); }

/* ---- machines ---- */

struct box {
    const struct cpu_backend *be;
    struct vm *vm;
    struct vcpu *v;
    struct memblk blk;
    struct memregion mr;
};
static struct vt_probe probe;
static struct cpu_features feat;

static bool pending(void *ctl, struct vcpu *v)
{
    (void)ctl, (void)v;
    return false;
}
static int take(void *ctl, struct vcpu *v)
{
    (void)ctl, (void)v;
    return -1;
}

static bool box_make(struct box *b, const struct cpu_backend *be, struct err *e)
{
    struct vm_params p = {.n_vcpus = 1, .ram = RAM, .tsc_khz = probe.tsc_khz ? probe.tsc_khz : 2000000,
                          .cpu = {.cores_per_socket = 1, .bus_khz = VT_BUS_KHZ, .limit = probe.n_leaves ? probe.leaf : NULL, .n_limit = probe.n_leaves}};
    b->be = be;
    if (!(b->vm = vm_create(&p, be, NULL, NULL, e)))
        return false;
    struct intr_ctl ic = {.pending = pending, .take = take};
    intr_set_ctl(b->vm, &ic);
    b->blk = (struct memblk){.host = aligned_alloc(4096, RAM), .size = RAM, .fd = -1};
    memset(b->blk.host, 0, RAM);
    b->mr = (struct memregion){.owner = "ram", .size = RAM, .kind = MR_RAM, .enabled = true, .blk = &b->blk};
    memmap_begin(b->vm);
    memmap_add(b->vm, &b->mr);
    b->v = vm_vcpu(b->vm, 0);
    cpu_features_init(&feat, &p.cpu, 1, p.tsc_khz);
    return memmap_commit(b->vm, e) == 0;
}

static void box_end(struct box *b)
{
    if (b->vm)
        vm_destroy(b->vm);
    free(b->blk.host);
}

/* ---- a processor ---- */

enum mode { REAL, V86, PROT, PAE, LONG, COMPAT, SMM, MODES };
static const char *const mode_names[MODES] = {"real mode", "virtual-8086 mode", "protected mode", "PAE paging", "64-bit mode", "compatibility mode", "SMM"};

static struct cpu_seg seg(uint16_t sel, unsigned type, bool system, unsigned dpl, unsigned more, uint32_t limit, uint64_t base)
{
    uint16_t attr = (uint16_t)(type | (system ? 0u : SEG_S) | dpl << 5 | SEG_P | more);
    if (limit > 0xfffff) {
        attr |= SEG_G;
        limit |= 0xfff;
    } else {
        attr &= (uint16_t)~SEG_G;
    }
    return (struct cpu_seg){.sel = sel, .attr = attr, .limit = limit, .base = base};
}

static void segments(struct cpu_state *s, enum mode m, unsigned cpl)
{
    static const struct cpu_seg none;
    for (unsigned i = 0; i < S_COUNT; i++) {
        if (m == REAL || m == V86 || m == SMM) {
            uint16_t sel = (uint16_t)rnd();
            s->seg[i] = (struct cpu_seg){.sel = sel, .base = (uint64_t)sel << 4, .limit = 0xffff, .attr = m == V86 ? 0xf3 : 0x93};
            if (m == SMM)
                s->seg[i].limit = ~0u, s->seg[i].attr |= SEG_G;
            continue;
        }
        uint64_t base = m == LONG && i < S_FS ? 0 : m == LONG || (m == COMPAT && i >= S_FS) ? canonical() : (uint32_t)rnd();
        uint32_t limit = chance(50) ? ~0u : (uint32_t)rnd();
        uint16_t sel = (uint16_t)((rnd() & 0xfff8) | (i == S_CS || i == S_SS ? cpl : below(4)));
        unsigned avl = chance(50) ? 0x1000 : 0;
        if (i == S_CS) {
            s->seg[i] = seg(sel | 8, chance(50) ? 11 : 9, false, cpl, (m == LONG ? SEG_L : chance(70) ? SEG_DB : 0) | avl, limit, base);
        } else if (i == S_SS) {
            s->seg[i] = seg(sel | 8, 3, false, cpl, (chance(70) ? SEG_DB : 0) | avl, limit, base);
        } else if (chance(20)) {
            s->seg[i] = none; /* a null selector */
            s->seg[i].base = m == LONG && i >= S_FS ? base : 0;
        } else {
            static const uint8_t types[] = {1, 3, 5, 7, 11, 15};
            s->seg[i] = seg(sel | 8, types[below(sizeof types)], false, below(4), (chance(50) ? SEG_DB : 0) | avl, limit, base);
        }
    }
    bool wide = m == LONG || m == COMPAT;
    s->tr = seg((uint16_t)(rnd() & 0xfff8) | 8, wide || chance(70) ? 11 : 3, true, 0, 0, 0x67 + below(0x2000), wide ? canonical() : (uint32_t)rnd());
    s->ldtr = none;
    if (chance(50) && m != REAL)
        s->ldtr = seg((uint16_t)(rnd() & 0xfff8) | 8, 2, true, 0, 0, (uint32_t)rnd() & 0xffff, wide ? canonical() : (uint32_t)rnd());
    s->gdtr = (struct cpu_dtable){.base = wide ? canonical() : (uint32_t)rnd(), .limit = (uint16_t)rnd()};
    s->idtr = (struct cpu_dtable){.base = wide ? canonical() : (uint32_t)rnd(), .limit = (uint16_t)rnd()};
}

static void msrs(struct cpu_state *s)
{
    uint64_t phys = ((1ull << feat.phys_bits) - 1) & ~0xfffull;
    static const uint8_t types[] = {0, 1, 4, 5, 6};
    s->star = rnd();
    s->lstar = canonical();
    s->cstar = canonical();
    s->sfmask = (uint32_t)rnd();
    s->kernel_gs_base = canonical();
    s->sysenter_cs = (uint16_t)rnd();
    s->sysenter_esp = feat.amd ? (uint32_t)rnd() : canonical();
    s->sysenter_eip = feat.amd ? (uint32_t)rnd() : canonical();
    s->pat = s->mtrr_def = 0;
    for (unsigned i = 0; i < 8; i++)
        s->pat |= (uint64_t)(chance(20) ? 7 : types[below(5)]) << (8 * i);
    s->mtrr_def = types[below(5)] | (rnd() & 0xc00);
    for (unsigned i = 0; i < 11; i++)
        for (unsigned k = 0; k < 8; k++)
            s->mtrr_fixed[i] = s->mtrr_fixed[i] << 8 | types[below(5)];
    for (unsigned i = 0; i < 8; i++) {
        s->mtrr_base[i] = (rnd() & phys) | types[below(5)];
        s->mtrr_mask[i] = (rnd() & phys) | (chance(50) ? 0x800 : 0);
    }
    s->tsc_aux = (uint32_t)rnd();
    s->tsc_adjust = rnd() >> 8;
    s->misc_enable = 1 | 1 << 11 | 1 << 12 | (rnd() & (1ull << 3 | 1ull << 22 | 1ull << 34));
    s->debugctl = chance(50) ? 0 : rnd() & 3;
    s->spec_ctrl = feat.spec_ctrl ? rnd() & 3 : 0;
    s->mcg_status = rnd() & 7;
    s->mcg_ctl = chance(50) ? ~0ull : 0;
    for (unsigned i = 0; i < 32; i++)
        s->mc_regs[i] = i % 4 == 0 ? (chance(50) ? ~0ull : 0) : rnd();
    if (feat.amd) {
        s->syscfg = rnd() & 0x7c0000;
        s->hwcr = rnd() & 0x40018;
        s->top_mem = rnd() & 0xffffff800000ull;
        s->top_mem2 = rnd() & 0xffffff800000ull;
    }
    s->smbase = (uint32_t)rnd();
    s->xss = 0;
}

static void vectors(struct cpu_state *s)
{
    for (unsigned i = 0; i < sizeof s->xsave; i += 8)
        st_le64(s->xsave + i, rnd());
    st_le16(s->xsave + 4, ld_le16(s->xsave + 4) & 0xff);  /* abridged tag word, reserved */
    st_le16(s->xsave + 6, ld_le16(s->xsave + 6) & 0x7ff); /* FOP */
    st_le32(s->xsave + 24, 0x1f80 | (uint32_t)(rnd() & 0xe03f));
    uint32_t mask = 0xffff;
    uint8_t fx[512] __attribute__((aligned(16)));
    __asm__ volatile("fxsave %0" : "=m"(fx));
    if (ld_le32(fx + 28))
        mask = ld_le32(fx + 28);
    st_le32(s->xsave + 28, mask);
    for (unsigned i = 0; i < 8; i++)
        memset(s->xsave + 32 + 16 * i + 10, 0, 6);
    memset(s->xsave + 416, 0, 512 + 64 - 416);
    s->xcr0 = feat.xsave ? feat.xcr0_valid : 1;
    st_le64(s->xsave + 512, s->xcr0 & 0xe7);
    /* Beyond the components there is nothing. */
    static const struct {
        unsigned bit, at, size;
    } part[] = {{2, 576, 256}};
    unsigned used = 576;
    for (unsigned i = 0; i < 1; i++)
        if (s->xcr0 >> part[i].bit & 1)
            used = part[i].at + part[i].size;
    if ((s->xcr0 & 0xe0) != 0xe0)
        memset(s->xsave + used, 0, sizeof s->xsave - used);
    else {
        memset(s->xsave + 832, 0, 1088 - 832); /* MPX, which is not offered */
        memset(s->xsave + 2688, 0, sizeof s->xsave - 2688);
    }
}

static void events(struct cpu_state *s, bool smm)
{
    static const struct {
        uint8_t vector, code;
    } exc[] = {{X_DE, 0}, {X_UD, 0}, {X_GP, 1}, {X_PF, 1}, {X_SS, 1}, {X_AC, 1}, {X_DB, 0}};
    s->run_state = chance(20) ? CPU_HALTED : CPU_RUNNING;
    s->nmi_blocked = chance(30) || smm;
    s->nmi_pending = s->nmi_blocked ? (uint8_t)below(2) : (uint8_t)below(3);
    s->smi_pending = s->init_pending = 0;
    s->sipi_vector = (uint8_t)rnd();
    s->smm = smm;
    s->smm_nmi = smm && chance(50);
    if (chance(30)) {
        unsigned k = below(sizeof exc / sizeof exc[0]);
        s->exc_pending = 1;
        s->exc_vector = exc[k].vector;
        s->exc_has_code = exc[k].code;
        s->exc_code = exc[k].code ? (uint32_t)rnd() & 0xfff8 : 0;
        s->run_state = CPU_RUNNING;
    } else if (chance(20) && (s->rflags & FL_IF)) {
        s->intr_pending = 1;
        s->intr_vector = (uint8_t)(32 + below(224));
        s->run_state = CPU_RUNNING;
    } else if (chance(20) && s->run_state == CPU_RUNNING && (s->rflags & FL_IF)) {
        s->intr_shadow = 1;
    }
}

static void make(struct cpu_state *s, enum mode m)
{
    bool wide = m == LONG || m == COMPAT;
    unsigned cpl = m == REAL || m == SMM ? 0 : m == V86 ? 3 : chance(50) ? 3 : 0;
    memset(s, 0, sizeof *s);
    for (unsigned i = 0; i < (wide ? 16 : 8); i++)
        s->gpr[i] = wide ? rnd() : (uint32_t)rnd();
    s->rip = m == LONG ? canonical() : m == REAL || m == V86 ? (uint16_t)rnd() : (uint32_t)rnd();
    s->rflags = 2 | (rnd() & 0x244ed5); /* CF PF AF ZF SF IF DF OF NT AC ID */
    if (m == V86)
        s->rflags |= FL_VM;
    s->cr0 = CR0_ET | (m == REAL || m == SMM ? 0 : CR0_PE) | (rnd() & (CR0_MP | CR0_TS | CR0_NE | CR0_AM));
    if (m == PAE || wide || m == V86)
        s->cr0 |= CR0_PG | (rnd() & CR0_WP);
    s->cr4 = rnd() & feat.cr4_valid & ~(uint64_t)(CR4_PAE | CR4_PCIDE | 1ull << 18);
    if (feat.xsave && chance(70))
        s->cr4 |= 1ull << 18; /* OSXSAVE */
    if (m == PAE || wide)
        s->cr4 |= CR4_PAE;
    if (m == LONG && feat.pcid && chance(50))
        s->cr4 |= CR4_PCIDE;
    s->cr2 = wide ? canonical() : (uint32_t)rnd();
    s->cr3 = below(RAM / 4096) * 4096;
    s->efer = rnd() & (EFER_SCE | EFER_NXE) & feat.efer_valid;
    if (wide)
        s->efer |= EFER_LME | EFER_LMA;
    for (unsigned i = 0; i < 4; i++)
        s->dr[i] = wide ? canonical() : (uint32_t)rnd();
    s->dr6 = 0xffff0ff0 | (rnd() & 0xe00f);
    s->dr7 = 0x400 | (rnd() & 0x3ff); /* local and global enables, exact; all of them for execution */
    s->apic_base = 0xfee00900;
    if (m == PAE)
        for (unsigned i = 0; i < 4; i++)
            s->pdpte[i] = (rnd() & 0xff000) | 1;
    segments(s, m, cpl);
    msrs(s);
    vectors(s);
    events(s, m == SMM);
}

/* ---- comparison ---- */

static int differences;
static bool same(const char *what, const char *field, const void *a, const void *b, size_t n)
{
    if (!memcmp(a, b, n))
        return true;
    if (differences++ < 30) {
        size_t i = 0;
        while (((const uint8_t *)a)[i] == ((const uint8_t *)b)[i])
            i++;
        i &= ~(size_t)7;
        uint64_t x = 0, y = 0;
        memcpy(&x, (const uint8_t *)a + i, n - i < 8 ? n - i : 8);
        memcpy(&y, (const uint8_t *)b + i, n - i < 8 ? n - i : 8);
        printf("# %s: %s+%zu: %#llx became %#llx\n", what, field, i, (unsigned long long)x, (unsigned long long)y);
    }
    return false;
}

/* A segment that is not usable has only its selector, and FS and GS their base. */
static struct cpu_seg plain(const struct cpu_seg *s)
{
    struct cpu_seg o = *s;
    if (!(o.attr & SEG_P))
        o.attr = 0, o.limit = 0;
    return o;
}

static bool equal(const char *what, const struct cpu_state *a, const struct cpu_state *b)
{
    bool good = true;
#define SAME(f) good &= same(what, #f, &a->f, &b->f, sizeof a->f)
    SAME(gpr); SAME(rip); SAME(rflags); SAME(gdtr); SAME(idtr); SAME(cr0); SAME(cr2); SAME(cr3); SAME(cr4); SAME(dr); SAME(dr6); SAME(dr7);
    SAME(efer); SAME(xcr0); SAME(xss); SAME(star); SAME(lstar); SAME(cstar); SAME(sfmask); SAME(kernel_gs_base); SAME(sysenter_cs);
    SAME(sysenter_esp); SAME(sysenter_eip); SAME(pat); SAME(tsc_aux); SAME(tsc_adjust); SAME(apic_base); SAME(misc_enable); SAME(debugctl);
    SAME(spec_ctrl); SAME(mcg_status); SAME(mtrr_def); SAME(mtrr_fixed); SAME(mtrr_base); SAME(mtrr_mask); SAME(mc_regs); SAME(smbase);
    SAME(pdpte); SAME(run_state); SAME(intr_shadow); SAME(nmi_blocked); SAME(smm); SAME(smm_nmi); SAME(nmi_pending); SAME(smi_pending);
    SAME(init_pending); SAME(sipi_vector); SAME(exc_pending); SAME(intr_pending); SAME(mcg_ctl); SAME(syscfg); SAME(hwcr); SAME(top_mem);
    SAME(top_mem2); SAME(xsave);
    if (a->exc_pending) {
        SAME(exc_vector); SAME(exc_has_code); SAME(exc_code);
    }
    if (a->intr_pending)
        SAME(intr_vector);
    static const char *const names[] = {"es", "cs", "ss", "ds", "fs", "gs"};
    for (unsigned i = 0; i < S_COUNT; i++) {
        struct cpu_seg x = plain(&a->seg[i]), y = plain(&b->seg[i]);
        good &= same(what, names[i], &x, &y, sizeof x);
    }
    struct cpu_seg x = plain(&a->ldtr), y = plain(&b->ldtr);
    good &= same(what, "ldtr", &x, &y, sizeof x);
    x = plain(&a->tr), y = plain(&b->tr);
    x.attr |= 2, y.attr |= 2; /* busy: KVM shows it so always */
    return good & same(what, "tr", &x, &y, sizeof x);
}

static bool through(struct box *b, const char *what, const struct cpu_state *s, struct cpu_state *out)
{
    struct err e = {0};
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < 4; i++)
        st_le64(b->blk.host + (s->cr3 & 0xfffe0) + 8 * i, s->pdpte[i]);
    if (b->be->set(b->v, s, CPU_ALL, &e)) {
        if (differences++ < 30)
            printf("# %s: refused: %s\n", what, e.msg);
        return false;
    }
    b->be->get(b->v, out, CPU_ALL);
    return equal(what, s, out);
}

static bool saved(const struct cpu_state *s, struct cpu_state *out)
{
    struct err e = {0};
    struct snap_writer *w = snap_writer_new();
    size_t n;
    int rc = state_save(w, "cpu0", &cpu_state_desc, s, &e);
    const void *p = snap_writer_data(w, &n);
    struct snap_reader *r = snap_reader_new(p, n, &e);
    rc = rc || !r || state_load(r, "cpu0", &cpu_state_desc, out, &e) ? -1 : 0;
    if (rc && differences++ < 30)
        printf("# not loaded: %s\n", e.msg);
    snap_reader_free(r);
    snap_writer_free(w);
    return !rc;
}

/* ---- local APIC ---- */

static bool lapic_trip(struct box *b)
{
    struct lapic_image in = {.base = 0xfee00900}, out = {0};
    struct err e = {0};
    bool x2 = chance(40), good = true;
    if (x2)
        in.base |= 0x400;
    in.reg[2] = 0;
    in.reg[3] = 0x50014;
    in.reg[8] = (uint32_t)rnd() & 0xff;
    in.reg[0xd] = x2 ? 1 : (uint32_t)rnd() & 0xff000000;
    in.reg[0xe] = x2 ? ~0u : chance(50) ? ~0u : 0x0fffffff;
    in.reg[0xf] = 0x100 | ((uint32_t)rnd() & 0xff);
    for (unsigned i = 0; i < 8; i++) {
        in.reg[0x10 + i] = (uint32_t)rnd() & (uint32_t)rnd() & (i ? ~0u : 0xffff0000);
        in.reg[0x18 + i] = (uint32_t)rnd();
        in.reg[0x20 + i] = (uint32_t)rnd() & (i ? ~0u : 0xffff0000);
    }
    for (unsigned i = 0; i < 6; i++)
        in.reg[0x32 + i] = 0x10000 | (16 + below(240));
    unsigned timer = below(3);
    in.reg[0x32] |= timer << 17;
    in.reg[0x30] = 0x4000 | (16 + below(200));
    in.reg[0x31] = x2 ? 0 : (uint32_t)rnd() & 0xff000000;
    in.reg[0x3e] = (uint32_t)rnd() & 11;
    if (timer < 2) {
        in.reg[0x38] = 0x40000000 + ((uint32_t)rnd() >> 4);
        in.reg[0x39] = in.reg[0x38] - ((uint32_t)rnd() >> 4);
    } else {
        in.tsc_deadline = rnd() >> 1;
    }
    if (b->be->lapic->set(b->v, &in, &e)) {
        printf("# local APIC refused: %s\n", e.msg);
        return false;
    }
    b->be->lapic->get(b->v, &out);
    static const uint8_t regs[] = {2, 8, 0xd, 0xe, 0xf, 0x10, 0x11, 0x17, 0x18, 0x1f, 0x20, 0x22, 0x27, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3e};
    for (unsigned i = 0; i < sizeof regs; i++) {
        char name[24];
        snprintf(name, sizeof name, "register %02x0h", regs[i]);
        if (!(x2 && (regs[i] == 0xe || regs[i] == 2 || regs[i] == 0xd)))
            good &= same("local APIC", name, &in.reg[regs[i]], &out.reg[regs[i]], 4);
    }
    good &= same("local APIC", "base", &in.base, &out.base, 8);
    return good & same("local APIC", "deadline", &in.tsc_deadline, &out.tsc_deadline, 8);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 40;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1; /* the same states each time: what passes once passes always */
    struct err e = {0};
    struct box bt = {0}, vt = {0};
    struct cpu_state *s = aligned_alloc(64, 5 * sizeof *s), *a = s + 1, *b = s + 2, *c = s + 3, *d = s + 4;
    rnd_state = seed;
    printf("# seed %llu\n", (unsigned long long)seed);
    vt_probe(&probe);
    bool have = probe.status == VT_READY;
    if (!ok(box_make(&bt, &bt_backend, &e), "a machine for binary translation %s", e.msg))
        return TAP_DONE();
    if (have && !ok(box_make(&vt, &vt_backend, &e), "a machine for hardware virtualization %s", e.msg))
        return TAP_DONE();
    for (unsigned m = 0; m < MODES; m++) {
        bool good = true, load = true, hw = true, there_and_back = true;
        for (unsigned i = 0; i < rounds; i++) {
            if (m == SMM && have && !probe.smm)
                continue;
            make(s, (enum mode)m);
            good &= through(&bt, "BT", s, a);
            memset(d, 0, sizeof *d);
            load &= saved(s, d) && equal("saved", s, d);
            if (!have)
                continue;
            hw &= through(&vt, "VT", s, b);
            there_and_back &= through(&vt, "BT, then VT", a, c);
            there_and_back &= through(&bt, "BT, VT, then BT", c, d);
        }
        ok(good, "%s: %u states through binary translation", mode_names[m], rounds);
        ok(load, "%s: saved and loaded", mode_names[m]);
        if (have) {
            ok(hw, "%s: through hardware virtualization", mode_names[m]);
            ok(there_and_back, "%s: through both, and back", mode_names[m]);
        } else {
            skip(probe.text);
        }
    }
    if (have) {
        bool good = true;
        for (unsigned i = 0; i < rounds; i++)
            good &= lapic_trip(&vt);
        ok(good, "local APICs: %u states", rounds);
    }
    box_end(&bt);
    box_end(&vt);
    free(s);
    return TAP_DONE();
}
