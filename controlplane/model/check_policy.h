/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy may say. Pure: no store, no clock. Whatever passes here, agents compile; a field
 * that agents do not honour yet is refused by its name, never stored and ignored. */
#ifndef CP_MODEL_CHECK_POLICY_H
#define CP_MODEL_CHECK_POLICY_H

#include "controlplane/model/types.h"

#include "common/error.h"

/* All that is wrong with what the policy says, as violations. INVALID_ARGUMENT, or UNIMPLEMENTED
 * when nothing else is wrong. Name, labels and what the server sets are not looked at. */
GW_MUST_CHECK int cp_check_policy(const cp_policy *policy, struct gw_error *err);
/* The same, and that the kind is the one it was. */
GW_MUST_CHECK int cp_check_policy_update(const cp_policy *before, const cp_policy *after,
                                         struct gw_error *err);
/* Which API and environment a binding names; an empty environment is "environments/RELEASE". */
GW_MUST_CHECK int cp_check_policy_binding(const cp_policy_binding *binding, struct gw_error *err);

/* "throttle", as the field of Policy is called; "" when there is none. Also part of store keys. */
const char *cp_policy_kind_name(Penstock__Admin__V1__Policy__KindCase kind);

/* Violations of "ip_access.effect" and "ip_access.addresses", of a policy or of an app. */
void cp_check_ip_access(const cp_ip_access *access, struct gw_error *err);
/* "192.0.2.1", "192.0.2.0/24", "192.0.2.1-192.0.2.9", or the same in IPv6. */
bool cp_is_address_entry(gw_str entry);

#endif
