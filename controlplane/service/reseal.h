/* SPDX-License-Identifier: Apache-2.0 */
/* After a rotation of the keys for secrets: all that is stored under an older one. */
#ifndef CP_SERVICE_RESEAL_H
#define CP_SERVICE_RESEAL_H

#include "controlplane/service/context.h"

/* Seals it under the first key; *ret_count: how many records. What does not open stays as it is: it
 * is said where it is used. -1: the store failed, or others were faster; the rest is left. */
GW_MUST_CHECK int cp_services_reseal(struct cp_services *services, unsigned *ret_count,
                                     struct gw_error *err);

#endif
