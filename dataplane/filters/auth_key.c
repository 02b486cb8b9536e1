/* SPDX-License-Identifier: Apache-2.0 */
/* AppCode: the caller shows a secret in X-Apig-AppCode. Agents know only the
 * SHA-256 of the codes. What identifies the caller to the gateway does not reach the backend. */
#include "dataplane/exchange.h"
#include "dataplane/filters/filters.h"
#include "dataplane/sha256.h"

#include "penstock/agent/v1/agent.pb-c.h"

#define CODE_BYTES_MAX 180 /* the longest AppCode there is */

_Static_assert(DP_SHA256_BYTES == DP_APP_CODE_DIGEST_BYTES, "apps are found by SHA-256");

struct auth_key {
    bool app_code;  /* accepted at all; else no caller has a way to show an app */
    bool over_http; /* and without TLS */
};

static bool applies(const ProtobufCMessage *message)
{
    const Penstock__Agent__V1__Route *route = (const Penstock__Agent__V1__Route *)message;
    return route->auth && (route->auth->app || route->auth->app_code);
}

static int compile(const struct dp_compile *compile, const ProtobufCMessage *message,
                   const void **ret_conf, struct gw_error *err)
{
    const Penstock__Agent__V1__Route *route = (const Penstock__Agent__V1__Route *)message;
    if (!route->auth->app)
        return gw_fail_field(err, "auth.app_code", "needs auth.app");
    struct auth_key *conf = GW_ARENA_NEW(compile->arena, struct auth_key);
    conf->app_code = route->auth->app_code;
    conf->over_http = route->auth->app_code_over_http;
    *ret_conf = conf;
    return 0;
}

/* RFC 9110 11.6.1: a 401 names the scheme it wants. */
static enum dp_verdict refuse(struct dp_exchange *x, enum dp_refusal refusal)
{
    enum dp_verdict verdict = dp_exchange_refuse(x, refusal);
    dp_headers_add_id(&x->response.head.headers, DP_HEADER_WWW_AUTHENTICATE,
                      GW_STR("AppCode realm=\"api\""));
    return verdict;
}

/* Two codes leave open which one counts: there must be one. */
static unsigned count_codes(const struct dp_headers *headers)
{
    unsigned count = 0;
    for (unsigned i = 0; i < headers->count; i++)
        count += headers->items[i].id == DP_HEADER_X_APIG_APPCODE;
    return count;
}

static enum dp_verdict on_request(struct dp_exchange *x, const void *conf_ptr, void *scratch)
{
    (void)scratch;
    const struct auth_key *conf = conf_ptr;
    struct dp_headers *headers = &x->request.head.headers;
    gw_str code = dp_headers_value(headers, DP_HEADER_X_APIG_APPCODE);
    if (!conf->app_code || code.len == 0)
        return refuse(x, DP_REFUSE_AUTH_MISSING);
    if (!x->request.tls && !conf->over_http)
        return refuse(x, DP_REFUSE_AUTH_PLAINTEXT);
    if (code.len > CODE_BYTES_MAX || count_codes(headers) > 1)
        return refuse(x, DP_REFUSE_AUTH_UNKNOWN);
    uint8_t digest[DP_SHA256_BYTES];
    dp_sha256_recent(code, digest);
    x->app = dp_snapshot_app_by_code(x->snapshot, digest);
    if (!x->app)
        return refuse(x, DP_REFUSE_AUTH_UNKNOWN);
    x->auth_type = GW_STR("app_code");
    (void)dp_headers_remove(headers, DP_HEADER_X_APIG_APPCODE); /* it is one, as counted */
    (void)dp_headers_remove(headers, DP_HEADER_AUTHORIZATION);  /* mostly it is not there */
    return DP_NEXT;
}

const struct dp_filter dp_filter_auth_key = {
    .name = "auth_key",
    .applies = applies,
    .compile = compile,
    .on_request = on_request,
};
