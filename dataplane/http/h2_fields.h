/* SPDX-License-Identifier: Apache-2.0 */
/* Fields as HTTP/2 has them, ready for nghttp2: names in lower case, and none that HTTP/1 needs for
 * its connections or its framing. */
#ifndef DP_HTTP_H2_FIELDS_H
#define DP_HTTP_H2_FIELDS_H

#include "dataplane/http/h1.h"

#include <nghttp2/nghttp2.h>

struct dp_h2_fields {
    nghttp2_nv *items; /* in the arena; text is borrowed, well-known names are static */
    size_t count, capacity;
    struct gw_arena *arena; /* borrowed */
};

/* room: how many fields are expected. */
void dp_h2_fields_init(struct dp_h2_fields *fields, struct gw_arena *arena, size_t room);
/* The name is in lower case: ":status". */
void dp_h2_fields_add(struct dp_h2_fields *fields, gw_str name, gw_str value);
/* All of a list but Connection, the fields that belong to a connection of HTTP/1, Host, Expect and
 * Content-Length (see dp_h2_fields_add_length). TE passes when it says "trailers" and no more. */
void dp_h2_fields_add_headers(struct dp_h2_fields *fields, const struct dp_headers *headers);
/* Content-Length for kind LENGTH. */
void dp_h2_fields_add_length(struct dp_h2_fields *fields, const struct dp_h1_framing *framing);

#endif
