/* SPDX-License-Identifier: Apache-2.0 */
/* diff: what a publish would change, and what earlier ones have changed. The exit status is that of
 * diff(1): 0 the same, 1 different, more than 1 an error. */
#include "common/json.h"
#include "controlplane/ctl/command.h"
#include "controlplane/ctl/lifecycle.h"
#include "controlplane/ctl/print.h"

#include "penstock/admin/v1/release.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef Penstock__Admin__V1__DiffReleasesRequest diff_request;
typedef Penstock__Admin__V1__DiffReleasesResponse diff_reply;

/* ---- what is compared */

/* "3": of the API; else a release, or an API, whose draft is meant. */
static int side_name(struct cp_session *session, const char *typed, gw_str api, gw_str *ret_name,
                     struct gw_error *err)
{
    uint64_t number;
    struct gw_error unused = GW_ERROR_NONE;
    if (gw_str_to_u64(gw_str_from(typed), INT64_MAX, &number) == 0) {
        *ret_name = cp_release_of(session, api, (int64_t)number);
        return 0;
    }
    if (cp_kind_name(cp_kind_find(GW_STR("release")), gw_str_from(typed), &session->arena, ret_name,
                     &unused) == 0)
        return 0;
    return cp_api_name(session, typed, ret_name, err);
}

static bool is_release(gw_str name)
{
    const struct cp_ctl_kind *kind = cp_kind_of_name(name);
    return kind && gw_str_eq(gw_str_from(kind->command), GW_STR("release"));
}

/* API: what is effective, and the draft. API A: A, and the draft. API A B, RELEASE RELEASE: these.
 */
static int find_sides(struct cp_session *session, gw_str *ret_source, gw_str *ret_target,
                      struct gw_error *err)
{
    char **args = session->options->args;
    int count = session->options->arg_count, at = 0;
    gw_str first, id;
    if (side_name(session, args[at++], GW_STR_NONE, &first, err) < 0)
        return -1;
    gw_str api = first;
    if (is_release(first)) {
        cp_kind_split(first, &api, &id);
        *ret_source = first;
    } else if (at == count) {
        if (cp_effective_release(session, api, cp_environment_name(session, "RELEASE"), ret_source,
                                 err) < 0)
            return -1;
    } else if (side_name(session, args[at++], api, ret_source, err) < 0) {
        return -1;
    }
    *ret_target = gw_arena_dup(&session->arena, api);
    if (at < count && side_name(session, args[at++], api, ret_target, err) < 0)
        return -1;
    if (at == count)
        return 0;
    (void)gw_fail(err, GW_INVALID_ARGUMENT, "diff compares two releases, not more");
    return cp_usage(err);
}

/* ---- how it is shown */

static bool wants_colour(void)
{
    const char *no_color = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && (!no_color || !*no_color);
}

static void print_line(gw_str line, bool has_colour)
{
    const char *colour = line.ptr[0] == '+'   ? "\033[32m"
                         : line.ptr[0] == '-' ? "\033[31m"
                                              : "\033[33m";
    printf("%s%.*s%s\n", has_colour ? colour : "", GW_STR_ARG(line), has_colour ? "\033[0m" : "");
}

static void print_text(const diff_request *request, const diff_reply *reply)
{
    gw_str text = gw_str_from(reply->text);
    bool has_colour = wants_colour();
    if (text.len == 0)
        return;
    printf("--- %s\n+++ %s\n", request->source, request->target);
    for (gw_str line; (line = gw_str_split(&text, '\n')).len > 0;)
        print_line(line, has_colour);
}

static void print_json(const ProtobufCMessage *reply)
{
    struct gw_buf out;
    gw_buf_init(&out, 0);
    gw_json_write(&out, reply, GW_JSON_PRETTY);
    printf("%.*s\n", GW_STR_ARG(gw_buf_view(&out)));
    gw_buf_done(&out);
}

static int run(struct cp_session *session, struct gw_error *err)
{
    diff_request request = PENSTOCK__ADMIN__V1__DIFF_RELEASES_REQUEST__INIT;
    const ProtobufCServiceDescriptor *service = &penstock__admin__v1__release_service__descriptor;
    ProtobufCMessage *reply;
    gw_str source, target;
    enum cp_output output = session->options->output;
    if (output != CP_OUTPUT_TABLE && output != CP_OUTPUT_JSON) {
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "diff is shown as text or with -o json");
        return cp_usage(err);
    }
    if (find_sides(session, &source, &target, err) < 0)
        return -1;
    request.source = (char *)(uintptr_t)source.ptr;
    request.target = (char *)(uintptr_t)target.ptr;
    if (cp_call(session, service,
                protobuf_c_service_descriptor_get_method_by_name(service, "DiffReleases"),
                &request.base, &reply, err) < 0)
        return -1;
    const diff_reply *answer = (const diff_reply *)reply;
    if (output == CP_OUTPUT_JSON)
        print_json(reply);
    else
        print_text(&request, answer);
    return answer->n_changes > 0;
}

int cp_command_diff(struct cp_session *session, struct gw_error *err)
{
    int status = run(session, err);
    if (status >= 0)
        return status;
    cp_print_error(err);
    return GW_MAX(cp_exit_status(err), 2); /* 1 says that there is a difference */
}
