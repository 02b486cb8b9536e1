/* SPDX-License-Identifier: Apache-2.0 */
/* Load balance channels. APIs and releases that use one refer to it. */
#include "controlplane/model/check_group.h"
#include "controlplane/service/bundle.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/services.h"

static int check(const ProtobufCMessage *message, const ProtobufCMessage *before,
                 struct gw_error *err)
{
    (void)before;
    return cp_check_channel((const cp_channel *)message, err);
}

static void fill(struct gw_arena *arena, ProtobufCMessage *message)
{
    (void)arena;
    cp_channel *channel = (cp_channel *)message;
    if (channel->balance == CP_ENUM(BALANCE, UNSPECIFIED))
        channel->balance = CP_ENUM(BALANCE, WEIGHTED_ROUND_ROBIN);
}

static int prepare(const struct cp_call *call, struct cp_change *change, ProtobufCMessage *message,
                   const ProtobufCMessage *before, struct gw_error *err)
{
    (void)change;
    (void)before;
    unsigned max = call->services->channel_members_max;
    if (((const cp_channel *)message)->n_members > max) {
        (void)gw_fail_field(err, "members", "must be at most %u", max);
        return cp_quota_refused(CP_QUOTA_MEMBERS, err);
    }
    return 0;
}

const struct cp_resource_rules cp_channel_rules = {
    .kind = CP_KIND_CHANNEL,
    .quota = CP_QUOTA_CHANNELS,
    .field = "channel",
    .list_field = "channels",
    .list_reply = CP_TYPE(list_channels_response),
    .in_use_apig = "APIG.3414",
    .check = check,
    .fill = fill,
    .prepare = prepare,
};
CP_RESOURCE_HANDLERS(channel, channels, cp_channel_rules)

static const struct cp_method methods[] = {
    {"GetChannel", CP_ROLE_VIEWER, get_channel},
    {"ListChannels", CP_ROLE_VIEWER, list_channels},
    {"CreateChannel", CP_ROLE_OPERATOR, create_channel},
    {"UpdateChannel", CP_ROLE_OPERATOR, update_channel},
    {"DeleteChannel", CP_ROLE_OPERATOR, delete_channel},
};
const struct cp_service cp_channel_service = {&penstock__admin__v1__channel_service__descriptor,
                                              methods, GW_ARRAY_LEN(methods)};
