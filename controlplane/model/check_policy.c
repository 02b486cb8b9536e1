/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_policy.h"

#include "controlplane/model/check.h"
#include "controlplane/model/names.h"

#include <arpa/inet.h>
#include <stdio.h>

#define ADDRESSES_MAX 100
#define NUMBER_MAX INT32_MAX /* of limits and intervals */
#define EXCEPTIONS_MAX 30
#define HEADERS_MAX 10
#define HEADER_NAME_BYTES_MAX 128 /* as agents take it */
#define HEADER_VALUE_BYTES_MAX 1024

/* "throttle.exceptions[3].app" */
static const char *path(char ret_path[GW_ERROR_FIELD_MAX], const char *list, size_t index,
                        const char *member)
{
    (void)snprintf(ret_path, GW_ERROR_FIELD_MAX, "%s[%zu]%s%s", list, index, *member ? "." : "",
                   member);
    return ret_path;
}

/* ---- addresses */

struct address {
    unsigned char bytes[16]; /* network order; IPv4 in the first four */
    unsigned bits;           /* 32 or 128 */
};

static bool parse_address(gw_str text, struct address *ret_address)
{
    static const unsigned char v4_in_v6[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char copy[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, 0, text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *ret_address = (struct address){.bits = 32};
    if (inet_pton(AF_INET, copy, ret_address->bytes) == 1)
        return true;
    if (inet_pton(AF_INET6, copy, ret_address->bytes) != 1)
        return false;
    ret_address->bits = 128;
    /* To agents "::ffff:192.0.2.1" is 192.0.2.1: written so, a list would say one thing in two ways
     * and its prefix would count from another end. */
    return memcmp(ret_address->bytes, v4_in_v6, sizeof(v4_in_v6)) != 0;
}

static bool is_block(gw_str address, gw_str prefix)
{
    struct address parsed;
    uint64_t bits = 0;
    return parse_address(address, &parsed) && gw_str_to_u64(prefix, parsed.bits, &bits) == 0;
}

static bool is_range(gw_str from, gw_str to)
{
    struct address first, last;
    return parse_address(gw_str_trim(from), &first) && parse_address(gw_str_trim(to), &last) &&
           first.bits == last.bits && memcmp(first.bytes, last.bytes, sizeof(first.bytes)) <= 0;
}

bool cp_is_address_entry(gw_str entry)
{
    struct address address;
    gw_str rest = gw_str_trim(entry);
    if (gw_str_find(rest, '/') >= 0) {
        gw_str base = gw_str_split(&rest, '/');
        return is_block(base, rest);
    }
    if (gw_str_find(rest, '-') >= 0) {
        gw_str first = gw_str_split(&rest, '-');
        return is_range(first, rest);
    }
    return parse_address(rest, &address);
}

void cp_check_ip_access(const cp_ip_access *access, struct gw_error *err)
{
    char field[GW_ERROR_FIELD_MAX];
    if (access->effect != CP_ENUM(ACCESS_EFFECT, PERMIT) &&
        access->effect != CP_ENUM(ACCESS_EFFECT, DENY))
        (void)gw_fail_field(err, "ip_access.effect",
                            "required: ACCESS_EFFECT_PERMIT or ACCESS_EFFECT_DENY");
    if (access->n_addresses == 0 || access->n_addresses > ADDRESSES_MAX) {
        (void)gw_fail_field(err, "ip_access.addresses", "must have 1 to %d entries", ADDRESSES_MAX);
        return;
    }
    for (size_t i = 0; i < access->n_addresses; i++)
        if (!cp_is_address_entry(gw_str_from(access->addresses[i])))
            (void)gw_fail_field(err, path(field, "ip_access.addresses", i, ""),
                                "is no address, CIDR block or range: %.64s", access->addresses[i]);
}

/* ---- throttle */

static void check_count(int64_t value, int64_t min, int64_t max, const char *field,
                        struct gw_error *err)
{
    if (value < min || value > max)
        (void)gw_fail_field(err, field, "must be %lld to %lld", (long long)min, (long long)max);
}

/* Of 0 to as much as the API may have as a whole. */
static void check_share(int64_t value, const cp_throttle *throttle, const char *field,
                        struct gw_error *err)
{
    if (value < 0 || value > NUMBER_MAX)
        (void)gw_fail_field(err, field, "must be 0 to %d; 0 is no limit", NUMBER_MAX);
    else if (value > GW_MAX(throttle->api_limit, 0))
        (void)gw_fail_field(err, field, "must not be above api_limit");
}

/* An app that does not exist is none of ours: the exception just never applies, as after its
 * deletion. */
static void check_exception(const cp_throttle *throttle, size_t index, struct gw_error *err)
{
    static const char list[] = "throttle.exceptions";
    const cp_throttle_exception *exception = throttle->exceptions[index];
    char field[GW_ERROR_FIELD_MAX];
    check_count(exception->limit, 1, NUMBER_MAX, path(field, list, index, "limit"), err);
    path(field, list, index, "app");
    if (exception->account[0] && exception->app[0]) {
        (void)gw_fail_field(err, field, "app and account exclude each other");
        return;
    }
    if (exception->account[0]) {
        cp_refuse_for_now(err, path(field, list, index, "account"));
        return;
    }
    if (cp_name_check(CP_KIND_APP, exception->app, field, err))
        return;
    for (size_t i = 0; i < index; i++)
        if (strcmp(throttle->exceptions[i]->app, exception->app) == 0) {
            (void)gw_fail_field(err, field, "%s is there twice", exception->app);
            return;
        }
}

static void check_throttle(const cp_throttle *throttle, struct gw_error *err)
{
    if ((unsigned)throttle->scope > CP_ENUM(THROTTLE_SCOPE, SHARED))
        (void)gw_fail_field(err, "throttle.scope", "is not known: %d", (int)throttle->scope);
    if ((unsigned)throttle->mode > CP_ENUM(THROTTLE_MODE, EXACT))
        (void)gw_fail_field(err, "throttle.mode", "is not known: %d", (int)throttle->mode);
    else if (throttle->mode > CP_ENUM(THROTTLE_MODE, LOCAL))
        cp_refuse_for_now(err, "throttle.mode");
    if ((unsigned)throttle->unit > CP_ENUM(TIME_UNIT, DAY))
        (void)gw_fail_field(err, "throttle.unit", "is not known: %d", (int)throttle->unit);
    if (throttle->interval != 0) /* 0: the default, 1 */
        check_count(throttle->interval, 1, NUMBER_MAX, "throttle.interval", err);
    check_count(throttle->api_limit, 1, NUMBER_MAX, "throttle.api_limit", err);
    check_share(throttle->app_limit, throttle, "throttle.app_limit", err);
    check_share(throttle->ip_limit, throttle, "throttle.ip_limit", err);
    if (throttle->account_limit != 0)
        cp_refuse_for_now(err, "throttle.account_limit");
    if (throttle->n_rules > 0)
        cp_refuse_for_now(err, "throttle.rules");
    if (throttle->n_exceptions > EXCEPTIONS_MAX) {
        (void)gw_fail_field(err, "throttle.exceptions", "must be at most %d", EXCEPTIONS_MAX);
        return;
    }
    for (size_t i = 0; i < throttle->n_exceptions; i++)
        check_exception(throttle, i, err);
}

/* ---- response headers */

/* RFC 9110 5.6.2. */
static bool is_token(gw_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_plain && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return text.len > 0;
}

static bool is_header_value(gw_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* What frames the message, identifies it, or is another policy's to say. */
static bool is_protected(gw_str name)
{
    static const char *const names[] = {
        "connection",
        "content-length",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-request-id",
    };
    static const char *const prefixes[] = {"x-apig-", "access-control-"};
    for (size_t i = 0; i < GW_ARRAY_LEN(names); i++)
        if (gw_str_eq_nocase(name, gw_str_from(names[i])))
            return true;
    for (size_t i = 0; i < GW_ARRAY_LEN(prefixes); i++) {
        gw_str prefix = gw_str_from(prefixes[i]);
        if (name.len >= prefix.len && gw_str_eq_nocase(gw_str_n(name.ptr, prefix.len), prefix))
            return true;
    }
    return false;
}

static void check_header_name(const cp_response_headers *headers, size_t index, const char *field,
                              struct gw_error *err)
{
    gw_str name = gw_str_from(headers->headers[index]->name);
    if (name.len > HEADER_NAME_BYTES_MAX || !is_token(name)) {
        (void)gw_fail_field(err, field, "is no header name of at most %d bytes",
                            HEADER_NAME_BYTES_MAX);
        return;
    }
    if (is_protected(name))
        (void)gw_fail_field(err, field, "%s cannot be changed", name.ptr);
    for (size_t i = 0; i < index; i++)
        if (gw_str_eq_nocase(gw_str_from(headers->headers[i]->name), name)) {
            (void)gw_fail_field(err, field, "%s is there twice", name.ptr);
            return;
        }
}

static void check_response_headers(const cp_response_headers *headers, struct gw_error *err)
{
    static const char list[] = "response_headers.headers";
    char field[GW_ERROR_FIELD_MAX];
    if (headers->n_headers == 0 || headers->n_headers > HEADERS_MAX) {
        (void)gw_fail_field(err, list, "must have 1 to %d entries", HEADERS_MAX);
        return;
    }
    for (size_t i = 0; i < headers->n_headers; i++) {
        const cp_header_action *action = headers->headers[i];
        gw_str value = gw_str_from(action->value);
        check_header_name(headers, i, path(field, list, i, "name"), err);
        if (value.len > HEADER_VALUE_BYTES_MAX || !is_header_value(value))
            (void)gw_fail_field(err, path(field, list, i, "value"),
                                "must be at most %d bytes without control characters",
                                HEADER_VALUE_BYTES_MAX);
        if (action->action < CP_ENUM(HEADER_ACTION_TYPE, OVERRIDE) ||
            action->action > CP_ENUM(HEADER_ACTION_TYPE, ADD))
            (void)gw_fail_field(err, path(field, list, i, "action"),
                                "required: OVERRIDE, APPEND, DELETE, SKIP or ADD");
    }
}

/* ---- the whole */

const char *cp_policy_kind_name(Penstock__Admin__V1__Policy__KindCase kind)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(CP_TYPE(policy), (unsigned)kind);
    return field ? field->name : "";
}

int cp_check_policy(const cp_policy *policy, struct gw_error *err)
{
    *err = GW_ERROR_NONE;
    switch (policy->kind_case) {
    case CP_ONEOF(POLICY, _NOT_SET):
        return gw_fail_field(err, "kind", "required: ip_access, throttle or response_headers");
    case CP_ONEOF(POLICY, IP_ACCESS):
        cp_check_ip_access(policy->ip_access, err);
        break;
    case CP_ONEOF(POLICY, THROTTLE):
        check_throttle(policy->throttle, err);
        break;
    case CP_ONEOF(POLICY, RESPONSE_HEADERS):
        check_response_headers(policy->response_headers, err);
        break;
    default:
        cp_refuse_for_now(err, cp_policy_kind_name(policy->kind_case));
    }
    return err->violation_count > 0 ? -1 : 0;
}

int cp_check_policy_update(const cp_policy *before, const cp_policy *after, struct gw_error *err)
{
    if (after->kind_case != CP_ONEOF(POLICY, _NOT_SET) && after->kind_case != before->kind_case)
        return gw_fail_field(err, cp_policy_kind_name(after->kind_case),
                             "the kind cannot be changed: %s is %s", before->name,
                             cp_policy_kind_name(before->kind_case));
    return cp_check_policy(after, err);
}

int cp_check_policy_binding(const cp_policy_binding *binding, struct gw_error *err)
{
    int failed = cp_name_check(CP_KIND_API, binding->api, "api", err);
    if (binding->environment[0])
        failed |= cp_name_check(CP_KIND_ENVIRONMENT, binding->environment, "environment", err);
    return failed;
}
