/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The binary translator as a CPU back end: x86 on x86, in user space, no privilege needed. */
#ifndef LODGE_BT_BT_H
#define LODGE_BT_BT_H

#include "core/vcpu.h"

extern const struct cpu_backend bt_backend; /* 1 to 8 vCPUs */

/* Counters for the statistics page; sums over the vCPUs. [any] */
struct bt_stats {
    uint64_t blocks, code_bytes, code_limit, flushes, translations, tlb_fills, slow_accesses, callouts, interrupts, exceptions, smc_drops, revivals, hot_blocks;
};
void bt_get_stats(struct vm *vm, struct bt_stats *out);

/*
 * Fault finding, for vm_params.engine_stress: rare paths are taken all the time. TLB: a software TLB of three entries. CACHE: a code cache of 320 KiB.
 * FLUSH: TLB, translations and context numbers are dropped at random. KICK: signals and looks for interrupts at random. NOGROUP: every access has
 * its own check. NOCHAIN: every block returns to the dispatcher. WATCH: each page counts as holding code (one in four beside other modes), so that
 * each write takes the slow path. SINGLE: blocks of one instruction, at random.
 */
enum {
    BT_STRESS_TLB = 1,
    BT_STRESS_CACHE = 2,
    BT_STRESS_FLUSH = 4,
    BT_STRESS_KICK = 8,
    BT_STRESS_NOGROUP = 16,
    BT_STRESS_NOCHAIN = 32,
    BT_STRESS_WATCH = 64,
    BT_STRESS_SINGLE = 128,
    BT_STRESS_ALL = 255
};
/* Words as in the key monitor.bt.stress, and a number: the seed. */
int bt_stress_parse(const char *text, uint32_t *bits, uint32_t *seed, struct err *e);

#endif
