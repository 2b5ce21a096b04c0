/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main() for a fuzz target without a fuzzer: runs LLVMFuzzerTestOneInput over the files given, or over tests/fuzz/corpus/<program>/ and
 * a fixed number of mutations of them, and reports as TAP. With libFuzzer, link -fsanitize=fuzzer in its place.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_SIZE = 1 << 20, MUTATIONS = 200 };

static uint64_t rnd(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    return *s ^= *s << 17;
}

/* A heap block of exactly the input's size, so that a sanitizer sees reads beyond it. */
static void run_copy(const uint8_t *data, size_t n)
{
    uint8_t *p = malloc(n ? n : 1);
    if (!p)
        return;
    memcpy(p, data, n);
    LLVMFuzzerTestOneInput(p, n);
    free(p);
}

static bool run_file(const char *path, bool mutate)
{
    static uint8_t buf[INPUT_SIZE];
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    size_t n = fread(buf, 1, sizeof buf, f);
    fclose(f);
    run_copy(buf, n);
    uint64_t s = 88172645463325252ull + n;
    for (int i = 0; mutate && n && i < MUTATIONS; i++) {
        for (unsigned k = 1 + rnd(&s) % 4; k; k--)
            buf[rnd(&s) % n] = rnd(&s) % 3 ? (uint8_t)rnd(&s) : "\0\xFF\x7F\x80\"=|\n"[rnd(&s) % 8];
        run_copy(buf, rnd(&s) % 4 ? n : rnd(&s) % (n + 1));
    }
    return true;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        for (int i = 1; i < argc; i++)
            ok(run_file(argv[i], false), "%s", argv[i]);
        return TAP_DONE();
    }
    char dir[PATH_MAX - 300], path[PATH_MAX];
    const char *src = getenv("srcdir"), *name = strrchr(argv[0], '/');
    name = name ? name + 1 : argv[0];
    if (!strncmp(name, "lt-", 3))
        name += 3;
    snprintf(dir, sizeof dir, "%s/tests/fuzz/corpus/%s", src ? src : ".", name);
    run_copy((const uint8_t *)"", 0);
    DIR *d = opendir(dir);
    unsigned n = 0;
    for (struct dirent *de; d && (de = readdir(d));) {
        if (de->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, de->d_name);
        n += ok(run_file(path, true), "%s and mutations", de->d_name);
    }
    if (d)
        closedir(d);
    ok(n > 0, "corpus of %s", name);
    return TAP_DONE();
}
