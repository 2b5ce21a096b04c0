/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gdb's remote serial protocol (gdb's manual, appendix E). Threads are vCPUs, 1 to n. The guest stands still ("stopped") from the moment gdb
 * connects until it says c or s, and when a vCPU meets a breakpoint; then all vCPUs are parked and guest time stands still (vm_pause).
 *
 *      listening --connect--> stopped --c, s, vCont--> running --breakpoint, step done, ^C--> stopped --detach, hang-up--> listening
 *
 * Breakpoints are the engine's: guest memory and the guest's debug registers are not touched, so software and hardware ones are the same thing.
 * Under hardware virtualization there are four.
 * What a client sends is hostile: lengths are bounded, numbers parsed once, and an unknown packet gets the empty answer.
 */
#define _GNU_SOURCE
#include "gdbstub.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "core/vm.h"
#include "cpu/cpustate.h"
#include "gdbregs.h"

#define PACKET_MAX 16384
#define MEM_MAX 4096

struct gdbstub {
    struct vm *vm;
    bool is64, no_ack, running, swbreak;
    int listen_fd, fd;
    guint listen_id, fd_id;
    GByteArray *in;
    unsigned g_thread, c_thread; /* 1 ..; for registers and memory, for running */
    unsigned late;               /* a thread that met a watchpoint at the same time as the one that was told; 0: none */
    struct debug_point point[DEBUG_POINTS];
    unsigned n_points;
    struct cpu_state *state; /* scratch */
};

/* ---- output ---- */

static void put_raw(struct gdbstub *g, const char *s, size_t n)
{
    while (n && g->fd >= 0) {
        ssize_t k = send(g->fd, s, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return; /* the reader will see the hang-up */
        s += k;
        n -= (size_t)k;
    }
}

static void reply_n(struct gdbstub *g, const char *s, size_t n)
{
    GString *o = g_string_new("$");
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (c == '$' || c == '#' || c == '}' || c == '*') {
            g_string_append_c(o, '}');
            sum += '}';
            c ^= 0x20;
        }
        g_string_append_c(o, c);
        sum += (uint8_t)c;
    }
    g_string_append_printf(o, "#%02x", sum & 0xff);
    put_raw(g, o->str, o->len);
    g_string_free(o, TRUE);
}
static void reply(struct gdbstub *g, const char *s) { reply_n(g, s, strlen(s)); }

static void hex_out(GString *o, const uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        g_string_append_printf(o, "%02x", b[i]);
}
/* Bytes from hex digits: how many of max there were. */
static size_t hex_in(const char *s, uint8_t *b, size_t max)
{
    size_t n = 0;
    for (; n < max && g_ascii_isxdigit(s[0]) && g_ascii_isxdigit(s[1]); s += 2)
        b[n++] = (uint8_t)(g_ascii_xdigit_value(s[0]) << 4 | g_ascii_xdigit_value(s[1]));
    return n;
}

/* ---- the machine ---- */

static unsigned n_threads(const struct gdbstub *g) { return vm_vcpu_count(g->vm); }
static struct vcpu *thread(const struct gdbstub *g, unsigned t) { return vm_vcpu(g->vm, t - 1); }

/* Asked each time: a machine can change its engine. */
static const struct cpu_backend *backend(const struct gdbstub *g) { return vm_backend(g->vm); }

static void stop(struct gdbstub *g)
{
    struct err e;
    g->running = false;
    if (vm_pause(g->vm, &e))
        log_msg(LOG_WARN, "gdb", "%s", e.msg);
    for (unsigned i = 1; i <= n_threads(g); i++)
        backend(g)->debug_resume(thread(g, i), DEBUG_RUN);
}

static void tell(struct gdbstub *g, unsigned vcpu);

static void go(struct gdbstub *g)
{
    struct err e;
    if (g->late && g->fd >= 0) {
        unsigned t = g->late;
        g->late = 0;
        tell(g, t - 1);
        return;
    }
    g->running = true;
    if (g->n_points)
        backend(g)->debug_points(g->vm, g->point, g->n_points); /* the engine may be another one than before */
    if (vm_run(g->vm, &e))
        log_msg(LOG_WARN, "gdb", "%s", e.msg);
}

static void stop_reply(struct gdbstub *g, unsigned signal_no, unsigned t, const char *why)
{
    char b[128];
    g->g_thread = g->c_thread = t;
    g_snprintf(b, sizeof b, "T%02x%sthread:%x;", signal_no, why, t);
    reply(g, b);
}

void gdbstub_hit(struct gdbstub *g, unsigned vcpu)
{
    if (!g || vcpu >= n_threads(g))
        return;
    if (g->fd < 0) { /* gdb has gone meanwhile */
        go(g);
        return;
    }
    const struct vcpu *v = thread(g, vcpu + 1);
    if (!g->running) { /* a breakpoint is met again, an access is not */
        if (v->debug_why == DEBUG_WRITE || v->debug_why == DEBUG_ACCESS)
            g->late = vcpu + 1;
        return;
    }
    tell(g, vcpu);
}

static void tell(struct gdbstub *g, unsigned vcpu)
{
    const struct vcpu *v = thread(g, vcpu + 1);
    char why[64] = "";
    if (v->debug_why == DEBUG_EXEC && g->swbreak)
        g_strlcpy(why, "swbreak:;", sizeof why);
    else if (v->debug_why == DEBUG_WRITE || v->debug_why == DEBUG_ACCESS)
        g_snprintf(why, sizeof why, "%s:%llx;", v->debug_why == DEBUG_WRITE ? "watch" : "awatch", (unsigned long long)v->debug_lin);
    stop(g);
    stop_reply(g, 5, vcpu + 1, why);
}

static void get_state(struct gdbstub *g, unsigned t) { backend(g)->get(thread(g, t), g->state, CPU_ALL); }

/* ---- packets ---- */

static void read_regs(struct gdbstub *g)
{
    GString *o = g_string_new(NULL);
    uint8_t b[16];
    get_state(g, g->g_thread);
    for (unsigned i = 0; i < gdbregs_count(g->is64); i++) {
        gdbregs_get(g->state, g->is64, i, b);
        hex_out(o, b, gdbregs_size(g->is64, i));
    }
    reply(g, o->str);
    g_string_free(o, TRUE);
}

static void set_state(struct gdbstub *g)
{
    struct err e = {0};
    reply(g, backend(g)->set(thread(g, g->g_thread), g->state, CPU_ALL, &e) ? "E16" : "OK");
}

static void write_regs(struct gdbstub *g, const char *p)
{
    uint8_t b[16];
    get_state(g, g->g_thread);
    for (unsigned i = 0; i < gdbregs_count(g->is64); i++) {
        unsigned n = gdbregs_size(g->is64, i);
        if (hex_in(p, b, n) != n)
            break;
        gdbregs_set(g->state, g->is64, i, b);
        p += 2 * n;
    }
    set_state(g);
}

static void one_reg(struct gdbstub *g, const char *p, bool write)
{
    char *end;
    unsigned long i = strtoul(p, &end, 16);
    unsigned n = i < 256 ? gdbregs_size(g->is64, (unsigned)i) : 0;
    uint8_t b[16];
    if (!n || (write && (*end != '=' || hex_in(end + 1, b, n) != n))) {
        reply(g, "E16");
        return;
    }
    get_state(g, g->g_thread);
    if (write) {
        gdbregs_set(g->state, g->is64, (unsigned)i, b);
        set_state(g);
        return;
    }
    gdbregs_get(g->state, g->is64, (unsigned)i, b);
    GString *o = g_string_new(NULL);
    hex_out(o, b, n);
    reply(g, o->str);
    g_string_free(o, TRUE);
}

static void memory(struct gdbstub *g, const char *p, bool write)
{
    char *end;
    uint8_t b[MEM_MAX];
    uint64_t at = g_ascii_strtoull(p, &end, 16), n = *end == ',' ? g_ascii_strtoull(end + 1, &end, 16) : 0;
    if (n > MEM_MAX)
        n = MEM_MAX;
    if (write) {
        vm_still_wait(g->vm);
        bool good = *end == ':' && hex_in(end + 1, b, n) == n && backend(g)->debug_mem(thread(g, g->g_thread), at, b, n, true) == n;
        reply(g, good ? "OK" : "E0e");
        return;
    }
    size_t k = backend(g)->debug_mem(thread(g, g->g_thread), at, b, n, false);
    if (!k && n) {
        reply(g, "E0e");
        return;
    }
    GString *o = g_string_new(NULL);
    hex_out(o, b, k);
    reply(g, o->str);
    g_string_free(o, TRUE);
}

/* Z0 software, Z1 hardware, Z2 write, Z3 read, Z4 access: type,address,kind. Reads alone cannot be told from writes on x86: Z3 is an access. */
static void breakpoint(struct gdbstub *g, const char *p, bool insert)
{
    char *end;
    unsigned type = (unsigned)(*p - '0');
    if (type > 4 || p[1] != ',') {
        reply(g, "");
        return;
    }
    uint64_t at = g_ascii_strtoull(p + 2, &end, 16), len = *end == ',' ? g_ascii_strtoull(end + 1, NULL, 16) : 1;
    struct debug_point d = {at, type < 2 ? 1 : (uint32_t)(len && len <= 4096 ? len : 1), type < 2 ? DEBUG_EXEC : type == 2 ? DEBUG_WRITE : DEBUG_ACCESS};
    unsigned i;
    for (i = 0; i < g->n_points; i++)
        if (g->point[i].lin == d.lin && g->point[i].kind == d.kind && g->point[i].len == d.len)
            break;
    if (insert && i == g->n_points) {
        if (g->n_points == DEBUG_POINTS) {
            reply(g, "E1c");
            return;
        }
        g->point[g->n_points++] = d;
    } else if (!insert && i < g->n_points) {
        g->point[i] = g->point[--g->n_points];
    }
    if (backend(g)->debug_points(g->vm, g->point, g->n_points) && insert) { /* VT has four */
        g->n_points--;
        backend(g)->debug_points(g->vm, g->point, g->n_points);
        reply(g, "E1c");
        return;
    }
    reply(g, "OK");
}

static bool parse_thread(const struct gdbstub *g, const char *p, unsigned *t)
{
    long v = strtol(p, NULL, 16);
    if (v == -1 || v == 0) {
        *t = 0;
        return true;
    }
    *t = (unsigned)v;
    return v > 0 && (unsigned long)v <= n_threads(g);
}

/* step: that thread makes one instruction, the others stand still; 0: all run. */
static void resume(struct gdbstub *g, unsigned step)
{
    for (unsigned i = 1; i <= n_threads(g); i++)
        backend(g)->debug_resume(thread(g, i), !step ? DEBUG_RUN : i == step ? DEBUG_ONE : DEBUG_HOLD);
    go(g);
}

/* vCont;action[:thread]...: the first action that names a thread, or none, counts for it. */
static void vcont(struct gdbstub *g, const char *p)
{
    unsigned n = n_threads(g);
    enum debug_resume how[64];
    for (unsigned i = 0; i < n && i < 64; i++)
        how[i] = DEBUG_HOLD;
    bool done[64] = {false};
    while (*p == ';') {
        char act = p[1];
        unsigned t = 0;
        const char *colon = p + 2;
        while (*colon && *colon != ':' && *colon != ';')
            colon++;
        if (*colon == ':' && !parse_thread(g, colon + 1, &t)) {
            reply(g, "E16");
            return;
        }
        for (unsigned i = 0; i < n && i < 64; i++)
            if (!done[i] && (!t || t == i + 1)) {
                how[i] = act == 's' || act == 'S' ? DEBUG_ONE : DEBUG_RUN;
                done[i] = true;
            }
        for (p = colon; *p && *p != ';';)
            p++;
    }
    for (unsigned i = 0; i < n && i < 64; i++)
        backend(g)->debug_resume(thread(g, i + 1), how[i]);
    go(g);
}

static void features(struct gdbstub *g, const char *p)
{
    char *end;
    uint64_t off = g_ascii_strtoull(p, &end, 16), len = *end == ',' ? g_ascii_strtoull(end + 1, NULL, 16) : 0;
    GString *x = gdbregs_xml(g->is64), *o = g_string_new(NULL);
    if (off > x->len)
        off = x->len;
    if (len > 4096)
        len = 4096;
    bool last = len >= x->len - off;
    g_string_append_c(o, last ? 'l' : 'm');
    g_string_append_len(o, x->str + off, (gssize)(last ? x->len - off : len));
    reply_n(g, o->str, o->len);
    g_string_free(x, TRUE);
    g_string_free(o, TRUE);
}

static void query(struct gdbstub *g, const char *p)
{
    char b[160];
    if (g_str_has_prefix(p, "qSupported")) {
        g->swbreak = strstr(p, "swbreak+") != NULL;
        g_snprintf(b, sizeof b, "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+;swbreak+;hwbreak+", PACKET_MAX - 16);
        reply(g, b);
    } else if (g_str_has_prefix(p, "qXfer:features:read:target.xml:")) {
        features(g, p + strlen("qXfer:features:read:target.xml:"));
    } else if (!strcmp(p, "qAttached")) {
        reply(g, "1");
    } else if (!strcmp(p, "qC")) {
        g_snprintf(b, sizeof b, "QC%x", g->g_thread);
        reply(g, b);
    } else if (!strcmp(p, "qfThreadInfo")) {
        GString *o = g_string_new("m");
        for (unsigned i = 1; i <= n_threads(g); i++)
            g_string_append_printf(o, "%s%x", i > 1 ? "," : "", i);
        reply(g, o->str);
        g_string_free(o, TRUE);
    } else if (!strcmp(p, "qsThreadInfo")) {
        reply(g, "l");
    } else if (g_str_has_prefix(p, "qThreadExtraInfo,")) {
        unsigned t;
        if (!parse_thread(g, p + strlen("qThreadExtraInfo,"), &t) || !t)
            t = 1;
        get_state(g, t);
        static const char *const runs[] = {"running", "halted", "waits for start-up", "shut down"};
        g_snprintf(b, sizeof b, "vCPU %u, CPL %u, %s", t - 1, SEG_DPL(g->state->seg[S_SS].attr), runs[g->state->run_state & 3]);
        GString *o = g_string_new(NULL);
        hex_out(o, (const uint8_t *)b, strlen(b));
        reply(g, o->str);
        g_string_free(o, TRUE);
    } else {
        reply(g, "");
    }
}

static void hang_up(struct gdbstub *g);

static void packet(struct gdbstub *g, const char *p)
{
    unsigned t;
    switch (*p) {
    case '?': stop_reply(g, 5, g->g_thread, ""); break;
    case 'g': read_regs(g); break;
    case 'G': write_regs(g, p + 1); break;
    case 'p':
    case 'P': one_reg(g, p + 1, *p == 'P'); break;
    case 'm':
    case 'M': memory(g, p + 1, *p == 'M'); break;
    case 'Z':
    case 'z': breakpoint(g, p + 1, *p == 'Z'); break;
    case 'c': resume(g, 0); break;
    case 's': resume(g, g->c_thread); break;
    case 'H':
        if (!parse_thread(g, p[1] ? p + 2 : p + 1, &t)) {
            reply(g, "E16");
            break;
        }
        if (t)
            *(p[1] == 'c' ? &g->c_thread : &g->g_thread) = t;
        reply(g, "OK");
        break;
    case 'T': reply(g, parse_thread(g, p + 1, &t) && t ? "OK" : "E16"); break;
    case 'q': query(g, p); break;
    case 'Q':
        reply(g, strcmp(p, "QStartNoAckMode") ? "" : "OK");
        g->no_ack |= !strcmp(p, "QStartNoAckMode");
        break;
    case 'v':
        if (!strcmp(p, "vCont?"))
            reply(g, "vCont;c;C;s;S");
        else if (g_str_has_prefix(p, "vCont;"))
            vcont(g, p + 5);
        else
            reply(g, "");
        break;
    case 'D':
        reply(g, "OK");
        hang_up(g);
        break;
    case 'k': hang_up(g); break; /* gdb's "kill" lets go: a machine is powered off by its user */
    default: reply(g, ""); break;
    }
}

/* ---- the connection ---- */

static void hang_up(struct gdbstub *g)
{
    if (g->fd < 0)
        return;
    if (g->fd_id)
        g_source_remove(g->fd_id);
    g->fd_id = 0;
    close(g->fd);
    g->fd = -1;
    log_msg(LOG_INFO, "gdb", "gdb has gone");
    if (g->running)
        stop(g);
    g->n_points = g->late = 0;
    backend(g)->debug_points(g->vm, NULL, 0);
    go(g);
}

/* Takes whole packets out of g->in. */
static void take(struct gdbstub *g)
{
    while (g->in->len && g->fd >= 0) {
        const char *b = (const char *)g->in->data;
        if (*b == 3) {
            g_byte_array_remove_index(g->in, 0);
            if (g->running) {
                stop(g);
                stop_reply(g, 2, g->g_thread, "");
            }
            continue;
        }
        if (*b != '$') {
            g_byte_array_remove_index(g->in, 0);
            continue;
        }
        const char *hash = memchr(b, '#', g->in->len);
        if (!hash || hash + 2 >= b + g->in->len) {
            if (g->in->len > PACKET_MAX)
                hang_up(g);
            return;
        }
        size_t n = (size_t)(hash - b) - 1;
        char *p = g_strndup(b + 1, n);
        unsigned sum = 0, want = (unsigned)(g_ascii_xdigit_value(hash[1]) << 4 | g_ascii_xdigit_value(hash[2])) & 0xff;
        for (size_t i = 0; i < n; i++)
            sum += (uint8_t)p[i];
        g_byte_array_remove_range(g->in, 0, (guint)n + 4);
        if (!g->no_ack)
            put_raw(g, (sum & 0xff) == want ? "+" : "-", 1);
        if ((sum & 0xff) == want || g->no_ack) {
            if (g->running) /* asked something while the guest runs: it stands still first */
                stop(g);
            packet(g, p);
        }
        g_free(p);
    }
}

static gboolean readable(gint fd, GIOCondition c, gpointer u)
{
    struct gdbstub *g = u;
    uint8_t b[4096];
    (void)c;
    ssize_t n = recv(fd, b, sizeof b, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (n <= 0) {
        g->fd_id = 0;
        hang_up(g);
        return G_SOURCE_REMOVE;
    }
    g_byte_array_append(g->in, b, (guint)n);
    take(g);
    return g->fd == fd ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static gboolean accept_one(gint fd, GIOCondition c, gpointer u)
{
    struct gdbstub *g = u;
    (void)c;
    int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC), one = 1;
    if (s < 0)
        return G_SOURCE_CONTINUE;
    if (g->fd >= 0) { /* one at a time */
        close(s);
        return G_SOURCE_CONTINUE;
    }
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    g->fd = s;
    g->no_ack = g->swbreak = false;
    g->g_thread = g->c_thread = 1;
    g_byte_array_set_size(g->in, 0);
    log_msg(LOG_INFO, "gdb", "gdb is connected; the guest stands still");
    stop(g);
    g->fd_id = g_unix_fd_add(s, G_IO_IN | G_IO_HUP | G_IO_ERR, readable, g);
    return G_SOURCE_CONTINUE;
}

struct gdbstub *gdbstub_start(const struct gdbstub_params *p, struct err *e)
{
    const struct cpu_backend *be = vm_backend(p->vm);
    if (!be->debug_points || !be->debug_resume || !be->debug_mem) {
        err_set(e, ERR_UNSUPPORTED, 0, "this engine has no gdb server; set monitor.virtual_exec to software");
        return NULL;
    }
    struct gdbstub *g = g_new0(struct gdbstub, 1);
    g->vm = p->vm;
    g->is64 = p->is64;
    g->fd = -1;
    g->running = true;
    g->in = g_byte_array_new();
    g->state = aligned_alloc(64, (sizeof *g->state + 63) & ~(size_t)63);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)p->port), .sin_addr.s_addr = htonl(p->remote ? INADDR_ANY : INADDR_LOOPBACK)};
    int one = 1;
    g->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (g->listen_fd >= 0)
        setsockopt(g->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (!g->state || g->listen_fd < 0 || bind(g->listen_fd, (struct sockaddr *)&a, sizeof a) || listen(g->listen_fd, 1)) {
        err_set(e, ERR_BUSY, errno, "the gdb server cannot listen at port %u: %s; choose another debugStub.port", p->port, strerror(errno));
        gdbstub_stop(g);
        return NULL;
    }
    g->listen_id = g_unix_fd_add(g->listen_fd, G_IO_IN, accept_one, g);
    if (p->hold)
        for (unsigned i = 1; i <= n_threads(g); i++)
            be->debug_resume(thread(g, i), DEBUG_HOLD);
    log_msg(LOG_INFO, "gdb", "gdb server at port %u (%s)%s", p->port, p->remote ? "all hosts" : "this host only", p->hold ? "; the guest waits for it" : "");
    return g;
}

void gdbstub_stop(struct gdbstub *g)
{
    if (!g)
        return;
    if (g->fd_id)
        g_source_remove(g->fd_id);
    if (g->listen_id)
        g_source_remove(g->listen_id);
    if (g->fd >= 0)
        close(g->fd);
    if (g->listen_fd >= 0)
        close(g->listen_fd);
    g_byte_array_free(g->in, TRUE);
    free(g->state);
    g_free(g);
}
