/* SPDX-License-Identifier: Apache-2.0 */
/* Turns of large updates, with sessions that count how often they are woken. */
#include "controlplane/agents/pace.h"

#include "common/test.h"
#include "controlplane/agents/session.h"

#include <stdlib.h>

struct cp_session {
    struct cp_pace_ticket ticket;
    int refs, wakes;
    bool leaves; /* at once, when it is woken: it needs nothing any more */
};

static struct cp_pace pace;
static struct cp_session sessions[8];

struct cp_session *cp_session_ref(struct cp_session *session)
{
    session->refs++;
    return session;
}

void cp_session_unref(struct cp_session *session)
{
    session->refs--;
}

void cp_session_wake(struct cp_session *session)
{
    session->wakes++;
    if (!session->leaves)
        return;
    cp_pace_leave(&pace, &session->ticket);
    cp_pace_run(&pace);
}

static int setup(void **state)
{
    (void)state;
    cp_pace_init(&pace);
    pace.limits.at_once = 2;
    for (unsigned i = 0; i < GW_ARRAY_LEN(sessions); i++) {
        sessions[i] = (struct cp_session){.refs = 0};
        cp_pace_ticket_init(&sessions[i].ticket, &sessions[i]);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < GW_ARRAY_LEN(sessions); i++) {
        cp_pace_leave(&pace, &sessions[i].ticket);
        assert_int_equal(sessions[i].refs, 0);
    }
    cp_pace_done(&pace);
    return 0;
}

static bool enter(unsigned i)
{
    return cp_pace_enter(&pace, &sessions[i].ticket);
}

static void leave(unsigned i)
{
    cp_pace_leave(&pace, &sessions[i].ticket);
    cp_pace_run(&pace);
}

static void expect_counts(unsigned waiting, unsigned in)
{
    unsigned now_waiting, now_in;
    cp_pace_counts(&pace, &now_waiting, &now_in);
    assert_int_equal(now_waiting, waiting);
    assert_int_equal(now_in, in);
}

static void a_few_at_once_the_others_in_their_order(void **state)
{
    (void)state;
    assert_true(enter(0));
    assert_true(enter(1));
    assert_false(enter(2));
    assert_false(enter(3));
    assert_false(enter(2)); /* asks again, and keeps its place in the queue */
    assert_true(enter(0));  /* has one already */
    expect_counts(2, 2);
    cp_pace_run(&pace);
    assert_int_equal(sessions[2].wakes, 0);
    leave(1);
    assert_int_equal(sessions[2].wakes, 1);
    assert_int_equal(sessions[3].wakes, 0);
    assert_true(enter(2));
    expect_counts(1, 2);
}

static void nobody_overtakes(void **state)
{
    (void)state;
    assert_true(enter(0));
    assert_true(enter(1));
    assert_false(enter(2));
    cp_pace_leave(&pace, &sessions[0].ticket); /* a place is free, and 2 is first */
    assert_false(enter(3));
    cp_pace_run(&pace);
    assert_true(enter(2));
    assert_false(enter(3));
}

static void who_leaves_while_waiting_is_not_woken(void **state)
{
    (void)state;
    assert_true(enter(0));
    assert_true(enter(1));
    assert_false(enter(2));
    assert_false(enter(3));
    leave(2);
    leave(0);
    assert_int_equal(sessions[2].wakes, 0);
    assert_int_equal(sessions[3].wakes, 1);
}

/* However many do: it is one loop, not a call within a call. */
static void who_needs_it_no_more_passes_it_on(void **state)
{
    (void)state;
    assert_true(enter(0));
    assert_true(enter(1));
    for (unsigned i = 2; i < 7; i++) {
        sessions[i].leaves = true;
        assert_false(enter(i));
    }
    assert_false(enter(7));
    leave(0);
    for (unsigned i = 2; i < 8; i++)
        assert_int_equal(sessions[i].wakes, 1);
    expect_counts(0, 2);
}

static struct cp_delta *delta_of(size_t bytes)
{
    char *packed = gw_calloc(1, bytes);
    struct cp_delta_writer *writer = cp_delta_begin("c", 0, 1, 0);
    cp_delta_upsert(writer, gw_str_n(packed, bytes));
    free(packed);
    return cp_delta_finish(writer);
}

static void beyond_the_bytes_one_at_a_time(void **state)
{
    (void)state;
    pace.limits.bytes_max = 1000;
    struct cp_delta *delta = delta_of(2000);
    assert_true(cp_delta_bytes_held() >= 2000);
    assert_true(enter(0));
    assert_false(cp_pace_is_short(&pace)); /* nobody waits */
    assert_false(enter(1));
    assert_true(cp_pace_is_short(&pace));
    leave(0);
    assert_true(enter(1));
    assert_false(enter(2));
    cp_delta_unref(delta);
    assert_int_equal(cp_delta_bytes_held(), 0);
    assert_false(cp_pace_is_short(&pace));
    cp_pace_run(&pace);
    assert_true(enter(2));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_few_at_once_the_others_in_their_order), TEST(nobody_overtakes),
        TEST(who_leaves_while_waiting_is_not_woken),   TEST(who_needs_it_no_more_passes_it_on),
        TEST(beyond_the_bytes_one_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
