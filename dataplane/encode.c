/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/encode.h"

#include "dataplane/flow.h"
#include "dataplane/worker_internal.h"

#include <stdlib.h>
#include <zlib.h>

#define IDLE_MAX 4
#define GZIP_WINDOW_BITS (15 + 16) /* 16: with gzip's own head and checksum */
#define MEMORY_LEVEL 8
#define OUT_BYTES (16 * 1024)

struct dp_encoder {
    z_stream stream;
    struct gw_list node; /* of encoders->idle */
    int level;
};

/* ---- compressors */

void dp_encoders_init(struct dp_encoders *encoders)
{
    *encoders = (struct dp_encoders){.level = 0};
    gw_list_init(&encoders->idle);
}

static void free_encoder(struct dp_encoders *encoders, struct dp_encoder *encoder)
{
    (void)deflateEnd(&encoder->stream); /* says only whether it was within a stream */
    free(encoder);
    encoders->count--;
}

static void free_idle(struct dp_encoders *encoders)
{
    gw_list_each(&encoders->idle, it)
    {
        gw_list_remove(it);
        free_encoder(encoders, gw_container_of(it, struct dp_encoder, node));
    }
}

void dp_encoders_set_level(struct dp_encoders *encoders, int level)
{
    if (level == encoders->level)
        return;
    encoders->level = level;
    free_idle(encoders); /* those in use go when they are given back */
}

void dp_encoders_done(struct dp_encoders *encoders)
{
    free_idle(encoders);
    assert(encoders->count == 0);
}

/* NULL: there are as many as there may be. */
static struct dp_encoder *take(struct dp_encoders *encoders)
{
    if (!gw_list_is_empty(&encoders->idle)) {
        struct gw_list *node = encoders->idle.next;
        gw_list_remove(node);
        return gw_container_of(node, struct dp_encoder, node);
    }
    if (encoders->count >= DP_ENCODERS_MAX)
        return NULL;
    struct dp_encoder *encoder = gw_calloc(1, sizeof(*encoder));
    if (deflateInit2(&encoder->stream, encoders->level, Z_DEFLATED, GZIP_WINDOW_BITS, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        free(encoder);
        return NULL;
    }
    gw_list_init(&encoder->node);
    encoder->level = encoders->level;
    encoders->count++;
    return encoder;
}

static unsigned count_idle(const struct dp_encoders *encoders)
{
    unsigned count = 0;
    gw_list_each(&encoders->idle, it) count++;
    return count;
}

static void give(struct dp_encoders *encoders, struct dp_encoder *encoder)
{
    if (encoder->level != encoders->level || count_idle(encoders) >= IDLE_MAX ||
        deflateReset(&encoder->stream) != Z_OK)
        free_encoder(encoders, encoder);
    else
        gw_list_push_front(&encoders->idle, &encoder->node);
}

/* ---- which answers */

/* "0", "0.0", "0.000": not acceptable. */
static bool is_zero(gw_str q)
{
    for (size_t i = 0; i < q.len; i++)
        if (q.ptr[i] != '0' && q.ptr[i] != '.')
            return false;
    return q.len > 0;
}

/* Of "gzip;q=0.5". */
static bool is_allowed(gw_str parameters)
{
    while (parameters.ptr) {
        gw_str parameter = gw_str_trim(gw_str_split(&parameters, ';'));
        gw_str name = gw_str_trim(gw_str_split(&parameter, '='));
        if (gw_str_eq_nocase(name, GW_STR("q")))
            return !is_zero(gw_str_trim(parameter));
    }
    return true;
}

bool dp_encode_is_accepted(gw_str accept_encoding)
{
    bool any = false;
    gw_str rest = accept_encoding;
    while (rest.len > 0) {
        gw_str parameters = gw_str_split(&rest, ',');
        gw_str coding = gw_str_trim(gw_str_split(&parameters, ';'));
        if (gw_str_eq_nocase(coding, GW_STR("gzip")) || gw_str_eq_nocase(coding, GW_STR("x-gzip")))
            return is_allowed(parameters);
        if (gw_str_eq(coding, GW_STR("*")))
            any = is_allowed(parameters);
    }
    return any;
}

bool dp_encode_is_listed(gw_str content_type)
{
    static const char *const types[] = {
        "application/json",
        "application/xml",
        "application/javascript",
        "text/plain",
        "text/css",
        "text/javascript",
        "text/xml",
        "image/svg+xml",
        "application/x-javascript",
        "application/rss+xml",
        "image/tiff",
    };
    gw_str type = gw_str_trim(gw_str_split(&content_type, ';'));
    for (size_t i = 0; i < GW_ARRAY_LEN(types); i++)
        if (gw_str_eq_nocase(type, gw_str_from(types[i])))
            return true;
    return false;
}

/* But for what the caller accepts. */
static bool is_fit(const struct dp_flow *flow, const struct dp_downstream_answer *answer)
{
    const struct dp_response_head *head = answer->head;
    bool is_long = answer->kind != DP_BODY_LENGTH || answer->length >= DP_ENCODE_BYTES_MIN;
    return answer->kind != DP_BODY_TUNNEL && !flow->x.request.grpc && is_long &&
           head->status != 204 && head->status != 206 && head->status != 304 &&
           dp_encode_is_listed(dp_headers_value(&head->headers, DP_HEADER_CONTENT_TYPE)) &&
           !dp_headers_get(&head->headers, DP_HEADER_CONTENT_ENCODING) &&
           !dp_headers_get(&head->headers, DP_HEADER_CONTENT_RANGE) &&
           !dp_headers_list_has(&head->headers, DP_HEADER_CACHE_CONTROL, GW_STR("no-transform"));
}

/* Another representation of the same: its length is not known, and no range of it can be had. */
static void change_headers(struct dp_exchange *x)
{
    struct dp_headers *headers = &x->response.head.headers;
    gw_str etag = dp_headers_value(headers, DP_HEADER_ETAG);
    if (etag.len > 0 && !gw_str_has_prefix(etag, GW_STR("W/")))
        dp_headers_put_id(headers, DP_HEADER_ETAG,
                          gw_arena_printf(&x->arena, "W/%.*s", GW_STR_ARG(etag)));
    dp_headers_put_id(headers, DP_HEADER_CONTENT_ENCODING, GW_STR("gzip"));
    (void)dp_headers_remove(headers, DP_HEADER_CONTENT_LENGTH); /* it may be there */
    (void)dp_headers_remove_named(headers, GW_STR("Accept-Ranges"));
}

void dp_encode_begin(struct dp_flow *flow, struct dp_downstream_answer *answer)
{
    struct dp_exchange *x = &flow->x;
    struct dp_encoders *encoders = &x->worker->encoders;
    struct dp_headers *headers = &x->response.head.headers;
    if (gw_likely(encoders->level == 0) || !is_fit(flow, answer))
        return;
    /* Also for who gets it as it is: caches must know. */
    if (!dp_headers_list_has(headers, DP_HEADER_VARY, GW_STR("Accept-Encoding")) &&
        !dp_headers_list_has(headers, DP_HEADER_VARY, GW_STR("*")))
        dp_headers_add_id(headers, DP_HEADER_VARY, GW_STR("Accept-Encoding"));
    if (answer->kind == DP_BODY_NONE || !dp_encode_is_accepted(dp_headers_list(
                                            &x->request.head.headers, DP_HEADER_ACCEPT_ENCODING)))
        return;
    flow->encoder = take(encoders);
    flow->encode.limited = !flow->encoder;
    if (!flow->encoder)
        return;
    /* What comes piece by piece is waited for piece by piece. */
    flow->encode.flush = answer->kind != DP_BODY_LENGTH;
    change_headers(x);
    answer->kind = DP_BODY_CHUNKED;
    answer->length = 0;
}

/* ---- bodies */

void dp_encode_send(struct dp_flow *flow, gw_str data, bool last)
{
    if (gw_likely(!flow->encoder)) {
        dp_downstream_send_body(flow->downstream, data);
        return;
    }
    if (data.len == 0 && !last)
        return;
    z_stream *stream = &flow->encoder->stream;
    int mode = last ? Z_FINISH : flow->encode.flush ? Z_SYNC_FLUSH : Z_NO_FLUSH;
    unsigned char out[OUT_BYTES];
    stream->next_in = (unsigned char *)(uintptr_t)data.ptr; /* zlib does not write there */
    stream->avail_in = (unsigned)data.len;
    do {
        stream->next_out = out;
        stream->avail_out = sizeof(out);
        (void)deflate(stream, mode); /* BUF_ERROR: there was nothing to do */
        size_t len = sizeof(out) - stream->avail_out;
        if (len > 0)
            dp_downstream_send_body(flow->downstream, gw_str_n((char *)out, len));
        flow->encode.bytes_out += len;
    } while (stream->avail_out == 0);
    assert(stream->avail_in == 0);
    flow->encode.bytes_in += data.len;
}

void dp_encode_end(struct dp_flow *flow)
{
    if (flow->encoder)
        give(&flow->x.worker->encoders, flow->encoder);
    flow->encoder = NULL;
}
