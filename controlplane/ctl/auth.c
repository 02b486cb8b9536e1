/* SPDX-License-Identifier: Apache-2.0 */
/* auth whoami: as whom the control plane knows this caller, and what it may do. */
#include "controlplane/ctl/command.h"
#include "controlplane/ctl/print.h"

#include "penstock/admin/v1/auth.pb-c.h"

#include <stdio.h>

typedef Penstock__Admin__V1__Identity identity;
typedef Penstock__Admin__V1__Right right;

static const struct cp_ctl_kind identity_kind = {
    .word = "Identity",
    .plural = "Identities",
    .command = "identity",
    .alias = "identities",
    .pattern = "",
    .service = &penstock__admin__v1__auth_service__descriptor,
    .message = &penstock__admin__v1__identity__descriptor,
};

static void print_list(const char *before, char **texts, size_t count, const char *none)
{
    fputs(before, stdout);
    for (size_t i = 0; i < count; i++)
        printf("%s%s", i ? ", " : "", texts[i]);
    if (count == 0)
        fputs(none, stdout);
}

static void print_right(const right *r, bool is_first)
{
    printf("%-11s%s", is_first ? "may:" : "", r->role);
    if (r->n_actions)
        print_list(" (", r->actions, r->n_actions, "");
    print_list(r->n_actions ? ") in " : " in ", r->limits, r->n_limits, "everything");
    putchar('\n');
}

static void print_for_people(const identity *who, struct gw_arena *arena)
{
    printf("principal: %s\nproof:     %s\n", who->principal, who->proof);
    if (who->expire_time)
        printf("expires:   %.*s\n", GW_STR_ARG(cp_print_field(&who->base, "expire_time", arena)));
    for (size_t i = 0; i < who->n_rights; i++)
        print_right(who->rights[i], i == 0);
    if (who->n_rights == 0)
        puts("may:       nothing");
}

int cp_command_auth(struct cp_session *session, struct gw_error *err)
{
    const struct cp_options *options = session->options;
    const ProtobufCMethodDescriptor *method =
        protobuf_c_service_descriptor_get_method_by_name(identity_kind.service, "WhoAmI");
    struct cp_printer printer;
    ProtobufCMessage *reply;
    if (strcmp(options->args[0], "whoami") != 0) {
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "auth has no \"%s\", only whoami",
                      options->args[0]);
        return cp_usage(err);
    }
    if (cp_call(session, identity_kind.service, method,
                gw_message_new(&session->arena, method->input), &reply, err) < 0)
        return -1;
    if (options->output == CP_OUTPUT_TABLE) {
        print_for_people((const identity *)reply, &session->arena);
    } else if (options->output == CP_OUTPUT_NAME) {
        puts(((const identity *)reply)->principal);
    } else {
        cp_print_begin(&printer, &identity_kind, options->output, false, &session->arena);
        cp_print_resource(&printer, reply);
        cp_print_end(&printer);
    }
    return 0;
}
