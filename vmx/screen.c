/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VNC server of one VM, by libvncserver, on a thread of its own. The viewers' connections are screen_wire.c's: libvncserver has one end of
 * a socket pair for each.
 *
 * The display's callbacks run under the chipset lock and only note what changed (struct pending). The thread copies the damaged parts, tile by
 * tile and only where pixels really differ, into a picture of its own, which libvncserver encodes from: it may draw the cursor into that
 * picture, and a guest cannot change it in the middle of an encoding. The display is watched only while there are clients, so that a
 * guest without viewers pays nothing.
 *
 * Keys: viewers that offer QEMU's extended key event tell us the key itself, so every guest layout is right. For others the keysym is looked up
 * on the layout of RemoteDisplay.vnc.keyMap (screen_keys.c), and Shift and AltGr are corrected around the key where the viewer's state is
 * not what the layout needs. Pointer: absolute when the guest has an absolute pointer; else differences, in QEMU's relative mode if offered.
 */
#define _GNU_SOURCE
#include "screen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <rfb/rfb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "core/vm.h"
#include "display/surface.h"
#include "input/input.h"
#include "screen_keys.h"
#include "screen_listen.h"
#include "screen_wire.h"

enum { MAX_RECTS = 64, TILE_W = 64, TILE_H = 16, CURSOR_MAX = 256, WRITE_TIMEOUT_MS = 4000, RELATIVE_CENTRE = 0x7fff };
enum { ENC_POINTER_MOTION = -257, ENC_EXT_KEY = -258, MSG_QEMU = 255 };

struct pending {
    bool mode, cursor, cursor_at;
    struct surface sf;
    struct rect rect[MAX_RECTS];
    int n_rects;
    int cur_w, cur_h, cur_hx, cur_hy, cur_x, cur_y;
    bool cur_shown;
    uint32_t *cur; /* CURSOR_MAX squared, NULL until the first image */
    bool cur_image;
};

struct screen {
    struct vm *vm;
    struct display *display;
    struct input *input;
    const struct keymap *keymap;
    char *name;
    char *passwords[2];
    unsigned port, max_clients;
    void (*thread_started)(void *u, const char *kind);
    void *thread_started_u;
    rfbScreenInfoPtr rfb;
    int listen[SCREEN_LISTEN_MAX], n_listen;
    struct wire *wire;
    struct {
        int fd;
        char host[64];
    } coming[WIRE_MAX];    /* viewers for the thread, under lock */
    int n_coming;
    const char *host;      /* thread: of the one that comes */
    int wake; /* eventfd */
    pthread_t thread;
    bool stop;
    int sink;              /* display sink id, -1: nobody looks */
    unsigned clients;
    bool absolute;         /* what clients with relative mode were told last */
    bool caps;             /* Caps Lock as pressed through us */
    struct surface sf;     /* thread: what is shown */
    uint32_t *picture;     /* thread: our copy, width * height */
    bool cur_shown, cur_image;
    pthread_mutex_t lock;  /* of pending */
    struct pending pending;
};

/* One viewer. */
struct client {
    struct screen *screen;
    uint8_t down[32];      /* HID usages held by this viewer */
    int buttons, x, y;
    bool has_pos, relative; /* relative: offers pointer motion changes */
    char host[64];
    bool tell_keys, tell_motion; /* answers to its encodings that go out behind the next update */
};

static void wake(struct screen *s)
{
    uint64_t one = 1;
    ssize_t n = write(s->wake, &one, sizeof one);
    (void)n; /* a full counter wakes as well */
}

/* ---- the display's side: [dev] ---- */

static void sink_mode(void *u, const struct surface *sf)
{
    struct screen *s = u;
    pthread_mutex_lock(&s->lock);
    s->pending.sf = *sf;
    s->pending.mode = true;
    s->pending.n_rects = 0;
    pthread_mutex_unlock(&s->lock);
    wake(s);
}

static void sink_update(void *u, const struct rect *r, int n)
{
    struct screen *s = u;
    struct pending *p = &s->pending;
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < n; i++) {
        if (p->n_rects == MAX_RECTS) {
            p->rect[0] = (struct rect){0, 0, (int)p->sf.width, (int)p->sf.height};
            p->n_rects = 1;
            break;
        }
        p->rect[p->n_rects++] = r[i];
    }
    pthread_mutex_unlock(&s->lock);
    wake(s);
}

static void sink_cursor(void *u, int w, int h, int hot_x, int hot_y, const uint32_t *argb)
{
    struct screen *s = u;
    struct pending *p = &s->pending;
    pthread_mutex_lock(&s->lock);
    p->cursor = true;
    p->cur_image = argb && w > 0 && h > 0 && w <= CURSOR_MAX && h <= CURSOR_MAX;
    if (p->cur_image && !p->cur)
        p->cur = malloc(CURSOR_MAX * CURSOR_MAX * 4);
    if (!p->cur)
        p->cur_image = false;
    if (p->cur_image) {
        memcpy(p->cur, argb, (size_t)w * (size_t)h * 4);
        p->cur_w = w;
        p->cur_h = h;
        p->cur_hx = hot_x;
        p->cur_hy = hot_y;
    }
    pthread_mutex_unlock(&s->lock);
    wake(s);
}

static void sink_cursor_at(void *u, int x, int y, bool shown)
{
    struct screen *s = u;
    pthread_mutex_lock(&s->lock);
    s->pending.cursor_at = true;
    s->pending.cur_x = x;
    s->pending.cur_y = y;
    s->pending.cur_shown = shown;
    pthread_mutex_unlock(&s->lock);
    wake(s);
}

static const struct display_sink sink_ops = {sink_mode, sink_update, sink_cursor, sink_cursor_at};

/* ---- picture ---- */

static void set_format(rfbScreenInfoPtr r)
{
    r->serverFormat.redShift = 16;
    r->serverFormat.greenShift = 8;
    r->serverFormat.blueShift = 0;
    r->serverFormat.redMax = r->serverFormat.greenMax = r->serverFormat.blueMax = 255;
    r->serverFormat.depth = 24;
}

static void new_size(struct screen *s, uint32_t w, uint32_t h)
{
    uint32_t *old = s->picture, *now = calloc((size_t)w * h, 4);
    if (!now)
        return; /* the old picture stays; the next mode tries again */
    s->picture = now;
    rfbNewFramebuffer(s->rfb, (char *)now, (int)w, (int)h, 8, 3, 4);
    set_format(s->rfb);
    rfbClientIteratorPtr it = rfbGetClientIterator(s->rfb);
    for (rfbClientPtr cl; (cl = rfbClientIteratorNext(it));)
        s->rfb->setTranslateFunction(cl); /* rfbNewFramebuffer did so with its own channel order */
    rfbReleaseClientIterator(it);
    free(old);
}

/* Copies the parts of r that differ and tells libvncserver about them. */
static void copy_rect(struct screen *s, const struct rect *r)
{
    uint32_t w = (uint32_t)s->rfb->width, h = (uint32_t)s->rfb->height;
    if (s->sf.width != w || s->sf.height != h || r->x < 0 || r->y < 0)
        return;
    uint32_t x1 = (uint32_t)r->x + (uint32_t)r->w < w ? (uint32_t)r->x + (uint32_t)r->w : w;
    uint32_t y1 = (uint32_t)r->y + (uint32_t)r->h < h ? (uint32_t)r->y + (uint32_t)r->h : h;
    for (uint32_t ty = (uint32_t)r->y; ty < y1; ty += TILE_H) {
        uint32_t te = ty + TILE_H < y1 ? ty + TILE_H : y1, run = UINT32_MAX;
        for (uint32_t tx = (uint32_t)r->x;; tx += TILE_W) {
            bool differs = false;
            uint32_t tw = tx + TILE_W < x1 ? TILE_W : x1 - tx;
            for (uint32_t y = ty; tx < x1 && y < te; y++) {
                const uint8_t *from = s->sf.pixels + (size_t)y * s->sf.stride + (size_t)tx * 4;
                uint32_t *to = s->picture + (size_t)y * w + tx;
                if (differs || memcmp(to, from, tw * 4)) {
                    memcpy(to, from, tw * 4);
                    differs = true;
                }
            }
            if (differs && run == UINT32_MAX)
                run = tx;
            if (!differs && run != UINT32_MAX) {
                rfbMarkRectAsModified(s->rfb, (int)run, (int)ty, (int)(tx < x1 ? tx : x1), (int)te);
                run = UINT32_MAX;
            }
            if (tx >= x1)
                break;
        }
    }
}

/* rfbCursor from premultiplied ARGB. The rich encoding has a one-bit mask; local drawing (viewers without cursor support) uses the alpha. */
static rfbCursorPtr make_cursor(const uint32_t *argb, int w, int h, int hx, int hy)
{
    rfbCursorPtr c = calloc(1, sizeof *c);
    size_t mask_line = (size_t)(w + 7) / 8;
    uint8_t *mask = calloc(mask_line, (size_t)h), *alpha = malloc((size_t)w * (size_t)h), *source = calloc(mask_line, (size_t)h);
    uint32_t *rich = malloc((size_t)w * (size_t)h * 4);
    if (!c || !mask || !alpha || !source || !rich) {
        free(c);
        free(mask);
        free(alpha);
        free(source);
        free(rich);
        return NULL;
    }
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            uint32_t p = argb[y * w + x], a = p >> 24, v[3];
            for (int k = 0; k < 3; k++) {
                v[k] = p >> (8 * k) & 0xff;
                v[k] = !a ? 0 : v[k] * 255 / a > 255 ? 255 : v[k] * 255 / a;
            }
            rich[y * w + x] = v[2] << 16 | v[1] << 8 | v[0];
            alpha[y * w + x] = (uint8_t)a;
            if (a >= 128) {
                mask[(size_t)y * mask_line + (size_t)x / 8] |= (uint8_t)(0x80 >> (x % 8));
                if (v[0] + v[1] + v[2] < 384) /* two-colour form for old viewers: dark pixels are the foreground */
                    source[(size_t)y * mask_line + (size_t)x / 8] |= (uint8_t)(0x80 >> (x % 8));
            }
        }
    c->cleanup = c->cleanupSource = c->cleanupMask = c->cleanupRichSource = TRUE;
    c->width = (unsigned short)w;
    c->height = (unsigned short)h;
    c->xhot = (unsigned short)hx;
    c->yhot = (unsigned short)hy;
    c->backRed = c->backGreen = c->backBlue = 0xffff;
    c->mask = mask;
    c->source = source;
    c->richSource = (unsigned char *)rich;
    c->alphaSource = alpha; /* freed with the mask's cleanup by rfbFreeCursor */
    return c;
}

/* Takes over what the display has noted. */
static void take_pending(struct screen *s)
{
    pthread_mutex_lock(&s->lock);
    struct pending p = s->pending;
    s->pending.mode = s->pending.cursor = s->pending.cursor_at = false;
    s->pending.n_rects = 0;
    rfbCursorPtr cursor = NULL;
    bool shown = p.cursor_at ? p.cur_shown : s->cur_shown, image = p.cursor ? p.cur_image : s->cur_image;
    bool shape = p.cursor || shown != s->cur_shown;
    if (shape && shown && image)
        cursor = make_cursor(p.cur, p.cur_w, p.cur_h, p.cur_hx, p.cur_hy);
    pthread_mutex_unlock(&s->lock);

    s->cur_shown = shown;
    s->cur_image = image;
    if (p.mode) {
        s->sf = p.sf;
        if ((int)p.sf.width != s->rfb->width || (int)p.sf.height != s->rfb->height)
            new_size(s, p.sf.width, p.sf.height);
    }
    for (int i = 0; i < p.n_rects; i++)
        copy_rect(s, &p.rect[i]);
    if (shape)
        rfbSetCursor(s->rfb, cursor);
    if (p.cursor_at && (s->rfb->cursorX != p.cur_x || s->rfb->cursorY != p.cur_y)) {
        s->rfb->cursorX = p.cur_x < 0 ? 0 : p.cur_x >= s->rfb->width ? s->rfb->width - 1 : p.cur_x;
        s->rfb->cursorY = p.cur_y < 0 ? 0 : p.cur_y >= s->rfb->height ? s->rfb->height - 1 : p.cur_y;
        rfbClientIteratorPtr it = rfbGetClientIterator(s->rfb);
        for (rfbClientPtr cl; (cl = rfbClientIteratorNext(it));)
            if (!cl->enableCursorShapeUpdates)
                cl->cursorWasMoved = TRUE;
        rfbReleaseClientIterator(it);
    }
}

/* ---- keyboard ---- */

static void post_key(struct screen *s, uint8_t hid, bool down)
{
    struct input_event ev = {.type = IN_KEY, .code = hid, .x = down};
    input_post(s->input, &ev, 1);
}

static bool is_down(const struct client *c, uint8_t hid) { return c->down[hid / 8] >> (hid % 8) & 1; }

static void key(struct client *c, uint8_t hid, bool down)
{
    if (!hid || (!down && !is_down(c, hid)))
        return;
    if (down && hid == HID_CAPS && !is_down(c, hid))
        c->screen->caps = !c->screen->caps;
    if (down)
        c->down[hid / 8] |= (uint8_t)(1 << (hid % 8));
    else
        c->down[hid / 8] &= (uint8_t)~(1 << (hid % 8));
    post_key(c->screen, hid, down); /* a repeated press is passed on: the viewer's autorepeat */
}

static void key_with(struct client *c, struct key_place k)
{
    struct screen *s = c->screen;
    bool lshift = is_down(c, HID_LSHIFT), rshift = is_down(c, HID_RSHIFT), altgr = is_down(c, HID_RALT);
    bool command = is_down(c, HID_LCTRL) || is_down(c, HID_RCTRL) || is_down(c, HID_LALT) || is_down(c, HID_LGUI) || is_down(c, HID_RGUI);
    bool want = k.shift ^ (k.letter && s->caps);
    bool fix_shift = !command && !k.altgr && want != (lshift || rshift), fix_altgr = !command && k.altgr && !altgr;
    if (fix_shift && want)
        post_key(s, HID_LSHIFT, true);
    if (fix_shift && !want) {
        if (lshift)
            post_key(s, HID_LSHIFT, false);
        if (rshift)
            post_key(s, HID_RSHIFT, false);
    }
    if (fix_altgr)
        post_key(s, HID_RALT, true);
    key(c, k.hid, true);
    if (fix_altgr)
        post_key(s, HID_RALT, false);
    if (fix_shift && want)
        post_key(s, HID_LSHIFT, false);
    if (fix_shift && !want) {
        if (lshift)
            post_key(s, HID_LSHIFT, true);
        if (rshift)
            post_key(s, HID_RSHIFT, true);
    }
}

static void on_key(rfbBool down, rfbKeySym keysym, rfbClientPtr cl)
{
    struct client *c = cl->clientData;
    if (!c)
        return;
    struct key_place k = keymap_lookup(c->screen->keymap, keysym);
    if (!k.hid)
        log_msg(LOG_DEBUG, "screen", "No key for keysym %x.", (unsigned)keysym);
    else if (down && !k.plain && !is_down(c, k.hid))
        key_with(c, k);
    else
        key(c, k.hid, down);
}

static void release_all(rfbClientPtr cl)
{
    struct client *c = cl->clientData;
    for (unsigned h = 0; c && h < 256; h++)
        if (is_down(c, (uint8_t)h))
            key(c, (uint8_t)h, false);
}

/* ---- pointer ---- */

/* The middle of the pixel, so that a guest which scales 65536 places to its pixels gets that one; the edges are the edges. */
static int32_t absolute(int at, int size) { return at <= 0 ? 0 : at >= size - 1 ? 65535 : (int32_t)(((int64_t)at * 65536 + 32768) / size); }

static void on_pointer(int mask, int x, int y, rfbClientPtr cl)
{
    static const struct {
        int bit;
        uint16_t code;
    } buttons[] = {{0, 0}, {1, 2}, {2, 1}, {7, 3}};
    struct client *c = cl->clientData;
    if (!c)
        return;
    struct screen *s = c->screen;
    struct input_event ev[8];
    int n = 0, w = s->rfb->width, h = s->rfb->height;
    if (input_wants_absolute(s->input)) {
        ev[n++] = (struct input_event){.type = IN_ABS, .x = absolute(x, w), .y = absolute(y, h)};
    } else {
        int dx = 0, dy = 0;
        if (c->relative && !s->absolute) {
            dx = x - RELATIVE_CENTRE;
            dy = y - RELATIVE_CENTRE;
        } else if (c->has_pos) {
            dx = x - c->x;
            dy = y - c->y;
        }
        if (dx || dy)
            ev[n++] = (struct input_event){.type = IN_REL, .x = dx, .y = dy};
    }
    c->x = x;
    c->y = y;
    c->has_pos = true;
    int change = mask ^ c->buttons;
    for (unsigned i = 0; i < sizeof buttons / sizeof buttons[0]; i++)
        if (change >> buttons[i].bit & 1)
            ev[n++] = (struct input_event){.type = IN_BUTTON, .code = buttons[i].code, .x = mask >> buttons[i].bit & 1};
    if (change & mask & 8)
        ev[n++] = (struct input_event){.type = IN_WHEEL, .y = 1};
    if (change & mask & 16)
        ev[n++] = (struct input_event){.type = IN_WHEEL, .y = -1};
    c->buttons = mask;
    if (n)
        input_post(s->input, ev, n);
}

/* ---- protocol extensions of QEMU ---- */

/* A FramebufferUpdate with one pseudo-rectangle. Between messages, so it never lands inside another update. */
static void send_pseudo_rect(rfbClientPtr cl, int encoding, unsigned x)
{
    uint8_t m[16] = {rfbFramebufferUpdate, 0, 0, 1, (uint8_t)(x >> 8), (uint8_t)x, 0, 0, (uint8_t)(cl->screen->width >> 8), (uint8_t)cl->screen->width,
                     (uint8_t)(cl->screen->height >> 8), (uint8_t)cl->screen->height};
    for (int i = 0; i < 4; i++)
        m[12 + i] = (uint8_t)((uint32_t)encoding >> (24 - 8 * i));
    if (rfbWriteExact(cl, (char *)m, sizeof m) < 0)
        rfbCloseClient(cl);
}

static rfbBool ext_enable(rfbClientPtr cl, void **data, int encoding)
{
    struct client *c = cl->clientData;
    if (!c)
        return FALSE;
    if (encoding == ENC_EXT_KEY)
        c->tell_keys = true;
    else if (encoding == ENC_POINTER_MOTION)
        c->relative = c->tell_motion = true;
    else
        return FALSE;
    return TRUE;
}

/* Viewers made with libvncclient forget such an answer when libvncserver's list of supported messages comes after it, in an update. */
static void update_sent(rfbClientPtr cl, int result)
{
    struct client *c = cl->clientData;
    if (!c || !result || cl->enableSupportedMessages) /* that list is still to come */
        return;
    if (c->tell_keys)
        send_pseudo_rect(cl, ENC_EXT_KEY, 0);
    if (c->tell_motion)
        send_pseudo_rect(cl, ENC_POINTER_MOTION, c->screen->absolute);
    c->tell_keys = c->tell_motion = false;
}

static rfbBool ext_message(rfbClientPtr cl, void *data, const rfbClientToServerMsg *msg)
{
    struct client *c = cl->clientData;
    uint8_t m[12]; /* type, subtype, down flag (2), keysym (4), key code (4) */
    if (msg->type != MSG_QEMU)
        return FALSE;
    int n = rfbReadExact(cl, (char *)m + 1, sizeof m - 1);
    if (n <= 0 || m[1] != 0 || !c) {
        rfbCloseClient(cl); /* subtype 1 is audio, which was never offered */
        return TRUE;
    }
    if (cl->viewOnly)
        return TRUE;
    bool down = m[2] || m[3];
    uint32_t code = (uint32_t)m[8] << 24 | (uint32_t)m[9] << 16 | (uint32_t)m[10] << 8 | m[11];
    uint8_t hid = hid_from_xt(code);
    if (hid)
        key(c, hid, down);
    else
        on_key(down, (uint32_t)m[4] << 24 | (uint32_t)m[5] << 16 | (uint32_t)m[6] << 8 | m[7], cl);
    return TRUE;
}

static int ext_encodings[] = {ENC_EXT_KEY, ENC_POINTER_MOTION, 0};
static rfbProtocolExtension extension = {.pseudoEncodings = ext_encodings, .enablePseudoEncoding = ext_enable, .handleMessage = ext_message};

static void log_line(const char *fmt, ...)
{
    char line[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    line[strcspn(line, "\n")] = 0;
    log_msg(LOG_DEBUG, "screen", "%s", line);
}

/* libvncserver keeps its log functions and extensions for the whole process. */
static void library_init(void)
{
    rfbLog = rfbErr = log_line;
    rfbRegisterProtocolExtension(&extension);
}

/* ---- clients ---- */

static void client_gone(rfbClientPtr cl)
{
    struct client *c = cl->clientData;
    if (!c)
        return;
    struct screen *s = c->screen;
    release_all(cl);
    if (c->buttons) {
        bool rel = c->relative && !s->absolute;
        on_pointer(0, rel ? RELATIVE_CENTRE : c->x, rel ? RELATIVE_CENTRE : c->y, cl);
    }
    cl->clientData = NULL;
    log_msg(LOG_INFO, "screen", "The VNC client at %s has gone.", c->host);
    free(c);
    if (__atomic_sub_fetch(&s->clients, 1, __ATOMIC_RELAXED) == 0 && s->sink >= 0) {
        display_detach(s->display, s->sink);
        s->sink = -1;
    }
}

static enum rfbNewClientAction client_new(rfbClientPtr cl)
{
    struct screen *s = cl->screen->screenData;
    if (s->max_clients && s->clients >= s->max_clients) {
        log_msg(LOG_WARN, "screen", "A VNC client at %s was refused: %u are connected already.", s->host, s->clients);
        return RFB_CLIENT_REFUSE;
    }
    struct client *c = calloc(1, sizeof *c);
    if (!c)
        return RFB_CLIENT_REFUSE;
    c->screen = s;
    snprintf(c->host, sizeof c->host, "%s", s->host);
    cl->clientData = c;
    cl->clientGoneHook = client_gone;
    log_msg(LOG_INFO, "screen", "A VNC client at %s has connected.", c->host);
    if (__atomic_add_fetch(&s->clients, 1, __ATOMIC_RELAXED) == 1) {
        s->sink = display_attach(s->display, &sink_ops, s);
        take_pending(s); /* the size must be right before ServerInit */
    }
    return RFB_CLIENT_ACCEPT;
}

static void ignore_cut_text(char *text, int n, rfbClientPtr cl) {}

static int refuse_resize(int w, int h, int n, struct rfbExtDesktopScreen *screens, rfbClientPtr cl) { return rfbExtDesktopSize_ResizeProhibited; }

/* ---- thread ---- */

/* [wire] */
static void viewer(void *u, int fd, const char *host)
{
    struct screen *s = u;
    pthread_mutex_lock(&s->lock);
    bool room = s->n_coming < WIRE_MAX;
    if (room) {
        s->coming[s->n_coming].fd = fd;
        snprintf(s->coming[s->n_coming++].host, sizeof s->coming[0].host, "%s", host);
    }
    pthread_mutex_unlock(&s->lock);
    if (!room)
        close(fd);
    wake(s);
}

static bool next_viewer(struct screen *s, int *fd, char host[64])
{
    pthread_mutex_lock(&s->lock);
    bool any = s->n_coming > 0;
    if (any) {
        *fd = s->coming[0].fd;
        memcpy(host, s->coming[0].host, 64);
        memmove(s->coming, s->coming + 1, (size_t)--s->n_coming * sizeof s->coming[0]);
    }
    pthread_mutex_unlock(&s->lock);
    return any;
}

static void take_viewers(struct screen *s)
{
    int fd;
    char host[64];
    while (next_viewer(s, &fd, host)) {
        s->host = host;
        if (fd < FD_SETSIZE) /* libvncserver waits with select */
            rfbNewClient(s->rfb, fd);
        else
            close(fd);
    }
    s->host = NULL;
}

static void tell_pointer_mode(struct screen *s)
{
    bool absolute = input_wants_absolute(s->input);
    if (absolute == s->absolute)
        return;
    s->absolute = absolute;
    rfbClientIteratorPtr it = rfbGetClientIterator(s->rfb);
    for (rfbClientPtr cl; (cl = rfbClientIteratorNext(it));) {
        struct client *c = cl->clientData;
        if (c && c->relative && !c->tell_motion && cl->state == RFB_NORMAL)
            send_pseudo_rect(cl, ENC_POINTER_MOTION, absolute);
    }
    rfbReleaseClientIterator(it);
}

static void *serve(void *arg)
{
    struct screen *s = arg;
    pthread_setname_np(pthread_self(), "screen");
    if (s->thread_started)
        s->thread_started(s->thread_started_u, "screen");
    while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
        struct pollfd fds[64];
        nfds_t n = 0;
        fds[n++] = (struct pollfd){.fd = s->wake, .events = POLLIN};
        rfbClientIteratorPtr it = rfbGetClientIterator(s->rfb);
        for (rfbClientPtr cl; (cl = rfbClientIteratorNext(it)) && n < 64;)
            if (cl->sock >= 0)
                fds[n++] = (struct pollfd){.fd = cl->sock, .events = POLLIN};
        rfbReleaseClientIterator(it);
        /* With clients, now and then without an event: the guest may have changed its kind of pointer. */
        poll(fds, n, s->clients ? 250 : -1);
        if (fds[0].revents) {
            uint64_t count;
            ssize_t got = read(s->wake, &count, sizeof count);
            (void)got;
        }
        take_viewers(s);
        if (!s->clients)
            continue;
        take_pending(s);
        tell_pointer_mode(s);
        rfbProcessEvents(s->rfb, 0);
    }
    rfbShutdownServer(s->rfb, TRUE);
    return NULL;
}

/* ---- life cycle ---- */

bool screen_keymap_known(const char *keymap) { return keymap_find(keymap) != NULL; }
const char *screen_keymap_names(void) { return keymap_names(); }
unsigned screen_port(const struct screen *s) { return s->port; }
unsigned screen_client_count(struct screen *s) { return __atomic_load_n(&s->clients, __ATOMIC_RELAXED); }

static void screen_free(struct screen *s)
{
    for (int i = 0; i < s->n_coming; i++)
        close(s->coming[i].fd);
    for (int i = 0; i < s->n_listen; i++)
        close(s->listen[i]);
    if (s->wake >= 0)
        close(s->wake);
    if (s->rfb) {
        s->rfb->authPasswdData = NULL;
        rfbScreenCleanup(s->rfb);
    }
    if (s->passwords[0])
        explicit_bzero(s->passwords[0], strlen(s->passwords[0]));
    free(s->passwords[0]);
    free(s->picture);
    free(s->pending.cur);
    free(s->name);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

struct screen *screen_start(const struct screen_params *p, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_init);
    struct screen *s = calloc(1, sizeof *s);
    if (!s) {
        err_set(e, ERR_NOMEM, 0, "There is not enough memory for the VNC server.");
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    s->vm = p->vm;
    s->display = p->display;
    s->input = p->input;
    s->port = p->port;
    s->max_clients = p->max_clients;
    s->thread_started = p->thread_started;
    s->thread_started_u = p->thread_started_u;
    s->sink = -1;
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->name = strdup(p->name ? p->name : "Lodge");
    s->picture = calloc(640 * 480, 4);
    s->keymap = keymap_find(p->keymap);
    if (!s->keymap) {
        err_set(e, ERR_CONFIG, 0, "RemoteDisplay.vnc.keyMap is \"%.40s\": give one of %s.", p->keymap, keymap_names());
        goto fail;
    }
    if (screen_listen(p->ip, p->port, s->listen, &s->n_listen, e))
        goto fail;
    s->rfb = s->wake >= 0 && s->name && s->picture ? rfbGetScreen(NULL, NULL, 640, 480, 8, 3, 4) : NULL;
    if (!s->rfb) {
        err_set(e, ERR_NOMEM, 0, "There is not enough memory for the VNC server.");
        goto fail;
    }
    rfbScreenInfoPtr r = s->rfb;
    set_format(r);
    r->frameBuffer = (char *)s->picture;
    r->desktopName = s->name;
    r->screenData = s;
    r->port = r->ipv6port = 0; /* we listen ourselves */
    r->autoPort = FALSE;
    r->alwaysShared = TRUE;
    r->deferUpdateTime = 0; /* the display's frame tick has coalesced already */
    r->deferPtrUpdateTime = 0;
    r->handleEventsEagerly = TRUE;
    r->maxClientWait = WRITE_TIMEOUT_MS;
    r->cursor = NULL;
    r->kbdAddEvent = on_key;
    r->kbdReleaseAllKeys = release_all;
    r->ptrAddEvent = on_pointer;
    r->setXCutText = ignore_cut_text;
    r->setDesktopSizeHook = refuse_resize;
    r->newClientHook = client_new;
    r->displayFinishedHook = update_sent;
    if (p->password && *p->password) {
        s->passwords[0] = strdup(p->password);
        if (!s->passwords[0]) {
            err_set(e, ERR_NOMEM, 0, "There is not enough memory for the VNC server.");
            goto fail;
        }
        r->authPasswdData = s->passwords;
        r->passwordCheck = rfbCheckPasswordByList;
        r->authPasswdFirstViewOnly = 1;
    }
    rfbInitServer(r);
    s->absolute = input_wants_absolute(s->input);
    struct wire_params wp = {.listen = s->listen, .n_listen = s->n_listen, .password = s->passwords[0] != NULL, .viewer = viewer, .u = s,
                             .thread_started = p->thread_started, .thread_started_u = p->thread_started_u};
    if (!(s->wire = wire_start(&wp, e)))
        goto fail;
    int err = pthread_create(&s->thread, NULL, serve, s);
    if (err) {
        wire_stop(s->wire);
        err_set(e, ERR_HOST, err, "The VNC server's thread cannot be started: %s.", strerror(err));
        goto fail;
    }
    return s;
fail:
    screen_free(s);
    return NULL;
}

void screen_stop(struct screen *s)
{
    if (!s)
        return;
    wire_stop(s->wire); /* first: then libvncserver waits for nobody */
    __atomic_store_n(&s->stop, true, __ATOMIC_RELEASE);
    wake(s);
    pthread_join(s->thread, NULL);
    if (s->sink >= 0)
        display_detach(s->display, s->sink);
    screen_free(s);
}
