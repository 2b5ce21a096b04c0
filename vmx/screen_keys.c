/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keyboard layouts by physical place. A layout is the characters of its keys in order of place, four rows, for no modifier, Shift and AltGr; a
 * blank means that the key gives nothing there. Dead keys stand as the accent that they put on the next letter.
 */
#include "screen_keys.h"

#include <string.h>
#include <strings.h>

/* Places of the rows, left to right. */
static const uint8_t place[4][14] = {
    {0x35, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2d, 0x2e},
    {0x14, 0x1a, 0x08, 0x15, 0x17, 0x1c, 0x18, 0x0c, 0x12, 0x13, 0x2f, 0x30, 0x31},
    {0x04, 0x16, 0x07, 0x09, 0x0a, 0x0b, 0x0d, 0x0e, 0x0f, 0x33, 0x34, 0x32},
    {0x64, 0x1d, 0x1b, 0x06, 0x19, 0x05, 0x11, 0x10, 0x36, 0x37, 0x38},
};

struct keymap {
    const char *names; /* space separated */
    const char *row[4][3];
};

static const struct keymap keymaps[] = {
    {"us en en-us",
     {{"`1234567890-=", "~!@#$%^&*()_+"},
      {"qwertyuiop[]\\", "QWERTYUIOP{}|"},
      {"asdfghjkl;'", "ASDFGHJKL:\""},
      {" zxcvbnm,./", " ZXCVBNM<>?"}}},
    {"uk gb en-gb",
     {{"`1234567890-=", "¬!\"£$%^&*()_+", "¦   €"},
      {"qwertyuiop[]", "QWERTYUIOP{}", "  é   úíó"},
      {"asdfghjkl;'#", "ASDFGHJKL:@~", "á"},
      {"\\zxcvbnm,./", "|ZXCVBNM<>?"}}},
    {"de de-de de-at at",
     {{"^1234567890ß´", "°!\"§$%&/()=?`", "  ²³   {[]}\\"},
      {"qwertzuiopü+", "QWERTZUIOPÜ*", "@ €        ~"},
      {"asdfghjklöä#", "ASDFGHJKLÖÄ'"},
      {"<yxcvbnm,.-", ">YXCVBNM;:_", "|      µ"}}},
    {"ch de-ch sg",
     {{"§1234567890'^", "°+\"*ç%&/()=?`", " ¦@#  ¬|¢  ´~"},
      {"qwertzuiopü¨", "QWERTZUIOPè!", "  €       []"},
      {"asdfghjklöä$", "ASDFGHJKLéà£", "          {}"},
      {"<yxcvbnm,.-", ">YXCVBNM;:_", "\\"}}},
    {"fr-ch sf",
     {{"§1234567890'^", "°+\"*ç%&/()=?`", " ¦@#  ¬|¢  ´~"},
      {"qwertzuiopè¨", "QWERTZUIOPü!", "  €       []"},
      {"asdfghjkléà$", "ASDFGHJKLöä£", "          {}"},
      {"<yxcvbnm,.-", ">YXCVBNM;:_", "\\"}}},
    {"fr fr-fr",
     {{"²&é\"'(-è_çà)=", " 1234567890°+", "  ~#{[|`\\^@]}"},
      {"azertyuiop^$", "AZERTYUIOP¨£", "  €        ¤"},
      {"qsdfghjklmù*", "QSDFGHJKLM%µ"},
      {"<wxcvbn,;:!", ">WXCVBN?./§"}}},
    {"be fr-be nl-be",
     {{"²&é\"'(§è!çà)-", "³1234567890°_", " |@#  ^  {}"},
      {"azertyuiop^$", "AZERTYUIOP¨*", "  €       []"},
      {"qsdfghjklmùµ", "QSDFGHJKLM%£", "          ´`"},
      {"<wxcvbn,;:=", ">WXCVBN?./+", "\\         ~"}}},
    {"es es-es",
     {{"º1234567890'¡", "ª!\"·$%&/()=?¿", "\\|@#~€¬"},
      {"qwertyuiop`+", "QWERTYUIOP^*", "  €       []"},
      {"asdfghjklñ´ç", "ASDFGHJKLÑ¨Ç", "          {}"},
      {"<zxcvbnm,.-", ">ZXCVBNM;:_"}}},
    {"it it-it",
     {{"\\1234567890'ì", "|!\"£$%&/()=?^"},
      {"qwertyuiopè+", "QWERTYUIOPé*", "  €       []"},
      {"asdfghjklòàù", "ASDFGHJKLç°§", "         @#"},
      {"<zxcvbnm,.-", ">ZXCVBNM;:_"}}},
    {"pt pt-pt",
     {{"\\1234567890'«", "|!\"#$%&/()=?»", "  @£§  {[]}"},
      {"qwertyuiop+´", "QWERTYUIOP*`", "  €       ¨"},
      {"asdfghjklçº~", "ASDFGHJKLÇª^"},
      {"<zxcvbnm,.-", ">ZXCVBNM;:_"}}},
    {"pt-br br",
     {{"'1234567890-=", "\"!@#$%¨&*()_+", " ¹²³£¢¬"},
      {"qwertyuiop´[", "QWERTYUIOP`{", "/?°        ª"},
      {"asdfghjklç~]", "ASDFGHJKLÇ^}", "           º"},
      {"\\zxcvbnm,.;", "|ZXCVBNM<>:"}}},
    {"sv se fi sv-se fi-fi",
     {{"§1234567890+´", "½!\"#¤%&/()=?`", "  @£$€ {[]}\\"},
      {"qwertyuiopå¨", "QWERTYUIOPÅ^", "  €        ~"},
      {"asdfghjklöä'", "ASDFGHJKLÖÄ*"},
      {"<zxcvbnm,.-", ">ZXCVBNM;:_", "|      µ"}}},
    {"no nb nb-no",
     {{"|1234567890+\\", "§!\"#¤%&/()=?`", "  @£$€ {[]} ´"},
      {"qwertyuiopå¨", "QWERTYUIOPÅ^", "  €        ~"},
      {"asdfghjkløæ'", "ASDFGHJKLØÆ*"},
      {"<zxcvbnm,.-", ">ZXCVBNM;:_", "       µ"}}},
    {"da dk da-dk",
     {{"½1234567890+´", "§!\"#¤%&/()=?`", "  @£$€ {[]} |"},
      {"qwertyuiopå¨", "QWERTYUIOPÅ^", "  €        ~"},
      {"asdfghjklæø'", "ASDFGHJKLÆØ*"},
      {"<zxcvbnm,.-", ">ZXCVBNM;:_", "\\      µ"}}},
    {"nl nl-nl",
     {{"@1234567890/°", "§!\"#$%&_()'?~", " ¹²³¼½¾£{} \\¸"},
      {"qwertyuiop¨*", "QWERTYUIOP^|", "  €"},
      {"asdfghjkl+´<", "ASDFGHJKL±`>", " ß"},
      {"]zxcvbnm,.-", "[ZXCVBNM;:=", "¦«»¢   µ ·"}}},
    {"is is-is",
     {{"°1234567890ö-", "¨!\"#$%&/()=Ö_", "   ³$€ {[]}\\"},
      {"qwertyuiopð'", "QWERTYUIOPÐ?", "@ €        ~"},
      {"asdfghjklæ´+", "ASDFGHJKLÆ *", "          ^`"},
      {"<zxcvbnm,.þ", ">ZXCVBNM;:Þ", "|      µ"}}},
    {"pl pl-pl",
     {{"`1234567890-=", "~!@#$%^&*()_+"},
      {"qwertyuiop[]\\", "QWERTYUIOP{}|", "  ę     ó"},
      {"asdfghjkl;'", "ASDFGHJKL:\"", "ąś      ł"},
      {" zxcvbnm,./", " ZXCVBNM<>?", " żźć  ń"}}},
    {"hu hu-hu",
     {{"0123456789öüó", "§'\"+!%/=()ÖÜÓ", " ~ˇ^˘°˛`˙´˝¨¸"},
      {"qwertzuiopőú", "QWERTZUIOPŐÚ", "\\|Ä     Í €÷×"},
      {"asdfghjkléáű", "ASDFGHJKLÉÁŰ", " đĐ[] íłŁ$ß¤"},
      {"íyxcvbnm,.-", "ÍYXCVBNM?:_", "<>#&@{} ;>*"}}},
    {"tr tr-tr",
     {{"\"1234567890*-", "é!'^+%&/()=?_", "<>£#$½ {[]}\\|"},
      {"qwertyuıopğü", "QWERTYUIOPĞÜ", "@ €        ~"},
      {"asdfghjklşi,", "ASDFGHJKLŞİ;", "æß        ´`"},
      {"<zxcvbnmöç.", ">ZXCVBNMÖÇ:", "|"}}},
};

static bool word_is(const char *words, const char *name, size_t n)
{
    while (*words) {
        size_t len = strcspn(words, " ");
        if (len == n && !strncasecmp(words, name, n))
            return true;
        words += len;
        words += *words == ' ';
    }
    return false;
}

const struct keymap *keymap_find(const char *name)
{
    char norm[16];
    size_t n = 0;
    if (!name || !*name)
        return &keymaps[0];
    for (; name[n] && name[n] != '.' && n < sizeof norm; n++)
        norm[n] = name[n] == '_' ? '-' : name[n];
    for (unsigned i = 0; i < sizeof keymaps / sizeof keymaps[0]; i++)
        if (word_is(keymaps[i].names, norm, n))
            return &keymaps[i];
    return NULL;
}

const char *keymap_names(void) { return "us, uk, de, ch, fr-ch, fr, be, es, it, pt, pt-br, sv, fi, no, da, nl, is, pl, hu, tr"; }

/* One UTF-8 character of our own tables. */
static uint32_t utf8_next(const char **p)
{
    const unsigned char *s = (const unsigned char *)*p;
    if (s[0] < 0x80) {
        *p += 1;
        return s[0];
    }
    if (s[0] < 0xe0) {
        *p += 2;
        return (uint32_t)(s[0] & 0x1f) << 6 | (s[1] & 0x3f);
    }
    *p += 3;
    return (uint32_t)(s[0] & 0x0f) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (s[2] & 0x3f);
}

/* Keysyms of characters: Latin-1 as they are, 01xxxxxxh Unicode, and the older sets that layouts above need. */
static uint32_t keysym_char(uint32_t k)
{
    static const uint16_t legacy[][2] = {
        /* Latin-2 and Latin-3/5 */
        {0x1a1, 0x104}, {0x1a3, 0x141}, {0x1a6, 0x15a}, {0x1ac, 0x179}, {0x1af, 0x17b}, {0x1b1, 0x105}, {0x1b3, 0x142}, {0x1b6, 0x15b}, {0x1bc, 0x17a},
        {0x1bf, 0x17c}, {0x1c6, 0x106}, {0x1ca, 0x118}, {0x1d0, 0x110}, {0x1d1, 0x143}, {0x1d5, 0x150}, {0x1db, 0x170}, {0x1e6, 0x107}, {0x1ea, 0x119},
        {0x1f0, 0x111}, {0x1f1, 0x144}, {0x1f5, 0x151}, {0x1fb, 0x171}, {0x1b7, 0x2c7}, {0x1a2, 0x2d8}, {0x1b2, 0x2db}, {0x1ff, 0x2d9}, {0x1bd, 0x2dd},
        {0x2a9, 0x130}, {0x2ab, 0x11e}, {0x2b9, 0x131}, {0x2bb, 0x11f}, {0x1aa, 0x15e}, {0x1ba, 0x15f}, {0x20ac, 0x20ac},
        /* dead keys: the accent itself */
        {0xfe50, '`'}, {0xfe51, 0xb4}, {0xfe52, '^'}, {0xfe53, '~'}, {0xfe57, 0xa8}, {0xfe58, 0xb0}, {0xfe5b, 0xb8}, {0xfe5a, 0x2c7}, {0xfe55, 0x2d8},
        {0xfe5c, 0x2db}, {0xfe56, 0x2d9}, {0xfe59, 0x2dd},
    };
    if ((k >= 0x20 && k <= 0x7e) || (k >= 0xa0 && k <= 0xff))
        return k;
    if ((k & 0xff000000) == 0x01000000)
        return k & 0xffffff;
    for (unsigned i = 0; i < sizeof legacy / sizeof legacy[0]; i++)
        if (legacy[i][0] == k)
            return legacy[i][1];
    return 0;
}

/* Keys that are at the same place on every keyboard. */
static uint8_t common_key(uint32_t k)
{
    static const struct {
        uint16_t keysym;
        uint8_t hid;
    } t[] = {
        {0xff08, 0x2a}, {0xff09, 0x2b}, {0xfe20, 0x2b}, {0xff0d, 0x28}, {0xff0a, 0x28}, {0xff1b, 0x29}, {0xff13, 0x48}, {0xff6b, 0x48}, {0xff14, 0x47},
        {0xff15, 0x46}, {0xff61, 0x46}, {0xff63, 0x49}, {0xffff, 0x4c}, {0xff50, 0x4a}, {0xff51, 0x50}, {0xff52, 0x52}, {0xff53, 0x4f}, {0xff54, 0x51},
        {0xff55, 0x4b}, {0xff56, 0x4e}, {0xff57, 0x4d}, {0xff67, 0x65}, {0xff7f, 0x53},
        {0xffe1, HID_LSHIFT}, {0xffe2, HID_RSHIFT}, {0xffe3, HID_LCTRL}, {0xffe4, HID_RCTRL}, {0xffe5, HID_CAPS}, {0xffe6, HID_CAPS},
        {0xffe7, HID_LALT}, {0xffe8, HID_RALT}, {0xffe9, HID_LALT}, {0xffea, HID_RALT}, {0xffeb, HID_LGUI}, {0xffec, HID_RGUI}, {0xffed, HID_LGUI},
        {0xffee, HID_RGUI}, {0xff7e, HID_RALT}, {0xfe03, HID_RALT},
        /* keypad */
        {0xff8d, 0x58}, {0xff95, 0x5f}, {0xff96, 0x5c}, {0xff97, 0x60}, {0xff98, 0x5e}, {0xff99, 0x5a}, {0xff9a, 0x61}, {0xff9b, 0x5b}, {0xff9c, 0x59},
        {0xff9d, 0x5d}, {0xff9e, 0x62}, {0xff9f, 0x63}, {0xffaa, 0x55}, {0xffab, 0x57}, {0xffac, 0x85}, {0xffad, 0x56}, {0xffae, 0x63}, {0xffaf, 0x54},
        {0xffb0, 0x62}, {0xffbd, 0x67},
        /* Japanese and Korean keys */
        {0xff22, 0x8b}, {0xff23, 0x8a}, {0xff27, 0x88}, {0xff2a, 0x35}, {0xff31, 0x90}, {0xff34, 0x91},
    };
    if (k >= 0xffbe && k <= 0xffc9) /* F1-F12 */
        return (uint8_t)(0x3a + (k - 0xffbe));
    if (k >= 0xffca && k <= 0xffd5) /* F13-F24 */
        return (uint8_t)(0x68 + (k - 0xffca));
    if (k >= 0xffb1 && k <= 0xffb9) /* KP_1-KP_9 */
        return (uint8_t)(0x59 + (k - 0xffb1));
    if (k == ' ')
        return 0x2c;
    if (k == 0x1008ff12) /* mute, down, up */
        return 0x7f;
    if (k == 0x1008ff11)
        return 0x81;
    if (k == 0x1008ff13)
        return 0x80;
    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++)
        if (t[i].keysym == k)
            return t[i].hid;
    return 0;
}

static bool find_char(const struct keymap *m, uint32_t c, unsigned level, uint8_t *hid)
{
    for (unsigned r = 0; r < 4; r++) {
        const char *p = m->row[r][level];
        for (unsigned i = 0; p && *p; i++)
            if (utf8_next(&p) == c && i < 14 && place[r][i]) {
                *hid = place[r][i];
                return true;
            }
    }
    return false;
}

struct key_place keymap_lookup(const struct keymap *m, uint32_t keysym)
{
    struct key_place k = {.hid = common_key(keysym), .plain = true};
    if (k.hid)
        return k;
    k.plain = false;
    uint32_t c = keysym_char(keysym);
    if (!c || c == ' ')
        return k;
    for (unsigned level = 0; level < 3; level++)
        if (find_char(m, c, level, &k.hid)) {
            k.shift = level == 1;
            k.altgr = level == 2;
            k.letter = level < 2 && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));
            return k;
        }
    /* A symbol that this layout does not have: the place that it has on a US keyboard. */
    if (m != &keymaps[0])
        return keymap_lookup(&keymaps[0], keysym);
    return k;
}

uint8_t hid_from_xt(uint32_t code)
{
    static const uint8_t base[128] = {
        0,    0x29, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2d, 0x2e, 0x2a, 0x2b, /* 00 */
        0x14, 0x1a, 0x08, 0x15, 0x17, 0x1c, 0x18, 0x0c, 0x12, 0x13, 0x2f, 0x30, 0x28, 0xe0, 0x04, 0x16, /* 10 */
        0x07, 0x09, 0x0a, 0x0b, 0x0d, 0x0e, 0x0f, 0x33, 0x34, 0x35, 0xe1, 0x31, 0x1d, 0x1b, 0x06, 0x19, /* 20 */
        0x05, 0x11, 0x10, 0x36, 0x37, 0x38, 0xe5, 0x55, 0xe2, 0x2c, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, /* 30 */
        0x3f, 0x40, 0x41, 0x42, 0x43, 0x53, 0x47, 0x5f, 0x60, 0x61, 0x56, 0x5c, 0x5d, 0x5e, 0x57, 0x59, /* 40 */
        0x5a, 0x5b, 0x62, 0x63, 0x46, 0,    0x64, 0x44, 0x45, 0x67, 0,    0,    0x8c, 0x68, 0x69, 0x6a, /* 50 */
        0,    0,    0,    0,    0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70, 0x71, 0x72, 0,    /* 60 */
        0x88, 0,    0,    0x87, 0,    0,    0x73, 0x93, 0x92, 0x8a, 0,    0x8b, 0,    0x89, 0x85, 0,    /* 70 */
    };
    if (code < 0x80)
        return base[code];
    switch (code & 0xff7f) {
    case 0x1c: return 0x58; /* keypad Enter */
    case 0x1d: return 0xe4;
    case 0x20: return 0x7f;
    case 0x2e: return 0x81;
    case 0x30: return 0x80;
    case 0x35: return 0x54; /* keypad / */
    case 0x37: return 0x46; /* Print Screen */
    case 0x38: return 0xe6;
    case 0x45: return 0x53;
    case 0x46: return 0x48; /* Break = Ctrl+Pause */
    case 0x47: return 0x4a;
    case 0x48: return 0x52;
    case 0x49: return 0x4b;
    case 0x4b: return 0x50;
    case 0x4d: return 0x4f;
    case 0x4f: return 0x4d;
    case 0x50: return 0x51;
    case 0x51: return 0x4e;
    case 0x52: return 0x49;
    case 0x53: return 0x4c;
    case 0x5b: return 0xe3;
    case 0x5c: return 0xe7;
    case 0x5d: return 0x65;
    case 0x5e: return 0x66;
    }
    return 0;
}
