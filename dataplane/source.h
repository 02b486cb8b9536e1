/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's address as the proxies before this gateway tell it. Pure. */
#ifndef DP_SOURCE_H
#define DP_SOURCE_H

#include "dataplane/http/message.h"
#include "dataplane/net/address.h"

/* Element `index` of X-Forwarded-For, all its fields being one list: 0 the first, -1 the last. A
 * port behind the address is left out. False: there is no such element, or it is no address. */
GW_MUST_CHECK bool dp_source_forwarded(const struct dp_headers *headers, int64_t index,
                                       struct dp_address *ret_address);

#endif
