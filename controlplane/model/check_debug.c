/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_debug.h"

#include "common/buf.h"
#include "controlplane/model/check.h"
#include "controlplane/model/check_backend.h"
#include "controlplane/model/names.h"

#include <ctype.h>
#include <stdio.h>

#define USER_AGENT "APIGatewayDebugClient/1.0"

/* ---- what may be asked ---- */

/* They would say who calls, which API, or from where. */
static bool is_reserved(gw_str name)
{
    static const char *const prefixes[] = {"x-apig-", "x-sdk-", "x-forwarded-"};
    for (size_t i = 0; i < GW_ARRAY_LEN(prefixes); i++) {
        gw_str prefix = gw_str_from(prefixes[i]);
        if (name.len >= prefix.len && gw_str_eq_nocase(gw_str_n(name.ptr, prefix.len), prefix))
            return true;
    }
    return gw_str_eq_nocase(name, GW_STR("x-stage")) ||
           gw_str_eq_nocase(name, GW_STR("forwarded")) ||
           gw_str_eq_nocase(name, GW_STR("x-real-ip"));
}

static bool has_form(gw_str name, const char *marks)
{
    for (size_t i = 0; i < name.len; i++)
        if (!isalnum((unsigned char)name.ptr[i]) && !strchr(marks, name.ptr[i]))
            return false;
    return name.len > 0 && name.len <= CP_DEBUG_NAME_MAX && isalpha((unsigned char)name.ptr[0]);
}

/* One field of the head or the query. */
static void check_field(const cp_debug_field *given, const char *list, size_t index,
                        struct gw_error *err)
{
    bool is_query = strcmp(list, "query") == 0;
    gw_str name = gw_str_from(given->name);
    char field[48];
    (void)snprintf(field, sizeof(field), "%s[%zu].name", list, index);
    if (!has_form(name, is_query ? "-_" : "-"))
        (void)gw_fail_field(err, field, "1 to %d of letters, digits and %s, a letter first",
                            CP_DEBUG_NAME_MAX, is_query ? "\"-\" or \"_\"" : "\"-\"");
    else if (is_reserved(name))
        (void)gw_fail_field(err, field,
                            "says who calls, which API or from where: the gateway's own");
    else if (!is_query && (cp_is_framing_header(name) || gw_str_eq_nocase(name, GW_STR("host"))))
        (void)gw_fail_field(err, field, "is set by the debug tool");
    (void)snprintf(field, sizeof(field), "%s[%zu].value", list, index);
    cp_check_bytes(given->value, CP_DEBUG_VALUE_MAX, field, err);
    for (const char *c = given->value; *c && !is_query; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            (void)gw_fail_field(err, field, "must not hold control characters");
            break;
        }
    }
}

static void check_fields(cp_debug_field *const *fields, size_t count, const char *list,
                         struct gw_error *err)
{
    if (count > CP_DEBUG_FIELDS_MAX) {
        (void)gw_fail_field(err, list, "at most %d", CP_DEBUG_FIELDS_MAX);
        return;
    }
    for (size_t i = 0; i < count; i++)
        check_field(fields[i], list, i, err);
}

static void check_path(const char *path, struct gw_error *err)
{
    size_t len = strlen(path);
    if (path[0] != '/' || len > CP_DEBUG_PATH_MAX) {
        (void)gw_fail_field(err, "path", "1 to %d bytes, \"/\" first", CP_DEBUG_PATH_MAX);
        return;
    }
    for (const char *c = path; *c; c++) {
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f || strchr("?#\"<>\\^`{|}", *c)) {
            (void)gw_fail_field(err, "path",
                                "as in a request: escaped with %%XX, and the query in \"query\"");
            return;
        }
    }
}

static void check_code(const cp_debug_api_request *asked, struct gw_error *err)
{
    if (!*asked->app_code)
        return;
    if (asked->mode != CP_ENUM(DEBUG_MODE, CONSUMER))
        (void)gw_fail_field(err, "app_code", "only in mode CONSUMER: DEVELOPER has no checks");
    cp_check_bytes(asked->app_code, CP_DEBUG_VALUE_MAX, "app_code", err);
    for (const char *c = asked->app_code; *c; c++) {
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f) {
            (void)gw_fail_field(err, "app_code", "must be printable ASCII");
            break;
        }
    }
}

int cp_check_debug(const cp_debug_api_request *asked, struct gw_error *err)
{
    bool is_consumer = asked->mode == CP_ENUM(DEBUG_MODE, CONSUMER);
    if (cp_name_check(CP_KIND_API, asked->name, "name", err) < 0)
        return -1;
    if ((unsigned)asked->mode > CP_ENUM(DEBUG_MODE, CONSUMER))
        (void)gw_fail_field(err, "mode", "DEVELOPER or CONSUMER");
    if (*asked->environment && !is_consumer)
        (void)gw_fail_field(err, "environment", "only in mode CONSUMER: a draft is in none");
    else if (*asked->environment && !cp_name_is(CP_KIND_ENVIRONMENT, asked->environment))
        (void)gw_fail_field(err, "environment", "must be environments/{environment}");
    if ((unsigned)asked->method >= CP_ENUM(HTTP_METHOD, ANY))
        (void)gw_fail_field(err, "method", "one method, not ANY");
    if (*asked->domain && !cp_is_host(asked->domain))
        (void)gw_fail_field(err, "domain", "a host name, without port");
    if (asked->body.len > CP_DEBUG_BODY_MAX)
        (void)gw_fail_field(err, "body", "at most 2 MiB");
    check_path(asked->path, err);
    check_fields(asked->headers, asked->n_headers, "headers", err);
    check_fields(asked->query, asked->n_query, "query", err);
    check_code(asked, err);
    return err->code == GW_OK ? 0 : -1;
}

/* ---- the request ---- */

/* Everything that goes in is bounded by the checks, the buffer is not. */
static void put(struct gw_buf *out, gw_str text)
{
    int result = gw_buf_append(out, text);
    assert(result == 0);
    (void)result;
}

static void put_text(struct gw_buf *out, const char *text)
{
    put(out, gw_str_from(text));
}

static void put_escaped(struct gw_buf *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        char escaped[4] = {'%', "0123456789ABCDEF"[*c >> 4], "0123456789ABCDEF"[*c & 15]};
        bool is_plain = isalnum(*c) || strchr("-._~", *c);
        put(out, is_plain ? gw_str_n((const char *)c, 1) : gw_str_n(escaped, 3));
    }
}

/* "x-MY-hEaDer" -> "X-My-Header" */
static void put_name(struct gw_buf *out, const char *name)
{
    bool is_first = true;
    for (const char *c = name; *c; c++) {
        char letter = (char)(is_first ? toupper((unsigned char)*c) : tolower((unsigned char)*c));
        put(out, gw_str_n(&letter, 1));
        is_first = *c == '-';
    }
}

static void put_field(struct gw_buf *out, const char *name, const char *value)
{
    put_name(out, name);
    put_text(out, ": ");
    put_text(out, value);
    put_text(out, "\r\n");
}

static const char *method_of(const cp_debug_api_request *asked)
{
    static const char *const names[] = {"GET",  "GET",   "POST",    "PUT", "DELETE",
                                        "HEAD", "PATCH", "OPTIONS", "GET"};
    return names[asked->method];
}

static void put_line(struct gw_buf *out, const cp_debug_api_request *asked)
{
    put_text(out, method_of(asked));
    put_text(out, " ");
    put_text(out, asked->path);
    for (size_t i = 0; i < asked->n_query; i++) {
        put_text(out, i ? "&" : "?");
        put_escaped(out, asked->query[i]->name);
        put_text(out, "=");
        put_escaped(out, asked->query[i]->value);
    }
    put_text(out, " HTTP/1.1\r\n");
}

static void put_head(struct gw_buf *out, const cp_debug_api_request *asked,
                     const struct cp_debug_target *target, const char *app_code)
{
    bool has_agent = false;
    put_line(out, asked);
    put_field(out, "Host", target->host);
    for (size_t i = 0; i < asked->n_headers; i++) {
        const cp_debug_field *header = asked->headers[i];
        has_agent |= gw_str_eq_nocase(gw_str_from(header->name), GW_STR("user-agent"));
        put_field(out, header->name, header->value);
    }
    if (!has_agent)
        put_field(out, "User-Agent", USER_AGENT);
    put_field(out, "X-Apig-Mode", "debug");
    put_field(out, "X-Stage", target->environment);
    if (*app_code)
        put_field(out, "X-Apig-Appcode", app_code);
    if (asked->body.len > 0) {
        char length[24];
        (void)snprintf(length, sizeof(length), "%zu", asked->body.len);
        put_field(out, "Content-Length", length);
    }
    put_field(out, "Connection", "close");
    put_text(out, "\r\n");
}

static gw_str finish(struct gw_arena *arena, struct gw_buf *out)
{
    gw_str text = gw_arena_dup(arena, gw_buf_view(out));
    gw_buf_done(out);
    return text;
}

gw_str cp_debug_request(struct gw_arena *arena, const cp_debug_api_request *asked,
                        const struct cp_debug_target *target, gw_str *ret_shown)
{
    struct gw_buf out, shown;
    gw_buf_init(&out, 0);
    gw_buf_init(&shown, 0);
    put_head(&shown, asked, target, *asked->app_code ? "***" : "");
    *ret_shown = finish(arena, &shown);
    put_head(&out, asked, target, asked->app_code);
    put(&out, gw_str_n((const char *)asked->body.data, asked->body.len));
    return finish(arena, &out);
}
