/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between a session, its two kinds (mks_vm.c, mks_vnc.c) and the view. GTK thread only, except the reference counts of pictures. */
#ifndef LODGE_UI_MKS_SESSION_PRIVATE_H
#define LODGE_UI_MKS_SESSION_PRIVATE_H

#include <cairo.h>

#include "ui/mks/mks_session.h"

/* Pixels 0x00RRGGBB. Whoever writes them (the machine's process, the VNC thread) does it without a lock: a torn frame is followed by its damage. */
struct mks_picture {
    gint ref;
    int width, height, stride;
    guint8 *pixels;
    void *map; /* mapped memory; NULL: pixels are from g_malloc */
    gsize map_len;
};
enum { MKS_MAX_SIDE = 16384, MKS_MAX_CURSOR = 256 };
struct mks_picture *mks_picture_new(int width, int height); /* NULL: too large */
struct mks_picture *mks_picture_ref(struct mks_picture *p);
void mks_picture_unref(struct mks_picture *p);
/* A surface on the pixels; it holds a reference. */
cairo_surface_t *mks_picture_surface(struct mks_picture *p);

struct mks_cursor {
    gboolean known;       /* the guest has said something about its pointer */
    int width, height;    /* 0: hidden */
    int hot_x, hot_y;
    guint32 *argb;        /* premultiplied */
    int x, y;             /* where the guest shows it, when that is known */
    gboolean shown;
};

struct _LodgeMksSessionClass {
    GObjectClass parent;
    void (*open)(LodgeMksSession *s);
    void (*close)(LodgeMksSession *s);
    void (*key)(LodgeMksSession *s, guint usage, guint keysym, gboolean down);
    void (*pointer_to)(LodgeMksSession *s, int x, int y);
    void (*pointer_move)(LodgeMksSession *s, int dx, int dy);
    void (*button)(LodgeMksSession *s, guint button, gboolean down);
    void (*wheel)(LodgeMksSession *s, int clicks);
    void (*send_clipboard_text)(LodgeMksSession *s, const char *text);
    void (*give_credentials)(LodgeMksSession *s, const char *user, const char *password);
    void (*request_size)(LodgeMksSession *s, int width, int height);
    void (*painted)(LodgeMksSession *s); /* all damage so far is on the screen: more may come */
};

/* What the kinds call. */
void mks_session_set_state(LodgeMksSession *s, LodgeMksState state, const char *error);
void mks_session_set_title(LodgeMksSession *s, const char *title);
void mks_session_set_picture(LodgeMksSession *s, struct mks_picture *p); /* takes the reference; NULL: none */
void mks_session_damage(LodgeMksSession *s, int x, int y, int w, int h); /* clipped */
void mks_session_set_cursor(LodgeMksSession *s, int w, int h, int hot_x, int hot_y, const guint32 *argb);
void mks_session_move_cursor(LodgeMksSession *s, int x, int y, gboolean shown);
void mks_session_set_absolute(LodgeMksSession *s, gboolean absolute);
void mks_session_set_leds(LodgeMksSession *s, guint leds, gboolean known);
void mks_session_set_blank(LodgeMksSession *s, gboolean blank);
gboolean mks_session_get_blank(LodgeMksSession *s);
void mks_session_set_can_resize(LodgeMksSession *s, gboolean can);
void mks_session_forget_held(LodgeMksSession *s); /* the other side is gone: nothing is held any more */
gboolean mks_session_has_viewers(LodgeMksSession *s);

/* What the view calls. */
void mks_session_add_viewer(LodgeMksSession *s, int n); /* n: +1 visible, -1 no longer */
void mks_session_painted(LodgeMksSession *s);
struct mks_picture *mks_session_picture(LodgeMksSession *s); /* not a new reference; NULL */
const struct mks_cursor *mks_session_cursor(LodgeMksSession *s);
gboolean mks_session_leds_known(LodgeMksSession *s);
/* keysym: what the host's layout makes of it, for VNC servers that know no key codes; 0: as on a US keyboard. Down again without up is a
   repetition. An up without down does nothing. */
void mks_session_key_event(LodgeMksSession *s, guint usage, guint keysym, gboolean down);
gboolean mks_session_key_is_down(LodgeMksSession *s, guint usage);

/* Typing (mks_type.c): one step a tick. */
struct mks_step {
    guint16 usage;
    gboolean down;
    guint32 keysym;
};
/* NULL and *error when layout is unknown or cannot type the text. caps: caps lock is on in the guest. */
GArray *mks_type_steps(const char *text, const char *layout, gboolean caps, GError **error);
guint mks_us_keysym(guint usage, gboolean shift);

#endif
