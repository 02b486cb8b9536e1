/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/ticket_keys.h"

#include "common/message.h"
#include "controlplane/service/leader.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

enum { NEXT, CURRENT, FIRST_RETIRED }; /* places in the set */

#define TICKET_LIFE_MS ((gw_msec)3600 * 1000) /* at agents */
_Static_assert((CP_TICKET_KEYS_MAX - FIRST_RETIRED) * CP_TICKET_KEY_ROTATION_FULL_MS >=
                   TICKET_LIFE_MS,
               "keys outlive the tickets that they sealed");

struct turn {
    gw_msec now_ms;
    struct cp_ticket_turns *turns;
};

static gw_str bytes_of(ProtobufCBinaryData data)
{
    return gw_str_n((const char *)data.data, data.len);
}

static ProtobufCBinaryData data_of(gw_str bytes)
{
    return (ProtobufCBinaryData){bytes.len, (uint8_t *)(uintptr_t)bytes.ptr};
}

static struct cp_seal_place place_of(const struct cp_call *call, const cp_ticket_key *key)
{
    return (struct cp_seal_place){CP_TICKET_KEYS_NAME, cp_ticket_key_field(call->arena, key)};
}

static int seal(const struct cp_call *call, cp_ticket_key *key, gw_str secret, struct gw_error *err)
{
    gw_str sealed;
    if (cp_seal_close(call->services->seal, place_of(call, key), secret, call->arena, &sealed,
                      err) < 0)
        return -1;
    key->sealed = data_of(sealed);
    return 0;
}

static int make_key(const struct cp_call *call, cp_ticket_key **ret_key, struct gw_error *err)
{
    unsigned char secret[CP_TICKET_SECRET_BYTES];
    unsigned char *id = gw_arena_alloc(call->arena, CP_TICKET_ID_BYTES);
    cp_ticket_key *key = GW_ARENA_NEW(call->arena, cp_ticket_key);
    penstock__store__v1__stored_ticket_key__init(key);
    if (RAND_bytes(id, CP_TICKET_ID_BYTES) != 1 || RAND_bytes(secret, sizeof secret) != 1)
        return gw_fail(err, GW_INTERNAL, "there are no random numbers");
    key->id = (ProtobufCBinaryData){CP_TICKET_ID_BYTES, id};
    int failed = seal(call, key, gw_str_n((const char *)secret, sizeof secret), err);
    OPENSSL_cleanse(secret, sizeof secret);
    *ret_key = key;
    return failed;
}

/* The next one seals from now on, and there is another next one. */
static int turn_set(const struct cp_call *call, cp_ticket_key_set *set, gw_msec now_ms,
                    struct gw_error *err)
{
    size_t count = 1;
    cp_ticket_key **keys = GW_ARENA_ARRAY(call->arena, cp_ticket_key *, CP_TICKET_KEYS_MAX);
    if (make_key(call, &keys[NEXT], err) < 0)
        return -1;
    for (size_t i = 0; i < set->n_keys && count < CP_TICKET_KEYS_MAX; i++) {
        cp_ticket_key *key = set->keys[i];
        if (i >= CURRENT && key->retired_ms == 0)
            key->retired_ms = now_ms;
        if (i < CURRENT || now_ms - key->retired_ms <= CP_TICKET_KEY_KEPT_MS)
            keys[count++] = key;
    }
    set->keys = keys;
    set->n_keys = count;
    set->turned_ms = now_ms;
    return 0;
}

static int make_set(const struct cp_call *call, gw_msec now_ms, cp_ticket_key_set **ret_set,
                    struct gw_error *err)
{
    cp_ticket_key_set *set = (cp_ticket_key_set *)gw_message_new(
        call->arena, &penstock__store__v1__ticket_key_set__descriptor);
    set->name = gw_arena_strdup(call->arena, CP_TICKET_KEYS_NAME);
    *ret_set = set;
    /* twice: the first one made becomes the one that seals */
    return turn_set(call, set, now_ms, err) < 0 ? -1 : turn_set(call, set, now_ms, err);
}

/* The newest one opens: who turned them last has the same keys for secrets. */
static bool are_ours(const struct cp_call *call, const cp_ticket_key_set *set)
{
    gw_str secret;
    struct gw_error why = GW_ERROR_NONE;
    return set->n_keys == 0 ||
           cp_seal_open(call->services->seal, place_of(call, set->keys[NEXT]),
                        bytes_of(set->keys[NEXT]->sealed), call->arena, &secret, &why) == 0 ||
           strcmp(why.reason, CP_SEAL_NO_KEY) != 0;
}

static gw_msec due_ms(const struct cp_call *call, const cp_ticket_key_set *set,
                      const struct turn *turn)
{
    struct cp_ticket_turns *turns = turn->turns;
    if (turns->turned_ms != set->turned_ms) {
        turns->turned_ms = set->turned_ms;
        turns->seen_ms = turn->now_ms;
    }
    gw_msec rotation_ms = call->services->ticket_key_rotation_ms;
    return GW_MIN(turns->turned_ms, turns->seen_ms) + rotation_ms * (are_ours(call, set) ? 1 : 2);
}

static int attempt_turn(const struct cp_call *call, struct cp_change *change, void *arg,
                        struct gw_error *err)
{
    struct cp_stored stored;
    const struct turn *turn = arg;
    if (cp_find(call, CP_KIND_TICKET_KEYS, CP_TICKET_KEYS_NAME, &stored, err) < 0)
        return -1;
    cp_ticket_key_set *set = (cp_ticket_key_set *)stored.message;
    turn->turns->due_ms = set ? due_ms(call, set, turn) : 0;
    if (turn->now_ms < turn->turns->due_ms)
        return 0;
    turn->turns->due_ms = turn->now_ms + call->services->ticket_key_rotation_ms;
    int failed =
        set ? turn_set(call, set, turn->now_ms, err) : make_set(call, turn->now_ms, &set, err);
    if (failed)
        return -1;
    gw_str key = cp_key_of(change->arena, CP_KIND_TICKET_KEYS, CP_TICKET_KEYS_NAME);
    cp_change_expect(change, key, stored.mod_revision);
    cp_change_put_message(change, key, &set->base);
    return cp_change_fence(call, change, err);
}

int cp_ticket_keys_turn(struct cp_services *services, gw_msec now_ms, struct cp_ticket_turns *turns,
                        struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct cp_ticket_turns next = *turns;
    struct turn turn = {.now_ms = now_ms, .turns = &next};
    struct cp_call call = {.services = services, .arena = &arena, .deadline_ms = INT64_MAX};
    if (cp_write(&call, false, attempt_turn, &turn, NULL, err) < 0)
        return -1; /* still due */
    *turns = next;
    return 0;
}

bool cp_ticket_keys_reseal(const struct cp_call *call, cp_ticket_key_set *set)
{
    bool changed = false;
    for (size_t i = 0; i < set->n_keys; i++) {
        gw_str secret;
        struct gw_error ignored;
        cp_ticket_key *key = set->keys[i];
        gw_str sealed = bytes_of(key->sealed);
        if (!cp_seal_is_current(call->services->seal, sealed) &&
            cp_seal_open(call->services->seal, place_of(call, key), sealed, call->arena, &secret,
                         &ignored) == 0)
            changed |= seal(call, key, secret, &ignored) == 0;
    }
    return changed;
}
