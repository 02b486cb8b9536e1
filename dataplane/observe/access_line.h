/* SPDX-License-Identifier: Apache-2.0 */
/* One exchange as one line of JSON. What a caller sent is cut at a named limit and escaped byte by
 * byte; of the query only the length is told and of the headers only User-Agent, so that no
 * credential can get in. Fields without a value are left out. */
#ifndef DP_OBSERVE_ACCESS_LINE_H
#define DP_OBSERVE_ACCESS_LINE_H

#include "dataplane/observe/observe.h"

/* Bytes of what is shown of each; then "..." follows. */
#define DP_LINE_PATH_MAX 1024
#define DP_LINE_TEXT_MAX 200 /* host, user agent, names */

/* The time of the last line, printed: most lines share the second. */
struct dp_line_clock {
    gw_msec second; /* since the epoch; 0: none yet */
    char text[GW_RFC3339_LEN + 1];
};

/* Writes the line with its "\n" into `text` of DP_ACCESS_LOG_LINE_MAX bytes, which it always fits.
 * Returns the length. */
size_t dp_access_line_write(char *text, struct dp_line_clock *clock, const struct dp_exchange *x,
                            const struct dp_outcome *outcome);

#endif
