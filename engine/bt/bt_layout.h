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
#define HOT_B_TLB (BT_HOT + 488)
#define HOT_B_LINES (BT_HOT + 512)
#define HOT_B_WRITE_CPUS (BT_HOT + 520)
#define HOT_B_SITES (BT_HOT + 528)
#define HOT_B_CODE (BT_HOT + 536)
#define HOT_B_ME (BT_HOT + 544)
#define HOT_CUR_BLK (BT_HOT + 552)

/* struct bt_site, struct bt_tlb */
#define SITE_SHIFT 5
#define SITE_OP_AT 0
#define SITE_BLK_AT 8
#define SITE_SIZE_AT 12
#define SITE_ACC_AT 17
#define SITE_FLAGS_AT 20
#define SITE_PLAIN_NOT 24 /* flags of sites that are for C: SITE_GROUP, SITE_MASKED */
#define SITE_FLSLOT_BIT 1
#define SITE_BASE_BIT 128
#define SITE_WRITES 2 /* ACC_W */
#define TLB_HOST_AT 0x1000000
#define TLB_ADDEND_AT 0x1800000
#define TLB_CTAG_AT 0x2000000
#define TLB_CGPA_AT 0x2800000

/* What bt_enter returns. */
#define BTX_DISPATCH 1 /* s.rip is set: look up and go on */
#define BTX_FAULT 2    /* c->fault is to be delivered; s.rip is the instruction */
#define BTX_LINK 3     /* a direct exit that is not linked: exit index in r11 */
#define BTX_INDIRECT 4 /* rip in r10 */
#define BTX_RETURN 5   /* leave run(): a HLT, a shutdown */

#endif
