/* SPDX-License-Identifier: Apache-2.0 */
/* What the listeners of this folder share: addresses, and a context of libwebsockets bound to one.
 */
#ifndef CP_HTTP_LISTEN_H
#define CP_HTTP_LISTEN_H

#include "common/error.h"

#include <libwebsockets.h>

#define CP_HTTP_HOST_MAX_BYTES 256

/* "host:port", "[v6]:port", ":port" (all addresses). */
struct cp_http_address {
    char host[CP_HTTP_HOST_MAX_BYTES];
    int port;
};
/* `flag` is blamed: "--ops-listen". */
GW_MUST_CHECK int cp_http_address_parse(const char *text, const char *flag,
                                        struct cp_http_address *ret_address, struct gw_error *err);

/* `info` lacks only what concerns the address. UNAVAILABLE: it is taken, or not of this host. */
GW_MUST_CHECK int cp_http_bind(struct lws_context_creation_info *info,
                               const struct cp_http_address *address,
                               struct lws_context **ret_context, unsigned *ret_port,
                               struct gw_error *err);

#endif
