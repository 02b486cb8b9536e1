/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens, and what agents get for them. */
#include "controlplane/service/enrolments.h"

#include "controlplane/model/agent_certificates.h"
#include "controlplane/service/services.h"
#include "controlplane/service/test_services.h"

#include "penstock/agent/v1/agent.pb-c.h"

#include <openssl/pem.h>

#define CREATE "{\"enrolmentId\":\"for-edge\",\"enrolment\":{\"agent\":\"edge\"}}"

static const char *admin(struct fixture *f, const char *method, const char *request)
{
    return ok(f, &cp_enrolment_service, method, request);
}

static void wrong(struct fixture *f, const char *request, const char *field)
{
    refused(f, GW_INVALID_ARGUMENT, &cp_enrolment_service, "CreateEnrolment", request);
    if (!violates(f, field))
        fail_msg("%s violates not %s: %s", request, field, f->err.message);
}

/* Of the last answer; lives on. */
static const char *token_in(const char *answer)
{
    static char token[200];
    const char *at = strstr(answer, "\"token\":\"");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\"token\":\"%190[^\"]", token), 1);
    return token;
}

/* A request for a certificate of that name. */
static const char *request_for(struct gw_arena *arena, const char *name)
{
    char *bytes;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509_REQ *request = X509_REQ_new();
    X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), "CN", MBSTRING_UTF8,
                               (const unsigned char *)name, -1, -1, 0);
    X509_REQ_set_pubkey(request, key);
    assert_true(X509_REQ_sign(request, key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509_REQ(bio, request);
    long length = BIO_get_mem_data(bio, &bytes);
    const char *text = gw_arena_dup(arena, gw_str_n(bytes, (size_t)length)).ptr;
    BIO_free(bio);
    X509_REQ_free(request);
    EVP_PKEY_free(key);
    return text;
}

static enum gw_code enrol(struct cp_enroller *enroller, const char *token, const char *agent,
                          const char *peer)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct gw_rpc_method methods[CP_ENROL_METHODS];
    struct gw_rpc_caller caller = {.peer = peer};
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *reply;
    Penstock__Agent__V1__EnrolRequest asked = PENSTOCK__AGENT__V1__ENROL_REQUEST__INIT;
    asked.token = (char *)(uintptr_t)token;
    asked.agent_id = (char *)(uintptr_t)agent;
    asked.certificate_request_pem = (char *)(uintptr_t)request_for(&arena, agent);
    cp_enroller_methods(enroller, methods);
    if (methods[0].unary(enroller, &caller, &arena, &asked.base, &reply, &err) == 0)
        return GW_OK;
    if (err.code == GW_PERMISSION_DENIED) /* whatever is wrong, it is told alike */
        assert_string_equal(err.message, "the enrolment is refused");
    return err.code;
}

static int expire(const struct cp_call *call, struct cp_change *change, void *arg,
                  struct gw_error *err)
{
    struct cp_stored stored;
    const char *name = arg;
    if (cp_get(call, CP_KIND_ENROLMENT, name, &stored, err) < 0)
        return -1;
    ((cp_enrolment *)stored.message)->expire_time->seconds = 1;
    cp_change_put_message(change, cp_key_of(change->arena, CP_KIND_ENROLMENT, name),
                          stored.message);
    return 0;
}

static void fields_that_are_refused(void **state)
{
    struct fixture *f = *state;
    wrong(f, "{}", "agent");
    wrong(f, "{\"enrolment\":{\"agent\":\"a/b\"}}", "agent");
    wrong(f, "{\"enrolment\":{\"agent\":\"*-1\"}}", "agent");
    wrong(f, "{\"enrolment\":{\"agent\":\"a\",\"uses\":-1}}", "uses");
    wrong(f, "{\"enrolment\":{\"agent\":\"a\",\"uses\":1001}}", "uses");
    wrong(f, "{\"enrolment\":{\"agent\":\"a\",\"lifetime\":\"59s\"}}", "lifetime");
    wrong(f, "{\"enrolment\":{\"agent\":\"a\",\"lifetime\":\"2592001s\"}}", "lifetime");
    wrong(f, "{\"enrolment\":{\"agent\":\"a\",\"environments\":[\"TEST\"]}}", "environments");
    wrong(f, "{\"enrolment\":{\"agent\":\"a\",\"token\":\"mine\"}}", "enrolment.token");
    wrong(f, "{\"enrolmentId\":\"short\",\"enrolment\":{\"agent\":\"a\"}}", "enrolment_id");
    f->principal.role = CP_ROLE_OPERATOR;
    for (size_t i = 0; i < cp_enrolment_service.count; i++)
        if (strncmp(cp_enrolment_service.methods[i].name, "Create", 6) == 0)
            assert_int_equal(cp_enrolment_service.methods[i].role, CP_ROLE_ADMINISTRATOR);
}

static void a_token_is_seen_once(void **state)
{
    struct fixture *f = *state;
    const char *answer = admin(
        f, "CreateEnrolment",
        "{\"enrolmentId\":\"for-edge\",\"validateOnly\":true,\"enrolment\":{\"agent\":\"a\"}}");
    ASSERT_HAS_NOT(answer, "token");
    answer = admin(f, "CreateEnrolment", CREATE);
    ASSERT_HAS(answer, "\"token\":\"for-edge.");
    ASSERT_HAS(answer, "\"uses\":1");
    ASSERT_HAS(answer, "\"expireTime\":");
    ASSERT_HAS_NOT(answer, "tokenDigest");
    answer = admin(f, "GetEnrolment", "{\"name\":\"enrolments/for-edge\"}");
    ASSERT_HAS_NOT(answer, "oken");
    ASSERT_HAS_NOT(admin(f, "ListEnrolments", "{}"), "oken");
    admin(f, "CreateEnrolment", "{\"enrolment\":{\"agent\":\"other\"}}"); /* an id is made */
}

static void what_expired_is_gone_after_a_day(void **state)
{
    struct fixture *f = *state;
    gw_msec now_ms = gw_clock_wall_ms();
    const gw_msec hour_ms = 3600 * 1000;
    admin(f, "CreateEnrolment", CREATE); /* good for an hour */
    admin(f, "CreateEnrolment",
          "{\"enrolmentId\":\"for-long\",\"enrolment\":{\"agent\":\"a\",\"lifetime\":\"86400s\"}}");
    assert_int_equal(cp_enrolments_clean(&f->services, now_ms + 24 * hour_ms, &f->err), 0);
    ASSERT_HAS(admin(f, "ListEnrolments", "{}"), "for-edge");
    assert_int_equal(cp_enrolments_clean(&f->services, now_ms + 26 * hour_ms, &f->err), 0);
    ASSERT_HAS_NOT(admin(f, "ListEnrolments", "{}"), "for-edge");
    ASSERT_HAS(admin(f, "ListEnrolments", "{}"), "for-long");
}

static void whatever_is_wrong_with_a_token_is_told_alike(void **state)
{
    struct fixture *f = *state;
    struct cp_enroller *enroller = cp_enroller_new(&f->services, 3600000, true);
    assert_int_equal(enrol(enroller, "for-edge.x", "edge", "ipv4:10.0.0.1:1"),
                     GW_PERMISSION_DENIED);
    const char *token = token_in(admin(f, "CreateEnrolment", CREATE));
    assert_int_equal(enrol(enroller, token, "other", "ipv4:10.0.0.1:2"), GW_PERMISSION_DENIED);
    assert_int_equal(enrol(enroller, token, "edge", "ipv4:10.0.0.1:3"), GW_OK);
    assert_int_equal(enrol(enroller, token, "edge", "ipv4:10.0.0.1:4"), GW_PERMISSION_DENIED);
    refused(f, GW_NOT_FOUND, &cp_enrolment_service, "GetEnrolment",
            "{\"name\":\"enrolments/for-edge\"}");
    const char *answer = admin(f, "GetAgentIdentity", "{\"name\":\"agentIdentities/edge\"}");
    ASSERT_HAS(answer, "\"enrolment\":\"enrolments/for-edge\"");

    char late[] = "enrolments/late-one";
    struct cp_call call = {.services = &f->services, .arena = &f->arena, .deadline_ms = INT64_MAX};
    token = token_in(admin(f, "CreateEnrolment",
                           "{\"enrolmentId\":\"late-one\",\"enrolment\":{\"agent\":\"edge\"}}"));
    assert_int_equal(cp_write(&call, false, expire, late, NULL, &f->err), 0);
    assert_int_equal(enrol(enroller, token, "edge", "ipv4:10.0.0.1:5"), GW_PERMISSION_DENIED);
    cp_enroller_free(enroller);
}

static void an_address_that_guesses_has_to_wait(void **state)
{
    struct fixture *f = *state;
    struct cp_enroller *enroller = cp_enroller_new(&f->services, 3600000, true);
    const char *token = token_in(admin(f, "CreateEnrolment", CREATE));
    for (int i = 0; i < CP_ENROL_REFUSED_MAX; i++)
        assert_int_equal(enrol(enroller, "for-edge.x", "edge", "ipv4:10.0.0.1:1"),
                         GW_PERMISSION_DENIED);
    assert_int_equal(enrol(enroller, token, "edge", "ipv4:10.0.0.1:9"), GW_RESOURCE_EXHAUSTED);
    assert_int_equal(enrol(enroller, token, "edge", "ipv4:10.0.0.2:9"), GW_OK);
    cp_enroller_free(enroller);
}

static void nobody_is_enrolled_in_the_clear(void **state)
{
    struct fixture *f = *state;
    struct cp_enroller *enroller = cp_enroller_new(&f->services, 3600000, false);
    const char *token = token_in(admin(f, "CreateEnrolment", CREATE));
    assert_int_equal(enrol(enroller, token, "edge", "ipv4:10.0.0.1:1"), GW_FAILED_PRECONDITION);
    cp_enroller_free(enroller);
}

static void without_keys_for_secrets_there_is_no_authority(void **state)
{
    struct fixture *f = *state;
    const struct cp_seal *own = f->services.seal;
    f->services.seal = NULL;
    refused(f, GW_FAILED_PRECONDITION, &cp_enrolment_service, "CreateEnrolment", CREATE);
    f->services.seal = own;
}

static void an_identity_changes_its_environments_alone(void **state)
{
    struct fixture *f = *state;
    struct cp_enroller *enroller = cp_enroller_new(&f->services, 3600000, true);
    const char *token = token_in(admin(f, "CreateEnrolment", CREATE));
    assert_int_equal(enrol(enroller, token, "edge", "ipv4:10.0.0.1:1"), GW_OK);
    admin(f, "UpdateAgentIdentity",
          "{\"agentIdentity\":{\"name\":\"agentIdentities/edge\",\"environments\":"
          "[\"environments/TEST\"]}}");
    refused(f, GW_INVALID_ARGUMENT, &cp_enrolment_service, "UpdateAgentIdentity",
            "{\"agentIdentity\":{\"name\":\"agentIdentities/edge\",\"environments\":[\"x\"]}}");
    assert_true(violates(f, "environments"));
    const char *answer = admin(f, "GetAgentIdentity", "{\"name\":\"agentIdentities/edge\"}");
    ASSERT_HAS(answer, "environments/TEST");
    ASSERT_HAS(answer, "\"certificates\":[\"");
    admin(f, "DeleteAgentIdentity", "{\"name\":\"agentIdentities/edge\"}");
    cp_enroller_free(enroller);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fields_that_are_refused),
        TEST(a_token_is_seen_once),
        TEST(what_expired_is_gone_after_a_day),
        TEST(whatever_is_wrong_with_a_token_is_told_alike),
        TEST(an_address_that_guesses_has_to_wait),
        TEST(nobody_is_enrolled_in_the_clear),
        TEST(without_keys_for_secrets_there_is_no_authority),
        TEST(an_identity_changes_its_environments_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
