/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/identity_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct dp_key {
    EVP_PKEY *pkey; /* owned */
};

void dp_key_free(struct dp_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

static const char *write_request(X509_REQ *request, struct gw_arena *arena)
{
    char *bytes;
    BIO *bio = BIO_new(BIO_s_mem());
    const char *text = NULL;
    if (bio && PEM_write_bio_X509_REQ(bio, request) == 1) {
        long length = BIO_get_mem_data(bio, &bytes);
        text = gw_arena_dup(arena, gw_str_n(bytes, (size_t)length)).ptr;
    }
    BIO_free(bio);
    return text;
}

static const char *make_request(EVP_PKEY *pkey, const char *name, struct gw_arena *arena)
{
    X509_REQ *request = X509_REQ_new();
    const char *text = NULL;
    if (request && X509_REQ_set_version(request, 0) == 1 &&
        X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), "CN", MBSTRING_UTF8,
                                   (const unsigned char *)name, -1, -1, 0) == 1 &&
        X509_REQ_set_pubkey(request, pkey) == 1 && X509_REQ_sign(request, pkey, EVP_sha256()) > 0)
        text = write_request(request, arena);
    X509_REQ_free(request);
    return text;
}

/* X.509 has names of at most 64 characters: longer ids stand in the call alone. */
static bool fits_a_name(const char *agent_id)
{
    return strlen(agent_id) <= 64;
}

static const char *make_nameless_request(EVP_PKEY *pkey, struct gw_arena *arena)
{
    X509_REQ *request = X509_REQ_new();
    const char *text = NULL;
    if (request && X509_REQ_set_version(request, 0) == 1 &&
        X509_REQ_set_pubkey(request, pkey) == 1 && X509_REQ_sign(request, pkey, EVP_sha256()) > 0)
        text = write_request(request, arena);
    X509_REQ_free(request);
    return text;
}

int dp_key_make(const char *agent_id, struct gw_arena *arena, struct dp_key **ret_key,
                const char **ret_request_pem, struct gw_error *err)
{
    struct dp_key *key = gw_calloc(1, sizeof(*key));
    key->pkey = EVP_EC_gen("P-256");
    *ret_request_pem = NULL;
    if (key->pkey)
        *ret_request_pem = fits_a_name(agent_id) ? make_request(key->pkey, agent_id, arena)
                                                 : make_nameless_request(key->pkey, arena);
    if (*ret_request_pem) {
        *ret_key = key;
        return 0;
    }
    dp_key_free(key);
    ERR_clear_error();
    return gw_fail(err, GW_INTERNAL, "a key cannot be made");
}

/* ---- the file */

static X509 *parse(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    return certificate;
}

static bool is_of(const char *certificate_pem, const struct dp_key *key)
{
    X509 *certificate = parse(certificate_pem);
    bool fits = certificate && X509_check_private_key(certificate, key->pkey) == 1;
    X509_free(certificate);
    ERR_clear_error();
    return fits;
}

static int write_open(int fd, const struct dp_key *key, const char *certificate_pem)
{
    FILE *file = fdopen(fd, "w");
    if (!file) {
        close(fd);
        return -1;
    }
    bool written = PEM_write_PrivateKey(file, key->pkey, NULL, NULL, 0, NULL, NULL) == 1 &&
                   fputs(certificate_pem, file) >= 0 && fflush(file) == 0 &&
                   fsync(fileno(file)) == 0;
    return fclose(file) == 0 && written ? 0 : -1;
}

int dp_identity_write(const char *path, const struct dp_key *key, const char *certificate_pem,
                      struct gw_error *err)
{
    char fresh[PATH_MAX];
    if (!is_of(certificate_pem, key))
        return gw_fail(err, GW_INTERNAL, "the control plane sent a certificate of another key");
    int length = snprintf(fresh, sizeof(fresh), "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof(fresh))
        return gw_fail(err, GW_INVALID_ARGUMENT, "%s: the path is too long", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write_open(fd, key, certificate_pem) < 0 || rename(fresh, path) < 0)
        return gw_fail(err, GW_FAILED_PRECONDITION, "%s: %s", fresh, strerror(errno));
    return 0;
}

static bool read_time(const ASN1_TIME *from, int64_t *ret_s)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(from, &tm) != 1)
        return false;
    *ret_s = timegm(&tm);
    return true;
}

bool dp_identity_read(const char *path, struct dp_identity_times *ret)
{
    struct stat st;
    BIO *bio = BIO_new_file(path, "r");
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    bool found = certificate && read_time(X509_get0_notBefore(certificate), &ret->begin_s) &&
                 read_time(X509_get0_notAfter(certificate), &ret->end_s);
    X509_free(certificate);
    BIO_free(bio);
    ERR_clear_error();
    if (found && stat(path, &st) == 0) /* certificates are backdated for clocks that are behind */
        ret->begin_s = GW_MAX(ret->begin_s, (int64_t)st.st_mtim.tv_sec);
    return found;
}

gw_str dp_token_read(const char *path, struct gw_arena *arena)
{
    char bytes[DP_TOKEN_BYTES_MAX];
    FILE *file = fopen(path, "re");
    if (!file)
        return GW_STR_NONE;
    size_t length = fread(bytes, 1, sizeof(bytes), file);
    (void)fclose(file); /* only read */
    gw_str text = gw_str_n(bytes, length);
    while (text.len > 0 && strchr(" \t\r\n", text.ptr[text.len - 1]))
        text.len--;
    text = gw_str_trim(text);
    return text.len > 0 ? gw_arena_dup(arena, text) : GW_STR_NONE;
}
