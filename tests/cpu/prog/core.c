/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The CPU test program: running a piece of code, catching its faults, hashing what it did, and main(). */
#define _GNU_SOURCE
#include "cputest.h"

#include <cpuid.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <unistd.h>

struct regs in, out;
uint8_t in_x[4096] __attribute__((aligned(64))), out_x[4096] __attribute__((aligned(64)));
uint8_t vec_mode, fx_only; /* fx_only: as on a processor without XSAVE */
uint32_t xmask, default_mxcsr = 0x1f80;
word code_ptr, saved_sp;
struct fault fault;
bool (*fault_hook)(ucontext_t *uc, siginfo_t *si);
static volatile bool running;
static word cp = CODE; /* where the next piece goes */

/*
 * run_entry loads the registers and jumps to the piece; the piece ends with a jump to run_exit, a fault with fault_exit on run()'s own
 * stack. Every address is absolute and below 2 GiB, so that no register is needed to reach them.
 */
#ifdef __x86_64__
__asm__(".text\n"
        ".globl run_entry, run_exit, fault_exit\n"
        "run_entry:\n"
        "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
        "mov %rsp, saved_sp\n"
        "cmpb $0, vec_mode\n je 1f\n"
        "cmpb $0, fx_only\n je 2f\n fxrstor in_x\n jmp 1f\n"
        "2: mov xmask, %eax\n xor %edx, %edx\n lea in_x, %rcx\n xrstor (%rcx)\n"
        "1: push in+128\n popf\n"
        "mov in, %rax\n mov in+8, %rcx\n mov in+16, %rdx\n mov in+24, %rbx\n mov in+40, %rbp\n mov in+48, %rsi\n mov in+56, %rdi\n"
        "mov in+64, %r8\n mov in+72, %r9\n mov in+80, %r10\n mov in+88, %r11\n mov in+96, %r12\n mov in+104, %r13\n mov in+112, %r14\n"
        "mov in+120, %r15\n mov in+32, %rsp\n"
        "jmp *code_ptr\n"
        "run_exit:\n"
        "mov %rax, out\n mov %rcx, out+8\n mov %rdx, out+16\n mov %rbx, out+24\n mov %rsp, out+32\n mov %rbp, out+40\n mov %rsi, out+48\n"
        "mov %rdi, out+56\n mov %r8, out+64\n mov %r9, out+72\n mov %r10, out+80\n mov %r11, out+88\n mov %r12, out+96\n"
        "mov %r13, out+104\n mov %r14, out+112\n mov %r15, out+120\n"
        "mov saved_sp, %rsp\n pushf\n pop out+128\n"
        "fault_exit:\n"
        "push $2\n popf\n"
        "cmpb $0, vec_mode\n je 1f\n"
        "cmpb $0, fx_only\n je 2f\n fxsave out_x\n jmp 3f\n"
        "2: mov xmask, %eax\n xor %edx, %edx\n lea out_x, %rcx\n xsave (%rcx)\n"
        "3: fninit\n ldmxcsr default_mxcsr\n"
        "1: pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
        "ret\n");
#else
__asm__(".text\n"
        ".globl run_entry, run_exit, fault_exit\n"
        "run_entry:\n"
        "push %ebx\n push %ebp\n push %esi\n push %edi\n"
        "mov %esp, saved_sp\n"
        "cmpb $0, vec_mode\n je 1f\n"
        "cmpb $0, fx_only\n je 2f\n fxrstor in_x\n jmp 1f\n"
        "2: mov xmask, %eax\n xor %edx, %edx\n lea in_x, %ecx\n xrstor (%ecx)\n"
        "1: push in+64\n popf\n"
        "mov in, %eax\n mov in+4, %ecx\n mov in+8, %edx\n mov in+12, %ebx\n mov in+20, %ebp\n mov in+24, %esi\n mov in+28, %edi\n"
        "mov in+16, %esp\n"
        "jmp *code_ptr\n"
        "run_exit:\n"
        "mov %eax, out\n mov %ecx, out+4\n mov %edx, out+8\n mov %ebx, out+12\n mov %esp, out+16\n mov %ebp, out+20\n mov %esi, out+24\n"
        "mov %edi, out+28\n"
        "mov saved_sp, %esp\n pushf\n pop out+64\n"
        "fault_exit:\n"
        "push $2\n popf\n"
        "cmpb $0, vec_mode\n je 1f\n"
        "cmpb $0, fx_only\n je 2f\n fxsave out_x\n jmp 3f\n"
        "2: mov xmask, %eax\n xor %edx, %edx\n lea out_x, %ecx\n xsave (%ecx)\n"
        "3: fninit\n ldmxcsr default_mxcsr\n"
        "1: pop %edi\n pop %esi\n pop %ebp\n pop %ebx\n"
        "ret\n");
#endif
void run_entry(void);
extern char run_exit[], fault_exit[];

/* -- signals --------------------------------------------------------------------------------------------------------------- */

static void uc_regs(const ucontext_t *uc, struct regs *r)
{
    const greg_t *g = uc->uc_mcontext.gregs;
#ifdef __x86_64__
    static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    r->ip = (word)g[REG_RIP];
#else
    static const int order[8] = {REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI};
    r->ip = (word)g[REG_EIP];
#endif
    for (int i = 0; i < NREG; i++)
        r->r[i] = (word)g[order[i]];
    r->fl = (word)g[REG_EFL];
}

static void on_signal(int sig, siginfo_t *si, void *ctx)
{
    ucontext_t *uc = ctx;
    greg_t *g = uc->uc_mcontext.gregs;
    if (!running) {
        static const char msg[] = "cputest: unexpected signal\n";
        if (write(2, msg, sizeof msg - 1) < 0)
            _exit(98);
        _exit(99);
    }
    if (fault_hook && fault_hook(uc, si))
        return;
    fault.sig = sig;
    fault.code = si->si_code;
    fault.trap = (word)g[REG_TRAPNO];
    fault.err = (word)g[REG_ERR];
#ifdef __x86_64__
    fault.addr = fault.trap == 14 ? (word)g[REG_CR2] : 0;
#else
    fault.addr = fault.trap == 14 ? uc->uc_mcontext.cr2 : 0;
#endif
    uc_regs(uc, &out);
#ifdef __x86_64__
    g[REG_RIP] = (greg_t)fault_exit;
    g[REG_RSP] = (greg_t)saved_sp;
    uint16_t cs; /* the piece may have left 64-bit code */
    __asm__("mov %%cs, %0" : "=r"(cs));
    g[REG_CSGSFS] = (g[REG_CSGSFS] & ~(greg_t)0xffff) | cs;
#else
    /* A piece may have changed segments. */
    uint16_t cs, ds;
    __asm__("mov %%cs, %0\n mov %%ds, %1" : "=r"(cs), "=r"(ds));
    g[REG_CS] = cs;
    g[REG_DS] = g[REG_ES] = g[REG_SS] = ds;
    g[REG_EIP] = (greg_t)fault_exit;
    g[REG_ESP] = (greg_t)saved_sp;
    g[REG_UESP] = (greg_t)saved_sp;
#endif
    g[REG_EFL] = 2;
}

static void set_up_signals(void)
{
    static uint8_t stack[65536] __attribute__((aligned(64)));
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    static const int sigs[] = {SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP};
    sigaltstack(&ss, NULL);
    for (unsigned i = 0; i < sizeof sigs / sizeof sigs[0]; i++)
        sigaction(sigs[i], &sa, NULL);
}

/* -- pieces of code -------------------------------------------------------------------------------------------------------- */

void e8(struct enc *e, unsigned v) { e->b[e->n++] = (uint8_t)v; }
void e16(struct enc *e, unsigned v)
{
    e8(e, v);
    e8(e, v >> 8);
}
void e32(struct enc *e, uint32_t v)
{
    e16(e, v);
    e16(e, v >> 16);
}
void eword(struct enc *e, word v)
{
    memcpy(e->b + e->n, &v, sizeof v);
    e->n += (int)sizeof v;
}
void etail(struct enc *e, const struct enc *tail)
{
    memcpy(e->b + e->n, tail->b, (size_t)tail->n);
    e->n += tail->n;
}

static void prefixes(struct enc *e, int size, unsigned op, int reg, int rm, bool is_reg_rm)
{
    unsigned rex = (unsigned)(size == 8 ? 8 : 0) | (unsigned)(reg >= 8 ? 4 : 0) | (unsigned)(rm >= 8 ? 1 : 0);
    if (size == 2)
        e8(e, 0x66);
    /* On 64 bits the byte registers 4 to 7 are SPL to DIL with a REX prefix. */
    if (IS64 && (rex || (size == 1 && ((reg >= 4 && reg < 8) || (is_reg_rm && rm >= 4 && rm < 8)))))
        e8(e, 0x40 | rex);
    if (op & OP_0F)
        e8(e, 0x0f);
    e8(e, op & 0xff);
}

void enc_rr(struct enc *e, int size, unsigned op, int reg, int rm)
{
    prefixes(e, size, op, reg, rm, true);
    e8(e, 0xc0 | (unsigned)(reg & 7) << 3 | (unsigned)(rm & 7));
}

void enc_rm(struct enc *e, int size, unsigned op, int reg, int base)
{
    prefixes(e, size, op, reg, base, false);
    e8(e, ((base & 7) == BP ? 0x40u : 0u) | (unsigned)(reg & 7) << 3 | (unsigned)(base & 7));
    if ((base & 7) == SP)
        e8(e, 0x24);
    if ((base & 7) == BP)
        e8(e, 0);
}

static void copy_with_exit(word at, const struct enc *e)
{
    uint8_t buf[sizeof e->b + 5];
    memcpy(buf, e->b, (size_t)e->n);
    buf[e->n] = 0xe9;
    int32_t rel = (int32_t)((word)run_exit - (at + (word)e->n + 5));
    memcpy(buf + e->n + 1, &rel, 4);
    memcpy((void *)at, buf, (size_t)e->n + 5);
}

word place(const struct enc *e)
{
    if (cp + sizeof e->b + 32 > CODE + CODE_SIZE)
        cp = CODE;
    word at = cp;
    copy_with_exit(at, e);
    cp += ((word)e->n + 5 + 15) & ~(word)15;
    return at;
}

/* -- hashing and listing --------------------------------------------------------------------------------------------------- */

static uint64_t group_hash, piece_hash;
static const char *group_name, *want_detail;
static int listing, piece_no, want_piece;
static struct enc piece_enc;
static bool piece_open;

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15ull;
    return h ^ h >> 29;
}

void hash(uint64_t v)
{
    group_hash = mix(group_hash, v);
    piece_hash = mix(piece_hash, v);
}

void hash_mem(const void *p, size_t n)
{
    const uint8_t *b = p;
    uint64_t v, h = n;
    for (; n >= 8; n -= 8, b += 8) {
        memcpy(&v, b, 8);
        h = mix(h, v);
    }
    v = 0;
    memcpy(&v, b, n);
    hash(mix(h, v));
}

static bool detailed(void) { return listing == 2 && piece_no == want_piece; }

void note(const char *fmt, ...)
{
    if (!detailed())
        return;
    va_list ap;
    va_start(ap, fmt);
    printf("  ");
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
}

static void close_piece(void)
{
    if (!piece_open)
        return;
    piece_open = false;
    if (listing == 1) {
        printf("%s#%d %016llx ", group_name, piece_no, (unsigned long long)piece_hash);
        for (int i = 0; i < piece_enc.n; i++)
            printf("%02x", piece_enc.b[i]);
        printf("\n");
    }
}

static void open_piece(const struct enc *e)
{
    close_piece();
    piece_open = true;
    piece_no++;
    piece_hash = 0;
    piece_enc = *e;
    if (detailed()) {
        printf("%s#%d ", group_name, piece_no);
        for (int i = 0; i < e->n; i++)
            printf("%02x ", e->b[i]);
        printf("\n");
    }
}

void piece(const struct enc *e)
{
    open_piece(e);
    code_ptr = place(e);
}

void piece_at(word address, const struct enc *e)
{
    open_piece(e);
    copy_with_exit(address, e);
    code_ptr = address;
}

void run(void)
{
    memset(&fault, 0, sizeof fault);
    running = true;
    run_entry();
    running = false;
}

static void print_regs(const char *what, const struct regs *r, word flags)
{
    static const char *const name[16] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
    printf("  %s", what);
    for (int i = 0; i < NREG; i++)
        printf(" %s=%lx", name[i], r->r[i]);
    printf(" fl=%lx\n", flags);
}

static void dump_x(const uint8_t *x, const char *what)
{
    printf("  %s fcw %02x%02x fsw %02x%02x ftw %02x mxcsr %02x%02x%02x%02x\n", what, x[1], x[0], x[3], x[2], x[4], x[27], x[26], x[25], x[24]);
    for (int i = 0; i < 8 + NREG; i++) {
        const uint8_t *p = x + 32 + i * 16;
        printf("   %s%d ", i < 8 ? "st" : "xmm", i < 8 ? i : i - 8);
        for (int k = i < 8 ? 9 : 15; k >= 0; k--)
            printf("%02x", p[k]);
        if (i >= 8) {
            printf(" ymmh ");
            for (int k = 15; k >= 0; k--)
                printf("%02x", x[576 + (i - 8) * 16 + k]);
        }
        printf("\n");
    }
}

void run_hash(word flag_mask)
{
    run();
    for (int i = 0; i < NREG; i++)
        hash(out.r[i]);
    hash(fault.sig ? 0 : out.fl & flag_mask); /* after faults: see fault_flags() */
    if (fault.sig) {
        hash((uint64_t)fault.sig);
        hash((uint64_t)(unsigned)fault.code);
        hash(fault.trap);
        hash(fault.err);
        hash(fault.addr);
        hash(out.ip - code_ptr);
    }
    if (detailed()) {
        print_regs("in ", &in, in.fl);
        print_regs("out", &out, fault.sig ? 0 : out.fl & flag_mask);
        if (fault.sig)
            printf("  signal %d code %d trap %lu error %lx address %lx at +%ld\n", fault.sig, fault.code, fault.trap, fault.err, fault.addr,
                   (long)(out.ip - code_ptr));
        if (vec_mode) {
            dump_x(in_x, "in ");
            dump_x(out_x, "out");
        }
    }
}

static uint32_t xoff(unsigned comp)
{
    unsigned a, b, c, d;
    __cpuid_count(13, comp, a, b, c, d);
    return b + (a ? 0 : 0);
}

void hash_x(void)
{
    hash_mem(out_x, 5);            /* FCW, FSW, FTW; not FOP, FIP, FDP */
    hash_mem(out_x + 24, 4);       /* MXCSR */
    for (int i = 0; i < 8; i++)
        hash_mem(out_x + 32 + i * 16, 10);
    hash_mem(out_x + 160, NREG * 16);
    if (xmask & 4)
        hash_mem(out_x + xoff(2), NREG * 16);
    if (xmask & 0x20)
        hash_mem(out_x + xoff(5), 64);
    if (xmask & 0x40)
        hash_mem(out_x + xoff(6), NREG * 32);
    if (IS64 && xmask & 0x80)
        hash_mem(out_x + xoff(7), 16 * 64);
}

/* -- inputs ---------------------------------------------------------------------------------------------------------------- */

const uint64_t edge[] = {0,
                         1,
                         2,
                         0x0f,
                         0x10,
                         0x7f,
                         0x80,
                         0xff,
                         0x7fff,
                         0x8000,
                         0xffff,
                         0x12345678,
                         0x7fffffff,
                         0x80000000,
                         0xffffffff,
                         0x123456789abcdef0,
                         0x7fffffffffffffff,
                         0x8000000000000000,
                         0xffffffffffffffff,
                         0xa5a5a5a55a5a5a5a};
const int n_edge = (int)(sizeof edge / sizeof edge[0]);

static uint64_t rnd_state;
void rnd_seed(uint64_t s) { rnd_state = s * 0x9e3779b97f4a7c15ull + 1; }
uint64_t rnd64(void)
{
    rnd_state ^= rnd_state << 13;
    rnd_state ^= rnd_state >> 7;
    rnd_state ^= rnd_state << 17;
    return rnd_state * 0x2545f4914f6cdd1dull;
}

void rnd_regs(void)
{
    for (int i = 0; i < NREG; i++)
        in.r[i] = (word)rnd64();
    in.r[SP] = STACK_MID;
    in.r[SI] = DATA + 0x400;
    in.r[DI] = DATA + 0x800;
    in.fl = 2;
}

void fill_data(uint64_t seed)
{
    rnd_seed(seed);
    uint64_t *p = (uint64_t *)DATA;
    for (unsigned i = 0; i < 2 * PAGE / 8; i++)
        p[i] = rnd64();
    p = (uint64_t *)(STACK_MID - 0x400);
    for (unsigned i = 0; i < 0x800 / 8; i++)
        p[i] = rnd64();
}

word reg_trunc(word v, int size) { return size >= (int)sizeof v ? v : v & (((word)1 << size * 8) - 1); }

static struct {
    const char *name;
    unsigned leaf, sub, reg, bit; /* reg: 0 eax .. 3 edx */
} const features[] = {
    {"popcnt", 1, 0, 2, 23}, {"movbe", 1, 0, 2, 22}, {"sse4_2", 1, 0, 2, 20},   {"cx16", 1, 0, 2, 13},      {"xsave", 1, 0, 2, 26},
    {"avx", 1, 0, 2, 28},    {"bmi1", 7, 0, 1, 3},   {"bmi2", 7, 0, 1, 8},      {"avx2", 7, 0, 1, 5},       {"adx", 7, 0, 1, 19},
    {"avx512f", 7, 0, 1, 16}, {"sha", 7, 0, 1, 29},  {"lzcnt", 0x80000001, 0, 2, 5}, {"fsgsbase", 7, 0, 1, 0}, {"rdrand", 1, 0, 2, 30},
    {"rdseed", 7, 0, 1, 18}, {"rdpid", 7, 0, 2, 22}, {"rdtscp", 0x80000001, 0, 3, 27}, {"clflushopt", 7, 0, 1, 23},
    {"lahf_lm", 0x80000001, 0, 2, 0}, {"avx512vl", 7, 0, 1, 31}, {"xsaveopt", 13, 1, 0, 0}, {"xsavec", 13, 1, 0, 1},
};

bool cpu_amd(void)
{
    uint32_t a = 0, b, c, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return b == 0x68747541; /* "Auth" */
}

bool cpu_has(const char *feature)
{
    if (fx_only && (!strncmp(feature, "avx", 3) || !strncmp(feature, "xsave", 5)))
        return false;
    for (unsigned i = 0; i < sizeof features / sizeof features[0]; i++) {
        if (!strcmp(features[i].name, feature)) {
            unsigned r[4];
            if (!__get_cpuid_count(features[i].leaf, features[i].sub, &r[0], &r[1], &r[2], &r[3]))
                return false;
            return r[features[i].reg] >> features[i].bit & 1;
        }
    }
    abort();
}

/* -- main ------------------------------------------------------------------------------------------------------------------ */

static char **arguments;

/* The kernel has put the heap, which lies anywhere in the first GiB or so, where the tests are to be: starts again without such luck. */
static void again_in_order(void)
{
    int old = personality(0xffffffff);
    if (old != -1 && !(old & ADDR_NO_RANDOMIZE) && personality((unsigned)old | ADDR_NO_RANDOMIZE) != -1)
        execv("/proc/self/exe", arguments);
}

static void *map(word addr, size_t size, int prot)
{
    void *p = mmap((void *)addr, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (p != (void *)addr) {
        int why = errno;
        if (why == EEXIST)
            again_in_order();
        errno = why;
        fprintf(stderr, "cputest: cannot map %#lx: %s\n", addr, strerror(errno));
        exit(2);
    }
    memset(p, 0, size); /* present from the start, so that faults say the same everywhere */
    return p;
}

static const struct group *const all[] = {alu_groups, misc_groups, flow_groups, x87_groups, vec_groups, sys_groups, seg_groups, opmap_groups};

static void set_up_xsave(void)
{
    uint32_t a, d;
    xmask = 3;
    if (fx_only)
        return;
    if (!cpu_has("xsave")) {
        fprintf(stderr, "cputest: needs a CPU with XSAVE\n");
        exit(2);
    }
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    xmask = a & 0xe7;
    *(uint64_t *)(in_x + 512) = xmask;
}

static bool chosen(const char *name, int argc, char **argv)
{
    static const char *const xsave[] = {"vex", "evex", "gather", "xsave", "masked_edges"};
    for (unsigned i = 0; fx_only && i < sizeof xsave / sizeof xsave[0]; i++)
        if (!strncmp(xsave[i], name, strlen(xsave[i])))
            return false;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], name, strlen(argv[i])))
            return true;
    }
    return argc == 0;
}

int main(int argc, char **argv)
{
    int c;
    arguments = argv;
    bool list = false;
    unsigned number = 0;
    while ((c = getopt(argc, argv, "fld:D:")) != -1) {
        if (c == 'l')
            list = true;
        else if (c == 'f')
            fx_only = 1;
        else if (c == 'd' || c == 'D') {
            listing = c == 'd' ? 1 : 2;
            want_detail = optarg;
        } else
            return 2;
    }
    if (listing == 2) {
        if (optind >= argc)
            return 2;
        want_piece = atoi(argv[optind++]);
    }
    setvbuf(stdout, NULL, listing ? _IOFBF : _IOLBF, 1 << 16);
    map(CODE, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
    map(DATA, DATA_SIZE, PROT_READ | PROT_WRITE);
    map(STACK, STACK_SIZE, PROT_READ | PROT_WRITE);
    set_up_xsave();
    set_up_signals();
    for (unsigned t = 0; t < sizeof all / sizeof all[0]; t++) {
        for (const struct group *g = all[t]; g->name; g++) {
            if (list) {
                puts(g->name);
                continue;
            }
            number++;
            if (want_detail ? strcmp(want_detail, g->name) : !chosen(g->name, argc - optind, argv + optind))
                continue;
            group_hash = 0xc0ffee;
            piece_no = 0;
            cp = CODE + (word)(number % 60) * 0x20000; /* the same place, whichever groups are run */
            group_name = g->name;
            rnd_seed(12345);
            memset(&in, 0, sizeof in);
            in.fl = 2;
            vec_mode = 0;
            fault_hook = NULL;
            g->fn();
            close_piece();
            if (listing != 2)
                printf("%s %016llx\n", g->name, (unsigned long long)group_hash);
            if (!listing)
                fflush(stdout);
        }
    }
    return 0;
}
