/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/observe/ops.h"

#include "dataplane/downstream/server.h"
#include "dataplane/net/inherited.h"
#include "dataplane/net/listener.h"

#include <stdlib.h>

#define TEXT "text/plain; charset=utf-8"

struct dp_ops {
    struct dp_server server;
    struct dp_listener listener;
    const struct dp_ops_page *pages; /* borrowed */
    size_t page_count;
    void *arg;
};

struct request {
    struct dp_downstream *downstream;
    struct dp_request_head head;
    struct gw_arena arena;
};

static void free_request(struct request *request)
{
    gw_arena_done(&request->arena);
    free(request);
}

static void answer_with(struct request *request, unsigned status, const char *type, gw_str body)
{
    struct dp_response_head head = {.status = status, .reason = dp_status_reason(status)};
    struct dp_downstream_answer answer = {.head = &head, .kind = DP_BODY_LENGTH};
    dp_headers_init(&head.headers, &request->arena);
    dp_headers_add_id(&head.headers, DP_HEADER_CONTENT_TYPE, gw_str_from(type));
    dp_headers_add_id(&head.headers, DP_HEADER_CACHE_CONTROL, GW_STR("no-store"));
    if (status == 405)
        dp_headers_append(&head.headers, GW_STR("Allow"), GW_STR("GET, HEAD"));
    answer.length = body.len;
    if (request->head.method == DP_METHOD_HEAD) {
        answer.kind = DP_BODY_NONE;
        dp_headers_add_id(&head.headers, DP_HEADER_CONTENT_LENGTH,
                          gw_arena_printf(&request->arena, "%zu", body.len));
    }
    dp_downstream_send_head(request->downstream, &answer);
    dp_downstream_send_body(request->downstream, body);
    dp_downstream_send_end(request->downstream, NULL);
}

static void send_text(struct request *request, unsigned status, const char *text)
{
    answer_with(request, status, TEXT, gw_str_from(text));
}

static void send_page(struct request *request, const struct dp_ops_page *page, void *arg)
{
    struct gw_buf body;
    gw_buf_init(&body, 0);
    unsigned status = page->write(arg, &body);
    answer_with(request, status, page->content_type, gw_buf_view(&body));
    gw_buf_done(&body);
}

static void send_index(struct request *request, const struct dp_ops *ops)
{
    gw_str text = GW_STR("there is no such page; there are:\n");
    for (size_t i = 0; i < ops->page_count; i++)
        text = gw_arena_printf(&request->arena, "%.*s%s\n", GW_STR_ARG(text), ops->pages[i].path);
    answer_with(request, 404, TEXT, text);
}

/* ---- what the connection says */

static void *on_begin(struct dp_downstream *downstream, struct dp_request_head **ret_head,
                      struct gw_arena **ret_arena)
{
    struct request *request = gw_calloc(1, sizeof(*request));
    request->downstream = downstream;
    gw_arena_init(&request->arena, 0);
    *ret_head = &request->head;
    *ret_arena = &request->arena;
    return request;
}

static void on_head(void *arg)
{
    struct request *request = arg;
    const struct dp_ops *ops = dp_downstream_owner(request->downstream);
    if (request->head.method != DP_METHOD_GET && request->head.method != DP_METHOD_HEAD) {
        send_text(request, 405, "pages can be read (GET, HEAD), nothing else\n");
        return;
    }
    for (size_t i = 0; i < ops->page_count; i++)
        if (gw_str_eq(request->head.path, gw_str_from(ops->pages[i].path))) {
            send_page(request, &ops->pages[i], ops->arg);
            return;
        }
    send_index(request, ops);
}

/* Bodies are not read; the connection drops what comes of them. */
static void on_body(void *request, gw_str data, bool last)
{
    (void)request, (void)data, (void)last;
}

static void on_fault(void *arg, enum dp_downstream_fault fault, ptrdiff_t error)
{
    struct request *request = arg;
    if (fault == DP_FAULT_GONE)
        free_request(request);
    else if (fault == DP_FAULT_BAD_HEAD)
        send_text(request, dp_h1_error_status(error), "that is no request\n");
    else
        send_text(request, 408, "that took too long\n");
}

static void on_drained(void *request)
{
    (void)request; /* an answer is whole from the start */
}

static void on_sent(void *arg)
{
    struct request *request = arg;
    dp_downstream_finish(request->downstream);
    free_request(request);
}

static const struct dp_handler handler = {
    .begin = on_begin,
    .head = on_head,
    .body = on_body,
    .fault = on_fault,
    .drained = on_drained,
    .sent = on_sent,
};

static void on_accepted(struct dp_listener *listener, int fd, const struct sockaddr *peer)
{
    struct dp_ops *ops = listener->owner;
    dp_server_accept(&ops->server, fd, &(struct dp_caller){.address = dp_address_from(peer)}, NULL);
}

/* ---- life */

static int open_listener(struct dp_ops *ops, const struct dp_ops_options *options,
                         struct gw_error *err)
{
    struct dp_listener_spec spec;
    if (dp_listener_parse(options->listen, &spec, err) < 0)
        return -1;
    int fd = dp_inherited_take(options->inherited, &spec.address, spec.port);
    if (fd < 0)
        return dp_listener_open(&ops->listener, options->loop, options->listen, err);
    dp_listener_adopt(&ops->listener, options->loop, &spec, fd);
    return 0;
}

int dp_ops_open(const struct dp_ops_options *options, struct dp_ops **ret_ops, struct gw_error *err)
{
    struct dp_ops *ops = gw_calloc(1, sizeof(*ops));
    ops->pages = options->pages;
    ops->page_count = options->page_count;
    ops->arg = options->arg;
    dp_server_init(&ops->server, options->loop, &handler, ops);
    ops->server.limits.connections_max = DP_OPS_CONNECTIONS_MAX;
    if (open_listener(ops, options, err) < 0) {
        free(ops);
        return -1;
    }
    ops->listener.accepted = on_accepted;
    ops->listener.owner = ops;
    dp_listener_start(&ops->listener);
    *ret_ops = ops;
    return 0;
}

int dp_ops_fd(const struct dp_ops *ops)
{
    return ops->listener.fd;
}

void dp_ops_hand_over(struct dp_ops *ops)
{
    dp_listener_leave(&ops->listener);
    dp_server_drain(&ops->server);
}

uint16_t dp_ops_port(const struct dp_ops *ops)
{
    return ops->listener.port;
}

void dp_ops_close(struct dp_ops *ops)
{
    if (!ops)
        return;
    dp_listener_leave(&ops->listener);
    dp_server_close(&ops->server);
    dp_loop_settle(ops->server.loop); /* connections are freed before their server */
    free(ops);
}
