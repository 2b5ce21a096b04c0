/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: 8042 with keyboard, mouse and the input router. */
#include "tests/fuzz/fuzz_dev.h"

#include "chipset/kbc.h"
#include "input/input.h"
#include "input/ps2kbd.h"
#include "input/ps2mouse.h"

static struct fakevm_irqs irqs;
static struct input *in[2];
static unsigned made;

static void make(struct vm *vm)
{
    struct err e = {0};
    struct input *i = in[made++ & 1] = input_new(vm, &e);
    fakevm_irqs_init(&irqs);
    struct ps2kbd_params kp = {.input = i};
    struct ps2mouse_params mp = {.input = i};
    struct dev *kbd = dev_create(vm, &ps2kbd_class, "kbd", &kp, &e), *mouse = dev_create(vm, &ps2mouse_class, "mouse", &mp, &e);
    struct kbc_params p = {.irq1 = fakevm_irq(&irqs, 1), .irq12 = fakevm_irq(&irqs, 12), .a20 = fakevm_irq(&irqs, 20),
                           .kbd = ps2kbd_link(kbd), .aux = ps2mouse_link(mouse)};
    dev_create(vm, &kbc_class, "kbc", &p, &e);
}

/* 0: a key, 1: movement, 2: a button or the wheel, 3: a command byte that lets both devices speak, or everything is released. */
static void extra(struct fuzz *f, unsigned what)
{
    uint8_t a = (uint8_t)fuzz_bytes(f, 1), b = (uint8_t)fuzz_bytes(f, 1);
    struct input_event ev = {.type = IN_KEY, .code = a, .x = b & 1};
    if (what == 1)
        ev = (struct input_event){.type = b & 1 ? IN_REL : IN_ABS, .x = (int8_t)a * 9, .y = (int8_t)b * 300};
    else if (what == 2)
        ev = (struct input_event){.type = b & 2 ? IN_BUTTON : IN_WHEEL, .code = a % 6, .x = b & 1, .y = (int8_t)a};
    if (what == 3 && a & 1) {
        fakevm_out(f->vm, 0x64, 1, 0x60);
        fakevm_out(f->vm, 0x60, 1, 0x47);
        fakevm_out(f->vm, 0x64, 1, 0xd4);
        fakevm_out(f->vm, 0x60, 1, 0xf4);
    } else if (what == 3) {
        input_release_all(in[(made - 1) & 1]);
    } else {
        input_post(in[(made - 1) & 1], &ev, 1);
    }
    fakevm_run_posts(f->vm);
}

static void before(void) { made = 0; }
static void after(void)
{
    for (int i = 0; i < 2; i++) {
        input_free(in[i]);
        in[i] = NULL;
    }
}
FUZZ_DEVICE(.vcpus = 1, .ports = {{0x60, 1}, {0x64, 1}}, .n_ports = 2, .make = make, .extra = extra,
            .before = before, .after = after)
