/* SPDX-License-Identifier: Apache-2.0 */
/* Groups, channels and policies; the checks that others need as well. */
#include "dataplane/chain.h"
#include "dataplane/snapshot/parts.h"
#include "dataplane/upstream/endpoint.h"

#include <stdio.h>
#include <stdlib.h>

#define HOST_BYTES_MAX 253
#define BLOCK_BYTES 512 /* most units are small */

/* ---- checks */

int dp_compile_check_name(const char *name, const char *prefix, struct gw_error *err)
{
    gw_str text = gw_str_from(name);
    size_t prefix_len = strlen(prefix);
    if (text.len <= prefix_len || strncmp(name, prefix, prefix_len) != 0)
        return gw_fail_field(err, "name", "must start with %s", prefix);
    if (text.len > DP_COMPILE_NAME_MAX)
        return gw_fail_field(err, "name", "must be at most %d bytes", DP_COMPILE_NAME_MAX);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f)
            return gw_fail_field(err, "name", "must be printable ASCII without blanks");
    }
    return 0;
}

int dp_compile_check_text(const char *text, const char *field, struct gw_error *err)
{
    if (strlen(text) > DP_COMPILE_TEXT_MAX)
        return gw_fail_field(err, field, "must be at most %d bytes", DP_COMPILE_TEXT_MAX);
    return 0;
}

static bool is_host_byte(char c)
{
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return is_letter || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

bool dp_compile_is_host(gw_str host)
{
    struct dp_address address;
    if (dp_address_parse(host, &address) == 0)
        return true;
    for (size_t i = 0; i < host.len; i++) {
        bool ends_label = host.ptr[i] == '.' && (i == 0 || host.ptr[i - 1] == '.');
        if (!is_host_byte(host.ptr[i]) || ends_label)
            return false;
    }
    return host.len > 0 && host.len <= HOST_BYTES_MAX;
}

struct dp_name_hash dp_compile_name_hash(const struct dp_parts *parts, gw_str name)
{
    struct dp_name_hash hash;
    dp_siphash(&parts->secret, name, hash.words);
    return hash;
}

/* ---- group */

/* In lower case, without a dot at the end. */
gw_str dp_compile_fold_host(struct gw_arena *arena, const char *text)
{
    char *copy = gw_arena_strdup(arena, text);
    size_t len = strlen(copy);
    for (size_t i = 0; i < len; i++) {
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] = (char)(copy[i] | 0x20);
    }
    return gw_str_n(copy, len > 0 && copy[len - 1] == '.' ? len - 1 : len);
}

static int add_host(struct dp_group_unit *group, gw_str *hosts, const char *text, const char *field,
                    struct gw_error *err)
{
    gw_str host = dp_compile_fold_host(group->unit.arena, text), name = host;
    if (gw_str_has_prefix(host, GW_STR("*.")))
        name = gw_str_n(host.ptr + 2, host.len - 2);
    if (!dp_compile_is_host(name))
        return gw_fail_field(err, field, "is no domain: %.64s", text);
    bool is_debug = group->has_debug && group->host_count == 0;
    group->values[group->host_count] = is_debug ? &group->debug : &group->domain;
    hosts[group->host_count++] = host;
    return 0;
}

static int compile_hosts(struct dp_group_unit *unit, const Penstock__Agent__V1__Group *group,
                         struct gw_error *err)
{
    if (group->n_domains > DP_COMPILE_DOMAINS_MAX)
        return gw_fail_field(err, "domains", "must be at most %d", DP_COMPILE_DOMAINS_MAX);
    gw_str *hosts = GW_ARENA_ARRAY(unit->unit.arena, gw_str, group->n_domains + 2);
    unit->hosts = hosts;
    unit->values = GW_ARENA_ARRAY(unit->unit.arena, const struct dp_host *, group->n_domains + 2);
    unit->has_debug = group->debug_domain[0] != '\0';
    if (unit->has_debug && add_host(unit, hosts, group->debug_domain, "debug_domain", err) < 0)
        return -1;
    for (size_t i = 0; i < group->n_domains; i++) {
        char field[32];
        (void)snprintf(field, sizeof field, "domains[%zu]", i);
        if (add_host(unit, hosts, group->domains[i], field, err) < 0)
            return -1;
    }
    if (group->is_default) {
        unit->values[unit->host_count] = &unit->domain;
        hosts[unit->host_count++] = DP_HOST_DEFAULT;
    }
    return 0;
}

struct dp_unit *dp_compile_group(const struct dp_parts *parts,
                                 const Penstock__Agent__V1__Group *group, struct gw_error *err)
{
    if (dp_compile_check_name(group->name, "groups/", err) < 0)
        return NULL;
    struct dp_group_unit *unit = dp_unit_new(sizeof *unit, BLOCK_BYTES);
    unit->name = gw_arena_dup(unit->unit.arena, gw_str_from(group->name));
    unit->domain = (struct dp_host){.group = unit->name};
    unit->debug = (struct dp_host){.group = unit->name, .is_debug = true};
    if (compile_hosts(unit, group, err) == 0 &&
        dp_compile_domains_tls(parts, unit, group, err) == 0)
        return &unit->unit;
    dp_unit_unref(&unit->unit);
    return NULL;
}

/* ---- channel */

int dp_compile_check_member(const Penstock__Agent__V1__Member *member, const char *field,
                            struct gw_error *err)
{
    if (!dp_compile_is_host(gw_str_from(member->host)))
        return gw_fail_field(err, field, "has no host name or address: %.64s", member->host);
    if (member->port < 1 || member->port > UINT16_MAX)
        return gw_fail_field(err, field, "has no port from 1 to %d", UINT16_MAX);
    if (member->weight < 1 || member->weight > DP_COMPILE_WEIGHT_MAX)
        return gw_fail_field(err, field, "has no weight from 1 to %d", DP_COMPILE_WEIGHT_MAX);
    return 0;
}

static void unref_endpoint(void *endpoint)
{
    dp_endpoint_unref(endpoint);
}

struct dp_member dp_compile_member(const struct dp_parts *parts, struct dp_unit *owner,
                                   const Penstock__Agent__V1__Member *member)
{
    gw_str host = gw_str_from(member->host);
    if (host.ptr[0] == '[')
        host = gw_str_n(host.ptr + 1, host.len - 2);
    struct dp_endpoint *endpoint =
        dp_endpoint_get(parts->env->endpoints, host, (uint16_t)member->port);
    gw_arena_defer(owner->arena, unref_endpoint, endpoint);
    return (struct dp_member){endpoint, member->weight, member->backup};
}

static int check_members(const Penstock__Agent__V1__Channel *channel, struct gw_error *err)
{
    if (channel->n_members > DP_COMPILE_MEMBERS_MAX)
        return gw_fail_field(err, "members", "must be at most %d", DP_COMPILE_MEMBERS_MAX);
    for (size_t i = 0; i < channel->n_members; i++) {
        char field[32];
        (void)snprintf(field, sizeof field, "members[%zu]", i);
        if (dp_compile_check_member(channel->members[i], field, err) < 0)
            return -1;
    }
    return 0;
}

struct dp_unit *dp_compile_channel(const struct dp_parts *parts,
                                   const Penstock__Agent__V1__Channel *channel,
                                   struct gw_error *err)
{
    if (dp_compile_check_name(channel->name, "channels/", err) < 0 ||
        check_members(channel, err) < 0)
        return NULL;
    struct dp_channel_unit *unit = dp_unit_new(sizeof *unit, BLOCK_BYTES);
    struct gw_arena *arena = unit->unit.arena;
    struct dp_member *members = GW_ARENA_ARRAY(arena, struct dp_member, channel->n_members);
    for (size_t i = 0; i < channel->n_members; i++)
        members[i] = dp_compile_member(parts, &unit->unit, channel->members[i]);
    unit->channel = (struct dp_channel){
        .name = gw_arena_dup(arena, gw_str_from(channel->name)),
        .members = members,
        .member_count = (unsigned)channel->n_members,
        .cursor = gw_arena_zalloc(arena, sizeof(_Atomic uint64_t)),
    };
    return &unit->unit;
}

/* ---- policy */

static const struct dp_filter *filter_of(unsigned policy_kind)
{
    for (unsigned i = 0; i < dp_chain_filter_count; i++) {
        if (policy_kind && dp_chain_filters[i]->policy_kind == policy_kind)
            return dp_chain_filters[i];
    }
    return NULL;
}

struct dp_unit *dp_compile_policy(const struct dp_parts *parts,
                                  const Penstock__Agent__V1__Policy *policy, struct gw_error *err)
{
    if (dp_compile_check_name(policy->name, "policies/", err) < 0)
        return NULL;
    const struct dp_filter *filter = filter_of((unsigned)policy->kind_case);
    if (!filter) {
        (void)gw_fail_field(err, "kind", "is not known to this agent");
        return NULL;
    }
    struct dp_policy_unit *unit = dp_unit_new(sizeof *unit, BLOCK_BYTES);
    struct dp_compile compile = {.arena = unit->unit.arena, .limiter = parts->env->limiter};
    unit->filter = filter;
    if (filter->compile(&compile, &policy->base, &unit->conf, err) == 0)
        return &unit->unit;
    dp_unit_unref(&unit->unit);
    return NULL;
}
