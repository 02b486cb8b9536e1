/* SPDX-License-Identifier: Apache-2.0 */
/* Who may call, by source address: of a policy, or of an app. Compiled into sorted, disjoint
 * intervals: a look-up is one binary search. Immutable, as all of a snapshot. */
#ifndef DP_SNAPSHOT_ADDRESS_LIST_H
#define DP_SNAPSHOT_ADDRESS_LIST_H

#include "common/arena.h"
#include "common/error.h"
#include "dataplane/net/address.h"

#include "penstock/agent/v1/agent.pb-c.h"

#define DP_ADDRESS_LIST_MAX 1000 /* entries */

struct dp_address_list;

/* In the arena. INVALID_ARGUMENT naming the entry of "ip_access.addresses" that is none. */
GW_MUST_CHECK int dp_address_list_compile(const Penstock__Agent__V1__IpAccess *source,
                                          struct gw_arena *arena,
                                          const struct dp_address_list **ret_list,
                                          struct gw_error *err);
bool dp_address_list_admits(const struct dp_address_list *list, const struct dp_address *address);

#endif
