/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two 8259A programmable interrupt controllers, cascaded on IR2, as in the 82371AB (PIIX4): LTIM of ICW1 is ignored and the edge/level
 * control registers (ELCR1, ELCR2) take its place.
 *
 * Request latch: an edge stays latched in IRR until it is acknowledged, even when the line falls before that (a real 8259A would answer with a
 * spurious IR7 then): sources may pulse their line. IRR bits of level inputs, and of the cascade input, follow their line.
 */
#include "chipset/pic.h"

#include <string.h>

#include "core/vm.h"

enum { ICW1_IC4 = 0x01, ICW1_SNGL = 0x02, ICW1_D4 = 0x10, OCW3_D3 = 0x08 };
enum { ICW4_AEOI = 0x02, ICW4_SFNM = 0x10 };
enum { OCW3_RIS = 0x01, OCW3_RR = 0x02, OCW3_P = 0x04, OCW3_SMM = 0x20, OCW3_ESMM = 0x40 };
enum { CASCADE = 2 };

struct i8259 {
    uint8_t irr, isr, imr;
    uint8_t lines;      /* levels of IR0..IR7 */
    uint8_t elcr;       /* 1: level triggered */
    uint8_t icw2, icw3; /* vector base; cascade pins or slave id (kept, not used: the wiring is fixed) */
    uint8_t lowest;     /* level of lowest priority: 7 = fixed priorities */
    uint8_t init_step;  /* ICW that the next write to A0=1 is: 2, 3, 4; 0 = initialised */
    bool icw4_needed, single, auto_eoi, sfnm;
    bool rotate_aeoi, special_mask, poll, read_isr;
};

struct pic {
    struct dev dev;
    struct i8259 chip[2]; /* master, slave */
    uint32_t wired[16];   /* OR word of each input */
    bool intr;            /* level of the master's INT */
    struct irq_line out;
    struct irq_sink sink;
    struct pic_port {
        struct pic *pic;
        unsigned n;
        struct port_range regs, elcr;
    } port[2];
};

static const uint8_t elcr_mask[2] = {0xf8, 0xde}; /* IRQ0, 1, 2, 8 and 13 are edge only (82371AB, 4.2.5) */

/* Rank of a level: 0 is the highest priority. */
static unsigned pic_rank(const struct i8259 *c, unsigned level)
{
    return (level - c->lowest - 1) & 7;
}

/* Level of the highest-priority bit of a non-empty mask. */
static unsigned pic_best(const struct i8259 *c, uint8_t mask)
{
    unsigned level = (c->lowest + 1) & 7;
    while (!(mask >> level & 1))
        level = (level + 1) & 7;
    return level;
}

/* The level that raises INT, or -1. */
static int pic_requested(const struct i8259 *c, bool master)
{
    uint8_t req = c->irr & ~c->imr, isr = c->isr;
    if (!req)
        return -1;
    if (c->special_mask)
        isr &= ~c->imr;
    if (c->sfnm && master)
        isr &= ~(1u << CASCADE); /* special fully nested: the slave in service does not block its higher inputs */
    unsigned level = pic_best(c, req);
    if (isr && pic_rank(c, pic_best(c, isr)) <= pic_rank(c, level))
        return -1;
    return (int)level;
}

static void pic_update(struct pic *p)
{
    struct i8259 *m = &p->chip[0];
    if (pic_requested(&p->chip[1], false) >= 0) {
        m->irr |= 1u << CASCADE;
    } else {
        m->irr &= ~(1u << CASCADE);
    }
    bool intr = m->init_step == 0 && pic_requested(m, true) >= 0;
    if (intr != p->intr) {
        p->intr = intr;
        irq_set(&p->out, intr);
    }
}

static void pic_acknowledge(struct i8259 *c, unsigned level)
{
    if (!(c->elcr >> level & 1))
        c->irr &= ~(1u << level);
    if (!c->auto_eoi)
        c->isr |= 1u << level;
    else if (c->rotate_aeoi)
        c->lowest = level;
}

uint8_t pic_inta(struct dev *dev)
{
    struct pic *p = (struct pic *)dev;
    struct i8259 *m = &p->chip[0], *s = &p->chip[1];
    uint8_t vector;
    int level = pic_requested(m, true);
    if (level < 0) {
        vector = m->icw2 + 7; /* default IR7: ISR is not set (8259A, "Edge and level triggered modes") */
    } else if (level != CASCADE) {
        pic_acknowledge(m, level);
        vector = m->icw2 + level;
    } else {
        int l2 = pic_requested(s, false);
        pic_acknowledge(m, CASCADE);
        if (l2 >= 0)
            pic_acknowledge(s, l2);
        vector = s->icw2 + (l2 < 0 ? 7 : l2);
    }
    /* INT falls with each INTA: what is still waiting makes a new edge. */
    if (p->intr) {
        p->intr = false;
        irq_set(&p->out, false);
    }
    pic_update(p);
    return vector;
}

bool pic_intr(struct dev *dev)
{
    return ((struct pic *)dev)->intr;
}

static void pic_set_line(void *ctl, unsigned pin, unsigned src, bool level)
{
    struct pic *p = ctl;
    if (pin > 15 || pin == CASCADE)
        return;
    uint32_t old = p->wired[pin], bit = 1u << (src & 31);
    p->wired[pin] = level ? old | bit : old & ~bit;
    bool now = p->wired[pin] != 0;
    if (now == (old != 0))
        return;
    struct i8259 *c = &p->chip[pin >> 3];
    uint8_t mask = 1u << (pin & 7);
    if (now) {
        c->lines |= mask;
        c->irr |= mask;
    } else {
        c->lines &= ~mask;
        if (c->elcr & mask)
            c->irr &= ~mask;
    }
    pic_update(p);
}

static void pic_eoi(struct i8259 *c, int level, bool rotate)
{
    if (level < 0) {
        /* Non-specific: in special mask mode masked levels are passed over (8259A, "Special mask mode"). */
        uint8_t isr = c->special_mask ? c->isr & ~c->imr : c->isr;
        if (!isr)
            return;
        level = pic_best(c, isr);
    }
    c->isr &= ~(1u << level);
    if (rotate)
        c->lowest = level;
}

static void pic_write_a0(struct i8259 *c, uint8_t val)
{
    if (val & ICW1_D4) {
        c->imr = 0;
        c->isr = 0;
        c->irr = c->lines & c->elcr; /* the edge sense circuit is reset: a line that is high needs a new edge */
        c->lowest = 7;
        c->special_mask = c->read_isr = c->poll = false;
        c->rotate_aeoi = c->auto_eoi = c->sfnm = false;
        c->icw4_needed = val & ICW1_IC4;
        c->single = val & ICW1_SNGL;
        c->init_step = 2;
    } else if (val & OCW3_D3) {
        if (val & OCW3_ESMM)
            c->special_mask = val & OCW3_SMM;
        if (val & OCW3_P)
            c->poll = true;
        if (val & OCW3_RR)
            c->read_isr = val & OCW3_RIS;
    } else {
        unsigned level = val & 7;
        switch (val >> 5) {
        case 0:
            c->rotate_aeoi = false;
            break;
        case 1:
            pic_eoi(c, -1, false);
            break;
        case 2: /* no operation */
            break;
        case 3:
            pic_eoi(c, level, false);
            break;
        case 4:
            c->rotate_aeoi = true;
            break;
        case 5:
            pic_eoi(c, -1, true);
            break;
        case 6:
            c->lowest = level;
            break;
        case 7:
            pic_eoi(c, level, true);
            break;
        }
    }
}

static void pic_write_a1(struct i8259 *c, uint8_t val)
{
    switch (c->init_step) {
    case 2:
        c->icw2 = val & 0xf8;
        c->init_step = !c->single ? 3 : c->icw4_needed ? 4 : 0;
        break;
    case 3:
        c->icw3 = val;
        c->init_step = c->icw4_needed ? 4 : 0;
        break;
    case 4:
        c->auto_eoi = val & ICW4_AEOI;
        c->sfnm = val & ICW4_SFNM;
        c->init_step = 0;
        break;
    default:
        c->imr = val;
        break;
    }
}

static void pic_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pic_port *pp = dev;
    struct i8259 *c = &pp->pic->chip[pp->n];
    if (off == 0)
        pic_write_a0(c, val);
    else
        pic_write_a1(c, val);
    pic_update(pp->pic);
}

static uint64_t pic_read(void *dev, uint64_t off, unsigned size)
{
    struct pic_port *pp = dev;
    struct i8259 *c = &pp->pic->chip[pp->n];
    if (c->poll) {
        /* The read is the acknowledge (8259A, "Poll command"). */
        c->poll = false;
        int level = pic_requested(c, pp->n == 0);
        if (level < 0)
            return 0;
        pic_acknowledge(c, level);
        pic_update(pp->pic);
        return 0x80 | level;
    }
    if (off)
        return c->imr;
    return c->read_isr ? c->isr : c->irr;
}

static uint64_t pic_elcr_read(void *dev, uint64_t off, unsigned size)
{
    struct pic_port *pp = dev;
    return pp->pic->chip[off & 1].elcr;
}

static void pic_elcr_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pic_port *pp = dev;
    struct i8259 *c = &pp->pic->chip[off & 1];
    c->elcr = val & elcr_mask[off & 1];
    c->irr = (c->irr & ~c->elcr) | (c->lines & c->elcr);
    pic_update(pp->pic);
}

static const struct io_ops pic_ops = {.read = pic_read, .write = pic_write, .widths = IO_8};
static const struct io_ops pic_elcr_ops = {.read = pic_elcr_read, .write = pic_elcr_write, .widths = IO_8};

const struct irq_sink *pic_sink(struct dev *dev)
{
    return &((struct pic *)dev)->sink;
}

bool pic_busy(struct dev *dev, unsigned pin)
{
    struct pic *p = (struct pic *)dev;
    if (pin > 15)
        return false;
    const struct i8259 *c = &p->chip[pin >> 3];
    unsigned bit = pin & 7;
    if (!((c->irr & ~c->imr & ~c->elcr) >> bit & 1))
        return false;
    return pin < 8 || !(p->chip[0].imr >> CASCADE & 1);
}

void pic_connect(struct dev *dev, const struct irq_line *intr)
{
    ((struct pic *)dev)->out = *intr;
}

static void pic_reset(struct dev *dev, enum reset_kind k)
{
    struct pic *p = (struct pic *)dev;
    memset(p->chip, 0, sizeof p->chip);
    memset(p->wired, 0, sizeof p->wired);
    for (unsigned i = 0; i < 2; i++) {
        p->chip[i].lowest = 7;
        p->chip[i].imr = 0xff; /* not defined by the data sheet: nothing may come before the firmware's ICWs */
    }
    p->intr = false;
}

static void pic_reset_done(struct dev *dev)
{
    struct pic *p = (struct pic *)dev;
    irq_set(&p->out, p->intr);
}

static int pic_init(struct dev *dev, const void *params, struct err *e)
{
    struct pic *p = (struct pic *)dev;
    static const uint16_t base[2] = {0x20, 0xa0};
    p->sink = (struct irq_sink){.set = pic_set_line, .ctl = p};
    for (unsigned i = 0; i < 2; i++) {
        struct pic_port *pp = &p->port[i];
        pp->pic = p;
        pp->n = i;
        pp->regs = (struct port_range){.owner = dev->id, .first = base[i], .count = 2, .ops = &pic_ops, .dev = pp};
        if (port_claim(dev->vm, &pp->regs, e) < 0)
            return -1;
    }
    p->port[0].elcr = (struct port_range){.owner = dev->id, .first = 0x4d0, .count = 2, .ops = &pic_elcr_ops, .dev = &p->port[0]};
    if (port_claim(dev->vm, &p->port[0].elcr, e) < 0)
        return -1;
    pic_reset(dev, RESET_COLD);
    return 0;
}

static int pic_post_load(void *dev, unsigned version, struct err *e)
{
    struct pic *p = dev;
    for (unsigned i = 0; i < 2; i++) {
        struct i8259 *c = &p->chip[i];
        c->elcr &= elcr_mask[i];
        c->lines = 0;
        for (unsigned n = 0; n < 8; n++)
            c->lines |= (p->wired[i * 8 + n] != 0) << n;
    }
    /* The other end of INT saves its level itself: nothing is driven while loading. */
    return 0;
}

static const struct state_field i8259_fields[] = {
    SF(struct i8259, irr, SF_U8),
    SF(struct i8259, isr, SF_U8),
    SF(struct i8259, imr, SF_U8),
    SF(struct i8259, elcr, SF_U8),
    SF(struct i8259, icw2, SF_U8),
    SF(struct i8259, icw3, SF_U8),
    SF_MAX(struct i8259, lowest, SF_U8, 7),
    SF_MAX(struct i8259, init_step, SF_U8, 4),
    SF(struct i8259, icw4_needed, SF_BOOL),
    SF(struct i8259, single, SF_BOOL),
    SF(struct i8259, auto_eoi, SF_BOOL),
    SF(struct i8259, sfnm, SF_BOOL),
    SF(struct i8259, rotate_aeoi, SF_BOOL),
    SF(struct i8259, special_mask, SF_BOOL),
    SF(struct i8259, poll, SF_BOOL),
    SF(struct i8259, read_isr, SF_BOOL),
    {0},
};
static const struct state_desc i8259_state = {.name = "i8259", .version = 1, .min_version = 1, .fields = i8259_fields};
static const struct state_field pic_fields[] = {
    {.name = "chip", .off = offsetof(struct pic, chip), .count = 2, .stride = sizeof(struct i8259), .kind = SF_STRUCT, .sub = &i8259_state},
    SF_ARR(struct pic, wired, SF_U32),
    SF(struct pic, intr, SF_BOOL),
    {0},
};
static const struct state_desc pic_state = {
    .name = "pic", .version = 1, .min_version = 1, .fields = pic_fields, .post_load = pic_post_load};

const struct dev_class pic_class = {
    .name = "pic",
    .size = sizeof(struct pic),
    .init = pic_init,
    .reset = pic_reset,
    .reset_done = pic_reset_done,
    .state = &pic_state,
};
