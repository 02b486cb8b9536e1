/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/history.h"

#include "common/message.h"
#include "controlplane/model/check_backend.h"
#include "controlplane/model/check_path.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>

#define ROUTES_INDEX "routes"   /* "{group}/{environment}/{method}/{digest}" -> the API */
#define DRAFTS "environments/-" /* in the place of an environment */

/* ---- names */

char *cp_publication_name(struct gw_arena *arena, const char *api, const char *environment)
{
    return (char *)(uintptr_t)gw_arena_printf(arena, "%s/publications/%s", api,
                                              cp_name_last(environment))
        .ptr;
}

char *cp_release_name(struct gw_arena *arena, const char *api, const char *environment,
                      int64_t number)
{
    return (char *)(uintptr_t)gw_arena_printf(arena, "%s/releases/%s-%" PRId64, api,
                                              cp_name_last(environment), number)
        .ptr;
}

void cp_release_split(struct gw_arena *arena, const char *release, char **ret_api,
                      char **ret_environment)
{
    gw_str environment;
    int64_t number;
    bool is_release =
        cp_release_id_parse(gw_str_from(cp_name_last(release)), &environment, &number);
    assert(is_release);
    (void)is_release;
    gw_str api = cp_name_parent(gw_str_from(release));
    *ret_api = (char *)(uintptr_t)gw_arena_dup(arena, api).ptr;
    *ret_environment =
        (char *)(uintptr_t)gw_arena_printf(arena, "environments/%.*s", GW_STR_ARG(environment)).ptr;
}

/* ---- frozen definitions */

cp_release *cp_freeze_api(struct gw_arena *arena, const cp_api *draft, const char *draft_etag)
{
    cp_api definition = CP_INIT(API); /* a field that is added to Api is not frozen by itself */
    definition.display_name = draft->display_name;
    definition.description = draft->description;
    definition.frontend = draft->frontend;
    definition.backend = draft->backend;
    definition.authentication = draft->authentication;
    definition.n_tags = draft->n_tags;
    definition.tags = draft->tags;
    definition.version = draft->version;
    gw_str packed = gw_message_pack(arena, &definition.base);
    cp_release *release = (cp_release *)gw_message_new(arena, CP_TYPE(release));
    release->definition.data = (uint8_t *)(uintptr_t)packed.ptr;
    release->definition.len = packed.len;
    release->draft_etag = gw_arena_strdup(arena, draft_etag);
    return release;
}

static int thaw(struct gw_arena *arena, const ProtobufCBinaryData *frozen, const char *release,
                cp_api **ret_definition, struct gw_error *err)
{
    ProtobufCMessage *message;
    struct gw_error why = GW_ERROR_NONE;
    gw_str packed = gw_str_n((const char *)frozen->data, frozen->len);
    if (gw_message_unpack(arena, CP_TYPE(api), packed, &message, &why) < 0)
        return gw_fail(err, GW_INTERNAL, "the definition of %s cannot be read: %s", release,
                       why.message);
    *ret_definition = (cp_api *)message;
    if (!(*ret_definition)->frontend || !(*ret_definition)->frontend->path[0])
        return gw_fail(err, GW_INTERNAL, "the definition of %s has no path", release);
    return 0;
}

int cp_thaw_release(struct gw_arena *arena, const cp_release *release, cp_api **ret_definition,
                    struct gw_error *err)
{
    return thaw(arena, &release->definition, release->name, ret_definition, err);
}

int cp_thaw_unresolved(struct gw_arena *arena, const cp_release *release, cp_api **ret_definition,
                       struct gw_error *err)
{
    bool has_own = release->unresolved_definition.len > 0;
    return thaw(arena, has_own ? &release->unresolved_definition : &release->definition,
                release->name, ret_definition, err);
}

/* ---- what a backend uses */

static int refer(const struct cp_call *call, struct cp_change *change, enum cp_kind_id kind,
                 const char *name, enum cp_kind_id to_kind, const char *to, struct gw_error *err)
{
    struct cp_stored stored;
    if (cp_get(call, to_kind, to, &stored, err) < 0)
        return -1;
    cp_change_refer(change, kind, name, to_kind, to);
    return 0;
}

int cp_refer_backend(const struct cp_call *call, struct cp_change *change, enum cp_kind_id kind,
                     const char *name, const cp_api *definition, struct gw_error *err)
{
    struct cp_backend_uses uses = cp_backend_uses(definition->backend);
    if (uses.channel && refer(call, change, kind, name, CP_KIND_CHANNEL, uses.channel, err) < 0)
        return -1;
    if (uses.certificate &&
        refer(call, change, kind, name, CP_KIND_CERTIFICATE, uses.certificate, err) < 0)
        return -1;
    return 0;
}

void cp_unrefer_backend(struct cp_change *change, enum cp_kind_id kind, const char *name,
                        const cp_api *definition)
{
    struct cp_backend_uses uses = cp_backend_uses(definition->backend);
    if (uses.channel)
        cp_change_unrefer(change, kind, name, CP_KIND_CHANNEL, uses.channel);
    if (uses.certificate)
        cp_change_unrefer(change, kind, name, CP_KIND_CERTIFICATE, uses.certificate);
}

/* ---- the route's place */

static const char *method_name(const cp_frontend *frontend)
{
    static const char *const names[] = {"?",    "GET",   "POST",    "PUT", "DELETE",
                                        "HEAD", "PATCH", "OPTIONS", "ANY"};
    unsigned index = (unsigned)frontend->method;
    return index < GW_ARRAY_LEN(names) ? names[index] : "?";
}

/* A digest, because a path may be longer than a key. */
static gw_str route_value(struct gw_arena *arena, const char *api, const char *environment,
                          const cp_frontend *frontend)
{
    bool is_prefix = frontend->match_mode == CP_ENUM(MATCH_MODE, PREFIX);
    gw_str shape = cp_path_shape(arena, frontend->path, is_prefix);
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[2 * SHA256_DIGEST_LENGTH + 1];
    SHA256((const unsigned char *)shape.ptr, shape.len, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    struct cp_ids ids;
    bool is_name = cp_name_parse(CP_KIND_API, gw_str_from(api), &ids);
    assert(is_name);
    (void)is_name;
    return gw_arena_printf(arena, "%.*s/%s/%s/%s", GW_STR_ARG(ids.id[0]), cp_name_last(environment),
                           method_name(frontend), text);
}

int cp_claim_route(const struct cp_call *call, struct cp_change *change, const char *api,
                   const char *environment, const cp_api *definition, struct gw_error *err)
{
    const cp_frontend *frontend = definition->frontend;
    bool is_draft = strcmp(environment, DRAFTS) == 0;
    gw_str value = route_value(change->arena, api, environment, frontend);
    if (cp_change_claim(call, change, ROUTES_INDEX, value, api, err) == 0)
        return 0;
    if (err->code != GW_ALREADY_EXISTS)
        return -1;
    (void)gw_fail(err, GW_ALREADY_EXISTS, "%s %.200s%s%s: %s", method_name(frontend),
                  frontend->path, is_draft ? "" : " in ", is_draft ? "" : environment,
                  err->message);
    (void)gw_error_apig(err, "APIG.3301");
    return gw_error_reason(err, "NOT_UNIQUE");
}

void cp_add_route_keys(const struct cp_call *call, struct cp_keys *keys, const char *api,
                       const char *environment, const cp_api *definition)
{
    struct cp_backend_uses uses = cp_backend_uses(definition->backend);
    gw_str value = route_value(call->arena, api, environment, definition->frontend);
    cp_keys_add(call, keys, cp_change_claim_key(call->arena, ROUTES_INDEX, value));
    if (uses.channel)
        cp_keys_add_name(call, keys, CP_KIND_CHANNEL, uses.channel);
    if (uses.certificate)
        cp_keys_add_name(call, keys, CP_KIND_CERTIFICATE, uses.certificate);
}

int cp_claim_draft_route(const struct cp_call *call, struct cp_change *change, const cp_api *draft,
                         const cp_api *before, struct gw_error *err)
{
    struct gw_arena *arena = change->arena;
    if (before) {
        gw_str was = route_value(arena, draft->name, DRAFTS, before->frontend);
        if (gw_str_eq(was, route_value(arena, draft->name, DRAFTS, draft->frontend)))
            return 0;
        cp_release_draft_route(change, before);
    }
    return cp_claim_route(call, change, draft->name, DRAFTS, draft, err);
}

void cp_release_draft_route(struct cp_change *change, const cp_api *draft)
{
    cp_change_release(change, ROUTES_INDEX,
                      route_value(change->arena, draft->name, DRAFTS, draft->frontend));
}

int cp_release_route(const struct cp_call *call, struct cp_change *change, const char *release,
                     struct gw_error *err)
{
    struct cp_stored stored;
    cp_api *definition;
    char *api, *environment;
    if (cp_find(call, CP_KIND_RELEASE, release, &stored, err) < 0)
        return -1;
    if (!stored.message)
        return 0;
    if (cp_thaw_release(call->arena, (const cp_release *)stored.message, &definition, err) < 0)
        return -1;
    cp_release_split(call->arena, release, &api, &environment);
    cp_change_release(change, ROUTES_INDEX,
                      route_value(change->arena, api, environment, definition->frontend));
    return 0;
}

/* ---- history */

int cp_history_list(const struct cp_call *call, const char *api, const char *environment,
                    struct cp_past **ret_past, size_t *ret_count, struct gw_error *err)
{
    struct cp_page page;
    struct cp_range range = {.keys_only = true};
    range.prefix = environment ? cp_key_history(call->arena, api, environment)
                               : cp_key_children(call->arena, CP_KIND_RELEASE, gw_str_from(api));
    struct cp_past *past = NULL;
    size_t count = 0;
    do {
        if (cp_store_list(call->services->store, &range, call->arena, &page, err) < 0)
            return -1;
        struct cp_past *more = GW_ARENA_ARRAY(call->arena, struct cp_past, count + page.count + 1);
        if (count > 0)
            memcpy(more, past, count * sizeof *past);
        past = more;
        for (size_t i = 0; i < page.count; i++) {
            gw_str name;
            if (cp_key_parse(call->arena, page.kvs[i].key, &name))
                past[count++] =
                    (struct cp_past){gw_arena_dup(call->arena, name).ptr, page.kvs[i].mod_revision};
        }
        range.at_revision = page.at.revision;
        if (page.count > 0)
            range.after_key = page.kvs[page.count - 1].key;
    } while (page.more);
    *ret_past = past;
    *ret_count = count;
    return 0;
}

int cp_history_drop(const struct cp_call *call, struct cp_change *change, const char *release,
                    struct gw_error *err)
{
    struct cp_stored stored;
    cp_api *definition;
    if (cp_find(call, CP_KIND_RELEASE, release, &stored, err) < 0)
        return -1;
    if (!stored.message)
        return 0;
    cp_change_delete(change, cp_key_of(change->arena, CP_KIND_RELEASE, release));
    if (cp_thaw_release(call->arena, (const cp_release *)stored.message, &definition, err) < 0)
        return -1;
    cp_unrefer_backend(change, CP_KIND_RELEASE, release, definition);
    return 0;
}
