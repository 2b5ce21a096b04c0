/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console as a Wayland client: of a weston that has an X server as its screen and keyboard (weston.sh), so that the pixels can be read and
 * xdotool can type. Exact pixels at 1 and 2, the guest pixel below the pointer, keys, and a locked pointer.
 */
#include <X11/Xlib.h>
#include <X11/Xutil.h>

#include "tests/ui/fakeconsole.h"
#include "tests/ui/uitest.h"
#include "ui/mks/mks_view.h"

static struct fake *fake;

/* Guest pixels that differ from the screen's, the picture being in the middle of it. */
static int differ(Display *x)
{
    Window root = DefaultRootWindow(x);
    XWindowAttributes a;
    XGetWindowAttributes(x, root, &a);
    XImage *im = XGetImage(x, root, 0, 0, (unsigned)a.width, (unsigned)a.height, AllPlanes, ZPixmap);
    int ox = (a.width - fake->width) / 2, oy = (a.height - fake->height) / 2, bad = 0;
    for (int gy = 0; gy < fake->height; gy++)
        for (int gx = 0; gx < fake->width; gx++)
            bad += (XGetPixel(im, ox + gx, oy + gy) ^ fake->pixels[gy * fake->stride / 4 + gx]) & 0xffffff ? 1 : 0;
    bad += (XGetPixel(im, a.width - 2, a.height - 2) & 0xffffff) != 0; /* black around; the cursor is at the other corner */
    XDestroyImage(im);
    return bad;
}

int main(int argc, char **argv)
{
    Display *x = XOpenDisplay(NULL);
    gtk_init(&argc, &argv);
    fake = fake_new(512, 384);
    LodgeMksSession *session = lodge_mks_session_new_vm(fake->address);
    GtkWidget *window = gtk_window_new(GTK_WINDOW_TOPLEVEL);
    LodgeMksView *view = LODGE_MKS_VIEW(lodge_mks_view_new(session));
    lodge_mks_view_set_scaling(view, LODGE_MKS_ACTUAL);
    gtk_window_set_decorated(GTK_WINDOW(window), FALSE);
    gtk_container_add(GTK_CONTAINER(window), GTK_WIDGET(view));
    gtk_window_fullscreen(GTK_WINDOW(window));
    gtk_widget_show_all(window);
    lodge_mks_session_open(session);
    if (!x || !ok(AWAIT(lodge_mks_session_get_state(session) == LODGE_MKS_RUNNING), "the console runs under Wayland"))
        return 1;
    int scale = gtk_widget_get_scale_factor(window), w = DisplayWidth(x, 0), h = DisplayHeight(x, 0);
    ok(AWAIT(gtk_widget_get_allocated_width(GTK_WIDGET(view)) == w / scale), "it has all of the screen, at scale %d", gtk_widget_get_scale_factor(window));
    scale = gtk_widget_get_scale_factor(window);
    xdo("mousemove 5 5");
    settle(500);
    ok(AWAIT(differ(x) == 0), "every guest pixel is one pixel of the monitor");
    for (int r = 0; r < 40; r++)
        fake->pixels[(100 + r) * fake->stride / 4 + 77] ^= 0xffffff;
    fake_damage(fake, 77, 100, 1, 40);
    ok(AWAIT(fake->done == fake->serial) && AWAIT(differ(x) == 0), "a change comes");
    int wrong = 0;
    for (int i = 0; i < 20; i++) {
        int gx = (i * 137) % 512, gy = (i * 211) % 384;
        char *cmd = g_strdup_printf("mousemove %d %d sleep 0.03 click 1", (w - 512) / 2 + gx, (h - 384) / 2 + gy);
        xdo(cmd);
        g_free(cmd);
        AWAIT(fake->pointer->len == (guint)i + 1);
        wrong += fake->pointer->len != (guint)i + 1 || g_array_index(fake->pointer, struct fake_pointer, i).x != gx ||
                 g_array_index(fake->pointer, struct fake_pointer, i).y != gy;
    }
    ok(!wrong, "20 clicks, each on its guest pixel");
    fake_clear(fake);
    xdo("key a key F10 key alt+f");
    ok(AWAIT(!strcmp(fake->keys->str, "+04 -04 +43 -43 +e2 +09 -e2 -09 ")), "keys go to the guest");
    fake_absolute(fake, false);
    AWAIT(!lodge_mks_session_get_pointer_absolute(session));
    xdo("click 1");
    ok(AWAIT(lodge_mks_view_get_grabbed(view)), "a click grabs");
    settle(200);
    fake_clear(fake);
    xdo("mousemove_relative 20 10");
    ok(AWAIT(fake->dx > 0 && fake->dy > 0), "movements come from the locked pointer");
    xdo("keydown ctrl keydown alt keyup alt keyup ctrl");
    ok(AWAIT(!lodge_mks_view_get_grabbed(view)) && fake->n_down == 0, "Ctrl+Alt gives it back");
    fake_clear(fake);
    xdo("mousemove_relative 20 10");
    settle(100);
    ok(fake->moves == 0, "and it moves in the guest no more");
    gtk_widget_destroy(window);
    g_object_unref(session);
    settle(50);
    fake_free(fake);
    return TAP_DONE();
}
