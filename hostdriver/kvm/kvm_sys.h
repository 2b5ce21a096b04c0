/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system calls of the VT engine, and nothing else: one table, so that a test can put a host in its place that
 * refuses, fails or answers nonsense.
 */
#ifndef LODGE_HOSTDRIVER_KVM_SYS_H
#define LODGE_HOSTDRIVER_KVM_SYS_H

#include <stddef.h>
#include <stdint.h>

struct kvm_sys {
    int (*open)(const char *path);
    int (*ioctl)(int fd, unsigned long request, void *arg); /* -1 and errno */
    void *(*map)(int fd, size_t size);                      /* NULL and errno */
    void (*unmap)(void *p, size_t size);
    void (*close)(int fd);
};
extern const struct kvm_sys kvm_sys_host;

/* The table in use. kvm_sys_replace(NULL) brings back the host's. Before any vm exists. [main] */
const struct kvm_sys *kvm_sys_get(void);
void kvm_sys_replace(const struct kvm_sys *s);

/* All but KVM_RUN: an interrupted call is made again. */
int kvm_call(int fd, unsigned long request, void *arg);
int kvm_call_n(int fd, unsigned long request, unsigned long arg);
int kvm_has(int fd, unsigned cap); /* KVM_CHECK_EXTENSION; 0 when refused */
int kvm_enable(int fd, unsigned cap, uint64_t arg0);

#endif
