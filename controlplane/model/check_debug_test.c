/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_debug.h"

#include "common/json.h"
#include "common/test.h"

#include <stdio.h>

#define GOOD "\"name\": \"groups/g/apis/a\", \"path\": \"/a\""

/* The request that the JSON says; good until the arena goes. */
static cp_debug_api_request *parse(struct gw_arena *arena, const char *json)
{
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    if (gw_json_parse(arena, CP_TYPE(debug_api_request), gw_str_from(json), &message, &err) < 0)
        fail_msg("%s: %s", json, err.message);
    return (cp_debug_api_request *)(void *)message;
}

/* The only violation is of that field; NULL: there is none. */
static void says(const char *json, const char *field)
{
    struct gw_arena arena = {0};
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(cp_check_debug(parse(&arena, json), &err), field ? -1 : 0);
    if (field) {
        assert_int_equal(err.violation_count, 1);
        assert_string_equal(err.violations[0].field, field);
    }
    gw_arena_done(&arena);
}

static void header_says(const char *name, const char *field)
{
    char json[256];
    (void)snprintf(json, sizeof(json), "{" GOOD ", \"headers\": [{\"name\": \"%s\"}]}", name);
    says(json, field);
}

static void every_rule_has_its_refusal(void **state)
{
    (void)state;
    says("{" GOOD "}", NULL);
    says("{\"path\": \"/a\"}", "name");
    says("{\"name\": \"groups/g/apis/a\"}", "path");
    says("{\"name\": \"groups/g/apis/a\", \"path\": \"a\"}", "path");
    says("{\"name\": \"groups/g/apis/a\", \"path\": \"/a?b\"}", "path");
    says("{\"name\": \"groups/g/apis/a\", \"path\": \"/a b\"}", "path");
    says("{\"name\": \"groups/g/apis/a\", \"path\": \"/\xc3\xa9\"}", "path");
    says("{\"name\": \"groups/g/apis/a\", \"path\": \"/%C3%A9\"}", NULL);
    says("{" GOOD ", \"method\": \"HTTP_METHOD_ANY\"}", "method");
    says("{" GOOD ", \"domain\": \"a b\"}", "domain");
    says("{" GOOD ", \"environment\": \"environments/TEST\"}", "environment");
    says("{" GOOD ", \"mode\": \"DEBUG_MODE_CONSUMER\", \"environment\": \"TEST\"}", "environment");
    says("{" GOOD ", \"mode\": \"DEBUG_MODE_CONSUMER\", \"environment\": \"environments/TEST\"}",
         NULL);
    says("{" GOOD ", \"appCode\": \"x\"}", "app_code");
    says("{" GOOD ", \"mode\": \"DEBUG_MODE_CONSUMER\", \"appCode\": \"x\"}", NULL);
    says("{" GOOD ", \"mode\": \"DEBUG_MODE_CONSUMER\", \"appCode\": \"x\\r\\ny\"}", "app_code");
    says("{" GOOD ", \"headers\": [{\"name\": \"a\", \"value\": \"x\\ny\"}]}", "headers[0].value");
    says("{" GOOD ", \"query\": [{\"name\": \"a_b\", \"value\": \"x\\ny\"}]}", NULL);
    says("{" GOOD ", \"query\": [{\"name\": \"a b\"}]}", "query[0].name");
    says("{" GOOD ", \"query\": [{\"name\": \"X-Stage\"}]}", "query[0].name");
}

static void names_of_headers_have_a_form_and_some_are_taken(void **state)
{
    (void)state;
    header_says("X-My-Header", NULL);
    header_says("abcdefghijklmnopqrstuvwxyzabcdef", NULL);
    header_says("abcdefghijklmnopqrstuvwxyzabcdefg", "headers[0].name");
    static const char *const refused[] = {"",
                                          "1a",
                                          "a_b",
                                          "a b",
                                          "a:",
                                          "X-Stage",
                                          "x-apig-mode",
                                          "X-Sdk-A",
                                          "X-Forwarded-For",
                                          "forwarded",
                                          "X-Real-Ip",
                                          "host",
                                          "Connection",
                                          "Content-Length",
                                          "Transfer-Encoding",
                                          "Upgrade"};
    for (size_t i = 0; i < GW_ARRAY_LEN(refused); i++)
        header_says(refused[i], "headers[0].name");
}

static void what_is_too_large_is_refused(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    cp_debug_api_request *asked = parse(&arena, "{" GOOD "}");
    struct gw_error err = GW_ERROR_NONE;
    char path[CP_DEBUG_PATH_MAX + 2];
    memset(path, '/', sizeof(path));
    path[CP_DEBUG_PATH_MAX] = '\0';
    asked->path = path;
    asked->body.len = CP_DEBUG_BODY_MAX;
    assert_int_equal(cp_check_debug(asked, &err), 0);
    path[CP_DEBUG_PATH_MAX] = '/';
    path[CP_DEBUG_PATH_MAX + 1] = '\0';
    asked->body.len++;
    asked->n_headers = asked->n_query = CP_DEBUG_FIELDS_MAX + 1;
    assert_int_equal(cp_check_debug(asked, &err), -1);
    assert_int_equal(err.violation_count, 4);
    gw_arena_done(&arena);
}

static void the_request_is_written_as_it_goes_out(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    cp_debug_api_request *asked =
        parse(&arena, "{" GOOD ", \"method\": \"HTTP_METHOD_PUT\", \"mode\": "
                      "\"DEBUG_MODE_CONSUMER\", \"appCode\": \"sesame\","
                      "\"headers\": [{\"name\": \"x-MY-hEaDer\", \"value\": \"v\"}, {\"name\": "
                      "\"user-agent\", \"value\": \"me\"}],"
                      "\"query\": [{\"name\": \"q\", \"value\": \"a b&\xc3\xa9~\"}, {\"name\": "
                      "\"q\"}], \"body\": \"aGk=\"}");
    struct cp_debug_target target = {"h.example.com", "TEST"};
    gw_str shown, sent = cp_debug_request(&arena, asked, &target, &shown);
    assert_string_equal(
        gw_arena_printf(&arena, "%.*s", GW_STR_ARG(sent)).ptr,
        "PUT /a?q=a%20b%26%C3%A9~&q= HTTP/1.1\r\nHost: h.example.com\r\n"
        "X-My-Header: v\r\nUser-Agent: me\r\nX-Apig-Mode: debug\r\nX-Stage: TEST\r\n"
        "X-Apig-Appcode: sesame\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    assert_true(gw_str_has_suffix(shown, GW_STR("X-Apig-Appcode: ***\r\nContent-Length: 2\r\n"
                                                "Connection: close\r\n\r\n")));
    gw_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_has_its_refusal),
        cmocka_unit_test(names_of_headers_have_a_form_and_some_are_taken),
        cmocka_unit_test(what_is_too_large_is_refused),
        cmocka_unit_test(the_request_is_written_as_it_goes_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
