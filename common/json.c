/* SPDX-License-Identifier: Apache-2.0 */
/* Writing; json_parse.c reads. */
#include "common/json.h"

#include "common/json_text.h"
#include "common/message.h"

#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/field_mask.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_MAX_BYTES 128
#define INDENT_SPACES 2

struct writer {
    struct gw_buf *out;
    bool pretty;
    unsigned depth; /* for the indent */
};

/* The buffer has no limit, so nothing here can fail. */
static void put(struct writer *w, gw_str text)
{
    int rc = gw_buf_append(w->out, text);
    assert(rc == 0);
    (void)rc;
}

static void put_string(struct writer *w, gw_str s)
{
    char scratch[8];
    put(w, GW_STR("\""));
    while (s.len)
        put(w, gw_str_json_step(&s, scratch));
    put(w, GW_STR("\""));
}

static void put_newline(struct writer *w)
{
    if (!w->pretty)
        return;
    put(w, GW_STR("\n"));
    for (unsigned i = 0; i < w->depth * INDENT_SPACES; i++)
        put(w, GW_STR(" "));
}

static void open_group(struct writer *w, const char *bracket)
{
    put(w, gw_str_from(bracket));
    w->depth++;
}

static void close_group(struct writer *w, const char *bracket, bool is_empty)
{
    w->depth--;
    if (!is_empty)
        put_newline(w);
    put(w, gw_str_from(bracket));
}

/* Before every member or element: the comma, and the line it stands on. */
static void put_separator(struct writer *w, bool *first)
{
    if (!*first)
        put(w, GW_STR(","));
    *first = false;
    put_newline(w);
}

static void put_colon(struct writer *w)
{
    put(w, w->pretty ? GW_STR(": ") : GW_STR(":"));
}

static void put_name(struct writer *w, const char *proto_name)
{
    char camel[NAME_MAX_BYTES];
    gw_str name = gw_str_from(proto_name);
    assert(name.len <= sizeof(camel));
    put(w, GW_STR("\""));
    put(w, gw_str_n(camel, gw_json_camel(name, camel)));
    put(w, GW_STR("\""));
    put_colon(w);
}

static void put_bytes(struct writer *w, const ProtobufCBinaryData *data)
{
    size_t len = GW_BASE64_LEN(data->len);
    put(w, GW_STR("\""));
    int rc = gw_buf_reserve(w->out, len);
    assert(rc == 0);
    (void)rc;
    gw_json_base64(gw_str_n((const char *)data->data, data->len), w->out->data + w->out->end);
    gw_buf_commit(w->out, len);
    put(w, GW_STR("\""));
}

/* The shortest text that reads back as the same number. */
static void put_real(struct writer *w, double value, bool is_float)
{
    char text[40];
    if (!isfinite(value)) {
        put_string(w, isnan(value) ? GW_STR("NaN")
                      : value > 0  ? GW_STR("Infinity")
                                   : GW_STR("-Infinity"));
        return;
    }
    for (int digits = is_float ? 6 : 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        double again = strtod(text, NULL);
        if (is_float ? (float)again == (float)value : again == value)
            break;
    }
    put(w, gw_str_from(text));
}

static void put_enum(struct writer *w, const ProtobufCEnumDescriptor *type, int number)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, number);
    char text[16];
    snprintf(text, sizeof(text), "%d", number);
    if (value)
        put_string(w, gw_str_from(value->name));
    else
        put(w, gw_str_from(text));
}

/* 64-bit numbers go as strings: readers that have only doubles would round them. */
static void put_number(struct writer *w, const ProtobufCFieldDescriptor *field, const void *at)
{
    char text[32];
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        snprintf(text, sizeof(text), "\"%" PRId64 "\"", *(const int64_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        snprintf(text, sizeof(text), "\"%" PRIu64 "\"", *(const uint64_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        snprintf(text, sizeof(text), "%" PRIu32, *(const uint32_t *)at);
        break;
    default:
        snprintf(text, sizeof(text), "%" PRId32, *(const int32_t *)at);
        break;
    }
    put(w, gw_str_from(text));
}

static void put_message(struct writer *w, const ProtobufCMessage *message);

/* One value: of a singular field, or one element at `at`. */
static void put_value(struct writer *w, const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        put_string(w, gw_str_from(*(char *const *)at));
        break;
    case PROTOBUF_C_TYPE_BYTES:
        put_bytes(w, at);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        put_message(w, *(ProtobufCMessage *const *)at);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        put(w, *(const protobuf_c_boolean *)at ? GW_STR("true") : GW_STR("false"));
        break;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(w, field->descriptor, *(const int *)at);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        put_real(w, (double)*(const float *)at, true);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        put_real(w, *(const double *)at, false);
        break;
    default:
        put_number(w, field, at);
        break;
    }
}

static void put_map(struct writer *w, ProtobufCMessage *const *entries, size_t count)
{
    bool first = true;
    open_group(w, "{");
    for (size_t i = 0; i < count; i++) {
        const ProtobufCFieldDescriptor *fields = entries[i]->descriptor->fields;
        put_separator(w, &first);
        put_string(w, gw_str_from(*(char **)gw_message_at(entries[i], &fields[0])));
        put_colon(w);
        put_value(w, &fields[1], gw_message_at(entries[i], &fields[1]));
    }
    close_group(w, "}", first);
}

static void put_repeated(struct writer *w, const ProtobufCMessage *message,
                         const ProtobufCFieldDescriptor *field)
{
    size_t count = *(size_t *)gw_message_quantifier(message, field);
    const char *elements = *(char **)gw_message_at(message, field);
    if (gw_message_is_map(field)) {
        put_map(w, (ProtobufCMessage *const *)(const void *)elements, count);
        return;
    }
    bool first = true;
    size_t size = gw_json_element_bytes(field->type);
    open_group(w, "[");
    for (size_t i = 0; i < count; i++) {
        put_separator(w, &first);
        put_value(w, field, elements + i * size);
    }
    close_group(w, "]", first);
}

/* proto3 leaves out a scalar at its default, except in a oneof, where being there is the message.
 */
static bool is_default(const ProtobufCFieldDescriptor *field, const void *at)
{
    static const char zero[sizeof(double)];
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return **(char *const *)at == 0;
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)at)->len == 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        return false;
    default:
        return memcmp(at, zero, gw_json_element_bytes(field->type)) == 0;
    }
}

static bool is_written(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (!gw_message_has(message, field))
        return false;
    return field->label != PROTOBUF_C_LABEL_NONE ||
           !is_default(field, gw_message_at(message, field));
}

static void put_object(struct writer *w, const ProtobufCMessage *message)
{
    bool first = true;
    open_group(w, "{");
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (!is_written(message, field))
            continue;
        put_separator(w, &first);
        put_name(w, field->name);
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            put_repeated(w, message, field);
        else
            put_value(w, field, gw_message_at(message, field));
    }
    close_group(w, "}", first);
}

static void put_timestamp(struct writer *w, const Google__Protobuf__Timestamp *time)
{
    char text[GW_JSON_TIME_MAX];
    put_string(w, gw_str_n(text, gw_json_print_timestamp(time->seconds, time->nanos, text)));
}

static void put_duration(struct writer *w, const Google__Protobuf__Duration *duration)
{
    char text[GW_JSON_TIME_MAX];
    size_t len = gw_json_print_duration(duration->seconds, duration->nanos, text);
    put_string(w, gw_str_n(text, len));
}

static void put_mask(struct writer *w, const Google__Protobuf__FieldMask *mask)
{
    struct gw_buf text = {0};
    for (size_t i = 0; i < mask->n_paths; i++) {
        gw_str path = gw_str_from(mask->paths[i]);
        int rc = gw_buf_append(&text, i ? GW_STR(",") : GW_STR_NONE);
        rc |= gw_buf_reserve(&text, path.len);
        assert(rc == 0);
        (void)rc;
        gw_buf_commit(&text, gw_json_camel(path, text.data + text.end));
    }
    put_string(w, gw_buf_view(&text));
    gw_buf_done(&text);
}

static void put_message(struct writer *w, const ProtobufCMessage *message)
{
    switch (gw_json_form(message->descriptor)) {
    case GW_JSON_TIMESTAMP:
        put_timestamp(w, (const void *)message);
        break;
    case GW_JSON_DURATION:
        put_duration(w, (const void *)message);
        break;
    case GW_JSON_MASK:
        put_mask(w, (const void *)message);
        break;
    default:
        put_object(w, message);
        break;
    }
}

void gw_json_write(struct gw_buf *out, const ProtobufCMessage *message, enum gw_json_style style)
{
    assert(out->limit_bytes == 0);
    struct writer w = {out, style == GW_JSON_PRETTY, 0};
    put_message(&w, message);
}

void gw_json_write_field(struct gw_buf *out, const ProtobufCMessage *message,
                         const ProtobufCFieldDescriptor *field)
{
    assert(out->limit_bytes == 0);
    struct writer w = {out, false, 0};
    if (!is_written(message, field))
        return;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        put_repeated(&w, message, field);
    else
        put_value(&w, field, gw_message_at(message, field));
}

gw_str gw_json_timestamp(struct gw_arena *arena, int64_t seconds, int32_t nanos)
{
    char text[GW_JSON_TIME_MAX];
    return gw_arena_dup(arena, gw_str_n(text, gw_json_print_timestamp(seconds, nanos, text)));
}
