/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/upgrade.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the environment of the new process */

static bool is_ours(const char *variable)
{
    gw_str text = gw_str_from(variable);
    return gw_str_has_prefix(text, GW_STR(DP_UPGRADE_LISTEN_ENV "=")) ||
           gw_str_has_prefix(text, GW_STR(DP_UPGRADE_SOCKET_ENV "="));
}

/* NULL at the end; the strings behind the first two are borrowed from environ. */
static char **make_environment(const struct dp_upgrade_plan *plan, int socket)
{
    size_t count = 0, room = sizeof(DP_UPGRADE_LISTEN_ENV "=") + plan->fd_count * 12;
    while (environ[count])
        count++;
    char **environment = gw_calloc(count + 3, sizeof(*environment)), **at = environment;
    char *list = *at++ = gw_malloc(room);
    size_t len = (size_t)snprintf(list, room, DP_UPGRADE_LISTEN_ENV "=");
    for (size_t i = 0; i < plan->fd_count; i++)
        len += (size_t)snprintf(list + len, room - len, "%s%d", i ? "," : "", plan->fds[i]);
    *at = gw_malloc(64);
    snprintf(*at++, 64, DP_UPGRADE_SOCKET_ENV "=%d", socket);
    for (size_t i = 0; i < count; i++)
        if (!is_ours(environ[i]))
            *at++ = environ[i];
    return environment;
}

static void free_environment(char **environment)
{
    free(environment[0]);
    free(environment[1]);
    free(environment);
}

/* ---- the end of an attempt */

static void forget(struct dp_upgrade *upgrade)
{
    ev_io_stop(upgrade->loop->ev, &upgrade->io);
    dp_timer_stop(&upgrade->timer);
    close(upgrade->fd);
    upgrade->fd = -1;
    upgrade->pid = 0;
}

/* Its wait status; one that had ended by itself keeps its own. The socket is closed afterwards: a
 * new process whose old one has closed it would serve. */
static int put_down(struct dp_upgrade *upgrade)
{
    int status = 0;
    kill(upgrade->pid, SIGKILL);
    while (waitpid(upgrade->pid, &status, 0) < 0 && errno == EINTR) {
    }
    forget(upgrade);
    return status;
}

void dp_upgrade_cancel(struct dp_upgrade *upgrade)
{
    if (upgrade->pid != 0)
        (void)put_down(upgrade);
}

static void on_late(struct dp_timer *timer)
{
    struct dp_upgrade *upgrade = gw_container_of(timer, struct dp_upgrade, timer);
    struct gw_error why;
    (void)put_down(upgrade);
    (void)gw_fail(&why, GW_DEADLINE_EXCEEDED, "the new process was not ready in time");
    upgrade->events->failed(upgrade->arg, &why);
}

static void fail_ended(struct dp_upgrade *upgrade)
{
    struct gw_error why;
    int status = put_down(upgrade);
    if (WIFEXITED(status))
        (void)gw_fail(&why, GW_FAILED_PRECONDITION,
                      "the new process ended with status %d before it served", WEXITSTATUS(status));
    else
        (void)gw_fail(&why, GW_FAILED_PRECONDITION,
                      "the new process was ended by signal %d before it served", WTERMSIG(status));
    upgrade->events->failed(upgrade->arg, &why);
}

/* ---- what the new process says */

static void take_ready(struct dp_upgrade *upgrade, gw_str words)
{
    uint64_t revision;
    gw_str cluster_id = gw_str_split(&words, ' ');
    if (upgrade->has_let_go || gw_str_to_u64(words, INT64_MAX, &revision) < 0 ||
        !upgrade->events->may_go(upgrade->arg, cluster_id, (int64_t)revision))
        return;
    /* Once: a packet that the new one has not read when it closes its end is told here as a reset,
     * before what it said last. */
    upgrade->has_let_go = true;
    (void)send(upgrade->fd, "go", 2, MSG_NOSIGNAL); /* one that is gone is told by the next read */
}

static void on_packet(struct ev_loop *ev, ev_io *io, int events)
{
    (void)ev, (void)events;
    struct dp_upgrade *upgrade = gw_container_of(io, struct dp_upgrade, io);
    char text[DP_UPGRADE_PACKET_MAX];
    ssize_t n = recv(upgrade->fd, text, sizeof(text), MSG_DONTWAIT);
    gw_str rest = gw_str_n(text, n > 0 ? (size_t)n : 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    gw_str word = gw_str_split(&rest, ' ');
    if (n <= 0) {
        fail_ended(upgrade);
    } else if (gw_str_eq(word, GW_STR("ready"))) {
        take_ready(upgrade, rest);
    } else if (gw_str_eq(word, GW_STR("serving"))) {
        pid_t pid = upgrade->pid;
        forget(upgrade);
        upgrade->events->serving(upgrade->arg, pid);
    }
    dp_loop_settle(upgrade->loop);
}

/* ---- start */

void dp_upgrade_init(struct dp_upgrade *upgrade, struct dp_loop *loop,
                     const struct dp_upgrade_events *events, void *arg)
{
    *upgrade = (struct dp_upgrade){.loop = loop, .events = events, .arg = arg, .fd = -1};
    ev_init(&upgrade->io, on_packet);
    dp_timer_init(&upgrade->timer, on_late);
}

/* posix_spawn and not fork: what a big process holds is not copied for a program that drops it.
 * dup2 of a descriptor to itself is its way to say that the new program keeps it. */
static int spawn(const struct dp_upgrade_plan *plan, int socket, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t signals;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int result = posix_spawn_file_actions_adddup2(&actions, socket, socket);
    for (size_t i = 0; i < plan->fd_count && result == 0; i++)
        result = posix_spawn_file_actions_adddup2(&actions, plan->fds[i], plan->fds[i]);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigaddset(&signals, SIGPIPE); /* ignored here */
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    char **environment = make_environment(plan, socket);
    if (result == 0)
        result = posix_spawn(ret_pid, plan->path, &actions, &attributes, plan->argv, environment);
    free_environment(environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return result;
}

/* A new process of a version that expects none takes it for a word that it does not know. */
static void give_keys(int socket, gw_str keys)
{
    char packet[DP_UPGRADE_PACKET_MAX] = DP_UPGRADE_KEYS;
    size_t len = strlen(packet);
    assert(len + keys.len <= sizeof(packet));
    memcpy(packet + len, keys.ptr, keys.len);
    (void)send(socket, packet, len + keys.len, MSG_NOSIGNAL); /* without, sessions begin anew */
    explicit_bzero(packet, sizeof(packet));
}

int dp_upgrade_start(struct dp_upgrade *upgrade, const struct dp_upgrade_plan *plan,
                     struct gw_error *err)
{
    int ends[2];
    pid_t pid;
    assert(upgrade->pid == 0);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return gw_fail(err, GW_RESOURCE_EXHAUSTED, "socketpair: %s", strerror(errno));
    if (plan->keys.len > 0)
        give_keys(ends[0], plan->keys);
    int result = spawn(plan, ends[1], &pid);
    close(ends[1]);
    if (result != 0) {
        close(ends[0]);
        return gw_fail(err, GW_FAILED_PRECONDITION, "%s: %s", plan->path, strerror(result));
    }
    upgrade->pid = pid;
    upgrade->fd = ends[0];
    upgrade->has_let_go = false;
    ev_io_set(&upgrade->io, upgrade->fd, EV_READ);
    ev_io_start(upgrade->loop->ev, &upgrade->io);
    dp_loop_arm(upgrade->loop, &upgrade->timer, plan->timeout_ms);
    return 0;
}

int dp_upgrade_path(const char *argv0, char *ret_path, size_t size, struct gw_error *err)
{
    if (strchr(argv0, '/') && access(argv0, X_OK) == 0 &&
        (size_t)snprintf(ret_path, size, "%s", argv0) < size)
        return 0;
    ssize_t n = readlink("/proc/self/exe", ret_path, size - 1);
    if (n < 0)
        return gw_fail(err, GW_UNAVAILABLE, "/proc/self/exe: %s", strerror(errno));
    ret_path[n] = 0;
    return 0;
}
