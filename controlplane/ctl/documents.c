/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/ctl/documents.h"

#include "common/buf.h"
#include "common/json.h"
#include "common/json_text.h"
#include "controlplane/yaml/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct reading {
    const char *path;
    struct gw_arena *arena;
    struct cp_document *documents; /* owned until it is copied into the arena */
    size_t count, room;
};

int cp_file_read(const char *path, struct gw_buf *out, struct gw_error *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    int result = 0;
    if (!file)
        return gw_fail(err, GW_INVALID_ARGUMENT, "%s: %s", path, strerror(errno));
    for (size_t n = 1; n > 0 && result == 0;) {
        result = gw_buf_reserve(out, 64 * 1024);
        if (result < 0)
            break;
        n = fread(out->data + out->end, 1, 64 * 1024, file);
        gw_buf_commit(out, n);
    }
    if (result < 0)
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "%s: larger than %zu bytes", path,
                      out->limit_bytes);
    else if (ferror(file))
        result = gw_fail(err, GW_UNKNOWN, "%s: %s", path, strerror(errno));
    if (!is_stdin)
        fclose(file);
    return result < 0 ? -1 : 0;
}

int cp_document_text(const char *path, struct gw_arena *arena, gw_str *ret_text,
                     struct gw_error *err)
{
    struct gw_buf text;
    gw_buf_init(&text, CP_DOCUMENT_BYTES_MAX);
    int result = cp_file_read(path, &text, err);
    if (result == 0)
        *ret_text = gw_arena_dup(arena, gw_buf_view(&text));
    gw_buf_done(&text);
    return result;
}

/* Puts the place in front of what is already said. */
static int at(struct gw_error *err, gw_str origin)
{
    char message[GW_ERROR_MESSAGE_MAX];
    memcpy(message, err->message, sizeof(message));
    snprintf(err->message, sizeof(err->message), "%.*s: %.400s", GW_STR_ARG(origin), message);
    return -1;
}

/* After gw_json_parse, which knows all the names. */
static void note_fields(struct cp_document *document, json_t *value, struct gw_arena *arena)
{
    const char *key;
    json_t *item;
    document->fields = GW_ARENA_ARRAY(arena, char *, json_object_size(value) + 1);
    json_object_foreach(value, key, item)
    {
        gw_str name = gw_arena_dup(arena, gw_json_snake(arena, gw_str_from(key)));
        if (!gw_str_eq(name, GW_STR("name")))
            document->fields[document->field_count++] = (char *)(uintptr_t)name.ptr;
    }
}

static bool is_text(const struct cp_ctl_kind *kind, gw_str name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(kind->message, name.ptr);
    return field && field->type == PROTOBUF_C_TYPE_STRING &&
           field->label != PROTOBUF_C_LABEL_REPEATED;
}

/* Relative to where the document is; of stdin to the working directory. */
static const char *path_from(const struct reading *reading, const char *path)
{
    const char *slash = strrchr(reading->path, '/');
    if (path[0] == '/' || !slash)
        return path;
    int folder = (int)(slash - reading->path);
    return gw_arena_printf(reading->arena, "%.*s/%s", folder, reading->path, path).ptr;
}

static int read_text(const struct reading *reading, const char *path, json_t **ret_text,
                     struct gw_error *err)
{
    struct gw_buf text;
    gw_buf_init(&text, CP_DOCUMENT_BYTES_MAX);
    int result = cp_file_read(path_from(reading, path), &text, err);
    gw_str view = gw_buf_view(&text);
    *ret_text = result < 0 ? NULL : json_stringn(view.ptr ? view.ptr : "", view.len);
    if (result == 0 && !*ret_text)
        result = gw_fail(err, GW_INVALID_ARGUMENT, "%s is not text: it must be UTF-8", path);
    gw_buf_done(&text);
    return result;
}

/* {file: path} in the place of a text becomes the text. */
static int read_text_files(const struct reading *reading, const struct cp_ctl_kind *kind,
                           json_t *value, struct gw_error *err)
{
    const char *key;
    json_t *item;
    void *next; /* members are replaced on the way */
    json_object_foreach_safe(value, next, key, item)
    {
        json_t *text;
        gw_str name = gw_json_snake(reading->arena, gw_str_from(key));
        const char *path = json_string_value(json_object_get(item, "file"));
        if (!path || json_object_size(item) != 1 || !is_text(kind, name))
            continue;
        if (read_text(reading, path, &text, err) < 0)
            return -1;
        json_object_set_new(value, key, text);
    }
    return 0;
}

static int add_resource(struct reading *reading, json_t *value, gw_str origin, struct gw_error *err)
{
    struct cp_document document = {.origin = origin};
    const char *word = json_string_value(json_object_get(value, "kind"));
    if (!json_is_object(value) || !word)
        return gw_fail(err, GW_INVALID_ARGUMENT, "a document needs a kind, for example kind: Api");
    document.kind = cp_kind_find(gw_str_from(word));
    if (!document.kind)
        return gw_fail_field(err, "kind", "\"%s\" is not known", word);
    json_object_del(value, "kind");
    if (read_text_files(reading, document.kind, value, err) < 0)
        return -1;
    char *text = json_dumps(value, JSON_COMPACT);
    int result = gw_json_parse(reading->arena, document.kind->message, gw_str_from(text),
                               &document.resource, err);
    free(text);
    if (result < 0)
        return -1;
    note_fields(&document, value, reading->arena);
    document.name = gw_str_from(gw_message_text(document.resource, "name"));
    if (cp_kind_of_name(document.name) != document.kind)
        return gw_fail_field(err, "name", "\"%.*s\" does not look like %s",
                             GW_STR_ARG(document.name), document.kind->pattern);
    if (reading->count == reading->room) {
        reading->room = GW_MAX((size_t)16, reading->room * 2);
        reading->documents =
            gw_realloc(reading->documents, reading->room * sizeof(reading->documents[0]));
    }
    reading->documents[reading->count++] = document;
    return 0;
}

/* A document is a resource, or a list of them. */
static int add_document(struct reading *reading, json_t *value, size_t line, struct gw_error *err)
{
    gw_str origin = gw_arena_printf(reading->arena, "%s:%zu", reading->path, line);
    json_t *item;
    size_t i;
    if (!json_is_array(value))
        return add_resource(reading, value, origin, err) < 0 ? at(err, origin) : 0;
    json_array_foreach(value, i, item)
    {
        if (add_resource(reading, item, origin, err) < 0)
            return at(err, origin);
    }
    return 0;
}

int cp_documents_read(const char *path, struct gw_arena *arena, struct cp_document **ret_documents,
                      size_t *ret_count, struct gw_error *err)
{
    struct reading reading = {.path = path, .arena = arena};
    static const struct cp_yaml_limits limits = {.depth = CP_DOCUMENT_DEPTH_MAX};
    struct gw_buf text;
    gw_buf_init(&text, CP_DOCUMENT_BYTES_MAX);
    int result = cp_file_read(path, &text, err);
    struct cp_yaml *yaml = result == 0 ? cp_yaml_open(gw_buf_view(&text), &limits) : NULL;
    while (result == 0) {
        json_t *value;
        size_t line;
        int more = cp_yaml_next(yaml, &value, &line, err);
        if (more <= 0) {
            result = more < 0 ? at(err, gw_str_from(path)) : 0;
            break;
        }
        result = add_document(&reading, value, line, err);
        json_decref(value);
    }
    cp_yaml_close(yaml);
    gw_buf_done(&text);
    if (result == 0) {
        *ret_documents = GW_ARENA_ARRAY(arena, struct cp_document, reading.count + 1);
        if (reading.count)
            memcpy(*ret_documents, reading.documents, reading.count * sizeof(struct cp_document));
        *ret_count = reading.count;
    }
    free(reading.documents);
    return result;
}

static json_t *to_value(const struct cp_ctl_kind *kind, const ProtobufCMessage *resource)
{
    struct gw_buf text;
    gw_buf_init(&text, 0);
    gw_json_write(&text, resource, GW_JSON_COMPACT);
    json_t *fields = json_loadb(gw_buf_view(&text).ptr, gw_buf_len(&text), 0, NULL);
    json_t *value = json_pack("{s:s}", "kind", kind->word);
    if (!fields || !value)
        gw_panic("a resource does not become JSON");
    json_object_update(value, fields);
    json_decref(fields);
    gw_buf_done(&text);
    return value;
}

gw_str cp_document_json(const struct cp_ctl_kind *kind, const ProtobufCMessage *resource,
                        struct gw_arena *arena)
{
    json_t *value = to_value(kind, resource);
    char *text = json_dumps(value, JSON_COMPACT);
    gw_str copy = gw_str_from(gw_arena_strdup(arena, text));
    free(text);
    json_decref(value);
    return copy;
}

gw_str cp_document_yaml(const struct cp_ctl_kind *kind, const ProtobufCMessage *resource,
                        struct gw_arena *arena)
{
    json_t *value = to_value(kind, resource);
    gw_str text = cp_yaml_write(value, arena);
    json_decref(value);
    return text;
}
