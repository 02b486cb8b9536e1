/* SPDX-License-Identifier: Apache-2.0 */
/* reset-secret: the secret of an app, shown this once. */
#include "controlplane/ctl/command.h"
#include "controlplane/ctl/files.h"
#include "controlplane/ctl/print.h"

#include "penstock/admin/v1/app.pb-c.h"

#include <stdio.h>

typedef Penstock__Admin__V1__ResetAppSecretRequest reset_request;
typedef Penstock__Admin__V1__ResetAppSecretResponse reset_reply;

static int fill(struct cp_session *session, reset_request *request, struct gw_error *err)
{
    gw_str name;
    const struct cp_options *options = session->options;
    const struct cp_ctl_kind *kind = cp_kind_find(GW_STR("app"));
    if (cp_kind_name(kind, gw_str_from(options->args[0]), &session->arena, &name, err) < 0)
        return cp_usage(err);
    request->name = (char *)(uintptr_t)name.ptr;
    if (options->etag)
        request->etag = gw_arena_strdup(&session->arena, options->etag);
    request->validate_only = options->dry_run;
    return options->secret_file
               ? cp_secret_read(session, options->secret_file, &request->secret, err)
               : 0;
}

static void show(struct cp_session *session, const char *name, const reset_reply *reply)
{
    enum cp_output output = session->options->output;
    if (output == CP_OUTPUT_JSON || output == CP_OUTPUT_YAML)
        cp_print_message(&reply->base, output, &session->arena);
    else if (output == CP_OUTPUT_NAME)
        puts(name);
    else if (session->options->dry_run)
        printf("%s would have another secret (dry run)\n", name);
    else
        printf("%s has another secret\n  key: %s\n  secret: %s\n  (shown only now: keep it)\n",
               name, reply->key, reply->secret);
}

int cp_command_reset_secret(struct cp_session *session, struct gw_error *err)
{
    reset_reply *reply;
    reset_request request = PENSTOCK__ADMIN__V1__RESET_APP_SECRET_REQUEST__INIT;
    const ProtobufCServiceDescriptor *service = &penstock__admin__v1__app_service__descriptor;
    const ProtobufCMethodDescriptor *method =
        protobuf_c_service_descriptor_get_method_by_name(service, "ResetAppSecret");
    if (fill(session, &request, err) < 0 ||
        cp_call(session, service, method, &request.base, (ProtobufCMessage **)&reply, err) < 0)
        return -1;
    show(session, request.name, reply);
    return 0;
}
