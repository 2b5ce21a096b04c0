/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The SVGA command ring. Its registers are the first dwords of the FIFO memory itself, which the guest writes at any time: everything is
 * copied to locals, checked, and only then used. The guest writes NEXT_CMD, we advance STOP; both are byte offsets in [MIN, MAX).
 *
 * One run does at most RUN_COMMANDS commands and moves at most RUN_BYTES of pixels; the rest is left to a timer, so that a full ring of large
 * blits does not hold the chipset lock for long. A command that is not complete yet stays in the ring: drivers without RESERVE publish
 * theirs dword by dword.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/log.h"
#include "display/svga_private.h"

enum { RUN_COMMANDS = 2048, MORE_NS = 200000 };
#define RUN_BYTES (16u << 20)

enum {
    CMD_UPDATE = 1, CMD_RECT_FILL = 2, CMD_RECT_COPY = 3, CMD_FREE_OBJECT = 12, CMD_RECT_ROP_FILL = 13, CMD_RECT_ROP_COPY = 14, CMD_DEFINE_CURSOR = 19,
    CMD_DISPLAY_CURSOR = 20, CMD_MOVE_CURSOR = 21, CMD_DEFINE_ALPHA_CURSOR = 22, CMD_UPDATE_VERBOSE = 25, CMD_FRONT_ROP_FILL = 29,
    CMD_FENCE = 30, CMD_ESCAPE = 33, CMD_DEFINE_SCREEN = 34, CMD_DESTROY_SCREEN = 35, CMD_DEFINE_GMRFB = 36, CMD_BLIT_GMRFB_TO_SCREEN = 37,
    CMD_BLIT_SCREEN_TO_GMRFB = 38, CMD_ANNOTATION_FILL = 39, CMD_ANNOTATION_COPY = 40, CMD_DEFINE_GMR2 = 41, CMD_REMAP_GMR2 = 42, CMD_NOP = 45,
    CMD_3D_FIRST = 1040, CMD_3D_LAST = 1300
};
enum { REMAP_VIA_GMR = 1, REMAP_PPN64 = 2, REMAP_SINGLE_PPN = 4 };
enum { ROP_COPY = 3 };
enum { IRQ_ANY_FENCE = 1, IRQ_FIFO_PROGRESS = 2, IRQ_FENCE_GOAL = 4 };
enum {
    FIFO_CAP_FENCE = 1, FIFO_CAP_ACCELFRONT = 2, FIFO_CAP_PITCHLOCK = 4, FIFO_CAP_CURSOR_BYPASS_3 = 0x10, FIFO_CAP_ESCAPE = 0x20,
    FIFO_CAP_RESERVE = 0x40, FIFO_CAP_GMR2 = 0x100, FIFO_CAP_SCREEN_OBJECT_2 = 0x200
};

uint32_t fifo_reg(const struct svga_dev *d, unsigned i)
{
    return __atomic_load_n((const uint32_t *)(const void *)d->fifo.host + i, __ATOMIC_ACQUIRE);
}

void fifo_reg_set(struct svga_dev *d, unsigned i, uint32_t v)
{
    __atomic_store_n((uint32_t *)(void *)d->fifo.host + i, v, __ATOMIC_RELEASE);
}

bool fifo_has_reg(const struct svga_dev *d, unsigned i)
{
    uint32_t min = fifo_reg(d, FIFO_MIN);
    return min >= (i + 1) * 4 && min < d->fifo.size;
}

/* The registers that we own. Before the guest has said where the ring begins (MIN 0), all of them; later only those it left room for. */
void fifo_init_regs(struct svga_dev *d)
{
    uint32_t min = fifo_reg(d, FIFO_MIN);
    if (min && !fifo_has_reg(d, FIFO_3D_HWVERSION_REVISED))
        return;
    fifo_reg_set(d, FIFO_CAPABILITIES, FIFO_CAP_FENCE | FIFO_CAP_ACCELFRONT | FIFO_CAP_PITCHLOCK | FIFO_CAP_CURSOR_BYPASS_3 | FIFO_CAP_ESCAPE |
                                           FIFO_CAP_RESERVE | FIFO_CAP_GMR2 | FIFO_CAP_SCREEN_OBJECT_2);
    fifo_reg_set(d, FIFO_FLAGS, 0);
    fifo_reg_set(d, FIFO_FENCE, 0);
    fifo_reg_set(d, FIFO_3D_HWVERSION, 0);
    fifo_reg_set(d, FIFO_3D_HWVERSION_REVISED, 0);
    fifo_reg_set(d, FIFO_CURSOR_SCREEN_ID, 0xffffffff);
    d->s.cursor_count = fifo_reg(d, FIFO_CURSOR_COUNT);
}

/* The ring as of one moment. */
struct ring {
    const uint8_t *mem;
    uint32_t min, max, next, stop;
};

static bool ring_get(const struct svga_dev *d, struct ring *r)
{
    *r = (struct ring){d->fifo.host, fifo_reg(d, FIFO_MIN), fifo_reg(d, FIFO_MAX), fifo_reg(d, FIFO_NEXT_CMD), fifo_reg(d, FIFO_STOP)};
    /* MAX - MIN: the interface asks for 10 KiB; less than a page cannot hold a command with data. */
    return !((r->min | r->max | r->next | r->stop) & 3) && r->min >= 16 && r->max <= d->fifo.size && r->min < r->max && r->max - r->min >= 1024 &&
           r->next >= r->min && r->next < r->max && r->stop >= r->min && r->stop < r->max;
}

static uint32_t ring_used(const struct ring *r) { return r->next >= r->stop ? r->next - r->stop : r->next - r->stop + (r->max - r->min); }

/* Dword at a byte distance from STOP; the caller knows that it is inside the used part. */
static uint32_t ring_peek(const struct ring *r, uint32_t dist)
{
    uint32_t a = r->stop + dist;
    if (a >= r->max)
        a -= r->max - r->min;
    return ld_le32(r->mem + a);
}

static void ring_copy(const struct ring *r, uint32_t dist, uint8_t *out, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i += 4) {
        uint32_t v = ring_peek(r, dist + i);
        for (uint32_t k = 0; k < 4 && i + k < bytes; k++)
            out[i + k] = (uint8_t)(v >> (8 * k));
    }
}

bool fifo_pending(const struct svga_dev *d)
{
    struct ring r;
    return ring_get(d, &r) && ring_used(&r) != 0;
}

/* Fixed part of a command in dwords, the id included; 0 for an unknown one. */
static uint32_t fixed_dwords(uint32_t id)
{
    switch (id) {
    case CMD_UPDATE:
        return 5;
    case CMD_RECT_FILL:
        return 6;
    case CMD_RECT_COPY:
        return 7;
    case CMD_FREE_OBJECT:
        return 2;
    case CMD_RECT_ROP_FILL:
        return 7;
    case CMD_RECT_ROP_COPY:
        return 8;
    case CMD_DEFINE_CURSOR:
        return 8;
    case CMD_DISPLAY_CURSOR:
    case CMD_MOVE_CURSOR:
        return 3;
    case CMD_DEFINE_ALPHA_CURSOR:
        return 6;
    case CMD_UPDATE_VERBOSE:
        return 6;
    case CMD_FRONT_ROP_FILL:
        return 7;
    case CMD_FENCE:
        return 2;
    case CMD_ESCAPE:
        return 3;
    case CMD_DEFINE_SCREEN:
        return 2; /* structSize */
    case CMD_DESTROY_SCREEN:
        return 2;
    case CMD_DEFINE_GMRFB:
        return 5;
    case CMD_BLIT_GMRFB_TO_SCREEN:
    case CMD_BLIT_SCREEN_TO_GMRFB:
        return 8;
    case CMD_ANNOTATION_FILL:
        return 2;
    case CMD_ANNOTATION_COPY:
        return 4;
    case CMD_DEFINE_GMR2:
        return 3;
    case CMD_REMAP_GMR2:
        return 5;
    case CMD_NOP:
        return 1;
    }
    return id >= CMD_3D_FIRST && id <= CMD_3D_LAST ? 2 : 0;
}

static uint64_t mask_bytes(uint64_t w, uint64_t h, uint64_t depth) { return (w * depth + 31) / 32 * 4 * h; }

/* Bytes after the fixed part; a is the fixed part. Large, but never overflowing, for absurd arguments. */
static uint64_t data_bytes(uint32_t id, const uint32_t *a)
{
    switch (id) {
    case CMD_DEFINE_CURSOR:
        if (a[4] > 0xffff || a[5] > 0xffff || a[6] > 32 || a[7] > 32)
            return UINT64_MAX / 2;
        return mask_bytes(a[4], a[5], a[6]) + mask_bytes(a[4], a[5], a[7]);
    case CMD_DEFINE_ALPHA_CURSOR:
        if (a[4] > 0xffff || a[5] > 0xffff)
            return UINT64_MAX / 2;
        return (uint64_t)a[4] * a[5] * 4;
    case CMD_ESCAPE:
        return ((uint64_t)a[2] + 3) & ~3ull;
    case CMD_DEFINE_SCREEN:
        /* structSize counts itself, which the fixed part holds already. */
        return a[1] < 4 ? 0 : (((uint64_t)a[1] - 4) + 3) & ~3ull;
    case CMD_REMAP_GMR2:
        if (a[2] & REMAP_VIA_GMR)
            return 8;
        return (uint64_t)(a[2] & REMAP_SINGLE_PPN ? 1 : a[4]) * (a[2] & REMAP_PPN64 ? 8 : 4);
    }
    return id >= CMD_3D_FIRST && id <= CMD_3D_LAST ? ((uint64_t)a[1] + 3) & ~3ull : 0;
}

static void define_cursor(struct svga_dev *d, const struct ring *r, const uint32_t *a, uint32_t bytes)
{
    bool alpha = a[0] == CMD_DEFINE_ALPHA_CURSOR;
    uint32_t w = a[4], h = a[5], head = fixed_dwords(a[0]) * 4;
    if (!w || !h || w > SVGA_MAX_CURSOR || h > SVGA_MAX_CURSOR) {
        guest_error("svga", "A cursor of %u x %u is not supported.", w, h);
        return;
    }
    uint8_t *buf = malloc(bytes);
    if (!buf)
        return;
    ring_copy(r, head, buf, bytes);
    if (alpha)
        cursor_define_alpha(d, w, h, a[2], a[3], buf);
    else
        cursor_define_mono(d, w, h, a[2], a[3], buf, a[6], buf + mask_bytes(w, h, a[6]), a[7]);
    free(buf);
}

static void define_screen(struct svga_dev *d, const struct ring *r, uint32_t struct_size)
{
    uint32_t f[11] = {0}; /* structSize id flags w h x y gmr offset pitch cloneCount */
    if (struct_size < 40) {
        /* The form without a backing store belongs to the first screen object interface, which is not offered. */
        guest_error("svga", "A screen definition of %u bytes lacks its backing store.", struct_size);
        return;
    }
    for (uint32_t i = 0; i < 11 && i * 4 < struct_size; i++)
        f[i] = ring_peek(r, 4 + i * 4);
    screen_define(d, f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9]);
}

static uint64_t remap_gmr(struct svga_dev *d, const struct ring *r, const uint32_t *a)
{
    uint32_t id = a[1], flags = a[2], first = a[3], pages = a[4];
    unsigned size = flags & REMAP_PPN64 ? 8 : 4;
    if (pages > SVGA_GMR_POOL)
        pages = SVGA_GMR_POOL; /* pages beyond the region are dropped by gmr_set_page anyway */
    uint32_t src_gmr = 0, src_off = 0;
    if (flags & REMAP_VIA_GMR) {
        src_gmr = ring_peek(r, 20);
        src_off = ring_peek(r, 24);
    }
    uint64_t ppn = 0;
    for (uint32_t i = 0; i < pages; i++) {
        if (i == 0 || !(flags & REMAP_SINGLE_PPN)) {
            if (flags & REMAP_VIA_GMR) {
                uint8_t b[8] = {0};
                if (!gmr_copy(d, src_gmr, (uint64_t)src_off + (uint64_t)i * size, b, size, false)) {
                    guest_error("svga", "REMAP_GMR2 names a page list outside its region.");
                    return (uint64_t)i * 64;
                }
                ppn = size == 8 ? ld_le64(b) : ld_le32(b);
            } else {
                ppn = ring_peek(r, 20 + i * size);
                if (size == 8)
                    ppn |= (uint64_t)ring_peek(r, 24 + i * size) << 32;
            }
        }
        gmr_set_page(d, id, first + i, ppn);
        if (first + i == UINT32_MAX)
            break;
    }
    return (uint64_t)pages * 16;
}

static void fence(struct svga_dev *d, uint32_t value)
{
    uint32_t flags = IRQ_ANY_FENCE, last;
    if (fifo_has_reg(d, FIFO_FENCE)) {
        last = fifo_reg(d, FIFO_FENCE);
        fifo_reg_set(d, FIFO_FENCE, value);
        if (fifo_has_reg(d, FIFO_FENCE_GOAL)) {
            uint32_t goal = fifo_reg(d, FIFO_FENCE_GOAL);
            /* Passed: the goal lies in (last, value], in arithmetic that wraps. */
            if (goal - last - 1 < value - last)
                flags |= IRQ_FENCE_GOAL;
        }
    }
    svga_irq_raise(d, flags);
}

/* Executes one command whose fixed part is a and whose data (bytes long) follows in the ring. Returns the bytes of pixels moved. */
static uint64_t execute(struct svga_dev *d, const struct ring *r, const uint32_t *a, uint32_t bytes)
{
    switch (a[0]) {
    case CMD_UPDATE:
    case CMD_UPDATE_VERBOSE:
        return screen_update(d, a[1], a[2], a[3], a[4]);
    case CMD_RECT_FILL:
        return fb_rect_fill(d, a[1], a[2], a[3], a[4], a[5]);
    case CMD_RECT_ROP_FILL:
        if (a[6] != ROP_COPY) {
            guest_error("svga", "Raster operation %u is not offered.", a[6]);
            return 0;
        }
        return fb_rect_fill(d, a[1], a[2], a[3], a[4], a[5]);
    case CMD_RECT_COPY:
        return fb_rect_copy(d, a + 1);
    case CMD_RECT_ROP_COPY:
        if (a[7] != ROP_COPY) {
            guest_error("svga", "Raster operation %u is not offered.", a[7]);
            return 0;
        }
        return fb_rect_copy(d, a + 1);
    case CMD_FRONT_ROP_FILL:
        /* A hint: the guest has filled the rectangle itself. */
        return screen_update(d, a[2], a[3], a[4], a[5]);
    case CMD_DEFINE_CURSOR:
    case CMD_DEFINE_ALPHA_CURSOR:
        define_cursor(d, r, a, bytes);
        return (uint64_t)bytes * 4;
    case CMD_DISPLAY_CURSOR:
        d->s.cursor_on = a[2] & 3;
        cursor_moved(d);
        return 0;
    case CMD_MOVE_CURSOR:
        d->s.cursor_x = a[1];
        d->s.cursor_y = a[2];
        cursor_moved(d);
        return 0;
    case CMD_FENCE:
        fence(d, a[1]);
        return 0;
    case CMD_DEFINE_SCREEN:
        define_screen(d, r, a[1]);
        return 4096;
    case CMD_DESTROY_SCREEN:
        screen_destroy(d, a[1]);
        return 0;
    case CMD_DEFINE_GMRFB:
        d->s.gmrfb_id = a[1];
        d->s.gmrfb_offset = a[2];
        d->s.gmrfb_pitch = a[3];
        d->s.gmrfb_format = a[4];
        return 0;
    case CMD_BLIT_GMRFB_TO_SCREEN:
        return screen_blit_from_gmrfb(d, (int32_t)a[1], (int32_t)a[2], (struct svga_rect){(int32_t)a[3], (int32_t)a[4], (int32_t)a[5], (int32_t)a[6]}, a[7]);
    case CMD_BLIT_SCREEN_TO_GMRFB:
        return screen_blit_to_gmrfb(d, (int32_t)a[1], (int32_t)a[2], (struct svga_rect){(int32_t)a[3], (int32_t)a[4], (int32_t)a[5], (int32_t)a[6]}, a[7]);
    case CMD_DEFINE_GMR2:
        return gmr_define(d, a[1], a[2]);
    case CMD_REMAP_GMR2:
        return remap_gmr(d, r, a);
    }
    /* ESCAPE (no name space is offered), annotations (hints about the next blit), FREE_OBJECT, NOP and 3D: nothing to do. */
    return bytes;
}

void fifo_run(struct svga_dev *d)
{
    struct ring r;
    uint64_t moved = 0;
    bool progress = false, more = false;
    if (!ring_get(d, &r)) {
        if (r.min | r.max)
            guest_error("svga", "The command ring's registers are wrong: min %x max %x next %x stop %x.", r.min, r.max, r.next, r.stop);
        goto out;
    }
    for (unsigned n = 0;; n++) {
        uint32_t used = ring_used(&r);
        if (!used) {
            /* The guest may have added something meanwhile. */
            r.next = fifo_reg(d, FIFO_NEXT_CMD);
            if (r.next == r.stop || r.next & 3 || r.next < r.min || r.next >= r.max)
                break;
            continue;
        }
        if (n >= RUN_COMMANDS || moved >= RUN_BYTES) {
            more = true;
            break;
        }
        uint32_t a[8], id = ring_peek(&r, 0), head = fixed_dwords(id);
        if (!head) {
            guest_error("svga", "Unknown command %u in the ring.", id);
            head = 1; /* its size is not known either: go on behind the number */
            a[0] = CMD_NOP;
            id = CMD_NOP;
        }
        if (used < head * 4)
            break;
        a[0] = id;
        for (uint32_t i = 1; i < head; i++)
            a[i] = ring_peek(&r, i * 4);
        uint64_t total = head * 4 + data_bytes(id, a);
        if (total >= r.max - r.min) {
            guest_error("svga", "Command %u is larger than the ring.", id);
            r.stop = r.next; /* can never become complete: drop all */
            fifo_reg_set(d, FIFO_STOP, r.stop);
            progress = true;
            continue;
        }
        if (used < total)
            break;
        moved += execute(d, &r, a, (uint32_t)(total - head * 4));
        r.stop += (uint32_t)total;
        if (r.stop >= r.max)
            r.stop -= r.max - r.min;
        fifo_reg_set(d, FIFO_STOP, r.stop);
        progress = true;
    }
    if (progress)
        svga_irq_raise(d, IRQ_FIFO_PROGRESS);
out:
    if (more)
        vtimer_arm(&d->fifo_more, clock_now(d->vm) + MORE_NS);
    if (fifo_has_reg(d, FIFO_BUSY))
        fifo_reg_set(d, FIFO_BUSY, more);
    scanout_arm(d);
}

void fifo_more_timer(void *dev)
{
    struct svga_dev *d = dev;
    if (d->s.config_done)
        fifo_run(d);
}
