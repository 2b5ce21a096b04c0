/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the window share: app-window.c, app-window-close.c (closing), app-window-full.c (full screen), app-window-add.c (machines that come in). */
#ifndef LODGE_APP_WINDOW_PRIVATE_H
#define LODGE_APP_WINDOW_PRIVATE_H

#include "app-vm-page.h"
#include "app-window.h"
#include "ui/mks/mks_fullscreen.h"

struct _AppWindow {
    GtkApplicationWindow parent;
    GtkWidget *header, *sidebar_button, *new_button, *power_on, *pause, *shut_box, *shut_menu, *menu_button,
        *full_screen, *fit_menu, *keys_menu, *paned, *sidebar_box, *tabs, *power_on_label;
    GtkWidget *sidebar;
    LodgeMksFullscreen *full;
    AppVm *full_wanted; /* full screen as soon as it runs */
    GSimpleActionGroup *row;
    gboolean torn, closing, restored;
};

AppVmPage *window_page_at(AppWindow *w, int i); /* NULL: no machine's */
AppVmPage *window_shown_page(AppWindow *w);
void window_drop_page(AppWindow *w, GtkWidget *page);

/* Asks when that concerns a running machine. */
void window_close_page(AppWindow *w, GtkWidget *page);
gboolean window_delete(GtkWidget *widget, GdkEventAny *ev);

void window_go_full(AppWindow *w);
void window_leave_full(AppWindow *w);
gboolean window_step_vm(AppWindow *w, int by); /* to the next or previous tab with a picture */

void window_choose(AppWindow *w, gboolean folder);
void window_dropped(GtkWidget *widget, GdkDragContext *c, int x, int y, GtkSelectionData *data, guint info, guint time, gpointer u);
void window_connect(GSimpleAction *s, GVariant *p, gpointer u);

#endif
