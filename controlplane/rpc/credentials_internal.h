/* SPDX-License-Identifier: Apache-2.0 */
/* What the readers of the parts of a credentials file share. */
#ifndef CP_RPC_CREDENTIALS_INTERNAL_H
#define CP_RPC_CREDENTIALS_INTERNAL_H

#include "controlplane/rpc/credentials.h"

/* Where the reading is, for messages: "tokens[2]", and inside of it "grants[1]". */
struct cp_place {
    const char *list;
    size_t index;
    const char *inner; /* NULL: no list inside */
    size_t inner_index;
};

/* INVALID_ARGUMENT "tokens[2].role: rule". */
int cp_fail_at(struct gw_error *err, struct cp_place place, const char *key, const char *rule);
/* An object with only these keys (NULL ends them), so that a typing error is not silently nobody's
 * right. */
GW_MUST_CHECK int cp_check_keys(const json_t *entry, struct cp_place place, const char *const *keys,
                                struct gw_error *err);
#define CP_CREDENTIALS_TEXT_MAX 127
/* A text of 1 to 127 bytes. */
GW_MUST_CHECK int cp_read_text(const json_t *entry, struct cp_place place, const char *key,
                               const char **ret_text, struct gw_error *err);

/* "roles": custom ones. */
GW_MUST_CHECK int cp_read_role(struct cp_credentials *credentials, const json_t *entry,
                               struct cp_place place, struct gw_error *err);
/* "agents". */
GW_MUST_CHECK int cp_read_agent(struct cp_credentials *credentials, const json_t *entry,
                                struct cp_place place, struct gw_error *err);
/* "issuers". */
GW_MUST_CHECK int cp_read_issuer(struct cp_credentials *credentials, const json_t *entry,
                                 struct cp_place place, struct gw_error *err);
/* Adds what `role` with `limits`, or `grants`, of an entry give to the principal. */
GW_MUST_CHECK int cp_read_grants(struct cp_credentials *credentials, const json_t *entry,
                                 struct cp_place place, struct cp_principal *principal,
                                 struct gw_error *err);
/* One grant: its `role` and `limits`. */
GW_MUST_CHECK int cp_read_grant(struct cp_credentials *credentials, const json_t *entry,
                                struct cp_place place, struct cp_grant *ret_grant,
                                struct gw_error *err);
typedef bool cp_text_check(const struct cp_credentials *credentials, const char *text);
/* A list of texts under a key, each as `check` wants it, for which `rule` is the message; absent:
 * none. */
GW_MUST_CHECK int cp_read_texts(struct cp_credentials *credentials, const json_t *entry,
                                struct cp_place place, const char *key, size_t max,
                                cp_text_check *check, const char *rule, struct cp_texts *ret_texts,
                                struct gw_error *err);

#endif
