/* SPDX-License-Identifier: GPL-2.0-or-later */
/* USB HID Usage Tables, keyboard page (07h): names for the control API, and the US layout for typing text. */
#include "keys.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    uint16_t usage;
} names[] = {
    {"enter", 0x28},      {"return", 0x28},     {"esc", 0x29},        {"escape", 0x29},     {"backspace", 0x2A},  {"tab", 0x2B},        {"space", 0x2C},
    {"minus", 0x2D},      {"equal", 0x2E},      {"leftbrace", 0x2F},  {"rightbrace", 0x30}, {"backslash", 0x31},  {"semicolon", 0x33},  {"apostrophe", 0x34},
    {"grave", 0x35},      {"comma", 0x36},      {"dot", 0x37},        {"slash", 0x38},      {"capslock", 0x39},   {"print", 0x46},      {"sysrq", 0x46},
    {"scrolllock", 0x47}, {"pause", 0x48},      {"insert", 0x49},     {"ins", 0x49},        {"home", 0x4A},       {"pageup", 0x4B},     {"delete", 0x4C},
    {"del", 0x4C},        {"end", 0x4D},        {"pagedown", 0x4E},   {"right", 0x4F},      {"left", 0x50},       {"down", 0x51},       {"up", 0x52},
    {"numlock", 0x53},    {"kpslash", 0x54},    {"kpasterisk", 0x55}, {"kpminus", 0x56},    {"kpplus", 0x57},     {"kpenter", 0x58},    {"kpdot", 0x63},
    {"102nd", 0x64},      {"menu", 0x65},       {"ctrl", 0xE0},       {"leftctrl", 0xE0},   {"shift", 0xE1},      {"leftshift", 0xE1},  {"alt", 0xE2},
    {"leftalt", 0xE2},    {"super", 0xE3},      {"meta", 0xE3},       {"rightctrl", 0xE4},  {"rightshift", 0xE5}, {"altgr", 0xE6},      {"rightalt", 0xE6},
    {"rightsuper", 0xE7},
};

uint16_t key_by_name(const char *name)
{
    bool shift;
    size_t l = strlen(name);
    if (l == 1 && isalnum((unsigned char)*name))
        return key_by_char((unsigned char)tolower((unsigned char)*name), &shift);
    if ((*name == 'f' || *name == 'F') && (l == 2 || l == 3) && isdigit((unsigned char)name[1])) {
        int n = atoi(name + 1);
        return (uint16_t)(n >= 1 && n <= 12 ? 0x39 + n : n >= 13 && n <= 24 ? 0x5B + n : 0);
    }
    if (l == 3 && !strncasecmp(name, "kp", 2) && isdigit((unsigned char)name[2]))
        return name[2] == '0' ? 0x62 : (uint16_t)(0x58 + name[2] - '0');
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strcasecmp(names[i].name, name))
            return names[i].usage;
    return 0;
}

uint16_t key_by_char(unsigned c, bool *shift)
{
    /* Usages 1Eh..38h: what each key types without and with shift; a blank has none. */
    static const char plain[] = "1234567890     -=[]\\ ;'`,./", shifted[] = "!@#$%^&*()     _+{}| :\"~<>?";
    *shift = false;
    if (c >= 'a' && c <= 'z')
        return (uint16_t)(0x04 + c - 'a');
    if (c >= 'A' && c <= 'Z') {
        *shift = true;
        return (uint16_t)(0x04 + c - 'A');
    }
    switch (c) {
    case ' ':
        return 0x2C;
    case '\n':
    case '\r':
        return 0x28;
    case '\t':
        return 0x2B;
    case '\b':
        return 0x2A;
    case 27:
        return 0x29;
    default:
        break;
    }
    if (c <= ' ' || c > '~')
        return 0;
    const char *p = strchr(plain, (int)c);
    if (!p && (p = strchr(shifted, (int)c)))
        *shift = true;
    if (!p)
        return 0;
    return (uint16_t)(0x1E + (p - (*shift ? shifted : plain)));
}
