/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/bulk.h"

#include "common/log.h"
#include "common/map.h"
#include "common/message.h"
#include "controlplane/agents/registry.h"
#include "controlplane/service/audit.h"
#include "controlplane/service/history.h"
#include "controlplane/service/publish.h"

#include <stdio.h>

typedef Penstock__Admin__V1__PublishApisRequest publish_request;
typedef Penstock__Admin__V1__PublishApisResponse publish_reply;
typedef Penstock__Admin__V1__UnpublishApisRequest unpublish_request;
typedef Penstock__Admin__V1__UnpublishApisResponse unpublish_reply;

/* What both requests ask for, and what both answers say. */
struct bulk {
    char **names;
    size_t count;
    const char *parent;
    struct cp_publish what;
    gw_msec wait_ms;

    cp_api_outcome **outcomes;
    size_t outcome_count;
    int32_t succeeded, failed;
    int64_t revision; /* of the last write */
    cp_rollout *rollout;
};

/* ---- which APIs */

static int check_names(const struct bulk *bulk, struct gw_error *err)
{
    struct gw_map seen;
    gw_map_init(&seen);
    for (size_t i = 0; i < bulk->count; i++) {
        char field[32];
        gw_str name = gw_str_from(bulk->names[i]);
        struct gw_error bad = GW_ERROR_NONE;
        (void)snprintf(field, sizeof field, "names[%zu]", i);
        if (cp_name_check(CP_KIND_API, name.ptr, field, &bad) < 0)
            (void)gw_fail_field(err, field, "%s", bad.violations[0].rule);
        else if (gw_map_get(&seen, name))
            (void)gw_fail_field(err, field, "%s is there twice", name.ptr);
        else
            gw_map_put(&seen, name, bulk->names[i]);
    }
    gw_map_done(&seen);
    return err->violation_count > 0 ? -1 : 0;
}

/* By name, as the store lists them. */
static int list_group(const struct cp_call *call, struct bulk *bulk, struct gw_error *err)
{
    struct cp_stored group;
    struct cp_page page;
    struct cp_range range = {
        .prefix = cp_key_children(call->arena, CP_KIND_API, gw_str_from(bulk->parent)),
        .limit = CP_BULK_MAX,
        .keys_only = true,
    };
    if (cp_name_check(CP_KIND_GROUP, bulk->parent, "parent", err) < 0 ||
        cp_get(call, CP_KIND_GROUP, bulk->parent, &group, err) < 0 ||
        cp_store_list(call->services->store, &range, call->arena, &page, err) < 0)
        return -1;
    if (page.more)
        return gw_fail_field(err, "parent", "has more than %d APIs: name them in several calls",
                             CP_BULK_MAX);
    bulk->names = GW_ARENA_ARRAY(call->arena, char *, page.count + 1);
    for (size_t i = 0; i < page.count; i++) {
        gw_str name;
        if (cp_key_parse(call->arena, page.kvs[i].key, &name))
            bulk->names[bulk->count++] = (char *)(uintptr_t)gw_arena_dup(call->arena, name).ptr;
    }
    return 0;
}

static int find_apis(const struct cp_call *call, struct bulk *bulk, struct gw_error *err)
{
    if (*bulk->parent && bulk->count > 0)
        return gw_fail_field(err, "parent", "not together with names");
    if (*bulk->parent)
        return list_group(call, bulk, err);
    if (bulk->count == 0)
        return gw_fail_field(err, "names", "required, or parent");
    if (bulk->count > CP_BULK_MAX)
        return gw_fail_field(err, "names", "must be at most %d", CP_BULK_MAX);
    return check_names(bulk, err);
}

static int read_request(const struct cp_call *call, struct bulk *bulk, const char *environment,
                        const cp_duration *wait, struct gw_error *err)
{
    struct cp_stored stored;
    bulk->what.environment = *environment ? environment : CP_ENVIRONMENT_DEFAULT;
    if (cp_name_check(CP_KIND_ENVIRONMENT, bulk->what.environment, "environment", err) < 0 ||
        cp_read_wait(wait, &bulk->wait_ms, err) < 0 ||
        cp_check_description(bulk->what.description, err) < 0 || find_apis(call, bulk, err) < 0)
        return -1;
    return cp_get(call, CP_KIND_ENVIRONMENT, bulk->what.environment, &stored, err);
}

/* ---- one after the other */

static cp_api_outcome *add_outcome(const struct cp_call *call, struct bulk *bulk, char *name)
{
    cp_api_outcome *outcome = (cp_api_outcome *)gw_message_new(call->arena, CP_TYPE(api_outcome));
    outcome->name = name;
    bulk->outcomes[bulk->outcome_count++] = outcome;
    return outcome;
}

static void add_failure(const struct cp_call *call, struct bulk *bulk, char *name,
                        const struct gw_error *why)
{
    cp_api_failure *failure = (cp_api_failure *)gw_message_new(call->arena, CP_TYPE(api_failure));
    failure->code = gw_arena_strdup(call->arena, gw_code_name(why->code));
    failure->message = gw_arena_strdup(call->arena, why->message);
    failure->reason = gw_arena_strdup(call->arena, why->reason);
    failure->apig_code = gw_arena_strdup(call->arena, why->apig);
    add_outcome(call, bulk, name)->failure = failure;
    bulk->failed++;
}

/* Who names a group means what is published of it. */
static bool is_passed_over(const struct bulk *bulk, const struct gw_error *why)
{
    return *bulk->parent && bulk->what.offline && strcmp(why->reason, CP_NOT_PUBLISHED) == 0;
}

/* The line of the whole call names none of them. */
static void log_one(const struct cp_call *call, const struct bulk *bulk, const char *name,
                    const struct gw_error *err)
{
    gw_log(GW_LOG_INFO, "admin", "write",
           gw_kv_text("method", bulk->what.offline ? "UnpublishApis" : "PublishApis"),
           gw_kv_text("principal", call->principal->name), gw_kv_text("resource", name),
           gw_kv_text("environment", bulk->what.environment),
           gw_kv_bool("validate_only", bulk->what.validate_only), gw_kv_error(err));
}

/* In an arena of its own: definitions of a thousand APIs are not for the answer. */
static void do_one(const struct cp_call *call, struct bulk *bulk, char *name, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct cp_call one = *call;
    cp_release *release;
    int64_t revision;
    one.arena = &arena;
    one.audit = cp_audit_item(call, &arena, name);
    bulk->what.api = name;
    int failed = cp_publish_one(&one, &bulk->what, &release, &revision, err);
    if (failed && is_passed_over(bulk, err))
        return;
    cp_audit_end(&one, failed ? err : NULL);
    log_one(call, bulk, name, err);
    if (failed) {
        add_failure(call, bulk, name, err);
        return;
    }
    bulk->revision = GW_MAX(bulk->revision, revision);
    bulk->succeeded++;
    cp_api_outcome *outcome = add_outcome(call, bulk, name);
    if (release)
        outcome->release = gw_arena_strdup(call->arena, release->name);
}

/* Each of the rest would take the store's timeout, or has nobody who hears of it any longer. */
static bool ends_all(const struct cp_call *call, struct gw_error *err)
{
    if (err->code != GW_UNAVAILABLE && gw_clock_monotonic_ms() < call->deadline_ms)
        return false;
    if (err->code != GW_UNAVAILABLE)
        (void)gw_fail(err, GW_DEADLINE_EXCEEDED, "not tried: the call's deadline has passed");
    return true;
}

static int do_all(const struct cp_call *call, struct bulk *bulk, struct gw_error *err)
{
    bool has_ended = false;
    struct gw_error why = GW_ERROR_NONE;
    bulk->outcomes = GW_ARENA_ARRAY(call->arena, cp_api_outcome *, bulk->count + 1);
    for (size_t i = 0; i < bulk->count; i++) {
        if (has_ended) {
            add_failure(call, bulk, bulk->names[i], &why);
            continue;
        }
        why = GW_ERROR_NONE;
        do_one(call, bulk, bulk->names[i], &why);
        has_ended = ends_all(call, &why);
    }
    if (has_ended && bulk->succeeded == 0 && why.code == GW_UNAVAILABLE) {
        *err = why;
        return -1;
    }
    return 0;
}

/* ---- the wait */

static void add_refusals(const struct cp_call *call, cp_rollout *rollout, gw_str route)
{
    cp_refusal **more;
    size_t count = cp_registry_refusals(call->services->registry, call->arena, route, &more);
    if (count == 0)
        return;
    cp_refusal **all = GW_ARENA_ARRAY(call->arena, cp_refusal *, rollout->n_refusals + count);
    if (rollout->n_refusals > 0)
        memcpy(all, rollout->refusals, rollout->n_refusals * sizeof *all);
    memcpy(all + rollout->n_refusals, more, count * sizeof *all);
    rollout->refusals = all;
    rollout->n_refusals += count;
}

/* Revisions only grow: who has applied the last one has applied all of them. */
static void wait_for_all(const struct cp_call *call, struct bulk *bulk)
{
    if (bulk->what.validate_only)
        return;
    cp_rollout *rollout = NULL;
    for (size_t i = 0; i < bulk->outcome_count; i++) {
        const cp_api_outcome *outcome = bulk->outcomes[i];
        gw_str route = cp_route_name(call->arena, outcome->name, bulk->what.environment);
        if (outcome->failure)
            continue;
        if (rollout)
            add_refusals(call, rollout, route);
        else if (!(rollout = cp_wait_for_agents(call, route, bulk->revision, bulk->wait_ms)))
            return;
    }
    bulk->rollout = rollout;
}

static int run(const struct cp_call *call, struct bulk *bulk, const char *environment,
               const cp_duration *wait, struct gw_error *err)
{
    if (read_request(call, bulk, environment, wait, err) < 0 || do_all(call, bulk, err) < 0)
        return -1;
    wait_for_all(call, bulk);
    return 0;
}

/* ---- the two methods */

int cp_publish_apis(const struct cp_call *call, const ProtobufCMessage *request,
                    ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const publish_request *asked = (const publish_request *)request;
    struct bulk bulk = {
        .names = asked->names,
        .count = asked->n_names,
        .parent = asked->parent,
        .what = {.description = asked->description, .validate_only = asked->validate_only},
    };
    if (run(call, &bulk, asked->environment, asked->wait, err) < 0)
        return -1;
    publish_reply *reply =
        (publish_reply *)gw_message_new(call->arena, CP_TYPE(publish_apis_response));
    reply->outcomes = bulk.outcomes;
    reply->n_outcomes = bulk.outcome_count;
    reply->succeeded = bulk.succeeded;
    reply->failed = bulk.failed;
    reply->rollout = bulk.rollout;
    *ret_reply = &reply->base;
    return 0;
}

int cp_unpublish_apis(const struct cp_call *call, const ProtobufCMessage *request,
                      ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const unpublish_request *asked = (const unpublish_request *)request;
    struct bulk bulk = {
        .names = asked->names,
        .count = asked->n_names,
        .parent = asked->parent,
        .what = {.description = "", .offline = true, .validate_only = asked->validate_only},
    };
    if (run(call, &bulk, asked->environment, asked->wait, err) < 0)
        return -1;
    unpublish_reply *reply =
        (unpublish_reply *)gw_message_new(call->arena, CP_TYPE(unpublish_apis_response));
    reply->outcomes = bulk.outcomes;
    reply->n_outcomes = bulk.outcome_count;
    reply->succeeded = bulk.succeeded;
    reply->failed = bulk.failed;
    reply->rollout = bulk.rollout;
    *ret_reply = &reply->base;
    return 0;
}
