/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/quotas.h"

#include "controlplane/model/check_app.h"
#include "controlplane/model/types.h"
#include "controlplane/service/limits.h"
#include "controlplane/service/read.h"

#define GENERAL "APIG.3100" /* where the catalogue has no code of its own */

static const struct cp_quota quotas[CP_QUOTA_COUNT] = {
    [CP_QUOTA_GROUPS] = {"API_GROUP_NUM_LIMIT", "API groups", "", "APIG.3101", "groups-max", 1500,
                         CP_KIND_GROUP},
    [CP_QUOTA_APIS] = {"API_NUM_LIMIT", "APIs", "", "APIG.3102", "apis-max", 0, CP_KIND_API},
    [CP_QUOTA_GROUP_APIS] = {"API_NUM_PER_GROUP_LIMIT", "APIs", "group", "APIG.3125",
                             "group-apis-max", 1000, CP_KIND_API},
    [CP_QUOTA_APPS] = {"APP_NUM_LIMIT", "apps", "", "APIG.3103", "apps-max", 50, CP_KIND_APP},
    [CP_QUOTA_ENVIRONMENTS] = {"ENVIRONMENT_NUM_LIMIT", "environments", "", "APIG.3104",
                               "environments-max", 10, CP_KIND_ENVIRONMENT},
    [CP_QUOTA_VARIABLES] = {"VARIABLE_NUM_LIMIT", "variables", "group and environment", "APIG.3106",
                            "variables-max", CP_VARIABLES_MAX_DEFAULT, CP_KIND_VARIABLE},
    [CP_QUOTA_THROTTLES] = {"THROTTLE_NUM_LIMIT", "throttling policies", "", "APIG.3107",
                            "throttles-max", 300, CP_KIND_POLICY},
    [CP_QUOTA_DOMAINS] = {"DOMAIN_NUM_LIMIT", "domains", "group", "APIG.3108", "domains-max", 5,
                          CP_KIND_DOMAIN},
    [CP_QUOTA_CHANNELS] = {"CHANNEL_NUM_LIMIT", "channels", "", "APIG.3109", "channels-max", 200,
                           CP_KIND_CHANNEL},
    [CP_QUOTA_MEMBERS] = {"CHANNEL_MEMBER_NUM_LIMIT", "members", "channel", "APIG.3110",
                          "channel-members-max", CP_CHANNEL_MEMBERS_MAX_DEFAULT, CP_KIND_CHANNEL},
    [CP_QUOTA_ACCESS_CONTROLS] = {"ACL_NUM_LIMIT", "access control policies", "", "APIG.3112",
                                  "access-controls-max", 100, CP_KIND_POLICY},
    [CP_QUOTA_PLUGINS] = {"PLUGIN_NUM_LIMIT", "policies of other kinds", "", GENERAL, "plugins-max",
                          500, CP_KIND_POLICY},
    [CP_QUOTA_APP_CODES] = {"APP_CODE_NUM_LIMIT", "AppCodes", "app", GENERAL, "", CP_APP_CODES_MAX,
                            CP_KIND_CODE},
    [CP_QUOTA_AUTHORIZATIONS] = {"API_NUM_PER_APP_LIMIT", "authorizations", "app", GENERAL,
                                 "app-apis-max", 1000, CP_KIND_AUTHORIZATION},
};

const struct cp_quota *cp_quota_get(enum cp_quota_id id)
{
    assert(id > CP_QUOTA_NONE && id < CP_QUOTA_COUNT);
    return &quotas[id];
}

int cp_quota_refused(enum cp_quota_id id, struct gw_error *err)
{
    (void)gw_error_apig(err, quotas[id].apig);
    return gw_error_reason(err, quotas[id].name);
}

int cp_quota_take(const struct cp_call *call, struct cp_change *change, enum cp_quota_id id,
                  enum cp_kind_id kind, const char *parent, struct gw_error *err)
{
    int64_t max = call->services->quotas[id];
    if (max == 0 || cp_change_limit(call, change, kind, parent, max, err) == 0)
        return 0;
    return err->code == GW_RESOURCE_EXHAUSTED ? cp_quota_refused(id, err) : -1;
}

/* ---- policies */

enum cp_quota_id cp_quota_of_policy(const ProtobufCMessage *policy)
{
    switch (((const cp_policy *)policy)->kind_case) {
    case CP_ONEOF(POLICY, THROTTLE):
        return CP_QUOTA_THROTTLES;
    case CP_ONEOF(POLICY, IP_ACCESS):
    case CP_ONEOF(POLICY, ACCOUNT_ACCESS):
        return CP_QUOTA_ACCESS_CONTROLS;
    default:
        return CP_QUOTA_PLUGINS;
    }
}

struct counter {
    enum cp_quota_id id;
    int64_t count;
};

static int visit(void *arg, const char *name, const struct cp_stored *stored, struct gw_error *err)
{
    (void)name;
    (void)err;
    struct counter *counter = arg;
    counter->count += cp_quota_of_policy(stored->message) == counter->id;
    return 0;
}

int cp_quota_count_policies(const struct cp_call *call, enum cp_quota_id id, int64_t *ret_count,
                            struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct cp_call reading = *call;
    struct counter counter = {.id = id};
    reading.arena = &arena;
    reading.audit = NULL; /* what is read here is not what is written */
    if (cp_each(&reading, CP_KIND_POLICY, "", visit, &counter, err) < 0)
        return -1;
    *ret_count = counter.count;
    return 0;
}

/* They are read only when there may be too many. */
int cp_quota_take_policy(const struct cp_call *call, struct cp_change *change,
                         const ProtobufCMessage *policy, struct gw_error *err)
{
    enum cp_quota_id id = cp_quota_of_policy(policy);
    const struct cp_quota *quota = &quotas[id];
    int64_t count, max = call->services->quotas[id];
    struct cp_limit limit;
    if (max == 0)
        return 0;
    if (cp_limit_begin(call, change, gw_str_from(quota->name), &limit, err) < 0 ||
        cp_store_count(call->services->store, cp_key_prefix(call->arena, CP_KIND_POLICY), &count,
                       err) < 0)
        return -1;
    if (count + CP_LIMIT_MARGIN >= max && cp_quota_count_policies(call, id, &count, err) < 0)
        return -1;
    if (cp_limit_end(change, &limit, count, max) == 0)
        return 0;
    (void)gw_fail(err, GW_RESOURCE_EXHAUSTED, "the gateway has %lld of %lld %s", (long long)count,
                  (long long)max, quota->words);
    return cp_quota_refused(id, err);
}
