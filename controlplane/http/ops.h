/* SPDX-License-Identifier: Apache-2.0 */
/* The operations port: a few pages of text over HTTP for probes and for Prometheus, by
 * libwebsockets on a thread of its own. Nothing on it is secret and nothing on it changes anything;
 * it is still meant for the inside of a cluster only. */
#ifndef CP_HTTP_OPS_H
#define CP_HTTP_OPS_H

#include "common/buf.h"
#include "common/error.h"

#define CP_OPS_CONNECTIONS_MAX 100 /* open at once; more wait in the kernel */
#define CP_OPS_IDLE_S 30           /* a connection without a request is closed after it */

/* One page. Runs on the operations thread; body is empty and has no limit. Returns the status. */
struct cp_ops_page {
    const char *path; /* "/metrics" */
    const char *content_type;
    unsigned (*write)(void *arg, struct gw_buf *body);
};

/* Adds to a page's body; at most 1 KiB at a time, the rest is cut. */
void cp_ops_print(struct gw_buf *body, const char *format, ...) GW_PRINTF(2, 3);

struct cp_ops;

/* listen: "127.0.0.1:9441", "[::1]:0", ":9441" (all addresses). pages and arg are borrowed. */
GW_MUST_CHECK int cp_ops_start(const char *listen, const struct cp_ops_page *pages, size_t count,
                               void *arg, struct cp_ops **ret_ops, struct gw_error *err);
unsigned cp_ops_port(const struct cp_ops *ops);
/* Joins the thread. Takes NULL. */
void cp_ops_stop(struct cp_ops *ops);

#endif
