/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The binary translator as a CPU back end: x86 on x86, in user space, no privilege needed. */
#ifndef LODGE_BT_BT_H
#define LODGE_BT_BT_H

#include "core/vcpu.h"

extern const struct cpu_backend bt_backend; /* 1 to 8 vCPUs */

/* Counters for the statistics page; sums over the vCPUs. [any] */
struct bt_stats {
    uint64_t blocks, code_bytes, code_limit, flushes, translations, tlb_fills, slow_accesses, callouts, interrupts, exceptions, smc_drops;
};
void bt_get_stats(struct vm *vm, struct bt_stats *out);

#endif
