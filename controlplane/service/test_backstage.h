/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * Behind the services' back: what is stored, what agents make of it, a store that fails, and
 * somebody else who is faster. On top of test_services.h. */
#ifndef CP_SERVICE_TEST_BACKSTAGE_H
#define CP_SERVICE_TEST_BACKSTAGE_H

#include "common/message.h"
#include "controlplane/service/test_services.h"
#include "controlplane/snapshot/build.h"
#include "controlplane/store/store_internal.h"

/* A store in front of the real one. One a program. */
struct backstage {
    struct cp_store base;
    struct cp_store *inner;
    int fail_at; /* this call answers UNAVAILABLE, counted from 1; 0: none */
    int calls;
    /* Once, before the next transaction; NULL: nothing. Gets `other`. */
    void (*before_txn)(struct fixture *other);
    struct fixture other; /* somebody else, straight at the inner store */
    struct gw_arena arena;
};
static struct backstage backstage;

static inline int fails(struct gw_error *err)
{
    if (++backstage.calls != backstage.fail_at)
        return 0;
    return gw_fail(err, GW_UNAVAILABLE, "the store is away");
}

static inline int backstage_get(struct cp_store *base, gw_str key, struct gw_arena *arena,
                                struct cp_found *ret_found, struct gw_error *err)
{
    (void)base;
    return fails(err) ? -1 : cp_store_get(backstage.inner, key, arena, ret_found, err);
}

static inline int backstage_get_all(struct cp_store *base, const gw_str *keys, size_t count,
                                    struct gw_arena *arena, struct cp_found *ret_found,
                                    struct gw_error *err)
{
    (void)base;
    return fails(err) ? -1 : cp_store_get_all(backstage.inner, keys, count, arena, ret_found, err);
}

static inline int backstage_list(struct cp_store *base, const struct cp_range *range,
                                 struct gw_arena *arena, struct cp_page *ret_page,
                                 struct gw_error *err)
{
    (void)base;
    return fails(err) ? -1 : cp_store_list(backstage.inner, range, arena, ret_page, err);
}

static inline int backstage_count(struct cp_store *base, gw_str prefix, int64_t *ret_count,
                                  struct gw_error *err)
{
    (void)base;
    return fails(err) ? -1 : cp_store_count(backstage.inner, prefix, ret_count, err);
}

static inline int backstage_txn(struct cp_store *base, const struct cp_txn *txn,
                                struct cp_commit *ret_commit, struct gw_error *err)
{
    (void)base;
    void (*before)(struct fixture *) = backstage.before_txn;
    backstage.before_txn = NULL;
    if (before)
        before(&backstage.other);
    return fails(err) ? -1 : cp_store_txn(backstage.inner, txn, ret_commit, err);
}

static inline int backstage_ping(struct cp_store *base, struct cp_position *ret_at,
                                 struct gw_error *err)
{
    (void)base;
    return fails(err) ? -1 : cp_store_ping(backstage.inner, ret_at, err);
}

static inline int backstage_set_up(void **state)
{
    static const struct cp_store_ops ops = {.get = backstage_get,
                                            .get_all = backstage_get_all,
                                            .list = backstage_list,
                                            .count = backstage_count,
                                            .txn = backstage_txn,
                                            .ping = backstage_ping};
    if (set_up(state))
        return -1;
    struct fixture *f = *state;
    backstage = (struct backstage){.base = {&ops}, .inner = f->services.store};
    backstage.other.services = f->services;
    backstage.other.principal = f->principal;
    f->services.store = &backstage.base;
    return 0;
}

static inline int backstage_tear_down(void **state)
{
    ((struct fixture *)*state)->services.store = backstage.inner;
    gw_arena_done(&backstage.other.arena);
    gw_arena_done(&backstage.arena);
    return tear_down(state);
}

/* ---- what is stored */

/* All there is, until the end of the test. */
static inline struct cp_page everything(void)
{
    struct cp_page page;
    struct gw_error err;
    if (cp_store_list(backstage.inner, &(struct cp_range){0}, &backstage.arena, &page, &err))
        fail_msg("%s", err.message);
    assert_false(page.more);
    return page;
}

/* Every key and its revision: equal texts, equal stores. */
static inline const char *stored(void)
{
    struct cp_page page = everything();
    struct gw_buf text;
    gw_buf_init(&text, 0);
    for (size_t i = 0; i < page.count; i++)
        if (gw_buf_printf(&text, "%.*s @%lld\n", GW_STR_ARG(page.kvs[i].key),
                          (long long)page.kvs[i].mod_revision))
            fail();
    const char *result = gw_arena_dup(&backstage.arena, gw_buf_view(&text)).ptr;
    gw_buf_done(&text);
    return result;
}

/* Puts a resource there as it is, for services that are not under test. */
static inline void store_message(enum cp_kind_id kind, const ProtobufCMessage *message)
{
    struct gw_error err;
    struct cp_commit commit;
    struct cp_op op = {
        .key = cp_key_of(&backstage.arena, kind, gw_message_text(message, "name")),
        .value = gw_message_pack(&backstage.arena, message),
    };
    struct cp_txn txn = {.ops = &op, .op_count = 1};
    if (cp_store_txn(backstage.inner, &txn, &commit, &err))
        fail_msg("%s", err.message);
}

static inline ProtobufCMessage *from_json(const ProtobufCMessageDescriptor *type, const char *json)
{
    struct gw_error err;
    ProtobufCMessage *message = NULL;
    if (gw_json_parse(&backstage.arena, type, gw_str_from(json), &message, &err))
        fail_msg("%s: %s", json, err.message);
    return message;
}

static inline void store_json(enum cp_kind_id kind, const char *json)
{
    store_message(kind, from_json(cp_kind_get(kind)->type, json));
}

/* What agents are told of `name`, as JSON; "" when they are told nothing. */
static inline const char *agents_see(const char *name)
{
    struct gw_error err;
    struct cp_page page = everything();
    struct cp_state *state = cp_state_new(backstage.other.services.seal);
    struct gw_map touched;
    gw_map_init(&touched);
    for (size_t i = 0; i < page.count; i++)
        if (cp_state_put(state, page.kvs[i].key, page.kvs[i].value, page.kvs[i].mod_revision,
                         &touched, &err))
            fail_msg("%s", err.message);
    cp_agent_resource *resource;
    struct gw_buf text;
    gw_buf_init(&text, 0);
    int found = cp_build(state, gw_str_from(name), &backstage.arena, &resource, &err);
    if (found < 0)
        fail_msg("%s: %s", name, err.message);
    if (found)
        gw_json_write(&text, &resource->base, GW_JSON_COMPACT);
    gw_map_done(&touched);
    cp_state_free(state);
    const char *result = gw_arena_dup(&backstage.arena, gw_buf_view(&text)).ptr;
    gw_buf_done(&text);
    return result;
}

/* ---- a store that fails */

/* Every call of the store that the method makes fails once: the answer is UNAVAILABLE, nothing has
 * changed, and at last the same call succeeds. */
static inline void survives_the_store(struct fixture *f, const struct cp_service *service,
                                      const char *method, const char *request)
{
    for (int at = 1;; at++) {
        gw_str answer;
        const char *before = stored();
        backstage.calls = 0;
        backstage.fail_at = at;
        enum gw_code got = call(f, service, method, request, &answer);
        backstage.fail_at = 0;
        if (got == GW_OK) {
            assert_true(at > 1);
            return;
        }
        if (got != GW_UNAVAILABLE)
            fail_msg("%s, call %d: %s", method, at, f->err.message);
        assert_string_equal(stored(), before);
    }
}

#endif
