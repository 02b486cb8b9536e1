/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/certificate_pem.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define BEGIN "-----BEGIN "
#define DASHES "-----"
#define COMMON_NAME_MAX 255

/* ---- certificates */

void cp_chain_done(struct cp_chain *chain)
{
    for (size_t i = 0; i < chain->count; i++)
        X509_free(chain->items[i]);
    chain->count = 0;
}

/* The next block's label: "CERTIFICATE". ptr NULL: none. */
static gw_str next_label(const char **text)
{
    const char *begin = strstr(*text, BEGIN);
    if (!begin)
        return GW_STR_NONE;
    begin += strlen(BEGIN);
    const char *end = strstr(begin, DASHES);
    size_t len = end ? (size_t)(end - begin) : strlen(begin);
    *text = begin + len;
    return gw_str_n(begin, len);
}

static int check_labels(const char *pem, size_t max, const char *field, struct gw_error *err)
{
    size_t count = 0;
    gw_str label;
    if (strlen(pem) > CP_CERTIFICATE_PEM_MAX)
        return gw_fail_field(err, field, "must be at most %d bytes", CP_CERTIFICATE_PEM_MAX);
    if (strstr(pem, "PRIVATE KEY"))
        return gw_fail_field(err, field, "holds a private key: that belongs into private_key_pem");
    for (; (label = next_label(&pem)).ptr; count++)
        if (!gw_str_eq(label, GW_STR("CERTIFICATE")))
            return gw_fail_field(err, field, "must be PEM of certificates alone");
    if (count == 0)
        return gw_fail_field(err, field, "must be PEM: \"-----BEGIN CERTIFICATE-----\"");
    if (count > max)
        return gw_fail_field(err, field, "must be at most %zu certificates", max);
    return 0;
}

/* PEM of any kind may be encrypted, and OpenSSL would ask at the terminal. */
static int on_password(char *buffer, int size, int is_writing, void *asked)
{
    (void)buffer;
    (void)size;
    (void)is_writing;
    *(bool *)asked = true;
    return -1;
}

int cp_chain_read(const char *pem, size_t max, const char *field, struct cp_chain *ret_chain,
                  struct gw_error *err)
{
    ret_chain->count = 0;
    if (check_labels(pem, GW_MIN(max, (size_t)CP_CERTIFICATE_AUTHORITIES_MAX), field, err) < 0)
        return -1;
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *item;
    bool ignored;
    while (ret_chain->count < CP_CERTIFICATE_AUTHORITIES_MAX &&
           (item = PEM_read_bio_X509(bio, NULL, on_password, &ignored)))
        ret_chain->items[ret_chain->count++] = item;
    BIO_free(bio);
    bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    bool is_full = ret_chain->count == CP_CERTIFICATE_AUTHORITIES_MAX;
    ERR_clear_error();
    if (ret_chain->count > 0 && (is_end || is_full))
        return 0;
    return gw_fail_field(err, field, "certificate %zu cannot be read", ret_chain->count + 1);
}

/* ---- names */

static bool is_dns_text(gw_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && c != '-' && c != '.' && c != '_' && c != '*')
            return false;
    }
    return text.len > 0;
}

static gw_str name_text(const GENERAL_NAME *name, char address[INET6_ADDRSTRLEN])
{
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    if (type != GEN_DNS && type != GEN_IPADD)
        return GW_STR_NONE;
    gw_str bytes =
        gw_str_n((const char *)ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
    if (type == GEN_DNS)
        return is_dns_text(bytes) ? bytes : GW_STR_NONE;
    if ((bytes.len != 4 && bytes.len != 16) ||
        !inet_ntop(bytes.len == 4 ? AF_INET : AF_INET6, bytes.ptr, address, INET6_ADDRSTRLEN))
        return GW_STR_NONE;
    return gw_str_from(address);
}

struct cp_chain_names cp_chain_names(struct gw_arena *arena, X509 *leaf)
{
    struct cp_chain_names names = {NULL, 0};
    GENERAL_NAMES *all = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    int count = all ? sk_GENERAL_NAME_num(all) : 0;
    names.items = GW_ARENA_ARRAY(arena, char *, (size_t)count + 1);
    for (int i = 0; i < count; i++) {
        char address[INET6_ADDRSTRLEN];
        gw_str text = name_text(sk_GENERAL_NAME_value(all, i), address);
        if (text.ptr)
            names.items[names.count++] = (char *)(uintptr_t)gw_arena_dup(arena, text).ptr;
    }
    GENERAL_NAMES_free(all);
    ERR_clear_error();
    return names;
}

bool cp_chain_has_names(X509 *leaf)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    return cp_chain_names(&arena, leaf).count > 0;
}

char *cp_chain_common_name(struct gw_arena *arena, X509 *leaf)
{
    unsigned char *utf8 = NULL;
    char *name = gw_arena_strdup(arena, "");
    X509_NAME *subject = X509_get_subject_name(leaf);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    X509_NAME_ENTRY *entry = at >= 0 ? X509_NAME_get_entry(subject, at) : NULL;
    int len = entry ? ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry)) : -1;
    gw_str text = gw_str_n((const char *)utf8, len > 0 ? (size_t)len : 0);
    if (text.len > 0 && text.len <= COMMON_NAME_MAX && gw_str_is_utf8(text))
        name = (char *)(uintptr_t)gw_arena_dup(arena, text).ptr;
    OPENSSL_free(utf8);
    ERR_clear_error();
    return name;
}

/* ---- private keys */

static int check_key_labels(const char *pem, struct gw_error *err)
{
    static const char field[] = "private_key_pem";
    size_t count = 0;
    gw_str label;
    if (strlen(pem) > CP_PRIVATE_KEY_PEM_MAX)
        return gw_fail_field(err, field, "must be at most %d bytes", CP_PRIVATE_KEY_PEM_MAX);
    while ((label = next_label(&pem)).ptr)
        count += gw_str_has_suffix(label, GW_STR("PRIVATE KEY"));
    if (count == 0)
        return gw_fail_field(err, field, "must be PEM: \"-----BEGIN PRIVATE KEY-----\"");
    if (count > 1)
        return gw_fail_field(err, field, "must be one key");
    return 0;
}

int cp_key_read(const char *pem, EVP_PKEY **ret_key, struct gw_error *err)
{
    bool is_encrypted = false;
    if (check_key_labels(pem, err) < 0)
        return -1;
    BIO *bio = BIO_new_mem_buf(pem, -1);
    *ret_key = PEM_read_bio_PrivateKey(bio, NULL, on_password, &is_encrypted);
    BIO_free(bio);
    ERR_clear_error(); /* what it says may tell of the key */
    if (*ret_key)
        return 0;
    return gw_fail_field(err, "private_key_pem",
                         is_encrypted ? "is encrypted: take the passphrase off first (openssl pkey "
                                        "-in KEY -out PLAIN)"
                                      : "cannot be read");
}

gw_str cp_key_write(struct gw_arena *arena, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char *bytes = NULL;
    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        gw_panic("OpenSSL does not write a key that it has read");
    long len = BIO_get_mem_data(bio, &bytes);
    gw_str text = gw_arena_dup(arena, gw_str_n(bytes, (size_t)len));
    BIO_free(bio);
    return text;
}
