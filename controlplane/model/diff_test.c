/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/diff.h"

#include "common/json.h"
#include "controlplane/model/types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct gw_arena arena;

static ProtobufCMessage *message_of(const ProtobufCMessageDescriptor *type, const char *json)
{
    ProtobufCMessage *message = NULL;
    struct gw_error err = GW_ERROR_NONE;
    if (gw_json_parse(&arena, type, gw_str_from(json), &message, &err) < 0)
        fail_msg("%s: %s", json, err.message);
    return message;
}

static const char *diff_of(const ProtobufCMessageDescriptor *type, const char *before,
                           const char *after)
{
    struct cp_difference *differences;
    size_t count = cp_diff(&arena, message_of(type, before), message_of(type, after), &differences);
    return cp_diff_text(&arena, differences, count).ptr;
}

static void assert_diff(const char *before, const char *after, const char *text)
{
    assert_string_equal(diff_of(CP_TYPE(api), before, after), text);
}

static void test_the_same_has_no_difference(void **state)
{
    (void)state;
    const char *api =
        "{\"frontend\": {\"path\": \"/a\"}, \"tags\": [\"x\"], \"backend\": {\"mock\":"
        " {\"headers\": [{\"name\": \"A\", \"value\": \"1\"}]}}}";
    assert_diff(api, api, "");
    assert_diff("{}", "{}", "");
}

static void test_fields(void **state)
{
    (void)state;
    assert_diff("{\"frontend\": {\"path\": \"/a\", \"method\": \"HTTP_METHOD_GET\"}}",
                "{\"frontend\": {\"path\": \"/b\", \"method\": \"HTTP_METHOD_ANY\"}}",
                "~ frontend.method: \"HTTP_METHOD_GET\" -> \"HTTP_METHOD_ANY\"\n"
                "~ frontend.path: \"/a\" -> \"/b\"\n");
    assert_diff("{\"description\": \"old\", \"cors\": true}", "{\"version\": \"2\"}",
                "- description: \"old\"\n+ version: \"2\"\n~ cors: true -> false\n");
    assert_diff("{\"tags\": [\"x\"]}", "{\"tags\": [\"x\", \"y\"]}",
                "~ tags: [\"x\"] -> [\"x\",\"y\"]\n");
    assert_diff("{\"description\": \"a\\nb\"}", "{}", "- description: \"a\\nb\"\n");
}

static void test_another_kind_of_backend(void **state)
{
    (void)state;
    assert_diff("{\"backend\": {\"mock\": {}}}",
                "{\"backend\": {\"http\": {\"address\": \"a\", \"timeout\": \"1.5s\"}}}",
                "+ backend.http.address: \"a\"\n+ backend.http.timeout: \"1.500s\"\n"
                "- backend.mock: {}\n");
}

static void test_bodies_are_shown_as_text_when_they_are(void **state)
{
    (void)state;
    assert_diff("{\"backend\": {\"mock\": {\"body\": \"aGk=\"}}}",
                "{\"backend\": {\"mock\": {\"body\": \"AAEC\"}}}",
                "~ backend.mock.body: \"hi\" -> \"AAEC\"\n");
}

static void test_lists_go_by_name(void **state)
{
    (void)state;
    assert_diff(
        "{\"requestParameters\": [{\"name\": \"a\"}, {\"name\": \"b\", \"required\": true}]}",
        "{\"requestParameters\": [{\"name\": \"b\"}, {\"name\": \"c\"}]}",
        "- request_parameters[a].name: \"a\"\n"
        "~ request_parameters[b].required: true -> false\n"
        "+ request_parameters[c].name: \"c\"\n");
    assert_diff("{\"backendRules\": [{\"name\": \"a\"}, {\"name\": \"b\"}]}",
                "{\"backendRules\": [{\"name\": \"b\"}, {\"name\": \"a\"}]}",
                "~ backend_rules: [\"a\",\"b\"] -> [\"b\",\"a\"]\n");
}

static void test_lists_without_unique_names_go_by_position(void **state)
{
    (void)state;
    const char *pattern =
        "{\"backend\": {\"mock\": {\"headers\": [{\"name\": \"A\", \"value\": \"1\"},"
        " {\"name\": \"A\", \"value\": \"%d\"}]}}}";
    char before[200], after[200];
    (void)snprintf(before, sizeof before, pattern, 2);
    (void)snprintf(after, sizeof after, pattern, 3);
    assert_diff(before, after, "~ backend.mock.headers[1].value: \"2\" -> \"3\"\n");
}

static void test_secrets_are_not_shown(void **state)
{
    (void)state;
    const char *text = diff_of(CP_TYPE(certificate), "{\"privateKeyPem\": \"cleartext\"}",
                               "{\"privateKeyPem\": \"other\"}");
    assert_string_equal(text, "~ private_key_pem: (hidden) -> (hidden)\n");
    text = diff_of(CP_TYPE(certificate), "{}", "{\"sealedPrivateKey\": \"AAEC\"}");
    assert_string_equal(text, "+ sealed_private_key: (hidden)\n");
}

/* Both are as long, and differ at the end alone, behind a character that the cut would split. */
static void test_long_values_are_cut(void **state)
{
    (void)state;
    char long_text[CP_DIFF_VALUE_MAX + 10], before[2 * CP_DIFF_VALUE_MAX],
        after[2 * CP_DIFF_VALUE_MAX];
    memset(long_text, 'x', sizeof long_text);
    memcpy(long_text + CP_DIFF_VALUE_MAX - 2, "\xc3\xa4", 2);
    long_text[sizeof long_text - 1] = '\0';
    (void)snprintf(before, sizeof before, "{\"description\": \"%s1\"}", long_text);
    (void)snprintf(after, sizeof after, "{\"description\": \"%s2\"}", long_text);
    struct cp_difference *differences;
    assert_int_equal(cp_diff(&arena, message_of(CP_TYPE(api), before),
                             message_of(CP_TYPE(api), after), &differences),
                     1);
    assert_true(differences->before.len < CP_DIFF_VALUE_MAX + 60);
    assert_true(gw_str_is_utf8(differences->before));
    assert_non_null(strstr(differences->before.ptr, "xx... (1036 bytes, hash "));
    assert_string_not_equal(differences->before.ptr, differences->after.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_has_no_difference),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_another_kind_of_backend),
        cmocka_unit_test(test_bodies_are_shown_as_text_when_they_are),
        cmocka_unit_test(test_lists_go_by_name),
        cmocka_unit_test(test_lists_without_unique_names_go_by_position),
        cmocka_unit_test(test_secrets_are_not_shown),
        cmocka_unit_test(test_long_values_are_cut),
    };
    int failed = cmocka_run_group_tests_name("model.diff", tests, NULL, NULL);
    gw_arena_done(&arena);
    return failed;
}
