/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * What the tests of this folder share: a server and a client on loopback, and texts as messages. */
#ifndef GW_RPC_FIXTURE_H
#define GW_RPC_FIXTURE_H

#include "common/rpc/client.h"
#include "common/rpc/server.h"
#include "common/test.h"

#include "grpc/health/v1/health.pb-c.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_MS 20000 /* of what is expected to happen */

/* A message with one text, for requests and for replies. */
typedef Grpc__Health__V1__HealthCheckRequest text_message;
#define TEXT_TYPE (&grpc__health__v1__health_check_request__descriptor)

static inline text_message text_of(const char *text)
{
    text_message message = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    message.service = (char *)text;
    return message;
}

static inline const char *text_in(const ProtobufCMessage *message)
{
    return ((const text_message *)message)->service;
}

static inline ProtobufCMessage *new_text(struct gw_arena *arena, const char *text)
{
    ProtobufCMessage *message = gw_message_new(arena, TEXT_TYPE);
    ((text_message *)message)->service = gw_arena_strdup(arena, text);
    return message;
}

/* A number that threads wait on. */
struct counter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    long value;
};
#define COUNTER_INIT                                                                               \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0                                     \
    }

static inline long counter_add(struct counter *counter, long n)
{
    pthread_mutex_lock(&counter->lock);
    long value = counter->value += n;
    pthread_cond_broadcast(&counter->changed);
    pthread_mutex_unlock(&counter->lock);
    return value;
}

static inline void counter_wait(struct counter *counter, long at_least)
{
    pthread_mutex_lock(&counter->lock);
    while (counter->value < at_least)
        pthread_cond_wait(&counter->changed, &counter->lock);
    pthread_mutex_unlock(&counter->lock);
}

struct fixture {
    struct gw_rpc_server *server;
    struct gw_rpc_client *client;
    struct gw_arena arena;
    char target[64];
};

static inline struct gw_rpc_client *new_client(struct gw_rpc_client_options options)
{
    struct gw_error err = GW_ERROR_NONE;
    struct gw_rpc_client *client;
    if (gw_rpc_client_open(&options, &client, &err))
        fail_msg("%s", err.message);
    return client;
}

static inline void fixture_start(struct fixture *fixture, struct gw_rpc_server_options options,
                                 const struct gw_rpc_method *methods, size_t count)
{
    struct gw_error err = GW_ERROR_NONE;
    if (!options.listen)
        options.listen = "127.0.0.1:0";
    if (gw_rpc_server_start(&options, methods, count, &fixture->server, &err))
        fail_msg("%s", err.message);
    snprintf(fixture->target, sizeof(fixture->target), "127.0.0.1:%u",
             gw_rpc_server_port(fixture->server));
    gw_arena_init(&fixture->arena, 0);
    fixture->client = NULL;
    if (!options.cert_file)
        fixture->client = new_client((struct gw_rpc_client_options){.target = fixture->target});
}

static inline void fixture_stop(struct fixture *fixture)
{
    gw_rpc_client_close(fixture->client);
    gw_rpc_server_stop(fixture->server, TIMEOUT_MS);
    gw_arena_done(&fixture->arena);
}

/* The reply's text, or NULL with err. */
static inline const char *call_text(struct gw_rpc_client *client, struct gw_arena *arena,
                                    const char *path, const char *text, gw_msec timeout_ms,
                                    struct gw_error *err)
{
    text_message request = text_of(text);
    ProtobufCMessage *reply;
    *err = GW_ERROR_NONE;
    if (gw_rpc_client_call(client, arena, path, &request.base, TEXT_TYPE, timeout_ms, &reply, err))
        return NULL;
    return text_in(reply);
}

#endif
