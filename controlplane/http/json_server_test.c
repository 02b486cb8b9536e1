/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/http/json_server.h"

#include "common/message.h"
#include "common/test.h"
#include "controlplane/rpc/stream.h"
#include "penstock/admin/v1/api_group.pb-c.h"
#include "penstock/admin/v1/watch.pb-c.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOTHING "GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n"
#define GET "GET /v1/groups/a HTTP/1.1\r\nHost: x\r\n\r\n"
#define LONG_BYTES (8 * 1024 * 1024) /* more than sockets hold */
typedef Penstock__Admin__V1__ApiGroup api_group;

/* ---- handlers ---- */

/* Closed: calls wait. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_closed;
    unsigned waiting, done;
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0, 0};

static void set_gate(bool is_closed)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_closed = is_closed;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void pass_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.waiting++;
    pthread_cond_broadcast(&gate.changed);
    while (gate.is_closed)
        pthread_cond_wait(&gate.changed, &gate.lock);
    gate.waiting--;
    gate.done++;
    pthread_mutex_unlock(&gate.lock);
}

static void wait_for_waiting(unsigned count)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.waiting < count)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

/* The group of the request's name; "groups/long" is very long. */
static int get_group(void *context, const struct gw_rpc_caller *caller, struct gw_arena *arena,
                     const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                     struct gw_error *err)
{
    (void)context;
    assert_true(caller->is_loopback);
    pass_gate();
    const char *name = gw_message_text(request, "name");
    if (strcmp(name, "groups/none") == 0)
        return gw_fail(err, GW_NOT_FOUND, "there is none");
    api_group *group =
        (api_group *)gw_message_new(arena, &penstock__admin__v1__api_group__descriptor);
    group->name = gw_arena_strdup(arena, name);
    if (strcmp(name, "groups/long") == 0) {
        group->description = gw_arena_bytes(arena, LONG_BYTES + 1);
        memset(group->description, 'x', LONG_BYTES);
        group->description[LONG_BYTES] = 0;
    }
    *ret_reply = &group->base;
    return 0;
}

static atomic_uint created;

static int create_group(void *context, const struct gw_rpc_caller *caller, struct gw_arena *arena,
                        const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                        struct gw_error *err)
{
    (void)context, (void)caller, (void)err;
    atomic_fetch_add(&created, 1);
    *ret_reply = *gw_message_child((ProtobufCMessage *)(uintptr_t)request, "group");
    if (!*ret_reply)
        *ret_reply = gw_message_new(arena, &penstock__admin__v1__api_group__descriptor);
    return 0;
}

/* A stream of one message, and no end. */
static atomic_int streams_open;
static char long_text[LONG_BYTES + 1];

static int open_stream(void *context, const struct gw_rpc_caller *caller,
                       const ProtobufCMessage *request, const struct cp_sink *sink,
                       void **ret_stream, struct gw_error *err)
{
    (void)caller;
    const Penstock__Admin__V1__WatchRequest *asked =
        (const Penstock__Admin__V1__WatchRequest *)request;
    if (asked->n_kinds)
        return gw_fail_field(err, "kinds", "are not for tests");
    Penstock__Admin__V1__WatchResponse response = PENSTOCK__ADMIN__V1__WATCH_RESPONSE__INIT;
    response.revision = asked->after_revision + 1;
    atomic_fetch_add(&streams_open, 1);
    *ret_stream = context;
    bool is_long = strcmp(asked->parent, "long") == 0;
    static Penstock__Admin__V1__ResourceEvent event = PENSTOCK__ADMIN__V1__RESOURCE_EVENT__INIT;
    Penstock__Admin__V1__ResourceEvent *events[] = {&event};
    if (is_long) {
        event.name = long_text;
        response.events = events;
        response.n_events = 1;
    }
    assert_true(sink->send(sink->arg, &response.base) || is_long);
    return 0;
}

static void on_writable(void *stream)
{
    (void)stream;
}

static void on_close(void *stream)
{
    (void)stream;
    atomic_fetch_sub(&streams_open, 1);
}

static const struct cp_stream_type stream_type = {open_stream, on_writable, on_close};

/* ---- the server ---- */

static struct gw_comments *comments;
static struct cp_json_routes *routes;
static struct gw_rpc_method rows[3];
static struct cp_stream_method stream_method = {&stream_type, &stream_method};
static struct cp_json_server *server;

static int setup(void **state)
{
    (void)state;
    rows[0] =
        (struct gw_rpc_method){.path = "/penstock.admin.v1.ApiGroupService/GetApiGroup",
                               .request = &penstock__admin__v1__get_api_group_request__descriptor,
                               .reply = &penstock__admin__v1__api_group__descriptor,
                               .unary = get_group};
    rows[1] = (struct gw_rpc_method){.path = "/penstock.admin.v1.ApiGroupService/CreateApiGroup",
                                     .request =
                                         &penstock__admin__v1__create_api_group_request__descriptor,
                                     .reply = &penstock__admin__v1__api_group__descriptor,
                                     .unary = create_group};
    rows[2] = cp_stream_row("/penstock.admin.v1.WatchService/Watch",
                            &penstock__admin__v1__watch_request__descriptor,
                            &penstock__admin__v1__watch_response__descriptor, &stream_method);
    comments = gw_comments_new(
        gw_str_n((const char *)penstock_documented_set, penstock_documented_set_len));
    routes = cp_json_routes_new(rows, GW_ARRAY_LEN(rows), comments);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cp_json_routes_free(routes);
    gw_comments_free(comments);
    return 0;
}

static void start(struct cp_json_options options)
{
    struct gw_error err = GW_ERROR_NONE;
    options.listen = "127.0.0.1:0";
    if (cp_json_server_start(&options, routes, &server, &err))
        fail_msg("%s", err.message);
}

static int64_t refused(enum cp_json_refusal refusal)
{
    struct cp_json_stats stats;
    cp_json_server_stats(server, &stats);
    return stats.refused[refusal];
}

static int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)cp_json_server_port(server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 20};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* Until `part` has come. */
static void hear(int fd, const char *part)
{
    char text[65536];
    size_t len = 0;
    while (len < sizeof(text) - 1) {
        ssize_t got = read(fd, text + len, sizeof(text) - 1 - len);
        len += got > 0 ? (size_t)got : 0;
        text[len] = 0;
        if (strstr(text, part))
            return;
        if (got <= 0)
            fail_msg("\"%s\" instead of \"%s\"", text, part);
    }
    fail_msg("too much without \"%s\"", part);
}

static void hear_end(int fd)
{
    char text[4096];
    ssize_t got;
    while ((got = read(fd, text, sizeof(text))) > 0)
        ;
    if (got < 0 && errno != ECONNRESET)
        fail_msg("the connection stays");
    close(fd);
}

/* The loop goes round once more. */
static void turn(void)
{
    int fd = dial();
    say(fd, NOTHING);
    hear(fd, "HTTP/1.1 404");
    close(fd);
}

/* ---- tests ---- */

static void test_calls_side_by_side(void **state)
{
    (void)state;
    start((struct cp_json_options){0});
    set_gate(true);
    int fds[CP_JSON_THREADS];
    for (size_t i = 0; i < GW_ARRAY_LEN(fds); i++) {
        fds[i] = dial();
        say(fds[i], GET);
    }
    wait_for_waiting(CP_JSON_THREADS); /* the loop goes on meanwhile: */
    turn();
    set_gate(false);
    for (size_t i = 0; i < GW_ARRAY_LEN(fds); i++) {
        hear(fds[i], "{\"name\":\"groups/a\"}");
        close(fds[i]);
    }
    int other = dial();
    say(other, "GET /v1/groups/none HTTP/1.1\r\nHost: x\r\n\r\n");
    hear(other, "there is none");
    close(other);
    cp_json_server_stop(server, 1000);
}

static void test_more_calls_than_allowed_are_refused(void **state)
{
    (void)state;
    static int fds[CP_JSON_CALLS_MAX];
    start((struct cp_json_options){0});
    set_gate(true);
    for (size_t i = 0; i < CP_JSON_CALLS_MAX; i++) {
        fds[i] = dial();
        say(fds[i], GET);
    }
    struct cp_json_stats stats = {0};
    while (stats.requests < CP_JSON_CALLS_MAX)
        cp_json_server_stats(server, &stats);
    int late = dial();
    say(late, GET);
    hear(late, "too many calls at once");
    assert_int_equal(refused(CP_JSON_REFUSED_BUSY), 1);
    set_gate(false);
    for (size_t i = 0; i < CP_JSON_CALLS_MAX; i++) {
        hear(fds[i], "HTTP/1.1 200");
        close(fds[i]);
    }
    say(late, GET);
    hear(late, "HTTP/1.1 200");
    close(late);
    cp_json_server_stop(server, 1000);
}

static void test_bodies_of_all_together_are_limited(void **state)
{
    (void)state;
    static char head[256], part[64 * 1024];
    int fds[CP_JSON_BODIES_MAX_BYTES / CP_JSON_BODY_MAX_BYTES];
    start((struct cp_json_options){0});
    (void)snprintf(head, sizeof(head),
                   "POST /v1/groups HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                   "Content-Length: %d\r\n\r\n",
                   CP_JSON_BODY_MAX_BYTES);
    memset(part, ' ', sizeof(part));
    int64_t sent = 0;
    for (size_t i = 0; i < GW_ARRAY_LEN(fds); i++) { /* all but the last byte of each */
        fds[i] = dial();
        say(fds[i], head);
        for (size_t left = CP_JSON_BODY_MAX_BYTES - 1; left > 0;) {
            ssize_t took = write(fds[i], part, GW_MIN(left, sizeof(part)));
            assert_true(took > 0);
            left -= (size_t)took;
            sent += took;
        }
    }
    struct cp_json_stats stats = {0};
    while (stats.bytes_held < sent)
        cp_json_server_stats(server, &stats);
    int late = dial();
    say(late, "POST /v1/groups HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
              "Content-Length: 100\r\n\r\n");
    assert_int_equal(write(late, part, 100), 100);
    hear(late, "too many bytes of bodies");
    close(late);
    for (size_t i = 0; i < GW_ARRAY_LEN(fds); i++)
        close(fds[i]);
    while (stats.bytes_held > 0)
        cp_json_server_stats(server, &stats);
    cp_json_server_stop(server, 1000);
}

/* A caller that sends a body of that framing, or as much of it as is taken. */
static size_t send_body(int fd, const char *framing, size_t bytes)
{
    size_t sent = 0;
    char head[128];
    (void)snprintf(head, sizeof(head), "POST /v1/groups HTTP/1.1\r\n%s\r\n\r\n", framing);
    say(fd, head);
    while (sent < bytes && send(fd, long_text, 65536, MSG_NOSIGNAL) == 65536)
        sent += 65536;
    return sent;
}

static void test_a_body_that_is_not_read_takes_no_answer_along(void **state)
{
    (void)state;
    const char *const heads[][2] = {{"Content-Length: 8388608", " 413 "},
                                    {"Transfer-Encoding: chunked", " 411 "},
                                    {"Content-Encoding: x\r\nContent-Length: 8388608", " 415 "},
                                    {"Content-Length: 1\r\nContent-Length: 2", " 400 "}};
    start((struct cp_json_options){0});
    for (size_t i = 0; i < GW_ARRAY_LEN(heads); i++) {
        int fd = dial();
        assert_int_equal(send_body(fd, heads[i][0], 8388608), 8388608);
        hear(fd, heads[i][1]);
        close(fd);
    }
    size_t max = CP_JSON_DROPPED_MAX_BYTES; /* more than that is not read */
    assert_in_range(send_body(dial(), "Content-Length: 999999999", 999999999), max, 2 * max);
    cp_json_server_stop(server, 1000);
}

static void test_a_body_that_does_not_come(void **state)
{
    (void)state;
    start((struct cp_json_options){.body_s = 1});
    int fd = dial();
    say(fd, "POST /v1/groups HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            "Content-Length: 10\r\n\r\n{");
    hear(fd, "HTTP/1.1 408");
    hear_end(fd);
    assert_int_equal(refused(CP_JSON_REFUSED_SLOW), 1);
    cp_json_server_stop(server, 1000);
}

static void test_a_head_that_does_not_come(void **state)
{
    (void)state;
    start((struct cp_json_options){.idle_s = 1});
    int silent = dial(), midway = dial();
    say(midway, "GET /v1/gro");
    hear_end(silent);
    hear_end(midway);
    cp_json_server_stop(server, 1000);
}

static void test_an_answer_that_is_not_read(void **state)
{
    (void)state;
    start((struct cp_json_options){.send_s = 1});
    int fd = dial();
    say(fd, "GET /v1/groups/long HTTP/1.1\r\nHost: x\r\n\r\n");
    for (; refused(CP_JSON_REFUSED_SLOW) == 0; turn())
        ;
    hear_end(fd);
    cp_json_server_stop(server, 1000);
}

static void test_answers_of_all_together_are_limited(void **state)
{
    (void)state;
    int fds[CP_JSON_ANSWERS_MAX_BYTES / LONG_BYTES + CP_JSON_THREADS + 4];
    struct cp_json_stats stats;
    start((struct cp_json_options){0});
    unsigned before = atomic_load(&created);
    pthread_mutex_lock(&gate.lock);
    unsigned done = gate.done;
    pthread_mutex_unlock(&gate.lock);
    for (size_t i = 0; i < GW_ARRAY_LEN(fds); i++) {
        fds[i] = dial();
        say(fds[i], "GET /v1/groups/long HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for (; refused(CP_JSON_REFUSED_BUSY) == 0; turn())
        ;
    cp_json_server_stats(server, &stats);
    assert_true(stats.answer_bytes >= CP_JSON_ANSWERS_MAX_BYTES);
    int late = dial();
    say(late, "POST /v1/groups HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
              "Content-Length: 2\r\n\r\n{}");
    hear(late, "too many bytes of answers");
    assert_int_equal(atomic_load(&created), before); /* what is refused has not run, */
    close(late);
    size_t ran = 0, not_run = 0;
    while (ran + not_run < GW_ARRAY_LEN(fds)) {
        turn();
        pthread_mutex_lock(&gate.lock);
        ran = gate.done - done;
        pthread_mutex_unlock(&gate.lock);
        not_run = (size_t)refused(CP_JSON_REFUSED_BUSY) - 1;
    }
    assert_int_equal(ran + not_run, GW_ARRAY_LEN(fds)); /* and what ran is not refused */
    for (size_t i = 0; i < GW_ARRAY_LEN(fds); i++)
        close(fds[i]);
    while (stats.answer_bytes > 0)
        cp_json_server_stats(server, &stats);
    cp_json_server_stop(server, 1000);
}

static void test_a_long_answer_comes_whole(void **state)
{
    (void)state;
    start((struct cp_json_options){0});
    int fd = dial();
    say(fd, "GET /v1/groups/long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    size_t len = 0;
    static char text[65536];
    for (ssize_t got; (got = read(fd, text, sizeof(text))) > 0;)
        len += (size_t)got;
    assert_in_range(len, LONG_BYTES, LONG_BYTES + 1024);
    close(fd);
    cp_json_server_stop(server, 1000);
}

static void test_callers_leave_while_their_calls_run(void **state)
{
    (void)state;
    start((struct cp_json_options){0});
    set_gate(true);
    for (int i = 0; i < 5; i++) {
        int fd = dial();
        say(fd, GET);
        wait_for_waiting((unsigned)i + 1);
        close(fd);
    }
    set_gate(false);
    int fd = dial();
    say(fd, GET);
    hear(fd, "HTTP/1.1 200");
    close(fd);
    cp_json_server_stop(server, 1000);
}

/* When the end has begun: what is new is refused then. */
static void *open_gate_later(void *arg)
{
    (void)arg;
    for (char text[1024] = ""; !strstr(text, " 503 ");) {
        int probe = dial();
        say(probe, NOTHING);
        assert_true(read(probe, text, sizeof(text) - 1) > 0);
        close(probe);
    }
    set_gate(false);
    return NULL;
}

static void test_the_end_waits_for_calls(void **state)
{
    (void)state;
    pthread_t later;
    start((struct cp_json_options){0});
    set_gate(true);
    int fd = dial(), idle = dial();
    say(fd, GET);
    wait_for_waiting(1);
    assert_int_equal(pthread_create(&later, NULL, open_gate_later, NULL), 0);
    cp_json_server_stop(server, 20000);
    pthread_join(later, NULL);
    hear(fd, "{\"name\":\"groups/a\"}");
    hear_end(fd);
    hear_end(idle);
}

static void test_a_drain_refuses_what_is_new(void **state)
{
    (void)state;
    start((struct cp_json_options){0});
    int fd = dial();
    cp_json_server_drain(server);
    say(fd, GET);
    hear(fd, "draining");
    hear_end(fd);
    cp_json_server_stop(server, 1000);
}

static void test_streams(void **state)
{
    (void)state;
    start((struct cp_json_options){0});
    int fd = dial(), refused_one = dial();
    say(fd, "GET /v1/watch?afterRevision=3 HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 41\r\n\r\n");
    hear(fd, "text/event-stream\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
             "Connection: close\r\n\r\nid: 42\ndata: {\"revision\":\"42\"}\n\n");
    assert_int_equal(atomic_load(&streams_open), 1);
    say(refused_one, "GET /v1/watch?kinds=a HTTP/1.1\r\nHost: x\r\n\r\n");
    hear(refused_one, "HTTP/1.1 400");
    close(refused_one);
    close(fd);
    cp_json_server_stop(server, 0); /* nobody ends it */
    assert_int_equal(atomic_load(&streams_open), 0);
}

static void test_streams_that_are_not_read_are_limited(void **state)
{
    (void)state;
    int fds[CP_JSON_ANSWERS_MAX_BYTES / LONG_BYTES * 4]; /* sockets hold a part of each */
    struct cp_json_stats stats;
    memset(long_text, 'x', LONG_BYTES);
    start((struct cp_json_options){0});
    size_t n = 0;
    for (char status[12] = ""; memcmp(status, "HTTP/1.1 429", sizeof(status)) != 0; n++) {
        assert_true(n < GW_ARRAY_LEN(fds));
        fds[n] = dial();
        say(fds[n], "GET /v1/watch?parent=long HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(recv(fds[n], status, sizeof(status), MSG_PEEK), sizeof(status));
    }
    hear(fds[n - 1], "too many bytes of answers wait to be read");
    cp_json_server_stats(server, &stats);
    assert_in_range(stats.answer_bytes, 1, CP_JSON_ANSWERS_MAX_BYTES);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    while (stats.answer_bytes > 0)
        cp_json_server_stats(server, &stats);
    cp_json_server_stop(server, 1000);
}

static void test_no_stream_for_a_head_alone(void **state)
{
    (void)state;
    start((struct cp_json_options){0});
    int fd = dial();
    say(fd, "HEAD /v1/watch HTTP/1.1\r\nHost: x\r\n\r\n");
    hear(fd, "Allow: GET\r\n");
    assert_int_equal(refused(CP_JSON_REFUSED_METHOD), 1);
    assert_int_equal(atomic_load(&streams_open), 0);
    say(fd, GET);
    hear(fd, "HTTP/1.1 200");
    close(fd);
    cp_json_server_stop(server, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_side_by_side),
        cmocka_unit_test(test_more_calls_than_allowed_are_refused),
        cmocka_unit_test(test_bodies_of_all_together_are_limited),
        cmocka_unit_test(test_a_body_that_is_not_read_takes_no_answer_along),
        cmocka_unit_test(test_a_body_that_does_not_come),
        cmocka_unit_test(test_a_head_that_does_not_come),
        cmocka_unit_test(test_an_answer_that_is_not_read),
        cmocka_unit_test(test_answers_of_all_together_are_limited),
        cmocka_unit_test(test_a_long_answer_comes_whole),
        cmocka_unit_test(test_callers_leave_while_their_calls_run),
        cmocka_unit_test(test_the_end_waits_for_calls),
        cmocka_unit_test(test_a_drain_refuses_what_is_new),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_no_stream_for_a_head_alone),
        cmocka_unit_test(test_streams_that_are_not_read_are_limited),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
