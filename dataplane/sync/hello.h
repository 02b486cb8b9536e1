/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's options that go to the control plane, parsed and checked once. */
#ifndef DP_SYNC_HELLO_H
#define DP_SYNC_HELLO_H

#include "dataplane/sync/client.h"

struct dp_endpoint_name {
    char host[256];
    char port[8];
    char text[272]; /* "host:port", for the log and :authority */
};

struct dp_hello {
    struct dp_endpoint_name endpoints[DP_CLIENT_ENDPOINTS_MAX];
    unsigned endpoint_count;
    Penstock__Agent__V1__Hello__LabelsEntry labels[DP_CLIENT_LABELS_MAX];
    Penstock__Agent__V1__Hello__LabelsEntry *label_ptrs[DP_CLIENT_LABELS_MAX];
    unsigned label_count;
    struct gw_arena arena; /* text of the labels */
};

GW_MUST_CHECK int dp_hello_parse(struct dp_hello *hello, const struct dp_sync_options *options,
                                 struct gw_error *err);
void dp_hello_done(struct dp_hello *hello);
/* The packed AgentMessage, in the arena. */
gw_str dp_hello_pack(const struct dp_hello *hello, const struct dp_sync_options *options,
                     gw_str cluster_id, int64_t revision, struct gw_content_digest digest,
                     struct gw_arena *arena);

#endif
