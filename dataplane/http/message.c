/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/message.h"

#include "dataplane/http/scan.h"

#define FIRST_CAPACITY 24

void dp_headers_init(struct dp_headers *headers, struct gw_arena *arena)
{
    *headers = (struct dp_headers){.arena = arena};
}

static bool may_have(const struct dp_headers *headers, enum dp_header_id id)
{
    return (headers->present >> id) & 1;
}

const struct dp_header *dp_headers_get(const struct dp_headers *headers, enum dp_header_id id)
{
    assert(id != DP_HEADER_OTHER);
    if (!may_have(headers, id))
        return NULL;
    for (unsigned i = 0; i < headers->count; i++) {
        if (headers->items[i].id == id)
            return &headers->items[i];
    }
    return NULL;
}

static bool is_named(const struct dp_header *header, enum dp_header_id id, gw_str name)
{
    return header->id == id && (id != DP_HEADER_OTHER || gw_str_eq_nocase(header->name, name));
}

static struct dp_header *find(const struct dp_headers *headers, enum dp_header_id id, gw_str name)
{
    for (unsigned i = 0; may_have(headers, id) && i < headers->count; i++) {
        if (is_named(&headers->items[i], id, name))
            return &headers->items[i];
    }
    return NULL;
}

const struct dp_header *dp_headers_find(const struct dp_headers *headers, gw_str name)
{
    return find(headers, dp_header_id_from(name), name);
}

gw_str dp_headers_value(const struct dp_headers *headers, enum dp_header_id id)
{
    const struct dp_header *header = dp_headers_get(headers, id);
    return header ? header->value : GW_STR_NONE;
}

static void grow(struct dp_headers *headers)
{
    unsigned capacity = headers->capacity ? headers->capacity * 2 : FIRST_CAPACITY;
    struct dp_header *items = gw_arena_alloc(headers->arena, capacity * sizeof(*items));
    if (headers->count > 0)
        memcpy(items, headers->items, headers->count * sizeof(*items));
    headers->items = items;
    headers->capacity = capacity;
}

static gw_str join(const struct dp_headers *headers, enum dp_header_id id)
{
    gw_str list = GW_STR_NONE;
    for (unsigned i = 0; i < headers->count; i++) {
        gw_str value = headers->items[i].value;
        if (headers->items[i].id != id || value.len == 0)
            continue;
        list = list.len == 0 ? value
                             : gw_arena_printf(headers->arena, "%.*s, %.*s", GW_STR_ARG(list),
                                               GW_STR_ARG(value));
    }
    return list;
}

gw_str dp_headers_list(const struct dp_headers *headers, enum dp_header_id id)
{
    return may_have(headers, id) ? join(headers, id) : GW_STR_NONE;
}

static bool is_valid_value(gw_str value)
{
    if (value.len == 0)
        return true;
    const char *end = value.ptr + value.len;
    return dp_scan_value(value.ptr, end) == end;
}

bool dp_header_is_valid(gw_str name, gw_str value)
{
    if (name.len == 0)
        return false;
    const char *end = name.ptr + name.len;
    return dp_scan_token(name.ptr, end) == end && is_valid_value(value);
}

static inline void append(struct dp_headers *headers, gw_str name, gw_str value,
                          enum dp_header_id id);

/* Apart, so that all the others need no stack. */
static __attribute__((noinline)) void append_grown(struct dp_headers *headers, gw_str name,
                                                   gw_str value, enum dp_header_id id)
{
    grow(headers);
    append(headers, name, value, id);
}

static inline void append(struct dp_headers *headers, gw_str name, gw_str value,
                          enum dp_header_id id)
{
    if (gw_unlikely(headers->count == headers->capacity)) {
        append_grown(headers, name, value, id);
        return;
    }
    struct dp_header *item = &headers->items[headers->count++];
    uint64_t bit = UINT64_C(1) << id;
    item->name = name;
    item->value.ptr = value.ptr ? value.ptr : ""; /* so that writers may reckon with it */
    item->value.len = value.len;
    item->id = (uint16_t)id;
    headers->bytes += name.len + value.len;
    headers->repeated |= headers->present & bit;
    headers->present |= bit;
}

void dp_headers_append(struct dp_headers *headers, gw_str name, gw_str value)
{
    append(headers, name, value, dp_header_id_from(name));
}

void dp_headers_append_as(struct dp_headers *headers, enum dp_header_id id, gw_str name,
                          gw_str value)
{
    append(headers, name, value, id);
}

void dp_headers_append_id(struct dp_headers *headers, enum dp_header_id id, gw_str value)
{
    append(headers, dp_header_name(id), value, id);
}

void dp_headers_add(struct dp_headers *headers, gw_str name, gw_str value)
{
    if (dp_header_is_valid(name, value))
        append(headers, name, value, dp_header_id_from(name));
}

void dp_headers_add_id(struct dp_headers *headers, enum dp_header_id id, gw_str value)
{
    assert(id != DP_HEADER_OTHER);
    if (is_valid_value(value))
        append(headers, dp_header_name(id), value, id);
}

/* Removes fields of that name from index `from` on; how many. */
static unsigned remove_from(struct dp_headers *headers, unsigned from, enum dp_header_id id,
                            gw_str name)
{
    unsigned kept = from;
    for (unsigned i = from; i < headers->count; i++) {
        if (!is_named(&headers->items[i], id, name))
            headers->items[kept++] = headers->items[i];
    }
    unsigned removed = headers->count - kept;
    headers->count = kept;
    return removed;
}

void dp_headers_put(struct dp_headers *headers, const struct dp_header *field)
{
    struct dp_header *first = find(headers, field->id, field->name);
    if (!first) {
        append(headers, field->name, field->value, field->id);
        return;
    }
    unsigned index = (unsigned)(first - headers->items);
    first->name = field->name;
    first->value = field->value.ptr ? field->value : GW_STR("");
    headers->bytes += field->name.len + field->value.len;
    (void)remove_from(headers, index + 1, field->id, field->name); /* any number is fine */
}

void dp_headers_put_id(struct dp_headers *headers, enum dp_header_id id, gw_str value)
{
    assert(id != DP_HEADER_OTHER);
    dp_headers_put(headers, &(struct dp_header){dp_header_name(id), value, (uint16_t)id});
}

void dp_headers_set(struct dp_headers *headers, gw_str name, gw_str value)
{
    struct dp_header field = {name, value, (uint16_t)dp_header_id_from(name)};
    if (dp_header_is_valid(name, value))
        dp_headers_put(headers, &field);
    else
        (void)remove_from(headers, 0, field.id, name); /* it need not be there */
}

unsigned dp_headers_remove(struct dp_headers *headers, enum dp_header_id id)
{
    assert(id != DP_HEADER_OTHER);
    if (!may_have(headers, id))
        return 0;
    headers->present &= ~(UINT64_C(1) << id);
    headers->repeated &= ~(UINT64_C(1) << id);
    return remove_from(headers, 0, id, GW_STR_NONE);
}

unsigned dp_headers_remove_named(struct dp_headers *headers, gw_str name)
{
    enum dp_header_id id = dp_header_id_from(name);
    return id != DP_HEADER_OTHER ? dp_headers_remove(headers, id)
                                 : remove_from(headers, 0, id, name);
}

void dp_headers_remove_set(struct dp_headers *headers, uint64_t ids)
{
    if (!(headers->present & ids))
        return;
    unsigned kept = 0;
    for (unsigned i = 0; i < headers->count; i++) {
        if ((ids >> headers->items[i].id) & 1)
            continue;
        if (kept != i)
            headers->items[kept] = headers->items[i];
        kept++;
    }
    headers->count = kept;
    headers->present &= ~ids;
    headers->repeated &= ~ids;
}

void dp_headers_copy(struct dp_headers *copy, const struct dp_headers *headers,
                     struct gw_arena *arena)
{
    dp_headers_init(copy, arena);
    if (headers->count == 0)
        return;
    copy->capacity = headers->count + 8; /* room for what a proxy adds */
    copy->items = gw_arena_alloc(arena, copy->capacity * sizeof(*copy->items));
    copy->count = headers->count;
    copy->bytes = headers->bytes;
    copy->present = headers->present;
    copy->repeated = headers->repeated;
    memcpy(copy->items, headers->items, headers->count * sizeof(*copy->items));
}

#define BIT(id) DP_HEADER_BIT(id)
#define CONNECTION_NAMES_MAX 32 /* elements of Connection that are looked at; the rest is not */

static const uint64_t hop_by_hop =
    BIT(CONNECTION) | BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) | BIT(TE) | BIT(TRANSFER_ENCODING) |
    BIT(UPGRADE) | BIT(HTTP2_SETTINGS) | BIT(PROXY_AUTHENTICATE) | BIT(PROXY_AUTHORIZATION);

/* Well-known fields that a sender may take out by naming them in Connection. The others carry
 * framing, identity or what the gateway adds: nobody may hide those from the backend. */
static const uint64_t may_be_named =
    hop_by_hop | BIT(TRAILER) | BIT(REFERER) | BIT(USER_AGENT) | BIT(ACCEPT_LANGUAGE);

static void remove_named(struct dp_headers *headers, const gw_str *names, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        enum dp_header_id id = dp_header_id_from(names[i]);
        if (id == DP_HEADER_OTHER)
            (void)remove_from(headers, 0, id, names[i]); /* it need not be there */
        else if ((may_be_named >> id) & 1)
            (void)dp_headers_remove(headers, id); /* nor this */
    }
}

/* Elements of all Connection fields. */
static unsigned collect_connection_names(const struct dp_headers *headers,
                                         gw_str names[CONNECTION_NAMES_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; i < headers->count; i++) {
        if (headers->items[i].id != DP_HEADER_CONNECTION)
            continue;
        gw_str rest = headers->items[i].value;
        while (rest.ptr && count < CONNECTION_NAMES_MAX) {
            gw_str name = gw_str_trim(gw_str_split(&rest, ','));
            if (name.len > 0)
                names[count++] = name;
        }
    }
    return count;
}

void dp_headers_strip_hop_by_hop(struct dp_headers *headers)
{
    if (!(headers->present & hop_by_hop))
        return;
    gw_str names[CONNECTION_NAMES_MAX];
    unsigned count = 0;
    if (may_have(headers, DP_HEADER_CONNECTION) && !dp_headers_only_keep_alive(headers))
        count = collect_connection_names(headers, names);
    dp_headers_remove_set(headers, hop_by_hop);
    remove_named(headers, names, count);
}

/* Of two of them one reader takes the first and another the last; each decides who somebody is,
 * what the request means or what the body is. */
static const uint64_t singletons =
    BIT(AUTHORIZATION) | BIT(PROXY_AUTHORIZATION) | BIT(CONTENT_TYPE) | BIT(CONTENT_RANGE) |
    BIT(EXPECT) | BIT(IF_MODIFIED_SINCE) | BIT(RANGE) | BIT(ORIGIN) | BIT(SEC_WEBSOCKET_KEY) |
    BIT(X_STAGE) | BIT(X_APIG_APPCODE) | BIT(X_APIG_MODE) | BIT(X_SDK_DATE) |
    BIT(X_SDK_CONTENT_SHA256) | BIT(X_AUTH_TOKEN) | BIT(X_HW_ID) | BIT(X_HW_APPKEY);

bool dp_headers_repeat_singleton(const struct dp_headers *headers)
{
    return headers->repeated & singletons;
}

/* The known name that this one is with "-" for "_", or OTHER. */
static enum dp_header_id shadowed(gw_str name)
{
    char dashed[32]; /* no known name is longer */
    if (name.len > sizeof(dashed) || !memchr(name.ptr, '_', name.len))
        return DP_HEADER_OTHER;
    for (size_t i = 0; i < name.len; i++)
        dashed[i] = name.ptr[i] == '_' ? '-' : name.ptr[i];
    return dp_header_id_from(gw_str_n(dashed, name.len));
}

void dp_headers_strip_shadows(struct dp_headers *headers)
{
    unsigned kept = 0;
    if (!may_have(headers, DP_HEADER_OTHER))
        return;
    for (unsigned i = 0; i < headers->count; i++) {
        const struct dp_header *header = &headers->items[i];
        if (header->id != DP_HEADER_OTHER || shadowed(header->name) == DP_HEADER_OTHER)
            headers->items[kept++] = *header;
    }
    headers->count = kept;
}

/* What is known and may come behind a body; and of what is in no table, what may not (RFC 9110
 * 6.5.1): framing, routing, conditions, credentials, and what says how to read the body. The end
 * "-" stands for all names that begin so. */
static const uint64_t trailers_allowed =
    BIT(OTHER) | BIT(ETAG) | BIT(SERVER) | BIT(GRPC_STATUS) | BIT(GRPC_MESSAGE);
#define NAME(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
static const gw_str never_trailers[] = {
    NAME("accept-"),
    NAME("access-control-"),
    NAME("age"),
    NAME("allow"),
    NAME("client-ip"),
    NAME("content-"),
    NAME("cookie2"),
    NAME("expires"),
    NAME("grpc-timeout"),
    NAME("if-"),
    NAME("max-forwards"),
    NAME("pragma"),
    NAME("prefer"),
    NAME("proxy-"),
    NAME("sec-"),
    NAME("set-cookie2"),
    NAME("strict-transport-security"),
    NAME("true-client-ip"),
    NAME("x-apig-"),
    NAME("x-auth-"),
    NAME("x-client-ip"),
    NAME("x-cluster-client-ip"),
    NAME("x-forwarded-"),
    NAME("x-http-method-"),
    NAME("x-hw-"),
    NAME("x-method-override"),
    NAME("x-original-"),
    NAME("x-rewrite-"),
    NAME("x-sdk-"),
};
/* Made for trailers (RFC 9530, RFC 2616 14.15). */
static const gw_str digests[] = {NAME("content-digest"), NAME("content-md5")};

static bool is_among(const gw_str *names, size_t count, gw_str name)
{
    for (size_t i = 0; i < count; i++) {
        bool is_prefix = gw_str_has_suffix(names[i], GW_STR("-"));
        if (is_prefix ? gw_str_has_prefix(name, names[i]) : gw_str_eq(name, names[i]))
            return true;
    }
    return false;
}

bool dp_header_is_for_trailers(gw_str name)
{
    char text[32]; /* longer names begin as a forbidden one does, or are none */
    gw_str plain = {text, GW_MIN(name.len, sizeof(text))};
    for (size_t i = 0; i < plain.len; i++) {
        char c = name.ptr[i];
        text[i] = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    if (dp_header_id_from(name) == DP_HEADER_OTHER && name.len <= sizeof(text) &&
        dp_header_id_from(plain) != DP_HEADER_OTHER)
        return false;
    return ((trailers_allowed >> dp_header_id_from(name)) & 1) &&
           (is_among(digests, GW_ARRAY_LEN(digests), plain) ||
            !is_among(never_trailers, GW_ARRAY_LEN(never_trailers), plain));
}

void dp_request_head_keep(struct dp_request_head *head)
{
    struct dp_headers *headers = &head->headers;
    gw_str *const texts[] = {&head->method_name, &head->target,    &head->path,
                             &head->query,       &head->authority, &head->host};
    for (size_t i = 0; i < GW_ARRAY_LEN(texts); i++)
        *texts[i] = gw_arena_dup(headers->arena, *texts[i]);
    for (unsigned i = 0; i < headers->count; i++) {
        struct dp_header *header = &headers->items[i];
        header->name = gw_arena_dup(headers->arena, header->name);
        header->value = gw_arena_dup(headers->arena, header->value);
    }
}

static bool list_has(gw_str list, gw_str token)
{
    while (list.ptr) {
        if (gw_str_eq_nocase(gw_str_trim(gw_str_split(&list, ',')), token))
            return true;
    }
    return false;
}

bool dp_headers_only_keep_alive(const struct dp_headers *headers)
{
    return !(headers->repeated & BIT(CONNECTION)) &&
           gw_str_eq(dp_headers_value(headers, DP_HEADER_CONNECTION), GW_STR("keep-alive"));
}

bool dp_headers_list_has(const struct dp_headers *headers, enum dp_header_id id, gw_str token)
{
    if (!may_have(headers, id))
        return false;
    for (unsigned i = 0; i < headers->count; i++) {
        if (headers->items[i].id == id && list_has(headers->items[i].value, token))
            return true;
    }
    return false;
}
