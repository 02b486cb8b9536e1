/* SPDX-License-Identifier: Apache-2.0 */
/* Who may call, by source address. The list is compiled into sorted, disjoint
 * intervals: a request costs one binary search. */
#include "dataplane/exchange.h"
#include "dataplane/filters/filters.h"

#include "penstock/agent/v1/agent.pb-c.h"

#include <stdio.h>
#include <stdlib.h>

#define ADDRESSES_MAX 1000 /* entries of one policy */
#define ENTRY_BYTES_MAX 128

struct interval {
    struct dp_address first, last;
};

struct ip_access {
    bool permit;
    unsigned count;
    struct interval intervals[]; /* sorted, disjoint */
};

/* All IPv4 addresses, where they lie among the IPv6 ones. */
static const struct interval all_v4 = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
};

static int parse_block(gw_str address, gw_str prefix, struct interval *ret)
{
    uint64_t bits = 0;
    unsigned offset = gw_str_find(address, ':') < 0 ? 96 : 0;
    if (dp_address_parse(address, &ret->first) < 0 ||
        gw_str_to_u64(prefix, 128 - offset, &bits) < 0)
        return -1;
    bits += offset;
    ret->last = ret->first;
    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = bits >= 8 * (i + 1) ? 8 : bits <= 8 * i ? 0 : (unsigned)bits - 8 * i;
        uint8_t host = (uint8_t)(0xff >> kept);
        ret->first.bytes[i] &= (uint8_t)~host;
        ret->last.bytes[i] |= host;
    }
    return 0;
}

static int parse_range(gw_str first, gw_str last, struct interval *ret)
{
    if (dp_address_parse(gw_str_trim(first), &ret->first) < 0 ||
        dp_address_parse(gw_str_trim(last), &ret->last) < 0 ||
        dp_address_is_v4(&ret->first) != dp_address_is_v4(&ret->last))
        return -1;
    return dp_address_cmp(&ret->first, &ret->last) <= 0 ? 0 : -1;
}

/* "192.0.2.1", "192.0.2.0/24" or "192.0.2.1-192.0.2.9". */
static int parse_entry(gw_str text, struct interval *ret)
{
    gw_str rest = text;
    if (text.len > ENTRY_BYTES_MAX)
        return -1;
    if (gw_str_find(text, '/') >= 0) {
        gw_str address = gw_str_split(&rest, '/');
        return parse_block(address, rest, ret);
    }
    if (gw_str_find(text, '-') >= 0) {
        gw_str first = gw_str_split(&rest, '-');
        return parse_range(first, rest, ret);
    }
    if (dp_address_parse(text, &ret->first) < 0)
        return -1;
    ret->last = ret->first;
    return 0;
}

static int by_first(const void *a, const void *b)
{
    return dp_address_cmp(&((const struct interval *)a)->first,
                          &((const struct interval *)b)->first);
}

static void step(struct dp_address *address, int by)
{
    for (unsigned i = 16; i-- > 0;) {
        address->bytes[i] = (uint8_t)(address->bytes[i] + by);
        if (address->bytes[i] != (by > 0 ? 0x00 : 0xff))
            return;
    }
}

/* "::/0" means the IPv6 addresses: the IPv4 ones, which lie within, are cut out. */
static void add(struct ip_access *conf, struct interval interval)
{
    bool around_v4 = dp_address_cmp(&interval.first, &all_v4.first) < 0 &&
                     dp_address_cmp(&interval.last, &all_v4.last) > 0;
    if (!around_v4) {
        conf->intervals[conf->count++] = interval;
        return;
    }
    struct interval below = {interval.first, all_v4.first}, above = {all_v4.last, interval.last};
    step(&below.last, -1);
    step(&above.first, 1);
    conf->intervals[conf->count++] = below;
    conf->intervals[conf->count++] = above;
}

static void merge(struct ip_access *conf)
{
    unsigned kept = 0;
    qsort(conf->intervals, conf->count, sizeof conf->intervals[0], by_first);
    for (unsigned i = 1; i < conf->count; i++) {
        struct interval *before = &conf->intervals[kept];
        const struct interval *next = &conf->intervals[i];
        if (dp_address_cmp(&next->first, &before->last) > 0)
            conf->intervals[++kept] = *next;
        else if (dp_address_cmp(&next->last, &before->last) > 0)
            before->last = next->last;
    }
    conf->count = kept + 1;
}

static int compile(const struct dp_compile *compile, const ProtobufCMessage *message,
                   const void **ret_conf, struct gw_error *err)
{
    const Penstock__Agent__V1__Policy *policy = (const Penstock__Agent__V1__Policy *)message;
    const Penstock__Agent__V1__IpAccess *source = policy->ip_access;
    size_t count = source->n_addresses;
    if (count == 0 || count > ADDRESSES_MAX)
        return gw_fail_field(err, "ip_access.addresses", "must have 1 to %d entries",
                             ADDRESSES_MAX);
    struct ip_access *conf =
        gw_arena_zalloc(compile->arena, sizeof *conf + 2 * count * sizeof conf->intervals[0]);
    conf->permit = source->permit;
    for (size_t i = 0; i < count; i++) {
        struct interval interval;
        if (parse_entry(gw_str_trim(gw_str_from(source->addresses[i])), &interval) < 0) {
            char field[GW_ERROR_FIELD_MAX];
            (void)snprintf(field, sizeof field, "ip_access.addresses[%zu]", i);
            return gw_fail_field(err, field, "is no address, CIDR block or range: %.64s",
                                 source->addresses[i]);
        }
        add(conf, interval);
    }
    merge(conf);
    *ret_conf = conf;
    return 0;
}

static int in_interval(const void *key, const void *element)
{
    const struct interval *interval = element;
    if (dp_address_cmp(key, &interval->first) < 0)
        return -1;
    return dp_address_cmp(key, &interval->last) > 0;
}

static enum dp_verdict on_request(struct dp_exchange *x, const void *conf_ptr, void *scratch)
{
    (void)scratch;
    const struct ip_access *conf = conf_ptr;
    if (!dp_address_is_known(&x->request.source) || x->request.source_is_doubtful)
        return dp_exchange_refuse(x, DP_REFUSE_NO_SOURCE_ADDRESS);
    bool listed = bsearch(&x->request.source, conf->intervals, conf->count,
                          sizeof conf->intervals[0], in_interval) != NULL;
    return listed == conf->permit ? DP_NEXT : dp_exchange_refuse(x, DP_REFUSE_IP_ACCESS);
}

const struct dp_filter dp_filter_ip_access = {
    .name = "ip_access",
    .policy_kind = PENSTOCK__AGENT__V1__POLICY__KIND_IP_ACCESS,
    .compile = compile,
    .on_request = on_request,
};
