/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file that keeps the CMOS memory between runs. */
#ifndef LODGE_VMX_NVRAM_H
#define LODGE_VMX_NVRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { NVRAM_BYTES = 256 };
/* Reads path. A missing file gives false. A file of another product is left alone: *path (malloc'd) is replaced by a name of our own beside it,
 * which is then read. A device or the like keeps nothing: *path is NULL then. [main] */
bool nvram_load(char **path, uint8_t out[NVRAM_BYTES]);
int nvram_save(const char *path, const uint8_t in[NVRAM_BYTES], struct err *e); /* replaces the file atomically */

#endif
