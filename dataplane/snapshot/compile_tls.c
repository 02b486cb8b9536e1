/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, the keys of session tickets, and how the domains of a group are served over TLS. */
#include "dataplane/sha256.h"
#include "dataplane/snapshot/parts.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdio.h>

#define BLOCK_BYTES 4096

/* ---- certificate */

struct dp_unit *dp_compile_certificate(const Penstock__Agent__V1__Certificate *message,
                                       struct gw_error *err)
{
    if (dp_compile_check_name(message->name, "certificates/", err) < 0)
        return NULL;
    struct dp_pem pem = {message->certificate_pem, message->private_key_pem, message->ca_pem};
    struct dp_certificate_unit *unit = dp_unit_new(sizeof *unit, BLOCK_BYTES);
    struct gw_arena *arena = unit->unit.arena;
    unit->certificate.name = gw_arena_dup(arena, gw_str_from(message->name));
    if (dp_credentials_read(arena, &pem, &unit->certificate.credentials, err) == 0)
        return &unit->unit;
    dp_unit_unref(&unit->unit);
    return NULL;
}

/* ---- ticket keys */

struct secret {
    struct dp_ticket_key *items;
    size_t bytes;
};

static void forget(void *arg)
{
    struct secret *secret = arg;
    OPENSSL_cleanse(secret->items, secret->bytes);
}

static int take_key(struct dp_ticket_key *key, const Penstock__Agent__V1__TicketKey *message,
                    struct gw_error *err)
{
    if (message->name.len != DP_TICKET_NAME_BYTES || message->aes_key.len != DP_TICKET_KEY_BYTES ||
        message->hmac_key.len != DP_TICKET_KEY_BYTES)
        return gw_fail_field(err, "keys", "must have %d, %d and %d bytes", DP_TICKET_NAME_BYTES,
                             DP_TICKET_KEY_BYTES, DP_TICKET_KEY_BYTES);
    memcpy(key->name, message->name.data, sizeof key->name);
    memcpy(key->aes, message->aes_key.data, sizeof key->aes);
    memcpy(key->hmac, message->hmac_key.data, sizeof key->hmac);
    return 0;
}

struct dp_unit *dp_compile_ticket_keys(const Penstock__Agent__V1__TicketKeys *message,
                                       struct gw_error *err)
{
    if (strcmp(message->name, DP_COMPILE_TICKET_KEYS) != 0) {
        (void)gw_fail_field(err, "name", "must be " DP_COMPILE_TICKET_KEYS);
        return NULL;
    }
    if (message->n_keys < 1 || message->n_keys > DP_COMPILE_TICKET_KEYS_MAX) {
        (void)gw_fail_field(err, "keys", "must be 1 to %d", DP_COMPILE_TICKET_KEYS_MAX);
        return NULL;
    }
    struct dp_tickets_unit *unit = dp_unit_new(sizeof *unit, BLOCK_BYTES);
    struct gw_arena *arena = unit->unit.arena;
    struct secret *secret = GW_ARENA_NEW(arena, struct secret);
    secret->items = GW_ARENA_ARRAY(arena, struct dp_ticket_key, message->n_keys);
    secret->bytes = message->n_keys * sizeof secret->items[0];
    gw_arena_defer(arena, forget, secret);
    unit->keys = (struct dp_ticket_keys){secret->items, (unsigned)message->n_keys};
    for (size_t i = 0; i < message->n_keys; i++) {
        if (take_key(&secret->items[i], message->keys[i], err) < 0) {
            dp_unit_unref(&unit->unit);
            return NULL;
        }
    }
    return &unit->unit;
}

/* ---- domains */

static bool is_cipher(const char *name)
{
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    bool is_word = *name && *name != '-' && !strpbrk(name, ":, !+@");
    bool is_known = is_word && context && SSL_CTX_set_cipher_list(context, name) == 1;
    ERR_clear_error();
    SSL_CTX_free(context);
    return is_known;
}

/* "A:B:C"; each of them must be known here. */
static int join_ciphers(struct gw_arena *arena, const Penstock__Agent__V1__DomainTls *message,
                        const char *field, gw_str *ret_list, struct gw_error *err)
{
    gw_str list = GW_STR_NONE;
    if (message->n_ciphers > DP_COMPILE_CIPHERS_MAX)
        return gw_fail_field(err, field, "must have at most %d ciphers", DP_COMPILE_CIPHERS_MAX);
    for (size_t i = 0; i < message->n_ciphers; i++) {
        if (!is_cipher(message->ciphers[i]))
            return gw_fail_field(err, field, "has a cipher that is not known: %.64s",
                                 message->ciphers[i]);
        list = gw_arena_printf(arena, "%.*s%s%s", GW_STR_ARG(list), i > 0 ? ":" : "",
                               message->ciphers[i]);
    }
    *ret_list = list;
    return 0;
}

/* What is not there yet is left out: the domain is compiled again when it comes. Callers are served
 * without what they must show to nobody: a domain that lacks its authorities is not served. */
static void find_certificates(const struct dp_parts *parts, struct dp_unit *owner,
                              const Penstock__Agent__V1__DomainTls *message,
                              struct dp_domain_tls *domain)
{
    for (size_t i = 0; i < message->n_certificates; i++) {
        struct dp_unit *found = parts->find(parts, PENSTOCK__AGENT__V1__KIND__KIND_CERTIFICATE,
                                            message->certificates[i]);
        if (!found)
            continue;
        const struct dp_certificate *one = &((struct dp_certificate_unit *)found)->certificate;
        dp_unit_keep(owner, found);
        if (one->credentials.chain_count > 0)
            domain->certificates[domain->certificate_count++] = one;
        if (domain->verifies && one->credentials.authority_count > 0 && !domain->authorities)
            domain->authorities = one;
    }
    if (domain->verifies && !domain->authorities)
        domain->certificate_count = 0;
}

static void make_ids(struct dp_domain_tls *domain)
{
    struct {
        uint8_t certificates[DP_TLS_CERTIFICATES_MAX][DP_CREDENTIALS_DIGEST_BYTES];
        uint8_t authorities[DP_CREDENTIALS_DIGEST_BYTES];
        uint8_t rest[DP_SHA256_BYTES]; /* ciphers; the host */
        uint8_t min_version, verifies;
    } terms = {0};
    for (unsigned i = 0; i < domain->certificate_count; i++)
        memcpy(terms.certificates[i], domain->certificates[i]->credentials.digest,
               DP_CREDENTIALS_DIGEST_BYTES);
    terms.min_version = domain->min_version;
    terms.verifies = domain->verifies;
    if (domain->authorities)
        memcpy(terms.authorities, domain->authorities->credentials.authorities_digest,
               DP_CREDENTIALS_DIGEST_BYTES);
    dp_sha256(domain->ciphers, terms.rest);
    dp_sha256(gw_str_n((char *)&terms, sizeof terms), domain->context_id);
    /* The gateway's own certificate may change under a session. */
    memset(terms.certificates, 0, sizeof terms.certificates);
    dp_sha256(domain->host, terms.rest);
    dp_sha256(gw_str_n((char *)&terms, sizeof terms), domain->session_id);
}

static int compile_domain(const struct dp_parts *parts, struct dp_unit *owner,
                          const Penstock__Agent__V1__DomainTls *message, const char *field,
                          struct dp_domain_tls *domain, struct gw_error *err)
{
    if (message->n_certificates < 1 || message->n_certificates > DP_TLS_CERTIFICATES_MAX)
        return gw_fail_field(err, field, "must have 1 to %d certificates", DP_TLS_CERTIFICATES_MAX);
    if (message->min_version < 1 || message->min_version > 3)
        return gw_fail_field(err, field, "must have a min_version of 1 to 3");
    domain->min_version = (uint8_t)message->min_version;
    domain->verifies = message->verify_client_certificate;
    domain->https_redirect = message->https_redirect;
    if (join_ciphers(owner->arena, message, field, &domain->ciphers, err) < 0)
        return -1;
    find_certificates(parts, owner, message, domain);
    make_ids(domain);
    return 0;
}

/* Control planes list them in the order of the domains. */
static int index_of(const struct dp_group_unit *group, gw_str host, unsigned from)
{
    for (unsigned i = 0; i < group->host_count; i++) {
        unsigned at = (from + i) % group->host_count;
        if (gw_str_eq(group->hosts[at], host))
            return (int)at;
    }
    return -1;
}

int dp_compile_domains_tls(const struct dp_parts *parts, struct dp_group_unit *group,
                           const Penstock__Agent__V1__Group *message, struct gw_error *err)
{
    struct gw_arena *arena = group->unit.arena;
    unsigned next = 0;
    if (message->n_tls > DP_COMPILE_DOMAINS_MAX)
        return gw_fail_field(err, "tls", "must be at most %d", DP_COMPILE_DOMAINS_MAX);
    for (size_t i = 0; i < message->n_tls; i++) {
        char field[32];
        (void)snprintf(field, sizeof field, "tls[%zu]", i);
        gw_str host = dp_compile_fold_host(arena, message->tls[i]->host);
        int at = index_of(group, host, next);
        if (at < 0 || group->values[at]->tls)
            return gw_fail_field(err, field, "is for no domain of the group, or for one twice");
        struct dp_domain_tls *domain = GW_ARENA_NEW(arena, struct dp_domain_tls);
        domain->host = group->hosts[at];
        if (compile_domain(parts, &group->unit, message->tls[i], field, domain, err) < 0)
            return -1;
        struct dp_host *value = GW_ARENA_NEW(arena, struct dp_host);
        *value = *group->values[at];
        value->tls = domain;
        group->values[at] = value;
        next = (unsigned)at + 1;
    }
    return 0;
}
