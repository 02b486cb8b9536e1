/* SPDX-License-Identifier: Apache-2.0 */
/* An IP address in one form: IPv4 as IPv4-mapped IPv6, network byte order. A plain value. */
#ifndef DP_NET_ADDRESS_H
#define DP_NET_ADDRESS_H

#include "common/str.h"

#include <sys/socket.h>

struct dp_address {
    uint8_t bytes[16]; /* all zero: unknown */
};

#define DP_ADDRESS_TEXT_MAX 46

/* 0, or -EINVAL when the text is no literal address (brackets allowed around IPv6). */
GW_MUST_CHECK int dp_address_parse(gw_str text, struct dp_address *ret_address);
/* Unix sockets and others give the unknown address. */
struct dp_address dp_address_from(const struct sockaddr *sockaddr);
/* The other way; returns the length to pass to connect and bind. */
socklen_t dp_address_to_sockaddr(const struct dp_address *address, uint16_t port,
                                 struct sockaddr_storage *ret_sockaddr);
bool dp_address_is_known(const struct dp_address *address);
bool dp_address_is_v4(const struct dp_address *address);
/* "192.0.2.1", "2001:db8::1"; returns the length. */
size_t dp_address_print(const struct dp_address *address, char text[DP_ADDRESS_TEXT_MAX]);
/* memcmp order, for ranges. */
int dp_address_cmp(const struct dp_address *a, const struct dp_address *b);

#endif
