/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Full screen: a window of its own on the machine of the shown tab, and on its neighbours. */
#include "app-window-private.h"

static void full_gone(GtkWidget *f, gpointer u)
{
    AppWindow *w = u;
    w->full = NULL;
}

static void full_leave(LodgeMksFullscreen *f, gpointer u)
{
    AppWindow *w = u;
    g_settings_set_boolean(app_prefs(), "full-screen-pinned", lodge_mks_fullscreen_get_pinned(f));
    gtk_widget_destroy(GTK_WIDGET(f));
    gtk_window_present(GTK_WINDOW(w));
}

gboolean window_step_vm(AppWindow *w, int by)
{
    int n = gtk_notebook_get_n_pages(GTK_NOTEBOOK(w->tabs)), at = gtk_notebook_get_current_page(GTK_NOTEBOOK(w->tabs));
    for (int i = 1; i < n; i++) {
        int k = ((at + by * i) % n + n) % n;
        AppVmPage *p = window_page_at(w, k);
        if (!p || !app_vm_is_live(app_vm_page_get_vm(p)))
            continue;
        gtk_notebook_set_current_page(GTK_NOTEBOOK(w->tabs), k);
        return TRUE;
    }
    return FALSE;
}

static void full_switch(LodgeMksFullscreen *f, int by, gpointer u)
{
    AppWindow *w = u;
    if (window_step_vm(w, by))
        lodge_mks_fullscreen_set_session(f, app_vm_get_session(app_window_get_vm(w)));
}

void window_go_full(AppWindow *w)
{
    AppVm *vm = app_window_get_vm(w);
    LodgeMksSession *s = vm && app_vm_is_live(vm) ? app_vm_get_session(vm) : NULL;
    if (!s || w->full)
        return;
    AppVmPage *p = window_shown_page(w);
    w->full = LODGE_MKS_FULLSCREEN(lodge_mks_fullscreen_new(s, app_vm_page_get_view(p)));
    gtk_window_set_application(GTK_WINDOW(w->full), GTK_APPLICATION(app_application_default()));
    lodge_mks_fullscreen_set_pinned(w->full, g_settings_get_boolean(app_prefs(), "full-screen-pinned"));
    g_signal_connect(w->full, "leave", G_CALLBACK(full_leave), w);
    g_signal_connect(w->full, "switch", G_CALLBACK(full_switch), w);
    g_signal_connect(w->full, "destroy", G_CALLBACK(full_gone), w);
    gtk_widget_show(GTK_WIDGET(w->full));
}

void app_window_full_screen_when_on(AppWindow *w, AppVm *vm)
{
    g_set_object(&w->full_wanted, vm);
    app_window_update(w);
}

void window_leave_full(AppWindow *w)
{
    if (w->full)
        full_leave(w->full, w);
}
