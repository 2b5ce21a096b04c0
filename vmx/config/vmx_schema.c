/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The key table and the check of a .vmx against it: first each entry by its row, then what the entries say together. */
#define _GNU_SOURCE
#include "config/vmx_schema.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ACT = true, KEEP = false };

/* A row without a name is a heading. */
#define VMX_SECTION(title) {.section = title},
#define VMX_KEY(n, t, d, r, a, text) {.name = n, .type = VMX_##t, .def = d, .range = r, .acts = a, .doc = text},
static const struct vmx_key table[] = {
#include "config/vmx_keys.def"
};
#define N_TABLE (sizeof table / sizeof table[0])

const struct vmx_key *vmx_key_table(size_t *n)
{
    *n = N_TABLE;
    return table;
}

const char *vmx_type_name(enum vmx_type t)
{
    static const char *const names[] = {"boolean", "number", "text", "file", "word", "list", "UUID", "MAC address", "bit mask"};
    return names[t];
}

/* Matches key against a row's name. ranges false: any number will do where the pattern has [a-b]. */
static bool match(const char *pat, const char *key, bool ranges)
{
    while (*pat) {
        if (*pat == '*')
            return *key != 0;
        if (*pat == '[') {
            unsigned lo, hi;
            int used = 0;
            if (sscanf(pat, "[%u-%u]%n", &lo, &hi, &used) != 2 || !isdigit((unsigned char)*key))
                return false;
            if (key[0] == '0' && isdigit((unsigned char)key[1])) /* ide00 is no spelling of ide0 */
                return false;
            char *end;
            errno = 0;
            unsigned long v = strtoul(key, &end, 10);
            if (ranges && (errno || v < lo || v > hi))
                return false;
            pat += used;
            key = end;
            continue;
        }
        if (tolower((unsigned char)*pat) != tolower((unsigned char)*key))
            return false;
        pat++;
        key++;
    }
    return !*key;
}

const struct vmx_key *vmx_key_find(const char *name)
{
    for (size_t i = 0; i < N_TABLE; i++)
        if (table[i].name && match(table[i].name, name, true))
            return &table[i];
    return NULL;
}

bool vmx_parse_bool(const char *s, bool *out)
{
    static const char *const yes[] = {"TRUE", "1", "yes", "on"}, *const no[] = {"FALSE", "0", "no", "off"};
    for (int i = 0; i < 4; i++) {
        if (!strcasecmp(s, yes[i]) || !strcasecmp(s, no[i])) {
            *out = !strcasecmp(s, yes[i]);
            return true;
        }
    }
    return false;
}

bool vmx_parse_int(const char *s, int64_t *out)
{
    bool neg = *s == '-';
    s += neg;
    if (!isdigit((unsigned char)*s))
        return false;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(s, &end, s[0] == '0' && (s[1] | 32) == 'x' ? 16 : 10);
    if (errno || *end || v > INT64_MAX)
        return false;
    *out = neg ? -(int64_t)v : (int64_t)v;
    return true;
}

bool vmx_parse_uuid(const char *s, uint8_t out[16])
{
    unsigned n = 0;
    for (; *s; s++) {
        if (*s == ' ' || *s == '-')
            continue;
        if (n == 32 || !isxdigit((unsigned char)*s))
            return false;
        unsigned v = isdigit((unsigned char)*s) ? (unsigned)(*s - '0') : (unsigned)((*s | 32) - 'a' + 10);
        out[n / 2] = (uint8_t)(n % 2 ? out[n / 2] | v : v << 4);
        n++;
    }
    return n == 32;
}

void vmx_format_uuid(const uint8_t u[16], char out[48])
{
    char *p = out;
    for (int i = 0; i < 16; i++)
        p += sprintf(p, "%02x%s", u[i], i == 7 ? "-" : i == 15 ? "" : " ");
}

bool vmx_guest_is_64(const char *guest_os)
{
    size_t n = strlen(guest_os);
    return n > 3 && !strcmp(guest_os + n - 3, "-64");
}

static bool parse_mac(const char *s)
{
    for (int i = 0; i < 6; i++, s += 3)
        if (!isxdigit((unsigned char)s[0]) || !isxdigit((unsigned char)s[1]) || s[2] != (i == 5 ? 0 : ':'))
            return false;
    return true;
}

/* Is word (n bytes) one of the words of range? Gives the table's spelling. */
static const char *in_words(const char *range, const char *word, size_t n, size_t *len)
{
    for (const char *p = range;;) {
        size_t l = strcspn(p, "|");
        if (l == n && !strncasecmp(p, word, n)) {
            *len = l;
            return p;
        }
        if (!p[l])
            return NULL;
        p += l + 1;
    }
}

struct int_range {
    int64_t lo, hi, mult;
};

static struct int_range int_range(const struct vmx_key *k)
{
    struct int_range r = {INT64_MIN, INT64_MAX, 1};
    if (*k->range && sscanf(k->range, "%" SCNd64 "..%" SCNd64 "/%" SCNd64, &r.lo, &r.hi, &r.mult) < 2)
        r = (struct int_range){INT64_MIN, INT64_MAX, 1};
    return r;
}

/* Fills why (n bytes) when value is not what the row allows. */
static bool value_ok(const struct vmx_key *k, const char *value, char *why, size_t n)
{
    bool b;
    int64_t v;
    uint8_t uuid[16];
    size_t len;
    why[0] = 0;
    if (!*value)
        return true;
    switch (k->type) {
    case VMX_BOOL:
        if (!vmx_parse_bool(value, &b))
            snprintf(why, n, "\"%s\" is neither TRUE nor FALSE; write one of them", value);
        break;
    case VMX_INT: {
        struct int_range r = int_range(k);
        if (!vmx_parse_int(value, &v) && r.lo == INT64_MIN)
            snprintf(why, n, "\"%s\" is not a whole number; write one", value);
        else if (!vmx_parse_int(value, &v))
            snprintf(why, n, "\"%s\" is not a whole number; write one from %" PRId64 " to %" PRId64, value, r.lo, r.hi);
        else if (v < r.lo || v > r.hi)
            snprintf(why, n, "%" PRId64 " is out of range; write a number from %" PRId64 " to %" PRId64, v, r.lo, r.hi);
        else if (v % r.mult) {
            int64_t down = v - v % r.mult;
            if (down < r.lo)
                down += r.mult;
            snprintf(why, n, "%" PRId64 " is not a multiple of %" PRId64 "; write %" PRId64 " or %" PRId64, v, r.mult, down, down + r.mult);
        }
        break;
    }
    case VMX_ENUM:
        if (!in_words(k->range, value, strlen(value), &len)) {
            int w = snprintf(why, n, "\"%s\" is not known here; write one of ", value);
            for (const char *p = k->range; *p && w > 0 && (size_t)w < n; p++)
                w += *p == '|' ? (p[1] ? snprintf(why + w, n - (size_t)w, ", ") : 0) : snprintf(why + w, n - (size_t)w, "%c", *p);
        }
        break;
    case VMX_LIST:
        for (const char *p = value; *p;) {
            p += strspn(p, ", ");
            size_t l = strcspn(p, ", ");
            if (l && !in_words(k->range, p, l, &len)) {
                char words[200];
                size_t w = 0;
                for (const char *c = k->range; *c && w + 3 < sizeof words; c++) {
                    if (*c == '|')
                        words[w++] = ',';
                    words[w++] = *c == '|' ? ' ' : *c;
                }
                words[w] = 0;
                snprintf(why, n, "\"%.*s\" in the list is not known; allowed are %s, separated by commas", (int)(l > 60 ? 60 : l), p, words);
                break;
            }
            p += l;
        }
        break;
    case VMX_UUID:
        if (!vmx_parse_uuid(value, uuid))
            snprintf(why, n, "\"%s\" is not a UUID; write 32 hexadecimal digits, or remove the line to get a new one", value);
        break;
    case VMX_MAC:
        if (!parse_mac(value))
            snprintf(why, n, "\"%s\" is not a MAC address; write six pairs of hexadecimal digits with colons", value);
        break;
    case VMX_STR:
    case VMX_FILE:
    case VMX_MASK:
        break;
    }
    return !why[0];
}

static const char *valid_value(const struct vmx_dict *d, const char *name, const struct vmx_key **k)
{
    char why[300];
    const char *v = vmx_dict_get(d, name);
    *k = vmx_key_find(name);
    if (!*k)
        return v ? v : "";
    return v && *v && value_ok(*k, v, why, sizeof why) ? v : (*k)->def;
}

bool vmx_get_bool(const struct vmx_dict *d, const char *name)
{
    const struct vmx_key *k;
    bool b = false;
    vmx_parse_bool(valid_value(d, name, &k), &b);
    return b;
}

int64_t vmx_get_int(const struct vmx_dict *d, const char *name)
{
    const struct vmx_key *k;
    int64_t v = 0;
    vmx_parse_int(valid_value(d, name, &k), &v);
    return v;
}

const char *vmx_get_str(const struct vmx_dict *d, const char *name)
{
    const struct vmx_key *k;
    return valid_value(d, name, &k);
}

bool vmx_get_bool_f(const struct vmx_dict *d, const char *fmt, ...)
{
    char name[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    return vmx_get_bool(d, name);
}

const char *vmx_get_str_f(const struct vmx_dict *d, const char *fmt, ...)
{
    char name[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    return vmx_get_str(d, name);
}

/* ---- the check ---- */

unsigned vmx_line_of(const struct vmx_dict *d, const char *key)
{
    char present[128];
    unsigned line = vmx_dict_line(d, key);
    const char *dot = strchr(key, '.');
    if (line || !dot || dot == key || dot - key > 100)
        return line;
    snprintf(present, sizeof present, "%.*s.present", (int)(dot - key), key);
    return vmx_dict_line(d, present);
}

struct check {
    const struct vmx_dict *d;
    vmx_problem_fn fn;
    void *u;
};

__attribute__((format(printf, 4, 5))) static void report(const struct check *c, enum vmx_severity s, const char *key, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    err_text(text, sizeof text, fmt, ap);
    va_end(ap);
    c->fn(c->u, s, vmx_line_of(c->d, key), key, text);
}

/* Number of single-letter changes that make a into b, at most 3 (then: different words). */
static unsigned edit_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    unsigned row[80];
    if (la >= 79 || lb >= 79 || la > lb + 2 || lb > la + 2)
        return 3;
    for (size_t j = 0; j <= lb; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned diag = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned up = row[j], best = diag + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
            if (up + 1 < best)
                best = up + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diag = up;
            row[j] = best;
        }
    }
    return row[lb] < 3 ? row[lb] : 3;
}

/* The row's name with the numbers of key in place of its [a-b]; false for rows with *. */
static bool expand(const char *pat, const char *key, char *out, size_t n)
{
    size_t w = 0;
    for (; *pat; pat++) {
        if (*pat == '*' || w + 12 > n)
            return false;
        if (*pat == '[') {
            key += strcspn(key, "0123456789");
            size_t l = strspn(key, "0123456789");
            if (!l || l > 9)
                return false;
            memcpy(out + w, key, l);
            w += l;
            key += l;
            pat = strchr(pat, ']');
        } else {
            out[w++] = *pat;
        }
    }
    out[w] = 0;
    return true;
}

static void check_unknown(const struct check *c, unsigned line, const char *name)
{
    char text[400], best_name[128] = "", cand[128];
    for (size_t i = 0; i < N_TABLE; i++)
        if (table[i].name && strchr(table[i].name, '[') && match(table[i].name, name, false)) {
            snprintf(text, sizeof text, "there is no such device number; the numbers allowed are those of %s", table[i].name);
            c->fn(c->u, VMX_WARNING, line, name, text);
            return;
        }
    unsigned best = 3;
    for (size_t i = 0; i < N_TABLE; i++)
        if (table[i].name && expand(table[i].name, name, cand, sizeof cand)) {
            unsigned dist = edit_distance(name, cand);
            if (dist < best && dist * 4 <= strlen(name)) {
                best = dist;
                strcpy(best_name, cand);
            }
        }
    if (*best_name)
        snprintf(text, sizeof text, "unknown key, kept but without effect; did you mean %s?", best_name);
    else
        snprintf(text, sizeof text, "unknown key, kept but without effect; check its spelling, or leave it if another program uses it");
    c->fn(c->u, VMX_WARNING, line, name, text);
}

/* A network that is described wrong is no reason not to start: what happens instead (vmx/net_plan.c). */
static const char *without_it(const char *name)
{
    const char *dot = strchr(name, '.');
    if (strncasecmp(name, "ethernet", 8) || !dot)
        return NULL;
    return !strcasecmp(dot, ".connectionType") ? "the adapter is unplugged"
           : !strcasecmp(dot, ".virtualDev")   ? "the guest sees the usual model"
           : !strcasecmp(dot, ".address")      ? "an address is generated"
                                               : "the usual value holds";
}

/* present = TRUE of a drive whose controller is not there: a guest would look in vain for its disk. */
static bool absent_drive(const struct vmx_entry *en)
{
    bool there;
    const char *dot = strchr(en->name, '.');
    return dot && !strcasecmp(dot, ".present") && memchr(en->name, ':', (size_t)(dot - en->name)) && vmx_parse_bool(en->value, &there) && there &&
           (!strncasecmp(en->name, "scsi", 4) || !strncasecmp(en->name, "sata", 4) || !strncasecmp(en->name, "nvme", 4));
}

static void check_entry(const struct check *c, const struct vmx_entry *en)
{
    char why[400];
    if (en->bad_text)
        c->fn(c->u, VMX_WARNING, en->line, en->name, "the value is not text in the file's character set; correct it or the .encoding line");
    if (en->duplicate) {
        snprintf(why, sizeof why, "set again in line %u, which wins; remove one of the two lines", vmx_dict_line(c->d, en->name));
        c->fn(c->u, VMX_WARNING, en->line, en->name, why);
        return;
    }
    const struct vmx_key *k = vmx_key_find(en->name);
    if (!k) {
        check_unknown(c, en->line, en->name);
        return;
    }
    if (!value_ok(k, en->value, why, sizeof why)) {
        const char *instead = k->acts ? without_it(en->name) : NULL;
        if (instead)
            snprintf(why + strlen(why), sizeof why - strlen(why), "; until then %s", instead);
        c->fn(c->u, k->acts && !instead ? VMX_ERROR : VMX_WARNING, en->line, en->name, why);
    } else if (absent_drive(en)) {
        c->fn(c->u, VMX_WARNING, en->line, en->name,
              "there is no SCSI, SATA or NVMe controller in this version, so the guest does not have this drive; make it one of ide0:0 to ide1:1");
    } else if (!k->acts && *en->value && strcasecmp(en->value, k->def) && !(k->type == VMX_BOOL && !strcasecmp(en->value, "FALSE") && !*k->def))
        c->fn(c->u, VMX_NOTE, en->line, en->name, "kept in the file, but not acted on yet");
}

static bool set(const struct vmx_dict *d, const char *name)
{
    const char *v = vmx_dict_get(d, name);
    return v && *v;
}

/* Has it a value that its row does not allow? check_entry has said so, and what follows from the default would only mislead. */
static bool wrong(const struct vmx_dict *d, const char *name)
{
    char why[300];
    const struct vmx_key *k = vmx_key_find(name);
    return set(d, name) && k && !value_ok(k, vmx_dict_get(d, name), why, sizeof why);
}

static bool is_cd_type(const char *t) { return !strcasecmp(t, "cdrom-image") || !strcasecmp(t, "cdrom-raw") || !strcasecmp(t, "atapi-cdrom"); }

static bool ends_with(const char *s, const char *end)
{
    size_t a = strlen(s), b = strlen(end);
    return a > b && !strcasecmp(s + a - b, end);
}

static void check_drives(const struct check *c)
{
    const struct vmx_dict *d = c->d;
    char key[64];
    const char *file[4] = {0};
    for (int i = 0; i < 4; i++) {
#define IDE_KEY(what) (snprintf(key, sizeof key, "ide%d:%d." what, i / 2, i % 2), key)
        if (!vmx_get_bool(d, IDE_KEY("present"))) {
            if (!set(d, key) && set(d, IDE_KEY("fileName")))
                report(c, VMX_WARNING, key, "has no effect, because ide%d:%d.present is not there; add ide%d:%d.present = \"TRUE\" to have the drive",
                       i / 2, i % 2, i / 2, i % 2);
            continue;
        }
        char type[64];
        snprintf(type, sizeof type, "%s", vmx_get_str(d, IDE_KEY("deviceType")));
        if (wrong(d, key))
            continue;
        bool typed = set(d, key), cd = is_cd_type(type);
        const char *name = vmx_get_str(d, IDE_KEY("fileName"));
        if (!cd && !*name) {
            report(c, VMX_ERROR, IDE_KEY("present"), "the disk ide%d:%d has no file; add ide%d:%d.fileName = \"disk.vmdk\", or set this to FALSE", i / 2,
                   i % 2, i / 2, i % 2);
            continue;
        }
        if (!cd && ends_with(name, ".iso")) {
            report(c, VMX_ERROR, typed ? IDE_KEY("deviceType") : key,
                   "a CD image is used as a hard disk; add ide%d:%d.deviceType = \"cdrom-image\"", i / 2, i % 2);
            continue;
        }
        if (cd && ends_with(name, ".vmdk")) {
            report(c, VMX_ERROR, IDE_KEY("deviceType"), "a disk image is used as a CD; change this to \"disk\", or fileName to an .iso file");
            continue;
        }
        if (!strcasecmp(type, "cdrom-image") && !*name)
            report(c, VMX_WARNING, IDE_KEY("deviceType"), "there is no CD image, so the drive is empty; add ide%d:%d.fileName = \"image.iso\"", i / 2, i % 2);
        const char *mode = vmx_get_str(d, IDE_KEY("mode"));
        if (!strcasecmp(mode, "undoable") || !strcasecmp(mode, "append") || !strcasecmp(mode, "nonpersistent"))
            report(c, VMX_ERROR, key, "this mode of old products is not supported; write persistent or independent-nonpersistent");
        if (!cd)
            for (int k = 0; k < i; k++)
                if (file[k] && !strcmp(file[k], name))
                    report(c, VMX_ERROR, IDE_KEY("fileName"), "ide%d:%d has the same file; give each disk a file of its own", k / 2, k % 2);
        if (!cd)
            file[i] = name;
    }
}

static void check_serial(const struct check *c)
{
    const struct vmx_dict *d = c->d;
    char key[64];
    const char *file[4] = {0};
    for (int i = 0; i < 4; i++) {
#define SER_KEY(what) (snprintf(key, sizeof key, "serial%d." what, i), key)
        if (!vmx_get_bool(d, SER_KEY("present"))) {
            if (!set(d, key) && set(d, SER_KEY("fileName")))
                report(c, VMX_WARNING, key, "has no effect, because serial%d.present is not there; add serial%d.present = \"TRUE\" to have the port", i, i);
            continue;
        }
        char type[32];
        snprintf(type, sizeof type, "%s", vmx_get_str(d, SER_KEY("fileType")));
        if (wrong(d, key))
            continue;
        bool file_type = !strcasecmp(type, "file"), pipe = !strcasecmp(type, "pipe");
        const char *name = vmx_get_str(d, SER_KEY("fileName"));
        if ((file_type || pipe) && !*name)
            report(c, VMX_ERROR, SER_KEY("fileType"), "there is no serial%d.fileName; add it, so that the %s has a name", i, type);
        if (!file_type && !pipe && strcasecmp(type, "pty"))
            report(c, VMX_WARNING, SER_KEY("fileType"), "\"%s\" is not supported yet, so nothing is connected to the port; use file, pipe or pty", type);
        if ((file_type || pipe) && *name) {
            for (int k = 0; k < i; k++)
                if (file[k] && !strcmp(file[k], name))
                    report(c, VMX_ERROR, SER_KEY("fileName"), "serial%d has the same file; give each port a file of its own", k);
            file[i] = name;
        }
    }
}

static void check_vnc(const struct check *c)
{
    const struct vmx_dict *d = c->d;
    const char *ip = vmx_get_str(d, "RemoteDisplay.vnc.ip"), *pw = vmx_get_str(d, "RemoteDisplay.vnc.password");
    struct in_addr a4;
    struct in6_addr a6;
    bool v4 = inet_pton(AF_INET, ip, &a4) == 1, v6 = inet_pton(AF_INET6, ip, &a6) == 1;
    if (*ip && !v4 && !v6 && strcasecmp(ip, "localhost"))
        report(c, VMX_ERROR, "RemoteDisplay.vnc.ip", "\"%s\" is not an IP address; write one like 127.0.0.1, or nothing for all addresses", ip);
    if (!vmx_get_bool(d, "RemoteDisplay.vnc.enabled"))
        return;
    bool local = !strcasecmp(ip, "localhost") || (v4 && (ntohl(a4.s_addr) >> 24) == 127) || (v6 && IN6_IS_ADDR_LOOPBACK(&a6));
    if (!*pw && !local && (!*ip || v4 || v6))
        report(c, VMX_NOTE, set(d, "RemoteDisplay.vnc.ip") ? "RemoteDisplay.vnc.ip" : "RemoteDisplay.vnc.enabled",
               "anyone on the network can use the screen; set RemoteDisplay.vnc.password, or RemoteDisplay.vnc.ip to 127.0.0.1");
    if (strlen(pw) > 8)
        report(c, VMX_NOTE, "RemoteDisplay.vnc.password", "VNC uses only the first 8 characters");
}

static void check_together(const struct check *c)
{
    const struct vmx_dict *d = c->d;
    if (!set(d, "config.version"))
        report(c, VMX_WARNING, "config.version", "missing; add config.version = \"8\", which other programs insist on");
    if (!set(d, "virtualHW.version"))
        report(c, VMX_WARNING, "virtualHW.version", "missing; add virtualHW.version = \"20\", which other programs insist on");
    int64_t n = vmx_get_int(d, "numvcpus"), cores = vmx_get_int(d, "cpuid.coresPerSocket");
    if (n > 0 && cores > 0 && n % cores && !wrong(d, "numvcpus") && !wrong(d, "cpuid.coresPerSocket"))
        report(c, VMX_ERROR, "cpuid.coresPerSocket",
               "%" PRId64 " cores in a socket do not divide numvcpus = %" PRId64 "; change one of the two", cores, n);
    if (vmx_get_bool(d, "monitor_control.disable_longmode") && vmx_guest_is_64(vmx_get_str(d, "guestOS")))
        report(c, VMX_WARNING, "monitor_control.disable_longmode",
               "hides 64-bit mode, but guestOS = \"%s\" is a 64-bit guest; change one of the two", vmx_get_str(d, "guestOS"));
    if (!strcasecmp(vmx_get_str(d, "firmware"), "efi"))
        report(c, VMX_ERROR, "firmware", "EFI firmware is not supported yet; remove the line if the guest can boot from a BIOS");
    if (set(d, "checkpoint.vmState"))
        report(c, VMX_ERROR, "checkpoint.vmState",
               "the machine is suspended (%s) and cannot be resumed here; resume it where it was suspended, or empty this value to lose that state",
               vmx_get_str(d, "checkpoint.vmState"));
    if (set(d, "encryption.keySafe"))
        report(c, VMX_ERROR, "encryption.keySafe", "the machine is encrypted; remove the encryption with the product that made it");
    check_drives(c);
    check_serial(c);
    check_vnc(c);
}

void vmx_check(const struct vmx_dict *d, vmx_problem_fn fn, void *u)
{
    struct check c = {d, fn, u};
    struct vmx_iter it = {0};
    struct vmx_entry en;
    const char *text;
    unsigned line;
    if (vmx_dict_charset_unknown(d))
        report(&c, VMX_WARNING, ".encoding", "this character set is not known; the file is read as %s. Save it as UTF-8", vmx_dict_charset(d));
    while ((line = vmx_dict_next_malformed(d, &it, &text))) {
        char what[64], msg[200];
        if (!strncmp(text + strspn(text, " \t"), "//", 2)) /* some tools write such comments, and every reader skips them */
            continue;
        snprintf(what, sizeof what, "%.40s", text);
        for (char *p = what; *p; p++)
            if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7F)
                *p = '?';
        snprintf(msg, sizeof msg, "this line is not name = \"value\" and has no effect; correct it, or put # before it");
        fn(u, VMX_WARNING, line, what, msg);
    }
    it = (struct vmx_iter){0};
    while (vmx_dict_next(d, &it, &en))
        check_entry(&c, &en);
    check_together(&c);
}
