/* SPDX-License-Identifier: Apache-2.0 */
/* One normalised path for match, access control, signature, log and backend. */
#ifndef DP_HTTP_URI_H
#define DP_HTTP_URI_H

#include "common/arena.h"

enum dp_uri_slash {
    DP_URI_SLASH_DECODE, /* %2F is a separator like "/" (default) */
    DP_URI_SLASH_KEEP,   /* %2F and %25 stay escaped (api_uri_no_escape): "%" is always an escape */
};

/* Reasons are reported as -enum. All are 400. */
enum dp_uri_error {
    DP_URI_OK,
    DP_URI_BAD_START,   /* does not start with "/" */
    DP_URI_BAD_ESCAPE,  /* "%" without two hex digits */
    DP_URI_CONTROL,     /* NUL or another control, escaped or not */
    DP_URI_DOT_SEGMENT, /* "." or ".." as a segment, however it is spelled */
};
const char *dp_uri_error_text(int error);

/* Decoded once, empty segments collapsed ("//" is "/"). *ret_path is raw itself when there is
 * nothing to do, else in the arena. 0, or -enum dp_uri_error and *ret_path is as it was. */
GW_MUST_CHECK int dp_uri_normalise(struct gw_arena *arena, gw_str raw, enum dp_uri_slash slash,
                                   gw_str *ret_path);

/* The form for the wire: bytes that a path may not hold become %XX. path itself when there are
 * none, else in the arena. Normalising the result gives `path` again. */
gw_str dp_uri_encode_path(struct gw_arena *arena, gw_str path, enum dp_uri_slash slash);

/* Value of one segment or query parameter put into a template: "/" is escaped as well. */
gw_str dp_uri_encode_segment(struct gw_arena *arena, gw_str value);
gw_str dp_uri_encode_query(struct gw_arena *arena, gw_str value);

/* Escapes decoded ("+" stays), or `text` itself when there are none. 0, or -DP_URI_BAD_ESCAPE. */
GW_MUST_CHECK int dp_uri_decode(struct gw_arena *arena, gw_str text, gw_str *ret_text);

/* Next name=value of a query, raw. *rest starts as the query; false when it is used up. */
bool dp_uri_next_param(gw_str *rest, gw_str *ret_name, gw_str *ret_value);

#endif
