/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The object /org/freedesktop/DBus as the D-Bus specification describes it ("Message Bus Messages"), reduced to one service: the peer is
 * :1.1, we are :1.0 and own the one name. Match rules are accepted and not looked at, since all signals of a connection are for its peer.
 */
#include "busface.h"

#include <string.h>

#define PEER ":1.1"
#define SELF ":1.0"

static const char xml[] =
    "<node><interface name='org.freedesktop.DBus'>"
    "<method name='Hello'><arg type='s' direction='out'/></method>"
    "<method name='AddMatch'><arg type='s' direction='in'/></method>"
    "<method name='RemoveMatch'><arg type='s' direction='in'/></method>"
    "<method name='GetNameOwner'><arg type='s' direction='in'/><arg type='s' direction='out'/></method>"
    "<method name='NameHasOwner'><arg type='s' direction='in'/><arg type='b' direction='out'/></method>"
    "<method name='ListNames'><arg type='as' direction='out'/></method>"
    "<method name='ListActivatableNames'><arg type='as' direction='out'/></method>"
    "<method name='StartServiceByName'><arg type='s' direction='in'/><arg type='u' direction='in'/><arg type='u' direction='out'/></method>"
    "<method name='GetId'><arg type='s' direction='out'/></method>"
    "<signal name='NameOwnerChanged'><arg type='s'/><arg type='s'/><arg type='s'/></signal>"
    "</interface></node>";

static gboolean owned(const char *name, const char *arg) { return !strcmp(arg, name) || !strcmp(arg, SELF); }

static void on_call(GDBusConnection *conn, const gchar *sender, const gchar *path, const gchar *iface, const gchar *method, GVariant *args,
                    GDBusMethodInvocation *inv, gpointer u)
{
    const char *name = u, *arg = "";
    (void)conn, (void)sender, (void)path, (void)iface;
    if (g_variant_n_children(args)) /* GDBus has checked the types: the first is always the name */
        g_variant_get_child(args, 0, "&s", &arg);
    GVariant *ret = NULL;
    if (!strcmp(method, "Hello")) {
        ret = g_variant_new("(s)", PEER);
    } else if (!strcmp(method, "GetNameOwner")) {
        if (!owned(name, arg) && strcmp(arg, "org.freedesktop.DBus") && strcmp(arg, PEER)) {
            g_dbus_method_invocation_return_dbus_error(inv, "org.freedesktop.DBus.Error.NameHasNoOwner", "This socket serves one virtual machine only");
            return;
        }
        ret = g_variant_new("(s)", owned(name, arg) ? SELF : arg);
    } else if (!strcmp(method, "NameHasOwner")) {
        ret = g_variant_new("(b)", owned(name, arg));
    } else if (!strcmp(method, "ListNames")) {
        const char *names[] = {"org.freedesktop.DBus", name, SELF, PEER, NULL};
        ret = g_variant_new("(^as)", names);
    } else if (!strcmp(method, "ListActivatableNames")) {
        const char *names[] = {NULL};
        ret = g_variant_new("(^as)", names);
    } else if (!strcmp(method, "StartServiceByName")) {
        ret = g_variant_new("(u)", 2u); /* DBUS_START_REPLY_ALREADY_RUNNING */
    } else if (!strcmp(method, "GetId")) {
        ret = g_variant_new("(s)", g_dbus_connection_get_guid(conn));
    }
    g_dbus_method_invocation_return_value(inv, ret);
}

static GDBusMessage *add_sender(GDBusConnection *conn, GDBusMessage *m, gboolean incoming, gpointer u)
{
    (void)conn, (void)u;
    if (incoming)
        return m;
    GDBusMessage *copy = g_dbus_message_copy(m, NULL);
    if (!copy)
        return m;
    g_dbus_message_set_sender(copy, SELF);
    g_object_unref(m);
    return copy;
}

void busface_export(GDBusConnection *conn, const char *name)
{
    static const GDBusInterfaceVTable vtable = {.method_call = on_call};
    GDBusNodeInfo *node = g_dbus_node_info_new_for_xml(xml, NULL);
    g_dbus_connection_register_object(conn, "/org/freedesktop/DBus", node->interfaces[0], &vtable, g_strdup(name), g_free, NULL);
    g_dbus_node_info_unref(node);
    g_dbus_connection_add_filter(conn, add_sender, NULL, NULL);
}
