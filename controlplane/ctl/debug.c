/* SPDX-License-Identifier: Apache-2.0 */
/* debug: one request of an API through an agent, shown as curl -v shows it. */
#include "controlplane/ctl/command.h"
#include "controlplane/ctl/files.h"
#include "controlplane/ctl/lifecycle.h"
#include "controlplane/ctl/print.h"

#include "penstock/admin/v1/api.pb-c.h"

#include <inttypes.h>
#include <stdio.h>

#define BODY_BYTES_MAX (2 * 1024 * 1024 + 64 * 1024) /* more than may be: the server says so */

typedef Penstock__Admin__V1__DebugApiRequest debug_request;
typedef Penstock__Admin__V1__DebugApiResponse debug_response;
typedef Penstock__Admin__V1__DebugField debug_field;

/* ---- the request ---- */

/* The text of a file, in the arena. */
static int read_file(struct cp_session *session, const char *path, size_t limit, gw_str *ret_text,
                     struct gw_error *err)
{
    struct gw_buf text;
    gw_buf_init(&text, limit);
    int result = cp_file_read(path, &text, err);
    *ret_text = gw_arena_dup(&session->arena, gw_buf_view(&text));
    gw_buf_done(&text);
    return result;
}

/* A copy that ends with NUL. */
static char *as_text(struct cp_session *session, gw_str text)
{
    return (char *)(uintptr_t)gw_arena_printf(&session->arena, "%.*s", GW_STR_ARG(text)).ptr;
}

/* "Accept: text/plain" or "q=1", with the blanks around the value gone. */
static int add_field(struct cp_session *session, const char *given, char separator,
                     debug_field **fields, size_t *count, struct gw_error *err)
{
    gw_str value = gw_str_from(given), name = gw_str_split(&value, separator);
    if (!value.ptr)
        return gw_fail(err, GW_INVALID_ARGUMENT, "\"%s\" has no \"%c\" between name and value",
                       given, separator);
    debug_field *field = GW_ARENA_NEW(&session->arena, debug_field);
    penstock__admin__v1__debug_field__init(field);
    gw_str trimmed = separator == ':' ? gw_str_trim(value) : value;
    field->name = as_text(session, gw_str_trim(name));
    field->value = as_text(session, trimmed);
    fields[(*count)++] = field;
    return 0;
}

static int add_fields(struct cp_session *session, debug_request *request, struct gw_error *err)
{
    const struct cp_debug_options *given = &session->options->debug;
    request->headers = GW_ARENA_ARRAY(&session->arena, debug_field *, given->header_count + 1);
    request->query = GW_ARENA_ARRAY(&session->arena, debug_field *, given->query_count + 1);
    for (unsigned i = 0; i < given->header_count; i++)
        if (add_field(session, given->headers[i], ':', request->headers, &request->n_headers, err))
            return cp_usage(err);
    for (unsigned i = 0; i < given->query_count; i++)
        if (add_field(session, given->query[i], '=', request->query, &request->n_query, err))
            return cp_usage(err);
    return 0;
}

/* One of an enum's values, by its last word in any case: "put", "consumer". */
static int choose(const ProtobufCEnumDescriptor *type, const char *prefix, const char *flag,
                  const char *typed, int *ret_value, struct gw_error *err)
{
    if (!typed)
        return 0;
    for (unsigned i = 0; i < type->n_values; i++) {
        gw_str word = gw_str_from(type->values[i].name + strlen(prefix));
        if (!gw_str_eq_nocase(word, gw_str_from(typed)) || type->values[i].value == 0)
            continue;
        *ret_value = type->values[i].value;
        return 0;
    }
    (void)gw_fail_field(err, flag, "\"%s\" is none", typed);
    return cp_usage(err);
}

/* TEXT, @FILE, or @- for stdin. */
static int read_body(struct cp_session *session, debug_request *request, struct gw_error *err)
{
    const char *data = session->options->debug.data;
    gw_str text = data ? gw_str_from(data) : GW_STR_NONE;
    if (data && *data == '@' && read_file(session, data + 1, BODY_BYTES_MAX, &text, err) < 0)
        return -1;
    request->body = (ProtobufCBinaryData){text.len, (uint8_t *)(uintptr_t)text.ptr};
    return 0;
}

static int read_code(struct cp_session *session, debug_request *request, struct gw_error *err)
{
    const char *file = session->options->debug.app_code_file;
    return file ? cp_secret_read(session, file, &request->app_code, err) : 0;
}

static char *agent_name(struct cp_session *session, const char *typed)
{
    if (strchr(typed, '/'))
        return gw_arena_strdup(&session->arena, typed);
    return (char *)(uintptr_t)gw_arena_printf(&session->arena, "agents/%s", typed).ptr;
}

static int fill(struct cp_session *session, debug_request *request, struct gw_error *err)
{
    const struct cp_debug_options *given = &session->options->debug;
    const char *method = session->options->filters.method;
    int method_value = 0, mode = 0;
    gw_str name;
    if (cp_api_name(session, session->options->args[0], &name, err) < 0 ||
        choose(&penstock__admin__v1__http_method__descriptor, "HTTP_METHOD_", "--method", method,
               &method_value, err) < 0 ||
        choose(&penstock__admin__v1__debug_mode__descriptor, "DEBUG_MODE_", "--mode",
               session->options->mode, &mode, err) < 0 ||
        add_fields(session, request, err) < 0)
        return -1;
    request->name = as_text(session, name);
    request->method = (Penstock__Admin__V1__HttpMethod)method_value;
    request->mode = (Penstock__Admin__V1__DebugMode)mode;
    request->path = (char *)(uintptr_t)(session->options->path ? session->options->path : "/");
    request->https = given->https;
    if (given->domain)
        request->domain = (char *)(uintptr_t)given->domain;
    if (given->agent)
        request->agent = agent_name(session, given->agent);
    if (session->options->environment)
        request->environment = cp_environment_of(session, session->options->environment);
    return read_body(session, request, err) < 0 || read_code(session, request, err) < 0 ? -1 : 0;
}

/* ---- the answer ---- */

/* Messages go to stderr, so that the body can go on to a program. */
static void print_request(const debug_response *reply)
{
    gw_str rest = gw_str_from(reply->request);
    fprintf(stderr, "* through %s\n", reply->agent);
    while (rest.len > 0) {
        gw_str line = gw_str_split(&rest, '\n');
        if (gw_str_has_suffix(line, GW_STR("\r")))
            line.len--;
        fprintf(stderr, "> %.*s\n", GW_STR_ARG(line));
    }
}

static double milliseconds(const Google__Protobuf__Duration *duration)
{
    return duration ? (double)duration->seconds * 1e3 + (double)duration->nanos / 1e6 : 0;
}

static void print_answer(const debug_response *reply)
{
    fprintf(stderr, "< %" PRId32 "\n", reply->status);
    for (size_t i = 0; i < reply->n_headers; i++)
        fprintf(stderr, "< %s: %s\n", reply->headers[i]->name, reply->headers[i]->value);
    fprintf(stderr, "<\n");
    if (reply->body.len > 0)
        fwrite(reply->body.data, 1, reply->body.len, stdout);
    fflush(stdout);
    fprintf(stderr, "%s* %.1f ms to the head, %.1f ms in all%s%s%s\n",
            reply->body.len > 0 && reply->body.data[reply->body.len - 1] != '\n' ? "\n" : "",
            milliseconds(reply->head_latency), milliseconds(reply->latency),
            reply->truncated ? "; cut after 2 MiB" : "", *reply->failure ? "; " : "",
            reply->failure);
}

int cp_command_debug(struct cp_session *session, struct gw_error *err)
{
    debug_request request = PENSTOCK__ADMIN__V1__DEBUG_API_REQUEST__INIT;
    ProtobufCMessage *reply;
    enum cp_output output = session->options->output;
    if (output != CP_OUTPUT_TABLE && output != CP_OUTPUT_JSON) {
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "debug is shown as text or with -o json");
        return cp_usage(err);
    }
    if (fill(session, &request, err) < 0 ||
        cp_call_api(session, "DebugApi", &request.base, &reply, err) < 0)
        return -1;
    const debug_response *answer = (const debug_response *)reply;
    if (output == CP_OUTPUT_JSON) {
        cp_print_message(reply, CP_OUTPUT_JSON, &session->arena);
    } else {
        print_request(answer);
        print_answer(answer);
    }
    return *answer->failure != '\0';
}
