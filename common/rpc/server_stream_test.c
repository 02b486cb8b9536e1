/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of every shape, from a client's eyes. */
#include "common/rpc/fixture.h"

#define COUNT "/test.Text/Count"   /* "n": sends 0 to n-1, each when the last one was taken */
#define ECHO "/test.Text/Echo"     /* answers each message once the last answer was taken */
#define SUM "/test.Text/Sum"       /* adds up; answers at half close */
#define REFUSE "/test.Text/Refuse" /* on_open says no */
#define BIG_BYTES (64 * 1024)
#define BIG_COUNT 1000

static struct counter opened = COUNTER_INIT, closed = COUNTER_INIT, sent = COUNTER_INIT,
                      received = COUNTER_INIT, released = COUNTER_INIT;
static struct fixture fixture;
static struct gw_rpc_stream *kept; /* with a reference */

struct session {
    long next, total; /* messages still to send: next .. total - 1 */
    size_t bytes;     /* of each */
    bool is_sending, is_half_closed;
    char *waiting; /* echo: the answer that the one on its way holds up; owned */
};

static int on_open(void *context, struct gw_rpc_stream *stream, struct gw_error *err)
{
    (void)err;
    struct session *session = gw_calloc(1, sizeof(*session));
    session->bytes = context ? *(const size_t *)context : 0;
    gw_rpc_stream_set_user(stream, session);
    counter_add(&opened, 1);
    return 0;
}

static void on_close(struct gw_rpc_stream *stream)
{
    struct session *session = gw_rpc_stream_user(stream);
    free(session->waiting);
    free(session);
    counter_add(&closed, 1);
}

/* The number, followed by as many 'x' as make up the size. */
static bool send_number(struct gw_rpc_stream *stream, long number, size_t bytes)
{
    char *text = gw_malloc(bytes + 32);
    int len = snprintf(text, 32, "%ld ", number);
    memset(text + len, 'x', bytes);
    text[(size_t)len + bytes] = '\0';
    text_message message = text_of(text);
    bool is_sent = gw_rpc_stream_send(stream, &message.base);
    free(text);
    return is_sent;
}

static void count_on(struct gw_rpc_stream *stream)
{
    struct session *session = gw_rpc_stream_user(stream);
    if (session->is_sending)
        return;
    if (session->next < session->total) {
        session->is_sending = true;
        assert_true(send_number(stream, session->next++, session->bytes));
        counter_add(&sent, 1);
    } else if (session->is_half_closed) {
        gw_rpc_stream_finish(stream, NULL);
        assert_false(send_number(stream, 0, 0));
    }
}

static void count_on_message(struct gw_rpc_stream *stream, const ProtobufCMessage *message)
{
    struct session *session = gw_rpc_stream_user(stream);
    session->total += strtol(text_in(message), NULL, 10);
    count_on(stream);
}

static void count_on_half_close(struct gw_rpc_stream *stream)
{
    struct session *session = gw_rpc_stream_user(stream);
    session->is_half_closed = true;
    count_on(stream);
}

static void count_on_writable(struct gw_rpc_stream *stream)
{
    struct session *session = gw_rpc_stream_user(stream);
    session->is_sending = false;
    count_on(stream);
}

static void echo_on(struct gw_rpc_stream *stream)
{
    struct session *session = gw_rpc_stream_user(stream);
    if (session->is_sending || !session->waiting)
        return;
    text_message answer = text_of(session->waiting);
    session->is_sending = true;
    assert_true(gw_rpc_stream_send(stream, &answer.base));
    free(session->waiting);
    session->waiting = NULL;
}

/* The client waits for each answer, so one is all that can be waiting. */
static void echo_on_message(struct gw_rpc_stream *stream, const ProtobufCMessage *message)
{
    struct session *session = gw_rpc_stream_user(stream);
    counter_add(&received, 1);
    assert_null(session->waiting);
    session->waiting = gw_strdup(text_in(message));
    echo_on(stream);
}

static void echo_on_writable(struct gw_rpc_stream *stream)
{
    struct session *session = gw_rpc_stream_user(stream);
    session->is_sending = false;
    echo_on(stream);
}

static void sum_on_message(struct gw_rpc_stream *stream, const ProtobufCMessage *message)
{
    struct session *session = gw_rpc_stream_user(stream);
    session->total += strtol(text_in(message), NULL, 10);
}

/* Sends and finishes at once: the status must wait for the message. */
static void sum_on_half_close(struct gw_rpc_stream *stream)
{
    struct session *session = gw_rpc_stream_user(stream);
    send_number(stream, session->total, 0);
    gw_rpc_stream_finish(stream, NULL);
}

static void echo_on_half_close(struct gw_rpc_stream *stream)
{
    gw_rpc_stream_finish(stream, NULL);
}

static void ignore(struct gw_rpc_stream *stream)
{
    (void)stream;
}

static int keep_on_open(void *context, struct gw_rpc_stream *stream, struct gw_error *err)
{
    kept = stream;
    gw_rpc_stream_ref(stream);
    return on_open(context, stream, err);
}

static int refuse_on_open(void *context, struct gw_rpc_stream *stream, struct gw_error *err)
{
    (void)context;
    assert_true(gw_rpc_stream_caller(stream)->is_loopback);
    return gw_fail(err, GW_PERMISSION_DENIED, "agents only");
}

static const struct gw_rpc_stream_events counting = {on_open, count_on_message, count_on_half_close,
                                                     count_on_writable, on_close};
static const struct gw_rpc_stream_events echoing = {on_open, echo_on_message, echo_on_half_close,
                                                    echo_on_writable, on_close};
static const struct gw_rpc_stream_events keeping = {keep_on_open, echo_on_message,
                                                    echo_on_half_close, ignore, on_close};
static const struct gw_rpc_stream_events summing = {on_open, sum_on_message, sum_on_half_close,
                                                    ignore, on_close};
static const struct gw_rpc_stream_events refusing = {refuse_on_open, echo_on_message,
                                                     echo_on_half_close, ignore, on_close};

static const size_t big = BIG_BYTES;
#define ROW(p, e, c)                                                                               \
    {                                                                                              \
        .path = (p), .request = TEXT_TYPE, .reply = TEXT_TYPE, .stream = (e),                      \
        .context = (void *)(c)                                                                     \
    }
static const struct gw_rpc_method methods[] = {
    ROW(COUNT, &counting, NULL), ROW(COUNT "Big", &counting, &big),
    ROW(ECHO, &echoing, NULL),   ROW(ECHO "Kept", &keeping, NULL),
    ROW(SUM, &summing, NULL),    ROW(REFUSE, &refusing, NULL),
};

static int start(void **state)
{
    (void)state;
    opened.value = closed.value = sent.value = received.value = 0;
    fixture_start(&fixture, (struct gw_rpc_server_options){0}, methods, GW_ARRAY_LEN(methods));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fixture_stop(&fixture);
    return 0;
}

/* request NULL: to be sent by hand. */
static struct gw_rpc_reader *open_reader(const char *path, const char *request)
{
    struct gw_error err = GW_ERROR_NONE;
    struct gw_rpc_reader *reader;
    text_message message = text_of(request);
    assert_int_equal(gw_rpc_client_stream(fixture.client, path, request ? &message.base : NULL,
                                          TEXT_TYPE, &reader, &err),
                     0);
    return reader;
}

/* The next message's text; NULL at a good end; fails the test otherwise. */
static const char *next_text(struct gw_rpc_reader *reader)
{
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    gw_arena_reset(&fixture.arena);
    int got = gw_rpc_reader_next(reader, &fixture.arena, TIMEOUT_MS, &message, &err);
    if (got < 0)
        fail_msg("%s: %s", gw_code_name(err.code), err.message);
    return got ? text_in(message) : NULL;
}

static enum gw_code next_code(struct gw_rpc_reader *reader, gw_msec timeout_ms)
{
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    assert_int_equal(gw_rpc_reader_next(reader, &fixture.arena, timeout_ms, &message, &err), -1);
    return err.code;
}

static void send_text(struct gw_rpc_reader *reader, const char *text)
{
    struct gw_error err = GW_ERROR_NONE;
    text_message message = text_of(text);
    if (gw_rpc_reader_send(reader, &message.base, TIMEOUT_MS, &err))
        fail_msg("%s", err.message);
}

static void expect_numbers(struct gw_rpc_reader *reader, long from, long to)
{
    for (long i = from; i < to; i++) {
        const char *text = next_text(reader);
        assert_non_null(text);
        assert_int_equal(strtol(text, NULL, 10), i);
    }
}

static void test_server_stream(void **state)
{
    (void)state;
    struct gw_rpc_reader *reader = open_reader(COUNT, "1000");
    expect_numbers(reader, 0, 1000);
    assert_null(next_text(reader));
    assert_null(next_text(reader)); /* and stays ended */
    gw_rpc_reader_close(reader);
    counter_wait(&closed, 1);
}

static void test_empty_server_stream(void **state)
{
    (void)state;
    struct gw_rpc_reader *reader = open_reader(COUNT, "0");
    assert_null(next_text(reader));
    gw_rpc_reader_close(reader);
}

static void test_bidirectional(void **state)
{
    (void)state;
    struct gw_rpc_reader *reader = open_reader(ECHO, NULL);
    for (int i = 0; i < 100; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        send_text(reader, text);
        assert_string_equal(next_text(reader), text);
    }
    gw_rpc_reader_half_close(reader);
    assert_null(next_text(reader));
    gw_rpc_reader_close(reader);
    counter_wait(&closed, 1);
}

static void test_client_stream_answers_at_half_close(void **state)
{
    (void)state;
    struct gw_rpc_reader *reader = open_reader(SUM, NULL);
    send_text(reader, "20");
    send_text(reader, "22");
    gw_rpc_reader_half_close(reader);
    expect_numbers(reader, 42, 43);
    assert_null(next_text(reader));
    gw_rpc_reader_close(reader);
}

/* Many times, because this is about the order of two completions. */
static void test_half_close_while_sending(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct gw_rpc_reader *reader = open_reader(COUNT, NULL);
        send_text(reader, "3");
        gw_rpc_reader_half_close(reader);
        expect_numbers(reader, 0, 3);
        assert_null(next_text(reader));
        gw_rpc_reader_close(reader);
    }
    counter_wait(&closed, 200);
}

static void test_refused_at_open(void **state)
{
    (void)state;
    struct gw_rpc_reader *reader = open_reader(REFUSE, NULL);
    assert_int_equal(next_code(reader, TIMEOUT_MS), GW_PERMISSION_DENIED);
    gw_rpc_reader_close(reader);
}

static void test_unknown_stream_method(void **state)
{
    (void)state;
    struct gw_rpc_reader *reader = open_reader("/test.Text/Nothing", NULL);
    assert_int_equal(next_code(reader, TIMEOUT_MS), GW_UNIMPLEMENTED);
    gw_rpc_reader_close(reader);
}

static void test_bad_message_ends_the_stream(void **state)
{
    (void)state;
    struct gw_rpc_reader *reader = open_reader(ECHO, NULL);
    send_text(reader, "fine");
    assert_string_equal(next_text(reader), "fine");
    send_text(reader, "\xc3(");
    assert_int_equal(next_code(reader, TIMEOUT_MS), GW_INVALID_ARGUMENT);
    gw_rpc_reader_close(reader);
    counter_wait(&closed, 1);
    assert_int_equal(received.value, 1);
}

static void test_time_runs_out_and_the_stream_goes_on(void **state)
{
    (void)state;
    struct gw_rpc_reader *reader = open_reader(ECHO, NULL);
    assert_int_equal(next_code(reader, 1), GW_DEADLINE_EXCEEDED);
    send_text(reader, "later");
    assert_string_equal(next_text(reader), "later");
    gw_rpc_reader_close(reader);
}

/* On a new connection the first send takes so long that the answer often comes during it: the read
 * that ran out of time before has it, and the next one takes it. */
static void test_an_answer_that_comes_during_a_send(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        gw_rpc_client_close(fixture.client);
        fixture.client = new_client((struct gw_rpc_client_options){.target = fixture.target});
        struct gw_rpc_reader *reader = open_reader(ECHO, NULL);
        assert_int_equal(next_code(reader, 1 + i % 2), GW_DEADLINE_EXCEEDED);
        send_text(reader, "x");
        assert_string_equal(next_text(reader), "x");
        gw_rpc_reader_close(reader);
    }
}

static void test_client_goes_away(void **state)
{
    (void)state;
    struct gw_rpc_reader *reader = open_reader(ECHO, NULL);
    send_text(reader, "x");
    assert_string_equal(next_text(reader), "x");
    gw_rpc_reader_close(reader);
    counter_wait(&closed, 1);
    assert_int_equal(opened.value, 1);
}

/* Waits until the server's count has not moved while `calls` streams came and went. */
static long settle(struct counter *counter, int calls)
{
    long before = -1, now = counter_add(counter, 0);
    while (before != now) {
        before = now;
        for (int i = 0; i < calls; i++) {
            struct gw_rpc_reader *reader = open_reader(REFUSE, NULL);
            assert_int_equal(next_code(reader, TIMEOUT_MS), GW_PERMISSION_DENIED);
            gw_rpc_reader_close(reader);
        }
        now = counter_add(counter, 0);
    }
    return now;
}

static void test_client_that_does_not_read_holds_the_server_back(void **state)
{
    (void)state;
    char total[16];
    snprintf(total, sizeof(total), "%d", BIG_COUNT);
    struct gw_rpc_reader *reader = open_reader(COUNT "Big", total);
    expect_numbers(reader, 0, 1);
    long stalled_at = settle(&sent, 100);
    assert_in_range(stalled_at, 1, BIG_COUNT - 1);
    expect_numbers(reader, 1, BIG_COUNT);
    assert_null(next_text(reader));
    gw_rpc_reader_close(reader);
}

static void test_stalled_client_leaves(void **state)
{
    (void)state;
    struct gw_rpc_reader *reader = open_reader(COUNT "Big", "1000");
    expect_numbers(reader, 0, 1);
    assert_in_range(settle(&sent, 100), 1, BIG_COUNT - 1);
    gw_rpc_reader_close(reader);
    counter_wait(&closed, 1);
}

/* Finishing waits for what is being sent; aborting does not. */
static void test_abort_gives_up_what_is_not_read(void **state)
{
    (void)state;
    struct gw_error err;
    struct gw_rpc_reader *reader = open_reader(ECHO "Kept", NULL);
    counter_wait(&opened, 1);
    size_t bytes = 64 * 1024 * 1024; /* more than flow control and sockets take */
    char *text = gw_calloc(1, bytes);
    assert_true(gw_rpc_stream_send_packed(kept, gw_str_n(text, bytes)));
    free(text);
    (void)gw_fail(&err, GW_ABORTED, "too slow");
    gw_rpc_stream_finish(kept, &err);
    gw_rpc_stream_abort(kept, &err);
    counter_wait(&closed, 1);
    gw_rpc_stream_unref(kept);
    gw_rpc_reader_close(reader);
}

static void test_reference_outlives_the_stream(void **state)
{
    (void)state;
    struct gw_rpc_reader *reader = open_reader(ECHO "Kept", NULL);
    counter_wait(&opened, 1);
    assert_true(gw_rpc_stream_send_packed(kept, GW_STR("\x0a\x02hi"))); /* from another thread */
    assert_string_equal(next_text(reader), "hi");
    gw_rpc_reader_close(reader);
    counter_wait(&closed, 1);
    assert_false(gw_rpc_stream_send_packed(kept, GW_STR("\x0a\x02hi")));
    gw_rpc_stream_finish(kept, NULL); /* no effect */
    assert_true(gw_rpc_stream_caller(kept)->is_loopback);
    gw_rpc_stream_unref(kept);
}

static void on_release(void *keep)
{
    counter_add(keep, 1);
}

/* Sent or not, the bytes are given back once. */
static void test_shared_bytes_are_given_back(void **state)
{
    (void)state;
    released.value = 0;
    struct gw_rpc_reader *reader = open_reader(ECHO "Kept", NULL);
    counter_wait(&opened, 1);
    assert_true(gw_rpc_stream_send_shared(kept, GW_STR("\x0a\x02hi"), on_release, &released));
    assert_string_equal(next_text(reader), "hi");
    counter_wait(&released, 1);
    gw_rpc_reader_close(reader);
    counter_wait(&closed, 1);
    assert_false(gw_rpc_stream_send_shared(kept, GW_STR("\x0a\x02hi"), on_release, &released));
    assert_int_equal(released.value, 2);
    gw_rpc_stream_unref(kept);
}

static void test_finish_from_another_thread(void **state)
{
    (void)state;
    struct gw_error err;
    struct gw_rpc_reader *reader = open_reader(ECHO "Kept", NULL);
    counter_wait(&opened, 1);
    (void)gw_fail(&err, GW_ALREADY_EXISTS, "a newer one has come");
    gw_rpc_stream_finish(kept, &err);
    gw_rpc_stream_finish(kept, NULL); /* once is enough */
    assert_int_equal(next_code(reader, TIMEOUT_MS), GW_ALREADY_EXISTS);
    gw_rpc_stream_unref(kept);
    gw_rpc_reader_close(reader);
}

static void *stop_server(void *arg)
{
    gw_rpc_server_stop(fixture.server, *(const gw_msec *)arg);
    return NULL;
}

static void done_without_server(void)
{
    gw_rpc_client_close(fixture.client);
    gw_arena_done(&fixture.arena);
}

static void test_stop_ends_live_streams(void **state)
{
    start(state);
    struct gw_rpc_reader *readers[5];
    for (int i = 0; i < 5; i++)
        readers[i] = open_reader(ECHO, NULL);
    counter_wait(&opened, 5);
    pthread_t stopper;
    gw_msec grace = TIMEOUT_MS;
    assert_int_equal(pthread_create(&stopper, NULL, stop_server, &grace), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(next_code(readers[i], TIMEOUT_MS), GW_UNAVAILABLE);
        gw_rpc_reader_close(readers[i]);
    }
    pthread_join(stopper, NULL);
    assert_int_equal(closed.value, 5);
    done_without_server();
}

static void test_stop_cuts_a_stalled_stream_at_the_grace(void **state)
{
    start(state);
    struct gw_rpc_reader *reader = open_reader(COUNT "Big", "1000");
    expect_numbers(reader, 0, 1);
    assert_in_range(settle(&sent, 100), 1, BIG_COUNT - 1);
    gw_rpc_server_stop(fixture.server, 20);
    assert_int_equal(closed.value, 1);
    gw_rpc_reader_close(reader);
    done_without_server();
}

int main(void)
{
#define ON_SERVER(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        ON_SERVER(test_server_stream),
        ON_SERVER(test_empty_server_stream),
        ON_SERVER(test_bidirectional),
        ON_SERVER(test_client_stream_answers_at_half_close),
        ON_SERVER(test_half_close_while_sending),
        ON_SERVER(test_refused_at_open),
        ON_SERVER(test_unknown_stream_method),
        ON_SERVER(test_bad_message_ends_the_stream),
        ON_SERVER(test_time_runs_out_and_the_stream_goes_on),
        ON_SERVER(test_an_answer_that_comes_during_a_send),
        ON_SERVER(test_client_goes_away),
        ON_SERVER(test_client_that_does_not_read_holds_the_server_back),
        ON_SERVER(test_stalled_client_leaves),
        ON_SERVER(test_abort_gives_up_what_is_not_read),
        ON_SERVER(test_reference_outlives_the_stream),
        ON_SERVER(test_shared_bytes_are_given_back),
        ON_SERVER(test_finish_from_another_thread),
        cmocka_unit_test(test_stop_ends_live_streams),
        cmocka_unit_test(test_stop_cuts_a_stalled_stream_at_the_grace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
