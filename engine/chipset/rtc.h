/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MC146818 real-time clock with the PIIX4's 2 x 128 bytes of CMOS RAM (ports 70h-73h). */
#ifndef LODGE_CHIPSET_RTC_H
#define LODGE_CHIPSET_RTC_H

#include "core/device.h"
#include "core/irq.h"

#define RTC_NVRAM_SIZE 256 /* 128 bytes behind ports 70h/71h, then 128 behind 72h/73h */

extern const struct dev_class rtc_class;
struct rtc_params {
    struct irq_line irq8;  /* pin 8 of hpet_legacy_sink, or of the ISA sink */
    struct irq_line alarm; /* pulsed at each alarm (ACPI RTC_STS); sink may be NULL */
    int64_t wall_diff;     /* ns: what the RTC shows minus clock_wall(); a time zone for guests that want local time */
    /* RTC_NVRAM_SIZE bytes that outlive the device, or NULL: read at init (the clock's own bytes are ignored), written through on each
     * write of the guest; changed() tells that it happened. [dev] */
    uint8_t *nvram;
    void (*nvram_changed)(void *u);
    void *nvram_u;
    /* Bytes that the machine sets over the NVRAM's at init and at each cold reset: memory size (15h-18h, 30h-31h, 34h-35h, 5Bh-5Dh),
     * floppies (10h), equipment (14h), boot order (38h, 3Dh), CPUs - 1 (5Fh). Copied. */
    const struct rtc_preset {
        uint8_t index, value;
    } *preset;
    unsigned n_preset;
};

#endif
