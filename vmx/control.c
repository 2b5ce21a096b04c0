/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control API server: GDBus peer to peer on $XDG_RUNTIME_DIR/lodge/vm-<hash of the .vmx path>.sock. Only the owner's uid gets in (EXTERNAL
 * authentication). Every connection gets the same object; screen signals go only to connections that opened the screen, and wait for its
 * ScreenDone, so that a slow client costs nothing but its own frames (screen_feed.c).
 */
#define _GNU_SOURCE
#include "control.h"

#include <errno.h>
#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <gio/gunixsocketaddress.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lodge-vm1.h"
#include "api/address.h"
#include "base/log.h"
#include "busface.h"
#include "config.h"
#include "control_net.h"
#include "core/vm.h"
#include "file/filelock.h"
#include "input/input.h"
#include "keys.h"
#include "machine.h"
#include "plan.h"
#include "power.h"
#include "screen_feed.h"

#define OBJECT_PATH "/org/lodge/Vm1"
#define BUS_NAME "org.lodge.Vm1" /* for tools that want a destination */
enum { TYPE_MS = 12, TYPE_MAX = 65536, DEFAULT_CONNECTIONS = 32 };

struct control {
    struct power *power;
    GDBusServer *server;
    LodgeVm1 *skel;
    GSList *connections;
    char *socket_path, *address;
    struct screen_feed *feed;
    /* TypeText in progress: characters still to type; the shift state is part of each press. */
    GQueue typing; /* of struct typing */
    guint type_timer;
    bool quit;
};

struct typing {
    GDBusMethodInvocation *inv;
    GArray *events; /* struct input_event, one a tick */
    guint pos;
};

/* ---- address ---- */

char *control_address_for(const char *vmx_path) { return lodge_vm_address(vmx_path); }

const char *control_address(const struct control *c) { return c->address; }

/* The folder must be ours alone: in /tmp somebody else may have made it first. */
static int make_dir(const char *path, struct err *e)
{
    char *dir = g_path_get_dirname(path);
    struct stat st;
    int rc = 0;
    if (mkdir(dir, 0700) && errno != EEXIST)
        rc = err_set(e, ERR_IO, errno, "the folder %s for the control socket cannot be made: %s; set XDG_RUNTIME_DIR", dir, strerror(errno));
    else if (lstat(dir, &st) || !S_ISDIR(st.st_mode) || st.st_uid != getuid() || (st.st_mode & 077))
        rc = err_set(e, ERR_DENIED, 0, "the folder %s for the control socket is not yours alone; remove it, or set XDG_RUNTIME_DIR", dir);
    g_free(dir);
    return rc;
}

/* Is somebody listening there? Gives the pid, 0 for nobody. */
static pid_t listener_at(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct ucred cr = {0};
    socklen_t n = sizeof cr;
    if (strlen(path) >= sizeof a.sun_path)
        return 0;
    strcpy(a.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return 0;
    bool up = !connect(fd, (struct sockaddr *)&a, sizeof a) || errno == EAGAIN;
    if (up && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cr, &n))
        cr.pid = 1;
    close(fd);
    return up ? cr.pid : 0;
}

/* ---- helpers of the methods ---- */

static const char *error_name(enum err_kind k)
{
    switch (k) {
    case ERR_BUSY:
        return "org.lodge.Error.Busy";
    case ERR_CONFIG:
    case ERR_FORMAT:
        return "org.lodge.Error.Config";
    case ERR_UNSUPPORTED:
        return "org.lodge.Error.Unsupported";
    case ERR_DENIED:
        return "org.lodge.Error.Denied";
    case ERR_NOMEM:
        return "org.lodge.Error.NoMemory";
    case ERR_IO:
        return "org.lodge.Error.Io";
    default:
        return "org.lodge.Error.Failed";
    }
}

static gboolean fail(GDBusMethodInvocation *inv, const struct err *e)
{
    char *text = g_utf8_make_valid(e->msg, -1);
    g_dbus_method_invocation_return_dbus_error(inv, error_name(e->kind), text);
    g_free(text);
    return TRUE;
}

static gboolean answer(GDBusMethodInvocation *inv, int rc, const struct err *e)
{
    if (rc)
        return fail(inv, e);
    g_dbus_method_invocation_return_value(inv, NULL);
    return TRUE;
}

gboolean control_answer(GDBusMethodInvocation *inv, int rc, const struct err *e) { return answer(inv, rc, e); }

static struct machine *running(struct control *c, GDBusMethodInvocation *inv)
{
    struct machine *m = power_machine(c->power);
    if (!m)
        g_dbus_method_invocation_return_dbus_error(inv, "org.lodge.Error.Off", "the machine is off");
    return m;
}

/* What each connection holds down, so that a client that dies leaves nothing pressed. */
enum { HELD_MAX = 64 };
struct held {
    struct input_event ev[HELD_MAX];
    int n;
};

static void note_held(GDBusConnection *conn, const struct input_event *ev)
{
    struct held *h = g_object_get_data(G_OBJECT(conn), "lodge-held");
    if (ev->type != IN_KEY && ev->type != IN_BUTTON)
        return;
    if (!h)
        g_object_set_data_full(G_OBJECT(conn), "lodge-held", h = g_new0(struct held, 1), g_free);
    for (int i = 0; i < h->n; i++)
        if (h->ev[i].type == ev->type && h->ev[i].code == ev->code)
            h->ev[i--] = h->ev[--h->n];
    if (ev->x && h->n < HELD_MAX)
        h->ev[h->n++] = *ev;
}

static void release_held(struct control *c, GDBusConnection *conn)
{
    struct held *h = g_object_get_data(G_OBJECT(conn), "lodge-held");
    struct machine *m = power_machine(c->power);
    for (int i = 0; h && m && i < h->n; i++)
        input_post(machine_input(m), &(struct input_event){.type = h->ev[i].type, .code = h->ev[i].code}, 1);
    if (h)
        h->n = 0;
}

static void post_input(struct control *c, GDBusMethodInvocation *inv, struct input_event ev)
{
    struct machine *m = running(c, inv);
    if (!m)
        return;
    note_held(g_dbus_method_invocation_get_connection(inv), &ev);
    input_post(machine_input(m), &ev, 1);
    g_dbus_method_invocation_return_value(inv, NULL);
}

/* ---- power ---- */

#define HANDLER(name, ...) static gboolean on_##name(LodgeVm1 *skel, GDBusMethodInvocation *inv, ##__VA_ARGS__)
#define C struct control *c = u; (void)skel

HANDLER(power_on, gpointer u)
{
    C;
    struct err e;
    return answer(inv, power_on(c->power, &e), &e);
}
HANDLER(power_off, gpointer u)
{
    C;
    struct err e;
    int rc = power_off(c->power, REASON_USER, &e);
    answer(inv, rc, &e);
    g_dbus_connection_flush_sync(g_dbus_method_invocation_get_connection(inv), NULL, NULL);
    return TRUE;
}
HANDLER(quit, gpointer u)
{
    C;
    (void)c;
    g_dbus_method_invocation_return_value(g_object_ref(inv), NULL);
    g_dbus_connection_flush_sync(g_dbus_method_invocation_get_connection(inv), NULL, NULL);
    g_object_unref(inv);
    kill(getpid(), SIGTERM); /* the same way out as for a signal */
    return TRUE;
}
HANDLER(reset, gpointer u)
{
    C;
    struct err e;
    return answer(inv, power_reset(c->power, &e), &e);
}
HANDLER(switch_engine, const char *engine, gpointer u)
{
    C;
    struct err e;
    int rc = power_switch_engine(c->power, engine, &e);
    struct machine *m = power_machine(c->power);
    lodge_vm1_set_engine(c->skel, m ? machine_engine(m) : "");
    return answer(inv, rc, &e);
}
HANDLER(pause, gpointer u)
{
    C;
    struct err e;
    return answer(inv, power_pause(c->power, &e), &e);
}
HANDLER(resume, gpointer u)
{
    C;
    struct err e;
    return answer(inv, power_resume(c->power, &e), &e);
}
HANDLER(soft_off, guint timeout, gboolean hard, gpointer u)
{
    C;
    struct err e;
    return answer(inv, power_soft_off(c->power, timeout, hard, &e), &e);
}

/* ---- input ---- */

HANDLER(key, guint usage, gboolean down, gpointer u)
{
    C;
    post_input(c, inv, (struct input_event){.type = IN_KEY, .code = (uint16_t)(usage > 0xFFFF ? 0 : usage), .x = down});
    return TRUE;
}
HANDLER(pointer_move, gint dx, gint dy, gpointer u)
{
    C;
    post_input(c, inv, (struct input_event){.type = IN_REL, .x = CLAMP(dx, -32768, 32767), .y = CLAMP(dy, -32768, 32767)});
    return TRUE;
}
HANDLER(pointer_to, guint x, guint y, gpointer u)
{
    C;
    post_input(c, inv, (struct input_event){.type = IN_ABS, .x = (int32_t)MIN(x, 65535u), .y = (int32_t)MIN(y, 65535u)});
    return TRUE;
}
HANDLER(pointer_button, guint button, gboolean down, gpointer u)
{
    C;
    if (button > 4) {
        g_dbus_method_invocation_return_dbus_error(inv, "org.lodge.Error.Config", "buttons are 0 left, 1 right, 2 middle, 3 side, 4 extra");
        return TRUE;
    }
    post_input(c, inv, (struct input_event){.type = IN_BUTTON, .code = (uint16_t)button, .x = down});
    return TRUE;
}
HANDLER(pointer_wheel, gint clicks, gpointer u)
{
    C;
    post_input(c, inv, (struct input_event){.type = IN_WHEEL, .y = CLAMP(clicks, -100, 100)});
    return TRUE;
}
HANDLER(pointer_is_absolute, gpointer u)
{
    C;
    struct machine *m = running(c, inv);
    if (m)
        lodge_vm1_complete_pointer_is_absolute(skel, inv, input_wants_absolute(machine_input(m)));
    return TRUE;
}
HANDLER(release_keys, gpointer u)
{
    C;
    struct machine *m = running(c, inv);
    if (m) {
        input_release_all(machine_input(m));
        g_dbus_method_invocation_return_value(inv, NULL);
    }
    return TRUE;
}

/* Typing: one event a tick, so that the guest's keyboard buffer never overflows. */
static void end_typing(struct typing *t, bool done)
{
    if (done)
        g_dbus_method_invocation_return_value(t->inv, NULL);
    else
        g_dbus_method_invocation_return_dbus_error(t->inv, "org.lodge.Error.Off", "the machine went off while typing");
    g_array_free(t->events, TRUE);
    g_free(t);
}

static gboolean type_tick(gpointer u)
{
    struct control *c = u;
    struct typing *t = g_queue_peek_head(&c->typing);
    struct machine *m = power_machine(c->power);
    if (t && m && t->pos < t->events->len)
        input_post(machine_input(m), &g_array_index(t->events, struct input_event, t->pos++), 1);
    if (t && (!m || t->pos >= t->events->len))
        end_typing(g_queue_pop_head(&c->typing), m != NULL);
    if (!g_queue_is_empty(&c->typing))
        return G_SOURCE_CONTINUE;
    c->type_timer = 0;
    return G_SOURCE_REMOVE;
}

static void add_key(GArray *a, uint16_t usage, bool down)
{
    struct input_event ev = {.type = IN_KEY, .code = usage, .x = down};
    g_array_append_val(a, ev);
}

static gboolean start_typing(struct control *c, GDBusMethodInvocation *inv, GArray *events)
{
    struct typing *t = g_new0(struct typing, 1);
    t->inv = inv;
    t->events = events;
    g_queue_push_tail(&c->typing, t);
    if (!c->type_timer)
        c->type_timer = g_timeout_add(TYPE_MS, type_tick, c);
    return TRUE;
}

HANDLER(type_text, const gchar *text, gpointer u)
{
    C;
    if (!running(c, inv))
        return TRUE;
    GArray *a = g_array_new(FALSE, FALSE, sizeof(struct input_event));
    if (strlen(text) > TYPE_MAX) {
        g_array_free(a, TRUE);
        g_dbus_method_invocation_return_dbus_error(inv, "org.lodge.Error.Config", "at most 65536 characters at a time");
        return TRUE;
    }
    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        bool shift;
        gunichar ch = g_utf8_get_char(p);
        uint16_t k = key_by_char(ch, &shift);
        if (!k) {
            char *msg = g_strdup_printf("the character U+%04X is not on a US keyboard", ch);
            g_dbus_method_invocation_return_dbus_error(inv, "org.lodge.Error.Config", msg);
            g_free(msg);
            g_array_free(a, TRUE);
            return TRUE;
        }
        if (shift)
            add_key(a, KEY_LEFT_SHIFT, true);
        add_key(a, k, true);
        add_key(a, k, false);
        if (shift)
            add_key(a, KEY_LEFT_SHIFT, false);
    }
    return start_typing(c, inv, a);
}

HANDLER(press_keys, const gchar *const *names, gpointer u)
{
    C;
    if (!running(c, inv))
        return TRUE;
    GArray *a = g_array_new(FALSE, FALSE, sizeof(struct input_event));
    guint n = 0;
    for (; names[n] && n < 16; n++) {
        uint16_t k = key_by_name(names[n]);
        if (!k) {
            char *msg = g_strdup_printf("there is no key \"%s\"; docs/control-api.md lists them", names[n]);
            g_dbus_method_invocation_return_dbus_error(inv, "org.lodge.Error.Config", msg);
            g_free(msg);
            g_array_free(a, TRUE);
            return TRUE;
        }
        add_key(a, k, true);
    }
    while (n--)
        add_key(a, key_by_name(names[n]), false);
    return start_typing(c, inv, a);
}

/* ---- screen ---- */

HANDLER(screenshot, gpointer u)
{
    C;
    struct machine *m = running(c, inv);
    uint8_t *png = NULL;
    size_t n = 0;
    struct err e;
    if (!m)
        return TRUE;
    if (machine_screenshot(m, &png, &n, &e))
        return fail(inv, &e);
    GBytes *b = g_bytes_new_with_free_func(png, n, free, png);
    lodge_vm1_complete_screenshot(skel, inv, g_variant_new_from_bytes(G_VARIANT_TYPE("ay"), b, TRUE));
    g_bytes_unref(b);
    return TRUE;
}
static gboolean on_open_screen(LodgeVm1 *skel, GDBusMethodInvocation *inv, GUnixFDList *in, gpointer u)
{
    C;
    (void)in;
    struct machine *m = running(c, inv);
    struct screen_picture pic;
    struct err e;
    if (!m)
        return TRUE;
    if (screen_feed_open(c->feed, m, g_dbus_method_invocation_get_connection(inv), &pic, &e))
        return fail(inv, &e);
    GUnixFDList *fds = g_unix_fd_list_new_from_array(&pic.fd, 1);
    lodge_vm1_complete_open_screen(skel, inv, fds, g_variant_new_handle(0), pic.offset, pic.width, pic.height, pic.stride, pic.generation);
    g_object_unref(fds);
    screen_feed_opened(c->feed, g_dbus_method_invocation_get_connection(inv));
    return TRUE;
}
HANDLER(screen_done, guint serial, gpointer u)
{
    C;
    screen_feed_done(c->feed, g_dbus_method_invocation_get_connection(inv), serial);
    g_dbus_method_invocation_return_value(inv, NULL);
    return TRUE;
}
HANDLER(close_screen, gpointer u)
{
    C;
    screen_feed_close(c->feed, g_dbus_method_invocation_get_connection(inv));
    g_dbus_method_invocation_return_value(inv, NULL);
    return TRUE;
}

HANDLER(request_screen_size, guint width, guint height, gpointer u)
{
    C;
    struct machine *m = running(c, inv);
    if (m)
        lodge_vm1_complete_request_screen_size(skel, inv, machine_prefer_screen(m, width, height));
    return TRUE;
}

/* ---- devices, configuration, statistics ---- */

static void add_medium(void *u, const char *node, const char *path)
{
    g_variant_builder_add(u, "{s@s}", node, g_variant_new_take_string(g_utf8_make_valid(path ? path : "", -1)));
}

/* What lies in the CD drives now; clients hear of it when it is something else than before. */
static void tell_media(struct control *c, struct machine *m)
{
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE("a{ss}"));
    if (m)
        machine_media(m, add_medium, &b);
    lodge_vm1_set_media(c->skel, g_variant_builder_end(&b));
}

HANDLER(change_medium, const gchar *node, const gchar *path, gboolean force, gpointer u)
{
    C;
    struct machine *m = running(c, inv);
    struct err e;
    if (!m)
        return TRUE;
    char *full = *path ? plan_resolve(power_plan(c->power), path) : NULL;
    int rc = machine_change_medium(m, node, full, force, &e);
    free(full);
    tell_media(c, m);
    return answer(inv, rc, &e);
}

static GVariant *text_variant(const char *s)
{
    char *v = g_utf8_make_valid(s, -1);
    GVariant *g = g_variant_new_take_string(v);
    return g;
}

HANDLER(get_config, gpointer u)
{
    C;
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE("a{ss}"));
    const struct vmx_dict *d = power_config(c->power);
    struct err e;
    if (!d && power_check(c->power, &e) && !(d = power_config(c->power))) {
        g_variant_builder_clear(&b);
        return fail(inv, &e);
    }
    struct vmx_iter it = {0};
    struct vmx_entry en;
    for (d = power_config(c->power); vmx_dict_next(d, &it, &en);)
        if (!en.duplicate)
            g_variant_builder_add(&b, "{@s@s}", text_variant(en.name), text_variant(vmx_dict_get(d, en.name)));
    lodge_vm1_complete_get_config(skel, inv, g_variant_builder_end(&b));
    return TRUE;
}

static gboolean set_config(struct control *c, GDBusMethodInvocation *inv, const char *key, const char *value)
{
    struct err e;
    int rc = power_set_config(c->power, key, value, &e);
    if (!rc)
        lodge_vm1_set_name(c->skel, power_plan(c->power) ? power_plan(c->power)->name : vmx_get_str(power_config(c->power), "displayName"));
    return answer(inv, rc, &e);
}
HANDLER(set_config, const gchar *key, const gchar *value, gpointer u)
{
    C;
    return set_config(c, inv, key, value);
}
HANDLER(unset_config, const gchar *key, gpointer u)
{
    C;
    return set_config(c, inv, key, NULL);
}

static void collect_problem(void *u, enum vmx_severity s, unsigned line, const char *key, const char *text)
{
    static const char *const names[] = {"error", "warning", "note"};
    g_variant_builder_add(u, "(su@s@s)", names[s], line, text_variant(key), text_variant(text));
}
HANDLER(check_config, gpointer u)
{
    C;
    struct err e;
    struct vmx_dict *d = vmx_dict_load(power_vmx_path(c->power), &e);
    if (!d)
        return fail(inv, &e);
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE("a(suss)"));
    vmx_check(d, collect_problem, &b);
    struct plan p;
    plan_make(&p, d, power_vmx_path(c->power), collect_problem, &b);
    plan_free(&p);
    vmx_dict_free(d);
    lodge_vm1_complete_check_config(skel, inv, g_variant_builder_end(&b));
    return TRUE;
}

HANDLER(set_balloon, gint mb, gpointer u)
{
    C;
    struct machine *m = running(c, inv);
    struct err e;
    return m ? answer(inv, machine_set_balloon(m, mb, &e), &e) : TRUE;
}

static void collect_counter(void *u, const char *name, uint64_t value) { g_variant_builder_add(u, "{st}", name, value); }
HANDLER(get_statistics, gpointer u)
{
    C;
    struct machine *m = running(c, inv);
    if (!m)
        return TRUE;
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE("a{st}"));
    machine_statistics(m, collect_counter, &b);
    lodge_vm1_complete_get_statistics(skel, inv, g_variant_builder_end(&b));
    return TRUE;
}

/* ---- power and device events ---- */

static void power_changed(void *u, enum power_state s, enum power_reason r, const char *text)
{
    struct control *c = u;
    char *t = g_utf8_make_valid(text, -1);
    lodge_vm1_set_state(c->skel, power_state_name(s));
    char *f = g_utf8_make_valid(power_fault_text(c->power), -1);
    lodge_vm1_set_fault_text(c->skel, f);
    struct machine *m = s == POWER_ON || s == POWER_PAUSED ? power_machine(c->power) : NULL;
    char *notice = g_utf8_make_valid(m ? machine_notice(m) : "", -1);
    lodge_vm1_set_notice(c->skel, notice);
    if (s == POWER_OFF) {
        lodge_vm1_set_pointer_absolute(c->skel, FALSE);
        lodge_vm1_set_leds(c->skel, 0);
        lodge_vm1_set_engine(c->skel, "");
        lodge_vm1_set_vnc_address(c->skel, "");
        tell_media(c, NULL);
    }
    lodge_vm1_emit_state_changed(c->skel, power_state_name(s), power_reason_name(r), t);
    g_dbus_interface_skeleton_flush(G_DBUS_INTERFACE_SKELETON(c->skel));
    g_free(notice);
    g_free(f);
    g_free(t);
}

struct leds {
    struct control *c;
    unsigned leds;
};
static gboolean leds_main(gpointer u)
{
    struct leds *l = u;
    lodge_vm1_set_leds(l->c->skel, l->leds | 1u << 31);
    lodge_vm1_emit_leds_changed(l->c->skel, l->leds);
    return G_SOURCE_REMOVE;
}
static void leds_changed(void *u, unsigned leds) /* [dev] */
{
    struct leds l = {u, leds};
    g_idle_add_full(G_PRIORITY_DEFAULT, leds_main, g_memdup2(&l, sizeof l), g_free);
}

/* By way of main, which asks what holds by then. */
static gboolean absolute_main(gpointer u)
{
    struct control *c = u;
    struct machine *m = power_machine(c->power);
    lodge_vm1_set_pointer_absolute(c->skel, m && input_wants_absolute(machine_input(m)));
    return G_SOURCE_REMOVE;
}
static void absolute_changed(void *u, bool absolute) /* [dev] */
{
    (void)absolute;
    g_idle_add_full(G_PRIORITY_DEFAULT, absolute_main, u, NULL);
}

static void machine_started(void *u, struct machine *m)
{
    struct control *c = u;
    const struct plan *p = power_plan(c->power);
    char *name = g_utf8_make_valid(p->name, -1), *log = g_utf8_make_valid(p->log_path, -1), *vnc = NULL;
    lodge_vm1_set_name(c->skel, name);
    lodge_vm1_set_log_path(c->skel, log);
    lodge_vm1_set_engine(c->skel, machine_engine(m));
    if (machine_vnc_port(m)) {
        const char *ip = *p->vnc_ip && strcmp(p->vnc_ip, "0.0.0.0") ? p->vnc_ip : "127.0.0.1";
        vnc = strchr(ip, ':') ? g_strdup_printf("[%s]:%u", ip, machine_vnc_port(m)) : g_strdup_printf("%s:%u", ip, machine_vnc_port(m));
    }
    lodge_vm1_set_vnc_address(c->skel, vnc ? vnc : "");
    lodge_vm1_set_leds(c->skel, 0);
    tell_media(c, m);
    lodge_vm1_set_pointer_absolute(c->skel, input_wants_absolute(machine_input(m)));
    input_on_leds(machine_input(m), leds_changed, c);
    input_on_absolute(machine_input(m), absolute_changed, c);
    g_free(vnc);
    g_free(log);
    g_free(name);
}
static void machine_stopping(void *u, struct machine *m)
{
    struct control *c = u;
    screen_feed_machine_gone(c->feed, m);
}
static void tray_moved(void *u, const char *node, bool open)
{
    struct control *c = u;
    tell_media(c, power_machine(c->power));
    lodge_vm1_emit_tray_moved(c->skel, node, open);
}

/* ---- connections ---- */

static void on_closed(GDBusConnection *conn, gboolean remote, GError *error, gpointer u)
{
    struct control *c = u;
    (void)remote, (void)error;
    screen_feed_close(c->feed, conn);
    release_held(c, conn);
    if (g_slist_find(c->connections, conn)) {
        c->connections = g_slist_remove(c->connections, conn);
        g_dbus_interface_skeleton_unexport_from_connection(G_DBUS_INTERFACE_SKELETON(c->skel), conn);
        g_object_unref(conn);
    }
}

static gboolean on_connection(GDBusServer *server, GDBusConnection *conn, gpointer u)
{
    struct control *c = u;
    GError *ge = NULL;
    (void)server;
    if (g_slist_length(c->connections) >= DEFAULT_CONNECTIONS) {
        log_msg(LOG_WARN, "control", "more than %d clients; one is refused", DEFAULT_CONNECTIONS);
        return FALSE;
    }
    if (!g_dbus_interface_skeleton_export(G_DBUS_INTERFACE_SKELETON(c->skel), conn, OBJECT_PATH, &ge)) {
        log_msg(LOG_WARN, "control", "%s", ge->message);
        g_error_free(ge);
        return FALSE;
    }
    busface_export(conn, BUS_NAME);
    c->connections = g_slist_prepend(c->connections, g_object_ref(conn));
    g_signal_connect(conn, "closed", G_CALLBACK(on_closed), c);
    return TRUE;
}

static gboolean allow_mechanism(GDBusAuthObserver *o, const gchar *mechanism, gpointer u)
{
    (void)o, (void)u;
    return !strcmp(mechanism, "EXTERNAL");
}

static gboolean authorize(GDBusAuthObserver *o, GIOStream *s, GCredentials *cred, gpointer u)
{
    (void)o, (void)s, (void)u;
    return cred && g_credentials_get_unix_user(cred, NULL) == getuid();
}

struct control *control_start(struct power *p, struct err *e)
{
    char *path = lodge_vm_socket_path(power_vmx_path(p));
    GError *ge = NULL;
    if (make_dir(path, e)) {
        g_free(path);
        return NULL;
    }
    pid_t other = listener_at(path);
    if (other) {
        err_set(e, ERR_BUSY, 0, "The virtual machine %s is in use by process %ld", power_vmx_path(p), (long)other);
        g_free(path);
        return NULL;
    }
    unlink(path); /* of a process that died */
    struct control *c = g_new0(struct control, 1);
    c->power = p;
    c->socket_path = path;
    c->address = lodge_vm_address_of(path);
    g_queue_init(&c->typing);
    GDBusAuthObserver *obs = g_dbus_auth_observer_new();
    g_signal_connect(obs, "allow-mechanism", G_CALLBACK(allow_mechanism), NULL);
    g_signal_connect(obs, "authorize-authenticated-peer", G_CALLBACK(authorize), NULL);
    char *guid = g_dbus_generate_guid();
    mode_t mask = umask(077);
    c->server = g_dbus_server_new_sync(c->address, G_DBUS_SERVER_FLAGS_AUTHENTICATION_REQUIRE_SAME_USER, guid, obs, NULL, &ge);
    umask(mask);
    g_free(guid);
    g_object_unref(obs);
    if (!c->server) {
        err_set(e, ERR_IO, 0, "the control socket cannot be made: %s", ge->message);
        g_error_free(ge);
        g_free(c->address);
        g_free(c->socket_path);
        g_free(c);
        return NULL;
    }
    c->skel = lodge_vm1_skeleton_new();
    c->feed = screen_feed_new();
    char *vmx = g_utf8_make_valid(power_vmx_path(p), -1), *base = g_path_get_basename(vmx);
    lodge_vm1_set_state(c->skel, power_state_name(power_get_state(p)));
    lodge_vm1_set_name(c->skel, base);
    lodge_vm1_set_vmx_path(c->skel, vmx);
    lodge_vm1_set_pid(c->skel, (guint)getpid());
    lodge_vm1_set_version(c->skel, PACKAGE_VERSION);
    lodge_vm1_set_engine(c->skel, "");
    lodge_vm1_set_vnc_address(c->skel, "");
    lodge_vm1_set_fault_text(c->skel, "");
    lodge_vm1_set_notice(c->skel, "");
    lodge_vm1_set_log_path(c->skel, "");
    tell_media(c, NULL);
    g_free(base);
    g_free(vmx);
#define CONNECT(name) g_signal_connect(c->skel, "handle-" name, G_CALLBACK
    CONNECT("power-on")(on_power_on), c);
    CONNECT("power-off")(on_power_off), c);
    CONNECT("reset")(on_reset), c);
    CONNECT("pause")(on_pause), c);
    CONNECT("resume")(on_resume), c);
    CONNECT("switch-engine")(on_switch_engine), c);
    CONNECT("soft-off")(on_soft_off), c);
    CONNECT("quit")(on_quit), c);
    CONNECT("key")(on_key), c);
    CONNECT("press-keys")(on_press_keys), c);
    CONNECT("type-text")(on_type_text), c);
    CONNECT("release-keys")(on_release_keys), c);
    CONNECT("pointer-is-absolute")(on_pointer_is_absolute), c);
    CONNECT("pointer-move")(on_pointer_move), c);
    CONNECT("pointer-to")(on_pointer_to), c);
    CONNECT("pointer-button")(on_pointer_button), c);
    CONNECT("pointer-wheel")(on_pointer_wheel), c);
    CONNECT("screenshot")(on_screenshot), c);
    CONNECT("open-screen")(on_open_screen), c);
    CONNECT("screen-done")(on_screen_done), c);
    CONNECT("close-screen")(on_close_screen), c);
    CONNECT("request-screen-size")(on_request_screen_size), c);
    CONNECT("change-medium")(on_change_medium), c);
    CONNECT("get-config")(on_get_config), c);
    CONNECT("set-config")(on_set_config), c);
    CONNECT("unset-config")(on_unset_config), c);
    CONNECT("check-config")(on_check_config), c);
    CONNECT("set-balloon")(on_set_balloon), c);
    CONNECT("get-statistics")(on_get_statistics), c);
    control_net_start(c->skel, p);
    g_signal_connect(c->server, "new-connection", G_CALLBACK(on_connection), c);
    power_listen(p, &(struct power_listener){.changed = power_changed, .started = machine_started, .stopping = machine_stopping, .tray = tray_moved, .u = c});
    g_dbus_server_start(c->server);
    log_msg(LOG_INFO, "control", "Control API at %s", c->address);
    return c;
}

void control_stop(struct control *c)
{
    if (!c)
        return;
    power_unlisten(c->power, c);
    g_dbus_server_stop(c->server);
    for (struct typing *t; (t = g_queue_pop_head(&c->typing));)
        end_typing(t, false);
    if (c->type_timer)
        g_source_remove(c->type_timer);
    for (GSList *l = c->connections; l; l = l->next) {
        g_signal_handlers_disconnect_by_data(l->data, c);
        g_dbus_connection_flush_sync(l->data, NULL, NULL);
        g_dbus_connection_close_sync(l->data, NULL, NULL);
        g_object_unref(l->data);
    }
    g_slist_free(c->connections);
    c->connections = NULL;
    unlink(c->socket_path);
    g_object_unref(c->server);
    screen_feed_free(c->feed);
    g_object_unref(c->skel);
    g_free(c->address);
    g_free(c->socket_path);
    g_free(c);
}
