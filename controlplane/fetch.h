/* SPDX-License-Identifier: Apache-2.0 */
/* A small document from a URL, within limits: what an identity provider publishes. */
#ifndef CP_FETCH_H
#define CP_FETCH_H

#include "controlplane/rpc/issuer_keys.h"

/* cp_issuer_keys_fetch by libcurl: https verified against ca_file or the system's authorities (http
 * goes to loopback alone, which the credentials file's reader sees to), no redirects, at most
 * CP_JWKS_MAX_BYTES and CP_FETCH_TIMEOUT_MS. Blocks. */
#define CP_FETCH_TIMEOUT_MS 10000
cp_issuer_keys_fetch cp_fetch;

#endif
