/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the first byte that does not belong, sixteen at a time; never reads at or behind `end`, nor
 * before `at`. Of sixteen or more bytes the last few are looked at with those before them. */
#ifndef DP_HTTP_SCAN_H
#define DP_HTTP_SCAN_H

#include "common/str.h"

extern const bool dp_scan_is_tchar[256]; /* RFC 9110 5.6.2 */

static inline gw_lanes dp_scan_load(const char *at)
{
    gw_lanes lanes;
    memcpy(&lanes, at, sizeof(lanes));
    return lanes;
}

/* Field values: anything but controls; HTAB is allowed, bytes above 127 too (obs-text). */
static inline unsigned dp_scan_value_stops(const char *at)
{
    gw_lanes v = dp_scan_load(at);
    return gw_lanes_mask((gw_lanes)((v < 0x20) & (v != '\t')) | (gw_lanes)(v == 0x7f));
}

static inline const char *dp_scan_value(const char *at, const char *end)
{
    bool is_long = end - at >= 16;
    for (; end - at >= 16; at += 16) {
        unsigned stop = dp_scan_value_stops(at);
        if (stop)
            return at + __builtin_ctz(stop);
    }
    if (is_long && at < end) {
        unsigned stop = dp_scan_value_stops(end - 16); /* none before `at` */
        return stop ? end - 16 + __builtin_ctz(stop) : end;
    }
    while (at < end && (((unsigned char)*at >= 0x20 && *at != 0x7f) || *at == '\t'))
        at++;
    return at;
}

/* Request targets: visible ASCII but "#". */
static inline const char *dp_scan_target(const char *at, const char *end)
{
    for (; end - at >= 16; at += 16) {
        gw_lanes v = dp_scan_load(at);
        unsigned stop =
            gw_lanes_mask((gw_lanes)(v < 0x21) | (gw_lanes)(v > 0x7e) | (gw_lanes)(v == '#'));
        if (stop)
            return at + __builtin_ctz(stop);
    }
    while (at < end && (unsigned char)*at >= 0x21 && (unsigned char)*at <= 0x7e && *at != '#')
        at++;
    return at;
}

/* Tokens: names and methods. The lanes know letters, digits and "-"; the table knows the rest. */
static inline const char *dp_scan_token(const char *at, const char *end)
{
    while (at < end) {
        if (end - at >= 16) {
            gw_lanes v = dp_scan_load(at);
            gw_lanes usual =
                (gw_lanes)((v | 0x20) - 'a' < 26) | (gw_lanes)(v - '0' < 10) | (gw_lanes)(v == '-');
            unsigned other = gw_lanes_mask(usual) ^ 0xffff;
            if (!other) {
                at += 16;
                continue;
            }
            at += __builtin_ctz(other);
        }
        if (!dp_scan_is_tchar[(unsigned char)*at])
            break;
        at++;
    }
    return at;
}

#endif
