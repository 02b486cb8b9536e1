/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent may say in its Hello. Pure; tested with the sessions (session_breach_test.c). */
#ifndef CP_AGENTS_HELLO_H
#define CP_AGENTS_HELLO_H

#include "common/content_digest.h"
#include "common/error.h"
#include "controlplane/snapshot/agent_types.h"

/* *ret_kinds: a mask (1 << kind) of those that both sides know. */
GW_MUST_CHECK int cp_hello_check(const cp_hello *hello, unsigned *ret_kinds, struct gw_error *err);

/* False: it has not said what it has comes to. */
bool cp_hello_digest(const cp_hello *hello, struct gw_content_digest *ret_digest);

#endif
