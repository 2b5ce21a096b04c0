/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ISA DMA as a device sees it; dma8237.c implements it. */
#ifndef LODGE_CHIPSET_ISA_DMA_H
#define LODGE_CHIPSET_ISA_DMA_H

#include <stdbool.h>
#include <stdint.h>

struct isa_dma {
    /* DREQ. When it is high and the guest unmasks or programs the channel, go() of the channel is called. [dev] */
    void (*dreq)(void *ctl, unsigned chan, bool level);
    /*
     * Moves up to n bytes between buf and memory at the channel's current address: to_memory for a device that was read (DMA write). Returns the
     * bytes moved; 0 when the channel is masked, off or programmed for the other direction. A verify transfer moves the count only.
     * *tc: the count ran out (then it is auto-initialised or masked). Channels 5-7 move 16-bit words: n even. [dev]
     */
    unsigned (*xfer)(void *ctl, unsigned chan, bool to_memory, void *buf, unsigned n, bool *tc);
    /* Who uses the channel; go may be NULL. [main] while building */
    void (*attach)(void *ctl, unsigned chan, void (*go)(void *dev), void *dev);
    void *ctl;
};

#endif
