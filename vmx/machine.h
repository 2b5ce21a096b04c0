/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A built machine: the composition root that turns a plan into devices and back ends. All calls [main] unless said. */
#ifndef LODGE_VMX_MACHINE_H
#define LODGE_VMX_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/clock.h"

struct display;
struct input;
struct machine;
struct machine_net;
struct plan;
struct vm;
struct vm_events;

struct machine_hooks {
    const struct vm_events *events; /* of the vm */
    void (*thread_started)(void *u, const char *kind);
    void (*nvram_changed)(void *u); /* [dev] the CMOS bytes should be saved soon */
    void (*tray)(void *u, unsigned channel, unsigned unit, bool open); /* [dev] */
    void (*memory_low)(void *u, const char *text); /* [any] the host has almost no memory left: pause */
    void *u;
    struct clock_mark mark; /* when the user asked for the machine */
    const uint8_t *nvram; /* 256 bytes of CMOS memory from the last run, copied; NULL: none */
};

/* Opens the images, makes devices; nothing of the guest runs yet. Writes to no file of the user. */
struct machine *machine_build(const struct plan *p, const struct machine_hooks *h, struct err *e);
/* For --check: opens each disk and CD image for reading, and says what is wrong with it. */
void machine_check_images(const struct plan *p, void (*bad)(void *u, int channel, int unit, const char *text), void *u);
/* Serial back ends and the VNC server: what other programs see. After machine_build, before vm_run. */
int machine_connect(struct machine *m, struct err *e);
void machine_destroy(struct machine *m); /* drains and closes the images; NULL is allowed */

/* A key of the .vmx has another value now (NULL: none). True: it acts at once; else at the next power on. */
bool machine_set_key(struct machine *m, const char *key, const char *value);
int machine_set_balloon(struct machine *m, int64_t mb, struct err *e); /* memory_set_balloon */
struct vm *machine_vm(struct machine *m);
struct display *machine_display(struct machine *m);
struct input *machine_input(struct machine *m);
struct machine_net *machine_net(struct machine *m); /* net_link.h; NULL: no adapters */
const char *machine_engine(const struct machine *m); /* "bt" or "vt" */
const char *machine_notice(const struct machine *m); /* memory_notice */
unsigned machine_vnc_port(const struct machine *m);  /* 0: no VNC server */
unsigned machine_vnc_clients(struct machine *m);
const char *machine_serial_path(const struct machine *m, unsigned i); /* file, socket or pty of serialN; NULL: none */
/* Where each vCPU stands, for developers (debug = "TRUE"). The vm must not be running. */
void machine_log_cpus(struct machine *m);
/* Goes on with the other engine: "software" or "hardware". The vm is paused. */
int machine_switch_engine(struct machine *m, const char *name, struct err *e);
void machine_power_button(struct machine *m);
/* node "ide1:0"; path NULL: eject. force: also when the guest has locked the tray. */
int machine_change_medium(struct machine *m, const char *node, const char *path, bool force, struct err *e);
/* What the guest finds in each CD drive: its image; NULL: an empty drive, or the tray is open. */
void machine_media(struct machine *m, void (*fn)(void *u, const char *node, const char *path), void *u);
/* The size that the window would like. True: the guest follows now; false: it will see it when its display driver starts. */
bool machine_prefer_screen(struct machine *m, uint32_t width, uint32_t height);
int machine_screenshot(struct machine *m, uint8_t **png, size_t *size, struct err *e);
void machine_statistics(struct machine *m, void (*fn)(void *u, const char *name, uint64_t value), void *u);
/* The 256 bytes of CMOS memory as the guest left them; copied under the chipset lock. */
void machine_nvram(struct machine *m, uint8_t out[256]);

#endif
