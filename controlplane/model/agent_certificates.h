/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of enrolled agents: their authority, what an agent asks for, and what it gets. No
 * I/O; texts are PEM, in the arena. */
#ifndef CP_MODEL_AGENT_CERTIFICATES_H
#define CP_MODEL_AGENT_CERTIFICATES_H

#include "common/arena.h"
#include "common/error.h"

#define CP_AGENT_URI "penstock://agents/" /* and the agent's id: the name in its certificate */
#define CP_CSR_BYTES_MAX (16 * 1024)
#define CP_FINGERPRINT_CHARS 64 /* SHA-256 in hex */
/* Of one agent, the newest ones: a stream that began with an older one ends at the next renewal. */
#define CP_AGENT_CERTIFICATES_MAX 8

struct cp_pem_pair {
    const char *certificate, *key;
};
/* A new authority, for 10 years from now_s (since the epoch). */
GW_MUST_CHECK int cp_agent_authority_make(int64_t now_s, struct gw_arena *arena,
                                          struct cp_pem_pair *ret, struct gw_error *err);

struct cp_agent_certificate {
    const char *pem, *fingerprint;
    int64_t expiry_s;
};
/* The agent's, for what the request asks for. INVALID_ARGUMENT says what is wrong with the request:
 * its key, its signature, names of others, extensions. */
GW_MUST_CHECK int cp_agent_certificate_sign(const struct cp_pem_pair *authority,
                                            const char *request_pem, const char *agent_id,
                                            int64_t now_s, int64_t life_s, struct gw_arena *arena,
                                            struct cp_agent_certificate *ret, struct gw_error *err);

/* Of the first certificate in it. False: there is none. */
bool cp_certificate_fingerprint(gw_str pem, char ret_hex[CP_FINGERPRINT_CHARS + 1]);

#endif
