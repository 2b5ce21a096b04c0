/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the process of a .vmx listens: its socket depends on the file's path only, so a client can know it before there
 * is a process. */
#ifndef LODGE_VMX_API_ADDRESS_H
#define LODGE_VMX_API_ADDRESS_H

char *lodge_vm_socket_dir(void); /* g_free all of these */
char *lodge_vm_socket_path(const char *vmx_path);
char *lodge_vm_address(const char *vmx_path); /* as a D-Bus address */
char *lodge_vm_address_of(const char *socket_path);

#endif
