/* SPDX-License-Identifier: Apache-2.0 */
/* Session tickets of one worker: what a caller brings back is all that is known of its session, so
 * any worker, and with keys of the control plane any agent, resumes it. Without such keys those of
 * the process seal: all workers draw them from one seed, forward only, so that none can be had back
 * once its time is over. A process that replaces another one goes on with its keys. */
#ifndef DP_TLS_TICKETS_H
#define DP_TLS_TICKETS_H

#include "common/clock.h"
#include "dataplane/snapshot/tls.h"

#define DP_TICKET_LIFE_MS (60 * 60 * 1000) /* of a session, and of a key of the process */

/* The process's keys. Each worker, and the main thread, has a copy and draws on by itself. */
struct dp_ticket_chain {
    uint8_t seed[32];             /* of the next key */
    gw_msec next_ms;              /* monotonic, which all processes share: when it is due */
    struct dp_ticket_key keys[2]; /* in use; the one before */
};

/* All of it, for the process that follows: never to a file, a log or another machine. */
#define DP_TICKET_CHAIN_BYTES sizeof(struct dp_ticket_chain)

struct dp_tickets {
    EVP_CIPHER *cipher; /* a reference */
    struct dp_ticket_chain own;
    struct dp_ticket_keys given; /* borrowed: the control plane's */
};

void dp_ticket_chain_make(struct dp_ticket_chain *chain, gw_msec now_ms);
void dp_ticket_chain_advance(struct dp_ticket_chain *chain, gw_msec now_ms);
/* From the process before. -1: none, or one that cannot be; then make one. */
GW_MUST_CHECK int dp_ticket_chain_take(struct dp_ticket_chain *chain, gw_str bytes, gw_msec now_ms);

GW_MUST_CHECK int dp_tickets_init(struct dp_tickets *tickets, OSSL_LIB_CTX *library,
                                  const struct dp_ticket_chain *own, struct gw_error *err);
void dp_tickets_done(struct dp_tickets *tickets);
/* For SSL_CTX_set_tlsext_ticket_key_evp_cb, with its results. */
int dp_tickets_choose(struct dp_tickets *tickets, unsigned char *name, unsigned char *iv,
                      EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing);

#endif
