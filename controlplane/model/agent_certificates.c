/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/agent_certificates.h"

#include "controlplane/model/agent_ids.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define AUTHORITY_NAME "Penstock agents"
#define AUTHORITY_LIFE_S ((int64_t)10 * 365 * 86400)
#define BACKDATED_S 300 /* clocks of agents may be a little behind */
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 4096
#define SERIAL_BYTES 16

GW_MUST_CHECK static int fail(struct gw_error *err, const char *what)
{
    ERR_clear_error();
    return gw_fail(err, GW_INTERNAL, "%s", what);
}

static int refuse(struct gw_error *err, const char *rule)
{
    ERR_clear_error();
    return gw_fail_field(err, "certificate_request_pem", "%s", rule);
}

/* ---- texts */

static const char *read_bio(BIO *bio, struct gw_arena *arena)
{
    char *bytes;
    long length = BIO_get_mem_data(bio, &bytes);
    return gw_arena_dup(arena, gw_str_n(bytes, (size_t)GW_MAX(length, 0L))).ptr;
}

static const char *write_certificate(X509 *certificate, struct gw_arena *arena)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const char *text =
        bio && PEM_write_bio_X509(bio, certificate) == 1 ? read_bio(bio, arena) : NULL;
    BIO_free(bio);
    return text;
}

static const char *write_key(EVP_PKEY *key, struct gw_arena *arena)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const char *text = bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1
                           ? read_bio(bio, arena)
                           : NULL;
    BIO_free(bio);
    return text;
}

static X509 *read_certificate(gw_str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    return certificate;
}

static void to_hex(const unsigned char *bytes, size_t count, char *ret_hex)
{
    for (size_t i = 0; i < count; i++)
        (void)snprintf(ret_hex + 2 * i, 3, "%02x", bytes[i]);
}

static bool fingerprint_of(const X509 *certificate, char ret_hex[CP_FINGERPRINT_CHARS + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (X509_digest(certificate, EVP_sha256(), digest, &length) != 1)
        return false;
    to_hex(digest, length, ret_hex);
    return true;
}

bool cp_certificate_fingerprint(gw_str pem, char ret_hex[CP_FINGERPRINT_CHARS + 1])
{
    X509 *certificate = pem.len > 0 ? read_certificate(pem) : NULL;
    bool found = certificate && fingerprint_of(certificate, ret_hex);
    X509_free(certificate);
    return found;
}

/* ---- certificates */

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool added = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool set_serial(X509 *certificate)
{
    unsigned char bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    bytes[0] &= 0x7f; /* positive */
    bytes[0] |= 0x40; /* and of full length */
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    return set;
}

static bool set_name(X509_NAME *name, const char *text)
{
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)text, -1,
                                      -1, 0) == 1;
}

static X509 *begin(const char *name, EVP_PKEY *key, int64_t begin_s, int64_t end_s)
{
    X509 *certificate = X509_new();
    if (certificate && X509_set_version(certificate, 2) == 1 && set_serial(certificate) &&
        ASN1_TIME_set(X509_getm_notBefore(certificate), begin_s) &&
        ASN1_TIME_set(X509_getm_notAfter(certificate), end_s) &&
        set_name(X509_get_subject_name(certificate), name) &&
        X509_set_pubkey(certificate, key) == 1)
        return certificate;
    X509_free(certificate);
    return NULL;
}

static bool finish_authority(X509 *certificate, EVP_PKEY *key)
{
    return X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1 &&
           add_extension(certificate, certificate, NID_basic_constraints,
                         "critical,CA:TRUE,pathlen:0") &&
           add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign") &&
           add_extension(certificate, certificate, NID_subject_key_identifier, "hash") &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

int cp_agent_authority_make(int64_t now_s, struct gw_arena *arena, struct cp_pem_pair *ret,
                            struct gw_error *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate =
        key ? begin(AUTHORITY_NAME, key, now_s - BACKDATED_S, now_s + AUTHORITY_LIFE_S) : NULL;
    *ret = (struct cp_pem_pair){NULL, NULL};
    if (certificate && finish_authority(certificate, key))
        *ret = (struct cp_pem_pair){write_certificate(certificate, arena), write_key(key, arena)};
    X509_free(certificate);
    EVP_PKEY_free(key);
    return ret->certificate && ret->key ? 0 : fail(err, "the authority of agents cannot be made");
}

/* ---- requests */

static int check_key(EVP_PKEY *key, struct gw_error *err)
{
    char group[64] = "";
    int type = EVP_PKEY_get_base_id(key), bits = EVP_PKEY_get_bits(key);
    (void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
    bool is_good_curve = strcmp(group, "prime256v1") == 0 || strcmp(group, "P-256") == 0 ||
                         strcmp(group, "secp384r1") == 0 || strcmp(group, "P-384") == 0;
    if (type == EVP_PKEY_EC && is_good_curve)
        return 0;
    if (type == EVP_PKEY_RSA && bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX)
        return 0;
    return refuse(err, "its key must be of P-256, P-384, or RSA of 2048 to 4096 bits");
}

/* Nobody gets a certificate with a name that is not the agent's. */
static int check_names(X509_REQ *request, const char *agent_id, struct gw_error *err)
{
    char name[CP_AGENT_ID_MAX + 2] = "";
    X509_NAME *subject = X509_REQ_get_subject_name(request);
    int entries = X509_NAME_entry_count(subject);
    if (X509_REQ_get_attr_count(request) > 0)
        return refuse(err, "must ask for no extensions, and have no other attributes");
    if (entries == 0)
        return 0;
    int length = X509_NAME_get_text_by_NID(subject, NID_commonName, name, sizeof(name));
    if (entries > 1 || length < 0 || (size_t)length != strlen(agent_id) ||
        strcmp(name, agent_id) != 0)
        return refuse(err, "its name must be the agent's id as common name, or nothing");
    return 0;
}

static X509_REQ *read_request(const char *pem, const char *agent_id, struct gw_error *err)
{
    size_t length = strnlen(pem, CP_CSR_BYTES_MAX + 1);
    BIO *bio = length <= CP_CSR_BYTES_MAX ? BIO_new_mem_buf(pem, (int)length) : NULL;
    X509_REQ *request = bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = request ? X509_REQ_get0_pubkey(request) : NULL;
    int failed = 0;
    BIO_free(bio);
    if (!key)
        failed = refuse(err, "must be a PKCS#10 request in PEM of at most 16 KiB");
    else if (check_key(key, err) < 0 || check_names(request, agent_id, err) < 0)
        failed = -1;
    else if (X509_REQ_verify(request, key) != 1)
        failed = refuse(err, "must be signed with its key");
    if (!failed)
        return request;
    X509_REQ_free(request);
    return NULL;
}

static bool finish_agent(X509 *certificate, X509 *issuer, EVP_PKEY *issuer_key,
                         const char *agent_id)
{
    char uri[sizeof("URI:" CP_AGENT_URI) + CP_AGENT_ID_MAX];
    (void)snprintf(uri, sizeof(uri), "URI:" CP_AGENT_URI "%s", agent_id);
    return X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
           add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, issuer, NID_ext_key_usage, "clientAuth") &&
           add_extension(certificate, issuer, NID_subject_alt_name, uri) &&
           add_extension(certificate, issuer, NID_authority_key_identifier, "keyid") &&
           X509_sign(certificate, issuer_key, EVP_sha256()) > 0;
}

static EVP_PKEY *read_key(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return key;
}

int cp_agent_certificate_sign(const struct cp_pem_pair *authority, const char *request_pem,
                              const char *agent_id, int64_t now_s, int64_t life_s,
                              struct gw_arena *arena, struct cp_agent_certificate *ret,
                              struct gw_error *err)
{
    *ret = (struct cp_agent_certificate){.expiry_s = now_s + life_s};
    X509_REQ *request = read_request(request_pem, agent_id, err);
    if (!request)
        return -1;
    X509 *issuer = read_certificate(gw_str_from(authority->certificate));
    EVP_PKEY *key = read_key(authority->key);
    X509 *certificate =
        begin(agent_id, X509_REQ_get0_pubkey(request), now_s - BACKDATED_S, ret->expiry_s);
    char hex[CP_FINGERPRINT_CHARS + 1] = "";
    if (issuer && key && certificate && finish_agent(certificate, issuer, key, agent_id) &&
        fingerprint_of(certificate, hex)) {
        ret->pem = write_certificate(certificate, arena);
        ret->fingerprint = gw_arena_strdup(arena, hex);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    X509_free(issuer);
    X509_REQ_free(request);
    return ret->pem ? 0 : fail(err, "the agent's certificate cannot be signed");
}
