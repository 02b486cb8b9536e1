/* SPDX-License-Identifier: Apache-2.0 */
/* publish and unpublish of many APIs: in calls of a hundred, so that there is progress to show. */
#include "common/json.h"
#include "controlplane/ctl/command.h"
#include "controlplane/ctl/lifecycle.h"
#include "controlplane/ctl/print.h"

#include "penstock/admin/v1/api.pb-c.h"

#include <stdio.h>
#include <unistd.h>

#define AT_ONCE 100

typedef Penstock__Admin__V1__Api cp_api;
typedef Penstock__Admin__V1__ApiOutcome cp_api_outcome;
typedef Penstock__Admin__V1__PublishApisRequest publish_request;
typedef Penstock__Admin__V1__PublishApisResponse publish_reply;
typedef Penstock__Admin__V1__UnpublishApisRequest unpublish_request;
typedef Penstock__Admin__V1__UnpublishApisResponse unpublish_reply;

struct bulk {
    struct cp_session *session;
    bool offline;
    char *environment;
    char **names;
    size_t count, room;
    size_t done, failed, shown;
    bool has_refusals;
};

/* What either method answers. */
struct answer {
    cp_api_outcome **outcomes;
    size_t count;
    const Penstock__Admin__V1__Rollout *rollout;
};

/* ---- which ones */

static void add_name(struct bulk *bulk, gw_str name)
{
    struct gw_arena *arena = &bulk->session->arena;
    if (bulk->count == bulk->room) {
        bulk->room = bulk->room ? 2 * bulk->room : AT_ONCE;
        char **names = GW_ARENA_ARRAY(arena, char *, bulk->room);
        if (bulk->count > 0)
            memcpy(names, bulk->names, bulk->count * sizeof *names);
        bulk->names = names;
    }
    bulk->names[bulk->count++] = (char *)(uintptr_t)gw_arena_dup(arena, name).ptr;
}

/* Of a group what is there to publish, or is published. */
static void add_api(void *arg, ProtobufCMessage *resource)
{
    struct bulk *bulk = arg;
    const cp_api *api = (const cp_api *)resource;
    bool is_meant = !bulk->offline;
    for (size_t i = 0; i < api->n_publications && !is_meant; i++) {
        gw_str parent, id;
        cp_kind_split(gw_str_from(api->publications[i]->name), &parent, &id);
        is_meant = gw_str_eq(id, gw_str_from(bulk->environment + strlen("environments/")));
    }
    if (is_meant)
        add_name(bulk, gw_str_from(api->name));
}

static int find_names(struct bulk *bulk, struct gw_error *err)
{
    const struct cp_options *options = bulk->session->options;
    gw_str name;
    if (options->tag_count > 0 && !options->group) {
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "--tag chooses among the APIs of a --group");
        return cp_usage(err);
    }
    if ((options->group != NULL) == (options->arg_count > 0) || options->etag) {
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "%s needs APIs, or else --group%s",
                      options->command, options->etag ? "; --etag is for one API" : "");
        return cp_usage(err);
    }
    for (int i = 0; i < options->arg_count; i++) {
        if (cp_api_name(bulk->session, options->args[i], &name, err) < 0)
            return -1;
        add_name(bulk, name);
    }
    if (!options->group)
        return 0;
    if (cp_kind_name(cp_kind_find(GW_STR("group")), gw_str_from(options->group),
                     &bulk->session->arena, &name, err) < 0)
        return cp_usage(err);
    return cp_list(bulk->session, cp_kind_find(GW_STR("api")), name, NULL, add_api, bulk, err);
}

/* ---- the calls */

static int call_publish(struct bulk *bulk, size_t count, struct answer *ret, struct gw_error *err)
{
    publish_request request = PENSTOCK__ADMIN__V1__PUBLISH_APIS_REQUEST__INIT;
    ProtobufCMessage *reply;
    request.names = bulk->names + bulk->done;
    request.n_names = count;
    request.environment = bulk->environment;
    request.description = (char *)(uintptr_t)(bulk->session->options->description);
    request.wait = cp_wait(bulk->session);
    request.validate_only = bulk->session->options->dry_run;
    if (cp_call_api(bulk->session, "PublishApis", &request.base, &reply, err) < 0)
        return -1;
    const publish_reply *said = (const publish_reply *)reply;
    *ret = (struct answer){said->outcomes, said->n_outcomes, said->rollout};
    return 0;
}

static int call_unpublish(struct bulk *bulk, size_t count, struct answer *ret, struct gw_error *err)
{
    unpublish_request request = PENSTOCK__ADMIN__V1__UNPUBLISH_APIS_REQUEST__INIT;
    ProtobufCMessage *reply;
    request.names = bulk->names + bulk->done;
    request.n_names = count;
    request.environment = bulk->environment;
    request.wait = cp_wait(bulk->session);
    request.validate_only = bulk->session->options->dry_run;
    if (cp_call_api(bulk->session, "UnpublishApis", &request.base, &reply, err) < 0)
        return -1;
    const unpublish_reply *said = (const unpublish_reply *)reply;
    *ret = (struct answer){said->outcomes, said->n_outcomes, said->rollout};
    return 0;
}

/* ---- what is shown */

static void print_json(struct bulk *bulk, const cp_api_outcome *outcome)
{
    struct gw_buf out;
    gw_buf_init(&out, 0);
    gw_json_write(&out, &outcome->base, GW_JSON_COMPACT);
    printf("%s%.*s", bulk->shown++ ? ",\n " : "[", GW_STR_ARG(gw_buf_view(&out)));
    gw_buf_done(&out);
}

static void print_outcome(struct bulk *bulk, const cp_api_outcome *outcome)
{
    const struct cp_options *options = bulk->session->options;
    const Penstock__Admin__V1__ApiFailure *failure = outcome->failure;
    const char *dry = options->dry_run ? " (dry run)" : "";
    bulk->failed += failure != NULL;
    if (options->output == CP_OUTPUT_JSON)
        print_json(bulk, outcome);
    else if (failure)
        fprintf(stderr, "Error: %s: %s (%s%s%s)\n", outcome->name, failure->message, failure->code,
                *failure->apig_code ? ", " : "", failure->apig_code);
    else if (options->output == CP_OUTPUT_NAME)
        puts(bulk->offline ? outcome->name : outcome->release);
    else if (bulk->offline)
        printf("%s unpublished from %s%s\n", outcome->name, bulk->environment, dry);
    else
        printf("%s published%s\n", outcome->release, dry);
}

/* On a terminal one line that is written over, else nothing. */
static void print_progress(const struct bulk *bulk)
{
    if (!isatty(STDERR_FILENO) || bulk->count <= AT_ONCE)
        return;
    bool is_last = bulk->done == bulk->count;
    fflush(stdout);
    if (is_last)
        fputs("\r\033[K", stderr);
    else
        fprintf(stderr, "\r\033[K%s: %zu of %zu", bulk->session->options->command, bulk->done,
                bulk->count);
}

static int run(struct bulk *bulk, struct gw_error *err)
{
    int status = 0; /* that of the last rollout: who has applied that one has applied all */
    print_progress(bulk);
    while (bulk->done < bulk->count) {
        struct answer answer;
        size_t count = GW_MIN(bulk->count - bulk->done, (size_t)AT_ONCE);
        if ((bulk->offline ? call_unpublish : call_publish)(bulk, count, &answer, err) < 0)
            return -1;
        if (isatty(STDERR_FILENO) && bulk->count > AT_ONCE)
            fputs("\r\033[K", stderr);
        for (size_t i = 0; i < answer.count; i++)
            print_outcome(bulk, answer.outcomes[i]);
        bulk->done += count;
        bool is_text = bulk->session->options->output == CP_OUTPUT_TABLE;
        status = cp_rollout_status(answer.rollout);
        if (bulk->done == bulk->count && is_text)
            (void)cp_print_rollout(answer.rollout); /* the status is known */
        else if (is_text)
            cp_print_refusals(answer.rollout);
        bulk->has_refusals |= answer.rollout && answer.rollout->n_refusals > 0;
        print_progress(bulk);
    }
    return status || bulk->has_refusals || bulk->failed > 0;
}

int cp_command_bulk(struct cp_session *session, bool offline, struct gw_error *err)
{
    struct bulk bulk = {.session = session, .offline = offline};
    if (session->options->output == CP_OUTPUT_YAML) {
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "several APIs are shown as table, json or name");
        return cp_usage(err);
    }
    bulk.environment = cp_environment_name(session, "RELEASE");
    if (find_names(&bulk, err) < 0)
        return -1;
    int status = run(&bulk, err);
    if (session->options->output == CP_OUTPUT_JSON)
        puts(bulk.shown ? "]" : "[]");
    if (bulk.failed > 0)
        fprintf(stderr, "%zu of %zu failed.\n", bulk.failed, bulk.count);
    return status;
}
