/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes docs/vmx-keys.md from the key table to standard output. */
#include <stdio.h>
#include <string.h>

#include "config/vmx_schema.h"

/* A table cell; bar is what stands for a bar: words of a range are separated by it. */
static void cell(const char *s, const char *bar)
{
    for (; *s; s++) {
        if (*s == '|')
            fputs(bar, stdout);
        else if (*s == '*')
            fputs("\\*", stdout);
        else
            putchar(*s);
    }
}

int main(void)
{
    size_t n;
    const struct vmx_key *k = vmx_key_table(&n);
    puts("# Keys of a .vmx file\n\n"
         "This page is made from `vmx/config/vmx_keys.def`; do not edit it. `[0-3]` stands for one of the numbers, `*` for any text.\n"
         "Names compare without case. A key that is marked *kept* stays in the file as it is, and Lodge does not act on it yet. An empty value means\n"
         "the default. `lodge-vmx --check FILE.vmx` checks a file against this table; `-s key=value` sets a key for one run.");
    for (size_t i = 0; i < n; i++) {
        if (!k[i].name) {
            printf("\n## %s\n\n| key | type | default | allowed | | meaning |\n|---|---|---|---|---|---|\n", k[i].section);
            continue;
        }
        printf("| `%s` | %s | ", k[i].name, vmx_type_name(k[i].type));
        cell(k[i].def, "\\|");
        fputs(" | ", stdout);
        char range[64];
        if (k[i].type == VMX_INT && strchr(k[i].range, '/')) {
            snprintf(range, sizeof range, "%.*s, multiple of %s", (int)strcspn(k[i].range, "/"), k[i].range, strchr(k[i].range, '/') + 1);
            cell(range, ", ");
        } else {
            cell(k[i].range, ", ");
        }
        printf(" | %s | ", k[i].acts ? "" : "kept");
        cell(k[i].doc, "\\|");
        puts(" |");
    }
    return 0;
}
