/* SPDX-License-Identifier: Apache-2.0 */
#include "common/error.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *name;
    int http;
} codes[] = {
    [GW_OK] = {"OK", 200},
    [GW_CANCELLED] = {"CANCELLED", 499},
    [GW_UNKNOWN] = {"UNKNOWN", 500},
    [GW_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", 400},
    [GW_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", 504},
    [GW_NOT_FOUND] = {"NOT_FOUND", 404},
    [GW_ALREADY_EXISTS] = {"ALREADY_EXISTS", 409},
    [GW_PERMISSION_DENIED] = {"PERMISSION_DENIED", 403},
    [GW_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", 429},
    [GW_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", 400},
    [GW_ABORTED] = {"ABORTED", 409},
    [GW_OUT_OF_RANGE] = {"OUT_OF_RANGE", 400},
    [GW_UNIMPLEMENTED] = {"UNIMPLEMENTED", 501},
    [GW_INTERNAL] = {"INTERNAL", 500},
    [GW_UNAVAILABLE] = {"UNAVAILABLE", 503},
    [GW_UNAUTHENTICATED] = {"UNAUTHENTICATED", 401},
};

/* Messages quote what peers sent and travel in protobuf and JSON: whatever is not UTF-8, or was cut
 * in the middle by the size of the array, becomes '?'. */
static void make_utf8(char *text)
{
    gw_str rest = gw_str_from(text);
    while (rest.len) {
        size_t n = gw_str_utf8_step(rest);
        if (n == 0) {
            text[rest.ptr - text] = '?';
            n = 1;
        }
        rest = gw_str_n(rest.ptr + n, rest.len - n);
    }
}

static void set_text(char *target, size_t size, const char *text)
{
    snprintf(target, size, "%s", text);
    make_utf8(target);
}

static void clear(struct gw_error *err)
{
    err->reason[0] = err->apig[0] = err->message[0] = 0;
    err->violation_count = 0;
}

int gw_fail(struct gw_error *err, enum gw_code code, const char *format, ...)
{
    char message[GW_ERROR_MESSAGE_MAX]; /* the arguments may point into err */
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    clear(err);
    err->code = code;
    set_text(err->message, sizeof(err->message), message);
    return -1;
}

int gw_fail_field(struct gw_error *err, const char *field, const char *format, ...)
{
    char rule[GW_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(rule, sizeof(rule), format, args);
    va_end(args);
    err->code = GW_INVALID_ARGUMENT;
    if (err->violation_count == 0) {
        char message[GW_ERROR_MESSAGE_MAX + GW_ERROR_FIELD_MAX + 2];
        snprintf(message, sizeof(message), "%s%s%s", field, *field ? ": " : "", rule);
        set_text(err->message, sizeof(err->message), message);
    }
    if (err->violation_count == GW_ERROR_VIOLATIONS_MAX)
        return -1;
    struct gw_violation *violation = &err->violations[err->violation_count++];
    set_text(violation->field, sizeof(violation->field), field);
    set_text(violation->rule, sizeof(violation->rule), rule);
    return -1;
}

int gw_error_reason(struct gw_error *err, const char *reason)
{
    set_text(err->reason, sizeof(err->reason), reason);
    return -1;
}

int gw_error_apig(struct gw_error *err, const char *apig)
{
    set_text(err->apig, sizeof(err->apig), apig);
    return -1;
}

static unsigned known(enum gw_code code)
{
    bool found = (size_t)code < GW_ARRAY_LEN(codes) && codes[code].name;
    return found ? code : GW_UNKNOWN;
}

const char *gw_code_name(enum gw_code code)
{
    return codes[known(code)].name;
}

int gw_code_to_http(enum gw_code code)
{
    return codes[known(code)].http;
}
