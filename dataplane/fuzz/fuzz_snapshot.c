/* SPDX-License-Identifier: Apache-2.0 */
/* Any updates, one after another: the catalog takes or refuses each resource alone, what it serves
 * can be matched, and all of it goes when the snapshots go. Input: pieces of two length bytes (big
 * endian; the top bit: a full snapshot) and a packed penstock.agent.v1.Update. */
#include "common/message.h"
#include "dataplane/limiter.h"
#include "dataplane/observe/route_stats.h"
#include "dataplane/snapshot/compile.h"
#include "dataplane/snapshot/test_endpoints.h"

#define UPDATES_MAX 16

typedef Penstock__Agent__V1__Update update_message;

static struct dp_compile_env env;

static void expect(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static bool count_resource(void *arg, gw_str packed)
{
    struct gw_arena arena = {0};
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    ++*(size_t *)arg;
    expect(gw_message_unpack(&arena, &penstock__agent__v1__resource__descriptor, packed, &message,
                             &err) == 0,
           "what is kept can be read again");
    gw_arena_done(&arena);
    return true;
}

struct looked {
    const struct dp_snapshot *snapshot;
    size_t count;
};

/* Every route that is served is found by the tree of its group and environment, when its pattern
 * has no parameter: then the pattern is the path. */
static void look_up(void *arg, const struct dp_route *route)
{
    struct looked *looked = arg;
    struct dp_route_match match;
    looked->count++;
    expect(route->name.len > 0 && route->group.len > 0, "a route has a name");
    expect(route->backend.kind == DP_BACKEND_MOCK || route->backend.channel, "and a backend");
    const struct dp_host *host;
    const struct dp_router_group *group =
        dp_snapshot_find_group(looked->snapshot, GW_STR("a.example.com"), &host);
    const struct dp_route_tree *tree =
        group ? dp_router_group_tree(group, route->environment) : NULL;
    if (tree)
        (void)dp_route_tree_match(tree, DP_METHOD_GET, route->path, &match);
}

static void apply(struct dp_catalog *catalog, const update_message *message, bool is_full,
                  int64_t revision)
{
    struct dp_update update = {
        .cluster_id = GW_STR("c"),
        .revision = revision,
        .base_revision = is_full ? 0 : dp_catalog_revision(catalog),
        .upserts = message->upserts,
        .upsert_count = message->n_upserts,
        .removals = message->removals,
        .removal_count = message->n_removals,
    };
    struct gw_error err = GW_ERROR_NONE;
    struct dp_snapshot *snapshot = NULL;
    struct dp_refusals refusals;
    if (dp_catalog_apply(catalog, &update, &snapshot, &refusals, &err) < 0)
        return;
    expect(dp_catalog_revision(catalog) == revision, "the catalog stands where the update says");
    for (size_t i = 0; i < refusals.count; i++)
        expect(refusals.items[i].reason[0] != '\0', "a refusal has a reason");
    size_t kept = 0;
    dp_catalog_each(catalog, count_resource, &kept);
    expect(kept >= dp_snapshot_route_count(snapshot), "what is served is kept");
    struct looked looked = {snapshot, 0};
    dp_snapshot_each_route(snapshot, look_up, &looked);
    expect(looked.count == dp_snapshot_route_count(snapshot), "all routes are there");
    dp_snapshot_unref(snapshot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!env.limiter)
        env = (struct dp_compile_env){dp_limiter_new(64), dp_endpoints_new(1),
                                      dp_route_stats_table_new(1)};
    struct dp_catalog *catalog = dp_catalog_new(&env);
    for (int64_t revision = 1; size >= 2 && revision <= UPDATES_MAX; revision++) {
        bool is_full = data[0] & 0x80;
        size_t len = GW_MIN((size_t)(data[0] & 0x7f) << 8 | data[1], size - 2);
        struct gw_arena arena = {0};
        struct gw_error err = GW_ERROR_NONE;
        ProtobufCMessage *message;
        gw_str bytes = gw_str_n((const char *)data + 2, len);
        if (gw_message_unpack(&arena, &penstock__agent__v1__update__descriptor, bytes, &message,
                              &err) == 0)
            apply(catalog, (const update_message *)message, is_full, revision);
        gw_arena_done(&arena);
        data += 2 + len;
        size -= 2 + len;
    }
    dp_catalog_free(catalog);
    expect(test_endpoints_alive == 0, "no endpoint outlives its resources");
    return 0;
}
