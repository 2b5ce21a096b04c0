/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that fills its 1920 x 1080 screen 60 times a second, another grey each time, and sleeps in between: for framebench.py. It drives the
 * VMware SVGA II adapter as its Linux driver does: registers through BAR 0, the frame buffer, one UPDATE command a frame. Starts in probe.S.
 */
#include <stdint.h>

enum { W = 1920, H = 1080, HZ = 60, PIT_HZ = 1193182, COM1 = 0x3F8 };
enum { REG_ENABLE = 1, REG_WIDTH = 2, REG_HEIGHT = 3, REG_BPP = 7, REG_PITCH = 12, REG_ID = 0, REG_CONFIG_DONE = 20 };
enum { FIFO_MIN, FIFO_MAX, FIFO_NEXT, FIFO_STOP, FIFO_REGS = 293, FIFO_BYTES = 64 << 10, CMD_UPDATE = 1 };

static void out8(uint16_t port, uint8_t v) { __asm__ volatile("outb %0, %1" : : "a"(v), "d"(port)); }
static uint8_t in8(uint16_t port)
{
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "d"(port));
    return v;
}
static void out32(uint16_t port, uint32_t v) { __asm__ volatile("outl %0, %1" : : "a"(v), "d"(port)); }
static uint32_t in32(uint16_t port)
{
    uint32_t v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "d"(port));
    return v;
}

static uint16_t io;
static void svga(uint32_t reg, uint32_t v)
{
    out32(io, reg);
    out32((uint16_t)(io + 1), v);
}

static uint32_t pci(unsigned slot, unsigned reg)
{
    out32(0xCF8, 0x80000000u | slot << 11 | reg);
    return in32(0xCFC);
}

static void say(const char *s)
{
    for (; *s; s++) {
        while (!(in8(COM1 + 5) & 0x20)) {
        }
        out8(COM1, (uint8_t)*s);
    }
}

static uint64_t idt[33];
__asm__("tick: pushl %eax\n\t"
        "movb $0x20, %al\n\t"
        "outb %al, $0x20\n\t"
        "popl %eax\n\t"
        "iret\n");
extern char tick[];

static void sixty_hertz(void)
{
    static const uint8_t pic[] = {0x11, 32, 4, 1};
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) idtr = {sizeof idt - 1, (uint32_t)idt};
    uint32_t at = (uint32_t)tick;
    idt[32] = (uint64_t)(at & 0xFFFF0000u) << 32 | 0x00008E0000000000ull | 8u << 16 | (at & 0xFFFF);
    __asm__ volatile("lidt %0" : : "m"(idtr));
    out8(0x20, pic[0]);
    for (int i = 1; i < 4; i++)
        out8(0x21, pic[i]);
    out8(0x21, 0xFE);
    out8(0xA1, 0xFF);
    out8(0x43, 0x34);
    out8(0x40, PIT_HZ / HZ & 0xFF);
    out8(0x40, PIT_HZ / HZ >> 8);
}

void probe(uint32_t drive)
{
    (void)drive;
    unsigned slot = 0;
    while (slot < 32 && pci(slot, 0) != 0x040515AD)
        slot++;
    if (slot == 32) {
        say("NO ADAPTER\n");
        for (;;)
            __asm__ volatile("hlt");
    }
    io = (uint16_t)(pci(slot, 0x10) & ~3u);
    uint32_t *pixels = (uint32_t *)(pci(slot, 0x14) & ~15u);
    volatile uint32_t *fifo = (volatile uint32_t *)(pci(slot, 0x18) & ~15u);
    svga(REG_ID, 0x90000002u);
    svga(REG_WIDTH, W);
    svga(REG_HEIGHT, H);
    svga(REG_BPP, 32);
    svga(REG_ENABLE, 1);
    fifo[FIFO_MIN] = fifo[FIFO_NEXT] = fifo[FIFO_STOP] = FIFO_REGS * 4;
    fifo[FIFO_MAX] = FIFO_BYTES;
    svga(REG_CONFIG_DONE, 1);
    out32(io, REG_PITCH);
    uint32_t pitch = in32((uint16_t)(io + 1));
    sixty_hertz();
    say("FRAMES\n");
    for (uint32_t n = 0;; n++) {
        static const uint32_t update[] = {CMD_UPDATE, 0, 0, W, H};
        void *to = pixels;
        uint32_t count = pitch / 4 * H, grey = (n & 255) * 0x10101;
        __asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(grey) : "memory");
        uint32_t next = fifo[FIFO_NEXT];
        for (unsigned i = 0; i < sizeof update / 4; i++) {
            fifo[next / 4] = update[i];
            next += 4;
            if (next == FIFO_BYTES)
                next = FIFO_REGS * 4;
        }
        fifo[FIFO_NEXT] = next;
        __asm__ volatile("sti; hlt; cli");
    }
}
