/* SPDX-License-Identifier: Apache-2.0 */
/* All options of penstock-controlplane. settings.c holds the one table: flag, default, limits, doc.
 * Set once at start, then read by any thread. */
#ifndef CP_SETTINGS_H
#define CP_SETTINGS_H

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "controlplane/service/quotas.h"

#define CP_STORE_DEFAULT "sqlite:penstock.db"

/* Text is never NULL: "" where nothing was given. */
struct cp_settings {
    /* addresses */
    const char *listen;      /* management API and agents: "127.0.0.1:9440", "unix:/path" */
    const char *http_listen; /* the same API as JSON; "": not at all */
    const char *ops_listen;

    /* who may call */
    const char *credentials_file; /* "": everybody on loopback, who is administrator */
    const char *tls_cert_file, *tls_key_file, *tls_client_ca_file;

    /* the store */
    const char *store; /* "sqlite:path", "etcd:url,url" */
    const char *etcd_ca_file, *etcd_cert_file, *etcd_key_file, *etcd_user, *etcd_password_file;
    gw_msec etcd_timeout_ms, etcd_progress_ms;
    const char *seal_key_file; /* "": one beside the SQLite file, none with etcd */

    /* limits */
    int64_t releases_kept; /* of an API in an environment */
    int64_t agents_max, channel_members_max;
    int64_t snapshots_at_once, update_bytes_max; /* of agents' large updates */
    gw_msec agent_stall_ms;
    int64_t variables_max;   /* of a group in an environment */
    int64_t watch_bytes_max; /* of past changes that are kept for watches */
    int64_t quotas[CP_QUOTA_COUNT];
    const char *debug_domain_suffix;
    gw_msec ticket_key_rotation_ms;
    gw_msec agent_certificate_life_ms;
    gw_msec audit_retention_ms;
    int64_t audit_events_max;

    /* operation */
    gw_msec drain_timeout_ms;
    enum gw_log_level log_level;
    const char *given_log_level; /* as on the command line */
};

/* From defaults, environment (PENSTOCK_...) and argv, checked. INVALID_ARGUMENT: usage. */
GW_MUST_CHECK int cp_settings_load(struct cp_settings *settings, int argc, char **argv,
                                   struct gw_error *err);
/* To stdout. */
void cp_settings_print_help(void);
/* "127.0.0.1:9440", "[::1]:9440", "localhost:9440", "unix:/path". */
bool cp_settings_is_loopback(const char *listen);

#endif
