/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PIIX4 power management and SMBus against data sheet 290562, chapter 7, and ACPI 2.0, chapter 4.7. */
#include <string.h>

#include "chipset/piix4.h"
#include "chipset/pm.h"
#include "pci/pci.h"
#include "tests/dev/pcibox.h"
#include "tests/tap.h"

enum { PM = PIIX4_DEVFN_PM, BASE = 0x600, SMB = 0x700 };
enum { EN = 1, PWRBTN = 0x100 };

struct box {
    struct vm *vm;
    struct dev *pm;
    struct fakevm_irqs irqs;
};

static void box_make(struct box *x, bool smm)
{
    struct err e = {0};
    memset(x, 0, sizeof *x);
    x->vm = fakevm_new(1, 2);
    fakevm_irqs_init(&x->irqs);
    struct dev *bus = dev_create(x->vm, &pci_bus_class, "pci0", NULL, &e);
    struct pm_params p = {.bus = (struct pci_bus *)bus, .devfn = PM, .sci = fakevm_irq(&x->irqs, 9), .smm = smm};
    x->pm = dev_create(x->vm, &pm_class, "pm", &p, &e);
}

/* What SeaBIOS does. */
static void box_setup(struct box *x)
{
    fakevm_reset(x->vm);
    cfg_w(x->vm, PM, 0x40, 4, BASE | 1);
    cfg_w(x->vm, PM, 0x80, 1, 1);
    cfg_w(x->vm, PM, 0x90, 4, SMB | 1);
    cfg_w(x->vm, PM, 0xd2, 1, 9);
}

static void test_config(struct box *x)
{
    struct vm *vm = x->vm;
    fakevm_reset(vm);
    is_u64(cfg_r(vm, PM, 0, 4), 0x71138086, "82371AB function 3");
    is_u64(cfg_r(vm, PM, 8, 4) >> 8, 0x068000, "bridge, other");
    is_u64(cfg_r(vm, PM, 0x40, 4), 1, "PMBASE default");
    is_u64(fakevm_in(vm, BASE, 2), 0xffff, "not decoded");
    cfg_w(vm, PM, 0x40, 4, 0xffffffff);
    is_u64(cfg_r(vm, PM, 0x40, 4), 0xffc1, "PMBASE has bits 15:6");
    box_setup(x);
    is_u64(fakevm_in(vm, BASE, 2), 0, "PMSTS");
    is_u64(fakevm_in(vm, BASE + 4, 2), 0, "PMCNTRL");
    cfg_w(vm, PM, 0x40, 4, 0x1001);
    is_u64(fakevm_in(vm, BASE, 2), 0xffff, "moved away");
    is_u64(fakevm_in(vm, 0x1004, 2), 0, "moved to VMware's place");
    cfg_w(vm, PM, 0x40, 4, BASE | 1);
    cfg_w(vm, PM, 0x80, 1, 0);
    is_u64(fakevm_in(vm, BASE, 2), 0xffff, "PMIOSE off");
    cfg_w(vm, PM, 0x80, 1, 1);
}

static void test_timer(struct box *x)
{
    struct vm *vm = x->vm;
    uint32_t t0 = (uint32_t)fakevm_in(vm, BASE + 8, 4);
    ok(t0 < 1 << 24, "the PM timer has 24 bits");
    fakevm_advance(vm, 1000000000);
    uint32_t t1 = (uint32_t)fakevm_in(vm, BASE + 8, 4), d = (t1 - t0) & 0xffffff;
    ok(d >= 3579544 && d <= 3579546, "3.579545 MHz (%u)", d);
    is_u64(fakevm_in(vm, BASE + 9, 1), fakevm_in(vm, BASE + 8, 4) >> 8 & 0xff, "a byte of it");
    fakevm_out(vm, BASE + 8, 4, 0);
    is_u64(fakevm_in(vm, BASE + 8, 4), t1, "read-only");

    /* TMROF: bit 23 changes every 2^23 / 3579545 s = 2.3435 s. */
    box_setup(x);
    fakevm_out(vm, 0xb2, 1, 0xf1);
    is_u64(fakevm_in(vm, BASE + 4, 2), 1, "ACPI_ENABLE sets SCI_EN");
    uint64_t left = (1u << 23) - (fakevm_in(vm, BASE + 8, 4) & 0x7fffff), ns = left * 1000000000ull / 3579545;
    fakevm_out(vm, BASE + 2, 2, EN);
    fakevm_irqs_rises(&x->irqs, 9);
    fakevm_advance(vm, (int64_t)ns - 1000);
    ok(!fakevm_irqs_level(&x->irqs, 9), "no SCI before bit 23 changes");
    fakevm_advance(vm, 3000);
    ok(fakevm_irqs_level(&x->irqs, 9), "SCI when bit 23 changes");
    is_u64(fakevm_in(vm, BASE, 2), 1, "TMROF_STS");
    fakevm_out(vm, BASE, 2, 1);
    ok(!fakevm_irqs_level(&x->irqs, 9), "written 1: cleared");
    fakevm_advance(vm, 2344000000);
    ok(fakevm_irqs_level(&x->irqs, 9), "and again half a period later");
    fakevm_out(vm, BASE + 2, 2, 0);
    ok(!fakevm_irqs_level(&x->irqs, 9), "masked");
    fakevm_out(vm, BASE, 2, 1);
    fakevm_advance(vm, 2344000000);
    is_u64(fakevm_in(vm, BASE, 2), 1, "status is set without the interrupt too");
    fakevm_out(vm, 0xb2, 1, 0xf0);
    is_u64(fakevm_in(vm, BASE + 4, 2), 0, "ACPI_DISABLE");
}

static void test_power(struct box *x)
{
    struct vm *vm = x->vm;
    box_setup(x);
    unsigned off = fakevm_wishes(vm, WISH_OFF);
    pm_power_button(x->pm);
    is_u64(fakevm_wishes(vm, WISH_OFF), off + 1, "without an ACPI OS the button turns off");
    fakevm_out(vm, 0xb2, 1, 0xf1);
    fakevm_out(vm, BASE + 2, 2, PWRBTN);
    fakevm_irqs_rises(&x->irqs, 9);
    pm_power_button(x->pm);
    is_u64(fakevm_irqs_rises(&x->irqs, 9), 1, "with one it is an SCI");
    is_u64(fakevm_in(vm, BASE, 2), PWRBTN, "PWRBTN_STS");
    is_u64(fakevm_wishes(vm, WISH_OFF), off + 1, "and the machine stays on");
    fakevm_out(vm, BASE + 1, 1, 0x01);
    ok(!fakevm_irqs_level(&x->irqs, 9), "cleared by a byte write");
    const struct irq_line alarm = {pm_rtc_sink(x->pm), 0, 0};
    irq_pulse(&alarm);
    is_u64(fakevm_in(vm, BASE, 2), 0x0400, "the RTC's alarm is RTC_STS");
    ok(!fakevm_irqs_level(&x->irqs, 9), "no SCI without RTC_EN");
    fakevm_out(vm, BASE + 2, 2, PWRBTN | 0x0400);
    ok(fakevm_irqs_level(&x->irqs, 9), "an SCI with it");
    fakevm_out(vm, BASE, 2, 0x0400);
    ok(!fakevm_irqs_level(&x->irqs, 9), "RTC_STS is written away");
    fakevm_out(vm, BASE + 0x0e, 2, 0x0200);
    pm_gpe(x->pm, 9);
    ok(fakevm_irqs_level(&x->irqs, 9), "GPE 9 is an SCI");
    is_u64(fakevm_in(vm, BASE + 0x0c, 4), 0x02000200, "GPSTS and GPEN");
    fakevm_out(vm, BASE + 0x0c, 2, 0x0200);
    ok(!fakevm_irqs_level(&x->irqs, 9), "GPE cleared");
    fakevm_out(vm, BASE + 4, 2, 5 << 10 | 1);
    is_u64(fakevm_wishes(vm, WISH_OFF), off + 1, "SLP_TYP alone does nothing");
    fakevm_out(vm, BASE + 4, 2, 1 << 13 | 1 << 10 | 1);
    is_u64(fakevm_wishes(vm, WISH_OFF), off + 1, "S3 is not offered");
    fakevm_out(vm, BASE + 4, 2, 1 << 13 | 1);
    is_u64(fakevm_wishes(vm, WISH_OFF), off + 2, "SLP_TYP 0 with SLP_EN is soft off");
    is_u64(fakevm_in(vm, BASE + 4, 2), 1, "SLP_EN reads 0");
}

static void test_smi(struct box *x)
{
    struct vm *vm = x->vm;
    struct box y;
    box_setup(x);
    is_u64(cfg_r(vm, PM, 0x58, 4), 0, "DEVACTB default");
    fakevm_out(vm, 0xb3, 1, 0x01);
    is_u64(fakevm_in(vm, 0xb3, 1), 0x01, "APMS");
    fakevm_requests(vm, 0);
    fakevm_out(vm, 0xb2, 1, 0x00);
    is_u64(fakevm_requests(vm, 0), 0, "no SMI: APMC_EN is off");
    cfg_w(vm, PM, 0x58, 4, 1 << 25);
    fakevm_out(vm, 0xb2, 1, 0x00);
    is_u64(fakevm_requests(vm, 0), 0, "no SMI: SMI_EN is off");
    fakevm_out(vm, BASE + 0x28, 4, 1);
    is_u64(fakevm_in(vm, BASE + 0x28, 4), 1, "GLBCTL");
    fakevm_out(vm, 0xb2, 1, 0x42);
    is_u64(fakevm_requests(vm, 0), VR_SMI, "SMI");
    is_u64(fakevm_requests(vm, 1), 0, "on the processor that wrote");
    is_u64(fakevm_in(vm, 0xb2, 1), 0x42, "APMC");
    box_make(&y, false);
    box_setup(&y);
    is_u64(cfg_r(y.vm, PM, 0x58, 4), 1 << 25, "without SMM, firmware finds APMC_EN set");
    cfg_w(y.vm, PM, 0x58, 4, 0);
    is_u64(cfg_r(y.vm, PM, 0x58, 4), 1 << 25, "always");
    fakevm_out(y.vm, BASE + 0x28, 4, 1);
    fakevm_requests(y.vm, 0);
    fakevm_out(y.vm, 0xb2, 1, 0x42);
    is_u64(fakevm_requests(y.vm, 0), 0, "and there is never an SMI");
    fakevm_free(y.vm);
}

static void test_smbus(struct box *x)
{
    struct vm *vm = x->vm;
    box_setup(x);
    is_u64(fakevm_in(vm, SMB, 1), 0, "host status");
    fakevm_out(vm, SMB + 4, 1, 0xa1);
    fakevm_out(vm, SMB + 3, 1, 0);
    fakevm_out(vm, SMB + 2, 1, 0x48);
    is_u64(fakevm_in(vm, SMB, 1), 0x04, "nobody answers: DEV_ERR, not busy");
    is_u64(fakevm_in(vm, SMB + 4, 1), 0xa1, "address register");
    ok(!fakevm_irqs_level(&x->irqs, 9), "no interrupt without INTEREN");
    fakevm_out(vm, SMB, 1, 0x1e);
    is_u64(fakevm_in(vm, SMB, 1), 0, "cleared");
    fakevm_out(vm, SMB + 2, 1, 0x49);
    ok(fakevm_irqs_level(&x->irqs, 9), "IRQ 9 with INTEREN");
    fakevm_out(vm, SMB, 1, 0x1e);
    ok(!fakevm_irqs_level(&x->irqs, 9), "released");
    for (int i = 0; i < 32; i++)
        fakevm_out(vm, SMB + 7, 1, (unsigned)i);
    fakevm_in(vm, SMB + 2, 1);
    bool good = true;
    for (unsigned i = 0; i < 32; i++)
        good = good && fakevm_in(vm, SMB + 7, 1) == i;
    ok(good, "block data, rewound by reading the control register");
}

static void test_migrate(struct box *x)
{
    struct box y;
    struct err e = {0};
    box_setup(x);
    fakevm_out(x->vm, 0xb2, 1, 0xf1);
    fakevm_out(x->vm, BASE + 2, 2, PWRBTN | EN);
    pm_power_button(x->pm);
    box_make(&y, true);
    ok(!fakevm_migrate(x->vm, y.vm, &e), "saved and loaded: %s", e.msg);
    ok(fakevm_irqs_level(&y.irqs, 9), "SCI after load");
    is_u64(fakevm_in(y.vm, BASE + 8, 4), fakevm_in(x->vm, BASE + 8, 4), "timer after load");
    fakevm_free(y.vm);
    fakevm_reset(x->vm);
    ok(!fakevm_irqs_level(&x->irqs, 9), "reset releases the SCI");
    is_u64(fakevm_in(x->vm, BASE, 2), 0xffff, "reset unmaps");
}

int main(void)
{
    struct box x;
    box_make(&x, true);
    test_config(&x);
    test_timer(&x);
    test_power(&x);
    test_smi(&x);
    test_smbus(&x);
    test_migrate(&x);
    fakevm_free(x.vm);
    return TAP_DONE();
}
