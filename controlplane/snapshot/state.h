/* SPDX-License-Identifier: Apache-2.0 */
/* All of the store that agents depend on, in memory, with the indexes that say which agent
 * resources a change concerns. No I/O, no clock; one thread at a time.
 *
 * Values stay packed, as the store gave them: that is a fifth of their unpacked size, and a build
 * reads few of them. Drafts and environments are not kept, agents never see them. */
#ifndef CP_SNAPSHOT_STATE_H
#define CP_SNAPSHOT_STATE_H

#include "common/list.h"
#include "common/map.h"
#include "controlplane/model/names.h"
#include "controlplane/store/seal.h"

#define CP_AGENT_TICKET_KEYS                                                                       \
    "ticketKeys" /* the agent resource that is made of CP_KIND_TICKET_KEYS */

struct cp_state;
struct cp_bucket; /* the resources that belong to one name */

/* Membership of a resource in a bucket. */
struct cp_link {
    struct gw_list node;
    struct cp_bucket *bucket;     /* NULL: none */
    struct cp_resource *resource; /* whose link this is */
};

struct cp_resource {
    const struct cp_kind *kind;
    gw_str name, value; /* owned, in one block with the struct; value: the packed message */
    int64_t mod_revision;
    /* domain: its group, its certificates. code, authorization: their app. binding: its route, its
     * policy. release: its channel, its certificate. */
    struct cp_link links[3];
};

/* seal: opens what agents get of secrets; borrowed, NULL: there are no keys. */
struct cp_state *cp_state_new(const struct cp_seal *seal);
void cp_state_free(struct cp_state *state);
const struct cp_seal *cp_state_seal(const struct cp_state *state);

/* False: agents do not depend on that kind. */
bool cp_state_keeps(enum cp_kind_id kind);
/* Adds, replaces or removes what the store has under `key`, and adds the names of the agent
 * resources that have to be built again to `touched` (as keys; the values mean nothing). Keys that
 * agents do not depend on are ignored. -1: the value cannot be read; it is kept, and what is built
 * from it will be refused. */
GW_MUST_CHECK int cp_state_put(struct cp_state *state, gw_str key, gw_str value,
                               int64_t mod_revision, struct gw_map *touched, struct gw_error *err);
void cp_state_remove(struct cp_state *state, gw_str key, struct gw_map *touched);

/* NULL: not there. */
const struct cp_resource *cp_state_get(const struct cp_state *state, gw_str name);

struct cp_members {
    const struct cp_resource **items; /* in the arena, by name */
    size_t count;
};
/* Those of the kind that belong to `owner`, a resource's or a route's name. */
struct cp_members cp_state_members(const struct cp_state *state, struct gw_arena *arena,
                                   gw_str owner, enum cp_kind_id kind);
/* Whether agents need the certificate: for a domain, or for the backend of an effective release. */
bool cp_state_is_used(const struct cp_state *state, struct gw_arena *arena, gw_str certificate);

#endif
