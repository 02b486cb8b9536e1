/* SPDX-License-Identifier: Apache-2.0 */
/* Changes response headers, whoever made the response. First in the chain,
 * so last on the way back. */
#include "dataplane/exchange.h"
#include "dataplane/filters/filters.h"

#include "penstock/agent/v1/agent.pb-c.h"

#define ACTIONS_MAX 10
#define NAME_BYTES_MAX 128
#define VALUE_BYTES_MAX 1024

/* The field is valid, and has its id: compile has seen to it. */
typedef void apply_fn(struct dp_headers *headers, const struct dp_header *field);

struct action {
    struct dp_header field;
    apply_fn *apply;
};

struct response_headers {
    unsigned count;
    struct action actions[];
};

static void apply_delete(struct dp_headers *headers, const struct dp_header *field)
{
    (void)dp_headers_remove_named(headers, field->name); /* however many there were */
}

static void apply_add(struct dp_headers *headers, const struct dp_header *field)
{
    dp_headers_append(headers, field->name, field->value);
}

static void apply_skip(struct dp_headers *headers, const struct dp_header *field)
{
    if (!dp_headers_find(headers, field->name))
        apply_add(headers, field);
}

static bool is_named(const struct dp_header *header, gw_str name)
{
    return gw_str_eq_nocase(header->name, name);
}

/* "v1,v2,new" in one field. Set-Cookie is the one field whose values cannot share a line (RFC 9110
 * 5.3): there it gets a line of its own. */
static void apply_append(struct dp_headers *headers, const struct dp_header *field)
{
    struct dp_header joined = *field;
    for (unsigned i = 0; i < headers->count; i++)
        joined.value.len +=
            is_named(&headers->items[i], field->name) ? headers->items[i].value.len + 1 : 0;
    if (joined.value.len == field->value.len || field->id == DP_HEADER_SET_COOKIE) {
        apply_add(headers, field);
        return;
    }
    char *at = gw_arena_bytes(headers->arena, joined.value.len);
    joined.value.ptr = at;
    for (unsigned i = 0; i < headers->count; i++) {
        gw_str old = headers->items[i].value;
        if (!is_named(&headers->items[i], field->name))
            continue;
        memcpy(at, old.ptr, old.len);
        at += old.len;
        *at++ = ',';
    }
    memcpy(at, field->value.ptr, field->value.len);
    dp_headers_put(headers, &joined);
}

static apply_fn *function_of(Penstock__Agent__V1__HeaderActionType type)
{
    switch (type) {
    case PENSTOCK__AGENT__V1__HEADER_ACTION_TYPE__HEADER_ACTION_TYPE_OVERRIDE:
        return dp_headers_put;
    case PENSTOCK__AGENT__V1__HEADER_ACTION_TYPE__HEADER_ACTION_TYPE_APPEND:
        return apply_append;
    case PENSTOCK__AGENT__V1__HEADER_ACTION_TYPE__HEADER_ACTION_TYPE_DELETE:
        return apply_delete;
    case PENSTOCK__AGENT__V1__HEADER_ACTION_TYPE__HEADER_ACTION_TYPE_SKIP:
        return apply_skip;
    case PENSTOCK__AGENT__V1__HEADER_ACTION_TYPE__HEADER_ACTION_TYPE_ADD:
        return apply_add;
    default:
        return NULL;
    }
}

static bool has_prefix_nocase(gw_str s, gw_str prefix)
{
    return s.len >= prefix.len && gw_str_eq_nocase(gw_str_n(s.ptr, prefix.len), prefix);
}

/* What frames the message, identifies it, or is another policy's to say. */
static bool is_protected(gw_str name)
{
    if (has_prefix_nocase(name, GW_STR("x-apig-")) ||
        has_prefix_nocase(name, GW_STR("access-control-")))
        return true;
    switch (dp_header_id_from(name)) {
    case DP_HEADER_X_REQUEST_ID:
    case DP_HEADER_CONNECTION:
    case DP_HEADER_CONTENT_LENGTH:
    case DP_HEADER_TRANSFER_ENCODING:
    case DP_HEADER_TE:
    case DP_HEADER_TRAILER:
    case DP_HEADER_UPGRADE:
    case DP_HEADER_KEEP_ALIVE:
    case DP_HEADER_PROXY_CONNECTION:
    case DP_HEADER_PROXY_AUTHENTICATE:
    case DP_HEADER_PROXY_AUTHORIZATION:
    case DP_HEADER_HTTP2_SETTINGS:
        return true;
    default:
        return false;
    }
}

static int add_action(struct gw_arena *arena, struct response_headers *conf,
                      const Penstock__Agent__V1__HeaderAction *source, struct gw_error *err)
{
    gw_str name = gw_str_from(source->name), value = gw_str_trim(gw_str_from(source->value));
    if (name.len > NAME_BYTES_MAX || value.len > VALUE_BYTES_MAX ||
        !dp_header_is_valid(name, value))
        return gw_fail_field(err, "response_headers.headers", "%.64s is no valid header",
                             source->name);
    if (is_protected(name))
        return gw_fail_field(err, "response_headers.headers", "%.64s cannot be changed",
                             source->name);
    apply_fn *apply = function_of(source->action);
    if (!apply)
        return gw_fail_field(err, "response_headers.headers.action", "is not known: %d",
                             (int)source->action);
    conf->actions[conf->count++] = (struct action){
        {gw_arena_dup(arena, name), gw_arena_dup(arena, value), (uint16_t)dp_header_id_from(name)},
        apply};
    return 0;
}

static int compile(const struct dp_compile *compile, const ProtobufCMessage *message,
                   const void **ret_conf, struct gw_error *err)
{
    const Penstock__Agent__V1__Policy *policy = (const Penstock__Agent__V1__Policy *)message;
    const Penstock__Agent__V1__ResponseHeaders *source = policy->response_headers;
    size_t count = source->n_headers;
    if (count == 0 || count > ACTIONS_MAX)
        return gw_fail_field(err, "response_headers.headers", "must have 1 to %d entries",
                             ACTIONS_MAX);
    struct response_headers *conf =
        gw_arena_zalloc(compile->arena, sizeof *conf + count * sizeof conf->actions[0]);
    for (size_t i = 0; i < count; i++) {
        if (add_action(compile->arena, conf, source->headers[i], err) < 0)
            return -1;
    }
    *ret_conf = conf;
    return 0;
}

static enum dp_verdict on_response(struct dp_exchange *x, const void *conf_ptr, void *scratch)
{
    (void)scratch;
    const struct response_headers *conf = conf_ptr;
    for (unsigned i = 0; i < conf->count; i++) {
        const struct action *action = &conf->actions[i];
        action->apply(&x->response.head.headers, &action->field);
    }
    return DP_NEXT;
}

const struct dp_filter dp_filter_response_headers = {
    .name = "response_headers",
    .policy_kind = PENSTOCK__AGENT__V1__POLICY__KIND_RESPONSE_HEADERS,
    .compile = compile,
    .on_response = on_response,
};
