/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk that boots into a real-mode program which does what it is told at COM1, so that a test can work a display adapter (or any other device)
 * as a program of DOS would: by the video BIOS, by ports, by its memory. Numbers are little endian. Commands:
 *
 *   V ax bx cx dx es bp   INT 10h                            answers ax bx cx dx
 *   O port byte           OUT                                I port           answers a byte
 *   W port word           OUT of a word (index and value)
 *   M seg off n bytes     writes to memory, byte by byte     R seg off n      answers n bytes
 *   F seg off n byte      writes n times the same            X seg off n      XOR of FFh, read and written back, n times
 *   C seg from to n       copies byte by byte                ?                answers !
 *
 *   as --32 vgaprobe.S -o v.o; ld -m elf_i386 -Ttext 0x7c00 --oformat binary v.o
 */
    .code16
    .globl _start
_start:
    ljmp $0, $1f
1:  xor %ax, %ax
    mov %ax, %ds
    mov %ax, %ss
    mov $0x7000, %sp
    cld
    sti
    mov $0x3fb, %dx         /* 115200 8N1, FIFO */
    mov $0x83, %al
    out %al, %dx
    mov $0x3f8, %dx
    mov $1, %ax
    out %al, %dx
    inc %dx
    xor %al, %al
    out %al, %dx
    mov $0x3fb, %dx
    mov $3, %al
    out %al, %dx
    dec %dx
    mov $7, %al
    out %al, %dx
    mov $hello, %si
1:  lodsb
    test %al, %al
    jz main
    call putc
    jmp 1b
main:
    call getc
    mov $table, %si
1:  cmpb $0, (%si)
    je main
    cmp (%si), %al
    je 2f
    add $3, %si
    jmp 1b
2:  push $main
    jmp *1(%si)

    .include "com1.s"
getc:
    push %dx
    mov $0x3fd, %dx
1:  in %dx, %al
    test $1, %al
    jz 1b
    mov $0x3f8, %dx
    in %dx, %al
    pop %dx
    ret
getw:
    call getc
    mov %al, %ah
    call getc
    xchg %al, %ah
    ret
putw:
    call putc
    mov %ah, %al
    jmp putc
where:                      /* ES:DI, CX */
    call getw
    mov %ax, %es
    call getw
    mov %ax, %di
    call getw
    mov %ax, %cx
    ret

video:
    mov $regs, %di
    mov $6, %cx
1:  call getw
    mov %ax, (%di)
    add $2, %di
    loop 1b
    mov (regs), %ax
    mov (regs + 2), %bx
    mov (regs + 4), %cx
    mov (regs + 6), %dx
    mov (regs + 8), %es
    mov (regs + 10), %bp
    int $0x10
    push %dx
    push %cx
    push %bx
    call putw
    pop %ax
    call putw
    pop %ax
    call putw
    pop %ax
    jmp putw
outb:
    call getw
    mov %ax, %dx
    call getc
    out %al, %dx
    ret
outw:
    call getw
    mov %ax, %dx
    call getw
    out %ax, %dx
    ret
inb:
    call getw
    mov %ax, %dx
    in %dx, %al
    jmp putc
write:
    call where
1:  call getc
    stosb
    loop 1b
    ret
read:
    call where
1:  mov %es:(%di), %al
    inc %di
    call putc
    loop 1b
    ret
fill:
    call where
    call getc
    rep stosb
    ret
invert:
    call where
1:  xorb $0xff, %es:(%di)
    inc %di
    loop 1b
    ret
copy:
    call getw
    mov %ax, %es
    call getw
    mov %ax, %si
    call getw
    mov %ax, %di
    call getw
    mov %ax, %cx
    push %ds
    mov %es, %ax
    mov %ax, %ds
    rep movsb
    pop %ds
    ret
there:
    mov $'!', %al
    jmp putc

    .macro CMD letter, routine
    .byte \letter
    .word \routine
    .endm
table:
    CMD 'V', video
    CMD 'O', outb
    CMD 'W', outw
    CMD 'I', inb
    CMD 'M', write
    CMD 'R', read
    CMD 'F', fill
    CMD 'X', invert
    CMD 'C', copy
    CMD '?', there
    .byte 0
hello:
    .asciz "VGAPROBE\r\n"
    .org 510
    .word 0xaa55
regs:
