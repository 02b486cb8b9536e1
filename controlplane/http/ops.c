/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/http/ops.h"

#include "controlplane/http/listen.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAD_MAX_BYTES 1024 /* of an answer */

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

/* ---- life ---- */

static int bind_port(struct cp_ops *ops, const struct cp_http_address *address,
                     struct gw_error *err)
{
    static const struct lws_protocols protocols[] = {{.name = "http", .callback = on_event},
                                                     {.name = NULL}};
    struct lws_context_creation_info info = {
        .protocols = protocols,
        .fd_limit_per_thread = CP_OPS_CONNECTIONS_MAX + 3, /* the listener, and its wake-up pipe */
        .keepalive_timeout = CP_OPS_IDLE_S,
        .timeout_secs = CP_OPS_IDLE_S,
        .user = ops,
    };
    return cp_http_bind(&info, address, &ops->context, &ops->port, err);
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
    struct cp_http_address address;
    if (cp_http_address_parse(listen, "--ops-listen", &address, err))
        return -1;
    struct cp_ops *ops = gw_calloc(1, sizeof(*ops));
    ops->pages = pages;
    ops->page_count = count;
    ops->arg = arg;
    if (bind_port(ops, &address, err)) {
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
