/* SPDX-License-Identifier: Apache-2.0 */
/* DeleteApi. An API may have more authorizations and releases than a transaction takes: they go
 * first, in several, and last the API with its bindings. The other way round an API of the same
 * name would come into what is left of it. */
#include "common/message.h"
#include "controlplane/service/apis.h"
#include "controlplane/service/apps.h"
#include "controlplane/service/history.h"
#include "controlplane/service/policies.h"
#include "controlplane/service/resource.h"

#define AT_ONCE 25 /* referrers that are read in a round */

_Static_assert(AT_ONCE *GW_MAX(CP_DROP_OPS, CP_DROP_BINDING_OPS) < CP_CHANGE_OPS_ROUND,
               "each round drops something");

typedef Penstock__Admin__V1__DeleteApiRequest delete_request;

#define CHILDREN_LEFT "CHILDREN_LEFT"

/* One transaction. */
struct job {
    const char *api, *etag;
    bool more; /* not everything fits into it */
};

static bool has_room(const struct cp_change *change, size_t ops)
{
    return change->op_count + ops <= CP_CHANGE_OPS_ROUND;
}

/* ---- what goes with it */

static int drop_authorization(const struct cp_call *call, struct cp_change *change,
                              const struct cp_stored *stored, struct gw_error *err)
{
    (void)call;
    (void)err;
    cp_drop_authorization(change, (const cp_authorization *)stored->message, stored->mod_revision);
    return 0;
}

static int drop_binding(const struct cp_call *call, struct cp_change *change,
                        const struct cp_stored *stored, struct gw_error *err)
{
    return cp_drop_policy_binding(call, change, (const cp_policy_binding *)stored->message,
                                  stored->mod_revision, err);
}

typedef int drop_one(const struct cp_call *call, struct cp_change *change,
                     const struct cp_stored *stored, struct gw_error *err);

/* Sets job->more when not all of them fit. */
static int drop_referrers(const struct cp_call *call, struct cp_change *change, struct job *job,
                          enum cp_kind_id kind, drop_one *drop, struct gw_error *err)
{
    struct cp_page page;
    if (cp_referrers(call, kind, CP_KIND_API, job->api, AT_ONCE, &page, err) < 0)
        return -1;
    job->more |= page.more;
    for (size_t i = 0; i < page.count; i++) {
        struct cp_stored stored;
        if (!has_room(change, GW_MAX(CP_DROP_OPS, CP_DROP_BINDING_OPS))) {
            job->more = true;
            return 0;
        }
        const char *name = gw_arena_dup(call->arena, page.kvs[i].value).ptr;
        if (cp_find(call, kind, name, &stored, err) < 0)
            return -1;
        if (stored.message && drop(call, change, &stored, err) < 0)
            return -1;
    }
    return 0;
}

static int drop_history(const struct cp_call *call, struct cp_change *change, struct job *job,
                        struct gw_error *err)
{
    struct cp_past *past;
    size_t count;
    if (cp_history_list(call, job->api, NULL, &past, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (!has_room(change, CP_DROP_RELEASE_OPS)) {
            job->more = true;
            return 0;
        }
        if (cp_history_drop(call, change, past[i].name, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the API itself */

static int refuse_published(const cp_publication *publication, const char *api,
                            struct gw_error *err)
{
    (void)gw_fail(err, GW_FAILED_PRECONDITION, "%s is published in environments/%s: unpublish it",
                  api, cp_name_last(publication->name));
    (void)gw_error_apig(err, "APIG.3416");
    return gw_error_reason(err, "PUBLISHED");
}

/* The publications go in the last round: until then they keep the numbers. */
static int read_publications(const struct cp_call *call, const char *api, struct cp_page *ret_page,
                             struct gw_error *err)
{
    struct cp_range range = {
        .prefix = cp_key_children(call->arena, CP_KIND_PUBLICATION, gw_str_from(api)),
    };
    if (cp_store_list(call->services->store, &range, call->arena, ret_page, err) < 0)
        return -1;
    for (size_t i = 0; i < ret_page->count; i++) {
        struct cp_stored stored;
        if (cp_unpack(call, CP_KIND_PUBLICATION, &ret_page->kvs[i], &stored, err) < 0)
            return -1;
        const cp_publication *publication = (const cp_publication *)stored.message;
        if (*publication->release)
            return refuse_published(publication, api, err);
    }
    return 0;
}

static int remove_api(const struct cp_call *call, struct cp_change *change,
                      const struct cp_stored *draft, const struct job *job, struct gw_error *err)
{
    struct cp_page publications;
    /* First of all: it notices whoever binds or publishes it from here on. */
    if (cp_change_remove(call, change, CP_KIND_API, job->api, draft->mod_revision, err) < 0 ||
        read_publications(call, job->api, &publications, err) < 0)
        return -1;
    cp_unrefer_backend(change, CP_KIND_API, job->api, (const cp_api *)draft->message);
    cp_release_draft_route(change, (const cp_api *)draft->message);
    for (size_t i = 0; i < publications.count; i++)
        cp_change_delete(change, publications.kvs[i].key);
    return 0;
}

static int read_draft(const struct cp_call *call, const struct job *job, struct cp_stored *ret,
                      struct gw_error *err)
{
    return cp_get(call, CP_KIND_API, job->api, ret, err) < 0 ||
                   cp_check_etag(job->etag, ret->mod_revision, job->api, err) < 0
               ? -1
               : 0;
}

/* The last transaction, and for most the only one. */
static int attempt_delete(const struct cp_call *call, struct cp_change *change, void *arg,
                          struct gw_error *err)
{
    struct job *job = arg;
    struct cp_stored draft;
    job->more = false;
    if (read_draft(call, job, &draft, err) < 0 || remove_api(call, change, &draft, job, err) < 0 ||
        drop_referrers(call, change, job, CP_KIND_BINDING, drop_binding, err) < 0 ||
        drop_referrers(call, change, job, CP_KIND_AUTHORIZATION, drop_authorization, err) < 0 ||
        drop_history(call, change, job, err) < 0)
        return -1;
    if (!job->more)
        return 0;
    (void)gw_fail(err, GW_ABORTED, "%s has releases, bindings or authorizations left", job->api);
    return gw_error_reason(err, CHILDREN_LEFT);
}

int cp_remove_api(const struct cp_call *call, struct cp_change *change, const char *name,
                  const char *etag, struct gw_error *err)
{
    struct job job = {.api = name, .etag = etag};
    return attempt_delete(call, change, &job, err);
}

/* One of those before. Bindings stay as long as there is anything else: they protect. */
static int attempt_drop(const struct cp_call *call, struct cp_change *change, void *arg,
                        struct gw_error *err)
{
    struct job *job = arg;
    struct cp_stored draft;
    struct cp_page publications;
    job->more = false;
    if (read_draft(call, job, &draft, err) < 0 ||
        read_publications(call, job->api, &publications, err) < 0)
        return -1;
    for (size_t i = 0; i < publications.count; i++)
        cp_change_expect(change, publications.kvs[i].key, publications.kvs[i].mod_revision);
    if (drop_referrers(call, change, job, CP_KIND_AUTHORIZATION, drop_authorization, err) < 0 ||
        drop_history(call, change, job, err) < 0)
        return -1;
    if (change->op_count > 0)
        return 0;
    return drop_referrers(call, change, job, CP_KIND_BINDING, drop_binding, err);
}

/* Each in an arena of its own: there may be thousands. */
static int drop_children(const struct cp_call *call, struct job *job, struct gw_error *err)
{
    do {
        gw_auto(gw_arena_done) struct gw_arena arena = {0};
        struct cp_call round = *call;
        round.arena = &arena;
        if (cp_write(&round, false, attempt_drop, job, NULL, err) < 0)
            return -1;
    } while (job->more);
    return 0;
}

int cp_delete_api(const struct cp_call *call, const ProtobufCMessage *request,
                  ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const delete_request *asked = (const delete_request *)request;
    struct job job = {.api = asked->name, .etag = asked->etag};
    if (cp_name_check(CP_KIND_API, asked->name, "name", err) < 0)
        return -1;
    *ret_reply = gw_message_new(call->arena, &google__protobuf__empty__descriptor);
    while (cp_write(call, asked->validate_only, attempt_delete, &job, NULL, err) < 0) {
        if (strcmp(err->reason, CHILDREN_LEFT) != 0)
            return -1;
        *err = GW_ERROR_NONE;
        if (asked->validate_only)
            return 0;
        if (drop_children(call, &job, err) < 0)
            return -1;
    }
    return 0;
}
