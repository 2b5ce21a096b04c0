/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What lies between an engine and the machine around it, the same on each engine that runs here: ROM, memory that a device turns into other memory
 * while the guest runs (as PAM registers do), memory of system management mode only, collected writes, strings of port I/O, the log of written
 * pages, NMI, SMI and interrupt messages, a time stamp counter that stands still in a pause, and long mode that is hidden. Where local APICs are the
 * engine's own, a second processor runs in the very memory whose pieces are taken away and given back. Expected values: what a PC's memory would
 * hold, Intel SDM vol. 3, 6.7 (NMI), 32.2 to 32.5 (SMI) and 4.1.1 (EFER.LME without long mode).
 */
#include "tests/cpu/btbox.h"

#include "base/bitmap.h"
#include "core/clock.h"
#include "kvm/kvm.h"

#define CODE 0x100000u
#define AP_CODE 0x10000u  /* SIPI's vector 10h */
#define SMI_CODE 0x38000u /* SMBASE 30000h after power on */
enum { ROM = 0x200000, PAM = 0x210000, SMRAM = 0x220000, LATE = 0x230000, PROMPT = 0x231000, LOGGED = 0x240000, STRINGS = 0x300000, LOG_PAGES = 16 };
enum { PORT_PAM = 0xf0, PORT_NMI, PORT_MSI, PORT_SMI, PORT_DATA = 0xf8 };
enum { RES = 0x4000, N_STRING = 1000, TOGGLES = 100 };

__asm__(".text\n .code32\n"
        "bus_map: mov 0x200000, %eax\n mov %eax, 0x4000\n"
        " movl $1, 0x200000\n mov 0x200000, %eax\n mov %eax, 0x4004\n"
        " mov 0x210000, %eax\n mov %eax, 0x4008\n"
        " mov $1, %al\n out %al, $0xf0\n mov 0x210000, %eax\n mov %eax, 0x400c\n movl $0x33333333, 0x210000\n"
        " mov $2, %al\n out %al, $0xf0\n mov 0x210000, %eax\n mov %eax, 0x4010\n movl $0x44444444, 0x210000\n mov 0x210000, %eax\n mov %eax, 0x4014\n"
        " mov $0, %al\n out %al, $0xf0\n mov 0x210000, %eax\n mov %eax, 0x4018\n"
        " movl $1, 0x230000\n movw $2, 0x230004\n movb $3, 0x230009\n movl $9, 0x231000\n movl $4, 0x23000c\n"
        " out %al, $0xf4\n 1: hlt\n jmp 1b\n"
        "bus_strings: cld\n mov $0x300000, %esi\n mov $1000, %ecx\n mov $0xf8, %edx\n rep outsw\n"
        " mov $0x301000, %edi\n mov $1000, %ecx\n rep insw\n"
        " std\n mov $0x303012, %edi\n mov $10, %ecx\n rep insw\n mov $0x300012, %esi\n mov $10, %ecx\n rep outsw\n cld\n"
        " out %al, $0xf4\n 1: hlt\n jmp 1b\n"
        "bus_dirty: movb $1, 0x243123\n movl $2, 0x245ffe\n movl $3, 0x24f000\n out %al, $0xf4\n"
        " mov 0x247000, %eax\n out %al, $0xf4\n mov 0x243000, %eax\n out %al, $0xf4\n 1: hlt\n jmp 1b\n"
        "bus_nmi: out %al, $0xf1\n 1: pause\n cmpl $0, 0x4000\n je 1b\n out %al, $0xf4\n 2: hlt\n jmp 2b\n"
        "bus_msi: movl $0x1ff, 0xfee000f0\n out %al, $0xf2\n 1: sti\n hlt\n cli\n cmpl $0, 0x4004\n je 1b\n out %al, $0xf4\n 2: hlt\n jmp 2b\n"
        "bus_smi: out %al, $0xf3\n 1: pause\n cmpl $0, 0x4008\n je 1b\n mov 0x220000, %eax\n mov %eax, 0x400c\n out %al, $0xf4\n 2: hlt\n jmp 2b\n"
        "bus_tsc: rdtsc\n mov %eax, 0x4000\n mov %edx, 0x4004\n out %al, $0xf4\n"
        " rdtsc\n mov %eax, 0x4008\n mov %edx, 0x400c\n out %al, $0xf4\n 1: hlt\n jmp 1b\n"
        "bus_long: mov $0x80000001, %eax\n cpuid\n mov %edx, 0x4004\n cmpl $0, 0x3004\n je 1f\n mov $0xc0000080, %ecx\n rdmsr\n or $0x100, %eax\n wrmsr\n"
        "1: out %al, $0xf4\n 1: hlt\n jmp 1b\n"
        /* INIT and SIPI for the second processor; then the memory's pieces come and go, and each time that one must have moved on. Both with IF
         * set: Bochs (2.7) does not take its VT-x out of a guest that has it clear when a timer of the host's expires. */
        "bus_gate: sti\n movl $0x1ff, 0xfee000f0\n movl $0xc4500, 0xfee00300\n mov $20000, %ecx\n 1: pause\n loop 1b\n movl $0xc4610, 0xfee00300\n"
        " mov $100, %esi\n"
        "2: mov 0x4000, %ebx\n 3: pause\n cmp %ebx, 0x4000\n je 3b\n"
        " mov %esi, %eax\n and $1, %eax\n out %al, $0xf0\n dec %esi\n jnz 2b\n"
        " mov 0x4000, %ebx\n 4: pause\n cmp %ebx, 0x4000\n je 4b\n out %al, $0xf4\n 5: hlt\n jmp 5b\n"
        "bus_on_nmi: incl 0x4000\n iret\n"
        "bus_on_msi: incl 0x4004\n movl $0, 0xfee000b0\n iret\n"
        "bus_on_gp: incl 0x4000\n add $4, %esp\n addl $2, (%esp)\n iret\n"
        " .code16\n"
        "bus_on_smi: addr32 movl 0x220000, %eax\n addr32 movl %eax, 0x4008\n rsm\n"
        "bus_ap: sti\n xor %ax, %ax\n mov %ax, %ds\n 1: cmpl $0x12345678, 0x3000\n je 2f\n lock incl 0x4004\n 2: lock incl 0x4000\n jmp 1b\n"
        "bus_end: .code64\n");
#define LABEL(x) extern const char x[]
LABEL(bus_map); LABEL(bus_strings); LABEL(bus_dirty); LABEL(bus_nmi); LABEL(bus_msi); LABEL(bus_smi); LABEL(bus_tsc); LABEL(bus_long); LABEL(bus_gate);
LABEL(bus_on_nmi); LABEL(bus_on_msi); LABEL(bus_on_gp); LABEL(bus_on_smi); LABEL(bus_ap); LABEL(bus_end);
#define AT(l) (CODE + (uint32_t)((l) - bus_map))

static struct {
    const char *name;
    struct vm_cpu_params cpu;
    bool vt, smm;
} engine;

/* The devices, and what the guest has done to them. */
static struct {
    uint8_t *mem[4]; /* ROM, PAM, SMRAM, LOGGED: a piece of memory each */
    struct memblk blk[4];
    struct memregion rom, pam, smram, logged, late, prompt;
    unsigned long dirty[1];
    uint64_t seen[16];
    unsigned n_seen, out_calls, in_calls;
    uint16_t out[N_STRING + 10];
    unsigned n_out, n_in;
} d;

static void port_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct vcpu *v = vm_vcpu(box.vm, 0);
    struct err e = {0};
    (void)dev, (void)size;
    switch (PORT_PAM + off) {
    case PORT_PAM:
        memmap_begin(box.vm);
        d.pam.enabled = val != 0;
        d.pam.kind = val == 2 ? MR_ROM : MR_RAM;
        if (memmap_commit(box.vm, &e))
            printf("# %s\n", e.msg);
        return;
    case PORT_NMI: vcpu_request(v, VR_NMI); return;
    case PORT_MSI: box.be->lapic->msi(box.vm, 0xfee00000, 0x41); return; /* what the lapic device does */
    case PORT_SMI: vcpu_request(v, VR_SMI); return;
    }
}

static void data_write_rep(void *dev, uint64_t off, unsigned size, const void *buf, unsigned n)
{
    (void)dev, (void)off;
    d.out_calls++;
    for (unsigned i = 0; i < n && size == 2 && d.n_out < N_STRING + 10; i++)
        memcpy(&d.out[d.n_out++], (const uint8_t *)buf + 2 * i, 2);
}
static void data_write(void *dev, uint64_t off, unsigned size, uint64_t val) { data_write_rep(dev, off, size, &val, 1); }
static void data_read_rep(void *dev, uint64_t off, unsigned size, void *buf, unsigned n)
{
    (void)dev, (void)off;
    d.in_calls++;
    for (unsigned i = 0; i < n && size == 2; i++) {
        uint16_t val = (uint16_t)(7 * d.n_in++);
        memcpy((uint8_t *)buf + 2 * i, &val, 2);
    }
}
static uint64_t data_read(void *dev, uint64_t off, unsigned size)
{
    uint16_t val = 0;
    data_read_rep(dev, off, size, &val, 1);
    return val;
}

static void mmio_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    if (d.n_seen < 16)
        d.seen[d.n_seen++] = (dev ? 0x1000 : 0) + (off << 32) + (size << 16) + val;
}

static struct memregion *piece(unsigned i, struct memregion *r, gpa_t at, unsigned pages, uint32_t fill)
{
    d.mem[i] = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(d.mem[i], &fill, 4);
    d.blk[i] = (struct memblk){.host = d.mem[i], .size = pages * 4096, .fd = -1};
    *r = (struct memregion){.owner = "piece", .base = at, .size = pages * 4096, .prio = 1, .kind = MR_RAM, .enabled = true, .blk = &d.blk[i]};
    return r;
}

static void gate(unsigned vector, const char *handler)
{
    uint64_t at = AT(handler), g = (at & 0xffff) | 8u << 16 | 0x8e00ull << 32 | (at >> 16) << 48;
    memcpy(box.ram + 0x2000 + 8 * vector, &g, 8);
}

static bool begin(unsigned n_vcpus, bool hide_longmode)
{
    static const struct io_ops ports = {.write = port_write, .widths = IO_8};
    static const struct io_ops data = {.read = data_read, .write = data_write, .read_rep = data_read_rep, .write_rep = data_write_rep, .widths = IO_16};
    static const struct io_ops late = {.write = mmio_write, .flags = IOF_LATE}, prompt = {.write = mmio_write};
    static const uint64_t gdt[3] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
    struct port_range claim[2] = {{.owner = "test", .first = PORT_PAM, .count = 4, .ops = &ports}, {.owner = "data", .first = PORT_DATA, .count = 2, .ops = &data}};
    struct err e = {0};
    struct vm_cpu_params cpu = engine.cpu;
    cpu.hide_longmode = hide_longmode;
    memset(&d, 0, sizeof d);
    box.n_vcpus = n_vcpus;
    if (!box_make_on(engine.vt ? &vt_backend : &bt_backend, &cpu, 0)) {
        ok(false, "%s: a machine", engine.name);
        return false;
    }
    chipset_lock(box.vm);
    memmap_begin(box.vm);
    piece(0, &d.rom, ROM, 1, 0xaaaaaaaa)->kind = MR_ROM;
    piece(1, &d.pam, PAM, 1, 0x22222222)->enabled = false;
    piece(2, &d.smram, SMRAM, 1, 0x55555555)->space = MR_SPACE_SMM;
    piece(3, &d.logged, LOGGED, LOG_PAGES, 0)->track_dirty = true;
    d.blk[3].dirty = d.dirty;
    d.late = (struct memregion){.owner = "late", .base = LATE, .size = 4096, .prio = 1, .kind = MR_MMIO, .enabled = true, .ops = &late};
    d.prompt = (struct memregion){.owner = "prompt", .base = PROMPT, .size = 4096, .prio = 1, .kind = MR_MMIO, .enabled = true, .ops = &prompt, .dev = &d};
    struct memregion *all[] = {&d.rom, &d.pam, &d.smram, &d.logged, &d.late, &d.prompt};
    for (unsigned i = 0; i < 6; i++)
        memmap_add(box.vm, all[i]);
    if (memmap_commit(box.vm, &e) || port_claim(box.vm, &claim[0], &e) || port_claim(box.vm, &claim[1], &e)) {
        printf("# %s\n", e.msg);
        exit(1);
    }
    chipset_unlock(box.vm);
    memcpy(box.ram + CODE, bus_map, (size_t)(bus_end - bus_map));
    memcpy(box.ram + AP_CODE, bus_ap, (size_t)(bus_end - bus_ap));
    memcpy(box.ram + SMI_CODE, bus_on_smi, (size_t)(bus_ap - bus_on_smi));
    memcpy(box.ram + 0x1000, gdt, sizeof gdt);
    memcpy(box.ram + PAM, &(uint32_t){0x11111111}, 4);
    memcpy(box.ram + SMRAM, &(uint32_t){0x66666666}, 4);
    memcpy(box.ram + 0x3000, &(uint32_t){0x12345678}, 4);
    gate(2, bus_on_nmi);
    gate(13, bus_on_gp);
    gate(0x41, bus_on_msi);
    return true;
}

static bool run_from(const char *code)
{
    static struct cpu_state s __attribute__((aligned(64)));
    box.be->get(vm_vcpu(box.vm, 0), &s, CPU_ALL);
    for (unsigned i = 0; i < S_COUNT; i++)
        s.seg[i] = (struct cpu_seg){.sel = i == S_CS ? 8 : 16, .attr = i == S_CS ? 0xc09b : 0xc093, .limit = ~0u};
    s.gdtr = (struct cpu_dtable){.base = 0x1000, .limit = 23};
    s.idtr = (struct cpu_dtable){.base = 0x2000, .limit = 0x7ff};
    s.cr0 = 0x11;
    s.rflags = 2;
    s.gpr[R_RSP] = 0x8000;
    s.rip = AT(code);
    s.run_state = CPU_RUNNING;
    return box_run(&s, 120);
}

/* To the next OUT F4h. */
static bool go_on(void)
{
    struct err e = {0};
    bool ended = !vm_run(box.vm, &e) && box_done(120);
    vm_pause(box.vm, &e);
    return ended;
}

static void end(void)
{
    box_free();
    for (unsigned i = 0; i < 4; i++)
        munmap(d.mem[i], d.blk[i].size);
}

static uint32_t res(unsigned i)
{
    uint32_t v;
    memcpy(&v, box.ram + RES + 4 * i, 4);
    return v;
}

static bool results(const uint32_t *want, unsigned n)
{
    bool same = true;
    for (unsigned i = 0; i < n; i++)
        if (res(i) != want[i]) {
            printf("# result %u is %#x, not %#x\n", i, res(i), want[i]);
            same = false;
        }
    return same;
}

static void test_map(void)
{
    static const uint32_t want[] = {0xaaaaaaaa, 0xaaaaaaaa, 0x11111111, 0x22222222, 0x33333333, 0x33333333, 0x11111111};
    static const uint64_t seen[] = {0x40001, 0x400020002, 0x900010003, 0x41009, 0xc00040004};
    if (!begin(1, false))
        return;
    bool ended = run_from(bus_map);
    ok(ended && results(want, 7), "%s: ROM, and memory that becomes other memory, read-only, and itself again", engine.name);
    bool order = d.n_seen == 5 && !memcmp(d.seen, seen, sizeof seen);
    ok(order, "%s: collected writes and others arrive, each in its place", engine.name);
    for (unsigned i = 0; i < d.n_seen && !order; i++)
        printf("# write %u: %#llx\n", i, (unsigned long long)d.seen[i]);
    if (engine.vt) {
        struct vt_stats st;
        vt_get_stats(box.vm, &st);
        ok(st.late_writes == 4 && st.gates >= 3 && st.mmio == 3, "%s: four without an exit (%u), and the map has changed %u times with no processor in it",
           engine.name, (unsigned)st.late_writes, (unsigned)st.gates);
    }
    end();
}

static void test_strings(void)
{
    if (!begin(1, false))
        return;
    for (unsigned i = 0; i < N_STRING; i++)
        memcpy(box.ram + STRINGS + 2 * i, &(uint16_t){(uint16_t)(3 * i)}, 2);
    bool good = run_from(bus_strings) && d.n_out == N_STRING + 10 && d.n_in == N_STRING + 10;
    for (unsigned i = 0; i < N_STRING && good; i++)
        good = d.out[i] == (uint16_t)(3 * i) && !memcmp(box.ram + STRINGS + 0x1000 + 2 * i, &(uint16_t){(uint16_t)(7 * i)}, 2);
    ok(good, "%s: strings of %u words out and in", engine.name, N_STRING);
    for (unsigned i = 0; i < 10 && good; i++)
        good = d.out[N_STRING + i] == 3 * (9 - i) && !memcmp(box.ram + STRINGS + 0x3000 + 2 * (9 - i), &(uint16_t){(uint16_t)(7 * (N_STRING + i))}, 2);
    ok(good, "%s: and backwards", engine.name);
    ok(d.in_calls < N_STRING / 10, "%s: in few calls of the device (%u in, %u out)", engine.name, d.in_calls, d.out_calls);
    end();
}

static void test_dirty(void)
{
    unsigned long bits[2] = {0};
    if (!begin(1, false))
        return;
    memblk_fetch_dirty(box.vm, &d.blk[3], bits);
    bits[0] = 0;
    bool ended = run_from(bus_dirty);
    memblk_fetch_dirty(box.vm, &d.blk[3], bits);
    ok(ended && bits[0] == (1ul << 3 | 1ul << 5 | 1ul << 6 | 1ul << 15), "%s: the log of written pages (%#lx)", engine.name, bits[0]);
    bits[0] = 0;
    ended = go_on();
    memblk_fetch_dirty(box.vm, &d.blk[3], bits);
    /* BT names a page once more when it takes the right to write to it away: it may have been written between. */
    ok(ended && (engine.vt ? !bits[0] : !(bits[0] & ~0x8068ul)), "%s: and no other pages after that (%#lx)", engine.name, bits[0]);
    bits[0] = 0;
    ended = go_on();
    memblk_fetch_dirty(box.vm, &d.blk[3], bits);
    ok(ended && !bits[0], "%s: which is empty then (%#lx)", engine.name, bits[0]);
    end();
}

static void test_events(void)
{
    if (begin(1, false)) {
        bool ended = run_from(bus_nmi);
        ok(ended && res(0) == 1, "%s: an NMI (%u)", engine.name, res(0));
        end();
    }
    if (engine.vt && begin(1, false)) {
        bool ended = run_from(bus_msi);
        ok(ended && res(1) == 1, "%s: an interrupt message wakes a halted processor (%u)", engine.name, res(1));
        end();
    }
    if (engine.smm && begin(1, false)) {
        bool ended = run_from(bus_smi);
        ok(ended && res(2) == 0x55555555 && res(3) == 0x66666666, "%s: an SMI, whose handler has memory that nobody else sees (%#x, %#x)",
           engine.name, res(2), res(3));
        end();
    } else if (!engine.smm) {
        ok(true, "%s: an SMI # SKIP this host's KVM has no system management mode", engine.name);
    }
}

static void test_time(void)
{
    uint64_t t[2];
    double s = 9;
    bool ended = true;
    for (int i = 1; i <= 8 && ended && s >= 0.7 * i; i++) { /* once more, and longer, on a machine where the guest does not get on */
        if (!begin(1, false))
            return;
        ended = run_from(bus_tsc);
        nanosleep(&(struct timespec){i, 0}, NULL);
        ended = ended && go_on();
        memcpy(t, box.ram + RES, sizeof t);
        s = (double)(t[1] - t[0]) / ((double)clock_tsc_khz(box.vm) * 1e3);
        ended = ended && t[1] > t[0];
        if (s < 0.7 * i || i == 8 || !ended)
            ok(ended && s < 0.7 * i, "%s: a pause of %d s is %.3f s of the time stamp counter", engine.name, i, s);
        end();
        if (s < 0.7 * i)
            break;
    }
}

static void test_long_mode(void)
{
    for (int hide = 0; hide < 2; hide++) {
        if (!begin(1, hide))
            return;
        box.ram[0x3004] = hide || !engine.vt; /* QEMU's TCG (7.2) was seen to hang in the VMRUN after that */
        bool ended = run_from(bus_long);
        ok(ended && res(0) == (unsigned)hide && (res(1) >> 29 & 1) == !hide, "%s: long mode %s (CPUID %#x, %u #GP)", engine.name,
           hide ? "is hidden, and EFER.LME refused" : "is there", res(1), res(0));
        end();
    }
}

static void test_gate(void)
{
    if (!engine.vt || !begin(2, false))
        return;
    struct vt_stats st;
    bool ended = run_from(bus_gate);
    vt_get_stats(box.vm, &st);
    ok(ended && res(0) > TOGGLES && res(1) == 0 && st.gates >= TOGGLES,
       "%s: memory is taken away and given back %u times under a running processor, which never misses it (%u rounds)", engine.name, (unsigned)st.gates, res(0));
    end();
}

static void test(void)
{
    test_map();
    test_strings();
    test_dirty();
    test_events();
    test_time();
    test_long_mode();
    test_gate();
}

int main(void)
{
    static struct vt_probe p;
    vt_probe(&p);
    engine.name = "BT";
    engine.cpu = (struct vm_cpu_params){.cores_per_socket = 1};
    engine.smm = true;
    test();
    if (p.status != VT_READY) {
        ok(true, "VT # SKIP %s", p.text);
        return TAP_DONE();
    }
    engine.name = "VT";
    engine.vt = true;
    engine.smm = p.smm;
    engine.cpu = (struct vm_cpu_params){.cores_per_socket = 1, .bus_khz = p.bus_khz, .limit = p.leaf, .n_limit = p.n_leaves};
    test();
    return TAP_DONE();
}
