/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory from the host. */
#define _GNU_SOURCE
#include "base/osmem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

static size_t pages(size_t n) { return (n + PAGE - 1) & ~(size_t)(PAGE - 1); }

static void *map(size_t n, int prot, int flags, int fd, struct err *e)
{
    void *p = n && pages(n) >= n ? mmap(NULL, pages(n), prot, flags, fd, 0) : MAP_FAILED;
    if (p == MAP_FAILED) {
        err_set(e, ERR_NOMEM, errno,
                "The host has no %zu MiB of memory for this virtual machine: %s. Close other programs or give the "
                "virtual machine less memory.",
                n >> 20, strerror(errno));
        return NULL;
    }
    return p;
}

void *osmem_alloc(size_t n, struct err *e)
{
    return map(n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, e);
}

void *osmem_reserve(size_t n, struct err *e)
{
    return map(n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, e);
}

int osmem_commit(void *p, size_t n, struct err *e)
{
    if (mprotect(p, pages(n), PROT_READ | PROT_WRITE))
        return err_set(e, ERR_NOMEM, errno, "The host has no %zu KiB of memory left: %s.", n >> 10, strerror(errno));
    return 0;
}

void osmem_decommit(void *p, size_t n)
{
    /* A new mapping on top: drops the pages and the rights in one call, also for private memory that was swapped. */
    (void)mmap(p, pages(n), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

void osmem_free(void *p, size_t n)
{
    if (p)
        munmap(p, pages(n));
}

int osmem_memfd(const char *name, size_t n, struct err *e)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_set(e, ERR_HOST, errno, "The host cannot make shared memory (%s): %s.", name, strerror(errno));
    if (ftruncate(fd, (off_t)pages(n))) {
        err_set(e, ERR_NOMEM, errno, "The host has no %zu MiB of shared memory: %s.", n >> 20, strerror(errno));
        close(fd);
        return -1;
    }
    /* Whoever gets the descriptor cannot shrink it under our feet (a shorter file would be SIGBUS for us). */
    (void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    return fd;
}

void *osmem_map_fd(int fd, size_t n, struct err *e) { return map(n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, e); }

int osmem_dual_map(size_t n, void **rw, void **rx, struct err *e)
{
    *rw = *rx = NULL;
    int fd = osmem_memfd("lodge-code", n, e);
    if (fd < 0)
        return -1;
    *rw = map(n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, e);
    if (*rw)
        *rx = map(n, PROT_READ | PROT_EXEC, MAP_SHARED, fd, e);
    close(fd);
    if (*rw && *rx)
        return 0;
    osmem_free(*rw, n);
    *rw = NULL;
    return -1;
}

void osmem_dual_unmap(void *rw, void *rx, size_t n)
{
    osmem_free(rw, n);
    osmem_free(rx, n);
}
