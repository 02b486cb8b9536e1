/* SPDX-License-Identifier: Apache-2.0 */
/* Short documents that would be long to read: each costs no more than its limit, and says which. */
#include "common/buf.h"
#include "controlplane/openapi/openapi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SMALL (256 * 1024) /* bytes held of a document that has one or few operations */
#define LONG 1400000       /* bytes of a text */

static struct gw_arena arena;
static struct gw_buf text;

static int set_up(void **state)
{
    (void)state;
    gw_buf_init(&text, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gw_buf_done(&text);
    gw_arena_done(&arena);
    return 0;
}

static void add(const char *part)
{
    (void)!gw_buf_printf(&text, "%s", part);
}

static void add_times(const char *part, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        (void)!gw_buf_printf(&text, "%s%s", i ? "," : "", part);
}

/* "member":"aaa...", of so many bytes. */
static void add_long(const char *member, size_t len)
{
    char *value = malloc(len + 1);
    memset(value, 'a', len);
    value[len] = '\0';
    (void)!gw_buf_printf(&text, "\"%s\":\"%s\"", member, value);
    free(value);
}

/* So many paths that are all what stands at "#/i". */
static void add_paths(unsigned count)
{
    add("\"paths\":{");
    for (unsigned i = 0; i < count; i++)
        (void)!gw_buf_printf(&text, "%s\"/%u\":{\"$ref\":\"#/i\"}", i ? "," : "", i);
    add("}");
}

static int read_it(struct cp_openapi *ret, struct gw_error *err)
{
    static const struct cp_openapi_options options = {.group = "groups/g"};
    *err = GW_ERROR_NONE;
    return cp_openapi_read(&arena, gw_buf_view(&text), &options, ret, err);
}

static void assert_has(const char *message, const char *part)
{
    if (!strstr(message, part))
        fail_msg("%s has no %s", message, part);
}

/* The one operation is refused, and little was held. */
static void refuses_operation(const char *said)
{
    struct cp_openapi document;
    struct gw_error err;
    assert_int_equal(read_it(&document, &err), 0);
    assert_int_equal(document.count, 1);
    assert_null(document.operations[0].api);
    assert_has(document.operations[0].err->message, said);
    assert_true(arena.total_bytes < SMALL);
}

static void refuses_document(const char *said)
{
    struct cp_openapi document;
    struct gw_error err;
    assert_int_equal(read_it(&document, &err), -1);
    assert_has(err.message, said);
    assert_true(arena.total_bytes < CP_OPENAPI_HELD_MAX + 4 * 1024 * 1024);
}

static void takes_all(size_t count)
{
    struct cp_openapi document;
    struct gw_error err;
    if (read_it(&document, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(document.count, count);
    for (size_t i = 0; i < count; i++)
        if (!document.operations[i].api)
            fail_msg("%s", document.operations[i].err->message);
}

/* ---- parameters ---- */

static void add_listed(const char *at, unsigned for_path, unsigned here)
{
    (void)!gw_buf_printf(&text, ",\"paths\":{\"/a\":{\"parameters\":[");
    add_times(at, for_path);
    add("],\"get\":{\"parameters\":[");
    add_times(at, here);
    add("]}}}}");
}

static void test_listed_parameters_count_each_time(void **state)
{
    (void)state;
    add("{\"openapi\":\"3.0.0\",\"p\":{\"in\":\"query\",");
    add_long("name", LONG);
    add("}");
    add_listed("{\"$ref\":\"#/p\"}", 0, 2000);
    refuses_operation("more than 256 are listed");
}

static void test_those_of_the_path_count_too(void **state)
{
    (void)state;
    add("{\"openapi\":\"3.0.0\",\"p\":{\"in\":\"query\",\"name\":\"q\"}");
    add_listed("{\"$ref\":\"#/p\"}", 128, 129);
    refuses_operation("more than 256 are listed");
}

static void test_as_many_as_there_may_be(void **state)
{
    (void)state;
    add("{\"openapi\":\"3.0.0\",\"p\":{\"in\":\"query\",\"name\":\"q\"}");
    add_listed("{\"$ref\":\"#/p\"}", 128, 128);
    takes_all(1);
}

static void test_long_names_are_not_copied(void **state)
{
    (void)state;
    add("{\"openapi\":\"3.0.0\",\"p\":{\"in\":\"query\",");
    add_long("name", LONG);
    add("}");
    add_listed("{\"$ref\":\"#/p\"}", 0, 256);
    refuses_operation("[0]: a name of more than 256 bytes");
}

static void test_long_places_are_not_compared(void **state)
{
    (void)state;
    add("{\"openapi\":\"3.0.0\",\"p\":{\"name\":\"q\",");
    add_long("in", CP_OPENAPI_IN_MAX + 1);
    add("}");
    add_listed("{\"$ref\":\"#/p\"}", 0, 1);
    refuses_operation("\"in\" is longer than 32 bytes");
}

/* ---- references ---- */

/* "#/aaa..." of so many bytes, to a parameter that is there. */
static void add_reference(size_t len)
{
    char at[CP_OPENAPI_REF_MAX + 64];
    char name[CP_OPENAPI_REF_MAX + 32];
    memset(name, 'a', len - 2);
    name[len - 2] = '\0';
    (void)!gw_buf_printf(&text, "{\"openapi\":\"3.0.0\",\"%s\":{\"in\":\"query\",\"name\":\"q\"}",
                         name);
    (void)snprintf(at, sizeof at, "{\"$ref\":\"#/%s\"}", name);
    add_listed(at, 0, 256);
}

static void test_references_are_short(void **state)
{
    (void)state;
    add_reference(CP_OPENAPI_REF_MAX + 1);
    refuses_operation("is longer than 1024 bytes");
}

static void test_references_are_not_kept(void **state)
{
    (void)state;
    add_reference(CP_OPENAPI_REF_MAX);
    takes_all(1);
    assert_true(arena.total_bytes < SMALL);
}

/* ---- texts ---- */

static void test_texts_are_cut_before_they_are_copied(void **state)
{
    (void)state;
    add("{\"openapi\":\"3.0.0\",\"i\":{\"get\":{");
    add_long("operationId", 200000);
    add(",");
    add_long("summary", 200000);
    add(",");
    add_long("description", 200000);
    add(",\"parameters\":[{\"in\":\"query\",\"name\":\"q\",");
    add_long("description", 200000);
    add(",\"schema\":{\"type\":\"string\",");
    add_long("default", 200000);
    add(",\"enum\":[\"");
    add_times("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 3000);
    add("\"]}}]}},");
    add_paths(50);
    add("}");
    takes_all(50);
    assert_true(arena.total_bytes < 2 * 1024 * 1024);
}

static void test_texts_that_operations_share_count_for_each(void **state)
{
    (void)state;
    add("{\"openapi\":\"3.0.0\",\"i\":{\"get\":{\"x-apigateway-backend\":{\"type\":\"MOCK\","
        "\"mockEndpoints\":{");
    add_long("result-content", LONG);
    add("}}}},");
    add_paths(300);
    add("}");
    refuses_document("take more than 33554432 bytes");
}

static void test_long_texts_of_few_operations_are_fine(void **state)
{
    (void)state;
    add("{\"openapi\":\"3.0.0\",\"i\":{\"get\":{\"x-apigateway-backend\":{\"type\":\"MOCK\","
        "\"mockEndpoints\":{");
    add_long("result-content", LONG);
    add("}}}},");
    add_paths(10);
    add("}");
    takes_all(10);
}

/* A variable that grows the URL is not put into it again and again. */
static void test_servers_are_short_and_few(void **state)
{
    (void)state;
    add("{\"openapi\":\"3.0.0\",\"servers\":[{\"url\":\"http://h/{a}{a}{a}{a}{a}{a}{a}{a}\","
        "\"variables\":{\"a\":{");
    add_long("default", LONG);
    add("}}}],\"paths\":{\"/a\":{\"get\":{}}}}");
    takes_all(1);
    assert_true(arena.total_bytes < SMALL);
    gw_buf_clear(&text);
    add("{\"openapi\":\"3.0.0\",\"servers\":[");
    add_times("{\"url\":\"http://h\"}", CP_OPENAPI_SERVERS_MAX + 1);
    add("],\"paths\":{\"/a\":{\"get\":{}}}}");
    refuses_operation("more than 64");
}

/* ---- steps ---- */

/* Lists that paths or operations share and go through without copying anything. */
static void test_steps_count_for_each(void **state)
{
    (void)state;
    static const struct {
        const char *before, *item, *behind;
    } cases[] = {
        {"\"security\":[", "{}", "],\"i\":{\"get\":{}},"},
        {"\"s\":{\"anyOf\":[", "{\"type\":\"null\"}",
         "]},\"i\":{\"get\":{\"parameters\":[{\"in\":\"query\",\"name\":\"q\",\"schema\":{\"$ref\":"
         "\"#/s\"}}]}},"},
        {"\"s\":{\"type\":[", "\"null\"",
         "]},\"i\":{\"get\":{\"parameters\":[{\"in\":\"query\",\"name\":\"q\",\"schema\":{\"$ref\":"
         "\"#/s\"}}]}},"},
        {"\"i\":{\"get\":{\"x-apigateway-plugins\":[", "{}", "]}},"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        gw_buf_clear(&text);
        add("{\"openapi\":\"3.0.0\",");
        add(cases[i].before);
        add_times(cases[i].item, 8000);
        add(cases[i].behind);
        add_paths(300);
        add("}");
        refuses_document("more than 2000000 steps");
    }
}

/* Of a path without any method there is no operation that would count. */
static void test_members_of_shared_paths_count(void **state)
{
    (void)state;
    add("{\"openapi\":\"3.0.0\",\"i\":{");
    for (int i = 0; i < 2000; i++)
        (void)!gw_buf_printf(&text, "%s\"%d\":0", i ? "," : "", i);
    add("},");
    add_paths(1100);
    add("}");
    refuses_document("more than 2000000 steps");
}

/* 256 parameters, each behind 30 references of 60 steps: half a million for each operation. */
static void test_steps_of_references_count(void **state)
{
    (void)state;
    char tail[256] = "";
    for (int i = 0; i < 58; i++)
        (void)strcat(tail, "/a");
    add("{\"openapi\":\"3.0.0\",");
    for (int i = 0; i < 30; i++) {
        (void)!gw_buf_printf(&text, "\"p%d\":", i);
        for (int k = 0; k < 58; k++)
            add("{\"a\":");
        if (i == 29)
            add("{\"in\":\"query\",\"name\":\"q\"}");
        else
            (void)!gw_buf_printf(&text, "{\"$ref\":\"#/p%d%s\"}", i + 1, tail);
        for (int k = 0; k < 58; k++)
            add("}");
        add(",");
    }
    gw_str at = gw_arena_printf(&arena, "{\"$ref\":\"#/p0%s\"}", tail);
    add("\"i\":{\"get\":{\"parameters\":[");
    add_times(at.ptr, 256);
    add("]}},");
    add_paths(5);
    add("}");
    refuses_document("more than 2000000 steps");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_listed_parameters_count_each_time),
        TEST(test_those_of_the_path_count_too),
        TEST(test_as_many_as_there_may_be),
        TEST(test_long_names_are_not_copied),
        TEST(test_long_places_are_not_compared),
        TEST(test_references_are_short),
        TEST(test_references_are_not_kept),
        TEST(test_texts_are_cut_before_they_are_copied),
        TEST(test_texts_that_operations_share_count_for_each),
        TEST(test_long_texts_of_few_operations_are_fine),
        TEST(test_servers_are_short_and_few),
        TEST(test_steps_count_for_each),
        TEST(test_members_of_shared_paths_count),
        TEST(test_steps_of_references_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
