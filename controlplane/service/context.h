/* SPDX-License-Identifier: Apache-2.0 */
/* What all services of the management API share. */
#ifndef CP_SERVICE_CONTEXT_H
#define CP_SERVICE_CONTEXT_H

#include "controlplane/rpc/method.h"
#include "controlplane/service/quotas.h"
#include "controlplane/store/seal.h"
#include "controlplane/store/store.h"

#define CP_RELEASES_KEPT_DEFAULT 10
#define CP_CHANNEL_MEMBERS_MAX_DEFAULT 10
#define CP_VARIABLES_MAX_DEFAULT 50
#define CP_DEBUG_DOMAIN_SUFFIX_DEFAULT "debug.penstock.internal"

struct cp_leader;
struct cp_registry;

/* Set up by main, then only read. */
struct cp_services {
    struct cp_store *store;       /* borrowed */
    struct cp_registry *registry; /* borrowed; NULL: nobody can wait for agents (tests) */
    struct cp_leader *leader;     /* borrowed; NULL: this process is alone */
    struct cp_auth *auth;         /* borrowed; NULL: built-in roles only (tests) */
    const struct cp_seal *seal;   /* borrowed; NULL: there are no keys, secrets are refused */
    gw_msec ticket_key_rotation_ms;
    unsigned releases_kept; /* of an API in an environment, the effective one included; 0: all */
    unsigned channel_members_max;
    unsigned variables_max;     /* of a group in an environment */
    gw_msec audit_retention_ms; /* of audit events */
    int64_t audit_events_max;
    int64_t quotas[CP_QUOTA_COUNT];  /* but for variables and members of channels; 0: any number */
    const char *debug_domain_suffix; /* of the groups' debugging domains; borrowed */
};

/* Writes what always exists, the group DEFAULT and the environment RELEASE, unless it is there. */
GW_MUST_CHECK int cp_services_seed(struct cp_services *services, struct gw_error *err);

#endif
