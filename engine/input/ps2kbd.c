/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PS/2 keyboard: the commands of IBM's PS/2 Technical Reference ("Keyboard"), 104 keys and the Japanese, Korean, Brazilian and multimedia ones,
 * in scan code sets 1, 2 and 3. Typematic repeat comes from whoever holds the key: a second key-down without key-up is one more make code.
 *
 * Replies to commands have a queue of their own that goes first; scan codes wait behind it, sixteen bytes as in the real one, and a key that
 * finds no room for its whole sequence is lost and leaves an overrun code. The input router asks for room first, and waits (input.c).
 */
#include "input/ps2kbd.h"

#include <string.h>

#include "core/vm.h"
#include "input/input.h"

enum {
    CMD_LEDS = 0xed,
    CMD_ECHO = 0xee,
    CMD_SCAN_SET = 0xf0,
    CMD_ID = 0xf2,
    CMD_TYPEMATIC = 0xf3,
    CMD_ENABLE = 0xf4,
    CMD_DISABLE = 0xf5,
    CMD_DEFAULTS = 0xf6,
    CMD_ALL_TYPEMATIC = 0xf7, /* F7h-FAh: set 3, all keys */
    CMD_ALL_MAKE_BREAK = 0xf8,
    CMD_ALL_MAKE = 0xf9,
    CMD_ALL_TYPEMATIC_MAKE_BREAK = 0xfa,
    CMD_KEY_TYPEMATIC = 0xfb, /* FBh-FDh: set 3, the keys that follow */
    CMD_KEY_MAKE_BREAK = 0xfc,
    CMD_KEY_MAKE = 0xfd,
    CMD_RESEND = 0xfe,
    CMD_RESET = 0xff,
    ACK = 0xfa,
    NAK = 0xfe,
    BAT_OK = 0xaa,

    QUEUE = 16,
    KEY_BYTES = 8, /* Pause, the longest */
    N_REPLY = 4,
    N_SET3 = 144, /* codes of set 3 */
    N_DOWN = 256,

    /* set 3 key types */
    KT_TYPEMATIC = 0,
    KT_MAKE_BREAK = 1,
    KT_MAKE = 2,
    KT_TYPEMATIC_BREAK = 3,

    U_PRINT = 0x46,
    U_PAUSE = 0x48,
    U_HANGUL = 0x90,
    U_HANJA = 0x91,
    U_LCTRL = 0xe0,
    U_LSHIFT = 0xe1,
    U_LALT = 0xe2,
};

struct key {
    uint16_t usage, code[3];
};
static const struct key keys[] = {
#define KEY(usage, name, set1, set2, set3) {usage, {set1, set2, set3}},
#include "input/usage.def"
#undef KEY
};

struct ps2kbd {
    struct dev dev;
    struct ps2_link link;
    struct input *input;
    struct input_sink sink;
    /* guest-visible */
    uint8_t reply[N_REPLY], n_reply;
    uint8_t queue[QUEUE + 1], n_queue; /* one more for the overrun code */
    uint8_t last;                      /* byte sent last, for RESEND */
    uint8_t set;                       /* 1-3 */
    uint8_t leds, typematic;
    uint8_t wait; /* command whose parameter is due, or 0 */
    bool scanning;
    uint8_t type[N_SET3];
    uint8_t down[N_DOWN / 8]; /* keys held, by index in keys[] */
};

/* ---- bytes to the controller ---- */

static void reply(struct ps2kbd *k, uint8_t v)
{
    if (k->n_reply < N_REPLY)
        k->reply[k->n_reply++] = v;
}

static bool kbd_pull(void *dev, uint8_t *byte)
{
    struct ps2kbd *k = dev;
    if (k->n_reply) {
        *byte = k->reply[0];
        memmove(k->reply, k->reply + 1, --k->n_reply);
    } else if (k->n_queue) {
        *byte = k->queue[0];
        memmove(k->queue, k->queue + 1, --k->n_queue);
    } else {
        return false;
    }
    k->last = *byte;
    return true;
}

static void notify(struct ps2kbd *k)
{
    if (k->link.notify && (k->n_reply || k->n_queue))
        k->link.notify(k->link.ctl, &k->link);
}

/* ---- keys ---- */

static bool down_get(const struct ps2kbd *k, unsigned ix) { return k->down[ix / 8] >> ix % 8 & 1; }

static bool usage_down(const struct ps2kbd *k, uint16_t usage)
{
    for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].usage == usage)
            return down_get(k, i);
    return false;
}

static bool shift_or(const struct ps2kbd *k, uint16_t left) { return usage_down(k, left) || usage_down(k, left + 4); }

struct seq {
    uint8_t b[12];
    unsigned n;
};

static void seq_put(struct seq *s, uint8_t v) { s->b[s->n++] = v; }

/* Make or break code in sets 1 and 2. */
static void seq_code(struct seq *s, unsigned set, uint16_t code, bool down)
{
    if (code >> 8)
        seq_put(s, (uint8_t)(code >> 8));
    if (set == 1) {
        seq_put(s, (uint8_t)(code | (down ? 0 : 0x80)));
    } else {
        if (!down)
            seq_put(s, 0xf0);
        seq_put(s, (uint8_t)code);
    }
}

static uint8_t set3_type_default(uint8_t code)
{
    switch (code) {
    case 0x11: /* left Ctrl, Shift, Caps Lock, left Alt, right Shift */
    case 0x12:
    case 0x14:
    case 0x19:
    case 0x59: return KT_MAKE_BREAK;
    case 0x58: /* right Ctrl, right Alt, function keys and others that do not repeat */
    case 0x39:
    case 0x08:
    case 0x56:
    case 0x5e:
    case 0x57:
    case 0x5f:
    case 0x62:
    case 0x6e:
    case 0x65:
    case 0x67:
    case 0x6d:
    case 0x6f:
    case 0x76:
    case 0x77:
    case 0x79:
    case 0x7e: return KT_MAKE;
    default: return (code & 7) == 7 && code < 0x50 ? KT_MAKE : KT_TYPEMATIC; /* F1 to F10 */
    }
}

static void sequence(struct ps2kbd *k, const struct key *key, bool down, bool repeat, struct seq *s)
{
    unsigned set = k->set;
    uint16_t code = key->code[set - 1];
    if (set == 3) {
        if (!code || code >= N_SET3)
            return;
        uint8_t type = k->type[code];
        bool has_break = type == KT_MAKE_BREAK || type == KT_TYPEMATIC_BREAK;
        if ((!down && !has_break) || (repeat && (type == KT_MAKE || type == KT_MAKE_BREAK)))
            return;
        if (!down)
            seq_put(s, 0xf0);
        seq_put(s, (uint8_t)code);
        return;
    }
    uint16_t fake_shift = set == 1 ? 0xe02a : 0xe012;
    switch (key->usage) {
    case U_PRINT:
        if (shift_or(k, U_LALT)) { /* SysRq */
            seq_code(s, set, set == 1 ? 0x54 : 0x84, down);
        } else if (shift_or(k, U_LCTRL) || shift_or(k, U_LSHIFT)) {
            seq_code(s, set, code, down);
        } else if (down) {
            if (!repeat)
                seq_code(s, set, fake_shift, true);
            seq_code(s, set, code, true);
        } else {
            seq_code(s, set, code, false);
            seq_code(s, set, fake_shift, false);
        }
        return;
    case U_PAUSE: /* make and break at once when it goes down, nothing when it goes up, no repeat */
        if (!down || repeat)
            return;
        if (shift_or(k, U_LCTRL)) {
            seq_code(s, set, code, true);
            seq_code(s, set, code, false);
        } else {
            seq_put(s, 0xe1);
            seq_code(s, set, set == 1 ? 0x1d : 0x14, true);
            seq_code(s, set, set == 1 ? 0x45 : 0x77, true);
            if (set == 1) {
                seq_put(s, 0xe1);
                seq_code(s, set, 0x1d, false);
                seq_code(s, set, 0x45, false);
            } else {
                seq_put(s, 0xe1);
                seq_code(s, set, 0x14, false);
                seq_code(s, set, 0x77, false);
            }
        }
        return;
    case U_HANGUL: /* one code when pressed, none when released */
    case U_HANJA:
        if (down && !repeat)
            seq_put(s, (uint8_t)code);
        return;
    default: seq_code(s, set, code, down);
    }
}

void ps2kbd_key(struct dev *d, uint16_t usage, bool down)
{
    struct ps2kbd *k = (struct ps2kbd *)d;
    unsigned i = 0;
    while (i < sizeof keys / sizeof *keys && keys[i].usage != usage)
        i++;
    if (i == sizeof keys / sizeof *keys)
        return;
    bool was = down_get(k, i);
    if (!down && !was)
        return;
    if (down)
        k->down[i / 8] |= (uint8_t)(1u << i % 8);
    else
        k->down[i / 8] &= (uint8_t)~(1u << i % 8);
    if (!k->scanning)
        return;
    struct seq s = {.n = 0};
    sequence(k, &keys[i], down, was && down, &s);
    if (k->n_queue > QUEUE)
        return;
    if (s.n > QUEUE - (unsigned)k->n_queue) {
        k->queue[k->n_queue++] = k->set == 1 ? 0xff : 0x00; /* overrun; the queue has a place more for it */
    } else {
        memcpy(k->queue + k->n_queue, s.b, s.n);
        k->n_queue += (uint8_t)s.n;
    }
    notify(k);
}

static bool kbd_event(void *dev, const struct input_event *ev, int n)
{
    struct ps2kbd *k = dev;
    for (int i = 0; i < n; i++)
        if (ev[i].type == IN_KEY)
            ps2kbd_key(&k->dev, ev[i].code, ev[i].x != 0);
    return true;
}

/* A key that is not scanned needs none. */
static bool kbd_room(void *dev)
{
    const struct ps2kbd *k = dev;
    return !k->scanning || k->n_queue + KEY_BYTES <= QUEUE;
}

/* ---- commands ---- */

static void types_default(struct ps2kbd *k)
{
    for (unsigned i = 0; i < N_SET3; i++)
        k->type[i] = set3_type_default((uint8_t)i);
}

static void defaults(struct ps2kbd *k)
{
    k->set = 2;
    k->typematic = 0x2b; /* 10.9 characters a second after 500 ms */
    k->n_queue = 0;
    types_default(k);
}

static void set_leds(struct ps2kbd *k, uint8_t leds)
{
    k->leds = leds & 7;
    if (k->input)
        input_set_leds(k->input, k->leds);
}

static void set_all(struct ps2kbd *k, uint8_t type)
{
    memset(k->type, type, sizeof k->type);
    k->n_queue = 0;
    reply(k, ACK);
}

static void parameter(struct ps2kbd *k, uint8_t cmd, uint8_t v)
{
    switch (cmd) {
    case CMD_LEDS:
        set_leds(k, v);
        reply(k, ACK);
        break;
    case CMD_TYPEMATIC:
        k->typematic = v & 0x7f;
        reply(k, ACK);
        break;
    case CMD_SCAN_SET:
        if (v > 3) {
            reply(k, NAK);
            break;
        }
        reply(k, ACK);
        if (v == 0)
            reply(k, k->set);
        else
            k->set = v;
        break;
    default: /* FBh-FDh take key codes until a command comes */
        if (v < N_SET3)
            k->type[v] = cmd == CMD_KEY_TYPEMATIC ? KT_TYPEMATIC : cmd == CMD_KEY_MAKE_BREAK ? KT_MAKE_BREAK : KT_MAKE;
        reply(k, ACK);
        k->wait = cmd;
    }
}

static void kbd_put(void *dev, uint8_t v)
{
    struct ps2kbd *k = dev;
    uint8_t cmd = k->wait;
    k->wait = 0;
    if (v != CMD_RESEND)
        k->n_reply = 0; /* a command ends whatever reply is under way */
    if (cmd && v < CMD_LEDS) {
        parameter(k, cmd, v);
        notify(k);
        return;
    }
    switch (v) {
    case CMD_LEDS:
    case CMD_SCAN_SET:
    case CMD_TYPEMATIC:
        k->wait = v;
        reply(k, ACK);
        break;
    case CMD_ECHO: reply(k, CMD_ECHO); break;
    case CMD_ID:
        reply(k, ACK);
        reply(k, 0xab);
        reply(k, 0x83);
        break;
    case CMD_ENABLE:
        k->n_queue = 0;
        k->scanning = true;
        reply(k, ACK);
        break;
    case CMD_DISABLE:
        defaults(k);
        k->scanning = false;
        reply(k, ACK);
        break;
    case CMD_DEFAULTS:
        defaults(k);
        reply(k, ACK);
        break;
    case CMD_ALL_TYPEMATIC: set_all(k, KT_TYPEMATIC); break;
    case CMD_ALL_MAKE_BREAK: set_all(k, KT_MAKE_BREAK); break;
    case CMD_ALL_MAKE: set_all(k, KT_MAKE); break;
    case CMD_ALL_TYPEMATIC_MAKE_BREAK: set_all(k, KT_TYPEMATIC_BREAK); break;
    case CMD_KEY_TYPEMATIC:
    case CMD_KEY_MAKE_BREAK:
    case CMD_KEY_MAKE:
        k->wait = v;
        k->n_queue = 0;
        reply(k, ACK);
        break;
    case CMD_RESEND: reply(k, k->last); break;
    case CMD_RESET:
        defaults(k);
        k->scanning = true;
        set_leds(k, 0);
        reply(k, ACK);
        reply(k, BAT_OK);
        break;
    default: reply(k, NAK);
    }
    notify(k);
}

/* ---- the device ---- */

struct ps2_link *ps2kbd_link(struct dev *d) { return &((struct ps2kbd *)d)->link; }

static int kbd_init(struct dev *d, const void *params, struct err *e)
{
    struct ps2kbd *k = (struct ps2kbd *)d;
    _Static_assert(sizeof keys / sizeof *keys <= sizeof k->down * 8, "too many keys");
    k->input = ((const struct ps2kbd_params *)params)->input;
    k->link = (struct ps2_link){.pull = kbd_pull, .put = kbd_put, .dev = k};
    if (k->input) {
        k->sink = (struct input_sink){.event = kbd_event, .keyboard = true, .room = kbd_room};
        int id = input_sink_add(k->input, &k->sink, k);
        if (id < 0)
            return err_set(e, ERR_CONFIG, 0, "There are too many keyboards.");
        input_sink_activate(k->input, id, true);
    }
    return 0;
}

static void kbd_reset(struct dev *d, enum reset_kind kind)
{
    struct ps2kbd *k = (struct ps2kbd *)d;
    defaults(k);
    k->n_reply = k->wait = k->leds = k->last = 0;
    k->scanning = true;
    memset(k->down, 0, sizeof k->down);
}

static void kbd_reset_done(struct dev *d)
{
    struct ps2kbd *k = (struct ps2kbd *)d;
    set_leds(k, k->leds);
}

static const struct state_field kbd_fields[] = {
    SF_BUF(struct ps2kbd, reply),
    SF_MAX(struct ps2kbd, n_reply, SF_U8, N_REPLY),
    SF_BUF(struct ps2kbd, queue),
    SF_MAX(struct ps2kbd, n_queue, SF_U8, QUEUE + 1),
    SF(struct ps2kbd, last, SF_U8),
    SF_MAX(struct ps2kbd, set, SF_U8, 3),
    SF_MAX(struct ps2kbd, leds, SF_U8, 7),
    SF(struct ps2kbd, typematic, SF_U8),
    SF(struct ps2kbd, wait, SF_U8),
    SF(struct ps2kbd, scanning, SF_BOOL),
    SF_BUF(struct ps2kbd, type),
    SF_BUF(struct ps2kbd, down),
    {0},
};

static int kbd_post_load(void *dev, unsigned version, struct err *e)
{
    struct ps2kbd *k = dev;
    if (!k->set)
        return err_set(e, ERR_CORRUPT, 0, "there is no scan code set 0.");
    set_leds(k, k->leds);
    return 0;
}

static const struct state_desc kbd_state = {
    .name = "ps2kbd", .version = 1, .min_version = 1, .fields = kbd_fields, .post_load = kbd_post_load};

const struct dev_class ps2kbd_class = {
    .name = "ps2kbd",
    .size = sizeof(struct ps2kbd),
    .init = kbd_init,
    .reset = kbd_reset,
    .reset_done = kbd_reset_done,
    .state = &kbd_state,
};
