/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions that happen once. Every transaction also writes a mark: a key that belongs to it
 * alone while it runs, and compares the mark's revision with the last one known. So after a lost
 * answer a second transaction on the mark says what became of the first - it finds its mark, or it
 * overwrites the mark (a fence) and the first can never happen any more. */
#include "controlplane/store/etcd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define TRIES_MAX 4 /* of one transaction that certainly did not happen */
#define SWEEP_KEYS 100
#define ETCD_TXN_OPS_MAX 128             /* its --max-txn-ops, when nobody has changed it */
#define FLAT_MAX (ETCD_TXN_OPS_MAX - 1)  /* compares, and operations: one of each is the mark's */
#define INNER_MAX (ETCD_TXN_OPS_MAX / 2) /* of one of the transactions within a large one */
#define NEVER_KEY ETCD_MARK_PREFIX "never/" /* and a number: nobody ever puts one */

_Static_assert((INNER_MAX - 1) * INNER_MAX >= GW_MAX(CP_STORE_OPS_MAX, CP_STORE_COMPARES_MAX),
               "the largest transaction fits");

/* ---- marks ---- */

#define ID_LEN 32

struct id {
    char text[ID_LEN + 1];
};

static struct id new_id(void)
{
    unsigned char bytes[ID_LEN / 2];
    struct id id;
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        gw_panic("getrandom failed");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(id.text + 2 * i, 3, "%02x", bytes[i]);
    return id;
}

static struct etcd_mark *mark_take(struct etcd *etcd)
{
    pthread_mutex_lock(&etcd->lock);
    struct etcd_mark *mark = etcd->marks;
    if (mark)
        etcd->marks = mark->next;
    pthread_mutex_unlock(&etcd->lock);
    if (mark)
        return mark;
    mark = gw_calloc(1, sizeof(*mark));
    snprintf(mark->key, sizeof(mark->key), ETCD_MARK_PREFIX "%s", new_id().text);
    return mark;
}

static void mark_give(struct etcd *etcd, struct etcd_mark *mark)
{
    pthread_mutex_lock(&etcd->lock);
    mark->next = etcd->marks;
    etcd->marks = mark;
    pthread_mutex_unlock(&etcd->lock);
}

void etcd_marks_free(struct etcd *etcd)
{
    while (etcd->marks) {
        struct etcd_mark *mark = etcd->marks;
        etcd->marks = mark->next;
        free(mark);
    }
}

/* ---- what is sent ---- */

static void write_compare(struct gw_buf *body, gw_str key, int64_t mod_revision)
{
    etcd_write(body, "{");
    etcd_write_bytes(body, "key", key);
    etcd_write(body, ",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":\"%" PRId64 "\"}",
               mod_revision);
}

static void write_exists(struct gw_buf *body, gw_str key)
{
    etcd_write(body, "{");
    etcd_write_bytes(body, "key", key);
    etcd_write(body, ",\"target\":\"CREATE\",\"result\":\"GREATER\",\"create_revision\":\"0\"}");
}

static void write_put(struct gw_buf *body, gw_str key, gw_str value, int64_t lease)
{
    etcd_write(body, "{\"request_put\":{");
    etcd_write_bytes(body, "key", key);
    etcd_write(body, ",");
    etcd_write_bytes(body, "value", value);
    if (lease)
        etcd_write(body, ",\"lease\":\"%" PRId64 "\"", lease);
    etcd_write(body, "}}");
}

static void write_delete(struct gw_buf *body, gw_str key)
{
    etcd_write(body, "{\"request_delete_range\":{");
    etcd_write_bytes(body, "key", key);
    etcd_write(body, "}}");
}

void etcd_write_read(struct gw_buf *body, gw_str key)
{
    etcd_write(body, "{\"request_range\":{");
    etcd_write_bytes(body, "key", key);
    etcd_write(body, "}}");
}

static void write_ops(struct gw_buf *body, const struct cp_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct cp_op *op = &ops[i];
        if (i > 0)
            etcd_write(body, ",");
        if (op->kind == CP_OP_PUT)
            write_put(body, op->key, op->value, op->lease);
        else
            write_delete(body, op->key);
    }
}

static void write_compares(struct gw_buf *body, const struct cp_compare *compares, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        etcd_write(body, "%s", i > 0 ? "," : "");
        if (compares[i].kind == CP_COMPARE_EXISTS)
            write_exists(body, compares[i].key);
        else
            write_compare(body, compares[i].key, compares[i].mod_revision);
    }
}

/* Puts the value that a key has to it again, which etcd refuses when the key is not there, and the
 * whole transaction with it, before any of it happens. */
static void write_refusal(struct gw_buf *body, size_t number)
{
    etcd_write(body, "{\"request_put\":{");
    etcd_write_bytes(
        body, "key",
        gw_str_n(NEVER_KEY "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-",
                 strlen(NEVER_KEY) + number + 1)); /* a key of its own: etcd takes none twice */
    etcd_write(body, ",\"ignore_value\":true}}");
}

static size_t part(size_t count, size_t at)
{
    return count > at ? GW_MIN(count - at, (size_t)INNER_MAX) : 0;
}

/* etcd counts the longest of a transaction's lists, and lets a transaction within it have lists of
 * as many as are left of ETCD_TXN_OPS_MAX then. All of it is one revision. It looks at all compares
 * before it does anything; one that does not hold leads to what etcd refuses. */
static void write_nested(struct gw_buf *body, const struct cp_txn *txn)
{
    size_t count = GW_MAX(txn->op_count, txn->compare_count);
    for (size_t at = 0; at < count; at += INNER_MAX) {
        etcd_write(body, "%s{\"request_txn\":{\"compare\":[", at ? "," : "");
        write_compares(body, txn->compares + at, part(txn->compare_count, at));
        etcd_write(body, "],\"success\":[");
        write_ops(body, txn->ops + at, part(txn->op_count, at));
        etcd_write(body, "],\"failure\":[");
        write_refusal(body, at / INNER_MAX);
        etcd_write(body, "]}}");
    }
}

static bool is_flat(const struct cp_txn *txn)
{
    return txn->op_count <= FLAT_MAX && txn->compare_count <= FLAT_MAX;
}

/* mark NULL: without one. */
static void write_txn(struct gw_buf *body, const struct cp_txn *txn, const struct etcd_mark *mark,
                      const struct id *id)
{
    size_t compares = is_flat(txn) ? txn->compare_count : 0;
    etcd_write(body, "{\"compare\":[");
    write_compares(body, txn->compares, compares);
    if (mark) {
        etcd_write(body, "%s", compares > 0 ? "," : "");
        write_compare(body, gw_str_from(mark->key), mark->mod_revision);
    }
    etcd_write(body, "],\"success\":[");
    if (is_flat(txn))
        write_ops(body, txn->ops, txn->op_count);
    else
        write_nested(body, txn);
    if (mark) {
        etcd_write(body, "%s", txn->op_count > 0 ? "," : "");
        write_put(body, gw_str_from(mark->key), gw_str_from(id->text), 0);
        etcd_write(body, "],\"failure\":[");
        etcd_write_read(body, gw_str_from(mark->key));
    }
    etcd_write(body, "]}");
}

static enum etcd_fate post(struct etcd *etcd, struct gw_buf *body, bool once,
                           struct gw_arena *arena, struct etcd_answer *ret_answer,
                           struct gw_error *err)
{
    struct etcd_request request = {.path = "/v3/kv/txn", .body = gw_buf_view(body), .once = once};
    enum etcd_fate fate = etcd_call(etcd, &request, arena, ret_answer, err);
    gw_buf_done(body);
    if (fate == ETCD_ANSWERED && ret_answer->at.cluster_id == 0) {
        etcd_fail_header(err);
        return ETCD_DOUBTFUL;
    }
    return fate;
}

/* ---- what became of it ---- */

enum outcome { HAPPENED, NEVER, UNKNOWN };

/* After a failure of the compares on the mark, whose answer holds the mark. */
static enum outcome read_mark(const struct etcd_answer *answer, struct etcd_mark *mark,
                              const struct id *id, const struct id *fence,
                              struct cp_position *ret_at)
{
    if (answer->kv_count == 0)
        return UNKNOWN; /* somebody deleted it */
    const struct cp_kv *kv = &answer->kvs[0];
    *ret_at = answer->at;
    ret_at->revision = kv->mod_revision;
    mark->mod_revision = kv->mod_revision;
    if (gw_str_eq(kv->value, gw_str_from(id->text)))
        return HAPPENED;
    return fence && gw_str_eq(kv->value, gw_str_from(fence->text)) ? NEVER : UNKNOWN;
}

/* etcd's quota can refuse in words what it has already applied, and it takes no fence then. */
static enum outcome look(struct etcd *etcd, struct etcd_mark *mark, const struct id *id,
                         struct cp_position *ret_at)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct gw_buf body;
    struct gw_error err;
    struct etcd_answer answer;
    gw_buf_init(&body, 0);
    etcd_write(&body, "{\"success\":[");
    etcd_write_read(&body, gw_str_from(mark->key));
    etcd_write(&body, "]}");
    if (post(etcd, &body, false, &arena, &answer, &err) != ETCD_ANSWERED)
        return UNKNOWN;
    return read_mark(&answer, mark, id, NULL, ret_at);
}

/* The answer to the transaction was lost: asks until the answer to this is not. */
static enum outcome resolve(struct etcd *etcd, struct etcd_mark *mark, const struct id *id,
                            struct cp_position *ret_at)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct id fence = new_id();
    struct gw_buf body;
    struct gw_error err;
    struct etcd_answer answer;
    gw_buf_init(&body, 0);
    etcd_write(&body, "{\"compare\":[");
    write_compare(&body, gw_str_from(mark->key), mark->mod_revision);
    etcd_write(&body, "],\"success\":[");
    write_put(&body, gw_str_from(mark->key), gw_str_from(fence.text), 0);
    etcd_write(&body, "],\"failure\":[");
    etcd_write_read(&body, gw_str_from(mark->key));
    etcd_write(&body, "]}");
    enum etcd_fate fate = post(etcd, &body, false, &arena, &answer, &err);
    if (fate == ETCD_REFUSED && etcd_error_is_no_space(&answer.error))
        return look(etcd, mark, id, ret_at);
    if (fate != ETCD_ANSWERED)
        return UNKNOWN;
    if (!answer.succeeded)
        return read_mark(&answer, mark, id, &fence, ret_at);
    mark->mod_revision = answer.at.revision;
    return NEVER;
}

/* ---- the transaction ---- */

enum step { DONE, AGAIN, FAILED, LOST };

/* The compares did not hold: the caller's, or only ours, because the mark was deleted or the store
 * is a restored one. */
static enum step on_failed_compare(struct etcd_mark *mark, const struct etcd_answer *answer,
                                   struct cp_commit *ret_commit)
{
    int64_t seen = answer->kv_count ? answer->kvs[0].mod_revision : 0;
    if (seen != mark->mod_revision) {
        mark->mod_revision = seen;
        return AGAIN;
    }
    *ret_commit = (struct cp_commit){.committed = false, .at = answer->at};
    return DONE;
}

/* A compare within a large transaction did not hold, while the mark was as it should be. */
static enum step on_failed_part(struct etcd *etcd, struct cp_commit *ret_commit,
                                struct gw_error *err)
{
    *ret_commit = (struct cp_commit){.committed = false};
    return cp_store_ping(&etcd->store, &ret_commit->at, err) ? FAILED : DONE;
}

static enum step try_once(struct etcd *etcd, const struct cp_txn *txn, struct etcd_mark *mark,
                          struct cp_commit *ret_commit, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct id id = new_id();
    struct gw_buf body;
    struct etcd_answer answer;
    gw_buf_init(&body, 0);
    write_txn(&body, txn, mark, &id);
    enum etcd_fate fate = post(etcd, &body, true, &arena, &answer, err);
    if (fate == ETCD_ANSWERED && !answer.succeeded)
        return on_failed_compare(mark, &answer, ret_commit);
    if (fate == ETCD_REFUSED && etcd_error_is_no_key(&answer.error))
        return on_failed_part(etcd, ret_commit, err);
    *ret_commit = (struct cp_commit){.committed = true, .at = answer.at};
    if (fate == ETCD_ANSWERED) {
        mark->mod_revision = answer.at.revision;
        return DONE;
    }
    if (fate == ETCD_UNSENT)
        return FAILED;
    if (fate == ETCD_REFUSED && !etcd_error_is_no_space(&answer.error))
        return FAILED;
    if (fate == ETCD_REFUSED) /* not found: it did not happen */
        return look(etcd, mark, &id, &ret_commit->at) == HAPPENED ? DONE : FAILED;
    switch (resolve(etcd, mark, &id, &ret_commit->at)) {
    case HAPPENED:
        return DONE;
    case NEVER:
        return AGAIN;
    default:
        return LOST;
    }
}

/* Nothing to write: a read that may be repeated. */
static int check_only(struct etcd *etcd, const struct cp_txn *txn, struct cp_commit *ret_commit,
                      struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct gw_buf body;
    struct etcd_answer answer;
    gw_buf_init(&body, 0);
    write_txn(&body, txn, NULL, NULL);
    enum etcd_fate fate = post(etcd, &body, false, &arena, &answer, err);
    if (fate == ETCD_REFUSED && etcd_error_is_no_key(&answer.error))
        return on_failed_part(etcd, ret_commit, err) == DONE ? 0 : -1;
    if (fate != ETCD_ANSWERED)
        return -1;
    *ret_commit = (struct cp_commit){.committed = answer.succeeded, .at = answer.at};
    return 0;
}

int etcd_txn(struct cp_store *store, const struct cp_txn *txn, struct cp_commit *ret_commit,
             struct gw_error *err)
{
    struct etcd *etcd = etcd_of(store);
    if (txn->op_count == 0)
        return check_only(etcd, txn, ret_commit, err);
    struct etcd_mark *mark = mark_take(etcd);
    struct cp_commit commit;
    enum step step = AGAIN;
    gw_fail(err, GW_UNAVAILABLE, "etcd lost a transaction %d times; it did not happen", TRIES_MAX);
    for (unsigned i = 0; i < TRIES_MAX && step == AGAIN; i++)
        step = try_once(etcd, txn, mark, &commit, err);
    if (step == LOST) {
        free(mark); /* it may still be written */
        err->code = GW_UNAVAILABLE;
        return gw_error_reason(err, CP_STORE_OUTCOME_UNKNOWN);
    }
    mark_give(etcd, mark);
    if (step != DONE)
        return -1;
    *err = GW_ERROR_NONE;
    *ret_commit = commit;
    return 0;
}

/* ---- old marks ---- */

static int find_old(struct etcd *etcd, int64_t revision, struct gw_arena *arena,
                    struct etcd_answer *ret_answer, struct gw_error *err)
{
    struct gw_buf body;
    gw_buf_init(&body, 0);
    etcd_write(&body, "{");
    etcd_write_range(&body, GW_STR(ETCD_MARK_PREFIX), GW_STR_NONE);
    etcd_write(&body, ",\"keys_only\":true,\"limit\":\"%d\",\"max_mod_revision\":\"%" PRId64 "\"}",
               SWEEP_KEYS, revision);
    struct etcd_request request = {.path = "/v3/kv/range", .body = gw_buf_view(&body)};
    enum etcd_fate fate = etcd_call(etcd, &request, arena, ret_answer, err);
    gw_buf_done(&body);
    return fate == ETCD_ANSWERED ? 0 : -1;
}

/* A mark in use that is deleted here is made anew by its owner (on_failed_compare). */
int etcd_marks_sweep(struct etcd *etcd, int64_t revision, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct etcd_answer old, answer;
    struct gw_buf body;
    if (find_old(etcd, revision, &arena, &old, err))
        return -1;
    if (old.kv_count == 0)
        return 0;
    gw_buf_init(&body, 0);
    etcd_write(&body, "{\"compare\":[");
    for (size_t i = 0; i < old.kv_count; i++) {
        etcd_write(&body, "%s", i ? "," : "");
        write_compare(&body, old.kvs[i].key, old.kvs[i].mod_revision);
    }
    etcd_write(&body, "],\"success\":[");
    for (size_t i = 0; i < old.kv_count; i++) {
        etcd_write(&body, "%s", i ? "," : "");
        write_delete(&body, old.kvs[i].key);
    }
    etcd_write(&body, "]}");
    /* when one has been written meanwhile they all stay until the next time */
    return post(etcd, &body, false, &arena, &answer, err) == ETCD_ANSWERED ? 0 : -1;
}
