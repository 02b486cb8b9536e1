/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of AppService, and how what belongs to an app or an API goes with it. */
#ifndef CP_SERVICE_APPS_H
#define CP_SERVICE_APPS_H

#include "controlplane/model/types.h"
#include "controlplane/service/resource.h"

extern const struct cp_resource_rules cp_app_code_rules;
extern const struct cp_resource_rules cp_authorization_rules;

/* The answer holds the code, the only time that it is seen. */
cp_handler cp_create_app_code;
/* Puts in what is stored of the code that was sent, or of a new one; *ret_clear is the code. */
GW_MUST_CHECK int cp_enter_app_code(struct gw_arena *arena, cp_app_code *code, char **ret_clear,
                                    struct gw_error *err);

/* Deletes one, unless it has changed since mod_revision. Up to CP_DROP_OPS operations each. */
#define CP_DROP_OPS 4
void cp_drop_app_code(struct cp_change *change, const cp_app_code *code, int64_t mod_revision);
void cp_drop_authorization(struct cp_change *change, const cp_authorization *authorization,
                           int64_t mod_revision);

#endif
