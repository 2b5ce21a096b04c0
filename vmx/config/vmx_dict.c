/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * .vmx dictionary, parser and writer.
 *
 * Every physical line is kept as its bytes; a line that parses as an entry also has its name and value found in it. A change rewrites only
 * the value's bytes within its line. Grammar: ws NAME ws = ws VALUE ws [# comment], where VALUE is "..." or a bare word, |XX is the byte XX.
 * Escapes are undone before the charset is converted and made after it, because '|' may be the second byte of a GBK or Big5 character.
 *
 * Invariants: (1) the byte-order mark, if there was one, and raw + eol of all live lines give the file; (2) head[] chains visit the lines of
 * one hash with the newest first, so that the first match is the one that holds.
 */
#define _GNU_SOURCE
#include "config/vmx_dict.h"

#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_BYTES 256

enum line_kind { LINE_ENTRY, LINE_OTHER, LINE_MALFORMED };

struct line {
    char *raw; /* without line end; NUL behind it */
    size_t len;
    char *name, *value;
    size_t val_off, val_len; /* in raw, quotes included */
    long next_hash;
    uint8_t kind, eol; /* eol: bytes of the line end, 0..2 */
    bool quoted, deleted, bad_text;
};

struct override {
    char *name, *value;
};

struct vmx_dict {
    struct line *line;
    size_t n, cap;
    long *head;
    size_t n_head; /* power of two */
    uint32_t seed;
    struct override *over;
    size_t n_over;
    bool crlf, cr, bom, changed, charset_unknown; /* cr: no line ends in LF, all in CR */
    char charset[32];
    iconv_t to_utf8, from_utf8; /* (iconv_t)-1: UTF-8, no conversion. Opened at load: later there may be no file access */
};

/* Charsets that occur in .vmx files. iconv would take many more names; a file decides about none of them. */
static const char *const charsets[] = {
    "UTF-8",        "US-ASCII",     "windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254", "windows-1255", "windows-1256",
    "windows-1257", "windows-1258", "ISO-8859-1",   "ISO-8859-2",   "ISO-8859-5",   "ISO-8859-7",   "ISO-8859-9",   "ISO-8859-15",  "KOI8-R",
    "GBK",          "GB18030",      "GB2312",       "Big5",         "Shift_JIS",    "EUC-JP",       "EUC-KR",       "windows-874",
};

static const struct {
    const char *name, *iconv;
} charset_alias[] = {
    {"windows-932", "CP932"}, {"windows-936", "GBK"}, {"windows-949", "UHC"}, {"windows-950", "BIG5"}, {"Shift_JIS", "CP932"}, {"windows-874", "CP874"},
};

/* FNV-1a without case, from a random start, so that no file can be written to make the chains long. */
static uint32_t name_hash(const struct vmx_dict *d, const char *s)
{
    uint32_t h = 2166136261u ^ d->seed;
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        h = (h ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 16777619u;
    }
    return h;
}

static bool utf8_valid(const unsigned char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned c = s[i], more;
        uint32_t min, cp;
        if (c < 0x80) {
            i++;
            continue;
        }
        if (c >= 0xC2 && c <= 0xDF)
            more = 1, cp = c & 31, min = 0x80;
        else if (c >= 0xE0 && c <= 0xEF)
            more = 2, cp = c & 15, min = 0x800;
        else if (c >= 0xF0 && c <= 0xF4)
            more = 3, cp = c & 7, min = 0x10000;
        else
            return false;
        if (n - i <= more)
            return false;
        for (unsigned k = 1; k <= more; k++) {
            if ((s[i + k] & 0xC0) != 0x80)
                return false;
            cp = cp << 6 | (s[i + k] & 0x3Fu);
        }
        if (cp < min || cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
            return false;
        i += more + 1;
    }
    return true;
}

static bool name_byte(unsigned char c) { return c > ' ' && c != '#' && c != '=' && c != '"' && c != 0x7F; }

bool vmx_name_valid(const char *name)
{
    if (!*name || strlen(name) > NAME_MAX_BYTES)
        return false;
    for (; *name; name++)
        if (!name_byte((unsigned char)*name))
            return false;
    return true;
}

static int hex(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Converts n bytes; NULL when a character does not convert. The result ends with NUL. */
static char *convert(iconv_t cd, const char *s, size_t n)
{
    if (cd == (iconv_t)-1)
        return strndup(s, n);
    size_t cap = n * 4 + 8;
    char *out = malloc(cap + 1), *ip = (char *)s, *op = out;
    if (!out)
        return NULL;
    size_t il = n, ol = cap;
    iconv(cd, NULL, NULL, NULL, NULL);
    if (iconv(cd, &ip, &il, &op, &ol) == (size_t)-1 || iconv(cd, NULL, NULL, &op, &ol) == (size_t)-1) {
        free(out);
        return NULL;
    }
    *op = 0;
    return out;
}

/* Finds name and value in l->raw; sets l->kind. Works on bytes: the charset is applied by decode_value. */
static void parse_line(struct line *l)
{
    const char *s = l->raw, *end = s + l->len;
#define SKIP_WS()                                   \
    while (s < end && (*s == ' ' || *s == '\t'))    \
    s++
    SKIP_WS();
    if (s == end || *s == '#') {
        l->kind = LINE_OTHER;
        return;
    }
    l->kind = LINE_MALFORMED;
    const char *name = s;
    while (s < end && *s != ' ' && *s != '\t' && *s != '#' && *s != '=')
        s++;
    size_t name_len = (size_t)(s - name);
    SKIP_WS();
    if (!name_len || name_len > NAME_MAX_BYTES || s == end || *s != '=')
        return;
    s++;
    SKIP_WS();
    const char *val = s;
    bool quoted = s < end && *s == '"';
    if (quoted) {
        const char *q = memchr(s + 1, '"', (size_t)(end - s - 1));
        if (!q)
            return;
        s = q + 1;
    } else {
        while (s < end && *s != ' ' && *s != '\t' && *s != '#' && *s != '"')
            s++;
    }
    size_t val_len = (size_t)(s - val);
    SKIP_WS();
    if (s < end && *s != '#')
        return;
#undef SKIP_WS
    l->name = strndup(name, name_len);
    l->val_off = (size_t)(val - l->raw);
    l->val_len = val_len;
    l->quoted = quoted;
    l->kind = l->name ? LINE_ENTRY : LINE_MALFORMED;
}

static int decode_value(struct vmx_dict *d, struct line *l)
{
    const char *s = l->raw + l->val_off;
    size_t n = l->val_len, w = 0;
    if (l->quoted)
        s++, n -= 2;
    char *bytes = malloc(n + 1);
    if (!bytes)
        return -1;
    l->bad_text = false;
    for (size_t i = 0; i < n; i++) {
        int hi, lo;
        if (s[i] == '|' && n - i > 2 && (hi = hex(s[i + 1])) >= 0 && (lo = hex(s[i + 2])) >= 0) {
            bytes[w++] = (char)(hi << 4 | lo);
            i += 2;
        } else {
            bytes[w++] = s[i];
        }
    }
    bytes[w] = 0;
    if (memchr(bytes, 0, w)) { /* |00: the value ends there, as for every C reader of these files */
        l->bad_text = true;
        w = strlen(bytes);
    }
    char *v = convert(d->to_utf8, bytes, w);
    if (!v || !utf8_valid((unsigned char *)v, strlen(v))) {
        l->bad_text = true;
        free(v);
        v = bytes;
    } else {
        free(bytes);
    }
    free(l->value);
    l->value = v;
    return 0;
}

/* The bytes of a quoted value for the file; NULL: not in this charset. */
static char *encode_value(const struct vmx_dict *d, const char *value, size_t *len)
{
    char *bytes = convert(d->from_utf8, value, strlen(value));
    if (!bytes)
        return NULL;
    size_t n = strlen(bytes), w = 0;
    char *out = malloc(n * 3 + 3);
    if (!out) {
        free(bytes);
        return NULL;
    }
    out[w++] = '"';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '"' || c == '|' || c == 0x7F || (c < 0x20 && c != '\t'))
            w += (size_t)sprintf(out + w, "|%02X", c);
        else
            out[w++] = (char)c;
    }
    out[w++] = '"';
    out[w] = 0;
    free(bytes);
    *len = w;
    return out;
}

static void index_line(struct vmx_dict *d, size_t i)
{
    struct line *l = &d->line[i];
    size_t h = name_hash(d, l->name) & (d->n_head - 1);
    l->next_hash = d->head[h];
    d->head[h] = (long)i;
}

static int reindex(struct vmx_dict *d)
{
    size_t want = 64;
    while (want < d->n * 2)
        want *= 2;
    if (want > d->n_head) {
        long *p = realloc(d->head, want * sizeof *p);
        if (!p)
            return -1;
        d->head = p;
        d->n_head = want;
    }
    for (size_t i = 0; i < d->n_head; i++)
        d->head[i] = -1;
    for (size_t i = 0; i < d->n; i++)
        if (d->line[i].kind == LINE_ENTRY && !d->line[i].deleted)
            index_line(d, i);
    return 0;
}

static struct line *find(const struct vmx_dict *d, const char *name)
{
    if (!d->n_head)
        return NULL;
    for (long i = d->head[name_hash(d, name) & (d->n_head - 1)]; i >= 0; i = d->line[i].next_hash)
        if (!d->line[i].deleted && !strcasecmp(d->line[i].name, name))
            return &d->line[i];
    return NULL;
}

static struct line *new_line(struct vmx_dict *d, const char *raw, size_t len, unsigned eol)
{
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 64;
        struct line *p = realloc(d->line, cap * sizeof *p);
        if (!p)
            return NULL;
        d->line = p;
        d->cap = cap;
    }
    struct line *l = &d->line[d->n];
    *l = (struct line){.len = len, .eol = (uint8_t)eol, .next_hash = -1, .kind = LINE_OTHER};
    l->raw = malloc(len + 1);
    if (!l->raw)
        return NULL;
    memcpy(l->raw, raw, len);
    l->raw[len] = 0;
    d->n++;
    return l;
}

/* The name by which a character set is known here; NULL: it is not. */
static const char *known_charset(const char *name)
{
    for (size_t i = 0; i < sizeof charsets / sizeof charsets[0]; i++)
        if (!strcasecmp(charsets[i], name))
            return charsets[i];
    for (size_t i = 0; i < sizeof charset_alias / sizeof charset_alias[0]; i++)
        if (!strcasecmp(charset_alias[i].name, name))
            return charset_alias[i].name;
    return NULL;
}

static void set_charset(struct vmx_dict *d, const char *name)
{
    snprintf(d->charset, sizeof d->charset, "%s", name);
    d->to_utf8 = d->from_utf8 = (iconv_t)-1;
    if (!strcasecmp(name, "UTF-8") || !strcasecmp(name, "US-ASCII"))
        return;
    const char *ic = name;
    for (size_t i = 0; i < sizeof charset_alias / sizeof charset_alias[0]; i++)
        if (!strcasecmp(charset_alias[i].name, name))
            ic = charset_alias[i].iconv;
    d->to_utf8 = iconv_open("UTF-8", ic);
    d->from_utf8 = iconv_open(ic, "UTF-8");
    if (d->to_utf8 == (iconv_t)-1 || d->from_utf8 == (iconv_t)-1)
        d->charset_unknown = true;
}

/* .encoding decides; without one (or with one we do not know) UTF-8 where the whole file is valid in it, else windows-1252. */
static void choose_charset(struct vmx_dict *d, const char *data, size_t len)
{
    const struct line *l = find(d, ".encoding");
    if (l) {
        size_t n = l->val_len;
        const char *s = l->raw + l->val_off;
        if (l->quoted)
            s++, n -= 2;
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)(n < 31 ? n : 31), s);
        const char *known = known_charset(name);
        if (known) {
            set_charset(d, known);
            return;
        }
        d->charset_unknown = n > 0;
    }
    set_charset(d, utf8_valid((const unsigned char *)data, len) ? "UTF-8" : "windows-1252");
}

struct vmx_dict *vmx_dict_parse(const void *data, size_t len, struct err *e)
{
    const char *s = data;
    if (len > VMX_DICT_MAX_BYTES) {
        err_set(e, ERR_FORMAT, 0, "%zu bytes are too many for a configuration file (at most %u); is it a disk image?", len, VMX_DICT_MAX_BYTES);
        return NULL;
    }
    if (len >= 2 && (!memcmp(s, "\xFF\xFE", 2) || !memcmp(s, "\xFE\xFF", 2))) {
        err_set(e, ERR_FORMAT, 0, "the text is UTF-16; save it as UTF-8");
        return NULL;
    }
    if (len && memchr(s, 0, len)) {
        err_set(e, ERR_FORMAT, 0, "this is a binary file, not a .vmx file; give the text file that describes the virtual machine");
        return NULL;
    }
    struct vmx_dict *d = calloc(1, sizeof *d);
    if (!d)
        goto oom;
    d->to_utf8 = d->from_utf8 = (iconv_t)-1;
    if (getrandom(&d->seed, sizeof d->seed, GRND_NONBLOCK) != sizeof d->seed)
        d->seed = (uint32_t)(uintptr_t)d;
    if (len >= 3 && !memcmp(s, "\xEF\xBB\xBF", 3))
        s += 3, len -= 3, d->bom = true;
    const char *p = s, *end = s + len;
    size_t n_crlf = 0;
    d->cr = len && !memchr(s, '\n', len) && memchr(s, '\r', len);
    while (p < end) {
        const char *nl = memchr(p, d->cr ? '\r' : '\n', (size_t)(end - p));
        size_t l = (size_t)((nl ? nl : end) - p);
        unsigned eol = nl ? 1 : 0;
        if (nl && l && !d->cr && p[l - 1] == '\r')
            l--, eol = 2, n_crlf++;
        if (d->n >= VMX_DICT_MAX_LINES) {
            err_set(e, ERR_FORMAT, 0, "more than %u lines are too many for a configuration file", VMX_DICT_MAX_LINES);
            vmx_dict_free(d);
            return NULL;
        }
        struct line *ln = new_line(d, p, l, eol);
        if (!ln)
            goto oom;
        parse_line(ln);
        p = nl ? nl + 1 : end;
    }
    d->crlf = n_crlf * 2 > d->n;
    if (reindex(d))
        goto oom;
    choose_charset(d, s, len);
    for (size_t i = 0; i < d->n; i++)
        if (d->line[i].kind == LINE_ENTRY && decode_value(d, &d->line[i]))
            goto oom;
    return d;
oom:
    vmx_dict_free(d);
    err_set(e, ERR_NOMEM, ENOMEM, "not enough memory to read the configuration file");
    return NULL;
}

struct vmx_dict *vmx_dict_new(void)
{
    static const char first[] = ".encoding = \"UTF-8\"\n";
    return vmx_dict_parse(first, sizeof first - 1, NULL);
}

struct vmx_dict *vmx_dict_load(const char *path, struct err *e)
{
    /* O_NONBLOCK: a FIFO in place of the file must not hang us before fstat tells. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int en = errno;
        if (en == ENOENT)
            err_set(e, ERR_IO, en, "%s: there is no such file; check the name", path);
        else if (en == EACCES)
            err_set(e, ERR_DENIED, en, "%s: you may not read this file; check its permissions", path);
        else
            err_set(e, ERR_IO, en, "%s: cannot be opened: %s", path, strerror(en));
        return NULL;
    }
    struct stat st;
    struct vmx_dict *d = NULL;
    char *buf = NULL;
    if (fstat(fd, &st)) {
        err_set(e, ERR_IO, errno, "%s: cannot be examined: %s", path, strerror(errno));
    } else if (S_ISDIR(st.st_mode)) {
        err_set(e, ERR_CONFIG, EISDIR, "%s: this is a directory; give the .vmx file inside it", path);
    } else if (!S_ISREG(st.st_mode)) {
        err_set(e, ERR_CONFIG, 0, "%s: this is not a regular file; give the .vmx file of a virtual machine", path);
    } else if (st.st_size > VMX_DICT_MAX_BYTES) {
        err_set(e, ERR_FORMAT, 0, "%s: %lld bytes are too many for a .vmx file (at most %u); is it a disk image?", path, (long long)st.st_size,
                VMX_DICT_MAX_BYTES);
    } else if (!(buf = malloc(VMX_DICT_MAX_BYTES + 1u))) {
        err_set(e, ERR_NOMEM, ENOMEM, "%s: not enough memory to read it", path);
    } else {
        size_t n = 0;
        ssize_t r;
        while (n <= VMX_DICT_MAX_BYTES && (r = read(fd, buf + n, VMX_DICT_MAX_BYTES + 1u - n)) != 0) {
            if (r < 0 && errno != EINTR)
                break;
            n += r > 0 ? (size_t)r : 0;
        }
        if (n <= VMX_DICT_MAX_BYTES && r < 0)
            err_set(e, ERR_IO, errno, "%s: cannot be read: %s", path, strerror(errno));
        else if (!(d = vmx_dict_parse(buf, n, e)))
            err_prefix(e, "%s: ", path);
    }
    free(buf);
    close(fd);
    return d;
}

void vmx_dict_free(struct vmx_dict *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->n; i++) {
        free(d->line[i].raw);
        free(d->line[i].name);
        free(d->line[i].value);
    }
    for (size_t i = 0; i < d->n_over; i++) {
        free(d->over[i].name);
        free(d->over[i].value);
    }
    if (d->to_utf8 != (iconv_t)-1)
        iconv_close(d->to_utf8);
    if (d->from_utf8 != (iconv_t)-1)
        iconv_close(d->from_utf8);
    free(d->line);
    free(d->head);
    free(d->over);
    free(d);
}

char *vmx_dict_format(const struct vmx_dict *d, size_t *len)
{
    size_t total = 4, w = 0;
    for (size_t i = 0; i < d->n; i++)
        total += d->line[i].len + 2;
    char *out = malloc(total);
    if (!out)
        return NULL;
    if (d->bom)
        memcpy(out, "\xEF\xBB\xBF", w = 3);
    for (size_t i = 0; i < d->n; i++) {
        const struct line *l = &d->line[i];
        if (l->deleted)
            continue;
        memcpy(out + w, l->raw, l->len);
        w += l->len;
        if (l->eol == 2)
            out[w++] = '\r';
        if (l->eol)
            out[w++] = d->cr ? '\r' : '\n';
    }
    out[w] = 0;
    *len = w;
    return out;
}

int vmx_dict_save(const struct vmx_dict *d, const char *path, struct err *e)
{
    size_t len;
    char *data = vmx_dict_format(d, &len), *real = realpath(path, NULL), *tmp = NULL;
    const char *target = real ? real : path;
    int fd = -1, rc = -1;
    if (!data || !(tmp = malloc(strlen(target) + 32))) {
        err_set(e, ERR_NOMEM, ENOMEM, "%s: not enough memory to write it", path);
        goto out;
    }
    const char *slash = strrchr(target, '/');
    int dir_len = slash ? (int)(slash - target) + 1 : 0;
    sprintf(tmp, "%.*s.%s.XXXXXX", dir_len, target, slash ? slash + 1 : target);
    struct stat st;
    mode_t mode = stat(target, &st) ? 0644 : st.st_mode & 07777;
    fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0) {
        err_set(e, errno == EACCES || errno == EROFS ? ERR_DENIED : ERR_IO, errno,
                "the folder of %s cannot be written: %s; change its permissions, or move the machine", path, strerror(errno));
        goto out;
    }
    for (size_t n = 0; n < len;) {
        ssize_t r = write(fd, data + n, len - n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            goto fail;
        n += (size_t)r;
    }
    if (fchmod(fd, mode) || fsync(fd) || rename(tmp, target))
        goto fail;
    if (slash) {
        char save = tmp[dir_len];
        tmp[dir_len] = 0;
        int dfd = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        tmp[dir_len] = save;
        if (dfd >= 0) {
            (void)fsync(dfd);
            close(dfd);
        }
    }
    rc = 0;
    goto out;
fail:
    if (errno == ENOSPC || errno == EDQUOT)
        err_set(e, ERR_IO, errno, "the file %s cannot be written: %s; it is as it was before. Make room on its drive, and try again", path, strerror(errno));
    else
        err_set(e, ERR_IO, errno, "the file %s cannot be written: %s; it is as it was before", path, strerror(errno));
    unlink(tmp);
out:
    if (fd >= 0)
        close(fd);
    free(tmp);
    free(real);
    free(data);
    return rc;
}

bool vmx_dict_changed(const struct vmx_dict *d) { return d->changed; }

void vmx_dict_saved(struct vmx_dict *d) { d->changed = false; }

static struct override *find_override(const struct vmx_dict *d, const char *name)
{
    for (size_t i = 0; i < d->n_over; i++)
        if (!strcasecmp(d->over[i].name, name))
            return &d->over[i];
    return NULL;
}

const char *vmx_dict_get(const struct vmx_dict *d, const char *name)
{
    const struct override *o = find_override(d, name);
    if (o)
        return o->value;
    const struct line *l = find(d, name);
    return l ? l->value : NULL;
}

static unsigned line_number(const struct vmx_dict *d, const struct line *l)
{
    unsigned n = 1;
    for (const struct line *p = d->line; p < l; p++)
        n += !p->deleted;
    return n;
}

unsigned vmx_dict_line(const struct vmx_dict *d, const char *name)
{
    const struct line *l = find(d, name);
    return l ? line_number(d, l) : 0;
}

static bool ascii(const char *s)
{
    while (*s && (unsigned char)*s < 0x80)
        s++;
    return !*s;
}

static char *join(const char *a, size_t an, const char *b, const char *c)
{
    char *s = malloc(an + strlen(b) + strlen(c) + 1);
    if (s) {
        memcpy(s, a, an);
        strcpy(s + an, b);
        strcat(s, c);
    }
    return s;
}

/*
 * .encoding gets another value: what the lines say stays, so those with characters beyond ASCII are written anew. A value that the new set cannot
 * hold is an error; comments and broken lines that do not convert stay as they are. The names of keys are ASCII.
 */
static int change_charset(struct vmx_dict *d, const char *name, struct err *e)
{
    const char *known = known_charset(name);
    if (!known)
        return err_set(e, ERR_CONFIG, 0, ".encoding: \"%.40s\" is no character set that is known here; write UTF-8", name);
    struct vmx_dict as = {.to_utf8 = (iconv_t)-1, .from_utf8 = (iconv_t)-1};
    set_charset(&as, known);
    char **raw = calloc(d->n ? d->n : 1, sizeof *raw);
    int rc = raw ? 0 : err_set(e, ERR_NOMEM, ENOMEM, "not enough memory to change .encoding");
    for (size_t i = 0; i < d->n && !rc; i++) {
        struct line *l = &d->line[i];
        if (l->deleted || (ascii(l->raw) && (l->kind != LINE_ENTRY || ascii(l->value))))
            continue;
        if (l->kind != LINE_ENTRY || l->bad_text) {
            char *u = convert(d->to_utf8, l->raw, l->len);
            raw[i] = u && utf8_valid((unsigned char *)u, strlen(u)) ? convert(as.from_utf8, u, strlen(u)) : NULL;
            free(u);
            continue;
        }
        const char *end = l->raw + l->val_off + l->val_len;
        size_t n;
        char *v = encode_value(&as, l->value, &n), *u = convert(d->to_utf8, end, strlen(end)), *c = u ? convert(as.from_utf8, u, strlen(u)) : NULL;
        if (!v)
            rc = err_set(e, ERR_CONFIG, 0, "%s: the value has characters that the charset %s cannot hold; leave .encoding as it is", l->name, known);
        else
            raw[i] = join(l->raw, l->val_off, v, c ? c : end);
        free(v);
        free(u);
        free(c);
    }
    for (size_t i = 0; raw && i < d->n; i++) {
        struct line *l = &d->line[i];
        if (rc || !raw[i]) {
            free(raw[i]);
            continue;
        }
        struct line fresh = {.raw = raw[i], .len = strlen(raw[i]), .next_hash = l->next_hash, .eol = l->eol, .kind = l->kind, .bad_text = l->bad_text};
        if (l->kind == LINE_ENTRY) {
            parse_line(&fresh);
            fresh.value = l->value;
            l->value = NULL;
        }
        free(l->raw);
        free(l->name);
        *l = fresh;
    }
    free(raw);
    struct vmx_dict *old = rc ? &as : d;
    if (old->to_utf8 != (iconv_t)-1)
        iconv_close(old->to_utf8);
    if (old->from_utf8 != (iconv_t)-1)
        iconv_close(old->from_utf8);
    if (!rc) {
        strcpy(d->charset, as.charset);
        d->to_utf8 = as.to_utf8;
        d->from_utf8 = as.from_utf8;
        d->charset_unknown = false;
        d->bom = d->bom && !strcmp(known, "UTF-8");
    }
    return rc;
}

int vmx_dict_set(struct vmx_dict *d, const char *name, const char *value, struct err *e)
{
    size_t n;
    if (!vmx_name_valid(name))
        return err_set(e, ERR_CONFIG, 0, "\"%s\" cannot be a key's name", name);
    if (!utf8_valid((const unsigned char *)value, strlen(value)))
        return err_set(e, ERR_CONFIG, 0, "%s: the value is not UTF-8 text", name);
    struct line *l = find(d, name);
    if (l && !l->bad_text && !strcmp(l->value, value))
        return 0;
    if (!strcasecmp(name, ".encoding") && change_charset(d, value, e))
        return -1;
    char *v = encode_value(d, value, &n);
    if (!v)
        return err_set(e, ERR_CONFIG, 0, "%s: the value has characters that the file's charset %s cannot hold; change .encoding to UTF-8", name,
                       d->charset);
    if (l) {
        char *raw = malloc(l->len - l->val_len + n + 1);
        if (!raw)
            goto oom;
        memcpy(raw, l->raw, l->val_off);
        memcpy(raw + l->val_off, v, n);
        strcpy(raw + l->val_off + n, l->raw + l->val_off + l->val_len);
        free(l->raw);
        l->raw = raw;
        l->len = l->len - l->val_len + n;
        l->val_len = n;
        l->quoted = true;
        if (decode_value(d, l))
            goto oom;
        for (long i = l->next_hash; i >= 0; i = d->line[i].next_hash) /* readers disagree about which of two wins: leave one */
            if (!strcasecmp(d->line[i].name, name))
                d->line[i].deleted = true;
    } else {
        size_t cap = strlen(name) + n + 4;
        char *raw = malloc(cap);
        if (!raw)
            goto oom;
        snprintf(raw, cap, "%s = %s", name, v);
        unsigned eol = d->crlf ? 2 : 1;
        for (size_t i = d->n; i-- > 0;)
            if (!d->line[i].deleted) {
                if (!d->line[i].eol)
                    d->line[i].eol = (uint8_t)eol;
                break;
            }
        l = new_line(d, raw, strlen(raw), eol);
        free(raw);
        if (!l)
            goto oom;
        parse_line(l);
        if (l->kind != LINE_ENTRY || decode_value(d, l) || (d->n * 2 > d->n_head && reindex(d)))
            goto oom;
        if (find(d, name) != l)
            index_line(d, (size_t)(l - d->line));
    }
    free(v);
    d->changed = true;
    return 0;
oom:
    free(v);
    return err_set(e, ERR_NOMEM, ENOMEM, "not enough memory to change %s", name);
}

bool vmx_dict_unset(struct vmx_dict *d, const char *name)
{
    bool any = false;
    for (struct line *l; (l = find(d, name)); any = true)
        l->deleted = true;
    d->changed |= any;
    return any;
}

int vmx_dict_override(struct vmx_dict *d, const char *name, const char *value, struct err *e)
{
    if (!vmx_name_valid(name))
        return err_set(e, ERR_CONFIG, 0, "\"%s\" cannot be a key's name; write -s name=value", name);
    char *v = strdup(value);
    struct override *o = find_override(d, name);
    if (v && o) {
        free(o->value);
        o->value = v;
        return 0;
    }
    struct override *p = realloc(d->over, (d->n_over + 1) * sizeof *p);
    if (p)
        d->over = p;
    char *nm = strdup(name);
    if (!p || !v || !nm) {
        free(v);
        free(nm);
        return err_set(e, ERR_NOMEM, ENOMEM, "not enough memory for -s %s", name);
    }
    d->over[d->n_over++] = (struct override){nm, v};
    return 0;
}

bool vmx_dict_next(const struct vmx_dict *d, struct vmx_iter *it, struct vmx_entry *out)
{
    while (it->pos < d->n) {
        const struct line *l = &d->line[it->pos++];
        it->line += !l->deleted;
        if (l->deleted || l->kind != LINE_ENTRY)
            continue;
        *out = (struct vmx_entry){l->name, l->value, it->line, find(d, l->name) != l, l->quoted, l->bad_text};
        return true;
    }
    size_t i = it->pos - d->n;
    if (i >= d->n_over)
        return false;
    it->pos++;
    *out = (struct vmx_entry){.name = d->over[i].name, .value = d->over[i].value, .quoted = true};
    return true;
}

unsigned vmx_dict_next_malformed(const struct vmx_dict *d, struct vmx_iter *it, const char **text)
{
    while (it->pos < d->n) {
        const struct line *l = &d->line[it->pos++];
        it->line += !l->deleted;
        if (l->deleted || l->kind != LINE_MALFORMED)
            continue;
        *text = l->raw;
        return it->line;
    }
    return 0;
}

const char *vmx_dict_charset(const struct vmx_dict *d) { return d->charset; }

bool vmx_dict_charset_unknown(const struct vmx_dict *d) { return d->charset_unknown; }
