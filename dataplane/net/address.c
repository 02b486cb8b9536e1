/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

int dp_address_parse(gw_str text, struct dp_address *ret_address)
{
    char copy[DP_ADDRESS_TEXT_MAX];
    bool bracketed = text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']';
    if (bracketed)
        text = gw_str_n(text.ptr + 1, text.len - 2);
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, 0, text.len))
        return -EINVAL;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    struct dp_address address;
    if (inet_pton(AF_INET6, copy, address.bytes) == 1) {
        *ret_address = address;
        return 0;
    }
    if (bracketed || inet_pton(AF_INET, copy, address.bytes + 12) != 1)
        return -EINVAL;
    memcpy(address.bytes, v4_prefix, sizeof(v4_prefix));
    *ret_address = address;
    return 0;
}

struct dp_address dp_address_from(const struct sockaddr *sockaddr)
{
    struct dp_address address = {{0}};
    if (sockaddr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sockaddr;
        memcpy(address.bytes, v4_prefix, sizeof(v4_prefix));
        memcpy(address.bytes + 12, &in->sin_addr, 4);
    } else if (sockaddr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sockaddr;
        memcpy(address.bytes, &in6->sin6_addr, 16);
    }
    return address;
}

socklen_t dp_address_to_sockaddr(const struct dp_address *address, uint16_t port,
                                 struct sockaddr_storage *ret_sockaddr)
{
    memset(ret_sockaddr, 0, sizeof(*ret_sockaddr));
    if (dp_address_is_v4(address)) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret_sockaddr;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, address->bytes + 12, 4);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_sockaddr;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    memcpy(&in6->sin6_addr, address->bytes, 16);
    return sizeof(*in6);
}

bool dp_address_is_known(const struct dp_address *address)
{
    static const struct dp_address unknown;
    return memcmp(address, &unknown, sizeof(unknown)) != 0;
}

bool dp_address_is_v4(const struct dp_address *address)
{
    return memcmp(address->bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

/* By hand: inet_ntop goes through printf, and this runs for each connection. */
static size_t print_v4(const uint8_t *bytes, char *text)
{
    char *at = text;
    for (int i = 0; i < 4; i++) {
        unsigned n = bytes[i];
        if (n >= 100)
            *at++ = (char)('0' + n / 100);
        if (n >= 10)
            *at++ = (char)('0' + n / 10 % 10);
        *at++ = (char)('0' + n % 10);
        *at++ = i < 3 ? '.' : 0;
    }
    return (size_t)(at - text - 1);
}

size_t dp_address_print(const struct dp_address *address, char text[DP_ADDRESS_TEXT_MAX])
{
    if (dp_address_is_v4(address))
        return print_v4(address->bytes + 12, text);
    if (!inet_ntop(AF_INET6, address->bytes, text, DP_ADDRESS_TEXT_MAX))
        text[0] = 0;
    return strlen(text);
}

int dp_address_cmp(const struct dp_address *a, const struct dp_address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}
