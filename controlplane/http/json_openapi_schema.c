/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/http/json_openapi_schema.h"

#include "common/json_text.h"
#include "common/message.h"

#define PACKAGE "penstock.admin.v1."
#define REFERENCE "#/components/schemas/"

static void set(json_t *object, const char *name, json_t *value)
{
    int rc = json_object_set_new(object, name, value);
    assert(rc == 0); /* our own texts are UTF-8 */
    (void)rc;
}

static void set_description(json_t *object, gw_str comment)
{
    if (comment.len)
        set(object, "description", json_stringn(comment.ptr, comment.len));
}

void cp_json_schemas_init(struct cp_json_schemas *schemas, struct gw_arena *arena,
                          const struct gw_comments *comments)
{
    *schemas =
        (struct cp_json_schemas){.arena = arena, .comments = comments, .made = json_object()};
}

json_t *cp_json_schemas_take(struct cp_json_schemas *schemas)
{
    return schemas->made;
}

/* "Api" of penstock.admin.v1.Api */
static const char *name_of(const char *full_name)
{
    gw_str name = gw_str_from(full_name);
    return gw_str_has_prefix(name, GW_STR(PACKAGE)) ? full_name + strlen(PACKAGE) : full_name;
}

static json_t *reference(struct cp_json_schemas *schemas, const char *name)
{
    gw_str path = gw_arena_printf(schemas->arena, REFERENCE "%s", name);
    return json_pack("{s:s}", "$ref", path.ptr);
}

/* ---- enums ---- */

static void add_enum(struct cp_json_schemas *schemas, const ProtobufCEnumDescriptor *type,
                     const char *name)
{
    json_t *values = json_array();
    json_t *schema = json_pack("{s:s, s:o}", "type", "string", "enum", values);
    set(schemas->made, name, schema);
    gw_str about = gw_comment_of(schemas->comments, gw_str_from(type->name));
    for (unsigned i = 0; i < type->n_values; i++) {
        const char *value = type->values[i].name;
        gw_str full = gw_arena_printf(schemas->arena, "%s.%s", type->name, value);
        gw_str comment = gw_comment_of(schemas->comments, full);
        (void)json_array_append_new(values, json_string(value));
        if (comment.len)
            about = gw_arena_printf(schemas->arena, "%.*s%s%s: %.*s", GW_STR_ARG(about),
                                    about.len ? " " : "", value, GW_STR_ARG(comment));
    }
    set_description(schema, about);
}

static json_t *enum_schema(struct cp_json_schemas *schemas, const ProtobufCEnumDescriptor *type)
{
    const char *name = name_of(type->name);
    if (!json_object_get(schemas->made, name))
        add_enum(schemas, type, name);
    return reference(schemas, name);
}

/* ---- messages ---- */

static json_t *plain_schema(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case PROTOBUF_C_TYPE_STRING:
        return json_pack("{s:s}", "type", "string");
    case PROTOBUF_C_TYPE_BYTES:
        return json_pack("{s:s, s:s}", "type", "string", "format", "byte");
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return json_pack("{s:s}", "type", "number");
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return json_pack("{s:s, s:s, s:i}", "type", "integer", "format", "int64", "minimum", 0);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_pack("{s:s, s:s}", "type", "integer", "format", "int32");
    default: /* of 64 bits: as text */
        return json_pack("{s:s, s:s}", "type", "string", "format", "int64");
    }
}

static json_t *value_schema(struct cp_json_schemas *schemas, const ProtobufCFieldDescriptor *field)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return cp_json_schema_of(schemas, field->descriptor);
    if (field->type == PROTOBUF_C_TYPE_ENUM)
        return enum_schema(schemas, field->descriptor);
    return plain_schema(field);
}

json_t *cp_json_schema_of_field(struct cp_json_schemas *schemas,
                                const ProtobufCFieldDescriptor *field)
{
    if (gw_message_is_map(field)) {
        const ProtobufCMessageDescriptor *entry = field->descriptor;
        return json_pack("{s:s, s:o}", "type", "object", "additionalProperties",
                         value_schema(schemas, &entry->fields[1]));
    }
    json_t *value = value_schema(schemas, field);
    return field->label == PROTOBUF_C_LABEL_REPEATED
               ? json_pack("{s:s, s:o}", "type", "array", "items", value)
               : value;
}

/* Nothing may stand beside a reference: a comment goes around it. */
static json_t *property(struct cp_json_schemas *schemas, const ProtobufCMessageDescriptor *type,
                        const ProtobufCFieldDescriptor *field)
{
    json_t *schema = cp_json_schema_of_field(schemas, field);
    gw_str full = gw_arena_printf(schemas->arena, "%s.%s", type->name, field->name);
    gw_str comment = gw_comment_of(schemas->comments, full);
    bool is_output = gw_str_has_prefix(comment, GW_STR("Output only"));
    if (!comment.len)
        return schema;
    if (json_object_get(schema, "$ref"))
        schema = json_pack("{s:[o]}", "allOf", schema);
    set_description(schema, comment);
    if (is_output && !gw_str_has_prefix(comment, GW_STR("Output only when read")))
        set(schema, "readOnly", json_true());
    return schema;
}

static void add_message(struct cp_json_schemas *schemas, const ProtobufCMessageDescriptor *type,
                        const char *name)
{
    json_t *properties = json_object();
    json_t *schema = json_pack("{s:s, s:o}", "type", "object", "properties", properties);
    set(schemas->made, name, schema); /* first: messages in messages find it */
    set_description(schema, gw_comment_of(schemas->comments, gw_str_from(type->name)));
    for (unsigned i = 0; i < type->n_fields; i++) {
        gw_str field = gw_str_from(type->fields[i].name);
        char *camel = gw_arena_bytes(schemas->arena, field.len + 1);
        camel[gw_json_camel(field, camel)] = 0;
        set(properties, camel, property(schemas, type, &type->fields[i]));
    }
}

json_t *cp_json_schema_of(struct cp_json_schemas *schemas, const ProtobufCMessageDescriptor *type)
{
    switch (gw_json_form(type)) {
    case GW_JSON_TIMESTAMP:
        return json_pack("{s:s, s:s}", "type", "string", "format", "date-time");
    case GW_JSON_DURATION:
        return json_pack("{s:s, s:s}", "type", "string", "pattern", "^-?[0-9]+(\\.[0-9]{1,9})?s$");
    case GW_JSON_MASK:
        return json_pack("{s:s, s:s}", "type", "string", "description",
                         "Names of fields, with commas between.");
    default:
        break;
    }
    const char *name = name_of(type->name);
    if (!json_object_get(schemas->made, name))
        add_message(schemas, type, name);
    return reference(schemas, name);
}
