/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/secrets.h"

#include "common/json.h"
#include "controlplane/model/types.h"

#include "penstock/admin/v1/account.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct gw_arena arena;

static int tear_down(void **state)
{
    (void)state;
    gw_arena_done(&arena);
    return 0;
}

/* As JSON, in and out. */
static const char *redacted(const ProtobufCMessageDescriptor *type, const char *json)
{
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    struct gw_buf text;
    if (gw_json_parse(&arena, type, gw_str_from(json), &message, &err))
        fail_msg("%s: %s", json, err.message);
    gw_buf_init(&text, 0);
    gw_json_write(&text, cp_redact(&arena, message), GW_JSON_COMPACT);
    const char *result = gw_arena_dup(&arena, gw_buf_view(&text)).ptr;
    gw_buf_done(&text);
    text = (struct gw_buf){0};
    gw_json_write(&text, message, GW_JSON_COMPACT); /* what was given stays as it was */
    assert_string_equal(gw_arena_dup(&arena, gw_buf_view(&text)).ptr, json);
    gw_buf_done(&text);
    return result;
}

static void secrets_are_hidden_and_the_rest_stays(void **state)
{
    (void)state;
    assert_string_equal(redacted(CP_TYPE(certificate), "{\"name\":\"certificates/a\","
                                                       "\"certificatePem\":\"public\","
                                                       "\"privateKeyPem\":\"hush\","
                                                       "\"sealedPrivateKey\":\"aHVzaA==\"}"),
                        "{\"name\":\"certificates/a\",\"certificatePem\":\"public\","
                        "\"privateKeyPem\":\"(hidden)\"}");
}

static void secrets_inside_a_request_are_found(void **state)
{
    (void)state;
    assert_string_equal(redacted(&penstock__admin__v1__create_app_code_request__descriptor,
                                 "{\"parent\":\"apps/a\",\"codeId\":\"c\","
                                 "\"code\":{\"code\":\"hush\",\"hint\":\"hu\"}}"),
                        "{\"parent\":\"apps/a\",\"codeId\":\"c\","
                        "\"code\":{\"code\":\"(hidden)\",\"hint\":\"hu\"}}");
}

static void what_is_not_set_is_not_hidden(void **state)
{
    (void)state;
    assert_string_equal(
        redacted(&penstock__admin__v1__access_key__descriptor, "{\"name\":\"users/u\"}"),
        "{\"name\":\"users/u\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_hidden_and_the_rest_stays),
        cmocka_unit_test(secrets_inside_a_request_are_found),
        cmocka_unit_test(what_is_not_set_is_not_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
