/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VNC connection's thread (mks_vnc_thread.h).
 *
 * The server is hostile: sizes are bounded before memory is taken (got_size), libvncclient checks each rectangle against them, texts are cut at
 * 1 MiB by it and made valid UTF-8 here, a server that stops in the middle of a message is given up after READ_TIMEOUT seconds. No JPEG: the
 * picture stays exact, and a decoder less reads foreign data.
 *
 * libvncclient calls everything below "hooks" on this thread, from rfbInitClient and HandleRFBServerMessage. Requests of the GTK thread come by a
 * queue and an eventfd, since two threads must not write to the socket.
 */
#define _GNU_SOURCE
#include "ui/mks/mks_vnc_thread.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gi18n-lib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <rfb/rfbclient.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config.h"
#if defined(LIBVNCSERVER_HAVE_GNUTLS) && defined(HAVE_GNUTLS)
#include <gnutls/gnutls.h>
#endif

enum { CONNECT_TIMEOUT = 15, READ_TIMEOUT = 20, MAX_COMMANDS = 4096 };
enum command_kind { CMD_KEY, CMD_POINTER, CMD_RESIZE, CMD_CLIPBOARD };

struct command {
    enum command_kind kind;
    int a, b, c;
    guint32 sym;
    char *text;
};

struct mks_vnc_link {
    gint ref; /* GTK side, thread, and each idle call */
    char *host;
    guint16 port;
    void (*fn)(gpointer u); /* GTK thread only; NULL: detached */
    gpointer u;
    GCancellable *cancel;
    int wake_fd;

    GMutex m; /* what follows */
    GCond answered;
    gboolean posted, quit;
    int sock; /* a duplicate, for shutdown from the GTK thread; -1 */
    struct mks_vnc_news news;
    GQueue commands; /* of struct command */
    gboolean have_answer;
    char *user, *password; /* to be used by the next question; password NULL with have_answer: cancelled */

    /* Thread only. */
    struct mks_picture *picture;
    gboolean auth_failed, asked, cancelled, not_vnc, untrusted;
    char *reason; /* what the server said */
};

static void clear_command(struct command *c)
{
    g_free(c->text);
    g_free(c);
}

void mks_vnc_news_clear(struct mks_vnc_news *n)
{
    g_free(n->title);
    g_free(n->argb);
    g_free(n->clipboard);
    g_free(n->error);
    mks_picture_unref(n->picture);
    memset(n, 0, sizeof *n);
}

static void unref(struct mks_vnc_link *l)
{
    if (!g_atomic_int_dec_and_test(&l->ref))
        return;
    for (struct command *c; (c = g_queue_pop_head(&l->commands));)
        clear_command(c);
    mks_vnc_news_clear(&l->news);
    mks_picture_unref(l->picture);
    if (l->sock >= 0)
        close(l->sock);
    close(l->wake_fd);
    g_object_unref(l->cancel);
    g_mutex_clear(&l->m);
    g_cond_clear(&l->answered);
    g_free(l->host);
    g_free(l->user);
    g_free(l->password);
    g_free(l->reason);
    g_free(l);
}

/* ---- news ---- */

static gboolean deliver(gpointer u)
{
    struct mks_vnc_link *l = u;
    g_mutex_lock(&l->m);
    l->posted = FALSE;
    g_mutex_unlock(&l->m);
    if (l->fn)
        l->fn(l->u);
    return G_SOURCE_REMOVE;
}

static void unref_link(gpointer u) { unref(u); }

/* With l->m held. */
static void post(struct mks_vnc_link *l)
{
    if (l->posted)
        return;
    l->posted = TRUE;
    g_atomic_int_inc(&l->ref);
    g_idle_add_full(G_PRIORITY_DEFAULT, deliver, l, unref_link);
}

void mks_vnc_link_fetch(struct mks_vnc_link *l, struct mks_vnc_news *n)
{
    g_mutex_lock(&l->m);
    *n = l->news;
    memset(&l->news, 0, sizeof l->news);
    l->news.can_resize = n->can_resize;
    g_mutex_unlock(&l->m);
}

static void add_damage(struct mks_vnc_news *n, int x, int y, int w, int h)
{
    if (n->n_damage < MKS_VNC_RECTS) {
        n->damage[n->n_damage++] = (struct mks_box){x, y, w, h};
        return;
    }
    int x1 = x + w, y1 = y + h;
    for (int i = 0; i < n->n_damage; i++) {
        const struct mks_box *b = &n->damage[i];
        x = MIN(x, b->x);
        y = MIN(y, b->y);
        x1 = MAX(x1, b->x + b->w);
        y1 = MAX(y1, b->y + b->h);
    }
    n->damage[0] = (struct mks_box){x, y, x1 - x, y1 - y};
    n->n_damage = 1;
}

/* ---- hooks ---- */

static char tag; /* its address is the key of the client data */

static struct mks_vnc_link *link_of(rfbClient *c) { return rfbClientGetClientData(c, &tag); }

static rfbBool got_size(rfbClient *c)
{
    struct mks_vnc_link *l = link_of(c);
    struct mks_picture *p = mks_picture_new(c->width, c->height);
    if (!p) {
        g_free(l->reason);
        l->reason = g_strdup_printf(_("its screen of %d × %d pixels is too large for this window"), c->width, c->height);
        return FALSE;
    }
    mks_picture_unref(l->picture);
    l->picture = p;
    c->frameBuffer = p->pixels;
    g_mutex_lock(&l->m);
    mks_picture_unref(l->news.picture);
    l->news.picture = mks_picture_ref(p);
    l->news.n_damage = 0;
    post(l);
    g_mutex_unlock(&l->m);
    return TRUE;
}

static void got_update(rfbClient *c, int x, int y, int w, int h)
{
    struct mks_vnc_link *l = link_of(c);
    g_mutex_lock(&l->m);
    add_damage(&l->news, x, y, w, h);
    g_mutex_unlock(&l->m);
}

static void finished_update(rfbClient *c)
{
    struct mks_vnc_link *l = link_of(c);
    g_mutex_lock(&l->m);
    gboolean can = c->screen.width != 0;
    if (l->news.n_damage || can != l->news.can_resize) {
        l->news.can_resize = can;
        post(l);
    }
    g_mutex_unlock(&l->m);
}

static void got_cursor(rfbClient *c, int hot_x, int hot_y, int w, int h, int bytes)
{
    struct mks_vnc_link *l = link_of(c);
    guint32 *argb = NULL;
    if (w > 0 && h > 0 && w <= MKS_MAX_CURSOR && h <= MKS_MAX_CURSOR && bytes == 4 && c->rcSource && c->rcMask) {
        argb = g_new(guint32, (gsize)w * (gsize)h);
        for (int i = 0; i < w * h; i++) {
            guint32 px;
            memcpy(&px, c->rcSource + (gsize)i * 4, 4);
            argb[i] = c->rcMask[i] ? 0xff000000u | (px & 0xffffff) : 0;
        }
    }
    g_mutex_lock(&l->m);
    g_free(l->news.argb);
    l->news.argb = argb;
    l->news.cursor = TRUE;
    l->news.cur_w = argb ? w : 0;
    l->news.cur_h = argb ? h : 0;
    l->news.hot_x = hot_x;
    l->news.hot_y = hot_y;
    post(l);
    g_mutex_unlock(&l->m);
}

static rfbBool got_cursor_place(rfbClient *c, int x, int y)
{
    struct mks_vnc_link *l = link_of(c);
    g_mutex_lock(&l->m);
    l->news.moved = TRUE;
    l->news.cur_x = x;
    l->news.cur_y = y;
    post(l);
    g_mutex_unlock(&l->m);
    return TRUE;
}

/* The protocol's text is Latin-1. */
static void got_text(rfbClient *c, const char *text, int len)
{
    struct mks_vnc_link *l = link_of(c);
    if (len < 0 || len > MKS_VNC_TEXT_MAX)
        return;
    gsize n = 0;
    char *utf8 = g_convert(text, len, "UTF-8", "ISO-8859-1", NULL, &n, NULL);
    if (!utf8 || strlen(utf8) != n) { /* zeros in the middle are no text */
        g_free(utf8);
        return;
    }
    g_mutex_lock(&l->m);
    g_free(l->news.clipboard);
    l->news.clipboard = utf8;
    post(l);
    g_mutex_unlock(&l->m);
}

/* Waits for the user. FALSE: cancelled. The strings are malloc's, as libvncclient frees them. */
static gboolean ask(struct mks_vnc_link *l, gboolean want_user, char **user, char **password)
{
    gboolean good;
    g_mutex_lock(&l->m);
    if (!l->have_answer && !l->password) {
        l->news.need_user = want_user;
        l->news.need_password = TRUE;
        post(l);
    }
    while (!l->have_answer && !l->password && !l->quit)
        g_cond_wait(&l->answered, &l->m);
    good = !l->quit && l->password != NULL;
    if (good) {
        *password = strdup(l->password);
        if (user)
            *user = strdup(l->user ? l->user : "");
    }
    /* Each answer is used once. */
    g_clear_pointer(&l->password, g_free);
    l->have_answer = FALSE;
    g_mutex_unlock(&l->m);
    l->asked = good;
    l->cancelled = !good;
    return good;
}

static char *get_password(rfbClient *c)
{
    char *password = NULL;
    return ask(link_of(c), FALSE, NULL, &password) ? password : NULL;
}

/* The certificates that this computer trusts, and those that its user does: libvncclient takes one file. malloc's. */
static char *trusted_file(void)
{
    static const char *const bundles[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"};
    const char *system = "";
    for (gsize i = 0; i < G_N_ELEMENTS(bundles) && !*system; i++)
        if (!access(bundles[i], R_OK))
            system = bundles[i];
    char *own = g_build_filename(g_get_user_config_dir(), "lodge", "trusted.pem", NULL), *a = NULL, *b = NULL, *file = NULL;
    gsize na = 0, nb = 0;
    if (g_file_get_contents(own, &b, &nb, NULL)) {
        g_file_get_contents(system, &a, &na, NULL);
        char *dir = g_build_filename(g_get_user_cache_dir(), "lodge", NULL), *both = g_build_filename(dir, "trusted-for-vnc.pem", NULL),
             *text = g_strconcat(a ? a : "", "\n", b, NULL);
        if (!g_mkdir_with_parents(dir, 0700) && g_file_set_contents(both, text, -1, NULL))
            file = strdup(both);
        g_free(dir);
        g_free(both);
        g_free(text);
    }
    g_free(own);
    g_free(a);
    g_free(b);
    return file ? file : *system ? strdup(system) : NULL;
}

static rfbCredential *get_credential(rfbClient *c, int type)
{
    rfbCredential *cred = calloc(1, sizeof *cred);
    if (!cred)
        return NULL;
    if (type == rfbCredentialTypeX509) {
        cred->x509Credential.x509CACertFile = trusted_file();
        return cred;
    }
    if (type == rfbCredentialTypeUser && ask(link_of(c), TRUE, &cred->userCredential.username, &cred->userCredential.password))
        return cred;
    free(cred);
    return NULL;
}

/* libvncclient tells what went wrong in its log only. */
static GPrivate logging;

static void on_log(const char *format, ...)
{
    struct mks_vnc_link *l = g_private_get(&logging);
    char line[512];
    va_list ap;
    if (!l)
        return;
    va_start(ap, format);
    g_vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    g_strchomp(line);
    g_debug("%s", line);
    if (strstr(line, "authentication failed"))
        l->auth_failed = TRUE;
    if (strstr(line, "Not a valid VNC server"))
        l->not_vnc = TRUE;
    if (strstr(line, "ertificate"))
        l->untrusted = TRUE;
    static const char said[] = "VNC connection failed: ";
    if (g_str_has_prefix(line, said)) {
        g_free(l->reason);
        l->reason = g_utf8_make_valid(line + strlen(said), -1);
    }
}

/* ---- requests of the GTK thread ---- */

static void obey(rfbClient *c, const struct command *k)
{
    switch (k->kind) {
    case CMD_KEY:
        if (!k->b || !SupportsClient2Server(c, rfbQemuEvent) || !SendExtendedKeyEvent(c, k->sym, (uint32_t)k->b, (rfbBool)k->a))
            SendKeyEvent(c, k->sym, (rfbBool)k->a);
        break;
    case CMD_POINTER:
        SendPointerEvent(c, k->a, k->b, k->c);
        break;
    case CMD_RESIZE:
        SendExtDesktopSize(c, (uint16_t)k->a, (uint16_t)k->b);
        break;
    case CMD_CLIPBOARD:
        SendClientCutText(c, k->text, (int)strlen(k->text));
        break;
    }
}

/* FALSE: to end. */
static gboolean obey_all(struct mks_vnc_link *l, rfbClient *c)
{
    for (;;) {
        g_mutex_lock(&l->m);
        struct command *k = g_queue_pop_head(&l->commands);
        gboolean quit = l->quit;
        g_mutex_unlock(&l->m);
        if (k && c->screen.width == 0 && k->kind == CMD_RESIZE) {
            clear_command(k); /* the server does not let itself be resized */
            continue;
        }
        if (k)
            obey(c, k);
        else
            return !quit;
        clear_command(k);
    }
}

/* ---- the connection ---- */

static int connect_to(struct mks_vnc_link *l, char **error)
{
    GError *e = NULL;
    GSocketClient *sc = g_socket_client_new();
    g_socket_client_set_timeout(sc, CONNECT_TIMEOUT);
    g_socket_client_set_enable_proxy(sc, FALSE);
    GSocketConnection *conn = g_socket_client_connect_to_host(sc, l->host, l->port, l->cancel, &e);
    int fd = -1;
    if (conn) {
        fd = fcntl(g_socket_get_fd(g_socket_connection_get_socket(conn)), F_DUPFD_CLOEXEC, 3);
        g_object_unref(conn);
    }
    g_object_unref(sc);
    if (fd < 0) {
        if (e && e->domain == G_RESOLVER_ERROR)
            *error = g_strdup_printf(_("There is no computer named “%s”. Check the name."), l->host);
        else if (g_error_matches(e, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED))
            *error = g_strdup_printf(_("“%s” has no VNC server at port %u. Start it there, or check the port."), l->host, l->port);
        else if (g_error_matches(e, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) || g_error_matches(e, G_IO_ERROR, G_IO_ERROR_HOST_UNREACHABLE) ||
                 g_error_matches(e, G_IO_ERROR, G_IO_ERROR_NETWORK_UNREACHABLE))
            *error = g_strdup_printf(_("“%s” does not answer at port %u. Is it on, and does its firewall allow it?"), l->host, l->port);
        else
            *error = g_strdup_printf(_("“%s” cannot be reached: %s."), l->host, e ? e->message : g_strerror(errno));
        g_clear_error(&e);
        return -1;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fd;
}

static gboolean unread(rfbClient *c)
{
    if (c->buffered)
        return TRUE;
#if defined(LIBVNCSERVER_HAVE_GNUTLS) && defined(HAVE_GNUTLS)
    if (c->tlsSession && gnutls_record_check_pending(c->tlsSession))
        return TRUE;
#endif
    return FALSE;
}

static void serve(struct mks_vnc_link *l, rfbClient *c)
{
    while (obey_all(l, c)) {
        struct pollfd p[2] = {{.fd = c->sock, .events = POLLIN}, {.fd = l->wake_fd, .events = POLLIN}};
        gboolean now = unread(c);
        if (poll(p, 2, now ? 0 : -1) < 0 && errno != EINTR)
            return;
        if (p[1].revents) {
            guint64 n;
            if (read(l->wake_fd, &n, sizeof n) < 0 && errno != EAGAIN)
                return;
        }
        if ((now || p[0].revents) && !HandleRFBServerMessage(c))
            return;
    }
}

static void ended(struct mks_vnc_link *l, enum mks_vnc_end end, char *error)
{
    g_mutex_lock(&l->m);
    l->news.end = end;
    g_free(l->news.error);
    l->news.error = error;
    post(l);
    g_mutex_unlock(&l->m);
}

static void connection_failed(struct mks_vnc_link *l)
{
    if (l->cancelled)
        ended(l, MKS_VNC_CANCELLED, g_strdup(""));
    else if (l->asked && l->reason && *l->reason) /* servers since protocol 3.8 give one for a wrong password too */
        ended(l, MKS_VNC_AUTH, g_strdup_printf(_("“%s” did not accept the password: %s."), l->host, l->reason));
    else if (l->auth_failed)
        ended(l, MKS_VNC_AUTH, g_strdup_printf(_("“%s” did not accept the password."), l->host));
    else if (l->reason && *l->reason)
        ended(l, MKS_VNC_FAILED, g_strdup_printf(_("“%s” ended the connection: %s."), l->host, l->reason));
    else if (l->not_vnc)
        ended(l, MKS_VNC_FAILED, g_strdup_printf(_("What answers at port %u of “%s” is not a VNC server."), l->port, l->host));
    else if (l->untrusted)
        ended(l, MKS_VNC_FAILED,
              g_strdup_printf(_("“%s” has no certificate that this computer trusts. Have it installed here, or put it into ~/.config/lodge/trusted.pem."),
                              l->host));
    else
        ended(l, MKS_VNC_FAILED,
              g_strdup_printf(_("“%s” ended the connection before showing its screen, or offers no kind of login that Lodge knows."), l->host));
}

static gpointer thread_main(gpointer u)
{
    struct mks_vnc_link *l = u;
    sigset_t pipe;
    char *error = NULL;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL); /* of this thread's writes; they fail instead */
    int fd = connect_to(l, &error);
    if (fd < 0) {
        ended(l, MKS_VNC_FAILED, error);
        unref(l);
        return NULL;
    }
    g_mutex_lock(&l->m);
    l->sock = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    gboolean quit = l->quit;
    g_mutex_unlock(&l->m);
    g_private_set(&logging, l);
    rfbClient *c = quit ? NULL : rfbGetClient(8, 3, 4);
    if (!c) {
        close(fd);
        ended(l, MKS_VNC_CANCELLED, g_strdup(""));
        unref(l);
        return NULL;
    }
    rfbClientSetClientData(c, &tag, l);
    c->sock = fd;
    c->listenSpecified = TRUE; /* the connection is there already */
    free(c->serverHost);
    c->serverHost = strdup(l->host);
    c->serverPort = l->port;
    c->programName = "lodge";
    c->format.redShift = 16;
    c->format.greenShift = 8;
    c->format.blueShift = 0;
    c->canHandleNewFBSize = TRUE;
    c->appData.useRemoteCursor = TRUE;
    c->appData.enableJPEG = FALSE;
    c->appData.shareDesktop = TRUE;
    c->readTimeout = READ_TIMEOUT;
    c->MallocFrameBuffer = got_size;
    c->GotFrameBufferUpdate = got_update;
    c->FinishedFrameBufferUpdate = finished_update;
    c->GotCursorShape = got_cursor;
    c->HandleCursorPos = got_cursor_place;
    c->GotXCutText = got_text;
    c->GetPassword = get_password;
    c->GetCredential = get_credential;
    if (!rfbInitClient(c, NULL, NULL)) { /* frees c */
        connection_failed(l);
        unref(l);
        return NULL;
    }
    g_mutex_lock(&l->m);
    l->news.connected = TRUE;
    g_free(l->news.title);
    l->news.title = g_utf8_make_valid(c->desktopName ? c->desktopName : l->host, -1);
    post(l);
    g_mutex_unlock(&l->m);
    l->asked = FALSE; /* and accepted */
    serve(l, c);
    obey_all(l, c); /* the releases of keys, when the GTK side closes */
    g_clear_pointer(&c->rcSource, free); /* it leaves these */
    g_clear_pointer(&c->rcMask, free);
    rfbClientCleanup(c);
    if (l->reason)
        connection_failed(l);
    else
        ended(l, MKS_VNC_LOST, g_strdup_printf(_("The connection to “%s” was lost."), l->host));
    unref(l);
    return NULL;
}

/* ---- GTK thread ---- */

struct mks_vnc_link *mks_vnc_link_start(const char *host, guint16 port, const char *user, const char *password, void (*fn)(gpointer u), gpointer u)
{
    struct mks_vnc_link *l = g_new0(struct mks_vnc_link, 1);
    rfbClientLog = rfbClientErr = on_log;
    l->ref = 2;
    l->host = g_strdup(host);
    l->port = port;
    l->user = g_strdup(user);
    l->password = g_strdup(password);
    l->fn = fn;
    l->u = u;
    l->cancel = g_cancellable_new();
    l->sock = -1;
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_mutex_init(&l->m);
    g_cond_init(&l->answered);
    g_queue_init(&l->commands);
    g_thread_unref(g_thread_new("mks-vnc", thread_main, l));
    return l;
}

static void wake(struct mks_vnc_link *l)
{
    guint64 one = 1;
    if (write(l->wake_fd, &one, sizeof one) < 0)
        return; /* it counts already: the thread will look */
}

void mks_vnc_link_detach(struct mks_vnc_link *l)
{
    l->fn = NULL;
    g_cancellable_cancel(l->cancel);
    g_mutex_lock(&l->m);
    l->quit = TRUE;
    if (l->sock >= 0)
        shutdown(l->sock, SHUT_RD); /* what is queued can still go out */
    g_cond_broadcast(&l->answered);
    g_mutex_unlock(&l->m);
    wake(l);
    unref(l);
}

static void push(struct mks_vnc_link *l, struct command k)
{
    g_mutex_lock(&l->m);
    struct command *last = g_queue_peek_tail(&l->commands);
    gboolean release = (k.kind == CMD_KEY && !k.a) || (k.kind == CMD_POINTER && last && last->kind == CMD_POINTER && last->c & ~k.c);
    if (last && last->kind == k.kind && ((k.kind == CMD_POINTER && last->c == k.c) || k.kind == CMD_RESIZE)) {
        last->a = k.a;
        last->b = k.b;
    } else if (g_queue_get_length(&l->commands) < MAX_COMMANDS || release) {
        g_queue_push_tail(&l->commands, g_memdup2(&k, sizeof k));
        k.text = NULL;
    }
    g_mutex_unlock(&l->m);
    g_free(k.text);
    wake(l);
}

void mks_vnc_link_key(struct mks_vnc_link *l, guint32 keysym, guint xt, gboolean down)
{
    push(l, (struct command){.kind = CMD_KEY, .a = down, .b = (int)xt, .sym = keysym});
}
void mks_vnc_link_pointer(struct mks_vnc_link *l, int x, int y, guint buttons)
{
    push(l, (struct command){.kind = CMD_POINTER, .a = x, .b = y, .c = (int)buttons});
}
void mks_vnc_link_resize(struct mks_vnc_link *l, int w, int h) { push(l, (struct command){.kind = CMD_RESIZE, .a = w, .b = h}); }
void mks_vnc_link_clipboard(struct mks_vnc_link *l, const char *latin1) { push(l, (struct command){.kind = CMD_CLIPBOARD, .text = g_strdup(latin1)}); }

void mks_vnc_link_credentials(struct mks_vnc_link *l, const char *user, const char *password)
{
    g_mutex_lock(&l->m);
    g_free(l->user);
    g_free(l->password);
    l->user = g_strdup(user);
    l->password = g_strdup(password);
    l->have_answer = TRUE;
    g_cond_broadcast(&l->answered);
    g_mutex_unlock(&l->m);
}
