/* SPDX-License-Identifier: Apache-2.0 */
#include "common/comments.h"

#include "common/map.h"
#include "common/message.h"

#include <google/protobuf/descriptor.pb-c.h>
#include <stdlib.h>

/* Numbers of fields in descriptor.proto: what a location's path is made of. */
enum {
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    ENUM_VALUE = 2,
    SERVICE_METHOD = 2,
};

typedef Google__Protobuf__FileDescriptorProto file_proto;
typedef Google__Protobuf__DescriptorProto message_proto;
typedef Google__Protobuf__EnumDescriptorProto enum_proto;
typedef Google__Protobuf__ServiceDescriptorProto service_proto;
typedef Google__Protobuf__SourceCodeInfo__Location location_proto;

struct gw_comments {
    struct gw_arena arena;
    struct gw_map texts;   /* full name -> const char * in the arena */
    struct gw_map streams; /* full names of methods whose answers are streams */
};

/* What is left of a location's path, and the name of what the part before it leads to. */
struct way {
    const int32_t *steps;
    size_t count;
    gw_str name;
};

static void step(struct gw_comments *to, struct way *way, const char *name)
{
    way->name = gw_arena_printf(&to->arena, "%.*s.%s", GW_STR_ARG(way->name), name);
    way->steps += 2;
    way->count -= 2;
}

static bool goes_to(const struct way *way, int32_t field, size_t elements)
{
    return way->count >= 2 && way->steps[0] == field && way->steps[1] >= 0 &&
           (size_t)way->steps[1] < elements;
}

static void walk_enum(struct gw_comments *to, struct way *way, const enum_proto *type)
{
    if (goes_to(way, ENUM_VALUE, type->n_value))
        step(to, way, type->value[way->steps[1]]->name);
}

/* Messages in messages, as deep as the path goes. */
static void walk_message(struct gw_comments *to, struct way *way, const message_proto *type)
{
    while (goes_to(way, MESSAGE_NESTED, type->n_nested_type)) {
        type = type->nested_type[way->steps[1]];
        step(to, way, type->name);
    }
    if (goes_to(way, MESSAGE_FIELD, type->n_field)) {
        step(to, way, type->field[way->steps[1]]->name);
    } else if (goes_to(way, MESSAGE_ENUM, type->n_enum_type)) {
        const enum_proto *inner = type->enum_type[way->steps[1]];
        step(to, way, inner->name);
        walk_enum(to, way, inner);
    }
}

static void walk_service(struct gw_comments *to, struct way *way, const service_proto *service)
{
    if (goes_to(way, SERVICE_METHOD, service->n_method))
        step(to, way, service->method[way->steps[1]]->name);
}

static void walk_file(struct gw_comments *to, struct way *way, const file_proto *file)
{
    size_t at = way->count >= 2 && way->steps[1] >= 0 ? (size_t)way->steps[1] : 0;
    if (goes_to(way, FILE_MESSAGE, file->n_message_type)) {
        step(to, way, file->message_type[at]->name);
        walk_message(to, way, file->message_type[at]);
    } else if (goes_to(way, FILE_ENUM, file->n_enum_type)) {
        step(to, way, file->enum_type[at]->name);
        walk_enum(to, way, file->enum_type[at]);
    } else if (goes_to(way, FILE_SERVICE, file->n_service)) {
        step(to, way, file->service[at]->name);
        walk_service(to, way, file->service[at]);
    }
}

/* The lines of a comment as one. */
static char *one_line(struct gw_arena *arena, const char *text)
{
    gw_str rest = gw_str_from(text);
    char *line = gw_arena_bytes(arena, rest.len + 1), *at = line;
    while (rest.ptr) {
        gw_str part = gw_str_trim(gw_str_split(&rest, '\n'));
        if (part.len && at > line)
            *at++ = ' ';
        if (part.len)
            at = mempcpy(at, part.ptr, part.len);
    }
    *at = 0;
    return line;
}

static void add_comment(struct gw_comments *to, const file_proto *file, const location_proto *place)
{
    struct way way = {place->path, place->n_path, gw_str_from(file->package)};
    if (!place->leading_comments || place->n_path == 0)
        return;
    walk_file(to, &way, file);
    if (way.count == 0)
        (void)gw_map_put(&to->texts, way.name, one_line(&to->arena, place->leading_comments));
}

static void add_streams(struct gw_comments *to, const file_proto *file)
{
    for (size_t i = 0; i < file->n_service; i++) {
        const service_proto *service = file->service[i];
        for (size_t k = 0; k < service->n_method; k++) {
            if (!service->method[k]->server_streaming)
                continue;
            gw_str name = gw_arena_printf(&to->arena, "%s.%s.%s", file->package, service->name,
                                          service->method[k]->name);
            (void)gw_map_put(&to->streams, name, to);
        }
    }
}

struct gw_comments *gw_comments_new(gw_str set)
{
    struct gw_comments *comments = gw_calloc(1, sizeof(*comments));
    gw_arena_init(&comments->arena, 0);
    gw_map_init(&comments->texts);
    gw_map_init(&comments->streams);
    gw_auto(gw_arena_done) struct gw_arena scratch = {0};
    ProtobufCAllocator allocator = gw_message_allocator(&scratch);
    const Google__Protobuf__FileDescriptorSet *files =
        google__protobuf__file_descriptor_set__unpack(&allocator, set.len,
                                                      (const uint8_t *)set.ptr);
    if (!files)
        gw_panic("descriptor set with comments: broken");
    for (size_t i = 0; i < files->n_file; i++) {
        const Google__Protobuf__SourceCodeInfo *info = files->file[i]->source_code_info;
        for (size_t k = 0; info && k < info->n_location; k++)
            add_comment(comments, files->file[i], info->location[k]);
        add_streams(comments, files->file[i]);
    }
    return comments;
}

void gw_comments_free(struct gw_comments *comments)
{
    if (!comments)
        return;
    gw_map_done(&comments->texts);
    gw_map_done(&comments->streams);
    gw_arena_done(&comments->arena);
    free(comments);
}

gw_str gw_comment_of(const struct gw_comments *comments, gw_str full_name)
{
    const char *text = gw_map_get(&comments->texts, full_name);
    return gw_str_from(text ? text : "");
}

bool gw_comments_is_stream(const struct gw_comments *comments, gw_str method)
{
    return gw_map_get(&comments->streams, method) != NULL;
}
