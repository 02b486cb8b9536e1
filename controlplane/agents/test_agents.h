/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * What the tests of this folder share: an image filled by hand, and messages as agents send them.
 */
#ifndef CP_AGENTS_TEST_AGENTS_H
#define CP_AGENTS_TEST_AGENTS_H

#include "common/message.h"
#include "common/test.h"
#include "controlplane/agents/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CLUSTER 0xabcdULL
#define CLUSTER_TEXT "000000000000abcd"
#define PATIENCE_MS 20000 /* with what is expected to happen */

/* Waits until the condition holds; it is evaluated again and again. */
#define until(condition)                                                                           \
    do {                                                                                           \
        gw_msec until_ms = gw_clock_monotonic_ms() + PATIENCE_MS;                                  \
        while (!(condition)) {                                                                     \
            if (gw_clock_monotonic_ms() > until_ms)                                                \
                fail_msg("waited for %s", #condition);                                             \
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);                               \
        }                                                                                          \
    } while (0)

/* ---- the image */

static inline void image_commit(struct cp_image *image, int64_t revision,
                                const struct cp_edit *edits, size_t count, bool is_complete)
{
    struct cp_image_change change = {CLUSTER, revision, edits, count, is_complete};
    cp_image_commit(image, &change);
}

/* A group of that name with one domain, by which its forms are told apart. */
static inline void image_put_group(struct cp_image *image, int64_t revision, const char *name,
                                   const char *domain)
{
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    char *domains[] = {(char *)domain};
    cp_agent_group group = PENSTOCK__AGENT__V1__GROUP__INIT;
    group.name = (char *)name;
    group.n_domains = 1;
    group.domains = domains;
    cp_agent_resource resource = PENSTOCK__AGENT__V1__RESOURCE__INIT;
    resource.kind_case = CP_AGENT_RESOURCE(GROUP);
    resource.group = &group;
    struct cp_edit edit = {gw_str_from(name), gw_message_pack(&arena, &resource.base), NULL};
    image_commit(image, revision, &edit, 1, false);
    gw_arena_done(&arena);
}

static inline void image_put_app(struct cp_image *image, int64_t revision, const char *name)
{
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    cp_agent_app app = PENSTOCK__AGENT__V1__APP__INIT;
    app.name = (char *)name;
    cp_agent_resource resource = PENSTOCK__AGENT__V1__RESOURCE__INIT;
    resource.kind_case = CP_AGENT_RESOURCE(APP);
    resource.app = &app;
    struct cp_edit edit = {gw_str_from(name), gw_message_pack(&arena, &resource.base), NULL};
    image_commit(image, revision, &edit, 1, false);
    gw_arena_done(&arena);
}

static inline void image_remove(struct cp_image *image, int64_t revision, const char *name)
{
    struct cp_edit edit = {gw_str_from(name), GW_STR_NONE, NULL};
    image_commit(image, revision, &edit, 1, false);
}

static inline void image_refuse(struct cp_image *image, int64_t revision, const char *name,
                                const char *reason)
{
    struct cp_edit edit = {gw_str_from(name), GW_STR_NONE, reason};
    image_commit(image, revision, &edit, 1, false);
}

/* ---- what agents say; all in the arena */

static inline cp_hello *new_hello(struct gw_arena *arena, const char *id, const char *cluster_id,
                                  int64_t revision)
{
    static char group[] = "group", app[] = "app", later[] = "certificate";
    static char *kinds[] = {group, app, later}; /* the last one only newer control planes know */
    cp_hello *hello =
        (cp_hello *)(void *)gw_message_new(arena, &penstock__agent__v1__hello__descriptor);
    hello->agent_id = gw_arena_strdup(arena, id);
    hello->version = gw_arena_strdup(arena, "1.2.3");
    hello->cluster_id = gw_arena_strdup(arena, cluster_id);
    hello->revision = revision;
    hello->n_kinds = GW_ARRAY_LEN(kinds);
    hello->kinds = kinds;
    hello->takes_debug_calls = strcmp(id, "old") != 0;
    return hello;
}

static inline cp_ack *new_ack(struct gw_arena *arena, const char *cluster_id, int64_t revision)
{
    cp_ack *ack = (cp_ack *)(void *)gw_message_new(arena, &penstock__agent__v1__ack__descriptor);
    ack->cluster_id = gw_arena_strdup(arena, cluster_id);
    ack->revision = revision;
    ack->refusals = GW_ARENA_ARRAY(arena, cp_agent_refusal *, 256);
    return ack;
}

static inline void add_refusal(struct gw_arena *arena, cp_ack *ack, const char *name,
                               const char *reason, int64_t revision)
{
    assert_true(ack->n_refusals < 256);
    cp_agent_refusal *refusal = (cp_agent_refusal *)(void *)gw_message_new(
        arena, &penstock__agent__v1__refusal__descriptor);
    refusal->resource = (cp_agent_key *)(void *)gw_message_new(
        arena, &penstock__agent__v1__resource_key__descriptor);
    refusal->resource->kind = CP_AGENT_KIND(GROUP);
    refusal->resource->name = gw_arena_strdup(arena, name);
    refusal->reason = gw_arena_strdup(arena, reason);
    refusal->revision = revision;
    ack->refusals[ack->n_refusals++] = refusal;
}

#endif
