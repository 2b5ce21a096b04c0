/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a .vmx asks for, as plain values: made once from the dictionary, checked against the files of the host, used by machine.c. */
#ifndef LODGE_VMX_PLAN_H
#define LODGE_VMX_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "config/vmx_schema.h"

enum plan_engine { ENGINE_AUTO, ENGINE_HARDWARE, ENGINE_SOFTWARE };
enum plan_drive_kind { DRIVE_NONE, DRIVE_DISK, DRIVE_CD };
struct plan_drive {
    enum plan_drive_kind kind;
    char *path;         /* NULL: empty CD drive */
    bool nonpersistent; /* writes are thrown away at power off */
};
enum plan_serial_kind { SERIAL_NONE, SERIAL_UNCONNECTED, SERIAL_FILE, SERIAL_PIPE_SERVER, SERIAL_PIPE_CLIENT, SERIAL_PTY };
struct plan_serial {
    enum plan_serial_kind kind;
    char *path; /* pty: a symbolic link to make, or NULL */
};

struct plan {
    char *vmx_path; /* absolute */
    char *dir;      /* folder of the .vmx, with a slash behind it */
    char *base;     /* file name without .vmx */
    char *name;     /* displayName, else base */
    char *guest_os;
    unsigned hw_version;
    uint64_t ram;
    int64_t trim_rate; /* MemTrimRate: -1 the default, 0 off */
    bool share_pages;
    int64_t mem_min, mem_max, mem_maxctl; /* sched.mem.*, MB; -1: none */
    unsigned mem_shares;
    bool mem_pin, mem_huge;
    char *mem_file;          /* NULL: anonymous memory */
    uint64_t mem_limit;      /* MB that all machines may have together */
    unsigned mem_fit;        /* percent of each machine's memory that must fit in it */
    unsigned n_vcpus, cores_per_socket;
    enum plan_engine engine;
    char *bt_stress; /* fault finding: see bt_stress_parse */
    bool hide_longmode, hypervisor_leaves, restrict_backdoor, pseudo_perfctr, hpet, vmmouse, debug;
    char *bios_path, *vgabios_path;
    char *nvram_path;
    char *boot_order, *hdd_order; /* as in the file */
    unsigned boot_delay_ms, boot_retry_ms; /* boot_retry_ms 0: no retry */
    int64_t rtc_start;                     /* seconds since 1970, -1: now */
    int64_t rtc_diff;                      /* seconds */
    struct plan_drive drive[2][2];
    bool disk_locking;
    struct plan_serial serial[4];
    struct plan_net *net; /* net_plan.h */
    uint64_t vram;
    unsigned max_width, max_height;
    bool vnc;
    char *vnc_ip, *vnc_password, *vnc_keymap;
    unsigned vnc_port, vnc_max_clients;
    bool gdb, gdb64, gdb_remote, gdb_hold; /* the gdb server */
    unsigned gdb_port;
    bool logging, log_append;
    char *log_path;
    unsigned log_keep;
    uint64_t log_rotate;
    uint8_t uuid[16]; /* filled by identity.c */
};

/* Fills *p; problems with files (missing image, no firmware) go to fn with the line and key that name them. Returns the number of errors
 * reported. plan_free also after errors. [main] */
unsigned plan_make(struct plan *p, const struct vmx_dict *d, const char *vmx_path, vmx_problem_fn fn, void *u);
void plan_free(struct plan *p);
/* A file named in the .vmx: relative names start at the folder of the .vmx; backslashes of Windows become slashes in relative names. */
char *plan_resolve(const struct plan *p, const char *name);

#endif
