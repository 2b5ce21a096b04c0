/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 82093AA I/O APIC (Intel 290566): 24 redirection entries behind IOREGSEL and IOWIN. With version 20h it also has the EOI register of later
 * parts (ICH 9 data sheet, 13.5.4). Messages leave as MSI writes, which is how the later parts send them.
 *
 * An edge on a masked pin is ignored (3.2.4, "Interrupt mask"). A level entry is sent whenever its line is active, it is not masked and
 * Remote IRR is clear.
 */
#include "chipset/ioapic.h"

#include <string.h>

#include "core/memmap.h"
#include "core/vm.h"

enum { IOREGSEL = 0x00, IOWIN = 0x10, IOEOI = 0x40 };
enum { IOAPICID = 0, IOAPICVER = 1, IOAPICARB = 2, IOREDTBL = 0x10 };
#define N_PINS 24u

/* Redirection entry. */
#define RTE_VECTOR(e) ((uint8_t)(e))
#define RTE_DELMOD(e) ((unsigned)(e) >> 8 & 7)
#define RTE_DESTMOD (1u << 11)
#define RTE_DELIVS (1u << 12)
#define RTE_INTPOL (1u << 13)
#define RTE_REMOTE_IRR (1u << 14)
#define RTE_LEVEL (1u << 15)
#define RTE_MASK (1u << 16)
#define RTE_WRITABLE 0xff0000000001afffull /* all but the reserved and the read-only bits */
enum { DM_FIXED, DM_LOWEST, DM_SMI, DM_NMI = 4, DM_INIT, DM_EXTINT = 7 };

struct ioapic {
    struct dev dev;
    uint8_t regsel, id;
    uint32_t irr;   /* level inputs that are active */
    uint32_t lines; /* inputs: 1 = active */
    uint32_t raw[N_PINS]; /* OR word of each input */
    uint64_t rte[N_PINS];
    struct ioapic_params p;
    struct irq_sink sink;
    struct memregion mr;
};

static uint64_t ioapic_addr(uint64_t e)
{
    return 0xfee00000u | (e >> 56) << 12 | (e & RTE_DESTMOD ? 1u << 2 : 0) | (RTE_DELMOD(e) == DM_LOWEST ? 1u << 3 : 0);
}

static uint32_t ioapic_data(uint64_t e, bool level)
{
    return RTE_VECTOR(e) | RTE_DELMOD(e) << 8 | 1u << 14 | (level ? 1u << 15 : 0);
}

static void ioapic_service(struct ioapic *s, unsigned pin)
{
    uint64_t e = s->rte[pin];
    uint32_t bit = 1u << pin;
    if (!(s->irr & bit) || (e & RTE_MASK))
        return;
    unsigned mode = RTE_DELMOD(e);
    /* SMI, NMI, INIT and ExtINT are edge messages whatever the entry says (82093AA 3.2.4). */
    bool level = (e & RTE_LEVEL) && (mode == DM_FIXED || mode == DM_LOWEST);
    if (level) {
        if (e & RTE_REMOTE_IRR)
            return;
        s->rte[pin] |= RTE_REMOTE_IRR;
    } else {
        s->irr &= ~bit;
    }
    irq_msi(s->dev.vm, ioapic_addr(e), ioapic_data(e, level));
}

static bool ioapic_is_level(uint64_t e)
{
    return (e & RTE_LEVEL) && (RTE_DELMOD(e) == DM_FIXED || RTE_DELMOD(e) == DM_LOWEST);
}

/* Takes over the input's level after a change of the line or of the polarity. */
static void ioapic_input(struct ioapic *s, unsigned pin)
{
    /*
     * Sources drive "asserted", not a voltage: boards pair active-low lines with INTPOL = 1, and firmware tables differ about which lines
     * these are. So polarity does not invert.
     */
    uint32_t bit = 1u << pin;
    bool active = s->raw[pin] != 0, was = s->lines & bit;
    s->lines = active ? s->lines | bit : s->lines & ~bit;
    if (ioapic_is_level(s->rte[pin])) {
        s->irr = active ? s->irr | bit : s->irr & ~bit;
    } else if (active && !was && !(s->rte[pin] & RTE_MASK)) {
        s->irr |= bit;
    }
    ioapic_service(s, pin);
}

static void ioapic_set_line(void *ctl, unsigned pin, unsigned src, bool level)
{
    struct ioapic *s = ctl;
    if (pin >= N_PINS)
        return;
    uint32_t bit = 1u << (src & 31);
    uint32_t now = level ? s->raw[pin] | bit : s->raw[pin] & ~bit;
    bool change = (now != 0) != (s->raw[pin] != 0);
    s->raw[pin] = now;
    if (change)
        ioapic_input(s, pin);
}

void ioapic_eoi(void *ioapic, uint8_t vector)
{
    struct ioapic *s = ioapic;
    for (unsigned i = 0; i < N_PINS; i++) {
        if (RTE_VECTOR(s->rte[i]) == vector && (s->rte[i] & RTE_REMOTE_IRR)) {
            s->rte[i] &= ~(uint64_t)RTE_REMOTE_IRR;
            ioapic_service(s, i);
        }
    }
}

int ioapic_edge_vector(struct dev *dev, unsigned pin)
{
    struct ioapic *s = (struct ioapic *)dev;
    uint64_t e = pin < N_PINS ? s->rte[pin] : RTE_MASK;
    unsigned mode = RTE_DELMOD(e);
    return (e & (RTE_MASK | RTE_LEVEL)) || (mode != DM_FIXED && mode != DM_LOWEST) ? -1 : RTE_VECTOR(e);
}

static uint32_t ioapic_reg_read(struct ioapic *s)
{
    unsigned r = s->regsel;
    if (r >= IOREDTBL && r < IOREDTBL + 2 * N_PINS) {
        uint64_t e = s->rte[(r - IOREDTBL) / 2];
        return r & 1 ? e >> 32 : e;
    }
    switch (r) {
    case IOAPICID:
        return (uint32_t)s->id << 24;
    case IOAPICVER:
        return (N_PINS - 1) << 16 | s->p.version;
    case IOAPICARB:
        return (uint32_t)s->id << 24;
    default:
        return 0;
    }
}

static void ioapic_reg_write(struct ioapic *s, uint32_t val)
{
    unsigned r = s->regsel;
    if (r == IOAPICID) {
        s->id = val >> 24 & 15;
        return;
    }
    if (r < IOREDTBL || r >= IOREDTBL + 2 * N_PINS)
        return;
    unsigned pin = (r - IOREDTBL) / 2;
    uint32_t bit = 1u << pin;
    uint64_t old = s->rte[pin], e = old;
    if (r & 1)
        e = (uint32_t)e | (uint64_t)val << 32;
    else
        e = (e & ~0xffffffffull) | val;
    e = (e & RTE_WRITABLE) | (old & (RTE_REMOTE_IRR | RTE_DELIVS));
    /* Going to edge mode clears Remote IRR; software that has no EOI register relies on it. */
    if (!ioapic_is_level(e))
        e &= ~(uint64_t)RTE_REMOTE_IRR;
    s->rte[pin] = e;
    if (ioapic_is_level(e))
        s->irr = s->lines & bit ? s->irr | bit : s->irr & ~bit;
    else if (ioapic_is_level(old))
        s->irr &= ~bit; /* a level is no edge */
    /* Before a message may leave. Masking alone changes nothing that others must know. */
    if ((old ^ e) & ~(uint64_t)(RTE_MASK | RTE_REMOTE_IRR | RTE_DELIVS | RTE_INTPOL) && (ioapic_is_level(old) || ioapic_is_level(e)))
        irq_routes_changed(s->dev.vm);
    ioapic_service(s, pin);
}

bool ioapic_level_route(struct dev *dev, unsigned pin, uint64_t *addr, uint32_t *data)
{
    struct ioapic *s = (struct ioapic *)dev;
    uint64_t e = pin < N_PINS ? s->rte[pin] : 0;
    if (!ioapic_is_level(e) || RTE_VECTOR(e) < 16)
        return false;
    *addr = ioapic_addr(e);
    *data = ioapic_data(e, true);
    return true;
}

static uint64_t ioapic_read(void *dev, uint64_t off, unsigned size)
{
    struct ioapic *s = dev;
    switch (off & 0xff) {
    case IOREGSEL:
        return s->regsel;
    case IOWIN:
        return ioapic_reg_read(s);
    default:
        return 0;
    }
}

static void ioapic_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct ioapic *s = dev;
    switch (off & 0xff) {
    case IOREGSEL:
        s->regsel = val;
        break;
    case IOWIN:
        ioapic_reg_write(s, val);
        break;
    case IOEOI:
        if (s->p.version >= 0x20)
            ioapic_eoi(s, val);
        break;
    }
}

static const struct io_ops ioapic_ops = {.read = ioapic_read, .write = ioapic_write, .widths = IO_32};

const struct irq_sink *ioapic_sink(struct dev *dev)
{
    return &((struct ioapic *)dev)->sink;
}

static void ioapic_reset(struct dev *dev, enum reset_kind k)
{
    struct ioapic *s = (struct ioapic *)dev;
    s->regsel = 0;
    s->id = s->p.id;
    s->irr = s->lines = 0;
    memset(s->raw, 0, sizeof s->raw);
    for (unsigned i = 0; i < N_PINS; i++)
        s->rte[i] = RTE_MASK;
}

static void ioapic_reset_done(struct dev *dev)
{
    irq_routes_changed(dev->vm);
}

static int ioapic_init(struct dev *dev, const void *params, struct err *e)
{
    struct ioapic *s = (struct ioapic *)dev;
    s->p = *(const struct ioapic_params *)params;
    s->sink = (struct irq_sink){.set = ioapic_set_line, .ctl = s};
    s->mr = (struct memregion){
        .owner = dev->id, .base = s->p.base, .size = 0x1000, .kind = MR_MMIO, .enabled = true, .ops = &ioapic_ops, .dev = s};
    ioapic_reset(dev, RESET_COLD);
    memmap_begin(dev->vm);
    memmap_add(dev->vm, &s->mr);
    return memmap_commit(dev->vm, e);
}

static int ioapic_post_load(void *dev, unsigned version, struct err *e)
{
    struct ioapic *s = dev;
    s->id &= 15;
    s->lines = 0;
    for (unsigned i = 0; i < N_PINS; i++) {
        s->rte[i] &= RTE_WRITABLE | RTE_REMOTE_IRR | RTE_DELIVS;
        s->lines |= (uint32_t)(s->raw[i] != 0) << i;
    }
    s->irr &= (1u << N_PINS) - 1;
    irq_routes_changed(s->dev.vm);
    return 0;
}

static const struct state_field ioapic_fields[] = {
    SF(struct ioapic, regsel, SF_U8),
    SF(struct ioapic, id, SF_U8),
    SF(struct ioapic, irr, SF_U32),
    SF_ARR(struct ioapic, raw, SF_U32),
    SF_ARR(struct ioapic, rte, SF_U64),
    {0},
};
static const struct state_desc ioapic_state = {
    .name = "ioapic", .version = 1, .min_version = 1, .fields = ioapic_fields, .post_load = ioapic_post_load};

const struct dev_class ioapic_class = {
    .name = "ioapic",
    .size = sizeof(struct ioapic),
    .init = ioapic_init,
    .reset = ioapic_reset,
    .reset_done = ioapic_reset_done,
    .state = &ioapic_state,
};
