/* SPDX-License-Identifier: Apache-2.0 */
/* Request methods: those that are known by number. */
#ifndef DP_HTTP_METHOD_H
#define DP_HTTP_METHOD_H

#include "common/str.h"

enum dp_method {
    DP_METHOD_OTHER, /* a valid token that is none of these: see method_name */
    DP_METHOD_GET,
    DP_METHOD_HEAD,
    DP_METHOD_POST,
    DP_METHOD_PUT,
    DP_METHOD_DELETE,
    DP_METHOD_PATCH,
    DP_METHOD_OPTIONS,
    DP_METHOD_TRACE,
    DP_METHOD_CONNECT,
    DP_METHOD_COUNT
};

/* Case-sensitive, as HTTP methods are. */
enum dp_method dp_method_from(gw_str name);
/* "GET" and so on; "" for OTHER. */
gw_str dp_method_name(enum dp_method method);
/* RFC 9110 9.2.2: a repeat has the effect of one. */
bool dp_method_is_idempotent(enum dp_method method);

#endif
