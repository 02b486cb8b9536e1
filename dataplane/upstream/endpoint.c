/* SPDX-License-Identifier: Apache-2.0 */
/* The registry, and when each name is looked up. The agent's main loop does that: the workers' are
 * for requests, and what is found is for all of them. */
#include "dataplane/upstream/endpoint.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/map.h"
#include "dataplane/upstream/resolver.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define HOST_BYTES_MAX 255

#define WORDS (sizeof(struct dp_address) * DP_ENDPOINT_ADDRESSES_MAX / sizeof(uint64_t))

struct dp_endpoint {
    atomic_uint refs;
    struct dp_endpoints *endpoints; /* borrowed */
    gw_str host, name;              /* owned, one piece with the endpoint */
    uint16_t port;
    bool is_name;           /* not a literal address */
    struct gw_list node;    /* of endpoints->due */
    struct dp_timer expiry; /* until it is due */
    atomic_bool settled;
    _Atomic(const char *) error; /* static text; NULL: none */

    /* the loop's thread only */
    unsigned failures; /* in a row */
    bool lacks_v4;     /* of a look-up that is in doubt: the family that it did not find */
    gw_msec ttl_ms;    /* of what it found */

    /* The addresses, written by one thread at a time: readers who find `version` odd or changed
     * read again. Words are atomic, and released and acquired one by one, so that a reader who sees
     * a new word sees the new version too. */
    atomic_uint version;
    atomic_uint count;
    _Atomic uint64_t words[WORDS];

    struct dp_pool *pools[]; /* by worker; each owns a reference while it is there */
};

struct dp_endpoints {
    unsigned worker_count;
    pthread_mutex_t lock; /* guards the next four, and each endpoint's node and expiry */
    struct gw_map by_name;
    struct dp_wheel wheel; /* of names that are good for a while */
    struct gw_list due;    /* names to look up, in this order */
    struct dp_loop *loop;  /* borrowed; NULL: nothing is looked up yet */

    /* the loop's thread only */
    struct dp_resolver *resolver;
    ev_async wake;
    struct dp_timer timer;
    struct dp_task task;
    unsigned under_way;

    atomic_uint names, failing;
    atomic_ullong lookups, failures;
};

static void publish(struct dp_endpoint *endpoint, const struct dp_address *addresses,
                    unsigned count)
{
    uint64_t words[WORDS] = {0};
    if (count > 0)
        memcpy(words, addresses, count * sizeof(*addresses));
    unsigned version = atomic_load_explicit(&endpoint->version, memory_order_relaxed);
    atomic_store_explicit(&endpoint->version, version + 1, memory_order_relaxed);
    atomic_store_explicit(&endpoint->count, count, memory_order_release);
    for (size_t i = 0; i < WORDS; i++)
        atomic_store_explicit(&endpoint->words[i], words[i], memory_order_release);
    atomic_store_explicit(&endpoint->version, version + 2, memory_order_release);
}

unsigned dp_endpoint_addresses(const struct dp_endpoint *endpoint,
                               struct dp_address ret_addresses[DP_ENDPOINT_ADDRESSES_MAX])
{
    uint64_t words[WORDS];
    unsigned before, after, count;
    do {
        before = atomic_load_explicit(&endpoint->version, memory_order_acquire);
        count = atomic_load_explicit(&endpoint->count, memory_order_acquire);
        for (size_t i = 0; i < WORDS; i++)
            words[i] = atomic_load_explicit(&endpoint->words[i], memory_order_acquire);
        after = atomic_load_explicit(&endpoint->version, memory_order_relaxed);
    } while (before % 2 == 1 || before != after);
    memcpy(ret_addresses, words, sizeof(words));
    return count;
}

static void free_endpoint(struct dp_endpoint *endpoint)
{
    for (unsigned i = 0; i < endpoint->endpoints->worker_count; i++)
        assert(!endpoint->pools[i]);
    free(endpoint);
}

/* Under the lock. True when the endpoint is out of the registry now and the caller's to free. */
static bool drop_reference(struct dp_endpoint *endpoint)
{
    if (atomic_fetch_sub_explicit(&endpoint->refs, 1, memory_order_acq_rel) > 1)
        return false;
    struct dp_endpoints *endpoints = endpoint->endpoints;
    (void)gw_map_take(&endpoints->by_name, endpoint->name); /* it is the endpoint */
    gw_list_remove(&endpoint->node);
    dp_timer_stop(&endpoint->expiry);
    atomic_fetch_sub(&endpoints->names, endpoint->is_name);
    atomic_fetch_sub(&endpoints->failing, atomic_load(&endpoint->error) != NULL);
    return true;
}

struct dp_endpoint *dp_endpoint_ref(struct dp_endpoint *endpoint)
{
    atomic_fetch_add_explicit(&endpoint->refs, 1, memory_order_relaxed);
    return endpoint;
}

void dp_endpoint_unref(struct dp_endpoint *endpoint)
{
    if (!endpoint)
        return;
    unsigned refs = atomic_load_explicit(&endpoint->refs, memory_order_relaxed);
    while (refs > 1) {
        if (atomic_compare_exchange_weak_explicit(&endpoint->refs, &refs, refs - 1,
                                                  memory_order_release, memory_order_relaxed))
            return;
    }
    /* Perhaps the last one: only under the lock can nobody get it meanwhile. */
    struct dp_endpoints *endpoints = endpoint->endpoints;
    pthread_mutex_lock(&endpoints->lock);
    bool is_last = drop_reference(endpoint);
    pthread_mutex_unlock(&endpoints->lock);
    if (is_last)
        free_endpoint(endpoint);
}

/* ---- look-ups */

/* Under the lock, from the wheel. */
static void on_expired(struct dp_timer *timer)
{
    struct dp_endpoint *endpoint = gw_container_of(timer, struct dp_endpoint, expiry);
    gw_list_push(&endpoint->endpoints->due, &endpoint->node);
}

/* Publishes other addresses, or the same in another order. */
static void take(struct dp_endpoint *endpoint, const struct dp_address *addresses, unsigned count)
{
    struct dp_address before[DP_ENDPOINT_ADDRESSES_MAX];
    if (dp_endpoint_addresses(endpoint, before) != count ||
        memcmp(before, addresses, count * sizeof(before[0])) != 0)
        publish(endpoint, addresses, count);
}

/* How many of them are of that family; they go to the front of `ret`, of which the first `most`
 * count. */
static unsigned pick(const struct dp_address *addresses, unsigned count, bool v4, unsigned most,
                     struct dp_address *ret)
{
    unsigned picked = 0;
    for (unsigned i = 0; i < count && picked < most; i++)
        if (dp_address_is_v4(&addresses[i]) == v4)
            ret[picked++] = addresses[i];
    return picked;
}

/* One family was found; whether the other has no addresses, or its servers failed, is not known.
 * True when that matters: it had some, or nothing is known of it yet. Then they stay meanwhile. */
static bool is_in_doubt(struct dp_endpoint *endpoint, const struct dp_resolution *resolution,
                        struct dp_address merged[DP_ENDPOINT_ADDRESSES_MAX], unsigned *ret_count)
{
    struct dp_address before[DP_ENDPOINT_ADDRESSES_MAX];
    const unsigned most = DP_ENDPOINT_ADDRESSES_MAX;
    unsigned count = dp_endpoint_addresses(endpoint, before), found = resolution->count;
    bool v4 = !dp_address_is_v4(&resolution->addresses[0]);
    struct dp_address others[DP_ENDPOINT_ADDRESSES_MAX];
    if (!resolution->name[0] || pick(resolution->addresses, found, v4, most, others) > 0)
        return false;
    unsigned kept = pick(before, count, v4, most - GW_MIN(found, most / 2), others);
    bool is_known = count > 0 && endpoint->failures == 0 && !resolution->hesitated;
    if (kept == 0 && is_known)
        return false;
    bool comes_first = kept > 0 && dp_address_is_v4(&before[0]) == v4;
    found = GW_MIN(found, most - kept);
    memcpy(merged + (comes_first ? kept : 0), resolution->addresses, found * sizeof(*merged));
    memcpy(merged + (comes_first ? 0 : found), others, kept * sizeof(*merged));
    *ret_count = found + kept;
    endpoint->lacks_v4 = v4;
    return true;
}

static void set_error(struct dp_endpoint *endpoint, const char *error)
{
    static struct gw_log_limit limit;
    unsigned dropped;
    const char *before = atomic_exchange(&endpoint->error, error);
    if (!before == !error)
        return;
    if (error)
        atomic_fetch_add(&endpoint->endpoints->failing, 1);
    else
        atomic_fetch_sub(&endpoint->endpoints->failing, 1);
    if (!gw_log_allow(&limit, 10, &dropped))
        return;
    if (error)
        gw_log(GW_LOG_WARN, "dns", "a backend's name cannot be resolved; its last addresses stay",
               gw_kv_str("host", endpoint->host), gw_kv_text("error", error),
               gw_kv_int("addresses", atomic_load(&endpoint->count)),
               gw_kv_int("dropped", dropped));
    else
        gw_log(GW_LOG_INFO, "dns", "a backend's name is resolved again",
               gw_kv_str("host", endpoint->host), gw_kv_int("dropped", dropped));
}

/* When to look again. */
static gw_msec after_failure(struct dp_endpoint *endpoint, const char *error)
{
    gw_msec wait = DP_ENDPOINT_RETRY_MIN_MS << GW_MIN(endpoint->failures, 16U);
    set_error(endpoint, error);
    atomic_fetch_add_explicit(&endpoint->endpoints->failures, 1, memory_order_relaxed);
    endpoint->failures++;
    return GW_MIN(wait, DP_ENDPOINT_RETRY_MAX_MS);
}

static gw_msec after_success(struct dp_endpoint *endpoint)
{
    set_error(endpoint, NULL);
    endpoint->failures = 0;
    return GW_MIN(GW_MAX(endpoint->ttl_ms, DP_ENDPOINT_TTL_MIN_MS), DP_ENDPOINT_TTL_MAX_MS);
}

/* The look-up has ended, and the next one is due after the wait. */
static void conclude(struct dp_endpoint *endpoint, gw_msec wait)
{
    struct dp_endpoints *endpoints = endpoint->endpoints;
    endpoints->under_way--;
    pthread_mutex_lock(&endpoints->lock);
    dp_timer_arm(&endpoints->wheel, &endpoint->expiry, endpoints->loop->now_ms + wait);
    bool is_last = drop_reference(endpoint);
    pthread_mutex_unlock(&endpoints->lock);
    if (is_last)
        free_endpoint(endpoint);
    dp_loop_later(endpoints->loop, &endpoints->task);
}

static void on_answered(void *arg, enum dp_resolver_answer answer)
{
    struct dp_endpoint *endpoint = arg;
    struct dp_address before[DP_ENDPOINT_ADDRESSES_MAX], left[DP_ENDPOINT_ADDRESSES_MAX];
    unsigned count = dp_endpoint_addresses(endpoint, before);
    gw_msec wait = answer == DP_RESOLVER_SOME ? DP_ENDPOINT_RETRY_MIN_MS : 0; /* all of it again */
    if (answer == DP_RESOLVER_NONE) {
        take(endpoint, left,
             pick(before, count, !endpoint->lacks_v4, DP_ENDPOINT_ADDRESSES_MAX, left));
        wait = after_success(endpoint);
    } else if (answer == DP_RESOLVER_UNKNOWN) {
        wait = after_failure(endpoint, endpoint->lacks_v4 ? "IPv6 alone was found, IPv4 failed"
                                                          : "IPv4 alone was found, IPv6 failed");
        wait = GW_MIN(wait, GW_MAX(endpoint->ttl_ms, DP_ENDPOINT_TTL_MIN_MS));
    }
    conclude(endpoint, wait);
}

static void on_resolved(void *arg, const struct dp_resolution *resolution)
{
    struct dp_endpoint *endpoint = arg;
    struct dp_endpoints *endpoints = endpoint->endpoints;
    struct dp_address merged[DP_ENDPOINT_ADDRESSES_MAX];
    unsigned count;
    if (resolution->cancelled) {
        conclude(endpoint, 0);
        return;
    }
    atomic_fetch_add_explicit(&endpoints->lookups, 1, memory_order_relaxed);
    endpoint->ttl_ms = resolution->ttl_ms;
    bool is_doubtful = !resolution->error && is_in_doubt(endpoint, resolution, merged, &count);
    if (is_doubtful)
        take(endpoint, merged, count);
    else if (!resolution->error)
        take(endpoint, resolution->addresses, resolution->count);
    atomic_store_explicit(&endpoint->settled, true, memory_order_release);
    if (is_doubtful)
        dp_resolver_ask(endpoints->resolver, resolution->name, endpoint->lacks_v4, on_answered,
                        endpoint);
    else
        conclude(endpoint, resolution->error ? after_failure(endpoint, resolution->error)
                                             : after_success(endpoint));
}

/* The first that is due, with a reference; NULL: none, or enough are under way. */
static struct dp_endpoint *take_due(struct dp_endpoints *endpoints)
{
    struct dp_endpoint *endpoint = NULL;
    pthread_mutex_lock(&endpoints->lock);
    if (!gw_list_is_empty(&endpoints->due) && endpoints->under_way < DP_ENDPOINT_LOOKUPS_MAX) {
        endpoint = gw_container_of(endpoints->due.next, struct dp_endpoint, node);
        gw_list_remove(&endpoint->node);
        dp_endpoint_ref(endpoint);
        endpoints->under_way++;
    }
    pthread_mutex_unlock(&endpoints->lock);
    return endpoint;
}

static void look_up_due(struct dp_endpoints *endpoints)
{
    struct dp_endpoint *endpoint;
    pthread_mutex_lock(&endpoints->lock);
    dp_wheel_advance(&endpoints->wheel, endpoints->loop->now_ms);
    gw_msec next_ms = endpoints->wheel.next_ms;
    pthread_mutex_unlock(&endpoints->lock);
    while ((endpoint = take_due(endpoints)) != NULL)
        dp_resolver_look_up(endpoints->resolver, endpoint->host.ptr, on_resolved, endpoint);
    dp_timer_stop(&endpoints->timer);
    /* What on_resolved arms earlier it tells by the task. */
    if (next_ms != INT64_MAX)
        dp_loop_arm(endpoints->loop, &endpoints->timer,
                    GW_MAX(next_ms - endpoints->loop->now_ms, 0));
}

static void on_timer(struct dp_timer *timer)
{
    look_up_due(gw_container_of(timer, struct dp_endpoints, timer));
}

static void on_task(struct dp_task *task)
{
    look_up_due(gw_container_of(task, struct dp_endpoints, task));
}

static void on_wake(struct ev_loop *ev, ev_async *watcher, int events)
{
    (void)ev, (void)events;
    struct dp_endpoints *endpoints = gw_container_of(watcher, struct dp_endpoints, wake);
    look_up_due(endpoints);
    dp_loop_settle(endpoints->loop);
}

/* ---- the registry */

struct dp_endpoints *dp_endpoints_new(unsigned worker_count)
{
    struct dp_endpoints *endpoints = gw_calloc(1, sizeof(*endpoints));
    endpoints->worker_count = worker_count;
    gw_map_init(&endpoints->by_name);
    gw_list_init(&endpoints->due);
    dp_wheel_init(&endpoints->wheel, gw_clock_monotonic_ms());
    dp_timer_init(&endpoints->timer, on_timer);
    dp_task_init(&endpoints->task, on_task);
    ev_async_init(&endpoints->wake, on_wake);
    pthread_mutex_init(&endpoints->lock, NULL);
    return endpoints;
}

int dp_endpoints_resolve(struct dp_endpoints *endpoints, const struct dp_resolver_options *options,
                         struct gw_error *err)
{
    assert(!endpoints->resolver);
    if (dp_resolver_new(options, &endpoints->resolver, err) < 0)
        return -1;
    ev_async_start(options->loop->ev, &endpoints->wake);
    pthread_mutex_lock(&endpoints->lock);
    endpoints->loop = options->loop;
    pthread_mutex_unlock(&endpoints->lock);
    dp_loop_later(endpoints->loop, &endpoints->task);
    return 0;
}

void dp_endpoints_free(struct dp_endpoints *endpoints)
{
    if (!endpoints)
        return;
    dp_resolver_free(endpoints->resolver);
    if (endpoints->loop)
        ev_async_stop(endpoints->loop->ev, &endpoints->wake);
    dp_timer_stop(&endpoints->timer);
    dp_task_cancel(&endpoints->task);
    assert(endpoints->by_name.count == 0);
    gw_map_done(&endpoints->by_name);
    pthread_mutex_destroy(&endpoints->lock);
    free(endpoints);
}

void dp_endpoints_read_stats(struct dp_endpoints *endpoints, struct dp_endpoints_stats *ret_stats)
{
    *ret_stats = (struct dp_endpoints_stats){
        .names = atomic_load(&endpoints->names),
        .failing = atomic_load(&endpoints->failing),
        .lookups = atomic_load_explicit(&endpoints->lookups, memory_order_relaxed),
        .failures = atomic_load_explicit(&endpoints->failures, memory_order_relaxed),
    };
}

/* "host:port" in lower case; an IPv6 address gets its brackets when it has none. */
static size_t print_name(char *text, size_t size, gw_str host, uint16_t port)
{
    bool is_bare_v6 = gw_str_find(host, ':') >= 0 && host.ptr[0] != '[';
    int len = snprintf(text, size, is_bare_v6 ? "[%.*s]:%u" : "%.*s:%u", GW_STR_ARG(host),
                       (unsigned)port);
    assert(len > 0 && (size_t)len < size);
    for (int i = 0; i < len; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] + 'a' - 'A');
    }
    return (size_t)len;
}

static struct dp_endpoint *new_endpoint(struct dp_endpoints *endpoints, gw_str name, uint16_t port)
{
    size_t slots = endpoints->worker_count * sizeof(struct dp_pool *);
    struct dp_endpoint *endpoint = gw_calloc(1, sizeof(*endpoint) + slots + name.len * 2 + 2);
    char *text = (char *)(endpoint->pools + endpoints->worker_count);
    memcpy(text, name.ptr, name.len);
    endpoint->name = gw_str_n(text, name.len);
    size_t host_len = name.len - 1;
    while (name.ptr[host_len] != ':')
        host_len--;
    bool is_bracketed = name.ptr[0] == '[';
    char *host = text + name.len + 1;
    memcpy(host, name.ptr + is_bracketed, host_len - (is_bracketed ? 2 : 0));
    endpoint->host = gw_str_from(host);
    endpoint->port = port;
    endpoint->endpoints = endpoints;
    atomic_init(&endpoint->refs, 1);
    gw_list_init(&endpoint->node);
    dp_timer_init(&endpoint->expiry, on_expired);
    return endpoint;
}

/* Under the lock. */
static void begin(struct dp_endpoint *endpoint)
{
    struct dp_endpoints *endpoints = endpoint->endpoints;
    struct dp_address address;
    if (dp_address_parse(endpoint->host, &address) == 0) {
        publish(endpoint, &address, 1);
        atomic_store_explicit(&endpoint->settled, true, memory_order_release);
        return;
    }
    endpoint->is_name = true;
    atomic_fetch_add(&endpoints->names, 1);
    /* Ahead of every refresh: somebody may be waiting for it. */
    gw_list_push_front(&endpoints->due, &endpoint->node);
    if (endpoints->loop)
        ev_async_send(endpoints->loop->ev, &endpoints->wake);
}

struct dp_endpoint *dp_endpoint_get(struct dp_endpoints *endpoints, gw_str host, uint16_t port)
{
    char text[HOST_BYTES_MAX + sizeof("[]:65535")];
    /* No name is longer (RFC 1035), so what is cut resolves as little as the whole would. */
    host.len = GW_MIN(host.len, (size_t)HOST_BYTES_MAX);
    gw_str name = {text, print_name(text, sizeof(text), host, port)};
    pthread_mutex_lock(&endpoints->lock);
    struct dp_endpoint *endpoint = gw_map_get(&endpoints->by_name, name);
    if (endpoint) {
        dp_endpoint_ref(endpoint);
    } else {
        endpoint = new_endpoint(endpoints, name, port);
        gw_map_put(&endpoints->by_name, name, endpoint);
        begin(endpoint);
    }
    pthread_mutex_unlock(&endpoints->lock);
    return endpoint;
}

gw_str dp_endpoint_host(const struct dp_endpoint *endpoint)
{
    return endpoint->host;
}

uint16_t dp_endpoint_port(const struct dp_endpoint *endpoint)
{
    return endpoint->port;
}

gw_str dp_endpoint_name(const struct dp_endpoint *endpoint)
{
    return endpoint->name;
}

unsigned dp_endpoint_version(const struct dp_endpoint *endpoint)
{
    return atomic_load_explicit(&endpoint->version, memory_order_acquire);
}

bool dp_endpoint_has(const struct dp_endpoint *endpoint, const struct dp_address *address,
                     unsigned *seen)
{
    struct dp_address addresses[DP_ENDPOINT_ADDRESSES_MAX];
    unsigned version = dp_endpoint_version(endpoint);
    if (*seen == version)
        return true;
    unsigned count = dp_endpoint_addresses(endpoint, addresses);
    for (unsigned i = 0; i < count; i++) {
        if (dp_address_cmp(&addresses[i], address) == 0) {
            *seen = version;
            return true;
        }
    }
    return false;
}

const char *dp_endpoint_error(const struct dp_endpoint *endpoint)
{
    return atomic_load(&endpoint->error);
}

bool dp_endpoint_is_settled(const struct dp_endpoint *endpoint)
{
    return atomic_load_explicit(&endpoint->settled, memory_order_acquire);
}

struct dp_pool **dp_endpoint_pool(struct dp_endpoint *endpoint, unsigned index)
{
    assert(index < endpoint->endpoints->worker_count);
    return &endpoint->pools[index];
}
