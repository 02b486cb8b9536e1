/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * All of upstream/endpoint.h without look-ups: endpoints that only know their name, and a count of
 * those alive. For programs that compile snapshots and call nobody. */
#ifndef DP_SNAPSHOT_TEST_ENDPOINTS_H
#define DP_SNAPSHOT_TEST_ENDPOINTS_H

#include "dataplane/upstream/endpoint.h"

#include "common/base.h"

#include <stdio.h>
#include <stdlib.h>

struct dp_endpoint {
    unsigned refs;
    uint16_t port;
    char host[512], name[520];
    struct dp_pool *pool;
};

static int test_endpoints_alive;

struct dp_endpoints *dp_endpoints_new(unsigned worker_count)
{
    (void)worker_count;
    return (struct dp_endpoints *)&test_endpoints_alive;
}

void dp_endpoints_free(struct dp_endpoints *endpoints)
{
    (void)endpoints;
}

struct dp_endpoint *dp_endpoint_get(struct dp_endpoints *endpoints, gw_str host, uint16_t port)
{
    (void)endpoints;
    struct dp_endpoint *endpoint = gw_calloc(1, sizeof *endpoint);
    endpoint->refs = 1;
    endpoint->port = port;
    (void)snprintf(endpoint->host, sizeof endpoint->host, "%.*s", GW_STR_ARG(host));
    (void)snprintf(endpoint->name, sizeof endpoint->name, "%s:%u", endpoint->host, port);
    test_endpoints_alive++;
    return endpoint;
}

struct dp_endpoint *dp_endpoint_ref(struct dp_endpoint *endpoint)
{
    endpoint->refs++;
    return endpoint;
}

void dp_endpoint_unref(struct dp_endpoint *endpoint)
{
    if (!endpoint || --endpoint->refs > 0)
        return;
    test_endpoints_alive--;
    free(endpoint);
}

gw_str dp_endpoint_host(const struct dp_endpoint *endpoint)
{
    return gw_str_from(endpoint->host);
}

uint16_t dp_endpoint_port(const struct dp_endpoint *endpoint)
{
    return endpoint->port;
}

gw_str dp_endpoint_name(const struct dp_endpoint *endpoint)
{
    return gw_str_from(endpoint->name);
}

unsigned dp_endpoint_addresses(const struct dp_endpoint *endpoint,
                               struct dp_address ret_addresses[DP_ENDPOINT_ADDRESSES_MAX])
{
    (void)endpoint;
    (void)ret_addresses;
    return 0;
}

unsigned dp_endpoint_version(const struct dp_endpoint *endpoint)
{
    (void)endpoint;
    return 0;
}

bool dp_endpoint_has(const struct dp_endpoint *endpoint, const struct dp_address *address,
                     unsigned *seen)
{
    (void)endpoint, (void)address, (void)seen;
    return true;
}

const char *dp_endpoint_error(const struct dp_endpoint *endpoint)
{
    (void)endpoint;
    return NULL;
}

void dp_endpoints_read_stats(struct dp_endpoints *endpoints, struct dp_endpoints_stats *ret_stats)
{
    (void)endpoints;
    *ret_stats = (struct dp_endpoints_stats){0};
}

int dp_endpoints_resolve(struct dp_endpoints *endpoints, const struct dp_resolver_options *options,
                         struct gw_error *err)
{
    (void)endpoints, (void)options, (void)err;
    return 0;
}

bool dp_endpoint_is_settled(const struct dp_endpoint *endpoint)
{
    (void)endpoint;
    return true;
}

struct dp_pool **dp_endpoint_pool(struct dp_endpoint *endpoint, unsigned index)
{
    (void)index;
    return &endpoint->pool;
}

#endif
