/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/health.h"

#include "common/list.h"
#include "common/map.h"
#include "grpc/health/v1/health.pb-c.h"

#include <pthread.h>
#include <stdlib.h>

#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

typedef Grpc__Health__V1__HealthCheckRequest check_request;
typedef Grpc__Health__V1__HealthCheckResponse check_response;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;

struct cp_health {
    struct gw_rpc_method methods[2];
    struct gw_map services; /* struct service by name; owned; fixed once the server runs */
    pthread_mutex_t lock;   /* taken before a stream's own lock */
    bool is_serving, is_draining;
    struct gw_list watchers;
};

/* What may be asked for. Under health->lock. */
struct service {
    bool is_part, is_serving; /* a part has a state of its own */
};

/* One Watch; lives as long as its stream. Under health->lock. */
struct watcher {
    struct cp_health *health;
    struct gw_rpc_stream *stream;  /* its events' */
    struct gw_list link;           /* once the request came */
    const struct service *service; /* NULL: none of ours */
    bool is_sending;
    serving_status told; /* what was sent last */
};

static struct service *find(const struct cp_health *health, const char *name)
{
    return gw_map_get(&health->services, gw_str_from(name));
}

/* With the lock held. */
static serving_status status_of(const struct cp_health *health, const struct service *service)
{
    bool serving = service->is_part ? service->is_serving : health->is_serving;
    return serving && !health->is_draining ? STATUS(SERVING) : STATUS(NOT_SERVING);
}

static int check(void *context, const struct gw_rpc_caller *caller, struct gw_arena *arena,
                 const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                 struct gw_error *err)
{
    (void)caller;
    struct cp_health *health = context;
    const char *name = ((const check_request *)request)->service;
    const struct service *service = find(health, name);
    if (!service)
        return gw_fail(err, GW_NOT_FOUND, "no service \"%s\"", name);
    *ret_reply = gw_message_new(arena, &grpc__health__v1__health_check_response__descriptor);
    pthread_mutex_lock(&health->lock);
    ((check_response *)*ret_reply)->status = status_of(health, service);
    pthread_mutex_unlock(&health->lock);
    return 0;
}

/* With the lock held: what is true now, unless it was told; a change during a send is told after
 * it, and one that was undone meanwhile not at all. */
static void tell(struct watcher *watcher)
{
    serving_status now =
        watcher->service ? status_of(watcher->health, watcher->service) : STATUS(SERVICE_UNKNOWN);
    if (watcher->is_sending || now == watcher->told)
        return;
    check_response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = now;
    if (gw_rpc_stream_send(watcher->stream, &response.base)) {
        watcher->is_sending = true;
        watcher->told = now;
    }
}

static int watch_on_open(void *context, struct gw_rpc_stream *stream, struct gw_error *err)
{
    (void)err;
    struct watcher *watcher = gw_calloc(1, sizeof(*watcher));
    watcher->health = context;
    watcher->stream = stream;
    watcher->told = STATUS(UNKNOWN);
    gw_list_init(&watcher->link);
    gw_rpc_stream_set_user(stream, watcher);
    return 0;
}

static void watch_on_message(struct gw_rpc_stream *stream, const ProtobufCMessage *message)
{
    struct watcher *watcher = gw_rpc_stream_user(stream);
    struct cp_health *health = watcher->health;
    pthread_mutex_lock(&health->lock);
    bool is_first = gw_list_is_empty(&watcher->link);
    if (is_first) {
        watcher->service = find(health, ((const check_request *)message)->service);
        gw_list_push(&health->watchers, &watcher->link);
        tell(watcher);
    }
    pthread_mutex_unlock(&health->lock);
    if (is_first)
        return;
    struct gw_error err;
    (void)gw_fail(&err, GW_INVALID_ARGUMENT, "Watch takes one request");
    gw_rpc_stream_finish(stream, &err);
}

static void watch_on_half_close(struct gw_rpc_stream *stream)
{
    (void)stream; /* the client has said all it has to say, and goes on listening */
}

static void watch_on_writable(struct gw_rpc_stream *stream)
{
    struct watcher *watcher = gw_rpc_stream_user(stream);
    pthread_mutex_lock(&watcher->health->lock);
    watcher->is_sending = false;
    tell(watcher);
    pthread_mutex_unlock(&watcher->health->lock);
}

static void watch_on_close(struct gw_rpc_stream *stream)
{
    struct watcher *watcher = gw_rpc_stream_user(stream);
    pthread_mutex_lock(&watcher->health->lock);
    gw_list_remove(&watcher->link);
    pthread_mutex_unlock(&watcher->health->lock);
    free(watcher);
}

static const struct gw_rpc_stream_events watch = {
    watch_on_open, watch_on_message, watch_on_half_close, watch_on_writable, watch_on_close};

struct cp_health *cp_health_new(void)
{
    struct cp_health *health = gw_calloc(1, sizeof(*health));
    struct gw_rpc_method row = {.request = &grpc__health__v1__health_check_request__descriptor,
                                .reply = &grpc__health__v1__health_check_response__descriptor,
                                .context = health};
    health->methods[0] = health->methods[1] = row;
    health->methods[0].path = "/grpc.health.v1.Health/Check";
    health->methods[0].unary = check;
    health->methods[1].path = "/grpc.health.v1.Health/Watch";
    health->methods[1].stream = &watch;
    gw_map_init(&health->services);
    cp_health_add_service(health, "");
    pthread_mutex_init(&health->lock, NULL);
    gw_list_init(&health->watchers);
    return health;
}

void cp_health_free(struct cp_health *health)
{
    if (!health)
        return;
    assert(gw_list_is_empty(&health->watchers));
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&health->services, e));)
        free(e->value);
    gw_map_done(&health->services);
    pthread_mutex_destroy(&health->lock);
    free(health);
}

static void add(struct cp_health *health, const char *name, bool is_part)
{
    if (find(health, name))
        return;
    struct service *service = gw_calloc(1, sizeof(*service));
    service->is_part = is_part;
    (void)gw_map_put(&health->services, gw_str_from(name), service); /* there is none before it */
}

void cp_health_add_service(struct cp_health *health, const char *service)
{
    add(health, service, false);
}

void cp_health_add_part(struct cp_health *health, const char *part)
{
    add(health, part, true);
}

const struct gw_rpc_method *cp_health_methods(const struct cp_health *health, size_t *ret_count)
{
    *ret_count = GW_ARRAY_LEN(health->methods);
    return health->methods;
}

/* With the lock held. */
static void tell_all(struct cp_health *health)
{
    gw_list_each(&health->watchers, it) tell(gw_container_of(it, struct watcher, link));
}

void cp_health_set(struct cp_health *health, bool serving)
{
    pthread_mutex_lock(&health->lock);
    health->is_serving = serving;
    tell_all(health);
    pthread_mutex_unlock(&health->lock);
}

void cp_health_set_part(struct cp_health *health, const char *part, bool serving)
{
    struct service *service = find(health, part);
    assert(service && service->is_part);
    pthread_mutex_lock(&health->lock);
    service->is_serving = serving;
    tell_all(health);
    pthread_mutex_unlock(&health->lock);
}

void cp_health_drain(struct cp_health *health)
{
    pthread_mutex_lock(&health->lock);
    health->is_draining = true;
    tell_all(health);
    pthread_mutex_unlock(&health->lock);
}

bool cp_health_is_serving(struct cp_health *health)
{
    pthread_mutex_lock(&health->lock);
    bool serving = health->is_serving && !health->is_draining;
    pthread_mutex_unlock(&health->lock);
    return serving;
}
