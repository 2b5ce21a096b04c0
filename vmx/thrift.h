/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How one machine spends the host's memory: trimming, sharing, the balloon, accounting, and what happens when the host runs out. The mechanisms are
 * in hostdriver/mem; here is what is done when. One thread ("memory").
 */
#ifndef LODGE_VMX_THRIFT_H
#define LODGE_VMX_THRIFT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/memmap.h"

struct memory;
struct plan;
struct vm;

struct memory_params {
    struct vm *vm;
    struct memblk *ram;
    const struct plan *plan;
    /* Bytes that the guest has read from its disks so far: a guest that is short of memory reads again what it has dropped. [any] */
    uint64_t (*disk_reads)(void *u);
    void *disk_u;
    void (*thread_started)(void *u, const char *kind);
    /* The host has so little left that its kernel may kill this process soon: main pauses the machine. text is a sentence. [any] */
    void (*low)(void *u, const char *text);
    void *u;
};

/* Opens what it reads in /proc. [main] */
struct memory *memory_new(const struct memory_params *p, struct err *e);
int memory_start(struct memory *m, struct err *e); /* its thread */
void memory_free(struct memory *m);                /* ends the thread; NULL is allowed. Before vm_destroy */

/* Onto the list of the user's machines that are on (hostmem.h), in folder dir; refused when there is not enough memory for all. [main] */
int memory_join(struct memory *m, const char *dir, struct err *e);

/* What the user should know about the memory of all machines, though this one is on; "": nothing. [main] */
const char *memory_notice(const struct memory *m);

/* The balloon device: memory_new comes before it, memory_start after. */
struct dev;
bool memory_take(void *m, gpa_t gpa, unsigned n); /* struct balloon_params. [vcpu], chipset lock held */
bool memory_give(void *m, gpa_t gpa, unsigned n);
void memory_all_given(void *m);
void memory_balloon(struct memory *m, struct dev *balloon);
/* What the balloon shall have, in MB; -1: as the host's shortage asks for it. Fails with a sentence when there is no driver. [main] */
int memory_set_balloon(struct memory *m, int64_t mb, struct err *e);

/* The value of a key has changed while the machine runs. True: it acts at once. [main] */
bool memory_set_key(struct memory *m, const char *key, const char *value);
void memory_statistics(struct memory *m, void (*fn)(void *u, const char *name, uint64_t value), void *u); /* [main] */

#endif
