/* SPDX-License-Identifier: Apache-2.0 */
/* Where control planes are: the addresses of all endpoints, in the order in which this agent wants
 * them. Names are resolved on a thread of their own, so that a DNS server that is silent holds up
 * no failover: what was known before is used meanwhile. One thread, that of the loop. */
#ifndef DP_SYNC_PLACES_H
#define DP_SYNC_PLACES_H

#include "dataplane/sync/hello.h"

#include <sys/socket.h>

#define DP_PLACES_PER_NAME_MAX 16
#define DP_PLACES_MAX (DP_CLIENT_ENDPOINTS_MAX * DP_PLACES_PER_NAME_MAX)

struct ev_loop;
struct dp_places;

struct dp_place {
    const struct dp_endpoint_name *endpoint; /* borrowed from the hello */
    unsigned rank;                           /* of the endpoint in the list; 0: preferred */
    struct sockaddr_storage address;
    socklen_t address_len;
};

/* hello is borrowed; on_resolved (may be NULL) is called on the loop when a name has got addresses
 * or failed to. The addresses of one name are ordered by a hash over the agent's id, so that agents
 * spread over them and each keeps its own order, however the name server turns them. */
struct dp_places *dp_places_new(struct ev_loop *loop, const struct dp_hello *hello,
                                const char *agent_id, void (*on_resolved)(void *user), void *user);
void dp_places_free(struct dp_places *places); /* takes NULL; a lookup under way ends by itself */

/* Names are looked up again; what is known stays until the answer is here. */
void dp_places_refresh(struct dp_places *places);
/* A name has not been answered even once. */
bool dp_places_are_pending(const struct dp_places *places);
/* Why the last name that has no address has none; "": all have. */
const char *dp_places_why(const struct dp_places *places);
unsigned dp_places_count(const struct dp_places *places);

/* The first one in order that has not failed in this round. False: all have. */
bool dp_places_next(const struct dp_places *places, struct dp_place *ret_place);
/* The next one of a rank below: another one of them at each call. False: there is none. */
bool dp_places_better(struct dp_places *places, unsigned rank, struct dp_place *ret_place);
void dp_places_failed(struct dp_places *places, const struct dp_place *place);
/* All are worth a try again. */
void dp_places_new_round(struct dp_places *places);

#endif
