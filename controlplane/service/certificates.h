/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, as other services see them. */
#ifndef CP_SERVICE_CERTIFICATES_H
#define CP_SERVICE_CERTIFICATES_H

#include "controlplane/model/types.h"
#include "controlplane/service/change.h"

/* Seals the private key of a stored one again when it is not under the first key. Not there, or
 * current: nothing happens. -1: it cannot be opened. */
int cp_certificate_reseal(const struct cp_call *call, cp_certificate *certificate,
                          struct gw_error *err);

#endif
