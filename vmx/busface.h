/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Makes a peer-to-peer D-Bus connection look enough like a message bus for tools that insist on one (gdbus, d-feet, proxies with a name). */
#ifndef LODGE_VMX_BUSFACE_H
#define LODGE_VMX_BUSFACE_H

#include <gio/gio.h>

/* Answers Hello, AddMatch, GetNameOwner ... on conn for the single name; every message that we send gets a sender. */
void busface_export(GDBusConnection *conn, const char *name);

#endif
