/* SPDX-License-Identifier: Apache-2.0 */
/* x-apigateway-ratelimits and x-apigateway-access-controls to policies, and the names by which
 * operations ask for them. */
#include "controlplane/openapi/reader.h"

#define RATELIMITS "x-apigateway-ratelimits"
#define ACCESS_CONTROLS "x-apigateway-access-controls"

static int read_number(const struct cp_openapi_reader *reader, const json_t *node,
                       const char *member, int64_t *ret, struct gw_error *err)
{
    uint64_t number = 0;
    gw_str text = gw_str_from(cp_openapi_text(reader, node, member));
    if (text.len > 0 && gw_str_to_u64(text, INT64_MAX, &number) < 0)
        return gw_fail_field(err, member, "\"%.32s\" is not a whole number", text.ptr);
    *ret = (int64_t)number;
    return 0;
}

/* ---- how often */

static int read_unit(const struct cp_openapi_reader *reader, const json_t *node,
                     cp_throttle *throttle, struct gw_error *err)
{
    static const char *const units[] = {"SECOND", "MINUTE", "HOUR", "DAY"};
    const char *text = cp_openapi_text(reader, node, "unit");
    for (size_t i = 0; i < GW_ARRAY_LEN(units); i++)
        if (gw_str_eq_nocase(gw_str_from(text), gw_str_from(units[i])))
            throttle->unit = (Penstock__Admin__V1__TimeUnit)(CP_ENUM(TIME_UNIT, SECOND) + i);
    if (*text && throttle->unit == CP_ENUM(TIME_UNIT, UNSPECIFIED))
        return gw_fail_field(err, "unit", "\"%.16s\" is not SECOND, MINUTE, HOUR or DAY", text);
    return 0;
}

static int read_special(const struct cp_openapi_reader *reader, const json_t *list,
                        cp_throttle *throttle, struct gw_error *err)
{
    const json_t *item;
    size_t i;
    throttle->exceptions =
        GW_ARENA_ARRAY(reader->arena, cp_throttle_exception *, json_array_size(list) + 1);
    json_array_foreach(list, i, item)
    {
        cp_throttle_exception *made = GW_ARENA_NEW(reader->arena, cp_throttle_exception);
        *made = (cp_throttle_exception)CP_INIT(THROTTLE_EXCEPTION);
        const char *instance = cp_openapi_text(reader, item, "instance");
        gw_str type = gw_str_from(cp_openapi_text(reader, item, "type"));
        bool is_app = gw_str_eq_nocase(type, GW_STR("APP"));
        if (!is_app && !gw_str_eq_nocase(type, GW_STR("USER")))
            return gw_fail_field(err, "special", "type: \"%.16s\" is not APP or USER", type.ptr);
        gw_str name =
            gw_arena_printf(reader->arena, "%s/%s", is_app ? "apps" : "accounts", instance);
        *(is_app ? &made->app : &made->account) = (char *)(uintptr_t)name.ptr;
        if (read_number(reader, item, "limit", &made->limit, err) < 0)
            return -1;
        throttle->exceptions[throttle->n_exceptions++] = made;
    }
    return 0;
}

static int read_throttle(const struct cp_openapi_reader *reader, const json_t *node,
                         cp_policy *policy, struct gw_error *err)
{
    cp_throttle *throttle = GW_ARENA_NEW(reader->arena, cp_throttle);
    *throttle = (cp_throttle)CP_INIT(THROTTLE);
    policy->kind_case = CP_ONEOF(POLICY, THROTTLE);
    policy->throttle = throttle;
    if (json_is_true(json_object_get(node, "shared")))
        throttle->scope = CP_ENUM(THROTTLE_SCOPE, SHARED);
    const struct {
        const char *member;
        int64_t *slot;
    } numbers[] = {{"api-limit", &throttle->api_limit},
                   {"user-limit", &throttle->account_limit},
                   {"app-limit", &throttle->app_limit},
                   {"ip-limit", &throttle->ip_limit},
                   {"interval", &throttle->interval}};
    for (size_t i = 0; i < GW_ARRAY_LEN(numbers); i++)
        if (read_number(reader, node, numbers[i].member, numbers[i].slot, err) < 0)
            return -1;
    if (read_unit(reader, node, throttle, err) < 0)
        return -1;
    return read_special(reader, json_object_get(node, "special"), throttle, err);
}

/* ---- who */

static int read_access(const struct cp_openapi_reader *reader, const json_t *node,
                       cp_policy *policy, struct gw_error *err)
{
    gw_str entity = gw_str_from(cp_openapi_text(reader, node, "entity-type"));
    gw_str type = gw_str_from(cp_openapi_text(reader, node, "acl-type"));
    gw_str rest = gw_str_from(cp_openapi_text(reader, node, "value"));
    cp_ip_access *access = GW_ARENA_NEW(reader->arena, cp_ip_access);
    *access = (cp_ip_access)CP_INIT(IP_ACCESS);
    policy->kind_case = CP_ONEOF(POLICY, IP_ACCESS);
    policy->ip_access = access;
    if (!gw_str_eq_nocase(entity, GW_STR("IP")))
        return gw_fail_field(err, "entity-type", "\"%.16s\" is not IP", entity.ptr);
    if (gw_str_eq_nocase(type, GW_STR("PERMIT")))
        access->effect = CP_ENUM(ACCESS_EFFECT, PERMIT);
    else if (gw_str_eq_nocase(type, GW_STR("DENY")))
        access->effect = CP_ENUM(ACCESS_EFFECT, DENY);
    else
        return gw_fail_field(err, "acl-type", "\"%.16s\" is not PERMIT or DENY", type.ptr);
    size_t count = 1;
    for (size_t i = 0; i < rest.len; i++)
        count += rest.ptr[i] == ',';
    access->addresses = GW_ARENA_ARRAY(reader->arena, char *, count);
    while (rest.ptr && rest.len > 0) {
        gw_str address = gw_str_trim(gw_str_split(&rest, ','));
        access->addresses[access->n_addresses++] =
            (char *)(uintptr_t)gw_arena_dup(reader->arena, address).ptr;
    }
    return 0;
}

/* ---- all of the document */

static void add_policy(const struct cp_openapi_reader *reader, struct cp_openapi *all,
                       const char *name, const json_t *node, bool is_throttle)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_openapi_policy *added = &all->policies[all->policy_count++];
    cp_policy *policy = GW_ARENA_NEW(reader->arena, cp_policy);
    *policy = (cp_policy)CP_INIT(POLICY);
    added->name = gw_arena_strdup(reader->arena, name);
    added->id = cp_openapi_id(reader->arena, name);
    if (strcmp(added->id, name) != 0)
        policy->display_name = gw_arena_strdup(reader->arena, name);
    if ((is_throttle ? read_throttle : read_access)(reader, node, policy, &err) == 0) {
        added->policy = policy;
        return;
    }
    added->err = GW_ARENA_NEW(reader->arena, struct gw_error);
    *added->err = err;
}

int cp_openapi_read_policies(struct cp_openapi_reader *reader, struct cp_openapi *all,
                             struct gw_error *err)
{
    static const char *const words[] = {RATELIMITS, ACCESS_CONTROLS};
    all->policies =
        GW_ARENA_ARRAY(reader->arena, struct cp_openapi_policy, CP_OPENAPI_POLICIES_MAX);
    for (size_t i = 0; i < GW_ARRAY_LEN(words); i++) {
        json_t *node;
        const char *name;
        json_object_foreach(json_object_get(reader->root, words[i]), name, node)
        {
            if (all->policy_count == CP_OPENAPI_POLICIES_MAX)
                return gw_fail_field(err, "document", "more than %d policies",
                                     CP_OPENAPI_POLICIES_MAX);
            add_policy(reader, all, name, node, i == 0);
            if (cp_openapi_check_cost(reader, err) < 0)
                return -1;
        }
    }
    return 0;
}

/* ---- of one operation */

static void add_name(struct cp_openapi_reader *reader, const json_t *value)
{
    struct cp_openapi_operation *op = reader->operation;
    char *name = cp_openapi_scalar(reader, value);
    if (!name || !*name)
        return;
    if (op->policy_count == CP_OPENAPI_BINDINGS_MAX)
        cp_openapi_note(reader, "policy \"%.64s\" left out: more than %d", name,
                        CP_OPENAPI_BINDINGS_MAX);
    else
        op->policies[op->policy_count++] = name;
}

void cp_openapi_read_bindings(struct cp_openapi_reader *reader)
{
    const json_t *plugins = json_object_get(reader->node, "x-apigateway-plugins"), *item;
    size_t i;
    reader->operation->policies = GW_ARENA_ARRAY(reader->arena, char *, CP_OPENAPI_BINDINGS_MAX);
    add_name(reader, json_object_get(reader->node, "x-apigateway-ratelimit"));
    add_name(reader, json_object_get(reader->node, "x-apigateway-access-control"));
    json_array_foreach(plugins, i, item) add_name(reader, item);
}
