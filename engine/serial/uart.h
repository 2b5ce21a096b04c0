/* SPDX-License-Identifier: GPL-2.0-or-later */
/* National 16550A UART. */
#ifndef LODGE_SERIAL_UART_H
#define LODGE_SERIAL_UART_H

#include "core/device.h"
#include "core/irq.h"
#include "serial/char.h"

struct uart_params {
    uint16_t base;       /* 3F8h, 2F8h, 3E8h, 2E8h: 8 ports */
    struct irq_line irq; /* ISA interrupt 4 or 3 */
    struct chardev *chr; /* NULL: not connected. The UART does not own it, and calls close never */
};
extern const struct dev_class uart_class;
/* Changes what is connected (NULL: nothing). [dev] */
void uart_connect(struct dev *d, struct chardev *c);

#endif
