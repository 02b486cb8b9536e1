/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test starts with: cmocka and the headers that it wants before itself. */
#ifndef GW_TEST_H
#define GW_TEST_H

#include "common/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define assert_str(actual, expected) gw_test_assert_str((actual), (expected), __FILE__, __LINE__)

static inline void gw_test_assert_str(gw_str actual, const char *expected, const char *file,
                                      int line)
{
    if (gw_str_eq(actual, gw_str_from(expected)))
        return;
    print_error("got \"%.*s\", want \"%s\"\n", GW_STR_ARG(actual), expected);
    _fail(file, line);
}

#endif
