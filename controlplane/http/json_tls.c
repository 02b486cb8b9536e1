/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/http/json_tls.h"

#include "common/log.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>

struct stamp {
    struct timespec time;
    ino_t inode;
    off_t size;
};

struct cp_json_tls {
    const char *files[3];   /* certificate, key, authorities of clients */
    struct stamp stamps[3]; /* of the files as last read, good or bad */
    SSL_CTX *current;       /* owned: the last good form */
};

static struct stamp stamp_of(const char *path)
{
    struct stat st;
    if (!path || stat(path, &st))
        return (struct stamp){0};
    return (struct stamp){.time = st.st_mtim, .inode = st.st_ino, .size = st.st_size};
}

static bool is_same(const struct stamp *a, const struct stamp *b)
{
    return a->time.tv_sec == b->time.tv_sec && a->time.tv_nsec == b->time.tv_nsec &&
           a->inode == b->inode && a->size == b->size;
}

/* Before the files are read: a change during the reading is seen at the next handshake. */
static bool take_stamps(struct cp_json_tls *tls)
{
    bool changed = false;
    for (size_t i = 0; i < GW_ARRAY_LEN(tls->files); i++) {
        struct stamp now = stamp_of(tls->files[i]);
        changed |= !is_same(&now, &tls->stamps[i]);
        tls->stamps[i] = now;
    }
    return changed;
}

static int fail_file(struct gw_error *err, const char *file)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    int rc = gw_fail(err, GW_INVALID_ARGUMENT, "cannot use %s: %s", file,
                     reason ? reason : "unknown error");
    ERR_clear_error();
    return rc;
}

static int load_files(const struct cp_json_tls *tls, SSL_CTX *context, struct gw_error *err)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, tls->files[0]) != 1)
        return fail_file(err, tls->files[0]);
    if (SSL_CTX_use_PrivateKey_file(context, tls->files[1], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
        return fail_file(err, tls->files[1]);
    if (!tls->files[2])
        return 0;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(tls->files[2]);
    if (!names || SSL_CTX_load_verify_locations(context, tls->files[2], NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return fail_file(err, tls->files[2]);
    }
    SSL_CTX_set_client_CA_list(context, names);
    return 0;
}

static SSL_CTX *load(const struct cp_json_tls *tls, struct gw_error *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context)
        gw_panic("no TLS context");
    if (!load_files(tls, context, err))
        return context;
    SSL_CTX_free(context);
    return NULL;
}

static void read_again(struct cp_json_tls *tls)
{
    struct gw_error err = GW_ERROR_NONE;
    if (!take_stamps(tls))
        return;
    SSL_CTX *fresh = load(tls, &err);
    if (!fresh) {
        gw_log(GW_LOG_ERROR, "http", "certificates not read, keeping the former",
               gw_kv_error(&err));
        return;
    }
    SSL_CTX_free(tls->current);
    tls->current = fresh;
}

/* At every handshake: 1, or 0 to end it. */
static int on_handshake(SSL *ssl, void *arg)
{
    struct cp_json_tls *tls = arg;
    read_again(tls);
    if (!SSL_set_SSL_CTX(ssl, tls->current))
        return 0;
    if (!tls->files[2])
        return 1;
    SSL_set1_verify_cert_store(ssl, SSL_CTX_get_cert_store(tls->current));
    SSL_set_client_CA_list(ssl, SSL_dup_CA_list(SSL_CTX_get_client_CA_list(tls->current)));
    SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL); /* may be absent, must not be wrong */
    return 1;
}

void cp_json_tls_attach(struct cp_json_tls *tls, SSL_CTX *context)
{
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* each is verified anew */
    SSL_CTX_set_cert_cb(context, on_handshake, tls);
}

int cp_json_tls_new(const char *cert_file, const char *key_file, const char *client_ca_file,
                    struct cp_json_tls **ret_tls, struct gw_error *err)
{
    struct cp_json_tls *tls = gw_calloc(1, sizeof(*tls));
    tls->files[0] = cert_file;
    tls->files[1] = key_file;
    tls->files[2] = client_ca_file;
    (void)take_stamps(tls);
    tls->current = load(tls, err);
    if (!tls->current) {
        free(tls);
        return -1;
    }
    *ret_tls = tls;
    return 0;
}

void cp_json_tls_free(struct cp_json_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->current);
    free(tls);
}

/* ---- who is calling ---- */

/* One with a NUL inside is not there: what stands before it may be somebody else's name. */
static gw_str text_of(struct gw_arena *arena, const ASN1_STRING *string)
{
    gw_str text =
        gw_str_n((const char *)ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
    return text.len && memchr(text.ptr, 0, text.len) ? GW_STR_NONE : gw_arena_dup(arena, text);
}

static gw_str alternative_name(struct gw_arena *arena, X509 *certificate, int type)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    gw_str found = GW_STR_NONE;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != type)
            continue;
        found = text_of(arena, name->d.ia5);
        break;
    }
    GENERAL_NAMES_free(names);
    return found;
}

static gw_str common_name(struct gw_arena *arena, const X509 *certificate)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return GW_STR_NONE;
    unsigned char *utf8 = NULL;
    int len =
        ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    gw_str name = GW_STR_NONE;
    if (len > 0 && !memchr(utf8, 0, (size_t)len))
        name = gw_arena_dup(arena, gw_str_n((const char *)utf8, (size_t)len));
    OPENSSL_free(utf8);
    return name;
}

static gw_str pem_of(struct gw_arena *arena, X509 *certificate)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *bytes = NULL;
    gw_str pem = GW_STR_NONE;
    if (memory && PEM_write_bio_X509(memory, certificate) == 1) {
        long len = BIO_get_mem_data(memory, &bytes);
        pem = gw_arena_dup(arena, gw_str_n(bytes, (size_t)len));
    }
    BIO_free(memory);
    return pem;
}

void cp_json_tls_identify(SSL *ssl, struct gw_arena *arena, struct gw_rpc_caller *caller)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (!certificate || SSL_get_verify_result(ssl) != X509_V_OK)
        return;
    gw_str name = alternative_name(arena, certificate, GEN_URI);
    if (!name.len)
        name = alternative_name(arena, certificate, GEN_DNS);
    if (!name.len)
        name = common_name(arena, certificate);
    if (name.len)
        caller->cert_name = name.ptr;
    caller->cert_pem = pem_of(arena, certificate);
}
