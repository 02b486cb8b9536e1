/* SPDX-License-Identifier: Apache-2.0 */
/* Policies to a document: throttles and access by address with their definitions, others by name.
 */
#include "controlplane/model/names.h"
#include "controlplane/openapi/writer.h"

static json_t *special_of(const cp_throttle *throttle)
{
    json_t *list = json_array();
    for (size_t i = 0; i < throttle->n_exceptions; i++) {
        const cp_throttle_exception *from = throttle->exceptions[i];
        bool is_app = *from->app != '\0';
        json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "type", is_app ? "APP" : "USER",
                                              "limit", (json_int_t)from->limit, "instance",
                                              cp_name_last(is_app ? from->app : from->account)));
    }
    return list;
}

static json_t *ratelimit_of(const cp_throttle *throttle)
{
    static const char *const units[] = {"SECOND", "SECOND", "MINUTE", "HOUR", "DAY"};
    bool is_shared = throttle->scope == CP_ENUM(THROTTLE_SCOPE, SHARED);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:s, s:b, s:o}", "api-limit",
                     (json_int_t)throttle->api_limit, "user-limit",
                     (json_int_t)throttle->account_limit, "app-limit",
                     (json_int_t)throttle->app_limit, "ip-limit", (json_int_t)throttle->ip_limit,
                     "interval", (json_int_t)throttle->interval, "unit", units[throttle->unit],
                     "shared", is_shared, "special", special_of(throttle));
}

static json_t *access_of(struct cp_openapi_writer *writer, const cp_ip_access *access)
{
    bool is_permit = access->effect == CP_ENUM(ACCESS_EFFECT, PERMIT);
    gw_str value = GW_STR("");
    for (size_t i = 0; i < access->n_addresses; i++)
        value = gw_arena_printf(writer->arena, "%.*s%s%s", GW_STR_ARG(value), i ? "," : "",
                                access->addresses[i]);
    return json_pack("{s:s, s:s, s:s%}", "acl-type", is_permit ? "PERMIT" : "DENY", "entity-type",
                     "IP", "value", value.ptr, value.len);
}

void cp_openapi_write_policies(struct cp_openapi_writer *writer, json_t *operation,
                               cp_policy *const *policies)
{
    json_t *plugins = json_array();
    for (; *policies; policies++) {
        const cp_policy *policy = *policies;
        const char *name = cp_name_last(policy->name);
        if (policy->kind_case == CP_ONEOF(POLICY, THROTTLE)) {
            cp_openapi_put(operation, "x-apigateway-ratelimit", name);
            json_object_set_new(writer->ratelimits, name, ratelimit_of(policy->throttle));
        } else if (policy->kind_case == CP_ONEOF(POLICY, IP_ACCESS)) {
            cp_openapi_put(operation, "x-apigateway-access-control", name);
            json_object_set_new(writer->access_controls, name,
                                access_of(writer, policy->ip_access));
        } else
            json_array_append_new(plugins, json_string(name));
    }
    if (json_array_size(plugins) > 0)
        json_object_set(operation, "x-apigateway-plugins", plugins);
    json_decref(plugins);
}
