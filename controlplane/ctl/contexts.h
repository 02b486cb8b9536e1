/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: control planes by name, in a file of the user's. It says where a token lies, never the
 * token. Flags and the environment come before it. */
#ifndef CP_CTL_CONTEXTS_H
#define CP_CTL_CONTEXTS_H

#include "controlplane/ctl/options.h"

#include <jansson.h>

#define CP_CONTEXTS_MAX 1000
#define CP_CONTEXT_NAME_MAX 64

/* The path: PENSTOCK_CONFIG, or penstock/config.yaml below XDG_CONFIG_HOME or ~/.config. Empty:
 * there is no home either. */
gw_str cp_contexts_path(struct gw_arena *arena);
/* What the file holds, the caller's; a file that is not there holds nothing. */
GW_MUST_CHECK int cp_contexts_read(json_t **ret_config, struct gw_error *err);
/* NULL: there is none. */
json_t *cp_contexts_find(const json_t *config, const char *name);
/* Fills what neither flags nor the environment have said, from --context, or from the current one
 * when they name no server either: no token goes to a server that it is not for. */
GW_MUST_CHECK int cp_contexts_fill(struct cp_options *options, struct gw_error *err);

#endif
