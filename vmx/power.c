/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Power states and what makes each transition:
 *
 *            power_on: check, plan, lock,           +--- power_pause ---+
 *            build, connect, write back             |                   v
 *     OFF ---------> STARTING ------- vm_run ----> ON                PAUSED
 *      ^  ^             |                          |^ ^                 |
 *      |  +-- failure --+                          || +- power_resume --+
 *      |                                           |+-- power_reset, WISH_RESET (guest): vm_reset, vm_run
 *      |                                           v
 *      +------ destroy, write back, unlock --- STOPPING <- power_off (user, signal), WISH_OFF (guest), soft-off timer
 *      |                                           |
 *      +------------- power_off ------------- FAULT <- events.failed: an internal error; the log stays, the guest is lost
 *
 * Engine events come on other threads and are queued to the main loop; an event of a machine that is gone by then is told by its serial number.
 * Nothing is written to the user's files before the machine is built and connected: a start that fails leaves everything as it was.
 */
#define _GNU_SOURCE
#include "power.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "core/vm.h"
#include "crash.h"
#include "file/filelock.h"
#include "gdbstub.h"
#include "identity.h"
#include "machine_engine.h"
#include "machine.h"
#include "net_link.h"
#include "net_plan.h"
#include "nvram.h"
#include "plan.h"
#include "sandbox.h"
#include "vmlog.h"

enum { MAX_LISTENERS = 4, NVRAM_DELAY_MS = 1000 };

struct power {
    struct power_params params;
    char *vmx_path;
    struct vmx_dict *dict;
    struct plan plan;
    bool have_plan, soft_off_by_guest, soft_then_hard;
    struct machine *machine;
    struct gdbstub *gdb;
    struct filelock lock;
    bool locked;
    enum power_state state;
    enum power_reason reason;
    struct err fault;
    struct power_listener listener[MAX_LISTENERS];
    unsigned n_listeners, serial;
    bool was_on;
    guint soft_timer, nvram_timer;
    char *nvram_path;
};

/* An engine event on its way to the main loop. */
struct event {
    struct power *p;
    unsigned serial;
    enum { EV_WISH, EV_FAILED, EV_NVRAM, EV_TRAY, EV_ROTATE, EV_DEBUG, EV_LOW } kind;
    enum vm_wish wish;
    struct err err;
    unsigned channel, unit;
    bool open;
};

static const char *const state_names[] = {"off", "starting", "on", "paused", "stopping", "fault"};
static const char *const reason_names[] = {"", "user", "guest", "signal", "timeout", "fault", "memory"};

const char *power_state_name(enum power_state s) { return state_names[s]; }
const char *power_reason_name(enum power_reason r) { return reason_names[r]; }
enum power_state power_get_state(const struct power *p) { return p->state; }
enum power_reason power_get_reason(const struct power *p) { return p->reason; }
const char *power_fault_text(const struct power *p) { return p->fault.msg; }
struct machine *power_machine(struct power *p) { return p->machine; }
const struct plan *power_plan(const struct power *p) { return p->have_plan ? &p->plan : NULL; }
const char *power_vmx_path(const struct power *p) { return p->vmx_path; }
const struct vmx_dict *power_config(const struct power *p) { return p->dict; }

static void enter(struct power *p, enum power_state s, enum power_reason r, const char *text)
{
    if (p->state == s && !*text)
        return;
    p->state = s;
    p->reason = r;
    log_msg(LOG_INFO, "power", "State: %s%s%s%s%s%s", state_names[s], r ? " (" : "", reason_names[r], r ? ")" : "", *text ? ": " : "", text);
    for (unsigned i = 0; i < p->n_listeners; i++)
        if (p->listener[i].changed)
            p->listener[i].changed(p->listener[i].u, s, r, text);
}

struct power *power_new(const struct power_params *params)
{
    struct power *p = g_new0(struct power, 1);
    p->params = *params;
    p->lock.fd = -1;
    p->vmx_path = realpath(params->vmx_path, NULL);
    if (!p->vmx_path)
        p->vmx_path = strdup(params->vmx_path);
    return p;
}

void power_listen(struct power *p, const struct power_listener *l)
{
    if (p->n_listeners < MAX_LISTENERS)
        p->listener[p->n_listeners++] = *l;
}

void power_unlisten(struct power *p, void *u)
{
    for (unsigned i = 0; i < p->n_listeners; i++)
        if (p->listener[i].u == u)
            p->listener[i] = (struct power_listener){0};
}

/* ---- configuration ---- */

/* An empty file or any other text would be a machine of default values. */
static bool describes_machine(const struct vmx_dict *d)
{
    struct vmx_iter it = {0};
    struct vmx_entry en;
    while (vmx_dict_next(d, &it, &en))
        if (vmx_key_find(en.name))
            return true;
    return false;
}

static int load_config(struct power *p, struct err *e)
{
    struct vmx_dict *d = vmx_dict_load(p->params.vmx_path, e);
    if (!d)
        return -1;
    if (!describes_machine(d)) {
        vmx_dict_free(d);
        return err_set(e, ERR_FORMAT, 0, "%s: nothing in it describes a virtual machine; give a .vmx file", p->params.vmx_path);
    }
    for (const char *const *o = p->params.overrides; o && *o; o++) {
        const char *eq = strchr(*o, '=');
        char *name = eq ? g_strstrip(g_strndup(*o, (gsize)(eq - *o))) : NULL;
        int rc = eq ? vmx_dict_override(d, name, eq + 1, e) : err_set(e, ERR_CONFIG, 0, "-s %s: write key=value", *o);
        g_free(name);
        if (rc) {
            vmx_dict_free(d);
            return -1;
        }
    }
    vmx_dict_free(p->dict);
    p->dict = d;
    return 0;
}

struct problems {
    struct power *p;
    unsigned errors;
    struct err first;
};

static void on_problem(void *u, enum vmx_severity s, unsigned line, const char *key, const char *text)
{
    struct problems *pr = u;
    if (s == VMX_ERROR && !pr->errors++)
        err_set(&pr->first, ERR_CONFIG, 0, "%s: %s", key, text);
    if (pr->p->params.problem)
        pr->p->params.problem(pr->p->params.problem_u, s, line, key, text);
}

static unsigned check(struct power *p, struct err *e)
{
    struct problems pr = {.p = p};
    vmx_check(p->dict, on_problem, &pr);
    if (p->have_plan)
        plan_free(&p->plan);
    plan_make(&p->plan, p->dict, p->vmx_path, on_problem, &pr);
    p->have_plan = true;
    if (pr.errors) {
        if (e)
            *e = pr.first;
        plan_free(&p->plan);
        p->have_plan = false;
    }
    return pr.errors;
}

static void bad_image(void *u, int channel, int unit, const char *text)
{
    struct problems *pr = u;
    char *key = g_strdup_printf("ide%d:%d.fileName", channel, unit);
    on_problem(u, VMX_ERROR, vmx_dict_line(pr->p->dict, key), key, text);
    g_free(key);
}

unsigned power_check(struct power *p, struct err *e)
{
    if (load_config(p, e))
        return 1;
    unsigned n = check(p, e);
    if (!n && p->state == POWER_OFF) {
        struct problems pr = {.p = p};
        struct err ee;
        struct engine_choice choice;
        if (engine_choose(&p->plan, &choice, &ee)) {
            const char *key = ee.kind == ERR_CONFIG ? "numvcpus" : ee.kind == ERR_FORMAT ? "monitor.bt.stress" : "monitor.virtual_exec";
            on_problem(&pr, VMX_ERROR, vmx_dict_line(p->dict, key), key, ee.msg);
            *e = ee;
            n = 1;
        }
        machine_check_images(&p->plan, bad_image, &pr);
        if (pr.errors && !n)
            *e = pr.first;
        n = pr.errors;
        plan_free(&p->plan);
        p->have_plan = false;
    }
    return n;
}

/* Sets keys in the file as it is now (an editor may have changed it while the guest ran). pairs: key, value (NULL: remove), ..., NULL. */
static int write_back(struct power *p, const char *const *pairs, struct err *e)
{
    struct vmx_dict *d = vmx_dict_load(p->vmx_path, e);
    if (!d)
        return -1;
    int rc = 0;
    for (; !rc && *pairs; pairs += 2) {
        if (pairs[1])
            rc = vmx_dict_set(d, pairs[0], pairs[1], e);
        else
            vmx_dict_unset(d, pairs[0]);
    }
    if (!rc && vmx_dict_changed(d))
        rc = vmx_dict_save(d, p->vmx_path, e);
    vmx_dict_free(d);
    return rc;
}

int power_set_config(struct power *p, const char *key, const char *value, struct err *e)
{
    struct vmx_dict *probe = vmx_dict_new();
    int rc = value && probe ? vmx_dict_set(probe, key, value, e) : 0;
    vmx_dict_free(probe);
    const char *pairs[] = {key, value, NULL};
    if (rc || write_back(p, pairs, e))
        return -1;
    log_msg(LOG_INFO, "config", "%s %s%s", key, value ? "= " : "removed", value ? value : "");
    if (p->state == POWER_OFF)
        return load_config(p, e);
    if (p->machine)
        (void)machine_set_key(p->machine, key, value);
    if (value)
        return vmx_dict_set(p->dict, key, value, e);
    vmx_dict_unset(p->dict, key);
    return 0;
}

/* ---- engine events ---- */

static int go_off(struct power *p, enum power_reason r, struct err *e);

static void on_wish(struct power *p, enum vm_wish w)
{
    struct err e;
    struct vm *vm = machine_vm(p->machine);
    if (p->state != POWER_ON)
        return;
    switch (w) {
    case WISH_RESET:
        log_msg(LOG_INFO, "power", "The guest resets the machine");
        machine_log_cpus(p->machine);
        if (vm_reset(vm, RESET_WARM, &e) || vm_run(vm, &e))
            vm_fail(vm, &e);
        break;
    case WISH_OFF:
        p->soft_off_by_guest = true;
        go_off(p, REASON_GUEST, &e);
        break;
    case WISH_CLOCK:
        if (vm_pause(vm, &e) || vm_run(vm, &e))
            vm_fail(vm, &e);
        break;
    case WISH_SUSPEND:
        log_msg(LOG_INFO, "power", "The guest asks for sleep, which is left out: it goes on");
        if (vm_run(vm, &e))
            vm_fail(vm, &e);
        break;
    }
}

static gboolean save_nvram(gpointer u)
{
    struct power *p = u;
    uint8_t bytes[NVRAM_BYTES];
    struct err e;
    p->nvram_timer = 0;
    if (p->machine && p->nvram_path) {
        machine_nvram(p->machine, bytes);
        if (nvram_save(p->nvram_path, bytes, &e))
            log_msg(LOG_WARN, "nvram", "%s", e.msg);
    }
    return G_SOURCE_REMOVE;
}

static gboolean on_event(gpointer data)
{
    struct event *ev = data;
    struct power *p = ev->p;
    if (ev->kind == EV_ROTATE) {
        vmlog_rotate();
    } else if (ev->serial == p->serial && p->machine) {
        switch (ev->kind) {
        case EV_WISH:
            on_wish(p, ev->wish);
            break;
        case EV_FAILED:
            if (p->state == POWER_FAULT)
                break;
            p->fault = ev->err;
            log_msg(LOG_ERROR, "power", "The machine is stopped by a fault: %s", ev->err.msg);
            enter(p, POWER_FAULT, REASON_FAULT, ev->err.msg);
            break;
        case EV_NVRAM:
            if (!p->nvram_timer) /* the guest writes bytes one by one: save them together */
                p->nvram_timer = g_timeout_add(NVRAM_DELAY_MS, save_nvram, p);
            break;
        case EV_LOW:
            if (p->state != POWER_ON || vm_pause(machine_vm(p->machine), NULL))
                break;
            log_msg(LOG_WARN, "power", "%s", ev->err.msg);
            enter(p, POWER_PAUSED, REASON_MEMORY, ev->err.msg);
            break;
        case EV_DEBUG:
            gdbstub_hit(p->gdb, ev->unit);
            break;
        case EV_TRAY: {
            char node[16];
            snprintf(node, sizeof node, "ide%u:%u", ev->channel, ev->unit);
            for (unsigned i = 0; i < p->n_listeners; i++)
                if (p->listener[i].tray)
                    p->listener[i].tray(p->listener[i].u, node, ev->open);
            break;
        }
        default:
            break;
        }
    }
    g_free(ev);
    return G_SOURCE_REMOVE;
}

/* [any] */
static void post(struct power *p, struct event ev)
{
    ev.p = p;
    ev.serial = p->serial;
    g_idle_add_full(G_PRIORITY_DEFAULT, on_event, g_memdup2(&ev, sizeof ev), NULL);
}

static void ev_wish(void *u, enum vm_wish w) { post(u, (struct event){.kind = EV_WISH, .wish = w}); }
static void ev_failed(void *u, const struct err *e) { post(u, (struct event){.kind = EV_FAILED, .err = *e}); }
static void ev_nvram(void *u) { post(u, (struct event){.kind = EV_NVRAM}); }
static void ev_tray(void *u, unsigned c, unsigned un, bool open) { post(u, (struct event){.kind = EV_TRAY, .channel = c, .unit = un, .open = open}); }
static void ev_debug(void *u, struct vcpu *v) { post(u, (struct event){.kind = EV_DEBUG, .unit = v->index}); }
static void ev_low(void *u, const char *text)
{
    struct event ev = {.kind = EV_LOW};
    err_set(&ev.err, ERR_NOMEM, 0, "%s", text);
    post(u, ev);
}
static void ev_rotate(void *u) { post(u, (struct event){.kind = EV_ROTATE}); }
static void ev_thread(void *u, const char *kind)
{
    struct power *p = u;
    crash_thread_started();
    if (!strcmp(kind, "chipset") && p->machine && machine_net(p->machine))
        kind = "chipset-net"; /* the host's networks are worked there */
    bool vt = !strcmp(kind, "vcpu") && p->machine && !strcmp(machine_engine(p->machine), "vt");
    sandbox_enter(vt ? "vcpu-vt" : kind);
}

/* ---- transitions ---- */

static void unlock(struct power *p)
{
    if (p->locked)
        filelock_drop(&p->lock);
    p->locked = false;
}

static void log_config(struct power *p)
{
    struct vmx_iter it = {0};
    struct vmx_entry en;
    GString *kept = g_string_new(NULL);
    unsigned n = 0;
    while (vmx_dict_next(p->dict, &it, &en)) {
        const struct vmx_key *k = vmx_key_find(en.name);
        bool secret = strcasestr(en.name, "password") || strcasestr(en.name, "encryption") || strcasestr(en.name, "vnc.key");
        log_msg(LOG_INFO, "config", "%s = \"%s\"%s", en.name, secret ? "..." : en.value, en.line ? "" : " (command line)");
        if (k && !k->acts && *en.value && strcasecmp(en.value, k->def) && n++ < 40)
            g_string_append_printf(kept, "%s%s", n > 1 ? ", " : "", en.name);
    }
    if (n)
        log_msg(LOG_INFO, "config", "Not acted on yet: %s%s", kept->str, n > 40 ? ", ..." : "");
    g_string_free(kept, TRUE);
}

struct net_keys {
    struct power *p;
    const char *pair[2 * 4 * NICS + 1];
    unsigned n;
};

/* A key that the file lacks, or has with another value; what the command line sets is not written. */
static void net_key(void *u, const char *key)
{
    struct net_keys *k = u;
    const char *v = vmx_dict_get(k->p->dict, key);
    for (const char *const *o = k->p->params.overrides; o && *o; o++)
        if (!strncasecmp(*o, key, strlen(key)))
            return;
    if (v && *v) {
        k->pair[k->n++] = g_strdup(key);
        k->pair[k->n++] = g_strdup(v);
    }
}

static void net_write_back(struct power *p)
{
    struct net_keys k = {.p = p};
    struct err e;
    net_plan_keys(net_key, &k);
    if (write_back(p, k.pair, &e))
        log_msg(LOG_WARN, "config", "%s", e.msg);
    for (unsigned i = 0; i < k.n; i++)
        g_free((char *)k.pair[i]);
}

static void started_write_back(struct power *p)
{
    char *bios = g_strdup(vmx_dict_get(p->dict, "uuid.bios")), *loc = g_strdup(vmx_dict_get(p->dict, "uuid.location"));
    const char *pairs[] = {"uuid.bios", bios, "uuid.location", loc, "cleanShutdown", "FALSE", "softPowerOff", "FALSE", NULL};
    struct err e;
    for (const char *const *o = p->params.overrides; o && *o; o++) /* what the command line sets is not written */
        if (!strncasecmp(*o, "uuid.", 5))
            memmove(pairs, pairs + 4, sizeof pairs - 4 * sizeof pairs[0]);
    if (write_back(p, pairs, &e))
        log_msg(LOG_WARN, "config", "%s", e.msg);
    g_free(bios);
    g_free(loc);
    net_write_back(p);
}

static void drop_machine(struct power *p)
{
    if (p->soft_timer)
        g_source_remove(p->soft_timer);
    p->soft_timer = 0;
    if (p->machine) {
        for (unsigned i = 0; i < p->n_listeners; i++)
            if (p->listener[i].stopping)
                p->listener[i].stopping(p->listener[i].u, p->machine);
        if (p->nvram_timer) {
            g_source_remove(p->nvram_timer);
            save_nvram(p);
        }
        crash_watch(NULL);
        gdbstub_stop(p->gdb);
        p->gdb = NULL;
        machine_destroy(p->machine);
    }
    p->machine = NULL;
    p->serial++;
    free(p->nvram_path);
    p->nvram_path = NULL;
    if (p->have_plan)
        plan_free(&p->plan);
    p->have_plan = false;
}

int power_on(struct power *p, struct err *e)
{
    bool first = p->params.start.ns && !p->was_on;
    struct clock_mark asked = first ? p->params.start : clock_mark();
    static const struct vm_events events = {.wish = ev_wish, .failed = ev_failed, .debug = ev_debug};
    uint8_t nvram[NVRAM_BYTES] = {0};
    if (p->state != POWER_OFF && p->state != POWER_FAULT)
        return err_set(e, ERR_BUSY, 0, "the machine is on already");
    if (p->state == POWER_FAULT)
        go_off(p, REASON_USER, NULL);
    p->fault = (struct err){0};
    p->soft_off_by_guest = false;
    if (load_config(p, e))
        return -1;
    if (check(p, e))
        return -1;
    char *what = g_strdup_printf("The virtual machine %s", p->vmx_path), *lock = g_strdup_printf("%s.lck", p->vmx_path);
    int rc = filelock_take(&p->lock, lock, what, e);
    g_free(what);
    g_free(lock);
    if (rc) {
        plan_free(&p->plan);
        p->have_plan = false;
        return -1;
    }
    p->locked = true;
    vmlog_set_debug(p->plan.debug);
    enter(p, POWER_STARTING, REASON_NONE, "");
    uint8_t old_uuid[16];
    bool had_uuid = vmx_parse_uuid(vmx_get_str(p->dict, "uuid.bios"), old_uuid);
    if (identity_settle(p->dict, p->vmx_path, p->plan.uuid, e) ||
        net_plan_settle(p->plan.net, p->dict, p->plan.uuid, had_uuid && memcmp(old_uuid, p->plan.uuid, 16), e))
        goto fail;
    p->nvram_path = strdup(p->plan.nvram_path);
    bool have_nvram = p->nvram_path && nvram_load(&p->nvram_path, nvram);
    struct machine_hooks hooks = {.events = &events, .thread_started = ev_thread, .nvram_changed = ev_nvram, .tray = ev_tray, .memory_low = ev_low, .u = p,
                                  .mark = asked,
                                  .nvram = have_nvram ? nvram : NULL};
    if (!(p->machine = machine_build(&p->plan, &hooks, e)) || machine_connect(p->machine, e))
        goto fail;
    crash_watch(machine_vm(p->machine));
    if (p->plan.logging) {
        struct vmlog_params lp = {.path = p->plan.log_path, .keep_old = p->plan.log_keep, .rotate_size = p->plan.log_rotate, .append = p->plan.log_append,
                                  .want_rotate = ev_rotate, .u = p};
        struct err le;
        if (vmlog_open(&lp, &le) && p->params.problem) /* nowhere else could it be read */
            p->params.problem(p->params.problem_u, VMX_WARNING, vmx_dict_line(p->dict, "log.fileName"), "log.fileName", le.msg);
    }
    log_msg(LOG_INFO, "vmx", "%s (%s), guest %s, engine %s, %u processors, %llu MB", p->plan.name, p->vmx_path, p->plan.guest_os,
            machine_engine(p->machine), p->plan.n_vcpus, (unsigned long long)(p->plan.ram >> 20));
    log_config(p);
    started_write_back(p);
    for (unsigned i = 0; i < p->n_listeners; i++)
        if (p->listener[i].started)
            p->listener[i].started(p->listener[i].u, p->machine);
    if (p->plan.gdb) {
        struct gdbstub_params gp = {.vm = machine_vm(p->machine), .is64 = p->plan.gdb64, .remote = p->plan.gdb_remote,
                                    .port = p->plan.gdb_port, .hold = p->plan.gdb_hold};
        if (!(p->gdb = gdbstub_start(&gp, e)))
            goto fail;
    }
    if (vm_run(machine_vm(p->machine), e))
        goto fail;
    log_msg(LOG_INFO, "power", "First instruction %.1f ms after %s", (double)(clock_mark().ns - asked.ns) / 1e6,
            first ? "the program's start" : "the machine was switched on");
    p->was_on = true;
    enter(p, POWER_ON, REASON_NONE, "");
    return 0;
fail:
    drop_machine(p);
    unlock(p);
    enter(p, POWER_OFF, REASON_NONE, "");
    return -1;
}

static int go_off(struct power *p, enum power_reason r, struct err *e)
{
    (void)e;
    bool fault = p->state == POWER_FAULT;
    enter(p, POWER_STOPPING, r, "");
    drop_machine(p);
    const char *pairs[] = {"cleanShutdown", fault ? "FALSE" : "TRUE", "softPowerOff", p->soft_off_by_guest ? "TRUE" : "FALSE", NULL};
    struct err we;
    if (write_back(p, pairs, &we))
        log_msg(LOG_WARN, "config", "%s", we.msg);
    unlock(p);
    enter(p, POWER_OFF, fault ? REASON_FAULT : r, "");
    return 0;
}

int power_off(struct power *p, enum power_reason r, struct err *e)
{
    if (p->state == POWER_OFF || !p->machine)
        return err_set(e, ERR_BUSY, 0, "the machine is off");
    return go_off(p, r, e);
}

static gboolean soft_off_late(gpointer u)
{
    struct power *p = u;
    p->soft_timer = 0;
    if (p->soft_then_hard) {
        log_msg(LOG_WARN, "power", "The guest did not switch itself off in time; it is switched off");
        go_off(p, REASON_TIMEOUT, NULL);
    } else {
        log_msg(LOG_WARN, "power", "The guest did not answer the power button in time");
        for (unsigned i = 0; i < p->n_listeners; i++)
            if (p->listener[i].changed)
                p->listener[i].changed(p->listener[i].u, p->state, REASON_TIMEOUT, "The guest did not answer the power button; power it off, or try again");
    }
    return G_SOURCE_REMOVE;
}

int power_soft_off(struct power *p, unsigned timeout, bool then_hard, struct err *e)
{
    if (p->state != POWER_ON)
        return err_set(e, ERR_BUSY, 0, "the machine is %s: only a running guest can be shut down", state_names[p->state]);
    log_msg(LOG_INFO, "power", "ACPI power button pressed");
    if (p->soft_timer)
        g_source_remove(p->soft_timer);
    p->soft_then_hard = then_hard;
    p->soft_timer = timeout ? g_timeout_add_seconds(timeout, soft_off_late, p) : 0;
    machine_power_button(p->machine);
    return 0;
}

int power_reset(struct power *p, struct err *e)
{
    if (p->state != POWER_ON && p->state != POWER_PAUSED)
        return err_set(e, ERR_BUSY, 0, "the machine is %s: only a running one can be reset", state_names[p->state]);
    log_msg(LOG_INFO, "power", "Reset by the user");
    struct vm *vm = machine_vm(p->machine);
    if (vm_reset(vm, RESET_COLD, e))
        return -1;
    return vm_get_state(vm) == VM_HALTED && p->state == POWER_ON ? vm_run(vm, e) : 0;
}

int power_pause(struct power *p, struct err *e)
{
    if (p->state != POWER_ON)
        return err_set(e, ERR_BUSY, 0, "the machine is %s: only a running one can be paused", state_names[p->state]);
    if (vm_pause(machine_vm(p->machine), e))
        return -1;
    enter(p, POWER_PAUSED, REASON_USER, "");
    return 0;
}

int power_switch_engine(struct power *p, const char *name, struct err *e)
{
    if (p->state != POWER_ON && p->state != POWER_PAUSED)
        return err_set(e, ERR_BUSY, 0, "the machine is %s: only one that is on can change its engine", state_names[p->state]);
    struct vm *vm = machine_vm(p->machine);
    if (p->state == POWER_ON && vm_pause(vm, e))
        return -1;
    int rc = machine_switch_engine(p->machine, name, e);
    struct err re = {0};
    /* Whichever engine it has now: the guest goes on. */
    if (p->state == POWER_ON && vm_get_state(vm) != VM_FAILED && vm_run(vm, &re))
        vm_fail(vm, &re);
    return rc;
}

int power_resume(struct power *p, struct err *e)
{
    if (p->state != POWER_PAUSED)
        return err_set(e, ERR_BUSY, 0, "the machine is %s, not paused", state_names[p->state]);
    if (vm_run(machine_vm(p->machine), e))
        return -1;
    net_link_announce(machine_net(p->machine));
    enter(p, POWER_ON, REASON_USER, "");
    return 0;
}

void power_free(struct power *p)
{
    if (!p)
        return;
    if (p->machine)
        go_off(p, REASON_USER, NULL);
    unlock(p);
    vmx_dict_free(p->dict);
    free(p->vmx_path);
    g_free(p);
}
