/* SPDX-License-Identifier: Apache-2.0 */
/* How many there may be, held also against those who come at the same time. Far from the limit
 * creates do not get in each other's way; near it (CP_LIMIT_MARGIN) each sees the others. Begin,
 * count, end: in this order. Exact as long as not more than the margin create at once.
 * what: names the limit, "apis/groups/a". */
#ifndef CP_SERVICE_LIMITS_H
#define CP_SERVICE_LIMITS_H

#include "controlplane/service/change.h"

#define CP_LIMIT_MARGIN 256
struct cp_limit {
    gw_str key;
    int64_t revision;
};
GW_MUST_CHECK int cp_limit_begin(const struct cp_call *call, struct cp_change *change, gw_str what,
                                 struct cp_limit *ret, struct gw_error *err);
/* -1: there are as many as there may be; what to say of it is the caller's. */
GW_MUST_CHECK int cp_limit_end(struct cp_change *change, const struct cp_limit *limit,
                               int64_t count, int64_t max);
/* Of the children of a kind under the parent ("": all of the kind): RESOURCE_EXHAUSTED. */
GW_MUST_CHECK int cp_change_limit(const struct cp_call *call, struct cp_change *change,
                                  enum cp_kind_id kind, const char *parent, int64_t max,
                                  struct gw_error *err);

#endif
