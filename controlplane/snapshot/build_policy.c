/* SPDX-License-Identifier: Apache-2.0 */
#include "common/message.h"
#include "controlplane/model/types.h"
#include "controlplane/snapshot/build.h"

typedef Penstock__Agent__V1__Throttle agent_throttle;
typedef Penstock__Agent__V1__ThrottleException agent_throttle_exception;
typedef Penstock__Agent__V1__ResponseHeaders agent_response_headers;
typedef Penstock__Agent__V1__HeaderAction agent_header_action;

cp_agent_ip_access *cp_build_ip_access(struct gw_arena *arena, const cp_ip_access *stored)
{
    if (!stored)
        return NULL;
    cp_agent_ip_access *access = CP_AGENT_NEW(arena, cp_agent_ip_access, ip_access);
    access->permit = stored->effect == CP_ENUM(ACCESS_EFFECT, PERMIT);
    access->n_addresses = stored->n_addresses;
    access->addresses = stored->addresses;
    return access;
}

struct unit {
    const char *name;
    int64_t seconds;
};

static struct unit unit_of(Penstock__Admin__V1__TimeUnit unit)
{
    switch (unit) {
    case CP_ENUM(TIME_UNIT, MINUTE):
        return (struct unit){"minute", 60};
    case CP_ENUM(TIME_UNIT, HOUR):
        return (struct unit){"hour", 3600};
    case CP_ENUM(TIME_UNIT, DAY):
        return (struct unit){"day", 86400};
    default:
        return (struct unit){"second", 1};
    }
}

static agent_throttle *build_throttle(struct gw_arena *arena, const cp_throttle *stored)
{
    agent_throttle *throttle = CP_AGENT_NEW(arena, agent_throttle, throttle);
    struct unit unit = unit_of(stored->unit);
    int64_t interval = stored->interval ? stored->interval : 1;
    throttle->shared = stored->scope == CP_ENUM(THROTTLE_SCOPE, SHARED);
    throttle->window_seconds = interval * unit.seconds;
    throttle->window_text = cp_build_text(
        arena, gw_arena_printf(arena, "time:%lld %s", (long long)interval, unit.name));
    throttle->api_limit = stored->api_limit;
    throttle->app_limit = stored->app_limit;
    throttle->ip_limit = stored->ip_limit;
    throttle->exceptions =
        GW_ARENA_ARRAY(arena, agent_throttle_exception *, stored->n_exceptions + 1);
    for (size_t i = 0; i < stored->n_exceptions; i++) {
        agent_throttle_exception *exception =
            CP_AGENT_NEW(arena, agent_throttle_exception, throttle_exception);
        exception->app = stored->exceptions[i]->app;
        exception->limit = stored->exceptions[i]->limit;
        throttle->exceptions[throttle->n_exceptions++] = exception;
    }
    return throttle;
}

static agent_response_headers *build_response_headers(struct gw_arena *arena,
                                                      const cp_response_headers *stored)
{
    agent_response_headers *result = CP_AGENT_NEW(arena, agent_response_headers, response_headers);
    result->headers = GW_ARENA_ARRAY(arena, agent_header_action *, stored->n_headers + 1);
    for (size_t i = 0; i < stored->n_headers; i++) {
        agent_header_action *action = CP_AGENT_NEW(arena, agent_header_action, header_action);
        action->name = stored->headers[i]->name;
        action->value = stored->headers[i]->value;
        /* The two enums have the same values, by intent. */
        action->action = (Penstock__Agent__V1__HeaderActionType)(int)stored->headers[i]->action;
        result->headers[result->n_headers++] = action;
    }
    return result;
}

int cp_build_policy(const struct cp_state *state, gw_str name, struct gw_arena *arena,
                    cp_agent_policy **ret_policy, struct gw_error *err)
{
    ProtobufCMessage *message;
    int found = cp_build_read(state, name, arena, &message, err);
    if (found <= 0)
        return found;
    const cp_policy *stored = (cp_policy *)(void *)message;
    cp_agent_policy *policy = CP_AGENT_NEW(arena, cp_agent_policy, policy);
    *ret_policy = policy;
    policy->name = stored->name;
    switch (stored->kind_case) {
    case CP_ONEOF(POLICY, IP_ACCESS):
        policy->kind_case = PENSTOCK__AGENT__V1__POLICY__KIND_IP_ACCESS;
        policy->ip_access = cp_build_ip_access(arena, stored->ip_access);
        return 1;
    case CP_ONEOF(POLICY, THROTTLE):
        policy->kind_case = PENSTOCK__AGENT__V1__POLICY__KIND_THROTTLE;
        policy->throttle = build_throttle(arena, stored->throttle);
        return 1;
    case CP_ONEOF(POLICY, RESPONSE_HEADERS):
        policy->kind_case = PENSTOCK__AGENT__V1__POLICY__KIND_RESPONSE_HEADERS;
        policy->response_headers = build_response_headers(arena, stored->response_headers);
        return 1;
    default:
        return gw_fail(err, GW_UNIMPLEMENTED, "agents do not enforce this kind of policy");
    }
}
