/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_domain.h"

#include "controlplane/model/check_certificate.h"
#include "controlplane/model/test_certificates.h"

#include <stdlib.h>

static struct gw_arena arena;
static struct gw_error err;
static cp_certificate ecdsa, rsa, authorities;
static char first[] = "certificates/first", second[] = "certificates/second";

static cp_certificate stored(const struct test_wish *wish)
{
    cp_certificate message = CP_INIT(CERTIFICATE);
    message.certificate_pem = test_issue(&arena, "c", wish).pem;
    cp_fill_certificate(&arena, &message);
    return message;
}

static int make(void **state)
{
    (void)state;
    ecdsa = stored(&(struct test_wish){.names = "DNS:*.example.com"});
    rsa = stored(&(struct test_wish){.rsa_bits = 2048, .names = "DNS:api.example.com"});
    authorities = (cp_certificate)CP_INIT(CERTIFICATE);
    authorities.client_ca_pem = ecdsa.certificate_pem;
    return 0;
}

static int done(void **state)
{
    (void)state;
    gw_arena_done(&arena);
    return 0;
}

static cp_domain domain_with(size_t certificates)
{
    static char *names[] = {first, second, first};
    cp_domain domain = CP_INIT(DOMAIN);
    domain.name = gw_arena_strdup(&arena, "groups/g/domains/api.example.com");
    domain.certificates = names;
    domain.n_certificates = certificates;
    return domain;
}

static void with_ciphers(cp_domain *domain, const char *list)
{
    gw_str rest = gw_str_from(list);
    domain->tls_ciphers = GW_ARENA_ARRAY(&arena, char *, 64);
    for (domain->n_tls_ciphers = 0; rest.ptr;)
        domain->tls_ciphers[domain->n_tls_ciphers++] =
            (char *)(uintptr_t)gw_arena_dup(&arena, gw_str_split(&rest, ' ')).ptr;
}

static void good(const cp_domain *domain)
{
    if (cp_check_domain(domain, &err))
        fail_msg("%s", err.message);
}

static void says(const char *field, const char *rule)
{
    assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    assert_string_equal(err.violations[0].field, field);
    if (!strstr(err.violations[0].rule, rule))
        fail_msg("\"%s\" does not say \"%s\"", err.violations[0].rule, rule);
}

#define BAD(domain, field, rule)                                                                   \
    do {                                                                                           \
        assert_int_equal(cp_check_domain((domain), &err), -1);                                     \
        says(field, rule);                                                                         \
    } while (0)
#define BAD_TLS(domain, a, b, field, rule)                                                         \
    do {                                                                                           \
        const cp_certificate *pair[] = {(a), (b)};                                                 \
        assert_int_equal(cp_check_domain_tls((domain), pair, &err), -1);                           \
        says(field, rule);                                                                         \
    } while (0)
#define GOOD_TLS(domain, a, b)                                                                     \
    do {                                                                                           \
        const cp_certificate *pair[] = {(a), (b)};                                                 \
        if (cp_check_domain_tls((domain), pair, &err))                                             \
            fail_msg("%s", err.message);                                                           \
    } while (0)

static void up_to_two_certificates_are_named(void **state)
{
    (void)state;
    cp_domain domain = domain_with(0);
    good(&domain);
    domain = domain_with(2);
    good(&domain);
    domain = domain_with(3);
    BAD(&domain, "certificates", "at most 2");
    domain = domain_with(2);
    char *twice[] = {first, first};
    domain.certificates = twice;
    BAD(&domain, "certificates[1]", "is the same as");
    char wrong[] = "channels/first", *wrongs[] = {wrong};
    domain = domain_with(1);
    domain.certificates = wrongs;
    BAD(&domain, "certificates[0]", "must be \"certificates/{certificate}\"");
}

static void redirects_and_client_certificates_need_a_certificate(void **state)
{
    (void)state;
    cp_domain domain = domain_with(0);
    domain.https_redirect = true;
    BAD(&domain, "https_redirect", "needs a certificate");
    domain = domain_with(0);
    domain.verify_client_certificate = true;
    BAD(&domain, "verify_client_certificate", "needs a certificate");
    domain = domain_with(1);
    domain.https_redirect = domain.verify_client_certificate = true;
    good(&domain);
    BAD_TLS(&domain, &ecdsa, NULL, "verify_client_certificate", "client_ca_pem");
    cp_certificate both = ecdsa;
    both.client_ca_pem = ecdsa.certificate_pem;
    GOOD_TLS(&domain, &both, NULL);
}

static void the_version_defaults_to_1_2(void **state)
{
    (void)state;
    cp_domain domain = domain_with(0);
    cp_fill_domain(&domain);
    assert_int_equal(domain.min_tls_version, CP_ENUM(TLS_VERSION, UNSPECIFIED));
    domain = domain_with(1);
    cp_fill_domain(&domain);
    assert_int_equal(domain.min_tls_version, CP_ENUM(TLS_VERSION, 1_2));
    domain.min_tls_version = CP_ENUM(TLS_VERSION, 1_1);
    cp_fill_domain(&domain);
    good(&domain);
    assert_int_equal(domain.min_tls_version, CP_ENUM(TLS_VERSION, 1_1));
    domain.min_tls_version = (Penstock__Admin__V1__TlsVersion)4;
    BAD(&domain, "min_tls_version", "is not known");
}

static void ciphers_are_from_the_list(void **state)
{
    (void)state;
    cp_domain domain = domain_with(1);
    with_ciphers(&domain, "ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-RSA-AES256-GCM-SHA384 "
                          "ECDHE-RSA-CHACHA20-POLY1305 ECDHE-ECDSA-AES128-SHA256 "
                          "ECDHE-RSA-AES256-SHA384 ECDHE-RSA-AES256-SHA ECDHE-ECDSA-AES128-SHA");
    good(&domain);
    domain.min_tls_version = CP_ENUM(TLS_VERSION, 1_3);
    BAD(&domain, "tls_ciphers", "TLS 1.2 and below");
    domain = domain_with(1);
    with_ciphers(&domain, "ECDHE-RSA-AES128-GCM-SHA256 AES128-SHA");
    BAD(&domain, "tls_ciphers[1]", "\"AES128-SHA\" is none of");
    with_ciphers(&domain, "ECDHE-RSA-RC4-SHA");
    BAD(&domain, "tls_ciphers[0]", "is none of");
    with_ciphers(&domain, "ALL:!aNULL");
    BAD(&domain, "tls_ciphers[0]", "is none of");
    with_ciphers(&domain, "ECDHE-RSA-AES128-SHA ECDHE-RSA-AES128-SHA");
    BAD(&domain, "tls_ciphers[1]", "is the same as tls_ciphers[0]");
}

static void each_certificate_has_a_cipher(void **state)
{
    (void)state;
    cp_domain domain = domain_with(2);
    with_ciphers(&domain, "ECDHE-ECDSA-AES128-GCM-SHA256");
    BAD_TLS(&domain, &ecdsa, &rsa, "tls_ciphers", "has none for certificates/second");
    with_ciphers(&domain, "ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-RSA-AES128-GCM-SHA256");
    GOOD_TLS(&domain, &ecdsa, &rsa);
    domain.min_tls_version = CP_ENUM(TLS_VERSION, 1_1);
    BAD_TLS(&domain, &ecdsa, &rsa, "tls_ciphers", "certificates/first and TLS 1.1");
}

static void certificates_name_the_host_and_differ_in_kind(void **state)
{
    (void)state;
    cp_domain domain = domain_with(2);
    GOOD_TLS(&domain, &rsa, &ecdsa);
    BAD_TLS(&domain, &ecdsa, &ecdsa, "certificates[1]", "the same kind of key");
    BAD_TLS(&domain, &ecdsa, &authorities, "certificates[1]", "authorities alone");
    domain.name = gw_arena_strdup(&arena, "groups/g/domains/*.example.com");
    BAD_TLS(&domain, &rsa, &ecdsa, "certificates[0]", "does not name *.example.com");
    cp_certificate client =
        stored(&(struct test_wish){.names = "DNS:*.example.com", .extended_usage = "clientAuth"});
    domain = domain_with(1);
    BAD_TLS(&domain, &client, NULL, "certificates[0]", "does not allow TLS servers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(up_to_two_certificates_are_named),
        cmocka_unit_test(redirects_and_client_certificates_need_a_certificate),
        cmocka_unit_test(the_version_defaults_to_1_2),
        cmocka_unit_test(ciphers_are_from_the_list),
        cmocka_unit_test(each_certificate_has_a_cipher),
        cmocka_unit_test(certificates_name_the_host_and_differ_in_kind),
    };
    return cmocka_run_group_tests(tests, make, done);
}
