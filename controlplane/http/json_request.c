/* SPDX-License-Identifier: Apache-2.0 */
/* A query becomes a JSON object first: then one reader knows how every value is written. */
#include "controlplane/http/json_request.h"

#include "common/json.h"
#include "common/json_text.h"

#include <jansson.h>
#include <stdlib.h>

bool cp_json_is_parameter(const ProtobufCFieldDescriptor *field)
{
    if (field->type == PROTOBUF_C_TYPE_BYTES || field->type == PROTOBUF_C_TYPE_FLOAT ||
        field->type == PROTOBUF_C_TYPE_DOUBLE)
        return false;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return true;
    enum gw_json_form form = gw_json_form(field->descriptor);
    return field->label != PROTOBUF_C_LABEL_REPEATED && form != GW_JSON_OBJECT &&
           form != GW_JSON_ANY;
}

static int refuse(struct gw_error *err, gw_str name, const char *rule)
{
    char text[GW_ERROR_FIELD_MAX];
    size_t len = GW_MIN(name.len, sizeof(text) - 1);
    memcpy(text, name.ptr, len);
    text[len] = 0;
    return gw_fail_field(err, text, "%s", rule);
}

static const ProtobufCFieldDescriptor *find_parameter(const struct cp_json_route *route,
                                                      struct gw_arena *arena, gw_str name,
                                                      struct gw_error *err)
{
    gw_str snake = gw_arena_dup(arena, gw_json_snake(arena, name));
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(route->method->request, snake.ptr);
    if (!field)
        (void)refuse(err, name, "is no parameter of this method");
    else if (field == route->subject)
        (void)refuse(err, name, "is what the path says");
    else if (field == route->body)
        (void)refuse(err, name, "is the body");
    else if (!cp_json_is_parameter(field))
        (void)refuse(err, name, "does not fit into a query: it goes into the body");
    else
        return field;
    return NULL;
}

/* NULL with err. Numbers are read out of text, too; only what is true or false is no text. */
static json_t *value_of(const ProtobufCFieldDescriptor *field,
                        const struct cp_json_parameter *parameter, struct gw_error *err)
{
    gw_str value = parameter->value;
    if (field->type == PROTOBUF_C_TYPE_BOOL) {
        bool is_true = gw_str_eq(value, GW_STR("true"));
        if (is_true || gw_str_eq(value, GW_STR("false")))
            return json_boolean(is_true);
        (void)refuse(err, parameter->name, "must be true or false");
        return NULL;
    }
    json_t *text =
        gw_str_is_utf8(value) ? json_stringn(value.ptr ? value.ptr : "", value.len) : NULL;
    if (!text)
        (void)refuse(err, parameter->name, "must be UTF-8 text without NUL");
    return text;
}

static int add_parameter(json_t *object, const ProtobufCFieldDescriptor *field,
                         const struct cp_json_parameter *parameter, struct gw_error *err)
{
    json_t *before = json_object_get(object, field->name);
    json_t *value = value_of(field, parameter, err);
    if (!value)
        return -1;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        if (!before) {
            before = json_array();
            (void)json_object_set_new(object, field->name, before);
        }
        (void)json_array_append_new(before, value);
        return 0;
    }
    if (before) {
        json_decref(value);
        return refuse(err, parameter->name, "stands twice");
    }
    (void)json_object_set_new(object, field->name, value);
    return 0;
}

static int read_query(struct gw_arena *arena, const struct cp_json_route *route,
                      const struct cp_json_input *input, json_t *object, struct gw_error *err)
{
    for (size_t i = 0; i < input->parameter_count; i++) {
        const struct cp_json_parameter *parameter = &input->parameters[i];
        const ProtobufCFieldDescriptor *field = find_parameter(route, arena, parameter->name, err);
        if (!field || add_parameter(object, field, parameter, err))
            return -1;
    }
    return 0;
}

static int parse_query(struct gw_arena *arena, const struct cp_json_route *route,
                       const struct cp_json_input *input, ProtobufCMessage **ret_request,
                       struct gw_error *err)
{
    json_t *object = json_object();
    int failed = read_query(arena, route, input, object, err);
    char *text = failed ? NULL : json_dumps(object, JSON_COMPACT);
    if (text)
        failed = gw_json_parse(arena, route->method->request, gw_str_from(text), ret_request, err);
    free(text);
    json_decref(object);
    return failed;
}

/* A text of the message that the path says, too: the same or nothing. */
static int set_from_path(ProtobufCMessage *message, const char *field, gw_str value,
                         struct gw_arena *arena, struct gw_error *err)
{
    const char *given = gw_message_text(message, field);
    if (*given && !gw_str_eq(gw_str_from(given), value))
        return gw_fail_field(err, field, "is not what the path says, \"%.*s\"", GW_STR_ARG(value));
    if (value.len)
        gw_message_set_text(message, field, (char *)(uintptr_t)gw_arena_dup(arena, value).ptr);
    return 0;
}

/* The resource in the body, with its name from the path when it is there already. */
static int set_body(struct gw_arena *arena, const struct cp_json_route *route,
                    const struct cp_json_input *input, ProtobufCMessage *request,
                    struct gw_error *err)
{
    const ProtobufCMessageDescriptor *type = route->body->descriptor;
    bool has_name = route->verb == CP_JSON_PATCH &&
                    protobuf_c_message_descriptor_get_field_by_name(type, "name");
    ProtobufCMessage *body = NULL;
    if (input->body.len && gw_json_parse(arena, type, input->body, &body, err))
        return -1;
    if (!body && has_name)
        body = gw_message_new(arena, type);
    if (body && has_name && set_from_path(body, "name", input->subject, arena, err))
        return -1;
    *gw_message_child(request, route->body->name) = body;
    return 0;
}

int cp_json_request_make(struct gw_arena *arena, const struct cp_json_route *route,
                         const struct cp_json_input *input, ProtobufCMessage **ret_request,
                         struct gw_error *err)
{
    bool has_body = input->body.len > 0;
    if (has_body && !route->body && !route->is_body_request)
        return gw_fail(err, GW_INVALID_ARGUMENT, "%.*s takes no body", GW_STR_ARG(route->name));
    if (has_body && route->is_body_request && input->parameter_count)
        return gw_fail(err, GW_INVALID_ARGUMENT, "%.*s takes a body or query parameters, not both",
                       GW_STR_ARG(route->name));
    int failed = has_body && route->is_body_request
                     ? gw_json_parse(arena, route->method->request, input->body, ret_request, err)
                     : parse_query(arena, route, input, ret_request, err);
    if (failed)
        return -1;
    if (route->body && set_body(arena, route, input, *ret_request, err))
        return -1;
    return route->subject
               ? set_from_path(*ret_request, route->subject->name, input->subject, arena, err)
               : 0;
}
