/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When Lodge itself crashes: a report in the log that names the thread, the host pc and each vCPU's guest pc, then the default action. */
#ifndef LODGE_VMX_CRASH_H
#define LODGE_VMX_CRASH_H

struct vm;

void crash_init(void);           /* before the engine installs its own handlers, which pass on what is not theirs [main] */
void crash_watch(struct vm *vm); /* whose vCPUs to report; NULL: none [main] */
void crash_thread_started(void); /* a signal stack for the calling thread, unless it has one */

#endif
