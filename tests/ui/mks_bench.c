/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the console costs: frames of a 1920 x 1080 guest that changes all of its picture 60 times a second, painted 1:1 and stretched; the time from a
 * key at the X server to the control API, and from a change of the guest's memory to the acknowledgement that it is painted.
 * mks_bench ADDRESS PID: the frames of a real machine (framebench.py).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/ui/fakeconsole.h"
#include "tests/ui/uitest.h"
#include "ui/mks/mks_view.h"

enum { W = 1920, H = 1080, SECONDS = 5, SAMPLES = 200, TICK_US = 1000000 / 60, AGAIN = 4 };
static struct fake *fake;

static double cpu(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)r.ru_utime.tv_sec + (double)r.ru_stime.tv_sec + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static int by_value(const void *a, const void *b) { return *(const gint64 *)a < *(const gint64 *)b ? -1 : 1; }

static int drawn;
static gboolean count(GtkWidget *w, cairo_t *cr, gpointer u)
{
    (void)w, (void)cr, (void)u;
    drawn++;
    return FALSE;
}

/* The guest: 60 frames a second by the clock, whatever the window does. */
static gpointer clock_us;
static gboolean frame(gpointer u)
{
    static unsigned n;
    gint64 *next = u;
    while (g_get_monotonic_time() >= *next) {
        /* The picture is new every time; filling it is the guest's work, so only a line is. */
        for (int x = 0; x < fake->width; x++)
            fake->pixels[(n % (unsigned)fake->height) * (unsigned)(fake->stride / 4) + (unsigned)x] = n * 77777;
        n++;
        *next += TICK_US;
        fake_frame(fake);
    }
    g_source_set_ready_time(clock_us, *next);
    return G_SOURCE_CONTINUE;
}

static gboolean dispatch(GSource *s, GSourceFunc f, gpointer u)
{
    (void)s;
    return f(u);
}

/* Of a process: seconds of processor time. */
static double cpu_of(const char *pid)
{
    char *path = g_strdup_printf("/proc/%s/stat", pid ? pid : "0"), *text = NULL;
    unsigned long u = 0, s = 0;
    if (g_file_get_contents(path, &text, NULL, NULL) && strrchr(text, ')'))
        sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &u, &s);
    g_free(path);
    g_free(text);
    return (double)(u + s) / (double)sysconf(_SC_CLK_TCK);
}

/*
 * Whether this computer itself keeps time: on each processor a thread that does nothing but sleep until the next sixtieth of a second. When one of
 * them is late by more than that, no program could have shown every frame (another machine has the processor, or another program), and the span
 * is measured again; each time it says so.
 */
struct sleeper {
    pthread_t thread;
    int processor;
    gint64 latest;
};
static atomic_bool sleeping;

static void *sleep_ticks(void *u)
{
    struct sleeper *s = u;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(s->processor, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    for (gint64 next = g_get_monotonic_time() + TICK_US, now; atomic_load(&sleeping); next = MAX(next + TICK_US, now)) {
        now = g_get_monotonic_time();
        if (next > now)
            g_usleep((gulong)(next - now));
        now = g_get_monotonic_time();
        s->latest = MAX(s->latest, now - next);
    }
    return NULL;
}

static gint64 stood_still(struct sleeper *s, int n, gboolean start)
{
    gint64 latest = 0;
    atomic_store(&sleeping, start);
    for (int i = 0; i < n; i++) {
        if (start) {
            s[i] = (struct sleeper){.processor = i};
            if (pthread_create(&s[i].thread, NULL, sleep_ticks, &s[i]))
                abort();
        } else {
            pthread_join(s[i].thread, NULL);
            latest = MAX(latest, s[i].latest);
        }
    }
    return latest;
}

static void report(const char *what, const char *machine)
{
    static struct sleeper sleepers[CPU_SETSIZE];
    int n = (int)MIN(sysconf(_SC_NPROCESSORS_ONLN), CPU_SETSIZE);
    gint64 latest;
    settle(500);
    const char *server = getenv("SERVER_PID");
    for (int i = 0; i <= AGAIN; i++) {
        int first = drawn;
        double c = cpu(), x = cpu_of(server), m = cpu_of(machine);
        gint64 t = g_get_monotonic_time();
        stood_still(sleepers, n, TRUE);
        settle(SECONDS * 1000);
        double s = (double)(g_get_monotonic_time() - t) / 1e6;
        printf("%-44s %5.1f frames/s  %5.1f %% of a core", what, (drawn - first) / s, (cpu() - c) / s * 100);
        if (server)
            printf(", the X server %.1f %%", (cpu_of(server) - x) / s * 100);
        if (machine)
            printf(", the machine %.1f %%", (cpu_of(machine) - m) / s * 100);
        latest = stood_still(sleepers, n, FALSE); /* waits for their next tick: not part of the span */
        if (latest <= TICK_US) {
            printf("\n");
            return;
        }
        printf("\n  (this computer stood still for %.0f ms meanwhile%s)\n", (double)latest / 1000, i < AGAIN ? "; again:" : "");
    }
}

static void frames(const char *what)
{
    static GSourceFuncs funcs = {.dispatch = dispatch};
    gint64 next = g_get_monotonic_time();
    clock_us = g_source_new(&funcs, sizeof(GSource));
    g_source_set_callback(clock_us, frame, &next, NULL);
    g_source_set_priority(clock_us, G_PRIORITY_HIGH);
    g_source_set_ready_time(clock_us, next);
    g_source_attach(clock_us, NULL);
    report(what, NULL);
    g_source_destroy(clock_us);
    g_source_unref(clock_us);
}

static void print_times(const char *what, gint64 *t, int n)
{
    qsort(t, (size_t)n, sizeof *t, by_value);
    printf("%-44s median %.2f ms  99 %% below %.2f ms\n", what, (double)t[n / 2] / 1000, (double)t[n * 99 / 100] / 1000);
}

int main(int argc, char **argv)
{
    static gint64 key[SAMPLES], paint[SAMPLES];
    gtk_init(&argc, &argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    fake = argc > 2 ? NULL : fake_new(W, H);
    LodgeMksSession *session = lodge_mks_session_new_vm(fake ? fake->address : argv[1]);
    GtkWidget *window = gtk_window_new(GTK_WINDOW_TOPLEVEL), *view = lodge_mks_view_new(session);
    lodge_mks_view_set_scaling(LODGE_MKS_VIEW(view), LODGE_MKS_ACTUAL);
    gtk_window_set_decorated(GTK_WINDOW(window), FALSE);
    gtk_window_set_default_size(GTK_WINDOW(window), W, H);
    gtk_container_add(GTK_CONTAINER(window), view);
    gtk_widget_show_all(window);
    gtk_window_move(GTK_WINDOW(window), 0, 0);
    lodge_mks_session_open(session);
    AWAIT(lodge_mks_session_get_state(session) == LODGE_MKS_RUNNING && gtk_widget_get_allocated_width(view) == W);
    gtk_widget_grab_focus(view);
    g_signal_connect(view, "draw", G_CALLBACK(count), NULL);
    if (!fake) {
        report("1920x1080, filled 60 times a second by a guest", argv[2]);
        gtk_widget_destroy(window);
        g_object_unref(session);
        return 0;
    }
    frames("1920x1080, 60 a second, actual pixels");
    lodge_mks_view_set_scaling(LODGE_MKS_VIEW(view), LODGE_MKS_STRETCH);
    gtk_window_resize(GTK_WINDOW(window), 1440, 810);
    frames("1920x1080, 60 a second, shrunk to 75 %");
    gtk_window_resize(GTK_WINDOW(window), W, H);
    fake_mode(fake, 1280, 720);
    frames("1280x720, 60 a second, enlarged to 150 %");
    g_object_set(view, "filter", LODGE_MKS_FILTER_NEAREST, NULL);
    frames("the same, nearest pixel");
    AWAIT(gtk_window_is_active(GTK_WINDOW(window)));
    int to = -1;
    char *argv2[] = {"xdotool", "-", NULL};
    if (!g_spawn_async_with_pipes(NULL, argv2, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &to, NULL, NULL, NULL))
        return 1;
    for (int i = 0; i < SAMPLES; i++) {
        int before = fake->presses;
        gint64 t = g_get_monotonic_time();
        if (write(to, "keydown a\n", 10) != 10 || !AWAIT(fake->presses > before))
            return 1;
        key[i] = fake->last_key_us - t;
        if (write(to, "keyup a\n", 8) != 8)
            return 1;
        settle(30);
    }
    close(to);
    print_times("key: xdotool to the control API", key, SAMPLES);
    for (int i = 0; i < SAMPLES; i++) {
        settle(7);
        gint64 t = g_get_monotonic_time();
        fake_damage(fake, 100, 100, 16, 16);
        AWAIT(fake->done == fake->serial);
        paint[i] = g_get_monotonic_time() - t;
    }
    print_times("a small change: guest memory to painted", paint, SAMPLES);
    double c = cpu();
    settle(3000);
    printf("%-44s %.2f %% of a core\n", "idle", (cpu() - c) / 3 * 100);
    gtk_widget_destroy(window);
    g_object_unref(session);
    settle(50);
    fake_free(fake);
    return 0;
}
