/* SPDX-License-Identifier: Apache-2.0 */
/* The operations port: pages of text over HTTP/1.1, by the same connections as callers have, on the
 * main thread's loop. Nothing on it is secret and nothing on it changes anything; it is still meant
 * for the inside of a cluster only. */
#ifndef DP_OBSERVE_OPS_H
#define DP_OBSERVE_OPS_H

#include "common/buf.h"
#include "common/error.h"
#include "dataplane/net/loop.h"

#define DP_OPS_CONNECTIONS_MAX 100 /* at once; those beyond get 503 */

/* GET or HEAD of one path. body is empty and has no limit. Returns the status. */
struct dp_ops_page {
    const char *path; /* "/metrics" */
    const char *content_type;
    unsigned (*write)(void *arg, struct gw_buf *body);
};

struct dp_inherited;
struct dp_ops;

/* All borrowed; inherited only until it is open. */
struct dp_ops_options {
    struct dp_loop *loop;
    gw_str listen;                  /* "127.0.0.1:9100" */
    struct dp_inherited *inherited; /* where its socket may be; NULL: nowhere */
    const struct dp_ops_page *pages;
    size_t page_count;
    void *arg;
};

/* Answers from now on, while the loop runs. */
GW_MUST_CHECK int dp_ops_open(const struct dp_ops_options *options, struct dp_ops **ret_ops,
                              struct gw_error *err);
uint16_t dp_ops_port(const struct dp_ops *ops);
int dp_ops_fd(const struct dp_ops *ops); /* of its listening socket */
/* To another process that answers on the same socket already: connections end with their next
 * answer. */
void dp_ops_hand_over(struct dp_ops *ops);
void dp_ops_close(struct dp_ops *ops); /* takes NULL */

#endif
