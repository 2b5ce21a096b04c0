/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console as a Wayland client: of a weston (weston.sh) at 100 and 200 %, of a sway (sway.sh) at 125, 150 and 175 %, which have an X server as
 * their screen and keyboard, so that the pixels can be read and xdotool can type; of a KWin (kwin.sh) at 125 and 150 %, whose window on an X server
 * tells the pointer's place in whole application pixels only, and no movements while the pointer is locked. Exact pixels, the guest pixel below the
 * pointer, what is painted over the picture, keys, losses of the focus, and a locked pointer.
 */
#include <X11/Xlib.h>
#include <X11/Xutil.h>
#include <math.h>
#include <stdlib.h>

#include "tests/ui/fakeconsole.h"
#include "tests/ui/uitest.h"
#include "ui/mks/mks_view.h"

enum { CLICKS = 100, MARGIN_X = 3, MARGIN_Y = 5 };

static struct fake *fake;
static double real; /* the monitor's pixels to an application pixel */
static int unit;    /* application pixels after which both kinds begin together */
static unsigned rng = 815;

static int rnd(int n)
{
    rng = rng * 1664525u + 1013904223u;
    return (int)((rng >> 8) % (unsigned)n);
}

static XImage *screen_image(Display *x)
{
    return XGetImage(x, DefaultRootWindow(x), 0, 0, (unsigned)DisplayWidth(x, 0), (unsigned)DisplayHeight(x, 0), AllPlanes, ZPixmap);
}

/* Guest pixels that differ from the screen's; the picture is in the middle of what is right of and below (mx, my), in application pixels. */
static int differ(Display *x, int mx, int my)
{
    XImage *im = screen_image(x);
    int sx = (int)((mx + unit - 1) / unit * unit * real), sy = (int)((my + unit - 1) / unit * unit * real), bad = 0;
    int ox = sx + (im->width - sx - fake->width) / 2, oy = sy + (im->height - sy - fake->height) / 2;
    for (int gy = 0; gy < fake->height; gy++)
        for (int gx = 0; gx < fake->width; gx++)
            bad += (XGetPixel(im, ox + gx, oy + gy) ^ fake->pixels[gy * fake->stride / 4 + gx]) & 0xffffff ? 1 : 0;
    bad += (XGetPixel(im, im->width - 2, im->height - 2) & 0xffffff) != 0; /* black around; the cursor is at the other corner */
    XDestroyImage(im);
    return bad;
}

/* How far the pixels of the picture's left edge are from dimmed ones: "Paused" is painted over it. */
static int differ_dimmed(Display *x)
{
    XImage *im = screen_image(x);
    int ox = (im->width - fake->width) / 2, oy = (im->height - fake->height) / 2, worst = 0;
    for (int gy = 0; gy < fake->height; gy++)
        for (int s = 0; s <= 16; s += 8) {
            int want = (int)lround((fake->pixels[gy * fake->stride / 4] >> s & 0xff) * 0.4);
            worst = MAX(worst, abs((int)(XGetPixel(im, ox, oy + gy) >> s & 0xff) - want));
        }
    XDestroyImage(im);
    return worst;
}

static int lose_focus(GtkWidget *window)
{
    static const char *const pool[] = {"a", "shift", "ctrl", "alt", "F5", "space", "KP_5", "Left", "b"};
    int stuck = 0;
    for (int i = 0; i < 8; i++) {
        GString *down = g_string_new("mousedown 1 "), *up = g_string_new("mouseup 1 ");
        for (int k = 1 + rnd(3); k; k--) {
            const char *name = pool[rnd(9)];
            g_string_append_printf(down, "keydown %s ", name);
            g_string_append_printf(up, "keyup %s ", name);
        }
        xdo(down->str);
        stuck += !AWAIT(fake->n_down > 0);
        GtkWidget *other = gtk_window_new(GTK_WINDOW_TOPLEVEL);
        gtk_window_fullscreen(GTK_WINDOW(other));
        gtk_widget_show_all(other);
        stuck += !AWAIT(fake->n_down == 0 && fake->buttons == 0);
        xdo(up->str);
        settle(50);
        stuck += fake->n_down != 0;
        gtk_widget_destroy(other);
        AWAIT(gtk_window_is_active(GTK_WINDOW(window)));
        settle(300);
        g_string_free(down, TRUE);
        g_string_free(up, TRUE);
    }
    return stuck;
}

int main(int argc, char **argv)
{
    Display *x = XOpenDisplay(NULL);
    gboolean nested = g_getenv("LODGE_TEST_NESTED") != NULL;
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
    int w = DisplayWidth(x, 0), h = DisplayHeight(x, 0);
    settle(500);
    real = g_getenv("LODGE_TEST_SCALE") ? g_ascii_strtod(g_getenv("LODGE_TEST_SCALE"), NULL) : gtk_widget_get_scale_factor(window);
    for (unit = 1; unit * real != floor(unit * real);)
        unit++;
    ok(AWAIT(gtk_widget_get_allocated_width(GTK_WIDGET(view)) == (int)(w / real)), "it has all of the screen, at %d %%", (int)(real * 100));
    ok(AWAIT(gtk_widget_get_scale_factor(window) == (int)ceil(real)), "where GTK paints at %d00 %%", (int)ceil(real));
    xdo("mousemove 5 5");
    settle(500);
    ok(AWAIT(differ(x, 0, 0) == 0), "every guest pixel is one pixel of the monitor");
    for (int r = 0; r < 40; r++)
        fake->pixels[(100 + r) * fake->stride / 4 + 77] ^= 0xffffff;
    fake_damage(fake, 77, 100, 1, 40);
    ok(AWAIT(fake->done == fake->serial) && AWAIT(differ(x, 0, 0) == 0), "a change comes");
    gtk_widget_set_margin_start(GTK_WIDGET(view), MARGIN_X);
    gtk_widget_set_margin_top(GTK_WIDGET(view), MARGIN_Y);
    ok(AWAIT(differ(x, MARGIN_X, MARGIN_Y) == 0), "exact too where the widget begins between two pixels");
    gtk_widget_set_margin_start(GTK_WIDGET(view), 0);
    gtk_widget_set_margin_top(GTK_WIDGET(view), 0);
    ok(AWAIT(differ(x, 0, 0) == 0), "and back");
    fake_state(fake, "paused", "");
    AWAIT(lodge_mks_session_get_state(session) == LODGE_MKS_PAUSED);
    if (!ok(AWAIT(differ_dimmed(x) <= 2), "what is said over a paused picture is seen, and the picture behind it"))
        printf("# off by %d\n", differ_dimmed(x));
    fake_state(fake, "on", "");
    ok(AWAIT(differ(x, 0, 0) == 0), "resumed: exact again");
    int wrong = 0;
    for (int i = 0; i < CLICKS; i++) {
        int gx = rnd(512), gy = rnd(384);
        if (nested) { /* where an application pixel begins with one of the monitor's */
            int every = (int)(unit * real);
            gx = CLAMP(gx - ((w - 512) / 2 + gx) % every, 0, 511);
            gy = CLAMP(gy - ((h - 384) / 2 + gy) % every, 0, 383);
            if (((w - 512) / 2 + gx) % every || ((h - 384) / 2 + gy) % every) {
                i--;
                continue;
            }
        }
        char *cmd = g_strdup_printf("mousemove %d %d sleep 0.02 click 1", (w - 512) / 2 + gx, (h - 384) / 2 + gy);
        xdo(cmd);
        g_free(cmd);
        AWAIT(fake->pointer->len == (guint)i + 1);
        const struct fake_pointer *p = fake->pointer->len == (guint)i + 1 ? &g_array_index(fake->pointer, struct fake_pointer, i) : NULL;
        if ((!p || p->x != gx || p->y != gy) && !wrong++)
            printf("# got %d,%d want %d,%d\n", p ? p->x : -1, p ? p->y : -1, gx, gy);
    }
    ok(!wrong, "%d random clicks, each on its guest pixel", CLICKS);
    ok(lose_focus(window) == 0, "eight losses of the focus with keys and a button down: nothing stays down");
    fake_clear(fake);
    xdo("key a key F10 key alt+f");
    ok(AWAIT(!strcmp(fake->keys->str, "+04 -04 +43 -43 +e2 +09 -e2 -09 ")), "keys go to the guest");
    fake_absolute(fake, false);
    AWAIT(!lodge_mks_session_get_pointer_absolute(session));
    xdo("click 1");
    ok(AWAIT(lodge_mks_view_get_grabbed(view)), "a click grabs");
    settle(200);
    fake_clear(fake);
    if (!nested) {
        for (int i = 0; i < 100 && !(fake->dx > 0 && fake->dy > 0); i++) { /* the compositor may take its time with the lock */
            xdo("mousemove_relative 20 10");
            settle(100);
        }
        ok(fake->dx > 0 && fake->dy > 0, "movements come from the locked pointer");
    }
    xdo("keydown ctrl keydown alt keyup alt keyup ctrl");
    ok(AWAIT(!lodge_mks_view_get_grabbed(view) && fake->n_down == 0), "Ctrl+Alt gives it back");
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
