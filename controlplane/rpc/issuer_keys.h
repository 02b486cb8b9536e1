/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of issuers that publish them at a URL ("jwksUri"): fetched by a thread of their own, so that
 * nobody waits for an identity provider, again when they are due or when a token names one that is
 * not there. What was fetched last stays in force while nothing better comes. */
#ifndef CP_RPC_ISSUER_KEYS_H
#define CP_RPC_ISSUER_KEYS_H

#include "common/clock.h"
#include "controlplane/rpc/credentials.h"

#include <pthread.h>

#define CP_KEYS_AGE_DEFAULT_S                                                                      \
    300 /* until they are fetched again, where the answer says nothing                             \
         */
#define CP_KEYS_AGE_MIN_S 60
#define CP_KEYS_AGE_MAX_S 86400
#define CP_KEYS_MISS_S 5       /* at most once in so long for keys that are not there */
#define CP_KEYS_RETRY_MS 1000  /* after a failure; twice as long after each, */
#define CP_KEYS_RETRY_MAX_S 60 /* up to here */

struct cp_issuer_keys;

/* lock: of the credentials that it is given; borrowed. The thread starts with the first URL. */
struct cp_issuer_keys *cp_issuer_keys_new(pthread_mutex_t *lock, cp_issuer_keys_fetch *fetch);
/* Without the lock; waits for the thread. Takes NULL. */
void cp_issuer_keys_free(struct cp_issuer_keys *keys);

/* These two with the lock held. The credentials' issuers have what was fetched, from now on at any
 * time; until the next adopt, or the end. */
void cp_issuer_keys_adopt(struct cp_issuer_keys *keys, struct cp_credentials *credentials);
/* A token names a key that the issuer does not have: it may be new. */
void cp_issuer_keys_miss(struct cp_issuer_keys *keys, const struct cp_issuer *issuer);

/* Fetches that failed. Any thread. */
int64_t cp_issuer_keys_failures(const struct cp_issuer_keys *keys);

#endif
