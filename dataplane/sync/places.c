/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/places.h"

#include <ev.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct address {
    struct sockaddr_storage address;
    socklen_t len;
    uint64_t order;  /* within its name */
    unsigned failed; /* in that round */
};

/* What one endpoint resolves to. */
struct found {
    struct address items[DP_PLACES_PER_NAME_MAX];
    unsigned count;
    bool is_answered;
    char why[GW_ERROR_MESSAGE_MAX]; /* it has none */
};

/* Shared with the thread that looks names up, which may outlive the places: getaddrinfo cannot be
 * cancelled. */
struct lookup {
    pthread_mutex_t lock; /* for all below */
    pthread_cond_t asked;
    unsigned refs;
    bool is_wanted, is_over;
    struct ev_loop *loop; /* NULL once it is over */
    ev_async *answered;   /* the same */
    unsigned count;
    struct dp_endpoint_name names[DP_CLIENT_ENDPOINTS_MAX];
    bool is_name[DP_CLIENT_ENDPOINTS_MAX];
    struct found found[DP_CLIENT_ENDPOINTS_MAX];
};

struct dp_places {
    struct ev_loop *loop;         /* borrowed */
    const struct dp_hello *hello; /* borrowed */
    const char *agent_id;         /* borrowed */
    void (*on_resolved)(void *user);
    void *user;
    ev_async answered;
    struct lookup *lookup; /* a reference; NULL: there are no names */
    struct found found[DP_CLIENT_ENDPOINTS_MAX];
    unsigned round, better_turn;
};

/* ---- one endpoint */

static void resolve(const struct dp_endpoint_name *name, int flags, struct found *found)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags}, *list = NULL;
    int result = getaddrinfo(name->host, name->port, &hints, &list);
    *found = (struct found){.is_answered = true};
    if (result != 0)
        snprintf(found->why, sizeof(found->why), "%s: %s", name->host, gai_strerror(result));
    for (const struct addrinfo *at = result == 0 ? list : NULL;
         at && found->count < DP_PLACES_PER_NAME_MAX; at = at->ai_next) {
        struct address *address = &found->items[found->count++];
        memcpy(&address->address, at->ai_addr, at->ai_addrlen);
        address->len = at->ai_addrlen;
    }
    if (result == 0)
        freeaddrinfo(list);
}

static int by_order(const void *a, const void *b)
{
    const struct address *one = a, *other = b;
    return one->order < other->order ? -1 : one->order > other->order;
}

static bool is_same(const struct address *a, const struct sockaddr_storage *address, socklen_t len)
{
    return a->len == len && memcmp(&a->address, address, len) == 0;
}

/* In this agent's order; what has failed in this round still has. */
static void adopt(struct dp_places *places, unsigned rank, const struct found *found)
{
    struct found *known = &places->found[rank];
    if (found->count == 0 && known->count > 0)
        return; /* the name server is away, the control plane need not be */
    struct found next = *found;
    for (unsigned i = 0; i < next.count; i++) {
        struct address *address = &next.items[i];
        gw_str bytes = gw_str_n((const char *)&address->address, address->len);
        address->order = gw_str_hash(bytes) * 31 ^ gw_str_hash(gw_str_from(places->agent_id));
        address->order *= 0x9e3779b97f4a7c15u;
        for (unsigned j = 0; j < known->count; j++)
            if (is_same(&known->items[j], &address->address, address->len))
                address->failed = known->items[j].failed;
    }
    qsort(next.items, next.count, sizeof(next.items[0]), by_order);
    *known = next;
}

/* ---- the thread */

static void lookup_unref(struct lookup *lookup)
{
    pthread_mutex_lock(&lookup->lock);
    bool is_last = --lookup->refs == 0;
    pthread_mutex_unlock(&lookup->lock);
    if (!is_last)
        return;
    pthread_cond_destroy(&lookup->asked);
    pthread_mutex_destroy(&lookup->lock);
    free(lookup);
}

/* Under the lock, which is let go for each name. */
static void answer(struct lookup *lookup)
{
    lookup->is_wanted = false;
    for (unsigned i = 0; i < lookup->count && !lookup->is_over; i++) {
        struct found found;
        if (!lookup->is_name[i])
            continue;
        pthread_mutex_unlock(&lookup->lock);
        resolve(&lookup->names[i], 0, &found);
        pthread_mutex_lock(&lookup->lock);
        lookup->found[i] = found;
        if (!lookup->is_over)
            ev_async_send(lookup->loop, lookup->answered);
    }
}

static void *run(void *arg)
{
    struct lookup *lookup = arg;
    pthread_mutex_lock(&lookup->lock);
    while (!lookup->is_over) {
        if (lookup->is_wanted)
            answer(lookup);
        else
            pthread_cond_wait(&lookup->asked, &lookup->lock);
    }
    pthread_mutex_unlock(&lookup->lock);
    lookup_unref(lookup);
    return NULL;
}

static void on_answered(struct ev_loop *loop, ev_async *async, int events)
{
    (void)loop, (void)events;
    struct dp_places *places = async->data;
    struct lookup *lookup = places->lookup;
    pthread_mutex_lock(&lookup->lock);
    for (unsigned i = 0; i < lookup->count; i++)
        if (lookup->is_name[i] && lookup->found[i].is_answered)
            adopt(places, i, &lookup->found[i]);
    pthread_mutex_unlock(&lookup->lock);
    if (places->on_resolved)
        places->on_resolved(places->user);
}

static void start_lookup(struct dp_places *places, const bool *is_name)
{
    struct lookup *lookup = gw_calloc(1, sizeof(*lookup));
    *lookup = (struct lookup){.refs = 2,
                              .loop = places->loop,
                              .answered = &places->answered,
                              .count = places->hello->endpoint_count,
                              .is_wanted = true};
    memcpy(lookup->names, places->hello->endpoints, sizeof(lookup->names));
    memcpy(lookup->is_name, is_name, sizeof(lookup->is_name));
    pthread_mutex_init(&lookup->lock, NULL);
    pthread_cond_init(&lookup->asked, NULL);
    places->lookup = lookup;
    ev_async_start(places->loop, &places->answered);
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&thread, NULL, run, lookup);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0)
        gw_panic("cannot start the thread that looks names up: %s", strerror(result));
    pthread_detach(thread);
}

/* ---- life */

struct dp_places *dp_places_new(struct ev_loop *loop, const struct dp_hello *hello,
                                const char *agent_id, void (*on_resolved)(void *user), void *user)
{
    bool is_name[DP_CLIENT_ENDPOINTS_MAX] = {false}, has_names = false;
    struct dp_places *places = gw_calloc(1, sizeof(*places));
    *places = (struct dp_places){.loop = loop,
                                 .hello = hello,
                                 .agent_id = agent_id,
                                 .on_resolved = on_resolved,
                                 .user = user,
                                 .round = 1};
    ev_async_init(&places->answered, on_answered);
    places->answered.data = places;
    for (unsigned i = 0; i < hello->endpoint_count; i++) {
        struct found found;
        resolve(&hello->endpoints[i], AI_NUMERICHOST, &found);
        is_name[i] = found.count == 0;
        has_names |= is_name[i];
        if (!is_name[i])
            adopt(places, i, &found);
    }
    if (has_names)
        start_lookup(places, is_name);
    return places;
}

void dp_places_free(struct dp_places *places)
{
    if (!places)
        return;
    struct lookup *lookup = places->lookup;
    if (lookup) {
        pthread_mutex_lock(&lookup->lock);
        lookup->is_over = true;
        lookup->loop = NULL;
        lookup->answered = NULL;
        pthread_cond_signal(&lookup->asked);
        pthread_mutex_unlock(&lookup->lock);
        ev_async_stop(places->loop, &places->answered);
        lookup_unref(lookup);
    }
    free(places);
}

void dp_places_refresh(struct dp_places *places)
{
    struct lookup *lookup = places->lookup;
    if (!lookup)
        return;
    pthread_mutex_lock(&lookup->lock);
    lookup->is_wanted = true;
    pthread_cond_signal(&lookup->asked);
    pthread_mutex_unlock(&lookup->lock);
}

/* ---- choice */

bool dp_places_are_pending(const struct dp_places *places)
{
    for (unsigned i = 0; i < places->hello->endpoint_count; i++)
        if (!places->found[i].is_answered)
            return true;
    return false;
}

const char *dp_places_why(const struct dp_places *places)
{
    const char *why = "";
    for (unsigned i = 0; i < places->hello->endpoint_count; i++)
        if (places->found[i].why[0])
            why = places->found[i].why;
    return why;
}

unsigned dp_places_count(const struct dp_places *places)
{
    unsigned count = 0;
    for (unsigned i = 0; i < places->hello->endpoint_count; i++)
        count += places->found[i].count;
    return count;
}

static void fill(const struct dp_places *places, unsigned rank, const struct address *address,
                 struct dp_place *ret_place)
{
    *ret_place = (struct dp_place){.endpoint = &places->hello->endpoints[rank],
                                   .rank = rank,
                                   .address = address->address,
                                   .address_len = address->len};
}

bool dp_places_next(const struct dp_places *places, struct dp_place *ret_place)
{
    for (unsigned rank = 0; rank < places->hello->endpoint_count; rank++) {
        const struct found *found = &places->found[rank];
        for (unsigned i = 0; i < found->count; i++)
            if (found->items[i].failed != places->round) {
                fill(places, rank, &found->items[i], ret_place);
                return true;
            }
    }
    return false;
}

bool dp_places_better(struct dp_places *places, unsigned rank, struct dp_place *ret_place)
{
    unsigned count = 0;
    for (unsigned i = 0; i < rank; i++)
        count += places->found[i].count;
    if (count == 0)
        return false;
    unsigned skip = places->better_turn++ % count;
    for (unsigned i = 0; i < rank; skip -= places->found[i++].count)
        if (skip < places->found[i].count) {
            fill(places, i, &places->found[i].items[skip], ret_place);
            return true;
        }
    return false;
}

void dp_places_failed(struct dp_places *places, const struct dp_place *place)
{
    struct found *found = &places->found[place->rank];
    for (unsigned i = 0; i < found->count; i++)
        if (is_same(&found->items[i], &place->address, place->address_len))
            found->items[i].failed = places->round;
}

void dp_places_new_round(struct dp_places *places)
{
    places->round++;
}
