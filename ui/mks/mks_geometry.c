/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Layout of the picture in the widget (mks_geometry.h). */
#include "ui/mks/mks_geometry.h"

#include <math.h>

static int clamp_int(gint64 v, int low, int high) { return (int)(v < low ? low : v > high ? high : v); }

/* The lengths of the picture at one real pixel to a guest pixel. A whole factor of 1 stays whole. */
static int one_to_one(const struct mks_geometry *g, int guest)
{
    double f = g->real > 0 ? g->scale / g->real : 1;
    return (int)lround(guest * f);
}

int mks_geometry_unit(double real)
{
    for (int n = 1; n <= 20; n++)
        if (fabs(n * real - round(n * real)) < 1e-6)
            return n;
    return 1;
}

void mks_geometry_compute(struct mks_geometry *g)
{
    g->x = g->y = g->w = g->h = 0;
    g->zoom_x = g->zoom_y = 1;
    if (g->guest_w <= 0 || g->guest_h <= 0)
        return;
    g->dev_w = g->dev_w > 0 ? g->dev_w : (int)(g->width * g->scale);
    g->dev_h = g->dev_h > 0 ? g->dev_h : (int)(g->height * g->scale);
    gint64 dw = MAX(1, g->dev_w), dh = MAX(1, g->dev_h);
    gint64 w = MAX(1, one_to_one(g, g->guest_w)), h = MAX(1, one_to_one(g, g->guest_h));
    if (!g->actual && (g->may_grow || w > dw || h > dh)) {
        /* As large as fits; the aspect as near as whole pixels allow. */
        if (dw * g->guest_h <= dh * g->guest_w) {
            w = dw;
            h = MAX(1, (dw * g->guest_h + g->guest_w / 2) / g->guest_w);
        } else {
            h = dh;
            w = MAX(1, (dh * g->guest_w + g->guest_h / 2) / g->guest_h);
        }
    }
    g->w = (int)w;
    g->h = (int)h;
    g->x = w <= dw ? (int)((dw - w) / 2) : -clamp_int(g->scroll_x, 0, (int)(w - dw));
    g->y = h <= dh ? (int)((dh - h) / 2) : -clamp_int(g->scroll_y, 0, (int)(h - dh));
    g->zoom_x = (double)w / g->guest_w;
    g->zoom_y = (double)h / g->guest_h;
}

/* Centre (dev + 1/2) * guest / dev_n, rounded down. */
int mks_nearest(int dev, int dev_n, int guest_n)
{
    return clamp_int(((gint64)2 * dev + 1) * guest_n / ((gint64)2 * dev_n), 0, guest_n - 1);
}

gboolean mks_geometry_to_guest(const struct mks_geometry *g, double x, double y, int *gx, int *gy)
{
    *gx = *gy = 0;
    if (!g->w || !g->h)
        return FALSE;
    /* The device pixel below the pointer decides, as it does for what is painted there: both use mks_nearest. */
    /* A fractional desktop tells a pixel's edge in 1/256 of an application pixel, rounded down: it is still that pixel. */
    double slack = g->scale == floor(g->scale) ? 0 : g->scale / 256;
    double fx = floor((x - g->ox) * g->scale + slack), fy = floor((y - g->oy) * g->scale + slack);
    gint64 dx = (gint64)CLAMP(fx, -1e6, 1e6) - g->x, dy = (gint64)CLAMP(fy, -1e6, 1e6) - g->y;
    /* Beyond an edge is that edge, also when the picture is shrunk so far that its last pixel is painted nowhere. */
    *gx = dx < 0 ? 0 : dx >= g->w ? g->guest_w - 1 : mks_nearest((int)dx, g->w, g->guest_w);
    *gy = dy < 0 ? 0 : dy >= g->h ? g->guest_h - 1 : mks_nearest((int)dy, g->h, g->guest_h);
    return dx >= 0 && dy >= 0 && dx < g->w && dy < g->h;
}

/* Filters reach one guest pixel further; when shrinking, one device pixel is made of several. */
void mks_geometry_from_guest(const struct mks_geometry *g, const struct mks_box *guest, struct mks_box *device)
{
    gboolean exact = g->w == g->guest_w && g->h == g->guest_h;
    int border = exact ? 0 : 1;
    gint64 x0 = (gint64)(guest->x - border) * g->w, y0 = (gint64)(guest->y - border) * g->h;
    gint64 x1 = ((gint64)guest->x + guest->w + border) * g->w, y1 = ((gint64)guest->y + guest->h + border) * g->h;
    int gw = MAX(1, g->guest_w), gh = MAX(1, g->guest_h);
    int dx0 = clamp_int((gint64)floor((double)x0 / gw) - border, 0, g->w), dy0 = clamp_int((gint64)floor((double)y0 / gh) - border, 0, g->h);
    int dx1 = clamp_int((gint64)ceil((double)x1 / gw) + border, 0, g->w), dy1 = clamp_int((gint64)ceil((double)y1 / gh) + border, 0, g->h);
    *device = (struct mks_box){g->x + dx0, g->y + dy0, MAX(0, dx1 - dx0), MAX(0, dy1 - dy0)};
}

void mks_geometry_source(const struct mks_geometry *g, const struct mks_box *device, int border, struct mks_box *guest)
{
    *guest = (struct mks_box){0, 0, 0, 0};
    if (!g->w || !g->h)
        return;
    int x0 = clamp_int((gint64)floor((device->x - g->x) / g->zoom_x) - border, 0, g->guest_w);
    int y0 = clamp_int((gint64)floor((device->y - g->y) / g->zoom_y) - border, 0, g->guest_h);
    int x1 = clamp_int((gint64)ceil((device->x + device->w - g->x) / g->zoom_x) + border, 0, g->guest_w);
    int y1 = clamp_int((gint64)ceil((device->y + device->h - g->y) / g->zoom_y) + border, 0, g->guest_h);
    *guest = (struct mks_box){x0, y0, MAX(0, x1 - x0), MAX(0, y1 - y0)};
}

gboolean mks_box_intersect(struct mks_box *b, int x, int y, int w, int h)
{
    int x0 = MAX(b->x, x), y0 = MAX(b->y, y), x1 = MIN(b->x + b->w, x + w), y1 = MIN(b->y + b->h, y + h);
    *b = (struct mks_box){x0, y0, x1 - x0, y1 - y0};
    return x1 > x0 && y1 > y0;
}
