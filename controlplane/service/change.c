/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/change.h"

#include "common/message.h"
#include "controlplane/service/audit.h"
#include "controlplane/service/limits.h"
#include "controlplane/service/seen.h"

#include <stdatomic.h>
#include <time.h>

#define GUARDS CP_KEY_ROOT "guards/"
#define INDEX CP_KEY_ROOT "index/"
#define REFERENCES INDEX "refs/"
#define LIMITS CP_KEY_ROOT "limits/"
#define LIMIT_KEYS 1024
#define FIRST_ROOM 16
#define PAUSE_MAX_MS 256 /* before a try; from 2 on, four times as long each time */

/* ---- keys beside the resources' */

static gw_str tail_of(gw_str key)
{
    size_t root = strlen(CP_KEY_ROOT);
    assert(key.len > root);
    return gw_str_n(key.ptr + root, key.len - root);
}

static gw_str guard_key(struct gw_arena *arena, gw_str key)
{
    return gw_arena_printf(arena, GUARDS "%.*s", GW_STR_ARG(tail_of(key)));
}

static gw_str references_prefix(struct gw_arena *arena, gw_str key)
{
    return gw_arena_printf(arena, REFERENCES "%.*s/", GW_STR_ARG(tail_of(key)));
}

static gw_str reference_key(struct gw_arena *arena, gw_str from, gw_str to)
{
    return gw_arena_printf(arena, "%.*s%.*s", GW_STR_ARG(references_prefix(arena, to)),
                           GW_STR_ARG(tail_of(from)));
}

gw_str cp_change_claim_key(struct gw_arena *arena, const char *index, gw_str value)
{
    return gw_arena_printf(arena, INDEX "%s/%.*s", index, GW_STR_ARG(value));
}

/* ---- parts */

static struct cp_compare *find_compare(struct cp_change *change, gw_str key)
{
    for (size_t i = 0; i < change->compare_count; i++)
        if (gw_str_eq(change->compares[i].key, key))
            return &change->compares[i];
    return NULL;
}

static void *grow(struct gw_arena *arena, const void *items, size_t count, size_t room, size_t size)
{
    void *more = gw_arena_zalloc(arena, room * size);
    if (count > 0)
        memcpy(more, items, count * size);
    return more;
}

void cp_change_copy(struct cp_change *to, const struct cp_change *from)
{
    struct cp_change room = *to;
    *to = *from;
    to->compares = room.compares;
    to->ops = room.ops;
    to->compare_room = room.compare_room;
    to->op_room = room.op_room;
    if (room.compare_room < from->compare_count) {
        to->compare_room = from->compare_room;
        to->compares = GW_ARENA_ARRAY(from->arena, struct cp_compare, from->compare_room);
    }
    if (room.op_room < from->op_count) {
        to->op_room = from->op_room;
        to->ops = GW_ARENA_ARRAY(from->arena, struct cp_op, from->op_room);
    }
    if (from->compare_count > 0)
        memcpy(to->compares, from->compares, from->compare_count * sizeof *to->compares);
    if (from->op_count > 0)
        memcpy(to->ops, from->ops, from->op_count * sizeof *to->ops);
}

static void add_compare(struct cp_change *change, struct cp_compare compare)
{
    size_t count = change->compare_count;
    if (count == CP_STORE_COMPARES_MAX) {
        change->overflow = true;
        return;
    }
    if (count == change->compare_room) {
        size_t room = GW_MAX((size_t)FIRST_ROOM, 2 * count);
        change->compares = grow(change->arena, change->compares, count, room, sizeof compare);
        change->compare_room = room;
    }
    change->compares[count] = compare;
    change->compare_count++;
}

/* Of two readings of one key the first counts: when they differ somebody was faster. */
void cp_change_expect(struct cp_change *change, gw_str key, int64_t mod_revision)
{
    struct cp_compare compare = {.key = key, .kind = CP_COMPARE_MOD, .mod_revision = mod_revision};
    struct cp_compare *there = find_compare(change, key);
    if (!there)
        add_compare(change, compare);
    else if (there->kind == CP_COMPARE_EXISTS)
        *there = compare;
}

static void want(struct cp_change *change, gw_str key)
{
    if (!find_compare(change, key))
        add_compare(change, (struct cp_compare){.key = key, .kind = CP_COMPARE_EXISTS});
}

static void append_op(struct cp_change *change, struct cp_op op)
{
    if (change->op_count == change->op_room) {
        change->op_room = GW_MAX((size_t)FIRST_ROOM, 2 * change->op_count);
        change->ops =
            grow(change->arena, change->ops, change->op_count, change->op_room, sizeof op);
    }
    change->ops[change->op_count++] = op;
}

static void add_op(struct cp_change *change, struct cp_op op)
{
    for (size_t i = 0; i < change->op_count; i++) {
        if (gw_str_eq(change->ops[i].key, op.key)) {
            change->ops[i] = op;
            return;
        }
    }
    if (change->op_count == CP_CHANGE_OPS_MAX)
        change->overflow = true;
    else
        append_op(change, op);
}

void cp_change_put(struct cp_change *change, gw_str key, gw_str value)
{
    add_op(change, (struct cp_op){.kind = CP_OP_PUT, .key = key, .value = value});
}

void cp_change_put_message(struct cp_change *change, gw_str key, const ProtobufCMessage *message)
{
    cp_change_put(change, key, gw_message_pack(change->arena, message));
}

void cp_change_delete(struct cp_change *change, gw_str key)
{
    add_op(change, (struct cp_op){.kind = CP_OP_DELETE, .key = key});
}

void cp_change_refer(struct cp_change *change, enum cp_kind_id from_kind, const char *from,
                     enum cp_kind_id to_kind, const char *to)
{
    gw_str from_key = cp_key_of(change->arena, from_kind, from);
    gw_str to_key = cp_key_of(change->arena, to_kind, to);
    want(change, to_key);
    cp_change_put(change, guard_key(change->arena, to_key), GW_STR_NONE);
    cp_change_put(change, reference_key(change->arena, from_key, to_key), gw_str_from(from));
}

void cp_change_unrefer(struct cp_change *change, enum cp_kind_id from_kind, const char *from,
                       enum cp_kind_id to_kind, const char *to)
{
    gw_str from_key = cp_key_of(change->arena, from_kind, from);
    gw_str to_key = cp_key_of(change->arena, to_kind, to);
    cp_change_delete(change, reference_key(change->arena, from_key, to_key));
}

void cp_change_under(struct cp_change *change, enum cp_kind_id parent_kind, const char *parent)
{
    gw_str key = cp_key_of(change->arena, parent_kind, parent);
    want(change, key);
    cp_change_put(change, guard_key(change->arena, key), GW_STR_NONE);
}

static int read_revision(const struct cp_call *call, gw_str key, int64_t *ret_revision,
                         struct gw_error *err)
{
    struct cp_found found;
    if (cp_read(call, key, &found, err) < 0)
        return -1;
    *ret_revision = found.kv.mod_revision;
    return 0;
}

int cp_change_guard(const struct cp_call *call, struct cp_change *change, enum cp_kind_id kind,
                    const char *name, struct gw_error *err)
{
    int64_t revision;
    gw_str guard = guard_key(change->arena, cp_key_of(change->arena, kind, name));
    if (read_revision(call, guard, &revision, err) < 0)
        return -1;
    cp_change_expect(change, guard, revision);
    return 0;
}

int cp_change_remove(const struct cp_call *call, struct cp_change *change, enum cp_kind_id kind,
                     const char *name, int64_t mod_revision, struct gw_error *err)
{
    gw_str key = cp_key_of(change->arena, kind, name);
    if (cp_change_guard(call, change, kind, name, err) < 0)
        return -1;
    cp_change_delete(change, guard_key(change->arena, key));
    cp_change_expect(change, key, mod_revision);
    cp_change_delete(change, key);
    return 0;
}

static struct cp_range referrers_range(const struct cp_call *call, enum cp_kind_id from_kind,
                                       enum cp_kind_id kind, const char *name)
{
    gw_str all = references_prefix(call->arena, cp_key_of(call->arena, kind, name));
    return (struct cp_range){.prefix = gw_arena_printf(call->arena, "%.*s%s/", GW_STR_ARG(all),
                                                       cp_kind_get(from_kind)->word)};
}

struct users {
    gw_str names; /* as one text */
    unsigned named, hidden;
    bool has_more;
};

/* The first ones that are not of the kind `except`. */
static int name_referrers(const struct cp_call *call, enum cp_kind_id except, enum cp_kind_id kind,
                          const char *name, struct users *ret, struct gw_error *err)
{
    struct cp_page page = {.more = true};
    gw_str key = cp_key_of(call->arena, kind, name), passed_over = GW_STR_NONE;
    struct cp_range range = {
        .prefix = references_prefix(call->arena, key),
        .limit = CP_REFERRERS_NAMED_MAX,
    };
    if (except != CP_KIND_COUNT)
        passed_over = referrers_range(call, except, kind, name).prefix;
    *ret = (struct users){.names = GW_STR("")};
    while (page.more && ret->hidden < CP_REFERRERS_READ_MAX) {
        if (cp_store_list(call->services->store, &range, call->arena, &page, err) < 0)
            return -1;
        for (size_t i = 0; i < page.count; i++) {
            range.after_key = page.kvs[i].key;
            if (passed_over.len > 0 && gw_str_has_prefix(page.kvs[i].key, passed_over)) {
                /* Behind all of them: "0" is what comes after "/". */
                range.after_key = gw_arena_printf(call->arena, "%.*s0", (int)passed_over.len - 1,
                                                  passed_over.ptr);
                continue;
            }
            if (!cp_may_see(call, page.kvs[i].value)) {
                ret->hidden++;
            } else if (ret->named == CP_REFERRERS_NAMED_MAX) {
                ret->has_more = true;
                return 0;
            } else {
                ret->names =
                    gw_arena_printf(call->arena, "%.*s%s%.*s", GW_STR_ARG(ret->names),
                                    ret->named++ ? ", " : "", GW_STR_ARG(page.kvs[i].value));
            }
        }
    }
    return 0;
}

int cp_refuse_referred(const struct cp_call *call, enum cp_kind_id except, enum cp_kind_id kind,
                       const char *name, struct gw_error *err)
{
    struct users users;
    if (name_referrers(call, except, kind, name, &users, err) < 0)
        return -1;
    if (users.named == 0 && users.hidden == 0)
        return 0;
    (void)gw_fail(err, GW_FAILED_PRECONDITION, "%s is used by %.*s%s%s", name,
                  GW_STR_ARG(users.names), users.has_more ? " and others" : "",
                  users.has_more || users.hidden == 0 ? ""
                  : users.named > 0                   ? ", and by others that you may not read"
                                                      : "others that you may not read");
    return gw_error_reason(err, "IN_USE");
}

int cp_referrers(const struct cp_call *call, enum cp_kind_id from_kind, enum cp_kind_id kind,
                 const char *name, size_t limit, struct cp_page *ret_page, struct gw_error *err)
{
    struct cp_range range = referrers_range(call, from_kind, kind, name);
    range.limit = limit;
    return cp_store_list(call->services->store, &range, call->arena, ret_page, err);
}

static int each_referrer(const struct cp_call *call, struct cp_range range, cp_visit_name *visit,
                         void *arg, struct gw_error *err)
{
    struct cp_page page;
    do {
        if (cp_store_list(call->services->store, &range, call->arena, &page, err) < 0)
            return -1;
        for (size_t i = 0; i < page.count; i++)
            if (visit(arg, gw_arena_dup(call->arena, page.kvs[i].value).ptr, err) < 0)
                return -1;
        range.at_revision = page.at.revision;
        if (page.count > 0)
            range.after_key = page.kvs[page.count - 1].key;
    } while (page.more);
    return 0;
}

int cp_each_referrer(const struct cp_call *call, enum cp_kind_id from_kind, enum cp_kind_id kind,
                     const char *name, cp_visit_name *visit, void *arg, struct gw_error *err)
{
    return each_referrer(call, referrers_range(call, from_kind, kind, name), visit, arg, err);
}

int cp_each_referrer_below(const struct cp_call *call, enum cp_kind_id kind, const char *parent,
                           cp_visit_name *visit, void *arg, struct gw_error *err)
{
    gw_str below = cp_key_children(call->arena, kind, gw_str_from(parent)); /* ends with a slash */
    struct cp_range range = {
        .prefix = references_prefix(call->arena, gw_str_n(below.ptr, below.len - 1))};
    return each_referrer(call, range, visit, arg, err);
}

int cp_change_claim(const struct cp_call *call, struct cp_change *change, const char *index,
                    gw_str value, const char *owner, struct gw_error *err)
{
    struct cp_found found;
    gw_str key = cp_change_claim_key(change->arena, index, value);
    if (cp_read(call, key, &found, err) < 0)
        return -1;
    if (found.found && !gw_str_eq(found.kv.value, gw_str_from(owner))) {
        (void)gw_fail(err, GW_ALREADY_EXISTS, "%.*s has it already", CP_NAME_MAX,
                      cp_shown_name(call, found.kv.value));
        return gw_error_reason(err, "NOT_UNIQUE");
    }
    cp_change_expect(change, key, found.kv.mod_revision);
    cp_change_put(change, key, gw_str_from(owner));
    return 0;
}

int cp_claimed_by(const struct cp_call *call, const char *index, gw_str value,
                  const char **ret_owner, struct gw_error *err)
{
    struct cp_found found;
    gw_str key = cp_change_claim_key(call->arena, index, value);
    if (cp_read(call, key, &found, err) < 0)
        return -1;
    *ret_owner = found.found ? gw_arena_dup(call->arena, found.kv.value).ptr : NULL;
    return 0;
}

void cp_change_release(struct cp_change *change, const char *index, gw_str value)
{
    cp_change_delete(change, cp_change_claim_key(change->arena, index, value));
}

/* Put by creates near a limit, compared by all of them. A fixed number of keys stands for whatever
 * is limited, so that nothing is left of what is deleted; two in one place only get in each other's
 * way near their limits. */
int cp_limit_begin(const struct cp_call *call, struct cp_change *change, gw_str what,
                   struct cp_limit *ret, struct gw_error *err)
{
    ret->key =
        gw_arena_printf(change->arena, LIMITS "%03x", (unsigned)(gw_str_hash(what) % LIMIT_KEYS));
    return read_revision(call, ret->key, &ret->revision, err);
}

int cp_limit_end(struct cp_change *change, const struct cp_limit *limit, int64_t count, int64_t max)
{
    if (count >= max)
        return -1;
    cp_change_expect(change, limit->key, limit->revision);
    if (count + CP_LIMIT_MARGIN >= max)
        cp_change_put(change, limit->key, GW_STR_NONE);
    return 0;
}

int cp_change_limit(const struct cp_call *call, struct cp_change *change, enum cp_kind_id kind,
                    const char *parent, int64_t max, struct gw_error *err)
{
    int64_t count;
    struct cp_limit limit;
    gw_str what = gw_arena_printf(change->arena, "%s%s%s", cp_kind_get(kind)->word,
                                  *parent ? "/" : "", parent);
    gw_str prefix = cp_key_children(change->arena, kind, gw_str_from(parent));
    if (cp_limit_begin(call, change, what, &limit, err) < 0 ||
        cp_store_count(call->services->store, prefix, &count, err) < 0)
        return -1;
    if (cp_limit_end(change, &limit, count, max) == 0)
        return 0;
    return gw_fail(err, GW_RESOURCE_EXHAUSTED, "%s has %lld of %lld %s",
                   *parent ? parent : "the gateway", (long long)count, (long long)max,
                   cp_kind_get(kind)->word);
}

/* ---- running */

static int commit(const struct cp_call *call, const struct cp_change *change,
                  struct cp_commit *ret_commit, struct gw_error *err)
{
    struct cp_txn txn = {
        .compares = change->compares,
        .compare_count = change->compare_count,
        .ops = change->ops,
        .op_count = change->op_count,
    };
    return cp_store_txn(call->services->store, &txn, ret_commit, err);
}

static size_t bytes_of(const struct cp_change *change)
{
    size_t bytes = 0;
    for (size_t i = 0; i < change->compare_count; i++)
        bytes += change->compares[i].key.len;
    for (size_t i = 0; i < change->op_count; i++)
        bytes += change->ops[i].key.len + change->ops[i].value.len;
    return bytes;
}

static int check_size(const struct cp_change *change, struct gw_error *err)
{
    size_t bytes = bytes_of(change);
    if (!change->overflow && change->compare_count <= CP_STORE_COMPARES_MAX &&
        bytes <= CP_STORE_TXN_BYTES_MAX)
        return 0;
    (void)gw_fail(err, GW_FAILED_PRECONDITION,
                  "this would change %s%zu keys at once, depend on %zu and take %zu bytes: a "
                  "transaction holds %d, %d and %d",
                  change->overflow ? "more than " : "", change->op_count, change->compare_count,
                  bytes, CP_CHANGE_OPS_MAX, CP_STORE_COMPARES_MAX, CP_STORE_TXN_BYTES_MAX);
    return gw_error_reason(err, CP_TOO_LARGE);
}

/* The event of what is written, into the same transaction. */
static int add_event(const struct cp_call *call, struct cp_change *change, struct gw_error *err)
{
    struct cp_op op;
    if (!call->audit)
        return 0;
    if (cp_audit_event_of(call, change, &op, err) < 0)
        return -1;
    append_op(change, op);
    return check_size(change, err);
}

/* 1: done; 0: somebody was faster. */
static int try_once(const struct cp_call *call, bool validate_only, cp_attempt *attempt, void *arg,
                    struct cp_position *ret_at, struct gw_error *err)
{
    struct cp_commit result = {0};
    struct cp_change change = {.arena = call->arena};
    if (attempt(call, &change, arg, err) < 0)
        return -1;
    if (check_size(&change, err) < 0)
        return -1;
    if (validate_only || change.op_count == 0)
        return 1;
    if (add_event(call, &change, err) < 0 || commit(call, &change, &result, err) < 0)
        return -1;
    if (result.committed)
        *ret_at = result.at;
    return result.committed;
}

/* Of those who lost a race all but one would lose the next one, too, if they came together. */
static void pause_before(int try)
{
    static _Atomic unsigned turn;
    unsigned max_us = 1000 * GW_MIN(2U << (2 * (try - 1)), (unsigned)PAUSE_MAX_MS);
    unsigned mixed = atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed) * 2654435761U;
    struct timespec pause = {.tv_nsec = (long)(mixed % max_us) * 1000};
    nanosleep(&pause, NULL);
}

/* Each try reads anew. */
static int try_ahead(const struct cp_call *call, bool validate_only, cp_attempt *attempt, void *arg,
                     struct cp_position *ret_at, struct gw_error *err)
{
    struct cp_ahead ahead;
    struct cp_call own = *call;
    own.ahead = &ahead;
    gw_map_init(&ahead.found);
    int done = try_once(&own, validate_only, attempt, arg, ret_at, err);
    gw_map_done(&ahead.found);
    return done;
}

int cp_write(const struct cp_call *call, bool validate_only, cp_attempt *attempt, void *arg,
             struct cp_position *ret_at, struct gw_error *err)
{
    struct cp_position nowhere;
    struct cp_position *at = ret_at ? ret_at : &nowhere;
    *at = (struct cp_position){0};
    for (int i = 0; i < CP_WRITE_TRIES; i++) {
        if (i > 0)
            pause_before(i);
        cp_audit_start(call);
        int done = try_ahead(call, validate_only, attempt, arg, at, err);
        cp_audit_stop(call);
        if (done)
            return done < 0 ? -1 : 0;
    }
    (void)gw_fail(err, GW_ABORTED, "others changed it at the same time, %d times: try again",
                  CP_WRITE_TRIES);
    return gw_error_reason(err, "CONFLICT");
}
