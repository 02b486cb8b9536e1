/* SPDX-License-Identifier: Apache-2.0 */
/* How long each step of a change takes, from the store's answer to the acknowledgement of every
 * agent: histograms for the metrics. Any thread. */
#ifndef CP_SNAPSHOT_STEPS_H
#define CP_SNAPSHOT_STEPS_H

#include "common/buf.h"
#include "common/clock.h"

enum cp_step {
    CP_STEP_WATCH,       /* committed by this replica -> told by the watch */
    CP_STEP_BUILD,       /* told -> built, in the image */
    CP_STEP_SEND,        /* in the image -> its last chunk goes out, for each agent */
    CP_STEP_APPLY,       /* at the agent, from the last chunk to serving it, as the agent says */
    CP_STEP_ACKNOWLEDGE, /* its last chunk went out -> acknowledged */
    CP_STEP_SERVE,       /* committed (by another replica: told) -> acknowledged */
    CP_STEP_COUNT
};

struct cp_steps;

struct cp_steps *cp_steps_new(void);
void cp_steps_free(struct cp_steps *steps); /* takes NULL */

/* The store has answered a write of this replica. */
void cp_steps_committed(struct cp_steps *steps, int64_t revision);
/* The watch has told of a revision that concerns agents, at seen_ns (monotonic). When it was
 * committed; if that is not known (or the answer comes later than the watch): seen_ns. */
gw_nsec cp_steps_seen(struct cp_steps *steps, int64_t revision, gw_nsec seen_ns);
/* It is built now, and agents are told; seen_ns as above, 0: it came with a list. */
void cp_steps_built(struct cp_steps *steps, int64_t revision, gw_nsec seen_ns);
/* When (wall) the first revision behind that one was built; later when that is forgotten; 0: none
 * was. */
gw_msec cp_steps_passed_ms(struct cp_steps *steps, int64_t revision);
/* A negative time counts as none. */
void cp_steps_observe(struct cp_steps *steps, enum cp_step step, gw_nsec ns);

int64_t cp_steps_count(const struct cp_steps *steps, enum cp_step step);
/* "penstock_controlplane_config_watch_seconds" */
const char *cp_steps_metric(enum cp_step step);
/* Text exposition; out has no limit. */
void cp_steps_write(const struct cp_steps *steps, struct gw_buf *out);

#endif
