/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: jansson makes a tree of the text, this makes a message of the tree. */
#include "common/json.h"
#include "common/json_text.h"
#include "common/message.h"

#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/field_mask.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#define NAME_MAX_BYTES 128
/* Whole numbers up to here are exact in a double. */
#define EXACT_MAX 9007199254740992.0

/* Where we are; the chain upwards is the path for the error. */
struct place {
    const struct place *up; /* NULL: the whole message */
    gw_str name;            /* field in proto words, or key of a label */
    long index;             /* element of a list, or -1 */
    bool is_key;            /* a label: written as labels[key] */
    unsigned depth;         /* of messages */
};

struct parser {
    struct gw_arena *arena;
    struct gw_error *err;
};

static size_t path_of(const struct place *place, char *text, size_t size)
{
    if (!place->up) {
        text[0] = 0;
        return 0;
    }
    size_t len = path_of(place->up, text, size);
    const char *format = place->is_key ? "[%.*s]" : len ? ".%.*s" : "%.*s";
    char part[GW_ERROR_FIELD_MAX];
    if (place->index >= 0)
        snprintf(part, sizeof(part), "[%ld]", place->index);
    else
        snprintf(part, sizeof(part), format, GW_STR_ARG(place->name));
    int n = snprintf(text + len, size - len, "%s", part);
    return GW_MIN(len + (size_t)n, size - 1);
}

static int refuse(struct parser *p, const struct place *place, const char *rule)
{
    char path[GW_ERROR_FIELD_MAX];
    path_of(place, path, sizeof(path));
    return gw_fail_field(p->err, path, "%s", rule);
}

static gw_str text_of(const json_t *json)
{
    return gw_str_n(json_string_value(json), json_string_length(json));
}

/* Sign and size of a whole number, given as number or as digits in a string. */
static int read_integer(const json_t *json, bool *ret_negative, uint64_t *ret_size)
{
    if (json_is_integer(json)) {
        json_int_t value = json_integer_value(json);
        *ret_negative = value < 0;
        *ret_size = value < 0 ? -(uint64_t)value : (uint64_t)value;
        return 0;
    }
    if (json_is_real(json)) {
        double value = json_real_value(json);
        if (value != trunc(value) || fabs(value) > EXACT_MAX)
            return -1;
        *ret_negative = value < 0;
        *ret_size = (uint64_t)fabs(value);
        return 0;
    }
    if (!json_is_string(json))
        return -1;
    gw_str text = text_of(json);
    *ret_negative = gw_str_has_prefix(text, GW_STR("-"));
    if (*ret_negative)
        text = gw_str_n(text.ptr + 1, text.len - 1);
    return gw_str_to_u64(text, UINT64_MAX, ret_size);
}

/* min is given by its size: 0 for the unsigned types. */
static int parse_integer(const json_t *json, uint64_t min_size, uint64_t max, uint64_t *ret_value)
{
    bool negative;
    uint64_t size;
    if (read_integer(json, &negative, &size) < 0 || size > (negative ? min_size : max))
        return -1;
    *ret_value = negative ? -size : size;
    return 0;
}

struct integer {
    uint64_t min_size, max;
    const char *rule;
};

static const struct integer *integer_of(ProtobufCType type)
{
    static const struct integer int32 = {(uint64_t)1 << 31, INT32_MAX,
                                         "must be a whole number of 32 bits"};
    static const struct integer uint32 = {0, UINT32_MAX, "must be a whole number from 0, 32 bits"};
    static const struct integer int64 = {(uint64_t)1 << 63, INT64_MAX,
                                         "must be a whole number of 64 bits"};
    static const struct integer uint64 = {0, UINT64_MAX, "must be a whole number from 0, 64 bits"};
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return &int64;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return &uint64;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return &uint32;
    default:
        return &int32;
    }
}

static int set_integer(struct parser *p, const struct place *place, ProtobufCType type,
                       const json_t *json, void *at)
{
    const struct integer *kind = integer_of(type);
    uint64_t value;
    if (parse_integer(json, kind->min_size, kind->max, &value) < 0)
        return refuse(p, place, kind->rule);
    if (gw_json_element_bytes(type) == 8)
        *(uint64_t *)at = value;
    else
        *(uint32_t *)at = (uint32_t)value;
    return 0;
}

static int read_real(const json_t *json, double *ret_value)
{
    if (json_is_number(json)) {
        *ret_value = json_number_value(json);
        return 0;
    }
    gw_str text = text_of(json);
    if (gw_str_eq(text, GW_STR("NaN")))
        *ret_value = NAN;
    else if (gw_str_eq(text, GW_STR("Infinity")))
        *ret_value = INFINITY;
    else if (gw_str_eq(text, GW_STR("-Infinity")))
        *ret_value = -INFINITY;
    else
        return -1;
    return 0;
}

static int set_real(struct parser *p, const struct place *place, ProtobufCType type,
                    const json_t *json, void *at)
{
    double value;
    if (read_real(json, &value) < 0)
        return refuse(p, place, "must be a number");
    if (type == PROTOBUF_C_TYPE_DOUBLE) {
        *(double *)at = value;
        return 0;
    }
    float narrow = (float)value;
    if (isfinite(value) && !isfinite(narrow))
        return refuse(p, place, "must fit a number of single precision");
    *(float *)at = narrow;
    return 0;
}

/* Names every value but that which means "not given". */
static int refuse_enum(struct parser *p, const struct place *place,
                       const ProtobufCEnumDescriptor *type)
{
    char rule[GW_ERROR_MESSAGE_MAX] = "must be one of";
    size_t len = strlen(rule);
    for (unsigned i = 0; i < type->n_values && len < sizeof(rule); i++) {
        const char *name = type->values[i].name;
        if (gw_str_has_suffix(gw_str_from(name), GW_STR("_UNSPECIFIED")))
            continue;
        len += (size_t)snprintf(rule + len, sizeof(rule) - len, " %s", name);
    }
    return refuse(p, place, rule);
}

static int set_enum(struct parser *p, const struct place *place,
                    const ProtobufCEnumDescriptor *type, const json_t *json, int *at)
{
    const ProtobufCEnumValue *value = NULL;
    uint64_t number;
    if (json_is_string(json))
        value = protobuf_c_enum_descriptor_get_value_by_name(type, json_string_value(json));
    else if (parse_integer(json, (uint64_t)1 << 31, INT32_MAX, &number) == 0)
        value = protobuf_c_enum_descriptor_get_value(type, (int)number);
    if (!value)
        return refuse_enum(p, place, type);
    *at = value->value;
    return 0;
}

static int set_bytes(struct parser *p, const struct place *place, const json_t *json,
                     ProtobufCBinaryData *at)
{
    gw_str text = text_of(json);
    char *bytes = gw_arena_bytes(p->arena, text.len / 4 * 3 + 3);
    if (!json_is_string(json) || gw_json_unbase64(text, bytes, &at->len) < 0)
        return refuse(p, place, "must be base64");
    at->data = (uint8_t *)bytes;
    return 0;
}

static int set_text(struct parser *p, const struct place *place, const json_t *json, char **at)
{
    if (!json_is_string(json))
        return refuse(p, place, "must be text");
    *at = (char *)(uintptr_t)gw_arena_dup(p->arena, text_of(json)).ptr;
    return 0;
}

static int set_bool(struct parser *p, const struct place *place, const json_t *json,
                    protobuf_c_boolean *at)
{
    if (!json_is_boolean(json))
        return refuse(p, place, "must be true or false");
    *at = json_is_true(json);
    return 0;
}

static int set_message(struct parser *p, const struct place *place,
                       const ProtobufCMessageDescriptor *type, const json_t *json,
                       ProtobufCMessage **at);

/* One value into `at`, which is a singular field or one element of a list. */
static int set_value(struct parser *p, const struct place *place,
                     const ProtobufCFieldDescriptor *field, const json_t *json, void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return set_text(p, place, json, at);
    case PROTOBUF_C_TYPE_BYTES:
        return set_bytes(p, place, json, at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return set_message(p, place, field->descriptor, json, at);
    case PROTOBUF_C_TYPE_BOOL:
        return set_bool(p, place, json, at);
    case PROTOBUF_C_TYPE_ENUM:
        return set_enum(p, place, field->descriptor, json, at);
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return set_real(p, place, field->type, json, at);
    default:
        return set_integer(p, place, field->type, json, at);
    }
}

static int set_list(struct parser *p, const struct place *place,
                    const ProtobufCFieldDescriptor *field, const json_t *json,
                    ProtobufCMessage *message)
{
    if (!json_is_array(json))
        return refuse(p, place, "must be a list");
    size_t count = json_array_size(json);
    size_t size = gw_json_element_bytes(field->type);
    char *elements = gw_arena_zalloc(p->arena, count * size);
    for (size_t i = 0; i < count; i++) {
        struct place inner = {.up = place, .index = (long)i, .depth = place->depth};
        if (set_value(p, &inner, field, json_array_get(json, i), elements + i * size) < 0)
            return -1;
    }
    *(void **)gw_message_at(message, field) = elements;
    *(size_t *)gw_message_quantifier(message, field) = count;
    return 0;
}

static int set_entry(struct parser *p, const struct place *place, const json_t *value,
                     ProtobufCMessage *entry)
{
    const ProtobufCFieldDescriptor *fields = entry->descriptor->fields;
    char *key = (char *)(uintptr_t)gw_arena_dup(p->arena, place->name).ptr;
    *(char **)gw_message_at(entry, &fields[0]) = key;
    return set_value(p, place, &fields[1], value, gw_message_at(entry, &fields[1]));
}

static int set_map(struct parser *p, const struct place *place,
                   const ProtobufCFieldDescriptor *field, json_t *json, ProtobufCMessage *message)
{
    if (!json_is_object(json))
        return refuse(p, place, "must be an object");
    size_t count = 0;
    ProtobufCMessage **entries =
        GW_ARENA_ARRAY(p->arena, ProtobufCMessage *, json_object_size(json));
    const char *key;
    json_t *value;
    json_object_foreach(json, key, value)
    {
        struct place inner = {place, gw_str_from(key), -1, true, place->depth};
        entries[count] = gw_message_new(p->arena, field->descriptor);
        if (set_entry(p, &inner, value, entries[count++]) < 0)
            return -1;
    }
    *(void **)gw_message_at(message, field) = entries;
    *(size_t *)gw_message_quantifier(message, field) = count;
    return 0;
}

/* Marks a member of a oneof, or the presence of a proto2 scalar. */
static int set_presence(struct parser *p, const struct place *place,
                        const ProtobufCFieldDescriptor *field, ProtobufCMessage *message)
{
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        uint32_t *chosen = gw_message_quantifier(message, field);
        if (*chosen != 0)
            return refuse(p, place, "excludes another field that is set as well");
        *chosen = field->id;
    } else if (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->quantifier_offset != 0) {
        *(protobuf_c_boolean *)gw_message_quantifier(message, field) = true;
    }
    return 0;
}

static int set_field(struct parser *p, const struct place *place,
                     const ProtobufCFieldDescriptor *field, json_t *json, ProtobufCMessage *message)
{
    if (json_is_null(json))
        return 0;
    if (gw_message_is_map(field))
        return set_map(p, place, field, json, message);
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return set_list(p, place, field, json, message);
    if (set_presence(p, place, field, message) < 0)
        return -1;
    return set_value(p, place, field, json, gw_message_at(message, field));
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type,
                                                  gw_str name)
{
    char camel[NAME_MAX_BYTES];
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        gw_str proto_name = gw_str_from(field->name);
        assert(proto_name.len <= sizeof(camel));
        if (gw_str_eq(name, proto_name) ||
            gw_str_eq(name, gw_str_n(camel, gw_json_camel(proto_name, camel))))
            return field;
    }
    return NULL;
}

/* Both spellings of one name in one object: jansson sees two names. */
static bool is_spelled_twice(const json_t *object, const ProtobufCFieldDescriptor *field,
                             gw_str name)
{
    return !gw_str_eq(name, gw_str_from(field->name)) && json_object_get(object, field->name);
}

static int set_object(struct parser *p, const struct place *place, json_t *json,
                      ProtobufCMessage *message)
{
    const char *key;
    json_t *value;
    if (!json_is_object(json))
        return refuse(p, place, "must be an object");
    json_object_foreach(json, key, value)
    {
        struct place inner = {place, gw_str_from(key), -1, false, place->depth};
        const ProtobufCFieldDescriptor *field = find_field(message->descriptor, inner.name);
        if (!field)
            return refuse(p, &inner, "is not a field");
        if (is_spelled_twice(json, field, inner.name))
            return refuse(p, &inner, "comes twice, in both spellings");
        inner.name = gw_str_from(field->name);
        if (set_field(p, &inner, field, value, message) < 0)
            return -1;
    }
    return 0;
}

static int set_timestamp(struct parser *p, const struct place *place, gw_str text,
                         Google__Protobuf__Timestamp *time)
{
    if (gw_json_parse_timestamp(text, &time->seconds, &time->nanos) == 0)
        return 0;
    return refuse(p, place, "must be a time as in \"2026-01-01T00:00:00Z\"");
}

static int set_duration(struct parser *p, const struct place *place, gw_str text,
                        Google__Protobuf__Duration *duration)
{
    if (gw_json_parse_duration(text, &duration->seconds, &duration->nanos) == 0)
        return 0;
    return refuse(p, place, "must be a duration in seconds as in \"1.5s\"");
}

/* AIP-134: "*" is all of them. */
static bool is_mask_path(gw_str path)
{
    if (gw_str_eq(path, GW_STR("*")))
        return true;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '.';
        if (!ok)
            return false;
    }
    return path.len > 0;
}

static int set_mask(struct parser *p, const struct place *place, gw_str text,
                    Google__Protobuf__FieldMask *mask)
{
    if (text.len == 0)
        return 0;
    size_t most = 1;
    for (size_t i = 0; i < text.len; i++)
        most += text.ptr[i] == ',';
    mask->paths = GW_ARENA_ARRAY(p->arena, char *, most);
    while (text.ptr) {
        gw_str path = gw_str_split(&text, ',');
        if (!is_mask_path(path))
            return refuse(p, place, "must be names of fields with commas between");
        mask->paths[mask->n_paths++] = (char *)(uintptr_t)gw_json_snake(p->arena, path).ptr;
    }
    return 0;
}

static int set_content(struct parser *p, const struct place *place, json_t *json,
                       ProtobufCMessage *message)
{
    enum gw_json_form form = gw_json_form(message->descriptor);
    if (form == GW_JSON_OBJECT)
        return set_object(p, place, json, message);
    if (form == GW_JSON_ANY)
        return refuse(p, place, "cannot be given in JSON");
    if (!json_is_string(json))
        return refuse(p, place, "must be text");
    if (form == GW_JSON_TIMESTAMP)
        return set_timestamp(p, place, text_of(json), (void *)message);
    if (form == GW_JSON_DURATION)
        return set_duration(p, place, text_of(json), (void *)message);
    return set_mask(p, place, text_of(json), (void *)message);
}

static int set_message(struct parser *p, const struct place *place,
                       const ProtobufCMessageDescriptor *type, const json_t *json,
                       ProtobufCMessage **at)
{
    if (place->depth == GW_JSON_DEPTH_MAX)
        return refuse(p, place, "is nested too deeply");
    struct place inner = *place;
    inner.depth++;
    ProtobufCMessage *message = gw_message_new(p->arena, type);
    *at = message;
    return set_content(p, &inner, (json_t *)(uintptr_t)json, message);
}

/* jansson's own text quotes what it stumbled over, which may be a secret: only its place is told.
 */
static int not_json(const json_error_t *error, struct gw_error *err)
{
    const char *what = "is not valid JSON";
    if (json_error_code(error) == json_error_duplicate_key)
        what = "has a name twice in one object";
    else if (json_error_code(error) == json_error_invalid_utf8)
        what = "is not UTF-8";
    else if (json_error_code(error) == json_error_null_character)
        what = "has a NUL in a string";
    else if (json_error_code(error) == json_error_stack_overflow)
        what = "is nested too deeply";
    return gw_fail(err, GW_INVALID_ARGUMENT, "the text %s: line %d, column %d", what, error->line,
                   error->column);
}

int gw_json_parse(struct gw_arena *arena, const ProtobufCMessageDescriptor *type, gw_str text,
                  ProtobufCMessage **ret_message, struct gw_error *err)
{
    json_error_t error;
    struct parser parser = {arena, err};
    struct place top = {.index = -1};
    ProtobufCMessage *message;
    json_t *root = json_loadb(text.ptr ? text.ptr : "", text.len,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!root)
        return not_json(&error, err);
    int rc = set_message(&parser, &top, type, root, &message);
    json_decref(root);
    if (rc == 0)
        *ret_message = message;
    return rc;
}
