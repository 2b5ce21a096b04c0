/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text to key presses for a keyboard layout: xkb's tables of the layout, read backwards. A character is a key with none, one or both of Shift and
 * AltGr; or a dead key and another key; dead keys alone come with Space.
 */
#include <glib/gi18n-lib.h>
#include <string.h>
#include <xkbcommon/xkbcommon-keysyms.h>
#include <xkbcommon/xkbcommon.h>

#include "ui/mks/mks_keys.h"
#include "ui/mks/mks_session_private.h"

enum { TEXT_MAX = 65536 };

/* Combining characters, the dead keys that make them, and the character that a dead key with Space gives. */
static const struct {
    gunichar combining;
    xkb_keysym_t dead;
    gunichar alone;
} dead_keys[] = {
    {0x300, XKB_KEY_dead_grave, '`'},         {0x301, XKB_KEY_dead_acute, 0xB4},       {0x302, XKB_KEY_dead_circumflex, '^'},
    {0x303, XKB_KEY_dead_tilde, '~'},         {0x304, XKB_KEY_dead_macron, 0xAF},      {0x306, XKB_KEY_dead_breve, 0x2D8},
    {0x307, XKB_KEY_dead_abovedot, 0x2D9},    {0x308, XKB_KEY_dead_diaeresis, 0xA8},   {0x30A, XKB_KEY_dead_abovering, 0xB0},
    {0x30B, XKB_KEY_dead_doubleacute, 0x2DD}, {0x30C, XKB_KEY_dead_caron, 0x2C7},      {0x327, XKB_KEY_dead_cedilla, 0xB8},
    {0x328, XKB_KEY_dead_ogonek, 0x2DB},
};

struct layout {
    struct xkb_context *ctx;
    struct xkb_keymap *map;
    xkb_mod_mask_t shift, altgr;
};

static void layout_free(struct layout *l)
{
    xkb_keymap_unref(l->map);
    xkb_context_unref(l->ctx);
}

static void quiet(struct xkb_context *ctx, enum xkb_log_level level, const char *format, va_list args) { (void)ctx, (void)level, (void)format, (void)args; }

/* "ch(fr)" is layout ch, variant fr. */
static gboolean layout_load(struct layout *l, const char *name)
{
    char *plain = g_strdup(name && *name ? name : "us"), *variant = strchr(plain, '(');
    if (variant) {
        *variant++ = '\0';
        g_strdelimit(variant, ")", '\0');
    }
    struct xkb_rule_names names = {.rules = "evdev", .model = "pc105", .layout = plain, .variant = variant ? variant : "", .options = ""};
    memset(l, 0, sizeof *l);
    l->ctx = xkb_context_new(XKB_CONTEXT_NO_ENVIRONMENT_NAMES);
    if (l->ctx) {
        xkb_context_set_log_fn(l->ctx, quiet);
        l->map = xkb_keymap_new_from_names(l->ctx, &names, XKB_KEYMAP_COMPILE_NO_FLAGS);
    }
    g_free(plain);
    if (!l->map) {
        xkb_context_unref(l->ctx);
        return FALSE;
    }
    xkb_mod_index_t shift = xkb_keymap_mod_get_index(l->map, XKB_MOD_NAME_SHIFT), mod5 = xkb_keymap_mod_get_index(l->map, "Mod5");
    l->shift = shift < 32 ? 1u << shift : 0;
    l->altgr = mod5 < 32 ? 1u << mod5 : 0;
    return TRUE;
}

static gboolean is_keypad(guint usage) { return (usage >= 0x54 && usage <= 0x63) || usage == 0x67 || usage == 0x85 || usage == 0x8C; }

/* The key that gives sym with the fewest modifiers. */
static gboolean find_key(const struct layout *l, xkb_keysym_t sym, guint *usage, gboolean *shift, gboolean *altgr)
{
    int best = 99;
    for (xkb_keycode_t k = xkb_keymap_min_keycode(l->map); k <= xkb_keymap_max_keycode(l->map) && k < 256; k++) {
        guint u = k >= 8 ? mks_usage_from_evdev(k - 8) : 0;
        if (!u || u >= 0xE0 || is_keypad(u) || !xkb_keymap_num_layouts_for_key(l->map, k))
            continue;
        xkb_level_index_t levels = xkb_keymap_num_levels_for_key(l->map, k, 0);
        for (xkb_level_index_t level = 0; level < levels; level++) {
            const xkb_keysym_t *syms;
            xkb_mod_mask_t masks[16];
            if (xkb_keymap_key_get_syms_by_level(l->map, k, 0, level, &syms) != 1 || syms[0] != sym)
                continue;
            size_t n = xkb_keymap_key_get_mods_for_level(l->map, k, 0, level, masks, G_N_ELEMENTS(masks));
            for (size_t i = 0; i < n; i++) {
                int cost = (masks[i] & l->shift ? 1 : 0) + (masks[i] & l->altgr ? 2 : 0);
                if (masks[i] & ~(l->shift | l->altgr) || cost >= best)
                    continue;
                best = cost;
                *usage = u;
                *shift = (masks[i] & l->shift) != 0;
                *altgr = (masks[i] & l->altgr) != 0;
            }
        }
    }
    return best < 99;
}

static void add(GArray *a, guint usage, guint32 sym, gboolean down)
{
    struct mks_step st = {.usage = (guint16)usage, .keysym = sym, .down = down};
    g_array_append_val(a, st);
}

static gboolean add_sym(const struct layout *l, GArray *a, xkb_keysym_t sym)
{
    guint usage = 0;
    gboolean shift = FALSE, altgr = FALSE;
    if (sym == XKB_KEY_NoSymbol || !find_key(l, sym, &usage, &shift, &altgr))
        return FALSE;
    if (shift)
        add(a, MKS_KEY_SHIFT, XKB_KEY_Shift_L, TRUE);
    if (altgr)
        add(a, MKS_KEY_ALTGR, XKB_KEY_ISO_Level3_Shift, TRUE);
    add(a, usage, sym, TRUE);
    add(a, usage, sym, FALSE);
    if (altgr)
        add(a, MKS_KEY_ALTGR, XKB_KEY_ISO_Level3_Shift, FALSE);
    if (shift)
        add(a, MKS_KEY_SHIFT, XKB_KEY_Shift_L, FALSE);
    return TRUE;
}

static gboolean add_char(const struct layout *l, GArray *a, gunichar c)
{
    if (c == '\n' || c == '\t') {
        guint u = c == '\n' ? MKS_KEY_ENTER : MKS_KEY_TAB;
        guint32 sym = c == '\n' ? XKB_KEY_Return : XKB_KEY_Tab;
        add(a, u, sym, TRUE);
        add(a, u, sym, FALSE);
        return TRUE;
    }
    if (add_sym(l, a, xkb_utf32_to_keysym(c)))
        return TRUE;
    gunichar base, mark;
    for (gsize i = 0; i < G_N_ELEMENTS(dead_keys); i++)
        if (dead_keys[i].alone == c && add_sym(l, a, dead_keys[i].dead))
            return add_sym(l, a, XKB_KEY_space);
    if (!g_unichar_decompose(c, &base, &mark))
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(dead_keys); i++)
        if (dead_keys[i].combining == mark) {
            guint was = a->len;
            if (add_sym(l, a, dead_keys[i].dead) && add_sym(l, a, xkb_utf32_to_keysym(base)))
                return TRUE;
            g_array_set_size(a, was);
        }
    return FALSE;
}

static void tap_caps(GArray *a)
{
    add(a, MKS_KEY_CAPS, XKB_KEY_Caps_Lock, TRUE);
    add(a, MKS_KEY_CAPS, XKB_KEY_Caps_Lock, FALSE);
}

GArray *mks_type_steps(const char *text, const char *layout, gboolean caps, GError **error)
{
    struct layout l;
    if (!g_utf8_validate(text, -1, NULL) || g_utf8_strlen(text, -1) > TEXT_MAX) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, _("The text is longer than %d characters; type it in parts."), TEXT_MAX);
        return NULL;
    }
    if (!layout_load(&l, layout)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, _("This computer knows no keyboard layout “%s”."), layout);
        return NULL;
    }
    GArray *a = g_array_new(FALSE, FALSE, sizeof(struct mks_step));
    if (caps)
        tap_caps(a);
    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        if (c == '\r') {
            if (p[1] == '\n')
                continue;
            c = '\n';
        }
        if (add_char(&l, a, c))
            continue;
        char ch[8] = {0};
        g_unichar_to_utf8(c, ch);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                    _("The character “%s” cannot be typed with the keyboard layout “%s”. Nothing was typed."),
                    g_unichar_isprint(c) ? ch : "?", layout && *layout ? layout : "us");
        g_array_unref(a);
        layout_free(&l);
        return NULL;
    }
    if (caps)
        tap_caps(a);
    layout_free(&l);
    return a;
}

/* For keys of which only the place is known. Made once, never freed: a keymap costs milliseconds. */
guint mks_us_keysym(guint usage, gboolean shift)
{
    static struct layout us;
    static gsize once;
    if (g_once_init_enter(&once))
        g_once_init_leave(&once, layout_load(&us, "us") ? 2 : 1);
    guint ev = mks_evdev_from_usage(usage);
    const xkb_keysym_t *syms;
    if (once != 2 || !ev || xkb_keymap_key_get_syms_by_level(us.map, ev + 8, 0, shift ? 1 : 0, &syms) != 1)
        return 0;
    return syms[0];
}

