/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Capabilities: of what the program has (file capabilities, or root), only two are kept, and they are effective only where they are used. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/capability.h>
#include <limits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "helper.h"

enum { ADMIN = 1u << CAP_NET_ADMIN, DAC = 1u << CAP_DAC_OVERRIDE };

static int get(struct __user_cap_data_struct d[2])
{
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    return (int)syscall(SYS_capget, &h, d);
}
static int set(const struct __user_cap_data_struct d[2])
{
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    return (int)syscall(SYS_capset, &h, d);
}

int caps_init(struct err *e)
{
    struct __user_cap_data_struct d[2] = {0};
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (get(d) || !(d[0].permitted & ADMIN)) {
        char self[PATH_MAX] = "lodge-nethelper";
        ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
        if (n > 0)
            self[n] = 0;
        return err_set(e, ERR_DENIED, EPERM, "lodge-nethelper has no permission to connect machines to the host's interfaces. To give it: "
                       "sudo setcap cap_net_admin,cap_dac_override+p %s", self);
    }
    d[0].permitted &= ADMIN | DAC;
    d[0].effective = d[0].inheritable = 0;
    d[1] = (struct __user_cap_data_struct){0};
    return set(d) ? err_set(e, ERR_HOST, errno, "Capabilities cannot be given up: %s.", strerror(errno)) : 0;
}

bool caps_have_dac(void)
{
    struct __user_cap_data_struct d[2] = {0};
    return !get(d) && d[0].permitted & DAC;
}

void caps_raise(bool dac)
{
    struct __user_cap_data_struct d[2] = {0};
    if (get(d))
        return;
    d[0].effective = d[0].permitted & (ADMIN | (dac ? DAC : 0u));
    (void)set(d); /* what needs it fails with a message otherwise */
}
