/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers for gdb. The features org.gnu.gdb.i386.* have the names and the order that gdb wants (its manual, "i386 Features"). */
#include "gdbregs.h"

#include <string.h>

#include "cpu/cpustate.h"

enum kind { GPR, RIP, FLAGS, SEL, ST, FPU, XMM, MXCSR, BASE, CTL };
struct reg {
    const char *name, *type;
    uint8_t bits64, bits32; /* 0: does not exist there */
    uint8_t kind;
    uint16_t arg;
    const char *feature; /* begins here */
};
#define CTL_AT(f) ((uint16_t)offsetof(struct cpu_state, f))
static const struct reg regs[] = {
#define G(n, r) {n, "int", 64, 0, GPR, r, NULL}
#define E(n, r) {n, "int", 0, 32, GPR, r, NULL}
    {"rax", "int", 64, 0, GPR, R_RAX, "org.gnu.gdb.i386.core"},
    G("rbx", R_RBX), G("rcx", R_RCX), G("rdx", R_RDX), G("rsi", R_RSI), G("rdi", R_RDI),
    {"rbp", "data_ptr", 64, 0, GPR, R_RBP, NULL}, {"rsp", "data_ptr", 64, 0, GPR, R_RSP, NULL},
    G("r8", R_R8), G("r9", R_R9), G("r10", R_R10), G("r11", R_R11),
    G("r12", R_R12), G("r13", R_R13), G("r14", R_R14), G("r15", R_R15), {"rip", "code_ptr", 64, 0, RIP, 0, NULL},
    {"eax", "int", 0, 32, GPR, R_RAX, "org.gnu.gdb.i386.core"},
    E("ecx", R_RCX), E("edx", R_RDX), E("ebx", R_RBX), {"esp", "data_ptr", 0, 32, GPR, R_RSP, NULL},
    {"ebp", "data_ptr", 0, 32, GPR, R_RBP, NULL}, E("esi", R_RSI), E("edi", R_RDI), {"eip", "code_ptr", 0, 32, RIP, 0, NULL},
    {"eflags", "int", 32, 32, FLAGS, 0, NULL}, {"cs", "int", 32, 32, SEL, S_CS, NULL}, {"ss", "int", 32, 32, SEL, S_SS, NULL},
    {"ds", "int", 32, 32, SEL, S_DS, NULL}, {"es", "int", 32, 32, SEL, S_ES, NULL},
    {"fs", "int", 32, 32, SEL, S_FS, NULL}, {"gs", "int", 32, 32, SEL, S_GS, NULL},
#define F(i) {"st" #i, "i387_ext", 80, 80, ST, i, NULL}
    F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7),
#define P(n, i) {n, "int", 32, 32, FPU, i, NULL}
    P("fctrl", 0), P("fstat", 1), P("ftag", 2), P("fiseg", 3), P("fioff", 4), P("foseg", 5), P("fooff", 6), P("fop", 7),
#define X(i) {"xmm" #i, "vec128", 128, i < 8 ? 128 : 0, XMM, i, NULL}
    {"xmm0", "vec128", 128, 128, XMM, 0, "org.gnu.gdb.i386.sse"}, X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), X(9), X(10), X(11), X(12), X(13), X(14),
    X(15), {"mxcsr", "int", 32, 32, MXCSR, 0, NULL},
    {"fs_base", "int64", 64, 0, BASE, S_FS, "org.gnu.gdb.i386.segments"}, {"gs_base", "int64", 64, 0, BASE, S_GS, NULL},
    {"cr0", "int", 64, 32, CTL, CTL_AT(cr0), "org.lodge.control"},
#define C(n, f) {n, "int", 64, 32, CTL, CTL_AT(f), NULL}
    C("cr2", cr2), C("cr3", cr3), C("cr4", cr4), C("cr8", cr8), C("efer", efer), C("dr0", dr[0]), C("dr1", dr[1]), C("dr2", dr[2]), C("dr3", dr[3]),
    C("dr6", dr6), C("dr7", dr7), C("k_gs_base", kernel_gs_base), C("cs_base", seg[S_CS].base), C("ss_base", seg[S_SS].base), C("ds_base", seg[S_DS].base),
    C("es_base", seg[S_ES].base), C("gdt_base", gdtr.base), C("idt_base", idtr.base), C("ldt_base", ldtr.base), C("tr_base", tr.base),
};

static unsigned bits(const struct reg *r, bool is64) { return is64 ? r->bits64 : r->bits32; }
static const struct reg *nth(bool is64, unsigned i)
{
    for (unsigned k = 0; k < G_N_ELEMENTS(regs); k++)
        if (bits(&regs[k], is64) && !i--)
            return &regs[k];
    return NULL;
}
unsigned gdbregs_count(bool is64)
{
    unsigned n = 0;
    for (unsigned k = 0; k < G_N_ELEMENTS(regs); k++)
        n += bits(&regs[k], is64) != 0;
    return n;
}
unsigned gdbregs_size(bool is64, unsigned i)
{
    const struct reg *r = nth(is64, i);
    return r ? bits(r, is64) / 8 : 0;
}

/* The x87 part of the image: FCW, FSW, abridged FTW, FOP, FIP, FDP (SDM vol. 1, table 10-2). */
static uint32_t fpu_get(const uint8_t *x, unsigned i)
{
    uint16_t w;
    uint32_t d;
    switch (i) {
    case 0:
    case 1: memcpy(&w, x + 2 * i, 2); return w;
    case 2: { /* the full tag word: only empty and in use are told apart */
        uint32_t t = 0;
        for (unsigned k = 0; k < 8; k++)
            t |= (x[4] >> k & 1 ? 0u : 3u) << 2 * k;
        return t;
    }
    case 3: memcpy(&w, x + 12, 2); return w;
    case 4: memcpy(&d, x + 8, 4); return d;
    case 5: memcpy(&w, x + 20, 2); return w;
    case 6: memcpy(&d, x + 16, 4); return d;
    default: memcpy(&w, x + 6, 2); return w;
    }
}
static void fpu_set(uint8_t *x, unsigned i, uint32_t v)
{
    switch (i) {
    case 0:
    case 1: memcpy(x + 2 * i, &v, 2); break;
    case 2:
        x[4] = 0;
        for (unsigned k = 0; k < 8; k++)
            x[4] |= (uint8_t)(((v >> 2 * k & 3) != 3) << k);
        break;
    case 3: memcpy(x + 12, &v, 2); break;
    case 4: memcpy(x + 8, &v, 4); break;
    case 5: memcpy(x + 20, &v, 2); break;
    case 6: memcpy(x + 16, &v, 4); break;
    default: memcpy(x + 6, &v, 2); break;
    }
}

/* Where the register is in the state, when it is there as it is. */
static uint8_t *place(struct cpu_state *s, const struct reg *r)
{
    switch (r->kind) {
    case GPR: return (uint8_t *)&s->gpr[r->arg];
    case RIP: return (uint8_t *)&s->rip;
    case FLAGS: return (uint8_t *)&s->rflags;
    case ST: return s->xsave + 32 + 16 * r->arg;
    case XMM: return s->xsave + 160 + 16 * r->arg;
    case MXCSR: return s->xsave + 24;
    case BASE: return (uint8_t *)&s->seg[r->arg].base;
    case CTL: return (uint8_t *)s + r->arg;
    default: return NULL;
    }
}

void gdbregs_get(const struct cpu_state *s, bool is64, unsigned i, uint8_t *out)
{
    const struct reg *r = nth(is64, i);
    uint32_t v;
    if (!r)
        return;
    const uint8_t *p = place((struct cpu_state *)(uintptr_t)s, r);
    if (p) {
        memcpy(out, p, bits(r, is64) / 8);
        return;
    }
    v = r->kind == SEL ? s->seg[r->arg].sel : fpu_get(s->xsave, r->arg);
    memcpy(out, &v, 4);
}

/* Selectors are shown only: a selector without its descriptor is no segment. */
void gdbregs_set(struct cpu_state *s, bool is64, unsigned i, const uint8_t *in)
{
    const struct reg *r = nth(is64, i);
    uint32_t v;
    if (!r || r->kind == SEL)
        return;
    uint64_t xstate_bv;
    memcpy(&xstate_bv, s->xsave + 512, 8); /* a part that was in its initial state is no longer */
    xstate_bv |= r->kind == ST || r->kind == FPU ? 1 : r->kind == XMM || r->kind == MXCSR ? 2 : 0;
    memcpy(s->xsave + 512, &xstate_bv, 8);
    uint8_t *p = place(s, r);
    if (p) {
        if (r->kind == GPR && !is64)
            s->gpr[r->arg] = 0;
        memcpy(p, in, bits(r, is64) / 8);
        return;
    }
    memcpy(&v, in, 4);
    fpu_set(s->xsave, r->arg, v);
}

GString *gdbregs_xml(bool is64)
{
    GString *x = g_string_new("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target><architecture>");
    g_string_append(x, is64 ? "i386:x86-64</architecture>" : "i386</architecture>");
    bool open = false;
    for (unsigned k = 0; k < G_N_ELEMENTS(regs); k++) {
        const struct reg *r = &regs[k];
        if (!bits(r, is64))
            continue;
        if (r->feature) {
            g_string_append_printf(x, "%s<feature name=\"%s\">", open ? "</feature>" : "", r->feature);
            open = true;
            if (strstr(r->feature, "sse"))
                g_string_append(x, "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
                                   "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
                                   "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
                                   "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
                                   "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
                                   "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
                                   "<field name=\"uint128\" type=\"uint128\"/></union>");
        }
        g_string_append_printf(x, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>", r->name, bits(r, is64), r->type);
    }
    g_string_append(x, "</feature></target>");
    return x;
}
