/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/seen.h"

#include "controlplane/service/bundle.h"

/* By whose Get it is decided: releases and publications are their API's, access keys their user's.
 */
static enum cp_kind_id decided_by(enum cp_kind_id kind)
{
    if (kind == CP_KIND_RELEASE || kind == CP_KIND_PUBLICATION)
        return CP_KIND_API;
    return kind == CP_KIND_ACCESS_KEY ? CP_KIND_USER : kind;
}

static const struct cp_bundle_kind *kind_of(const char *name)
{
    enum cp_kind_id id = 0;
    while (id < CP_KIND_COUNT && !cp_name_is(id, name))
        id++;
    for (size_t i = 0; i < cp_bundle_kind_count && id < CP_KIND_COUNT; i++)
        if (cp_bundle_kinds[i].rules->kind == decided_by(id))
            return &cp_bundle_kinds[i];
    return NULL;
}

bool cp_may_see(const struct cp_call *call, gw_str name)
{
    struct gw_error unseen = GW_ERROR_NONE;
    if (!call->principal)
        return true;
    const char *text = gw_arena_dup(call->arena, name).ptr;
    const struct cp_bundle_kind *kind = kind_of(text);
    return kind ? cp_bundle_check(call, kind, "Get", text, &unseen) == 0
                : cp_is_administrator(call->principal);
}

const char *cp_shown_name(const struct cp_call *call, gw_str name)
{
    return cp_may_see(call, name) ? gw_arena_dup(call->arena, name).ptr
                                  : "one that you may not read";
}
