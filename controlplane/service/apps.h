/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of AppService, and how what belongs to an app or an API goes with it. */
#ifndef CP_SERVICE_APPS_H
#define CP_SERVICE_APPS_H

#include "controlplane/model/types.h"
#include "controlplane/service/resource.h"

extern const struct cp_resource_rules cp_app_rules, cp_app_code_rules;
extern const struct cp_resource_rules cp_authorization_rules;

/* Keys and secrets of apps (app_secrets.c). The answers hold the secret, the only time that it is
 * seen. */
cp_handler cp_create_app, cp_reset_app_secret;
/* The key that is there stays, a new app gets one; the secret is sealed. */
GW_MUST_CHECK int cp_seal_app(const struct cp_call *call, cp_app *app, const cp_app *before,
                              struct gw_error *err);
/* Nobody else has its key. */
GW_MUST_CHECK int cp_claim_app_key(const struct cp_call *call, struct cp_change *change,
                                   const cp_app *app, struct gw_error *err);
void cp_release_app_key(struct cp_change *change, const cp_app *app);
/* Under the first key for secrets; -1: it does not open, and stays as it is. */
int cp_app_reseal(const struct cp_call *call, cp_app *app, struct gw_error *err);
GW_MUST_CHECK int cp_app_secret_open(const struct cp_seal *seal, const cp_app *app,
                                     struct gw_arena *arena, gw_str *ret_secret,
                                     struct gw_error *err);

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
