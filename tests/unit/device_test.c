/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices: making, order of reset, quiescing and destruction; what reset does to the vCPUs. */
#include <string.h>

#include "core/state.h"
#include "tests/fakevm.h"
#include "tests/tap.h"

static char log_[400];
static void note(struct dev *d, const char *what)
{
    snprintf(log_ + strlen(log_), sizeof log_ - strlen(log_), "%s.%s ", d->id, what);
}
static bool did(const char *want)
{
    bool good = !strcmp(log_, want);
    if (!good)
        printf("# got  %s\n# want %s\n", log_, want);
    log_[0] = 0;
    return good;
}

struct one {
    struct dev dev;
    uint8_t line[64] __attribute__((aligned(64)));
    uint32_t reg;
};
static int init(struct dev *d, const void *params, struct err *e)
{
    note(d, "init");
    return params ? err_set(e, ERR_CONFIG, 0, "no") : 0;
}
static void reset(struct dev *d, enum reset_kind k)
{
    note(d, k == RESET_COLD ? "cold" : k == RESET_WARM ? "warm" : "bus");
    ((struct one *)d)->reg = 5;
}
static void reset_done(struct dev *d)
{
    note(d, "done");
    vcpu_request(vm_vcpu(d->vm, 0), VR_INTR); /* as an interrupt controller does when a line is up after reset */
}
static void quiesce(struct dev *d) { note(d, "quiesce"); }
static void destroy(struct dev *d) { note(d, "destroy"); }
static const struct state_desc state = {.name = "one",
                                        .version = 1,
                                        .min_version = 1,
                                        .fields = (const struct state_field[]){SF(struct one, reg, SF_U32), {0}}};
static const struct dev_class full = {.name = "one",
                                      .size = sizeof(struct one),
                                      .init = init,
                                      .reset = reset,
                                      .reset_done = reset_done,
                                      .quiesce = quiesce,
                                      .destroy = destroy,
                                      .state = &state},
                              bare = {.name = "bare", .size = sizeof(struct dev)};

int main(void)
{
    struct err e = {0};
    struct vm *vm = fakevm_new(0, 2);
    char id[] = "a";
    struct one *a = (struct one *)dev_create(vm, &full, id, NULL, &e);
    id[0] = 'x';
    struct dev *b = dev_create(vm, &full, "b", NULL, &e);
    ok(a && b && !strcmp(a->dev.id, "a") && a->dev.vm == vm && a->dev.cls == &full && a->reg == 0,
       "made; the id is copied, memory is zero");
    ok(((uintptr_t)a->line & 63) == 0, "alignment is honoured");
    ok(dev_create(vm, &bare, "c", NULL, &e) != NULL, "all callbacks are optional");
    did("a.init b.init ");
    ok(!dev_create(vm, &full, "a", NULL, &e) && did(""), "two of one name: %s", e.msg);
    ok(!dev_create(vm, &full, "d", "fail", &e) && !strcmp(e.msg, "no") && did("d.init "), "a failed init");
    ok(dev_find(vm, "b") == b && !dev_find(vm, "d"), "find");
    vcpu_request(vm_vcpu(vm, 0), VR_NMI);
    vcpu_request(vm_vcpu(vm, 1), VR_INTR);
    ok(!vm_reset(vm, RESET_WARM, &e) && did("a.quiesce b.quiesce a.warm b.warm a.done b.done "),
       "reset: quiesce, then two phases");
    ok(fakevm_requests(vm, 0) == VR_INTR && fakevm_requests(vm, 1) == 0,
       "requests from before the reset are gone, those of its second phase stay");
    ok(!vm_run(vm, &e) && did(""), "a vm that was reset is not reset again by its first run");
    a->reg = 77;
    struct vm *to = fakevm_new(0, 2);
    struct one *a2 = (struct one *)dev_create(to, &full, "a", NULL, &e);
    dev_create(to, &full, "b", NULL, &e);
    log_[0] = 0;
    ok(!fakevm_migrate(vm, to, &e) && a2->reg == 77, "moved %s", e.msg);
    ok(did("a.cold b.cold "), "loading begins with the first phase of a reset");
    struct vm *less = fakevm_new(0, 2), *cpus = fakevm_new(0, 1), *ram = fakevm_new(1, 2);
    dev_create(less, &full, "b", NULL, &e);
    dev_create(less, &full, "z", NULL, &e);
    ok(fakevm_migrate(vm, less, &e) == -1, "other hardware: %s", e.msg);
    ok(fakevm_migrate(vm, cpus, &e) == -1 && strstr(e.msg, "numvcpus"), "other processors: %s", e.msg);
    ok(fakevm_migrate(vm, ram, &e) == -1 && strstr(e.msg, "memsize"), "other memory: %s", e.msg);
    ok(fakevm_migrate(vm, to, &e) == -1, "into a vm that has been loaded already: %s", e.msg);
    fakevm_free(less);
    fakevm_free(cpus);
    fakevm_free(ram);
    fakevm_free(to);
    log_[0] = 0;
    fakevm_free(vm);
    ok(did("a.quiesce b.quiesce b.destroy a.destroy "), "destroyed in reverse order");
    return TAP_DONE();
}
