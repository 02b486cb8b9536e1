/* SPDX-License-Identifier: Apache-2.0 */
/* What domains may say, by themselves and with the certificates that they name. Pure. */
#ifndef CP_MODEL_CHECK_DOMAIN_H
#define CP_MODEL_CHECK_DOMAIN_H

#include "controlplane/model/types.h"

#include "common/arena.h"
#include "common/error.h"

#define CP_DOMAIN_CERTIFICATES_MAX 2 /* one with an RSA key, one with an ECDSA key */
#define CP_DOMAIN_CIPHERS_MAX 32

/* All that is wrong, as violations; name, labels and what the server sets are not looked at. */
GW_MUST_CHECK int cp_check_domain(const cp_domain *domain, struct gw_error *err);
/* Writes the defaults into what is unset. */
void cp_fill_domain(cp_domain *domain);
/* Of a domain that is good by itself: whether its certificates, in their order, can serve it. */
GW_MUST_CHECK int cp_check_domain_tls(const cp_domain *domain,
                                      const cp_certificate *const *certificates,
                                      struct gw_error *err);

#endif
