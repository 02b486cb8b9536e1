/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * Tests only: real etcd members on free ports with directories of their own. */
#ifndef CP_ETCD_FIXTURE_H
#define CP_ETCD_FIXTURE_H

#include "common/test.h"
#include "controlplane/store/etcd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 30000 /* after which a condition will not come any more */

static inline void node_nap(void)
{
    poll(NULL, 0, 10);
}

/* ---- small things ---- */

static inline int port_listen(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static inline int port_free(void)
{
    int port;
    close(port_listen(&port));
    return port;
}

static inline int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static inline void remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- a member ---- */

struct node {
    pid_t pid; /* 0: not running */
    char dir[64], data[80];
    int port, peer_port;
    char url[64], peer_url[64];
    const char *cluster;       /* --initial-cluster; NULL: this member alone */
    const char *cluster_token; /* NULL: "test" */
    const char *extra[12];     /* more options, up to the first NULL */
};

static inline void node_init(struct node *node)
{
    *node = (struct node){.port = port_free(), .peer_port = port_free()};
    snprintf(node->dir, sizeof(node->dir), "/tmp/penstock-etcd-XXXXXX");
    assert_non_null(mkdtemp(node->dir));
    snprintf(node->data, sizeof(node->data), "%s/data", node->dir);
    snprintf(node->url, sizeof(node->url), "http://127.0.0.1:%d", node->port);
    snprintf(node->peer_url, sizeof(node->peer_url), "http://127.0.0.1:%d", node->peer_port);
}

static inline void node_exec(const struct node *node)
{
    char log[96], name[32], cluster[96];
    snprintf(log, sizeof(log), "%s/log", node->dir);
    snprintf(name, sizeof(name), "n%d", node->peer_port);
    snprintf(cluster, sizeof(cluster), "%s=%s", name, node->peer_url);
    const char *args[40] = {"etcd",
                            "--name",
                            name,
                            "--data-dir",
                            node->data,
                            "--listen-client-urls",
                            node->url,
                            "--advertise-client-urls",
                            node->url,
                            "--listen-peer-urls",
                            node->peer_url,
                            "--initial-advertise-peer-urls",
                            node->peer_url,
                            "--initial-cluster",
                            node->cluster ? node->cluster : cluster,
                            "--initial-cluster-token",
                            node->cluster_token ? node->cluster_token : "test",
                            "--experimental-watch-progress-notify-interval",
                            "100ms",
                            "--heartbeat-interval",
                            "20",
                            "--election-timeout",
                            "200"};
    unsigned n = 0;
    while (args[n])
        n++;
    for (unsigned i = 0; node->extra[i]; i++)
        args[n++] = node->extra[i];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd >= 0 && dup2(fd, 1) >= 0 && dup2(fd, 2) >= 0)
        execvp("etcd", (char *const *)(uintptr_t)args);
    _exit(127);
}

static inline void node_start(struct node *node)
{
    node->pid = fork();
    assert_true(node->pid >= 0);
    if (node->pid == 0)
        node_exec(node);
}

static inline void node_stop(struct node *node, int with_signal)
{
    if (node->pid > 0) {
        kill(node->pid, with_signal);
        waitpid(node->pid, NULL, 0);
    }
    node->pid = 0;
}

static inline void node_done(struct node *node)
{
    node_stop(node, SIGKILL);
    remove_tree(node->dir);
}

/* ---- a store on it ---- */

static inline struct cp_store *store_open(const struct cp_etcd_options *options)
{
    struct cp_store *store;
    struct gw_error err;
    assert_int_equal(cp_store_open_etcd(options, &store, &err), 0);
    return store;
}

static inline struct cp_position store_wait(struct cp_store *store)
{
    struct gw_error err;
    struct cp_position at;
    gw_msec end_ms = gw_clock_monotonic_ms() + WAIT_MS;
    while (cp_store_ping(store, &at, &err)) {
        if (gw_clock_monotonic_ms() > end_ms)
            fail_msg("etcd does not come up: %s", err.message);
        node_nap();
    }
    assert_true(at.cluster_id != 0);
    return at;
}

/* One member that runs and a store on it. */
static inline struct cp_store *node_up(struct node *node)
{
    node_init(node);
    node_start(node);
    struct cp_store *store =
        store_open(&(struct cp_etcd_options){.endpoints = node->url, .progress_ms = 1000});
    store_wait(store);
    return store;
}

static inline int try_put(struct cp_store *store, const char *key, const char *value,
                          struct cp_commit *ret_commit, struct gw_error *err)
{
    struct cp_op op = {CP_OP_PUT, gw_str_from(key), gw_str_from(value), 0};
    return cp_store_txn(store, &(struct cp_txn){.ops = &op, .op_count = 1}, ret_commit, err);
}

static inline int64_t store_put(struct cp_store *store, const char *key, const char *value)
{
    struct cp_commit commit;
    struct gw_error err;
    if (try_put(store, key, value, &commit, &err))
        fail_msg("%s", err.message);
    assert_true(commit.committed);
    return commit.at.revision;
}

/* Anything of the gateway that the store itself has no need of. */
static inline void ask_etcd(struct cp_store *store, const char *path, const char *body)
{
    struct gw_arena arena = {0};
    struct gw_error err;
    struct etcd_answer answer;
    struct etcd_request request = {.path = path, .body = gw_str_from(body)};
    if (etcd_call(etcd_of(store), &request, &arena, &answer, &err) != ETCD_ANSWERED)
        fail_msg("%s: %s", path, err.message);
    gw_arena_done(&arena);
}

#endif
