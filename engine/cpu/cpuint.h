/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of engine/cpu only: system-structure accesses, descriptors, stack frames. */
#ifndef LODGE_CPU_CPUINT_H
#define LODGE_CPU_CPUINT_H

#include "cpu/cpu.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define SEL_IX(sel) ((sel)&0xfffcu) /* the selector part of an error code */
#define SEL_RPL(sel) ((sel)&3u)
#define SEL_NULL(sel) (((sel)&0xfffcu) == 0)

/* Descriptor types with the S bit (4) in front. */
enum {
    DT_TSS16 = 1,
    DT_LDT = 2,
    DT_TSS16_BUSY = 3,
    DT_CALL16 = 4,
    DT_TASK = 5,
    DT_INT16 = 6,
    DT_TRAP16 = 7,
    DT_TSS32 = 9,
    DT_TSS32_BUSY = 11,
    DT_CALL32 = 12,
    DT_INT32 = 14,
    DT_TRAP32 = 15
};
#define DT(raw) ((unsigned)((raw) >> 40) & 0x1fu)
#define D_DPL(raw) ((unsigned)((raw) >> 45) & 3u)
#define D_ACCESSED (1ull << 40)
#define D_P(raw) (((raw) >> 47) & 1u)
#define D_IS_CODE(raw) ((((raw) >> 40) & 0x18u) == 0x18u)
#define D_IS_DATA(raw) ((((raw) >> 40) & 0x18u) == 0x10u)
#define D_CONFORMING(raw) (((raw) >> 42) & 1u) /* of a code segment */
#define D_RW(raw) (((raw) >> 41) & 1u)         /* writable data, readable code */
#define D_L(raw) (((raw) >> 53) & 1u)
#define D_DB(raw) (((raw) >> 54) & 1u)

/* The same of a loaded segment. */
#define A_IS_CODE(a) (((a)&0x18u) == 0x18u)
#define A_CONFORMING(a) ((a)&4u)
#define A_RW(a) ((a)&2u)

static inline unsigned iopl(const struct cpu *c) { return (unsigned)(c->s.rflags >> 12) & 3u; }
static inline void mode_changed(struct cpu *c) { c->ops->mode_changed(c); }

static inline void desc_unpack(struct cpu_seg *s, uint16_t sel, uint64_t d)
{
    uint32_t lim = (uint32_t)(d & 0xffff) | ((uint32_t)(d >> 32) & 0xf0000u);
    s->sel = sel;
    s->attr = (uint16_t)((d >> 40) & 0xf0ff);
    s->limit = (s->attr & SEG_G) ? (lim << 12) | 0xfff : lim;
    s->base = ((d >> 16) & 0xffffff) | ((d >> 32) & 0xff000000u);
}
/* A null selector: the segment is unusable, its base is cleared (as Intel, and AMD with NullSelectorClearsBase). */
static inline void seg_null(struct cpu_seg *s, uint16_t sel, unsigned dpl)
{
    *s = (struct cpu_seg){.sel = sel, .attr = (uint16_t)(dpl << 5)};
}

/* cpumem.c: implicit supervisor accesses to GDT, IDT, TSS ... */
int cpu_sys_read(struct cpu *c, uint64_t lin, void *buf, unsigned n);
int cpu_sys_write(struct cpu *c, uint64_t lin, const void *buf, unsigned n);
int cpu_sys_read64(struct cpu *c, uint64_t lin, uint64_t *v);
/* Pushes v[0], v[1] ... of width bytes each. sp is in/out; its bits above the stack size stay. */
int cpu_stack_write(struct cpu *c, const struct cpu_seg *ss, bool flat64, uint64_t *sp, unsigned width,
                    const uint64_t *v, unsigned n, unsigned acc, uint32_t sserr);
/* Reads n items of width bytes upward from *sp without moving it. */
int cpu_stack_read(struct cpu *c, unsigned width, uint64_t *v, unsigned n, uint64_t skip);
int cpu_stack_aligned(struct cpu *c, uint64_t lin, unsigned width); /* #AC of an access to the stack at CPL 3 */
int cpu_frame_write(struct cpu *c, uint64_t a, const void *frame, unsigned width, unsigned n, unsigned acc); /* frame: as in memory */
static inline uint64_t stack_mask(const struct cpu *c)
{
    return cpu_in_64(c) ? ~0ull : (c->s.seg[S_SS].attr & SEG_DB) ? 0xffffffffull : 0xffffull;
}
static inline void set_sp(struct cpu *c, uint64_t mask, uint64_t sp)
{
    c->s.gpr[R_RSP] = (c->s.gpr[R_RSP] & ~mask) | (sp & mask);
}

/* segment.c */
int cpu_desc_read(struct cpu *c, uint16_t sel, uint64_t *raw); /* 0; 1: outside its table (or no LDT); -1: fault */
int cpu_desc_read_hi(struct cpu *c, uint16_t sel,
                     uint64_t *raw); /* second half of a 16-byte system descriptor; as above */
int cpu_desc_set_accessed(struct cpu *c, uint16_t sel, uint64_t *raw);
int cpu_desc_set_busy(struct cpu *c, uint16_t sel, bool busy); /* of a TSS in the GDT */
void cpu_load_cs(struct cpu *c, const struct cpu_seg *cs, unsigned cpl);
void cpu_seg_load_real(struct cpu *c, unsigned seg, uint16_t sel); /* real and virtual-8086 mode */
void cpu_seg_set_vm86(struct cpu_seg *s, uint16_t sel);
int cpu_ret_check_cs(struct cpu *c, uint16_t sel, struct cpu_seg *cs, uint64_t *raw);
int cpu_ret_check_ss(struct cpu *c, uint16_t sel, unsigned cpl, bool to64, struct cpu_seg *ss, uint64_t *raw);
void cpu_ret_drop_segs(struct cpu *c); /* after a return to an outer level */

/* except.c: as cpu_interrupt, pushing the given flags */
int cpu_interrupt_flags(struct cpu *c, uint8_t vector, enum cpu_int_kind kind, bool has_code, uint32_t code,
                        uint64_t flags);

int cpu_check_vip(struct cpu *c);

/* task.c */
int cpu_task_switch_ext(struct cpu *c, uint16_t tss_sel, enum cpu_task_src src, bool has_code, uint32_t code,
                        unsigned ext, uint64_t flags);
int cpu_task_return(struct cpu *c);
int cpu_tss_stack(struct cpu *c, unsigned cpl, uint16_t *ss, uint64_t *sp, unsigned ext); /* 16 and 32-bit TSS */
int cpu_check_new_ss(struct cpu *c, uint16_t sel, unsigned cpl, unsigned ext, struct cpu_seg *ss, uint64_t *raw); /* a stack from the TSS */

/* cpuid.c: the static part of a leaf, or NULL */
const struct cpuid_leaf *cpu_feat_leaf(const struct cpu_features *f, uint32_t leaf, uint32_t sub);

/* control.c */
int cpu_load_pdptes(struct cpu *c, uint64_t cr3); /* -1: reserved bits; #GP(0) raised */

#endif
