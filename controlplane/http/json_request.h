/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP request of the JSON form as the message that its method takes. Pure. */
#ifndef CP_HTTP_JSON_REQUEST_H
#define CP_HTTP_JSON_REQUEST_H

#include "controlplane/http/json_routes.h"

#define CP_JSON_PARAMETERS_MAX 256

/* Of the query, decoded. */
struct cp_json_parameter {
    gw_str name, value;
};

struct cp_json_input {
    gw_str subject; /* what the route found in the path */
    const struct cp_json_parameter *parameters;
    size_t parameter_count;
    gw_str body; /* empty: there was none */
};

/* Into the arena. What is not known, stands twice or contradicts the path is INVALID_ARGUMENT, by
 * the name that was sent. */
GW_MUST_CHECK int cp_json_request_make(struct gw_arena *arena, const struct cp_json_route *route,
                                       const struct cp_json_input *input,
                                       ProtobufCMessage **ret_request, struct gw_error *err);

/* Plain values, times, masks, and lists of plain values. */
bool cp_json_is_parameter(const ProtobufCFieldDescriptor *field);

#endif
