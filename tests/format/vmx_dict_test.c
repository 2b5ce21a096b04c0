/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The .vmx dictionary: lossless round trips, the grammar, charsets, hostile input, atomic writing. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/vmx_dict.h"
#include "tests/tap.h"

static struct vmx_dict *parse(const char *text, struct err *e) { return vmx_dict_parse(text, strlen(text), e); }

static bool same_after(const char *text, size_t len, const char *want, size_t want_len, const char *set, const char *value)
{
    struct err e = {0};
    struct vmx_dict *d = vmx_dict_parse(text, len, &e);
    if (!d) {
        printf("# %s\n", e.msg);
        return false;
    }
    if (set && vmx_dict_set(d, set, value, &e)) {
        printf("# %s\n", e.msg);
        vmx_dict_free(d);
        return false;
    }
    size_t n;
    char *out = vmx_dict_format(d, &n);
    bool good = out && n == want_len && !memcmp(out, want, n);
    if (!good)
        printf("# got: %.*s\n", (int)n, out);
    free(out);
    vmx_dict_free(d);
    return good;
}
#define ROUND(text, name) ok(same_after(text, sizeof text - 1, text, sizeof text - 1, NULL, NULL), name)
#define SET(text, key, value, want, name) ok(same_after(text, sizeof text - 1, want, sizeof want - 1, key, value), name)

static bool value_is(const char *text, size_t len, const char *key, const char *want)
{
    struct vmx_dict *d = vmx_dict_parse(text, len, NULL);
    const char *v = d ? vmx_dict_get(d, key) : NULL;
    bool good = want ? v && !strcmp(v, want) : !v;
    if (!good)
        printf("# %s: got %s\n", key, v ? v : "(none)");
    vmx_dict_free(d);
    return good;
}
#define VALUE(text, key, want) ok(value_is(text, sizeof text - 1, key, want), "value of %s in: %.50s", key, #text)

static void grammar(void)
{
    VALUE("memsize = \"256\"\n", "memsize", "256");
    VALUE("memsize=\"256\"", "MEMSIZE", "256");
    VALUE("\t memsize \t= \"256\" # note\r\n", "memsize", "256");
    VALUE("scsi0:0.virtualssd = 1\n", "scsi0:0.virtualSSD", "1");
    VALUE("a = bare#comment\n", "a", "bare");
    VALUE("a =\n", "a", "");
    VALUE("a = \"\"\n", "a", "");
    VALUE("a = \"x|22y|7Cz|7cq\"\n", "a", "x\"y|z|q");
    VALUE("a = \"x|2gy|\"\n", "a", "x|2gy|");
    VALUE("a = \"one|0D|0Atwo\"\n", "a", "one\r\ntwo");
    VALUE("a = \"C:\\dir\\x.vmdk\"\n", "a", "C:\\dir\\x.vmdk");
    VALUE("a = \"x # y = z\"\n", "a", "x # y = z");
    VALUE("a = \"1\"\nA = \"2\"\n", "a", "2");
    VALUE("a = \"unfinished\n", "a", NULL);
    VALUE("a = \"x\" y\n", "a", NULL);
    VALUE("a = two words\n", "a", NULL);
    VALUE("// Hardware\na = \"x\"\n", "a", "x");
    VALUE("\xEF\xBB\xBF" "a = \"x\"\n", "a", "x");
    VALUE("a = \"1\"\rb = \"2\"\r", "b", "2");
    VALUE("a = \"1\rb = 2\"\n", "b", NULL);
    VALUE("#!/usr/bin/vmware\na = \"x\"\n", "a", "x");
    VALUE("= \"x\"\nb = 1\n", "b", "1");
}

static void lossless(void)
{
    ROUND("", "empty file");
    ROUND("\n", "one line end");
    ROUND("a=\"1\"", "no line end at the end of the file");
    ROUND("#!/usr/bin/vmware\n\n.encoding = \"UTF-8\"\n  a\t=  \"x\"  # why\n// Hardware\nb = bare\n\n", "comments, blanks, spacing, bare words");
    ROUND("a = \"1\"\r\nb = \"2\"\r\n", "CRLF");
    ROUND("a = \"1\"\r\nb = \"2\"\nc = \"3\"\r\n", "mixed line ends");
    ROUND("a = \"1\"\na = \"2\"\nA = \"3\"\n", "duplicates");
    ROUND(".encoding = \"windows-1252\"\na = \"\xE9\"\n", "windows-1252 bytes");
    ROUND("a = \"\xFF\xFE\xC3\"\n", "bytes that are no text");
    ROUND("\xEF\xBB\xBF", "a byte-order mark alone");
    ROUND("\xEF\xBB\xBF" "a = \"x\"\n", "a byte-order mark");
    ROUND("a = \"1\"\rb = \"2\"\r", "CR alone");
    SET("\xEF\xBB\xBF" "a = \"x\"\n", "a", "y", "\xEF\xBB\xBF" "a = \"y\"\n", "a change behind a byte-order mark");
    SET("a = \"1\"\rb = \"2\"", "c", "3", "a = \"1\"\rb = \"2\"\rc = \"3\"\r", "a new key in a file of CRs");

    SET("x = \"0\"\n  a\t=  \"1\"  # why\ny = \"2\"\n", "A", "9", "x = \"0\"\n  a\t=  \"9\"  # why\ny = \"2\"\n", "a change keeps the rest of its line");
    SET("a = bare # c\n", "a", "v", "a = \"v\" # c\n", "a changed bare word is quoted");
    SET("a = \"1\"", "b", "2", "a = \"1\"\nb = \"2\"\n", "a new key after a line without end");
    SET("a = \"1\"\r\n", "b", "2", "a = \"1\"\r\nb = \"2\"\r\n", "a new key gets the file's line end");
    SET("", "b", "2", "b = \"2\"\n", "a new key in an empty file");
    SET("a = \"1\"\n", "a", "x\"y|z\x7F\t\n", "a = \"x|22y|7Cz|7F\t|0A\"\n", "escapes on writing");
    SET("a = \"1\"\nb = \"0\"\nA = \"2\"\n", "a", "3", "b = \"0\"\nA = \"3\"\n", "setting a duplicate leaves one");
    SET("a = \"1\"\na = \"2\"\n", "a", "2", "a = \"1\"\na = \"2\"\n", "setting the same value changes nothing");
    SET(".encoding = \"windows-1252\"\na = \"\"\n", "a", "\xC3\xA9", ".encoding = \"windows-1252\"\na = \"\xE9\"\n", "text is written in the file's charset");
}

/* .encoding changes: the lines say the same, and those that need not change do not. */
static void other_charset(void)
{
    SET(".encoding = \"windows-1252\"\r\n# \xE9t\xE9\r\na = \"\xE9\" # \xDF\r\nb =  bare  # x\r\nc = \"|E4|22\"\r\n\xE9 ?\r\n", ".encoding", "UTF-8",
        ".encoding = \"UTF-8\"\r\n# \xC3\xA9t\xC3\xA9\r\na = \"\xC3\xA9\" # \xC3\x9F\r\nb =  bare  # x\r\nc = \"\xC3\xA4|22\"\r\n\xC3\xA9 ?\r\n",
        "to UTF-8: values, escapes and comments say what they said");
    SET("\xEF\xBB\xBF" "a = \"\xC3\xA9\"\n", ".encoding", "windows-1252", "a = \"\xE9\"\n.encoding = \"windows-1252\"\n", "... and from it");
    struct err e = {0};
    struct vmx_dict *d = parse("a = \"\xE4\xB8\xAD\"\nb = \"\xC3\xA9\"\n", &e);
    size_t n;
    ok(vmx_dict_set(d, ".encoding", "windows-1252", &e) && strstr(e.msg, "a: ") && !strcmp(vmx_dict_get(d, "b"), "\xC3\xA9"), "what the new one cannot hold is refused: %s", e.msg);
    ok(vmx_dict_set(d, ".encoding", "klingon", &e), "an unknown one is refused: %s", e.msg);
    char *s = vmx_dict_format(d, &n);
    ok(!strcmp(s, "a = \"\xE4\xB8\xAD\"\nb = \"\xC3\xA9\"\n"), "... and nothing changes");
    free(s);
    ok(!vmx_dict_set(d, ".encoding", "GBK", &e) && !vmx_dict_set(d, "b", "\xE4\xBA\x85", &e) && !strcmp(vmx_dict_get(d, "a"), "\xE4\xB8\xAD") &&
           !strcmp(vmx_dict_get(d, "b"), "\xE4\xBA\x85") && !strcmp(vmx_dict_charset(d), "GBK"), "what is set then is written in the new one");
    vmx_dict_free(d);
}

static void charsets(void)
{
    VALUE(".encoding = \"windows-1252\"\na = \"\xE9\x80\"\n", "a", "\xC3\xA9\xE2\x82\xAC");
    VALUE("a = \"\xE9\"\n", "a", "\xC3\xA9");
    VALUE("a = \"\xC3\xA9\"\n", "a", "\xC3\xA9");
    VALUE(".encoding = \"GBK\"\na = \"\xD6\xD0\"\n", "a", "\xE4\xB8\xAD");
    /* The second byte of this GBK character is 7Ch: written as |7C, it must come back. */
    VALUE(".encoding = \"GBK\"\na = \"\x81|7C\"\n", "a", "\xE4\xBA\x85");
    VALUE(".encoding = \"Shift_JIS\"\na = \"\x93\xFA\"\n", "a", "\xE6\x97\xA5");
    VALUE(".encoding = \"Big5\"\na = \"\xA4\xA4\"\n", "a", "\xE4\xB8\xAD");
    struct err e = {0};
    struct vmx_dict *d = parse(".encoding = \"windows-1252\"\na = \"1\"\n", &e);
    ok(d && vmx_dict_set(d, "a", "\xE4\xB8\xAD", &e) && strstr(e.msg, "UTF-8") && !strcmp(vmx_dict_get(d, "a"), "1"),
       "text that the charset cannot hold is refused: %s", e.msg);
    vmx_dict_free(d);
    d = parse(".encoding = \"../../evil\"\na = \"1\"\n", &e);
    ok(d && vmx_dict_charset_unknown(d) && !strcmp(vmx_dict_get(d, "a"), "1"), "an unknown charset is told, and the file read");
    vmx_dict_free(d);
}

static void hostile(void)
{
    struct err e = {0};
    ok(!vmx_dict_parse("KDMV\0\0\0\1", 8, &e) && e.kind == ERR_FORMAT, "binary: %s", e.msg);
    ok(!vmx_dict_parse("\xFF\xFE" "a\0", 4, &e) && strstr(e.msg, "UTF-16"), "UTF-16: %s", e.msg);
    ok(!vmx_dict_load("/", &e) && strstr(e.msg, "directory"), "directory: %s", e.msg);
    ok(!vmx_dict_load("/dev/zero", &e) && strstr(e.msg, "regular"), "device: %s", e.msg);
    ok(!vmx_dict_load("/nonexistent/x.vmx", &e) && strstr(e.msg, "no such file"), "missing: %s", e.msg);

    char dir[] = "/tmp/vmxdictXXXXXX", path[64];
    if (!mkdtemp(dir))
        return;
    snprintf(path, sizeof path, "%s/big.vmx", dir);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    ok(fd >= 0 && !ftruncate(fd, 1 << 30) && !vmx_dict_load(path, &e) && strstr(e.msg, "too many"), "1 GiB: %s", e.msg);
    close(fd);
    unlink(path);
    snprintf(path, sizeof path, "%s/fifo.vmx", dir);
    ok(!mkfifo(path, 0600) && !vmx_dict_load(path, &e), "a FIFO does not hang: %s", e.msg);
    unlink(path);
    rmdir(dir);

    size_t n = VMX_DICT_MAX_LINES + 1;
    char *many = malloc(n);
    memset(many, '\n', n);
    ok(!vmx_dict_parse(many, n, &e) && strstr(e.msg, "lines"), "too many lines: %s", e.msg);
    free(many);
    char *longline = malloc(VMX_DICT_MAX_BYTES);
    memset(longline, 'x', VMX_DICT_MAX_BYTES);
    memcpy(longline, "a = ", 4);
    struct vmx_dict *d = vmx_dict_parse(longline, VMX_DICT_MAX_BYTES, &e);
    ok(d && strlen(vmx_dict_get(d, "a")) == VMX_DICT_MAX_BYTES - 4, "one line of 4 MiB");
    vmx_dict_free(d);
    free(longline);
    d = parse("a = \"x|00y\"\n", &e);
    struct vmx_iter it = {0};
    struct vmx_entry en;
    ok(d && vmx_dict_next(d, &it, &en) && en.bad_text && !strcmp(en.value, "x"), "|00 ends the value and is marked");
    ok(vmx_dict_set(d, "bad name", "1", &e) && vmx_dict_set(d, "", "1", &e) && vmx_dict_set(d, "a=b", "1", &e), "names that are none are refused");
    ok(vmx_dict_set(d, "a", "\xFF", &e), "values that are no UTF-8 are refused");
    vmx_dict_free(d);
}

static void changes(void)
{
    struct vmx_dict *d = parse("a = \"1\"\nb = \"2\"\n", NULL);
    struct err e = {0};
    ok(!vmx_dict_changed(d), "unchanged after reading");
    vmx_dict_override(d, "A", "over", &e);
    ok(!strcmp(vmx_dict_get(d, "a"), "over") && !vmx_dict_changed(d), "an override is seen and does not change the file");
    size_t n;
    char *out = vmx_dict_format(d, &n);
    ok(!strcmp(out, "a = \"1\"\nb = \"2\"\n"), "an override is not written");
    free(out);
    ok(vmx_dict_unset(d, "B") && !vmx_dict_get(d, "b") && vmx_dict_changed(d), "unset");
    ok(vmx_dict_line(d, "a") == 1 && vmx_dict_line(d, "b") == 0, "line numbers");
    for (int i = 0; i < 500; i++) {
        char k[16];
        snprintf(k, sizeof k, "k%d", i);
        vmx_dict_set(d, k, k, &e);
    }
    ok(!strcmp(vmx_dict_get(d, "K499"), "k499") && !strcmp(vmx_dict_get(d, "k0"), "k0") && vmx_dict_line(d, "k499") == 501, "many new keys");
    vmx_dict_set(d, "b", "again", &e);
    ok(!strcmp(vmx_dict_get(d, "b"), "again"), "a removed key can come back");
    vmx_dict_free(d);
}

static void saving(void)
{
    char dir[] = "/tmp/vmxdictXXXXXX", path[64], link[64];
    struct err e = {0};
    struct stat st;
    if (!mkdtemp(dir))
        return;
    snprintf(path, sizeof path, "%s/a.vmx", dir);
    snprintf(link, sizeof link, "%s/link.vmx", dir);
    FILE *f = fopen(path, "w");
    fputs("a = \"1\"\n", f);
    fclose(f);
    chmod(path, 0640);
    ok(!symlink("a.vmx", link), "symbolic link");
    struct vmx_dict *d = vmx_dict_load(link, &e);
    vmx_dict_set(d, "a", "2", &e);
    ok(!vmx_dict_save(d, link, &e), "save through the link");
    ok(!lstat(link, &st) && S_ISLNK(st.st_mode), "the link is still one");
    ok(!stat(path, &st) && (st.st_mode & 07777) == 0640, "the mode is kept");
    vmx_dict_free(d);
    d = vmx_dict_load(path, &e);
    ok(d && !strcmp(vmx_dict_get(d, "a"), "2"), "the new value is in the file");
    ok(vmx_dict_save(d, "/nonexistent/dir/x.vmx", &e) == -1, "a folder that is not there: %s", e.msg);
    vmx_dict_free(d);
    unlink(link);
    unlink(path);
    ok(!rmdir(dir), "no temporary file is left");
}

/* The grammar that libvirt accepts: letters first in a name, quoted values, nothing else but comments. */
static void acceptable(void)
{
    struct vmx_dict *d = vmx_dict_new();
    struct err e = {0};
    vmx_dict_set(d, "config.version", "8", &e);
    vmx_dict_set(d, "displayName", "A \"quoted\" name | with\nall", &e);
    vmx_dict_set(d, "ide0:0.fileName", "disk.vmdk", &e);
    size_t n;
    char *out = vmx_dict_format(d, &n), *save = NULL;
    bool good = true;
    for (char *l = strtok_r(out, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        size_t name = strspn(l, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:.-");
        char *v = l + name;
        good &= name > 0 && !strncmp(v, " = \"", 4) && strchr(v + 4, '"') == l + strlen(l) - 1;
    }
    ok(good, "what is written is acceptable to strict readers");
    free(out);
    vmx_dict_free(d);
}

int main(void)
{
    grammar();
    lossless();
    charsets();
    other_charset();
    hostile();
    changes();
    saving();
    acceptable();
    return TAP_DONE();
}
