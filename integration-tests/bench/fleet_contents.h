/* SPDX-License-Identifier: Apache-2.0 */
/* What the agents of a fleet have comes to (Hello.content_digest). All are sent the same, so it is
 * known of one of them, and of some revisions back, for not all come as far at the same time. */
#ifndef FLEET_CONTENTS_H
#define FLEET_CONTENTS_H

#include "common/content_digest.h"
#include "common/str.h"

#define FLEET_VERSIONS_KEPT 8

/* One field of a packed message: numbers in *ret_number, text and messages in *ret_bytes. -1: it
 * is none, or of a kind that the agents' protocol has not. */
int fleet_take_field(gw_str *rest, uint64_t *ret_tag, uint64_t *ret_number, gw_str *ret_bytes);

/* A packed Update, or a chunk of one. -1: it is none. */
int fleet_contents_keep(gw_str update, bool is_first);
/* NULL: it is not known. */
const struct gw_content_digest *fleet_contents_at(int64_t revision);

#endif
