/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway's settings change while agents run: the flags' values, with what the snapshot
 * says on top. A worker has its own; an exchange takes what it needs when it begins. */
#ifndef DP_TUNABLES_H
#define DP_TUNABLES_H

#include "common/clock.h"

enum dp_debug_audience { DP_DEBUG_NOBODY, DP_DEBUG_APPS, DP_DEBUG_EVERYBODY };

struct dp_tunables {
    int64_t request_body_max; /* bytes */
    gw_msec body_timeout_ms;
    gw_msec backend_timeout_max_ms; /* 0: none */
    bool source_from_xff, xff_strict;
    int64_t xff_index;
    int gzip_level; /* 0: nothing is compressed */
    enum dp_debug_audience debug_audience;
    bool keep_escaped_slash; /* %2F is no separator */
    bool http2;
};

#endif
