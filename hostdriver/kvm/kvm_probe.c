/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does hardware virtualization work here? Found out by doing: a machine of 64 KiB is made, enters 64-bit mode with
 * paging, computes, and goes on at CPL 3, where it reads the VMware port. A file called /dev/kvm proves nothing: some
 * hosts offer one that runs real mode only, or that emulates a kernel's instructions one by one, which is slower than
 * binary translation by far and stops at the first one that it does not know. So a loop is timed, too.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <grp.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "kvm/kvm_private.h"

#define PROBE_RAM 0x10000u
#define TIME_LIMIT_MS 2000
#define LOOPS 2000u
#define TRIES 6 /* a busy host may take the processor away in the middle of one */
#define ENOUGH 3 /* what is many times too slow in all of so many */
enum { AT_PML4 = 0x1000, AT_PDPT = 0x2000, AT_PD = 0x3000, AT_GDT = 0x4000, AT_CODE = 0x5000, AT_USER = 0x6000, AT_TOP = 0x8000 };
enum { PORT_RESULT = 0x10, PORT_TIME = 0x11, PORT_USER = 0x5658 };

/* again: in eax, 11h; test eax, eax; jz done; mov ecx, eax; l: dec ecx; jnz l; out 11h, eax; jmp again;
 * done: mov rax, 0102030405060708h; add rax, rax; mov ecx, eax; shr rax, 32; out 10h, eax; mov eax, ecx; out 10h, eax;
 * push SS, RSP, RFLAGS (IOPL 0), CS, RIP of CPL 3; iretq */
static const uint8_t kernel_code[] = {
    0xe5, PORT_TIME, 0x85, 0xc0, 0x74, 0x0a, 0x89, 0xc1, 0xff, 0xc9, 0x75, 0xfc, 0xe7, PORT_TIME, 0xeb, 0xf0,
    0x48, 0xb8, 8, 7, 6, 5, 4, 3, 2, 1, 0x48, 0x01, 0xc0, 0x89, 0xc1, 0x48, 0xc1, 0xe8, 32, 0xe7, PORT_RESULT, 0x89, 0xc8, 0xe7, PORT_RESULT,
    0x6a, 0x23, 0x68, 0x00, 0x80, 0, 0, 0x6a, 0x02, 0x6a, 0x1b, 0x68, 0x00, 0x60, 0, 0, 0x48, 0xcf};
/* mov eax, 'VMXh'; mov ecx, 10; mov dx, 5658h; in eax, dx; jmp . */
static const uint8_t user_code[] = {0xb8, 0x68, 0x58, 0x4d, 0x56, 0xb9, 10, 0, 0, 0, 0x66, 0xba, 0x58, 0x56, 0xed, 0xeb, 0xfe};

struct trial {
    int sys, vm, cpu;
    struct kvm_run *run;
    size_t run_size;
    uint8_t *ram;
    pthread_t watch, me;
    sem_t done;
};

static int say(struct vt_probe *p, enum vt_status s, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int say(struct vt_probe *p, enum vt_status s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->text, sizeof p->text, fmt, ap);
    va_end(ap);
    p->status = s;
    return -1;
}

/* ---- what the processor says ---- */

static bool cpu_has_vt(bool *intel, bool *guest)
{
    uint32_t a, b, c, d;
    bool vt = false;
    *intel = *guest = false;
    if (__get_cpuid(0, &a, &b, &c, &d))
        *intel = b == 0x756e6547; /* "Genu" */
    if (__get_cpuid(1, &a, &b, &c, &d)) {
        vt = c & 1u << 5;
        *guest = c & 1u << 31;
    }
    if (__get_cpuid(0x80000001u, &a, &b, &c, &d))
        vt |= (c & 1u << 2) != 0;
    return vt;
}

static int no_device(struct vt_probe *p)
{
    bool intel, guest, vt = cpu_has_vt(&intel, &guest);
    const char *module = intel ? "kvm_intel" : "kvm_amd";
    if (vt)
        return say(p, VT_NO_DEVICE,
                   "the processor has it, but there is no /dev/kvm: load the kernel module with 'sudo modprobe %s'; if that fails, switch "
                   "virtualization (%s) on in the computer's firmware setup",
                   module, intel ? "VT-x" : "SVM");
    if (guest)
        return say(p, VT_NO_NESTED,
                   "this computer is itself a virtual machine, and its host does not pass virtualization on; nested virtualization must be "
                   "switched on there");
    return say(p, VT_NO_PROCESSOR,
               "the processor does not offer it: switch virtualization (%s) on in the computer's firmware setup, if it has the entry",
               intel ? "VT-x" : "SVM");
}

static int no_permission(struct vt_probe *p)
{
    struct stat st;
    const char *name = "kvm";
    struct group *g = NULL;
    bool others = true;
    if (stat("/dev/kvm", &st) == 0) {
        others = (st.st_mode & 0060) == 0060 && st.st_gid != 0;
        g = others ? getgrgid(st.st_gid) : NULL;
    }
    if (g)
        name = g->gr_name;
    if (!others)
        return say(p, VT_NO_PERMISSION,
                   "no permission for /dev/kvm, which only root may use: 'sudo chgrp kvm /dev/kvm && sudo chmod 660 /dev/kvm' (Debian's udev "
                   "does that at boot), then 'sudo usermod -aG kvm $USER' and log in again");
    return say(p, VT_NO_PERMISSION, "no permission for /dev/kvm, which group %s may use: 'sudo usermod -aG %s $USER', then log in again", name, name);
}

/* ---- a machine of 64 KiB ---- */

/* Ends a KVM_RUN that does not come back. */
static void *watchdog(void *arg)
{
    struct trial *t = arg;
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    for (unsigned ms = TIME_LIMIT_MS;; ms = 2) {
        end.tv_nsec += (long)(ms % 1000) * 1000000;
        end.tv_sec += ms / 1000 + end.tv_nsec / 1000000000;
        end.tv_nsec %= 1000000000;
        int rc;
        while ((rc = sem_clockwait(&t->done, CLOCK_MONOTONIC, &end)) < 0 && errno == EINTR)
            ;
        if (rc == 0)
            return NULL;
        __atomic_store_n(&t->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
        pthread_kill(t->me, VT_KICK_SIGNAL);
    }
}

static void fill(struct trial *t)
{
    st_le64(t->ram + AT_PML4, AT_PDPT | 7);
    st_le64(t->ram + AT_PDPT, AT_PD | 7);
    st_le64(t->ram + AT_PD, 0x87); /* 2 MiB, user */
    st_le64(t->ram + AT_GDT + 8, 0x00af9b000000ffffull);  /* 08: code, 64 bits */
    st_le64(t->ram + AT_GDT + 16, 0x00cf93000000ffffull); /* 10: data */
    st_le64(t->ram + AT_GDT + 24, 0x00affb000000ffffull); /* 18: code, CPL 3 */
    st_le64(t->ram + AT_GDT + 32, 0x00cff3000000ffffull); /* 20: data, CPL 3 */
    memcpy(t->ram + AT_CODE, kernel_code, sizeof kernel_code);
    memcpy(t->ram + AT_USER, user_code, sizeof user_code);
}

static int set_registers(struct trial *t)
{
    struct kvm_sregs s;
    struct kvm_regs r = {.rip = AT_CODE, .rsp = AT_TOP, .rflags = 2};
    if (kvm_call(t->cpu, KVM_GET_SREGS, &s) < 0)
        return -1;
    s.cr0 = 0x80000011;
    s.cr3 = AT_PML4;
    s.cr4 = 0x20;
    s.efer = 0x500;
    s.gdt.base = AT_GDT;
    s.gdt.limit = 39;
    s.idt.base = s.idt.limit = 0;
    s.cs = (struct kvm_segment){.selector = 8, .limit = ~0u, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
    s.ss = s.ds = s.es = s.fs = s.gs = (struct kvm_segment){.selector = 16, .limit = ~0u, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    s.tr = (struct kvm_segment){.limit = 103, .type = 11, .present = 1, .base = AT_TOP};
    return kvm_call(t->cpu, KVM_SET_SREGS, &s) < 0 || kvm_call(t->cpu, KVM_SET_REGS, &r) < 0 ? -1 : 0;
}

static int make(struct trial *t, struct vt_probe *p)
{
    const struct kvm_sys *k = kvm_sys_get();
    struct kvm_userspace_memory_region mem = {.memory_size = PROBE_RAM};
    static const struct {
        unsigned cap;
        const char *name;
    } need[] = {{KVM_CAP_USER_MEMORY, "user memory"}, {KVM_CAP_SPLIT_IRQCHIP, "split irqchip"}, {KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
                {KVM_CAP_X2APIC_API, "x2APIC"},        {KVM_CAP_READONLY_MEM, "read-only memory"}, {KVM_CAP_XSAVE, "XSAVE"},
                {KVM_CAP_SIGNAL_MSI, "MSI"},           {KVM_CAP_TSC_DEADLINE_TIMER, "TSC deadline timer"}};
    t->vm = kvm_call_n(t->sys, KVM_CREATE_VM, 0);
    if (t->vm < 0 && errno == EBUSY)
        return say(p, VT_IN_USE, "another hypervisor (VirtualBox, for example) uses the processor's virtualization now; end its machines");
    if (t->vm < 0)
        return say(p, VT_BROKEN, "/dev/kvm makes no virtual machine: %s", strerror(errno));
    for (unsigned i = 0; i < sizeof need / sizeof need[0]; i++)
        if (!kvm_has(t->vm, need[i].cap))
            return say(p, VT_TOO_OLD, "the host's KVM has no %s; it needs a kernel of Linux 5.10 or newer", need[i].name);
    int size = kvm_call_n(t->sys, KVM_GET_VCPU_MMAP_SIZE, 0);
    t->ram = mmap(NULL, PROBE_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (size < (int)sizeof *t->run || t->ram == MAP_FAILED) {
        t->ram = t->ram == MAP_FAILED ? NULL : t->ram;
        return say(p, VT_BROKEN, "a virtual machine cannot be set up: %s", strerror(errno));
    }
    t->run_size = (size_t)size;
    fill(t);
    mem.userspace_addr = (uintptr_t)t->ram;
    if (kvm_call(t->vm, KVM_SET_USER_MEMORY_REGION, &mem) < 0 || (t->cpu = kvm_call_n(t->vm, KVM_CREATE_VCPU, 0)) < 0 ||
        !(t->run = k->map(t->cpu, t->run_size)))
        return say(p, VT_BROKEN, "a virtual machine cannot be set up: %s", strerror(errno));
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 e[160];
    } id = {.head.nent = 160};
    if (kvm_call(t->sys, KVM_GET_SUPPORTED_CPUID, &id) < 0 || kvm_call(t->cpu, KVM_SET_CPUID2, &id) < 0 || set_registers(t))
        return say(p, VT_BROKEN, "/dev/kvm is there, but a processor cannot be put into 64-bit mode: %s", strerror(errno));
    return 0;
}

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* What the loop takes without virtualization; the shortest of some runs. */
static int64_t native_ns(void)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i < 4; i++) {
        int64_t start = now_ns();
        uint32_t n = LOOPS;
        __asm__ volatile("1: decl %0; jnz 1b" : "+r"(n) : : "cc");
        int64_t took = now_ns() - start;
        best = took < best ? took : best;
    }
    return best;
}

/* The guest asks how often its loop is to run: once and LOOPS times by turns. The difference of the shortest times is the loop's own, without
 * the way in and out. */
struct timing {
    int64_t start, limit, best[2];
    unsigned n; /* loops that have ended */
};

static int64_t loop_ns(const struct timing *t) { return t->best[1] - t->best[0]; }

/* 0: it has been long enough. */
static uint32_t next_loop(struct timing *t)
{
    unsigned pairs = t->n / 2;
    if (t->n % 2 == 0 && pairs && (loop_ns(t) < t->limit || pairs == TRIES || (pairs >= ENOUGH && loop_ns(t) > 4 * t->limit)))
        return 0;
    t->start = now_ns();
    return t->n % 2 ? LOOPS : 1;
}

static void loop_ended(struct timing *t)
{
    int64_t took = now_ns() - t->start, *best = &t->best[t->n++ % 2];
    *best = took < *best ? took : *best;
}

static int execute(struct trial *t, struct vt_probe *p)
{
    struct timing tm = {.limit = 30 * native_ns() + 200000, .best = {INT64_MAX / 2, INT64_MAX / 2}};
    const struct kvm_sys *k = kvm_sys_get();
    uint64_t got = 0;
    unsigned n = 0;
    for (int i = 0; i < 64; i++) {
        int rc = k->ioctl(t->cpu, KVM_RUN, NULL);
        if (rc < 0 && errno == EINTR && !__atomic_load_n(&t->run->immediate_exit, __ATOMIC_SEQ_CST))
            continue;
        if (rc < 0)
            return n == 2 ? 0 : say(p, VT_BROKEN, "/dev/kvm is there, but does not run 64-bit code: %s", errno == EINTR ? "it hangs" : strerror(errno));
        uint8_t *data = (uint8_t *)t->run + t->run->io.data_offset;
        bool io = t->run->exit_reason == KVM_EXIT_IO && t->run->io.data_offset + 4 <= t->run_size;
        bool out = io && t->run->io.direction == KVM_EXIT_IO_OUT;
        if (io && t->run->io.port == PORT_TIME && tm.n <= 2 * TRIES) {
            if (out)
                loop_ended(&tm);
            else
                st_le32(data, next_loop(&tm));
            continue;
        }
        if (tm.n > 1 && loop_ns(&tm) >= tm.limit)
            return say(p, VT_BROKEN,
                       "/dev/kvm is there, but it emulates the guest's instructions one by one instead of running them, because this host is itself "
                       "a virtual machine; binary translation is faster");
        if (out && t->run->io.port == PORT_RESULT) {
            got = got << 32 | ld_le32(data);
            n++;
            continue;
        }
        if (n == 2 && got == 0x020406080a0c0e10ull) {
            p->user_backdoor = io && t->run->io.port == PORT_USER; /* otherwise #GP, and no handler: shutdown */
            return 0;
        }
        break;
    }
    return say(p, VT_BROKEN, "/dev/kvm is there, but does not run 64-bit code (exit %u); the host's own virtualization is incomplete",
               t->run->exit_reason);
}

static void end(struct trial *t)
{
    const struct kvm_sys *k = kvm_sys_get();
    if (t->run)
        k->unmap(t->run, t->run_size);
    if (t->cpu >= 0)
        k->close(t->cpu);
    if (t->vm >= 0)
        k->close(t->vm);
    if (t->ram)
        munmap(t->ram, PROBE_RAM);
    k->close(t->sys);
}

static void on_signal(int sig) { (void)sig; }

/* Only then do the kernel's frequency of the TSC and CLOCK_MONOTONIC belong together. */
static bool clock_is_tsc(void)
{
    char name[16] = "";
    FILE *f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
    bool ok = f && fgets(name, sizeof name, f) && !strcmp(name, "tsc\n");
    if (f)
        fclose(f);
    return ok;
}

static void details(struct trial *t, struct vt_probe *p)
{
    p->smm = kvm_has(t->vm, KVM_CAP_X86_SMM) && kvm_has(t->vm, KVM_CAP_MULTI_ADDRESS_SPACE) >= VT_SPACES;
    int khz = kvm_call_n(t->cpu, KVM_GET_TSC_KHZ, 0);
    p->tsc_khz = khz > 0 && clock_is_tsc() ? (uint64_t)khz : 0;
    p->bus_khz = VT_BUS_KHZ;
    vt_cpuid_limit(t->sys, p);
}

void vt_probe(struct vt_probe *p)
{
    struct trial t = {.vm = -1, .cpu = -1, .me = pthread_self()};
    struct sigaction sa = {.sa_handler = on_signal}, old;
    memset(p, 0, sizeof *p);
    if ((t.sys = kvm_sys_get()->open("/dev/kvm")) < 0) {
        if (errno == EACCES || errno == EPERM)
            no_permission(p);
        else if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
            no_device(p);
        else
            say(p, VT_BROKEN, "/dev/kvm cannot be opened: %s", strerror(errno));
        return;
    }
    if (kvm_call_n(t.sys, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
        say(p, VT_BROKEN, "/dev/kvm does not answer as KVM does");
        end(&t);
        return;
    }
    sigemptyset(&sa.sa_mask);
    if (!make(&t, p) && !sigaction(VT_KICK_SIGNAL, &sa, &old)) {
        sem_init(&t.done, 0, 0);
        bool watched = !pthread_create(&t.watch, NULL, watchdog, &t);
        if (!watched)
            say(p, VT_BROKEN, "not enough memory to try it");
        else if (!execute(&t, p)) {
            say(p, VT_READY, "ready");
            details(&t, p);
        }
        sem_post(&t.done);
        if (watched)
            pthread_join(t.watch, NULL);
        sem_destroy(&t.done);
        sigaction(VT_KICK_SIGNAL, &old, NULL);
    }
    end(&t);
}

const char *vt_backdoor_advice(void)
{
    return "programs in the guest that are not its kernel do not reach the VMware backdoor (open-vm-tools needs it): the administrator can allow it "
           "with 'echo options kvm enable_vmware_backdoor=Y | sudo tee /etc/modprobe.d/lodge.conf' and a reboot";
}
