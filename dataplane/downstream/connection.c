/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/downstream/connection.h"

#include <netinet/in.h>

void dp_connection_init(struct dp_connection *connection, struct dp_server *server,
                        const struct dp_caller *caller)
{
    connection->server = server;
    connection->is_fresh = server->draining;
    connection->peer = caller->address;
    connection->local_port = caller->local_port;
    connection->context = caller->context;
    connection->peer_text_len = (uint8_t)dp_address_print(&connection->peer, connection->peer_text);
    gw_list_push(&server->connections, &connection->node);
    server->count++;
}

void dp_connection_close(struct dp_connection *connection)
{
    struct dp_server *server = connection->server;
    if (connection->conn.fd < 0)
        return;
    dp_timer_stop(&connection->timer);
    dp_conn_close(&connection->conn);
    gw_list_remove(&connection->node);
    if (connection->context)
        server->left(connection->context);
    if (--server->count == 0 && server->emptied)
        server->emptied(server);
}

void *dp_downstream_owner(const struct dp_downstream *d)
{
    return d->connection->server->owner;
}

void *dp_downstream_context(const struct dp_downstream *d)
{
    return d->connection->context;
}

const struct dp_address *dp_downstream_peer(const struct dp_downstream *d)
{
    return &d->connection->peer;
}

gw_str dp_downstream_peer_text(const struct dp_downstream *d)
{
    return gw_str_n(d->connection->peer_text, d->connection->peer_text_len);
}

uint16_t dp_downstream_local_port(const struct dp_downstream *d)
{
    struct dp_connection *connection = d->connection;
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof(storage);
    if (connection->local_port == 0 &&
        getsockname(connection->conn.fd, (struct sockaddr *)&storage, &len) == 0) {
        if (storage.ss_family == AF_INET)
            connection->local_port = ntohs(((struct sockaddr_in *)&storage)->sin_port);
        else if (storage.ss_family == AF_INET6)
            connection->local_port = ntohs(((struct sockaddr_in6 *)&storage)->sin6_port);
    }
    return connection->local_port;
}

const struct dp_tls *dp_downstream_tls(const struct dp_downstream *d)
{
    return d->connection->conn.tls;
}
