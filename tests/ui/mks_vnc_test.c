/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VNC sessions against libvncserver, and against servers that mean harm. No window is needed. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <rfb/rfb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/ui/uitest.h"
#include "ui/mks/mks_session_private.h"

enum { W = 203, H = 151 }; /* odd on purpose */
static uint32_t pixels[1024 * 1024];
static rfbScreenInfoPtr server;
static int port, events, last_mask, last_x, last_y, n_keys, asked_w, asked_h;
static struct {
    uint32_t sym;
    bool down;
} key_log[64];
static char *client_text;
static LodgeMksSession *session;

/* ---- a good server ---- */

static void on_pointer(int mask, int x, int y, rfbClientPtr c)
{
    last_mask = mask;
    last_x = x;
    last_y = y;
    events++;
    rfbDefaultPtrAddEvent(mask, x, y, c);
}
static void on_key(rfbBool down, rfbKeySym sym, rfbClientPtr c)
{
    (void)c;
    if (n_keys < 64) {
        key_log[n_keys].sym = sym;
        key_log[n_keys++].down = down;
    }
}
static void on_text(char *s, int n, rfbClientPtr c)
{
    (void)c;
    g_free(client_text);
    client_text = g_strndup(s, (gsize)n);
}
static int on_desktop_size(int w, int h, int n, rfbExtDesktopScreen *s, rfbClientPtr c)
{
    (void)n, (void)s, (void)c;
    asked_w = w;
    asked_h = h;
    return rfbExtDesktopSize_Success;
}
static void quiet(const char *f, ...) { (void)f; }

static void fill(void)
{
    static uint32_t s = 5;
    for (int i = 0; i < 1024 * 1024; i++)
        pixels[i] = (s = s * 1664525u + 1013904223u) >> 8;
}

/* One thread for all clients: shutting libvncserver's own threads down is a race. */
static GThread *serving;
static gint stop_serving;
static GMutex serving_lock;
static gpointer serve(gpointer u)
{
    (void)u;
    while (!g_atomic_int_get(&stop_serving)) {
        g_mutex_lock(&serving_lock);
        rfbProcessEvents(server, 2000);
        g_mutex_unlock(&serving_lock);
        g_usleep(200);
    }
    return NULL;
}
#define SERVER(what) (g_mutex_lock(&serving_lock), what, g_mutex_unlock(&serving_lock))

static void server_start(int at, char **passwords)
{
    server = rfbGetScreen(NULL, NULL, W, H, 8, 3, 4);
    server->frameBuffer = (char *)pixels;
    server->desktopName = "A good server";
    server->serverFormat.redShift = 16;
    server->serverFormat.greenShift = 8;
    server->serverFormat.blueShift = 0;
    server->alwaysShared = TRUE;
    server->ptrAddEvent = on_pointer;
    server->kbdAddEvent = on_key;
    server->setXCutText = on_text;
    server->setDesktopSizeHook = on_desktop_size;
    server->listenInterface = htonl(INADDR_LOOPBACK);
    server->ipv6port = 0;
    server->autoPort = at == 0;
    server->port = at ? at : 5960;
    server->cursor = rfbMakeXCursor(5, 7, "xxxxx                              ", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    server->cursor->xhot = 2;
    server->cursor->yhot = 3;
    if (passwords) {
        server->authPasswdData = passwords;
        server->passwordCheck = rfbCheckPasswordByList;
    }
    rfbInitServer(server);
    port = server->port;
    stop_serving = false;
    serving = g_thread_new("server", serve, NULL);
}

static void server_stop(void)
{
    g_atomic_int_set(&stop_serving, true);
    g_thread_join(serving);
    rfbShutdownServer(server, TRUE);
    server->frameBuffer = NULL;
    rfbScreenCleanup(server);
    server = NULL;
}

static void open_session(const char *format)
{
    char *target = g_strdup_printf(format, port);
    GError *e = NULL;
    session = lodge_mks_session_new_vnc(target, &e);
    if (!session)
        printf("# %s\n", e->message);
    g_clear_error(&e);
    g_free(target);
    lodge_mks_session_open(session);
}

static bool state_is(LodgeMksState s) { return AWAIT(lodge_mks_session_get_state(session) == s); }

static bool pixels_same(int w, int h)
{
    struct mks_picture *p = mks_session_picture(session);
    if (!p || p->width != w || p->height != h)
        return false;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            if ((*(uint32_t *)(void *)(p->pixels + y * p->stride + x * 4) & 0xffffff) != pixels[y * w + x])
                return false;
    return true;
}

static void on_string(LodgeMksSession *s, const char *text, char **out)
{
    (void)s;
    g_free(*out);
    *out = g_strdup(text);
}

static void good(void)
{
    char *text = NULL;
    server_start(0, NULL);
    open_session("vnc://127.0.0.1:%d");
    ok(state_is(LODGE_MKS_RUNNING), "connects");
    ok(!strcmp(lodge_mks_session_get_title(session), "A good server"), "the title is the desktop's name");
    ok(lodge_mks_session_get_pointer_absolute(session), "the pointer is absolute");
    ok(AWAIT(pixels_same(W, H)), "every pixel is right");
    ok(AWAIT(mks_session_cursor(session)->width == 5 && mks_session_cursor(session)->hot_x == 2 && mks_session_cursor(session)->shown), "the pointer's shape");
    for (int i = 0; i < 50 * W; i++)
        pixels[30 * W + i] ^= 0xffffff;
    SERVER(rfbMarkRectAsModified(server, 0, 30, W, 80));
    ok(AWAIT(pixels_same(W, H)), "a change comes");
    lodge_mks_session_pointer_to(session, 17, 99);
    lodge_mks_session_button(session, 1, TRUE);
    ok(AWAIT(last_mask == 4 && last_x == 17 && last_y == 99), "right button");
    lodge_mks_session_button(session, 1, FALSE);
    AWAIT(last_mask == 0);
    events = 0;
    lodge_mks_session_wheel(session, -2);
    ok(AWAIT(events == 4 && last_mask == 0), "wheel");
    lodge_mks_session_pointer_to(session, 5000, -7);
    ok(AWAIT(last_x == W - 1 && last_y == 0), "a place beyond the screen is its edge");
    mks_session_key_event(session, 0x04, 'A', TRUE);
    mks_session_key_event(session, 0x04, 'a', FALSE);
    ok(AWAIT(n_keys == 2 && key_log[0].sym == 'A' && key_log[0].down && key_log[1].sym == 'A' && !key_log[1].down), "the symbol that went down comes up");
    lodge_mks_session_send_clipboard_text(session, "Grüße €");
    ok(AWAIT(client_text && !strcmp(client_text, "Gr\xfc\xdf" "e ?")), "text for the server's clipboard is Latin-1");
    g_signal_connect(session, "clipboard-text", G_CALLBACK(on_string), &text);
    SERVER(rfbSendServerCutText(server, "caf\xe9", 4));
    ok(AWAIT(text && !strcmp(text, "café")), "text from it is UTF-8");
    ok(AWAIT(lodge_mks_session_get_can_resize(session)), "the server can change its size");
    lodge_mks_session_request_size(session, 640, 480);
    ok(AWAIT(asked_w == 640 && asked_h == 480), "and is asked to");
    g_mutex_lock(&serving_lock);
    fill();
    rfbNewFramebuffer(server, (char *)pixels, 320, 200, 8, 3, 4);
    server->serverFormat.redShift = 16;
    server->serverFormat.greenShift = 8;
    server->serverFormat.blueShift = 0;
    g_mutex_unlock(&serving_lock);
    int w = 0, h = 0;
    ok(AWAIT(lodge_mks_session_get_guest_size(session, &w, &h) && w == 320 && h == 200), "another size");
    SERVER(rfbMarkRectAsModified(server, 0, 0, 320, 200));
    ok(AWAIT(pixels_same(320, 200)), "every pixel is right again");
    n_keys = 0;
    lodge_mks_session_key(session, 0xE1, TRUE);
    lodge_mks_session_key(session, 0x05, TRUE);
    lodge_mks_session_close(session);
    ok(AWAIT(n_keys == 4 && !key_log[2].down && !key_log[3].down), "closing releases what was down");
    ok(lodge_mks_session_get_state(session) == LODGE_MKS_CLOSED && !*lodge_mks_session_get_error(session), "closed, without a complaint");
    lodge_mks_session_open(session);
    ok(state_is(LODGE_MKS_RUNNING), "opened again");
    server_stop();
    ok(state_is(LODGE_MKS_CONNECTING) && AWAIT(strstr(lodge_mks_session_get_error(session), "lost")), "the server goes: said");
    server_start(port, NULL);
    ok(state_is(LODGE_MKS_RUNNING) && AWAIT(!*lodge_mks_session_get_error(session)), "it comes back: connected again");
    g_free(text);
    g_object_unref(session);
    server_stop();
}

/* ---- passwords ---- */

static int asked;
static const char *answers[4];
static void credentials(LodgeMksSession *s, gboolean user, gboolean password, gpointer u)
{
    (void)user, (void)password, (void)u;
    lodge_mks_session_give_credentials(s, NULL, asked < 4 ? answers[asked] : NULL);
    asked++;
}

static void passwords(void)
{
    static char *list[] = {"secret", NULL};
    server_start(0, list);
    open_session("127.0.0.1:%d");
    g_signal_connect(session, "credentials-needed", G_CALLBACK(credentials), NULL);
    answers[0] = "wrong";
    answers[1] = "secret";
    ok(state_is(LODGE_MKS_RUNNING) && AWAIT(asked == 2), "a wrong password is asked for again, the right one opens");
    g_object_unref(session);
    asked = 0;
    answers[0] = NULL;
    open_session("127.0.0.1:%d");
    g_signal_connect(session, "credentials-needed", G_CALLBACK(credentials), NULL);
    ok(state_is(LODGE_MKS_CLOSED) && AWAIT(asked == 1), "cancelled: closed");
    g_object_unref(session);
    open_session("vnc://:secret@127.0.0.1:%d");
    ok(state_is(LODGE_MKS_RUNNING), "a password in the address");
    lodge_mks_session_close(session);
    g_object_unref(session);
    /* Closed while the thread waits for the user. */
    open_session("127.0.0.1:%d");
    settle(150);
    g_object_unref(session);
    settle(50);
    ok(true, "closed while the password is asked for");
    server_stop();
}

/* ---- servers that mean harm ---- */

struct evil {
    int fd;
    const unsigned char *bytes;
    size_t n;
};

static gpointer evil_main(gpointer u)
{
    struct evil *e = u;
    int c = accept(e->fd, NULL, NULL);
    char drain[256];
    if (c >= 0) {
        /* That is all of it; but it is not closed before the other end has read it, which a closed end's reset would throw away. */
        (void)!send(c, e->bytes, e->n, MSG_NOSIGNAL);
        shutdown(c, SHUT_WR);
        while (recv(c, drain, sizeof drain, 0) > 0)
            ;
        close(c);
    }
    close(e->fd);
    return NULL;
}

/* What the session says of a server that sends these bytes. */
static bool harm(const char *what, const void *bytes, size_t n, const char *want)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    struct evil e = {.fd = socket(AF_INET, SOCK_STREAM, 0), .bytes = bytes, .n = n};
    if (bind(e.fd, (struct sockaddr *)&a, sizeof a) || listen(e.fd, 1) || getsockname(e.fd, (struct sockaddr *)&a, &len))
        return false;
    port = ntohs(a.sin_port);
    GThread *t = g_thread_new("evil", evil_main, &e);
    open_session("127.0.0.1:%d");
    bool over = AWAIT(lodge_mks_session_get_state(session) == LODGE_MKS_CLOSED || *lodge_mks_session_get_error(session));
    const char *said = lodge_mks_session_get_error(session);
    over = over && *said && (!want || strstr(said, want));
    if (what) {
        if (!ok(over, "%s", what))
            printf("# said: %s\n", said);
    }
    g_object_unref(session);
    g_thread_join(t);
    return over;
}

#define INIT(w_hi, w_lo, h_hi, h_lo, name_len) \
    "RFB 003.008\n\x01\x01\0\0\0\0" w_hi w_lo h_hi h_lo "\x20\x18\0\x01\0\xff\0\xff\0\xff\x10\x08\0\0\0\0" name_len
#define HARM(what, bytes, want) harm(what, bytes, sizeof(bytes) - 1, want)

static void hostile(void)
{
    HARM("not VNC at all", "SSH-2.0-OpenSSH_9.2p1 Debian\r\n", "not a VNC server");
    HARM("silence after the greeting", "RFB 003.008\n", "ended the connection");
    HARM("no security type that is known", "RFB 003.008\n\x01\xfa", NULL);
    HARM("a refusal with its reason", "RFB 003.008\n\0\0\0\0\x0bgo away now", "go away now");
    HARM("a reason of 4 GiB", "RFB 003.008\n\0\xff\xff\xff\xff", NULL);
    HARM("a screen of 65535 x 65535", INIT("\xff", "\xff", "\xff", "\xff", "\0\0\0\0"), "65535");
    HARM("a screen without pixels", INIT("\0", "\0", "\0", "\0", "\0\0\0\0"), NULL);
    HARM("a name of 4 GiB", INIT("\0", "\x40", "\0", "\x40", "\xff\xff\xff\xff"), NULL);
    HARM("a rectangle outside of the screen", INIT("\0", "\x40", "\0", "\x40", "\0\0\0\x01X") "\0\0\0\x01\xff\x00\xff\x00\x01\0\x01\0\0\0\0\0garbage", NULL);
    HARM("a copy from outside of the screen", INIT("\0", "\x40", "\0", "\x40", "\0\0\0\x01X") "\0\0\0\x01\0\0\0\0\0\x10\0\x10\0\0\0\x01\xff\xf0\xff\xf0", NULL);
    HARM("a pointer of 65535 x 65535", INIT("\0", "\x40", "\0", "\x40", "\0\0\0\x01X") "\0\0\0\x01\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\x11", NULL);
    HARM("a clipboard of 4 GiB", INIT("\0", "\x40", "\0", "\x40", "\0\0\0\x01X") "\x03\0\0\0\xff\xff\xff\xff", NULL);
    HARM("a new size of 65535 x 65535", INIT("\0", "\x40", "\0", "\x40", "\0\0\0\x01X") "\0\0\0\x01\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\x21", NULL);
    HARM("a message that there is not", INIT("\0", "\x40", "\0", "\x40", "\0\0\0\x01X") "\xee", NULL);
    /* Updates of random bytes, in each encoding. */
    static const int encodings[] = {0, 1, 2, 4, 5, 6, 7, 16, -239, -240, -223, -308};
    unsigned s = 99;
    bool good = true;
    for (int i = 0; i < 36; i++) {
        unsigned char b[700];
        static const char init[] = INIT("\0", "\x40", "\0", "\x40", "\0\0\0\x01X") "\0\0\0\x01\0\0\0\0\0\x40\0\x40";
        size_t n = sizeof init - 1;
        int32_t enc = (int32_t)htonl((uint32_t)encodings[i % 12]);
        memcpy(b, init, n);
        memcpy(b + n, &enc, 4);
        for (size_t k = n + 4; k < sizeof b; k++)
            b[k] = (unsigned char)((s = s * 1664525u + 1013904223u) >> 24);
        good &= harm(NULL, b, sizeof b, NULL);
    }
    ok(good, "random bytes in twelve encodings");
}

/* ---- addresses ---- */

static void addresses(void)
{
    static const char *const right[] = {"host", "host:1", "host:5901", "host::80", "vnc://host", "vnc://host:5901/", "vnc://u:p%40x@host:5901", "[::1]:5901", "::1",
                                        "VNC://10.0.0.1"};
    static const char *const wrong[] = {"", "vnc://", ":1", "host:", "host:99999", "host:x", "a b", "[::1]x", "vnc://%zz@host", "host::0", "/etc/passwd"};
    bool all = true;
    for (unsigned i = 0; i < G_N_ELEMENTS(right); i++) {
        LodgeMksSession *s = lodge_mks_session_new_vnc(right[i], NULL);
        if (!s)
            printf("# refused: %s\n", right[i]);
        all &= s != NULL;
        g_clear_object(&s);
    }
    ok(all, "addresses of servers");
    all = true;
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        GError *e = NULL;
        LodgeMksSession *s = lodge_mks_session_new_vnc(wrong[i], &e);
        if (s || !e || !strstr(e->message, "vnc://"))
            printf("# taken: %s\n", wrong[i]);
        all &= !s && e && strstr(e->message, "vnc://");
        g_clear_object(&s);
        g_clear_error(&e);
    }
    ok(all, "what is none is refused, with an example");
    port = 1;
    open_session("127.0.0.1::%d");
    ok(state_is(LODGE_MKS_CLOSED) && AWAIT(strstr(lodge_mks_session_get_error(session), "no VNC server at port 1")), "nobody listens: said");
    g_object_unref(session);
    session = lodge_mks_session_new_vnc("no-such-computer.invalid", NULL);
    lodge_mks_session_open(session);
    ok(state_is(LODGE_MKS_CLOSED) && AWAIT(strstr(lodge_mks_session_get_error(session), "no-such-computer.invalid")), "no such computer: said");
    g_object_unref(session);
}

int main(void)
{
    rfbLog = rfbErr = quiet;
    fill();
    addresses();
    good();
    passwords();
    hostile();
    settle(100);
    return TAP_DONE();
}
