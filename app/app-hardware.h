/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The devices that a .vmx describes, for the summary page, the settings' list and the status bar. */
#ifndef LODGE_APP_HARDWARE_H
#define LODGE_APP_HARDWARE_H

#include <glib.h>

#include "config/vmx_schema.h"

typedef enum {
    HW_MEMORY,
    HW_PROCESSORS,
    HW_DISK,
    HW_CD,
    HW_FLOPPY,
    HW_NETWORK,
    HW_USB,
    HW_SOUND,
    HW_SERIAL,
    HW_PARALLEL,
    HW_DISPLAY,
    HW_CONTROLLER,
    HW_KINDS
} AppHwKind;

typedef struct {
    AppHwKind kind;
    char *node;    /* "ide0:0", "ethernet0", "memory": also the name of its settings page */
    char *label;   /* "Hard disk (IDE 0:0)" */
    char *value;   /* "debian.vmdk" */
    gboolean acts; /* this version has the device */
} AppHwItem;

GPtrArray *app_hardware_list(const struct vmx_dict *d); /* of AppHwItem; g_ptr_array_unref */
const char *app_hardware_icon(AppHwKind k);
const char *app_hardware_why_not(void); /* the sentence for acts == FALSE */
/* The name of a node without its value: "CD/DVD (IDE 1:0)"; g_free. */
char *app_hardware_label(AppHwKind k, const char *node);
char *app_format_mb(guint64 mb); /* "1.5 GB"; g_free */
char *app_format_bytes(guint64 bytes); /* g_free */
/* "ide1:0" is a CD drive, judged by its deviceType. */
gboolean app_hardware_is_cd(const struct vmx_dict *d, const char *node);
const char *app_key(const struct vmx_dict *d, const char *node, const char *rest); /* node.rest, "" when absent */
gboolean app_key_bool(const struct vmx_dict *d, const char *node, const char *rest);
gboolean app_key_acts(const char *key); /* lodge-vmx does something with it */

#endif
