/* SPDX-License-Identifier: Apache-2.0 */
/* The registry, and the thread that resolves names: getaddrinfo follows the machine's own rules
 * (/etc/hosts, search domains), and may block as long as it likes there. */
#include "dataplane/upstream/endpoint.h"

#include "common/clock.h"
#include "common/list.h"
#include "common/map.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define REFRESH_MS 30000
#define RETRY_MS 2000 /* while a name has no address at all */
#define HOST_BYTES_MAX 255

#define WORDS (sizeof(struct dp_address) * DP_ENDPOINT_ADDRESSES_MAX / sizeof(uint64_t))

struct dp_endpoint {
    atomic_uint refs;
    struct dp_endpoints *endpoints; /* borrowed */
    gw_str host, name;              /* owned, one piece with the endpoint */
    uint16_t port;
    struct gw_list node; /* of endpoints->names when it is resolved, ordered by due_ms */
    gw_msec due_ms;      /* of the next look-up */
    atomic_bool settled;

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
    pthread_t resolver;
    pthread_mutex_t lock; /* guards everything below, and each endpoint's node and due_ms */
    pthread_cond_t wake;
    struct gw_map by_name;
    struct gw_list names; /* due first in front */
    bool stopping;
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
    (void)gw_map_take(&endpoint->endpoints->by_name, endpoint->name); /* it is the endpoint */
    gw_list_remove(&endpoint->node);
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

/* Under the lock. */
static void schedule(struct dp_endpoint *endpoint, gw_msec due_ms)
{
    endpoint->due_ms = due_ms;
    struct gw_list *before = &endpoint->endpoints->names;
    while (before->prev != &endpoint->endpoints->names &&
           gw_container_of(before->prev, struct dp_endpoint, node)->due_ms > due_ms)
        before = before->prev;
    gw_list_insert(before, &endpoint->node);
}

/* IPv4 and IPv6 as getaddrinfo sorts them (RFC 6724). */
static unsigned look_up(const struct dp_endpoint *endpoint,
                        struct dp_address addresses[DP_ENDPOINT_ADDRESSES_MAX])
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    unsigned count = 0;
    if (getaddrinfo(endpoint->host.ptr, NULL, &hints, &found) != 0)
        return 0;
    for (const struct addrinfo *at = found; at && count < DP_ENDPOINT_ADDRESSES_MAX;
         at = at->ai_next) {
        struct dp_address address = dp_address_from(at->ai_addr);
        if (dp_address_is_known(&address))
            addresses[count++] = address;
    }
    freeaddrinfo(found);
    return count;
}

static void resolve(struct dp_endpoint *endpoint)
{
    struct dp_address addresses[DP_ENDPOINT_ADDRESSES_MAX];
    unsigned count = look_up(endpoint, addresses);
    if (count > 0)
        publish(endpoint, addresses, count);
    atomic_store_explicit(&endpoint->settled, true, memory_order_release);
}

/* Under the lock: the endpoint that is due, with a reference; NULL: stop. */
static struct dp_endpoint *wait_for_due(struct dp_endpoints *endpoints)
{
    while (!endpoints->stopping) {
        if (gw_list_is_empty(&endpoints->names)) {
            pthread_cond_wait(&endpoints->wake, &endpoints->lock);
            continue;
        }
        struct dp_endpoint *first =
            gw_container_of(endpoints->names.next, struct dp_endpoint, node);
        gw_msec wait = first->due_ms - gw_clock_monotonic_ms();
        if (wait <= 0) {
            gw_list_remove(&first->node);
            return dp_endpoint_ref(first);
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += wait / 1000 + 1;
        pthread_cond_timedwait(&endpoints->wake, &endpoints->lock, &until);
    }
    return NULL;
}

static void *run_resolver(void *arg)
{
    struct dp_endpoints *endpoints = arg;
    struct dp_endpoint *endpoint;
    pthread_mutex_lock(&endpoints->lock);
    while ((endpoint = wait_for_due(endpoints)) != NULL) {
        pthread_mutex_unlock(&endpoints->lock);
        resolve(endpoint);
        bool has_any = atomic_load_explicit(&endpoint->count, memory_order_relaxed) > 0;
        pthread_mutex_lock(&endpoints->lock);
        schedule(endpoint, gw_clock_monotonic_ms() + (has_any ? REFRESH_MS : RETRY_MS));
        if (drop_reference(endpoint))
            free_endpoint(endpoint);
    }
    pthread_mutex_unlock(&endpoints->lock);
    return NULL;
}

struct dp_endpoints *dp_endpoints_new(unsigned worker_count)
{
    struct dp_endpoints *endpoints = gw_calloc(1, sizeof(*endpoints));
    endpoints->worker_count = worker_count;
    gw_map_init(&endpoints->by_name);
    gw_list_init(&endpoints->names);
    pthread_mutex_init(&endpoints->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&endpoints->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    /* Signals are the main thread's. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&endpoints->resolver, NULL, run_resolver, endpoints);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        gw_panic("no thread for the resolver: error %d", error);
    return endpoints;
}

void dp_endpoints_free(struct dp_endpoints *endpoints)
{
    if (!endpoints)
        return;
    pthread_mutex_lock(&endpoints->lock);
    endpoints->stopping = true;
    pthread_cond_signal(&endpoints->wake);
    pthread_mutex_unlock(&endpoints->lock);
    pthread_join(endpoints->resolver, NULL);
    assert(endpoints->by_name.count == 0);
    gw_map_done(&endpoints->by_name);
    pthread_cond_destroy(&endpoints->wake);
    pthread_mutex_destroy(&endpoints->lock);
    free(endpoints);
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
    return endpoint;
}

struct dp_endpoint *dp_endpoint_get(struct dp_endpoints *endpoints, gw_str host, uint16_t port)
{
    char text[HOST_BYTES_MAX + sizeof("[]:65535")];
    /* No name is longer (RFC 1035), so what is cut resolves as little as the whole would. */
    host.len = GW_MIN(host.len, (size_t)HOST_BYTES_MAX);
    gw_str name = {text, print_name(text, sizeof(text), host, port)};
    struct dp_address address;
    pthread_mutex_lock(&endpoints->lock);
    struct dp_endpoint *endpoint = gw_map_get(&endpoints->by_name, name);
    if (endpoint) {
        dp_endpoint_ref(endpoint);
    } else {
        endpoint = new_endpoint(endpoints, name, port);
        gw_map_put(&endpoints->by_name, name, endpoint);
        if (dp_address_parse(endpoint->host, &address) == 0) {
            publish(endpoint, &address, 1);
            atomic_store_explicit(&endpoint->settled, true, memory_order_release);
        } else {
            /* Ahead of every refresh: somebody may be waiting for it. */
            schedule(endpoint, 0);
            pthread_cond_signal(&endpoints->wake);
        }
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

bool dp_endpoint_is_settled(const struct dp_endpoint *endpoint)
{
    return atomic_load_explicit(&endpoint->settled, memory_order_acquire);
}

struct dp_pool **dp_endpoint_pool(struct dp_endpoint *endpoint, unsigned index)
{
    assert(index < endpoint->endpoints->worker_count);
    return &endpoint->pools[index];
}
