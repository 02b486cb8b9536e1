/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/agents/pace.h"

#include "controlplane/agents/session.h"

#include <stdlib.h>

void cp_pace_init(struct cp_pace *pace)
{
    *pace = (struct cp_pace){.limits = {CP_PACE_AT_ONCE_DEFAULT, CP_PACE_BYTES_DEFAULT, 60000}};
    pthread_mutex_init(&pace->lock, NULL);
    gw_list_init(&pace->waiting);
}

void cp_pace_done(struct cp_pace *pace)
{
    assert(pace->waiting_count == 0 && pace->in_count == 0);
    pthread_mutex_destroy(&pace->lock);
}

void cp_pace_ticket_init(struct cp_pace_ticket *ticket, struct cp_session *session)
{
    gw_list_init(&ticket->node);
    ticket->session = session;
    ticket->state = CP_PACE_OUT;
}

/* With the lock held. One is always let in: what fills the memory may be gone only when it is. */
static bool has_room(const struct cp_pace *pace)
{
    return pace->in_count == 0 || (pace->in_count < pace->limits.at_once &&
                                   cp_delta_bytes_held() <= pace->limits.bytes_max);
}

static void let_in(struct cp_pace *pace, struct cp_pace_ticket *ticket)
{
    ticket->state = CP_PACE_IN;
    pace->in_count++;
}

bool cp_pace_enter(struct cp_pace *pace, struct cp_pace_ticket *ticket)
{
    pthread_mutex_lock(&pace->lock);
    if (ticket->state == CP_PACE_OUT && pace->waiting_count == 0 && has_room(pace)) {
        let_in(pace, ticket);
    } else if (ticket->state == CP_PACE_OUT) {
        ticket->state = CP_PACE_WAITING;
        gw_list_push(&pace->waiting, &ticket->node);
        pace->waiting_count++;
    }
    bool is_in = ticket->state == CP_PACE_IN;
    pthread_mutex_unlock(&pace->lock);
    return is_in;
}

void cp_pace_leave(struct cp_pace *pace, struct cp_pace_ticket *ticket)
{
    pthread_mutex_lock(&pace->lock);
    pace->in_count -= ticket->state == CP_PACE_IN;
    pace->waiting_count -= ticket->state == CP_PACE_WAITING;
    gw_list_remove(&ticket->node);
    ticket->state = CP_PACE_OUT;
    pthread_mutex_unlock(&pace->lock);
}

enum cp_pace_state cp_pace_state(struct cp_pace *pace, const struct cp_pace_ticket *ticket)
{
    pthread_mutex_lock(&pace->lock);
    enum cp_pace_state state = ticket->state;
    pthread_mutex_unlock(&pace->lock);
    return state;
}

/* A session that is woken may leave at once, and then calls this again: only one loop runs, and it
 * sees what was freed meanwhile. */
void cp_pace_run(struct cp_pace *pace)
{
    pthread_mutex_lock(&pace->lock);
    bool is_first = !pace->is_running;
    pace->is_running = true;
    while (is_first && pace->waiting_count > 0 && has_room(pace)) {
        struct cp_pace_ticket *ticket =
            gw_container_of(pace->waiting.next, struct cp_pace_ticket, node);
        gw_list_remove(&ticket->node);
        pace->waiting_count--;
        let_in(pace, ticket);
        struct cp_session *session = cp_session_ref(ticket->session);
        pthread_mutex_unlock(&pace->lock);
        cp_session_wake(session);
        cp_session_unref(session);
        pthread_mutex_lock(&pace->lock);
    }
    pace->is_running &= !is_first;
    pthread_mutex_unlock(&pace->lock);
}

bool cp_pace_is_short(struct cp_pace *pace)
{
    pthread_mutex_lock(&pace->lock);
    bool is_short = pace->waiting_count > 0 && cp_delta_bytes_held() > pace->limits.bytes_max;
    pthread_mutex_unlock(&pace->lock);
    return is_short;
}

void cp_pace_counts(struct cp_pace *pace, unsigned *ret_waiting, unsigned *ret_in)
{
    pthread_mutex_lock(&pace->lock);
    *ret_waiting = pace->waiting_count;
    *ret_in = pace->in_count;
    pthread_mutex_unlock(&pace->lock);
}
