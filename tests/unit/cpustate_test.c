/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The saved processor state: every field makes the round trip; impossible states are refused. */
#include <stdlib.h>
#include <string.h>

#include "core/state.h"
#include "cpu/cpu.h"
#include "tests/tap.h"

static void fill(struct cpu_state *s)
{
    memset(s, 0, sizeof *s);
    uint64_t n = 0x1111;
    /* Every number different and non-zero, so that a field that is not saved is seen. */
    uint64_t *q[] = {s->gpr,          &s->rip,          &s->cr2,          &s->cr3,       s->dr,
                     &s->star,        &s->lstar,        &s->cstar,        &s->sfmask,    &s->kernel_gs_base,
                     &s->sysenter_cs, &s->sysenter_esp, &s->sysenter_eip, &s->tsc_aux,   &s->tsc_adjust,
                     &s->apic_base,   &s->misc_enable,  &s->debugctl,     &s->spec_ctrl, &s->mcg_status,
                     &s->mtrr_def,    s->mtrr_fixed,    s->mtrr_base,     s->mtrr_mask,  s->mc_regs,
                     &s->smbase,      s->pdpte,         &s->mcg_ctl,      &s->syscfg,    &s->hwcr,
                     &s->top_mem,     &s->top_mem2,     &s->xss};
    unsigned len[] = {16, 1, 1, 1, 4,  1, 1, 1,  1, 1, 1, 1, 1, 1, 1, 1, 1,
                      1,  1, 1, 1, 11, 8, 8, 32, 1, 4, 1, 1, 1, 1, 1, 1};
    for (unsigned i = 0; i < sizeof q / sizeof q[0]; i++)
        for (unsigned k = 0; k < len[i]; k++)
            q[i][k] = n += 0x10001;
    struct cpu_seg *segs[] = {&s->seg[0], &s->seg[1], &s->seg[2], &s->seg[3], &s->seg[4], &s->seg[5], &s->ldtr, &s->tr};
    for (unsigned i = 0; i < 8; i++)
        *segs[i] = (struct cpu_seg){(uint16_t)(0x10 + i), (uint16_t)(0x93 + i), 0xfffff + i, 0x1000 + i};
    s->gdtr = (struct cpu_dtable){0x7000, 0x7f, 0};
    s->idtr = (struct cpu_dtable){0x8000, 0xfff, 0};
    s->rflags = 0x202;
    s->cr0 = CR0_PE | CR0_PG | CR0_ET;
    s->cr4 = CR4_PAE;
    s->cr8 = 5;
    s->efer = EFER_LME | EFER_LMA | EFER_NXE;
    s->dr6 = 0xffff0ff0;
    s->dr7 = 0x400;
    s->xcr0 = 1;
    s->pat = 0x0007040600070406ull;
    uint8_t *b[] = {&s->run_state,   &s->intr_shadow, &s->nmi_blocked,  &s->smm,
                    &s->nmi_pending, &s->smi_pending, &s->init_pending, &s->sipi_vector,
                    &s->exc_pending, &s->exc_vector,  &s->exc_has_code, &s->smm_nmi};
    for (unsigned i = 0; i < sizeof b / sizeof b[0]; i++)
        *b[i] = 1;
    s->exc_code = 0x12345678;
    for (unsigned i = 0; i < sizeof s->xsave; i++)
        s->xsave[i] = (uint8_t)(i * 7 + 1);
    memset(s->xsave + 512, 0, 64);
    s->xsave[512] = 3;
    memcpy(s->xsave + 24, "\x80\x1f\0\0", 4);
}

static int reload(const struct cpu_state *from, struct cpu_state *to, struct err *e)
{
    struct snap_writer *w = snap_writer_new();
    size_t n;
    int rc = state_save(w, "cpu0", &cpu_state_desc, from, e);
    const void *p = snap_writer_data(w, &n);
    struct snap_reader *r = snap_reader_new(p, n, e);
    rc = rc || !r || state_load(r, "cpu0", &cpu_state_desc, to, e) ? -1 : 0;
    snap_reader_free(r);
    snap_writer_free(w);
    return rc;
}

#define REFUSES(change)                                  \
    do {                                                 \
        fill(a);                                         \
        change;                                          \
        ok(reload(a, b, &e) == -1, "refused: " #change); \
    } while (0)

int main(void)
{
    struct err e = {0};
    struct cpu_state *a = aligned_alloc(64, sizeof *a), *b = aligned_alloc(64, sizeof *b);
    fill(a);
    memset(b, 0, sizeof *b);
    ok(!reload(a, b, &e), "loads %s", e.msg);
    size_t i = 0;
    while (i < sizeof *a && ((uint8_t *)a)[i] == ((uint8_t *)b)[i])
        i++;
    ok(i == sizeof *a, "every byte is the same (first difference at %zu of %zu)", i, sizeof *a);
    REFUSES(a->rflags = 0);
    REFUSES(a->rflags |= 1 << 15);
    REFUSES(a->cr0 = CR0_PG | CR0_ET);
    REFUSES(a->cr0 |= 1ull << 40);
    REFUSES(a->cr4 = 0);
    REFUSES(a->efer = EFER_LMA);
    REFUSES(a->efer = EFER_LME);
    REFUSES(a->cr8 = 16);
    REFUSES(a->dr7 |= 1ull << 32);
    REFUSES(a->lstar = 1ull << 47);
    REFUSES(a->seg[S_GS].base = 1ull << 63);
    REFUSES(a->pat = 2);
    REFUSES(a->run_state = 4);
    REFUSES(a->exc_vector = 32);
    REFUSES(a->gdtr.limit = 0x10000);
    REFUSES(a->xcr0 = 0);
    REFUSES(a->xcr0 |= 1ull << 62);
    REFUSES(memset(a->xsave + 24, 0xff, 4));
    REFUSES(a->xsave[519] = 0x40);
    REFUSES(a->xsave[527] = 0x80);
    REFUSES(a->xsave[560] = 1);
    free(a);
    free(b);
    return TAP_DONE();
}
