/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets that another process has opened and this one goes on with: the connections that
 * the kernel has queued on them stay. One thread. */
#ifndef DP_NET_INHERITED_H
#define DP_NET_INHERITED_H

#include "common/error.h"
#include "dataplane/net/address.h"

struct dp_inherited_socket {
    int fd; /* owned; -1: taken */
    struct dp_address address;
    uint16_t port;
};

struct dp_inherited {
    struct dp_inherited_socket *sockets; /* owned */
    unsigned count;
};

/* text: descriptors, "7,8,12". Each must be a listening TCP socket; they are closed in programs
 * that this one starts. Nothing is kept when one is not. */
GW_MUST_CHECK int dp_inherited_parse(struct dp_inherited *inherited, const char *text,
                                     struct gw_error *err);
/* How many there were for the address, taken ones too; inherited may be NULL. */
unsigned dp_inherited_count(const struct dp_inherited *inherited, const struct dp_address *address,
                            uint16_t port);
/* One of them, the caller's from now on; -1: none is left. inherited may be NULL. */
int dp_inherited_take(struct dp_inherited *inherited, const struct dp_address *address,
                      uint16_t port);
/* Closes what nobody has taken. */
void dp_inherited_done(struct dp_inherited *inherited);

#endif
