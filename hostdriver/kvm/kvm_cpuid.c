/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest's processor is: the same leaves as under BT (engine/cpu/cpuid.c), less what this host's KVM cannot
 * give. The leaves go to the kernel once; what depends on the processor's state (OSXSAVE, APIC, the XSAVE area's size)
 * the kernel fills in as it executes CPUID.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "core/clock.h"
#include "kvm/kvm_private.h"

#define MAX_ENTRIES 160

struct cpuid_table {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 e[MAX_ENTRIES];
};

/* ---- engine/cpu asks its processor: the shadow has no memory and no guest ---- */

static int no_translate(struct cpu *c, uint64_t lin, unsigned acc, uint8_t **host, uint64_t *gpa) { return cpu_raise(c, X_GP); }
static void no_read(struct cpu *c, uint64_t gpa, void *buf, unsigned n) { memset(buf, 0xff, n); }
static void no_write(struct cpu *c, uint64_t gpa, const void *buf, unsigned n) {}
static uint64_t *no_pte(struct cpu *c, uint64_t gpa) { return NULL; }
static void no_flush(struct cpu *c, bool global) {}
static void no_flush_page(struct cpu *c, uint64_t lin) {}
static void no_flush_pcid(struct cpu *c, unsigned pcid, bool all) {}
static void no_mode(struct cpu *c) {}
static int apic_on(struct cpu *c, uint32_t msr, bool write, uint64_t *val)
{
    if (msr != 0x1b || write)
        return -1;
    *val = 0xfee00800;
    return 0;
}
static uint8_t no_cr8(struct cpu *c) { return 0; }
static void no_cr8_set(struct cpu *c, uint8_t v) {}
static uint64_t no_tsc(struct cpu *c) { return 0; }
static void says(struct cpu *c, const char *what, uint64_t a, uint64_t b)
{
    guest_error("cpu", "vCPU %u: %s (%#llx, %#llx)", c->index, what, (unsigned long long)a, (unsigned long long)b);
}

const struct cpu_ops vt_cpu_ops = {
    .translate = no_translate,
    .phys_read = no_read,
    .phys_write = no_write,
    .pte_ptr = no_pte,
    .flush_tlb = no_flush,
    .flush_page = no_flush_page,
    .flush_pcid = no_flush_pcid,
    .mode_changed = no_mode,
    .apic_msr = apic_on,
    .cr8_get = no_cr8,
    .cr8_set = no_cr8_set,
    .tsc = no_tsc,
    .guest_error = says,
};

/* ---- what this KVM can give ---- */

void vt_cpuid_limit(int sys, struct vt_probe *p)
{
    struct cpuid_table *t = calloc(1, sizeof *t);
    p->n_leaves = 0;
    if (!t)
        return;
    t->head.nent = MAX_ENTRIES;
    if (kvm_call(sys, KVM_GET_SUPPORTED_CPUID, t) == 0)
        for (unsigned i = 0; i < t->head.nent && i < MAX_ENTRIES && p->n_leaves < sizeof p->leaf / sizeof p->leaf[0]; i++) {
            const struct kvm_cpuid_entry2 *e = &t->e[i];
            p->leaf[p->n_leaves++] = (struct cpuid_leaf){e->function, e->index, e->eax, e->ebx, e->ecx, e->edx, true};
        }
    free(t);
}

/* ---- the guest's leaves ---- */

static void add(struct cpuid_table *t, struct vt_cpu *c, uint32_t leaf, uint32_t sub, bool significant)
{
    uint32_t r[4];
    if (t->head.nent == MAX_ENTRIES)
        return;
    for (unsigned i = 0; i < t->head.nent; i++)
        if (t->e[i].function == leaf && t->e[i].index == sub)
            return;
    cpu_cpuid(&c->shadow, leaf, sub, r);
    t->e[t->head.nent++] = (struct kvm_cpuid_entry2){
        .function = leaf, .index = sub, .flags = significant ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0, .eax = r[0], .ebx = r[1], .ecx = r[2], .edx = r[3]};
}

int vt_cpuid_set(struct vt_cpu *c, struct err *e)
{
    const struct cpu_features *f = &c->m->feat;
    struct cpuid_table *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(e, ERR_NOMEM, 0, "Out of memory.");
    /* cpu_cpuid hides SYSCALL outside 64-bit mode on Intel, which the kernel does not; the leaf is that of 64-bit mode. */
    c->shadow.s.efer |= EFER_LMA;
    c->shadow.s.seg[S_CS].attr |= SEG_L;
    for (unsigned i = 0; i < f->n; i++)
        add(t, c, f->leaf[i].leaf, f->leaf[i].subleaf, f->leaf[i].has_subleaf);
    if (f->max_basic >= 0xb) {
        add(t, c, 0xb, 0, true);
        add(t, c, 0xb, 1, true);
    }
    c->shadow.s.efer &= ~(uint64_t)EFER_LMA;
    c->shadow.s.seg[S_CS].attr &= (uint16_t)~SEG_L;
    int rc = kvm_call(c->fd, KVM_SET_CPUID2, t) < 0 ? vt_fail(e, "the processor's features (CPUID)") : 0;
    free(t);
    return rc;
}
