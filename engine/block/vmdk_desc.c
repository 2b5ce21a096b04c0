/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMDK descriptor: a small text that says what the disk is made of. It comes from a file that anybody may have
 * written, so every number is range-checked here and every refusal names file, line, field and value.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "block/vmdk_private.h"

static const struct {
    const char *name;
    enum vmdk_extent_type type;
} extent_types[] = {
    {"FLAT", VMDK_FLAT},       {"SPARSE", VMDK_SPARSE},         {"ZERO", VMDK_ZERO},
    {"VMFS", VMDK_VMFS},       {"VMFSSPARSE", VMDK_VMFSSPARSE}, {"VMFSRDM", VMDK_VMFSRDM},
    {"VMFSRAW", VMDK_VMFSRAW}, {"SESPARSE", VMDK_SESPARSE},
};

const char *vmdk_extent_type_name(enum vmdk_extent_type t)
{
    for (unsigned i = 0; i < sizeof extent_types / sizeof extent_types[0]; i++)
        if (extent_types[i].type == t)
            return extent_types[i].name;
    return "?";
}

/* ---- reading ---- */

struct parser {
    struct vmdk_desc *d;
    const char *name;
    unsigned line;
    struct err *e;
    bool have_version;
};

/* A value for a message: printable and short. */
static const char *shown(const char *v, size_t n, char out[48])
{
    size_t o = 0;
    for (size_t i = 0; i < n && o < 40; i++)
        out[o++] = (unsigned char)v[i] < 32 || (unsigned char)v[i] == 127 ? '?' : v[i];
    if (n > 40)
        memcpy(out + o, "...", 3), o += 3;
    out[o] = 0;
    return out;
}

static int bad(struct parser *p, const char *field, const char *v, size_t n, const char *why)
{
    char s[48];
    return err_set(p->e, ERR_FORMAT, 0, "%s: line %u of the disk descriptor: %s is \"%s\": %s", p->name, p->line, field,
                   shown(v, n, s), why);
}

static bool to_number(const char *v, size_t n, uint64_t max, uint64_t *out)
{
    uint64_t x = 0;
    if (n == 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)v[i]) || x > (max - (uint64_t)(v[i] - '0')) / 10)
            return false;
        x = x * 10 + (uint64_t)(v[i] - '0');
    }
    *out = x;
    return x <= max;
}

static bool to_hex32(const char *v, size_t n, uint32_t *out)
{
    uint32_t x = 0;
    if (n == 0 || n > 8)
        return false;
    for (size_t i = 0; i < n; i++) {
        int c = tolower((unsigned char)v[i]);
        if (!isxdigit(c))
            return false;
        x = x << 4 | (uint32_t)(isdigit(c) ? c - '0' : c - 'a' + 10);
    }
    *out = x;
    return true;
}

static bool is_key(const char *k, size_t n, const char *want)
{
    return strlen(want) == n && strncasecmp(k, want, n) == 0;
}

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }

/* The next word of an extent line; quotes enclose a file name. */
static bool next_word(const char **s, const char *end, const char **w, size_t *n, bool *quoted)
{
    while (*s < end && blank(**s))
        (*s)++;
    if (*s >= end)
        return false;
    *quoted = **s == '"';
    const char *b = *s + *quoted;
    const char *t = b;
    while (t < end && (*quoted ? *t != '"' : !blank(*t)))
        t++;
    if (*quoted && t >= end)
        return false;
    *w = b;
    *n = (size_t)(t - b);
    *s = t + *quoted;
    return true;
}

static int parse_extent(struct parser *p, const char *s, const char *end)
{
    static const char *const access[] = {"RW", "RDONLY", "NOACCESS"};
    struct vmdk_desc *d = p->d;
    struct vmdk_desc_extent x = {.line = p->line};
    const char *w, *line = s;
    size_t n, line_len = (size_t)(end - s);
    bool q;
    next_word(&s, end, &w, &n, &q);
    for (unsigned i = 0; i < 3; i++)
        if (is_key(w, n, access[i]))
            x.access = (enum vmdk_access)i;
    if (!next_word(&s, end, &w, &n, &q) || q)
        return bad(p, "extent", line, line_len, "the size in sectors is missing");
    if (!to_number(w, n, VMDK_MAX_SECTORS, &x.sectors) || x.sectors == 0)
        return bad(p, "extent size", w, n, "it must be a number of sectors, at least 1");
    if (!next_word(&s, end, &w, &n, &q) || q)
        return bad(p, "extent", line, line_len, "the type (FLAT, SPARSE, ZERO ...) is missing");
    unsigned t;
    for (t = 0; t < sizeof extent_types / sizeof extent_types[0]; t++)
        if (is_key(w, n, extent_types[t].name))
            break;
    if (t == sizeof extent_types / sizeof extent_types[0])
        return bad(p, "extent type", w, n,
                   "it must be FLAT, SPARSE, ZERO, VMFS, VMFSSPARSE, VMFSRDM, VMFSRAW or SESPARSE");
    x.type = extent_types[t].type;
    if (next_word(&s, end, &w, &n, &q)) {
        if (!q)
            return bad(p, "extent file name", w, n, "it must stand between double quotes");
        if (n == 0 || n > 4095)
            return bad(p, "extent file name", w, n, "it must have 1 to 4095 characters");
        for (size_t i = 0; i < n; i++)
            if ((unsigned char)w[i] < 32)
                return bad(p, "extent file name", w, n, "it has a control character");
        x.file = strndup(w, n);
        if (!x.file)
            return err_set(p->e, ERR_NOMEM, 0, "%s: out of memory", p->name);
        if (x.type == VMDK_FLAT && next_word(&s, end, &w, &n, &q) &&
            (q || !to_number(w, n, VMDK_MAX_SECTORS, &x.offset))) {
            free(x.file);
            return bad(p, "extent offset", w, n, "it must be a number of sectors");
        }
        /* Further words (a device's serial number on physical disks) say nothing about the data. */
    } else if (x.type != VMDK_ZERO && x.access != VMDK_NOACCESS) {
        return bad(p, "extent", line, line_len, "the file name is missing, or its closing quote");
    }
    if (d->n_ext >= VMDK_MAX_EXTENTS) {
        free(x.file);
        return err_set(p->e, ERR_FORMAT, 0, "%s: the disk descriptor lists more than %u extents", p->name,
                       VMDK_MAX_EXTENTS);
    }
    if ((d->n_ext & (d->n_ext - 1)) == 0) { /* grows at powers of two */
        struct vmdk_desc_extent *ext = realloc(d->ext, (d->n_ext ? d->n_ext * 2 : 1) * sizeof *ext);
        if (!ext) {
            free(x.file);
            return err_set(p->e, ERR_NOMEM, 0, "%s: out of memory", p->name);
        }
        d->ext = ext;
    }
    d->ext[d->n_ext++] = x;
    return 0;
}

static int parse_geometry(struct parser *p, const char *k, size_t kn, const char *v, size_t n, uint32_t *out)
{
    uint64_t x;
    char field[48];
    if (!to_number(v, n, UINT32_MAX, &x)) {
        shown(k, kn, field);
        return bad(p, field, v, n, "it must be a number");
    }
    *out = (uint32_t)x;
    return 0;
}

static int parse_value(struct parser *p, const char *k, size_t kn, const char *v, size_t n)
{
    struct vmdk_desc *d = p->d;
    size_t at = (size_t)(v - d->text);
    if (is_key(k, kn, "version")) {
        uint64_t x;
        if (!to_number(v, n, 99, &x) || x < 1 || x > 4)
            return bad(p, "version", v, n, "versions 1 to 4 of the format are known");
        p->have_version = true;
    } else if (is_key(k, kn, "encoding")) {
        /* Only ASCII matters to us but in file names, which are taken as they stand. */
    } else if (is_key(k, kn, "CID")) {
        if (!to_hex32(v, n, &d->cid))
            return bad(p, "CID", v, n, "it must be 1 to 8 hexadecimal digits");
        d->cid_at = at;
        d->cid_len = n;
    } else if (is_key(k, kn, "parentCID")) {
        if (!to_hex32(v, n, &d->parent_cid))
            return bad(p, "parentCID", v, n, "it must be 1 to 8 hexadecimal digits");
    } else if (is_key(k, kn, "createType")) {
        if (n == 0 || n >= sizeof d->create_type)
            return bad(p, "createType", v, n, "this kind of disk is not known");
        memcpy(d->create_type, v, n);
        d->create_type[n] = 0;
    } else if (is_key(k, kn, "parentFileNameHint")) {
        free(d->parent_hint);
        d->parent_hint = strndup(v, n);
        if (!d->parent_hint)
            return err_set(p->e, ERR_NOMEM, 0, "%s: out of memory", p->name);
    } else if (is_key(k, kn, "ddb.adapterType")) {
        snprintf(d->adapter, sizeof d->adapter, "%.*s", (int)(n < sizeof d->adapter ? n : sizeof d->adapter - 1), v);
    } else if (is_key(k, kn, "ddb.geometry.cylinders")) {
        return parse_geometry(p, k, kn, v, n, &d->cyls);
    } else if (is_key(k, kn, "ddb.geometry.heads")) {
        return parse_geometry(p, k, kn, v, n, &d->heads);
    } else if (is_key(k, kn, "ddb.geometry.sectors")) {
        return parse_geometry(p, k, kn, v, n, &d->secs);
    } else if (is_key(k, kn, "ddb.longContentID")) {
        if (n == 32)
            d->long_id_at = at;
    }
    return 0;
}

static int parse_line(struct parser *p, const char *s, const char *end)
{
    while (s < end && blank(*s))
        s++;
    while (end > s && blank(end[-1]))
        end--;
    if (s == end || *s == '#')
        return 0;
    const char *w = s, *t = s;
    while (t < end && !blank(*t) && *t != '=')
        t++;
    size_t n = (size_t)(t - w);
    if (is_key(w, n, "RW") || is_key(w, n, "RDONLY") || is_key(w, n, "NOACCESS"))
        return parse_extent(p, s, end);
    while (t < end && blank(*t))
        t++;
    if (t >= end || *t != '=')
        return bad(p, "the text", s, (size_t)(end - s),
                   "it is neither an extent nor a setting of the form name = value");
    t++;
    while (t < end && blank(*t))
        t++;
    if (t < end && *t == '"') {
        const char *close = memrchr(t + 1, '"', (size_t)(end - t - 1));
        if (!close) {
            char field[48];
            return bad(p, shown(w, n, field), t, (size_t)(end - t), "the closing quote is missing");
        }
        return parse_value(p, w, n, t + 1, (size_t)(close - t - 1));
    }
    return parse_value(p, w, n, t, (size_t)(end - t));
}

int vmdk_desc_parse(struct vmdk_desc *d, const char *name, const char *text, size_t len, struct err *e)
{
    struct parser p = {.d = d, .name = name, .e = e};
    const char *nul = memchr(text, 0, len);
    if (nul)
        len = (size_t)(nul - text);
    d->parent_cid = VMDK_NO_PARENT;
    d->len = len;
    d->text = malloc(len + 1);
    if (!d->text)
        return err_set(e, ERR_NOMEM, 0, "%s: out of memory", name);
    memcpy(d->text, text, len);
    d->text[len] = 0;
    const char *s = d->text, *end = d->text + len;
    if (len >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
        s += 3;
    while (s < end) {
        const char *nl = memchr(s, '\n', (size_t)(end - s));
        const char *stop = nl ? nl : end;
        p.line++;
        if (parse_line(&p, s, stop) < 0)
            return -1;
        s = nl ? nl + 1 : end;
    }
    if (!p.have_version && d->n_ext == 0 && !d->create_type[0])
        return err_set(e, ERR_FORMAT, 0,
                       "%s is not a VMDK disk: it has neither the header of one nor a disk descriptor", name);
    if (!p.have_version)
        return err_set(e, ERR_FORMAT, 0, "%s: the disk descriptor has no version line", name);
    if (!d->create_type[0])
        return err_set(e, ERR_FORMAT, 0, "%s: the disk descriptor has no createType line", name);
    if (d->n_ext == 0)
        return err_set(e, ERR_FORMAT, 0, "%s: the disk descriptor lists no extent, so the disk has no data", name);
    uint64_t sum = 0;
    for (unsigned i = 0; i < d->n_ext; i++) {
        if (d->ext[i].sectors > VMDK_MAX_SECTORS - sum)
            return err_set(e, ERR_FORMAT, 0,
                           "%s: line %u of the disk descriptor: the extents' sizes add up to more than %llu sectors",
                           name, d->ext[i].line, (unsigned long long)VMDK_MAX_SECTORS);
        sum += d->ext[i].sectors;
    }
    return 0;
}

void vmdk_desc_free(struct vmdk_desc *d)
{
    for (unsigned i = 0; i < d->n_ext; i++)
        free(d->ext[i].file);
    free(d->ext);
    free(d->text);
    free(d->parent_hint);
    memset(d, 0, sizeof *d);
}

/* ---- writing ---- */

bool vmdk_desc_set_cid(struct vmdk_desc *d, uint32_t cid)
{
    char hex[9];
    if (!d->cid_at)
        return false;
    snprintf(hex, sizeof hex, "%08" PRIx32, cid);
    if (d->cid_len != 8) { /* a shorter number: everything behind it moves */
        char *t = malloc(d->len + 9);
        if (!t)
            return false;
        size_t tail = d->cid_at + d->cid_len;
        memcpy(t, d->text, d->cid_at);
        memcpy(t + d->cid_at + 8, d->text + tail, d->len - tail + 1);
        free(d->text);
        d->text = t;
        d->len += 8 - d->cid_len;
        if (d->long_id_at > d->cid_at)
            d->long_id_at += 8 - d->cid_len;
        d->cid_len = 8;
    }
    memcpy(d->text + d->cid_at, hex, 8);
    if (d->long_id_at)
        memcpy(d->text + d->long_id_at + 24, hex, 8);
    d->cid = cid;
    return true;
}

uint32_t vmdk_new_cid(void)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        if (getentropy(&v, sizeof v) < 0) {
            struct timespec ts;
            clock_gettime(CLOCK_REALTIME, &ts);
            v = (uint32_t)ts.tv_nsec * 2654435761u ^ (uint32_t)ts.tv_sec ^ (uint32_t)i;
        }
        if (v != 0 && v < 0xfffffffeu)
            return v;
    }
    return 0x4c4f4447;
}

void vmdk_geometry(const char *adapter, uint64_t sectors, uint32_t *cyls, uint32_t *heads, uint32_t *secs)
{
    if (strcasecmp(adapter, "ide") == 0) {
        *heads = 16;
        *secs = 63;
    } else if (sectors < 2097152) { /* 1 GiB */
        *heads = 64;
        *secs = 32;
    } else {
        *heads = 255;
        *secs = 63;
    }
    uint64_t c = sectors / ((uint64_t)*heads * *secs);
    if (c == 0)
        c = 1;
    uint64_t max = *heads == 16 ? 16383 : UINT32_MAX;
    *cyls = (uint32_t)(c > max ? max : c);
}

char *vmdk_desc_write(const struct vmdk_desc_params *p, size_t *len)
{
    char *buf = NULL;
    uint32_t c, h, s;
    uint8_t id[28] = {0};
    FILE *f = open_memstream(&buf, len);
    if (!f)
        return NULL;
    for (unsigned i = 0; i < sizeof id; i += 4) {
        uint32_t r = vmdk_new_cid();
        memcpy(id + i, &r, 4);
    }
    fprintf(f,
            "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=%08" PRIx32
            "\nparentCID=ffffffff\nisNativeSnapshot=\"no\"\n"
            "createType=\"%s\"\n\n# Extent description\n",
            p->cid, p->create_type);
    for (unsigned i = 0; i < p->n_ext; i++) {
        const struct vmdk_desc_extent *x = &p->ext[i];
        fprintf(f, "RW %llu %s \"%s\"", (unsigned long long)x->sectors, vmdk_extent_type_name(x->type), x->file);
        if (x->type == VMDK_FLAT)
            fprintf(f, " %llu", (unsigned long long)x->offset);
        fputc('\n', f);
    }
    vmdk_geometry(p->adapter, p->sectors, &c, &h, &s);
    fprintf(f,
            "\n# The Disk Data Base\n#DDB\n\nddb.adapterType = \"%s\"\nddb.geometry.cylinders = \"%" PRIu32
            "\"\nddb.geometry.heads = \"%" PRIu32 "\"\nddb.geometry.sectors = \"%" PRIu32 "\"\nddb.longContentID = \"",
            p->adapter, c, h, s);
    for (unsigned i = 0; i < 12; i++)
        fprintf(f, "%02x", id[i]);
    fprintf(f, "%08" PRIx32 "\"\nddb.uuid = \"60 00 C2 9%x", p->cid, id[12] & 15);
    for (unsigned i = 0; i < 12; i++)
        fprintf(f, "%c%02x", i == 4 ? '-' : ' ', id[13 + i]);
    fprintf(f, "\"\nddb.virtualHWVersion = \"%u\"\n", p->hw_version ? p->hw_version : 8);
    if (fclose(f) != 0) {
        free(buf);
        return NULL;
    }
    return buf;
}
