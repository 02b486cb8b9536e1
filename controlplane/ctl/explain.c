/* SPDX-License-Identifier: Apache-2.0 */
/* explain: a kind and its fields, in the words of the protos' comments, which the build keeps. */
#include "common/json_text.h"
#include "controlplane/ctl/command.h"

#include "google/protobuf/descriptor.pb-c.h"

#include <stdio.h>

extern const unsigned char penstock_documented_set[];
extern const size_t penstock_documented_set_len;

typedef Google__Protobuf__FileDescriptorSet file_set;
typedef Google__Protobuf__FileDescriptorProto file_proto;
typedef Google__Protobuf__DescriptorProto message_proto;
typedef Google__Protobuf__EnumDescriptorProto enum_proto;
typedef Google__Protobuf__FieldDescriptorProto field_proto;

#define PATH_MAX_NUMBERS 8
#define DEPTH_MAX 8 /* of a tree of fields */
/* Numbers of fields in descriptor.proto, of which paths to comments are made. */
enum {
    FILE_SYNTAX = 12,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    ENUM_VALUE = 2
};

/* Where in a file a comment stands. */
struct place {
    const file_proto *file;
    int32_t path[PATH_MAX_NUMBERS];
    size_t count;
};

static struct place below(struct place place, int32_t field, size_t index)
{
    if (place.count + 2 <= PATH_MAX_NUMBERS) {
        place.path[place.count++] = field;
        place.path[place.count++] = (int32_t)index;
    }
    return place;
}

static gw_str comment_at(const struct place *place)
{
    const Google__Protobuf__SourceCodeInfo *info = place->file->source_code_info;
    for (size_t i = 0; info && i < info->n_location; i++) {
        const Google__Protobuf__SourceCodeInfo__Location *at = info->location[i];
        if (at->n_path == place->count && at->leading_comments &&
            memcmp(at->path, place->path, place->count * sizeof *at->path) == 0)
            return gw_str_from(at->leading_comments);
    }
    return GW_STR_NONE;
}

/* What stands above all of the file. */
static gw_str file_comment(const struct place *place)
{
    struct place top = {.file = place->file, .path = {FILE_SYNTAX}, .count = 1};
    return comment_at(&top);
}

/* ---- types by name */

struct type {
    const message_proto *message; /* or */
    const enum_proto *values;
    struct place place;
};

/* ".penstock.admin.v1.Api"; what is nested is a map's entry, and not asked for. */
static bool find_type(const file_set *set, const char *name, struct type *ret)
{
    for (size_t i = 0; i < set->n_file; i++) {
        const file_proto *file = set->file[i];
        gw_str package = gw_str_from(file->package), rest = gw_str_from(name);
        rest = gw_str_n(rest.ptr + 1, rest.len - 1);
        if (!gw_str_has_prefix(rest, package) || rest.len <= package.len + 1)
            continue;
        const char *own = rest.ptr + package.len + 1;
        *ret = (struct type){.place = {.file = file}};
        for (size_t j = 0; j < file->n_message_type; j++)
            if (strcmp(file->message_type[j]->name, own) == 0) {
                ret->message = file->message_type[j];
                ret->place = below(ret->place, FILE_MESSAGE, j);
                return true;
            }
        for (size_t j = 0; j < file->n_enum_type; j++)
            if (strcmp(file->enum_type[j]->name, own) == 0) {
                ret->values = file->enum_type[j];
                ret->place = below(ret->place, FILE_ENUM, j);
                return true;
            }
    }
    return false;
}

static bool is_own_type(const field_proto *field)
{
    return field->type_name && strncmp(field->type_name, ".penstock.", 10) == 0 &&
           !gw_str_has_suffix(gw_str_from(field->type_name), GW_STR("Entry"));
}

/* ---- what is said of a field */

static const char *plain_word(const field_proto *field)
{
    switch (field->type) {
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_STRING:
        return "text";
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_BYTES:
        return "base64";
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_BOOL:
        return "true or false";
    default:
        return "number";
    }
}

static gw_str type_word(const field_proto *field, struct gw_arena *arena)
{
    static const struct {
        const char *type, *word;
    } known[] = {{".google.protobuf.Timestamp", "time"},
                 {".google.protobuf.Duration", "duration, as 5s"},
                 {".google.protobuf.FieldMask", "names of fields"}};
    const char *word = field->type_name ? strrchr(field->type_name, '.') + 1 : plain_word(field);
    bool is_map = field->type_name && !is_own_type(field);
    for (size_t i = 0; field->type_name && i < GW_ARRAY_LEN(known); i++)
        if (strcmp(field->type_name, known[i].type) == 0) {
            word = known[i].word;
            is_map = false;
        }
    if (is_map)
        return GW_STR("names and values");
    bool is_list = field->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED;
    return gw_arena_printf(arena, "%s%s", is_list ? "list of " : "", word);
}

static gw_str camel(const char *name, struct gw_arena *arena)
{
    char *text = gw_arena_bytes(arena, strlen(name) + 1);
    return gw_str_n(text, gw_json_camel(gw_str_from(name), text));
}

static void print_comment(gw_str comment, int indent)
{
    while (comment.len > 0) {
        gw_str line = gw_str_trim(gw_str_split(&comment, '\n'));
        if (line.len > 0)
            printf("%*s%.*s\n", indent, "", GW_STR_ARG(line));
    }
}

static void print_head(const message_proto *message, const field_proto *field, int indent,
                       struct gw_arena *arena)
{
    gw_str name = camel(field->name, arena), type = type_word(field, arena);
    printf("%*s%.*s <%.*s>", indent, "", GW_STR_ARG(name), GW_STR_ARG(type));
    if (field->has_oneof_index)
        printf(" (one of %s)", message->oneof_decl[field->oneof_index]->name);
    putchar('\n');
}

static void print_values(const struct type *type, int indent)
{
    for (size_t i = 0; i < type->values->n_value; i++) {
        struct place place = below(type->place, ENUM_VALUE, i);
        if (type->values->value[i]->number == 0)
            continue; /* nobody says it */
        printf("%*s%s\n", indent, "", type->values->value[i]->name);
        print_comment(comment_at(&place), indent + 2);
    }
}

static void print_fields(const file_set *set, const struct type *type, unsigned depth,
                         bool is_recursive, struct gw_arena *arena)
{
    int indent = (int)(2 * depth);
    for (size_t i = 0; i < type->message->n_field; i++) {
        struct type inner;
        const field_proto *field = type->message->field[i];
        struct place place = below(type->place, MESSAGE_FIELD, i);
        print_head(type->message, field, indent, arena);
        if (!is_recursive)
            print_comment(comment_at(&place), indent + 4);
        else if (depth < DEPTH_MAX && is_own_type(field) &&
                 find_type(set, field->type_name, &inner) && inner.message)
            print_fields(set, &inner, depth + 1, true, arena);
    }
}

/* ---- which one */

static const field_proto *find_field(const struct type *type, gw_str typed, struct gw_arena *arena,
                                     size_t *ret_index)
{
    gw_str name = gw_json_snake(arena, typed);
    for (size_t i = 0; i < type->message->n_field; i++) {
        *ret_index = i;
        if (gw_str_eq(gw_str_from(type->message->field[i]->name), name))
            return type->message->field[i];
    }
    return NULL;
}

static void print_type(const file_set *set, const struct type *type, bool is_recursive,
                       struct gw_arena *arena)
{
    gw_str said = comment_at(&type->place);
    if (said.len > 0) {
        puts("\nDESCRIPTION");
        print_comment(said, 2);
    }
    puts(type->message ? "\nFIELDS" : "\nVALUES");
    if (type->message)
        print_fields(set, type, 1, is_recursive, arena);
    else
        print_values(type, 2);
}

static int unknown_field(const struct type *type, gw_str word, struct gw_error *err)
{
    if (type->message)
        return gw_fail(err, GW_NOT_FOUND, "%s has no field %.*s", type->message->name,
                       GW_STR_ARG(word));
    return gw_fail(err, GW_NOT_FOUND, "there is nothing below %.*s", GW_STR_ARG(word));
}

static int explain(const struct cp_ctl_kind *kind, gw_str path, const file_set *set,
                   struct cp_session *session, struct gw_error *err)
{
    struct gw_arena *arena = &session->arena;
    struct type type = {0};
    const field_proto *field = NULL;
    gw_str said = GW_STR_NONE, rest = path;
    bool has_type = find_type(set, gw_arena_printf(arena, ".%s", kind->message->name).ptr, &type);
    while (rest.ptr) {
        size_t index;
        gw_str word = gw_str_split(&rest, '.');
        field = has_type && type.message ? find_field(&type, word, arena, &index) : NULL;
        if (!field)
            return unknown_field(&type, word, err);
        struct place place = below(type.place, MESSAGE_FIELD, index);
        said = comment_at(&place);
        has_type = is_own_type(field) && find_type(set, field->type_name, &type);
        if (!has_type)
            type = (struct type){0};
    }
    printf("KIND   %s, named %s\n", kind->word, kind->pattern);
    if (!field && has_type)
        print_comment(file_comment(&type.place), 2);
    if (field) {
        gw_str word = type_word(field, arena);
        printf("FIELD  %.*s <%.*s>\n", GW_STR_ARG(path), GW_STR_ARG(word));
        print_comment(said, 2);
    }
    if (has_type)
        print_type(set, &type, session->options->recursive, arena);
    return 0;
}

int cp_command_explain(struct cp_session *session, struct gw_error *err)
{
    gw_str rest = gw_str_from(session->options->args[0]);
    gw_str word = gw_str_split(&rest, '.');
    const struct cp_ctl_kind *kind = cp_kind_find(word);
    ProtobufCAllocator allocator = gw_message_allocator(&session->arena);
    if (!kind) {
        (void)gw_fail(err, GW_INVALID_ARGUMENT,
                      "\"%.*s\" is no kind; penstockctl --help lists them", GW_STR_ARG(word));
        return cp_usage(err);
    }
    const file_set *set = google__protobuf__file_descriptor_set__unpack(
        &allocator, penstock_documented_set_len, penstock_documented_set);
    if (!set)
        gw_panic("the descriptor set of this program is broken");
    return explain(kind, rest, set, session, err);
}
