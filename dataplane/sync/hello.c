/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/hello.h"

#include "common/message.h"

#include <stdio.h>

#define AGENT_ID_MAX 128
#define LABEL_KEY_MAX 63
#define LABEL_VALUE_MAX 255

static int parse_endpoint(struct dp_endpoint_name *endpoint, gw_str text, struct gw_error *err)
{
    const char *colon = NULL;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == ':')
            colon = text.ptr + i;
    gw_str host = gw_str_n(text.ptr, colon ? (size_t)(colon - text.ptr) : 0);
    gw_str port = colon ? gw_str_n(colon + 1, text.len - host.len - 1) : GW_STR_NONE;
    uint64_t number = 0;
    snprintf(endpoint->text, sizeof(endpoint->text), "%.*s", GW_STR_ARG(text));
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = gw_str_n(host.ptr + 1, host.len - 2);
    if (host.len == 0 || host.len >= sizeof(endpoint->host) ||
        gw_str_to_u64(port, 65535, &number) < 0 || number == 0)
        return gw_fail_field(err, "controlplane", "\"%.*s\" is not host:port", GW_STR_ARG(text));
    snprintf(endpoint->host, sizeof(endpoint->host), "%.*s", GW_STR_ARG(host));
    snprintf(endpoint->port, sizeof(endpoint->port), "%.*s", GW_STR_ARG(port));
    return 0;
}

static int parse_endpoints(struct dp_hello *hello, gw_str list, struct gw_error *err)
{
    while (list.ptr) {
        gw_str text = gw_str_trim(gw_str_split(&list, ','));
        if (hello->endpoint_count == DP_CLIENT_ENDPOINTS_MAX)
            return gw_fail_field(err, "controlplane", "more than %d", DP_CLIENT_ENDPOINTS_MAX);
        if (parse_endpoint(&hello->endpoints[hello->endpoint_count], text, err) < 0)
            return -1;
        hello->endpoint_count++;
    }
    return 0;
}

static int parse_label(struct dp_hello *hello, gw_str pair, struct gw_error *err)
{
    gw_str value = pair, key = gw_str_split(&value, '=');
    if (!value.ptr || key.len == 0 || key.len > LABEL_KEY_MAX || value.len > LABEL_VALUE_MAX)
        return gw_fail_field(err, "labels", "\"%.*s\" is not key=value (%d and %d bytes)",
                             GW_STR_ARG(pair), LABEL_KEY_MAX, LABEL_VALUE_MAX);
    if (hello->label_count == DP_CLIENT_LABELS_MAX)
        return gw_fail_field(err, "labels", "more than %d", DP_CLIENT_LABELS_MAX);
    Penstock__Agent__V1__Hello__LabelsEntry *entry = &hello->labels[hello->label_count];
    penstock__agent__v1__hello__labels_entry__init(entry);
    entry->key = (char *)gw_arena_dup(&hello->arena, key).ptr;
    entry->value = (char *)gw_arena_dup(&hello->arena, value).ptr;
    hello->label_ptrs[hello->label_count++] = entry;
    return 0;
}

static bool is_agent_id(gw_str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '-' || c == '_';
        if (!good)
            return false;
    }
    return id.len > 0 && id.len <= AGENT_ID_MAX;
}

int dp_hello_parse(struct dp_hello *hello, const struct dp_sync_options *options,
                   struct gw_error *err)
{
    *hello = (struct dp_hello){0};
    gw_arena_init(&hello->arena, 1024);
    if (!is_agent_id(gw_str_from(options->agent_id)))
        return gw_fail_field(err, "agent-id", "\"%s\" is not 1 to %d of a-z A-Z 0-9 . - _",
                             options->agent_id, AGENT_ID_MAX);
    if (parse_endpoints(hello, gw_str_from(options->controlplane), err) < 0)
        return -1;
    gw_str labels = gw_str_from(options->labels);
    while (labels.ptr) {
        gw_str pair = gw_str_trim(gw_str_split(&labels, ','));
        if (pair.len > 0 && parse_label(hello, pair, err) < 0)
            return -1;
    }
    return 0;
}

void dp_hello_done(struct dp_hello *hello)
{
    gw_arena_done(&hello->arena);
}

gw_str dp_hello_pack(const struct dp_hello *hello, const struct dp_sync_options *options,
                     gw_str cluster_id, int64_t revision, struct gw_content_digest digest,
                     struct gw_arena *arena)
{
    static char *kinds[] = {"group", "route",       "channel",     "policy",
                            "app",   "certificate", "ticket_keys", "settings"};
    Penstock__Agent__V1__Hello body = PENSTOCK__AGENT__V1__HELLO__INIT;
    Penstock__Agent__V1__AgentMessage message = PENSTOCK__AGENT__V1__AGENT_MESSAGE__INIT;
    body.agent_id = (char *)(uintptr_t)options->agent_id;
    body.version = PENSTOCK_VERSION;
    body.n_labels = hello->label_count;
    body.labels = (Penstock__Agent__V1__Hello__LabelsEntry **)(uintptr_t)hello->label_ptrs;
    body.cluster_id = (char *)gw_arena_dup(arena, cluster_id).ptr;
    body.revision = revision;
    if (revision > 0)
        body.content_digest = (ProtobufCBinaryData){sizeof digest.words, (uint8_t *)digest.words};
    body.n_kinds = GW_ARRAY_LEN(kinds);
    body.kinds = kinds;
    body.takes_debug_calls = true;
    body.refuses_unknown = true;
    message.kind_case = PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_HELLO;
    message.hello = &body;
    return gw_message_pack(arena, &message.base);
}
