/* SPDX-License-Identifier: Apache-2.0 */
/* Imports among others and over a store that fails; what documents become is tested by
 * controlplane/openapi and integration-tests/test_openapi.py. */
#include "common/clock.h"
#include "controlplane/service/openapi.h"
#include "controlplane/service/test_apis.h"

#define GET(path, more) path ": {get: {" more "x-apigateway-backend: {type: MOCK}}}"
#define DOCUMENT(paths) "openapi: 3.0.0\\npaths: {" paths "}"
#define THREE                                                                                      \
    DOCUMENT(GET("/a", "operationId: a, x-apigateway-ratelimit: slow, ") ", " GET(                 \
        "/b", "") ", " GET("/c", ""))                                                              \
    "\\nx-apigateway-ratelimits: {slow: {api-limit: 5}}"

static const char *import(struct fixture *f, const char *group, const char *document,
                          const char *more)
{
    return ok(f, &cp_openapi_service, "ImportOpenApi",
              format("{\"parent\": \"%s\", \"document\": \"%s\"%s}", group, document, more));
}

#define DEFAULT "groups/DEFAULT"
#define OVER ", \"mode\": \"IMPORT_MODE_OVERRIDE\""
#define BOUND ", \"createGroup\": true, \"environment\": \"environments/RELEASE\""

/* At whichever call it goes away: what is there is whole, and a second import makes up for the
 * rest. */
static void test_a_store_that_goes_away(void **state)
{
    struct fixture *f = *state;
    bool has_ended = false;
    for (int at = 1; !has_ended; at++) {
        gw_str answer;
        char group[32];
        (void)snprintf(group, sizeof group, "groups/g%d", at);
        backstage.calls = 0;
        backstage.fail_at = at;
        enum gw_code got = call(
            f, &cp_openapi_service, "ImportOpenApi",
            format("{\"parent\": \"%s\", \"document\": \"%s\"%s}", group, THREE, BOUND), &answer);
        backstage.fail_at = 0;
        has_ended = backstage.calls < at;
        if (got != GW_OK)
            assert_int_equal(got, GW_UNAVAILABLE);
        else if (!has_ended && !strstr(answer.ptr, "UNAVAILABLE"))
            ASSERT_HAS(answer.ptr, "the store is away"); /* in a note */
        const char *again = import(f, group, THREE, BOUND OVER);
        ASSERT_HAS_NOT(again, "failure");
        ASSERT_HAS_NOT(again, "not bound");
        again = import(f, group, THREE, BOUND OVER);
        ASSERT_HAS(again, "\"unchanged\":3");
    }
}

static void edit_it(struct fixture *other)
{
    ok(other, &cp_api_service, "UpdateApi",
       "{\"api\": {\"name\": \"" API "\", \"description\": \"theirs\"}}");
}

static void test_what_somebody_writes_meanwhile_is_not_lost(void **state)
{
    struct fixture *f = *state;
    import(f, DEFAULT, DOCUMENT(GET("/a", "operationId: a, ")), "");
    backstage.before_txn = edit_it;
    const char *answer =
        import(f, DEFAULT, DOCUMENT(GET("/a", "operationId: a, description: ours, ")), OVER);
    ASSERT_HAS(answer, "\"code\":\"ABORTED\"");
    ASSERT_HAS(answer, "\"refused\":1");
    ASSERT_HAS(get(f), "\"description\":\"theirs\"");
    answer = import(f, DEFAULT, DOCUMENT(GET("/a", "operationId: a, description: ours, ")), OVER);
    ASSERT_HAS(answer, "\"updated\":1");
}

/* Who asked has gone: what was begun is finished, and nothing else is. */
static void test_a_deadline_that_passes(void **state)
{
    struct fixture *f = *state;
    ProtobufCMessage *reply;
    struct cp_call call = {.services = &f->services,
                           .arena = &backstage.arena,
                           .principal = &f->principal,
                           .deadline_ms = gw_clock_monotonic_ms()};
    const ProtobufCMessage *request =
        from_json(&penstock__admin__v1__import_open_api_request__descriptor,
                  "{\"parent\": \"" DEFAULT "\", \"document\": \"" THREE "\"}");
    assert_int_equal(cp_import_openapi(&call, request, &reply, &f->err), 0);
    const cp_import_reply *answer = (const cp_import_reply *)reply;
    assert_int_equal(answer->created, 1);
    assert_int_equal(answer->refused, 2);
    assert_string_equal(answer->outcomes[2]->failure->code, "DEADLINE_EXCEEDED");
}

static void test_ids_that_are_taken(void **state)
{
    struct fixture *f = *state;
    create(f, "get-b", "PUT", "/other");
    const char *answer = import(f, DEFAULT,
                                DOCUMENT(GET("/b", "") ", " GET("/c", "operationId: x, ") ", " GET(
                                    "/d", "operationId: x, ")),
                                "");
    ASSERT_HAS(answer, "\"created\":3");
    ASSERT_HAS(answer, "apis/get-b-2\"");
    ASSERT_HAS(answer, "apis/x\"");
    ASSERT_HAS(answer, "apis/x-2\"");
    answer = import(f, DEFAULT, DOCUMENT(GET("/d", "operationId: x, ")), OVER);
    ASSERT_HAS(answer, "\"unchanged\":1");
}

static void test_an_import_is_answered_in_order(void **state)
{
    struct fixture *f = *state;
    const char *answer = import(f, DEFAULT, THREE, ", \"validateOnly\": true");
    const char *a = strstr(answer, "\"path\":\"/a\""), *b = strstr(answer, "\"path\":\"/b\"");
    assert_true(a && b && a < b && b < strstr(answer, "\"path\":\"/c\""));
    ASSERT_HAS(answer, "\"created\":3");
    refused(f, GW_NOT_FOUND, &cp_api_service, "GetApi", "{\"name\": \"" API "\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_a_store_that_goes_away),
        STAGED(test_what_somebody_writes_meanwhile_is_not_lost),
        STAGED(test_a_deadline_that_passes),
        STAGED(test_ids_that_are_taken),
        STAGED(test_an_import_is_answered_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
