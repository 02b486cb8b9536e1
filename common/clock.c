/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"

#include <stdatomic.h>
#include <time.h>

#define MS_PER_SECOND 1000
#define NS_PER_MS 1000000
/* 0000-01-01 and the last moment of 9999, what four digits of a year can say. */
#define RFC3339_MIN_MS INT64_C(-62167219200000)
#define RFC3339_MAX_MS INT64_C(253402300799999)

/* Tests set them from one thread; the code under test may read them from others. */
static _Atomic bool fake_on;
static _Atomic gw_msec fake_monotonic_ms, fake_wall_ms;

static gw_nsec read_ns(clockid_t id)
{
    struct timespec now;
    int rc = clock_gettime(id, &now);
    assert(rc == 0);
    (void)rc; /* these clocks always exist on Linux */
    return (gw_nsec)now.tv_sec * MS_PER_SECOND * NS_PER_MS + now.tv_nsec;
}

gw_nsec gw_clock_monotonic_ns(void)
{
    if (gw_unlikely(atomic_load_explicit(&fake_on, memory_order_relaxed)))
        return atomic_load(&fake_monotonic_ms) * NS_PER_MS;
    return read_ns(CLOCK_MONOTONIC);
}

gw_msec gw_clock_monotonic_ms(void)
{
    return gw_clock_monotonic_ns() / NS_PER_MS;
}

gw_msec gw_clock_wall_ms(void)
{
    if (gw_unlikely(atomic_load_explicit(&fake_on, memory_order_relaxed)))
        return atomic_load(&fake_wall_ms);
    return read_ns(CLOCK_REALTIME) / NS_PER_MS;
}

void gw_clock_fake(gw_msec monotonic_ms, gw_msec wall_ms)
{
    atomic_store(&fake_monotonic_ms, monotonic_ms);
    atomic_store(&fake_wall_ms, wall_ms);
    atomic_store(&fake_on, true);
}

void gw_clock_fake_off(void)
{
    atomic_store(&fake_on, false);
}

static void put_digits(char *at, int count, int value)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
}

void gw_clock_to_rfc3339(gw_msec wall_ms, char ret_text[GW_RFC3339_LEN + 1])
{
    gw_msec ms = GW_MAX(RFC3339_MIN_MS, GW_MIN(RFC3339_MAX_MS, wall_ms));
    gw_msec part = ((ms % MS_PER_SECOND) + MS_PER_SECOND) % MS_PER_SECOND;
    time_t seconds = (ms - part) / MS_PER_SECOND;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    memcpy(ret_text, "0000-00-00T00:00:00.000Z", GW_RFC3339_LEN + 1);
    put_digits(ret_text, 4, tm.tm_year + 1900);
    put_digits(ret_text + 5, 2, tm.tm_mon + 1);
    put_digits(ret_text + 8, 2, tm.tm_mday);
    put_digits(ret_text + 11, 2, tm.tm_hour);
    put_digits(ret_text + 14, 2, tm.tm_min);
    put_digits(ret_text + 17, 2, tm.tm_sec);
    put_digits(ret_text + 20, 3, (int)part);
}
