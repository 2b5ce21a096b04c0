/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMware's memory balloon, as Linux's drivers/misc/vmw_balloon.c drives it: IN EAX, DX from port 5670h with a magic number in EAX, a command in ECX
 * and arguments in EBX and ESI. EAX answers with a status; EBX with the target, in pages, after most commands; ECX with the capabilities after START.
 *
 * The driver asks for the target once a second, allocates pages until it has as many (LOCK) and frees them again (UNLOCK). In a batch EBX names a
 * page with up to 512 entries {status 4:0, page number 63:12}, ESI says how many; the entries' statuses are written into them.
 *
 * After START the driver has no pages: it frees what it had before it starts anew. RESET makes it do that, which is how a loaded state is brought
 * back in step, since the host has forgotten what it had then.
 */
#include "guest/balloon.h"

#include "base/bytes.h"
#include "base/log.h"
#include "core/vm.h"

#define BALLOON_PORT 0x5670
#define BALLOON_MAGIC 0x456c6d6fu
enum {
    CMD_START, CMD_GET_TARGET, CMD_LOCK, CMD_UNLOCK, CMD_GUEST_ID, CMD_BATCHED_LOCK = 6, CMD_BATCHED_UNLOCK, CMD_BATCHED_2M_LOCK, CMD_BATCHED_2M_UNLOCK
};
enum { CAP_BASIC = 1 << 1, CAP_BATCHED = 1 << 2, CAP_BATCHED_2M = 1 << 3 };
enum { ST_SUCCESS, ST_CMD_INVALID, ST_PPN_INVALID, ST_PPN_LOCKED, ST_PPN_UNLOCKED, ST_RESET = 7 };
#define ST_SUCCESS_WITH_CAPABILITIES 0x03000000u
#define NONE 0xffffffffu
enum { BATCH = 512, PAGES_2M = 512, ENTRY_STATUS = 0x1f, ASKED_NS_S = 5 };

struct balloon {
    struct dev dev;
    struct balloon_params p;
    bool started, want_reset;
    _Atomic uint32_t caps;
    uint32_t guest_id;
    _Atomic uint64_t target;
    _Atomic int64_t asked; /* guest time of the last command */
    _Atomic uint64_t polls, locked, small, unlocked, refused, starts;
    struct port_range ports;
};

static uint32_t one(struct balloon *b, uint64_t ppn, bool lock, unsigned n)
{
    uint64_t pages = b->p.ram >> 12;
    /* The guest's memory may lie above the hole below 4 GiB, so page numbers go somewhat beyond the number of pages; take() knows. */
    if (ppn % n || ppn >= pages + (4ull << 30 >> 12)) {
        b->refused++;
        return ST_PPN_INVALID;
    }
    if (!(lock ? b->p.take : b->p.give)(b->p.u, ppn << 12, n)) {
        b->refused++;
        return lock ? ST_PPN_LOCKED : ST_PPN_UNLOCKED;
    }
    *(lock ? &b->locked : &b->unlocked) += n;
    b->small += lock && n == 1;
    return ST_SUCCESS;
}

static uint32_t batch(struct balloon *b, uint64_t list, uint32_t n, bool lock, unsigned pages)
{
    uint64_t entry[BATCH];
    if (n > BATCH || gmem_read(b->dev.vm, list << 12, entry, n * sizeof entry[0])) {
        guest_error(b->dev.id, "a batch of %u pages at page %llx", n, (unsigned long long)list);
        return ST_PPN_INVALID;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t e = ld_le64(&entry[i]);
        st_le64(&entry[i], (e & ~(uint64_t)ENTRY_STATUS) | one(b, e >> 12, lock, pages));
    }
    gmem_write(b->dev.vm, list << 12, entry, n * sizeof entry[0]);
    return ST_SUCCESS;
}

static uint32_t command(struct balloon *b, struct backdoor_regs *r)
{
    uint32_t cmd = r->ecx, st;
    b->asked = clock_now(b->dev.vm);
    if (b->want_reset && cmd != CMD_START)
        return ST_RESET;
    if (!b->started && cmd != CMD_START)
        return ST_RESET;
    switch (cmd) {
    case CMD_START:
        b->p.reset(b->p.u);
        b->want_reset = false;
        b->caps = r->ebx & (CAP_BASIC | CAP_BATCHED | CAP_BATCHED_2M);
        b->started = b->caps;
        if (!b->caps) /* the driver ends. Success would make it forget that it has 2 MiB pages, and it could not free them. */
            return ST_CMD_INVALID;
        b->starts++;
        log_msg(LOG_INFO, b->dev.id, "A balloon driver has started (capabilities %x)", b->caps);
        if (r->ebx == CAP_BASIC)
            return ST_SUCCESS; /* an old driver, which says "version 2" and knows no capabilities */
        r->ecx = b->caps;
        return ST_SUCCESS_WITH_CAPABILITIES;
    case CMD_GUEST_ID:
        b->guest_id = r->ebx;
        return ST_SUCCESS;
    case CMD_GET_TARGET:
        b->polls++;
        st = ST_SUCCESS;
        break;
    case CMD_LOCK:
    case CMD_UNLOCK:
        st = one(b, r->ebx, cmd == CMD_LOCK, 1);
        break;
    case CMD_BATCHED_LOCK:
    case CMD_BATCHED_UNLOCK:
        if (!(b->caps & CAP_BATCHED))
            return ST_CMD_INVALID;
        st = batch(b, r->ebx, r->esi, cmd == CMD_BATCHED_LOCK, 1);
        break;
    case CMD_BATCHED_2M_LOCK:
    case CMD_BATCHED_2M_UNLOCK:
        if (!(b->caps & CAP_BATCHED_2M))
            return ST_CMD_INVALID;
        st = batch(b, r->ebx, r->esi, cmd == CMD_BATCHED_2M_LOCK, PAGES_2M);
        break;
    default:
        return ST_CMD_INVALID;
    }
    r->ebx = (uint32_t)b->target;
    return st;
}

static uint64_t balloon_read(void *dev, uint64_t off, unsigned size)
{
    struct balloon *b = dev;
    struct vcpu *v = vcpu_current();
    struct backdoor_regs r = {0}, old;
    if (off != 0 || size != 4 || !v)
        return NONE;
    b->p.get_regs(b->p.regs_u, v, &r);
    if (r.eax != BALLOON_MAGIC)
        return NONE; /* an unassigned port */
    old = r;
    r.eax = command(b, &r);
    if (r.ebx != old.ebx || r.ecx != old.ecx)
        b->p.set_regs(b->p.regs_u, v, &r);
    return r.eax;
}

static void balloon_write(void *dev, uint64_t off, unsigned size, uint64_t val) {}

static const struct io_ops balloon_ops = {.read = balloon_read, .write = balloon_write, .widths = IO_8 | IO_16 | IO_32};

static void balloon_reset(struct dev *dev, enum reset_kind k)
{
    struct balloon *b = (struct balloon *)dev;
    b->started = b->want_reset = false;
    b->caps = b->guest_id = 0;
    b->p.reset(b->p.u);
}

static int balloon_init(struct dev *dev, const void *params, struct err *e)
{
    struct balloon *b = (struct balloon *)dev;
    b->p = *(const struct balloon_params *)params;
    b->ports = (struct port_range){.owner = dev->id, .first = BALLOON_PORT, .count = 4, .ops = &balloon_ops, .dev = b};
    return port_claim(dev->vm, &b->ports, e);
}

static int balloon_post_load(void *dev, unsigned version, struct err *e)
{
    struct balloon *b = dev;
    b->want_reset = b->started;
    b->p.reset(b->p.u);
    return 0;
}

static const struct state_field balloon_fields[] = {
    SF(struct balloon, started, SF_BOOL),
    SF(struct balloon, caps, SF_U32),
    SF(struct balloon, guest_id, SF_U32),
    {0},
};
static const struct state_desc balloon_state = {
    .name = "balloon", .version = 1, .min_version = 1, .fields = balloon_fields, .post_load = balloon_post_load};

const struct dev_class balloon_class = {
    .name = "balloon", .size = sizeof(struct balloon), .init = balloon_init, .reset = balloon_reset, .state = &balloon_state};

void balloon_set_target(struct dev *d, uint64_t pages)
{
    struct balloon *b = (struct balloon *)d;
    uint64_t most = b->p.ram >> 12;
    b->target = pages < most ? pages : most - 1;
}

void balloon_get_stats(struct dev *d, struct balloon_stats *s)
{
    struct balloon *b = (struct balloon *)d;
    int64_t asked = b->asked;
    *s = (struct balloon_stats){.driver = b->starts && clock_now(d->vm) - asked < ASKED_NS_S * 1000000000ll, .huge = b->caps & CAP_BATCHED_2M,
                                .target = b->target, .polls = b->polls, .locked = b->locked, .small = b->small, .unlocked = b->unlocked,
                                .refused = b->refused, .starts = b->starts};
}
