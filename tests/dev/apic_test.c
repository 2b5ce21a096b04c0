/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local APICs, IOAPIC and their glue to the PIC: SDM vol. 3 chapter 10, 82093AA data sheet. */
#include "tests/fakevm.h"
#include "tests/tap.h"

#include "chipset/intr.h"
#include "chipset/ioapic.h"
#include "chipset/lapic.h"
#include "chipset/pic.h"
#include "chipset/pit.h"

#define N 4
#define HZ 100000000ull /* bus: 10 ns */
#define LAPIC 0xfee00000u
#define IOAPIC 0xfec00000u
enum { ID = 0x20, VER = 0x30, TPR = 0x80, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ISR = 0x100, TMR = 0x180, IRR = 0x200,
       ESR = 0x280, ICRL = 0x300, ICRH = 0x310, LVTT = 0x320, LINT0 = 0x350, LINT1 = 0x360, LVTE = 0x370, TMICT = 0x380, TMCCT = 0x390,
       TDCR = 0x3e0 };

static struct vm *vm;
static struct dev *intr, *pic, *ioapic, *lapic;

static void make(void)
{
    struct err e = {0};
    vm = fakevm_new(1, N);
    struct lapic_params lp = {.bus_hz = HZ, .x2apic = true, .tsc_deadline = true, .directed_eoi = true, .phys_bits = 40};
    struct ioapic_params ip = {.base = IOAPIC, .id = 0, .version = 0x20};
    lapic = dev_create(vm, &lapic_class, "lapic", &lp, &e);
    pic = dev_create(vm, &pic_class, "pic", NULL, &e);
    ioapic = dev_create(vm, &ioapic_class, "ioapic", &ip, &e);
    struct intr_params p = {.pic = pic, .ioapic = ioapic, .lapic = lapic};
    intr = dev_create(vm, &intr_class, "intr", &p, &e);
    struct pit_params pp = {.irq0 = {.sink = intr_isa_sink(intr)}};
    dev_create(vm, &pit_class, "pit", &pp, &e);
}

static uint32_t rd(unsigned v, unsigned reg)
{
    return fakevm_mmio_read_v(vm, v, LAPIC + reg, 4);
}
static void wr(unsigned v, unsigned reg, uint32_t val)
{
    fakevm_mmio_write_v(vm, v, LAPIC + reg, 4, val);
}
static int take(unsigned v)
{
    return intr_take(vm_vcpu(vm, v));
}
static bool pending(unsigned v)
{
    return intr_pending(vm_vcpu(vm, v));
}
static int msr_w(unsigned v, uint32_t msr, uint64_t val)
{
    const struct intr_ctl *c = intr_get_ctl(vm);
    return c->msr_write(c->ctl, vm_vcpu(vm, v), msr, val);
}
static int msr_r(unsigned v, uint32_t msr, uint64_t *val)
{
    const struct intr_ctl *c = intr_get_ctl(vm);
    return c->msr_read(c->ctl, vm_vcpu(vm, v), msr, val);
}
static uint32_t requests(unsigned v)
{
    return fakevm_requests(vm, v);
}
static void line(unsigned n, bool level)
{
    const struct irq_sink *s = intr_isa_sink(intr);
    s->set(s->ctl, n, 0, level);
}
static void rte(unsigned pin, uint64_t e)
{
    fakevm_mmio_write(vm, IOAPIC, 4, 0x10 + 2 * pin + 1);
    fakevm_mmio_write(vm, IOAPIC + 0x10, 4, e >> 32);
    fakevm_mmio_write(vm, IOAPIC, 4, 0x10 + 2 * pin);
    fakevm_mmio_write(vm, IOAPIC + 0x10, 4, (uint32_t)e);
}
static uint32_t ioreg(unsigned r)
{
    fakevm_mmio_write(vm, IOAPIC, 4, r);
    return fakevm_mmio_read(vm, IOAPIC + 0x10, 4);
}

/* All software enabled, flat logical ids 1, 2, 4, 8. */
static void restart(void)
{
    fakevm_reset(vm);
    for (unsigned v = 0; v < N; v++) {
        wr(v, SVR, 0x1ff);
        wr(v, DFR, 0xffffffff);
        wr(v, LDR, 1u << v << 24);
        requests(v);
    }
}
static void ipi(unsigned from, uint8_t dest, uint32_t low)
{
    wr(from, ICRH, (uint32_t)dest << 24);
    wr(from, ICRL, low);
}
/* Which vCPUs have vector vec in IRR, as a mask; clears them. */
static unsigned who(int vec)
{
    unsigned m = 0;
    for (unsigned v = 0; v < N; v++) {
        if (take(v) == vec) {
            m |= 1u << v;
            wr(v, EOI, 0);
        }
        requests(v);
    }
    return m;
}

static void test_reset_values(void)
{
    uint64_t val = 0;
    fakevm_reset(vm);
    is_u64(rd(0, SVR), 0xff, "reset: SVR");
    is_u64(rd(0, DFR), 0xffffffff, "DFR");
    is_u64(rd(0, LDR), 0, "LDR");
    is_u64(rd(0, LVTT), 0x10000, "LVT timer masked");
    is_u64(rd(0, LINT0), 0x10000, "LVT LINT0 masked");
    is_u64(rd(1, ID), 0x01000000, "ID of vCPU 1");
    is_u64(rd(0, VER) & 0xff00ff, 0x50015, "version 15h, six LVT entries");
    is_u64(rd(0, TPR), 0, "TPR");
    is_u64(rd(0, TMICT), 0, "initial count");
    ok(msr_r(0, 0x1b, &val) == 0, "APIC_BASE readable");
    is_u64(val, 0xfee00900, "enabled, BSP");
    msr_r(1, 0x1b, &val);
    is_u64(val, 0xfee00800, "AP");
    wr(0, LVTT, 0x20);
    is_u64(rd(0, LVTT), 0x10020, "software disabled: mask bits cannot be cleared");
    ipi(1, 0, 0x4041);
    ok(!pending(0), "software disabled: fixed interrupts are not accepted");
    restart();
    wr(0, LVTT, 0x20);
    is_u64(rd(0, LVTT), 0x20, "enabled: they can");
    wr(0, SVR, 0xff);
    is_u64(rd(0, LVTT), 0x10020, "disabling masks all entries");
}

static void test_priority(void)
{
    restart();
    ipi(1, 0, 0x4051);
    ok(pending(0), "IPI is pending");
    is_u64(requests(0), VR_INTR, "and kicked the vCPU");
    is_u64(rd(0, IRR + 0x20), 1u << 0x11, "IRR bit 51h");
    ipi(1, 0, 0x4062);
    is_u64(take(0), 0x62, "higher vector first");
    is_u64(rd(0, ISR + 0x30), 1u << 2, "ISR");
    is_u64(rd(0, PPR), 0x60, "PPR is the class in service");
    ok(!pending(0), "51h waits");
    is_u64(take(0), -1, "and is not taken");
    requests(0);
    ipi(1, 0, 0x4065);
    ok(!pending(0), "same class does not nest");
    ok(!(requests(0) & VR_INTR), "and does not kick");
    ipi(1, 0, 0x4070);
    is_u64(take(0), 0x70, "higher class nests");
    wr(0, EOI, 0);
    is_u64(rd(0, PPR), 0x60, "EOI ends the highest in service");
    requests(0);
    wr(0, EOI, 0);
    ok(requests(0) & VR_INTR, "EOI makes 65h deliverable");
    is_u64(take(0), 0x65, "65h");
    wr(0, EOI, 0);
    is_u64(take(0), 0x51, "51h");
    wr(0, EOI, 0);
    wr(0, TPR, 0x50);
    ipi(1, 0, 0x405f);
    ok(!pending(0), "TPR class 5 blocks 5Fh");
    is_u64(rd(0, PPR), 0x50, "PPR = TPR");
    requests(0);
    wr(0, TPR, 0x4f);
    ok(requests(0) & VR_INTR, "lower TPR lets it through");
    is_u64(take(0), 0x5f, "5Fh");
    wr(0, EOI, 0);
    const struct intr_ctl *c = intr_get_ctl(vm);
    c->tpr_set(c->ctl, vm_vcpu(vm, 0), 9);
    is_u64(rd(0, TPR), 0x90, "CR8 is TPR 7:4");
    wr(0, TPR, 0x3c);
    is_u64(c->tpr_get(c->ctl, vm_vcpu(vm, 0)), 3, "and back");
    wr(0, TPR, 0);
}

static void test_destinations(void)
{
    restart();
    ipi(0, 2, 0x4040);
    is_u64(who(0x40), 4, "physical 2");
    ipi(0, 0xff, 0x4040);
    is_u64(who(0x40), 15, "physical broadcast includes the sender");
    ipi(0, 0, 0x4040 | 1 << 18);
    is_u64(who(0x40), 1, "self");
    ipi(0, 0, 0x4040 | 2 << 18);
    is_u64(who(0x40), 15, "all including self");
    ipi(1, 0, 0x4040 | 3 << 18);
    is_u64(who(0x40), 13, "all excluding self");
    ipi(0, 0x0a, 0x4840);
    is_u64(who(0x40), 10, "logical flat 1010b");
    ipi(0, 0, 0x4840);
    is_u64(who(0x40), 0, "logical 0: nobody");
    ipi(0, 0xff, 0x4840);
    is_u64(who(0x40), 15, "logical FFh: all");
    for (unsigned v = 0; v < N; v++) {
        wr(v, DFR, 0x0fffffff);
        wr(v, LDR, (v / 2 << 4 | 1u << v % 2) << 24); /* clusters 0 and 1, two members each */
    }
    ipi(0, 0x13, 0x4840);
    is_u64(who(0x40), 12, "cluster 1, both");
    ipi(0, 0x12, 0x4840);
    is_u64(who(0x40), 8, "cluster 1, second");
    ipi(0, 0xff, 0x4840);
    is_u64(who(0x40), 15, "cluster broadcast");
    restart();
    wr(0, TPR, 0x20);
    wr(2, TPR, 0x20);
    wr(3, TPR, 0x20);
    ipi(3, 0x0f, 0x4940);
    is_u64(who(0x40), 2, "lowest priority goes to the lowest TPR");
    unsigned seen = 0;
    wr(0, TPR, 0);
    for (int i = 0; i < 4; i++) {
        ipi(3, 0x03, 0x4940);
        seen |= who(0x40);
    }
    is_u64(seen, 3, "equals take turns");
    ipi(0, 1, 0x4405);
    is_u64(requests(1), VR_NMI, "NMI");
    ipi(0, 1, 0x4200);
    is_u64(requests(1), VR_SMI, "SMI");
    ipi(0, 1, 0xc500);
    is_u64(requests(1), VR_INIT, "INIT");
    ipi(0, 1, 0x8500);
    is_u64(requests(1), 0, "INIT deassert: nothing");
    ipi(0, 1, 0x0699);
    is_u64(requests(1), VR_SIPI, "SIPI");
    is_u64(vm_vcpu(vm, 1)->sipi_vector, 0x99, "its vector");
    is_u64(rd(1, SVR), 0xff, "INIT reset the local APIC");
    is_u64(rd(1, ID), 0x01000000, "but not its ID");
    ipi(0, 0, 0x4500 | 3 << 18);
    is_u64(requests(0) << 8 | requests(1) << 4 | requests(2), VR_INIT << 4 | VR_INIT, "INIT to all others");
    ipi(0, 0, 0x4500 | 1 << 18);
    is_u64(requests(0), VR_INIT, "INIT to self");
    wr(0, TPR, 0x40);
    chipset_lock(vm);
    vm_init_cpus(vm);
    chipset_unlock(vm);
    is_u64(requests(0) << 8 | requests(1) << 4 | requests(2), VR_INIT << 8 | VR_INIT << 4 | VR_INIT, "INIT# reaches all");
    ok(rd(0, TPR) == 0 && rd(0, SVR) == 0x1ff && rd(0, 0x350) == 0x700 && rd(1, SVR) == 0xff && rd(1, 0x350) == 0x10000,
       "and leaves virtual wire mode at the first");
}

static void test_errors(void)
{
    restart();
    wr(0, LVTE, 0x33);
    ipi(0, 1, 0x4005);
    is_u64(take(0), 0x33, "error interrupt");
    wr(0, EOI, 0);
    is_u64(rd(0, ESR), 0, "ESR shows errors after a write only");
    wr(0, ESR, 0);
    is_u64(rd(0, ESR), 0x20, "send illegal vector");
    wr(0, ESR, 0);
    is_u64(rd(0, ESR), 0, "cleared by the next write");
    irq_msi(vm, LAPIC, 0x4003);
    wr(0, ESR, 0);
    is_u64(rd(0, ESR), 0x40, "receive illegal vector");
    rd(0, 0x3f0);
    wr(0, ESR, 0);
    is_u64(rd(0, ESR), 0x80, "illegal register address");
}

static void test_timer(void)
{
    restart();
    wr(0, LVTT, 0x40);
    wr(0, TDCR, 0xb); /* by 1 */
    wr(0, TMICT, 100000); /* 1 ms */
    is_u64(rd(0, TMCCT), 100000, "count starts at the initial count");
    fakevm_advance(vm, 400000);
    is_u64(rd(0, TMCCT), 60000, "and runs down");
    fakevm_advance(vm, 599990);
    is_u64(rd(0, TMCCT), 1, "to 1");
    ok(!pending(0), "no interrupt yet");
    fakevm_advance(vm, 10);
    is_u64(rd(0, TMCCT), 0, "0");
    is_u64(take(0), 0x40, "one-shot interrupt");
    wr(0, EOI, 0);
    fakevm_advance(vm, 5000000);
    ok(!pending(0), "once");
    static const struct {
        uint8_t dcr, by;
    } div[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};
    bool good = true;
    for (unsigned i = 0; i < 8; i++) {
        wr(0, TDCR, div[i].dcr);
        wr(0, TMICT, 1000000);
        fakevm_advance(vm, 12800);
        good &= rd(0, TMCCT) == 1000000u - 1280 / div[i].by;
    }
    ok(good, "divide configuration: by 1 to 128");
    wr(0, TDCR, 3);
    wr(0, LVTT, 0x20041); /* periodic */
    wr(0, TMICT, 6250);   /* by 16: 1 ms */
    unsigned n = 0;
    for (int i = 0; i < 1000; i++) {
        fakevm_advance(vm, 100000);
        if (take(0) == 0x41) {
            n++;
            wr(0, EOI, 0);
        }
    }
    is_u64(n, 100, "periodic: 100 interrupts in 100 ms");
    /* The guest does not listen for 10 ms: no tick is lost. */
    fakevm_advance(vm, 10000000);
    for (n = 0; take(0) == 0x41; n++)
        wr(0, EOI, 0);
    is_u64(n, 10, "ticks that could not be delivered come after the EOIs");
    wr(0, TMICT, 0);
    fakevm_advance(vm, 10000000);
    ok(!pending(0), "initial count 0 stops it");
    /* Mode changes let the count run on. */
    wr(0, LVTT, 0x41);
    wr(0, TMICT, 6250);
    fakevm_advance(vm, 800000);
    wr(0, LVTT, 0x20041);
    is_u64(rd(0, TMCCT), 1250, "one-shot to periodic keeps the count");
    fakevm_advance(vm, 300000);
    is_u64(rd(0, TMCCT), 5625, "then it reloads");
    wr(0, LVTT, 0x41);
    fakevm_advance(vm, 1000000);
    is_u64(rd(0, TMCCT), 0, "periodic to one-shot: ends at 0");
    take(0);
    wr(0, EOI, 0);
    /* An earlier and a later deadline than the one armed. */
    wr(0, TMICT, 62500);
    wr(0, TMICT, 6250);
    fakevm_advance(vm, 1000000);
    is_u64(take(0), 0x41, "re-armed earlier");
    wr(0, EOI, 0);
    wr(0, TMICT, 6250);
    wr(0, TMICT, 62500);
    fakevm_advance(vm, 9000000);
    ok(!pending(0), "re-armed later: not at the old time");
    fakevm_advance(vm, 1000000);
    is_u64(take(0), 0x41, "but at the new");
    wr(0, EOI, 0);
}

static void test_deadline(void)
{
    uint64_t val = 1;
    restart();
    uint64_t now = clock_tsc(vm);
    msr_w(0, 0x6e0, now + 1000);
    msr_r(0, 0x6e0, &val);
    is_u64(val, 0, "not in TSC-deadline mode: the MSR stays 0");
    wr(0, LVTT, 0x40042);
    msr_w(0, 0x6e0, now + 100000);
    msr_r(0, 0x6e0, &val);
    is_u64(val, now + 100000, "deadline reads back");
    wr(0, TMICT, 1000);
    is_u64(rd(0, TMCCT), 0, "the counters do not work in this mode");
    fakevm_advance(vm, 99999);
    ok(!pending(0), "not early");
    fakevm_advance(vm, 1);
    is_u64(take(0), 0x42, "on time");
    wr(0, EOI, 0);
    msr_r(0, 0x6e0, &val);
    is_u64(val, 0, "and disarmed");
    msr_w(0, 0x6e0, 1);
    is_u64(take(0), 0x42, "a deadline in the past fires at once");
    wr(0, EOI, 0);
    msr_w(0, 0x6e0, clock_tsc(vm) + 50000);
    msr_w(0, 0x6e0, 0);
    fakevm_advance(vm, 1000000);
    ok(!pending(0), "0 disarms");
    msr_w(0, 0x6e0, UINT64_MAX);
    fakevm_advance(vm, 10000000);
    ok(!pending(0), "a deadline in the far future");
    msr_w(0, 0x6e0, clock_tsc(vm) + 50000);
    wr(0, LVTT, 0x42);
    fakevm_advance(vm, 1000000);
    ok(!pending(0), "leaving the mode disarms");
}

static void test_x2apic(void)
{
    uint64_t val = 0;
    restart();
    is_u64(msr_r(0, 0x802, &val), -1, "xAPIC mode: x2APIC MSRs fault");
    is_u64(msr_w(0, 0x1b, 0xfee00500), -1, "EXTD without EN faults");
    is_u64(msr_w(0, 0x1b, 0xfee00901), -1, "reserved low bit faults");
    is_u64(msr_w(0, 0x1b, 0xfee00900ull | 1ull << 40), -1, "address beyond MAXPHYADDR faults");
    for (unsigned v = 0; v < N; v++)
        ok(msr_w(v, 0x1b, 0xfee00c00) == 0, "vCPU %u to x2APIC", v);
    is_u64(msr_w(0, 0x1b, 0xfee00900), -1, "x2APIC to xAPIC faults");
    is_u64(rd(0, SVR), 0xffffffff, "the page is gone");
    is_u64(msr_r(3, 0x802, &val), 0, "ID readable");
    is_u64(val, 3, "32-bit ID");
    msr_r(3, 0x80d, &val);
    is_u64(val, 8, "LDR: cluster 0, bit 3");
    is_u64(msr_w(3, 0x80d, 8), -1, "LDR is read-only");
    is_u64(msr_r(0, 0x80b, &val), -1, "EOI is write-only");
    is_u64(msr_w(0, 0x80b, 1), -1, "EOI must be 0");
    is_u64(msr_r(0, 0x80e, &val), -1, "no DFR");
    is_u64(msr_r(0, 0x831, &val), -1, "no ICR high");
    is_u64(msr_w(0, 0x808, 0x100), -1, "TPR reserved bits");
    is_u64(msr_w(0, 0x80f, 0x1ff), 0, "SVR");
    is_u64(msr_w(0, 0x828, 1), -1, "ESR must be 0");
    is_u64(msr_w(0, 0x839, 1), -1, "current count is read-only");
    ok(msr_w(0, 0x830, 0x0000000200004077ull) == 0, "ICR in one write");
    is_u64(take(2), 0x77, "32-bit destination 2");
    msr_w(2, 0x80b, 0);
    msr_w(0, 0x830, 0xffffffff00004078ull);
    unsigned m = 0;
    for (unsigned v = 0; v < N; v++)
        m |= (take(v) == 0x78) << v;
    is_u64(m, 15, "broadcast FFFFFFFFh");
    for (unsigned v = 0; v < N; v++)
        msr_w(v, 0x80b, 0);
    msr_w(0, 0x830, 0x0000000600004879ull);
    m = 0;
    for (unsigned v = 0; v < N; v++)
        m |= (take(v) == 0x79) << v;
    is_u64(m, 6, "logical x2APIC 0:0006h");
    ok(msr_w(1, 0x83f, 0x7a) == 0, "self IPI");
    msr_w(1, 0x80b, 0);
    is_u64(take(1), 0x7a, "arrives");
    is_u64(msr_r(1, 0x83f, &val), -1, "self IPI is write-only");
    irq_msi(vm, LAPIC | 3 << 12, 0x4060);
    is_u64(take(3), 0x60, "MSI to an x2APIC id");
    ok(msr_w(0, 0x1b, 0xfee00000) == 0, "x2APIC to disabled");
    const struct intr_ctl *c = intr_get_ctl(vm);
    ok(!c->apic_enabled(c->ctl, vm_vcpu(vm, 0)), "CPUID.APIC would be clear");
    is_u64(msr_w(0, 0x1b, 0xfee00c00), -1, "disabled to x2APIC faults");
    ok(msr_w(0, 0x1b, 0xfee00800) == 0, "disabled to xAPIC");
    is_u64(rd(0, SVR), 0xff, "with the reset values");
    msr_r(0, 0x1b, &val);
    is_u64(val, 0xfee00900, "BSP bit kept");
    msr_w(0, 0x1b, 0xfed80900);
    is_u64(fakevm_mmio_read_v(vm, 0, 0xfed80000 + VER, 4) & 0xff, 0x15, "relocated page");
    is_u64(rd(0, VER), 0xffffffff, "nothing at the old place");
    msr_w(0, 0x1b, 0xfee00900);
    is_u64(rd(0, VER) & 0xff, 0x15, "and back");
}

static void test_ioapic(void)
{
    restart();
    is_u64(ioreg(1), 0x00170020, "version 20h, 24 entries");
    is_u64(ioreg(0x10), 0x10000, "entries are masked after reset");
    fakevm_mmio_write(vm, IOAPIC, 4, 0);
    fakevm_mmio_write(vm, IOAPIC + 0x10, 4, 0xff000000);
    is_u64(ioreg(0), 0x0f000000, "four bits of ID");
    line(4, true);
    line(4, false);
    rte(4, 1ull << 56 | 0x44);
    ok(!pending(1), "an edge on a masked pin is ignored");
    line(4, true);
    is_u64(take(1), 0x44, "edge to vCPU 1");
    wr(1, EOI, 0);
    ok(!pending(1), "once");
    line(4, false);
    rte(0, 0x10000);
    rte(2, 0x42);
    line(0, true);
    is_u64(take(0), 0x42, "IRQ0 is pin 2");
    wr(0, EOI, 0);
    line(0, false);
    /* Level. */
    rte(10, 0xa855ull | 2ull << 56); /* level, low active, logical to vCPU 1 */
    line(10, true);
    is_u64(ioreg(0x10 + 20) & 0x4000, 0x4000, "Remote IRR set");
    is_u64(take(1), 0x55, "level interrupt");
    is_u64(rd(1, TMR + 0x20) & 1u << 0x15, 1u << 0x15, "TMR bit");
    wr(1, EOI, 0);
    is_u64(take(1), 0x55, "asked again after the EOI, because the line is high");
    line(10, false);
    wr(1, EOI, 0);
    ok(!pending(1), "not after it fell");
    is_u64(ioreg(0x10 + 20) & 0x4000, 0, "Remote IRR clear");
    line(10, true);
    rte(10, 0x1a855ull | 2ull << 56);
    is_u64(take(1), 0x55, "masked after acceptance: still delivered");
    wr(1, EOI, 0);
    ok(!pending(1), "masked: not asked again");
    rte(10, 0xa855ull | 2ull << 56);
    is_u64(take(1), 0x55, "level seen at unmasking");
    wr(1, SVR, 0x11ff); /* directed EOI: no broadcast */
    wr(1, EOI, 0);
    ok(!pending(1), "directed EOI: the IOAPIC was not told");
    fakevm_mmio_write(vm, IOAPIC + 0x40, 4, 0x55);
    is_u64(take(1), 0x55, "EOI register");
    line(10, false);
    wr(1, SVR, 0x1ff);
    wr(1, EOI, 0);
    is_u64(ioreg(0x10 + 20) & 0x4000, 0, "done");
    rte(5, 0x400ull | 3ull << 56);
    line(5, true);
    is_u64(requests(3), VR_NMI, "NMI delivery mode");
    line(5, false);
    rte(23, 0x161ull | 0x800 | 15ull << 56);
    const struct irq_sink *s = ioapic_sink(ioapic);
    s->set(s->ctl, 23, 0, true);
    ok(__builtin_popcount(who(0x61)) == 1, "lowest priority: exactly one");
}

static void pic_init(void)
{
    static const uint8_t icw[][2] = {{0x20, 0x11}, {0x21, 0x08}, {0x21, 4}, {0x21, 1}, {0x21, 0}, {0xa0, 0x11}, {0xa1, 0x70}, {0xa1, 2}, {0xa1, 1}, {0xa1, 0}};
    for (unsigned i = 0; i < 10; i++)
        fakevm_out(vm, icw[i][0], 1, icw[i][1]);
}

static void test_pic(void)
{
    restart();
    pic_init();
    line(3, true);
    ok(!pending(0), "LINT0 masked: the PIC is not heard");
    wr(0, LINT0, 0x700);
    ok(pending(0) && (requests(0) & VR_INTR), "virtual wire: ExtINT on LINT0");
    wr(0, TPR, 0xff);
    ok(pending(0), "TPR does not hold ExtINT back");
    is_u64(take(0), 0x0b, "the PIC gives the vector");
    is_u64(rd(0, PPR), 0xff, "and the LAPIC does not take part");
    wr(0, TPR, 0);
    ok(!pending(0), "served");
    fakevm_out(vm, 0x20, 1, 0x20);
    line(3, false);
    line(4, true);
    fakevm_out(vm, 0x21, 1, 0xff);
    ok(!pending(0), "masked before the acknowledge: no interrupt");
    fakevm_out(vm, 0x21, 1, 0);
    ipi(1, 0, 0x40f0);
    is_u64(take(0), 0x0c, "ExtINT goes before IRR");
    is_u64(take(0), 0xf0, "then IRR");
    wr(0, EOI, 0);
    fakevm_out(vm, 0x20, 1, 0x20);
    line(4, false);
    wr(0, LINT0, 0x10700);
    /* Through the IOAPIC. */
    rte(0, 0x700);
    line(5, true);
    is_u64(take(0), 0x0d, "ExtINT through IOAPIC pin 0");
    fakevm_out(vm, 0x20, 1, 0x20);
    line(5, false);
    line(6, true);
    is_u64(take(0), 0x0e, "the next one, too");
    fakevm_out(vm, 0x20, 1, 0x20);
    line(6, false);
    rte(0, 0x10000);
    msr_w(0, 0x1b, 0xfee00000);
    line(7, true);
    is_u64(take(0), 0x0f, "LAPIC off: LINT0 is INTR");
    fakevm_out(vm, 0x20, 1, 0x20);
    line(7, false);
    requests(0);
    const struct irq_sink *s = intr_nmi_sink(intr);
    wr(1, LINT1, 0x400);
    s->set(s->ctl, 0, 0, true);
    is_u64(requests(0), VR_NMI, "LAPIC off: LINT1 is NMI");
    is_u64(requests(1), VR_NMI, "LINT1 in NMI mode");
    is_u64(requests(2) & VR_NMI, 0, "LINT1 masked");
    s->set(s->ctl, 0, 0, false);
}

/* Ticks of the PIT that the guest does not take in time are not lost. */
static void test_late_ticks(void)
{
    restart();
    pic_init();
    struct irq_line irq0 = {.sink = intr_isa_sink(intr)};
    ok(!irq_busy(&irq0), "IRQ0 is not busy");
    wr(0, LINT0, 0x700);
    line(0, true);
    line(0, false);
    ok(irq_busy(&irq0), "its edge waits at the PIC");
    wr(0, LINT0, 0x10700);
    ok(!irq_busy(&irq0), "which does not count while nobody hears the PIC");
    wr(0, LINT0, 0x700);
    take(0);
    ok(!irq_busy(&irq0), "taken");
    fakevm_out(vm, 0x20, 1, 0x20);
    rte(2, 0x42);
    line(0, true);
    line(0, false);
    ok(irq_busy(&irq0), "its edge waits in IRR");
    fakevm_out(vm, 0x21, 1, 0xff);
    is_u64(take(0), 0x42, "IOAPIC pin 2");
    ok(!irq_busy(&irq0), "taken");
    wr(0, EOI, 0);
    /* 1 kHz for 100 ms with a deaf guest, then it catches up. */
    fakevm_out(vm, 0x43, 1, 0x34);
    fakevm_out(vm, 0x40, 1, 1193 & 255);
    fakevm_out(vm, 0x40, 1, 1193 >> 8);
    fakevm_advance(vm, 100000000);
    unsigned n = 0;
    for (int i = 0; i < 1000; i++) {
        if (take(0) == 0x42) {
            n++;
            wr(0, EOI, 0);
        }
        fakevm_advance(vm, 50000);
    }
    ok(n >= 149 && n <= 151, "150 ms give 150 ticks (%u)", n);
    fakevm_out(vm, 0x43, 1, 0x30);
    rte(2, 0x10000);
}

static void test_state(void)
{
    struct err e = {0};
    uint64_t val;
    restart();
    ipi(0, 1, 0x4051);
    ipi(0, 1, 0x4062);
    take(1);
    wr(0, LVTT, 0x20041);
    wr(0, TDCR, 0xb);
    wr(0, TMICT, 100000);
    fakevm_advance(vm, 300000);
    msr_w(2, 0x1b, 0xfee00c00);
    rte(10, 0xa855ull | 2ull << 56);
    line(10, true);
    wr(3, LVTT, 0x40042);
    msr_w(3, 0x6e0, clock_tsc(vm) + 500000);
    struct vm *from = vm;
    make();
    ok(fakevm_migrate(from, vm, &e) == 0, "state round trip: %s", e.msg);
    is_u64(rd(1, PPR), 0x60, "in-service interrupt");
    wr(1, EOI, 0);
    is_u64(take(1), 0x55, "pending level interrupt");
    wr(1, EOI, 0);
    is_u64(take(1), 0x55, "Remote IRR and the line");
    is_u64(rd(0, TMCCT), 70000, "timer count");
    fakevm_advance(vm, 700000);
    is_u64(take(0), 0x41, "timer fires");
    is_u64(take(3), 0x42, "deadline timer fires");
    is_u64(msr_r(2, 0x802, &val), 0, "x2APIC mode");
    fakevm_free(from);
}

int main(void)
{
    make();
    test_reset_values();
    test_priority();
    test_destinations();
    test_errors();
    test_timer();
    test_deadline();
    test_x2apic();
    test_ioapic();
    test_pic();
    test_late_ticks();
    test_state();
    fakevm_free(vm);
    return TAP_DONE();
}
