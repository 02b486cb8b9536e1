/* SPDX-License-Identifier: Apache-2.0 */
/* What every gateway has from the start. Made by the services themselves, so that it is as any
 * other resource is. */
#include "common/message.h"
#include "controlplane/service/services.h"

#include "controlplane/model/types.h"
#include "controlplane/service/context.h"

#include <string.h>

static cp_handler *find(const struct cp_service *service, const char *method)
{
    for (size_t i = 0; i < service->count; i++)
        if (strcmp(service->methods[i].name, method) == 0)
            return service->methods[i].run;
    gw_panic("no method %s", method);
}

static int create(const struct cp_call *call, const struct cp_service *service, const char *method,
                  const ProtobufCMessage *request, struct gw_error *err)
{
    ProtobufCMessage *reply;
    if (find(service, method)(call, request, &reply, err) == 0)
        return 0;
    if (err->code != GW_ALREADY_EXISTS)
        return -1;
    *err = GW_ERROR_NONE;
    return 0;
}

int cp_services_seed(struct cp_services *services, struct gw_error *err)
{
    struct gw_arena arena = {0};
    struct cp_principal nobody = {.name = "penstock", .role = CP_ROLE_ADMINISTRATOR};
    struct cp_call call = {
        .services = services, .arena = &arena, .principal = &nobody, .deadline_ms = INT64_MAX};
    Penstock__Admin__V1__CreateApiGroupRequest group = CP_INIT(CREATE_API_GROUP_REQUEST);
    Penstock__Admin__V1__CreateEnvironmentRequest environment = CP_INIT(CREATE_ENVIRONMENT_REQUEST);
    char default_id[] = "DEFAULT", release_id[] = "RELEASE";
    group.group_id = default_id;
    environment.environment_id = release_id;
    int result = create(&call, &cp_group_service, "CreateApiGroup", &group.base, err);
    if (result == 0)
        result =
            create(&call, &cp_environment_service, "CreateEnvironment", &environment.base, err);
    gw_arena_done(&arena);
    return result;
}
