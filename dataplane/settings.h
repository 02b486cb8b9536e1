/* SPDX-License-Identifier: Apache-2.0 */
/* All options of penstock-agent. settings.c holds the one table: flag, default, limits, doc. Set
 * once at start, then read by any thread. */
#ifndef DP_SETTINGS_H
#define DP_SETTINGS_H

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"

#include <limits.h>

#define DP_WORKERS_MAX 256
#define DP_AGENT_ID_MAX 128

/* Text is never NULL: "" where nothing was given. */
struct dp_settings {
    /* callers */
    const char *listen;         /* "0.0.0.0:8080", several by comma */
    int64_t https_port;         /* of redirects */
    int64_t workers;            /* threads; at least 1 (0 on the command line: one per core) */
    int64_t connections_max;    /* of callers, all workers together */
    int64_t tls_handshakes_max; /* at once, likewise */
    bool http2;
    int64_t http2_streams_max; /* requests at once on one connection */
    gw_msec head_timeout_ms, body_timeout_ms, idle_timeout_ms, write_timeout_ms;
    gw_msec stream_idle_timeout_ms; /* of WebSocket and event streams */
    int64_t request_body_max;       /* bytes of one request's body; beyond: 413 */
    bool source_from_xff;           /* the source address is taken from X-Forwarded-For */
    int64_t xff_index;              /* 0: the first; -1: the last */
    bool xff_strict;                /* none there: IP access control refuses */
    bool gzip;                      /* answers are compressed for who accepts it */
    int64_t gzip_level;
    bool debug_for_all; /* X-Apig-Mode: debug is answered also without an app */

    /* backends */
    gw_msec upstream_connect_timeout_ms, upstream_idle_timeout_ms;
    int64_t upstream_idle_max;    /* unused connections kept per endpoint and worker */
    const char *upstream_ca_file; /* PEM; "": the system's */
    const char *dns_servers;      /* "address:port", several by comma; "": resolv.conf's */

    /* the control plane */
    const char *controlplane; /* "host:port", several by comma */
    const char *controlplane_ca_file, *controlplane_cert_file, *controlplane_key_file;
    int64_t controlplane_return_ms;
    const char *labels;
    const char *enrolment_token_file; /* "": its certificate comes from elsewhere */
    char identity_file[PATH_MAX];     /* with it: what is kept in cache_dir */
    const char *cache_dir;            /* "": nothing is kept */
    char agent_id[DP_AGENT_ID_MAX + 1];

    /* operation */
    const char *ops_listen; /* one address; "": no operations port */
    const char *access_log; /* "off", "-" (stdout) or a path */
    enum gw_log_level log_level;
    int64_t limiter_size; /* counters alive at once */
    gw_msec drain_grace_ms, drain_timeout_ms, upgrade_timeout_ms;
    const char *pid_file; /* "": none */

    /* as given; the fields above say what became of them */
    const char *given_agent_id, *given_log_level;
    bool help, version; /* --help, --version: nothing else was looked at */
};

/* From defaults, environment (PENSTOCK_...) and argv, checked. -1: INVALID_ARGUMENT, usage; other
 * codes: the agent's id cannot be kept. Makes the cache directory and the id in it when they are
 * not there yet. */
GW_MUST_CHECK int dp_settings_load(struct dp_settings *settings, int argc, char **argv,
                                   struct gw_error *err);
/* The process may have so many open files: callers are not given the last of them, which backends,
 * the operations port and the cache need, too. Lowers connections_max, and warns, when it must. */
void dp_settings_fit(struct dp_settings *settings, uint64_t descriptors);
/* To stdout. */
void dp_settings_print_help(void);

#endif
