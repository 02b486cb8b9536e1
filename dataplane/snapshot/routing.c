/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/snapshot/snapshot_parts.h"

#include <stdlib.h>

/* A domain that is served over TLS. */
struct secured {
    struct dp_trie_item item;
    const struct dp_domain_tls *tls; /* borrowed from the owner */
    struct dp_unit *owner;           /* a reference */
};

static void free_secured(struct dp_trie_item *item)
{
    struct secured *secured = (struct secured *)item;
    dp_unit_unref(secured->owner);
    free(secured);
}

static gw_str host_of(const struct dp_trie_item *item)
{
    return ((const struct secured *)item)->tls->host;
}

static bool is_smaller(const struct dp_trie_item *a, const struct dp_trie_item *b)
{
    return gw_str_cmp(host_of(a), host_of(b)) < 0;
}

static bool is_secured(const struct dp_trie_item *item, const void *key)
{
    return gw_str_eq(host_of(item), *(const gw_str *)key);
}

static const struct dp_trie_kind secured_kind = {free_secured, is_smaller};

struct dp_routing *dp_routing_new(void)
{
    struct dp_routing *routing = gw_calloc(1, sizeof *routing);
    atomic_init(&routing->refs, 1);
    routing->router = dp_router_new();
    return routing;
}

struct dp_routing *dp_routing_ref(struct dp_routing *routing)
{
    atomic_fetch_add_explicit(&routing->refs, 1, memory_order_relaxed);
    return routing;
}

void dp_routing_unref(struct dp_routing *routing)
{
    if (!routing || atomic_fetch_sub_explicit(&routing->refs, 1, memory_order_acq_rel) > 1)
        return;
    dp_router_free(routing->router);
    dp_trie_unref(routing->secured, &secured_kind);
    free(routing);
}

struct dp_routing *dp_routing_own(struct dp_routing *routing)
{
    if (atomic_load_explicit(&routing->refs, memory_order_acquire) == 1)
        return routing;
    struct dp_routing *copy = gw_calloc(1, sizeof *copy);
    atomic_init(&copy->refs, 1);
    copy->router = dp_router_copy(routing->router);
    copy->secured = dp_trie_ref(routing->secured);
    dp_routing_unref(routing);
    return copy;
}

void dp_routing_add_host(struct dp_routing *routing, struct dp_group_unit *group, unsigned index,
                         uint32_t number)
{
    gw_str host = group->hosts[index];
    const struct dp_host *value = group->values[index];
    /* A domain that the group names twice is there already. */
    (void)!dp_router_add_host(routing->router, host, number, value, &group->unit);
    if (!value->tls || value->tls->certificate_count == 0)
        return;
    struct secured *secured = gw_calloc(1, sizeof *secured);
    atomic_init(&secured->item.refs, 1);
    secured->item.hash = (uint32_t)gw_str_hash(value->tls->host);
    secured->tls = value->tls;
    secured->owner = dp_unit_ref(&group->unit);
    routing->secured =
        dp_trie_put(routing->secured, &secured_kind, is_secured, &value->tls->host, &secured->item);
}

void dp_routing_remove_host(struct dp_routing *routing, gw_str host)
{
    dp_router_remove_host(routing->router, host);
    routing->secured = dp_trie_remove(routing->secured, &secured_kind, (uint32_t)gw_str_hash(host),
                                      is_secured, &host);
}

const struct dp_domain_tls *dp_routing_default_tls(const struct dp_routing *routing)
{
    const struct dp_trie_item *first = dp_trie_first(routing->secured);
    return first ? ((const struct secured *)first)->tls : NULL;
}
