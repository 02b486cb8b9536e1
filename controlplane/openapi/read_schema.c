/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas of parameters: what of them a gateway can check. */
#include "controlplane/openapi/reader.h"

#include <math.h>

#define LEVELS_MAX 16 /* of allOf and the like */

static int visit(struct cp_openapi_reader *reader, const json_t *node,
                 struct cp_openapi_schema *schema, unsigned level, struct gw_error *err);

/* The narrower one of two holds. */
static void add_min(struct cp_openapi_schema *schema, double value)
{
    schema->min = schema->has_min ? fmax(schema->min, value) : value;
    schema->has_min = true;
}

static void add_max(struct cp_openapi_schema *schema, double value)
{
    schema->max = schema->has_max ? fmin(schema->max, value) : value;
    schema->has_max = true;
}

/* The next number inwards of one that is excluded. */
static double inside(const json_t *node, double value, double toward)
{
    const char *type = json_string_value(json_object_get(node, "type"));
    bool is_integer = type && strcmp(type, "integer") == 0;
    if (is_integer)
        return toward > value ? floor(value) + 1 : ceil(value) - 1;
    return nextafter(value, toward);
}

static void read_numbers(const json_t *node, struct cp_openapi_schema *schema)
{
    const json_t *min = json_object_get(node, "minimum"), *max = json_object_get(node, "maximum");
    const json_t *above = json_object_get(node, "exclusiveMinimum");
    const json_t *below = json_object_get(node, "exclusiveMaximum");
    /* Exports of the reference product write 0 and 0 for none. */
    bool is_none = json_is_number(min) && json_is_number(max) && json_number_value(min) == 0 &&
                   json_number_value(max) == 0;
    if (json_is_number(min) && !is_none)
        add_min(schema, json_is_true(above) ? inside(node, json_number_value(min), INFINITY)
                                            : json_number_value(min));
    if (json_is_number(max) && !is_none)
        add_max(schema, json_is_true(below) ? inside(node, json_number_value(max), -INFINITY)
                                            : json_number_value(max));
    if (json_is_number(above)) /* 3.1 */
        add_min(schema, inside(node, json_number_value(above), INFINITY));
    if (json_is_number(below))
        add_max(schema, inside(node, json_number_value(below), -INFINITY));
}

static void read_lengths(const json_t *node, struct cp_openapi_schema *schema)
{
    double min = json_number_value(json_object_get(node, "minLength"));
    double max = json_number_value(json_object_get(node, "maxLength"));
    if (min >= 1 && min <= INT32_MAX)
        schema->min_length = GW_MAX(schema->min_length, (int64_t)min);
    if (max >= 1 && max <= INT32_MAX)
        schema->max_length =
            schema->max_length ? GW_MIN(schema->max_length, (int64_t)max) : (int64_t)max;
    schema->has_length = schema->min_length > 0 || schema->max_length > 0;
}

/* 3.1 has lists: the first that is not null. */
static const char *type_of(const struct cp_openapi_reader *reader, const json_t *node)
{
    const json_t *type = json_object_get(node, "type"), *item;
    size_t i;
    if (json_is_string(type))
        return json_string_value(type);
    if (!cp_openapi_spend(reader, json_array_size(type)))
        return "";
    json_array_foreach(type, i, item)
    {
        const char *word = json_string_value(item);
        if (word && strcmp(word, "null") != 0)
            return word;
    }
    return "";
}

static void set_unchecked(struct cp_openapi_schema *schema, const char *word)
{
    if (!schema->unchecked)
        schema->unchecked = word;
}

/* What narrows the values and is left to the backend. */
static void note_unchecked(const json_t *node, struct cp_openapi_schema *schema)
{
    static const char *const words[] = {"pattern", "multipleOf", "not", "const"};
    for (size_t i = 0; i < GW_ARRAY_LEN(words); i++)
        if (json_object_get(node, words[i]))
            set_unchecked(schema, words[i]);
}

static bool is_null_type(const json_t *node)
{
    const char *type = json_string_value(json_object_get(node, "type"));
    return type && strcmp(type, "null") == 0;
}

/* Of alternatives only one beside null can be checked. */
static int visit_alternatives(struct cp_openapi_reader *reader, const json_t *node,
                              const char *word, struct cp_openapi_schema *schema, unsigned level,
                              struct gw_error *err)
{
    const json_t *list = json_object_get(node, word), *item, *one = NULL;
    size_t i, count = 0;
    if (!cp_openapi_spend(reader, json_array_size(list)))
        return cp_openapi_check_cost(reader, err);
    json_array_foreach(list, i, item)
    {
        if (is_null_type(item))
            continue;
        one = item;
        count++;
    }
    if (count == 1)
        return visit(reader, one, schema, level + 1, err);
    if (count > 1)
        set_unchecked(schema, word);
    return 0;
}

static int visit_all(struct cp_openapi_reader *reader, const json_t *node,
                     struct cp_openapi_schema *schema, unsigned level, struct gw_error *err)
{
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(node, "allOf"), i, item)
    {
        if (visit(reader, item, schema, level + 1, err) < 0)
            return -1;
    }
    return 0;
}

static int visit(struct cp_openapi_reader *reader, const json_t *node,
                 struct cp_openapi_schema *schema, unsigned level, struct gw_error *err)
{
    if (level > LEVELS_MAX || ++reader->schemas > CP_OPENAPI_SCHEMAS_MAX)
        return gw_fail_field(err, "schema", "more than %d levels, or %d schemas in one operation",
                             LEVELS_MAX, CP_OPENAPI_SCHEMAS_MAX);
    if (cp_openapi_follow(reader, node, &node, err) < 0 ||
        visit_all(reader, node, schema, level, err) < 0 ||
        visit_alternatives(reader, node, "anyOf", schema, level, err) < 0 ||
        visit_alternatives(reader, node, "oneOf", schema, level, err) < 0)
        return -1;
    const char *type = type_of(reader, node);
    if (*type)
        schema->type = type;
    if (json_is_array(json_object_get(node, "enum")))
        schema->values = json_object_get(node, "enum");
    if (json_object_get(node, "default"))
        schema->fallback = json_object_get(node, "default");
    read_numbers(node, schema);
    read_lengths(node, schema);
    note_unchecked(node, schema);
    return 0;
}

int cp_openapi_read_schema(struct cp_openapi_reader *reader, const json_t *node,
                           struct cp_openapi_schema *ret, struct gw_error *err)
{
    *ret = (struct cp_openapi_schema){.type = ""};
    return visit(reader, node, ret, 0, err);
}
