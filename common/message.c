/* SPDX-License-Identifier: Apache-2.0 */
/* protobuf-c does not check text and cuts it at a NUL, so the wire is walked before it unpacks, and
 * the tree after, to drop what protobuf-c would keep and send on. */
#include "common/message.h"

#include "common/map.h"

#include <stdio.h>

#define TAG_BYTES_MAX 5
#define VARINT_BYTES_MAX 10
#define FIELD_NUMBER_MAX ((1u << 29) - 1)

static void *arena_alloc(void *arena, size_t size)
{
    return gw_arena_alloc(arena, size);
}

static void arena_free(void *arena, void *ptr)
{
    (void)arena; /* lives as long as the arena */
    (void)ptr;
}

ProtobufCAllocator gw_message_allocator(struct gw_arena *arena)
{
    return (ProtobufCAllocator){arena_alloc, arena_free, arena};
}

/* One level of the walk over the wire; the chain upwards is the path for the error. */
struct level {
    const struct level *up;
    const char *field; /* of this level's message in the one above */
    const ProtobufCMessageDescriptor *type;
    gw_str rest; /* not yet read */
    unsigned depth;
};

static size_t path_of(const struct level *level, char *text, size_t size)
{
    if (!level->up)
        return 0;
    size_t len = path_of(level->up, text, size);
    int n = snprintf(text + len, size - len, "%s.", level->field);
    return GW_MIN(len + (size_t)n, size - 1);
}

static int refuse(const struct level *level, const char *field, const char *rule,
                  struct gw_error *err)
{
    char path[GW_ERROR_FIELD_MAX];
    size_t len = path_of(level, path, sizeof(path));
    snprintf(path + len, sizeof(path) - len, "%s", field);
    return gw_fail_field(err, path, "%s", rule);
}

static int malformed(const struct level *level, struct gw_error *err)
{
    return gw_fail(err, GW_INVALID_ARGUMENT, "not a well-formed %s message", level->type->name);
}

static int take(struct level *level, size_t bytes, gw_str *ret_taken)
{
    if (bytes > level->rest.len)
        return -1;
    *ret_taken = gw_str_n(level->rest.ptr, bytes);
    level->rest = gw_str_n(level->rest.ptr + bytes, level->rest.len - bytes);
    return 0;
}

static int take_varint(struct level *level, unsigned max_bytes, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < max_bytes && i < level->rest.len; i++) {
        unsigned char byte = (unsigned char)level->rest.ptr[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80)
            continue;
        gw_str taken;
        *ret_value = value;
        return take(level, i + 1, &taken);
    }
    return -1;
}

/* The bytes of a length-delimited field; none for the others. */
static int take_value(struct level *level, unsigned wire_type, gw_str *ret_value)
{
    uint64_t number;
    *ret_value = GW_STR_NONE;
    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return take_varint(level, VARINT_BYTES_MAX, &number);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return take(level, 8, ret_value);
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return take(level, 4, ret_value);
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (take_varint(level, TAG_BYTES_MAX, &number) < 0)
            return -1;
        return take(level, number, ret_value);
    default:
        return -1; /* groups */
    }
}

static int check_level(struct level *level, struct gw_error *err);

static int check_value(const struct level *level, const ProtobufCFieldDescriptor *field,
                       gw_str value, struct gw_error *err)
{
    if (field->type == PROTOBUF_C_TYPE_STRING && !gw_str_is_utf8(value))
        return refuse(level, field->name, "must be UTF-8 text without NUL", err);
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return 0;
    if (level->depth == GW_MESSAGE_DEPTH_MAX)
        return refuse(level, field->name, "is nested too deeply", err);
    struct level inner = {level, field->name, field->descriptor, value, level->depth + 1};
    return check_level(&inner, err);
}

static int check_level(struct level *level, struct gw_error *err)
{
    while (level->rest.len) {
        uint64_t tag;
        gw_str value;
        if (take_varint(level, TAG_BYTES_MAX, &tag) < 0 || tag >> 3 == 0 ||
            tag >> 3 > FIELD_NUMBER_MAX || take_value(level, tag & 7, &value) < 0)
            return malformed(level, err);
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(level->type, (unsigned)(tag >> 3));
        if (!field || (tag & 7) != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            continue;
        if (check_value(level, field, value, err) < 0)
            return -1;
    }
    return 0;
}

/* "app_labels" and "AppLabelsEntry": how protoc names the entry of a map. */
static bool is_entry_name(const char *entry, const char *field)
{
    bool upper = true;
    for (; *field; field++) {
        if (*field == '_') {
            upper = true;
            continue;
        }
        char want = upper && *field >= 'a' && *field <= 'z' ? (char)(*field - 0x20) : *field;
        if (*entry++ != want)
            return false;
        upper = false;
    }
    return strcmp(entry, "Entry") == 0;
}

bool gw_message_is_map(const ProtobufCFieldDescriptor *field)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED || field->type != PROTOBUF_C_TYPE_MESSAGE)
        return false;
    const ProtobufCMessageDescriptor *type = field->descriptor;
    return type->n_fields == 2 && is_entry_name(type->short_name, field->name) &&
           strcmp(type->fields[0].name, "key") == 0 &&
           type->fields[0].type == PROTOBUF_C_TYPE_STRING &&
           strcmp(type->fields[1].name, "value") == 0;
}

bool gw_message_has(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        if (*(uint32_t *)gw_message_quantifier(message, field) != field->id)
            return false;
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(size_t *)gw_message_quantifier(message, field) > 0;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING)
        return *(void **)gw_message_at(message, field) != NULL;
    bool flagged = field->label == PROTOBUF_C_LABEL_OPTIONAL &&
                   !(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF); /* proto2 only */
    return !flagged || *(protobuf_c_boolean *)gw_message_quantifier(message, field);
}

/* Keeps the last entry of each key. From the back, through a map: the count is the sender's. */
static void drop_doubles(ProtobufCMessage **entries, size_t *count)
{
    struct gw_map seen;
    size_t to = *count;
    gw_map_init(&seen);
    for (size_t i = *count; i-- > 0;) {
        gw_str key = gw_str_from(gw_message_text(entries[i], "key"));
        if (!gw_map_put(&seen, key, entries[i]))
            entries[--to] = entries[i];
    }
    gw_map_done(&seen);
    *count -= to;
    memmove(entries, entries + to, *count * sizeof(*entries));
}

static void clean(ProtobufCMessage *message, bool keeps_unknown);

static void clean_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                        bool keeps_unknown)
{
    if (field->type != PROTOBUF_C_TYPE_MESSAGE || !gw_message_has(message, field))
        return;
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        clean(*(ProtobufCMessage **)gw_message_at(message, field), keeps_unknown);
        return;
    }
    ProtobufCMessage **children = *(ProtobufCMessage ***)gw_message_at(message, field);
    size_t *count = gw_message_quantifier(message, field);
    if (*count > 1 && gw_message_is_map(field))
        drop_doubles(children, count);
    for (size_t i = 0; i < *count; i++)
        clean(children[i], keeps_unknown);
}

/* As a rule what we do not know is neither stored nor sent on. */
static void clean(ProtobufCMessage *message, bool keeps_unknown)
{
    if (!keeps_unknown) {
        message->n_unknown_fields = 0;
        message->unknown_fields = NULL;
    }
    for (unsigned i = 0; i < message->descriptor->n_fields; i++)
        clean_field(message, &message->descriptor->fields[i], keeps_unknown);
}

static int unpack(struct gw_arena *arena, const ProtobufCMessageDescriptor *type, gw_str bytes,
                  bool keeps_unknown, ProtobufCMessage **ret_message, struct gw_error *err)
{
    struct level top = {.type = type, .rest = bytes, .depth = 1};
    if (check_level(&top, err) < 0)
        return -1;
    ProtobufCAllocator allocator = gw_message_allocator(arena);
    ProtobufCMessage *message =
        protobuf_c_message_unpack(type, &allocator, bytes.len, (const uint8_t *)bytes.ptr);
    if (!message)
        return malformed(&top, err);
    clean(message, keeps_unknown);
    *ret_message = message;
    return 0;
}

int gw_message_unpack(struct gw_arena *arena, const ProtobufCMessageDescriptor *type, gw_str bytes,
                      ProtobufCMessage **ret_message, struct gw_error *err)
{
    return unpack(arena, type, bytes, false, ret_message, err);
}

int gw_message_unpack_whole(struct gw_arena *arena, const ProtobufCMessageDescriptor *type,
                            gw_str bytes, ProtobufCMessage **ret_message, struct gw_error *err)
{
    return unpack(arena, type, bytes, true, ret_message, err);
}

static int refuse_unknown_value(const ProtobufCMessage *message,
                                const ProtobufCFieldDescriptor *field, struct gw_error *err)
{
    bool is_list = field->label == PROTOBUF_C_LABEL_REPEATED;
    const int *values = is_list ? *(int **)gw_message_at(message, field)
                                : (const int *)gw_message_at(message, field);
    size_t count = is_list ? *(size_t *)gw_message_quantifier(message, field) : 1;
    for (size_t i = 0; i < count; i++)
        if (!protobuf_c_enum_descriptor_get_value(field->descriptor, values[i]))
            return gw_fail(err, GW_INVALID_ARGUMENT,
                           "%s.%s: the value %d is not known to this "
                           "version",
                           message->descriptor->short_name, field->name, values[i]);
    return 0;
}

static int refuse_unknown_below(const ProtobufCMessage *message,
                                const ProtobufCFieldDescriptor *field, struct gw_error *err)
{
    if (!gw_message_has(message, field) || field->id >= GW_MESSAGE_OPTIONAL_FIELDS)
        return 0;
    if (field->type == PROTOBUF_C_TYPE_ENUM)
        return refuse_unknown_value(message, field, err);
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return 0;
    if (field->label != PROTOBUF_C_LABEL_REPEATED)
        return gw_message_refuse_unknown(*(ProtobufCMessage **)gw_message_at(message, field), err);
    ProtobufCMessage **children = *(ProtobufCMessage ***)gw_message_at(message, field);
    size_t count = *(size_t *)gw_message_quantifier(message, field);
    for (size_t i = 0; i < count; i++)
        if (gw_message_refuse_unknown(children[i], err) < 0)
            return -1;
    return 0;
}

int gw_message_refuse_unknown(const ProtobufCMessage *message, struct gw_error *err)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        if (message->unknown_fields[i].tag < GW_MESSAGE_OPTIONAL_FIELDS)
            return gw_fail(err, GW_INVALID_ARGUMENT, "field %u of %s is not known to this version",
                           message->unknown_fields[i].tag, type->short_name);
    for (unsigned i = 0; i < type->n_fields; i++)
        if (refuse_unknown_below(message, &type->fields[i], err) < 0)
            return -1;
    return 0;
}

gw_str gw_message_pack(struct gw_arena *arena, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    char *bytes = gw_arena_bytes(arena, size);
    size_t packed = protobuf_c_message_pack(message, (uint8_t *)bytes);
    assert(packed == size);
    return gw_str_n(bytes, packed);
}

ProtobufCMessage *gw_message_copy(struct gw_arena *arena, const ProtobufCMessage *message)
{
    ProtobufCAllocator allocator = gw_message_allocator(arena);
    gw_str bytes = gw_message_pack(arena, message);
    ProtobufCMessage *copy = protobuf_c_message_unpack(message->descriptor, &allocator, bytes.len,
                                                       (const uint8_t *)bytes.ptr);
    assert(copy); /* our own bytes */
    return copy;
}

ProtobufCMessage *gw_message_new(struct gw_arena *arena, const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = gw_arena_alloc(arena, type->sizeof_message);
    protobuf_c_message_init(type, message);
    return message;
}

static const ProtobufCFieldDescriptor *singular(const ProtobufCMessage *message, const char *name,
                                                ProtobufCType type)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
    assert(field && field->type == type && field->label != PROTOBUF_C_LABEL_REPEATED);
    return field;
}

const char *gw_message_text(const ProtobufCMessage *message, const char *field)
{
    const ProtobufCFieldDescriptor *found = singular(message, field, PROTOBUF_C_TYPE_STRING);
    return gw_message_has(message, found) ? *(char **)gw_message_at(message, found) : "";
}

void gw_message_set_text(ProtobufCMessage *message, const char *field, char *borrowed_text)
{
    const ProtobufCFieldDescriptor *found = singular(message, field, PROTOBUF_C_TYPE_STRING);
    if (found->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        *(uint32_t *)gw_message_quantifier(message, found) = found->id;
    *(char **)gw_message_at(message, found) = borrowed_text;
}

ProtobufCMessage **gw_message_child(ProtobufCMessage *message, const char *field)
{
    const ProtobufCFieldDescriptor *found = singular(message, field, PROTOBUF_C_TYPE_MESSAGE);
    assert(!(found->flags & PROTOBUF_C_FIELD_FLAG_ONEOF));
    return gw_message_at(message, found);
}
