/* SPDX-License-Identifier: Apache-2.0 */
/* Streams that rest behind a message: nothing is lost, whatever happens meanwhile. */
#include "common/rpc/fixture.h"

#define REST "/test.Text/Rest" /* counts what comes, and rests behind each message */
#define TALK "/test.Text/Talk" /* the same, but answers within it */

static struct counter opened = COUNTER_INIT, closed = COUNTER_INIT, received = COUNTER_INIT,
                      half_closed = COUNTER_INIT, writable = COUNTER_INIT;
static struct fixture fixture;
static struct gw_rpc_stream *kept; /* with a reference */

static int on_open(void *context, struct gw_rpc_stream *stream, struct gw_error *err)
{
    (void)context, (void)err;
    kept = stream;
    gw_rpc_stream_ref(stream);
    counter_add(&opened, 1);
    return 0;
}

static void rest_on_message(struct gw_rpc_stream *stream, const ProtobufCMessage *message)
{
    (void)message;
    gw_rpc_stream_rest(stream);
    counter_add(&received, 1);
}

static void talk_on_message(struct gw_rpc_stream *stream, const ProtobufCMessage *message)
{
    rest_on_message(stream, message);
    assert_true(gw_rpc_stream_send(stream, message));
}

static void on_half_close(struct gw_rpc_stream *stream)
{
    counter_add(&half_closed, 1);
    gw_rpc_stream_finish(stream, NULL);
}

static void on_writable(struct gw_rpc_stream *stream)
{
    (void)stream;
    counter_add(&writable, 1);
}

static void on_close(struct gw_rpc_stream *stream)
{
    (void)stream;
    counter_add(&closed, 1);
}

static const struct gw_rpc_stream_events resting = {on_open, rest_on_message, on_half_close,
                                                    on_writable, on_close};
static const struct gw_rpc_stream_events talking = {on_open, talk_on_message, on_half_close,
                                                    on_writable, on_close};
static const struct gw_rpc_method methods[] = {
    {.path = REST, .request = TEXT_TYPE, .reply = TEXT_TYPE, .stream = &resting},
    {.path = TALK, .request = TEXT_TYPE, .reply = TEXT_TYPE, .stream = &talking},
};

static struct gw_rpc_reader *open_stream(const char *path)
{
    struct gw_error err = GW_ERROR_NONE;
    struct gw_rpc_reader *reader;
    opened.value = closed.value = received.value = half_closed.value = writable.value = 0;
    fixture_start(&fixture, (struct gw_rpc_server_options){0}, methods, GW_ARRAY_LEN(methods));
    if (gw_rpc_client_stream(fixture.client, path, NULL, TEXT_TYPE, &reader, &err))
        fail_msg("%s", err.message);
    counter_wait(&opened, 1);
    return reader;
}

static void close_stream(struct gw_rpc_reader *reader)
{
    gw_rpc_reader_close(reader);
    counter_wait(&closed, 1);
    gw_rpc_stream_unref(kept);
    fixture_stop(&fixture);
}

static void send_text(struct gw_rpc_reader *reader)
{
    struct gw_error err = GW_ERROR_NONE;
    text_message message = text_of("x");
    if (gw_rpc_reader_send(reader, &message.base, TIMEOUT_MS, &err))
        fail_msg("%s", err.message);
}

static void expect_text(struct gw_rpc_reader *reader)
{
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    if (gw_rpc_reader_next(reader, &fixture.arena, TIMEOUT_MS, &message, &err) != 1)
        fail_msg("%s", err.message);
}

static void test_what_is_said_meanwhile_is_heard(void **state)
{
    (void)state;
    struct gw_rpc_reader *reader = open_stream(REST);
    for (int i = 0; i < 5; i++)
        send_text(reader);
    counter_wait(&received, 5);
    close_stream(reader);
}

/* From another thread, as soon as the message is there: before it rests, or after. */
static void test_a_send_ends_it(void **state)
{
    (void)state;
    struct gw_rpc_reader *reader = open_stream(REST);
    for (int i = 1; i <= 100; i++) {
        send_text(reader);
        counter_wait(&received, i);
        assert_true(gw_rpc_stream_send_packed(kept, GW_STR("\x0a\x02hi")));
        expect_text(reader);
        counter_wait(&writable, i);
    }
    close_stream(reader);
}

static void test_an_answer_within_the_message_ends_it(void **state)
{
    (void)state;
    struct gw_rpc_reader *reader = open_stream(TALK);
    for (int i = 1; i <= 100; i++) {
        send_text(reader);
        expect_text(reader);
        counter_wait(&writable, i);
    }
    assert_int_equal(received.value, 100);
    close_stream(reader);
}

static void test_a_half_close_is_heard(void **state)
{
    (void)state;
    struct gw_rpc_reader *reader = open_stream(REST);
    send_text(reader);
    counter_wait(&received, 1);
    gw_rpc_reader_half_close(reader);
    counter_wait(&half_closed, 1);
    close_stream(reader);
}

static void test_a_client_may_leave(void **state)
{
    (void)state;
    struct gw_rpc_reader *reader = open_stream(REST);
    send_text(reader);
    counter_wait(&received, 1);
    close_stream(reader);
}

static void test_a_stop_ends_it(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    struct gw_rpc_reader *reader = open_stream(REST);
    send_text(reader);
    counter_wait(&received, 1);
    gw_rpc_stream_finish(kept, NULL);
    ProtobufCMessage *message;
    assert_int_equal(gw_rpc_reader_next(reader, &fixture.arena, TIMEOUT_MS, &message, &err), 0);
    close_stream(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_said_meanwhile_is_heard),
        cmocka_unit_test(test_a_send_ends_it),
        cmocka_unit_test(test_an_answer_within_the_message_ends_it),
        cmocka_unit_test(test_a_half_close_is_heard),
        cmocka_unit_test(test_a_client_may_leave),
        cmocka_unit_test(test_a_stop_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
