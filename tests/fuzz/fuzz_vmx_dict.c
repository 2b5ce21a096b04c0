/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzz target: a .vmx is parsed, checked, changed and written; what was written must read the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/vmx_schema.h"

static void ignore(void *u, enum vmx_severity s, unsigned line, const char *key, const char *text)
{
    *(size_t *)u += strlen(key) + strlen(text) + line + s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vmx_dict *d = vmx_dict_parse(data, size, NULL);
    if (!d)
        return 0;
    size_t n, sum = 0;
    char *out = vmx_dict_format(d, &n);
    if (out && (n != size || memcmp(out, data, n)))
        abort(); /* not lossless */
    free(out);
    vmx_check(d, ignore, &sum);
    struct vmx_iter it = {0};
    struct vmx_entry en;
    char first[300] = "";
    if (vmx_dict_next(d, &it, &en) && vmx_name_valid(en.name))
        strcpy(first, en.name);
    if (*first && !vmx_dict_set(d, first, "a|\"b", NULL) && strcmp(vmx_dict_get(d, first), "a|\"b"))
        abort();
    if (!vmx_dict_set(d, "fuzz.key", "value", NULL)) {
        out = vmx_dict_format(d, &n);
        struct vmx_dict *again = out ? vmx_dict_parse(out, n, NULL) : NULL;
        /* A set .encoding may make the text read otherwise; plain ASCII reads the same in all charsets. */
        if (n <= VMX_DICT_MAX_BYTES && again && strcmp(vmx_dict_get(again, "fuzz.key") ? vmx_dict_get(again, "fuzz.key") : "", "value"))
            abort();
        vmx_dict_free(again);
        free(out);
    }
    vmx_dict_free(d);
    return 0;
}
