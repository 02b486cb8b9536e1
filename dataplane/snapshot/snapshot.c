/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/snapshot/snapshot.h"

#include "dataplane/net/address.h"
#include "dataplane/snapshot/snapshot_parts.h"

#include <stdlib.h>

struct dp_snapshot {
    atomic_uint refs;
    int64_t revision;
    gw_str cluster_id;              /* owned */
    struct dp_snapshot_parts parts; /* references */
};

struct dp_snapshot *dp_snapshot_new(gw_str cluster_id, int64_t revision,
                                    const struct dp_snapshot_parts *parts)
{
    struct dp_snapshot *snapshot = gw_calloc(1, sizeof *snapshot);
    char *copy = gw_malloc(cluster_id.len + 1);
    memcpy(copy, cluster_id.ptr, cluster_id.len);
    copy[cluster_id.len] = '\0';
    atomic_init(&snapshot->refs, 1);
    snapshot->revision = revision;
    snapshot->cluster_id = gw_str_n(copy, cluster_id.len);
    snapshot->parts = *parts;
    snapshot->parts.routing = dp_routing_ref(parts->routing);
    snapshot->parts.codes = dp_trie_ref(parts->codes);
    if (parts->tickets)
        dp_unit_ref(&parts->tickets->unit);
    if (parts->settings)
        dp_unit_ref(&parts->settings->unit);
    return snapshot;
}

struct dp_snapshot *dp_snapshot_ref(struct dp_snapshot *snapshot)
{
    atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
    return snapshot;
}

void dp_snapshot_unref(struct dp_snapshot *snapshot)
{
    if (!snapshot || atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) > 1)
        return;
    dp_routing_unref(snapshot->parts.routing);
    dp_code_map_unref(snapshot->parts.codes);
    if (snapshot->parts.tickets)
        dp_unit_unref(&snapshot->parts.tickets->unit);
    if (snapshot->parts.settings)
        dp_unit_unref(&snapshot->parts.settings->unit);
    free((char *)(uintptr_t)snapshot->cluster_id.ptr);
    free(snapshot);
}

bool dp_snapshot_is_shared(const struct dp_snapshot *snapshot)
{
    return atomic_load_explicit(&snapshot->refs, memory_order_acquire) > 1;
}

int64_t dp_snapshot_revision(const struct dp_snapshot *snapshot)
{
    return snapshot->revision;
}

gw_str dp_snapshot_cluster_id(const struct dp_snapshot *snapshot)
{
    return snapshot->cluster_id;
}

const struct dp_router *dp_snapshot_router(const struct dp_snapshot *snapshot)
{
    return snapshot->parts.routing->router;
}

/* Says which machine is meant, and no domain. */
static bool is_nameless(gw_str host)
{
    struct dp_address address;
    return dp_address_parse(host, &address) == 0 || gw_str_eq_nocase(host, GW_STR("localhost"));
}

const struct dp_router_group *dp_snapshot_find_group(const struct dp_snapshot *snapshot,
                                                     gw_str host, const struct dp_host **ret_host)
{
    const struct dp_router *router = snapshot->parts.routing->router;
    const void *value = NULL;
    const struct dp_router_group *group = dp_router_find(router, host, &value);
    if (!group && is_nameless(host))
        group = dp_router_find(router, DP_HOST_DEFAULT, &value);
    *ret_host = value;
    return group;
}

const struct dp_domain_tls *dp_snapshot_find_tls(const struct dp_snapshot *snapshot, gw_str name)
{
    const struct dp_routing *routing = snapshot->parts.routing;
    const void *value = NULL;
    if (name.len > 0 && dp_router_find(routing->router, name, &value)) {
        const struct dp_host *host = value;
        return host->tls && host->tls->certificate_count > 0 ? host->tls : NULL;
    }
    return name.len == 0 || is_nameless(name) ? dp_routing_default_tls(routing) : NULL;
}

bool dp_snapshot_has_same_tls(const struct dp_snapshot *a, const struct dp_snapshot *b)
{
    return a->parts.routing->secured.bits == b->parts.routing->secured.bits;
}

struct dp_ticket_keys dp_snapshot_ticket_keys(const struct dp_snapshot *snapshot)
{
    const struct dp_tickets_unit *tickets = snapshot->parts.tickets;
    return tickets ? tickets->keys : (struct dp_ticket_keys){0};
}

void dp_snapshot_tune(const struct dp_snapshot *snapshot, struct dp_tunables *tunables)
{
    if (snapshot->parts.settings)
        dp_settings_unit_apply(snapshot->parts.settings, tunables);
}

size_t dp_snapshot_route_count(const struct dp_snapshot *snapshot)
{
    return snapshot->parts.route_count;
}

struct each_route {
    void (*visit)(void *arg, const struct dp_route *route);
    void *arg;
};

static void visit_route(void *arg, const void *value)
{
    const struct each_route *each = arg;
    each->visit(each->arg, value);
}

static void visit_tree(void *arg, const struct dp_route_tree *tree)
{
    dp_route_tree_each(tree, visit_route, arg);
}

void dp_snapshot_each_route(const struct dp_snapshot *snapshot,
                            void (*visit)(void *arg, const struct dp_route *route), void *arg)
{
    struct each_route each = {visit, arg};
    dp_router_each_tree(snapshot->parts.routing->router, visit_tree, &each);
}

size_t dp_snapshot_app_count(const struct dp_snapshot *snapshot)
{
    return snapshot->parts.app_count;
}

const struct dp_app *dp_snapshot_app_by_code(const struct dp_snapshot *snapshot,
                                             const uint8_t digest[DP_APP_CODE_DIGEST_BYTES])
{
    const struct dp_app_unit *found = dp_code_map_get(snapshot->parts.codes, digest);
    return found ? &found->app : NULL;
}

bool dp_app_may_call(const struct dp_app *app, const struct dp_route *route)
{
    const struct dp_app_unit *unit = gw_container_of(app, struct dp_app_unit, app);
    struct dp_grant key = {.number = route->number};
    return bsearch(&key, dp_app_grants(unit), unit->grant_count, sizeof key, dp_grant_cmp) != NULL;
}

gw_str dp_app_name(const struct dp_app *app)
{
    const struct dp_app_unit *unit = gw_container_of(app, struct dp_app_unit, app);
    return gw_str_n((const char *)(dp_app_grants(unit) + unit->grant_count), unit->app.name_len);
}

gw_str dp_app_id(const struct dp_app *app)
{
    gw_str name = dp_app_name(app);
    return gw_str_n(name.ptr + strlen("apps/"), name.len - strlen("apps/"));
}

const struct dp_address_list *dp_app_addresses(const struct dp_app *app)
{
    const struct dp_app_unit *unit = gw_container_of(app, struct dp_app_unit, app);
    return unit->extras ? unit->extras->addresses : NULL;
}

/* What is compiled is const to all but its count. */
static struct dp_unit *unit_of_route(const struct dp_route *route)
{
    return &gw_container_of((struct dp_route *)(uintptr_t)route, struct dp_route_unit, route)->unit;
}

static struct dp_unit *unit_of_app(const struct dp_app *app)
{
    return &gw_container_of((struct dp_app *)(uintptr_t)app, struct dp_app_unit, app)->unit;
}

void dp_route_ref(const struct dp_route *route)
{
    if (route)
        (void)dp_unit_ref(unit_of_route(route)); /* that is this one */
}

void dp_route_unref(const struct dp_route *route)
{
    if (route)
        dp_unit_unref(unit_of_route(route));
}

void dp_app_ref(const struct dp_app *app)
{
    if (app)
        (void)dp_unit_ref(unit_of_app(app)); /* that is this one */
}

void dp_app_unref(const struct dp_app *app)
{
    if (app)
        dp_unit_unref(unit_of_app(app));
}
