/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/publish.h"

#include "common/message.h"
#include "controlplane/agents/registry.h"
#include "controlplane/model/check_api.h"
#include "controlplane/service/history.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/variables.h"

#define DESCRIPTION_BYTES_MAX 255
#define NANOS_PER_MS 1000000

typedef Penstock__Admin__V1__PublishApiRequest publish_request;
typedef Penstock__Admin__V1__PublishApiResponse publish_reply;
typedef Penstock__Admin__V1__UnpublishApiRequest unpublish_request;
typedef Penstock__Admin__V1__UnpublishApiResponse unpublish_reply;
typedef Penstock__Admin__V1__RollbackApiRequest rollback_request;
typedef Penstock__Admin__V1__RollbackApiResponse rollback_reply;
typedef Penstock__Admin__V1__PromoteApiRequest promote_request;
typedef Penstock__Admin__V1__PromoteApiResponse promote_reply;

/* One change of what is effective, over all its tries. */
struct job {
    const char *api, *environment, *publication; /* names */
    const char *release;                         /* to roll back to, or to promote */
    const char *description, *etag;              /* of a publish */
    cp_release *result;                          /* that is effective now; NULL: none */
    int64_t release_revision;                    /* of a release that was there before; else 0 */
    int64_t since_revision; /* of the publication, when nothing had to be written */
};

/* ---- the request */

int cp_read_wait(const cp_duration *wait, gw_msec *ret_wait_ms, struct gw_error *err)
{
    *ret_wait_ms = 0;
    if (!wait)
        return 0;
    gw_msec max_s = CP_WAIT_MAX_MS / 1000;
    if (wait->seconds < 0 || wait->seconds > max_s || wait->nanos < 0 ||
        wait->nanos >= 1000 * NANOS_PER_MS || (wait->seconds == max_s && wait->nanos > 0))
        return gw_fail_field(err, "wait", "must be 0 to 60s");
    *ret_wait_ms = wait->seconds * 1000 + wait->nanos / NANOS_PER_MS;
    return 0;
}

static int find_place(const struct cp_call *call, struct job *job, const char *api,
                      const char *environment, struct gw_error *err)
{
    job->api = api;
    job->environment = *environment ? environment : CP_ENVIRONMENT_DEFAULT;
    if (cp_name_check(CP_KIND_API, job->api, "name", err) < 0 ||
        cp_name_check(CP_KIND_ENVIRONMENT, job->environment, "environment", err) < 0)
        return -1;
    job->publication = cp_publication_name(call->arena, job->api, job->environment);
    return 0;
}

int cp_check_description(const char *description, struct gw_error *err)
{
    if (strlen(description) <= DESCRIPTION_BYTES_MAX)
        return 0;
    return gw_fail_field(err, "description", "must be at most %d bytes", DESCRIPTION_BYTES_MAX);
}

/* ---- what a transaction reads, ahead: each question takes etcd as long as all together */

/* What its name says: where it comes from, where it goes to. */
static int read_place(const struct cp_call *call, const struct job *job, enum cp_kind_id kind,
                      const char *name, struct gw_error *err)
{
    struct cp_keys keys = {0};
    cp_keys_add_name(call, &keys, kind, name);
    cp_keys_add_name(call, &keys, CP_KIND_ENVIRONMENT, job->environment);
    cp_keys_add_name(call, &keys, CP_KIND_PUBLICATION, job->publication);
    return cp_read_ahead(call, &keys, err);
}

/* What becomes effective, and what was. */
static void add_effective(const struct cp_call *call, struct cp_keys *keys, const struct job *job,
                          const cp_api *definition, const cp_publication *publication)
{
    cp_add_route_keys(call, keys, job->api, job->environment, definition);
    if (*publication->release)
        cp_keys_add_name(call, keys, CP_KIND_RELEASE, publication->release);
}

/* ---- parts of the transaction */

static int read_publication(const struct cp_call *call, const struct job *job,
                            struct cp_change *change, struct cp_stored *ret, struct gw_error *err)
{
    if (cp_find(call, CP_KIND_PUBLICATION, job->publication, ret, err) < 0)
        return -1;
    if (!ret->message) { /* shall be written */
        cp_publication *fresh = (cp_publication *)gw_message_new(call->arena, CP_TYPE(publication));
        fresh->name = gw_arena_strdup(call->arena, job->publication);
        ret->message = &fresh->base;
    }
    gw_str key = cp_key_of(change->arena, CP_KIND_PUBLICATION, job->publication);
    cp_change_expect(change, key, ret->mod_revision);
    return 0;
}

static void put_publication(struct cp_change *change, cp_publication *publication)
{
    publication->publish_time = cp_now(change->arena);
    cp_change_put_message(change, cp_key_of(change->arena, CP_KIND_PUBLICATION, publication->name),
                          &publication->base);
}

static int refer_backend(const struct cp_call *call, struct cp_change *change,
                         const struct job *job, const cp_api *definition, struct gw_error *err)
{
    if (cp_refer_backend(call, change, CP_KIND_RELEASE, job->result->name, definition, err) == 0)
        return 0;
    if (err->code == GW_NOT_FOUND) /* what is asked for is there, what it needs is not */
        err->code = GW_FAILED_PRECONDITION;
    return -1;
}

/* Who has the API deleted meanwhile looks at its guard and sees this change. */
static int make_effective(const struct cp_call *call, struct cp_change *change,
                          const struct job *job, cp_publication *publication, struct gw_error *err)
{
    cp_api *definition;
    struct cp_keys keys = {0};
    if (cp_thaw_release(call->arena, job->result, &definition, err) < 0)
        return -1;
    add_effective(call, &keys, job, definition, publication);
    if (cp_read_ahead(call, &keys, err) < 0 ||
        refer_backend(call, change, job, definition, err) < 0)
        return -1;
    if (*publication->release && cp_release_route(call, change, publication->release, err) < 0)
        return -1;
    if (cp_claim_route(call, change, job->api, job->environment, definition, err) < 0)
        return -1;
    cp_change_refer(change, CP_KIND_PUBLICATION, publication->name, CP_KIND_ENVIRONMENT,
                    job->environment);
    cp_change_under(change, CP_KIND_API, job->api);
    publication->release = job->result->name;
    publication->n_variables = job->result->n_variables;
    publication->variables = job->result->variables;
    put_publication(change, publication);
    return 0;
}

/* The first ones of the history, the oldest, that leave it to make room for one more. What was
 * effective goes like any other, because it is not any longer. */
struct dropped {
    struct cp_past *past;
    size_t count;
};

/* Numbers go up by one and the oldest one goes first: after the number `last` has come, this is the
 * one that goes. None of it is there while the history is short; one before it is when fewer are
 * kept than were. */
static int64_t number_dropped(const struct cp_call *call, int64_t last)
{
    return last - (int64_t)call->services->releases_kept;
}

static const char *numbered(const struct cp_call *call, const struct job *job, int64_t number)
{
    return cp_release_name(call->arena, job->api, job->environment, number);
}

static void add_dropped(const struct cp_call *call, struct cp_keys *keys, const struct job *job,
                        int64_t last)
{
    int64_t number = number_dropped(call, last);
    for (int64_t i = GW_MAX(number - 1, 1); i <= number && call->services->releases_kept > 0; i++)
        cp_keys_add_name(call, keys, CP_KIND_RELEASE, numbered(call, job, i));
}

static int list_dropped(const struct cp_call *call, const struct job *job, struct dropped *ret,
                        struct gw_error *err)
{
    size_t count, kept = call->services->releases_kept - 1;
    if (cp_history_list(call, job->api, job->environment, &ret->past, &count, err) < 0)
        return -1;
    if (count > kept)
        ret->count = GW_MIN(count - kept, (size_t)CP_RELEASES_DROPPED_MAX);
    return 0;
}

static int find_dropped(const struct cp_call *call, const struct job *job, int64_t last,
                        struct dropped *ret, struct gw_error *err)
{
    struct cp_stored before;
    int64_t number = number_dropped(call, last);
    *ret = (struct dropped){0};
    if (call->services->releases_kept == 0 || number < 1)
        return 0; /* all of them are kept, or all there are */
    if (number > 1 &&
        cp_find(call, CP_KIND_RELEASE, numbered(call, job, number - 1), &before, err) < 0)
        return -1;
    if (number > 1 && before.message)
        return list_dropped(call, job, ret, err);
    ret->past = GW_ARENA_NEW(call->arena, struct cp_past);
    ret->past->name = numbered(call, job, number);
    ret->count = 1;
    return 0;
}

static int drop(const struct cp_call *call, struct cp_change *change, const struct dropped *dropped,
                struct gw_error *err)
{
    for (size_t i = 0; i < dropped->count; i++)
        if (cp_history_drop(call, change, dropped->past[i].name, err) < 0)
            return -1;
    return 0;
}

/* ---- the answer */

static void show_release(const struct cp_call *call, const struct job *job, int64_t revision)
{
    if (job->release_revision > 0)
        revision = job->release_revision; /* releases do not change */
    if (revision > 0)
        cp_set_etag(call->arena, &job->result->base, revision);
    job->result->effective = true;
}

cp_rollout *cp_wait_for_agents(const struct cp_call *call, gw_str route, int64_t revision,
                               gw_msec wait_ms)
{
    if (wait_ms == 0 || revision == 0 || !call->services->registry)
        return NULL;
    gw_msec deadline_ms = gw_clock_monotonic_ms() + wait_ms;
    if (call->deadline_ms < INT64_MAX)
        deadline_ms = GW_MIN(deadline_ms, call->deadline_ms - CP_WAIT_MARGIN_MS);
    cp_rollout *rollout = GW_ARENA_NEW(call->arena, cp_rollout);
    *rollout = (cp_rollout)CP_INIT(ROLLOUT);
    cp_registry_wait(call->services->registry, call->arena, revision, route, deadline_ms, rollout);
    return rollout;
}

static int write_job(const struct cp_call *call, struct job *job, cp_attempt *attempt,
                     bool validate_only, int64_t *ret_revision, struct gw_error *err)
{
    struct cp_position at;
    if (cp_write(call, validate_only, attempt, job, &at, err) < 0)
        return -1;
    if (job->result)
        show_release(call, job, at.revision);
    *ret_revision = at.revision;
    return 0;
}

/* Writes, and waits as long as is asked for. validate_only: neither. */
static int run(const struct cp_call *call, struct job *job, cp_attempt *attempt, bool validate_only,
               gw_msec wait_ms, cp_rollout **ret_rollout, struct gw_error *err)
{
    int64_t revision;
    *ret_rollout = NULL;
    if (write_job(call, job, attempt, validate_only, &revision, err) < 0)
        return -1;
    gw_str route = cp_route_name(call->arena, job->api, job->environment);
    if (!validate_only)
        *ret_rollout =
            cp_wait_for_agents(call, route, revision ? revision : job->since_revision, wait_ms);
    return 0;
}

/* ---- publish */

/* What was good when it was written may not be any longer, after an upgrade. */
static int check_draft(const cp_api *draft, struct gw_error *err)
{
    struct gw_error found = GW_ERROR_NONE;
    if (cp_check_api(draft, &found) == 0 && cp_check_api_publishable(draft, &found) == 0)
        return 0;
    *err = found;
    if (err->code == GW_INVALID_ARGUMENT)
        err->code = GW_FAILED_PRECONDITION;
    return -1;
}

/* What is frozen: the draft, or what a release has frozen before. Without values of variables. */
struct origin {
    cp_api *definition;
    const char *draft_etag;
};

static int read_origin(const struct cp_call *call, struct cp_change *change, const struct job *job,
                       struct origin *ret, struct gw_error *err)
{
    struct cp_stored stored;
    enum cp_kind_id kind = job->release ? CP_KIND_RELEASE : CP_KIND_API;
    const char *name = job->release ? job->release : job->api;
    if (read_place(call, job, kind, name, err) < 0 || cp_get(call, kind, name, &stored, err) < 0)
        return -1;
    cp_change_expect(change, cp_key_of(change->arena, kind, name), stored.mod_revision);
    if (!job->release) {
        ret->definition = (cp_api *)stored.message;
        ret->draft_etag = cp_etag(call->arena, stored.mod_revision);
        return cp_check_etag(job->etag, stored.mod_revision, name, err);
    }
    const cp_release *release = (const cp_release *)stored.message;
    if (cp_thaw_unresolved(call->arena, release, &ret->definition, err) < 0)
        return -1;
    ret->definition->name = gw_arena_strdup(call->arena, job->api); /* for checks */
    ret->draft_etag = release->draft_etag;
    return 0;
}

static void make_release(const struct cp_call *call, struct job *job, const struct origin *origin,
                         const struct cp_resolved *resolved, int64_t number)
{
    struct gw_arena *arena = call->arena;
    job->result = cp_freeze_api(arena, resolved->definition, origin->draft_etag);
    job->result->n_variables = resolved->count;
    job->result->variables = resolved->variables;
    if (resolved->count > 0)
        job->result->unresolved_definition =
            cp_freeze_api(arena, origin->definition, origin->draft_etag)->definition;
    job->result->name = cp_release_name(arena, job->api, job->environment, number);
    job->result->number = number;
    job->result->environment = gw_arena_strdup(arena, job->environment);
    job->result->description = gw_arena_strdup(arena, job->description);
    job->result->author = gw_arena_strdup(arena, call->principal->name);
    job->result->create_time = cp_now(arena);
    if (job->release)
        job->result->promoted_from = gw_arena_strdup(arena, job->release);
}

static int read_rest(const struct cp_call *call, const struct job *job, const cp_api *definition,
                     const cp_publication *publication, struct gw_error *err)
{
    struct cp_keys keys = {0};
    cp_add_variable_keys(call, &keys, definition, job->environment);
    add_effective(call, &keys, job, definition, publication);
    add_dropped(call, &keys, job, publication->last_number + 1);
    return cp_read_ahead(call, &keys, err);
}

static int attempt_publish(const struct cp_call *call, struct cp_change *change, void *arg,
                           struct gw_error *err)
{
    struct job *job = arg;
    struct origin origin;
    struct cp_stored environment, before;
    struct cp_resolved resolved;
    struct dropped dropped;
    if (read_origin(call, change, job, &origin, err) < 0 ||
        cp_get(call, CP_KIND_ENVIRONMENT, job->environment, &environment, err) < 0 ||
        check_draft(origin.definition, err) < 0 ||
        read_publication(call, job, change, &before, err) < 0)
        return -1;
    cp_publication *publication = (cp_publication *)before.message;
    if (read_rest(call, job, origin.definition, publication, err) < 0 ||
        find_dropped(call, job, publication->last_number + 1, &dropped, err) < 0 ||
        cp_resolve_api(call, change, origin.definition, job->environment, &resolved, err) < 0)
        return -1;
    make_release(call, job, &origin, &resolved, ++publication->last_number);
    if (drop(call, change, &dropped, err) < 0 ||
        make_effective(call, change, job, publication, err) < 0)
        return -1;
    gw_str key = cp_key_of(change->arena, CP_KIND_RELEASE, job->result->name);
    cp_change_expect(change, key, 0);
    cp_change_put_message(change, key, &job->result->base);
    return 0;
}

int cp_publish_api(const struct cp_call *call, const ProtobufCMessage *request,
                   ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const publish_request *asked = (const publish_request *)request;
    struct job job = {.description = asked->description, .etag = asked->etag};
    gw_msec wait_ms;
    if (find_place(call, &job, asked->name, asked->environment, err) < 0 ||
        cp_read_wait(asked->wait, &wait_ms, err) < 0 ||
        cp_check_description(asked->description, err) < 0)
        return -1;
    publish_reply *reply =
        (publish_reply *)gw_message_new(call->arena, CP_TYPE(publish_api_response));
    if (run(call, &job, attempt_publish, asked->validate_only, wait_ms, &reply->rollout, err) < 0)
        return -1;
    reply->release = job.result;
    *ret_reply = &reply->base;
    return 0;
}

/* ---- unpublish */

static int attempt_unpublish(const struct cp_call *call, struct cp_change *change, void *arg,
                             struct gw_error *err)
{
    struct job *job = arg;
    struct cp_stored api, environment, before;
    if (read_place(call, job, CP_KIND_API, job->api, err) < 0 ||
        cp_get(call, CP_KIND_API, job->api, &api, err) < 0 ||
        cp_get(call, CP_KIND_ENVIRONMENT, job->environment, &environment, err) < 0 ||
        read_publication(call, job, change, &before, err) < 0)
        return -1;
    cp_publication *publication = (cp_publication *)before.message;
    if (!*publication->release) {
        (void)gw_fail(err, GW_FAILED_PRECONDITION, "%s is not published in %s", job->api,
                      job->environment);
        return gw_error_reason(err, CP_NOT_PUBLISHED);
    }
    if (cp_release_route(call, change, publication->release, err) < 0)
        return -1;
    cp_change_unrefer(change, CP_KIND_PUBLICATION, publication->name, CP_KIND_ENVIRONMENT,
                      job->environment);
    publication->release = gw_arena_strdup(call->arena, "");
    publication->n_variables = 0;
    put_publication(change, publication);
    return 0;
}

int cp_unpublish_api(const struct cp_call *call, const ProtobufCMessage *request,
                     ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const unpublish_request *asked = (const unpublish_request *)request;
    struct job job = {.api = NULL};
    gw_msec wait_ms;
    if (find_place(call, &job, asked->name, asked->environment, err) < 0 ||
        cp_read_wait(asked->wait, &wait_ms, err) < 0)
        return -1;
    unpublish_reply *reply =
        (unpublish_reply *)gw_message_new(call->arena, CP_TYPE(unpublish_api_response));
    if (run(call, &job, attempt_unpublish, asked->validate_only, wait_ms, &reply->rollout, err) < 0)
        return -1;
    *ret_reply = &reply->base;
    return 0;
}

int cp_publish_one(const struct cp_call *call, const struct cp_publish *what,
                   cp_release **ret_release, int64_t *ret_revision, struct gw_error *err)
{
    struct job job = {.description = what->description, .etag = ""};
    *ret_release = NULL;
    if (find_place(call, &job, what->api, what->environment, err) < 0 ||
        write_job(call, &job, what->offline ? attempt_unpublish : attempt_publish,
                  what->validate_only, ret_revision, err) < 0)
        return -1;
    *ret_release = job.result;
    return 0;
}

/* ---- promote */

static int check_target(const promote_request *asked, const char *from, struct gw_error *err)
{
    if (!*asked->environment)
        return gw_fail_field(err, "environment", "required: where it is promoted to");
    if (strcmp(asked->environment, from) == 0)
        return gw_fail_field(err, "environment",
                             "must be another one than the release's: to make it effective "
                             "again there, roll back to it");
    return 0;
}

int cp_promote_api(const struct cp_call *call, const ProtobufCMessage *request,
                   ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const promote_request *asked = (const promote_request *)request;
    struct job job = {.release = asked->release, .description = asked->description, .etag = ""};
    gw_msec wait_ms;
    char *api, *from;
    if (cp_name_check(CP_KIND_RELEASE, asked->release, "release", err) < 0)
        return -1;
    cp_release_split(call->arena, asked->release, &api, &from);
    if (check_target(asked, from, err) < 0 ||
        find_place(call, &job, api, asked->environment, err) < 0 ||
        cp_read_wait(asked->wait, &wait_ms, err) < 0 ||
        cp_check_description(asked->description, err) < 0)
        return -1;
    if (!*asked->description)
        job.description =
            gw_arena_printf(call->arena, "promoted from %s", cp_name_last(asked->release)).ptr;
    promote_reply *reply =
        (promote_reply *)gw_message_new(call->arena, CP_TYPE(promote_api_response));
    if (run(call, &job, attempt_publish, asked->validate_only, wait_ms, &reply->rollout, err) < 0)
        return -1;
    reply->release = job.result;
    *ret_reply = &reply->base;
    return 0;
}

/* ---- rollback */

static int attempt_rollback(const struct cp_call *call, struct cp_change *change, void *arg,
                            struct gw_error *err)
{
    struct job *job = arg;
    struct cp_stored release, environment, before;
    if (read_place(call, job, CP_KIND_RELEASE, job->release, err) < 0 ||
        cp_get(call, CP_KIND_RELEASE, job->release, &release, err) < 0 ||
        cp_get(call, CP_KIND_ENVIRONMENT, job->environment, &environment, err) < 0 ||
        read_publication(call, job, change, &before, err) < 0)
        return -1;
    cp_publication *publication = (cp_publication *)before.message;
    job->result = (cp_release *)release.message;
    job->release_revision = release.mod_revision;
    job->since_revision = before.mod_revision;
    if (strcmp(publication->release, job->release) == 0)
        return 0; /* it is effective */
    cp_change_expect(change, cp_key_of(change->arena, CP_KIND_RELEASE, job->release),
                     release.mod_revision);
    return make_effective(call, change, job, publication, err);
}

int cp_rollback_api(const struct cp_call *call, const ProtobufCMessage *request,
                    ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const rollback_request *asked = (const rollback_request *)request;
    struct job job = {.release = asked->release};
    gw_msec wait_ms;
    char *api, *environment;
    if (cp_name_check(CP_KIND_RELEASE, asked->release, "release", err) < 0 ||
        cp_read_wait(asked->wait, &wait_ms, err) < 0)
        return -1;
    cp_release_split(call->arena, asked->release, &api, &environment);
    if (find_place(call, &job, api, environment, err) < 0)
        return -1;
    rollback_reply *reply =
        (rollback_reply *)gw_message_new(call->arena, CP_TYPE(rollback_api_response));
    if (run(call, &job, attempt_rollback, asked->validate_only, wait_ms, &reply->rollout, err) < 0)
        return -1;
    reply->release = job.result;
    *ret_reply = &reply->base;
    return 0;
}
