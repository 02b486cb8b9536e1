/* SPDX-License-Identifier: Apache-2.0 */
/* A call of the debug tool: what may be asked, and the request that it makes (catalogue 2.2). Pure.
 */
#ifndef CP_MODEL_CHECK_DEBUG_H
#define CP_MODEL_CHECK_DEBUG_H

#include "common/arena.h"
#include "common/error.h"
#include "controlplane/model/types.h"

#define CP_DEBUG_PATH_MAX 1024  /* bytes */
#define CP_DEBUG_FIELDS_MAX 50  /* headers, and as many parameters of the query */
#define CP_DEBUG_NAME_MAX 32    /* bytes */
#define CP_DEBUG_VALUE_MAX 1024 /* bytes */
#define CP_DEBUG_BODY_MAX (2 * 1024 * 1024)

/* All that is wrong, as violations. */
GW_MUST_CHECK int cp_check_debug(const cp_debug_api_request *asked, struct gw_error *err);

struct cp_debug_target {
    const char *host;        /* for Host */
    const char *environment; /* for X-Stage */
};
/* HTTP/1.1, head and body, of a checked call; in the arena. *ret_shown: the head for people,
 * without the AppCode. */
gw_str cp_debug_request(struct gw_arena *arena, const cp_debug_api_request *asked,
                        const struct cp_debug_target *target, gw_str *ret_shown);

#endif
