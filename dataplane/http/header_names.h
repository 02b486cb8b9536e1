/* SPDX-License-Identifier: Apache-2.0 */
/* The field names that code asks for: recognised once, at parse time, by a perfect hash, then
 * compared by number. The unit test says what the slot of a new row is; two rows of one slot do not
 * compile, and then other factors must be found (dp_header_slot). */
#ifndef DP_HTTP_HEADER_NAMES_H
#define DP_HTTP_HEADER_NAMES_H

#include "common/str.h"

/* X(id, slot in the hash table, name as we write it) */
#define DP_HEADER_NAMES(X)                                                                         \
    X(HOST, 179, "Host")                                                                           \
    X(CONNECTION, 245, "Connection")                                                               \
    X(CONTENT_LENGTH, 76, "Content-Length")                                                        \
    X(TRANSFER_ENCODING, 143, "Transfer-Encoding")                                                 \
    X(EXPECT, 229, "Expect")                                                                       \
    X(TE, 10, "TE")                                                                                \
    X(TRAILER, 64, "Trailer")                                                                      \
    X(UPGRADE, 253, "Upgrade")                                                                     \
    X(KEEP_ALIVE, 60, "Keep-Alive")                                                                \
    X(PROXY_CONNECTION, 249, "Proxy-Connection")                                                   \
    X(PROXY_AUTHENTICATE, 196, "Proxy-Authenticate")                                               \
    X(PROXY_AUTHORIZATION, 108, "Proxy-Authorization")                                             \
    X(HTTP2_SETTINGS, 23, "HTTP2-Settings")                                                        \
    X(AUTHORIZATION, 152, "Authorization")                                                         \
    X(WWW_AUTHENTICATE, 20, "WWW-Authenticate")                                                    \
    X(COOKIE, 193, "Cookie")                                                                       \
    X(SET_COOKIE, 45, "Set-Cookie")                                                                \
    X(DATE, 38, "Date")                                                                            \
    X(SERVER, 157, "Server")                                                                       \
    X(CONTENT_TYPE, 246, "Content-Type")                                                           \
    X(CONTENT_ENCODING, 54, "Content-Encoding")                                                    \
    X(CONTENT_RANGE, 236, "Content-Range")                                                         \
    X(ACCEPT, 8, "Accept")                                                                         \
    X(ACCEPT_ENCODING, 241, "Accept-Encoding")                                                     \
    X(ACCEPT_LANGUAGE, 222, "Accept-Language")                                                     \
    X(USER_AGENT, 182, "User-Agent")                                                               \
    X(REFERER, 144, "Referer")                                                                     \
    X(ORIGIN, 207, "Origin")                                                                       \
    X(VARY, 28, "Vary")                                                                            \
    X(CACHE_CONTROL, 16, "Cache-Control")                                                          \
    X(ETAG, 199, "ETag")                                                                           \
    X(LAST_MODIFIED, 14, "Last-Modified")                                                          \
    X(IF_NONE_MATCH, 104, "If-None-Match")                                                         \
    X(IF_MODIFIED_SINCE, 2, "If-Modified-Since")                                                   \
    X(RANGE, 116, "Range")                                                                         \
    X(LOCATION, 213, "Location")                                                                   \
    X(RETRY_AFTER, 52, "Retry-After")                                                              \
    X(VIA, 90, "Via")                                                                              \
    X(FORWARDED, 142, "Forwarded")                                                                 \
    X(X_FORWARDED_FOR, 92, "X-Forwarded-For")                                                      \
    X(X_FORWARDED_PROTO, 91, "X-Forwarded-Proto")                                                  \
    X(X_FORWARDED_HOST, 77, "X-Forwarded-Host")                                                    \
    X(X_FORWARDED_PORT, 46, "X-Forwarded-Port")                                                    \
    X(X_REAL_IP, 74, "X-Real-IP")                                                                  \
    X(X_REQUEST_ID, 161, "X-Request-Id")                                                           \
    X(X_STAGE, 234, "X-Stage")                                                                     \
    X(X_APIG_APPCODE, 174, "X-Apig-AppCode")                                                       \
    X(X_APIG_MODE, 59, "X-Apig-Mode")                                                              \
    X(X_SDK_DATE, 82, "X-Sdk-Date")                                                                \
    X(X_SDK_CONTENT_SHA256, 169, "X-Sdk-Content-Sha256")                                           \
    X(X_AUTH_TOKEN, 209, "X-Auth-Token")                                                           \
    X(X_HW_ID, 124, "X-HW-ID")                                                                     \
    X(X_HW_APPKEY, 30, "X-HW-AppKey")                                                              \
    X(SEC_WEBSOCKET_KEY, 132, "Sec-WebSocket-Key")                                                 \
    X(SEC_WEBSOCKET_ACCEPT, 106, "Sec-WebSocket-Accept")                                           \
    X(AC_REQUEST_METHOD, 36, "Access-Control-Request-Method")                                      \
    X(AC_REQUEST_HEADERS, 254, "Access-Control-Request-Headers")                                   \
    X(GRPC_STATUS, 42, "grpc-status")                                                              \
    X(GRPC_MESSAGE, 141, "grpc-message")

enum dp_header_id {
    DP_HEADER_OTHER,
#define DP_HEADER_ROW(id, slot, name) DP_HEADER_##id,
    DP_HEADER_NAMES(DP_HEADER_ROW)
#undef DP_HEADER_ROW
        DP_HEADER_COUNT
};
_Static_assert(DP_HEADER_COUNT <= 64, "dp_headers.present has one bit per name");

/* Slot of a name of at least two bytes in a table of 256. Case does not count. */
static inline unsigned dp_header_slot(gw_str name)
{
    unsigned char first = (unsigned char)name.ptr[0] | 0x20;
    unsigned char middle = (unsigned char)name.ptr[name.len / 2] | 0x20;
    unsigned char fore = (unsigned char)name.ptr[name.len - 2] | 0x20;
    unsigned char last = (unsigned char)name.ptr[name.len - 1] | 0x20;
    return ((unsigned)name.len * 13 + first * 28u + middle * 30u + fore * 31u + last * 6u) & 0xff;
}

/* The name must be a token; any case. */
enum dp_header_id dp_header_id_from(gw_str name);
/* As in the table; "" for OTHER. Behind it stand ": ", and DP_HEADER_ROOM bytes may be read in all:
 * copying so many costs less than copying as many as there are. */
#define DP_HEADER_ROOM 32
gw_str dp_header_name(enum dp_header_id id);

#endif
