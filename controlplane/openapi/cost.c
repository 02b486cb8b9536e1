/* SPDX-License-Identifier: Apache-2.0 */
/* What reading a document costs: 3 MiB of text can say that 300 operations share all of it. */
#include "controlplane/openapi/reader.h"

static size_t held(const struct cp_openapi_reader *reader)
{
    return reader->arena->total_bytes - reader->cost->held_before;
}

bool cp_openapi_spend(const struct cp_openapi_reader *reader, size_t steps)
{
    struct cp_openapi_cost *cost = reader->cost;
    cost->steps += steps;
    cost->is_too_much |= cost->steps > CP_OPENAPI_STEPS_MAX || held(reader) > CP_OPENAPI_HELD_MAX;
    return !cost->is_too_much;
}

bool cp_openapi_spend_bytes(const struct cp_openapi_reader *reader, size_t bytes)
{
    reader->cost->is_too_much |= held(reader) + bytes > CP_OPENAPI_HELD_MAX;
    return cp_openapi_spend(reader, 1);
}

int cp_openapi_check_cost(const struct cp_openapi_reader *reader, struct gw_error *err)
{
    if (cp_openapi_spend(reader, 0))
        return 0;
    if (reader->cost->steps > CP_OPENAPI_STEPS_MAX)
        return gw_fail_field(err, "document",
                             "more than %d steps to read: lists that operations share count for "
                             "each of them, and each step of a $ref",
                             CP_OPENAPI_STEPS_MAX);
    return gw_fail_field(err, "document",
                         "its operations take more than %d bytes: texts that they share count for "
                         "each of them",
                         CP_OPENAPI_HELD_MAX);
}
