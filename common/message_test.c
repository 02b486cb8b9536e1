/* SPDX-License-Identifier: Apache-2.0 */
#include "common/message.h"

#include "common/buf.h"
#include "common/test.h"

#include "google/protobuf/descriptor.pb-c.h"
#include "google/protobuf/field_mask.pb-c.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"

static struct gw_arena arena;
static struct gw_error err;

static int setup(void **state)
{
    (void)state;
    gw_arena_init(&arena, 0);
    err = GW_ERROR_NONE;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gw_arena_done(&arena);
    return 0;
}

static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *type, gw_str bytes)
{
    ProtobufCMessage *message = NULL;
    if (gw_message_unpack(&arena, type, bytes, &message, &err) < 0)
        assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    return message;
}

static void what_is_packed_unpacks_again(void **state)
{
    (void)state;
    Google__Rpc__Status *status = (void *)gw_message_new(&arena, &google__rpc__status__descriptor);
    status->code = 5;
    status->message = "no gr\xc3\xbc\xc3\x9f";
    gw_str bytes = gw_message_pack(&arena, &status->base);
    Google__Rpc__Status *again = (void *)unpack(&google__rpc__status__descriptor, bytes);
    assert_non_null(again);
    assert_int_equal(again->code, 5);
    assert_string_equal(again->message, status->message);
    Google__Rpc__Status *copy = (void *)gw_message_copy(&arena, &again->base);
    assert_ptr_not_equal(copy->message, again->message);
    assert_true(gw_str_eq(gw_message_pack(&arena, &copy->base), bytes));
    assert_int_equal(
        gw_message_pack(&arena, unpack(&google__rpc__status__descriptor, GW_STR(""))).len, 0);
}

static void bytes_that_are_no_message_are_refused(void **state)
{
    (void)state;
    static const gw_str bad[] = {
        {"\x08", 1},                                              /* number missing */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, /* 11 bytes of varint */
        {"\x12\x05"
         "abc",
         5},                             /* length beyond the end */
        {"\x12\xff\xff\xff\xff\x0f", 6}, /* length of 4 GiB */
        {"\x0b\x0c", 2},                 /* group */
        {"\x0f", 1},                     /* wire type 7 */
        {"\x00\x01", 2},                 /* field number 0 */
        {"\x02\x00", 2},                 /* field number 0, empty bytes */
        {"\xf8\xff\xff\xff\x7f\x00", 6}, /* field number above 2^29 - 1 */
        {"\xff\xff\xff\xff\xff\x01", 6}, /* six bytes of tag */
        {"\x0d\x00\x00", 3},             /* half of a fixed32 */
        {"\x10\x01", 2},                 /* a number where text belongs */
    };
    for (unsigned i = 0; i < GW_ARRAY_LEN(bad); i++) {
        err = GW_ERROR_NONE;
        if (unpack(&google__rpc__status__descriptor, bad[i]))
            fail_msg("case %u was accepted", i);
        assert_string_equal(err.message, "not a well-formed google.rpc.Status message");
    }
}

static void text_is_utf8_without_nul_at_every_level(void **state)
{
    (void)state;
    assert_null(unpack(&google__rpc__status__descriptor, GW_STR("\x12\x02\xc3\x28")));
    assert_string_equal(err.violations[0].field, "message");
    assert_null(unpack(&google__rpc__status__descriptor, GW_STR("\x12\x03"
                                                                "a\0b")));
    /* FileDescriptorProto.message_type.name; the second one is bad */
    err = GW_ERROR_NONE;
    assert_null(unpack(&google__protobuf__file_descriptor_proto__descriptor,
                       GW_STR("\x22\x03\x0a\x01"
                              "A"
                              "\x22\x03\x0a\x01\xff")));
    assert_string_equal(err.violations[0].field, "message_type.name");
    assert_string_equal(err.violations[0].rule, "must be UTF-8 text without NUL");
    /* repeated text */
    err = GW_ERROR_NONE;
    assert_null(unpack(&google__protobuf__field_mask__descriptor, GW_STR("\x0a\x01"
                                                                         "a"
                                                                         "\x0a\x01\x80")));
    assert_string_equal(err.violations[0].field, "paths");
    /* bytes may be anything */
    assert_non_null(unpack(&google__protobuf__any__descriptor, GW_STR("\x12\x02\xff\x00")));
}

static void unknown_fields_are_dropped_at_every_level(void **state)
{
    (void)state;
    gw_str bytes = GW_STR("\xa2\x06\x01x" /* 100: "x" */
                          "\x22\x06\x0a\x01"
                          "A\x98\x06\x07"); /* message_type {name: "A" 99: 7} */
    ProtobufCMessage *message = unpack(&google__protobuf__file_descriptor_proto__descriptor, bytes);
    assert_non_null(message);
    assert_str(gw_message_pack(&arena, message), "\x22\x03\x0a\x01"
                                                 "A");
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    /* DescriptorProto.nested_type = 3, from the inside out */
    struct gw_buf buf;
    gw_buf_init(&buf, 0);
    for (unsigned depth = 1; depth <= GW_MESSAGE_DEPTH_MAX + 1; depth++) {
        ProtobufCMessage *message =
            unpack(&google__protobuf__descriptor_proto__descriptor, gw_buf_view(&buf));
        assert_int_equal(message != NULL, depth <= GW_MESSAGE_DEPTH_MAX);
        gw_str inner = gw_arena_dup(&arena, gw_buf_view(&buf));
        gw_buf_clear(&buf);
        unsigned len = (unsigned)inner.len;
        assert_int_equal(gw_buf_printf(&buf, "\x1a%c", (int)len), 0);
        assert_int_equal(gw_buf_append(&buf, inner), 0);
    }
    assert_non_null(strstr(err.violations[0].rule, "nested too deeply"));
    assert_non_null(strstr(err.violations[0].field, "nested_type.nested_type."));
    gw_buf_done(&buf);
}

static void the_last_of_equal_labels_wins(void **state)
{
    (void)state;
    /* ErrorInfo.metadata = 3: a:1 b:2 a:3 "":4 c:5 b:6 */
    gw_str bytes = GW_STR("\x1a\x06\x0a\x01"
                          "a\x12\x01"
                          "1\x1a\x06\x0a\x01"
                          "b\x12\x01"
                          "2\x1a\x06\x0a\x01"
                          "a\x12\x01"
                          "3\x1a\x03\x12\x01"
                          "4\x1a\x06\x0a\x01"
                          "c\x12\x01"
                          "5\x1a\x06\x0a\x01"
                          "b\x12\x01"
                          "6");
    Google__Rpc__ErrorInfo *info = (void *)unpack(&google__rpc__error_info__descriptor, bytes);
    assert_non_null(info);
    static const char *const want[][2] = {{"a", "3"}, {"", "4"}, {"c", "5"}, {"b", "6"}};
    assert_int_equal(info->n_metadata, GW_ARRAY_LEN(want));
    for (size_t i = 0; i < GW_ARRAY_LEN(want); i++) {
        assert_string_equal(info->metadata[i]->key, want[i][0]);
        assert_string_equal(info->metadata[i]->value, want[i][1]);
    }
}

static void only_entries_of_key_and_value_are_labels(void **state)
{
    (void)state;
    assert_true(gw_message_is_map(protobuf_c_message_descriptor_get_field_by_name(
        &google__rpc__error_info__descriptor, "metadata")));
    assert_false(gw_message_is_map(protobuf_c_message_descriptor_get_field_by_name(
        &google__rpc__bad_request__descriptor, "field_violations")));
    assert_false(gw_message_is_map(protobuf_c_message_descriptor_get_field_by_name(
        &google__rpc__error_info__descriptor, "reason")));
}

static void fields_are_reached_by_name(void **state)
{
    (void)state;
    ProtobufCMessage *info = gw_message_new(&arena, &google__rpc__error_info__descriptor);
    assert_string_equal(gw_message_text(info, "reason"), "");
    gw_message_set_text(info, "reason", "STALE");
    assert_string_equal(gw_message_text(info, "reason"), "STALE");
    ProtobufCMessage *file =
        gw_message_new(&arena, &google__protobuf__file_descriptor_proto__descriptor);
    assert_null(*gw_message_child(file, "options"));
    const ProtobufCMessageDescriptor *type = &google__protobuf__file_options__descriptor;
    *gw_message_child(file, "options") = gw_message_new(&arena, type);
    assert_ptr_equal((*gw_message_child(file, "options"))->descriptor, type);
}

static void a_oneof_shows_only_its_chosen_member(void **state)
{
    (void)state;
    Grpc__Reflection__V1__ServerReflectionRequest *request = (void *)gw_message_new(
        &arena, &grpc__reflection__v1__server_reflection_request__descriptor);
    gw_message_set_text(&request->base, "file_containing_symbol", "a.B");
    assert_int_equal(
        request->message_request_case,
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL);
    assert_string_equal(gw_message_text(&request->base, "file_containing_symbol"), "a.B");
    assert_string_equal(gw_message_text(&request->base, "file_by_filename"), "");
    assert_string_equal(gw_message_text(&request->base, "host"), "");
}

/* Status.code, an unknown field 9, and a detail (an Any) with an unknown field 12. */
#define NEWER                                                                                      \
    GW_STR("\x08\x05\x4a\x01x\x1a\x05\x0a\x01"                                                     \
           "a\x60\x07")

static void what_is_not_known_stays_where_it_is_wanted(void **state)
{
    (void)state;
    ProtobufCMessage *whole;
    assert_int_equal(
        gw_message_unpack_whole(&arena, &google__rpc__status__descriptor, NEWER, &whole, &err), 0);
    gw_str packed = gw_message_pack(&arena, whole);
    assert_int_equal(packed.len, NEWER.len);
    assert_int_equal(
        gw_message_unpack_whole(&arena, &google__rpc__status__descriptor, packed, &whole, &err), 0);
    assert_int_equal(gw_message_refuse_unknown(whole, &err), -1);
    assert_string_equal(err.message, "field 9 of Status is not known to this version");
    ProtobufCMessage *known = unpack(&google__rpc__status__descriptor, NEWER);
    assert_non_null(known);
    assert_int_equal(gw_message_refuse_unknown(known, &err), 0);
}

static int refuse(const ProtobufCMessageDescriptor *type, gw_str bytes)
{
    ProtobufCMessage *whole;
    err = GW_ERROR_NONE;
    assert_int_equal(gw_message_unpack_whole(&arena, type, bytes, &whole, &err), 0);
    return gw_message_refuse_unknown(whole, &err);
}

static void what_is_not_known_is_found_at_every_level(void **state)
{
    (void)state;
    assert_int_equal(refuse(&google__rpc__status__descriptor, GW_STR("\x1a\x02\x60\x07")), -1);
    assert_string_equal(err.message, "field 12 of Any is not known to this version");
    /* FieldDescriptorProto.label: 99 */
    assert_int_equal(
        refuse(&google__protobuf__field_descriptor_proto__descriptor, GW_STR("\x20\x63")), -1);
    assert_non_null(strstr(err.message, "label"));
    assert_non_null(strstr(err.message, "99"));
    /* field 1000 may be passed over, 999 may not */
    assert_int_equal(refuse(&google__rpc__status__descriptor, GW_STR("\xc0\x3e\x01")), 0);
    assert_int_equal(refuse(&google__rpc__status__descriptor, GW_STR("\xb8\x3e\x01")), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_not_known_stays_where_it_is_wanted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_not_known_is_found_at_every_level, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_packed_unpacks_again, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_that_are_no_message_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(text_is_utf8_without_nul_at_every_level, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_fields_are_dropped_at_every_level, setup, teardown),
        cmocka_unit_test_setup_teardown(nesting_has_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_of_equal_labels_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(only_entries_of_key_and_value_are_labels, setup, teardown),
        cmocka_unit_test_setup_teardown(fields_are_reached_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(a_oneof_shows_only_its_chosen_member, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
