/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rpc/client_internal.h"

#include <arpa/inet.h>
#include <grpc/support/time.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_LIMIT_BYTES (64 * 1024 * 1024)
#define METADATA_LIMIT_BYTES (32 * 1024)
#define RECONNECT_FIRST_MS 100
#define RECONNECT_MAX_MS 5000

struct gw_rpc_client {
    grpc_channel *channel;
    char *authorization; /* owned, wiped: "Bearer ..."; NULL: none */
};

static bool is_loopback_address(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* "unix:...", or host:port where the host is a loopback address or "localhost". */
static bool is_loopback_target(gw_str target)
{
    char host[INET6_ADDRSTRLEN + 2];
    if (gw_str_has_prefix(target, GW_STR("unix:")))
        return true;
    size_t len = target.len;
    while (len > 0 && target.ptr[len - 1] != ':')
        len--;
    gw_str name = len ? gw_str_n(target.ptr, len - 1) : target;
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = gw_str_n(name.ptr + 1, name.len - 2);
    if (name.len >= sizeof(host))
        return false;
    snprintf(host, sizeof(host), "%.*s", GW_STR_ARG(name));
    return strcmp(host, "localhost") == 0 || is_loopback_address(host);
}

static grpc_channel_credentials *load_credentials(const struct gw_rpc_client_options *options,
                                                  struct gw_error *err)
{
    if (!options->ca_file)
        return grpc_insecure_credentials_create();
    gw_auto(gw_freep) char *ca = gw_rpc_read_file(options->ca_file, err);
    if (!ca)
        return NULL;
    if (!options->cert_file)
        return grpc_ssl_credentials_create(ca, NULL, NULL, NULL);
    gw_auto(gw_freep) char *cert = gw_rpc_read_file(options->cert_file, err);
    gw_auto(gw_freep) char *key = cert ? gw_rpc_read_file(options->key_file, err) : NULL;
    if (!key)
        return NULL;
    grpc_ssl_pem_key_cert_pair pair = {.private_key = key, .cert_chain = cert};
    grpc_channel_credentials *credentials = grpc_ssl_credentials_create(ca, &pair, NULL, NULL);
    explicit_bzero(key, strlen(key));
    return credentials;
}

static int check_options(const struct gw_rpc_client_options *options, struct gw_error *err)
{
    if (!options->cert_file != !options->key_file)
        return gw_fail(err, GW_INVALID_ARGUMENT, "certificate and key go together");
    if (options->cert_file && !options->ca_file)
        return gw_fail(err, GW_INVALID_ARGUMENT, "a client certificate needs TLS: name the CA");
    if (options->bearer && !options->ca_file && !is_loopback_target(gw_str_from(options->target)))
        return gw_fail(err, GW_INVALID_ARGUMENT,
                       "a token is not sent in the clear to %s: name the CA", options->target);
    return 0;
}

static grpc_channel *new_channel(const struct gw_rpc_client_options *options,
                                 grpc_channel_credentials *credentials)
{
    grpc_arg args[] = {
        /* Clients of one target do not share a connection behind our back. */
        gw_rpc_arg_int(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
        gw_rpc_arg_int(GRPC_ARG_ENABLE_RETRIES, 0),
        gw_rpc_arg_int(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
        gw_rpc_arg_int(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
        gw_rpc_arg_int(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, MESSAGE_LIMIT_BYTES),
        gw_rpc_arg_int(GRPC_ARG_MAX_METADATA_SIZE, METADATA_LIMIT_BYTES),
        gw_rpc_arg_int(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RECONNECT_FIRST_MS),
        gw_rpc_arg_int(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_MAX_MS),
        gw_rpc_arg_text(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, options->server_name),
    };
    size_t count = GW_ARRAY_LEN(args) - (options->server_name ? 0 : 1);
    grpc_channel_args list = {.num_args = count, .args = args};
    return grpc_channel_create(options->target, credentials, &list);
}

int gw_rpc_client_open(const struct gw_rpc_client_options *options,
                       struct gw_rpc_client **ret_client, struct gw_error *err)
{
    if (check_options(options, err))
        return -1;
    gw_rpc_core_init();
    grpc_channel_credentials *credentials = load_credentials(options, err);
    if (!credentials) {
        gw_rpc_core_done();
        return -1;
    }
    struct gw_rpc_client *client = gw_calloc(1, sizeof(*client));
    client->channel = new_channel(options, credentials);
    grpc_channel_credentials_release(credentials);
    if (options->bearer && asprintf(&client->authorization, "Bearer %s", options->bearer) < 0)
        gw_panic("out of memory");
    *ret_client = client;
    return 0;
}

void gw_rpc_client_close(struct gw_rpc_client *client)
{
    if (!client)
        return;
    grpc_channel_destroy(client->channel);
    if (client->authorization)
        explicit_bzero(client->authorization, strlen(client->authorization));
    free(client->authorization);
    free(client);
    gw_rpc_core_done();
}

gpr_timespec gw_rpc_deadline_after(gw_msec timeout_ms)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
}

void gw_rpc_exchange_init(struct gw_rpc_exchange *exchange, const struct gw_rpc_client *client,
                          const char *path, gpr_timespec deadline)
{
    *exchange = (struct gw_rpc_exchange){.details = grpc_empty_slice()};
    exchange->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_slice method = grpc_slice_from_copied_string(path); /* the call takes its own reference */
    exchange->call = grpc_channel_create_call(client->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                              exchange->queue, method, NULL, deadline, NULL);
    grpc_slice_unref(method);
    grpc_metadata_array_init(&exchange->initial);
    grpc_metadata_array_init(&exchange->trailing);
    if (!client->authorization)
        return;
    exchange->request[exchange->request_count++] =
        (grpc_metadata){.key = grpc_slice_from_static_string("authorization"),
                        .value = grpc_slice_from_copied_string(client->authorization)};
}

void gw_rpc_exchange_done(struct gw_rpc_exchange *exchange)
{
    (void)grpc_call_cancel(exchange->call, NULL); /* no effect on one that is over */
    grpc_completion_queue_shutdown(exchange->queue);
    while (grpc_completion_queue_next(exchange->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL)
               .type != GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_call_unref(exchange->call);
    grpc_completion_queue_destroy(exchange->queue);
    grpc_metadata_array_destroy(&exchange->initial);
    grpc_metadata_array_destroy(&exchange->trailing);
    grpc_slice_unref(exchange->details);
    if (exchange->request_count)
        grpc_slice_unref(exchange->request[0].value);
    if (exchange->message)
        grpc_byte_buffer_destroy(exchange->message);
}

grpc_op gw_rpc_exchange_op_headers(struct gw_rpc_exchange *exchange)
{
    return (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA,
                     .data.send_initial_metadata = {.count = exchange->request_count,
                                                    .metadata = exchange->request}};
}

grpc_op gw_rpc_exchange_op_receive(struct gw_rpc_exchange *exchange)
{
    return (grpc_op){.op = GRPC_OP_RECV_MESSAGE,
                     .data.recv_message.recv_message = &exchange->message};
}

grpc_op gw_rpc_exchange_op_status(struct gw_rpc_exchange *exchange)
{
    return (grpc_op){.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                     .data.recv_status_on_client = {.trailing_metadata = &exchange->trailing,
                                                    .status = &exchange->code,
                                                    .status_details = &exchange->details}};
}

int gw_rpc_exchange_result(const struct gw_rpc_exchange *exchange, struct gw_error *err)
{
    if (exchange->code == GRPC_STATUS_OK)
        return 0;
    gw_rpc_status_decode(exchange->code, gw_rpc_slice_view(&exchange->details), &exchange->trailing,
                         err);
    return -1;
}

void gw_rpc_exchange_start(struct gw_rpc_exchange *exchange, const grpc_op *ops, size_t count,
                           void *tag)
{
    grpc_call_error failed = grpc_call_start_batch(exchange->call, ops, count, tag, NULL);
    if (failed != GRPC_CALL_OK)
        gw_panic("grpc_call_start_batch: %s", grpc_call_error_to_string(failed));
}

/* The call's own deadline ends the wait. */
static void run_unary(struct gw_rpc_exchange *exchange, const ProtobufCMessage *request)
{
    grpc_byte_buffer *buffer = gw_rpc_buffer_from(request);
    grpc_op ops[] = {
        gw_rpc_exchange_op_headers(exchange),
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = buffer},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &exchange->initial},
        gw_rpc_exchange_op_receive(exchange),
        gw_rpc_exchange_op_status(exchange),
    };
    gw_rpc_exchange_start(exchange, ops, GW_ARRAY_LEN(ops), exchange);
    grpc_byte_buffer_destroy(buffer);
    (void)grpc_completion_queue_next(exchange->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
}

int gw_rpc_client_call(struct gw_rpc_client *client, struct gw_arena *arena, const char *path,
                       const ProtobufCMessage *request,
                       const ProtobufCMessageDescriptor *reply_type, gw_msec timeout_ms,
                       ProtobufCMessage **ret_reply, struct gw_error *err)
{
    struct gw_rpc_exchange exchange;
    gw_rpc_exchange_init(&exchange, client, path, gw_rpc_deadline_after(timeout_ms));
    run_unary(&exchange, request);
    int failed = gw_rpc_exchange_result(&exchange, err);
    if (!failed && !exchange.message)
        failed = gw_fail(err, GW_INTERNAL, "the server answered OK without a message");
    if (!failed) {
        failed = gw_rpc_buffer_unpack(exchange.message, arena, reply_type, ret_reply, err);
        exchange.message = NULL;
    }
    gw_rpc_exchange_done(&exchange);
    return failed;
}
