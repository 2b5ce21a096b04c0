/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 8042 with the firmware of a PS/2 (IBM PS/2 Technical Reference, "Keyboard and Auxiliary Device Controller"): ports 60h and 64h, two
 * device ports, translation of scan code set 2 into set 1, A20 gate and reset output.
 *
 * One byte at a time stands in the output buffer. Replies of the controller wait in `reply` and go first, then the keyboard's bytes, then the
 * mouse's. After the guest has read a device's byte the next one comes BYTE_NS later, as on the wire: software that reads port 60h twice for one
 * interrupt gets the same byte.
 */
#include "chipset/kbc.h"

#include <string.h>

#include "core/vm.h"

enum {
    STS_OBF = 0x01,
    STS_SYS = 0x04,
    STS_CMD = 0x08,
    STS_UNLOCKED = 0x10,
    STS_AUX_OBF = 0x20,

    CCB_INT = 0x01,
    CCB_INT2 = 0x02,
    CCB_SYS = 0x04,
    CCB_DISABLE = 0x10,
    CCB_DISABLE2 = 0x20,
    CCB_XLATE = 0x40,
    CCB_RESET = CCB_XLATE | CCB_DISABLE | CCB_DISABLE2,

    P2_RESET = 0x01, /* low: RCIN#, which the chipset makes into INIT# */
    P2_A20 = 0x02,
    P2_OBF2 = 0x10,
    P2_OBF = 0x20,
    P2_FIXED = 0xc0,

    /* What the next byte written to port 60h is for. */
    PAR_NONE = 0,
    PAR_RAM = 0x60, /* 60h-7Fh: controller RAM, byte 0 is the command byte */
    PAR_P2 = 0xd1,
    PAR_KBD_OBUF = 0xd2,
    PAR_AUX_OBUF = 0xd3,
    PAR_AUX = 0xd4,

    N_REPLY = 4,
    BYTE_NS = 150000,
};

/* Set 2 to set 1; codes from 85h on pass unchanged. 83h (F7) and 84h (Alt+SysRq) are above the table. */
static const uint8_t xlate[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10,
    0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21,
    0x14, 0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33,
    0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e,
    0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e,
    0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

struct kbc {
    struct dev dev;
    struct port_range data_port, cmd_port;
    struct irq_line irq1, irq12, a20;
    struct ps2_link *kbd, *aux;
    struct vtimer next_byte;
    /* guest-visible */
    uint8_t ram[32]; /* [0]: command byte */
    uint8_t p2;
    uint8_t obuf;
    bool obf, obf_aux, last_was_cmd;
    uint8_t param; /* PAR_*, or 61h-7Fh */
    bool release;  /* F0h of set 2 has come: the next code is a release */
    uint8_t reply[N_REPLY], n_reply;
    uint8_t reply_aux; /* bit n: reply[n] stands for the auxiliary device */
    uint64_t not_before;
};

/* ---- output buffer ---- */

static void lines(struct kbc *k)
{
    irq_set(&k->irq1, k->obf && !k->obf_aux && k->ram[0] & CCB_INT);
    irq_set(&k->irq12, k->obf && k->obf_aux && k->ram[0] & CCB_INT2);
}

static void output(struct kbc *k, uint8_t v, bool aux)
{
    k->obuf = v;
    k->obf = true;
    k->obf_aux = aux;
    lines(k);
}

/* One byte of the keyboard, through the translation; false when it was the release prefix, which gives no byte yet. */
static bool translate(struct kbc *k, uint8_t *v)
{
    if (!(k->ram[0] & CCB_XLATE)) {
        k->release = false;
        return true;
    }
    if (*v == 0xf0) {
        k->release = true;
        return false;
    }
    uint8_t code = *v < 0x80 ? xlate[*v] : *v == 0x83 ? 0x41 : *v == 0x84 ? 0x54 : *v;
    *v = k->release ? code | 0x80 : code;
    k->release = false;
    return true;
}

static void fill(struct kbc *k)
{
    uint8_t v;
    if (k->obf)
        return;
    if (k->n_reply) {
        uint8_t aux = k->reply_aux & 1;
        v = k->reply[0];
        k->n_reply--;
        memmove(k->reply, k->reply + 1, k->n_reply);
        k->reply_aux >>= 1;
        output(k, v, aux);
        return;
    }
    int64_t now = clock_now(k->dev.vm);
    if (now < (int64_t)k->not_before) {
        vtimer_arm(&k->next_byte, (int64_t)k->not_before);
        return;
    }
    while (k->kbd && !(k->ram[0] & CCB_DISABLE) && k->kbd->pull(k->kbd->dev, &v))
        if (translate(k, &v)) {
            output(k, v, false);
            return;
        }
    if (k->aux && !(k->ram[0] & CCB_DISABLE2) && k->aux->pull(k->aux->dev, &v))
        output(k, v, true);
}

static void next_byte_fire(void *dev) { fill(dev); }

static void link_notify(void *ctl, struct ps2_link *l) { fill(ctl); }

/* A guest that sends commands and reads no reply loses the oldest. */
static void reply(struct kbc *k, uint8_t v, bool aux)
{
    if (k->n_reply == N_REPLY) {
        memmove(k->reply, k->reply + 1, --k->n_reply);
        k->reply_aux >>= 1;
    }
    k->reply_aux = (uint8_t)((k->reply_aux & ~(1u << k->n_reply)) | (aux ? 1u << k->n_reply : 0));
    k->reply[k->n_reply++] = v;
    fill(k);
}

/* ---- port 60h ---- */

static uint64_t data_read(void *dev, uint64_t off, unsigned size)
{
    struct kbc *k = dev;
    uint8_t v = k->obuf;
    if (k->obf) {
        k->obf = false;
        k->not_before = (uint64_t)(clock_now(k->dev.vm) + BYTE_NS);
        lines(k);
        fill(k);
    }
    return v;
}

static void set_p2(struct kbc *k, uint8_t v)
{
    k->p2 = v & (P2_RESET | P2_A20);
    irq_set(&k->a20, v & P2_A20);
    if (!(v & P2_RESET)) {
        k->p2 |= P2_RESET;
        vm_init_cpus(k->dev.vm);
    }
}

static void data_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct kbc *k = dev;
    uint8_t v = (uint8_t)val, par = k->param;
    k->last_was_cmd = false;
    k->param = PAR_NONE;
    switch (par) {
    case PAR_NONE:
        k->ram[0] &= (uint8_t)~CCB_DISABLE; /* sending a byte enables the keyboard's clock */
        k->release = false;
        if (k->kbd)
            k->kbd->put(k->kbd->dev, v);
        break;
    case PAR_RAM:
        k->ram[0] = v & 0x7f;
        lines(k);
        break;
    case PAR_P2: set_p2(k, v); break;
    case PAR_KBD_OBUF: reply(k, v, false); break;
    case PAR_AUX_OBUF: reply(k, v, true); break;
    case PAR_AUX:
        k->ram[0] &= (uint8_t)~CCB_DISABLE2;
        if (k->aux)
            k->aux->put(k->aux->dev, v);
        else
            reply(k, 0xfe, true); /* nobody answers: the controller gives "resend" */
        break;
    default: k->ram[par & 31] = v;
    }
    fill(k);
}

/* ---- port 64h ---- */

static uint64_t status_read(void *dev, uint64_t off, unsigned size)
{
    struct kbc *k = dev;
    return (k->obf ? STS_OBF | (k->obf_aux ? STS_AUX_OBF : 0) : 0) | (k->ram[0] & CCB_SYS ? STS_SYS : 0) | (k->last_was_cmd ? STS_CMD : 0) |
           STS_UNLOCKED;
}

static void command(struct kbc *k, uint8_t c)
{
    if (c >= 0x20 && c < 0x40) {
        reply(k, k->ram[c & 31], false);
        return;
    }
    if (c >= 0x60 && c < 0x80) {
        k->param = c;
        return;
    }
    if (c >= 0xf0) { /* pulse output port bits that are 0; only bit 0 is wired to something that minds */
        if (!(c & P2_RESET))
            vm_init_cpus(k->dev.vm);
        return;
    }
    switch (c) {
    case 0xa4: reply(k, 0xf1, false); break; /* no password installed */
    case 0xa7: k->ram[0] |= CCB_DISABLE2; break;
    case 0xa8: k->ram[0] &= (uint8_t)~CCB_DISABLE2; break;
    case 0xa9: reply(k, k->aux ? 0x00 : 0x01, false); break; /* clock line stuck low without a device */
    case 0xaa:
        k->ram[0] = CCB_RESET | CCB_SYS;
        k->obf = false;
        k->n_reply = k->reply_aux = 0;
        k->release = false;
        lines(k);
        reply(k, 0x55, false);
        break;
    case 0xab: reply(k, k->kbd ? 0x00 : 0x01, false); break;
    case 0xad: k->ram[0] |= CCB_DISABLE; break;
    case 0xae: k->ram[0] &= (uint8_t)~CCB_DISABLE; break;
    case 0xc0: reply(k, 0xb0, false); break; /* not inhibited, monochrome jumper off, manufacturing jumper off */
    case 0xd0: reply(k, (uint8_t)(P2_FIXED | k->p2 | (k->obf ? k->obf_aux ? P2_OBF : P2_OBF2 : 0)), false); break;
    case PAR_P2:
    case PAR_KBD_OBUF:
    case PAR_AUX_OBUF:
    case PAR_AUX: k->param = c; break;
    case 0xdd: set_p2(k, k->p2 & ~P2_A20); break; /* as in AMI's and Phoenix's firmware */
    case 0xdf: set_p2(k, k->p2 | P2_A20); break;
    case 0xe0: reply(k, k->ram[0] & CCB_DISABLE ? 0x00 : 0x01, false); break;
    default: break;
    }
    fill(k);
}

static void cmd_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct kbc *k = dev;
    k->last_was_cmd = true;
    k->param = PAR_NONE;
    command(k, (uint8_t)val);
}

static const struct io_ops data_ops = {.read = data_read, .write = data_write, .widths = IO_8};
static const struct io_ops cmd_ops = {.read = status_read, .write = cmd_write, .widths = IO_8};

/* ---- the device ---- */

static int kbc_init(struct dev *d, const void *params, struct err *e)
{
    struct kbc *k = (struct kbc *)d;
    const struct kbc_params *p = params;
    k->irq1 = p->irq1;
    k->irq12 = p->irq12;
    k->a20 = p->a20;
    k->kbd = p->kbd;
    k->aux = p->aux;
    if (k->kbd) {
        k->kbd->notify = link_notify;
        k->kbd->ctl = k;
    }
    if (k->aux) {
        k->aux->notify = link_notify;
        k->aux->ctl = k;
    }
    vtimer_init(&k->next_byte, d->vm, next_byte_fire, k);
    k->data_port = (struct port_range){"kbc", 0x60, 1, &data_ops, k};
    k->cmd_port = (struct port_range){"kbc", 0x64, 1, &cmd_ops, k};
    return port_claim(d->vm, &k->data_port, e) || port_claim(d->vm, &k->cmd_port, e) ? -1 : 0;
}

static void kbc_reset(struct dev *d, enum reset_kind kind)
{
    struct kbc *k = (struct kbc *)d;
    vtimer_cancel(&k->next_byte);
    memset(k->ram, 0, sizeof k->ram);
    k->ram[0] = CCB_RESET;
    k->p2 = P2_RESET | P2_A20;
    k->obuf = 0;
    k->obf = k->obf_aux = k->last_was_cmd = k->release = false;
    k->param = PAR_NONE;
    k->n_reply = k->reply_aux = 0;
    k->not_before = 0;
}

static void kbc_reset_done(struct dev *d)
{
    struct kbc *k = (struct kbc *)d;
    lines(k);
    irq_set(&k->a20, k->p2 & P2_A20);
}

static const struct state_field kbc_fields[] = {
    SF_BUF(struct kbc, ram),
    SF(struct kbc, p2, SF_U8),
    SF(struct kbc, obuf, SF_U8),
    SF(struct kbc, obf, SF_BOOL),
    SF(struct kbc, obf_aux, SF_BOOL),
    SF(struct kbc, last_was_cmd, SF_BOOL),
    SF(struct kbc, param, SF_U8),
    SF(struct kbc, release, SF_BOOL),
    SF_BUF(struct kbc, reply),
    SF_MAX(struct kbc, n_reply, SF_U8, N_REPLY),
    SF(struct kbc, reply_aux, SF_U8),
    SF_MAX(struct kbc, not_before, SF_U64, INT64_MAX / 2),
    SF(struct kbc, next_byte, SF_VTIMER),
    {0},
};

static int kbc_post_load(void *dev, unsigned version, struct err *e)
{
    struct kbc *k = dev;
    /* A byte is never held back for longer than one byte takes on the wire, whatever the file says. */
    uint64_t latest = (uint64_t)(clock_now(k->dev.vm) + BYTE_NS);
    if (k->not_before > latest) {
        k->not_before = latest;
        if (vtimer_armed(&k->next_byte))
            vtimer_arm(&k->next_byte, (int64_t)latest);
    }
    k->ram[0] &= 0x7f;
    k->p2 = (k->p2 & P2_A20) | P2_RESET;
    kbc_reset_done(dev);
    return 0;
}

static const struct state_desc kbc_state = {
    .name = "kbc", .version = 1, .min_version = 1, .fields = kbc_fields, .post_load = kbc_post_load};

const struct dev_class kbc_class = {
    .name = "kbc",
    .size = sizeof(struct kbc),
    .init = kbc_init,
    .reset = kbc_reset,
    .reset_done = kbc_reset_done,
    .state = &kbc_state,
};
