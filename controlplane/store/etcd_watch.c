/* SPDX-License-Identifier: Apache-2.0 */
/* A watch: one POST whose answer never ends, a line per answer. etcd sends the events of a revision
 * in one line. Its gateway dies in silence in more than one way (stack.md 4.3), so what is silent
 * for too long is taken for dead. */
#include "controlplane/store/etcd.h"

#include <inttypes.h>
#include <stdlib.h>

#define RETRY_MS 250
#define SILENT_INTERVALS 3
#define PROBE_MS 2000 /* of silence, until the member is asked whether it is there */
#define KEEP_BYTES ((size_t)1024 * 1024) /* of the line buffer, between lines */

struct etcd_watch {
    struct cp_watch watch;
    struct etcd *etcd; /* borrowed */
    size_t prefix_len;
    char prefix[CP_STORE_KEY_MAX];

    struct cp_position at; /* all seen up to here */
    uint64_t raft_term;    /* the highest seen */
    bool is_final;         /* and in which state, because of `why` */
    enum cp_watch_state final_state;
    struct gw_error why; /* of the last loss */
    atomic_bool is_cancelled;

    struct etcd_conn *stream, *ask; /* owned; `ask` for what is asked besides */
    unsigned endpoint;              /* of the stream */
    unsigned failures;              /* in a row */
    gw_msec retry_ms;               /* no new stream before */

    /* The stream. */
    bool is_open, is_live, is_ended, is_too_big;
    CURLcode end_code;
    char end_text[CURL_ERROR_SIZE];
    struct curl_slist *headers; /* owned */
    char *token;                /* owned; NULL: none */
    struct gw_buf body, lines;
    size_t scanned; /* of `lines`: no newline before */
    gw_msec heard_ms, probed_ms;
};

static struct etcd_watch *watch_of(struct cp_watch *watch)
{
    return gw_container_of(watch, struct etcd_watch, watch);
}

/* ---- the stream ---- */

static size_t on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    struct etcd_watch *watch = arg;
    watch->heard_ms = gw_clock_monotonic_ms();
    watch->is_too_big = gw_buf_append(&watch->lines, gw_str_n(bytes, size * count)) != 0;
    return watch->is_too_big ? 0 : size * count;
}

static void write_create(struct etcd_watch *watch)
{
    gw_buf_clear(&watch->body);
    etcd_write(&watch->body, "{\"create_request\":{");
    etcd_write_range(&watch->body, gw_str_n(watch->prefix, watch->prefix_len), GW_STR_NONE);
    if (watch->at.revision)
        etcd_write(&watch->body, ",\"start_revision\":\"%" PRId64 "\"", watch->at.revision + 1);
    etcd_write(&watch->body, ",\"progress_notify\":true}}");
}

static void stream_close(struct etcd_watch *watch)
{
    if (watch->is_open)
        curl_multi_remove_handle(watch->stream->multi, watch->stream->easy);
    watch->is_open = watch->is_live = watch->is_ended = watch->is_too_big = false;
    curl_easy_setopt(watch->stream->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(watch->headers);
    watch->headers = NULL;
    free(watch->token);
    watch->token = NULL;
    gw_buf_clear(&watch->lines);
    watch->scanned = 0;
}

/* -1: no token was to be had. */
static int stream_open(struct etcd_watch *watch)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct etcd *etcd = watch->etcd;
    CURL *easy = watch->stream->easy;
    char *token;
    watch->endpoint = atomic_load(&etcd->preferred);
    if (etcd_token(etcd, watch->ask, watch->endpoint, &arena, &token, &watch->why) != ETCD_ANSWERED)
        return -1;
    watch->token = token ? gw_strdup(token) : NULL;
    write_create(watch);
    struct etcd_request request = {.path = "/v3/watch", .body = gw_buf_view(&watch->body)};
    /* without it a member that has lost its quorum keeps the watch, and even its progress */
    watch->headers = etcd_post_set(easy, etcd->endpoints[watch->endpoint], &request, token,
                                   "Grpc-Metadata-hasleader: true");
    watch->end_text[0] = '\0';
    watch->heard_ms = gw_clock_monotonic_ms();
    watch->is_open = true;
    curl_multi_add_handle(watch->stream->multi, easy);
    return 0;
}

/* Reads what has come. */
static void stream_read(struct etcd_watch *watch)
{
    CURLM *multi = watch->stream->multi;
    int running, left;
    if (curl_multi_perform(multi, &running) != CURLM_OK)
        watch->is_ended = true;
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
        if (message->msg != CURLMSG_DONE)
            continue;
        watch->end_code = message->data.result;
        watch->is_ended = true;
    }
}

/* The next whole line, which stays where it is until line_drop. */
static bool line_next(struct etcd_watch *watch, gw_str *ret_line)
{
    gw_str all = gw_buf_view(&watch->lines);
    if (all.len == watch->scanned)
        return false;
    ptrdiff_t at = gw_str_find(gw_str_n(all.ptr + watch->scanned, all.len - watch->scanned), '\n');
    if (at < 0) {
        watch->scanned = all.len;
        return false;
    }
    *ret_line = gw_str_n(all.ptr, watch->scanned + (size_t)at);
    return true;
}

static void line_drop(struct etcd_watch *watch, gw_str line)
{
    watch->scanned = 0;
    gw_buf_consume(&watch->lines, line.len + 1);
    if (gw_buf_len(&watch->lines) == 0 && watch->lines.capacity > KEEP_BYTES)
        gw_buf_done(&watch->lines);
}

/* ---- what a line says ---- */

enum step { GO_ON, DELIVER, LOSE, FINISH };

static enum step finish(struct etcd_watch *watch, enum cp_watch_state state)
{
    watch->is_final = true;
    watch->final_state = state;
    return FINISH;
}

static enum step finish_reset(struct etcd_watch *watch, const char *what)
{
    gw_fail(&watch->why, GW_OUT_OF_RANGE, "the store is not the one that was watched: %s", what);
    return finish(watch, CP_WATCH_RESET);
}

static enum step on_refusal(struct etcd_watch *watch, const struct etcd_answer *answer)
{
    if (answer->compact_revision > 0) {
        gw_fail(&watch->why, GW_OUT_OF_RANGE, "etcd has forgotten the changes before %" PRId64,
                answer->compact_revision);
        return finish(watch, CP_WATCH_COMPACTED);
    }
    if (etcd_error_is_token(&answer->error))
        etcd_token_drop(watch->etcd, watch->token);
    if (answer->error.is_set)
        etcd_fail_answer(&watch->why, &answer->error);
    else
        gw_fail(&watch->why, GW_UNAVAILABLE, "etcd ended the watch");
    return LOSE;
}

static bool is_older(const struct etcd_watch *watch, const struct etcd_answer *answer)
{
    return answer->at.revision < watch->at.revision || answer->raft_term < watch->raft_term;
}

/* The member may lag behind what we have seen: only what a quorum says counts. */
static enum step check_age(struct etcd_watch *watch)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    gw_auto(gw_buf_done) struct gw_buf body = {0};
    struct etcd_answer answer;
    etcd_write(&body, "{\"count_only\":true,");
    etcd_write_range(&body, gw_str_n(watch->prefix, watch->prefix_len), GW_STR_NONE);
    etcd_write(&body, "}");
    struct etcd_request request = {.path = "/v3/kv/range", .body = gw_buf_view(&body)};
    if (etcd_attempt(watch->etcd, watch->ask, watch->endpoint, &request, &arena, &answer,
                     &watch->why) != ETCD_ANSWERED)
        return LOSE;
    return is_older(watch, &answer) ? finish_reset(watch, "its state is older") : GO_ON;
}

static enum step on_created(struct etcd_watch *watch, const struct etcd_answer *answer)
{
    if (is_older(watch, answer)) {
        enum step step = check_age(watch);
        if (step != GO_ON)
            return step;
    }
    watch->is_live = true;
    watch->failures = 0;
    watch->at.cluster_id = answer->at.cluster_id;
    if (watch->at.revision == 0)
        watch->at.revision = answer->at.revision;
    return DELIVER;
}

/* The header's revision counts for progress only: beside events it may be ahead of them. */
static void on_events(struct etcd_watch *watch, const struct etcd_answer *answer,
                      struct cp_batch *ret_batch)
{
    size_t kept = 0;
    for (size_t i = 0; i < answer->event_count; i++) {
        watch->at.revision = GW_MAX(watch->at.revision, answer->events[i].kv.mod_revision);
        if (!etcd_is_mark(answer->events[i].kv.key))
            answer->events[kept++] = answer->events[i];
    }
    ret_batch->events = answer->events;
    ret_batch->count = kept;
}

static enum step on_line(struct etcd_watch *watch, gw_str line, struct gw_arena *arena,
                         struct cp_batch *ret_batch)
{
    struct etcd_answer answer;
    if (etcd_parse(line, arena, &answer)) {
        gw_fail(&watch->why, GW_INTERNAL, "etcd's answer is not understood");
        return LOSE;
    }
    if (answer.error.is_set || answer.cancelled)
        return on_refusal(watch, &answer);
    if (answer.at.cluster_id == 0) {
        etcd_fail_header(&watch->why);
        return LOSE;
    }
    if (watch->at.cluster_id && watch->at.cluster_id != answer.at.cluster_id)
        return finish_reset(watch, "it is another cluster");
    enum step step = DELIVER;
    if (answer.created)
        step = on_created(watch, &answer);
    else if (answer.event_count)
        on_events(watch, &answer, ret_batch);
    else
        watch->at.revision = GW_MAX(watch->at.revision, answer.at.revision);
    watch->raft_term = GW_MAX(watch->raft_term, answer.raft_term);
    return step;
}

/* ---- silence and ends ---- */

/* When the stream counts as dead unless something comes. */
static gw_msec dead_ms(const struct etcd_watch *watch)
{
    return watch->heard_ms +
           (watch->is_live ? SILENT_INTERVALS * watch->etcd->progress_ms : watch->etcd->timeout_ms);
}

/* etcd says by itself that it is there only every ten minutes: a member that hangs would keep what
 * is served as it is for as long. */
static gw_msec probe_ms(const struct etcd_watch *watch)
{
    return watch->is_live ? GW_MAX(watch->heard_ms, watch->probed_ms) + PROBE_MS : INT64_MAX;
}

/* Whether the stream's member answers anything; a refusal will do, and it needs no quorum. */
static bool answers(struct etcd_watch *watch, struct gw_arena *arena)
{
    static const char body[] = "{\"key\":\"AA==\",\"serializable\":true,\"limit\":1}";
    struct gw_error err = GW_ERROR_NONE;
    struct etcd_answer answer;
    struct etcd_request request = {.path = "/v3/kv/range",
                                   .body = gw_str_n(body, sizeof(body) - 1)};
    enum etcd_fate fate =
        etcd_attempt(watch->etcd, watch->ask, watch->endpoint, &request, arena, &answer, &err);
    watch->probed_ms = gw_clock_monotonic_ms();
    return fate == ETCD_ANSWERED || fate == ETCD_REFUSED;
}

static enum step on_end(struct etcd_watch *watch)
{
    const char *url = watch->etcd->endpoints[watch->endpoint];
    long status = 0;
    curl_easy_getinfo(watch->stream->easy, CURLINFO_RESPONSE_CODE, &status);
    if (watch->is_too_big) {
        gw_fail(&watch->why, GW_OUT_OF_RANGE, "more changes at once than %zu bytes",
                watch->etcd->answer_bytes_max);
        return finish(watch, CP_WATCH_COMPACTED);
    }
    if (watch->end_code == CURLE_OK && status != 200) {
        struct etcd_answer answer = {0};
        etcd_error_from_http(status, gw_buf_view(&watch->lines), &answer.error);
        return on_refusal(watch, &answer);
    }
    etcd_fail_curl(&watch->why, url, watch->end_code,
                   watch->end_code == CURLE_OK ? "it ended the watch" : watch->end_text);
    return LOSE;
}

static enum step on_stream(struct etcd_watch *watch, struct gw_arena *arena,
                           struct cp_batch *ret_batch)
{
    gw_str line;
    long status = 0;
    if (!line_next(watch, &line)) {
        stream_read(watch);
        curl_easy_getinfo(watch->stream->easy, CURLINFO_RESPONSE_CODE, &status);
        if (watch->is_too_big || (status != 200 && watch->is_ended) || !line_next(watch, &line)) {
            if (watch->is_ended)
                return on_end(watch);
            gw_msec now_ms = gw_clock_monotonic_ms();
            if (now_ms < dead_ms(watch) && (now_ms < probe_ms(watch) || answers(watch, arena)))
                return GO_ON;
            gw_fail(&watch->why, GW_UNAVAILABLE, "etcd at %s is silent",
                    watch->etcd->endpoints[watch->endpoint]);
            return LOSE;
        }
    }
    enum step step = on_line(watch, line, arena, ret_batch);
    if (step == DELIVER || step == GO_ON)
        line_drop(watch, line);
    return step;
}

/* True: this loss is for the caller to know; false: another endpoint may do. */
static bool lose(struct etcd_watch *watch)
{
    bool was_live = watch->is_live;
    stream_close(watch);
    etcd_prefer_next(watch->etcd, watch->endpoint);
    watch->failures++;
    if (was_live)
        return true;
    if (watch->failures % watch->etcd->endpoint_count != 0)
        return false;
    watch->retry_ms = gw_clock_monotonic_ms() + RETRY_MS;
    return true;
}

/* ---- the contract ---- */

static void rest(struct etcd_watch *watch, gw_msec until_ms)
{
    gw_msec ms = until_ms - gw_clock_monotonic_ms();
    if (ms > 0)
        curl_multi_poll(watch->stream->multi, NULL, 0, (int)GW_MIN(ms, (gw_msec)60000), NULL);
}

static enum step turn(struct etcd_watch *watch, gw_msec until_ms, struct gw_arena *arena,
                      struct cp_batch *ret_batch)
{
    gw_msec now_ms = gw_clock_monotonic_ms();
    if (!watch->is_open) {
        if (now_ms < watch->retry_ms) {
            rest(watch, GW_MIN(until_ms, watch->retry_ms));
            return GO_ON;
        }
        if (stream_open(watch))
            return LOSE;
    }
    enum step step = on_stream(watch, arena, ret_batch);
    if (step == GO_ON)
        rest(watch, GW_MIN(until_ms, GW_MIN(dead_ms(watch), probe_ms(watch))));
    return step;
}

static enum cp_watch_state watch_next(struct cp_watch *base, gw_msec timeout_ms,
                                      struct gw_arena *arena, struct cp_batch *ret_batch,
                                      struct gw_error *err)
{
    struct etcd_watch *watch = watch_of(base);
    gw_msec until_ms = gw_clock_monotonic_ms() + GW_MAX(timeout_ms, (gw_msec)0);
    enum cp_watch_state state = CP_WATCH_AWAY;
    for (;;) {
        enum step step = FINISH;
        if (!watch->is_final && !atomic_load(&watch->is_cancelled))
            step = turn(watch, until_ms, arena, ret_batch);
        if (atomic_load(&watch->is_cancelled) && step != DELIVER) {
            gw_fail(&watch->why, GW_CANCELLED, "the watch was cancelled");
            finish(watch, CP_WATCH_CANCELLED);
        }
        if (watch->is_final) {
            stream_close(watch);
            state = watch->final_state;
            break;
        }
        if (step == LOSE && lose(watch))
            break;
        if (step == DELIVER || (step == GO_ON && gw_clock_monotonic_ms() >= until_ms)) {
            state = watch->is_live ? CP_WATCH_LIVE : CP_WATCH_AWAY;
            break;
        }
    }
    ret_batch->at = watch->at;
    if (state != CP_WATCH_LIVE)
        *err = watch->why;
    return state;
}

static void watch_cancel(struct cp_watch *base)
{
    struct etcd_watch *watch = watch_of(base);
    atomic_store(&watch->is_cancelled, true);
    etcd_conn_cancel(watch->ask);
    etcd_conn_cancel(watch->stream);
}

static void watch_close(struct cp_watch *base)
{
    struct etcd_watch *watch = watch_of(base);
    stream_close(watch);
    etcd_conn_free(watch->stream);
    etcd_conn_free(watch->ask);
    gw_buf_done(&watch->body);
    gw_buf_done(&watch->lines);
    free(watch);
}

static const struct cp_watch_ops ops = {
    .next = watch_next, .cancel = watch_cancel, .close = watch_close};

int etcd_watch_open(struct cp_store *store, gw_str prefix, struct cp_position after,
                    struct cp_watch **ret_watch, struct gw_error *err)
{
    (void)err; /* nothing is asked of etcd yet */
    struct etcd_watch *watch = gw_calloc(1, sizeof(*watch));
    watch->watch.ops = &ops;
    watch->etcd = etcd_of(store);
    watch->at = after;
    watch->prefix_len = prefix.len;
    if (prefix.len)
        memcpy(watch->prefix, prefix.ptr, prefix.len);
    gw_fail(&watch->why, GW_UNAVAILABLE, "etcd has not answered yet");
    gw_buf_init(&watch->body, 0);
    gw_buf_init(&watch->lines, watch->etcd->answer_bytes_max);
    watch->ask = etcd_conn_new(watch->etcd);
    watch->stream = etcd_conn_new(watch->etcd);
    curl_easy_setopt(watch->stream->easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(watch->stream->easy, CURLOPT_WRITEDATA, watch);
    curl_easy_setopt(watch->stream->easy, CURLOPT_ERRORBUFFER, watch->end_text);
    *ret_watch = &watch->watch;
    return 0;
}
