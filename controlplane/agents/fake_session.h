/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions without a stream: tests of the registry define what it calls of one, and drive it. */
#ifndef CP_AGENTS_FAKE_SESSION_H
#define CP_AGENTS_FAKE_SESSION_H

#include "controlplane/agents/session.h"
#include "controlplane/agents/test_agents.h"

#include <stdatomic.h>

struct cp_session {
    struct cp_agent_link link;
    atomic_int refs; /* of the registry, beyond the test's own */
    atomic_int wakes;
    atomic_int readmitted;
    atomic_int ended; /* enum gw_code of cp_session_end; 0: not called */
};

struct cp_session *cp_session_ref(struct cp_session *session)
{
    atomic_fetch_add(&session->refs, 1);
    return session;
}

void cp_session_unref(struct cp_session *session)
{
    assert_true(atomic_fetch_sub(&session->refs, 1) > 0);
}

void cp_session_wake(struct cp_session *session)
{
    atomic_fetch_add(&session->wakes, 1);
}

void cp_session_readmit(struct cp_session *session)
{
    atomic_fetch_add(&session->readmitted, 1);
}

void cp_session_end(struct cp_session *session, const struct gw_error *why)
{
    atomic_store(&session->ended, (int)why->code);
}

/* How a test wants them judged; CP_DROP_COUNT: not slow. */
static enum cp_drop fake_slow = CP_DROP_COUNT;

bool cp_session_is_slow(struct cp_session *session, gw_msec now_ms, enum cp_drop *ret_drop,
                        struct gw_error *ret_why)
{
    (void)session;
    assert_true(now_ms > 0);
    *ret_drop = fake_slow;
    (void)gw_fail(ret_why, GW_ABORTED, "too slow");
    return fake_slow != CP_DROP_COUNT;
}

void cp_session_drop(struct cp_session *session, const struct gw_error *why)
{
    cp_session_end(session, why);
}

/* What a test makes of a message that goes out, on the thread that sends it; NULL: nothing. */
static void (*fake_sent)(struct cp_session *, gw_str packed);

void cp_session_unsend(struct cp_session *session, uint64_t id)
{
    (void)session;
    (void)id;
}

void cp_session_send(struct cp_session *session, uint64_t id, gw_str packed)
{
    (void)id;
    if (fake_sent)
        fake_sent(session, packed);
}

static inline void fake_open(struct cp_registry *registry, struct cp_session *session)
{
    struct gw_error err = GW_ERROR_NONE;
    memset(session, 0, sizeof(*session));
    session->link = (struct cp_agent_link){.session = session, .kinds = UINT32_MAX}; /* all */
    if (cp_registry_open(registry, &session->link, &err))
        fail_msg("%s", err.message);
}

/* Opens, and says Hello with what it has of CLUSTER_TEXT. */
static inline void fake_connect(struct cp_registry *registry, struct cp_session *session,
                                const char *id, int64_t revision)
{
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    fake_open(registry, session);
    cp_registry_greet(registry, &session->link, new_hello(&arena, id, CLUSTER_TEXT, revision),
                      &(struct cp_agent_identity){.name = "local", .scope = GW_STR("")},
                      "ipv4:192.0.2.1:4000");
    gw_arena_done(&arena);
}

/* refused: the name of a resource, or NULL. */
static inline void fake_ack(struct cp_registry *registry, struct cp_session *session,
                            int64_t revision, const char *refused)
{
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    cp_ack *ack = new_ack(&arena, CLUSTER_TEXT, revision);
    if (refused)
        add_refusal(&arena, ack, refused, "cannot be compiled", revision);
    assert_true(cp_registry_ack(registry, &session->link, ack, 3));
    gw_arena_done(&arena);
}

static inline void fake_close(struct cp_registry *registry, struct cp_session *session)
{
    cp_registry_close(registry, &session->link);
    assert_int_equal(atomic_load(&session->refs), 0);
}

#endif
