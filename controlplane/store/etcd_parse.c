/* SPDX-License-Identifier: Apache-2.0 */
/* One parser for every kind of answer. A table says which fields we know in which object; all
 * others are passed over, whatever they hold, so a newer etcd may say more. */
#include "common/json_text.h"
#include "controlplane/store/etcd_json.h"

#include <stdlib.h>
#include <yajl/yajl_parse.h>

#define DEPTH_MAX 16

/* Where the parser is: one per object or array that we know. */
enum where {
    SKIP,
    ANSWER,
    HEADER,
    ERROR,
    KVS, /* [KV] */
    KV,
    EVENTS, /* [EVENT] */
    EVENT,
    RESPONSES, /* [RESPONSE] of a transaction */
    RESPONSE,
    RANGE,
};

enum what {
    NOTHING,
    CLUSTER_ID,
    REVISION,
    RAFT_TERM,
    ERROR_TEXT,
    ERROR_CODE,
    COUNT,
    MORE,
    SUCCEEDED,
    LEASE_ID,
    LEASE_TTL,
    TOKEN,
    CREATED,
    CANCELLED,
    COMPACT_REVISION,
    KEY,
    VALUE,
    MOD_REVISION,
    CREATE_REVISION,
    EVENT_TYPE,
};

static const struct field {
    enum where in;
    const char *name;
    enum where opens; /* when an object or an array follows */
    enum what what;   /* when a value follows */
} fields[] = {
    {KV, "key", SKIP, KEY},
    {KV, "value", SKIP, VALUE},
    {KV, "mod_revision", SKIP, MOD_REVISION},
    {KV, "create_revision", SKIP, CREATE_REVISION},
    {EVENT, "kv", KV, NOTHING},
    {EVENT, "type", SKIP, EVENT_TYPE},
    {HEADER, "cluster_id", SKIP, CLUSTER_ID},
    {HEADER, "revision", SKIP, REVISION},
    {HEADER, "raft_term", SKIP, RAFT_TERM},
    {ANSWER, "header", HEADER, NOTHING},
    {ANSWER, "result", ANSWER, NOTHING}, /* of a stream */
    {ANSWER, "kvs", KVS, NOTHING},
    {ANSWER, "count", SKIP, COUNT},
    {ANSWER, "more", SKIP, MORE},
    {ANSWER, "succeeded", SKIP, SUCCEEDED},
    {ANSWER, "responses", RESPONSES, NOTHING},
    {ANSWER, "ID", SKIP, LEASE_ID},
    {ANSWER, "TTL", SKIP, LEASE_TTL},
    {ANSWER, "token", SKIP, TOKEN},
    {ANSWER, "created", SKIP, CREATED},
    {ANSWER, "canceled", SKIP, CANCELLED},
    {ANSWER, "cancel_reason", SKIP, ERROR_TEXT},
    {ANSWER, "compact_revision", SKIP, COMPACT_REVISION},
    {ANSWER, "events", EVENTS, NOTHING},
    {ANSWER, "error", ERROR, ERROR_TEXT}, /* an object in a stream, else a text */
    {ANSWER, "code", SKIP, ERROR_CODE},
    {ERROR, "message", SKIP, ERROR_TEXT},
    {ERROR, "grpc_code", SKIP, ERROR_CODE},
    {RESPONSE, "response_range", RANGE, NOTHING},
    {RANGE, "kvs", KVS, NOTHING},
    {RANGE, "count", SKIP, COUNT},
};

struct etcd_parser {
    yajl_handle yajl;           /* owned */
    struct gw_arena *arena;     /* borrowed */
    struct etcd_answer *answer; /* borrowed */
    enum where stack[DEPTH_MAX];
    unsigned depth;
    const struct field *field; /* of the last name; NULL: we do not know it */
    struct cp_kv *kv;          /* the one being filled */
    size_t kv_room, event_room;
    unsigned response_count;
};

static enum where where_is(const struct etcd_parser *parser)
{
    return parser->depth ? parser->stack[parser->depth - 1] : SKIP;
}

/* ---- lists ---- */

/* Room for one more zeroed element behind `count`. */
static void *grow(struct etcd_parser *parser, void *items, size_t count, size_t *room, size_t bytes)
{
    if (count == *room) {
        *room = GW_MAX(*room * 2, (size_t)16);
        void *wider = gw_arena_alloc(parser->arena, *room * bytes);
        if (count)
            memcpy(wider, items, count * bytes);
        items = wider;
    }
    memset((char *)items + count * bytes, 0, bytes);
    return items;
}

static void begin_kv(struct etcd_parser *parser)
{
    struct etcd_answer *answer = parser->answer;
    answer->kvs =
        grow(parser, answer->kvs, answer->kv_count, &parser->kv_room, sizeof(*answer->kvs));
    parser->kv = &answer->kvs[answer->kv_count++];
}

static void begin_event(struct etcd_parser *parser)
{
    struct etcd_answer *answer = parser->answer;
    answer->events = grow(parser, answer->events, answer->event_count, &parser->event_room,
                          sizeof(*answer->events));
    parser->kv = &answer->events[answer->event_count++].kv;
}

/* ---- values ---- */

/* int64 in decimal; etcd's are never below -1. */
static int to_int(gw_str text, int64_t *ret_value)
{
    uint64_t value;
    bool is_negative = text.len && text.ptr[0] == '-';
    if (is_negative)
        text = gw_str_n(text.ptr + 1, text.len - 1);
    if (gw_str_to_u64(text, INT64_MAX, &value))
        return -1;
    *ret_value = is_negative ? -(int64_t)value : (int64_t)value;
    return 0;
}

static int to_bytes(struct etcd_parser *parser, gw_str text, gw_str *ret_bytes)
{
    char *bytes = gw_arena_bytes(parser->arena, text.len / 4 * 3 + 3);
    size_t len;
    if (gw_json_unbase64(text, bytes, &len))
        return -1;
    bytes[len] = '\0';
    *ret_bytes = gw_str_n(bytes, len);
    return 0;
}

static void set_error(struct etcd_parser *parser, gw_str text)
{
    struct etcd_error *error = &parser->answer->error;
    size_t len = GW_MIN(text.len, sizeof(error->text) - 1);
    error->is_set = true;
    memcpy(error->text, text.ptr, len);
    error->text[len] = '\0';
}

static int set_kv(struct etcd_parser *parser, enum what what, gw_str text)
{
    struct cp_kv *kv = parser->kv;
    switch (what) {
    case KEY:
        return to_bytes(parser, text, &kv->key);
    case VALUE:
        return to_bytes(parser, text, &kv->value);
    case MOD_REVISION:
        return to_int(text, &kv->mod_revision);
    default:
        return to_int(text, &kv->create_revision);
    }
}

static int set_error_code(struct etcd_parser *parser, gw_str text)
{
    int64_t code;
    if (to_int(text, &code) || code < 0 || code > 16)
        return -1;
    parser->answer->error.grpc_code = (int)code;
    return 0;
}

/* A text or a number: etcd's integers come as both. */
static int set_text(struct etcd_parser *parser, enum what what, gw_str text)
{
    struct etcd_answer *answer = parser->answer;
    switch (what) {
    case KEY:
    case VALUE:
    case MOD_REVISION:
    case CREATE_REVISION:
        return set_kv(parser, what, text);
    case EVENT_TYPE:
        answer->events[answer->event_count - 1].is_delete = gw_str_eq(text, GW_STR("DELETE"));
        return 0;
    case CLUSTER_ID:
        return gw_str_to_u64(text, UINT64_MAX, &answer->at.cluster_id);
    case RAFT_TERM:
        return gw_str_to_u64(text, UINT64_MAX, &answer->raft_term);
    case REVISION:
        return to_int(text, &answer->at.revision);
    case COUNT:
        return to_int(
            text,
            &answer->counts[GW_MIN(GW_MAX(parser->response_count, 1u), (unsigned)ETCD_COUNTS_MAX) -
                            1]);
    case LEASE_ID:
        return to_int(text, &answer->id);
    case LEASE_TTL:
        return to_int(text, &answer->ttl);
    case COMPACT_REVISION:
        return to_int(text, &answer->compact_revision);
    case TOKEN:
        answer->token = gw_arena_dup(parser->arena, text);
        return 0;
    case ERROR_TEXT:
        set_error(parser, text);
        return 0;
    case ERROR_CODE:
        return set_error_code(parser, text);
    default:
        return 0;
    }
}

/* ---- what yajl calls: 0 stops it ---- */

static int on_key(void *ctx, const unsigned char *name, size_t len)
{
    struct etcd_parser *parser = ctx;
    enum where in = where_is(parser);
    gw_str text = gw_str_n((const char *)name, len);
    parser->field = NULL;
    for (unsigned i = 0; in != SKIP && i < GW_ARRAY_LEN(fields); i++)
        if (fields[i].in == in && gw_str_eq(text, gw_str_from(fields[i].name))) {
            parser->field = &fields[i];
            break;
        }
    return 1;
}

static int on_open(void *ctx)
{
    struct etcd_parser *parser = ctx;
    enum where in = where_is(parser), opens = SKIP;
    if (parser->depth == DEPTH_MAX)
        return 0;
    if (parser->depth == 0) {
        opens = ANSWER;
    } else if (in == KVS) {
        opens = KV;
        begin_kv(parser);
    } else if (in == EVENTS) {
        opens = EVENT;
        begin_event(parser);
    } else if (in == RESPONSES) {
        opens = RESPONSE;
        parser->response_count++;
    } else if (parser->field) {
        opens = parser->field->opens;
    }
    parser->stack[parser->depth++] = opens;
    parser->field = NULL;
    return 1;
}

static int on_close(void *ctx)
{
    struct etcd_parser *parser = ctx;
    parser->depth--;
    parser->field = NULL;
    return 1;
}

static int on_text(void *ctx, const unsigned char *text, size_t len)
{
    struct etcd_parser *parser = ctx;
    enum what what = parser->field ? parser->field->what : NOTHING;
    parser->field = NULL;
    return set_text(parser, what, gw_str_n((const char *)text, len)) == 0;
}

static int on_number(void *ctx, const char *text, size_t len)
{
    return on_text(ctx, (const unsigned char *)text, len);
}

static int on_boolean(void *ctx, int value)
{
    struct etcd_parser *parser = ctx;
    struct etcd_answer *answer = parser->answer;
    enum what what = parser->field ? parser->field->what : NOTHING;
    parser->field = NULL;
    if (what == MORE)
        answer->more = value;
    else if (what == SUCCEEDED)
        answer->succeeded = value;
    else if (what == CREATED)
        answer->created = value;
    else if (what == CANCELLED)
        answer->cancelled = value;
    return 1;
}

static int on_null(void *ctx)
{
    struct etcd_parser *parser = ctx;
    parser->field = NULL;
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_text,
    .yajl_start_map = on_open,
    .yajl_map_key = on_key,
    .yajl_end_map = on_close,
    .yajl_start_array = on_open,
    .yajl_end_array = on_close,
};

/* ---- the parser ---- */

struct etcd_parser *etcd_parser_new(struct gw_arena *arena, struct etcd_answer *answer)
{
    struct etcd_parser *parser = gw_calloc(1, sizeof(*parser));
    *answer = (struct etcd_answer){.error.grpc_code = -1};
    parser->arena = arena;
    parser->answer = answer;
    parser->yajl = yajl_alloc(&callbacks, NULL, parser);
    if (!parser->yajl)
        gw_panic("yajl_alloc failed");
    return parser;
}

int etcd_parser_feed(struct etcd_parser *parser, gw_str text)
{
    return yajl_parse(parser->yajl, (const unsigned char *)text.ptr, text.len) == yajl_status_ok
               ? 0
               : -1;
}

int etcd_parser_finish(struct etcd_parser *parser)
{
    return yajl_complete_parse(parser->yajl) == yajl_status_ok ? 0 : -1;
}

void etcd_parser_free(struct etcd_parser *parser)
{
    if (!parser)
        return;
    yajl_free(parser->yajl);
    free(parser);
}

int etcd_parse(gw_str text, struct gw_arena *arena, struct etcd_answer *ret_answer)
{
    struct etcd_parser *parser = etcd_parser_new(arena, ret_answer);
    int result = etcd_parser_feed(parser, text);
    if (result == 0)
        result = etcd_parser_finish(parser);
    etcd_parser_free(parser);
    return result;
}
