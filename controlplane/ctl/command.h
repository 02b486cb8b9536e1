/* SPDX-License-Identifier: Apache-2.0 */
/* The commands: each takes the open session and answers with the exit status, or -1 and err. */
#ifndef CP_CTL_COMMAND_H
#define CP_CTL_COMMAND_H

#include "controlplane/ctl/call.h"

typedef int cp_command_fn(struct cp_session *session, struct gw_error *err);

#define CP_ARGS_MANY 100000

struct cp_command {
    const char *name;
    const char *arguments; /* for the help: "KIND [NAME]" */
    const char *doc;
    int min_args, max_args;
    cp_command_fn *run;
    bool is_offline; /* needs no control plane */
};

extern const struct cp_command cp_commands[];
extern const unsigned cp_command_count;
const struct cp_command *cp_command_find(const char *name); /* NULL: none */

cp_command_fn cp_command_get, cp_command_create, cp_command_apply, cp_command_delete;
cp_command_fn cp_command_export, cp_command_explain, cp_command_config;

/* `penstockctl __complete WORD...`: what the last word may be. */
int cp_complete(int count, char **words);
const char *cp_config_word(unsigned index); /* what config takes; NULL after the last */

cp_command_fn cp_command_publish, cp_command_unpublish, cp_command_rollback, cp_command_history;
cp_command_fn cp_command_diff, cp_command_clone, cp_command_promote;
cp_command_fn cp_command_debug, cp_command_auth, cp_command_agents, cp_command_completion,
    cp_command_version;

cp_command_fn cp_command_openapi, cp_command_reset_secret;

#endif
