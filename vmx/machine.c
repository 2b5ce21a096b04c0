/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Composition root: the only place that names concrete devices and back ends. Reads the plan top to bottom and wires one machine:
 *
 *   guest RAM, firmware ROM -> i440 (00:00.0), PIIX4 ISA + IDE + PM (00:07.x), SVGA II (00:0f.0)
 *   PIC, IOAPIC, local APICs -> intr; HPET passes the PIT's and RTC's interrupts on; 8042 with keyboard and mouse; UARTs; backdoor
 *   fw_cfg tells the firmware about all that.
 *
 * Disks and CDs are machine_drives.c, counters machine_report.c.
 *
 * Life: machine_build -> machine_connect -> vm_run ... -> machine_destroy. Image files, chardevs and the VNC server are owned here and
 * outlive the devices that use them.
 */
#define _GNU_SOURCE
#include "machine_private.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/address.h"
#include "base/log.h"
#include "bt/bt.h"
#include "chipset/debugport.h"
#include "chipset/ferr.h"
#include "chipset/dma8237.h"
#include "chipset/firmware.h"
#include "chipset/fwcfg.h"
#include "chipset/hpet.h"
#include "chipset/i440.h"
#include "chipset/intr.h"
#include "chipset/ioapic.h"
#include "chipset/kbc.h"
#include "chipset/lapic.h"
#include "chipset/pic.h"
#include "chipset/piix4.h"
#include "chipset/pit.h"
#include "chipset/pm.h"
#include "chipset/port92.h"
#include "chipset/rtc.h"
#include "core/vm.h"
#include "display/surface.h"
#include "display/svga.h"
#include "file/chardevs.h"
#include "guest/backdoor.h"
#include "guest/balloon.h"
#include "input/input.h"
#include "input/ps2kbd.h"
#include "input/ps2mouse.h"
#include "mem/guestmem.h"
#include "net_link.h"
#include "thrift.h"
#include "pci/pci.h"
#include "plan.h"
#include "screen.h"
#include "serial/uart.h"
#include "storage/ide.h"

enum {
    DEVFN_SVGA = 0x78,        /* 00:0f.0, where VMware has it */
    PRODUCT_WORKSTATION = 4,
    BUILD_NUMBER = 24583834,  /* GETBUILDNUM: that of Workstation 17.6.2, which tools compare with what they know */
    /* Bits in the OR words of the ISA interrupt sink and of the IOAPIC pins. */
    SRC_ISA = 0,
    SRC_PIRQ = 1,
    SRC_SECOND_UART = 2,
    SRC_HPET = 3,
};
/* Reads a firmware image into page-aligned memory. */
static int load_rom(struct memblk *b, const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) {
        err_set(e, ERR_IO, errno, "the firmware %s cannot be read: %s", path, strerror(errno));
        goto fail;
    }
    if (st.st_size <= 0 || st.st_size > 16 << 20) {
        err_set(e, ERR_FORMAT, 0, "the firmware %s has %lld bytes, which no firmware image has; reinstall its package", path, (long long)st.st_size);
        goto fail;
    }
    size_t size = (size_t)st.st_size, mapped = (size + 4095) & ~(size_t)4095;
    uint8_t *p = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        err_set(e, ERR_NOMEM, errno, "not enough memory for the firmware");
        goto fail;
    }
    for (size_t n = 0; n < size;) {
        ssize_t r = pread(fd, p + n, size - n, (off_t)n);
        if (r <= 0) {
            err_set(e, ERR_IO, r ? errno : 0, "the firmware %s cannot be read", path);
            munmap(p, mapped);
            goto fail;
        }
        n += (size_t)r;
    }
    close(fd);
    *b = (struct memblk){.host = p, .size = size, .fd = -1};
    return 0;
fail:
    if (fd >= 0)
        close(fd);
    return -1;
}

static void free_rom(struct memblk *b)
{
    if (b->host)
        munmap(b->host, (b->size + 4095) & ~4095ull);
    *b = (struct memblk){.fd = -1};
}

/* ---- glue between devices that must not know each other ---- */

static void backdoor_get_regs(void *u, struct vcpu *v, struct backdoor_regs *r)
{
    struct machine *m = u;
    struct cpu_state s;
    m->be->get(v, &s, CPU_GPR);
    *r = (struct backdoor_regs){
        .eax = (uint32_t)s.gpr[R_RAX], .ebx = (uint32_t)s.gpr[R_RBX], .ecx = (uint32_t)s.gpr[R_RCX], .edx = (uint32_t)s.gpr[R_RDX],
        .esi = (uint32_t)s.gpr[R_RSI], .edi = (uint32_t)s.gpr[R_RDI], .ebp = (uint32_t)s.gpr[R_RBP]};
}

static void backdoor_set_regs(void *u, struct vcpu *v, const struct backdoor_regs *r)
{
    struct machine *m = u;
    struct cpu_state s;
    m->be->get(v, &s, CPU_GPR);
    /* A command changes the registers it answers in; the others keep all 64 bits (RBP is the stack frame of a 64-bit guest).
     * EAX as well: after new registers KVM's emulator, which carries out an IN of CPL 3, does not write the port's value there itself. */
    const struct {
        unsigned reg;
        uint32_t val;
    } out[] = {{R_RAX, r->eax}, {R_RBX, r->ebx}, {R_RCX, r->ecx}, {R_RDX, r->edx}, {R_RSI, r->esi}, {R_RDI, r->edi}, {R_RBP, r->ebp}};
    for (unsigned i = 0; i < sizeof out / sizeof out[0]; i++)
        if ((uint32_t)s.gpr[out[i].reg] != out[i].val)
            s.gpr[out[i].reg] = out[i].val;
    m->be->set(v, &s, CPU_GPR, NULL);
}

static void poke_mouse(void *u)
{
    struct machine *m = u;
    ps2mouse_poke(m->mouse);
}

static bool screen_size(void *u, uint32_t *w, uint32_t *h)
{
    struct machine *m = u;
    const struct surface *sf = display_surface(m->display);
    if (!sf || !sf->width)
        return false;
    *w = sf->width;
    *h = sf->height;
    return true;
}

static void nvram_changed(void *u)
{
    struct machine *m = u;
    if (m->hooks.nvram_changed)
        m->hooks.nvram_changed(m->hooks.u);
}

static void tray(void *u, unsigned channel, unsigned unit, bool open)
{
    struct machine *m = u;
    if (m->hooks.tray)
        m->hooks.tray(m->hooks.u, channel, unit, open);
}

/* ---- building ---- */

struct host_cpu {
    char vendor[13], brand[49];
    uint32_t signature, features;
};

static void host_cpu(struct host_cpu *h)
{
    uint32_t a, b, c, d;
    *h = (struct host_cpu){0};
    if (__get_cpuid(0, &a, &b, &c, &d)) {
        memcpy(h->vendor, &b, 4);
        memcpy(h->vendor + 4, &d, 4);
        memcpy(h->vendor + 8, &c, 4);
    }
    if (__get_cpuid(1, &a, &b, &c, &d)) {
        h->signature = a;
        h->features = d;
    }
    for (uint32_t i = 0; i < 3; i++)
        if (__get_cpuid(0x80000002 + i, &a, &b, &c, &d)) {
            uint32_t r[4] = {a, b, c, d};
            memcpy(h->brand + 16 * i, r, 16);
        }
}

/* CMOS bytes that a BIOS expects from the board: memory sizes, equipment, boot order, number of processors. */
static unsigned cmos_preset(const struct plan *p, struct rtc_preset *out)
{
    unsigned n = 0;
    uint64_t below = i440_ram_below_4g(p->ram), above = p->ram - below;
#define CMOS(i, v) (out[n++] = (struct rtc_preset){(i), (uint8_t)(v)})
#define CMOS16(i, v) (CMOS(i, v), CMOS((i) + 1, (v) >> 8))
    uint64_t ext_kb = below > 1 << 20 ? (below - (1 << 20)) >> 10 : 0, ext_64k = below > 16 << 20 ? (below - (16 << 20)) >> 16 : 0;
    if (ext_kb > 0xFFFF)
        ext_kb = 0xFFFF;
    if (ext_64k > 0xFFFF)
        ext_64k = 0xFFFF;
    CMOS16(0x15, 640);
    CMOS16(0x17, ext_kb);
    CMOS16(0x30, ext_kb);
    CMOS16(0x34, ext_64k);
    CMOS16(0x5B, above >> 16);
    CMOS(0x5D, above >> 32);
    CMOS(0x10, 0);    /* no floppy drives */
    CMOS(0x14, 0x06); /* FPU, PS/2 mouse, EGA or VGA */
    CMOS(0x5F, p->n_vcpus - 1);
    /* Boot order nibbles of the oldest firmware: 1 floppy, 2 disk, 3 CD, 4 network; current firmware reads fw_cfg's file. */
    unsigned order[3] = {2, 3, 0}, k = 0;
    for (const char *s = p->boot_order; *s && k < 3;) {
        s += strspn(s, ", ");
        size_t l = strcspn(s, ", ");
        if (l)
            order[k++] = !strncasecmp(s, "hdd", l) ? 2 : !strncasecmp(s, "cdrom", l) ? 3 : !strncasecmp(s, "floppy", l) ? 1 : 4;
        s += l;
    }
    for (; k && k < 3; k++)
        order[k] = 0;
    CMOS(0x3D, order[0] | order[1] << 4);
    CMOS(0x38, order[2] << 4 | 1);
    return n;
}

/* Firmware paths of the drives in the order of bios.bootOrder; disks among themselves as bios.hddOrder says. */
static void boot_lines(const struct plan *p, char *buf, size_t n)
{
    const char *order = *p->boot_order ? p->boot_order : "hdd,cdrom,ethernet";
    size_t w = 0;
    buf[0] = 0;
    for (const char *s = order; *s;) {
        s += strspn(s, ", ");
        size_t l = strcspn(s, ", ");
        bool hdd = l == 3 && !strncasecmp(s, "hdd", 3), cd = l == 5 && !strncasecmp(s, "cdrom", 5);
        s += l;
        unsigned done = 0;
        for (const char *o = hdd ? p->hdd_order : ""; *o;) { /* "ide0:0,ide0:1" */
            o += strspn(o, ", ");
            unsigned c, u;
            if (sscanf(o, "ide%1u:%1u", &c, &u) == 2 && c < 2 && u < 2 && p->drive[c][u].kind == DRIVE_DISK && !(done & 1u << (c * 2 + u)) && w < n) {
                w += (size_t)firmware_path_ide(buf + w, n - w, PIIX4_DEVFN_IDE, c, u);
                done |= 1u << (c * 2 + u);
            }
            o += strcspn(o, ", ");
        }
        for (unsigned i = 0; i < 4; i++)
            if (((hdd && p->drive[i / 2][i % 2].kind == DRIVE_DISK) || (cd && p->drive[i / 2][i % 2].kind == DRIVE_CD)) && !(done & 1u << i) && w < n)
                w += (size_t)firmware_path_ide(buf + w, n - w, PIIX4_DEVFN_IDE, i / 2, i % 2);
        w += net_plan_boot_lines(p->net, s - l, l, buf + w, w < n ? n - w : 0);
    }
}

static int describe(struct machine *m, struct dev *fwcfg, struct err *e)
{
    const struct plan *p = m->plan;
    struct host_cpu hc;
    char boot[1024];
    host_cpu(&hc);
    boot_lines(p, boot, sizeof boot);
    struct firmware_params fp = {
        .n_cpus = p->n_vcpus,
        .ram = p->ram,
        .acpi = {.n_cpus = p->n_vcpus, .ram_below_4g = i440_ram_below_4g(p->ram), .hpet = p->hpet, .kbd_mouse = true},
        .smbios = {.ram = p->ram,
                   .n_sockets = (p->n_vcpus + p->cores_per_socket - 1) / p->cores_per_socket,
                   .cores_per_socket = p->cores_per_socket,
                   .cpu_mhz = (unsigned)(clock_tsc_khz(m->vm) / 1000),
                   .cpu_signature = hc.signature,
                   .cpu_features = hc.features,
                   .cpu_vendor = hc.vendor,
                   .cpu_version = hc.brand,
                   .hw_version = p->hw_version},
        .boot_order = boot,
        .boot_menu_wait_ms = p->boot_delay_ms,
        .boot_menu = p->boot_delay_ms > 0,
    };
    memcpy(fp.smbios.uuid, p->uuid, 16);
    for (unsigned i = 0; i < p->n_vcpus; i++)
        fp.acpi.apic_id[i] = vm_vcpu(m->vm, i)->apic_id;
    for (unsigned i = 0; i < 4; i++)
        if (p->serial[i].kind != SERIAL_NONE)
            fp.acpi.com |= (uint8_t)(1u << i);
    fp.acpi.n_bridges = pci_plan_acpi(&p->net->pci, fp.acpi.bridge);
    if (firmware_describe(fwcfg, &fp, e))
        return -1;
    /* How long the BIOS waits before it tries again when nothing boots; all ones: it does not. */
    uint32_t retry = p->boot_retry_ms ? p->boot_retry_ms : 0xFFFFFFFFu;
    uint8_t le[4] = {(uint8_t)retry, (uint8_t)(retry >> 8), (uint8_t)(retry >> 16), (uint8_t)(retry >> 24)};
    return fwcfg_add_file(fwcfg, "etc/boot-fail-wait", le, sizeof le, e);
}

static void hurry(void *u) { display_hurry(u); } /* [dev] */

static int build_devices(struct machine *m, struct err *e)
{
    const struct plan *p = m->plan;
    struct vm *vm = m->vm;
#define MAKE(var, cls, id, params)                          \
    struct dev *var = dev_create(vm, &cls, id, params, e);  \
    if (!var)                                               \
        return -1
    struct cpu_features feat;
    if (cpu_features_init(&feat, &vm_get_params(vm)->cpu, p->n_vcpus, clock_tsc_khz(vm)))
        return err_set(e, ERR_HOST, 0, "this computer's processor lacks features that Lodge needs (SSE2, XSAVE)");

    unsigned bus_khz = vm_get_params(vm)->cpu.bus_khz;
    uint64_t bus_hz = (bus_khz ? bus_khz : CPU_APIC_BUS_KHZ) * 1000ull;
    /* As long as either engine may run this machine, it has only what both have. */
    bool smm = m->engine.probe.status != VT_READY || m->engine.probe.smm;

    MAKE(pci, pci_bus_class, "pci0", NULL);
    struct pci_bus *bus = (struct pci_bus *)pci;
    MAKE(i440, i440_class, "i440", (&(struct i440_params){.bus = bus, .ram = &m->ram, .rom = &m->rom}));
    const struct irq_sink *a20 = i440_a20_sink(i440);

    MAKE(pic, pic_class, "pic", NULL);
    MAKE(ioapic, ioapic_class, "ioapic", (&(struct ioapic_params){.base = 0xFEC00000, .id = 0, .version = 0x11}));
    MAKE(lapic, lapic_class, "lapic",
         (&(struct lapic_params){.bus_hz = bus_hz, .x2apic = feat.x2apic, .tsc_deadline = feat.tsc_deadline, .phys_bits = feat.phys_bits}));
    m->lapic = lapic;
    MAKE(intr, intr_class, "intr", (&(struct intr_params){.pic = pic, .ioapic = ioapic, .lapic = lapic}));
    const struct irq_sink *isa = intr_isa_sink(intr), *legacy = isa;
    if (p->hpet) {
        MAKE(hpet, hpet_class, "hpet",
             (&(struct hpet_params){.base = 0xFED00000, .n_timers = 3, .irq0 = {isa, 0, SRC_ISA}, .irq8 = {isa, 8, SRC_ISA},
                                    .ioapic = ioapic_sink(ioapic), .ioapic_src = SRC_HPET, .route_cap = 0x00F00000}));
        legacy = hpet_legacy_sink(hpet);
    }
    MAKE(pit, pit_class, "pit", (&(struct pit_params){.irq0 = {legacy, 0, SRC_ISA}}));
    MAKE(pm, pm_class, "pm", (&(struct pm_params){.bus = bus, .devfn = PIIX4_DEVFN_PM, .sci = {isa, 9, SRC_ISA}, .smm = smm}));
    m->pm = pm;
    struct rtc_preset preset[24];
    MAKE(rtc, rtc_class, "rtc",
         (&(struct rtc_params){.irq8 = {legacy, 8, SRC_ISA}, .alarm = {pm_rtc_sink(pm), 0, 0}, .wall_diff = p->rtc_diff * 1000000000,
                               .nvram = m->nvram, .nvram_changed = nvram_changed, .nvram_u = m, .preset = preset,
                               .n_preset = cmos_preset(p, preset)}));
    MAKE(dma, dma8237_class, "dma", NULL);

    MAKE(piix4, piix4_class, "piix4",
         (&(struct piix4_params){.bus = bus, .devfn = PIIX4_DEVFN_ISA, .isa = isa, .isa_src = SRC_PIRQ,
                                 .gsi = {{ioapic_sink(ioapic), 16, SRC_PIRQ}, {ioapic_sink(ioapic), 17, SRC_PIRQ}, {ioapic_sink(ioapic), 18, SRC_PIRQ},
                                         {ioapic_sink(ioapic), 19, SRC_PIRQ}}}));
    struct ide_params ip = {.bus = bus, .devfn = PIIX4_DEVFN_IDE, .irq = {{isa, 14, SRC_ISA}, {isa, 15, SRC_ISA}}, .tray = tray, .tray_u = m};
    for (int c = 0; c < 2; c++)
        for (int u = 0; u < 2; u++) {
            enum plan_drive_kind k = p->drive[c][u].kind;
            ip.drive[c][u] = (struct ide_drive_params){.kind = k == DRIVE_DISK ? IDE_DISK : k == DRIVE_CD ? IDE_CDROM : IDE_NONE, .blk = m->drive[c][u].blk};
        }
    MAKE(ide, ide_class, "ide", &ip);
    m->ide = ide;
    MAKE(ferr, ferr_class, "ferr", (&(struct ferr_params){.irq13 = {isa, 13, SRC_ISA}}));
    MAKE(port92, port92_class, "port92", (&(struct port92_params){.a20 = {a20, 0, A20_SRC_PORT92}}));

    MAKE(kbd, ps2kbd_class, "kbd", (&(struct ps2kbd_params){.input = m->input}));
    MAKE(mouse, ps2mouse_class, "mouse", (&(struct ps2mouse_params){.input = m->input}));
    m->mouse = mouse;
    MAKE(kbc, kbc_class, "kbc",
         (&(struct kbc_params){.irq1 = {isa, 1, SRC_ISA}, .irq12 = {isa, 12, SRC_ISA}, .a20 = {a20, 0, A20_SRC_KBC}, .kbd = ps2kbd_link(kbd),
                               .aux = ps2mouse_link(mouse)}));

    struct memblk vgabios;
    if (load_rom(&vgabios, p->vgabios_path, e))
        return -1;
    m->svga = dev_create(vm, &svga_class, "svga",
                         &(struct svga_params){.bus = bus, .devfn = DEVFN_SVGA, .display = m->display, .rom = vgabios.host, .rom_size = vgabios.size,
                                               .vram_size = p->vram, .max_width = p->max_width, .max_height = p->max_height}, e);
    free_rom(&vgabios);
    input_on_delivery(m->input, hurry, m->display);
    if (!m->svga)
        return -1;

    if (net_link_build(vm, p, bus, &m->net, e))
        return -1;

    static const uint16_t com_base[4] = {0x3F8, 0x2F8, 0x3E8, 0x2E8};
    static const uint16_t com_irq[4] = {4, 3, 4, 3};
    for (int i = 0; i < 4; i++) {
        if (p->serial[i].kind == SERIAL_NONE)
            continue;
        char id[16];
        snprintf(id, sizeof id, "serial%d", i);
        MAKE(uart, uart_class, id, (&(struct uart_params){.base = com_base[i], .irq = {isa, com_irq[i], i < 2 ? SRC_ISA : SRC_SECOND_UART}}));
        m->uart[i] = uart;
    }

    struct backdoor_params bp = {.get_regs = backdoor_get_regs, .set_regs = backdoor_set_regs, .regs_u = m, .mem_mb = (uint32_t)(p->ram >> 20),
                                 .hw_version = p->hw_version, .product = PRODUCT_WORKSTATION, .build = BUILD_NUMBER, .bus_hz = bus_hz,
                                 .legacy_x2apic = feat.x2apic, .vmmouse = p->vmmouse, .input = m->input, .mouse_poke = poke_mouse, .mouse_poke_u = m,
                                 .screen_size = screen_size, .screen_u = m};
    memcpy(bp.uuid, p->uuid, 16);
    MAKE(backdoor, backdoor_class, "backdoor", &bp);
    struct balloon_params blp = {.get_regs = backdoor_get_regs, .set_regs = backdoor_set_regs, .regs_u = m, .ram = p->ram,
                                 .take = memory_take, .give = memory_give, .reset = memory_all_given, .u = m->memory};
    MAKE(balloon, balloon_class, "balloon", &blp);
    memory_balloon(m->memory, balloon);
    if (p->debug)
        (void)dev_create(vm, &debugport_class, "debugport", NULL, NULL);
    MAKE(fwcfg, fwcfg_class, "fwcfg", NULL);
    (void)pit, (void)rtc, (void)dma, (void)piix4, (void)port92, (void)ferr, (void)kbc, (void)backdoor;
    return describe(m, fwcfg, e);
}

struct machine *machine_build(const struct plan *p, const struct machine_hooks *h, struct err *e)
{
    struct machine *m = calloc(1, sizeof *m);
    if (!m) {
        err_set(e, ERR_NOMEM, ENOMEM, "not enough memory for the machine");
        return NULL;
    }
    m->plan = p;
    m->hooks = *h;
    m->ram.fd = m->rom.fd = -1;
    for (int i = 0; i < 4; i++)
        m->drive[i / 2][i % 2].dirfd = -1;
    if (h->nvram)
        memcpy(m->nvram, h->nvram, sizeof m->nvram);
    if (engine_choose(p, &m->engine, e))
        goto fail;
    m->be = m->engine.be;
    log_msg(LOG_INFO, "vmx", "Engine: %s (%s)", engine_text(m->be), m->engine.why);
    if (m->be == &vt_backend && !m->engine.probe.user_backdoor)
        log_msg(LOG_WARN, "vmx", "%s", vt_backdoor_advice());

    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct vm_params vp = {
        .n_vcpus = p->n_vcpus,
        .ram = p->ram,
        .wall_offset = p->rtc_start >= 0 ? p->rtc_start * 1000000000 : now.tv_sec * 1000000000ll + now.tv_nsec,
        .cpu = {.hide_longmode = p->hide_longmode, .cores_per_socket = p->cores_per_socket, .hypervisor_leaves = p->hypervisor_leaves,
                .pseudo_perfctr = p->pseudo_perfctr},
        .thread_started = h->thread_started,
        .thread_started_u = h->u,
        .mark = h->mark,
    };
    if (bt_stress_parse(p->bt_stress, &vp.engine_stress, &vp.engine_seed, e))
        goto fail;
    if (vp.engine_stress)
        log_msg(LOG_WARN, "vmx", "Fault finding is on (monitor.bt.stress = \"%s\"): everything is slow", p->bt_stress);
    engine_params(&m->engine, &vp);
    if (guestmem_alloc(&m->ram, &(struct guestmem_params){.size = p->ram, .huge = p->mem_huge, .mergeable = p->share_pages, .need = p->ram / 100 * p->mem_fit,
                                                            .file = p->mem_file, .pin = p->mem_pin}, e))
        goto fail;
    m->have_ram = true;
    if (load_rom(&m->rom, p->bios_path, e) || !(m->vm = vm_create(&vp, m->be, h->events, h->u, e)))
        goto fail;
    struct memory_params mp = {.vm = m->vm, .ram = &m->ram, .plan = p, .disk_reads = machine_disk_reads, .disk_u = m,
                               .thread_started = h->thread_started, .low = h->memory_low, .u = h->u};
    if (!(m->memory = memory_new(&mp, e)))
        goto fail;
    if (!(m->display = display_new(m->vm, e)) || !(m->input = input_new(m->vm, e)) || machine_open_drives(m, e) || build_devices(m, e))
        goto fail;
    return m;
fail:
    machine_destroy(m);
    return NULL;
}

static int connect_serial(struct machine *m, int i, struct err *e)
{
    const struct plan_serial *s = &m->plan->serial[i];
    struct chardev *c = NULL;
    switch (s->kind) {
    case SERIAL_NONE:
    case SERIAL_UNCONNECTED:
        return 0;
    case SERIAL_FILE:
        c = char_file_open(m->vm, s->path, e);
        break;
    case SERIAL_PIPE_SERVER:
    case SERIAL_PIPE_CLIENT:
        c = char_pipe_open(m->vm, s->path, s->kind == SERIAL_PIPE_SERVER, e);
        break;
    case SERIAL_PTY:
        c = char_pty_open(m->vm, e);
        break;
    }
    if (!c)
        return err_prefix(e, "serial%d: ", i);
    m->chr[i] = c;
    if (s->kind == SERIAL_PTY && s->path) {
        struct stat st;
        if (!lstat(s->path, &st) && !S_ISLNK(st.st_mode))
            return err_set(e, ERR_CONFIG, 0, "serial%d: %s exists and is no symbolic link; choose another fileName", i, s->path);
        unlink(s->path);
        if (symlink(char_pty_path(c), s->path))
            return err_set(e, ERR_IO, errno, "serial%d: the link %s cannot be made: %s", i, s->path, strerror(errno));
        m->pty_link[i] = strdup(s->path);
    }
    chipset_lock(m->vm);
    uart_connect(m->uart[i], c);
    chipset_unlock(m->vm);
    log_msg(LOG_INFO, "serial", "serial%d: %s", i, machine_serial_path(m, (unsigned)i));
    return 0;
}

int machine_connect(struct machine *m, struct err *e)
{
    const struct plan *p = m->plan;
    if (p->vnc) {
        struct screen_params sp = {.vm = m->vm, .display = m->display, .input = m->input, .name = p->name, .ip = p->vnc_ip, .port = p->vnc_port,
                                   .password = p->vnc_password, .keymap = screen_keymap_known(p->vnc_keymap) ? p->vnc_keymap : NULL,
                                   .max_clients = p->vnc_max_clients, .thread_started = m->hooks.thread_started, .thread_started_u = m->hooks.u};
        if (!sp.keymap)
            log_msg(LOG_WARN, "vnc", "RemoteDisplay.vnc.keyMap = \"%s\" is not known; us is used (known: %s)", p->vnc_keymap, screen_keymap_names());
        if (!(m->screen = screen_start(&sp, e)))
            return -1;
        log_msg(LOG_INFO, "vnc", "VNC server on %s port %u%s", *p->vnc_ip ? p->vnc_ip : "all addresses,", screen_port(m->screen),
                *p->vnc_password ? ", with password" : "");
    }
    for (int i = 0; i < 4; i++)
        if (connect_serial(m, i, e))
            return -1;
    net_link_connect(m->net);
    char *dir = lodge_vm_socket_dir();
    int rc = memory_join(m->memory, dir, e);
    free(dir);
    return rc ? rc : memory_start(m->memory, e);
}

void machine_destroy(struct machine *m)
{
    if (!m)
        return;
    if (m->vm && vm_get_state(m->vm) != VM_FAILED)
        (void)vm_pause(m->vm, NULL);
    screen_stop(m->screen);
    memory_free(m->memory);
    for (int i = 0; i < 4; i++) {
        if (!m->chr[i])
            continue;
        chipset_lock(m->vm);
        uart_connect(m->uart[i], NULL);
        m->chr[i]->ops->close(m->chr[i]);
        chipset_unlock(m->vm);
        if (m->pty_link[i])
            unlink(m->pty_link[i]);
        free(m->pty_link[i]);
    }
    net_link_close(m->net);
    if (m->vm)
        vm_destroy(m->vm);
    net_link_free(m->net);
    machine_close_drives(m);
    if (m->input)
        input_free(m->input);
    if (m->display)
        display_free(m->display);
    free_rom(&m->rom);
    if (m->have_ram)
        guestmem_free(&m->ram);
    if (m->plan->mem_file)
        unlink(m->plan->mem_file);
    free(m);
}

/* ---- what control and power use ---- */

int machine_set_balloon(struct machine *m, int64_t mb, struct err *e) { return memory_set_balloon(m->memory, mb, e); }
bool machine_set_key(struct machine *m, const char *key, const char *value) { return memory_set_key(m->memory, key, value); }

struct vm *machine_vm(struct machine *m) { return m->vm; }
struct display *machine_display(struct machine *m) { return m->display; }
struct input *machine_input(struct machine *m) { return m->input; }
struct machine_net *machine_net(struct machine *m) { return m->net; }
const char *machine_engine(const struct machine *m) { return m->be->name; }
const char *machine_notice(const struct machine *m) { return memory_notice(m->memory); }
unsigned machine_vnc_port(const struct machine *m) { return m->screen ? screen_port(m->screen) : 0; }
unsigned machine_vnc_clients(struct machine *m) { return m->screen ? screen_client_count(m->screen) : 0; }

const char *machine_serial_path(const struct machine *m, unsigned i)
{
    if (i >= 4 || !m->chr[i])
        return NULL;
    return m->plan->serial[i].kind == SERIAL_PTY ? char_pty_path(m->chr[i]) : m->plan->serial[i].path;
}

int machine_switch_engine(struct machine *m, const char *name, struct err *e)
{
    const struct cpu_backend *be = engine_named(&m->engine, m->plan, name, e), *old = m->be;
    if (!be)
        return -1;
    if (be == old)
        return 0;
    /* The local APICs change hands: their registers go through the device's saved state. */
    struct snap_writer *w = snap_writer_new();
    struct snap_reader *r = NULL;
    size_t len;
    int rc = w ? 0 : err_set(e, ERR_NOMEM, 0, "not enough memory to change the engine");
    chipset_lock(m->vm);
    if (!rc)
        rc = state_save(w, "lapic", lapic_class.state, m->lapic, e);
    chipset_unlock(m->vm);
    const void *data = rc ? NULL : snap_writer_data(w, &len);
    if (!rc && !(r = snap_reader_new(data, len, e)))
        rc = -1;
    if (!rc) {
        rc = vm_switch_backend(m->vm, be, e);
        m->be = vm_backend(m->vm);
        struct err le = {0};
        chipset_lock(m->vm);
        int lrc = state_load(r, "lapic", lapic_class.state, m->lapic, &le);
        irq_routes_changed(m->vm);
        chipset_unlock(m->vm);
        if (lrc)
            vm_fail(m->vm, &le);
    }
    snap_reader_free(r);
    snap_writer_free(w);
    if (!rc)
        log_msg(LOG_INFO, "vmx", "Engine: %s from here on, before: %s", engine_text(m->be), engine_text(old));
    return rc;
}

void machine_power_button(struct machine *m)
{
    chipset_lock(m->vm);
    pm_power_button(m->pm);
    chipset_unlock(m->vm);
}

bool machine_prefer_screen(struct machine *m, uint32_t width, uint32_t height)
{
    chipset_lock(m->vm);
    svga_prefer_size(m->svga, width, height);
    chipset_unlock(m->vm);
    return false; /* a running driver changes its mode only on behalf of tools in the guest */
}

int machine_screenshot(struct machine *m, uint8_t **png, size_t *size, struct err *e) { return screen_screenshot_png(m->vm, m->display, png, size, e); }

void machine_nvram(struct machine *m, uint8_t out[256])
{
    chipset_lock(m->vm);
    memcpy(out, m->nvram, sizeof m->nvram);
    chipset_unlock(m->vm);
}
