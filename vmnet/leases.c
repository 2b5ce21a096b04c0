/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The leases' file, $XDG_STATE_HOME/lodge/vmnet-leases: vmnetN.leaseM = "MAC address time name", a dictionary as the others. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "core/vm.h"
#include "vmnet.h"

void leases_load(struct server *sv)
{
    struct vmx_dict *d = vmx_dict_load(sv->leases_path, NULL);
    struct vmx_iter it = {0};
    struct vmx_entry en;
    if (!d)
        return;
    while (vmx_dict_next(d, &it, &en)) {
        char net[8], mac[18], ip[16], name[32] = "";
        int64_t until;
        uint8_t m[6];
        uint32_t a;
        if (sscanf(en.name, "%7[vmnet0-9].lease", net) != 1 || sscanf(en.value, "%17s %15s %" SCNd64 " %31s", mac, ip, &until, name) < 3)
            continue;
        int i = netconf_index(net);
        if (i >= 0 && sv->has_dhcp[i] && net_mac_parse(mac, m) && netconf_ip_parse(ip, &a))
            dhcp_restore(&sv->dhcp[i], m, a, until, name);
    }
    vmx_dict_free(d);
}

void leases_save(struct server *sv)
{
    bool changed = false;
    struct vmx_dict *d = vmx_dict_new();
    struct err e;
    if (!d)
        return;
    chipset_lock(sv->vm);
    for (int i = 0; i < NETCONF_NETS; i++) {
        unsigned n = 0;
        if (!sv->has_dhcp[i])
            continue;
        changed |= sv->dhcp[i].changed;
        sv->dhcp[i].changed = false;
        for (unsigned k = 0; k < sv->dhcp[i].room; k++) {
            const struct dhcp_lease *l = &sv->dhcp[i].lease[k];
            char key[32], value[128], mac[18], ip[16];
            if (!l->ip || !l->bound)
                continue;
            snprintf(key, sizeof key, "vmnet%d.lease%u", i, n++);
            snprintf(value, sizeof value, "%s %s %" PRId64 " %s", net_mac_format(l->mac, mac), netconf_ip_format(l->ip, ip), l->until, l->name);
            vmx_dict_set(d, key, value, NULL);
        }
    }
    chipset_unlock(sv->vm);
    if (changed && vmx_dict_save(d, sv->leases_path, &e))
        log_msg(LOG_WARN, "vmnet", "the leases cannot be kept: %s", e.msg);
    vmx_dict_free(d);
    sv->leases_saved = now_ms();
}
