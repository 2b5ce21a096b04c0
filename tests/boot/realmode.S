/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk that boots into a real-mode program: the ways in which software of the 80286's time leaves protected mode (the processor is reset, the
 * byte 0Fh of CMOS tells the firmware to jump through 40:67), the A20 gate, and x87 errors through IRQ13. It reports at COM1.
 *
 *   as --32 realmode.S -o r.o; ld -m elf_i386 -Ttext 0x7c00 --oformat binary r.o
 */
    .code16
    .globl _start
    .set SECTORS, 8
    .set MARK, 0x7000       /* memory that must keep its contents */
_start:
    ljmp $0, $1f
1:  xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7000, %sp
    mov $0x0200 + SECTORS, %ax
    mov $0x7e00, %bx
    mov $2, %cx
    mov $0, %dh
    int $0x13
    jmp main

    .include "com1.s"
/* The text at SI. */
puts:
    lodsb
    test %al, %al
    jz 1f
    call putc
    jmp puts
1:  ret
hex:                        /* AX */
    mov $4, %cx
1:  rol $4, %ax
    push %ax
    and $15, %al
    cmp $10, %al
    sbb $0x69, %al
    das
    call putc
    pop %ax
    loop 1b
    ret
    .org 510
    .word 0xaa55

gdt:
    .quad 0
    .quad 0x00009b000000ffff
    .quad 0x000093000000ffff
gdtr:
    .word 23
    .long gdt
nothing:
    .word 0
    .long 0

cmos_write:                 /* AH = index, AL = value */
    xchg %ah, %al
    out %al, $0x70
    xchg %ah, %al
    out %al, $0x71
    ret
kbc_wait:
    in $0x64, %al
    test $2, %al
    jnz kbc_wait
    ret

    /* ---- resets ---- */
    .macro WAY name, text
    mov $\name, %bx
    mov $txt\@, %si
    call way
    .subsection 1
txt\@: .asciz "\text"
    .previous
    .endm

/* Goes into protected mode, and back by the code at BX. */
way:
    mov %si, (textp)
    mov %sp, (kept_sp)
    movl $0x5aa55aa5, (MARK)
    in $0x21, %al
    mov %al, (mask)
    mov $0x0f0a, %ax        /* jump through 40:67, without an EOI */
    call cmos_write
    movw $1f, 0x467
    movw $0, 0x469
    cli
    lgdt (gdtr)
    smsw %ax
    or $1, %ax
    lmsw %ax
    ljmp $8, $2f
2:  mov $16, %ax
    mov %ax, %ds
    mov %ax, %ss
    jmp *%bx
1:  xor %ax, %ax            /* the firmware comes here */
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov (kept_sp), %sp
    mov (textp), %si
    call puts
    smsw %ax
    test $1, %ax
    jnz bad
    cmpl $0x5aa55aa5, (MARK)
    jne bad
    in $0x21, %al
    cmp (mask), %al
    jne bad
    mov $ok, %si
    jmp puts
bad:
    mov $failed, %si
    jmp puts

by_kbc:
    call kbc_wait
    mov $0xfe, %al
    out %al, $0x64
1:  hlt
    jmp 1b
by_p2:
    call kbc_wait
    mov $0xd1, %al
    out %al, $0x64
    call kbc_wait
    mov $0xde, %al
    out %al, $0x60
1:  hlt
    jmp 1b
by_port92:
    in $0x92, %al
    and $0xfe, %al
    out %al, $0x92
    or $1, %al
    out %al, $0x92
1:  hlt
    jmp 1b
by_cf9:
    mov $0xcf9, %dx
    mov $0, %al
    out %al, %dx
    mov $4, %al
    out %al, %dx
1:  hlt
    jmp 1b
by_fault:
    lidt (nothing)
    int3
1:  hlt
    jmp 1b

    /* ---- address line 20 ---- */
/* "wraps" or "open", by what FFFF:0510 shows of 0000:0500. */
a20_state:
    push %es
    mov $0xffff, %ax
    mov %ax, %es
    movl $0x12345678, 0x500
    movl $0x12345678, %es:0x510
    movl $0x9abcdef0, 0x500
    mov $open, %si
    mov %es:0x510, %eax
    cmp $0x9abcdef0, %eax
    jne 1f
    mov $wraps, %si
1:  pop %es
    jmp puts
a20_off:
    in $0x92, %al
    and $0xfc, %al
    out %al, $0x92
    call kbc_wait
    mov $0xd1, %al
    out %al, $0x64
    call kbc_wait
    mov $0xdd, %al
    out %al, $0x60
    jmp kbc_wait

    /* ---- x87 ---- */
irq13:
    push %ax
    incw (count)
    mov $0, %al
    out %al, $0xf0
    fstcw (cw)              /* waits: passes thanks to IGNNE# */
    fnclex
    mov $0x20, %al
    out %al, $0xa0
    out %al, $0x20
    pop %ax
    iret

/* Invalid opcode, device not available: the vector goes to COM1, and on after the instruction. */
invalid:
    push %ax
    mov $'6', %al
    jmp 1f
no_device:
    push %ax
    mov $'7', %al
1:  call putc
    push %bp
    mov %sp, %bp
    mov (length), %ax
    add %ax, 4(%bp)
    pop %bp
    pop %ax
    iret

    .macro FAULTS code:vararg
    movw $2f - 1f, (length)
1:  \code
2:
    .endm

main:
    mov $0x70, %al          /* has CMOS 70h our mark? Then this is the hard reset. */
    out %al, $0x70
    in $0x71, %al
    cmp $0xa5, %al
    je after
    mov $hello, %si
    call puts
    WAY by_kbc, "8042 FEh"
    WAY by_p2, "8042 output port"
    WAY by_port92, "port 92h"
    WAY by_cf9, "CF9h 4"
    WAY by_fault, "triple fault"

    mov $a20_text, %si
    call puts
    mov $0x2401, %ax
    int $0x15
    call a20_state
    call a20_off
    call a20_state
    mov $0x2401, %ax        /* by the firmware again */
    int $0x15
    call a20_state
    mov $0x2400, %ax
    int $0x15
    call a20_state
    mov $0x88, %ah          /* a firmware call that opens it meanwhile leaves it as it was */
    int $0x15
    call a20_state
    WAY by_port92, "\r\nA20 closed, port 92h"
    mov $0x2401, %ax
    int $0x15

    mov $fpu_text, %si
    call puts
    cli
    movw $irq13, 0x75 * 4
    movw $0, 0x75 * 4 + 2
    in $0xa1, %al
    and $0xdf, %al
    out %al, $0xa1
    in $0x21, %al
    and $0xfb, %al
    out %al, $0x21
    mov %cr0, %eax
    and $~0x2e, %eax        /* no NE, EM, TS, MP */
    mov %eax, %cr0
    sti
    fninit
    movw $0x37b, (cw)       /* division by zero is reported */
    fldcw (cw)
    fld1
    fldz
    fdivrp
    mov (count), %ax        /* not yet: the next one that waits reports it */
    call hex
    fwait
    mov (count), %ax
    call hex
    fnstsw %ax
    call hex
    fld1
    fldz
    fdivrp
    fld1
    mov (count), %ax
    call hex

    /* CR0.EM and CR0.TS: SDM vol. 3, 2.5 */
    mov $em_text, %si
    call puts
    fninit
    movw $invalid, 6 * 4
    movw $0, 6 * 4 + 2
    movw $no_device, 7 * 4
    movw $0, 7 * 4 + 2
    mov %cr0, %eax
    or $4, %al
    mov %eax, %cr0
    FAULTS fnop
    FAULTS pxor %mm0, %mm0
    FAULTS emms
    FAULTS xorps %xmm0, %xmm0
    FAULTS fwait            /* runs */
    mov $ts_text, %si
    call puts
    mov %cr0, %eax
    xor $12, %al
    mov %eax, %cr0
    FAULTS fnop
    FAULTS pxor %mm0, %mm0
    FAULTS fwait            /* runs: no MP */
    mov %cr0, %eax
    or $2, %al
    mov %eax, %cr0
    FAULTS fwait
    clts

    mov $0x70a5, %ax
    call cmos_write
    mov $hard, %si
    call puts
    mov $0x0f00, %ax
    call cmos_write
    mov $0xcf9, %dx
    mov $2, %al
    out %al, %dx
    mov $6, %al
    out %al, %dx
1:  hlt
    jmp 1b
after:
    mov $0x7000, %ax
    call cmos_write
    mov $done, %si
    call puts
1:  hlt
    jmp 1b

    .subsection 1
hello: .asciz "\r\nREALMODE\r\n"
ok: .asciz ": kept\r\n"
failed: .asciz ": LOST\r\n"
a20_text: .asciz "A20:"
open: .asciz " open"
wraps: .asciz " wraps"
fpu_text: .asciz "FPU: "
em_text: .asciz "\r\nEM: "
ts_text: .asciz " TS: "
hard: .asciz "\r\nHARD RESET\r\n"
done: .asciz "\r\nBOOTED AGAIN\r\n"
textp: .word 0
kept_sp: .word 0
count: .word 0
cw: .word 0
length: .word 0
mask: .byte 0
