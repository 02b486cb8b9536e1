/* SPDX-License-Identifier: Apache-2.0 */
/* Names of requests: 128 random bits as 32 hex digits. Not secret, only never the same. */
#ifndef DP_REQUEST_ID_H
#define DP_REQUEST_ID_H

#include "common/str.h"

#define DP_REQUEST_ID_LEN 32

/* One per thread. */
struct dp_request_ids {
    uint64_t state[2];
};

/* Seeded by the kernel's generator. */
struct dp_request_ids dp_request_ids_seeded(void);
/* Writes DP_REQUEST_ID_LEN lower-case hex digits. */
void dp_request_id_next(struct dp_request_ids *ids, char ret_text[DP_REQUEST_ID_LEN]);

#endif
