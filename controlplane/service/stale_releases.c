/* SPDX-License-Identifier: Apache-2.0 */
/* ListStaleReleases: goes through the publications, page by page. */
#include "common/message.h"
#include "controlplane/service/history.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/variables.h"

#include <inttypes.h>
#include <stdlib.h>

#define PAGE 500
#define LOOKED_AT_MAX 10000 /* publications of one answer, stale or not */

typedef Penstock__Admin__V1__ListStaleReleasesRequest list_request;
typedef Penstock__Admin__V1__ListStaleReleasesResponse list_reply;
typedef Penstock__Admin__V1__StaleRelease stale_release;
typedef Penstock__Admin__V1__StaleVariable stale_variable;

/* What one List reads. */
struct listing {
    const struct cp_call *call;
    const list_request *request;
    struct cp_range range;
    size_t page_size, looked_at, bytes; /* bytes: of the answer, about */
    gw_str last;                        /* name of the publication that was looked at last */
    struct cp_values values;
    list_reply *reply;
};

/* ---- the request */

/* Which list a page token is of. */
static uint64_t hash_of(const list_request *request)
{
    return gw_str_hash(gw_str_from(request->parent)) * 31 +
           gw_str_hash(gw_str_from(request->environment));
}

/* "LIST.PUBLICATION": the list that it is of, and what was looked at last. */
static int read_token(struct listing *listing, struct gw_error *err)
{
    char *end;
    const char *token = listing->request->page_token;
    uint64_t hash = strtoull(token, &end, 16);
    if (hash != hash_of(listing->request) || *end != '.' ||
        !cp_name_is(CP_KIND_PUBLICATION, end + 1))
        return gw_fail_field(err, "page_token", "is none of this list");
    listing->range.after_key = cp_key_of(listing->call->arena, CP_KIND_PUBLICATION, end + 1);
    return 0;
}

static int read_request(struct listing *listing, struct gw_error *err)
{
    struct cp_stored group;
    const list_request *request = listing->request;
    const char *parent = request->parent;
    bool is_all = strcmp(parent, "groups/-") == 0;
    if (!is_all && (cp_name_check(CP_KIND_GROUP, parent, "parent", err) < 0 ||
                    cp_get(listing->call, CP_KIND_GROUP, parent, &group, err) < 0))
        return -1;
    if (*request->environment &&
        cp_name_check(CP_KIND_ENVIRONMENT, request->environment, "environment", err) < 0)
        return -1;
    if (request->page_size < 0)
        return gw_fail_field(err, "page_size", "must not be negative");
    listing->page_size = request->page_size > 0
                             ? (size_t)GW_MIN(request->page_size, CP_PAGE_SIZE_MAX)
                             : CP_PAGE_SIZE_DEFAULT;
    listing->range.limit = PAGE;
    listing->range.prefix = cp_key_children(listing->call->arena, CP_KIND_PUBLICATION,
                                            gw_str_from(is_all ? "" : parent));
    return *request->page_token ? read_token(listing, err) : 0;
}

/* ---- the answer */

static int show_variables(struct listing *listing, const cp_publication *publication,
                          stale_release *release, struct gw_error *err)
{
    struct gw_arena *arena = listing->call->arena;
    release->variables =
        GW_ARENA_ARRAY(arena, stale_variable *, publication->n_stale_variables + 1);
    for (size_t i = 0; i < publication->n_variables; i++) {
        const char *now;
        const cp_frozen_variable *frozen = publication->variables[i];
        if (cp_values_get(&listing->values, frozen->name, &now, err) < 0)
            return -1;
        if (now && strcmp(now, frozen->value) == 0)
            continue;
        stale_variable *variable = GW_ARENA_NEW(arena, stale_variable);
        *variable = (stale_variable)CP_INIT(STALE_VARIABLE);
        variable->name = frozen->name;
        variable->frozen_value = frozen->value;
        variable->current_value = gw_arena_strdup(arena, now ? now : "");
        release->variables[release->n_variables++] = variable;
        listing->bytes += protobuf_c_message_get_packed_size(&variable->base);
    }
    return 0;
}

/* One that cannot be read is shown by its API; it holds nothing up here. */
static int look_at(struct listing *listing, const struct cp_kv *kv, struct gw_error *err)
{
    struct cp_stored stored;
    struct gw_error why = GW_ERROR_NONE;
    struct gw_arena *arena = listing->call->arena;
    const char *environment = listing->request->environment;
    if (cp_unpack(listing->call, CP_KIND_PUBLICATION, kv, &stored, &why) < 0)
        return 0;
    cp_publication *publication = (cp_publication *)stored.message;
    if (!*publication->release ||
        (*environment && strcmp(cp_name_last(environment), cp_name_last(publication->name)) != 0))
        return 0;
    if (cp_show_stale(&listing->values, publication, err) < 0)
        return -1;
    if (publication->n_stale_variables == 0)
        return 0;
    stale_release *release = (stale_release *)gw_message_new(arena, CP_TYPE(stale_release));
    release->name = publication->release;
    cp_release_split(arena, release->name, &release->api, &release->environment);
    listing->reply->releases[listing->reply->n_releases++] = release;
    return show_variables(listing, publication, release, err);
}

/* True in ret_more: there may be more behind `last`. */
static int read_page(struct listing *listing, bool *ret_more, struct gw_error *err)
{
    struct cp_page page = {.more = true};
    struct gw_arena *arena = listing->call->arena;
    listing->reply->releases = GW_ARENA_ARRAY(arena, stale_release *, listing->page_size + 1);
    *ret_more = false;
    while (page.more) {
        if (cp_store_list(listing->call->services->store, &listing->range, arena, &page, err) < 0)
            return -1;
        for (size_t i = 0; i < page.count; i++) {
            if (listing->reply->n_releases == listing->page_size ||
                listing->bytes >= CP_PAGE_BYTES_MAX || listing->looked_at == LOOKED_AT_MAX) {
                *ret_more = true;
                return 0;
            }
            if (cp_key_parse(arena, page.kvs[i].key, &listing->last) &&
                look_at(listing, &page.kvs[i], err) < 0)
                return -1;
            listing->looked_at++;
        }
        if (page.count == 0)
            break;
        listing->range.at_revision = page.at.revision;
        listing->range.after_key = page.kvs[page.count - 1].key;
    }
    return 0;
}

static int list(struct listing *listing, struct gw_error *err)
{
    bool more;
    struct gw_arena *arena = listing->call->arena;
    if (read_request(listing, err) < 0 || read_page(listing, &more, err) < 0)
        return -1;
    if (more)
        listing->reply->next_page_token =
            (char *)(uintptr_t)gw_arena_printf(arena, "%" PRIx64 ".%.*s", hash_of(listing->request),
                                               GW_STR_ARG(listing->last))
                .ptr;
    return 0;
}

int cp_list_stale_releases(const struct cp_call *call, const ProtobufCMessage *request,
                           ProtobufCMessage **ret_reply, struct gw_error *err)
{
    struct listing listing = {.call = call, .request = (const list_request *)request};
    *ret_reply = gw_message_new(call->arena, CP_TYPE(list_stale_releases_response));
    listing.reply = (list_reply *)*ret_reply;
    cp_values_init(&listing.values, call);
    int result = list(&listing, err);
    cp_values_done(&listing.values);
    return result;
}
