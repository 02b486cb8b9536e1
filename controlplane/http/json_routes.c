/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/http/json_routes.h"

#include "common/json_text.h"
#include "controlplane/http/json_request.h"

#include <stdlib.h>

#define PACKAGE "/penstock.admin.v1."

/* What a service has Get for. */
struct resource {
    gw_str service;
    gw_str type;   /* "Api": of its messages */
    gw_str plural; /* "Apis": as its List calls it; empty: there is one, always */
    gw_str pattern;
};

struct cp_json_routes {
    struct gw_arena arena;
    const struct gw_comments *comments; /* borrowed */
    struct resource *resources;
    size_t resource_count;
    struct cp_json_route *list;
    size_t count;
};

const char *cp_json_verb_name(enum cp_json_verb verb)
{
    static const char *const names[] = {"GET", "POST", "PATCH", "DELETE", ""};
    return names[verb];
}

static gw_str without(gw_str text, size_t front)
{
    return gw_str_n(text.ptr + front, text.len - front);
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* ---- resources ---- */

/* The first text in double quotes. */
static gw_str quoted(gw_str text)
{
    (void)gw_str_split(&text, '"');
    return text.ptr ? gw_str_split(&text, '"') : GW_STR_NONE;
}

/* "releases/{environment}-{number}" is one id, too: "releases/{release}". */
static gw_str plain_pattern(struct gw_arena *arena, gw_str pattern, gw_str type)
{
    const char *slash = memrchr(pattern.ptr, '/', pattern.len);
    gw_str last = slash ? without(pattern, (size_t)(slash + 1 - pattern.ptr)) : pattern;
    if (last.len == 0 || last.ptr[0] != '{' || gw_str_find(last, '}') == (ptrdiff_t)last.len - 1)
        return pattern;
    gw_str snake = gw_json_snake(arena, type);
    if (gw_str_has_prefix(snake, GW_STR("_")))
        snake = without(snake, 1);
    return gw_arena_printf(arena, "%.*s{%.*s}", (int)(last.ptr - pattern.ptr), pattern.ptr,
                           GW_STR_ARG(snake));
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type,
                                                  const char *name)
{
    return protobuf_c_message_descriptor_get_field_by_name(type, name);
}

static void add_resource(struct cp_json_routes *routes, const struct cp_json_route *get)
{
    const ProtobufCMessageDescriptor *type = get->method->reply;
    gw_str name = gw_str_from(type->short_name);
    if (!gw_str_has_prefix(get->name, GW_STR("Get")) || !gw_str_eq(without(get->name, 3), name))
        return;
    gw_str field = gw_arena_printf(&routes->arena, "%s.name", type->name);
    gw_str pattern = quoted(gw_comment_of(routes->comments, field));
    if (pattern.len == 0 || !find_field(get->method->request, "name"))
        gw_panic("%s: the comment of name does not begin with the pattern in quotes", type->name);
    routes->resources[routes->resource_count++] = (struct resource){
        .service = get->service,
        .type = name,
        .pattern = plain_pattern(&routes->arena, gw_arena_dup(&routes->arena, pattern), name)};
}

/* "ListApis" of many Api: its name begins as the type's does, but for a "y". */
static void add_plural(struct cp_json_routes *routes, const struct cp_json_route *list)
{
    const ProtobufCMessageDescriptor *reply = list->method->reply;
    if (!gw_str_has_prefix(list->name, GW_STR("List")))
        return;
    gw_str plural = without(list->name, 4);
    for (size_t i = 0; i < routes->resource_count; i++) {
        struct resource *resource = &routes->resources[i];
        bool is_listed = false;
        for (unsigned k = 0; k < reply->n_fields; k++) {
            const ProtobufCMessageDescriptor *type = reply->fields[k].descriptor;
            is_listed |= reply->fields[k].type == PROTOBUF_C_TYPE_MESSAGE &&
                         reply->fields[k].label == PROTOBUF_C_LABEL_REPEATED &&
                         gw_str_eq(gw_str_from(type->short_name), resource->type);
        }
        gw_str stem = gw_str_n(resource->type.ptr, resource->type.len - 1);
        if (is_listed && gw_str_has_prefix(plural, stem) &&
            gw_str_eq(resource->service, list->service))
            resource->plural = plural;
    }
}

/* Where `word` stands in `name` as words of its own: "App" in "ResetAppSecret", not in "Approve".
 */
static bool has_word(gw_str name, gw_str word, size_t *ret_at)
{
    for (size_t at = 0; word.len > 0 && at + word.len <= name.len; at++) {
        size_t end = at + word.len;
        if (memcmp(name.ptr + at, word.ptr, word.len) == 0 &&
            (end == name.len || is_upper(name.ptr[end]))) {
            *ret_at = at;
            return true;
        }
    }
    return false;
}

/* The longest name of a resource of the service that the method's name has in it. */
static const struct resource *named_in(const struct cp_json_routes *routes,
                                       const struct cp_json_route *route, gw_str *ret_word)
{
    const struct resource *found = NULL;
    *ret_word = GW_STR_NONE;
    for (size_t i = 0; i < routes->resource_count; i++) {
        const struct resource *resource = &routes->resources[i];
        gw_str words[] = {resource->type, resource->plural};
        for (size_t k = 0; k < GW_ARRAY_LEN(words); k++) {
            size_t at;
            if (!gw_str_eq(resource->service, route->service) || words[k].len <= ret_word->len ||
                !has_word(route->name, words[k], &at))
                continue;
            found = resource;
            *ret_word = words[k];
        }
    }
    return found;
}

/* The resource whose id the pattern calls so: "release" of ".../releases/{release}". */
static const struct resource *called(const struct cp_json_routes *routes, const char *field)
{
    gw_auto(gw_arena_done) struct gw_arena scratch = {0};
    gw_str end = gw_arena_printf(&scratch, "/{%s}", field);
    for (size_t i = 0; i < routes->resource_count; i++)
        if (gw_str_has_suffix(routes->resources[i].pattern, end))
            return &routes->resources[i];
    return NULL;
}

/* ---- routes ---- */

static gw_str collection_of(gw_str pattern)
{
    const char *slash = memrchr(pattern.ptr, '/', pattern.len);
    return gw_str_n(pattern.ptr, slash ? (size_t)(slash - pattern.ptr) : pattern.len);
}

static const ProtobufCFieldDescriptor *text_field(const ProtobufCMessageDescriptor *type,
                                                  const char *name)
{
    const ProtobufCFieldDescriptor *field = find_field(type, name);
    bool is_text =
        field && field->type == PROTOBUF_C_TYPE_STRING && field->label != PROTOBUF_C_LABEL_REPEATED;
    return is_text ? field : NULL;
}

/* The parent may be another one than a resource's own: then the request's comment says which.
 * Without a parent in the request "groups/{group}/apis" is "apis". */
static void set_collection(struct cp_json_routes *routes, struct cp_json_route *route,
                           gw_str pattern)
{
    gw_str collection = collection_of(pattern);
    const char *slash = memrchr(collection.ptr, '/', collection.len);
    route->is_collection = true;
    route->path = collection;
    if (!slash)
        return;
    gw_str word = without(collection, (size_t)(slash + 1 - collection.ptr));
    route->subject = text_field(route->method->request, "parent");
    if (!route->subject) {
        route->path = word;
        return;
    }
    gw_str field = gw_arena_printf(&routes->arena, "%s.parent", route->method->request->name);
    gw_str parent = quoted(gw_comment_of(routes->comments, field));
    if (gw_str_has_suffix(parent, GW_STR("}")))
        route->path =
            gw_arena_printf(&routes->arena, "%.*s/%.*s", GW_STR_ARG(parent), GW_STR_ARG(word));
}

static const ProtobufCFieldDescriptor *message_of(const ProtobufCMessageDescriptor *request,
                                                  gw_str type)
{
    for (unsigned i = 0; i < request->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &request->fields[i];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE || field->label == PROTOBUF_C_LABEL_REPEATED)
            continue;
        const ProtobufCMessageDescriptor *message = field->descriptor;
        if (gw_str_eq(gw_str_from(message->short_name), type))
            return field;
    }
    return NULL;
}

/* Get, List, Create, Update, Delete of a resource by its name. */
static bool make_standard(struct cp_json_routes *routes, struct cp_json_route *route,
                          const struct resource *resource)
{
    static const struct {
        gw_str word;
        enum cp_json_verb verb;
        bool is_collection, has_body;
    } kinds[] = {{GW_STR("Get"), CP_JSON_GET, false, false},
                 {GW_STR("List"), CP_JSON_GET, true, false},
                 {GW_STR("Create"), CP_JSON_POST, true, true},
                 {GW_STR("Update"), CP_JSON_PATCH, false, true},
                 {GW_STR("Delete"), CP_JSON_DELETE, false, false}};
    for (size_t i = 0; i < GW_ARRAY_LEN(kinds); i++) {
        gw_str noun = i == 1 ? resource->plural : resource->type;
        if (noun.len == 0 || route->name.len != kinds[i].word.len + noun.len ||
            !gw_str_has_prefix(route->name, kinds[i].word) || !gw_str_has_suffix(route->name, noun))
            continue;
        route->verb = kinds[i].verb;
        route->path = resource->pattern;
        route->subject = text_field(route->method->request, "name");
        if (kinds[i].is_collection)
            set_collection(routes, route, resource->pattern);
        if (kinds[i].has_body)
            route->body = message_of(route->method->request, resource->type);
        return true;
    }
    return false;
}

static bool begins_with_reading(gw_str name)
{
    static const char *const words[] = {"Get", "List", "Diff", "Export", "Search", "Watch", "Who"};
    for (size_t i = 0; i < GW_ARRAY_LEN(words); i++)
        if (gw_str_has_prefix(name, gw_str_from(words[i])))
            return true;
    return false;
}

/* A method that only reads is GET when all that it is asked by fits into a query. */
static void set_custom_verb(struct cp_json_route *route)
{
    const ProtobufCMessageDescriptor *request = route->method->request;
    bool fits = begins_with_reading(route->name);
    for (unsigned i = 0; i < request->n_fields && fits; i++)
        fits = cp_json_is_parameter(&request->fields[i]);
    route->verb = fits ? CP_JSON_GET : CP_JSON_POST;
    route->is_body_request = !fits;
}

/* "ResetAppSecret" without "App": "resetSecret". */
static gw_str custom_word(struct gw_arena *arena, gw_str name, gw_str noun)
{
    size_t at = name.len;
    if (!has_word(name, noun, &at))
        noun.len = 0;
    gw_str rest = without(name, GW_MIN(at + noun.len, name.len));
    gw_str word = gw_arena_printf(arena, "%.*s%.*s", (int)at, name.ptr, GW_STR_ARG(rest));
    if (word.len == 0)
        word = gw_arena_dup(arena, name);
    ((char *)(uintptr_t)word.ptr)[0] |= 0x20;
    return word;
}

/* Of one resource: the field "name", or one that is called as a resource's id is. */
static bool set_subject(const struct cp_json_routes *routes, struct cp_json_route *route,
                        const struct resource *resource)
{
    const ProtobufCMessageDescriptor *request = route->method->request;
    route->path = resource->pattern;
    route->subject = text_field(request, "name");
    for (unsigned i = 0; i < request->n_fields && !route->subject; i++) {
        const struct resource *other = called(routes, request->fields[i].name);
        if (!other || !text_field(request, request->fields[i].name))
            continue;
        route->subject = &request->fields[i];
        route->path = other->pattern;
    }
    return route->subject != NULL;
}

static gw_str service_word(struct gw_arena *arena, gw_str service)
{
    const char *dot = memrchr(service.ptr, '.', service.len);
    gw_str word = without(service, (size_t)(dot + 1 - service.ptr));
    if (gw_str_has_suffix(word, GW_STR("Service")))
        word.len -= strlen("Service");
    word = gw_arena_dup(arena, word);
    ((char *)(uintptr_t)word.ptr)[0] |= 0x20;
    return word;
}

static void make_custom(struct cp_json_routes *routes, struct cp_json_route *route)
{
    gw_str noun;
    const struct resource *resource = named_in(routes, route, &noun);
    set_custom_verb(route);
    if (!resource) {
        gw_str word = service_word(&routes->arena, route->service);
        gw_str upper = gw_arena_printf(&routes->arena, "%c%.*s", word.ptr[0] & ~0x20,
                                       (int)word.len - 1, word.ptr + 1);
        route->path = word;
        if (!gw_str_eq(upper, route->name)) /* WatchService.Watch is /v1/watch */
            route->custom = custom_word(&routes->arena, route->name, upper);
        return;
    }
    route->custom = custom_word(&routes->arena, route->name, noun);
    bool is_plural = gw_str_eq(noun, resource->plural);
    if (is_plural || !set_subject(routes, route, resource))
        set_collection(routes, route, resource->pattern);
}

static void make_route(struct cp_json_routes *routes, struct cp_json_route *route)
{
    for (size_t i = 0; i < routes->resource_count; i++)
        if (gw_str_eq(routes->resources[i].service, route->service) &&
            make_standard(routes, route, &routes->resources[i]))
            return;
    make_custom(routes, route);
}

struct cp_json_routes *cp_json_routes_new(const struct gw_rpc_method *methods, size_t count,
                                          const struct gw_comments *comments)
{
    struct cp_json_routes *routes = gw_calloc(1, sizeof(*routes));
    gw_arena_init(&routes->arena, 0);
    routes->comments = comments;
    routes->list = GW_ARENA_ARRAY(&routes->arena, struct cp_json_route, count + 1);
    routes->resources = GW_ARENA_ARRAY(&routes->arena, struct resource, count + 1);
    for (size_t i = 0; i < count; i++) {
        gw_str name = gw_str_from(methods[i].path);
        if (!gw_str_has_prefix(name, GW_STR(PACKAGE)))
            continue;
        name = without(name, 1);
        struct cp_json_route *route = &routes->list[routes->count++];
        *route = (struct cp_json_route){.method = &methods[i], .is_stream = !methods[i].unary};
        route->service = gw_str_split(&name, '/');
        route->name = name;
    }
    for (size_t i = 0; i < routes->count; i++)
        add_resource(routes, &routes->list[i]);
    for (size_t i = 0; i < routes->count; i++)
        add_plural(routes, &routes->list[i]);
    for (size_t i = 0; i < routes->count; i++)
        make_route(routes, &routes->list[i]);
    return routes;
}

void cp_json_routes_free(struct cp_json_routes *routes)
{
    if (!routes)
        return;
    gw_arena_done(&routes->arena);
    free(routes);
}

const struct cp_json_route *cp_json_routes_list(const struct cp_json_routes *routes,
                                                size_t *ret_count)
{
    *ret_count = routes->count;
    return routes->list;
}

/* ---- finding ---- */

/* What an id may be is the service's affair; here it is not empty and has no colon. */
static bool fits(gw_str pattern, gw_str path)
{
    while (pattern.ptr && path.ptr) {
        gw_str want = gw_str_split(&pattern, '/');
        gw_str got = gw_str_split(&path, '/');
        bool is_id = want.len > 0 && want.ptr[0] == '{';
        if (is_id ? got.len == 0 || gw_str_find(got, ':') >= 0 : !gw_str_eq(want, got))
            return false;
    }
    return !pattern.ptr && !path.ptr;
}

/* "groups/shop/apis/read:publish": behind the last colon of the last part; it is in no id. */
static gw_str split_custom(gw_str *path)
{
    const char *slash = memrchr(path->ptr, '/', path->len);
    const char *from = slash ? slash : path->ptr;
    const char *colon = memrchr(from, ':', (size_t)(path->ptr + path->len - from));
    if (!colon)
        return GW_STR_NONE;
    gw_str custom = without(*path, (size_t)(colon + 1 - path->ptr));
    path->len = (size_t)(colon - path->ptr);
    return custom;
}

static gw_str subject_in(const struct cp_json_route *route, gw_str path)
{
    if (!route->is_collection)
        return path;
    gw_str parent = collection_of(path);
    /* Some want a parent or names; in a path there always is one. */
    bool is_none = route->is_body_request && gw_str_has_suffix(parent, GW_STR("/-"));
    return is_none ? GW_STR_NONE : parent;
}

const struct cp_json_route *cp_json_route_find(const struct cp_json_routes *routes,
                                               enum cp_json_verb verb, gw_str path,
                                               gw_str *ret_subject, unsigned *ret_allowed)
{
    gw_str custom = path.len ? split_custom(&path) : GW_STR_NONE;
    *ret_allowed = 0;
    *ret_subject = GW_STR_NONE;
    if (custom.ptr && custom.len == 0)
        return NULL;
    for (size_t i = 0; i < routes->count; i++) {
        const struct cp_json_route *route = &routes->list[i];
        if (!gw_str_eq(route->custom, custom) || !fits(route->path, path))
            continue;
        *ret_allowed |= 1u << route->verb;
        if (route->verb != verb)
            continue;
        if (route->subject || route->body)
            *ret_subject = subject_in(route, path);
        return route;
    }
    return NULL;
}
