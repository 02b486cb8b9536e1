/* SPDX-License-Identifier: Apache-2.0 */
/* The filter contract's promises (style.md 3.7), with filters that write down what they are asked.
 */
#include "dataplane/chain.h"

#include "dataplane/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static char journal[256];

static void note(const char *what, const void *conf)
{
    size_t len = strlen(journal);
    (void)snprintf(journal + len, sizeof journal - len, "%s%s ", what, (const char *)conf);
}

static enum dp_verdict on_next(struct dp_exchange *x, const void *conf, void *scratch)
{
    (void)x;
    (void)scratch;
    note(">", conf);
    return DP_NEXT;
}

static enum dp_verdict on_reply(struct dp_exchange *x, const void *conf, void *scratch)
{
    (void)on_next(x, conf, scratch);
    return DP_REPLY;
}

static enum dp_verdict on_wait(struct dp_exchange *x, const void *conf, void *scratch)
{
    (void)on_next(x, conf, scratch);
    return DP_WAIT;
}

static enum dp_verdict on_back(struct dp_exchange *x, const void *conf, void *scratch)
{
    (void)x;
    (void)scratch;
    note("<", conf);
    return DP_NEXT;
}

static enum dp_verdict on_back_wait(struct dp_exchange *x, const void *conf, void *scratch)
{
    (void)on_back(x, conf, scratch);
    return DP_WAIT;
}

static enum dp_verdict on_back_replace(struct dp_exchange *x, const void *conf, void *scratch)
{
    (void)on_back(x, conf, scratch);
    return DP_REPLY;
}

static void on_done(struct dp_exchange *x, const void *conf, void *scratch)
{
    (void)x;
    (void)scratch;
    note("!", conf);
}

static const struct dp_filter plain = {
    .name = "plain", .on_request = on_next, .on_response = on_back, .on_done = on_done};
static const struct dp_filter replies = {
    .name = "replies", .on_request = on_reply, .on_response = on_back, .on_done = on_done};
static const struct dp_filter waits = {
    .name = "waits", .on_request = on_wait, .on_response = on_back, .on_done = on_done};
static const struct dp_filter waits_back = {
    .name = "waits_back", .on_request = on_next, .on_response = on_back_wait, .on_done = on_done};
static const struct dp_filter replaces = {
    .name = "replaces", .on_request = on_next, .on_response = on_back_replace, .on_done = on_done};
static const struct dp_filter silent = {.name = "silent"};

/* A chain of up to four filters whose confs are "a", "b", "c", "d". */
struct fixture {
    struct dp_exchange x;
    struct dp_route route;
    struct dp_link links[4];
    struct dp_chain chain;
};

static void init(struct fixture *f, const struct dp_filter *const *filters, unsigned count)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    *f = (struct fixture){.route = {.links = f->links, .link_count = count}};
    for (unsigned i = 0; i < count; i++) {
        f->links[i] = (struct dp_link){filters[i], names[i], (uint32_t)f->route.scratch_bytes};
        f->route.scratch_bytes += dp_chain_scratch_bytes(filters[i]);
    }
    journal[0] = '\0';
    dp_chain_init(&f->chain, &f->x, &f->route);
}
#define INIT(f, ...)                                                                               \
    do {                                                                                           \
        const struct dp_filter *const list[] = {__VA_ARGS__};                                      \
        init((f), list, GW_ARRAY_LEN(list));                                                       \
    } while (0)

static void done(struct fixture *f)
{
    dp_chain_end(&f->chain, &f->x);
    gw_arena_done(&f->x.arena);
}

static void goes_forward_back_and_ends_in_reverse(void **state)
{
    (void)state;
    struct fixture f;
    INIT(&f, &plain, &silent, &plain);
    assert_int_equal(dp_chain_forward(&f.chain, &f.x), DP_NEXT);
    assert_int_equal(dp_chain_backward(&f.chain, &f.x), DP_NEXT);
    done(&f);
    assert_string_equal(journal, ">a >c <c <a !c !a ");
}

static void a_reply_turns_back_over_the_filters_entered(void **state)
{
    (void)state;
    struct fixture f;
    INIT(&f, &plain, &replies, &plain);
    assert_int_equal(dp_chain_forward(&f.chain, &f.x), DP_REPLY);
    assert_int_equal(dp_chain_backward(&f.chain, &f.x), DP_NEXT);
    done(&f);
    assert_string_equal(journal, ">a >b <b <a !b !a ");
}

static void a_waiting_filter_is_resumed_once(void **state)
{
    (void)state;
    struct fixture f;
    INIT(&f, &waits, &plain);
    assert_false(dp_chain_resumed(&f.chain));
    assert_int_equal(dp_chain_forward(&f.chain, &f.x), DP_WAIT);
    assert_true(dp_chain_resumed(&f.chain));
    assert_false(dp_chain_resumed(&f.chain));
    assert_int_equal(dp_chain_forward(&f.chain, &f.x), DP_NEXT);
    assert_int_equal(dp_chain_backward(&f.chain, &f.x), DP_NEXT);
    done(&f);
    assert_string_equal(journal, ">a >b <b <a !b !a ");
}

static void the_way_back_waits_too(void **state)
{
    (void)state;
    struct fixture f;
    INIT(&f, &plain, &waits_back);
    assert_int_equal(dp_chain_forward(&f.chain, &f.x), DP_NEXT);
    assert_int_equal(dp_chain_backward(&f.chain, &f.x), DP_WAIT);
    assert_string_equal(journal, ">a >b <b ");
    assert_true(dp_chain_resumed(&f.chain));
    assert_int_equal(dp_chain_backward(&f.chain, &f.x), DP_NEXT);
    done(&f);
    assert_string_equal(journal, ">a >b <b <a !b !a ");
}

static void who_replaces_the_answer_does_not_stop_the_walk(void **state)
{
    (void)state;
    struct fixture f;
    INIT(&f, &plain, &replaces, &plain);
    assert_int_equal(dp_chain_forward(&f.chain, &f.x), DP_NEXT);
    assert_int_equal(dp_chain_backward(&f.chain, &f.x), DP_NEXT);
    done(&f);
    assert_string_equal(journal, ">a >b >c <c <b <a !c !b !a ");
}

static void an_end_while_waiting_cancels(void **state)
{
    (void)state;
    struct fixture f;
    INIT(&f, &plain, &waits, &plain);
    assert_int_equal(dp_chain_forward(&f.chain, &f.x), DP_WAIT);
    dp_chain_end(&f.chain, &f.x);
    assert_false(dp_chain_resumed(&f.chain));
    done(&f);
    assert_string_equal(journal, ">a >b !b !a ");
}

static enum dp_verdict fill_scratch(struct dp_exchange *x, const void *conf, void *scratch)
{
    (void)x;
    (void)conf;
    for (unsigned i = 0; i < 24; i++) {
        assert_int_equal(((unsigned char *)scratch)[i], 0);
        ((unsigned char *)scratch)[i] = 0xff;
    }
    assert_int_equal((uintptr_t)scratch % 16, 0);
    return DP_NEXT;
}

static enum dp_verdict scratch_is_full(struct dp_exchange *x, const void *conf, void *scratch)
{
    (void)x;
    (void)conf;
    for (unsigned i = 0; i < 24; i++)
        assert_int_equal(((unsigned char *)scratch)[i], 0xff);
    return DP_NEXT;
}

static void each_filter_has_zeroed_scratch_of_its_own(void **state)
{
    (void)state;
    static const struct dp_filter fills = {
        .name = "fills", .scratch = 24, .on_request = fill_scratch, .on_response = scratch_is_full};
    struct fixture f;
    INIT(&f, &fills, &plain, &fills);
    assert_int_equal(dp_chain_forward(&f.chain, &f.x), DP_NEXT);
    assert_int_equal(dp_chain_backward(&f.chain, &f.x), DP_NEXT);
    done(&f);
}

static void no_route_is_an_empty_chain(void **state)
{
    (void)state;
    struct dp_exchange x = {0};
    struct dp_chain chain;
    dp_chain_init(&chain, &x, NULL);
    assert_int_equal(dp_chain_forward(&chain, &x), DP_NEXT);
    assert_int_equal(dp_chain_backward(&chain, &x), DP_NEXT);
    dp_chain_end(&chain, &x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_forward_back_and_ends_in_reverse),
        cmocka_unit_test(a_reply_turns_back_over_the_filters_entered),
        cmocka_unit_test(a_waiting_filter_is_resumed_once),
        cmocka_unit_test(the_way_back_waits_too),
        cmocka_unit_test(who_replaces_the_answer_does_not_stop_the_walk),
        cmocka_unit_test(an_end_while_waiting_cancels),
        cmocka_unit_test(each_filter_has_zeroed_scratch_of_its_own),
        cmocka_unit_test(no_route_is_an_empty_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
