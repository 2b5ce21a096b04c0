/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making empty VMDK disks, laid out as VMware lays them out. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "block/vmdk_private.h"

#define GRAIN 128u
#define GTES 512u
#define DESC_SECTORS 20u
#define SPLIT_SECTORS 4192256u /* 2047 MiB */

static int write_failed(const struct hostfile *hf, int err, struct err *e)
{
    return err_set(e, err == ENOSPC || err == EDQUOT ? ERR_HOST : ERR_IO, err, "%s cannot be written: %s", hf->name,
                   strerror(err));
}

int vmdk_sparse_create(const struct hostfile *hf, uint64_t sectors, const char *desc, size_t desc_len, struct err *e)
{
    uint8_t h[VMDK_SECTOR] = {0};
    uint64_t per_gd = GRAIN * GTES;
    uint64_t n_gd = (sectors + per_gd - 1) / per_gd;
    uint64_t gd_sectors = (n_gd * 4 + VMDK_SECTOR - 1) / VMDK_SECTOR, gt_sectors = GTES * 4 / VMDK_SECTOR;
    uint64_t rgd = desc ? 1 + DESC_SECTORS : 1;
    uint64_t gd = rgd + gd_sectors + n_gd * gt_sectors;
    uint64_t overhead = (gd + gd_sectors + n_gd * gt_sectors + GRAIN - 1) / GRAIN * GRAIN;
    if (sectors == 0 || sectors > VMDK_MAX_SECTORS || overhead > UINT32_MAX / 2)
        return err_set(e, ERR_CONFIG, 0, "%s: a sparse disk of %llu sectors cannot be made", hf->name,
                       (unsigned long long)sectors);
    if (desc_len > DESC_SECTORS * VMDK_SECTOR)
        return err_set(e, ERR_CONFIG, 0, "%s: the disk descriptor is %zu bytes long, but a sparse file has room for %u",
                       hf->name, desc_len, DESC_SECTORS * VMDK_SECTOR);
    memcpy(h, "KDMV", 4);
    st_le32(h + 4, 1);
    st_le32(h + 8, SPARSE_NEWLINE | SPARSE_RGD);
    st_le64(h + 12, sectors);
    st_le64(h + 20, GRAIN);
    st_le64(h + 28, desc ? 1 : 0);
    st_le64(h + 36, desc ? DESC_SECTORS : 0);
    st_le32(h + 44, GTES);
    st_le64(h + 48, rgd);
    st_le64(h + 56, gd);
    st_le64(h + 64, overhead);
    memcpy(h + 73, "\n \r\n", 4);
    uint32_t *dir = calloc(gd_sectors, VMDK_SECTOR);
    if (!dir)
        return err_set(e, ERR_NOMEM, 0, "%s: out of memory", hf->name);
    /* The tables are all zeros, which the file's holes are already. */
    int err = hf->ops->truncate(hf->f, overhead * VMDK_SECTOR);
    for (int copy = 0; copy < 2 && !err; copy++) {
        uint64_t at = copy ? gd : rgd;
        for (uint64_t i = 0; i < n_gd; i++)
            st_le32(&dir[i], (uint32_t)(at + gd_sectors + i * gt_sectors));
        err = hf_pwrite(hf, at * VMDK_SECTOR, dir, (size_t)gd_sectors * VMDK_SECTOR);
    }
    free(dir);
    if (!err && desc)
        err = hf_pwrite(hf, VMDK_SECTOR, desc, desc_len);
    if (!err)
        err = hf_pwrite(hf, 0, h, sizeof h); /* last: before it, the file is no VMDK */
    if (!err)
        err = hf_flush(hf);
    return err ? write_failed(hf, err, e) : 0;
}

static const char *const type_names[] = {"monolithicSparse", "twoGbMaxExtentSparse", "monolithicFlat",
                                         "twoGbMaxExtentFlat"};

static int make_extent(const struct vmdk_desc_extent *x, const struct vmdk_creator *c, struct err *e)
{
    struct hostfile hf = {0};
    if (c->create(c->u, x->file, &hf, e) < 0)
        return -1;
    int rc = 0, err;
    if (x->type == VMDK_SPARSE)
        rc = vmdk_sparse_create(&hf, x->sectors, NULL, 0, e);
    else if ((err = hf.ops->truncate(hf.f, x->sectors * VMDK_SECTOR)) != 0 || (err = hf_flush(&hf)) != 0)
        rc = write_failed(&hf, err, e);
    hf_close(&hf);
    return rc;
}

int vmdk_create(const char *name, const struct vmdk_create_params *p, const struct vmdk_creator *c, struct err *e)
{
    size_t stem = strlen(name);
    if (stem > 5 && strcasecmp(name + stem - 5, ".vmdk") == 0)
        stem -= 5;
    if (stem == 0 || stem > 200 || strpbrk(name, "\"\n\r/"))
        return err_set(e, ERR_CONFIG, 0, "\"%.100s\" cannot be the name of a disk", name);
    uint64_t sectors = p->size / VMDK_SECTOR + (p->size % VMDK_SECTOR != 0);
    if (sectors == 0 || sectors > VMDK_MAX_SECTORS)
        return err_set(e, ERR_CONFIG, 0, "%s: a disk of %llu bytes cannot be made", name, (unsigned long long)p->size);
    bool split = p->type == VMDK_TWOGB_SPARSE || p->type == VMDK_TWOGB_FLAT;
    bool flat = p->type == VMDK_MONOLITHIC_FLAT || p->type == VMDK_TWOGB_FLAT;
    uint64_t part = !split ? sectors : p->split ? p->split : SPLIT_SECTORS;
    uint64_t n = (sectors + part - 1) / part;
    if (n > 999)
        return err_set(e, ERR_CONFIG, 0,
                       "%s: the disk would have %llu parts; more than 999 cannot be named: make it in one piece", name,
                       (unsigned long long)n);
    struct vmdk_desc_extent *ext = calloc(n, sizeof *ext);
    int rc = ext ? 0 : err_set(e, ERR_NOMEM, 0, "%s: out of memory", name);
    for (uint64_t i = 0; i < n && rc == 0; i++) {
        ext[i].type = flat ? VMDK_FLAT : VMDK_SPARSE;
        ext[i].sectors = i + 1 < n ? part : sectors - part * (n - 1);
        int len = split ? asprintf(&ext[i].file, "%.*s-%c%03u.vmdk", (int)stem, name, flat ? 'f' : 's', (unsigned)i + 1)
                  : flat ? asprintf(&ext[i].file, "%.*s-flat.vmdk", (int)stem, name)
                         : asprintf(&ext[i].file, "%s", name);
        if (len < 0) {
            ext[i].file = NULL;
            rc = err_set(e, ERR_NOMEM, 0, "%s: out of memory", name);
        } else if (split || flat) {
            rc = make_extent(&ext[i], c, e);
        }
    }
    char *text = NULL;
    size_t len = 0;
    if (rc == 0) {
        struct vmdk_desc_params dp = {.create_type = type_names[p->type],
                                      .adapter = p->adapter ? p->adapter : "ide",
                                      .cid = vmdk_new_cid(),
                                      .hw_version = p->hw_version,
                                      .sectors = sectors,
                                      .ext = ext,
                                      .n_ext = (unsigned)n};
        text = vmdk_desc_write(&dp, &len);
        if (!text)
            rc = err_set(e, ERR_NOMEM, 0, "%s: out of memory", name);
    }
    struct hostfile hf = {0};
    if (rc == 0 && (rc = c->create(c->u, name, &hf, e)) == 0) {
        int err;
        if (p->type == VMDK_MONOLITHIC_SPARSE)
            rc = vmdk_sparse_create(&hf, sectors, text, len, e);
        else if ((err = hf_pwrite(&hf, 0, text, len)) != 0 || (err = hf_flush(&hf)) != 0)
            rc = write_failed(&hf, err, e);
        hf_close(&hf);
    }
    free(text);
    for (uint64_t i = 0; ext && i < n; i++)
        free(ext[i].file);
    free(ext);
    return rc;
}
