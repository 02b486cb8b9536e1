/* SPDX-License-Identifier: Apache-2.0 */
#include "integration-tests/bench/fleet_contents.h"

#include "common/map.h"
#include "dataplane/sha256.h"

#include <stdlib.h>

enum { REVISION = 2, BASE_REVISION, UPSERTS, REMOVALS, FINAL }; /* of Update */
#define KEY_NAME 2                                              /* of ResourceKey */

struct version {
    int64_t revision;
    struct gw_content_digest sum;
};

static struct gw_map digests; /* by name: struct gw_content_digest, owned */
static struct gw_content_digest sum;
static struct version versions[FLEET_VERSIONS_KEPT];
static unsigned version_count; /* ever */

static int take_varint(gw_str *rest, uint64_t *ret_value)
{
    *ret_value = 0;
    for (unsigned shift = 0; shift < 64 && rest->len > 0; shift += 7) {
        uint8_t byte = (uint8_t)*rest->ptr++;
        rest->len--;
        *ret_value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return 0;
    }
    return -1;
}

int fleet_take_field(gw_str *rest, uint64_t *ret_tag, uint64_t *ret_number, gw_str *ret_bytes)
{
    *ret_bytes = GW_STR_NONE;
    if (take_varint(rest, ret_tag) < 0 || take_varint(rest, ret_number) < 0)
        return -1;
    if ((*ret_tag & 7) == 0)
        return 0;
    if ((*ret_tag & 7) != 2 || *ret_number > rest->len)
        return -1;
    *ret_bytes = gw_str_n(rest->ptr, *ret_number);
    rest->ptr += *ret_number;
    rest->len -= *ret_number;
    return 0;
}

static void forget(gw_str name)
{
    struct gw_content_digest *digest = gw_map_get(&digests, name);
    if (!digest)
        return;
    gw_content_digest_subtract(&sum, *digest);
    free(gw_map_take(&digests, name));
}

static void forget_all(void)
{
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&digests, e));)
        free(e->value);
    gw_map_done(&digests);
    gw_map_init(&digests);
    sum = (struct gw_content_digest){{0, 0}};
}

/* A packed Resource: one message, of which the first field is its name. */
static int keep(gw_str packed)
{
    uint8_t sha256[DP_SHA256_BYTES];
    gw_str rest = packed, message, name;
    uint64_t tag, number;
    if (fleet_take_field(&rest, &tag, &number, &message) < 0 ||
        fleet_take_field(&message, &tag, &number, &name) < 0)
        return -1;
    forget(name);
    struct gw_content_digest *digest = gw_malloc(sizeof *digest);
    dp_sha256(packed, sha256);
    *digest = gw_content_digest_of(sha256);
    gw_content_digest_add(&sum, *digest);
    (void)gw_map_put(&digests, name, digest); /* there is none */
    return 0;
}

static int take_away(gw_str key)
{
    uint64_t tag, number;
    gw_str name;
    while (key.len > 0) {
        if (fleet_take_field(&key, &tag, &number, &name) < 0)
            return -1;
        if (tag >> 3 == KEY_NAME)
            forget(name);
    }
    return 0;
}

int fleet_contents_keep(gw_str update, bool is_first)
{
    uint64_t tag, number, of[FINAL + 1] = {0};
    gw_str bytes;
    for (gw_str rest = update; rest.len > 0;) {
        if (fleet_take_field(&rest, &tag, &number, &bytes) < 0)
            return -1;
        if (tag >> 3 <= FINAL)
            of[tag >> 3] = number;
    }
    if (is_first && of[BASE_REVISION] == 0)
        forget_all();
    while (update.len > 0) {
        if (fleet_take_field(&update, &tag, &number, &bytes) < 0 ||
            (tag >> 3 == UPSERTS && keep(bytes) < 0) ||
            (tag >> 3 == REMOVALS && take_away(bytes) < 0))
            return -1;
    }
    if (of[FINAL])
        versions[version_count++ % FLEET_VERSIONS_KEPT] =
            (struct version){(int64_t)of[REVISION], sum};
    return 0;
}

const struct gw_content_digest *fleet_contents_at(int64_t revision)
{
    for (unsigned i = 0; i < FLEET_VERSIONS_KEPT; i++)
        if (revision > 0 && versions[i].revision == revision)
            return &versions[i].sum;
    return NULL;
}
