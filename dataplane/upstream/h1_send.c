/* SPDX-License-Identifier: Apache-2.0 */
/* Writing: requests to bytes. */
#include "dataplane/upstream/h1_link.h"

static void put(struct dp_h1_link *link, gw_str bytes)
{
    link->base.call->bytes_out += bytes.len;
    dp_conn_send(&link->conn, bytes);
}

/* What was written to its room. */
static void put_made(struct dp_h1_link *link, const struct gw_buf *room)
{
    link->base.call->bytes_out += room->end;
    dp_conn_commit(&link->conn, room);
}

/* The scratch buffer holds any head that the parsers and the policies' limits let through. */
static void put_written(struct dp_h1_link *link, int result)
{
    struct gw_buf *scratch = &link->conn.loop->scratch;
    if (result < 0)
        gw_panic("a request's head does not fit the scratch buffer");
    put(link, gw_buf_view(scratch));
    gw_buf_clear(scratch);
}

void dp_h1_link_begin(struct dp_upstream_link *base)
{
    struct dp_h1_link *link = dp_h1_link_of(base);
    struct dp_upstream_call *call = base->call;
    const struct dp_upstream_request *request = call->request;
    struct dp_h1_request_line line = request->line;
    struct dp_h1_framing framing = {.kind = request->framing.kind,
                                    .length = request->framing.length,
                                    .minor = 1,
                                    .keep_alive = true,
                                    .upgrade = request->framing.upgrade};
    if (line.host.len == 0)
        line.host = dp_endpoint_name(link->base.pool->endpoint);
    link->phase = DP_LINK_HEAD;
    link->interims = 0;
    dp_h1_parser_init(&link->parser, &dp_h1_limits_default, call->arena);
    struct gw_buf room = dp_conn_room(&link->conn);
    if (dp_h1_write_request(&room, &line, request->headers, &framing) == 0)
        put_made(link, &room);
    else /* a large one, or it goes nowhere */
        put_written(link, dp_h1_write_request(&link->conn.loop->scratch, &line, request->headers,
                                              &framing));
}

void dp_h1_link_send_data(struct dp_upstream_link *base, gw_str data)
{
    struct dp_h1_link *link = dp_h1_link_of(base);
    if (data.len == 0)
        return;
    if (link->base.call->request->framing.kind != DP_BODY_CHUNKED) {
        put(link, data);
        return;
    }
    char line[DP_H1_CHUNK_HEAD_MAX];
    put(link, gw_str_n(line, dp_h1_chunk_head(line, data.len)));
    put(link, data);
    put(link, DP_H1_CHUNK_TAIL);
}

void dp_h1_link_send_end(struct dp_upstream_link *base)
{
    struct dp_h1_link *link = dp_h1_link_of(base);
    const struct dp_headers *trailers = link->base.call->request_trailers;
    if (link->base.call->request->framing.kind == DP_BODY_CHUNKED) {
        if (trailers && trailers->count > 0)
            put_written(link, dp_h1_write_trailers(&link->conn.loop->scratch, trailers));
        else
            put(link, DP_H1_LAST_CHUNK);
    }
    dp_conn_touch(&link->conn);
}
