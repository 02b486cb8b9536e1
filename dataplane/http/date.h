/* SPDX-License-Identifier: Apache-2.0 */
/* The text of the Date header, made once a second. One per thread. */
#ifndef DP_HTTP_DATE_H
#define DP_HTTP_DATE_H

#include "common/str.h"

#define DP_DATE_LEN 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

struct dp_date {
    int64_t second; /* of the text; a zeroed struct has none */
    char text[DP_DATE_LEN + 1];
};

/* View into *date, good until the next call. unix_second: 0 to the end of the year 9999. */
gw_str dp_date_text(struct dp_date *date, int64_t unix_second);

#endif
