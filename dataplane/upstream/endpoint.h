/* SPDX-License-Identifier: Apache-2.0 */
/* A host and port that requests are sent to, and its addresses. A literal address is known at once;
 * a name is resolved on the resolver thread, at once and every 30 s; while that fails, the last
 * good addresses stay. */
#ifndef DP_UPSTREAM_ENDPOINT_H
#define DP_UPSTREAM_ENDPOINT_H

#include "dataplane/net/address.h"

struct dp_endpoint;
struct dp_endpoints; /* all endpoints of the process, and the resolver thread */
struct dp_pool;

#define DP_ENDPOINT_ADDRESSES_MAX 8 /* of one name; those beyond are left out */

struct dp_endpoints *dp_endpoints_new(unsigned worker_count);
/* Every reference must be gone. Waits for a look-up that is under way. */
void dp_endpoints_free(struct dp_endpoints *endpoints);

/* A reference to the endpoint, the same one for the same host and port. Any thread; never blocks.
 */
struct dp_endpoint *dp_endpoint_get(struct dp_endpoints *endpoints, gw_str host, uint16_t port);
struct dp_endpoint *dp_endpoint_ref(struct dp_endpoint *endpoint);
void dp_endpoint_unref(struct dp_endpoint *endpoint); /* any thread; takes NULL */

gw_str dp_endpoint_host(const struct dp_endpoint *endpoint);
uint16_t dp_endpoint_port(const struct dp_endpoint *endpoint);
/* "host:port", IPv6 in brackets. */
gw_str dp_endpoint_name(const struct dp_endpoint *endpoint);

/* How many addresses it has now (0: not resolved), copied out. Any thread, no lock. */
unsigned dp_endpoint_addresses(const struct dp_endpoint *endpoint,
                               struct dp_address ret_addresses[DP_ENDPOINT_ADDRESSES_MAX]);
/* The first look-up has ended, well or not. */
bool dp_endpoint_is_settled(const struct dp_endpoint *endpoint);
/* The slot where worker `index` keeps its connections; only its thread. */
struct dp_pool **dp_endpoint_pool(struct dp_endpoint *endpoint, unsigned index);

#endif
