/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The border between translated code and C.
 *
 * In translated code all guest registers are in the host registers of the same name, but guest r10 and r11 (in memory: s.gpr), which are the
 * translator's scratch; the guest's arithmetic flags are in the host's; RSP is the guest's, so there is no stack: translated code
 * only jumps here. GS base is the struct bt_cpu. Host DF and AC are always 0.
 */
#include "bt/bt_layout.h"

    .intel_syntax noprefix
    .text

    .macro SAVE_SOME
    mov gs:[0], rax
    lahf
    seto al
    mov gs:[HOT_HFLAGS], ax
    mov gs:[8], rcx
    mov gs:[16], rdx
    mov gs:[24], rbx
    mov gs:[48], rsi
    .endm

    .macro SAVE_OTHERS
    mov gs:[32], rsp
    mov gs:[40], rbp
    mov gs:[56], rdi
    mov gs:[64], r8
    mov gs:[72], r9
    mov gs:[HOT_R10], r10
    mov gs:[96], r12
    mov gs:[104], r13
    mov gs:[112], r14
    mov gs:[120], r15
    mov rsp, gs:[HOT_HOST_RSP]
    .endm

/* unsigned bt_enter(struct bt_cpu *, uint64_t host_ip): runs translated code until an exit; returns BTX_*. */
    .globl bt_enter
    .type bt_enter, @function
bt_enter:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    sub rsp, 8
    mov gs:[HOT_HOST_RSP], rsp
    mov gs:[HOT_RESUME_IP], rsi
    .globl bt_resume_begin
bt_resume_begin:
bt_resume:
    cmp dword ptr gs:[HOT_EXIT_REQ], 0
    jne 2f
1:
    mov rcx, gs:[8]
    mov rdx, gs:[16]
    mov rbx, gs:[24]
    mov rbp, gs:[40]
    mov rsi, gs:[48]
    mov rdi, gs:[56]
    mov r8, gs:[64]
    mov r9, gs:[72]
    mov r10, gs:[HOT_RET_R10]
    mov r11, gs:[HOT_RET_R11]
    mov r12, gs:[96]
    mov r13, gs:[104]
    mov r14, gs:[112]
    mov r15, gs:[120]
    mov rsp, gs:[32]
    mov ax, gs:[HOT_HFLAGS]
    add al, 0x7f
    sahf
    mov rax, gs:[0]
    jmp gs:[HOT_RESUME_IP]

/* The end of bt_stub_mem without C: rdx = site, rcx = the TLB from its index on. A kick from here on unlinks cur_blk. */
bt_beside:
    cmp dword ptr gs:[HOT_EXIT_REQ], 0
    jne bt_mem_c
    mov eax, [rdx + SITE_OP_AT]
    add rax, gs:[HOT_B_CODE]
    mov gs:[HOT_RESUME_IP], rax
    test byte ptr [rdx + SITE_FLAGS_AT], SITE_BASE_BIT
    jnz 4f
    and r10d, 0xfff
    mov r11, [rcx + TLB_HOST_AT]
3:
    mov ax, gs:[HOT_HFLAGS]
    test byte ptr [rdx + SITE_FLAGS_AT], SITE_FLSLOT_BIT
    jnz 5f
6:
    mov rcx, gs:[8]
    mov rdx, gs:[16]
    mov rbx, gs:[24]
    mov rsi, gs:[48]
    add al, 0x7f
    sahf
    mov rax, gs:[0]
    jmp gs:[HOT_RESUME_IP]
4:
    mov r11, [rcx + TLB_ADDEND_AT]
    jmp 3b
5:
    mov ax, gs:[HOT_FLSLOT]
    jmp 6b
    .globl bt_resume_end
bt_resume_end:
2:
    mov rdi, gs:[HOT_SELF]
    call bt_unlink_current
    jmp 1b
    .size bt_enter, . - bt_enter

    .macro SLOW name, func
    .globl \name
    .type \name, @function
\name:
    SAVE_SOME
    SAVE_OTHERS
    mov rdi, gs:[HOT_SELF]
    mov esi, r11d
    call \func
    test eax, eax
    jz bt_resume
    jmp bt_leave
    .size \name, . - \name
    .endm

/*
 * An access that the TLB has not: r10 = address, r11 = site. A write to a page that holds code, beside that code, is all that is dealt with here, as
 * slow_mem has it: programs that keep data beside code do hardly anything else.
 */
    .globl bt_stub_mem
    .type bt_stub_mem, @function
bt_stub_mem:
    SAVE_SOME
    test r11d, 0xc0000000
    jnz bt_mem_c
    mov edx, r11d
    shl rdx, SITE_SHIFT
    add rdx, gs:[HOT_B_SITES]
    test byte ptr [rdx + SITE_ACC_AT], SITE_WRITES
    jz bt_mem_c
    test byte ptr [rdx + SITE_FLAGS_AT], SITE_PLAIN_NOT
    jnz bt_mem_c
    movzx esi, word ptr [rdx + SITE_SIZE_AT]
    cmp esi, 64
    ja bt_mem_c
    mov eax, gs:[HOT_MODE]
    shr eax, 14
    and eax, 3
    mov rcx, gs:[HOT_B_TLB + rax * 8]
    mov eax, r10d
    shr eax, 12
    lea rcx, [rcx + rax * 8]
    mov rax, r10
    and rax, -4096
    add rax, [rcx + TLB_CTAG_AT]
    jnz bt_mem_c
    mov ebx, r10d
    and ebx, 0xfff
    lea esi, [rbx + rsi - 1] /* the last byte */
    cmp esi, 0xfff
    ja bt_mem_c
    shr ebx, 6
    shl esi, 2
    and esi, 0x3f00
    or ebx, esi /* its line in BH, that of the first in BL */
    mov rax, [rcx + TLB_CGPA_AT]
    shr rax, 12
    mov rsi, gs:[HOT_B_WRITE_CPUS]
    test rsi, rsi
    jz 1f
    add rsi, rax
    mov rax, gs:[HOT_B_ME]
    test [rsi], al
    jnz 2f
    lock or [rsi], al /* before the look: another vCPU that is about to translate it must wait for this one */
2:
    mov rax, [rcx + TLB_CGPA_AT]
    shr rax, 12
1:
    mov rsi, gs:[HOT_B_LINES]
    test rsi, rsi
    jz bt_mem_c
    mov rax, [rsi + rax * 8]
    test rax, rax
    jz bt_mem_c /* an ordinary page again */
    movzx esi, bl
    bt rax, rsi
    jc bt_mem_c
    movzx esi, bh
    bt rax, rsi
    jc bt_mem_c
    mov eax, [rdx + SITE_BLK_AT]
    mov gs:[HOT_CUR_BLK], eax
    jmp bt_beside
bt_mem_c:
    SAVE_OTHERS
    mov rdi, gs:[HOT_SELF]
    mov esi, r11d
    call bt_slow_mem
    test eax, eax
    jz bt_resume
    jmp bt_leave
    .size bt_stub_mem, . - bt_stub_mem

    SLOW bt_stub_post, bt_slow_post
    SLOW bt_stub_callout, bt_slow_callout
    SLOW bt_stub_link, bt_slow_link
    SLOW bt_stub_indirect, bt_slow_indirect

/* A host signal handler found a fault in translated code: it has saved the guest registers and set c->fault. */
    .globl bt_stub_fault
bt_stub_fault:
    mov rsp, gs:[HOT_HOST_RSP]
    mov eax, BTX_FAULT
bt_leave:
    add rsp, 8
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

    .section .text
/* int bt_xrstor(const void *area, uint32_t lo, uint32_t hi): XRSTOR64; -1 when the image is malformed (the handler jumps to bt_xrstor_fail). */
    .globl bt_xrstor
    .type bt_xrstor, @function
bt_xrstor:
    mov eax, esi
    .globl bt_xrstor_insn
bt_xrstor_insn:
    xrstor64 [rdi]
    xor eax, eax
    ret
    .globl bt_xrstor_fail
bt_xrstor_fail:
    mov eax, -1
    ret
    .size bt_xrstor, . - bt_xrstor

    .section .note.GNU-stack, "", @progbits
