/* SPDX-License-Identifier: Apache-2.0 */
/* One request: head, body, call, answer. */
#include "controlplane/http/json_internal.h"

#include "common/json.h"
#include "controlplane/http/json_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define WRITE_BYTES (64 * 1024) /* of the answer at a time */
#define HEAD_MAX_BYTES 1024     /* of an answer */

struct cp_json_exchange *cp_json_exchange_new(struct cp_json_server *server, struct lws *wsi)
{
    struct cp_json_exchange *exchange = gw_calloc(1, sizeof(*exchange));
    exchange->server = server;
    exchange->wsi = wsi;
    gw_list_init(&exchange->link);
    gw_arena_init(&exchange->arena, 0);
    gw_buf_init(&exchange->body, CP_JSON_BODY_MAX_BYTES);
    gw_buf_init(&exchange->answer, 0);
    atomic_fetch_add(&server->requests, 1);
    pthread_mutex_lock(&server->lock);
    server->open++;
    pthread_mutex_unlock(&server->lock);
    return exchange;
}

/* The library's timer cannot be cancelled (4.1 fires it at once): one that is not due is not heard.
 */
void cp_json_exchange_patience(struct cp_json_exchange *exchange, unsigned seconds)
{
    exchange->due_ms = seconds ? gw_clock_monotonic_ms() + (gw_msec)seconds * 1000 : INT64_MAX;
    if (seconds)
        lws_set_timer_usecs(exchange->wsi, (lws_usec_t)seconds * LWS_USEC_PER_SEC);
}

static void drop_body(struct cp_json_exchange *exchange)
{
    atomic_fetch_sub(&exchange->server->bytes_held, (int64_t)gw_buf_len(&exchange->body));
    gw_buf_done(&exchange->body);
}

static void free_exchange(struct cp_json_exchange *exchange)
{
    struct cp_json_server *server = exchange->server;
    drop_body(exchange);
    atomic_fetch_sub(&server->answer_bytes, exchange->answer_bytes);
    gw_buf_done(&exchange->answer);
    gw_buf_done(&exchange->pending);
    gw_arena_done(&exchange->arena);
    free(exchange);
    pthread_mutex_lock(&server->lock);
    server->open--;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

int cp_json_refuse(struct cp_json_exchange *exchange, unsigned status, enum cp_json_refusal refusal)
{
    exchange->refusal_status = status;
    atomic_fetch_add(&exchange->server->refused[refusal], 1);
    return -1;
}

/* ---- answers ---- */

static void put(struct gw_buf *buf, gw_str text)
{
    int rc = gw_buf_append(buf, text);
    assert(rc == 0); /* no limit */
    (void)rc;
}

void cp_json_put(struct gw_buf *buf, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    assert(length >= 0 && (size_t)length < sizeof(text)); /* our own words and numbers */
    put(buf, gw_str_n(text, (size_t)length));
}

/* "Allow: GET, DELETE" */
static gw_str allow_header(struct cp_json_exchange *exchange)
{
    gw_str list = GW_STR_NONE;
    for (unsigned verb = 0; verb < CP_JSON_NO_VERB; verb++)
        if (exchange->allowed & (1u << verb))
            list = gw_arena_printf(&exchange->arena, "%.*s%s%s", GW_STR_ARG(list),
                                   list.len ? ", " : "", cp_json_verb_name(verb));
    return gw_arena_printf(&exchange->arena, "Allow: %.*s\r\n", GW_STR_ARG(list));
}

static const char *reason_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } phrases[] = {{200, "OK"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {408, "Request Timeout"},
                   {409, "Conflict"},
                   {411, "Length Required"},
                   {413, "Content Too Large"},
                   {415, "Unsupported Media Type"},
                   {429, "Too Many Requests"},
                   {500, "Internal Server Error"},
                   {501, "Not Implemented"},
                   {503, "Service Unavailable"},
                   {504, "Gateway Timeout"}};
    for (size_t i = 0; i < GW_ARRAY_LEN(phrases); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Refused";
}

/* Sets the whole answer: head and body. */
static void set_answer(struct cp_json_exchange *exchange, unsigned status, gw_str body)
{
    gw_str more = GW_STR_NONE;
    if (status == 401)
        more = GW_STR("WWW-Authenticate: Bearer realm=\"penstock\"\r\n");
    else if (status == 405)
        more = allow_header(exchange);
    gw_str head = gw_arena_printf(
        &exchange->arena,
        "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%.*s%s\r\n",
        status, reason_phrase(status), body.len, GW_STR_ARG(more),
        exchange->closes ? "Connection: close\r\n" : "");
    put(&exchange->answer, head);
    if (!exchange->is_head)
        put(&exchange->answer, body);
}

static void set_error(struct cp_json_exchange *exchange, unsigned status)
{
    gw_auto(gw_buf_done) struct gw_buf body = {0};
    cp_json_error_write(&body, &exchange->err, status);
    set_answer(exchange, status, gw_buf_view(&body));
}

static void send_answer(struct cp_json_exchange *exchange)
{
    if (exchange->stage != CP_JSON_STREAM)
        exchange->stage = CP_JSON_ANSWER;
    cp_json_exchange_patience(exchange, exchange->server->options.send_s);
    lws_callback_on_writable(exchange->wsi);
}

/* ---- the call, on a pool thread ---- */

static int call(struct cp_json_exchange *exchange, struct gw_arena *arena, struct gw_buf *out)
{
    const struct gw_rpc_method *method = exchange->route->method;
    ProtobufCMessage *request, *reply = NULL;
    struct gw_error *err = &exchange->err;
    exchange->input.body = gw_buf_view(&exchange->body);
    if (cp_json_request_make(arena, exchange->route, &exchange->input, &request, err) ||
        method->unary(method->context, &exchange->caller, arena, request, &reply, err))
        return -1;
    gw_json_write(out, reply, GW_JSON_COMPACT);
    put(out, GW_STR("\n"));
    return 0;
}

/* Answers that nobody reads are held in memory. Behind so much of them no call begins; one that ran
 * is answered all the same, for what it wrote is written: one more for each thread at most. */
static int check_answers(struct cp_json_exchange *exchange)
{
    if (atomic_load(&exchange->server->answer_bytes) < CP_JSON_ANSWERS_MAX_BYTES)
        return 0;
    (void)gw_fail(&exchange->err, GW_UNAVAILABLE, "too many bytes of answers wait to be read");
    return cp_json_refuse(exchange, 503, CP_JSON_REFUSED_BUSY);
}

static void run(struct gw_rpc_job *job)
{
    struct cp_json_exchange *exchange = gw_container_of(job, struct cp_json_exchange, job);
    struct cp_json_server *server = exchange->server;
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    gw_auto(gw_buf_done) struct gw_buf body = {0};
    if (check_answers(exchange))
        set_error(exchange, exchange->refusal_status);
    else if (call(exchange, &arena, &body))
        set_error(exchange, (unsigned)gw_code_to_http(exchange->err.code));
    else
        set_answer(exchange, 200, gw_buf_view(&body));
    exchange->answer_bytes = (int64_t)gw_buf_len(&exchange->answer);
    atomic_fetch_add(&server->answer_bytes, exchange->answer_bytes);
    pthread_mutex_lock(&server->lock);
    gw_list_push(&server->answered, &exchange->link);
    pthread_mutex_unlock(&server->lock);
    lws_cancel_service(server->context);
}

static void end_stream(struct cp_json_exchange *exchange)
{
    cp_json_stream_close(exchange);
    exchange->stage = CP_JSON_ANSWER;
    set_error(exchange, (unsigned)gw_code_to_http(exchange->err.code));
    send_answer(exchange);
}

static void start_stream(struct cp_json_exchange *exchange)
{
    if (cp_json_stream_start(exchange))
        end_stream(exchange);
}

void cp_json_exchange_answered(struct cp_json_exchange *exchange)
{
    if (exchange->stage == CP_JSON_STREAM) {
        if (cp_json_stream_take(exchange))
            send_answer(exchange);
        else
            end_stream(exchange);
        return;
    }
    if (exchange->wsi)
        send_answer(exchange);
    else
        free_exchange(exchange);
}

static int start_call(struct cp_json_exchange *exchange)
{
    struct cp_json_server *server = exchange->server;
    lws_set_timeout(exchange->wsi, NO_PENDING_TIMEOUT, 0);
    cp_json_exchange_patience(exchange, 0);
    if (exchange->route->is_stream) {
        start_stream(exchange);
        return 0;
    }
    exchange->stage = CP_JSON_RUNNING;
    exchange->job.run = run;
    if (gw_rpc_pool_submit(&server->pool, &exchange->job))
        return 0;
    (void)gw_fail(&exchange->err, GW_UNAVAILABLE, "too many calls at once");
    (void)cp_json_refuse(exchange, 503, CP_JSON_REFUSED_BUSY);
    set_error(exchange, exchange->refusal_status);
    send_answer(exchange);
    return 0;
}

/* ---- the request ---- */

/* "localhost:9442", "127.0.0.1", "[::1]:9442" */
static bool is_loopback_host(gw_str host)
{
    if (gw_str_has_prefix(host, GW_STR("[::1]")))
        return true;
    gw_str name = gw_str_split(&host, ':');
    if (gw_str_eq_nocase(name, GW_STR("localhost")))
        return true;
    for (size_t i = 0; i < name.len; i++) /* 127.example.com is a name */
        if ((name.ptr[i] < '0' || name.ptr[i] > '9') && name.ptr[i] != '.')
            return false;
    return gw_str_has_prefix(name, GW_STR("127."));
}

/* Pages of other origins get nothing: neither answers, nor calls that a browser sends without
 * asking first. */
static int check_origin(struct cp_json_exchange *exchange)
{
    gw_str origin = exchange->origin;
    bool is_same = origin.len == 0;
    static const gw_str schemes[] = {GW_STR("http://"), GW_STR("https://")};
    for (size_t i = 0; i < GW_ARRAY_LEN(schemes); i++)
        is_same |=
            gw_str_has_prefix(origin, schemes[i]) &&
            gw_str_eq_nocase(gw_str_n(origin.ptr + schemes[i].len, origin.len - schemes[i].len),
                             exchange->host);
    if (!is_same) {
        (void)gw_fail(&exchange->err, GW_PERMISSION_DENIED, "not for pages of other origins");
        return cp_json_refuse(exchange, 403, CP_JSON_REFUSED_ORIGIN);
    }
    if (exchange->server->options.only_loopback_hosts && !is_loopback_host(exchange->host)) {
        (void)gw_fail(&exchange->err, GW_PERMISSION_DENIED,
                      "no credentials are configured: Host must be a loopback address");
        return cp_json_refuse(exchange, 403, CP_JSON_REFUSED_ORIGIN);
    }
    return 0;
}

static int check_media_type(struct cp_json_exchange *exchange)
{
    gw_str rest = exchange->content_type;
    gw_str type = gw_str_trim(gw_str_split(&rest, ';'));
    if (exchange->body_bytes == 0 || gw_str_eq_nocase(type, GW_STR("application/json")))
        return 0;
    (void)gw_fail(&exchange->err, GW_INVALID_ARGUMENT,
                  "the body's Content-Type must be "
                  "application/json");
    return cp_json_refuse(exchange, 415, CP_JSON_REFUSED_MEDIA_TYPE);
}

static int find_route(struct cp_json_exchange *exchange)
{
    gw_str path = exchange->path, prefix = GW_STR(CP_JSON_PREFIX);
    if (gw_str_has_prefix(path, prefix))
        exchange->route = cp_json_route_find(exchange->server->routes, exchange->verb,
                                             gw_str_n(path.ptr + prefix.len, path.len - prefix.len),
                                             &exchange->input.subject, &exchange->allowed);
    if (exchange->route && exchange->route->is_stream && exchange->is_head) {
        exchange->route = NULL; /* nobody would be told of what it opens */
        exchange->allowed = 1u << CP_JSON_GET;
    }
    if (exchange->route)
        return 0;
    if (exchange->allowed) {
        (void)gw_fail(&exchange->err, GW_UNIMPLEMENTED, "%.*s is not served by that HTTP method",
                      GW_STR_ARG(path));
        return cp_json_refuse(exchange, 405, CP_JSON_REFUSED_METHOD);
    }
    (void)gw_fail(&exchange->err, GW_NOT_FOUND, "no such path: %.*s", GW_STR_ARG(path));
    return cp_json_refuse(exchange, 404, CP_JSON_REFUSED_NOT_FOUND);
}

/* The description is no secret: it is in the repository. */
static bool is_openapi(const struct cp_json_exchange *exchange)
{
    return exchange->verb == CP_JSON_GET && exchange->server->options.openapi.len > 0 &&
           (gw_str_eq(exchange->path, GW_STR("/openapi.json")) ||
            gw_str_eq(exchange->path, GW_STR(CP_JSON_PREFIX "openapi.json")));
}

static int check_drain(struct cp_json_exchange *exchange)
{
    if (!atomic_load(&exchange->server->is_draining))
        return 0;
    exchange->closes = true;
    (void)gw_fail(&exchange->err, GW_UNAVAILABLE, "draining");
    return cp_json_refuse(exchange, 503, CP_JSON_REFUSED_BUSY);
}

static int send_continue(struct lws *wsi)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    unsigned char bytes[LWS_PRE + sizeof(line)];
    memcpy(bytes + LWS_PRE, line, sizeof(line) - 1);
    return lws_write(wsi, bytes + LWS_PRE, sizeof(line) - 1, LWS_WRITE_HTTP_HEADERS) < 0 ? -1 : 0;
}

/* What is refused is answered behind its body, which is read and dropped: a connection that closes
 * with bytes unread takes the answer along. */
int cp_json_exchange_begin(struct cp_json_exchange *exchange, gw_str path)
{
    struct lws *wsi = exchange->wsi;
    int refused = cp_json_head_read(exchange, wsi, path);
    refused = refused || check_drain(exchange) || check_origin(exchange);
    if (!refused && is_openapi(exchange) && exchange->body_bytes == 0) {
        set_answer(exchange, 200, exchange->server->options.openapi);
        send_answer(exchange);
        return 0;
    }
    refused = refused || find_route(exchange) || check_media_type(exchange);
    bool is_coming = exchange->body_bytes > 0 && !(refused && exchange->expects_continue);
    if (is_coming) {
        cp_json_exchange_patience(exchange, exchange->server->options.body_s);
        return exchange->expects_continue ? send_continue(wsi) : 0;
    }
    if (!refused)
        return start_call(exchange);
    exchange->lingers |= exchange->body_bytes > 0; /* whoever waits for 100 may send it or not */
    exchange->closes |= exchange->lingers;
    set_error(exchange, exchange->refusal_status);
    send_answer(exchange);
    return 0;
}

int cp_json_exchange_body(struct cp_json_exchange *exchange, gw_str bytes)
{
    struct cp_json_server *server = exchange->server;
    if (exchange->stage != CP_JSON_BODY || exchange->refusal_status)
        return 0;
    int64_t held = atomic_fetch_add(&server->bytes_held, (int64_t)bytes.len);
    if (held + (int64_t)bytes.len <= CP_JSON_BODIES_MAX_BYTES &&
        !gw_buf_append(&exchange->body, bytes))
        return 0;
    atomic_fetch_sub(&server->bytes_held, (int64_t)bytes.len);
    drop_body(exchange);
    (void)gw_fail(&exchange->err, GW_UNAVAILABLE, "too many bytes of bodies are held already");
    (void)cp_json_refuse(exchange, 503, CP_JSON_REFUSED_BUSY);
    return 0;
}

int cp_json_exchange_body_end(struct cp_json_exchange *exchange)
{
    if (exchange->stage != CP_JSON_BODY)
        return 0;
    if (!exchange->refusal_status)
        return start_call(exchange);
    set_error(exchange, exchange->refusal_status);
    send_answer(exchange);
    return 0;
}

/* Sends a piece; what the socket does not take of it, the library keeps. */
static int send_piece(struct cp_json_exchange *exchange)
{
    gw_str left = gw_buf_view(&exchange->answer);
    size_t bytes = GW_MIN(left.len, (size_t)WRITE_BYTES);
    gw_auto(gw_freep) unsigned char *piece = gw_malloc(LWS_PRE + bytes);
    memcpy(piece + LWS_PRE, left.ptr, bytes);
    int sent =
        lws_write(exchange->wsi, piece + LWS_PRE, bytes,
                  bytes == left.len && exchange->stage == CP_JSON_ANSWER ? LWS_WRITE_HTTP_FINAL
                                                                         : LWS_WRITE_HTTP);
    gw_buf_consume(&exchange->answer, bytes);
    if (exchange->stage == CP_JSON_STREAM)
        cp_json_stream_release(exchange, bytes);
    return sent < 0 ? -1 : 0;
}

int cp_json_exchange_write(struct cp_json_exchange *exchange)
{
    if (exchange->stage != CP_JSON_ANSWER && exchange->stage != CP_JSON_STREAM)
        return 0;
    if (gw_buf_len(&exchange->answer) > 0) {
        if (send_piece(exchange))
            return -1;
        send_answer(exchange);
        return 0;
    }
    if (exchange->stage == CP_JSON_STREAM)
        return exchange->is_begun ? cp_json_stream_sent(exchange) : 0;
    cp_json_exchange_patience(exchange, 0);
    return 1;
}

/* A body that does not come, or an answer that is not read. */
int cp_json_exchange_expire(struct cp_json_exchange *exchange)
{
    if (gw_clock_monotonic_ms() < exchange->due_ms)
        return 0;
    if (exchange->stage != CP_JSON_BODY) {
        atomic_fetch_add(&exchange->server->refused[CP_JSON_REFUSED_SLOW], 1);
        return -1;
    }
    exchange->closes = true;
    (void)gw_fail(&exchange->err, GW_DEADLINE_EXCEEDED, "the body took more than %u s",
                  exchange->server->options.body_s);
    (void)cp_json_refuse(exchange, 408, CP_JSON_REFUSED_SLOW);
    set_error(exchange, 408);
    send_answer(exchange);
    return 0;
}

void cp_json_exchange_leave(struct cp_json_exchange *exchange)
{
    exchange->wsi = NULL;
    if (exchange->stage == CP_JSON_STREAM)
        cp_json_stream_close(exchange);
    if (exchange->stage != CP_JSON_RUNNING)
        free_exchange(exchange);
}
