/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PS/2 mouse: IBM's three-byte protocol, Microsoft's IntelliMouse (id 3, wheel) after sample rates 200, 100, 80 and IntelliMouse Explorer
 * (id 4, five buttons) after 200, 200, 80. Movement is added up while a packet waits to be read, so a slow guest gets fewer and larger steps;
 * a change of buttons makes a packet of its own as long as the queue has room, so that no click is lost.
 */
#include "input/ps2mouse.h"

#include <string.h>

#include "core/vm.h"
#include "input/input.h"

enum {
    CMD_SCALE_1_1 = 0xe6,
    CMD_SCALE_2_1 = 0xe7,
    CMD_RESOLUTION = 0xe8,
    CMD_STATUS = 0xe9,
    CMD_STREAM = 0xea,
    CMD_READ = 0xeb,
    CMD_RESET_WRAP = 0xec,
    CMD_WRAP = 0xee,
    CMD_REMOTE = 0xf0,
    CMD_ID = 0xf2,
    CMD_RATE = 0xf3,
    CMD_ENABLE = 0xf4,
    CMD_DISABLE = 0xf5,
    CMD_DEFAULTS = 0xf6,
    CMD_RESEND = 0xfe,
    CMD_RESET = 0xff,
    ACK = 0xfa,
    ERROR = 0xfc,
    NAK = 0xfe,
    BAT_OK = 0xaa,

    ST_REMOTE = 0x40,
    ST_ENABLED = 0x20,
    ST_SCALE_2_1 = 0x10,

    QUEUE = 16,
    N_REPLY = 8,
    MAX_ACC = 4096, /* movement that a guest has not fetched is cut here */
};

struct ps2mouse {
    struct dev dev;
    struct ps2_link link;
    struct input_sink sink;
    /* guest-visible */
    uint8_t reply[N_REPLY], n_reply;
    uint8_t queue[QUEUE], n_queue;
    uint8_t last;
    uint8_t id; /* 0, 3 or 4 */
    uint8_t resolution, rate, wait;
    uint8_t knock[2]; /* the two sample rates before the last */
    bool remote, enabled, scale21, wrap;
    uint8_t buttons, sent_buttons; /* bit 0 left, 1 right, 2 middle, 3 side, 4 extra */
    uint32_t dx, dy, dz;           /* signed, not sent yet; dy up, dz towards the user */
};

/* ---- bytes to the controller ---- */

static void reply(struct ps2mouse *m, uint8_t v)
{
    if (m->n_reply < N_REPLY)
        m->reply[m->n_reply++] = v;
}

static int cut(int32_t v, int lo, int hi) { return v < lo ? lo : v > hi ? hi : v; }

static void add(uint32_t *acc, int64_t v)
{
    int64_t sum = (int32_t)*acc + v;
    *acc = (uint32_t)(int32_t)(sum < -MAX_ACC ? -MAX_ACC : sum > MAX_ACC ? MAX_ACC : sum);
}

/* In stream mode 2:1 scaling turns the counts 0..5 into 0 1 1 3 6 9, and doubles the others. */
static int scaled(const struct ps2mouse *m, int v)
{
    static const uint8_t small[6] = {0, 1, 1, 3, 6, 9};
    if (!m->scale21 || m->remote)
        return v;
    int a = v < 0 ? -v : v;
    a = a < 6 ? small[a] : 2 * a > 255 ? 255 : 2 * a;
    return v < 0 ? -a : a;
}

/* Makes one packet of what has added up; false when b has no room for it. */
static unsigned packet(struct ps2mouse *m, uint8_t *b)
{
    int raw_x = cut((int32_t)m->dx, -255, 255), raw_y = cut((int32_t)m->dy, -255, 255);
    int dx = scaled(m, raw_x), dy = scaled(m, raw_y), dz = 0;
    m->dx -= (uint32_t)raw_x;
    m->dy -= (uint32_t)raw_y;
    b[0] = (uint8_t)(0x08 | (m->buttons & 7) | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0));
    b[1] = (uint8_t)dx;
    b[2] = (uint8_t)dy;
    m->sent_buttons = m->buttons;
    if (!m->id)
        return 3;
    dz = cut((int32_t)m->dz, -8, 7);
    m->dz -= (uint32_t)dz;
    b[3] = m->id == 4 ? (uint8_t)((dz & 0x0f) | (m->buttons & 0x18) << 1) : (uint8_t)dz;
    return 4;
}

/* What the guest can be told and has not been. */
static bool has_news(const struct ps2mouse *m)
{
    uint8_t shown = m->id == 4 ? 0x1f : 0x07;
    return m->dx || m->dy || (m->id && m->dz) || (m->buttons ^ m->sent_buttons) & shown;
}

static bool streaming(const struct ps2mouse *m) { return m->enabled && !m->remote && !m->wrap; }

static void enqueue(struct ps2mouse *m)
{
    if (m->n_queue + (m->id ? 4 : 3) <= QUEUE)
        m->n_queue += (uint8_t)packet(m, m->queue + m->n_queue);
}

static void notify(struct ps2mouse *m)
{
    if (m->link.notify && (m->n_reply || m->n_queue))
        m->link.notify(m->link.ctl, &m->link);
}

static bool mouse_pull(void *dev, uint8_t *byte)
{
    struct ps2mouse *m = dev;
    if (!m->n_reply && !m->n_queue && streaming(m) && has_news(m))
        enqueue(m);
    if (m->n_reply) {
        *byte = m->reply[0];
        memmove(m->reply, m->reply + 1, --m->n_reply);
    } else if (m->n_queue) {
        *byte = m->queue[0];
        memmove(m->queue, m->queue + 1, --m->n_queue);
    } else {
        return false;
    }
    m->last = *byte;
    return true;
}

/* ---- events ---- */

static bool mouse_event(void *dev, const struct input_event *ev, int n)
{
    struct ps2mouse *m = dev;
    for (int i = 0; i < n; i++) {
        uint8_t bit;
        switch (ev[i].type) {
        case IN_REL:
            add(&m->dx, ev[i].x);
            add(&m->dy, -(int64_t)ev[i].y);
            break;
        case IN_WHEEL: add(&m->dz, -(int64_t)ev[i].y); break;
        case IN_BUTTON:
            if (ev[i].code > 4)
                break;
            bit = (uint8_t)(1u << ev[i].code);
            m->buttons = ev[i].x ? m->buttons | bit : m->buttons & ~bit;
            if (m->buttons != m->sent_buttons && streaming(m) && has_news(m))
                enqueue(m);
            break;
        default: break;
        }
    }
    if (streaming(m) && has_news(m) && !m->n_queue)
        enqueue(m);
    notify(m);
    return true;
}

void ps2mouse_poke(struct dev *d)
{
    struct ps2mouse *m = (struct ps2mouse *)d;
    if (streaming(m) && !m->n_queue)
        enqueue(m);
    notify(m);
}

/* ---- commands ---- */

static void defaults(struct ps2mouse *m)
{
    m->rate = 100;
    m->resolution = 2;
    m->scale21 = m->remote = m->enabled = m->wrap = false;
    m->n_queue = 0;
    m->dx = m->dy = m->dz = 0;
}

static void set_rate(struct ps2mouse *m, uint8_t rate)
{
    if (m->knock[0] == 200 && m->knock[1] == 100 && rate == 80)
        m->id = m->id == 4 ? 4 : 3;
    else if (m->knock[0] == 200 && m->knock[1] == 200 && rate == 80)
        m->id = 4;
    m->knock[0] = m->knock[1];
    m->knock[1] = rate;
    m->rate = rate;
}

static void mouse_put(void *dev, uint8_t v)
{
    struct ps2mouse *m = dev;
    uint8_t cmd = m->wait, b[4];
    m->wait = 0;
    if (v != CMD_RESEND)
        m->n_reply = 0;
    if (m->wrap && v != CMD_RESET && v != CMD_RESET_WRAP) {
        reply(m, v);
        notify(m);
        return;
    }
    if (cmd) {
        reply(m, ACK);
        if (cmd == CMD_RATE)
            set_rate(m, v);
        else
            m->resolution = v & 3;
        notify(m);
        return;
    }
    m->n_queue = v == CMD_RESEND ? m->n_queue : 0;
    switch (v) {
    case CMD_SCALE_1_1:
    case CMD_SCALE_2_1:
        m->scale21 = v == CMD_SCALE_2_1;
        reply(m, ACK);
        break;
    case CMD_RESOLUTION:
    case CMD_RATE:
        m->wait = v;
        reply(m, ACK);
        break;
    case CMD_STATUS:
        reply(m, ACK);
        reply(m, (uint8_t)((m->remote ? ST_REMOTE : 0) | (m->enabled ? ST_ENABLED : 0) | (m->scale21 ? ST_SCALE_2_1 : 0) | (m->buttons & 1) << 2 |
                           (m->buttons & 4) >> 1 | (m->buttons & 2) >> 1));
        reply(m, m->resolution);
        reply(m, m->rate);
        break;
    case CMD_STREAM:
        m->remote = false;
        reply(m, ACK);
        break;
    case CMD_READ: {
        reply(m, ACK);
        unsigned n = packet(m, b);
        for (unsigned i = 0; i < n; i++)
            reply(m, b[i]);
        break;
    }
    case CMD_RESET_WRAP:
        m->wrap = false;
        reply(m, ACK);
        break;
    case CMD_WRAP:
        m->wrap = true;
        reply(m, ACK);
        break;
    case CMD_REMOTE:
        m->remote = true;
        reply(m, ACK);
        break;
    case CMD_ID:
        reply(m, ACK);
        reply(m, m->id);
        break;
    case CMD_ENABLE:
        m->enabled = true;
        m->dx = m->dy = m->dz = 0;
        reply(m, ACK);
        break;
    case CMD_DISABLE:
        m->enabled = false;
        reply(m, ACK);
        break;
    case CMD_DEFAULTS:
        defaults(m);
        reply(m, ACK);
        break;
    case CMD_RESEND: reply(m, m->last); break;
    case CMD_RESET:
        defaults(m);
        m->id = 0;
        m->knock[0] = m->knock[1] = 0;
        reply(m, ACK);
        reply(m, BAT_OK);
        reply(m, 0);
        break;
    default: reply(m, NAK);
    }
    notify(m);
}

/* ---- the device ---- */

struct ps2_link *ps2mouse_link(struct dev *d) { return &((struct ps2mouse *)d)->link; }

static int mouse_init(struct dev *d, const void *params, struct err *e)
{
    struct ps2mouse *m = (struct ps2mouse *)d;
    struct input *in = ((const struct ps2mouse_params *)params)->input;
    m->link = (struct ps2_link){.pull = mouse_pull, .put = mouse_put, .dev = m};
    if (in) {
        m->sink = (struct input_sink){.event = mouse_event, .pointer = true};
        int id = input_sink_add(in, &m->sink, m);
        if (id < 0)
            return err_set(e, ERR_CONFIG, 0, "There are too many pointers.");
        input_sink_activate(in, id, true);
    }
    return 0;
}

static void mouse_reset(struct dev *d, enum reset_kind kind)
{
    struct ps2mouse *m = (struct ps2mouse *)d;
    defaults(m);
    m->n_reply = m->last = m->id = m->wait = m->buttons = m->sent_buttons = 0;
    m->knock[0] = m->knock[1] = 0;
}

static const struct state_field mouse_fields[] = {
    SF_BUF(struct ps2mouse, reply),
    SF_MAX(struct ps2mouse, n_reply, SF_U8, N_REPLY),
    SF_BUF(struct ps2mouse, queue),
    SF_MAX(struct ps2mouse, n_queue, SF_U8, QUEUE),
    SF(struct ps2mouse, last, SF_U8),
    SF_MAX(struct ps2mouse, id, SF_U8, 4),
    SF_MAX(struct ps2mouse, resolution, SF_U8, 3),
    SF(struct ps2mouse, rate, SF_U8),
    SF(struct ps2mouse, wait, SF_U8),
    SF_BUF(struct ps2mouse, knock),
    SF(struct ps2mouse, remote, SF_BOOL),
    SF(struct ps2mouse, enabled, SF_BOOL),
    SF(struct ps2mouse, scale21, SF_BOOL),
    SF(struct ps2mouse, wrap, SF_BOOL),
    SF_MAX(struct ps2mouse, buttons, SF_U8, 0x1f),
    SF_MAX(struct ps2mouse, sent_buttons, SF_U8, 0x1f),
    SF(struct ps2mouse, dx, SF_U32),
    SF(struct ps2mouse, dy, SF_U32),
    SF(struct ps2mouse, dz, SF_U32),
    {0},
};

static int mouse_post_load(void *dev, unsigned version, struct err *e)
{
    struct ps2mouse *m = dev;
    if (m->id != 0 && m->id != 3 && m->id != 4)
        return err_set(e, ERR_CORRUPT, 0, "there is no mouse with the id %u.", m->id);
    add(&m->dx, 0);
    add(&m->dy, 0);
    add(&m->dz, 0);
    return 0;
}

static const struct state_desc mouse_state = {
    .name = "ps2mouse", .version = 1, .min_version = 1, .fields = mouse_fields, .post_load = mouse_post_load};

const struct dev_class ps2mouse_class = {
    .name = "ps2mouse",
    .size = sizeof(struct ps2mouse),
    .init = mouse_init,
    .reset = mouse_reset,
    .state = &mouse_state,
};
