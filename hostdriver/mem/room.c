/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that is left, by /proc/meminfo and by the limit of each control group (version 2, or 1 where that has the memory) from this process' own to
 * the root. What a group has in the page cache counts as left: the kernel drops that first.
 */
#define _GNU_SOURCE
#include "mem/room.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEVELS = 8 };
#define UNLIMITED (1ull << 60) /* version 1 says so with a huge number */

struct room {
    int meminfo, n;
    struct {
        int max, current, stat;
    } group[LEVELS];
};

static int open_in(const char *top, const char *dir, const char *name)
{
    char path[PATH_MAX + 160];
    snprintf(path, sizeof path, "/sys/fs/cgroup%s%s/%s", top, strcmp(dir, "/") == 0 ? "" : dir, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static void shut(int fd)
{
    if (fd >= 0)
        close(fd);
}

struct room *room_open(void)
{
    char line[PATH_MAX];
    struct room *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->meminfo = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f)) {
        char *v1 = strstr(line, ":memory:/");
        if (strncmp(line, "0::/", 4) != 0 && !v1)
            continue;
        line[strcspn(line, "\n")] = 0;
        const char *top = v1 ? "/memory" : "";
        for (char *dir = v1 ? v1 + 8 : line + 3; r->n < LEVELS;) {
            int max = open_in(top, dir, v1 ? "memory.limit_in_bytes" : "memory.max");
            if (max >= 0) {
                r->group[r->n].max = max;
                r->group[r->n].current = open_in(top, dir, v1 ? "memory.usage_in_bytes" : "memory.current");
                r->group[r->n++].stat = open_in(top, dir, "memory.stat");
            }
            char *slash = strrchr(dir, '/');
            if (!slash || slash == dir)
                break;
            *slash = 0;
        }
    }
    if (f)
        fclose(f);
    return r;
}

void room_close(struct room *r)
{
    if (!r)
        return;
    shut(r->meminfo);
    for (int i = 0; i < r->n; i++) {
        shut(r->group[i].max);
        shut(r->group[i].current);
        shut(r->group[i].stat);
    }
    free(r);
}

/* The number behind field in a file; the first one when field is NULL; 0 for "max", or when it is not there. */
static uint64_t number(int fd, const char *field)
{
    char buf[8192];
    ssize_t n = fd >= 0 ? pread(fd, buf, sizeof buf - 1, 0) : -1;
    if (n <= 0)
        return 0;
    buf[n] = 0;
    const char *p = field ? strstr(buf, field) : buf;
    return p ? strtoull(p + (field ? strlen(field) : 0), NULL, 10) : 0;
}

void room_left(struct room *r, struct room_left *out)
{
    *out = (struct room_left){.left = UINT64_MAX, .total = UINT64_MAX, .ram = UINT64_MAX, .what = "computer"};
    uint64_t total = number(r->meminfo, "MemTotal:") * 1024;
    if (total) {
        out->total = total;
        out->ram = number(r->meminfo, "\nMemAvailable:") * 1024;
        out->swap = number(r->meminfo, "\nSwapFree:") * 1024;
        out->left = out->ram + out->swap;
    }
    for (int i = 0; i < r->n; i++) {
        uint64_t max = number(r->group[i].max, NULL), now = max ? number(r->group[i].current, NULL) : 0;
        if (!max || max >= UNLIMITED)
            continue;
        uint64_t cache = number(r->group[i].stat, "\ninactive_file ") + number(r->group[i].stat, "\nactive_file ");
        now -= cache < now ? cache : now;
        uint64_t left = max > now ? max - now : 0;
        if (left < out->ram)
            out->ram = left;
        if (left < out->left) {
            out->left = left;
            out->total = max;
            out->what = "control group";
        }
    }
}
