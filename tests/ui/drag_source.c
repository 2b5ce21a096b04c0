/* SPDX-License-Identifier: GPL-2.0-or-later */
/* drag_source FILE...: a small window from whose face these files can be dragged, as from a file manager's; for files_test.py. */
#include <gtk/gtk.h>

static char **uris;

static void get(GtkWidget *w, GdkDragContext *c, GtkSelectionData *data, guint info, guint time, gpointer u)
{
    (void)w, (void)c, (void)info, (void)time, (void)u;
    gtk_selection_data_set_uris(data, uris);
}

static void ended(GtkWidget *w, GdkDragContext *c, gpointer u)
{
    (void)w, (void)c, (void)u;
    printf("ended\n");
}

static gboolean failed(GtkWidget *w, GdkDragContext *c, GtkDragResult r, gpointer u)
{
    (void)w, (void)c, (void)u;
    printf("failed %d\n", (int)r);
    return TRUE;
}

int main(int argc, char **argv)
{
    gtk_init(&argc, &argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    GPtrArray *a = g_ptr_array_new();
    for (int i = 1; i < argc; i++)
        g_ptr_array_add(a, g_filename_to_uri(argv[i], NULL, NULL));
    g_ptr_array_add(a, NULL);
    uris = (char **)a->pdata;
    GtkWidget *w = gtk_window_new(GTK_WINDOW_POPUP), *box = gtk_event_box_new();
    gtk_widget_set_size_request(box, 60, 60);
    gtk_container_add(GTK_CONTAINER(w), box);
    gtk_drag_source_set(box, GDK_BUTTON1_MASK, NULL, 0, GDK_ACTION_COPY);
    gtk_drag_source_add_uri_targets(box);
    g_signal_connect(box, "drag-data-get", G_CALLBACK(get), NULL);
    g_signal_connect(box, "drag-end", G_CALLBACK(ended), NULL);
    g_signal_connect(box, "drag-failed", G_CALLBACK(failed), NULL);
    g_signal_connect(w, "destroy", G_CALLBACK(gtk_main_quit), NULL);
    gtk_window_move(GTK_WINDOW(w), 0, 0);
    gtk_widget_show_all(w);
    gtk_main();
    return 0;
}
