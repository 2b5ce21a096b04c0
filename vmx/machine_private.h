/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a machine consists of, for the files machine*.c. */
#ifndef LODGE_VMX_MACHINE_PRIVATE_H
#define LODGE_VMX_MACHINE_PRIVATE_H

#include "chipset/rtc.h"
#include "core/memmap.h"
#include "machine.h"
#include "machine_engine.h"

struct blk;
struct chardev;
struct cpu_backend;
struct dev;
struct memory;
struct screen;

struct drive {
    struct blk *blk;
    int dirfd; /* folder of the image, for further extents */
    bool throw_away;
    char *path;
};

struct machine {
    const struct plan *plan;
    struct machine_hooks hooks;
    const struct cpu_backend *be;
    struct engine_choice engine;
    struct vm *vm;
    struct memblk ram, rom;
    bool have_ram;
    struct dev *pm, *ide, *mouse, *svga, *uart[4], *lapic;
    struct chardev *chr[4];
    char *pty_link[4];
    struct display *display;
    struct input *input;
    struct screen *screen;
    struct memory *memory;
    struct drive drive[2][2];
    uint8_t nvram[RTC_NVRAM_SIZE];
    struct machine_net *net;
};

/* machine_drives.c */
int machine_open_drives(struct machine *m, struct err *e);
void machine_close_drives(struct machine *m);
uint64_t machine_disk_reads(void *m); /* bytes that the guest has read from its disks. [any] */

#endif
