/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Intel 8042 keyboard and mouse controller at ports 60h and 64h. */
#ifndef LODGE_CHIPSET_KBC_H
#define LODGE_CHIPSET_KBC_H

#include "core/device.h"
#include "core/irq.h"
#include "input/ps2.h"

struct kbc_params {
    struct irq_line irq1, irq12; /* ISA interrupts */
    struct irq_line a20;         /* i440_a20_sink, src A20_SRC_KBC */
    struct ps2_link *kbd, *aux;  /* ps2kbd_link(), ps2mouse_link(); NULL: nothing plugged in */
};
extern const struct dev_class kbc_class;

#endif
