/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Gathers and scatters: many addresses in one instruction. */
#include "bt/bt_private.h"

int bt_vsib(struct bt_cpu *bc, const struct bt_rec *r)
{
    (void)r;
    bc->c.ops->guest_error(&bc->c, "Gather or scatter is not translated", bc->c.s.rip, 0);
    return cpu_raise(&bc->c, X_UD);
}
