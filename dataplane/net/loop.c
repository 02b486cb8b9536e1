/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/loop.h"

#include <errno.h>
#include <unistd.h>

#define SCRATCH_BYTES_MAX (1024 * 1024) /* the largest head there can be, many times over */

static void take_time(struct dp_loop *loop)
{
    loop->now_ns = gw_clock_monotonic_ns();
    loop->now_ms = loop->now_ns / 1000000;
    loop->wall_ms = (gw_msec)(ev_now(loop->ev) * 1000.0);
}

/* Runs before any other callback of a turn. */
static void on_check(struct ev_loop *ev, ev_check *check, int events)
{
    (void)ev;
    (void)events;
    take_time(gw_container_of(check, struct dp_loop, check));
}

static bool run_first(struct gw_list *list)
{
    if (gw_list_is_empty(list))
        return false;
    struct dp_task *task = gw_container_of(list->next, struct dp_task, node);
    gw_list_remove(&task->node);
    task->run(task);
    return true;
}

/* Before the loop sleeps: the wheel's next moment is the one ev_timer's. */
static void on_prepare(struct ev_loop *ev, ev_prepare *prepare, int events)
{
    (void)events;
    struct dp_loop *loop = gw_container_of(prepare, struct dp_loop, prepare);
    while (run_first(&loop->turns))
        dp_loop_settle(loop);
    if (loop->wheel.next_ms == loop->timer_at)
        return;
    loop->timer_at = loop->wheel.next_ms;
    ev_timer_stop(ev, &loop->timer);
    if (loop->timer_at == INT64_MAX)
        return;
    gw_msec wait = GW_MAX(loop->timer_at - loop->now_ms, 0);
    ev_timer_set(&loop->timer, (double)wait / 1000.0, 0.);
    ev_timer_start(ev, &loop->timer);
}

static void on_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    struct dp_loop *loop = gw_container_of(timer, struct dp_loop, timer);
    loop->timer_at = INT64_MAX;
    dp_wheel_advance(&loop->wheel, loop->now_ms);
    dp_loop_settle(loop);
}

int dp_loop_init(struct dp_loop *loop)
{
    *loop = (struct dp_loop){.timer_at = INT64_MAX, .pipe = {-1, -1}};
    loop->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (!loop->ev)
        return errno ? -errno : -ENOMEM;
    gw_buf_init(&loop->scratch, SCRATCH_BYTES_MAX);
    gw_list_init(&loop->tasks);
    gw_list_init(&loop->flushes);
    gw_list_init(&loop->graves);
    gw_list_init(&loop->turns);
    take_time(loop);
    dp_wheel_init(&loop->wheel, loop->now_ms);
    ev_timer_init(&loop->timer, on_timer, 0., 0.);
    ev_prepare_init(&loop->prepare, on_prepare);
    ev_prepare_start(loop->ev, &loop->prepare);
    ev_check_init(&loop->check, on_check);
    ev_set_priority(&loop->check, EV_MAXPRI);
    ev_check_start(loop->ev, &loop->check);
    return 0;
}

void dp_loop_done(struct dp_loop *loop)
{
    dp_loop_settle(loop);
    ev_loop_destroy(loop->ev);
    dp_loop_close_pipe(loop);
    dp_blocks_done(&loop->blocks);
    gw_buf_done(&loop->scratch);
}

void dp_loop_close_pipe(struct dp_loop *loop)
{
    for (unsigned i = 0; i < 2 && loop->pipe[i] >= 0; i++) {
        close(loop->pipe[i]);
        loop->pipe[i] = -1;
    }
}

void dp_loop_run(struct dp_loop *loop)
{
    ev_now_update(loop->ev);
    take_time(loop);
    dp_loop_settle(loop);
    ev_run(loop->ev, 0);
}

void dp_loop_stop(struct dp_loop *loop)
{
    ev_break(loop->ev, EVBREAK_ALL);
}

void dp_task_init(struct dp_task *task, void (*run)(struct dp_task *))
{
    gw_list_init(&task->node);
    task->run = run;
}

static void add_once(struct gw_list *list, struct dp_task *task)
{
    if (gw_list_is_empty(&task->node))
        gw_list_push(list, &task->node);
}

void dp_loop_later(struct dp_loop *loop, struct dp_task *task)
{
    add_once(&loop->tasks, task);
}

void dp_loop_flush_later(struct dp_loop *loop, struct dp_task *task)
{
    add_once(&loop->flushes, task);
}

void dp_loop_bury(struct dp_loop *loop, struct dp_task *task)
{
    add_once(&loop->graves, task);
}

void dp_loop_turn_later(struct dp_loop *loop, struct dp_task *task)
{
    add_once(&loop->turns, task);
}

void dp_task_cancel(struct dp_task *task)
{
    gw_list_remove(&task->node);
}

void dp_loop_settle(struct dp_loop *loop)
{
    while (run_first(&loop->tasks) || run_first(&loop->flushes)) {
    }
    while (run_first(&loop->graves)) {
    }
}
