/* SPDX-License-Identifier: Apache-2.0 */
/* ROUTE: from the head of a request to the API that it calls. */
#include "dataplane/flow.h"
#include "dataplane/http/uri.h"
#include "dataplane/settings.h"
#include "dataplane/source.h"
#include "dataplane/worker_internal.h"

#define DEFAULT_ENVIRONMENT GW_STR("RELEASE")
#define ALLOWED GW_STR("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS")

/* The environment's name is exact, and the backend does not see the header. */
static gw_str take_environment(struct dp_headers *headers)
{
    gw_str name = dp_headers_value(headers, DP_HEADER_X_STAGE);
    (void)dp_headers_remove(headers, DP_HEADER_X_STAGE); /* mostly it is not there */
    return name.len ? name : DEFAULT_ENVIRONMENT;
}

/* What is no address there leaves the peer's, but for access control when --xff-strict is on. */
static void take_source(struct dp_exchange *x, const struct dp_tunables *tunables)
{
    struct dp_request *request = &x->request;
    if (!dp_source_forwarded(&request->head.headers, tunables->xff_index, &request->source)) {
        request->source_is_doubtful = tunables->xff_strict;
        return;
    }
    char *text = gw_arena_bytes(&x->arena, DP_ADDRESS_TEXT_MAX);
    request->source_text = gw_str_n(text, dp_address_print(&request->source, text));
}

/* Where the same resource is served over TLS, at the caller's own target. */
static enum dp_verdict redirect(struct dp_exchange *x)
{
    const struct dp_request_head *head = &x->request.head;
    int64_t port = x->worker->shared->settings->https_port;
    gw_str place = port == 443 ? GW_STR_NONE : gw_arena_printf(&x->arena, ":%lld", (long long)port);
    gw_str location = gw_arena_printf(
        &x->arena, "https://%.*s%.*s%.*s%s%.*s", GW_STR_ARG(head->host), GW_STR_ARG(place),
        GW_STR_ARG(head->path), head->has_query ? "?" : "", GW_STR_ARG(head->query));
    (void)dp_exchange_reply(x, 301, GW_STR_NONE); /* it says REPLY */
    dp_headers_set(&x->response.head.headers, GW_STR("Location"), location);
    return DP_REPLY;
}

/* Only of what can be asked for again elsewhere. */
static bool wants_redirect(const struct dp_exchange *x, const struct dp_host *host)
{
    enum dp_method method = x->request.head.method;
    return !x->request.tls && host && host->tls && host->tls->https_redirect && x->route->https &&
           (method == DP_METHOD_GET || method == DP_METHOD_HEAD);
}

/* The Host of a request may be another's than SNI was: what its domain asks of connections this
 * one must have, whatever it was made for. */
static enum dp_verdict check_connection(struct dp_exchange *x, const struct dp_host *host)
{
    const struct dp_tls *tls = dp_downstream_tls(dp_flow_of(x)->downstream);
    struct dp_tls_facts facts;
    if (gw_unlikely(!tls)) /* a guest, who only counts as TLS */
        return host->tls->verifies ? dp_exchange_refuse(x, DP_REFUSE_CLIENT_CERTIFICATE) : DP_NEXT;
    switch (dp_tls_admits(tls, host->tls)) {
    case DP_TLS_ADMITTED:
        return DP_NEXT;
    case DP_TLS_TOO_OLD:
        dp_tls_describe(tls, &facts);
        return dp_exchange_refuse_with(x, DP_REFUSE_TLS_VERSION, facts.version);
    case DP_TLS_MISDIRECTED:
        return dp_exchange_refuse(x, DP_REFUSE_MISDIRECTED);
    default:
        return dp_exchange_refuse(x, DP_REFUSE_CLIENT_CERTIFICATE);
    }
}

static enum dp_verdict check_scheme(struct dp_exchange *x, const struct dp_host *host)
{
    if (gw_unlikely(wants_redirect(x, host)))
        return redirect(x);
    bool is_served = x->request.tls ? x->route->https : x->route->http;
    if (gw_likely(is_served))
        return DP_NEXT;
    return dp_exchange_refuse_with(x, DP_REFUSE_SCHEME,
                                   x->route->https ? GW_STR("HTTPS") : GW_STR("HTTP"));
}

static enum dp_verdict with_allow(struct dp_exchange *x, enum dp_verdict verdict)
{
    dp_headers_add(&x->response.head.headers, GW_STR("Allow"), ALLOWED);
    return verdict;
}

/* What is meant for this gateway and no backend behind it. TRACE would tell a caller what the
 * gateway adds, and scripts what they may not read. OPTIONS ends here when it asks for the server
 * as a whole, or may not go further (RFC 9110 7.6.2). */
static enum dp_verdict answer_here(struct dp_exchange *x)
{
    const struct dp_request_head *head = &x->request.head;
    if (head->method == DP_METHOD_TRACE)
        return with_allow(x, dp_exchange_refuse(x, DP_REFUSE_TRACE));
    if (head->method != DP_METHOD_OPTIONS)
        return DP_NEXT;
    const struct dp_header *hops = dp_headers_find(&head->headers, GW_STR("Max-Forwards"));
    bool is_last = hops && gw_str_eq(hops->value, GW_STR("0"));
    if (!is_last && !gw_str_eq(head->path, GW_STR("*")))
        return DP_NEXT;
    return with_allow(x, dp_exchange_reply(x, 204, GW_STR_NONE));
}

enum dp_verdict dp_match_route(struct dp_exchange *x)
{
    struct dp_request *request = &x->request;
    const struct dp_tunables *tunables = &x->worker->tunables;
    const struct dp_host *host = NULL;
    if (tunables->source_from_xff)
        take_source(x, tunables);
    if (!x->snapshot)
        return dp_exchange_refuse(x, DP_REFUSE_NOT_READY);
    if (dp_headers_repeat_singleton(&request->head.headers))
        return dp_exchange_refuse(x, DP_REFUSE_REPEATED_FIELD);
    if (answer_here(x) == DP_REPLY)
        return DP_REPLY;
    request->slash = tunables->keep_escaped_slash ? DP_URI_SLASH_KEEP : DP_URI_SLASH_DECODE;
    if (dp_uri_normalise(&x->arena, request->head.path, request->slash, &request->path) < 0)
        return dp_exchange_refuse(x, DP_REFUSE_BAD_PATH);
    request->debug_audience = dp_downstream_context(dp_flow_of(x)->downstream)
                                  ? DP_DEBUG_EVERYBODY
                                  : tunables->debug_audience;
    request->environment = take_environment(&request->head.headers);
    request->debug = gw_str_eq_nocase(
        dp_headers_value(&request->head.headers, DP_HEADER_X_APIG_MODE), GW_STR("debug"));

    const struct dp_router_group *group =
        dp_snapshot_find_group(x->snapshot, request->head.host, &host);
    if (x->request.tls && host && host->tls && check_connection(x, host) == DP_REPLY)
        return DP_REPLY;
    const struct dp_route_tree *tree =
        group ? dp_router_group_tree(group, request->environment) : NULL;
    if (!tree)
        return dp_exchange_refuse(x, DP_REFUSE_NO_API);
    request->via_debug_domain = host && host->is_debug;
    switch (dp_route_tree_match(tree, request->head.method, request->path, &x->match)) {
    case DP_ROUTE_FOUND:
        x->route = x->match.value;
        return check_scheme(x, host);
    case DP_ROUTE_NO_METHOD:
        return dp_exchange_refuse(x, DP_REFUSE_NO_METHOD);
    default:
        return dp_exchange_refuse(x, DP_REFUSE_NO_API);
    }
}
