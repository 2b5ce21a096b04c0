/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tab's page: the summary of a machine that is off, the console of one that runs; what there is to say above, the
 * status bar below. */
#ifndef LODGE_APP_VM_PAGE_H
#define LODGE_APP_VM_PAGE_H

#include "app-vm.h"
#include "ui/mks/mks_view.h"

G_BEGIN_DECLS

#define APP_TYPE_VM_PAGE (app_vm_page_get_type())
G_DECLARE_FINAL_TYPE(AppVmPage, app_vm_page, APP, VM_PAGE, GtkBox)

GtkWidget *app_vm_page_new(AppVm *vm);
AppVm *app_vm_page_get_vm(AppVmPage *p);
void app_vm_page_focus(AppVmPage *p);
LodgeMksView *app_vm_page_get_view(AppVmPage *p); /* NULL: no console yet */
/* An action of the window that the widget is in. */
void app_activate(GtkWidget *in, const char *action, GVariant *param);

G_END_DECLS

#endif
