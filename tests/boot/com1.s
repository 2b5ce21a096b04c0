/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For programs without an operating system, 16-bit code: characters to the first serial port. */

/* AL to COM1. */
putc:
    push %dx
    push %ax
    mov $0x3fd, %dx
1:  in %dx, %al
    test $0x20, %al
    jz 1b
    pop %ax
    mov $0x3f8, %dx
    out %al, %dx
    pop %dx
    ret
