/* SPDX-License-Identifier: Apache-2.0 */
/* What refusals may say of resources that the caller did not name. */
#ifndef CP_SERVICE_SEEN_H
#define CP_SERVICE_SEEN_H

#include "controlplane/service/read.h"

/* Whether the caller may Get it. Who calls for the control plane itself may. */
bool cp_may_see(const struct cp_call *call, gw_str name);
/* The name in the call's arena, or "one that you may not read". */
const char *cp_shown_name(const struct cp_call *call, gw_str name);

#endif
