/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/snapshot/state.h"

#include "common/message.h"
#include "controlplane/model/check_backend.h"
#include "controlplane/model/types.h"

#include <stdlib.h>

struct cp_bucket {
    gw_str name;            /* owned by the map */
    struct gw_list members; /* struct cp_link.node */
};

struct cp_state {
    const struct cp_seal *seal; /* borrowed */
    struct gw_map resources;    /* by name; owned */
    struct gw_map buckets;      /* by owner's name; owned, never empty */
    struct gw_arena scratch;    /* of one call */
};

struct cp_state *cp_state_new(const struct cp_seal *seal)
{
    struct cp_state *state = gw_calloc(1, sizeof(*state));
    state->seal = seal;
    gw_map_init(&state->resources);
    gw_map_init(&state->buckets);
    gw_arena_init(&state->scratch, 16 * 1024);
    return state;
}

void cp_state_free(struct cp_state *state)
{
    if (!state)
        return;
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&state->resources, e));)
        free(e->value);
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&state->buckets, e));)
        free(e->value);
    gw_map_done(&state->resources);
    gw_map_done(&state->buckets);
    gw_arena_done(&state->scratch);
    free(state);
}

const struct cp_seal *cp_state_seal(const struct cp_state *state)
{
    return state->seal;
}

/* ---- membership ---- */

static void link_to(struct cp_state *state, struct cp_resource *resource, unsigned index,
                    gw_str owner)
{
    struct cp_bucket *bucket = gw_map_get(&state->buckets, owner);
    if (!bucket) {
        bucket = gw_calloc(1, sizeof(*bucket) + owner.len);
        gw_list_init(&bucket->members);
        bucket->name = gw_str_n(memcpy(bucket + 1, owner.ptr, owner.len), owner.len);
        gw_map_put(&state->buckets, owner, bucket);
    }
    struct cp_link *link = &resource->links[index];
    link->bucket = bucket;
    gw_list_push(&bucket->members, &link->node);
}

static void unlink_all(struct cp_state *state, struct cp_resource *resource)
{
    for (unsigned i = 0; i < GW_ARRAY_LEN(resource->links); i++) {
        struct cp_bucket *bucket = resource->links[i].bucket;
        if (!bucket)
            continue;
        gw_list_remove(&resource->links[i].node);
        resource->links[i].bucket = NULL;
        if (gw_list_is_empty(&bucket->members)) {
            gw_map_take(&state->buckets, bucket->name);
            free(bucket);
        }
    }
}

static int link_binding(struct cp_state *state, struct cp_resource *resource, struct gw_error *err)
{
    ProtobufCMessage *message;
    if (gw_message_unpack(&state->scratch, resource->kind->type, resource->value, &message, err))
        return -1;
    const cp_policy_binding *binding = (cp_policy_binding *)(void *)message;
    link_to(state, resource, 0, cp_route_name(&state->scratch, binding->api, binding->environment));
    link_to(state, resource, 1, cp_name_parent(resource->name));
    return 0;
}

static int link_release(struct cp_state *state, struct cp_resource *resource, struct gw_error *err)
{
    ProtobufCMessage *message, *definition;
    if (gw_message_unpack(&state->scratch, resource->kind->type, resource->value, &message, err))
        return -1;
    const cp_release *release = (cp_release *)(void *)message;
    gw_str frozen = gw_str_n((const char *)release->definition.data, release->definition.len);
    if (gw_message_unpack(&state->scratch, CP_TYPE(api), frozen, &definition, err))
        return -1;
    struct cp_backend_uses uses = cp_backend_uses(((cp_api *)(void *)definition)->backend);
    if (uses.channel)
        link_to(state, resource, 0, gw_str_from(uses.channel));
    if (uses.certificate)
        link_to(state, resource, 1, gw_str_from(uses.certificate));
    return 0;
}

static int link_domain(struct cp_state *state, struct cp_resource *resource, struct gw_error *err)
{
    ProtobufCMessage *message;
    link_to(state, resource, 0, cp_name_parent(resource->name));
    if (gw_message_unpack(&state->scratch, resource->kind->type, resource->value, &message, err))
        return -1;
    const cp_domain *domain = (cp_domain *)(void *)message;
    for (unsigned i = 0; i < GW_MIN(domain->n_certificates, GW_ARRAY_LEN(resource->links) - 1); i++)
        link_to(state, resource, i + 1, gw_str_from(domain->certificates[i]));
    return 0;
}

static int link_resource(struct cp_state *state, struct cp_resource *resource, struct gw_error *err)
{
    switch (resource->kind->id) {
    case CP_KIND_CODE:
    case CP_KIND_AUTHORIZATION:
        link_to(state, resource, 0, cp_name_parent(resource->name));
        return 0;
    case CP_KIND_DOMAIN:
        return link_domain(state, resource, err);
    case CP_KIND_BINDING:
        return link_binding(state, resource, err);
    case CP_KIND_RELEASE:
        return link_release(state, resource, err);
    default:
        return 0;
    }
}

/* ---- what a change concerns ---- */

static void touch_name(struct cp_state *state, gw_str name, struct gw_map *touched)
{
    gw_map_put(touched, name, state);
}

static gw_str route_of(struct cp_state *state, const struct cp_ids *ids, gw_str environment)
{
    return gw_arena_printf(&state->scratch, "groups/%.*s/apis/%.*s@%.*s", GW_STR_ARG(ids->id[0]),
                           GW_STR_ARG(ids->id[1]), GW_STR_ARG(environment));
}

/* Agents get a certificate as long as something uses it. */
static void touch_certificates(struct cp_state *state, const struct cp_resource *user,
                               struct gw_map *touched)
{
    for (unsigned i = 1; i < GW_ARRAY_LEN(user->links); i++)
        if (user->links[i].bucket)
            touch_name(state, user->links[i].bucket->name, touched);
}

/* The name of the release that the publication, or NULL, makes effective; empty: none, or the
 * route's build says what is wrong. */
static gw_str effective_release(struct gw_arena *arena, const struct cp_resource *publication)
{
    ProtobufCMessage *message;
    struct gw_error ignored;
    if (!publication ||
        gw_message_unpack(arena, publication->kind->type, publication->value, &message, &ignored))
        return GW_STR_NONE;
    return gw_str_from(((cp_publication *)(void *)message)->release);
}

/* True, with the ids of its publication's name: the release is effective. */
static bool is_effective(const struct cp_state *state, struct gw_arena *arena, gw_str release,
                         struct cp_ids *ret_ids)
{
    gw_str environment;
    int64_t number;
    if (!cp_name_parse(CP_KIND_RELEASE, release, ret_ids) ||
        !cp_release_id_parse(ret_ids->id[2], &environment, &number))
        return false;
    ret_ids->id[2] = environment;
    gw_str publication = cp_name_make(arena, CP_KIND_PUBLICATION, ret_ids);
    return gw_str_eq(effective_release(arena, cp_state_get(state, publication)), release);
}

static void touch_publication(struct cp_state *state, const struct cp_resource *publication,
                              struct gw_map *touched)
{
    struct cp_ids ids;
    if (!cp_name_parse(CP_KIND_PUBLICATION, publication->name, &ids))
        return;
    touch_name(state, route_of(state, &ids, ids.id[2]), touched);
    const struct cp_resource *release =
        cp_state_get(state, effective_release(&state->scratch, publication));
    if (release)
        touch_certificates(state, release, touched);
}

/* A release matters only to the route that it is effective in; most are history. */
static void touch_release(struct cp_state *state, const struct cp_resource *release,
                          struct gw_map *touched)
{
    struct cp_ids ids;
    if (!is_effective(state, &state->scratch, release->name, &ids))
        return;
    touch_name(state, route_of(state, &ids, ids.id[2]), touched);
    touch_certificates(state, release, touched);
}

/* The routes that refer to a channel, a certificate or a policy: they depend on its being there. */
static void touch_users(struct cp_state *state, gw_str name, struct gw_map *touched)
{
    const struct cp_bucket *bucket = gw_map_get(&state->buckets, name);
    if (!bucket)
        return;
    gw_list_each(&bucket->members, node)
    {
        const struct cp_resource *user = gw_container_of(node, struct cp_link, node)->resource;
        if (user->kind->id == CP_KIND_BINDING)
            touch_name(state, user->links[0].bucket->name, touched);
        else if (user->kind->id == CP_KIND_RELEASE)
            touch_release(state, user, touched);
    }
}

/* appears: the resource was not there before, or is not there afterwards. */
static void touch(struct cp_state *state, const struct cp_resource *resource, bool appears,
                  struct gw_map *touched)
{
    switch (resource->kind->id) {
    case CP_KIND_GROUP:
    case CP_KIND_APP:
    case CP_KIND_SETTINGS:
        touch_name(state, resource->name, touched);
        break;
    case CP_KIND_CHANNEL:
    case CP_KIND_CERTIFICATE:
    case CP_KIND_POLICY:
        touch_name(state, resource->name, touched);
        if (appears)
            touch_users(state, resource->name, touched);
        break;
    case CP_KIND_DOMAIN:
        touch_certificates(state, resource, touched);
        touch_name(state, cp_name_parent(resource->name), touched);
        break;
    case CP_KIND_CODE:
    case CP_KIND_AUTHORIZATION:
        touch_name(state, cp_name_parent(resource->name), touched);
        break;
    case CP_KIND_PUBLICATION:
        touch_publication(state, resource, touched);
        break;
    case CP_KIND_TICKET_KEYS:
        touch_name(state, GW_STR(CP_AGENT_TICKET_KEYS), touched);
        break;
    case CP_KIND_RELEASE:
        touch_release(state, resource, touched);
        break;
    case CP_KIND_BINDING:
        if (resource->links[0].bucket)
            touch_name(state, resource->links[0].bucket->name, touched);
        break;
    default:
        break;
    }
}

/* ---- changes ---- */

bool cp_state_keeps(enum cp_kind_id kind)
{
    return kind != CP_KIND_API && kind != CP_KIND_ENVIRONMENT && kind < CP_KIND_ENROLMENT;
}

static const struct cp_kind *kind_of_key(struct cp_state *state, gw_str key, gw_str *ret_name)
{
    const struct cp_kind *kind = cp_key_parse(&state->scratch, key, ret_name);
    return kind && cp_state_keeps(kind->id) ? kind : NULL;
}

static struct cp_resource *resource_new(const struct cp_kind *kind, gw_str name, gw_str value,
                                        int64_t mod_revision)
{
    struct cp_resource *resource = gw_calloc(1, sizeof(*resource) + name.len + value.len);
    char *bytes = (char *)(resource + 1);
    resource->kind = kind;
    resource->name = gw_str_n(memcpy(bytes, name.ptr, name.len), name.len);
    if (value.len > 0)
        memcpy(bytes + name.len, value.ptr, value.len);
    resource->value = gw_str_n(bytes + name.len, value.len);
    resource->mod_revision = mod_revision;
    for (unsigned i = 0; i < GW_ARRAY_LEN(resource->links); i++) {
        gw_list_init(&resource->links[i].node);
        resource->links[i].resource = resource;
    }
    return resource;
}

int cp_state_put(struct cp_state *state, gw_str key, gw_str value, int64_t mod_revision,
                 struct gw_map *touched, struct gw_error *err)
{
    gw_arena_reset(&state->scratch);
    gw_str name;
    const struct cp_kind *kind = kind_of_key(state, key, &name);
    if (!kind)
        return 0;
    struct cp_resource *resource = resource_new(kind, name, value, mod_revision);
    struct cp_resource *before = gw_map_put(&state->resources, name, resource);
    if (before) {
        touch(state, before, false, touched);
        unlink_all(state, before);
        free(before);
    }
    int result = link_resource(state, resource, err);
    touch(state, resource, !before, touched);
    return result;
}

void cp_state_remove(struct cp_state *state, gw_str key, struct gw_map *touched)
{
    gw_arena_reset(&state->scratch);
    gw_str name;
    if (!kind_of_key(state, key, &name))
        return;
    struct cp_resource *before = gw_map_take(&state->resources, name);
    if (!before)
        return;
    touch(state, before, true, touched);
    unlink_all(state, before);
    free(before);
}

/* ---- reading ---- */

const struct cp_resource *cp_state_get(const struct cp_state *state, gw_str name)
{
    return gw_map_get(&state->resources, name);
}

static int by_name(const void *a, const void *b)
{
    return gw_str_cmp((*(const struct cp_resource *const *)a)->name,
                      (*(const struct cp_resource *const *)b)->name);
}

struct cp_members cp_state_members(const struct cp_state *state, struct gw_arena *arena,
                                   gw_str owner, enum cp_kind_id kind)
{
    struct cp_members members = {NULL, 0};
    const struct cp_bucket *bucket = gw_map_get(&state->buckets, owner);
    if (!bucket)
        return members;
    size_t total = 0;
    gw_list_each(&bucket->members, node) total +=
        gw_container_of(node, struct cp_link, node)->resource->kind->id == kind;
    members.items = GW_ARENA_ARRAY(arena, const struct cp_resource *, total + 1);
    gw_list_each(&bucket->members, member)
    {
        const struct cp_resource *resource =
            gw_container_of(member, struct cp_link, node)->resource;
        if (resource->kind->id == kind)
            members.items[members.count++] = resource;
    }
    qsort(members.items, members.count, sizeof(*members.items), by_name);
    return members;
}

bool cp_state_is_used(const struct cp_state *state, struct gw_arena *arena, gw_str certificate)
{
    const struct cp_bucket *bucket = gw_map_get(&state->buckets, certificate);
    if (!bucket)
        return false;
    gw_list_each(&bucket->members, node)
    {
        const struct cp_resource *user = gw_container_of(node, struct cp_link, node)->resource;
        struct cp_ids ids;
        if (user->kind->id == CP_KIND_DOMAIN || is_effective(state, arena, user->name, &ids))
            return true;
    }
    return false;
}
