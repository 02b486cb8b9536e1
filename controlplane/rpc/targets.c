/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/targets.h"

#include "common/message.h"
#include "controlplane/model/names.h"

enum meaning {
    MEANS_UNKNOWN,
    MEANS_NOTHING, /* no resource, or one that the call only refers to */
    MEANS_TARGET,  /* a name, or several */
    MEANS_ID,      /* of what a Create makes */
    MEANS_BODY,    /* the resource itself */
};

/* Text fields of requests. An environment is where something of a group happens, not what. */
static const struct {
    const char *field;
    enum meaning meaning;
} texts[] = {
    {"name", MEANS_TARGET},         {"names", MEANS_TARGET},        {"parent", MEANS_TARGET},
    {"release", MEANS_TARGET},      {"source", MEANS_TARGET},       {"target", MEANS_TARGET},
    {"environment", MEANS_NOTHING}, {"description", MEANS_NOTHING}, {"etag", MEANS_NOTHING},
    {"page_token", MEANS_NOTHING},  {"path", MEANS_NOTHING},        {"tags", MEANS_NOTHING},
    {"secret", MEANS_NOTHING},      {"domain", MEANS_NOTHING},      {"agent", MEANS_NOTHING},
    {"app_code", MEANS_NOTHING},    {"managed_by", MEANS_NOTHING},  {"groups", MEANS_TARGET},
    {"document", MEANS_NOTHING},
};

static enum meaning meaning_of_text(const char *field)
{
    for (size_t i = 0; i < GW_ARRAY_LEN(texts); i++)
        if (strcmp(texts[i].field, field) == 0)
            return texts[i].meaning;
    return gw_str_has_suffix(gw_str_from(field), GW_STR("_id")) ? MEANS_ID : MEANS_UNKNOWN;
}

static const ProtobufCFieldDescriptor *name_field(const ProtobufCMessageDescriptor *type)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(type, "name");
    bool is_text =
        field && field->type == PROTOBUF_C_TYPE_STRING && field->label != PROTOBUF_C_LABEL_REPEATED;
    return is_text ? field : NULL;
}

/* Masks, durations and times name nothing; headers of a debug call have names of another sort; a
 * backend refers to others. */
static enum meaning meaning_of_message(const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *type = field->descriptor;
    if (gw_str_has_prefix(gw_str_from(type->name), GW_STR("google.protobuf.")))
        return MEANS_NOTHING;
    if (strcmp(type->short_name, "DebugField") == 0 || strcmp(type->short_name, "Backend") == 0)
        return MEANS_NOTHING;
    if (field->label == PROTOBUF_C_LABEL_REPEATED || !name_field(type))
        return MEANS_UNKNOWN;
    return MEANS_BODY;
}

static enum meaning meaning_of(const ProtobufCFieldDescriptor *field)
{
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return meaning_of_text(field->name);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return meaning_of_message(field);
    return MEANS_NOTHING; /* numbers and bytes */
}

bool cp_targets_are_known(const ProtobufCMessageDescriptor *request, const char **ret_field)
{
    for (unsigned i = 0; i < request->n_fields; i++) {
        if (meaning_of(&request->fields[i]) == MEANS_UNKNOWN) {
            *ret_field = request->fields[i].name;
            return false;
        }
    }
    return true;
}

/* ---- of one request */

static void add(struct cp_targets *targets, const char *name)
{
    if (name && *name)
        targets->names[targets->count++] = name;
}

static void add_texts(struct cp_targets *targets, const ProtobufCMessage *request,
                      const ProtobufCFieldDescriptor *field)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        add(targets, *(char **)gw_message_at(request, field));
        return;
    }
    size_t count = *(const size_t *)gw_message_quantifier(request, field);
    for (size_t i = 0; i < count; i++)
        add(targets, (*(char ***)gw_message_at(request, field))[i]);
}

/* "groups/shop": what a Create of a kind without parents makes. */
static const char *made_name(struct gw_arena *arena, const ProtobufCMessageDescriptor *type,
                             const char *id)
{
    enum cp_kind_id parent;
    for (enum cp_kind_id i = 0; i < CP_KIND_COUNT; i++) {
        const struct cp_kind *kind = cp_kind_get(i);
        if (kind->type != type || cp_kind_parent(i, &parent))
            continue;
        struct cp_ids ids = {.id = {gw_str_from(id)}, .count = 1};
        return cp_name_make(arena, i, &ids).ptr;
    }
    return NULL;
}

static size_t most(const ProtobufCMessage *request)
{
    size_t count = 0;
    for (unsigned i = 0; i < request->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &request->descriptor->fields[i];
        bool is_many =
            field->type == PROTOBUF_C_TYPE_STRING && field->label == PROTOBUF_C_LABEL_REPEATED;
        count += is_many ? *(const size_t *)gw_message_quantifier(request, field) : 1;
    }
    return count + 1;
}

/* A "-" stands for all: "groups/-". */
static bool is_of_all(const char *name)
{
    gw_str rest = gw_str_from(name);
    while (rest.ptr)
        if (gw_str_eq(gw_str_split(&rest, '/'), GW_STR("-")))
            return true;
    return false;
}

void cp_targets_of(struct gw_arena *arena, const char *method, const ProtobufCMessage *request,
                   struct cp_targets *ret)
{
    const ProtobufCMessageDescriptor *type = request->descriptor;
    const char *id = NULL;
    const ProtobufCMessageDescriptor *body = NULL;
    *ret = (struct cp_targets){.names = GW_ARENA_ARRAY(arena, const char *, most(request))};
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        const ProtobufCMessage *child = NULL;
        switch (meaning_of(field)) {
        case MEANS_TARGET:
            add_texts(ret, request, field);
            break;
        case MEANS_ID:
            id = *(char **)gw_message_at(request, field);
            break;
        case MEANS_BODY:
            body = field->descriptor;
            child = *(ProtobufCMessage **)gw_message_at(request, field);
            add(ret, child ? *(char **)gw_message_at(child, name_field(body)) : NULL);
            break;
        case MEANS_UNKNOWN:
            ret->unknown = gw_message_has(request, field) ? field->name : ret->unknown;
            break;
        case MEANS_NOTHING:
            break;
        }
    }
    if (id && *id && body)
        add(ret, made_name(arena, body, id));
    bool is_list = gw_str_has_prefix(gw_str_from(method), GW_STR("List"));
    ret->is_list_of_all =
        is_list && (ret->count == 0 || (ret->count == 1 && is_of_all(*ret->names)));
    if (ret->unknown)
        ret->count = 0;
}
