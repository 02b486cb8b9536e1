/* SPDX-License-Identifier: Apache-2.0 */
/* From one POST to a call: which connection, which token, which endpoint. */
#include "controlplane/store/etcd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PASSWORD_MAX 1024

/* ---- connections ---- */

static struct etcd_conn *conn_take(struct etcd *etcd)
{
    pthread_mutex_lock(&etcd->lock);
    struct etcd_conn *conn = etcd->idle;
    if (conn) {
        etcd->idle = conn->next;
        etcd->idle_count--;
    }
    pthread_mutex_unlock(&etcd->lock);
    return conn ? conn : etcd_conn_new(etcd);
}

static void conn_give(struct etcd *etcd, struct etcd_conn *conn)
{
    pthread_mutex_lock(&etcd->lock);
    bool keep = etcd->idle_count < ETCD_IDLE_CONNS_MAX;
    if (keep) {
        conn->next = etcd->idle;
        etcd->idle = conn;
        etcd->idle_count++;
    }
    pthread_mutex_unlock(&etcd->lock);
    if (!keep)
        etcd_conn_free(conn);
}

void etcd_idle_free(struct etcd *etcd)
{
    while (etcd->idle) {
        struct etcd_conn *conn = etcd->idle;
        etcd->idle = conn->next;
        etcd_conn_free(conn);
    }
}

/* ---- tokens ---- */

static int read_password(const char *path, char *ret_text, size_t *ret_len, struct gw_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, ret_text, PASSWORD_MAX);
    if (fd >= 0)
        close(fd);
    if (len < 0 || len == PASSWORD_MAX)
        return gw_fail(err, GW_UNAVAILABLE, "etcd's password file %s cannot be read%s", path,
                       len < 0 ? "" : ": it is too long");
    while (len > 0 && (ret_text[len - 1] == '\n' || ret_text[len - 1] == '\r'))
        len--;
    *ret_len = (size_t)len;
    return 0;
}

/* {"name":..,"password":..}; wiped by the caller. */
static int write_login(const struct etcd *etcd, struct gw_buf *body, struct gw_error *err)
{
    char password[PASSWORD_MAX];
    size_t len = 0;
    if (etcd->password_file && read_password(etcd->password_file, password, &len, err))
        return -1;
    (void)!gw_buf_reserve(body, 6 * (len + strlen(etcd->user)) + 64); /* it never moves */
    etcd_write(body, "{");
    etcd_write_text(body, "name", gw_str_from(etcd->user));
    etcd_write(body, ",");
    etcd_write_text(body, "password", gw_str_n(password, len));
    etcd_write(body, "}");
    explicit_bzero(password, sizeof(password));
    return 0;
}

static char *token_copy(struct etcd *etcd, struct gw_arena *arena)
{
    pthread_mutex_lock(&etcd->lock);
    char *token = etcd->token ? gw_arena_strdup(arena, etcd->token) : NULL;
    pthread_mutex_unlock(&etcd->lock);
    return token;
}

static void token_set(struct etcd *etcd, const char *token)
{
    pthread_mutex_lock(&etcd->lock);
    free(etcd->token);
    etcd->token = gw_strdup(token);
    pthread_mutex_unlock(&etcd->lock);
}

void etcd_token_drop(struct etcd *etcd, const char *token)
{
    pthread_mutex_lock(&etcd->lock);
    if (token && etcd->token && strcmp(etcd->token, token) == 0) {
        free(etcd->token);
        etcd->token = NULL;
    }
    pthread_mutex_unlock(&etcd->lock);
}

static enum etcd_fate login(struct etcd *etcd, struct etcd_conn *conn, unsigned endpoint,
                            struct gw_arena *arena, char **ret_token, struct gw_error *err)
{
    struct gw_buf body;
    struct etcd_answer answer;
    gw_buf_init(&body, 0);
    if (write_login(etcd, &body, err)) {
        gw_buf_done(&body);
        return ETCD_UNSENT;
    }
    struct etcd_request request = {.path = "/v3/auth/authenticate", .body = gw_buf_view(&body)};
    enum etcd_fate fate = etcd_post(etcd, conn, endpoint, &request, NULL, arena, &answer, err);
    explicit_bzero(body.data, body.end);
    gw_buf_done(&body);
    if (fate == ETCD_REFUSED && strstr(answer.error.text, "authentication is not enabled")) {
        *ret_token = NULL;
        return ETCD_ANSWERED;
    }
    if (fate != ETCD_ANSWERED)
        return fate == ETCD_DOUBTFUL ? ETCD_UNSENT : fate;
    if (answer.token.len == 0 || answer.token.len > ETCD_TOKEN_MAX) {
        gw_fail(err, GW_INTERNAL, "etcd's answer is not understood: no token");
        return ETCD_UNSENT;
    }
    *ret_token = gw_arena_strdup(arena, answer.token.ptr);
    token_set(etcd, *ret_token);
    return ETCD_ANSWERED;
}

enum etcd_fate etcd_token(struct etcd *etcd, struct etcd_conn *conn, unsigned endpoint,
                          struct gw_arena *arena, char **ret_token, struct gw_error *err)
{
    *ret_token = NULL;
    if (!etcd->user)
        return ETCD_ANSWERED;
    *ret_token = token_copy(etcd, arena);
    return *ret_token ? ETCD_ANSWERED : login(etcd, conn, endpoint, arena, ret_token, err);
}

/* ---- calls ---- */

enum etcd_fate etcd_attempt(struct etcd *etcd, struct etcd_conn *conn, unsigned endpoint,
                            const struct etcd_request *request, struct gw_arena *arena,
                            struct etcd_answer *ret_answer, struct gw_error *err)
{
    for (bool is_renewed = false;; is_renewed = true) {
        char *token;
        *ret_answer = (struct etcd_answer){.error.grpc_code = -1};
        enum etcd_fate fate = etcd_token(etcd, conn, endpoint, arena, &token, err);
        if (fate != ETCD_ANSWERED)
            return fate;
        fate = etcd_post(etcd, conn, endpoint, request, token, arena, ret_answer, err);
        if (fate != ETCD_REFUSED || !token || is_renewed ||
            !etcd_error_is_token(&ret_answer->error))
            return fate;
        etcd_token_drop(etcd, token);
    }
}

void etcd_prefer_next(struct etcd *etcd, unsigned endpoint)
{
    /* another thread may have moved on already */
    atomic_compare_exchange_strong(&etcd->preferred, &endpoint,
                                   (endpoint + 1) % etcd->endpoint_count);
}

enum etcd_fate etcd_call(struct etcd *etcd, const struct etcd_request *request,
                         struct gw_arena *arena, struct etcd_answer *ret_answer,
                         struct gw_error *err)
{
    struct etcd_conn *conn = conn_take(etcd);
    unsigned endpoint = atomic_load(&etcd->preferred);
    enum etcd_fate fate = ETCD_UNSENT;
    for (unsigned i = 0; i < etcd->endpoint_count; i++) {
        fate = etcd_attempt(etcd, conn, endpoint, request, arena, ret_answer, err);
        if (fate == ETCD_ANSWERED && i > 0)
            *err = GW_ERROR_NONE; /* of the endpoints before */
        if (fate == ETCD_ANSWERED || fate == ETCD_REFUSED)
            break;
        etcd_prefer_next(etcd, endpoint);
        if (fate == ETCD_DOUBTFUL && request->once)
            break;
        endpoint = (endpoint + 1) % etcd->endpoint_count;
    }
    conn_give(etcd, conn);
    return fate;
}
