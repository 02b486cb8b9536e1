/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/identity_file.h"

#include "common/test.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct gw_arena arena;
static char dir[] = "/tmp/identity-XXXXXX", path[64];

static int begin(void **state)
{
    (void)state;
    gw_arena_init(&arena, 0);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/%s", dir, DP_IDENTITY_FILE);
    return 0;
}

static int end(void **state)
{
    (void)state;
    (void)unlink(path);
    rmdir(dir);
    gw_arena_done(&arena);
    return 0;
}

static X509_REQ *parse(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509_REQ *request = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(request);
    return request;
}

/* A certificate for the request's key, signed by anybody. */
static const char *certify(const char *request_pem, long life_s)
{
    char *bytes;
    X509_REQ *request = parse(request_pem);
    EVP_PKEY *signer = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_set_pubkey(certificate, X509_REQ_get0_pubkey(request));
    X509_gmtime_adj(X509_getm_notBefore(certificate), -300);
    X509_gmtime_adj(X509_getm_notAfter(certificate), life_s);
    assert_true(X509_sign(certificate, signer, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, certificate);
    long length = BIO_get_mem_data(bio, &bytes);
    const char *text = gw_arena_dup(&arena, gw_str_n(bytes, (size_t)length)).ptr;
    BIO_free(bio);
    X509_free(certificate);
    EVP_PKEY_free(signer);
    X509_REQ_free(request);
    return text;
}

static void key_and_certificate_are_one_file(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    struct dp_key *key, *other;
    const char *request, *ignored;
    struct dp_identity_times times;
    struct stat st;
    assert_false(dp_identity_read(path, &times));
    assert_int_equal(dp_key_make("edge", &arena, &key, &request, &err), 0);
    assert_int_equal(dp_key_make("edge", &arena, &other, &ignored, &err), 0);
    const char *certificate = certify(request, 3600);
    assert_int_equal(dp_identity_write(path, other, certificate, &err), -1);
    assert_non_null(strstr(err.message, "another key"));
    assert_int_equal(stat(path, &st), -1);
    assert_int_equal(dp_identity_write(path, key, certificate, &err), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    int64_t now_s = time(NULL);
    assert_true(dp_identity_read(path, &times));
    assert_true(times.begin_s >= now_s - 60); /* since it is here, not since it is dated */
    assert_true(times.end_s > now_s + 3000 && times.end_s <= now_s + 3601);
    dp_key_free(key);
    dp_key_free(other);
    dp_key_free(NULL);
}

static void a_request_has_the_agents_name_where_it_fits(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    char name[130] = "", longest[129];
    struct dp_key *key;
    const char *pem;
    assert_int_equal(dp_key_make("edge", &arena, &key, &pem, &err), 0);
    X509_REQ *request = parse(pem);
    X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(request), NID_commonName, name,
                              sizeof(name));
    assert_string_equal(name, "edge");
    assert_int_equal(X509_REQ_verify(request, X509_REQ_get0_pubkey(request)), 1);
    X509_REQ_free(request);
    dp_key_free(key);
    memset(longest, 'a', 128);
    longest[128] = '\0';
    assert_int_equal(dp_key_make(longest, &arena, &key, &pem, &err), 0);
    request = parse(pem);
    assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(request)), 0);
    X509_REQ_free(request);
    dp_key_free(key);
}

static void tokens_stand_without_blanks(void **state)
{
    (void)state;
    FILE *file = fopen(path, "w");
    fputs(" id.secret \r\n", file);
    fclose(file);
    assert_str(dp_token_read(path, &arena), "id.secret");
    file = fopen(path, "w");
    fputs("\n", file);
    fclose(file);
    assert_null(dp_token_read(path, &arena).ptr);
    unlink(path);
    assert_null(dp_token_read(path, &arena).ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_and_certificate_are_one_file),
        cmocka_unit_test(a_request_has_the_agents_name_where_it_fits),
        cmocka_unit_test(tokens_stand_without_blanks),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
