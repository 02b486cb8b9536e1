/* SPDX-License-Identifier: Apache-2.0 */
/* The process that is replaced: starts a new binary on its own listening sockets and hears whether
 * it serves. Until it does, nothing changes for callers; if it never does, it is ended and nothing
 * has happened. Main thread.
 *
 * The two talk over a socket, one packet at a time, of text but for the first; all outlive
 * versions, and what one of them does not know it passes over:
 * - old: "keys BYTES", of session tickets, there before the new one starts
 * - new: "ready CLUSTER REVISION", it could serve this; again with each newer revision
 * - old: "go", it is no older than what callers get now: accept; once
 * - new: "serving", the old one drains
 *
 * When the old one ends before "go", the new one has nobody to wait for and serves. */
#ifndef DP_UPGRADE_H
#define DP_UPGRADE_H

#include "common/error.h"
#include "dataplane/net/loop.h"

#include <sys/types.h>

/* How the new process finds what it inherits: descriptors. */
#define DP_UPGRADE_LISTEN_ENV "PENSTOCK_LISTEN_FDS" /* "7,8,12" */
#define DP_UPGRADE_SOCKET_ENV "PENSTOCK_UPGRADE_FD"
#define DP_UPGRADE_PACKET_MAX 256
#define DP_UPGRADE_KEYS "keys "

struct dp_upgrade_events {
    /* The new process could serve this revision. False: not yet. */
    bool (*may_go)(void *arg, gw_str cluster_id, int64_t revision);
    /* One of the two, once, and then the upgrade is no longer under way. */
    void (*serving)(void *arg, pid_t pid);
    void (*failed)(void *arg, const struct gw_error *why);
};

struct dp_upgrade {
    struct dp_loop *loop;                   /* borrowed */
    const struct dp_upgrade_events *events; /* borrowed */
    void *arg;
    pid_t pid; /* 0: none is under way */
    int fd;
    bool has_let_go; /* "go" was said */
    ev_io io;
    struct dp_timer timer;
};

void dp_upgrade_init(struct dp_upgrade *upgrade, struct dp_loop *loop,
                     const struct dp_upgrade_events *events, void *arg);

/* Borrowed for the call. */
struct dp_upgrade_plan {
    const char *path;
    char *const *argv;
    const int *fds; /* that the new process gets, under the same numbers */
    size_t fd_count;
    gw_msec timeout_ms; /* from the start to "serving" */
    gw_str keys;
};
/* -1: it could not even be started; no event follows. */
GW_MUST_CHECK int dp_upgrade_start(struct dp_upgrade *upgrade, const struct dp_upgrade_plan *plan,
                                   struct gw_error *err);
/* Ends the new process, unless it serves; no event follows. Nothing when none is under way. */
void dp_upgrade_cancel(struct dp_upgrade *upgrade);

/* Which file to start when this program is replaced: argv[0] where that is a path, so that links
 * are followed then and not now; else the file that runs. To be called before anybody replaces it.
 */
GW_MUST_CHECK int dp_upgrade_path(const char *argv0, char *ret_path, size_t size,
                                  struct gw_error *err);

#endif
