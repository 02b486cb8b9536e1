/* SPDX-License-Identifier: Apache-2.0 */
/* What groups, environments and channels may say. Pure: all that is wrong goes into err as
 * violations; names, labels and what the server sets are not looked at. */
#ifndef CP_MODEL_CHECK_GROUP_H
#define CP_MODEL_CHECK_GROUP_H

#include "controlplane/model/types.h"

#include "common/error.h"

#define CP_CHANNEL_MEMBERS_MAX 1000 /* whatever the setting --channel-members-max says */
#define CP_MEMBER_HOST_MAX 64
#define CP_MEMBER_WEIGHT_MAX 10000

GW_MUST_CHECK int cp_check_group(const cp_api_group *group, struct gw_error *err);
GW_MUST_CHECK int cp_check_environment(const cp_environment *environment, struct gw_error *err);
GW_MUST_CHECK int cp_check_channel(const cp_channel *channel, struct gw_error *err);

#endif
