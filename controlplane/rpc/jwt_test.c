/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/jwt.h"

#include "controlplane/rpc/test_jwt.h"

#define NOW_S 1000000000
#define ISSUER "https://id.example.com"
/* A payload that is right but for what comes after it. */
#define PAYLOAD(more) "{\"iss\":\"" ISSUER "\",\"sub\":\"ann\"" more "}"
#define TIMES ",\"exp\":1000000300"
#define AUD ",\"aud\":\"penstock\""

static struct gw_arena arena;
static cjose_jwk_t *rsa, *other_rsa, *ec256, *ec384, *ec521;
static struct cp_issuer issuers[2];

static const char *const audiences[] = {"other", "penstock"};
static const char *const all[] = {"RS256", "RS384", "RS512", "PS256", "PS384",
                                  "PS512", "ES256", "ES384", "ES512"};

static struct cp_jwks jwks_of(const char *json)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_jwks jwks;
    if (cp_jwks_parse(gw_str_from(json), &arena, &jwks, &err))
        fail_msg("%s: %s", json, err.message);
    return jwks;
}

static int make(void **state)
{
    (void)state;
    rsa = test_rsa("r", 2048);
    other_rsa = test_rsa("r", 2048); /* the same kid */
    ec256 = test_ec("e256", CJOSE_JWK_EC_P_256);
    ec384 = test_ec("e384", CJOSE_JWK_EC_P_384);
    ec521 = test_ec("e521", CJOSE_JWK_EC_P_521);
    gw_str set =
        gw_arena_printf(&arena, "{\"keys\":[%s,%s,%s,%s]}", test_jwk(&arena, rsa),
                        test_jwk(&arena, ec256), test_jwk(&arena, ec384), test_jwk(&arena, ec521));
    gw_str other = gw_arena_printf(&arena, "{\"keys\":[%s]}", test_jwk(&arena, other_rsa));
    issuers[0] = (struct cp_issuer){.issuer = "https://other.example.com",
                                    .audiences = {audiences, 2},
                                    .algorithms = {all, 1},
                                    .jwks = jwks_of(other.ptr)};
    issuers[1] = (struct cp_issuer){.issuer = ISSUER,
                                    .audiences = {audiences, 2},
                                    .algorithms = {all, GW_ARRAY_LEN(all)},
                                    .leeway_s = 30,
                                    .jwks = jwks_of(set.ptr)};
    return 0;
}

static int done(void **state)
{
    (void)state;
    cjose_jwk_t *const keys[] = {rsa, other_rsa, ec256, ec384, ec521};
    for (size_t i = 0; i < GW_ARRAY_LEN(keys); i++)
        cjose_jwk_release(keys[i]);
    gw_arena_done(&arena);
    return 0;
}

/* "ann", or why not. */
static const char *verify(const char *token)
{
    static char text[GW_ERROR_MESSAGE_MAX];
    struct gw_error err = GW_ERROR_NONE;
    const struct cp_issuer *issuer;
    json_t *claims;
    if (cp_jwt_verify(issuers, GW_ARRAY_LEN(issuers), token, NOW_S, &issuer, &claims, &err)) {
        assert_int_equal(err.code, GW_UNAUTHENTICATED);
        (void)snprintf(text, sizeof(text), "%s", err.message);
        return text;
    }
    assert_ptr_equal(issuer, &issuers[1]);
    (void)snprintf(text, sizeof(text), "%s", cp_claim_text(claims, "sub"));
    json_decref(claims);
    return text;
}

static const char *rs256(const char *payload)
{
    return verify(test_sign(&arena, rsa, "RS256", "{}", payload));
}

static void every_algorithm(void **state)
{
    (void)state;
    static const char payload[] = PAYLOAD(TIMES AUD);
    for (size_t i = 0; i < GW_ARRAY_LEN(all); i++) {
        const cjose_jwk_t *key = all[i][0] != 'E'               ? rsa
                                 : strcmp(all[i], "ES256") == 0 ? ec256
                                 : strcmp(all[i], "ES384") == 0 ? ec384
                                                                : ec521;
        assert_string_equal(verify(test_sign(&arena, key, all[i], "{}", payload)), "ann");
    }
    assert_string_equal(verify(test_sign(&arena, rsa, "RS256", "{\"kid\":\"r\"}", payload)), "ann");
    assert_string_equal(verify(test_sign(&arena, rsa, "RS256", "{\"typ\":\"at+JWT\"}", payload)),
                        "ann");
}

static void wrong_signatures(void **state)
{
    (void)state;
    static const char payload[] = PAYLOAD(TIMES AUD);
    static const char wrong[] = "the JWT has a wrong signature";
    static const char no_key[] = "the JWT is signed by a key that the issuer has not";
    assert_string_equal(verify(test_sign(&arena, other_rsa, "RS256", "{}", payload)), wrong);
    assert_string_equal(verify(test_sign(&arena, rsa, "RS256", "{\"kid\":\"x\"}", payload)),
                        no_key);
    /* The key of that name is one of another kind. */
    assert_string_equal(verify(test_sign(&arena, rsa, "RS256", "{\"kid\":\"e256\"}", payload)),
                        no_key);
    /* Another payload under the signature, and half of a signature. */
    const char *good = test_sign(&arena, rsa, "RS256", "{}", payload);
    const char *signature = strrchr(good, '.');
    const char *header = gw_arena_dup(&arena, gw_str_n(good, strcspn(good, "."))).ptr;
    const char *more = test_base64url(&arena, PAYLOAD(TIMES AUD ",\"groups\":\"admin\""));
    assert_string_equal(verify(gw_arena_printf(&arena, "%s.%s%s", header, more, signature).ptr),
                        wrong);
    gw_str half = gw_str_n(good, strlen(good) - strlen(signature) / 2);
    assert_string_equal(verify(gw_arena_dup(&arena, half).ptr), wrong);
}

static void algorithms_that_are_not_allowed(void **state)
{
    (void)state;
    cjose_err err;
    static const char payload[] = PAYLOAD(TIMES AUD);
    static const char not_allowed[] = "the JWT has an algorithm that its issuer may not use";
    static const char *const none[] = {"none", "None", "NONE", "", "HS256", "RS1"};
    for (size_t i = 0; i < GW_ARRAY_LEN(none); i++) {
        gw_str header = gw_arena_printf(&arena, "{\"alg\":\"%s\"}", none[i]);
        const char *first = test_base64url(&arena, header.ptr),
                   *second = test_base64url(&arena, payload);
        assert_string_equal(verify(gw_arena_printf(&arena, "%s.%s.AAAA", first, second).ptr),
                            not_allowed);
        assert_string_equal(verify(gw_arena_printf(&arena, "%s.%s.", first, second).ptr),
                            "the JWT is none: three parts of base64url, two of them JSON");
    }
    /* The public key as if it were a secret. */
    const char *public = test_jwk(&arena, rsa);
    cjose_jwk_t *oct = cjose_jwk_create_oct_spec((const uint8_t *)public, strlen(public), &err);
    assert_non_null(oct);
    assert_string_equal(verify(test_sign(&arena, oct, "HS256", "{\"kid\":\"r\"}", payload)),
                        not_allowed);
    cjose_jwk_release(oct);
    /* One that another issuer may use. */
    struct cp_texts before = issuers[1].algorithms;
    issuers[1].algorithms = (struct cp_texts){&all[1], 1};
    assert_string_equal(rs256(payload), not_allowed);
    assert_string_equal(verify(test_sign(&arena, rsa, "RS384", "{}", payload)), "ann");
    issuers[1].algorithms = before;
}

static void headers_that_are_refused(void **state)
{
    (void)state;
    static const char payload[] = PAYLOAD(TIMES AUD);
    assert_string_equal(
        verify(test_sign(&arena, rsa, "RS256", "{\"crit\":[\"x\"],\"x\":1}", payload)),
        "the JWT has extensions that must be understood, and none is");
    assert_string_equal(
        verify(test_sign(&arena, rsa, "RS256", "{\"typ\":\"logout+jwt\"}", payload)),
        "the JWT is of another type (typ)");
    assert_string_equal(verify(test_sign(&arena, rsa, "RS256", "{\"typ\":7}", payload)),
                        "the JWT is of another type (typ)");
}

static void times(void **state)
{
    (void)state;
    static const char expired[] = "the JWT has expired";
    static const char early[] = "the JWT is not valid yet (nbf)";
    static const char no_exp[] = "the JWT has no exp, which is needed";
    assert_string_equal(rs256(PAYLOAD(AUD ",\"exp\":1000000000")), "ann"); /* leeway */
    assert_string_equal(rs256(PAYLOAD(AUD ",\"exp\":999999971")), "ann");
    assert_string_equal(rs256(PAYLOAD(AUD ",\"exp\":999999970")), expired);
    assert_string_equal(rs256(PAYLOAD(AUD ",\"exp\":0")), expired);
    assert_string_equal(rs256(PAYLOAD(AUD ",\"exp\":1000000000.5")), "ann");
    assert_string_equal(rs256(PAYLOAD(AUD)), no_exp);
    assert_string_equal(rs256(PAYLOAD(AUD ",\"exp\":\"1000000300\"")), no_exp);
    assert_string_equal(rs256(PAYLOAD(AUD ",\"exp\":-1")), no_exp);
    assert_string_equal(rs256(PAYLOAD(AUD ",\"exp\":1e300")), no_exp);
    assert_string_equal(rs256(PAYLOAD(AUD TIMES ",\"nbf\":1000000030")), "ann");
    assert_string_equal(rs256(PAYLOAD(AUD TIMES ",\"nbf\":1000000031")), early);
    assert_string_equal(rs256(PAYLOAD(AUD TIMES ",\"nbf\":null")),
                        "the JWT has an nbf that is no time");
}

static void issuers_and_audiences(void **state)
{
    (void)state;
    static const char unknown[] = "the JWT is of an issuer that is not known here";
    static const char foreign[] = "the JWT is for somebody else (aud)";
    assert_string_equal(
        rs256("{\"iss\":\"https://evil.example.com\",\"sub\":\"ann\"" TIMES AUD "}"), unknown);
    assert_string_equal(rs256("{\"iss\":[\"" ISSUER "\"],\"sub\":\"ann\"" TIMES AUD "}"), unknown);
    assert_string_equal(rs256("{\"sub\":\"ann\"" TIMES AUD "}"), unknown);
    /* The other issuer is known, and this is not its key. */
    assert_string_equal(
        rs256("{\"iss\":\"https://other.example.com\",\"sub\":\"ann\"" TIMES AUD "}"),
        "the JWT has a wrong signature");
    assert_string_equal(rs256(PAYLOAD(TIMES ",\"aud\":[\"x\",\"penstock\"]")), "ann");
    assert_string_equal(rs256(PAYLOAD(TIMES ",\"aud\":[\"x\",7]")), foreign);
    assert_string_equal(rs256(PAYLOAD(TIMES ",\"aud\":\"Penstock\"")), foreign);
    assert_string_equal(rs256(PAYLOAD(TIMES ",\"aud\":{}")), foreign);
    assert_string_equal(rs256(PAYLOAD(TIMES)), foreign);
}

static void what_is_no_jwt(void **state)
{
    (void)state;
    static const char none[] = "the JWT is none: three parts of base64url, two of them JSON";
    static const char *const tokens[] = {"..",     "a.b.c",  "e30.e30",  "e30.e30.",
                                         "e30..c", ".e30.c", "!!!.e30.c"};
    for (size_t i = 0; i < GW_ARRAY_LEN(tokens); i++)
        assert_string_equal(verify(tokens[i]), none);
    const char *header = test_base64url(&arena, "{\"alg\":\"RS256\"}");
    static const char *const payloads[] = {"[]", "7", "{", "{\"a\":1,\"a\":2}", "{\"a\":\"\xff\"}"};
    for (size_t i = 0; i < GW_ARRAY_LEN(payloads); i++) {
        const char *payload = test_base64url(&arena, payloads[i]);
        assert_string_equal(verify(gw_arena_printf(&arena, "%s.%s.AAAA", header, payload).ptr),
                            none);
    }
    char *large = gw_arena_bytes(&arena, CP_JWT_MAX + 2);
    memset(large, 'a', CP_JWT_MAX + 1);
    large[CP_JWT_MAX + 1] = '\0';
    assert_string_equal(verify(large), "the JWT is larger than 8192 bytes");
    assert_true(cp_jwt_is("a.b.c"));
    assert_false(cp_jwt_is("a.b"));
    assert_false(cp_jwt_is("a.b.c.d"));
}

static void claims_of_all_sorts(void **state)
{
    (void)state;
    json_error_t at;
    json_t *claims = json_loads("{\"team\":\"shop\",\"groups\":[\"a\",\"b\",7],\"x.y\":\"dotted\","
                                "\"realm\":{\"roles\":[\"admin\"],\"a\":{\"b\":\"deep\"}},\"n\":7}",
                                0, &at);
    assert_true(cp_claim_has(claims, "team", "shop"));
    assert_true(cp_claim_has(claims, "groups", "b"));
    assert_true(cp_claim_has(claims, "x.y", "dotted"));
    assert_true(cp_claim_has(claims, "realm.roles", "admin"));
    assert_true(cp_claim_has(claims, "realm.a.b", "deep"));
    assert_false(cp_claim_has(claims, "team", "sho"));
    assert_false(cp_claim_has(claims, "groups", "7"));
    assert_false(cp_claim_has(claims, "n", "7"));
    assert_false(cp_claim_has(claims, "realm", "admin"));
    assert_false(cp_claim_has(claims, "none.at.all", "x"));
    assert_null(cp_claim_text(claims, "groups"));
    json_decref(claims);
}

static void expect_jwks(const char *json, const char *message)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_jwks jwks;
    assert_int_equal(cp_jwks_parse(gw_str_from(json), &arena, &jwks, &err), -1);
    assert_string_equal(err.message, message);
}

static void key_sets_that_are_refused(void **state)
{
    (void)state;
    cjose_err err;
    expect_jwks("", "not a JWKS: an object with a list of \"keys\"");
    expect_jwks("{\"keys\":{}}", "not a JWKS: an object with a list of \"keys\"");
    expect_jwks("{\"keys\":[7]}", "keys[0]: must be an object");
    static const char secret[] = "keys[0]: a secret; only public keys belong into this file";
    expect_jwks("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", secret);
    char *private = cjose_jwk_to_json(rsa, true, &err);
    expect_jwks(gw_arena_printf(&arena, "{\"keys\":[%s]}", private).ptr, secret);
    free(private);
    expect_jwks("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}]}",
                "keys[0]: not a key that can be read");
    expect_jwks("{\"keys\":[]}", "no key for signatures: RSA, or EC with P-256, P-384 or P-521");
    cjose_jwk_t *small = test_rsa("s", 1024);
    expect_jwks(gw_arena_printf(&arena, "{\"keys\":[%s]}", test_jwk(&arena, small)).ptr,
                "keys[0]: an RSA key of 1024 bits; 2048 to 8192 are taken");
    cjose_jwk_release(small);
    gw_str many = GW_STR("{}");
    for (int i = 0; i < CP_JWKS_KEYS_MAX; i++)
        many = gw_arena_printf(&arena, "{},%.*s", GW_STR_ARG(many));
    expect_jwks(gw_arena_printf(&arena, "{\"keys\":[%.*s]}", GW_STR_ARG(many)).ptr,
                "more than 50 keys");
}

/* Keys for encryption and of kinds that we do not take stand beside the others. */
static void keys_that_are_left_out(void **state)
{
    (void)state;
    struct cp_jwks jwks = jwks_of(
        gw_arena_printf(&arena,
                        "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"},"
                        "{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"AAAA\",\"e\":\"AQAB\"},"
                        "{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP\",\"n\":\"AAAA\",\"e\":\"AQAB\"},%s]}",
                        test_jwk(&arena, ec256))
            .ptr);
    assert_int_equal(jwks.count, 1);
    assert_string_equal(jwks.keys[0].kid, "e256");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_algorithm),
        cmocka_unit_test(wrong_signatures),
        cmocka_unit_test(algorithms_that_are_not_allowed),
        cmocka_unit_test(headers_that_are_refused),
        cmocka_unit_test(times),
        cmocka_unit_test(issuers_and_audiences),
        cmocka_unit_test(what_is_no_jwt),
        cmocka_unit_test(claims_of_all_sorts),
        cmocka_unit_test(key_sets_that_are_refused),
        cmocka_unit_test(keys_that_are_left_out),
    };
    return cmocka_run_group_tests(tests, make, done);
}
