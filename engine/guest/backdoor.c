/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMware backdoor: IN EAX, DX from port 5658h with the magic number in EAX and a command in CX. Answers come in registers, so the device
 * asks the machine for those of the vCPU. The message channels (command 30, port 5659h) answer as a host that has none: no status bit is set.
 *
 * vmmouse is the absolute pointer behind commands 39-41 and 86: packets of four words {buttons, x, y, wheel} in a queue. A guest notices them
 * because the PS/2 mouse interrupts; so each packet pokes that mouse.
 */
#include "guest/backdoor.h"

#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/vm.h"
#include "input/input.h"

#define BDOOR_MAGIC 0x564d5868u
enum {
    CMD_GETMHZ = 1, CMD_GETPTRLOCATION = 4, CMD_GETSELLENGTH = 6, CMD_GETVERSION = 10, CMD_GETDEVICELISTELEMENT = 11, CMD_TOGGLEDEVICE = 12,
    CMD_GETGUIOPTIONS = 13, CMD_SETGUIOPTIONS = 14, CMD_GETSCREENSIZE = 15, CMD_GETHWVERSION = 17, CMD_OSNOTFOUND = 18, CMD_GETUUID = 19,
    CMD_GETMEMSIZE = 20, CMD_GETTIME = 23, CMD_MESSAGE = 30, CMD_ISACPIDISABLED = 34, CMD_ISMOUSEABSOLUTE = 36, CMD_ABSPOINTER_DATA = 39,
    CMD_ABSPOINTER_STATUS, CMD_ABSPOINTER_COMMAND, CMD_GETHZ = 45, CMD_GETTIMEFULL = 46, CMD_ISGOSDARWIN = 52, CMD_GETTIMEFULL_WITH_LAG = 55,
    CMD_GET_VCPU_INFO = 68, CMD_ABSPOINTER_RESTRICT = 86, CMD_GETBUILDNUM = 100
};
enum { VCPU_SYNC_VTSCS = 1 << 1, VCPU_LEGACY_X2APIC_OK = 1 << 3 };
#define VMMOUSE_READ_ID 0x45414552u
#define VMMOUSE_DISABLE 0x000000f5u
#define VMMOUSE_RELATIVE 0x4c455252u
#define VMMOUSE_ABSOLUTE 0x53424152u
#define VMMOUSE_VERSION 0x3442554au
#define VMMOUSE_ERROR 0xffffu
enum { VMMOUSE_LEFT = 0x20, VMMOUSE_RIGHT = 0x10, VMMOUSE_MIDDLE = 0x08 };
enum { RESTRICT_ANY, RESTRICT_CPL0, RESTRICT_IOPL };
#define QUEUE_WORDS 256 /* 64 packets */
#define PACKET 4
#define NONE 0xffffffffu
#define MAX_LAG_US 1000000u

struct backdoor {
    struct dev dev;
    struct backdoor_params p;
    uint32_t gui_options;
    /* vmmouse */
    uint32_t queue[QUEUE_WORDS];
    uint32_t n, status; /* words queued; VMMOUSE_ERROR: off, or the protocol was broken */
    bool absolute;
    uint8_t restricted, buttons;
    uint16_t x, y;
    int sink_id;
    struct input_sink sink;
    struct port_range ports;
};

/* ---- vmmouse ---- */

static void vmmouse_set_absolute(struct backdoor *b, bool on)
{
    b->absolute = on;
    if (b->sink_id >= 0)
        input_sink_activate(b->p.input, b->sink_id, on);
}

static void vmmouse_off(struct backdoor *b)
{
    b->n = 0;
    b->status = VMMOUSE_ERROR;
    vmmouse_set_absolute(b, false);
}

static bool vmmouse_event(void *dev, const struct input_event *ev, int n)
{
    struct backdoor *b = dev;
    int wheel = 0;
    bool only_moved = true;
    static const uint8_t button[3] = {VMMOUSE_LEFT, VMMOUSE_RIGHT, VMMOUSE_MIDDLE};
    if (!b->absolute || b->status)
        return false;
    for (int i = 0; i < n; i++) {
        switch (ev[i].type) {
        case IN_ABS:
            b->x = ev[i].x < 0 ? 0 : ev[i].x > 0xffff ? 0xffff : ev[i].x;
            b->y = ev[i].y < 0 ? 0 : ev[i].y > 0xffff ? 0xffff : ev[i].y;
            break;
        case IN_BUTTON:
            if (ev[i].code < 3)
                b->buttons = ev[i].x ? b->buttons | button[ev[i].code] : b->buttons & ~button[ev[i].code];
            only_moved = false;
            break;
        case IN_WHEEL:
            wheel -= ev[i].y; /* positive = towards the user */
            only_moved = false;
            break;
        default:
            break;
        }
    }
    wheel = wheel < -128 ? -128 : wheel > 127 ? 127 : wheel;
    uint32_t packet[PACKET] = {b->buttons, b->x, b->y, (uint32_t)wheel};
    if (b->n + PACKET > QUEUE_WORDS) {
        /* The guest does not read: the newest position replaces the last one, clicks that do not fit are lost. */
        uint32_t *last = &b->queue[QUEUE_WORDS - PACKET];
        if (only_moved && b->n % PACKET == 0)
            memcpy(last + 1, packet + 1, 2 * sizeof *last);
    } else {
        memcpy(&b->queue[b->n], packet, sizeof packet);
        b->n += PACKET;
    }
    if (b->p.mouse_poke)
        b->p.mouse_poke(b->p.mouse_poke_u);
    return true;
}

static void vmmouse_command(struct backdoor *b, uint32_t cmd)
{
    switch (cmd) {
    case VMMOUSE_READ_ID:
        b->status = 0;
        if (b->n == 0)
            b->queue[b->n++] = VMMOUSE_VERSION;
        break;
    case VMMOUSE_DISABLE:
        vmmouse_off(b);
        break;
    case VMMOUSE_RELATIVE:
        vmmouse_set_absolute(b, false);
        break;
    case VMMOUSE_ABSOLUTE:
        vmmouse_set_absolute(b, true);
        break;
    }
}

/* Up to six words, in EAX, EBX, ECX, EDX, ESI, EDI. */
static void vmmouse_data(struct backdoor *b, struct backdoor_regs *r)
{
    uint32_t want = r->ebx, *out[6] = {&r->eax, &r->ebx, &r->ecx, &r->edx, &r->esi, &r->edi};
    if (want == 0 || want > 6 || want > b->n) {
        guest_error(b->dev.id, "vmmouse: %u words asked for, %u there", want, b->n);
        b->status = VMMOUSE_ERROR;
        b->n = 0;
        r->eax = NONE;
        return;
    }
    for (unsigned i = 0; i < want; i++)
        *out[i] = b->queue[i];
    b->n -= want;
    memmove(b->queue, b->queue + want, b->n * sizeof b->queue[0]);
}

static bool vmmouse_allowed(const struct backdoor *b, const struct backdoor_regs *r)
{
    if (!b->p.vmmouse)
        return false;
    if (b->restricted == RESTRICT_CPL0)
        return r->cpl == 0;
    return b->restricted == RESTRICT_ANY || r->cpl <= r->iopl;
}

/* ---- commands ---- */

static void backdoor_time(struct backdoor *b, uint64_t *sec, uint32_t *us)
{
    int64_t ns = clock_wall(b->dev.vm);
    *sec = ns < 0 ? 0 : ns / 1000000000;
    *us = ns < 0 ? 0 : ns % 1000000000 / 1000;
}

/* False: EAX becomes all ones and nothing else changes. */
static bool backdoor_command(struct backdoor *b, struct backdoor_regs *r)
{
    uint64_t hz = clock_tsc_khz(b->dev.vm) * 1000, sec;
    uint32_t w, h;
    switch (r->ecx & 0xffff) {
    case CMD_GETMHZ:
        r->eax = hz / 1000000;
        return true;
    case CMD_GETPTRLOCATION:
        r->eax = 0xff9cff9c; /* (-100, -100): the pointer is not grabbed */
        return true;
    case CMD_GETVERSION:
        r->eax = 6;
        r->ebx = BDOOR_MAGIC;
        r->ecx = b->p.product;
        return true;
    case CMD_GETDEVICELISTELEMENT:
    case CMD_TOGGLEDEVICE:
        r->eax = 0; /* the list is empty */
        return true;
    case CMD_GETGUIOPTIONS:
        r->eax = b->gui_options;
        return true;
    case CMD_SETGUIOPTIONS:
        b->gui_options = r->ebx;
        return true;
    case CMD_GETSCREENSIZE:
        if (!b->p.screen_size || !b->p.screen_size(b->p.screen_u, &w, &h))
            return false;
        r->eax = (w & 0xffff) << 16 | (h & 0xffff);
        return true;
    case CMD_GETHWVERSION:
        r->eax = b->p.hw_version;
        return true;
    case CMD_OSNOTFOUND:
        if (r->cpl)
            return false;
        log_msg(LOG_INFO, b->dev.id, "The firmware found no operating system.");
        return true;
    case CMD_GETUUID:
        r->eax = ld_le32(b->p.uuid);
        r->ebx = ld_le32(b->p.uuid + 4);
        r->ecx = ld_le32(b->p.uuid + 8);
        r->edx = ld_le32(b->p.uuid + 12);
        return true;
    case CMD_GETMEMSIZE:
        r->eax = b->p.mem_mb;
        return true;
    case CMD_GETTIME:
        backdoor_time(b, &sec, &r->ebx);
        r->eax = sec;
        r->ecx = MAX_LAG_US;
        return true;
    case CMD_GETTIMEFULL: /* EAX stays the magic number */
    case CMD_GETTIMEFULL_WITH_LAG:
        if ((r->ecx & 0xffff) == CMD_GETTIMEFULL_WITH_LAG)
            r->edi = 0; /* timer interrupts do not lag behind the clock */
        backdoor_time(b, &sec, &r->ebx);
        r->esi = sec >> 32;
        r->edx = sec;
        r->ecx = MAX_LAG_US;
        return true;
    case CMD_MESSAGE:
        r->ecx &= 0xffff; /* status: no SUCCESS */
        return false;
    case CMD_ISACPIDISABLED:
    case CMD_ISGOSDARWIN:
        r->eax = 0;
        return true;
    case CMD_ISMOUSEABSOLUTE:
        r->eax = b->absolute;
        return true;
    case CMD_ABSPOINTER_DATA:
        if (!vmmouse_allowed(b, r))
            return false;
        vmmouse_data(b, r);
        return true;
    case CMD_ABSPOINTER_STATUS:
        if (!vmmouse_allowed(b, r))
            return false;
        r->eax = b->status << 16 | b->n;
        return true;
    case CMD_ABSPOINTER_COMMAND:
        if (!vmmouse_allowed(b, r))
            return false;
        vmmouse_command(b, r->ebx);
        return true;
    case CMD_ABSPOINTER_RESTRICT:
        if (!vmmouse_allowed(b, r) || r->ebx > RESTRICT_IOPL)
            return false;
        b->restricted = r->ebx;
        return true;
    case CMD_GETHZ:
        r->eax = (uint32_t)hz;
        r->ebx = hz >> 32;
        r->ecx = b->p.bus_hz;
        return true;
    case CMD_GET_VCPU_INFO:
        r->eax = VCPU_SYNC_VTSCS | (b->p.legacy_x2apic ? VCPU_LEGACY_X2APIC_OK : 0);
        return true;
    case CMD_GETBUILDNUM:
        r->eax = b->p.build;
        return true;
    default: /* GETSELLENGTH among them: -1 is "no selection" */
        return false;
    }
}

static uint64_t backdoor_read(void *dev, uint64_t off, unsigned size)
{
    struct backdoor *b = dev;
    struct vcpu *v = vcpu_current();
    struct backdoor_regs r = {0}, old;
    if (off != 0 || size != 4 || !v)
        return NONE;
    b->p.get_regs(b->p.regs_u, v, &r);
    if (r.eax != BDOOR_MAGIC)
        return NONE; /* an unassigned port */
    old = r;
    if (!backdoor_command(b, &r))
        r.eax = NONE;
    if (r.ebx != old.ebx || r.ecx != old.ecx || r.edx != old.edx || r.esi != old.esi || r.edi != old.edi)
        b->p.set_regs(b->p.regs_u, v, &r);
    return r.eax;
}

static void backdoor_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
}

/* The high-bandwidth port: a guest finds its status in EBX 31:16. */
static void backdoor_high_bandwidth(struct backdoor *b, uint64_t off)
{
    struct vcpu *v = vcpu_current();
    struct backdoor_regs r = {0};
    if (off != 1 || !v)
        return;
    b->p.get_regs(b->p.regs_u, v, &r);
    if (r.eax != BDOOR_MAGIC || !(r.ebx >> 16))
        return;
    r.ebx &= 0xffff;
    b->p.set_regs(b->p.regs_u, v, &r);
}

static void backdoor_read_rep(void *dev, uint64_t off, unsigned size, void *buf, unsigned n)
{
    memset(buf, 0xff, (size_t)size * n);
    backdoor_high_bandwidth(dev, off);
}

static void backdoor_write_rep(void *dev, uint64_t off, unsigned size, const void *buf, unsigned n)
{
    backdoor_high_bandwidth(dev, off);
}

static const struct io_ops backdoor_ops = {
    .read = backdoor_read,
    .write = backdoor_write,
    .read_rep = backdoor_read_rep,
    .write_rep = backdoor_write_rep,
    .widths = IO_8 | IO_16 | IO_32,
};

static void backdoor_reset(struct dev *dev, enum reset_kind k)
{
    struct backdoor *b = (struct backdoor *)dev;
    b->gui_options = 0;
    b->n = 0;
    b->status = VMMOUSE_ERROR;
    b->restricted = RESTRICT_ANY;
    b->buttons = 0;
    b->x = b->y = 0;
    b->absolute = false;
}

static void backdoor_reset_done(struct dev *dev)
{
    struct backdoor *b = (struct backdoor *)dev;
    vmmouse_set_absolute(b, false);
}

static int backdoor_init(struct dev *dev, const void *params, struct err *e)
{
    struct backdoor *b = (struct backdoor *)dev;
    b->p = *(const struct backdoor_params *)params;
    b->sink_id = -1;
    b->status = VMMOUSE_ERROR;
    b->ports = (struct port_range){.owner = dev->id, .first = 0x5658, .count = 4, .ops = &backdoor_ops, .dev = b};
    if (port_claim(dev->vm, &b->ports, e) < 0)
        return -1;
    if (b->p.vmmouse && b->p.input) {
        b->sink = (struct input_sink){.event = vmmouse_event, .absolute = true, .pointer = true};
        b->sink_id = input_sink_add(b->p.input, &b->sink, b);
        if (b->sink_id < 0)
            return err_set(e, ERR_HOST, 0, "The absolute pointer cannot be connected to the input router.");
    }
    return 0;
}

static int backdoor_post_load(void *dev, unsigned version, struct err *e)
{
    struct backdoor *b = dev;
    vmmouse_set_absolute(b, b->absolute && b->p.vmmouse);
    return 0;
}

static const struct state_field backdoor_fields[] = {
    SF(struct backdoor, gui_options, SF_U32),
    SF_ARR(struct backdoor, queue, SF_U32),
    SF_MAX(struct backdoor, n, SF_U32, QUEUE_WORDS),
    SF_MAX(struct backdoor, status, SF_U32, VMMOUSE_ERROR),
    SF(struct backdoor, absolute, SF_BOOL),
    SF_MAX(struct backdoor, restricted, SF_U8, RESTRICT_IOPL),
    SF(struct backdoor, buttons, SF_U8),
    SF(struct backdoor, x, SF_U16),
    SF(struct backdoor, y, SF_U16),
    {0},
};
static const struct state_desc backdoor_state = {
    .name = "backdoor", .version = 1, .min_version = 1, .fields = backdoor_fields, .post_load = backdoor_post_load};

const struct dev_class backdoor_class = {
    .name = "backdoor",
    .size = sizeof(struct backdoor),
    .init = backdoor_init,
    .reset = backdoor_reset,
    .reset_done = backdoor_reset_done,
    .state = &backdoor_state,
};
