/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, and the domains and backends that use them. */
#include "controlplane/model/test_certificates.h"
#include "controlplane/service/test_apis.h"

#include <time.h>

#define SHOP "certificates/shop"
#define DOMAIN "groups/DEFAULT/domains/shop.example.com"

static struct gw_arena made; /* of the whole program */
static struct test_certificate shop, renewed, rsa, other, authority;

static struct test_certificate issue(const char *names, unsigned rsa_bits)
{
    struct test_wish wish = {.names = names,
                             .rsa_bits = rsa_bits,
                             .issuer = &authority,
                             .begin_s = time(NULL) - 1,
                             .end_s = time(NULL) + 86400};
    return test_issue(&made, "shop", &wish);
}

static int make(void **state)
{
    (void)state;
    authority = test_issue(&made, "authority",
                           &(struct test_wish){.constraints = "CA:TRUE",
                                               .begin_s = time(NULL) - 1,
                                               .end_s = time(NULL) + 86400});
    shop = issue("DNS:shop.example.com", 0);
    renewed = issue("DNS:shop.example.com,DNS:new.example.com", 0);
    rsa = issue("DNS:*.example.com", 2048);
    other = issue("DNS:other.example.com", 0);
    return 0;
}

static int done(void **state)
{
    (void)state;
    gw_arena_done(&made);
    return 0;
}

/* ---- requests */

static const char *quoted(const char *pem)
{
    struct gw_buf text;
    gw_buf_init(&text, 0);
    for (; *pem; pem++)
        if (gw_buf_printf(&text, *pem == '\n' ? "\\n" : "%c", *pem))
            fail();
    const char *result = gw_arena_dup(&backstage.arena, gw_buf_view(&text)).ptr;
    gw_buf_done(&text);
    return result;
}

/* "certificatePem": ..., "privateKeyPem": ... */
static const char *pair(struct test_certificate certificate)
{
    return gw_arena_printf(&backstage.arena,
                           "\"certificatePem\": \"%s\", \"privateKeyPem\": \"%s\"",
                           quoted(certificate.pem), quoted(certificate.key_pem))
        .ptr;
}

static const char *creating(const char *id, const char *fields)
{
    return gw_arena_printf(&backstage.arena, "{\"certificateId\": \"%s\", \"certificate\": {%s}}",
                           id, fields)
        .ptr;
}

static const char *updating(const char *fields, const char *mask)
{
    return gw_arena_printf(&backstage.arena,
                           "{\"certificate\": {\"name\": \"" SHOP
                           "\", %s}, \"updateMask\": \"%s\"}",
                           fields, mask)
        .ptr;
}

static void create_certificate(struct fixture *f, const char *id, const char *fields)
{
    ok(f, &cp_certificate_service, "CreateCertificate", creating(id, fields));
}

static const char *get_shop(struct fixture *f)
{
    return ok(f, &cp_certificate_service, "GetCertificate", "{\"name\": \"" SHOP "\"}");
}

static void create_domain(struct fixture *f, const char *fields)
{
    ok(f, &cp_domain_service, "CreateDomain",
       format(
           "{\"parent\": \"groups/DEFAULT\", \"domainId\": \"shop.example.com\", \"domain\": {%s}}",
           fields));
}

static const char *authorities(void)
{
    return gw_arena_printf(&backstage.arena, "\"clientCaPem\": \"%s\"", quoted(authority.pem)).ptr;
}

/* The base64 of a key's middle: what must not lie anywhere. */
static const char *secret_of(struct test_certificate certificate)
{
    gw_str key = gw_str_from(certificate.key_pem);
    return gw_arena_dup(&backstage.arena, gw_str_n(key.ptr + 40, 40)).ptr;
}

static bool is_stored(const char *text)
{
    struct cp_page page = everything();
    for (size_t i = 0; i < page.count; i++)
        if (memmem(page.kvs[i].value.ptr, page.kvs[i].value.len, text, strlen(text)))
            return true;
    return false;
}

/* ---- certificates */

static void private_keys_go_in_and_never_come_out(void **state)
{
    struct fixture *f = *state;
    const char *answer =
        ok(f, &cp_certificate_service, "CreateCertificate", creating("shop", pair(shop)));
    ASSERT_HAS(answer, "\"commonName\":\"shop\"");
    ASSERT_HAS(answer, "\"subjectAlternativeNames\":[\"shop.example.com\"]");
    ASSERT_HAS(answer, "\"keyAlgorithm\":\"KEY_ALGORITHM_ECDSA\"");
    ASSERT_HAS_NOT(answer, "rivateKey");
    answer = get_shop(f);
    ASSERT_HAS(answer, "\"notAfterTime\":");
    ASSERT_HAS_NOT(answer, "rivateKey");
    ASSERT_HAS_NOT(ok(f, &cp_certificate_service, "ListCertificates", "{}"), "rivateKey");
    assert_false(is_stored("PRIVATE KEY"));
    assert_false(is_stored(secret_of(shop)));
}

static void agents_get_it_once_it_is_used(void **state)
{
    struct fixture *f = *state;
    create_certificate(f, "shop", pair(shop));
    assert_string_equal(agents_see(SHOP), "");
    create_domain(f, "\"certificates\": [\"" SHOP "\"]");
    ASSERT_HAS(agents_see(SHOP), quoted(shop.key_pem));
    ASSERT_HAS(agents_see(SHOP), quoted(shop.pem));
    ASSERT_HAS(agents_see("groups/DEFAULT"),
               "\"tls\":[{\"host\":\"shop.example.com\",\"certificates\":[\"" SHOP
               "\"],\"minVersion\":2}]");
    ok(f, &cp_domain_service, "UpdateDomain",
       "{\"domain\": {\"name\": \"" DOMAIN "\"}, \"updateMask\": \"certificates\"}");
    assert_string_equal(agents_see(SHOP), "");
    ASSERT_HAS_NOT(agents_see("groups/DEFAULT"), "\"tls\"");
}

static void applying_it_again_changes_nothing(void **state)
{
    struct fixture *f = *state;
    create_certificate(f, "shop", pair(shop));
    const char *before = stored();
    ok(f, &cp_certificate_service, "UpdateCertificate",
       updating(pair(shop), "certificate_pem,private_key_pem"));
    assert_string_equal(stored(), before);
}

static void a_renewal_keeps_the_key_if_it_fits(void **state)
{
    struct fixture *f = *state;
    create_certificate(f, "shop", pair(shop));
    ok(f, &cp_certificate_service, "UpdateCertificate", updating("\"description\": \"d\"", ""));
    refused(f, GW_INVALID_ARGUMENT, &cp_certificate_service, "UpdateCertificate",
            updating(format("\"certificatePem\": \"%s\"", quoted(renewed.pem)), "certificate_pem"));
    assert_true(violates(f, "private_key_pem"));
    ok(f, &cp_certificate_service, "UpdateCertificate", updating(pair(renewed), ""));
    create_domain(f, "\"certificates\": [\"" SHOP "\"]");
    ASSERT_HAS(agents_see(SHOP), quoted(renewed.key_pem));
}

static void without_keys_for_secrets_they_are_refused(void **state)
{
    struct fixture *f = *state;
    const struct cp_seal *seal = f->services.seal;
    f->services.seal = NULL;
    refused(f, GW_FAILED_PRECONDITION, &cp_certificate_service, "CreateCertificate",
            creating("shop", pair(shop)));
    ASSERT_HAS(f->err.message, "--seal-key-file");
    create_certificate(f, "only-ca", authorities()); /* nothing secret in it */
    f->services.seal = seal;
}

static void a_lost_key_is_said_and_another_one_heals(void **state)
{
    struct fixture *f = *state;
    struct cp_seal *lost = cp_seal_new_random();
    const struct cp_seal *seal = f->services.seal;
    f->services.seal = lost;
    create_certificate(f, "shop", pair(shop));
    f->services.seal = seal;
    ASSERT_HAS(get_shop(f), "\"etag\"");
    ok(f, &cp_certificate_service, "UpdateCertificate", updating("\"description\": \"d\"", ""));
    ok(f, &cp_certificate_service, "UpdateCertificate", updating(pair(shop), ""));
    create_domain(f, "\"certificates\": [\"" SHOP "\"]");
    ASSERT_HAS(agents_see(SHOP), quoted(shop.key_pem));
    cp_seal_free(lost);
}

static void violations_name_the_field_and_no_secret(void **state)
{
    struct fixture *f = *state;
    struct test_certificate mixed = shop;
    mixed.key_pem = other.key_pem;
    refused(f, GW_INVALID_ARGUMENT, &cp_certificate_service, "CreateCertificate",
            creating("shop", pair(mixed)));
    assert_true(violates(f, "private_key_pem"));
    ASSERT_HAS_NOT(f->err.message, secret_of(other));
    refused(f, GW_INVALID_ARGUMENT, &cp_certificate_service, "CreateCertificate",
            creating("1st", pair(shop)));
    refused(f, GW_INVALID_ARGUMENT, &cp_certificate_service, "CreateCertificate",
            creating("shop", ""));
    assert_true(violates(f, "certificate_pem"));
    ok(f, &cp_certificate_service, "CreateCertificate",
       gw_arena_printf(
           &backstage.arena,
           "{\"certificateId\": \"shop\", \"validateOnly\": true, \"certificate\": {%s}}",
           pair(shop))
           .ptr);
    refused(f, GW_NOT_FOUND, &cp_certificate_service, "GetCertificate", "{\"name\": \"" SHOP "\"}");
}

/* ---- who uses it */

static void a_used_certificate_stays(void **state)
{
    struct fixture *f = *state;
    create_certificate(f, "shop", pair(shop));
    create_domain(f, "\"certificates\": [\"" SHOP "\"]");
    refused(f, GW_FAILED_PRECONDITION, &cp_certificate_service, "DeleteCertificate",
            "{\"name\": \"" SHOP "\"}");
    ASSERT_HAS(f->err.message, DOMAIN);
    ok(f, &cp_domain_service, "DeleteDomain", "{\"name\": \"" DOMAIN "\"}");
    ok(f, &cp_certificate_service, "DeleteCertificate", "{\"name\": \"" SHOP "\"}");
}

static void a_group_takes_its_domains_references_along(void **state)
{
    struct fixture *f = *state;
    create_certificate(f, "shop", pair(shop));
    ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\": \"g\"}");
    ok(f, &cp_domain_service, "CreateDomain",
       "{\"parent\": \"groups/g\", \"domainId\": \"shop.example.com\", \"domain\": "
       "{\"certificates\":"
       " [\"" SHOP "\"]}}");
    ok(f, &cp_group_service, "DeleteApiGroup", "{\"name\": \"groups/g\"}");
    ok(f, &cp_certificate_service, "DeleteCertificate", "{\"name\": \"" SHOP "\"}");
}

static void domains_take_what_can_serve_them(void **state)
{
    struct fixture *f = *state;
    const char *domain = "{\"domain\": {\"name\": \"" DOMAIN "\", %s}}";
    create_certificate(f, "shop", pair(shop));
    create_certificate(f, "rsa-one", pair(rsa));
    create_certificate(f, "other", pair(other));
    create_domain(f, "");
    ok(f, &cp_domain_service, "UpdateDomain",
       format(domain, "\"certificates\": [\"" SHOP "\", \"certificates/rsa-one\"]"));
    refused(f, GW_INVALID_ARGUMENT, &cp_domain_service, "UpdateDomain",
            format(domain, "\"certificates\": [\"certificates/other\"]"));
    assert_true(violates(f, "certificates[0]"));
    refused(f, GW_NOT_FOUND, &cp_domain_service, "UpdateDomain",
            format(domain, "\"certificates\": [\"certificates/none\"]"));
    refused(f, GW_INVALID_ARGUMENT, &cp_domain_service, "UpdateDomain",
            format(domain, "\"verifyClientCertificate\": true"));
    ASSERT_HAS(f->err.message, "client_ca_pem");
}

static void a_certificate_may_not_leave_its_domains_behind(void **state)
{
    struct fixture *f = *state;
    create_certificate(f, "shop",
                       gw_arena_printf(&backstage.arena, "%s, %s", pair(shop), authorities()).ptr);
    create_domain(f, "\"certificates\": [\"" SHOP "\"], \"verifyClientCertificate\": true");
    refused(f, GW_FAILED_PRECONDITION, &cp_certificate_service, "UpdateCertificate",
            updating(pair(other), ""));
    ASSERT_HAS(f->err.message, DOMAIN " uses it");
    ASSERT_HAS(f->err.message, "does not name shop.example.com");
    refused(f, GW_FAILED_PRECONDITION, &cp_certificate_service, "UpdateCertificate",
            updating("\"description\": \"\"", "client_ca_pem"));
    ASSERT_HAS(f->err.message, "verify_client_certificate");
    ok(f, &cp_certificate_service, "UpdateCertificate", updating(pair(renewed), ""));
    ok(f, &cp_certificate_service, "UpdateCertificate", updating(pair(rsa), ""));
}

/* Between the certificate's check and its transaction a domain comes to use it. */
static void come_to_use_it(struct fixture *f)
{
    create_domain(f, "\"certificates\": [\"" SHOP "\"]");
}

static void who_comes_meanwhile_is_seen(void **state)
{
    struct fixture *f = *state;
    create_certificate(f, "shop", pair(shop));
    backstage.before_txn = come_to_use_it;
    refused(f, GW_FAILED_PRECONDITION, &cp_certificate_service, "UpdateCertificate",
            updating(pair(other), ""));
    ASSERT_HAS(f->err.message, DOMAIN);
    ASSERT_HAS(agents_see(SHOP), quoted(shop.pem));
}

/* Between the domain's check and its transaction the certificate becomes another one. */
static void become_another(struct fixture *f)
{
    ok(f, &cp_certificate_service, "UpdateCertificate", updating(pair(other), ""));
}

static void what_changes_meanwhile_is_checked_again(void **state)
{
    struct fixture *f = *state;
    create_certificate(f, "shop", pair(shop));
    backstage.before_txn = become_another;
    refused(f, GW_INVALID_ARGUMENT, &cp_domain_service, "CreateDomain",
            "{\"parent\": \"groups/DEFAULT\", \"domainId\": \"shop.example.com\", \"domain\":"
            " {\"certificates\": [\"" SHOP "\"]}}");
    assert_true(violates(f, "certificates[0]"));
}

/* ---- backends */

static const char *mutual(const char *id, const char *certificate)
{
    return format(
        "{\"parent\": \"groups/DEFAULT\", \"apiId\": \"%s\", \"api\": {\"frontend\":"
        " {\"method\": \"HTTP_METHOD_GET\", \"path\": \"/\"}, \"backend\": {\"http\":"
        " {\"address\": \"b\", \"scheme\": \"BACKEND_SCHEME_HTTPS\", \"certificate\": \"%s\"}}}}",
        id, certificate);
}

static void backends_use_it_as_drafts_and_as_releases(void **state)
{
    struct fixture *f = *state;
    refused(f, GW_NOT_FOUND, &cp_api_service, "CreateApi", mutual("a", SHOP));
    create_certificate(f, "shop", pair(shop));
    ok(f, &cp_api_service, "CreateApi", mutual("a", SHOP));
    assert_string_equal(agents_see(SHOP), "");
    refused(f, GW_FAILED_PRECONDITION, &cp_certificate_service, "DeleteCertificate",
            "{\"name\": \"" SHOP "\"}");
    publish(f, API);
    ASSERT_HAS(agents_see(SHOP), quoted(shop.key_pem));
    ASSERT_HAS(agents_see(API "@RELEASE"), "\"certificate\":\"" SHOP "\"");
    ok(f, &cp_api_service, "UpdateApi",
       "{\"api\": {\"name\": \"" API "\", \"backend\": {\"mock\": {}}}}");
    unpublish(f, API);
    assert_string_equal(agents_see(SHOP), "");
    refused(f, GW_FAILED_PRECONDITION, &cp_certificate_service, "DeleteCertificate",
            "{\"name\": \"" SHOP "\"}"); /* the release can be rolled back to */
    ASSERT_HAS(f->err.message, API "/releases/RELEASE-1");
    ok(f, &cp_api_service, "DeleteApi", "{\"name\": \"" API "\"}");
    ok(f, &cp_certificate_service, "DeleteCertificate", "{\"name\": \"" SHOP "\"}");
}

/* Else the agents would show their backends nothing, or trust any authority's. */
static void backends_keep_what_they_are_met_with(void **state)
{
    struct fixture *f = *state;
    const char *both = gw_arena_printf(&backstage.arena, "%s, \"clientCaPem\": \"%s\"", pair(shop),
                                       quoted(authority.pem))
                           .ptr;
    create_certificate(f, "shop", both);
    ok(f, &cp_api_service, "CreateApi", mutual("a", SHOP));
    const char *const lost[] = {"client_ca_pem", "certificate_pem"};
    for (size_t i = 0; i < GW_ARRAY_LEN(lost); i++) {
        refused(f, GW_FAILED_PRECONDITION, &cp_certificate_service, "UpdateCertificate",
                updating("\"displayName\": \"\"", lost[i]));
        ASSERT_HAS(f->err.message, API " uses it toward its backend");
        ASSERT_HAS(f->err.message, lost[i]);
    }
    ok(f, &cp_certificate_service, "UpdateCertificate", updating(pair(other), ""));
    publish(f, API);
    ok(f, &cp_api_service, "UpdateApi",
       "{\"api\": {\"name\": \"" API "\", \"backend\": {\"mock\": {}}}}");
    refused(f, GW_FAILED_PRECONDITION, &cp_certificate_service, "UpdateCertificate",
            updating("\"displayName\": \"\"", "client_ca_pem"));
    ASSERT_HAS(f->err.message, API "/releases/RELEASE-1");
    unpublish(f, API);
    ok(f, &cp_api_service, "DeleteApi", "{\"name\": \"" API "\"}");
    ok(f, &cp_certificate_service, "UpdateCertificate",
       updating("\"displayName\": \"\"", "client_ca_pem"));
}

static void every_call_of_the_store_may_fail(void **state)
{
    struct fixture *f = *state;
    survives_the_store(f, &cp_certificate_service, "CreateCertificate",
                       creating("shop", pair(shop)));
    survives_the_store(f, &cp_domain_service, "CreateDomain",
                       "{\"parent\": \"groups/DEFAULT\", \"domainId\": \"shop.example.com\","
                       " \"domain\": {\"certificates\": [\"" SHOP "\"]}}");
    survives_the_store(f, &cp_certificate_service, "UpdateCertificate", updating(pair(rsa), ""));
    survives_the_store(f, &cp_domain_service, "DeleteDomain", "{\"name\": \"" DOMAIN "\"}");
    survives_the_store(f, &cp_certificate_service, "DeleteCertificate", "{\"name\": \"" SHOP "\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(private_keys_go_in_and_never_come_out),
        STAGED(agents_get_it_once_it_is_used),
        STAGED(applying_it_again_changes_nothing),
        STAGED(a_renewal_keeps_the_key_if_it_fits),
        STAGED(without_keys_for_secrets_they_are_refused),
        STAGED(a_lost_key_is_said_and_another_one_heals),
        STAGED(violations_name_the_field_and_no_secret),
        STAGED(a_used_certificate_stays),
        STAGED(a_group_takes_its_domains_references_along),
        STAGED(domains_take_what_can_serve_them),
        STAGED(a_certificate_may_not_leave_its_domains_behind),
        STAGED(who_comes_meanwhile_is_seen),
        STAGED(what_changes_meanwhile_is_checked_again),
        STAGED(backends_use_it_as_drafts_and_as_releases),
        STAGED(backends_keep_what_they_are_met_with),
        STAGED(every_call_of_the_store_may_fail),
    };
    return cmocka_run_group_tests(tests, make, done);
}
