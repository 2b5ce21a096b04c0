/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VNC inside TLS (VeNCrypt), against TigerVNC's Xvnc, which offers one kind at a time: without a certificate, with a password, with a certificate
 * that nobody knows, that the user trusts, and that is another computer's. A connection that comes about is an encrypted one: the server has no other.
 */
#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/ui/uitest.h"
#include "ui/mks/mks_session_private.h"

static char *dir;
static int port;
static GPid server;
static LodgeMksSession *session;
static int asked;
static bool asked_user;

static char *path(const char *name) { return g_build_filename(dir, name, NULL); }

static bool run(const char *command)
{
    int status;
    return g_spawn_command_line_sync(command, NULL, NULL, &status, NULL) && !status;
}

/* A certificate of its own for a name. */
static bool certificate(const char *file, const char *name)
{
    char *c = g_strdup_printf("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s/%s.key -out %s/%s.pem -days 2 -subj /CN=%s "
                              "-addext subjectAltName=DNS:%s",
                              dir, file, dir, file, name, name);
    bool good = run(c);
    g_free(c);
    return good;
}

/* The file that vncpasswd would write for "secret": DES with VNC's fixed key, as the protocol's servers all have it. */
static void password_file(void)
{
    static const char bytes[] = "\x2e\x2d\xbf\x57\x6e\xb0\x6c\x9e";
    char *f = path("passwd");
    g_file_set_contents(f, bytes, 8, NULL);
    g_chmod(f, 0600);
    g_free(f);
}

static gboolean refused(void)
{
    GSocketClient *c = g_socket_client_new();
    g_socket_client_set_enable_proxy(c, FALSE);
    GSocketConnection *s = g_socket_client_connect_to_host(c, "127.0.0.1", (guint16)port, NULL, NULL);
    g_object_unref(c);
    if (s)
        g_object_unref(s);
    return !s;
}

/* Is this port nobody's, and the number that the X server has with it? Below those that the kernel gives out. */
static bool is_free(void)
{
    char *lock = g_strdup_printf("/tmp/.X%d-lock", port - 5300);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    bool is = port > 32000 || (access(lock, F_OK) && !bind(s, (struct sockaddr *)&a, sizeof a));
    close(s);
    g_free(lock);
    return is;
}

static bool server_start(const char *types, const char *cert)
{
    char *cmd = g_strdup_printf("Xtigervnc :%d -rfbport %d -localhost -geometry 320x240 -depth 24 -nolisten tcp -nolisten unix -SecurityTypes %s -PasswordFile %s/passwd "
                                "-X509Cert %s/%s.pem -X509Key %s/%s.key",
                                port - 5300, port, types, dir, dir, cert, dir, cert),
         **argv = g_strsplit(cmd, " ", -1);
    bool good = g_spawn_async(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &server,
                              NULL);
    for (int i = 0; good && i < 2400 && refused(); i++)
        g_usleep(50000);
    g_strfreev(argv);
    g_free(cmd);
    return good && !refused();
}

static void server_stop(void)
{
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
}

static void credentials(LodgeMksSession *s, gboolean user, gboolean password, gpointer u)
{
    const char *const *answers = u;
    (void)password;
    asked_user = user;
    lodge_mks_session_give_credentials(s, "somebody", answers[asked < 2 ? asked : 1]);
    asked++;
}

static void open_session(const char *const *answers)
{
    char *target = g_strdup_printf("localhost:%d", port);
    session = lodge_mks_session_new_vnc(target, NULL);
    asked = 0;
    g_signal_connect(session, "credentials-needed", G_CALLBACK(credentials), (gpointer)answers);
    lodge_mks_session_open(session);
    g_free(target);
}

static bool runs(void)
{
    int w = 0, h = 0;
    return AWAIT(lodge_mks_session_get_state(session) == LODGE_MKS_RUNNING) && lodge_mks_session_get_guest_size(session, &w, &h) && w == 320 && h == 240;
}

static bool error_has(const char *text)
{
    bool has = AWAIT(strstr(lodge_mks_session_get_error(session), text));
    if (!has)
        printf("# error: %s\n", lodge_mks_session_get_error(session));
    return has;
}

static void kind(const char *types, const char *cert, const char *const *answers, const char *error, const char *name)
{
    if (!ok(server_start(types, cert), "a server that offers %s only", types))
        return;
    open_session(answers);
    ok(error ? error_has(error) && lodge_mks_session_get_state(session) != LODGE_MKS_RUNNING : runs(), "%s", name);
    lodge_mks_session_close(session);
    g_object_unref(session);
    settle(50);
    server_stop();
}

int main(void)
{
    static const char *const right[] = {"secret", "secret"}, *const wrong[] = {"wrong", "secret"};
    static const char *const tools[] = {"Xtigervnc", "openssl"};
    for (int i = 0; i < 2; i++) {
        char *found = g_find_program_in_path(tools[i]);
        if (!found) {
            printf("1..0 # SKIP %s is not installed\n", tools[i]);
            return 0;
        }
        g_free(found);
    }
    dir = g_dir_make_tmp("lodge-tls-XXXXXX", NULL);
    g_setenv("XDG_CONFIG_HOME", dir, TRUE);
    g_setenv("XDG_CACHE_HOME", dir, TRUE);
    for (port = 20000 + getpid() % 9000; !is_free(); port++)
        ;
    password_file();
    if (!ok(certificate("here", "localhost") && certificate("other", "elsewhere.example"), "certificates"))
        return TAP_DONE();
    kind("TLSNone", "here", right, NULL, "TLS without a certificate: the screen comes");
    kind("TLSVnc", "here", wrong, NULL, "TLS and a password: a wrong one is asked for again, the right one opens");
    ok(asked == 2 && !asked_user, "asked twice, for a password only");
    kind("X509None", "here", right, "has no certificate that this computer trusts", "a certificate that nobody knows: not connected, and said");
    char *own = path("lodge"), *pem = NULL, *from = path("here.pem"), *other = path("other.pem"), *to = g_build_filename(own, "trusted.pem", NULL);
    g_mkdir(own, 0700);
    ok(g_file_get_contents(from, &pem, NULL, NULL) && g_file_set_contents(to, pem, -1, NULL), "the user puts it into trusted.pem");
    g_free(pem);
    kind("X509None", "here", right, NULL, "now the screen comes");
    kind("X509Vnc", "here", right, NULL, "and with a password");
    kind("X509None", "other", right, "has no certificate that this computer trusts", "another computer's certificate: not connected");
    ok(g_file_get_contents(other, &pem, NULL, NULL) && g_file_set_contents(to, pem, -1, NULL), "even when it is trusted,");
    g_free(pem);
    kind("X509None", "other", right, "has no certificate that this computer trusts", "because its name is another's: not connected");
    char *cmd = g_strdup_printf("rm -rf %s", dir);
    run(cmd);
    return TAP_DONE();
}
