/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Port 402h: SeaBIOS writes its debug text there; each line becomes a line of the log. */
#ifndef LODGE_CHIPSET_DEBUGPORT_H
#define LODGE_CHIPSET_DEBUGPORT_H

#include "core/device.h"

/* No params. Create it only when firmware debug output is wanted: every byte is a port write. */
extern const struct dev_class debugport_class;

#endif
