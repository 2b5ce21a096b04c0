/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines "FILE:LINE: KEY: TEXT"; warnings and notes have a word before the text, and keep no machine from powering on. */
#include "app-vm-check.h"

#include <glib/gi18n.h>
#include <string.h>

#include "app-error.h"
#include "app-process.h"

enum { SHOWN = 4 };

struct problem {
    guint line;
    char *text;
};

static int by_line(gconstpointer a, gconstpointer b)
{
    const struct problem *x = a, *y = b;
    return x->line < y->line ? -1 : x->line > y->line;
}

static void problem_clear(gpointer p) { g_free(((struct problem *)p)->text); }

static void add_line(GArray *out, const char *s, const char *vmx)
{
    struct problem p = {0};
    char *end;
    if (g_str_has_prefix(s, vmx) && s[strlen(vmx)] == ':') {
        s += strlen(vmx) + 1;
        p.line = (guint)g_ascii_strtoull(s, &end, 10);
        if (p.line && *end == ':')
            s = end + 1;
        while (*s == ' ')
            s++;
    }
    const char *text = strstr(s, ": ");
    if (!*s || (text && (g_str_has_prefix(text + 2, "warning: ") || g_str_has_prefix(text + 2, "note: "))))
        return;
    gboolean key = p.line && text && !memchr(s, ' ', (gsize)(text - s));
    g_autofree char *name = key ? g_strndup(s, (gsize)(text - s)) : NULL, *sentence = app_sentence(key ? text + 2 : s);
    p.text = key ? g_strdup_printf(_("Line %u, %s: %s"), p.line, name, sentence) : g_steal_pointer(&sentence);
    g_array_append_val(out, p);
}

char *app_vm_check_sentences(const char *printed, const char *vmx, guint *line)
{
    g_auto(GStrv) lines = g_strsplit(printed, "\n", -1);
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct problem));
    g_autoptr(GString) out = g_string_new(NULL);
    g_array_set_clear_func(all, problem_clear);
    for (char **l = lines; *l; l++)
        add_line(all, *l, vmx);
    g_array_sort(all, by_line);
    *line = 0;
    for (guint i = 0; i < all->len; i++) {
        const struct problem *p = &g_array_index(all, struct problem, i);
        if (!*line)
            *line = p->line;
        if (i < SHOWN)
            g_string_append_printf(out, "%s%s", i ? "\n" : "", p->text);
    }
    if (all->len > SHOWN) {
        guint more = all->len - SHOWN;
        g_string_append_c(out, '\n');
        g_string_append_printf(out, ngettext("and %u more", "and %u more", more), more);
    }
    return out->len ? g_string_free(g_steal_pointer(&out), FALSE) : NULL;
}

struct check {
    char *vmx;
    AppVmChecked done;
    gpointer u;
    GCancellable *cancel;
};

static void said(GObject *o, GAsyncResult *r, gpointer u)
{
    struct check *x = u;
    g_autofree char *out = NULL;
    guint line;
    gboolean good = g_subprocess_communicate_utf8_finish(G_SUBPROCESS(o), r, &out, NULL, NULL);
    if (g_cancellable_is_cancelled(x->cancel)) {
        g_subprocess_force_exit(G_SUBPROCESS(o));
    } else {
        g_autofree char *sentences = good && out ? app_vm_check_sentences(out, x->vmx, &line) : NULL;
        x->done(x->u, sentences, sentences ? line : 0);
    }
    g_object_unref(x->cancel);
    g_free(x->vmx);
    g_free(x);
}

void app_vm_check(const char *vmx, GCancellable *c, AppVmChecked done, gpointer u)
{
    g_autofree char *program = app_process_find_tool("lodge-vmx");
    g_autoptr(GSubprocess) p =
        program ? g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE, NULL, program, "--check", vmx, NULL) : NULL;
    if (!p)
        return;
    struct check *x = g_new(struct check, 1);
    *x = (struct check){.vmx = g_strdup(vmx), .done = done, .u = u, .cancel = g_object_ref(c)};
    g_subprocess_communicate_utf8_async(p, NULL, c, said, x);
}
