/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Included first by every file of engine/cpu and engine/bt. The compiler may turn a structure copy or a loop into a
 * call of memcpy, memset, memmove or memcmp; the C library's versions use vector registers, which hold guest state
 * here. The assembler renames such calls to ours (cpumem.c). The directives must come before the first reference in the
 * file, hence "first".
 */
#ifndef LODGE_CPU_NOLIBC_H
#define LODGE_CPU_NOLIBC_H

__asm__(".set memcpy, cpu_memcpy\n\t"
        ".set memmove, cpu_memmove\n\t"
        ".set memset, cpu_memset\n\t"
        ".set memcmp, cpu_memcmp\n\t");

#endif
