/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/agents/enrolled.h"

#include "common/message.h"
#include "common/test.h"
#include "controlplane/model/agent_certificates.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

static struct gw_arena arena;
static struct cp_enrolled *enrolled;
static char told[256]; /* of whom something changed: "edge hub " */

static void on_change(void *arg, const char *agent_id)
{
    assert_ptr_equal(arg, told);
    size_t length = strlen(told);
    snprintf(told + length, sizeof(told) - length, "%s ", agent_id);
}

static int begin(void **state)
{
    (void)state;
    gw_arena_init(&arena, 0);
    told[0] = '\0';
    enrolled = cp_enrolled_new(on_change, told);
    return 0;
}

static int end(void **state)
{
    (void)state;
    cp_enrolled_free(enrolled);
    gw_arena_done(&arena);
    return 0;
}

/* A certificate of anybody, as a caller shows it. */
static gw_str certificate(void)
{
    struct cp_pem_pair pair;
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(cp_agent_authority_make(gw_clock_wall_ms() / 1000, &arena, &pair, &err), 0);
    return gw_str_from(pair.certificate);
}

static void put(const char *id, gw_str pem, int64_t life_s, int64_t revision)
{
    char hex[CP_FINGERPRINT_CHARS + 1], *certificates[] = {hex};
    char environment[] = "environments/TEST", *environments[] = {environment};
    cp_agent_record record = CP_INIT(AGENT_IDENTITY);
    cp_timestamp expiry = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    gw_str name = gw_arena_printf(&arena, "agentIdentities/%s", id);
    assert_true(cp_certificate_fingerprint(pem, hex));
    expiry.seconds = gw_clock_wall_ms() / 1000 + life_s;
    record.name = (char *)(uintptr_t)name.ptr;
    record.n_environments = record.n_certificates = 1;
    record.environments = environments;
    record.certificates = certificates;
    record.expire_time = &expiry;
    cp_enrolled_put(enrolled, &record, revision);
}

static const char *admit(const char *name, gw_str pem, const char *id)
{
    struct gw_rpc_caller caller = {.cert_name = name, .cert_pem = pem};
    struct cp_agent_identity identity = {.name = ""};
    struct gw_error err = GW_ERROR_NONE;
    if (cp_enrolled_admit(enrolled, &caller, id, &arena, &identity, &err) == 0) {
        assert_string_equal(identity.name, name);
        assert_true(identity.expiry_ms > gw_clock_wall_ms());
        return gw_arena_dup(&arena, identity.scope).ptr;
    }
    assert_int_equal(err.code, GW_PERMISSION_DENIED);
    return gw_arena_strdup(&arena, err.message);
}

static void only_the_certificate_that_was_given_is_accepted(void **state)
{
    (void)state;
    gw_str mine = certificate(), forged = certificate();
    put("edge", mine, 3600, 5);
    assert_true(cp_enrolled_is_name("penstock://agents/edge"));
    assert_false(cp_enrolled_is_name("edge"));
    assert_false(cp_enrolled_is_name(NULL));
    assert_string_equal(admit("penstock://agents/edge", mine, NULL), "TEST");
    assert_string_equal(admit("penstock://agents/edge", mine, "edge"), "TEST");
    assert_non_null(strstr(admit("penstock://agents/edge", mine, "hub"), "not for one of the id"));
    /* Another authority that the listener trusts may sign that name. */
    assert_non_null(strstr(admit("penstock://agents/edge", forged, "edge"), "another certificate"));
    assert_non_null(strstr(admit("penstock://agents/hub", mine, "hub"), "is not enrolled"));
    assert_non_null(strstr(admit("penstock://agents/edge", GW_STR("?"), "edge"), "cannot be read"));
    put("edge", mine, -1, 6);
    assert_non_null(strstr(admit("penstock://agents/edge", mine, "edge"), "has expired"));
}

static void lists_and_changes_are_followed(void **state)
{
    (void)state;
    size_t count;
    gw_msec expiry_ms;
    gw_str pem = certificate();
    cp_enrolled_begin(enrolled);
    put("edge", pem, 3600, 5);
    put("hub", pem, 60, 5);
    cp_enrolled_end(enrolled);
    assert_string_equal(told, "edge hub ");
    cp_enrolled_stats(enrolled, &count, &expiry_ms);
    assert_int_equal(count, 2);
    assert_true(expiry_ms < gw_clock_wall_ms() + 61000);
    put("edge", pem, 3600, 4); /* late news */
    cp_enrolled_remove(enrolled, "edge", 4);
    assert_string_equal(told, "edge hub ");
    cp_enrolled_remove(enrolled, "edge", 6);
    assert_string_equal(told, "edge hub edge ");
    cp_enrolled_begin(enrolled);
    cp_enrolled_end(enrolled);
    assert_string_equal(told, "edge hub edge hub ");
    cp_enrolled_stats(enrolled, &count, &expiry_ms);
    assert_int_equal(count, 0);
    assert_int_equal(expiry_ms, 0);
}

static void the_authority_has_generations(void **state)
{
    (void)state;
    uint64_t first, second, third;
    assert_null(cp_enrolled_cas(enrolled, &first));
    cp_enrolled_set_authority(enrolled, "one");
    char *cas = cp_enrolled_cas(enrolled, &second);
    assert_string_equal(cas, "one");
    free(cas);
    cp_enrolled_set_authority(enrolled, "one");
    free(cp_enrolled_cas(enrolled, &third));
    assert_int_not_equal(first, second);
    assert_int_equal(second, third);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_the_certificate_that_was_given_is_accepted, begin,
                                        end),
        cmocka_unit_test_setup_teardown(lists_and_changes_are_followed, begin, end),
        cmocka_unit_test_setup_teardown(the_authority_has_generations, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
