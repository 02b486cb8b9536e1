/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * Sessions over a real server on loopback, and agents made by hand. */
#ifndef CP_AGENTS_TEST_PLANE_H
#define CP_AGENTS_TEST_PLANE_H

#include "common/rpc/fixture.h"
#include "controlplane/agents/session.h"
#include "controlplane/agents/test_agents.h"

#define PATH "/penstock.agent.v1.AgentService/Stream"
#define TOMBSTONES 2
#define AGENTS_MAX 3

static struct {
    struct cp_image *image;
    struct cp_registry *registry;
    struct cp_sessions sessions;
    struct gw_rpc_method method;
    struct fixture fixture;
    bool nobody_is_admitted;
    const char *scope; /* of all agents; NULL: everything */
} plane;

static inline int admit(void *arg, const struct gw_rpc_caller *caller, const char *agent_id,
                        struct gw_arena *arena, struct cp_agent_identity *ret, struct gw_error *err)
{
    (void)arena;
    assert_ptr_equal(arg, &plane);
    assert_true(caller->is_loopback);
    if (plane.nobody_is_admitted)
        return gw_fail(err, GW_PERMISSION_DENIED, "not an agent");
    if (agent_id && strcmp(agent_id, "impostor") == 0)
        return gw_fail(err, GW_PERMISSION_DENIED, "not of that id");
    ret->name = "tested";
    ret->scope = gw_str_from(plane.scope);
    return 0;
}

/* An image that has been read from the store and holds nothing, at revision 100. */
static inline int start_plane(void **state)
{
    (void)state;
    memset(&plane, 0, sizeof(plane));
    plane.image = cp_image_new(TOMBSTONES);
    plane.registry = cp_registry_new(plane.image, AGENTS_MAX);
    plane.sessions = (struct cp_sessions){plane.registry, plane.image, admit, &plane};
    plane.method = cp_session_method(&plane.sessions);
    fixture_start(&plane.fixture, (struct gw_rpc_server_options){0}, &plane.method, 1);
    image_commit(plane.image, 100, NULL, 0, true);
    return 0;
}

static inline int stop_plane(void **state)
{
    (void)state;
    cp_registry_stop(plane.registry);
    fixture_stop(&plane.fixture);
    cp_registry_free(plane.registry);
    cp_image_free(plane.image);
    return 0;
}

static inline struct cp_registry_stats stats(void)
{
    struct cp_registry_stats now;
    cp_registry_stats(plane.registry, &now);
    return now;
}

/* The registry's view of an agent; lives until the next look. */
static inline const cp_agent *look(const char *name)
{
    gw_arena_reset(&plane.fixture.arena);
    return cp_registry_get(plane.registry, &plane.fixture.arena, gw_str_from(name));
}

static inline int64_t applied(const char *name)
{
    const cp_agent *agent = look(name);
    return agent ? agent->applied_revision : -1;
}

/* ---- agents */

struct agent {
    struct gw_rpc_reader *reader;
    struct gw_arena arena;
};

static inline void open_agent(struct agent *agent)
{
    struct gw_error err = GW_ERROR_NONE;
    gw_arena_init(&agent->arena, 0);
    if (gw_rpc_client_stream(plane.fixture.client, PATH, NULL,
                             &penstock__agent__v1__control_message__descriptor, &agent->reader,
                             &err))
        fail_msg("%s", err.message);
}

static inline void close_agent(struct agent *agent)
{
    gw_rpc_reader_close(agent->reader);
    gw_arena_done(&agent->arena);
}

/* A stream that has ended does not take it, which the reader then tells. */
static inline void send(struct agent *agent, const cp_agent_message *message)
{
    struct gw_error err = GW_ERROR_NONE;
    (void)!gw_rpc_reader_send(agent->reader, &message->base, PATIENCE_MS, &err);
}

static inline void say_hello(struct agent *agent, cp_hello *hello)
{
    cp_agent_message message = PENSTOCK__AGENT__V1__AGENT_MESSAGE__INIT;
    message.kind_case = PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_HELLO;
    message.hello = hello;
    send(agent, &message);
}

static inline void say_ack(struct agent *agent, cp_ack *ack)
{
    cp_agent_message message = PENSTOCK__AGENT__V1__AGENT_MESSAGE__INIT;
    message.kind_case = PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_ACK;
    message.ack = ack;
    send(agent, &message);
}

static inline void acknowledge(struct agent *agent, int64_t revision)
{
    say_ack(agent, new_ack(&agent->arena, CLUSTER_TEXT, revision));
}

static inline void connect_agent(struct agent *agent, const char *id, const char *cluster_id,
                                 int64_t revision)
{
    open_agent(agent);
    say_hello(agent, new_hello(&agent->arena, id, cluster_id, revision));
}

static inline gw_str describe(struct gw_arena *arena, gw_str text, const cp_update *update)
{
    for (size_t i = 0; i < update->n_upserts; i++) {
        const cp_agent_resource *resource = update->upserts[i];
        if (resource->kind_case == CP_AGENT_RESOURCE(GROUP))
            text = gw_arena_printf(arena, "%.*s +%s=%s", GW_STR_ARG(text), resource->group->name,
                                   resource->group->domains[0]);
        else
            text = gw_arena_printf(arena, "%.*s +%s", GW_STR_ARG(text), resource->app->name);
    }
    for (size_t i = 0; i < update->n_removals; i++)
        text = gw_arena_printf(arena, "%.*s -%s", GW_STR_ARG(text), update->removals[i]->name);
    return text;
}

/* The next whole update: "100>105 +groups/a=x -groups/b". */
static inline void expect(struct agent *agent, const char *expected)
{
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    gw_str text = GW_STR_NONE;
    const cp_update *update = NULL;
    while (!update || !update->final) {
        int got = gw_rpc_reader_next(agent->reader, &agent->arena, PATIENCE_MS, &message, &err);
        if (got <= 0)
            fail_msg("waited for %s: %d %s", expected, got, err.message);
        update = ((cp_control_message *)(void *)message)->update;
        assert_string_equal(update->cluster_id, CLUSTER_TEXT);
        if (!text.ptr)
            text = gw_arena_printf(&agent->arena, "%d>%d", (int)update->base_revision,
                                   (int)update->revision);
        text = describe(&agent->arena, text, update);
    }
    assert_str(text, expected);
}

/* The stream ends so; updates that were under way are skipped. */
static inline void expect_end(struct agent *agent, enum gw_code code, const char *words)
{
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    int got;
    while ((got = gw_rpc_reader_next(agent->reader, &agent->arena, PATIENCE_MS, &message, &err)) >
           0)
        ;
    enum gw_code ended = got == 0 ? GW_OK : err.code;
    if (ended != code || !strstr(err.message, words))
        fail_msg("ended with %s \"%s\", want %s \"%s\"", gw_code_name(ended), err.message,
                 gw_code_name(code), words);
}

#endif
