/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/source.h"

/* Empty elements count: an index means a place, and proxies that know no address leave it empty. */
static gw_str element(gw_str list, int64_t index)
{
    int64_t count = 0;
    for (gw_str rest = list; rest.ptr; count++)
        (void)gw_str_split(&rest, ','); /* only counted */
    int64_t wanted = index < 0 ? count + index : index;
    if (wanted < 0 || wanted >= count)
        return GW_STR_NONE;
    gw_str rest = list;
    while (wanted-- > 0)
        (void)gw_str_split(&rest, ','); /* those before it */
    return gw_str_trim(gw_str_split(&rest, ','));
}

/* "192.0.2.1:4711", "[2001:db8::1]:4711"; an IPv6 address without brackets has no port. */
static gw_str without_port(gw_str text)
{
    uint64_t port;
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0 ||
        gw_str_to_u64(gw_str_n(text.ptr + colon, text.len - colon), UINT16_MAX, &port))
        return text;
    gw_str host = gw_str_n(text.ptr, colon - 1);
    bool is_bracketed = gw_str_has_suffix(host, GW_STR("]"));
    return is_bracketed || gw_str_find(host, ':') < 0 ? host : text;
}

bool dp_source_forwarded(const struct dp_headers *headers, int64_t index,
                         struct dp_address *ret_address)
{
    gw_str list = dp_headers_list(headers, DP_HEADER_X_FORWARDED_FOR);
    gw_str text = list.len > 0 ? without_port(element(list, index)) : GW_STR_NONE;
    return text.len > 0 && dp_address_parse(text, ret_address) == 0;
}
