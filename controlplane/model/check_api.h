/* SPDX-License-Identifier: Apache-2.0 */
/* What an API may say. A draft that passes here compiles on every agent. Pure. */
#ifndef CP_MODEL_CHECK_API_H
#define CP_MODEL_CHECK_API_H

#include "common/arena.h"
#include "common/error.h"
#include "controlplane/model/types.h"

#define CP_API_DESCRIPTION_MAX 255 /* bytes */
#define CP_API_VERSION_MAX 16      /* bytes */
#define CP_API_TAGS_MAX 10

/* GRPCS, GRPC, GRPC_BOTH. */
bool cp_protocol_is_grpc(Penstock__Admin__V1__Protocol protocol);
/* All that is wrong with what the API says, as violations; unset fields are good where there is a
 * default. INVALID_ARGUMENT, or UNIMPLEMENTED when all of it is fields without behaviour: taken and
 * ignored they would make an API more open, or another one, than it says. Name, labels and what the
 * server sets are not looked at. */
GW_MUST_CHECK int cp_check_api(const cp_api *api, struct gw_error *err);
/* A display_name other than the id. */
bool cp_is_api_display_name(gw_str text);
/* Of an API, or of a list of APIs that is asked for. Violations of "tags" and "tags[1]". */
void cp_check_tags(char *const *tags, size_t count, struct gw_error *err);
/* Writes the defaults into what is unset. The name is good. */
void cp_fill_api(struct gw_arena *arena, cp_api *api);
/* What a draft may hold and a release may not, yet: UNIMPLEMENTED naming the first. */
GW_MUST_CHECK int cp_check_api_publishable(const cp_api *api, struct gw_error *err);

#endif
