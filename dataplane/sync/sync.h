/* SPDX-License-Identifier: Apache-2.0 */
/* The sync thread: holds the stream to the control plane, compiles what comes, hands out snapshots,
 * keeps the last good one on disk. It starts from that file when it is there. */
#ifndef DP_SYNC_H
#define DP_SYNC_H

#include "common/clock.h"
#include "common/error.h"
#include "dataplane/snapshot/compile.h"

struct dp_sync;

/* Text is borrowed for the life of the thread. */
struct dp_sync_options {
    const char *controlplane; /* "host:port", several by comma: the first is preferred */
    const char *agent_id;     /* stable over restarts; 1 to 128 of a-z A-Z 0-9 . - _ */
    const char *labels;       /* "zone=a,rack=7", or "" */
    const char *ca_file;      /* PEM: TLS, verified against it; "" : plaintext */
    const char *cert_file;    /* the agent's certificate; "": none */
    const char *key_file;
    /* "": it is not enrolled. Else cert_file and key_file are one file, that is kept by itself. */
    const char *enrolment_token_file;
    const char *cache_dir; /* where the last good snapshot is kept; "": nowhere */
    /* Silence before a ping, and before that counts as lost. 0: 600 and 800 ms, or 10 s each when
     * there is one address alone. */
    gw_msec keepalive_ms;
    /* Between rounds over all addresses, with jitter; starts at 100 ms. 0: 10 s */
    gw_msec backoff_max_ms;
    /* How often to look whether a control plane further up in the list is back, half of it by
     * chance. 0: 30 s */
    gw_msec return_ms;
};

/* What another process of the same id, that comes up beside this one, makes of it. */
enum dp_sync_role {
    DP_SYNC_ALONE,  /* as from the start, and again when the other one has not come up */
    DP_SYNC_YIELDS, /* the snapshot is on disk, for the other one to start from, and nothing more is
                       written there; the stream, which the other one takes over, is not opened
                       again */
    DP_SYNC_REPLACED /* the other one serves: the stream has ended */
};

/* What the owner of the thread hears, on that thread. */
struct dp_sync_events {
    /* Each new snapshot; takes references of its own. */
    void (*on_snapshot)(void *context, struct dp_snapshot *snapshot);
    void (*on_role)(void *context, enum dp_sync_role role); /* may be NULL */
    /* A caller of the debug tool, for any worker; snapshot as in struct dp_guest. */
    void (*on_guest)(void *context, int fd, bool https, struct dp_snapshot *snapshot);
};

/* Loads the cache (publishing what it holds before this returns), then starts the thread. env,
 * options and events are borrowed until dp_sync_stop. */
GW_MUST_CHECK int dp_sync_start(const struct dp_sync_options *options,
                                const struct dp_compile_env *env,
                                const struct dp_sync_events *events, void *context,
                                struct dp_sync **ret_sync, struct gw_error *err);
/* Ends the stream, joins the thread, frees. Takes NULL. */
void dp_sync_stop(struct dp_sync *sync);

/* Any thread; becomes true a moment later, and then on_role is called, on the sync thread. When
 * another role is asked for before that, it is that one only. */
void dp_sync_assume(struct dp_sync *sync, enum dp_sync_role role);

/* For metrics and the operations port. Any thread. */
struct dp_sync_status {
    bool connected;
    int64_t revision; /* applied; 0: none */
    int64_t
        cached_revision; /* on disk, what a start without a control plane begins with; 0: none */
    int64_t connects, failures, updates, refused_resources;
    gw_msec last_update_wall_ms;        /* 0: none since start */
    gw_msec certificate_expiry_wall_ms; /* of one that was enrolled; 0: none */
    char last_error[GW_ERROR_MESSAGE_MAX];
};
void dp_sync_read_status(struct dp_sync *sync, struct dp_sync_status *ret_status);
/* Calls visit with each resource that is refused now. Any thread; visit may not call back. */
typedef void dp_sync_visit_refused(void *arg, const struct dp_refused *refused);
void dp_sync_read_refusals(struct dp_sync *sync, dp_sync_visit_refused *visit, void *arg);

#endif
