/* SPDX-License-Identifier: Apache-2.0 */
/* What agents need for TLS. Here alone private keys are opened. */
#include "common/message.h"
#include "controlplane/model/check_certificate.h"
#include "controlplane/model/ticket_keys.h"
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

static int fail_locked(struct gw_error *err, const struct gw_error *why)
{
    (void)gw_fail(err, why->code, "the private key cannot be opened: %.400s", why->message);
    return gw_error_reason(err, why->reason);
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
        return fail_locked(err, &why);
    cp_agent_certificate *certificate = CP_AGENT_NEW(arena, cp_agent_certificate, certificate);
    certificate->name = stored->name;
    certificate->certificate_pem = stored->certificate_pem;
    certificate->private_key_pem = cp_build_text(arena, key);
    certificate->ca_pem = stored->client_ca_pem;
    *ret_certificate = certificate;
    return 1;
}

/* ---- ticket keys */

static cp_agent_ticket_key *open_key(const struct cp_state *state, struct gw_arena *arena,
                                     const cp_ticket_key *stored, struct gw_error *err)
{
    gw_str secret, sealed = gw_str_n((const char *)stored->sealed.data, stored->sealed.len);
    struct cp_seal_place place = {CP_TICKET_KEYS_NAME, cp_ticket_key_field(arena, stored)};
    if (cp_seal_open(cp_state_seal(state), place, sealed, arena, &secret, err) < 0)
        return NULL;
    if (stored->id.len != CP_TICKET_ID_BYTES || secret.len != CP_TICKET_SECRET_BYTES) {
        (void)gw_fail(err, GW_INTERNAL, "a ticket key has not the length of one");
        return NULL;
    }
    uint8_t *bytes = (uint8_t *)(uintptr_t)secret.ptr;
    cp_agent_ticket_key *key = CP_AGENT_NEW(arena, cp_agent_ticket_key, ticket_key);
    key->name = stored->id;
    key->aes_key = (ProtobufCBinaryData){CP_TICKET_AES_BYTES, bytes};
    key->hmac_key = (ProtobufCBinaryData){CP_TICKET_HMAC_BYTES, bytes + CP_TICKET_AES_BYTES};
    return key;
}

/* The one that seals first, then the next one, then those gone by. Those that do not open are left
 * out: the keys live on without them. */
int cp_build_ticket_keys(const struct cp_state *state, struct gw_arena *arena,
                         cp_agent_ticket_keys **ret_keys, struct gw_error *err)
{
    ProtobufCMessage *message;
    int found = cp_build_read(state, GW_STR(CP_TICKET_KEYS_NAME), arena, &message, err);
    if (found <= 0)
        return found;
    const cp_ticket_key_set *stored = (cp_ticket_key_set *)(void *)message;
    cp_agent_ticket_keys *keys = CP_AGENT_NEW(arena, cp_agent_ticket_keys, ticket_keys);
    keys->name = gw_arena_strdup(arena, CP_AGENT_TICKET_KEYS);
    keys->keys = GW_ARENA_ARRAY(arena, cp_agent_ticket_key *, stored->n_keys + 1);
    struct gw_error why = GW_ERROR_NONE;
    for (size_t i = 0; i < stored->n_keys; i++) {
        size_t at = stored->n_keys > 1 && i < 2 ? 1 - i : i;
        cp_agent_ticket_key *key = open_key(state, arena, stored->keys[at], &why);
        if (key)
            keys->keys[keys->n_keys++] = key;
    }
    *ret_keys = keys;
    return keys->n_keys > 0 ? 1
                            : gw_fail(err, GW_FAILED_PRECONDITION,
                                      "the ticket keys cannot be opened: %.400s", why.message);
}
