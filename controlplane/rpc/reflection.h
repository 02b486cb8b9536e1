/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC server reflection, v1 and v1alpha (the messages are the same), over the descriptor set that
 * the build embeds: what lets foreign clients list and call the API without its protos. Open to
 * everybody: the protos are public. */
#ifndef CP_RPC_REFLECTION_H
#define CP_RPC_REFLECTION_H

#include "common/rpc/server.h"

/* Requests that may wait on one stream for the answer before them to be taken; and their size. */
#define CP_REFLECTION_WAITING_MAX 32
#define CP_REFLECTION_NAME_MAX 1024

struct cp_reflection;

struct cp_reflection *cp_reflection_new(void);
/* After the server has stopped. Takes NULL. */
void cp_reflection_free(struct cp_reflection *reflection);
/* For cp_methods_add; borrowed from reflection. */
const struct gw_rpc_method *cp_reflection_methods(const struct cp_reflection *reflection,
                                                  size_t *ret_count);

#endif
