/* SPDX-License-Identifier: Apache-2.0 */
/* A document to its operations. What is wrong with one operation is that operation's. */
#include "common/message.h"
#include "controlplane/model/check.h"
#include "controlplane/model/check_api.h"
#include "controlplane/model/check_path.h"
#include "controlplane/openapi/reader.h"
#include "controlplane/openapi/text.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#define ID_MAX 63 /* as the names of APIs have it */
#define TAG_MAX 128
#define SAID_MAX 1024 /* bytes of an operationId that are looked at */
#define LABELS_MAX CP_LABELS_MAX
#define LARGE (256 * 1024) /* bytes of a text */

/* ---- texts ---- */

/* What was cut within a character by the format. */
static void make_utf8(char *text)
{
    for (gw_str rest = gw_str_from(text); rest.len > 0;) {
        size_t step = gw_str_utf8_step(rest);
        if (step == 0)
            text[rest.ptr - text] = '?';
        step = GW_MAX(step, 1u);
        rest = gw_str_n(rest.ptr + step, rest.len - step);
    }
}

void cp_openapi_note(struct cp_openapi_reader *reader, const char *format, ...)
{
    char text[1024];
    struct cp_openapi_operation *operation = reader->operation;
    va_list args;
    if (operation->note_count == CP_OPENAPI_NOTES_MAX)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!operation->notes)
        operation->notes = GW_ARENA_ARRAY(reader->arena, char *, CP_OPENAPI_NOTES_MAX);
    make_utf8(text);
    size_t len = GW_MIN(strlen(text), (size_t)CP_OPENAPI_NOTE_MAX);
    while (text[len] && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    operation->notes[operation->note_count++] =
        (char *)(uintptr_t)gw_arena_dup(reader->arena, gw_str_n(text, len)).ptr;
}

/* "2" of 2.0, and as many digits as the number has. */
static char *print_real(struct gw_arena *arena, double value)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return gw_arena_strdup(arena, text);
}

/* A document that costs too much is refused, so that nobody sees the texts it did not get. */
static char *copy_head(const struct cp_openapi_reader *reader, gw_str text, size_t max_bytes)
{
    size_t len = GW_MIN(text.len, max_bytes);
    while (len < text.len && (len == max_bytes || ((unsigned char)text.ptr[len] & 0xc0) == 0x80))
        len++;
    if (!cp_openapi_spend_bytes(reader, len))
        len = 0;
    return (char *)(uintptr_t)gw_arena_dup(reader->arena, gw_str_n(text.ptr, len)).ptr;
}

char *cp_openapi_scalar_head(const struct cp_openapi_reader *reader, const json_t *value,
                             size_t max_bytes)
{
    if (json_is_string(value))
        return copy_head(reader, gw_str_n(json_string_value(value), json_string_length(value)),
                         max_bytes);
    (void)cp_openapi_spend(reader, 1);
    if (json_is_integer(value))
        return (char *)(uintptr_t)gw_arena_printf(reader->arena, "%lld",
                                                  (long long)json_integer_value(value))
            .ptr;
    if (json_is_real(value))
        return print_real(reader->arena, json_real_value(value));
    if (json_is_boolean(value))
        return gw_arena_strdup(reader->arena, json_is_true(value) ? "true" : "false");
    return NULL;
}

char *cp_openapi_scalar(const struct cp_openapi_reader *reader, const json_t *value)
{
    return cp_openapi_scalar_head(reader, value, SIZE_MAX);
}

char *cp_openapi_head(const struct cp_openapi_reader *reader, const json_t *object,
                      const char *member, size_t max_bytes)
{
    char *text = cp_openapi_scalar_head(reader, json_object_get(object, member), max_bytes);
    return text ? text : gw_arena_strdup(reader->arena, "");
}

char *cp_openapi_text(const struct cp_openapi_reader *reader, const json_t *object,
                      const char *member)
{
    return cp_openapi_head(reader, object, member, SIZE_MAX);
}

char *cp_openapi_cut(struct cp_openapi_reader *reader, char *text, size_t max_bytes,
                     const char *what)
{
    size_t len = strlen(text);
    if (len <= max_bytes)
        return text;
    len = max_bytes;
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    text[len] = '\0';
    cp_openapi_note(reader, "%s: cut after %zu bytes", what, len);
    return text;
}

char *cp_openapi_id(struct gw_arena *arena, const char *text)
{
    char *id = gw_arena_bytes(arena, ID_MAX + 1);
    size_t len = 0;
    for (const char *c = text; *c && len < ID_MAX; c++) {
        bool is_word =
            (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        bool is_mark = *c == '-' || *c == '_' || *c == '.';
        if (is_word || (is_mark && len > 0))
            id[len++] = *c;
        else if (len > 0 && id[len - 1] != '-')
            id[len++] = '-';
    }
    while (len > 0 && id[len - 1] == '-')
        len--;
    id[len] = '\0';
    return len > 0 ? id : gw_arena_strdup(arena, "api");
}

/* ---- what describes an operation ---- */

static void read_names(struct cp_openapi_reader *reader)
{
    struct cp_openapi_operation *operation = reader->operation;
    const char *said = cp_openapi_head(reader, reader->node, "operationId", SAID_MAX);
    char *own = cp_openapi_text(reader, reader->own, "id");
    char *display = cp_openapi_text(reader, reader->own, "displayName");
    gw_str made = gw_arena_printf(reader->arena, "%s%s", operation->method, operation->path);
    if (!*said)
        for (char *c = (char *)(uintptr_t)made.ptr; *c && *c != '/'; c++)
            *c = (char)(*c | 0x20);
    operation->says_id = *own || *said;
    operation->id = *own ? own : cp_openapi_id(reader->arena, *said ? said : made.ptr);
    if (!*display && cp_is_api_display_name(gw_str_from(said)) && strcmp(said, operation->id) != 0)
        display = gw_arena_strdup(reader->arena, said);
    reader->api->display_name = display;
}

static void read_description(struct cp_openapi_reader *reader)
{
    char *text = cp_openapi_head(reader, reader->node, "description", CP_API_DESCRIPTION_MAX);
    if (!*text || strlen(text) > CP_API_DESCRIPTION_MAX) {
        char *summary = cp_openapi_head(reader, reader->node, "summary", CP_API_DESCRIPTION_MAX);
        bool is_better = *summary && strlen(summary) <= CP_API_DESCRIPTION_MAX;
        if (is_better && *text)
            cp_openapi_note(reader,
                            "description left out: more than %d bytes; the summary is taken",
                            CP_API_DESCRIPTION_MAX);
        if (is_better || !*text)
            text = summary;
    }
    reader->api->description = cp_openapi_cut(reader, text, CP_API_DESCRIPTION_MAX, "description");
}

/* "User Management" becomes "User-Management". False: it cannot be a tag. */
static bool make_tag(char *tag)
{
    struct gw_error why = GW_ERROR_NONE;
    for (char *c = tag; *c; c++)
        if (*c == ' ' || *c == '/')
            *c = '-';
    cp_check_tags(&tag, 1, &why);
    return why.violation_count == 0;
}

static bool has_tag(const cp_api *api, const char *tag)
{
    for (size_t i = 0; i < api->n_tags; i++)
        if (strcmp(api->tags[i], tag) == 0)
            return true;
    return false;
}

static void read_tags(struct cp_openapi_reader *reader)
{
    const json_t *item;
    size_t i;
    cp_api *api = reader->api;
    api->tags = GW_ARENA_ARRAY(reader->arena, char *, CP_API_TAGS_MAX);
    json_array_foreach(json_object_get(reader->node, "tags"), i, item)
    {
        char *tag = cp_openapi_scalar_head(reader, item, TAG_MAX);
        if (!tag || !make_tag(tag))
            cp_openapi_note(reader, "tag \"%.64s\" left out", tag ? tag : "?");
        else if (api->n_tags == CP_API_TAGS_MAX)
            cp_openapi_note(reader, "tag \"%.64s\" left out: more than %d", tag, CP_API_TAGS_MAX);
        else if (!has_tag(api, tag))
            api->tags[api->n_tags++] = tag;
    }
}

static int read_labels(struct cp_openapi_reader *reader, struct gw_error *err)
{
    typedef Penstock__Admin__V1__Api__LabelsEntry label;
    json_t *labels = json_object_get(reader->own, "labels"), *value;
    const char *key;
    size_t count = json_object_size(labels);
    if (count > LABELS_MAX)
        return gw_fail_field(err, CP_OPENAPI_OWN, "labels: at most %d", LABELS_MAX);
    reader->api->labels = GW_ARENA_ARRAY(reader->arena, label *, count + 1);
    json_object_foreach(labels, key, value)
    {
        label *entry = GW_ARENA_NEW(reader->arena, label);
        *entry = (label)PENSTOCK__ADMIN__V1__API__LABELS_ENTRY__INIT;
        entry->key = gw_arena_strdup(reader->arena, key);
        entry->value = cp_openapi_text(reader, labels, key);
        reader->api->labels[reader->api->n_labels++] = entry;
    }
    return 0;
}

/* Words of the reference product that are not read here. */
static void note_unknown(struct cp_openapi_reader *reader)
{
    static const char *const known[] = {
        "request-type", "match-mode",      "cors",     "is-send-fg-body-base64",
        "backend",      "ratelimit",       "response", "access-control",
        "plugins",      "backend-policies"};
    static const char prefix[] = "x-apigateway-";
    const char *key;
    json_t *value;
    if (!cp_openapi_spend(reader, json_object_size(reader->node)))
        return;
    json_object_foreach((json_t *)(uintptr_t)reader->node, key, value)
    {
        bool is_known = strncmp(key, prefix, strlen(prefix)) != 0;
        for (size_t i = 0; i < GW_ARRAY_LEN(known) && !is_known; i++)
            is_known = strcmp(key + strlen(prefix), known[i]) == 0;
        if (!is_known)
            cp_openapi_note(reader, "%.64s: not known", key);
    }
}

/* ---- one operation ---- */

/* The document has one path of several that differ in the names of parameters. */
const char *cp_openapi_own_path(const struct cp_openapi_reader *reader)
{
    const char *own = cp_openapi_head(reader, reader->own, "path", CP_PATH_MAX);
    struct gw_error bad = GW_ERROR_NONE;
    if (!*own || cp_path_check(own, false, "path", &bad) < 0 ||
        cp_path_check(reader->operation->path, false, "path", &bad) < 0 ||
        !gw_str_eq(cp_path_shape(reader->arena, own, false),
                   cp_path_shape(reader->arena, reader->operation->path, false)))
        return reader->operation->path;
    return own;
}

static int read_frontend(struct cp_openapi_reader *reader, struct gw_error *err)
{
    struct cp_openapi_operation *operation = reader->operation;
    cp_frontend *frontend = GW_ARENA_NEW(reader->arena, cp_frontend);
    *frontend = (cp_frontend)CP_INIT(FRONTEND);
    reader->api->frontend = frontend;
    gw_str path =
        gw_arena_printf(reader->arena, "%s%s", reader->base_path, cp_openapi_own_path(reader));
    frontend->path = (char *)(uintptr_t)path.ptr;
    const ProtobufCEnumValue *method = protobuf_c_enum_descriptor_get_value_by_name(
        &penstock__admin__v1__http_method__descriptor,
        gw_arena_printf(reader->arena, "HTTP_METHOD_%s", operation->method).ptr);
    if (!method)
        return gw_fail_field(err, "frontend.method", "%s is no method of an API",
                             operation->method);
    frontend->method = (Penstock__Admin__V1__HttpMethod)method->value;
    gw_str mode = gw_str_from(cp_openapi_text(reader, reader->node, "x-apigateway-match-mode"));
    if (gw_str_eq_nocase(mode, GW_STR("SWA")))
        frontend->match_mode = CP_ENUM(MATCH_MODE, PREFIX);
    else if (mode.len == 0 || gw_str_eq_nocase(mode, GW_STR("NORMAL")))
        frontend->match_mode = CP_ENUM(MATCH_MODE, EXACT);
    else
        return gw_fail_field(err, "x-apigateway-match-mode", "\"%.32s\" is not NORMAL or SWA",
                             mode.ptr);
    bool is_prefix = frontend->match_mode == CP_ENUM(MATCH_MODE, PREFIX);
    return cp_path_check(frontend->path, is_prefix, "frontend.path", err);
}

static int read_operation(struct cp_openapi_reader *reader, struct gw_error *err)
{
    cp_api *api = reader->api;
    const char *response = cp_openapi_text(reader, reader->node, "x-apigateway-response");
    if (!json_is_object(reader->node))
        return gw_fail_field(err, "operation", "must be an object");
    if (read_frontend(reader, err) < 0 || cp_openapi_read_access(reader, err) < 0 ||
        cp_openapi_read_parameters(reader, err) < 0 || cp_openapi_read_backend(reader, err) < 0 ||
        read_labels(reader, err) < 0)
        return -1;
    read_names(reader);
    read_description(reader);
    read_tags(reader);
    cp_openapi_read_bindings(reader);
    note_unknown(reader);
    api->version = cp_openapi_text(reader, reader->own, "version");
    api->cors = json_is_true(json_object_get(reader->node, "x-apigateway-cors"));
    if (*response && strcmp(response, "default") != 0)
        api->gateway_response =
            (char *)(uintptr_t)gw_arena_printf(reader->arena, "%s/gatewayResponses/%s",
                                               reader->options->group, response)
                .ptr;
    return 0;
}

static void add_operation(struct cp_openapi_reader *reader, struct cp_openapi *all,
                          const char *method, const json_t *node, const struct gw_error *broken)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_openapi_operation *operation = &all->operations[all->count++];
    reader->operation = operation;
    operation->method = method;
    operation->id = "";
    reader->node = node;
    reader->own = json_object_get(node, CP_OPENAPI_OWN);
    reader->schemas = 0;
    reader->api = GW_ARENA_NEW(reader->arena, cp_api);
    *reader->api = (cp_api)CP_INIT(API);
    if (broken)
        err = *broken;
    if (!broken && read_operation(reader, &err) == 0) {
        operation->api = reader->api;
        return;
    }
    operation->err = GW_ARENA_NEW(reader->arena, struct gw_error);
    *operation->err = err;
}

/* ---- all of them ---- */

static const char *method_of(const char *key)
{
    static const struct {
        const char *key, *method;
    } methods[] = {{"get", "GET"},         {"put", "PUT"},     {"post", "POST"},
                   {"delete", "DELETE"},   {"head", "HEAD"},   {"patch", "PATCH"},
                   {"options", "OPTIONS"}, {"trace", "TRACE"}, {"x-apigateway-any-method", "ANY"}};
    for (size_t i = 0; i < GW_ARRAY_LEN(methods); i++)
        if (strcmp(methods[i].key, key) == 0)
            return methods[i].method;
    return NULL;
}

static int make_room(const struct cp_openapi *all, struct gw_error *err)
{
    if (all->count < CP_OPENAPI_OPERATIONS_MAX)
        return 0;
    return gw_fail_field(err, "document", "more than %d operations", CP_OPENAPI_OPERATIONS_MAX);
}

static int read_path(struct cp_openapi_reader *reader, struct cp_openapi *all, const char *path,
                     const json_t *listed, struct gw_error *err)
{
    struct gw_error broken = GW_ERROR_NONE;
    const json_t *item, *node;
    const char *key;
    bool is_broken = cp_openapi_follow(reader, listed, &item, &broken) < 0;
    if (!is_broken && !json_is_object(item)) {
        (void)gw_fail_field(&broken, "paths", "\"%.200s\" is no object", path);
        is_broken = true;
    }
    if (is_broken) { /* nobody knows of which methods */
        if (make_room(all, err) < 0)
            return -1;
        all->operations[all->count].path = path;
        add_operation(reader, all, "", NULL, &broken);
        return 0;
    }
    reader->item = item;
    if (!cp_openapi_spend(reader, json_object_size(item)))
        return cp_openapi_check_cost(reader, err);
    json_object_foreach((json_t *)(uintptr_t)item, key, node)
    {
        const char *method = method_of(key);
        if (!method)
            continue;
        if (make_room(all, err) < 0)
            return -1;
        all->operations[all->count].path = path;
        add_operation(reader, all, method, node, NULL);
        if (cp_openapi_check_cost(reader, err) < 0)
            return -1;
    }
    return 0;
}

static int read_paths(struct cp_openapi_reader *reader, struct cp_openapi *all,
                      struct gw_error *err)
{
    json_t *paths = json_object_get(reader->root, "paths"), *item;
    const char *path;
    if (!json_is_object(paths))
        return gw_fail_field(err, "document", "\"paths\" must be an object");
    json_object_foreach(paths, path, item)
    {
        if (strncmp(path, "x-", 2) == 0)
            continue;
        const char *copy = gw_arena_strdup(reader->arena, path);
        if (read_path(reader, all, copy, item, err) < 0)
            return -1;
    }
    return 0;
}

/* Written as a number as well: swagger: 2.0 */
static int read_version(struct cp_openapi_reader *reader, struct gw_error *err)
{
    const char *v2 = cp_openapi_text(reader, reader->root, "swagger");
    const char *v3 = cp_openapi_text(reader, reader->root, "openapi");
    reader->is_v2 = *v2 != '\0';
    if (strcmp(v2, "2.0") == 0 || strcmp(v2, "2") == 0 || strncmp(v3, "3.0", 3) == 0 ||
        strncmp(v3, "3.1", 3) == 0 || strcmp(v3, "3") == 0)
        return 0;
    if (!*v2 && !*v3)
        return gw_fail_field(err, "document", "says neither \"openapi\" nor \"swagger\"");
    return gw_fail_field(err, "document", "OpenAPI \"%.32s\": only 2.0, 3.0 and 3.1 are read",
                         *v2 ? v2 : v3);
}

static void read_base_path(struct cp_openapi_reader *reader)
{
    char *path = cp_openapi_text(reader, reader->root, "basePath");
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/')
        path[--len] = '\0';
    reader->base_path = reader->is_v2 ? path : "";
}

static void free_root(void *root)
{
    json_decref(root);
}

/* The tree of a large text is many small pieces, which the allocator would keep, and each thread's
 * for itself. */
static void free_large_root(void *root)
{
    json_decref(root);
    (void)malloc_trim(0); /* nothing to give back is fine */
}

int cp_openapi_read(struct gw_arena *arena, gw_str text, const struct cp_openapi_options *options,
                    struct cp_openapi *ret, struct gw_error *err)
{
    json_t *root;
    if (cp_openapi_parse(text, &root, err) < 0)
        return -1;
    gw_arena_defer(arena, text.len > LARGE ? free_large_root : free_root, root);
    struct cp_openapi_cost cost = {.held_before = arena->total_bytes};
    struct cp_openapi_reader reader = {
        .arena = arena, .cost = &cost, .root = root, .options = options};
    const json_t *info = json_object_get(root, "info");
    struct cp_openapi all = {
        .title = cp_openapi_text(&reader, info, "title"),
        .description = cp_openapi_text(&reader, info, "description"),
        .operations = GW_ARENA_ARRAY(arena, struct cp_openapi_operation, CP_OPENAPI_OPERATIONS_MAX),
    };
    if (read_version(&reader, err) < 0)
        return -1;
    read_base_path(&reader);
    if (read_paths(&reader, &all, err) < 0 || cp_openapi_read_policies(&reader, &all, err) < 0)
        return -1;
    *ret = all;
    return 0;
}
