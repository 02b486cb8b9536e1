/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/upstream/resolver.h"

#include "dataplane/upstream/fake_dns.h"

#include <stdlib.h>

struct fixture {
    struct fake_dns dns;
    struct dp_loop loop;
    struct dp_resolver *resolver;
    struct dp_resolution found;
    unsigned done;
    char path[64]; /* of a resolv.conf */
};

static int set_up(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof(*f));
    struct gw_error err = GW_ERROR_NONE;
    dns_start(&f->dns);
    assert_int_equal(dp_loop_init(&f->loop), 0);
    (void)snprintf(f->path, sizeof(f->path), "/tmp/penstock-resolv-%d.conf", getpid());
    struct dp_resolver_options options = {.loop = &f->loop, .servers = f->dns.address};
    assert_int_equal(dp_resolver_new(&options, &f->resolver, &err), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    dp_resolver_free(f->resolver);
    dp_resolver_free(NULL);
    dp_loop_done(&f->loop);
    dns_stop(&f->dns);
    (void)unlink(f->path);
    free(f);
    return 0;
}

static void on_done(void *arg, const struct dp_resolution *resolution)
{
    struct fixture *f = arg;
    f->found = *resolution;
    f->done++;
    dp_loop_stop(&f->loop);
}

static void look_up(struct fixture *f, const char *host)
{
    f->done = 0;
    dp_resolver_look_up(f->resolver, host, on_done, f);
    if (!f->done)
        dp_loop_run(&f->loop);
    assert_int_equal(f->done, 1);
}

static void assert_first(const struct fixture *f, const char *want)
{
    char text[DP_ADDRESS_TEXT_MAX];
    assert_null(f->found.error);
    (void)dp_address_print(&f->found.addresses[0], text);
    assert_string_equal(text, want);
}

static void addresses_come_with_the_time_that_they_are_good_for(void **state)
{
    struct fixture *f = *state;
    look_up(f, "backend.test.");
    assert_first(f, "127.0.0.1");
    assert_int_equal(f->found.count, 1);
    assert_int_equal(f->found.ttl_ms, 60000);
    f->dns.cname_ttl_s = 7; /* an alias that expires before what it leads to */
    look_up(f, "backend.test.");
    assert_first(f, "127.0.0.1");
    assert_int_equal(f->found.ttl_ms, 7000);
}

static void both_families_are_asked_for(void **state)
{
    struct fixture *f = *state;
    f->dns.v4 = 2;
    f->dns.v6 = 2;
    look_up(f, "backend.test.");
    assert_null(f->found.error);
    assert_int_equal(f->found.count, 4);
    f->dns.v4 = 0;
    look_up(f, "backend.test.");
    assert_int_equal(f->found.count, 2);
    assert_first(f, "2001:db8::1");
}

static enum dp_resolver_answer answered;

static void on_answer(void *arg, enum dp_resolver_answer answer)
{
    struct fixture *f = arg;
    answered = answer;
    f->done++;
    dp_loop_stop(&f->loop);
}

static enum dp_resolver_answer ask(struct fixture *f, bool v4)
{
    f->done = 0;
    dp_resolver_ask(f->resolver, f->found.name, v4, on_answer, f);
    if (!f->done)
        dp_loop_run(&f->loop);
    assert_int_equal(f->done, 1);
    return answered;
}

static void a_family_that_is_missing_can_be_asked_for(void **state)
{
    struct fixture *f = *state;
    look_up(f, "backend.test.");
    assert_string_equal(f->found.name, "backend.test.");
    assert_int_equal(ask(f, true), DP_RESOLVER_SOME);
    assert_int_equal(ask(f, false), DP_RESOLVER_NONE);
    f->dns.broken = 28;
    assert_int_equal(ask(f, false), DP_RESOLVER_UNKNOWN);
    look_up(f, "backend.test."); /* which does not say so */
    assert_int_equal(f->found.count, 1);
    assert_null(f->found.error);
    dp_resolver_ask(f->resolver, f->found.name, false, on_answer, f);
    dp_resolver_free(f->resolver);
    f->resolver = NULL;
    assert_int_equal(answered, DP_RESOLVER_CANCELLED);
}

static void a_name_with_too_many_addresses_gives_some_of_them(void **state)
{
    struct fixture *f = *state;
    f->dns.v4 = 2000; /* more than UDP has room for */
    f->dns.mode = DNS_TRUNCATES;
    look_up(f, "backend.test.");
    assert_null(f->found.error);
    assert_int_equal(f->found.count, DP_ENDPOINT_ADDRESSES_MAX);
    assert_true(f->dns.asked_tcp >= 1);
}

static void what_is_no_answer_is_an_error(void **state)
{
    struct fixture *f = *state;
    static const enum fake_dns_mode modes[] = {DNS_NO_SUCH_NAME, DNS_FAILS, DNS_GARBAGE};
    for (size_t i = 0; i < GW_ARRAY_LEN(modes); i++) {
        f->dns.mode = (int)modes[i];
        look_up(f, "backend.test.");
        assert_non_null(f->found.error);
        assert_false(f->found.cancelled);
        assert_int_equal(f->found.count, 0);
    }
    f->dns.mode = DNS_ANSWERS;
    f->dns.v4 = 0; /* the name is there, and has no address */
    look_up(f, "backend.test.");
    assert_non_null(f->found.error);
}

static void the_hosts_file_is_read(void **state)
{
    struct fixture *f = *state;
    f->dns.mode = DNS_FAILS;
    look_up(f, "localhost");
    assert_null(f->found.error);
    assert_int_equal(f->dns.asked, 0);
}

static void write_resolv_conf(const struct fixture *f, const char *text)
{
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) > 0);
    assert_int_equal(fclose(file), 0);
}

static void another_resolv_conf_is_followed(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    struct dp_resolver_options options = {
        .loop = &f->loop, .servers = f->dns.address, .resolv_conf = f->path};
    dp_resolver_free(f->resolver);
    write_resolv_conf(f, "search example.test\n");
    assert_int_equal(dp_resolver_new(&options, &f->resolver, &err), 0);
    look_up(f, "backend");
    assert_first(f, "127.0.0.1");
    assert_int_equal(f->dns.labels, 3); /* backend.example.test */
    write_resolv_conf(f, "search one.more.example.test\n");
    look_up(f, "backend");
    assert_int_equal(f->dns.labels, 3); /* it was looked at just now */
    f->loop.now_ms += 2000;
    look_up(f, "backend");
    assert_int_equal(f->dns.labels, 5);
    (void)unlink(f->path);
    f->loop.now_ms += 2000;
    look_up(f, "backend");
    assert_int_equal(f->dns.labels, 5);
}

static void the_end_cancels_what_is_under_way(void **state)
{
    struct fixture *f = *state;
    dp_resolver_look_up(f->resolver, "backend.test.", on_done, f);
    assert_int_equal(f->done, 0);
    dp_resolver_free(f->resolver);
    f->resolver = NULL;
    assert_int_equal(f->done, 1);
    assert_true(f->found.cancelled);
    assert_non_null(f->found.error);
}

static void servers_are_addresses(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    struct dp_resolver *resolver;
    struct dp_resolver_options options = {.loop = &f->loop, .servers = "dns.example.com"};
    assert_int_equal(dp_resolver_new(&options, &resolver, &err), -1);
    assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    assert_string_equal(err.violations[0].field, "--dns-servers");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(addresses_come_with_the_time_that_they_are_good_for),
        TEST(both_families_are_asked_for),
        TEST(a_family_that_is_missing_can_be_asked_for),
        TEST(a_name_with_too_many_addresses_gives_some_of_them),
        TEST(what_is_no_answer_is_an_error),
        TEST(the_hosts_file_is_read),
        TEST(another_resolv_conf_is_followed),
        TEST(the_end_cancels_what_is_under_way),
        TEST(servers_are_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
