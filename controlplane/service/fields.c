/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/fields.h"

#include "common/message.h"

#include <string.h>

const ProtobufCFieldDescriptor *cp_field(const ProtobufCMessage *message, const char *name)
{
    return protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
}

bool cp_bool_field(const ProtobufCMessage *message, const char *name)
{
    const ProtobufCFieldDescriptor *field = cp_field(message, name);
    return field && *(const protobuf_c_boolean *)gw_message_at(message, field);
}

const char *cp_text_field(const ProtobufCMessage *message, const char *name)
{
    return cp_field(message, name) ? gw_message_text(message, name) : "";
}

ProtobufCMessage *cp_message_field(const ProtobufCMessage *message, const char *name)
{
    const ProtobufCFieldDescriptor *field = cp_field(message, name);
    return field ? *(ProtobufCMessage **)gw_message_at(message, field) : NULL;
}

bool cp_is_output_only(const char *field, const char *const *more)
{
    static const char *const always[] = {"create_time", "update_time", "etag", NULL};
    for (const char *const *it = always; *it; it++)
        if (strcmp(field, *it) == 0)
            return true;
    for (; more && *more; more++)
        if (strcmp(field, *more) == 0)
            return true;
    return false;
}

static size_t size_of(const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return sizeof(void *);
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return sizeof(uint32_t);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    default:
        return sizeof(uint64_t);
    }
}

static bool is_oneof(const ProtobufCFieldDescriptor *field)
{
    return field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
}

static void *at(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return gw_message_at(message, field);
}

/* Of a oneof all members share the place, and the case says whose it is. */
void cp_copy_field(ProtobufCMessage *to, const ProtobufCMessage *from,
                   const ProtobufCFieldDescriptor *field)
{
    if (is_oneof(field)) {
        uint32_t *chosen = gw_message_quantifier(to, field);
        uint32_t source = *(const uint32_t *)gw_message_quantifier(from, field);
        if (source != field->id && *chosen != field->id)
            return; /* another member is meant */
        *chosen = source == field->id ? field->id : 0;
    } else if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        *(size_t *)gw_message_quantifier(to, field) =
            *(const size_t *)gw_message_quantifier(from, field);
    }
    memcpy(at(to, field), gw_message_at(from, field), size_of(field));
}

static void clear_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (is_oneof(field)) {
        uint32_t *chosen = gw_message_quantifier(message, field);
        if (*chosen == field->id)
            *chosen = 0;
        return;
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        *(size_t *)gw_message_quantifier(message, field) = 0;
    memset(at(message, field), 0, size_of(field));
    if (field->label != PROTOBUF_C_LABEL_REPEATED && field->type == PROTOBUF_C_TYPE_STRING)
        gw_message_set_text(message, field->name, (char *)(uintptr_t)protobuf_c_empty_string);
}

void cp_clear_output_only(ProtobufCMessage *message, const char *const *more)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++)
        if (cp_is_output_only(message->descriptor->fields[i].name, more))
            clear_field(message, &message->descriptor->fields[i]);
}

/* A plain scalar has no presence: what it would be anyway counts as not set. */
static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    static const char nothing[sizeof(ProtobufCBinaryData)];
    if (is_oneof(field))
        return *(const uint32_t *)gw_message_quantifier(message, field) == field->id;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)gw_message_quantifier(message, field) > 0;
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return *gw_message_text(message, field->name) != '\0';
    if (field->type == PROTOBUF_C_TYPE_BYTES)
        return ((const ProtobufCBinaryData *)gw_message_at(message, field))->len > 0;
    return memcmp(gw_message_at(message, field), nothing, size_of(field)) != 0;
}

static bool may_change(const ProtobufCFieldDescriptor *field, const char *const *more)
{
    return strcmp(field->name, "name") != 0 && !cp_is_output_only(field->name, more);
}

static void copy_all(ProtobufCMessage *to, const ProtobufCMessage *from, bool unset_too,
                     const char *const *more)
{
    for (unsigned i = 0; i < to->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &to->descriptor->fields[i];
        if (may_change(field, more) && (unset_too || is_set(from, field)))
            cp_copy_field(to, from, field);
    }
}

int cp_apply_mask(ProtobufCMessage *to, const ProtobufCMessage *from, const cp_field_mask *mask,
                  const char *const *more, struct gw_error *err)
{
    if (!mask || mask->n_paths == 0) {
        copy_all(to, from, false, more);
        return 0;
    }
    for (size_t i = 0; i < mask->n_paths; i++) {
        const char *path = mask->paths[i];
        const ProtobufCFieldDescriptor *field = cp_field(to, path);
        if (strcmp(path, "*") == 0)
            copy_all(to, from, true, more);
        else if (!field)
            return gw_fail_field(err, "update_mask", "%.64s is no field of %s", path,
                                 to->descriptor->short_name);
        else if (may_change(field, more))
            cp_copy_field(to, from, field);
    }
    return 0;
}
