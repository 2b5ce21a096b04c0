/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Choosing the engine. automatic: hardware virtualization where it really works, binary translation elsewhere. Where
 * both work, the guest is shown what both can give, whichever runs it: so it can change over, and a machine that was
 * suspended under one goes on under the other.
 */
#include "machine_engine.h"

#include <cpuid.h>
#include <string.h>

#include "base/log.h"
#include "bt/bt.h"

static bool bt_works(void)
{
    uint32_t a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 8); /* BMI2 */
}

int engine_choose(const struct plan *p, struct engine_choice *out, struct err *e)
{
    uint32_t bits, seed;
    memset(out, 0, sizeof *out);
    if (bt_stress_parse(p->bt_stress, &bits, &seed, e))
        return -1;
    vt_probe(&out->probe);
    bool vt = out->probe.status == VT_READY;
    if (p->engine == ENGINE_HARDWARE && !vt)
        return err_set(e, ERR_UNSUPPORTED, 0, "monitor.virtual_exec asks for hardware virtualization, and %s. Or set it to automatic or software.",
                       out->probe.text);
    if (p->engine == ENGINE_HARDWARE || (p->engine == ENGINE_AUTO && vt)) {
        if (p->n_vcpus > VT_MAX_VCPUS)
            return err_set(e, ERR_CONFIG, 0, "hardware virtualization runs up to %d processors, and numvcpus is %u; lower it", VT_MAX_VCPUS, p->n_vcpus);
        out->be = &vt_backend;
        snprintf(out->why, sizeof out->why, "%s", p->engine == ENGINE_HARDWARE ? "monitor.virtual_exec asks for it" : "automatic; it works on this host");
        return 0;
    }
    if (p->n_vcpus > BT_MAX_VCPUS) {
        if (p->engine == ENGINE_SOFTWARE)
            return err_set(e, ERR_CONFIG, 0, "binary translation runs up to %d processors, and numvcpus is %u; lower it", BT_MAX_VCPUS, p->n_vcpus);
        return err_set(e, ERR_CONFIG, 0,
                       "binary translation runs up to %d processors, and numvcpus is %u; lower it "
                       "(hardware virtualization runs more, but does not work here: %s)",
                       BT_MAX_VCPUS, p->n_vcpus, out->probe.text);
    }
    out->be = &bt_backend;
    if (p->engine == ENGINE_SOFTWARE)
        snprintf(out->why, sizeof out->why, "monitor.virtual_exec asks for it");
    else
        snprintf(out->why, sizeof out->why, "automatic; hardware virtualization: %s", out->probe.text);
    return 0;
}

const struct cpu_backend *engine_named(const struct engine_choice *c, const struct plan *p, const char *name, struct err *e)
{
    bool hardware = !strcmp(name, "hardware") || !strcmp(name, "vt");
    if (!hardware && strcmp(name, "software") && strcmp(name, "bt")) {
        err_set(e, ERR_CONFIG, 0, "there is no engine called %s; it is software or hardware", name);
        return NULL;
    }
    if (hardware && c->probe.status != VT_READY) {
        err_set(e, ERR_UNSUPPORTED, 0, "hardware virtualization: %s", c->probe.text);
        return NULL;
    }
    if (!hardware && p->n_vcpus > BT_MAX_VCPUS) {
        err_set(e, ERR_CONFIG, 0, "binary translation runs up to %d processors, and this machine has %u", BT_MAX_VCPUS, p->n_vcpus);
        return NULL;
    }
    return hardware ? &vt_backend : &bt_backend;
}

void engine_params(const struct engine_choice *c, struct vm_params *vp)
{
    if (c->probe.status != VT_READY)
        return;
    vp->cpu.limit = c->probe.leaf;
    vp->cpu.n_limit = c->probe.n_leaves;
    vp->cpu.bus_khz = c->probe.bus_khz;
    if (c->be == &vt_backend)
        vp->tsc_khz = c->probe.tsc_khz;
}

const char *engine_text(const struct cpu_backend *be) { return be == &vt_backend ? "hardware virtualization (VT)" : "binary translation (BT)"; }

void engine_list(FILE *f)
{
    static struct vt_probe p;
    vt_probe(&p);
    if (bt_works())
        fprintf(f, "software   Binary translation (BT): ready, up to %d processors\n", BT_MAX_VCPUS);
    else
        fputs("software   Binary translation (BT): needs a processor with BMI2 (Intel since 2013, AMD since 2015)\n", f);
    if (p.status == VT_READY)
        fprintf(f, "hardware   Hardware virtualization (VT): ready, up to %d processors\n", VT_MAX_VCPUS);
    else
        fprintf(f, "hardware   Hardware virtualization (VT): %s\n", p.text);
    if (p.status == VT_READY && !p.user_backdoor)
        fprintf(f, "           %s\n", vt_backdoor_advice());
    fprintf(f, "automatic  takes %s\n", p.status == VT_READY ? "hardware" : "software");
}
