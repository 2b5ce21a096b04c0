/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration space through ports CF8h and CFCh, for the tests of PCI functions. */
#ifndef LODGE_TESTS_PCIBOX_H
#define LODGE_TESTS_PCIBOX_H

#include "tests/fakevm.h"

__attribute__((unused)) static uint32_t cfg_r(struct vm *vm, uint8_t devfn, unsigned off, unsigned size)
{
    fakevm_out(vm, 0xcf8, 4, 0x80000000u | (uint32_t)devfn << 8 | (off & 0xfc));
    return (uint32_t)fakevm_in(vm, (uint16_t)(0xcfc + (off & 3)), size);
}
__attribute__((unused)) static void cfg_w(struct vm *vm, uint8_t devfn, unsigned off, unsigned size, uint32_t v)
{
    fakevm_out(vm, 0xcf8, 4, 0x80000000u | (uint32_t)devfn << 8 | (off & 0xfc));
    fakevm_out(vm, (uint16_t)(0xcfc + (off & 3)), size, v);
}

#endif
