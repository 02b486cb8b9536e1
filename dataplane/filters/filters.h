/* SPDX-License-Identifier: Apache-2.0 */
/* Every filter there is, by name. Their order on the request path is chain.c's. */
#ifndef DP_FILTERS_FILTERS_H
#define DP_FILTERS_FILTERS_H

#include "dataplane/filter.h"

#define DP_FILTERS(X)                                                                              \
    X(response_headers)                                                                            \
    X(debug_domain)                                                                                \
    X(ip_access)                                                                                   \
    X(auth_key)                                                                                    \
    X(app_access)                                                                                  \
    X(throttle)                                                                                    \
    X(mock)

#define DP_FILTER_ROW(name) extern const struct dp_filter dp_filter_##name;
DP_FILTERS(DP_FILTER_ROW)
#undef DP_FILTER_ROW

#endif
