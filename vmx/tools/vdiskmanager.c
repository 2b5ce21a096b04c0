/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lodge-vdiskmanager: makes, copies and removes disks and says what a disk is. Options and disk types are those of
 * VMware's program of that name. What was made is removed again when something fails or the program is told to stop.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/blk.h"
#include "config.h"
#include "file/hostfile.h"
#include "tools/vdisk.h"

enum { HW_VERSION = 19 };
#define STEP (64ull << 20)
#define MAX_SIZE (62ull << 40)

struct made {
    int dir;
    char **names;
    size_t n;
};

static volatile sig_atomic_t stop;
static void on_signal(int sig) { stop = sig; }
bool vdisk_stopped(void) { return stop != 0; }

void vdisk_progress(int *shown, uint64_t done, uint64_t total)
{
    int percent = (int)((double)done * 100 / (double)(total ? total : 1));
    if (percent == *shown || percent > 100)
        return;
    printf("%d\n", *shown = percent);
    fflush(stdout);
}

int vdisk_status(const struct err *e)
{
    fprintf(stderr, "%s\n", e->msg);
    return e->kind == ERR_BUSY ? EXIT_IN_USE : EXIT_FAILED;
}

static void usage(FILE *f)
{
    fputs("Usage: lodge-vdiskmanager -c -s SIZE [-t TYPE] [-a ADAPTER] [-q] DISK.vmdk\n"
          "       lodge-vdiskmanager -r DISK [-t TYPE] [-a ADAPTER] [-q] NEW.vmdk\n"
          "       lodge-vdiskmanager -i DISK\n"
          "       lodge-vdiskmanager -U DISK\n\n"
          "  -c            create a disk\n"
          "  -s SIZE       its size: a number with MB, GB or TB\n"
          "  -t TYPE       0 grows, one file (default); 1 grows, files of 2 GB; 2 whole size at once, one file; 3 "
          "whole size at once, files of 2 GB\n"
          "  -a ADAPTER    ide (default), lsilogic or buslogic\n"
          "  -r DISK       copy a disk, of any format that a machine can use, to a new one\n"
          "  -i            say the format, size in bytes, type and files of a disk\n"
          "  -U            remove all files of a disk\n"
          "  -q            no progress\n"
          "  -h, -V        this text; version\n\n"
          "Exit status: 0 done, 1 failed (nothing is left behind), 2 wrong usage, 3 the disk is in use.\n",
          f);
}

static int parse_size(const char *s, uint64_t *out)
{
    char *end;
    errno = 0;
    double v = strtod(s, &end);
    uint64_t unit = !strcasecmp(end, "KB")                            ? 1ull << 10
                    : !strcasecmp(end, "MB") || !strcasecmp(end, "M") ? 1ull << 20
                    : !strcasecmp(end, "GB") || !strcasecmp(end, "G") ? 1ull << 30
                    : !strcasecmp(end, "TB") || !strcasecmp(end, "T") ? 1ull << 40
                                                                      : 0;
    if (end == s || errno || !unit || !(v > 0) || v * (double)unit > (double)MAX_SIZE || v * (double)unit < 512)
        return -1;
    *out = (uint64_t)(v * (double)unit);
    return 0;
}

static int create_file(void *u, const char *name, struct hostfile *out, struct err *e)
{
    struct made *m = u;
    char **more = realloc(m->names, (m->n + 1) * sizeof *more);
    if (!more)
        return err_set(e, ERR_NOMEM, 0, "out of memory");
    m->names = more;
    if (stop)
        return err_set(e, ERR_IO, 0, "stopped");
    if (hostfile_create(out, m->dir, name, e) < 0)
        return -1;
    m->names[m->n] = strdup(name);
    if (m->names[m->n])
        m->n++;
    return 0;
}

static uint64_t file_size(int fd)
{
    off_t n = lseek(fd, 0, SEEK_END);
    return n > 0 ? (uint64_t)n : 0;
}

/* Takes the space of all files now; the numbers are percent. */
static int allocate(struct made *m, uint64_t total, bool quiet, struct err *e)
{
    uint64_t done = 0;
    int shown = -1;
    for (size_t i = 0; i < m->n; i++) {
        int fd = openat(m->dir, m->names[i], O_RDWR | O_CLOEXEC), rc = 0;
        uint64_t size = fd < 0 ? 0 : file_size(fd);
        if (fd < 0)
            return err_set(e, ERR_IO, errno, "%s cannot be opened: %s", m->names[i], strerror(errno));
        for (uint64_t at = 0; at < size && !rc; at += STEP) {
            uint64_t n = size - at < STEP ? size - at : STEP;
            if (stop)
                rc = err_set(e, ERR_IO, 0, "stopped");
            else if ((errno = posix_fallocate(fd, (off_t)at, (off_t)n)) != 0)
                rc = err_set(e, ERR_IO, errno, "%s: no room for the whole disk: %s", m->names[i], strerror(errno));
            done += n;
            if (!quiet)
                vdisk_progress(&shown, done, total);
        }
        close(fd);
        if (rc)
            return rc;
    }
    return 0;
}

int vdisk_create(const char *path, const struct vmdk_create_params *p, bool allocate_now, bool quiet, const struct vdisk_fill *f,
                 struct err *e)
{
    char *copy1 = strdup(path), *copy2 = strdup(path);
    struct made m = {.dir = open(dirname(copy1), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    struct vmdk_creator c = {create_file, &m};
    int rc = m.dir < 0 ? err_set(e, ERR_IO, errno, "the folder of %s cannot be opened: %s", path, strerror(errno))
                       : vmdk_create(basename(copy2), p, &c, e);
    if (!rc && allocate_now)
        rc = allocate(&m, p->size, quiet, e);
    if (!rc && f)
        rc = f->fill(f->u, e);
    for (size_t i = 0; i < m.n; i++) {
        if (rc)
            unlinkat(m.dir, m.names[i], 0);
        free(m.names[i]);
    }
    free(m.names);
    if (m.dir >= 0)
        close(m.dir);
    free(copy1);
    free(copy2);
    return rc;
}

int main(int argc, char **argv)
{
    struct vmdk_create_params p = {.type = VMDK_MONOLITHIC_SPARSE, .hw_version = HW_VERSION};
    int o, mode = 0, type = 0;
    bool quiet = false;
    const char *from = NULL;
    struct err e = {0};
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {0}};
    while ((o = getopt_long(argc, argv, "cs:t:a:r:iUqhV", options, NULL)) != -1) {
        switch (o) {
        case 'c':
        case 'i':
        case 'U': mode = o; break;
        case 'r':
            mode = o;
            from = optarg;
            break;
        case 's':
            if (parse_size(optarg, &p.size)) {
                fprintf(stderr,
                        "lodge-vdiskmanager: \"%s\" is not a size; it is a number with MB, GB or TB, up to 62TB.\n",
                        optarg);
                return EXIT_USAGE;
            }
            break;
        case 't':
            type = optarg[0] - '0';
            if (type < 0 || type > 3 || optarg[1]) {
                fputs("lodge-vdiskmanager: the disk type is 0, 1, 2 or 3.\n", stderr);
                return EXIT_USAGE;
            }
            p.type = (enum vmdk_type)type;
            break;
        case 'a':
            if (strcmp(optarg, "ide") && strcmp(optarg, "lsilogic") && strcmp(optarg, "buslogic")) {
                fputs("lodge-vdiskmanager: the adapter is ide, lsilogic or buslogic.\n", stderr);
                return EXIT_USAGE;
            }
            p.adapter = optarg;
            break;
        case 'q': quiet = true; break;
        case 'h': usage(stdout); return 0;
        case 'V': puts("lodge-vdiskmanager " PACKAGE_VERSION); return 0;
        default: fputs("Try lodge-vdiskmanager -h.\n", stderr); return EXIT_USAGE;
        }
    }
    if (!mode || optind + 1 != argc || (mode == 'c' && !p.size)) {
        usage(stderr);
        return EXIT_USAGE;
    }
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    if (mode == 'i')
        return vdisk_info(argv[optind]);
    if (mode == 'U')
        return vdisk_remove(argv[optind]);
    if (mode == 'r')
        return vdisk_convert(from, argv[optind], p.type, p.adapter, HW_VERSION, quiet);
    p.adapter = p.adapter ? p.adapter : "ide";
    return vdisk_create(argv[optind], &p, type >= 2, quiet, NULL, &e) ? vdisk_status(&e) : 0;
}
