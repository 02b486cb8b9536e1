/* SPDX-License-Identifier: Apache-2.0 */
/* One POST to one member of etcd, and what its refusals mean. For etcd*.c only. */
#ifndef CP_ETCD_HTTP_H
#define CP_ETCD_HTTP_H

#include "controlplane/store/etcd_json.h"

#include <curl/curl.h>
#include <stdatomic.h>

#define ETCD_TOO_BIG "ANSWER_TOO_BIG" /* reason: more than etcd->answer_bytes_max */
#define ETCD_ANSWER_BYTES_MAX ((size_t)128 * 1024 * 1024) /* of JSON, of one answer */

struct etcd;

/* An easy handle with a loop of its own, so that another thread can end a call. */
struct etcd_conn {
    struct etcd_conn *next; /* in the pool */
    CURL *easy;             /* owned */
    CURLM *multi;           /* owned; keeps the connections */
    atomic_bool is_cancelled;
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
bool etcd_error_is_no_key(const struct etcd_error *error);   /* of what must be there for a put */

#endif
