/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/downstream/h1_connection.h"
#include "dataplane/net/tls.h"

#include <unistd.h>

void dp_server_init(struct dp_server *server, struct dp_loop *loop,
                    const struct dp_handler *handler, void *owner)
{
    *server = (struct dp_server){.loop = loop, .handler = handler, .owner = owner};
    server->limits = (struct dp_server_limits){
        .head_timeout_ms = 15000,
        .body_timeout_ms = 8000,
        .idle_timeout_ms = 75000,
        .write_timeout_ms = 60000,
        .connections_max = 10000,
        .h2 = true,
        .h2_streams_max = DP_H2_STREAMS_MAX,
    };
    gw_list_init(&server->connections);
}

/* Said without reading the request: the point is to spend nothing. A handshake would. */
static void turn_away(int fd, struct ssl_st *tls)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nServer: api-gateway\r\n"
                                 "Retry-After: 1\r\nContent-Length: 0\r\n"
                                 "Connection: close\r\n\r\n";
    ssize_t n = tls ? 0 : write(fd, answer, sizeof(answer) - 1);
    (void)n; /* a new socket has room; if not, the close says enough */
    SSL_free(tls);
    close(fd);
}

void dp_server_accept(struct dp_server *server, int fd, const struct dp_caller *caller,
                      struct ssl_st *tls)
{
    if (server->count >= server->limits.connections_max) {
        server->stats.refused++;
        turn_away(fd, tls);
        if (caller->context)
            server->left(caller->context);
        return;
    }
    server->stats.accepted++;
    dp_h1_connection_new(server, fd, caller, tls);
}

void dp_server_drain(struct dp_server *server)
{
    server->draining = true;
    gw_list_each(&server->connections, it)
    {
        struct dp_connection *connection = gw_container_of(it, struct dp_connection, node);
        connection->protocol->drain(connection);
    }
}

void dp_server_close_idle(struct dp_server *server)
{
    gw_list_each(&server->connections, it)
    {
        struct dp_connection *connection = gw_container_of(it, struct dp_connection, node);
        if (dp_conn_is_shaking_hands(&connection->conn))
            continue; /* that has a timeout of its own, and then comes a request */
        if (connection->is_fresh)
            connection->is_fresh = false;
        else
            connection->protocol->close_idle(connection);
    }
}

void dp_server_close(struct dp_server *server)
{
    while (!gw_list_is_empty(&server->connections)) {
        struct dp_connection *connection =
            gw_container_of(server->connections.next, struct dp_connection, node);
        connection->protocol->leave(connection);
    }
}
