/* SPDX-License-Identifier: Apache-2.0 */
/* Domains, as other services see them. */
#ifndef CP_SERVICE_DOMAINS_H
#define CP_SERVICE_DOMAINS_H

#include "controlplane/model/types.h"
#include "controlplane/service/change.h"

#define CP_DOMAINS_INDEX "domains" /* host -> the domain or group that has it */

/* Deletes one with its references and its host. */
void cp_drop_domain(struct cp_change *change, const cp_domain *domain);
/* Whether the domain can be served once this certificate is as it is here: FAILED_PRECONDITION,
 * naming the domain. The others that it uses are read. */
GW_MUST_CHECK int cp_domain_takes(const struct cp_call *call, const cp_domain *domain,
                                  const cp_certificate *certificate, struct gw_error *err);

#endif
