/* SPDX-License-Identifier: Apache-2.0 */
/* The etcd store but for its lists (etcd_list.c), transactions (etcd_txn.c) and watches
 * (etcd_watch.c). */
#include "controlplane/store/etcd.h"

#include <inttypes.h>
#include <stdlib.h>

#define TIMEOUT_MS 5000
#define PROGRESS_MS (10 * 60 * 1000)
#define KEYS_AT_ONCE                                                                               \
    32 /* of the largest values that is 43 MB of JSON, and a second of etcd's time */
#define PING_KEY "/penstock/v1/"

/* ---- calls ---- */

int etcd_fail_header(struct gw_error *err)
{
    return gw_fail(err, GW_INTERNAL, "etcd's answer is not understood: no header");
}

int etcd_ask(struct etcd *etcd, const char *path, struct gw_buf *body, struct gw_arena *arena,
             struct etcd_answer *ret_answer, struct gw_error *err)
{
    struct etcd_request request = {.path = path, .body = gw_buf_view(body)};
    enum etcd_fate fate = etcd_call(etcd, &request, arena, ret_answer, err);
    gw_buf_done(body);
    if (fate != ETCD_ANSWERED)
        return -1;
    return ret_answer->at.cluster_id ? 0 : etcd_fail_header(err);
}

static int etcd_get(struct cp_store *store, gw_str key, struct gw_arena *arena,
                    struct cp_found *ret_found, struct gw_error *err)
{
    struct gw_buf body;
    struct etcd_answer answer;
    gw_buf_init(&body, 0);
    etcd_write(&body, "{");
    etcd_write_bytes(&body, "key", key);
    etcd_write(&body, "}");
    if (etcd_ask(etcd_of(store), "/v3/kv/range", &body, arena, &answer, err))
        return -1;
    *ret_found = (struct cp_found){.found = answer.kv_count > 0, .at = answer.at};
    if (ret_found->found)
        ret_found->kv = answer.kvs[0];
    return 0;
}

/* One transaction that only reads. */
static int get_some(struct etcd *etcd, const gw_str *keys, size_t count, struct gw_arena *arena,
                    struct cp_found *ret_found, struct gw_error *err)
{
    struct gw_buf body;
    struct etcd_answer answer;
    gw_buf_init(&body, 0);
    etcd_write(&body, "{\"success\":[");
    for (size_t i = 0; i < count; i++) {
        etcd_write(&body, "%s", i > 0 ? "," : "");
        etcd_write_read(&body, keys[i]);
    }
    etcd_write(&body, "]}");
    if (etcd_ask(etcd, "/v3/kv/txn", &body, arena, &answer, err))
        return -1;
    size_t at = 0; /* those that are not there are left out */
    for (size_t i = 0; i < count; i++) {
        bool found = at < answer.kv_count && gw_str_eq(answer.kvs[at].key, keys[i]);
        ret_found[i] = (struct cp_found){.found = found, .at = answer.at};
        if (found)
            ret_found[i].kv = answer.kvs[at++];
    }
    return 0;
}

/* Fewer at once when etcd refuses: its --max-txn-ops may be lower, the answer may be too big. */
static int etcd_get_all(struct cp_store *store, const gw_str *keys, size_t count,
                        struct gw_arena *arena, struct cp_found *ret_found, struct gw_error *err)
{
    size_t at_once = KEYS_AT_ONCE;
    for (size_t at = 0; at < count;) {
        at_once = GW_MIN(at_once, count - at);
        int result = at_once == 1
                         ? etcd_get(store, keys[at], arena, &ret_found[at], err)
                         : get_some(etcd_of(store), keys + at, at_once, arena, ret_found + at, err);
        if (result == 0) {
            at += at_once;
            continue;
        }
        if (at_once == 1 || err->code == GW_UNAVAILABLE)
            return -1;
        *err = GW_ERROR_NONE;
        at_once /= 2;
    }
    return 0;
}

static int etcd_ping(struct cp_store *store, struct cp_position *ret_at, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct cp_found found;
    /* a read that a quorum confirms, of a key that our role can read */
    if (etcd_get(store, GW_STR(PING_KEY), &arena, &found, err))
        return -1;
    *ret_at = found.at;
    return 0;
}

/* ---- counts ---- */

bool etcd_is_mark(gw_str key)
{
    return gw_str_has_prefix(key, GW_STR(ETCD_MARK_PREFIX));
}

static void write_count(struct gw_buf *body, gw_str prefix)
{
    etcd_write(body, "{\"request_range\":{\"count_only\":true,");
    etcd_write_range(body, prefix, GW_STR_NONE);
    etcd_write(body, "}}");
}

static int etcd_count(struct cp_store *store, gw_str prefix, int64_t *ret_count,
                      struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    bool has_marks = gw_str_has_prefix(GW_STR(ETCD_MARK_PREFIX), prefix);
    struct gw_buf body;
    struct etcd_answer answer;
    gw_buf_init(&body, 0);
    etcd_write(&body, "{\"success\":[");
    write_count(&body, prefix);
    if (has_marks) {
        etcd_write(&body, ",");
        write_count(&body, GW_STR(ETCD_MARK_PREFIX));
    }
    etcd_write(&body, "]}");
    if (etcd_ask(etcd_of(store), "/v3/kv/txn", &body, &arena, &answer, err))
        return -1;
    *ret_count = answer.counts[0] - answer.counts[1];
    return 0;
}

/* ---- leases ---- */

static int etcd_lease_grant(struct cp_store *store, int64_t ttl_s, int64_t *ret_lease,
                            struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct gw_buf body;
    struct etcd_answer answer;
    gw_buf_init(&body, 0);
    etcd_write(&body, "{\"TTL\":\"%" PRId64 "\"}", ttl_s);
    if (etcd_ask(etcd_of(store), "/v3/lease/grant", &body, &arena, &answer, err))
        return -1;
    if (answer.id == 0)
        return gw_fail(err, GW_INTERNAL, "etcd's answer is not understood: no lease");
    *ret_lease = answer.id;
    return 0;
}

static int etcd_lease_keepalive(struct cp_store *store, int64_t lease, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct gw_buf body;
    struct etcd_answer answer;
    gw_buf_init(&body, 0);
    etcd_write(&body, "{\"ID\":\"%" PRId64 "\"}", lease);
    if (etcd_ask(etcd_of(store), "/v3/lease/keepalive", &body, &arena, &answer, err))
        return -1;
    if (answer.ttl <= 0) /* etcd's word for a lease that has ended: no TTL */
        return gw_fail(err, GW_NOT_FOUND, "the lease has ended");
    return 0;
}

static int etcd_lease_revoke(struct cp_store *store, int64_t lease, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct gw_buf body;
    struct etcd_answer answer;
    gw_buf_init(&body, 0);
    etcd_write(&body, "{\"ID\":\"%" PRId64 "\"}", lease);
    return etcd_ask(etcd_of(store), "/v3/lease/revoke", &body, &arena, &answer, err);
}

/* ---- compaction ---- */

static int etcd_compact(struct cp_store *store, int64_t keep, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct cp_position at;
    struct gw_buf body;
    struct etcd_answer answer;
    if (etcd_ping(store, &at, err))
        return -1;
    if (at.revision <= keep)
        return 0;
    int64_t revision = at.revision - keep;
    if (etcd_marks_sweep(etcd_of(store), revision, err))
        return -1;
    gw_buf_init(&body, 0);
    etcd_write(&body, "{\"revision\":\"%" PRId64 "\"}", revision);
    if (etcd_ask(etcd_of(store), "/v3/kv/compaction", &body, &arena, &answer, err) == 0 ||
        strstr(err->message, "has been compacted")) {
        *err = GW_ERROR_NONE;
        return 0;
    }
    return -1;
}

/* ---- open and close ---- */

static void etcd_close(struct cp_store *store)
{
    struct etcd *etcd = etcd_of(store);
    etcd_idle_free(etcd);
    etcd_marks_free(etcd);
    etcd_large_done(etcd);
    for (unsigned i = 0; i < etcd->endpoint_count; i++)
        free(etcd->endpoints[i]);
    free(etcd->ca_file);
    free(etcd->cert_file);
    free(etcd->key_file);
    free(etcd->user);
    free(etcd->password_file);
    free(etcd->token);
    pthread_mutex_destroy(&etcd->lock);
    free(etcd);
}

static int add_endpoint(struct etcd *etcd, gw_str url, struct gw_error *err)
{
    if (!gw_str_has_prefix(url, GW_STR("http://")) && !gw_str_has_prefix(url, GW_STR("https://")))
        return gw_fail(err, GW_INVALID_ARGUMENT, "the etcd endpoint \"%.*s\" is not http(s)://",
                       (int)GW_MIN(url.len, (size_t)100), url.ptr);
    if (etcd->endpoint_count == ETCD_ENDPOINTS_MAX)
        return gw_fail(err, GW_INVALID_ARGUMENT, "more than %d etcd endpoints", ETCD_ENDPOINTS_MAX);
    while (url.len && url.ptr[url.len - 1] == '/')
        url.len--;
    char *copy = gw_malloc(url.len + 1);
    memcpy(copy, url.ptr, url.len);
    copy[url.len] = '\0';
    etcd->endpoints[etcd->endpoint_count++] = copy;
    return 0;
}

static int add_endpoints(struct etcd *etcd, const char *endpoints, struct gw_error *err)
{
    gw_str rest = gw_str_from(endpoints);
    while (rest.ptr) {
        gw_str url = gw_str_trim(gw_str_split(&rest, ','));
        if (url.len && add_endpoint(etcd, url, err))
            return -1;
    }
    if (etcd->endpoint_count == 0)
        return gw_fail(err, GW_INVALID_ARGUMENT, "no etcd endpoint is given");
    return 0;
}

static char *copy_text(const char *text)
{
    return text && text[0] ? gw_strdup(text) : NULL;
}

static void init_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        gw_panic("curl_global_init failed");
}

static const struct cp_store_ops ops = {
    .close = etcd_close,
    .get = etcd_get,
    .get_all = etcd_get_all,
    .list = etcd_list,
    .count = etcd_count,
    .txn = etcd_txn,
    .lease_grant = etcd_lease_grant,
    .lease_keepalive = etcd_lease_keepalive,
    .lease_revoke = etcd_lease_revoke,
    .ping = etcd_ping,
    .compact = etcd_compact,
    .watch_open = etcd_watch_open,
};

int cp_store_open_etcd(const struct cp_etcd_options *options, struct cp_store **ret_store,
                       struct gw_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
    struct etcd *etcd = gw_calloc(1, sizeof(*etcd));
    etcd->store.ops = &ops;
    pthread_mutex_init(&etcd->lock, NULL);
    etcd->ca_file = copy_text(options->ca_file);
    etcd->cert_file = copy_text(options->cert_file);
    etcd->key_file = copy_text(options->key_file);
    etcd->user = copy_text(options->user);
    etcd->password_file = copy_text(options->password_file);
    etcd->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
    etcd->progress_ms = options->progress_ms > 0 ? options->progress_ms : PROGRESS_MS;
    etcd->answer_bytes_max = ETCD_ANSWER_BYTES_MAX;
    etcd_large_init(etcd);
    if (add_endpoints(etcd, options->endpoints, err)) {
        etcd_close(&etcd->store);
        return -1;
    }
    *ret_store = &etcd->store;
    return 0;
}
