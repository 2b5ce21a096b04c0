/* SPDX-License-Identifier: GPL-2.0-or-later */
/* uuid.bios and uuid.location: who the machine is, and whether its file was moved or copied. */
#ifndef LODGE_VMX_IDENTITY_H
#define LODGE_VMX_IDENTITY_H

#include <stdint.h>

#include "config/vmx_dict.h"

/* Gives uuid.bios, and changes d so that it can be written back: a new uuid.bios when there is none or uuid.action asks for one, uuid.location
 * for the file's place vmx_path (absolute). Values set by an override are used and never changed. */
int identity_settle(struct vmx_dict *d, const char *vmx_path, uint8_t uuid[16], struct err *e);

#endif
