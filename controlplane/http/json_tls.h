/* SPDX-License-Identifier: Apache-2.0 */
/* TLS of the JSON form: the files of the gRPC listener, likewise read again at the handshake after
 * a change and kept while they do not fit together. The listener's thread only. */
#ifndef CP_HTTP_JSON_TLS_H
#define CP_HTTP_JSON_TLS_H

#include "common/rpc/server.h"

#include <openssl/ssl.h>

struct cp_json_tls;

/* The names are borrowed; client_ca_file NULL: client certificates are not asked for. */
GW_MUST_CHECK int cp_json_tls_new(const char *cert_file, const char *key_file,
                                  const char *client_ca_file, struct cp_json_tls **ret_tls,
                                  struct gw_error *err);
/* Takes NULL. */
void cp_json_tls_free(struct cp_json_tls *tls);

/* Every handshake of the context gets the certificates of that moment. */
void cp_json_tls_attach(struct cp_json_tls *tls, SSL_CTX *context);

/* The verified client certificate's name (URI or DNS SAN, else CN) and PEM, as gRPC tells them. */
void cp_json_tls_identify(SSL *ssl, struct gw_arena *arena, struct gw_rpc_caller *caller);

#endif
