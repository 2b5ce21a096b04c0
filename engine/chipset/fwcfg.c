/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The firmware configuration device that SeaBIOS and OVMF know: numbered items read byte by byte (selector 510h, data 511h) or by a DMA
 * command block (514h: address, big-endian, high half first; the write of the low half starts it). Interface: QEMU docs/specs/fw_cfg.
 *
 * Items are read-only. Reads past an item's end, and of items that do not exist, give zeros.
 */
#include "chipset/fwcfg.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/memmap.h"
#include "core/vm.h"

enum {
    MAX_ITEMS = 96,
    MAX_NAME = 56,
    MAX_ITEM = 16 << 20,
    ID_TRADITIONAL = 1,
    ID_DMA = 2,

    DMA_ERROR = 0x01,
    DMA_READ = 0x02,
    DMA_SKIP = 0x04,
    DMA_SELECT = 0x08,
    DMA_WRITE = 0x10,
};

struct item {
    uint16_t key;
    uint32_t size;
    uint8_t *data;
    char name[MAX_NAME]; /* "" for numbered items */
};

struct fwcfg {
    struct dev dev;
    struct port_range regs, dma;
    struct item item[MAX_ITEMS];
    unsigned n_items, n_files;
    uint8_t dir[4 + MAX_ITEMS * 64];
    /* guest-visible */
    uint16_t key;
    uint32_t off;
    uint32_t dma_hi;
};

static const struct item *find(const struct fwcfg *f, uint16_t key)
{
    for (unsigned i = 0; i < f->n_items; i++)
        if (f->item[i].key == key)
            return &f->item[i];
    return NULL;
}

/* Copies up to n bytes of the selected item, zeros beyond its end. */
static void read_item(struct fwcfg *f, uint8_t *buf, size_t n)
{
    const struct item *it = find(f, f->key);
    size_t have = it && f->off < it->size ? it->size - f->off : 0;
    if (have > n)
        have = n;
    if (have)
        memcpy(buf, it->data + f->off, have);
    memset(buf + have, 0, n - have);
    f->off = n > UINT32_MAX - f->off ? UINT32_MAX : f->off + (uint32_t)n;
}

static void select_item(struct fwcfg *f, uint16_t key)
{
    f->key = key;
    f->off = 0;
}

/* ---- ports ---- */

static uint64_t regs_read(void *dev, uint64_t off, unsigned size)
{
    struct fwcfg *f = dev;
    uint8_t b;
    if (off != 1 || size != 1)
        return 0;
    read_item(f, &b, 1);
    return b;
}

static void regs_read_rep(void *dev, uint64_t off, unsigned size, void *buf, unsigned n)
{
    if (off == 1 && size == 1)
        read_item(dev, buf, n);
    else
        memset(buf, 0, (size_t)n * size);
}

static void regs_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    if (off == 0 && size == 2)
        select_item(dev, (uint16_t)val);
}

static const struct io_ops regs_ops = {.read = regs_read, .write = regs_write, .read_rep = regs_read_rep, .widths = IO_8 | IO_16};

static uint32_t dma_copy(struct fwcfg *f, gpa_t a, uint32_t len)
{
    uint8_t buf[4096];
    while (len) {
        uint32_t n = len < sizeof buf ? len : (uint32_t)sizeof buf;
        /* Past the end there are only zeros: a guest must not make us write 4 GiB of them under the lock. */
        const struct item *it = find(f, f->key);
        if (!it || f->off >= it->size) {
            if (len > MAX_ITEM)
                return DMA_ERROR;
        }
        read_item(f, buf, n);
        if (gmem_write(f->dev.vm, a, buf, n))
            return DMA_ERROR;
        a += n;
        len -= n;
    }
    return 0;
}

static void dma_run(struct fwcfg *f, gpa_t block)
{
    uint8_t b[16];
    uint32_t result = 0;
    if (gmem_read(f->dev.vm, block, b, sizeof b)) {
        guest_error("fwcfg", "DMA command block at 0x%llx is not in memory", (unsigned long long)block);
        return;
    }
    uint32_t control = ld_be32(b), len = ld_be32(b + 4);
    gpa_t a = ld_be64(b + 8);
    if (control & DMA_SELECT)
        select_item(f, (uint16_t)(control >> 16));
    if (control & DMA_READ) {
        result = dma_copy(f, a, len);
    } else if (control & DMA_WRITE) {
        result = DMA_ERROR;
    } else if (control & DMA_SKIP) {
        f->off = len > UINT32_MAX - f->off ? UINT32_MAX : f->off + len;
    }
    st_be32(b, result);
    gmem_write(f->dev.vm, block, b, 4);
}

static uint64_t dma_port_read(void *dev, uint64_t off, unsigned size)
{
    return __builtin_bswap32(off ? 0x20434647 : 0x51454d55); /* "QEMU CFG", big-endian */
}

static void dma_port_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct fwcfg *f = dev;
    uint32_t v = __builtin_bswap32((uint32_t)val);
    if (off == 0) {
        f->dma_hi = v;
    } else {
        gpa_t a = (gpa_t)f->dma_hi << 32 | v;
        f->dma_hi = 0;
        dma_run(f, a);
    }
}

/* The core assembles narrower accesses, of which a write would read first: harmless, reads have no effect. */
static const struct io_ops dma_ops = {.read = dma_port_read, .write = dma_port_write, .widths = IO_32};

/* ---- items ---- */

static int add(struct fwcfg *f, uint16_t key, const char *name, const void *data, size_t n, struct err *e)
{
    if (n > MAX_ITEM || f->n_items == MAX_ITEMS)
        return err_set(e, ERR_CONFIG, 0, "There is too much data for the firmware (%s).", *name ? name : "numbered item");
    if (find(f, key))
        return err_set(e, ERR_CONFIG, 0, "The firmware item %#x is given twice.", key);
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        return err_set(e, ERR_NOMEM, 0, "Out of memory.");
    memcpy(copy, data, n);
    struct item *it = &f->item[f->n_items++];
    *it = (struct item){.key = key, .size = (uint32_t)n, .data = copy};
    memcpy(it->name, name, strlen(name) + 1);
    return 0;
}

int fwcfg_add_item(struct dev *d, uint16_t key, const void *data, size_t n, struct err *e)
{
    return add((struct fwcfg *)d, key, "", data, n, e);
}

/* Some firmware looks files up by bisection: the directory is kept sorted by name. */
static int make_dir(struct fwcfg *f, struct err *e)
{
    const struct item *file[MAX_ITEMS];
    unsigned n = 0;
    struct item *dir = NULL;
    for (unsigned i = 0; i < f->n_items; i++) {
        const struct item *it = &f->item[i];
        if (it->key == FWCFG_FILE_DIR)
            dir = &f->item[i];
        if (!*it->name)
            continue;
        unsigned at = n++;
        for (; at && strcmp(file[at - 1]->name, it->name) > 0; at--)
            file[at] = file[at - 1];
        file[at] = it;
    }
    memset(f->dir, 0, sizeof f->dir);
    st_be32(f->dir, n);
    for (unsigned i = 0; i < n; i++) {
        uint8_t *p = f->dir + 4 + i * 64;
        st_be32(p, file[i]->size);
        st_be16(p + 4, file[i]->key);
        memcpy(p + 8, file[i]->name, strlen(file[i]->name));
    }
    if (!dir)
        return add(f, FWCFG_FILE_DIR, "", f->dir, 4 + n * 64, e);
    uint8_t *copy = realloc(dir->data, 4 + n * 64);
    if (!copy)
        return err_set(e, ERR_NOMEM, 0, "Out of memory.");
    memcpy(copy, f->dir, 4 + n * 64);
    dir->data = copy;
    dir->size = 4 + n * 64;
    return 0;
}

int fwcfg_add_file(struct dev *d, const char *name, const void *data, size_t n, struct err *e)
{
    struct fwcfg *f = (struct fwcfg *)d;
    if (!*name || strlen(name) >= MAX_NAME)
        return err_set(e, ERR_CONFIG, 0, "A firmware file cannot be called \"%s\".", name);
    for (unsigned i = 0; i < f->n_items; i++)
        if (!strcmp(f->item[i].name, name))
            return err_set(e, ERR_CONFIG, 0, "The firmware file %s is given twice.", name);
    if (add(f, (uint16_t)(FWCFG_FILE_FIRST + f->n_files), name, data, n, e))
        return -1;
    f->n_files++;
    return make_dir(f, e);
}

/* ---- the device ---- */

static int fwcfg_init(struct dev *d, const void *params, struct err *e)
{
    struct fwcfg *f = (struct fwcfg *)d;
    uint8_t id[4] = {ID_TRADITIONAL | ID_DMA};
    if (fwcfg_add_item(d, FWCFG_SIGNATURE, "QEMU", 4, e) || fwcfg_add_item(d, FWCFG_ID, id, sizeof id, e) || make_dir(f, e))
        goto fail;
    f->regs = (struct port_range){"fwcfg", 0x510, 2, &regs_ops, f};
    f->dma = (struct port_range){"fwcfg-dma", 0x514, 8, &dma_ops, f};
    if (port_claim(d->vm, &f->regs, e) || port_claim(d->vm, &f->dma, e))
        goto fail;
    return 0;
fail:
    for (unsigned i = 0; i < f->n_items; i++)
        free(f->item[i].data);
    return -1;
}

static void fwcfg_reset(struct dev *d, enum reset_kind k)
{
    struct fwcfg *f = (struct fwcfg *)d;
    select_item(f, 0);
    f->dma_hi = 0;
}

static void fwcfg_destroy(struct dev *d)
{
    struct fwcfg *f = (struct fwcfg *)d;
    for (unsigned i = 0; i < f->n_items; i++)
        free(f->item[i].data);
}

static const struct state_field fwcfg_fields[] = {
    SF(struct fwcfg, key, SF_U16),
    SF(struct fwcfg, off, SF_U32),
    SF(struct fwcfg, dma_hi, SF_U32),
    {0},
};
static const struct state_desc fwcfg_state = {.name = "fwcfg", .version = 1, .min_version = 1, .fields = fwcfg_fields};

const struct dev_class fwcfg_class = {
    .name = "fwcfg",
    .size = sizeof(struct fwcfg),
    .init = fwcfg_init,
    .reset = fwcfg_reset,
    .destroy = fwcfg_destroy,
    .state = &fwcfg_state,
};
