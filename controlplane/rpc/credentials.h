/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials file, read and checked (see README.md of controlplane for its form):
 *   {"tokens":       [{"sha256": "<hex of the token>", "principal": "ci", "role": "operator"}],
 *    "certificates": [{"name": "<SAN or CN>", "principal": "ann", "role": "administrator"}],
 *    "agents":       [{"name": "<SAN or CN>"}]} */
#ifndef CP_RPC_CREDENTIALS_H
#define CP_RPC_CREDENTIALS_H

#include "common/map.h"
#include "controlplane/rpc/auth.h"

/* Immutable. */
struct cp_credentials {
    struct gw_arena arena;
    struct gw_map tokens;       /* SHA-256, 32 bytes -> const struct cp_principal */
    struct gw_map certificates; /* name -> const struct cp_principal */
    struct gw_map agents;       /* name -> its own text */
};

/* INVALID_ARGUMENT with the file and the entry ("tokens[2].role: ..."). */
GW_MUST_CHECK int cp_credentials_load(const char *file, struct cp_credentials **ret_credentials,
                                      struct gw_error *err);
GW_MUST_CHECK int cp_credentials_parse(gw_str json, struct cp_credentials **ret_credentials,
                                       struct gw_error *err);
/* Takes NULL. */
void cp_credentials_free(struct cp_credentials *credentials);

#endif
