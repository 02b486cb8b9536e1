/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials file, read and checked (README.md of controlplane has its form). */
#ifndef CP_RPC_CREDENTIALS_H
#define CP_RPC_CREDENTIALS_H

#include "common/map.h"
#include "controlplane/rpc/auth.h"
#include "controlplane/rpc/jwt.h"

#include <sys/stat.h>

#define CP_ISSUERS_MAX 10
#define CP_AGENT_IDS_MAX 100 /* patterns of an entry */
#define CP_AGENT_ENVIRONMENTS_MAX 32

struct cp_descriptors;

/* Tells whether a file has changed. */
struct cp_stamp {
    struct timespec time;
    ino_t inode;
    off_t size;
};
struct cp_stamp cp_stamp_of(const char *file);
bool cp_stamp_is(const struct cp_stamp *a, const struct cp_stamp *b);

/* An agent, by its certificate's name. */
struct cp_agent_entry {
    struct cp_texts ids;          /* patterns of the ids that it may say; none: its name alone */
    struct cp_texts environments; /* ids of those that it gets anything of; none: everything */
};

/* Immutable. */
struct cp_credentials {
    struct gw_arena arena;
    struct gw_map tokens;       /* SHA-256, 32 bytes -> const struct cp_principal */
    struct gw_map certificates; /* name -> const struct cp_principal */
    struct gw_map agents;       /* name -> const struct cp_agent_entry */
    struct gw_map roles;        /* name of a custom one -> const struct cp_grant without limits */
    struct cp_descriptors *descriptors; /* owned; NULL: there are no custom roles */
    struct cp_issuer issuers[CP_ISSUERS_MAX];
    size_t issuer_count;
    struct cp_stamp issuer_stamps[CP_ISSUERS_MAX]; /* of their JWKS files, as they were read */
    const char *folder; /* of the file, with a "/" at the end: where others are looked for */
};

/* INVALID_ARGUMENT with the file and the entry ("tokens[2].role: ..."). */
GW_MUST_CHECK int cp_credentials_load(const char *file, struct cp_credentials **ret_credentials,
                                      struct gw_error *err);
GW_MUST_CHECK int cp_credentials_parse(gw_str json, struct cp_credentials **ret_credentials,
                                       struct gw_error *err);
/* What the role of that name gives everywhere, a built-in or a custom one; false: there is none. */
bool cp_credentials_role(const struct cp_credentials *credentials, const char *name,
                         struct cp_grant *ret_grant);
/* Takes NULL. */
void cp_credentials_free(struct cp_credentials *credentials);

#endif
