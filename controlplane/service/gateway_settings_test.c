/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's settings: what is stored, what agents are told, and going back. */
#include "controlplane/service/test_apis.h"

static const char *update(struct fixture *f, const char *request)
{
    return ok(f, &cp_settings_service, "UpdateSettings", request);
}

static void refuse(struct fixture *f, enum gw_code code, const char *request)
{
    refused(f, code, &cp_settings_service, "UpdateSettings", request);
}

static void test_they_are_always_there(void **state)
{
    struct fixture *f = *state;
    const char *nothing = "{\"name\":\"settings\",\"etag\":\"\\\"0\\\"\"}";
    assert_string_equal(ok(f, &cp_settings_service, "GetSettings", "{}"), nothing);
    assert_string_equal(ok(f, &cp_settings_service, "GetSettings", "{\"name\": \"settings\"}"),
                        nothing);
    refused(f, GW_INVALID_ARGUMENT, &cp_settings_service, "GetSettings", "{\"name\": \"other\"}");
    assert_string_equal(agents_see("settings"), "");
}

static void test_what_is_set_reaches_agents(void **state)
{
    struct fixture *f = *state;
    update(f, "{\"settings\": {\"request_body_max_bytes\": 2097152, \"request_body_timeout\": "
              "\"1.5s\", \"backend_timeout_max\": \"0.020s\", \"gzip\": {\"enabled\": true}, "
              "\"forwarded_for\": {\"enabled\": true, \"index\": -1, \"strict\": true}, "
              "\"debug_audience\": \"DEBUG_AUDIENCE_NOBODY\", \"escaped_slash\": "
              "\"ESCAPED_SLASH_KEPT\", \"http2\": {\"enabled\": true}}}");
    assert_string_equal(
        agents_see("settings"),
        "{\"settings\":{\"name\":\"settings\",\"requestBodyMaxBytes\":\"2097152\","
        "\"requestBodyTimeoutMs\":\"1500\",\"backendTimeoutMaxMs\":\"20\",\"forwardedFor\":"
        "{\"enabled\":true,\"index\":-1,\"strict\":true},\"gzip\":{\"enabled\":true,\"level\":6},"
        "\"debugAudience\":\"DEBUG_AUDIENCE_NOBODY\",\"escapedSlash\":\"ESCAPED_SLASH_KEPT\","
        "\"http2\":{\"enabled\":true}}}");
}

static void test_one_field_goes_back_to_the_flags(void **state)
{
    struct fixture *f = *state;
    update(f, "{\"settings\": {\"gzip\": {\"enabled\": false}, \"backend_timeout_max\": \"2s\"}}");
    ASSERT_HAS(agents_see("settings"), "\"gzip\":{\"level\":6}");
    update(f, "{\"settings\": {}, \"update_mask\": \"gzip\"}");
    ASSERT_HAS_NOT(agents_see("settings"), "gzip");
    ASSERT_HAS(agents_see("settings"), "\"backendTimeoutMaxMs\":\"2000\"");
    update(f, "{\"settings\": {}, \"update_mask\": \"*\"}");
    assert_string_equal(agents_see("settings"), "");
}

static void test_etags(void **state)
{
    struct fixture *f = *state;
    const char *first = etag_of(update(f, "{\"settings\": {\"backend_timeout_max\": \"2s\", "
                                          "\"etag\": \"\\\"0\\\"\"}}"));
    refuse(f, GW_ABORTED,
           "{\"settings\": {\"backend_timeout_max\": \"3s\", \"etag\": \"\\\"0\\\"\"}}");
    update(f, format("{\"settings\": {\"backend_timeout_max\": \"3s\", \"etag\": \"%s\"}}", first));
    const char *before = stored();
    update(f, "{\"settings\": {\"backend_timeout_max\": \"3s\"}}");
    assert_string_equal(stored(), before); /* that changes nothing */
    update(f, "{\"settings\": {\"backend_timeout_max\": \"4s\"}, \"validate_only\": true}");
    assert_string_equal(stored(), before);
}

static void test_what_is_wrong_is_not_stored(void **state)
{
    struct fixture *f = *state;
    const char *before = stored();
    refuse(f, GW_INVALID_ARGUMENT, "{}");
    refuse(f, GW_INVALID_ARGUMENT, "{\"settings\": {\"name\": \"settings/x\"}}");
    refuse(f, GW_INVALID_ARGUMENT, "{\"settings\": {}, \"update_mask\": \"nothing\"}");
    refuse(f, GW_INVALID_ARGUMENT, "{\"settings\": {\"request_body_max_bytes\": 5}}");
    assert_true(violates(f, "request_body_max_bytes"));
    refuse(f, GW_UNIMPLEMENTED, "{\"settings\": {\"default_api_limit\": 100}}");
    ASSERT_HAS(f->err.message, "default_api_limit");
    assert_string_equal(stored(), before);
}

static void other_update(struct fixture *other)
{
    update(other, "{\"settings\": {\"backend_timeout_max\": \"9s\"}}");
}

static void test_two_writers_lose_nothing(void **state)
{
    struct fixture *f = *state;
    backstage.before_txn = other_update;
    const char *answer = update(f, "{\"settings\": {\"request_body_max_bytes\": 1048576}}");
    ASSERT_HAS(answer, "\"backendTimeoutMax\":\"9s\"");
    ASSERT_HAS(answer, "\"requestBodyMaxBytes\":\"1048576\"");
}

static void test_a_store_that_fails(void **state)
{
    survives_the_store(*state, &cp_settings_service, "UpdateSettings",
                       "{\"settings\": {\"backend_timeout_max\": \"9s\"}}");
    survives_the_store(*state, &cp_settings_service, "GetSettings", "{}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_they_are_always_there),
        STAGED(test_what_is_set_reaches_agents),
        STAGED(test_one_field_goes_back_to_the_flags),
        STAGED(test_etags),
        STAGED(test_what_is_wrong_is_not_stored),
        STAGED(test_two_writers_lose_nothing),
        STAGED(test_a_store_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
