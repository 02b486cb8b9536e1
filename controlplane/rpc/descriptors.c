/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/descriptors.h"

#include "common/message.h"
#include "controlplane/rpc/rights.h"
#include "google/protobuf/descriptor.pb-c.h"

#include <stdlib.h>

#define ADMIN_PACKAGE "penstock.admin.v1."
#define SET_FILE_TAG 0x0a /* FileDescriptorSet.file: field 1, length-delimited */

extern const unsigned char penstock_descriptor_set[];
extern const size_t penstock_descriptor_set_len;

typedef Google__Protobuf__FileDescriptorProto file_proto;
typedef Google__Protobuf__DescriptorProto message_proto;
typedef Google__Protobuf__EnumDescriptorProto enum_proto;
typedef Google__Protobuf__ServiceDescriptorProto service_proto;

/* One file while it is being indexed. */
struct indexing {
    struct cp_descriptors *to;
    struct cp_proto_file *file;
    struct gw_arena *scratch; /* scopes, freed with the file's message */
};

static size_t read_varint(gw_str *rest)
{
    size_t value = 0;
    for (unsigned shift = 0; shift < 35 && rest->len; shift += 7) {
        unsigned char byte = (unsigned char)*rest->ptr;
        *rest = gw_str_n(rest->ptr + 1, rest->len - 1);
        value |= (size_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    gw_panic("descriptor set: bad number");
}

/* Cut out, not packed again: protobuf-c would lose what it does not know, options first of all. */
static gw_str next_file(gw_str *rest)
{
    if ((unsigned char)*rest->ptr != SET_FILE_TAG)
        gw_panic("descriptor set: not a list of files");
    *rest = gw_str_n(rest->ptr + 1, rest->len - 1);
    size_t len = read_varint(rest);
    if (len > rest->len)
        gw_panic("descriptor set: cut short");
    gw_str file = gw_str_n(rest->ptr, len);
    *rest = gw_str_n(rest->ptr + len, rest->len - len);
    return file;
}

/* "scope.name"; the first of a name stays (enum values of two enums never clash in a valid set). */
static gw_str add_symbol(struct indexing *at, gw_str scope, const char *name)
{
    gw_str full = scope.len ? gw_arena_printf(at->scratch, "%.*s.%s", GW_STR_ARG(scope), name)
                            : gw_arena_dup(at->scratch, gw_str_from(name));
    (void)gw_map_put(&at->to->symbols, full, at->file);
    return full;
}

/* Values belong to the scope of their enum, as in C++. */
static void index_enum(struct indexing *at, gw_str scope, const enum_proto *type)
{
    (void)add_symbol(at, scope, type->name);
    for (size_t i = 0; i < type->n_value; i++)
        (void)add_symbol(at, scope, type->value[i]->name);
}

static void index_message(struct indexing *at, gw_str scope, const message_proto *type)
{
    gw_str full = add_symbol(at, scope, type->name);
    for (size_t i = 0; i < type->n_field; i++)
        (void)add_symbol(at, full, type->field[i]->name);
    for (size_t i = 0; i < type->n_oneof_decl; i++)
        (void)add_symbol(at, full, type->oneof_decl[i]->name);
    for (size_t i = 0; i < type->n_enum_type; i++)
        index_enum(at, full, type->enum_type[i]);
    for (size_t i = 0; i < type->n_nested_type; i++)
        index_message(at, full, type->nested_type[i]);
}

static void index_service(struct indexing *at, gw_str scope, const service_proto *service)
{
    gw_str full = add_symbol(at, scope, service->name);
    struct cp_descriptors *to = at->to;
    to->services = gw_realloc(to->services, (to->service_count + 1) * sizeof(*to->services));
    to->services[to->service_count++] = gw_arena_dup(&to->arena, full).ptr;
    for (size_t i = 0; i < service->n_method; i++)
        (void)add_symbol(at, full, service->method[i]->name);
}

static void index_imports(struct indexing *at, const file_proto *proto)
{
    struct cp_proto_file *file = at->file;
    file->imports = GW_ARENA_ARRAY(&at->to->arena, struct cp_proto_file *, proto->n_dependency);
    for (size_t i = 0; i < proto->n_dependency; i++) {
        struct cp_proto_file *import =
            gw_map_get(&at->to->files, gw_str_from(proto->dependency[i]));
        if (!import)
            gw_panic("descriptor set: %s imports %s, which is not there", proto->name,
                     proto->dependency[i]);
        file->imports[file->import_count++] = import;
    }
}

static void index_file(struct cp_descriptors *to, gw_str bytes)
{
    gw_auto(gw_arena_done) struct gw_arena scratch = {0};
    ProtobufCAllocator allocator = gw_message_allocator(&scratch);
    const file_proto *proto = google__protobuf__file_descriptor_proto__unpack(
        &allocator, bytes.len, (const uint8_t *)bytes.ptr);
    if (!proto)
        gw_panic("descriptor set: broken file");
    struct cp_proto_file *file = GW_ARENA_NEW(&to->arena, struct cp_proto_file);
    file->name = gw_arena_dup(&to->arena, gw_str_from(proto->name));
    file->bytes = bytes;
    struct indexing at = {.to = to, .file = file, .scratch = &scratch};
    index_imports(&at, proto);
    (void)gw_map_put(&to->files, file->name, file);
    to->file_count++;
    gw_str package = gw_str_from(proto->package);
    for (size_t i = 0; i < proto->n_message_type; i++)
        index_message(&at, package, proto->message_type[i]);
    for (size_t i = 0; i < proto->n_enum_type; i++)
        index_enum(&at, package, proto->enum_type[i]);
    for (size_t i = 0; i < proto->n_service; i++)
        index_service(&at, package, proto->service[i]);
}

struct cp_descriptors *cp_descriptors_new(gw_str set)
{
    struct cp_descriptors *descriptors = gw_calloc(1, sizeof(*descriptors));
    gw_arena_init(&descriptors->arena, 0);
    gw_map_init(&descriptors->files);
    gw_map_init(&descriptors->symbols);
    while (set.len)
        index_file(descriptors, next_file(&set));
    return descriptors;
}

void cp_descriptors_free(struct cp_descriptors *descriptors)
{
    if (!descriptors)
        return;
    gw_map_done(&descriptors->files);
    gw_map_done(&descriptors->symbols);
    gw_arena_done(&descriptors->arena);
    free(descriptors->services);
    free(descriptors);
}

struct cp_descriptors *cp_descriptors_new_own(void)
{
    return cp_descriptors_new(
        gw_str_n((const char *)penstock_descriptor_set, penstock_descriptor_set_len));
}

/* "ApiService/GetApi" of "penstock.admin.v1.ApiService.GetApi"; false: it is no method. Only the
 * names of services end so. */
static bool action_of(gw_str symbol, char *action, size_t size)
{
    size_t skip = sizeof(ADMIN_PACKAGE) - 1;
    if (!gw_str_has_prefix(symbol, GW_STR(ADMIN_PACKAGE)) || symbol.len - skip >= size)
        return false;
    gw_str method = gw_str_n(symbol.ptr + skip, symbol.len - skip);
    gw_str service = gw_str_split(&method, '.');
    if (!method.ptr || gw_str_find(method, '.') >= 0 ||
        !gw_str_has_suffix(service, GW_STR("Service")))
        return false;
    memcpy(action, service.ptr, service.len);
    action[service.len] = '/';
    memcpy(action + service.len + 1, method.ptr, method.len);
    action[service.len + 1 + method.len] = '\0';
    return true;
}

bool cp_descriptors_have_action(const struct cp_descriptors *descriptors, const char *pattern)
{
    char action[2 * CP_ACTION_MAX];
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&descriptors->symbols, e));)
        if (action_of(e->key, action, sizeof(action)) && cp_action_matches(pattern, action))
            return true;
    return false;
}
