/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82371AB (PIIX4), function 0: PCI to ISA bridge. What matters of it is the router of PIRQA#-PIRQD#: registers 60h-63h send each to an
 * ISA interrupt; beside that each PIRQ reaches an I/O APIC input of its own, as on boards with an 82093AA. The other registers keep what is
 * written: they configure an ISA bus that is not there. Data sheet: 290562, section 4.1. ELCR is in pic.c, CF9h in pci.c, port 92h in port92.c.
 */
#include "chipset/piix4.h"

#include <string.h>

#include "pci/pci.h"

enum {
    IORT = 0x4c,
    XBCS = 0x4e,
    PIRQRC = 0x60,
    SERIRQC = 0x64,
    TOM = 0x69,
    MSTAT = 0x6a,
    MBDMA = 0x76,
    APICBASE = 0x80,
    DLC = 0x82,
    PDMACFG = 0x90,
    DDMABP = 0x92,
    GENCFG = 0xb0,
    RTCCFG = 0xcb,

    PIRQ_DISABLE = 0x80,
    ISA_ROUTABLE = 0xdef8, /* IRQ 3-7, 9-12, 14, 15 */
};

struct piix4 {
    struct pci_dev pci;
    struct irq_sink pirq_sink;
    const struct irq_sink *isa;
    uint16_t isa_src;
    struct irq_line gsi[4];
    uint8_t pirq;     /* level of each PIRQ */
    uint16_t driving; /* ISA interrupts that we assert */
};

static void route(struct piix4 *c)
{
    uint16_t want = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint8_t rc = c->pci.cfg[PIRQRC + i];
        if (c->pirq >> i & 1 && !(rc & PIRQ_DISABLE))
            want |= 1u << (rc & 15);
    }
    want &= ISA_ROUTABLE;
    uint16_t diff = want ^ c->driving;
    c->driving = want;
    for (unsigned n = 0; n < 16; n++)
        if (diff >> n & 1)
            irq_set(&(struct irq_line){c->isa, (uint16_t)n, c->isa_src}, want >> n & 1);
}

static void pirq_set(void *ctl, unsigned pin, unsigned src, bool level)
{
    struct piix4 *c = ctl;
    pin &= 3;
    c->pirq = level ? c->pirq | 1u << pin : c->pirq & ~(1u << pin);
    route(c);
    irq_set(&c->gsi[pin], level);
}

static void piix4_config(struct pci_dev *p, unsigned off, unsigned size)
{
    if (off < PIRQRC + 4 && off + size > PIRQRC)
        route((struct piix4 *)p);
}

static int piix4_init(struct dev *d, const void *params, struct err *e)
{
    static const struct pci_id id = {0x8086, 0x7110, 0x15ad, 0x1976, 0x06010008};
    struct piix4 *c = (struct piix4 *)d;
    const struct piix4_params *p = params;
    c->isa = p->isa;
    c->isa_src = p->isa_src;
    memcpy(c->gsi, p->gsi, sizeof c->gsi);
    if (pci_register(&c->pci, p->bus, p->devfn, &id, 0, e))
        return -1;
    pci_on_config(&c->pci, piix4_config);
    c->pirq_sink = (struct irq_sink){pirq_set, c, NULL};
    pci_bus_set_pirq(p->bus, &c->pirq_sink);

    uint8_t *cfg = c->pci.cfg, *wm = c->pci.wmask;
    cfg[0x0e] |= 0x80; /* multi-function, also when it is alone */
    cfg[4] = 0x07;     /* I/O, memory and bus master are hard-wired */
    wm[4] = 0x08;      /* special cycles */
    wm[5] = 0x01;      /* SERR# */
    cfg[6] = 0x80;
    cfg[7] = 0x02;
    cfg[IORT] = 0x4d;
    cfg[XBCS] = 0x03;
    memset(cfg + PIRQRC, PIRQ_DISABLE, 4);
    cfg[SERIRQC] = 0x10;
    cfg[TOM] = 0x02;
    cfg[MBDMA] = cfg[MBDMA + 1] = 0x04;
    cfg[RTCCFG] = 0x21;
    wm[IORT] = 0x7f;
    wm[XBCS] = 0xff;
    wm[XBCS + 1] = 0x07;
    memset(wm + PIRQRC, 0x8f, 4);
    wm[SERIRQC] = 0xff;
    wm[TOM] = 0xff;
    wm[MSTAT] = 0x84;
    wm[MSTAT + 1] = 0x80;
    wm[MBDMA] = wm[MBDMA + 1] = 0x8f;
    wm[APICBASE] = 0x7f;
    wm[DLC] = 0x0f;
    memset(wm + PDMACFG, 0xff, 2);
    memset(wm + DDMABP, 0xff, 4);
    memset(wm + GENCFG, 0xff, 4);
    wm[RTCCFG] = 0x3f;
    return 0;
}

static void piix4_reset(struct dev *d, enum reset_kind k)
{
    struct piix4 *c = (struct piix4 *)d;
    pci_reset_function(&c->pci);
    c->pirq = 0;
    c->driving = 0;
}

static void piix4_reset_done(struct dev *d)
{
    struct piix4 *c = (struct piix4 *)d;
    for (unsigned n = 0; n < 16; n++)
        if (ISA_ROUTABLE >> n & 1)
            irq_set(&(struct irq_line){c->isa, (uint16_t)n, c->isa_src}, false);
    for (unsigned i = 0; i < 4; i++)
        irq_set(&c->gsi[i], false);
}

/* The lines themselves are the functions' and the interrupt controllers' state: each function drives its INTx again when it is loaded. */
static const struct state_field piix4_fields[] = {
    {.name = "pci", .off = offsetof(struct piix4, pci), .count = 1, .stride = sizeof(struct pci_dev), .kind = SF_STRUCT, .sub = &pci_dev_state},
    {0},
};

static int piix4_post_load(void *dev, unsigned version, struct err *e)
{
    route(dev);
    return 0;
}

static const struct state_desc piix4_state = {
    .name = "piix4", .version = 1, .min_version = 1, .fields = piix4_fields, .post_load = piix4_post_load};

const struct dev_class piix4_class = {
    .name = "piix4",
    .size = sizeof(struct piix4),
    .init = piix4_init,
    .reset = piix4_reset,
    .reset_done = piix4_reset_done,
    .state = &piix4_state,
};
