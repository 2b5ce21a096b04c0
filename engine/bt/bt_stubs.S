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

    .macro SAVE_GUEST
    mov gs:[0], rax
    lahf
    seto al
    mov gs:[HOT_HFLAGS], ax
    mov gs:[8], rcx
    mov gs:[16], rdx
    mov gs:[24], rbx
    mov gs:[32], rsp
    mov gs:[40], rbp
    mov gs:[48], rsi
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
    SAVE_GUEST
    mov rdi, gs:[HOT_SELF]
    mov esi, r11d
    call \func
    test eax, eax
    jz bt_resume
    jmp bt_leave
    .size \name, . - \name
    .endm

    SLOW bt_stub_mem, bt_slow_mem
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
