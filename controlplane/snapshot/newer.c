/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/snapshot/newer.h"

#include "controlplane/snapshot/build.h"
#include "controlplane/snapshot/image_internal.h"

#include <stdio.h>

#define WIRE_VARINT 0
#define WIRE_LENGTH 2

/* Fields that came while there were agents that pass over what they do not know. Later ones need
 * no row: agents refuse them. */
static const struct {
    cp_agent_kind kind;
    uint64_t field;
    const char *name;
} rows[] = {
    {CP_AGENT_KIND(APP), 6, "App.ip_access"},
};

/* Of our own bytes; false: there are none left. */
static bool take_varint(gw_str *rest, uint64_t *ret_value)
{
    *ret_value = 0;
    for (unsigned shift = 0; rest->len > 0 && shift < 64; shift += 7) {
        unsigned char byte = (unsigned char)*rest->ptr;
        rest->ptr++;
        rest->len--;
        *ret_value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

/* The next field; its bytes when it has a length. */
static bool take_field(gw_str *rest, uint64_t *ret_number, gw_str *ret_bytes)
{
    uint64_t tag, value;
    *ret_bytes = GW_STR_NONE;
    if (!take_varint(rest, &tag) || !take_varint(rest, &value))
        return false;
    *ret_number = tag >> 3;
    if ((tag & 7) == WIRE_VARINT)
        return true;
    if ((tag & 7) != WIRE_LENGTH || value > rest->len)
        return false; /* agents' messages have no others */
    *ret_bytes = gw_str_n(rest->ptr, value);
    *rest = gw_str_n(rest->ptr + value, rest->len - value);
    return true;
}

const char *cp_newer_field(gw_str packed)
{
    uint64_t kind, number;
    gw_str message, ignored;
    if (!take_field(&packed, &kind, &message))
        return NULL;
    while (take_field(&message, &number, &ignored))
        for (size_t i = 0; i < GW_ARRAY_LEN(rows); i++)
            if (rows[i].kind == kind && rows[i].field == number)
                return rows[i].name;
    return NULL;
}

/* "settings": as in Hello.kinds. Fields of Resource have the numbers of the kinds. */
static const char *word_of(unsigned kind)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(&penstock__agent__v1__resource__descriptor, kind);
    return field ? field->name : "?";
}

static void why_held(const struct cp_item *item, unsigned kinds, char *reason, size_t size)
{
    unsigned kind = cp_build_kind(item->name);
    if (kinds >> kind & 1)
        (void)snprintf(reason, size, "the agent does not know %s: upgrade it", item->newer);
    else
        (void)snprintf(reason, size, "the agent knows no resources of the kind %s: upgrade it",
                       word_of(kind));
}

/* Only when there is something is the image walked: few kinds are new, and most agents know all. */
size_t cp_image_held_back(struct cp_image *image, unsigned kinds, size_t max,
                          cp_held_back_visit *visit, void *arg)
{
    size_t count = 0, visited = 0;
    pthread_mutex_lock(&image->lock);
    for (unsigned kind = 1; kind < CP_IMAGE_KINDS; kind++)
        count += kinds >> kind & 1 ? (kinds & CP_KINDS_STRICT ? 0 : image->newer_counts[kind])
                                   : image->kind_counts[kind];
    for (struct gw_list *node = image->live.next;
         node != &image->live && visited < GW_MIN(count, max); node = node->next) {
        char reason[CP_REASON_MAX];
        const struct cp_item *item = gw_container_of(node, struct cp_item, node);
        if (cp_item_is_for(item, kinds))
            continue;
        why_held(item, kinds, reason, sizeof(reason));
        visit(arg, item->name, item->revision, reason);
        visited++;
    }
    pthread_mutex_unlock(&image->lock);
    return count;
}
