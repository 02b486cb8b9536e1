/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 to backends: a session is one connection, shared by the calls of a worker to one endpoint;
 * each of them is attached to a stream of it. Private to upstream/. h2_session.c has the life of a
 * connection, h2_stream.c one exchange, h2_events.c what nghttp2 hears. */
#ifndef DP_UPSTREAM_H2_LINK_H
#define DP_UPSTREAM_H2_LINK_H

#include "dataplane/http/h2_answer.h"
#include "dataplane/net/conn.h"
#include "dataplane/upstream/link.h"
#include "dataplane/upstream/link_tls.h"

#include <nghttp2/nghttp2.h>

#define DP_UH2_STREAMS_MAX 256            /* at once on one session, whatever the peer allows */
#define DP_UH2_STREAMS_ASSUMED 100        /* who may wait for the first session to an endpoint */
#define DP_UH2_STREAM_WINDOW (128 * 1024) /* of an answer that nobody reads, this much waits */
#define DP_UH2_SESSION_WINDOW (4 * 1024 * 1024)
/* What a peer may send in one second without any of it being part of an answer: PING, SETTINGS,
 * empty frames, WINDOW_UPDATE beyond two for a frame of data. */
#define DP_UH2_CONTROL_FRAMES_MAX 1000
#define DP_UH2_CONTINUATIONS_MAX 16 /* frames of one head: more than its limits can fill */
/* PING: how long nothing was heard while answers are due; how long its answer may take; and how
 * long until the next one when that answer was all that came, since servers of gRPC take more for
 * abuse (they allow one in five minutes). */
#define DP_UH2_PING_AFTER_MS 20000
#define DP_UH2_PING_TIMEOUT_MS 10000
#define DP_UH2_PING_AGAIN_MS 310000

enum dp_uh2_phase {
    DP_UH2_DIALLING, /* TCP, TLS; calls wait */
    DP_UH2_GREETING, /* the peer's SETTINGS are to come; calls wait */
    DP_UH2_OPEN,
    DP_UH2_CLOSED
};

struct dp_uh2_session {
    struct dp_conn conn;
    nghttp2_session *h2;       /* owned */
    struct dp_pool *pool;      /* borrowed: it outlives its connections */
    struct gw_list node;       /* of pool->sessions */
    struct gw_list streams;    /* of dp_uh2_stream.node, those that wait among them */
    struct gw_list progressed; /* of dp_uh2_stream.progress: to be told what has left */
    struct dp_timer timer;     /* to connect; unused; or the next PING or its answer */
    struct dp_task task;       /* writes, and ends what is over */
    struct dp_link_tls tls;
    gw_msec opened_ms, heard_ms, pinged_ms; /* pinged 0: never */
    gw_msec frames_since_ms;                /* of control_frames */
    unsigned control_frames;
    unsigned stream_count, stream_limit;
    unsigned continuations; /* of the head that is coming in */
    enum dp_uh2_phase phase;
    struct dp_address peer;
    unsigned peer_seen; /* dp_endpoint_has */
    uint8_t address;    /* index of the one it goes to */
    bool has_settings;  /* the peer's */
    bool draining;      /* GOAWAY: takes no more streams */
    bool suspect;       /* an answer did not come: takes none until something is heard */
    bool ping_unanswered, heard_since_ping;
    bool is_idle; /* counted as such */
};

struct dp_uh2_stream {
    struct dp_upstream_link base;
    struct dp_uh2_session *session; /* NULL: it has left, or the session is closed */
    struct gw_list node, progress;
    struct dp_task grave;
    struct dp_block *out; /* owned; of the request's body, not framed yet. NULL: nothing */
    struct dp_block *in;  /* owned; of the answer's, not wanted yet. NULL: nothing */
    struct dp_h2_answer answer;
    struct dp_headers trailers;
    size_t trailer_bytes;
    gw_msec begun_ms;
    int32_t id;       /* 0: waits; -1: the session did not take it */
    uint8_t interims; /* 1xx answers so far */
    uint8_t failure;  /* enum dp_upstream_failure: why, when it is known; COUNT: not */
    bool out_ended;   /* the rest of the request's body is in out */
    bool end_sent;    /* END_STREAM has left */
    bool deferred;    /* nghttp2 waits for more of out */
    bool head_told, in_trailers;
    bool answer_ended;   /* END_STREAM has come: the rest is in `in` */
    bool broken;         /* nothing more comes, and the answer is not complete */
    bool reset;          /* by the peer */
    bool refused_tunnel; /* the answer to a CONNECT is an ordinary one */
};

/* A stream of an open session to the call's member, on which the call may begin. NULL: none. */
struct dp_upstream_link *dp_uh2_link_take(struct dp_upstream_call *call);
/* call->link waits for a session: one that is under way, or a new one to the endpoint's address of
 * that index. The session has the connect timeout. 0, or -errno at once. */
GW_MUST_CHECK int dp_uh2_link_connect(struct dp_upstream_call *call,
                                      const struct dp_address *address, unsigned index);

/* h2_session.c: frames may have been queued, or the last stream has left. */
void dp_uh2_session_touch(struct dp_uh2_session *session);
/* All streams end with it. Never from within a callback of nghttp2. */
void dp_uh2_session_close(struct dp_uh2_session *session, enum dp_upstream_failure failure);

/* h2_events.c */
nghttp2_session *dp_uh2_events_new_session(struct dp_uh2_session *session);

/* h2_stream.c */
void dp_uh2_stream_join(struct dp_upstream_call *call, struct dp_uh2_session *session);
/* The session is closed, or nghttp2 has closed the stream. */
void dp_uh2_stream_lost(struct dp_uh2_stream *stream, enum dp_upstream_failure failure);
/* What was given to it has left, or not. */
void dp_uh2_stream_tell(struct dp_uh2_stream *stream);
void dp_uh2_stream_take_data(struct dp_uh2_stream *stream, gw_str data);
void dp_uh2_stream_take_head(struct dp_uh2_stream *stream, bool is_last);
void dp_uh2_stream_take_end(struct dp_uh2_stream *stream);
/* Of what is to be sent: how much comes next; and that much of it goes out. */
ssize_t dp_uh2_stream_read(nghttp2_session *h2, int32_t id, size_t room, uint32_t *flags);
void dp_uh2_stream_send(struct dp_uh2_stream *stream, size_t bytes);

#endif
