/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/snapshot/scope_forms.h"

#include "common/message.h"
#include "controlplane/snapshot/build.h"

#include <openssl/hmac.h>

bool cp_scope_has_route(const char *scope, gw_str route)
{
    gw_str environment = route, rest = gw_str_from(scope);
    (void)gw_str_split(&environment, '@');
    while (rest.ptr)
        if (gw_str_eq(gw_str_split(&rest, ','), environment))
            return true;
    return false;
}

/* Our own bytes: a failure to read them would be a bug. */
static cp_agent_resource *unpack(struct gw_arena *arena, gw_str packed)
{
    ProtobufCMessage *message;
    struct gw_error err;
    if (gw_message_unpack(arena, &penstock__agent__v1__resource__descriptor, packed, &message,
                          &err))
        gw_panic("an agent resource cannot be read: %s", err.message);
    return (cp_agent_resource *)(void *)message;
}

static void add(struct cp_scope_refs *refs, const char *name)
{
    if (*name)
        refs->names[refs->count++] = gw_str_from(name);
}

static struct cp_scope_refs refs_of_route(struct gw_arena *arena, const cp_agent_route *route)
{
    struct cp_scope_refs refs = {GW_ARENA_ARRAY(arena, gw_str, route->n_policies + 3), 0};
    const cp_agent_backend *backend = route->backend;
    add(&refs, route->group);
    if (backend && backend->kind_case == PENSTOCK__AGENT__V1__BACKEND__KIND_HTTP) {
        add(&refs, backend->http->channel);
        add(&refs, backend->http->certificate);
    }
    for (size_t i = 0; i < route->n_policies; i++)
        add(&refs, route->policies[i]);
    return refs;
}

static struct cp_scope_refs refs_of_group(struct gw_arena *arena, const cp_agent_group *group)
{
    size_t most = 0;
    for (size_t i = 0; i < group->n_tls; i++)
        most += group->tls[i]->n_certificates;
    struct cp_scope_refs refs = {GW_ARENA_ARRAY(arena, gw_str, most + 1), 0};
    for (size_t i = 0; i < group->n_tls; i++)
        for (size_t k = 0; k < group->tls[i]->n_certificates; k++)
            add(&refs, group->tls[i]->certificates[k]);
    return refs;
}

struct cp_scope_refs cp_scope_refs(struct gw_arena *arena, gw_str name, gw_str packed)
{
    cp_agent_kind kind = cp_build_kind(name);
    if (kind == CP_AGENT_KIND(ROUTE))
        return refs_of_route(arena, unpack(arena, packed)->route);
    if (kind == CP_AGENT_KIND(GROUP))
        return refs_of_group(arena, unpack(arena, packed)->group);
    return (struct cp_scope_refs){NULL, 0};
}

static gw_str cut_app(struct gw_arena *arena, const char *scope, gw_str packed)
{
    cp_agent_resource *resource = unpack(arena, packed);
    cp_agent_app *app = resource->app;
    size_t kept = 0;
    for (size_t i = 0; i < app->n_routes; i++)
        if (cp_scope_has_route(scope, gw_str_from(app->routes[i])))
            app->routes[kept++] = app->routes[i];
    app->n_routes = kept;
    return kept ? gw_message_pack(arena, &resource->base) : GW_STR_NONE;
}

/* HMAC-SHA256 of label and scope: nobody comes from one scope's key to another's, or back. */
static ProtobufCBinaryData derive(struct gw_arena *arena, ProtobufCBinaryData key,
                                  const char *label, const char *scope)
{
    unsigned length = 0;
    unsigned char *out = gw_arena_alloc(arena, EVP_MAX_MD_SIZE);
    gw_str text = gw_arena_printf(arena, "penstock ticket %s %s", label, scope);
    if (!HMAC(EVP_sha256(), key.data, (int)key.len, (const unsigned char *)text.ptr, text.len, out,
              &length))
        gw_panic("HMAC-SHA256 is not there");
    return (ProtobufCBinaryData){GW_MIN((size_t)length, key.len), out};
}

static gw_str derive_ticket_keys(struct gw_arena *arena, const char *scope, gw_str packed)
{
    cp_agent_resource *resource = unpack(arena, packed);
    for (size_t i = 0; i < resource->ticket_keys->n_keys; i++) {
        cp_agent_ticket_key *key = resource->ticket_keys->keys[i];
        key->name = derive(arena, key->name, "name", scope);
        key->aes_key = derive(arena, key->aes_key, "aes", scope);
        key->hmac_key = derive(arena, key->hmac_key, "hmac", scope);
    }
    return gw_message_pack(arena, &resource->base);
}

gw_str cp_scope_form(struct gw_arena *arena, const char *scope, gw_str name, gw_str packed)
{
    switch (cp_build_kind(name)) {
    case CP_AGENT_KIND(APP):
        return cut_app(arena, scope, packed);
    case CP_AGENT_KIND(TICKET_KEYS):
        return derive_ticket_keys(arena, scope, packed);
    default:
        return packed;
    }
}
