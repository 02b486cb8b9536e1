/* SPDX-License-Identifier: Apache-2.0 */
/* The server's certificate files. The core asks for them at every handshake; they are read again
 * when one of them has changed, and while they do not fit together (half of a rotation is written)
 * the core stays with what it has. */
#include "common/rpc/internal.h"

#include "common/log.h"

#include <stdlib.h>
#include <sys/stat.h>

struct stamp {
    struct timespec time;
    ino_t inode;
    off_t size;
};

struct gw_rpc_certificates {
    const char *cert_file, *key_file, *client_ca_file; /* borrowed from the options */
    grpc_ssl_client_certificate_request_type request_type;
    char *(*more_cas)(void *arg, uint64_t *ret_generation);
    void *more_cas_arg;
    uint64_t generation;    /* of these, as handed to the core */
    pthread_mutex_t lock;   /* handshakes run on several threads of the core */
    struct stamp stamps[3]; /* of the files as handed to the core */
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
static bool take_stamps(struct gw_rpc_certificates *certificates)
{
    const char *const files[] = {certificates->cert_file, certificates->key_file,
                                 certificates->client_ca_file};
    bool changed = false;
    for (size_t i = 0; i < GW_ARRAY_LEN(files); i++) {
        struct stamp now = stamp_of(files[i]);
        changed |= !is_same(&now, &certificates->stamps[i]);
        certificates->stamps[i] = now;
    }
    if (certificates->more_cas) {
        uint64_t generation;
        free(certificates->more_cas(certificates->more_cas_arg, &generation));
        changed |= generation != certificates->generation;
        certificates->generation = generation;
    }
    return changed;
}

/* Both, where there are both; to be freed. */
static char *joined(char *ca, char *more)
{
    if (!ca || !more)
        return ca ? ca : more;
    size_t first = strlen(ca), second = strlen(more);
    char *both = gw_malloc(first + second + 2);
    memcpy(both, ca, first);
    both[first] = '\n';
    memcpy(both + first + 1, more, second + 1);
    free(ca);
    free(more);
    return both;
}

static char *more_cas(const struct gw_rpc_certificates *certificates)
{
    uint64_t generation;
    if (!certificates->more_cas)
        return NULL;
    return certificates->more_cas(certificates->more_cas_arg, &generation);
}

static grpc_ssl_server_certificate_config *load(const struct gw_rpc_certificates *certificates,
                                                struct gw_error *err)
{
    gw_auto(gw_freep) char *cert = gw_rpc_read_file(certificates->cert_file, err);
    gw_auto(gw_freep) char *key = cert ? gw_rpc_read_file(certificates->key_file, err) : NULL;
    gw_auto(gw_freep) char *ca = NULL;
    if (!key)
        return NULL;
    if (certificates->client_ca_file) {
        ca = gw_rpc_read_file(certificates->client_ca_file, err);
        if (!ca)
            return NULL;
    }
    ca = joined(ca, more_cas(certificates));
    grpc_ssl_pem_key_cert_pair pair = {.private_key = key, .cert_chain = cert};
    /* The core aborts without roots, also where no client certificate is asked for and none are
     * used: any PEM does there. */
    grpc_ssl_server_certificate_config *config =
        grpc_ssl_server_certificate_config_create(ca ? ca : cert, &pair, 1);
    explicit_bzero(key, strlen(key));
    return config;
}

/* At every handshake, on a thread of the core. */
static grpc_ssl_certificate_config_reload_status
fetch(void *arg, grpc_ssl_server_certificate_config **ret_config)
{
    struct gw_rpc_certificates *certificates = arg;
    struct gw_error err = GW_ERROR_NONE;
    pthread_mutex_lock(&certificates->lock);
    bool changed = take_stamps(certificates);
    *ret_config = changed ? load(certificates, &err) : NULL;
    pthread_mutex_unlock(&certificates->lock);
    if (!changed)
        return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    if (*ret_config)
        return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
    gw_log(GW_LOG_ERROR, "rpc", "certificates not read, keeping the former", gw_kv_error(&err));
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
}

static int check_options(const struct gw_rpc_server_options *options, struct gw_error *err)
{
    if (!options->cert_file != !options->key_file)
        return gw_fail(err, GW_INVALID_ARGUMENT, "certificate and key go together");
    if (options->client_ca_file && !options->cert_file)
        return gw_fail(err, GW_INVALID_ARGUMENT, "client certificates need TLS");
    if (options->client_cert_required && !options->client_ca_file)
        return gw_fail(err, GW_INVALID_ARGUMENT, "required client certificates need their CA");
    return 0;
}

static grpc_ssl_client_certificate_request_type
request_type(const struct gw_rpc_server_options *options)
{
    if (!options->client_ca_file && !options->more_client_cas)
        return GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
    return options->client_cert_required
               ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
               : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY;
}

int gw_rpc_certificates_new(const struct gw_rpc_server_options *options,
                            struct gw_rpc_certificates **ret_certificates, struct gw_error *err)
{
    *ret_certificates = NULL;
    if (check_options(options, err))
        return -1;
    if (!options->cert_file)
        return 0;
    struct gw_rpc_certificates *certificates = gw_calloc(1, sizeof(*certificates));
    pthread_mutex_init(&certificates->lock, NULL);
    certificates->cert_file = options->cert_file;
    certificates->key_file = options->key_file;
    certificates->client_ca_file = options->client_ca_file;
    certificates->more_cas = options->more_client_cas;
    certificates->more_cas_arg = options->more_client_cas_arg;
    certificates->request_type = request_type(options);
    /* The core would only say that the port could not be added. */
    grpc_ssl_server_certificate_config *config = load(certificates, err);
    if (!config) {
        gw_rpc_certificates_free(certificates);
        return -1;
    }
    grpc_ssl_server_certificate_config_destroy(config);
    *ret_certificates = certificates;
    return 0;
}

void gw_rpc_certificates_free(struct gw_rpc_certificates *certificates)
{
    if (!certificates)
        return;
    pthread_mutex_destroy(&certificates->lock);
    free(certificates);
}

grpc_server_credentials *gw_rpc_certificates_to_server(struct gw_rpc_certificates *certificates)
{
    if (!certificates)
        return grpc_insecure_server_credentials_create();
    return grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(certificates->request_type,
                                                                        fetch, certificates));
}
