/* SPDX-License-Identifier: Apache-2.0 */
/* Large updates take turns. All agents that come at once need a snapshot at once: a few are sent
 * theirs, the others wait in the order in which they came. A place is kept until the agent has
 * acknowledged, or until nothing has moved for CP_PACE_PATIENCE_MS: the slow hold up nobody. Any
 * thread; its lock may be taken under a session's, never the reverse. */
#ifndef CP_AGENTS_PACE_H
#define CP_AGENTS_PACE_H

#include "common/clock.h"
#include "common/list.h"
#include "controlplane/snapshot/delta.h"

#include <pthread.h>

#define CP_PACE_AT_ONCE_DEFAULT 32
#define CP_PACE_BYTES_DEFAULT 268435456
#define CP_PACE_STALL_DEFAULT "1m"
#define CP_PACE_PATIENCE_MS 1000

struct cp_session;

struct cp_pace_limits {
    unsigned at_once; /* large updates under way */
    size_t bytes_max; /* of packed updates in memory: beyond, one at a time, and slow agents go */
    gw_msec stall_ms; /* an agent that takes and acknowledges nothing for so long is dropped */
};

enum cp_pace_state { CP_PACE_OUT, CP_PACE_WAITING, CP_PACE_IN };

/* Of one session, embedded in it. */
struct cp_pace_ticket {
    struct gw_list node; /* in waiting */
    struct cp_session *session;
    enum cp_pace_state state; /* the pace's: read by cp_pace_state */
};

struct cp_pace {
    struct cp_pace_limits limits; /* set before the first session */
    pthread_mutex_t lock;         /* all below */
    struct gw_list waiting;
    unsigned waiting_count, in_count;
    bool is_running; /* a thread is in cp_pace_run */
};

void cp_pace_init(struct cp_pace *pace);
void cp_pace_done(struct cp_pace *pace);
void cp_pace_ticket_init(struct cp_pace_ticket *ticket, struct cp_session *session);

/* True: it has a place, now or already. False: it waits, and its session is woken when it has. */
bool cp_pace_enter(struct cp_pace *pace, struct cp_pace_ticket *ticket);
/* Place or wait end; cp_pace_run is to follow. */
void cp_pace_leave(struct cp_pace *pace, struct cp_pace_ticket *ticket);
enum cp_pace_state cp_pace_state(struct cp_pace *pace, const struct cp_pace_ticket *ticket);
/* Gives free places to those that wait, and wakes them. With no lock held. */
void cp_pace_run(struct cp_pace *pace);

/* More is in memory than may be, and somebody waits for it. */
bool cp_pace_is_short(struct cp_pace *pace);
void cp_pace_counts(struct cp_pace *pace, unsigned *ret_waiting, unsigned *ret_in);

#endif
