/* SPDX-License-Identifier: Apache-2.0 */
/* The error a person or a client will read: a gRPC code, a message, the fields and rules violated.
 * Functions that fail so return 0 or -1 and take `struct gw_error *err` last, never NULL. */
#ifndef GW_ERROR_H
#define GW_ERROR_H

#include "common/str.h"

/* The gRPC codes that we use; numbers as on the wire. */
enum gw_code {
    GW_OK = 0,
    GW_CANCELLED = 1,
    GW_UNKNOWN = 2,
    GW_INVALID_ARGUMENT = 3,
    GW_DEADLINE_EXCEEDED = 4,
    GW_NOT_FOUND = 5,
    GW_ALREADY_EXISTS = 6,
    GW_PERMISSION_DENIED = 7,
    GW_RESOURCE_EXHAUSTED = 8,
    GW_FAILED_PRECONDITION = 9,
    GW_ABORTED = 10,
    GW_OUT_OF_RANGE = 11,
    GW_UNIMPLEMENTED = 12,
    GW_INTERNAL = 13,
    GW_UNAVAILABLE = 14,
    GW_UNAUTHENTICATED = 16,
};

#define GW_ERROR_MESSAGE_MAX 512
#define GW_ERROR_FIELD_MAX 128
#define GW_ERROR_VIOLATIONS_MAX 16

/* One refused field: path in proto words ("backend.http.timeout"), and the rule it breaks. */
struct gw_violation {
    char field[GW_ERROR_FIELD_MAX];
    char rule[GW_ERROR_MESSAGE_MAX];
};

/* Plain value, no ownership: lives on the stack, copied freely. Start with GW_ERROR_NONE. */
struct gw_error {
    enum gw_code code;
    char reason[64]; /* UPPER_SNAKE word for programs (google.rpc.ErrorInfo.reason), may be empty */
    char apig[16];   /* "APIG.3301" where the catalogue has a code, else empty */
    char message[GW_ERROR_MESSAGE_MAX];
    unsigned violation_count; /* those beyond the maximum are dropped */
    struct gw_violation violations[GW_ERROR_VIOLATIONS_MAX];
};

#define GW_ERROR_NONE ((struct gw_error){.code = GW_OK})

/* Sets code and message, clears the rest; returns -1: `return gw_fail(err, GW_NOT_FOUND, ...)`. */
int gw_fail(struct gw_error *err, enum gw_code code, const char *format, ...) GW_PRINTF(3, 4);
/* Adds one violation: code becomes INVALID_ARGUMENT, the first one is the message. Returns -1. */
int gw_fail_field(struct gw_error *err, const char *field, const char *format, ...) GW_PRINTF(3, 4);
/* Sets the reason word; returns -1. */
int gw_error_reason(struct gw_error *err, const char *reason);
/* Sets the catalogue's code; returns -1. */
int gw_error_apig(struct gw_error *err, const char *apig);

/* "NOT_FOUND" and so on. */
const char *gw_code_name(enum gw_code code);
/* HTTP status of the JSON form of the API (google.rpc.Code mapping). */
int gw_code_to_http(enum gw_code code);

#endif
