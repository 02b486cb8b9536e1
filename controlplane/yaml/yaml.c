/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/yaml/yaml.h"

#include "common/map.h"
#include "controlplane/yaml/plain.h"

#include <stdlib.h>
#include <yaml.h>

#define MERGE "<<"

/* What "*name" stands for. */
struct anchor {
    json_t *value; /* owned: a reference */
    size_t values; /* in it, itself included */
    unsigned levels;
};

struct cp_yaml {
    yaml_parser_t parser;
    const struct cp_yaml_limits *limits; /* borrowed */
    bool is_done;
    /* of the document that is being read */
    struct gw_map anchors; /* name -> struct anchor, owned */
    size_t values;
    size_t merged;    /* bytes of keys */
    unsigned deepest; /* level reached below the value that is being read */
};

static void forget_anchors(struct cp_yaml *yaml)
{
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&yaml->anchors, e));) {
        struct anchor *anchor = e->value;
        json_decref(anchor->value);
        free(anchor);
    }
    gw_map_done(&yaml->anchors);
    gw_map_init(&yaml->anchors);
    yaml->values = yaml->merged = 0;
    yaml->deepest = 0;
}

struct cp_yaml *cp_yaml_open(gw_str text, const struct cp_yaml_limits *limits)
{
    struct cp_yaml *yaml = gw_calloc(1, sizeof(*yaml));
    yaml->limits = limits;
    gw_map_init(&yaml->anchors);
    if (!yaml_parser_initialize(&yaml->parser))
        gw_panic("out of memory");
    yaml_parser_set_input_string(&yaml->parser, (const unsigned char *)text.ptr, text.len);
    return yaml;
}

void cp_yaml_close(struct cp_yaml *yaml)
{
    if (!yaml)
        return;
    forget_anchors(yaml);
    gw_map_done(&yaml->anchors);
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

/* ---- limits */

static int count_values(struct cp_yaml *yaml, size_t more, size_t line, struct gw_error *err)
{
    yaml->values += more;
    if (yaml->limits->values && yaml->values > yaml->limits->values)
        return gw_fail(err, GW_INVALID_ARGUMENT, "line %zu: more than %zu values", line,
                       yaml->limits->values);
    return 0;
}

static int check_level(struct cp_yaml *yaml, unsigned level, size_t line, struct gw_error *err)
{
    yaml->deepest = GW_MAX(yaml->deepest, level);
    if (level > yaml->limits->depth)
        return gw_fail(err, GW_INVALID_ARGUMENT, "line %zu: more than %u levels", line,
                       yaml->limits->depth);
    return 0;
}

/* ---- anchors and aliases */

/* NULL: the value has none. */
static const char *anchor_of(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return (const char *)event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return (const char *)event->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return (const char *)event->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

static void remember(struct cp_yaml *yaml, const char *name, json_t *value, size_t values,
                     unsigned levels)
{
    struct anchor *anchor = gw_calloc(1, sizeof(*anchor));
    *anchor = (struct anchor){json_incref(value), values, levels};
    struct anchor *before = gw_map_put(&yaml->anchors, gw_str_from(name), anchor);
    if (before)
        json_decref(before->value);
    free(before);
}

/* An alias inside of what it stands for finds nothing: anchors are known once they are read. */
static int read_alias(struct cp_yaml *yaml, const yaml_event_t *event, unsigned depth,
                      json_t **ret_value, struct gw_error *err)
{
    size_t line = event->start_mark.line + 1;
    const char *name = (const char *)event->data.alias.anchor;
    if (!yaml->limits->aliases)
        return gw_fail(err, GW_INVALID_ARGUMENT, "line %zu: aliases are not supported", line);
    const struct anchor *anchor = gw_map_get(&yaml->anchors, gw_str_from(name));
    if (!anchor)
        return gw_fail(err, GW_INVALID_ARGUMENT, "line %zu: *%.64s stands for nothing before it",
                       line, name);
    if (count_values(yaml, anchor->values, line, err) < 0 ||
        check_level(yaml, depth + anchor->levels, line, err) < 0)
        return -1;
    *ret_value = json_incref(anchor->value);
    return 0;
}

/* ---- values */

static json_t *scalar(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    const char *tag = (const char *)event->data.scalar.tag;
    bool is_said_to_be_text = tag && strcmp(tag, YAML_STR_TAG) == 0;
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !is_said_to_be_text)
        return cp_yaml_plain(text, event->data.scalar.length);
    return json_stringn(text, event->data.scalar.length);
}

static int read_scalar(const yaml_event_t *event, json_t **ret_value, struct gw_error *err)
{
    size_t line = event->start_mark.line + 1;
    if (memchr(event->data.scalar.value, '\0', event->data.scalar.length))
        return gw_fail(err, GW_INVALID_ARGUMENT, "line %zu: NUL in a text", line);
    *ret_value = scalar(event);
    if (!*ret_value)
        return gw_fail(err, GW_INVALID_ARGUMENT, "line %zu: not UTF-8", line);
    return 0;
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

static int read_key(const yaml_event_t *event, const json_t *object, char **ret_key,
                    struct gw_error *err)
{
    size_t line = event->start_mark.line + 1;
    if (event->type != YAML_SCALAR_EVENT)
        return gw_fail(err, GW_INVALID_ARGUMENT, "line %zu: a key must be a word", line);
    const char *key = (const char *)event->data.scalar.value;
    if (strlen(key) != event->data.scalar.length)
        return gw_fail(err, GW_INVALID_ARGUMENT, "line %zu: NUL in a key", line);
    if (json_object_get(object, key))
        return gw_fail(err, GW_INVALID_ARGUMENT, "line %zu: \"%s\" is there twice", line, key);
    *ret_key = gw_strdup(key);
    return 0;
}

/* One member. 1: the mapping has ended. */
static int read_member(struct cp_yaml *yaml, unsigned depth, json_t *object, struct gw_error *err)
{
    gw_auto(gw_freep) char *key = NULL;
    yaml_event_t event;
    json_t *value = NULL;
    if (next_event(yaml, &event, err) < 0)
        return -1;
    bool is_end = event.type == YAML_MAPPING_END_EVENT;
    int result = is_end ? 1 : read_key(&event, object, &key, err);
    yaml_event_delete(&event);
    if (result != 0)
        return result;
    if (next_event(yaml, &event, err) < 0)
        return -1;
    result = read_value(yaml, &event, depth, &value, err);
    yaml_event_delete(&event);
    if (result < 0)
        return -1;
    json_object_set_new(object, key, value);
    return 0;
}

/* Values are shared, keys are not: a long one could be merged by every mapping of a text. */
static int merge_one(struct cp_yaml *yaml, json_t *object, json_t *from, size_t line,
                     struct gw_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(from, key, value) yaml->merged += strlen(key) + 1;
    if (yaml->merged > CP_YAML_MERGED_MAX)
        return gw_fail(err, GW_INVALID_ARGUMENT,
                       "line %zu: \"" MERGE "\" has more than %d bytes "
                       "of keys to copy",
                       line, CP_YAML_MERGED_MAX);
    json_object_update_missing(object, from);
    return 0;
}

/* What stands in the mapping itself wins over what is merged in, and of several the first. */
static int merge(struct cp_yaml *yaml, json_t *object, size_t line, struct gw_error *err)
{
    json_t *from = json_object_get(object, MERGE), *item;
    size_t i;
    if (!from || !yaml->limits->aliases)
        return 0;
    json_incref(from);
    json_object_del(object, MERGE);
    bool is_good = json_is_object(from) || json_is_array(from);
    int result = json_is_object(from) ? merge_one(yaml, object, from, line, err) : 0;
    json_array_foreach(from, i, item)
    {
        is_good &= json_is_object(item);
        if (json_is_object(item) && result == 0)
            result = merge_one(yaml, object, item, line, err);
    }
    json_decref(from);
    if (result < 0)
        return -1;
    if (!is_good)
        return gw_fail(err, GW_INVALID_ARGUMENT,
                       "line %zu: \"" MERGE "\" takes a mapping, or a list of them", line);
    return 0;
}

static int read_mapping(struct cp_yaml *yaml, unsigned depth, json_t *object, size_t line,
                        struct gw_error *err)
{
    int result;
    do {
        result = read_member(yaml, depth, object, err);
    } while (result == 0);
    return result < 0 ? -1 : merge(yaml, object, line, err);
}

static int read_anchored(struct cp_yaml *yaml, const yaml_event_t *first, unsigned depth,
                         json_t **ret_value, struct gw_error *err)
{
    int result = 0;
    size_t line = first->start_mark.line + 1;
    switch (first->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(first, ret_value, err);
    case YAML_SEQUENCE_START_EVENT:
        *ret_value = json_array();
        result = read_sequence(yaml, depth + 1, *ret_value, err);
        break;
    case YAML_MAPPING_START_EVENT:
        *ret_value = json_object();
        result = read_mapping(yaml, depth + 1, *ret_value, line, err);
        break;
    default:
        return gw_fail(err, GW_INVALID_ARGUMENT, "line %zu: not a value", line);
    }
    if (result < 0)
        json_decref(*ret_value);
    return result;
}

static int read_value(struct cp_yaml *yaml, const yaml_event_t *first, unsigned depth,
                      json_t **ret_value, struct gw_error *err)
{
    size_t line = first->start_mark.line + 1, values_before = yaml->values;
    unsigned deepest_before = yaml->deepest;
    if (first->type == YAML_ALIAS_EVENT)
        return read_alias(yaml, first, depth, ret_value, err);
    yaml->deepest = depth;
    if (check_level(yaml, depth, line, err) < 0 || count_values(yaml, 1, line, err) < 0 ||
        read_anchored(yaml, first, depth, ret_value, err) < 0)
        return -1;
    if (anchor_of(first))
        remember(yaml, anchor_of(first), *ret_value, yaml->values - values_before,
                 yaml->deepest - depth);
    yaml->deepest = GW_MAX(yaml->deepest, deepest_before);
    return 0;
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
        if (is_frame || result < 0)
            forget_anchors(yaml);
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
