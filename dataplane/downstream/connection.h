/* SPDX-License-Identifier: Apache-2.0 */
/* One caller's connection, as far as it does not depend on the protocol; private to downstream/. */
#ifndef DP_DOWNSTREAM_CONNECTION_H
#define DP_DOWNSTREAM_CONNECTION_H

#include "dataplane/downstream/server.h"

/* What the server asks of whoever speaks the protocol. */
struct dp_protocol {
    /* Closes; the handlers of its requests hear GONE. */
    void (*leave)(struct dp_connection *);
    /* Closes if it waits for a request and none has come. */
    void (*close_idle)(struct dp_connection *);
    /* Tells the caller, if the protocol can, that no more requests should come. */
    void (*drain)(struct dp_connection *);
};

struct dp_h2_session; /* h2_session.h */

struct dp_connection {
    struct dp_conn conn;
    const struct dp_protocol *protocol;
    struct dp_server *server;             /* borrowed */
    void *context;                        /* as in struct dp_caller */
    struct gw_list node;                  /* of server->connections */
    struct dp_timer timer;                /* what for is the protocol's */
    struct dp_h2_session *h2;             /* owned; NULL: HTTP/1 is spoken */
    bool is_fresh;                        /* it could not say its first request before the drain */
    uint8_t peer_text_len, port_text_len; /* of the port 0: not asked yet */
    char port_text[5];                    /* the own one, in digits */
    struct dp_address peer;
    char peer_text[DP_ADDRESS_TEXT_MAX];
};

/* Embedded first in what is freed with it. */
void dp_connection_init(struct dp_connection *connection, struct dp_server *server,
                        const struct dp_caller *caller);
/* Leaves the server, which may hear that it is empty. Twice is once. */
void dp_connection_close(struct dp_connection *connection);

#endif
