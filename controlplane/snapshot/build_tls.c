/* SPDX-License-Identifier: Apache-2.0 */
/* What agents need for TLS. Here alone private keys are opened. */
#include "common/message.h"
#include "controlplane/model/check_certificate.h"
#include "controlplane/snapshot/build.h"

/* Minor versions of TLS 1.x. */
static uint32_t min_version(const cp_domain *domain)
{
    switch (domain->min_tls_version) {
    case CP_ENUM(TLS_VERSION, 1_1):
        return 1;
    case CP_ENUM(TLS_VERSION, 1_3):
        return 3;
    default:
        return 2;
    }
}

void cp_build_domain_tls(struct gw_arena *arena, const cp_domain *domain, cp_agent_group *group)
{
    if (domain->n_certificates == 0)
        return;
    cp_agent_domain_tls *tls = CP_AGENT_NEW(arena, cp_agent_domain_tls, domain_tls);
    tls->host = gw_arena_strdup(arena, cp_name_last(domain->name));
    tls->certificates = domain->certificates;
    tls->n_certificates = domain->n_certificates;
    tls->min_version = min_version(domain);
    tls->ciphers = domain->tls_ciphers;
    tls->n_ciphers = domain->n_tls_ciphers;
    tls->verify_client_certificate = domain->verify_client_certificate;
    tls->https_redirect = domain->https_redirect;
    group->tls[group->n_tls++] = tls;
}

int cp_build_certificate(const struct cp_state *state, gw_str name, struct gw_arena *arena,
                         cp_agent_certificate **ret_certificate, struct gw_error *err)
{
    ProtobufCMessage *message;
    gw_str key = GW_STR("");
    int found = cp_build_read(state, name, arena, &message, err);
    if (found <= 0 || !cp_state_is_used(state, arena, name))
        return GW_MIN(found, 0);
    const cp_certificate *stored = (cp_certificate *)(void *)message;
    gw_str sealed =
        gw_str_n((const char *)stored->sealed_private_key.data, stored->sealed_private_key.len);
    struct cp_seal_place place = {stored->name, CP_PRIVATE_KEY_FIELD};
    struct gw_error why = GW_ERROR_NONE;
    if (*stored->certificate_pem &&
        cp_seal_open(cp_state_seal(state), place, sealed, arena, &key, &why) < 0)
        return gw_fail(err, why.code, "the private key cannot be opened: %.400s", why.message);
    cp_agent_certificate *certificate = CP_AGENT_NEW(arena, cp_agent_certificate, certificate);
    certificate->name = stored->name;
    certificate->certificate_pem = stored->certificate_pem;
    certificate->private_key_pem = cp_build_text(arena, key);
    certificate->ca_pem = stored->client_ca_pem;
    *ret_certificate = certificate;
    return 1;
}
