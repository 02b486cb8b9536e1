/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 by OpenSSL, with a context per thread that is set up once: looking the algorithm up for
 * each digest costs more than the digest. Any thread. */
#ifndef DP_SHA256_H
#define DP_SHA256_H

#include "common/str.h"

#define DP_SHA256_BYTES 32

void dp_sha256(gw_str input, uint8_t ret_digest[DP_SHA256_BYTES]);
/* The same for what comes again and again: a thread remembers some digests, each under a keyed hash
 * of 128 bits of its input, which is not kept. */
void dp_sha256_recent(gw_str input, uint8_t ret_digest[DP_SHA256_BYTES]);

#endif
