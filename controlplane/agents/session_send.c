/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent is sent, and whether it takes it in time. */
#include "controlplane/agents/session_internal.h"

#include <stdlib.h>

#define NS_PER_MS 1000000

struct cp_queued *cp_session_take_queued(struct cp_session *session)
{
    if (gw_list_is_empty(&session->queue))
        return NULL;
    struct cp_queued *first = gw_container_of(session->queue.next, struct cp_queued, node);
    gw_list_remove(&first->node);
    return first;
}

void cp_queued_free(struct cp_queued *message)
{
    if (!message)
        return;
    gw_buf_done(&message->bytes);
    free(message);
}

/* The last chunk goes out: from here on the agent may acknowledge it. */
static void finish_update(struct cp_session *session, const struct cp_delta *delta)
{
    if (strcmp(session->cluster_id, delta->cluster_id) != 0)
        session->acked_revision = session->sent_count = 0; /* those numbers are another history's */
    memcpy(session->cluster_id, delta->cluster_id, CP_CLUSTER_MAX);
    session->revision = delta->revision;
    gw_nsec now_ns = gw_clock_monotonic_ns();
    bool is_news = delta->built_ns / NS_PER_MS >= session->hello_ms;
    session->sent[session->sent_count++ % CP_UNACKNOWLEDGED_MAX] =
        (struct cp_sent){.revision = delta->revision,
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
    for (unsigned i = 0; i < GW_MIN(session->sent_count, CP_UNACKNOWLEDGED_MAX); i++) {
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
    if (unacknowledged(session, &since_ms) == CP_UNACKNOWLEDGED_MAX ||
        cp_pace_state(cp_session_pace(session), &session->ticket) == CP_PACE_WAITING)
        return NULL;
    struct cp_delta *delta = cp_image_delta(session->image, &base, session->kinds);
    if (!delta || delta->chunk_count == 1)
        return delta;
    if (cp_pace_enter(cp_session_pace(session), &session->ticket)) {
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
        cp_pace_state(cp_session_pace(session), &session->ticket) != CP_PACE_IN)
        return false;
    session->large_revision = 0;
    cp_pace_leave(cp_session_pace(session), &session->ticket);
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
    struct cp_queued *message;
};

/* Under the lock. */
static struct outgoing take_next(struct cp_session *session)
{
    struct outgoing next = {.bytes = GW_STR_NONE};
    if (!session->is_greeted || session->is_ended || session->is_sending)
        return next;
    next.message = cp_session_take_queued(session);
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
    cp_queued_free(next.message);
    if (is_place_free)
        cp_pace_run(cp_session_pace(session));
}

/* Under the lock. Why it is to be dropped; CP_DROP_COUNT: it is not. */
static enum cp_drop judge(struct cp_session *session, gw_msec now_ms)
{
    struct cp_pace *pace = cp_session_pace(session);
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
    struct cp_pace *pace = cp_session_pace(session);
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
    struct cp_queued *message = gw_calloc(1, sizeof(*message));
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
    struct cp_queued *found = NULL;
    pthread_mutex_lock(&session->lock);
    gw_list_each(&session->queue, node)
    {
        struct cp_queued *message = gw_container_of(node, struct cp_queued, node);
        if (message->id == id)
            found = message;
    }
    if (found)
        gw_list_remove(&found->node);
    pthread_mutex_unlock(&session->lock);
    cp_queued_free(found);
}

void cp_session_on_writable(struct gw_rpc_stream *stream)
{
    struct cp_session *session = gw_rpc_stream_user(stream);
    pthread_mutex_lock(&session->lock);
    session->is_sending = false;
    session->moved_ms = gw_clock_monotonic_ms();
    pthread_mutex_unlock(&session->lock);
    cp_session_wake(session);
}
