/* SPDX-License-Identifier: Apache-2.0 */
/* A fixed number of threads and one bounded queue: where blocking handlers run, of
 * calls by gRPC and of the JSON form. */
#ifndef GW_RPC_POOL_H
#define GW_RPC_POOL_H

#include "common/list.h"

#include <pthread.h>

/* Embedded in its owner, who may free it from inside run(). */
struct gw_rpc_job {
    struct gw_list link;
    void (*run)(struct gw_rpc_job *job);
};

struct gw_rpc_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct gw_list queue;
    unsigned live, limit; /* jobs queued or running */
    bool stopping;
    pthread_t *threads; /* owned */
    unsigned thread_count;
};

/* 0, or a negative errno when the threads cannot be had; then nothing is left to be done with. */
GW_MUST_CHECK int gw_rpc_pool_init(struct gw_rpc_pool *pool, unsigned threads, unsigned limit);
/* Runs what is queued, then joins the threads. */
void gw_rpc_pool_done(struct gw_rpc_pool *pool);
/* False: the limit is reached and the job was not taken. Any thread. */
GW_MUST_CHECK bool gw_rpc_pool_submit(struct gw_rpc_pool *pool, struct gw_rpc_job *job);

#endif
