/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/http/ops.h"

#include "common/log.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define COMPONENT "ops"
#define HEAD_MAX_BYTES 1024 /* of an answer */
#define HOST_MAX_BYTES 256

struct cp_ops {
    const struct cp_ops_page *pages; /* borrowed, as arg is */
    size_t page_count;
    void *arg;
    struct lws_context *context;
    unsigned port;
    atomic_bool is_stopping;
    pthread_t thread;
};

/* ---- answers ---- */

static const struct cp_ops_page *find_page(const struct cp_ops *ops, gw_str path)
{
    for (size_t i = 0; i < ops->page_count; i++)
        if (gw_str_eq(path, gw_str_from(ops->pages[i].path)))
            return &ops->pages[i];
    return NULL;
}

void cp_ops_print(struct gw_buf *body, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    int rc = gw_buf_append(body, gw_str_n(text, GW_MIN((size_t)length, sizeof(text) - 1)));
    assert(length >= 0 && rc == 0); /* no limit */
    (void)rc;
}

static unsigned fill(struct cp_ops *ops, struct lws *wsi, gw_str path, struct gw_buf *body,
                     const char **ret_type)
{
    *ret_type = "text/plain; charset=utf-8";
    bool is_read = lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0 ||
                   lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    const struct cp_ops_page *page = find_page(ops, path);
    if (!page) {
        cp_ops_print(body, "not found\n");
        return HTTP_STATUS_NOT_FOUND;
    }
    if (!is_read) {
        cp_ops_print(body, "only GET and HEAD\n");
        return HTTP_STATUS_METHOD_NOT_ALLOWED;
    }
    *ret_type = page->content_type;
    return page->write(ops->arg, body);
}

static int send_head(struct lws *wsi, unsigned status, const char *type, size_t length)
{
    unsigned char head[LWS_PRE + HEAD_MAX_BYTES];
    unsigned char *start = head + LWS_PRE, *at = start, *end = head + sizeof(head);
    if (lws_add_http_common_headers(wsi, status, type, length, &at, end))
        return -1;
    return lws_finalize_write_http_header(wsi, start, &at, end);
}

/* The whole body in one write: what the socket does not take, the library keeps and sends on. */
static int send_body(struct lws *wsi, gw_str body)
{
    gw_auto(gw_freep) unsigned char *bytes = gw_malloc(LWS_PRE + body.len);
    memcpy(bytes + LWS_PRE, body.ptr, body.len);
    int sent = lws_write(wsi, bytes + LWS_PRE, body.len, LWS_WRITE_HTTP_FINAL);
    return sent < 0 ? -1 : 0;
}

/* 0, or -1: the connection closes. */
static int answer(struct cp_ops *ops, struct lws *wsi, gw_str path)
{
    gw_auto(gw_buf_done) struct gw_buf body;
    gw_buf_init(&body, 0);
    const char *type;
    unsigned status = fill(ops, wsi, path, &body, &type);
    if (send_head(wsi, status, type, gw_buf_len(&body)))
        return -1;
    bool is_head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    if (!is_head && gw_buf_len(&body) > 0 && send_body(wsi, gw_buf_view(&body)))
        return -1;
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t length)
{
    (void)user;
    if (reason == LWS_CALLBACK_HTTP)
        return answer(lws_context_user(lws_get_context(wsi)), wsi, gw_str_n(in, length));
    if (reason == LWS_CALLBACK_HTTP_BODY)
        return -1; /* nothing here takes one */
    return 0;
}

/* ---- the library ---- */

static void on_log(int level, const char *line)
{
    static struct gw_log_limit limit;
    unsigned dropped;
    if (gw_log_allow(&limit, 5, &dropped))
        gw_log(level & LLL_ERR ? GW_LOG_ERROR : GW_LOG_WARN, COMPONENT, "libwebsockets",
               gw_kv_str("line", gw_str_n(line, strcspn(line, "\n"))),
               gw_kv_int("dropped", dropped));
}

/* "host:port", "[v6]:port", ":port". */
static int parse_listen(const char *listen, char *ret_host, uint64_t *ret_port,
                        struct gw_error *err)
{
    const char *colon = strrchr(listen, ':');
    if (!colon || gw_str_to_u64(gw_str_from(colon + 1), 65535, ret_port))
        return gw_fail_field(err, "--ops-listen", "\"%s\" is not host:port", listen);
    gw_str host = gw_str_n(listen, (size_t)(colon - listen));
    if (gw_str_has_prefix(host, GW_STR("[")) && gw_str_has_suffix(host, GW_STR("]")))
        host = gw_str_n(host.ptr + 1, host.len - 2);
    if (host.len >= HOST_MAX_BYTES)
        return gw_fail_field(err, "--ops-listen", "the host is too long");
    if (gw_str_eq(host, GW_STR("localhost")))
        host = GW_STR("127.0.0.1");
    memcpy(ret_host, host.ptr, host.len);
    ret_host[host.len] = '\0';
    return 0;
}

static int bind_port(struct cp_ops *ops, const char *host, uint64_t port, struct gw_error *err)
{
    static const struct lws_protocols protocols[] = {{.name = "http", .callback = on_event},
                                                     {.name = NULL}};
    static const struct lws_extension extensions[] = {{.name = NULL}};
    bool is_any = !*host || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
    bool is_v6 = strchr(host, ':') || !*host;
    struct lws_context_creation_info info = {
        .port = (int)port,
        .iface = is_any ? NULL : host,
        .protocols = protocols,
        .extensions = extensions,
        .options = LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND |
                   (is_v6 ? 0 : LWS_SERVER_OPTION_DISABLE_IPV6),
        .fd_limit_per_thread = CP_OPS_CONNECTIONS_MAX + 3, /* the listener, and its wake-up pipe */
        .keepalive_timeout = CP_OPS_IDLE_S,
        .timeout_secs = CP_OPS_IDLE_S,
        .user = ops,
    };
    info.options |= LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
    ops->context = lws_create_context(&info);
    if (!ops->context)
        return gw_fail(err, GW_INTERNAL, "cannot start libwebsockets");
    struct lws_vhost *vhost = lws_create_vhost(ops->context, &info);
    int bound = vhost ? lws_get_vhost_listen_port(vhost) : 0;
    if (bound <= 0) {
        lws_context_destroy(ops->context);
        return gw_fail(err, GW_UNAVAILABLE,
                       "cannot listen on %s port %d: it is in use or not an address of this host",
                       host, (int)port);
    }
    ops->port = (unsigned)bound;
    return 0;
}

static void *run(void *arg)
{
    struct cp_ops *ops = arg;
    while (!atomic_load(&ops->is_stopping) && lws_service(ops->context, 0) >= 0)
        ;
    return NULL;
}

int cp_ops_start(const char *listen, const struct cp_ops_page *pages, size_t count, void *arg,
                 struct cp_ops **ret_ops, struct gw_error *err)
{
    char host[HOST_MAX_BYTES];
    uint64_t port;
    if (parse_listen(listen, host, &port, err))
        return -1;
    struct cp_ops *ops = gw_calloc(1, sizeof(*ops));
    ops->pages = pages;
    ops->page_count = count;
    ops->arg = arg;
    if (bind_port(ops, host, port, err)) {
        free(ops);
        return -1;
    }
    int failed = pthread_create(&ops->thread, NULL, run, ops);
    if (failed)
        gw_panic("cannot start the operations thread: %s", strerror(failed));
    *ret_ops = ops;
    return 0;
}

unsigned cp_ops_port(const struct cp_ops *ops)
{
    return ops->port;
}

void cp_ops_stop(struct cp_ops *ops)
{
    if (!ops)
        return;
    atomic_store(&ops->is_stopping, true);
    lws_cancel_service(ops->context);
    pthread_join(ops->thread, NULL);
    lws_context_destroy(ops->context);
    free(ops);
}
