/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics of the control plane, gathered from those who count at the moment they are asked for.
 * Names and meanings: README.md. Any thread. */
#ifndef CP_METRICS_H
#define CP_METRICS_H

#include "common/buf.h"
#include "controlplane/agents/enrolled.h"
#include "controlplane/agents/registry.h"
#include "controlplane/http/json_server.h"
#include "controlplane/rpc/method.h"
#include "controlplane/snapshot/watcher.h"
#include "controlplane/upkeep.h"

/* All borrowed. */
struct cp_metrics_sources {
    struct cp_watcher *watcher;
    struct cp_image *image;
    struct cp_registry *registry;
    const struct cp_methods *methods;
    struct cp_json_server *json;    /* NULL: there is none */
    struct cp_feed *feed;           /* likewise */
    struct cp_leader *leader;       /* likewise */
    struct cp_enrolled *enrolled;   /* likewise */
    const struct cp_upkeep *upkeep; /* likewise */
    const struct cp_auth *auth;     /* likewise */
};

/* Prometheus text exposition 0.0.4, with process_* of this process; out has no limit. */
void cp_metrics_write(const struct cp_metrics_sources *sources, struct gw_buf *out);

/* The name of the index-th metric, NULL behind the last one: for the test of the README. */
const char *cp_metrics_name(unsigned index);

#endif
