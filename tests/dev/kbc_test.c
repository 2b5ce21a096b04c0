/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 8042, PS/2 keyboard, PS/2 mouse and the input router together, as a driver sees them. Expected values: IBM PS/2 Technical Reference, Microsoft's
 * scan code specification, the IntelliMouse protocol.
 */
#include <string.h>

#include "chipset/kbc.h"
#include "input/input.h"
#include "input/ps2kbd.h"
#include "input/ps2mouse.h"
#include "tests/fakevm.h"
#include "tests/tap.h"

struct box {
    struct vm *vm;
    struct input *in;
    struct dev *kbd, *mouse, *kbc;
    struct fakevm_irqs irqs;
    unsigned leds;
};

static void on_leds(void *u, unsigned leds) { ((struct box *)u)->leds = leds; }

static void box_make(struct box *x)
{
    struct err e = {0};
    memset(x, 0, sizeof *x);
    x->vm = fakevm_new(1, 1);
    x->in = input_new(x->vm, &e);
    input_on_leds(x->in, on_leds, x);
    fakevm_irqs_init(&x->irqs);
    x->kbd = dev_create(x->vm, &ps2kbd_class, "kbd", &(struct ps2kbd_params){x->in}, &e);
    x->mouse = dev_create(x->vm, &ps2mouse_class, "mouse", &(struct ps2mouse_params){x->in}, &e);
    struct kbc_params p = {.irq1 = fakevm_irq(&x->irqs, 1), .irq12 = fakevm_irq(&x->irqs, 12), .a20 = fakevm_irq(&x->irqs, 20),
                           .kbd = ps2kbd_link(x->kbd), .aux = ps2mouse_link(x->mouse)};
    x->kbc = dev_create(x->vm, &kbc_class, "kbc", &p, &e);
}

static void box_free(struct box *x)
{
    fakevm_free(x->vm);
    input_free(x->in);
}

static uint8_t st(struct box *x) { return (uint8_t)fakevm_in(x->vm, 0x64, 1); }
static void cmd(struct box *x, uint8_t c) { fakevm_out(x->vm, 0x64, 1, c); }
static void data(struct box *x, uint8_t c) { fakevm_out(x->vm, 0x60, 1, c); }

/* The next byte, waiting up to 2 ms for it; -1: none. aux gets its source. */
static int next(struct box *x, bool *aux)
{
    for (int i = 0; i < 20 && !(st(x) & 1); i++)
        fakevm_advance(x->vm, 100000);
    uint8_t s = st(x);
    if (aux)
        *aux = s & 0x20;
    return s & 1 ? (int)fakevm_in(x->vm, 0x60, 1) : -1;
}

/* All bytes that come, in hex, separated by spaces. */
static const char *bytes(struct box *x)
{
    static char out[400];
    size_t n = 0;
    out[0] = 0;
    for (int v; n < sizeof out - 4 && (v = next(x, NULL)) >= 0;)
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%02X", n ? " " : "", v);
    return out;
}

static void expect(struct box *x, const char *want, const char *what)
{
    const char *got = bytes(x);
    if (!ok(!strcmp(got, want), "%s", what))
        printf("# got %s, want %s\n", got, want);
}

static void set_ccb(struct box *x, uint8_t v)
{
    cmd(x, 0x60);
    data(x, v);
}

static void kbd_cmd(struct box *x, uint8_t c) { data(x, c); }
static void mouse_cmd(struct box *x, uint8_t c)
{
    cmd(x, 0xd4);
    data(x, c);
}

static void key(struct box *x, uint16_t usage, bool down)
{
    input_post(x->in, &(struct input_event){.type = IN_KEY, .code = usage, .x = down}, 1);
    fakevm_run_posts(x->vm);
}
static void tap(struct box *x, uint16_t usage)
{
    key(x, usage, true);
    key(x, usage, false);
}

static void test_controller(struct box *x)
{
    struct vm *vm = x->vm;
    is_u64(st(x) & 0x01, 0, "output buffer empty");
    cmd(x, 0xaa);
    is_u64(st(x) & 0x2d, 0x0d, "output full, system flag, last write was a command");
    expect(x, "55", "self-test");
    cmd(x, 0xab);
    expect(x, "00", "keyboard interface test");
    cmd(x, 0xa9);
    expect(x, "00", "auxiliary interface test");
    cmd(x, 0x20);
    is_u64(fakevm_in(vm, 0x60, 1) & 0x34, 0x34, "after the self-test: system flag, both devices disabled");
    set_ccb(x, 0x47);
    is_u64(st(x) & 8, 0, "last write was data");
    cmd(x, 0x20);
    expect(x, "47", "command byte");
    cmd(x, 0x65);
    data(x, 0xc3);
    cmd(x, 0x25);
    expect(x, "C3", "controller RAM");
    cmd(x, 0xa7);
    cmd(x, 0x20);
    expect(x, "67", "disable auxiliary");
    cmd(x, 0xa8);
    cmd(x, 0xad);
    cmd(x, 0x20);
    expect(x, "57", "enable auxiliary, disable keyboard");
    cmd(x, 0xae);
    cmd(x, 0x20);
    expect(x, "47", "enable keyboard");
    cmd(x, 0xa4);
    expect(x, "F1", "no password");
    bool aux;
    fakevm_irqs_rises(&x->irqs, 12);
    cmd(x, 0xd3);
    data(x, 0x5a);
    is_u64(fakevm_irqs_rises(&x->irqs, 12), 1, "auxiliary loop: IRQ 12");
    int v = next(x, &aux);
    ok(v == 0x5a && aux, "auxiliary loop: the byte and its source");
    cmd(x, 0xd2);
    data(x, 0xa5);
    is_u64(fakevm_irqs_rises(&x->irqs, 1) > 0, 1, "keyboard loop: IRQ 1");
    v = next(x, &aux);
    ok(v == 0xa5 && !aux, "keyboard loop, not translated");
    cmd(x, 0xd0);
    is_u64(fakevm_in(vm, 0x60, 1) & 3, 3, "output port: A20 open, no reset");
    ok(fakevm_irqs_level(&x->irqs, 20), "A20 line");
    cmd(x, 0xd1);
    data(x, 0xdd);
    ok(!fakevm_irqs_level(&x->irqs, 20), "A20 closed by the output port");
    cmd(x, 0xdf);
    ok(fakevm_irqs_level(&x->irqs, 20), "A20 opened by DFh");
    cmd(x, 0xdd);
    ok(!fakevm_irqs_level(&x->irqs, 20), "A20 closed by DDh");
    cmd(x, 0xdf);
    cmd(x, 0xff);
    is_u64(fakevm_requests(vm, 0) & VR_INIT, 0, "FFh pulses nothing");
    cmd(x, 0xfe);
    is_u64(fakevm_requests(vm, 0) & VR_INIT, VR_INIT, "FEh: INIT of the processors");
    cmd(x, 0xd1);
    data(x, 0xde);
    is_u64(fakevm_requests(vm, 0) & VR_INIT, VR_INIT, "output port bit 0 too");
    is_u64(fakevm_wishes(vm, WISH_RESET), 0, "and nothing else is reset");
}

static void test_kbd_commands(struct box *x)
{
    set_ccb(x, 0x07); /* no translation */
    kbd_cmd(x, 0xff);
    expect(x, "FA AA", "reset");
    kbd_cmd(x, 0xf2);
    expect(x, "FA AB 83", "id");
    set_ccb(x, 0x47);
    kbd_cmd(x, 0xf2);
    expect(x, "FA AB 41", "id, translated");
    kbd_cmd(x, 0xee);
    expect(x, "EE", "echo");
    kbd_cmd(x, 0xed);
    expect(x, "FA", "LEDs");
    kbd_cmd(x, 0x06);
    expect(x, "FA", "LED state");
    is_u64(x->leds, 6, "num and caps lock reach the host");
    kbd_cmd(x, 0xf3);
    expect(x, "FA", "typematic");
    kbd_cmd(x, 0x20);
    expect(x, "FA", "typematic rate");
    kbd_cmd(x, 0xf0);
    expect(x, "FA", "scan code set");
    kbd_cmd(x, 0x00);
    expect(x, "FA 41", "set 2 (translated as ever)");
    kbd_cmd(x, 0xf0);
    bytes(x);
    kbd_cmd(x, 0x04);
    expect(x, "FE", "there is no set 4");
    kbd_cmd(x, 0xe1);
    expect(x, "FE", "unknown command");
    kbd_cmd(x, 0xed);
    bytes(x);
    kbd_cmd(x, 0xf4);
    expect(x, "FA", "a command in place of a parameter is obeyed");
    kbd_cmd(x, 0xfe);
    expect(x, "FA", "resend");
}

static void test_keys(struct box *x)
{
    set_ccb(x, 0x47);
    kbd_cmd(x, 0xf4);
    bytes(x);
    fakevm_irqs_rises(&x->irqs, 1);
    key(x, 0x04, true);
    is_u64(fakevm_irqs_rises(&x->irqs, 1), 1, "a key is an IRQ 1");
    expect(x, "1E", "A down, set 1");
    ok(!fakevm_irqs_level(&x->irqs, 1), "reading lowers IRQ 1");
    key(x, 0x04, true);
    expect(x, "1E", "held: the make code again");
    key(x, 0x04, false);
    expect(x, "9E", "A up");
    key(x, 0x04, false);
    expect(x, "", "up twice says nothing");
    tap(x, 0x29);
    expect(x, "01 81", "Escape");
    tap(x, 0x40);
    expect(x, "41 C1", "F7 (83h in set 2)");
    tap(x, 0x52);
    expect(x, "E0 48 E0 C8", "Up");
    tap(x, 0x58);
    expect(x, "E0 1C E0 9C", "keypad Enter");
    tap(x, 0xe6);
    expect(x, "E0 38 E0 B8", "right Alt");
    tap(x, 0x64);
    expect(x, "56 D6", "the 102nd key");
    tap(x, 0x48);
    expect(x, "E1 1D 45 E1 9D C5", "Pause");
    key(x, 0xe0, true);
    tap(x, 0x48);
    key(x, 0xe0, false);
    expect(x, "1D E0 46 E0 C6 9D", "Ctrl+Pause is Break");
    tap(x, 0x46);
    expect(x, "E0 2A E0 37 E0 B7 E0 AA", "PrintScreen");
    key(x, 0xe2, true);
    tap(x, 0x46);
    key(x, 0xe2, false);
    expect(x, "38 54 D4 B8", "Alt+PrintScreen is SysRq");
    tap(x, 0x90);
    tap(x, 0x91);
    expect(x, "F2 F1", "Hangul and Hanja, make only");
    tap(x, 0x89);
    tap(x, 0x8a);
    tap(x, 0x8b);
    expect(x, "7D FD 79 F9 7B FB", "Yen, Henkan, Muhenkan");
    tap(x, 0x7f);
    tap(x, 0xc00 + 0xcd);
    expect(x, "E0 20 E0 A0 E0 22 E0 A2", "Mute, play");
    set_ccb(x, 0x07);
    tap(x, 0x04);
    expect(x, "1C F0 1C", "A, set 2");
    tap(x, 0x52);
    expect(x, "E0 75 E0 F0 75", "Up, set 2");
    tap(x, 0x48);
    expect(x, "E1 14 77 E1 F0 14 F0 77", "Pause, set 2");
    tap(x, 0x46);
    expect(x, "E0 12 E0 7C E0 F0 7C E0 F0 12", "PrintScreen, set 2");
    kbd_cmd(x, 0xf0);
    kbd_cmd(x, 0x01);
    bytes(x);
    tap(x, 0x52);
    expect(x, "E0 48 E0 C8", "Up, set 1 of the keyboard");
    kbd_cmd(x, 0xf0);
    kbd_cmd(x, 0x03);
    bytes(x);
    tap(x, 0x04);
    expect(x, "1C", "A, set 3: typematic, no break");
    tap(x, 0xe1);
    expect(x, "12 F0 12", "Shift, set 3: make and break");
    for (unsigned u = 0x43; u <= 0x45; u++) {
        key(x, (uint16_t)u, true);
        key(x, (uint16_t)u, true);
        key(x, (uint16_t)u, false);
    }
    expect(x, "4F 56 5E", "F10 to F12 held, set 3: make only, once");
    kbd_cmd(x, 0xf8);
    expect(x, "FA", "all make/break");
    tap(x, 0x04);
    expect(x, "1C F0 1C", "A, set 3, make and break");
    kbd_cmd(x, 0xfd);
    kbd_cmd(x, 0x1c);
    bytes(x);
    kbd_cmd(x, 0xf4);
    bytes(x);
    tap(x, 0x04);
    expect(x, "1C", "A, set 3, make only");
    kbd_cmd(x, 0xf5);
    expect(x, "FA", "disable");
    tap(x, 0x04);
    expect(x, "", "disabled: silent");
    kbd_cmd(x, 0xf4);
    bytes(x);
    set_ccb(x, 0x57);
    tap(x, 0x05);
    expect(x, "", "held back while the interface is disabled");
    cmd(x, 0xae);
    expect(x, "30 B0", "then they come");
    set_ccb(x, 0x47);

    for (int i = 0; i < 24; i++) /* 36 bytes of set 2 */
        ps2kbd_key(x->kbd, 0x04, i % 2 == 0);
    const char *got = bytes(x);
    ok(strstr(got, "1E 9E") == got && !strcmp(got + strlen(got) - 2, "FF"), "overrun: a buffer full, then the overrun code (%s)", got);
    tap(x, 0x05);
    expect(x, "30 B0", "and it goes on");

    /* The router waits for room: of what a program types while the guest stands still nothing is lost. */
    static const char typed[] = "1E 9E 30 B0 2E AE 20 A0 12 92 21 A1 22 A2 23 A3 17 97 24 A4 25 A5 26 A6 32 B2 31 B1 18 98 19 99";
    char all[200] = "";
    for (unsigned i = 0; i < 16; i++)
        tap(x, (uint16_t)(0x04 + i)); /* a to p */
    fakevm_advance(x->vm, 1000000000);
    for (int i = 0; i < 16; i++) {
        got = bytes(x);
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", *all && *got ? " " : "", got);
        if (!i)
            ok(strlen(got) < 50, "a driver that empties the keyboard comes to an end (%s)", got);
        fakevm_advance(x->vm, 10000000);
    }
    if (!ok(!strcmp(all, typed), "all that was typed while the guest stood still"))
        printf("# got %s, want %s\n", all, typed);
    for (unsigned i = 0; i < 300; i++)
        tap(x, 0x04);
    key(x, 0xe1, true);
    fakevm_advance(x->vm, 6000000000);
    got = bytes(x);
    ok(strlen(got) < 60 && strstr(got, "FF"), "a guest that reads nothing for seconds loses keys (%s)", got);
    key(x, 0xe1, false);
    expect(x, "AA", "... and what comes then arrives");

    /* One byte an interrupt: port 60h keeps its value until the next one comes. */
    tap(x, 0x05);
    int a = (int)fakevm_in(x->vm, 0x60, 1), b = (int)fakevm_in(x->vm, 0x60, 1);
    ok(a == 0x30 && b == 0x30, "port 60h read twice gives the same byte");
    expect(x, "B0", "the next byte comes later");

    key(x, 0x04, true);
    key(x, 0xe1, true);
    bytes(x);
    input_release_all(x->in);
    fakevm_run_posts(x->vm);
    expect(x, "9E AA", "release of all that is held");
    key(x, 0xfff0, true);
    key(x, 0x03, true);
    expect(x, "", "unknown usages");
}

/* Every row of the table: down and up give translated codes that differ in bit 7 only. */
static void test_table(struct box *x)
{
    static const struct {
        uint16_t usage;
        const char *name;
        uint16_t set1, set2;
    } keys[] = {
#define KEY(u, n, a, b, c) {u, n, a, b},
#include "input/usage.def"
#undef KEY
    };
    unsigned bad = 0;
    for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++) {
        char want[40];
        if (keys[i].usage == 0x46 || keys[i].usage == 0x48 || keys[i].usage == 0x90 || keys[i].usage == 0x91)
            continue;
        tap(x, keys[i].usage);
        uint8_t c = keys[i].set1 & 0xff;
        if (keys[i].set1 >> 8)
            snprintf(want, sizeof want, "E0 %02X E0 %02X", c, c | 0x80);
        else
            snprintf(want, sizeof want, "%02X %02X", c, c | 0x80);
        const char *got = bytes(x);
        if (strcmp(got, want)) {
            printf("# %s: got %s, want %s\n", keys[i].name, got, want);
            bad++;
        }
    }
    is_u64(bad, 0, "all keys, translated from set 2, give their set 1 codes");
}

static void rel(struct box *x, int dx, int dy)
{
    input_post(x->in, &(struct input_event){.type = IN_REL, .x = dx, .y = dy}, 1);
    fakevm_run_posts(x->vm);
}
static void button(struct box *x, unsigned b, bool down)
{
    input_post(x->in, &(struct input_event){.type = IN_BUTTON, .code = (uint16_t)b, .x = down}, 1);
    fakevm_run_posts(x->vm);
}
static void wheel(struct box *x, int y)
{
    input_post(x->in, &(struct input_event){.type = IN_WHEEL, .y = y}, 1);
    fakevm_run_posts(x->vm);
}
static void rates(struct box *x, uint8_t a, uint8_t b, uint8_t c)
{
    uint8_t r[3] = {a, b, c};
    for (int i = 0; i < 3; i++) {
        mouse_cmd(x, 0xf3);
        mouse_cmd(x, r[i]);
    }
    bytes(x);
}

static void test_mouse(struct box *x)
{
    set_ccb(x, 0x47);
    mouse_cmd(x, 0xff);
    bool aux;
    ok(next(x, &aux) == 0xfa && aux, "answers are marked as the mouse's");
    expect(x, "AA 00", "reset");
    rel(x, 5, 5);
    expect(x, "", "silent until enabled");
    mouse_cmd(x, 0xe9);
    expect(x, "FA 00 02 64", "status");
    mouse_cmd(x, 0xf4);
    expect(x, "FA", "enable");
    fakevm_irqs_rises(&x->irqs, 12);
    rel(x, 3, 2);
    is_u64(fakevm_irqs_rises(&x->irqs, 12), 1, "movement is an IRQ 12");
    expect(x, "28 03 FE", "right 3, down 2");
    rel(x, -4, -1);
    expect(x, "18 FC 01", "left 4, up 1");
    button(x, 0, true);
    button(x, 0, false);
    button(x, 1, true);
    button(x, 1, false);
    expect(x, "09 00 00 08 00 00 0A 00 00 08 00 00", "clicks are not merged");
    button(x, 2, true);
    expect(x, "0C 00 00", "middle button");
    button(x, 2, false);
    bytes(x);
    rel(x, 600, 0);
    expect(x, "08 FF 00 08 FF 00 08 5A 00", "600 counts in three packets");
    rel(x, 1, 0);
    rel(x, 2, 0);
    rel(x, 3, 0);
    expect(x, "08 01 00 08 05 00", "movement adds up while a packet waits");
    mouse_cmd(x, 0xe7);
    bytes(x);
    rel(x, 4, 0);
    expect(x, "08 06 00", "scaling 2:1");
    mouse_cmd(x, 0xe6);
    mouse_cmd(x, 0xf2);
    expect(x, "FA FA 00", "a plain mouse");
    wheel(x, 1);
    expect(x, "", "it has no wheel");
    rates(x, 200, 100, 80);
    mouse_cmd(x, 0xf2);
    expect(x, "FA 03", "IntelliMouse after 200, 100, 80");
    mouse_cmd(x, 0xf4);
    bytes(x);
    wheel(x, 1);
    expect(x, "08 00 00 FF", "wheel away from the user");
    wheel(x, -2);
    expect(x, "08 00 00 02", "wheel towards the user");
    button(x, 3, true);
    expect(x, "", "no fourth button here");
    button(x, 3, false);
    rates(x, 200, 200, 80);
    mouse_cmd(x, 0xf2);
    expect(x, "FA 04", "Explorer after 200, 200, 80");
    mouse_cmd(x, 0xf4);
    bytes(x);
    button(x, 3, true);
    button(x, 4, true);
    expect(x, "08 00 00 10 08 00 00 30", "fourth and fifth button");
    wheel(x, -1);
    expect(x, "08 00 00 31", "wheel in four bits");
    button(x, 3, false);
    button(x, 4, false);
    bytes(x);
    mouse_cmd(x, 0xf0);
    bytes(x);
    rel(x, 7, 0);
    expect(x, "", "remote mode: silent");
    mouse_cmd(x, 0xeb);
    expect(x, "FA 08 07 00 00", "read data");
    mouse_cmd(x, 0xea);
    bytes(x);
    mouse_cmd(x, 0xee);
    mouse_cmd(x, 0x55);
    expect(x, "FA 55", "wrap mode echoes");
    mouse_cmd(x, 0xec);
    expect(x, "FA", "out of wrap mode");
    mouse_cmd(x, 0xe8);
    expect(x, "FA", "set resolution");
    mouse_cmd(x, 0x03);
    expect(x, "FA", "to 3");
    mouse_cmd(x, 0xe9);
    expect(x, "FA 20 03 50", "resolution 3, rate 80, enabled");
    mouse_cmd(x, 0x77);
    expect(x, "FE", "unknown command");
    ps2mouse_poke(x->mouse);
    expect(x, "08 00 00 00", "poke: a packet without movement");

    /* Absolute positions reach a relative mouse as steps over a screen of 1024 x 768. */
    struct input_event a = {.type = IN_ABS, .x = 0, .y = 0}, b = {.type = IN_ABS, .x = 640, .y = 1024};
    ok(!input_wants_absolute(x->in), "the PS/2 mouse is relative");
    input_post(x->in, &a, 1);
    input_post(x->in, &b, 1);
    fakevm_run_posts(x->vm);
    expect(x, "28 0A F4 00", "640/65536 of 1024 is 10, 1024/65536 of 768 is 12");
    set_ccb(x, 0x67);
    rel(x, 1, 0);
    expect(x, "", "held back while the interface is disabled");
    set_ccb(x, 0x47);
    expect(x, "08 01 00 00", "and then sent");
}

static void test_migrate(struct box *x)
{
    struct box y;
    struct err e = {0};
    tap(x, 0x06);
    button(x, 0, true);
    rel(x, 2, 2);
    fakevm_in(x->vm, 0x60, 1);
    box_make(&y);
    ok(!fakevm_migrate(x->vm, y.vm, &e), "saved and loaded: %s", e.msg);
    char a[400];
    strcpy(a, bytes(x));
    ok(!strcmp(bytes(&y), a) && *a, "both go on alike (%s)", a);
    box_free(&y);
    fakevm_reset(x->vm);
    is_u64(st(x) & 1, 0, "reset empties the buffer");
    ok(fakevm_irqs_level(&x->irqs, 20), "reset opens A20");
}

static bool abs_event(void *dev, const struct input_event *ev, int n)
{
    struct input_event *out = dev;
    *out = ev[n - 1];
    return true;
}

static void test_router(struct box *x)
{
    struct input_event got = {0};
    struct input_sink s = {.event = abs_event, .absolute = true, .pointer = true};
    int id = input_sink_add(x->in, &s, &got);
    input_sink_activate(x->in, id, true);
    ok(input_wants_absolute(x->in), "the pointer activated last wins");
    input_post(x->in, &(struct input_event){.type = IN_ABS, .x = 70000, .y = -5}, 1);
    fakevm_run_posts(x->vm);
    ok(got.type == IN_ABS && got.x == 65535 && got.y == 0, "absolute positions are cut to the screen");
    input_set_screen(x->in, 1000, 1000);
    input_post(x->in, &(struct input_event){.type = IN_REL, .x = -500, .y = 250}, 1);
    fakevm_run_posts(x->vm);
    ok(got.type == IN_ABS && got.x == 65535 - 32768 && got.y == 16384, "steps move the absolute pointer");
    input_sink_activate(x->in, id, false);
    ok(!input_wants_absolute(x->in), "back to the mouse");
    for (int i = 0; i < 5000; i++)
        input_post(x->in, &(struct input_event){.type = IN_REL, .x = 1}, 1);
    input_post(x->in, &(struct input_event){.type = IN_BUTTON, .code = 200, .x = 1}, 1);
    key(x, 0x04, true);
    key(x, 0x04, false);
    ok(strstr(bytes(x), "1E") != NULL, "a flood of movement does not lose a key");
}

int main(void)
{
    struct box x;
    box_make(&x);
    fakevm_reset(x.vm);
    test_controller(&x);
    test_kbd_commands(&x);
    test_keys(&x);
    test_table(&x);
    test_mouse(&x);
    test_migrate(&x);
    cmd(&x, 0xaa);
    bytes(&x);
    set_ccb(&x, 0x47);
    kbd_cmd(&x, 0xf4);
    bytes(&x);
    test_router(&x);
    box_free(&x);
    return TAP_DONE();
}
