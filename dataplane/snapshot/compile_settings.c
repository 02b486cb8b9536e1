/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's settings: what they say is put on top of the flags by each worker. */
#include "dataplane/snapshot/snapshot_parts.h"

#define BLOCK_BYTES 256
#define MIB ((int64_t)1024 * 1024)

typedef Penstock__Agent__V1__Settings settings_message;

static int check_numbers(const settings_message *message, struct gw_error *err)
{
    if (message->request_body_max_bytes &&
        (message->request_body_max_bytes < MIB || message->request_body_max_bytes > 9536 * MIB))
        return gw_fail_field(err, "request_body_max_bytes", "must be 1 MiB to 9536 MiB");
    if (message->request_body_timeout_ms &&
        (message->request_body_timeout_ms < 1000 || message->request_body_timeout_ms > 600000))
        return gw_fail_field(err, "request_body_timeout_ms", "must be 1000 to 600000");
    if (message->backend_timeout_max_ms < 0 ||
        message->backend_timeout_max_ms > DP_COMPILE_TIMEOUT_MAX_MS)
        return gw_fail_field(err, "backend_timeout_max_ms", "must be at most %d",
                             DP_COMPILE_TIMEOUT_MAX_MS);
    return 0;
}

static int check(const settings_message *message, struct gw_error *err)
{
    if (strcmp(message->name, DP_COMPILE_SETTINGS) != 0)
        return gw_fail_field(err, "name", "must be " DP_COMPILE_SETTINGS);
    if (check_numbers(message, err) < 0)
        return -1;
    if (message->forwarded_for &&
        (message->forwarded_for->index < -100 || message->forwarded_for->index > 100))
        return gw_fail_field(err, "forwarded_for.index", "must be -100 to 100");
    if (message->gzip && message->gzip->enabled &&
        (message->gzip->level < 1 || message->gzip->level > 9))
        return gw_fail_field(err, "gzip.level", "must be 1 to 9");
    if ((unsigned)message->debug_audience >
        PENSTOCK__AGENT__V1__DEBUG_AUDIENCE__DEBUG_AUDIENCE_EVERYBODY)
        return gw_fail_field(err, "debug_audience", "is not known");
    if ((unsigned)message->escaped_slash > PENSTOCK__AGENT__V1__ESCAPED_SLASH__ESCAPED_SLASH_KEPT)
        return gw_fail_field(err, "escaped_slash", "is not known");
    return 0;
}

struct dp_unit *dp_compile_settings(const settings_message *message, struct gw_error *err)
{
    if (check(message, err) < 0)
        return NULL;
    struct dp_settings_unit *unit = dp_unit_new(sizeof *unit, BLOCK_BYTES);
    struct dp_tunables *values = &unit->values;
    values->request_body_max = message->request_body_max_bytes;
    values->body_timeout_ms = message->request_body_timeout_ms;
    values->backend_timeout_max_ms = message->backend_timeout_max_ms;
    unit->has_forwarded_for = message->forwarded_for != NULL;
    if (unit->has_forwarded_for) {
        values->source_from_xff = message->forwarded_for->enabled;
        values->xff_index = message->forwarded_for->index;
        values->xff_strict = message->forwarded_for->strict;
    }
    unit->has_gzip = message->gzip != NULL;
    if (unit->has_gzip && message->gzip->enabled)
        values->gzip_level = message->gzip->level;
    unit->has_audience = message->debug_audience != 0;
    if (unit->has_audience) /* theirs begin with one for "not set" */
        values->debug_audience = (enum dp_debug_audience)(message->debug_audience - 1);
    unit->has_slash = message->escaped_slash != 0;
    values->keep_escaped_slash =
        message->escaped_slash == PENSTOCK__AGENT__V1__ESCAPED_SLASH__ESCAPED_SLASH_KEPT;
    unit->has_http2 = message->http2 != NULL;
    values->http2 = unit->has_http2 && message->http2->enabled;
    return &unit->unit;
}

void dp_settings_unit_apply(const struct dp_settings_unit *unit, struct dp_tunables *tunables)
{
    const struct dp_tunables *values = &unit->values;
    if (values->request_body_max)
        tunables->request_body_max = values->request_body_max;
    if (values->body_timeout_ms)
        tunables->body_timeout_ms = values->body_timeout_ms;
    if (values->backend_timeout_max_ms)
        tunables->backend_timeout_max_ms = values->backend_timeout_max_ms;
    if (unit->has_forwarded_for) {
        tunables->source_from_xff = values->source_from_xff;
        tunables->xff_index = values->xff_index;
        tunables->xff_strict = values->xff_strict;
    }
    if (unit->has_gzip)
        tunables->gzip_level = values->gzip_level;
    if (unit->has_audience)
        tunables->debug_audience = values->debug_audience;
    if (unit->has_slash)
        tunables->keep_escaped_slash = values->keep_escaped_slash;
    if (unit->has_http2)
        tunables->http2 = values->http2;
}
