/* SPDX-License-Identifier: Apache-2.0 */
/* PublishApi, UnpublishApi, RollbackApi and PromoteApi: each is one transaction, and may wait for
 * the agents. bulk.h does many of them. */
#ifndef CP_SERVICE_PUBLISH_H
#define CP_SERVICE_PUBLISH_H

#include "controlplane/model/types.h"
#include "controlplane/rpc/method.h"

#define CP_NOT_PUBLISHED "NOT_PUBLISHED" /* reason of a refused unpublish */
#define CP_WAIT_MAX_MS (60 * 1000)
/* Kept back from the caller's deadline, so that the answer still reaches him. */
#define CP_WAIT_MARGIN_MS 200
/* Of one publish, when fewer are kept than before; the next ones drop the rest. */
#define CP_RELEASES_DROPPED_MAX 35

cp_handler cp_publish_api;
cp_handler cp_unpublish_api;
cp_handler cp_rollback_api;
cp_handler cp_promote_api;

/* ---- for who does it to many */

struct cp_publish {
    const char *api;         /* a name, checked */
    const char *environment; /* likewise */
    const char *description;
    bool offline; /* unpublish */
    bool validate_only;
};
/* Without the wait. ret_release: what is effective now, NULL after an unpublish. ret_revision: of
 * the store, 0 when nothing was written.  */
GW_MUST_CHECK int cp_publish_one(const struct cp_call *call, const struct cp_publish *what,
                                 cp_release **ret_release, int64_t *ret_revision,
                                 struct gw_error *err);
GW_MUST_CHECK int cp_check_description(const char *description, struct gw_error *err);
GW_MUST_CHECK int cp_read_wait(const cp_duration *wait, gw_msec *ret_wait_ms, struct gw_error *err);
/* NULL: nothing to wait for. The refusals are the route's. */
cp_rollout *cp_wait_for_agents(const struct cp_call *call, gw_str route, int64_t revision,
                               gw_msec wait_ms);

#endif
