/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Builds the adapters and joins them with networks, at power on and while the machine runs. Two tables: models, and types of networks. */
#define _GNU_SOURCE
#include "net_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "core/vm.h"
#include "net/capture.h"
#include "net/nic.h"
#include "net/vmnet.h"
#include "pci/bridge.h"
#include "plan.h"

enum { ROM_MAX = 1 << 20 };

/* How a type of network is made. */
static const struct {
    const char *type;
    net_attach_fn attach;
} networks[] = {
    {"nat", net_attach_nat},
    {"bridged", net_attach_bridged},
    {"hostonly", net_attach_hostonly},
    {"custom", net_attach_custom},
    {"pvn", net_attach_segment},
};

/* iPXE's ROMs, from Debian's ipxe-qemu. */
static const struct {
    const struct dev_class *cls;
    const char *rom;
} models[NIC_MODELS] = {
    [NIC_E1000] = {&e1000_class, "pxe-e1000.rom"},
    [NIC_E1000E] = {&e1000e_class, "pxe-e1000e.rom"},
    [NIC_VLANCE] = {&vlance_class, "pxe-pcnet.rom"},
    [NIC_VMXNET3] = {&vmxnet3_class, "pxe-vmxnet3.rom"},
};
static const char *const rom_places[] = {"/usr/lib/ipxe/qemu/", "/usr/share/ipxe/qemu/", "/usr/share/qemu/", NULL};

struct nic {
    const struct plan_nic *plan; /* of the machine's plan, which lives as long */
    struct dev *dev;
    struct net_port port;
    struct net_filter *filter;
    struct net_back *back; /* NULL: no network */
    struct plan_link link; /* as it is connected now */
    bool plugged;
    struct net_shape shape[2];
    struct capture *capture;
    char capture_path[256];
    char problem[400];
    void *rom;
};

struct machine_net {
    struct vm *vm;
    const struct plan *plan;
    struct nic nic[NICS];
};

/* ---- building ---- */

static void *read_rom(const char *name, size_t *size)
{
    char path[256];
    for (const char *const *d = rom_places; *d; d++) {
        struct stat st;
        snprintf(path, sizeof path, "%s%s", *d, name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        void *rom = NULL;
        if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= ROM_MAX && (rom = malloc((size_t)st.st_size)) &&
            read(fd, rom, (size_t)st.st_size) != st.st_size) {
            free(rom);
            rom = NULL;
        }
        close(fd);
        *size = rom ? (size_t)st.st_size : 0;
        return rom;
    }
    return NULL;
}

/* The bridges that adapters are behind; bus[i][f] is the bus behind function f of bridge i. */
static int build_bridges(struct vm *vm, const struct pci_plan *p, struct pci_bus *bus0, struct pci_bus *bus[PCI_BRIDGES][8], struct err *e)
{
    for (int i = 0; i < PCI_BRIDGES; i++)
        for (unsigned f = 0; f < 8; f++) {
            char id[24];
            struct pci_bridge_params bp = {.bus = bus0, .devfn = pci_plan_devfn(p, i, f), .express = pci_plan_express(i),
                                           .physical_slot = (uint16_t)pci_plan_first_slot(i, f)};
            if (!p->bridge[i].device || !(p->bridge[i].functions >> f & 1))
                continue;
            snprintf(id, sizeof id, "pciBridge%d.%u", i, f);
            struct dev *d = dev_create(vm, &pci_bridge_class, id, &bp, e);
            if (!d)
                return -1;
            bus[i][f] = pci_bridge_bus(d);
        }
    return 0;
}

static int build_nic(struct machine_net *n, struct nic *c, struct pci_bus *bus, struct err *e)
{
    const struct plan_nic *p = c->plan;
    size_t rom_size = 0;
    if (p->rom && !(c->rom = read_rom(models[p->model].rom, &rom_size)))
        log_msg(LOG_INFO, "net", "%s: no boot ROM (%s); install the package ipxe-qemu to boot from the network", p->name, models[p->model].rom);
    struct nic_params np = {.bus = bus, .devfn = PCI_DEVFN(p->slot.device, 0), .port = &c->port, .rom = c->rom, .rom_size = rom_size,
                            .queues = n->plan->n_vcpus};
    memcpy(np.mac, p->mac, 6);
    if (!(c->dev = dev_create(n->vm, models[p->model].cls, p->name, &np, e)) || !(c->filter = net_filter_new(n->vm, e)))
        return -1;
    net_connect(&c->port, net_filter_adapter_port(c->filter));
    for (int d = 0; d < 2; d++) {
        c->shape[d] = p->shape[d];
        net_filter_shape(c->filter, (enum net_dir)d, &c->shape[d]);
    }
    return 0;
}

int net_link_build(struct vm *vm, const struct plan *p, struct pci_bus *bus, struct machine_net **out, struct err *e)
{
    bool any = false;
    for (int i = 0; i < NICS; i++)
        any |= p->net->nic[i].present;
    *out = NULL;
    if (!any)
        return 0;
    struct machine_net *n = *out = calloc(1, sizeof *n);
    if (!n)
        return err_set(e, ERR_NOMEM, ENOMEM, "not enough memory for the network adapters");
    n->vm = vm;
    n->plan = p;
    struct pci_bus *behind[PCI_BRIDGES][8] = {{0}};
    if (build_bridges(vm, &p->net->pci, bus, behind, e))
        return -1;
    for (int i = 0; i < NICS; i++) {
        n->nic[i].plan = &p->net->nic[i];
        const struct pci_place *at = &p->net->nic[i].slot;
        if (p->net->nic[i].present && build_nic(n, &n->nic[i], at->bridge < 0 ? bus : behind[at->bridge][at->function], e))
            return -1;
    }
    return 0;
}

/* ---- networks ---- */

static void forward_failed(void *u, unsigned index, const char *text)
{
    struct nic *c = u;
    log_msg(LOG_WARN, "net", "%s.natForward%u: %s", c->plan->name, c->link.forward_key[index], text);
}

/* The network of c->link; NULL and the reason in *e. */
static struct net_back *attach(struct machine_net *n, struct nic *c, struct err *e)
{
    struct plan_link *l = &c->link;
    char id[33];
    for (int i = 0; i < 16; i++)
        snprintf(id + 2 * i, 3, "%02x", n->plan->uuid[i]);
    const char *vnet = *l->vnet ? l->vnet : !strcmp(l->type, "nat") ? "vmnet8" : !strcmp(l->type, "hostonly") ? "vmnet1" : "";
    struct net_conf conf = {.name = c->plan->name, .vm_name = n->plan->name, .vm_id = id, .vnet = vnet, .segment = l->segment, .interface = l->interface,
                            .follow_link = l->follow_link, .mac_twins = l->mac_twins, .subnet4 = l->subnet4, .prefix6 = l->prefix6,
                            .tftp_dir = l->tftp_dir, .boot_file = l->boot_file, .search_domain = l->domain, .restricted = l->restricted,
                            .no_host = l->no_host, .forward = l->forward, .n_forward = l->n_forward, .forward_failed = forward_failed, .u = c};
    memcpy(conf.mac, c->plan->mac, 6);
    /* NAT with a network's name is the one that machines share, from lodge-vmnet. */
    const char *type = !strcmp(l->type, "nat") && *l->vnet ? "custom" : l->type;
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++)
        if (!strcmp(networks[i].type, type)) {
            struct net_port *port = NULL;
            return networks[i].attach(n->vm, &conf, &port, e) ? NULL : net_back_of(port);
        }
    err_set(e, ERR_UNSUPPORTED, 0, "connectionType \"%s\" is not part of this build; use nat", l->type);
    return NULL;
}

/* Cable between filter and network, carrier if there is one. chipset lock held. */
static void join(struct nic *c)
{
    net_connect(net_filter_network_port(c->filter), &c->back->port);
    if (!c->back->down)
        net_set_link(&c->back->port, true);
    net_announce(&c->port);
}

static void leave(struct machine_net *n, struct nic *c)
{
    struct net_back *b = c->back;
    if (!b)
        return;
    chipset_lock(n->vm);
    net_disconnect(net_filter_network_port(c->filter));
    net_filter_forget_addresses(c->filter);
    chipset_unlock(n->vm);
    c->back = NULL;
    b->ops->close(b);
}

static int enter(struct machine_net *n, struct nic *c, struct err *e)
{
    c->problem[0] = 0;
    if (!*c->link.type)
        return err_set(e, ERR_CONFIG, 0, "%s.connectionType names no network, so there is none to plug the cable into", c->plan->name);
    if (!(c->back = attach(n, c, e))) {
        err_prefix(e, "%s: ", c->plan->name);
        snprintf(c->problem, sizeof c->problem, "%s", e->msg);
        return -1;
    }
    c->plugged = true;
    chipset_lock(n->vm);
    join(c);
    chipset_unlock(n->vm);
    log_msg(LOG_INFO, "net", "%s: connected, %s%s%s", c->plan->name, c->link.type, *c->link.vnet ? " " : "", c->link.vnet);
    return 0;
}

static void look(void *u, enum net_dir d, const struct net_offload *o, const struct iovec *f, int n)
{
    (void)o;
    struct nic *c = u;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t); /* not the guest's: captures of two machines, and the host's, shall fit together */
    capture_frame(c->capture, t.tv_sec * 1000000000ll + t.tv_nsec, d == NET_TO_GUEST, f, n);
}

static int capture_to(struct machine_net *n, struct nic *c, const char *path, struct err *e)
{
    struct capture *fresh = NULL, *old;
    if (*path && !(fresh = capture_open(path, c->plan->name, c->plan->capture_limit, e)))
        return err_prefix(e, "%s: ", c->plan->name);
    chipset_lock(n->vm);
    old = c->capture;
    c->capture = fresh;
    net_filter_look(c->filter, fresh ? look : NULL, c);
    chipset_unlock(n->vm);
    capture_close(old);
    snprintf(c->capture_path, sizeof c->capture_path, "%s", path);
    if (*path)
        log_msg(LOG_INFO, "net", "%s: frames are captured to %s", c->plan->name, path);
    else if (old)
        log_msg(LOG_INFO, "net", "%s: the capture has ended", c->plan->name);
    return 0;
}

static char *dup_str(const char *s)
{
    char *c = strdup(s);
    if (!c)
        abort();
    return c;
}

static void copy_link(struct plan_link *to, const struct plan_link *from)
{
    *to = *from;
    char **all[] = {&to->type, &to->vnet, &to->segment, &to->interface, &to->subnet4, &to->prefix6, &to->tftp_dir, &to->boot_file, &to->domain};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        *all[i] = dup_str(*all[i]);
}

void net_link_connect(struct machine_net *n)
{
    for (int i = 0; n && i < NICS; i++) {
        struct nic *c = &n->nic[i];
        struct err e;
        if (!c->dev)
            continue;
        copy_link(&c->link, &c->plan->link);
        log_msg(LOG_INFO, "net", "%s: %s, %02x:%02x:%02x:%02x:%02x:%02x, PCI slot %u", c->plan->name, nic_model_name(c->plan->model), c->plan->mac[0],
                c->plan->mac[1], c->plan->mac[2], c->plan->mac[3], c->plan->mac[4], c->plan->mac[5], c->plan->slot.number);
        if (*c->plan->capture && capture_to(n, c, c->plan->capture, &e))
            log_msg(LOG_WARN, "net", "%s", e.msg);
        if (!c->plan->start_connected || !*c->link.type)
            continue;
        if (enter(n, c, &e))
            log_msg(LOG_WARN, "net", "%s", e.msg);
    }
}

void net_link_close(struct machine_net *n)
{
    for (int i = 0; n && i < NICS; i++)
        if (n->nic[i].dev && n->nic[i].filter) {
            leave(n, &n->nic[i]);
            chipset_lock(n->vm);
            net_filter_look(n->nic[i].filter, NULL, NULL);
            net_disconnect(&n->nic[i].port);
            net_filter_free(n->nic[i].filter);
            n->nic[i].filter = NULL;
            chipset_unlock(n->vm);
            capture_close(n->nic[i].capture);
            n->nic[i].capture = NULL;
        }
}

void net_link_free(struct machine_net *n)
{
    for (int i = 0; n && i < NICS; i++) {
        plan_link_free(&n->nic[i].link);
        free(n->nic[i].rom);
    }
    free(n);
}

/* ---- live ---- */

static struct nic *find(struct machine_net *n, unsigned nic, struct err *e)
{
    if (n && nic < NICS && n->nic[nic].dev)
        return &n->nic[nic];
    err_set(e, ERR_CONFIG, 0, "ethernet%u is not an adapter of this machine", nic);
    return NULL;
}

void net_link_announce(struct machine_net *n)
{
    if (!n)
        return;
    chipset_lock(n->vm);
    for (int i = 0; i < NICS; i++)
        if (n->nic[i].dev)
            net_announce(&n->nic[i].port);
    chipset_unlock(n->vm);
}

int net_link_plug(struct machine_net *n, unsigned nic, bool in, struct err *e)
{
    struct nic *c = find(n, nic, e);
    if (!c)
        return -1;
    if (in)
        return c->back ? 0 : enter(n, c, e);
    if (c->back)
        log_msg(LOG_INFO, "net", "%s: unplugged", c->plan->name);
    leave(n, c);
    c->plugged = false;
    return 0;
}

int net_link_change(struct machine_net *n, unsigned nic, struct plan_link *l, struct err *e)
{
    struct nic *c = find(n, nic, e);
    if (!c) {
        plan_link_free(l);
        return -1;
    }
    leave(n, c);
    c->plugged = false;
    plan_link_free(&c->link);
    c->link = *l;
    *l = (struct plan_link){0};
    return *c->link.type ? enter(n, c, e) : 0;
}

static bool same_host(const struct net_forward *a, const struct net_forward *b)
{
    const char *x = *a->host_ip ? a->host_ip : "127.0.0.1", *y = *b->host_ip ? b->host_ip : "127.0.0.1";
    return a->udp == b->udp && a->host_port == b->host_port && !strcmp(x, y);
}

int net_link_forward(struct machine_net *n, unsigned nic, const struct net_forward *f, bool add, struct err *e)
{
    struct nic *c = find(n, nic, e);
    if (!c)
        return -1;
    if (!c->back || !c->back->ops->forward)
        return err_set(e, ERR_UNSUPPORTED, 0, "%s is not connected to NAT, so no port can be forwarded; connect it to nat first", c->plan->name);
    if (c->back->ops->forward(c->back, f, add, e))
        return err_prefix(e, "%s: ", c->plan->name);
    /* Kept for the next time the cable is plugged in. */
    struct plan_link *l = &c->link;
    unsigned i = 0;
    while (i < l->n_forward && !same_host(&l->forward[i], f))
        i++;
    if (add && i == l->n_forward && i < NET_FORWARDS_MAX) {
        l->forward_key[i] = 0;
        l->forward[l->n_forward++] = *f;
    } else if (!add && i < l->n_forward) {
        l->n_forward--;
        l->forward[i] = l->forward[l->n_forward];
        l->forward_key[i] = l->forward_key[l->n_forward];
    }
    return 0;
}

int net_link_capture(struct machine_net *n, unsigned nic, const char *path, struct err *e)
{
    struct nic *c = find(n, nic, e);
    return c ? capture_to(n, c, path, e) : -1;
}

int net_link_shape(struct machine_net *n, unsigned nic, enum net_dir d, const struct net_shape *s, struct err *e)
{
    struct nic *c = find(n, nic, e);
    if (!c)
        return -1;
    chipset_lock(n->vm);
    c->shape[d] = *s;
    net_filter_shape(c->filter, d, s);
    chipset_unlock(n->vm);
    return 0;
}

int net_link_info(struct machine_net *n, unsigned nic, struct net_link_info *out, struct err *e)
{
    struct nic *c = find(n, nic, e);
    if (!c)
        return -1;
    *out = (struct net_link_info){.connected = c->back != NULL, .n_forward = c->link.n_forward};
    snprintf(out->name, sizeof out->name, "%s", c->plan->name);
    snprintf(out->model, sizeof out->model, "%s", nic_model_name(c->plan->model));
    snprintf(out->type, sizeof out->type, "%s", c->link.type);
    snprintf(out->problem, sizeof out->problem, "%s", c->problem);
    snprintf(out->capture, sizeof out->capture, "%s", c->capture_path);
    for (unsigned i = 0; i < c->link.n_forward; i++)
        net_forward_format(&c->link.forward[i], out->forward[i]);
    memcpy(out->shape, c->shape, sizeof out->shape);
    char from_net[64] = "";
    if (c->back && c->back->ops->addresses)
        (void)c->back->ops->addresses(c->back, from_net, sizeof from_net);
    chipset_lock(n->vm);
    const uint8_t *mac = c->port.mac;
    snprintf(out->mac, sizeof out->mac, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    out->link = c->port.link;
    net_filter_addresses(c->filter, out->addresses, sizeof out->addresses);
    if (c->capture)
        capture_flush(c->capture);
    chipset_unlock(n->vm);
    char *remark = strpbrk(from_net, " \n"); /* where it comes from */
    if (remark)
        *remark = 0;
    if (!*out->addresses)
        snprintf(out->addresses, sizeof out->addresses, "%s", from_net);
    return 0;
}

void net_link_statistics(struct machine_net *n, void (*fn)(void *u, const char *name, uint64_t value), void *u)
{
    for (int i = 0; n && i < NICS; i++) {
        struct nic *c = &n->nic[i];
        struct net_filter_stats fs;
        char name[48];
        if (!c->dev || !c->filter)
            continue;
        chipset_lock(n->vm);
        struct net_port_stats s = c->port.stats;
        struct net_port_stats way = net_filter_network_port(c->filter)->stats;
        bool link = c->port.link;
        uint64_t captured = c->capture ? capture_bytes(c->capture) : 0;
        net_filter_stats(c->filter, &fs);
        chipset_unlock(n->vm);
#define STAT(what, v) (snprintf(name, sizeof name, "%s." what, c->plan->name), fn(u, name, (v)))
        STAT("link", link);
        STAT("tx_frames", s.tx_frames);
        STAT("tx_bytes", s.tx_bytes);
        STAT("rx_frames", s.rx_frames);
        STAT("rx_bytes", s.rx_bytes);
        STAT("rx_full", s.rx_full);
        STAT("tx_dropped", s.tx_dropped + way.tx_dropped + fs.lost[NET_FROM_GUEST]);
        STAT("rx_dropped", fs.lost[NET_TO_GUEST]);
        STAT("queued_bytes", fs.queued_bytes[0] + fs.queued_bytes[1]);
        STAT("capture_bytes", captured);
    }
}
