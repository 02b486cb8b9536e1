/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_group.h"

#include "controlplane/model/check.h"

#include <stdio.h>
#include <strings.h>

static int result(const struct gw_error *err)
{
    return err->code == GW_OK ? 0 : -1;
}

int cp_check_group(const cp_api_group *group, struct gw_error *err)
{
    *err = GW_ERROR_NONE;
    cp_check_display_name(group->display_name, group->name, 3, 255, err);
    cp_check_bytes(group->description, 1000, "description", err);
    return result(err);
}

int cp_check_environment(const cp_environment *environment, struct gw_error *err)
{
    *err = GW_ERROR_NONE;
    cp_check_characters(environment->display_name, 1, 255, "display_name", err);
    cp_check_bytes(environment->description, 255, "description", err);
    return result(err);
}

/* ---- channels */

static const char *path(char ret_path[GW_ERROR_FIELD_MAX], size_t index, const char *field)
{
    (void)snprintf(ret_path, GW_ERROR_FIELD_MAX, "members[%zu]%s", index, field);
    return ret_path;
}

static void check_member(const cp_member *member, size_t index, struct gw_error *err)
{
    char field[GW_ERROR_FIELD_MAX];
    if (!member->host[0] || strlen(member->host) > CP_MEMBER_HOST_MAX || !cp_is_host(member->host))
        (void)gw_fail_field(err, path(field, index, ".host"),
                            "must be an address or a host name of at most %d bytes",
                            CP_MEMBER_HOST_MAX);
    if (member->port < 0 || member->port > UINT16_MAX)
        (void)gw_fail_field(err, path(field, index, ".port"), "must be 0 to 65535");
    if (member->weight < 0 || member->weight > CP_MEMBER_WEIGHT_MAX)
        (void)gw_fail_field(err, path(field, index, ".weight"), "must be 0 to %d",
                            CP_MEMBER_WEIGHT_MAX);
}

static bool is_same_place(const cp_channel *channel, const cp_member *a, const cp_member *b)
{
    int32_t a_port = a->port ? a->port : channel->port, b_port = b->port ? b->port : channel->port;
    return a_port == b_port && strcasecmp(a->host, b->host) == 0;
}

static void check_members(const cp_channel *channel, struct gw_error *err)
{
    char field[GW_ERROR_FIELD_MAX];
    if (channel->n_members > CP_CHANNEL_MEMBERS_MAX) {
        (void)gw_fail_field(err, "members", "must be at most %d", CP_CHANNEL_MEMBERS_MAX);
        return; /* each is compared with each */
    }
    for (size_t i = 0; i < channel->n_members; i++) {
        check_member(channel->members[i], i, err);
        for (size_t k = 0; k < i; k++) {
            if (is_same_place(channel, channel->members[i], channel->members[k])) {
                (void)gw_fail_field(err, path(field, i, ""), "is the same as members[%zu]", k);
                break;
            }
        }
    }
}

int cp_check_channel(const cp_channel *channel, struct gw_error *err)
{
    *err = GW_ERROR_NONE;
    cp_check_characters(channel->display_name, 1, 255, "display_name", err);
    cp_check_bytes(channel->description, 255, "description", err);
    if (channel->port < 1 || channel->port > UINT16_MAX)
        (void)gw_fail_field(err, "port", "must be 1 to 65535");
    switch (channel->balance) {
    case CP_ENUM(BALANCE, UNSPECIFIED):
    case CP_ENUM(BALANCE, WEIGHTED_ROUND_ROBIN):
        break;
    case CP_ENUM(BALANCE, WEIGHTED_LEAST_CONNECTIONS):
    case CP_ENUM(BALANCE, SOURCE_HASH):
    case CP_ENUM(BALANCE, URI_HASH):
        cp_refuse_for_now(err, "balance");
        break;
    default:
        (void)gw_fail_field(err, "balance", "is not known: %d", (int)channel->balance);
    }
    check_members(channel, err);
    if (channel->health_check)
        cp_refuse_for_now(err, "health_check");
    return result(err);
}
