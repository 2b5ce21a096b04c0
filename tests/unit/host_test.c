/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hostdriver/file and hostdriver/mem: locks, guest memory, the places that serial ports can be connected to. */
#define _GNU_SOURCE
#include "tests/tap.h"
#include "tests/unit/realvm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "file/chardevs.h"
#include "file/filelock.h"
#include "file/hostfile.h"
#include "mem/guestmem.h"

static void test_lock(void)
{
    struct err e = {0};
    struct filelock a, b;
    int pfd[2];
    char want[64];
    ok(filelock_holder("vm.lck") == 0, "nobody has a lock that is not there");
    ok(filelock_take(&a, "vm.lck", "The virtual machine X", &e) == 0, "taken %s", e.msg);
    ok(filelock_take(&b, "vm.lck", "The virtual machine X", &e) == -1 && e.kind == ERR_BUSY, "not a second time");
    snprintf(want, sizeof want, "X is in use by process %ld", (long)getpid());
    ok(strstr(e.msg, want) != NULL, "%s", e.msg);
    ok(filelock_holder("vm.lck") == getpid(), "the holder");
    filelock_drop(&a);
    ok(access("vm.lck", F_OK) < 0, "dropped: the file is gone");
    filelock_drop(&a);
    /* A process that is killed leaves the file but not the lock. */
    if (pipe(pfd) < 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        char c = filelock_take(&a, "vm.lck", "The virtual machine X", &e) == 0;
        if (write(pfd[1], &c, 1) == 1)
            pause();
        _exit(1);
    }
    char c = 0;
    ok(read(pfd[0], &c, 1) == 1 && c, "another process takes it");
    ok(filelock_take(&b, "vm.lck", "The virtual machine X", &e) == -1 && filelock_holder("vm.lck") == pid, "%s", e.msg);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    ok(access("vm.lck", F_OK) == 0 && filelock_holder("vm.lck") == 0, "killed: the file stays, the lock does not");
    ok(filelock_take(&b, "vm.lck", "The virtual machine X", &e) == 0, "and can be taken");
    filelock_drop(&b);
    mkdir("dir.lck", 0700);
    ok(filelock_take(&b, "dir.lck", "X", &e) == -1 && e.msg[0], "a folder in its place: %s", e.msg);
    ok(symlink("/etc/passwd", "link.lck") == 0 && filelock_take(&b, "link.lck", "X", &e) == -1,
       "a link is not followed");
    ok(filelock_take(&b, "no/such/folder.lck", "X", &e) == -1 && strstr(e.msg, "no/such/folder.lck"), "%s", e.msg);
    close(pfd[0]);
    close(pfd[1]);
}

static bool crashes(volatile uint8_t *p)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGSEGV, SIG_DFL);
        *p = 1;
        _exit(0);
    }
    int st = 0;
    waitpid(pid, &st, 0);
    return WIFSIGNALED(st) || (WIFEXITED(st) && WEXITSTATUS(st) != 0);
}

static void test_memory(void)
{
    struct err e = {0};
    struct memblk b;
    struct guestmem_params p = {.size = 8 << 20, .huge = true, .mergeable = true};
    ok(guestmem_alloc(&b, &p, &e) == 0, "8 MiB %s", e.msg);
    ok(((uintptr_t)b.host & ((2 << 20) - 1)) == 0 && b.fd == -1 && b.size == 8 << 20, "2 MiB aligned");
    b.host[0] = 1;
    b.host[b.size - 1] = 2;
    ok(crashes(b.host - 1) && crashes(b.host + b.size), "guards on both sides");
    guestmem_free(&b);
    ok(b.host == NULL, "freed");
    p.size = 4096 * 3;
    p.populate = true;
    ok(guestmem_alloc(&b, &p, &e) == 0 && b.host[4096 * 2] == 0, "12 KiB, populated");
    guestmem_free(&b);
    p = (struct guestmem_params){.size = 1ull << 44};
    ok(guestmem_alloc(&b, &p, &e) == -1 && e.kind == ERR_NOMEM && strstr(e.msg, "16777216 MiB") &&
           strstr(e.msg, "memsize"),
       "%s", e.msg);
    p.size = 4097;
    ok(guestmem_alloc(&b, &p, &e) == -1 && e.kind == ERR_CONFIG, "not whole pages: %s", e.msg);
    ok(guestmem_available() > 1 << 20, "the host has some memory");
    ok(guestmem_alloc_shared(&b, "video", 1 << 20, &e) == 0 && b.fd >= 0, "shared %s", e.msg);
    b.host[5] = 77;
    uint8_t v = 0;
    ok(pread(b.fd, &v, 1, 5) == 1 && v == 77, "its descriptor shows the same bytes");
    ok(ftruncate(b.fd, 4096) < 0, "nobody can make it shorter");
    guestmem_free(&b);
    ok(b.fd == -1, "freed");
}

/* A UART's side: room for what is not taken yet. */
static char rx[4096];
static _Atomic size_t rx_n, rx_room;
static _Atomic int carrier, writable;
static void on_rx(void *f, const uint8_t *buf, size_t n)
{
    (void)f;
    memcpy(rx + rx_n, buf, n);
    rx_n += n;
    rx_room -= n;
}
static size_t on_room(void *f)
{
    (void)f;
    return rx_room;
}
static void on_writable(void *f)
{
    (void)f;
    writable++;
}
static void on_carrier(void *f, bool on)
{
    (void)f;
    carrier = on ? 1 : -1;
}

static struct vm *vm;

static void attach(struct chardev *c)
{
    rx_n = 0;
    rx_room = sizeof rx;
    carrier = writable = 0;
    chipset_lock(vm);
    c->rx = on_rx;
    c->room = on_room;
    c->writable = on_writable;
    c->carrier = on_carrier;
    chipset_unlock(vm);
}

static size_t put(struct chardev *c, const void *s, size_t n)
{
    chipset_lock(vm);
    size_t r = c->ops->write(c, s, n);
    chipset_unlock(vm);
    return r;
}

static void shut(struct chardev *c)
{
    chipset_lock(vm);
    c->ops->close(c);
    chipset_unlock(vm);
}

#define UNTIL(x)                                  \
    ({                                            \
        for (int i_ = 0; i_ < 60000 && !(x); i_++) \
            usleep(1000);                         \
        (x);                                      \
    })

static int connect_to(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void test_file(void)
{
    struct err e = {0};
    char buf[64] = "";
    FILE *f = fopen("serial.txt", "w");
    fputs("old\n", f);
    fclose(f);
    struct chardev *c = char_file_open(vm, "serial.txt", &e);
    ok(c && put(c, "hello\n", 6) == 6, "file: written %s", e.msg);
    f = fopen("serial.txt", "r");
    ok(fread(buf, 1, sizeof buf, f) == 10 && strcmp(buf, "old\nhello\n") == 0, "file: at its end, at once");
    fclose(f);
    shut(c);
    ok(!char_file_open(vm, "/nowhere/x", &e) && strstr(e.msg, "/nowhere/x"), "file: %s", e.msg);
}

static void test_pipe(void)
{
    struct err e = {0};
    static char big[1 << 20], back[1 << 20];
    char buf[64] = "";
    struct chardev *c = char_pipe_open(vm, "pipe.sock", true, &e);
    ok(c != NULL, "pipe server %s", e.msg);
    attach(c);
    ok(put(c, "lost", 4) == 4, "without a peer output vanishes");
    ok(!char_pipe_open(vm, "pipe.sock", true, &e) && e.kind == ERR_BUSY, "a second server: %s", e.msg);
    ok(UNTIL(carrier == -1), "which looked whether the first one is alive");
    int fd = connect_to("pipe.sock");
    struct stat st;
    stat("pipe.sock", &st);
    ok(fd >= 0 && UNTIL(carrier == 1), "a peer connects");
    ok((st.st_mode & 077) == 0, "only this user can");
    ok(put(c, "out", 3) == 3 && read(fd, buf, sizeof buf) == 3 && strncmp(buf, "out", 3) == 0, "output");
    ok(write(fd, "input", 5) == 5 && UNTIL(rx_n == 5) && strncmp(rx, "input", 5) == 0, "input");
    rx_room = 3;
    ok(write(fd, "abcdef", 6) == 6 && UNTIL(rx_n == 8), "input stops when the UART is full");
    usleep(20000);
    ok(rx_n == 8, "and waits");
    chipset_lock(vm);
    rx_room = 100;
    c->ops->accept(c);
    chipset_unlock(vm);
    ok(UNTIL(rx_n == 11) && strncmp(rx + 5, "abcdef", 6) == 0, "accept() brings the rest");
    size_t n = put(c, big, sizeof big);
    ok(n > 0 && n < sizeof big, "a peer that does not read stops output");
    ok(writable == 0, "not writable yet");
    size_t r = 0;
    for (ssize_t k; r < n && (k = read(fd, back, sizeof back)) > 0;)
        r += (size_t)k;
    ok(r == n && UNTIL(writable == 1), "writable when it has read");
    int second = connect_to("pipe.sock");
    close(fd);
    ok(write(second, "z", 1) == 1 && UNTIL(rx_n == 12) && rx[11] == 'z', "the one that waited is next");
    shut(c);
    ok(read(second, buf, 1) == 0, "closed: the peer sees the end");
    close(second);
    ok(access("pipe.sock", F_OK) < 0, "the socket is gone");
    /* The client's side, and a socket that a dead process left. */
    struct sockaddr_un sa = {.sun_family = AF_UNIX, .sun_path = "dead.sock"};
    int l = socket(AF_UNIX, SOCK_STREAM, 0);
    ok(bind(l, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(l, 1) == 0, "a server");
    c = char_pipe_open(vm, "dead.sock", false, &e);
    ok(c != NULL, "pipe client %s", e.msg);
    attach(c);
    fd = accept(l, NULL, NULL);
    ok(put(c, "hi", 2) == 2 && read(fd, buf, 9) == 2, "output");
    close(fd);
    ok(UNTIL(carrier == -1) && put(c, "x", 1) == 1, "the server goes; output vanishes");
    shut(c);
    close(l);
    ok(!char_pipe_open(vm, "dead.sock", false, &e) && strstr(e.msg, "dead.sock") && strstr(e.msg, "server"), "%s",
       e.msg);
    c = char_pipe_open(vm, "dead.sock", true, &e);
    ok(c != NULL, "a server takes over a dead socket %s", e.msg);
    shut(c);
    FILE *f = fopen("plain", "w");
    fclose(f);
    ok(!char_pipe_open(vm, "plain", true, &e) && access("plain", F_OK) == 0, "a plain file is not removed: %s", e.msg);
}

static void test_pty(void)
{
    struct err e = {0};
    char buf[64];
    struct chardev *c = char_pty_open(vm, &e);
    if (!ok(c != NULL, "pty %s", e.msg))
        return;
    attach(c);
    const char *path = char_pty_path(c);
    ok(path && strncmp(path, "/dev/", 5) == 0, "its name is %s", path);
    memset(buf, 'x', sizeof buf);
    bool all = true;
    for (int i = 0; i < 2000; i++)
        all = all && put(c, buf, sizeof buf) == sizeof buf;
    ok(all, "nobody there: output vanishes and never blocks");
    int fd = open(path, O_RDWR | O_NOCTTY);
    ok(fd >= 0 && UNTIL(carrier == 1), "a program opens it");
    tcflush(fd, TCIFLUSH);
    ok(put(c, "a\r\nb", 4) == 4 && read(fd, buf, sizeof buf) == 4 && memcmp(buf, "a\r\nb", 4) == 0, "output is raw");
    ok(write(fd, "q\003\n", 3) == 3 && UNTIL(rx_n == 3) && memcmp(rx, "q\003\n", 3) == 0, "input is raw");
    close(fd);
    ok(UNTIL(carrier == -1), "it closes it");
    fd = open(path, O_RDWR | O_NOCTTY);
    ok(UNTIL(carrier == 1), "and opens it again");
    close(fd);
    shut(c);
}

/* An image file that somebody cuts off under us: what is gone is an error, no zeros. */
static void test_image(void)
{
    struct err e = {0};
    struct hostfile h;
    char buf[1024];
    struct iovec v = {buf, sizeof buf};
    int fd = open("disk.img", O_RDWR | O_CREAT, 0600);
    if (!ok(fd >= 0 && !ftruncate(fd, 8000) && !hostfile_open(&h, AT_FDCWD, "disk.img", false, &e), "an image %s", e.msg))
        return;
    memset(buf, 1, sizeof buf);
    ok(!h.ops->pread(h.f, 7500, buf, 1024) && !buf[0] && !buf[1023], "the rest of its last sector is zeros");
    ok(!h.ops->pwrite(h.f, 10000, "x", 1) && !h.ops->pread(h.f, 10000, buf, 1024) && buf[0] == 'x' && !buf[1], "it grows as it is written");
    ok(!ftruncate(fd, 4096) && !h.ops->pread(h.f, 0, buf, 1024), "cut off: what is there can be read");
    is_u64((uint64_t)h.ops->pread(h.f, 4000, buf, 1024), EIO, "what is gone cannot");
    is_u64((uint64_t)h.ops->preadv(h.f, 9500, &v, 1), EIO, "... nor what was written behind it");
    ok(!h.ops->preadv(h.f, 10001, &v, 1), "what never was is zeros as before");
    ok(!h.ops->truncate(h.f, 1000) && !h.ops->pread(h.f, 2000, buf, 1024), "a size that we give it ourselves is none of that");
    h.ops->close(h.f);
    close(fd);
}

int main(void)
{
    struct err e = {0};
    char dir[] = "/tmp/lodge-host-XXXXXX", cmd[64];
    if (!mkdtemp(dir) || chdir(dir) < 0)
        return 1;
    vm = rv_new(NULL, NULL);
    if (!ok(vm_run(vm, &e) == 0, "a machine %s", e.msg))
        return TAP_DONE();
    test_file();
    test_image();
    test_pipe();
    test_pty();
    test_lock();
    test_memory();
    vm_destroy(vm);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    if (system(cmd) != 0)
        printf("# %s is left\n", dir);
    return TAP_DONE();
}
