/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expansion ROM of a network adapter (PCI Firmware Specification 3.0, chapter 5). Firmware runs an image only if the
 * vendor and device in its PCI data structure are the function's. One image has the driver of a whole family of chips
 * but names one of them, so the copy behind the BAR gets the ids of the function, and a checksum that is right again.
 */
#include "net/rom.h"

#include <string.h>

#include "base/bytes.h"
#include "base/osmem.h"

enum { ROM_MAX = 1 << 20, ROM_PCIR = 0x18, PCIR_VENDOR = 4, PCIR_DEVICE = 6, PCIR_SIZE = 24 };

static void set_ids(uint8_t *rom, size_t size, const struct pci_dev *p)
{
    if (size < 0x1a || ld_le16(rom) != 0xaa55)
        return;
    size_t len = rom[2] * (size_t)512, at = ld_le16(rom + ROM_PCIR);
    if (at + PCIR_SIZE > size || len > size || memcmp(rom + at, "PCIR", 4))
        return;
    uint8_t sum = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint8_t *b = rom + at + PCIR_VENDOR + i;
        sum += (uint8_t)(*b - p->cfg[i]); /* config space begins with the same two words */
        *b = p->cfg[i];
    }
    /* The sum of all bytes must stay what it was, which is 0; byte 6 belongs to the image's maker. */
    if (len > 6)
        rom[6] += sum;
}

int nic_rom_init(struct nic_rom *r, struct pci_dev *p, const void *image, size_t size, struct err *e)
{
    size_t room = 4096;
    if (!image || !size)
        return 0;
    if (size > ROM_MAX)
        return err_set(e, ERR_CONFIG, 0, "The boot ROM of %s has %zu bytes; at most 1 MiB is possible.", p->dev.id, size);
    while (room < size)
        room *= 2;
    r->blk = (struct memblk){.host = osmem_alloc(room, e), .size = room, .fd = -1};
    if (!r->blk.host)
        return -1;
    memcpy(r->blk.host, image, size);
    set_ids(r->blk.host, size, p);
    r->mr = (struct memregion){.owner = p->dev.id, .size = room, .kind = MR_ROM, .blk = &r->blk};
    pci_bar_mem(p, 6, &r->mr, false, false);
    return 0;
}

void nic_rom_fini(struct nic_rom *r)
{
    osmem_free(r->blk.host, r->blk.size);
    r->blk.host = NULL;
}
