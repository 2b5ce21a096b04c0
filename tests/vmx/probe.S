/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start of the probe (probe.c): the boot sector of a disk, or the boot image of a CD (then all of it is in memory already). It asks the firmware
 * for what only the firmware tells, goes to 32-bit protected mode with flat segments and without interrupts, and calls probe().
 */
    .set SECTORS, 31
    .code16
    .globl _start, fault_at, triple_fault
_start:
    ljmp $0, $1f
1:  cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7000, %sp
    push %dx
    cmpl $0x45425250, magic
    je 2f
    mov $packet, %si
    mov $0x42, %ah
    int $0x13
2:  pop %dx
    mov %dl, boot_drive
    mov $0x5008, %di        /* the memory map of INT 15h at 5008h, its number of entries at 5000h */
    xor %ebx, %ebx
    movl $0, 0x5000
3:  mov $0xe820, %eax
    mov $24, %ecx
    mov $0x534d4150, %edx
    int $0x15
    jc 4f
    incl 0x5000
    add $24, %di
    test %ebx, %ebx
    jnz 3b
4:  cli
    lgdtl gdtr
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $8, $flat

packet:
    .byte 16, 0
    .word SECTORS, 0x7e00, 0
    .quad 1
    .align 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
gdtr:
    .word 23
    .long gdt
    .org 510
    .word 0xaa55
magic:
    .long 0x45425250
boot_drive:
    .long 0

    .code32
flat:
    mov $16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %fs
    mov %ax, %gs
    mov %ax, %ss
    mov $0x70000, %esp
    /* 32 gates for the exceptions, each entry 10 bytes long. */
    mov $idt, %edi
    mov $entries, %eax
1:  mov %ax, (%edi)
    movw $8, 2(%edi)
    movw $0x8e00, 4(%edi)
    movw $0, 6(%edi)
    add $8, %edi
    add $10, %eax
    cmp $entries_end, %eax
    jb 1b
    lidt idtr
    pushl boot_drive
    call probe

entries:
    .set n, 0
    .rept 32
1:  push $n
    .byte 0xe9              /* always the long form of JMP */
    .long fault - 2f
2:  .org 1b + 10, 0x90
    .set n, n + 1
    .endr
entries_end:
/* An exception in what a command tried: to the place that the command prepared, with the vector in EAX. */
fault:
    mov (%esp), %eax
    mov fault_at + 4, %esp
    jmp *fault_at

triple_fault:
    lidt nothing
    int3

    .section .note.GNU-stack, "", @progbits
    .data
    .align 8
idt:
    .fill 32, 8, 0
idtr:
    .word 255
    .long idt
nothing:
    .word 0
    .long 0
fault_at:
    .long 0, 0
