/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.health.v1: Check and Watch, for the whole server ("") and for each of its services, which
 * are up and down together, and for parts with a state of their own. Open to everybody. Any thread.
 */
#ifndef CP_RPC_HEALTH_H
#define CP_RPC_HEALTH_H

#include "common/rpc/server.h"

struct cp_health;

/* Starts as NOT_SERVING. */
struct cp_health *cp_health_new(void);
/* After the server has stopped. Takes NULL. */
void cp_health_free(struct cp_health *health);
/* "penstock.admin.v1.ApiService"; a second time is no harm. Before the server starts. */
void cp_health_add_service(struct cp_health *health, const char *service);
/* "store": what the server needs for some of its work. NOT_SERVING until it is set. Before the
 * server starts. */
void cp_health_add_part(struct cp_health *health, const char *part);
/* For cp_methods_add; borrowed from health. */
const struct gw_rpc_method *cp_health_methods(const struct cp_health *health, size_t *ret_count);

/* Whether the server is ready for callers; watchers are told of changes. */
void cp_health_set(struct cp_health *health, bool serving);
void cp_health_set_part(struct cp_health *health, const char *part, bool serving);
/* NOT_SERVING from here on, whatever cp_health_set says: the first step of a drain. */
void cp_health_drain(struct cp_health *health);
bool cp_health_is_serving(struct cp_health *health);

#endif
