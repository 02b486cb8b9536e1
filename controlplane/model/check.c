/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check.h"

#include "common/message.h"
#include "controlplane/model/names.h"

#include <arpa/inet.h>
#include <stdio.h>

size_t cp_characters(const char *text)
{
    gw_str rest = gw_str_from(text);
    size_t count = 0;
    for (; rest.len > 0; count++) {
        size_t step = GW_MAX(gw_str_utf8_step(rest), 1u);
        rest = gw_str_n(rest.ptr + step, rest.len - step);
    }
    return count;
}

void cp_check_bytes(const char *text, size_t max, const char *field, struct gw_error *err)
{
    if (strlen(text) > max)
        (void)gw_fail_field(err, field, "must be at most %zu bytes", max); /* the check goes on */
}

void cp_check_characters(const char *text, size_t min, size_t max, const char *field,
                         struct gw_error *err)
{
    size_t count = cp_characters(text);
    if (count > 0 && (count < min || count > max))
        (void)gw_fail_field(err, field, "must be %zu to %zu characters", min, max);
}

void cp_check_display_name(const char *display_name, const char *name, size_t min, size_t max,
                           struct gw_error *err)
{
    if (strcmp(display_name, cp_name_last(name)) != 0)
        cp_check_characters(display_name, min, max, "display_name", err);
}

static void check_label(size_t index, const char *key, const char *value, struct gw_error *err)
{
    char field[GW_ERROR_FIELD_MAX];
    (void)snprintf(field, sizeof field, "labels[%zu]", index);
    if (!*key || strlen(key) > CP_LABEL_KEY_MAX)
        (void)gw_fail_field(err, field, "must have a key of 1 to %d bytes", CP_LABEL_KEY_MAX);
    if (strlen(value) > CP_LABEL_VALUE_MAX)
        (void)gw_fail_field(err, field, "must have a value of at most %d bytes",
                            CP_LABEL_VALUE_MAX);
}

void cp_check_labels(const ProtobufCMessage *message, struct gw_error *err)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "labels");
    if (!field)
        return;
    size_t count = *(const size_t *)gw_message_quantifier(message, field);
    ProtobufCMessage **items = *(ProtobufCMessage ***)gw_message_at(message, field);
    if (count > CP_LABELS_MAX)
        (void)gw_fail_field(err, "labels", "must be at most %d pairs", CP_LABELS_MAX);
    for (size_t i = 0; i < count && i < CP_LABELS_MAX; i++)
        check_label(i, gw_message_text(items[i], "key"), gw_message_text(items[i], "value"), err);
}

static bool is_host_label(gw_str label)
{
    if (label.len == 0 || label.len > 63 || label.ptr[0] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        char c = label.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return true;
}

bool cp_is_host(const char *text)
{
    unsigned char address[16];
    if (inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1)
        return true;
    bool has_letter = false;
    for (gw_str rest = gw_str_from(text), label; rest.ptr;) {
        label = gw_str_split(&rest, '.');
        if (label.len == 0 && !rest.ptr && has_letter)
            return true; /* the root's dot */
        if (!is_host_label(label))
            return false;
        for (size_t i = 0; i < label.len; i++)
            has_letter |= (label.ptr[i] | 0x20) >= 'a' && (label.ptr[i] | 0x20) <= 'z';
    }
    return has_letter; /* "1.2.3" would be read as an address by some */
}

void cp_refuse_for_now(struct gw_error *err, const char *field)
{
    bool is_only_such = err->violation_count == 0 || err->code == GW_UNIMPLEMENTED;
    (void)gw_fail_field(err, field, "is not available in this version");
    if (is_only_such)
        err->code = GW_UNIMPLEMENTED;
}
