/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtual networks' file while it is edited: changes are kept beside it, checked by the parser, and written line by line at the end. */
#ifndef LODGE_APP_NETWORK_EDIT_H
#define LODGE_APP_NETWORK_EDIT_H

#include <glib.h>

#include "config/netconf.h"

G_BEGIN_DECLS

typedef struct {
    unsigned line;
    char *key, *text; /* text: as the parser has it */
} AppNetProblem;

typedef struct {
    char *path;
    char *unreadable;         /* why the file cannot be read: then nothing can be written; else NULL */
    struct vmx_dict *file;    /* as it is on the disk */
    struct vmx_dict *dict;    /* with the changes */
    GHashTable *pending;      /* key: value; NULL: the line goes */
    GHashTable *old_problems; /* "key\ntext" of the file on the disk */
    GPtrArray *problems;      /* of the file with the changes */
    struct netconf conf;      /* what holds with the changes */
    gboolean used[NETCONF_NETS]; /* the file with the changes has a line about it */
} AppNetEdit;

AppNetEdit *app_net_edit_new(void);
void app_net_edit_free(AppNetEdit *e);
/* NULL: the line goes. A value that the file has already is no change. */
void app_net_edit_set(AppNetEdit *e, const char *key, const char *value);
/* The value with the changes, NULL: none. */
const char *app_net_edit_get(AppNetEdit *e, const char *key);
gboolean app_net_edit_changed(AppNetEdit *e);
/* What is wrong with a key, as a sentence in the user's language; g_free. NULL: nothing. */
char *app_net_edit_problem(AppNetEdit *e, const char *key);
/* A problem that a change has made or not mended: with one, nothing is written. NULL: none. */
const AppNetProblem *app_net_edit_blocked(AppNetEdit *e);
/* The keys of a network's lists in the order of the file, "vmnet8.forward0"...; what is "forward" or "dhcp.reservation". */
GPtrArray *app_net_edit_list(AppNetEdit *e, unsigned net, const char *what);
void app_net_edit_remove_net(AppNetEdit *e, unsigned net);
/* NULL: written, and the changes are none any more; else why not, as a sentence; g_free. */
char *app_net_edit_save(AppNetEdit *e);

G_END_DECLS

#endif
