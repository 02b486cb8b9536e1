/* SPDX-License-Identifier: Apache-2.0 */
/* What a complete head means: target, host, body, connection. Private to http/. */
#ifndef DP_HTTP_H1_FRAMING_H
#define DP_HTTP_H1_FRAMING_H

#include "dataplane/http/h1.h"

/* Each: 0 or -enum dp_h1_error. */

/* Sets path, query, authority, host, port from method, target and the Host field. */
GW_MUST_CHECK int dp_h1_target_split(struct dp_request_head *head);
GW_MUST_CHECK int dp_h1_request_framing(const struct dp_request_head *head,
                                        struct dp_h1_framing *framing);
GW_MUST_CHECK int dp_h1_response_framing(const struct dp_response_head *head, enum dp_method method,
                                         struct dp_h1_framing *framing);

#endif
