/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two 8237A DMA controllers as the PC/AT wires them: channels 0-3 move bytes (ports 00h-0Fh), channels 5-7 move words (ports C0h-DFh, registers at
 * every other port), channel 4 is the cascade. The page registers (ports 80h-8Fh) give address bits 16-23; unused ones are storage, and 80h takes
 * POST codes.
 *
 * A transfer happens when the device asks for it (isa_dma.xfer), as many bytes at once as it likes: the mode register's single, block and
 * demand transfers differ only in bus timing.
 */
#include "chipset/dma8237.h"

#include <string.h>

#include "core/iobus.h"
#include "core/memmap.h"
#include "core/vm.h"

enum { CMD_MEM_TO_MEM = 0x01, CMD_CH0_HOLD = 0x02, CMD_DISABLE = 0x04 };
enum { MODE_DECREMENT = 0x20, MODE_AUTO = 0x10 };
#define MODE_TYPE(m) ((m) >> 2 & 3)
#define MODE_CASCADE(m) (((m)&0xc0) == 0xc0)
enum { TYPE_VERIFY, TYPE_WRITE /* to memory */, TYPE_READ /* from memory */ };

struct i8237_channel {
    uint16_t base_addr, base_count, addr, count;
    uint8_t mode, page;
    bool dreq;
};

struct i8237 {
    struct i8237_channel ch[4];
    uint8_t command, status, mask, request, temporary; /* status: TC bits only */
    bool high_byte;                                    /* the byte pointer flip-flop */
};

struct dma8237 {
    struct dev dev;
    struct i8237 c[2];
    uint8_t pages[16]; /* as written, for reading back; ch[].page holds those in use */
    struct dma_user {
        void (*go)(void *dev);
        void *dev;
    } user[8];
    struct isa_dma iface;
    struct dma_port {
        struct dma8237 *d;
        unsigned n;
        struct port_range r;
    } port[2];
    struct port_range page_ports;
};

/* Channel of each page register port (82371AB, 4.2.1); 0xff: none. */
static const uint8_t page_channel[16] = {0xff, 2, 3, 1, 0xff, 0xff, 0xff, 0, 0xff, 6, 7, 5, 0xff, 0xff, 0xff, 4};

static bool dma_may_run(const struct i8237 *c, unsigned ch)
{
    return !(c->command & CMD_DISABLE) && !(c->mask >> ch & 1);
}

/* Wakes the devices that wait with DREQ high. */
static void dma_kick(struct dma8237 *d)
{
    for (unsigned n = 0; n < 8; n++) {
        const struct i8237 *c = &d->c[n >> 2];
        if (c->ch[n & 3].dreq && dma_may_run(c, n & 3) && n != 4 && d->user[n].go)
            d->user[n].go(d->user[n].dev);
    }
}

/* The count went through 0 to FFFFh. */
static void dma_terminal_count(struct i8237 *c, unsigned i)
{
    struct i8237_channel *ch = &c->ch[i];
    c->status |= 1u << i;
    c->request &= ~(1u << i);
    if (ch->mode & MODE_AUTO) {
        ch->addr = ch->base_addr;
        ch->count = ch->base_count;
    } else {
        c->mask |= 1u << i;
    }
}

static gpa_t dma_gpa(const struct i8237_channel *ch, bool wide)
{
    /* The word controller's address lines are shifted by one; bit 0 of its page registers is not used. */
    return wide ? (gpa_t)(ch->page & 0xfe) << 16 | (gpa_t)ch->addr << 1 : (gpa_t)ch->page << 16 | ch->addr;
}

static unsigned dma_xfer(void *ctl, unsigned n, bool to_memory, void *buf, unsigned bytes, bool *tc)
{
    struct dma8237 *d = ctl;
    bool dummy;
    if (!tc)
        tc = &dummy;
    *tc = false;
    if (n > 7 || n == 4)
        return 0;
    struct i8237 *c = &d->c[n >> 2];
    struct i8237_channel *ch = &c->ch[n & 3];
    bool wide = n > 4;
    unsigned shift = wide, type = MODE_TYPE(ch->mode), done = 0;
    if (!dma_may_run(c, n & 3) || MODE_CASCADE(ch->mode))
        return 0;
    if (!wide && (!dma_may_run(&d->c[1], 0) || !MODE_CASCADE(d->c[1].ch[0].mode)))
        return 0; /* the first controller's requests pass through channel 4 */
    if (type != TYPE_VERIFY && type != (to_memory ? TYPE_WRITE : TYPE_READ))
        return 0;
    while (done < bytes >> shift << shift) {
        /* One run: up to the end of the count, of the 64 Ki page, of the buffer. */
        uint32_t units = (bytes - done) >> shift, left = ch->count + 1u;
        bool down = ch->mode & MODE_DECREMENT;
        uint32_t room = down ? 1 : 0x10000u - ch->addr;
        units = units < left ? units : left;
        units = units < room ? units : room;
        uint8_t *p = (uint8_t *)buf + done;
        if (type == TYPE_WRITE)
            gmem_write(d->dev.vm, dma_gpa(ch, wide), p, units << shift);
        else if (type == TYPE_READ)
            gmem_read(d->dev.vm, dma_gpa(ch, wide), p, units << shift);
        else if (!to_memory)
            memset(p, 0xff, units << shift); /* verify: nobody drives the data lines */
        ch->addr += down ? -units : units;
        ch->count -= units;
        done += units << shift;
        if (units == left) {
            dma_terminal_count(c, n & 3);
            *tc = true;
            break;
        }
    }
    return done;
}

static void dma_dreq(void *ctl, unsigned n, bool level)
{
    struct dma8237 *d = ctl;
    if (n < 8)
        d->c[n >> 2].ch[n & 3].dreq = level;
}

static void dma_attach(void *ctl, unsigned n, void (*go)(void *dev), void *dev)
{
    struct dma8237 *d = ctl;
    if (n < 8)
        d->user[n] = (struct dma_user){.go = go, .dev = dev};
}

/* Software request on channel 0 with memory-to-memory enabled: channel 0 reads, channel 1 writes (8237A, "Memory-to-memory"). */
static void dma_mem_to_mem(struct dma8237 *d, struct i8237 *c, bool wide)
{
    struct i8237_channel *src = &c->ch[0], *dst = &c->ch[1];
    if (!(c->command & CMD_MEM_TO_MEM) || !(c->request & 1) || (c->command & CMD_DISABLE))
        return;
    /* Bytes go one by one through the temporary register; at most 64 Ki of them. */
    for (;;) {
        gmem_read(d->dev.vm, dma_gpa(src, wide), &c->temporary, 1);
        gmem_write(d->dev.vm, dma_gpa(dst, wide), &c->temporary, 1);
        if (!(c->command & CMD_CH0_HOLD))
            src->addr += src->mode & MODE_DECREMENT ? -1 : 1;
        dst->addr += dst->mode & MODE_DECREMENT ? -1 : 1;
        if (dst->count-- == 0)
            break;
    }
    c->request &= ~1u;
    dma_terminal_count(c, 1);
}

static void i8237_clear(struct i8237 *c)
{
    c->command = c->status = c->request = c->temporary = 0;
    c->mask = 15;
    c->high_byte = false;
}

static uint64_t dma_read(void *dev, uint64_t off, unsigned size)
{
    struct dma_port *dp = dev;
    struct i8237 *c = &dp->d->c[dp->n];
    unsigned r = off >> dp->n & 15;
    if (r < 8) {
        struct i8237_channel *ch = &c->ch[r >> 1];
        uint16_t v = r & 1 ? ch->count : ch->addr;
        bool high = c->high_byte;
        c->high_byte = !high;
        return high ? v >> 8 : v & 0xff;
    }
    if (r == 8) {
        uint8_t v = c->status | c->request << 4;
        for (unsigned i = 0; i < 4; i++)
            v |= c->ch[i].dreq << (4 + i);
        c->status = 0; /* reading clears the TC bits */
        return v;
    }
    if (r == 13)
        return c->temporary;
    if (r == 15)
        return c->mask | 0xf0;
    return 0xff;
}

static void dma_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct dma_port *dp = dev;
    struct i8237 *c = &dp->d->c[dp->n];
    unsigned r = off >> dp->n & 15, bit = 1u << (val & 3);
    if (r < 8) {
        struct i8237_channel *ch = &c->ch[r >> 1];
        uint16_t *base = r & 1 ? &ch->base_count : &ch->base_addr, *cur = r & 1 ? &ch->count : &ch->addr;
        *base = c->high_byte ? (*base & 0xff) | (val & 0xff) << 8 : (*base & 0xff00) | (val & 0xff);
        c->high_byte = !c->high_byte;
        *cur = *base;
        return;
    }
    switch (r) {
    case 8:
        c->command = val;
        dma_kick(dp->d);
        break;
    case 9: /* request register */
        c->request = val & 4 ? c->request | bit : c->request & ~bit;
        dma_mem_to_mem(dp->d, c, dp->n == 1);
        break;
    case 10: /* single mask bit */
        c->mask = val & 4 ? c->mask | bit : c->mask & ~bit;
        dma_kick(dp->d);
        break;
    case 11:
        c->ch[val & 3].mode = val & 0xfc;
        dma_kick(dp->d);
        break;
    case 12:
        c->high_byte = false;
        break;
    case 13: /* master clear */
        i8237_clear(c);
        break;
    case 14: /* clear mask register */
        c->mask = 0;
        dma_kick(dp->d);
        break;
    case 15:
        c->mask = val & 15;
        dma_kick(dp->d);
        break;
    }
}

static uint64_t dma_page_read(void *dev, uint64_t off, unsigned size)
{
    return ((struct dma8237 *)dev)->pages[off & 15];
}

static void dma_page_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct dma8237 *d = dev;
    unsigned n = page_channel[off & 15];
    d->pages[off & 15] = val;
    if (n < 8)
        d->c[n >> 2].ch[n & 3].page = val;
}

static const struct io_ops dma_ops = {.read = dma_read, .write = dma_write, .widths = IO_8};
static const struct io_ops dma_page_ops = {.read = dma_page_read, .write = dma_page_write, .widths = IO_8};

const struct isa_dma *dma8237_iface(struct dev *dev)
{
    return &((struct dma8237 *)dev)->iface;
}

static void dma_reset(struct dev *dev, enum reset_kind k)
{
    struct dma8237 *d = (struct dma8237 *)dev;
    memset(d->c, 0, sizeof d->c);
    memset(d->pages, 0, sizeof d->pages);
    i8237_clear(&d->c[0]);
    i8237_clear(&d->c[1]);
}

static int dma_init(struct dev *dev, const void *params, struct err *e)
{
    struct dma8237 *d = (struct dma8237 *)dev;
    d->iface = (struct isa_dma){.dreq = dma_dreq, .xfer = dma_xfer, .attach = dma_attach, .ctl = d};
    for (unsigned i = 0; i < 2; i++) {
        struct dma_port *dp = &d->port[i];
        dp->d = d;
        dp->n = i;
        dp->r = (struct port_range){.owner = dev->id, .first = i ? 0xc0 : 0, .count = i ? 32 : 16, .ops = &dma_ops, .dev = dp};
        if (port_claim(dev->vm, &dp->r, e) < 0)
            return -1;
    }
    d->page_ports = (struct port_range){.owner = dev->id, .first = 0x80, .count = 16, .ops = &dma_page_ops, .dev = d};
    dma_reset(dev, RESET_COLD);
    return port_claim(dev->vm, &d->page_ports, e);
}

static int dma_post_load(void *dev, unsigned version, struct err *e)
{
    struct dma8237 *d = dev;
    for (unsigned i = 0; i < 16; i++)
        if (page_channel[i] < 8)
            d->c[page_channel[i] >> 2].ch[page_channel[i] & 3].page = d->pages[i];
    return 0;
}

static const struct state_field dma_ch_fields[] = {
    SF(struct i8237_channel, base_addr, SF_U16), SF(struct i8237_channel, base_count, SF_U16),
    SF(struct i8237_channel, addr, SF_U16),      SF(struct i8237_channel, count, SF_U16),
    SF(struct i8237_channel, mode, SF_U8),       SF(struct i8237_channel, dreq, SF_BOOL),
    {0},
};
static const struct state_desc dma_ch_state = {.name = "channel", .version = 1, .min_version = 1, .fields = dma_ch_fields};
static const struct state_field dma_c_fields[] = {
    {.name = "ch", .off = offsetof(struct i8237, ch), .count = 4, .stride = sizeof(struct i8237_channel), .kind = SF_STRUCT, .sub = &dma_ch_state},
    SF(struct i8237, command, SF_U8),
    SF_MAX(struct i8237, status, SF_U8, 15),
    SF_MAX(struct i8237, mask, SF_U8, 15),
    SF_MAX(struct i8237, request, SF_U8, 15),
    SF(struct i8237, temporary, SF_U8),
    SF(struct i8237, high_byte, SF_BOOL),
    {0},
};
static const struct state_desc dma_c_state = {.name = "i8237", .version = 1, .min_version = 1, .fields = dma_c_fields};
static const struct state_field dma_fields[] = {
    {.name = "c", .off = offsetof(struct dma8237, c), .count = 2, .stride = sizeof(struct i8237), .kind = SF_STRUCT, .sub = &dma_c_state},
    SF_BUF(struct dma8237, pages),
    {0},
};
static const struct state_desc dma_state = {
    .name = "dma8237", .version = 1, .min_version = 1, .fields = dma_fields, .post_load = dma_post_load};

const struct dev_class dma8237_class = {
    .name = "dma8237",
    .size = sizeof(struct dma8237),
    .init = dma_init,
    .reset = dma_reset,
    .state = &dma_state,
};
