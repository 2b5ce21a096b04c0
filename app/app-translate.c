/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sentences of lodge-vmx in the user's language. A machine's process says what went wrong in English, which its log keeps; the window finds the
 * format that the sentence was made with (messages.def, taken from the sources by po/messages.sh) and says it again with the same names and numbers.
 * ARCHITECTURE.md says why.
 */
#define _GNU_SOURCE
#include "app-error.h"

#include <glib/gi18n.h>
#include <string.h>

static const char *const patterns[] = {
#include "messages.def"
    /* said in pieces, or in other files */
    N_("The virtual machine has stopped because of an internal error and can only be powered off."),
    N_("The machine is stopped by a fault: %s"),
    N_("\"%s\" is not known here; write one of %s"),
    N_("CD image"),
    N_("DHCP serves at most 4096 addresses; make the range smaller"),
    N_("starting"),
    N_("off"),
    N_("paused"),
    N_("stopping"),
    N_("reading"),
    N_("writing"),
    N_("%s; until then the adapter is unplugged"),
    N_("%s; until then the guest sees the usual model"),
    N_("%s; until then an address is generated"),
    N_("%s; until then the usual value holds"),
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
            pattern += strspn(pattern, "0123456789.*lzh");
            if (*pattern == '%')
                g_string_append_c(s, '%');
            else
                g_string_append(s, *pattern == 's' ? "(.*?)" : *pattern == 'x' || *pattern == 'X' ? "([0-9a-fA-F]+)" : "(-?[0-9]+)");
            pattern++;
            continue;
        }
        gsize n = strcspn(pattern, "%");
        g_autofree char *literal = g_strndup(pattern, n), *quoted = g_regex_escape_string(literal, -1);
        g_string_append(s, quoted);
        pattern += n;
    }
    g_string_append(s, g_str_has_suffix(s->str, "\\.") ? "$" : "\\.?$");
    return g_regex_new(s->str, 0, 0, NULL);
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
        format += strspn(format, "0123456789.*lzh");
        char kind = *format;
        format += kind != 0;
        if (kind == '%') {
            g_string_append_c(out, '%');
            continue;
        }
        next++;
        g_autofree char *group = g_match_info_fetch(m, which), *inner = app_translate(group ? group : "");
        g_string_append(out, inner);
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

/* A piece of the pattern's own words, so that most sentences need no expression: the longest that has no conversion. */
static gboolean may_match(const char *pattern, const char *text)
{
    gsize best = 0;
    const char *from = pattern;
    for (const char *p = pattern; *p;) {
        gsize n = strcspn(p, "%");
        if (n > best) {
            best = n;
            from = p;
        }
        p += n;
        if (*p) {
            p += 1 + strspn(p + 1, "0123456789.*lzh");
            p += *p != 0;
        }
    }
    while (best && from[best - 1] == '.') /* the end may be without its full stop */
        best--;
    return !best || memmem(text, strlen(text), from, best);
}

static char *whole(const char *text)
{
    static GRegex *regex[G_N_ELEMENTS(patterns)];
    for (guint i = 0; i < G_N_ELEMENTS(patterns); i++) {
        g_autoptr(GMatchInfo) m = NULL;
        if (!may_match(patterns[i], text))
            continue;
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
