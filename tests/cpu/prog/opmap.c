/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which opcodes there are: every byte of the four opcode maps, with each of the prefixes that choose between instructions and each value of ModRM.reg,
 * for a register and for memory. Only whether it runs or faults, and how, is compared; what instructions do is the other groups' business.
 */
#include "cputest.h"

#include <string.h>

enum { MAP_1, MAP_0F, MAP_38, MAP_3A };

/* Left out: jumps, which go anywhere; what ends or changes the program; what asks the host's hypervisor; what the kernel may emulate. */
static bool left_out(unsigned map, unsigned op, unsigned pfx, unsigned modrm)
{
    unsigned reg = modrm >> 3 & 7;
    if (map == MAP_1) {
        switch (op) {
        case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0x66: case 0x67: case 0xf0: case 0xf2: case 0xf3: /* prefixes */
        case 0x07: case 0x17: case 0x1f: case 0x8e:                       /* segments */
        case 0x9a: case 0xc2: case 0xc3: case 0xca: case 0xcb: case 0xcf: /* far and near ends */
        case 0x9d: case 0xcd: case 0xcc: case 0xce: case 0xf1:            /* POPF, interrupts */
        case 0xc4: case 0xc5: case 0x62: case 0x8f:                       /* VEX, EVEX, XOP; LES, LDS, BOUND */
        case 0xa0: case 0xa1: case 0xa2: case 0xa3:                       /* an absolute address */
        case 0xe8: case 0xe9: case 0xea: case 0xeb:
            return true;
        case 0xff:
            return reg >= 2 && reg <= 5;
        default:
            return (op >= 0x70 && op < 0x80) || (op >= 0xe0 && op < 0xe4) || (IS64 && op >= 0x40 && op < 0x50) || op == 0x0f;
        }
    }
    if (map == MAP_0F) {
        switch (op) {
        case 0x00: /* UMIP: the kernel may emulate it */
            return reg < 2;
        case 0x01:
            return modrm < 0xc0 ? reg == 0 || reg == 1 || reg == 4 || reg == 7 : modrm != 0xd0 && modrm != 0xf9 && modrm != 0xd5 && modrm != 0xd6;
        case 0x05: case 0x07: case 0x34: case 0x35: case 0x0f: /* system calls; 3DNow! */
        case 0xa1: case 0xa9: case 0xb2: case 0xb4: case 0xb5: case 0x38: case 0x3a:
        case 0x3f: case 0x37: case 0x77 /* the upper halves */:
            return true;
        case 0x0b: case 0xb9: case 0xff: /* UD0 and UD1: AMD's have no ModRM */
            return op != 0x0b;
        case 0x78: case 0x79: /* of virtual machines, and SSE4A */
            return true;
        case 0xae:
            return modrm < 0xc0 ? reg != 7 : pfx != 0;
        case 0xc7:
            return modrm < 0xc0 ? reg != 1 : false;
        default:
            return op >= 0x80 && op < 0x90;
        }
    }
    /* CRC32 and MOVBE are there; shadow stacks, MOVDIRI, ENQCMD and key locker are the host's own */
    if (map == MAP_38)
        return (op >= 0x80 && op <= 0x82) || (op >= 0xd8 && op <= 0xda) || op == 0xdc || (op >= 0xf5 && op <= 0xfc && op != 0xf6);
    return false;
}

static bool no_modrm(unsigned map, unsigned op)
{
    if (map == MAP_1)
        return (op < 0x40 && (op & 7) >= 4) || (op >= 0x40 && op <= 0x61) || op == 0x68 || op == 0x6a || (op >= 0x6c && op < 0x70) || (op >= 0x90 && op < 0xa0) ||
               (op >= 0xa4 && op < 0xb0) || (op >= 0xb0 && op < 0xc0) || op == 0xc8 || op == 0xc9 || (op >= 0xd4 && op < 0xd8) || (op >= 0xe4 && op < 0xf0) ||
               op == 0xf4 || op == 0xf5 || (op >= 0xf8 && op < 0xfe);
    return map == MAP_0F && (op == 6 || op == 8 || op == 9 || op == 0x0b || (op >= 0x30 && op < 0x37) || op == 0xa0 || op == 0xa2 || op == 0xa8 || op == 0xaa ||
                             (op >= 0xc8 && op < 0xd0));
}

static void opcodes(unsigned map)
{
    static const uint8_t pfx[] = {0, 0x66, 0xf3, 0xf2};
    vec_mode = 1;
    for (unsigned op = 0; op < 256; op++) {
        for (unsigned p = 0; p < 4; p++) {
            bool open = false;
            for (unsigned m = 0; m < 24; m++) {
                bool bare = no_modrm(map, op);
                if (bare && m)
                    break;
                unsigned modrm = bare ? 0x90 : (m < 8 ? 0x06 : m < 16 ? 0xc3 : 0xc0) | (m & 7) << 3;
                if (left_out(map, op, pfx[p], modrm) || (m >= 16 && !(map == MAP_0F && op == 1)))
                    continue;
                struct enc e = {0};
                if (pfx[p])
                    e8(&e, pfx[p]);
                if (map != MAP_1)
                    e8(&e, 0x0f);
                if (map >= MAP_38)
                    e8(&e, map == MAP_38 ? 0x38 : 0x3a);
                e8(&e, op);
                if (!open)
                    piece(&e);
                open = true;
                e8(&e, modrm);
                for (unsigned i = 0; i < 12; i++)
                    e8(&e, 0x90);
                code_ptr = place(&e);
                for (unsigned i = 0; i < NREG; i++)
                    in.r[i] = DATA + 0x800;
                in.r[CX] = 3;
                in.r[SP] = STACK_MID;
                in.r[BP] = STACK_MID + 0x100;
                in.fl = 2;
                memset(in_x, 0, 512);
                *(uint16_t *)in_x = 0x37f;
                *(uint32_t *)(in_x + 24) = 0x1f80;
                memset(DATAP + 0x7c0, 0, 0x200);
                run();
                hash((uint64_t)fault.sig);
                hash(fault.trap);
                hash(fault.sig ? out.ip - code_ptr : 0);
                note("modrm %02x: signal %d trap %ld error %lx at +%ld", modrm, fault.sig, (long)fault.trap, fault.err, fault.sig ? (long)(out.ip - code_ptr) : 0);
            }
        }
    }
}

static void opmap_1(void) { opcodes(MAP_1); }
static void opmap_0f(void) { opcodes(MAP_0F); }
static void opmap_0f38(void) { opcodes(MAP_38); }
static void opmap_0f3a(void) { opcodes(MAP_3A); }

const struct group opmap_groups[] = {
    {"opmap_1", opmap_1}, {"opmap_0f", opmap_0f}, {"opmap_0f38", opmap_0f38}, {"opmap_0f3a", opmap_0f3a}, {NULL, NULL},
};
