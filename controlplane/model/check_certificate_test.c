/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_certificate.h"

#include "controlplane/model/test_certificates.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct gw_arena arena;
static struct gw_error err;
static struct test_certificate leaf, other, authority;

static int make(void **state)
{
    (void)state;
    authority = test_issue(&arena, "authority", &(struct test_wish){.constraints = "CA:TRUE"});
    leaf = test_issue(&arena, "Shop",
                      &(struct test_wish){.names = "DNS:shop.example.com,DNS:*.example.com,"
                                                   "IP:127.0.0.1,email:me@example.com",
                                          .issuer = &authority});
    other = test_issue(&arena, "other", &(struct test_wish){.names = "DNS:other.example.com"});
    return 0;
}

static int done(void **state)
{
    (void)state;
    gw_arena_done(&arena);
    return 0;
}

static char *join(const char *a, const char *b)
{
    return (char *)(uintptr_t)gw_arena_printf(&arena, "%s%s", a, b).ptr;
}

static cp_certificate with(const char *certificate, const char *key)
{
    cp_certificate message = CP_INIT(CERTIFICATE);
    message.name = gw_arena_strdup(&arena, "certificates/shop");
    message.certificate_pem = gw_arena_strdup(&arena, certificate);
    message.private_key_pem = gw_arena_strdup(&arena, key);
    return message;
}

static cp_certificate stored(const char *certificate)
{
    static uint8_t sealed[1];
    cp_certificate message = with(certificate, "");
    message.sealed_private_key = (ProtobufCBinaryData){1, sealed};
    cp_fill_certificate(&arena, &message);
    return message;
}

static void good(cp_certificate message, const cp_certificate *before)
{
    if (cp_check_certificate(&message, before, TEST_NOW_S, &err))
        fail_msg("%s", err.message);
}

/* One violation, of that field, that says this and nothing of a key. */
static void bad(cp_certificate message, const cp_certificate *before, const char *field,
                const char *says)
{
    assert_int_equal(cp_check_certificate(&message, before, TEST_NOW_S, &err), -1);
    assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    assert_string_equal(err.violations[0].field, field);
    if (!strstr(err.violations[0].rule, says))
        fail_msg("\"%s\" does not say \"%s\"", err.violations[0].rule, says);
    assert_int_equal(err.violation_count, 1);
    assert_null(strstr(err.message, "BEGIN PRIVATE KEY-----\n"));
}

static void bad_wish(const char *says, struct test_wish wish)
{
    struct test_certificate made = test_issue(&arena, "made", &wish);
    bad(with(made.pem, made.key_pem), NULL, "certificate_pem", says);
}

#define BAD_WISH(says, ...) bad_wish(says, (struct test_wish){__VA_ARGS__})

static void a_certificate_with_its_key_is_good(void **state)
{
    (void)state;
    good(with(leaf.pem, leaf.key_pem), NULL);
    good(with(join(leaf.pem, authority.pem), leaf.key_pem), NULL);
    good(with(join("some text before\n", leaf.pem), leaf.key_pem), NULL);
    struct test_certificate rsa = test_issue(
        &arena, "r", &(struct test_wish){.rsa_bits = 2048, .names = "DNS:shop.example.com"});
    good(with(rsa.pem, rsa.key_pem), NULL);
    struct test_certificate large =
        test_issue(&arena, "l", &(struct test_wish){.group = "P-521", .names = "IP:::1"});
    good(with(large.pem, large.key_pem), NULL);
}

static void the_chain_goes_from_the_leaf_up(void **state)
{
    (void)state;
    bad(with(join(authority.pem, leaf.pem), authority.key_pem), NULL, "certificate_pem",
        "subject alternative name");
    bad(with(join(leaf.pem, other.pem), leaf.key_pem), NULL, "certificate_pem",
        "certificate 2 is not the issuer of certificate 1");
    struct test_certificate namesake =
        test_issue(&arena, "authority", &(struct test_wish){.constraints = "CA:TRUE"});
    bad(with(join(leaf.pem, namesake.pem), leaf.key_pem), NULL, "certificate_pem",
        "is not the issuer");
    char *many = leaf.pem;
    for (int i = 0; i < CP_CERTIFICATE_CHAIN_MAX; i++)
        many = join(many, authority.pem);
    bad(with(many, leaf.key_pem), NULL, "certificate_pem", "at most 10 certificates");
}

static void what_is_no_pem_of_certificates_is_refused(void **state)
{
    (void)state;
    bad(with("DER", leaf.key_pem), NULL, "certificate_pem", "must be PEM");
    bad(with(join(leaf.pem, leaf.key_pem), leaf.key_pem), NULL, "certificate_pem",
        "belongs into private_key_pem");
    bad(with("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", leaf.key_pem), NULL,
        "certificate_pem", "certificate 1 cannot be read");
    bad(with("-----BEGIN PUBLIC KEY-----\n", leaf.key_pem), NULL, "certificate_pem",
        "certificates alone");
    char *large = gw_arena_bytes(&arena, CP_CERTIFICATE_PEM_MAX + 2);
    memset(large, ' ', CP_CERTIFICATE_PEM_MAX + 1);
    large[CP_CERTIFICATE_PEM_MAX + 1] = '\0';
    bad(with(large, leaf.key_pem), NULL, "certificate_pem", "at most 65536 bytes");
    memset(large, '-', CP_PRIVATE_KEY_PEM_MAX + 1);
    large[CP_PRIVATE_KEY_PEM_MAX + 1] = '\0';
    bad(with(leaf.pem, large), NULL, "private_key_pem", "at most 16384 bytes");
}

static void weak_and_short_lived_ones_are_refused(void **state)
{
    (void)state;
    BAD_WISH("2048 to 4096 bits", .rsa_bits = 1024, .names = "DNS:a.example.com");
    BAD_WISH("2048 to 4096 bits", .rsa_bits = 4104, .names = "DNS:a.example.com");
    BAD_WISH("P-256", .group = "secp256k1", .names = "DNS:a.example.com");
    BAD_WISH("P-521 by its name", .curve = "explicit", .names = "DNS:a.example.com");
    BAD_WISH("subject alternative name", .rsa_bits = 0);
    BAD_WISH("subject alternative name", .names = "email:me@example.com");
    BAD_WISH("has expired", .names = "DNS:a.example.com", .end_s = TEST_NOW_S);
    BAD_WISH("before 2038-01-19T03:14:07Z", .names = "DNS:a.example.com",
             .end_s = CP_CERTIFICATE_LAST_S);
    BAD_WISH("SHA-256 or better", .names = "DNS:a.example.com", .issuer = &authority,
             .digest = EVP_sha1());
    BAD_WISH("key usage", .names = "DNS:a.example.com", .usage = "keyEncipherment");
    BAD_WISH("key usage", .names = "DNS:a.example.com", .extended_usage = "codeSigning");
    struct test_certificate last =
        test_issue(&arena, "last",
                   &(struct test_wish){.names = "DNS:a.example.com",
                                       .end_s = CP_CERTIFICATE_LAST_S - 1,
                                       .usage = "digitalSignature",
                                       .extended_usage = "serverAuth"});
    good(with(last.pem, last.key_pem), NULL);
}

/* Callers refuse the whole of it, and agents do not serve what is weak. */
static void the_chain_is_as_good_as_the_leaf(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        struct test_wish wish;
    } cases[] = {
        {"certificate 2 has expired", {.end_s = TEST_NOW_S}},
        {"certificate 2 is not valid yet", {.begin_s = TEST_NOW_S + 301}},
        {"certificate 2 must have a key as good", {.rsa_bits = 1024}},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct test_wish wish = cases[i].wish;
        wish.constraints = "CA:TRUE";
        struct test_certificate issuer = test_issue(&arena, "issuer", &wish);
        struct test_certificate made = test_issue(
            &arena, "made", &(struct test_wish){.names = "DNS:a.example.com", .issuer = &issuer});
        bad(with(join(made.pem, issuer.pem), made.key_pem), NULL, "certificate_pem", cases[i].says);
    }
    BAD_WISH("certificate 1 is not valid yet", .names = "DNS:a.example.com",
             .begin_s = TEST_NOW_S + 301);
    struct test_certificate new =
        test_issue(&arena, "new",
                   &(struct test_wish){.names = "DNS:a.example.com", .begin_s = TEST_NOW_S + 300});
    good(with(new.pem, new.key_pem), NULL);
}

/* Nobody is asked for a password: with a terminal, the call would wait for it. */
static void encrypted_pem_is_refused_at_once(void **state)
{
    (void)state;
    const char *end = strchr(leaf.pem, '\n') + 1;
    gw_str begin = gw_str_n(leaf.pem, (size_t)(end - leaf.pem));
    char *locked =
        (char *)(uintptr_t)gw_arena_printf(&arena,
                                           "%.*sProc-Type: 4,ENCRYPTED\nDEK-Info: "
                                           "AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n%s",
                                           GW_STR_ARG(begin), end)
            .ptr;
    int asked[2], terminal = dup(STDIN_FILENO);
    assert_int_equal(pipe(asked), 0); /* who asks here gets an answer */
    assert_int_equal(write(asked[1], "secret\n", 7), 7);
    dup2(asked[0], STDIN_FILENO);
    bad(with(locked, leaf.key_pem), NULL, "certificate_pem", "certificate 1 cannot be read");
    int waiting = 0;
    assert_int_equal(ioctl(asked[0], FIONREAD, &waiting), 0);
    dup2(terminal, STDIN_FILENO);
    close(asked[0]), close(asked[1]), close(terminal);
    assert_int_equal(waiting, 7);
}

static void the_key_must_fit_and_be_open(void **state)
{
    (void)state;
    bad(with(leaf.pem, ""), NULL, "private_key_pem", "required with certificate_pem");
    bad(with(leaf.pem, other.key_pem), NULL, "private_key_pem", "does not fit");
    bad(with(leaf.pem, test_key_pem(&arena, leaf.key, EVP_aes_128_cbc())), NULL, "private_key_pem",
        "is encrypted");
    bad(with(leaf.pem, "secret"), NULL, "private_key_pem", "must be PEM");
    bad(with(leaf.pem, join(leaf.key_pem, leaf.key_pem)), NULL, "private_key_pem", "one key");
    bad(with(leaf.pem, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), NULL,
        "private_key_pem", "cannot be read");
    bad(with("", leaf.key_pem), NULL, "private_key_pem", "only with certificate_pem");
}

static void the_stored_key_stays_when_it_fits(void **state)
{
    (void)state;
    cp_certificate before = stored(leaf.pem);
    struct test_certificate renewed = leaf;
    good(with(join(leaf.pem, authority.pem), ""), &before);
    bad(with(other.pem, ""), &before, "private_key_pem", "another key than the one before");
    good(with(other.pem, other.key_pem), &before);
    before = stored("");
    before.sealed_private_key.len = 0;
    bad(with(renewed.pem, ""), &before, "private_key_pem", "required");
}

static void what_has_expired_meanwhile_may_be_described(void **state)
{
    (void)state;
    cp_certificate before = stored(leaf.pem), after = stored(leaf.pem);
    assert_int_equal(cp_check_certificate(&after, &before, TEST_NOW_S + 864000, &err), 0);
    assert_int_equal(cp_check_certificate(&after, NULL, TEST_NOW_S + 864000, &err), -1);
}

static void authorities_stand_alone_or_beside(void **state)
{
    (void)state;
    cp_certificate message = CP_INIT(CERTIFICATE);
    bad(message, NULL, "certificate_pem", "required, unless");
    message.client_ca_pem = join(authority.pem, authority.pem);
    good(message, NULL);
    message.client_ca_pem = leaf.pem;
    struct test_certificate plain = test_issue(
        &arena, "plain", &(struct test_wish){.constraints = "CA:FALSE", .issuer = &authority});
    message.client_ca_pem = join(authority.pem, plain.pem);
    bad(message, NULL, "client_ca_pem", "certificate 2 is not an authority's");
    struct test_certificate old = test_issue(
        &arena, "old", &(struct test_wish){.constraints = "CA:TRUE", .end_s = TEST_NOW_S - 1});
    message.client_ca_pem = old.pem;
    bad(message, NULL, "client_ca_pem", "certificate 1 has expired");
    struct test_certificate weak =
        test_issue(&arena, "weak", &(struct test_wish){.constraints = "CA:TRUE", .rsa_bits = 1024});
    message.client_ca_pem = weak.pem;
    bad(message, NULL, "client_ca_pem", "certificate 1 must have a key as good");
    message.client_ca_pem = authority.key_pem;
    bad(message, NULL, "client_ca_pem", "private key");
}

static void what_is_shown_comes_from_the_certificate(void **state)
{
    (void)state;
    cp_certificate message = stored(leaf.pem);
    assert_string_equal(message.common_name, "Shop");
    assert_int_equal(message.n_subject_alternative_names, 3);
    assert_string_equal(message.subject_alternative_names[0], "shop.example.com");
    assert_string_equal(message.subject_alternative_names[2], "127.0.0.1");
    assert_int_equal(message.not_after_time->seconds, TEST_NOW_S + 86400);
    assert_int_equal(message.not_before_time->seconds, TEST_NOW_S - 86400);
    assert_int_equal(strlen(message.fingerprint_sha256), 64);
    assert_int_equal(message.key_algorithm, CP_ENUM(KEY_ALGORITHM, ECDSA));
    message.certificate_pem = gw_arena_strdup(&arena, "");
    cp_fill_certificate(&arena, &message);
    assert_int_equal(message.n_subject_alternative_names, 0);
    assert_null(message.not_after_time);
    assert_string_equal(message.fingerprint_sha256, "");
}

static void it_covers_what_it_names(void **state)
{
    (void)state;
    cp_certificate message = stored(leaf.pem);
    assert_true(cp_certificate_covers(&message, "shop.example.com"));
    assert_true(cp_certificate_covers(&message, "a.example.com"));
    assert_true(cp_certificate_covers(&message, "*.example.com"));
    assert_false(cp_certificate_covers(&message, "a.b.example.com"));
    assert_false(cp_certificate_covers(&message, "example.com"));
    assert_false(cp_certificate_covers(&message, "*.shop.example.com"));
    message = stored(other.pem);
    assert_false(cp_certificate_covers(&message, "*.example.com"));
}

static void a_renewal_is_as_good(void **state)
{
    (void)state;
    struct test_wish wish = {.names = "DNS:*.example.com,DNS:new.example.org,IP:127.0.0.1",
                             .issuer = &authority};
    cp_certificate before = stored(leaf.pem);
    cp_certificate after = stored(test_issue(&arena, "Shop", &wish).pem);
    assert_true(cp_certificate_is_as_good(&before, &after));
    assert_false(cp_certificate_is_as_good(&after, &before));
    wish.extended_usage = "clientAuth";
    after = stored(test_issue(&arena, "Shop", &wish).pem);
    assert_false(cp_certificate_is_as_good(&before, &after));
    after = before;
    before.client_ca_pem = authority.pem;
    assert_false(cp_certificate_is_as_good(&before, &after));
    assert_true(cp_certificate_is_as_good(&after, &before));
}

static void the_sealed_form_is_one(void **state)
{
    (void)state;
    gw_str first, second;
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey_traditional(bio, leaf.key, NULL, NULL, 0, NULL, NULL);
    char *traditional = test_text_of(&arena, bio);
    const char *with_parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
                                  "-----END EC PARAMETERS-----\n";
    assert_int_equal(cp_certificate_key(&arena, leaf.key_pem, &first, &err), 0);
    assert_int_equal(cp_certificate_key(&arena, join(with_parameters, traditional), &second, &err),
                     0);
    assert_true(gw_str_eq(first, second));
    assert_true(gw_str_has_prefix(first, GW_STR("-----BEGIN PRIVATE KEY-----\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_with_its_key_is_good),
        cmocka_unit_test(the_chain_goes_from_the_leaf_up),
        cmocka_unit_test(what_is_no_pem_of_certificates_is_refused),
        cmocka_unit_test(weak_and_short_lived_ones_are_refused),
        cmocka_unit_test(the_chain_is_as_good_as_the_leaf),
        cmocka_unit_test(encrypted_pem_is_refused_at_once),
        cmocka_unit_test(the_key_must_fit_and_be_open),
        cmocka_unit_test(the_stored_key_stays_when_it_fits),
        cmocka_unit_test(what_has_expired_meanwhile_may_be_described),
        cmocka_unit_test(authorities_stand_alone_or_beside),
        cmocka_unit_test(what_is_shown_comes_from_the_certificate),
        cmocka_unit_test(it_covers_what_it_names),
        cmocka_unit_test(a_renewal_is_as_good),
        cmocka_unit_test(the_sealed_form_is_one),
    };
    return cmocka_run_group_tests(tests, make, done);
}
