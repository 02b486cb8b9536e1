/* SPDX-License-Identifier: Apache-2.0 */
/* Of the credentials file: agents, who they may say that they are, and what they get. */
#include "controlplane/model/agent_ids.h"
#include "controlplane/model/names.h"
#include "controlplane/rpc/credentials_internal.h"

static bool is_pattern(const struct cp_credentials *credentials, const char *text)
{
    (void)credentials;
    return cp_agent_pattern_is(gw_str_from(text));
}

static bool is_environment(const struct cp_credentials *credentials, const char *text)
{
    char name[CP_NAME_MAX + 1];
    struct cp_ids ids;
    (void)credentials;
    int length = snprintf(name, sizeof(name), "environments/%s", text);
    return length > 0 && (size_t)length < sizeof(name) &&
           cp_name_parse(CP_KIND_ENVIRONMENT, gw_str_from(name), &ids);
}

int cp_read_agent(struct cp_credentials *credentials, const json_t *entry, struct cp_place place,
                  struct gw_error *err)
{
    static const char *const keys[] = {"name", "ids", "environments", NULL};
    const char *name;
    struct cp_agent_entry *agent = GW_ARENA_NEW(&credentials->arena, struct cp_agent_entry);
    if (cp_check_keys(entry, place, keys, err) || cp_read_text(entry, place, "name", &name, err) ||
        cp_read_texts(credentials, entry, place, "ids", CP_AGENT_IDS_MAX, is_pattern,
                      "must be ids of agents, 1 to 128 of a-z A-Z 0-9 . - _, or their beginning "
                      "with * behind it: \"edge-*\"",
                      &agent->ids, err) ||
        cp_read_texts(credentials, entry, place, "environments", CP_AGENT_ENVIRONMENTS_MAX,
                      is_environment, "must be ids of environments: \"RELEASE\"",
                      &agent->environments, err))
        return -1;
    if (gw_map_put(&credentials->agents, gw_str_from(name), agent))
        return cp_fail_at(err, place, "name", "stands here twice");
    return 0;
}
