/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One entry of the library: a virtual machine (its .vmx and, while it runs, the control connection to its process), or
 * a remote console. All calls on the GTK thread; none waits.
 *
 * Signals: "changed" (name, state, settings, problem), "thumbnail", "stopped" (const char *sentence: it ended by
 * itself, or by a fault).
 */
#ifndef LODGE_APP_VM_H
#define LODGE_APP_VM_H

#include <gtk/gtk.h>

#include "config/vmx_schema.h"
#include "ui/mks/mks_session.h"

G_BEGIN_DECLS

typedef enum {
    APP_VM_MISSING, /* its file is gone */
    APP_VM_OFF,
    APP_VM_STARTING,
    APP_VM_ON,
    APP_VM_PAUSED,
    APP_VM_STOPPING,
    APP_VM_FAULT,
} AppVmState;

#define APP_TYPE_VM (app_vm_get_type())
G_DECLARE_FINAL_TYPE(AppVm, app_vm, APP, VM, GObject)

AppVm *app_vm_new(const char *vmx_path, const char *folder);
AppVm *app_vm_new_remote(const char *target, const char *folder);

gboolean app_vm_is_remote(AppVm *vm);
const char *app_vm_get_path(AppVm *vm); /* the .vmx, or the target of a remote console */
const char *app_vm_get_name(AppVm *vm);
const char *app_vm_get_folder(AppVm *vm); /* of the library; "" is the first one */
void app_vm_set_folder(AppVm *vm, const char *folder);
void app_vm_relocate(AppVm *vm, const char *vmx_path);
AppVmState app_vm_get_state(AppVm *vm);
const char *app_vm_state_name(AppVmState s);
const char *app_vm_state_icon(AppVmState s);
gboolean app_vm_is_live(AppVm *vm); /* a process runs it */
/* The settings as they are in the file; NULL: not read yet, or not readable. Valid until the next "changed". */
const struct vmx_dict *app_vm_get_dict(AppVm *vm);
const char *app_vm_get_icon(AppVm *vm);
const char *app_vm_get_engine(AppVm *vm); /* "bt", "vt"; "" when off */
/* The image in the CD drive of a running machine; "": the guest finds none; NULL: not known. */
const char *app_vm_get_medium(AppVm *vm, const char *node);
guint app_vm_get_pid(AppVm *vm);
char *app_vm_get_log_path(AppVm *vm);              /* g_free */
char *app_vm_resolve(AppVm *vm, const char *name); /* a file named in the .vmx; g_free */
GdkPixbuf *app_vm_get_thumbnail(AppVm *vm);        /* the last screen; NULL: none */
void app_vm_refresh_thumbnail(AppVm *vm);
void app_vm_keep_thumbnail(AppVm *vm, GdkPixbuf *screen); /* a newer one, from a view */
void app_vm_forget_thumbnail(AppVm *vm);                  /* also the one that is kept for the next start */
/* The screen. Made at the first call and open while the machine runs. */
LodgeMksSession *app_vm_get_session(AppVm *vm);

/* What the user has to know: a sentence, and perhaps an action ("win.vm-log") with its label. NULL: nothing. */
const char *app_vm_get_problem(AppVm *vm, const char **action, const char **label);
void app_vm_set_problem(AppVm *vm, const char *sentence, const char *action, const char *label);
/* What a running machine has refused: no longer a problem when it is off. */
void app_vm_refused(AppVm *vm, const char *sentence);

/* Power. They return at once; what goes wrong becomes the problem. */
void app_vm_power_on(AppVm *vm);
void app_vm_power_off(AppVm *vm);
void app_vm_soft_off(AppVm *vm);
void app_vm_reset(AppVm *vm);
void app_vm_pause(AppVm *vm);
void app_vm_resume(AppVm *vm);
/* Any method of the control API; what: the sentence when it fails, with %s for the name; NULL: say nothing. done may be
 * NULL; result NULL: it failed (and became the problem). */
typedef void (*AppVmAnswer)(gpointer u, GVariant *result);
void app_vm_call(AppVm *vm, const char *method, GVariant *args, const char *what, AppVmAnswer done, gpointer u);

/* Changes settings: pairs key, value (NULL: take the line away), ended by NULL. Through the process when there is one,
   else in the file. done: error NULL when all is written. */
typedef void (*AppVmSaved)(gpointer u, const GError *error);
void app_vm_set_keys(AppVm *vm, GPtrArray *pairs, AppVmSaved done,
                     gpointer u); /* takes the array of (char *), owned; value may be NULL */
void app_vm_reload(AppVm *vm);

G_END_DECLS

#endif
