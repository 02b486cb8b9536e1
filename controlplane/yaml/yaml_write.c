/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"
#include "controlplane/yaml/plain.h"
#include "controlplane/yaml/yaml.h"

#include <stdlib.h>
#include <yaml.h>

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
    bool needs_quotes = cp_yaml_needs_quotes(text, len) || memchr(text, '\r', len) ||
                        memmem(text, len, "\xc2\x85", 2); /* line breaks that become "\n" */
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
