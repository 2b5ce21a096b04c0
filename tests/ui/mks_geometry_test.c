/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the picture lies at each scale, and that a place on the screen means the guest pixel that is painted there. */
#include <math.h>
#include <stdlib.h>

#include "tests/tap.h"
#include "ui/mks/mks_geometry.h"

static unsigned rng = 20240607;
static int rnd(int n)
{
    rng = rng * 1664525u + 1013904223u;
    return (int)((rng >> 8) % (unsigned)n);
}

static struct mks_geometry make(int gw, int gh, int w, int h, int scale, double real, bool actual, bool grow)
{
    struct mks_geometry g = {.guest_w = gw, .guest_h = gh, .width = w, .height = h, .scale = scale, .real = real, .actual = actual, .may_grow = grow};
    mks_geometry_compute(&g);
    return g;
}

static void one_to_one(void)
{
    bool whole = true, centred = true;
    for (int i = 0; i < 400; i++) {
        int scale = 1 + rnd(2), gw = 1 + rnd(2000), gh = 1 + rnd(1500), w = 1 + rnd(2000), h = 1 + rnd(1200);
        struct mks_geometry g = make(gw, gh, w, h, scale, scale, true, false);
        whole &= g.w == gw && g.h == gh && g.zoom_x == 1 && g.zoom_y == 1;
        if (gw <= w * scale)
            centred &= abs(2 * g.x + g.w - w * scale) <= 1;
    }
    ok(whole, "actual pixels: a guest pixel is a device pixel at scale 1 and 2");
    ok(centred, "a picture smaller than the widget is in its middle");
    /* Without a surface of its own the console paints at twice the size and the desktop shrinks: 1280 guest pixels at 125 % are 2048 of those. */
    static const double real[] = {1.25, 1.5, 1.75};
    for (int i = 0; i < 3; i++) {
        struct mks_geometry g = make(1280, 800, 1600, 1000, 2, real[i], true, false);
        ok(abs((int)lround(g.w * real[i] / 2) - 1280) == 0 && (int)lround(g.h * real[i] / 2) == 800, "actual pixels on a desktop scaled to %d %%", (int)(real[i] * 100));
    }
    ok(mks_geometry_unit(1) == 1 && mks_geometry_unit(1.25) == 4 && mks_geometry_unit(1.5) == 2 && mks_geometry_unit(1.75) == 4 && mks_geometry_unit(160 / 120.0) == 3,
       "where application pixels and the monitor's begin together");
    /* With one, device pixels are the monitor's. Its pixel's left edge, told in 1/256 of an application pixel, rounded down, is that pixel. */
    bool exact = true;
    for (int i = 0; i < 3; i++) {
        struct mks_geometry g = {.guest_w = 700, .guest_h = 500, .ox = 3, .oy = 1, .width = 800, .height = 600, .scale = real[i], .real = real[i], .actual = true};
        mks_geometry_compute(&g);
        exact &= g.w == 700 && g.h == 500 && g.dev_w == (int)(800 * real[i]);
        for (int k = 0; k < 700; k++) {
            int x, y;
            mks_geometry_to_guest(&g, floor(((g.x + k) / real[i] + 3) * 256) / 256, floor(((g.y + k % 500) / real[i] + 1) * 256) / 256, &x, &y);
            exact &= x == k && y == k % 500;
        }
    }
    ok(exact, "fractional desktops with a surface of its own: 1:1, and each place is its pixel");
    struct mks_geometry g = make(800, 600, 800, 600, 1, 1, false, false);
    ok(g.w == 800 && g.h == 600 && !g.x && !g.y, "a guest that has the window's size fills it exactly");
    g = make(640, 480, 1000, 900, 1, 1, false, false);
    ok(g.w == 640 && g.h == 480, "fit guest: a smaller guest is not blown up");
    g = make(1600, 1200, 800, 300, 1, 1, false, false);
    ok(g.w == 400 && g.h == 300, "fit guest: a larger guest is shrunk, aspect kept");
    g = make(0, 0, 800, 600, 1, 1, false, true);
    int x, y;
    ok(!g.w && !mks_geometry_to_guest(&g, 10, 10, &x, &y) && !x && !y, "no picture: no place");
}

static void fitted(void)
{
    bool inside = true, touches = true, aspect = true;
    for (int i = 0; i < 2000; i++) {
        int scale = 1 + rnd(2), gw = 16 + rnd(3000), gh = 16 + rnd(2000), w = 50 + rnd(2500), h = 50 + rnd(1500);
        struct mks_geometry g = make(gw, gh, w, h, scale, scale, false, true);
        inside &= g.x >= 0 && g.y >= 0 && g.x + g.w <= w * scale && g.y + g.h <= h * scale;
        touches &= g.w == w * scale || g.h == h * scale;
        /* The side that follows is the nearest whole number to the exact one. */
        double want_h = (double)g.w * gh / gw, want_w = (double)g.h * gw / gh;
        aspect &= g.w == 1 || g.h == 1 || (g.w == w * scale && fabs(g.h - want_h) <= 0.5 + 1e-9) || (g.h == h * scale && fabs(g.w - want_w) <= 0.5 + 1e-9);
    }
    ok(inside, "stretched: the picture lies inside of the widget");
    ok(touches, "stretched: it reaches both ends of one direction");
    ok(aspect, "stretched: the aspect is kept to half a pixel");
}

/* What is painted at a device pixel by the nearest filter is what a click there means. */
static void places(void)
{
    static const int percent[] = {100, 125, 150, 175, 200};
    for (unsigned p = 0; p < 5; p++) {
        int gw = 640, gh = 400, w = gw * percent[p] / 100, h = gh * percent[p] / 100;
        struct mks_geometry g = make(gw, gh, w + 37, h, 1, 1, false, true);
        bool same = g.w == w && g.h == h, middle = true, all = true;
        int seen = -1;
        for (int dx = 0; dx < g.w; dx++) {
            int x, y, exact = (int)floor((dx + 0.5) * 100 / percent[p] + 1e-9); /* not the program's formula */
            same &= mks_geometry_to_guest(&g, g.x + dx + 0.5, 5, &x, &y) && x == mks_nearest(dx, g.w, gw);
            same &= mks_geometry_to_guest(&g, g.x + dx + 0.01, 5, &x, &y) && x == mks_nearest(dx, g.w, gw);
            middle &= mks_nearest(dx, g.w, gw) == exact;
            all &= x == seen || x == seen + 1;
            seen = x;
        }
        ok(same, "%d %%: the pixel below the pointer is the one painted there", percent[p]);
        ok(middle, "%d %%: it is the guest pixel below the middle of the device pixel", percent[p]);
        ok(all && seen == gw - 1, "%d %%: every guest pixel can be reached", percent[p]);
    }
    bool good = true;
    for (int i = 0; i < 3000; i++) {
        struct mks_geometry g = make(1 + rnd(2000), 1 + rnd(1500), 20 + rnd(2000), 20 + rnd(1400), 1 + rnd(2), 0, rnd(2), rnd(2));
        double px = rnd(3000) - 500 + rnd(100) / 100.0, py = rnd(2400) - 400 + rnd(100) / 100.0;
        int x, y;
        bool in = mks_geometry_to_guest(&g, px, py, &x, &y);
        double dx = floor(px * g.scale) - g.x, dy = floor(py * g.scale) - g.y;
        good &= x >= 0 && y >= 0 && x < g.guest_w && y < g.guest_h && in == (dx >= 0 && dy >= 0 && dx < g.w && dy < g.h);
        if (dx < 0)
            good &= x == 0;
        if (dx >= g.w)
            good &= x == g.guest_w - 1;
        if (in)
            good &= fabs((x + 0.5) * g.w / g.guest_w - (dx + 0.5)) <= 0.5 * g.w / g.guest_w + 1e-6;
    }
    ok(good, "places inside and outside, at random");
    int x, y;
    struct mks_geometry g = make(800, 600, 100, 100, 1, 1, true, false);
    ok(mks_geometry_to_guest(&g, 1e300, -1e300, &x, &y) == FALSE && x == 799 && !y, "places beyond all measure");
}

static void scrolling(void)
{
    struct mks_geometry g = {.guest_w = 2000, .guest_h = 1500, .width = 500, .height = 400, .scale = 2, .real = 2, .actual = TRUE, .scroll_x = 1000, .scroll_y = 99999};
    mks_geometry_compute(&g);
    ok(g.x == -1000 && g.y == -(1500 - 800), "scrolled, and not beyond the end");
    int x, y;
    ok(mks_geometry_to_guest(&g, 499.9, 399.9, &x, &y) && x == 1999 && y == 1499, "the last pixel is in the corner");
}

static void damage(void)
{
    bool covers = true, tight = true, source = true;
    for (int i = 0; i < 600; i++) {
        struct mks_geometry g = make(50 + rnd(300), 50 + rnd(200), 30 + rnd(600), 30 + rnd(400), 1 + rnd(2), 0, rnd(2), true);
        struct mks_box r = {rnd(g.guest_w), rnd(g.guest_h), 0, 0}, d, s;
        r.w = 1 + rnd(g.guest_w - r.x);
        r.h = 1 + rnd(g.guest_h - r.y);
        mks_geometry_from_guest(&g, &r, &d);
        /* A smooth filter shows a guest pixel within one guest pixel or one device pixel around it. */
        for (int dx = 0; dx < g.w; dx++) {
            double at = (dx + 0.5) / g.zoom_x, reach = g.w == g.guest_w && g.h == g.guest_h ? 0 : 0.999;
            if (at > r.x - reach && at < r.x + r.w + reach)
                covers &= dx + g.x >= d.x && dx + g.x < d.x + d.w;
        }
        tight &= d.w <= (r.w + 2) * g.zoom_x + 6 && d.h <= (r.h + 2) * g.zoom_y + 6;
        struct mks_box whole = {g.x, g.y, g.w, g.h};
        mks_geometry_source(&g, &whole, 2, &s);
        source &= !s.x && !s.y && s.w == g.guest_w && s.h == g.guest_h;
    }
    ok(covers, "what a change of the guest may alter is painted again");
    ok(tight, "and little more");
    ok(source, "all of the picture comes from all of the guest");
    struct mks_geometry g = make(640, 480, 640, 480, 1, 1, false, true);
    struct mks_box r = {10, 20, 30, 40}, d;
    mks_geometry_from_guest(&g, &r, &d);
    ok(d.x == 10 && d.y == 20 && d.w == 30 && d.h == 40, "1:1: exactly the change");
}

int main(void)
{
    one_to_one();
    fitted();
    places();
    scrolling();
    damage();
    return TAP_DONE();
}
