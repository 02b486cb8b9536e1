/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/secrets.h"

#include "common/message.h"

/* Those that no word in their name gives away. */
static const struct {
    const char *message, *field;
} named[] = {
    {"penstock.admin.v1.AppCode", "code"},     {"penstock.admin.v1.DebugApiRequest", "app_code"},
    {"penstock.admin.v1.DebugField", "value"}, /* of Authorization, of a cookie */
    {"penstock.admin.v1.Enrolment", "token"},  {"penstock.agent.v1.EnrolRequest", "token"},
};

bool cp_field_is_secret(const ProtobufCMessageDescriptor *owner,
                        const ProtobufCFieldDescriptor *field)
{
    static const char *const words[] = {"secret", "password", "private_key", "digest"};
    if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_BYTES)
        return false;
    for (size_t i = 0; i < GW_ARRAY_LEN(words); i++)
        if (strstr(field->name, words[i]))
            return true;
    for (size_t i = 0; i < GW_ARRAY_LEN(named); i++)
        if (strcmp(owner->name, named[i].message) == 0 && strcmp(field->name, named[i].field) == 0)
            return true;
    return false;
}

static void hide_text(char **text)
{
    if (*text && **text)
        *text = (char *)(uintptr_t)CP_SECRET_HIDDEN;
}

static size_t count_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)gw_message_quantifier(message, field);
    return gw_message_has(message, field) ? 1 : 0;
}

/* The elements of a repeated field, or the one that there is. */
static void *elements_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    void *at = gw_message_at(message, field);
    return field->label == PROTOBUF_C_LABEL_REPEATED ? *(void **)at : at;
}

/* Nesting ends where the message's types do, below GW_MESSAGE_DEPTH_MAX. */
static void redact(ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        size_t count = count_of(message, field);
        void *elements = elements_of(message, field);
        bool is_secret = cp_field_is_secret(type, field);
        for (size_t k = 0; k < count; k++) {
            if (field->type == PROTOBUF_C_TYPE_MESSAGE && ((ProtobufCMessage **)elements)[k])
                redact(((ProtobufCMessage **)elements)[k]);
            else if (field->type == PROTOBUF_C_TYPE_STRING && is_secret)
                hide_text(&((char **)elements)[k]);
            else if (field->type == PROTOBUF_C_TYPE_BYTES)
                ((ProtobufCBinaryData *)elements)[k] = (ProtobufCBinaryData){0, NULL};
        }
    }
}

ProtobufCMessage *cp_redact(struct gw_arena *arena, const ProtobufCMessage *message)
{
    ProtobufCMessage *copy = gw_message_copy(arena, message);
    redact(copy);
    return copy;
}
