/* SPDX-License-Identifier: Apache-2.0 */
/* What lists and exports that come in pages share. */
#ifndef CP_SERVICE_PAGES_H
#define CP_SERVICE_PAGES_H

#include "controlplane/model/names.h"
#include "controlplane/rpc/rights.h"

/* Where a list goes on: opaque to callers, checked when it comes back. */
struct cp_page_token {
    unsigned long long list_hash; /* of the list that it belongs to */
    long long revision;
    gw_str after_key;
};
char *cp_page_token_write(struct gw_arena *arena, const struct cp_page_token *token);
/* False: it is none. */
bool cp_page_token_read(struct gw_arena *arena, gw_str text, struct cp_page_token *ret);
/* What a list of that revision fails with when the store has forgotten it: start again. */
GW_MUST_CHECK int cp_fail_page_expired(struct gw_error *err);
/* The prefixes of the kind's keys that the principal may see some of, in order: not a foreign key
 * is read on the way. */
gw_str *cp_visible_prefixes(struct gw_arena *arena, const struct cp_principal *principal,
                            const struct cp_action *action, enum cp_kind_id kind,
                            size_t *ret_count);

#endif
