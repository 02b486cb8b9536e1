/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json.h"

#include "common/message.h"
#include "common/test.h"

#include <google/protobuf/any.pb-c.h>
#include <google/protobuf/descriptor.pb-c.h>
#include <google/protobuf/empty.pb-c.h>
#include <google/protobuf/field_mask.pb-c.h>
#include <penstock/admin/v1/agent.pb-c.h>
#include <penstock/admin/v1/api.pb-c.h>
#include <stdio.h>

static const ProtobufCMessageDescriptor *const api = &penstock__admin__v1__api__descriptor;
static const ProtobufCMessageDescriptor *const agent = &penstock__admin__v1__agent__descriptor;
static const ProtobufCMessageDescriptor *const option =
    &google__protobuf__uninterpreted_option__descriptor;

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

static const char *write_text(const ProtobufCMessage *message, enum gw_json_style style)
{
    struct gw_buf buf = {0};
    gw_json_write(&buf, message, style);
    gw_str text = gw_arena_dup(&arena, gw_buf_view(&buf));
    gw_buf_done(&buf);
    return text.ptr;
}

static ProtobufCMessage *parse(const ProtobufCMessageDescriptor *type, const char *text)
{
    ProtobufCMessage *message = NULL;
    if (gw_json_parse(&arena, type, gw_str_from(text), &message, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    return message;
}

/* Reads `text`, over the wire and back, and writes it again. */
static void assert_same(const ProtobufCMessageDescriptor *type, const char *text, const char *want)
{
    ProtobufCMessage *message = gw_message_copy(&arena, parse(type, text));
    assert_string_equal(write_text(message, GW_JSON_COMPACT), want);
}

static void assert_round_trip(const ProtobufCMessageDescriptor *type, const char *text)
{
    assert_same(type, text, text);
}

static void assert_refused(const ProtobufCMessageDescriptor *type, const char *text,
                           const char *field, const char *rule)
{
    ProtobufCMessage *message = NULL;
    err = GW_ERROR_NONE;
    if (gw_json_parse(&arena, type, gw_str_from(text), &message, &err) == 0)
        fail_msg("accepted: %s", text);
    assert_null(message);
    assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    assert_int_equal(err.violation_count, 1);
    assert_string_equal(err.violations[0].field, field);
    if (!strstr(err.violations[0].rule, rule))
        fail_msg("%s: got \"%s\", want \"%s\"", text, err.violations[0].rule, rule);
}

static const char api_text[] =
    "{\"name\":\"groups/a/apis/b\",\"displayName\":\"B \\\"b\\\" \xc3\xbc\",\"labels\":{\"team\":"
    "\"x\",\"\":\"\"},\"createTime\":\"2026-01-01T00:00:00.250Z\",\"frontend\":{\"protocol\":"
    "\"PROTOCOL_BOTH\",\"path\":\"/v1/{id}\"},\"backend\":{\"mock\":{\"status\":200,\"body\":"
    "\"AAH/\"}},\"requestParameters\":[{\"name\":\"q\",\"minNumber\":0.1},{\"name\":\"r\"}],"
    "\"tags\":[\"one\",\"two\"],\"cors\":true}";

static void a_resource_goes_both_ways(void **state)
{
    (void)state;
    assert_round_trip(api, api_text);
    assert_round_trip(api, "{}");
    assert_round_trip(&google__protobuf__empty__descriptor, "{}");
    Penstock__Admin__V1__Api *message = (void *)parse(api, api_text);
    assert_int_equal(message->n_labels, 2);
    assert_string_equal(message->labels[0]->key, "team");
    assert_string_equal(message->labels[0]->value, "x");
    assert_int_equal(message->create_time->nanos, 250000000);
    assert_int_equal(message->backend->kind_case, PENSTOCK__ADMIN__V1__BACKEND__KIND_MOCK);
    assert_int_equal(message->backend->mock->body.len, 3);
    assert_memory_equal(message->backend->mock->body.data, "\0\1\xff", 3);
}

static void both_spellings_and_forms_are_read(void **state)
{
    (void)state;
    assert_same(api, " { \"display_name\" : \"x\" , \"name\" : null , \"tags\" : [ ] } ",
                "{\"displayName\":\"x\"}");
    assert_same(agent, "{\"appliedRevision\":12,\"current_revision\":\"13\"}",
                "{\"appliedRevision\":\"12\",\"currentRevision\":\"13\"}");
    assert_same(api, "{\"frontend\":{\"protocol\":2}}",
                "{\"frontend\":{\"protocol\":\"PROTOCOL_HTTPS\"}}");
    assert_same(api, "{\"backend\":{\"mock\":{\"status\":2.0e2,\"body\":\"-_8\"}}}",
                "{\"backend\":{\"mock\":{\"status\":200,\"body\":\"+/8=\"}}}");
    assert_same(api, "{\"name\":\"\\u00fc\\ud83d\\ude00\\/\"}",
                "{\"name\":\"\xc3\xbc\xf0\x9f\x98\x80/\"}");
    assert_same(api, "{\"backend\":{\"http\":null,\"mock\":{}}}", "{\"backend\":{\"mock\":{}}}");
}

static void pretty_text_is_indented(void **state)
{
    (void)state;
    ProtobufCMessage *message = parse(
        api, "{\"name\":\"a\",\"labels\":{\"k\":\"v\"},\"frontend\":{},\"tags\":[\"x\",\"y\"]}");
    assert_string_equal(write_text(message, GW_JSON_PRETTY), "{\n"
                                                             "  \"name\": \"a\",\n"
                                                             "  \"labels\": {\n"
                                                             "    \"k\": \"v\"\n"
                                                             "  },\n"
                                                             "  \"frontend\": {},\n"
                                                             "  \"tags\": [\n"
                                                             "    \"x\",\n"
                                                             "    \"y\"\n"
                                                             "  ]\n"
                                                             "}");
}

static void numbers_are_exact_to_their_ends(void **state)
{
    (void)state;
    assert_round_trip(agent, "{\"appliedRevision\":\"9223372036854775807\"}");
    assert_round_trip(agent, "{\"appliedRevision\":\"-9223372036854775808\"}");
    assert_round_trip(option, "{\"positiveIntValue\":\"18446744073709551615\"}");
    assert_round_trip(option, "{\"positiveIntValue\":\"0\"}"); /* proto2: being there counts */
    assert_round_trip(option, "{\"doubleValue\":0.1}");
    assert_round_trip(option, "{\"doubleValue\":1.7976931348623157e+308}");
    assert_round_trip(option, "{\"doubleValue\":\"NaN\"}");
    assert_round_trip(option, "{\"doubleValue\":\"-Infinity\"}");
    assert_round_trip(api, "{\"backend\":{\"http\":{\"retryCount\":-1}}}");
    assert_round_trip(api, "{\"backend\":{\"http\":{\"retryCount\":-2147483648}}}");
    static const char *const bad[] = {
        "2147483648", "-2147483649", "1.5",  "\"1x\"",
        "\"\"",       "true",        "1e10", "\"99999999999999999999\""};
    for (unsigned i = 0; i < GW_ARRAY_LEN(bad); i++) {
        gw_str text =
            gw_arena_printf(&arena, "{\"backend\":{\"http\":{\"retryCount\":%s}}}", bad[i]);
        assert_refused(api, text.ptr, "backend.http.retry_count", "32 bits");
    }
    assert_refused(agent, "{\"appliedRevision\":\"9223372036854775808\"}", "applied_revision",
                   "64 bits");
    assert_refused(agent, "{\"appliedRevision\":1e16}", "applied_revision", "64 bits");
    assert_refused(option, "{\"positiveIntValue\":-1}", "positive_int_value", "from 0");
    assert_refused(option, "{\"doubleValue\":\"1\"}", "double_value", "must be a number");
}

static void what_is_wrong_is_named_by_its_path(void **state)
{
    (void)state;
    assert_refused(api, "{\"nam\":1}", "nam", "is not a field");
    assert_refused(api, "{\"name\":1}", "name", "must be text");
    assert_refused(api, "{\"cors\":1}", "cors", "true or false");
    assert_refused(api, "{\"tags\":\"x\"}", "tags", "must be a list");
    assert_refused(api, "{\"tags\":[\"x\",null]}", "tags[1]", "must be text");
    assert_refused(api, "{\"labels\":[]}", "labels", "must be an object");
    assert_refused(api, "{\"labels\":{\"team\":7}}", "labels[team]", "must be text");
    assert_refused(api, "{\"frontend\":[]}", "frontend", "must be an object");
    assert_refused(api, "[]", "", "must be an object");
    assert_refused(api, "{\"requestParameters\":[{},{\"min_number\":\"x\"}]}",
                   "request_parameters[1].min_number", "must be a number");
    assert_refused(api, "{\"frontend\":{\"protocol\":\"HTTP\"}}", "frontend.protocol",
                   "must be one of PROTOCOL_HTTP PROTOCOL_HTTPS PROTOCOL_BOTH");
    assert_refused(api, "{\"frontend\":{\"protocol\":99}}", "frontend.protocol", "must be one of");
    assert_refused(api, "{\"displayName\":\"x\",\"display_name\":\"y\"}", "displayName",
                   "comes twice");
    assert_refused(api, "{\"backend\":{\"http\":{},\"mock\":{}}}", "backend.mock", "excludes");
    assert_refused(&google__protobuf__any__descriptor, "{}", "", "cannot be given");
}

static void what_is_not_json_is_told_by_its_place_alone(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"", "the text is not valid JSON: line 1, column 0"},
        {"{\"name\":\"hunter2", "the text is not valid JSON: line 1, column 16"},
        {"{}{}", "the text is not valid JSON: line 1, column 3"},
        {"{\n\"cors\":true,\n\"cors\":true}", "the text has a name twice in one object: line 3"},
        {"{\"name\":\"\xff\"}", "the text is not UTF-8: line 1"},
        {"{\"name\":\"\\u0000\"}", "the text has a NUL in a string: line 1"},
        {"{\"name\":\"\\ud800\"}", "the text is not valid JSON: line 1"},
        {"{'name':1}", "the text is not valid JSON: line 1"},
    };
    for (unsigned i = 0; i < GW_ARRAY_LEN(bad); i++) {
        ProtobufCMessage *message;
        assert_int_equal(gw_json_parse(&arena, api, gw_str_from(bad[i].text), &message, &err), -1);
        assert_int_equal(err.code, GW_INVALID_ARGUMENT);
        if (strncmp(err.message, bad[i].message, strlen(bad[i].message)) != 0)
            fail_msg("%s: got \"%s\"", bad[i].text, err.message);
        assert_null(strstr(err.message, "hunter2"));
    }
}

static void depth_has_a_limit(void **state)
{
    (void)state;
    char text[20000] = "";
    for (int depth = 1; depth <= GW_JSON_DEPTH_MAX + 1; depth++) {
        size_t len = 0;
        for (int i = 1; i < depth; i++)
            len += (size_t)sprintf(text + len, "{\"nestedType\":[");
        len += (size_t)sprintf(text + len, "{}");
        for (int i = 1; i < depth; i++)
            len += (size_t)sprintf(text + len, "]}");
        ProtobufCMessage *message;
        int rc = gw_json_parse(&arena, &google__protobuf__descriptor_proto__descriptor,
                               gw_str_from(text), &message, &err);
        assert_int_equal(rc, depth <= GW_JSON_DEPTH_MAX ? 0 : -1);
    }
    assert_string_equal(err.violations[0].rule, "is nested too deeply");
    memset(text, '[', sizeof(text) - 1);
    ProtobufCMessage *message;
    assert_int_equal(gw_json_parse(&arena, api, gw_str_from(text), &message, &err), -1);
    assert_non_null(strstr(err.message, "nested too deeply"));
}

static void unknown_numbers_of_enumerations_are_written_as_numbers(void **state)
{
    (void)state;
    Penstock__Admin__V1__Api *message = (void *)parse(api, "{\"frontend\":{}}");
    message->frontend->protocol = 77;
    assert_string_equal(write_text(&message->base, GW_JSON_COMPACT),
                        "{\"frontend\":{\"protocol\":77}}");
}

static void masks_are_lists_with_commas(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *mask = &google__protobuf__field_mask__descriptor;
    assert_round_trip(mask, "\"\"");
    assert_round_trip(mask, "\"displayName,backend.http.retryCount\"");
    assert_same(mask, "\"display_name\"", "\"displayName\"");
    Google__Protobuf__FieldMask *parsed = (void *)parse(mask, "\"displayName,tags\"");
    assert_int_equal(parsed->n_paths, 2);
    assert_string_equal(parsed->paths[0], "display_name");
    assert_string_equal(parsed->paths[1], "tags");
    assert_refused(mask, "\"a,\"", "", "names of fields");
    assert_refused(mask, "\",\"", "", "names of fields");
    assert_refused(mask, "\"a b\"", "", "names of fields");
    assert_refused(mask, "[]", "", "must be text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_resource_goes_both_ways),
        cmocka_unit_test(both_spellings_and_forms_are_read),
        cmocka_unit_test(pretty_text_is_indented),
        cmocka_unit_test(numbers_are_exact_to_their_ends),
        cmocka_unit_test(what_is_wrong_is_named_by_its_path),
        cmocka_unit_test(what_is_not_json_is_told_by_its_place_alone),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(unknown_numbers_of_enumerations_are_written_as_numbers),
        cmocka_unit_test(masks_are_lists_with_commas),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
