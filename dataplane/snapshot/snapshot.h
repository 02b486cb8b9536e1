/* SPDX-License-Identifier: Apache-2.0 */
/* All that a worker needs to answer requests, immutable, reference counted. Made on the sync thread
 * by compile.c out of compiled resources, which snapshots share: a change compiles what changed. */
#ifndef DP_SNAPSHOT_H
#define DP_SNAPSHOT_H

#include "dataplane/filter.h"
#include "dataplane/http/message.h"
#include "dataplane/siphash.h"
#include "dataplane/snapshot/router.h"
#include "dataplane/snapshot/tls.h"
#include "dataplane/tunables.h"

#define DP_APP_CODE_DIGEST_BYTES 32
/* Under this name, which no Host can be, the router knows the default group. */
#define DP_HOST_DEFAULT GW_STR(":default")
struct dp_snapshot;
struct dp_address_list;
struct dp_endpoint;    /* upstream/endpoint.h: host and port, resolved; by reference */
struct dp_route_stats; /* observe/route_stats.h: counters by route name, process lifetime */

/* A caller's credential. */
struct dp_app {
    struct dp_name_hash hash; /* of the name */
    bool frozen;
    uint16_t code_count, name_len, display_name_len; /* of what lies behind it: unit.h */
};

struct dp_member {
    struct dp_endpoint *endpoint; /* a reference is owned by the channel */
    uint32_t weight;              /* > 0 */
    bool backup;
};

/* Where requests of a backend may go. A backend with an address is a channel of one member. */
struct dp_channel {
    gw_str name; /* "channels/orders", or "host:port" */
    const struct dp_member *members;
    unsigned member_count;
    _Atomic uint64_t *cursor; /* round robin position; shared by all snapshots while the channel's
                                 members do not change */
};

enum dp_backend_kind { DP_BACKEND_HTTP, DP_BACKEND_MOCK };

struct dp_backend {
    enum dp_backend_kind kind;
    const struct dp_channel *channel; /* HTTP; never NULL then: compile refuses */
    bool tls;
    bool http2;            /* with prior knowledge, or over TLS by ALPN */
    gw_str host_header;    /* empty: the caller's */
    enum dp_method method; /* DP_METHOD_OTHER: the caller's */
    /* Path template cut into literals and parameters: literal[0] param[0] literal[1] ...; no parts:
     * the caller's path. param is an index into the route's parameters. */
    const gw_str *literals;
    const unsigned *params;
    unsigned param_count;
    bool has_path;
    uint32_t timeout_ms;
    int32_t retry_count; /* -1: once for idempotent methods; 0 to 10 */
    /* Shown to the backend, whose own must be of its authorities if it has some. NULL: none. */
    const struct dp_certificate *certificate;
};

struct dp_route {
    struct dp_name_hash hash;          /* of the name */
    uint64_t number;                   /* of the name, in its catalog: what apps refer to */
    gw_str name;                       /* "groups/g/apis/a@RELEASE" */
    gw_str group;                      /* "groups/g" */
    gw_str api_id;                     /* "a" */
    gw_str api_name;                   /* display name */
    gw_str environment;                /* "RELEASE" */
    gw_str path;                       /* the definition: "/orders/{id}" */
    bool is_prefix, http, https, grpc; /* grpc: the backend speaks HTTP/2 */
    struct dp_backend backend;
    const struct dp_link *links; /* the chain, in order of chain.c */
    unsigned link_count;
    size_t scratch_bytes; /* sum over the chain, each rounded up to 16 */
    struct dp_route_stats *stats;
};

/* A host's settings, as found by the router. */
struct dp_host {
    bool is_debug; /* the group's debugging domain: 1000 calls a day */
    gw_str group;
    const struct dp_domain_tls *tls; /* NULL: it is not served over TLS */
};

struct dp_snapshot *dp_snapshot_ref(struct dp_snapshot *snapshot); /* all of these: any thread */
void dp_snapshot_unref(struct dp_snapshot *snapshot);           /* the last one frees; takes NULL */
bool dp_snapshot_is_shared(const struct dp_snapshot *snapshot); /* others have it, too */
int64_t dp_snapshot_revision(const struct dp_snapshot *snapshot);
gw_str dp_snapshot_cluster_id(const struct dp_snapshot *snapshot);
const struct dp_router *dp_snapshot_router(const struct dp_snapshot *snapshot);
/* Which group a request's host leads to: its domain (exact, then the longest wildcard), else, for
 * an address or "localhost", the default group. host: without port. NULL: none. */
const struct dp_router_group *dp_snapshot_find_group(const struct dp_snapshot *snapshot,
                                                     gw_str host, const struct dp_host **ret_host);
/* Puts the gateway's settings, where there are some, on top of the flags. */
void dp_snapshot_tune(const struct dp_snapshot *snapshot, struct dp_tunables *tunables);
size_t dp_snapshot_route_count(const struct dp_snapshot *snapshot);
void dp_snapshot_each_route(const struct dp_snapshot *snapshot,
                            void (*visit)(void *arg, const struct dp_route *route), void *arg);
size_t dp_snapshot_app_count(const struct dp_snapshot *snapshot);
/* The app that the code's SHA-256 belongs to; NULL: none. The time does not depend on how much of
 * the digest matches something. */
const struct dp_app *dp_snapshot_app_by_code(const struct dp_snapshot *snapshot,
                                             const uint8_t digest[DP_APP_CODE_DIGEST_BYTES]);
gw_str dp_app_name(const struct dp_app *app); /* "apps/shop" */
gw_str dp_app_id(const struct dp_app *app);   /* "shop": in logs and counters */
const struct dp_address_list *dp_app_addresses(const struct dp_app *app); /* NULL: from anywhere */
bool dp_app_may_call(const struct dp_app *app, const struct dp_route *route);

/* For what outlives its snapshot, as a tunnel does: any thread; take NULL. */
void dp_route_ref(const struct dp_route *route);
void dp_route_unref(const struct dp_route *route);
void dp_app_ref(const struct dp_app *app);
void dp_app_unref(const struct dp_app *app);

#endif
