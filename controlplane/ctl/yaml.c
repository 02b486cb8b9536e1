/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/ctl/yaml.h"

#include "common/buf.h"
#include "controlplane/ctl/documents.h"

#include <errno.h>
#include <stdlib.h>
#include <yaml.h>

struct cp_yaml {
    yaml_parser_t parser;
    bool is_done;
};

struct cp_yaml *cp_yaml_open(gw_str text)
{
    struct cp_yaml *yaml = gw_calloc(1, sizeof(*yaml));
    if (!yaml_parser_initialize(&yaml->parser))
        gw_panic("out of memory");
    yaml_parser_set_input_string(&yaml->parser, (const unsigned char *)text.ptr, text.len);
    return yaml;
}

void cp_yaml_close(struct cp_yaml *yaml)
{
    if (!yaml)
        return;
    yaml_parser_delete(&yaml->parser);
    free(yaml);
}

static int next_event(struct cp_yaml *yaml, yaml_event_t *event, struct gw_error *err)
{
    if (yaml_parser_parse(&yaml->parser, event))
        return 0;
    return gw_fail(err, GW_INVALID_ARGUMENT, "line %zu: %s", yaml->parser.problem_mark.line + 1,
                   yaml->parser.problem ? yaml->parser.problem : "not YAML");
}

/* Plain words that are not strings: null, booleans and the numbers of JSON. */
static json_t *plain_scalar(const char *text, size_t len)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    char *end;
    for (size_t i = 0; i < GW_ARRAY_LEN(nulls); i++)
        if (strcmp(text, nulls[i]) == 0)
            return json_null();
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return json_boolean(text[0] == 't');
    json_t *number = json_loadb(text, len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
    bool is_number = json_is_number(number);
    json_decref(number);
    if (!is_number)
        return json_stringn(text, len);
    errno = 0;
    long long integer = strtoll(text, &end, 10);
    if (*end == '\0' && errno == 0)
        return json_integer(integer);
    return json_real(strtod(text, NULL));
}

static json_t *scalar(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    const char *tag = (const char *)event->data.scalar.tag;
    bool is_said_to_be_text = tag && strcmp(tag, YAML_STR_TAG) == 0;
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !is_said_to_be_text)
        return plain_scalar(text, event->data.scalar.length);
    return json_stringn(text, event->data.scalar.length);
}

static int read_value(struct cp_yaml *yaml, const yaml_event_t *first, unsigned depth,
                      json_t **ret_value, struct gw_error *err);

static int read_sequence(struct cp_yaml *yaml, unsigned depth, json_t *array, struct gw_error *err)
{
    for (;;) {
        yaml_event_t event;
        json_t *value = NULL;
        if (next_event(yaml, &event, err) < 0)
            return -1;
        bool is_end = event.type == YAML_SEQUENCE_END_EVENT;
        int result = is_end ? 0 : read_value(yaml, &event, depth, &value, err);
        yaml_event_delete(&event);
        if (is_end || result < 0)
            return result;
        json_array_append_new(array, value);
    }
}

static int read_key(struct cp_yaml *yaml, const yaml_event_t *event, const json_t *object,
                    char **ret_key, struct gw_error *err)
{
    size_t line = event->start_mark.line + 1;
    (void)yaml;
    if (event->type != YAML_SCALAR_EVENT)
        return gw_fail(err, GW_INVALID_ARGUMENT, "line %zu: a key must be a word", line);
    const char *key = (const char *)event->data.scalar.value;
    if (json_object_get(object, key))
        return gw_fail(err, GW_INVALID_ARGUMENT, "line %zu: \"%s\" is there twice", line, key);
    *ret_key = gw_strdup(key);
    return 0;
}

static int read_mapping(struct cp_yaml *yaml, unsigned depth, json_t *object, struct gw_error *err)
{
    for (;;) {
        gw_auto(gw_freep) char *key = NULL;
        yaml_event_t event;
        json_t *value = NULL;
        if (next_event(yaml, &event, err) < 0)
            return -1;
        bool is_end = event.type == YAML_MAPPING_END_EVENT;
        int result = is_end ? 0 : read_key(yaml, &event, object, &key, err);
        yaml_event_delete(&event);
        if (is_end || result < 0)
            return result;
        if (next_event(yaml, &event, err) < 0)
            return -1;
        result = read_value(yaml, &event, depth, &value, err);
        yaml_event_delete(&event);
        if (result < 0)
            return -1;
        json_object_set_new(object, key, value);
    }
}

static int read_value(struct cp_yaml *yaml, const yaml_event_t *first, unsigned depth,
                      json_t **ret_value, struct gw_error *err)
{
    size_t line = first->start_mark.line + 1;
    int result = 0;
    if (depth > CP_DOCUMENT_DEPTH_MAX)
        return gw_fail(err, GW_INVALID_ARGUMENT, "line %zu: more than %d levels", line,
                       CP_DOCUMENT_DEPTH_MAX);
    switch (first->type) {
    case YAML_SCALAR_EVENT:
        *ret_value = scalar(first);
        if (!*ret_value)
            return gw_fail(err, GW_INVALID_ARGUMENT, "line %zu: not UTF-8", line);
        return 0;
    case YAML_SEQUENCE_START_EVENT:
        *ret_value = json_array();
        result = read_sequence(yaml, depth + 1, *ret_value, err);
        break;
    case YAML_MAPPING_START_EVENT:
        *ret_value = json_object();
        result = read_mapping(yaml, depth + 1, *ret_value, err);
        break;
    default:
        return gw_fail(err, GW_INVALID_ARGUMENT, "line %zu: aliases are not supported", line);
    }
    if (result < 0)
        json_decref(*ret_value);
    return result;
}

int cp_yaml_next(struct cp_yaml *yaml, json_t **ret_value, size_t *ret_line, struct gw_error *err)
{
    while (!yaml->is_done) {
        yaml_event_t event;
        json_t *value = NULL;
        if (next_event(yaml, &event, err) < 0)
            return -1;
        yaml->is_done = event.type == YAML_STREAM_END_EVENT;
        bool is_frame = yaml->is_done || event.type == YAML_STREAM_START_EVENT ||
                        event.type == YAML_DOCUMENT_START_EVENT ||
                        event.type == YAML_DOCUMENT_END_EVENT;
        *ret_line = event.start_mark.line + 1;
        int result = is_frame ? 0 : read_value(yaml, &event, 0, &value, err);
        yaml_event_delete(&event);
        if (result < 0)
            return -1;
        if (!is_frame && !json_is_null(value)) {
            *ret_value = value;
            return 1;
        }
        json_decref(value);
    }
    return 0;
}

/* ---- writing */

static int on_write(void *data, unsigned char *bytes, size_t len)
{
    return gw_buf_append(data, gw_str_n((const char *)bytes, len)) == 0;
}

static void emit(yaml_emitter_t *emitter, yaml_event_t *event)
{
    if (!yaml_emitter_emit(emitter, event))
        gw_panic("YAML: %s", emitter->problem ? emitter->problem : "cannot write");
}

static yaml_scalar_style_t style_of(const char *text, size_t len)
{
    /* A string that would read as something else needs its quotes. */
    json_t *plain = plain_scalar(text, len);
    bool needs_quotes = !json_is_string(plain) || memchr(text, '\r', len) ||
                        memmem(text, len, "\xc2\x85", 2); /* line breaks that become "\n" */
    json_decref(plain);
    if (needs_quotes)
        return YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    /* PEM as it is in files. */
    return memchr(text, '\n', len) ? YAML_LITERAL_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE;
}

static void emit_scalar(yaml_emitter_t *emitter, const char *text, size_t len, bool is_string)
{
    yaml_event_t event;
    yaml_scalar_style_t style = is_string ? style_of(text, len) : YAML_PLAIN_SCALAR_STYLE;
    yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)len, 1, 1,
                                 style);
    emit(emitter, &event);
}

static void write_value(yaml_emitter_t *emitter, const json_t *value)
{
    yaml_event_t event;
    const char *key;
    json_t *item;
    size_t i;
    if (json_is_object(value)) {
        yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE);
        emit(emitter, &event);
        json_object_foreach((json_t *)(uintptr_t)value, key, item)
        {
            emit_scalar(emitter, key, strlen(key), true);
            write_value(emitter, item);
        }
        yaml_mapping_end_event_initialize(&event);
        emit(emitter, &event);
    } else if (json_is_array(value)) {
        yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE);
        emit(emitter, &event);
        json_array_foreach(value, i, item) write_value(emitter, item);
        yaml_sequence_end_event_initialize(&event);
        emit(emitter, &event);
    } else if (json_is_string(value)) {
        emit_scalar(emitter, json_string_value(value), json_string_length(value), true);
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        emit_scalar(emitter, text, strlen(text), false);
        free(text);
    }
}

gw_str cp_yaml_write(const json_t *value, struct gw_arena *arena)
{
    yaml_emitter_t emitter;
    yaml_event_t event;
    struct gw_buf out;
    gw_buf_init(&out, 0);
    yaml_emitter_initialize(&emitter);
    yaml_emitter_set_output(&emitter, on_write, &out);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
    emit(&emitter, &event);
    yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1);
    emit(&emitter, &event);
    write_value(&emitter, value);
    yaml_document_end_event_initialize(&event, 1);
    emit(&emitter, &event);
    yaml_stream_end_event_initialize(&event);
    emit(&emitter, &event);
    yaml_emitter_delete(&emitter);
    gw_str text = gw_arena_dup(arena, gw_buf_view(&out));
    gw_buf_done(&out);
    return text;
}
