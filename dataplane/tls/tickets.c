/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tls/tickets.h"

#include "dataplane/sha256.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

_Static_assert(DP_SHA256_BYTES == DP_TICKET_KEY_BYTES, "a digest is a key");

/* ---- keys of the process */

static void draw(const struct dp_ticket_chain *chain, const char purpose[4], uint8_t ret[32])
{
    char text[sizeof(chain->seed) + 4];
    memcpy(text, chain->seed, sizeof(chain->seed));
    memcpy(text + sizeof(chain->seed), purpose, 4);
    dp_sha256(gw_str_n(text, sizeof(text)), ret);
    OPENSSL_cleanse(text, sizeof(text));
}

/* The key before the last one is gone, and the seed that it came of too. */
static void draw_next(struct dp_ticket_chain *chain)
{
    uint8_t name[DP_SHA256_BYTES];
    chain->keys[1] = chain->keys[0];
    draw(chain, "name", name);
    memcpy(chain->keys[0].name, name, sizeof(chain->keys[0].name));
    draw(chain, "seal", chain->keys[0].aes);
    draw(chain, "sign", chain->keys[0].hmac);
    draw(chain, "next", chain->seed);
    chain->next_ms += DP_TICKET_LIFE_MS;
}

/* There are always two. */
void dp_ticket_chain_make(struct dp_ticket_chain *chain, gw_msec now_ms)
{
    if (RAND_priv_bytes(chain->seed, sizeof(chain->seed)) != 1)
        gw_panic("no random numbers");
    chain->next_ms = now_ms - DP_TICKET_LIFE_MS;
    draw_next(chain);
    draw_next(chain);
}

void dp_ticket_chain_advance(struct dp_ticket_chain *chain, gw_msec now_ms)
{
    while (gw_unlikely(now_ms >= chain->next_ms))
        draw_next(chain);
}

int dp_ticket_chain_take(struct dp_ticket_chain *chain, gw_str bytes, gw_msec now_ms)
{
    if (bytes.len != sizeof(*chain))
        return -1;
    memcpy(chain, bytes.ptr, sizeof(*chain));
    if (chain->next_ms < now_ms - DP_TICKET_LIFE_MS || chain->next_ms > now_ms + DP_TICKET_LIFE_MS)
        return -1;
    dp_ticket_chain_advance(chain, now_ms);
    return 0;
}

int dp_tickets_init(struct dp_tickets *tickets, OSSL_LIB_CTX *library,
                    const struct dp_ticket_chain *own, struct gw_error *err)
{
    *tickets = (struct dp_tickets){.own = *own};
    tickets->cipher = EVP_CIPHER_fetch(library, "AES-256-CBC", NULL);
    if (!tickets->cipher)
        return gw_fail(err, GW_INTERNAL, "OpenSSL has no AES-256-CBC");
    return 0;
}

void dp_tickets_done(struct dp_tickets *tickets)
{
    EVP_CIPHER_free(tickets->cipher);
    OPENSSL_cleanse(tickets, sizeof(*tickets));
}

/* ---- of a ticket */

static const struct dp_ticket_key *sealing_key(const struct dp_tickets *tickets)
{
    return tickets->given.count > 0 ? &tickets->given.items[0] : &tickets->own.keys[0];
}

static const struct dp_ticket_key *find(const struct dp_tickets *tickets, const unsigned char *name)
{
    for (unsigned i = 0; i < tickets->given.count; i++)
        if (memcmp(tickets->given.items[i].name, name, DP_TICKET_NAME_BYTES) == 0)
            return &tickets->given.items[i];
    for (unsigned i = 0; i < GW_ARRAY_LEN(tickets->own.keys); i++)
        if (memcmp(tickets->own.keys[i].name, name, DP_TICKET_NAME_BYTES) == 0)
            return &tickets->own.keys[i];
    return NULL;
}

static bool use_mac(EVP_MAC_CTX *mac, const struct dp_ticket_key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->hmac,
                                          sizeof(key->hmac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

int dp_tickets_choose(struct dp_tickets *tickets, unsigned char *name, unsigned char *iv,
                      EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
    const struct dp_ticket_key *newest = sealing_key(tickets);
    const struct dp_ticket_key *key = sealing ? newest : find(tickets, name);
    if (!key)
        return 0; /* the session is made anew */
    if (sealing) {
        memcpy(name, key->name, DP_TICKET_NAME_BYTES);
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(tickets->cipher)) != 1)
            return -1;
    }
    if (EVP_CipherInit_ex2(cipher, tickets->cipher, key->aes, iv, sealing, NULL) != 1 ||
        !use_mac(mac, key))
        return -1;
    return sealing || key == newest ? 1 : 2; /* 2: the caller gets another ticket */
}
