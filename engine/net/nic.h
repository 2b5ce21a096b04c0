/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The network adapters, all created the same way. */
#ifndef LODGE_NET_NIC_H
#define LODGE_NET_NIC_H

#include "core/device.h"
#include "net/net.h"

struct pci_bus;

struct nic_params {
    struct pci_bus *bus;
    uint8_t devfn;
    uint8_t mac[6];        /* permanent address (EEPROM, APROM) */
    struct net_port *port; /* the caller's memory, outlives the device; init fills it with the adapter's end */
    const void *rom;       /* PXE option ROM for the expansion ROM BAR; NULL: none. The caller's, outlives the device */
    size_t rom_size;
    unsigned queues;       /* most receive/transmit queue pairs (vmxnet3), >= 1: usually the number of vCPUs */
};

extern const struct dev_class vlance_class;  /* AMD Am79C970A PCnet-PCI II, 1022:2000 */
extern const struct dev_class e1000_class;   /* Intel 82545EM, 8086:100f */
extern const struct dev_class e1000e_class;  /* Intel 82574L, 8086:10d3 */
extern const struct dev_class vmxnet3_class; /* VMware vmxnet3, 15ad:07b0 */

#endif
