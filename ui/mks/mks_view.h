/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console of one session: a widget that paints the guest's picture and gives it the keyboard and the pointer. Put it into a
 * GtkScrolledWindow (it is a GtkScrollable; scroll bars appear only with LODGE_MKS_ACTUAL), policies automatic.
 *
 * Properties:
 *   session (rw, LodgeMksSession)      may be NULL
 *   scaling (rw, LodgeMksScaling)
 *   filter (rw, LodgeMksFilter)
 *   grabbed (ro, bool)                 pointer and keyboard belong to the guest
 *   hint (ro, string)                  what to do for input, for the status bar: "To release the pointer, press Ctrl+Alt."
 *   zoom (ro, double)                  device pixels per guest pixel as painted
 *   read-only (rw, bool)               shows, but sends nothing
 *   grab-keyboard (rw, bool)           keys that the desktop keeps for itself go to the guest while the console has the focus with an absolute
 *                                      pointer too, not only when grabbed
 *   status-text (rw, string)           a line painted over the dimmed picture instead of the one for the state; NULL: that one
 * Signals:
 *   "hotkey" (LodgeMksHotkey) -> bool  a host shortcut other than release, grab and Ctrl+Alt+Del, which the view does itself. FALSE: the keys go
 *                                      to the guest, as when previous and next are pressed outside of full screen
 *   "resume-requested"                 the user clicked a paused machine, or pressed Enter or Space
 *   "pointer-at-top" (bool)            the pointer is at the top edge, or no longer: for bars that hide
 * Accessible name and role come with it; the name follows the session's title.
 */
#ifndef LODGE_UI_MKS_VIEW_H
#define LODGE_UI_MKS_VIEW_H

#include <gtk/gtk.h>

#include "ui/mks/mks_session.h"

G_BEGIN_DECLS

typedef enum {
    LODGE_MKS_STRETCH,   /* as large as the window allows, aspect kept */
    LODGE_MKS_ACTUAL,    /* one guest pixel is one device pixel; scrolls */
    LODGE_MKS_FIT_GUEST, /* the guest is asked for the window's size; painted 1:1, smaller when it is too large for the window */
} LodgeMksScaling;
typedef enum {
    LODGE_MKS_FILTER_AUTO, /* nearest at whole factors, else bilinear */
    LODGE_MKS_FILTER_NEAREST,
    LODGE_MKS_FILTER_BILINEAR,
} LodgeMksFilter;
typedef enum {
    LODGE_MKS_HOTKEY_RELEASE,      /* <Control><Alt> */
    LODGE_MKS_HOTKEY_GRAB,         /* <Control>g */
    LODGE_MKS_HOTKEY_FULLSCREEN,   /* <Control><Alt>Return */
    LODGE_MKS_HOTKEY_PREVIOUS,     /* <Control><Alt>Left */
    LODGE_MKS_HOTKEY_NEXT,         /* <Control><Alt>Right */
    LODGE_MKS_HOTKEY_CTRL_ALT_DEL, /* <Control><Alt>Insert */
    LODGE_MKS_HOTKEYS
} LodgeMksHotkey;
GType lodge_mks_scaling_get_type(void);
GType lodge_mks_filter_get_type(void);
GType lodge_mks_hotkey_get_type(void);

#define LODGE_TYPE_MKS_VIEW (lodge_mks_view_get_type())
G_DECLARE_FINAL_TYPE(LodgeMksView, lodge_mks_view, LODGE, MKS_VIEW, GtkDrawingArea)

GtkWidget *lodge_mks_view_new(LodgeMksSession *session);
LodgeMksSession *lodge_mks_view_get_session(LodgeMksView *v);
void lodge_mks_view_set_session(LodgeMksView *v, LodgeMksSession *session);
void lodge_mks_view_set_scaling(LodgeMksView *v, LodgeMksScaling scaling);
LodgeMksScaling lodge_mks_view_get_scaling(LodgeMksView *v);
/* accelerator as gtk_accelerator_name writes it; modifiers alone ("<Control><Alt>") act when they are let go; "" or NULL: none. FALSE: not
   one, or already the shortcut of another. */
gboolean lodge_mks_view_set_hotkey(LodgeMksView *v, LodgeMksHotkey which, const char *accelerator);
const char *lodge_mks_view_get_hotkey(LodgeMksView *v, LodgeMksHotkey which);
const char *lodge_mks_hotkey_default(LodgeMksHotkey which);

void lodge_mks_view_grab(LodgeMksView *v);
void lodge_mks_view_release(LodgeMksView *v);
gboolean lodge_mks_view_get_grabbed(LodgeMksView *v);
const char *lodge_mks_view_get_hint(LodgeMksView *v);
/* "Fit guest now": asks the guest once for the size of the window. FALSE: it will follow only from the next start of its driver on. */
gboolean lodge_mks_view_fit_guest_now(LodgeMksView *v);
/* The size in application pixels at which the guest is painted 1:1, for "Fit window". */
gboolean lodge_mks_view_get_natural_size(LodgeMksView *v, int *width, int *height);
/* Device pixels per application pixel when GDK cannot know (fractional scale of the desktop); 0: GDK's. */
void lodge_mks_view_set_device_scale(LodgeMksView *v, double scale);

G_END_DECLS

#endif
