/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * A catalog, and updates in the making: resources, removals, and what a snapshot serves then. */
#ifndef DP_SNAPSHOT_TEST_UPDATES_H
#define DP_SNAPSHOT_TEST_UPDATES_H

#include "common/message.h"
#include "dataplane/limiter.h"
#include "dataplane/observe/route_stats.h"
#include "dataplane/snapshot/compile.h"
#include "dataplane/snapshot/test_endpoints.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef Penstock__Agent__V1__Resource resource;
typedef Penstock__Agent__V1__ResourceKey resource_key;
#define KIND(name) PENSTOCK__AGENT__V1__KIND__KIND_##name
#define RESOURCE(name) PENSTOCK__AGENT__V1__RESOURCE__KIND_##name

/* A catalog, and the update in the making. */
struct fixture {
    struct dp_compile_env env;
    struct dp_catalog *catalog;
    struct gw_arena arena;
    resource *upserts[32];
    resource_key *removals[32];
    size_t upsert_count, removal_count;
    struct dp_snapshot *snapshot; /* of the last apply */
    struct dp_refusals refusals;
    struct gw_error err;
};

static inline void *message(struct fixture *f, const ProtobufCMessageDescriptor *type)
{
    return gw_message_new(&f->arena, type);
}
#define MESSAGE(f, name) message((f), &penstock__agent__v1__##name##__descriptor)

static inline char *text(struct fixture *f, const char *s)
{
    return gw_arena_strdup(&f->arena, s);
}

static inline resource *upsert(struct fixture *f)
{
    return f->upserts[f->upsert_count++] = MESSAGE(f, resource);
}

static inline Penstock__Agent__V1__Group *group(struct fixture *f, const char *name,
                                                const char *host)
{
    resource *r = upsert(f);
    r->kind_case = RESOURCE(GROUP);
    r->group = MESSAGE(f, group);
    r->group->name = text(f, name);
    r->group->n_domains = 1;
    r->group->domains = GW_ARENA_ARRAY(&f->arena, char *, 1);
    r->group->domains[0] = text(f, host);
    return r->group;
}

/* A mock of the group "groups/g". */
static inline Penstock__Agent__V1__Route *route(struct fixture *f, const char *api,
                                                const char *path)
{
    resource *r = upsert(f);
    r->kind_case = RESOURCE(ROUTE);
    Penstock__Agent__V1__Route *route = r->route = MESSAGE(f, route);
    route->group = text(f, "groups/g");
    route->environment = text(f, "RELEASE");
    route->api = (char *)(uintptr_t)gw_arena_printf(&f->arena, "groups/g/apis/%s", api).ptr;
    route->name = (char *)(uintptr_t)gw_arena_printf(&f->arena, "%s@RELEASE", route->api).ptr;
    route->api_name = text(f, api);
    route->method = text(f, "GET");
    route->path = text(f, path);
    route->http = true;
    route->backend = MESSAGE(f, backend);
    route->backend->kind_case = PENSTOCK__AGENT__V1__BACKEND__KIND_MOCK;
    route->backend->mock = MESSAGE(f, mock_backend);
    route->backend->mock->status = 200;
    return route;
}

static inline Penstock__Agent__V1__App *app(struct fixture *f, const char *name, uint8_t code,
                                            const char *may_call)
{
    resource *r = upsert(f);
    r->kind_case = RESOURCE(APP);
    r->app = MESSAGE(f, app);
    r->app->name = text(f, name);
    r->app->n_app_code_digests = 1;
    r->app->app_code_digests = GW_ARENA_ARRAY(&f->arena, ProtobufCBinaryData, 1);
    r->app->app_code_digests[0].len = DP_APP_CODE_DIGEST_BYTES;
    r->app->app_code_digests[0].data = gw_arena_zalloc(&f->arena, DP_APP_CODE_DIGEST_BYTES);
    r->app->app_code_digests[0].data[0] = code;
    r->app->n_routes = 1;
    r->app->routes = GW_ARENA_ARRAY(&f->arena, char *, 1);
    r->app->routes[0] = text(f, may_call);
    return r->app;
}

static inline void remove_one(struct fixture *f, Penstock__Agent__V1__Kind kind, const char *name)
{
    resource_key *key = f->removals[f->removal_count++] = MESSAGE(f, resource_key);
    key->kind = kind;
    key->name = text(f, name);
}

static inline int apply_on(struct fixture *f, int64_t base)
{
    struct dp_update update = {
        .cluster_id = GW_STR("c1"),
        .revision = dp_catalog_revision(f->catalog) + 1,
        .base_revision = base,
        .upserts = f->upserts,
        .upsert_count = f->upsert_count,
        .removals = f->removals,
        .removal_count = f->removal_count,
    };
    struct dp_snapshot *snapshot = NULL;
    f->err = GW_ERROR_NONE;
    f->upsert_count = f->removal_count = 0;
    int result = dp_catalog_apply(f->catalog, &update, &snapshot, &f->refusals, &f->err);
    if (result == 0) {
        dp_snapshot_unref(f->snapshot);
        f->snapshot = snapshot;
    }
    gw_arena_reset(&f->arena);
    return result;
}

static inline void apply(struct fixture *f)
{
    if (apply_on(f, dp_catalog_revision(f->catalog)) < 0)
        fail_msg("%s", f->err.message);
}

struct wanted {
    gw_str api_id;
    const struct dp_route *found;
};

static inline void find_wanted(void *arg, const struct dp_route *route)
{
    struct wanted *wanted = arg;
    if (gw_str_eq(route->api_id, wanted->api_id))
        wanted->found = route;
}

static inline const struct dp_route *served(struct fixture *f, const char *name)
{
    struct wanted wanted = {gw_str_from(name), NULL};
    dp_snapshot_each_route(f->snapshot, find_wanted, &wanted);
    return wanted.found;
}

static inline int set_up(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof *f);
    f->env = (struct dp_compile_env){dp_limiter_new(64), dp_endpoints_new(1),
                                     dp_route_stats_table_new(1)};
    f->catalog = dp_catalog_new(&f->env);
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    dp_catalog_free(f->catalog);
    dp_snapshot_unref(f->snapshot);
    dp_route_stats_table_free(f->env.stats);
    dp_limiter_free(f->env.limiter);
    gw_arena_done(&f->arena);
    free(f);
    return test_endpoints_alive; /* all went with what they belonged to */
}

/* For dp_catalog_each: what is kept becomes the next update of another fixture. */
static inline bool keep_resource(void *arg, gw_str packed)
{
    struct fixture *copy = arg;
    ProtobufCMessage *message;
    assert_int_equal(gw_message_unpack(&copy->arena, &penstock__agent__v1__resource__descriptor,
                                       packed, &message, &copy->err),
                     0);
    copy->upserts[copy->upsert_count++] = (resource *)message;
    return true;
}

#endif
