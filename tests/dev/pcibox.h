/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration space through ports CF8h and CFCh, for the tests of PCI functions. */
#ifndef LODGE_TESTS_PCIBOX_H
#define LODGE_TESTS_PCIBOX_H

#include "tests/fakevm.h"

static inline uint32_t cfg_bus_r(struct vm *vm, unsigned bus, uint8_t devfn, unsigned off, unsigned size)
{
    fakevm_out(vm, 0xcf8, 4, 0x80000000u | bus << 16 | (uint32_t)devfn << 8 | (off & 0xfc));
    return (uint32_t)fakevm_in(vm, (uint16_t)(0xcfc + (off & 3)), size);
}
static inline void cfg_bus_w(struct vm *vm, unsigned bus, uint8_t devfn, unsigned off, unsigned size, uint32_t v)
{
    fakevm_out(vm, 0xcf8, 4, 0x80000000u | bus << 16 | (uint32_t)devfn << 8 | (off & 0xfc));
    fakevm_out(vm, (uint16_t)(0xcfc + (off & 3)), size, v);
}
static inline uint32_t cfg_r(struct vm *vm, uint8_t devfn, unsigned off, unsigned size) { return cfg_bus_r(vm, 0, devfn, off, size); }
static inline void cfg_w(struct vm *vm, uint8_t devfn, unsigned off, unsigned size, uint32_t v) { cfg_bus_w(vm, 0, devfn, off, size, v); }

#endif
