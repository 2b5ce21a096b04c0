/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pages of the settings, made from the key table: a control for each key, by its type. */
#ifndef LODGE_APP_SETTINGS_PAGES_H
#define LODGE_APP_SETTINGS_PAGES_H

#include "app-hardware.h"
#include "app-vm.h"

/* What the user changes: lines over those of the file. */
typedef struct {
    AppVm *vm;
    struct vmx_dict *dict; /* a copy of the file's */
    GHashTable *changes;   /* key -> value; a NULL value takes the line away */
    void (*changed)(gpointer u);
    gpointer u;
} AppEdit;

AppEdit *app_edit_new(AppVm *vm);
void app_edit_free(AppEdit *e);
const char *app_edit_get(AppEdit *e, const char *key); /* the line's value; NULL: no line */
void app_edit_set(AppEdit *e, const char *key, const char *value);
GPtrArray *app_edit_pairs(AppEdit *e); /* for app_vm_set_keys */
/* The dictionary with the changes applied: for checking, and for the list of devices. Free it. */
struct vmx_dict *app_edit_result(AppEdit *e);

typedef struct {
    const char *name, *title, *icon;
} AppOptionPage;
const char *app_word_label(const char *word); /* of a list in the .vmx, for people */
const AppOptionPage *app_option_pages(guint *n);

/* page: a node of app_hardware_list or the name of an option page. */
GtkWidget *app_settings_page_new(AppEdit *e, AppHwKind kind, const char *page);
gboolean app_mac_valid(const char *s);
char *app_mac_generate(void); /* of the range for addresses that are set by hand; g_free */

#endif
