/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: Get and List, and what shows a stored message. resource_write.c has the rest. */
#include "controlplane/service/resource.h"

#include "common/clock.h"
#include "common/message.h"
#include "controlplane/service/fields.h"
#include "controlplane/service/pages.h"

#include <stdio.h>
#include <stdlib.h>

char *cp_etag(struct gw_arena *arena, int64_t mod_revision)
{
    return (char *)(uintptr_t)gw_arena_printf(arena, "\"%lld\"", (long long)mod_revision).ptr;
}

void cp_set_etag(struct gw_arena *arena, ProtobufCMessage *message, int64_t mod_revision)
{
    if (cp_field(message, "etag"))
        gw_message_set_text(message, "etag", cp_etag(arena, mod_revision));
}

int cp_check_etag(const char *sent, int64_t mod_revision, const char *name, struct gw_error *err)
{
    char current[32];
    (void)snprintf(current, sizeof current, "\"%lld\"", (long long)mod_revision);
    if (!*sent || strcmp(sent, current) == 0)
        return 0;
    (void)gw_fail(err, GW_ABORTED, "%s has been changed: its etag is %s, not %.40s", name, current,
                  sent);
    return gw_error_reason(err, "ETAG_MISMATCH");
}

cp_timestamp *cp_now(struct gw_arena *arena)
{
    gw_msec now = gw_clock_wall_ms();
    cp_timestamp *time = GW_ARENA_NEW(arena, cp_timestamp);
    google__protobuf__timestamp__init(time);
    time->seconds = now / 1000;
    time->nanos = (int32_t)(now % 1000) * 1000000;
    return time;
}

static int present(const struct cp_call *call, const struct cp_resource_rules *rules,
                   const struct cp_stored *stored, struct gw_error *err)
{
    cp_set_etag(call->arena, stored->message, stored->mod_revision);
    return rules->present ? rules->present(call, stored->message, err) : 0;
}

int cp_resource_get(const struct cp_call *call, const struct cp_resource_rules *rules,
                    const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                    struct gw_error *err)
{
    struct cp_stored stored;
    const char *name = gw_message_text(request, "name");
    if (cp_name_check(rules->kind, name, "name", err) < 0 ||
        cp_get(call, rules->kind, name, &stored, err) < 0 || present(call, rules, &stored, err) < 0)
        return -1;
    *ret_reply = stored.message;
    return 0;
}

/* ---- pages */

/* What one List reads. */
struct listing {
    struct cp_range range;
    unsigned long long list_hash;
    size_t page_size;
    bool is_sifted; /* not all that is read is shown */
    unsigned reads;
};

/* "groups/-": below all groups. Only parents of one level can be meant like that. */
static bool is_all(enum cp_kind_id parent_kind, const char *parent)
{
    gw_str rest = gw_str_from(parent);
    gw_str word = gw_str_split(&rest, '/');
    return gw_str_eq(word, gw_str_from(cp_kind_get(parent_kind)->word)) &&
           gw_str_eq(rest, GW_STR("-"));
}

static int find_prefix(const struct cp_call *call, enum cp_kind_id kind,
                       const ProtobufCMessage *request, gw_str *ret_prefix, struct gw_error *err)
{
    enum cp_kind_id parent_kind;
    struct cp_stored stored;
    const char *parent = cp_text_field(request, "parent");
    *ret_prefix = cp_key_prefix(call->arena, kind);
    if (!cp_kind_parent(kind, &parent_kind) || is_all(parent_kind, parent))
        return 0;
    if (cp_name_check(parent_kind, parent, "parent", err) < 0 ||
        cp_get(call, parent_kind, parent, &stored, err) < 0)
        return -1;
    *ret_prefix = cp_key_children(call->arena, kind, gw_str_from(parent));
    return 0;
}

/* Which list a page token is of: with what it asks for beside the page. */
static unsigned long long hash_of(const struct cp_call *call, const struct cp_resource_rules *rules,
                                  const ProtobufCMessage *request, gw_str prefix)
{
    if (!rules->matches)
        return gw_str_hash(prefix);
    ProtobufCMessage *asked = gw_message_copy(call->arena, request);
    *(int32_t *)gw_message_at(asked, cp_field(asked, "page_size")) = 0;
    gw_message_set_text(asked, "page_token", gw_arena_strdup(call->arena, ""));
    return gw_str_hash(gw_message_pack(call->arena, asked));
}

static int bad_token(struct gw_error *err)
{
    return gw_fail_field(err, "page_token", "is none of this list");
}

static int read_request(const struct cp_call *call, const struct cp_resource_rules *rules,
                        const ProtobufCMessage *request, struct listing *ret, struct gw_error *err)
{
    *ret = (struct listing){0};
    int32_t size = *(const int32_t *)gw_message_at(request, cp_field(request, "page_size"));
    if (size < 0)
        return gw_fail_field(err, "page_size", "must not be negative");
    ret->page_size = size ? (size_t)GW_MIN(size, CP_PAGE_SIZE_MAX) : CP_PAGE_SIZE_DEFAULT;
    if (find_prefix(call, rules->kind, request, &ret->range.prefix, err) < 0 ||
        (rules->narrow && rules->narrow(call, request, &ret->range.prefix, err) < 0))
        return -1;
    ret->list_hash = hash_of(call, rules, request, ret->range.prefix);
    ret->is_sifted = rules->matches || call->view;
    ret->range.limit = ret->is_sifted ? CP_PAGE_SIZE_MAX : ret->page_size;
    gw_str text = gw_str_from(cp_text_field(request, "page_token"));
    if (text.len == 0)
        return 0;
    struct cp_page_token token;
    if (!cp_page_token_read(call->arena, text, &token) || token.list_hash != ret->list_hash ||
        !gw_str_has_prefix(token.after_key, ret->range.prefix))
        return bad_token(err);
    ret->range.after_key = token.after_key;
    ret->range.at_revision = token.revision;
    return 0;
}

static int read_page(const struct cp_call *call, const struct listing *listing,
                     struct cp_page *ret_page, struct gw_error *err)
{
    if (cp_store_list(call->services->store, &listing->range, call->arena, ret_page, err) == 0)
        return 0;
    return err->code == GW_OUT_OF_RANGE ? cp_fail_page_expired(err) : -1;
}

/* A value that cannot be read must not hide the others: of it, the name and the etag are shown. */
static int unpack_item(const struct cp_call *call, const struct cp_resource_rules *rules,
                       const struct cp_kv *kv, gw_str name, ProtobufCMessage **ret_item,
                       struct gw_error *err)
{
    struct cp_stored stored;
    struct gw_error why = GW_ERROR_NONE;
    if (cp_unpack(call, rules->kind, kv, &stored, &why) == 0) {
        *ret_item = stored.message;
        return present(call, rules, &stored, err);
    }
    *ret_item = gw_message_new(call->arena, cp_kind_get(rules->kind)->type);
    gw_message_set_text(*ret_item, "name", (char *)(uintptr_t)gw_arena_dup(call->arena, name).ptr);
    cp_set_etag(call->arena, *ret_item, kv->mod_revision);
    return 0;
}

/* What one List shows. */
struct shown {
    ProtobufCMessage **items;
    size_t count, bytes;
};

/* Returns how many of the store's page were looked at; -1 with err. */
static int add_items(const struct cp_call *call, const struct cp_resource_rules *rules,
                     const ProtobufCMessage *request, const struct cp_page *page, size_t page_size,
                     struct shown *shown, size_t *ret_taken, struct gw_error *err)
{
    size_t at = 0;
    for (; at < page->count && shown->count < page_size && shown->bytes < CP_PAGE_BYTES_MAX; at++) {
        gw_str name;
        ProtobufCMessage *item;
        const struct cp_kv *kv = &page->kvs[at];
        if (!cp_key_parse(call->arena, kv->key, &name))
            continue; /* not ours */
        if (unpack_item(call, rules, kv, name, &item, err) < 0)
            return -1;
        if (rules->matches && !rules->matches(request, item))
            continue;
        if (call->view && !cp_view_shows(call->view, name.ptr))
            continue;
        shown->items[shown->count++] = item;
        shown->bytes += kv->value.len;
    }
    *ret_taken = at;
    return 0;
}

static bool is_full(const struct listing *listing, const struct shown *shown)
{
    return shown->count == listing->page_size || shown->bytes >= CP_PAGE_BYTES_MAX;
}

/* One prefix, from after_key on. *ret_last: the last key that was looked at, if any was;
 * *ret_stops: there is more of it, and the list ends here. */
static int read_prefix(const struct cp_call *call, const struct cp_resource_rules *rules,
                       const ProtobufCMessage *request, struct listing *listing,
                       struct shown *shown, gw_str *ret_last, bool *ret_stops, struct gw_error *err)
{
    for (;;) {
        struct cp_page page;
        size_t taken;
        if (read_page(call, listing, &page, err) < 0 ||
            add_items(call, rules, request, &page, listing->page_size, shown, &taken, err) < 0)
            return -1;
        listing->reads++;
        listing->range.at_revision = page.at.revision;
        *ret_last = taken > 0 ? page.kvs[taken - 1].key : *ret_last;
        bool is_all = taken == page.count && !page.more;
        *ret_stops = !is_all && (!listing->is_sifted || listing->reads >= CP_PAGE_READS_MAX ||
                                 taken < page.count || is_full(listing, shown));
        if (is_all || *ret_stops)
            return 0;
        listing->range.after_key = *ret_last;
    }
}

/* *ret_next: where the list goes on; NULL after the last one. */
static int read_items(const struct cp_call *call, const struct cp_resource_rules *rules,
                      const ProtobufCMessage *request, struct listing *listing, struct shown *shown,
                      char **ret_next, struct gw_error *err)
{
    size_t count = 1;
    gw_str *prefixes = &listing->range.prefix, after = listing->range.after_key;
    gw_str last = GW_STR_NONE, done = GW_STR_NONE;
    bool stops = false;
    *ret_next = NULL;
    if (call->view)
        prefixes = cp_visible_prefixes(call->arena, call->view->principal, &call->view->action,
                                       rules->kind, &count);
    for (size_t i = 0; i < count && !stops; i++) {
        gw_str prefix = prefixes[i];
        bool is_begun = gw_str_has_prefix(after, prefix);
        if ((done.ptr && gw_str_has_prefix(prefix, done)) ||
            (after.ptr && !is_begun && gw_str_cmp(prefix, after) < 0))
            continue; /* read already */
        stops = done.ptr && (is_full(listing, shown) || listing->reads >= CP_PAGE_READS_MAX);
        if (stops)
            break;
        listing->range.prefix = prefix;
        listing->range.after_key = is_begun ? after : GW_STR_NONE;
        if (read_prefix(call, rules, request, listing, shown, &last, &stops, err) < 0)
            return -1;
        done = prefix;
    }
    if (!stops)
        return 0;
    struct cp_page_token token = {listing->list_hash, listing->range.at_revision,
                                  last.ptr && gw_str_cmp(last, done) > 0 ? last : done};
    *ret_next = cp_page_token_write(call->arena, &token);
    return 0;
}

int cp_resource_list(const struct cp_call *call, const struct cp_resource_rules *rules,
                     const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                     struct gw_error *err)
{
    char *next;
    struct listing listing;
    if (call->view)
        call->view->is_kept = true;
    if (read_request(call, rules, request, &listing, err) < 0)
        return -1;
    struct shown shown = {
        .items = GW_ARENA_ARRAY(call->arena, ProtobufCMessage *, listing.page_size + 1)};
    if (read_items(call, rules, request, &listing, &shown, &next, err) < 0)
        return -1;
    ProtobufCMessage *reply = gw_message_new(call->arena, rules->list_reply);
    const ProtobufCFieldDescriptor *field = cp_field(reply, rules->list_field);
    *(size_t *)gw_message_quantifier(reply, field) = shown.count;
    *(ProtobufCMessage ***)gw_message_at(reply, field) = shown.items;
    if (next)
        gw_message_set_text(reply, "next_page_token", next);
    *ret_reply = reply;
    return 0;
}
