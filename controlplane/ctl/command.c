/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/ctl/command.h"

#include <stdio.h>

const struct cp_command cp_commands[] = {
    {"get", "KIND [NAME]", "shows one resource, or all of a kind (of a parent: get apis GROUP)", 1,
     2, cp_command_get, false},
    {"list", "KIND [PARENT]", "the same as get without a name", 1, 2, cp_command_get, false},
    {"create", "KIND NAME | -f FILE",
     "creates a resource with defaults, or those of files; fails when one exists", 0, 2,
     cp_command_create, false},
    {"apply", "-f FILE [--prune]",
     "creates or updates, all or nothing; fields that a file does not name stay", 0, 0,
     cp_command_apply, false},
    {"export", "[GROUP...]", "writes what apply takes elsewhere: everything, or some groups", 0,
     CP_ARGS_MANY, cp_command_export, false},
    {"delete", "KIND NAME | -f FILE", "deletes a resource, or those of files, the last first", 0, 2,
     cp_command_delete, false},
    {"clone", "API NEW --path PATH", "copies a draft; NEW is an id, or GROUP/ID", 2, 2,
     cp_command_clone, false},
    {"reset-secret", "APP [--secret-file FILE]",
     "makes another secret of an app; the one before is invalid at once", 1, 1,
     cp_command_reset_secret, false},
    {"debug", "API [--path PATH] [...]", "makes one request of an API, and shows the answer", 1, 1,
     cp_command_debug, false},
    {"publish", "API... | --group GROUP", "makes drafts what callers reach in an environment", 0,
     CP_ARGS_MANY, cp_command_publish, false},
    {"unpublish", "API... | --group GROUP", "takes APIs offline in an environment", 0, CP_ARGS_MANY,
     cp_command_unpublish, false},
    {"promote", "RELEASE | API --from ENV", "publishes a release into another environment, --env",
     1, 1, cp_command_promote, false},
    {"history", "API", "lists the releases", 1, 1, cp_command_history, false},
    {"diff", "API [N [N]] | RELEASE [RELEASE] | -f FILE",
     "shows what a publish, or an apply, would change, or what is different between two", 0, 3,
     cp_command_diff, false},
    {"rollback", "API --to N | RELEASE", "makes an earlier release effective again", 1, 1,
     cp_command_rollback, false},
    {"openapi", "import -f FILE | export [API...]",
     "makes drafts of an OpenAPI document, or a document of the APIs of a --group", 1, CP_ARGS_MANY,
     cp_command_openapi, false},
    {"agents", "", "lists the agents and what they serve", 0, 0, cp_command_agents, false},
    {"auth", "whoami", "shows who the control plane takes you for, and what you may do", 1, 1,
     cp_command_auth, false},
    {"explain", "KIND[.FIELD...]",
     "what a kind is and what its fields mean; -R: all fields below it", 1, 1, cp_command_explain,
     true},
    {"config", "get-contexts | use-context NAME | set-context NAME",
     "control planes by name: also current-context, delete-context", 1, 2, cp_command_config, true},
    {"completion", "bash|zsh|fish", "prints a completion script", 1, 1, cp_command_completion,
     true},
    {"version", "", "prints the version", 0, 0, cp_command_version, true},
};
const unsigned cp_command_count = GW_ARRAY_LEN(cp_commands);

const struct cp_command *cp_command_find(const char *name)
{
    for (unsigned i = 0; i < cp_command_count; i++)
        if (strcmp(cp_commands[i].name, name) == 0)
            return &cp_commands[i];
    return NULL;
}

int cp_command_version(struct cp_session *session, struct gw_error *err)
{
    (void)session, (void)err;
    puts("penstockctl " PENSTOCK_VERSION);
    return 0;
}
