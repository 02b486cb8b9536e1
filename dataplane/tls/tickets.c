/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tls/tickets.h"

#include "dataplane/sha256.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

_Static_assert(DP_SHA256_BYTES == DP_TICKET_KEY_BYTES, "a digest is a key");

void dp_ticket_seed_make(struct dp_ticket_seed *seed)
{
    if (RAND_priv_bytes(seed->bytes, sizeof(seed->bytes)) != 1)
        gw_panic("no random numbers");
    seed->born_ms = gw_clock_monotonic_ms();
}

/* ---- keys of the process */

static void draw(const struct dp_tickets *tickets, const char purpose[4], uint8_t ret[32])
{
    char text[sizeof(tickets->seed) + 4];
    memcpy(text, tickets->seed, sizeof(tickets->seed));
    memcpy(text + sizeof(tickets->seed), purpose, 4);
    dp_sha256(gw_str_n(text, sizeof(text)), ret);
    OPENSSL_cleanse(text, sizeof(text));
}

/* The key before the last one is gone, and the seed that it came of too. */
static void draw_next(struct dp_tickets *tickets)
{
    uint8_t name[DP_SHA256_BYTES];
    tickets->own[1] = tickets->own[0];
    draw(tickets, "name", name);
    memcpy(tickets->own[0].name, name, sizeof(tickets->own[0].name));
    draw(tickets, "seal", tickets->own[0].aes);
    draw(tickets, "sign", tickets->own[0].hmac);
    draw(tickets, "next", tickets->seed);
    tickets->next_ms += DP_TICKET_LIFE_MS;
}

void dp_tickets_advance(struct dp_tickets *tickets, gw_msec now_ms)
{
    while (gw_unlikely(now_ms >= tickets->next_ms))
        draw_next(tickets);
}

int dp_tickets_init(struct dp_tickets *tickets, OSSL_LIB_CTX *library,
                    const struct dp_ticket_seed *seed, struct gw_error *err)
{
    *tickets = (struct dp_tickets){.next_ms = seed->born_ms};
    memcpy(tickets->seed, seed->bytes, sizeof(tickets->seed));
    tickets->cipher = EVP_CIPHER_fetch(library, "AES-256-CBC", NULL);
    if (!tickets->cipher)
        return gw_fail(err, GW_INTERNAL, "OpenSSL has no AES-256-CBC");
    draw_next(tickets); /* there are always two */
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
    return tickets->given.count > 0 ? &tickets->given.items[0] : &tickets->own[0];
}

static const struct dp_ticket_key *find(const struct dp_tickets *tickets, const unsigned char *name)
{
    for (unsigned i = 0; i < tickets->given.count; i++)
        if (memcmp(tickets->given.items[i].name, name, DP_TICKET_NAME_BYTES) == 0)
            return &tickets->given.items[i];
    for (unsigned i = 0; i < GW_ARRAY_LEN(tickets->own); i++)
        if (memcmp(tickets->own[i].name, name, DP_TICKET_NAME_BYTES) == 0)
            return &tickets->own[i];
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
