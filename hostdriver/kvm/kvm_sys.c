/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The system calls of the VT engine. */
#define _GNU_SOURCE
#include "kvm/kvm_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int host_open(const char *path) { return open(path, O_RDWR | O_CLOEXEC); }
static int host_ioctl(int fd, unsigned long request, void *arg) { return ioctl(fd, request, arg); }
static void *host_map(int fd, size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}
static void host_unmap(void *p, size_t size) { munmap(p, size); }
static void host_close(int fd) { close(fd); }

const struct kvm_sys kvm_sys_host = {host_open, host_ioctl, host_map, host_unmap, host_close};

static const struct kvm_sys *in_use = &kvm_sys_host;

const struct kvm_sys *kvm_sys_get(void) { return in_use; }
void kvm_sys_replace(const struct kvm_sys *s) { in_use = s ? s : &kvm_sys_host; }

int kvm_call(int fd, unsigned long request, void *arg)
{
    int rc;
    do
        rc = in_use->ioctl(fd, request, arg);
    while (rc < 0 && errno == EINTR);
    return rc;
}

int kvm_call_n(int fd, unsigned long request, unsigned long arg) { return kvm_call(fd, request, (void *)arg); }

int kvm_has(int fd, unsigned cap)
{
    int rc = kvm_call_n(fd, KVM_CHECK_EXTENSION, cap);
    return rc < 0 ? 0 : rc;
}

int kvm_enable(int fd, unsigned cap, uint64_t arg0)
{
    struct kvm_enable_cap c = {.cap = cap, .args = {arg0}};
    return kvm_call(fd, KVM_ENABLE_CAP, &c);
}
