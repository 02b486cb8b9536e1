/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of an update: take in forms and removals, compile the parts that changed, then the
 * routes that changed or use such parts, then the trees with such routes, and put a snapshot
 * together of what is in force. */
#include "dataplane/snapshot/compile.h"

#include "common/message.h"
#include "dataplane/limiter.h"
#include "dataplane/snapshot/catalog.h"

#include <stdlib.h>

#define KIND(name) PENSTOCK__AGENT__V1__KIND__KIND_##name
/* By both forms of a group; a route names less. */
#define NAMES_MAX (2 * DP_COMPILE_DOMAINS_MAX * DP_TLS_CERTIFICATES_MAX)
_Static_assert(NAMES_MAX >= 2 * (3 + DP_COMPILE_POLICIES_MAX), "a route fits");

typedef Penstock__Agent__V1__Resource resource;

/* What a resource names, by both forms of it; some of it twice. */
struct names {
    struct dp_entry *items[NAMES_MAX];
    unsigned count;
};

static struct dp_unit *find_unit(const struct dp_parts *parts, Penstock__Agent__V1__Kind kind,
                                 const char *name)
{
    const struct dp_catalog *catalog = gw_container_of(parts, struct dp_catalog, parts);
    const struct dp_entry *entry = dp_entry_find(catalog, kind, gw_str_from(name));
    return entry ? entry->unit : NULL;
}

struct dp_catalog *dp_catalog_new(const struct dp_compile_env *env)
{
    struct dp_catalog *catalog = gw_calloc(1, sizeof *catalog);
    catalog->env = *env;
    catalog->parts =
        (struct dp_parts){&catalog->env, dp_limiter_stem(env->limiter, GW_STR("names")), find_unit};
    catalog->cluster_id = gw_strdup("");
    catalog->routing = dp_routing_new();
    for (unsigned kind = 0; kind < DP_KINDS; kind++)
        gw_list_init(&catalog->dirty[kind]);
    gw_map_init(&catalog->branches);
    gw_map_init(&catalog->hosts);
    gw_list_init(&catalog->dirty_branches);
    gw_list_init(&catalog->refused);
    dp_apps_init(&catalog->apps);
    return catalog;
}

void dp_catalog_free(struct dp_catalog *catalog)
{
    if (!catalog)
        return;
    for (unsigned kind = 0; kind < DP_KINDS; kind++)
        dp_trie_unref(catalog->entries[kind], &dp_entries);
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&catalog->branches, e));)
        dp_branch_free(e->value);
    gw_map_done(&catalog->branches);
    gw_map_done(&catalog->hosts);
    dp_apps_done(&catalog->apps);
    dp_routing_unref(catalog->routing);
    gw_arena_done(&catalog->scratch);
    gw_arena_done(&catalog->report);
    free(catalog->cluster_id);
    free(catalog);
}

gw_str dp_catalog_cluster_id(const struct dp_catalog *catalog)
{
    return gw_str_from(catalog->cluster_id);
}

int64_t dp_catalog_revision(const struct dp_catalog *catalog)
{
    return catalog->revision;
}

/* ---- take in */

static Penstock__Agent__V1__Kind kind_of(const resource *message, const char **ret_name)
{
    switch (message->kind_case) {
    case PENSTOCK__AGENT__V1__RESOURCE__KIND_GROUP:
        *ret_name = message->group->name;
        return KIND(GROUP);
    case PENSTOCK__AGENT__V1__RESOURCE__KIND_ROUTE:
        *ret_name = message->route->name;
        return KIND(ROUTE);
    case PENSTOCK__AGENT__V1__RESOURCE__KIND_CHANNEL:
        *ret_name = message->channel->name;
        return KIND(CHANNEL);
    case PENSTOCK__AGENT__V1__RESOURCE__KIND_POLICY:
        *ret_name = message->policy->name;
        return KIND(POLICY);
    case PENSTOCK__AGENT__V1__RESOURCE__KIND_APP:
        *ret_name = message->app->name;
        return KIND(APP);
    case PENSTOCK__AGENT__V1__RESOURCE__KIND_CERTIFICATE:
        *ret_name = message->certificate->name;
        return KIND(CERTIFICATE);
    case PENSTOCK__AGENT__V1__RESOURCE__KIND_TICKET_KEYS:
        *ret_name = message->ticket_keys->name;
        return KIND(TICKET_KEYS);
    case PENSTOCK__AGENT__V1__RESOURCE__KIND_SETTINGS:
        *ret_name = message->settings->name;
        return KIND(SETTINGS);
    default:
        return KIND(UNSPECIFIED);
    }
}

static void take_upsert(struct dp_catalog *catalog, const resource *message, int64_t revision)
{
    const char *name = NULL;
    Penstock__Agent__V1__Kind kind = kind_of(message, &name);
    if (kind == KIND(UNSPECIFIED)) /* of a later version; Hello.kinds asked for none */
        return;
    if (kind == KIND(APP)) {
        dp_apps_take(catalog, message);
        return;
    }
    struct dp_entry *entry = dp_entry_get(catalog, kind, dp_entry_key(name));
    gw_arena_reset(&catalog->scratch);
    gw_str packed = gw_message_pack(&catalog->scratch, &message->base);
    bool is_known = entry->next || entry->good;
    bool is_good = entry->good && gw_str_eq(packed, gw_str_n(entry->good->bytes, entry->good->len));
    entry->seen = catalog->serial;
    if (is_known && gw_str_eq(packed, dp_entry_newest(entry)))
        return;
    if (is_good)
        dp_entry_drop_next(entry); /* back to what is in force */
    else
        dp_entry_set_next(entry, packed, revision);
    entry->fresh = is_good ? NULL : message;
    dp_entry_mark(catalog, entry);
}

static void remove_entry(struct dp_catalog *catalog, struct dp_entry *entry)
{
    if (!entry->good && !entry->next)
        return;
    dp_claims_release(catalog, entry);
    gw_list_remove(&entry->in_dirty);
    dp_branch_leave(catalog, entry);
    dp_entry_set_names(catalog, entry, NULL, 0);
    dp_entry_clear(entry);
    dp_entry_mark_users(catalog, entry);
    dp_entry_release(catalog, entry);
}

static void take_removal(struct dp_catalog *catalog, const Penstock__Agent__V1__ResourceKey *key)
{
    if (key->kind <= KIND(UNSPECIFIED) || key->kind >= DP_KINDS || key->kind == KIND(APP))
        return;
    struct dp_entry *entry = dp_entry_find(catalog, key->kind, dp_entry_key(key->name));
    if (entry)
        remove_entry(catalog, entry);
}

struct sweeping {
    uint32_t serial;
    struct gw_list gone; /* by in_dirty: what goes need not be compiled any more */
};

static void see(const struct dp_trie_item *item, void *arg)
{
    struct sweeping *sweeping = arg;
    struct dp_entry *entry = (struct dp_entry *)(uintptr_t)item; /* the catalog's own */
    if (entry->seen == sweeping->serial || (!entry->good && !entry->next))
        return;
    gw_list_remove(&entry->in_dirty);
    gw_list_push(&sweeping->gone, &entry->in_dirty);
}

/* After a full update: what was not in it is gone. */
static void sweep(struct dp_catalog *catalog, unsigned kind)
{
    struct sweeping sweeping = {.serial = catalog->serial};
    gw_list_init(&sweeping.gone);
    dp_trie_each(catalog->entries[kind], see, &sweeping);
    gw_list_each(&sweeping.gone, node)
        remove_entry(catalog, gw_container_of(node, struct dp_entry, in_dirty));
}

static void take(struct dp_catalog *catalog, const struct dp_update *update)
{
    catalog->serial++;
    for (size_t i = 0; i < update->removal_count; i++)
        if (update->removals[i]->kind == KIND(APP))
            dp_apps_remove(catalog, dp_entry_key(update->removals[i]->name));
    for (size_t i = 0; i < update->upsert_count; i++)
        take_upsert(catalog, update->upserts[i], update->revision);
    for (size_t i = 0; i < update->removal_count; i++)
        take_removal(catalog, update->removals[i]);
    for (unsigned kind = 0; update->base_revision == 0 && kind < DP_KINDS; kind++)
        sweep(catalog, kind);
    if (update->base_revision == 0)
        dp_apps_sweep(catalog);
}

/* ---- compile */

int dp_compile_refuse_newer(const ProtobufCMessage *message, struct gw_error *err)
{
    struct gw_error why = GW_ERROR_NONE;
    if (gw_message_refuse_unknown(message, &why) == 0)
        return 0;
    return gw_fail(err, GW_INVALID_ARGUMENT, "%s of the agent, " PENSTOCK_VERSION ": upgrade it",
                   why.message);
}

const resource *dp_compile_unpack(struct dp_catalog *catalog, gw_str form, struct gw_error *err)
{
    ProtobufCMessage *message;
    gw_arena_reset(&catalog->scratch);
    if (gw_message_unpack_whole(&catalog->scratch, &penstock__agent__v1__resource__descriptor, form,
                                &message, err) < 0)
        return NULL;
    return (const resource *)message;
}

static struct dp_unit *compile(struct dp_catalog *catalog, const resource *message,
                               struct gw_error *err)
{
    switch (message->kind_case) {
    case PENSTOCK__AGENT__V1__RESOURCE__KIND_GROUP:
        return dp_compile_group(&catalog->parts, message->group, err);
    case PENSTOCK__AGENT__V1__RESOURCE__KIND_CHANNEL:
        return dp_compile_channel(&catalog->parts, message->channel, err);
    case PENSTOCK__AGENT__V1__RESOURCE__KIND_POLICY:
        return dp_compile_policy(&catalog->parts, message->policy, err);
    case PENSTOCK__AGENT__V1__RESOURCE__KIND_CERTIFICATE:
        return dp_compile_certificate(message->certificate, err);
    case PENSTOCK__AGENT__V1__RESOURCE__KIND_TICKET_KEYS:
        return dp_compile_ticket_keys(message->ticket_keys, err);
    case PENSTOCK__AGENT__V1__RESOURCE__KIND_SETTINGS:
        return dp_compile_settings(message->settings, err);
    default:
        return dp_compile_route(&catalog->parts, message->route, err);
    }
}

/* ---- names of others */

static void add_name(struct dp_catalog *catalog, Penstock__Agent__V1__Kind kind, const char *name,
                     struct names *names)
{
    if (!*name || strlen(name) > DP_COMPILE_NAME_MAX || names->count == NAMES_MAX)
        return;
    struct dp_entry *entry = dp_entry_get(catalog, kind, gw_str_from(name));
    if (names->count == 0 || names->items[names->count - 1] != entry)
        names->items[names->count++] = entry;
}

static void collect_route(struct dp_catalog *catalog, const Penstock__Agent__V1__Route *route,
                          struct names *names)
{
    const Penstock__Agent__V1__Backend *backend = route->backend;
    add_name(catalog, KIND(GROUP), route->group, names);
    if (backend && backend->kind_case == PENSTOCK__AGENT__V1__BACKEND__KIND_HTTP) {
        add_name(catalog, KIND(CHANNEL), backend->http->channel, names);
        add_name(catalog, KIND(CERTIFICATE), backend->http->certificate, names);
    }
    for (size_t i = 0; i < route->n_policies && i < DP_COMPILE_POLICIES_MAX; i++)
        add_name(catalog, KIND(POLICY), route->policies[i], names);
}

static void collect_group(struct dp_catalog *catalog, const Penstock__Agent__V1__Group *group,
                          struct names *names)
{
    for (size_t i = 0; i < group->n_tls && i < DP_COMPILE_DOMAINS_MAX; i++) {
        const Penstock__Agent__V1__DomainTls *tls = group->tls[i];
        for (size_t k = 0; k < tls->n_certificates && k < DP_TLS_CERTIFICATES_MAX; k++)
            add_name(catalog, KIND(CERTIFICATE), tls->certificates[k], names);
    }
}

/* message: the form, when it has just come; else NULL. */
static struct dp_unit *try_form(struct dp_catalog *catalog, const struct dp_form *form,
                                const resource *message, struct names *names, struct gw_error *err)
{
    *err = GW_ERROR_NONE;
    if (!message && !(message = dp_compile_unpack(catalog, gw_str_n(form->bytes, form->len), err)))
        return NULL;
    if (dp_compile_refuse_newer(&message->base, err) < 0)
        return NULL;
    if (message->kind_case == PENSTOCK__AGENT__V1__RESOURCE__KIND_ROUTE)
        collect_route(catalog, message->route, names);
    if (message->kind_case == PENSTOCK__AGENT__V1__RESOURCE__KIND_GROUP)
        collect_group(catalog, message->group, names);
    return compile(catalog, message, err);
}

/* The newest form becomes the candidate, or else the good one once more where what that one uses
 * may have changed. When neither can be, what is in force stays. */
static void make_candidate(struct dp_catalog *catalog, struct dp_entry *entry)
{
    struct names names;
    struct gw_error err = GW_ERROR_NONE, later = GW_ERROR_NONE;
    bool names_others = entry->kind == KIND(ROUTE) || entry->kind == KIND(GROUP);
    names.count = 0;
    gw_arena_reset(&catalog->scratch);
    dp_entry_drop_candidate(entry);
    entry->candidate_is_next = entry->next != NULL;
    entry->candidate =
        try_form(catalog, entry->next ? entry->next : entry->good, entry->fresh, &names, &err);
    entry->fresh = NULL; /* it goes with its update */
    if (!entry->candidate)
        dp_entry_refuse(catalog, entry, &err);
    if (!entry->candidate && entry->next && entry->good && names_others) {
        entry->candidate_is_next = false;
        entry->candidate = try_form(catalog, entry->good, NULL, &names, &later);
    }
    if (names_others)
        dp_entry_set_names(catalog, entry, names.items, names.count);
}

/* ---- parts */

static void prepare(struct dp_catalog *catalog, struct dp_entry *entry)
{
    make_candidate(catalog, entry);
    if (entry->candidate)
        dp_claims_release(catalog, entry);
}

static void decide(struct dp_catalog *catalog, struct dp_entry *entry)
{
    struct gw_error err = GW_ERROR_NONE;
    bool was_there = entry->unit != NULL;
    if (dp_claims_check(catalog, entry->candidate, entry->kind, &err) == 0) {
        dp_entry_accept(entry);
        if (entry->kind != KIND(GROUP) || !was_there)
            dp_entry_mark_users(catalog, entry);
    } else {
        dp_entry_drop_candidate(entry);
        dp_entry_refuse(catalog, entry, &err);
        entry->conflicts = true;
    }
    dp_claims_take(catalog, entry);
}

/* All that changes gives up what it has before anyone takes: domains may be swapped. */
static void compile_parts(struct dp_catalog *catalog, Penstock__Agent__V1__Kind kind)
{
    struct gw_list *dirty = &catalog->dirty[kind];
    gw_list_each(&catalog->refused, node)
    {
        struct dp_entry *entry = gw_container_of(node, struct dp_entry, in_refused);
        if (entry->kind == kind && entry->conflicts)
            dp_entry_mark(catalog, entry);
    }
    gw_list_each(dirty, node) prepare(catalog, gw_container_of(node, struct dp_entry, in_dirty));
    gw_list_each(dirty, node)
    {
        struct dp_entry *entry = gw_container_of(node, struct dp_entry, in_dirty);
        gw_list_remove(&entry->in_dirty);
        if (entry->candidate)
            decide(catalog, entry);
    }
}

/* ---- routes */

static void compile_route(struct dp_catalog *catalog, struct dp_entry *entry)
{
    make_candidate(catalog, entry);
    if (!entry->candidate)
        return;
    ((struct dp_route_unit *)entry->candidate)->route.number = entry->route_number;
    dp_branch_join(catalog, entry);
}

static void compile_routes(struct dp_catalog *catalog)
{
    gw_list_each(&catalog->dirty[KIND(ROUTE)], node)
    {
        struct dp_entry *entry = gw_container_of(node, struct dp_entry, in_dirty);
        gw_list_remove(&entry->in_dirty);
        compile_route(catalog, entry);
    }
}

/* ---- an update */

static int by_kind_and_name(const void *a, const void *b)
{
    const struct dp_refused *x = a, *y = b;
    return x->kind != y->kind ? (int)x->kind - (int)y->kind : strcmp(x->name, y->name);
}

static void report(struct dp_catalog *catalog, struct dp_refusals *ret)
{
    size_t count = dp_apps_refused_count(&catalog->apps);
    gw_arena_reset(&catalog->report);
    gw_list_each(&catalog->refused, node) count++;
    struct dp_refused *items = GW_ARENA_ARRAY(&catalog->report, struct dp_refused, count);
    *ret = (struct dp_refusals){items, dp_apps_refused_count(&catalog->apps)};
    dp_apps_report(&catalog->apps, &catalog->report, items);
    gw_list_each(&catalog->refused, node)
    {
        const struct dp_entry *entry = gw_container_of(node, struct dp_entry, in_refused);
        const struct dp_form *form = entry->next ? entry->next : entry->good;
        items[ret->count++] =
            (struct dp_refused){entry->kind, entry->name.ptr,
                                gw_arena_strdup(&catalog->report, entry->reason), form->revision};
    }
    qsort(items, count, sizeof items[0], by_kind_and_name);
}

static int check(const struct dp_catalog *catalog, const struct dp_update *update,
                 struct gw_error *err)
{
    if (update->cluster_id.len == 0 || update->cluster_id.len > DP_COMPILE_CLUSTER_MAX)
        return gw_fail_field(err, "cluster_id", "must have 1 to %d bytes", DP_COMPILE_CLUSTER_MAX);
    if (update->revision < 1)
        return gw_fail_field(err, "revision", "must be positive");
    if (update->base_revision < 0 || update->base_revision > update->revision)
        return gw_fail_field(err, "base_revision", "must be 0 to revision");
    if (update->base_revision == 0)
        return 0;
    if (update->base_revision != catalog->revision ||
        !gw_str_eq(update->cluster_id, dp_catalog_cluster_id(catalog)))
        return gw_fail(err, GW_FAILED_PRECONDITION,
                       "the change is relative to revision %lld, "
                       "this agent has revision %lld",
                       (long long)update->base_revision, (long long)catalog->revision);
    return 0;
}

int dp_catalog_apply(struct dp_catalog *catalog, const struct dp_update *update,
                     struct dp_snapshot **ret_snapshot, struct dp_refusals *ret,
                     struct gw_error *err)
{
    if (check(catalog, update, err) < 0)
        return -1;
    take(catalog, update);
    compile_parts(catalog, KIND(CERTIFICATE));
    compile_parts(catalog, KIND(TICKET_KEYS));
    compile_parts(catalog, KIND(SETTINGS));
    compile_parts(catalog, KIND(GROUP));
    compile_parts(catalog, KIND(CHANNEL));
    compile_parts(catalog, KIND(POLICY));
    dp_apps_compile(catalog, update->revision);
    compile_routes(catalog);
    dp_branches_grow(catalog);
    char *cluster_id = gw_calloc(1, update->cluster_id.len + 1);
    memcpy(cluster_id, update->cluster_id.ptr, update->cluster_id.len);
    free(catalog->cluster_id);
    catalog->cluster_id = cluster_id;
    catalog->revision = update->revision;
    *ret_snapshot = dp_snapshot_assemble(catalog);
    report(catalog, ret);
    gw_arena_reset(&catalog->scratch);
    return 0;
}

struct each_form {
    bool is_good; /* else those that wait */
    bool has_stopped;
    dp_catalog_fn *fn;
    void *arg;
};

static void visit_form(const struct dp_trie_item *item, void *arg)
{
    struct each_form *each = arg;
    const struct dp_entry *entry = (const struct dp_entry *)item;
    const struct dp_form *form = each->is_good ? entry->good : entry->next;
    if (form && !each->has_stopped)
        each->has_stopped = !each->fn(each->arg, gw_str_n(form->bytes, form->len));
}

static void each_form(const struct dp_catalog *catalog, bool is_good, dp_catalog_fn *fn, void *arg)
{
    struct each_form each = {is_good, false, fn, arg};
    for (unsigned kind = 0; kind < DP_KINDS; kind++)
        dp_trie_each(catalog->entries[kind], visit_form, &each);
}

void dp_catalog_each(const struct dp_catalog *catalog, dp_catalog_fn *fn, void *arg)
{
    if (dp_apps_each(catalog, fn, arg))
        each_form(catalog, true, fn, arg);
}

void dp_catalog_each_refused(const struct dp_catalog *catalog, dp_catalog_fn *fn, void *arg)
{
    if (dp_apps_each_refused(&catalog->apps, fn, arg))
        each_form(catalog, false, fn, arg);
}

static void add_digest(const struct dp_trie_item *item, void *arg)
{
    gw_str newest = dp_entry_newest((const struct dp_entry *)item);
    if (newest.ptr)
        gw_content_digest_add(arg, dp_entry_digest(newest));
}

struct gw_content_digest dp_catalog_digest(const struct dp_catalog *catalog)
{
    struct gw_content_digest sum = {{0, 0}};
    for (unsigned kind = 0; kind < DP_KINDS; kind++)
        dp_trie_each(catalog->entries[kind], add_digest, &sum);
    dp_apps_digest(&catalog->apps, &sum);
    return sum;
}
