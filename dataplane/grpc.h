/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent itself says and understands of gRPC over HTTP/2: deadlines, and refusals as
 * statuses. Messages pass through unseen. Pure. */
#ifndef DP_GRPC_H
#define DP_GRPC_H

#include "common/clock.h"
#include "dataplane/http/message.h"
#include "dataplane/refusal.h"

/* As gRPC numbers them. */
enum dp_grpc_status {
    DP_GRPC_OK = 0,
    DP_GRPC_UNKNOWN = 2,
    DP_GRPC_INVALID_ARGUMENT = 3,
    DP_GRPC_DEADLINE_EXCEEDED = 4,
    DP_GRPC_PERMISSION_DENIED = 7,
    DP_GRPC_RESOURCE_EXHAUSTED = 8,
    DP_GRPC_UNIMPLEMENTED = 12,
    DP_GRPC_INTERNAL = 13,
    DP_GRPC_UNAVAILABLE = 14,
    DP_GRPC_UNAUTHENTICATED = 16,
};

/* Content-Type is application/grpc, application/grpc+proto and the like; not that of gRPC-Web. */
bool dp_grpc_is_call(const struct dp_headers *headers);

#define DP_GRPC_TIMEOUT_MAX_MS (100 * (gw_msec)86400000) /* what is more is no limit */
/* "1S", "250m": 1 to 8 digits and H, M, S, m, u or n; rounded up. -1: it is none. */
GW_MUST_CHECK int dp_grpc_timeout_from(gw_str text, gw_msec *ret_ms);
/* The other way round; ms > 0. */
gw_str dp_grpc_timeout_to(struct gw_arena *arena, gw_msec ms);

/* What a refusal's HTTP status is as a status of gRPC: the one table. */
enum dp_grpc_status dp_grpc_status_of(unsigned http_status);
/* The number of a grpc-status, of any size; -1: it is none. */
int dp_grpc_status_from(gw_str text);
/* Adds grpc-status and grpc-message, escaped, to a head alone or to trailers. */
void dp_grpc_put_status(struct dp_headers *headers, enum dp_grpc_status status, gw_str message);
/* "APIG.0308: The throttling threshold has been reached. (request 0123...)" */
gw_str dp_grpc_message(struct gw_arena *arena, enum dp_refusal refusal, gw_str request_id);
/* *head becomes an answer without a body that says it. refusal: which; the status as on the way
 * so far. */
void dp_grpc_refuse(struct dp_response_head *head, struct gw_arena *arena, enum dp_refusal refusal,
                    gw_str request_id);

#endif
