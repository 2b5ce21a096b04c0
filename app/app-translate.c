/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sentences of lodge-vmx in the user's language. A machine's process says what went wrong in English, which its log keeps; the window finds the
 * sentence's pattern here and says it again with the same names and numbers. tests/ui/desktop_test.sh checks that each pattern is still said.
 */
#include "app-error.h"

#include <glib/gi18n.h>
#include <string.h>

static const char *const patterns[] = {
    /* files */
    N_("%s is in use by another process"),
    N_("%s is in use by another program or virtual machine; close that one first"),
    N_("%s is in use by process %ld; close that program or virtual machine first"),
    N_("%s is in use by process %ld; power that one off first"),
    N_("The virtual machine %s is in use by process %ld"),
    N_("%s does not exist; check the file name"),
    N_("%s: there is no such file; check the name"),
    N_("%s: you may not read this file; check its permissions"),
    N_("%s may not be opened for %s by this user; change its permissions"),
    N_("the %s %s does not exist; %s"),
    N_("the %s %s may not be read by you; change its permissions"),
    N_("disk image"),
    N_("CD image"),
    N_("BIOS image"),
    N_("correct the name, or remove the drive"),
    N_("correct the name, or set ide%d:%d.startConnected = \"FALSE\" to start with an empty drive"),
    N_("correct the name, or remove the line to use the installed SeaBIOS"),
    N_("the disk image %s may not be written by you; change its permissions, or set ide%d:%d.mode = \"independent-nonpersistent\" to throw writes away"),
    N_("there is no CD image, so the drive is empty; add ide%d:%d.fileName = \"image.iso\""),
    N_("%s: this is a directory; give the .vmx file inside it"),
    N_("%s is a folder, not a disk image; name the image file itself"),
    N_("%s is not a VMDK disk: it has neither the header of one nor a disk descriptor"),
    N_("%s is empty, so it is not a VMDK disk"),
    N_("%s is on a read-only file system, so a disk cannot be written there"),
    N_("%s is neither a regular file nor a block device, so it cannot be a disk image"),
    N_("%s exists already; choose another name or remove it first"),
    N_("%s cannot be opened: %s"),
    N_("%s cannot be written: %s"),
    N_("%s cannot be made: %s"),
    N_("ide%u:%u is a disk without an image"),
    N_("ide%u:%u: an IDE disk cannot be read-only; make its image writable"),
    N_("The guest has locked the CD-ROM drive ide%u:%u; eject the disc in the guest first, or force the change"),
    N_("the machine is encrypted; remove the encryption with the product that made it"),
    /* memory */
    N_("The guest needs %llu MiB of memory but the host has only %llu MiB to give; lower memsize or close other programs"),
    N_("The host's kernel refuses %llu MiB of memory for the guest (%s); lower memsize or close other programs"),
    N_("not enough memory for the machine"),
    /* engines */
    N_("there is no engine called %s; it is software or hardware"),
    N_("binary translation runs up to %d processors, and numvcpus is %u; lower it"),
    N_("hardware virtualization runs up to %d processors, and numvcpus is %u; lower it"),
    N_("monitor.virtual_exec asks for hardware virtualization, and %s. Or set it to automatic or software."),
    N_("/dev/kvm is there, but it emulates the guest's instructions one by one instead of running them, because this host is itself a virtual machine; binary "
       "translation is faster"),
    N_("another hypervisor (VirtualBox, for example) uses the processor's virtualization now; end its machines"),
    N_("no permission for /dev/kvm, which group %s may use: 'sudo usermod -aG %s $USER', then log in again"),
    N_("the processor does not offer it: switch virtualization (%s) on in the computer's firmware setup, if it has the entry"),
    N_("the processor has it, but there is no /dev/kvm: load the kernel module with 'sudo modprobe %s'; if that fails, switch virtualization (%s) on in the "
       "computer's firmware setup"),
    N_("this computer is itself a virtual machine, and its host does not pass virtualization on; nested virtualization must be switched on there"),
    /* networks, screen, ports */
    N_("lodge-nethelper has no permission to connect machines to the host's interfaces. To give it: sudo setcap cap_net_admin,cap_dac_override+p %s"),
    N_("%s is no Ethernet interface, so machines cannot be connected to it. Use NAT."),
    N_("%s is not connected to NAT, so no port can be forwarded; connect it to nat first"),
    N_("%s %s port %u is forwarded already; choose another port"),
    N_("%s port %u of %s needs privileges; choose one from 1024 on"),
    N_("TCP port %u on %s is in use by %s: set RemoteDisplay.vnc.port = \"%u\", which is free."),
    N_("RemoteDisplay.vnc.ip is %s, which is not an address of this computer."),
    N_("The serial port's pipe %s is served by another program already"),
    N_("The serial port's file %s cannot be written: %s"),
    N_("anyone on the network can use the screen; set RemoteDisplay.vnc.password, or RemoteDisplay.vnc.ip to 127.0.0.1"),
    /* what has happened to a machine */
    N_("The machine is stopped by a fault: %s"),
    N_("The virtual machine has stopped because of an internal error and can only be powered off."),
    N_("the machine is on already"),
    N_("the machine is off"),
};

/* A pattern as an expression: each conversion is a group. */
static GRegex *regex_of(const char *pattern)
{
    /* A kind of file, which may be two words, and its path. */
    static const char kind_and_path[] = "the %s %s ";
    g_autoptr(GString) s = g_string_new("^");
    if (g_str_has_prefix(pattern, kind_and_path)) {
        g_string_append(s, "the (.+?) (/.+?) ");
        pattern += strlen(kind_and_path);
    }
    while (*pattern) {
        if (*pattern == '%') {
            pattern++;
            pattern += strspn(pattern, "0123456789.lzh");
            g_string_append(s, *pattern == 's' ? "(.+?)" : "(-?[0-9]+)");
            pattern++;
            continue;
        }
        gsize n = strcspn(pattern, "%");
        g_autofree char *literal = g_strndup(pattern, n), *quoted = g_regex_escape_string(literal, -1);
        g_string_append(s, quoted);
        pattern += n;
    }
    g_string_append(s, g_str_has_suffix(s->str, "\\.") ? "$" : "\\.?$");
    return g_regex_new(s->str, G_REGEX_OPTIMIZE, 0, NULL);
}

/* A translated pattern with its groups in their places: in order, or as %2$s says. */
static char *fill(const char *format, GMatchInfo *m)
{
    g_autoptr(GString) out = g_string_new(NULL);
    int next = 1;
    while (*format) {
        gsize n = strcspn(format, "%");
        g_string_append_len(out, format, (gssize)n);
        format += n;
        if (!*format)
            break;
        char *end = NULL;
        int which = (int)g_ascii_strtoll(++format, &end, 10);
        if (end != format && *end == '$')
            format = end + 1;
        else
            which = next;
        next++;
        format += strspn(format, "0123456789.lzh");
        format += *format != 0;
        g_autofree char *group = g_match_info_fetch(m, which), *inner = app_translate(group ? group : "");
        g_string_append(out, inner);
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static char *whole(const char *text)
{
    static GRegex *regex[G_N_ELEMENTS(patterns)];
    for (guint i = 0; i < G_N_ELEMENTS(patterns); i++) {
        g_autoptr(GMatchInfo) m = NULL;
        regex[i] = regex[i] ? regex[i] : regex_of(patterns[i]);
        if (g_regex_match(regex[i], text, 0, &m))
            return fill(_(patterns[i]), m);
    }
    return NULL;
}

char *app_translate(const char *text)
{
    /* Before a sentence may stand where it comes from: "debian.vmx: ide1:0: ...". */
    for (const char *from = text; from; from = strstr(from, ": ") ? strstr(from, ": ") + 2 : NULL) {
        g_autofree char *said = *from ? whole(from) : NULL;
        if (said) {
            g_autofree char *before = g_strndup(text, (gsize)(from - text));
            return g_strconcat(before, said, NULL);
        }
    }
    /* What the system says of its calls has its translation in the C library's catalogue. */
    return g_strdup(*text ? g_dgettext("libc", text) : text);
}
