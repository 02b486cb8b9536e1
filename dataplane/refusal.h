/* SPDX-License-Identifier: Apache-2.0 */
/* Every answer that the agent makes itself instead of a backend. One row: name,
 * status, code, message, reason word. The reason word is the metric's label and in the access log;
 * only of a request that could not be read the log says more (DP_H1_ERRORS). */
#ifndef DP_REFUSAL_H
#define DP_REFUSAL_H

#include "common/str.h"

#define DP_REFUSALS(X)                                                                             \
    X(BAD_REQUEST, 400, "APIG.0602", "Bad request.", "http.bad_request")                           \
    X(BAD_PATH, 400, "APIG.0602", "Bad request.", "http.path")                                     \
    X(REPEATED_FIELD, 400, "APIG.0602", "Bad request.", "http.header_repeated")                    \
    X(TRACE, 405, "APIG.0602", "Bad request.", "http.trace")                                       \
    X(URI_TOO_LARGE, 414, "APIG.0201", "Request URI too large.", "http.uri_too_large")             \
    X(HEADERS_TOO_LARGE, 431, "APIG.0201", "Request headers too large.", "http.headers_too_large") \
    X(BODY_TOO_LARGE, 413, "APIG.0201", "Request entity too large.", "http.body_too_large")        \
    X(EXPECTATION_FAILED, 417, "APIG.0602", "Bad request.", "http.expect")                         \
    X(NOT_IMPLEMENTED, 501, "APIG.0602", "Bad request.", "http.not_implemented")                   \
    X(VERSION, 505, "APIG.0602", "Bad request.", "http.version")                                   \
    X(REQUEST_TIMEOUT, 408, "APIG.0201", "API request error.", "http.request_timeout")             \
    X(WEBSOCKET_KEY, 400, "APIG.0602", "Bad request.", "http.websocket_key")                       \
    X(NO_SOURCE_ADDRESS, 403, "APIG.0401", "Unknown client IP address.", "source.unknown")         \
    X(NO_API, 404, "APIG.0101",                                                                    \
      "The API does not exist or has not been published in the environment.", "route.none")        \
    X(NO_METHOD, 404, "APIG.0101", "The API does not exist.", "route.method")                      \
    X(SCHEME, 400, "APIG.0607", "The following protocol is supported: %s", "route.scheme")         \
    X(TLS_VERSION, 400, "APIG.0204", "SSL protocol is not supported: %s", "tls.version")           \
    X(CLIENT_CERTIFICATE, 400, "APIG.0205", "Verify client certificate failed",                    \
      "tls.client_certificate")                                                                    \
    X(MISDIRECTED, 421, "APIG.0205", "Verify client certificate failed", "tls.misdirected")        \
    X(DEBUG_QUOTA, 429, "APIG.0308", "The throttling threshold has been reached.",                 \
      "debug_domain.quota")                                                                        \
    X(IP_ACCESS, 403, "APIG.0402", "The IP address is not authorized to access the API.",          \
      "ip_access.denied")                                                                          \
    X(AUTH_MISSING, 401, "APIG.0303", "Incorrect app authentication information.",                 \
      "auth_key.missing")                                                                          \
    X(AUTH_UNKNOWN, 401, "APIG.0303", "Incorrect app authentication information.",                 \
      "auth_key.unknown")                                                                          \
    X(AUTH_PLAINTEXT, 401, "APIG.0303",                                                            \
      "Incorrect app authentication information: AppCode over HTTP", "auth_key.plaintext")         \
    X(APP_UNAUTHORIZED, 403, "APIG.0304", "The app is not authorized to access the API.",          \
      "app_access.unauthorized")                                                                   \
    X(APP_FROZEN, 403, "APIG.0502", "The app has been frozen.", "app_access.frozen")               \
    X(APP_ADDRESS, 403, "APIG.0405", "The app is not accessed from a trusted IP address.",         \
      "app_access.address")                                                                        \
    X(THROTTLED, 429, "APIG.0308", "The throttling threshold has been reached.",                   \
      "throttle.exceeded")                                                                         \
    X(RECURSION, 500, "APIG.0612", "An API cannot call itself.", "upstream.recursion")             \
    X(BACKEND_UNRESOLVED, 500, "APIG.0605", "Domain name resolution failed.",                      \
      "upstream.unresolved")                                                                       \
    X(NO_MEMBER, 502, "APIG.0610", "No backend available.", "upstream.no_member")                  \
    X(BACKEND_UNAVAILABLE, 502, "APIG.0202", "Backend unavailable", "upstream.connect")            \
    X(BACKEND_PROTOCOL, 502, "APIG.0202", "Backend unavailable", "upstream.protocol")              \
    X(BACKEND_WEBSOCKET, 502, "APIG.0202", "Backend unavailable", "upstream.websocket")            \
    X(BACKEND_TIMEOUT, 504, "APIG.0203", "Backend timeout", "upstream.timeout")                    \
    X(DEADLINE, 504, "APIG.0203", "Backend timeout", "grpc.deadline")                              \
    X(BAD_DEADLINE, 400, "APIG.0602", "Bad request.", "grpc.timeout")                              \
    X(NOT_GRPC, 415, "APIG.0602", "Bad request.", "grpc.content_type")                             \
    X(NOT_READY, 503, "APIG.0606", "Failed to load the API configurations.", "agent.no_snapshot")

enum dp_refusal {
    DP_REFUSAL_NONE,
#define DP_REFUSAL_ROW(name, status, code, message, reason) DP_REFUSE_##name,
    DP_REFUSALS(DP_REFUSAL_ROW)
#undef DP_REFUSAL_ROW
        DP_REFUSAL_COUNT
};

struct dp_refusal_row {
    unsigned status;
    gw_str code, message, reason;
};

/* Row of a refusal; refusal is not NONE. */
const struct dp_refusal_row *dp_refusal_row(enum dp_refusal refusal);

#endif
