/* SPDX-License-Identifier: Apache-2.0 */
/* What etcd's refusals mean. The gRPC code is not enough: etcd uses one code for many things, so
 * its text decides where it must. */
#include "controlplane/store/etcd.h"

#include <stdio.h>

/* Our own settings are to blame, not the caller of the store: it may try again later. */
#define REASON_REFUSED "STORE_REFUSED"
#define REASON_FULL "STORE_FULL"

static bool has(const struct etcd_error *error, const char *text)
{
    return strstr(error->text, text) != NULL;
}

int etcd_fail_curl(struct gw_error *err, const char *endpoint, CURLcode code, const char *detail)
{
    return gw_fail(err, GW_UNAVAILABLE, "etcd at %s: %s", endpoint,
                   detail && detail[0] ? detail : curl_easy_strerror(code));
}

bool etcd_error_is_no_space(const struct etcd_error *error)
{
    return error->is_set && has(error, "database space exceeded");
}

bool etcd_error_is_no_key(const struct etcd_error *error)
{
    return error->is_set && error->grpc_code == GW_INVALID_ARGUMENT && has(error, "key not found");
}

bool etcd_error_is_token(const struct etcd_error *error)
{
    return error->is_set &&
           (has(error, "invalid auth token") || has(error, "revision of auth store is old") ||
            has(error, "user name is empty"));
}

bool etcd_error_is_final(const struct etcd_error *error)
{
    switch (error->grpc_code) {
    case GW_INVALID_ARGUMENT:
    case GW_NOT_FOUND:
    case GW_ALREADY_EXISTS:
    case GW_PERMISSION_DENIED:
    case GW_RESOURCE_EXHAUSTED:
    case GW_FAILED_PRECONDITION:
    case GW_ABORTED:
    case GW_OUT_OF_RANGE:
    case GW_UNIMPLEMENTED:
    case GW_UNAUTHENTICATED:
        return true;
    default:
        return false;
    }
}

int etcd_fail_answer(struct gw_error *err, const struct etcd_error *error)
{
    const char *text = error->text;
    switch (error->grpc_code) {
    case GW_NOT_FOUND:
        return gw_fail(err, GW_NOT_FOUND, "%s", text);
    case GW_OUT_OF_RANGE:
        return gw_fail(err, GW_OUT_OF_RANGE, "%s", text);
    case GW_RESOURCE_EXHAUSTED:
        if (!etcd_error_is_no_space(error))
            return gw_fail(err, GW_UNAVAILABLE, "%s", text);
        gw_fail(
            err, GW_RESOURCE_EXHAUSTED,
            "the store is full, only reads go on: %s (compact it, defragment it, disarm its alarm)",
            text);
        return gw_error_reason(err, REASON_FULL);
    case GW_INVALID_ARGUMENT:
        if (has(error, "too large") || has(error, "too many operations") || has(error, "duplicate"))
            return gw_fail(err, GW_INVALID_ARGUMENT, "%s", text);
        break;
    case GW_PERMISSION_DENIED:
    case GW_FAILED_PRECONDITION:
    case GW_UNAUTHENTICATED:
        break;
    default:
        return gw_fail(err, GW_UNAVAILABLE, "etcd: %s", text);
    }
    gw_fail(err, GW_UNAVAILABLE, "etcd refuses us: %s", text);
    return gw_error_reason(err, REASON_REFUSED);
}

/* For answers without a code: of a proxy, or of etcd before its gateway. */
static int code_of_status(long status)
{
    switch (status) {
    case 400:
        return GW_INVALID_ARGUMENT;
    case 401:
        return GW_UNAUTHENTICATED;
    case 403:
        return GW_PERMISSION_DENIED;
    default:
        return -1;
    }
}

void etcd_error_from_http(long status, gw_str text, struct etcd_error *ret_error)
{
    struct gw_arena arena;
    struct etcd_answer answer;
    gw_arena_init(&arena, 0);
    if (etcd_parse(text, &arena, &answer) == 0 && answer.error.is_set) {
        *ret_error = answer.error;
    } else {
        *ret_error = (struct etcd_error){.is_set = true, .grpc_code = -1};
        snprintf(ret_error->text, sizeof(ret_error->text), "HTTP status %ld: %.*s", status,
                 (int)GW_MIN(text.len, (size_t)120), text.ptr ? text.ptr : "");
    }
    if (ret_error->grpc_code < 0)
        ret_error->grpc_code = code_of_status(status);
    gw_arena_done(&arena);
}
