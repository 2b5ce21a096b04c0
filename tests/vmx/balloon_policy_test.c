/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The balloon's target: what docs/memory.md promises, with guests that are played here. */
#include <string.h>

#include "balloon_policy.h"
#include "tests/tap.h"

#define S 1000000000ll
#define MB(n) ((uint64_t)(n) * BP_MB_PAGES)

static struct balloon_policy b;
static struct balloon_now in;
static uint64_t there, away, free_pages, most_seen, least_unused;

static void start(uint64_t mb, uint64_t least, uint64_t most, uint64_t max)
{
    there = away = 0;
    b = (struct balloon_policy){.l = {.all = MB(mb), .least = MB(least), .most = most, .max = max}};
    in = (struct balloon_now){.now = 1000 * S, .driver = true, .huge = true, .trimming = true, .wanted = -1, .short_mb = -1, .rss = MB(mb), .rate = 16384};
}

/* A second passes in a guest that gives what it is asked for, at most free_pages. First what the balloon has let go before (`away`, which is not in
 * the host's memory), then pages of which the first `there` are. */
static uint64_t second(void)
{
    in.unused = b.l.all - in.rss > in.have ? b.l.all - in.rss - in.have : 0;
    uint64_t t = balloon_policy_step(&b, &in), give = t < free_pages ? t : free_pages, from = in.have > away ? in.have : away;
    uint64_t more = give > from ? give - from : 0, gone = more < there ? more : there;
    in.rss -= gone;
    there -= gone;
    away = give > away ? give : away;
    in.have = give;
    most_seen = t > most_seen ? t : most_seen;
    uint64_t unused = b.l.all - in.rss > in.have ? b.l.all - in.rss - in.have : 0;
    least_unused = unused < least_unused ? unused : least_unused;
    in.now += S;
    return t;
}
static uint64_t seconds(unsigned n)
{
    uint64_t t = 0;
    while (n--)
        t = second();
    return t;
}

/* Until the balloon wants so much, in a guest that does a little all the time. */
static void active_until(uint64_t target)
{
    for (int i = 0; i < 200 && b.target < target; i++) {
        in.cpu_ns += S / 5;
        second();
    }
}

int main(void)
{
    /* What the user says, and the limits. */
    start(1000, 0, UINT64_MAX, UINT64_MAX);
    free_pages = MB(1000);
    is_u64(balloon_policy_cap(&b), MB(650), "65 %% is the most");
    in.wanted = 100;
    is_u64(seconds(2), MB(100), "as the user says");
    in.wanted = 900;
    is_u64(seconds(2), MB(650), "not beyond the most");
    in.wanted = 0;
    is_u64(seconds(2), 0, "nothing");
    start(1000, 600, UINT64_MAX, UINT64_MAX);
    in.wanted = 900;
    is_u64(seconds(2), MB(400), "sched.mem.min stays with the guest");
    start(1000, 0, MB(200), UINT64_MAX);
    in.wanted = 900;
    is_u64(seconds(2), MB(200), "sched.mem.maxmemctl");
    start(1000, 0, 0, UINT64_MAX);
    in.wanted = 900;
    is_u64(seconds(2), 0, "which can be 0");
    start(1000, 2000, UINT64_MAX, UINT64_MAX);
    in.wanted = 900;
    is_u64(seconds(2), 0, "a minimum beyond the memory");
    start(1000, 0, UINT64_MAX, MB(700));
    is_u64(seconds(2), MB(300), "sched.mem.max: the rest is always in the balloon");
    start(1000, 0, UINT64_MAX, MB(700));
    b.l.pin = true;
    is_u64(seconds(2), 0, "locked memory has no balloon");

    /* The host is short: a little more each second; and it has enough again. */
    start(1000, 0, UINT64_MAX, UINT64_MAX);
    in.short_mb = 50;
    is_u64(second(), MB(50), "shortage: 50 MB");
    is_u64(second(), MB(100), "and 50 more");
    in.short_mb = 1000;
    is_u64(second(), MB(228), "128 MB a second at most");
    in.short_mb = 0;
    is_u64(seconds(5), MB(228), "neither short nor enough: it stays");
    in.short_mb = -1;
    is_u64(second(), MB(164), "enough: 64 MB go back each second");
    is_u64(seconds(3), 0, "until it is empty");
    in.short_mb = 1000;
    is_u64(seconds(20), MB(650), "no shortage takes more than the most");

    /* A guest that cannot follow, and one that reads its disks. */
    start(1000, 0, UINT64_MAX, UINT64_MAX);
    free_pages = MB(200);
    in.short_mb = 128;
    seconds(8);
    ok(in.have == MB(200) && b.target == MB(650), "the guest has only 200 MB to give");
    bool told = false;
    for (int i = 0; i < 8; i++) {
        second();
        told |= b.was_short;
    }
    ok(told && b.target < MB(200) && b.target > MB(100), "after ten seconds it gets some back: %llu MB", (unsigned long long)b.target / BP_MB_PAGES);
    uint64_t left = b.target;
    seconds(50);
    is_u64(b.target, left, "and is left alone for a minute, though the host is short");
    seconds(15);
    ok(b.target > left, "then it is asked again");
    start(1000, 0, UINT64_MAX, UINT64_MAX);
    free_pages = MB(1000);
    in.short_mb = 128;
    seconds(4);
    in.short_mb = 0;
    left = b.target;
    for (int i = 0; i < 3; i++) {
        in.reads += 40 << 20;
        second();
    }
    ok(b.target < left, "a guest that reads 40 MB a second gets some back");
    in.driver = false;
    in.have = 0;
    is_u64(seconds(2), 0, "no driver, no target");

    /* Breaths: 700 MB in use in the host of 2000, 400 MB of that free in the guest. */
    start(2000, 0, UINT64_MAX, UINT64_MAX);
    in.rss = MB(700);
    there = MB(400);
    free_pages = MB(1700);
    is_u64(seconds(15), 0, "no breath in the first seconds");
    most_seen = 0;
    seconds(20);
    ok(in.rss <= MB(700) - MB(400) && there == 0, "what the guest had free has gone back: %llu MB left", (unsigned long long)in.rss / BP_MB_PAGES);
    ok(in.have == 0 && b.target == 0, "and the balloon is empty again");
    ok(most_seen >= MB(400) && b.breaths == 1 && b.harvested == MB(400), "in one breath");
    most_seen = 0;
    seconds(100);
    is_u64(most_seen, 0, "a guest that does nothing is not asked again");
    /* It uses 200 MB of what it gave, and frees 100 MB of that. */
    uint64_t pool = b.pool;
    in.cpu_ns += S;
    in.rss += MB(200), away = pool - MB(200), there = MB(100), b.harvested = 0;
    seconds(60);
    ok(b.harvested >= MB(90) && in.have == 0, "one that did something is (%llu MB gained)", (unsigned long long)b.harvested / BP_MB_PAGES);
    most_seen = 0;
    in.cpu_ns += S;
    seconds(100);
    ok(most_seen > 0 && most_seen <= b.pool && b.pool < MB(800), "with nothing to gain it stops behind what it has had before (%llu MB)",
       (unsigned long long)b.pool / BP_MB_PAGES);
    struct {
        const char *what;
        void *p;
        uint64_t v;
        size_t n;
    } no[] = {{"trimming is off", &in.trimming, 0, 1}, {"the driver has no large pages", &in.huge, 0, 1}, {"the user has set a size", &in.wanted, 0, 8},
              {"the machine is locked", &b.l.pin, 1, 1}};
    for (unsigned i = 0; i < sizeof no / sizeof *no; i++) {
        start(2000, 0, UINT64_MAX, UINT64_MAX);
        in.rss = MB(700), there = MB(400), most_seen = 0, in.cpu_ns = S;
        memcpy(no[i].p, &no[i].v, no[i].n);
        seconds(60);
        ok(most_seen == 0, "none when %s", no[i].what);
    }
    start(2000, 0, UINT64_MAX, UINT64_MAX);
    in.rss = MB(700), there = MB(400), most_seen = 0;
    for (int i = 0; i < 60; i++) {
        in.cpu_ns += S / 2;
        second();
    }
    is_u64(most_seen, 0, "none while the machine is busy");
    /* Half way the guest begins to give single pages. */
    start(2000, 0, UINT64_MAX, UINT64_MAX);
    in.rss = MB(700), there = MB(1000), most_seen = 0;
    active_until(MB(60));
    in.small += 3;
    is_u64(second(), 0, "single pages end a breath");
    active_until(MB(60));
    in.reads += 100 << 20;
    is_u64(second(), 0, "reading ends a breath");
    active_until(MB(60));
    in.short_mb = 10;
    is_u64(second(), MB(10), "and so does a shortage of the host, which is another matter");
    /* A guest all of whose memory is there: never more than an eighth of it at a time. */
    start(2000, 0, UINT64_MAX, UINT64_MAX);
    there = MB(1500), free_pages = MB(1500), most_seen = 0;
    seconds(40);
    ok(most_seen <= MB(250) && most_seen >= MB(200), "no more than an eighth when nothing is certain to be free (%llu MB)",
       (unsigned long long)most_seen / BP_MB_PAGES);
    /* Not much is certain to be free (500 MB), but much more than that is: it goes on until it has it, and leaves 250 MB of what is certain. */
    start(2000, 0, UINT64_MAX, UINT64_MAX);
    in.rss = MB(1500), there = MB(1000), free_pages = MB(1500), most_seen = 0, least_unused = UINT64_MAX;
    seconds(60);
    ok(b.harvested >= MB(950) && in.have == 0, "a guest of 2000 MB, 500 of them never used, 1000 freed: %llu MB gained in %llu breaths",
       (unsigned long long)b.harvested / BP_MB_PAGES, (unsigned long long)b.breaths);
    ok(least_unused >= MB(250), "at every moment %llu MB were certain to be free", (unsigned long long)least_unused / BP_MB_PAGES);
    /* With hardly more than that certain, small steps, each of which leaves as much. */
    start(2000, 0, UINT64_MAX, UINT64_MAX);
    in.rss = MB(1740), there = MB(800), free_pages = MB(1060), most_seen = 0, least_unused = UINT64_MAX;
    seconds(120);
    ok(b.harvested >= MB(750) && least_unused >= MB(250), "260 MB certain: %llu MB gained, %llu MB always certain", (unsigned long long)b.harvested / BP_MB_PAGES,
       (unsigned long long)least_unused / BP_MB_PAGES);
    /* Between the steps: a program begins to use 200 MB of what is certain. */
    start(2000, 0, UINT64_MAX, UINT64_MAX);
    in.rss = MB(1500), there = MB(1000), free_pages = MB(1500), most_seen = 0;
    active_until(MB(72));
    in.have -= MB(20), in.rss += MB(20); /* the driver is still at it */
    uint64_t pace;
    ok(balloon_policy_watched(&b, in.have, in.now), "a breath is watched");
    in.unused = b.l.all - in.rss - in.have;
    is_u64(balloon_policy_watch(&b, &in, &pace), MB(72), "nothing has happened");
    is_u64(pace, UINT64_MAX, "and the guest runs as it likes");
    in.rss += MB(200), in.unused -= MB(200);
    is_u64(balloon_policy_watch(&b, &in, &pace), 0, "it needs memory: the balloon is let go at once");
    ok(pace > MB(100) && pace < in.unused, "until it is gone it may use %llu MB a second of %llu", (unsigned long long)pace / BP_MB_PAGES,
       (unsigned long long)in.unused / BP_MB_PAGES);
    in.now += S;
    ok(balloon_policy_watched(&b, in.have, in.now) && !balloon_policy_watched(&b, 0, in.now), "and no longer than that");
    ok(!balloon_policy_watched(&b, in.have, in.now + 10 * S), "a driver that has gone is not waited for");
    /* The rate. */
    start(2000, 0, UINT64_MAX, UINT64_MAX);
    in.rss = MB(700), there = MB(600), in.rate = 256;
    for (int i = 0; i < 120; i++) {
        in.cpu_ns += S / 5;
        second();
    }
    ok(b.harvested <= 120 * 256, "MemTrimRate holds for it, too: %llu pages in 120 s at 256 a second", (unsigned long long)b.harvested);
    return TAP_DONE();
}
