/* SPDX-License-Identifier: Apache-2.0 */
/* PublishApi, UnpublishApi and RollbackApi: each is one transaction, and may wait for the agents.
 */
#ifndef CP_SERVICE_PUBLISH_H
#define CP_SERVICE_PUBLISH_H

#include "controlplane/rpc/method.h"

#define CP_WAIT_MAX_MS (60 * 1000)
/* Kept back from the caller's deadline, so that the answer still reaches him. */
#define CP_WAIT_MARGIN_MS 200
/* Of one publish, when fewer are kept than before; the next ones drop the rest. */
#define CP_RELEASES_DROPPED_MAX 35

cp_handler cp_publish_api;
cp_handler cp_unpublish_api;
cp_handler cp_rollback_api;

#endif
