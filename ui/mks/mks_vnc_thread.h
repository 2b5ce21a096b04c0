/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection to a VNC server, on a thread of its own: libvncclient blocks, and the window must not. A link serves one connection only; another
 * attempt is another link. News for the GTK thread are gathered in the link and fetched at once, so a fast server cannot pile up work.
 */
#ifndef LODGE_UI_MKS_VNC_THREAD_H
#define LODGE_UI_MKS_VNC_THREAD_H

#include "ui/mks/mks_geometry.h"
#include "ui/mks/mks_session_private.h"

enum mks_vnc_end { MKS_VNC_RUNS, MKS_VNC_FAILED, MKS_VNC_AUTH, MKS_VNC_CANCELLED, MKS_VNC_LOST };
enum { MKS_VNC_RECTS = 32, MKS_VNC_TEXT_MAX = 1 << 20 };

struct mks_vnc_news {
    gboolean connected;            /* just now */
    char *title;                   /* NULL: as before; likewise below */
    struct mks_picture *picture;
    struct mks_box damage[MKS_VNC_RECTS];
    int n_damage;
    gboolean cursor, moved;        /* shape, place */
    int cur_w, cur_h, hot_x, hot_y, cur_x, cur_y;
    guint32 *argb;
    char *clipboard;               /* UTF-8 */
    gboolean can_resize;
    gboolean need_user, need_password;
    enum mks_vnc_end end;          /* other than RUNS: the last news */
    char *error;                   /* with end: a sentence */
};

struct mks_vnc_link;
/* fn is called on the GTK thread when there are news, until detached. user, password: to be tried first; NULL: ask. */
struct mks_vnc_link *mks_vnc_link_start(const char *host, guint16 port, const char *user, const char *password, void (*fn)(gpointer u), gpointer u);
void mks_vnc_link_fetch(struct mks_vnc_link *l, struct mks_vnc_news *n); /* the caller frees with mks_vnc_news_clear */
void mks_vnc_news_clear(struct mks_vnc_news *n);
/* Ends the connection and forgets the caller; the thread ends by itself soon. */
void mks_vnc_link_detach(struct mks_vnc_link *l);

void mks_vnc_link_key(struct mks_vnc_link *l, guint32 keysym, guint xt, gboolean down);
void mks_vnc_link_pointer(struct mks_vnc_link *l, int x, int y, guint buttons);
void mks_vnc_link_resize(struct mks_vnc_link *l, int w, int h);
void mks_vnc_link_clipboard(struct mks_vnc_link *l, const char *latin1);
void mks_vnc_link_credentials(struct mks_vnc_link *l, const char *user, const char *password);

#endif
