/* SPDX-License-Identifier: Apache-2.0 */
/* Names to addresses by c-ares on a loop: /etc/hosts, the search rules of resolv.conf, A and AAAA,
 * over TCP where an answer is cut. Never blocks. The loop's thread only. */
#ifndef DP_UPSTREAM_RESOLVER_H
#define DP_UPSTREAM_RESOLVER_H

#include "common/error.h"
#include "dataplane/net/loop.h"
#include "dataplane/upstream/endpoint.h"

struct dp_resolver;

#define DP_RESOLVED_NAME_MAX 257 /* RFC 1035, with the last dot and NUL */

/* What a look-up found. */
struct dp_resolution {
    const char *error; /* static text; NULL: there are addresses */
    bool cancelled;    /* with error: nobody was asked to the end; ask again */
    unsigned count;    /* of addresses; those that connect best first (RFC 6724) */
    struct dp_address addresses[DP_ENDPOINT_ADDRESSES_MAX];
    gw_msec ttl_ms; /* the least of all records that led to them; 0: unknown, as from /etc/hosts */
    /* A server said it of this name, a domain of the search list and the last dot included; "": it
     * comes from /etc/hosts, or is asked for again at once anyway. */
    char name[DP_RESOLVED_NAME_MAX];
    bool hesitated; /* a server did not answer in time */
};

/* Whether a name has addresses of one family. */
enum dp_resolver_answer {
    DP_RESOLVER_NONE, /* the servers say so */
    DP_RESOLVER_SOME,
    DP_RESOLVER_UNKNOWN, /* no server says anything */
    DP_RESOLVER_CANCELLED
};

GW_MUST_CHECK int dp_resolver_new(const struct dp_resolver_options *options,
                                  struct dp_resolver **ret_resolver, struct gw_error *err);
/* What is under way is told as cancelled. Takes NULL. */
void dp_resolver_free(struct dp_resolver *resolver);
/* `done` is called once, perhaps from within; it may call dp_resolver_ask, if it was not cancelled.
 * A look-up that finds one family does not tell whether the other one has no addresses or failed.
 */
void dp_resolver_look_up(struct dp_resolver *resolver, const char *host,
                         void (*done)(void *arg, const struct dp_resolution *resolution),
                         void *arg);
/* Asks that of a whole name (dp_resolution.name). `done` as above. */
void dp_resolver_ask(struct dp_resolver *resolver, const char *name, bool v4,
                     void (*done)(void *arg, enum dp_resolver_answer answer), void *arg);

#endif
