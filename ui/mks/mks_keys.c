/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables of keys by place (mks_keys.def), and the names that the control API gives keys. */
#include "ui/mks/mks_keys.h"

#include <string.h>

static const struct {
    guint16 evdev, usage;
    guint8 xt;
    char xkb[5];
} keys[] = {
#define KEY(evdev, name, usage, xt, xkb) {evdev, usage, xt, xkb},
#include "ui/mks/mks_keys.def"
#undef KEY
};

/* Places under the names that older sets of key codes give them ("xfree86", and vendors' own). */
static const struct {
    char xkb[5];
    guint16 usage;
} aliases[] = {
    {"AC12", 0x31}, {"LVL3", 0xE6}, {"ALGR", 0xE6}, {"MENU", 0x65}, {"LMTA", 0xE3}, {"RMTA", 0xE7}, {"XFER", 0x8A}, {"NFER", 0x8B},
    {"SYRQ", 0x46}, {"BRK", 0x48},  {"HZTG", 0x94}, {"KPPT", 0x85}, {"LSGT", 0x64}, {"AE00", 0x35}, {"BKSL", 0x31}, {"META", 0x65},
};

guint mks_usage_from_evdev(guint evdev)
{
    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
        if (keys[i].evdev == evdev)
            return keys[i].usage;
    return 0;
}

guint mks_usage_from_xkb_name(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
        if (*keys[i].xkb && !strcmp(keys[i].xkb, name))
            return keys[i].usage;
    for (gsize i = 0; i < G_N_ELEMENTS(aliases); i++)
        if (!strcmp(aliases[i].xkb, name))
            return aliases[i].usage;
    return 0;
}

guint mks_evdev_from_usage(guint usage)
{
    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
        if (keys[i].usage == usage)
            return keys[i].evdev;
    return 0;
}

guint mks_xt_from_usage(guint usage)
{
    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
        if (keys[i].usage == usage)
            return keys[i].xt;
    return 0;
}

guint mks_usage_from_name(const char *name)
{
    static const struct {
        const char *name;
        guint usage;
    } names[] = {
        {"enter", 0x28},      {"return", 0x28},     {"esc", 0x29},       {"escape", 0x29},    {"backspace", 0x2A},  {"tab", 0x2B},       {"space", 0x2C},
        {"minus", 0x2D},      {"equal", 0x2E},      {"leftbrace", 0x2F}, {"rightbrace", 0x30}, {"backslash", 0x31}, {"semicolon", 0x33}, {"apostrophe", 0x34},
        {"grave", 0x35},      {"comma", 0x36},      {"dot", 0x37},       {"slash", 0x38},     {"capslock", 0x39},   {"print", 0x46},     {"sysrq", 0x46},
        {"scrolllock", 0x47}, {"pause", 0x48},      {"insert", 0x49},    {"home", 0x4A},      {"pageup", 0x4B},     {"del", 0x4C},       {"delete", 0x4C},
        {"end", 0x4D},        {"pagedown", 0x4E},   {"right", 0x4F},     {"left", 0x50},      {"down", 0x51},       {"up", 0x52},        {"numlock", 0x53},
        {"kpslash", 0x54},    {"kpasterisk", 0x55}, {"kpminus", 0x56},   {"kpplus", 0x57},    {"kpenter", 0x58},    {"kpdot", 0x63},     {"102nd", 0x64},
        {"menu", 0x65},       {"ctrl", 0xE0},       {"shift", 0xE1},     {"alt", 0xE2},       {"super", 0xE3},      {"rightctrl", 0xE4}, {"rightshift", 0xE5},
        {"altgr", 0xE6},      {"rightsuper", 0xE7},
    };
    gsize l = strlen(name);
    if (l == 1 && g_ascii_isalpha(*name))
        return 0x04 + (guint)(g_ascii_tolower(*name) - 'a');
    if (l == 1 && g_ascii_isdigit(*name))
        return *name == '0' ? 0x27 : 0x1E + (guint)(*name - '1');
    if (l == 3 && g_str_has_prefix(name, "kp") && g_ascii_isdigit(name[2]))
        return name[2] == '0' ? 0x62 : 0x59 + (guint)(name[2] - '1');
    if ((*name == 'f' || *name == 'F') && (l == 2 || l == 3) && g_ascii_isdigit(name[1])) {
        guint64 n = g_ascii_strtoull(name + 1, NULL, 10);
        return n >= 1 && n <= 12 ? 0x39 + (guint)n : n >= 13 && n <= 24 ? 0x5B + (guint)n : 0;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        if (!g_ascii_strcasecmp(names[i].name, name))
            return names[i].usage;
    return 0;
}
