/* SPDX-License-Identifier: Apache-2.0 */
/* How many there may be of what: one table, from which come the codes of refusals, the options and
 * what ListQuotas shows. A create that would be one too many is RESOURCE_EXHAUSTED, decided in its
 * transaction. */
#ifndef CP_SERVICE_QUOTAS_H
#define CP_SERVICE_QUOTAS_H

#include "common/error.h"
#include "controlplane/model/names.h"

enum cp_quota_id {
    CP_QUOTA_NONE,
    CP_QUOTA_GROUPS,
    CP_QUOTA_APIS,       /* of the gateway */
    CP_QUOTA_GROUP_APIS, /* of a group */
    CP_QUOTA_APPS,
    CP_QUOTA_ENVIRONMENTS,
    CP_QUOTA_VARIABLES,
    CP_QUOTA_THROTTLES,
    CP_QUOTA_DOMAINS,
    CP_QUOTA_CHANNELS,
    CP_QUOTA_MEMBERS, /* of a channel */
    CP_QUOTA_ACCESS_CONTROLS,
    CP_QUOTA_PLUGINS, /* policies of all other kinds */
    CP_QUOTA_APP_CODES,
    CP_QUOTA_AUTHORIZATIONS,
    CP_QUOTA_COUNT,
};

struct cp_quota {
    const char *name;  /* "API_GROUP_NUM_LIMIT": what people call it, and the reason of refusals */
    const char *words; /* "API groups" */
    const char *per;   /* "group"; "": the gateway */
    const char *apig;
    const char *flag; /* "": it is fixed */
    int64_t fallback;
    enum cp_kind_id kind; /* counted for ListQuotas, where per is "" and it is no policy */
};
const struct cp_quota *cp_quota_get(enum cp_quota_id id);

struct cp_call;
struct cp_change;

/* One more of the kind under the parent ("": anywhere). 0 as the limit: any number. */
GW_MUST_CHECK int cp_quota_take(const struct cp_call *call, struct cp_change *change,
                                enum cp_quota_id id, enum cp_kind_id kind, const char *parent,
                                struct gw_error *err);
/* Adds reason and code to a refusal by the number of what `id` limits. Returns -1. */
int cp_quota_refused(enum cp_quota_id id, struct gw_error *err);
/* The quota that a policy counts against. */
enum cp_quota_id cp_quota_of_policy(const ProtobufCMessage *policy);
/* How many policies count against it. */
GW_MUST_CHECK int cp_quota_count_policies(const struct cp_call *call, enum cp_quota_id id,
                                          int64_t *ret_count, struct gw_error *err);
/* One more policy. */
GW_MUST_CHECK int cp_quota_take_policy(const struct cp_call *call, struct cp_change *change,
                                       const ProtobufCMessage *policy, struct gw_error *err);

#endif
