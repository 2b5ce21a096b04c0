/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Offsets that the assembly stubs and translated code share with struct bt_cpu; bt_main.c asserts them. */
#ifndef LODGE_BT_LAYOUT_H
#define LODGE_BT_LAYOUT_H

#define BT_HOT 8192
#define HOT_SELF (BT_HOT + 0)
#define HOT_HOST_RSP (BT_HOT + 8)
#define HOT_RESUME_IP (BT_HOT + 16)
#define HOT_RET_R10 (BT_HOT + 24)
#define HOT_RET_R11 (BT_HOT + 32)
#define HOT_HFLAGS (BT_HOT + 40)
#define HOT_DF (BT_HOT + 42)
#define HOT_IF (BT_HOT + 43)
#define HOT_T0 (BT_HOT + 48)
#define HOT_T1 (BT_HOT + 56)
#define HOT_T2 (BT_HOT + 64)
#define HOT_T3 (BT_HOT + 72)
#define HOT_R10 (BT_HOT + 80)
#define HOT_CTX (BT_HOT + 88)
#define HOT_GCTX (BT_HOT + 92)
#define HOT_EXIT_REQ (BT_HOT + 96)
#define HOT_MODE (BT_HOT + 100)
#define HOT_HIMASK (BT_HOT + 104)
#define HOT_FLSLOT (BT_HOT + 112)
#define HOT_RAX_SAVE (BT_HOT + 120)
#define HOT_LIM_R (BT_HOT + 128)
#define HOT_LIM_W (BT_HOT + 176)
#define HOT_TSC_OFF (BT_HOT + 224)
#define HOT_STK (BT_HOT + 320)
#define HOT_HIMASK8 (BT_HOT + 464)
#define HOT_HIMASK4 (BT_HOT + 472)
#define HOT_FL_BASE (BT_HOT + 480)

/* What bt_enter returns. */
#define BTX_DISPATCH 1 /* s.rip is set: look up and go on */
#define BTX_FAULT 2    /* c->fault is to be delivered; s.rip is the instruction */
#define BTX_LINK 3     /* a direct exit that is not linked: exit index in r11 */
#define BTX_INDIRECT 4 /* rip in r10 */
#define BTX_RETURN 5   /* leave run(): a HLT, a shutdown */

#endif
