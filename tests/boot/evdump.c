/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs in a test guest: names every input device, then prints each event as "EVENT type code value". */
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void)
{
    struct pollfd p[16];
    int n = 0;
    for (int i = 0; i < 16; i++) {
        char path[32], name[80] = "?";
        snprintf(path, sizeof path, "/dev/input/event%d", i);
        int fd = open(path, O_RDONLY);
        if (fd < 0)
            continue;
        ioctl(fd, EVIOCGNAME(sizeof name), name);
        printf("INPUT %s\n", name);
        p[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    printf("READY %d\n", n);
    fflush(stdout);
    while (n > 0 && poll(p, (nfds_t)n, -1) > 0) {
        for (int i = 0; i < n; i++) {
            struct input_event e[64];
            if (!(p[i].revents & POLLIN))
                continue;
            ssize_t len = read(p[i].fd, e, sizeof e);
            for (ssize_t k = 0; k < len / (ssize_t)sizeof e[0]; k++) {
                if (e[k].type != EV_SYN && e[k].type != EV_MSC)
                    printf("EVENT %u %u %d\n", e[k].type, e[k].code, e[k].value);
            }
            fflush(stdout);
        }
    }
    return 0;
}
