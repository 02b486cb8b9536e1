/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the etcd store share: one member at a time over its v3 JSON gateway. For
 * etcd*.c only; the rest of the control plane knows store.h. */
#ifndef CP_ETCD_H
#define CP_ETCD_H

#include "controlplane/store/etcd_json.h"
#include "controlplane/store/store_internal.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

#define ETCD_ENDPOINTS_MAX 16
#define ETCD_IDLE_CONNS_MAX 16        /* kept between calls; more calls at a time make more */
#define ETCD_TOO_BIG "ANSWER_TOO_BIG" /* reason: more than ETCD_ANSWER_BYTES_MAX */
#define ETCD_TOKEN_MAX 4096           /* of an authentication token; a JWT may be long */
#define ETCD_ANSWER_BYTES_MAX ((size_t)128 * 1024 * 1024) /* of JSON, of one answer */
/* The keys of our transactions' marks (etcd_txn.c). No list, count or watch shows them. */
#define ETCD_MARK_PREFIX "/penstock/txn/"

/* An easy handle with a loop of its own, so that another thread can end a call. */
struct etcd_conn {
    struct etcd_conn *next; /* in the pool */
    CURL *easy;             /* owned */
    CURLM *multi;           /* owned; keeps the connections */
    atomic_bool is_cancelled;
};

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
    atomic_uint preferred; /* the endpoint that answered last */

    pthread_mutex_t lock; /* of what follows */
    struct etcd_conn *idle;
    unsigned idle_count;
    struct etcd_mark *marks;
    char *token; /* owned; NULL: none yet */
};

enum etcd_fate {
    ETCD_ANSWERED, /* the answer is good */
    ETCD_REFUSED,  /* etcd said no and did nothing; asking elsewhere does not help */
    ETCD_UNSENT,   /* it never got there */
    ETCD_DOUBTFUL, /* it may or may not have been done */
};

struct etcd_request {
    const char *path; /* "/v3/kv/range" */
    gw_str body;
    bool once; /* must not be carried out twice */
};

/* ---- etcd_http.c ---- */

/* Sets what never changes: TLS, HTTP/1.1, no proxy. */
struct etcd_conn *etcd_conn_new(const struct etcd *etcd);
void etcd_conn_free(struct etcd_conn *conn);
/* From any thread: the call ends at once, and so does every later one. */
void etcd_conn_cancel(struct etcd_conn *conn);
/* Sets URL, headers and body (borrowed until the transfer ends) of a POST; what it returns goes to
 * curl_slist_free_all after the transfer. token NULL: none. header NULL: no other. */
struct curl_slist *etcd_post_set(CURL *easy, const char *endpoint,
                                 const struct etcd_request *request, const char *token,
                                 const char *header);
/* One POST to one endpoint. err is set unless ETCD_ANSWERED; with ETCD_REFUSED the answer says why.
 */
enum etcd_fate etcd_post(struct etcd *etcd, struct etcd_conn *conn, unsigned endpoint,
                         const struct etcd_request *request, const char *token,
                         struct gw_arena *arena, struct etcd_answer *ret_answer,
                         struct gw_error *err);

/* ---- etcd_error.c ---- */

/* An UNAVAILABLE that names the endpoint and what curl says. Returns -1. */
int etcd_fail_curl(struct gw_error *err, const char *endpoint, CURLcode code, const char *detail);
/* Turns error into err. Returns -1. */
int etcd_fail_answer(struct gw_error *err, const struct etcd_error *error);
/* An answer with an HTTP status that is not 200 and this text. */
void etcd_error_from_http(long status, gw_str text, struct etcd_error *ret_error);
/* True: etcd certainly did nothing. */
bool etcd_error_is_final(const struct etcd_error *error);
bool etcd_error_is_token(const struct etcd_error *error);    /* a new token may help */
bool etcd_error_is_no_space(const struct etcd_error *error); /* the NOSPACE alarm */

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

/* ---- etcd_txn.c ---- */

int etcd_txn(struct cp_store *store, const struct cp_txn *txn, struct cp_commit *ret_commit,
             struct gw_error *err);
void etcd_marks_free(struct etcd *etcd);
/* Deletes marks that nobody has written after the revision: their processes have ended. */
GW_MUST_CHECK int etcd_marks_sweep(struct etcd *etcd, int64_t revision, struct gw_error *err);

/* ---- etcd_watch.c ---- */

int etcd_watch_open(struct cp_store *store, gw_str prefix, struct cp_position after,
                    struct cp_watch **ret_watch, struct gw_error *err);

#endif
