/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/credentials.h"

#include "dataplane/net/test_pem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <openssl/err.h>

static struct gw_arena arena;

static int set_up(void **state)
{
    (void)state;
    gw_arena_init(&arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gw_arena_done(&arena);
    return 0;
}

static struct dp_credentials read_good(struct dp_pem pem)
{
    struct dp_credentials credentials;
    struct gw_error err = GW_ERROR_NONE;
    if (dp_credentials_read(&arena, &pem, &credentials, &err) < 0)
        fail_msg("%s: %s", err.violations[0].field, err.message);
    return credentials;
}

static void assert_refused(struct dp_pem pem, const char *field)
{
    struct dp_credentials credentials;
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(dp_credentials_read(&arena, &pem, &credentials, &err), -1);
    assert_string_equal(err.violations[0].field, field);
    assert_null(strstr(err.message, "PRIVATE KEY"));
    assert_int_equal(ERR_peek_error(), 0);
}

static void a_pair_a_chain_and_authorities_are_read(void **state)
{
    (void)state;
    struct test_pem ec = test_pem_make("a", EVP_EC_gen("P-256"));
    struct test_pem rsa = test_pem_make("b", EVP_RSA_gen(2048));
    char chain[3 * sizeof(ec.certificate)];
    (void)snprintf(chain, sizeof(chain), "%s\n# and\n%s", ec.certificate, rsa.certificate);
    struct dp_credentials pair = read_good((struct dp_pem){chain, ec.key, rsa.certificate});
    assert_int_equal(pair.chain_count, 2);
    assert_int_equal(pair.authority_count, 1);
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    assert_int_equal(dp_credentials_use(context, NULL, &pair), 0);
    assert_int_equal(dp_credentials_trust(context, NULL, &pair), 0);
    struct dp_credentials other = read_good((struct dp_pem){rsa.certificate, rsa.key, ""});
    assert_int_equal(dp_credentials_use(context, NULL, &other), 0); /* beside the first */
    SSL_CTX_free(context);
    assert_int_equal(read_good((struct dp_pem){"", "", chain}).authority_count, 2);
}

static void the_digest_is_of_all_of_it(void **state)
{
    (void)state;
    struct test_pem a = test_pem_make("a", EVP_EC_gen("P-256"));
    struct test_pem b = test_pem_make("b", EVP_EC_gen("P-256"));
    struct dp_credentials plain = read_good((struct dp_pem){a.certificate, a.key, ""});
    struct dp_credentials again = read_good((struct dp_pem){a.certificate, a.key, ""});
    struct dp_credentials trusts = read_good((struct dp_pem){a.certificate, a.key, b.certificate});
    assert_memory_equal(plain.digest, again.digest, sizeof(plain.digest));
    assert_memory_not_equal(plain.digest, trusts.digest, sizeof(plain.digest));
    assert_memory_not_equal(plain.authorities_digest, trusts.authorities_digest,
                            sizeof(plain.digest));
}

static void what_cannot_be_used_is_refused_by_field(void **state)
{
    (void)state;
    struct test_pem a = test_pem_make("a", EVP_EC_gen("P-256"));
    struct test_pem b = test_pem_make("b", EVP_EC_gen("P-256"));
    struct test_pem weak = test_pem_make("weak", EVP_RSA_gen(512));
    static const char encrypted[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n"
                                    "-----END ENCRYPTED PRIVATE KEY-----\n";
    char cut[4096];
    memcpy(cut, a.certificate, sizeof(cut));
    cut[strlen(cut) / 2] = 0;
    assert_refused((struct dp_pem){"", "", ""}, "certificate_pem");
    assert_refused((struct dp_pem){"", a.key, a.certificate}, "certificate_pem");
    assert_refused((struct dp_pem){"no PEM", a.key, ""}, "certificate_pem");
    assert_refused((struct dp_pem){cut, a.key, ""}, "certificate_pem");
    assert_refused((struct dp_pem){a.certificate, "", ""}, "private_key_pem");
    assert_refused((struct dp_pem){a.certificate, b.key, ""}, "private_key_pem");
    assert_refused((struct dp_pem){a.certificate, encrypted, ""}, "private_key_pem");
    assert_refused((struct dp_pem){weak.certificate, weak.key, ""}, "certificate_pem");
    assert_refused((struct dp_pem){a.certificate, a.key, "no PEM"}, "ca_pem");
}

static void chains_are_bounded(void **state)
{
    (void)state;
    static char chain[32768];
    struct test_pem a = test_pem_make("a", EVP_EC_gen("P-256"));
    for (unsigned i = 0; i <= DP_CREDENTIALS_CHAIN_MAX; i++)
        strcat(chain, a.certificate);
    assert_refused((struct dp_pem){chain, a.key, ""}, "certificate_pem");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_pair_a_chain_and_authorities_are_read),
        TEST(the_digest_is_of_all_of_it),
        TEST(what_cannot_be_used_is_refused_by_field),
        TEST(chains_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
