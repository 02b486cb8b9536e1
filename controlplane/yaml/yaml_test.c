/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/yaml/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct cp_yaml_limits plain = {.depth = 32};
static const struct cp_yaml_limits shared = {.depth = 4, .values = 20, .aliases = true};

/* All documents of a text as one JSON line; NULL when it is refused. */
static char *read_within(const char *text, const struct cp_yaml_limits *limits,
                         struct gw_error *err)
{
    struct cp_yaml *yaml = cp_yaml_open(gw_str_from(text), limits);
    json_t *all = json_array(), *value;
    size_t line;
    int more;
    *err = GW_ERROR_NONE;
    while ((more = cp_yaml_next(yaml, &value, &line, err)) == 1)
        json_array_append_new(all, value);
    char *out = more == 0 ? json_dumps(all, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(all);
    cp_yaml_close(yaml);
    return out;
}

static char *read_json(const char *text, struct gw_error *err)
{
    return read_within(text, &plain, err);
}

static void documents_become_json(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *json;
    } cases[] = {
        {"", "[]"},
        {"---\n---\n", "[]"},
        {"a: 1\n---\nb: [x, 2.5, true, null]\n", "[{\"a\":1},{\"b\":[\"x\",2.5,true,null]}]"},
        {"{\"a\": {\"b\": \"1\"}}", "[{\"a\":{\"b\":\"1\"}}]"},
        {"a: 010\nb: 0x1f\nc: '5'\nd: yes\ne: 1e3\n",
         "[{\"a\":\"010\",\"b\":\"0x1f\",\"c\":\"5\",\"d\":\"yes\",\"e\":1000.0}]"},
        {"a: 9223372036854775807\n", "[{\"a\":9223372036854775807}]"},
        {"a: [True, FALSE, tRUE]\n", "[{\"a\":[true,false,\"tRUE\"]}]"},
        {"a: !!str 5\n", "[{\"a\":\"5\"}]"},
        {"path: /a/{x}\nurl: http://h:1/\n", "[{\"path\":\"/a/{x}\",\"url\":\"http://h:1/\"}]"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_error err;
        char *json = read_json(cases[i].yaml, &err);
        assert_non_null(json);
        assert_string_equal(json, cases[i].json);
        free(json);
    }
}

static void what_json_cannot_say_is_refused_with_its_line(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "ok: 1\na: &x 1\nb: *x\n", "\na: [1\n",      "a: 1\na: 2\n", "? [k]\n: 1\n", "a: b: c\n",
        "a: \"x\\0y\"\n",          "\"a\\0b\": 1\n",
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_error err;
        assert_null(read_json(cases[i], &err));
        assert_int_equal(err.code, GW_INVALID_ARGUMENT);
        assert_memory_equal(err.message, "line ", 5);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char text[2048] = "";
    struct gw_error err;
    memset(text, '[', 1000);
    assert_null(read_json(text, &err));
    assert_non_null(strstr(err.message, "levels"));
}

static void aliases_are_what_they_stand_for(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *json;
    } cases[] = {
        {"a: &x [1, {b: 2}]\nc: *x\n", "[{\"a\":[1,{\"b\":2}],\"c\":[1,{\"b\":2}]}]"},
        {"- &x 1\n- *x\n- &x 2\n- *x\n", "[[1,1,2,2]]"},
        {"a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\n",
         "[{\"a\":{\"k\":1,\"l\":2},\"b\":{\"l\":3,\"k\":1}}]"},
        {"- &x {k: 1}\n- &y {k: 2, l: 2}\n- <<: [*x, *y]\n",
         "[[{\"k\":1},{\"k\":2,\"l\":2},{\"k\":1,\"l\":2}]]"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_error err;
        char *json = read_within(cases[i].yaml, &shared, &err);
        if (!json)
            fail_msg("%s: %s", cases[i].yaml, err.message);
        assert_string_equal(json, cases[i].json);
        free(json);
    }
}

static void aliases_are_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *message;
    } cases[] = {
        {"a: *x\n", "line 1: *x stands for nothing"},
        {"a: &x [*x]\n", "line 1: *x stands for nothing"},
        {"a: &x 1\n---\nb: *x\n", "line 3: *x stands for nothing"},
        {"- &a [1, 2, 3]\n- &b [*a, *a]\n- &c [*b, *b]\n", "line 3: more than 20 values"},
        {"[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "line 1: more than 20 values"},
        {"- &a [[1]]\n- &b [*a]\n- [[*b]]\n", "line 3: more than 4 levels"},
        {"a: &x 1\nb:\n  <<: *x\n", "line 3: \"<<\" takes a mapping"},
        {"a: &x {k: 1}\nb:\n  <<: *x\n  <<: *x\n", "line 4: \"<<\" is there twice"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_error err;
        assert_null(read_within(cases[i].yaml, &shared, &err));
        if (!strstr(err.message, cases[i].message))
            fail_msg("%s: %s", cases[i].yaml, err.message);
    }
}

/* Each mapping that merges a long key has a copy of it. */
static void merged_keys_are_bounded(void **state)
{
    (void)state;
    static const struct cp_yaml_limits limits = {.depth = 4, .aliases = true};
    enum { LONG = 65536, FITS = CP_YAML_MERGED_MAX / (LONG + 1) };
    for (size_t count = FITS; count <= FITS + 1; count++) {
        struct gw_error err;
        char *text = malloc(LONG + 32 + 16 * count), *at = text;
        at = stpcpy(at, "- &a\n  ? ");
        memset(at, 'k', LONG);
        at = stpcpy(at + LONG, "\n  : 1\n");
        for (size_t i = 0; i < count; i++)
            at = stpcpy(at, "- <<: *a\n");
        char *json = read_within(text, &limits, &err);
        assert_int_equal(json != NULL, count == FITS);
        if (!json)
            assert_non_null(strstr(err.message, "has more than 16777216 bytes of keys"));
        free(json);
        free(text);
    }
}

static void what_others_would_misread_is_quoted(void **state)
{
    (void)state;
    static const char *const quoted[] = {
        "yes",  "No",    "on",  "10:30", "2026-01-01",           "0x1f",  "1_000", "+1", ".5",
        ".inf", "-.INF", "010", "=",     "2026-01-01T00:00:00Z", "1.5e3", "n"};
    static const char *const bare[] = {"10.0.0.1:8080", "1.2.3", "yes/no", "a-b", "/x", "0-a"};
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    for (size_t i = 0; i < GW_ARRAY_LEN(quoted) + GW_ARRAY_LEN(bare); i++) {
        bool is_bare = i >= GW_ARRAY_LEN(quoted);
        const char *text = is_bare ? bare[i - GW_ARRAY_LEN(quoted)] : quoted[i];
        json_t *value = json_pack("{s: s}", "k", text);
        gw_str expected = gw_arena_printf(&arena, is_bare ? "k: %s\n" : "k: \"%s\"\n", text);
        assert_string_equal(cp_yaml_write(value, &arena).ptr, expected.ptr);
        json_decref(value);
    }
    gw_arena_done(&arena);
}

static void what_is_written_reads_the_same(void **state)
{
    (void)state;
    static const char source[] =
        "{\"s\":\"true\",\"n\":\"12\",\"t\":\"a: "
        "b\",\"m\":\"x\\ny\",\"e\":\"\",\"i\":7,\"l\":[{\"k\":\"v\"},[]],\"o\":{},"
        "\"lines\":[\"x\\r\\ny\\r\\n\",\" x\\ny\",\"x \\n y "
        "\",\"x\\n\\n\",\"\\nx\",\"\\n\",\"#\\n- x: y\","
        "\"x\\u0085y\",\"x\\ty\\n\\tz\",\"true\\n\",\"---\\nx\"]}";
    struct gw_arena arena;
    struct gw_error err;
    gw_arena_init(&arena, 0);
    json_t *value = json_loads(source, 0, NULL);
    gw_str text = cp_yaml_write(value, &arena);
    char *again = read_json(text.ptr, &err);
    assert_non_null(again);
    char *expected = json_dumps(value, JSON_COMPACT);
    assert_string_equal(gw_arena_printf(&arena, "[%s]", expected).ptr, again);
    free(expected);
    free(again);
    json_decref(value);
    gw_arena_done(&arena);
}

static void lines_are_written_as_lines(void **state)
{
    (void)state;
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    json_t *value = json_pack("{s: {s: s}}", "a", "pem", "-----BEGIN X-----\nMII=\n");
    assert_string_equal(cp_yaml_write(value, &arena).ptr,
                        "a:\n  pem: |\n    -----BEGIN X-----\n    MII=\n");
    json_decref(value);
    gw_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_become_json),
        cmocka_unit_test(what_json_cannot_say_is_refused_with_its_line),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(aliases_are_what_they_stand_for),
        cmocka_unit_test(aliases_are_bounded),
        cmocka_unit_test(merged_keys_are_bounded),
        cmocka_unit_test(what_others_would_misread_is_quoted),
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(lines_are_written_as_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
