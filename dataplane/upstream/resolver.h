/* SPDX-License-Identifier: Apache-2.0 */
/* Names to addresses by c-ares on a loop: /etc/hosts, the search rules of resolv.conf, A and AAAA,
 * over TCP where an answer is cut. Never blocks. The loop's thread only. */
#ifndef DP_UPSTREAM_RESOLVER_H
#define DP_UPSTREAM_RESOLVER_H

#include "common/error.h"
#include "dataplane/net/loop.h"
#include "dataplane/upstream/endpoint.h"

struct dp_resolver;

/* What a look-up found. */
struct dp_resolution {
    const char *error; /* static text; NULL: there are addresses */
    bool cancelled;    /* with error: nobody was asked to the end; ask again */
    unsigned count;    /* of addresses; those that connect best first (RFC 6724) */
    struct dp_address addresses[DP_ENDPOINT_ADDRESSES_MAX];
    gw_msec ttl_ms; /* the least of all records that led to them; 0: unknown, as from /etc/hosts */
};

GW_MUST_CHECK int dp_resolver_new(const struct dp_resolver_options *options,
                                  struct dp_resolver **ret_resolver, struct gw_error *err);
/* What is under way is told as cancelled. Takes NULL. */
void dp_resolver_free(struct dp_resolver *resolver);
/* `done` is called once, perhaps from within; it may not call the resolver. */
void dp_resolver_look_up(struct dp_resolver *resolver, const char *host,
                         void (*done)(void *arg, const struct dp_resolution *resolution),
                         void *arg);

#endif
