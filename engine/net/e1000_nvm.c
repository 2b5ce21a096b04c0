/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The EEPROM of the 8254x and 82574: read by EERD, written by EEWR (82574), or on the 8254x by hand over the four wires
 * of a microwire part (93C46, 64 words of 16 bits; SDM 5.3, 13.4.3, 13.4.4). Words 00h-3Fh add up to BABAh.
 */
#include <string.h>

#include "net/e1000_private.h"

enum {
    EE_SK = 1 << 0,
    EE_CS = 1 << 1,
    EE_DI = 1 << 2,
    EE_DO = 1 << 3,
    EE_FWE = 3 << 4,
    EE_REQ = 1 << 6,
    EE_GNT = 1 << 7,
    EE_PRES = 1 << 8,
    EE_AUTO_RD = 1 << 9,       /* 82574 */
    EE_NVSIZE_128W = 1 << 11,  /* 82574: 2^(6 + 1) words */
    EE_FLUPD = 1 << 19,
    EE_AUPDEN = 1 << 20,
    EERD_START = 1 << 0,
    ADDR_BITS = 6,
    NVM_SUM = 0xbaba,
    NVM_SUM_WORD = 0x3f
};

enum { MW_IDLE, MW_COMMAND, MW_READ, MW_WRITE };

static unsigned nvm_size(const struct e1000 *x) { return x->model->nvm_words; }

void e1000_nvm_init(struct e1000 *x)
{
    uint16_t *w = x->nvm, sum = 0;
    const struct pci_id *id = &x->model->id;
    memset(w, 0xff, sizeof x->nvm);
    for (int i = 0; i < 3; i++)
        w[i] = ld_le16(x->mac + 2 * i);
    w[0x03] = 0x0000; /* compatibility: no alternate address, no management */
    w[0x04] = 0xffff;
    w[0x05] = 0xffff; /* image version: none */
    w[0x08] = 0xffff; /* no printed board number */
    w[0x09] = 0xffff;
    w[0x0a] = x->model->e ? 0x026b : 0x6c0b; /* initialization control 1: load the ids below */
    w[0x0b] = id->subdevice;
    w[0x0c] = id->subvendor;
    w[0x0d] = id->device;
    w[0x0e] = id->vendor;
    w[0x0f] = x->model->e ? 0xd01d : 0xb200; /* initialization control 2 */
    if (x->model->e) {
        w[0x14] = 0x0000;
        w[0x1a] = 0x0000;
        w[0x20] = 0x0000;
        w[0x21] = 0x0000;
        w[0x24] = 0x0000; /* initialization control 3: no wake-up by default */
    } else {
        w[0x24] = 0x0000;
    }
    for (unsigned i = 0; i < NVM_SUM_WORD; i++)
        sum += w[i];
    w[NVM_SUM_WORD] = (uint16_t)(NVM_SUM - sum);
}

void e1000_nvm_load_mac(struct e1000 *x)
{
    REG(x, RA) = x->nvm[0] | (uint32_t)x->nvm[1] << 16;
    REG(x, RA + 4) = x->nvm[2] | 0x80000000;
    e1000_mac_changed(x);
}

/* ---- microwire: a bit at every rising edge of SK while CS is high; first the start bit, opcode and address ---- */

static void mw_program(struct e1000 *x, uint16_t addr, uint16_t val)
{
    if (x->ee.writable)
        x->nvm[addr % nvm_size(x)] = val;
    else
        guest_error("e1000", "EEPROM write while writes are disabled");
}

static void mw_command(struct e1000 *x)
{
    struct e1000_eeprom *ee = &x->ee;
    unsigned op = ee->shift >> ADDR_BITS & 3;
    uint16_t addr = ee->shift & ((1 << ADDR_BITS) - 1);
    ee->addr = addr;
    ee->bits = 0;
    ee->shift = 0;
    ee->do_bit = false; /* a dummy 0 before the data */
    switch (op) {
    case 2: ee->state = MW_READ; break;
    case 1: ee->state = MW_WRITE; break;
    case 3: /* ERASE */
        mw_program(x, addr, 0xffff);
        ee->state = MW_IDLE;
        break;
    default:
        switch (addr >> (ADDR_BITS - 2)) {
        case 3: ee->writable = true; break;
        case 0: ee->writable = false; break;
        case 2: /* ERAL */
            for (unsigned i = 0; i < nvm_size(x); i++)
                mw_program(x, (uint16_t)i, 0xffff);
            break;
        default: ee->addr = 0xffff; ee->state = MW_WRITE; return; /* WRAL */
        }
        ee->state = MW_IDLE;
    }
}

static void mw_clock(struct e1000 *x, bool di)
{
    struct e1000_eeprom *ee = &x->ee;
    switch (ee->state) {
    case MW_IDLE:
        if (di) {
            ee->state = MW_COMMAND;
            ee->bits = 0;
            ee->shift = 0;
        }
        break;
    case MW_COMMAND:
        ee->shift = ee->shift << 1 | di;
        if (++ee->bits == 2 + ADDR_BITS)
            mw_command(x);
        break;
    case MW_READ:
        ee->do_bit = x->nvm[ee->addr % nvm_size(x)] >> (15 - ee->bits) & 1;
        if (++ee->bits == 16) { /* on to the next word */
            ee->bits = 0;
            ee->addr = (uint16_t)((ee->addr + 1) % nvm_size(x));
        }
        break;
    case MW_WRITE:
        ee->shift = ee->shift << 1 | di;
        if (++ee->bits == 16) {
            if (ee->addr == 0xffff)
                for (unsigned i = 0; i < nvm_size(x); i++)
                    mw_program(x, (uint16_t)i, (uint16_t)ee->shift);
            else
                mw_program(x, ee->addr, (uint16_t)ee->shift);
            ee->state = MW_IDLE;
            ee->bits = 0;
        }
        break;
    }
}

uint32_t e1000_read_eecd(struct e1000 *x)
{
    uint32_t v = REG(x, EECD) & (EE_SK | EE_CS | EE_DI | EE_FWE | EE_REQ);
    v |= EE_PRES;
    if (v & EE_REQ)
        v |= EE_GNT;
    if (x->ee.do_bit)
        v |= EE_DO;
    if (x->model->e)
        v |= EE_AUTO_RD | EE_NVSIZE_128W | (REG(x, EECD) & EE_AUPDEN);
    return v;
}

void e1000_write_eecd(struct e1000 *x, uint32_t v)
{
    uint32_t old = REG(x, EECD);
    REG(x, EECD) = v & (EE_SK | EE_CS | EE_DI | EE_FWE | EE_REQ | (x->model->e ? EE_AUPDEN : 0));
    if (x->model->e)
        return; /* the 82574's part speaks SPI; software goes through EERD and EEWR */
    if (!(v & EE_CS)) {
        x->ee.state = MW_IDLE;
        x->ee.do_bit = true; /* pulled up; and after programming, ready at once */
    } else if (v & EE_SK && !(old & EE_SK)) {
        mw_clock(x, v & EE_DI);
    }
}

/* ---- EERD and EEWR ---- */

void e1000_write_eerd(struct e1000 *x, uint32_t v)
{
    bool e = x->model->e;
    unsigned addr = e ? v >> 2 & 0x3fff : v >> 8 & 0xff;
    uint32_t keep = e ? v & 0xfffc : v & 0xff00;
    REG(x, EERD) = keep;
    if (v & EERD_START)
        REG(x, EERD) = keep | (e ? 1u << 1 : 1u << 4) |
                       (uint32_t)(addr < nvm_size(x) ? x->nvm[addr] : 0xffff) << 16;
}

void e1000_write_eewr(struct e1000 *x, uint32_t v)
{
    unsigned addr = v >> 2 & 0x3fff;
    if (v & EERD_START && addr < nvm_size(x))
        x->nvm[addr] = (uint16_t)(v >> 16);
    REG(x, EEWR) = (v & 0xfffffffc) | 1u << 1;
}
