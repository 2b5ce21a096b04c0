/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the ethernetN keys ask for. A network that is described wrong is said and left out; the machine starts without it. */
#ifndef LODGE_VMX_NET_PLAN_H
#define LODGE_VMX_NET_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "config/vmx_schema.h"
#include "net/filter.h"
#include "net/hostnet.h"
#include "net_slots.h"

enum { NICS = 10 };
enum nic_model { NIC_E1000, NIC_E1000E, NIC_VLANCE, NIC_VMXNET3, NIC_MODELS };
/* How an adapter is connected: the keys, or what a client asks for while the machine runs. */
struct plan_link {
    char *type;               /* connectionType in lower case; "": stays unplugged */
    char *vnet, *segment, *interface;
    char *subnet4, *prefix6, *tftp_dir, *boot_file, *domain;
    bool restricted, no_host, follow_link, mac_twins;
    struct net_forward forward[NET_FORWARDS_MAX];
    uint8_t forward_key[NET_FORWARDS_MAX]; /* the K of natForwardK */
    unsigned n_forward;
};
struct plan_nic {
    bool present, start_connected, rom;
    char name[12]; /* "ethernet0" */
    enum nic_model model;
    bool generated;   /* the address is made by net_plan_settle */
    uint8_t mac[6];
    struct pci_place slot;
    bool has_slot, slot_is_new; /* new: to be written to the file */
    struct plan_link link;
    struct net_shape shape[2]; /* by enum net_dir */
    char *capture;             /* file, or "" */
    uint64_t capture_limit;
};
struct plan_net {
    struct plan_nic nic[NICS];
    struct pci_plan pci;
};

struct plan;
/* The forwarding rule in text, "tcp:127.0.0.1:2222:22" or "udp:[::1]:53:[fd00::15]:53". 0, or -1 and what is wrong. */
int net_forward_parse(const char *text, struct net_forward *out, struct err *e);
void net_forward_format(const struct net_forward *f, char out[128]);
/* Fills from the dictionary; p has its file names. */
struct plan_net *net_plan_make(const struct plan *p, const struct vmx_dict *d, vmx_problem_fn fn, void *u);
void net_plan_free(struct plan_net *n);
/* Generated addresses from uuid.bios, once that is settled; new_uuid: the machine was copied, so addresses change too. Sets the keys in d. */
int net_plan_settle(struct plan_net *n, struct vmx_dict *d, const uint8_t uuid[16], bool new_uuid, struct err *e);
const char *nic_model_name(enum nic_model m); /* as virtualDev has it */
/* One word of bios.bootOrder, "ethernet" or "ethernetN": adds the firmware's lines for those boot ROMs; bytes added. */
size_t net_plan_boot_lines(const struct plan_net *pn, const char *word, size_t len, char *buf, size_t n);
void plan_link_free(struct plan_link *l);
/* The keys of adapter i that net_plan_settle sets, for writing back: calls fn(u, key). */
void net_plan_keys(void (*fn)(void *u, const char *key), void *u);

#endif
