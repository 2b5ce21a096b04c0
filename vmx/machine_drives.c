/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine's disks and CDs: image files are opened here, changed while the guest runs, and closed after the devices that use them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "block/blk.h"
#include "core/vm.h"
#include "file/hostfile.h"
#include "file/hostfile_cow.h"
#include "machine_private.h"
#include "plan.h"
#include "storage/ide.h"

static int open_host(struct drive *dr, int dirfd, const char *name, bool read_only, struct hostfile *out, struct err *e)
{
    struct hostfile base;
    if (!dr->throw_away || read_only)
        return hostfile_open(out, dirfd, name, read_only, e);
    return hostfile_open(&base, dirfd, name, true, e) ? -1 : hostfile_cow(out, &base, e);
}

static int open_extent(void *u, const char *name, bool read_only, struct hostfile *out, struct err *e)
{
    struct drive *dr = u;
    /* A descriptor comes from anywhere: what it names must lie beside it. */
    if (*name == '/' || !strcmp(name, "..") || !strncmp(name, "../", 3) || strstr(name, "/../"))
        return err_set(e, ERR_DENIED, 0, "the disk %s refers to %s outside its folder; move all its files into one folder", dr->path, name);
    /* ... and a link, which an archive can bring along, must not lead out of there. */
    char at[64], *folder, *real, *full = NULL;
    snprintf(at, sizeof at, "/proc/self/fd/%d", dr->dirfd);
    folder = realpath(at, NULL);
    real = folder && asprintf(&full, "%s/%s", folder, name) >= 0 ? realpath(full, NULL) : NULL;
    size_t n = folder ? strlen(folder) : 0;
    bool out_of_it = real && n > 1 && (strncmp(real, folder, n) || real[n] != '/');
    if (out_of_it)
        err_set(e, ERR_DENIED, 0, "the disk %s refers to %s, a link to %s outside its folder; move all its files into one folder", dr->path, name, real);
    free(folder);
    free(full);
    free(real);
    return out_of_it ? -1 : open_host(dr, dr->dirfd, name, read_only, out, e);
}

static struct blk *open_image(struct machine *m, struct drive *dr, const char *path, bool cd, bool read_only, struct err *e)
{
    char *copy = strdup(path);
    if (!copy) {
        err_set(e, ERR_NOMEM, ENOMEM, "not enough memory to open %s", path);
        return NULL;
    }
    struct hostfile hf;
    struct blk *b = NULL;
    free(dr->path);
    dr->path = copy;
    if (dr->dirfd >= 0)
        close(dr->dirfd);
    char *folder = strdup(path);
    dr->dirfd = folder ? open(dirname(folder), O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    free(folder);
    struct blk_opener op = {open_extent, dr};
    if (!open_host(dr, AT_FDCWD, path, read_only, &hf, e)) {
        hf.no_lock |= !m->plan->disk_locking;
        b = blk_open(m->vm, &hf, cd ? "iso" : NULL, read_only, &op, e);
    }
    return b;
}

int machine_open_drives(struct machine *m, struct err *e)
{
    for (int c = 0; c < 2; c++)
        for (int u = 0; u < 2; u++) {
            const struct plan_drive *pd = &m->plan->drive[c][u];
            if (pd->kind == DRIVE_NONE || !pd->path)
                continue;
            bool cd = pd->kind == DRIVE_CD;
            m->drive[c][u].throw_away = pd->nonpersistent;
            struct blk *b = open_image(m, &m->drive[c][u], pd->path, cd, cd, e);
            if (!b)
                return err_prefix(e, "ide%d:%d: ", c, u);
            m->drive[c][u].blk = b;
            struct blk_info bi;
            blk_get_info(b, &bi);
            log_msg(LOG_INFO, "disk", "ide%d:%d: %s %s, %llu bytes, %s%s", c, u, cd ? "CD" : "disk", pd->path, (unsigned long long)bi.size, bi.format,
                    bi.read_only ? ", read only" : pd->nonpersistent ? ", writes are thrown away at power off" : "");
        }
    return 0;
}

void machine_check_images(const struct plan *p, void (*bad)(void *u, int channel, int unit, const char *text), void *u)
{
    static const struct cpu_backend none = {.name = "none"};
    struct plan look = *p;
    struct machine m = {.plan = &look};
    struct err e = {0};
    look.disk_locking = false; /* a machine that runs with them does not matter here */
    if (!(m.vm = vm_create(&(struct vm_params){.n_vcpus = 1, .passive = true}, &none, NULL, NULL, &e)))
        return;
    for (int i = 0; i < 4; i++) {
        const struct plan_drive *pd = &p->drive[i / 2][i % 2];
        struct drive dr = {.dirfd = -1};
        if (pd->kind == DRIVE_NONE || !pd->path)
            continue;
        struct blk *b = open_image(&m, &dr, pd->path, pd->kind == DRIVE_CD, true, &e);
        if (b)
            blk_close(b);
        else
            bad(u, i / 2, i % 2, e.msg);
        if (dr.dirfd >= 0)
            close(dr.dirfd);
        free(dr.path);
    }
    vm_destroy(m.vm);
}

void machine_close_drives(struct machine *m)
{
    for (int i = 0; i < 4; i++) {
        struct drive *dr = &m->drive[i / 2][i % 2];
        if (dr->blk)
            blk_close(dr->blk);
        if (dr->dirfd >= 0)
            close(dr->dirfd);
        free(dr->path);
    }
}

uint64_t machine_disk_reads(void *u)
{
    struct machine *m = u;
    uint64_t n = 0;
    for (int i = 0; i < 4; i++) {
        struct blk_stats s;
        if (m->plan->drive[i / 2][i % 2].kind == DRIVE_DISK && m->drive[i / 2][i % 2].blk) {
            blk_get_stats(m->drive[i / 2][i % 2].blk, &s);
            n += s.read_bytes;
        }
    }
    return n;
}

int machine_change_medium(struct machine *m, const char *node, const char *path, bool force, struct err *e)
{
    unsigned c, u;
    char end;
    if (sscanf(node, "ide%1u:%1u%c", &c, &u, &end) != 2 || c > 1 || u > 1 || m->plan->drive[c][u].kind != DRIVE_CD)
        return err_set(e, ERR_CONFIG, 0, "%s is not a CD drive of this machine", node);
    struct drive fresh = {.dirfd = -1};
    if (path && !(fresh.blk = open_image(m, &fresh, path, true, true, e))) {
        if (fresh.dirfd >= 0)
            close(fresh.dirfd);
        free(fresh.path);
        return -1;
    }
    struct blk *old = NULL;
    chipset_lock(m->vm);
    int rc = ide_cd_insert(m->ide, c, u, fresh.blk, force, &old, e);
    chipset_unlock(m->vm);
    struct drive *dr = &m->drive[c][u], gone = *dr;
    gone.blk = old;
    if (rc)
        gone = fresh;
    else
        *dr = fresh;
    if (gone.blk)
        blk_close(gone.blk);
    if (gone.dirfd >= 0)
        close(gone.dirfd);
    free(gone.path);
    if (!rc)
        log_msg(LOG_INFO, "disk", "%s: %s", node, path ? path : "medium removed");
    return rc;
}

void machine_media(struct machine *m, void (*fn)(void *u, const char *node, const char *path), void *u)
{
    for (unsigned i = 0; i < 4; i++) {
        struct ide_drive_status st = {0};
        char node[16];
        if (m->plan->drive[i / 2][i % 2].kind != DRIVE_CD)
            continue;
        chipset_lock(m->vm);
        ide_drive_get_status(m->ide, i / 2, i % 2, &st);
        chipset_unlock(m->vm);
        snprintf(node, sizeof node, "ide%u:%u", i / 2, i % 2);
        fn(u, node, st.medium ? m->drive[i / 2][i % 2].path : NULL);
    }
}
