/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The power state of the one VM of this process. All calls [main]. */
#ifndef LODGE_VMX_POWER_H
#define LODGE_VMX_POWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/clock.h"
#include "config/vmx_schema.h"

struct machine;
struct plan;
struct power;

enum power_state { POWER_OFF, POWER_STARTING, POWER_ON, POWER_PAUSED, POWER_STOPPING, POWER_FAULT };
/* Why the machine went off (or into fault). */
enum power_reason { REASON_NONE, REASON_USER, REASON_GUEST, REASON_SIGNAL, REASON_TIMEOUT, REASON_FAULT, REASON_MEMORY };

struct power_listener {
    void (*changed)(void *u, enum power_state s, enum power_reason r, const char *text);
    void (*started)(void *u, struct machine *m); /* the machine is built, and runs soon */
    void (*stopping)(void *u, struct machine *m); /* last moment at which the machine can be used */
    void (*tray)(void *u, const char *node, bool open);
    void *u;
};

struct power_params {
    const char *vmx_path;
    const char *const *overrides; /* "key=value", ends with NULL */
    vmx_problem_fn problem;       /* configuration problems, for the user */
    void *problem_u;
    struct clock_mark start;      /* when the program started; zeros: unknown */
};

struct power *power_new(const struct power_params *p);
void power_free(struct power *p); /* powers off when needed */
void power_listen(struct power *p, const struct power_listener *l);
void power_unlisten(struct power *p, void *u);

/* Reads and checks the configuration: the number of errors, all of them reported. power_on does it again. */
unsigned power_check(struct power *p, struct err *e);
int power_on(struct power *p, struct err *e);
int power_off(struct power *p, enum power_reason r, struct err *e);
/* ACPI power button; when the guest is not off after timeout seconds (0: no limit), switch it off if then_hard, else give up. */
int power_soft_off(struct power *p, unsigned timeout, bool then_hard, struct err *e);
int power_reset(struct power *p, struct err *e);
int power_pause(struct power *p, struct err *e);
/* Goes on with the other engine, "software" or "hardware"; the guest notices nothing. On or paused. */
int power_switch_engine(struct power *p, const char *name, struct err *e);
int power_resume(struct power *p, struct err *e);

enum power_state power_get_state(const struct power *p);
enum power_reason power_get_reason(const struct power *p);
const char *power_state_name(enum power_state s);   /* "off", "starting", "on", "paused", "stopping", "fault" */
const char *power_reason_name(enum power_reason r); /* "", "user", "guest", "signal", "timeout", "fault" */
const char *power_fault_text(const struct power *p); /* "" when there was none */
struct machine *power_machine(struct power *p);      /* NULL when off */
const struct plan *power_plan(const struct power *p); /* of the running machine; NULL when off */
const char *power_vmx_path(const struct power *p);   /* absolute */
/* The configuration as last read, overrides included. NULL before power_check. */
const struct vmx_dict *power_config(const struct power *p);
/* Changes the file (value NULL: removes the key), and the configuration that power_config gives. Takes effect at the next power on. */
int power_set_config(struct power *p, const char *key, const char *value, struct err *e);

#endif
