/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82441FX PMC (440FX host bridge), function 00:00.0. It decides what is seen at each address that is not PCI's: RAM below and above
 * 4 GiB, firmware ROM at the top of 4 GiB and (its end) below 1 MiB, shadow RAM by the PAM registers, SMRAM. The gate of address line 20 is here too,
 * because it is the other thing that decides what an address reaches.
 * Data sheet: 82441FX, order number 290549, section 3.2.
 *
 * The subsystem id 1af4:1100 is how SeaBIOS recognizes a machine with a fw_cfg device; the chip itself has none.
 */
#include "chipset/i440.h"

#include <string.h>

#include "base/bitmap.h"
#include "base/log.h"
#include "pci/pci.h"

enum {
    PMCCFG = 0x50,
    DRAMC = 0x57,
    DRAMT = 0x58,
    PAM = 0x59, /* 59h-5Fh; each nibble: bit 0 read enable, bit 1 write enable */
    DRB = 0x60, /* 60h-67h */
    FDHC = 0x68,
    MTT = 0x70,
    CLT = 0x71,
    SMRAM = 0x72,
    ERRCMD = 0x90,
    ERRSTS = 0x91,
    TRC = 0x93,

    PAM_RE = 1,
    PAM_WE = 2,

    SMRAM_BASE_SEG = 0x07, /* hard-wired 010b: A0000h */
    SMRAM_G_SMRAME = 0x08,
    SMRAM_D_LCK = 0x10,
    SMRAM_D_CLS = 0x20,
    SMRAM_D_OPEN = 0x40,

    N_PAM = 13,
    PRIO_SMRAM = 20, /* above the VGA window */
};

struct pam_seg {
    struct i440 *chip;
    uint32_t base, size;
    struct memregion mr;
};

struct i440 {
    struct pci_dev pci;
    struct memblk *ram, *rom;
    struct memregion lo, ext, hi, rom_top, smram_open, smram_smm;
    struct pam_seg pam[N_PAM];
    struct irq_sink a20;
    uint32_t a20_word; /* OR of the sources of address line 20 */
    uint8_t smram;     /* register 72h, kept here because of its lock */
};

/* ---- memory ---- */

/* Write-only shadow RAM: what the guest reads is PCI or ROM, what it writes goes to the RAM below. */
static uint64_t pam_read(void *dev, uint64_t off, unsigned size) { return UINT64_MAX; }

static void pam_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pam_seg *s = dev;
    struct memblk *ram = s->chip->ram;
    uint64_t a = s->base + off;
    for (unsigned i = 0; i < size && a + i < ram->size && off + i < s->size; i++)
        ram->host[a + i] = (uint8_t)(val >> 8 * i);
    if (ram->dirty && a < ram->size)
        bitmap_set_range_atomic(ram->dirty, a >> 12, 1);
}

static const struct io_ops pam_ops = {.read = pam_read, .write = pam_write, .widths = IO_8 | IO_16 | IO_32 | IO_64};

static void pam_apply(struct i440 *c, unsigned i)
{
    struct pam_seg *s = &c->pam[i];
    struct memregion *mr = &s->mr;
    /* Segment 0 is F0000h (high nibble of 59h), 1 and 2 are the low and high nibble of 5Ah, and so on. */
    uint8_t reg = c->pci.cfg[PAM + (i + 1) / 2], attr = (i & 1 ? reg : reg >> 4) & 3;
    uint64_t from_top = 0x100000 - s->base;
    bool rom = from_top <= c->rom->size && s->base >= 0xe0000;
    mr->enabled = true;
    mr->ops = NULL;
    if (attr & PAM_RE) {
        mr->kind = attr & PAM_WE ? MR_RAM : MR_ROM;
        mr->blk = c->ram;
        mr->blk_off = s->base;
        return;
    }
    mr->blk = rom ? c->rom : NULL;
    mr->blk_off = rom ? c->rom->size - from_top : 0;
    if (attr & PAM_WE) {
        mr->kind = rom ? MR_ROM_DEVICE : MR_MMIO;
        mr->ops = &pam_ops;
    } else {
        mr->kind = MR_ROM;
        mr->enabled = rom;
    }
}

static void map_apply(struct i440 *c)
{
    struct err e = {0};
    memmap_begin(c->pci.dev.vm);
    for (unsigned i = 0; i < N_PAM; i++)
        pam_apply(c, i);
    bool en = c->smram & SMRAM_G_SMRAME, open = c->smram & SMRAM_D_OPEN;
    c->smram_open.enabled = en && open;
    /* D_CLS would send only data accesses to PCI, and the memory map does not tell data from code: SMRAM stays visible in SMM. */
    c->smram_smm.enabled = en && !open;
    /* A20M# (Intel486 data book, 2.6: the bit is 0 in every physical address). Above RAM there is nothing at odd megabytes that real mode could
     * want, and a processor after INIT must reach its ROM, so the mask ends there. */
    memmap_set_a20_mask(c->pci.dev.vm, c->a20_word ? 0 : (i440_ram_below_4g(c->ram->size) + 0x1fffff) & ~(gpa_t)0x1fffff);
    if (memmap_commit(c->pci.dev.vm, &e))
        log_msg(LOG_ERROR, "i440", "%s", e.msg);
}

static void region(struct i440 *c, struct memregion *mr, const char *owner, gpa_t base, uint64_t size, struct memblk *b, uint64_t off, int prio)
{
    *mr = (struct memregion){.owner = owner, .base = base, .size = size, .prio = prio, .kind = MR_RAM, .enabled = size != 0, .track_dirty = true,
                             .blk = b, .blk_off = off};
    memmap_add(c->pci.dev.vm, mr);
}

/* ---- registers ---- */

static void i440_config(struct pci_dev *p, unsigned off, unsigned size)
{
    struct i440 *c = (struct i440 *)p;
    bool pam = off < PAM + 7 && off + size > PAM;
    if (off <= SMRAM && off + size > SMRAM) {
        uint8_t v = p->cfg[SMRAM], old = c->smram;
        if (old & SMRAM_D_LCK)
            v = (old & ~SMRAM_D_CLS) | (v & SMRAM_D_CLS);
        else if (v & SMRAM_D_LCK)
            v &= (uint8_t)~SMRAM_D_OPEN;
        c->smram = p->cfg[SMRAM] = v;
        pam = true;
    }
    if (pam)
        map_apply(c);
}

static void a20_set(void *ctl, unsigned pin, unsigned src, bool level)
{
    struct i440 *c = ctl;
    uint32_t old = c->a20_word;
    c->a20_word = level ? old | 1u << (src & 31) : old & ~(1u << (src & 31));
    if (!old != !c->a20_word)
        map_apply(c);
}

const struct irq_sink *i440_a20_sink(struct dev *d) { return &((struct i440 *)d)->a20; }

/* ---- the device ---- */

static int i440_init(struct dev *d, const void *params, struct err *e)
{
    static const struct pci_id id = {0x8086, 0x1237, 0x1af4, 0x1100, 0x06000002};
    struct i440 *c = (struct i440 *)d;
    const struct i440_params *p = params;
    uint64_t ram = p->ram->size, rom = p->rom->size, below = i440_ram_below_4g(ram);
    if (ram < 1 << 20 || ram & 0xfff)
        return err_set(e, ERR_CONFIG, 0, "The virtual machine has %llu bytes of memory; it needs at least 1 MiB.", (unsigned long long)ram);
    if (rom < 0x10000 || rom > 16 << 20 || rom & 0xffff)
        return err_set(e, ERR_CONFIG, 0, "The firmware image has %llu bytes; it must be a multiple of 64 KiB and at most 16 MiB.",
                       (unsigned long long)rom);
    c->ram = p->ram;
    c->rom = p->rom;
    if (pci_register(&c->pci, p->bus, 0, &id, 0, e))
        return -1;
    pci_on_config(&c->pci, i440_config);
    c->a20 = (struct irq_sink){a20_set, c, NULL};

    uint8_t *cfg = c->pci.cfg, *wm = c->pci.wmask;
    cfg[4] = 0x06; /* memory access and bus master are hard-wired */
    wm[4] = 0x40;  /* parity error enable */
    wm[5] = 0x01;  /* SERR# enable */
    cfg[6] = 0x80; /* fast back-to-back */
    cfg[7] = 0x02; /* DEVSEL# medium */
    cfg[DRAMC] = 0x01;
    cfg[DRAMT] = 0x10;
    memset(cfg + DRB, 0x01, 8);
    cfg[CLT] = 0x10;
    cfg[SMRAM] = 0x02;
    memset(wm + PMCCFG, 0xff, 2);
    wm[DRAMC] = wm[DRAMT] = 0xff;
    wm[PAM] = 0x30;
    memset(wm + PAM + 1, 0x33, 6);
    memset(wm + DRB, 0xff, 8);
    wm[FDHC] = 0xc0;
    wm[MTT] = 0xf8;
    wm[CLT] = 0xf8;
    wm[SMRAM] = SMRAM_D_OPEN | SMRAM_D_CLS | SMRAM_D_LCK | SMRAM_G_SMRAME;
    wm[ERRCMD] = 0xff;
    c->pci.w1cmask[ERRSTS] = 0x11;
    wm[TRC] = 0x0f;

    memmap_begin(d->vm);
    region(c, &c->lo, "ram-low", 0, 0xa0000, c->ram, 0, 0);
    region(c, &c->ext, "ram", 0x100000, below - 0x100000, c->ram, 0x100000, 0);
    region(c, &c->hi, "ram-high", 1ull << 32, ram - below, c->ram, below, 0);
    region(c, &c->rom_top, "firmware", (1ull << 32) - rom, rom, c->rom, 0, 0);
    c->rom_top.kind = MR_ROM;
    c->rom_top.track_dirty = false;
    region(c, &c->smram_open, "smram", 0xa0000, 0x20000, c->ram, 0xa0000, PRIO_SMRAM);
    region(c, &c->smram_smm, "smram", 0xa0000, 0x20000, c->ram, 0xa0000, PRIO_SMRAM);
    c->smram_smm.space = MR_SPACE_SMM;
    c->smram_open.enabled = c->smram_smm.enabled = false;
    for (unsigned i = 0; i < N_PAM; i++) {
        struct pam_seg *s = &c->pam[i];
        s->chip = c;
        s->base = i ? 0xc0000 + (i - 1) * 0x4000 : 0xf0000;
        s->size = i ? 0x4000 : 0x10000;
        region(c, &s->mr, "shadow", s->base, s->size, c->ram, s->base, 0);
        s->mr.dev = s;
        pam_apply(c, i);
    }
    c->smram = 0x02;
    c->a20_word = 1u << A20_SRC_KBC;
    return memmap_commit(d->vm, e);
}

static void i440_reset(struct dev *d, enum reset_kind k)
{
    struct i440 *c = (struct i440 *)d;
    pci_reset_function(&c->pci);
    c->smram = c->pci.cfg[SMRAM];
    c->a20_word = 1u << A20_SRC_KBC; /* the keyboard controller's output is pulled up until it drives it */
}

static void i440_reset_done(struct dev *d) { map_apply((struct i440 *)d); }

static const struct state_field i440_fields[] = {
    {.name = "pci", .off = offsetof(struct i440, pci), .count = 1, .stride = sizeof(struct pci_dev), .kind = SF_STRUCT, .sub = &pci_dev_state},
    SF(struct i440, a20_word, SF_U32),
    {0},
};

static int i440_post_load(void *dev, unsigned version, struct err *e)
{
    struct i440 *c = dev;
    c->smram = c->pci.cfg[SMRAM];
    map_apply(c);
    return 0;
}

static const struct state_desc i440_state = {
    .name = "i440", .version = 1, .min_version = 1, .fields = i440_fields, .post_load = i440_post_load};

const struct dev_class i440_class = {
    .name = "i440",
    .size = sizeof(struct i440),
    .init = i440_init,
    .reset = i440_reset,
    .reset_done = i440_reset_done,
    .state = &i440_state,
};
