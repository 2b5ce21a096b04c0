/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The allow list, /etc/lodge/bridge.conf: who may connect machines to what. One rule a line, the first that fits decides, and what no rule fits is
 * refused:
 *     allow br0
 *     allow enp3s0 group netdev
 *     deny  eth1
 *     allow eth* user alice
 *     allow hostonly
 * The file and its folder must be root's and writable by root only; a line that is wrong makes the whole file count for nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper.h"

enum { CONF_MAX = 65536, GROUPS = 1024 };

static bool roots_alone(const struct stat *st) { return st->st_uid == 0 && !(st->st_mode & (S_IWGRP | S_IWOTH)); }

static char *read_conf(struct err *e)
{
    struct stat st;
    char dir[] = BRIDGE_CONF;
    *strrchr(dir, '/') = 0;
    int d = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (d < 0 && errno != ENOENT) {
        err_set(e, ERR_DENIED, errno, "%s cannot be opened (%s), so nobody may use the host's interfaces.", dir, strerror(errno));
        return NULL;
    }
    if (d < 0) {
        err_set(e, ERR_DENIED, errno, "Nobody may use the host's interfaces, because the list of those who may, %s, does not exist. "
                "To allow one: sudo sh -c 'mkdir -p %s; echo allow INTERFACE >> %s'.", BRIDGE_CONF, dir, BRIDGE_CONF);
        return NULL;
    }
    if (fstat(d, &st) || !roots_alone(&st)) {
        close(d);
        err_set(e, ERR_DENIED, 0, "%s must belong to root and be writable by root only: sudo chown root %s; sudo chmod 755 %s.", dir, dir, dir);
        return NULL;
    }
    int fd = openat(d, strrchr(BRIDGE_CONF, '/') + 1, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int rc = errno;
    close(d);
    if (fd < 0) {
        if (rc == ENOENT)
            err_set(e, ERR_DENIED, rc, "Nobody may use the host's interfaces, because the list of those who may, %s, does not exist. "
                    "To allow one: sudo sh -c 'echo allow INTERFACE >> %s'.", BRIDGE_CONF, BRIDGE_CONF);
        else
            err_set(e, ERR_DENIED, rc, "%s cannot be read (%s): sudo chmod 644 %s.", BRIDGE_CONF, strerror(rc), BRIDGE_CONF);
        return NULL;
    }
    char *text = NULL;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !roots_alone(&st))
        err_set(e, ERR_DENIED, 0, "%s must be a file of root, writable by root only: sudo chown root %s; sudo chmod 644 %s.", BRIDGE_CONF, BRIDGE_CONF,
                BRIDGE_CONF);
    else if (st.st_size > CONF_MAX)
        err_set(e, ERR_DENIED, 0, "%s is longer than 64 KiB.", BRIDGE_CONF);
    else if (!(text = calloc(1, CONF_MAX + 1)))
        err_set(e, ERR_NOMEM, ENOMEM, "Out of memory.");
    size_t n = 0;
    ssize_t r;
    while (text && n < CONF_MAX && (r = read(fd, text + n, CONF_MAX - n)) > 0)
        n += (size_t)r;
    close(fd);
    if (text && memchr(text, 0, n)) {
        free(text);
        text = NULL;
        err_set(e, ERR_DENIED, 0, "%s is no text.", BRIDGE_CONF);
    }
    return text;
}

static bool number(const char *s, unsigned long *v)
{
    char *end;
    *v = strtoul(s, &end, 10);
    return *s >= '0' && *s <= '9' && !*end;
}

/* 1: the caller is meant; 0: not; -1: there is no such user or group, which is the same as not. */
static int meant(const char *kind, const char *name)
{
    unsigned long v;
    if (!strcmp(kind, "user")) {
        struct passwd *pw = number(name, &v) ? NULL : getpwnam(name);
        return number(name, &v) ? v == getuid() : pw ? pw->pw_uid == getuid() : -1;
    }
    struct group *gr = number(name, &v) ? NULL : getgrnam(name);
    if (!number(name, &v) && !gr)
        return -1;
    gid_t want = gr ? gr->gr_gid : (gid_t)v;
    static gid_t list[GROUPS];
    int n = getgroups(GROUPS, list);
    bool in = getgid() == want;
    for (int i = 0; i < n; i++)
        in |= list[i] == want;
    return in;
}

int allow_check(const char *what, struct err *e)
{
    char *text = read_conf(e), *save = NULL;
    int verdict = -1; /* no rule */
    unsigned line = 0, by = 0;
    if (!text)
        return -1;
    for (char *l = text, *next; l; l = next) {
        next = strchr(l, '\n');
        if (next)
            *next++ = 0;
        line++;
        char *hash = strchr(l, '#');
        if (hash)
            *hash = 0;
        char *w[5] = {0};
        int n = 0;
        for (char *t = strtok_r(l, " \t\r", &save); t && n < 5; t = strtok_r(NULL, " \t\r", &save))
            w[n++] = t;
        if (!n)
            continue;
        bool allow = !strcmp(w[0], "allow"), who = n == 4 && (!strcmp(w[2], "user") || !strcmp(w[2], "group"));
        if ((!allow && strcmp(w[0], "deny")) || (n != 2 && !who) || strlen(w[1]) > 64) {
            err_set(e, ERR_DENIED, 0, "%s:%u: \"%s\": write allow or deny, the name of a bridge or interface (or hostonly), and if not all are meant, "
                    "user NAME or group NAME. Until then nobody may use the host's interfaces.", BRIDGE_CONF, line, w[0]);
            free(text);
            return -1;
        }
        if (verdict < 0 && !fnmatch(w[1], what, 0) && (!who || meant(w[2], w[3]) == 1)) {
            verdict = allow;
            by = line;
        }
    }
    free(text);
    if (verdict == 1)
        return 0;
    if (verdict == 0)
        return err_set(e, ERR_DENIED, 0, "%s:%u does not let this user use %s.", BRIDGE_CONF, by, what);
    return err_set(e, ERR_DENIED, 0, "This user may not use %s, because no line of %s allows it. To allow it to all users: sudo sh -c 'echo allow %s >> %s'.",
                   what, BRIDGE_CONF, what, BRIDGE_CONF);
}
