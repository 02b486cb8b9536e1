/* SPDX-License-Identifier: Apache-2.0 */
/* How often, by API, app and source address. All limits are checked,
 * then all are committed: a refused request consumes nothing. */
#include "dataplane/exchange.h"
#include "dataplane/filters/filters.h"
#include "dataplane/limiter.h"

#include "penstock/agent/v1/agent.pb-c.h"

#include <stdlib.h>

#define EXCEPTIONS_MAX 1000
#define TEXT_BYTES_MAX 64

enum dimension { API, APP, IP, DIMENSIONS };

static const gw_str debug_names[DIMENSIONS] = {
    [API] = {"X-Apig-RateLimit-api", 20},
    [APP] = {"X-Apig-RateLimit-app", 20},
    [IP] = {"X-Apig-RateLimit-ip", 19},
};

struct exception {
    gw_str app;
    int64_t limit;
};

struct throttle {
    struct dp_limiter *limiter; /* borrowed from the process */
    struct dp_siphash_key stem; /* of the keys of its counters */
    gw_str window_text;
    bool shared;
    int64_t window_seconds;
    int64_t limits[DIMENSIONS]; /* 0: none */
    unsigned exception_count;
    struct exception exceptions[]; /* sorted by app; instead of limits[APP] */
};

/* What one exchange was measured against. */
struct taken {
    unsigned count;
    int refused; /* index of the limit without room, -1: none */
    enum dimension dimensions[DIMENSIONS];
    struct dp_limit limits[DIMENSIONS];
};

static int by_app(const void *a, const void *b)
{
    return gw_str_cmp(((const struct exception *)a)->app, ((const struct exception *)b)->app);
}

static int compile_exceptions(struct gw_arena *arena, struct throttle *conf,
                              const Penstock__Agent__V1__Throttle *source, struct gw_error *err)
{
    for (size_t i = 0; i < source->n_exceptions; i++) {
        const Penstock__Agent__V1__ThrottleException *exception = source->exceptions[i];
        if (exception->limit < 1 || exception->limit > DP_LIMIT_MAX)
            return gw_fail_field(err, "throttle.exceptions.limit", "must be 1 to %d", DP_LIMIT_MAX);
        conf->exceptions[conf->exception_count++] =
            (struct exception){gw_arena_dup(arena, gw_str_from(exception->app)), exception->limit};
    }
    qsort(conf->exceptions, conf->exception_count, sizeof conf->exceptions[0], by_app);
    for (unsigned i = 1; i < conf->exception_count; i++) {
        if (gw_str_eq(conf->exceptions[i - 1].app, conf->exceptions[i].app))
            return gw_fail_field(err, "throttle.exceptions.app", "%.64s is there twice",
                                 conf->exceptions[i].app.ptr);
    }
    return 0;
}

static int check(const Penstock__Agent__V1__Throttle *source, struct gw_error *err)
{
    if (source->window_seconds < 1)
        return gw_fail_field(err, "throttle.window_seconds", "must be positive");
    if (source->api_limit < 1 || source->api_limit > DP_LIMIT_MAX)
        return gw_fail_field(err, "throttle.api_limit", "must be 1 to %d", DP_LIMIT_MAX);
    if (source->app_limit < 0 || source->app_limit > DP_LIMIT_MAX)
        return gw_fail_field(err, "throttle.app_limit", "must be 0 to %d", DP_LIMIT_MAX);
    if (source->ip_limit < 0 || source->ip_limit > DP_LIMIT_MAX)
        return gw_fail_field(err, "throttle.ip_limit", "must be 0 to %d", DP_LIMIT_MAX);
    if (source->n_exceptions > EXCEPTIONS_MAX)
        return gw_fail_field(err, "throttle.exceptions", "must be at most %d", EXCEPTIONS_MAX);
    gw_str text = gw_str_from(source->window_text);
    if (text.len > TEXT_BYTES_MAX || !dp_header_is_valid(debug_names[API], text))
        return gw_fail_field(err, "throttle.window_text", "is no header value");
    return 0;
}

static int compile(const struct dp_compile *compile, const ProtobufCMessage *message,
                   const void **ret_conf, struct gw_error *err)
{
    const Penstock__Agent__V1__Policy *policy = (const Penstock__Agent__V1__Policy *)message;
    const Penstock__Agent__V1__Throttle *source = policy->throttle;
    if (check(source, err) < 0)
        return -1;
    struct throttle *conf = gw_arena_zalloc(
        compile->arena, sizeof *conf + source->n_exceptions * sizeof conf->exceptions[0]);
    conf->limiter = compile->limiter;
    conf->stem = dp_limiter_stem(compile->limiter, gw_str_from(policy->name));
    conf->window_text = gw_arena_dup(compile->arena, gw_str_from(source->window_text));
    conf->shared = source->shared;
    conf->window_seconds = source->window_seconds;
    conf->limits[API] = source->api_limit;
    conf->limits[APP] = source->app_limit;
    conf->limits[IP] = source->ip_limit;
    *ret_conf = conf;
    return compile_exceptions(compile->arena, conf, source, err);
}

/* ---- request */

static int64_t app_limit(const struct throttle *conf, const struct dp_app *app)
{
    struct exception key = {.app = dp_app_name(app)};
    const struct exception *found =
        bsearch(&key, conf->exceptions, conf->exception_count, sizeof conf->exceptions[0], by_app);
    return found ? found->limit : conf->limits[APP];
}

/* An IPv6 caller has 2^64 addresses to choose from: those of one /64 are one subject. */
static gw_str subject_of(const struct dp_address *source)
{
    size_t len = dp_address_is_v4(source) ? sizeof source->bytes : sizeof source->bytes / 2;
    return gw_str_n((const char *)source->bytes, len);
}

static struct dp_limit *add(struct taken *taken, const struct throttle *conf,
                            enum dimension dimension, int64_t limit)
{
    taken->dimensions[taken->count] = dimension;
    struct dp_limit *next = &taken->limits[taken->count++];
    next->limit = limit;
    next->window_seconds = conf->window_seconds;
    return next;
}

/* The API's key is the stem of the others: they are per route unless the policy is shared. */
static void collect(const struct throttle *conf, const struct dp_exchange *x, struct taken *taken)
{
    struct dp_limit *api = add(taken, conf, API, conf->limits[API]);
    dp_limit_key_of(&conf->stem, API, conf->shared ? NULL : &x->route->hash, api->key);
    struct dp_siphash_key stem = {{api->key[0], api->key[1]}};
    int64_t of_app = x->app ? app_limit(conf, x->app) : 0;
    if (of_app > 0)
        dp_limit_key_of(&stem, APP, &x->app->hash, add(taken, conf, APP, of_app)->key);
    if (conf->limits[IP] > 0)
        dp_limit_key(&stem, IP, subject_of(&x->request.source),
                     add(taken, conf, IP, conf->limits[IP])->key);
}

static enum dp_verdict on_request(struct dp_exchange *x, const void *conf_ptr, void *scratch)
{
    const struct throttle *conf = conf_ptr;
    struct taken *taken = scratch;
    collect(conf, x, taken);
    taken->refused =
        dp_limiter_take(conf->limiter, taken->limits, taken->count, gw_clock_wall_ms());
    return taken->refused < 0 ? DP_NEXT : dp_exchange_refuse(x, DP_REFUSE_THROTTLED);
}

/* ---- response */

static void put_number(struct dp_headers *headers, enum dp_header_id id, int64_t value)
{
    char *text = gw_arena_bytes(headers->arena, GW_U64_DIGITS);
    size_t len = (size_t)(gw_str_put_u64(text, (uint64_t)value) - text);
    dp_headers_put_id(headers, id, gw_str_n(text, len));
}

/* The limit that refused, or the one with the least room. */
static const struct dp_limit *tightest(const struct taken *taken)
{
    if (taken->refused >= 0)
        return &taken->limits[taken->refused];
    const struct dp_limit *found = &taken->limits[0];
    for (unsigned i = 1; i < taken->count; i++) {
        if (taken->limits[i].remaining < found->remaining)
            found = &taken->limits[i];
    }
    return found;
}

static void add_debug_headers(struct dp_exchange *x, const struct throttle *conf,
                              const struct taken *taken)
{
    for (unsigned i = 0; i < taken->count; i++) {
        const struct dp_limit *limit = &taken->limits[i];
        gw_str value =
            gw_arena_printf(&x->arena, "remain:%lld,limit:%lld,%.*s", (long long)limit->remaining,
                            (long long)limit->limit, GW_STR_ARG(conf->window_text));
        dp_headers_set(&x->response.head.headers, debug_names[taken->dimensions[i]], value);
    }
}

static enum dp_verdict on_response(struct dp_exchange *x, const void *conf_ptr, void *scratch)
{
    const struct taken *taken = scratch;
    const struct dp_limit *limit = tightest(taken);
    struct dp_headers *headers = &x->response.head.headers;
    int64_t seconds = (limit->reset_ms + 999) / 1000;
    put_number(headers, DP_HEADER_RATELIMIT_LIMIT, limit->limit);
    put_number(headers, DP_HEADER_RATELIMIT_REMAINING, limit->remaining);
    put_number(headers, DP_HEADER_RATELIMIT_RESET, seconds);
    if (taken->refused >= 0)
        put_number(headers, DP_HEADER_RETRY_AFTER, seconds);
    if (dp_exchange_shows_debug(x))
        add_debug_headers(x, conf_ptr, taken);
    return DP_NEXT;
}

const struct dp_filter dp_filter_throttle = {
    .name = "throttle",
    .scratch = sizeof(struct taken),
    .policy_kind = PENSTOCK__AGENT__V1__POLICY__KIND_THROTTLE,
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
};
