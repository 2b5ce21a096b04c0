/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the translator. One struct bt_cpu per vCPU with a code cache of its own: no lock is needed to look up, link or drop a
 * block. What vCPUs share is per guest page (struct bt_vm): which cache lines hold translated code, and who may write the page.
 *
 * Invariants
 *  I1  A block translates guest instructions of one page and one mode word (enum bt_mode); it runs only while that mode holds. An instruction
 *      that reaches into the next page is a block alone, which checks at its entry that the next page is still the one it was made of.
 *  I2  A code page (struct bt_cpage) is (guest-physical page, mode, ...) with the virtual address it is bound to. Its blocks run only when
 *      cell.ctx equals the current ctx (gctx for global pages): that number changes when a translation may have changed. Jumps inside
 *      a page need no check; jumps between pages go through a trampoline or a prologue that compares.
 *  I3  A write-TLB entry for a page exists only while no vCPU has translated code from it.
 *  I4  While translated code runs, the guest's vector state is in the host registers; C code here uses general registers only, and
 *      bt_fpu_out() comes before any call to the outside.
 */
#ifndef LODGE_BT_PRIVATE_H
#define LODGE_BT_PRIVATE_H

#include "cpu/nolibc.h"

#include <Zydis/Zydis.h>
#include <pthread.h>

#include "bt/bt.h"
#include "bt/bt_layout.h"
#include "core/clock.h"
#include "core/irq.h"
#include "core/vcpu.h"
#include "cpu/cpu.h"

#define PAGE 4096u
#define TLB_BITS 20
#define TLB_N (1u << TLB_BITS) /* one shift of a 32-bit register makes the index of an address */
#define TLB_CHUNK 512u       /* entries of an array that are one host page */
#define TLB_CHUNKS_MAX 768u  /* so many have memory before it is given back */
#define JC_N 65536u
#define CELL_N 65536u
#define LIN_HASH_N 4096u
#define CPUID_N 16u
#define LARGE_N 8192u
#define LARGE_1G_N 64u
#define CODE_SIZE (96u << 20)
#define CODE_HALF (CODE_SIZE / 2) /* blocks in the first half; what they seldom run in the second */
#define CODE_RESERVE 16384u /* for leave_dead_block when the cache is full */
#define MAX_BLOCKS (1u << 20)
#define MAX_EXITS (2u << 20)
#define MAX_SITES (3u << 20)
#define MAX_RECS (1u << 20)
#define MAX_SRCS (MAX_BLOCKS * 32)
#define DEAD_BITS 12
#define DEAD_WAYS 4
#define BLOCK_INSNS 48
#define FLAGS_BLOCKS 8 /* run with M_FLAGS after POPF */
#define CTX_MAX 0xfff0u

/* The mode word. */
enum bt_mode {
    M_CODE16 = 0,
    M_CODE32 = 1,
    M_CODE64 = 2,
    M_CODE = 3,
    M_SS32 = 4,
    M_CPL = 3 << 3,
    M_PE = 1 << 5,
    M_VM86 = 1 << 6,
    M_FLAT = 1 << 7,   /* DS, ES and SS: base 0, limit 4 GiB, writable */
    M_CSFLAT = 1 << 8, /* CS: base 0, limit 4 GiB */
    M_FPU = 1 << 10,   /* x87/MMX instructions do not fault: CR0.EM = TS = 0 */
    M_SSE = 1 << 11,
    M_AVX = 1 << 12,
    M_AVX512 = 1 << 13,
    M_MMU = 3 << 14, /* TLB: 0 supervisor, 1 user, 2 supervisor that may touch user pages (SMAP and AC) */
    M_AC = 2 << 14,
    M_FSBIG = 1 << 16,
    M_GSBIG = 1 << 17, /* base anything, limit 4 GiB, writable; only for the levels that use them (bt_cpu.big_used) */
    M_ALIGN = 1 << 18, /* alignment checks: CR0.AM, RFLAGS.AC, CPL 3 */
    M_SINGLE = 1 << 19, /* one instruction a block: single step, interrupt shadow, breakpoints */
    M_XCR = 1 << 20,    /* the guest's XCR0 is what the host has */
    M_LM = 1 << 21,
    M_NOTSC = 1 << 23,   /* RDTSC faults: CR4.TSD outside CPL 0 */
    M_FLAGS = 1 << 24,   /* the arithmetic flags are kept wherever a fault could show them: for some blocks after POPF */
    M_NOGROUP = 1 << 22, /* every access checked by itself: for one block after a group's check failed */
    M_UNLINKED = M_SINGLE | M_FLAGS | M_NOGROUP, /* only the dispatcher leads from block to block, or an alternative exit into M_NOGROUP */
};
enum { BIG_FS = 1, BIG_GS = 2 };
#define LEGACY(m) (!((m)&M_LM))
#define MMU_OF(m) (((m)&M_MMU) >> 14)
#define CPL_OF(m) (((m)&M_CPL) >> 3)

struct bt_cell { /* reached from translated code as gs:[cells + 32 * i] */
    uint32_t ctx, negctx; /* 1..CTX_MAX, and its negation */
    uint64_t va;          /* what rip is at page offset 0 */
    uint64_t key, negkey; /* va + ctx: one compare for both, see emit_prologue */
};

struct bt_block {
    uint32_t code;      /* offset of the main entry in the cache */
    uint32_t ind;       /* offset of the entry for indirect jumps, a piece of its own or just before code; 0 = none yet */
    uint32_t end;       /* code end */
    uint32_t cold_end;  /* of its part in the second half of the cache, which begins where that of the block before ends */
    uint32_t cpage;
    uint32_t next;      /* in its code page's bucket */
    uint32_t exits;     /* first exit */
    uint32_t incoming;  /* list of exits that are linked to us */
    uint32_t map;       /* first entry in the pc map */
    uint32_t src;       /* its bytes: len of them, in srcs */
    uint32_t tramp_target; /* a trampoline, or the tail of a block, not a block: the block it leads or belongs to */
    uint32_t tail;         /* stands for bytes elsewhere (a second page, a thunk), among the blocks of their page; 0 and cross: only the dispatcher
                            * may enter */
    int32_t tail_delta;    /* how far that page is from this one */
    uint16_t off, len;  /* page offset and length in bytes */
    uint16_t n_map;
    uint8_t group_fails;
    uint8_t stop; /* may only be entered by the dispatcher: a debugger's breakpoint is at this page offset */
    uint8_t n_exits, dead /* 1: may be revived; 2: never was alive; 3: overwritten */, flags_dead, cross;
    bool links; /* may be entered by others than the dispatcher */
    uint8_t beyond; /* so many bytes after it decided, too, that there is no instruction */
    bool again; /* its bytes and its place are all it depends on: it may be revived (bt_revive.c) */
    bool slot_sites; /* has accesses that may get slots */
    bool slots;      /* ... has slots: only for as long as bt_hot.blk says so */
    bool shared; /* has been linked to, or is in the table for indirect jumps */
    uint64_t cross_bytes[2]; /* cross without a tail: what it was made of */
};

/* The page offset behind the last byte that decided what the block is. */
static inline uint32_t bt_block_end(const struct bt_block *b) { return (uint32_t)b->off + b->len + b->beyond; }

struct bt_exit {
    uint32_t patch, stub; /* rel32 to patch; the unlinked stub */
    uint32_t blk;         /* source block */
    uint32_t target, to;  /* linked to; 0 = not; where it then jumps */
    uint32_t prev, next;  /* the target's incoming list */
    uint32_t alt;         /* enum bt_alt */
    int64_t delta;        /* target rip - va of the source page */
};
/*
 * An alternative exit leaves its block before an instruction whose group of accesses lies over a page end, for the block that was made from there with a
 * check for each access. The flags are kept, or spoilt because nobody needs them.
 */
enum bt_alt { ALT_NONE, ALT_FLAGS_KEPT, ALT_FLAGS_SPOILT };

#define BUCKET_SHIFT 5
#define BUCKETS (PAGE >> BUCKET_SHIFT)
struct bt_cpage {
    uint64_t gpa;   /* page */
    uint64_t key;   /* cs_base ^ limit hash for non-flat code */
    uint64_t lin;   /* linear page it is bound to */
    uint32_t mode;
    uint32_t next;  /* hash chain */
    uint32_t lin_next;
    bool global, fixed, dead;
    uint64_t nogroup; /* blocks that start in these 64-byte lines are translated without groups */
    uint32_t bucket[BUCKETS]; /* blocks by page offset */
};

/* A place where translated code touches memory. */
struct bt_site {
    uint32_t op;  /* code offset of the op region: position-independent, uses [r10 + r11] */
    uint32_t thunk; /* copy of the op region that ends in bt_stub_post; 0 = none yet */
    uint32_t blk;
    uint16_t size, off;
    uint8_t oplen, acc, seg, ilen;
    uint16_t flags;
    /* SITE_GROUP: size and acc are the group's; the instruction's own access is lead_size bytes at lead_off from its start */
    uint8_t lead_acc, lead_size;
    uint16_t lead_off, slot; /* 1 + index of its slot; 0 = none */
    uint8_t mkind, mreg, melem, mcount; /* SITE_MASKED: which mask, and the size of an element in bytes */
};
enum { MASK_ELEMENTS, MASK_VECTOR /* sign bits of a vector register */, MASK_PACKED /* compress, expand */, MASK_ANY /* any bit: the whole operand */ };
enum { VSIB_INDEX8 = 1, VSIB_DATA8 = 2, VSIB_EVEX = 4, VSIB_SCATTER = 8 }; /* bt_rec.aux of CO_VSIB; bits 4 and 5: scale */
enum { SITE_FLSLOT = 1 /* live flags are in the slot, not in the host flags */, SITE_WONLY = 2, SITE_ALIGN = 4, SITE_GROUP = 8, SITE_MASKED = 16,
       SITE_LOCK = 64, SITE_STACK = 32 /* probably on the page of the stack: bt_cpu.stk is asked before the TLB */,
       SITE_STRICT = 256 /* #GP where the address is not a multiple of the size */,
       SITE_BASE = 128 /* the op region uses the guest's base register + r11 + displacement: r11 is what leads from linear to host addresses */ };

enum { BR_BEYOND /* surely */, BR_TARGET, BR_RET, BR_LOOP }; /* bt_rec.aux of CO_BRLIMIT */

enum bt_callout {
    CO_NONE,
#define CO(x) CO_##x,
#include "bt/callouts.def"
#undef CO
};
struct bt_rec {
    uint8_t op, opsize, asize, seg, reg, rm, ilen, rep; /* rm: register, or 0xff = memory (offset in r10) */
    uint16_t off;
    uint8_t rip_rel, aux;
    uint32_t blk, ret;
    uint32_t then; /* the block where it went on last time, when that was not at ret; 0 = none */
    union {
        int64_t imm;
        struct { /* CO_POPF: how often it ran; where the jump is that keeps running code from doing it itself, 0 = no more */
            uint32_t count, hot;
        };
    };
};

struct bt_map {
    uint16_t host; /* from the block's code start, in bytes / 1 */
    uint16_t off;  /* page offset of the guest instruction */
};

struct bt_frec { /* beside each bt_map, for finding flags again (bt_flags.c) */
    uint8_t kind, size, a, b; /* how those that the instruction sets are found */
    uint8_t lost, mod;        /* which are not there before it; which it may set */
    uint16_t wr;              /* general registers that it writes */
    int32_t imm;
};

struct bt_vm {
    struct vm *vm;
    struct cpu_features feat;
    uint64_t n_pfn;
    /* By guest page, accessed by __atomic_* only. */
    uint64_t *code_lines;         /* 64-byte lines that hold translated code, of any vCPU */
    uint8_t *code_cpus;           /* vCPUs that have code from the page */
    uint8_t *write_cpus;          /* vCPUs that may have a write-TLB entry */
    uint16_t *mark_seq;           /* counts how often lines of the page were marked */
    pthread_mutex_t page_lock[64]; /* by page: code_lines, code_cpus and mark_seq change together */
    unsigned n;
    struct bt_cpu *cpu[32];
    uint32_t exclusive; /* 1 + index of the vCPU that has guest memory for itself (bt_smp.c) */
    uint32_t excl_next, excl_serving, n_stopped;
    uint64_t watch_mask; /* BT_STRESS_WATCH: pages whose number | bit 63 has none of these bits count as holding code */
    uint64_t host_xcr0;
    struct debug_point dbg[DEBUG_POINTS];
    unsigned n_dbg;
    bool dbg_exec, dbg_data;
    uint64_t isa_denied[(ZYDIS_ISA_SET_MAX_VALUE >> 6) + 1]; /* instruction sets that CPUID does not offer */
    struct {
        unsigned size, off;
        bool align64;
    } comp[64]; /* XSAVE components of the host: CPUID.0Dh */
};

/* An address space that is not the current one (bt_as.c). */
#define AS_N 8
#define AS_ENTRIES 768
#define CTX_N 128
struct bt_as_entry {
    uint64_t ntag, host, gpa;
    uint32_t mi; /* MI() */
    bool r, w;
};
struct bt_as {
    uint64_t left; /* when, for the choice of one to give up */
    uint32_t n;
    uint16_t pcid;
    bool used;
    struct bt_as_entry e[AS_ENTRIES];
};
enum { CG_GLOBAL = 1, CG_TRACKED = 2 }; /* in tlb.cgpa */

#define HOT_N 64
#define HOT_SLOTS 4
#define HOT_SEEN 16
struct bt_hot { /* a block whose accesses have slots: slot[HOT_SLOTS * its index ...] */
    uint32_t cpage, blk; /* 0: none, not translated */
    uint16_t off;
    uint8_t n, place[HOT_SLOTS]; /* which of the block's accesses have them */
    uint64_t bad;                /* which shall have none */
};

#define SHOOT_N 64
enum bt_shoot_kind { SHOOT_WRITES = 1 /* drop write entries of the page */, SHOOT_CODE /* code was written */ };
#define TRACKED_N 2048
#define SEEN_N 1024
struct bt_shoot {
    pthread_mutex_t lock;
    unsigned n;
    bool all_code, all_tlb, tracked;
    struct {
        uint8_t kind; /* enum bt_shoot_kind */
        uint64_t gpa, len;
    } q[SHOOT_N];
    _Atomic uint64_t posted, done;
};

struct bt_tlb {
    uint64_t rtag[TLB_N], wtag[TLB_N]; /* minus the page's linear address; an entry that can never hit otherwise */
    uint64_t host[TLB_N];              /* host address of the page */
    uint64_t addend[TLB_N];            /* ... minus its linear address */
    uint64_t ctag[TLB_N];              /* may be written, but holds code: C looks at each write */
    uint64_t cgpa[TLB_N]; /* guest-physical page, and CG_* */
    uint8_t logged[TLB_N]; /* in the fill log: 1 as not global, 2 as global */
    bool used[TLB_N / TLB_CHUNK]; /* chunks that have memory */
    uint32_t n_used;
} __attribute__((aligned(PAGE)));

struct bt_cpu {
    struct cpu c; /* first: gs:[0] is s.gpr[0] */
    uint8_t pad0[BT_HOT - sizeof(struct cpu)];
    struct bt_cpu *self;
    uint64_t host_rsp, resume_ip, ret_r10, ret_r11;
    uint16_t hflags; /* AL = OF, AH = SF ZF AF PF CF, as LAHF gives */
    uint8_t df, ifl;
    uint8_t pad1[4];
    uint64_t t0, t1, t2, t3, scr_r10;
    uint32_t ctx, gctx, exit_req, mode;
    uint64_t himask, flslot, rax_save;
    int64_t lim_r[6], lim_w[6];
    int64_t tsc_off;
    uint64_t bitmask[3]; /* 15, 31, 63 */
    uint64_t group[8];   /* host addresses of the current block's access groups */
    struct bt_stk {      /* the page that the stack was last found on: by TLB, for reads and for writes */
        uint64_t tag;    /* minus the page's linear address, as in the TLB */
        uint64_t page, host;
    } stk[3][2];
    uint64_t himask8, himask4; /* the page and what must be zero for alignment to 8 and 4 bytes */
    uint64_t fl_base; /* RFLAGS as PUSHF stores it, without the arithmetic flags, DF, IF and bit 1 */
    struct { /* for bt_stub_mem: a write beside code */
        struct bt_tlb *tlb[3];
        uint64_t *lines;     /* bt_vm.code_lines; NULL: C is to look */
        uint8_t *write_cpus; /* NULL: no other vCPU */
        struct bt_site *sites;
        uint64_t code;       /* code_rx */
        uint64_t me;         /* this vCPU's bit in write_cpus */
    } beside;
    uint32_t cur_blk;
    uint32_t last_alt; /* the alternative exit that was taken last; 0: none since C entered a block */
    struct bt_slot {     /* as stk, for an access of a hot block: bt_hot.c */
        uint64_t tag, page, host, addend;
        uint64_t misses;
    } slot[HOT_N * HOT_SLOTS];
    uint64_t slots_filled[HOT_N / 8]; /* a byte for each hot block: since its slots were forgotten last */
    struct bt_cpuid {    /* what CPUID said last, by the low bits of EAX */
        uint64_t key;    /* EAX, ECX << 32 */
        uint64_t out[4]; /* EAX, EBX, ECX, EDX */
    } cpuid[CPUID_N];
    /* ---- not reached from assembly ---- */
    struct vcpu *v;
    struct bt_vm *bv;
    uint32_t real_ctx, real_gctx, ctx_next, mode_key_ctx;
    uint32_t alt_ctx[2]; /* real_ctx and real_gctx of the mode that STAC or CLAC would lead to; 0: not known, or that does not change the mode */
    struct bt_hot hot[HOT_N];
    uint32_t n_hot, hot_next;
    uint32_t hot_sample; /* the block where a kick came; 0 = none since bt_hot_look */
    int64_t hot_since;
    uint64_t hot_seen[HOT_SEEN]; /* where kicks came last: code page << 16 | page offset */
    uint32_t hot_seen_at, slots_forgotten;
    bool nogroup_once;
    uint8_t flags_blocks; /* so many blocks at flags_cpl are run with M_FLAGS */
    uint8_t flags_cpl;
    struct { /* the flags when C entered a block, or went on in one after POPF; shared: it may have been entered otherwise since */
        uint32_t blk;
        uint16_t off, flags;
        bool after, shared;
    } snap;
    struct {
        uint32_t host; /* low half of the host address of a page */
        uint64_t lin;
    } seen[SEEN_N]; /* where pages were seen last, for x87 operands whose TLB entries have been flushed */
    uint32_t x87_fill;    /* the entry of the fill log where an x87 operand was found last */
    uint8_t big_used[2]; /* BIG_*: what has been translated for CPL 0 to 2, and for CPL 3, uses FS or GS */
    bool big_new;        /* it has only now begun to */
    bool fpu_live, mode_dirty, view_stale, intr_check, string_again, no_step;
    _Atomic bool in_run;
    uint64_t shadow_rip;
    uint32_t lin_hash[LIN_HASH_N]; /* code pages by the linear page that they are bound to */
    uint64_t large[LARGE_N], large_1g[LARGE_1G_N]; /* see bt_invlpg.c */
    uint64_t lim_from[6]; /* what lim_r and lim_w were made of */
    uint64_t cs_key;
    const struct memview *view;
    struct {
        uint64_t key;
        uint32_t mode, ctx, as;
    } ctxcache[CTX_N];
    struct {
        uint64_t key;
        uint32_t mode, ctx;
    } gctxcache[CTX_N];
    struct bt_as as[AS_N];
    unsigned as_cur;
    uint64_t as_clock;
    struct {
        uint64_t lin;
        uint32_t ctx, cpage;
    } vcache[1024];
    /* code cache */
    uint8_t *code_rw, *code_rx;
    uint32_t code_used, cold_used, code_limit; /* limit: of each half, less under stress */
    bool cache_full; /* flush before anything else runs */
    struct {
        uint32_t runs, settled;
        int64_t since;
        uint64_t translations;
    } idle; /* bt_cache_tidy */
    bool by_indirect; /* the block that is looked up was jumped to indirectly */
    uint32_t tr_mem, tr_post, tr_callout, tr_link, tr_indirect; /* trampolines to the stubs, at the cache's start */
    struct bt_block *blocks;
    struct bt_exit *exits;
    struct bt_site *sites;
    struct bt_rec *recs;
    struct bt_map *maps;
    struct bt_frec *frecs; /* as maps */
    struct bt_cpage *cpages;
    uint8_t *srcs;
    uint32_t n_blocks, n_exits, n_sites, n_recs, n_maps, n_cpages, n_srcs;
    uint32_t dead[1u << DEAD_BITS][DEAD_WAYS]; /* bt_revive.c: blocks, the last dropped first */
    uint32_t cpage_hash[16384];
    /* bounce of an access that has no host pointer */
    struct {
        bool direct, masked, kept; /* kept: was has the bytes before the write */
        uint8_t was[16];
        uint64_t kept_at; /* the last write that changed nothing */
        uint8_t shift; /* of the access in data */
        uint64_t active; /* masked: the bytes that the instruction touches */
        uint16_t size;
        uint8_t acc;
        uint32_t site;
        uint64_t lin, gpa[2];
        uint8_t *host[2];
        unsigned n0;
        uint8_t data[4096 + 64] __attribute__((aligned(64)));
    } bnc;
    /* TLB fill log, so that a flush costs what was filled */
    uint32_t n_fill, n_gfill;
    uint32_t fill[16384], gfill[16384]; /* MI() of what is not global, and of what is */
    bool fill_over;
    struct { /* write entries for pages with a dirty log */
        uint32_t mi;
        unsigned long *word, bit; /* in the dirty log */
    } tracked[TRACKED_N];
    _Atomic uint32_t n_tracked; /* TRACKED_N + 1: too many, all entries go */
    uint64_t tr_page, tr_page2; /* the page that is being translated, and where its last instruction ends; 1: none */
    uint64_t pause_tsc;
    uint32_t n_pauses;
    bool tr_again;    /* ... and it changed meanwhile */
    bool left;        /* rights were taken away in the middle of a block: its groups may no longer write */
    struct bt_shoot shoot;
    uint64_t dr_watch; /* data breakpoints are on */
    bool db_pending;
    pthread_t thread;
    struct bt_stats st;
    ZydisDecoder dec[3];
    void *altstack;
    uint8_t exc_nest;
    bool watch_hit;
    uint64_t watch_dr6; /* bits for DR6, and WATCH_DEBUGGER */
    uint8_t dbg_how;    /* enum debug_resume */
    struct bt_tr *tr;
    struct bt_skels *skels; /* bt_decode.c */
    struct { /* bt_stress.c */
        uint32_t on; /* BT_STRESS_* */
        bool single_once;
        uint64_t rng, timer_rng;
        uint32_t ring[3], ring_at;
        struct vtimer timer;
    } stress;
    uint64_t jc[JC_N] /* by the low 16 bits of rip: host address of a block's prologue, or of the trampoline to C */ __attribute__((aligned(4096)));
    struct bt_cell cells[CELL_N] __attribute__((aligned(4096)));
    struct bt_tlb tlb[3]; /* see MMU_OF */
};

#define CPU2BT(cpu) ((struct bt_cpu *)(cpu))

/* bt_stubs.S */
unsigned bt_enter(struct bt_cpu *bc, uint64_t host_ip);
extern char bt_stub_mem[], bt_stub_post[], bt_stub_callout[], bt_stub_link[], bt_stub_indirect[], bt_stub_fault[], bt_resume_begin[],
    bt_resume_end[];

/* bt_cache.c */
struct em;
int bt_cache_init(struct bt_cpu *bc, struct err *e);
void bt_cache_fini(struct bt_cpu *bc);
void bt_beside_init(struct bt_cpu *bc); /* bt_mmu.c */
void bt_cache_flush(struct bt_cpu *bc);
void bt_cache_tidy(struct bt_cpu *bc);    /* before a turn in run(): has the guest been idle, so that the cache should start anew? */
void bt_cache_flushed(struct bt_cpu *bc); /* after a flush: memory that is left over goes to the host */
void bt_cache_full(struct bt_cpu *bc); /* the dispatcher is to flush before anything runs */
struct bt_block *bt_block_of_host(struct bt_cpu *bc, uint64_t host_ip, uint32_t *idx);
void bt_unlink_out(struct bt_cpu *bc, uint32_t blk);
void bt_unlink_current(struct bt_cpu *bc);
void bt_link(struct bt_cpu *bc, uint32_t exit, uint32_t target);
uint32_t bt_piece_add(struct bt_cpu *bc, const struct em *e, struct bt_block b);
uint8_t *bt_prologue(struct bt_cpu *bc, struct em *e, uint32_t cp, uint16_t off);
void bt_prologue_cold(struct bt_cpu *bc, struct em *e, uint32_t mode);
int bt_check_page(const struct bt_cpu *bc, struct em *e, uint32_t from, uint32_t to, int64_t delta, bool flags_dead, uint8_t *bad[2]);
void bt_block_drop(struct bt_cpu *bc, uint32_t blk);
void bt_code_left(struct bt_cpu *bc, uint64_t page);
bool bt_code_at(const struct bt_cpu *bc, uint64_t gpa, unsigned len);
void bt_drop_lines(struct bt_cpu *bc, uint64_t gpa, uint64_t len);
uint64_t bt_lines_of(struct bt_cpu *bc, uint64_t page);
uint32_t bt_cpage_get(struct bt_cpu *bc, uint64_t gpa, uint64_t lin, bool global);
uint32_t bt_block_alone(struct bt_cpu *bc, uint32_t blk, uint16_t off);
uint32_t bt_cpage_find_block(struct bt_cpu *bc, uint32_t cp, uint16_t off);
uint32_t bt_cpage_beside(struct bt_cpu *bc, uint32_t cp, uint64_t lin2, uint32_t lo, uint32_t hi, uint64_t *gpa2, const uint8_t **host);
void bt_cell_set(struct bt_cpu *bc, uint32_t cp, uint32_t ctx, uint64_t va);
void bt_jc_set(struct bt_cpu *bc, uint64_t rip, uint32_t blk);
uint16_t bt_guest_off(struct bt_cpu *bc, const struct bt_block *b, uint64_t host_ip);

/* bt_revive.c */
void bt_dead_keep(struct bt_cpu *bc, uint32_t blk);
bool bt_block_same(const struct bt_cpu *bc, const struct bt_block *b, const uint8_t *page);
uint32_t bt_dead_find(struct bt_cpu *bc, uint32_t cp, uint16_t off, const uint8_t *page);

/* bt_translate.c: returns the block index, or 0 with c->fault set. */
uint32_t bt_translate(struct bt_cpu *bc, uint32_t cp, uint64_t rip, uint64_t lin, const uint8_t *page);
struct bt_tr *bt_tr_new(void);

/* bt_decode.c */
struct bt_skels *bt_skels_new(void);

/* bt_isa.c */
void bt_isa_init(struct bt_vm *bv);
bool bt_isa_offered(const struct bt_vm *bv, const ZydisDecodedInstruction *in);

/* bt_hot.c; all on the vCPU's thread, outside translated code */
void bt_hot_look(struct bt_cpu *bc); /* after a kick: is where it came hot, and do the slots that there are help? May drop blocks. */
/* Block blk is about to be made of page offset off of code page cp: if it is hot, what says which of its accesses get slots; else NULL. */
struct bt_hot *bt_hot_begin(struct bt_cpu *bc, uint32_t cp, uint16_t off, uint32_t blk);
bool bt_hot_owns(const struct bt_cpu *bc, uint32_t blk); /* are the block's slots still its own? */
void bt_hot_forget(struct bt_cpu *bc); /* the cache has been flushed */

/* bt_mmu.c */
/* Forgets the pages of the stack and of slots. The tag is of an address that is not canonical, and so is the host address: a guest that uses it gets its
 * fault. */
#define BT_NO_STACK 0x5a17c3d29e4b6000ull
static inline void bt_slots_reset(struct bt_cpu *bc, unsigned hot)
{
    for (struct bt_slot *s = bc->slot + HOT_SLOTS * hot, *end = s + HOT_SLOTS; s < end; s++) {
        s->tag = -BT_NO_STACK;
        s->page = BT_NO_STACK;
        s->host = s->addend = 1ull << 62;
    }
    ((uint8_t *)bc->slots_filled)[hot] = 0;
    bc->slots_forgotten++;
}
static inline void bt_stk_reset(struct bt_cpu *bc)
{
    for (unsigned m = 0; m < 3; m++)
        for (unsigned w = 0; w < 2; w++)
            bc->stk[m][w] = (struct bt_stk){.tag = -BT_NO_STACK, .page = BT_NO_STACK, .host = 1ull << 62};
    for (unsigned i = 0; i < HOT_N / 8; i++)
        if (bc->slots_filled[i])
            for (unsigned k = 0; k < 8; k++)
                if (bc->slots_filled[i] >> 8 * k & 1)
                    bt_slots_reset(bc, 8 * i + k);
}
void bt_tlb_init(struct bt_cpu *bc);
/* The host address of lin if the TLB has its page with the right to do acc (ACC_R or ACC_W, and ACC_USER), and *gpa; NULL otherwise. */
uint8_t *bt_tlb_find(const struct bt_cpu *bc, uint64_t lin, unsigned acc, uint64_t *gpa);
void bt_tlb_flush(struct bt_cpu *bc, bool global);
/* The page of an entry that never hits: of another index, and far away, because an access that begins up to 4095 bytes below the entry's page passes
 * the check that preserves flags (it looks at the last byte). */
static inline uint32_t tlb_index(uint64_t lin) { return (uint32_t)lin >> 12; }
/* A TLB (M_MMU) and an index in it. */
#define MI(m, i) ((uint32_t)(m) << TLB_BITS | (i))
#define MI_TLB(mi) ((mi) >> TLB_BITS)
#define MI_INDEX(mi) ((mi) & (TLB_N - 1))
/*
 * An entry that never hits. Zero does for nearly all, as no address of another index is below PAGE: memory that is all zero is an empty TLB. Not so for
 * the first index, nor for the last, where an access may reach over the end of the address space; there it is an address far from both.
 */
static inline uint64_t bt_tlb_never(uint32_t i) { return i - 1 < TLB_N - 2 ? 0 : (uint64_t)-(1ll << 31); }
void bt_tlb_forget(struct bt_cpu *bc, unsigned m, uint32_t i);
void bt_tlb_used(struct bt_cpu *bc, unsigned m, uint32_t i);
void bt_tlb_shrink(struct bt_cpu *bc);
void bt_tlb_flush_range(struct bt_cpu *bc, uint64_t lin, uint64_t len);
void bt_invlpg(struct bt_cpu *bc, uint64_t lin);
void bt_large_note(struct bt_cpu *bc, uint64_t lin, uint64_t size);
void bt_large_forget(struct bt_cpu *bc);
void bt_lin_add(struct bt_cpu *bc, uint32_t cp);
void bt_lin_remove(struct bt_cpu *bc, uint32_t cp);
void bt_tlb_drop_writes(struct bt_cpu *bc, uint64_t gpa, uint64_t len);
int bt_translate_acc(struct cpu *c, uint64_t lin, unsigned acc, uint8_t **host, uint64_t *gpa);
const struct memrange *bt_view_find(struct bt_cpu *bc, uint64_t gpa);
uint8_t *bt_ram_ptr(struct bt_cpu *bc, uint64_t gpa, bool write);
const uint8_t *bt_peek_page(struct bt_cpu *bc, uint64_t lin);
int bt_fetch_page(struct bt_cpu *bc, uint64_t lin, uint64_t *gpa, bool *global, uint8_t **host);
void bt_phys_read(struct cpu *c, uint64_t gpa, void *buf, unsigned n);
void bt_phys_write(struct cpu *c, uint64_t gpa, const void *buf, unsigned n);
void bt_code_written_local(struct bt_cpu *bc, uint64_t gpa, uint64_t len);

/* bt_smp.c */
void bt_drop_tracked(struct bt_cpu *bc); /* bt_mmu.c */
void bt_exclusive_begin(struct bt_cpu *bc);
void bt_exclusive_end(struct bt_cpu *bc);
void bt_pause(struct bt_cpu *bc);
void bt_shoot_others(struct bt_cpu *bc, uint8_t kind, uint64_t gpa, uint64_t len, uint8_t mask, bool wait);
bool bt_shoot_serve(struct bt_cpu *bc);

/* bt_dispatch.c */
enum vcpu_exit bt_run(struct vcpu *v);
void bt_mode_update(struct bt_cpu *bc);
void bt_mode_ac(struct bt_cpu *bc);
/* Goes on at s.rip if nothing but that is to be done: translated code is ready, no event. The caller returns 0 to its stub then. */
bool bt_resume_at(struct bt_cpu *bc, struct bt_rec *r);
void bt_ctx_load(struct bt_cpu *bc);
void bt_fpu_out(struct bt_cpu *bc);
void bt_fpu_in(struct bt_cpu *bc);
/* After a change of what CPUID depends on: CR4, XCR0, an MSR. */
static inline void bt_cpuid_forget(struct bt_cpu *bc)
{
    for (uint32_t i = 0; i < CPUID_N; i++)
        bc->cpuid[i].key = i ^ 1; /* belongs in another place */
}
static inline void bt_flags_in(struct bt_cpu *bc)
{
    uint64_t ah = bc->hflags >> 8;
    bc->c.s.rflags = (bc->c.s.rflags & ~(uint64_t)(FL_ARITH | FL_DF | FL_IF)) | (ah & 0xd5) | ((uint64_t)(bc->hflags & 1) << 11) |
                     (uint64_t)bc->df << 10 | (uint64_t)bc->ifl << 9 | 2;
}
static inline void bt_flags_out(struct bt_cpu *bc)
{
    uint64_t f = bc->c.s.rflags;
    bc->hflags = (uint16_t)(((f & 0xd5) | 2) << 8 | ((f >> 11) & 1));
    bc->df = (f >> 10) & 1;
    bc->ifl = (f >> 9) & 1;
    bc->fl_base = f & (FL_TF | FL_IOPL | FL_NT | FL_AC | FL_VIF | FL_VIP | FL_ID);
}
#define DR6_BS (1u << 14)
void bt_trap(struct bt_cpu *bc, uint64_t dr6);
void bt_watch_update(struct bt_cpu *bc);
int bt_watch_check(struct bt_cpu *bc, uint64_t lin, unsigned size, unsigned acc);
void bt_watch_io(struct bt_cpu *bc, uint16_t port, unsigned size);

/* bt_debug.c */
#define WATCH_DEBUGGER (1u << 31)
bool bt_debug_off(const struct bt_vm *bv, uint32_t off); /* is there a breakpoint at this offset of some page? */
bool bt_debug_exec(struct bt_cpu *bc, uint64_t lin);
bool bt_debug_page(const struct bt_vm *bv, uint64_t lin); /* is there a watched place on the page? */
bool bt_debug_access(struct bt_cpu *bc, uint64_t lin, unsigned size, bool write);
int bt_debug_points(struct vm *vm, const struct debug_point *p, unsigned n);
void bt_debug_resume(struct vcpu *v, enum debug_resume how);
size_t bt_debug_mem(struct vcpu *v, uint64_t lin, void *buf, size_t n, bool write);

/* bt_as.c */
void bt_as_reset(struct bt_cpu *bc);
void bt_cr3_switched(struct cpu *c, uint64_t old, bool flush);
void bt_flush_pcid(struct cpu *c, unsigned pcid, bool all);
void bt_new_ctx(struct bt_cpu *bc, bool global); /* bt_dispatch.c: translations of this address space have changed */

/* bt_stress.c */
void bt_stress_init(struct bt_cpu *bc, uint32_t bits, uint32_t seed);
void bt_stress_start(struct bt_cpu *bc);
void bt_stress_fini(struct bt_cpu *bc);
void bt_stress_dispatch(struct bt_cpu *bc);
void bt_stress_filled(struct bt_cpu *bc, unsigned m, uint32_t i);
bool bt_stress_draw(struct bt_cpu *bc, uint32_t n);

/* bt_fault.c */
int bt_signals_init(struct err *e);
void bt_thread_start(struct vcpu *v);
void bt_kick(struct vcpu *v);

/* bt_flags.c */
void bt_flags_recover(struct bt_cpu *bc, uint32_t blk, uint16_t off, bool checked);
/* C is about to enter a block with what is in hflags. A block that is linked to can be entered again without C. */
static inline void bt_flags_snap(struct bt_cpu *bc, uint32_t blk)
{
    bc->snap.blk = blk;
    bc->snap.shared = bc->blocks[blk].shared;
    bc->snap.flags = bc->hflags;
    bc->snap.after = false;
    bc->last_alt = 0;
}

/* bt_callout.c, bt_string.c */
unsigned bt_slow_callout(struct bt_cpu *bc, uint32_t idx);
int bt_vsib(struct bt_cpu *bc, const struct bt_rec *r);
int bt_aligned(struct bt_cpu *bc, uint64_t lin, unsigned n); /* of an access of n bytes; #AC */
int bt_fnstenv(struct bt_cpu *bc, const struct bt_rec *r, bool save);
int bt_fxsave(struct bt_cpu *bc, const struct bt_rec *r);
void bt_x87_seen(struct bt_cpu *bc, uint64_t host, uint64_t lin);
void bt_x87_detach(struct bt_cpu *bc);
bool bt_branch_back(struct bt_cpu *bc);
void bt_fix_image(struct bt_cpu *bc, uint8_t *img, bool wide);
void bt_vec_out(struct bt_cpu *bc);
uint64_t bt_masked_bytes(struct bt_cpu *bc, const struct bt_site *s);
int bt_string(struct bt_cpu *bc, const struct bt_rec *r, bool *again);
extern const struct cpu_ops bt_cpu_ops;

#endif
