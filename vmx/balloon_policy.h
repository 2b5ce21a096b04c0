/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What size the balloon shall have, second by second. Arithmetic only: what it goes by comes in, the target goes out. */
#ifndef LODGE_VMX_BALLOON_POLICY_H
#define LODGE_VMX_BALLOON_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum { BP_MB_PAGES = 256 };

/* From the configuration; pages. */
struct balloon_limits {
    uint64_t all;    /* the guest's memory */
    uint64_t least;  /* it keeps this much (sched.mem.min) */
    uint64_t most;   /* sched.mem.maxmemctl; UINT64_MAX: not set */
    uint64_t max;    /* sched.mem.max: it may use this much; UINT64_MAX: no limit */
    bool pin;        /* locked memory: no balloon */
};

struct balloon_now {
    int64_t now;          /* ns */
    bool driver;          /* the guest runs one */
    bool huge;            /* which can hand over 2 MiB at once */
    bool trimming;        /* MemTrimRate is not 0 */
    uint64_t have, small; /* pages that the balloon has; that have ever come one by one */
    int64_t wanted;       /* MB that the user has set; -1: automatic */
    int64_t short_mb;     /* of the host: give so much more in the next second; 0: stay; -1: there is enough */
    uint64_t reads;       /* bytes that the guest has read from its disks so far */
    uint64_t cpu_ns;      /* processor time of the machine so far */
    uint64_t rss;         /* pages of it in the host's memory */
    uint64_t freed;       /* pages that the search for zeros has given back so far */
    uint64_t unused;      /* pages of the guest that are neither there nor in the balloon: it certainly has them to spare */
    uint64_t rate;        /* MemTrimRate, pages a second */
};

struct balloon_policy {
    struct balloon_limits l;
    /* By shortage. */
    uint64_t asked, had, reads, target;
    unsigned stalled, busy_reads;
    int64_t alone_until; /* 0: never */
    bool was_short;      /* the guest was just found to be short itself */
    /* A breath. */
    uint64_t breath, step, pool, from_rss, from_freed, from_small, cpu_ns, tokens;
    uint64_t base, cap;  /* without a breath; the most */
    uint64_t alarm;      /* with less unused than this the guest has begun to use much */
    bool active;         /* since the last one */
    bool chance;         /* the first step was in vain, the second is on its way */
    bool startled;       /* it had to be ended because of the alarm */
    uint64_t exhaled_rss;
    int64_t exhaled, last, step_at;
    unsigned calm, vain;
    uint64_t breaths, harvested; /* so far */
};

/* The target, in pages. Once a second. */
uint64_t balloon_policy_step(struct balloon_policy *b, const struct balloon_now *in);
/* Between these, while it says so (have: the balloon's pages): many times a second, with have, small, rss, freed and unused as they are now. The target;
 * and *pace: so many pages a second of what it has for certain the guest may use; UINT64_MAX: as it likes. */
bool balloon_policy_watched(const struct balloon_policy *b, uint64_t have, int64_t now);
uint64_t balloon_policy_watch(struct balloon_policy *b, const struct balloon_now *in, uint64_t *pace);
/* The most that the balloon may ever have. */
uint64_t balloon_policy_cap(const struct balloon_policy *b);

#endif
