/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors as sentences, where the user looks. */
#ifndef LODGE_APP_ERROR_H
#define LODGE_APP_ERROR_H

#include <gtk/gtk.h>

/* The error's sentence without D-Bus' prefix, ending in a full stop; g_free. */
char *app_error_sentence(const GError *e);
/* The same in the user's language, where app-translate.c knows it; g_free. */
char *app_translate(const char *text);
char *app_sentence(const char *text); /* first letter large, full stop at the end; g_free */
/* A dialog, for what happened outside of any machine. primary is one line, secondary says why and what to do. */
void app_error_dialog(GtkWindow *parent, const char *primary, const char *secondary);
void app_clear(GtkWidget *container); /* destroys what is in it */
void app_list_one_tab(GtkWidget *list_box); /* Tab enters and leaves it; the arrow keys go from row to row */
/* Takes child. Closed, what is in it takes no focus, which GTK's own does. */
GtkWidget *app_expander_new(const char *mnemonic, GtkWidget *child);
gboolean app_escape(GtkWidget *window, GdkEventKey *ev, gpointer u); /* for key-press-event: Escape closes the window */
/* Asks; "suggested" is the label of the button that does it. remember: may be NULL, the text of a check box. done gets
   GTK_RESPONSE_ACCEPT or else, and whether the box was checked. */
typedef void (*AppAnswer)(gpointer user_data, gboolean yes, gboolean remembered);
void app_ask(GtkWindow *parent, const char *primary, const char *secondary, const char *button, gboolean destructive,
             const char *remember, AppAnswer done, gpointer user_data);

#endif
