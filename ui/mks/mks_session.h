/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection to one screen: a virtual machine's control API, or any VNC server. It holds the picture and takes input; any number of
 * LodgeMksView show it. Everything here is called on the GTK thread and none of it waits for the other side.
 *
 * Properties (all read-only, each with notify): state, error, title, guest-width, guest-height, pointer-absolute, leds, can-resize, is-vnc,
 * blank (the guest has switched its display off).
 * Signals:
 *   "damage" (int x, int y, int width, int height)   guest pixels that changed
 *   "cursor"                                          shape or visibility of the guest's pointer changed
 *   "credentials-needed" (bool user, bool password)   VNC: answer with lodge_mks_session_give_credentials, at any later time
 *   "clipboard-text" (const char *text)               VNC: the remote side copied text
 */
#ifndef LODGE_UI_MKS_SESSION_H
#define LODGE_UI_MKS_SESSION_H

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum {
    LODGE_MKS_CLOSED,     /* not connected; "error" says why when it was not asked for */
    LODGE_MKS_CONNECTING, /* also: trying again after a loss; "error" says what was lost */
    LODGE_MKS_NO_PICTURE, /* connected, the guest shows nothing (yet) */
    LODGE_MKS_RUNNING,
    LODGE_MKS_PAUSED,     /* the last picture stays */
    LODGE_MKS_OFF,        /* the machine is off; the connection stays and follows the next power on */
    LODGE_MKS_FAULT,      /* the machine stopped by a fault; "error" is the sentence */
} LodgeMksState;
GType lodge_mks_state_get_type(void);

#define LODGE_TYPE_MKS_SESSION (lodge_mks_session_get_type())
G_DECLARE_DERIVABLE_TYPE(LodgeMksSession, lodge_mks_session, LODGE, MKS_SESSION, GObject)

/* address: of the control API ("lodge-vmx --address FILE.vmx"). While nobody listens there it keeps trying until closed. */
LodgeMksSession *lodge_mks_session_new_vm(const char *address);
/* target: "host", "host:port", "host:display" (below 100), "[v6]:port", "vnc://[user[:password]@]host[:port]"; NULL and *error when it is none. */
LodgeMksSession *lodge_mks_session_new_vnc(const char *target, GError **error);

void lodge_mks_session_open(LodgeMksSession *s);  /* also: try again now */
void lodge_mks_session_close(LodgeMksSession *s); /* releases all keys; the last unref does it too */

LodgeMksState lodge_mks_session_get_state(LodgeMksSession *s);
const char *lodge_mks_session_get_error(LodgeMksSession *s); /* a sentence, or "" */
const char *lodge_mks_session_get_title(LodgeMksSession *s); /* displayName, or what the VNC server calls itself */
gboolean lodge_mks_session_get_guest_size(LodgeMksSession *s, int *width, int *height); /* FALSE and 0 x 0: no picture */
gboolean lodge_mks_session_get_pointer_absolute(LodgeMksSession *s);
guint lodge_mks_session_get_leds(LodgeMksSession *s); /* bit 0 scroll lock, 1 num lock, 2 caps lock */
gboolean lodge_mks_session_get_can_resize(LodgeMksSession *s); /* request_size is followed while the guest runs */

/* Input. usage: USB HID usage of page 7. Buttons: 0 left, 1 right, 2 middle, 3 side, 4 extra. x, y in guest pixels. */
void lodge_mks_session_key(LodgeMksSession *s, guint usage, gboolean down);
void lodge_mks_session_release_keys(LodgeMksSession *s); /* keys and buttons that this session holds down */
void lodge_mks_session_press_keys(LodgeMksSession *s, const char *const *names); /* all down in this order, then up: docs/control-api.md */
void lodge_mks_session_pointer_to(LodgeMksSession *s, int x, int y);
void lodge_mks_session_pointer_move(LodgeMksSession *s, int dx, int dy);
void lodge_mks_session_button(LodgeMksSession *s, guint button, gboolean down);
void lodge_mks_session_wheel(LodgeMksSession *s, int clicks); /* positive: away from the user */
gboolean lodge_mks_session_keys_down(LodgeMksSession *s);     /* any key or button is held */

/* Types text by pressing keys. layout: the guest's keyboard layout as xkb names it, with variant: "us", "de", "ch(fr)"; NULL: us. Text that the
   layout cannot type is an error before the first key. One text at a time. */
void lodge_mks_session_type_text_async(LodgeMksSession *s, const char *text, const char *layout, GCancellable *cancellable,
                                       GAsyncReadyCallback done, gpointer user_data);
gboolean lodge_mks_session_type_text_finish(LodgeMksSession *s, GAsyncResult *result, GError **error);

/* VNC: gives text to the remote clipboard. */
void lodge_mks_session_send_clipboard_text(LodgeMksSession *s, const char *text);
/* user or password NULL: the user does not want to. */
void lodge_mks_session_give_credentials(LodgeMksSession *s, const char *user, const char *password);

/* Asks the guest for this size, in its pixels. Without a guest driver that listens it applies from the next start of the driver on. */
void lodge_mks_session_request_size(LodgeMksSession *s, int width, int height);

/* The picture now; NULL: none. The thumbnail fits into width x height and keeps the aspect. */
GdkPixbuf *lodge_mks_session_screenshot(LodgeMksSession *s);
GdkPixbuf *lodge_mks_session_thumbnail(LodgeMksSession *s, int width, int height);

G_END_DECLS

#endif
