/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Intel 82371AB (PIIX4) IDE function with ATA disks and ATAPI CD-ROM drives on its two channels. */
#ifndef LODGE_STORAGE_IDE_H
#define LODGE_STORAGE_IDE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/device.h"
#include "core/irq.h"

struct blk;
struct pci_bus;
enum ide_kind { IDE_NONE, IDE_DISK, IDE_CDROM };

struct ide_drive_params {
    enum ide_kind kind;
    struct blk *blk; /* stays the caller's, who closes it after the device or after ide_cd_insert gave it back; CD: NULL
                        = no medium */
    const char *model;  /* NULL: VMware's */
    const char *serial; /* NULL: VMware's, by position */
};

struct ide_params {
    struct pci_bus *bus;
    uint8_t devfn;
    struct irq_line irq[2];              /* ISA interrupts 14 and 15 */
    struct ide_drive_params drive[2][2]; /* [channel][unit] */
    /* The guest opened (or closed) the tray. [dev]; may be NULL */
    void (*tray)(void *u, unsigned channel, unsigned unit, bool open);
    void *tray_u;
};

extern const struct dev_class ide_class;

/*
 * Puts another medium into a CD-ROM drive: blk NULL = leave it empty. *old gets the medium that was in it (may be
 * NULL); the caller closes it. When the guest has locked the tray and force is not set, the guest is told that the user
 * wants it and the call fails (ERR_BUSY). [dev]
 */
int ide_cd_insert(struct dev *ide, unsigned channel, unsigned unit, struct blk *blk, bool force, struct blk **old,
                  struct err *e);

struct ide_drive_status {
    enum ide_kind kind;
    bool medium, tray_open, locked;
    uint64_t reads, writes; /* commands that moved data */
};
int ide_drive_get_status(struct dev *ide, unsigned channel, unsigned unit, struct ide_drive_status *out); /* [dev] */

#endif
