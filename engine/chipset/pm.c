/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82371AB (PIIX4), function 3: ACPI power management registers (64 ports at PMBASE), SMBus host controller (16 ports at SMBBA) and the
 * APM command and status ports B2h and B3h. Data sheet: 290562, sections 7.1 (configuration), 7.2 (power management) and 7.3 (SMBus).
 *
 * ACPI mode: on a board the firmware's SMM handler sets SCI_EN when the OS writes ACPI_ENABLE to B2h. Our firmware has no such handler, so the
 * chip does it. Writes to B2h raise SMI# as well when APMC_EN and SMI_EN say so.
 *
 * The SMBus has no slave: every transaction ends at once with DEV_ERR, as on a bus where nobody acknowledges the address.
 */
#include "chipset/pm.h"

#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/vm.h"
#include "pci/pci.h"

enum {
    /* configuration space */
    PMBASE = 0x40,
    COUNTA = 0x44,
    DEVACTB = 0x58,
    PMREGMISC = 0x80,
    SMBBA = 0x90,
    SMBHSTCFG = 0xd2,
    DEVACTB_APMC_EN = 0x02, /* bit 25 of the dword */

    /* I/O at PMBASE */
    PMSTS = 0x00,
    PMEN = 0x02,
    PMCNTRL = 0x04,
    PMTMR = 0x08,
    GPSTS = 0x0c,
    GPEN = 0x0e,
    PCNTRL = 0x10,
    PLVL2 = 0x14,
    GLBSTS = 0x18,
    DEVSTS = 0x1c,
    GLBEN = 0x20,
    GLBCTL = 0x28,
    DEVCTL = 0x2c,
    GPIREG = 0x30,
    GPOREG = 0x34,
    PM_PORTS = 0x40,

    TMROF_STS = 0x0001,
    GBL_STS = 0x0020,
    PWRBTN_STS = 0x0100,
    RTC_STS = 0x0400,
    RSM_STS = 0x8000,
    PMSTS_W1C = TMROF_STS | 0x0010 | GBL_STS | PWRBTN_STS | RTC_STS | RSM_STS,
    PMEN_WRITABLE = TMROF_STS | GBL_STS | PWRBTN_STS | RTC_STS,
    SCI_EN = 0x0001,
    PMCNTRL_WRITABLE = 0x1c03, /* SUS_TYP, BRLD_EN_BM, SCI_EN */
    SUS_EN = 0x20,             /* high byte of PMCNTRL */
    SMI_EN = 0x01,             /* GLBCTL */

    APMC_ACPI_ENABLE = 0xf1,
    APMC_ACPI_DISABLE = 0xf0,

    /* I/O at SMBBA */
    SMBHSTSTS = 0,
    SMBSLVSTS = 1,
    SMBHSTCNT = 2,
    SMBHSTCMD = 3,
    SMBHSTADD = 4,
    SMBHSTDAT0 = 5,
    SMBBLKDAT = 7,
    SMBSLVCNT = 8,
    SMB_PORTS = 16,
    SMB_DEV_ERR = 0x04,
    SMB_FAILED = 0x10,
    SMB_CNT_INTEREN = 0x01,
    SMB_CNT_KILL = 0x02,
    SMB_CNT_START = 0x40,
};
#define PM_HZ 3579545u
#define TMR_HALF (1u << 23) /* ticks between two changes of bit 23 */
#define NS 1000000000ll

struct pm {
    struct pci_dev pci;
    struct irq_line sci;
    struct irq_sink rtc;
    bool smm;
    struct port_range pm_range, smb_range, apm_range;
    bool pm_mapped, smb_mapped;
    struct vtimer overflow;
    /* guest-visible */
    uint16_t pmsts, pmen, pmcntrl, gpsts, gpen;
    uint64_t tmr_seen; /* multiple of TMR_HALF that TMROF_STS was last looked at for */
    uint8_t reg[PM_PORTS]; /* registers 10h and up that only keep what is written */
    uint8_t smb[SMB_PORTS], smb_blk[32], smb_blk_ix;
    uint8_t apmc, apms;
};

/* ---- timer and SCI ---- */

static uint64_t ticks_now(struct pm *pm) { return (uint64_t)((__int128)clock_now(pm->pci.dev.vm) * PM_HZ / NS); }

/* TMROF_STS is set each time bit 23 of the timer changes (7.2.1); computed when somebody looks. */
static void tmr_catch_up(struct pm *pm)
{
    uint64_t half = ticks_now(pm) / TMR_HALF;
    if (half > pm->tmr_seen)
        pm->pmsts |= TMROF_STS;
    pm->tmr_seen = half;
}

static void sci_update(struct pm *pm)
{
    tmr_catch_up(pm);
    bool pm1 = pm->pmcntrl & SCI_EN && (pm->pmsts & pm->pmen & PMEN_WRITABLE || pm->gpsts & pm->gpen);
    bool smb = pm->smb[SMBHSTSTS] & 0x1e && pm->smb[SMBHSTCNT] & SMB_CNT_INTEREN && (pm->pci.cfg[SMBHSTCFG] & 0x0f) == 0x09;
    irq_set(&pm->sci, pm1 || smb);
    if (pm->pmen & TMROF_STS && !(pm->pmsts & TMROF_STS) && pm->pmcntrl & SCI_EN) {
        __int128 t = (__int128)(pm->tmr_seen + 1) * TMR_HALF * NS;
        vtimer_arm(&pm->overflow, (int64_t)((t + PM_HZ - 1) / PM_HZ));
    } else {
        vtimer_cancel(&pm->overflow);
    }
}

static void overflow_fire(void *dev) { sci_update(dev); }

void pm_power_button(struct dev *d)
{
    struct pm *pm = (struct pm *)d;
    if (!(pm->pmcntrl & SCI_EN)) {
        vm_wish(d->vm, WISH_OFF);
        return;
    }
    pm->pmsts |= PWRBTN_STS;
    sci_update(pm);
}

void pm_gpe(struct dev *d, unsigned n)
{
    struct pm *pm = (struct pm *)d;
    pm->gpsts |= (uint16_t)(1u << (n & 15));
    sci_update(pm);
}

/* RTC_STS is set whether the alarm may wake or not (7.2.1); RTC_EN decides about the interrupt. */
static void rtc_set(void *ctl, unsigned pin, unsigned src, bool level)
{
    struct pm *pm = ctl;
    if (!level)
        return;
    pm->pmsts |= RTC_STS;
    sci_update(pm);
}

const struct irq_sink *pm_rtc_sink(struct dev *d) { return &((struct pm *)d)->rtc; }

/* ---- registers at PMBASE ---- */

/* Registers narrower than 32 bits stand side by side; an access of any width sees bytes of this picture. */
static uint64_t pm_read(void *dev, uint64_t off, unsigned size)
{
    struct pm *pm = dev;
    uint8_t r[PM_PORTS + 4];
    tmr_catch_up(pm);
    memcpy(r, pm->reg, PM_PORTS);
    memset(r + PM_PORTS, 0xff, 4);
    st_le16(r + PMSTS, pm->pmsts);
    st_le16(r + PMEN, pm->pmen);
    st_le16(r + PMCNTRL, pm->pmcntrl);
    st_le32(r + PMTMR, (uint32_t)ticks_now(pm) & 0xffffff);
    st_le16(r + GPSTS, pm->gpsts);
    st_le16(r + GPEN, pm->gpen);
    return ld_le32(r + off);
}

static void suspend(struct pm *pm)
{
    unsigned typ = pm->pmcntrl >> 10 & 7;
    if (typ == 0)
        vm_wish(pm->pci.dev.vm, WISH_OFF);
    else
        guest_error("pm", "sleep type %u is not offered by the ACPI tables, ignored", typ);
}

static uint16_t put8(uint16_t old, unsigned hi, uint8_t v, uint16_t mask)
{
    uint16_t m = (uint16_t)(mask & (hi ? 0xff00 : 0x00ff)), val = (uint16_t)(hi ? v << 8 : v);
    return (uint16_t)((old & ~m) | (val & m));
}

static void pm_write8(struct pm *pm, unsigned off, uint8_t v)
{
    unsigned hi = off & 1;
    switch (off & ~1u) {
    case PMSTS: pm->pmsts &= (uint16_t)~(put8(0, hi, v, PMSTS_W1C)); break;
    case PMEN: pm->pmen = put8(pm->pmen, hi, v, PMEN_WRITABLE); break;
    case PMCNTRL:
        pm->pmcntrl = put8(pm->pmcntrl, hi, v, PMCNTRL_WRITABLE);
        if (hi && v & SUS_EN)
            suspend(pm);
        break;
    case GPSTS: pm->gpsts &= (uint16_t)~put8(0, hi, v, 0xffff); break;
    case GPEN: pm->gpen = put8(pm->gpen, hi, v, 0xffff); break;
    case GLBSTS:
    case DEVSTS:
    case DEVSTS + 2: pm->reg[off] &= (uint8_t)~v; break;
    case PLVL2:                                      /* reads enter C2 and C3; not writable */
    case GPIREG:
    case GPIREG + 2: break;
    default:
        if (off >= PCNTRL)
            pm->reg[off] = v;
    }
}

static void pm_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pm *pm = dev;
    tmr_catch_up(pm);
    for (unsigned i = 0; i < size && off + i < PM_PORTS; i++)
        pm_write8(pm, (unsigned)off + i, (uint8_t)(val >> 8 * i));
    sci_update(pm);
}

static const struct io_ops pm_ops = {.read = pm_read, .write = pm_write};

/* ---- APM ---- */

static uint64_t apm_read(void *dev, uint64_t off, unsigned size)
{
    struct pm *pm = dev;
    return off ? pm->apms : pm->apmc;
}

static void apm_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pm *pm = dev;
    if (off) {
        pm->apms = (uint8_t)val;
        return;
    }
    pm->apmc = (uint8_t)val;
    if (pm->apmc == APMC_ACPI_ENABLE)
        pm->pmcntrl |= SCI_EN;
    else if (pm->apmc == APMC_ACPI_DISABLE)
        pm->pmcntrl &= (uint16_t)~SCI_EN;
    sci_update(pm);
    if (pm->smm && pm->pci.cfg[DEVACTB + 3] & DEVACTB_APMC_EN && pm->reg[GLBCTL] & SMI_EN) {
        struct vcpu *v = vcpu_current();
        vcpu_request(v ? v : vm_vcpu(pm->pci.dev.vm, 0), VR_SMI);
    }
}

static const struct io_ops apm_ops = {.read = apm_read, .write = apm_write, .widths = IO_8};

/* ---- SMBus ---- */

static uint64_t smb_read(void *dev, uint64_t off, unsigned size)
{
    struct pm *pm = dev;
    if (off == SMBHSTCNT)
        pm->smb_blk_ix = 0; /* reading it rewinds the block data (7.3.3) */
    if (off == SMBBLKDAT) {
        uint8_t v = pm->smb_blk[pm->smb_blk_ix];
        pm->smb_blk_ix = (pm->smb_blk_ix + 1) % sizeof pm->smb_blk;
        return v;
    }
    return pm->smb[off];
}

static void smb_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pm *pm = dev;
    uint8_t v = (uint8_t)val;
    switch (off) {
    case SMBHSTSTS: pm->smb[off] &= (uint8_t)~(v & 0x1e); break;
    case SMBSLVSTS: pm->smb[off] &= (uint8_t)~(v & 0x3c); break;
    case SMBHSTCNT:
        pm->smb[off] = v & 0x1d;
        if (v & SMB_CNT_KILL)
            pm->smb[SMBHSTSTS] |= SMB_FAILED;
        else if (v & SMB_CNT_START)
            pm->smb[SMBHSTSTS] |= SMB_DEV_ERR;
        break;
    case SMBBLKDAT:
        pm->smb_blk[pm->smb_blk_ix] = v;
        pm->smb_blk_ix = (pm->smb_blk_ix + 1) % sizeof pm->smb_blk;
        break;
    case SMBHSTCMD:
    case SMBHSTADD:
    case SMBHSTDAT0:
    case SMBHSTDAT0 + 1: pm->smb[off] = v; break;
    case SMBSLVCNT: pm->smb[off] = v & 0x0f; break;
    case 0x0a: /* SMBSLVEVT */
    case 0x0b: pm->smb[off] = v; break;
    default: break;
    }
    sci_update(pm);
}

static const struct io_ops smb_ops = {.read = smb_read, .write = smb_write, .widths = IO_8};

/* ---- configuration ---- */

static void range_update(struct pm *pm, struct port_range *r, bool *mapped, bool want, uint16_t base)
{
    struct err e = {0};
    want = want && base && base + r->count <= 0x10000;
    if (*mapped && (!want || base != r->first)) {
        port_release(pm->pci.dev.vm, r);
        *mapped = false;
    }
    if (!want || *mapped)
        return;
    r->first = base;
    *mapped = port_claim(pm->pci.dev.vm, r, &e) == 0;
    if (!*mapped)
        guest_error("pm", "%s", e.msg);
}

static void map_apply(struct pm *pm)
{
    const uint8_t *c = pm->pci.cfg;
    range_update(pm, &pm->pm_range, &pm->pm_mapped, c[PMREGMISC] & 1, ld_le16(c + PMBASE) & 0xffc0);
    range_update(pm, &pm->smb_range, &pm->smb_mapped, c[SMBHSTCFG] & 1, ld_le16(c + SMBBA) & 0xfff0);
}

static void pm_config(struct pci_dev *p, unsigned off, unsigned size)
{
    struct pm *pm = (struct pm *)p;
    if (off + size <= PMBASE)
        return;
    map_apply(pm);
    sci_update(pm);
}

/* ---- the device ---- */

static int pm_init(struct dev *d, const void *params, struct err *e)
{
    static const struct pci_id id = {0x8086, 0x7113, 0x15ad, 0x1976, 0x06800008};
    struct pm *pm = (struct pm *)d;
    const struct pm_params *p = params;
    pm->sci = p->sci;
    pm->rtc = (struct irq_sink){rtc_set, pm, NULL};
    pm->smm = p->smm;
    if (pci_register(&pm->pci, p->bus, p->devfn, &id, 1, e))
        return -1;
    pci_on_config(&pm->pci, pm_config);
    uint8_t *cfg = pm->pci.cfg, *wm = pm->pci.wmask;
    wm[4] = 0x09; /* I/O space, special cycles */
    wm[5] = 0x00;
    cfg[6] = 0x80;
    cfg[7] = 0x02;
    cfg[PMBASE] = 1;
    st_le16(wm + PMBASE, 0xffc0);
    memset(wm + COUNTA, 0xff, 0x3c); /* 44h-7Fh: timers, decode and activity enables of devices that are not there */
    wm[PMREGMISC] = 0x01;
    cfg[SMBBA] = 1;
    st_le16(wm + SMBBA, 0xfff0);
    memset(wm + SMBHSTCFG, 0xff, 4);
    wm[SMBHSTCFG] = 0x0f;
    /* Firmware that finds APMC_EN set takes it that SMM is set up already, and leaves it alone. */
    if (!p->smm) {
        cfg[DEVACTB + 3] = DEVACTB_APMC_EN;
        wm[DEVACTB + 3] &= (uint8_t)~DEVACTB_APMC_EN;
    }
    pm->pm_range = (struct port_range){"pm", 0, PM_PORTS, &pm_ops, pm};
    pm->smb_range = (struct port_range){"smbus", 0, SMB_PORTS, &smb_ops, pm};
    pm->apm_range = (struct port_range){"apm", 0xb2, 2, &apm_ops, pm};
    vtimer_init(&pm->overflow, d->vm, overflow_fire, pm);
    return port_claim(d->vm, &pm->apm_range, e);
}

static void pm_reset(struct dev *d, enum reset_kind k)
{
    struct pm *pm = (struct pm *)d;
    pci_reset_function(&pm->pci);
    map_apply(pm);
    vtimer_cancel(&pm->overflow);
    pm->pmsts = pm->pmen = pm->pmcntrl = pm->gpsts = pm->gpen = 0;
    memset(pm->reg, 0, sizeof pm->reg);
    memset(pm->smb, 0, sizeof pm->smb);
    memset(pm->smb_blk, 0, sizeof pm->smb_blk);
    pm->smb_blk_ix = pm->apmc = pm->apms = 0;
    pm->tmr_seen = ticks_now(pm) / TMR_HALF;
}

static void pm_reset_done(struct dev *d) { sci_update((struct pm *)d); }

static const struct state_field pm_fields[] = {
    {.name = "pci", .off = offsetof(struct pm, pci), .count = 1, .stride = sizeof(struct pci_dev), .kind = SF_STRUCT, .sub = &pci_dev_state},
    SF(struct pm, pmsts, SF_U16),
    SF_MAX(struct pm, pmen, SF_U16, 0xffff),
    SF(struct pm, pmcntrl, SF_U16),
    SF(struct pm, gpsts, SF_U16),
    SF(struct pm, gpen, SF_U16),
    SF(struct pm, tmr_seen, SF_U64),
    SF_BUF(struct pm, reg),
    SF_BUF(struct pm, smb),
    SF_BUF(struct pm, smb_blk),
    SF_MAX(struct pm, smb_blk_ix, SF_U8, 31),
    SF(struct pm, apmc, SF_U8),
    SF(struct pm, apms, SF_U8),
    {0},
};

static int pm_post_load(void *dev, unsigned version, struct err *e)
{
    struct pm *pm = dev;
    pm->pmsts &= PMSTS_W1C;
    pm->pmen &= PMEN_WRITABLE;
    pm->pmcntrl &= PMCNTRL_WRITABLE;
    uint64_t half = ticks_now(pm) / TMR_HALF; /* a future one would put the next overflow beyond the end of time */
    if (pm->tmr_seen > half)
        pm->tmr_seen = half;
    map_apply(pm);
    sci_update(pm);
    return 0;
}

static void pm_pre_save(void *dev) { tmr_catch_up(dev); }

static const struct state_desc pm_state = {
    .name = "pm", .version = 1, .min_version = 1, .fields = pm_fields, .pre_save = pm_pre_save, .post_load = pm_post_load};

const struct dev_class pm_class = {
    .name = "pm",
    .size = sizeof(struct pm),
    .init = pm_init,
    .reset = pm_reset,
    .reset_done = pm_reset_done,
    .state = &pm_state,
};
