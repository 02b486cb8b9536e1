/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rpc/pool.h"

#include <stdlib.h>

/* With the lock held; NULL when the queue is empty and the pool is stopping. */
static struct gw_rpc_job *next_job(struct gw_rpc_pool *pool)
{
    while (gw_list_is_empty(&pool->queue)) {
        if (pool->stopping)
            return NULL;
        pthread_cond_wait(&pool->work, &pool->lock);
    }
    struct gw_rpc_job *job = gw_container_of(pool->queue.next, struct gw_rpc_job, link);
    gw_list_remove(&job->link);
    return job;
}

static void *run_thread(void *arg)
{
    struct gw_rpc_pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    for (struct gw_rpc_job *job; (job = next_job(pool));) {
        pthread_mutex_unlock(&pool->lock);
        job->run(job);
        pthread_mutex_lock(&pool->lock);
        pool->live--;
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

int gw_rpc_pool_init(struct gw_rpc_pool *pool, unsigned threads, unsigned limit)
{
    assert(threads > 0 && limit > 0);
    *pool = (struct gw_rpc_pool){.limit = limit};
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    gw_list_init(&pool->queue);
    pool->threads = gw_calloc(threads, sizeof(*pool->threads));
    for (; pool->thread_count < threads; pool->thread_count++) {
        int failed = pthread_create(&pool->threads[pool->thread_count], NULL, run_thread, pool);
        if (failed) {
            gw_rpc_pool_done(pool);
            return -failed;
        }
    }
    return 0;
}

void gw_rpc_pool_done(struct gw_rpc_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    free(pool->threads);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
}

bool gw_rpc_pool_submit(struct gw_rpc_pool *pool, struct gw_rpc_job *job)
{
    pthread_mutex_lock(&pool->lock);
    bool taken = pool->live < pool->limit;
    if (taken) {
        pool->live++;
        gw_list_push(&pool->queue, &job->link);
        pthread_cond_signal(&pool->work);
    }
    pthread_mutex_unlock(&pool->lock);
    return taken;
}
