/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/ctl/print.h"

#include "common/buf.h"
#include "common/json.h"
#include "controlplane/ctl/documents.h"
#include "controlplane/yaml/yaml.h"

#include "google/protobuf/timestamp.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CELL_BYTES_MAX 60

static unsigned column_count(const struct cp_ctl_kind *kind)
{
    unsigned count = 0;
    while (count < CP_COLUMNS_MAX && kind->columns[count].header)
        count++;
    return count;
}

static gw_str *new_row(struct cp_printer *printer)
{
    unsigned columns = column_count(printer->kind);
    if (printer->rows == printer->room) {
        printer->room = GW_MAX((size_t)64, printer->room * 2);
        printer->cells =
            gw_realloc(printer->cells, printer->room * columns * sizeof(printer->cells[0]));
    }
    return printer->cells + columns * printer->rows++;
}

void cp_print_begin(struct cp_printer *printer, const struct cp_ctl_kind *kind,
                    enum cp_output output, bool is_list, struct gw_arena *arena)
{
    *printer =
        (struct cp_printer){.kind = kind, .output = output, .is_list = is_list, .arena = arena};
    if (output == CP_OUTPUT_TABLE) {
        gw_str *row = new_row(printer);
        for (unsigned i = 0; i < column_count(kind); i++)
            row[i] = gw_str_from(kind->columns[i].header);
    } else if (output == CP_OUTPUT_JSON && is_list) {
        fputs("[", stdout);
    }
}

/* ---- values of columns */

static gw_str enum_word(const ProtobufCEnumDescriptor *type, int value, struct gw_arena *arena)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    if (!found)
        return gw_arena_printf(arena, "%d", value);
    /* MATCH_MODE_EXACT -> EXACT: the prefix is the type's name, which the header says already. */
    const char *zero = protobuf_c_enum_descriptor_get_value(type, 0)->name;
    size_t prefix = strlen(zero) - strlen("UNSPECIFIED");
    return value == 0 ? GW_STR_NONE : gw_str_from(found->name + prefix);
}

static gw_str message_text(const ProtobufCMessage *message, gw_str rest, struct gw_arena *arena)
{
    if (message && message->descriptor == &google__protobuf__timestamp__descriptor) {
        const Google__Protobuf__Timestamp *time = (const Google__Protobuf__Timestamp *)message;
        return gw_json_timestamp(arena, time->seconds, 0);
    }
    if (!message || !rest.ptr)
        return GW_STR_NONE;
    return cp_print_field(message, rest.ptr, arena);
}

static gw_str value_text(const ProtobufCFieldDescriptor *field, const void *value, gw_str rest,
                         struct gw_arena *arena)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return gw_str_from(*(char *const *)value);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_word(field->descriptor, *(const int *)value, arena);
    case PROTOBUF_C_TYPE_BOOL:
        return *(const protobuf_c_boolean *)value ? GW_STR("yes") : GW_STR("no");
    case PROTOBUF_C_TYPE_INT32:
        return gw_arena_printf(arena, "%" PRId32, *(const int32_t *)value);
    case PROTOBUF_C_TYPE_INT64:
        return gw_arena_printf(arena, "%" PRId64, *(const int64_t *)value);
    case PROTOBUF_C_TYPE_MESSAGE:
        return message_text(*(ProtobufCMessage *const *)value, rest, arena);
    default:
        return GW_STR_NONE;
    }
}

static gw_str join(gw_str list, gw_str item, struct gw_arena *arena)
{
    if (item.len == 0 || gw_str_eq(item, GW_STR("-")))
        return list;
    if (list.len == 0)
        return item;
    return gw_arena_printf(arena, "%.*s,%.*s", GW_STR_ARG(list), GW_STR_ARG(item));
}

static gw_str repeated_text(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                            gw_str rest, struct gw_arena *arena)
{
    const char *base = (const char *)message;
    size_t count = *(const size_t *)(const void *)(base + field->quantifier_offset);
    void *const *items = *(void *const *const *)(const void *)(base + field->offset);
    gw_str list = GW_STR_NONE;
    for (size_t i = 0; i < count && list.len <= CELL_BYTES_MAX; i++)
        list = join(list, value_text(field, &items[i], rest, arena), arena);
    return list;
}

/* A oneof shows which case it is. */
static gw_str oneof_text(const ProtobufCMessage *message, const char *name)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
            continue;
        const uint32_t *which = (const void *)((const char *)message + field->quantifier_offset);
        if (strcmp(name, "kind") == 0 && *which == field->id)
            return gw_str_from(field->name);
    }
    return GW_STR_NONE;
}

gw_str cp_print_field(const ProtobufCMessage *message, const char *path, struct gw_arena *arena)
{
    gw_str rest = gw_str_from(path), word = gw_str_split(&rest, '.'), text;
    const char *name = gw_arena_dup(arena, word).ptr;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
    if (!field)
        text = oneof_text(message, name);
    else if (field->label == PROTOBUF_C_LABEL_REPEATED)
        text = repeated_text(message, field, rest, arena);
    else
        text = value_text(field, (const char *)message + field->offset, rest, arena);
    if (text.len > CELL_BYTES_MAX)
        text = gw_arena_printf(arena, "%.*s...", CELL_BYTES_MAX - 3, text.ptr);
    return text.len ? text : GW_STR("-");
}

void cp_print_resource(void *arg, ProtobufCMessage *resource)
{
    struct cp_printer *printer = arg;
    gw_str text;
    switch (printer->output) {
    case CP_OUTPUT_TABLE: {
        gw_str *row = new_row(printer);
        for (unsigned i = 0; i < column_count(printer->kind); i++)
            row[i] = cp_print_field(resource, printer->kind->columns[i].field, printer->arena);
        break;
    }
    case CP_OUTPUT_JSON:
        text = cp_document_json(printer->kind, resource, printer->arena);
        printf("%s%s%.*s", printer->count ? "," : "", printer->is_list ? "\n" : "",
               GW_STR_ARG(text));
        break;
    case CP_OUTPUT_YAML:
        text = cp_document_yaml(printer->kind, resource, printer->arena);
        printf("%s%.*s", printer->count ? "---\n" : "", GW_STR_ARG(text));
        break;
    case CP_OUTPUT_CSV: /* written by the server */
        break;
    case CP_OUTPUT_NAME:
        puts(gw_message_text(resource, "name"));
        break;
    }
    printer->count++;
}

static void print_table(const struct cp_printer *printer)
{
    unsigned columns = column_count(printer->kind);
    size_t widths[CP_COLUMNS_MAX] = {0};
    for (size_t row = 0; row < printer->rows; row++)
        for (unsigned i = 0; i < columns; i++)
            widths[i] = GW_MAX(widths[i], printer->cells[row * columns + i].len);
    for (size_t row = 0; row < printer->rows; row++) {
        for (unsigned i = 0; i < columns; i++) {
            gw_str cell = printer->cells[row * columns + i];
            int width = i + 1 < columns ? (int)widths[i] : 0;
            printf("%s%-*.*s", i ? "  " : "", width, GW_STR_ARG(cell));
        }
        putchar('\n');
    }
}

void cp_print_abort(struct cp_printer *printer)
{
    free(printer->cells);
    printer->cells = NULL;
}

void cp_print_end(struct cp_printer *printer)
{
    if (printer->output == CP_OUTPUT_JSON)
        puts(printer->is_list && printer->count ? "\n]" : printer->is_list ? "]" : "");
    if (printer->output == CP_OUTPUT_TABLE && printer->count == 0)
        fprintf(stderr, "No %s found.\n", printer->kind->command);
    else if (printer->output == CP_OUTPUT_TABLE)
        print_table(printer);
    cp_print_abort(printer);
}

static gw_str yaml_of(gw_str json, struct gw_arena *arena)
{
    json_t *value = json_loadb(json.ptr, json.len, 0, NULL);
    if (!value)
        gw_panic("a message does not become JSON");
    gw_str text = cp_yaml_write(value, arena);
    json_decref(value);
    return text;
}

void cp_print_message(const ProtobufCMessage *message, enum cp_output output,
                      struct gw_arena *arena)
{
    struct gw_buf out;
    gw_buf_init(&out, 0);
    gw_json_write(&out, message, output == CP_OUTPUT_YAML ? GW_JSON_COMPACT : GW_JSON_PRETTY);
    gw_str text = gw_buf_view(&out);
    if (output == CP_OUTPUT_YAML)
        printf("%.*s", GW_STR_ARG(yaml_of(text, arena)));
    else
        printf("%.*s\n", GW_STR_ARG(text));
    gw_buf_done(&out);
}

bool cp_has_colour(void)
{
    const char *no_color = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && (!no_color || !*no_color);
}

void cp_print_difference(const char *path, const char *before, const char *after, bool has_colour)
{
    char sign = !*before ? '+' : !*after ? '-' : '~';
    const char *colour = sign == '+' ? "\033[32m" : sign == '-' ? "\033[31m" : "\033[33m";
    printf("%s%c %s: %s%s%s%s\n", has_colour ? colour : "", sign, path, before,
           sign == '~' ? " -> " : "", after, has_colour ? "\033[0m" : "");
}

void cp_print_error(const struct gw_error *err)
{
    fflush(stdout); /* what was done comes before what failed, also in one file */
    if (cp_is_usage(err)) {
        fprintf(stderr, "Error: %s\npenstockctl --help says more.\n", err->message);
        return;
    }
    fprintf(stderr, "Error: %s (%s%s%s%s%s)\n", err->message, gw_code_name(err->code),
            err->apig[0] ? ", " : "", err->apig, err->reason[0] ? ", " : "", err->reason);
    bool is_said = err->violation_count == 1 && strstr(err->message, err->violations[0].rule);
    for (unsigned i = 0; i < err->violation_count && !is_said; i++)
        fprintf(stderr, "  %s: %s\n", err->violations[i].field, err->violations[i].rule);
}

int cp_exit_status(const struct gw_error *err)
{
    if (cp_is_usage(err))
        return 2;
    switch (err->code) {
    case GW_OK:
        return 0;
    case GW_NOT_FOUND:
        return 3;
    case GW_ALREADY_EXISTS:
    case GW_FAILED_PRECONDITION:
    case GW_ABORTED:
        return 4;
    case GW_UNAVAILABLE:
    case GW_DEADLINE_EXCEEDED:
        return 5;
    case GW_UNAUTHENTICATED:
    case GW_PERMISSION_DENIED:
        return 6;
    default:
        return 1;
    }
}
