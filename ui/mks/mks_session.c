/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What both kinds of sessions have in common: properties and signals, the picture, the guest's pointer, and the list of what is held down.
 * Everything that goes to the guest as a key or button passes here, so that releasing all of it is possible at any time.
 */
#include "ui/mks/mks_session_private.h"

#include <glib/gi18n-lib.h>
#include <string.h>
#include <sys/mman.h>

#include "ui/mks/mks_keys.h"

enum { HELD_MAX = 64, STEP_MS = 12 };

struct typing {
    GTask *task; /* NULL: nobody waits */
    GArray *steps;
    guint pos;
};

typedef struct {
    LodgeMksState state;
    char *error, *title;
    struct mks_picture *picture;
    struct mks_cursor cursor;
    gboolean absolute, can_resize, leds_known, blank;
    guint leds;
    int viewers;
    struct {
        guint usage, keysym;
    } held[HELD_MAX];
    int n_held;
    guint buttons; /* held, one bit each */
    GQueue typing; /* of struct typing */
    guint type_timer;
} LodgeMksSessionPrivate;

G_DEFINE_ABSTRACT_TYPE_WITH_PRIVATE(LodgeMksSession, lodge_mks_session, G_TYPE_OBJECT)
#define PRIV(s) ((LodgeMksSessionPrivate *)lodge_mks_session_get_instance_private(s))
#define CLASS(s) LODGE_MKS_SESSION_GET_CLASS(s)

enum { PROP_0, PROP_STATE, PROP_ERROR, PROP_TITLE, PROP_GUEST_WIDTH, PROP_GUEST_HEIGHT, PROP_ABSOLUTE, PROP_LEDS,
       PROP_CAN_RESIZE, PROP_IS_VNC, PROP_BLANK, N_PROPS };
enum { SIG_DAMAGE, SIG_CURSOR, SIG_CREDENTIALS, SIG_CLIPBOARD, N_SIGNALS };
static GParamSpec *props[N_PROPS];
static guint signals[N_SIGNALS];

/* ---- pictures ---- */

struct mks_picture *mks_picture_new(int width, int height)
{
    if (width < 1 || height < 1 || width > MKS_MAX_SIDE || height > MKS_MAX_SIDE)
        return NULL;
    guint8 *pixels = g_try_malloc0((gsize)width * 4 * (gsize)height);
    if (!pixels)
        return NULL;
    struct mks_picture *p = g_new0(struct mks_picture, 1);
    *p = (struct mks_picture){.ref = 1, .width = width, .height = height, .stride = width * 4, .pixels = pixels};
    return p;
}

struct mks_picture *mks_picture_ref(struct mks_picture *p)
{
    g_atomic_int_inc(&p->ref);
    return p;
}

void mks_picture_unref(struct mks_picture *p)
{
    if (!p || !g_atomic_int_dec_and_test(&p->ref))
        return;
    if (p->map)
        munmap(p->map, p->map_len);
    else
        g_free(p->pixels);
    g_free(p);
}

cairo_surface_t *mks_picture_surface(struct mks_picture *p)
{
    static const cairo_user_data_key_t key;
    cairo_surface_t *sf = cairo_image_surface_create_for_data(p->pixels, CAIRO_FORMAT_RGB24, p->width, p->height, p->stride);
    cairo_surface_set_user_data(sf, &key, mks_picture_ref(p), (cairo_destroy_func_t)mks_picture_unref);
    return sf;
}

/* ---- what the kinds call ---- */

void mks_session_set_state(LodgeMksSession *s, LodgeMksState state, const char *error)
{
    LodgeMksSessionPrivate *p = PRIV(s);
    g_object_freeze_notify(G_OBJECT(s));
    if (strcmp(p->error, error ? error : "")) {
        g_free(p->error);
        p->error = g_strdup(error ? error : "");
        g_object_notify_by_pspec(G_OBJECT(s), props[PROP_ERROR]);
    }
    if (p->state != state) {
        p->state = state;
        g_object_notify_by_pspec(G_OBJECT(s), props[PROP_STATE]);
    }
    g_object_thaw_notify(G_OBJECT(s));
}

void mks_session_set_title(LodgeMksSession *s, const char *title)
{
    LodgeMksSessionPrivate *p = PRIV(s);
    if (!strcmp(p->title, title))
        return;
    g_free(p->title);
    p->title = g_utf8_make_valid(title, -1);
    g_object_notify_by_pspec(G_OBJECT(s), props[PROP_TITLE]);
}

void mks_session_set_picture(LodgeMksSession *s, struct mks_picture *pic)
{
    LodgeMksSessionPrivate *p = PRIV(s);
    struct mks_picture *old = p->picture;
    int ow = old ? old->width : 0, oh = old ? old->height : 0, w = pic ? pic->width : 0, h = pic ? pic->height : 0;
    p->picture = pic;
    mks_picture_unref(old);
    g_object_freeze_notify(G_OBJECT(s));
    if (ow != w)
        g_object_notify_by_pspec(G_OBJECT(s), props[PROP_GUEST_WIDTH]);
    if (oh != h)
        g_object_notify_by_pspec(G_OBJECT(s), props[PROP_GUEST_HEIGHT]);
    g_object_thaw_notify(G_OBJECT(s));
    g_signal_emit(s, signals[SIG_DAMAGE], 0, 0, 0, w, h);
}

void mks_session_damage(LodgeMksSession *s, int x, int y, int w, int h)
{
    LodgeMksSessionPrivate *p = PRIV(s);
    if (!p->picture || w <= 0 || h <= 0)
        return;
    gint64 x0 = CLAMP((gint64)x, 0, p->picture->width), y0 = CLAMP((gint64)y, 0, p->picture->height);
    gint64 x1 = CLAMP((gint64)x + w, 0, p->picture->width), y1 = CLAMP((gint64)y + h, 0, p->picture->height);
    if (x1 > x0 && y1 > y0)
        g_signal_emit(s, signals[SIG_DAMAGE], 0, (int)x0, (int)y0, (int)(x1 - x0), (int)(y1 - y0));
}

void mks_session_set_cursor(LodgeMksSession *s, int w, int h, int hot_x, int hot_y, const guint32 *argb)
{
    struct mks_cursor *c = &PRIV(s)->cursor;
    gboolean none = !argb || w < 1 || h < 1 || w > MKS_MAX_CURSOR || h > MKS_MAX_CURSOR;
    g_free(c->argb);
    c->argb = none ? NULL : g_memdup2(argb, (gsize)w * (gsize)h * 4);
    c->width = none ? 0 : w;
    c->height = none ? 0 : h;
    c->hot_x = none ? 0 : CLAMP(hot_x, 0, w - 1);
    c->hot_y = none ? 0 : CLAMP(hot_y, 0, h - 1);
    c->known = TRUE;
    g_signal_emit(s, signals[SIG_CURSOR], 0);
}

void mks_session_move_cursor(LodgeMksSession *s, int x, int y, gboolean shown)
{
    struct mks_cursor *c = &PRIV(s)->cursor;
    gboolean same = c->shown == shown && c->x == x && c->y == y;
    c->x = x;
    c->y = y;
    c->shown = shown;
    if (!same)
        g_signal_emit(s, signals[SIG_CURSOR], 0);
}

void mks_session_set_absolute(LodgeMksSession *s, gboolean absolute)
{
    LodgeMksSessionPrivate *p = PRIV(s);
    if (p->absolute == absolute)
        return;
    p->absolute = absolute;
    g_object_notify_by_pspec(G_OBJECT(s), props[PROP_ABSOLUTE]);
}

void mks_session_set_leds(LodgeMksSession *s, guint leds, gboolean known)
{
    LodgeMksSessionPrivate *p = PRIV(s);
    p->leds_known = known;
    if (p->leds == leds)
        return;
    p->leds = leds;
    g_object_notify_by_pspec(G_OBJECT(s), props[PROP_LEDS]);
}

void mks_session_set_can_resize(LodgeMksSession *s, gboolean can)
{
    LodgeMksSessionPrivate *p = PRIV(s);
    if (p->can_resize == can)
        return;
    p->can_resize = can;
    g_object_notify_by_pspec(G_OBJECT(s), props[PROP_CAN_RESIZE]);
}

void mks_session_set_blank(LodgeMksSession *s, gboolean blank)
{
    LodgeMksSessionPrivate *p = PRIV(s);
    if (p->blank == blank)
        return;
    p->blank = blank;
    g_object_notify_by_pspec(G_OBJECT(s), props[PROP_BLANK]);
}

gboolean mks_session_get_blank(LodgeMksSession *s) { return PRIV(s)->blank; }

void mks_session_forget_held(LodgeMksSession *s)
{
    PRIV(s)->n_held = 0;
    PRIV(s)->buttons = 0;
}

gboolean mks_session_has_viewers(LodgeMksSession *s) { return PRIV(s)->viewers > 0; }

/* ---- what the view calls ---- */

void mks_session_add_viewer(LodgeMksSession *s, int n)
{
    PRIV(s)->viewers += n;
    if (n > 0 && PRIV(s)->viewers == n)
        mks_session_painted(s); /* what was held back while nobody looked */
}

void mks_session_painted(LodgeMksSession *s)
{
    if (CLASS(s)->painted)
        CLASS(s)->painted(s);
}

struct mks_picture *mks_session_picture(LodgeMksSession *s) { return PRIV(s)->picture; }
const struct mks_cursor *mks_session_cursor(LodgeMksSession *s) { return &PRIV(s)->cursor; }
gboolean mks_session_leds_known(LodgeMksSession *s) { return PRIV(s)->leds_known; }

/* ---- input ---- */

static gboolean takes_input(LodgeMksSession *s)
{
    LodgeMksState st = PRIV(s)->state;
    return st == LODGE_MKS_RUNNING || st == LODGE_MKS_NO_PICTURE || st == LODGE_MKS_PAUSED;
}

static int find_held(LodgeMksSessionPrivate *p, guint usage)
{
    for (int i = 0; i < p->n_held; i++)
        if (p->held[i].usage == usage)
            return i;
    return -1;
}

gboolean mks_session_key_is_down(LodgeMksSession *s, guint usage) { return find_held(PRIV(s), usage) >= 0; }

void mks_session_key_event(LodgeMksSession *s, guint usage, guint keysym, gboolean down)
{
    LodgeMksSessionPrivate *p = PRIV(s);
    int i = find_held(p, usage);
    if (!usage || usage >= MKS_USAGE_MAX || !takes_input(s))
        return;
    if (down) {
        if (i < 0) {
            if (p->n_held == HELD_MAX)
                return;
            i = p->n_held++;
            p->held[i].usage = usage;
            p->held[i].keysym = keysym ? keysym : mks_us_keysym(usage, FALSE);
        }
        CLASS(s)->key(s, usage, p->held[i].keysym, TRUE);
    } else if (i >= 0) {
        /* The symbol that went down must come up, whatever the modifiers have made of the key meanwhile. */
        guint sym = p->held[i].keysym;
        p->held[i] = p->held[--p->n_held];
        CLASS(s)->key(s, usage, sym, FALSE);
    }
}

void lodge_mks_session_key(LodgeMksSession *s, guint usage, gboolean down) { mks_session_key_event(s, usage, 0, down); }

void lodge_mks_session_release_keys(LodgeMksSession *s)
{
    LodgeMksSessionPrivate *p = PRIV(s);
    while (p->n_held) {
        int i = --p->n_held;
        CLASS(s)->key(s, p->held[i].usage, p->held[i].keysym, FALSE);
    }
    for (guint b = 0; p->buttons; b++)
        if (p->buttons >> b & 1) {
            p->buttons &= ~(1u << b);
            CLASS(s)->button(s, b, FALSE);
        }
}

gboolean lodge_mks_session_keys_down(LodgeMksSession *s) { return PRIV(s)->n_held || PRIV(s)->buttons; }

void lodge_mks_session_pointer_to(LodgeMksSession *s, int x, int y)
{
    LodgeMksSessionPrivate *p = PRIV(s);
    if (p->picture && takes_input(s))
        CLASS(s)->pointer_to(s, CLAMP(x, 0, p->picture->width - 1), CLAMP(y, 0, p->picture->height - 1));
}

void lodge_mks_session_pointer_move(LodgeMksSession *s, int dx, int dy)
{
    if ((dx || dy) && takes_input(s))
        CLASS(s)->pointer_move(s, CLAMP(dx, -32767, 32767), CLAMP(dy, -32767, 32767));
}

void lodge_mks_session_button(LodgeMksSession *s, guint button, gboolean down)
{
    LodgeMksSessionPrivate *p = PRIV(s);
    if (button > 4 || !takes_input(s) || !(p->buttons >> button & 1) == !down)
        return;
    p->buttons ^= 1u << button;
    CLASS(s)->button(s, button, down);
}

void lodge_mks_session_wheel(LodgeMksSession *s, int clicks)
{
    if (clicks && takes_input(s))
        CLASS(s)->wheel(s, CLAMP(clicks, -100, 100));
}

/* ---- typing ---- */

static void end_typing(struct typing *t, GError *error)
{
    if (t->task && error)
        g_task_return_error(t->task, error);
    else if (t->task)
        g_task_return_boolean(t->task, TRUE);
    else
        g_clear_error(&error);
    g_clear_object(&t->task);
    g_array_unref(t->steps);
    g_free(t);
}

/* A text that stops halfway leaves no key down. */
static void abandon(LodgeMksSession *s, struct typing *t, GError *error)
{
    for (guint i = 0; i < t->pos; i++) {
        struct mks_step *st = &g_array_index(t->steps, struct mks_step, i);
        if (st->down)
            mks_session_key_event(s, st->usage, st->keysym, FALSE);
    }
    end_typing(t, error);
}

static gboolean type_tick(gpointer u)
{
    LodgeMksSession *s = u;
    LodgeMksSessionPrivate *p = PRIV(s);
    struct typing *t = g_queue_peek_head(&p->typing);
    if (t && !takes_input(s)) {
        abandon(s, g_queue_pop_head(&p->typing), g_error_new(G_IO_ERROR, G_IO_ERROR_CLOSED, _("The machine stopped while the text was typed.")));
    } else if (t && t->task && g_cancellable_is_cancelled(g_task_get_cancellable(t->task))) {
        abandon(s, g_queue_pop_head(&p->typing), g_error_new(G_IO_ERROR, G_IO_ERROR_CANCELLED, _("Typing was cancelled.")));
    } else if (t && t->pos < t->steps->len) {
        struct mks_step *st = &g_array_index(t->steps, struct mks_step, t->pos++);
        mks_session_key_event(s, st->usage, st->keysym, st->down);
    } else if (t) {
        end_typing(g_queue_pop_head(&p->typing), NULL);
    }
    if (!g_queue_is_empty(&p->typing))
        return G_SOURCE_CONTINUE;
    p->type_timer = 0;
    return G_SOURCE_REMOVE;
}

static void start_typing(LodgeMksSession *s, GTask *task, GArray *steps)
{
    LodgeMksSessionPrivate *p = PRIV(s);
    struct typing *t = g_new0(struct typing, 1);
    t->task = task;
    t->steps = steps;
    g_queue_push_tail(&p->typing, t);
    if (!p->type_timer)
        p->type_timer = g_timeout_add(STEP_MS, type_tick, s);
}

void lodge_mks_session_press_keys(LodgeMksSession *s, const char *const *names)
{
    GArray *a = g_array_new(FALSE, FALSE, sizeof(struct mks_step));
    guint n = g_strv_length((char **)names);
    for (guint i = 0; i < n; i++)
        g_array_append_val(a, ((struct mks_step){.usage = (guint16)mks_usage_from_name(names[i]), .down = TRUE}));
    while (n--)
        g_array_append_val(a, ((struct mks_step){.usage = (guint16)mks_usage_from_name(names[n])}));
    start_typing(s, NULL, a);
}

void lodge_mks_session_type_text_async(LodgeMksSession *s, const char *text, const char *layout, GCancellable *cancellable,
                                       GAsyncReadyCallback done, gpointer user_data)
{
    GTask *task = g_task_new(s, cancellable, done, user_data);
    GError *error = NULL;
    g_task_set_check_cancellable(task, FALSE);
    if (!takes_input(s)) {
        g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_NOT_CONNECTED, _("Text can be typed only while the machine runs."));
        g_object_unref(task);
        return;
    }
    GArray *steps = mks_type_steps(text, layout, PRIV(s)->leds_known && PRIV(s)->leds & 4, &error);
    if (!steps) {
        g_task_return_error(task, error);
        g_object_unref(task);
        return;
    }
    start_typing(s, task, steps);
}

gboolean lodge_mks_session_type_text_finish(LodgeMksSession *s, GAsyncResult *result, GError **error)
{
    g_return_val_if_fail(g_task_is_valid(result, s), FALSE);
    return g_task_propagate_boolean(G_TASK(result), error);
}

/* ---- the rest of the public interface ---- */

void lodge_mks_session_open(LodgeMksSession *s) { CLASS(s)->open(s); }

void lodge_mks_session_close(LodgeMksSession *s)
{
    lodge_mks_session_release_keys(s);
    CLASS(s)->close(s);
    mks_session_forget_held(s);
    mks_session_set_state(s, LODGE_MKS_CLOSED, NULL);
}

LodgeMksState lodge_mks_session_get_state(LodgeMksSession *s) { return PRIV(s)->state; }
const char *lodge_mks_session_get_error(LodgeMksSession *s) { return PRIV(s)->error; }
const char *lodge_mks_session_get_title(LodgeMksSession *s) { return PRIV(s)->title; }
gboolean lodge_mks_session_get_pointer_absolute(LodgeMksSession *s) { return PRIV(s)->absolute; }
guint lodge_mks_session_get_leds(LodgeMksSession *s) { return PRIV(s)->leds; }
gboolean lodge_mks_session_get_can_resize(LodgeMksSession *s) { return PRIV(s)->can_resize; }

gboolean lodge_mks_session_get_guest_size(LodgeMksSession *s, int *width, int *height)
{
    struct mks_picture *p = PRIV(s)->picture;
    *width = p ? p->width : 0;
    *height = p ? p->height : 0;
    return p != NULL;
}

void lodge_mks_session_send_clipboard_text(LodgeMksSession *s, const char *text)
{
    if (CLASS(s)->send_clipboard_text)
        CLASS(s)->send_clipboard_text(s, text);
}

void lodge_mks_session_give_credentials(LodgeMksSession *s, const char *user, const char *password)
{
    if (CLASS(s)->give_credentials)
        CLASS(s)->give_credentials(s, user, password);
}

void lodge_mks_session_request_size(LodgeMksSession *s, int width, int height)
{
    if (width > 0 && height > 0)
        CLASS(s)->request_size(s, MIN(width, MKS_MAX_SIDE), MIN(height, MKS_MAX_SIDE));
}

static GdkPixbuf *pixbuf_of(cairo_surface_t *sf, int w, int h)
{
    GdkPixbuf *pb = gdk_pixbuf_new(GDK_COLORSPACE_RGB, FALSE, 8, w, h);
    if (!pb)
        return NULL;
    cairo_surface_flush(sf);
    const guint8 *src = cairo_image_surface_get_data(sf);
    guint8 *dst = gdk_pixbuf_get_pixels(pb);
    int ss = cairo_image_surface_get_stride(sf), ds = gdk_pixbuf_get_rowstride(pb);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            guint32 v;
            memcpy(&v, src + (gsize)y * (gsize)ss + (gsize)x * 4, 4);
            guint8 *d = dst + (gsize)y * (gsize)ds + (gsize)x * 3;
            d[0] = (guint8)(v >> 16);
            d[1] = (guint8)(v >> 8);
            d[2] = (guint8)v;
        }
    return pb;
}

GdkPixbuf *lodge_mks_session_screenshot(LodgeMksSession *s)
{
    struct mks_picture *p = PRIV(s)->picture;
    if (!p)
        return NULL;
    cairo_surface_t *sf = mks_picture_surface(p);
    GdkPixbuf *pb = pixbuf_of(sf, p->width, p->height);
    cairo_surface_destroy(sf);
    return pb;
}

GdkPixbuf *lodge_mks_session_thumbnail(LodgeMksSession *s, int width, int height)
{
    struct mks_picture *p = PRIV(s)->picture;
    if (!p || width < 1 || height < 1)
        return NULL;
    double f = MIN((double)width / p->width, (double)height / p->height);
    int w = MAX(1, (int)(p->width * f + 0.5)), h = MAX(1, (int)(p->height * f + 0.5));
    cairo_surface_t *small = cairo_image_surface_create(CAIRO_FORMAT_RGB24, w, h), *sf = mks_picture_surface(p);
    cairo_t *cr = cairo_create(small);
    cairo_scale(cr, (double)w / p->width, (double)h / p->height);
    cairo_set_source_surface(cr, sf, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(cr), CAIRO_FILTER_GOOD);
    cairo_paint(cr);
    cairo_destroy(cr);
    GdkPixbuf *pb = pixbuf_of(small, w, h);
    cairo_surface_destroy(sf);
    cairo_surface_destroy(small);
    return pb;
}

/* ---- GObject ---- */

static void get_property(GObject *o, guint id, GValue *v, GParamSpec *spec)
{
    LodgeMksSession *s = LODGE_MKS_SESSION(o);
    LodgeMksSessionPrivate *p = PRIV(s);
    switch (id) {
    case PROP_STATE:
        g_value_set_enum(v, (gint)p->state);
        break;
    case PROP_ERROR:
        g_value_set_string(v, p->error);
        break;
    case PROP_TITLE:
        g_value_set_string(v, p->title);
        break;
    case PROP_GUEST_WIDTH:
        g_value_set_int(v, p->picture ? p->picture->width : 0);
        break;
    case PROP_GUEST_HEIGHT:
        g_value_set_int(v, p->picture ? p->picture->height : 0);
        break;
    case PROP_ABSOLUTE:
        g_value_set_boolean(v, p->absolute);
        break;
    case PROP_LEDS:
        g_value_set_uint(v, p->leds);
        break;
    case PROP_CAN_RESIZE:
        g_value_set_boolean(v, p->can_resize);
        break;
    case PROP_IS_VNC:
        g_value_set_boolean(v, CLASS(s)->send_clipboard_text != NULL);
        break;
    case PROP_BLANK:
        g_value_set_boolean(v, p->blank);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(o, id, spec);
    }
}

static void finalize(GObject *o)
{
    LodgeMksSessionPrivate *p = PRIV(LODGE_MKS_SESSION(o));
    if (p->type_timer)
        g_source_remove(p->type_timer);
    for (struct typing *t; (t = g_queue_pop_head(&p->typing));)
        end_typing(t, g_error_new(G_IO_ERROR, G_IO_ERROR_CLOSED, _("The machine stopped while the text was typed.")));
    mks_picture_unref(p->picture);
    g_free(p->cursor.argb);
    g_free(p->error);
    g_free(p->title);
    G_OBJECT_CLASS(lodge_mks_session_parent_class)->finalize(o);
}

static void lodge_mks_session_class_init(LodgeMksSessionClass *k)
{
    GObjectClass *ok = G_OBJECT_CLASS(k);
    GParamFlags f = G_PARAM_READABLE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;
    ok->get_property = get_property;
    ok->finalize = finalize;
    props[PROP_STATE] = g_param_spec_enum("state", NULL, NULL, lodge_mks_state_get_type(), LODGE_MKS_CLOSED, f);
    props[PROP_ERROR] = g_param_spec_string("error", NULL, NULL, "", f);
    props[PROP_TITLE] = g_param_spec_string("title", NULL, NULL, "", f);
    props[PROP_GUEST_WIDTH] = g_param_spec_int("guest-width", NULL, NULL, 0, MKS_MAX_SIDE, 0, f);
    props[PROP_GUEST_HEIGHT] = g_param_spec_int("guest-height", NULL, NULL, 0, MKS_MAX_SIDE, 0, f);
    props[PROP_ABSOLUTE] = g_param_spec_boolean("pointer-absolute", NULL, NULL, FALSE, f);
    props[PROP_LEDS] = g_param_spec_uint("leds", NULL, NULL, 0, 7, 0, f);
    props[PROP_CAN_RESIZE] = g_param_spec_boolean("can-resize", NULL, NULL, FALSE, f);
    props[PROP_IS_VNC] = g_param_spec_boolean("is-vnc", NULL, NULL, FALSE, f);
    props[PROP_BLANK] = g_param_spec_boolean("blank", NULL, NULL, FALSE, f);
    g_object_class_install_properties(ok, N_PROPS, props);
    GType t = G_TYPE_FROM_CLASS(k);
    signals[SIG_DAMAGE] = g_signal_new("damage", t, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 4, G_TYPE_INT, G_TYPE_INT, G_TYPE_INT, G_TYPE_INT);
    signals[SIG_CURSOR] = g_signal_new("cursor", t, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    signals[SIG_CREDENTIALS] = g_signal_new("credentials-needed", t, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2, G_TYPE_BOOLEAN, G_TYPE_BOOLEAN);
    signals[SIG_CLIPBOARD] = g_signal_new("clipboard-text", t, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
}

static void lodge_mks_session_init(LodgeMksSession *s)
{
    PRIV(s)->error = g_strdup("");
    PRIV(s)->title = g_strdup("");
    g_queue_init(&PRIV(s)->typing);
}
