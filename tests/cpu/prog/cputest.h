/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The CPU test program: what its parts share.
 *
 * The program makes small pieces of machine code, runs each with many register, flag and memory contents, and prints one line
 * "group hash" for each group of tests. It knows no right answers: run on the host it says what the silicon does, run in a guest
 * it must say the same. Architecturally undefined flags are left out of the hashes.
 *
 *   cputest              all groups
 *   cputest -l           their names
 *   cputest GROUP...     some of them
 *   cputest -d GROUP     a line for each piece of code: number, hash, bytes
 *   cputest -D GROUP N   every single run of piece N: registers before and after, faults
 */
#ifndef CPUTEST_H
#define CPUTEST_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <ucontext.h>

typedef unsigned long word;
#ifdef __x86_64__
#define NREG 16
#define IS64 1
#else
#define NREG 8
#define IS64 0
#endif

enum { AX, CX, DX, BX, SP, BP, SI, DI };
enum { CF = 1, PF = 4, AF = 0x10, ZF = 0x40, SF = 0x80, TF = 0x100, DF = 0x400, OF = 0x800, AC = 0x40000 };
#define ARITH (CF | PF | AF | ZF | SF | OF)

/* Addresses are fixed, so that they are the same natively and in a guest. Each area has an unmapped page at both ends. */
#define PAGE 4096u
#define CODE 0x10000000ul /* 8 MiB, read, write, execute */
#define CODE_SIZE 0x800000ul
#define DATA 0x20000000ul /* 64 KiB */
#define DATA_SIZE 0x10000ul
#define STACK 0x21000000ul /* 64 KiB, top in the middle */
#define STACK_SIZE 0x10000ul
#define STACK_MID (STACK + 0x8000)

struct regs {
    word r[16]; /* AX CX DX BX SP BP SI DI R8.. */
    word fl, ip;
};
extern struct regs in, out;
extern uint8_t in_x[4096], out_x[4096]; /* XSAVE areas, used when vec_mode is set */
extern uint8_t vec_mode;
extern uint32_t xmask;  /* state components to load and save */
extern word code_ptr;   /* what run() jumps to */

struct fault {
    int sig, code;
    word trap, err, addr;
};
extern struct fault fault; /* of the last run; sig 0 when there was none */
/* Called for a signal during run(); true: go on where the context says. */
extern bool (*fault_hook)(ucontext_t *uc, siginfo_t *si);

struct enc {
    int n;
    uint8_t b[120];
};
#define ENC(...) ((struct enc){(int)sizeof((uint8_t[]){__VA_ARGS__}), {__VA_ARGS__}})
void e8(struct enc *e, unsigned v);
void e16(struct enc *e, unsigned v);
void e32(struct enc *e, uint32_t v);
void eword(struct enc *e, word v); /* a whole word */
void etail(struct enc *e, const struct enc *tail);

/* A new piece of code: recorded for the listing, placed, ready for run(). */
void piece(const struct enc *e);
void piece_at(word address, const struct enc *e);
word place(const struct enc *e); /* only places it, with the jump back to run()'s end */

void run(void);      /* runs the piece with `in`; fills `out` and `fault` */
void run_hash(word flag_mask); /* run(), then hash all registers, the flags of the mask, and the fault */
void hash(uint64_t v);
void hash_mem(const void *p, size_t n);
void hash_x(void); /* the vector and x87 state in out_x, without the x87 pointers */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* for -D */

uint64_t rnd64(void);
void rnd_seed(uint64_t s);
void rnd_regs(void);             /* random `in`: general registers; SP, SI, DI point into their areas */
void fill_data(uint64_t seed);   /* DATA's first two pages and the middle of the stack */
word reg_trunc(word v, int size); /* v cut to size bytes */
#define DATAP ((uint8_t *)DATA)

extern const uint64_t edge[];
extern const int n_edge;

bool cpu_amd(void); /* for what the manuals leave to the processor and Lodge does as AMD's do on such hosts */
bool cpu_has(const char *feature); /* as the kernel's /proc/cpuinfo calls it */

struct group {
    const char *name;
    void (*fn)(void);
};
extern const struct group alu_groups[], misc_groups[], flow_groups[], vec_groups[], x87_groups[], sys_groups[], seg_groups[], opmap_groups[];

/* Encodings of a register field above 7 need REX bits; this makes prefix, REX, opcode and ModRM for two registers. size: 1 2 4 8 */
void enc_rr(struct enc *e, int size, unsigned op, int reg, int rm);
void enc_rm(struct enc *e, int size, unsigned op, int reg, int base); /* memory [base] */
#define OP_0F 0x100                                                    /* op flag: two-byte opcode */

#endif
