/* SPDX-License-Identifier: Apache-2.0 */
/* Two replicas over one store, in memory and etcd: who leads, and what a holder that slept can
 * still write. */
#include "controlplane/service/leader.h"

#include "controlplane/service/audit_clean.h"
#include "controlplane/service/ticket_keys.h"
#include "controlplane/store/etcd_fixture.h"

#define TTL_S 2

struct fixture {
    struct cp_store *store;
    struct node node; /* of etcd */
    bool is_etcd;
    struct cp_leader *first, *second;
};

static int set_up(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof(*f));
    struct gw_error err;
    assert_int_equal(cp_store_open_sqlite(":memory:", &f->store, &err), 0);
    *state = f;
    return 0;
}

static int set_up_etcd(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof(*f));
    f->is_etcd = true;
    f->store = node_up(&f->node);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    cp_leader_free(f->first);
    cp_leader_free(f->second);
    cp_store_close(f->store);
    if (f->is_etcd)
        node_done(&f->node);
    free(f);
    return 0;
}

static void come_together(struct fixture *f)
{
    f->first = cp_leader_new(f->store, TTL_S);
    f->second = cp_leader_new(f->store, TTL_S);
    cp_leader_step(f->first);
    cp_leader_step(f->second);
}

/* The first one sleeps: it does nothing any more, and hears nothing. */
static void wait_until_second_leads(struct fixture *f)
{
    for (gw_msec until = gw_clock_monotonic_ms() + WAIT_MS; !cp_leader_leads(f->second);) {
        assert_true(gw_clock_monotonic_ms() < until);
        node_nap();
        cp_leader_step(f->second);
    }
}

/* Whether a write that only who leads may make comes through. */
static bool writes(struct fixture *f, struct cp_leader *leader)
{
    struct gw_error err;
    struct cp_compare fence;
    struct cp_commit commit;
    struct cp_op op = {.kind = CP_OP_PUT, .key = GW_STR("/penstock/x"), .value = GW_STR("y")};
    if (cp_leader_fence(leader, &fence, &err) < 0)
        return false;
    struct cp_txn txn = {.compares = &fence, .compare_count = 1, .ops = &op, .op_count = 1};
    assert_int_equal(cp_store_txn(f->store, &txn, &commit, &err), 0);
    return commit.committed;
}

static void one_of_them_leads(void **state)
{
    struct fixture *f = *state;
    come_together(f);
    assert_true(cp_leader_leads(f->first));
    assert_false(cp_leader_leads(f->second));
    assert_true(writes(f, f->first));
    assert_false(writes(f, f->second));
    assert_int_equal(cp_leader_terms(f->first), 1);
    assert_int_equal(cp_leader_terms(f->second), 0);
}

static void a_lease_that_is_kept_does_not_end(void **state)
{
    struct fixture *f = *state;
    come_together(f);
    for (gw_msec until = gw_clock_monotonic_ms() + 2000 * TTL_S; gw_clock_monotonic_ms() < until;) {
        node_nap();
        cp_leader_step(f->first);
        cp_leader_step(f->second);
        assert_false(cp_leader_leads(f->second));
    }
    assert_true(writes(f, f->first));
    assert_int_equal(cp_leader_terms(f->first), 1);
}

static void who_slept_writes_nothing(void **state)
{
    struct fixture *f = *state;
    come_together(f);
    wait_until_second_leads(f);
    assert_false(cp_leader_leads(f->first)); /* by its own clock, before it asks */
    /* It was about to write when it fell asleep, and writes now: */
    assert_false(writes(f, f->first));
    assert_true(writes(f, f->second));
    cp_leader_step(f->first);
    assert_false(cp_leader_leads(f->first));
    assert_true(cp_leader_leads(f->second));
}

static void who_is_stopped_is_followed_at_once(void **state)
{
    struct fixture *f = *state;
    come_together(f);
    cp_leader_free(f->first);
    f->first = NULL;
    cp_leader_step(f->second);
    assert_true(cp_leader_leads(f->second));
}

static void threads_do_it_by_themselves(void **state)
{
    struct fixture *f = *state;
    f->first = cp_leader_new(f->store, TTL_S);
    cp_leader_start(f->first);
    for (gw_msec until = gw_clock_monotonic_ms() + WAIT_MS; !cp_leader_leads(f->first);) {
        assert_true(gw_clock_monotonic_ms() < until);
        node_nap();
    }
}

static void work_of_the_leader_is_for_no_other(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    struct cp_ticket_turns turns = {0};
    struct cp_audit_rounds rounds = {0};
    struct cp_position before, after;
    int64_t count;
    come_together(f);
    struct cp_seal *seal = cp_seal_new_random();
    struct cp_services services = {.store = f->store,
                                   .leader = f->second,
                                   .seal = seal,
                                   .ticket_key_rotation_ms = 1000,
                                   .audit_retention_ms = 1000,
                                   .audit_events_max = 1000};
    assert_int_equal(cp_store_ping(f->store, &before, &err), 0);
    assert_int_equal(cp_ticket_keys_turn(&services, 5000, &turns, &err), -1);
    assert_int_equal(err.code, GW_FAILED_PRECONDITION);
    assert_int_equal(cp_audit_clean(&services, 5000, &rounds, &count, &err), 0);
    assert_int_equal(cp_store_ping(f->store, &after, &err), 0);
    assert_int_equal(after.revision, before.revision);
    services.leader = f->first;
    assert_int_equal(cp_ticket_keys_turn(&services, 5000, &turns, &err), 0);
    assert_int_equal(cp_audit_clean(&services, 5000, &rounds, &count, &err), 0);
    assert_int_equal(cp_store_ping(f->store, &after, &err), 0);
    assert_true(after.revision > before.revision);
    cp_seal_free(seal);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_ETCD(name) cmocka_unit_test_setup_teardown(name, set_up_etcd, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_of_them_leads),
        TEST(a_lease_that_is_kept_does_not_end),
        TEST(who_slept_writes_nothing),
        TEST(who_is_stopped_is_followed_at_once),
        TEST(threads_do_it_by_themselves),
        TEST(work_of_the_leader_is_for_no_other),
        TEST_ETCD(one_of_them_leads),
        TEST_ETCD(a_lease_that_is_kept_does_not_end),
        TEST_ETCD(who_slept_writes_nothing),
        TEST_ETCD(who_is_stopped_is_followed_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
