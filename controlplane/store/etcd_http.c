/* SPDX-License-Identifier: Apache-2.0 */
/* POST to the gateway of one etcd member. HTTP/1.1 with a connection that stays open. */
#include "controlplane/store/etcd.h"

#include <stdlib.h>

#define ERROR_TEXT_MAX 2048 /* of an answer that is not 200; the rest is dropped */

/* ---- connections ---- */

static void set_tls(CURL *easy, const struct etcd *etcd)
{
    if (etcd->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, etcd->ca_file);
    if (etcd->cert_file)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, etcd->cert_file);
    if (etcd->key_file)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, etcd->key_file);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    /* renewed files count for the next connection, not a day later */
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
}

struct etcd_conn *etcd_conn_new(const struct etcd *etcd)
{
    struct etcd_conn *conn = gw_calloc(1, sizeof(*conn));
    CURL *easy = conn->easy = curl_easy_init();
    conn->multi = curl_multi_init();
    if (!easy || !conn->multi)
        gw_panic("curl_easy_init failed");
    set_tls(easy, etcd);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 128L * 1024);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)etcd->timeout_ms);
    return conn;
}

void etcd_conn_free(struct etcd_conn *conn)
{
    if (!conn)
        return;
    curl_easy_cleanup(conn->easy);
    curl_multi_cleanup(conn->multi);
    free(conn);
}

void etcd_conn_cancel(struct etcd_conn *conn)
{
    atomic_store(&conn->is_cancelled, true);
    curl_multi_wakeup(conn->multi);
}

static struct curl_slist *add_header(struct curl_slist *list, const char *header)
{
    struct curl_slist *longer = curl_slist_append(list, header);
    if (!longer)
        gw_panic("curl_slist_append failed");
    return longer;
}

struct curl_slist *etcd_post_set(CURL *easy, const char *endpoint,
                                 const struct etcd_request *request, const char *token,
                                 const char *header)
{
    struct gw_buf text;
    gw_buf_init(&text, 0);
    etcd_write(&text, "%s%s%c", endpoint, request->path, 0); /* with its NUL */
    curl_easy_setopt(easy, CURLOPT_URL, text.data);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.ptr);

    struct curl_slist *headers = add_header(NULL, "Content-Type: application/json");
    headers = add_header(headers, "Expect:");
    if (header)
        headers = add_header(headers, header);
    if (token) {
        gw_buf_clear(&text);
        etcd_write(&text, "Authorization: %s%c", token, 0);
        headers = add_header(headers, text.data);
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    gw_buf_done(&text);
    return headers;
}

/* ---- one transfer ---- */

struct transfer {
    CURL *easy;
    const struct etcd_request *request;
    struct etcd_parser *parser;
    struct gw_buf error_text; /* instead of the parser when the status is not 200 */
    size_t bytes, bytes_max;
    bool is_sent, is_too_big, is_garbled;
};

static long status_of(CURL *easy)
{
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    size_t len = size * count;
    if (status_of(transfer->easy) != 200) {
        size_t room = ERROR_TEXT_MAX - gw_buf_len(&transfer->error_text);
        (void)!gw_buf_append(&transfer->error_text, gw_str_n(bytes, GW_MIN(len, room)));
        return len;
    }
    transfer->bytes += len;
    transfer->is_too_big = transfer->bytes > transfer->bytes_max;
    if (transfer->is_too_big)
        return 0;
    transfer->is_garbled = etcd_parser_feed(transfer->parser, gw_str_n(bytes, len)) != 0;
    return transfer->is_garbled ? 0 : len;
}

/* Before the request leaves. When a kept connection turns out to be dead curl sends everything
 * again on a new one; what must happen once is ours to repeat (etcd_txn.c). */
static int on_send(void *arg, char *peer, char *local, int peer_port, int local_port)
{
    struct transfer *transfer = arg;
    (void)peer, (void)local, (void)peer_port, (void)local_port;
    if (transfer->is_sent && transfer->request->once)
        return CURL_PREREQFUNC_ABORT;
    transfer->is_sent = true;
    return CURL_PREREQFUNC_OK;
}

static CURLcode perform(struct etcd_conn *conn)
{
    CURLcode code = CURLE_ABORTED_BY_CALLBACK; /* when cancelled */
    int running = 1;
    curl_multi_add_handle(conn->multi, conn->easy);
    while (running && !atomic_load(&conn->is_cancelled)) {
        CURLMcode result = curl_multi_perform(conn->multi, &running);
        if (result == CURLM_OK && running)
            result = curl_multi_poll(conn->multi, NULL, 0, 1000, NULL);
        if (result != CURLM_OK)
            break;
    }
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(conn->multi, &left));)
        if (message->msg == CURLMSG_DONE)
            code = message->data.result;
    curl_multi_remove_handle(conn->multi, conn->easy);
    return code;
}

/* ---- what came of it ---- */

static enum etcd_fate judge(const struct transfer *transfer, struct etcd_answer *answer,
                            struct gw_error *err)
{
    long status = status_of(transfer->easy);
    if (status != 200)
        etcd_error_from_http(status, gw_buf_view(&transfer->error_text), &answer->error);
    if (!answer->error.is_set)
        return ETCD_ANSWERED;
    etcd_fail_answer(err, &answer->error);
    return etcd_error_is_final(&answer->error) ? ETCD_REFUSED : ETCD_DOUBTFUL;
}

static enum etcd_fate judge_failure(const struct transfer *transfer, struct gw_error *err)
{
    if (transfer->is_too_big) {
        gw_fail(err, GW_RESOURCE_EXHAUSTED, "etcd's answer is longer than %zu bytes",
                transfer->bytes_max);
        gw_error_reason(err, ETCD_TOO_BIG);
        return transfer->request->once ? ETCD_DOUBTFUL : ETCD_REFUSED;
    }
    gw_fail(err, GW_INTERNAL, "etcd's answer is not understood");
    return ETCD_DOUBTFUL;
}

enum etcd_fate etcd_post(struct etcd *etcd, struct etcd_conn *conn, unsigned endpoint,
                         const struct etcd_request *request, const char *token,
                         struct gw_arena *arena, struct etcd_answer *ret_answer,
                         struct gw_error *err)
{
    char detail[CURL_ERROR_SIZE] = "";
    struct transfer transfer = {
        .easy = conn->easy, .request = request, .bytes_max = etcd->answer_bytes_max};
    const char *url = etcd->endpoints[endpoint];
    gw_buf_init(&transfer.error_text, ERROR_TEXT_MAX);
    transfer.parser = etcd_parser_new(arena, ret_answer);

    struct curl_slist *headers = etcd_post_set(conn->easy, url, request, token, NULL);
    curl_easy_setopt(conn->easy, CURLOPT_TIMEOUT_MS, (long)etcd->timeout_ms);
    curl_easy_setopt(conn->easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(conn->easy, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(conn->easy, CURLOPT_PREREQFUNCTION, on_send);
    curl_easy_setopt(conn->easy, CURLOPT_PREREQDATA, &transfer);
    curl_easy_setopt(conn->easy, CURLOPT_ERRORBUFFER, detail);
    CURLcode code = perform(conn);
    curl_easy_setopt(conn->easy, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(conn->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);

    enum etcd_fate fate;
    if (code == CURLE_OK && status_of(conn->easy) == 200)
        transfer.is_garbled = etcd_parser_finish(transfer.parser) != 0;
    if (transfer.is_too_big || transfer.is_garbled) {
        fate = judge_failure(&transfer, err);
    } else if (code != CURLE_OK) {
        etcd_fail_curl(err, url, code, detail);
        fate = transfer.is_sent ? ETCD_DOUBTFUL : ETCD_UNSENT;
    } else {
        fate = judge(&transfer, ret_answer, err);
    }
    etcd_parser_free(transfer.parser);
    gw_buf_done(&transfer.error_text);
    return fate;
}
