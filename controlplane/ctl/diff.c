/* SPDX-License-Identifier: Apache-2.0 */
/* diff: what a publish would change, and what earlier ones have changed, or what files would. The
 * exit status is that of diff(1): 0 the same, 1 different, more than 1 an error. */
#include "controlplane/ctl/bundle.h"
#include "controlplane/ctl/command.h"
#include "controlplane/ctl/lifecycle.h"
#include "controlplane/ctl/print.h"

#include "penstock/admin/v1/release.pb-c.h"

#include <stdio.h>

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

static void print_text(const diff_request *request, const diff_reply *reply)
{
    bool has_colour = cp_has_colour();
    if (reply->n_changes == 0)
        return;
    printf("--- %s\n+++ %s\n", request->source, request->target);
    for (size_t i = 0; i < reply->n_changes; i++) {
        const Penstock__Admin__V1__FieldChange *change = reply->changes[i];
        cp_print_difference(change->path, change->old_value, change->new_value, has_colour);
    }
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
        cp_print_message(reply, CP_OUTPUT_JSON, &session->arena);
    else
        print_text(&request, answer);
    return answer->n_changes > 0;
}

static int check_words(const struct cp_options *options, struct gw_error *err)
{
    if ((options->file_count > 0) != (options->arg_count > 0))
        return 0;
    (void)gw_fail(err, GW_INVALID_ARGUMENT, "diff compares releases of an API, or else -f FILE");
    return cp_usage(err);
}

int cp_command_diff(struct cp_session *session, struct gw_error *err)
{
    int status = check_words(session->options, err);
    if (status == 0)
        status = session->options->file_count > 0 ? cp_diff_files(session, err) : run(session, err);
    if (status >= 0)
        return status;
    cp_print_error(err);
    return GW_MAX(cp_exit_status(err), 2); /* 1 says that there is a difference */
}
