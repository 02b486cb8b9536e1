/* SPDX-License-Identifier: Apache-2.0 */
/* The field names that code asks for: recognised once, at parse time, by a perfect hash, then
 * compared by number. The unit test says what the slot of a new row is; two rows of one slot do not
 * compile, and then other factors must be found (header_words.h). */
#ifndef DP_HTTP_HEADER_NAMES_H
#define DP_HTTP_HEADER_NAMES_H

#include "common/str.h"

/* X(id, slot in the hash table, name as we write it) */
#define DP_HEADER_NAMES(X)                                                                         \
    X(HOST, 243, "Host")                                                                           \
    X(CONNECTION, 84, "Connection")                                                                \
    X(CONTENT_LENGTH, 230, "Content-Length")                                                       \
    X(TRANSFER_ENCODING, 151, "Transfer-Encoding")                                                 \
    X(EXPECT, 229, "Expect")                                                                       \
    X(TE, 169, "TE")                                                                               \
    X(TRAILER, 114, "Trailer")                                                                     \
    X(UPGRADE, 29, "Upgrade")                                                                      \
    X(KEEP_ALIVE, 96, "Keep-Alive")                                                                \
    X(PROXY_CONNECTION, 125, "Proxy-Connection")                                                   \
    X(PROXY_AUTHENTICATE, 141, "Proxy-Authenticate")                                               \
    X(PROXY_AUTHORIZATION, 107, "Proxy-Authorization")                                             \
    X(HTTP2_SETTINGS, 205, "HTTP2-Settings")                                                       \
    X(AUTHORIZATION, 180, "Authorization")                                                         \
    X(WWW_AUTHENTICATE, 93, "WWW-Authenticate")                                                    \
    X(COOKIE, 217, "Cookie")                                                                       \
    X(SET_COOKIE, 142, "Set-Cookie")                                                               \
    X(DATE, 164, "Date")                                                                           \
    X(SERVER, 28, "Server")                                                                        \
    X(CONTENT_TYPE, 88, "Content-Type")                                                            \
    X(CONTENT_ENCODING, 211, "Content-Encoding")                                                   \
    X(CONTENT_RANGE, 172, "Content-Range")                                                         \
    X(ACCEPT, 56, "Accept")                                                                        \
    X(ACCEPT_ENCODING, 27, "Accept-Encoding")                                                      \
    X(ACCEPT_LANGUAGE, 128, "Accept-Language")                                                     \
    X(USER_AGENT, 38, "User-Agent")                                                                \
    X(REFERER, 171, "Referer")                                                                     \
    X(ORIGIN, 110, "Origin")                                                                       \
    X(VARY, 158, "Vary")                                                                           \
    X(CACHE_CONTROL, 235, "Cache-Control")                                                         \
    X(ETAG, 148, "ETag")                                                                           \
    X(LAST_MODIFIED, 43, "Last-Modified")                                                          \
    X(IF_NONE_MATCH, 26, "If-None-Match")                                                          \
    X(IF_MODIFIED_SINCE, 79, "If-Modified-Since")                                                  \
    X(RANGE, 207, "Range")                                                                         \
    X(LOCATION, 61, "Location")                                                                    \
    X(RETRY_AFTER, 138, "Retry-After")                                                             \
    X(VIA, 19, "Via")                                                                              \
    X(FORWARDED, 200, "Forwarded")                                                                 \
    X(X_FORWARDED_FOR, 108, "X-Forwarded-For")                                                     \
    X(X_FORWARDED_PROTO, 167, "X-Forwarded-Proto")                                                 \
    X(X_FORWARDED_HOST, 70, "X-Forwarded-Host")                                                    \
    X(X_FORWARDED_PORT, 186, "X-Forwarded-Port")                                                   \
    X(X_REAL_IP, 53, "X-Real-IP")                                                                  \
    X(X_REQUEST_ID, 40, "X-Request-Id")                                                            \
    X(X_STAGE, 174, "X-Stage")                                                                     \
    X(X_APIG_APPCODE, 8, "X-Apig-AppCode")                                                         \
    X(X_APIG_MODE, 136, "X-Apig-Mode")                                                             \
    X(X_SDK_DATE, 160, "X-Sdk-Date")                                                               \
    X(X_SDK_CONTENT_SHA256, 133, "X-Sdk-Content-Sha256")                                           \
    X(X_AUTH_TOKEN, 153, "X-Auth-Token")                                                           \
    X(X_HW_ID, 173, "X-HW-ID")                                                                     \
    X(X_HW_APPKEY, 170, "X-HW-AppKey")                                                             \
    X(SEC_WEBSOCKET_KEY, 34, "Sec-WebSocket-Key")                                                  \
    X(SEC_WEBSOCKET_ACCEPT, 25, "Sec-WebSocket-Accept")                                            \
    X(AC_REQUEST_METHOD, 246, "Access-Control-Request-Method")                                     \
    X(AC_REQUEST_HEADERS, 191, "Access-Control-Request-Headers")                                   \
    X(GRPC_STATUS, 157, "grpc-status")                                                             \
    X(GRPC_MESSAGE, 204, "grpc-message")                                                           \
    X(RATELIMIT_LIMIT, 154, "RateLimit-Limit")                                                     \
    X(RATELIMIT_REMAINING, 18, "RateLimit-Remaining")                                              \
    X(RATELIMIT_RESET, 39, "RateLimit-Reset")

enum dp_header_id {
    DP_HEADER_OTHER,
#define DP_HEADER_ROW(id, slot, name) DP_HEADER_##id,
    DP_HEADER_NAMES(DP_HEADER_ROW)
#undef DP_HEADER_ROW
        DP_HEADER_COUNT
};
_Static_assert(DP_HEADER_COUNT <= 64, "dp_headers.present has one bit per name");

/* The name must be a token; any case. */
enum dp_header_id dp_header_id_from(gw_str name);
/* As in the table; "" for OTHER. Behind it stand ": ", and DP_HEADER_ROOM bytes may be read in all:
 * copying so many costs less than copying as many as there are. */
#define DP_HEADER_ROOM 32
gw_str dp_header_name(enum dp_header_id id);

#endif
