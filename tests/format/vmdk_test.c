/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMDK against qemu-img: disks that it made are read and written here, disks made here are read and checked by it. Then
 * the ways in which a file can be wrong: each must be refused with a sentence that names the file and the field, and
 * must not be changed.
 */
#define _GNU_SOURCE
#include "tests/format/disktest.h"

static bool have_qemu;

/* Writes the same data into a disk and into a raw file beside it. */
static bool write_both(struct blk *b, const char *raw, uint64_t size, uint64_t seed, int n)
{
    int fd = open(raw, O_RDWR);
    static uint8_t buf[300 * 1024];
    bool good = fd >= 0;
    for (int i = 0; i < n && good; i++) {
        uint64_t len = (dt_rand(&seed) % 3 ? 1 + dt_rand(&seed) % 16 : 1 + dt_rand(&seed) % 600) * 512;
        uint64_t off = dt_rand(&seed) % (size / 512) * 512;
        if (i % 7 == 0)
            off = 0x7fff0000ull % size / 512 * 512; /* around 2 GiB: the border of extents */
        if (i == 1)
            off = size - len;
        if (len > size - off)
            len = size - off;
        dt_fill(buf, len, &seed);
        good = dt_io(b, BLK_WRITE, off, buf, len) == 0 && pwrite(fd, buf, len, (off_t)off) == (ssize_t)len;
        if (i % 10 == 9)
            good = good && dt_io(b, BLK_FLUSH, 0, NULL, 0) == 0;
    }
    close(fd);
    return good;
}

/* Reads what the raw file has data for, and random places, and compares. */
static bool same_as_raw(struct blk *b, const char *raw, uint64_t size)
{
    static uint8_t x[256 * 1024], y[256 * 1024];
    int fd = open(raw, O_RDONLY);
    bool good = fd >= 0;
    off_t at = 0;
    uint64_t seed = 99;
    while (good && (at = lseek(fd, at, SEEK_DATA)) >= 0) {
        off_t hole = lseek(fd, at, SEEK_HOLE);
        at &= ~511ll;
        while (good && at < hole) {
            size_t n = sizeof x;
            if ((uint64_t)at + n > size)
                n = size - (uint64_t)at;
            memset(x, 0x5a, n);
            memset(y, 0, n);
            good = dt_io(b, BLK_READ, (uint64_t)at, x, n) == 0 && pread(fd, y, n, at) >= 0 && memcmp(x, y, n) == 0;
            at += (off_t)n;
        }
    }
    for (int i = 0; i < 50 && good; i++) {
        size_t n = 64 * 1024 + 512;
        uint64_t off = dt_rand(&seed) % ((size - n) / 512) * 512;
        memset(x, 0x5a, n);
        memset(y, 0, n);
        good = dt_io(b, BLK_READ, off, x, n) == 0 && pread(fd, y, n, (off_t)off) >= 0 && memcmp(x, y, n) == 0;
    }
    close(fd);
    return good;
}

static void test_subformat(const char *sub, uint64_t size, bool ours, enum vmdk_type type, uint64_t split)
{
    struct err e = {0};
    char name[64];
    snprintf(name, sizeof name, "%s-%s.vmdk", ours ? "our" : "qemu", sub);
    if (ours) {
        ok(dt_create(name, type, size, split, &e) == 0, "%s: made %s", name, e.msg);
        dt_run("truncate -s %llu ref.raw", (unsigned long long)size);
    } else {
        /* Random data first, so that there is something to read. */
        dt_run("rm -f ref.raw; truncate -s %llu ref.raw; for i in 0 1 5 17 40; do dd if=/dev/urandom of=ref.raw "
               "bs=70001 count=3 seek=$i conv=notrunc "
               "2>/dev/null; done; dd if=/dev/urandom of=ref.raw bs=1M count=2 seek=%llu conv=notrunc 2>/dev/null",
               (unsigned long long)size, (unsigned long long)(size > 0x80000000ull ? 2047 : 100));
        ok(dt_run("qemu-img convert -q -f raw -O vmdk -o subformat=%s ref.raw %s", sub, name) == 0,
           "%s: qemu-img made it", name);
    }
    struct blk *b = dt_open(name, NULL, false, &e);
    if (!ok(b != NULL, "%s: opened %s", name, e.msg))
        return;
    struct blk_info in;
    blk_get_info(b, &in);
    is_u64(in.size, size, "size");
    is_u64(in.sector, 512, "sector size");
    ok(in.heads == 16 && in.sectors == 63, "geometry of an IDE disk");
    ok(same_as_raw(b, "ref.raw", size), "%s: reads what was put in", name);
    ok(write_both(b, "ref.raw", size, 12345, 60), "%s: random writes", name);
    ok(same_as_raw(b, "ref.raw", size), "%s: reads what was written", name);
    blk_close(b);
    if (have_qemu) {
        ok(dt_run("qemu-img compare -q -f vmdk -F raw %s ref.raw", name) == 0, "%s: qemu-img compare", name);
        ok(dt_run("qemu-img check -q -f vmdk %s", name) == 0, "%s: qemu-img check", name);
        ok(dt_run("qemu-img info %s | grep -q 'create type: %s'", name, sub) == 0, "%s: qemu-img info probes it", name);
    }
    b = dt_open(name, "vmdk", true, &e);
    ok(b && same_as_raw(b, "ref.raw", size), "%s: opened again, read-only", name);
    uint8_t sec[512] = {0};
    ok(b && dt_io(b, BLK_WRITE, 0, sec, 512) == EROFS, "%s: a read-only disk refuses writes", name);
    blk_close(b);
    dt_run("rm -f ref.raw %s %.*s-*.vmdk", name, (int)strlen(name) - 5, name);
}

static void refuse(const char *path, const char *w1, const char *w2, const char *what)
{
    struct err e = {0};
    struct stat a, z;
    stat(path, &a);
    struct blk *b = dt_open(path, NULL, false, &e);
    if (!ok(b == NULL, "%s: refused", what))
        blk_close(b);
    else if (!ok(strstr(e.msg, w1) && strstr(e.msg, w2) && strstr(e.msg, path), "%s: the message names the matter",
                 what))
        printf("# %s\n", e.msg);
    stat(path, &z);
    ok(a.st_mtim.tv_nsec == z.st_mtim.tv_nsec && a.st_size == z.st_size, "%s: the file is untouched", what);
}

static void put32(const char *p, uint64_t off, uint32_t v) { dt_poke(p, off, &v, 4); }
static void put64(const char *p, uint64_t off, uint64_t v) { dt_poke(p, off, &v, 8); }

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
}

static void test_sparse_header(void)
{
    static const struct {
        uint64_t off;
        unsigned bytes;
        uint64_t v;
        const char *field, *why;
    } t[] = {
        {4, 4, 0, "version", "versions"},
        {4, 4, 77, "version", "77"},
        {12, 8, 0, "capacity", "at least 1"},
        {12, 8, ~0ull, "capacity", "18446744073709551615"},
        {12, 8, 1ull << 40, "capacity", "descriptor"},
        {20, 8, 0, "grainSize", "power of two"},
        {20, 8, 100, "grainSize", "100"},
        {20, 8, 1ull << 40, "grainSize", "power of two"},
        {28, 8, ~0ull, "descriptorOffset", "descriptor"},
        {28, 8, 1ull << 30, "descriptor", "cut off"},
        {36, 8, 0, "descriptorSize", "1 to 2048"},
        {36, 8, 1ull << 40, "descriptorSize", "1 to 2048"},
        {44, 4, 0, "numGTEsPerGT", "65536"},
        {44, 4, 1u << 30, "numGTEsPerGT", "65536"},
        {48, 8, 0, "rgdOffset", "redundant"},
        {48, 8, 1ull << 33, "redundant grain directory", "cut off"},
        {56, 8, 0, "gdOffset", "directory"},
        {56, 8, ~0ull, "streamOptimized", "convert"},
        {56, 8, 1ull << 33, "grain directory", "cut off"},
        {64, 8, 1ull << 33, "overHead", "cut off"},
        {8, 4, 0x30003, "streamOptimized", "convert"},
        {75, 1, '\n', "text mode", "copy it again"},
    };
    struct err e = {0};
    dt_create("good.vmdk", VMDK_MONOLITHIC_SPARSE, 64 << 20, 0, &e);
    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
        char what[80];
        dt_run("cp good.vmdk bad.vmdk");
        dt_poke("bad.vmdk", t[i].off, &t[i].v, t[i].bytes);
        snprintf(what, sizeof what, "header byte %u = %llx", (unsigned)t[i].off, (unsigned long long)t[i].v);
        refuse("bad.vmdk", t[i].field, t[i].why, what);
    }
    /* Directory and table entries. */
    struct blk *b = dt_open("good.vmdk", NULL, false, &e);
    static uint8_t buf[65536];
    memset(buf, 7, sizeof buf);
    dt_io(b, BLK_WRITE, 0, buf, sizeof buf);
    blk_close(b);
    uint64_t gd, rgd;
    uint32_t gt;
    dt_peek("good.vmdk", 56, &gd, 8);
    dt_peek("good.vmdk", 48, &rgd, 8);
    dt_peek("good.vmdk", gd * 512, &gt, 4);
    dt_run("cp good.vmdk bad.vmdk");
    put32("bad.vmdk", gd * 512 + 4, 0x7fffffff);
    refuse("bad.vmdk", "entry 1 of the grain directory", "2147483647", "directory entry behind the end");
    dt_run("cp good.vmdk bad.vmdk");
    put32("bad.vmdk", gt * 512 + 4 * 3, 0x7fffffff);
    refuse("bad.vmdk", "entry 3 of grain table 0", "2147483647", "table entry behind the end");
    dt_run("cp good.vmdk bad.vmdk; truncate -s -512 bad.vmdk");
    refuse("bad.vmdk", "cut off", "grain table 0", "the last sector is missing");
    for (int cut = 0; cut < 12; cut++) {
        static const int len[] = {0, 1, 3, 4, 100, 511, 512, 5000, 10752, 11264, 20000, 65536};
        char what[40];
        dt_run("cp good.vmdk bad.vmdk; truncate -s %d bad.vmdk", len[cut]);
        snprintf(what, sizeof what, "cut to %d bytes", len[cut]);
        if (len[cut] >= 4)
            refuse("bad.vmdk", "bad.vmdk", "cut off", what);
        else if (len[cut] == 0)
            refuse("bad.vmdk", "empty", "image", what);
    }
    dt_run("rm -f bad.vmdk good.vmdk");
}

static void test_descriptor(void)
{
#define HEAD "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
    static const struct {
        const char *text, *w1, *w2;
    } t[] = {
        {"# Disk DescriptorFile\n", "descriptor", "VMDK"},
        {"# Disk DescriptorFile\nversion=9\ncreateType=\"monolithicFlat\"\nRW 8 FLAT \"f\" 0\n", "version", "\"9\""},
        {HEAD "RW 8 FLAT \"f.img\" 0\n", "createType", "no"},
        {HEAD "createType=\"monolithicFlat\"\n", "no extent", "data"},
        {HEAD "createType=\"wonderful\"\nRW 8 FLAT \"f.img\" 0\n", "createType", "wonderful"},
        {HEAD "createType=\"streamOptimized\"\nRW 8 SPARSE \"f.img\"\n", "streamOptimized", "convert"},
        {HEAD "createType=\"custom\"\nRW 0 FLAT \"f.img\" 0\n", "extent size", "\"0\""},
        {HEAD "createType=\"custom\"\nRW -5 FLAT \"f.img\" 0\n", "extent size", "\"-5\""},
        {HEAD "createType=\"custom\"\nRW 99999999999999999999999 FLAT \"f.img\" 0\n", "extent size", "line 6"},
        {HEAD "createType=\"custom\"\nRW 8 ROUND \"f.img\" 0\n", "extent type", "ROUND"},
        {HEAD "createType=\"custom\"\nRW 8 FLAT f.img 0\n", "file name", "quotes"},
        {HEAD "createType=\"custom\"\nRW 8 FLAT \"f.img 0\n", "closing quote", "line 6"},
        {HEAD "createType=\"custom\"\nRW 8 FLAT \"\" 0\n", "file name", "1 to 4095"},
        {HEAD "createType=\"custom\"\nRW 8 FLAT \"f.img\" 3000000000000000000000\n", "extent offset", "number"},
        {HEAD "createType=\"custom\"\nRW 8 FLAT \"f.img\" 9007199254740992\n", "f.img", "cut off"},
        {HEAD "createType=\"custom\"\nRW\n", "extent", "size"},
        {HEAD "createType=\"custom\"\nRW 8\n", "extent", "type"},
        {HEAD "createType=\"custom\"\nRW 9007199254740992 FLAT \"f.img\" 0\nRW 9007199254740992 FLAT \"f.img\" 0\n",
         "add up", "line 7"},
        {HEAD "createType=\"custom\"\nRW 8 FLAT \"/etc/passwd\" 0\n", "/etc/passwd", "outside"},
        {HEAD "createType=\"custom\"\nRW 8 FLAT \"missing.img\" 0\n", "missing.img", "does not exist"},
        {HEAD "createType=\"custom\"\nRW 80000 FLAT \"f.img\" 0\n", "cut off", "40960000 bytes"},
        {HEAD "createType=\"custom\"\nRW 8 SPARSE \"f.img\"\n", "f.img", "KDMV"},
        {HEAD "createType=\"custom\"\nRW 8 VMFSSPARSE \"f.img\"\n", "VMFSSPARSE", "line 6"},
        {HEAD "createType=\"custom\"\nhello world\nRW 8 FLAT \"f.img\" 0\n", "hello world", "line 6"},
        {"version=1\nCID=xyz\ncreateType=\"custom\"\nRW 8 FLAT \"f.img\" 0\n", "CID", "xyz"},
        {"version=1\nCID=1\nparentCID=12\nparentFileNameHint=\"base.vmdk\"\ncreateType=\"custom\"\nRW 8 FLAT \"f.img\" "
         "0\n",
         "parentCID", "base.vmdk"},
        {HEAD "createType=\"custom\"\nddb.geometry.heads = \"many\"\nRW 8 FLAT \"f.img\" 0\n", "geometry.heads",
         "many"},
        {HEAD "createType=\"custom\"\nRW 8 FLAT \"self.vmdk\" 0\n", "self.vmdk", "in use"},
    };
    dt_run("head -c 8192 /dev/urandom > f.img");
    for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
        char what[40];
        const char *name = strstr(t[i].text, "self.vmdk") ? "self.vmdk" : "d.vmdk";
        write_text(name, t[i].text);
        snprintf(what, sizeof what, "descriptor %u", i);
        refuse(name, t[i].w1, t[i].w2, what);
    }
    /* What is odd but right. */
    static const char *const good[] = {
        "version=1\ncreatetype=\"CUSTOM\"\nrw 8 flat \"f.img\" 4\n",
        "\n\n# x\nVersion = 2\r\nCID=1\r\nparentCID=ffffffff\r\nCreateType = \"2GbMaxExtentFlat\"\r\nRW 4 FLAT "
        "\"f.img\" 4\r\nRW 4 FLAT \"f.img\" 8\r\n",
        "\xef\xbb\xbf# Disk DescriptorFile\nversion=3\nencoding=\"windows-1252\"\ncreateType=\"vmfs\"\nRW 8 VMFS "
        "\"f.img\"\nchangeTrackPath=\"x\"\n",
        "version=1\ncreateType=\"partitionedDevice\"\nRDONLY 4 FLAT \"f.img\" 0\nRW 4 ZERO\n",
    };
    for (unsigned i = 0; i < 4; i++) {
        struct err e = {0};
        write_text("d.vmdk", good[i]);
        struct blk *b = dt_open("d.vmdk", "vmdk", false, &e);
        struct blk_info in = {0};
        uint8_t a[4096] = {1}, f[8192];
        if (b)
            blk_get_info(b, &in);
        dt_peek("f.img", 0, f, sizeof f);
        ok(b && in.size == 4096, "good descriptor %u: opened %s", i, e.msg);
        ok(b && dt_io(b, BLK_READ, 0, a, 4096) == 0 && memcmp(a, i == 2 || i == 3 ? f : f + 2048, 2048) == 0,
           "good descriptor %u: data", i);
        if (i == 3) {
            uint8_t zero[2048] = {0};
            ok(b && memcmp(a + 2048, zero, 2048) == 0, "a ZERO extent reads zeros");
            ok(b && dt_io(b, BLK_WRITE, 0, zero, 512) == EROFS, "an RDONLY extent refuses writes");
            ok(b && dt_io(b, BLK_WRITE, 2048, zero, 512) == EROFS, "a ZERO extent refuses writes");
        }
        if (i == 1) { /* one file, two extents; the CID grows to eight digits */
            uint8_t w[1024];
            memset(w, 0xab, sizeof w);
            ok(b && dt_io(b, BLK_WRITE, 1536, w, 1024) == 0, "write over the border of two extents");
            dt_peek("f.img", 0, f, sizeof f);
            ok(memcmp(f + 2048 + 1536, w, 512) == 0 && memcmp(f + 4096, w, 512) == 0,
               "the data is where the extents say");
        }
        blk_close(b);
    }
    /* The CID is rewritten on the first write only. */
    struct err e = {0};
    char t0[1024] = "", t1[1024] = "", t2[1024] = "";
    dt_create("c.vmdk", VMDK_MONOLITHIC_FLAT, 1 << 20, 0, &e);
    dt_peek("c.vmdk", 0, t0, sizeof t0 - 1);
    struct blk *b = dt_open("c.vmdk", NULL, false, &e);
    uint8_t sec[512] = {0};
    dt_io(b, BLK_READ, 0, sec, 512);
    dt_io(b, BLK_FLUSH, 0, NULL, 0);
    dt_peek("c.vmdk", 0, t1, sizeof t1 - 1);
    ok(strcmp(t0, t1) == 0, "reading does not change the CID");
    dt_io(b, BLK_WRITE, 0, sec, 512);
    blk_close(b);
    dt_peek("c.vmdk", 0, t2, sizeof t2 - 1);
    char *c0 = strstr(t0, "CID="), *c2 = strstr(t2, "CID="), *l2 = strstr(t2, "longContentID = \"");
    ok(c0 && c2 && strncmp(c0, c2, 12) != 0 && strlen(t0) == strlen(t2), "writing gives it a new CID");
    ok(l2 && c2 && strncmp(l2 + 17 + 24, c2 + 4, 8) == 0, "longContentID ends in the CID");
    ok(strstr(t2, "parentCID=ffffffff") != NULL, "parentCID stays");
    dt_run("rm -f c.vmdk c-flat.vmdk d.vmdk self.vmdk f.img");
}

/* What is left when the process is killed, or the host's power fails, at various moments. */
static void test_unclean(void)
{
    struct err e = {0};
    static uint8_t w[65536 * 3], r[65536 * 3];
    uint64_t seed = 5, gd, rgd;
    uint32_t gt, rgt, v, n;
    uint8_t flag;
    dt_fill(w, sizeof w, &seed);
    dt_create("u.vmdk", VMDK_MONOLITHIC_SPARSE, 64 << 20, 0, &e);
    struct blk *b = dt_open("u.vmdk", NULL, false, &e);
    dt_io(b, BLK_WRITE, 0, w, sizeof w);
    dt_peek("u.vmdk", 72, &flag, 1);
    is_u64(flag, 1, "uncleanShutdown is set while it is written");
    dt_run("cp u.vmdk killed.vmdk");
    blk_close(b);
    dt_peek("u.vmdk", 72, &flag, 1);
    is_u64(flag, 0, "uncleanShutdown is cleared by close");
    b = dt_open("killed.vmdk", NULL, false, &e);
    ok(b && dt_io(b, BLK_READ, 0, r, sizeof r) == 0 && memcmp(r, w, sizeof r) == 0, "the data is there after a kill");
    blk_close(b);
    dt_peek("u.vmdk", 56, &gd, 8);
    dt_peek("u.vmdk", 48, &rgd, 8);
    dt_peek("u.vmdk", gd * 512, &gt, 4);
    dt_peek("u.vmdk", rgd * 512, &rgt, 4);
    dt_peek("u.vmdk", gt * 512ull, &v, 4);
    dt_peek("u.vmdk", rgt * 512ull, &n, 4);
    ok(gt != rgt && v && v == n, "both copies of the table have the entry");
    /* Between the two table writes. */
    flag = 1;
    dt_run("cp u.vmdk k.vmdk");
    put32("k.vmdk", gt * 512ull + 8, 0);
    dt_poke("k.vmdk", 72, &flag, 1);
    b = dt_open("k.vmdk", NULL, true, &e);
    ok(b && dt_io(b, BLK_READ, 0, r, sizeof r) == 0 && memcmp(r, w, sizeof r) == 0,
       "an entry in the redundant copy alone counts");
    blk_close(b);
    b = dt_open("k.vmdk", NULL, false, &e);
    ok(b && dt_io(b, BLK_WRITE, 40 << 20, w, 512) == 0, "writing repairs");
    blk_close(b);
    dt_peek("k.vmdk", gt * 512ull + 8, &v, 4);
    dt_peek("k.vmdk", rgt * 512ull + 8, &n, 4);
    ok(v && v == n, "the entry is in both copies afterwards");
    if (have_qemu)
        ok(dt_run("qemu-img check -q k.vmdk") == 0, "qemu-img check of the repaired disk");
    /* An entry reached the host's disk, the file's new length did not. */
    dt_run("cp u.vmdk k.vmdk; truncate -s -65536 k.vmdk");
    dt_poke("k.vmdk", 72, &flag, 1);
    b = dt_open("k.vmdk", NULL, false, &e);
    static const uint8_t zero[65536];
    ok(b && dt_io(b, BLK_READ, 0, r, sizeof r) == 0 && memcmp(r, w, 131072) == 0 &&
           memcmp(r + 131072, zero, 65536) == 0,
       "an entry behind the end of the file is dropped after a crash");
    ok(b && dt_io(b, BLK_WRITE, 131072, w, 65536) == 0, "and can be written again");
    blk_close(b);
    b = dt_open("k.vmdk", NULL, false, &e);
    ok(b && dt_io(b, BLK_READ, 131072, r, 65536) == 0 && memcmp(r, w, 65536) == 0, "and read");
    blk_close(b);
    /* Discard: zeros afterwards, the place is used again only after a flush. */
    struct stat s1, s2;
    stat("u.vmdk", &s1);
    b = dt_open("u.vmdk", NULL, false, &e);
    ok(dt_io(b, BLK_DISCARD, 65536 - 512, NULL, 65536 + 1024) == 0, "discard");
    dt_io(b, BLK_READ, 0, r, sizeof r);
    ok(memcmp(r, w, 65536) == 0 && memcmp(r + 65536, zero, 65536) == 0 && memcmp(r + 131072, w + 131072, 65536) == 0,
       "only whole grains go");
    dt_io(b, BLK_FLUSH, 0, NULL, 0);
    dt_io(b, BLK_WRITE, 20 << 20, w, 1024);
    dt_io(b, BLK_READ, 20 << 20, r, 65536);
    ok(memcmp(r, w, 1024) == 0 && memcmp(r + 1024, zero, 65536 - 1024) == 0,
       "a grain that is used again has zeros around the data");
    blk_close(b);
    stat("u.vmdk", &s2);
    is_u64((uint64_t)s2.st_size, (uint64_t)s1.st_size, "the file did not grow");
    if (have_qemu)
        ok(dt_run("qemu-img check -q u.vmdk") == 0, "qemu-img check after discard");
    dt_run("rm -f u.vmdk k.vmdk killed.vmdk");
    /* Grain tables may be missing altogether. */
    dt_create("g.vmdk", VMDK_MONOLITHIC_SPARSE, 256 << 20, 0, &e);
    dt_peek("g.vmdk", 56, &gd, 8);
    dt_peek("g.vmdk", 48, &rgd, 8);
    put64("g.vmdk", gd * 512, 0);
    put64("g.vmdk", rgd * 512, 0);
    b = dt_open("g.vmdk", NULL, false, &e);
    ok(b && dt_io(b, BLK_READ, 0, r, 65536) == 0 && memcmp(r, zero, 65536) == 0, "no grain table: zeros");
    ok(b && dt_io(b, BLK_WRITE, 33 << 20, w, sizeof w) == 0, "no grain table: write makes one");
    ok(b && dt_io(b, BLK_DISCARD, 0, NULL, 1 << 20) == 0, "no grain table: discard");
    blk_close(b);
    b = dt_open("g.vmdk", NULL, true, &e);
    ok(b && dt_io(b, BLK_READ, 33 << 20, r, sizeof r) == 0 && memcmp(r, w, sizeof r) == 0, "and the data is found");
    blk_close(b);
    if (have_qemu)
        ok(dt_run("qemu-img check -q g.vmdk") == 0, "qemu-img check of it");
    dt_run("rm -f g.vmdk");
}

static void test_raw_iso_lock(void)
{
    struct err e = {0};
    uint8_t sec[2048], got[2048];
    uint64_t seed = 3;
    dt_run("truncate -s 1M r.img");
    struct blk *b = dt_open("r.img", NULL, false, &e);
    struct blk_info in = {0};
    blk_get_info(b, &in);
    ok(b && strcmp(in.format, "raw") == 0 && in.size == 1 << 20, "raw is what is left");
    dt_fill(sec, sizeof sec, &seed);
    ok(dt_io(b, BLK_WRITE, 1024, sec, 2048) == 0 && dt_io(b, BLK_READ, 1024, got, 2048) == 0 &&
           memcmp(sec, got, 2048) == 0,
       "raw: write and read");
    ok(dt_io(b, BLK_READ, 1 << 20, got, 512) == EINVAL, "read behind the end");
    ok(dt_io(b, BLK_READ, ~511ull, got, 1024) == EINVAL, "read around 2^64");
    ok(dt_io(b, BLK_READ, 100, got, 512) == EINVAL, "an offset inside of a sector");
    memcpy(sec, "# Disk DescriptorFile\nversion=1\n", 32);
    ok(dt_io(b, BLK_WRITE, 0, sec, 512) == EPERM, "a guest cannot turn a probed raw disk into a VMDK");
    memcpy(sec, "KDMV", 4);
    ok(dt_io(b, BLK_WRITE, 0, sec, 2048) == EPERM, "nor with a sparse header");
    /* The second one who wants it. */
    struct blk *c = dt_open("r.img", NULL, false, &e);
    ok(!c && e.kind == ERR_BUSY && strstr(e.msg, "r.img is in use"), "a disk in use is refused: %s", e.msg);
    c = dt_open("r.img", NULL, true, &e);
    ok(!c && e.kind == ERR_BUSY, "also for reading");
    int pfd[2];
    if (pipe(pfd) == 0) {
        pid_t pid = fork();
        if (pid == 0) {
            struct blk *d = dt_open("r.img", NULL, false, &e);
            char want[32];
            snprintf(want, sizeof want, "process %ld", (long)getppid());
            _exit(!d && strstr(e.msg, want) ? 0 : 1);
        }
        int st = -1;
        waitpid(pid, &st, 0);
        ok(st == 0, "another process is told who has it");
        close(pfd[0]), close(pfd[1]);
    }
    blk_close(b);
    b = dt_open("r.img", NULL, true, &e);
    c = dt_open("r.img", NULL, true, &e);
    ok(b && c, "two readers are fine");
    blk_close(b);
    blk_close(c);
    dt_run("head -c 5000 /dev/urandom > x.iso");
    b = dt_open("x.iso", "iso", true, &e);
    blk_get_info(b, &in);
    ok(in.sector == 2048 && in.size == 6144 && in.read_only, "an ISO with a part of a sector at its end");
    uint8_t z[1144] = {0};
    ok(dt_io(b, BLK_READ, 4096, got, 2048) == 0 && memcmp(got + 904, z, 1144) == 0, "which reads zeros");
    blk_close(b);
    refuse("/", "folder", "image", "a folder");
    b = dt_open("nothing.img", NULL, true, &e);
    ok(!b && strstr(e.msg, "nothing.img does not exist"), "a missing file: %s", e.msg);
    dt_run("mkfifo fifo");
    refuse("fifo", "neither", "block device", "a FIFO");
    dt_run("rm -f r.img x.iso fifo");
}

/* Options of qemu-img that change the header: zeroed grains, other adapters, old compatibility level. */
static void test_qemu_options(void)
{
    static uint8_t r[65536 * 4];
    struct err e = {0};
    dt_run("qemu-img create -q -f vmdk -o zeroed_grain=on,adapter_type=lsilogic,hwversion=6 z.vmdk 100M && "
           "qemu-io -f vmdk -c 'write -P 0x11 0 256k' -c 'write -z 64k 64k' z.vmdk >/dev/null");
    uint32_t version, flags;
    dt_peek("z.vmdk", 4, &version, 4);
    dt_peek("z.vmdk", 8, &flags, 4);
    ok(version == 2 && flags & 4, "qemu-img made a disk with zeroed grains");
    struct blk *b = dt_open("z.vmdk", NULL, false, &e);
    struct blk_info in = {0};
    if (b)
        blk_get_info(b, &in);
    ok(b && in.heads == 255, "opened, SCSI geometry %s", e.msg);
    bool good = b && dt_io(b, BLK_READ, 0, r, sizeof r) == 0;
    for (unsigned i = 0; i < sizeof r; i++)
        good = good && r[i] == (i / 65536 == 1 ? 0 : 0x11);
    ok(good, "a zeroed grain reads zeros, its neighbours their data");
    memset(r, 0x22, 512);
    ok(b && dt_io(b, BLK_WRITE, 65536 + 512, r, 512) == 0, "and can be written");
    blk_close(b);
    ok(dt_run(
           "qemu-io -r -f vmdk -c 'read -P 0x22 66048 512' -c 'read -P 0 64k 512' -c 'read -P 0 66560 64000' z.vmdk "
           ">io.txt && [ $(grep -c '^read ' io.txt) = 3 ] && ! grep -q 'verification failed' io.txt; r=$?; rm io.txt; "
           "exit $r") == 0,
       "qemu-io finds the data");
    ok(dt_run("qemu-img check -q z.vmdk") == 0, "qemu-img check");
    /* An overlay and an export disk are refused, each with its reason. */
    dt_run("qemu-img create -q -f vmdk -b z.vmdk -F vmdk child.vmdk 2>/dev/null");
    refuse("child.vmdk", "parentCID", "z.vmdk", "a disk with a parent");
    dt_run("qemu-img convert -q -f vmdk -O vmdk -o subformat=streamOptimized z.vmdk stream.vmdk");
    refuse("stream.vmdk", "streamOptimized", "convert", "an export disk");
    dt_run("rm -f z.vmdk child.vmdk stream.vmdk");
}

int main(void)
{
    dt_init();
    have_qemu = dt_have("qemu-img");
    static const struct {
        const char *sub;
        enum vmdk_type type;
        uint64_t size, split;
    } t[] = {
        {"monolithicSparse", VMDK_MONOLITHIC_SPARSE, (300ull << 20) + 512 * 5, 0},
        {"monolithicFlat", VMDK_MONOLITHIC_FLAT, 130ull << 20, 0},
        {"twoGbMaxExtentSparse", VMDK_TWOGB_SPARSE, 5ull << 30, 0},
        {"twoGbMaxExtentFlat", VMDK_TWOGB_FLAT, (4ull << 30) + 4096, 0},
    };
    for (unsigned i = 0; i < 4; i++) {
        test_subformat(t[i].sub, t[i].size, true, t[i].type, t[i].split);
        if (have_qemu)
            test_subformat(t[i].sub, t[i].type == VMDK_MONOLITHIC_SPARSE ? 300ull << 20 : t[i].size, false, t[i].type,
                           0);
        else
            skip("qemu-img is not installed (qemu-utils)");
    }
    if (have_qemu)
        test_qemu_options();
    else
        skip("qemu-img is not installed (qemu-utils)");
    test_sparse_header();
    test_descriptor();
    test_unclean();
    test_raw_iso_lock();
    dt_done();
    return TAP_DONE();
}
