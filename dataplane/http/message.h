/* SPDX-License-Identifier: Apache-2.0 */
/* Request and response heads, whatever the HTTP version. All text is borrowed views into the buffer
 * that was parsed, or into the arena of the headers. One thread at a time. */
#ifndef DP_HTTP_MESSAGE_H
#define DP_HTTP_MESSAGE_H

#include "common/arena.h"
#include "dataplane/http/header_names.h"
#include "dataplane/http/method.h"

struct dp_header {
    gw_str name, value; /* borrowed; the value has no blanks around it */
    uint16_t id;        /* enum dp_header_id of the name */
};

#define DP_HEADERS_MAX 200 /* fields of one head; what the parser refuses beyond (431) */

struct dp_headers {
    struct dp_header *items; /* in the arena, in the order of arrival */
    unsigned count, capacity;
    size_t bytes;      /* names and values have no more together */
    uint64_t present;  /* bit i: a field with id i may be there */
    uint64_t repeated; /* bit i: more than one may */
    struct gw_arena *arena;
};

void dp_headers_init(struct dp_headers *headers, struct gw_arena *arena);
/* First field of that name, NULL: none. Names not in header_names.h: dp_headers_find. */
const struct dp_header *dp_headers_get(const struct dp_headers *headers, enum dp_header_id id);
const struct dp_header *dp_headers_find(const struct dp_headers *headers, gw_str name);
/* Value of the first field of that name, or GW_STR_NONE. */
gw_str dp_headers_value(const struct dp_headers *headers, enum dp_header_id id);
/* The values of all fields of that name as one comma list, as RFC 9110 5.3 lets them be read; a
 * view or in the arena. */
gw_str dp_headers_list(const struct dp_headers *headers, enum dp_header_id id);
/* Appends; name and value are borrowed. Text that is no valid field (dp_header_is_valid) is left
 * out: whatever it was made from, it cannot split the message. */
void dp_headers_add(struct dp_headers *headers, gw_str name, gw_str value);
/* The same for a well-known name, written as in header_names.h. */
void dp_headers_add_id(struct dp_headers *headers, enum dp_header_id id, gw_str value);
/* The same two for text that a parser has found valid. */
void dp_headers_append(struct dp_headers *headers, gw_str name, gw_str value);
/* With its id where that is known. */
void dp_headers_append_as(struct dp_headers *headers, enum dp_header_id id, gw_str name,
                          gw_str value);
void dp_headers_append_id(struct dp_headers *headers, enum dp_header_id id, gw_str value);
/* Removes all fields of that name and adds this one, in the place of the first. */
void dp_headers_set(struct dp_headers *headers, gw_str name, gw_str value);
/* The same for a field that is known to be valid, with its id (DP_HEADER_OTHER: in no table). */
void dp_headers_put(struct dp_headers *headers, const struct dp_header *field);
void dp_headers_put_id(struct dp_headers *headers, enum dp_header_id id, gw_str value);
/* Removes all fields of that name; how many there were. */
unsigned dp_headers_remove(struct dp_headers *headers, enum dp_header_id id);
unsigned dp_headers_remove_named(struct dp_headers *headers, gw_str name);
/* Removes all fields of these names. */
#define DP_HEADER_BIT(id) (UINT64_C(1) << DP_HEADER_##id)
void dp_headers_remove_set(struct dp_headers *headers, uint64_t ids);
/* *copy becomes a list of its own in `arena` that borrows the same text. */
void dp_headers_copy(struct dp_headers *copy, const struct dp_headers *headers,
                     struct gw_arena *arena);
/* Removes Connection, the fields it names, and the fields that RFC 9110 7.6.1 says belong to one
 * connection (Keep-Alive, Proxy-Connection, TE, Transfer-Encoding, Upgrade) and Proxy-Auth*.
 * Fields that a sender may not have dropped by naming them (Host, Content-*, Authorization,
 * X-Forwarded-*, ...) stay. */
void dp_headers_strip_hop_by_hop(struct dp_headers *headers);
/* A request's field that there may be one of is there twice. */
bool dp_headers_repeat_singleton(const struct dp_headers *headers);
/* Removes fields that are a known name but for "_" in the place of "-": backends behind CGI, WSGI
 * and the like take X_Forwarded_For for the field that we vouch for. Other names with "_" stay. */
void dp_headers_strip_shadows(struct dp_headers *headers);
/* May pass behind a body: no known name but a few, nothing else of framing, routing or identity
 * (RFC 9110 6.5.1), and none of these with "_" for "-". */
bool dp_header_is_for_trailers(gw_str name);
/* Connection is there once and says what nearly everybody's does; else its lists tell. */
bool dp_headers_only_keep_alive(const struct dp_headers *headers);
/* True when an element of the comma list in a field of that name equals the token, any case. */
bool dp_headers_list_has(const struct dp_headers *headers, enum dp_header_id id, gw_str token);
/* A token as name, and a value without controls: what may be written to the wire. */
bool dp_header_is_valid(gw_str name, gw_str value);

struct dp_request_head {
    enum dp_method method;
    uint8_t major, minor; /* 1.0, 1.1 or 2.0 */
    bool is_absolute;     /* target was http://host/path: the authority there is the host */
    bool has_query;       /* "?" was there, also before an empty query */
    gw_str method_name;
    gw_str target; /* as on the request line */
    gw_str
        path; /* raw, starts with "/" ("*" for OPTIONS *); dp_uri_normalise makes the one to use */
    gw_str query;     /* raw, without "?" */
    gw_str authority; /* host[:port]; empty only in HTTP/1.0 without Host */
    gw_str host;      /* without port; an IPv6 address with its brackets */
    uint16_t port;    /* 0: none given */
    struct dp_headers headers;
};

/* Copies all text into the headers' arena: the buffer that was parsed may go. */
void dp_request_head_keep(struct dp_request_head *head);

struct dp_response_head {
    unsigned status;      /* 100 to 599 */
    uint8_t major, minor; /* of the peer that sent it */
    gw_str reason;        /* may be empty */
    struct dp_headers headers;
};

/* "Not Found"; "Unknown" for a number without a name. */
gw_str dp_status_reason(unsigned status);

#endif
