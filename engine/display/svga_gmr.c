/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SVGA guest memory regions: numbered lists of guest pages. All lists live in one pool of SVGA_GMR_POOL entries, kept without holes, so that the
 * whole costs a fixed amount of memory whatever the guest does, and can be saved as it is.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "display/svga_private.h"

enum { DESCRIPTORS_PER_PAGE = 4096 / 8, MAX_DESCRIPTOR_PAGES = 256 };

static void gmr_free(struct svga_state *s, uint32_t id)
{
    struct svga_gmr *g = &s->gmr[id];
    if (!g->pages)
        return;
    uint32_t first = g->first, n = g->pages;
    memmove(&s->pool[first], &s->pool[first + n], (size_t)(s->pool_used - first - n) * sizeof s->pool[0]);
    s->pool_used -= n;
    for (uint32_t i = 0; i < SVGA_MAX_GMRS; i++)
        if (s->gmr[i].first > first)
            s->gmr[i].first -= n;
    *g = (struct svga_gmr){0};
}

uint32_t gmr_define(struct svga_dev *d, uint32_t id, uint32_t pages)
{
    struct svga_state *s = &d->s;
    if (id >= SVGA_MAX_GMRS) {
        guest_error("svga", "Guest memory region %u does not exist.", id);
        return 0;
    }
    uint32_t cost = (s->pool_used - s->gmr[id].first) * 4;
    gmr_free(s, id);
    if (pages > SVGA_GMR_POOL - s->pool_used) {
        guest_error("svga", "Guest memory region %u of %u pages is too large.", id, pages);
        return cost;
    }
    if (pages) {
        s->gmr[id] = (struct svga_gmr){s->pool_used, pages};
        memset(&s->pool[s->pool_used], 0xff, (size_t)pages * sizeof s->pool[0]); /* no such page: not mapped yet */
        s->pool_used += pages;
    }
    return cost + pages * 4;
}

void gmr_set_page(struct svga_dev *d, uint32_t id, uint32_t page, uint64_t ppn)
{
    struct svga_state *s = &d->s;
    if (id < SVGA_MAX_GMRS && page < s->gmr[id].pages)
        s->pool[s->gmr[id].first + page] = ppn < UINT32_MAX ? (uint32_t)ppn : UINT32_MAX;
}

bool gmr_get_page(const struct svga_dev *d, uint32_t id, uint32_t page, uint32_t *ppn)
{
    const struct svga_state *s = &d->s;
    if (id >= SVGA_MAX_GMRS || page >= s->gmr[id].pages)
        return false;
    *ppn = s->pool[s->gmr[id].first + page];
    return *ppn != UINT32_MAX;
}

/* SVGA_CAP_GMR: pages of descriptors {ppn, count}; count 0 with a ppn leads to the next page, both 0 end the list. */
void gmr_define_list(struct svga_dev *d, uint32_t id, uint32_t descriptor_ppn)
{
    struct svga_state *s = &d->s;
    if (id >= SVGA_MAX_GMRS) {
        guest_error("svga", "Guest memory region %u does not exist.", id);
        return;
    }
    gmr_free(s, id);
    uint32_t first = s->pool_used, used = first, page = descriptor_ppn;
    for (unsigned n = 0; page; n++) {
        uint8_t desc[4096];
        if (n == MAX_DESCRIPTOR_PAGES || gmem_read(d->vm, (gpa_t)page << 12, desc, sizeof desc)) {
            guest_error("svga", "The descriptor list of guest memory region %u is broken.", id);
            return;
        }
        page = 0;
        for (unsigned i = 0; i < DESCRIPTORS_PER_PAGE; i++) {
            uint32_t ppn = ld_le32(desc + i * 8), count = ld_le32(desc + i * 8 + 4);
            if (!count) {
                page = ppn;
                break;
            }
            if (count > SVGA_GMR_POOL - used) {
                guest_error("svga", "Guest memory region %u is too large.", id);
                return;
            }
            for (uint32_t k = 0; k < count; k++)
                s->pool[used++] = ppn + k;
        }
    }
    if (used != first)
        s->gmr[id] = (struct svga_gmr){first, used - first};
    s->pool_used = used;
}

bool gmr_copy(struct svga_dev *d, uint32_t id, uint64_t offset, void *buf, uint32_t n, bool write)
{
    uint8_t *p = buf;
    if (id == SVGA_GMR_FRAMEBUFFER) {
        if (offset > d->vram.size || n > d->vram.size - offset)
            return false;
        if (write) {
            memcpy(d->vram.host + offset, buf, n);
            scanout_dirty(d, offset, n);
        } else {
            memcpy(buf, d->vram.host + offset, n);
        }
        return true;
    }
    while (n) {
        uint32_t ppn, in = (uint32_t)(offset & 4095), run = 4096 - in;
        if (offset >> 12 > UINT32_MAX || !gmr_get_page(d, id, (uint32_t)(offset >> 12), &ppn))
            return false;
        if (run > n)
            run = n;
        gpa_t a = ((gpa_t)ppn << 12) + in;
        if (write ? gmem_write(d->vm, a, p, run) : gmem_read(d->vm, a, p, run))
            return false;
        p += run;
        offset += run;
        n -= run;
    }
    return true;
}
