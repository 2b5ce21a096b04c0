/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs in a test guest, for what is said of its memory.
 *
 *   guestmem hold MB [same]  fills MB megabytes (with words that only this guest has, or with the same words in every guest), prints "HELD MB", waits for
 *                            a line, compares everything ("GOOD MB" or "BAD count") and ends, which frees it
 *   guestmem churn MB S      for S seconds: pages are written, zeroed and compared in a random order; "CHURN rounds bad"
 *   guestmem work MB S       a busy program: allocates, uses and frees memory for S seconds; "SOFAR rounds" ten times a second
 *   guestmem walk MB S       another: walks about in memory that it keeps, and writes some of it
 *   guestmem zeros MB S      a third: fills memory that it keeps with zeros, then with something else, and compares
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdull;
    x ^= x >> 33;
    return x;
}

static uint64_t *area(size_t mb)
{
    uint64_t *p = mmap(NULL, mb << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        puts("NO MEMORY");
        exit(1);
    }
    return p;
}

/* Each loop in a page of its own: where code lies must not make a difference between one build and the next. */
#define LOOP static __attribute__((noinline, aligned(4096)))

LOOP uint64_t work(uint64_t *p, size_t words, uint64_t x)
{
    p = area(words >> 17);
    madvise(p, words * 8, MADV_NOHUGEPAGE); /* whether the guest gets huge pages is chance, and ten times faster */
    for (size_t i = 0; i < words; i += 8)
        p[i] = x = mix(x + i);
    for (size_t i = 0; i < words; i += 8)
        x += p[words - 8 - i];
    munmap(p, words * 8);
    return x;
}

LOOP uint64_t walk(uint64_t *p, size_t words, uint64_t x)
{
    for (unsigned i = 0; i < 20000; i++) {
        x = mix(x + i);
        uint64_t *w = &p[x % words];
        if (x & 7 << 20)
            x += *w;
        else
            *w = x;
    }
    return x;
}

LOOP uint64_t zeros(uint64_t *p, size_t words, uint64_t x)
{
    size_t n = words < 32768 ? words : 32768, at = x % (words / n) * n, bad = 0;
    for (size_t i = 0; i < n; i++)
        p[at + i] = 0;
    for (size_t i = 0; i < n; i++)
        bad += p[at + i];
    if (x & 1)
        for (size_t i = 0; i < n; i++)
            p[at + i] = x + i;
    return bad ? 0 : mix(x) | 2;
}

static uint64_t (*round_of(const char *name))(uint64_t *, size_t, uint64_t)
{
    return !strcmp(name, "work") ? work : !strcmp(name, "walk") ? walk : !strcmp(name, "zeros") ? zeros : NULL;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    size_t mb = argc > 2 ? strtoul(argv[2], NULL, 0) : 0, words = (mb << 20) / 8, bad = 0;
    double seconds = argc > 3 ? atof(argv[3]) : 10;
    if (mb && !strcmp(argv[1], "hold")) {
        char line[64];
        uint64_t *p = area(mb), key = argc > 3 ? 1 : (uint64_t)(now() * 1e9);
        for (size_t i = 0; i < words; i++)
            p[i] = mix(key + i);
        printf("HELD %zu\n", mb);
        if (!fgets(line, sizeof line, stdin))
            return 1;
        for (size_t i = 0; i < words; i++)
            bad += p[i] != mix(key + i);
        printf(bad ? "BAD %zu\n" : "GOOD %zu\n", bad ? bad : mb);
        return bad != 0;
    }
    if (mb && !strcmp(argv[1], "churn")) {
        uint64_t *p = area(mb), rounds = 0, x = 1;
        size_t pages = words / 512;
        uint64_t *kept = calloc(pages, sizeof *kept);
        for (double end = now() + seconds; kept && now() < end;)
            for (int k = 0; k < 1000; k++, rounds++) {
                uint64_t sum = 0;
                x = mix(x + rounds);
                size_t g = x % pages, at = x >> 40 & 511;
                for (size_t i = 0; i < 512; i++)
                    sum |= p[g * 512 + i];
                bad += sum != kept[g];
                memset(&p[g * 512], 0, 4096);
                p[g * 512 + at] = kept[g] = x & 3 << 20 ? 0 : x | 1;
            }
        printf("CHURN %llu %zu\n", (unsigned long long)rounds, bad);
        return bad != 0;
    }
    if (mb && (round_of(argv[1]))) {
        uint64_t rounds = 0, x = 1, *p = strcmp(argv[1], "work") ? area(mb) : NULL, (*round)(uint64_t *, size_t, uint64_t) = round_of(argv[1]);
        if (p)
            memset(p, 1, mb << 20);
        double told = now();
        for (double end = now() + seconds; now() < end; rounds++) {
            if (now() - told >= 0.1) {
                printf("SOFAR %llu\n", (unsigned long long)rounds);
                told = now();
            }
            x = round(p, words, x);
        }
        return x == 0;
    }
    return 2;
}
