/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Port 402h, where SeaBIOS writes its debug text when a read gives E9h. Lines go to the log at debug level. */
#include "chipset/debugport.h"

#include "base/log.h"
#include "core/vm.h"

struct debugport {
    struct dev dev;
    struct port_range port;
    char line[200];
    unsigned n;
};

static uint64_t debugport_read(void *dev, uint64_t off, unsigned size) { return 0xe9; }

static void debugport_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct debugport *p = dev;
    char c = (char)val;
    if (c != '\n' && c != '\r')
        p->line[p->n++] = c;
    if ((c == '\n' && p->n) || p->n == sizeof p->line - 1) {
        p->line[p->n] = 0;
        log_msg(LOG_DEBUG, "firmware", "%s", p->line);
        p->n = 0;
    }
}

static const struct io_ops debugport_ops = {.read = debugport_read, .write = debugport_write, .widths = IO_8};

static int debugport_init(struct dev *d, const void *params, struct err *e)
{
    struct debugport *p = (struct debugport *)d;
    p->port = (struct port_range){"debugport", 0x402, 1, &debugport_ops, p};
    return port_claim(d->vm, &p->port, e);
}

static void debugport_reset(struct dev *d, enum reset_kind k) { ((struct debugport *)d)->n = 0; }

const struct dev_class debugport_class = {
    .name = "debugport", .size = sizeof(struct debugport), .init = debugport_init, .reset = debugport_reset};
