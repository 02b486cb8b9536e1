/* SPDX-License-Identifier: Apache-2.0 */
/* house: one contract, read as a whole: its limits, both kinds of store, and every call.
 *
 * The only door to what is stored: etcd or SQLite under one contract. Every call blocks, takes any
 * thread, and answers within the store's timeout. UNAVAILABLE: no endpoint answers. Keys are text
 * such as "/penstock/v1/apis/orders/list", values are bytes. What calls return lies in the arena.
 */
#ifndef CP_STORE_H
#define CP_STORE_H

#include "common/arena.h"
#include "common/clock.h"
#include "common/error.h"

#define CP_STORE_KEY_MAX 512
#define CP_STORE_VALUE_MAX (1024 * 1024)
#define CP_STORE_TXN_BYTES_MAX (1024 * 1024) /* keys and values of one transaction together */
#define CP_STORE_COMPARES_MAX 4000           /* of one transaction */
#define CP_STORE_OPS_MAX 4000
#define CP_STORE_LIMIT_MAX 5000 /* of one page of a list */
#define CP_STORE_OUTCOME_UNKNOWN                                                                   \
    "OUTCOME_UNKNOWN" /* reason: a write may or may not have happened */

#define CP_STORE_AWAY "STORE_AWAY" /* reason of every other UNAVAILABLE of a call */

struct cp_store;

/* A point in the history of one store. Revisions only compare under the same cluster id. */
struct cp_position {
    uint64_t cluster_id; /* never 0 in an answer */
    int64_t revision;
};

struct cp_kv {
    gw_str key, value;       /* value is empty in an event of a deletion */
    int64_t mod_revision;    /* of the last write (or of the deletion); the resource's etag */
    int64_t create_revision; /* 0 in an event of a deletion */
};

struct cp_etcd_options {   /* all text is copied */
    const char *endpoints; /* "https://a:2379,https://b:2379": tried in order, then around */
    const char *ca_file;   /* PEM; NULL: the system's */
    const char *cert_file; /* client certificate, PEM, without a CN; NULL: none */
    const char *key_file;
    const char *user;          /* NULL: no authentication */
    const char *password_file; /* read at every authentication; a final newline is dropped */
    gw_msec timeout_ms;        /* of one attempt at one endpoint; 0: 5 s */
    gw_msec progress_ms;       /* etcd's --experimental-watch-progress-notify-interval; a watch that
                                * is silent for three of them reconnects. 0: 10 min, etcd's default */
};

/* Does not contact etcd: a control plane may start before its store does. */
GW_MUST_CHECK int cp_store_open_etcd(const struct cp_etcd_options *options,
                                     struct cp_store **ret_store, struct gw_error *err);
/* A file, made when absent and locked against a second process, or ":memory:". */
GW_MUST_CHECK int cp_store_open_sqlite(const char *path, struct cp_store **ret_store,
                                       struct gw_error *err);
/* All watches are closed and all calls have returned. Takes NULL. */
void cp_store_close(struct cp_store *store);

struct cp_found {
    bool found; /* false: kv is empty with mod_revision 0 */
    struct cp_kv kv;
    struct cp_position at;
};
GW_MUST_CHECK int cp_store_get(struct cp_store *store, gw_str key, struct gw_arena *arena,
                               struct cp_found *ret_found, struct gw_error *err);

/* Several of them, with one question to a store that takes one: ret_found[i] is keys[i]'s. */
GW_MUST_CHECK int cp_store_get_all(struct cp_store *store, const gw_str *keys, size_t count,
                                   struct gw_arena *arena, struct cp_found *ret_found,
                                   struct gw_error *err);

struct cp_range {
    gw_str prefix;       /* empty: every key */
    gw_str after_key;    /* the last key of the page before; empty: from the start */
    size_t limit;        /* 0 or above CP_STORE_LIMIT_MAX: CP_STORE_LIMIT_MAX */
    int64_t at_revision; /* 0: now. Later pages pass the first page's revision; when it has been
                          * compacted since: OUT_OF_RANGE, start over */
    bool keys_only;      /* values stay empty */
};
struct cp_page {
    struct cp_kv *kvs; /* by key in byte order */
    size_t count;
    bool more;             /* keys may remain after the last one; false: none do */
    struct cp_position at; /* at_revision, or the store's revision now */
};
GW_MUST_CHECK int cp_store_list(struct cp_store *store, const struct cp_range *range,
                                struct gw_arena *arena, struct cp_page *ret_page,
                                struct gw_error *err);
/* How many keys have the prefix now. */
GW_MUST_CHECK int cp_store_count(struct cp_store *store, gw_str prefix, int64_t *ret_count,
                                 struct gw_error *err);

enum cp_compare_kind { CP_COMPARE_MOD, CP_COMPARE_EXISTS };
struct cp_compare {
    gw_str key;
    enum cp_compare_kind kind;
    int64_t mod_revision; /* CP_COMPARE_MOD: of exactly this revision; 0: absent */
};
enum cp_op_kind { CP_OP_PUT, CP_OP_DELETE };
struct cp_op {
    enum cp_op_kind kind;
    gw_str key, value; /* a key at most once in a transaction; deleting an absent key is no error */
    int64_t lease;     /* CP_OP_PUT: deleted when this lease ends; 0: stays */
};
struct cp_txn {
    const struct cp_compare *compares;
    size_t compare_count;
    const struct cp_op *ops;
    size_t op_count;
};
struct cp_commit {
    bool committed;        /* false: a compare did not hold and nothing changed; read again */
    struct cp_position at; /* committed: the mod revision of every key put */
};
/* Called when a transaction has changed something, on the thread that made it, before it returns.
 * One listener; set before the first transaction. */
typedef void cp_store_listener(void *arg, int64_t revision);
void cp_store_listen(struct cp_store *store, cp_store_listener *on_commit, void *arg);
/* All or nothing. A lost answer is resolved by asking again (the store marks its transactions);
 * only when that fails too: UNAVAILABLE with reason CP_STORE_OUTCOME_UNKNOWN. Above the limits:
 * INVALID_ARGUMENT. A dead lease: NOT_FOUND. A full store: RESOURCE_EXHAUSTED. */
GW_MUST_CHECK int cp_store_txn(struct cp_store *store, const struct cp_txn *txn,
                               struct cp_commit *ret_commit, struct gw_error *err);

/* A lease ends when it has not been kept alive for ttl_s; its keys are then deleted. */
GW_MUST_CHECK int cp_store_lease_grant(struct cp_store *store, int64_t ttl_s, int64_t *ret_lease,
                                       struct gw_error *err);
/* NOT_FOUND: it has ended. */
GW_MUST_CHECK int cp_store_lease_keepalive(struct cp_store *store, int64_t lease,
                                           struct gw_error *err);
GW_MUST_CHECK int cp_store_lease_revoke(struct cp_store *store, int64_t lease,
                                        struct gw_error *err);

/* Where the store is now; also the health check: a quorum answered and our credentials are good. */
GW_MUST_CHECK int cp_store_ping(struct cp_store *store, struct cp_position *ret_at,
                                struct gw_error *err);
/* Forgets the history but for the last `keep` revisions. */
GW_MUST_CHECK int cp_store_compact(struct cp_store *store, int64_t keep, struct gw_error *err);

#endif
