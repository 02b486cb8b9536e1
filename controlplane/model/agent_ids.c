/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/agent_ids.h"

static bool has_only_letters(gw_str text)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    for (size_t i = 0; i < text.len; i++)
        if (!text.ptr[i] || !strchr(letters, text.ptr[i]))
            return false;
    return text.len <= CP_AGENT_ID_MAX;
}

bool cp_agent_id_is(gw_str text)
{
    return text.len > 0 && has_only_letters(text);
}

static bool is_open(gw_str pattern)
{
    return pattern.len > 0 && pattern.ptr[pattern.len - 1] == '*';
}

bool cp_agent_pattern_is(gw_str text)
{
    if (is_open(text))
        return has_only_letters(gw_str_n(text.ptr, text.len - 1));
    return cp_agent_id_is(text);
}

bool cp_agent_pattern_fits(gw_str pattern, gw_str id)
{
    if (!cp_agent_id_is(id))
        return false;
    if (is_open(pattern))
        return gw_str_has_prefix(id, gw_str_n(pattern.ptr, pattern.len - 1));
    return gw_str_eq(pattern, id);
}
