/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * One API, "a" of the group DEFAULT, and what is done with it. On top of test_backstage.h. */
#ifndef CP_SERVICE_TEST_APIS_H
#define CP_SERVICE_TEST_APIS_H

#include "controlplane/service/test_backstage.h"

#define API "groups/DEFAULT/apis/a"
#define STAGED(test) cmocka_unit_test_setup_teardown(test, backstage_set_up, backstage_tear_down)

/* Good until the fourth call from here. */
static inline const char *format(const char *text, ...) GW_PRINTF(1, 2);
static inline const char *format(const char *text, ...)
{
    static char buffers[4][1024];
    static unsigned at;
    char *buffer = buffers[at++ % GW_ARRAY_LEN(buffers)];
    va_list args;
    va_start(args, text);
    (void)vsnprintf(buffer, sizeof buffers[0], text, args);
    va_end(args);
    return buffer;
}

static inline const char *create(struct fixture *f, const char *id, const char *method,
                                 const char *path)
{
    return ok(f, &cp_api_service, "CreateApi",
              format("{\"parent\": \"groups/DEFAULT\", \"apiId\": \"%s\", \"api\": {\"frontend\":"
                     " {\"method\": \"HTTP_METHOD_%s\", \"path\": \"%s\"}, \"backend\":"
                     " {\"mock\": {}}}}",
                     id, method, path));
}

static inline const char *move_api(struct fixture *f, const char *id, const char *path)
{
    return ok(f, &cp_api_service, "UpdateApi",
              format("{\"api\": {\"name\": \"groups/DEFAULT/apis/%s\", \"frontend\": {\"method\":"
                     " \"HTTP_METHOD_GET\", \"path\": \"%s\"}}}",
                     id, path));
}

static inline const char *publish(struct fixture *f, const char *api)
{
    return ok(f, &cp_api_service, "PublishApi", format("{\"name\": \"%s\"}", api));
}

static inline const char *unpublish(struct fixture *f, const char *api)
{
    return ok(f, &cp_api_service, "UnpublishApi", format("{\"name\": \"%s\"}", api));
}

static inline const char *rollback(struct fixture *f, const char *release)
{
    return ok(f, &cp_api_service, "RollbackApi", format("{\"release\": \"%s\"}", release));
}

static inline const char *get(struct fixture *f)
{
    return ok(f, &cp_api_service, "GetApi", "{\"name\": \"" API "\"}");
}

static inline const char *history(struct fixture *f)
{
    return ok(f, &cp_release_service, "ListReleases", "{\"parent\": \"" API "\"}");
}

static inline unsigned count(const char *text, const char *part)
{
    unsigned found = 0;
    while ((text = strstr(text, part))) {
        found++;
        text += strlen(part);
    }
    return found;
}

#endif
