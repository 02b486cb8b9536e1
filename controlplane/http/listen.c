/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/http/listen.h"

#include "common/log.h"

#define COMPONENT "http"

static void on_log(int level, const char *line)
{
    static struct gw_log_limit limit;
    unsigned dropped;
    if (gw_log_allow(&limit, 5, &dropped))
        gw_log(level & LLL_ERR ? GW_LOG_ERROR : GW_LOG_WARN, COMPONENT, "libwebsockets",
               gw_kv_str("line", gw_str_n(line, strcspn(line, "\n"))),
               gw_kv_int("dropped", dropped));
}

int cp_http_address_parse(const char *text, const char *flag, struct cp_http_address *ret_address,
                          struct gw_error *err)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (!colon || gw_str_to_u64(gw_str_from(colon + 1), 65535, &port))
        return gw_fail_field(err, flag, "\"%s\" is not host:port", text);
    gw_str host = gw_str_n(text, (size_t)(colon - text));
    if (gw_str_has_prefix(host, GW_STR("[")) && gw_str_has_suffix(host, GW_STR("]")))
        host = gw_str_n(host.ptr + 1, host.len - 2);
    if (host.len >= sizeof(ret_address->host))
        return gw_fail_field(err, flag, "the host is too long");
    if (gw_str_eq(host, GW_STR("localhost")))
        host = GW_STR("127.0.0.1");
    memcpy(ret_address->host, host.ptr, host.len);
    ret_address->host[host.len] = '\0';
    ret_address->port = (int)port;
    return 0;
}

int cp_http_bind(struct lws_context_creation_info *info, const struct cp_http_address *address,
                 struct lws_context **ret_context, unsigned *ret_port, struct gw_error *err)
{
    static const struct lws_extension extensions[] = {{.name = NULL}};
    const char *host = address->host;
    bool is_any = !*host || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
    bool is_v6 = strchr(host, ':') || !*host;
    info->port = address->port;
    info->iface = is_any ? NULL : host;
    info->extensions = extensions;
    info->options |= LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND |
                     LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                     (is_v6 ? 0 : LWS_SERVER_OPTION_DISABLE_IPV6);
    lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
    struct lws_context *context = lws_create_context(info);
    if (!context)
        return gw_fail(err, GW_INTERNAL, "cannot start libwebsockets");
    struct lws_vhost *vhost = lws_create_vhost(context, info);
    int bound = vhost ? lws_get_vhost_listen_port(vhost) : 0;
    if (bound <= 0) {
        lws_context_destroy(context);
        return gw_fail(err, GW_UNAVAILABLE,
                       "cannot listen on %s port %d: it is in use or not an address of this host",
                       host, address->port);
    }
    *ret_context = context;
    *ret_port = (unsigned)bound;
    return 0;
}
