/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ethernetN keys. Values that are none at all vmx_check has reported; here they give what it promised.
 * MAC addresses follow VMware's rules: generated ones are 00:0c:29 and the last three bytes of uuid.bios plus ten a number,
 * static ones lie in 00:50:56:00:00:00 to 00:50:56:3f:ff:ff unless checkMACAddress says FALSE.
 */
#define _GNU_SOURCE
#include "net_plan.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/log.h"
#include "chipset/firmware.h"
#include "plan.h"

struct making {
    const struct plan *p;
    const struct vmx_dict *d;
    vmx_problem_fn fn;
    void *u;
};

__attribute__((format(printf, 4, 5))) static void problem(const struct making *m, enum vmx_severity s, const char *key, const char *fmt, ...)
{
    char text[700];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    m->fn(m->u, s, vmx_dict_line(m->d, key), key, text);
}

static char *dup_str(const char *s)
{
    char *c = strdup(s);
    if (!c)
        abort();
    return c;
}

static char *dup_lower(const char *s)
{
    char *c = dup_str(s);
    for (char *p = c; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return c;
}

const char *nic_model_name(enum nic_model m)
{
    static const char *const names[NIC_MODELS] = {"e1000", "e1000e", "vlance", "vmxnet3"};
    return names[m];
}

/* ---- forwards ---- */

/* Takes "[addr]" or an address without colons from *s; leaves *s behind it. */
static bool take_addr(const char **s, char out[46])
{
    bool bracket = **s == '[';
    const char *a = *s + bracket, *end = strchr(a, bracket ? ']' : ':');
    struct in6_addr probe;
    if (!end || end - a > 45)
        return false;
    memcpy(out, a, (size_t)(end - a));
    out[end - a] = 0;
    *s = end + bracket;
    return !*out || inet_pton(AF_INET, out, &probe) == 1 || inet_pton(AF_INET6, out, &probe) == 1;
}

static bool take_port(const char **s, uint16_t *out)
{
    char *end;
    if (!isdigit((unsigned char)**s))
        return false;
    unsigned long v = strtoul(*s, &end, 10);
    *s = end;
    *out = (uint16_t)v;
    return v >= 1 && v <= 65535;
}

int net_forward_parse(const char *text, struct net_forward *out, struct err *e)
{
    struct net_forward f = {0};
    const char *s = text;
    uint16_t first;
    f.udp = !strncasecmp(s, "udp:", 4);
    if (!f.udp && strncasecmp(s, "tcp:", 4))
        goto bad;
    s += 4;
    /* [host address:] host port : [guest address:] guest port. A part that is only digits is a port. */
    size_t digits = strspn(s, "0123456789");
    if (!digits || s[digits] != ':') {
        if (!take_addr(&s, f.host_ip) || *s++ != ':')
            goto bad;
    }
    if (!take_port(&s, &f.host_port) || *s++ != ':')
        goto bad;
    digits = strspn(s, "0123456789");
    if (s[digits]) {
        if (!take_addr(&s, f.guest_ip) || *s++ != ':')
            goto bad;
    }
    if (!take_port(&s, &first) || *s)
        goto bad;
    f.guest_port = first;
    *out = f;
    return 0;
bad:
    return err_set(e, ERR_CONFIG, 0, "\"%.80s\" is no forward; write it like tcp:127.0.0.1:2222:22 (protocol, address and port of this computer, port of "
                   "the guest)", text);
}

void net_forward_format(const struct net_forward *f, char out[128])
{
    const char *h = *f->host_ip ? f->host_ip : "127.0.0.1", *g = f->guest_ip;
    bool h6 = strchr(h, ':'), g6 = strchr(g, ':');
    snprintf(out, 128, "%s:%s%s%s:%u:%s%s%s%s%u", f->udp ? "udp" : "tcp", h6 ? "[" : "", h, h6 ? "]" : "", f->host_port, g6 ? "[" : "", g, g6 ? "]" : "",
             *g ? ":" : "", f->guest_port);
}

static void plan_forwards(const struct making *m, const struct plan_net *pn, struct plan_nic *n)
{
    char key[64];
    for (int k = 0; k < NET_FORWARDS_MAX; k++) {
        struct err e;
        struct net_forward f;
        bool twice = false;
        snprintf(key, sizeof key, "%s.natForward%d", n->name, k);
        const char *v = vmx_get_str(m->d, key);
        if (!*v)
            continue;
        if (net_forward_parse(v, &f, &e)) {
            problem(m, VMX_WARNING, key, "%s", e.msg);
            continue;
        }
        for (const struct plan_nic *o = pn->nic; o <= n; o++)
            for (unsigned i = 0; i < o->link.n_forward && !twice; i++) {
                const struct net_forward *g = &o->link.forward[i];
                twice = g->udp == f.udp && g->host_port == f.host_port && !strcmp(g->host_ip, f.host_ip);
                if (twice)
                    problem(m, VMX_WARNING, key, "port %u is forwarded by %s.natForward%u already; give one of them another port", f.host_port, o->name,
                            o->link.forward_key[i]);
            }
        if (twice)
            continue;
        n->link.forward_key[n->link.n_forward] = (uint8_t)k;
        n->link.forward[n->link.n_forward++] = f;
    }
}

/* ---- model, type, slot ---- */

static void plan_model(const struct making *m, struct plan_nic *n)
{
    char key[64];
    snprintf(key, sizeof key, "%s.virtualDev", n->name);
    const char *raw = vmx_dict_get(m->d, key);
    enum nic_model usual = vmx_guest_is_64(m->p->guest_os) ? NIC_E1000 : NIC_VLANCE;
    n->model = usual;
    if (!raw || !*raw)
        return;
    for (int i = 0; i < NIC_MODELS; i++)
        if (!strcasecmp(raw, nic_model_name((enum nic_model)i))) {
            n->model = (enum nic_model)i;
            return;
        }
    if (!strcasecmp(raw, "flexible")) {
        n->model = NIC_VLANCE; /* what "flexible" is until a driver asks for vmxnet */
    } else if (!strcasecmp(raw, "vmxnet") || !strcasecmp(raw, "vmxnet2")) {
        n->model = NIC_VLANCE;
        problem(m, VMX_WARNING, key, "the adapter %s is not built any more; the guest sees a vlance adapter (PCnet). Write e1000 or vmxnet3", raw);
    }
}

/* "/dev/vmnet2", "VMnet2" and "vmnet2" are the same network. */
static char *vnet_name(const char *s)
{
    if (!strncasecmp(s, "/dev/", 5))
        s += 5;
    return dup_lower(s);
}

static void plan_type(const struct making *m, const struct plan_net *pn, struct plan_nic *n)
{
    static const char *const types[] = {"nat", "bridged", "hostonly", "custom", "pvn", "none", NULL};
    char key[64];
    struct plan_link *l = &n->link;
    snprintf(key, sizeof key, "%s.connectionType", n->name);
    const char *raw = vmx_dict_get(m->d, key);
    raw = raw && *raw ? raw : "bridged";
    int i = 0;
    while (types[i] && strcasecmp(raw, types[i]))
        i++;
    l->type = dup_str(types[i] && strcmp(types[i], "none") ? types[i] : "");
    l->vnet = vnet_name(vmx_get_str_f(m->d, "%s.vnet", n->name));
    l->segment = dup_str(vmx_get_str_f(m->d, "%s.pvnID", n->name));
    if (!strcmp(l->type, "custom")) {
        unsigned k;
        char end;
        snprintf(key, sizeof key, "%s.vnet", n->name);
        if (sscanf(l->vnet, "vmnet%3u%c", &k, &end) != 1 || k > 255) {
            problem(m, VMX_WARNING, key, "a custom connection needs the name of a network, so the adapter is unplugged; write vmnet2 or another one");
            *l->type = 0;
        }
    } else if (!strcmp(l->type, "pvn") && !*l->segment) {
        snprintf(key, sizeof key, "%s.pvnID", n->name);
        problem(m, VMX_WARNING, key, "missing: a LAN segment needs an id, so the adapter is unplugged; give the adapters of one segment the same id");
        *l->type = 0;
    }
    l->interface = dup_str(vmx_get_str_f(m->d, "%s.bridgeInterface", n->name));
    l->subnet4 = dup_str(vmx_get_str_f(m->d, "%s.natSubnet", n->name));
    l->prefix6 = dup_str(vmx_get_str_f(m->d, "%s.natPrefix6", n->name));
    const char *tftp = vmx_get_str_f(m->d, "%s.natTftp", n->name);
    l->tftp_dir = *tftp ? plan_resolve(m->p, tftp) : dup_str("");
    l->boot_file = dup_str(vmx_get_str_f(m->d, "%s.natBootFile", n->name));
    l->domain = dup_str(vmx_get_str_f(m->d, "%s.natDomain", n->name));
    l->restricted = vmx_get_bool_f(m->d, "%s.natRestricted", n->name);
    l->no_host = !vmx_get_bool_f(m->d, "%s.natHostLoopback", n->name);
    l->mac_twins = vmx_get_bool_f(m->d, "%s.ignoreMACAddressConflict", n->name);
    l->follow_link = vmx_get_bool_f(m->d, "%s.linkStatePropagation.enable", n->name);
    snprintf(key, sizeof key, "%s.natTftp", n->name);
    if (*tftp && access(l->tftp_dir, R_OK | X_OK))
        problem(m, VMX_WARNING, key, "the folder %s cannot be read, so nothing is served from it; correct the name", l->tftp_dir);
    plan_forwards(m, pn, n);
    snprintf(key, sizeof key, "%s.natForward%u", n->name, l->n_forward ? l->forward_key[0] : 0);
    if (l->n_forward && strcmp(l->type, "nat"))
        problem(m, VMX_WARNING, key, "has no effect: only NAT forwards ports; set %s.connectionType = \"nat\"", n->name);
}

static bool parse_mac(const char *s, uint8_t mac[6])
{
    char end;
    return strlen(s) == 17 && sscanf(s, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5], &end) == 6;
}

static void plan_mac(const struct making *m, struct plan_net *pn, struct plan_nic *n)
{
    char key[64];
    const char *type = vmx_get_str_f(m->d, "%s.addressType", n->name);
    n->generated = !strcasecmp(type, "generated") || !*type;
    if (n->generated)
        return;
    bool vpx = !strcasecmp(type, "vpx");
    snprintf(key, sizeof key, vpx ? "%s.generatedAddress" : "%s.address", n->name);
    const char *raw = vmx_dict_get(m->d, key);
    if (!parse_mac(raw ? raw : "", n->mac)) {
        if (!raw || !*raw)
            problem(m, VMX_WARNING, key, "missing, so an address is generated; write one like 00:50:56:00:00:01");
        n->generated = true;
        return;
    }
    static const uint8_t zero[6];
    if (n->mac[0] & 1 || !memcmp(n->mac, zero, 6)) {
        problem(m, VMX_WARNING, key, "%s is no address of one adapter, so an address is generated; the first byte must be even and not all may be 0", raw);
        n->generated = true;
        return;
    }
    bool ours = n->mac[0] == 0 && n->mac[1] == 0x50 && n->mac[2] == 0x56;
    if (!vpx && vmx_get_bool_f(m->d, "%s.checkMACAddress", n->name) && !(ours && n->mac[3] <= 0x3F)) {
        problem(m, VMX_WARNING, key, "%s is outside 00:50:56:00:00:00 to 00:50:56:3f:ff:ff, so an address is generated; set "
                "%s.checkMACAddress = \"FALSE\" to use it", raw, n->name);
        n->generated = true;
        return;
    }
    for (struct plan_nic *o = pn->nic; o < n; o++)
        if (o->present && !o->generated && !memcmp(o->mac, n->mac, 6)) {
            problem(m, VMX_WARNING, key, "%s has the same address, so another is generated for this adapter; give each adapter its own", o->name);
            n->generated = true;
        }
}

/* What the file says of bridges and this machine has otherwise. */
static void check_bridges(const struct making *m)
{
    char key[64];
    for (int i = 0; i < 15; i++) {
        if (!vmx_get_bool_f(m->d, "pciBridge%d.present", i))
            continue;
        const char *kind = vmx_get_str_f(m->d, "pciBridge%d.virtualDev", i);
        bool known = !i || (i >= 4 && i < PCI_BRIDGES), express = !strcasecmp(kind, "pcieRootPort");
        snprintf(key, sizeof key, known ? "pciBridge%d.virtualDev" : "pciBridge%d.present", i);
        if (!known)
            problem(m, VMX_WARNING, key, "has no effect: the machine's bridges are 0, and 4 to 7; remove the line");
        else if (*kind && i && !express)
            problem(m, VMX_WARNING, key, "has no effect: bridge %d is always a PCI Express root port; remove the line", i);
        else if (*kind && !i && express)
            problem(m, VMX_WARNING, key, "has no effect: bridge 0 is always a PCI bridge; remove the line");
    }
}

static void plan_slots(const struct making *m, struct plan_net *pn)
{
    char key[64];
    check_bridges(m);
    pci_plan_init(&pn->pci, m->d);
    for (int i = 0; i < NICS; i++) {
        struct plan_nic *n = &pn->nic[i];
        if (!n->present)
            continue;
        snprintf(key, sizeof key, "%s.pciSlotNumber", n->name);
        int64_t want = vmx_get_int(m->d, key);
        n->slot_is_new = want < 0;
        if (want >= 0 && !pci_plan_known(want))
            problem(m, VMX_WARNING, key, "there is no PCI slot %lld in this machine, so the adapter gets another, and the guest may name it differently. "
                    "Slots are 2 to 31, 32 to 63, and 160, 192, 224, 256 with 1024 more for each further function", (long long)want);
        else if (want >= 0 && !(n->has_slot = pci_plan_take(&pn->pci, want, &n->slot)))
            problem(m, VMX_WARNING, key, "the PCI slot %lld has another device, so the adapter gets a free one; remove the line", (long long)want);
    }
    for (int i = 0; i < NICS; i++) {
        struct plan_nic *n = &pn->nic[i];
        if (n->present && !n->has_slot)
            pci_plan_choose(&pn->pci, n->model == NIC_E1000E || n->model == NIC_VMXNET3, (unsigned)i, &n->slot);
    }
    pci_plan_settle(&pn->pci, m->d);
}

static void plan_shape(const struct making *m, struct plan_nic *n)
{
    static const char *const dir[2] = {"tx", "rx"};
    char key[64];
    for (int i = 0; i < 2; i++) {
        struct net_shape *s = &n->shape[i];
#define VALUE(fmt) (snprintf(key, sizeof key, "%s." fmt, n->name, dir[i]), (uint32_t)vmx_get_int(m->d, key))
        s->kbps = VALUE("%sbw.limit");
        s->queue_bytes = VALUE("%sbw.queuesize") * 1024u;
        s->drop_permille = VALUE("%sfi.droprate");
        s->drop_run = VALUE("%sfi.dropsize");
        s->latency_ms = VALUE("%slat");
    }
    const char *file = vmx_get_str_f(m->d, "%s.capture.fileName", n->name);
    n->capture = *file ? plan_resolve(m->p, file) : dup_str("");
    snprintf(key, sizeof key, "%s.capture.maxSize", n->name);
    n->capture_limit = (uint64_t)vmx_get_int(m->d, key) << 20;
}

struct plan_net *net_plan_make(const struct plan *p, const struct vmx_dict *d, vmx_problem_fn fn, void *u)
{
    struct making m = {p, d, fn, u};
    struct plan_net *pn = calloc(1, sizeof *pn);
    if (!pn)
        abort();
    for (int i = 0; i < NICS; i++) {
        struct plan_nic *n = &pn->nic[i];
        snprintf(n->name, sizeof n->name, "ethernet%d", i);
        if (!vmx_get_bool_f(d, "%s.present", n->name)) {
            char key[64];
            snprintf(key, sizeof key, "%s.connectionType", n->name);
            const char *v = vmx_dict_get(d, key), *have = vmx_dict_get(d, (snprintf(key, sizeof key, "%s.present", n->name), key));
            if (v && *v && (!have || !*have)) {
                snprintf(key, sizeof key, "%s.connectionType", n->name);
                problem(&m, VMX_WARNING, key, "has no effect, because %s.present is not there; add %s.present = \"TRUE\" to have the adapter", n->name,
                        n->name);
            }
            continue;
        }
        n->present = true;
        n->start_connected = vmx_get_bool_f(d, "%s.startConnected", n->name);
        plan_model(&m, n);
        plan_type(&m, pn, n);
        plan_mac(&m, pn, n);
        plan_shape(&m, n);
        const char *size = vmx_get_str_f(d, "%s.opromsize", n->name);
        n->rom = strcmp(size, "0") && !(n->model == NIC_VLANCE && vmx_get_bool(d, "vlance.noOprom"));
    }
    plan_slots(&m, pn);
    return pn;
}

void plan_link_free(struct plan_link *l)
{
    char *all[] = {l->type, l->vnet, l->segment, l->interface, l->subnet4, l->prefix6, l->tftp_dir, l->boot_file, l->domain};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    *l = (struct plan_link){0};
}

void net_plan_free(struct plan_net *n)
{
    for (int i = 0; n && i < NICS; i++) {
        plan_link_free(&n->nic[i].link);
        free(n->nic[i].capture);
    }
    free(n);
}

/* ---- generated addresses ---- */

static bool mac_used(const struct plan_net *pn, const struct plan_nic *except)
{
    for (const struct plan_nic *o = pn->nic; o < pn->nic + NICS; o++)
        if (o != except && o->present && (!o->generated || o < except) && !memcmp(o->mac, except->mac, 6))
            return true;
    return false;
}

int net_plan_settle(struct plan_net *pn, struct vmx_dict *d, const uint8_t uuid[16], bool new_uuid, struct err *e)
{
    char key[64], text[24];
    for (int i = 0; i < NICS; i++) {
        struct plan_nic *n = &pn->nic[i];
        if (!n->present)
            continue;
        if (n->slot_is_new) {
            snprintf(key, sizeof key, "%s.pciSlotNumber", n->name);
            snprintf(text, sizeof text, "%u", n->slot.number);
            if (vmx_dict_set(d, key, text, e))
                return -1;
        }
        if (!n->generated)
            continue;
        snprintf(key, sizeof key, "%s.generatedAddress", n->name);
        const char *old = vmx_dict_get(d, key);
        bool keep = old && !new_uuid && parse_mac(old, n->mac) && n->mac[0] == 0 && n->mac[1] == 0x0C && n->mac[2] == 0x29 && !mac_used(pn, n);
        if (keep)
            continue;
        /* The machine's last bytes, ten further an adapter; further still while another adapter of this machine has that address. */
        uint32_t base = (uint32_t)uuid[13] << 16 | (uint32_t)uuid[14] << 8 | uuid[15];
        unsigned offset = (unsigned)i * 10;
        do {
            uint32_t v = (base + offset) & 0xFFFFFF;
            uint8_t mac[6] = {0, 0x0C, 0x29, (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
            memcpy(n->mac, mac, 6);
        } while (mac_used(pn, n) && ++offset < 256);
        snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", n->mac[0], n->mac[1], n->mac[2], n->mac[3], n->mac[4], n->mac[5]);
        if (vmx_dict_set(d, key, text, e))
            return -1;
        log_msg(LOG_INFO, "net", "%s = %s", key, text);
        snprintf(key, sizeof key, "%s.generatedAddressOffset", n->name);
        snprintf(text, sizeof text, "%u", offset);
        if (vmx_dict_set(d, key, text, e))
            return -1;
        snprintf(key, sizeof key, "%s.addressType", n->name);
        const char *type = vmx_dict_get(d, key);
        if ((!type || !*type) && vmx_dict_set(d, key, "generated", e))
            return -1;
    }
    return 0;
}

void net_plan_keys(void (*fn)(void *u, const char *key), void *u)
{
    static const char *const what[] = {"addressType", "generatedAddress", "generatedAddressOffset", "pciSlotNumber"};
    char key[64];
    for (int i = 0; i < NICS; i++)
        for (size_t k = 0; k < sizeof what / sizeof what[0]; k++) {
            snprintf(key, sizeof key, "ethernet%d.%s", i, what[k]);
            fn(u, key);
        }
}

size_t net_plan_boot_lines(const struct plan_net *pn, const char *word, size_t len, char *buf, size_t n)
{
    size_t w = 0;
    if (len < 8 || strncasecmp(word, "ethernet", 8))
        return 0;
    for (int i = 0; i < NICS; i++) {
        const struct plan_nic *c = &pn->nic[i];
        const struct pci_place *s = &c->slot;
        if (!c->present || !c->rom || (len != 8 && (len != 9 || word[8] != '0' + i)) || w >= n)
            continue;
        uint8_t devfn = (uint8_t)(s->device << 3);
        if (s->bridge < 0)
            w += (size_t)firmware_path_pci(buf + w, n - w, devfn);
        else
            w += (size_t)firmware_path_bridged(buf + w, n - w, pci_plan_devfn(&pn->pci, s->bridge, s->function), devfn);
    }
    return w;
}
