/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration to plan: defaults applied, names resolved, files looked at (never opened for writing). */
#define _GNU_SOURCE
#include "plan.h"

#include "hostmem.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net_plan.h"

/* Where distributions put SeaBIOS and its VGA BIOS for the VMware adapter. */
static const char *const bios_places[] = {"/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/bios-256k.bin", "/usr/share/seabios/bios.bin", NULL};
static const char *const vgabios_places[] = {"/usr/share/seabios/vgabios-vmware.bin", "/usr/share/qemu/vgabios-vmware.bin",
                                             "/usr/share/seavgabios/vgabios-vmware.bin", NULL};

struct making {
    struct plan *p;
    const struct vmx_dict *d;
    vmx_problem_fn fn;
    void *u;
    unsigned errors;
};

__attribute__((format(printf, 4, 5))) static void problem(struct making *m, enum vmx_severity s, const char *key, const char *fmt, ...)
{
    char text[700];
    va_list ap;
    va_start(ap, fmt);
    err_text(text, sizeof text, fmt, ap);
    va_end(ap);
    m->errors += s == VMX_ERROR;
    m->fn(m->u, s, vmx_line_of(m->d, key), key, text);
}

static char *dup_str(const char *s)
{
    char *c = strdup(s);
    if (!c)
        abort();
    return c;
}

__attribute__((format(printf, 1, 2))) static char *fmt_str(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        abort();
    va_end(ap);
    return s;
}

char *plan_resolve(const struct plan *p, const char *name)
{
    if (*name == '/')
        return dup_str(name);
    char *r = fmt_str("%s%s", p->dir, name);
    if (strchr(name, '\\') && access(r, F_OK))
        for (char *c = r + strlen(p->dir); *c; c++)
            if (*c == '\\')
                *c = '/';
    return r;
}

/* A file that must be there and readable. */
static bool readable(struct making *m, const char *key, const char *what, const char *path, const char *mend)
{
    struct stat st;
    if (stat(path, &st)) {
        if (errno == ENOENT || errno == ENOTDIR)
            problem(m, VMX_ERROR, key, "the %s %s does not exist; %s", what, path, mend);
        else
            problem(m, VMX_ERROR, key, "the %s %s cannot be used: %s; %s", what, path, strerror(errno),
                    errno == EACCES ? "check its permissions" : mend);
        return false;
    }
    if (S_ISDIR(st.st_mode)) {
        problem(m, VMX_ERROR, key, "%s is a directory, not a %s; name a file", path, what);
        return false;
    }
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        problem(m, VMX_ERROR, key, "%s is neither a file nor a block device, so it cannot be a %s; name a file", path, what);
        return false;
    }
    if (access(path, R_OK)) {
        problem(m, VMX_ERROR, key, "the %s %s may not be read by you; change its permissions", what, path);
        return false;
    }
    return true;
}

static char *find_firmware(struct making *m, const char *const *places, const char *what)
{
    for (; *places; places++)
        if (!access(*places, R_OK))
            return dup_str(*places);
    problem(m, VMX_ERROR, "bios440.filename", "no %s is installed; install the package \"seabios\" (Debian, Ubuntu; \"seabios-bin\" and "
            "\"seavgabios-bin\" on Fedora)", what);
    return NULL;
}

static void plan_firmware(struct making *m)
{
    const char *own = vmx_get_str(m->d, "bios440.filename");
    struct stat st;
    if (*own) {
        m->p->bios_path = plan_resolve(m->p, own);
        if (readable(m, "bios440.filename", "BIOS image", m->p->bios_path, "correct the name, or remove the line to use the installed SeaBIOS") &&
            !stat(m->p->bios_path, &st) && (st.st_size < 65536 || st.st_size > 16 << 20 || st.st_size % 65536))
            problem(m, VMX_ERROR, "bios440.filename", "%s has %lld bytes, which no BIOS image has; it must be a multiple of 64 KiB up to 16 MiB",
                    m->p->bios_path, (long long)st.st_size);
    } else {
        m->p->bios_path = find_firmware(m, bios_places, "BIOS (SeaBIOS)");
    }
    if (m->p->bios_path)
        m->p->vgabios_path = find_firmware(m, vgabios_places, "VGA BIOS");
}

static void plan_drive(struct making *m, int c, int u)
{
    struct plan_drive *dr = &m->p->drive[c][u];
    char key[64];
    if (!vmx_get_bool_f(m->d, "ide%d:%d.present", c, u))
        return;
    const char *type = vmx_get_str_f(m->d, "ide%d:%d.deviceType", c, u), *file = vmx_get_str_f(m->d, "ide%d:%d.fileName", c, u);
    snprintf(key, sizeof key, "ide%d:%d.fileName", c, u);
    bool connected = vmx_get_bool_f(m->d, "ide%d:%d.startConnected", c, u);
    if (!strcasecmp(type, "cdrom-image")) {
        dr->kind = DRIVE_CD;
        if (*file && connected) {
            dr->path = plan_resolve(m->p, file);
            char mend[120];
            snprintf(mend, sizeof mend, "correct the name, or set ide%d:%d.startConnected = \"FALSE\" to start with an empty drive", c, u);
            readable(m, key, "CD image", dr->path, mend);
        }
    } else if (!strcasecmp(type, "cdrom-raw") || !strcasecmp(type, "atapi-cdrom")) {
        dr->kind = DRIVE_CD;
        if (*file == '/' && connected) { /* a drive of the host, read like an image */
            dr->path = dup_str(file);
            if (access(file, R_OK)) {
                problem(m, VMX_WARNING, key, "the drive %s cannot be read, so the guest's drive is empty; put a CD in, or use deviceType cdrom-image", file);
                free(dr->path);
                dr->path = NULL;
            }
        }
    } else {
        const char *mode = vmx_get_str_f(m->d, "ide%d:%d.mode", c, u);
        dr->kind = DRIVE_DISK;
        if (!*file)
            return; /* vmx_check has said it */
        dr->path = plan_resolve(m->p, file);
        dr->nonpersistent = !strcasecmp(mode, "independent-nonpersistent");
        if (readable(m, key, "disk image", dr->path, "correct the name, or remove the drive") && !dr->nonpersistent && access(dr->path, W_OK))
            problem(m, VMX_ERROR, key, "the disk image %s may not be written by you; change its permissions, or set ide%d:%d.mode = "
                    "\"independent-nonpersistent\" to throw writes away", dr->path, c, u);
    }
}

static void plan_serial(struct making *m, int i)
{
    struct plan_serial *s = &m->p->serial[i];
    if (!vmx_get_bool_f(m->d, "serial%d.present", i))
        return;
    const char *type = vmx_get_str_f(m->d, "serial%d.fileType", i), *file = vmx_get_str_f(m->d, "serial%d.fileName", i);
    s->kind = SERIAL_UNCONNECTED;
    if (!vmx_get_bool_f(m->d, "serial%d.startConnected", i))
        return;
    if (!strcasecmp(type, "file") && *file)
        s->kind = SERIAL_FILE;
    else if (!strcasecmp(type, "pipe") && *file)
        s->kind = strcasecmp(vmx_get_str_f(m->d, "serial%d.pipe.endPoint", i), "client") ? SERIAL_PIPE_SERVER : SERIAL_PIPE_CLIENT;
    else if (!strcasecmp(type, "pty"))
        s->kind = SERIAL_PTY;
    if (s->kind == SERIAL_UNCONNECTED || !*file)
        return;
    s->path = plan_resolve(m->p, file);
    char key[32];
    snprintf(key, sizeof key, "serial%d.fileName", i);
    struct stat st;
    if (s->kind == SERIAL_FILE && !stat(s->path, &st) && S_ISDIR(st.st_mode))
        problem(m, VMX_ERROR, key, "%s is a directory; name a file", s->path);
    if (s->kind == SERIAL_PIPE_SERVER && strlen(s->path) > 107)
        problem(m, VMX_ERROR, key, "the path %s is too long for a socket (107 bytes); choose a shorter one", s->path);
    char *copy = dup_str(s->path);
    const char *folder = dirname(copy);
    if (s->kind != SERIAL_PIPE_CLIENT && access(folder, F_OK))
        problem(m, VMX_ERROR, key, "the folder %s does not exist; make it, or change the name", folder);
    free(copy);
}

/* A file that Lodge itself writes: it need not be there, but must not be a directory, and its folder must be there. */
static void writable_place(struct making *m, const char *key, const char *path)
{
    struct stat st;
    if (!stat(path, &st)) {
        if (S_ISDIR(st.st_mode))
            problem(m, VMX_ERROR, key, "%s is a directory; name a file", path);
        return;
    }
    char *copy = dup_str(path);
    const char *folder = dirname(copy);
    if (access(folder, F_OK))
        problem(m, VMX_ERROR, key, "the folder %s does not exist; make it, or change the name", folder);
    free(copy);
}

/*
 * No file may serve two purposes if one of them writes to it: a log or a serial port over the .vmx or a disk would destroy it. Files are the same
 * when they are the same inode, or would be made under the same name. Devices (log.fileName = "/dev/null") may serve several.
 */
struct purpose {
    char key[40];
    const char *path, *what;
    bool writes;
};

static bool same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    bool have_a = !stat(a, &sa), have_b = !stat(b, &sb);
    if (have_a != have_b)
        return false;
    if (have_a)
        return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino && (S_ISREG(sa.st_mode) || S_ISBLK(sa.st_mode));
    const char *na = strrchr(a, '/'), *nb = strrchr(b, '/');
    if (!na || !nb || strcmp(na, nb))
        return false;
    char *da = strndup(a, (size_t)(na + 1 - a)), *db = strndup(b, (size_t)(nb + 1 - b));
    bool same = da && db && !stat(da, &sa) && !stat(db, &sb) && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
    free(da);
    free(db);
    return same;
}

static void files_apart(struct making *m)
{
    const struct plan *p = m->p;
    struct purpose f[16] = {{"", p->vmx_path, "the .vmx file itself", true}, {"bios440.filename", p->bios_path, "the firmware", false}};
    unsigned n = 2;
    for (int i = 0; i < 4; i++) {
        const struct plan_drive *dr = &p->drive[i / 2][i % 2];
        f[n] = (struct purpose){"", dr->path, dr->kind == DRIVE_CD ? "a CD image" : "a disk", dr->kind == DRIVE_DISK && !dr->nonpersistent};
        snprintf(f[n++].key, sizeof f->key, "ide%d:%d.fileName", i / 2, i % 2);
    }
    for (int i = 0; i < 4; i++) {
        f[n] = (struct purpose){"", p->serial[i].kind == SERIAL_FILE ? p->serial[i].path : NULL, "the output of a serial port", true};
        snprintf(f[n++].key, sizeof f->key, "serial%d.fileName", i);
    }
    f[n++] = (struct purpose){"nvram", p->nvram_path, "the CMOS memory", true};
    f[n++] = (struct purpose){"log.fileName", p->logging ? p->log_path : NULL, "the log", true};
    f[n++] = (struct purpose){"mainMem.useNamedFile", p->mem_file, "the guest's memory", true};
    for (unsigned b = 1; b < n; b++)
        for (unsigned a = 0; a < b; a++)
            if (f[a].path && f[b].path && (f[a].writes || f[b].writes) && same_file(f[a].path, f[b].path)) {
                if (!strncmp(f[a].key, f[b].key, 3) && !strcmp(vmx_get_str(m->d, f[a].key), vmx_get_str(m->d, f[b].key)))
                    break; /* two drives or two ports of one name: vmx_check has said it */
                problem(m, VMX_ERROR, f[b].key, "%s is %s as well%s%s%s; name another file", f[b].path, f[a].what, *f[a].key ? " (" : "", f[a].key,
                        *f[a].key ? ")" : "");
                break;
            }
}

/* A size in MB, "unlimited" or nothing: -1. */
static int64_t mem_mb(const struct vmx_dict *d, const char *key)
{
    int64_t v;
    return vmx_parse_int(vmx_get_str(d, key), &v) && v >= 0 ? v : -1;
}

/* As VMware counts: low, normal and high are 5, 10 and 20 for each MB. */
static unsigned mem_shares(const struct vmx_dict *d, unsigned mb)
{
    const char *s = vmx_get_str(d, "sched.mem.shares");
    int64_t v;
    if (vmx_parse_int(s, &v) && v > 0)
        return v < 1000000000 ? (unsigned)v : 1000000000;
    return mb * (!strcasecmp(s, "low") ? 5 : !strcasecmp(s, "high") ? 20 : 10);
}

unsigned plan_make(struct plan *p, const struct vmx_dict *d, const char *vmx_path, vmx_problem_fn fn, void *u)
{
    struct making m = {p, d, fn, u, 0};
    *p = (struct plan){0};
    p->vmx_path = realpath(vmx_path, NULL);
    if (!p->vmx_path)
        p->vmx_path = dup_str(vmx_path);
    const char *slash = strrchr(p->vmx_path, '/');
    p->dir = slash ? strndup(p->vmx_path, (size_t)(slash + 1 - p->vmx_path)) : dup_str("./");
    p->base = dup_str(slash ? slash + 1 : p->vmx_path);
    size_t n = strlen(p->base);
    if (n > 4 && !strcasecmp(p->base + n - 4, ".vmx"))
        p->base[n - 4] = 0;
    const char *name = vmx_get_str(d, "displayName");
    p->name = dup_str(*name ? name : p->base);
    p->guest_os = dup_str(vmx_get_str(d, "guestOS"));
    p->hw_version = (unsigned)vmx_get_int(d, "virtualHW.version");
    p->ram = (uint64_t)vmx_get_int(d, "memsize") << 20;
    p->trim_rate = vmx_get_int(d, "MemTrimRate");
    p->mem_min = mem_mb(d, *vmx_get_str(d, "sched.mem.min") ? "sched.mem.min" : "sched.mem.minSize");
    p->mem_max = mem_mb(d, "sched.mem.max");
    p->mem_maxctl = mem_mb(d, "sched.mem.maxmemctl");
    p->mem_shares = mem_shares(d, (unsigned)(p->ram >> 20));
    p->mem_pin = vmx_get_bool(d, "sched.mem.pin");
    p->mem_huge = vmx_get_bool(d, "sched.mem.lpage.enable");
    const char *backing = vmx_get_str(d, "mainMem.backing");
    if (!strcasecmp(backing, "named") || (!*backing && vmx_get_bool(d, "mainMem.useNamedFile")))
        p->mem_file = fmt_str("%s%s.vmem", p->dir, p->base);
    struct hostmem_policy pol;
    hostmem_policy(d, memconf_host_mb(), &pol);
    p->mem_limit = pol.limit_mb;
    p->mem_fit = pol.pct;
    p->share_pages = vmx_get_bool(d, "sched.mem.pshare.enable");
    p->n_vcpus = (unsigned)vmx_get_int(d, "numvcpus");
    p->cores_per_socket = (unsigned)vmx_get_int(d, "cpuid.coresPerSocket");
    const char *ex = vmx_get_str(d, "monitor.virtual_exec");
    p->engine = !strcasecmp(ex, "hardware") ? ENGINE_HARDWARE : !strcasecmp(ex, "software") ? ENGINE_SOFTWARE : ENGINE_AUTO;
    p->bt_stress = dup_str(vmx_get_str(d, "monitor.bt.stress"));
    p->hide_longmode = vmx_get_bool(d, "monitor_control.disable_longmode");
    p->hypervisor_leaves = vmx_get_bool(d, "hypervisor.cpuid.v0");
    p->pseudo_perfctr = vmx_get_bool(d, "monitor_control.pseudo_perfctr");
    p->restrict_backdoor = vmx_get_bool(d, "monitor_control.restrict_backdoor");
    p->hpet = vmx_get_bool(d, "hpet0.present");
    p->vmmouse = vmx_get_bool(d, "vmmouse.present");
    p->debug = !strcasecmp(vmx_get_str(d, "debug"), "TRUE");
    p->boot_order = dup_str(vmx_get_str(d, "bios.bootOrder"));
    p->hdd_order = dup_str(vmx_get_str(d, "bios.hddOrder"));
    p->boot_delay_ms = (unsigned)vmx_get_int(d, "bios.bootDelay");
    if (vmx_get_bool(d, "bios.bootRetry.enabled"))
        p->boot_retry_ms = (unsigned)vmx_get_int(d, "bios.bootRetry.delay");
    p->rtc_start = *vmx_get_str(d, "rtc.startTime") ? vmx_get_int(d, "rtc.startTime") : -1;
    p->rtc_diff = vmx_get_int(d, "rtc.diffFromUTC");
    p->disk_locking = vmx_get_bool(d, "disk.locking");
    p->vram = (uint64_t)vmx_get_int(d, "svga.vramSize");
    p->max_width = (unsigned)vmx_get_int(d, "svga.maxWidth");
    p->max_height = (unsigned)vmx_get_int(d, "svga.maxHeight");
    p->vnc = vmx_get_bool(d, "RemoteDisplay.vnc.enabled");
    const char *ip = vmx_get_str(d, "RemoteDisplay.vnc.ip");
    p->vnc_ip = dup_str(strcasecmp(ip, "localhost") ? ip : "127.0.0.1");
    p->vnc_port = (unsigned)vmx_get_int(d, "RemoteDisplay.vnc.port");
    p->vnc_password = dup_str(vmx_get_str(d, "RemoteDisplay.vnc.password"));
    p->vnc_keymap = dup_str(vmx_get_str(d, "RemoteDisplay.vnc.keyMap"));
    p->vnc_max_clients = (unsigned)vmx_get_int(d, "RemoteDisplay.maxConnections");
    for (int w = 64; w >= 32 && !p->gdb; w -= 32) {
        p->gdb64 = w == 64;
        p->gdb_remote = vmx_get_bool_f(d, "debugStub.listen.guest%d.remote", w);
        p->gdb = p->gdb_remote || vmx_get_bool_f(d, "debugStub.listen.guest%d", w);
        p->gdb_port = (unsigned)vmx_get_int(d, w == 64 ? "debugStub.port.guest64" : "debugStub.port.guest32");
        p->gdb_hold = vmx_get_bool_f(d, "monitor.debugOnStartGuest%d", w);
    }
    p->logging = vmx_get_bool(d, "logging");
    p->log_append = vmx_get_bool(d, "log.append");
    p->log_path = plan_resolve(p, vmx_get_str(d, "log.fileName"));
    p->log_keep = (unsigned)vmx_get_int(d, "log.keepOld");
    p->log_rotate = (uint64_t)vmx_get_int(d, "log.rotateSize");
    const char *nv = vmx_get_str(d, "nvram");
    p->nvram_path = *nv ? plan_resolve(p, nv) : fmt_str("%s%s.nvram", p->dir, p->base);

    if (p->logging)
        writable_place(&m, "log.fileName", p->log_path);
    writable_place(&m, "nvram", p->nvram_path);
    plan_firmware(&m);
    for (int c = 0; c < 2; c++)
        for (int un = 0; un < 2; un++)
            plan_drive(&m, c, un);
    for (int i = 0; i < 4; i++)
        plan_serial(&m, i);
    if (!m.errors)
        files_apart(&m);
    p->net = net_plan_make(p, d, fn, u);
    return m.errors;
}

void plan_free(struct plan *p)
{
    net_plan_free(p->net);
    for (int i = 0; i < 4; i++) {
        free(p->drive[i / 2][i % 2].path);
        free(p->serial[i].path);
    }
    char *all[] = {p->vmx_path,   p->dir,       p->base,      p->name,   p->guest_os,     p->bios_path,  p->vgabios_path,
                   p->nvram_path, p->boot_order, p->hdd_order, p->vnc_ip, p->vnc_password, p->vnc_keymap, p->log_path,
                   p->bt_stress,  p->mem_file};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
    *p = (struct plan){0};
}
