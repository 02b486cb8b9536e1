/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * Variables of the group DEFAULT, and an API that refers to them. On top of test_apis.h. */
#ifndef CP_SERVICE_TEST_VARIABLES_H
#define CP_SERVICE_TEST_VARIABLES_H

#include "controlplane/service/test_apis.h"

#define HOST "groups/DEFAULT/variables/RELEASE.host"
#define PATH "groups/DEFAULT/variables/RELEASE.Path"

static inline const char *create_variable(struct fixture *f, const char *id, const char *value)
{
    return ok(f, &cp_variable_service, "CreateVariable",
              format("{\"parent\": \"groups/DEFAULT\", \"variableId\": \"%s\","
                     " \"variable\": {\"value\": \"%s\"}}",
                     id, value));
}

static inline const char *set_value(struct fixture *f, const char *name, const char *value)
{
    return ok(f, &cp_variable_service, "UpdateVariable",
              format("{\"variable\": {\"name\": \"%s\", \"value\": \"%s\"}}", name, value));
}

static inline void delete_variable(struct fixture *f, const char *name)
{
    ok(f, &cp_variable_service, "DeleteVariable", format("{\"name\": \"%s\"}", name));
}

static inline void create_environment(struct fixture *f, const char *id)
{
    ok(f, &cp_environment_service, "CreateEnvironment", format("{\"environmentId\": \"%s\"}", id));
}

static inline void create_api(struct fixture *f, const char *id, const char *address,
                              const char *path)
{
    ok(f, &cp_api_service, "CreateApi",
       format("{\"parent\": \"groups/DEFAULT\", \"apiId\": \"%s\", \"api\": {\"frontend\":"
              " {\"method\": \"HTTP_METHOD_GET\", \"path\": \"/%s\"}, \"backend\": {\"http\":"
              " {\"address\": \"%s\", \"path\": \"%s\"}}}}",
              id, id, address, path));
}

static inline const char *publish_into(struct fixture *f, const char *environment)
{
    return ok(f, &cp_api_service, "PublishApi",
              format("{\"name\": \"" API "\", \"environment\": \"environments/%s\"}", environment));
}

static inline void refuse_publish(struct fixture *f, const char *environment)
{
    refused(f, GW_FAILED_PRECONDITION, &cp_api_service, "PublishApi",
            format("{\"name\": \"" API "\", \"environment\": \"environments/%s\"}", environment));
}

#endif
