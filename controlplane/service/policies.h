/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of PolicyService, and how bindings go with their API. */
#ifndef CP_SERVICE_POLICIES_H
#define CP_SERVICE_POLICIES_H

#include "controlplane/model/types.h"
#include "controlplane/service/resource.h"

extern const struct cp_resource_rules cp_policy_binding_rules;

/* Deletes one, unless it has changed since mod_revision. Up to CP_DROP_BINDING_OPS operations. */
#define CP_DROP_BINDING_OPS 4
GW_MUST_CHECK int cp_drop_policy_binding(const struct cp_call *call, struct cp_change *change,
                                         const cp_policy_binding *binding, int64_t mod_revision,
                                         struct gw_error *err);

#endif
