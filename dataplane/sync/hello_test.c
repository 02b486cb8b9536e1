/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/hello.h"

#include "common/message.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int parse(struct dp_hello *hello, const char *controlplane, const char *id,
                 const char *labels, struct gw_error *err)
{
    const struct dp_sync_options options = {
        .controlplane = controlplane, .agent_id = id, .labels = labels};
    *err = GW_ERROR_NONE;
    return dp_hello_parse(hello, &options, err);
}

static void endpoints_are_host_and_port(void **state)
{
    (void)state;
    struct dp_hello hello;
    struct gw_error err;
    assert_int_equal(parse(&hello, "cp-0:9440, [::1]:9441", "a1", "", &err), 0);
    assert_int_equal(hello.endpoint_count, 2);
    assert_string_equal(hello.endpoints[0].host, "cp-0");
    assert_string_equal(hello.endpoints[1].host, "::1");
    assert_string_equal(hello.endpoints[1].port, "9441");
    assert_string_equal(hello.endpoints[1].text, "[::1]:9441");
    dp_hello_done(&hello);
}

static void what_is_no_endpoint_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "cp",       "cp:",      ":9440",
                                      "cp:0", "cp:65536", "cp:9440,", "cp:94x"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        struct dp_hello hello;
        struct gw_error err;
        assert_int_equal(parse(&hello, bad[i], "a1", "", &err), -1);
        assert_string_equal(err.violations[0].field, "controlplane");
        dp_hello_done(&hello);
    }
}

static void agent_ids_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a b", "a/b", "\xc3\xa4"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        struct dp_hello hello;
        struct gw_error err;
        assert_int_equal(parse(&hello, "cp:1", bad[i], "", &err), -1);
        assert_string_equal(err.violations[0].field, "agent-id");
        dp_hello_done(&hello);
    }
}

static void labels_are_pairs(void **state)
{
    (void)state;
    struct dp_hello hello;
    struct gw_error err;
    assert_int_equal(parse(&hello, "cp:1", "a1", "zone=a, rack=7,empty=", &err), 0);
    assert_int_equal(hello.label_count, 3);
    assert_string_equal(hello.labels[1].key, "rack");
    assert_string_equal(hello.labels[2].value, "");
    dp_hello_done(&hello);
    assert_int_equal(parse(&hello, "cp:1", "a1", "zone", &err), -1);
    dp_hello_done(&hello);
}

static void the_hello_says_what_is_served(void **state)
{
    (void)state;
    const struct dp_sync_options options = {
        .controlplane = "cp:1", .agent_id = "a1", .labels = "zone=a"};
    struct dp_hello hello;
    struct gw_error err = GW_ERROR_NONE;
    struct gw_arena arena;
    ProtobufCMessage *message;
    gw_arena_init(&arena, 0);
    assert_int_equal(dp_hello_parse(&hello, &options, &err), 0);
    gw_str bytes = dp_hello_pack(&hello, &options, GW_STR("c1"), 42,
                                 (struct gw_content_digest){{1, 2}}, &arena);
    assert_int_equal(gw_message_unpack(&arena, &penstock__agent__v1__agent_message__descriptor,
                                       bytes, &message, &err),
                     0);
    const Penstock__Agent__V1__Hello *said = ((Penstock__Agent__V1__AgentMessage *)message)->hello;
    assert_string_equal(said->agent_id, "a1");
    assert_string_equal(said->cluster_id, "c1");
    assert_int_equal(said->revision, 42);
    assert_string_equal(said->labels[0]->key, "zone");
    assert_int_equal(said->n_kinds, 8);
    gw_arena_done(&arena);
    dp_hello_done(&hello);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_are_host_and_port),
        cmocka_unit_test(what_is_no_endpoint_is_refused_by_name),
        cmocka_unit_test(agent_ids_are_checked),
        cmocka_unit_test(labels_are_pairs),
        cmocka_unit_test(the_hello_says_what_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
