/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/snapshot/address_list.h"

#include <stdio.h>
#include <stdlib.h>

#define ENTRY_BYTES_MAX 128

struct interval {
    struct dp_address first, last;
};

struct dp_address_list {
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
static void add(struct dp_address_list *list, struct interval interval)
{
    bool around_v4 = dp_address_cmp(&interval.first, &all_v4.first) < 0 &&
                     dp_address_cmp(&interval.last, &all_v4.last) > 0;
    if (!around_v4) {
        list->intervals[list->count++] = interval;
        return;
    }
    struct interval below = {interval.first, all_v4.first}, above = {all_v4.last, interval.last};
    step(&below.last, -1);
    step(&above.first, 1);
    list->intervals[list->count++] = below;
    list->intervals[list->count++] = above;
}

static void merge(struct dp_address_list *list)
{
    unsigned kept = 0;
    qsort(list->intervals, list->count, sizeof list->intervals[0], by_first);
    for (unsigned i = 1; i < list->count; i++) {
        struct interval *before = &list->intervals[kept];
        const struct interval *next = &list->intervals[i];
        if (dp_address_cmp(&next->first, &before->last) > 0)
            list->intervals[++kept] = *next;
        else if (dp_address_cmp(&next->last, &before->last) > 0)
            before->last = next->last;
    }
    list->count = kept + 1;
}

int dp_address_list_compile(const Penstock__Agent__V1__IpAccess *source, struct gw_arena *arena,
                            const struct dp_address_list **ret_list, struct gw_error *err)
{
    size_t count = source->n_addresses;
    if (count == 0 || count > DP_ADDRESS_LIST_MAX)
        return gw_fail_field(err, "ip_access.addresses", "must have 1 to %d entries",
                             DP_ADDRESS_LIST_MAX);
    struct dp_address_list *list =
        gw_arena_zalloc(arena, sizeof *list + 2 * count * sizeof list->intervals[0]);
    list->permit = source->permit;
    for (size_t i = 0; i < count; i++) {
        struct interval interval;
        if (parse_entry(gw_str_trim(gw_str_from(source->addresses[i])), &interval) < 0) {
            char field[GW_ERROR_FIELD_MAX];
            (void)snprintf(field, sizeof field, "ip_access.addresses[%zu]", i);
            return gw_fail_field(err, field, "is no address, CIDR block or range: %.64s",
                                 source->addresses[i]);
        }
        add(list, interval);
    }
    merge(list);
    *ret_list = list;
    return 0;
}

static int in_interval(const void *key, const void *element)
{
    const struct interval *interval = element;
    if (dp_address_cmp(key, &interval->first) < 0)
        return -1;
    return dp_address_cmp(key, &interval->last) > 0;
}

bool dp_address_list_admits(const struct dp_address_list *list, const struct dp_address *address)
{
    bool listed = bsearch(address, list->intervals, list->count, sizeof list->intervals[0],
                          in_interval) != NULL;
    return listed == list->permit;
}
