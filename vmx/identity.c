/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uuid.bios begins 56 4d ("VM") when we make it; the rest is random. uuid.location is a digest of host and path, so that a machine which was
 * copied can be told from one that stayed. When the place changed: uuid.action create or change, or msg.autoAnswer, make a new uuid.bios
 * (a copy); keep, or no word about it, leave it (a move), since a wrong guess that way does less harm to the guest's licences and leases.
 */
#define _GNU_SOURCE
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "config/vmx_schema.h"

static void mix(uint64_t h[2], const char *s)
{
    for (; *s; s++) {
        h[0] = (h[0] ^ (uint8_t)*s) * 0x100000001b3ull;
        h[1] = (h[1] + (uint8_t)*s) * 0x9E3779B97F4A7C15ull;
        h[1] ^= h[1] >> 29;
    }
}

static void location(const char *path, uint8_t out[16])
{
    uint64_t h[2] = {0xcbf29ce484222325ull, 0x2545F4914F6CDD1Dull};
    char id[64] = "";
    int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, id, sizeof id - 1);
        id[n > 0 ? n : 0] = 0;
        close(fd);
    }
    mix(h, id);
    mix(h, path);
    memcpy(out, h, 16);
    out[0] = 0x56;
    out[1] = 0x4d;
}

int identity_settle(struct vmx_dict *d, const char *vmx_path, uint8_t uuid[16], struct err *e)
{
    uint8_t here[16], was[16];
    char text[48];
    const char *bios = vmx_get_str(d, "uuid.bios"), *action = vmx_get_str(d, "uuid.action");
    bool have = vmx_parse_uuid(bios, uuid), known = vmx_parse_uuid(vmx_get_str(d, "uuid.location"), was);
    location(vmx_path, here);
    bool moved = known && memcmp(was, here, 16);
    bool create = !strcasecmp(action, "create") || !strcasecmp(action, "change");
    bool fresh = !have || (moved && (create || (!*action && vmx_get_bool(d, "msg.autoAnswer"))));
    if (fresh) {
        if (getrandom(uuid, 16, 0) != 16)
            return err_set(e, ERR_HOST, errno, "no random numbers for uuid.bios: %s", strerror(errno));
        uuid[0] = 0x56;
        uuid[1] = 0x4d;
        vmx_format_uuid(uuid, text);
        log_msg(LOG_INFO, "vmx", "uuid.bios = %s%s", text, have ? " (the machine was copied)" : "");
        if (vmx_dict_set(d, "uuid.bios", text, e))
            return -1;
    } else if (moved) {
        log_msg(LOG_INFO, "vmx", "The machine has moved; uuid.bios stays. If it was copied, set uuid.action = \"create\" once");
    }
    if (!known || moved) {
        vmx_format_uuid(here, text);
        if (vmx_dict_set(d, "uuid.location", text, e))
            return -1;
    }
    return 0;
}
