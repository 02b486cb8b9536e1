/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to a control plane: which one, connect, Hello, updates in, acknowledgements out,
 * ping, backoff. Runs on the sync thread's loop; knows nothing of snapshots. */
#ifndef DP_SYNC_CLIENT_H
#define DP_SYNC_CLIENT_H

#include "common/arena.h"
#include "dataplane/sync/sync.h"

#include "penstock/agent/v1/agent.pb-c.h"

struct ev_loop;
struct dp_client;

#define DP_CLIENT_UPDATE_BYTES_MAX ((size_t)2 * 1024 * 1024 * 1024) /* one update, all chunks */
#define DP_CLIENT_ENDPOINTS_MAX 16
#define DP_CLIENT_LABELS_MAX 32

struct dp_client_events {
    /* Fills (in arena) what is served and refused, and what all of it comes to; false: nothing is
     * served. */
    bool (*on_hello)(void *user, struct gw_arena *arena, Penstock__Agent__V1__Ack *ret_ack,
                     struct gw_content_digest *ret_digest);
    /* A complete update; chunks live until it returns. Fills the acknowledgement (in arena). -1
     * with err: it does not fit what is served; the next Hello then says so. */
    int (*on_update)(void *user, Penstock__Agent__V1__Update **chunks, size_t count,
                     struct gw_arena *arena, Penstock__Agent__V1__Ack *ret_ack,
                     struct gw_error *err);
    /* The message lives until it returns. */
    void (*on_debug_call)(void *user, const Penstock__Agent__V1__DebugCall *call);
    void (*on_connected)(void *user, const char *endpoint);
    /* retry_ms -1: not before dp_client_resume. */
    void (*on_disconnected)(void *user, const char *endpoint, const struct gw_error *why,
                            gw_msec retry_ms);
};

/* options, events and loop are borrowed. INVALID_ARGUMENT for endpoints, id or labels that are
 * none. */
GW_MUST_CHECK int dp_client_new(struct ev_loop *loop, const struct dp_sync_options *options,
                                const struct dp_client_events *events, void *user,
                                struct dp_client **ret_client, struct gw_error *err);
void dp_client_free(struct dp_client *client); /* takes NULL */

/* What is open stays; once it has ended, nothing is tried until dp_client_resume. */
void dp_client_pause(struct dp_client *client);
void dp_client_resume(struct dp_client *client);
/* Pauses, and ends what is open. */
void dp_client_leave(struct dp_client *client);

/* A stream is open: something can be sent. */
bool dp_client_is_open(const struct dp_client *client);
/* A packed AgentMessage beside Hello and Ack. When the control plane does not read, the connection
 * ends, as for those. Only while a stream is open. */
void dp_client_send(struct dp_client *client, gw_str message);

#endif
