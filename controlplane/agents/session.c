/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/agents/session.h"

#include "common/log.h"
#include "controlplane/agents/hello.h"
#include "controlplane/agents/session_internal.h"
#include "controlplane/snapshot/scope.h"

#include <stdlib.h>

#define COMPONENT "agents"
#define APPLY_US_MAX ((int64_t)3600 * 1000000) /* an agent that says more is not believed */

struct cp_session *cp_session_ref(struct cp_session *session)
{
    atomic_fetch_add_explicit(&session->refs, 1, memory_order_relaxed);
    return session;
}

void cp_session_unref(struct cp_session *session)
{
    if (atomic_fetch_sub_explicit(&session->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (struct cp_queued *message; (message = cp_session_take_queued(session));)
        cp_queued_free(message);
    cp_delta_unref(session->delta);
    cp_scope_leave(session->sessions->image, session->image);
    gw_rpc_stream_unref(session->stream);
    free(session->agent_id);
    free(session->scope);
    pthread_mutex_destroy(&session->lock);
    free(session);
}

void cp_session_end(struct cp_session *session, const struct gw_error *why)
{
    pthread_mutex_lock(&session->lock);
    bool first = !session->is_ended;
    session->is_ended = true;
    pthread_mutex_unlock(&session->lock);
    if (first)
        gw_rpc_stream_finish(session->stream, why);
}

void cp_session_drop(struct cp_session *session, const struct gw_error *why)
{
    pthread_mutex_lock(&session->lock);
    session->is_ended = true;
    pthread_mutex_unlock(&session->lock);
    gw_rpc_stream_abort(session->stream, why);
}

/* ---- what the agent says ---- */

/* The agent's certificate decides who it may say that it is, and what it gets. */
static int admit(struct cp_session *session, const char *agent_id, struct gw_arena *arena,
                 struct cp_agent_identity *ret_identity, struct gw_error *err)
{
    struct cp_sessions *sessions = session->sessions;
    *ret_identity = (struct cp_agent_identity){.name = "", .scope = GW_STR("")};
    return sessions->admit(sessions->admit_arg, gw_rpc_stream_caller(session->stream), agent_id,
                           arena, ret_identity, err);
}

static struct cp_image *join(struct cp_session *session, gw_str scope, struct gw_error *err)
{
    struct cp_image *image = cp_scope_join(session->sessions->image, scope);
    if (!image)
        (void)gw_fail(err, GW_RESOURCE_EXHAUSTED,
                      "agents of %d different scopes are connected, the most allowed here",
                      CP_SCOPES_MAX);
    return image;
}

/* Who the agent says that it is is checked against its certificate. */
static int enter(struct cp_session *session, const cp_hello *hello, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct cp_agent_identity identity;
    if (admit(session, hello->agent_id, &arena, &identity, err))
        return -1;
    session->image = session->link.image = join(session, identity.scope, err);
    if (!session->image)
        return -1;
    session->agent_id = gw_strdup(hello->agent_id);
    session->scope = gw_strdup(gw_arena_dup(&arena, identity.scope).ptr);
    cp_registry_greet(session->sessions->registry, &session->link, hello, &identity,
                      gw_rpc_stream_caller(session->stream)->peer);
    return 0;
}

static int on_hello(struct cp_session *session, const cp_hello *hello, struct gw_error *err)
{
    unsigned kinds;
    if (session->is_greeted)
        return gw_fail(err, GW_INVALID_ARGUMENT, "a second Hello");
    if (cp_hello_check(hello, &kinds, err) || enter(session, hello, err))
        return -1;
    const char *peer = gw_rpc_stream_caller(session->stream)->peer;
    session->link.kinds = kinds;
    pthread_mutex_lock(&session->lock);
    session->is_greeted = true;
    session->kinds = kinds;
    memcpy(session->cluster_id, hello->cluster_id, strlen(hello->cluster_id) + 1);
    session->revision = session->hello_revision = hello->revision;
    session->has_digest = cp_hello_digest(hello, &session->digest);
    session->hello_ms = gw_clock_monotonic_ms();
    pthread_mutex_unlock(&session->lock);
    gw_log(GW_LOG_INFO, COMPONENT, "agent connected", gw_kv_text("agent", hello->agent_id),
           gw_kv_text("peer", peer), gw_kv_text("version", hello->version),
           gw_kv_text("scope", session->scope), gw_kv_text("cluster_id", hello->cluster_id),
           gw_kv_int("revision", hello->revision));
    cp_session_wake(session);
    return 0;
}

/* The scope has changed: between two updates the other image takes over, whose cluster id says that
 * what the agent has is not a part of it. */
static void rescope(struct cp_session *session, const struct cp_agent_identity *identity,
                    struct cp_image *image)
{
    char *scope = gw_calloc(1, identity->scope.len + 1);
    memcpy(scope, identity->scope.ptr, identity->scope.len);
    cp_registry_rescope(session->sessions->registry, &session->link, identity, image);
    pthread_mutex_lock(&session->lock);
    struct cp_image *before = session->image;
    char *scope_before = session->scope;
    session->image = image;
    session->scope = scope;
    pthread_mutex_unlock(&session->lock);
    cp_scope_leave(session->sessions->image, before);
    free(scope_before);
    gw_log(GW_LOG_INFO, COMPONENT, "the agent's scope has changed",
           gw_kv_text("agent", session->agent_id), gw_kv_str("scope", identity->scope));
    cp_session_wake(session);
}

void cp_session_readmit(struct cp_session *session)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct gw_error err = GW_ERROR_NONE;
    struct cp_agent_identity identity;
    struct cp_image *image = NULL;
    pthread_mutex_lock(&session->lock);
    bool is_greeted = session->is_greeted, is_ended = session->is_ended;
    pthread_mutex_unlock(&session->lock);
    if (is_ended || !is_greeted)
        return;
    if (admit(session, session->agent_id, &arena, &identity, &err) ||
        !(image = join(session, identity.scope, &err))) {
        gw_log(GW_LOG_WARN, COMPONENT, "stream ended: the agent is not admitted any more",
               gw_kv_text("agent", session->agent_id), gw_kv_error(&err));
        cp_session_end(session, &err);
    } else if (image == session->image) {
        cp_scope_leave(session->sessions->image, image);
        cp_registry_rescope(session->sessions->registry, &session->link, &identity, image);
    } else {
        rescope(session, &identity, image);
    }
}

/* Under the lock. Milliseconds from the commit in this replica, or from the Hello when that was
 * later; -1: unknown. */
static gw_msec time_ack(const struct cp_session *session, const cp_ack *ack)
{
    struct cp_steps *steps = cp_image_steps(session->sessions->image);
    gw_nsec now_ns = gw_clock_monotonic_ns();
    for (unsigned i = 0; i < GW_MIN(session->sent_count, CP_UNACKNOWLEDGED_MAX); i++) {
        const struct cp_sent *sent = &session->sent[i];
        if (sent->revision != ack->revision)
            continue;
        cp_steps_observe(steps, CP_STEP_ACKNOWLEDGE, now_ns - sent->sent_ns);
        if (sent->commit_ns)
            cp_steps_observe(steps, CP_STEP_SERVE, now_ns - sent->commit_ns);
        if (ack->apply_us > 0)
            cp_steps_observe(steps, CP_STEP_APPLY, GW_MIN(ack->apply_us, APPLY_US_MAX) * 1000);
        return gw_clock_monotonic_ms() - sent->commit_ms;
    }
    return -1;
}

static int on_ack(struct cp_session *session, const cp_ack *ack, struct gw_error *err)
{
    pthread_mutex_lock(&session->lock);
    bool is_sent = ack->revision >= 0 && ack->revision <= session->revision;
    /* Of another cluster, or of the state before a restored backup: it was under way when this one
     * began, and says nothing any more. */
    bool is_current = strcmp(ack->cluster_id, session->cluster_id) == 0 &&
                      (is_sent || ack->revision != session->hello_revision);
    bool is_forward = ack->revision >= session->acked_revision;
    gw_msec latency_ms = -1;
    if (is_current && is_sent && is_forward) {
        if (ack->revision > session->acked_revision)
            latency_ms = time_ack(session, ack);
        session->acked_revision = ack->revision;
        session->moved_ms = session->acked_ms = gw_clock_monotonic_ms();
    }
    /* Before another thread takes what it will have to acknowledge. */
    if (session->acked_revision == session->revision)
        gw_rpc_stream_rest(session->stream);
    pthread_mutex_unlock(&session->lock);
    if (!is_current)
        return 0;
    if (!is_sent)
        return gw_fail_field(err, "ack.revision", "was not sent");
    if (!is_forward)
        return gw_fail_field(err, "ack.revision", "is older than the one acknowledged before");
    (void)cp_registry_ack(session->sessions->registry, &session->link, ack, latency_ms);
    cp_session_wake(session); /* what waited for it */
    return 0;
}

static int read_message(struct cp_session *session, const cp_agent_message *message,
                        struct gw_error *err)
{
    if (message->kind_case == PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_HELLO)
        return on_hello(session, message->hello, err);
    if (!session->is_greeted)
        return gw_fail(err, GW_INVALID_ARGUMENT, "the first message is not a Hello");
    switch (message->kind_case) {
    case PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_ACK:
        return on_ack(session, message->ack, err);
    case PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_STATISTICS:
        cp_registry_statistics(session->sessions->registry, &session->link);
        return 0;
    case PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_DEBUG_REPLY:
        cp_registry_debug_reply(session->sessions->registry, &session->link, message->debug_reply);
        return 0;
    default:
        return 0; /* a newer agent says more than this control plane understands */
    }
}

static void on_message(struct gw_rpc_stream *stream, const ProtobufCMessage *message)
{
    struct cp_session *session = gw_rpc_stream_user(stream);
    struct gw_error err = GW_ERROR_NONE;
    pthread_mutex_lock(&session->lock);
    bool is_ended = session->is_ended;
    pthread_mutex_unlock(&session->lock);
    if (is_ended || !read_message(session, (const cp_agent_message *)(const void *)message, &err))
        return;
    static struct gw_log_limit limit;
    unsigned dropped;
    if (gw_log_allow(&limit, 10, &dropped))
        gw_log(GW_LOG_WARN, COMPONENT, "stream ended: the agent broke the protocol",
               gw_kv_text("peer", gw_rpc_stream_caller(stream)->peer), gw_kv_error(&err),
               gw_kv_int("dropped", dropped));
    cp_registry_count_violation(session->sessions->registry, &session->link, &err);
    cp_session_end(session, &err);
}

/* ---- begin and end ---- */

static int on_open(void *context, struct gw_rpc_stream *stream, struct gw_error *err)
{
    struct cp_sessions *sessions = context;
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct cp_agent_identity ignored;
    if (sessions->admit(sessions->admit_arg, gw_rpc_stream_caller(stream), NULL, &arena, &ignored,
                        err))
        return -1;
    struct cp_session *session = gw_calloc(1, sizeof(*session));
    session->refs = 1;
    session->sessions = sessions;
    session->stream = stream;
    session->link.session = session;
    gw_list_init(&session->queue);
    cp_pace_ticket_init(&session->ticket, session);
    gw_rpc_stream_ref(stream);
    pthread_mutex_init(&session->lock, NULL);
    gw_rpc_stream_set_user(stream, session);
    if (cp_registry_open(sessions->registry, &session->link, err)) {
        cp_session_unref(session);
        return -1;
    }
    return 0;
}

static void on_half_close(struct gw_rpc_stream *stream)
{
    cp_session_end(gw_rpc_stream_user(stream), NULL);
}

static void on_close(struct gw_rpc_stream *stream)
{
    struct cp_session *session = gw_rpc_stream_user(stream);
    pthread_mutex_lock(&session->lock);
    session->is_ended = true;
    cp_pace_leave(cp_session_pace(session), &session->ticket);
    pthread_mutex_unlock(&session->lock);
    cp_pace_run(cp_session_pace(session));
    cp_registry_close(session->sessions->registry, &session->link);
    cp_session_unref(session);
}

struct gw_rpc_method cp_session_method(struct cp_sessions *sessions)
{
    static const struct gw_rpc_stream_events events = {
        .on_open = on_open,
        .on_message = on_message,
        .on_half_close = on_half_close,
        .on_writable = cp_session_on_writable,
        .on_close = on_close,
    };
    return (struct gw_rpc_method){
        .path = "/penstock.agent.v1.AgentService/Stream",
        .request = &penstock__agent__v1__agent_message__descriptor,
        .reply = &penstock__agent__v1__control_message__descriptor,
        .stream = &events,
        .context = sessions,
    };
}
