/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The input router. Events are queued by any thread and delivered on the chipset thread to the keyboard and the pointer that were activated
 * last. Absolute positions become steps when the pointer is relative, and the other way round, so that a source need not care.
 * A key for which the keyboard has no room, because the guest has stood still for a while, waits here: a person at a real keyboard does not type
 * faster than the machine runs, a program or a network that was stuck does. It goes on a moment after the guest has read the others, so that a
 * driver that empties the keyboard at its start comes to an end; a guest that reads nothing for seconds loses keys as with a real one.
 * It remembers what is held down as seen from the sources: input_release_all lets go of exactly that.
 */
#include "input/input.h"

#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "core/vm.h"

enum { MAX_SINKS = 16, MAX_LED_FNS = 4, QUEUE = 1024, BATCH = 64, N_CODES = 4096, N_BUTTONS = 8, WAITING = 256 };
#define LOOK_AGAIN_NS 10000000ll
#define PATIENCE_NS 5000000000ll

struct sink {
    struct input_sink ops;
    void *dev;
    unsigned active; /* 0: no; else the number of its activation, the highest wins */
};

struct input {
    struct vm *vm;
    struct lock lock; /* queue, down, wants_absolute */
    struct input_event q[QUEUE];
    unsigned first, n;
    bool posted, wants_absolute;
    uint8_t down[N_CODES / 8];
    uint8_t buttons;
    uint32_t screen_w, screen_h;
    /* [dev] */
    struct sink sink[MAX_SINKS];
    int n_sinks;
    unsigned activations;
    int32_t abs_x, abs_y; /* last absolute position, 0..65535 */
    bool have_abs;
    int64_t rem_x, rem_y; /* what scaling left over */
    struct input_event waiting[WAITING]; /* keys, oldest first */
    unsigned n_waiting;
    int64_t moved; /* guest time at which the keyboard last took one */
    struct vtimer look;
    struct {
        void (*fn)(void *u, unsigned leds);
        void *u;
    } led[MAX_LED_FNS];
    int n_leds;
    void (*delivery_fn)(void *u);
    void *delivery_u;
    void (*absolute_fn)(void *u, bool absolute); /* under lock */
    void *absolute_u;
};

static void look_again(void *arg);

struct input *input_new(struct vm *vm, struct err *e)
{
    struct input *in = calloc(1, sizeof *in);
    if (!in) {
        err_set(e, ERR_NOMEM, 0, "Out of memory.");
        return NULL;
    }
    in->vm = vm;
    in->screen_w = 1024;
    in->screen_h = 768;
    lock_init(&in->lock, RANK_BLK);
    vtimer_init(&in->look, vm, look_again, in);
    return in;
}

void input_free(struct input *in)
{
    if (!in)
        return;
    lock_fini(&in->lock);
    free(in);
}

int input_sink_add(struct input *in, const struct input_sink *ops, void *dev)
{
    if (in->n_sinks == MAX_SINKS)
        return -1;
    in->sink[in->n_sinks] = (struct sink){.ops = *ops, .dev = dev};
    return in->n_sinks++;
}

static struct sink *current(struct input *in, bool keyboard)
{
    struct sink *best = NULL;
    for (int i = 0; i < in->n_sinks; i++) {
        struct sink *s = &in->sink[i];
        if (s->active && (keyboard ? s->ops.keyboard : s->ops.pointer) && (!best || s->active > best->active))
            best = s;
    }
    return best;
}

void input_sink_activate(struct input *in, int id, bool active)
{
    if (id < 0 || id >= in->n_sinks)
        return;
    if (!active)
        in->sink[id].active = 0;
    else if (!in->sink[id].active)
        in->sink[id].active = ++in->activations;
    struct sink *p = current(in, false);
    bool absolute = p && p->ops.absolute;
    lock_take(&in->lock);
    bool changed = in->wants_absolute != absolute;
    in->wants_absolute = absolute;
    void (*fn)(void *u, bool absolute) = changed ? in->absolute_fn : NULL;
    void *u = in->absolute_u;
    lock_drop(&in->lock);
    if (fn)
        fn(u, absolute);
}

void input_on_delivery(struct input *in, void (*fn)(void *u), void *u)
{
    in->delivery_fn = fn;
    in->delivery_u = u;
}

void input_on_absolute(struct input *in, void (*fn)(void *u, bool absolute), void *u)
{
    lock_take(&in->lock);
    in->absolute_fn = fn;
    in->absolute_u = u;
    lock_drop(&in->lock);
}

/* ---- delivery ---- */

static int32_t step(int32_t from, int32_t to, uint32_t size, int64_t *rem)
{
    int64_t d = (int64_t)(to - from) * size + *rem;
    int32_t px = (int32_t)(d / 65536);
    *rem = d - (int64_t)px * 65536;
    return px;
}

static int32_t clamp16(int64_t v) { return (int32_t)(v < 0 ? 0 : v > 65535 ? 65535 : v); }

/* Turns a movement into what the pointer wants. False: nothing is left of it. */
static bool convert(struct input *in, const struct sink *p, uint32_t w, uint32_t h, struct input_event *ev)
{
    if (ev->type == IN_ABS) {
        int32_t x = clamp16(ev->x), y = clamp16(ev->y), ox = in->abs_x, oy = in->abs_y;
        bool had = in->have_abs;
        in->abs_x = x;
        in->abs_y = y;
        in->have_abs = true;
        if (p->ops.absolute) {
            *ev = (struct input_event){.type = IN_ABS, .x = x, .y = y};
            return true;
        }
        if (!had)
            return false;
        *ev = (struct input_event){.type = IN_REL, .x = step(ox, x, w, &in->rem_x), .y = step(oy, y, h, &in->rem_y)};
        return ev->x || ev->y;
    }
    if (ev->type == IN_REL && p->ops.absolute) {
        in->abs_x = clamp16(in->abs_x + (int64_t)ev->x * 65536 / (w ? w : 1));
        in->abs_y = clamp16(in->abs_y + (int64_t)ev->y * 65536 / (h ? h : 1));
        *ev = (struct input_event){.type = IN_ABS, .x = in->abs_x, .y = in->abs_y};
    }
    return true;
}

static bool room(const struct sink *s) { return !s->ops.room || s->ops.room(s->dev); }

/* Gives the keyboard what waits, all: whether it has room or not. */
static void give_waiting(struct input *in, struct sink *s, bool all)
{
    unsigned n = 0;
    while (n < in->n_waiting && (all || room(s)))
        s->ops.event(s->dev, &in->waiting[n++], 1);
    if (!n)
        return;
    in->n_waiting -= n;
    memmove(in->waiting, in->waiting + n, in->n_waiting * sizeof in->waiting[0]);
    in->moved = clock_now(in->vm);
}

static void look_again(void *arg)
{
    struct input *in = arg;
    struct sink *s = current(in, true);
    unsigned before = in->n_waiting;
    int64_t now = clock_now(in->vm);
    if (s)
        give_waiting(in, s, now - in->moved > PATIENCE_NS);
    else
        in->n_waiting = 0;
    if (in->n_waiting)
        vtimer_arm(&in->look, now + LOOK_AGAIN_NS);
    if (in->n_waiting < before && in->delivery_fn)
        in->delivery_fn(in->delivery_u);
}

static void give_key(struct input *in, struct sink *s, const struct input_event *ev)
{
    if (in->n_waiting == WAITING)
        give_waiting(in, s, true);
    if (!in->n_waiting && room(s)) {
        s->ops.event(s->dev, ev, 1);
        return;
    }
    if (!in->n_waiting++) {
        in->moved = clock_now(in->vm);
        vtimer_arm(&in->look, in->moved + LOOK_AGAIN_NS);
    }
    in->waiting[in->n_waiting - 1] = *ev;
}

static void deliver(void *arg)
{
    struct input *in = arg;
    struct input_event ev[BATCH];
    for (;;) {
        lock_take(&in->lock);
        int n = 0;
        while (n < BATCH && in->n) {
            ev[n++] = in->q[in->first];
            in->first = (in->first + 1) % QUEUE;
            in->n--;
        }
        if (!n)
            in->posted = false;
        uint32_t w = in->screen_w, h = in->screen_h;
        lock_drop(&in->lock);
        if (!n)
            return;
        /* A run of events for the same sink is one frame. */
        for (int i = 0; i < n;) {
            bool key = ev[i].type == IN_KEY;
            struct sink *s = current(in, key);
            int k = 0;
            struct input_event frame[BATCH];
            for (; i < n && (ev[i].type == IN_KEY) == key; i++) {
                frame[k] = ev[i];
                if (s && (key || convert(in, s, w, h, &frame[k])))
                    k++;
            }
            for (int j = 0; s && key && j < k; j++)
                give_key(in, s, &frame[j]);
            if (s && !key && k)
                s->ops.event(s->dev, frame, k);
        }
        if (in->delivery_fn)
            in->delivery_fn(in->delivery_u);
    }
}

/* ---- any thread ---- */

static bool note_held(struct input *in, const struct input_event *ev)
{
    if (ev->type == IN_KEY) {
        if (ev->code >= N_CODES)
            return false;
        uint8_t bit = (uint8_t)(1u << ev->code % 8);
        in->down[ev->code / 8] = ev->x ? in->down[ev->code / 8] | bit : in->down[ev->code / 8] & ~bit;
    } else if (ev->type == IN_BUTTON) {
        if (ev->code >= N_BUTTONS)
            return false;
        uint8_t bit = (uint8_t)(1u << ev->code);
        in->buttons = ev->x ? in->buttons | bit : in->buttons & ~bit;
    }
    return true;
}

/* Movements give way to keys and buttons when the queue is nearly full: a lost release would stick. */
static bool enqueue(struct input *in, const struct input_event *ev)
{
    bool must = (ev->type == IN_KEY || ev->type == IN_BUTTON) && !ev->x;
    unsigned limit = must ? QUEUE : ev->type == IN_KEY || ev->type == IN_BUTTON ? QUEUE / 2 : QUEUE / 4;
    if (in->n >= limit || !note_held(in, ev))
        return false;
    in->q[(in->first + in->n++) % QUEUE] = *ev;
    return true;
}

static void post_locked_done(struct input *in, bool kick)
{
    lock_drop(&in->lock);
    if (kick)
        chipset_post(in->vm, deliver, in);
}

void input_post(struct input *in, const struct input_event *ev, int n)
{
    lock_take(&in->lock);
    bool any = false;
    for (int i = 0; i < n; i++)
        any |= enqueue(in, &ev[i]);
    bool kick = any && !in->posted;
    in->posted |= any;
    post_locked_done(in, kick);
}

void input_release_all(struct input *in)
{
    lock_take(&in->lock);
    bool any = false;
    for (unsigned c = 0; c < N_CODES; c++)
        if (in->down[c / 8] >> c % 8 & 1)
            any |= enqueue(in, &(struct input_event){.type = IN_KEY, .code = (uint16_t)c});
    for (unsigned b = 0; b < N_BUTTONS; b++)
        if (in->buttons >> b & 1)
            any |= enqueue(in, &(struct input_event){.type = IN_BUTTON, .code = (uint16_t)b});
    bool kick = any && !in->posted;
    in->posted |= any;
    post_locked_done(in, kick);
}

bool input_wants_absolute(struct input *in)
{
    lock_take(&in->lock);
    bool r = in->wants_absolute;
    lock_drop(&in->lock);
    return r;
}

void input_set_screen(struct input *in, uint32_t w, uint32_t h)
{
    lock_take(&in->lock);
    if (w && h) {
        in->screen_w = w;
        in->screen_h = h;
    }
    lock_drop(&in->lock);
}

void input_set_leds(struct input *in, unsigned leds)
{
    for (int i = 0; i < in->n_leds; i++)
        in->led[i].fn(in->led[i].u, leds);
}

void input_on_leds(struct input *in, void (*fn)(void *u, unsigned leds), void *u)
{
    if (in->n_leds == MAX_LED_FNS)
        return;
    in->led[in->n_leds].fn = fn;
    in->led[in->n_leds].u = u;
    in->n_leds++;
}
