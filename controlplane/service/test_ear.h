/* SPDX-License-Identifier: Apache-2.0 */
/* A reader of WatchService in tests: it hears what it is sent, a line of JSON each. */
#ifndef CP_SERVICE_TEST_EAR_H
#define CP_SERVICE_TEST_EAR_H

#include "common/json.h"
#include "common/test.h"
#include "controlplane/service/feed_internal.h"

#include <stdio.h>

#define PATIENCE_S 20

struct ear {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct gw_buf lines; /* what was sent, a line of JSON each */
    bool is_ended;
    struct gw_error err;
    void *stream;
    char line[65536];
};

static inline bool hear_message(void *arg, const ProtobufCMessage *message)
{
    struct ear *ear = arg;
    pthread_mutex_lock(&ear->lock);
    gw_json_write(&ear->lines, message, GW_JSON_COMPACT);
    assert_int_equal(gw_buf_append(&ear->lines, GW_STR("\n")), 0);
    pthread_cond_signal(&ear->changed);
    pthread_mutex_unlock(&ear->lock);
    return true;
}

static inline void hear_end(void *arg, const struct gw_error *err)
{
    struct ear *ear = arg;
    pthread_mutex_lock(&ear->lock);
    ear->is_ended = true;
    ear->err = *err;
    pthread_cond_signal(&ear->changed);
    pthread_mutex_unlock(&ear->lock);
}

static inline void wait_a_bit(struct ear *ear)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    if (pthread_cond_timedwait(&ear->changed, &ear->lock, &until))
        fail_msg("nothing is heard");
}

/* The next message; the reader then takes another one. */
static inline const char *hear(struct ear *ear)
{
    pthread_mutex_lock(&ear->lock);
    while (gw_buf_len(&ear->lines) == 0 && !ear->is_ended)
        wait_a_bit(ear);
    if (gw_buf_len(&ear->lines) == 0)
        fail_msg("it has ended: %s", ear->err.message);
    gw_str rest = gw_buf_view(&ear->lines);
    gw_str line = gw_str_split(&rest, '\n');
    (void)snprintf(ear->line, sizeof(ear->line), "%.*s", GW_STR_ARG(line));
    gw_buf_consume(&ear->lines, line.len + 1);
    pthread_mutex_unlock(&ear->lock);
    cp_feed_stream_type.on_writable(ear->stream);
    return ear->line;
}

static inline const struct gw_error *hear_end_of(struct ear *ear)
{
    pthread_mutex_lock(&ear->lock);
    while (!ear->is_ended)
        wait_a_bit(ear);
    pthread_mutex_unlock(&ear->lock);
    return &ear->err;
}

/* The same of one to whom something may be said until then. */
static inline const struct gw_error *hear_all_of(struct ear *ear)
{
    pthread_mutex_lock(&ear->lock);
    while (!ear->is_ended) {
        if (gw_buf_len(&ear->lines) == 0)
            wait_a_bit(ear);
        gw_buf_clear(&ear->lines);
        pthread_mutex_unlock(&ear->lock);
        cp_feed_stream_type.on_writable(ear->stream);
        pthread_mutex_lock(&ear->lock);
    }
    pthread_mutex_unlock(&ear->lock);
    return &ear->err;
}

static inline void leave(struct ear *ear)
{
    if (ear->stream)
        cp_feed_stream_type.on_close(ear->stream);
    gw_buf_done(&ear->lines);
}

#endif
