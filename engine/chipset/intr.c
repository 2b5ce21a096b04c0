/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt glue. The ISA lines fan out to the PIC and the IOAPIC (IRQ0 to IOAPIC pin 2, as on every ACPI PC); the PIC's INTR goes to LINT0 of
 * the local APICs (virtual wire through the LAPIC) and to IOAPIC pin 0 (virtual wire through the IOAPIC, MP specification 3.6.2.2).
 *
 * The CPU back end asks without a lock; only an INTA at the PIC takes the chipset lock. When the back end has local APICs of its own (VT: the
 * host's kernel), the PIC answers vCPU 0, messages go to the back end, and it tells of the EOIs that the IOAPIC waits for. Which it is can
 * change while the machine is paused (vm_switch_backend), so it is asked each time.
 */
#include "chipset/intr.h"

#include "chipset/ioapic.h"
#include "chipset/lapic.h"
#include "chipset/pic.h"
#include "core/vm.h"

struct intr {
    struct dev dev;
    struct intr_params p;
    _Atomic bool pic_level; /* INTR; used when there is no lapic device */
    const struct irq_sink *pic_in, *ioapic_in;
    struct irq_sink isa, nmi, from_pic;
};

/* The models of the local APICs, or NULL when the CPU back end has its own. */
static struct dev *intr_lapic(const struct intr *s)
{
    return vm_backend(s->dev.vm)->lapic ? NULL : s->p.lapic;
}

static void intr_isa_set(void *ctl, unsigned pin, unsigned src, bool level)
{
    struct intr *s = ctl;
    if (pin > 15)
        return;
    s->pic_in->set(s->pic_in->ctl, pin, src, level);
    if (s->ioapic_in && pin != 2)
        s->ioapic_in->set(s->ioapic_in->ctl, pin == 0 ? 2 : pin, src, level);
}

static bool intr_isa_busy(void *ctl, unsigned pin)
{
    struct intr *s = ctl;
    struct dev *lapic = intr_lapic(s);
    int vector = s->p.ioapic && s->p.lapic && pin != 2 ? ioapic_edge_vector(s->p.ioapic, pin == 0 ? 2 : pin) : -1;
    if (vector >= 0) /* the back end's own local APICs cannot be asked while the guest runs */
        return lapic && lapic_requested(lapic, vector);
    /* A request at the PIC counts only when somebody listens to its INTR. */
    return pic_busy(s->p.pic, pin) && (!lapic || lapic_hears_pic(lapic));
}

static void intr_nmi_set(void *ctl, unsigned pin, unsigned src, bool level)
{
    struct intr *s = ctl;
    const struct lapic_host *host = vm_backend(s->dev.vm)->lapic;
    if (s->p.lapic)
        lapic_lint(s->p.lapic, 1, level);
    if (host && level)
        host->nmi_pin(s->dev.vm);
    else if (!s->p.lapic && level)
        vcpu_request(vm_vcpu(s->dev.vm, 0), VR_NMI);
}

static void intr_pic_set(void *ctl, unsigned pin, unsigned src, bool level)
{
    struct intr *s = ctl;
    s->pic_level = level;
    if (s->p.lapic)
        lapic_lint(s->p.lapic, 0, level);
    if (!intr_lapic(s) && level)
        vcpu_request(vm_vcpu(s->dev.vm, 0), VR_INTR);
    if (s->ioapic_in)
        s->ioapic_in->set(s->ioapic_in->ctl, 0, 31, level);
}

/* The vector from the PIC, or -1 when its request has gone since the CPU looked. */
static int intr_inta(struct intr *s)
{
    int vector = -1;
    chipset_lock(s->dev.vm);
    if (pic_intr(s->p.pic))
        vector = pic_inta(s->p.pic);
    chipset_unlock(s->dev.vm);
    return vector;
}

static int intr_ctl_take(void *ctl, struct vcpu *v)
{
    struct intr *s = ctl;
    if (!intr_lapic(s))
        return v->index == 0 && s->pic_level ? intr_inta(s) : -1;
    int vector = lapic_take(v);
    if (vector != LAPIC_TAKE_EXTINT)
        return vector;
    lapic_extint_done(v);
    vector = intr_inta(s);
    if (vector >= 0)
        return vector;
    vector = lapic_take(v); /* the PIC's request is gone, but a vector may wait in IRR */
    return vector == LAPIC_TAKE_EXTINT ? -1 : vector;
}

static bool intr_ctl_pending(void *ctl, struct vcpu *v)
{
    struct intr *s = ctl;
    return intr_lapic(s) ? lapic_pending(v) : v->index == 0 && s->pic_level;
}

static int intr_ctl_msr_read(void *ctl, struct vcpu *v, uint32_t msr, uint64_t *val)
{
    struct intr *s = ctl;
    return intr_lapic(s) ? lapic_msr_read(v, msr, val) : -1;
}

static int intr_ctl_msr_write(void *ctl, struct vcpu *v, uint32_t msr, uint64_t val)
{
    struct intr *s = ctl;
    return intr_lapic(s) ? lapic_msr_write(v, msr, val) : -1;
}

static uint8_t intr_ctl_tpr_get(void *ctl, struct vcpu *v)
{
    struct intr *s = ctl;
    return intr_lapic(s) ? lapic_tpr_get(v) : 0;
}

static void intr_ctl_tpr_set(void *ctl, struct vcpu *v, uint8_t cr8)
{
    struct intr *s = ctl;
    if (intr_lapic(s))
        lapic_tpr_set(v, cr8);
}

static void intr_ctl_msi(void *ctl, uint64_t addr, uint32_t data)
{
    struct intr *s = ctl;
    const struct lapic_host *host = vm_backend(s->dev.vm)->lapic;
    if (host)
        host->msi(s->dev.vm, addr, data);
    else if (s->p.lapic)
        lapic_msi(s->p.lapic, addr, data);
    else if (s->p.msi)
        s->p.msi(s->p.msi_u, addr, data);
}

static bool intr_ctl_apic_enabled(void *ctl, struct vcpu *v)
{
    struct intr *s = ctl;
    return intr_lapic(s) && lapic_enabled(v);
}

static void intr_ctl_eoi(void *ctl, uint8_t vector)
{
    struct intr *s = ctl;
    if (!s->p.ioapic)
        return;
    chipset_lock(s->dev.vm);
    ioapic_eoi(s->p.ioapic, vector);
    chipset_unlock(s->dev.vm);
}

static bool intr_ctl_level_route(void *ctl, unsigned pin, uint64_t *addr, uint32_t *data)
{
    struct intr *s = ctl;
    return s->p.ioapic && ioapic_level_route(s->p.ioapic, pin, addr, data);
}

static void intr_ctl_init(void *ctl, struct vcpu *v)
{
    struct intr *s = ctl;
    if (intr_lapic(s))
        lapic_init_pin(v);
    else
        vcpu_request(v, VR_INIT);
}

const struct irq_sink *intr_isa_sink(struct dev *dev)
{
    return &((struct intr *)dev)->isa;
}

const struct irq_sink *intr_nmi_sink(struct dev *dev)
{
    return &((struct intr *)dev)->nmi;
}

static int intr_init(struct dev *dev, const void *params, struct err *e)
{
    struct intr *s = (struct intr *)dev;
    s->p = *(const struct intr_params *)params;
    if (!s->p.pic)
        return err_set(e, ERR_CONFIG, 0, "The interrupt glue needs a PIC.");
    s->isa = (struct irq_sink){.set = intr_isa_set, .ctl = s, .busy = intr_isa_busy};
    s->nmi = (struct irq_sink){.set = intr_nmi_set, .ctl = s};
    s->from_pic = (struct irq_sink){.set = intr_pic_set, .ctl = s};
    s->pic_in = pic_sink(s->p.pic);
    pic_connect(s->p.pic, &(struct irq_line){.sink = &s->from_pic});
    if (s->p.ioapic) {
        s->ioapic_in = ioapic_sink(s->p.ioapic);
        if (s->p.lapic)
            lapic_on_eoi(s->p.lapic, ioapic_eoi, s->p.ioapic);
    }
    intr_set_ctl(dev->vm, &(struct intr_ctl){
                              .take = intr_ctl_take,
                              .pending = intr_ctl_pending,
                              .msr_read = intr_ctl_msr_read,
                              .msr_write = intr_ctl_msr_write,
                              .tpr_get = intr_ctl_tpr_get,
                              .tpr_set = intr_ctl_tpr_set,
                              .msi = intr_ctl_msi,
                              .apic_enabled = intr_ctl_apic_enabled,
                              .eoi = intr_ctl_eoi,
                              .level_route = intr_ctl_level_route,
                              .init = intr_ctl_init,
                              .ctl = s,
                          });
    return 0;
}

static const struct state_field intr_fields[] = {SF(struct intr, pic_level, SF_BOOL), {0}};
static const struct state_desc intr_state = {.name = "intr", .version = 1, .min_version = 1, .fields = intr_fields};

const struct dev_class intr_class = {
    .name = "intr",
    .size = sizeof(struct intr),
    .init = intr_init,
    .state = &intr_state,
};
