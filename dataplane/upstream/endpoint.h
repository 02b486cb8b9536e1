/* SPDX-License-Identifier: Apache-2.0 */
/* A host and port that requests are sent to, and its addresses. A literal address is known at once;
 * a name is resolved at once and again when its records expire; while that fails, also for one
 * family (A or AAAA) alone, the last good addresses stay. */
#ifndef DP_UPSTREAM_ENDPOINT_H
#define DP_UPSTREAM_ENDPOINT_H

#include "common/error.h"
#include "dataplane/net/address.h"

struct dp_endpoint;
struct dp_endpoints; /* all endpoints of the process */
struct dp_loop;
struct dp_pool;

#define DP_ENDPOINT_ADDRESSES_MAX 8 /* of one name; those beyond are left out */
/* How long addresses are good for, whatever their records say. */
#define DP_ENDPOINT_TTL_MIN_MS 1000
#define DP_ENDPOINT_TTL_MAX_MS (5 * 60 * 1000)
/* Between look-ups that fail: doubled from the least to the most. */
#define DP_ENDPOINT_RETRY_MIN_MS 1000
#define DP_ENDPOINT_RETRY_MAX_MS 30000
#define DP_ENDPOINT_LOOKUPS_MAX 64 /* under way at once; the others wait for their turn */

/* All is borrowed. */
struct dp_resolver_options {
    struct dp_loop *loop;
    const char *servers; /* "127.0.0.1:5353", several by comma; NULL or "": as resolv_conf says */
    const char *resolv_conf; /* NULL: /etc/resolv.conf */
};
struct dp_endpoints_stats {
    unsigned names;   /* that are resolved; literal addresses are none */
    unsigned failing; /* of these: the last look-up failed */
    uint64_t lookups, failures;
};

struct dp_endpoints *dp_endpoints_new(unsigned worker_count);
/* Names are looked up on that loop from here on; they wait until then. Its thread only, once. */
GW_MUST_CHECK int dp_endpoints_resolve(struct dp_endpoints *endpoints,
                                       const struct dp_resolver_options *options,
                                       struct gw_error *err);
/* Every reference must be gone. The loop's thread, while its loop is still there. Takes NULL. */
void dp_endpoints_free(struct dp_endpoints *endpoints);
/* Any thread. */
void dp_endpoints_read_stats(struct dp_endpoints *endpoints, struct dp_endpoints_stats *ret_stats);

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
/* Another one: other addresses, or another order. Never 0 with an address. Any thread, no lock. */
unsigned dp_endpoint_version(const struct dp_endpoint *endpoint);
/* Whether it still has the address; *seen is a connection's own, 0 at first, and makes asking
 * cheap.
 */
bool dp_endpoint_has(const struct dp_endpoint *endpoint, const struct dp_address *address,
                     unsigned *seen);
/* The first look-up has ended, well or not. */
bool dp_endpoint_is_settled(const struct dp_endpoint *endpoint);
/* Why the last look-up failed, static text; NULL: it did not. */
const char *dp_endpoint_error(const struct dp_endpoint *endpoint);
/* The slot where worker `index` keeps its connections; only its thread. */
struct dp_pool **dp_endpoint_pool(struct dp_endpoint *endpoint, unsigned index);

#endif
