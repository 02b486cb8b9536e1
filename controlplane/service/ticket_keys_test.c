/* SPDX-License-Identifier: Apache-2.0 */
/* Ticket keys, and what rotating the keys for secrets does to all that is sealed. */
#include "controlplane/service/ticket_keys.h"

#include "controlplane/model/check_certificate.h"
#include "controlplane/service/reseal.h"
#include "controlplane/service/test_apis.h"

#include <unistd.h>

#define NOW_MS ((gw_msec)1800000000000)
#define ROTATION_MS 1000 /* of test_services.h */
#define OLD_KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define NEW_KEY "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static gw_msec turn(struct fixture *f, gw_msec now_ms)
{
    struct cp_ticket_turns turns = {0};
    if (cp_ticket_keys_turn(&f->services, now_ms, &turns, &f->err))
        fail_msg("%s", f->err.message);
    return turns.due_ms;
}

static const cp_ticket_key_set *stored_set(void)
{
    struct gw_error err;
    struct cp_found found;
    ProtobufCMessage *message = NULL;
    gw_str key = cp_key_of(&backstage.arena, CP_KIND_TICKET_KEYS, CP_TICKET_KEYS_NAME);
    assert_int_equal(cp_store_get(backstage.inner, key, &backstage.arena, &found, &err), 0);
    assert_int_equal(gw_message_unpack(&backstage.arena,
                                       &penstock__store__v1__ticket_key_set__descriptor,
                                       found.kv.value, &message, &err),
                     0);
    return (const cp_ticket_key_set *)message;
}

/* The names of the keys that agents get, in their order, by the first bytes in base64. */
static const char *names_seen(void)
{
    gw_str names = GW_STR("");
    for (const char *at = agents_see("ticketKeys"); (at = strstr(at, "\"name\":\"")); at++)
        if (strncmp(at + 8, "ticketKeys", 10) != 0)
            names = gw_arena_printf(&backstage.arena, "%.*s%.4s ", GW_STR_ARG(names), at + 8);
    return names.ptr;
}

static const char *name_at(const char *names, unsigned index)
{
    return gw_arena_dup(&backstage.arena, gw_str_n(names + 5 * (size_t)index, 5)).ptr;
}

static void they_are_made_once(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(agents_see("ticketKeys"), "");
    assert_int_equal(turn(f, NOW_MS), NOW_MS + ROTATION_MS);
    const char *before = stored(), *names = names_seen();
    assert_int_equal(strlen(names), 10);
    assert_int_equal(turn(f, NOW_MS + ROTATION_MS - 1), NOW_MS + ROTATION_MS);
    assert_string_equal(stored(), before);
}

static void the_next_one_is_known_a_rotation_before_it_seals(void **state)
{
    struct fixture *f = *state;
    turn(f, NOW_MS);
    const char *before = names_seen();
    turn(f, NOW_MS + ROTATION_MS);
    const char *after = names_seen();
    assert_int_equal(strlen(after), 15);
    assert_string_equal(name_at(after, 0), name_at(before, 1)); /* what was next seals */
    assert_string_equal(name_at(after, 2), name_at(before, 0)); /* what sealed opens */
    assert_null(strstr(before, name_at(after, 1)));
}

static void they_go_a_day_after_they_sealed(void **state)
{
    struct fixture *f = *state;
    turn(f, NOW_MS);
    turn(f, NOW_MS + ROTATION_MS);
    turn(f, NOW_MS + ROTATION_MS + CP_TICKET_KEY_KEPT_MS);
    assert_int_equal(strlen(names_seen()), 20);
    turn(f, NOW_MS + 2 * ROTATION_MS + CP_TICKET_KEY_KEPT_MS);
    assert_int_equal(strlen(names_seen()), 20); /* one came, one went */
}

static void there_are_never_more_than_agents_take(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2 * CP_TICKET_KEYS_MAX; i++)
        turn(f, NOW_MS + i * ROTATION_MS);
    assert_int_equal(strlen(names_seen()), 5 * CP_TICKET_KEYS_MAX);
}

static void turn_first(struct fixture *other)
{
    turn(other, NOW_MS + ROTATION_MS);
}

static void of_two_replicas_one_turns_them(void **state)
{
    struct fixture *f = *state;
    turn(f, NOW_MS);
    backstage.before_txn = turn_first;
    assert_int_equal(turn(f, NOW_MS + ROTATION_MS), NOW_MS + 2 * ROTATION_MS);
    assert_int_equal(strlen(names_seen()), 15);
}

static void a_clock_that_was_ahead_does_not_keep_them(void **state)
{
    struct fixture *f = *state;
    struct cp_ticket_turns turns = {0};
    const gw_msec year_ms = (gw_msec)365 * 24 * 3600 * 1000;
    turn(f, NOW_MS + year_ms);
    const char *before = stored();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cp_ticket_keys_turn(&f->services, NOW_MS + i, &turns, &f->err), 0);
        assert_int_equal(turns.due_ms, NOW_MS + ROTATION_MS);
        assert_string_equal(stored(), before);
    }
    assert_int_equal(cp_ticket_keys_turn(&f->services, NOW_MS + ROTATION_MS, &turns, &f->err), 0);
    assert_int_equal(stored_set()->turned_ms, NOW_MS + ROTATION_MS);
    assert_int_equal(strlen(names_seen()), 15);
}

static void they_lie_sealed_and_each_in_its_place(void **state)
{
    struct fixture *f = *state;
    turn(f, NOW_MS);
    const cp_ticket_key_set *set = stored_set();
    assert_int_equal(set->keys[0]->sealed.len, CP_TICKET_SECRET_BYTES + 37);
    cp_ticket_key_set *swapped = (cp_ticket_key_set *)(uintptr_t)set;
    ProtobufCBinaryData sealed = swapped->keys[0]->sealed;
    swapped->keys[0]->sealed = swapped->keys[1]->sealed;
    store_message(CP_KIND_TICKET_KEYS, &swapped->base);
    assert_int_equal(strlen(names_seen()), 5); /* the other one is in its place */
    swapped->keys[1]->sealed = sealed;
    store_message(CP_KIND_TICKET_KEYS, &swapped->base);
    struct cp_seal_place place = {CP_TICKET_KEYS_NAME,
                                  cp_ticket_key_field(&backstage.arena, swapped->keys[0])};
    gw_str opened;
    assert_int_equal(cp_seal_open(f->services.seal, place,
                                  gw_str_n((const char *)swapped->keys[0]->sealed.data,
                                           swapped->keys[0]->sealed.len),
                                  &backstage.arena, &opened, &f->err),
                     -1);
}

static void without_keys_for_secrets_there_are_none(void **state)
{
    struct fixture *f = *state;
    struct cp_ticket_turns turns = {0};
    const struct cp_seal *seal = f->services.seal;
    f->services.seal = NULL;
    const char *before = stored();
    assert_int_equal(cp_ticket_keys_turn(&f->services, NOW_MS, &turns, &f->err), -1);
    assert_int_equal(f->err.code, GW_FAILED_PRECONDITION);
    assert_string_equal(stored(), before);
    f->services.seal = seal;
}

/* ---- keys for secrets that are rotated */

static struct cp_seal *seal_with(const char *keys)
{
    char path[] = "/tmp/ticket_keys_test.XXXXXX";
    struct gw_error err = GW_ERROR_NONE;
    struct cp_seal *seal = NULL;
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, keys, strlen(keys)), strlen(keys));
    close(file);
    assert_int_equal(cp_seal_load(path, &seal, &err), 0);
    unlink(path);
    return seal;
}

static void put_certificate(struct fixture *f, const char *name, const char *key)
{
    gw_str sealed;
    cp_certificate certificate = CP_INIT(CERTIFICATE);
    certificate.name = gw_arena_strdup(&backstage.arena, name);
    certificate.certificate_pem = gw_arena_strdup(&backstage.arena, "LEAF");
    struct cp_seal_place place = {name, CP_PRIVATE_KEY_FIELD};
    assert_int_equal(cp_seal_close(f->services.seal, place, gw_str_from(key), &backstage.arena,
                                   &sealed, &f->err),
                     0);
    certificate.sealed_private_key =
        (ProtobufCBinaryData){sealed.len, (uint8_t *)(uintptr_t)sealed.ptr};
    store_message(CP_KIND_CERTIFICATE, &certificate.base);
}

static unsigned reseal(struct fixture *f)
{
    unsigned count = 0;
    if (cp_services_reseal(&f->services, &count, &f->err))
        fail_msg("%s", f->err.message);
    return count;
}

static void use_seal(struct fixture *f, struct cp_seal *seal)
{
    cp_seal_free((struct cp_seal *)(uintptr_t)f->services.seal);
    f->services.seal = backstage.other.services.seal = seal;
}

static void all_is_sealed_again_under_the_first_key(void **state)
{
    struct fixture *f = *state;
    use_seal(f, seal_with(OLD_KEY));
    turn(f, NOW_MS);
    const char *names = names_seen();
    put_certificate(f, "certificates/aaaa", "KEY A");
    put_certificate(f, "certificates/bbbb", "KEY B");
    store_json(CP_KIND_DOMAIN, "{\"name\": \"groups/DEFAULT/domains/a.example.com\","
                               " \"certificates\": [\"certificates/aaaa\"]}");
    assert_int_equal(reseal(f), 0);
    use_seal(f, seal_with(NEW_KEY "\n" OLD_KEY));
    assert_int_equal(reseal(f), 3);
    const char *before = stored();
    assert_int_equal(reseal(f), 0);
    assert_string_equal(stored(), before);
    use_seal(f, seal_with(NEW_KEY));
    assert_string_equal(names_seen(), names);
    ASSERT_HAS(agents_see("certificates/aaaa"), "KEY A");
}

static void what_does_not_open_stays_and_is_another_replicas_to_turn(void **state)
{
    struct fixture *f = *state;
    use_seal(f, seal_with(OLD_KEY));
    turn(f, NOW_MS);
    put_certificate(f, "certificates/aaaa", "KEY A");
    use_seal(f, seal_with(NEW_KEY));
    const char *before = stored();
    assert_int_equal(reseal(f), 0);
    assert_string_equal(stored(), before);
    assert_int_equal(turn(f, NOW_MS + 2 * ROTATION_MS - 1), NOW_MS + 2 * ROTATION_MS);
    assert_string_equal(stored(), before);
    turn(f, NOW_MS + 2 * ROTATION_MS); /* nobody has come for it */
    assert_int_equal(strlen(names_seen()), 5);
    assert_int_equal(turn(f, NOW_MS + 2 * ROTATION_MS + 1), NOW_MS + 3 * ROTATION_MS);
}

static void every_call_of_the_store_may_fail(void **state)
{
    struct fixture *f = *state;
    struct cp_ticket_turns turns = {0};
    backstage.calls = 0;
    for (int at = 1; at <= 2; at++) {
        backstage.calls = 0;
        backstage.fail_at = at;
        assert_int_equal(cp_ticket_keys_turn(&f->services, NOW_MS, &turns, &f->err), -1);
        assert_int_equal(turns.due_ms, 0); /* to be tried again */
        assert_int_equal(f->err.code, GW_UNAVAILABLE);
    }
    backstage.fail_at = 0;
    turn(f, NOW_MS);
    use_seal(f, seal_with(NEW_KEY));
    put_certificate(f, "certificates/aaaa", "KEY A");
    use_seal(f, seal_with(OLD_KEY "\n" NEW_KEY));
    unsigned count;
    for (int at = 1; at <= 3; at++) { /* list, get, transaction */
        backstage.calls = 0;
        backstage.fail_at = at;
        assert_int_equal(cp_services_reseal(&f->services, &count, &f->err), -1);
        assert_int_equal(f->err.code, GW_UNAVAILABLE);
    }
    backstage.fail_at = 0;
    assert_int_equal(reseal(f), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(they_are_made_once),
        STAGED(the_next_one_is_known_a_rotation_before_it_seals),
        STAGED(they_go_a_day_after_they_sealed),
        STAGED(there_are_never_more_than_agents_take),
        STAGED(of_two_replicas_one_turns_them),
        STAGED(a_clock_that_was_ahead_does_not_keep_them),
        STAGED(they_lie_sealed_and_each_in_its_place),
        STAGED(without_keys_for_secrets_there_are_none),
        STAGED(all_is_sealed_again_under_the_first_key),
        STAGED(what_does_not_open_stays_and_is_another_replicas_to_turn),
        STAGED(every_call_of_the_store_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
