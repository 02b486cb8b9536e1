/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a PROXY header: what is read is the same however it arrives and whatever follows,
 * and as long as more is wanted, every beginning wanted more. */
#include "dataplane/net/proxy.h"

#include <stdio.h>
#include <stdlib.h>

static void expect(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dp_proxy_header header, again;
    gw_str bytes = gw_str_n((const char *)data, size);
    ptrdiff_t n = dp_proxy_parse(bytes, &header);
    expect(n <= (ptrdiff_t)GW_MIN(size, (size_t)DP_PROXY_BYTES_MAX), "length");
    expect(n != 0 || size < DP_PROXY_BYTES_MAX, "more than there may be is wanted");
    size_t whole = n > 0 ? (size_t)n : n == 0 ? size : 0;
    for (size_t len = 0; len < whole; len++)
        expect(dp_proxy_parse(gw_str_n(bytes.ptr, len), &again) == 0, "a beginning wants more");
    if (n <= 0)
        return 0;
    expect(dp_proxy_parse(gw_str_n(bytes.ptr, whole), &again) == n, "the same without the rest");
    expect(again.has_addresses == header.has_addresses &&
               dp_address_cmp(&again.source, &header.source) == 0 &&
               again.source_port == header.source_port &&
               again.destination_port == header.destination_port,
           "the same header");
    return 0;
}
