/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_settings.h"

#include "common/message.h"

#define MIB ((int64_t)1024 * 1024)
#define BODY_MAX (9536 * MIB)
#define SECOND 1000
#define TIMEOUT_MAX_MS (600 * SECOND)
#define NANOS_PER_MS 1000000
#define FORWARDED_INDEX_MAX 100
#define GZIP_LEVEL_MAX 9

int64_t cp_settings_ms(const cp_duration *duration)
{
    if (!duration)
        return 0;
    return duration->seconds * SECOND + (duration->nanos + NANOS_PER_MS - 1) / NANOS_PER_MS;
}

static void check_duration(const cp_duration *duration, const char *field, int64_t min_ms,
                           struct gw_error *err)
{
    if (!duration)
        return;
    bool is_sane = duration->seconds >= 0 && duration->seconds <= TIMEOUT_MAX_MS / SECOND &&
                   duration->nanos >= 0 && duration->nanos < SECOND * NANOS_PER_MS;
    int64_t ms = is_sane ? cp_settings_ms(duration) : -1;
    bool is_exact = duration->nanos % NANOS_PER_MS == 0;
    if (!is_sane || !is_exact || ms < min_ms || ms > TIMEOUT_MAX_MS)
        (void)gw_fail_field(err, field, "must be %s to 600s, in whole milliseconds",
                            min_ms < SECOND ? "1ms" : "1s");
}

static void check_enum(const ProtobufCEnumDescriptor *type, int value, const char *field,
                       struct gw_error *err)
{
    if (!protobuf_c_enum_descriptor_get_value(type, value))
        (void)gw_fail_field(err, field, "is not known");
}

static int refuse_later(const char *field, struct gw_error *err)
{
    return gw_fail(err, GW_UNIMPLEMENTED, "%s is not available in this version", field);
}

int cp_check_settings(const cp_gateway_settings *settings, struct gw_error *err)
{
    *err = GW_ERROR_NONE;
    if (settings->request_body_max_bytes != 0 &&
        (settings->request_body_max_bytes < MIB || settings->request_body_max_bytes > BODY_MAX))
        (void)gw_fail_field(err, "request_body_max_bytes",
                            "must be 1048576 (1 MiB) to %lld (9536 MiB), or 0: not set",
                            (long long)BODY_MAX);
    check_duration(settings->request_body_timeout, "request_body_timeout", SECOND, err);
    check_duration(settings->backend_timeout_max, "backend_timeout_max", 1, err);
    if (settings->forwarded_for && (settings->forwarded_for->index < -FORWARDED_INDEX_MAX ||
                                    settings->forwarded_for->index > FORWARDED_INDEX_MAX))
        (void)gw_fail_field(err, "forwarded_for.index", "must be -%d to %d", FORWARDED_INDEX_MAX,
                            FORWARDED_INDEX_MAX);
    if (settings->gzip && (settings->gzip->level < 0 || settings->gzip->level > GZIP_LEVEL_MAX))
        (void)gw_fail_field(err, "gzip.level", "must be 1 to %d, or 0: %d", GZIP_LEVEL_MAX,
                            CP_SETTINGS_GZIP_LEVEL_DEFAULT);
    check_enum(&penstock__admin__v1__debug_audience__descriptor, (int)settings->debug_audience,
               "debug_audience", err);
    check_enum(&penstock__admin__v1__escaped_slash__descriptor, (int)settings->escaped_slash,
               "escaped_slash", err);
    if (err->violation_count > 0)
        return -1;
    if (settings->default_api_limit != 0)
        return refuse_later("default_api_limit", err);
    if (settings->n_denied_backend_networks > 0)
        return refuse_later("denied_backend_networks", err);
    return 0;
}

void cp_fill_settings(cp_gateway_settings *settings)
{
    if (settings->gzip && settings->gzip->level == 0)
        settings->gzip->level = CP_SETTINGS_GZIP_LEVEL_DEFAULT;
}
