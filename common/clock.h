/* SPDX-License-Identifier: Apache-2.0 */
/* Time behind one seam, so that tests own it. */
#ifndef GW_CLOCK_H
#define GW_CLOCK_H

#include "common/str.h"

typedef int64_t gw_msec; /* milliseconds */
typedef int64_t gw_nsec; /* nanoseconds */

gw_msec gw_clock_monotonic_ms(void);
gw_nsec gw_clock_monotonic_ns(void);
/* Since the Unix epoch. */
gw_msec gw_clock_wall_ms(void);

/* Tests: both clocks stand still at these values until gw_clock_fake_off. */
void gw_clock_fake(gw_msec monotonic_ms, gw_msec wall_ms);
void gw_clock_fake_off(void);

/* RFC 3339 in UTC with milliseconds, "2026-01-01T00:00:00.000Z" and NUL: 25 bytes. */
#define GW_RFC3339_LEN 24
void gw_clock_to_rfc3339(gw_msec wall_ms, char ret_text[GW_RFC3339_LEN + 1]);

#endif
