/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: puts admin resources into a state, written as JSON. A release's definition is written
 * as an object, and packed here; private keys are sealed, by the state's keys. */
#ifndef CP_SNAPSHOT_TEST_STATE_H
#define CP_SNAPSHOT_TEST_STATE_H

#include "common/json.h"
#include "common/message.h"
#include "common/test.h"
#include "controlplane/model/check_certificate.h"
#include "controlplane/snapshot/state.h"

#include <jansson.h>
#include <stdlib.h>

/* By the message's name: "ApiGroup". */
static inline const struct cp_kind *test_kind(const char *type)
{
    for (int id = 0; id < CP_KIND_COUNT; id++) {
        const struct cp_kind *kind = cp_kind_get((enum cp_kind_id)id);
        if (strcmp(kind->type->short_name, type) == 0)
            return kind;
    }
    fail_msg("no resource type %s", type);
    return NULL;
}

static inline ProtobufCMessage *test_parse(struct gw_arena *arena,
                                           const ProtobufCMessageDescriptor *type, json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);
    ProtobufCMessage *message = NULL;
    struct gw_error err = GW_ERROR_NONE;
    if (gw_json_parse(arena, type, gw_str_from(text), &message, &err))
        fail_msg("%s: %s", text, err.message);
    free(text);
    return message;
}

static inline void test_seal(const struct cp_state *state, struct gw_arena *arena,
                             cp_certificate *certificate)
{
    gw_str sealed;
    struct gw_error err = GW_ERROR_NONE;
    struct cp_seal_place place = {certificate->name, CP_PRIVATE_KEY_FIELD};
    if (!*certificate->private_key_pem)
        return;
    if (cp_seal_close(cp_state_seal(state), place, gw_str_from(certificate->private_key_pem), arena,
                      &sealed, &err))
        fail_msg("%s", err.message);
    certificate->sealed_private_key =
        (ProtobufCBinaryData){sealed.len, (uint8_t *)(uintptr_t)sealed.ptr};
    certificate->private_key_pem = gw_arena_strdup(arena, "");
}

/* {"type": "Release", "revision": 7, "name": ..., other fields of the message}; eats `object`. */
static inline void test_put(struct cp_state *state, struct gw_arena *arena, json_t *object,
                            struct gw_map *touched)
{
    const struct cp_kind *kind = test_kind(json_string_value(json_object_get(object, "type")));
    int64_t revision = json_integer_value(json_object_get(object, "revision"));
    json_t *definition = json_incref(json_object_get(object, "definition"));
    json_object_del(object, "type");
    json_object_del(object, "revision");
    json_object_del(object, "definition");
    ProtobufCMessage *message = test_parse(arena, kind->type, object);
    if (definition) {
        gw_str packed = gw_message_pack(arena, test_parse(arena, CP_TYPE(api), definition));
        ((cp_release *)(void *)message)->definition =
            (ProtobufCBinaryData){packed.len, (uint8_t *)(uintptr_t)packed.ptr};
    }
    if (kind->id == CP_KIND_CERTIFICATE)
        test_seal(state, arena, (cp_certificate *)(void *)message);
    struct gw_error err = GW_ERROR_NONE;
    gw_str key = cp_key_of(arena, kind->id, gw_message_text(message, "name"));
    if (cp_state_put(state, key, gw_message_pack(arena, message), revision, touched, &err))
        fail_msg("%.*s: %s", GW_STR_ARG(key), err.message);
    json_decref(definition);
    json_decref(object);
}

/* The same from text. */
static inline void test_put_text(struct cp_state *state, const char *text, struct gw_map *touched)
{
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    json_error_t error;
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!object)
        fail_msg("%s: %s", text, error.text);
    test_put(state, &arena, object, touched);
    gw_arena_done(&arena);
}

static inline int test_by_text(const void *a, const void *b)
{
    return gw_str_cmp(*(const gw_str *)a, *(const gw_str *)b);
}

/* The keys of a map in order, in the arena. */
static inline gw_str *test_sorted(struct gw_arena *arena, const struct gw_map *map)
{
    gw_str *keys = GW_ARENA_ARRAY(arena, gw_str, map->count + 1);
    size_t count = 0;
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(map, e));)
        keys[count++] = e->key;
    qsort(keys, count, sizeof(*keys), test_by_text);
    return keys;
}

#endif
