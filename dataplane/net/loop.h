/* SPDX-License-Identifier: Apache-2.0 */
/* What everything on one thread shares: the libev loop, the time of this turn, timers, free blocks,
 * and what is left to do before the event that made it ends. One thread. */
#ifndef DP_NET_LOOP_H
#define DP_NET_LOOP_H

#include "common/buf.h"
#include "dataplane/net/input.h"
#include "dataplane/net/timer.h"

#include <ev.h>

/* Something to do once, embedded in its owner. */
struct dp_task {
    struct gw_list node;
    void (*run)(struct dp_task *);
};

struct dp_loop {
    struct ev_loop *ev; /* owned */
    gw_nsec now_ns;     /* monotonic; taken once a turn */
    gw_msec now_ms;
    gw_msec wall_ms;
    struct dp_wheel wheel;
    struct dp_blocks blocks;
    int pipe[2];            /* for dp_conn_splice, empty between two; -1: not yet */
    uint64_t spliced_bytes; /* that went through it */
    bool is_paced;          /* what is sent is, so it leaves in small pieces: net/splice.c */
    struct gw_buf scratch;  /* for a head in the making: empty before and after each use */
    struct gw_list tasks;   /* things to go on with */
    struct gw_list flushes; /* connections with bytes to write: after all tasks, so that a write
                               carries all that the event brought */
    struct gw_list graves;  /* things to free: last, so that nobody up the stack holds them */
    struct gw_list turns;   /* things to do once all events of a turn have been handled */
    ev_prepare prepare;
    ev_check check;
    ev_timer timer; /* for the wheel */
    gw_msec timer_at;
};

/* -ENOMEM or -EMFILE when there can be no epoll descriptor. */
GW_MUST_CHECK int dp_loop_init(struct dp_loop *loop);
void dp_loop_done(struct dp_loop *loop);
/* Until dp_loop_stop. */
void dp_loop_run(struct dp_loop *loop);
void dp_loop_stop(struct dp_loop *loop);

/* With what is in it. */
void dp_loop_close_pipe(struct dp_loop *loop);

void dp_task_init(struct dp_task *task, void (*run)(struct dp_task *));
/* Runs the task before the current event ends; once, however often it is asked for. */
void dp_loop_later(struct dp_loop *loop, struct dp_task *task);
void dp_loop_flush_later(struct dp_loop *loop, struct dp_task *task);
void dp_loop_bury(struct dp_loop *loop, struct dp_task *task);
/* Runs the task before the loop sleeps: what many events of one turn bring leaves together. */
void dp_loop_turn_later(struct dp_loop *loop, struct dp_task *task);
void dp_task_cancel(struct dp_task *task);
/* The last call in every libev callback: does all that is left to do. */
void dp_loop_settle(struct dp_loop *loop);

/* Arms for `after` from now. */
static inline void dp_loop_arm(struct dp_loop *loop, struct dp_timer *timer, gw_msec after)
{
    dp_timer_arm(&loop->wheel, timer, loop->now_ms + after);
}

#endif
