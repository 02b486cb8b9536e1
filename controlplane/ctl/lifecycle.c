/* SPDX-License-Identifier: Apache-2.0 */
/* publish, unpublish, history, rollback: an API's life in environments. */
#include "controlplane/ctl/lifecycle.h"
#include "controlplane/ctl/command.h"
#include "controlplane/ctl/print.h"

#include "penstock/admin/v1/api.pb-c.h"

#include <inttypes.h>
#include <stdio.h>

int cp_api_name(struct cp_session *session, const char *typed, gw_str *ret_name,
                struct gw_error *err)
{
    int result = cp_kind_name(cp_kind_find(GW_STR("api")), gw_str_from(typed), &session->arena,
                              ret_name, err);
    return result < 0 ? cp_usage(err) : 0;
}

static int api_name(struct cp_session *session, gw_str *ret_name, struct gw_error *err)
{
    return cp_api_name(session, session->options->args[0], ret_name, err);
}

char *cp_environment_name(struct cp_session *session, const char *fallback)
{
    const char *typed = session->options->environment ? session->options->environment : fallback;
    return typed ? cp_environment_of(session, typed) : NULL;
}

Google__Protobuf__Duration *cp_wait(struct cp_session *session)
{
    gw_msec ms = session->options->wait_ms;
    if (ms == 0)
        return NULL;
    Google__Protobuf__Duration *wait = GW_ARENA_NEW(&session->arena, Google__Protobuf__Duration);
    google__protobuf__duration__init(wait);
    wait->seconds = ms / 1000;
    wait->nanos = (int32_t)(ms % 1000 * 1000000);
    return wait;
}

int cp_call_api(struct cp_session *session, const char *method, const ProtobufCMessage *request,
                ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const ProtobufCServiceDescriptor *service = &penstock__admin__v1__api_service__descriptor;
    return cp_call(session, service,
                   protobuf_c_service_descriptor_get_method_by_name(service, method), request,
                   ret_reply, err);
}

int cp_command_clone(struct cp_session *session, struct gw_error *err)
{
    Penstock__Admin__V1__CloneApiRequest request = PENSTOCK__ADMIN__V1__CLONE_API_REQUEST__INIT;
    const struct cp_ctl_kind *kind = cp_kind_find(GW_STR("api"));
    ProtobufCMessage *reply;
    gw_str name, clone, parent, id;
    const char *typed = session->options->args[1];
    if (api_name(session, &name, err) < 0)
        return -1;
    cp_kind_split(name, &parent, &id);
    clone = gw_arena_printf(&session->arena, "%.*s/apis/%s", GW_STR_ARG(parent), typed);
    if (strchr(typed, '/') && cp_api_name(session, typed, &clone, err) < 0)
        return -1;
    cp_kind_split(clone, &parent, &id);
    request.name = (char *)(uintptr_t)name.ptr;
    request.parent = (char *)(uintptr_t)gw_arena_dup(&session->arena, parent).ptr;
    request.api_id = (char *)(uintptr_t)gw_arena_dup(&session->arena, id).ptr;
    request.path = (char *)(uintptr_t)(session->options->path);
    request.validate_only = session->options->dry_run;
    if (cp_call_api(session, "CloneApi", &request.base, &reply, err) < 0)
        return -1;
    if (session->options->output == CP_OUTPUT_TABLE) {
        printf("%s created%s\n", gw_message_text(reply, "name"),
               session->options->dry_run ? " (dry run)" : "");
        return 0;
    }
    struct cp_printer printer;
    cp_print_begin(&printer, kind, session->options->output, false, &session->arena);
    cp_print_resource(&printer, reply);
    cp_print_end(&printer);
    return 0;
}

void cp_print_refusals(const Penstock__Admin__V1__Rollout *rollout)
{
    for (size_t i = 0; rollout && i < rollout->n_refusals; i++)
        printf("%s refused %s: %s\n", rollout->refusals[i]->agent, rollout->refusals[i]->resource,
               rollout->refusals[i]->reason);
}

int cp_rollout_status(const Penstock__Admin__V1__Rollout *rollout)
{
    return rollout && (rollout->applied < rollout->agents || rollout->n_refusals > 0);
}

int cp_print_rollout(const Penstock__Admin__V1__Rollout *rollout)
{
    if (!rollout)
        return 0;
    double ms = rollout->duration ? (double)rollout->duration->seconds * 1e3 +
                                        (double)rollout->duration->nanos / 1e6
                                  : 0;
    printf("%d of %d agents applied revision %" PRId64 " in %.*f ms\n", rollout->applied,
           rollout->agents, rollout->revision, ms < 10, ms);
    cp_print_refusals(rollout);
    return cp_rollout_status(rollout);
}

static int print_release(struct cp_session *session, Penstock__Admin__V1__Release *release,
                         const Penstock__Admin__V1__Rollout *rollout, const char *what)
{
    struct cp_printer printer;
    if (session->options->output == CP_OUTPUT_TABLE) {
        printf("%s %s%s\n", release->name, what, session->options->dry_run ? " (dry run)" : "");
        return cp_print_rollout(rollout);
    }
    cp_print_begin(&printer, cp_kind_find(GW_STR("release")), session->options->output, false,
                   &session->arena);
    cp_print_resource(&printer, &release->base);
    cp_print_end(&printer);
    return cp_rollout_status(rollout);
}

static bool is_of_many(const struct cp_options *options)
{
    return options->group || options->tag_count > 0 || options->arg_count != 1;
}

int cp_command_publish(struct cp_session *session, struct gw_error *err)
{
    Penstock__Admin__V1__PublishApiRequest request = PENSTOCK__ADMIN__V1__PUBLISH_API_REQUEST__INIT;
    ProtobufCMessage *reply;
    gw_str name;
    if (is_of_many(session->options))
        return cp_command_bulk(session, false, err);
    if (api_name(session, &name, err) < 0)
        return -1;
    request.name = (char *)(uintptr_t)name.ptr;
    request.environment = cp_environment_name(session, "RELEASE");
    request.description = (char *)(uintptr_t)(session->options->description);
    request.etag = (char *)(uintptr_t)(session->options->etag);
    request.wait = cp_wait(session);
    request.validate_only = session->options->dry_run;
    if (cp_call_api(session, "PublishApi", &request.base, &reply, err) < 0)
        return -1;
    const Penstock__Admin__V1__PublishApiResponse *answer = (const void *)reply;
    return print_release(session, answer->release, answer->rollout, "published");
}

int cp_command_unpublish(struct cp_session *session, struct gw_error *err)
{
    Penstock__Admin__V1__UnpublishApiRequest request =
        PENSTOCK__ADMIN__V1__UNPUBLISH_API_REQUEST__INIT;
    ProtobufCMessage *reply;
    gw_str name;
    if (is_of_many(session->options))
        return cp_command_bulk(session, true, err);
    if (api_name(session, &name, err) < 0)
        return -1;
    request.name = (char *)(uintptr_t)name.ptr;
    request.environment = cp_environment_name(session, "RELEASE");
    request.wait = cp_wait(session);
    request.validate_only = session->options->dry_run;
    if (cp_call_api(session, "UnpublishApi", &request.base, &reply, err) < 0)
        return -1;
    printf("%s unpublished from %s%s\n", request.name, request.environment,
           session->options->dry_run ? " (dry run)" : "");
    return cp_print_rollout(((const Penstock__Admin__V1__UnpublishApiResponse *)reply)->rollout);
}

int cp_command_history(struct cp_session *session, struct gw_error *err)
{
    const struct cp_ctl_kind *kind = cp_kind_find(GW_STR("release"));
    struct cp_printer printer;
    gw_str name;
    if (api_name(session, &name, err) < 0)
        return -1;
    cp_print_begin(&printer, kind, session->options->output, true, &session->arena);
    int result = cp_list(session, kind, name, cp_environment_name(session, NULL), cp_print_resource,
                         &printer, err);
    if (result < 0)
        cp_print_abort(&printer);
    else
        cp_print_end(&printer);
    return result;
}

gw_str cp_release_of(struct cp_session *session, gw_str api, int64_t number)
{
    gw_str parent, environment;
    cp_kind_split(gw_str_from(cp_environment_name(session, "RELEASE")), &parent, &environment);
    return gw_arena_printf(&session->arena, "%.*s/releases/%.*s-%" PRId64, GW_STR_ARG(api),
                           GW_STR_ARG(environment), number);
}

int cp_effective_release(struct cp_session *session, gw_str api, const char *environment,
                         gw_str *ret_name, struct gw_error *err)
{
    ProtobufCMessage *reply;
    if (cp_get(session, cp_kind_find(GW_STR("api")), api, &reply, err) < 0)
        return -1;
    const Penstock__Admin__V1__Api *found = (const void *)reply;
    for (size_t i = 0; i < found->n_publications; i++) {
        gw_str parent, id;
        cp_kind_split(gw_str_from(found->publications[i]->name), &parent, &id);
        if (gw_str_eq(id, gw_str_from(environment + strlen("environments/")))) {
            *ret_name = gw_str_from(found->publications[i]->release);
            return 0;
        }
    }
    return gw_fail(err, GW_FAILED_PRECONDITION, "%.*s is not published in %s", GW_STR_ARG(api),
                   environment);
}

/* A whole release name, or an API with --to and --env. */
static int release_name(struct cp_session *session, gw_str *ret_name, struct gw_error *err)
{
    const struct cp_options *options = session->options;
    const struct cp_ctl_kind *kind = cp_kind_find(GW_STR("release"));
    bool is_rollback = strcmp(options->command, "rollback") == 0;
    gw_str api;
    if (options->to == 0 || !is_rollback) {
        if (cp_kind_name(kind, gw_str_from(options->args[0]), &session->arena, ret_name, err) == 0)
            return 0;
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "%s needs %s, or a release: %s", options->command,
                      is_rollback ? "--to NUMBER" : "--from ENVIRONMENT", kind->pattern);
        return cp_usage(err);
    }
    if (api_name(session, &api, err) < 0)
        return -1;
    *ret_name = cp_release_of(session, api, options->to);
    return 0;
}

int cp_command_rollback(struct cp_session *session, struct gw_error *err)
{
    Penstock__Admin__V1__RollbackApiRequest request =
        PENSTOCK__ADMIN__V1__ROLLBACK_API_REQUEST__INIT;
    ProtobufCMessage *reply;
    gw_str name;
    if (release_name(session, &name, err) < 0)
        return -1;
    request.release = (char *)(uintptr_t)name.ptr;
    request.wait = cp_wait(session);
    request.validate_only = session->options->dry_run;
    if (cp_call_api(session, "RollbackApi", &request.base, &reply, err) < 0)
        return -1;
    const Penstock__Admin__V1__RollbackApiResponse *answer = (const void *)reply;
    return print_release(session, answer->release, answer->rollout, "is effective");
}

/* A whole release name, or an API with --from. */
static int promoted_release(struct cp_session *session, gw_str *ret_name, struct gw_error *err)
{
    const struct cp_options *options = session->options;
    gw_str api;
    if (!options->environment) {
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "promote needs --env, where to");
        return cp_usage(err);
    }
    if (!options->from)
        return release_name(session, ret_name, err);
    if (api_name(session, &api, err) < 0)
        return -1;
    return cp_effective_release(session, api, cp_environment_of(session, options->from), ret_name,
                                err);
}

int cp_command_promote(struct cp_session *session, struct gw_error *err)
{
    Penstock__Admin__V1__PromoteApiRequest request = PENSTOCK__ADMIN__V1__PROMOTE_API_REQUEST__INIT;
    ProtobufCMessage *reply;
    gw_str name;
    if (promoted_release(session, &name, err) < 0)
        return -1;
    request.release = (char *)(uintptr_t)name.ptr;
    request.environment = cp_environment_name(session, NULL);
    request.description = (char *)(uintptr_t)(session->options->description);
    request.wait = cp_wait(session);
    request.validate_only = session->options->dry_run;
    if (cp_call_api(session, "PromoteApi", &request.base, &reply, err) < 0)
        return -1;
    const Penstock__Admin__V1__PromoteApiResponse *answer = (const void *)reply;
    return print_release(session, answer->release, answer->rollout, "published");
}
