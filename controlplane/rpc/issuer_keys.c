/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/issuer_keys.h"

#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>

#define COMPONENT "auth"

/* A URL and what came from it. Issuers of one URL share it. */
struct source {
    char *uri, *ca_file;      /* owned; ca_file NULL: the system's authorities */
    struct gw_arena arena;    /* of the keys */
    struct cp_jwks jwks;      /* count 0: nothing yet */
    gw_msec due_ms, asked_ms; /* monotonic */
    unsigned failures;        /* in a row */
    char why[GW_ERROR_MESSAGE_MAX];
};

struct cp_issuer_keys {
    pthread_mutex_t *lock; /* borrowed; of all below but the atomics */
    cp_issuer_keys_fetch *fetch;
    pthread_cond_t changed;
    pthread_t thread;
    bool has_thread;
    struct source *sources[CP_ISSUERS_MAX];
    size_t count;
    struct cp_credentials *credentials; /* borrowed */
    atomic_bool stop;
    _Atomic int64_t failed;
};

struct cp_issuer_keys *cp_issuer_keys_new(pthread_mutex_t *lock, cp_issuer_keys_fetch *fetch)
{
    pthread_condattr_t attributes;
    struct cp_issuer_keys *keys = gw_calloc(1, sizeof(*keys));
    keys->lock = lock;
    keys->fetch = fetch;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&keys->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return keys;
}

static void free_source(struct source *source)
{
    if (!source)
        return;
    gw_arena_done(&source->arena);
    free(source->uri);
    free(source->ca_file);
    free(source);
}

void cp_issuer_keys_free(struct cp_issuer_keys *keys)
{
    if (!keys)
        return;
    pthread_mutex_lock(keys->lock);
    atomic_store(&keys->stop, true);
    pthread_cond_signal(&keys->changed);
    pthread_mutex_unlock(keys->lock);
    if (keys->has_thread)
        pthread_join(keys->thread, NULL);
    for (size_t i = 0; i < keys->count; i++)
        free_source(keys->sources[i]);
    pthread_cond_destroy(&keys->changed);
    free(keys);
}

int64_t cp_issuer_keys_failures(const struct cp_issuer_keys *keys)
{
    return atomic_load(&keys->failed);
}

/* ---- sources, with the lock held */

static bool is_of(const struct source *source, const char *uri, const char *ca_file)
{
    return source && strcmp(source->uri, uri) == 0 &&
           strcmp(source->ca_file ? source->ca_file : "", ca_file ? ca_file : "") == 0;
}

static struct source **find(struct source **sources, size_t count, const char *uri,
                            const char *ca_file)
{
    for (size_t i = 0; i < count; i++)
        if (is_of(sources[i], uri, ca_file))
            return &sources[i];
    return NULL;
}

static struct source *new_source(const struct cp_issuer *issuer)
{
    struct source *source = gw_calloc(1, sizeof(*source));
    source->uri = gw_strdup(issuer->jwks_uri);
    source->ca_file = issuer->ca_file ? gw_strdup(issuer->ca_file) : NULL;
    return source;
}

/* Every issuer of that URL gets the keys that are there. */
static void spread(const struct cp_issuer_keys *keys, const struct source *source)
{
    for (size_t i = 0; i < keys->credentials->issuer_count; i++) {
        struct cp_issuer *issuer = &keys->credentials->issuers[i];
        if (issuer->jwks_uri && is_of(source, issuer->jwks_uri, issuer->ca_file))
            issuer->jwks = source->jwks;
    }
}

static void *run(void *arg);

void cp_issuer_keys_adopt(struct cp_issuer_keys *keys, struct cp_credentials *credentials)
{
    struct source *now[CP_ISSUERS_MAX] = {NULL};
    size_t count = 0;
    keys->credentials = credentials;
    for (size_t i = 0; i < credentials->issuer_count; i++) {
        const struct cp_issuer *issuer = &credentials->issuers[i];
        if (!issuer->jwks_uri || find(now, count, issuer->jwks_uri, issuer->ca_file))
            continue;
        struct source **former =
            find(keys->sources, keys->count, issuer->jwks_uri, issuer->ca_file);
        now[count++] = former ? *former : new_source(issuer);
        if (former)
            *former = NULL;
    }
    for (size_t i = 0; i < keys->count; i++)
        free_source(keys->sources[i]);
    memcpy(keys->sources, now, sizeof(now));
    keys->count = count;
    for (size_t i = 0; i < count; i++)
        spread(keys, keys->sources[i]);
    if (count > 0 && !keys->has_thread)
        keys->has_thread = pthread_create(&keys->thread, NULL, run, keys) == 0;
    if (count > 0 && !keys->has_thread) /* tried again with the next form of the file */
        gw_log(GW_LOG_ERROR, COMPONENT, "no thread to fetch keys of issuers");
    pthread_cond_signal(&keys->changed);
}

void cp_issuer_keys_miss(struct cp_issuer_keys *keys, const struct cp_issuer *issuer)
{
    struct source **found =
        issuer->jwks_uri ? find(keys->sources, keys->count, issuer->jwks_uri, issuer->ca_file)
                         : NULL;
    if (!found)
        return;
    (*found)->due_ms = GW_MIN((*found)->due_ms, (*found)->asked_ms + CP_KEYS_MISS_S * 1000);
    pthread_cond_signal(&keys->changed);
}

/* ---- the thread */

static void take_failure(struct cp_issuer_keys *keys, struct source *source,
                         const struct gw_error *err, gw_msec now_ms)
{
    gw_msec wait_ms = (gw_msec)CP_KEYS_RETRY_MS << GW_MIN(source->failures, 6U);
    source->failures++;
    source->due_ms = now_ms + GW_MIN(wait_ms, (gw_msec)CP_KEYS_RETRY_MAX_S * 1000);
    atomic_fetch_add(&keys->failed, 1);
    if (strcmp(source->why, err->message) != 0)
        gw_log(GW_LOG_ERROR, COMPONENT,
               source->jwks.count > 0 ? "keys of an issuer not fetched, keeping the former"
                                      : "keys of an issuer not fetched: its tokens are refused",
               gw_kv_text("uri", source->uri), gw_kv_error(err));
    (void)snprintf(source->why, sizeof(source->why), "%s", err->message);
}

static void take_keys(struct cp_issuer_keys *keys, struct source *source, gw_str text,
                      int64_t max_age_s, gw_msec now_ms)
{
    struct gw_arena arena = {0};
    struct gw_error err = GW_ERROR_NONE;
    struct cp_jwks jwks;
    if (cp_jwks_parse(text, &arena, &jwks, &err) < 0) {
        gw_arena_done(&arena);
        take_failure(keys, source, &err, now_ms);
        return;
    }
    if (source->jwks.count == 0 || source->failures > 0)
        gw_log(GW_LOG_INFO, COMPONENT, "keys of an issuer fetched", gw_kv_text("uri", source->uri),
               gw_kv_int("keys", (int64_t)jwks.count));
    int64_t age_s = max_age_s < 0 ? CP_KEYS_AGE_DEFAULT_S : max_age_s;
    age_s = GW_MIN(GW_MAX(age_s, CP_KEYS_AGE_MIN_S), CP_KEYS_AGE_MAX_S);
    gw_arena_done(&source->arena);
    source->arena = arena;
    source->jwks = jwks;
    source->failures = 0;
    source->why[0] = '\0';
    source->due_ms = now_ms + age_s * 1000;
    spread(keys, source);
}

static struct source *earliest(const struct cp_issuer_keys *keys)
{
    struct source *first = NULL;
    for (size_t i = 0; i < keys->count; i++)
        if (!first || keys->sources[i]->due_ms < first->due_ms)
            first = keys->sources[i];
    return first;
}

static void wait_until(struct cp_issuer_keys *keys, const struct source *first)
{
    if (!first) {
        pthread_cond_wait(&keys->changed, keys->lock);
        return;
    }
    struct timespec at = {first->due_ms / 1000, first->due_ms % 1000 * 1000000};
    pthread_cond_timedwait(&keys->changed, keys->lock, &at);
}

/* Gives the lock away meanwhile: the source may be gone then. */
static void ask(struct cp_issuer_keys *keys, struct source *source)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct gw_error err = GW_ERROR_NONE;
    const char *uri = gw_arena_strdup(&arena, source->uri);
    const char *ca_file = source->ca_file ? gw_arena_strdup(&arena, source->ca_file) : NULL;
    gw_str text;
    int64_t max_age_s;
    pthread_mutex_unlock(keys->lock);
    int result = keys->fetch(uri, ca_file, &keys->stop, &arena, &text, &max_age_s, &err);
    pthread_mutex_lock(keys->lock);
    struct source **found = find(keys->sources, keys->count, uri, ca_file);
    gw_msec now_ms = gw_clock_monotonic_ms();
    if (!found || atomic_load(&keys->stop))
        return;
    (*found)->asked_ms = now_ms;
    if (result < 0)
        take_failure(keys, *found, &err, now_ms);
    else
        take_keys(keys, *found, text, max_age_s, now_ms);
}

static void *run(void *arg)
{
    struct cp_issuer_keys *keys = arg;
    pthread_mutex_lock(keys->lock);
    while (!atomic_load(&keys->stop)) {
        struct source *first = earliest(keys);
        if (first && first->due_ms <= gw_clock_monotonic_ms())
            ask(keys, first);
        else
            wait_until(keys, first);
    }
    pthread_mutex_unlock(keys->lock);
    return NULL;
}
