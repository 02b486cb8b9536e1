/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/diff.h"

#include "common/json.h"
#include "common/message.h"
#include "controlplane/model/secrets.h"

#include <inttypes.h>

typedef const ProtobufCFieldDescriptor field_type;

struct walk {
    struct gw_arena *arena;
    struct cp_difference *all;
    size_t count, room;
};

static void add(struct walk *walk, gw_str path, gw_str before, gw_str after)
{
    if (walk->count == walk->room) {
        size_t room = walk->room ? 2 * walk->room : 16;
        struct cp_difference *all = GW_ARENA_ARRAY(walk->arena, struct cp_difference, room);
        if (walk->count > 0)
            memcpy(all, walk->all, walk->count * sizeof *all);
        walk->all = all;
        walk->room = room;
    }
    walk->all[walk->count++] =
        (struct cp_difference){gw_arena_dup(walk->arena, path).ptr, before, after};
}

/* The buffers here have no limit, so nothing can fail. */
static void put(struct gw_buf *out, gw_str text)
{
    int rc = gw_buf_append(out, text);
    assert(rc == 0);
    (void)rc;
}

/* ---- values */

static bool is_plain_text(gw_str bytes)
{
    if (!gw_str_is_utf8(bytes))
        return false;
    for (size_t i = 0; i < bytes.len; i++)
        if ((unsigned char)bytes.ptr[i] < ' ' && !strchr("\t\r\n", bytes.ptr[i]))
            return false;
    return true;
}

/* "" when it is at its default. */
static gw_str value_of(struct walk *walk, const ProtobufCMessage *message, field_type *field)
{
    char scratch[8];
    struct gw_buf out;
    gw_buf_init(&out, 0);
    bool is_bytes = field->type == PROTOBUF_C_TYPE_BYTES && gw_message_has(message, field) &&
                    field->label != PROTOBUF_C_LABEL_REPEATED;
    const ProtobufCBinaryData *data = is_bytes ? gw_message_at(message, field) : NULL;
    gw_str text = data ? gw_str_n((const char *)data->data, data->len) : GW_STR_NONE;
    if (text.len == 0 || !is_plain_text(text)) {
        gw_json_write_field(&out, message, field);
    } else {
        put(&out, GW_STR("\""));
        while (text.len)
            put(&out, gw_str_json_step(&text, scratch));
        put(&out, GW_STR("\""));
    }
    gw_str result = gw_arena_dup(walk->arena, gw_buf_view(&out));
    gw_buf_done(&out);
    return result;
}

/* The default of a plain scalar reads better than nothing: "cors: true -> false". */
static gw_str or_default(gw_str value, field_type *field)
{
    bool has_own = value.len > 0 || field->label == PROTOBUF_C_LABEL_REPEATED;
    if (has_own || field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_BYTES ||
        field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_ENUM)
        return value;
    return field->type == PROTOBUF_C_TYPE_BOOL ? GW_STR("false") : GW_STR("0");
}

/* What is cut off may be what is different: a hash tells. */
static gw_str shown(struct walk *walk, gw_str value)
{
    size_t len = CP_DIFF_VALUE_MAX;
    if (value.len <= len)
        return value;
    while (((unsigned char)value.ptr[len] & 0xC0) == 0x80)
        len--; /* not within a character */
    return gw_arena_printf(walk->arena, "%.*s... (%zu bytes, hash %016" PRIx64 ")", (int)len,
                           value.ptr, value.len, gw_str_hash(value));
}

static void diff_value(struct walk *walk, gw_str path, field_type *field,
                       const ProtobufCMessage *before, const ProtobufCMessage *after)
{
    gw_str old_value = before ? value_of(walk, before, field) : GW_STR_NONE;
    gw_str new_value = after ? value_of(walk, after, field) : GW_STR_NONE;
    if (gw_str_eq(old_value, new_value))
        return;
    if (cp_field_is_secret((before ? before : after)->descriptor, field)) {
        old_value = old_value.len ? GW_STR(CP_SECRET_HIDDEN) : old_value;
        new_value = new_value.len ? GW_STR(CP_SECRET_HIDDEN) : new_value;
    }
    add(walk, path, before ? shown(walk, or_default(old_value, field)) : GW_STR_NONE,
        after ? shown(walk, or_default(new_value, field)) : GW_STR_NONE);
}

/* ---- lists of messages */

struct list {
    ProtobufCMessage *const *items;
    size_t count;
};

static struct list list_of(const ProtobufCMessage *message, field_type *field)
{
    if (!message)
        return (struct list){0};
    return (struct list){*(ProtobufCMessage *const **)gw_message_at(message, field),
                         *(const size_t *)gw_message_quantifier(message, field)};
}

static const char *name_of(const ProtobufCMessage *item)
{
    return gw_message_text(item, "name");
}

/* The element of that name before `end`; NULL: none. */
static const ProtobufCMessage *find(const struct list *list, size_t end, const char *name)
{
    for (size_t i = 0; i < end; i++)
        if (strcmp(name_of(list->items[i]), name) == 0)
            return list->items[i];
    return NULL;
}

static bool has_unique_names(const ProtobufCMessageDescriptor *type, const struct list *list)
{
    field_type *name = protobuf_c_message_descriptor_get_field_by_name(type, "name");
    if (!name || name->type != PROTOBUF_C_TYPE_STRING)
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (!*name_of(list->items[i]) || find(list, i, name_of(list->items[i])))
            return false;
    return true;
}

/* The names that both have, in the order of the first. */
static gw_str common_names(struct walk *walk, const struct list *list, const struct list *other)
{
    gw_str names = GW_STR("");
    for (size_t i = 0; i < list->count; i++)
        if (find(other, other->count, name_of(list->items[i])))
            names = gw_arena_printf(walk->arena, "%.*s%s\"%s\"", GW_STR_ARG(names),
                                    names.len ? "," : "", name_of(list->items[i]));
    return gw_arena_printf(walk->arena, "[%.*s]", GW_STR_ARG(names));
}

static void diff_message(struct walk *walk, gw_str path, const ProtobufCMessage *before,
                         const ProtobufCMessage *after);

static void diff_by_name(struct walk *walk, gw_str path, const struct list *before,
                         const struct list *after)
{
    for (size_t i = 0; i < before->count; i++) {
        const char *name = name_of(before->items[i]);
        gw_str item = gw_arena_printf(walk->arena, "%.*s[%s]", GW_STR_ARG(path), name);
        diff_message(walk, item, before->items[i], find(after, after->count, name));
    }
    for (size_t i = 0; i < after->count; i++) {
        const char *name = name_of(after->items[i]);
        gw_str item = gw_arena_printf(walk->arena, "%.*s[%s]", GW_STR_ARG(path), name);
        if (!find(before, before->count, name))
            diff_message(walk, item, NULL, after->items[i]);
    }
    gw_str old_order = common_names(walk, before, after);
    gw_str new_order = common_names(walk, after, before);
    if (!gw_str_eq(old_order, new_order))
        add(walk, path, shown(walk, old_order), shown(walk, new_order));
}

static void diff_list(struct walk *walk, gw_str path, const ProtobufCMessageDescriptor *type,
                      struct list before, struct list after)
{
    if (has_unique_names(type, &before) && has_unique_names(type, &after)) {
        diff_by_name(walk, path, &before, &after);
        return;
    }
    for (size_t i = 0; i < GW_MAX(before.count, after.count); i++)
        diff_message(walk, gw_arena_printf(walk->arena, "%.*s[%zu]", GW_STR_ARG(path), i),
                     i < before.count ? before.items[i] : NULL,
                     i < after.count ? after.items[i] : NULL);
}

/* ---- messages */

/* Times and durations are values. */
static bool is_walked(field_type *field)
{
    if (field->type != PROTOBUF_C_TYPE_MESSAGE || gw_message_is_map(field))
        return false;
    const ProtobufCMessageDescriptor *type = field->descriptor;
    return strncmp(type->name, "google.protobuf.", strlen("google.protobuf.")) != 0;
}

static const ProtobufCMessage *child(const ProtobufCMessage *message, field_type *field)
{
    if (!message || !gw_message_has(message, field))
        return NULL;
    return *(ProtobufCMessage *const *)gw_message_at(message, field);
}

static void diff_field(struct walk *walk, gw_str path, field_type *field,
                       const ProtobufCMessage *before, const ProtobufCMessage *after)
{
    if (!is_walked(field))
        diff_value(walk, path, field, before, after);
    else if (field->label == PROTOBUF_C_LABEL_REPEATED)
        diff_list(walk, path, field->descriptor, list_of(before, field), list_of(after, field));
    else
        diff_message(walk, path, child(before, field), child(after, field));
}

static void diff_message(struct walk *walk, gw_str path, const ProtobufCMessage *before,
                         const ProtobufCMessage *after)
{
    if (!before && !after)
        return;
    size_t count = walk->count;
    const ProtobufCMessageDescriptor *type = (before ? before : after)->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++) {
        gw_str at = gw_arena_printf(walk->arena, "%.*s%s%s", GW_STR_ARG(path), path.len ? "." : "",
                                    type->fields[i].name);
        diff_field(walk, at, &type->fields[i], before, after);
    }
    if (walk->count == count && (!before || !after)) /* being there is all that it says */
        add(walk, path, before ? GW_STR("{}") : GW_STR_NONE, after ? GW_STR("{}") : GW_STR_NONE);
}

size_t cp_diff(struct gw_arena *arena, const ProtobufCMessage *before,
               const ProtobufCMessage *after, struct cp_difference **ret_differences)
{
    assert(before->descriptor == after->descriptor);
    struct walk walk = {.arena = arena};
    diff_message(&walk, GW_STR(""), before, after);
    *ret_differences = walk.all;
    return walk.count;
}

gw_str cp_diff_text(struct gw_arena *arena, const struct cp_difference *differences, size_t count)
{
    struct gw_buf out;
    gw_buf_init(&out, 0);
    for (size_t i = 0; i < count; i++) {
        const struct cp_difference *it = &differences[i];
        bool is_added = it->before.len == 0, is_removed = it->after.len == 0;
        char sign = is_added ? '+' : is_removed ? '-' : '~';
        put(&out,
            gw_arena_printf(arena, "%c %s: %.*s%s%.*s\n", sign, it->path, GW_STR_ARG(it->before),
                            sign == '~' ? " -> " : "", GW_STR_ARG(it->after)));
    }
    gw_str text = gw_arena_dup(arena, gw_buf_view(&out));
    gw_buf_done(&out);
    return text;
}
