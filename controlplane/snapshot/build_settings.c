/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's settings, for agents: nothing, while nothing is set. */
#include "common/message.h"
#include "controlplane/model/check_settings.h"
#include "controlplane/snapshot/build.h"

static bool is_empty(const cp_agent_settings *settings)
{
    return !settings->request_body_max_bytes && !settings->request_body_timeout_ms &&
           !settings->backend_timeout_max_ms && !settings->forwarded_for && !settings->gzip &&
           !settings->debug_audience && !settings->escaped_slash && !settings->http2;
}

int cp_build_settings(const struct cp_state *state, struct gw_arena *arena,
                      cp_agent_settings **ret_settings, struct gw_error *err)
{
    ProtobufCMessage *message;
    int found = cp_build_read(state, GW_STR(CP_SETTINGS_NAME), arena, &message, err);
    if (found <= 0)
        return found;
    const cp_gateway_settings *stored = (cp_gateway_settings *)(void *)message;
    cp_agent_settings *settings = CP_AGENT_NEW(arena, cp_agent_settings, settings);
    settings->name = stored->name;
    settings->request_body_max_bytes = stored->request_body_max_bytes;
    settings->request_body_timeout_ms = cp_settings_ms(stored->request_body_timeout);
    settings->backend_timeout_max_ms = cp_settings_ms(stored->backend_timeout_max);
    if (stored->forwarded_for) {
        settings->forwarded_for =
            CP_AGENT_NEW(arena, Penstock__Agent__V1__ForwardedFor, forwarded_for);
        settings->forwarded_for->enabled = stored->forwarded_for->enabled;
        settings->forwarded_for->index = stored->forwarded_for->index;
        settings->forwarded_for->strict = stored->forwarded_for->strict;
    }
    if (stored->gzip) {
        settings->gzip = CP_AGENT_NEW(arena, Penstock__Agent__V1__Compression, compression);
        settings->gzip->enabled = stored->gzip->enabled;
        settings->gzip->level = stored->gzip->level;
    }
    if (stored->http2) {
        settings->http2 = CP_AGENT_NEW(arena, Penstock__Agent__V1__Http2, http2);
        settings->http2->enabled = stored->http2->enabled;
    }
    /* Both packages number them alike. */
    settings->debug_audience = (Penstock__Agent__V1__DebugAudience)stored->debug_audience;
    settings->escaped_slash = (Penstock__Agent__V1__EscapedSlash)stored->escaped_slash;
    *ret_settings = settings;
    return !is_empty(settings);
}
