/* SPDX-License-Identifier: Apache-2.0 */
/* A caller's connection that speaks HTTP/2, over libnghttp2, and its streams, each of which is the
 * way of one request; private to downstream/.
 *
 * nghttp2 is fed what the socket brings (h2.c) and calls back with what it means (h2_request.c).
 * What answers have to say (h2_answer.c) is taken from the streams at the end of the loop's turn,
 * so that one write carries what many backends brought. Handlers hear of a stream's end, and of all
 * that does not come from the caller's own bytes, from `tell`, never from within nghttp2's sending.
 */
#ifndef DP_DOWNSTREAM_H2_SESSION_H
#define DP_DOWNSTREAM_H2_SESSION_H

#include "dataplane/downstream/connection.h"
#include "dataplane/downstream/h2_guard.h"

#include <nghttp2/nghttp2.h>

#define DP_H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

struct dp_h2_stream; /* h2_stream.h */

enum dp_h2_phase {
    DP_H2_OPEN,
    DP_H2_LEAVING, /* the last GOAWAY is said: what there is of requests is finished */
    DP_H2_ENDING,  /* nothing more is said; FIN follows when all is written */
    DP_H2_LINGER,  /* FIN is sent; what still comes is dropped so that no reset overtakes it */
};

/* What the connection's timer is armed for. */
enum dp_h2_wait {
    DP_H2_WAIT_SIGN,   /* streams go their own ways: for any byte, and then for the answer to a PING
                        */
    DP_H2_WAIT_IDLE,   /* no stream */
    DP_H2_WAIT_HEAD,   /* a head is incomplete */
    DP_H2_WAIT_WRITE,  /* the kernel takes no bytes */
    DP_H2_WAIT_LINGER, /* for the caller's FIN */
};

struct dp_h2_session {
    struct dp_connection *connection; /* borrowed: it owns this */
    nghttp2_session *h2;              /* owned */
    struct gw_list streams;           /* all, of dp_h2_stream.node */
    struct gw_list ready;             /* those with news for their handlers */
    unsigned stream_count;
    struct dp_task tell, send;
    struct dp_h2_stream *heading; /* its header section is not complete; NULL: none */
    size_t unsent;                /* bytes of all streams' `out` */
    struct dp_h2_guard guard;
    enum dp_h2_phase phase;
    enum dp_h2_wait wait;
    int32_t wait_stream; /* whose head */
    gw_msec linger_until_ms;
    bool probed; /* PING was sent, since the caller was silent */
    bool inside; /* nghttp2 is at work: it must not be called again */
};

/* The connection speaks HTTP/2 from its next byte on, those in its input included. */
void dp_h2_session_start(struct dp_connection *connection);
/* There is something to send: before the loop sleeps. */
static inline void dp_h2_send_later(struct dp_h2_session *session)
{
    dp_loop_turn_later(session->connection->server->loop, &session->send);
}
/* All there is to send, as far as it may be sent, into the connection's output. */
void dp_h2_pump(struct dp_h2_session *session);

#endif
