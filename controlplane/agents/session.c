/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/agents/session.h"

#include "common/buf.h"
#include "common/log.h"
#include "controlplane/agents/hello.h"
#include "controlplane/snapshot/scope.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define COMPONENT "agents"
#define NS_PER_MS 1000000
#define APPLY_US_MAX ((int64_t)3600 * 1000000) /* an agent that says more is not believed */
/* Updates sent and not acknowledged: the next one waits, and then holds all that has changed. */
#define UNACKNOWLEDGED_MAX 16

/* A message that waits to be sent. */
struct queued {
    struct gw_list node;
    uint64_t id;
    struct gw_buf bytes;
};

struct sent {
    int64_t revision;
    gw_msec commit_ms;
    gw_nsec commit_ns; /* 0: the change is older than the connection, and is not timed */
    gw_nsec sent_ns;
};

struct cp_session {
    _Atomic unsigned refs;
    struct cp_sessions *sessions; /* borrowed */
    struct gw_rpc_stream *stream; /* a reference */
    struct cp_agent_link link;    /* the registry's */

    char *agent_id; /* owned; NULL before its Hello */

    pthread_mutex_t lock;   /* all below; never held over a call of the registry or the stream */
    struct cp_image *image; /* what it gets, joined; NULL before its Hello */
    char *scope;            /* owned; of that image */
    bool is_greeted, is_ended, is_sending, has_digest;
    unsigned kinds;
    /* What it has once everything that was sent is applied. */
    char cluster_id[CP_CLUSTER_MAX];
    int64_t revision, acked_revision, hello_revision; /* hello: what it had when it came */
    struct gw_content_digest digest;                  /* of that, when has_digest */
    gw_msec hello_ms, acked_ms;                       /* acked: for the last time */
    struct gw_list queue;   /* of queued.node: goes out before the next chunk */
    struct cp_delta *delta; /* a reference; NULL: between updates */
    size_t next_chunk;
    struct sent sent[UNACKNOWLEDGED_MAX]; /* the last ones, round */
    unsigned sent_count;
    gw_msec moved_ms; /* something was taken, or acknowledged, or begun */
    struct cp_pace_ticket ticket;
    int64_t large_revision; /* that the ticket is for; 0: none */
};

static struct cp_pace *pace_of(const struct cp_session *session)
{
    return cp_registry_pace(session->sessions->registry);
}

struct cp_session *cp_session_ref(struct cp_session *session)
{
    atomic_fetch_add_explicit(&session->refs, 1, memory_order_relaxed);
    return session;
}

static struct queued *take_queued(struct cp_session *session)
{
    if (gw_list_is_empty(&session->queue))
        return NULL;
    struct queued *first = gw_container_of(session->queue.next, struct queued, node);
    gw_list_remove(&first->node);
    return first;
}

static void queued_free(struct queued *message)
{
    if (!message)
        return;
    gw_buf_done(&message->bytes);
    free(message);
}

void cp_session_unref(struct cp_session *session)
{
    if (atomic_fetch_sub_explicit(&session->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (struct queued *message; (message = take_queued(session));)
        queued_free(message);
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

/* ---- sending ---- */

/* The last chunk goes out: from here on the agent may acknowledge it. */
static void finish_update(struct cp_session *session, const struct cp_delta *delta)
{
    if (strcmp(session->cluster_id, delta->cluster_id) != 0)
        session->acked_revision = session->sent_count = 0; /* those numbers are another history's */
    memcpy(session->cluster_id, delta->cluster_id, CP_CLUSTER_MAX);
    session->revision = delta->revision;
    gw_nsec now_ns = gw_clock_monotonic_ns();
    bool is_news = delta->built_ns / NS_PER_MS >= session->hello_ms;
    session->sent[session->sent_count++ % UNACKNOWLEDGED_MAX] =
        (struct sent){.revision = delta->revision,
                      .commit_ms = GW_MAX(delta->commit_ms, session->hello_ms),
                      .commit_ns = is_news ? delta->commit_ns : 0,
                      .sent_ns = now_ns};
    if (is_news)
        cp_steps_observe(cp_image_steps(session->sessions->image), CP_STEP_SEND,
                         now_ns - delta->built_ns);
    cp_registry_count_sent(session->sessions->registry, delta);
}

/* How many, and since when the first of them. */
static unsigned unacknowledged(const struct cp_session *session, gw_msec *ret_since_ms)
{
    unsigned count = 0;
    *ret_since_ms = INT64_MAX;
    for (unsigned i = 0; i < GW_MIN(session->sent_count, UNACKNOWLEDGED_MAX); i++) {
        if (session->sent[i].revision <= session->acked_revision)
            continue;
        *ret_since_ms = GW_MIN(*ret_since_ms, session->sent[i].sent_ns / NS_PER_MS);
        count++;
    }
    return count;
}

/* Under the lock. The update to begin now; NULL: none. A large one has its turn. */
static struct cp_delta *next_delta(struct cp_session *session)
{
    bool is_as_it_came = session->has_digest && session->revision == session->hello_revision;
    struct cp_image_base base = {session->cluster_id, session->revision, session->hello_ms,
                                 is_as_it_came ? &session->digest : NULL};
    gw_msec since_ms;
    if (unacknowledged(session, &since_ms) == UNACKNOWLEDGED_MAX ||
        cp_pace_state(pace_of(session), &session->ticket) == CP_PACE_WAITING)
        return NULL;
    struct cp_delta *delta = cp_image_delta(session->image, &base, session->kinds);
    if (!delta || delta->chunk_count == 1)
        return delta;
    if (cp_pace_enter(pace_of(session), &session->ticket)) {
        session->large_revision = delta->revision;
        return delta;
    }
    cp_delta_unref(delta);
    return NULL;
}

/* Under the lock. The place goes to another one once the agent has acknowledged what it was for, or
 * did not need it after all. */
static bool gives_place_back(struct cp_session *session)
{
    bool needs_it = session->large_revision > session->acked_revision;
    if (session->delta || needs_it ||
        cp_pace_state(pace_of(session), &session->ticket) != CP_PACE_IN)
        return false;
    session->large_revision = 0;
    cp_pace_leave(pace_of(session), &session->ticket);
    return true;
}

/* Under the lock. The chunk to send now, with a reference that keeps its bytes; ptr NULL: none. */
static gw_str take_chunk(struct cp_session *session, struct cp_delta **ret_keep)
{
    if (!session->delta) {
        session->delta = next_delta(session);
        session->next_chunk = 0;
        if (!session->delta)
            return GW_STR_NONE;
    }
    struct cp_delta *delta = session->delta;
    gw_str chunk = delta->chunks[session->next_chunk++];
    *ret_keep = cp_delta_ref(delta);
    if (session->next_chunk == delta->chunk_count) {
        finish_update(session, delta);
        cp_delta_unref(delta);
        session->delta = NULL;
    }
    return chunk;
}

/* What goes out next, and whose bytes these are; ptr NULL: nothing does. */
struct outgoing {
    gw_str bytes;
    struct cp_delta *delta;
    struct queued *message;
};

/* Under the lock. */
static struct outgoing take_next(struct cp_session *session)
{
    struct outgoing next = {.bytes = GW_STR_NONE};
    if (!session->is_greeted || session->is_ended || session->is_sending)
        return next;
    next.message = take_queued(session);
    next.bytes =
        next.message ? gw_buf_view(&next.message->bytes) : take_chunk(session, &next.delta);
    session->is_sending = next.bytes.ptr != NULL;
    if (session->is_sending)
        session->moved_ms = gw_clock_monotonic_ms();
    return next;
}

static void release(void *delta)
{
    cp_delta_unref(delta);
}

void cp_session_wake(struct cp_session *session)
{
    pthread_mutex_lock(&session->lock);
    struct outgoing next = take_next(session);
    bool is_place_free = gives_place_back(session);
    pthread_mutex_unlock(&session->lock);
    /* Of either, false: on_close follows. */
    if (next.delta)
        (void)gw_rpc_stream_send_shared(session->stream, next.bytes, release, next.delta);
    else if (next.message)
        (void)gw_rpc_stream_send_packed(session->stream, next.bytes);
    queued_free(next.message);
    if (is_place_free)
        cp_pace_run(pace_of(session));
}

/* Under the lock. Why it is to be dropped; CP_DROP_COUNT: it is not. */
static enum cp_drop judge(struct cp_session *session, gw_msec now_ms)
{
    struct cp_pace *pace = pace_of(session);
    gw_msec since_ms, idle_ms = now_ms - session->moved_ms;
    bool is_taking = session->is_sending || session->delta;
    if (session->is_ended)
        return CP_DROP_COUNT;
    if (is_taking && idle_ms > pace->limits.stall_ms)
        return CP_DROP_STALLED;
    if (unacknowledged(session, &since_ms) > 0 &&
        now_ms - GW_MAX(since_ms, session->acked_ms) > pace->limits.stall_ms)
        return CP_DROP_STALLED;
    if (!session->delta)
        return CP_DROP_COUNT;
    if (cp_image_is_outrun(session->image, session->delta))
        return CP_DROP_OUTRUN;
    return idle_ms > CP_PACE_PATIENCE_MS && cp_pace_is_short(pace) ? CP_DROP_MEMORY : CP_DROP_COUNT;
}

bool cp_session_is_slow(struct cp_session *session, gw_msec now_ms, enum cp_drop *ret_drop,
                        struct gw_error *ret_why)
{
    struct cp_pace *pace = pace_of(session);
    pthread_mutex_lock(&session->lock);
    gw_msec idle_ms = now_ms - session->moved_ms;
    *ret_drop = judge(session, now_ms);
    bool loses_place =
        idle_ms > CP_PACE_PATIENCE_MS && cp_pace_state(pace, &session->ticket) == CP_PACE_IN;
    if (loses_place)
        cp_pace_leave(pace, &session->ticket);
    pthread_mutex_unlock(&session->lock);
    if (loses_place)
        cp_pace_run(pace);
    if (*ret_drop == CP_DROP_STALLED)
        (void)gw_fail(ret_why, GW_ABORTED,
                      "too slow: an update was not taken, or not acknowledged, within %d ms",
                      (int)pace->limits.stall_ms);
    else if (*ret_drop == CP_DROP_OUTRUN)
        (void)gw_fail(ret_why, GW_ABORTED,
                      "too slow: what it is being sent is out of date by too many changes");
    else if (*ret_drop == CP_DROP_MEMORY)
        (void)gw_fail(ret_why, GW_ABORTED,
                      "too slow: others wait for the memory that its update takes");
    return *ret_drop != CP_DROP_COUNT;
}

void cp_session_send(struct cp_session *session, uint64_t id, gw_str packed)
{
    struct queued *message = gw_calloc(1, sizeof(*message));
    gw_list_init(&message->node);
    message->id = id;
    gw_buf_init(&message->bytes, packed.len);
    int result = gw_buf_append(&message->bytes, packed);
    assert(result == 0 && packed.len > 0);
    (void)result;
    pthread_mutex_lock(&session->lock);
    gw_list_push(&session->queue, &message->node);
    pthread_mutex_unlock(&session->lock);
    cp_session_wake(session);
}

void cp_session_unsend(struct cp_session *session, uint64_t id)
{
    struct queued *found = NULL;
    pthread_mutex_lock(&session->lock);
    gw_list_each(&session->queue, node)
    {
        struct queued *message = gw_container_of(node, struct queued, node);
        if (message->id == id)
            found = message;
    }
    if (found)
        gw_list_remove(&found->node);
    pthread_mutex_unlock(&session->lock);
    queued_free(found);
}

static void on_writable(struct gw_rpc_stream *stream)
{
    struct cp_session *session = gw_rpc_stream_user(stream);
    pthread_mutex_lock(&session->lock);
    session->is_sending = false;
    session->moved_ms = gw_clock_monotonic_ms();
    pthread_mutex_unlock(&session->lock);
    cp_session_wake(session);
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
    for (unsigned i = 0; i < GW_MIN(session->sent_count, UNACKNOWLEDGED_MAX); i++) {
        const struct sent *sent = &session->sent[i];
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
    cp_pace_leave(pace_of(session), &session->ticket);
    pthread_mutex_unlock(&session->lock);
    cp_pace_run(pace_of(session));
    cp_registry_close(session->sessions->registry, &session->link);
    cp_session_unref(session);
}

struct gw_rpc_method cp_session_method(struct cp_sessions *sessions)
{
    static const struct gw_rpc_stream_events events = {
        .on_open = on_open,
        .on_message = on_message,
        .on_half_close = on_half_close,
        .on_writable = on_writable,
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
