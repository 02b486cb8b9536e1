/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/http/json_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define BEARER "Bearer "

/* The whole header; empty when it is not there. */
static gw_str header(struct cp_json_exchange *exchange, struct lws *wsi,
                     enum lws_token_indexes token)
{
    int len = lws_hdr_total_length(wsi, token);
    if (len <= 0)
        return GW_STR_NONE;
    char *text = gw_arena_bytes(&exchange->arena, (size_t)len + 1);
    int got = lws_hdr_copy(wsi, text, len + 1, token);
    return got < 0 ? GW_STR_NONE : gw_str_trim(gw_str_n(text, (size_t)got));
}

static int bad_head(struct cp_json_exchange *exchange, unsigned status, const char *why)
{
    exchange->closes = exchange->lingers = true; /* where the next request begins is not certain */
    (void)gw_fail(&exchange->err, GW_INVALID_ARGUMENT, "%s", why);
    return cp_json_refuse(exchange, status, CP_JSON_REFUSED_HEAD);
}

static enum cp_json_verb verb_of(struct lws *wsi)
{
    static const enum lws_token_indexes tokens[] = {WSI_TOKEN_GET_URI, WSI_TOKEN_POST_URI,
                                                    WSI_TOKEN_PATCH_URI, WSI_TOKEN_DELETE_URI};
    for (size_t i = 0; i < GW_ARRAY_LEN(tokens); i++)
        if (lws_hdr_total_length(wsi, tokens[i]) > 0)
            return (enum cp_json_verb)i;
    return CP_JSON_NO_VERB;
}

static int read_parameters(struct cp_json_exchange *exchange, struct lws *wsi)
{
    struct cp_json_parameter *list =
        GW_ARENA_ARRAY(&exchange->arena, struct cp_json_parameter, CP_JSON_PARAMETERS_MAX);
    size_t count = 0;
    for (int len; (len = lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, (int)count)) > 0;) {
        if (count == CP_JSON_PARAMETERS_MAX)
            return bad_head(exchange, 400, "too many query parameters");
        char *text = gw_arena_bytes(&exchange->arena, (size_t)len + 1);
        int got = lws_hdr_copy_fragment(wsi, text, len + 1, WSI_TOKEN_HTTP_URI_ARGS, (int)count);
        gw_str value = gw_str_n(text, got > 0 ? (size_t)got : 0);
        list[count].name = gw_str_split(&value, '=');
        list[count++].value = value;
    }
    exchange->input.parameters = list;
    exchange->input.parameter_count = count;
    return 0;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 ==
               IN_LOOPBACKNET;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
}

/* As gRPC writes it, in whose form others read it. */
static const char *peer_text(struct gw_arena *arena, const struct sockaddr_storage *address)
{
    char text[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    bool is_v6 = address->ss_family == AF_INET6;
    if (is_v6 && !IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
        return gw_arena_printf(arena, "ipv6:%%5B%s%%5D:%u", text, ntohs(v6->sin6_port)).ptr;
    }
    const void *bytes = is_v6 ? (const void *)&v6->sin6_addr.s6_addr[12] : &v4->sin_addr;
    inet_ntop(AF_INET, bytes, text, sizeof(text));
    return gw_arena_printf(arena, "ipv4:%s:%u", text, ntohs(is_v6 ? v6->sin6_port : v4->sin_port))
        .ptr;
}

static void read_peer(struct cp_json_exchange *exchange, struct lws *wsi)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    exchange->caller.peer = "unknown";
    if (getpeername(lws_get_socket_fd(wsi), (struct sockaddr *)&address, &len) ||
        (address.ss_family != AF_INET && address.ss_family != AF_INET6))
        return;
    exchange->caller.is_loopback = is_loopback(&address);
    exchange->caller.peer = peer_text(&exchange->arena, &address);
}

static int read_caller(struct cp_json_exchange *exchange, struct lws *wsi)
{
    gw_str authorization = header(exchange, wsi, WSI_TOKEN_HTTP_AUTHORIZATION);
    if (lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, 1) > 0)
        return bad_head(exchange, 400, "Authorization stands twice");
    size_t n = sizeof(BEARER) - 1;
    if (authorization.len > n && gw_str_eq_nocase(gw_str_n(authorization.ptr, n), GW_STR(BEARER))) {
        gw_str token = gw_str_trim(gw_str_n(authorization.ptr + n, authorization.len - n));
        exchange->caller.bearer = gw_arena_dup(&exchange->arena, token).ptr;
    }
    read_peer(exchange, wsi);
    exchange->caller.deadline_ms = gw_clock_monotonic_ms() + CP_JSON_CALL_MS;
    if (exchange->server->tls)
        cp_json_tls_identify(lws_get_ssl(wsi), &exchange->arena, &exchange->caller);
    return 0;
}

/* How the body comes; chunks are not read. */
static int read_framing(struct cp_json_exchange *exchange, struct lws *wsi)
{
    bool has_body_verb = exchange->verb == CP_JSON_POST || exchange->verb == CP_JSON_PATCH;
    gw_str length = header(exchange, wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);
    gw_str version = header(exchange, wsi, WSI_TOKEN_HTTP);
    gw_str connection = header(exchange, wsi, WSI_TOKEN_CONNECTION);
    uint64_t bytes = 0;
    exchange->closes = !gw_str_eq(version, GW_STR("HTTP/1.1")) ||
                       gw_str_eq_nocase(connection, GW_STR("close")) ||
                       (has_body_verb && !length.len);
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0)
        return bad_head(exchange, 411, "bodies need a Content-Length: chunks are not taken");
    if (lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, 1) > 0 ||
        (length.len && gw_str_to_u64(length, INT64_MAX, &bytes)))
        return bad_head(exchange, 400, "Content-Length is not one number");
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_ENCODING) > 0)
        return bad_head(exchange, 415, "bodies are taken as they are: no Content-Encoding");
    if (bytes > CP_JSON_BODY_MAX_BYTES) {
        exchange->closes = exchange->lingers = true;
        (void)gw_fail(&exchange->err, GW_RESOURCE_EXHAUSTED,
                      "the body has %llu bytes; the limit is %d", (unsigned long long)bytes,
                      CP_JSON_BODY_MAX_BYTES);
        return cp_json_refuse(exchange, 413, CP_JSON_REFUSED_TOO_LARGE);
    }
    exchange->body_bytes = (size_t)bytes;
    exchange->expects_continue =
        gw_str_eq_nocase(header(exchange, wsi, WSI_TOKEN_HTTP_EXPECT), GW_STR("100-continue"));
    return 0;
}

int cp_json_head_read(struct cp_json_exchange *exchange, struct lws *wsi, gw_str path)
{
    exchange->is_head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    exchange->verb = exchange->is_head ? CP_JSON_GET : verb_of(wsi);
    exchange->path = gw_arena_dup(&exchange->arena, path);
    exchange->host = header(exchange, wsi, WSI_TOKEN_HOST);
    exchange->origin = header(exchange, wsi, WSI_TOKEN_ORIGIN);
    exchange->content_type = header(exchange, wsi, WSI_TOKEN_HTTP_CONTENT_TYPE);
    if (read_framing(exchange, wsi) || read_caller(exchange, wsi))
        return -1;
    return read_parameters(exchange, wsi);
}
