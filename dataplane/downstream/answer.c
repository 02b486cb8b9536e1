/* SPDX-License-Identifier: Apache-2.0 */
/* Writing: answers to bytes. */
#include "dataplane/downstream/connection.h"
#include "dataplane/http/h1_write.h"

#include <netinet/in.h>

/* The rest of a request's body that is read and dropped to keep the connection; more costs less by
 * closing it. */
#define DISCARD_BYTES_MAX (64 * 1024)

void *dp_downstream_owner(const struct dp_downstream *d)
{
    return d->server->owner;
}

const struct dp_address *dp_downstream_peer(const struct dp_downstream *d)
{
    return &d->peer;
}

gw_str dp_downstream_peer_text(const struct dp_downstream *d)
{
    return gw_str_n(d->peer_text, d->peer_text_len);
}

uint16_t dp_downstream_local_port(struct dp_downstream *d)
{
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof(storage);
    if (d->local_port == 0 && getsockname(d->conn.fd, (struct sockaddr *)&storage, &len) == 0) {
        if (storage.ss_family == AF_INET)
            d->local_port = ntohs(((struct sockaddr_in *)&storage)->sin_port);
        else if (storage.ss_family == AF_INET6)
            d->local_port = ntohs(((struct sockaddr_in6 *)&storage)->sin6_port);
    }
    return d->local_port;
}

const struct dp_h1_framing *dp_downstream_framing(const struct dp_downstream *d)
{
    return &d->framing;
}

uint64_t dp_downstream_bytes_in(const struct dp_downstream *d)
{
    return d->bytes_in;
}

uint64_t dp_downstream_bytes_out(const struct dp_downstream *d)
{
    return d->bytes_out;
}

const struct dp_headers *dp_downstream_trailers(const struct dp_downstream *d)
{
    return &d->body.trailers;
}

size_t dp_downstream_pending(const struct dp_downstream *d)
{
    return dp_conn_pending(&d->conn);
}

static void put(struct dp_downstream *d, gw_str bytes)
{
    d->bytes_out += bytes.len;
    dp_conn_send(&d->conn, bytes);
}

/* The scratch buffer holds any head that the parsers and the policies' limits let through. */
static void send_written(struct dp_downstream *d, int result)
{
    struct gw_buf *scratch = &d->server->loop->scratch;
    if (result < 0)
        gw_panic("an answer's head does not fit the scratch buffer");
    put(d, gw_buf_view(scratch));
    gw_buf_clear(scratch);
}

void dp_downstream_send_interim(struct dp_downstream *d, const struct dp_response_head *head)
{
    struct dp_h1_framing framing = {.kind = DP_BODY_NONE, .minor = 1, .keep_alive = true};
    if (d->framing.minor == 0 || d->head_sent)
        return;
    send_written(d, dp_h1_write_response(&d->server->loop->scratch, head->status, head->reason,
                                         &head->headers, &framing));
}

/* What is left of the request's body is worth reading for the sake of the connection. */
static bool may_discard_rest(const struct dp_downstream *d)
{
    if (d->body.done)
        return true;
    bool is_withheld = d->framing.expect_continue && !d->continued;
    return d->body.kind == DP_BODY_LENGTH && d->body.left <= DISCARD_BYTES_MAX && !is_withheld;
}

void dp_downstream_send_head(struct dp_downstream *d, const struct dp_downstream_answer *answer)
{
    struct dp_h1_framing framing = {.kind = answer->kind, .length = answer->length, .minor = 1};
    bool is_last = d->half_closed && dp_input_view(&d->conn.input).len == 0;
    framing.keep_alive = d->framing.keep_alive && !answer->close && !d->broken && !is_last &&
                         !d->server->draining && may_discard_rest(d);
    if (d->half_closed)
        dp_timer_stop(&d->timer);
    dp_h1_framing_for_reader(&framing, d->framing.minor);
    d->keep_alive = framing.keep_alive;
    d->out_kind = framing.kind;
    d->head_sent = true;
    send_written(d, dp_h1_write_response(&d->server->loop->scratch, answer->head->status,
                                         answer->head->reason, &answer->head->headers, &framing));
}

void dp_downstream_send_body(struct dp_downstream *d, gw_str data)
{
    if (data.len == 0 || d->out_kind == DP_BODY_NONE)
        return;
    if (d->out_kind != DP_BODY_CHUNKED) {
        put(d, data);
        return;
    }
    char line[DP_H1_CHUNK_HEAD_MAX];
    put(d, gw_str_n(line, dp_h1_chunk_head(line, data.len)));
    put(d, data);
    put(d, DP_H1_CHUNK_TAIL);
}

void dp_downstream_send_end(struct dp_downstream *d, const struct dp_headers *trailers)
{
    if (d->out_kind == DP_BODY_CHUNKED && trailers && trailers->count > 0)
        send_written(d, dp_h1_write_trailers(&d->server->loop->scratch, trailers));
    else if (d->out_kind == DP_BODY_CHUNKED)
        put(d, DP_H1_LAST_CHUNK);
    d->answer_done = true;
    dp_conn_touch(&d->conn);
}
