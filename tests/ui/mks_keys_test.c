/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Key tables against the kernel's header, xkb's evdev codes and the keyboard device's scan codes; typed text against xkb: the presses are played
 * into xkb's own keyboard state and must give the text.
 */
#include <gio/gio.h>
#include <linux/input-event-codes.h>
#include <string.h>
#include <xkbcommon/xkbcommon-compose.h>
#include <xkbcommon/xkbcommon.h>

#include "tests/tap.h"
#include "ui/mks/mks_keys.h"
#include "ui/mks/mks_session_private.h"

static const struct row {
    const char *name;
    unsigned evdev, header, usage, xt;
    const char *xkb;
} rows[] = {
#define KEY(evdev, name, usage, xt, xkb) {#name, evdev, KEY_##name, usage, xt, xkb},
#include "ui/mks/mks_keys.def"
#undef KEY
};
enum { N_ROWS = sizeof rows / sizeof rows[0] };

static const struct {
    unsigned usage, set1;
} device[] = {
#define KEY(usage, name, s1, s2, s3) {usage, s1},
#include "input/usage.def"
#undef KEY
};

static unsigned scan_code(unsigned usage)
{
    for (unsigned i = 0; i < sizeof device / sizeof device[0]; i++)
        if (device[i].usage == usage)
            return device[i].set1;
    return 0;
}

static struct xkb_context *ctx;

static void tables(void)
{
    struct xkb_keymap *map = xkb_keymap_new_from_names(ctx, &(struct xkb_rule_names){.rules = "evdev", .model = "pc105", .layout = "us"}, 0);
    bool header = true, names = true, at = true, device_knows = true, same_code = true, unique = true, back = true;
    for (unsigned i = 0; i < N_ROWS; i++) {
        const struct row *r = &rows[i];
        const char *xkb = xkb_keymap_key_get_name(map, r->evdev + 8);
        unsigned s1 = scan_code(r->usage);
        header &= r->evdev == r->header;
        if (*r->xkb && (!xkb || strcmp(xkb, r->xkb))) {
            printf("# %s: %s, xkb %s\n", r->name, r->xkb, xkb ? xkb : "none");
            names = false;
        }
        /* The kernel's codes to 83, and of 102nd, F11 and F12, are those of scan code set 1. */
        if (r->evdev <= 83 || (r->evdev >= 86 && r->evdev <= 88))
            at &= r->xt == r->evdev;
        device_knows &= s1 != 0;
        /* LANG1 and LANG2 have F2h and F1h in the set, and 72h and 71h as numbers of a key. */
        if (r->usage != 0x90 && r->usage != 0x91 && r->xt != ((s1 & 0x7f) | (s1 >> 8 == 0xe0 ? 0x80 : 0))) {
            printf("# %s: %02x, set 1 %04x\n", r->name, r->xt, s1);
            same_code = false;
        }
        for (unsigned j = 0; j < i; j++)
            unique &= rows[j].evdev != r->evdev && rows[j].usage != r->usage;
        back &= mks_usage_from_evdev(r->evdev) == r->usage && mks_evdev_from_usage(r->usage) == r->evdev && mks_xt_from_usage(r->usage) == r->xt &&
                (!*r->xkb || mks_usage_from_xkb_name(r->xkb) == r->usage);
    }
    ok(header, "codes are those of linux/input-event-codes.h");
    ok(names, "names of places are those of xkb's evdev codes");
    ok(at, "keys of the AT keyboard have its scan codes");
    ok(device_knows, "the keyboard device has a scan code for each");
    ok(same_code, "and the VNC key number is made of it");
    ok(unique, "no place and no usage twice");
    ok(back, "all look-ups agree");
    /* HID Usage Tables 1.12, section 10, by name. */
    static const struct {
        unsigned evdev, usage;
    } hid[] = {{KEY_A, 0x04},   {KEY_Z, 0x1d},        {KEY_1, 0x1e},     {KEY_0, 0x27},      {KEY_ENTER, 0x28},  {KEY_ESC, 0x29},     {KEY_SYSRQ, 0x46},
               {KEY_PAUSE, 0x48}, {KEY_SCROLLLOCK, 0x47}, {KEY_NUMLOCK, 0x53}, {KEY_KP1, 0x59},    {KEY_KPDOT, 0x63},  {KEY_102ND, 0x64},   {KEY_COMPOSE, 0x65},
               {KEY_F12, 0x45}, {KEY_F13, 0x68},      {KEY_RO, 0x87},    {KEY_KATAKANAHIRAGANA, 0x88}, {KEY_YEN, 0x89}, {KEY_HENKAN, 0x8a}, {KEY_MUHENKAN, 0x8b},
               {KEY_HANGEUL, 0x90}, {KEY_HANJA, 0x91}, {KEY_LEFTCTRL, 0xe0}, {KEY_LEFTSHIFT, 0xe1}, {KEY_LEFTALT, 0xe2}, {KEY_LEFTMETA, 0xe3},
               {KEY_RIGHTCTRL, 0xe4}, {KEY_RIGHTSHIFT, 0xe5}, {KEY_RIGHTALT, 0xe6}, {KEY_RIGHTMETA, 0xe7}};
    bool usages = true;
    for (unsigned i = 0; i < sizeof hid / sizeof hid[0]; i++)
        usages &= mks_usage_from_evdev(hid[i].evdev) == hid[i].usage;
    ok(usages, "usages of the HID tables");
    /* Every place of a 105-key, a Japanese and a Korean keyboard. */
    static const char *const places[] = {"TLDE", "AE01", "AE12", "AE13", "BKSP", "TAB", "AD01", "AD12", "BKSL", "CAPS", "AC01", "AC11", "AC12", "LFSH", "LSGT",
                                         "AB01", "AB10", "AB11", "RTSH", "LCTL", "LWIN", "LALT", "SPCE", "RALT", "RWIN", "COMP", "RCTL", "MUHE", "HENK", "HKTG",
                                         "HNGL", "HJCV", "PRSC", "SCLK", "PAUS", "KPEN", "KPDL", "NMLK", "FK01", "FK12"};
    bool all = true;
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++)
        all &= mks_usage_from_xkb_name(places[i]) != 0;
    ok(all, "no place of a PC keyboard is missing");
    ok(mks_usage_from_evdev(0) == 0 && mks_usage_from_evdev(9999) == 0 && mks_usage_from_xkb_name("") == 0, "no key, no usage");
    ok(mks_us_keysym(0x04, FALSE) == XKB_KEY_a && mks_us_keysym(0x1e, TRUE) == XKB_KEY_exclam && mks_us_keysym(0xE0, FALSE) == XKB_KEY_Control_L,
       "symbols of the US layout");
    ok(mks_usage_from_name("ctrl") == 0xE0 && mks_usage_from_name("f12") == 0x45 && mks_usage_from_name("f24") == 0x73 && mks_usage_from_name("a") == 4 &&
           mks_usage_from_name("0") == 0x27 && mks_usage_from_name("kp5") == 0x5d && mks_usage_from_name("del") == 0x4c && !mks_usage_from_name("nosuch"),
       "names of keys");
    xkb_keymap_unref(map);
}

/* Plays the steps; NULL when they leave a key down. */
static char *play(GArray *steps, const char *layout, const char *variant, bool caps)
{
    struct xkb_keymap *map =
        xkb_keymap_new_from_names(ctx, &(struct xkb_rule_names){.rules = "evdev", .model = "pc105", .layout = layout, .variant = variant}, 0);
    struct xkb_state *st = xkb_state_new(map);
    struct xkb_compose_table *table = xkb_compose_table_new_from_locale(ctx, "en_US.UTF-8", 0);
    struct xkb_compose_state *compose = table ? xkb_compose_state_new(table, 0) : NULL;
    GString *out = g_string_new("");
    int down = 0;
    if (caps) {
        xkb_state_update_key(st, KEY_CAPSLOCK + 8, XKB_KEY_DOWN);
        xkb_state_update_key(st, KEY_CAPSLOCK + 8, XKB_KEY_UP);
    }
    for (unsigned i = 0; i < steps->len; i++) {
        const struct mks_step *s = &g_array_index(steps, struct mks_step, i);
        xkb_keycode_t k = mks_evdev_from_usage(s->usage) + 8;
        down += s->down ? 1 : -1;
        if (s->down) {
            xkb_keysym_t sym = xkb_state_key_get_one_sym(st, k);
            char text[16] = "";
            if (compose && xkb_compose_state_feed(compose, sym) == XKB_COMPOSE_FEED_ACCEPTED &&
                xkb_compose_state_get_status(compose) != XKB_COMPOSE_NOTHING) {
                if (xkb_compose_state_get_status(compose) == XKB_COMPOSE_COMPOSED)
                    xkb_compose_state_get_utf8(compose, text, sizeof text);
            } else {
                xkb_keysym_to_utf8(sym, text, sizeof text);
            }
            g_string_append(out, !strcmp(text, "\r") ? "\n" : text);
        }
        xkb_state_update_key(st, k, s->down ? XKB_KEY_DOWN : XKB_KEY_UP);
    }
    bool held = down != 0 || xkb_state_serialize_mods(st, XKB_STATE_MODS_DEPRESSED) != 0;
    bool caps_now = xkb_state_mod_name_is_active(st, XKB_MOD_NAME_CAPS, XKB_STATE_MODS_LOCKED) > 0;
    if (compose)
        xkb_compose_state_unref(compose);
    xkb_compose_table_unref(table);
    xkb_state_unref(st);
    xkb_keymap_unref(map);
    return held || caps_now != caps ? (g_string_free(out, TRUE), NULL) : g_string_free(out, FALSE);
}

static void typing(void)
{
    static const struct {
        const char *layout, *l, *variant, *text;
    } cases[] = {
        {"us", "us", "", "Hello, World! ~`@#$%^&*()_+-={}[]|\\:;\"'<>?,./ 0123456789\n\tEnd"},
        {NULL, "us", "", "echo \"$HOME\" > ~/x\n"},
        {"de", "de", "", "Größe: ÄÖÜ äöü ß € @ {x} [y] \\ | ~ ^ ` é È z Y"},
        {"fr", "fr", "", "Été à Noël: ça coûte 10 €; où? [a] {b} #~|`\\^@ AZERTY azerty 1234567890"},
        {"ch(fr)", "ch", "fr", "Zürich, éàèçô @#[]{}"},
        {"es", "es", "", "¿Qué? ¡Mañana! áéíóú ñ @#[]{}"},
        {"pl", "pl", "", "Zażółć gęślą jaźń ŁÓDŹ"},
        {"gb", "gb", "", "£5 \"x\" @ # ~ | \\"},
        {"jp", "jp", "", "user@host:~$ a=\"b\" [c] {d} ^_\\|"},
        {"kr", "kr", "", "abc ABC !@#$%"},
        {"ru", "ru", "", "Съешь же ещё этих мягких булок."},
        {"br", "br", "", "São João: ação, pôr, você?"},
        {"se", "se", "", "Åäö @ £ $ {[]}"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        GError *e = NULL;
        GArray *a = mks_type_steps(cases[i].text, cases[i].layout, FALSE, &e);
        char *got = a ? play(a, cases[i].l, cases[i].variant, false) : NULL;
        if (!ok(got && !strcmp(got, cases[i].text), "text typed on the layout %s", cases[i].layout ? cases[i].layout : "(none given: us)"))
            printf("# want %s\n# got  %s\n# %s\n", cases[i].text, got ? got : "-", e ? e->message : "");
        g_free(got);
        if (a)
            g_array_unref(a);
        g_clear_error(&e);
    }
    GError *e = NULL;
    GArray *a = mks_type_steps("Caps Lock", "us", TRUE, &e);
    char *got = a ? play(a, "us", "", true) : NULL;
    ok(got && !strcmp(got, "Caps Lock"), "caps lock on in the guest: the text is right, and caps lock on again");
    g_free(got);
    g_array_unref(a);
    a = mks_type_steps("a\r\nb\rc", "us", FALSE, NULL);
    got = play(a, "us", "", false);
    ok(got && !strcmp(got, "a\nb\nc"), "ends of lines");
    g_free(got);
    g_array_unref(a);
    ok(!mks_type_steps("日本", "us", FALSE, &e) && e && strstr(e->message, "日") && strstr(e->message, "us"), "a character that the layout has not is named");
    g_clear_error(&e);
    ok(!mks_type_steps("x", "nosuchlayout", FALSE, &e) && e && strstr(e->message, "nosuchlayout"), "a layout that does not exist is named");
    g_clear_error(&e);
    ok(!mks_type_steps("x\001", "us", FALSE, &e) && e, "control characters are refused");
    g_clear_error(&e);
}

int main(void)
{
    ctx = xkb_context_new(XKB_CONTEXT_NO_ENVIRONMENT_NAMES);
    tables();
    typing();
    xkb_context_unref(ctx);
    return TAP_DONE();
}
