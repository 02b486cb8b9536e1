/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/downstream/connection.h"

#include <netinet/in.h>

static void set_port(struct dp_connection *connection, uint16_t port)
{
    char *end = gw_str_put_u64(connection->port_text, port);
    connection->port_text_len = (uint8_t)(end - connection->port_text);
}

void dp_connection_init(struct dp_connection *connection, struct dp_server *server,
                        const struct dp_caller *caller)
{
    connection->server = server;
    connection->is_fresh = server->draining;
    connection->peer = caller->address;
    if (caller->local_port)
        set_port(connection, caller->local_port);
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

static uint16_t ask_port(const struct dp_connection *connection)
{
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof(storage);
    if (getsockname(connection->conn.fd, (struct sockaddr *)&storage, &len) != 0)
        return 0;
    if (storage.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&storage)->sin_port);
    return storage.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&storage)->sin6_port) : 0;
}

gw_str dp_downstream_local_port(const struct dp_downstream *d)
{
    struct dp_connection *connection = d->connection;
    if (gw_unlikely(connection->port_text_len == 0))
        set_port(connection, ask_port(connection));
    return gw_str_n(connection->port_text, connection->port_text_len);
}

const struct dp_tls *dp_downstream_tls(const struct dp_downstream *d)
{
    return d->connection->conn.tls;
}
