/* SPDX-License-Identifier: Apache-2.0 */
/* ExportOpenApi: the drafts of a group, or what is published of it in an environment. */
#include "common/map.h"
#include "common/message.h"
#include "controlplane/openapi/openapi.h"
#include "controlplane/openapi/text.h"
#include "controlplane/service/bulk.h"
#include "controlplane/service/history.h"
#include "controlplane/service/openapi.h"
#include "controlplane/service/resource.h"

#include <stdio.h>
#include <time.h>

typedef Penstock__Admin__V1__ExportOpenApiRequest export_request;
typedef Penstock__Admin__V1__ExportOpenApiResponse export_reply;

struct job {
    const struct cp_call *call;
    const export_request *asked;
    struct gw_map wanted; /* names that are asked for; none: all */
    cp_api **apis;        /* in the arena */
    size_t count, room;
    const char *host;
};

/* ---- which ones */

static void add(struct job *job, cp_api *api)
{
    if (job->count == job->room) {
        size_t room = job->room ? 2 * job->room : 64;
        cp_api **apis = GW_ARENA_ARRAY(job->call->arena, cp_api *, room);
        if (job->count > 0)
            memcpy(apis, job->apis, job->count * sizeof(cp_api *));
        job->apis = apis;
        job->room = room;
    }
    job->apis[job->count++] = api;
}

static bool is_wanted(struct job *job, const char *name)
{
    if (job->asked->n_names == 0)
        return true;
    return gw_map_take(&job->wanted, gw_str_from(name)) != NULL;
}

static int visit_draft(void *arg, const char *name, const struct cp_stored *stored,
                       struct gw_error *err)
{
    (void)err;
    if (is_wanted(arg, name))
        add(arg, (cp_api *)stored->message);
    return 0;
}

static int visit_publication(void *arg, const char *name, const struct cp_stored *stored,
                             struct gw_error *err)
{
    struct job *job = arg;
    const cp_publication *publication = (const cp_publication *)stored->message;
    struct cp_stored release;
    cp_api *api;
    if (!*publication->release ||
        strcmp(cp_name_last(name), cp_name_last(job->asked->environment)) != 0)
        return 0;
    char *api_name, *environment;
    cp_release_split(job->call->arena, publication->release, &api_name, &environment);
    if (!is_wanted(job, api_name))
        return 0;
    if (cp_get(job->call, CP_KIND_RELEASE, publication->release, &release, err) < 0 ||
        cp_thaw_release(job->call->arena, (const cp_release *)release.message, &api, err) < 0)
        return -1;
    api->name = api_name;
    add(job, api);
    return 0;
}

static int read_names(struct job *job, struct gw_error *err)
{
    const export_request *asked = job->asked;
    if (asked->n_names > CP_BULK_MAX)
        return gw_fail_field(err, "names", "must be at most %d", CP_BULK_MAX);
    for (size_t i = 0; i < asked->n_names; i++) {
        char field[32];
        gw_str name = gw_str_from(asked->names[i]);
        (void)snprintf(field, sizeof field, "names[%zu]", i);
        if (cp_name_check(CP_KIND_API, name.ptr, field, err) < 0)
            return -1;
        if (!gw_str_eq(cp_name_parent(name), gw_str_from(asked->parent)))
            return gw_fail_field(err, field, "must be of %s", asked->parent);
        if (gw_map_put(&job->wanted, name, asked->names[i]))
            return gw_fail_field(err, field, "%s is there twice", name.ptr);
    }
    return 0;
}

static int check_request(const export_request *asked, struct gw_error *err)
{
    if ((unsigned)asked->version > CP_ENUM(OPEN_API_VERSION, 3_0))
        return gw_fail_field(err, "version", "is not known");
    if ((unsigned)asked->format > CP_ENUM(DOCUMENT_FORMAT, YAML))
        return gw_fail_field(err, "format", "is not known");
    if ((unsigned)asked->scope > CP_ENUM(EXPORT_SCOPE, EXTENDED))
        return gw_fail_field(err, "scope", "is not known");
    if (asked->scope == CP_ENUM(EXPORT_SCOPE, EXTENDED) && !*asked->environment)
        return gw_fail_field(err, "environment", "required: policies are bound in environments");
    if (*asked->environment &&
        cp_name_check(CP_KIND_ENVIRONMENT, asked->environment, "environment", err) < 0)
        return -1;
    return cp_name_check(CP_KIND_GROUP, asked->parent, "parent", err);
}

static int find_apis(struct job *job, struct gw_error *err)
{
    struct cp_stored environment;
    const export_request *asked = job->asked;
    if (*asked->environment) {
        if (cp_get(job->call, CP_KIND_ENVIRONMENT, asked->environment, &environment, err) < 0 ||
            cp_each(job->call, CP_KIND_PUBLICATION, asked->parent, visit_publication, job, err) < 0)
            return -1;
    } else if (cp_each(job->call, CP_KIND_API, asked->parent, visit_draft, job, err) < 0)
        return -1;
    const struct gw_map_entry *left = gw_map_next(&job->wanted, NULL);
    if (left)
        return gw_fail(err, GW_NOT_FOUND, "%.*s %s%s", GW_STR_ARG(left->key),
                       *asked->environment ? "is not published in " : "does not exist",
                       asked->environment);
    return 0;
}

/* ---- the document */

/* Where callers find them: the first domain that is one name, else that for trying things out. */
static int visit_domain(void *arg, const char *name, const struct cp_stored *stored,
                        struct gw_error *err)
{
    struct job *job = arg;
    const char *host = cp_name_last(name);
    (void)stored;
    (void)err;
    if (!job->host && host[0] != '*')
        job->host = gw_arena_strdup(job->call->arena, host);
    return 0;
}

static const char *today(struct gw_arena *arena)
{
    char text[32];
    time_t now = (time_t)cp_now(arena)->seconds;
    struct tm parts;
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
    return gw_arena_strdup(arena, text);
}

static void report(struct job *job, const struct gw_error **skipped, export_reply *reply)
{
    struct gw_arena *arena = job->call->arena;
    reply->skipped = GW_ARENA_ARRAY(arena, cp_api_outcome *, job->count + 1);
    for (size_t i = 0; i < job->count; i++) {
        if (!skipped[i]) {
            reply->exported++;
            continue;
        }
        cp_api_outcome *outcome = (cp_api_outcome *)gw_message_new(arena, CP_TYPE(api_outcome));
        outcome->name = job->apis[i]->name;
        outcome->failure = (cp_api_failure *)gw_message_new(arena, CP_TYPE(api_failure));
        outcome->failure->code = gw_arena_strdup(arena, gw_code_name(skipped[i]->code));
        outcome->failure->message = gw_arena_strdup(arena, skipped[i]->message);
        outcome->failure->apig_code = gw_arena_strdup(arena, skipped[i]->apig);
        reply->skipped[reply->n_skipped++] = outcome;
    }
}

static int run(struct job *job, export_reply *reply, struct gw_error *err)
{
    struct cp_stored stored;
    const export_request *asked = job->asked;
    if (check_request(asked, err) < 0 || read_names(job, err) < 0 ||
        cp_get(job->call, CP_KIND_GROUP, asked->parent, &stored, err) < 0 ||
        find_apis(job, err) < 0 ||
        cp_each(job->call, CP_KIND_DOMAIN, asked->parent, visit_domain, job, err) < 0)
        return -1;
    const cp_api_group *group = (const cp_api_group *)stored.message;
    cp_policy ***policies = NULL;
    if (asked->scope == CP_ENUM(EXPORT_SCOPE, EXTENDED) &&
        cp_openapi_find_policies(job->call, job->apis, job->count, asked->environment, &policies,
                                 err) < 0)
        return -1;
    if (!job->host && *group->debug_domain && !group->debug_domain_disabled)
        job->host = group->debug_domain;
    struct cp_openapi_source source = {
        .title = *group->display_name ? group->display_name : cp_name_last(group->name),
        .description = group->description,
        .version = today(job->call->arena),
        .host = job->host,
        .apis = job->apis,
        .count = job->count,
        .policies = policies,
        .is_v2 = asked->version == CP_ENUM(OPEN_API_VERSION, 2_0),
        .is_yaml = asked->format == CP_ENUM(DOCUMENT_FORMAT, YAML),
        .is_basic = asked->scope == CP_ENUM(EXPORT_SCOPE, BASIC),
    };
    const struct gw_error **skipped;
    gw_str text = cp_openapi_write(job->call->arena, &source, &skipped);
    if (text.len > CP_OPENAPI_BYTES_MAX)
        return gw_fail(err, GW_RESOURCE_EXHAUSTED,
                       "the document would have %zu bytes, more than %d: name some of the APIs",
                       text.len, CP_OPENAPI_BYTES_MAX);
    reply->document = (char *)(uintptr_t)text.ptr;
    report(job, skipped, reply);
    return 0;
}

int cp_export_openapi(const struct cp_call *call, const ProtobufCMessage *request,
                      ProtobufCMessage **ret_reply, struct gw_error *err)
{
    struct job job = {.call = call, .asked = (const export_request *)request};
    export_reply *reply =
        (export_reply *)gw_message_new(call->arena, CP_TYPE(export_open_api_response));
    gw_map_init(&job.wanted);
    int result = run(&job, reply, err);
    gw_map_done(&job.wanted);
    *ret_reply = &reply->base;
    return result;
}
