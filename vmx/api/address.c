/* SPDX-License-Identifier: GPL-2.0-or-later */
/* $XDG_RUNTIME_DIR/lodge/vm-<hash of the .vmx path>.sock; api/address.h */
#include "api/address.h"

#include <gio/gio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

char *lodge_vm_socket_dir(void)
{
    const char *run = g_getenv("XDG_RUNTIME_DIR");
    char *own = g_strdup_printf("/run/user/%u", (unsigned)getuid()), *dir;
    struct stat st;
    if (run && *run == '/')
        dir = g_strdup_printf("%s/lodge", run);
    else if (!stat(own, &st) && st.st_uid == getuid())
        dir = g_strdup_printf("%s/lodge", own);
    else
        dir = g_strdup_printf("/tmp/lodge-%u", (unsigned)getuid());
    g_free(own);
    return dir;
}

char *lodge_vm_socket_path(const char *vmx_path)
{
    char *real = realpath(vmx_path, NULL), *dir = lodge_vm_socket_dir();
    char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, real ? real : vmx_path, -1);
    char *path = g_strdup_printf("%s/vm-%.16s.sock", dir, sum);
    g_free(sum);
    g_free(dir);
    free(real);
    return path;
}

char *lodge_vm_address_of(const char *socket_path)
{
    char *esc = g_dbus_address_escape_value(socket_path), *a = g_strdup_printf("unix:path=%s", esc);
    g_free(esc);
    return a;
}

char *lodge_vm_address(const char *vmx_path)
{
    char *path = lodge_vm_socket_path(vmx_path), *a = lodge_vm_address_of(path);
    g_free(path);
    return a;
}
