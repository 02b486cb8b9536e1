/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, domains and ticket keys from messages to snapshots, and back out when they change.
 */
#include "common/message.h"
#include "dataplane/limiter.h"
#include "dataplane/net/test_pem.h"
#include "dataplane/snapshot/compile.h"
#include "dataplane/snapshot/test_endpoints.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef Penstock__Agent__V1__Resource resource;
#define RESOURCE(name) PENSTOCK__AGENT__V1__RESOURCE__KIND_##name
#define MESSAGE(f, name)                                                                           \
    ((void *)gw_message_new(&(f)->arena, &penstock__agent__v1__##name##__descriptor))

struct fixture {
    struct dp_compile_env env;
    struct dp_catalog *catalog;
    struct gw_arena arena;
    resource *upserts[8];
    size_t count;
    struct dp_snapshot *snapshot;
    struct dp_refusals refusals;
    struct test_pem a, b;
};

static int set_up(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof *f);
    f->env.limiter = dp_limiter_new(16);
    f->catalog = dp_catalog_new(&f->env);
    f->a = test_pem_make("a", EVP_EC_gen("P-256"));
    f->b = test_pem_make("b", EVP_EC_gen("P-256"));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    dp_snapshot_unref(f->snapshot);
    dp_catalog_free(f->catalog);
    dp_limiter_free(f->env.limiter);
    gw_arena_done(&f->arena);
    free(f);
    return 0;
}

static resource *upsert(struct fixture *f, int kind)
{
    resource *r = f->upserts[f->count++] = MESSAGE(f, resource);
    r->kind_case = kind;
    return r;
}

static void certificate(struct fixture *f, const char *name, const struct test_pem *pem,
                        const char *key, const char *ca)
{
    Penstock__Agent__V1__Certificate *c = MESSAGE(f, certificate);
    c->name = gw_arena_strdup(&f->arena, name);
    c->certificate_pem = gw_arena_strdup(&f->arena, pem->certificate);
    c->private_key_pem = gw_arena_strdup(&f->arena, key);
    c->ca_pem = gw_arena_strdup(&f->arena, ca);
    upsert(f, RESOURCE(CERTIFICATE))->certificate = c;
}

/* One domain of "groups/NAME", over TLS with "certificates/a". */
static Penstock__Agent__V1__DomainTls *group(struct fixture *f, const char *name, const char *host)
{
    Penstock__Agent__V1__Group *g = MESSAGE(f, group);
    Penstock__Agent__V1__DomainTls *tls = MESSAGE(f, domain_tls);
    g->name = gw_arena_strdup(&f->arena, name);
    g->n_domains = g->n_tls = 1;
    g->domains = GW_ARENA_ARRAY(&f->arena, char *, 1);
    g->tls = GW_ARENA_ARRAY(&f->arena, Penstock__Agent__V1__DomainTls *, 1);
    g->domains[0] = tls->host = gw_arena_strdup(&f->arena, host);
    g->tls[0] = tls;
    tls->min_version = 2;
    tls->n_certificates = 1;
    tls->certificates = GW_ARENA_ARRAY(&f->arena, char *, 2);
    tls->certificates[0] = gw_arena_strdup(&f->arena, "certificates/a");
    upsert(f, RESOURCE(GROUP))->group = g;
    return tls;
}

/* base: what is not among the upserts stays. */
static void apply(struct fixture *f, bool is_delta)
{
    struct dp_update update = {
        .cluster_id = GW_STR("c"),
        .revision = dp_catalog_revision(f->catalog) + 1,
        .base_revision = is_delta ? dp_catalog_revision(f->catalog) : 0,
        .upserts = f->upserts,
        .upsert_count = f->count,
    };
    struct gw_error err = GW_ERROR_NONE;
    dp_snapshot_unref(f->snapshot);
    assert_int_equal(dp_catalog_apply(f->catalog, &update, &f->snapshot, &f->refusals, &err), 0);
    f->count = 0;
}

static const struct dp_domain_tls *find(const struct fixture *f, const char *name)
{
    return dp_snapshot_find_tls(f->snapshot, gw_str_from(name));
}

static void names_are_found_exact_then_by_wildcard(void **state)
{
    struct fixture *f = *state;
    certificate(f, "certificates/a", &f->a, f->a.key, "");
    group(f, "groups/wild", "*.Example.com");
    group(f, "groups/one", "a.example.com");
    apply(f, false);
    assert_int_equal(f->refusals.count, 0);
    assert_true(gw_str_eq(find(f, "a.example.com")->host, GW_STR("a.example.com")));
    assert_true(gw_str_eq(find(f, "B.EXAMPLE.com")->host, GW_STR("*.example.com")));
    assert_ptr_equal(find(f, "*.example.com"), find(f, "b.example.com"));
    assert_null(find(f, "example.com"));
    assert_ptr_equal(find(f, ""), find(f, "b.example.com")); /* the first in byte order */
    assert_ptr_equal(find(f, "127.0.0.1"), find(f, ""));
    assert_ptr_equal(find(f, "localhost"), find(f, ""));
    assert_memory_equal(find(f, "")->context_id, find(f, "a.example.com")->context_id, 32);
    assert_memory_not_equal(find(f, "")->session_id, find(f, "a.example.com")->session_id, 32);
}

static void a_certificate_that_changes_changes_its_domains(void **state)
{
    struct fixture *f = *state;
    uint8_t context[32], session[32];
    certificate(f, "certificates/a", &f->a, f->a.key, "");
    group(f, "groups/g", "a.example.com");
    apply(f, false);
    memcpy(context, find(f, "a.example.com")->context_id, sizeof context);
    memcpy(session, find(f, "a.example.com")->session_id, sizeof session);
    certificate(f, "certificates/a", &f->b, f->b.key, "");
    apply(f, true);
    assert_memory_not_equal(find(f, "a.example.com")->context_id, context, sizeof context);
    assert_memory_equal(find(f, "a.example.com")->session_id, session, sizeof session);
}

static void a_bad_certificate_keeps_its_last_good_form(void **state)
{
    struct fixture *f = *state;
    certificate(f, "certificates/a", &f->a, f->a.key, "");
    group(f, "groups/g", "a.example.com");
    apply(f, false);
    const struct dp_domain_tls *before = find(f, "a.example.com");
    certificate(f, "certificates/a", &f->a, f->b.key, "");
    apply(f, true);
    assert_int_equal(f->refusals.count, 1);
    assert_string_equal(f->refusals.items[0].name, "certificates/a");
    assert_ptr_equal(find(f, "a.example.com"), before);
}

static void a_domain_waits_for_its_certificate(void **state)
{
    struct fixture *f = *state;
    group(f, "groups/g", "a.example.com");
    apply(f, false);
    assert_int_equal(f->refusals.count, 0);
    assert_null(find(f, "a.example.com"));
    assert_null(find(f, ""));
    certificate(f, "certificates/a", &f->a, f->a.key, "");
    apply(f, true);
    assert_non_null(find(f, "a.example.com"));
}

static void callers_are_not_let_in_without_the_authorities(void **state)
{
    struct fixture *f = *state;
    certificate(f, "certificates/a", &f->a, f->a.key, "");
    group(f, "groups/g", "a.example.com")->verify_client_certificate = true;
    apply(f, false);
    assert_null(find(f, "a.example.com"));
    certificate(f, "certificates/a", &f->a, f->a.key, f->b.certificate);
    apply(f, true);
    assert_non_null(find(f, "a.example.com")->authorities);
}

static void a_group_that_is_refused_goes_on_with_new_certificates(void **state)
{
    struct fixture *f = *state;
    uint8_t context[32];
    certificate(f, "certificates/a", &f->a, f->a.key, "");
    group(f, "groups/g", "a.example.com");
    apply(f, false);
    memcpy(context, find(f, "a.example.com")->context_id, sizeof context);
    group(f, "groups/g", "a.example.com")->min_version = 7;
    apply(f, true);
    assert_int_equal(f->refusals.count, 1);
    certificate(f, "certificates/a", &f->b, f->b.key, "");
    apply(f, true);
    assert_int_equal(f->refusals.count, 1);
    assert_memory_not_equal(find(f, "a.example.com")->context_id, context, sizeof context);
}

static void domains_are_checked(void **state)
{
    struct fixture *f = *state;
    char unknown[] = "ECDHE-NOTHING", level[] = "ALL:@SECLEVEL=0", *ciphers[] = {unknown};
    for (unsigned i = 0; i < 5; i++) {
        Penstock__Agent__V1__DomainTls *tls = group(f, "groups/g", "a.example.com");
        if (i == 0)
            tls->host = gw_arena_strdup(&f->arena, "b.example.com");
        if (i == 1)
            tls->n_certificates = 0;
        if (i == 2)
            tls->min_version = 0;
        if (i >= 3)
            tls->n_ciphers = 1;
        ciphers[0] = i == 4 ? level : unknown;
        tls->ciphers = ciphers;
        apply(f, false);
        assert_int_equal(f->refusals.count, 1);
        assert_non_null(strstr(f->refusals.items[0].reason, "tls[0]"));
    }
}

static void ticket_keys_come_with_the_snapshot(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[32] = "0123456789abcdef";
    Penstock__Agent__V1__TicketKeys *keys = MESSAGE(f, ticket_keys);
    Penstock__Agent__V1__TicketKey *key = MESSAGE(f, ticket_key);
    keys->name = gw_arena_strdup(&f->arena, DP_COMPILE_TICKET_KEYS);
    keys->n_keys = 1;
    keys->keys = GW_ARENA_ARRAY(&f->arena, Penstock__Agent__V1__TicketKey *, 1);
    keys->keys[0] = key;
    key->name = (ProtobufCBinaryData){16, bytes};
    key->aes_key = key->hmac_key = (ProtobufCBinaryData){32, bytes};
    upsert(f, RESOURCE(TICKET_KEYS))->ticket_keys = keys;
    apply(f, false);
    assert_int_equal(dp_snapshot_ticket_keys(f->snapshot).count, 1);
    assert_memory_equal(dp_snapshot_ticket_keys(f->snapshot).items[0].name, bytes, 16);
    key->aes_key.len = 16;
    upsert(f, RESOURCE(TICKET_KEYS))->ticket_keys = keys;
    apply(f, true);
    assert_int_equal(f->refusals.count, 1);
    assert_int_equal(dp_snapshot_ticket_keys(f->snapshot).count, 1); /* the last good ones */
}

/* Applies, and compares with what was before. */
static bool is_same_after(struct fixture *f)
{
    struct dp_snapshot *before = dp_snapshot_ref(f->snapshot);
    apply(f, true);
    bool is_same = dp_snapshot_has_same_tls(before, f->snapshot);
    dp_snapshot_unref(before);
    return is_same;
}

static void changes_elsewhere_leave_tls_as_it_is(void **state)
{
    struct fixture *f = *state;
    certificate(f, "certificates/a", &f->a, f->a.key, "");
    group(f, "groups/g", "g.example.com");
    apply(f, false);
    assert_true(is_same_after(f));
    certificate(f, "certificates/b", &f->b, f->b.key, ""); /* nobody's */
    assert_true(is_same_after(f));
    certificate(f, "certificates/a", &f->b, f->b.key, "");
    assert_false(is_same_after(f));
    group(f, "groups/h", "h.example.com");
    assert_false(is_same_after(f));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(names_are_found_exact_then_by_wildcard),
        TEST(a_certificate_that_changes_changes_its_domains),
        TEST(a_bad_certificate_keeps_its_last_good_form),
        TEST(a_domain_waits_for_its_certificate),
        TEST(callers_are_not_let_in_without_the_authorities),
        TEST(a_group_that_is_refused_goes_on_with_new_certificates),
        TEST(domains_are_checked),
        TEST(ticket_keys_come_with_the_snapshot),
        TEST(changes_elsewhere_leave_tls_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
