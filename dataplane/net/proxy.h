/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol, versions 1 and 2: what a load balancer says in front of a connection's bytes,
 * so that the other side knows whose it is. Bytes in, addresses out; no I/O. */
#ifndef DP_NET_PROXY_H
#define DP_NET_PROXY_H

#include "dataplane/net/address.h"

/* Of a whole header; one that says to be longer is refused. Version 1 ends within 107 bytes;
 * version 2 may carry a lot, and in practice no more than names and certificates' subjects. */
#define DP_PROXY_BYTES_MAX 2048

struct dp_proxy_header {
    bool has_addresses; /* false: those of the connection itself count (LOCAL, UNKNOWN, others) */
    struct dp_address source, destination;
    uint16_t source_port, destination_port;
};

/* The header at the start of `bytes`: its length; 0: all of them belong to it, and more must come;
 * -EPROTO: there is none, or it is malformed. */
GW_MUST_CHECK ptrdiff_t dp_proxy_parse(gw_str bytes, struct dp_proxy_header *ret_header);

#endif
