/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMware's memory balloon ("vmmemctl"), port 5670h: a driver in the guest hands pages over, as many as the target says. */
#ifndef LODGE_GUEST_BALLOON_H
#define LODGE_GUEST_BALLOON_H

#include "guest/backdoor.h"

extern const struct dev_class balloon_class;
struct balloon_params {
    /* As in struct backdoor_params. */
    void (*get_regs)(void *u, struct vcpu *v, struct backdoor_regs *r);
    void (*set_regs)(void *u, struct vcpu *v, const struct backdoor_regs *r);
    void *regs_u;

    uint64_t ram; /* bytes of the guest's memory: a target is less than that */
    /* The guest hands over the n pages (4 KiB) at gpa, or wants them back; their content is lost. False: it has them not (any more), or it is no
     * memory. [vcpu], chipset lock held */
    bool (*take)(void *u, gpa_t gpa, unsigned n);
    bool (*give)(void *u, gpa_t gpa, unsigned n);
    void (*reset)(void *u); /* all of it is the guest's again. [dev] */
    void *u;
};

struct balloon_stats {
    bool driver;       /* one has started, and asked within the last seconds */
    bool huge;         /* it can hand over 2 MiB at once */
    uint64_t target;   /* pages */
    uint64_t polls, locked, small /* those locked one by one */, unlocked, refused, starts; /* so far */
};
void balloon_set_target(struct dev *d, uint64_t pages); /* [any] */
void balloon_get_stats(struct dev *d, struct balloon_stats *out); /* [any] */

#endif
