/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json.h"
#include "controlplane/openapi/openapi.h"
#include "controlplane/openapi/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct gw_arena arena;

static int tear_down(void **state)
{
    (void)state;
    gw_arena_done(&arena);
    return 0;
}

static struct cp_openapi read_text(const char *text)
{
    static const struct cp_openapi_options options = {.group = "groups/g"};
    struct cp_openapi document;
    struct gw_error err = GW_ERROR_NONE;
    if (cp_openapi_read(&arena, gw_str_from(text), &options, &document, &err) < 0)
        fail_msg("%s in %s", err.message, text);
    return document;
}

/* GET of the path with that node, JSON without the outer braces; the rest of the document behind.
 */
static struct cp_openapi_operation read_get(const char *path, const char *node, const char *rest)
{
    gw_str text =
        gw_arena_printf(&arena, "{\"openapi\": \"3.0.0\", \"paths\": {\"%s\": {\"get\": {%s}}}%s}",
                        path, node, rest);
    struct cp_openapi document = read_text(text.ptr);
    assert_int_equal(document.count, 1);
    return document.operations[0];
}

static const char *json_of(const cp_api *api)
{
    struct gw_buf out;
    gw_buf_init(&out, 0);
    gw_json_write(&out, &api->base, GW_JSON_COMPACT);
    const char *text = gw_arena_dup(&arena, gw_buf_view(&out)).ptr;
    gw_buf_done(&out);
    return text;
}

#define ASSERT_HAS(text, part)                                                                     \
    do {                                                                                           \
        const char *has_text = (text);                                                             \
        if (!strstr(has_text, (part)))                                                             \
            fail_msg("%s has no %s", has_text, (part));                                            \
    } while (0)

static void gives(const char *node, const char *part)
{
    struct cp_openapi_operation op = read_get("/a", node, "");
    if (!op.api)
        fail_msg("%s: %s", node, op.err->message);
    ASSERT_HAS(json_of(op.api), part);
}

static void refuses(const char *node, const char *said)
{
    struct cp_openapi_operation op = read_get("/a", node, "");
    if (op.api)
        fail_msg("%s became %s", node, json_of(op.api));
    ASSERT_HAS(op.err->message, said);
}

static void notes(const char *node, const char *said)
{
    struct cp_openapi_operation op = read_get("/a", node, "");
    assert_non_null(op.api);
    for (size_t i = 0; i < op.note_count; i++)
        if (strstr(op.notes[i], said))
            return;
    fail_msg("%s: no note says %s", node, said);
}

#define BACKEND(text) "\"x-apigateway-backend\": {" text "}"
#define HTTP(text) BACKEND("\"type\": \"HTTP\", \"httpEndpoints\": {\"address\": \"b\"" text "}")
#define OWN(text) "\"x-penstock\": {" text "}, " BACKEND("\"type\": \"MOCK\"")
#define QUERY(schema)                                                                              \
    "\"parameters\": [{\"name\": \"q\", \"in\": \"query\", \"schema\": {" schema "}}]"

static void test_what_is_wrong_with_extensions_is_said(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {BACKEND("\"type\": \"FTP\""), "\"FTP\" is not HTTP, HTTP-VPC, MOCK or FUNCTION"},
        {BACKEND("\"type\": \"HTTP\""), "has no endpoints"},
        {BACKEND("\"type\": \"FUNCTION\""), "not available in this version"},
        {HTTP(", \"scheme\": \"gopher\""), "\"gopher\" is not http or https"},
        {HTTP(", \"method\": \"FETCH\""), "\"FETCH\" is not known"},
        {HTTP(", \"timeout\": \"soon\""), "\"soon\" is not a whole number"},
        {HTTP(", \"timeout\": 99999999999"), "is not a whole number"},
        {HTTP(", \"retryCount\": 1.5"), "\"1.5\" is not a whole number"},
        {"\"x-apigateway-match-mode\": \"GLOB\"", "\"GLOB\" is not NORMAL or SWA"},
        {"\"x-apigateway-backend-policies\": [{}]", "not available in this version"},
        {OWN("\"protocol\": \"FTP\""), "\"FTP\" is not HTTP, HTTPS or BOTH"},
        {OWN("\"mockBody\": \"?\""), "not base64"},
        {OWN("\"mockStatus\": true"), "\"true\" is not a whole number"},
        {OWN("\"mockHeaders\": [1,2,3,4,5,6,7,8,9,10,11]"), "at most 10"},
        {"\"parameters\": [{\"in\": \"query\"}]", "[0] has no name"},
        {"\"parameters\": [{\"name\": \"q\"}]", "[0] has no name, or no \"in\""},
        {"\"parameters\": [{\"name\": \"X-Stage\", \"in\": \"header\"}]", "\"X-Stage\""},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        refuses(cases[i][0], cases[i][1]);
}

static void test_limits_of_lists(void **state)
{
    (void)state;
    struct gw_buf labels, parameters;
    gw_buf_init(&labels, 0);
    gw_buf_init(&parameters, 0);
    for (int i = 0; i < 65; i++)
        (void)!gw_buf_printf(&labels, "%s\"k%d\": \"v\"", i ? ", " : "", i);
    for (int i = 0; i < 257; i++)
        (void)!gw_buf_printf(&parameters, "%s{\"name\": \"p%d\", \"in\": \"cookie\"}",
                             i ? ", " : "", i);
    refuses(gw_arena_printf(&arena, "\"x-penstock\": {\"labels\": {%.*s}}",
                            GW_STR_ARG(gw_buf_view(&labels)))
                .ptr,
            "labels: at most 64");
    gw_str list = gw_arena_dup(&arena, gw_buf_view(&parameters));
    refuses(gw_arena_printf(&arena, "\"parameters\": [%s]", list.ptr).ptr, "more than 256");
    list.len = (size_t)(strstr(list.ptr, ", {\"name\": \"p256\"") - list.ptr);
    struct cp_openapi_operation op =
        read_get("/a", gw_arena_printf(&arena, "\"parameters\": [%.*s]", GW_STR_ARG(list)).ptr, "");
    assert_int_equal(op.note_count, CP_OPENAPI_NOTES_MAX);
    gw_buf_done(&labels);
    gw_buf_done(&parameters);
}

static void test_notes_are_whole_characters(void **state)
{
    (void)state;
    gw_str text = gw_arena_printf(&arena, "\"tags\": [\"%0*d\xc3\xa4\xc3\xa4\"]", 63, 0);
    struct cp_openapi_operation op = read_get("/a", text.ptr, "");
    assert_int_equal(op.note_count, 1);
    assert_true(gw_str_is_utf8(gw_str_from(op.notes[0])));
    assert_true(strlen(op.notes[0]) <= CP_OPENAPI_NOTE_MAX);
}

static void test_numbers_are_written_as_people_write_them(void **state)
{
    (void)state;
    gives(QUERY("\"type\": \"number\", \"default\": 0.1"), "\"defaultValue\":\"0.1\"");
    gives(QUERY("\"type\": \"number\", \"default\": 1e300"), "\"defaultValue\":\"1e+300\"");
    gives(QUERY("\"type\": \"integer\", \"enum\": [1, 2.5, \"3\"]"),
          "\"enumerations\":[\"1\",\"2.5\",\"3\"]");
}

static void test_bounds_of_schemas(void **state)
{
    (void)state;
    gives(QUERY("\"type\": \"integer\", \"minimum\": 1"),
          "\"minNumber\":1,\"maxNumber\":1.7976931348623157e+308");
    gives(QUERY("\"type\": \"integer\", \"maximum\": 9, \"exclusiveMaximum\": true"),
          "\"maxNumber\":8");
    gives(QUERY("\"type\": \"integer\", \"exclusiveMinimum\": 3"), "\"minNumber\":4");
    gives(QUERY("\"type\": [\"null\", \"string\"], \"maxLength\": 3"), "\"maxLength\":3");
    gives(QUERY("\"allOf\": [{\"type\": \"integer\", \"minimum\": 1}, {\"minimum\": 5, "
                "\"maximum\": 7}]"),
          "\"minNumber\":5,\"maxNumber\":7");
    gives(QUERY("\"anyOf\": [{\"type\": \"null\"}, {\"type\": \"integer\", \"minimum\": 2}]"),
          "\"minNumber\":2");
    struct cp_openapi_operation op = read_get(
        "/a", QUERY("\"type\": \"number\", \"minimum\": 0, \"maximum\": 0, \"maxLength\": 0"), "");
    assert_null(strstr(json_of(op.api), "Number"));
    assert_null(strstr(json_of(op.api), "validate"));
    op = read_get("/a", QUERY("\"type\": \"number\", \"minimum\": -1.7976931348623157e308"), "");
    assert_null(strstr(json_of(op.api), "Number"));
}

static void test_what_cannot_be_checked_is_noted(void **state)
{
    (void)state;
    notes(QUERY("\"type\": \"string\", \"pattern\": \"x\""), "pattern is not checked");
    notes(QUERY("\"type\": \"array\""), "\"q\" left out");
    notes(QUERY("\"type\": \"integer\", \"maximum\": 3, \"default\": 9"), "default_value left out");
    notes(QUERY("\"type\": \"integer\", \"enum\": [1, \"x\"]"), "enumerations[1] left out");
    notes(QUERY("\"oneOf\": [{\"type\": \"string\"}, {\"type\": \"integer\"}]"), "oneOf");
    notes("\"parameters\": [{\"name\": \"q\", \"in\": \"path\", \"required\": true}]",
          "\"q\" left out");
    notes("\"parameters\": [{\"name\": \"q\", \"in\": \"query\", \"content\": {}}]",
          "\"q\" left out");
    notes("\"x-apigateway-authorizer\": \"a\"", "x-apigateway-authorizer: not known");
    notes("\"requestBody\": {}", "requestBody");
    gw_str longer = gw_arena_printf(&arena, "\"description\": \"%0256d\"", 1);
    notes(longer.ptr, "cut after 255 bytes");
    notes(gw_arena_printf(&arena, "\"summary\": \"s\", %s", longer.ptr).ptr,
          "the summary is taken");
    notes("\"tags\": [\"1\"]", "tag \"1\" left out");
    notes("\"security\": [{\"nothing\": []}]", "not defined in the document");
    notes(HTTP(", \"enableClientSsl\": true"), "no certificate");
}

static void test_references_find_names_with_slashes(void **state)
{
    (void)state;
    struct cp_openapi_operation op =
        read_get("/a", "\"parameters\": [{\"$ref\": \"#/x~1y~0%7Bz%7D/0\"}]",
                 ", \"x/y~{z}\": [{\"name\": \"q\", \"in\": \"query\"}]");
    assert_non_null(op.api);
    assert_string_equal(op.api->request_parameters[0]->name, "q");
    refuses("\"parameters\": [{\"$ref\": \"#/paths/1\"}]", "leads to nothing");
    refuses("\"parameters\": [{\"$ref\": \"http://h/x\"}]", "leads out of the document");
    refuses("\"parameters\": [{\"$ref\": \"#x\"}]", "leads out of the document");
}

static void test_many_steps_are_followed_and_no_more(void **state)
{
    (void)state;
    for (int steps = 32; steps <= 33; steps++) {
        struct gw_buf chain;
        gw_buf_init(&chain, 0);
        for (int i = 1; i < steps; i++)
            (void)!gw_buf_printf(&chain, "\"p%d\": {\"$ref\": \"#/p%d\"}, ", i, i + 1);
        gw_str rest = gw_arena_printf(&arena, ", %.*s\"p%d\": {\"name\": \"q\", \"in\": \"query\"}",
                                      GW_STR_ARG(gw_buf_view(&chain)), steps);
        struct cp_openapi_operation op =
            read_get("/a", "\"parameters\": [{\"$ref\": \"#/p1\"}]", rest.ptr);
        assert_int_equal(op.api != NULL, steps == 32);
        gw_buf_done(&chain);
    }
}

/* Each schema has the next one twice: 2^20 visits. */
static void test_schemas_that_grow_are_stopped(void **state)
{
    (void)state;
    struct gw_buf rest;
    gw_buf_init(&rest, 0);
    for (int i = 0; i < 15; i++)
        (void)!gw_buf_printf(
            &rest, ", \"s%d\": {\"allOf\": [{\"$ref\": \"#/s%d\"}, {\"$ref\": \"#/s%d\"}]}", i,
            i + 1, i + 1);
    (void)!gw_buf_printf(&rest, ", \"s15\": {}");
    gw_str text = gw_arena_dup(&arena, gw_buf_view(&rest));
    struct cp_openapi_operation op = read_get("/a", QUERY("\"$ref\": \"#/s0\""), text.ptr);
    assert_null(op.api);
    ASSERT_HAS(op.err->message, "1000 schemas");
    gw_buf_done(&rest);
}

static void test_numbers_beyond_64_bits(void **state)
{
    (void)state;
    gives(QUERY("\"type\": \"integer\", \"minimum\": 1, \"maximum\": 18446744073709551615, "
                "\"default\": 5"),
          "\"defaultValue\":\"5\"");
    gives("\"x\": 18446744073709551616, " QUERY(
              "\"type\": \"string\", \"minLength\": 2, \"maxLength\": 9"),
          "\"minLength\":2,\"maxLength\":9");
    gives("\"x\": 18446744073709551616, " HTTP(", \"timeout\": 1500, \"retryCount\": -1"),
          "\"timeout\":\"1.500s\",\"retryCount\":-1");
}

static void test_ids(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"list", "list"},    {"pets/list", "pets-list"},
        {"_x y__", "x-y__"}, {"get /a/{b}", "get-a-b"},
        {"\xc3\xa4", "api"}, {"", "api"},
        {"a//b", "a-b"},     {".a", "a"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        assert_string_equal(cp_openapi_id(&arena, cases[i][0]), cases[i][1]);
    char text[201];
    memset(text, 'x', 200);
    text[200] = '\0';
    assert_int_equal(strlen(cp_openapi_id(&arena, text)), 63);
}

static void test_servers(void **state)
{
    (void)state;
    static const struct {
        const char *rest, *part;
    } cases[] = {
        {", \"servers\": [{\"url\": \"http://h:1/x/\"}]",
         "\"address\":\"h:1\",\"scheme\":\"BACKEND_SCHEME_HTTP\",\"path\":\"/x/a\""},
        {", \"servers\": [{\"url\": \"/x\"}, {\"url\": \"https://h\"}]", "\"address\":\"h\""},
        {", \"servers\": [{\"url\": \"https://{a}.{b}/\", \"variables\": {\"a\": {\"default\": 1}, "
         "\"b\": {\"default\": \"h\"}}}]",
         "\"address\":\"1.h\""},
        {", \"servers\": [{\"url\": \"https://{a}/\", \"variables\": {\"a\": {\"default\": "
         "\"{a}{a}\"}}}]",
         "\"status\":501"},
        {", \"servers\": [{\"url\": \"https://{a}.h/\"}, {\"url\": \"http://g:1/{b}\"}]",
         "\"address\":\"g:1\""},
        {", \"servers\": [{\"url\": \"https://u@h/\"}, {\"url\": \"http://g:1/b?c\"}, {\"url\": "
         "\"http://g\"}]",
         "\"address\":\"g\""},
        {", \"servers\": [{\"url\": \"/x\"}]", "\"status\":501"},
        {", \"servers\": 1", "\"status\":501"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        ASSERT_HAS(json_of(read_get("/a", "", cases[i].rest).api), cases[i].part);
}

static void test_what_is_odd_is_no_document_of_trouble(void **state)
{
    (void)state;
    struct cp_openapi document = read_text(
        "{\"swagger\": 2.0, \"basePath\": \"/\", \"info\": 1, \"paths\": {\"x-a\": 1, "
        "\"/a\": 1, \"/b\": {\"get\": 1, \"summary\": \"s\", \"parameters\": 2}, \"c\": "
        "{\"get\": {}}, \"/d\": {\"get\": {\"parameters\": {}, \"tags\": \"t\", \"security\": 3, "
        "\"x-penstock\": []}}}}");
    assert_int_equal(document.count, 4);
    ASSERT_HAS(document.operations[0].err->message, "no object");
    ASSERT_HAS(document.operations[1].err->message, "must be an object");
    ASSERT_HAS(document.operations[2].err->message, "must start with \"/\"");
    assert_non_null(document.operations[3].api);
}

static void test_what_begins_with_a_brace_may_be_yaml(void **state)
{
    (void)state;
    json_t *root;
    static const struct {
        const char *text, *why;
    } wrong[] = {
        {"{openapi: 3.0.3, paths: {", "not JSON: line 1, column 8: "},
        {"{openapi: 3.0.3, paths: {", "; not YAML: "},
        {"{a: 1}\n--- {b: 2}\n", "; line 2: a second document"},
        {"{a: 1, a: 2}", "; not YAML: "},
        {"{\"a\": 1, \"a\": 2}", "duplicate object key"},
        {"{a: &x [1], b: [*x, *x, *x, *x, ", "; not YAML: "},
    };
    struct cp_openapi document = read_text("{openapi: '3.0.3', # flow\n paths: {/a: {get: {}}}}");
    assert_int_equal(document.count, 1);
    for (size_t i = 0; i < GW_ARRAY_LEN(wrong); i++) {
        struct gw_error err = GW_ERROR_NONE;
        assert_int_equal(cp_openapi_parse(gw_str_from(wrong[i].text), &root, &err), -1);
        ASSERT_HAS(err.message, wrong[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_what_is_wrong_with_extensions_is_said, tear_down),
        cmocka_unit_test_teardown(test_limits_of_lists, tear_down),
        cmocka_unit_test_teardown(test_notes_are_whole_characters, tear_down),
        cmocka_unit_test_teardown(test_numbers_are_written_as_people_write_them, tear_down),
        cmocka_unit_test_teardown(test_bounds_of_schemas, tear_down),
        cmocka_unit_test_teardown(test_what_cannot_be_checked_is_noted, tear_down),
        cmocka_unit_test_teardown(test_references_find_names_with_slashes, tear_down),
        cmocka_unit_test_teardown(test_many_steps_are_followed_and_no_more, tear_down),
        cmocka_unit_test_teardown(test_schemas_that_grow_are_stopped, tear_down),
        cmocka_unit_test_teardown(test_numbers_beyond_64_bits, tear_down),
        cmocka_unit_test_teardown(test_ids, tear_down),
        cmocka_unit_test_teardown(test_servers, tear_down),
        cmocka_unit_test_teardown(test_what_begins_with_a_brace_may_be_yaml, tear_down),
        cmocka_unit_test_teardown(test_what_is_odd_is_no_document_of_trouble, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
