/* SPDX-License-Identifier: Apache-2.0 */
/* One request and its response, as filters see it. The spine is exchange.c. One worker thread. */
#ifndef DP_EXCHANGE_H
#define DP_EXCHANGE_H

#include "common/clock.h"
#include "dataplane/http/message.h"
#include "dataplane/http/uri.h"
#include "dataplane/net/address.h"
#include "dataplane/refusal.h"
#include "dataplane/snapshot/snapshot.h"

struct dp_worker;

/* What came in, as it came in: filters read it, and may change head.headers, which go to the
 * backend. */
struct dp_request {
    struct dp_request_head head;
    gw_str path;        /* normalised: the one path for match, access, signature and log */
    gw_str environment; /* X-Stage, or "RELEASE" */
    struct dp_address source;
    gw_str source_text;
    bool source_is_doubtful; /* it should have come from X-Forwarded-For, and did not */
    gw_str request_id;       /* 32 hex digits */
    gw_msec received_wall_ms;
    bool tls;
    bool grpc;  /* a call of gRPC, by its content type */
    bool debug; /* X-Apig-Mode: debug; see dp_exchange_shows_debug */
    enum dp_debug_audience debug_audience;
    enum dp_uri_slash slash; /* what %2F in the path is */
    bool via_debug_domain;   /* Host is the group's debugging domain */
};

enum dp_origin { DP_ORIGIN_NONE, DP_ORIGIN_LOCAL, DP_ORIGIN_UPSTREAM };

/* What goes out. Local: body is whole, in the exchange's arena or static. Upstream: it streams. */
struct dp_response {
    enum dp_origin origin;
    struct dp_response_head head;
    gw_str body;             /* LOCAL only */
    enum dp_refusal refusal; /* NONE when a backend or a mock answered */
};

struct dp_exchange {
    struct gw_arena arena; /* ends with the exchange */
    struct dp_worker *worker;
    struct dp_snapshot *snapshot; /* pinned: the one it started with, to the end; of a tunnel until
                                     it is open, then NULL (route and app stay) */
    const struct dp_route *route; /* NULL until matched */
    struct dp_route_match match;  /* parameters and rest of the path */
    struct dp_request request;
    struct dp_response response;
    const struct dp_app *app; /* set by authentication; NULL: anonymous */
    gw_str auth_type;         /* "none", "app_code": for the log */
};

/* Debug headers are for callers that the API knows, unless everybody may see them. */
static inline bool dp_exchange_shows_debug(const struct dp_exchange *x)
{
    if (gw_likely(!x->request.debug) || x->request.debug_audience == DP_DEBUG_NOBODY)
        return false;
    return x->app || x->request.debug_audience == DP_DEBUG_EVERYBODY;
}

/* Sets the local answer with its JSON body; `detail` replaces the %s of a message
 * that has one. Always returns DP_REPLY: return dp_exchange_refuse(x, DP_REFUSE_THROTTLED). */
enum dp_verdict dp_exchange_refuse(struct dp_exchange *x, enum dp_refusal refusal);
enum dp_verdict dp_exchange_refuse_with(struct dp_exchange *x, enum dp_refusal refusal,
                                        gw_str detail);
/* Sets any local answer (mock); body is borrowed until the exchange ends. The caller adds headers
 * to x->response.head.headers afterwards. */
enum dp_verdict dp_exchange_reply(struct dp_exchange *x, unsigned status, gw_str body);
/* Goes on after DP_WAIT with what the filter would have returned. */
void dp_exchange_resume(struct dp_exchange *x, enum dp_verdict verdict);

#endif
