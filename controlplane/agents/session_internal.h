/* SPDX-License-Identifier: Apache-2.0 */
/* One agent's stream: what session.c (its life, what the agent says) and session_send.c (what it is
 * sent) share. */
#ifndef CP_AGENTS_SESSION_INTERNAL_H
#define CP_AGENTS_SESSION_INTERNAL_H

#include "common/buf.h"
#include "controlplane/agents/session.h"

#include <pthread.h>
#include <stdatomic.h>

/* Updates sent and not acknowledged: the next one waits, and then holds all that has changed. */
#define CP_UNACKNOWLEDGED_MAX 16

/* A message that waits to be sent. */
struct cp_queued {
    struct gw_list node;
    uint64_t id;
    struct gw_buf bytes;
};

struct cp_sent {
    int64_t revision;
    gw_msec commit_ms;
    gw_nsec commit_ns; /* 0: the change is older than the connection, and is not timed */
    gw_nsec sent_ns;
};

struct cp_session {
    _Atomic unsigned refs;
    struct cp_sessions *sessions; /* borrowed */
    struct gw_rpc_stream *stream; /* a reference */
    struct cp_agent_link link;    /* the registry's */

    char *agent_id; /* owned; NULL before its Hello */

    pthread_mutex_t lock;   /* all below; of the registry and the stream only `rest` is called */
    struct cp_image *image; /* what it gets, joined; NULL before its Hello */
    char *scope;            /* owned; of that image */
    bool is_greeted, is_ended, is_sending, has_digest;
    unsigned kinds;
    /* What it has once everything that was sent is applied. */
    char cluster_id[CP_CLUSTER_MAX];
    int64_t revision, acked_revision, hello_revision; /* hello: what it had when it came */
    struct gw_content_digest digest;                  /* of that, when has_digest */
    gw_msec hello_ms, acked_ms;                       /* acked: for the last time */
    struct gw_list queue;   /* of queued.node: goes out before the next chunk */
    struct cp_delta *delta; /* a reference; NULL: between updates */
    size_t next_chunk;
    struct cp_sent sent[CP_UNACKNOWLEDGED_MAX]; /* the last ones, round */
    unsigned sent_count;
    gw_msec moved_ms; /* something was taken, or acknowledged, or begun */
    struct cp_pace_ticket ticket;
    int64_t large_revision; /* that the ticket is for; 0: none */
};

static inline struct cp_pace *cp_session_pace(const struct cp_session *session)
{
    return cp_registry_pace(session->sessions->registry);
}

/* Under the lock, or when nobody else has the session. The first that waits; NULL: none. */
struct cp_queued *cp_session_take_queued(struct cp_session *session);
void cp_queued_free(struct cp_queued *message); /* takes NULL */

/* An event of the stream. */
void cp_session_on_writable(struct gw_rpc_stream *stream);

#endif
