/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ethernetN keys: models, addresses by VMware's rules, slots, forwards, and the sentence with its line for what is wrong. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net_plan.h"
#include "plan.h"
#include "tests/tap.h"

static char said[4000];
static struct vmx_dict *dict;
static struct plan plan = {.dir = "/vm/", .guest_os = "debian12-64"};

static void on_problem(void *u, enum vmx_severity s, unsigned line, const char *key, const char *text)
{
    (void)u;
    size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%s%u %s: %s\n", s == VMX_ERROR ? "ERROR " : "", line, key, text);
}

static struct plan_net *make(const char *text)
{
    struct err e;
    vmx_dict_free(dict);
    *said = 0;
    dict = vmx_dict_parse(text, strlen(text), &e);
    return net_plan_make(&plan, dict, on_problem, NULL);
}
static bool mac_is(const struct plan_nic *n, const char *want)
{
    char t[18];
    snprintf(t, sizeof t, "%02x:%02x:%02x:%02x:%02x:%02x", n->mac[0], n->mac[1], n->mac[2], n->mac[3], n->mac[4], n->mac[5]);
    bool good = !strcasecmp(t, want);
    if (!good)
        printf("# %s, want %s\n", t, want);
    return good;
}
static bool value_is(const char *key, const char *want)
{
    const char *v = vmx_dict_get(dict, key);
    return v && !strcasecmp(v, want);
}

static const uint8_t uuid[16] = {0x56, 0x4d, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xAB, 0xCD, 0xFB};

static void test_generated(void)
{
    struct err e;
    struct plan_net *n = make("ethernet0.present = \"TRUE\"\nethernet1.present = \"TRUE\"\nethernet4.present = \"TRUE\"\n");
    ok(!*said && !net_plan_settle(n, dict, uuid, false, &e), "adapters without any more keys: %s", said);
    /* 00:0c:29, last three bytes of uuid.bios, ten further each adapter */
    ok(mac_is(&n->nic[0], "00:0c:29:ab:cd:fb") && mac_is(&n->nic[1], "00:0c:29:ab:ce:05") && mac_is(&n->nic[4], "00:0c:29:ab:ce:23"), "addresses of uuid.bios");
    ok(value_is("ethernet0.generatedAddress", "00:0c:29:ab:cd:fb") && value_is("ethernet0.generatedAddressOffset", "0") &&
           value_is("ethernet1.generatedAddressOffset", "10") && value_is("ethernet4.generatedAddressOffset", "40"), "are written, with their offsets");
    ok(n->nic[0].slot.number == 18 && n->nic[4].slot.number == 22 && value_is("ethernet4.pciSlotNumber", "22"), "slots are assigned and written");
    ok(n->nic[0].model == NIC_E1000 && !strcmp(n->nic[0].link.type, "bridged") && n->nic[0].start_connected && n->nic[0].rom, "defaults");
    net_plan_free(n);

    n = make("ethernet0.present = \"TRUE\"\nethernet0.generatedAddress = \"00:0c:29:11:22:33\"\nethernet1.present = \"TRUE\"\n"
             "ethernet1.generatedAddress = \"00:0c:29:11:22:33\"\n");
    ok(!net_plan_settle(n, dict, uuid, false, &e) && mac_is(&n->nic[0], "00:0c:29:11:22:33"), "an address that is there stays");
    ok(mac_is(&n->nic[1], "00:0c:29:ab:ce:05"), "but not twice");
    ok(!net_plan_settle(n, dict, uuid, true, &e) && mac_is(&n->nic[0], "00:0c:29:ab:cd:fb"), "a copied machine gets its own");
    net_plan_free(n);

    n = make("ethernet0.present = \"TRUE\"\nethernet0.addressType = \"static\"\nethernet0.address = \"00:0c:29:ab:cd:fb\"\n"
             "ethernet0.checkMACAddress = \"FALSE\"\n"
             "ethernet1.present = \"TRUE\"\n");
    static const uint8_t wrap[16] = {[13] = 0xFF, 0xFF, 0xFF};
    ok(!net_plan_settle(n, dict, uuid, false, &e) && mac_is(&n->nic[0], "00:0c:29:ab:cd:fb") && mac_is(&n->nic[1], "00:0c:29:ab:ce:05"), "any static address");
    ok(!net_plan_settle(n, dict, wrap, true, &e) && mac_is(&n->nic[1], "00:0c:29:00:00:09"), "24 bits wrap");
    net_plan_free(n);
}

static void test_static(void)
{
    struct err e;
    struct plan_net *n = make("ethernet0.present = \"TRUE\"\nethernet0.addressType = \"static\"\nethernet0.address = \"00:50:56:3F:FF:FF\"\n"
                              "ethernet1.present = \"TRUE\"\nethernet1.addressType = \"static\"\nethernet1.address = \"00:50:56:40:00:00\"\n"
                              "ethernet2.present = \"TRUE\"\nethernet2.addressType = \"static\"\nethernet2.address = \"00:50:56:3f:ff:ff\"\n"
                              "ethernet3.present = \"TRUE\"\nethernet3.addressType = \"vpx\"\nethernet3.generatedAddress = \"00:50:56:80:00:01\"\n"
                              "ethernet4.present = \"TRUE\"\nethernet4.addressType = \"static\"\nethernet4.address = \"01:50:56:00:00:01\"\n"
                              "ethernet5.present = \"TRUE\"\nethernet5.addressType = \"static\"\n");
    ok(!n->nic[0].generated && mac_is(&n->nic[0], "00:50:56:3f:ff:ff"), "the last of the static range");
    ok(n->nic[1].generated && strstr(said, "6 ethernet1.address: 00:50:56:40:00:00 is outside") && strstr(said, "ethernet1.checkMACAddress"), "one beyond");
    ok(n->nic[2].generated && strstr(said, "9 ethernet2.address: ethernet0 has the same"), "twice the same");
    ok(!n->nic[3].generated && mac_is(&n->nic[3], "00:50:56:80:00:01"), "a management server's");
    ok(n->nic[4].generated && strstr(said, "15 ethernet4.address: "), "a group address");
    ok(n->nic[5].generated && strstr(said, "ethernet5.address: missing"), "no address");
    ok(!strstr(said, "ERROR"), "nothing of that keeps the machine from starting");
    ok(!net_plan_settle(n, dict, uuid, false, &e) && value_is("ethernet2.generatedAddress", "00:0c:29:ab:ce:0f"), "the others get generated ones");
    net_plan_free(n);
}

static void test_models(void)
{
    static const struct {
        const char *dev, *os;
        enum nic_model want;
        bool warns;
    } t[] = {{"", "debian12-64", NIC_E1000}, {"", "debian12", NIC_VLANCE}, {"vmxnet3", "", NIC_VMXNET3}, {"E1000E", "", NIC_E1000E},
             {"flexible", "", NIC_VLANCE},
             {"vmxnet", "", NIC_VLANCE, true}, {"vmxnet2", "debian12-64", NIC_VLANCE, true}, {"vlance", "", NIC_VLANCE}, {"ne2000", "debian12-64", NIC_E1000}};
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "ethernet0.present = \"TRUE\"\nethernet0.virtualDev = \"%s\"\n", t[i].dev);
        plan.guest_os = (char *)t[i].os;
        struct plan_net *n = make(text);
        ok(n->nic[0].model == t[i].want && (strstr(said, "2 ethernet0.virtualDev: ") != NULL) == t[i].warns, "virtualDev \"%s\", guestOS \"%s\": %s", t[i].dev,
           t[i].os,
           nic_model_name(n->nic[0].model));
        net_plan_free(n);
    }
    plan.guest_os = "debian12-64";
}

static void test_types(void)
{
    struct plan_net *n = make("ethernet0.present = \"TRUE\"\nethernet0.connectionType = \"custom\"\nethernet0.vnet = \"/dev/VMnet2\"\n"
                              "ethernet1.present = \"TRUE\"\nethernet1.connectionType = \"custom\"\n"
                              "ethernet2.present = \"TRUE\"\nethernet2.connectionType = \"pvn\"\n"
                              "ethernet3.present = \"TRUE\"\nethernet3.connectionType = \"none\"\nethernet3.startConnected = \"FALSE\"\n"
                              "ethernet4.connectionType = \"nat\"\n"
                              "ethernet5.present = \"TRUE\"\nethernet5.connectionType = \"hostonly\"\nethernet5.natForward0 = \"tcp:1:2\"\n");
    ok(!strcmp(n->nic[0].link.vnet, "vmnet2") && !strcmp(n->nic[0].link.type, "custom"), "/dev/VMnet2 is vmnet2");
    ok(!*n->nic[1].link.type && strstr(said, "ethernet1.vnet: a custom connection needs"), "custom without a network");
    ok(!*n->nic[2].link.type && strstr(said, "ethernet2.pvnID: missing"), "a LAN segment without an id");
    ok(!*n->nic[3].link.type && !n->nic[3].start_connected, "no network at all");
    ok(!n->nic[4].present && strstr(said, "ethernet4.connectionType: has no effect"), "an adapter that is not present");
    ok(strstr(said, "ethernet5.natForward0: has no effect"), "a forward without NAT");
    net_plan_free(n);
}

static bool at(const struct plan_nic *n, unsigned number, int bridge, unsigned function, unsigned device)
{
    const struct pci_place *s = &n->slot;
    bool good = s->number == number && s->bridge == bridge && s->function == function && s->device == device;
    if (!good)
        printf("# slot %u: bridge %d, function %u, device %u\n", s->number, s->bridge, s->function, s->device);
    return good;
}

/* device | (index of the bridge + 1) << 5 | the bridge's function << 10, as files of other products have it */
static void test_slots(void)
{
    struct err e;
    char boot[300] = "";
    struct acpi_bridge acpi[ACPI_MAX_BRIDGES];
    struct plan_net *n = make("ethernet0.present = \"TRUE\"\nethernet0.pciSlotNumber = \"33\"\nethernet1.present = \"TRUE\"\nethernet1.pciSlotNumber = \"18\"\n"
                              "ethernet2.present = \"TRUE\"\nethernet2.pciSlotNumber = \"7\"\nethernet3.present = \"TRUE\"\nethernet3.pciSlotNumber = \"160\"\n"
                              "ethernet4.present = \"TRUE\"\nethernet4.pciSlotNumber = \"2240\"\nethernet5.present = \"TRUE\"\nethernet5.pciSlotNumber = \"33\"\n"
                              "ethernet6.present = \"TRUE\"\nethernet6.pciSlotNumber = \"97\"\n");
    ok(at(&n->nic[0], 33, 0, 0, 1) && at(&n->nic[3], 160, 4, 0, 0) && at(&n->nic[4], 2240, 5, 2, 0), "slots behind bridges");
    ok(at(&n->nic[1], 18, -1, 0, 18) && at(&n->nic[2], 20, -1, 0, 20), "slots of bus 0");
    ok(strstr(said, "6 ethernet2.pciSlotNumber: the PCI slot 7 has another device") && strstr(said, "12 ethernet5.pciSlotNumber: the PCI slot 33 has") &&
           strstr(said, "14 ethernet6.pciSlotNumber: there is no PCI slot 97"), "slots that cannot be had are said: %s", said);
    ok(n->nic[5].slot.bridge == -1 && n->nic[6].slot.bridge == -1 && n->nic[5].slot.device != n->nic[6].slot.device, "and others are given");
    ok(n->pci.bridge[0].device == 17 && n->pci.bridge[4].device == 21 && n->pci.bridge[5].device == 22 && n->pci.bridge[5].functions == 5 &&
           !n->pci.bridge[6].device, "the bridges that are needed, where other products have them, with function 0");
    is_u64(pci_plan_acpi(&n->pci, acpi), 4, "in the firmware's tables too");
    ok(acpi[0].devfn == 17 << 3 && acpi[0].first == 32 && acpi[0].n == 32 && acpi[1].devfn == 21 << 3 && acpi[1].first == 160 && acpi[1].n == 1 &&
           acpi[3].devfn == (22 << 3 | 2) && acpi[3].first == 194, "by the numbers that guests show");
    ok(!net_plan_settle(n, dict, uuid, false, &e) && value_is("ethernet6.pciSlotNumber", "97"), "a number of another product stays in the file");
    size_t w = net_plan_boot_lines(n, "ethernet1,hdd", 9, boot, sizeof boot);
    ok(w == strlen(boot) && !strcmp(boot, "/pci@i0cf8/*@12\n"), "the firmware's path of slot 18: %.*s", (int)strcspn(boot, "\n"), boot);
    net_plan_boot_lines(n, "ethernet0", 9, boot, sizeof boot);
    ok(!strcmp(boot, "/pci@i0cf8/pci-bridge@11/*@1\n"), "of slot 33: %.*s", (int)strcspn(boot, "\n"), boot);
    net_plan_boot_lines(n, "ethernet4", 9, boot, sizeof boot);
    ok(!strcmp(boot, "/pci@i0cf8/pci-bridge@16,2/*@0\n"), "of slot 2240: %.*s", (int)strcspn(boot, "\n"), boot);
    net_plan_free(n);

    /* What libvirt and Packer write: bridges, but no slots of adapters. */
    static const char bridges[] = "pciBridge0.present = \"TRUE\"\npciBridge4.present = \"TRUE\"\npciBridge4.virtualDev = \"pcieRootPort\"\npciBridge4.functions = \"8\"\n"
                                  "pciBridge5.present = \"TRUE\"\npciBridge5.virtualDev = \"pcieRootPort\"\n"
                                  "scsi0.present = \"TRUE\"\nscsi0.pciSlotNumber = \"160\"\n";
    char text[2000];
    snprintf(text, sizeof text, "%sethernet0.present = \"TRUE\"\nethernet1.present = \"TRUE\"\nethernet1.virtualDev = \"vmxnet3\"\n"
             "ethernet2.present = \"TRUE\"\nethernet2.virtualDev = \"e1000e\"\nethernet3.present = \"TRUE\"\nethernet3.virtualDev = \"vlance\"\n"
             "ethernet4.present = \"TRUE\"\nethernet4.virtualDev = \"vmxnet3\"\n", bridges);
    n = make(text);
    ok(at(&n->nic[0], 33, 0, 0, 1) && at(&n->nic[1], 192, 5, 0, 0) && at(&n->nic[2], 1184, 4, 1, 0) && at(&n->nic[3], 34, 0, 0, 2) &&
           at(&n->nic[4], 2208, 4, 2, 0), "new adapters go behind the bridges of the file, past what it gives to others");
    ok(!net_plan_settle(n, dict, uuid, false, &e) && value_is("ethernet1.pciSlotNumber", "192"), "and that is written");
    net_plan_free(n);

    /* What Workstation writes is taken without a word; what this machine has otherwise is said. */
    *text = 0;
    for (int i = 0; i < 8; i += i ? 1 : 4) {
        char line[200];
        snprintf(line, sizeof line, i ? "pciBridge%d.present = \"TRUE\"\npciBridge%d.virtualDev = \"pcieRootPort\"\npciBridge%d.functions = \"8\"\n"
                 "pciBridge%d.pciSlotNumber = \"%d\"\n" : "pciBridge%d.present = \"TRUE\"\npciBridge%d.pciSlotNumber = \"17\"\n", i, i, i, i, 17 + i);
        strncat(text, line, sizeof text - strlen(text) - 1);
    }
    strcat(text, "ethernet0.present = \"TRUE\"\nethernet0.virtualDev = \"e1000\"\nethernet0.pciSlotNumber = \"33\"\n");
    n = make(text);
    ok(!*said && at(&n->nic[0], 33, 0, 0, 1), "Workstation's bridges: %s", said);
    net_plan_free(n);
    n = make("pciBridge1.present = \"TRUE\"\npciBridge4.present = \"TRUE\"\npciBridge4.virtualDev = \"pciBridge\"\npciBridge0.present = \"TRUE\"\n"
             "pciBridge0.virtualDev = \"pcieRootPort\"\npciBridge9.present = \"FALSE\"\nethernet0.present = \"TRUE\"\n");
    ok(strstr(said, "1 pciBridge1.present: has no effect") && strstr(said, "3 pciBridge4.virtualDev: has no effect: bridge 4 is always a PCI Express root port") &&
           strstr(said, "5 pciBridge0.virtualDev: has no effect: bridge 0 is always a PCI bridge") && !strstr(said, "pciBridge9"), "others are not: %s", said);
    net_plan_free(n);

    n = make("pciBridge0.pciSlotNumber = \"30\"\nethernet0.present = \"TRUE\"\nethernet0.pciSlotNumber = \"17\"\nethernet1.present = \"TRUE\"\n"
             "ethernet1.pciSlotNumber = \"32\"\nethernet2.present = \"TRUE\"\nethernet2.pciSlotNumber = \"21\"\nethernet3.present = \"TRUE\"\n"
             "ethernet3.pciSlotNumber = \"160\"\n");
    ok(n->pci.bridge[0].device == 30 && n->pci.bridge[4].device == 31 && at(&n->nic[2], 21, -1, 0, 21), "a bridge whose place is taken goes elsewhere");
    net_plan_free(n);
    for (int64_t i = -2; i < 70000; i++)
        if (pci_plan_known(i) != ((i >= 0 && i < 64) || (i >= 0 && i < 8192 && !(i & 31) && (i >> 5 & 31) >= 5 && (i >> 5 & 31) <= 8)))
            ok(false, "slot %d", (int)i);
}

static void test_forwards(void)
{
    struct net_forward f;
    struct err e;
    char text[128];
    static const struct {
        const char *in, *out;
    } good[] = {{"tcp:127.0.0.1:2222:22", "tcp:127.0.0.1:2222:22"}, {"udp:53:53", "udp:127.0.0.1:53:53"},
                {"TCP:0.0.0.0:80:10.0.2.15:8080", "tcp:0.0.0.0:80:10.0.2.15:8080"},
                {"tcp:[::1]:2222:[fd00:10:0:2::5]:22", "tcp:[::1]:2222:[fd00:10:0:2::5]:22"},
                {"tcp::2222:22", "tcp:127.0.0.1:2222:22"}, {"tcp:65535:1", "tcp:127.0.0.1:65535:1"}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        bool parsed = !net_forward_parse(good[i].in, &f, &e);
        if (parsed)
            net_forward_format(&f, text);
        ok(parsed && !strcmp(text, good[i].out), "%s: %s", good[i].in, parsed ? text : e.msg);
    }
    static const char *const bad[] = {"", "tcp", "tcp:", "tcp:22", "icmp:1:2", "tcp:0:22", "tcp:65536:22", "tcp:22:0", "tcp:host:1:2", "tcp:127.0.0.1:1:2:3",
                                      "tcp:1:2x",
                                      "tcp:[::1:1:2", "tcp:127.0.0.1:-1:22", "tcp:99999999999999999999:1", "tcp:1:1.2.3:4", "tcp: 1:2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ok(net_forward_parse(bad[i], &f, &e) == -1 && strstr(e.msg, "2222"), "refused: \"%s\"", bad[i]);
    struct plan_net *n = make("ethernet0.present = \"TRUE\"\nethernet0.connectionType = \"nat\"\nethernet0.natForward3 = \"tcp:2222:22\"\n"
                              "ethernet0.natForward4 = \"tcp:2222:23\"\nethernet1.present = \"TRUE\"\nethernet1.connectionType = \"nat\"\n"
                              "ethernet1.natForward0 = \"tcp:2222:22\"\nethernet1.natForward1 = \"udp:2222:22\"\n");
    ok(n->nic[0].link.n_forward == 1 && n->nic[1].link.n_forward == 1 &&
           strstr(said, "4 ethernet0.natForward4: port 2222 is forwarded by ethernet0.natForward3") &&
           strstr(said, "7 ethernet1.natForward0: port 2222"), "a port is forwarded once");
    net_plan_free(n);
}

int main(void)
{
    test_generated();
    test_static();
    test_models();
    test_types();
    test_slots();
    test_forwards();
    vmx_dict_free(dict);
    return TAP_DONE();
}
