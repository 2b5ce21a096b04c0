/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the VMDK format: descriptor text, extents. */
#ifndef LODGE_BLOCK_VMDK_PRIVATE_H
#define LODGE_BLOCK_VMDK_PRIVATE_H

#include "block/blk_private.h"
#include "block/vmdk.h"

#define VMDK_SECTOR 512u
#define VMDK_DESC_MAX (1u << 20) /* bytes of descriptor text */
#define VMDK_MAX_EXTENTS 16384u
#define VMDK_MAX_SECTORS (1ull << 53) /* of a disk: keeps every byte offset far from overflow */
#define VMDK_NO_PARENT 0xffffffffu

enum vmdk_access { VMDK_RW, VMDK_RDONLY, VMDK_NOACCESS };
enum vmdk_extent_type {
    VMDK_FLAT,
    VMDK_SPARSE,
    VMDK_ZERO,
    VMDK_VMFS,
    VMDK_VMFSSPARSE,
    VMDK_VMFSRDM,
    VMDK_VMFSRAW,
    VMDK_SESPARSE
};

struct vmdk_desc_extent {
    enum vmdk_access access;
    enum vmdk_extent_type type;
    uint64_t sectors, offset; /* offset: sectors in the file, FLAT only */
    char *file;               /* NULL for ZERO and, perhaps, NOACCESS */
    unsigned line;
};

struct vmdk_desc {
    char *text; /* as read, for rewriting the CID in place */
    size_t len;
    char create_type[64], adapter[32];
    uint32_t cid, parent_cid;
    size_t cid_at, cid_len, long_id_at; /* where the values stand in text; 0 = absent */
    char *parent_hint;
    uint32_t cyls, heads, secs;
    struct vmdk_desc_extent *ext;
    unsigned n_ext;
};

/* text need not end in NUL; name is for messages. *d must be zeroed; vmdk_desc_free also after a failure. */
int vmdk_desc_parse(struct vmdk_desc *d, const char *name, const char *text, size_t len, struct err *e);
void vmdk_desc_free(struct vmdk_desc *d);
/* Puts cid into the text (also as the end of ddb.longContentID). False when the text has no place for it. */
bool vmdk_desc_set_cid(struct vmdk_desc *d, uint32_t cid);
const char *vmdk_extent_type_name(enum vmdk_extent_type t);

struct vmdk_desc_params {
    const char *create_type, *adapter;
    uint32_t cid;
    unsigned hw_version;
    uint64_t sectors; /* of the whole disk: for the geometry */
    const struct vmdk_desc_extent *ext;
    unsigned n_ext;
};
/* The text of a new descriptor, to be freed; NULL when memory is out. */
char *vmdk_desc_write(const struct vmdk_desc_params *p, size_t *len);
void vmdk_geometry(const char *adapter, uint64_t sectors, uint32_t *cyls, uint32_t *heads, uint32_t *secs);
uint32_t vmdk_new_cid(void);

/* One extent of a disk; offsets are bytes from the extent's start. */
struct vmdk_extent_ops {
    int (*read)(void *x, uint64_t off, uint64_t len, struct iov_iter *it);
    int (*read_now)(void *x, uint64_t off, uint64_t len, struct iov_iter *it);
    int (*write)(void *x, uint64_t off, uint64_t len, struct iov_iter *it);
    int (*flush)(void *x);
    int (*discard)(void *x, uint64_t off, uint64_t len);
    void (*close)(void *x); /* not the host file */
};
struct vmdk_extent {
    const struct vmdk_extent_ops *ops;
    void *x;
    enum vmdk_access access;
    uint64_t start, sectors; /* in the disk */
};

/* hf stays the caller's and must outlive the extent. */
int vmdk_flat_open(struct vmdk_extent *out, const struct hostfile *hf, uint64_t offset, uint64_t sectors,
                   struct err *e);
void vmdk_zero_open(struct vmdk_extent *out);

/* Header of a hosted sparse extent (reference: Virtual Disk Format 5.0, "Hosted Sparse Extents"). */
struct vmdk_sparse_header {
    uint32_t version, flags;
    uint64_t capacity, grain; /* sectors */
    uint64_t desc_off, desc_size;
    uint32_t gtes;
    uint64_t rgd_off, gd_off, overhead;
    bool unclean;
    uint16_t compress;
};
enum { SPARSE_NEWLINE = 1, SPARSE_RGD = 2, SPARSE_ZERO_GTE = 4, SPARSE_COMPRESSED = 0x10000, SPARSE_MARKERS = 0x20000 };
int vmdk_sparse_read_header(const struct hostfile *hf, struct vmdk_sparse_header *h, struct err *e);
/* sectors: what the descriptor says, 0 = as the header has it; *out gets the number that counts. */
int vmdk_sparse_open(struct vmdk_extent *out, const struct hostfile *hf, uint64_t sectors, bool read_only,
                     struct err *e);
/* Writes an empty sparse extent with room for desc (NULL: none). */
int vmdk_sparse_create(const struct hostfile *hf, uint64_t sectors, const char *desc, size_t desc_len, struct err *e);

#endif
