/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ASSERT stays in release builds; DASSERT only in --enable-debug builds. For internal errors only: never for guest
 * input. */
#ifndef LODGE_BASE_ASSERT_H
#define LODGE_BASE_ASSERT_H

_Noreturn void assert_failed(const char *expr, const char *file, int line);
#define ASSERT(x) ((x) ? (void)0 : assert_failed(#x, __FILE__, __LINE__))
#ifdef LODGE_DEBUG
#define DASSERT(x) ASSERT(x)
#else
#define DASSERT(x) ((void)sizeof(x))
#endif
#define UNREACHABLE() assert_failed("unreachable", __FILE__, __LINE__)

#endif
