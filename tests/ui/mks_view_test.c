/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console widget on a real X server (xvfb.sh): what the screen shows is compared pixel by pixel with what the guest's memory holds; input comes
 * from xdotool and is read at the control API.
 */
#include <X11/extensions/Xfixes.h>
#include <gdk/gdkx.h>
#include <math.h>
#include <stdlib.h>

#include "tests/ui/fakeconsole.h"
#include "tests/ui/uitest.h"
#include "ui/mks/mks_fullscreen.h"
#include "ui/mks/mks_keys.h"
#include "ui/mks/mks_session_private.h"

static struct fake *fake;
static LodgeMksSession *session;
static LodgeMksView *view;
static GtkWidget *window, *other, *scrolled;
static int scale;
static unsigned rng = 4711;

static int rnd(int n)
{
    rng = rng * 1664525u + 1013904223u;
    return (int)((rng >> 8) % (unsigned)n);
}

/* So that the view has exactly these device pixels. */
static bool resize_view(int dev_w, int dev_h)
{
    GtkWidget *v = GTK_WIDGET(view);
    int w = dev_w / scale, h = dev_h / scale;
    gtk_window_resize(GTK_WINDOW(window), w, h);
    bool good = AWAIT(gtk_widget_get_allocated_width(v) == w && gtk_widget_get_allocated_height(v) == h);
    settle(80);
    return good;
}

static uint32_t pixel(int x, int y) { return fake->pixels[(size_t)y * (size_t)(fake->stride / 4) + (size_t)x] & 0xffffff; }

/* Guest pixels as they are, starting at this device pixel; black around. -1: all the same, else how many differ. */
static int differ_exact(int ox, int oy)
{
    int w, h, bad = 0;
    uint32_t *p = grab_pixels(GTK_WIDGET(view), &w, &h);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int gx = x - ox, gy = y - oy;
            uint32_t want = gx >= 0 && gy >= 0 && gx < fake->width && gy < fake->height ? pixel(gx, gy) : 0;
            if (p[y * w + x] != want && !bad++)
                printf("# first at %d,%d: %06x, want %06x\n", x, y, p[y * w + x], want);
        }
    g_free(p);
    return w ? bad : 9999999;
}

/* Stretched over the whole view by percent, nearest pixel; by another formula than the program's. */
static int differ_nearest(int percent)
{
    int w, h, bad = 0;
    uint32_t *p = grab_pixels(GTK_WIDGET(view), &w, &h);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int gx = (int)floor((x + 0.5) * 100 / percent + 1e-9), gy = (int)floor((y + 0.5) * 100 / percent + 1e-9);
            bad += p[y * w + x] != pixel(gx, gy);
        }
    g_free(p);
    return w ? bad : 9999999;
}

static double channel(int x, int y, int shift)
{
    return pixel(CLAMP(x, 0, fake->width - 1), CLAMP(y, 0, fake->height - 1)) >> shift & 0xff;
}

/* The largest difference from bilinear interpolation in floating point. */
static double differ_bilinear(double zoom)
{
    int w, h;
    double worst = 0;
    uint32_t *p = grab_pixels(GTK_WIDGET(view), &w, &h);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double sx = (x + 0.5) / zoom - 0.5, sy = (y + 0.5) / zoom - 0.5, fx = sx - floor(sx), fy = sy - floor(sy);
            int ix = (int)floor(sx), iy = (int)floor(sy);
            for (int s = 0; s <= 16; s += 8) {
                double top = channel(ix, iy, s) * (1 - fx) + channel(ix + 1, iy, s) * fx;
                double low = channel(ix, iy + 1, s) * (1 - fx) + channel(ix + 1, iy + 1, s) * fx;
                worst = fmax(worst, fabs(top * (1 - fy) + low * fy - (p[y * w + x] >> s & 0xff)));
            }
        }
    g_free(p);
    return w ? worst : 999;
}

/* ---- painting ---- */

static void painting(void)
{
    static const int percent[] = {100, 125, 150, 175, 200};
    lodge_mks_view_set_scaling(view, LODGE_MKS_ACTUAL);
    resize_view(800, 600);
    ok(AWAIT(differ_exact((800 - fake->width) / 2, (600 - fake->height) / 2) == 0), "actual pixels: each guest pixel is one device pixel, black around");
    lodge_mks_view_set_scaling(view, LODGE_MKS_STRETCH);
    for (unsigned i = 0; i < 5; i++) {
        int w = fake->width * percent[i] / 100, h = fake->height * percent[i] / 100;
        g_object_set(view, "filter", LODGE_MKS_FILTER_NEAREST, NULL);
        resize_view(w, h);
        ok(AWAIT(differ_nearest(percent[i]) == 0), "stretched to %d %%, nearest: exact", percent[i]);
        g_object_set(view, "filter", LODGE_MKS_FILTER_AUTO, NULL);
        settle(80);
        double zoom;
        g_object_get(view, "zoom", &zoom, NULL);
        ok(fabs(zoom * 100 - percent[i]) < 1e-9, "zoom says %d %%", percent[i]);
        if (percent[i] % 100) {
            double d;
            if (!ok(AWAIT((d = differ_bilinear(percent[i] / 100.0)) < 6), "stretched to %d %%, smooth: bilinear", percent[i]))
                printf("# off by %.1f\n", d);
        } else {
            ok(AWAIT(differ_nearest(percent[i]) == 0), "stretched to %d %%, smooth: exact at a whole factor", percent[i]);
        }
    }
}

static void damage(void)
{
    lodge_mks_view_set_scaling(view, LODGE_MKS_STRETCH);
    g_object_set(view, "filter", LODGE_MKS_FILTER_NEAREST, NULL);
    resize_view(fake->width * 3 / 2, fake->height * 3 / 2);
    for (int i = 0; i < 40; i++) {
        int w = 1 + rnd(60), h = 1 + rnd(60), x = rnd(fake->width - w), y = rnd(fake->height - h);
        for (int r = 0; r < h; r++)
            for (int c = 0; c < w; c++)
                fake->pixels[(y + r) * fake->stride / 4 + x + c] = (uint32_t)rnd(1 << 24);
        fake_damage(fake, x, y, w, h);
        settle(5);
    }
    ok(AWAIT(fake->done == fake->serial), "the last damage is acknowledged");
    ok(STAYS(100, differ_nearest(150) == 0), "forty changes are all on the screen");
    fake_damage(fake, -100000, -5, 2000000000, 2000000000);
    fake_damage(fake, 5, 5, -3, -3);
    ok(AWAIT(fake->done + 1 >= fake->serial), "damage that cannot be is survived");
    fake_mode(fake, 500, 300);
    int w = 0, h = 0;
    ok(AWAIT(lodge_mks_session_get_guest_size(session, &w, &h) && w == 500), "another mode");
    lodge_mks_view_set_scaling(view, LODGE_MKS_ACTUAL);
    resize_view(600, 400);
    ok(AWAIT(differ_exact(50, 50) == 0), "is painted exactly");
    fake_mode(fake, 1500, 1300);
    AWAIT(lodge_mks_session_get_guest_size(session, &w, &h) && w == 1500);
    resize_view(600, 400);
    GtkAdjustment *ha = gtk_scrolled_window_get_hadjustment(GTK_SCROLLED_WINDOW(scrolled)), *va = gtk_scrolled_window_get_vadjustment(GTK_SCROLLED_WINDOW(scrolled));
    gtk_adjustment_set_value(ha, 200 / scale);
    gtk_adjustment_set_value(va, 1e6);
    ok(STAYS(200, differ_exact(-200, -(1300 - gtk_widget_get_allocated_height(GTK_WIDGET(view)) * scale)) == 0), "a large guest scrolls, and is exact");
    fake_mode(fake, 320, 240);
    AWAIT(lodge_mks_session_get_guest_size(session, &w, &h) && w == 320);
}

/* ---- pointer ---- */

static void clicks(void)
{
    bool good = true;
    int wrong = 0, shapes = 0;
    lodge_mks_view_set_scaling(view, LODGE_MKS_STRETCH);
    for (int size = 0; size < 5; size++) {
        static const int percent[] = {100, 125, 150, 175, 200};
        int vw = 320 * percent[size] / 100 + (size == 3 ? 60 : 0), vh = 240 * percent[size] / 100, rx, ry;
        resize_view(vw, vh);
        int ox = (vw / scale * scale - (vh / scale * scale) * 320 / 240) / 2, pw = vw - 2 * ox;
        gdk_window_get_origin(gtk_widget_get_window(GTK_WIDGET(view)), &rx, &ry);
        GString *s = g_string_new("");
        int want[100][2], at_x = ox + pw / 2, at_y = vh / 2;
        char *start = g_strdup_printf("mousemove %d %d", rx * scale + at_x, ry * scale + at_y);
        xdo(start);
        g_free(start);
        settle(50);
        fake_clear(fake);
        for (int i = 0; i < 100; i++) {
            int dx = ox + rnd(pw - 1), dy = rnd(vh - 1);
            /* A warp (mousemove) overtakes buttons in the server's queue; relative movements do not. */
            g_string_append_printf(s, "mousemove_relative -- %d %d mousedown 1 mouseup 1 ", dx - at_x, dy - at_y);
            at_x = dx;
            at_y = dy;
            want[i][0] = (int)floor((dx - ox + 0.5) * 320 / pw);
            want[i][1] = (int)floor((dy + 0.5) * 240 / vh);
        }
        xdo(s->str);
        AWAIT(fake->pointer->len == 100 && fake->buttons == 0);
        settle(50);
        g_string_free(s, TRUE);
        for (unsigned i = 0; i < 100; i++) {
            const struct fake_pointer *p = i < fake->pointer->len ? &g_array_index(fake->pointer, struct fake_pointer, i) : NULL;
            if ((!p || p->x != want[i][0] || p->y != want[i][1] || p->buttons != 1) && !wrong++)
                printf("# %d %%: got %d,%d want %d,%d\n", percent[size], p ? p->x : -1, p ? p->y : -1, want[i][0], want[i][1]);
        }
        good &= fake->pointer->len == 100 && fake->buttons == 0;
        shapes++;
    }
    ok(good && !wrong && shapes == 5, "500 random clicks at five scales: each on its guest pixel");
    fake_clear(fake);
    xdo("click 2 click 3 click 8 click 9 click 4 click 4 click 5");
    AWAIT(fake->wheel == 1);
    int got = 0;
    for (unsigned i = 0; i < fake->pointer->len; i++)
        got |= g_array_index(fake->pointer, struct fake_pointer, i).buttons;
    ok(got == (1 << 2 | 1 << 1 | 1 << 3 | 1 << 4) && fake->pointer->len == 4, "middle, right, side and extra button");
    ok(STAYS(100, fake->wheel == 1), "wheel: two up, one down");
}

/* Is the server's cursor this one of 16 x 16, doubled? */
static bool cursor_is(XFixesCursorImage **im, const uint32_t *argb)
{
    if (*im)
        XFree(*im);
    *im = XFixesGetCursorImage(gdk_x11_get_default_xdisplay());
    bool same = *im && (*im)->width == 32 && (*im)->height == 32;
    for (int i = 0; same && i < 32 * 32; i++)
        same = (uint32_t)(*im)->pixels[i] == argb[i / 64 * 16 + i % 32 / 2];
    return same;
}

static int green_pixels(void)
{
    int w, h, n = 0;
    uint32_t *p = grab_pixels(GTK_WIDGET(view), &w, &h);
    for (int y = 100; y < 132 && y < h; y++)
        for (int x = 200; x < 232 && x < w; x++)
            n += p[y * w + x] == 0x00ff00;
    g_free(p);
    return n;
}

static bool blank_cursor(void)
{
    GdkCursor *k = gdk_window_get_cursor(gtk_widget_get_window(GTK_WIDGET(view)));
    return k && gdk_cursor_get_cursor_type(k) == GDK_BLANK_CURSOR;
}

static void cursor(void)
{
    uint32_t argb[16 * 16];
    for (int i = 0; i < 256; i++)
        argb[i] = 0xff000000u | (uint32_t)i * 1000;
    resize_view(320 * 2, 240 * 2); /* one guest pixel is two */
    fake_cursor(fake, 16, 16, 3, 5, argb, sizeof argb);
    fake_cursor_at(fake, 10, 10, true);
    XFixesCursorImage *im = NULL;
    ok(AWAIT(cursor_is(&im, argb)), "the guest's pointer is the server's cursor, in the size of the picture");
    if (!ok(im && im->xhot >= 6 && im->xhot <= 7 && im->yhot >= 10 && im->yhot <= 11, "its hot spot is at the guest's"))
        printf("# %d x %d, hot %d,%d\n", im->width, im->height, im->xhot, im->yhot);
    XFree(im);
    fake_cursor_at(fake, 10, 10, false);
    ok(AWAIT(blank_cursor()), "hidden by the guest: hidden here");
    fake_cursor(fake, 16, 16, 0, 0, argb, 100);
    fake_cursor(fake, 30000, 30000, 0, 0, argb, 4);
    fake_cursor(fake, -1, 5, 0, 0, argb, 4);
    fake_cursor(fake, 8, 8, 100, -100, argb, 256);
    ok(STAYS(80, true), "shapes that cannot be are survived");
    fake_absolute(fake, false);
    AWAIT(!lodge_mks_session_get_pointer_absolute(session));
    for (int i = 0; i < 256; i++)
        argb[i] = 0xff00ff00;
    fake_cursor(fake, 16, 16, 0, 0, argb, sizeof argb);
    fake_cursor_at(fake, 100, 50, true);
    g_object_set(view, "filter", LODGE_MKS_FILTER_NEAREST, NULL);
    ok(AWAIT(green_pixels() == 32 * 32), "a guest with a relative pointer: its pointer is painted where it has it");
}

static void grab(void)
{
    int rx, ry;
    gdk_window_get_origin(gtk_widget_get_window(GTK_WIDGET(view)), &rx, &ry);
    char *cmd = g_strdup_printf("mousemove %d %d", rx * scale + 100, ry * scale + 100);
    xdo(cmd);
    g_free(cmd);
    fake_clear(fake);
    ok(STAYS(50, !lodge_mks_view_get_grabbed(view) && fake->moves == 0), "a relative pointer: nothing is sent before the click");
    xdo("click 1");
    ok(AWAIT(lodge_mks_view_get_grabbed(view)), "the click grabs");
    ok(fake->pointer->len == 0 && fake->buttons == 0, "and is not the guest's");
    ok(strstr(lodge_mks_view_get_hint(view), "Ctrl+Alt") != NULL, "the hint says how to get the pointer back");
    settle(50);
    fake_clear(fake);
    int sx = 0, sy = 0;
    GString *s = g_string_new("");
    for (int i = 0; i < 120; i++) {
        int dx = rnd(61) - 20, dy = rnd(61) - 40;
        sx += dx;
        sy += dy;
        g_string_append_printf(s, "mousemove_relative -- %d %d sleep 0.004 ", dx, dy);
    }
    xdo(s->str);
    g_string_free(s, TRUE);
    if (!ok(STAYS(100, fake->dx == sx && fake->dy == sy), "120 movements over more than the screen arrive as they were made"))
        printf("# got %d,%d want %d,%d in %d\n", fake->dx, fake->dy, sx, sy, fake->moves);
    xdo("mousedown 1 mousemove_relative 5 5 mouseup 1");
    ok(STAYS(50, fake->pointer->len == 1 && fake->buttons == 0), "a click inside of the grab is the guest's");
    xdo("keydown ctrl keydown alt keyup alt keyup ctrl");
    ok(AWAIT(!lodge_mks_view_get_grabbed(view)), "Ctrl+Alt releases");
    ok(AWAIT(fake->n_down == 0), "and leaves no key down");
    xdo("key ctrl+g");
    ok(STAYS(100, !lodge_mks_view_get_grabbed(view)), "without the focus Ctrl+G is not the console's");
    gtk_widget_grab_focus(GTK_WIDGET(view));
    xdo("key ctrl+g");
    ok(AWAIT(lodge_mks_view_get_grabbed(view)), "with the focus it grabs");
    fake_absolute(fake, true);
    ok(AWAIT(!lodge_mks_view_get_grabbed(view)), "the guest's pointer becomes absolute: the grab ends");
    lodge_mks_view_grab(view);
    ok(STAYS(50, lodge_mks_view_get_grabbed(view)), "keys can be grabbed with an absolute pointer too");
    lodge_mks_view_release(view);
}

/* ---- keys ---- */

static void focus_view(void)
{
    gtk_window_present(GTK_WINDOW(window));
    gtk_widget_grab_focus(GTK_WIDGET(view));
    AWAIT(gtk_widget_has_focus(GTK_WIDGET(view)) && gtk_window_is_active(GTK_WINDOW(window)));
    settle(60);
}

static void keys(void)
{
    focus_view();
    fake_clear(fake);
    xdo("key a key F10 key Tab key Return key Escape key alt+f");
    ok(STAYS(100, !strcmp(fake->keys->str, "+04 -04 +43 -43 +2b -2b +28 -28 +29 -29 +e2 +09 -e2 -09 ")), "keys go to the guest before the window's own shortcuts");
    /* By key code: every place of the keyboard. */
    GString *s = g_string_new(""), *want = g_string_new("");
    fake_clear(fake);
    int n = 0;
    for (unsigned ev = 2; ev < 248 - 8; ev++) { /* xdotool takes numbers of one digit as characters */
        unsigned u = mks_usage_from_evdev(ev);
        if (!u)
            continue;
        g_string_append_printf(s, "key --delay 0 %u ", ev + 8);
        g_string_append_printf(want, "+%02x -%02x ", u, u);
        n++;
    }
    xdo(s->str);
    AWAIT(fake->releases == n);
    if (!ok(n > 140 && !strcmp(fake->keys->str, want->str), "%d places of the keyboard, each with its usage", n))
        printf("# want %s\n# got  %s\n", want->str, fake->keys->str);
    g_string_free(s, TRUE);
    g_string_free(want, TRUE);
    xdo("keyup ctrl keyup alt key 66 key 77"); /* caps and num lock as they were */
    settle(50);
    fake_clear(fake);
    XAutoRepeatOn(gdk_x11_get_default_xdisplay());
    xdo("keydown s");
    AWAIT(fake->presses >= 3);
    xdo("keyup s");
    XAutoRepeatOff(gdk_x11_get_default_xdisplay());
    ok(STAYS(80, fake->presses >= 3 && fake->releases == 1 && !strncmp(fake->keys->str, "+16 +16 ", 8) && fake->n_down == 0), "a key that is held repeats, and comes up once");
    /* Down when the focus comes: not the guest's. */
    gtk_window_present(GTK_WINDOW(other));
    AWAIT(gtk_window_is_active(GTK_WINDOW(other)));
    fake_clear(fake);
    xdo("keydown shift");
    focus_view();
    xdo("keyup shift");
    ok(STAYS(50, fake->presses == 0 && fake->releases == 0), "a key that was down before is not the guest's");
}

static void focus_losses(void)
{
    static const char *const pool[] = {"a", "shift", "ctrl", "alt", "F5", "space", "KP_5", "Left", "super", "b"};
    int stuck = 0, pressed = 0;
    for (int i = 0; i < 30; i++) {
        GString *down = g_string_new(""), *up = g_string_new("");
        focus_view();
        for (int k = 1 + rnd(3); k; k--) {
            const char *name = pool[rnd(10)];
            g_string_append_printf(down, "keydown %s ", name);
            g_string_append_printf(up, "keyup %s ", name);
        }
        g_string_append(down, "mousedown 1 ");
        g_string_append(up, "mouseup 1 ");
        xdo(down->str);
        AWAIT(fake->n_down > 0 && fake->buttons);
        settle(20);
        pressed += fake->n_down;
        switch (i % 6) {
        case 0:
            gtk_window_present(GTK_WINDOW(other));
            AWAIT(gtk_window_is_active(GTK_WINDOW(other)));
            break;
        case 1:
            gtk_widget_hide(GTK_WIDGET(view));
            settle(30);
            break;
        case 2:
            gtk_grab_add(other); /* what menus and modal dialogs do */
            break;
        case 3:
            gtk_window_set_focus(GTK_WINDOW(window), NULL);
            break;
        case 4:
            g_object_set(view, "read-only", TRUE, NULL);
            break;
        default:
            lodge_mks_view_set_session(view, NULL);
        }
        AWAIT(fake->n_down == 0 && fake->buttons == 0);
        if (fake->n_down || fake->buttons) {
            printf("# way %d: %d keys, buttons %x\n", i % 6, fake->n_down, fake->buttons);
            stuck++;
        }
        xdo(up->str);
        settle(20);
        stuck += fake->n_down != 0;
        gtk_grab_remove(other);
        gtk_widget_show(GTK_WIDGET(view));
        g_object_set(view, "read-only", FALSE, NULL);
        lodge_mks_view_set_session(view, session);
        g_string_free(down, TRUE);
        g_string_free(up, TRUE);
    }
    ok(pressed > 20, "keys were down (%d)", pressed);
    ok(stuck == 0, "30 losses of the focus in six ways: nothing stays down");
}

static int hotkeys_seen[LODGE_MKS_HOTKEYS];
static gboolean want_hotkeys;
static gboolean on_hotkey(LodgeMksView *v, LodgeMksHotkey which, gpointer u)
{
    (void)v, (void)u;
    hotkeys_seen[which]++;
    return want_hotkeys;
}

static void hotkeys(void)
{
    g_signal_connect(view, "hotkey", G_CALLBACK(on_hotkey), NULL);
    focus_view();
    fake_clear(fake);
    want_hotkeys = TRUE;
    xdo("key ctrl+alt+Return");
    ok(STAYS(60, hotkeys_seen[LODGE_MKS_HOTKEY_FULLSCREEN] == 1 && !strstr(fake->keys->str, "+28") && !fake->n_down), "Ctrl+Alt+Enter is the host's");
    want_hotkeys = FALSE;
    fake_clear(fake);
    focus_view();
    xdo("key ctrl+alt+Left");
    ok(STAYS(60, hotkeys_seen[LODGE_MKS_HOTKEY_PREVIOUS] == 1 && strstr(fake->keys->str, "+50 ") && !fake->n_down), "a shortcut that nobody wants is the guest's");
    focus_view();
    fake_clear(fake);
    xdo("key ctrl+alt+Insert");
    AWAIT(strstr(fake->keys->str, "-4c"));
    ok(STAYS(80, strstr(fake->keys->str, "+e0 +e2 +4c -4c -e2 -e0") && !strstr(fake->keys->str, "49") && !fake->n_down), "Ctrl+Alt+Ins presses Ctrl+Alt+Del");
    focus_view();
    xdo("key ctrl+alt+k"); /* with F3 it would be the X server's own */
    ok(STAYS(60, strstr(fake->keys->str, "+0e ") && strstr(fake->keys->str, "-0e") && gtk_widget_has_focus(GTK_WIDGET(view))), "Ctrl+Alt with another key is the guest's, and the focus stays");
    xdo("keydown ctrl keydown alt keyup ctrl keyup alt");
    ok(STAYS(60, !gtk_widget_has_focus(GTK_WIDGET(view)) && !fake->n_down), "Ctrl+Alt alone gives the keys back to the window");
    ok(!lodge_mks_view_set_hotkey(view, LODGE_MKS_HOTKEY_NEXT, "<Control><Alt>Left") && !lodge_mks_view_set_hotkey(view, LODGE_MKS_HOTKEY_NEXT, "nonsense") &&
           !strcmp(lodge_mks_view_get_hotkey(view, LODGE_MKS_HOTKEY_NEXT), "<Control><Alt>Right"), "a shortcut that is taken, or none, is refused");
    ok(lodge_mks_view_set_hotkey(view, LODGE_MKS_HOTKEY_RELEASE, "<Control><Shift>") && lodge_mks_view_set_hotkey(view, LODGE_MKS_HOTKEY_FULLSCREEN, "F11"),
       "shortcuts can be changed");
    focus_view();
    want_hotkeys = TRUE;
    xdo("key F11 keydown ctrl keydown alt keyup alt keyup ctrl");
    ok(STAYS(60, hotkeys_seen[LODGE_MKS_HOTKEY_FULLSCREEN] == 2 && gtk_widget_has_focus(GTK_WIDGET(view))), "the new one works, the old one is the guest's");
    xdo("keydown ctrl keydown shift keyup shift keyup ctrl");
    ok(STAYS(60, !gtk_widget_has_focus(GTK_WIDGET(view)) && !fake->n_down), "the new way out works");
    for (int i = 0; i < LODGE_MKS_HOTKEYS; i++)
        lodge_mks_view_set_hotkey(view, (LodgeMksHotkey)i, lodge_mks_hotkey_default((LodgeMksHotkey)i));
    g_signal_handlers_disconnect_by_func(view, on_hotkey, NULL);
}

static void locks(void)
{
    gtk_window_present(GTK_WINDOW(other));
    AWAIT(gtk_window_is_active(GTK_WINDOW(other)));
    GdkKeymap *map = gdk_keymap_get_for_display(gdk_display_get_default());
    unsigned host = (gdk_keymap_get_num_lock_state(map) ? 2 : 0) | (gdk_keymap_get_caps_lock_state(map) ? 4 : 0);
    fake_leds(fake, 1u << 31 | (host ^ 4));
    AWAIT(lodge_mks_session_get_leds(session) == (host ^ 4) && mks_session_leds_known(session));
    settle(50);
    fake_clear(fake);
    focus_view();
    AWAIT(fake->releases == 1);
    ok(STAYS(60, !strcmp(fake->keys->str, "+39 -39 ")), "caps lock differs in the guest: one tap");
    fake_leds(fake, host);
    settle(50);
    gtk_window_present(GTK_WINDOW(other));
    AWAIT(gtk_window_is_active(GTK_WINDOW(other)));
    fake_clear(fake);
    fake_leds(fake, host ^ 6);
    focus_view();
    ok(STAYS(60, fake->presses == 0), "a guest that never said anything is left alone");
}

/* ---- sessions ---- */

static void on_flag(LodgeMksView *v, int *n)
{
    (void)v;
    ++*n;
}
static void on_typed(GObject *o, GAsyncResult *r, gpointer u) { *(int *)u = lodge_mks_session_type_text_finish(LODGE_MKS_SESSION(o), r, NULL) ? 1 : 2; }

static void states(void)
{
    int resumed = 0, typed = 0, w, h;
    g_signal_connect(view, "resume-requested", G_CALLBACK(on_flag), &resumed);
    fake_state(fake, "paused", "");
    ok(AWAIT(lodge_mks_session_get_state(session) == LODGE_MKS_PAUSED), "paused");
    xdo("click 1");
    ok(AWAIT(resumed == 1 && fake->buttons == 0), "a click on a paused machine asks to go on");
    xdo("key Return");
    ok(AWAIT(resumed == 2), "and so does Enter");
    fake_state(fake, "on", "");
    ok(AWAIT(lodge_mks_session_get_state(session) == LODGE_MKS_RUNNING), "runs again");
    /* The picture is dimmed and has words over it when the guest's display stays off. */
    lodge_mks_view_set_scaling(view, LODGE_MKS_ACTUAL);
    settle(100);
    int ox = (gtk_widget_get_allocated_width(GTK_WIDGET(view)) * scale - 320) / 2, oy = (gtk_widget_get_allocated_height(GTK_WIDGET(view)) * scale - 240) / 2;
    bool plain = AWAIT(differ_exact(ox, oy) == 0);
    bool short_plain = false;
    for (int i = 0; i < 50; i++) { /* until one moment was short enough: on a busy machine it may last until the word comes */
        gint64 from = g_get_monotonic_time();
        fake_blank(fake, true);
        settle(500);
        short_plain = differ_exact(ox, oy) == 0;
        if (short_plain || g_get_monotonic_time() - from < 1300000)
            break;
        fake_blank(fake, false);
        AWAIT(differ_exact(ox, oy) == 0);
    }
    ok(plain && short_plain, "a display that is off for a moment is not worth a word");
    ok(STAYS(1300, differ_exact(ox, oy) > 1000), "one that stays off is told");
    fake_blank(fake, false);
    ok(STAYS(200, differ_exact(ox, oy) == 0), "on again: the picture alone");
    focus_view();
    fake_clear(fake);
    lodge_mks_session_type_text_async(session, "Hi z", "de", NULL, on_typed, &typed);
    ok(AWAIT(typed == 1 && !strcmp(fake->keys->str, "+e1 +0b -0b -e1 +0c -0c +2c -2c +1c -1c ")), "text is typed, on the layout that was said");
    GCancellable *cancel = g_cancellable_new();
    typed = 0;
    char *long_text = g_strnfill(2000, 'A');
    fake_clear(fake);
    lodge_mks_session_type_text_async(session, long_text, NULL, cancel, on_typed, &typed);
    AWAIT(fake->presses > 0);
    g_free(long_text);
    g_cancellable_cancel(cancel);
    ok(AWAIT(typed == 2) && AWAIT(fake->n_down == 0), "typing can be cancelled, and leaves no key down");
    g_object_unref(cancel);
    GdkPixbuf *shot = lodge_mks_session_screenshot(session), *small = lodge_mks_session_thumbnail(session, 100, 100);
    const guint8 *p = gdk_pixbuf_read_pixels(shot) + 5 * gdk_pixbuf_get_rowstride(shot) + 7 * 3;
    ok(gdk_pixbuf_get_width(shot) == 320 && gdk_pixbuf_get_height(shot) == 240 && ((uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2]) == pixel(7, 5), "screenshot");
    ok(gdk_pixbuf_get_width(small) == 100 && gdk_pixbuf_get_height(small) == 75, "thumbnail");
    g_object_unref(shot);
    g_object_unref(small);
    fake_state(fake, "fault", "The guest has stopped: triple fault.");
    ok(AWAIT(lodge_mks_session_get_state(session) == LODGE_MKS_FAULT && !strcmp(lodge_mks_session_get_error(session), "The guest has stopped: triple fault.")),
       "a fault is told in its words");
    fake_state(fake, "off", "");
    ok(AWAIT(lodge_mks_session_get_state(session) == LODGE_MKS_OFF && !lodge_mks_session_get_guest_size(session, &w, &h)), "off: no picture");
    fake_state(fake, "on", "");
    ok(AWAIT(lodge_mks_session_get_state(session) == LODGE_MKS_RUNNING), "on again");
    focus_view();
    fake_clear(fake);
    xdo("keydown a");
    AWAIT(fake->presses > 0);
    fake_stop(fake);
    ok(AWAIT(lodge_mks_session_get_state(session) == LODGE_MKS_CONNECTING && strstr(lodge_mks_session_get_error(session), "/tmp/fake.log")),
       "the process dies: said, with its log");
    xdo("keyup a");
    memset(fake->down, 0, sizeof fake->down);
    fake->n_down = 0;
    fake_start(fake);
    ok(AWAIT(lodge_mks_session_get_state(session) == LODGE_MKS_RUNNING && !*lodge_mks_session_get_error(session)), "it comes back: shown again");
    fake->unsealed = true;
    fake_mode(fake, 320, 240);
    ok(AWAIT(lodge_mks_session_get_state(session) == LODGE_MKS_NO_PICTURE && *lodge_mks_session_get_error(session)), "memory that can shrink is refused");
    fake->unsealed = false;
    fake->bad_size = true;
    fake_mode(fake, 320, 240);
    ok(STAYS(150, lodge_mks_session_get_state(session) == LODGE_MKS_NO_PICTURE && *lodge_mks_session_get_error(session)), "a screen larger than its memory is refused");
    fake->bad_size = false;
    fake_mode(fake, 320, 240);
    ok(AWAIT(lodge_mks_session_get_state(session) == LODGE_MKS_RUNNING), "a good one is shown");
    /* Fit guest. */
    fake_clear(fake);
    lodge_mks_view_set_scaling(view, LODGE_MKS_FIT_GUEST);
    resize_view(700, 500);
    ok(AWAIT(fake->size_w == 700 && fake->size_h == 500), "fit guest: the guest is asked for the window's size in device pixels");
    ok(!lodge_mks_session_get_can_resize(session), "which this guest does not follow");
    fake->follows = true;
    resize_view(720, 520);
    ok(AWAIT(fake->size_w == 720 && lodge_mks_session_get_can_resize(session)), "and now it does");
    lodge_mks_view_set_device_scale(view, 1.5);
    ok(AWAIT(fake->size_w == 720 / scale * 3 / 2), "with the scale of a fractional desktop");
    lodge_mks_view_set_device_scale(view, 0);
}

static void on_int(LodgeMksFullscreen *f, int n, int *out)
{
    (void)f;
    *out = n;
}
static void on_leave(LodgeMksFullscreen *f, int *n)
{
    (void)f;
    ++*n;
}

static bool revealed(GtkWidget *w)
{
    GtkWidget *overlay = gtk_bin_get_child(GTK_BIN(w));
    GList *l = gtk_container_get_children(GTK_CONTAINER(overlay));
    bool on = false;
    for (GList *i = l; i; i = i->next)
        if (GTK_IS_REVEALER(i->data))
            on = gtk_revealer_get_reveal_child(i->data);
    g_list_free(l);
    return on;
}

static void full_screen(void)
{
    int left = 0, which = 0;
    lodge_mks_view_set_scaling(view, LODGE_MKS_STRETCH);
    GtkWidget *f = lodge_mks_fullscreen_new(session, view);
    g_signal_connect(f, "leave", G_CALLBACK(on_leave), &left);
    g_signal_connect(f, "switch", G_CALLBACK(on_int), &which);
    gtk_window_present(GTK_WINDOW(f));
    GtkWidget *v = GTK_WIDGET(lodge_mks_fullscreen_get_view(LODGE_MKS_FULLSCREEN(f)));
    ok(AWAIT(gtk_widget_get_allocated_width(v) * scale == 1600 && gtk_widget_get_allocated_height(v) * scale == 1200), "full screen: the guest has all of it");
    ok(STAYS(900, !revealed(f)), "no bar");
    gint64 from = g_get_monotonic_time();
    xdo("mousemove 800 600 mousemove 790 0");
    settle(120);
    bool down = revealed(f);
    ok(!down || g_get_monotonic_time() - from > 190000, "the pointer at the top edge: not at once"); /* unless the moment was a long one */
    ok(AWAIT(revealed(f)), "the bar comes down");
    settle(400);
    from = g_get_monotonic_time();
    xdo("mousemove 800 600");
    settle(300);
    down = revealed(f);
    ok(down || g_get_monotonic_time() - from > 690000, "and stays a moment");
    ok(AWAIT(!revealed(f)), "and goes");
    lodge_mks_fullscreen_set_pinned(LODGE_MKS_FULLSCREEN(f), TRUE);
    ok(STAYS(1000, revealed(f)), "pinned: it stays");
    lodge_mks_fullscreen_set_pinned(LODGE_MKS_FULLSCREEN(f), FALSE);
    fake_clear(fake);
    xdo("key x key ctrl+alt+Right");
    ok(STAYS(60, strstr(fake->keys->str, "+1b -1b") && which == 1), "keys go to the guest, Ctrl+Alt+Right to the next machine");
    xdo("key ctrl+alt+Return");
    ok(AWAIT(left == 1 && fake->n_down == 0), "Ctrl+Alt+Enter leaves");
    gtk_widget_destroy(f);
    settle(200);
    focus_view();
    fake_clear(fake);
    xdo("key y");
    ok(AWAIT(strstr(fake->keys->str, "+1c -1c")), "the other view is as it was");
}

int main(int argc, char **argv)
{
    gtk_init(&argc, &argv);
    XAutoRepeatOff(gdk_x11_get_default_xdisplay()); /* between the press and the release of a slow xdotool */
    fake = fake_new(320, 240);
    session = lodge_mks_session_new_vm(fake->address);
    window = gtk_window_new(GTK_WINDOW_TOPLEVEL);
    gtk_window_set_decorated(GTK_WINDOW(window), FALSE);
    gtk_window_set_default_size(GTK_WINDOW(window), 800, 600);
    view = LODGE_MKS_VIEW(lodge_mks_view_new(session));
    scrolled = gtk_scrolled_window_new(NULL, NULL);
    gtk_scrolled_window_set_overlay_scrolling(GTK_SCROLLED_WINDOW(scrolled), FALSE);
    gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(scrolled), GTK_POLICY_EXTERNAL, GTK_POLICY_EXTERNAL);
    gtk_container_add(GTK_CONTAINER(scrolled), GTK_WIDGET(view));
    gtk_container_add(GTK_CONTAINER(window), scrolled);
    other = gtk_window_new(GTK_WINDOW_TOPLEVEL);
    gtk_window_set_default_size(GTK_WINDOW(other), 60, 60);
    gtk_widget_show_all(other);
    gtk_window_move(GTK_WINDOW(other), 1500 / gtk_widget_get_scale_factor(other), 1100 / gtk_widget_get_scale_factor(other));
    gtk_widget_show_all(window);
    gtk_window_move(GTK_WINDOW(window), 20, 20);
    scale = gtk_widget_get_scale_factor(window);
    ok(lodge_mks_session_get_state(session) == LODGE_MKS_CLOSED, "a session begins closed");
    lodge_mks_session_open(session);
    ok(AWAIT(lodge_mks_session_get_state(session) == LODGE_MKS_RUNNING), "and runs when it is open");
    ok(!strcmp(lodge_mks_session_get_title(session), "Fake machine") && lodge_mks_session_get_pointer_absolute(session), "with the machine's name and pointer");
    settle(300);
    painting();
    damage();
    focus_view();
    clicks();
    cursor();
    grab();
    keys();
    focus_losses();
    hotkeys();
    locks();
    states();
    full_screen();
    g_object_add_weak_pointer(G_OBJECT(session), (gpointer *)&session);
    gtk_widget_destroy(window);
    gtk_widget_destroy(other);
    g_object_unref(session);
    ok(AWAIT(session == NULL), "nothing keeps the session alive");
    fake_free(fake);
    return TAP_DONE();
}
