/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/snapshot/build.h"

#include "common/message.h"
#include "controlplane/model/check_settings.h"

#include <stdlib.h>

#define DEFAULT_GROUP GW_STR("groups/DEFAULT")

cp_agent_kind cp_build_kind(gw_str name)
{
    if (gw_str_has_prefix(name, GW_STR("groups/")))
        return gw_str_find(name, '@') < 0 ? CP_AGENT_KIND(GROUP) : CP_AGENT_KIND(ROUTE);
    if (gw_str_has_prefix(name, GW_STR("channels/")))
        return CP_AGENT_KIND(CHANNEL);
    if (gw_str_has_prefix(name, GW_STR("policies/")))
        return CP_AGENT_KIND(POLICY);
    if (gw_str_has_prefix(name, GW_STR("certificates/")))
        return CP_AGENT_KIND(CERTIFICATE);
    if (gw_str_eq(name, GW_STR(CP_AGENT_TICKET_KEYS)))
        return CP_AGENT_KIND(TICKET_KEYS);
    if (gw_str_eq(name, GW_STR(CP_SETTINGS_NAME)))
        return CP_AGENT_KIND(SETTINGS);
    assert(gw_str_has_prefix(name, GW_STR("apps/")));
    return CP_AGENT_KIND(APP);
}

static int unpack(const struct cp_resource *resource, struct gw_arena *arena,
                  ProtobufCMessage **ret_message, struct gw_error *err)
{
    struct gw_error why = GW_ERROR_NONE;
    if (!gw_message_unpack(arena, resource->kind->type, resource->value, ret_message, &why))
        return 0;
    return gw_fail(err, GW_INTERNAL, "the stored %s cannot be read: %s", resource->kind->noun,
                   why.message);
}

int cp_build_read(const struct cp_state *state, gw_str name, struct gw_arena *arena,
                  ProtobufCMessage **ret_message, struct gw_error *err)
{
    const struct cp_resource *resource = cp_state_get(state, name);
    if (!resource)
        return 0;
    return unpack(resource, arena, ret_message, err) ? -1 : 1;
}

char *cp_build_text(struct gw_arena *arena, gw_str text)
{
    char *copy = gw_arena_bytes(arena, text.len + 1);
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return copy;
}

static int build_group(const struct cp_state *state, gw_str name, struct gw_arena *arena,
                       cp_agent_group **ret_group, struct gw_error *err)
{
    ProtobufCMessage *message;
    int found = cp_build_read(state, name, arena, &message, err);
    if (found <= 0)
        return found;
    const cp_api_group *stored = (cp_api_group *)(void *)message;
    cp_agent_group *group = CP_AGENT_NEW(arena, cp_agent_group, group);
    group->name = stored->name;
    group->is_default = gw_str_eq(name, DEFAULT_GROUP);
    if (!stored->debug_domain_disabled)
        group->debug_domain = stored->debug_domain;
    struct cp_members domains = cp_state_members(state, arena, name, CP_KIND_DOMAIN);
    group->domains = GW_ARENA_ARRAY(arena, char *, domains.count + 1);
    group->tls = GW_ARENA_ARRAY(arena, cp_agent_domain_tls *, domains.count + 1);
    for (size_t i = 0; i < domains.count; i++) {
        if (unpack(domains.items[i], arena, &message, err))
            return -1;
        const cp_domain *domain = (cp_domain *)(void *)message;
        group->domains[group->n_domains++] = gw_arena_strdup(arena, cp_name_last(domain->name));
        cp_build_domain_tls(arena, domain, group);
    }
    *ret_group = group;
    return 1;
}

static int build_channel(const struct cp_state *state, gw_str name, struct gw_arena *arena,
                         cp_agent_channel **ret_channel, struct gw_error *err)
{
    ProtobufCMessage *message;
    int found = cp_build_read(state, name, arena, &message, err);
    if (found <= 0)
        return found;
    const cp_channel *stored = (cp_channel *)(void *)message;
    cp_agent_channel *channel = CP_AGENT_NEW(arena, cp_agent_channel, channel);
    channel->name = stored->name;
    channel->members = GW_ARENA_ARRAY(arena, cp_agent_member *, stored->n_members + 1);
    for (size_t i = 0; i < stored->n_members; i++) {
        const cp_member *from = stored->members[i];
        if (from->disabled || from->weight <= 0)
            continue;
        cp_agent_member *member = CP_AGENT_NEW(arena, cp_agent_member, member);
        member->host = from->host;
        member->port = (uint32_t)(from->port ? from->port : stored->port);
        member->weight = (uint32_t)from->weight;
        member->backup = from->backup;
        channel->members[channel->n_members++] = member;
    }
    *ret_channel = channel;
    return 1;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

#define DIGEST_BYTES 32

static int digest_from_hex(const char *hex, struct gw_arena *arena, ProtobufCBinaryData *ret_digest)
{
    if (strlen(hex) != 2 * DIGEST_BYTES)
        return -1;
    uint8_t *bytes = gw_arena_alloc(arena, DIGEST_BYTES);
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return -1;
        bytes[i] = (uint8_t)(high * 16 + low);
    }
    *ret_digest = (ProtobufCBinaryData){DIGEST_BYTES, bytes};
    return 0;
}

static int add_codes(const struct cp_state *state, gw_str name, struct gw_arena *arena,
                     cp_agent_app *app, struct gw_error *err)
{
    struct cp_members codes = cp_state_members(state, arena, name, CP_KIND_CODE);
    app->app_code_digests = GW_ARENA_ARRAY(arena, ProtobufCBinaryData, codes.count + 1);
    for (size_t i = 0; i < codes.count; i++) {
        ProtobufCMessage *message;
        if (unpack(codes.items[i], arena, &message, err))
            return -1;
        const char *hex = ((cp_app_code *)(void *)message)->digest;
        if (digest_from_hex(hex, arena, &app->app_code_digests[app->n_app_code_digests++]))
            return gw_fail(err, GW_INTERNAL, "the digest of %.*s is not a SHA-256",
                           GW_STR_ARG(codes.items[i]->name));
    }
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_authorizations(const struct cp_state *state, gw_str name, struct gw_arena *arena,
                              cp_agent_app *app, struct gw_error *err)
{
    struct cp_members grants = cp_state_members(state, arena, name, CP_KIND_AUTHORIZATION);
    app->routes = GW_ARENA_ARRAY(arena, char *, grants.count + 1);
    for (size_t i = 0; i < grants.count; i++) {
        ProtobufCMessage *message;
        if (unpack(grants.items[i], arena, &message, err))
            return -1;
        const cp_authorization *grant = (cp_authorization *)(void *)message;
        gw_str route = cp_route_name(arena, grant->api, grant->environment);
        app->routes[app->n_routes++] = cp_build_text(arena, route);
    }
    qsort(app->routes, app->n_routes, sizeof app->routes[0], by_text); /* agents keep no other */
    return 0;
}

static int build_app(const struct cp_state *state, gw_str name, struct gw_arena *arena,
                     cp_agent_app **ret_app, struct gw_error *err)
{
    ProtobufCMessage *message;
    int found = cp_build_read(state, name, arena, &message, err);
    if (found <= 0)
        return found;
    const cp_app *stored = (cp_app *)(void *)message;
    cp_agent_app *app = CP_AGENT_NEW(arena, cp_agent_app, app);
    app->name = stored->name;
    app->display_name = stored->display_name;
    app->frozen = stored->frozen;
    app->ip_access = cp_build_ip_access(arena, stored->ip_access);
    if (add_codes(state, name, arena, app, err) || add_authorizations(state, name, arena, app, err))
        return -1;
    *ret_app = app;
    return 1;
}

int cp_build(const struct cp_state *state, gw_str name, struct gw_arena *arena,
             cp_agent_resource **ret_resource, struct gw_error *err)
{
    cp_agent_resource *resource = CP_AGENT_NEW(arena, cp_agent_resource, resource);
    *ret_resource = resource;
    switch (cp_build_kind(name)) {
    case CP_AGENT_KIND(GROUP):
        resource->kind_case = CP_AGENT_RESOURCE(GROUP);
        return build_group(state, name, arena, &resource->group, err);
    case CP_AGENT_KIND(ROUTE):
        resource->kind_case = CP_AGENT_RESOURCE(ROUTE);
        return cp_build_route(state, name, arena, &resource->route, err);
    case CP_AGENT_KIND(CHANNEL):
        resource->kind_case = CP_AGENT_RESOURCE(CHANNEL);
        return build_channel(state, name, arena, &resource->channel, err);
    case CP_AGENT_KIND(CERTIFICATE):
        resource->kind_case = CP_AGENT_RESOURCE(CERTIFICATE);
        return cp_build_certificate(state, name, arena, &resource->certificate, err);
    case CP_AGENT_KIND(TICKET_KEYS):
        resource->kind_case = CP_AGENT_RESOURCE(TICKET_KEYS);
        return cp_build_ticket_keys(state, arena, &resource->ticket_keys, err);
    case CP_AGENT_KIND(SETTINGS):
        resource->kind_case = CP_AGENT_RESOURCE(SETTINGS);
        return cp_build_settings(state, arena, &resource->settings, err);
    case CP_AGENT_KIND(POLICY):
        resource->kind_case = CP_AGENT_RESOURCE(POLICY);
        return cp_build_policy(state, name, arena, &resource->policy, err);
    default:
        resource->kind_case = CP_AGENT_RESOURCE(APP);
        return build_app(state, name, arena, &resource->app, err);
    }
}
