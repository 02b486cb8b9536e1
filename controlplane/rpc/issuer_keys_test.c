/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/issuer_keys.h"

#include "controlplane/rpc/test_jwt.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *document; /* what is fetched; made before the threads */
static atomic_int asked, failing;
static atomic_bool blocks;

static int fake_fetch(const char *uri, const char *ca_file, const atomic_bool *stop,
                      struct gw_arena *into, gw_str *ret_text, int64_t *ret_max_age_s,
                      struct gw_error *err)
{
    assert_string_equal(uri, "https://id.example.com/keys");
    assert_null(ca_file);
    atomic_fetch_add(&asked, 1);
    while (atomic_load(&blocks) && !atomic_load(stop))
        sched_yield();
    if (atomic_load(&failing) > 0) {
        atomic_fetch_sub(&failing, 1);
        return gw_fail(err, GW_UNAVAILABLE, "not now");
    }
    *ret_text = gw_arena_dup(into, gw_str_from(document));
    *ret_max_age_s = 1; /* at least a minute, all the same */
    return 0;
}

static struct cp_credentials *new_credentials(size_t issuers)
{
    struct cp_credentials *credentials = gw_calloc(1, sizeof(*credentials));
    credentials->issuer_count = issuers;
    for (size_t i = 0; i < issuers; i++)
        credentials->issuers[i].jwks_uri = "https://id.example.com/keys";
    return credentials;
}

static size_t keys_of(const struct cp_credentials *credentials, size_t issuer)
{
    pthread_mutex_lock(&lock);
    size_t count = credentials->issuers[issuer].jwks.count;
    pthread_mutex_unlock(&lock);
    return count;
}

static void adopt(struct cp_issuer_keys *keys, struct cp_credentials *credentials)
{
    pthread_mutex_lock(&lock);
    cp_issuer_keys_adopt(keys, credentials);
    pthread_mutex_unlock(&lock);
}

static int set_up(void **state)
{
    static struct gw_arena arena;
    (void)state;
    cjose_jwk_t *key = test_ec("one", CJOSE_JWK_EC_P_256);
    document = gw_arena_printf(&arena, "{\"keys\":[%s]}", test_jwk(&arena, key)).ptr;
    (void)cjose_jwk_release(key);
    atomic_store(&asked, 0);
    atomic_store(&failing, 0);
    atomic_store(&blocks, false);
    return 0;
}

static void issuers_of_one_url_share_what_is_fetched(void **state)
{
    (void)state;
    struct cp_credentials *first = new_credentials(2), *second = new_credentials(1),
                          *none = new_credentials(0);
    struct cp_issuer_keys *keys = cp_issuer_keys_new(&lock, fake_fetch);
    atomic_store(&failing, 1);
    adopt(keys, first);
    while (keys_of(first, 1) == 0)
        sched_yield();
    assert_int_equal(keys_of(first, 0), 1);
    assert_int_equal(atomic_load(&asked), 2);
    assert_int_equal(cp_issuer_keys_failures(keys), 1);
    adopt(keys, second); /* read again: what is there stays */
    assert_int_equal(keys_of(second, 0), 1);
    adopt(keys, none);
    adopt(keys, second);
    while (keys_of(second, 0) == 0)
        sched_yield();
    cp_issuer_keys_free(keys);
    assert_int_equal(atomic_load(&asked), 3);
    free(first);
    free(second);
    free(none);
}

static void a_stop_does_not_wait_for_an_answer(void **state)
{
    (void)state;
    struct cp_credentials *credentials = new_credentials(1);
    struct cp_issuer_keys *keys = cp_issuer_keys_new(&lock, fake_fetch);
    atomic_store(&blocks, true);
    adopt(keys, credentials);
    while (atomic_load(&asked) == 0)
        sched_yield();
    assert_int_equal(keys_of(credentials, 0), 0); /* the lock is free meanwhile */
    cp_issuer_keys_free(keys);
    free(credentials);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(issuers_of_one_url_share_what_is_fetched, set_up),
        cmocka_unit_test_setup(a_stop_does_not_wait_for_an_answer, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
