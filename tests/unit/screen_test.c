/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VNC server with real clients (libvncclient) over loopback: authentication, picture, damage, size, cursor, keys (by keysym with a layout, and
 * by key code), pointer, several clients, a port in use; clients of its own that break the protocol; and the PNG encoder, whose output is decoded again by zlib and the rules of the format.
 * The guest's input router is replaced by a recorder.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <rfb/rfbclient.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "base/bytes.h"
#include "display/surface.h"
#include "input/input.h"
#include "screen.h"
#include "screen_keys.h"
#include "tests/fakevm.h"
#include "tests/tap.h"

/* ---- the recorder ---- */
static pthread_mutex_t rec_lock = PTHREAD_MUTEX_INITIALIZER;
static char rec[4096]; /* "+04" key down, "-04" up, "a x y" absolute, "r x y", "b0+" button, "w1" wheel */
static _Atomic bool absolute = true;

void input_post(struct input *in, const struct input_event *ev, int n)
{
    pthread_mutex_lock(&rec_lock);
    for (int i = 0; i < n; i++) {
        size_t at = strlen(rec), left = sizeof rec - at;
        switch (ev[i].type) {
        case IN_KEY: snprintf(rec + at, left, "%c%02x ", ev[i].x ? '+' : '-', ev[i].code); break;
        case IN_ABS: snprintf(rec + at, left, "a%d,%d ", ev[i].x, ev[i].y); break;
        case IN_REL: snprintf(rec + at, left, "r%d,%d ", ev[i].x, ev[i].y); break;
        case IN_BUTTON: snprintf(rec + at, left, "b%d%c ", ev[i].code, ev[i].x ? '+' : '-'); break;
        case IN_WHEEL: snprintf(rec + at, left, "w%d ", ev[i].y); break;
        }
    }
    pthread_mutex_unlock(&rec_lock);
}
bool input_wants_absolute(struct input *in) { return absolute; }

static bool recorded(const char *want)
{
    bool same = false;
    char got[sizeof rec] = "";
    for (int i = 0; i < 6000 && !same; i++) {
        pthread_mutex_lock(&rec_lock);
        strcpy(got, rec);
        pthread_mutex_unlock(&rec_lock);
        same = !strcmp(got, want);
        if (!same)
            usleep(10000);
    }
    if (!same)
        printf("# got \"%s\", want \"%s\"\n", got, want);
    pthread_mutex_lock(&rec_lock);
    rec[0] = 0;
    pthread_mutex_unlock(&rec_lock);
    return same;
}

/* ---- a client ---- */
struct viewer {
    rfbClient *c;
    int w, h, cur_w, cur_h, cur_hx, cur_hy;
};
static const char *password;
static char tag;

static char *give_password(rfbClient *c) { return strdup(password); }
static rfbBool on_size(rfbClient *c)
{
    struct viewer *v = rfbClientGetClientData(c, &tag);
    v->w = c->width;
    v->h = c->height;
    free(c->frameBuffer);
    c->frameBuffer = calloc((size_t)c->width * (size_t)c->height, 4);
    return TRUE;
}
static void on_cursor(rfbClient *c, int hx, int hy, int w, int h, int bpp)
{
    struct viewer *v = rfbClientGetClientData(c, &tag);
    v->cur_w = w;
    v->cur_h = h;
    v->cur_hx = hx;
    v->cur_hy = hy;
}
static void quiet(const char *fmt, ...) {}

static bool viewer_open(struct viewer *v, unsigned port)
{
    memset(v, 0, sizeof *v);
    rfbClientLog = rfbClientErr = quiet;
    v->c = rfbGetClient(8, 3, 4);
    rfbClientSetClientData(v->c, &tag, v);
    v->c->MallocFrameBuffer = on_size;
    v->c->GetPassword = give_password;
    v->c->GotCursorShape = on_cursor;
    v->c->canHandleNewFBSize = TRUE;
    v->c->appData.useRemoteCursor = TRUE;
    v->c->appData.encodingsString = "tight zrle hextile raw";
    v->c->appData.enableJPEG = FALSE;
    v->c->format.redShift = 16;
    v->c->format.greenShift = 8;
    v->c->format.blueShift = 0;
    v->c->serverHost = strdup("127.0.0.1");
    v->c->serverPort = (int)port;
    int argc = 1;
    char *argv[] = {"test", NULL};
    if (!rfbInitClient(v->c, &argc, argv)) { /* frees the client when it fails */
        v->c = NULL;
        return false;
    }
    return true;
}
static void viewer_close(struct viewer *v)
{
    if (!v->c)
        return;
    free(v->c->frameBuffer);
    v->c->frameBuffer = NULL;
    rfbClientCleanup(v->c);
}
/* Handles messages until cond, a minute at most. */
#define VIEWER_UNTIL(v, cond)                                       \
    do {                                                            \
        for (int i_ = 0; i_ < 6000 && !(cond); i_++)                 \
            if ((v)->c->buffered || WaitForMessage((v)->c, 10000) > 0)                \
                HandleRFBServerMessage((v)->c);                     \
    } while (0)
static uint32_t pixel(const struct viewer *v, int x, int y) { return ((uint32_t *)(void *)v->c->frameBuffer)[y * v->w + x] & 0xffffff; }

/* ---- the guest ---- */
static void paint(struct vm *vm, struct display *d, int x, int y, uint32_t rgb)
{
    chipset_lock(vm);
    const struct surface *sf = display_surface(d);
    memcpy(sf->pixels + (size_t)y * sf->stride + (size_t)x * 4, &rgb, 4);
    display_damage(d, x, y, 1, 1);
    display_flush(d);
    chipset_unlock(vm);
}
static void set_mode(struct vm *vm, struct display *d, unsigned w, unsigned h)
{
    struct err e;
    chipset_lock(vm);
    display_set_mode(d, w, h, &e);
    memset(display_surface(d)->pixels, 0, (size_t)w * h * 4);
    display_flush(d);
    chipset_unlock(vm);
}

static unsigned free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&a, n) || getsockname(fd, (struct sockaddr *)&a, &n))
        return 0;
    close(fd);
    return ntohs(a.sin_port);
}

static void key(struct viewer *v, uint32_t sym, bool down) { SendKeyEvent(v->c, sym, down); }
static void type(struct viewer *v, uint32_t sym)
{
    key(v, sym, true);
    key(v, sym, false);
}

static void test_server(void)
{
    struct err e = {0};
    struct vm *vm = fakevm_new(1, 1);
    struct display *d = display_new(vm, &e);
    set_mode(vm, d, 720, 400);
    unsigned port = free_port();
    struct screen_params p = {.vm = vm, .display = d, .name = "Test", .ip = "127.0.0.1", .port = port, .password = "geheim78zuviel", .keymap = "de", .max_clients = 2};
    struct screen *s = screen_start(&p, &e);
    if (!ok(s != NULL, "the server starts")) {
        printf("# %s\n", e.msg);
        return;
    }
    ok(!display_watched(d), "without clients nobody watches the display");

    struct viewer v, v2, v3;
    password = "falsch";
    ok(!viewer_open(&v, port), "a wrong password is refused");
    password = "geheim78";
    ok(viewer_open(&v, port), "the first eight characters are the password");
    if (!v.c)
        return;
    ok(v.w == 720 && v.h == 400 && !strcmp(v.c->desktopName, "Test"), "size and name");
    ok(display_watched(d), "now the display is watched");
    paint(vm, d, 100, 50, 0x12ab34);
    VIEWER_UNTIL(&v, pixel(&v, 100, 50) == 0x12ab34);
    is_u64(pixel(&v, 100, 50), 0x12ab34, "a pixel arrives with its colour");
    paint(vm, d, 719, 399, 0xff0000);
    VIEWER_UNTIL(&v, pixel(&v, 719, 399));
    is_u64(pixel(&v, 719, 399), 0xff0000, "the last one too");

    /* Keys, German layout. */
    type(&v, 'z');
    ok(recorded("+1c -1c "), "z is where a US keyboard has y");
    key(&v, 0xffe1, true);
    type(&v, '/');
    key(&v, 0xffe1, false);
    ok(recorded("+e1 +24 -24 -e1 "), "/ is Shift and 7");
    type(&v, '/');
    ok(recorded("+e1 +24 -e1 -24 "), "/ without Shift held: it is added");
    key(&v, 0xfe03, true);
    type(&v, '@');
    key(&v, 0xfe03, false);
    ok(recorded("+e6 +14 -14 -e6 "), "@ is AltGr and q");
    type(&v, 0xdf);
    type(&v, 0xfc);
    type(&v, 0xffc2);
    ok(recorded("+2d -2d +2f -2f +3e -3e "), "sharp s, u umlaut, F5");
    type(&v, 'A');
    ok(recorded("+e1 +04 -e1 -04 "), "a capital letter without Shift");
    type(&v, 0xffe5);
    type(&v, 'A');
    type(&v, 0xffe5);
    ok(recorded("+39 -39 +04 -04 +39 -39 "), "and with Caps Lock");
    VIEWER_UNTIL(&v, SupportsClient2Server(v.c, 255));
    ok(SendExtendedKeyEvent(v.c, 'y', 0x15, TRUE) && SendExtendedKeyEvent(v.c, 'y', 0x15, FALSE), "the viewer was offered key codes");
    SendExtendedKeyEvent(v.c, 0xffea, 0xb8, TRUE);
    SendExtendedKeyEvent(v.c, 0xffea, 0xb8, FALSE);
    ok(recorded("+1c -1c +e6 -e6 "), "key codes, plain and behind E0");

    /* Pointer. */
    SendPointerEvent(v.c, 719, 0, 0);
    SendPointerEvent(v.c, 719, 0, 1);
    SendPointerEvent(v.c, 719, 0, 0);
    ok(recorded("a65535,0 a65535,0 b0+ a65535,0 b0- "), "absolute pointer and left button");
    SendPointerEvent(v.c, 0, 399, 8);
    SendPointerEvent(v.c, 0, 399, 4);
    SendPointerEvent(v.c, 0, 399, 0);
    ok(recorded("a0,65535 w1 a0,65535 b1+ a0,65535 b1- "), "wheel and right button");
    absolute = false;
    SendPointerEvent(v.c, 10, 390, 0);
    ok(recorded("r10,-9 "), "relative pointer");
    absolute = true;

    /* Cursor. */
    static uint32_t cur[16 * 8];
    for (unsigned i = 0; i < 16 * 8; i++)
        cur[i] = 0xff00ff00;
    chipset_lock(vm);
    display_cursor(d, 16, 8, 3, 2, cur);
    display_cursor_at(d, 50, 60, true);
    chipset_unlock(vm);
    VIEWER_UNTIL(&v, v.cur_w == 16);
    ok(v.cur_w == 16 && v.cur_h == 8 && v.cur_hx == 3 && v.cur_hy == 2, "cursor shape");

    /* A second client, a third one too many, a change of size. */
    ok(viewer_open(&v2, port), "two clients");
    ok(!viewer_open(&v3, port), "but not three");
    ok(screen_client_count(s) == 2, "two are counted");
    set_mode(vm, d, 1024, 768);
    VIEWER_UNTIL(&v, v.w == 1024);
    VIEWER_UNTIL(&v2, v2.w == 1024);
    ok(v.w == 1024 && v.h == 768 && v2.w == 1024, "both see the new size");
    paint(vm, d, 1000, 700, 0x00ff00);
    VIEWER_UNTIL(&v2, pixel(&v2, 1000, 700));
    is_u64(pixel(&v2, 1000, 700), 0x00ff00, "and draw in it");

    /* A client that goes with keys down. */
    key(&v2, 0xffe1, true);
    key(&v2, 'A', true);
    ok(recorded("+e1 +04 "), "shift and a are down");
    viewer_close(&v2);
    ok(recorded("-04 -e1 "), "and released when the client has gone");

    /* The port is taken. */
    struct screen *again = screen_start(&p, &e);
    char where[40];
    snprintf(where, sizeof where, "port %u ", port);
    ok(!again && e.kind == ERR_BUSY && strstr(e.msg, where) && strstr(e.msg, "RemoteDisplay.vnc.port = \"") && strstr(e.msg, "screen_test"),
       "a taken port: by whom, and which is free");
    printf("# %s\n", e.msg);
    struct screen_params bad = p;
    bad.ip = "example.org";
    ok(!screen_start(&bad, &e) && strstr(e.msg, "RemoteDisplay.vnc.ip"), "an ip that is none");
    bad = p;
    bad.keymap = "klingon";
    ok(!screen_start(&bad, &e) && strstr(e.msg, "keyMap"), "an unknown layout");

    screen_stop(s);
    ok(!display_watched(d), "stopped: nobody watches");
    viewer_close(&v);
    display_free(d);
    fakevm_free(vm);
}

/* ---- viewers that mean no good, by hand (RFC 6143, 7) ---- */
static int dial(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
    struct timeval patience = {.tv_sec = 60};
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return connect(fd, (struct sockaddr *)&a, sizeof a) ? -1 : fd;
}

/* Does the server close it, whatever it says before? */
static bool closed(int fd)
{
    char buf[4096];
    ssize_t n;
    while ((n = recv(fd, buf, sizeof buf, 0)) > 0)
        ;
    bool over = n == 0 || errno == ECONNRESET;
    close(fd);
    return over;
}

static bool hear(int fd, const void *want, size_t n)
{
    char buf[64];
    return recv(fd, buf, n, MSG_WAITALL) == (ssize_t)n && (!want || !memcmp(buf, want, n));
}

/* Logs in without a password, in the version's way; the ServerInit message is read. */
static bool log_in(int fd, char version)
{
    char hello[] = "RFB 003.00x\n";
    hello[10] = version;
    bool good = hear(fd, "RFB 003.008\n", 12) && send(fd, hello, 12, 0) == 12;
    if (version == '3')
        good = good && hear(fd, "\0\0\0\1", 4);
    else
        good = good && hear(fd, "\1\1", 2) && send(fd, "\1", 1, 0) == 1 && (version == '7' || hear(fd, "\0\0\0\0", 4));
    return good && send(fd, "\1", 1, 0) == 1 && hear(fd, NULL, 20) && hear(fd, "\0\0\0\4Test", 8);
}

static bool others_work(struct vm *vm, struct display *d, unsigned port, uint32_t rgb)
{
    struct viewer v;
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    bool good = viewer_open(&v, port);
    if (good) {
        paint(vm, d, 5, 5, rgb);
        VIEWER_UNTIL(&v, pixel(&v, 5, 5) == rgb);
        good = pixel(&v, 5, 5) == rgb;
        viewer_close(&v);
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    if (!good || b.tv_sec - a.tv_sec > 2)
        printf("# %s after %ld s\n", good ? "works" : "does not work", (long)(b.tv_sec - a.tv_sec));
    return good;
}

static void test_hostile(void)
{
    struct err e = {0};
    struct vm *vm = fakevm_new(1, 1);
    struct display *d = display_new(vm, &e);
    set_mode(vm, d, 1600, 1200);
    unsigned port = free_port();
    struct screen_params p = {.vm = vm, .display = d, .name = "Test", .ip = "127.0.0.1", .port = port};
    struct screen *s = screen_start(&p, &e);
    if (!ok(s != NULL, "a server without a password"))
        return;
    int fd;
    for (const char *c = "378"; *c; c++) {
        fd = dial(port);
        ok(log_in(fd, *c), "version 3.%c", *c);
        close(fd);
    }
    static const char *const wrong[] = {"GET / HTTP/1.1\r\n", "RFB 002.000\n", "RFB xyz.abc\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x41"};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        fd = dial(port);
        send(fd, wrong[i], 12, 0);
        ok(closed(fd), "%.8s is no version of RFB", i == 3 ? "TLS" : wrong[i]);
    }
    static const uint8_t no_message[][4] = {{7}, {9}, {100}, {255, 1}, {2, 0, 0xff, 0xff}};
    for (unsigned i = 0; i < sizeof no_message / sizeof no_message[0]; i++) {
        fd = dial(port);
        ok(log_in(fd, '8') && send(fd, no_message[i], 4, 0) == 4 && closed(fd), "message %u is none that anybody offered", no_message[i][0]);
    }

    /* All that a viewer may say, and the connection ends behind each byte of it; keys that it held are up then. */
    static const uint8_t all[] = {'R', 'F', 'B', ' ', '0', '0', '3', '.', '0', '0', '8', '\n', 1, 1, 0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0,
                                  2, 0, 0, 2, 0, 0, 0, 0, 255, 255, 255, 33, 3, 0, 0, 0, 0, 0, 6, 64, 4, 176, 4, 1, 0, 0, 0, 0, 0, 'a', 5, 1, 0, 9, 0, 9,
                                  6, 0, 0, 0, 0, 0, 0, 3, 'x', 'y', 'z', 255, 0, 0, 1, 0, 0, 0, 'b', 0, 0, 0, 0x30, 250, 0, 1, 2, 251, 0, 0, 1, 0, 1, 1};
    for (size_t n = 0; n <= sizeof all; n++) {
        fd = dial(port);
        (void)!send(fd, all, n, 0);
        if (n % 2)
            shutdown(fd, SHUT_WR);
        close(fd);
    }
    ok(others_work(vm, d, port, 0x123456), "a connection that ends behind each byte: others go on");
    for (int i = 0; i < 6000 && screen_client_count(s); i++)
        usleep(10000);
    is_u64(screen_client_count(s), 0, "none of them is left");
    rec[0] = 0;
    fd = dial(port);
    ok(log_in(fd, '8') && send(fd, "\4\1\0\0\0\0\0a", 8, 0) == 8 && recorded("+04 "), "a key goes down");
    close(fd);
    ok(recorded("-04 "), "... and up with its connection");

    /* Who says half of something holds nobody up. */
    int half[4] = {dial(port), dial(port), dial(port), dial(port)};
    send(half[0], "RFB 00", 6, 0);
    ok(log_in(half[1], '8') && log_in(half[2], '8') && log_in(half[3], '8'), "three log in");
    send(half[1], "\4\1\0", 3, 0);
    send(half[2], "\6\0\0\0\x7f\xff\xff\xffhello", 13, 0);
    static const uint8_t raw[] = {2, 0, 0, 1, 0, 0, 0, 0}, ask[] = {3, 0, 0, 0, 0, 0, 6, 64, 4, 176};
    send(half[3], raw, sizeof raw, 0);
    for (int i = 0; i < 100; i++) /* 100 pictures of 7.7 MB, of which it takes none */
        send(half[3], ask, sizeof ask, 0);
    usleep(200000);
    ok(others_work(vm, d, port, 0x654321), "half a version, half a key, half of 2 GB, no reading: others go on");
    uint64_t ahead[2];
    for (int i = 0; i < 2; i++) { /* the library makes one of many requests */
        uint8_t head[16];
        static uint8_t picture[1600 * 1200 * 4];
        bool good = recv(half[3], head, 16, MSG_WAITALL) == 16;
        if (!i)
            send(half[3], ask, sizeof ask, 0); /* waits until the first has been taken */
        ahead[i] = good && recv(half[3], picture, sizeof picture, MSG_WAITALL) == (ssize_t)sizeof picture && head[0] == 0 && !head[15];
    }
    ok(ahead[0] && ahead[1], "who reads again has whole pictures");
    send(half[3], "\4\1\0\0\0\0\0a\4\0\0\0\0\0\0a", 16, 0);
    ok(recorded("+04 -04 "), "... and its keys arrive");
    for (int i = 0; i < 200; i++)
        close(dial(port));
    for (int i = 0; i < 60; i++) /* more than anybody needs, who say nothing; they stay open */
        (void)dial(port);
    ok(others_work(vm, d, port, 0x777777), "strangers do not keep a viewer out");
    set_mode(vm, d, 1024, 768);
    alarm(120); /* ends the test where the server does not end */
    screen_stop(s);
    alarm(0);
    ok(!display_watched(d), "the server ends at once beside them");
    display_free(d);
    fakevm_free(vm);
}

/* ---- PNG ---- */
static uint8_t paeth(int a, int b, int c)
{
    int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
    return (uint8_t)(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

static void test_png(void)
{
    enum { W = 37, H = 21 };
    static uint32_t in[H][W + 3];
    for (unsigned y = 0; y < H; y++)
        for (unsigned x = 0; x < W; x++)
            in[y][x] = 0xff000000 | (x * 7) << 16 | (y * 11) << 8 | (x ^ y) * 3;
    uint8_t *png, raw[H * (W * 3 + 1)];
    size_t n;
    struct err e;
    ok(png_encode_xrgb((uint8_t *)in, W, H, sizeof in[0], &png, &n, &e) == 0, "encodes");
    bool good = n > 57 && !memcmp(png, "\x89PNG\r\n\x1a\n", 8), end = false;
    size_t at = 8;
    uLongf got = 0;
    while (good && at + 12 <= n && !end) {
        uint32_t len = ld_be32(png + at);
        good = len <= n - at - 12 && crc32(0, png + at + 4, len + 4) == ld_be32(png + at + 8 + len);
        if (!memcmp(png + at + 4, "IHDR", 4))
            good &= ld_be32(png + at + 8) == W && ld_be32(png + at + 12) == H && png[at + 16] == 8 && png[at + 17] == 2;
        if (!memcmp(png + at + 4, "IDAT", 4)) {
            got = sizeof raw;
            good &= uncompress(raw, &got, png + at + 8, len) == Z_OK && got == sizeof raw;
        }
        end = !memcmp(png + at + 4, "IEND", 4);
        at += 12 + len;
    }
    ok(good && end && at == n && got == sizeof raw, "signature, chunks, checksums, size of the data");
    bool same = true;
    for (unsigned y = 0; y < H; y++) {
        uint8_t *l = raw + y * (W * 3 + 1), *up = l - (W * 3 + 1);
        for (unsigned i = 1; i <= W * 3; i++) {
            int a = i > 3 ? l[i - 3] : 0, b = y ? up[i] : 0, c = y && i > 3 ? up[i - 3] : 0;
            l[i] = (uint8_t)(l[i] + (l[0] == 1 ? a : l[0] == 2 ? b : l[0] == 3 ? (a + b) / 2 : l[0] == 4 ? paeth(a, b, c) : 0));
        }
        for (unsigned x = 0; x < W; x++)
            same &= l[1 + 3 * x] == (in[y][x] >> 16 & 0xff) && l[2 + 3 * x] == (in[y][x] >> 8 & 0xff) && l[3 + 3 * x] == (in[y][x] & 0xff);
    }
    ok(same, "every pixel comes back");
    free(png);
}

static void test_layouts(void)
{
    static const char *names[] = {"us", "uk", "de", "ch", "fr-ch", "fr", "be", "es", "it", "pt", "pt-br", "sv", "fi", "no", "da", "nl", "is", "pl", "hu", "tr"};
    bool letters = true;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct keymap *k = keymap_find(names[i]);
        uint32_t seen[8] = {0};
        for (uint32_t c = 'a'; k && c <= 'z'; c++) {
            struct key_place lower = keymap_lookup(k, c), upper = keymap_lookup(k, c - 32);
            bool twice = seen[lower.hid / 32] >> (lower.hid % 32) & 1;
            seen[lower.hid / 32] |= 1u << (lower.hid % 32);
            if (!lower.hid || lower.hid != upper.hid || twice || lower.shift) {
                /* Turkish: capital I and small i are on different keys. */
                if (strcmp(names[i], "tr") || c != 'i') {
                    letters = false;
                    printf("# %s: %c\n", names[i], (int)c);
                }
            }
        }
        letters &= k != NULL;
    }
    ok(letters, "all layouts have 26 letters on different keys");
    ok(keymap_lookup(keymap_find("fr"), 'a').hid == 0x14 && keymap_lookup(keymap_find("fr"), '1').shift, "French: a on q, 1 with Shift");
    ok(keymap_lookup(keymap_find("de"), 0x20ac).altgr && keymap_lookup(keymap_find("de"), 0xfe52).hid == 0x35, "euro and dead circumflex");
    ok(hid_from_xt(0x1c) == 0x28 && hid_from_xt(0x9c) == 0x58 && hid_from_xt(0x56) == 0x64 && hid_from_xt(0xff) == 0, "key codes");
}

int main(void)
{
    test_layouts();
    test_png();
    test_server();
    test_hostile();
    return TAP_DONE();
}
