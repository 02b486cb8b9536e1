/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the etcd store share: one member at a time over its v3 JSON gateway. For
 * etcd*.c only; the rest of the control plane knows store.h. */
#ifndef CP_ETCD_H
#define CP_ETCD_H

#include "common/map.h"
#include "controlplane/store/etcd_http.h"
#include "controlplane/store/store_internal.h"

#include <pthread.h>
#include <stdatomic.h>

#define ETCD_ENDPOINTS_MAX 16
#define ETCD_IDLE_CONNS_MAX 16 /* kept between calls; more calls at a time make more */
#define ETCD_LARGE_KEYS 5000   /* of a prefix; etcd walks over as many in a few milliseconds */
#define ETCD_TOKEN_MAX 4096    /* of an authentication token; a JWT may be long */
/* The keys of our transactions' marks (etcd_txn.c). No list, count or watch shows them. */
#define ETCD_MARK_PREFIX "/penstock/txn/"

/* A key that only we write, by one transaction at a time. */
struct etcd_mark {
    struct etcd_mark *next; /* in the pool */
    char key[64];
    int64_t mod_revision; /* as far as we know; 0: absent */
};

struct etcd {
    struct cp_store store;
    char *endpoints[ETCD_ENDPOINTS_MAX]; /* owned, without a final '/' */
    unsigned endpoint_count;
    char *ca_file, *cert_file, *key_file, *user, *password_file; /* owned, may be NULL */
    gw_msec timeout_ms, progress_ms;
    size_t answer_bytes_max; /* ETCD_ANSWER_BYTES_MAX; tests lower it */
    int64_t large_keys;      /* ETCD_LARGE_KEYS; likewise */
    atomic_uint preferred;   /* the endpoint that answered last */

    pthread_mutex_t lock; /* of what follows */
    struct etcd_conn *idle;
    unsigned idle_count;
    struct etcd_mark *marks;
    char *token;         /* owned; NULL: none yet */
    struct gw_map large; /* by prefix (etcd_list.c) */
};

/* ---- etcd_call.c ---- */

/* One attempt at one endpoint, with a token that is renewed when needed. */
enum etcd_fate etcd_attempt(struct etcd *etcd, struct etcd_conn *conn, unsigned endpoint,
                            const struct etcd_request *request, struct gw_arena *arena,
                            struct etcd_answer *ret_answer, struct gw_error *err);
/* Goes around the endpoints until one answers or refuses, from the one that answered last. With
 * `once` it stops at the first attempt that may have been carried out. */
enum etcd_fate etcd_call(struct etcd *etcd, const struct etcd_request *request,
                         struct gw_arena *arena, struct etcd_answer *ret_answer,
                         struct gw_error *err);
/* A copy of the token in the arena, asking the endpoint for one when there is none. NULL in
 * *ret_token: etcd wants none. */
enum etcd_fate etcd_token(struct etcd *etcd, struct etcd_conn *conn, unsigned endpoint,
                          struct gw_arena *arena, char **ret_token, struct gw_error *err);
/* The token was refused: forgets it, unless another thread has renewed it. */
void etcd_token_drop(struct etcd *etcd, const char *token);
/* The next endpoint, after this one gave no answer. */
void etcd_prefer_next(struct etcd *etcd, unsigned endpoint);
void etcd_idle_free(struct etcd *etcd);

/* ---- etcd.c ---- */

static inline struct etcd *etcd_of(struct cp_store *store)
{
    return gw_container_of(store, struct etcd, store);
}

bool etcd_is_mark(gw_str key);
/* An answer without a position. Returns -1. */
int etcd_fail_header(struct gw_error *err);

/* A call that may be repeated and whose answer has a header. Takes what is in the body. */
GW_MUST_CHECK int etcd_ask(struct etcd *etcd, const char *path, struct gw_buf *body,
                           struct gw_arena *arena, struct etcd_answer *ret_answer,
                           struct gw_error *err);

/* ---- etcd_list.c ---- */

int etcd_list(struct cp_store *store, const struct cp_range *range, struct gw_arena *arena,
              struct cp_page *ret_page, struct gw_error *err);
void etcd_large_init(struct etcd *etcd);
void etcd_large_done(struct etcd *etcd);

/* ---- etcd_txn.c ---- */

/* As one operation of a transaction. */
void etcd_write_read(struct gw_buf *body, gw_str key);

int etcd_txn(struct cp_store *store, const struct cp_txn *txn, struct cp_commit *ret_commit,
             struct gw_error *err);
void etcd_marks_free(struct etcd *etcd);
/* Deletes marks that nobody has written after the revision: their processes have ended. */
GW_MUST_CHECK int etcd_marks_sweep(struct etcd *etcd, int64_t revision, struct gw_error *err);

/* ---- etcd_watch.c ---- */

int etcd_watch_open(struct cp_store *store, gw_str prefix, struct cp_position after,
                    struct cp_watch **ret_watch, struct gw_error *err);

#endif
