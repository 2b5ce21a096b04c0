/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session with any VNC server. The connection is a thread's (mks_vnc_thread.c); this is its GTK side: what was asked, what to say, when to try again.
 *
 *   first attempt fails -> closed, with the sentence      connection lost -> connecting, tried again after 1, 2, 4 ... 30 s
 *   password wrong -> asked again                          user cancels -> closed
 */
#include <glib/gi18n-lib.h>
#include <string.h>

#include "ui/mks/mks_keys.h"
#include "ui/mks/mks_session_private.h"
#include "ui/mks/mks_vnc_thread.h"

enum { FIRST_DELAY = 1, LAST_DELAY = 30, MAX_ATTEMPTS = 12, DEFAULT_PORT = 5900 };

#define LODGE_TYPE_MKS_VNC (lodge_mks_vnc_get_type())
G_DECLARE_FINAL_TYPE(LodgeMksVnc, lodge_mks_vnc, LODGE, MKS_VNC, LodgeMksSession)

struct _LodgeMksVnc {
    LodgeMksSession parent;
    char *host, *user, *password;
    guint16 port;
    struct mks_vnc_link *link;
    guint retry_id, delay, attempts;
    gboolean was_connected;
    int x, y;
    guint buttons; /* as the protocol has them */
};
G_DEFINE_TYPE(LodgeMksVnc, lodge_mks_vnc, lodge_mks_session_get_type())

static LodgeMksSession *base(LodgeMksVnc *v) { return LODGE_MKS_SESSION(v); }
static void start(LodgeMksVnc *v);

static gboolean retry(gpointer u)
{
    LodgeMksVnc *v = u;
    v->retry_id = 0;
    start(v);
    return G_SOURCE_REMOVE;
}

static void stop(LodgeMksVnc *v)
{
    if (v->link)
        mks_vnc_link_detach(v->link);
    v->link = NULL;
    if (v->retry_id)
        g_source_remove(v->retry_id);
    v->retry_id = 0;
    v->buttons = 0;
    mks_session_forget_held(base(v));
}

static void connection_ended(LodgeMksVnc *v, const struct mks_vnc_news *n)
{
    gboolean again = n->end == MKS_VNC_LOST || (n->end == MKS_VNC_FAILED && v->was_connected);
    stop(v);
    mks_session_set_picture(base(v), NULL);
    mks_session_set_cursor(base(v), 0, 0, 0, 0, NULL);
    mks_session_set_can_resize(base(v), FALSE);
    if (n->end == MKS_VNC_AUTH) {
        /* Another connection, which asks again. The user's answers set the pace. */
        mks_session_set_state(base(v), LODGE_MKS_CONNECTING, n->error);
        g_clear_pointer(&v->password, g_free);
        start(v);
    } else if (again && v->attempts++ < MAX_ATTEMPTS) {
        char *text = g_strdup_printf(_("%s Trying again…"), n->error);
        mks_session_set_state(base(v), LODGE_MKS_CONNECTING, text);
        g_free(text);
        v->retry_id = g_timeout_add_seconds(v->delay, retry, v);
        v->delay = MIN(v->delay * 2, LAST_DELAY);
    } else {
        v->was_connected = FALSE;
        mks_session_set_state(base(v), LODGE_MKS_CLOSED, n->error);
    }
}

static void on_news(gpointer u)
{
    LodgeMksVnc *v = u;
    struct mks_vnc_news n;
    mks_vnc_link_fetch(v->link, &n);
    g_object_ref(v); /* handlers of the signals may drop the last reference */
    if (n.connected) {
        v->was_connected = TRUE;
        v->delay = FIRST_DELAY;
        v->attempts = 0;
    }
    if (n.title)
        mks_session_set_title(base(v), n.title);
    if (n.picture) {
        mks_session_set_picture(base(v), n.picture);
        n.picture = NULL;
    }
    if (v->was_connected && n.end == MKS_VNC_RUNS && mks_session_picture(base(v)))
        mks_session_set_state(base(v), LODGE_MKS_RUNNING, NULL);
    for (int i = 0; i < n.n_damage; i++)
        mks_session_damage(base(v), n.damage[i].x, n.damage[i].y, n.damage[i].w, n.damage[i].h);
    if (n.cursor)
        mks_session_set_cursor(base(v), n.cur_w, n.cur_h, n.hot_x, n.hot_y, n.argb);
    if (n.moved || n.cursor)
        mks_session_move_cursor(base(v), n.moved ? n.cur_x : v->x, n.moved ? n.cur_y : v->y, TRUE);
    mks_session_set_can_resize(base(v), n.can_resize);
    if (n.clipboard)
        g_signal_emit_by_name(v, "clipboard-text", n.clipboard);
    if (n.need_password)
        g_signal_emit_by_name(v, "credentials-needed", n.need_user, n.need_password);
    if (n.end != MKS_VNC_RUNS && v->link)
        connection_ended(v, &n);
    mks_vnc_news_clear(&n);
    g_object_unref(v);
}

static void start(LodgeMksVnc *v)
{
    if (v->link)
        return;
    /* What was given with the address, or once accepted, is tried first. */
    v->link = mks_vnc_link_start(v->host, v->port, v->user, v->password, on_news, v);
}

/* ---- class ---- */

static void vnc_open(LodgeMksSession *s)
{
    LodgeMksVnc *v = LODGE_MKS_VNC(s);
    if (v->link)
        return;
    if (v->retry_id)
        g_source_remove(v->retry_id);
    v->retry_id = 0;
    v->delay = FIRST_DELAY;
    v->attempts = 0;
    mks_session_set_state(s, LODGE_MKS_CONNECTING, NULL);
    start(v);
}

static void vnc_close(LodgeMksSession *s)
{
    LodgeMksVnc *v = LODGE_MKS_VNC(s);
    stop(v);
    v->was_connected = FALSE;
    mks_session_set_picture(s, NULL);
}

static void vnc_key(LodgeMksSession *s, guint usage, guint keysym, gboolean down)
{
    LodgeMksVnc *v = LODGE_MKS_VNC(s);
    if (v->link)
        mks_vnc_link_key(v->link, keysym, mks_xt_from_usage(usage), down);
}

static void vnc_pointer_to(LodgeMksSession *s, int x, int y)
{
    LodgeMksVnc *v = LODGE_MKS_VNC(s);
    v->x = x;
    v->y = y;
    if (v->link)
        mks_vnc_link_pointer(v->link, x, y, v->buttons);
}

static void vnc_pointer_move(LodgeMksSession *s, int dx, int dy)
{
    LodgeMksVnc *v = LODGE_MKS_VNC(s);
    int w, h;
    if (lodge_mks_session_get_guest_size(s, &w, &h))
        vnc_pointer_to(s, CLAMP(v->x + dx, 0, w - 1), CLAMP(v->y + dy, 0, h - 1));
}

static void vnc_button(LodgeMksSession *s, guint button, gboolean down)
{
    static const guint bits[] = {1, 4, 2}; /* side and extra have none */
    LodgeMksVnc *v = LODGE_MKS_VNC(s);
    if (button >= G_N_ELEMENTS(bits))
        return;
    v->buttons = down ? v->buttons | bits[button] : v->buttons & ~bits[button];
    vnc_pointer_to(s, v->x, v->y);
}

static void vnc_wheel(LodgeMksSession *s, int clicks)
{
    LodgeMksVnc *v = LODGE_MKS_VNC(s);
    guint bit = clicks > 0 ? 8 : 16;
    for (int i = MIN(ABS(clicks), 20); i > 0 && v->link; i--) {
        mks_vnc_link_pointer(v->link, v->x, v->y, v->buttons | bit);
        mks_vnc_link_pointer(v->link, v->x, v->y, v->buttons);
    }
}

static void vnc_clipboard(LodgeMksSession *s, const char *text)
{
    LodgeMksVnc *v = LODGE_MKS_VNC(s);
    char *latin1 = g_convert_with_fallback(text, -1, "ISO-8859-1", "UTF-8", "?", NULL, NULL, NULL);
    if (latin1 && strlen(latin1) <= MKS_VNC_TEXT_MAX && v->link)
        mks_vnc_link_clipboard(v->link, latin1);
    g_free(latin1);
}

static void vnc_credentials(LodgeMksSession *s, const char *user, const char *password)
{
    LodgeMksVnc *v = LODGE_MKS_VNC(s);
    g_free(v->user);
    g_free(v->password);
    v->user = g_strdup(user);
    v->password = g_strdup(password); /* for after a loss of the connection; forgotten when it is wrong */
    if (v->link)
        mks_vnc_link_credentials(v->link, user, password);
}

static void vnc_request_size(LodgeMksSession *s, int width, int height)
{
    LodgeMksVnc *v = LODGE_MKS_VNC(s);
    if (v->link && lodge_mks_session_get_can_resize(s))
        mks_vnc_link_resize(v->link, width, height);
}

static void dispose(GObject *o)
{
    LodgeMksVnc *v = LODGE_MKS_VNC(o);
    if (v->link)
        lodge_mks_session_release_keys(base(v));
    stop(v);
    G_OBJECT_CLASS(lodge_mks_vnc_parent_class)->dispose(o);
}

static void finalize(GObject *o)
{
    LodgeMksVnc *v = LODGE_MKS_VNC(o);
    g_free(v->host);
    g_free(v->user);
    g_free(v->password);
    G_OBJECT_CLASS(lodge_mks_vnc_parent_class)->finalize(o);
}

static void lodge_mks_vnc_class_init(LodgeMksVncClass *k)
{
    LodgeMksSessionClass *sk = LODGE_MKS_SESSION_CLASS(k);
    G_OBJECT_CLASS(k)->dispose = dispose;
    G_OBJECT_CLASS(k)->finalize = finalize;
    sk->open = vnc_open;
    sk->close = vnc_close;
    sk->key = vnc_key;
    sk->pointer_to = vnc_pointer_to;
    sk->pointer_move = vnc_pointer_move;
    sk->button = vnc_button;
    sk->wheel = vnc_wheel;
    sk->send_clipboard_text = vnc_clipboard;
    sk->give_credentials = vnc_credentials;
    sk->request_size = vnc_request_size;
}

static void lodge_mks_vnc_init(LodgeMksVnc *v) { v->delay = FIRST_DELAY; }

/* ---- addresses ---- */

/* "5901", "1" (display), after one colon; two colons: a port however small. */
static gboolean parse_port(const char *s, guint16 *port)
{
    gboolean plain = *s == ':';
    guint64 n;
    if (!g_ascii_string_to_unsigned(s + plain, 10, plain ? 1 : 0, 65535, &n, NULL))
        return FALSE;
    *port = (guint16)(!plain && n < 100 ? DEFAULT_PORT + n : n);
    return TRUE;
}

LodgeMksSession *lodge_mks_session_new_vnc(const char *target, GError **error)
{
    gboolean uri = !g_ascii_strncasecmp(target, "vnc://", 6);
    char *copy = g_strdup(target + (uri ? 6 : 0)), *at = strrchr(copy, '@'), *host = copy, *user = NULL, *password = NULL, *rest, *end;
    guint16 port = DEFAULT_PORT;
    gboolean good = TRUE;
    if (uri && (end = strpbrk(at ? at : copy, "/?#")))
        *end = '\0';
    if (at) {
        *at = '\0';
        host = at + 1;
        char *colon = strchr(copy, ':');
        if (colon)
            *colon = '\0';
        user = *copy ? g_uri_unescape_string(copy, NULL) : NULL;
        password = colon ? g_uri_unescape_string(colon + 1, NULL) : NULL;
        good = (!*copy || user) && (!colon || password);
    }
    if (*host == '[' && (end = strchr(host, ']'))) {
        *end = '\0';
        host++;
        rest = end + 1;
    } else {
        rest = g_hostname_is_ip_address(host) ? NULL : strchr(host, ':'); /* "::1" is all address */
    }
    if (rest && *rest == ':') {
        good = good && parse_port(rest + 1, &port);
        *rest = '\0';
    } else if (rest && *rest) {
        good = FALSE;
    }
    g_strstrip(host);
    LodgeMksVnc *v = NULL;
    if (!good || !*host || strpbrk(host, " \t/")) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    _("“%s” is not an address of a VNC server. Give it as host, host:port or vnc://host:port, as in vnc://lab.example:5901."), target);
    } else {
        v = g_object_new(LODGE_TYPE_MKS_VNC, NULL);
        v->host = g_strdup(host);
        v->port = port;
        v->user = g_steal_pointer(&user);
        v->password = g_steal_pointer(&password);
        mks_session_set_title(base(v), host);
        mks_session_set_absolute(base(v), TRUE);
    }
    g_free(user);
    g_free(password);
    g_free(copy);
    return v ? base(v) : NULL;
}
