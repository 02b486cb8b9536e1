/* SPDX-License-Identifier: Apache-2.0 */
/* The history of APIs, and ReleaseService. */
#include "common/message.h"
#include "controlplane/model/diff.h"
#include "controlplane/service/fields.h"
#include "controlplane/service/history.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/services.h"
#include "controlplane/service/variables.h"

#include <inttypes.h>
#include <stdlib.h>

typedef Penstock__Admin__V1__ListReleasesRequest list_request;
typedef Penstock__Admin__V1__ListReleasesResponse list_reply;

/* Whether it is effective is the publication's to say. */
static int present(const struct cp_call *call, ProtobufCMessage *message, struct gw_error *err)
{
    struct cp_stored stored;
    cp_release *release = (cp_release *)message;
    char *api, *environment;
    cp_release_split(call->arena, release->name, &api, &environment);
    if (cp_find(call, CP_KIND_PUBLICATION, cp_publication_name(call->arena, api, environment),
                &stored, err) < 0)
        return -1;
    const cp_publication *publication = (const cp_publication *)stored.message;
    release->effective = publication && strcmp(publication->release, release->name) == 0;
    return 0;
}

const struct cp_resource_rules cp_release_rules = {.kind = CP_KIND_RELEASE, .present = present};

/* With the definition to be read; the packed one is there in any case. */
static int get_release(const struct cp_call *call, const ProtobufCMessage *request,
                       ProtobufCMessage **ret_reply, struct gw_error *err)
{
    struct gw_error unreadable = GW_ERROR_NONE;
    char *api, *environment;
    if (cp_resource_get(call, &cp_release_rules, request, ret_reply, err) < 0)
        return -1;
    cp_release *release = (cp_release *)*ret_reply;
    if (cp_thaw_release(call->arena, release, &release->api, &unreadable) < 0) {
        release->api = NULL;
        return 0;
    }
    cp_release_split(call->arena, release->name, &api, &environment);
    release->api->name = api;
    return 0;
}

/* ---- the history of an API, the newest first */

static int newest_first(const void *a, const void *b)
{
    int64_t x = ((const struct cp_past *)a)->revision, y = ((const struct cp_past *)b)->revision;
    return (x < y) - (x > y);
}

/* What one List reads. */
struct listing {
    struct cp_past *past;
    size_t count, at; /* at: the first one of the page */
    size_t page_size;
};

static int check_request(const struct cp_call *call, const list_request *request,
                         struct gw_error *err)
{
    struct cp_stored api;
    if (cp_name_check(CP_KIND_API, request->parent, "parent", err) < 0)
        return -1;
    if (*request->environment &&
        cp_name_check(CP_KIND_ENVIRONMENT, request->environment, "environment", err) < 0)
        return -1;
    if (request->page_size < 0)
        return gw_fail_field(err, "page_size", "must not be negative");
    return cp_get(call, CP_KIND_API, request->parent, &api, err);
}

/* Which list a page token is of. */
static uint64_t hash_of(const list_request *request)
{
    return gw_str_hash(gw_str_from(request->parent)) * 31 +
           gw_str_hash(gw_str_from(request->environment));
}

/* "LIST.REVISION" in hex: the list that it is of, and the last release that was shown. */
static int read_token(const list_request *request, int64_t *ret_before, struct gw_error *err)
{
    char *end;
    uint64_t hash = strtoull(request->page_token, &end, 16);
    *ret_before = *end == '.' ? strtoll(end + 1, &end, 16) : 0;
    if (hash != hash_of(request) || *ret_before <= 0 || *end != '\0')
        return gw_fail_field(err, "page_token", "is none of this list");
    return 0;
}

static int read_listing(const struct cp_call *call, const list_request *request,
                        struct listing *ret, struct gw_error *err)
{
    int64_t before = INT64_MAX;
    *ret = (struct listing){.page_size = CP_PAGE_SIZE_DEFAULT};
    if (request->page_size > 0)
        ret->page_size = (size_t)GW_MIN(request->page_size, CP_PAGE_SIZE_MAX);
    if (*request->page_token && read_token(request, &before, err) < 0)
        return -1;
    if (cp_history_list(call, request->parent, *request->environment ? request->environment : NULL,
                        &ret->past, &ret->count, err) < 0)
        return -1;
    qsort(ret->past, ret->count, sizeof *ret->past, newest_first);
    while (ret->at < ret->count && ret->past[ret->at].revision >= before)
        ret->at++;
    return 0;
}

/* Releases that were dropped since the listing are passed over. */
static int read_page(const struct cp_call *call, struct listing *listing, list_reply *reply,
                     struct gw_error *err)
{
    size_t bytes = 0;
    reply->releases = GW_ARENA_ARRAY(call->arena, cp_release *, listing->page_size + 1);
    for (; listing->at < listing->count; listing->at++) {
        struct cp_stored stored;
        const struct cp_past *past = &listing->past[listing->at];
        if (reply->n_releases == listing->page_size || bytes >= CP_PAGE_BYTES_MAX)
            break;
        if (cp_find(call, CP_KIND_RELEASE, past->name, &stored, err) < 0)
            return -1;
        if (!stored.message)
            continue;
        cp_set_etag(call->arena, stored.message, stored.mod_revision);
        if (present(call, stored.message, err) < 0)
            return -1;
        cp_release *release = (cp_release *)stored.message;
        reply->releases[reply->n_releases++] = release;
        bytes += protobuf_c_message_get_packed_size(&release->base);
    }
    return 0;
}

static int list_releases(const struct cp_call *call, const ProtobufCMessage *request,
                         ProtobufCMessage **ret_reply, struct gw_error *err)
{
    struct listing listing;
    list_reply *reply = (list_reply *)gw_message_new(call->arena, CP_TYPE(list_releases_response));
    const list_request *asked = (const list_request *)request;
    if (check_request(call, asked, err) < 0 || read_listing(call, asked, &listing, err) < 0 ||
        read_page(call, &listing, reply, err) < 0)
        return -1;
    if (listing.at < listing.count)
        reply->next_page_token =
            (char *)(uintptr_t)gw_arena_printf(call->arena, "%" PRIx64 ".%" PRIx64, hash_of(asked),
                                               (uint64_t)listing.past[listing.at - 1].revision)
                .ptr;
    *ret_reply = &reply->base;
    return 0;
}

/* ---- what is different */

typedef Penstock__Admin__V1__DiffReleasesRequest diff_request;
typedef Penstock__Admin__V1__DiffReleasesResponse diff_reply;

static bool check_side(const char *name, const char *field, struct gw_error *err)
{
    if (cp_name_is(CP_KIND_API, name) || cp_name_is(CP_KIND_RELEASE, name))
        return true;
    (void)gw_fail_field(err, field, "must be %s (its draft) or %s",
                        cp_kind_get(CP_KIND_API)->pattern, cp_kind_get(CP_KIND_RELEASE)->pattern);
    return false;
}

static gw_str api_of(const char *side)
{
    return cp_name_is(CP_KIND_API, side) ? gw_str_from(side) : cp_name_parent(gw_str_from(side));
}

/* What a release can hold of an API, also of what cannot be published yet. A draft knows no
 * values of variables. */
static int read_side(const struct cp_call *call, const char *name, bool with_variables,
                     cp_api **ret_definition, struct gw_error *err)
{
    static const char *const not_versioned[] = {"name", "labels", "publications", NULL};
    struct cp_stored stored;
    bool is_draft = cp_name_is(CP_KIND_API, name);
    if (cp_get(call, is_draft ? CP_KIND_API : CP_KIND_RELEASE, name, &stored, err) < 0)
        return -1;
    const cp_release *release = (const cp_release *)stored.message;
    if (!is_draft)
        return (with_variables ? cp_thaw_release : cp_thaw_unresolved)(call->arena, release,
                                                                       ret_definition, err);
    cp_clear_output_only(stored.message, not_versioned);
    *ret_definition = (cp_api *)stored.message;
    return 0;
}

static void show_changes(struct gw_arena *arena, diff_reply *reply,
                         const struct cp_difference *differences, size_t count)
{
    reply->text = (char *)(uintptr_t)cp_diff_text(arena, differences, count).ptr;
    reply->changes = GW_ARENA_ARRAY(arena, cp_field_change *, count + 1);
    for (size_t i = 0; i < count; i++) {
        cp_field_change *change = (cp_field_change *)gw_message_new(arena, CP_TYPE(field_change));
        change->path = (char *)(uintptr_t)differences[i].path;
        change->old_value = (char *)(uintptr_t)gw_arena_dup(arena, differences[i].before).ptr;
        change->new_value = (char *)(uintptr_t)gw_arena_dup(arena, differences[i].after).ptr;
        reply->changes[reply->n_changes++] = change;
    }
}

/* ---- values of variables that a publish of the draft would change */

struct edits {
    const struct cp_call *call;
    struct cp_values values;
    struct cp_difference *all;
    size_t count, room;
};

/* "variables[host].value": as far as the release has another one than there is now. */
static int add_edit(struct edits *edits, const cp_frozen_variable *frozen, bool is_back,
                    struct gw_error *err)
{
    const char *now;
    gw_str environment, name;
    struct cp_difference *changed;
    struct gw_arena *arena = edits->call->arena;
    cp_frozen_variable other = *frozen;
    if (cp_values_get(&edits->values, frozen->name, &now, err) < 0)
        return -1;
    other.value = (char *)(uintptr_t)(now ? now : "");
    const ProtobufCMessage *before = is_back ? &other.base : &frozen->base;
    const ProtobufCMessage *after = is_back ? &frozen->base : &other.base;
    if (cp_diff(arena, before, after, &changed) == 0 ||
        !cp_variable_id_parse(gw_str_from(cp_name_last(frozen->name)), &environment, &name))
        return 0;
    edits->all[edits->count] = *changed;
    edits->all[edits->count++].path =
        gw_arena_printf(arena, "variables[%.*s].value", GW_STR_ARG(name)).ptr;
    return 0;
}

/* Between a release and the draft; is_back: from the draft to the release. */
static int add_edits(const struct cp_call *call, const char *release_name, bool is_back,
                     struct cp_difference **differences, size_t *count, struct gw_error *err)
{
    struct cp_stored stored;
    struct edits edits = {.call = call, .count = *count};
    if (cp_get(call, CP_KIND_RELEASE, release_name, &stored, err) < 0)
        return -1;
    const cp_release *release = (const cp_release *)stored.message;
    edits.all =
        GW_ARENA_ARRAY(call->arena, struct cp_difference, *count + release->n_variables + 1);
    if (*count > 0)
        memcpy(edits.all, *differences, *count * sizeof *edits.all);
    cp_values_init(&edits.values, call);
    int result = 0;
    for (size_t i = 0; i < release->n_variables && result == 0; i++)
        result = add_edit(&edits, release->variables[i], is_back, err);
    cp_values_done(&edits.values);
    *differences = edits.all;
    *count = edits.count;
    return result;
}

static int diff_releases(const struct cp_call *call, const ProtobufCMessage *request,
                         ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const diff_request *asked = (const diff_request *)request;
    cp_api *source, *target;
    bool is_good = check_side(asked->source, "source", err);
    if (!check_side(asked->target, "target", err) || !is_good)
        return -1;
    if (!gw_str_eq(api_of(asked->source), api_of(asked->target)))
        return gw_fail_field(err, "target", "must be of the same API as source");
    bool is_back = cp_name_is(CP_KIND_API, asked->source);
    bool to_draft = cp_name_is(CP_KIND_API, asked->target);
    bool are_releases = !is_back && !to_draft;
    if (read_side(call, asked->source, are_releases, &source, err) < 0 ||
        read_side(call, asked->target, are_releases, &target, err) < 0)
        return -1;
    struct cp_difference *differences;
    size_t count = cp_diff(call->arena, &source->base, &target->base, &differences);
    if (is_back != to_draft && add_edits(call, is_back ? asked->target : asked->source, is_back,
                                         &differences, &count, err) < 0)
        return -1;
    diff_reply *reply = (diff_reply *)gw_message_new(call->arena, CP_TYPE(diff_releases_response));
    show_changes(call->arena, reply, differences, count);
    *ret_reply = &reply->base;
    return 0;
}

static const struct cp_method methods[] = {
    {"GetRelease", CP_ROLE_VIEWER, get_release},
    {"ListReleases", CP_ROLE_VIEWER, list_releases},
    {"ListStaleReleases", CP_ROLE_VIEWER, cp_list_stale_releases},
    {"DiffReleases", CP_ROLE_VIEWER, diff_releases},
};
const struct cp_service cp_release_service = {&penstock__admin__v1__release_service__descriptor,
                                              methods, GW_ARRAY_LEN(methods)};
