/* SPDX-License-Identifier: Apache-2.0 */
/* Ids of agents, as they say them in their Hello, and patterns of ids. */
#ifndef CP_MODEL_AGENT_IDS_H
#define CP_MODEL_AGENT_IDS_H

#include "common/str.h"

#define CP_AGENT_ID_MAX 128 /* bytes */

/* 1 to 128 of a-z A-Z 0-9 . - _ */
bool cp_agent_id_is(gw_str text);
/* An id, or the start of one with "*" behind it: "edge-*"; "*" alone is any. */
bool cp_agent_pattern_is(gw_str text);
bool cp_agent_pattern_fits(gw_str pattern, gw_str id);

#endif
